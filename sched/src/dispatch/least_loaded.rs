//! Which worker gets an arriving request: the least loaded one (join the shortest queue).
//!
//! Winston, "Optimality of the Shortest Line Discipline" (J. Appl. Prob. 1977). Loads are what the dispatcher sees from
//! outside, the requests it gave minus those that came back; sizes are unknown to it.
//!
//! Ties go to the first worker after the one chosen last, so that light load spreads over all of them. A worker whose
//! ring or task table is full is never chosen; if all are, the request is refused.

use super::{Choice, Dispatch, Load, Offer};

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct LeastLoaded {
    /// Where the search begins.
    start: usize,
}

impl LeastLoaded {
    /// The name in the table of dispatchers.
    pub const NAME: &str = "jsq";

    /// The index of the worker that gets the next request; `None` if all are full. Linear in the number of workers,
    /// and done at the first idle one.
    #[must_use]
    pub fn choose(&mut self, loads: &[Load]) -> Option<usize> {
        let start = if self.start < loads.len() {
            self.start
        } else {
            0
        };
        let mut best: Option<(usize, u32)> = None;
        for worker in (start..loads.len()).chain(0..start) {
            let Load {
                outstanding, full, ..
            } = loads[worker];
            if full || best.is_some_and(|(_, least)| least <= outstanding) {
                continue;
            }
            best = Some((worker, outstanding));
            if outstanding == 0 {
                break;
            }
        }
        let (worker, _) = best?;
        self.start = worker + 1;
        Some(worker)
    }
}

impl Dispatch for LeastLoaded {
    fn dispatch(&mut self, _offer: &Offer, loads: &[Load]) -> Choice {
        self.choose(loads).map_or(Choice::Refuse, Choice::Worker)
    }

    fn name(&self) -> &'static str {
        Self::NAME
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Chooses repeatedly, adding each request to the load; -1 is a full worker.
    fn check(loads: &[i32], expected: &[Option<usize>]) {
        let mut loads: Vec<Load> = loads
            .iter()
            .map(|&load| Load {
                outstanding: load.max(0) as u32,
                full: load < 0,
                ..Load::default()
            })
            .collect();
        let mut dispatch = LeastLoaded::default();
        let chosen: Vec<_> = expected
            .iter()
            .map(|_| {
                let worker = dispatch.choose(&loads);
                if let Some(worker) = worker {
                    loads[worker].outstanding += 1;
                }
                worker
            })
            .collect();
        assert_eq!(chosen, expected);
    }

    #[test]
    fn the_least_loaded_gets_it() {
        check(&[], &[None]);
        check(&[0], &[Some(0), Some(0), Some(0)]);
        check(&[-1, -1], &[None, None]);
        check(&[0, 0, 0], &[Some(0), Some(1), Some(2), Some(0)]);
        check(&[5, 1, 3], &[Some(1), Some(1), Some(2), Some(1), Some(2)]);
        check(&[-1, 7, -1], &[Some(1), Some(1)]);
        check(&[2, 2, -1, 1], &[Some(3), Some(0), Some(1), Some(3)]);
    }

    /// Workers may go away between two choices (a reload with fewer of them).
    #[test]
    fn a_start_beyond_the_end_begins_anew() {
        let mut dispatch = LeastLoaded::default();
        let idle = [Load::default(); 4];
        for worker in 0..3 {
            assert_eq!(dispatch.choose(&idle), Some(worker));
        }
        assert_eq!(dispatch.choose(&idle[..2]), Some(0));
    }

    /// Requests that are over before the next one comes still go round.
    #[test]
    fn light_load_spreads() {
        let mut dispatch = LeastLoaded::default();
        let idle = [Load::default(); 4];
        let chosen: Vec<_> = (0..8).map(|_| dispatch.choose(&idle)).collect();
        let expected: Vec<_> = (0..8).map(|i| Some(i % 4)).collect();
        assert_eq!(chosen, expected);
    }
}
