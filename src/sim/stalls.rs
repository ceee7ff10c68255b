//! A core that stops: interrupts, other threads and a hypervisor take it for a while from whoever runs there, who learns
//! of it only by the clock.
//!
//! Stalls come at any time, as likely at one as at another (a Poisson process of the time that the core runs), and each is
//! as long as one of those that were measured, all equally likely. Work takes longer by those that fall into it; a timer
//! that rings during one is noticed at its end.

use std::collections::VecDeque;

use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Exp1};
use rand_xoshiro::Xoshiro256PlusPlus;
use sched::Nanos;
use serde::{Deserialize, Serialize};

/// When stalls come has nothing to do with what is asked, so it needs no seed of the user's.
const OWN_SEED: u64 = 0x7374_616c;

/// What stalls a core has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stalls {
    /// In a second of the time between them.
    pub per_second: f64,
    /// Of those that were measured. Without any, there are none.
    pub lengths_ns: Vec<Nanos>,
}

impl Stalls {
    /// The part of the time that they take.
    pub fn share(&self) -> f64 {
        let sum_ns: Nanos = self.lengths_ns.iter().sum();
        let stalled_s = self.per_second * sum_ns as f64 / self.lengths_ns.len().max(1) as f64 / 1e9;
        stalled_s / (1.0 + stalled_s)
    }
}

/// A core of a thread's own. It is asked with times that may go back and forth, but not before the last
/// [`forget`](Core::forget).
pub struct Core(Option<Stalling>);

struct Stalling {
    /// Between two of them, on average.
    gap_ns: f64,
    lengths_ns: Vec<Nanos>,
    random: Xoshiro256PlusPlus,
    /// The end of the last one that was drawn.
    last_over_ns: Nanos,
    /// Begin and end of those that were drawn and are not forgotten, in order.
    drawn: VecDeque<(Nanos, Nanos)>,
}

impl Core {
    /// Cores of different numbers have them at different times.
    pub fn new(stalls: &Stalls, number: usize) -> Self {
        let has_some = stalls.per_second > 0.0 && !stalls.lengths_ns.is_empty();
        Self(has_some.then(|| Stalling {
            gap_ns: 1e9 / stalls.per_second,
            lengths_ns: stalls.lengths_ns.clone(),
            random: Xoshiro256PlusPlus::seed_from_u64(OWN_SEED.wrapping_add(number as u64)),
            last_over_ns: 0,
            drawn: VecDeque::new(),
        }))
    }

    /// Nobody asks for earlier times any more.
    pub fn forget(&mut self, before_ns: Nanos) {
        if let Some(stalling) = &mut self.0 {
            let is_over = |drawn: &(Nanos, Nanos)| drawn.1 <= before_ns;
            while stalling.drawn.front().is_some_and(is_over) {
                stalling.drawn.pop_front();
            }
        }
    }

    /// When work of so long is done that begins then; of none: when what comes at this time is noticed.
    pub fn end_of(&mut self, from_ns: Nanos, work_ns: Nanos) -> Nanos {
        let mut end_ns = from_ns.saturating_add(work_ns);
        let Some(stalling) = &mut self.0 else {
            return end_ns;
        };
        let mut at = 0;
        loop {
            let (begin_ns, over_ns) = stalling.nth(at);
            if begin_ns >= end_ns {
                return end_ns;
            }
            end_ns += over_ns.saturating_sub(begin_ns.max(from_ns));
            at += 1;
        }
    }

    /// The time in stalls between the two.
    pub fn lost_ns(&self, from_ns: Nanos, to_ns: Nanos) -> Nanos {
        let drawn = self.0.iter().flat_map(|stalling| &stalling.drawn);
        let within = drawn.map(|(begin_ns, over_ns)| {
            let end_ns = (*over_ns).min(to_ns);
            end_ns.saturating_sub((*begin_ns).max(from_ns))
        });
        within.sum()
    }
}

impl Stalling {
    /// One that was not forgotten, by its number among those.
    fn nth(&mut self, at: usize) -> (Nanos, Nanos) {
        while self.drawn.len() <= at {
            let unit: f64 = Exp1.sample(&mut self.random);
            let begin_ns = self.last_over_ns + (unit * self.gap_ns) as Nanos;
            let length_ns = self.lengths_ns[self.random.random_range(0..self.lengths_ns.len())];
            self.last_over_ns = begin_ns + length_ns;
            self.drawn.push_back((begin_ns, self.last_over_ns));
        }
        self.drawn[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_longer_by_the_stalls_within() {
        let stalls = Stalls {
            per_second: 1_000.0,
            lengths_ns: vec![300_000, 100_000],
        };
        let mut core = Core::new(&stalls, 0);
        let (mut now_ns, mut lost_ns) = (0, 0);
        for round in 0..10_000 {
            let work_ns = round % 700 * 1_000;
            let end_ns = core.end_of(now_ns, work_ns);
            // As often as one asks, and wherever it is cut.
            assert_eq!(core.end_of(now_ns, work_ns), end_ns);
            let half_ns = core.end_of(now_ns, work_ns / 2);
            assert_eq!(core.end_of(half_ns, work_ns - work_ns / 2), end_ns);
            assert_eq!(core.lost_ns(now_ns, end_ns), end_ns - now_ns - work_ns);
            lost_ns += core.lost_ns(now_ns, end_ns);
            now_ns = end_ns;
            core.forget(now_ns);
        }
        // A millisecond between those of 0.2.
        let share = lost_ns as f64 / now_ns as f64;
        assert!((share - 1.0 / 6.0).abs() < 0.01, "{share}");
        // Who is awake is noticed at once, and who is not when it is over.
        let (begin_ns, over_ns) = core.0.as_mut().expect("it stalls").nth(0);
        assert!(begin_ns >= now_ns);
        assert_eq!(core.end_of(begin_ns - 1, 0), begin_ns - 1);
        assert_eq!(core.end_of(begin_ns + 1, 0), over_ns);
    }

    #[test]
    fn a_core_without_stalls_has_none() {
        let mut core = Core::new(&Stalls::default(), 0);
        assert_eq!(core.end_of(5, 7), 12);
        assert_eq!(core.lost_ns(5, Nanos::MAX), 0);
    }
}
