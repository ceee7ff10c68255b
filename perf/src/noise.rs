//! What a machine does to a thread that only looks at its clock: stalls, from interrupts, other processes, and the host
//! under a virtual machine. A percentile of latencies below what stalls alone make is a statement about the machine.
//!
//! The idea is jHiccup's (Tene, 2012): a gap between two readings that is longer than a reading takes is time in which
//! anybody else on that core would have stood still, too. Not here: the clock, and the thread.

/// Gaps shorter than this are what a reading takes, or a cache miss: no stall.
pub const STALL_MIN_NS: u64 = 5_000;

/// The stalls in some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stalls {
    /// How long it was looked, in nanoseconds.
    pub watched_ns: u64,
    /// The stalls, the shortest first.
    stalls_ns: Vec<u64>,
}

impl Stalls {
    /// Of readings of a clock, in nanoseconds, in their order.
    #[must_use]
    pub fn of(readings_ns: impl IntoIterator<Item = u64>) -> Self {
        let mut readings = readings_ns.into_iter();
        let mut stalls = Self::default();
        let Some(mut last_ns) = readings.next() else {
            return stalls;
        };
        let first_ns = last_ns;
        for now in readings {
            let gap_ns = now.saturating_sub(last_ns);
            if gap_ns >= STALL_MIN_NS {
                stalls.stalls_ns.push(gap_ns);
            }
            last_ns = now;
        }
        stalls.watched_ns = last_ns.saturating_sub(first_ns);
        stalls.stalls_ns.sort_unstable();
        stalls
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.stalls_ns.len()
    }

    /// How many a second there were.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.count() as f64 * 1e9 / self.watched_ns.max(1) as f64
    }

    /// The part of the time that went into them.
    #[must_use]
    pub fn share(&self) -> f64 {
        let stalled_ns: u64 = self.stalls_ns.iter().sum();
        stalled_ns as f64 / self.watched_ns.max(1) as f64
    }

    /// The longest; 0 if there was none.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.stalls_ns.last().copied().unwrap_or(0)
    }

    /// How long somebody who comes at any time, and needs the core for `work_ns`, is stalled: with this probability no
    /// longer. 0 if stalls are rarer than that.
    ///
    /// One that comes within a stall waits for its rest; one that is hit by a stall while it works waits for all of it.
    #[must_use]
    pub fn quantile_ns(&self, quantile: f64, work_ns: u64) -> u64 {
        let longer = |than_ns: u64| -> f64 {
            let beyond = self
                .stalls_ns
                .iter()
                .filter(|stall_ns| **stall_ns > than_ns);
            let hits = beyond.map(|stall_ns| (stall_ns - than_ns + work_ns) as f64);
            hits.sum::<f64>() / self.watched_ns.max(1) as f64
        };
        // Falls as the stall grows.
        let (mut low_ns, mut high_ns) = (0, self.max_ns());
        if longer(0) <= 1.0 - quantile {
            return 0;
        }
        while high_ns - low_ns > 1 {
            let middle_ns = low_ns + (high_ns - low_ns) / 2;
            match longer(middle_ns) > 1.0 - quantile {
                true => low_ns = middle_ns,
                false => high_ns = middle_ns,
            }
        }
        high_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readings every 100 ns, but for gaps of so many.
    fn readings(gaps_ns: &[u64]) -> Vec<u64> {
        let mut at_ns = 7;
        let mut readings = vec![at_ns];
        for gap_ns in gaps_ns {
            at_ns += gap_ns;
            readings.push(at_ns);
        }
        readings
    }

    #[test]
    fn gaps_that_are_longer_than_a_reading_are_stalls() {
        let mut gaps = vec![100; 9_000];
        gaps.extend([STALL_MIN_NS - 1, STALL_MIN_NS, 95_001]);
        let stalls = Stalls::of(readings(&gaps));
        assert_eq!(stalls.watched_ns, 900_000 + 4_999 + 5_000 + 95_001);
        assert_eq!((stalls.count(), stalls.max_ns()), (2, 95_001));
        assert!((stalls.share() - 100_001.0 / 1_005_000.0).abs() < 1e-9);
        assert!((stalls.per_second() - 2e9 / 1_005_000.0).abs() < 1e-6);
        assert_eq!(Stalls::of([]), Stalls::default());
        assert_eq!(Stalls::of([5]).quantile_ns(0.5, 1), 0);
    }

    /// One stall of 100 µs in a millisecond: one in ten comes within it, and half of those wait longer than half of it.
    #[test]
    fn a_quantile_is_what_somebody_who_comes_at_any_time_waits() {
        let mut gaps = vec![100; 9_000];
        gaps.push(100_000);
        let stalls = Stalls::of(readings(&gaps));
        assert_eq!(stalls.watched_ns, 1_000_000);
        for (quantile, work_ns, expected_ns) in [
            (0.89, 0, 0),
            (0.95, 0, 50_000),
            (0.99, 0, 90_000),
            // Who needs 50 µs is hit by it half as often again.
            (0.95, 50_000, 100_000),
            (0.90, 50_000, 50_000),
        ] {
            let got_ns = stalls.quantile_ns(quantile, work_ns);
            assert!(
                got_ns.abs_diff(expected_ns) <= 1,
                "{quantile} {work_ns}: {got_ns}"
            );
        }
    }
}
