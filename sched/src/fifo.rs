//! First in, first out (first come, first served): requests run to completion in the order of their arrival.
//!
//! The baseline of every comparison (Silberschatz, Galvin & Gagne, *Operating System Concepts*, §5.3.1). Its waiting
//! time on one worker is Pollaczek's and Khinchine's, `E[W] = λE[S²]/(2(1−ρ))`: one long request in a hundred spoils it
//! for all, but where services vary little nothing is better, and nothing costs less.
//!
//! Order is by arrival and not by readiness: a task that blocked and woke goes before everybody who came after it,
//! which also keeps the number of open sandboxes low. It does not interrupt the one who runs, as nobody does here. A
//! task that yields goes to the back.

use crate::policy::{Event, Nanos, Policy, Slice};
use crate::ranked::Ranked;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Fifo {
    ready: Ranked,
}

impl Fifo {
    /// The name in the table of schedulers.
    pub const NAME: &str = "fifo";

    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Policy for Fifo {
    fn observe(&mut self, _now: Nanos, event: &Event) {
        // All rank alike: what decides is the order of arrival.
        self.ready.observe(event, |_| 0);
    }

    fn next(&mut self, _now: Nanos) -> Option<Slice> {
        self.ready.pop().map(|(task, _)| Slice::to_completion(task))
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
