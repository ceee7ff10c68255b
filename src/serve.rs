//! `luge serve` and `luge check`: from a spec and settings to a running server, or to what is wrong.

use crate::admin::Admin;
use crate::cli::settings::{
    self, AccessLog, CacheDir, LogFormat, Preemption, Row, Settings, Source,
};
use crate::cli::{Check, Exit, Format, Serve, print};
use crate::config::{Examined, LoadOptions, Loaded, Problem, Problems, Spec, examine};
use crate::deployment::{Deployment, memory_bytes, prepare, stack_bytes};
use crate::limits::{ADMIN_CONNECTIONS_MAX, DESCRIPTORS_RESERVED};
use crate::server::{
    self, AccessLogTo, CsvTo, Drained, FlightTo, Intake, Logs, Options, Refused, Server, Sink,
    StartError,
};
use crate::{admin, demo, estimates, logging, preemption, tenants};
use core_affinity::CoreId;
use listener::Counters;
use listener_http::Limits;
use sandbox::{Cache, Compiler};
use sched::DispatchParams;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use signal_hook::iterator::Signals;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Checks a spec and its modules as `serve` would.
pub fn check(check: &Check) -> Exit {
    let examined = examine(&check.spec, LoadOptions::default());
    match (
        examine_modules(examined, |path| std::fs::read(path)),
        check.format,
    ) {
        (Ok(loaded), Format::Human) => {
            for notice in &loaded.notices {
                eprintln!("notice: {notice}");
            }
            let tenants = &loaded.spec.tenants;
            let routes = tenants.iter().map(|tenant| tenant.routes.len()).sum();
            let (tenants, routes) = (count(tenants.len(), "tenant"), count(routes, "route"));
            print(&format!(
                "{}: {tenants}, {routes}, no problems\n",
                check.spec.display()
            ))
        }
        (Ok(_), Format::Json) => print("[]\n"),
        (Err(problems), Format::Human) => {
            eprintln!("{problems}");
            Exit::Configuration
        }
        (Err(problems), Format::Json) => {
            let json = serde_json::to_string_pretty(&problems).expect("problems are plain data");
            match print(&format!("{json}\n")) {
                Exit::Ok => Exit::Configuration,
                failed => failed,
            }
        }
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Adds what is wrong with the modules of what could be read. Not fitted to this machine: a spec is right or
/// wrong everywhere alike.
fn examine_modules(
    mut examined: Examined,
    read: impl Fn(&Path) -> std::io::Result<Vec<u8>> + Sync,
) -> Result<Loaded, Problems> {
    let spec = &examined.loaded.spec;
    let sandbox = sandbox::Settings {
        wasm_stack_bytes: stack(spec),
        memory_max_bytes: memory(spec),
        ..sandbox::Settings::default()
    };
    let prepared = match Compiler::new(&sandbox, None) {
        Ok(compiler) => prepare(spec, &compiler, 0, read).map(drop),
        Err(error) => {
            let value = sandbox.wasm_stack_bytes.to_string();
            let remedy = "a smaller stack-size";
            Err(Problem::of_setting("stack-size", &value, error.to_string(), remedy).into())
        }
    };
    if let Err(problems) = prepared {
        examined.problems.merge(problems);
    }
    examined.into_result()
}

/// Serves until told to end.
pub fn serve(serve: &Serve) -> Exit {
    let (settings, loaded) = match understand(serve) {
        Ok(both) => both,
        Err(problems) => {
            eprintln!("{problems}");
            return Exit::Configuration;
        }
    };
    let guard = logging::start(&settings.log_level, settings.log_format);
    let exit = run(serve, &settings, &loaded);
    drop(guard);
    exit
}

/// The settings and the spec that a command line means.
///
/// # Errors
///
/// The problems of both, and of the spec's modules.
pub fn understand(serve: &Serve) -> Result<(Settings, Loaded), Problems> {
    let settings = Settings::resolve(
        &serve.given,
        &settings::variables(),
        &settings::allowed_cores(),
    );
    let examined = match &serve.spec {
        Some(path) => examine(path, LoadOptions::default()),
        None => demo::spec(LoadOptions::default()),
    };
    match settings {
        Ok(settings) if examined.problems.0.is_empty() => {
            let spec = &examined.loaded.spec;
            tenants::check(spec, &settings)?;
            admin::check(spec, &settings)?;
            Ok((settings, examined.loaded))
        }
        settings => {
            let mut problems = settings.err().unwrap_or_default();
            if let Err(more) = examine_modules(examined, |path| read_module(serve, path)) {
                problems.merge(more);
            }
            Err(problems)
        }
    }
}

/// A module's bytes: a spec's from its file, the demo's from the program.
///
/// # Errors
///
/// It cannot be read.
pub fn read_module(serve: &Serve, path: &Path) -> std::io::Result<Vec<u8>> {
    match serve.spec {
        Some(_) => std::fs::read(path),
        None => demo::module(path),
    }
}

fn run(serve: &Serve, settings: &Settings, loaded: &Loaded) -> Exit {
    // The demo's own remarks are not its user's to mend.
    let of_spec = loaded.notices.iter().filter(|_| serve.spec.is_some());
    let of_tenants = tenants::without_effect(&loaded.spec, settings);
    for notice in settings.notices.iter().chain(of_spec).chain(&of_tenants) {
        tracing::info!("{notice}");
    }
    let (settings, deployment, options) = match make(serve, settings, loaded) {
        Ok(made) => made,
        Err(exit) => return exit,
    };
    let settings = &settings;
    tracing::info!("{}", deployment.modules);
    let routes = banner(settings, &deployment);
    // Before the first request: one who is told to end right away ends well.
    let signals = match Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR2]) {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be handled");
            return Exit::Failure;
        }
    };
    let admin = match settings.admin.as_ref().map(Admin::bind).transpose() {
        Ok(admin) => admin,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Listen;
        }
    };
    match Server::start(deployment, options) {
        Ok(server) => {
            // Until all is drained.
            let admin = admin.map(|admin| admin.serve(server.observed()));
            let serving = match admin.transpose() {
                Ok(serving) => serving,
                Err(error) => {
                    tracing::error!(%error, "no admin endpoint can be started");
                    return end(server);
                }
            };
            if let Some(serving) = &serving {
                tracing::info!(address = %serving.address(), "admin");
            }
            announce(serve, settings, &server, routes);
            until_drained(server, signals, settings)
        }
        Err(error) => {
            tracing::error!("{error}");
            match error {
                StartError::Ring(_) => Exit::Ring,
                StartError::Listen { .. } => Exit::Listen,
                StartError::Worker { .. } | StartError::Thread { .. } => Exit::Failure,
            }
        }
    }
}

/// Ends a server that lacks something.
fn end(server: Server) -> Exit {
    server.drain().begin();
    if let Err(error) = server.join() {
        tracing::error!(%error, "the ring failed");
    }
    Exit::Failure
}

/// Compiles what is to be served and settles how; what is wrong is in the log.
fn make(
    serve: &Serve,
    settings: &Settings,
    loaded: &Loaded,
) -> Result<(Settings, Deployment, Options), Exit> {
    let connections_max = raise_descriptors(settings, descriptors_reserved(settings, loaded));
    let fitted = sandbox_settings(settings, &loaded.spec).fit(settings.workers);
    let sandbox = fitted.map_err(|error| {
        tracing::error!("{error}; a smaller --sandboxes-max or fewer --workers may fit");
        Exit::Failure
    })?;
    let compiler = Compiler::new(&sandbox, cache(settings)).map_err(|error| {
        tracing::error!("{error}");
        Exit::Failure
    })?;
    let refused = |problems: Problems| {
        for problem in &problems.0 {
            tracing::error!("{problem}");
        }
        Exit::Configuration
    };
    let read = |path: &Path| read_module(serve, path);
    let deployment =
        prepare(&loaded.spec, &compiler, settings.max_body_bytes, read).map_err(refused)?;
    let settings = preemption::settle(settings, &sandbox).map_err(refused)?;
    let options = options(&settings, sandbox, connections_max).map_err(refused)?;
    Ok((settings, deployment, options))
}

/// Where compiled modules are kept; a folder that cannot be used is no reason not to serve.
pub fn cache(settings: &Settings) -> Option<Cache> {
    let CacheDir::Folder(folder) = &settings.cache_dir else {
        return None;
    };
    let warn = |error: &sandbox::CacheError| {
        let folder = folder.display();
        tracing::warn!(%folder, "no compiled code is kept: the folder for it {error}");
    };
    Cache::open(folder).inspect_err(warn).ok()
}

/// The settings; and what is served, ports aside: they are known when they are open.
fn banner(settings: &Settings, deployment: &Deployment) -> Vec<Vec<String>> {
    match settings.log_format {
        LogFormat::Human => eprintln!("settings:\n{}", settings.table()),
        LogFormat::Json => {
            let row = |row: &Row| (row.name, (row.value.clone(), row.source.to_string()));
            let rows: BTreeMap<_, _> = settings.rows.iter().map(row).collect();
            let settings = serde_json::to_string(&rows).expect("plain data");
            tracing::info!(settings, "settings");
        }
    }
    let ports = deployment.ports.iter();
    ports.map(|port| port.routes.clone()).collect()
}

fn announce(serve: &Serve, settings: &Settings, server: &Server, routes: Vec<Vec<String>>) {
    for ((tenant, address), routes) in server.addresses().iter().zip(routes) {
        let routes = routes.join(" ");
        match settings.log_format {
            LogFormat::Human => {
                print(&format!("serving {tenant} at http://{address}: {routes}\n"));
            }
            LogFormat::Json => tracing::info!(tenant, %address, routes, "serving"),
        }
    }
    let human = settings.log_format == LogFormat::Human;
    if let (true, None, Some((_, address))) = (human, &serve.spec, server.addresses().first()) {
        print(&demo::try_these(reachable(*address)));
    }
}

fn until_drained(server: Server, mut signals: Signals, settings: &Settings) -> Exit {
    let (drain, flight) = (server.drain(), server.flight_control());
    // Ends with the process: there is nothing of it to wait for.
    std::thread::spawn(move || {
        let mut count = 0;
        for signal in signals.forever() {
            if signal == SIGUSR2 {
                flight.write_out();
                continue;
            }
            count += 1;
            if count > 1 {
                tracing::warn!(signal, "told to end a second time: ending at once");
                std::process::exit(i32::from(Exit::Failure.code()));
            }
            tracing::info!(signal, "draining");
            drain.begin();
        }
    });
    let drained = match server.join() {
        Ok(drained) => drained,
        Err(error) => {
            tracing::error!(%error, "the ring failed");
            return Exit::Failure;
        }
    };
    if let Some(path) = &settings.estimates
        && let Err(error) = estimates::write(path, &drained.learnt)
    {
        let path = path.display();
        tracing::warn!(%path, %error, "what was learnt of executions is lost: its file cannot be written");
    }
    log_drained(&drained);
    Exit::Ok
}

fn log_drained(drained: &Drained) {
    if drained.connections_cut > 0 {
        let connections = drained.connections_cut;
        tracing::warn!(connections, "the drain took too long: connections were cut");
    }
    let Counters {
        connections,
        connections_refused,
        accepts_failed,
        requests,
        answered,
        rejected,
        refused,
        abandoned,
        timeouts,
        ..
    } = drained.counters;
    tracing::info!(
        connections,
        connections_refused,
        accepts_failed,
        requests,
        answered,
        rejected,
        refused,
        abandoned,
        timeouts,
        "drained"
    );
    let Refused {
        tenant,
        server,
        full,
    } = drained.refused;
    if tenant + server + full > 0 {
        tracing::info!(tenant, server, full, "requests refused");
    }
}

/// An address that a client on this machine can use: 0.0.0.0 listens, but is nowhere to go.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    if address.ip().is_unspecified() {
        SocketAddr::new(ip, address.port())
    } else {
        address
    }
}

/// The descriptors that are not clients' connections. A module has one for its code, and one in each worker; a function's
/// directory one in each worker; and where sandboxes have directories of their own, each may have them all.
fn descriptors_reserved(settings: &Settings, loaded: &Loaded) -> usize {
    let routes = || loaded.spec.tenants.iter().flat_map(|tenant| &tenant.routes);
    let modules: BTreeSet<_> = routes().map(|route| &route.path).collect();
    let dirs: usize = routes().map(|route| route.dirs.len()).sum();
    let private = routes().filter(|route| route.scratch.is_some());
    let private = private.map(|route| route.dirs.len() + 1).max().unwrap_or(0);
    let files = match dirs + private {
        0 => 0,
        _ => sandbox::limits::FILES_OPEN_PROCESS_MAX,
    };
    let each_worker = modules.len() + dirs + settings.sandboxes_max as usize * private;
    let operators = settings.admin.as_ref().map_or(0, |_| ADMIN_CONNECTIONS_MAX);
    DESCRIPTORS_RESERVED + operators + modules.len() + files + settings.workers * each_worker
}

/// Lets the process have as many descriptors as it is allowed; returns how many connections fit.
fn raise_descriptors(settings: &Settings, reserved: usize) -> usize {
    let wished = settings.connections_max;
    let wanted = (wished + reserved) as u64;
    let allowed = match rlimit::increase_nofile_limit(wanted) {
        Ok(allowed) => usize::try_from(allowed).unwrap_or(usize::MAX),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files is unknown");
            return wished;
        }
    };
    let fit = allowed.saturating_sub(reserved).max(1);
    let mut rows = settings.rows.iter();
    let told = rows.any(|row| row.name == "connections-max" && row.source != Source::Default);
    // A default that does not fit is no fault of the user's; `luge doctor` tells of it.
    if fit < wished && told {
        let connections_max = wished;
        tracing::warn!(
            connections_max,
            fit,
            "the limit of open files (ulimit -n) allows fewer connections"
        );
    }
    wished.min(fit)
}

fn stack(spec: &Spec) -> usize {
    let default = sandbox::Settings::default().wasm_stack_bytes;
    stack_bytes(spec)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .map_or(default, |bytes| bytes.max(default))
}

/// What routes ask for beyond what every function gets.
fn memory(spec: &Spec) -> u64 {
    let default = sandbox::Settings::default().memory_max_bytes;
    memory_bytes(spec).map_or(default, |bytes| bytes.max(default))
}

/// What a server with these settings sets for its sandboxes, before it is fitted to the machine.
pub fn sandbox_settings(settings: &Settings, spec: &Spec) -> sandbox::Settings {
    sandbox::Settings {
        sandboxes_max: settings.sandboxes_max,
        wasm_stack_bytes: stack(spec),
        memory_max_bytes: memory(spec),
        preemption: match settings.preemption {
            Preemption::Signal => sandbox::Preemption::Signal,
            Preemption::Epoch => sandbox::Preemption::Epoch,
            Preemption::Off => sandbox::Preemption::Off,
        },
        ..sandbox::Settings::default()
    }
}

/// The listener on the first core, workers on the following; on one core, together.
fn cores(settings: &Settings) -> (Option<CoreId>, Vec<Option<CoreId>>) {
    let cores: Vec<_> = settings.cores.iter().map(|&id| CoreId { id }).collect();
    let for_workers = if cores.len() > 1 {
        &cores[1..]
    } else {
        &cores[..]
    };
    let workers = (0..settings.workers)
        .map(|worker| for_workers.get(worker % for_workers.len().max(1)).copied());
    (cores.first().copied(), workers.collect())
}

fn options(
    settings: &Settings,
    sandbox: sandbox::Settings,
    connections_max: usize,
) -> Result<Options, Problems> {
    let (listener_core, worker_cores) = cores(settings);
    let ns = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    // Threads that share a core must not spin: each would wait for the other.
    let may_spin = settings.cores.len() > settings.workers;
    let spin_ns = |spin_us: u64| if may_spin { spin_us * 1000 } else { 0 };
    Ok(Options {
        listen_address: settings.listen_address,
        listener_core,
        worker_cores,
        scheduler: settings.scheduler,
        params: settings.params(),
        intake: intake(settings),
        outstanding_max: settings.ring_depth as u32 + sandbox.sandboxes_max,
        sandbox,
        trigger: preemption::trigger(settings),
        listener: listener::Settings {
            limits: Limits {
                head_max_bytes: settings.max_head_bytes,
                request_line_max_bytes: settings
                    .max_head_bytes
                    .min(Limits::default().request_line_max_bytes),
                body_max_bytes: settings.max_body_bytes,
                ..Limits::default()
            },
            connections_max,
            bodies_max_bytes: settings.max_bodies_bytes,
            header_timeout_ns: ns(settings.header_timeout),
            body_timeout_ns: ns(settings.body_timeout),
            idle_timeout_ns: ns(settings.idle_timeout),
            send_timeout_ns: ns(settings.send_timeout),
            draining: false,
        },
        worker_spin_ns: spin_ns(settings.spin_us),
        listener_spin_ns: spin_ns(settings.listener_spin_us),
        drain_timeout: settings.drain_timeout,
        logs: logs(settings)?,
        events: settings.flight_events,
        flight: FlightTo {
            folder: settings.flight_dir.clone(),
            record: record(settings)?,
        },
    })
}

/// How requests are taken, with what the last server has learnt of them.
fn intake(settings: &Settings) -> Intake {
    let ns = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let read = |path: &PathBuf| {
        let learnt = estimates::read(path);
        let learnt = learnt.inspect_err(|error| {
            let path = path.display();
            tracing::warn!(%path, %error, "no estimates are taken over: their file cannot be used");
        });
        learnt.unwrap_or_default()
    };
    Intake {
        dispatch: settings.dispatch,
        dispatch_params: DispatchParams {
            bound: settings.dispatch_bound,
        },
        backlog_max: settings.backlog_max,
        admission: settings.admission,
        reserve_permille: settings.admission_reserve_percent * 10,
        target_ns: ns(settings.admission_target),
        interval_ns: ns(settings.admission_interval),
        caps_budgets: settings.budget_caps,
        estimator: settings.estimator,
        learnt: settings.estimates.as_ref().map(read).unwrap_or_default(),
    }
}

/// Opens a file that a setting names.
fn open(setting: &str, path: &Path, how: &OpenOptions) -> Result<File, Problems> {
    how.open(path).map_err(|error| {
        let path = path.display().to_string();
        let remedy = "a file that can be written";
        Problem::of_setting(setting, &path, error.to_string(), remedy).into()
    })
}

/// Opens a file that is written at its end.
fn open_at_end(setting: &str, path: &Path) -> Result<File, Problems> {
    open(setting, path, OpenOptions::new().create(true).append(true))
}

fn record(settings: &Settings) -> Result<Option<Sink>, Problems> {
    let mut how = OpenOptions::new();
    how.create(true).write(true).truncate(true);
    settings.record.as_ref().map_or(Ok(None), |path| {
        let file = open("--record", path, &how)?;
        Ok(Some(Box::new(file)))
    })
}

fn logs(settings: &Settings) -> Result<Logs, Problems> {
    let csv = |setting, path: &Option<PathBuf>| {
        let path = path.as_deref();
        path.map(|path| csv_log(setting, path)).transpose()
    };
    Ok(Logs {
        access: access_log(settings)?,
        sandboxes: csv("--perf-log", &settings.perf_log)?,
        sessions: csv("--http-perf-log", &settings.http_perf_log)?,
    })
}

fn csv_log(setting: &str, path: &Path) -> Result<CsvTo, Problems> {
    let file = open_at_end(setting, path)?;
    Ok(CsvTo {
        is_new: file.metadata().is_ok_and(|metadata| metadata.len() == 0),
        sink: Box::new(file),
    })
}

fn access_log(settings: &Settings) -> Result<Option<AccessLogTo>, Problems> {
    let sink: Sink = match &settings.access_log {
        AccessLog::Off => return Ok(None),
        AccessLog::Stdout => Box::new(std::io::stdout()),
        AccessLog::File(path) => Box::new(open_at_end("--access-log", path)?),
    };
    let format = match settings.log_format {
        LogFormat::Human => server::Format::Human,
        LogFormat::Json => server::Format::Json,
    };
    Ok(Some(AccessLogTo { sink, format }))
}
