//! DARC: workers are reserved for short types of requests, which therefore never wait behind the long.
//!
//! Demoulin et al., "When Idling is Ideal: Optimizing Tail-Latency for Heavy-Tailed Datacenter Workloads with Perséphone"
//! (SOSP 2021), Algorithms 1 and 2. Types of like length are a group ([`group`]). Going from the shortest group to
//! the longest, each gets as many workers as its share of the execution demanded lately, rounded, and one at least:
//!
//! ```text
//!   workers   0     1     2     3     4     5     6     7
//!             ├─ A ─┤├── B ──┤├────────── C ────────────┤
//!   may use    A      A B            A B C                 a shorter group may take a longer one's idle worker,
//!                                                          never the other way round
//! ```
//!
//! A request goes to the first idle worker of its own group or of a longer one, else to the shortest queue among its
//! own. The last worker is everybody's: it is what groups get when all others are given away, and the place of types
//! that nothing is known of. So workers are left idle on purpose while longer requests wait.
//!
//! Demand is what the offers said was expected, halved with every new reservation, so that it follows the load; until
//! the first one, all may go everywhere. On the worker, [`crate::darc`] runs the shortest type first.

use super::{Choice, Dispatch, Load, Offer, least};
use crate::darc::group;

/// After how many requests workers are reserved anew.
pub const RESERVE_EVERY: u32 = 4_096;

/// One for each number of binary digits, and one for unknown.
const GROUPS: usize = 66;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Darc {
    /// By group: what was expected of its requests lately, in nanoseconds.
    demands_ns: [u128; GROUPS],
    /// By group: its workers, from the first to before the second; shorter ones come first.
    ranges: [(usize, usize); GROUPS],
    /// For how many workers the ranges are.
    workers: usize,
    seen: u32,
}

impl Default for Darc {
    fn default() -> Self {
        Self {
            demands_ns: [0; GROUPS],
            ranges: [(0, 0); GROUPS],
            workers: 0,
            seen: 0,
        }
    }
}

impl Darc {
    /// The name in the table of dispatchers.
    pub const NAME: &str = "darc";

    /// Reserves workers by the demand so far: Algorithm 2 of the paper.
    fn reserve(&mut self, workers: usize) {
        let total = self.demands_ns.iter().sum::<u128>().max(1);
        let spillway = workers - 1;
        let mut first = 0;
        for (demand_ns, range) in self.demands_ns.iter_mut().zip(&mut self.ranges) {
            if *demand_ns == 0 {
                *range = (spillway, workers);
                continue;
            }
            let share = (2 * *demand_ns * workers as u128 + total) / (2 * total);
            let end = (first + (share as usize).max(1)).min(workers);
            *range = (first.min(spillway), end);
            first = end;
            *demand_ns /= 2;
        }
        self.workers = workers;
        self.seen = 0;
    }

    fn choose(&self, group: usize, loads: &[Load]) -> Option<usize> {
        let (first, end) = match self.workers {
            0 => (0, loads.len()),
            _ => self.ranges[group],
        };
        let allowed = &loads[first..];
        let idle = |load: &Load| !load.full && load.outstanding == 0;
        if let Some(worker) = allowed.iter().position(idle) {
            return Some(first + worker);
        }
        let outstanding = |load: &Load| (!load.full).then_some(load.outstanding);
        let own = least(&loads[first..end], 0, outstanding);
        let worker = own.or_else(|| least(allowed, 0, outstanding))?;
        Some(first + worker)
    }
}

impl Dispatch for Darc {
    fn dispatch(&mut self, offer: &Offer, loads: &[Load]) -> Choice {
        if loads.is_empty() {
            return Choice::Refuse;
        }
        let group = group(offer.expected_ns) as usize;
        self.demands_ns[group] += u128::from(offer.expected_ns);
        self.seen += 1;
        let is_stale = self.workers != 0 && self.workers != loads.len();
        if self.seen >= RESERVE_EVERY || is_stale {
            self.reserve(loads.len());
        }
        self.choose(group, loads)
            .map_or(Choice::Refuse, Choice::Worker)
    }

    fn name(&self) -> &'static str {
        Self::NAME
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Newcomer;
    use alloc::vec;
    use alloc::vec::Vec;

    fn offer(expected_ns: u64) -> Offer {
        Offer {
            expected_ns,
            newcomer: Newcomer {
                deadline_ns: 0,
                rank: 0,
            },
            random: 0,
        }
    }

    /// A dispatcher that has seen these types, in turn, until it reserved.
    fn trained(types_ns: &[u64], workers: usize) -> Darc {
        let mut darc = Darc::default();
        let idle = vec![Load::default(); workers];
        for expected_ns in types_ns.iter().cycle().take(RESERVE_EVERY as usize) {
            let choice = darc.dispatch(&offer(*expected_ns), &idle);
            assert!(matches!(choice, Choice::Worker(_)));
        }
        darc
    }

    /// After training, where requests go one after the other; nobody finishes.
    fn check(types_ns: &[u64], busy: &[u32], asked: &[(u64, usize)]) {
        let mut darc = trained(types_ns, busy.len());
        let mut loads: Vec<Load> = busy
            .iter()
            .map(|&outstanding| Load {
                outstanding,
                full: outstanding == 99,
                ..Load::default()
            })
            .collect();
        for &(expected_ns, worker) in asked {
            let choice = darc.dispatch(&offer(expected_ns), &loads);
            assert_eq!(choice, Choice::Worker(worker), "{types_ns:?} {asked:?}");
            loads[worker].outstanding += 1;
        }
    }

    #[test]
    fn the_long_leave_the_workers_of_the_short_alone() {
        // 1 and 100 in turn: one hundredth of the demand is rounded up to one worker, of four.
        check(
            &[1, 100],
            &[0; 4],
            &[
                (100, 1),
                (100, 2),
                (100, 3),
                (100, 1),
                (1, 0),
                (1, 0),
                (1, 0),
            ],
        );
        // The short take idle workers of the long, and only then queue at their own.
        check(&[1, 100], &[1, 1, 0, 1], &[(1, 2), (1, 0), (1, 0)]);
        // Halves: three each of six.
        check(
            &[64, 127, 1, 62],
            &[0; 6],
            &[
                (100, 2),
                (100, 3),
                (100, 4),
                (100, 5),
                (100, 2),
                (1, 0),
                (32, 1),
            ],
        );
        // Unknown types and those never seen go to the last.
        check(&[1, 100], &[0; 4], &[(0, 3), (0, 3), (5_000, 3)]);
        // One worker is everybody's; so is the last, if there are more groups than workers.
        check(&[1, 100], &[0], &[(1, 0), (100, 0), (0, 0)]);
        check(
            &[1, 10, 100, 1_000],
            &[1; 2],
            &[(1, 0), (10, 1), (100, 1), (1_000, 1), (1, 0)],
        );
        // If its own are full, a short one waits at a longer one's.
        check(&[1, 100], &[99, 5, 4, 5], &[(1, 2)]);
    }

    #[test]
    fn what_is_full_refuses_and_what_changes_is_reserved_anew() {
        let mut darc = trained(&[1, 100], 4);
        let mut loads = vec![Load::default(); 4];
        loads[1..].iter_mut().for_each(|load| load.full = true);
        assert_eq!(darc.dispatch(&offer(100), &loads), Choice::Refuse);
        assert_eq!(darc.dispatch(&offer(1), &loads), Choice::Worker(0));
        assert_eq!(darc.dispatch(&offer(100), &loads[..2]), Choice::Refuse);
        let idle = [Load::default(); 2];
        assert_eq!(darc.dispatch(&offer(100), &idle), Choice::Worker(1));
        assert_eq!(darc.dispatch(&offer(100), &[]), Choice::Refuse);
    }
}
