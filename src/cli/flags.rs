//! The flags of the server's settings as one table: names, defaults, help.
//!
//! clap gets its arguments from the table, the resolution ([`super::settings`]) the defaults and
//! the names of variables, so that a setting is described once. clap takes values as text: a
//! wrong one is reported together with all others, whether it came from a flag or a variable.

use std::collections::BTreeMap;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Error, FromArgMatches};

/// A setting as the user sees it.
pub(super) struct Flag {
    /// The flag without its dashes. The variable is made of it: `LUGE_QUANTUM_US`.
    pub(super) name: &'static str,
    /// What the help shows for the value.
    pub(super) value: &'static str,
    /// The default as it would be written; in parentheses if it is computed.
    pub(super) default: &'static str,
    /// A variable that counts if neither flag nor `LUGE_*` is given.
    pub(super) other: Option<&'static str>,
    /// What it is.
    pub(super) help: &'static str,
}

impl Flag {
    /// Whether there is no fixed default.
    pub(super) fn is_computed(&self) -> bool {
        self.default.starts_with('(')
    }

    /// The variable of this setting.
    pub(super) fn variable(&self) -> String {
        format!("LUGE_{}", self.name.replace('-', "_").to_uppercase())
    }

    /// The row of this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        FLAGS.iter().find(|flag| flag.name == name)
    }

    const fn new(
        name: &'static str,
        value: &'static str,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            name,
            value,
            default,
            other: None,
            help,
        }
    }

    const fn or(self, variable: &'static str) -> Self {
        Self {
            other: Some(variable),
            ..self
        }
    }
}

/// Every setting of the server, in the order in which they are shown.
#[rustfmt::skip]
pub(super) static FLAGS: &[Flag] = &[
    Flag::new("listen-address", "IP", "127.0.0.1", "The address at which all tenants' ports are opened; 0.0.0.0 or :: for every interface"),
    Flag::new("workers", "N", "(cores - 1, at least 1)", "Worker threads, each on a core of its own as far as there are enough").or("SLEDGE_NWORKERS"),
    Flag::new("cores", "LIST", "(all allowed)", "The cores to use, such as 0,2-3: the first for the listener, the others for workers"),
    Flag::new("scheduler", "NAME", "rr", "The policy by which workers choose among requests: fifo, rr, edf by the routes' deadlines, or fifo-preemptive, llf, sjf, srpt, wfq, mtds, mtdbf, mlfq, darc").or("SLEDGE_SCHEDULER"),
    Flag::new("quantum-us", "US", "1000", "How long a request runs before others get their turn, in microseconds").or("SLEDGE_QUANTUM_US"),
    Flag::new("quantum-floor", "MODE", "on", "Whether a quantum is refused if preemption would take more than a tenth of it: on, or off (for experiments)"),
    Flag::new("hysteresis-us", "US", "100", "With llf: by how much another request must be more pressed to take over, in microseconds"),
    Flag::new("mlfq-levels", "N", "4", "With mlfq: the number of levels; each has twice the time of the one before"),
    Flag::new("mlfq-boost-us", "US", "100000", "With mlfq: how often all requests rise to the first level, in microseconds"),
    Flag::new("preemption", "MODE", "signal", "How a running request is interrupted: signal (epoch where that does not work), epoch, or off").or("SLEDGE_DISABLE_PREEMPTION"),
    Flag::new("preemption-trigger", "TRIGGER", "timer", "What says that a request has run long enough: timer (one of each worker's), listener (its thread watches), or auto (what costs the worker less here)"),
    Flag::new("dispatch", "NAME", "jsq", "Which worker gets a request: jsq (the one with the fewest), lwl (the least work), po2 (the better of two), rr (one after the other), darc (some are kept for short ones), triage (whose running request has the best reason to give way), steal (one after the other, and who idles takes what has not begun elsewhere), or jbsq (so many at most, others wait)"),
    Flag::new("dispatch-bound", "N", "2", "With jbsq: requests that a worker has at most while others wait"),
    Flag::new("backlog-max", "N", "4096", "With jbsq: requests that wait for a worker; beyond it 503"),
    Flag::new("admission", "RULE", "none", "When requests are refused before they cost anything: none, utilisation (by execution and deadline), delay (by how long they wait), or demand (all but what reservations carry)"),
    Flag::new("admission-reserve", "PERCENT", "20", "With utilisation and demand: how much of the workers is kept in reserve"),
    Flag::new("admission-target", "TIME", "10ms", "With delay: how long a request may wait before it begins"),
    Flag::new("admission-interval", "TIME", "100ms", "With delay: for how long they may wait longer; at least the target"),
    Flag::new("budget-caps", "MODE", "off", "Whether a tenant gets no more than its budget in a period, beyond it 429: on or off"),
    Flag::new("estimator", "NAME", "auto", "How long requests are expected to execute: spec (what it says), window (a percentile of the last runs), quantile (of all, the later the more), or auto (window where it matters). A route with a model of its own has that"),
    Flag::new("estimates", "PATH", "off", "Where what was learnt of executions is kept for the next start: a file, or off"),
    Flag::new("sandboxes-max", "N", "256", "Requests that a worker may have begun and not finished"),
    Flag::new("ring-depth", "N", "1024", "Requests queued for one worker, a power of two; beyond it 503"),
    Flag::new("spin-us", "US", "50", "How long an idle thread looks for work before it sleeps, in microseconds"),
    Flag::new("listener-spin-us", "US", "(as spin-us)", "The same for the listener alone: 0 where it shares its core with a client, such as a load generator"),
    Flag::new("connections-max", "N", "65536", "Connections open at once"),
    Flag::new("max-head-bytes", "BYTES", "32KiB", "Bytes of request line and headers; beyond it 431"),
    Flag::new("max-body-bytes", "BYTES", "16MiB", "Bytes of request body, unless a route says otherwise; beyond it 413"),
    Flag::new("max-bodies-bytes", "BYTES", "1GiB", "Bytes of request bodies held at once, over all connections; beyond it 503"),
    Flag::new("header-timeout", "TIME", "10s", "From a request's first byte to the end of its headers"),
    Flag::new("body-timeout", "TIME", "30s", "Between two pieces of a request body"),
    Flag::new("idle-timeout", "TIME", "60s", "Between two requests on a connection"),
    Flag::new("send-timeout", "TIME", "30s", "For a client to take an answer"),
    Flag::new("drain-timeout", "TIME", "10s", "For requests under way to finish when the server is told to end"),
    Flag::new("log-level", "FILTER", "info", "What is logged: a level, or directives such as info,luge::server=debug").or("RUST_LOG"),
    Flag::new("log-format", "FORMAT", "human", "How it is logged: human, or json"),
    Flag::new("cache-dir", "PATH", "(luge/modules in $XDG_CACHE_HOME or ~/.cache)", "Where compiled modules are kept for the next start: a folder, or off"),
    Flag::new("flight-events", "N", "65536", "Scheduling events of each thread that the flight recorder keeps in memory, a power of two"),
    Flag::new("flight-dir", "PATH", ".", "Where they are written to on SIGUSR2, or when a request misses its latency-objective-us, as a trace and as a recording: a folder, or off"),
    Flag::new("record", "FILE", "off", "Where all of them are recorded, for luge sim --replay: a file, which is begun anew, or off"),
    Flag::new("access-log", "FILE", "off", "Where a line for each request goes: a file, - for standard output, or off"),
    Flag::new("perf-log", "FILE", "off", "Where SLEdge's row for each sandbox goes, comma-separated: a file, or off").or("SLEDGE_SANDBOX_PERF_LOG"),
    Flag::new("http-perf-log", "FILE", "off", "Where SLEdge's row for each HTTP session goes, comma-separated: a file, or off").or("SLEDGE_HTTP_SESSION_PERF_LOG"),
    Flag::new("admin", "ADDRESS", "off", "Where operators find /livez, /readyz and /metrics: a loopback address with a port, unix:PATH, or off"),
];

/// The settings given as flags, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given(BTreeMap<&'static str, String>);

impl Given {
    /// The value of the flag of this name, without dashes.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }
}

impl FromIterator<(&'static str, String)> for Given {
    fn from_iter<I: IntoIterator<Item = (&'static str, String)>>(flags: I) -> Self {
        Self(flags.into_iter().collect())
    }
}

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given =
            |flag: &&Flag| matches.value_source(flag.name) == Some(ValueSource::CommandLine);
        let value = |flag: &Flag| Some((flag.name, matches.get_one::<String>(flag.name)?.clone()));
        Ok(FLAGS.iter().filter(given).filter_map(value).collect())
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.extend(Self::from_arg_matches(matches)?.0);
        Ok(())
    }
}

impl clap::Args for Given {
    fn augment_args(command: Command) -> Command {
        FLAGS.iter().fold(command, |command, flag| {
            let default = flag.default.trim_matches(['(', ')']);
            let or = flag
                .other
                .map(|name| format!(" or {name}"))
                .unwrap_or_default();
            let variable = flag.variable();
            command.arg(
                Arg::new(flag.name)
                    .long(flag.name)
                    .value_name(flag.value)
                    .help(format!(
                        "{} [default: {default}] [env: {variable}{or}]",
                        flag.help
                    ))
                    .help_heading("Settings"),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sound() {
        for (index, flag) in FLAGS.iter().enumerate() {
            assert!(
                FLAGS[..index]
                    .iter()
                    .all(|earlier| earlier.name != flag.name)
            );
            assert!(
                !flag.help.ends_with('.') && !flag.default.is_empty(),
                "{}",
                flag.name
            );
        }
        let variable = Flag::named("quantum-us").map(Flag::variable);
        assert_eq!(variable.as_deref(), Some("LUGE_QUANTUM_US"));
    }
}
