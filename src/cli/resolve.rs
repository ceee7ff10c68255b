//! How settings are found: flags before variables before defaults, everything wrong at once.
//!
//! ```text
//! --quantum-us  >  LUGE_QUANTUM_US  >  SLEDGE_QUANTUM_US  >  default
//! ```
//!
//! A pure function of flags, variables and cores. A variable that is set to nothing counts as not
//! set; what is overruled is not judged.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use sched::admission::{NamedRule, RULES};
use sched::estimate::{ESTIMATORS, NamedEstimator};
use sched::{DISPATCHERS, Dispatcher, PARAMS, SCHEDULERS, Scheduler};

use super::flags::{FLAGS, Flag, Given};
use super::settings::{
    AccessLog, AdminAddress, CacheDir, LogFormat, Preemption, PreemptionTrigger, Row, Settings,
    Source,
};
use super::values::{Bytes, Cores, Span, integer, log_filter};
use crate::config::{Notice, Problem, Problems, nearest};

const PREEMPTIONS: &[(&str, Preemption)] = &[
    ("signal", Preemption::Signal),
    ("epoch", Preemption::Epoch),
    ("off", Preemption::Off),
];

const PREEMPTION_TRIGGERS: &[(&str, PreemptionTrigger)] = &[
    ("timer", PreemptionTrigger::Timer),
    ("listener", PreemptionTrigger::Listener),
    ("auto", PreemptionTrigger::Auto),
];

const LOG_FORMATS: &[(&str, LogFormat)] = &[("human", LogFormat::Human), ("json", LogFormat::Json)];

/// The longest that a thread looks for work without sleeping, in microseconds.
const SPIN_MAX_US: u64 = 1_000_000;

impl Settings {
    /// Resolves the settings from `given` flags, `variables` by name, and the `cores` that may be
    /// used.
    ///
    /// # Errors
    ///
    /// Every value that is wrong, by flag or variable.
    pub fn resolve(
        given: &Given,
        variables: &BTreeMap<String, String>,
        cores: &[usize],
    ) -> Result<Self, Problems> {
        let second = Duration::from_secs(1);
        let (short, hour) = (Duration::from_millis(1), 3600 * second);
        let mut from = Resolver::new(given, variables);
        let cores = from.cores(cores);
        let spin_us = from.integer("spin-us", 0, SPIN_MAX_US);
        let settings = Self {
            listen_address: from.take("listen-address", |text| {
                let remedy = "an IP address, such as 127.0.0.1, 0.0.0.0 or ::1";
                text.parse::<IpAddr>().map_err(|_| remedy.to_owned())
            }),
            workers: from.workers(&cores),
            cores,
            scheduler: from.shown("scheduler", scheduler, |scheduler| {
                scheduler.name.to_owned()
            }),
            quantum_us: from.integer("quantum-us", 1, 999_999),
            quantum_floor: from.choice("quantum-floor", &[("on", true), ("off", false)]),
            hysteresis_us: from.param_us("hysteresis-us", "hysteresis-ns"),
            mlfq_levels: narrow(from.param("mlfq-levels", "levels", 1)),
            mlfq_boost_us: from.param_us("mlfq-boost-us", "boost-ns"),
            preemption: from.choice("preemption", PREEMPTIONS),
            preemption_trigger: from.choice("preemption-trigger", PREEMPTION_TRIGGERS),
            dispatch: from.shown("dispatch", dispatcher, |dispatcher| {
                dispatcher.name.to_owned()
            }),
            dispatch_bound: narrow(from.integer("dispatch-bound", 1, 65_536)),
            backlog_max: narrow(from.integer("backlog-max", 1, 1 << 20)),
            admission: from.shown("admission", admission, |rule| rule.name.to_owned()),
            admission_reserve_percent: narrow(from.integer("admission-reserve", 0, 99)),
            admission_target: from.span("admission-target", short, hour),
            admission_interval: from.span("admission-interval", short, hour),
            budget_caps: from.choice("budget-caps", &[("off", false), ("on", true)]),
            estimator: from.shown("estimator", estimator, |estimator| {
                estimator.map_or("auto", |named| named.name).to_owned()
            }),
            estimates: from.path("estimates", "a file"),
            sandboxes_max: narrow(from.integer("sandboxes-max", 1, 16_384)),
            ring_depth: from.take("ring-depth", ring_depth),
            spin_us,
            listener_spin_us: from.listener_spin_us(spin_us),
            connections_max: narrow(from.integer("connections-max", 1, 1 << 20)),
            max_head_bytes: narrow(from.bytes("max-head-bytes", 1 << 10, 1 << 20)),
            max_body_bytes: from.bytes("max-body-bytes", 0, 1 << 32),
            max_bodies_bytes: from.bytes("max-bodies-bytes", 1 << 20, 1 << 40),
            header_timeout: from.span("header-timeout", short, hour),
            body_timeout: from.span("body-timeout", short, hour),
            idle_timeout: from.span("idle-timeout", short, hour),
            send_timeout: from.span("send-timeout", short, hour),
            drain_timeout: from.span("drain-timeout", Duration::ZERO, 24 * hour),
            log_level: from.take("log-level", log_filter),
            log_format: from.choice("log-format", LOG_FORMATS),
            cache_dir: from.cache_dir(),
            flight_events: from.take("flight-events", flight_events),
            flight_dir: from.path("flight-dir", "a folder"),
            record: from.path("record", "a file"),
            access_log: from.take("access-log", access_log),
            perf_log: from.path("perf-log", "a file"),
            http_perf_log: from.path("http-perf-log", "a file"),
            admin: from.or_off("admin", admin, AdminAddress::to_string),
            rows: Vec::new(),
            notices: Vec::new(),
        };
        from.finish(settings)
    }
}

fn ring_depth(text: &str) -> Result<usize, String> {
    power_of_two(text, 2, 65_536)
}

fn flight_events(text: &str) -> Result<usize, String> {
    power_of_two(text, 1 << 10, 1 << 24)
}

fn power_of_two(text: &str, min: u64, max: u64) -> Result<usize, String> {
    let remedy = || format!("a power of two from {min} to {max}");
    let number = integer(text, min, max).map_err(|_| remedy())?;
    let number = number.is_power_of_two().then_some(narrow(number));
    number.ok_or_else(remedy)
}

fn access_log(text: &str) -> Result<AccessLog, String> {
    match text {
        "off" => Ok(AccessLog::Off),
        "-" => Ok(AccessLog::Stdout),
        "" => Err("a file, - for standard output, or off".to_owned()),
        path => Ok(AccessLog::File(PathBuf::from(path))),
    }
}

fn scheduler(text: &str) -> Result<&'static Scheduler, String> {
    let named = SCHEDULERS.iter().find(|scheduler| scheduler.name == text);
    named.ok_or_else(|| {
        let names: Vec<_> = SCHEDULERS.iter().map(|scheduler| scheduler.name).collect();
        format!("one of {}", names.join(", "))
    })
}

fn dispatcher(text: &str) -> Result<&'static Dispatcher, String> {
    let named = DISPATCHERS
        .iter()
        .find(|dispatcher| dispatcher.name == text);
    named.ok_or_else(|| {
        let names: Vec<_> = DISPATCHERS
            .iter()
            .map(|dispatcher| dispatcher.name)
            .collect();
        format!("one of {}", names.join(", "))
    })
}

fn admission(text: &str) -> Result<&'static NamedRule, String> {
    let named = RULES.iter().find(|rule| rule.name == text);
    named.ok_or_else(|| {
        let names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        format!("one of {}", names.join(", "))
    })
}

fn estimator(text: &str) -> Result<Option<&'static NamedEstimator>, String> {
    if text == "auto" {
        return Ok(None);
    }
    let named = ESTIMATORS.iter().find(|estimator| estimator.name == text);
    named.map(Some).ok_or_else(|| {
        let names: Vec<_> = ESTIMATORS.iter().map(|named| named.name).collect();
        format!("one of auto, {}", names.join(", "))
    })
}

fn admin(text: &str) -> Result<AdminAddress, String> {
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(AdminAddress::Unix(PathBuf::from(path)));
    }
    let forms = "127.0.0.1:9090, [::1]:9090, unix:PATH, or off";
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(AdminAddress::Tcp(address)),
        Ok(_) => Err(format!(
            "{forms}: it tells of all tenants, so that only this machine reaches it; what is to be reached from \
             elsewhere needs a proxy that asks who is there"
        )),
        Err(_) => Err(forms.to_owned()),
    }
}

/// A number that its bounds have shown to fit.
fn narrow<T: TryFrom<u64>>(number: u64) -> T {
    T::try_from(number).unwrap_or_else(|_| unreachable!("bounded when it was parsed"))
}

/// Takes settings one by one and collects what is to be said about them.
struct Resolver<'a> {
    given: &'a Given,
    variables: &'a BTreeMap<String, String>,
    rows: Vec<Row>,
    problems: Vec<Problem>,
    notices: Vec<Notice>,
}

impl<'a> Resolver<'a> {
    fn new(given: &'a Given, variables: &'a BTreeMap<String, String>) -> Self {
        Self {
            given,
            variables,
            rows: Vec::new(),
            problems: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// What was said about the setting, if anything.
    fn written(&self, flag: &Flag) -> Option<(Source, &'a str)> {
        if let Some(text) = self.given.value(flag.name) {
            return Some((Source::Flag(flag.name), text));
        }
        let own = flag.variable();
        let names = [Some(&*own), flag.other];
        names.into_iter().flatten().find_map(|name| {
            let value = self.variables.get(name).filter(|value| !value.is_empty())?;
            Some((Source::Variable(name.to_owned()), &**value))
        })
    }

    /// Takes the setting `name`: what was said about it, else `computed`, else the default of the
    /// table. A wrong value becomes a problem, and its default goes on.
    fn resolve<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
        computed: Option<T>,
        show: impl Fn(&T) -> String,
    ) -> T {
        let flag = Flag::named(name).expect("every setting is in the table");
        debug_assert_eq!(flag.is_computed(), computed.is_some(), "{name}");
        let default = || match computed {
            Some(value) => value,
            None => parse(flag.default).expect("defaults are right"),
        };
        let (value, source) = match self.written(flag) {
            None => (default(), Source::Default),
            Some((source, text)) => match translated(&source, text).and_then(|text| parse(&text)) {
                Ok(value) => (value, source),
                Err(remedy) => {
                    let problem = format!("not a value for {name}");
                    let at = source.to_string();
                    self.problems
                        .push(Problem::of_setting(at, text, problem, remedy));
                    (default(), Source::Default)
                }
            },
        };
        let row = Row {
            name: flag.name,
            value: show(&value),
            source,
        };
        self.rows.push(row);
        value
    }

    fn shown<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
        show: impl Fn(&T) -> String,
    ) -> T {
        self.resolve(name, parse, None, show)
    }

    fn take<T: fmt::Display>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.shown(name, parse, T::to_string)
    }

    fn integer(&mut self, name: &str, min: u64, max: u64) -> u64 {
        self.take(name, |text| integer(text, min, max))
    }

    /// A number that the policy is told, within its bounds there; so many of its units are one of the setting.
    fn param(&mut self, name: &str, param: &str, unit: u64) -> u64 {
        let known = PARAMS.iter().find(|known| known.name == param);
        let known = known.expect("a policy is told no other numbers");
        self.integer(name, known.min.div_ceil(unit), known.max / unit)
    }

    fn param_us(&mut self, name: &str, param: &str) -> u64 {
        self.param(name, param, 1_000)
    }

    /// A path, of what it says, or off.
    fn path(&mut self, name: &str, what: &str) -> Option<PathBuf> {
        let parse = |text: &str| match text {
            "" => Err(format!("{what}, or off")),
            path => Ok(PathBuf::from(path)),
        };
        self.or_off(name, parse, |path| path.display().to_string())
    }

    fn or_off<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
        show: impl Fn(&T) -> String,
    ) -> Option<T> {
        let parse = |text: &str| match text {
            "off" => Ok(None),
            text => parse(text).map(Some),
        };
        let show = |value: &Option<T>| value.as_ref().map_or("off".to_owned(), &show);
        self.shown(name, parse, show)
    }

    fn bytes(&mut self, name: &str, min: u64, max: u64) -> u64 {
        self.take(name, |text| Bytes::parse(text, min, max)).0
    }

    fn span(&mut self, name: &str, min: Duration, max: Duration) -> Duration {
        self.take(name, |text| Span::parse(text, min, max)).0
    }

    fn choice<T: Copy + PartialEq>(&mut self, name: &str, choices: &[(&str, T)]) -> T {
        let parse = |text: &str| {
            let chosen = choices.iter().find(|(name, _)| *name == text);
            let names = || choices.iter().map(|(name, _)| *name).collect::<Vec<_>>();
            chosen
                .map(|(_, value)| *value)
                .ok_or_else(|| format!("one of {}", names().join(", ")))
        };
        let show = |value: &T| {
            let chosen = choices.iter().find(|(_, choice)| choice == value);
            chosen.map_or("", |(name, _)| name).to_owned()
        };
        self.shown(name, parse, show)
    }

    fn cores(&mut self, available: &[usize]) -> Vec<usize> {
        let all = Some(Cores(available.to_vec()));
        let parse = |text: &str| Cores::parse(text, available);
        self.resolve("cores", parse, all, Cores::to_string).0
    }

    fn workers(&mut self, cores: &[usize]) -> usize {
        let own = cores.len().saturating_sub(1).max(1);
        let parse = |text: &str| integer(text, 1, 1024).map(narrow::<usize>);
        let workers = self.resolve("workers", parse, Some(own), usize::to_string);
        if workers > own {
            self.notices.push(Notice {
                at: "workers".to_owned(),
                notice: format!(
                    "{workers} workers share {own} of {} cores and will disturb each other",
                    cores.len()
                ),
            });
        }
        workers
    }

    fn listener_spin_us(&mut self, spin_us: u64) -> u64 {
        let parse = |text: &str| integer(text, 0, SPIN_MAX_US);
        self.resolve("listener-spin-us", parse, Some(spin_us), u64::to_string)
    }

    /// By default where the XDG base directory specification has caches; without a home, nowhere.
    fn cache_dir(&mut self) -> CacheDir {
        let folder = |name: &str| {
            let path = PathBuf::from(self.variables.get(name)?);
            path.is_absolute().then_some(path)
        };
        let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
        let own = caches.map_or(CacheDir::Off, |caches| {
            CacheDir::Folder(caches.join("luge/modules"))
        });
        let parse = |text: &str| match text {
            "off" => Ok(CacheDir::Off),
            "" => Err("a folder, or off".to_owned()),
            path => Ok(CacheDir::Folder(PathBuf::from(path))),
        };
        self.resolve("cache-dir", parse, Some(own), CacheDir::to_string)
    }

    fn finish(mut self, settings: Settings) -> Result<Settings, Problems> {
        self.note_unknown_variables();
        if settings.admission_target > settings.admission_interval {
            let row = self
                .rows
                .iter()
                .find(|row| row.name == "admission-interval");
            let row = row.expect("every setting has a row");
            let target = Span(settings.admission_target);
            let problem = format!("is shorter than the target, {target}");
            let remedy = format!("{target} or more, or a shorter --admission-target");
            let at = "--admission-interval";
            self.problems
                .push(Problem::of_setting(at, &row.value, problem, remedy));
        }
        let order = |row: &Row| FLAGS.iter().position(|flag| flag.name == row.name);
        self.rows.sort_by_key(order);
        Problems(self.problems).or(Settings {
            rows: self.rows,
            notices: self.notices,
            ..settings
        })
    }

    fn note_unknown_variables(&mut self) {
        let names: Vec<String> = FLAGS.iter().map(Flag::variable).collect();
        for at in self.variables.keys().filter(|name| !names.contains(name)) {
            let known = FLAGS.iter().any(|flag| flag.other == Some(at));
            let notice = if known || at == "LUGE_COMMIT" {
                continue;
            } else if at.starts_with("LUGE_") {
                let near = nearest(at, names.iter().map(|name| &**name));
                let meant = near
                    .map(|near| format!("; did you mean {near}?"))
                    .unwrap_or_default();
                format!("there is no such setting{meant}")
            } else if at.starts_with("SLEDGE_") {
                "this setting of SLEdge has no effect here".to_owned()
            } else {
                continue;
            };
            let at = at.clone();
            self.notices.push(Notice { at, notice });
        }
    }
}

/// A value as luge would write it, given how the source writes it.
fn translated(source: &Source, text: &str) -> Result<String, String> {
    let Source::Variable(variable) = source else {
        return Ok(text.to_owned());
    };
    match (&**variable, text) {
        ("SLEDGE_SCHEDULER", _) => scheduler(&text.to_lowercase())
            .map(|scheduler| scheduler.name.to_owned())
            .map_err(|remedy| format!("{remedy}; luge does not have {text} yet")),
        ("SLEDGE_DISABLE_PREEMPTION", "true" | "1") => Ok("off".to_owned()),
        ("SLEDGE_DISABLE_PREEMPTION", "false") => Ok("signal".to_owned()),
        ("SLEDGE_DISABLE_PREEMPTION", _) => {
            Err("true or false; to SLEdge everything but false means true".to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORES: [usize; 4] = [0, 1, 2, 3];

    fn resolve(
        flags: &[(&'static str, &str)],
        variables: &[(&str, &str)],
    ) -> Result<Settings, Problems> {
        let given = flags
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::resolve(&given, &variables.collect(), &CORES)
    }

    fn row(settings: &Settings, name: &str) -> (String, String) {
        let row = settings
            .rows
            .iter()
            .find(|row| row.name == name)
            .expect(name);
        (row.value.clone(), row.source.to_string())
    }

    #[test]
    fn every_flag_is_resolved_and_every_default_is_right() {
        let settings = resolve(&[], &[]).expect("defaults are right");
        let rows: Vec<_> = settings.rows.iter().map(|row| row.name).collect();
        let flags: Vec<_> = FLAGS.iter().map(|flag| flag.name).collect();
        assert_eq!(rows, flags);
        for (row, flag) in settings.rows.iter().zip(FLAGS) {
            assert_eq!(row.source, Source::Default);
            let expected = match flag.name {
                "workers" => "3",
                "cores" => "0-3",
                // There is no home among the variables.
                "cache-dir" => "off",
                "idle-timeout" => "1m",
                "listener-spin-us" => "50",
                _ => flag.default,
            };
            assert_eq!(row.value, expected, "{}", flag.name);
        }
        assert_eq!(settings.notices, []);
        assert_eq!((settings.workers, &*settings.cores), (3, &CORES[..]));
        assert_eq!((settings.scheduler.name, settings.quantum_us), ("rr", 1000));
        assert!(settings.listen_address.is_loopback());
    }

    #[test]
    fn what_the_policy_is_told_is_what_it_has_by_default_but_for_the_quantum() {
        let settings = resolve(&[("quantum-us", "100")], &[]).expect("right");
        assert_eq!(settings.params(), sched::Params::default());
        let flags = [
            ("hysteresis-us", "7"),
            ("mlfq-levels", "2"),
            ("mlfq-boost-us", "9"),
        ];
        let params = resolve(&flags, &[]).expect("right").params();
        let told = (params.hysteresis_ns, params.levels, params.boost_ns);
        assert_eq!(told, (7_000, 2, 9_000));
    }

    #[test]
    fn flag_before_own_variable_before_sledges_before_default() {
        let flag = ("quantum-us", "1");
        let own = ("LUGE_QUANTUM_US", "2");
        let sledge = ("SLEDGE_QUANTUM_US", "3");
        for (flags, variables, value, source) in [
            (&[flag][..], &[own, sledge][..], "1", "--quantum-us"),
            (&[], &[own, sledge], "2", "LUGE_QUANTUM_US"),
            (&[], &[sledge], "3", "SLEDGE_QUANTUM_US"),
            (
                &[],
                &[("LUGE_QUANTUM_US", ""), sledge],
                "3",
                "SLEDGE_QUANTUM_US",
            ),
            (&[], &[("LUGE_QUANTUM_US", "")], "1000", "default"),
            // What is not used is not judged.
            (&[flag], &[("LUGE_QUANTUM_US", "x")], "1", "--quantum-us"),
        ] {
            let settings = resolve(flags, variables).expect("right");
            assert_eq!(
                row(&settings, "quantum-us"),
                (value.to_owned(), source.to_owned())
            );
        }
    }

    #[test]
    fn good_values() {
        for (name, text, shown) in [
            ("workers", "2", "2"),
            ("cores", "1,3", "1,3"),
            ("scheduler", "fifo", "fifo"),
            ("scheduler", "rr", "rr"),
            ("preemption", "off", "off"),
            ("preemption", "epoch", "epoch"),
            ("preemption-trigger", "listener", "listener"),
            ("preemption-trigger", "auto", "auto"),
            ("listen-address", "::", "::"),
            ("listen-address", "0.0.0.0", "0.0.0.0"),
            ("ring-depth", "65536", "65536"),
            ("spin-us", "0", "0"),
            ("listener-spin-us", "0", "0"),
            ("quantum-floor", "off", "off"),
            ("hysteresis-us", "0", "0"),
            ("mlfq-levels", "8", "8"),
            ("dispatch", "jbsq", "jbsq"),
            ("dispatch", "lwl", "lwl"),
            ("dispatch", "steal", "steal"),
            ("dispatch", "triage", "triage"),
            ("admission", "demand", "demand"),
            ("admission-target", "100ms", "100ms"),
            ("budget-caps", "on", "on"),
            ("estimator", "quantile", "quantile"),
            ("estimates", "a/b", "a/b"),
            ("mlfq-boost-us", "1", "1"),
            ("max-body-bytes", "0", "0"),
            ("drain-timeout", "0s", "0s"),
            ("drain-timeout", "500ms", "500ms"),
            ("log-format", "json", "json"),
            ("log-level", "warn,luge=debug", "warn,luge=debug"),
            ("cache-dir", "off", "off"),
            ("cache-dir", "a b/c", "a b/c"),
            ("flight-events", "1024", "1024"),
            ("flight-dir", "off", "off"),
            ("record", "a.rec", "a.rec"),
            ("perf-log", "a/b.csv", "a/b.csv"),
            ("http-perf-log", "off", "off"),
            ("admin", "127.0.0.1:9090", "127.0.0.1:9090"),
            ("admin", "127.9.9.9:0", "127.9.9.9:0"),
            ("admin", "[::1]:1", "[::1]:1"),
            ("admin", "unix:/run/a b", "unix:/run/a b"),
            ("access-log", "-", "-"),
            ("access-log", "/tmp/a b.log", "/tmp/a b.log"),
        ] {
            let settings = resolve(&[(name, text)], &[]).expect(text);
            assert_eq!(
                row(&settings, name),
                (shown.to_owned(), format!("--{name}"))
            );
        }
        let settings = resolve(&[("cores", "2-3")], &[]).expect("right");
        assert_eq!(settings.workers, 1);
    }

    #[test]
    fn sledges_variables() {
        for (variable, text, name, value) in [
            ("SLEDGE_SCHEDULER", "EDF", "scheduler", "edf"),
            ("SLEDGE_SCHEDULER", "FIFO", "scheduler", "fifo"),
            ("SLEDGE_SCHEDULER", "MTDS", "scheduler", "mtds"),
            ("SLEDGE_NWORKERS", "2", "workers", "2"),
            ("SLEDGE_DISABLE_PREEMPTION", "true", "preemption", "off"),
            ("SLEDGE_DISABLE_PREEMPTION", "1", "preemption", "off"),
            ("SLEDGE_DISABLE_PREEMPTION", "false", "preemption", "signal"),
            ("RUST_LOG", "debug", "log-level", "debug"),
            ("SLEDGE_SANDBOX_PERF_LOG", "p.csv", "perf-log", "p.csv"),
            (
                "SLEDGE_HTTP_SESSION_PERF_LOG",
                "h.csv",
                "http-perf-log",
                "h.csv",
            ),
        ] {
            let settings = resolve(&[], &[(variable, text)]).expect(text);
            assert_eq!(
                row(&settings, name),
                (value.to_owned(), variable.to_owned())
            );
            assert_eq!(settings.notices, []);
        }
    }

    #[test]
    fn all_wrong_values_at_once() {
        let flags = [
            ("workers", "0", "an integer from 1"),
            ("cores", "0,9", "out of 0-3"),
            ("scheduler", "EDF", "one of fifo, rr, edf"),
            ("quantum-us", "0", "1 to 999999"),
            ("dispatch", "stealing", "steal, triage, darc"),
            (
                "admission",
                "codel",
                "one of none, utilisation, delay, demand",
            ),
            ("admission-reserve", "100", "0 to 99"),
            ("budget-caps", "yes", "one of off, on"),
            ("estimator", "mean", "one of auto, spec, window, quantile"),
            ("estimates", "", "a file, or off"),
            ("preemption", "fuel", "one of signal, epoch, off"),
            ("preemption-trigger", "hpet", "one of timer, listener, auto"),
            ("listen-address", "localhost", "127.0.0.1"),
            ("log-format", "xml", "human, json"),
            ("log-level", "inof", "info"),
            ("cache-dir", "", "a folder, or off"),
            ("flight-events", "1000", "a power of two from 1024"),
            ("flight-dir", "", "a folder, or off"),
            ("record", "", "a file, or off"),
            ("access-log", "", "standard output"),
            ("perf-log", "", "a file, or off"),
            ("http-perf-log", "", "a file, or off"),
            ("admin", "0.0.0.0:9090", "a proxy that asks who is there"),
            ("drain-timeout", "10", "10s"),
            ("connections-max", "0", "1 to"),
            ("ring-depth", "1000", "a power of two"),
            ("sandboxes-max", "-1", "1 to"),
            ("max-body-bytes", "1MB", "1MiB"),
            ("max-head-bytes", "1", "1KiB to 1MiB"),
            ("header-timeout", "0s", "1ms to 1h"),
            ("spin-us", "x", "0 to"),
            ("listener-spin-us", "1000001", "0 to 1000000"),
            ("quantum-floor", "low", "one of on, off"),
            ("hysteresis-us", "3600000001", "0 to 3600000000"),
            ("mlfq-levels", "9", "1 to 8"),
            ("mlfq-boost-us", "0", "1 to 3600000000"),
        ];
        let variables = [
            ("LUGE_BODY_TIMEOUT", "2h", "1ms to 1h"),
            ("LUGE_IDLE_TIMEOUT", "x", "1ms to 1h"),
        ];
        let given: Vec<_> = flags
            .iter()
            .map(|(name, value, _)| (*name, *value))
            .collect();
        let set: Vec<_> = variables
            .iter()
            .map(|(name, value, _)| (*name, *value))
            .collect();
        let problems = resolve(&given, &set).expect_err("wrong").0;
        assert_eq!(problems.len(), flags.len() + variables.len());
        let flags = flags.map(|(name, value, remedy)| (format!("--{name}"), value, remedy));
        let variables = variables.map(|(name, value, remedy)| (name.to_owned(), value, remedy));
        for (at, value, remedy) in flags.into_iter().chain(variables) {
            let problem = problems.iter().find(|problem| problem.at == at).expect(&at);
            assert_eq!(problem.value, value, "{at}");
            assert!(problem.remedy.contains(remedy), "{problem}");
        }
    }

    #[test]
    fn operators_are_found_on_this_machine_only() {
        for (text, remedy) in [
            ("192.0.2.1:9090", "a proxy"),
            ("[::]:9090", "a proxy"),
            ("localhost:9090", "127.0.0.1:9090"),
            ("9090", "127.0.0.1:9090"),
            ("127.0.0.1", "127.0.0.1:9090"),
            ("127.0.0.1:65536", "127.0.0.1:9090"),
            ("unix:", "unix:PATH"),
            ("", "or off"),
        ] {
            let problems = resolve(&[("admin", text)], &[]).expect_err(text).0;
            assert!(problems[0].remedy.contains(remedy), "{}", problems[0]);
        }
    }

    #[test]
    fn an_interval_is_no_shorter_than_its_target() {
        let flags = [("admission-target", "2s"), ("admission-interval", "1s")];
        let problems = resolve(&flags, &[]).expect_err("wrong").0;
        let said = problems[0].to_string();
        assert!(said.contains("2s or more"), "{said}");
    }

    #[test]
    fn what_sledge_calls_otherwise_is_told_with_what_luge_has() {
        for (variable, text, remedy) in [
            (
                "SLEDGE_SCHEDULER",
                "CFS",
                "darc; luge does not have CFS yet",
            ),
            ("SLEDGE_DISABLE_PREEMPTION", "0", "true or false; to SLEdge"),
            ("SLEDGE_NWORKERS", "many", "an integer from 1 to 1024"),
        ] {
            let problems = resolve(&[], &[(variable, text)]).expect_err(text).0;
            assert_eq!((problems.len(), &*problems[0].at), (1, variable));
            assert!(problems[0].remedy.contains(remedy), "{}", problems[0]);
        }
    }

    #[test]
    fn variables_without_effect_are_said() {
        let variables = [
            ("LUGE_WORKER", "3"),
            ("LUGE_XYZZY", "3"),
            ("SLEDGE_SIGALRM_HANDLER", "TRIAGED"),
            ("RUST_LOG", "info"),
            ("LUGE_COMMIT", "abc"),
            ("PATH", "/bin"),
        ];
        let notices = resolve(&[("workers", "9")], &variables)
            .expect("right")
            .notices;
        let shown: Vec<_> = notices.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "workers: 9 workers share 3 of 4 cores and will disturb each other",
                "LUGE_WORKER: there is no such setting; did you mean LUGE_WORKERS?",
                "LUGE_XYZZY: there is no such setting",
                "SLEDGE_SIGALRM_HANDLER: this setting of SLEdge has no effect here",
            ]
        );
    }

    #[test]
    fn compiled_modules_are_kept_among_the_users_caches() {
        let (home, xdg) = (("HOME", "/h"), ("XDG_CACHE_HOME", "/x"));
        for (variables, expected) in [
            (&[][..], "off"),
            (&[home], "/h/.cache/luge/modules"),
            (&[home, xdg], "/x/luge/modules"),
            // The specification has relative paths ignored.
            (&[home, ("XDG_CACHE_HOME", "x")], "/h/.cache/luge/modules"),
            (&[("HOME", "")], "off"),
            (&[home, ("LUGE_CACHE_DIR", "off")], "off"),
            (&[home, ("LUGE_CACHE_DIR", "/c")], "/c"),
        ] {
            let settings = resolve(&[], variables).expect("right");
            assert_eq!(row(&settings, "cache-dir").0, expected, "{variables:?}");
        }
    }

    #[test]
    fn without_cores_there_is_one_worker() {
        for cores in [&[][..], &[5]] {
            let settings = Settings::resolve(&Given::default(), &BTreeMap::new(), cores);
            let settings = settings.expect("right");
            assert_eq!((settings.workers, &*settings.cores), (1, cores));
            assert_eq!(settings.notices, []);
        }
    }

    #[test]
    fn the_table_is_aligned() {
        let table = resolve(&[("quantum-us", "500")], &[])
            .expect("right")
            .table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), FLAGS.len());
        assert!(
            lines.contains(&"  quantum-us          500        --quantum-us"),
            "{table}"
        );
        assert!(
            lines.contains(&"  workers             3          default"),
            "{table}"
        );
    }
}
