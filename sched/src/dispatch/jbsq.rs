//! Bounded queues behind a central one, JBSQ(k): a request goes to the worker with the fewest, but to none that has k;
//! if all have k, it waits at the dispatcher.
//!
//! Kogias et al., "R2P2: Making RPCs first-class datacenter citizens" (ATC 2019); Ibanez et al., "The nanoPU" (OSDI 2021).
//! With k = 1 it is the single queue of M/G/c, the best there is where sizes are unknown, but a worker idles for as long
//! as the next request is on its way; k = 2 hides that. A larger k brings the imbalance of separate queues back.
//!
//! It never idles a worker while a request waits at the dispatcher.

use super::{Choice, Dispatch, Load, Offer, least};

/// See the module's text.
#[derive(Clone, Debug)]
pub struct BoundedQueues {
    bound: u32,
    start: usize,
}

impl BoundedQueues {
    /// The name in the table of dispatchers.
    pub const NAME: &str = "jbsq";

    /// With so many requests for each worker at most.
    ///
    /// # Panics
    ///
    /// If the bound is 0: nobody would ever get anything.
    #[must_use]
    pub fn new(bound: u32) -> Self {
        assert!(bound > 0, "a bound of 0");
        Self { bound, start: 0 }
    }
}

impl Dispatch for BoundedQueues {
    fn dispatch(&mut self, _offer: &Offer, loads: &[Load]) -> Choice {
        let bound = self.bound;
        let free =
            |load: &Load| (!load.full && load.outstanding < bound).then_some(load.outstanding);
        match least(loads, self.start, free) {
            Some(worker) => {
                self.start = worker + 1;
                Choice::Worker(worker)
            }
            None if loads.iter().all(|load| load.full) => Choice::Refuse,
            None => Choice::Hold,
        }
    }

    fn name(&self) -> &'static str {
        Self::NAME
    }
}
