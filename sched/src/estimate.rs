//! How long a route's requests are expected to execute: what the configuration says, what was seen lately, or what the
//! size of the body lets expect.
//!
//! | estimator | is | cost of a run | cost of a question |
//! | --- | --- | --- | --- |
//! | [`Fixed`](Estimator::Fixed) | the configured time | – | – |
//! | [`Window`] | a percentile of the last 256 runs, exactly; SLEdge's way | a search, and a move of 2 KiB at most | one look |
//! | [`Quantile`] | an exponentially weighted percentile, to an eighth | one addition, a pass over 496 counters every 64 runs | a pass over the counters |
//! | [`Regression`] | linear in the size of the body | – | a multiplication |
//!
//! Tables have a fixed size, so nothing is allocated after the beginning. All that is learnt can be taken out as plain
//! numbers ([`Window::runs`], [`Quantile::weights`]) and put back, so that a restarted server begins warm; writing them
//! down is the caller's. There are no floats: SLEdge's model, whose keys are decimal fractions, comes in as millionths.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use crate::limits::WINDOW_RUNS;
use crate::policy::Nanos;

/// A percentile, from 1 to 100: the least value that so many of a hundred do not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentile(u8);

impl Percentile {
    /// `None` unless it is from 1 to 100.
    #[must_use]
    pub const fn new(percent: u8) -> Option<Self> {
        match percent {
            1..=100 => Some(Self(percent)),
            _ => None,
        }
    }

    /// Its place among so many, counted from 1 (nearest rank).
    fn rank(self, count: u64) -> u64 {
        let rank = (u128::from(count) * u128::from(self.0)).div_ceil(100);
        rank as u64
    }
}

/// How a route's executions are estimated.
#[derive(Clone, Debug)]
pub enum Estimator {
    /// Always this, in nanoseconds.
    Fixed(Nanos),
    /// By the last runs.
    Window(Box<Window>),
    /// By all runs, the later the more.
    Quantile(Box<Quantile>),
    /// By the size of the body.
    Regression(Regression),
}

impl Estimator {
    /// How long a request with so large a body is expected to execute; 0 for unknown.
    #[must_use]
    pub fn expected_ns(&self, body_bytes: u64) -> Nanos {
        match self {
            Self::Fixed(expected_ns) => *expected_ns,
            Self::Window(window) => window.expected_ns(),
            Self::Quantile(quantile) => quantile.expected_ns(),
            Self::Regression(model) => model.expected_ns(body_bytes),
        }
    }

    /// Takes note of a run that went to its end; one that was cut short says nothing.
    pub fn observe(&mut self, ran_ns: Nanos) {
        match self {
            Self::Window(window) => window.observe(ran_ns),
            Self::Quantile(quantile) => quantile.observe(ran_ns),
            Self::Fixed(_) | Self::Regression(_) => {}
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct NamedEstimator {
    /// The name by which it is chosen.
    pub name: &'static str,
    /// Makes it, of a percentile and what is expected before anything is known.
    pub build: fn(Percentile, Nanos) -> Estimator,
}

/// The estimators that need no more than that.
pub static ESTIMATORS: &[NamedEstimator] = &[
    NamedEstimator {
        name: "spec",
        build: |_, prior_ns| Estimator::Fixed(prior_ns),
    },
    NamedEstimator {
        name: "window",
        build: |percentile, prior_ns| {
            Estimator::Window(Box::new(Window::new(percentile, prior_ns)))
        },
    },
    NamedEstimator {
        name: "quantile",
        build: |percentile, prior_ns| {
            Estimator::Quantile(Box::new(Quantile::new(percentile, prior_ns)))
        },
    },
];

/// The last runs, in the order of their coming and sorted.
#[derive(Clone, Debug)]
pub struct Window {
    percentile: Percentile,
    /// What is expected while there are no runs.
    prior_ns: Nanos,
    /// In the order of their coming, from `oldest` around.
    ring: [Nanos; WINDOW_RUNS],
    sorted: [Nanos; WINDOW_RUNS],
    count: usize,
    oldest: usize,
}

impl Window {
    /// Without runs.
    #[must_use]
    pub fn new(percentile: Percentile, prior_ns: Nanos) -> Self {
        Self {
            percentile,
            prior_ns,
            ring: [0; WINDOW_RUNS],
            sorted: [0; WINDOW_RUNS],
            count: 0,
            oldest: 0,
        }
    }

    /// Adds a run; the oldest goes if there are [`WINDOW_RUNS`].
    pub fn observe(&mut self, ran_ns: Nanos) {
        if self.count == WINDOW_RUNS {
            let gone_ns = self.ring[self.oldest];
            let at = self.sorted.partition_point(|&run_ns| run_ns < gone_ns);
            self.sorted.copy_within(at + 1.., at);
            self.ring[self.oldest] = ran_ns;
            self.oldest = (self.oldest + 1) % WINDOW_RUNS;
            self.count -= 1;
        } else {
            self.ring[self.count] = ran_ns;
        }
        let at = self.sorted[..self.count].partition_point(|&run_ns| run_ns <= ran_ns);
        self.sorted.copy_within(at..self.count, at + 1);
        self.sorted[at] = ran_ns;
        self.count += 1;
    }

    /// The percentile of the runs.
    #[must_use]
    pub fn expected_ns(&self) -> Nanos {
        match self.percentile.rank(self.count as u64) {
            0 => self.prior_ns,
            rank => self.sorted[rank as usize - 1],
        }
    }

    /// The runs in nanoseconds, the oldest first: told to a new window with [`observe`](Self::observe), they make it equal.
    pub fn runs(&self) -> impl Iterator<Item = Nanos> {
        let (newer, older) = self.ring[..self.count].split_at(self.oldest);
        older.iter().chain(newer).copied()
    }
}

/// Counters for runs of like length, which are halved every [`HALVE_EVERY`] runs: a run counts for half as much as one
/// that comes so many later.
///
/// The counters are eight for each power of two, so a percentile is true to an eighth of itself, and never too low.
#[derive(Clone, Debug)]
pub struct Quantile {
    percentile: Percentile,
    prior_ns: Nanos,
    weights: [u64; CLASSES],
    since_halved: u32,
}

/// After how many runs the past counts for half.
pub const HALVE_EVERY: u32 = 64;

/// What a run counts for when it is new; halved so often, it still counts.
const WEIGHT: u64 = 1 << 16;

/// Each power of two has so many classes.
const PARTS_LOG2: u32 = 3;
const PARTS: usize = 1 << PARTS_LOG2;

/// One for each time below 16, then the eight parts of each further power of two.
const CLASSES: usize = (Nanos::BITS - PARTS_LOG2 + 1) as usize * PARTS;

impl Quantile {
    /// Without runs.
    #[must_use]
    pub fn new(percentile: Percentile, prior_ns: Nanos) -> Self {
        Self {
            percentile,
            prior_ns,
            weights: [0; CLASSES],
            since_halved: 0,
        }
    }

    /// Adds a run.
    pub fn observe(&mut self, ran_ns: Nanos) {
        self.weights[class(ran_ns)] += WEIGHT;
        self.since_halved += 1;
        if self.since_halved == HALVE_EVERY {
            self.since_halved = 0;
            self.weights.iter_mut().for_each(|weight| *weight /= 2);
        }
    }

    /// The percentile of the runs by weight: the longest time of its class.
    #[must_use]
    pub fn expected_ns(&self) -> Nanos {
        let total: u64 = self.weights.iter().sum();
        let rank = self.percentile.rank(total);
        if rank == 0 {
            return self.prior_ns;
        }
        let mut below = 0;
        let class = self.weights.iter().position(|weight| {
            below += weight;
            below >= rank
        });
        longest_ns(class.unwrap_or(CLASSES - 1))
    }

    /// What was learnt: the classes that have weight, and it.
    #[must_use]
    pub fn weights(&self) -> Vec<(u16, u64)> {
        let all = self.weights.iter().enumerate();
        all.filter(|(_, weight)| **weight > 0)
            .map(|(class, weight)| (class as u16, *weight))
            .collect()
    }

    /// Takes over what was learnt before. Classes that there are not are left out, and weights are bounded: what was
    /// written down may be damaged.
    pub fn restore(&mut self, weights: impl IntoIterator<Item = (u16, u64)>) {
        self.weights = [0; CLASSES];
        for (class, weight) in weights {
            if let Some(known) = self.weights.get_mut(usize::from(class)) {
                *known = weight.min(WEIGHT * u64::from(HALVE_EVERY));
            }
        }
    }
}

/// The class of a time.
fn class(ran_ns: Nanos) -> usize {
    let digits = Nanos::BITS - ran_ns.leading_zeros();
    let shift = digits.saturating_sub(PARTS_LOG2 + 1);
    // The leading four digits: below 16 the time itself.
    shift as usize * PARTS + (ran_ns >> shift) as usize
}

/// The longest time of a class.
fn longest_ns(class: usize) -> Nanos {
    let shift = (class / PARTS).saturating_sub(1);
    let digits = (class - shift * PARTS) as u128;
    let longest = ((digits + 1) << shift) - 1;
    Nanos::try_from(longest).unwrap_or(Nanos::MAX)
}

/// A linear model of SLEdge's form, `bias + beta1 × p1 + beta2 × p2`, of which only the first parameter is known here:
/// the size of the body in units of `scale` bytes. The other one is what a module of the route's own makes of the body
/// before it runs.
///
/// What comes out below 1 ns is 1 ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regression {
    /// `model-bias`, in nanoseconds.
    pub bias_ns: Nanos,
    /// `model-beta1`, in millionths of a nanosecond. May be negative.
    pub beta_micro: i64,
    /// `model-scale`, in bytes.
    pub scale_bytes: NonZeroU32,
}

/// A whole, in millionths.
const MICRO: i128 = 1_000_000;

impl Regression {
    /// What is expected for a body of so many bytes.
    #[must_use]
    pub fn expected_ns(&self, body_bytes: u64) -> Nanos {
        // The largest product is 2¹²⁷ less something, so no step overflows.
        let sized = i128::from(self.beta_micro) * i128::from(body_bytes);
        let sized_ns = sized / i128::from(self.scale_bytes.get()) / MICRO;
        let expected_ns = i128::from(self.bias_ns) + sized_ns;
        Nanos::try_from(expected_ns.max(1)).unwrap_or(Nanos::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrambled(i: u64) -> u64 {
        i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
    }

    fn percentile(percent: u8) -> Percentile {
        Percentile::new(percent).expect("a percentile")
    }

    /// The window against sorting the last runs anew each time.
    #[test]
    fn a_window_has_the_percentile_of_the_last_runs() {
        for percent in [1, 50, 70, 99, 100] {
            let mut window = Window::new(percentile(percent), 77);
            assert_eq!(window.expected_ns(), 77);
            let mut all = Vec::new();
            for i in 0..3 * WINDOW_RUNS as u64 {
                // Many equal ones among them, 0 and the largest too.
                let ran_ns =
                    [scrambled(i), scrambled(i) % 5, 0, u64::MAX][(scrambled(i) % 4) as usize];
                all.push(ran_ns);
                window.observe(ran_ns);
                let last = &all[all.len().saturating_sub(WINDOW_RUNS)..];
                assert!(window.runs().eq(last.iter().copied()));
                let mut sorted = last.to_vec();
                sorted.sort_unstable();
                let index = (sorted.len() * usize::from(percent)).div_ceil(100) - 1;
                assert_eq!(window.expected_ns(), sorted[index], "{percent} {i}");
            }
            let mut warm = Window::new(percentile(percent), 0);
            window.runs().for_each(|run_ns| warm.observe(run_ns));
            assert_eq!(warm.expected_ns(), window.expected_ns());
        }
        assert!(Percentile::new(0).is_none() && Percentile::new(101).is_none());
    }

    #[test]
    fn classes_are_in_order_without_gaps() {
        let mut next = 0_u64;
        for index in 0..CLASSES {
            assert_eq!(class(next), index, "{next} begins a class");
            let longest = longest_ns(index);
            assert_eq!(class(longest), index, "{longest} ends it");
            assert!(longest - next <= next / 8, "{next} to {longest}");
            let Some(after) = longest.checked_add(1) else {
                assert_eq!(index, CLASSES - 1);
                return;
            };
            next = after;
        }
        panic!("the last class ends before the last time");
    }

    #[test]
    fn a_quantile_is_true_to_an_eighth_and_forgets() {
        for percent in [50, 90, 99] {
            let mut quantile = Quantile::new(percentile(percent), 5);
            assert_eq!(quantile.expected_ns(), 5);
            (1..=20_000).for_each(|i| quantile.observe(1 + scrambled(i) % 100_000));
            let (truth, seen) = (u64::from(percent) * 1_000, quantile.expected_ns());
            // The sample is of about a hundred runs, so it has an error of its own.
            assert!(
                seen.abs_diff(truth) < truth / 8 + 8_000,
                "{percent}: {seen}"
            );
            // The load changes: after so many halvings nothing is left of the past.
            (0..64 * 20).for_each(|_| quantile.observe(40));
            assert_eq!(quantile.expected_ns(), longest_ns(class(40)));
            let mut warm = Quantile::new(percentile(percent), 0);
            warm.restore(quantile.weights().into_iter().chain([(u16::MAX, 1)]));
            assert_eq!(warm.expected_ns(), quantile.expected_ns());
            warm.restore([(3, u64::MAX), (4, u64::MAX)]);
            assert_eq!(warm.expected_ns(), if percent == 50 { 3 } else { 4 });
        }
    }

    #[test]
    fn a_model_is_linear_in_the_size_of_the_body() {
        // bias, beta in millionths, scale, a size, what is expected
        let rows = [
            (5, 0, 1, 99, 5),
            (5, 2_500_000, 1, 4, 15),
            (5, 2_500_000, 1, 3, 12),
            (0, 1_000_000, 10, 20, 2),
            (9, -1_000_000, 1, 5, 4),
            (9, -1_000_000, 1, 50, 1),
            (0, 1_000_000, 1_000, 1_500, 1),
            (0, 2_000_000, 1_000, 1_500, 3),
            // Less than a whole for each byte.
            (0, 1, 1, 999_999, 1),
            (0, 3, 1, 1_000_000, 3),
            (u64::MAX, i64::MAX, 1, u64::MAX, u64::MAX),
            (u64::MAX, i64::MIN, 1, u64::MAX, 1),
            (u64::MAX, i64::MIN, u32::MAX, 0, u64::MAX),
        ];
        for (bias_ns, beta_micro, scale_bytes, body_bytes, expected_ns) in rows {
            let estimator = Estimator::Regression(Regression {
                bias_ns,
                beta_micro,
                scale_bytes: NonZeroU32::new(scale_bytes).expect("not 0"),
            });
            assert_eq!(
                estimator.expected_ns(body_bytes),
                expected_ns,
                "{estimator:?}"
            );
        }
    }
}
