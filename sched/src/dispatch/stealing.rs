//! Work stealing: requests are dealt round robin, and a worker that has nothing takes one that has not begun elsewhere.
//!
//! Blumofe & Leiserson, "Scheduling Multithreaded Computations by Work Stealing" (JACM 1999); for requests of microseconds,
//! Prekas, Kogias & Bugnion, "ZygOS: Achieving Low Tail Latency for Microsecond-scale Networked Tasks" (SOSP 2017), where
//! it comes within a tenth to a quarter of a central queue. The victim is the worker with the most requests that have not
//! begun, the next one after the thief if several have. What has begun has a sandbox on its worker and stays there. A
//! worker whose requests all wait for other things has nothing to do either.
//!
//! What is taken is the one that has waited the longest, as in ZygOS: under FIFO the order is that of one queue. No worker
//! idles while a request that has not begun waits at another, but for the time that taking it costs.

use super::round_robin::RoundRobin;
use super::{Choice, Dispatch, Load, Offer, least};
use core::cmp::Reverse;

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct Stealing {
    deal: RoundRobin,
}

impl Stealing {
    /// The name in the table of dispatchers.
    pub const NAME: &str = "steal";
}

impl Dispatch for Stealing {
    fn dispatch(&mut self, offer: &Offer, loads: &[Load]) -> Choice {
        self.deal.dispatch(offer, loads)
    }

    fn steal(&mut self, thief: usize, loads: &[Load]) -> Option<usize> {
        let queued = |load: &Load| (load.queued > 0).then_some(Reverse(load.queued));
        least(loads, thief + 1, queued)
    }

    fn name(&self) -> &'static str {
        Self::NAME
    }
}
