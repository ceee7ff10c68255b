//! A run on a real server: starts it, sends it the requests of the schedule, ends it, and reads what it has recorded.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use perf::Arrivals;
use perf::event::What as Event;
use perf::recording::{self, Chunk, Whole};
use sched::Nanos;

use super::experiment::{Axis, Experiment, Policy, What};
use super::limits::{CONNECTIONS, TIMEOUT};
use super::places::{Places, pin};
use super::requests::{Requests, Route};
use super::server::Server;
use super::spec::{self, Spec};
use crate::bench::load;
use crate::bench::plan::Plan;
use crate::bench::progress::Counts;
use crate::bench::report::Report;
use crate::bench::target::Targets;
use crate::bench::written::Written;
use crate::sim::arrivals::Estimate;
use crate::sim::front::{Learn, Room};

/// What a server records, in its folder.
pub const RECORDING: &str = "server.rec";

/// What is said of an end that was asked for.
pub const INTERRUPTED: &str = "interrupted";

/// What the load generator says, there too.
pub const LOAD: &str = "load.json";

/// How long a worker on a core of its own looks for work without sleeping: for good, so that no request waits for it to
/// wake up.
const SPIN_US: u64 = 1_000_000;

/// How long before a request is due the generator stays awake, on a core of its own.
const GENERATOR_SPIN_NS: u64 = 100_000;

/// What all runs on servers have in common.
pub struct Live<'e> {
    pub experiment: &'e Experiment,
    pub places: Places,
    /// By class: rounds of the spin function for a nanosecond; nothing for functions.
    pub rounds_per_ns: f64,
    /// Where compiled modules are kept from one server to the next.
    pub cache: PathBuf,
    /// Set when all is to end.
    pub stop: &'e AtomicBool,
}

/// What came of a run.
pub struct Ran {
    /// With the routes of the requests.
    pub chunks: Vec<Chunk>,
    /// What the server has warned of at its start.
    pub warnings: Vec<String>,
    /// What the load generator says.
    pub report: Report,
    /// Of the processor time of one core, by thread, while requests were sent.
    pub cpu: Vec<(String, f64)>,
}

/// A way to load a server.
pub struct Load<'r> {
    pub requests: &'r Requests,
    /// By route: what is asked beside its path.
    pub queries: Vec<String>,
    /// How often, in a closed loop.
    pub weights: Vec<f64>,
    /// Clients of a closed loop; none: the requests' schedule.
    pub clients: Option<usize>,
    pub requests_max: u64,
    pub duration_ns: Nanos,
    pub seed: u64,
}

impl Live<'_> {
    /// Runs all in a folder of its own.
    ///
    /// # Errors
    ///
    /// A sentence about what went wrong.
    pub fn run(
        &self,
        policy: &Policy,
        quantum_us: u64,
        load: &Load<'_>,
        folder: &Path,
    ) -> Result<Ran, String> {
        let spec = self.prepare(&load.requests.routes, folder)?;
        let flags = self.flags(policy, quantum_us);
        let tenants = spec.json.as_array().map_or(0, Vec::len);
        let mut server = Server::start(folder, &flags, tenants)?;
        let warnings = std::mem::take(&mut server.warnings);
        let sent = self.send(&server, &spec, load)?;
        server.end()?;
        let (report, cpu) = sent;
        let written = std::fs::write(folder.join(LOAD), report.json());
        written.map_err(|error| format!("{}: {error}", folder.join(LOAD).display()))?;
        Ok(Ran {
            chunks: read(&folder.join(RECORDING))?,
            warnings,
            report,
            cpu,
        })
    }

    /// Writes what the server needs.
    fn prepare(&self, routes: &[Route], folder: &Path) -> Result<Spec, String> {
        let place = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(folder).map_err(place)?;
        spec::write_spin(folder).map_err(place)?;
        let classes = self.experiment.classes.iter();
        let modules = classes.map(|class| match spec::function(&class.what) {
            Some(function) => spec::module(self.experiment, function, folder),
            None => Ok(spec::spin_file()),
        });
        let modules = modules.collect::<Result<Vec<_>, _>>()?;
        let spec = spec::spec(self.experiment, routes, &modules).map_err(place)?;
        let text = format!("{:#}\n", spec.json);
        std::fs::write(folder.join("spec.json"), text).map_err(place)?;
        Ok(spec)
    }

    fn flags(&self, policy: &Policy, quantum_us: u64) -> Vec<String> {
        let Places { server, shared, .. } = &self.places;
        let cores: Vec<String> = server.iter().map(usize::to_string).collect();
        let mut flags = vec![
            format!("--workers={}", self.experiment.workers),
            format!("--scheduler={}", policy.scheduler.name),
            format!("--quantum-us={quantum_us}"),
            format!("--preemption={}", policy.preemption),
            format!("--preemption-trigger={}", policy.trigger),
            format!("--dispatch={}", policy.dispatcher.name),
            format!("--dispatch-bound={}", policy.dispatch_params.bound),
            format!(
                "--budget-caps={}",
                if policy.caps_budgets { "on" } else { "off" }
            ),
            format!("--estimator={}", estimator(self.experiment.estimates)),
            format!("--cache-dir={}", self.cache.display()),
            format!("--record={RECORDING}"),
            format!("--spin-us={SPIN_US}"),
            "--quantum-floor=off".to_owned(),
            "--flight-dir=off".to_owned(),
        ];
        if !cores.is_empty() {
            flags.push(format!("--cores={}", cores.join(",")));
        }
        if *shared {
            flags.push("--listener-spin-us=0".to_owned());
        }
        flags.extend(admission(policy.room));
        flags
    }

    /// Sends what is to be sent, from a thread on its core.
    fn send(
        &self,
        server: &Server,
        spec: &Spec,
        load: &Load<'_>,
    ) -> Result<(Report, Vec<(String, f64)>), String> {
        let plan = self.plan(spec, load)?;
        let core = self.places.generator;
        let started = SystemTime::now();
        let before = server.cpu();
        let books = std::thread::scope(|scope| {
            let run = || {
                pin(core);
                load::run(&plan, self.stop, &Counts::default(), None)
            };
            let running = std::thread::Builder::new().name("lab-load".into());
            let running = running
                .spawn_scoped(scope, run)
                .map_err(|error| error.to_string())?;
            let ended = running
                .join()
                .map_err(|_| "the load generator has failed".to_owned())?;
            ended.map_err(|error| error.to_string())
        })?;
        let elapsed_ns = started.elapsed().unwrap_or_default().as_nanos().max(1) as f64;
        let used = server.cpu().since(&before);
        let cpu = used
            .into_iter()
            .map(|(name, ns)| (name, ns as f64 / elapsed_ns));
        match self.stop.load(Ordering::Relaxed) {
            true => Err(INTERRUPTED.to_owned()),
            false => Ok((Report::new(&plan, &books, started, false), cpu.collect())),
        }
    }

    fn plan(&self, spec: &Spec, load: &Load<'_>) -> Result<Plan, String> {
        let routes = load.requests.routes.iter().enumerate();
        let written: Vec<_> = routes
            .map(|(at, route)| self.written(spec, load, at, route))
            .collect();
        let targets =
            Targets::from_flags(&written, true).map_err(|problems| problems.join("; "))?;
        let open = load.clients.is_none();
        let requests = &load.requests.open;
        let times = requests.iter().map(|request| request.arrival.arrival_ns);
        let sequence = requests
            .iter()
            .map(|request| u32::from(request.arrival.route));
        Ok(Plan {
            targets,
            arrivals: open.then(|| Arrivals::Trace(times.collect())),
            sequence: open.then(|| sequence.collect()),
            process: if open { "schedule" } else { "closed" },
            rate: open.then(|| requests.len() as f64 * 1e9 / load.duration_ns as f64),
            duration_ns: load.duration_ns,
            requests_max: load.requests_max,
            warmup_ns: self.experiment.warmup_ns(),
            timeout_ns: TIMEOUT.as_nanos() as u64,
            spin_ns: if self.places.shared {
                0
            } else {
                GENERATOR_SPIN_NS
            },
            connections: load
                .clients
                .unwrap_or(CONNECTIONS * self.experiment.workers),
            keep_alive: true,
            seed: load.seed,
        })
    }

    fn written(&self, spec: &Spec, load: &Load<'_>, at: usize, route: &Route) -> Written {
        let class = &self.experiment.classes[usize::from(route.class)];
        let body_file = match &class.what {
            What::Function { body, .. } => {
                body.as_ref().map(|file| self.experiment.folder.join(file))
            }
            What::Service(_) => None,
        };
        let port = spec.ports[usize::from(route.sender)];
        Written {
            url: format!(
                "http://127.0.0.1:{port}{}?{}",
                spec::path(at),
                load.queries[at]
            ),
            name: Some(format!("{} {at}", class.name)),
            weight: load.weights.get(at).copied(),
            body_file,
            ..Written::default()
        }
    }

    /// What a request of a route is asked beside its path.
    pub fn query(&self, route: &Route) -> String {
        match &self.experiment.classes[usize::from(route.class)].what {
            What::Function { query, .. } => query.clone(),
            What::Service(_) => self.rounds(route.service_ns).to_string(),
        }
    }

    /// The rounds of the spin function that take so long.
    pub fn rounds(&self, service_ns: Nanos) -> u64 {
        (service_ns as f64 * self.rounds_per_ns).round() as u64
    }

    /// The load of a run.
    pub fn load<'r>(&self, requests: &'r Requests, value: f64, seed: u64) -> Load<'r> {
        let is_closed = self.experiment.sweep.axis == Axis::Clients;
        let shares = requests.routes.iter().map(|route| {
            let class = &self.experiment.classes[usize::from(route.class)];
            class.share.max(1e-6)
        });
        Load {
            requests,
            queries: requests
                .routes
                .iter()
                .map(|route| self.query(route))
                .collect(),
            weights: if is_closed {
                shares.collect()
            } else {
                Vec::new()
            },
            clients: is_closed.then_some(value as usize),
            requests_max: u64::MAX,
            duration_ns: self.experiment.duration_ns,
            seed,
        }
    }
}

fn estimator(estimates: Estimate) -> &'static str {
    match estimates {
        Estimate::Learnt(Learn::Window(_)) => "window",
        Estimate::Learnt(Learn::Quantile(_)) => "quantile",
        Estimate::Mean | Estimate::Exact | Estimate::Unknown | Estimate::Noisy(_) => "spec",
    }
}

fn admission(room: Room) -> Vec<String> {
    let time = |ns: Nanos| format!("{}ms", (ns / 1_000_000).max(1));
    match room {
        Room::Always => Vec::new(),
        Room::Utilisation { reserve_permille } => vec![
            "--admission=utilisation".to_owned(),
            format!("--admission-reserve={}", reserve_permille / 10),
        ],
        Room::Demand { reserve_permille } => vec![
            "--admission=demand".to_owned(),
            format!("--admission-reserve={}", reserve_permille / 10),
        ],
        Room::Delay {
            target_ns,
            interval_ns,
        } => vec![
            "--admission=delay".to_owned(),
            format!("--admission-target={}", time(target_ns)),
            format!("--admission-interval={}", time(interval_ns)),
        ],
    }
}

/// Reads a recording of a server of the lab's; its routes become those of the requests.
///
/// # Errors
///
/// It cannot be read, or is of another server.
pub fn read(file: &Path) -> Result<Vec<Chunk>, String> {
    let place = |why: String| format!("{}: {why}", file.display());
    let opened = std::fs::File::open(file).map_err(|error| place(error.to_string()))?;
    let whole = recording::read(std::io::BufReader::with_capacity(1 << 20, opened));
    let Whole {
        header,
        mut chunks,
        is_truncated,
    } = whole.map_err(|error| place(error.to_string()))?;
    if is_truncated {
        return Err(place("its end is missing".to_owned()));
    }
    let routes = header.routes.iter();
    let routes = routes.map(|route| spec::route_of(&route.name));
    let routes = routes.collect::<Result<Vec<_>, _>>().map_err(place)?;
    for event in chunks.iter_mut().flat_map(|chunk| &mut chunk.events) {
        if let Event::Arrived { route, .. } = &mut event.what {
            let known = routes.get(usize::from(*route));
            *route = *known.ok_or_else(|| place(format!("has no route {route}")))?;
        }
    }
    Ok(chunks)
}
