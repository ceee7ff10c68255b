//! An experiment as it is written: one JSON file, checked. All mistakes are told at once.
//!
//! ```json
//! {"title": "Short functions beside long ones",
//!  "question": "How far up can the load go until one short request in a thousand takes fifty times as long as alone?",
//!  "workload": "wasm-edge",
//!  "policies": ["fifo", "rr:250", {"name": "round robin by epochs", "scheduler": "rr", "quantum-us": 250, "preemption": "epoch"}],
//!  "sweep": {"load": [0.2, 0.4, 0.6, 0.8]},
//!  "duration": "10s", "repetitions": 3, "run": ["live", "sim"],
//!  "objectives": ["p99.9 slowdown <= 50"]}
//! ```
//!
//! Not here: how it is read ([`super::check`]), what is measured, and how that is told.

use std::ops::Range;
use std::path::{Path, PathBuf};

use perf::objective::Objective;
use sched::{DispatchParams, Dispatcher, Nanos, Scheduler, Tenant};

use super::check;
use crate::cli::settings::{Preemption, PreemptionTrigger};
use crate::sim::arrivals::{Estimate, Process};
use crate::sim::engine::Costs;
use crate::sim::front::Room;
use crate::sim::service::Service;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The file's name without its ending, or the name by which it is shipped.
    pub name: String,
    /// The folder that its files are relative to.
    pub folder: PathBuf,
    /// The file, as it is.
    pub text: String,
    /// A few words.
    pub title: String,
    /// What is to be found out.
    pub question: String,
    /// What is sent: classes with their shares, and the functions that some are.
    pub classes: Vec<Class>,
    /// Who sends; one without a name unless the experiment has tenants.
    pub tenants: Vec<Sender>,
    /// What is compared.
    pub policies: Vec<Policy>,
    /// Along which axis.
    pub sweep: Sweep,
    /// The load where the axis is another one.
    pub load: f64,
    /// Of each server.
    pub workers: usize,
    /// How long requests are sent at each point.
    pub duration_ns: Nanos,
    /// How much of the beginning is not measured, in percent.
    pub warmup_percent: u32,
    /// How often each point is measured, with a seed of its own each time.
    pub repetitions: u32,
    /// On real servers.
    pub is_live: bool,
    /// In the simulator.
    pub is_simulated: bool,
    /// What latencies are meant to be.
    pub objectives: Vec<Objective>,
    /// From arrival to deadline, for classes that do not say; none: ten times the mean service.
    pub deadline_ns: Option<Nanos>,
    /// What is expected of requests.
    pub estimates: Estimate,
    /// The length of the intervals in which it is told how a run went; none: it is not.
    pub interval_ns: Option<Nanos>,
    /// What things cost in the simulator; none: what they cost on this machine, or nothing if no server runs.
    pub costs: Option<Costs>,
}

/// A kind of request.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    pub name: String,
    /// Its part of its sender's requests; a sender's sum to 1.
    pub share: f64,
    /// What it is.
    pub what: What,
    /// From arrival to deadline.
    pub deadline_ns: Option<Nanos>,
}

/// What is asked of the server.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// To compute for a time by this law.
    Service(Service),
    /// A function, for as long as it takes.
    Function {
        /// An embedded one by its name, or a module's path.
        path: PathBuf,
        query: String,
        /// A file.
        body: Option<PathBuf>,
    },
}

/// One who sends requests.
#[derive(Clone, Debug)]
pub struct Sender {
    pub name: String,
    /// Which classes are its own: of [`Experiment::classes`], from where to where.
    pub classes: Range<usize>,
    pub process: Process,
    /// Its part of the capacity.
    pub load: f64,
    pub from_ns: Nanos,
    pub until_ns: Nanos,
    pub owed: Tenant,
}

/// What is compared with the others.
#[derive(Clone, Debug)]
pub struct Policy {
    pub name: String,
    pub scheduler: &'static Scheduler,
    pub quantum_us: Option<u64>,
    pub preemption: Preemption,
    pub trigger: PreemptionTrigger,
    pub dispatcher: &'static Dispatcher,
    pub dispatch_params: DispatchParams,
    pub room: Room,
    pub caps_budgets: bool,
}

/// The axis along which the policies are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    pub axis: Axis,
    pub values: Vec<f64>,
}

/// What is changed from point to point.
#[derive(Clone, Debug, PartialEq)]
pub enum Axis {
    /// The load of all together.
    Load,
    /// The load of one sender.
    LoadOf(String),
    /// The quantum in microseconds of policies that do not say.
    QuantumUs,
    /// How many clients wait for their answers before they ask again (a closed loop).
    Clients,
}

impl Experiment {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// All mistakes, each with the file, the key, the value and what would be right.
    pub fn read(path: &Path) -> Result<Self, Vec<String>> {
        let place = path.display();
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| vec![format!("{place}: {error}")])?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse(&name, &text, folder).map_err(|problems| {
            let placed = problems.iter().map(|problem| format!("{place}: {problem}"));
            placed.collect()
        })
    }

    /// Understands the text of a file of this name.
    ///
    /// # Errors
    ///
    /// As [`Experiment::read`], without the file.
    pub fn parse(name: &str, text: &str, folder: PathBuf) -> Result<Self, Vec<String>> {
        check::check(name, text, folder)
    }

    /// How much of the beginning is not measured.
    pub fn warmup_ns(&self) -> Nanos {
        self.duration_ns / 100 * Nanos::from(self.warmup_percent)
    }

    /// Whether there are tenants.
    pub fn has_tenants(&self) -> bool {
        self.tenants.iter().any(|tenant| !tenant.name.is_empty())
    }

    /// Whether some class is a function, of which only a real server knows how long it takes.
    pub fn has_functions(&self) -> bool {
        let is_function = |class: &Class| matches!(class.what, What::Function { .. });
        self.classes.iter().any(is_function)
    }
}

impl Policy {
    /// Whether running requests are interrupted.
    pub fn preempts(&self) -> bool {
        self.preemption != Preemption::Off
    }
}
