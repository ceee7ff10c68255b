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
//! either side always finds room; a full ring would be our bug, not a load.

use super::park::{Asleep, Parker};
use super::seams::Interrupt;
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
    requests: Producer<Box<Exchange>>,
    abandoned: Producer<ConnectionKey>,
    answers: Consumer<Box<Exchange>>,
    starts: Consumer<Start>,
    parker: Arc<Parker>,
    alarm: Arc<dyn Interrupt>,
    outstanding: u32,
    outstanding_max: u32,
    /// What is expected of those outstanding, in nanoseconds.
    work_ns: u64,
}

/// The worker's end.
pub struct Inbox {
    pub(crate) requests: Consumer<Box<Exchange>>,
    pub(crate) abandoned: Consumer<ConnectionKey>,
    pub(crate) starts: Producer<Start>,
    pub(crate) outbox: Outbox,
    pub(crate) parker: Arc<Parker>,
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
    requests: Producer<Box<Exchange>>,
    abandoned: Producer<ConnectionKey>,
    answers: Consumer<Box<Exchange>>,
    starts: Consumer<Start>,
    parker: Arc<Parker>,
    outstanding_max: u32,
}

/// Makes a worker's rings, each with room for all the requests that it may have.
pub fn link(outstanding_max: u32, listener: Arc<ListenerSleep>) -> (PendingLink, Inbox) {
    let parker = Arc::new(Parker::default());
    let slots = outstanding_max as usize;
    let (requests, requests_out) = RingBuffer::new(slots);
    let (answers_in, answers) = RingBuffer::new(slots);
    // A client may go while its answer is on its way; its successor in the count may go too.
    let (abandoned, abandoned_out) = RingBuffer::new(slots * 2);
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
    };
    let pending = PendingLink {
        requests,
        abandoned,
        answers,
        starts,
        parker,
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
            outstanding_max: self.outstanding_max,
        }
    }
}

impl WorkerLink {
    /// Requests given and not yet answered.
    pub fn load(&self) -> sched::Load {
        sched::Load {
            outstanding: self.outstanding,
            full: self.outstanding >= self.outstanding_max,
            work_ns: self.work_ns,
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
        self.requests
            .push(exchange)
            .expect("the ring has room for all outstanding requests");
        self.alarm.arrival(rank);
        self.parker.wake();
    }

    /// Tells the worker that a client has gone.
    pub fn abandon(&mut self, connection: ConnectionKey) {
        self.abandoned
            .push(connection)
            .expect("the ring has room for two for every outstanding request");
        self.alarm.cancel();
        self.parker.wake();
    }

    /// The next answer.
    pub fn completed(&mut self) -> Option<Box<Exchange>> {
        let exchange = self.answers.pop().ok()?;
        self.outstanding -= 1;
        self.work_ns = self.work_ns.saturating_sub(exchange.expected_ns);
        Some(exchange)
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
    /// Whether there is nothing to take in.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.abandoned.is_empty()
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
