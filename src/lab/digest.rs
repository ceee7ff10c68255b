//! Results as the report and comparisons look at them: repetitions merged once, and statistics with intervals.

use std::collections::BTreeMap;

use perf::Interval;

use super::measured::Measured;
use super::results::{Origin, Results, Wanted};

/// The probability that an interval holds the true value.
pub const CONFIDENCE: f64 = 0.95;

/// See the module's text.
pub struct Digest<'r> {
    pub results: &'r Results,
    /// By policy, origin and index of the value.
    merged: BTreeMap<(usize, Origin, usize), Measured>,
}

/// A number with its confidence interval, if there are repetitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    pub value: f64,
    pub interval: Option<(f64, f64)>,
}

/// A policy, and where its figures come from.
pub type Line = (usize, Origin);

impl<'r> Digest<'r> {
    pub fn new(results: &'r Results) -> Self {
        let mut merged = BTreeMap::<_, Measured>::new();
        for run in &results.runs {
            let values = &results.axis.values;
            let Some(value) = values.iter().position(|value| *value == run.value) else {
                continue;
            };
            let key = (run.policy, run.origin, value);
            merged.entry(key).or_default().merge(&run.measured);
        }
        Self { results, merged }
    }

    /// All repetitions of a point; `None` if there is none.
    pub fn measured(&self, (policy, origin): Line, value: usize) -> Option<&Measured> {
        self.merged.get(&(policy, origin, value))
    }

    /// A statistic of a point, of all its repetitions together; `None` if the sample is too small to tell.
    pub fn value(&self, line: Line, value: usize, wanted: Wanted) -> Option<Value> {
        let told = wanted.of(self.measured(line, value)?)?;
        Some(Value {
            value: told,
            interval: between(&self.each(line, value, wanted)),
        })
    }

    /// A statistic of a point, repetition by repetition, as far as they can tell.
    pub fn each(&self, (policy, origin): Line, value: usize, wanted: Wanted) -> Vec<f64> {
        let runs = self
            .results
            .of(policy, origin, self.results.axis.values[value]);
        runs.filter_map(|run| wanted.of(&run.measured)).collect()
    }

    /// The lines that there are figures of: policy by policy.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<_> = self
            .merged
            .keys()
            .map(|(policy, origin, _)| (*policy, *origin))
            .collect();
        lines.dedup();
        lines
    }
}

/// The interval of what repetitions say: of their logarithms, as tails are spread by factors.
fn between(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 || values.iter().any(|value| *value <= 0.0) {
        return None;
    }
    let logarithms: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    let Interval { mean, half_width } = Interval::new(&logarithms, CONFIDENCE);
    Some(((mean - half_width).exp(), (mean + half_width).exp()))
}
