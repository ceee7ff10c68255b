//! Multi-tenant demand bounds: a request is guaranteed if its tenant's reservation can carry it, and best effort if not.
//!
//! Reservations are checked when they are loaded, by the demand bound ([`crate::demand::check`]; Baruah, Rosier & Howell
//! 1990). When a request arrives, its tenant's reservation promises it a server deadline or does not
//! ([`crate::demand::Bandwidth`]; Abeni & Buttazzo 1998). Promised requests are guaranteed: they run by their server
//! deadlines, before all others, and are in time on this worker however many others there are, provided that their
//! estimates hold and but for one quantum. All others are best effort, by their own deadlines below. The third class of
//! SLEdge's demand-bound scheme, denial, is never seen by a worker: it is [`crate::admission`]'s, before a request gets here.
//!
//! A guaranteed task that has executed for as long as was expected has had what it was promised; the rest of it is best
//! effort, so that a wrong estimate costs its own tenant and nobody else. Tasks of unknown size, of tenants without a
//! reservation, and those whose deadline is too near are best effort from the start. The best effort may starve.
//!
//! Ties go by arrival. A newcomer's server deadline is not known before it is here, so while there are reservations any
//! newcomer interrupts after the quantum; one that does not win leaves the one who ran where it was, in front.

use alloc::vec::Vec;

use crate::demand::{self, Bandwidth};
use crate::heap::SlotHeap;
use crate::policy::{Arrivals, Event, Nanos, Policy, Slice, Task, TaskId};
use crate::ranked::{Place, Places};
use crate::scheduler::Params;
use crate::tenant::Tenant;

/// See the module's text.
#[derive(Debug)]
pub struct Mtdbf {
    /// Best effort or not, then by server deadline or deadline.
    ready: SlotHeap<(Class, Place)>,
    places: Places,
    /// By slot.
    claims: Vec<Claim>,
    /// By tenant; `None` without a reservation.
    bandwidths: Vec<Option<Bandwidth>>,
    /// There are any, or were.
    has_reservations: bool,
    params: Params,
}

/// The classes, the first to be served first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Guaranteed,
    #[default]
    BestEffort,
}

#[derive(Clone, Copy, Debug, Default)]
struct Claim {
    class: Class,
    /// What it may still execute as guaranteed.
    left_ns: Nanos,
    deadline_ns: Nanos,
}

impl Mtdbf {
    /// The name in the table of schedulers.
    pub const NAME: &str = "mtdbf";

    /// An empty queue, and no reservations.
    #[must_use]
    pub fn new(params: &Params) -> Self {
        Self {
            ready: SlotHeap::default(),
            places: Places::default(),
            claims: Vec::new(),
            bandwidths: Vec::new(),
            has_reservations: false,
            params: *params,
        }
    }

    fn arrived(&mut self, now: Nanos, task: &Task) {
        let bandwidth = self.bandwidths.get_mut(usize::from(task.tenant));
        let promise = bandwidth
            .and_then(Option::as_mut)
            .and_then(|bandwidth| bandwidth.promise(now, task.expected_ns, task.deadline_ns));
        let (class, rank) = match promise {
            Some(due_ns) => (Class::Guaranteed, due_ns),
            None => (Class::BestEffort, task.deadline_ns),
        };
        let slot = task.id.index();
        if slot >= self.claims.len() {
            self.claims.resize(slot + 1, Claim::default());
        }
        self.claims[slot] = Claim {
            class,
            left_ns: task.expected_ns,
            deadline_ns: task.deadline_ns,
        };
        self.places.arrive(task, rank);
        self.enqueue(task.id);
    }

    fn enqueue(&mut self, task: TaskId) {
        let class = self.claims[task.index()].class;
        self.ready.push(task, (class, self.places.of(task)));
    }

    fn ran(&mut self, task: TaskId, ran_ns: Nanos) {
        let claim = &mut self.claims[task.index()];
        if claim.class == Class::BestEffort {
            return;
        }
        claim.left_ns = claim.left_ns.saturating_sub(ran_ns);
        if claim.left_ns == 0 {
            claim.class = Class::BestEffort;
            self.places.set_rank(task, claim.deadline_ns);
        }
    }
}

impl Policy for Mtdbf {
    fn observe(&mut self, now: Nanos, event: &Event) {
        match *event {
            Event::Arrived(task) => self.arrived(now, &task),
            Event::Woken(task) => self.enqueue(task),
            Event::Blocked { task, ran_ns } => self.ran(task, ran_ns),
            Event::Yielded { task, ran_ns } => {
                self.ran(task, ran_ns);
                self.places.step_back(task);
                self.enqueue(task);
            }
            Event::Preempted { task, ran_ns } => {
                self.ran(task, ran_ns);
                self.enqueue(task);
            }
            Event::Finished { task, .. } => {
                self.ready.remove(task);
            }
        }
    }

    fn next(&mut self, _now: Nanos) -> Option<Slice> {
        let (task, (class, place)) = self.ready.pop()?;
        if !self.params.preemption {
            return Some(Slice::to_completion(task));
        }
        let Params { quantum_ns, .. } = self.params;
        let is_guaranteed = class == Class::Guaranteed;
        Some(Slice {
            task,
            quantum_ns: Some(quantum_ns),
            contended: is_guaranteed && !self.ready.is_empty(),
            turn_ns: self.claims[task.index()].left_ns.max(quantum_ns),
            preempted_by: match self.has_reservations || is_guaranteed {
                true => Arrivals::Anybody,
                false => Arrivals::DeadlineBefore(place.rank),
            },
        })
    }

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn waiting(&self) -> usize {
        self.ready.len()
    }

    fn steps(&self) -> u64 {
        self.ready.steps()
    }

    fn set_tenants(&mut self, _now: Nanos, tenants: &[Tenant]) {
        demand::check(tenants).expect("whoever read the configuration has checked it");
        let reservations = tenants.iter().map(|tenant| tenant.reservation);
        self.bandwidths.resize(tenants.len(), None);
        for (bandwidth, reservation) in self.bandwidths.iter_mut().zip(reservations) {
            // What was promised stays promised where the reservation is the same.
            if bandwidth.map(|bandwidth| bandwidth.reservation()) != reservation {
                *bandwidth = reservation.map(Bandwidth::new);
            }
        }
        // Not taken back: who was guaranteed before stays so, and may be woken later.
        self.has_reservations |= self.bandwidths.iter().any(Option::is_some);
    }
}
