//! The running server: its threads, how they start, how they end.
//!
//! ```text
//!   caller ── start ──► listener thread (one ring)     ◄── rings ──►  worker threads (one engine each)
//!          ── drain ──►      │                                           │ host calls that wait
//!          ── join ───►      └─► records' thread (logs)                  └─► async thread (tokio)
//! ```
//!
//! Here is only the wiring. Each thread's loop is in its own file.

mod access;
mod answer;
mod cgi;
mod dispatch;
mod ends;
mod estimates;
mod flight;
mod link;
mod listen;
pub mod metrics;
mod observed;
mod park;
mod records;
mod routes;
mod rules;
mod seams;
mod shelves;
mod sledge_logs;
mod threads;
mod under_way;
mod wakes;
mod work;

pub use access::{AccessLogTo, Format};
pub use cgi::Cgi;
pub use dispatch::{Dispatcher, Refused};
pub use estimates::{Learnt, Runs};
pub use flight::{Flight, FlightControl, FlightTo, Objectives};
pub use link::{Inbox, ListenerSleep, Outbox, PendingLink, WorkerLink, link};
pub use listen::Drained;
pub use observed::Observed;
pub use records::{CsvTo, Logs, Recorder, Sink};
pub use routes::{Route, Routes};
pub use rules::{Intake, Rules};
pub use seams::{Clock, Guest, Interrupt, Monotonic, Sandboxes, SandboxesError};
pub use shelves::Shelf;
pub(crate) use threads::Reactor;
pub use work::{WorkerSettings, WorkerThread};

use crate::deployment::{Deployment, Port};
use crate::limits::{ADDRESS_IN_USE_MAX, WORKER_END_MAX};
use core_affinity::CoreId;
use flight::FlightThread;
use listener::RingError;
use metrics::{About, Metrics};
use perf::event::{EventReader, EventWriter};
use perf::recording;
use sandbox::{Artifact, FunctionConfig};
use sched::{Nanos, Params, Scheduler};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use threads::{ListenerPlan, WorkerPlan};

/// What every worker runs for a route.
#[derive(Clone)]
pub struct Function {
    /// The compiled module.
    pub artifact: Artifact,
    /// Its name and limits.
    pub config: FunctionConfig,
}

/// Everything that a server is told; the command line makes it from its settings.
pub struct Options {
    /// Where tenants' ports are opened.
    pub listen_address: IpAddr,
    /// The core of the listener; `None`: wherever the kernel likes.
    pub listener_core: Option<CoreId>,
    /// One worker for each, on that core.
    pub worker_cores: Vec<Option<CoreId>>,
    /// The policy, the same on every worker.
    pub scheduler: &'static Scheduler,
    /// The policy's parameters.
    pub params: Params,
    /// How requests are taken and who gets them.
    pub intake: Intake,
    /// Requests that one worker may have at once; beyond it 503.
    pub outstanding_max: u32,
    /// Sandboxes, fitted to this machine.
    pub sandbox: sandbox::Settings,
    /// Who ends slices: the workers' timers, or the listener, which watches.
    pub trigger: sandbox::Trigger,
    /// Connections.
    pub listener: listener::Settings,
    /// How long an idle worker looks for work before it sleeps, in nanoseconds.
    pub worker_spin_ns: Nanos,
    /// The same for the listener while workers owe it answers.
    pub listener_spin_ns: Nanos,
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// What is written of requests, and where.
    pub logs: Logs,
    /// Events of each thread that are kept: a power of two.
    pub events: usize,
    /// Where they are written to.
    pub flight: FlightTo,
}

impl Options {
    /// Requests of which a worker's policy knows at once, each with a sandbox once it has started; more wait where it
    /// takes them from, first in, first out.
    fn tasks_max(&self) -> u32 {
        self.outstanding_max.min(self.sandbox.sandboxes_max)
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be opened.
    #[error("tenant {tenant}: cannot listen on {address}: {source}")]
    Listen {
        /// Whose port.
        tenant: String,
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// No io_uring.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// A worker has no engine, no pool or no timer.
    #[error("worker {worker}: {cause}")]
    Worker {
        /// Which.
        worker: usize,
        /// Why.
        cause: String,
    },
    /// A thread or its runtime cannot be made.
    #[error("cannot start the {what} thread: {source}")]
    Thread {
        /// Which.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

/// A running server. Dropping it does not stop it: [`Drain::begin`], then [`Server::join`].
pub struct Server {
    addresses: Vec<Address>,
    drain: Arc<AtomicBool>,
    sleep: Arc<ListenerSleep>,
    listener: JoinHandle<std::io::Result<Drained>>,
    workers: Vec<JoinHandle<()>>,
    /// What ends the workers' slices.
    alarms: Vec<Arc<dyn Interrupt>>,
    records: Option<JoinHandle<()>>,
    reactor: Reactor,
    metrics: Arc<Metrics>,
    flight: Flight,
    flight_thread: FlightThread,
}

impl Server {
    /// Starts all threads; when it returns, the ports are open and every worker is ready.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing keeps running then but threads that end by themselves.
    ///
    /// # Panics
    ///
    /// If the workers cannot keep the tenants' reservations; [`crate::tenants::check`] says so before.
    pub fn start(deployment: Deployment, mut options: Options) -> Result<Server, StartError> {
        let (sockets, addresses) = bind(&deployment.ports, options.listen_address)?;
        let (writers, readers) = rings(options.worker_cores.len() + 1, options.events);
        let flight = Flight::new(header(&deployment, &options), readers);
        let to = std::mem::take(&mut options.flight);
        let flight_thread = thread("flight", FlightThread::start(flight.clone(), to))?;
        let reactor = Reactor::start(deployment.has_directories())?;
        let stop = Arc::new(AtomicBool::new(false));
        let drain = Arc::new(AtomicBool::new(false));
        let sleep = Arc::new(ListenerSleep::default());
        let metrics = Arc::new(Metrics::new(About::new(&deployment, &options)));
        let bound = addresses.iter().map(|(_, address)| *address).collect();
        let routes = Arc::new(deployment.routes.bound_to(bound));
        let logs = std::mem::take(&mut options.logs);
        let recorder = Recorder::start(logs, &addresses, routes.clone());
        let (recorder, records) = thread("records", recorder)?.unzip();
        let functions = Arc::new(deployment.functions);
        let workers = options.worker_cores.len();
        let rules = Rules::new(
            Monotonic.now_ns(),
            options.scheduler,
            options.intake.clone(),
            (&deployment.tenants, workers, options.tasks_max()),
        );
        let tenants: Arc<[_]> = crate::tenants::shares(&deployment.tenants, workers).into();
        let mut writers = writers.into_iter();
        let events = writers.next().expect("the listener has the first");
        let mut shelves = Shelf::for_workers(workers, options.intake.dispatch);
        let plan = |worker| WorkerPlan {
            worker,
            routes: routes.clone(),
            functions: functions.clone(),
            stop: stop.clone(),
            sleep: sleep.clone(),
            reactor: reactor.handle.clone(),
            metrics: metrics.clone(),
            tells_starts: rules.admission.wants_starts(),
            shelf: shelves.next(),
            tenants: tenants.clone(),
            events: writers.next().expect("each worker has one"),
        };
        let (links, workers) = start_workers(plan, &options, &stop)?;
        let alarms = links.iter().map(WorkerLink::alarm).collect();
        let seen = (recorder, metrics.clone());
        let mut dispatcher = Dispatcher::new(routes, links, rules, seen, (Monotonic, events));
        dispatcher.set_objectives(flight_thread.objectives());
        let plan = ListenerPlan {
            core: options.listener_core,
            settings: options.listener,
            drain_timeout: options.drain_timeout,
            spin_ns: options.listener_spin_ns,
            sleep: sleep.clone(),
            drain: drain.clone(),
            stop,
        };
        let listener = plan.spawn(sockets, dispatcher)?;
        Ok(Server {
            addresses,
            drain,
            sleep,
            listener,
            workers,
            alarms,
            records,
            reactor,
            metrics,
            flight,
            flight_thread,
        })
    }

    /// What has that written out.
    pub fn flight_control(&self) -> FlightControl {
        self.flight_thread.control()
    }

    /// Tenants and where they are reached.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// What may be seen of it.
    pub fn observed(&self) -> Observed {
        Observed {
            metrics: self.metrics.clone(),
            sleep: self.sleep.clone(),
            draining: self.drain.clone(),
            flight: self.flight.clone(),
        }
    }

    /// What makes it end.
    pub fn drain(&self) -> Drain {
        Drain {
            begun: self.drain.clone(),
            sleep: self.sleep.clone(),
        }
    }

    /// Waits for the end that [`Drain::begin`] began, or for a failure.
    ///
    /// # Errors
    ///
    /// The ring failed while serving.
    ///
    /// # Panics
    ///
    /// If a thread of the server has panicked.
    pub fn join(self) -> std::io::Result<Drained> {
        let drained = self
            .listener
            .join()
            .expect("the listener's thread aborts rather than panics");
        let until = std::time::Instant::now() + WORKER_END_MAX;
        for worker in self.workers {
            // One whose guest cannot be preempted does not end; the process will.
            while !worker.is_finished() && std::time::Instant::now() < until {
                // The listener, who may have had to, is gone.
                for alarm in &self.alarms {
                    alarm.expire_if_due(Monotonic.now_ns());
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            if worker.is_finished() {
                worker
                    .join()
                    .expect("a worker's thread aborts rather than panics");
            } else {
                tracing::warn!("a worker still runs a function that cannot be preempted");
            }
        }
        if let Some(records) = self.records {
            records.join().expect("the records' thread does not panic");
        }
        self.reactor.stop();
        self.flight_thread.end();
        self.metrics.ends().log();
        drained
    }
}

/// A thread that was to be started.
fn thread<T>(what: &'static str, started: std::io::Result<T>) -> Result<T, StartError> {
    started.map_err(|source| StartError::Thread { what, source })
}

/// A ring of so many events for each of so many threads, both ends.
fn rings(threads: usize, events: usize) -> (Vec<EventWriter>, Vec<EventReader>) {
    (0..threads).map(|_| perf::event::ring(events)).unzip()
}

/// What a recording says of the server.
fn header(deployment: &Deployment, options: &Options) -> recording::Header {
    let (start_ns, started_unix_ns) = flight::started();
    let tenant = |(port, tenant): (&Port, &sched::Tenant)| recording::Tenant {
        name: port.tenant.clone(),
        weight: tenant.weight,
        budget_ns: tenant.reservation.map_or(0, |owed| owed.budget_ns),
        period_ns: tenant.reservation.map_or(0, |owed| owed.period_ns),
    };
    let tenants = deployment.ports.iter().zip(&deployment.tenants);
    let route = |route: &Route| recording::Route {
        name: route.name.clone(),
        tenant: route.tenant,
        deadline_ns: route.relative_deadline_ns,
    };
    let preemption = match options.sandbox.preemption {
        sandbox::Preemption::Signal => "signal",
        sandbox::Preemption::Epoch => "epoch",
        sandbox::Preemption::Off => "off",
    };
    recording::Header {
        luge: env!("CARGO_PKG_VERSION").to_owned(),
        started_unix_ns,
        start_ns,
        workers: options.worker_cores.len() as u16,
        scheduler: options.scheduler.name.to_owned(),
        quantum_ns: options.params.quantum_ns,
        preemption: preemption.to_owned(),
        dispatch: options.intake.dispatch.name.to_owned(),
        tenants: tenants.map(tenant).collect(),
        routes: deployment.routes.each().map(route).collect(),
    }
}

/// Starts all workers at once, and waits until each is ready.
fn start_workers(
    plan: impl FnMut(usize) -> WorkerPlan,
    options: &Options,
    stop: &AtomicBool,
) -> Result<(Vec<WorkerLink>, Vec<JoinHandle<()>>), StartError> {
    let workers = (0..options.worker_cores.len()).map(plan);
    let pending = workers.map(|worker| worker.spawn(options));
    let pending = pending.collect::<Result<Vec<_>, _>>()?;
    let (mut links, mut workers) = (Vec::new(), Vec::new());
    for (worker, starting) in pending.into_iter().enumerate() {
        let died = Err("its thread died".to_owned());
        match starting.ready.recv().unwrap_or(died) {
            Ok(alarm) => links.push(starting.link.complete(alarm)),
            Err(cause) => {
                stop_workers(stop, &links);
                return Err(StartError::Worker { worker, cause });
            }
        }
        workers.push(starting.thread);
    }
    Ok((links, workers))
}

/// Ends workers that have begun to wait for requests which will not come.
fn stop_workers(stop: &AtomicBool, links: &[WorkerLink]) {
    stop.store(true, Ordering::SeqCst);
    links.iter().for_each(WorkerLink::interrupt);
}

/// Tells a server to end, from any thread.
#[derive(Clone)]
pub struct Drain {
    begun: Arc<AtomicBool>,
    sleep: Arc<ListenerSleep>,
}

impl Drain {
    /// Begins to end: no more connections, what was admitted is finished. Returns at once.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::SeqCst);
        self.sleep.wake();
    }
}

/// A tenant and where it is reached.
pub type Address = (String, SocketAddr);

/// Opens every tenant's port.
fn bind(ports: &[Port], address: IpAddr) -> Result<(Vec<TcpListener>, Vec<Address>), StartError> {
    let (mut sockets, mut addresses) = (Vec::new(), Vec::new());
    for port in ports {
        let address = SocketAddr::new(address, port.port);
        let bound = listen_on(address).and_then(|socket| Ok((socket.local_addr()?, socket)));
        let (address, socket) = bound.map_err(|source| StartError::Listen {
            tenant: port.tenant.clone(),
            address,
            source,
        })?;
        addresses.push((port.tenant.clone(), address));
        sockets.push(socket);
    }
    Ok((sockets, addresses))
}

/// The kernel takes a killed server's ring apart a little after its process has ended, and the listening socket
/// with it: whoever starts the next one at once finds the address in use for a moment.
fn listen_on(address: SocketAddr) -> std::io::Result<TcpListener> {
    let until = std::time::Instant::now() + ADDRESS_IN_USE_MAX;
    loop {
        match TcpListener::bind(address) {
            Err(error)
                if error.kind() == std::io::ErrorKind::AddrInUse
                    && std::time::Instant::now() < until =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            bound => return bound,
        }
    }
}
