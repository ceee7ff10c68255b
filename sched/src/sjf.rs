//! Shortest job first: of all ready tasks the one that is expected to execute the shortest time runs, to completion.
//!
//! Phipps, "Machine Repair as a Priority Waiting-Line Problem" (Operations Research 1956): with the sizes known, the mean
//! wait of a request of size x is `λE[S²] / (2(1−ρ(x⁻))(1−ρ(x)))`, ρ(x) being the load of those not longer. No
//! order without interruption has a lower mean. It still leaves the short behind one long that runs, which is why
//! [`crate::srpt`] exists.
//!
//! The size is the caller's estimate at arrival and is not corrected. Tasks of unknown size come last. Ties go by
//! arrival, so equal estimates make it FIFO. The long starve as long as enough shorter ones come: it wants admission in
//! front, or a load that leaves room.

use crate::policy::{Event, Nanos, Policy, Slice};
use crate::ranked::Ranked;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Sjf {
    ready: Ranked,
}

impl Sjf {
    /// The name in the table of schedulers.
    pub const NAME: &str = "sjf";

    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Policy for Sjf {
    fn observe(&mut self, _now: Nanos, event: &Event) {
        // Unknown is 0, and the last of all once 1 is taken off.
        self.ready
            .observe(event, |task| task.expected_ns.wrapping_sub(1));
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
