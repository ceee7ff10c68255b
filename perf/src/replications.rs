//! What independent replications of a measurement say: the mean and its confidence interval by Student's t.
//!
//! Values within one run are correlated, so an interval from them would be too narrow; runs with seeds of their own are
//! not (Law, *Simulation Modeling and Analysis*, §9.4).

/// A mean with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The mean over the replications.
    pub mean: f64,
    /// Half the width of the interval around it.
    pub half_width: f64,
}

impl Interval {
    /// The interval that holds the true mean with this probability, if the replications' values are about normal.
    ///
    /// # Panics
    ///
    /// With fewer than two values, or a probability that is not between 0 and 1.
    #[must_use]
    pub fn new(values: &[f64], confidence: f64) -> Self {
        assert!(values.len() > 1, "an interval needs two values");
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let error = (squares / (count - 1.0) / count).sqrt();
        Self {
            mean,
            half_width: error * student_t(confidence, count - 1.0),
        }
    }
}

/// Student's t: |T| with this many degrees of freedom stays below it with this probability.
///
/// # Panics
///
/// If the probability is not between 0 and 1.
#[must_use]
pub fn student_t(confidence: f64, freedom: f64) -> f64 {
    assert!(0.0 < confidence && confidence < 1.0, "{confidence}");
    let (mut low, mut high) = (0.0, 1.0);
    while beyond(high, freedom) > 1.0 - confidence {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if beyond(middle, freedom) > 1.0 - confidence {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// P(|T| > t): the regularised incomplete beta function I of ν/(ν + t²) with ν/2 and 1/2 (Abramowitz & Stegun, 26.7.1).
fn beyond(t: f64, freedom: f64) -> f64 {
    incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

/// I_x(a, b), by the continued fraction 26.5.8 of Abramowitz & Stegun, evaluated by Lentz's method.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = a * x.ln() + b * (1.0 - x).ln() - (ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b));
    let (mut c, mut d, mut fraction) = (1.0, 0.0, 1.0);
    for i in 0..500 {
        let m = f64::from(i / 2);
        let term = match i {
            0 => 1.0,
            _ if i % 2 == 0 => m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            _ => -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        };
        d = 1.0 / (1.0 + term * d);
        c = 1.0 + term / c;
        let step = c * d;
        fraction *= step;
        if i > 0 && (step - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front.exp() / a * (fraction - 1.0)
}

/// ln Γ(x) for x > 0, by Stirling's series after shifting x above 10 (Abramowitz & Stegun, 6.1.41).
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 10.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series = (1.0 / 12.0 - y * (1.0 / 360.0 - y * (1.0 / 1260.0 - y / 1680.0))) / x;
    shift + (x - 0.5) * x.ln() - x + (2.0 * std::f64::consts::PI).ln() / 2.0 + series
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quantiles of printed tables.
    #[test]
    fn students_t_is_that_of_the_tables() {
        let rows = [
            (0.50, 1.0, 1.0),
            (0.95, 1.0, 12.7062),
            (0.95, 2.0, 4.30265),
            (0.90, 9.0, 1.83311),
            (0.95, 9.0, 2.26216),
            (0.99, 9.0, 3.24984),
            (0.95, 15.0, 2.13145),
            (0.999, 15.0, 4.07277),
            (0.95, 30.0, 2.04227),
            (0.99, 1e6, 2.57583),
        ];
        for (confidence, freedom, expected) in rows {
            let t = student_t(confidence, freedom);
            assert!(
                (t / expected - 1.0).abs() < 2e-5,
                "{confidence} {freedom}: {t}"
            );
        }
    }

    #[test]
    fn an_interval_is_around_the_mean() {
        let interval = Interval::new(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.95);
        assert_eq!(interval.mean, 3.0);
        // t with 4 degrees of freedom is 2.77645; the standard error √(2.5/5).
        assert!((interval.half_width - 2.776_445 * 0.5_f64.sqrt()).abs() < 1e-5);
        assert_eq!(Interval::new(&[7.0, 7.0], 0.99).half_width, 0.0);
    }
}
