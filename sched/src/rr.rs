//! Round robin: each ready task runs for a quantum and goes to the back of the queue.
//!
//! Kleinrock, "Analysis of a Time-Shared Processor" (Naval Research Logistics Quarterly 1964) and "Time-shared Systems:
//! a theoretical treatment" (JACM 1967). As the quantum shrinks it becomes processor sharing, whose mean sojourn of a
//! request of size x is x/(1−ρ) whatever the distribution of sizes; as it grows it becomes FIFO. Every interruption
//! costs, so the quantum trades the wait of the short against work thrown away.
//!
//! Arrivals, woken tasks, and those that yielded or were interrupted all go to the back, in the order in which that
//! happened. A task that is alone is not interrupted: the timer is armed only if somebody waits or comes.

use crate::list::SlotList;
use crate::policy::{Arrivals, Event, Nanos, Policy, Slice};
use crate::scheduler::Params;

/// See the module's text.
#[derive(Debug)]
pub struct RoundRobin {
    ready: SlotList,
    params: Params,
}

impl RoundRobin {
    /// The name in the table of schedulers.
    pub const NAME: &str = "rr";

    /// An empty queue.
    ///
    /// # Panics
    ///
    /// If the quantum is 0: nobody would ever get on.
    #[must_use]
    pub fn new(params: &Params) -> Self {
        assert!(params.quantum_ns > 0, "a quantum of 0 ns");
        Self {
            ready: SlotList::default(),
            params: *params,
        }
    }
}

impl Policy for RoundRobin {
    fn observe(&mut self, _now: Nanos, event: &Event) {
        match *event {
            Event::Arrived(task) => self.ready.push_back(task.id),
            Event::Woken(task) | Event::Yielded { task, .. } | Event::Preempted { task, .. } => {
                self.ready.push_back(task);
            }
            Event::Blocked { .. } => {}
            Event::Finished { task, .. } => {
                self.ready.remove(task);
            }
        }
    }

    fn next(&mut self, _now: Nanos) -> Option<Slice> {
        let task = self.ready.pop_front()?;
        if !self.params.preemption {
            return Some(Slice::to_completion(task));
        }
        Some(Slice {
            task,
            quantum_ns: Some(self.params.quantum_ns),
            contended: !self.ready.is_empty(),
            turn_ns: self.params.quantum_ns,
            preempted_by: Arrivals::Anybody,
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
