//! What stands behind the listener: routes, the choice of a worker, the rings. It decides nothing itself;
//! `sched` does.

use super::access::AccessLog;
use super::link::WorkerLink;
use super::routes::Routes;
use listener::{Answered, ConnectionKey, Exchange, Refusal, Service, Target};
use listener_http::{Head, Status};
use sched::{LeastLoaded, Load, Nanos, Scheduler};
use std::sync::Arc;

/// The server as the listener sees it.
pub struct Dispatcher {
    routes: Arc<Routes>,
    workers: Vec<WorkerLink>,
    /// The workers' policy: what a newcomer is compared by.
    scheduler: &'static Scheduler,
    /// Scratch: the workers' loads, gathered for each choice.
    loads: Vec<Load>,
    dispatch: LeastLoaded,
    /// Which worker's answers are looked at next.
    next_answer: usize,
    access: Option<AccessLog>,
}

impl Dispatcher {
    /// `access` gets a record of every answer.
    pub fn new(
        routes: Arc<Routes>,
        workers: Vec<WorkerLink>,
        scheduler: &'static Scheduler,
        access: Option<AccessLog>,
    ) -> Dispatcher {
        let loads = Vec::with_capacity(workers.len());
        Dispatcher {
            routes,
            workers,
            scheduler,
            loads,
            dispatch: LeastLoaded::default(),
            next_answer: 0,
            access,
        }
    }

    /// Requests that workers have.
    pub fn outstanding(&self) -> u32 {
        self.workers
            .iter()
            .map(|worker| worker.load().outstanding)
            .sum()
    }

    /// Whether an answer lies in a ring.
    pub fn has_completed(&self) -> bool {
        self.workers.iter().any(WorkerLink::has_completed)
    }

    /// Ends slices that are over, of workers that rely on it; says when to look again, `u64::MAX` for never.
    pub fn expire_if_due(&self, now: Nanos) -> Nanos {
        let workers = self.workers.iter();
        let due = workers.map(|worker| worker.expire_if_due(now));
        due.min().unwrap_or(u64::MAX)
    }

    /// Ends the workers' slices and sleeps, so that they see that they shall stop.
    pub fn interrupt_workers(&self) {
        self.workers.iter().for_each(WorkerLink::interrupt);
    }
}

impl Service for Dispatcher {
    fn route(&mut self, port: u16, head: &Head<'_>) -> Result<Target, Refusal> {
        self.routes.find(port, head)
    }

    fn submit(&mut self, mut exchange: Box<Exchange>) -> Result<u16, (Box<Exchange>, Refusal)> {
        self.loads.clear();
        self.loads.extend(self.workers.iter().map(WorkerLink::load));
        let Some(worker) = self.dispatch.choose(&self.loads) else {
            return Err((exchange, Refusal::new(Status::SERVICE_UNAVAILABLE)));
        };
        exchange.worker = worker as u16;
        let arrival = self.routes.route(exchange.route).arrival(&exchange);
        let rank = arrival.rank(self.scheduler);
        self.workers[worker].submit(exchange, rank);
        Ok(worker as u16)
    }

    fn abandon(&mut self, worker: u16, connection: ConnectionKey) {
        self.workers[usize::from(worker)].abandon(connection);
    }

    fn completed(&mut self) -> Option<Box<Exchange>> {
        for _ in 0..self.workers.len() {
            let worker = self.next_answer;
            self.next_answer = (worker + 1) % self.workers.len();
            if let Some(exchange) = self.workers[worker].completed() {
                return Some(exchange);
            }
        }
        None
    }

    fn content_type(&self, route: u16) -> Option<&str> {
        self.routes.route(route).content_type.as_deref()
    }

    fn answered(&mut self, record: &Answered<'_>) {
        if let Some(access) = &mut self.access {
            access.record(record);
        }
    }
}
