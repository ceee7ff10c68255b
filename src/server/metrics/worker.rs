//! What a worker's thread counts: slices, sandboxes, and where the time of its requests went until they were over.

use super::OfRoutes;
use listener::Exchange;
use perf::live::{Busy, Counter, Gauge, LiveHistogram};
use sched::Nanos;
use std::fmt;

/// See the module's text.
#[repr(align(128))]
#[derive(Default)]
pub struct WorkerMetrics {
    /// The time of its slices, the one that runs included.
    pub(crate) busy: Busy,
    pub(crate) slices: Counter,
    pub(crate) preemptions: Counter,
    pub(crate) yields: Counter,
    pub(crate) blocks: Counter,
    /// Requests that began: each has had a sandbox.
    pub(crate) started: Counter,
    /// Of them, those that are over.
    pub(crate) finished: Counter,
    /// Of those again, the ones whose answer says that the server or the function is at fault, or is nobody's.
    pub(crate) failed: Counter,
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
    /// From the last byte until it began.
    pub queue: LiveHistogram,
    /// Slices.
    pub run: LiveHistogram,
    /// Of them, calls of the host; of requests that had any.
    pub host: LiveHistogram,
    /// It could have run and did not; of requests that were in that case.
    pub preempted: LiveHistogram,
    /// It waited for something; of requests that did.
    pub blocked: LiveHistogram,
}

impl WorkerMetrics {
    pub(crate) fn new(routes: usize) -> WorkerMetrics {
        WorkerMetrics {
            routes: OfRoutes::new(routes),
            ..WorkerMetrics::default()
        }
    }

    /// A slice that was due at `due_ns` was stopped.
    pub(crate) fn preempted(&self, due_ns: Nanos, now: Nanos) {
        self.preemptions.increment();
        self.preemption_latency.record(now.saturating_sub(due_ns));
    }

    /// A request is over.
    pub(crate) fn over(&self, exchange: &Exchange) {
        let timeline = &exchange.timeline;
        let Some(queued_ns) = timeline.queued_ns() else {
            return self.dropped.increment();
        };
        self.finished.increment();
        let is_well = (200..500).contains(&exchange.status.0) && !exchange.is_abandoned();
        if !is_well {
            self.failed.increment();
        }
        let counted = self.routes.of(exchange.route);
        counted.queue.record(queued_ns);
        counted.run.record(timeline.ran_ns);
        if timeline.host_ns > 0 {
            counted.host.record(timeline.host_ns);
        }
        if timeline.preempted_ns > 0 {
            counted.preempted.record(timeline.preempted_ns);
        }
        if timeline.blocks > 0 {
            counted.blocked.record(timeline.blocked_ns);
        }
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
