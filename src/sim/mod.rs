//! The simulator: the server's own dispatch, policies and worker loop on virtual time.
//!
//! It answers what a policy would do to the tail at a load, for any number of workers, without a machine to spare. Time
//! is in integer nanoseconds and everything random comes from one seed, so a run is repeated to the byte. It knows no
//! guests, sockets or operating system; what they cost are parameters.
//!
//! | file | subject |
//! | --- | --- |
//! | [`engine`] | the machine: listener, workers, timers |
//! | [`calendar`] | when each worker is next to be looked at |
//! | [`workload`] | how long requests take |
//! | [`arrivals`] | when they come |
//! | [`report`] | what is measured, and its table and JSON |

mod arrivals;
mod calendar;
mod engine;
mod report;
#[cfg(test)]
mod tests;
mod workload;

use std::io::{self, Write};

use clap::{Parser, builder::PossibleValuesParser};
use sched::{Nanos, Params, Scheduler, UnknownScheduler};

use arrivals::{Arrivals, Process};
use engine::{Config, Costs, Engine, Happening};
use report::{Report, Setting, Tally};
use workload::{NAMED, Workload, parse_us};

/// How many workers can be simulated.
const WORKERS_MAX: u64 = 1_024;

/// What a deadline is by default: so many times the class's mean service.
const DEADLINE_SERVICES: u64 = 10;

/// Simulate a scheduler under load, on virtual time
#[derive(Clone, Debug, Parser)]
pub struct Args {
    /// How long requests take: a name (see --list), fixed:US, exp:US, bimodal:P:US,P:US or mix:P:US,…
    #[arg(long, default_value = "wasm-edge", value_parser = Workload::parse, value_name = "NAME|FORMULA")]
    workload: Workload,

    /// The policy of the workers
    #[arg(long, default_value = "rr", value_parser = PossibleValuesParser::new(Scheduler::names()))]
    scheduler: String,

    /// How long a request is left in peace once it runs
    #[arg(long = "quantum-us", default_value = "100", value_parser = parse_us, value_name = "US")]
    quantum_ns: Nanos,

    /// Whether running requests may be interrupted
    #[arg(long, default_value = "on", value_parser = PossibleValuesParser::new(["on", "off"]))]
    preemption: String,

    /// The number of workers
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=WORKERS_MAX))]
    workers: u64,

    /// The load, as a fraction of what the workers could do without any overhead
    #[arg(long, default_value = "0.8", value_parser = parse_load)]
    load: f64,

    /// When requests come
    #[arg(long, value_enum, default_value_t = Process::Poisson)]
    arrivals: Process,

    /// The number of requests
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    requests: u64,

    /// How many of them, the first, are not measured
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=99), value_name = "PERCENT")]
    warmup_percent: u64,

    /// What all randomness comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// The listener's time per request
    #[arg(long, default_value_t = 0, value_parser = cost(), value_name = "NS")]
    dispatch_ns: Nanos,

    /// A worker's time to start a sandbox
    #[arg(long, default_value_t = 0, value_parser = cost(), value_name = "NS")]
    start_ns: Nanos,

    /// A worker's time per interruption
    #[arg(long, default_value_t = 0, value_parser = cost(), value_name = "NS")]
    preempt_ns: Nanos,

    /// From arrival to deadline, for all classes [default: ten times the class's mean service]
    #[arg(long = "deadline-us", value_parser = parse_us, value_name = "US")]
    deadline_ns: Option<Nanos>,

    /// How many requests a worker takes at a time
    #[arg(long, default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(1..1 << 31))]
    tasks_max: u32,

    /// How many requests wait at the dispatcher while all workers are full; beyond, they are refused
    #[arg(long, default_value_t = 0, value_name = "REQUESTS")]
    backlog_max: u32,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,

    /// Print the workloads that have names
    #[arg(long)]
    list: bool,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// A scheduler that is not in the table.
    #[error(transparent)]
    Scheduler(#[from] UnknownScheduler),
    /// The result could not be written.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

/// Runs the simulation and prints its result.
///
/// # Errors
///
/// See [`SimError`].
pub fn run(args: &Args) -> Result<(), SimError> {
    let text = if args.list {
        list()
    } else {
        let report = simulate(args)?;
        if args.json {
            serde_json::to_string_pretty(&report).map_err(io::Error::from)? + "\n"
        } else {
            report.table()
        }
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

fn simulate(args: &Args) -> Result<Report, SimError> {
    let config = args.config()?;
    let workload = &args.workload;
    let rate = args.load * config.workers as f64 / workload.mean_ns();
    let deadlines_ns = workload.classes.iter().map(|class| {
        let usual_ns = class.service.mean_ns().saturating_mul(DEADLINE_SERVICES);
        args.deadline_ns.unwrap_or(usual_ns)
    });
    let arrivals = Arrivals::new(
        workload,
        args.arrivals,
        rate,
        deadlines_ns.collect(),
        args.seed,
    );
    let mut engine = Engine::new(config, arrivals.take(args.requests as usize));

    let warmup = args.warmup();
    let mut tallies = vec![Tally::default(); workload.classes.len()];
    while let Some(happening) = engine.step() {
        if let Happening::Finished { job, .. } = happening
            && job.request.arrival.seq >= warmup
        {
            let class = usize::from(job.request.arrival.route);
            tallies[class].record(engine.now(), &job);
        }
    }
    engine.totals().audit(args.requests, &config.costs);
    let setting = args.setting(&config);
    Ok(Report::new(
        setting,
        workload,
        &tallies,
        engine.totals(),
        engine.now(),
    ))
}

impl Args {
    fn config(&self) -> Result<Config, SimError> {
        Ok(Config {
            workers: self.workers as usize,
            scheduler: Scheduler::from_name(&self.scheduler)?,
            params: Params {
                quantum_ns: self.quantum_ns,
                preemption: self.preemption == "on",
                ..Params::default()
            },
            costs: Costs {
                dispatch_ns: self.dispatch_ns,
                start_ns: self.start_ns,
                preempt_ns: self.preempt_ns,
            },
            tasks_max: self.tasks_max,
            backlog_max: self.backlog_max as usize,
        })
    }

    /// The number of requests that are not measured.
    fn warmup(&self) -> u64 {
        (u128::from(self.requests) * u128::from(self.warmup_percent) / 100) as u64
    }

    fn setting(&self, config: &Config) -> Setting {
        Setting {
            workload: self.workload.name.clone(),
            mean_service_ns: self.workload.mean_ns(),
            service_scv: self.workload.scv(),
            arrivals: self.arrivals.name(),
            load: self.load,
            workers: config.workers,
            scheduler: config.scheduler.name,
            quantum_ns: config.params.quantum_ns,
            preemption: config.params.preemption,
            dispatch_ns: config.costs.dispatch_ns,
            start_ns: config.costs.start_ns,
            preempt_ns: config.costs.preempt_ns,
            requests: self.requests,
            warmup_requests: self.warmup(),
            seed: self.seed,
        }
    }
}

fn list() -> String {
    let rows = NAMED.iter().map(|named| {
        let name = named.names[0];
        let workload = Workload::parse(name).expect("the table is right");
        let (mean_us, scv) = (workload.mean_ns() / 1e3, workload.scv());
        format!("{name:<20} {mean_us:>10.4} {scv:>9.3}  {}\n", named.source)
    });
    format!("{:<20} {:>10} {:>9}  used by\n", "name", "mean, µs", "C²") + &rows.collect::<String>()
}

/// A load may exceed 1: that is an overload.
fn parse_load(text: &str) -> Result<f64, String> {
    let load = text
        .parse()
        .ok()
        .filter(|load| (0.001..=1_000.0).contains(load));
    load.ok_or_else(|| format!("{text:?} is not a number from 0.001 to 1000"))
}

/// A cost is below a second.
fn cost() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(0..1_000_000_000)
}
