//! How far to believe the figures: whether server and simulator agree, what the machine alone does, what things cost, and
//! what went wrong.

use std::collections::BTreeMap;

use perf::chart::Unit;
use perf::objective::Statistic;
use perf::page::{Block, Cell, Column, Section, Table, Verdict};

use super::super::agreement::{Agreement, Verdict as Said, agreement};
use super::super::calibrate::Mode;
use super::super::digest::Digest;
use super::super::results::{Origin, Results};
use super::words::value_text;
use crate::sim::stalls::Stalls;

/// All of it.
pub fn section(digest: &Digest<'_>) -> Section {
    let results = digest.results;
    let mut blocks = Vec::new();
    let rows = agreement(digest);
    if !rows.is_empty() {
        blocks.push(Block::Table(agreement_table(digest, &rows)));
        blocks.push(Block::Paragraph(super::super::agreement::LEGEND.to_owned()));
    }
    if !results.noise.is_empty() {
        blocks.push(Block::Table(noise(results)));
    }
    let stalls = stalls(results);
    if !stalls.rows.is_empty() {
        blocks.push(Block::Table(stalls));
    }
    if let Some(calibration) = &results.calibration {
        blocks.push(Block::Table(costs(&calibration.modes)));
    }
    let faults = faults(results);
    if !faults.is_empty() {
        blocks.push(Block::Heading(
            "What is to be known of single runs".to_owned(),
        ));
        blocks.push(Block::List(faults));
    }
    Section {
        title: "How far to believe it".to_owned(),
        blocks,
    }
}

fn agreement_table(digest: &Digest<'_>, rows: &[Agreement]) -> Table {
    let results = digest.results;
    let word = |statistic: Statistic| super::words::statistic_word(statistic);
    let rows = rows.iter().map(|row| {
        let text =
            |value: Option<f64>| value.map_or("n/a".to_owned(), |value| Unit::One.text(value));
        let ratio =
            |value: Option<f64>| value.map_or("n/a".to_owned(), |value| format!("{value:.2}"));
        let by = Cell::new(ratio(row.ratio()));
        let verdict = match row.verdict() {
            Said::Agrees => by.marked(Verdict::Good, "agrees"),
            Said::WithinNoise => by.marked(Verdict::Uncertain, "within noise"),
            Said::DiffersByRequests => by.marked(Verdict::Uncertain, "arrivals or services"),
            Said::Differs => by.marked(Verdict::Bad, "differs"),
            Said::Unknown => by,
        };
        vec![
            Cell::new(&results.policies[row.policy].name),
            Cell::new(value_text(results, results.axis.values[row.value])),
            Cell::new(
                row.busy
                    .map_or("n/a".to_owned(), |busy| Unit::Percent.text(busy)),
            ),
            Cell::new(word(row.statistic)),
            Cell::new(text(row.live)),
            Cell::new(text(row.simulated)),
            verdict,
            Cell::new(text(row.replayed)),
            Cell::new(ratio(row.noise())),
        ]
    });
    Table {
        caption: "Slowdown of all requests on the server and in the simulator".to_owned(),
        columns: vec![
            Column::words("Policy"),
            Column::words("At"),
            Column::numbers("Workers busy", ""),
            Column::words("Percentile"),
            Column::numbers("Server", ""),
            Column::numbers("Simulator", ""),
            Column::numbers("Simulator/server", ""),
            Column::numbers("Simulator, of the recording", ""),
            Column::numbers("Between repetitions, as a factor", ""),
        ],
        rows: rows.collect(),
    }
}

fn noise(results: &Results) -> Table {
    let rows = results.noise.iter().enumerate().map(|(at, noise)| {
        let time = |ns: u64| Cell::new(Unit::Nanoseconds.text(ns as f64));
        vec![
            Cell::new(if at == 0 {
                "before the runs"
            } else {
                "after the runs"
            }),
            Cell::new(Unit::One.text(noise.per_second)),
            Cell::new(Unit::Percent.text(noise.share)),
            time(noise.p99_ns),
            time(noise.p99_9_ns),
            time(noise.max_ns),
        ]
    });
    Table {
        caption: "The noise floor: what a worker's core does to a thread that only looks at the clock. A percentile of latencies \
                  below that is the machine's, not the server's"
            .to_owned(),
        columns: vec![
            Column::words("When"),
            Column::numbers("Stalls of 5 µs or more", "/s"),
            Column::numbers("Part of the time", ""),
            Column::numbers("p99", ""),
            Column::numbers("p99.9", ""),
            Column::numbers("Longest", ""),
        ],
        rows: rows.collect(),
    }
}

/// Of all repetitions of a run on a server.
fn stalls(results: &Results) -> Table {
    let mut runs = BTreeMap::<(usize, u64), Vec<&Mode>>::new();
    for run in results.runs.iter().filter(|run| run.origin == Origin::Live) {
        let costs = run.live.as_ref().and_then(|live| live.costs.as_ref());
        let own = runs.entry((run.policy, run.value.to_bits())).or_default();
        own.extend(costs);
    }
    let rows = runs.into_iter().map(|((policy, value), modes)| {
        let mut cells = vec![
            Cell::new(&results.policies[policy].name),
            Cell::new(value_text(results, f64::from_bits(value))),
        ];
        cells.extend(told(modes.iter().map(|mode| &mode.stalls)));
        cells.extend(told(modes.iter().map(|mode| &mode.listener_stalls)));
        cells
    });
    Table {
        caption: "Stalls of 50 µs or more that the recordings of the servers show, a second of what was looked at; the simulator \
                  beside has as many as long. The listener is looked at while it has a request to dispatch"
            .to_owned(),
        columns: vec![
            Column::words("Policy"),
            Column::words("At"),
            Column::numbers("Workers' stalls", "/s"),
            Column::numbers("Part of the time", ""),
            Column::numbers("Longest", ""),
            Column::numbers("Listener's stalls", "/s"),
            Column::numbers("Part of the time", ""),
            Column::numbers("Longest", ""),
        ],
        rows: rows.collect(),
    }
}

/// How many a second, their part of the time, the longest.
fn told<'s>(stalls: impl ExactSizeIterator<Item = &'s Stalls> + Clone) -> [Cell; 3] {
    let count = stalls.len().max(1) as f64;
    let per_second = stalls.clone().map(|it| it.per_second).sum::<f64>() / count;
    let share = stalls.clone().map(Stalls::share).sum::<f64>() / count;
    let longest_ns = stalls.flat_map(|it| &it.lengths_ns).max();
    [
        Cell::new(Unit::One.text(per_second)),
        Cell::new(Unit::Percent.text(share)),
        Cell::new(Unit::Nanoseconds.text(longest_ns.copied().unwrap_or(0) as f64)),
    ]
}

fn costs(modes: &[Mode]) -> Table {
    let rows = modes.iter().map(|mode| {
        let time = |ns: u64| Cell::new(Unit::Nanoseconds.text(ns as f64));
        vec![
            Cell::new(format!("{}, {}", mode.preemption, mode.trigger)),
            time(mode.dispatch_ns),
            time(mode.start_ns),
            time(mode.finish_ns),
            time(mode.preempt_ns),
            time(mode.inflation_ns),
            time(mode.lateness_ns),
            Cell::new(format!("{:.3}", mode.stretch)),
        ]
    });
    Table {
        caption: "What things cost on this machine, as measured before the runs; where a server has run, the simulator reckons with what its recording shows, and with this for the rest".to_owned(),
        columns: vec![
            Column::words("Preemption"),
            Column::numbers("Dispatch", ""),
            Column::numbers("Start", ""),
            Column::numbers("Finish", ""),
            Column::numbers("Preemption, between slices", ""),
            Column::numbers("…, within them", ""),
            Column::numbers("Clock late by", ""),
            Column::numbers("Code longer by", ""),
        ],
        rows: rows.collect(),
    }
}

/// What went wrong, and where.
fn faults(results: &Results) -> Vec<String> {
    let mut faults = BTreeMap::<String, Vec<String>>::new();
    for run in results.runs.iter().filter(|run| run.origin == Origin::Live) {
        let place = run.folder.clone().unwrap_or_default();
        let measured = &run.measured;
        let live = run.live.iter();
        let mut said: Vec<String> = live
            .clone()
            .flat_map(|live| live.warnings.clone())
            .collect();
        if live.clone().any(|live| !live.is_right) {
            said.push("not all requests were answered rightly".to_owned());
        }
        if measured.events_lost > 0 {
            said.push("events were lost: the recording is not whole".to_owned());
        }
        if measured.torn > 0 {
            said.push("of some requests a part of the story is missing".to_owned());
        }
        for what in said {
            faults.entry(what).or_default().push(place.clone());
        }
    }
    let told = faults.into_iter().map(|(what, places)| {
        let shown: Vec<&str> = places.iter().take(5).map(|place| &**place).collect();
        let more = if places.len() > shown.len() {
            ", …"
        } else {
            ""
        };
        format!("{what} ({} runs: {}{more})", places.len(), shown.join(", "))
    });
    told.collect()
}
