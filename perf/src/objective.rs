//! Objectives: what a latency is meant to be, and the highest load at which it is.
//!
//! `p99.9 slowdown <= 50` and `p99 sojourn of short <= 2ms` are objectives. Between two loads that were measured the
//! value is taken to go on exponentially (a straight line where the value's axis is logarithmic), which is how tails grow
//! towards saturation; beyond them nothing is said.

use std::fmt;

use crate::Percentile;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Sojourn over undisturbed service, a number.
    Slowdown,
    /// From arrival to the end on the worker, in nanoseconds.
    Sojourn,
}

/// Which value of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// The mean.
    Mean,
    /// A percentile.
    At(Percentile),
}

/// See the module's text.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// Which value.
    pub statistic: Statistic,
    /// Of what.
    pub metric: Metric,
    /// Of which class of requests; none: of all.
    pub class: Option<String>,
    /// What it is at most: a slowdown, or nanoseconds.
    pub at_most: f64,
}

const STATISTICS: [(&str, Statistic); 6] = [
    ("mean", Statistic::Mean),
    ("p50", Statistic::At(Percentile::P50)),
    ("p90", Statistic::At(Percentile::P90)),
    ("p99", Statistic::At(Percentile::P99)),
    ("p99.9", Statistic::At(Percentile::P99_9)),
    ("p99.99", Statistic::At(Percentile::P99_99)),
];

const METRICS: [(&str, Metric); 2] = [("slowdown", Metric::Slowdown), ("sojourn", Metric::Sojourn)];

const UNITS_NS: [(&str, f64); 4] = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)];

impl Objective {
    /// Understands an objective.
    ///
    /// # Errors
    ///
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not right; PERCENTILE METRIC [of CLASS] <= BOUND would be, such as \"p99.9 slowdown <= 50\" \
                 or \"p99 sojourn of short <= 2ms\" (mean, p50, p90, p99, p99.9, p99.99; slowdown, sojourn)"
            )
        };
        let (left, bound) = text.split_once("<=").ok_or_else(wrong)?;
        let mut words = left.split_whitespace();
        let statistic = named(&STATISTICS, words.next()).ok_or_else(wrong)?;
        let metric = named(&METRICS, words.next()).ok_or_else(wrong)?;
        let rest: Vec<&str> = words.collect();
        let class = match &rest[..] {
            [] => None,
            ["of", class @ ..] if !class.is_empty() => Some(class.join(" ")),
            _ => return Err(wrong()),
        };
        let bound = bound.trim();
        let at_most = match metric {
            Metric::Slowdown => bound.parse().ok(),
            Metric::Sojourn => time_ns(bound),
        };
        let at_most = at_most.filter(|at_most: &f64| at_most.is_finite() && *at_most > 0.0);
        Ok(Self {
            statistic,
            metric,
            class,
            at_most: at_most.ok_or_else(wrong)?,
        })
    }
}

fn named<T: Copy>(table: &[(&str, T)], name: Option<&str>) -> Option<T> {
    let found = table.iter().find(|(known, _)| Some(*known) == name);
    found.map(|(_, value)| *value)
}

fn time_ns(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let unit = named(&UNITS_NS, Some(&text[digits.len()..]))?;
    Some(digits.trim().parse::<f64>().ok()? * unit)
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statistic = STATISTICS.iter().find(|(_, it)| *it == self.statistic);
        let metric = METRICS.iter().find(|(_, it)| *it == self.metric);
        let name = |found: Option<&str>| found.unwrap_or("").to_owned();
        let statistic = name(statistic.map(|(name, _)| *name));
        let metric = name(metric.map(|(name, _)| *name));
        write!(f, "{statistic} {metric}")?;
        if let Some(class) = &self.class {
            write!(f, " of {class}")?;
        }
        match self.metric {
            Metric::Slowdown => write!(f, " <= {}", self.at_most),
            Metric::Sojourn => {
                let fits = |(_, unit): &&(&str, f64)| self.at_most >= *unit;
                let (unit, ns) = UNITS_NS.iter().rev().find(fits).unwrap_or(&UNITS_NS[0]);
                write!(f, " <= {}{unit}", self.at_most / ns)
            }
        }
    }
}

/// The highest load at which an objective is met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Highest {
    /// Not even at this one, the lowest that was tried.
    Below(f64),
    /// At this one.
    At(f64),
    /// At this one at least: the highest that was tried.
    AtLeast(f64),
}

impl Highest {
    /// By values at loads in ascending order. `None` if none is known.
    ///
    /// Only what is met at all lower loads counts: a value that falls again is a matter of chance. What is not known at
    /// low loads, of which the sample is the smallest, is left out; further up it ends what is met.
    #[must_use]
    pub fn of(values: &[(f64, Option<f64>)], at_most: f64) -> Option<Self> {
        let is_met = |value: Option<f64>| value.is_some_and(|value| value <= at_most);
        let known = values.iter().position(|(_, value)| value.is_some())?;
        let values = &values[known..];
        let first = values.first()?;
        let met = values
            .iter()
            .take_while(|(_, value)| is_met(*value))
            .count();
        if met == 0 {
            return Some(Self::Below(first.0));
        }
        let (load, value) = values[met - 1];
        Some(match (values.get(met), value) {
            (None, _) => Self::AtLeast(load),
            (Some(&(next_load, Some(next))), Some(value)) => {
                // ln at_most lies between the two logarithms.
                let part = (at_most / value).ln() / (next / value).ln();
                Self::At(load + (next_load - load) * part.clamp(0.0, 1.0))
            }
            (Some(_), _) => Self::At(load),
        })
    }

    /// The number alone.
    #[must_use]
    pub fn load(self) -> f64 {
        match self {
            Self::Below(load) | Self::At(load) | Self::AtLeast(load) => load,
        }
    }
}

impl fmt::Display for Highest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(load) => write!(f, "< {load:.3}"),
            Self::At(load) => write!(f, "{load:.3}"),
            Self::AtLeast(load) => write!(f, "≥ {load:.3}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_are_understood_and_written_as_they_were() {
        for (text, at_most, class) in [
            ("p99.9 slowdown <= 50", 50.0, None),
            ("mean slowdown of long <= 1.5", 1.5, Some("long")),
            ("p99 sojourn <= 2ms", 2e6, None),
            ("p50 sojourn of a b <= 250us", 250e3, Some("a b")),
            ("p99.99 sojourn <= 1.5s", 1.5e9, None),
        ] {
            let objective = Objective::parse(text).expect(text);
            assert_eq!(objective.to_string(), text);
            assert_eq!(
                (objective.at_most, objective.class.as_deref()),
                (at_most, class)
            );
        }
        for text in [
            "",
            "p99",
            "p98 slowdown <= 5",
            "p99 latency <= 5",
            "p99 slowdown < 5",
            "p99 slowdown <= x",
            "p99 slowdown <= -1",
            "p99 slowdown <= inf",
            "p99 slowdown <= 5ms",
            "p99 sojourn <= 5",
            "p99 sojourn <= 5min",
            "p99 sojourn of <= 5ms",
            "p99 sojourn short <= 5ms",
        ] {
            let said = Objective::parse(text).expect_err(text);
            assert!(said.contains("p99.9 slowdown <= 50"), "{said}");
        }
    }

    #[test]
    fn the_highest_load_is_between_those_that_were_measured() {
        let check = |values: &[(f64, Option<f64>)], expected: &str| {
            let highest = Highest::of(values, 100.0).expect("there are loads");
            assert_eq!(highest.to_string(), expected, "{values:?}");
        };
        check(&[(0.1, Some(101.0))], "< 0.100");
        check(&[(0.1, Some(100.0))], "≥ 0.100");
        // Halfway between 10 and 1000 on a logarithmic axis.
        check(&[(0.2, Some(10.0)), (0.4, Some(1000.0))], "0.300");
        check(&[(0.2, Some(10.0)), (0.4, None), (0.6, Some(1.0))], "0.200");
        check(&[(0.2, Some(100.0)), (0.4, Some(1000.0))], "0.200");
        check(&[(0.2, Some(10.0)), (0.4, Some(f64::INFINITY))], "0.200");
        check(&[(0.1, None), (0.2, Some(10.0))], "≥ 0.200");
        check(&[(0.1, None), (0.2, Some(101.0))], "< 0.200");
        check(
            &[(0.1, Some(1.0)), (0.2, Some(1000.0)), (0.3, Some(1.0))],
            "0.167",
        );
        assert_eq!(Highest::of(&[], 1.0), None);
        assert_eq!(Highest::of(&[(0.1, None)], 1.0), None);
    }
}
