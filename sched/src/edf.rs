//! Earliest deadline first: of all ready tasks, the one whose deadline comes first runs.
//!
//! Liu & Layland, "Scheduling Algorithms for Multiprogramming in a Hard-Real-Time Environment" (JACM 1973); Horn, "Some
//! Simple Scheduling Algorithms" (1974). With preemption it is optimal on one processor: if any policy meets all
//! deadlines, it does, and it minimises the largest lateness. Under overload it is not: deadlines already lost are
//! served first and drag the others after them, so it wants admission in front.
//!
//! The deadline is the caller's, as a rule arrival plus what the route allows; `u64::MAX` is none, and comes last.
//! Ties go by arrival, so with equal relative deadlines this is FIFO. A task that yields lets those of an equal
//! deadline go first. Those who wait have later deadlines than the one who runs, so the timer is never armed at the
//! start of a slice, and during it only for an arrival with an earlier deadline; the quantum is how long a task is left
//! in peace even then, which bounds the rate of interruptions.

use crate::policy::{Arrivals, Event, Nanos, Policy, Slice};
use crate::ranked::Ranked;
use crate::scheduler::Params;

/// See the module's text.
#[derive(Debug)]
pub struct Edf {
    ready: Ranked,
    params: Params,
}

impl Edf {
    /// The name in the table of schedulers.
    pub const NAME: &str = "edf";

    /// An empty queue.
    #[must_use]
    pub fn new(params: &Params) -> Self {
        Self {
            ready: Ranked::default(),
            params: *params,
        }
    }
}

impl Policy for Edf {
    fn observe(&mut self, _now: Nanos, event: &Event) {
        self.ready.observe(event, |task| task.deadline_ns);
    }

    fn next(&mut self, _now: Nanos) -> Option<Slice> {
        let (task, place) = self.ready.pop()?;
        if !self.params.preemption {
            return Some(Slice::to_completion(task));
        }
        Some(Slice {
            task,
            quantum_ns: Some(self.params.quantum_ns),
            contended: false,
            turn_ns: self.params.quantum_ns,
            preempted_by: Arrivals::DeadlineBefore(place.rank),
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
}
