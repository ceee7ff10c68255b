//! What a worker does where workers steal: its policy chooses among requests that lie on its shelf, and when it has
//! nothing to do it takes one from another worker's.
//!
//! A task stands in the worker's table as soon as its request was seen, without it: see [`Shelf`]. If another worker has
//! taken the request, the task is over when it is picked.

use super::WorkerThread;
use crate::server::link::Inlet;
use crate::server::seams::{Clock, Guest};
use crate::server::shelves::Shelf;
use crate::worker::{Arrival, SliceEnd};
use listener::{ConnectionKey, Exchange};
use sched::{Dispatch, DispatchParams, Dispatcher, Load, Nanos, TaskId};

/// How it chooses from whom.
pub(super) struct Thief {
    dispatch: Box<dyn Dispatch + Send>,
    /// Scratch: what lies on the shelves of the others.
    loads: Vec<Load>,
    /// Scratch: what it has just seen.
    seen: Vec<Seen>,
}

/// What is to be known of a request on the shelf.
struct Seen {
    arrival: Arrival,
    request: u64,
    connection: ConnectionKey,
}

impl Thief {
    pub fn new(dispatcher: &Dispatcher) -> Thief {
        Thief {
            dispatch: (dispatcher.build)(&DispatchParams::default()),
            loads: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// Takes a request that another worker has not begun; which worker.
    fn steal(&mut self, shelf: &Shelf) -> Option<(usize, Box<Exchange>)> {
        loop {
            let loads = shelf.elsewhere().map(|queued| Load {
                queued,
                ..Load::default()
            });
            self.loads.clear();
            self.loads.extend(loads);
            let victim = self.dispatch.steal(shelf.worker(), &self.loads)?;
            // Or somebody else was quicker.
            if let Some(exchange) = shelf.steal(victim) {
                return Some((victim, exchange));
            }
        }
    }
}

impl<G: Guest, C: Clock> WorkerThread<G, C> {
    /// Takes in what has come onto the shelf, and ends what nobody waits for.
    pub(super) fn look_at_shelf(&mut self, now: Nanos) {
        let (Inlet::Shelf(shelf), Some(thief)) = (&self.inbox.requests, &mut self.thief) else {
            return;
        };
        let free = self.worker.free_slots();
        if free > 0 && shelf.has_fresh() {
            let mut seen = std::mem::take(&mut thief.seen);
            let routes = &self.routes;
            shelf.look(free, |exchange| {
                seen.push(Seen {
                    arrival: routes.route(exchange.route).arrival(exchange),
                    request: exchange.request_id,
                    connection: exchange.connection,
                });
            });
            for seen in seen.drain(..) {
                self.enter(now, seen.arrival, (seen.request, seen.connection), None);
            }
            self.thief.as_mut().expect("it is one").seen = seen;
        }
        self.end_abandoned(now);
    }

    fn end_abandoned(&mut self, now: Nanos) {
        let Inlet::Shelf(shelf) = &self.inbox.requests else {
            return;
        };
        if !shelf.take_notice() {
            return;
        }
        for exchange in shelf.take_abandoned() {
            // One that was not seen is no task.
            let mut asked = self.asked.iter().flatten();
            let known = asked.find(|asked| asked.request == exchange.request_id);
            if let Some(key) = known.map(|asked| asked.key) {
                self.asked[key.id.index()] = None;
                // Its request is not in the table.
                drop(self.worker.cancel(now, key));
            }
            self.give_back(now, exchange);
        }
        for slot in 0..self.asked.len() {
            if let Some(asked) = self.asked[slot]
                && let Some(exchange) = self.worker.job_mut(asked.key.id)
                && exchange.is_abandoned()
            {
                self.cancel_task(now, asked);
            }
        }
    }

    /// A worker without anything to do takes a request from another one; whether it has.
    pub(super) fn steal(&mut self, now: Nanos) -> bool {
        let (Inlet::Shelf(shelf), Some(thief)) = (&self.inbox.requests, &mut self.thief) else {
            return false;
        };
        if self.worker.free_slots() == 0 {
            return false;
        }
        let Some((victim, mut exchange)) = thief.steal(shelf) else {
            return false;
        };
        exchange.worker = shelf.worker() as u16;
        self.settings.metrics.stolen_from[victim].increment();
        self.admit(now, exchange);
        true
    }

    /// Sees to it that the request of a task that is to run for the first time is here. `false`: the task is over.
    pub(super) fn fetch(&mut self, now: Nanos, task: TaskId) -> bool {
        let Inlet::Shelf(shelf) = &self.inbox.requests else {
            return true;
        };
        if self.worker.job_mut(task).is_some() {
            return true;
        }
        let asked = self.asked[task.index()].expect("somebody has asked for what runs");
        let claimed = shelf.claim(asked.sequence);
        match claimed {
            Some(mut exchange) if !exchange.is_abandoned() => {
                self.taken(now, &mut exchange);
                *self.worker.job_mut(task) = Some(exchange);
                true
            }
            claimed => {
                self.asked[task.index()] = None;
                // Its request is not in the table.
                drop(self.worker.ended(now, SliceEnd::Finished));
                if let Some(exchange) = claimed {
                    self.give_back(now, exchange);
                }
                false
            }
        }
    }
}
