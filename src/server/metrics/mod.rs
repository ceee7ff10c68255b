//! What is counted while the server serves.
//!
//! ```text
//!   listener's thread ──► ListenerMetrics ─┐
//!   each worker's     ──► WorkerMetrics   ─┴─► whoever reads: families (text for Prometheus), SLEdge's names
//! ```
//!
//! Each thread counts in a struct of its own, by [`perf::live`]: without locks, without disturbing the others, and in
//! cache lines that only readers share with it. What is known of a route comes with its first request, so that the
//! server counts what it has and not what it might have. Nothing is counted that can be had from what is.
//!
//! Not here: the names under which it is told ([`families`], [`sledge`]).

mod about;
mod families;
mod listener;
mod process;
mod sledge;
mod worker;

pub use about::{About, Facts, RouteNamed, TenantNamed};
pub use families::{Encoding, text};
pub use sledge::text as sledge_text;

pub(crate) use listener::{AtTheDoor, ListenerMetrics};
pub use worker::WorkerMetrics;

use super::ends::Ends;
use perf::live::Told;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// All that one server counts.
pub struct Metrics {
    /// What stays as it is.
    pub(crate) about: About,
    pub(crate) listener: ListenerMetrics,
    pub(crate) workers: Box<[Arc<WorkerMetrics>]>,
    /// Of each worker, for how long whoever reads was told that it was busy.
    told: Box<[Told]>,
}

impl Metrics {
    /// Nothing has been counted yet.
    #[must_use]
    pub fn new(about: About) -> Metrics {
        let routes = about.routes.len();
        let workers =
            (0..about.workers).map(|_| Arc::new(WorkerMetrics::new(routes, about.workers)));
        Metrics {
            listener: ListenerMetrics::new(routes, about.tenants.len(), about.workers),
            workers: workers.collect(),
            told: (0..about.workers).map(|_| Told::default()).collect(),
            about,
        }
    }

    /// What a worker counts.
    #[must_use]
    pub fn worker(&self, index: usize) -> Arc<WorkerMetrics> {
        self.workers[index].clone()
    }

    /// How requests ended other than well, on all workers.
    pub(crate) fn ends(&self) -> Ends {
        let all = Ends::default();
        let routes = 0..self.about.routes.len();
        let each = routes.filter_map(|route| self.ends_of(route));
        each.for_each(|ends| all.add(&ends));
        all
    }

    /// The same of one route; `None` before a worker had something to count of it.
    fn ends_of(&self, route: usize) -> Option<Ends> {
        let mut workers = self.of_workers(route).peekable();
        workers.peek()?;
        let all = Ends::default();
        workers.for_each(|counted| all.add(&counted.ends));
        Some(all)
    }

    /// What each worker counted of a route.
    fn of_workers(&self, route: usize) -> impl Iterator<Item = &worker::OfRoute> {
        let workers = self.workers.iter();
        workers.filter_map(move |worker| worker.route(route))
    }
}

/// How many requests and sandboxes of one worker there are, by where they are.
struct Reading {
    in_flight: u64,
    queued: u64,
    running: u64,
    ready: u64,
    blocked: u64,
}

impl Metrics {
    /// Of each worker. Differences of what only grows, the later read first, so that none is below 0.
    fn readings(&self) -> impl Iterator<Item = Reading> {
        let workers = self.listener.given.iter().zip(&*self.workers);
        workers.enumerate().map(|(at, (given, worker))| {
            let returned = given.returned.value();
            let over = worker.finished.value();
            let dropped = worker.dropped.value();
            let blocked = worker.blocked.value().max(0) as u64;
            let running = u64::from(worker.busy.is_under_way());
            let started = worker.started.value();
            let thieves = self.workers.iter();
            let lost: u64 = thieves.map(|it| it.stolen_from[at].value()).sum();
            let stolen = worker.stolen();
            let dispatched = given.dispatched.value();
            Reading {
                in_flight: dispatched.saturating_sub(returned),
                queued: (dispatched + stolen).saturating_sub(lost + started + dropped),
                running,
                ready: started.saturating_sub(over + blocked + running),
                blocked,
            }
        })
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// What is counted of each route; nothing before its first request.
#[derive(Default)]
struct OfRoutes<T>(Box<[OnceLock<Box<T>>]>);

impl<T: Default> OfRoutes<T> {
    fn new(routes: usize) -> Self {
        Self((0..routes).map(|_| OnceLock::new()).collect())
    }

    fn of(&self, route: u16) -> &T {
        self.0[usize::from(route)].get_or_init(Box::default)
    }

    /// Those that had a request, with their routes.
    fn each(&self) -> impl Iterator<Item = (usize, &T)> {
        let each = self.0.iter().enumerate();
        each.filter_map(|(route, counted)| Some((route, &**counted.get()?)))
    }

    fn get(&self, route: usize) -> Option<&T> {
        Some(self.0[route].get()?)
    }
}
