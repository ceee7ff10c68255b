//! Several policies under several loads, in one table. All see the same requests (common random numbers), so what
//! differs is the policy.

use std::fmt::Write as _;

use sched::{Nanos, Scheduler};

use super::engine::Config;
use super::parallel;
use super::progress::Progress;
use super::report::{Report, Row, cell};
use super::run::{Run, simulate};
use super::scenario::Scenario;
use super::service::parse_us;

/// A policy, maybe with a quantum of its own.
#[derive(Clone, Copy, Debug)]
pub struct Contestant {
    pub scheduler: &'static Scheduler,
    pub quantum_ns: Option<Nanos>,
}

impl Contestant {
    /// Understands `NAME` and `NAME:QUANTUM_US`.
    ///
    /// # Errors
    ///
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, quantum) = match text.split_once(':') {
            Some((name, quantum)) => (name, Some(parse_us(quantum)?)),
            None => (text, None),
        };
        Ok(Self {
            scheduler: Scheduler::from_name(name).map_err(|unknown| unknown.to_string())?,
            quantum_ns: quantum,
        })
    }

    fn configure(&self, config: &Config) -> Config {
        let mut config = config.clone();
        config.scheduler = self.scheduler;
        if let Some(quantum_ns) = self.quantum_ns {
            config.params.quantum_ns = quantum_ns;
        }
        config
    }
}

/// A report for each load and each policy, the loads outside.
pub fn compare(
    scenario: &Scenario,
    config: &Config,
    contestants: &[Contestant],
    loads: &[Option<f64>],
    estimates: &str,
    run: Run,
) -> Vec<Report> {
    let runs = contestants.len() * loads.len();
    let progress = Progress::new(run.requests.saturating_mul(runs as u64));
    parallel::map(runs, |index| {
        let config = contestants[index % contestants.len()].configure(config);
        let load = loads[index / contestants.len()];
        simulate(scenario, &config, estimates, Run { load, ..run }, &progress)
    })
}

/// The table for people.
pub fn table(reports: &[Report], quantum_ns: Nanos) -> String {
    let Some(first) = reports.first() else {
        return String::new();
    };
    let s = &first.setting;
    let mut text = format!(
        "{} (mean {:.3} µs, C² {:.3}), {} arrivals, {} workers\nquantum {} µs unless said, estimates {}; {}\n{}\n\
         {} requests a run, {} of them warm-up, seed {}; sojourns in µs\n\n",
        s.workload,
        s.mean_service_ns / 1e3,
        s.service_scv,
        s.arrivals,
        s.workers,
        quantum_ns as f64 / 1e3,
        s.estimates,
        s.costs(),
        s.deadlines(),
        s.requests,
        s.warmup_requests,
        s.seed
    );
    if let Some(recorded) = &first.recorded {
        text.pop();
        text += &recorded.head();
        text.push('\n');
    }
    let classes = first.classes.len();
    for index in 0..classes {
        if classes > 1 {
            let _infallible = writeln!(text, "{}:", first.classes[index].class);
        }
        text += &section(reports, index);
        text.push('\n');
    }
    text.pop();
    text
}

/// One row of the reports, for all runs, the recorded one first.
fn section(reports: &[Report], index: usize) -> String {
    let mut text = format!(
        "{:>6} {:<16} {:>11} {:>11} {:>11} {:>11} {:>10} {:>10} {:>10} {:>8} {:>9}\n",
        "load",
        "policy",
        "mean",
        "p50",
        "p99",
        "p99.9",
        "slow mean",
        "slow p99",
        "slow p99.9",
        "late %",
        "overhead"
    );
    let quantum_ns = |report: &Report| report.setting.quantum_ns;
    let alike = reports
        .iter()
        .all(|report| quantum_ns(report) == quantum_ns(&reports[0]));
    if let Some(recorded) = &reports[0].recorded {
        let row = &recorded.classes[index];
        text += &line(recorded.load, "recorded", row, "-");
        text.push('\n');
    }
    for report in reports {
        let s = &report.setting;
        let policy = match alike {
            true => s.scheduler.to_owned(),
            false => format!("{} {} µs", s.scheduler, s.quantum_ns as f64 / 1e3),
        };
        let overhead = format!("{:.4}", report.overhead);
        text += &line(s.load, &policy, &report.classes[index], &overhead);
        let _infallible = writeln!(text, "{}", refused(report));
    }
    text
}

/// One run, without the end of its line.
fn line(load: Option<f64>, policy: &str, row: &Row, overhead: &str) -> String {
    let late = row.missed_deadlines as f64 / row.requests.max(1) as f64 * 100.0;
    let (sojourn, slowdown) = (&row.sojourn_ns, &row.slowdown);
    format!(
        "{:>6} {:<16} {:>11} {:>11} {:>11} {:>11} {:>10} {:>10} {:>10} {late:>8.3} {overhead:>9}",
        load.map_or("-".into(), |load| format!("{load:.3}")),
        policy,
        cell(sojourn.mean, 1e3),
        cell(sojourn.p50, 1e3),
        cell(sojourn.p99, 1e3),
        cell(sojourn.p99_9, 1e3),
        cell(slowdown.mean, 1.0),
        cell(slowdown.p99, 1.0),
        cell(slowdown.p99_9, 1.0),
    )
}

fn refused(report: &Report) -> String {
    match report.refused {
        0 => String::new(),
        count => format!("  {count} refused"),
    }
}
