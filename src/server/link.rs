//! The rings between the listener and one worker, both ends.
//!
//! ```text
//!   listener ── requests ──►  worker      one pointer each; as many slots as the worker may have requests
//!            ── abandoned ─►              names of clients that went away
//!            ◄── answers ───
//!            ◄── starts ────               who has begun, if admission wants to know at once
//! ```
//!
//! The listener counts what each worker owes it and never exceeds the worker's limit, so that a push of
//! either side always finds room; a full ring would be our bug, not a load. Where workers steal, shelves ([`Shelf`]) are
//! in place of the rings of requests and of clients that went away: anybody may have their requests.

use super::park::{Asleep, Parker};
use super::seams::Interrupt;
use super::shelves::Shelf;
use listener::{Bell, ConnectionKey, Exchange};
use rtrb::{Consumer, Producer, RingBuffer};
use sandbox::Watcher;
use sched::Nanos;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// How the listener sleeps, and who may wake it.
#[derive(Debug, Default)]
pub struct ListenerSleep {
    pub(crate) asleep: Asleep,
    /// Set once, when the ring is made.
    pub(crate) bell: OnceLock<Bell>,
    /// When it wakes up by itself to end slices; `u64::MAX`: not for that. Set before it falls asleep.
    pub(crate) until_ns: AtomicU64,
}

impl ListenerSleep {
    /// Wakes the listener if it sleeps.
    pub fn wake(&self) {
        if self.asleep.must_wake()
            && let Some(bell) = self.bell.get()
        {
            bell.ring();
        }
    }
}

/// The listener ends slices of workers without timers: whose slice is over earlier than it will be awake must
/// wake it. Async-signal-safe: atomics, and a write to the bell.
impl Watcher for ListenerSleep {
    fn armed(&self, at_ns: Nanos) {
        if at_ns < self.until_ns.load(Ordering::SeqCst) {
            self.wake();
        }
    }
}

/// The listener's end.
pub struct WorkerLink {
    requests: Outlet,
    abandoned: Producer<ConnectionKey>,
    answers: Consumer<Box<Exchange>>,
    starts: Consumer<Start>,
    parker: Arc<Parker>,
    alarm: Arc<dyn Interrupt>,
    outstanding: u32,
    outstanding_max: u32,
    /// What is expected of those outstanding, in nanoseconds.
    work_ns: u64,
    bar: Arc<AtomicU64>,
}

/// Where requests are put for a worker.
enum Outlet {
    Ring(Producer<Box<Exchange>>),
    Shelf(Shelf),
}

/// Where a worker takes requests from.
pub(crate) enum Inlet {
    Ring(Consumer<Box<Exchange>>),
    Shelf(Shelf),
}

/// The worker's end.
pub struct Inbox {
    pub(crate) requests: Inlet,
    pub(crate) abandoned: Consumer<ConnectionKey>,
    pub(crate) starts: Producer<Start>,
    pub(crate) outbox: Outbox,
    pub(crate) parker: Arc<Parker>,
    /// Below which rank a request would have what runs timed, for who chooses a worker by it; see
    /// [`sched::Timing::bar`].
    pub(crate) bar: Arc<AtomicU64>,
}

/// A request has begun to execute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// Its ticket and its sequence, which name it for ever.
    pub ticket: u32,
    pub sequence: u64,
    /// When.
    pub at_ns: Nanos,
}

/// Where a worker puts answers.
pub struct Outbox {
    answers: Producer<Box<Exchange>>,
    listener: Arc<ListenerSleep>,
    announced: bool,
}

/// The listener's end before the worker has said by what it can be interrupted.
pub struct PendingLink {
    requests: Outlet,
    abandoned: Producer<ConnectionKey>,
    answers: Consumer<Box<Exchange>>,
    starts: Consumer<Start>,
    parker: Arc<Parker>,
    bar: Arc<AtomicU64>,
    outstanding_max: u32,
}

/// Makes a worker's rings, each with room for all the requests that it may have. Where workers steal, with its shelf;
/// then it may have those of all.
pub fn link(
    outstanding_max: u32,
    listener: Arc<ListenerSleep>,
    shelf: Option<Shelf>,
) -> (PendingLink, Inbox) {
    let bar = Arc::new(AtomicU64::new(u64::MAX));
    let workers = shelf.as_ref().map_or(1, Shelf::workers);
    let slots = outstanding_max as usize * workers;
    // A client may go while its answer is on its way; its successor in the count may go too. Notices are on shelves.
    let abandoned_slots = if shelf.is_some() { 1 } else { slots * 2 };
    let (parker, requests, requests_out) = match shelf {
        Some(shelf) => {
            let outlet = Outlet::Shelf(shelf.clone());
            (shelf.parker(), outlet, Inlet::Shelf(shelf))
        }
        None => {
            let (requests, requests_out) = RingBuffer::new(slots);
            let (outlet, inlet) = (Outlet::Ring(requests), Inlet::Ring(requests_out));
            (Arc::new(Parker::default()), outlet, inlet)
        }
    };
    let (answers_in, answers) = RingBuffer::new(slots);
    let (abandoned, abandoned_out) = RingBuffer::new(abandoned_slots);
    // All may have begun that are outstanding, and the last one back be there before the word that it began.
    let (starts_in, starts) = RingBuffer::new(slots * 2);
    let outbox = Outbox {
        answers: answers_in,
        listener,
        announced: true,
    };
    let inbox = Inbox {
        requests: requests_out,
        abandoned: abandoned_out,
        starts: starts_in,
        outbox,
        parker: parker.clone(),
        bar: bar.clone(),
    };
    let pending = PendingLink {
        requests,
        abandoned,
        answers,
        starts,
        parker,
        bar,
        outstanding_max,
    };
    (pending, inbox)
}

impl PendingLink {
    /// The link, `alarm` being what interrupts the worker.
    pub fn complete(self, alarm: Arc<dyn Interrupt>) -> WorkerLink {
        WorkerLink {
            requests: self.requests,
            abandoned: self.abandoned,
            answers: self.answers,
            starts: self.starts,
            parker: self.parker,
            alarm,
            outstanding: 0,
            work_ns: 0,
            bar: self.bar,
            outstanding_max: self.outstanding_max,
        }
    }
}

impl WorkerLink {
    /// Requests given and not yet answered; and what runs, if that is to be looked at: the worker's line of memory.
    pub fn load(&self, sees_slices: bool) -> sched::Load {
        let bar = match sees_slices {
            true => self.bar.load(Ordering::Relaxed),
            false => 0,
        };
        sched::Load {
            outstanding: self.outstanding,
            full: self.outstanding >= self.outstanding_max,
            work_ns: self.work_ns,
            preempted_by: sched::Arrivals::below(bar),
            ..sched::Load::default()
        }
    }

    /// Gives a request to the worker, whose policy ranks it so.
    ///
    /// # Panics
    ///
    /// If [`WorkerLink::load`] said that it is full.
    pub fn submit(&mut self, exchange: Box<Exchange>, rank: u64) {
        assert!(
            self.outstanding < self.outstanding_max,
            "the dispatcher chooses no full worker"
        );
        self.outstanding += 1;
        self.work_ns = self.work_ns.saturating_add(exchange.expected_ns);
        match &mut self.requests {
            Outlet::Ring(requests) => {
                requests
                    .push(exchange)
                    .expect("the ring has room for all outstanding requests");
                self.alarm.arrival(rank);
                self.parker.wake();
            }
            Outlet::Shelf(shelf) => {
                shelf.put(exchange);
                self.alarm.arrival(rank);
            }
        }
    }

    /// For who looks at what runs: a request of this rank was given, and is to be beaten until the worker says what runs.
    pub fn lower_bar(&self, rank: u64) {
        self.bar.fetch_min(rank, Ordering::Relaxed);
    }

    /// Tells the worker that a client has gone.
    pub fn abandon(&mut self, connection: ConnectionKey) {
        match &mut self.requests {
            Outlet::Ring(_) => self
                .abandoned
                .push(connection)
                .expect("the ring has room for two for every outstanding request"),
            Outlet::Shelf(shelf) => shelf.leave_notice(),
        }
        self.alarm.cancel();
        self.parker.wake();
    }

    /// The next answer.
    pub fn completed(&mut self) -> Option<Box<Exchange>> {
        self.answers.pop().ok()
    }

    /// A request that was given to the worker has come back, from whomever.
    pub fn returned(&mut self, exchange: &Exchange) {
        self.outstanding -= 1;
        self.work_ns = self.work_ns.saturating_sub(exchange.expected_ns);
    }

    /// The earliest start that was not taken.
    pub(crate) fn next_start(&self) -> Option<Start> {
        self.starts.peek().ok().copied()
    }

    /// Takes it.
    pub(crate) fn take_start(&mut self) -> Option<Start> {
        self.starts.pop().ok()
    }

    /// Whether an answer lies in the ring.
    pub fn has_completed(&self) -> bool {
        !self.answers.is_empty()
    }

    /// What interrupts the worker.
    pub fn alarm(&self) -> Arc<dyn Interrupt> {
        self.alarm.clone()
    }

    /// Ends the worker's slice if it is over; says when to look again.
    pub fn expire_if_due(&self, now: Nanos) -> Nanos {
        self.alarm.expire_if_due(now)
    }

    /// Wakes the worker and ends its slice, so that it sees that it shall stop.
    pub fn interrupt(&self) {
        self.alarm.cancel();
        self.parker.wake();
    }
}

impl Inbox {
    /// Whether requests have come that were not taken in.
    pub(crate) fn has_requests(&self) -> bool {
        match &self.requests {
            Inlet::Ring(requests) => !requests.is_empty(),
            Inlet::Shelf(shelf) => shelf.has_fresh(),
        }
    }

    /// Whether clients have gone of which that was not taken in.
    pub(crate) fn has_abandoned(&self) -> bool {
        match &self.requests {
            Inlet::Ring(_) => !self.abandoned.is_empty(),
            Inlet::Shelf(shelf) => shelf.has_notice(),
        }
    }

    /// The worker has something to do: where there are shelves, somebody else may take what lies there.
    pub(crate) fn busy(&self) {
        if let Inlet::Shelf(shelf) = &self.requests {
            shelf.set_open(false);
            shelf.offer();
        }
    }

    /// It has nothing to do, and room for more or not.
    pub(crate) fn idle(&self, has_room: bool) {
        self.bar.store(u64::MAX, Ordering::Relaxed);
        if let Inlet::Shelf(shelf) = &self.requests {
            shelf.set_open(has_room);
        }
    }

    /// Whether there is something that could be taken from another worker.
    pub(crate) fn can_steal(&self) -> bool {
        match &self.requests {
            Inlet::Ring(_) => false,
            Inlet::Shelf(shelf) => shelf.elsewhere().any(|queued| queued > 0),
        }
    }

    /// Whether there is nothing to take in.
    pub fn is_empty(&self) -> bool {
        !self.has_requests() && !self.has_abandoned()
    }
}

impl Outbox {
    /// Gives an answer to the listener.
    pub(crate) fn push(&mut self, exchange: Box<Exchange>) {
        self.announced = false;
        self.answers
            .push(exchange)
            .expect("the ring has room for all outstanding requests");
    }

    /// Wakes the listener if it sleeps and there are answers that it was not told of. To be called before
    /// anything that may take long.
    pub(crate) fn announce(&mut self) {
        if !std::mem::replace(&mut self.announced, true) {
            self.listener.wake();
        }
    }
}
