//! Whether one measurement is better than another of the same: by pairs of runs of the same policy at the same point with
//! the same requests, so that what the requests do to both is no difference between them.
//!
//! Of each pair the logarithm of the ratio is taken, as tails differ by factors; of these the mean with its 95 % interval
//! by Student's t. A change is told if the interval does not hold 0.

use std::fmt::Write as _;

use perf::objective::{Metric, Statistic};
use perf::{Interval, Percentile};

use super::digest::CONFIDENCE;
use super::results::{Origin, Results, Run, Wanted};

/// What is compared: a name, and which number it is.
const COMPARED: [(&str, Wanted); 4] = [
    (
        "p99.9 slowdown",
        wanted(Metric::Slowdown, Statistic::At(Percentile::P99_9)),
    ),
    (
        "p99 slowdown",
        wanted(Metric::Slowdown, Statistic::At(Percentile::P99)),
    ),
    (
        "p50 slowdown",
        wanted(Metric::Slowdown, Statistic::At(Percentile::P50)),
    ),
    ("mean sojourn", wanted(Metric::Sojourn, Statistic::Mean)),
];

const fn wanted(metric: Metric, statistic: Statistic) -> Wanted {
    Wanted {
        metric,
        statistic,
        class: None,
    }
}

/// How one number of a policy has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub policy: String,
    pub origin: Origin,
    pub what: &'static str,
    pub pairs: usize,
    /// The second over the first, and its interval; `None` if there are fewer than two pairs.
    pub ratio: Option<(f64, (f64, f64))>,
}

/// What a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Better,
    /// By more than is let pass.
    Worse,
    /// By less than that.
    WorseWithin,
    Same,
    TooFew,
}

impl Change {
    /// What it is if so much is let pass, as a part of 1.
    pub fn verdict(&self, let_pass: f64) -> Verdict {
        match self.ratio {
            None => Verdict::TooFew,
            Some((_, (_, high))) if high < 1.0 => Verdict::Better,
            Some((ratio, (low, _))) if low > 1.0 && ratio > 1.0 + let_pass => Verdict::Worse,
            Some((_, (low, _))) if low > 1.0 => Verdict::WorseWithin,
            Some(_) => Verdict::Same,
        }
    }
}

/// What has changed from one to the other, for policies of the same names.
///
/// # Errors
///
/// A sentence about why they cannot be compared.
pub fn compare(first: &Results, second: &Results) -> Result<Vec<Change>, String> {
    if first.axis.name != second.axis.name {
        return Err(format!(
            "one goes along the {}, the other along the {}: two runs of one experiment would be right",
            first.axis.name, second.axis.name
        ));
    }
    let mut changes = Vec::new();
    for (policy, told) in first.policies.iter().enumerate() {
        let Some(other) = second.policies.iter().position(|it| it.name == told.name) else {
            continue;
        };
        for origin in [Origin::Live, Origin::Simulated] {
            let pairs = pairs((first, policy), (second, other), origin);
            if pairs.is_empty() {
                continue;
            }
            changes.extend(COMPARED.map(|(what, wanted)| Change {
                policy: told.name.clone(),
                origin,
                what,
                ..change(&pairs, wanted)
            }));
        }
    }
    match changes.is_empty() {
        true => Err("they have no policy and no point in common".to_owned()),
        false => Ok(changes),
    }
}

/// The runs of both at the same points.
fn pairs<'r>(
    (first, policy): (&'r Results, usize),
    (second, other): (&'r Results, usize),
    origin: Origin,
) -> Vec<(&'r Run, &'r Run)> {
    let own = first
        .runs
        .iter()
        .filter(|run| (run.policy, run.origin) == (policy, origin));
    let pairs = own.filter_map(|run| {
        let mut others = second.of(other, origin, run.value);
        let other = others.find(|other| other.repetition == run.repetition)?;
        Some((run, other))
    });
    pairs.collect()
}

fn change(pairs: &[(&Run, &Run)], wanted: Wanted) -> Change {
    let ratios = pairs.iter().filter_map(|(first, second)| {
        let ratio = wanted.of(&second.measured)? / wanted.of(&first.measured)?;
        (ratio > 0.0 && ratio.is_finite()).then(|| ratio.ln())
    });
    let ratios: Vec<f64> = ratios.collect();
    let ratio = (ratios.len() > 1).then(|| {
        let Interval { mean, half_width } = Interval::new(&ratios, CONFIDENCE);
        (
            mean.exp(),
            ((mean - half_width).exp(), (mean + half_width).exp()),
        )
    });
    Change {
        policy: String::new(),
        origin: Origin::Live,
        what: "",
        pairs: ratios.len(),
        ratio,
    }
}

/// The changes as a table.
pub fn table(changes: &[Change], let_pass: f64) -> String {
    let width = changes.iter().map(|change| change.policy.chars().count());
    let width = width.max().unwrap_or(0).max(6);
    let mut text = format!(
        "{:<width$}  {:<9}  {:<14}  {:>5}  {:>8}  {:>19}  verdict\n",
        "policy", "from", "what", "pairs", "change", "95 % interval"
    );
    let percent = |ratio: f64| format!("{:+.1} %", (ratio - 1.0) * 1e2);
    for change in changes {
        let from = match change.origin {
            Origin::Live => "server",
            Origin::Simulated | Origin::Replayed => "simulator",
        };
        let (by, interval) = match change.ratio {
            Some((ratio, (low, high))) => (
                percent(ratio),
                format!("{} to {}", percent(low), percent(high)),
            ),
            None => ("n/a".to_owned(), "n/a".to_owned()),
        };
        let verdict = match change.verdict(let_pass) {
            Verdict::Better => "better",
            Verdict::Worse => "WORSE",
            Verdict::WorseWithin => "worse, by less than is let pass",
            Verdict::Same => "not distinguishable",
            Verdict::TooFew => "too few runs",
        };
        let _infallible = writeln!(
            text,
            "{:<width$}  {from:<9}  {:<14}  {:>5}  {by:>8}  {interval:>19}  {verdict}",
            change.policy, change.what, change.pairs
        );
    }
    text
}
