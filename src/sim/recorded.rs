//! How the server itself fared: the recorded run in the columns of a simulated one, to be printed beside it.
//!
//! The same requests are looked at as in the simulation, but for those that were refused. One that was dropped counts as
//! long as it was there, like one that finished: to leave it out would make the server look the better the more it gives
//! up.

use std::fmt::Write as _;

use sched::Nanos;
use serde::Serialize;

use super::report::{Row, Tally, rows};
use super::run::Run;
use super::scenario::Scenario;
use super::timelines::Counts;
use super::trace::{Record, Trace, UNTOLD};

/// See the module's text. Times in nanoseconds; `null` where the sample is too small to tell.
#[derive(Clone, Debug, Serialize)]
pub struct Recorded {
    /// The server's version.
    pub luge: String,
    /// When the recording began, since 1970.
    pub started_unix_ns: u64,
    pub scheduler: String,
    pub quantum_ns: Nanos,
    /// How guests were preempted.
    pub preemption: String,
    pub dispatch: String,
    pub workers: u16,
    /// The end of the recording is missing.
    pub is_truncated: bool,
    #[serde(flatten)]
    pub counts: Counts,
    /// The load that all that is replayed was to the server; `null` if all came at once.
    pub load: Option<f64>,
    /// The part of the workers' time that went into requests, starts of sandboxes included.
    pub utilisation: f64,
    /// As those of the report.
    pub classes: Vec<Row>,
}

impl Recorded {
    /// `None` if the scenario is of no recording.
    pub fn new(scenario: &Scenario, run: &Run) -> Option<Self> {
        let (recording, trace) = scenario.replay()?;
        let header = &recording.header;
        let asked = trace.records().len().min(run.requests as usize);
        let records = &trace.records()[..asked];
        let warmup = run.warmup().min(asked as u64) as usize;
        let mut tallies = vec![Tally::default(); scenario.classes.len()];
        for record in &records[warmup..] {
            let class = usize::from(record.class);
            let deadline_ns = scenario.classes[class].deadline_ns;
            tally(&mut tallies[class], trace, record, deadline_ns);
        }
        Some(Self {
            luge: header.luge.clone(),
            started_unix_ns: header.started_unix_ns,
            scheduler: header.scheduler.clone(),
            quantum_ns: header.quantum_ns,
            preemption: header.preemption.clone(),
            dispatch: header.dispatch.clone(),
            workers: header.workers,
            is_truncated: recording.is_truncated,
            counts: recording.counts,
            load: trace.load(usize::from(header.workers)),
            utilisation: utilisation(records, header.workers),
            classes: rows(scenario, &tallies),
        })
    }

    /// What is recorded and what of it is replayed, in two lines for people.
    pub fn head(&self) -> String {
        let counts = &self.counts;
        let missed = self.classes.first().map_or(0, |all| all.missed_deadlines);
        let mut text = format!(
            "recorded by luge {}: {}, quantum {} µs, preemption {}, dispatch {}, {} workers; utilisation {:.4}, \
             preemptions {}, refused {}, missed deadlines {missed}\n{} requests replayed",
            self.luge,
            self.scheduler,
            self.quantum_ns as f64 / 1e3,
            self.preemption,
            self.dispatch,
            self.workers,
            self.utilisation,
            counts.preemptions,
            counts.refused,
            counts.replayed
        );
        for (count, what) in [
            (counts.not_run, "that did not run, for their route's mean"),
            (counts.cut_short, "that were cut short, for what they ran"),
        ] {
            if count > 0 {
                let _infallible = write!(text, ", {count} {what}");
            }
        }
        if let Some(left_out) = counts.left_out() {
            let _infallible = write!(text, "; left out: {left_out}");
        }
        if self.is_truncated {
            text += "; the end of the recording is missing";
        }
        text + "\n"
    }
}

fn tally(tally: &mut Tally, trace: &Trace, record: &Record, deadline_ns: Nanos) {
    let sojourn_ns = record.sojourn_ns;
    if sojourn_ns == UNTOLD {
        return;
    }
    let service_ns = (!record.is_guess).then_some(record.service_ns);
    let held_ns = service_ns.unwrap_or(0) + trace.waits_ns(record);
    // A burst that was too short for the clock is taken to be 1 ns long.
    let queue_ns = sojourn_ns.saturating_sub(held_ns);
    tally.add(sojourn_ns, queue_ns, service_ns, sojourn_ns > deadline_ns);
}

fn utilisation(records: &[Record], workers: u16) -> f64 {
    let ran = records.iter().filter(|record| !record.is_guess);
    let (mut work_ns, mut end_ns) = (0.0, 0);
    for record in ran {
        work_ns += record.service_ns as f64;
        end_ns = end_ns.max(record.arrival_ns as Nanos + record.sojourn_ns);
    }
    work_ns / (end_ns as f64 * f64::from(workers)).max(1.0)
}
