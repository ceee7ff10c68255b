//! What a simulation says: histograms per class while it runs, a table or JSON at its end.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use perf::{Histogram, Summary};
use sched::Nanos;
use serde::Serialize;

use super::engine::Job;
use super::recorded::Recorded;
use super::scenario::Scenario;
use super::totals::Totals;

/// A slowdown is kept in thousandths.
const SLOWDOWN_SCALE: u64 = 1_000;

/// How many rows a table for people has; JSON has all.
const ROWS_MAX: usize = 24;

/// The requests of one class, or of all.
#[derive(Clone, Default)]
pub struct Tally {
    /// From arrival at the server to the end.
    sojourn_ns: Histogram,
    /// The part of it in which the request was not on a processor, nor waited for anything else.
    queue_ns: Histogram,
    /// Sojourn over service, in thousandths.
    slowdown: Histogram,
    missed: u64,
}

impl Tally {
    /// Adds a request that finished at `now`.
    pub fn record(&mut self, now: Nanos, job: &Job) {
        let arrival = &job.request.arrival;
        let sojourn_ns = now - arrival.arrival_ns;
        let queue_ns = sojourn_ns - job.held_ns - job.waited_ns;
        let service_ns = Some(job.request.service_ns);
        self.add(sojourn_ns, queue_ns, service_ns, now > arrival.deadline_ns);
    }

    /// Adds a request; one that has not run has no service, and no slowdown.
    pub fn add(
        &mut self,
        sojourn_ns: Nanos,
        queue_ns: Nanos,
        service_ns: Option<Nanos>,
        is_late: bool,
    ) {
        self.sojourn_ns.record(sojourn_ns);
        self.queue_ns.record(queue_ns);
        if let Some(service_ns) = service_ns {
            let scaled = sojourn_ns.saturating_mul(SLOWDOWN_SCALE);
            self.slowdown.record(scaled / service_ns);
        }
        self.missed += u64::from(is_late);
    }

    fn merge(&mut self, other: &Self) {
        self.sojourn_ns.merge(&other.sojourn_ns);
        self.queue_ns.merge(&other.queue_ns);
        self.slowdown.merge(&other.slowdown);
        self.missed += other.missed;
    }
}

/// A whole simulation. Times in nanoseconds; `null` where the sample is too small to tell.
#[derive(Debug, Serialize)]
pub struct Report {
    pub setting: Setting,
    /// From the first arrival that could be to the last request's end.
    pub simulated_ns: Nanos,
    /// The part of the workers' time that went into requests.
    pub utilisation: f64,
    /// The part of the workers' time that went into starting and interrupting.
    pub overhead: f64,
    pub preemptions: u64,
    pub refused: u64,
    /// The first row is all classes together; the tenants follow if there are several, then the classes likewise.
    pub classes: Vec<Row>,
    /// If it was a recording: the server's own run, in the same rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Recorded>,
}

/// What was simulated.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    pub workload: String,
    pub mean_service_ns: f64,
    pub service_scv: f64,
    pub arrivals: String,
    /// `null` if the clients decide.
    pub load: Option<f64>,
    pub workers: usize,
    pub scheduler: &'static str,
    pub quantum_ns: Nanos,
    pub preemption: bool,
    pub estimates: String,
    pub dispatch_ns: Nanos,
    pub start_ns: Nanos,
    pub preempt_ns: Nanos,
    pub finish_ns: Nanos,
    pub timer_jitter_ns: Nanos,
    pub requests: u64,
    pub warmup_requests: u64,
    pub seed: u64,
    pub deadlines: Vec<Deadline>,
}

/// The time from the arrival of a class's requests to their deadlines.
#[derive(Clone, Debug, Serialize)]
pub struct Deadline {
    pub class: String,
    pub deadline_ns: Nanos,
}

/// The requests of one class.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub class: String,
    /// Those that were measured: finished, and not in the warm-up.
    pub requests: u64,
    pub missed_deadlines: u64,
    pub sojourn_ns: Statistics,
    pub queue_ns: Statistics,
    pub slowdown: Statistics,
}

/// Chooses one of a row's statistics.
type Column = fn(&Row) -> &Statistics;

/// See [`Summary`].
#[derive(Clone, Debug, Serialize)]
pub struct Statistics {
    pub mean: Option<f64>,
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p99: Option<f64>,
    pub p99_9: Option<f64>,
    pub p99_99: Option<f64>,
    pub max: Option<f64>,
}

impl Statistics {
    const HEADS: [&'static str; 7] = ["mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"];

    fn cells(&self, unit: f64) -> [String; 7] {
        let &Self {
            mean,
            p50,
            p90,
            p99,
            p99_9,
            p99_99,
            max,
        } = self;
        [mean, p50, p90, p99, p99_9, p99_99, max].map(|value| cell(value, unit))
    }

    fn new(summary: &Summary, scale: u64) -> Self {
        let scaled = |value: Option<u64>| Some(value? as f64 / scale as f64);
        Self {
            mean: summary.mean.map(|mean| mean / scale as f64),
            p50: scaled(summary.p50),
            p90: scaled(summary.p90),
            p99: scaled(summary.p99),
            p99_9: scaled(summary.p99_9),
            p99_99: scaled(summary.p99_99),
            max: scaled(summary.max),
        }
    }
}

impl Report {
    /// `tallies` has an entry per class of the scenario.
    pub fn new(
        setting: Setting,
        scenario: &Scenario,
        tallies: &[Tally],
        totals: &Totals,
        simulated_ns: Nanos,
    ) -> Self {
        let capacity_ns = simulated_ns as f64 * setting.workers as f64;
        let part = |time_ns: u128| time_ns as f64 / capacity_ns;
        Self {
            simulated_ns,
            utilisation: part(totals.work_ns),
            overhead: part(totals.overhead_ns),
            preemptions: totals.preempted,
            refused: totals.refused,
            classes: rows(scenario, tallies),
            recorded: None,
            setting,
        }
    }

    /// The table for people: times in microseconds, `n/a` where the sample is too small to tell.
    pub fn table(&self) -> String {
        let mut text = self.head();
        let sections: [(&str, f64, Column); 3] = [
            ("sojourn, µs", 1e3, |row| &row.sojourn_ns),
            ("queue, µs", 1e3, |row| &row.queue_ns),
            ("slowdown", 1.0, |row| &row.slowdown),
        ];
        let shown = &self.classes[..self.classes.len().min(ROWS_MAX)];
        let width = shown.iter().map(|row| row.class.chars().count());
        let width = width.max().unwrap_or(0).max(11);
        for (title, unit, of) in sections {
            let mut line = |first: &str, requests: &str, cells: [String; 7]| {
                let _infallible = write!(text, "\n{first:<width$} {requests:>12}");
                for cell in cells {
                    let _infallible = write!(text, " {cell:>11}");
                }
            };
            line(title, "requests", Statistics::HEADS.map(String::from));
            for (at, row) in shown.iter().enumerate() {
                line(&row.class, &row.requests.to_string(), of(row).cells(unit));
                if let Some(recorded) = &self.recorded {
                    let row = &recorded.classes[at];
                    let requests = row.requests.to_string();
                    line("  recorded", &requests, of(row).cells(unit));
                }
            }
            text.push('\n');
        }
        let left_out = self.classes.len() - shown.len();
        if left_out > 0 {
            let _infallible = writeln!(text, "\n{left_out} classes more: see --json");
        }
        text
    }

    fn head(&self) -> String {
        let s = &self.setting;
        let us = |time_ns: Nanos| time_ns as f64 / 1e3;
        let preemption = if s.preemption { "on" } else { "off" };
        let missed = self.classes.first().map_or(0, |all| all.missed_deadlines);
        let recorded = self.recorded.as_ref().map_or(String::new(), Recorded::head);
        format!(
            "{}\n{}, quantum {} µs, preemption {preemption}, estimates {}; {}\n{}\n\
             {} requests, {} of them warm-up, seed {}; simulated {:.3} s\n\
             utilisation {:.4}, overhead {:.4}, preemptions {}, refused {}, missed deadlines {missed}\n{recorded}",
            s.asked(),
            s.scheduler,
            us(s.quantum_ns),
            s.estimates,
            s.costs(),
            s.deadlines(),
            s.requests,
            s.warmup_requests,
            s.seed,
            self.simulated_ns as f64 / 1e9,
            self.utilisation,
            self.overhead,
            self.preemptions,
            self.refused,
        )
    }
}

impl Setting {
    /// What is asked of the server, in a line.
    pub fn asked(&self) -> String {
        let load = self
            .load
            .map_or("load of the clients' making".into(), |load| {
                format!("load {load:.4}")
            });
        format!(
            "{} (mean {:.3} µs, C² {:.3}), {} arrivals, {load} of {} workers",
            self.workload,
            self.mean_service_ns / 1e3,
            self.service_scv,
            self.arrivals,
            self.workers,
        )
    }

    /// What things cost.
    pub fn costs(&self) -> String {
        format!(
            "costs: dispatch {} ns, start {} ns, preempt {} ns, finish {} ns, timer late by up to {} ns",
            self.dispatch_ns, self.start_ns, self.preempt_ns, self.finish_ns, self.timer_jitter_ns
        )
    }

    /// The deadlines: one if all are the same.
    pub fn deadlines(&self) -> String {
        let text = |deadline_ns| match deadline_ns {
            Nanos::MAX => "none".to_owned(),
            in_ns => format!("{} µs", in_ns as f64 / 1e3),
        };
        let distinct: BTreeSet<Nanos> = self.deadlines.iter().map(|d| d.deadline_ns).collect();
        if distinct.len() <= 1 {
            return format!(
                "deadline {}",
                text(*distinct.first().unwrap_or(&Nanos::MAX))
            );
        }
        let shown = self.deadlines.iter().take(ROWS_MAX);
        let each: Vec<String> = shown
            .map(|d| format!("{} {}", d.class, text(d.deadline_ns)))
            .collect();
        let more = if self.deadlines.len() > ROWS_MAX {
            ", …"
        } else {
            ""
        };
        format!("deadlines: {}{more}", each.join(", "))
    }
}

/// A row for all, and for each tenant and class if there are several; `tallies` are those of the classes.
pub fn rows(scenario: &Scenario, tallies: &[Tally]) -> Vec<Row> {
    let mut all = Tally::default();
    tallies.iter().for_each(|tally| all.merge(tally));
    let mut rows = vec![Row::new("all", &all)];
    if tallies.len() <= 1 {
        return rows;
    }
    // A tenant of one class has the row of that class.
    if scenario.tenants.len() > 1 && scenario.tenants.len() < tallies.len() {
        for (index, name) in scenario.tenants.iter().enumerate() {
            let mut tenant = Tally::default();
            let classes = scenario.classes.iter().zip(tallies);
            let own = classes.filter(|(class, _)| usize::from(class.tenant) == index);
            own.for_each(|(_, tally)| tenant.merge(tally));
            rows.push(Row::new(name, &tenant));
        }
    }
    let classes = scenario.classes.iter().zip(tallies);
    let new = classes.filter(|(class, _)| rows.iter().all(|row| row.class != class.name));
    let new: Vec<Row> = new
        .map(|(class, tally)| Row::new(&class.name, tally))
        .collect();
    rows.extend(new);
    rows
}

impl Row {
    fn new(class: &str, tally: &Tally) -> Self {
        Self {
            class: class.into(),
            requests: tally.sojourn_ns.count(),
            missed_deadlines: tally.missed,
            sojourn_ns: Statistics::new(&tally.sojourn_ns.summary(), 1),
            queue_ns: Statistics::new(&tally.queue_ns.summary(), 1),
            slowdown: Statistics::new(&tally.slowdown.summary(), SLOWDOWN_SCALE),
        }
    }
}

/// A number in a table; `n/a` where the sample is too small to tell.
pub fn cell(value: Option<f64>, unit: f64) -> String {
    value.map_or_else(|| "n/a".into(), |value| format!("{:.3}", value / unit))
}
