//! One simulation from its first request to its last.

use sched::Nanos;

use super::engine::{Config, Engine, Happening};
use super::notes::Notes;
use super::progress::Progress;
use super::recorded::Recorded;
use super::report::{Deadline, Report, Setting, Tally};
use super::scenario::Scenario;

/// How long, and from what seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// `None`: as the scenario has it.
    pub load: Option<f64>,
    pub requests: u64,
    /// The part that is not measured, the first.
    pub warmup_percent: u64,
    pub seed: u64,
}

impl Run {
    /// The number of requests that are not measured.
    pub fn warmup(&self) -> u64 {
        (u128::from(self.requests) * u128::from(self.warmup_percent) / 100) as u64
    }
}

/// Simulates, and audits what was simulated.
pub fn simulate(
    scenario: &Scenario,
    config: &Config,
    estimates: &str,
    run: Run,
    progress: &Progress,
) -> Report {
    simulate_noting(scenario, config, estimates, run, progress, ())
}

/// The same, and `notes` is told what happens.
pub fn simulate_noting(
    scenario: &Scenario,
    config: &Config,
    estimates: &str,
    run: Run,
    progress: &Progress,
    notes: impl Notes,
) -> Report {
    let load = scenario.load(run.load, config.workers);
    let source = scenario.source(load, config.workers, run.requests, run.seed);
    let mut engine = Engine::noting(config.clone(), source, notes);
    let warmup = run.warmup();
    let mut tallies = vec![Tally::default(); scenario.classes.len()];
    let mut teller = progress.teller();
    while let Some(happening) = engine.step() {
        match happening {
            Happening::Finished { job, .. } => {
                teller.one();
                if job.request.arrival.seq >= warmup {
                    let class = usize::from(job.request.arrival.route);
                    tallies[class].record(engine.now(), &job);
                }
            }
            Happening::Refused { .. } => teller.one(),
            _ => {}
        }
    }
    let arrived = engine.totals().arrived;
    engine.totals().audit(arrived, &config.costs);
    let setting = Setting {
        workload: scenario.name.clone(),
        mean_service_ns: scenario.mean_service_ns,
        service_scv: scenario.service_scv,
        arrivals: scenario.arrivals.clone(),
        load,
        workers: config.workers,
        scheduler: config.scheduler.name,
        quantum_ns: config.params.quantum_ns,
        preemption: config.params.preemption,
        estimates: estimates.into(),
        dispatch_ns: config.costs.dispatch_ns,
        start_ns: config.costs.start_ns,
        preempt_ns: config.costs.preempt_ns,
        finish_ns: config.costs.finish_ns,
        timer_jitter_ns: config.costs.timer_jitter_ns,
        requests: arrived,
        warmup_requests: warmup.min(arrived),
        seed: run.seed,
        deadlines: deadlines(scenario),
    };
    let simulated_ns: Nanos = engine.now();
    let mut report = Report::new(setting, scenario, &tallies, engine.totals(), simulated_ns);
    report.recorded = Recorded::new(scenario, &run);
    report
}

fn deadlines(scenario: &Scenario) -> Vec<Deadline> {
    let classes = scenario.classes.iter().map(|class| Deadline {
        class: class.name.clone(),
        deadline_ns: class.deadline_ns,
    });
    classes.collect()
}
