//! How things are called, and what came out in sentences.

use perf::Percentile;
use perf::chart::{self, Unit};
use perf::objective::{Highest, Metric, Statistic};
use perf::page::{Cell, Column, Table};

use super::super::digest::{Digest, Line};
use super::super::results::{Kind, Origin, Results, Wanted};
use super::highest;

/// A policy's word for where its figures come from.
pub fn origin_word(origin: Origin) -> &'static str {
    match origin {
        Origin::Live => "server",
        Origin::Simulated => "simulator",
        Origin::Replayed => "simulator, of the recording",
    }
}

/// For the strokes of charts.
pub fn stroke(origin: Origin) -> chart::Origin {
    match origin {
        Origin::Live => chart::Origin::Live,
        Origin::Simulated | Origin::Replayed => chart::Origin::Simulated,
    }
}

/// A load that was found.
pub fn load_text(highest: Highest) -> String {
    let text = |load: f64| Unit::Percent.text(load);
    match highest {
        Highest::Below(load) => format!("below {}", text(load)),
        Highest::At(load) => text(load),
        Highest::AtLeast(load) => format!("at least {}", text(load)),
    }
}

/// A value of the axis.
pub fn value_text(results: &Results, value: f64) -> String {
    match results.axis.kind {
        Kind::Load => format!("a {} of {}", results.axis.name, Unit::Percent.text(value)),
        Kind::Quantum => format!("a quantum of {}", Unit::Nanoseconds.text(value * 1e3)),
        Kind::Clients => format!("{value} clients"),
    }
}

/// A statistic's name.
pub fn statistic_word(statistic: Statistic) -> String {
    match statistic {
        Statistic::Mean => "mean".to_owned(),
        Statistic::At(Percentile(hundredths)) => format!("p{}", f64::from(hundredths) / 100.0),
    }
}

/// What was asked, and what came out.
pub fn lead(digest: &Digest<'_>) -> Vec<String> {
    let results = digest.results;
    let mut lead = vec![results.question.clone()];
    lead.extend(answers(digest));
    lead.push(how(results));
    let ended = results.manifest.ended_early.iter();
    lead.extend(ended.map(|why| format!("Note: not all runs were made: {why}.")));
    lead.extend(
        results
            .manifest
            .warnings
            .iter()
            .map(|warning| format!("Note: {warning}.")),
    );
    lead
}

/// A sentence for each objective, or for the last value of the axis.
fn answers(digest: &Digest<'_>) -> Vec<String> {
    let results = digest.results;
    let objectives = results.parsed_objectives();
    let best = results.origins().first().copied();
    let Some(origin) = best else {
        return vec!["Nothing was measured.".to_owned()];
    };
    let lines: Vec<Line> = digest
        .lines()
        .into_iter()
        .filter(|line| line.1 == origin)
        .collect();
    let from = origin_word(origin);
    if results.axis.kind == Kind::Load && !objectives.is_empty() {
        let sentences = objectives.iter().map(|objective| {
            let mut found: Vec<_> = lines
                .iter()
                .filter_map(|line| Some((*line, highest(digest, *line, objective)?)))
                .collect();
            found.sort_by(|a, b| b.1.load().total_cmp(&a.1.load()));
            let found = found.iter().map(|(line, highest)| {
                format!("{} {}", results.policies[line.0].name, load_text(*highest))
            });
            let found = match found.collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => "too few requests to tell".to_owned(),
                found => found,
            };
            format!("The load up to which {objective} on the {from}: {found}.")
        });
        return sentences.collect();
    }
    if results.axis.kind == Kind::Quantum {
        return vec![best_quanta(digest, &lines)];
    }
    let last = results.axis.values.len() - 1;
    let wanted = Wanted {
        metric: Metric::Sojourn,
        statistic: Statistic::At(Percentile::P99),
        class: None,
    };
    let found = lines.iter().filter_map(|line| {
        let value = digest.value(*line, last, wanted)?;
        let text = Unit::Nanoseconds.text(value.value);
        Some(format!("{} {text}", results.policies[line.0].name))
    });
    let found: Vec<_> = found.collect();
    vec![format!(
        "One request in a hundred is longer on the {from}, at {}, than: {}.",
        value_text(results, results.axis.values[last]),
        found.join(", ")
    )]
}

/// By which quantum the tail of each policy is shortest.
fn best_quanta(digest: &Digest<'_>, lines: &[Line]) -> String {
    let results = digest.results;
    let wanted = Wanted {
        metric: Metric::Slowdown,
        statistic: Statistic::At(Percentile::P99_9),
        class: None,
    };
    let best = lines.iter().filter_map(|line| {
        let values = 0..results.axis.values.len();
        let known = values.filter_map(|at| Some((at, digest.value(*line, at, wanted)?.value)));
        let (at, slowdown) = known.min_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(format!(
            "{} at {} ({})",
            results.policies[line.0].name,
            value_text(results, results.axis.values[at]),
            Unit::One.text(slowdown)
        ))
    });
    let best: Vec<_> = best.collect();
    format!(
        "The p99.9 of the slowdown is least for {}.",
        best.join(", for ")
    )
}

fn how(results: &Results) -> String {
    let runs = |origin: Origin| {
        results
            .runs
            .iter()
            .filter(|run| run.origin == origin)
            .count()
    };
    let (live, simulated) = (runs(Origin::Live), runs(Origin::Simulated));
    let mut parts = Vec::new();
    if live > 0 {
        parts.push(format!("{live} runs of a server on this machine"));
    }
    if simulated > 0 {
        parts.push(format!(
            "{simulated} of the simulator, which runs the same scheduler"
        ));
    }
    let workers = match results.workers {
        1 => "1 worker".to_owned(),
        workers => format!("{workers} workers"),
    };
    let same = match results.axis.kind {
        Kind::Clients => "each client asks again once it is answered",
        Kind::Load | Kind::Quantum => "every policy got the same requests",
    };
    format!(
        "Measured in {}; {workers}; {} of requests each, of which the first {} % are not measured; {same}. Slowdown is sojourn (from a request's arrival at the server until it is over there) divided by \
         what it takes undisturbed.",
        parts.join(" and "),
        Unit::Nanoseconds.text(results.duration_ns as f64),
        results.warmup_percent,
    )
}

/// What was asked for.
pub fn classes_table(results: &Results) -> Table {
    let rows = results.classes.iter().map(|class| {
        let deadline = class
            .deadline_ns
            .map(|ns| Unit::Nanoseconds.text(ns as f64));
        vec![
            Cell::new(&class.name),
            Cell::new(&class.service),
            Cell::new(Unit::Percent.text(class.share)),
            Cell::new(Unit::Nanoseconds.text(class.mean_ns)),
            Cell::new(deadline.unwrap_or_else(|| "none".to_owned())),
        ]
    });
    Table {
        caption: "The requests".to_owned(),
        columns: vec![
            Column::words("Class"),
            Column::words("Takes"),
            Column::numbers("Part of its tenant's requests", ""),
            Column::numbers("Mean", ""),
            Column::numbers("Deadline", ""),
        ],
        rows: rows.collect(),
    }
}

/// What was compared.
pub fn policies_table(results: &Results) -> Table {
    let rows = results.policies.iter().map(|policy| {
        let quantum = policy
            .quantum_us
            .map(|us| Unit::Nanoseconds.text(us as f64 * 1e3));
        let preemption = match &*policy.preemption {
            "off" => "off".to_owned(),
            way => format!("{way}, {}", policy.trigger),
        };
        vec![
            Cell::new(&policy.name),
            Cell::new(&policy.scheduler),
            Cell::new(quantum.unwrap_or_else(|| "as the axis says".to_owned())),
            Cell::new(preemption),
            Cell::new(&policy.dispatch),
            Cell::new(&policy.admission),
        ]
    });
    Table {
        caption: "The policies".to_owned(),
        columns: vec![
            Column::words("Policy"),
            Column::words("Scheduler"),
            Column::numbers("Quantum", ""),
            Column::words("Preemption"),
            Column::words("Dispatch"),
            Column::words("Admission"),
        ],
        rows: rows.collect(),
    }
}
