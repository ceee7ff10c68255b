//! The run: sends when the schedule says, on the first connection that is free, and books what becomes of each request.
//!
//! ```text
//!   schedule ──due──► queue of the server ──► free connection ──► ring ──► answer ──► books
//!                      (its wait counts)       Closed ─► Connecting ─► Idle ◄─► Busy
//!                                                ▲──────── Closing ◄────┴─────────┘
//! ```
//!
//! One thread does all. It sleeps in the ring, but for a while before a request is due, when it looks at the ring without
//! sleeping (`spin_ns`): a thread that must be woken is late. A connection has one request at a time (no pipelining).
//! A receive is always under way on an open connection, so that a server's close is seen at once. Not here: what the
//! figures mean (`report`).

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use perf::formats::Interval;
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::books::Books;
use super::connection::{Connection, State};
use super::limits::{COMPLETIONS_PER_TURN, WAIT_MAX};
use super::plan::Plan;
use super::progress::Counts;
use super::ring::{Completion, Done, Ring};
use super::tally::Failure;
use super::target::Target;

/// A request that was due.
#[derive(Clone, Copy)]
pub struct Request {
    /// Which target's.
    pub target: usize,
    /// When it was meant to be sent.
    pub intended_ns: u64,
}

/// A server's connections and the requests that wait for one.
pub(super) struct Pool {
    pub(super) idle: VecDeque<usize>,
    pub(super) closed: VecDeque<usize>,
    waiting: VecDeque<Request>,
    /// Deadline, connection, serial; in order.
    under_way: VecDeque<(u64, usize, u64)>,
    /// The address that the last connect found somebody at.
    pub(super) address: usize,
    mix: Mix,
    pub(super) connected: u64,
    pub(super) refusal: Option<i32>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No ring.
    #[error(transparent)]
    Ring(#[from] listener::RingError),
    /// The ring failed under way.
    #[error("io_uring: {0}")]
    Io(#[from] io::Error),
    /// A server that no connection could be had to at the start.
    #[error("{authority}: {error}")]
    Unreachable {
        /// Host and port.
        authority: String,
        /// What connecting said.
        error: io::Error,
    },
}

/// Chooses targets by weight.
struct Mix(Vec<(f64, usize)>);

impl Mix {
    fn new(targets: &[Target], of: impl Fn(&Target) -> bool) -> Self {
        let mut sum = 0.0;
        let chosen = targets.iter().enumerate().filter(|(_, target)| of(target));
        Self(
            chosen
                .map(|(index, target)| {
                    sum += target.weight;
                    (sum, index)
                })
                .collect(),
        )
    }

    /// `uniform` is in [0, 1). There is at least one.
    fn choose(&self, uniform: f64) -> usize {
        let last = self.0[self.0.len() - 1];
        let at = self.0.partition_point(|(sum, _)| *sum <= uniform * last.0);
        self.0.get(at).map_or(last.1, |(_, index)| *index)
    }
}

/// Runs a plan until its end, or until `stop` says so.
///
/// # Errors
///
/// See [`LoadError`].
pub fn run(
    plan: &Plan,
    stop: &AtomicBool,
    counts: &Counts,
    intervals: Option<Sender<Interval>>,
) -> Result<Books, LoadError> {
    let mut load = Load::new(plan, counts)?;
    load.open_all(stop)?;
    load.start(intervals);
    let result = load.drive(stop);
    load.books.end(load.ring.now_ns());
    counts.is_over();
    result.map(|()| load.books).map_err(LoadError::Io)
}

pub(super) struct Load<'p> {
    // Dropped first: then nothing is under way for the sockets.
    pub(super) ring: Ring,
    pub(super) plan: &'p Plan,
    counts: &'p Counts,
    pub(super) connections: Vec<Connection>,
    pub(super) pools: Vec<Pool>,
    mix: Mix,
    random: Xoshiro256PlusPlus,
    /// From the start.
    times: Option<Box<dyn Iterator<Item = u64> + 'p>>,
    next_due_ns: Option<u64>,
    scheduled: u64,
    start_ns: u64,
    /// Connections whose request goes out with the next submission; whether it is the first that is done for it.
    pub(super) leaving: Vec<(usize, bool)>,
    pub(super) books: Books,
}

impl<'p> Load<'p> {
    fn new(plan: &'p Plan, counts: &'p Counts) -> Result<Self, LoadError> {
        let origins = &plan.targets.origins;
        let total = plan.connections * origins.len();
        let ring = Ring::new(total)?;
        let connections = (0..total).map(|slot| Connection::new(slot / plan.connections));
        let pools = (0..origins.len()).map(|origin| Pool {
            idle: VecDeque::new(),
            closed: VecDeque::new(),
            waiting: VecDeque::new(),
            under_way: VecDeque::new(),
            address: 0,
            mix: Mix::new(&plan.targets.targets, |target| target.origin == origin),
            connected: 0,
            refusal: None,
        });
        let mut times = Xoshiro256PlusPlus::seed_from_u64(plan.seed);
        let mut random = times.clone();
        random.jump();
        let arrivals = plan.arrivals.as_ref();
        Ok(Self {
            ring,
            plan,
            counts,
            connections: connections.collect(),
            pools: pools.collect(),
            mix: Mix::new(&plan.targets.targets, |_| true),
            random,
            times: arrivals.map(|arrivals| arrivals.times(move || times.random())),
            next_due_ns: None,
            scheduled: 0,
            start_ns: 0,
            leaving: Vec::new(),
            books: Books::new(plan),
        })
    }

    /// Opens every connection before the first request is due, so that its connect is not part of the measurement.
    fn open_all(&mut self, stop: &AtomicBool) -> Result<(), LoadError> {
        let deadline_ns = self.ring.now_ns() + self.plan.timeout_ns;
        for slot in 0..self.connections.len() {
            self.open(slot);
        }
        let connecting = |load: &Self| {
            let mut connections = load.connections.iter();
            connections
                .any(|connection| matches!(connection.state, State::Connecting | State::Closing))
        };
        let mut late = false;
        while connecting(self) && !stop.load(Ordering::Relaxed) {
            self.ring.wait(WAIT_MAX)?;
            self.handle_completions(usize::MAX);
            if !late && self.ring.now_ns() > deadline_ns {
                late = true;
                for slot in 0..self.connections.len() {
                    if self.connections[slot].state == State::Connecting {
                        let origin = self.connections[slot].origin;
                        self.pools[origin].refusal = Some(libc::ETIMEDOUT);
                        self.shut(slot, deadline_ns, None);
                    }
                }
            }
        }
        for (origin, pool) in self.plan.targets.origins.iter().zip(&self.pools) {
            if let (0, Some(errno)) = (pool.connected, pool.refusal) {
                return Err(LoadError::Unreachable {
                    authority: origin.authority.clone(),
                    error: io::Error::from_raw_os_error(errno),
                });
            }
        }
        Ok(())
    }

    fn start(&mut self, intervals: Option<Sender<Interval>>) {
        self.start_ns = self.ring.now_ns();
        self.books.start(self.start_ns, intervals);
        self.next_due();
    }

    fn drive(&mut self, stop: &AtomicBool) -> io::Result<()> {
        while !stop.load(Ordering::Relaxed) {
            let now_ns = self.ring.now_ns();
            self.give_up(now_ns);
            self.release(now_ns);
            self.dispatch();
            if self.is_over(now_ns) {
                return Ok(());
            }
            self.depart();
            self.wait()?;
            self.handle_completions(COMPLETIONS_PER_TURN);
            let waiting = self.pools.iter().map(|pool| pool.waiting.len()).sum();
            self.counts.show(&self.books, waiting);
        }
        self.abandon();
        Ok(())
    }

    /// What the ring is asked for leaves this thread with the next submission.
    fn depart(&mut self) {
        let now_ns = self.ring.now_ns();
        for (slot, is_first) in self.leaving.drain(..) {
            let connection = &mut self.connections[slot];
            connection.sent_ns = now_ns;
            if let (true, Some(request)) = (is_first, connection.request) {
                self.books
                    .departed(request, connection.free_since_ns, now_ns);
            }
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        if self.ring.has_completions() {
            return self.ring.submit();
        }
        let now_ns = self.ring.now_ns();
        let mut until_ns = now_ns + WAIT_MAX.as_nanos() as u64;
        for pool in &self.pools {
            let given_up = pool
                .under_way
                .front()
                .map(|(deadline_ns, _, _)| *deadline_ns);
            let too_late = pool
                .waiting
                .front()
                .map(|request| request.intended_ns + self.plan.timeout_ns);
            until_ns = until_ns
                .min(given_up.unwrap_or(u64::MAX))
                .min(too_late.unwrap_or(u64::MAX));
        }
        if let Some(due_ns) = self.next_due_ns {
            until_ns = until_ns.min(due_ns.saturating_sub(self.plan.spin_ns));
        }
        match until_ns.checked_sub(now_ns) {
            Some(wait_ns @ 1..) => self.ring.wait(Duration::from_nanos(wait_ns)),
            _ => {
                std::hint::spin_loop();
                self.ring.submit()
            }
        }
    }

    /// The schedule's next request; none at its end.
    fn next_due(&mut self) {
        let end_ns = self.plan.duration_ns;
        let more = self.scheduled < self.plan.requests_max;
        let next = self
            .times
            .as_mut()
            .filter(|_| more)
            .and_then(Iterator::next);
        self.next_due_ns = next
            .filter(|at_ns| *at_ns < end_ns)
            .map(|at_ns| self.start_ns + at_ns);
        self.scheduled += u64::from(self.next_due_ns.is_some());
    }

    /// Queues what is due: by the schedule, or, in a closed loop, as much as there are free connections.
    fn release(&mut self, now_ns: u64) {
        while let Some(intended_ns) = self.next_due_ns.filter(|due_ns| *due_ns <= now_ns) {
            let target = match &self.plan.sequence {
                // The next one has been counted already.
                Some(sequence) => sequence[self.scheduled as usize - 1] as usize,
                None => self.mix.choose(self.random.random()),
            };
            let origin = self.plan.targets.targets[target].origin;
            self.pools[origin].waiting.push_back(Request {
                target,
                intended_ns,
            });
            self.next_due();
        }
        if self.times.is_some() || now_ns >= self.start_ns + self.plan.duration_ns {
            return;
        }
        for pool in &mut self.pools {
            for _ in 0..pool.idle.len() + pool.closed.len() {
                if self.scheduled < self.plan.requests_max {
                    self.scheduled += 1;
                    let target = pool.mix.choose(self.random.random());
                    pool.waiting.push_back(Request {
                        target,
                        intended_ns: now_ns,
                    });
                }
            }
        }
    }

    /// Gives requests to free connections, those that are open first.
    fn dispatch(&mut self) {
        for origin in 0..self.pools.len() {
            while !self.pools[origin].waiting.is_empty() {
                let pool = &mut self.pools[origin];
                let Some(slot) = pool.idle.pop_front().or_else(|| pool.closed.pop_front()) else {
                    break;
                };
                let Some(request) = pool.waiting.pop_front() else {
                    break;
                };
                let connection = &mut self.connections[slot];
                connection.serial += 1;
                connection.request = Some(request);
                let deadline_ns = request.intended_ns + self.plan.timeout_ns;
                pool.under_way
                    .push_back((deadline_ns, slot, connection.serial));
                match connection.state {
                    State::Idle => self.send(slot),
                    _ => self.open(slot),
                }
                if self.connections[slot].request.is_some() {
                    self.leaving.push((slot, true));
                }
            }
        }
    }

    /// Ends what has taken too long.
    fn give_up(&mut self, now_ns: u64) {
        for origin in 0..self.pools.len() {
            loop {
                let pool = &mut self.pools[origin];
                let Some(&(deadline_ns, slot, serial)) = pool.under_way.front() else {
                    break;
                };
                let connection = &self.connections[slot];
                let is_over = connection.serial != serial || connection.request.is_none();
                if !is_over && deadline_ns > now_ns {
                    break;
                }
                if !is_over && self.ring.has_completions() {
                    // Its answer may be among them: a generator that is late itself is not to call it a timeout.
                    self.handle_completions(usize::MAX);
                    continue;
                }
                pool.under_way.pop_front();
                if !is_over {
                    self.shut(slot, now_ns, Some(Failure::Timeout));
                }
            }
            let pool = &mut self.pools[origin];
            let timeout_ns = self.plan.timeout_ns;
            let too_late = |request: &Request| request.intended_ns + timeout_ns <= now_ns;
            while let Some(request) = pool.waiting.pop_front_if(|request| too_late(request)) {
                self.books.never_sent(request, now_ns);
            }
        }
    }

    fn is_over(&self, now_ns: u64) -> bool {
        let scheduled = match &self.times {
            Some(_) => self.next_due_ns.is_none(),
            None => {
                now_ns >= self.start_ns + self.plan.duration_ns
                    || self.scheduled >= self.plan.requests_max
            }
        };
        let mut connections = self.connections.iter();
        scheduled
            && self.pools.iter().all(|pool| pool.waiting.is_empty())
            && connections.all(|connection| connection.request.is_none())
    }

    /// Books what is neither answered nor given up at an interruption.
    fn abandon(&mut self) {
        let now_ns = self.ring.now_ns();
        for slot in 0..self.connections.len() {
            if self.connections[slot].request.is_some() {
                self.shut(slot, now_ns, Some(Failure::Unanswered));
            }
        }
        for pool in &mut self.pools {
            for request in pool.waiting.drain(..) {
                self.books.never_sent(request, now_ns);
            }
        }
    }

    fn handle_completions(&mut self, most: usize) {
        for _ in 0..most {
            let Some(Completion { slot, at_ns, what }) = self.ring.next() else {
                break;
            };
            self.connections[slot].operations -= 1;
            match what {
                Done::Connected(result) => self.connected(slot, result, at_ns),
                Done::Sent(result) => self.sent(slot, result),
                Done::Received(buffer, result) => {
                    self.connections[slot].buffer = buffer;
                    self.received(slot, result, at_ns);
                }
            }
            if self.connections[slot].state == State::Closing {
                self.close_if_done(slot, at_ns);
            }
        }
    }
}
