//! Preemptive FIFO: of all ready tasks the one that arrived first runs, even if it becomes ready while a later one runs.
//!
//! FIFO with preemptive resume, which is priority by age. Newcomers are the youngest and interrupt nobody. What may
//! interrupt is a task that waited for something (a timer, a file, an answer) and is woken: it goes on at once, before
//! everybody who came after it, so that its sandbox is closed as early as it can be. Where no task ever waits this is
//! FIFO, and has its waiting times (Pollaczek and Khinchine, see [`crate::fifo`]); to share the processor among tasks
//! that do not wait, there is [`crate::rr`].
//!
//! Its parameter is the quantum: how long the one who runs is left in peace before an older one takes over. Nobody
//! starves as long as tasks end. A task that yields goes behind all who are there.

use crate::policy::{Arrivals, Event, Nanos, Policy, Slice};
use crate::ranked::Ranked;
use crate::scheduler::Params;

/// See the module's text.
#[derive(Debug)]
pub struct FifoPreemptive {
    ready: Ranked,
    params: Params,
}

impl FifoPreemptive {
    /// The name in the table of schedulers.
    pub const NAME: &str = "fifo-preemptive";

    /// An empty queue.
    #[must_use]
    pub fn new(params: &Params) -> Self {
        Self {
            ready: Ranked::default(),
            params: *params,
        }
    }
}

impl Policy for FifoPreemptive {
    fn observe(&mut self, _now: Nanos, event: &Event) {
        self.ready.observe(event, |_| 0);
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
            preempted_by: Arrivals::RankBefore(place.seq),
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
