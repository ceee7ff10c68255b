//! Triage: a request goes to an idle worker, or else to the one whose running request has the best reason to give way.
//!
//! SLEdge triages preemption so: of all workers only those are interrupted whose current request would lose against one
//! that waits (for it, whose deadline is later). Here each worker's policy says who would interrupt its slice
//! ([`Arrivals`]), and a request is sent where it would win by the most: to the slice with the highest bar that it is
//! below. All other workers go on undisturbed. If it wins nowhere, interrupting anybody would be in vain, and it joins
//! the shortest queue, where it may wait for long: under EDF nobody wins against what is past its deadline. Nothing is
//! moved later; [`super::jbsq`] and [`super::stealing`] are for that.
//!
//! Works best with policies that say a bar, [`crate::edf`] above all; a policy that lets anybody interrupt is taken for
//! the highest bar of all, and then the shortest queue decides among its workers.

use core::cmp::Reverse;

use super::{Choice, Dispatch, Load, Offer, least};
use crate::policy::{Arrivals, Newcomer};

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct Triage {
    start: usize,
}

impl Triage {
    /// The name in the table of dispatchers.
    pub const NAME: &str = "triage";

    fn choose(&self, newcomer: Newcomer, loads: &[Load]) -> Option<usize> {
        let start = self.start;
        least(loads, start, |load| {
            if load.full {
                return None;
            }
            // An idle one, then one to interrupt, then one to wait at.
            let (rank, bar) = match bar(load.preempted_by) {
                _ if load.outstanding == 0 => (0, 0),
                Some(bar) if load.preempted_by.admit(newcomer) => (1, bar),
                _ => (2, 0),
            };
            Some((rank, Reverse(bar), load.outstanding))
        })
    }
}

fn bar(arrivals: Arrivals) -> Option<u64> {
    match arrivals {
        Arrivals::Nobody => None,
        Arrivals::Anybody => Some(u64::MAX),
        Arrivals::DeadlineBefore(bar) | Arrivals::RankBefore(bar) => Some(bar),
    }
}

impl Dispatch for Triage {
    fn dispatch(&mut self, offer: &Offer, loads: &[Load]) -> Choice {
        let Some(worker) = self.choose(offer.newcomer, loads) else {
            return Choice::Refuse;
        };
        self.start = worker + 1;
        Choice::Worker(worker)
    }

    fn name(&self) -> &'static str {
        Self::NAME
    }
}
