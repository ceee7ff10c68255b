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

    /// A statistic of a point, for a chart or a table: the geometric mean of its repetitions, as tails are spread by
    /// factors, and its interval, if there are several and each can tell; else of all together. `None` if it is not known
    /// or infinite.
    pub fn value(&self, line: Line, value: usize, wanted: Wanted) -> Option<Value> {
        let pooled = self.pooled(line, value, wanted).filter(|it| it.is_finite());
        let each = self.each(line, value, wanted);
        let runs = self
            .results
            .of(line.0, line.1, self.results.axis.values[value]);
        match between(&each).filter(|_| each.len() == runs.count()) {
            Some(told) => Some(told),
            None => pooled.map(|value| Value {
                value,
                interval: None,
            }),
        }
    }

    /// A statistic of a point, of all its repetitions together, which may be infinite; `None` if the sample is too small
    /// to tell.
    pub fn pooled(&self, line: Line, value: usize, wanted: Wanted) -> Option<f64> {
        wanted.of(self.measured(line, value)?)
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

/// What repetitions say: the mean of their logarithms and its interval.
fn between(values: &[f64]) -> Option<Value> {
    let is_fit = |value: &f64| *value > 0.0 && value.is_finite();
    if values.len() < 2 || !values.iter().all(is_fit) {
        return None;
    }
    let logarithms: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    let Interval { mean, half_width } = Interval::new(&logarithms, CONFIDENCE);
    Some(Value {
        value: mean.exp(),
        interval: Some(((mean - half_width).exp(), (mean + half_width).exp())),
    })
}
