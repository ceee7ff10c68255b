//! The simulator against closed forms ([`theory`]), against what holds for every run exactly ([`paths`]), and against
//! what it is meant to model, on scripts small enough to follow by hand ([`scripts`]). What goes in is looked at in
//! [`workloads`], and what comes out in [`reports`].

mod paths;
mod reports;
mod scripts;
mod theory;
mod workloads;

use sched::{Nanos, Params, Scheduler};

use super::arrivals::{Arrivals, Process};
use super::engine::{Config, Costs, Engine, Happening, Job, Request};
use super::workload::Workload;

/// No overhead, no bound that is ever reached.
fn config(workers: usize, scheduler: &str, quantum_ns: Nanos) -> Config {
    Config {
        workers,
        scheduler: Scheduler::from_name(scheduler).expect("a known name"),
        params: Params {
            quantum_ns,
            preemption: true,
            ..Params::default()
        },
        costs: Costs::default(),
        tasks_max: 1 << 30,
        backlog_max: 0,
    }
}

/// The first requests of a Poisson stream that loads the workers so much.
fn requests(workload: &str, workers: usize, load: f64, count: usize, seed: u64) -> Vec<Request> {
    let workload = Workload::parse(workload).expect("a known workload");
    let rate = load * workers as f64 / workload.mean_ns();
    let deadlines_ns = vec![Nanos::MAX; workload.classes.len()];
    let arrivals = Arrivals::new(&workload, Process::Poisson, rate, deadlines_ns, seed);
    arrivals.take(count).collect()
}

/// Runs to the end; what finished, in that order, with the time.
fn run(config: Config, requests: Vec<Request>) -> Vec<(Nanos, Job)> {
    let count = requests.len() as u64;
    let mut engine = Engine::new(config, requests.into_iter());
    let mut finished = Vec::new();
    while let Some(happening) = engine.step() {
        if let Happening::Finished { job, .. } = happening {
            finished.push((engine.now(), job));
        }
    }
    engine.totals().audit(count, &config.costs);
    finished
}

/// Who finished when, by order of arrival.
fn ends(finished: &[(Nanos, Job)]) -> Vec<(u64, Nanos)> {
    let ends = finished.iter();
    ends.map(|(now, job)| (job.request.arrival.seq, *now))
        .collect()
}

fn sojourn_ns((now, job): &(Nanos, Job)) -> Nanos {
    now - job.request.arrival.arrival_ns
}
