//! Whether one measurement is better than another of the same: by pairs of runs of the same policy at the same point with
//! the same requests, so that what the requests do to both is no difference between them.
//!
//! Of each pair the logarithm of the ratio is taken, as tails differ by factors, and of these the mean over the points of a
//! repetition, as those share their requests. The mean over repetitions has its 95 % interval by Student's t. A change is
//! told if the interval does not hold 0; of many comparisons one in twenty does that by chance.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use perf::objective::{Metric, Statistic};
use perf::{Interval, Percentile};

use super::digest::CONFIDENCE;
use super::report::words::origin_word;
use super::results::{Origin, Results, Run, Wanted};

/// Which number of a run is compared.
#[derive(Clone, Copy)]
enum Compared {
    Latency(Wanted),
    /// Requests for each that was answered, at least 1.
    PerAnswer,
}

/// What is compared: a name, and which number it is. Of all of them less is better.
const COMPARED: [(&str, Compared); 5] = [
    (
        "p99.9 slowdown",
        latency(Metric::Slowdown, Statistic::At(Percentile::P99_9)),
    ),
    (
        "p99 slowdown",
        latency(Metric::Slowdown, Statistic::At(Percentile::P99)),
    ),
    (
        "p50 slowdown",
        latency(Metric::Slowdown, Statistic::At(Percentile::P50)),
    ),
    ("mean sojourn", latency(Metric::Sojourn, Statistic::Mean)),
    ("asked/answered", Compared::PerAnswer),
];

const fn latency(metric: Metric, statistic: Statistic) -> Compared {
    Compared::Latency(Wanted {
        metric,
        statistic,
        class: None,
    })
}

impl Compared {
    /// `None` if it is not known or infinite.
    fn of(self, run: &Run) -> Option<f64> {
        let value = match self {
            Self::Latency(wanted) => wanted.of(&run.measured)?,
            Self::PerAnswer => {
                let all = run.measured.all();
                all.requests as f64 / all.finished as f64
            }
        };
        value.is_finite().then_some(value)
    }
}

/// How one number of a policy has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub policy: String,
    pub origin: Origin,
    pub what: &'static str,
    /// Repetitions of both.
    pub pairs: usize,
    /// The second over the first, and its interval; `None` if there are fewer than two.
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
    for (what, is_same) in [
        ("axis", first.axis.name == second.axis.name),
        ("classes", classes(first) == classes(second)),
        ("workers", first.workers == second.workers),
        ("duration", first.duration_ns == second.duration_ns),
        ("warm-up", first.warmup_percent == second.warmup_percent),
        // With none, nothing takes time in the simulator.
        (
            "costs, which only one has measured",
            first.calibration.is_some() == second.calibration.is_some(),
        ),
    ] {
        if !is_same {
            return Err(format!(
                "they differ by their {what}: two runs of one experiment would be right"
            ));
        }
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
            changes.extend(COMPARED.map(|(what, compared)| {
                let means = means(&pairs, compared);
                Change {
                    policy: told.name.clone(),
                    origin,
                    what,
                    pairs: means.len(),
                    ratio: ratio(&means),
                }
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

/// What is asked of the server: name, law and share of each class.
fn classes(results: &Results) -> Vec<(&str, &str, f64)> {
    let classes = results.classes.iter();
    let classes = classes.map(|class| (&*class.name, &*class.service, class.share));
    classes.collect()
}

/// By repetition: the mean of the logarithms of the ratios at its points.
fn means(pairs: &[(&Run, &Run)], compared: Compared) -> Vec<f64> {
    let mut logarithms = BTreeMap::<u32, Vec<f64>>::new();
    for (first, second) in pairs {
        let ratio = compared.of(second).zip(compared.of(first));
        let Some(ratio) = ratio.map(|(second, first)| second / first) else {
            continue;
        };
        if ratio > 0.0 && ratio.is_finite() {
            let own = logarithms.entry(first.repetition).or_default();
            own.push(ratio.ln());
        }
    }
    let mean = |own: Vec<f64>| own.iter().sum::<f64>() / own.len() as f64;
    logarithms.into_values().map(mean).collect()
}

fn ratio(logarithms: &[f64]) -> Option<(f64, (f64, f64))> {
    if logarithms.len() < 2 {
        return None;
    }
    let Interval { mean, half_width } = Interval::new(logarithms, CONFIDENCE);
    let interval = ((mean - half_width).exp(), (mean + half_width).exp());
    Some((mean.exp(), interval))
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
        let from = origin_word(change.origin);
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
