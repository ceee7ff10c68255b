//! The worker's half of DARC: the shortest type first, each request to completion.
//!
//! Demoulin et al., "When Idling is Ideal: Optimizing Tail-Latency for Heavy-Tailed Datacenter Workloads with Perséphone"
//! (SOSP 2021). DARC keeps workers for short types, so that the short never wait behind the long and nobody has to be
//! interrupted. Keeping workers is a matter of who gets a request, so it is the dispatcher's:
//! [`crate::dispatch::darc`] gives a request only to workers that its type may use. What is left to the worker is the
//! order among the types that it was given: shorter types first, first in, first out within a type, as in DARC's
//! Algorithm 1. Behind any other dispatcher this is a coarse [`crate::sjf`].
//!
//! Types whose expected executions have the same power of two are one, as DARC groups similar types: [`group`]. Tasks of
//! unknown size come last. This policy itself never idles while somebody is ready; it is the dispatcher that leaves
//! workers idle on purpose.

use crate::policy::{Event, Nanos, Policy, Slice};
use crate::ranked::Ranked;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Darc {
    ready: Ranked,
}

/// The group of types that are as long as this: the binary digits of the expected execution; the last for unknown (0).
#[must_use]
pub const fn group(expected_ns: Nanos) -> u64 {
    match expected_ns {
        0 => Nanos::BITS as u64 + 1,
        known_ns => (Nanos::BITS - known_ns.leading_zeros()) as u64,
    }
}

impl Darc {
    /// The name in the table of schedulers.
    pub const NAME: &str = "darc";

    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Policy for Darc {
    fn observe(&mut self, _now: Nanos, event: &Event) {
        self.ready.observe(event, |task| group(task.expected_ns));
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
