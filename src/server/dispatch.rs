//! What stands behind the listener: routes, estimates, admission, the choice of a worker, the rings. It decides
//! nothing itself; `sched` does.
//!
//! ```text
//!   a request has come ─► what is it expected to take? ─► is it admitted? ─► who gets it? ─► a worker's ring
//!                                                           429, 503          503       └─► the backlog, if it is held
//!   an answer is back  ─► its capacity is given back, its execution is observed ─► the backlog's first gets a worker
//! ```

use super::estimates::{Estimates, Learnt};
use super::flight::Objectives;
use super::link::WorkerLink;
use super::metrics::{AtTheDoor, Metrics};
use super::records::Recorder;
use super::routes::Routes;
use super::rules::Rules;
use super::seams::Clock;
use super::under_way::{Entry, UnderWay};
use crate::worker::Arrival;
use listener::{Answered, ConnectionKey, Exchange, Refusal, Service, Target};
use listener_http::{Head, Status};
use perf::event::{self, EventWriter, What};
use sched::admission::{Admission, Verdict};
use sched::{Choice, Dispatch, Load, Nanos, Newcomer, Offer, Scheduler};
use std::collections::VecDeque;
use std::sync::Arc;

/// In place of a worker: the request waits here.
const HELD: u16 = u16::MAX;

const NS_PER_S: u64 = 1_000_000_000;

/// Requests that were not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Their tenants had used up their budgets: 429.
    pub tenant: u64,
    /// The rule of admission found no room: 503.
    pub server: u64,
    /// No worker could take them: 503.
    pub full: u64,
}

/// The server as the listener sees it.
pub struct Dispatcher<C> {
    routes: Arc<Routes>,
    workers: Vec<WorkerLink>,
    scheduler: &'static Scheduler,
    /// Scratch: the workers' loads, gathered for each choice.
    loads: Vec<Load>,
    dispatch: Box<dyn Dispatch + Send>,
    dispatcher: &'static sched::Dispatcher,
    admission: Admission,
    estimates: Estimates,
    under_way: UnderWay,
    /// Requests that wait for a worker, the first to come first.
    backlog: VecDeque<Box<Exchange>>,
    backlog_max: usize,
    /// Those whose clients left while they waited there.
    given_up: VecDeque<Box<Exchange>>,
    refused: Refused,
    /// The latest time that was heard of.
    now_ns: Nanos,
    /// Which worker's answers are looked at next.
    next_answer: usize,
    recorder: Option<Recorder>,
    metrics: Arc<Metrics>,
    clock: C,
    events: EventWriter,
    objectives: Option<Objectives>,
}

impl<C: Clock> Dispatcher<C> {
    /// `recorder` gets a record of every answer, `metrics` counts what happens here, `events` tells it.
    pub fn new(
        routes: Arc<Routes>,
        workers: Vec<WorkerLink>,
        rules: Rules,
        (recorder, metrics): (Option<Recorder>, Arc<Metrics>),
        (clock, events): (C, EventWriter),
    ) -> Dispatcher<C> {
        let Rules {
            estimator,
            uses_sizes,
            ..
        } = rules;
        Dispatcher {
            loads: Vec::with_capacity(workers.len()),
            estimates: Estimates::new(&routes, estimator, uses_sizes, &rules.learnt),
            routes,
            workers,
            scheduler: rules.scheduler,
            dispatch: rules.dispatch,
            dispatcher: rules.dispatcher,
            admission: rules.admission,
            under_way: UnderWay::default(),
            backlog: VecDeque::with_capacity(rules.backlog_max),
            backlog_max: rules.backlog_max,
            given_up: VecDeque::new(),
            refused: Refused::default(),
            now_ns: 0,
            next_answer: 0,
            recorder,
            metrics,
            clock,
            events,
            objectives: None,
        }
    }

    /// Has requests noticed that miss their routes' objectives.
    pub fn set_objectives(&mut self, objectives: Objectives) {
        self.objectives = Some(objectives);
    }

    /// Requests that were admitted and have not come back.
    pub fn outstanding(&self) -> u32 {
        self.under_way.count() as u32
    }

    /// Whether an answer lies in a ring, or somebody who waited here has gone.
    pub fn has_completed(&self) -> bool {
        !self.given_up.is_empty() || self.workers.iter().any(WorkerLink::has_completed)
    }

    /// Ends slices that are over, of workers that rely on it; says when to look again, `u64::MAX` for never.
    pub fn expire_if_due(&self, now: Nanos) -> Nanos {
        let workers = self.workers.iter();
        let due = workers.map(|worker| worker.expire_if_due(now));
        due.min().unwrap_or(u64::MAX)
    }

    /// Ends the workers' slices and sleeps, so that they see that they shall stop.
    pub fn interrupt_workers(&self) {
        self.workers.iter().for_each(WorkerLink::interrupt);
    }

    /// What was learnt of the routes' executions.
    pub fn learnt(&self) -> Learnt {
        self.estimates.learnt(&self.routes)
    }

    /// How many requests were refused, and why.
    pub fn refused(&self) -> Refused {
        self.refused
    }

    /// Where it counts.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The capacity that admission has given away.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    fn choose(&mut self, arrival: &Arrival) -> Choice {
        self.loads.clear();
        let loads = self.workers.iter();
        self.loads
            .extend(loads.map(|worker| worker.load(self.dispatcher.sees_slices)));
        let offer = Offer {
            expected_ns: arrival.expected_ns,
            newcomer: Newcomer {
                deadline_ns: arrival.deadline_ns,
                rank: arrival.rank(self.scheduler),
            },
            random: mixed(arrival.seq),
        };
        self.dispatch.dispatch(&offer, &self.loads)
    }

    fn give(&mut self, now: Nanos, worker: usize, mut exchange: Box<Exchange>, arrival: &Arrival) {
        let number = worker as u16;
        exchange.worker = number;
        exchange.timeline.dispatched_ns = now;
        let what = What::Dispatched { worker: number };
        self.events.note(now, exchange.request_id, what);
        let rank = arrival.rank(self.scheduler);
        self.metrics.listener.given[worker].dispatched.increment();
        if self.dispatcher.sees_slices {
            self.workers[worker].lower_bar(rank);
        }
        self.workers[worker].submit(exchange, rank);
    }

    /// Tells admission who has begun, in the order of time over all workers.
    fn hear_starts(&mut self) {
        if !self.admission.wants_starts() {
            return;
        }
        let next = |workers: &[WorkerLink]| {
            let heads = workers.iter().enumerate();
            let heads = heads.filter_map(|(at, worker)| Some((worker.next_start()?.at_ns, at)));
            heads.min()
        };
        while let Some((_, at)) = next(&self.workers) {
            let Some(start) = self.workers[at].take_start() else {
                return;
            };
            // One whose answer was quicker than this is known already.
            if let Some(entry) = self.under_way.entry(start.ticket, start.sequence) {
                self.admission.started(start.at_ns, &mut entry.receipt);
            }
        }
    }

    /// A request is over: gives back what it held.
    fn settle(&mut self, exchange: &Exchange) {
        let mut entry = self.under_way.leave(exchange.ticket);
        let at = &exchange.timeline;
        if at.started_ns > 0 {
            self.admission.started(at.started_ns, &mut entry.receipt);
        }
        self.now_ns = self.now_ns.max(at.finished_ns);
        self.admission.end(self.now_ns, entry.receipt, at.ran_ns);
        let tenant = self.routes.route(exchange.route).tenant;
        self.metrics.listener.left(tenant, &self.admission);
        self.estimates.observe(exchange);
    }

    /// Gives those who wait here to workers that have room again.
    fn hand_out(&mut self) {
        while let Some(first) = self.backlog.front() {
            let arrival = self.routes.route(first.route).arrival(first);
            let Choice::Worker(worker) = self.choose(&arrival) else {
                return;
            };
            let exchange = self.backlog.pop_front().expect("there is a first");
            self.metrics.listener.backlog.add(-1);
            let entry = self.under_way.entry(exchange.ticket, exchange.sequence);
            entry.expect("who waits is under way").worker = Some(worker as u16);
            let now = self.clock.now_ns();
            self.give(now, worker, exchange, &arrival);
        }
    }

    fn next_answer(&mut self) -> Option<Box<Exchange>> {
        for _ in 0..self.workers.len() {
            let worker = self.next_answer;
            self.next_answer = (worker + 1) % self.workers.len();
            let Some(exchange) = self.workers[worker].completed() else {
                continue;
            };
            // Who was given it; who did it may have stolen it.
            let entry = self.under_way.entry(exchange.ticket, exchange.sequence);
            let given = entry.and_then(|entry| entry.worker);
            let given = usize::from(given.expect("what comes back was given to a worker"));
            self.workers[given].returned(&exchange);
            self.metrics.listener.given[given].returned.increment();
            return Some(exchange);
        }
        None
    }

    /// Counts a refusal, says so in the log, and what to answer.
    fn refuse(&mut self, exchange: &Exchange, why: &Verdict) -> Refusal {
        let (counter, at_the_door, status, wait_ns, cause, what) = match *why {
            Verdict::RefuseTenant { retry_after_ns } => (
                &mut self.refused.tenant,
                AtTheDoor::Tenant,
                Status::TOO_MANY_REQUESTS,
                retry_after_ns,
                event::Refusal::Tenant,
                "refused: its tenant has all that it may",
            ),
            Verdict::RefuseServer { retry_after_ns } => (
                &mut self.refused.server,
                AtTheDoor::Server,
                Status::SERVICE_UNAVAILABLE,
                retry_after_ns,
                event::Refusal::Server,
                "refused: admission finds no room",
            ),
            Verdict::Admit(_) => unreachable!("it is taken"),
        };
        *counter += 1;
        self.decided(exchange, at_the_door);
        let retry_after_s = retry_after_s(wait_ns);
        let request = exchange.request_id;
        self.note(request, What::Refused(cause));
        let route = &*self.routes.route(exchange.route).name;
        tracing::debug!(request, route, retry_after_s, "{what}");
        Refusal {
            status,
            retry_after_s,
            allow: None,
        }
    }

    /// Counts what became of a request at the door.
    fn decided(&self, exchange: &Exchange, what: AtTheDoor) {
        let tenant = self.routes.route(exchange.route).tenant;
        self.metrics.listener.decided(tenant, what, &self.admission);
    }

    fn note(&mut self, request: u64, what: What) {
        self.events.note(self.clock.now_ns(), request, what);
    }

    fn check_objective(&mut self, record: &Answered<'_>) {
        let route = record.route.map(|route| self.routes.route(route));
        if let Some(objective_ns) = route.and_then(|route| route.objective_ns)
            && let Some(took_ns) = record.timeline.latency_ns()
            && took_ns > objective_ns
            && let Some(objectives) = &mut self.objectives
        {
            objectives.missed(record.timeline.sent_ns, record.request_id, took_ns);
        }
    }

    fn refuse_for_want_of_workers(&mut self, exchange: &Exchange) -> Refusal {
        self.refused.full += 1;
        self.decided(exchange, AtTheDoor::Full);
        let request = exchange.request_id;
        self.note(request, What::Refused(event::Refusal::Full));
        let route = &*self.routes.route(exchange.route).name;
        tracing::debug!(request, route, "refused: all workers are full");
        Refusal::new(Status::SERVICE_UNAVAILABLE)
    }
}

/// Whole seconds, never too few; `None` where coming again is in vain.
fn retry_after_s(wait_ns: Nanos) -> Option<u32> {
    let seconds = wait_ns.div_ceil(NS_PER_S).max(1);
    (wait_ns < Nanos::MAX).then(|| u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// Bits that look random: the finalizer of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).
fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl<C: Clock> Service for Dispatcher<C> {
    fn route(&mut self, port: u16, head: &Head<'_>) -> Result<Target, Refusal> {
        self.routes.find(port, head)
    }

    fn submit(&mut self, mut exchange: Box<Exchange>) -> Result<u16, (Box<Exchange>, Refusal)> {
        let now = exchange.timeline.arrived_ns;
        self.now_ns = self.now_ns.max(now);
        self.hear_starts();
        exchange.expected_ns = self.estimates.expected_ns(&exchange);
        let arrival = self.routes.route(exchange.route).arrival(&exchange);
        let arrived = What::Arrived {
            route: exchange.route,
            expected_ns: exchange.expected_ns,
        };
        self.events.note(now, exchange.request_id, arrived);
        let receipt = match self.admission.decide(now, &arrival.request()) {
            Verdict::Admit(receipt) => receipt,
            refused => {
                let refusal = self.refuse(&exchange, &refused);
                return Err((exchange, refusal));
            }
        };
        // Nobody overtakes those who wait here.
        let choice = match self.backlog.is_empty() {
            true => self.choose(&arrival),
            false => Choice::Hold,
        };
        let worker = match choice {
            Choice::Worker(worker) => Some(worker),
            Choice::Hold if self.backlog.len() < self.backlog_max => None,
            Choice::Hold | Choice::Refuse => {
                self.admission.end(now, receipt, 0);
                let refusal = self.refuse_for_want_of_workers(&exchange);
                return Err((exchange, refusal));
            }
        };
        self.decided(&exchange, AtTheDoor::Admitted);
        let number = worker.map(|worker| worker as u16);
        exchange.ticket = self.under_way.enter(Entry {
            receipt,
            sequence: exchange.sequence,
            connection: exchange.connection,
            worker: number,
        });
        let admitted_ns = self.clock.now_ns();
        exchange.timeline.admitted_ns = admitted_ns;
        match worker {
            Some(worker) => self.give(admitted_ns, worker, exchange, &arrival),
            None => {
                self.events
                    .note(admitted_ns, exchange.request_id, What::Held);
                self.backlog.push_back(exchange);
                self.metrics.listener.backlog.add(1);
            }
        }
        Ok(number.unwrap_or(HELD))
    }

    fn abandon(&mut self, worker: u16, connection: ConnectionKey) {
        let worker = match worker {
            HELD => {
                let entry = self.under_way.of_client(connection);
                entry.expect("who goes away has asked").worker
            }
            worker => Some(worker),
        };
        if let Some(worker) = worker {
            // Where workers steal, anybody may have it.
            let told = match self.dispatcher.steals {
                true => &mut self.workers[..],
                false => std::slice::from_mut(&mut self.workers[usize::from(worker)]),
            };
            return told
                .iter_mut()
                .for_each(|worker| worker.abandon(connection));
        }
        let mut backlog = self.backlog.iter();
        let at = backlog.position(|exchange| exchange.connection == connection);
        let exchange = at.and_then(|at| self.backlog.remove(at));
        let mut exchange = exchange.expect("it waits for a worker");
        self.metrics.listener.backlog.add(-1);
        let now = self.clock.now_ns();
        exchange.timeline.finished_ns = now;
        let what = What::Dropped(event::Drop::Abandoned);
        self.events.note(now, exchange.request_id, what);
        self.given_up.push_back(exchange);
    }

    fn completed(&mut self) -> Option<Box<Exchange>> {
        self.hear_starts();
        let given_up = self.given_up.pop_front();
        let exchange = given_up.or_else(|| self.next_answer())?;
        self.settle(&exchange);
        self.hand_out();
        Some(exchange)
    }

    fn content_type(&self, route: u16) -> Option<&str> {
        self.routes.route(route).content_type.as_deref()
    }

    fn answered(&mut self, record: &Answered<'_>) {
        let at_ns = record.timeline.answered_ns;
        if record.timeline.arrived_ns > 0 && at_ns > 0 {
            let status = record.status.0;
            self.events
                .note(at_ns, record.request_id, What::Answered { status });
        }
    }

    fn departed(&mut self, record: &Answered<'_>) {
        if record.timeline.arrived_ns > 0 {
            match record.timeline.sent_ns {
                0 => self.note(record.request_id, What::Cut),
                sent_ns => self.events.note(sent_ns, record.request_id, What::Sent),
            }
            self.check_objective(record);
        }
        let route = record.route.map(|route| self.routes.route(route));
        self.metrics.listener.departed(record, route);
        if let Some(recorder) = &mut self.recorder {
            recorder.record(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shall_come_again_is_not_told_to_come_too_early() {
        for (wait_ns, seconds) in [
            (0, Some(1)),
            (1, Some(1)),
            (NS_PER_S, Some(1)),
            (NS_PER_S + 1, Some(2)),
            (u64::MAX - 1, Some(u32::MAX)),
            (u64::MAX, None),
        ] {
            assert_eq!(retry_after_s(wait_ns), seconds, "{wait_ns}");
        }
    }
}
