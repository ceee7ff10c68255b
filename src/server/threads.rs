//! The threads of a server: how each is made, pinned and watched. Their loops are in files of their own.

use super::dispatch::Dispatcher;
use super::link::{ListenerSleep, PendingLink, link};
use super::listen::{Clocks, Drained, ListenerThread};
use super::metrics::Metrics;
use super::routes::Routes;
use super::seams::{Interrupt, Monotonic, Sandboxes};
use super::shelves::Shelf;
use super::work::{WorkerSettings, WorkerThread};
use super::{Function, Options, StartError};
use crate::limits::{FILE_THREADS, FILE_THREADS_KEEP};
use core_affinity::CoreId;
use listener::{Listener, Ring};
use perf::event::EventWriter;
use sandbox::{Trigger, Watcher};
use sched::Tenant;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::Duration;

/// The async thread, and those that do what guests want of files, off the data path.
pub(crate) struct Reactor {
    pub handle: tokio::runtime::Handle,
    stop: tokio::sync::oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Reactor {
    /// `with_files`: some function has a directory.
    pub fn start(with_files: bool) -> Result<Reactor, StartError> {
        let failed = |source| StartError::Thread {
            what: "async",
            source,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .thread_name("luge-files")
            .max_blocking_threads(FILE_THREADS)
            .thread_keep_alive(FILE_THREADS_KEEP)
            .build()
            .map_err(failed)?;
        if with_files {
            start_all(runtime.handle());
        }
        let handle = runtime.handle().clone();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("luge-async".into())
            .spawn(move || {
                // Guests that sleep rely on it.
                let _guard = AbortOnPanic;
                drop(runtime.block_on(stopped));
            })
            .map_err(failed)?;
        Ok(Reactor {
            handle,
            stop,
            thread,
        })
    }

    pub fn stop(self) {
        drop(self.stop);
        self.thread.join().expect("the async thread does not panic");
    }
}

/// Starts all threads for files now: each inherits the cores of the thread that starts it, and this one is
/// not pinned.
fn start_all(runtime: &tokio::runtime::Handle) {
    let all = Arc::new(Barrier::new(FILE_THREADS));
    for _ in 0..FILE_THREADS {
        let all = all.clone();
        // Nobody is told when they have met.
        drop(runtime.spawn_blocking(move || _ = all.wait()));
    }
}

/// What a worker's thread is made from.
pub(super) struct WorkerPlan {
    pub worker: usize,
    pub routes: Arc<Routes>,
    pub functions: Arc<Vec<Function>>,
    pub stop: Arc<AtomicBool>,
    pub sleep: Arc<ListenerSleep>,
    pub reactor: tokio::runtime::Handle,
    pub metrics: Arc<Metrics>,
    pub tells_starts: bool,
    /// Where workers steal.
    pub shelf: Option<Shelf>,
    pub tenants: Arc<[Tenant]>,
    pub events: EventWriter,
}

/// A worker's thread that is starting, and what it says when it is ready.
pub(super) struct StartingWorker {
    pub thread: JoinHandle<()>,
    pub ready: Receiver<Result<Arc<dyn Interrupt>, String>>,
    pub link: PendingLink,
}

impl WorkerPlan {
    pub fn spawn(self, options: &Options) -> Result<StartingWorker, StartError> {
        let (link, inbox) = link(options.outstanding_max, self.sleep.clone(), self.shelf);
        let (said, ready) = channel();
        let sandbox = options.sandbox.clone();
        let settings = WorkerSettings {
            tasks_max: options.tasks_max(),
            scheduler: options.scheduler,
            params: options.params,
            dispatch: options.intake.dispatch,
            notice_ns: options.params.quantum_ns,
            spin_ns: options.worker_spin_ns,
            metrics: self.metrics.worker(self.worker),
            tells_starts: self.tells_starts,
            tenants: self.tenants,
        };
        let core = options.worker_cores[self.worker];
        let watcher: Option<Arc<dyn Watcher>> = match options.trigger {
            Trigger::Timer => None,
            Trigger::Watcher => Some(self.sleep.clone()),
        };
        let run = move || {
            let _guard = AbortOnPanic;
            pin(core);
            let made = Sandboxes::new(&sandbox, &self.functions, self.reactor, watcher);
            let guest = match made {
                Ok(guest) => guest,
                Err(error) => return drop(said.send(Err(error.to_string()))),
            };
            let alarm: Arc<dyn Interrupt> = Arc::new(guest.alarm());
            // Nobody listens if another worker has failed: then there is nothing to serve.
            if said.send(Ok(alarm.clone())).is_ok() {
                let (guest, around) = ((guest, alarm), (Monotonic, self.events));
                WorkerThread::new(settings, guest, around, inbox, self.routes, self.stop).run();
            }
        };
        let thread = std::thread::Builder::new()
            .name(format!("luge-worker-{}", self.worker))
            .spawn(run)
            .map_err(|source| StartError::Thread {
                what: "worker",
                source,
            })?;
        Ok(StartingWorker {
            thread,
            ready,
            link,
        })
    }
}

/// What the listener's thread is made from.
pub(super) struct ListenerPlan {
    pub core: Option<CoreId>,
    pub settings: listener::Settings,
    pub drain_timeout: Duration,
    pub spin_ns: u64,
    pub sleep: Arc<ListenerSleep>,
    pub drain: Arc<AtomicBool>,
    pub stop: Arc<AtomicBool>,
}

impl ListenerPlan {
    pub fn spawn(
        self,
        sockets: Vec<TcpListener>,
        dispatcher: Dispatcher<Monotonic>,
    ) -> Result<JoinHandle<std::io::Result<Drained>>, StartError> {
        let (said, ready) = channel();
        let run = move || {
            let _guard = AbortOnPanic;
            pin(self.core);
            let ports = sockets.len() as u16;
            // A ring for a single issuer belongs to the thread that makes it.
            let ring = match Ring::new(sockets) {
                Ok(ring) => ring,
                Err(error) => {
                    self.stop.store(true, Ordering::SeqCst);
                    dispatcher.interrupt_workers();
                    drop(said.send(Err(error)));
                    return Err(std::io::Error::other("no ring"));
                }
            };
            self.sleep
                .bell
                .set(ring.bell())
                .expect("one listener sets it once");
            drop(said.send(Ok(())));
            let mut clocks = Clocks::default();
            let thread = ListenerThread {
                listener: Listener::new(ring, dispatcher, self.settings, ports, clocks.read()),
                clocks,
                due_ns: u64::MAX,
                turned_ns: 0,
                sleep: self.sleep,
                drain: self.drain,
                stop: self.stop,
                drain_timeout: self.drain_timeout,
                spin_ns: self.spin_ns,
            };
            thread.run()
        };
        let thread = std::thread::Builder::new()
            .name("luge-listener".into())
            .spawn(run)
            .map_err(|source| StartError::Thread {
                what: "listener",
                source,
            })?;
        match ready.recv() {
            Ok(Ok(())) => Ok(thread),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => unreachable!("the listener says something or aborts"),
        }
    }
}

fn pin(core: Option<CoreId>) {
    if let Some(core) = core
        && !core_affinity::set_for_current(core)
    {
        tracing::warn!(core = core.id, "the thread cannot be pinned to its core");
    }
}

/// A panic on a thread that others depend on is our bug; a server without that thread would hang.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}
