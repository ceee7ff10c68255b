//! Distributions of service times, by formula or as measured. Services are integer nanoseconds, at least one.
//!
//! The text of a law, times in microseconds:
//!
//! | law | is |
//! | --- | --- |
//! | `US`, `fixed:US` | always the same |
//! | `exp:MEAN` | exponential |
//! | `lognormal:MEAN:SIGMA` | its logarithm is normal with deviation SIGMA; MEAN is that of the services |
//! | `pareto:ALPHA:LOW:HIGH` | bounded Pareto: P(S > x) falls as x^−ALPHA from LOW to HIGH |
//! | `hist:FILE` | drawn from a histogram: see [`Measured`] |

use std::fmt;
use std::sync::Arc;

use rand::Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};
use sched::Nanos;

use super::measured::Measured;

/// The longest service time, in microseconds: an hour.
pub const SERVICE_MAX_US: f64 = 3_600e6;

/// The largest deviation of a logarithm: beyond, the mean is made by values that no run ever draws.
const SIGMA_MAX: f64 = 5.0;

/// The largest exponent of a Pareto law.
const ALPHA_MAX: f64 = 100.0;

/// See the module's text.
#[derive(Clone, Debug, PartialEq)]
pub enum Service {
    /// Always the same.
    Fixed(Nanos),
    /// Exponential with this mean.
    Exponential(Nanos),
    /// The logarithm is normal; the mean is that of the services.
    Lognormal { mean_ns: Nanos, sigma: f64 },
    /// Bounded Pareto.
    Pareto {
        alpha: f64,
        low_ns: Nanos,
        high_ns: Nanos,
    },
    /// Drawn from what was measured.
    Measured(Arc<Measured>),
}

impl Service {
    /// Understands a law.
    ///
    /// # Errors
    ///
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or(("fixed", text));
        let numbers: Vec<&str> = rest.split(':').collect();
        match (kind, &numbers[..]) {
            ("fixed", [service]) => parse_us(service).map(Self::Fixed),
            ("exp", [mean]) => parse_us(mean).map(Self::Exponential),
            ("lognormal", [mean, sigma]) => Ok(Self::Lognormal {
                mean_ns: parse_us(mean)?,
                sigma: parse_positive(sigma, SIGMA_MAX)?,
            }),
            ("pareto", [alpha, low, high]) => {
                let (low_ns, high_ns) = (parse_us(low)?, parse_us(high)?);
                if low_ns >= high_ns {
                    return Err(format!("{text:?}: {low} is not below {high}"));
                }
                Ok(Self::Pareto {
                    alpha: parse_positive(alpha, ALPHA_MAX)?,
                    low_ns,
                    high_ns,
                })
            }
            ("hist", _) => Measured::read(rest).map(|seen| Self::Measured(Arc::new(seen))),
            ("fixed" | "exp" | "lognormal" | "pareto", _) => Err(format!(
                "{text:?} has not the right number of parts, expected {LAWS}"
            )),
            _ => Err(format!("unknown law {text:?}, expected {LAWS}")),
        }
    }

    /// `E[S]`, to the nanosecond.
    pub fn mean_ns(&self) -> Nanos {
        match self {
            Self::Fixed(service_ns) | Self::Exponential(service_ns) => *service_ns,
            Self::Lognormal { mean_ns, .. } => *mean_ns,
            Self::Pareto { .. } | Self::Measured(_) => self.moment(1).round() as Nanos,
        }
    }

    /// `E[Sᵏ]` for k of 1 or 2, in nanoseconds to the k.
    pub fn moment(&self, k: i32) -> f64 {
        match *self {
            Self::Fixed(service_ns) => (service_ns as f64).powi(k),
            Self::Exponential(mean_ns) => f64::from(k) * (mean_ns as f64).powi(k),
            Self::Lognormal { mean_ns, sigma } => {
                let spread = f64::from(k * (k - 1)) * sigma.powi(2) / 2.0;
                (mean_ns as f64).powi(k) * spread.exp()
            }
            Self::Pareto {
                alpha,
                low_ns,
                high_ns,
            } => pareto_moment(alpha, low_ns as f64, high_ns as f64, f64::from(k)),
            Self::Measured(ref seen) => seen.moment(k),
        }
    }

    /// Draws one.
    pub fn sample(&self, random: &mut impl Rng) -> Nanos {
        let drawn_ns: f64 = match *self {
            Self::Fixed(service_ns) => return service_ns,
            Self::Measured(ref seen) => return seen.sample(random),
            Self::Exponential(mean_ns) => {
                let unit: f64 = Exp1.sample(random);
                unit * mean_ns as f64
            }
            Self::Lognormal { mean_ns, sigma } => {
                let normal: f64 = StandardNormal.sample(random);
                mean_ns as f64 * (sigma * normal - sigma.powi(2) / 2.0).exp()
            }
            Self::Pareto {
                alpha,
                low_ns,
                high_ns,
            } => {
                let (low, high) = (low_ns as f64, high_ns as f64);
                let cut = 1.0 - (low / high).powf(alpha);
                let below: f64 = random.random();
                (low * (1.0 - below * cut).powf(-1.0 / alpha)).min(high)
            }
        };
        (drawn_ns.round() as Nanos).max(1)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |time_ns: Nanos| time_ns as f64 / 1e3;
        match *self {
            Self::Fixed(service_ns) => write!(f, "{} µs", us(service_ns)),
            Self::Exponential(mean_ns) => write!(f, "exp {} µs", us(mean_ns)),
            Self::Lognormal { mean_ns, sigma } => write!(f, "lognormal {} µs {sigma}", us(mean_ns)),
            Self::Pareto {
                alpha,
                low_ns,
                high_ns,
            } => write!(f, "pareto {alpha} {} to {} µs", us(low_ns), us(high_ns)),
            Self::Measured(ref seen) => f.write_str(seen.name()),
        }
    }
}

/// `E[Xᵏ]` of a bounded Pareto law.
fn pareto_moment(alpha: f64, low: f64, high: f64, k: f64) -> f64 {
    let scale = alpha * low.powf(alpha) / (1.0 - (low / high).powf(alpha));
    let power = k - alpha;
    let integral = if power.abs() < 1e-9 {
        (high / low).ln()
    } else {
        (high.powf(power) - low.powf(power)) / power
    };
    scale * integral
}

const LAWS: &str = "US, exp:US, lognormal:US:SIGMA, pareto:ALPHA:LOW_US:HIGH_US or hist:FILE";

/// Understands a positive number of microseconds, to the nanosecond.
///
/// # Errors
///
/// A sentence that says what would be right.
pub fn parse_us(text: &str) -> Result<Nanos, String> {
    let in_us = text
        .parse()
        .ok()
        .filter(|us| (0.001..=SERVICE_MAX_US).contains(us));
    let in_us: f64 = in_us
        .ok_or_else(|| format!("{text:?} is not a number of microseconds from 0.001 to an hour"))?;
    Ok((in_us * 1e3).round() as Nanos)
}

/// Understands a number above 0.
///
/// # Errors
///
/// A sentence that says what would be right.
pub fn parse_positive(text: &str, max: f64) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|&number: &f64| number > 0.0 && number <= max);
    number.ok_or_else(|| format!("{text:?} is not a number above 0, up to {max}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    /// What is drawn has the mean and the second moment of the formula.
    #[test]
    fn samples_have_the_moments_of_their_law() {
        const COUNT: u32 = 400_000;
        // law, E[S] and E[S²] in µs by hand, and how far the second may be off with so many
        let rows = [
            ("2.5", 2.5, 6.25, 1e-9),
            ("fixed:2.5", 2.5, 6.25, 1e-9),
            ("exp:10", 10.0, 200.0, 0.02),
            ("lognormal:10:0.5", 10.0, 128.402_54, 0.02),
            // α L/(α−1) · (1 − (L/H)^(α−1))/(1 − (L/H)^α) and α L²/(2−α) · ((H/L)^(2−α) − 1)/(1 − (L/H)^α)
            ("pareto:1.5:10:1000", 27.027_0, 2_702.702_7, 0.05),
            ("pareto:1:10:1000", 46.516_9, 10_000.0, 0.03),
        ];
        for (text, mean_us, second_us2, tolerance) in rows {
            let law = Service::parse(text).expect(text);
            let near = |value: f64, wanted: f64, by: f64| (value / wanted - 1.0).abs() < by;
            assert!(
                near(law.moment(1), mean_us * 1e3, 1e-5),
                "{text}: {}",
                law.moment(1)
            );
            assert!(
                near(law.moment(2), second_us2 * 1e6, 1e-5),
                "{text}: {}",
                law.moment(2)
            );
            let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
            let (mut sum, mut squares) = (0.0, 0.0);
            for _ in 0..COUNT {
                let drawn = law.sample(&mut random) as f64;
                sum += drawn;
                squares += drawn.powi(2);
            }
            let count = f64::from(COUNT);
            assert!(
                near(sum / count, mean_us * 1e3, 0.01),
                "{text}: {}",
                sum / count
            );
            assert!(near(squares / count, second_us2 * 1e6, tolerance), "{text}");
        }
    }

    #[test]
    fn bad_laws_are_refused_with_a_word_that_helps() {
        let rows = [
            ("", "\"\" is not a number of microseconds"),
            (
                "weibull:3",
                "unknown law \"weibull:3\", expected US, exp:US",
            ),
            ("exp", "\"exp\" is not a number of microseconds"),
            ("exp:1:2", "not the right number of parts"),
            ("lognormal:10", "not the right number of parts"),
            ("lognormal:10:0", "\"0\" is not a number above 0, up to 5"),
            ("pareto:1.1:10", "not the right number of parts"),
            ("pareto:1.1:10:10", "10 is not below 10"),
            ("pareto:-1:1:10", "\"-1\" is not a number above 0"),
            ("hist:/nowhere", "/nowhere"),
        ];
        for (text, part) in rows {
            let said = Service::parse(text).expect_err(text);
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
