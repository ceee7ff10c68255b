//! Whether gaps are exponential, as a Poisson process has them: the test of Kolmogorov and Smirnov against a known rate.
//!
//! The p-value is the asymptotic one with Stephens' correction for small samples (1970), good for five gaps and more.
//! Not here: other distributions, and rates that are estimated from the sample, which would need other tables.

/// How far a sample of gaps is from an exponential distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// How many gaps there were.
    pub count: usize,
    /// The largest difference between the distribution functions.
    pub distance: f64,
    /// How likely it is that exponential gaps differ as much or more.
    pub p: f64,
}

impl Fit {
    /// Below this the gaps are said not to be exponential.
    pub const P_MIN: f64 = 0.01;

    const COUNT_MIN: usize = 5;

    /// Compares gaps, in any order, with the exponential distribution of this mean; `None` if they are too few.
    #[must_use]
    pub fn exponential(gaps: &[f64], mean: f64) -> Option<Self> {
        if gaps.len() < Self::COUNT_MIN {
            return None;
        }
        let mut gaps = gaps.to_vec();
        gaps.sort_by(f64::total_cmp);
        let count = gaps.len() as f64;
        let distances = gaps.iter().enumerate().map(|(at, gap)| {
            let expected = 1.0 - (-gap / mean).exp();
            let (below, above) = (at as f64 / count, (at + 1) as f64 / count);
            (expected - below).max(above - expected)
        });
        let distance = distances.fold(0.0, f64::max);
        let root = count.sqrt();
        Some(Self {
            count: gaps.len(),
            distance,
            p: tail((root + 0.12 + 0.11 / root) * distance),
        })
    }

    /// Whether the gaps may be exponential.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.p >= Self::P_MIN
    }
}

/// 1 − K(x), K being Kolmogorov's distribution.
fn tail(x: f64) -> f64 {
    // The series alternates and does not converge at 0, where the sum is 1 to more digits than a float has.
    if x < 0.2 {
        return 1.0;
    }
    let terms = (1..=100).map(|k| {
        let k = f64::from(k);
        let sign = if k % 2.0 == 1.0 { 1.0 } else { -1.0 };
        sign * (-2.0 * k * k * x * x).exp()
    });
    (2.0 * terms.sum::<f64>()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_kolmogorovs() {
        // The critical values of every table.
        for (x, p) in [(1.224, 0.10), (1.358, 0.05), (1.628, 0.01), (1.949, 0.001)] {
            assert!((tail(x) - p).abs() < 0.001, "{x}: {}", tail(x));
        }
        assert_eq!(tail(0.0), 1.0);
        assert!(tail(9.0) < 1e-30);
    }

    #[test]
    fn exponential_gaps_are_told_from_others() {
        // Evenly spaced quantiles are as exponential as gaps can be.
        let quantile = |at: usize| -(1.0 - (at as f64 + 0.5) / 1_000.0).ln();
        let exponential: Vec<f64> = (0..1_000).map(quantile).collect();
        let fit = Fit::exponential(&exponential, 1.0).unwrap();
        assert!(fit.holds() && fit.distance < 0.000_6, "{fit:?}");
        for (gaps, mean) in [
            (vec![1.0; 1_000], 1.0),                                  // constant
            (exponential.clone(), 1.2),                               // another rate
            (exponential.iter().map(|gap| gap + 0.1).collect(), 1.1), // never below 0.1
        ] {
            let fit = Fit::exponential(&gaps, mean).unwrap();
            assert!(!fit.holds(), "{fit:?}");
        }
        assert_eq!(Fit::exponential(&[1.0; 4], 1.0), None);
    }
}
