//! A histogram of latencies (or any other non-negative numbers) and its summary.
//!
//! Values are kept to three significant digits (HdrHistogram), those of [`crate::live`] to two, the mean exactly. A
//! percentile that fewer than [`EXCEEDANCES_MIN`] values lie beyond is not told: it would be the story of a few requests.
//! Percentiles are never averaged; histograms are merged.

/// How many values must lie beyond a percentile for it to be told.
pub const EXCEEDANCES_MIN: u64 = 10;

const DIGITS: u8 = 3;

/// A percentile, in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentile(pub u32);

impl Percentile {
    /// The median.
    pub const P50: Self = Self(5_000);
    /// One in ten is beyond.
    pub const P90: Self = Self(9_000);
    /// One in a hundred is beyond.
    pub const P99: Self = Self(9_900);
    /// One in a thousand is beyond.
    pub const P99_9: Self = Self(9_990);
    /// One in ten thousand is beyond.
    pub const P99_99: Self = Self(9_999);

    const WHOLE: u32 = 10_000;

    /// As a part of 1.
    fn quantile(self) -> f64 {
        f64::from(self.0) / f64::from(Self::WHOLE)
    }
}

/// A percentile with its 95 % confidence interval, in the unit of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The percentile of the sample.
    pub value: u64,
    /// The interval's lower end.
    pub low: u64,
    /// The interval's upper end.
    pub high: u64,
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: hdrhistogram::Histogram<u64>,
    sum: u128,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// An empty histogram. It takes values of any size, and grows when one is larger than all before.
    #[must_use]
    pub fn new() -> Self {
        Self::with_digits(DIGITS)
    }

    /// The same with fewer digits, or more: up to five.
    pub(crate) fn with_digits(digits: u8) -> Self {
        let counts = hdrhistogram::Histogram::new(digits).expect("so many digits are allowed");
        Self { counts, sum: 0 }
    }

    /// Adds a value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Adds a value so many times.
    pub(crate) fn record_n(&mut self, value: u64, times: u64) {
        self.counts
            .record_n(value, times)
            .expect("it grows as it needs to");
        self.sum += u128::from(value) * u128::from(times);
    }

    /// Adds all values of another histogram.
    pub fn merge(&mut self, other: &Self) {
        self.counts
            .add(&other.counts)
            .expect("it grows as it needs to");
        self.sum += other.sum;
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.len()
    }

    /// The exact mean; `None` if there are no values.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum as f64 / self.count() as f64)
    }

    /// The largest value, to three digits; `None` if there are no values.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        (self.count() > 0).then(|| self.counts.max())
    }

    /// The percentile, to three digits; `None` if fewer than [`EXCEEDANCES_MIN`] values lie beyond it.
    #[must_use]
    pub fn percentile(&self, percentile: Percentile) -> Option<u64> {
        let beyond = u64::from(Percentile::WHOLE - percentile.0);
        if self.count() * beyond < EXCEEDANCES_MIN * u64::from(Percentile::WHOLE) {
            return None;
        }
        Some(self.counts.value_at_quantile(percentile.quantile()))
    }

    /// The percentile if beside these values there are so many that are larger than all: infinite if it is one of those.
    /// `None` as for [`Histogram::percentile`].
    #[must_use]
    pub fn percentile_beside(&self, percentile: Percentile, larger: u64) -> Option<f64> {
        let (whole, beyond) = (Percentile::WHOLE, Percentile::WHOLE - percentile.0);
        let all = u128::from(self.count()) + u128::from(larger);
        if all * u128::from(beyond) < u128::from(EXCEEDANCES_MIN) * u128::from(whole) {
            return None;
        }
        let rank = (all * u128::from(percentile.0)).div_ceil(u128::from(whole));
        if rank > u128::from(self.count()) {
            return Some(f64::INFINITY);
        }
        let quantile = rank as f64 / self.count() as f64;
        Some(self.counts.value_at_quantile(quantile) as f64)
    }

    /// The percentile and its 95 % confidence interval by order statistics: whatever the distribution is, but as if the
    /// values were independent, which the latencies of one run seldom are. `None` as for [`Histogram::percentile`].
    #[must_use]
    pub fn estimate(&self, percentile: Percentile) -> Option<Estimate> {
        let value = self.percentile(percentile)?;
        let (count, p) = (self.count() as f64, percentile.quantile());
        let half = 1.96 * (count * p * (1.0 - p)).sqrt();
        let low = (count * p - half).floor().max(1.0);
        let high = ((count * p + half).ceil() + 1.0).min(count);
        // Half a rank lower, so that rounding cannot lead to the next.
        let at = |rank: f64| self.counts.value_at_quantile((rank - 0.5) / count);
        Some(Estimate {
            value,
            low: self.counts.lowest_equivalent(at(low)),
            high: at(high),
        })
    }

    /// For the formats of other programs.
    pub(crate) fn counts(&self) -> &hdrhistogram::Histogram<u64> {
        &self.counts
    }

    /// The exact sum of all values.
    pub(crate) fn sum(&self) -> u128 {
        self.sum
    }

    /// What was taken apart.
    pub(crate) fn from_parts(mut counts: hdrhistogram::Histogram<u64>, sum: u128) -> Self {
        counts.auto(true);
        Self { counts, sum }
    }

    /// What is usually asked of it.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            count: self.count(),
            mean: self.mean(),
            p50: self.percentile(Percentile::P50),
            p90: self.percentile(Percentile::P90),
            p99: self.percentile(Percentile::P99),
            p99_9: self.percentile(Percentile::P99_9),
            p99_99: self.percentile(Percentile::P99_99),
            max: self.max(),
        }
    }
}

/// A histogram in few numbers, in the unit of its values. `None` is "n/a": too few values to tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many values there are.
    pub count: u64,
    /// The exact mean.
    pub mean: Option<f64>,
    /// The median.
    pub p50: Option<u64>,
    /// The 90th percentile.
    pub p90: Option<u64>,
    /// The 99th percentile.
    pub p99: Option<u64>,
    /// The 99.9th percentile.
    pub p99_9: Option<u64>,
    /// The 99.99th percentile.
    pub p99_99: Option<u64>,
    /// The largest value.
    pub max: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::new();
        values.into_iter().for_each(|value| histogram.record(value));
        histogram
    }

    /// What is larger than all values moves percentiles as if it were among them.
    #[test]
    fn what_is_larger_than_all_counts_for_percentiles() {
        let values = of(1..=1_000);
        for (percentile, larger, expected) in [
            (Percentile::P50, 0, Some(500.0)),
            (Percentile::P50, 500, Some(750.0)),
            (Percentile::P50, 1_000, Some(1_000.0)),
            (Percentile::P50, 1_001, Some(f64::INFINITY)),
            (Percentile::P90, 111, Some(1_000.0)),
            (Percentile::P90, 112, Some(f64::INFINITY)),
            (Percentile::P99_9, 0, None),
            (Percentile::P99_9, 9_000, Some(f64::INFINITY)),
        ] {
            let found = values.percentile_beside(percentile, larger);
            assert_eq!(found, expected, "{percentile:?} beside {larger}");
        }
        assert_eq!(
            Histogram::new().percentile_beside(Percentile::P50, 10),
            None
        );
        let none = Histogram::new().percentile_beside(Percentile::P50, 20);
        assert_eq!(none, Some(f64::INFINITY));
    }

    #[test]
    fn a_percentile_needs_ten_values_beyond_it() {
        // percentile, the least number of values for which it is told
        let rows = [
            (Percentile::P50, 20),
            (Percentile::P90, 100),
            (Percentile::P99, 1_000),
            (Percentile::P99_9, 10_000),
            (Percentile::P99_99, 10_0000),
        ];
        for (percentile, count) in rows {
            assert_eq!(of(0..count - 1).percentile(percentile), None);
            let value = of(0..count).percentile(percentile);
            let exact = f64::from(percentile.0) / 1e4 * count as f64 - 1.0;
            let error = (value.unwrap() as f64 - exact) / exact;
            assert!((0.0..1e-3).contains(&error), "{percentile:?}: {value:?}");
        }
    }

    #[test]
    fn intervals_are_order_statistics() {
        // percentile, count, ranks of the ends: floor and ceil + 1 of np ∓ 1.96 √(np(1−p))
        for (percentile, count, low, high) in [
            (Percentile::P50, 100, 40, 61),
            (Percentile::P90, 100, 84, 97),
            (Percentile::P99, 1_000, 983, 998),
            (Percentile::P50, 20, 5, 16),
        ] {
            // Small values are kept exactly.
            let estimate = of(1..=count).estimate(percentile).unwrap();
            assert_eq!((estimate.low, estimate.high), (low, high), "{percentile:?}");
            assert_eq!(Some(estimate.value), of(1..=count).percentile(percentile));
        }
        assert_eq!(of(1..=19).estimate(Percentile::P50), None);
    }

    #[test]
    fn an_interval_covers_as_often_as_it_says() {
        // 1000 samples of 200 uniform values: the true 90th percentile is in 95 % of their intervals.
        let mut state = 1_u64;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % 1_000
        };
        let covered = (0..1_000).filter(|_| {
            let sample = of(std::iter::repeat_with(&mut uniform).take(200));
            let estimate = sample.estimate(Percentile::P90).unwrap();
            (estimate.low..=estimate.high).contains(&899)
        });
        let covered = covered.count();
        assert!((930..=985).contains(&covered), "{covered}");
    }

    #[test]
    fn an_empty_one_says_nothing() {
        let summary = Histogram::new().summary();
        assert_eq!((summary.count, summary.mean, summary.max), (0, None, None));
        assert_eq!(summary.p50, None);
    }

    #[test]
    fn merged_is_as_if_recorded_in_one() {
        let (low, high) = (0..50_000, 50_000..200_000);
        let mut merged = of(low.clone());
        merged.merge(&of(high.clone()));
        assert_eq!(merged.summary(), of(low.chain(high)).summary());
        assert_eq!(merged.mean(), Some(99_999.5));
    }

    #[test]
    fn any_value_fits() {
        let histogram = of([0, u64::MAX, u64::MAX]);
        assert_eq!(histogram.max(), Some(u64::MAX));
        assert_eq!(histogram.mean(), Some(u64::MAX as f64 * (2.0 / 3.0)));
    }
}
