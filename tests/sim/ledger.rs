//! The book of all requests: what was asked, admitted, run, answered, and whether that is right.
//!
//! [`Watched`] stands between the listener and the dispatcher and passes everything on; the guests and the network
//! write into the same book. Whatever contradicts the plan or itself fails the run at once.

pub mod answers;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use listener::{Answered, ConnectionKey, Counters, Exchange, Refusal, Service, Target};
use listener_http::Head;
use luge::server::Dispatcher;
use sandbox::Exit;

use crate::plan::{End, Plans, RequestPlan, Verdict, answer};
use crate::shared::{Shared, VirtualClock};

/// Where an admitted request is, as far as its guest tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    #[default]
    Waiting,
    Running,
    Ready,
    Blocked,
    Ended,
}

#[derive(Clone, Default)]
struct Entry {
    /// The worker that has or had it.
    admitted: Option<u16>,
    /// It was not taken.
    refused: Option<Refused>,
    abandoned: bool,
    life: Life,
    /// With the answer's status.
    completed: Option<u16>,
    /// Its head was there and had a route: its body takes memory until it is over.
    routed: bool,
    answered: Option<Given>,
    /// Nothing more happens to it; whether the kernel took its answer.
    departed: Option<bool>,
    /// By its timeline: how long it ran, could have run, waited, and how many slices it had.
    spent: Option<Spent>,
    /// The access log tells that its client went away first.
    given_up: bool,
}

/// Where the time of a request went on its worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub ran_ns: u64,
    pub preempted_ns: u64,
    pub blocked_ns: u64,
    pub slices: u32,
}

/// How it was told that it is not taken.
#[derive(Clone, Copy)]
struct Refused {
    status: u16,
    retry_after_s: Option<u32>,
    /// Not for want of workers.
    by_admission: bool,
}

/// In place of the worker: it waits at the dispatcher.
const HELD: u16 = u16::MAX;

/// An answer that was given.
#[derive(Clone, Copy)]
struct Given {
    status: u16,
    /// It is the connection's last, whatever the client wants.
    last: bool,
    /// It had become an exchange.
    numbered: bool,
}

pub struct Ledger {
    shared: Rc<Shared>,
    plans: Rc<Plans>,
    entries: Vec<Entry>,
    /// Whose connection it is: the client.
    clients: BTreeMap<ConnectionKey, usize>,
    /// The request that each connection has under way.
    under_way: BTreeMap<ConnectionKey, usize>,
    /// Requests that waited at the dispatcher first and have not come back.
    held: u32,
    /// Those of each worker that got them at once, and all that it ever got so.
    outstanding: Vec<u32>,
    admitted: Vec<Vec<usize>>,
    /// Records of requests that never were exchanges.
    rejected: u64,
    /// By the number that a request has in logs.
    numbers: BTreeMap<u64, usize>,
    /// How functions ended other than well.
    pub ends: Ends,
}

/// See [`Ledger::ends`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    pub traps: u64,
    pub exits: u64,
    pub wrote_too_much: u64,
    pub did_not_start: u64,
}

impl Ledger {
    pub fn new(shared: Rc<Shared>, plans: Rc<Plans>) -> Ledger {
        Ledger {
            entries: vec![Entry::default(); plans.requests.len()],
            held: 0,
            outstanding: vec![0; plans.config.workers],
            admitted: vec![Vec::new(); plans.config.workers],
            clients: BTreeMap::new(),
            under_way: BTreeMap::new(),
            rejected: 0,
            numbers: BTreeMap::new(),
            ends: Ends::default(),
            shared,
            plans,
        }
    }

    /// A function ends so.
    pub fn ends(&mut self, exit: &Exit) {
        *match exit {
            Exit::Trapped(_) => &mut self.ends.traps,
            Exit::Code(_) => &mut self.ends.exits,
            Exit::OutputLimit => &mut self.ends.wrote_too_much,
            Exit::StartFailed(_) => &mut self.ends.did_not_start,
            _ => return,
        } += 1;
    }

    pub fn opened(&mut self, key: ConnectionKey, client: usize) {
        assert!(
            self.clients.insert(key, client).is_none(),
            "two connections have one key"
        );
    }

    /// Whether a worker has this connection's request and the client still waits.
    pub fn waits(&self, key: ConnectionKey) -> bool {
        self.under_way.contains_key(&key)
    }

    /// Requests that workers have.
    pub fn outstanding(&self) -> u32 {
        self.held + self.outstanding.iter().sum::<u32>()
    }

    pub fn is_abandoned(&self, id: usize) -> bool {
        self.entries[id].abandoned
    }

    pub fn is_answered(&self, id: usize) -> bool {
        self.entries[id].answered.is_some()
    }

    /// The requests that a worker ever got, in order.
    pub fn admitted(&self, worker: usize) -> &[usize] {
        &self.admitted[worker]
    }

    /// Whether a worker has more requests than it can have begun.
    pub fn is_behind(&self, worker: usize) -> bool {
        self.outstanding[worker] > self.plans.config.tasks_max
    }

    /// Whether a request has had its turn, or needs none.
    pub fn had_its_turn(&self, id: usize) -> bool {
        self.entries[id].life != Life::Waiting || self.entries[id].abandoned
    }

    /// What a guest is doing.
    pub fn lives(&mut self, id: usize, life: Life) {
        self.entries[id].life = life;
    }

    fn plan(&self, id: usize) -> &RequestPlan {
        &self.plans.requests[id]
    }

    fn routed(&mut self, query: &str) {
        let id = id_of(query.as_bytes()).expect("every request that is routed has an id");
        assert!(
            !std::mem::replace(&mut self.entries[id].routed, true),
            "{id} is routed twice"
        );
    }

    /// An exchange must be the request that the client sent.
    fn check_request(&self, exchange: &Exchange) -> usize {
        let id = id_of(exchange.query()).expect("every request that is routed has an id");
        let plan = self.plan(id);
        assert!(
            matches!(plan.verdict, Verdict::Routed),
            "{id} should have been refused"
        );
        assert_eq!(
            self.clients.get(&exchange.connection),
            Some(&plan.client),
            "{id} came on another connection"
        );
        assert_eq!(
            (exchange.method, exchange.path()),
            (plan.method, plan.path.as_bytes()),
            "{id}"
        );
        assert_eq!(
            (exchange.query(), &exchange.body),
            (plan.query.as_bytes(), &plan.body),
            "{id}"
        );
        assert_eq!(usize::from(exchange.route), plan.route, "{id}");
        assert_eq!(exchange.timeline.arrived_ns, self.shared.now_ns(), "{id}");
        let fresh = exchange.answer.is_empty()
            && exchange.errors.is_empty()
            && exchange.arguments.is_empty()
            && exchange.environment.is_empty()
            && !exchange.own_head.is_read();
        assert!(
            fresh && !exchange.is_abandoned(),
            "{id} begins with what an earlier one has left"
        );
        match plan.body.len() {
            0 => {}
            1..30_000 => self.shared.saw("a body"),
            _ => self.shared.saw("a large body"),
        }
        id
    }

    fn submitted(&mut self, id: usize, key: ConnectionKey, taken: Result<u16, Refused>) {
        self.shared
            .trace(|| format!("request {id} submitted: {:?}", taken.ok()));
        let max = self.plans.config.outstanding_max;
        let intake = &self.plans.config.intake;
        let may_hold = intake.dispatch.name == "jbsq";
        let may_keep = intake.dispatch.name == "darc";
        let entry = &mut self.entries[id];
        assert!(
            entry.admitted.is_none() && entry.refused.is_none(),
            "{id} is submitted twice"
        );
        assert!(
            !self.under_way.contains_key(&key),
            "{id} overtakes another of its connection"
        );
        match taken {
            Ok(HELD) => {
                assert!(may_hold, "{id} waits for nothing");
                self.shared.saw("held");
                self.held += 1;
                entry.admitted = Some(HELD);
                self.under_way.insert(key, id);
            }
            Ok(worker) => {
                let outstanding = &mut self.outstanding[usize::from(worker)];
                assert!(*outstanding < max, "worker {worker} is full");
                *outstanding += 1;
                self.admitted[usize::from(worker)].push(id);
                entry.admitted = Some(worker);
                self.under_way.insert(key, id);
            }
            Err(refused) => {
                let is_full = || {
                    self.outstanding
                        .iter()
                        .all(|&outstanding| outstanding == max)
                };
                assert!(
                    refused.by_admission || may_hold || may_keep || is_full(),
                    "there is room for {id}"
                );
                self.shared.saw(match refused.status {
                    429 => "429",
                    _ if refused.by_admission => "503: no capacity",
                    _ => "503: no room",
                });
                entry.refused = Some(refused);
            }
        }
        self.check_memory();
    }

    fn abandon(&mut self, worker: u16, key: ConnectionKey) {
        let id = self
            .under_way
            .remove(&key)
            .expect("who goes away has asked");
        let entry = &mut self.entries[id];
        assert_eq!(entry.admitted, Some(worker), "{id}");
        entry.abandoned = true;
        let state = if entry.completed.is_some() {
            Life::Ended
        } else {
            entry.life
        };
        self.shared.trace(|| format!("request {id} abandoned"));
        self.shared.saw(match state {
            Life::Waiting => "abandoned before it started",
            Life::Running => "abandoned while it runs",
            Life::Ready => "abandoned while it is ready",
            Life::Blocked => "abandoned while it is blocked",
            Life::Ended => "abandoned while its answer is on its way",
        });
    }

    fn completed(&mut self, exchange: &Exchange) {
        let id = id_of(exchange.query()).expect("an exchange keeps its request");
        let plan = &self.plans.requests[id];
        let entry = &mut self.entries[id];
        self.shared
            .trace(|| format!("request {id} completed: {}", exchange.status.0));
        assert!(entry.completed.is_none(), "{id} came back twice");
        assert_eq!(exchange.is_abandoned(), entry.abandoned, "{id}");
        entry.completed = Some(exchange.status.0);
        match entry.admitted {
            Some(HELD) => self.held -= 1,
            admitted => {
                let worker = admitted.expect("what comes back was admitted");
                if worker != exchange.worker {
                    let dispatch = &self.plans.config.intake.dispatch;
                    assert!(dispatch.steals, "{id} has another worker");
                    self.shared.saw("stolen");
                }
                self.outstanding[usize::from(worker)] -= 1;
            }
        }
        let at = exchange.timeline;
        if at.started_ns > 0 {
            let spent_ns = at.ran_ns + at.preempted_ns + at.blocked_ns;
            assert_eq!(spent_ns, at.finished_ns - at.started_ns, "{id}: {at:?}");
            assert!(at.preemptions + at.blocks <= at.slices, "{id}: {at:?}");
            entry.spent = Some(Spent {
                ran_ns: at.ran_ns,
                preempted_ns: at.preempted_ns,
                blocked_ns: at.blocked_ns,
                slices: at.slices,
            });
        }
        if entry.abandoned {
            return;
        }
        assert_eq!(self.under_way.remove(&exchange.connection), Some(id));
        let (status, answer) = ending(plan);
        assert_eq!(exchange.status.0, status, "{id}");
        assert!(
            status != 200 || exchange.answer == answer,
            "{id} has another's answer"
        );
        assert!(
            at.arrived_ns <= at.started_ns && at.started_ns <= at.finished_ns,
            "{id}: {at:?}"
        );
        let points = [
            at.began_ns,
            at.parsed_ns,
            at.arrived_ns,
            at.admitted_ns,
            at.dispatched_ns,
            at.picked_ns,
            at.started_ns,
            at.finished_ns,
        ];
        assert!(points[0] > 0 && points.is_sorted(), "{id}: {at:?}");
    }

    /// Who has this number in logs.
    pub fn id_of_request(&self, number: u64) -> usize {
        self.numbers[&number]
    }

    /// Requests that were offered to the dispatcher.
    pub fn submitted_count(&self) -> usize {
        self.numbers.len()
    }

    /// What the timeline of a request that was answered says.
    pub fn spent(&self, id: usize) -> Option<Spent> {
        self.entries[id].spent
    }

    fn departed(&mut self, record: &Answered<'_>) {
        let Some(id) = id_of(record.query) else {
            return;
        };
        let entry = &mut self.entries[id];
        assert!(entry.answered.is_some() || entry.given_up, "{id}");
        let at = record.timeline;
        let is_sent = at.sent_ns > 0;
        assert!(
            !is_sent || (at.answered_ns <= at.sending_ns && at.sending_ns <= at.sent_ns),
            "{id}: {at:?}"
        );
        assert!(!is_sent || !entry.given_up, "{id} was sent to nobody");
        let before = entry.departed.replace(is_sent);
        assert!(before.is_none(), "{id} departs twice");
        self.shared.saw(match (is_sent, record.request_id) {
            (true, _) => "departed",
            (false, 0) => "departed without a number",
            (false, _) => "departed unsent",
        });
    }

    /// A connection is closed, and nobody waits for it any more.
    pub fn closed(&self, key: ConnectionKey) {
        assert!(
            !self.waits(key),
            "a client that waits for an answer is shut out"
        );
    }

    /// At the end: what went in has come out, once.
    pub fn check_end(&self, counters: &Counters) {
        let count = |of: &dyn Fn(&Entry) -> bool| {
            self.entries.iter().filter(|entry| of(entry)).count() as u64
        };
        for (id, entry) in self.entries.iter().enumerate() {
            let admitted = entry.admitted.is_some();
            assert_eq!(admitted, entry.completed.is_some(), "{id} is lost");
            let answered = entry.answered.is_some();
            assert_eq!(
                entry.departed.is_some(),
                answered || entry.given_up,
                "{id} has not departed"
            );
            assert!(
                !admitted || answered != entry.abandoned,
                "{id} is neither answered nor given up, or both"
            );
        }
        assert!(self.under_way.is_empty() && self.outstanding() == 0);
        let numbered = |entry: &Entry| entry.answered.is_some_and(|given| given.numbered);
        let expected = Counters {
            submitted: count(&|entry| entry.admitted.is_some() || entry.refused.is_some()),
            answered: count(&numbered),
            rejected: self.rejected,
            refused: count(&|entry| entry.refused.is_some()),
            abandoned: count(&|entry| entry.abandoned),
            answers_unclaimed: count(&|entry| entry.abandoned && entry.given_up),
            bodies_given_up: count(&|entry| entry.given_up && !entry.abandoned),
            ..*counters
        };
        assert_eq!(*counters, expected);
        assert!(counters.requests >= counters.answered + counters.abandoned);
    }

    /// What the bodies of routed requests take that are not over.
    fn bodies_bytes(&self, counts: impl Fn(usize) -> bool) -> usize {
        let takes = |id: &usize| {
            let entry = &self.entries[*id];
            entry.routed && entry.answered.is_none() && !entry.given_up && counts(*id)
        };
        let ids = (0..self.entries.len()).filter(takes);
        ids.map(|id| self.plan(id).body.len()).sum()
    }

    fn is_out_of_memory(&self, id: usize) -> bool {
        let max = self.plans.config.listener.bodies_max_bytes as usize;
        self.bodies_bytes(|other| other != id) + self.plan(id).body.len() > max
    }

    /// Bodies whose length was said are whole only if there was memory for them.
    fn check_memory(&self) {
        let max = self.plans.config.listener.bodies_max_bytes as usize;
        let said = |id: usize| self.entries[id].admitted.is_some() && !self.plan(id).chunked;
        assert!(self.bodies_bytes(said) <= max, "more bodies than memory");
    }
}

/// How a request that reached its guest ends.
fn ending(plan: &RequestPlan) -> (u16, Vec<u8>) {
    match plan.guest.end {
        End::Answers(bytes) => (200, answer(plan.query.as_bytes(), &plan.body, bytes)),
        End::Traps | End::Exits(_) | End::WritesTooMuch => (500, Vec::new()),
        End::DoesNotStart => (503, Vec::new()),
        End::Never => panic!("a guest that never ends has been answered"),
    }
}

/// The id in a query as [`crate::request`] makes it.
pub fn id_of(query: &[u8]) -> Option<usize> {
    let digits = query.strip_prefix(b"id=")?;
    let end = digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

/// The dispatcher, watched.
pub struct Watched {
    pub dispatcher: Dispatcher<VirtualClock>,
    pub ledger: Rc<RefCell<Ledger>>,
}

impl Service for Watched {
    fn route(&mut self, port: u16, head: &Head<'_>) -> Result<Target, Refusal> {
        let target = self.dispatcher.route(port, head)?;
        self.ledger.borrow_mut().routed(head.query);
        Ok(target)
    }

    fn submit(&mut self, exchange: Box<Exchange>) -> Result<u16, (Box<Exchange>, Refusal)> {
        let key = exchange.connection;
        let id = self.ledger.borrow().check_request(&exchange);
        let number = exchange.request_id;
        let known = self.ledger.borrow_mut().numbers.insert(number, id);
        assert!(known.is_none(), "{id} has the number of another");
        let before = self.dispatcher.refused();
        let result = self.dispatcher.submit(exchange);
        let by_admission = self.dispatcher.refused().full == before.full;
        let taken = result.as_ref().map_err(|(_, refusal)| Refused {
            status: refusal.status.0,
            retry_after_s: refusal.retry_after_s,
            by_admission,
        });
        self.ledger.borrow_mut().submitted(id, key, taken.copied());
        result
    }

    fn abandon(&mut self, worker: u16, connection: ConnectionKey) {
        self.ledger.borrow_mut().abandon(worker, connection);
        self.dispatcher.abandon(worker, connection);
    }

    fn completed(&mut self) -> Option<Box<Exchange>> {
        let exchange = self.dispatcher.completed()?;
        self.ledger.borrow_mut().completed(&exchange);
        Some(exchange)
    }

    fn content_type(&self, route: u16) -> Option<&str> {
        self.dispatcher.content_type(route)
    }

    fn answered(&mut self, record: &Answered<'_>) {
        self.ledger.borrow_mut().answered(record);
        self.dispatcher.answered(record);
    }

    fn departed(&mut self, record: &Answered<'_>) {
        self.ledger.borrow_mut().departed(record);
        self.dispatcher.departed(record);
    }
}
