//! The command line of `luge sim`, understood and checked.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Parser, Subcommand, builder::PossibleValuesParser};
use sched::dispatch::jbsq::BoundedQueues;
use sched::limits::QUANTUM_MAX_NS;
use sched::{
    DISPATCHERS, DispatchParams, Dispatcher, Fact, Nanos, PARAMS, Param, Params, Reservation,
    Scheduler, Tenant, demand,
};

use super::arrivals::{Estimate, Process};
use super::azure::Day;
use super::compare::Contestant;
use super::engine::{Config, Costs};
use super::front::{FrontConfig, Room};
use super::replay::{Recording, Replay};
use super::run::Run;
use super::scenario::Scenario;
use super::service::parse_us;
use super::stalls::Stalls;
use super::tenants;
use super::trace::{Format, Trace};
use super::workload::Workload;

/// How many workers can be simulated.
const WORKERS_MAX: u64 = 1_024;

/// How many requests there are where nothing else is said.
const REQUESTS_DEFAULT: u64 = 1_000_000;

/// How many requests wait in a central queue where nothing else is said.
const BACKLOG_DEFAULT: u32 = 1 << 20;

/// How many policies, and how many loads, are compared at most.
const COMPARED_MAX: usize = 64;

/// The policy, its quantum in nanoseconds and the number of workers where nothing else is said.
const SCHEDULER_DEFAULT: &str = "rr";
const QUANTUM_DEFAULT_NS: Nanos = 100_000;
const WORKERS_DEFAULT: u64 = 3;

/// Simulate a scheduler under load, on virtual time
#[derive(Clone, Debug, Parser)]
#[command(args_conflicts_with_subcommands = true, allow_negative_numbers = true)]
#[command(group = ArgGroup::new("owed").args(["tenants", "replay"]).multiple(true))]
pub struct Args {
    /// What else to do
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    /// How long requests take: a name (see --list), fixed:US, exp:US, lognormal:US:SIGMA,
    /// pareto:ALPHA:LOW_US:HIGH_US, hist:FILE (a log of HdrHistogram in ns, or CSV with value_us,count), or
    /// mix:SHARE:LAW,… of these
    #[arg(long, default_value = "wasm-edge", value_parser = Workload::parse, value_name = "NAME|LAW")]
    workload: Workload,

    /// The policy of the workers [default: rr, or as recorded]
    #[arg(long, value_parser = PossibleValuesParser::new(Scheduler::names()))]
    scheduler: Option<String>,

    /// Compare these policies on the same requests, each with its own quantum if it has one: rr:100,rr:1000,fifo
    #[arg(long, value_delimiter = ',', value_parser = Contestant::parse, value_name = "NAME[:US]", conflicts_with = "scheduler")]
    compare: Vec<Contestant>,

    /// How long a request is left in peace once it runs [default: 100, or as recorded]
    #[arg(long = "quantum-us", value_parser = parse_us, value_name = "US")]
    quantum_ns: Option<Nanos>,

    /// Another number that policies are told: hysteresis-ns (llf), levels or boost-ns (mlfq)
    #[arg(long = "param", value_parser = parse_param, value_name = "NAME=VALUE")]
    params: Vec<(&'static str, u64)>,

    /// Whether running requests may be interrupted [default: on, or as recorded]
    #[arg(long, value_parser = PossibleValuesParser::new(["on", "off"]))]
    preemption: Option<String>,

    /// The number of workers [default: 3, or as recorded]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=WORKERS_MAX))]
    workers: Option<u64>,

    /// The load, as a fraction of what the workers could do without any overhead [default: 0.8, or as the tenants, the
    /// trace or the recording have it]
    #[arg(long, value_parser = parse_load)]
    load: Option<f64>,

    /// Several loads, one after the other
    #[arg(long, value_delimiter = ',', value_parser = parse_load, conflicts_with = "load", value_name = "LOAD,…")]
    loads: Vec<f64>,

    /// When requests come: poisson, deterministic, onoff:ON_US:OFF_US, mmpp:RATIO:HIGH_US:LOW_US, or
    /// closed:CLIENTS:THINK with the law of the time that a client thinks
    #[arg(long, default_value = "poisson", value_parser = Process::parse, value_name = "PROCESS")]
    arrivals: Process,

    /// A JSON file of tenants, each with its load, workload, arrivals, weight, budget; beside --replay, with the weight and
    /// budget that it has instead of the recorded ones
    #[arg(long, conflicts_with_all = ["trace", "arrivals"], value_name = "FILE")]
    tenants: Option<PathBuf>,

    /// Recorded requests; a load that is given stretches the times between them
    #[arg(long, conflicts_with_all = ["arrivals", "estimates"], value_name = "FILE")]
    trace: Option<PathBuf>,

    /// A recording of a server (luge serve --record): its requests, and how the server itself has done. What is not
    /// asked for here is as it was there
    #[arg(long, conflicts_with_all = ["trace", "arrivals", "workload"], value_name = "FILE")]
    replay: Option<PathBuf>,

    /// The form of the trace
    #[arg(long, value_enum, default_value_t = Format::Luge, requires = "trace")]
    trace_format: Format,

    /// What is expected of a request, for policies that look at sizes, and for admission: mean (of its class), exact,
    /// none, noisy:SIGMA, or learnt per class from what ran: window:PERCENT (of the last 256), quantile:PERCENT
    /// [default: mean, or as recorded]
    #[arg(long, value_parser = Estimate::parse, value_name = "WHAT")]
    estimates: Option<Estimate>,

    /// The number of requests [default: 1000000, or all of the trace or recording]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,

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

    /// A worker's time after the end of a request
    #[arg(long, default_value_t = 0, value_parser = cost(), value_name = "NS")]
    finish_ns: Nanos,

    /// How late a worker's timer rings at most, all times up to it being equally likely
    #[arg(long, default_value_t = 0, value_parser = cost(), value_name = "NS")]
    timer_jitter_ns: Nanos,

    /// From arrival to deadline, for all classes [default: ten times the class's mean service, or as recorded]
    #[arg(long = "deadline-us", value_parser = parse_us, value_name = "US")]
    deadline_ns: Option<Nanos>,

    /// Which worker gets a request: jsq (the least loaded), jbsq (a central queue), and so on [default: jsq, or as
    /// recorded]
    #[arg(long, value_parser = PossibleValuesParser::new(DISPATCHERS.iter().map(|row| row.name)))]
    dispatch: Option<String>,

    /// How many requests a worker has at most while others wait at the dispatcher (jbsq)
    #[arg(long, default_value_t = DispatchParams::default().bound, value_parser = clap::value_parser!(u32).range(1..1 << 20))]
    dispatch_bound: u32,

    /// When the server has room for a request: none (always), utilisation or utilisation:RESERVE_PERCENT (of execution/deadline),
    /// demand or demand:RESERVE_PERCENT (what reservations carry, too), or delay:TARGET_US:INTERVAL_US
    #[arg(long, default_value = "none", value_parser = Room::parse, value_name = "RULE")]
    admission: Room,

    /// Refuse tenants beyond their budgets
    #[arg(long, requires = "owed")]
    budgets: bool,

    /// How many requests a worker takes at a time
    #[arg(long, default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(1..1 << 31))]
    tasks_max: u32,

    /// How many requests wait at the dispatcher while no worker may have them; beyond, they are refused [default: 0, and
    /// 1048576 for a central queue]
    #[arg(long, value_name = "REQUESTS")]
    backlog_max: Option<u32>,

    /// Record what happens, as a server does, in a file that --replay reads
    #[arg(long, conflicts_with_all = ["compare", "loads"], value_name = "FILE")]
    pub(super) record: Option<PathBuf>,

    /// Print JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,

    /// Print the workloads that have names
    #[arg(long)]
    pub(super) list: bool,
}

/// What else `luge sim` does.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Check the simulator against queueing theory; fails if it disagrees
    Validate(Validate),
    /// Write a public trace or a recording as CSV that --trace reads, to the standard output
    Convert(Convert),
}

/// What of a server can be recorded, resolved.
struct Machine {
    scheduler: &'static Scheduler,
    quantum_ns: Nanos,
    preemption: bool,
    workers: usize,
    dispatcher: &'static Dispatcher,
}

/// `luge sim validate`.
#[derive(Clone, Debug, clap::Args)]
pub struct Validate {
    /// Print JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,
    /// What all randomness comes from
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Only the rows that have this in their names
    #[arg(long, value_name = "TEXT")]
    pub(super) filter: Option<String>,
}

/// `luge sim convert`.
#[derive(Clone, Debug, clap::Args)]
pub struct Convert {
    /// From what
    #[command(subcommand)]
    pub(super) from: From,
}

/// What is converted: the public traces of Azure Functions, and recordings.
#[derive(Clone, Debug, Subcommand)]
pub enum From {
    /// A recording of a server (luge serve --record)
    Recording {
        /// The file
        file: PathBuf,
    },
    /// Two weeks of 2021: each invocation's app, func, end_timestamp, duration
    #[command(name = "azure-2021")]
    Azure2021 {
        /// AzureFunctionsInvocationTraceForTwoWeeksJan2021.txt
        file: PathBuf,
    },
    /// A day of 2019: invocations per function and minute, and the percentiles of their durations
    #[command(name = "azure-2019")]
    Azure2019(Azure2019),
}

/// `luge sim convert azure-2019`.
#[derive(Clone, Debug, clap::Args)]
pub struct Azure2019 {
    /// invocations_per_function_md.anon.dNN.csv
    #[arg(long, value_name = "FILE")]
    pub(super) invocations: PathBuf,
    /// function_durations_percentiles.anon.dNN.csv
    #[arg(long, value_name = "FILE")]
    pub(super) durations: PathBuf,
    /// The first minute of the day, from 1
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_440))]
    first_minute: u16,
    /// How many minutes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_440))]
    minutes: u16,
    /// The part of the functions that is taken, at random
    #[arg(long, default_value = "1", value_parser = parse_part)]
    sample: f64,
    /// What all randomness comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Azure2019 {
    pub(super) fn day(&self) -> Day {
        Day {
            first: usize::from(self.first_minute),
            minutes: usize::from(self.minutes),
            sample: self.sample,
            seed: self.seed,
        }
    }
}

impl Args {
    /// What is asked of the server; reads the files that are named.
    pub(super) fn scenario(&self) -> Result<Scenario, String> {
        if self.arrivals.is_closed() && (self.load.is_some() || !self.loads.is_empty()) {
            return Err(
                "a closed loop has the load that its clients make: leave --load out".into(),
            );
        }
        let recordings = self.replay.as_ref().zip(self.record.as_ref());
        if recordings.is_some_and(|(replay, record)| is_same(replay, record)) {
            return Err(
                "a recording cannot be replayed into itself: choose another --record".into(),
            );
        }
        if self.compare.len().max(self.loads.len()) > COMPARED_MAX {
            return Err(format!(
                "at most {COMPARED_MAX} policies and loads are compared"
            ));
        }
        if let Some(path) = &self.trace {
            let trace = Trace::read(path, self.trace_format, &self.workload, self.seed)?;
            return Ok(Scenario::trace(trace, None, self.deadline_ns, None));
        }
        if let Some(path) = &self.replay {
            let owed = self.tenants.as_deref().map(tenants::read_owed);
            let replay = Replay::read(path, &owed.transpose()?.unwrap_or_default())?;
            let recording = Some(replay.recording);
            let (deadline_ns, estimates) = (self.deadline_ns, self.estimates);
            return Ok(Scenario::trace(
                replay.trace,
                recording,
                deadline_ns,
                estimates,
            ));
        }
        let estimates = self.estimates.unwrap_or(Estimate::Mean);
        if let Some(path) = &self.tenants {
            let tenants = tenants::read(path, &self.workload)?;
            return Ok(Scenario::tenants(tenants, self.deadline_ns, estimates));
        }
        let (workload, process) = (self.workload.clone(), self.arrivals.clone());
        Ok(Scenario::stream(
            workload,
            process,
            self.deadline_ns,
            estimates,
        ))
    }

    /// The machine that serves it.
    pub(super) fn config(&self, scenario: &Scenario) -> Result<Config, String> {
        let recording = scenario.replay().map(|(recording, _)| recording);
        let Machine {
            scheduler,
            quantum_ns,
            preemption,
            workers,
            dispatcher,
        } = self.machine(recording)?;
        let mut params = Params {
            quantum_ns,
            preemption,
            ..Params::default()
        };
        for &(name, value) in &self.params {
            let known = PARAMS.iter().find(|param| param.name == name);
            (known.expect("looked up when it was parsed").set)(&mut params, value);
        }
        let learn = match self.estimates {
            Some(Estimate::Learnt(learn)) => Some(learn),
            _ => None,
        };
        let has_queue = dispatcher.name == BoundedQueues::NAME;
        let backlog_default = if has_queue { BACKLOG_DEFAULT } else { 0 };
        Ok(Config {
            workers,
            scheduler,
            params,
            stalls: Stalls::default(),
            listener_stalls: Stalls::default(),
            costs: Costs {
                dispatch_ns: self.dispatch_ns,
                start_ns: self.start_ns,
                preempt_ns: self.preempt_ns,
                finish_ns: self.finish_ns,
                timer_jitter_ns: self.timer_jitter_ns,
            },
            dispatcher,
            dispatch_params: DispatchParams {
                bound: self.dispatch_bound,
            },
            front: FrontConfig {
                room: self.admission,
                budgets: self.budgets,
                learn,
            },
            tenants: self.owed(scenario, scheduler, workers)?,
            tasks_max: self.tasks_max,
            backlog_max: self.backlog_max.unwrap_or(backlog_default) as usize,
        })
    }

    /// What is asked for, or else recorded, or else usual.
    fn machine(&self, recording: Option<&Recording>) -> Result<Machine, String> {
        let header = recording.map(|recording| &recording.header);
        let name = self.scheduler.as_deref();
        let name = name.or(header.map(|header| &*header.scheduler));
        let scheduler = Scheduler::from_name(name.unwrap_or(SCHEDULER_DEFAULT));
        let quantum_ns = self.quantum_ns.or(header.map(|header| header.quantum_ns));
        let preemption = match (&self.preemption, header) {
            (Some(asked), _) => asked == "on",
            (None, header) => header.is_none_or(|header| header.preemption != "off"),
        };
        let workers = self.workers;
        let workers = workers.or(header.map(|header| u64::from(header.workers)));
        let name = self.dispatch.as_deref();
        let name = name.or(header.map(|header| &*header.dispatch));
        let dispatcher = match name {
            Some(name) => Dispatcher::from_name(name)
                .ok_or_else(|| format!("unknown dispatcher {name:?}: choose one with --dispatch")),
            None => Ok(&DISPATCHERS[0]),
        };
        // Only what is recorded can be wrong.
        let wrong = |why: String| match recording {
            Some(recording) => format!("{}: its header: {why}", recording.file.display()),
            None => why,
        };
        let bounded = |what: &str, flag: &str, value: u64, max: u64| match value {
            0 => Err(wrong(format!("{what} of 0: choose with {flag}"))),
            value if value > max => {
                let why = format!("{what} of {value}, above {max}: choose with {flag}");
                Err(wrong(why))
            }
            value => Ok(value),
        };
        let quantum_ns = quantum_ns.unwrap_or(QUANTUM_DEFAULT_NS);
        let workers = workers.unwrap_or(WORKERS_DEFAULT);
        Ok(Machine {
            scheduler: scheduler
                .map_err(|why| wrong(format!("{why}: choose one with --scheduler")))?,
            quantum_ns: bounded(
                "a quantum, in ns,",
                "--quantum-us",
                quantum_ns,
                QUANTUM_MAX_NS,
            )?,
            preemption,
            workers: bounded("a number of workers", "--workers", workers, WORKERS_MAX)? as usize,
            dispatcher: dispatcher.map_err(wrong)?,
        })
    }

    /// What the whole server owes the tenants; no reservations if nothing looks at them, as on the server.
    fn owed(
        &self,
        scenario: &Scenario,
        scheduler: &Scheduler,
        workers: usize,
    ) -> Result<Vec<Tenant>, String> {
        let mut owed = scenario.owed();
        let compared = self.compare.iter().map(|contestant| contestant.scheduler);
        let uses_them = compared
            .chain([scheduler])
            .any(|it| it.uses(Fact::Reservation));
        if !(uses_them || self.budgets || matches!(self.admission, Room::Demand { .. })) {
            owed.iter_mut().for_each(|tenant| tenant.reservation = None);
        }
        let whole = owed.iter().filter_map(|tenant| tenant.reservation);
        if self.budgets && !whole.clone().all(Reservation::is_valid) {
            return Err("a budget is too large for a cap".into());
        }
        let checked = demand::check(&tenants::shares(&owed, workers as u32));
        checked.map_err(|why| why.to_string())?;
        Ok(owed)
    }

    /// What is expected of requests, in a word.
    pub(super) fn estimates(&self) -> String {
        match (&self.estimates, &self.replay) {
            (Some(estimate), _) => estimate.to_string(),
            (None, Some(_)) => "recorded".into(),
            (None, None) => Estimate::Mean.to_string(),
        }
    }

    pub(super) fn run(&self, scenario: &Scenario) -> Run {
        Run {
            load: self.load,
            requests: scenario.requests(self.requests, REQUESTS_DEFAULT),
            warmup_percent: self.warmup_percent,
            seed: self.seed,
        }
    }

    /// The policies and the loads to compare; `None` if there is one of each.
    pub(super) fn comparison(
        &self,
        config: &Config,
    ) -> Option<(Vec<Contestant>, Vec<Option<f64>>)> {
        if self.compare.is_empty() && self.loads.is_empty() {
            return None;
        }
        let alone = Contestant {
            scheduler: config.scheduler,
            quantum_ns: None,
        };
        let mut contestants = self.compare.clone();
        if contestants.is_empty() {
            contestants.push(alone);
        }
        let mut loads: Vec<Option<f64>> = self.loads.iter().copied().map(Some).collect();
        if loads.is_empty() {
            loads.push(self.load);
        }
        Some((contestants, loads))
    }
}

/// Whether two paths are of one file.
fn is_same(a: &Path, b: &Path) -> bool {
    let (a, b) = (a.canonicalize(), b.canonicalize());
    a.is_ok_and(|a| b.is_ok_and(|b| a == b))
}

/// A load may exceed 1: that is an overload.
fn parse_load(text: &str) -> Result<f64, String> {
    let load = text
        .parse()
        .ok()
        .filter(|load| (0.001..=1_000.0).contains(load));
    load.ok_or_else(|| format!("{text:?} is not a number from 0.001 to 1000"))
}

fn parse_part(text: &str) -> Result<f64, String> {
    let part = text.parse().ok().filter(|part| (0.0..=1.0).contains(part));
    part.ok_or_else(|| format!("{text:?} is not a number from 0 to 1"))
}

fn parse_param(text: &str) -> Result<(&'static str, u64), String> {
    let names = || {
        PARAMS
            .iter()
            .map(|param| param.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    let known = PARAMS.iter().find(|param| param.name == name);
    let &Param { name, min, max, .. } =
        known.ok_or_else(|| format!("unknown parameter {name:?}, expected one of {}", names()))?;
    let number = value
        .parse()
        .ok()
        .filter(|value| (min..=max).contains(value));
    let number =
        number.ok_or_else(|| format!("{value:?} is not an integer from {min} to {max}"))?;
    Ok((name, number))
}

/// A cost is below a second.
fn cost() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(0..1_000_000_000)
}
