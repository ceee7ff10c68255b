//! Least work left: a request goes to the worker from which the least execution is expected.
//!
//! With true sizes and workers that serve in the order of arrival this is as good as a central queue, since a request
//! goes where that queue would have sent it (Harchol-Balter, *Performance Modeling and Design of Computer Systems*, §24).
//! It stands and falls with the estimates; what has no estimate weighs nothing, so ties go by the number of requests,
//! and without any estimates it is [`super::least_loaded`].

use super::{Choice, Dispatch, Load, Offer, least};

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct LeastWork {
    start: usize,
}

impl LeastWork {
    /// The name in the table of dispatchers.
    pub const NAME: &str = "lwl";
}

impl Dispatch for LeastWork {
    fn dispatch(&mut self, _offer: &Offer, loads: &[Load]) -> Choice {
        let work = |load: &Load| (!load.full).then_some((load.work_ns, load.outstanding));
        let Some(worker) = least(loads, self.start, work) else {
            return Choice::Refuse;
        };
        self.start = worker + 1;
        Choice::Worker(worker)
    }

    fn name(&self) -> &'static str {
        Self::NAME
    }
}
