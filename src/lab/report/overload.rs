//! What a server does with more than it can, and how long it takes to recover: for tenants that send for a while only.

use perf::chart::Unit;
use perf::page::{Block, Cell, Column, Section, Table};
use sched::Nanos;

use super::super::digest::{Digest, Line};
use super::super::measured::Interval;
use super::super::results::{Origin, Results, Run};
use super::words::{origin_word, value_text};

/// What the runs of a policy at a point have shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub policy: String,
    pub origin: Origin,
    pub value: f64,
    /// The mean of the goodput, and the longest recovery.
    pub shown: Shown,
    /// Of the run that had the least.
    pub least_goodput: f64,
}

/// What a run has shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shown {
    /// What was answered in time while the spell lasted, as a part of what the workers could have done.
    pub goodput: f64,
    /// From the end of the spell until no more requests are there than before it; none if that is not seen.
    pub recovery_ns: Option<Nanos>,
}

/// All spells, policy by policy.
pub fn section(digest: &Digest<'_>) -> Section {
    let rows = rows(digest.results);
    let blocks = match spell(digest.results) {
        Some(spell) if !rows.is_empty() => {
            vec![
                Block::Table(table(digest.results, &rows)),
                explanation(spell),
            ]
        }
        _ => Vec::new(),
    };
    Section {
        title: "Overload and recovery".to_owned(),
        blocks,
    }
}

/// Policy by policy, value by value; none if nobody sends for a while only.
pub fn rows(results: &Results) -> Vec<Row> {
    let Some(spell) = spell(results) else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for policy in 0..results.policies.len() {
        for origin in [Origin::Live, Origin::Simulated] {
            let values = results.axis.values.iter();
            rows.extend(values.filter_map(|value| row(results, (policy, origin), *value, spell)));
        }
    }
    rows
}

/// From the first request of those who send for a while until their last.
fn spell(results: &Results) -> Option<(Nanos, Nanos)> {
    let spells = results.classes.iter().filter_map(|class| class.spell);
    let whole = spells.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
    (whole.1 < results.duration_ns).then_some(whole)
}

fn row(
    results: &Results,
    (policy, origin): Line,
    value: f64,
    spell: (Nanos, Nanos),
) -> Option<Row> {
    let runs = results.of(policy, origin, value);
    let shown: Vec<Shown> = runs
        .filter_map(|run| Shown::of(results, run, spell))
        .collect();
    let goodputs = shown.iter().map(|run| run.goodput);
    let recoveries = shown.iter().map(|run| run.recovery_ns);
    Some(Row {
        policy: results.policies[policy].name.clone(),
        origin,
        value,
        least_goodput: goodputs.clone().reduce(f64::min)?,
        shown: Shown {
            goodput: goodputs.sum::<f64>() / shown.len() as f64,
            // One that has not recovered is longer than any.
            recovery_ns: recoveries.reduce(|a, b| Some(a?.max(b?))).flatten(),
        },
    })
}

fn table(results: &Results, rows: &[Row]) -> Table {
    let text = |ns: Nanos| Unit::Nanoseconds.text(ns as f64);
    let rows = rows.iter().map(|row| {
        let recovery = row.shown.recovery_ns.map(text);
        vec![
            Cell::new(&row.policy),
            Cell::new(origin_word(row.origin)),
            Cell::new(value_text(results, row.value)),
            Cell::new(Unit::Percent.text(row.shown.goodput)),
            Cell::new(Unit::Percent.text(row.least_goodput)),
            Cell::new(recovery.unwrap_or_else(|| "not within the run".to_owned())),
        ]
    });
    Table {
        caption: "What was answered in time during the spell, and how long it took afterwards"
            .to_owned(),
        columns: vec![
            Column::words("Policy"),
            Column::words("From"),
            Column::words("At"),
            Column::numbers("Goodput", ""),
            Column::numbers("Least goodput of a run", ""),
            Column::numbers("Longest recovery", ""),
        ],
        rows: rows.collect(),
    }
}

fn explanation((from_ns, until_ns): (Nanos, Nanos)) -> Block {
    let text = |ns: Nanos| Unit::Nanoseconds.text(ns as f64);
    Block::Paragraph(format!(
        "The spell is from {} to {}. Goodput is the service of the requests that were answered by their deadline within \
         it, as a part of what the workers could have done. Recovery is the time from its end until an interval ends \
         with no more requests on the server than before the spell at most.",
        text(from_ns),
        text(until_ns)
    ))
}

impl Shown {
    fn of(results: &Results, run: &Run, (from_ns, until_ns): (Nanos, Nanos)) -> Option<Self> {
        let intervals = &run.measured.intervals;
        let step_ns = intervals.get(1)?.from_ns;
        let is_within = |it: &&Interval| it.from_ns >= from_ns && it.from_ns + step_ns <= until_ns;
        let (mut good_ns, mut whole_ns) = (0.0, 0.0);
        for interval in intervals.iter().filter(is_within) {
            let classes = interval.classes.iter().zip(&results.classes);
            good_ns += classes
                .map(|(it, class)| it.good as f64 * class.mean_ns)
                .sum::<f64>();
            whole_ns += step_ns as f64 * results.workers as f64;
        }
        let before = intervals
            .iter()
            .filter(|it| it.from_ns + step_ns <= from_ns);
        let usual = before.map(|it| it.present).max().unwrap_or(0);
        let mut after = intervals.iter().filter(|it| it.from_ns >= until_ns);
        let recovered = after.find(|it| it.present <= usual);
        (whole_ns > 0.0).then(|| Self {
            goodput: good_ns / whole_ns,
            recovery_ns: recovered.map(|it| it.from_ns + step_ns - until_ns),
        })
    }
}
