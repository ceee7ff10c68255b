//! Round robin: one worker after the other, whatever they have; those that are full are passed over.
//!
//! Looks at no load, so it is what the others are measured against. For equal sizes it keeps the queues within one of
//! each other; for unequal ones it does not, and one long request holds up every c-th behind it (the d-FCFS of the
//! literature, e.g. Prekas, Kogias & Bugnion, "ZygOS", SOSP 2017).

use super::{Choice, Dispatch, Load, Offer, least};

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin {
    start: usize,
}

impl RoundRobin {
    /// The name in the table of dispatchers.
    pub const NAME: &str = "rr";
}

impl Dispatch for RoundRobin {
    fn dispatch(&mut self, _offer: &Offer, loads: &[Load]) -> Choice {
        let Some(worker) = least(loads, self.start, |load| (!load.full).then_some(())) else {
            return Choice::Refuse;
        };
        self.start = worker + 1;
        Choice::Worker(worker)
    }

    fn name(&self) -> &'static str {
        Self::NAME
    }
}
