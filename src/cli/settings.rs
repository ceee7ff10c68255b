//! The server's settings: resolved from flags, variables and defaults, checked, each with its
//! source.
//!
//! Plain data, and the two things that only the process knows: its variables and its cores. How
//! settings are found among them is in `resolve`.

use std::collections::BTreeMap;
use std::env;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use sched::admission::NamedRule;
use sched::estimate::NamedEstimator;
use sched::{Dispatcher, Fact, Params, Scheduler};

use crate::config::Notice;

/// Everything that the server can be told by its user.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address at which all tenants' ports are opened.
    pub listen_address: IpAddr,
    /// Worker threads; at least 1.
    pub workers: usize,
    /// The cores to use, by their numbers: the first for the listener, the following for workers.
    /// At least one, unless this process could not find out which it may use.
    pub cores: Vec<usize>,
    /// The policy of the workers.
    pub scheduler: &'static Scheduler,
    /// How long a request runs before others get their turn, in microseconds; at least 1.
    pub quantum_us: u64,
    /// Whether a quantum that preemption takes too much of is refused.
    pub quantum_floor: bool,
    /// By how much another request must be more pressed to take over, in microseconds.
    pub hysteresis_us: u64,
    /// The number of levels of multi-level feedback.
    pub mlfq_levels: u32,
    /// How often all requests rise to the first of them, in microseconds.
    pub mlfq_boost_us: u64,
    /// How a running request is interrupted.
    pub preemption: Preemption,
    /// What says that a request has run long enough.
    pub preemption_trigger: PreemptionTrigger,
    /// Who gets a request.
    pub dispatch: &'static Dispatcher,
    /// Requests that a worker has at most while others wait at the dispatcher.
    pub dispatch_bound: u32,
    /// Requests that wait at the dispatcher.
    pub backlog_max: usize,
    /// Whether a request is taken at all.
    pub admission: &'static NamedRule,
    /// Percent of the workers that are kept in reserve; below 100.
    pub admission_reserve_percent: u32,
    /// How long a request may wait before it begins.
    pub admission_target: Duration,
    /// For how long they may wait longer; at least the target.
    pub admission_interval: Duration,
    /// Whether a tenant gets no more than its budget.
    pub budget_caps: bool,
    /// How executions are estimated; none: whatever is useful.
    pub estimator: Option<&'static NamedEstimator>,
    /// Where what was learnt of them is kept.
    pub estimates: Option<PathBuf>,
    /// Requests that a worker may have begun and not finished; at least 1.
    pub sandboxes_max: u32,
    /// Requests queued for one worker; a power of two.
    pub ring_depth: usize,
    /// How long an idle thread looks for work before it sleeps, in microseconds.
    pub spin_us: u64,
    /// How long the listener does, in microseconds.
    pub listener_spin_us: u64,
    /// Connections open at once; at least 1.
    pub connections_max: usize,
    /// Bytes of request line and headers at most.
    pub max_head_bytes: usize,
    /// Bytes of request body at most, for routes that do not say.
    pub max_body_bytes: u64,
    /// Bytes of request bodies held at once, over all connections.
    pub max_bodies_bytes: u64,
    /// From a request's first byte to the end of its headers.
    pub header_timeout: Duration,
    /// Between two pieces of a request body.
    pub body_timeout: Duration,
    /// Between two requests on a connection.
    pub idle_timeout: Duration,
    /// For a client to take an answer.
    pub send_timeout: Duration,
    /// For requests under way to finish at the end.
    pub drain_timeout: Duration,
    /// What is logged, as a filter of tracing-subscriber.
    pub log_level: String,
    /// How it is logged.
    pub log_format: LogFormat,
    /// Where compiled modules are kept.
    pub cache_dir: CacheDir,
    /// Scheduling events of each thread that are kept in memory; a power of two.
    pub flight_events: usize,
    /// Where they are written out to.
    pub flight_dir: Option<PathBuf>,
    /// Where all of them are recorded.
    pub record: Option<PathBuf>,
    /// Where a line for each request goes.
    pub access_log: AccessLog,
    /// Where SLEdge's row for each sandbox goes.
    pub perf_log: Option<PathBuf>,
    /// Where SLEdge's row for each HTTP session goes.
    pub http_perf_log: Option<PathBuf>,
    /// Where operators are answered.
    pub admin: Option<AdminAddress>,
    /// Every setting as it was resolved, for people.
    pub rows: Vec<Row>,
    /// Remarks that do not hinder.
    pub notices: Vec<Notice>,
}

/// How a running request is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preemption {
    /// A timer's signal suspends it wherever it is.
    Signal,
    /// Compiled code checks an epoch counter in loops and calls.
    Epoch,
    /// Not at all.
    Off,
}

impl fmt::Display for Preemption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signal => "signal",
            Self::Epoch => "epoch",
            Self::Off => "off",
        })
    }
}

/// What says that a request has run long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreemptionTrigger {
    /// A timer of each worker's.
    Timer,
    /// The listener's thread, beside its other work.
    Listener,
    /// What costs the worker less on this machine.
    Auto,
}

impl fmt::Display for PreemptionTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timer => "timer",
            Self::Listener => "listener",
            Self::Auto => "auto",
        })
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Where compiled modules are kept for the next start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheDir {
    /// Nowhere.
    Off,
    /// In this folder.
    Folder(PathBuf),
}

impl fmt::Display for CacheDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Folder(path) => path.display().fmt(f),
        }
    }
}

/// Where a line for each request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// To standard output.
    Stdout,
    /// To the end of this file.
    File(PathBuf),
}

impl fmt::Display for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Stdout => f.write_str("-"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Where operators are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// At a port of this machine's own.
    Tcp(SocketAddr),
    /// At a socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One setting as it was resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The flag without its dashes.
    pub name: &'static str,
    /// The value as it could be written.
    pub value: String,
    /// Where it came from.
    pub source: Source,
}

/// Where a setting came from. Displays as what the user wrote: a flag, a variable, or `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// The flag, without its dashes.
    Flag(&'static str),
    /// The variable.
    Variable(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// The variables of this process that settings can come from.
pub fn variables() -> BTreeMap<String, String> {
    let ours = |name: &str| {
        let others = ["RUST_LOG", "XDG_CACHE_HOME", "HOME"];
        name.starts_with("LUGE_") || name.starts_with("SLEDGE_") || others.contains(&name)
    };
    env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into(),
                value.to_string_lossy().into(),
            )
        })
        .filter(|(name, _): &(String, String)| ours(name))
        .collect()
}

/// The cores that this process may run on, by their numbers; empty if the kernel does not say.
pub fn allowed_cores() -> Vec<usize> {
    let ids = core_affinity::get_core_ids().unwrap_or_default();
    ids.into_iter().map(|core| core.id).collect()
}

impl Settings {
    /// What the policy is told.
    pub fn params(&self) -> Params {
        Params {
            quantum_ns: self.quantum_us * 1000,
            preemption: self.preemption != Preemption::Off,
            hysteresis_ns: self.hysteresis_us * 1000,
            levels: self.mlfq_levels,
            boost_ns: self.mlfq_boost_us * 1000,
        }
    }

    /// Whether anything that is in force looks at this.
    pub fn uses(&self, fact: Fact) -> bool {
        let by_caps = [Fact::Execution, Fact::Reservation].contains(&fact) && self.budget_caps;
        let by_rules = [self.scheduler.uses, self.admission.uses, self.dispatch.uses];
        by_caps || by_rules.iter().any(|uses| uses.contains(&fact))
    }

    /// Every setting with its value and source, as aligned lines.
    pub fn table(&self) -> String {
        let width = |text: fn(&Row) -> &str| self.rows.iter().map(|row| text(row).len()).max();
        let names = width(|row| row.name).unwrap_or(0);
        let values = width(|row| &row.value).unwrap_or(0);
        let mut out = String::new();
        for Row {
            name,
            value,
            source,
        } in &self.rows
        {
            writeln!(out, "  {name:names$}  {value:values$}  {source}")
                .expect("writing to a string does not fail");
        }
        out
    }
}
