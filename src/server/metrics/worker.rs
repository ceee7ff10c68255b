//! What a worker's thread counts: slices, sandboxes, and where the time of its requests went until they were over.

use super::super::ends::Ends;
use super::OfRoutes;
use listener::Exchange;
use perf::live::{Busy, Counter, Gauge, LiveBuckets, LiveHistogram};
use sched::Nanos;
use std::fmt;

/// See the module's text.
#[repr(align(128))]
#[derive(Default)]
pub struct WorkerMetrics {
    /// The time of its slices, the one that runs included.
    pub(crate) busy: Busy,
    /// Slices by why they ended: their function had; it was stopped; it gave way; it waited for something.
    pub(crate) completions: Counter,
    pub(crate) preemptions: Counter,
    pub(crate) yields: Counter,
    pub(crate) blocks: Counter,
    /// Requests that began: each has had a sandbox.
    pub(crate) started: Counter,
    /// Of them, those that are over.
    pub(crate) finished: Counter,
    /// Of those again, the ones whose answer says that the server or the function is at fault, or is nobody's.
    pub(crate) failed: Counter,
    /// Requests that were another worker's before they began, by that one.
    pub(crate) stolen_from: Box<[Counter]>,
    /// Requests that were over before they began.
    pub(crate) dropped: Counter,
    /// Sandboxes that wait for something.
    pub(crate) blocked: Gauge,
    /// Instances whose memory was made as new.
    pub(crate) resets: Counter,
    /// From when a slice was due to be stopped until it was.
    pub(crate) preemption_latency: LiveHistogram,
    routes: OfRoutes<OfRoute>,
}

/// Where the time of a route's requests went that a worker has begun.
#[derive(Default)]
pub(crate) struct OfRoute {
    /// How requests ended other than well.
    pub ends: Ends,
    /// From the last byte until it began.
    pub queue: LiveHistogram,
    /// Slices.
    pub run: LiveHistogram,
    /// Of them, calls of the host; of requests that had any.
    pub host: LiveBuckets,
    /// It could have run and did not; of requests that were in that case.
    pub preempted: LiveBuckets,
    /// It waited for something; of requests that did.
    pub blocked: LiveBuckets,
}

/// Where the time of one request went that had begun.
pub(crate) struct Spent {
    route: u16,
    queued_ns: Nanos,
    ran_ns: Nanos,
    host_ns: Nanos,
    preempted_ns: Nanos,
    /// `None`: it waited for nothing.
    blocked_ns: Option<Nanos>,
}

impl WorkerMetrics {
    pub(crate) fn new(routes: usize, workers: usize) -> WorkerMetrics {
        WorkerMetrics {
            stolen_from: (0..workers).map(|_| Counter::default()).collect(),
            routes: OfRoutes::new(routes),
            ..WorkerMetrics::default()
        }
    }

    /// Requests that were another worker's before they began.
    pub(crate) fn stolen(&self) -> u64 {
        self.stolen_from.iter().map(Counter::value).sum()
    }

    /// A slice that was due at `due_ns` was stopped.
    pub(crate) fn preempted(&self, due_ns: Nanos, now: Nanos) {
        self.preemptions.increment();
        self.preemption_latency.record(now.saturating_sub(due_ns));
    }

    /// A request is over: before it is given back, so that it is over for whoever has it. For [`WorkerMetrics::spent`]
    /// what it took, if it had begun.
    pub(crate) fn over(&self, exchange: &Exchange) -> Option<Spent> {
        let timeline = &exchange.timeline;
        let Some(queued_ns) = timeline.queued_ns() else {
            self.dropped.increment();
            return None;
        };
        self.finished.increment();
        let is_well = (200..500).contains(&exchange.status.0) && !exchange.is_abandoned();
        if !is_well {
            self.failed.increment();
        }
        Some(Spent {
            route: exchange.route,
            queued_ns,
            ran_ns: timeline.ran_ns,
            host_ns: timeline.host_ns,
            preempted_ns: timeline.preempted_ns,
            blocked_ns: (timeline.blocks > 0).then_some(timeline.blocked_ns),
        })
    }

    /// Where its time went: once it is given back, since its client does not wait for that.
    pub(crate) fn spent(&self, spent: &Spent) {
        let counted = self.routes.of(spent.route);
        counted.queue.record(spent.queued_ns);
        counted.run.record(spent.ran_ns);
        if spent.host_ns > 0 {
            counted.host.record(spent.host_ns);
        }
        if spent.preempted_ns > 0 {
            counted.preempted.record(spent.preempted_ns);
        }
        if let Some(blocked_ns) = spent.blocked_ns {
            counted.blocked.record(blocked_ns);
        }
    }

    /// Where ends of a route's requests are counted that are not good ones.
    pub(crate) fn ends(&self, route: u16) -> &Ends {
        &self.routes.of(route).ends
    }

    /// What was counted of a route, if anything.
    pub(crate) fn route(&self, route: usize) -> Option<&OfRoute> {
        self.routes.get(route)
    }
}

impl fmt::Debug for WorkerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerMetrics").finish_non_exhaustive()
    }
}
