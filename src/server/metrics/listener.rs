//! What the listener's thread counts: turns, connections, verdicts, and of every request that is over its status and how
//! long it took.

use super::super::routes::Route;
use super::OfRoutes;
use crate::limits::STATUSES_APART_MAX;
use listener::{Answered, Counters};
use perf::live::{Counter, Gauge, LiveBuckets, LiveHistogram};
use sched::Nanos;
use sched::admission::Admission;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

/// The statuses that the server has of its own, and that of whose client went away; none that a function makes up is in
/// their way.
const OWN: [u16; 18] = [
    200, 400, 404, 405, 408, 411, 413, 414, 417, 429, 431, 499, 500, 501, 502, 503, 504, 505,
];

/// What became of a request at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum AtTheDoor {
    /// It was taken.
    Admitted,
    /// Its tenant had all that it may.
    Tenant,
    /// The rule of admission found no room.
    Server,
    /// All workers were full.
    Full,
}

impl AtTheDoor {
    /// All of them with their names.
    pub const EACH: [(Self, &'static str); 4] = [
        (Self::Admitted, "admitted"),
        (Self::Tenant, "tenant"),
        (Self::Server, "server"),
        (Self::Full, "full"),
    ];
}

/// See the module's text.
#[repr(align(128))]
pub(crate) struct ListenerMetrics {
    pub turns: Counter,
    /// From the beginning of a turn to that of the next, if that found something and there was no sleep between them.
    pub gap: LiveHistogram,
    /// Connections that are open.
    pub connections: Gauge,
    /// Of the listener's own counters those that nobody else has; see [`ListenerMetrics::COUNTS`].
    pub counts: [Counter; ListenerMetrics::COUNTS.len()],
    /// Requests that wait for a worker at the dispatcher.
    pub backlog: Gauge,
    /// What admission by utilisation has given away, and what it may, in units of [`sched::admission::utilisation::WORKER`].
    pub held: Gauge,
    pub capacity: Gauge,
    /// Requests given to each worker, and those that came back.
    pub given: Box<[Given]>,
    pub tenants: Box<[OfTenant]>,
    routes: OfRoutes<OfRoute>,
}

/// Requests of one worker's.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Given {
    pub dispatched: Counter,
    pub returned: Counter,
}

/// What is counted of a tenant.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct OfTenant {
    pub at_the_door: [Counter; AtTheDoor::EACH.len()],
    /// Answers to requests without a route.
    pub unrouted: Codes,
    /// What is left of its budget, in nanoseconds; as of its last request.
    pub budget_left_ns: Gauge,
}

/// What is counted of a route.
#[derive(Default)]
pub(crate) struct OfRoute {
    pub codes: Codes,
    pub deadline_misses: Counter,
    pub objective_misses: Counter,
    /// From a request's last byte to its answer's, of those that a worker had and whose answer the kernel took.
    pub duration: LiveHistogram,
    /// Of that, from the answer's hand-over to its connection on.
    pub write: LiveBuckets,
}

/// How often each status was.
pub(crate) struct Codes {
    /// 0: not used yet.
    codes: [AtomicU16; STATUSES_APART_MAX],
    counts: [Counter; STATUSES_APART_MAX],
    others: Counter,
}

impl Default for Codes {
    fn default() -> Self {
        Self {
            codes: std::array::from_fn(|at| AtomicU16::new(OWN.get(at).copied().unwrap_or(0))),
            counts: std::array::from_fn(|_| Counter::default()),
            others: Counter::default(),
        }
    }
}

impl Codes {
    fn count(&self, code: u16) {
        for (known, count) in self.codes.iter().zip(&self.counts) {
            match known.load(Relaxed) {
                0 => known.store(code, Relaxed),
                known if known == code => {}
                _ => continue,
            }
            return count.increment();
        }
        self.others.increment();
    }

    /// Each that was with how often; `None`: others than those.
    pub fn each(&self) -> impl Iterator<Item = (Option<u16>, u64)> {
        let codes = self.codes.iter().map(|code| Some(code.load(Relaxed)));
        let known = codes.zip(&self.counts);
        let all = known.chain([(None, &self.others)]);
        all.map(|(code, count)| (code, count.value()))
            // A count may be seen before its status: then the next reading has both.
            .filter(|(code, count)| *count > 0 && *code != Some(0))
    }
}

impl ListenerMetrics {
    /// The listener's counters that are told: names and what they are.
    pub const COUNTS: [(&'static str, &'static str); 8] = [
        ("luge_connections_accepted", "Connections accepted and kept"),
        (
            "luge_connections_refused",
            "Connections closed at once because there were too many",
        ),
        (
            "luge_accepts_failed",
            "Accepts that failed, most often for want of file descriptors",
        ),
        (
            "luge_connection_timeouts",
            "Connections that ran out of time",
        ),
        (
            "luge_requests_abandoned",
            "Requests whose client went away before the answer",
        ),
        (
            "luge_bodies_given_up",
            "Requests whose client went away before their body was there",
        ),
        (
            "luge_receive_buffers_exhausted",
            "Times that no receive buffer was free",
        ),
        (
            "luge_ring_overflows",
            "Times that completions had no room in the ring and waited in the kernel",
        ),
    ];

    pub fn new(routes: usize, tenants: usize, workers: usize) -> Self {
        Self {
            turns: Counter::default(),
            gap: LiveHistogram::default(),
            connections: Gauge::default(),
            counts: std::array::from_fn(|_| Counter::default()),
            backlog: Gauge::default(),
            held: Gauge::default(),
            capacity: Gauge::default(),
            given: (0..workers).map(|_| Given::default()).collect(),
            tenants: (0..tenants).map(|_| OfTenant::default()).collect(),
            routes: OfRoutes::new(routes),
        }
    }

    /// A turn that began at `now` has found something; the one before began at `before_ns`, or is another side of a
    /// sleep and 0.
    pub fn found(&self, before_ns: Nanos, now: Nanos) {
        if before_ns > 0 {
            self.gap.record(now.saturating_sub(before_ns));
        }
    }

    /// What the listener has counted so far.
    pub fn counted(&self, counters: &Counters, connections: usize) {
        let told = [
            counters.connections,
            counters.connections_refused,
            counters.accepts_failed,
            counters.timeouts,
            counters.abandoned,
            counters.bodies_given_up,
            counters.buffers_exhausted,
            counters.ring_overflows,
        ];
        for (count, total) in self.counts.iter().zip(told) {
            count.set(total);
        }
        self.connections.set(connections as i64);
    }

    /// What became of a tenant's request at the door, and what that leaves.
    pub fn decided(&self, tenant: u16, what: AtTheDoor, admission: &Admission) {
        let of_tenant = &self.tenants[usize::from(tenant)];
        of_tenant.at_the_door[what as usize].increment();
        self.left(tenant, admission);
    }

    /// What admission leaves now.
    pub fn left(&self, tenant: u16, admission: &Admission) {
        if let Some(left_ns) = admission.budgets().and_then(|it| it.left_ns(tenant)) {
            let of_tenant = &self.tenants[usize::from(tenant)];
            of_tenant.budget_left_ns.set(left_ns);
        }
        if let Some(room) = admission.room() {
            self.held.set(room.held() as i64);
            self.capacity.set(room.capacity() as i64);
        }
    }

    /// A request is over; `route` is its own, where it had one.
    pub fn departed(&self, record: &Answered<'_>, route: Option<&Route>) {
        let (Some(at), Some(route)) = (record.route, route) else {
            let of_tenant = &self.tenants[usize::from(record.port)];
            return of_tenant.unrouted.count(record.status.0);
        };
        let (counted, timeline) = (self.routes.of(at), record.timeline);
        counted.codes.count(record.status.0);
        // Of those that were taken: no other is ever over.
        if timeline.finished_ns > 0
            && timeline.finished_ns >= route.deadline_ns(timeline.arrived_ns)
        {
            counted.deadline_misses.increment();
        }
        if record.worker.is_none() {
            return;
        }
        let Some(duration_ns) = timeline.latency_ns() else {
            return;
        };
        counted.duration.record(duration_ns);
        counted.write.record(timeline.written_ns().unwrap_or(0));
        if route
            .objective_ns
            .is_some_and(|objective_ns| duration_ns > objective_ns)
        {
            counted.objective_misses.increment();
        }
    }

    /// What was counted of a route, if it had a request.
    pub fn route(&self, route: usize) -> Option<&OfRoute> {
        self.routes.get(route)
    }

    /// The routes that had a request, and what was counted of them.
    pub fn routes(&self) -> impl Iterator<Item = (usize, &OfRoute)> {
        self.routes.each()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_counted_apart_up_to_a_limit() {
        let codes = Codes::default();
        for code in [200, 503, 200, 404] {
            codes.count(code);
        }
        let each: Vec<_> = codes.each().collect();
        assert_eq!(each, [(Some(200), 2), (Some(404), 1), (Some(503), 1)]);
    }

    #[test]
    fn what_functions_make_up_is_not_in_the_way_of_the_servers_own() {
        let codes = Codes::default();
        (600..700).for_each(|code| codes.count(code));
        OWN.into_iter().for_each(|code| codes.count(code));
        let each: Vec<_> = codes.each().collect();
        let own = OWN.map(|code| (Some(code), 1));
        assert_eq!(each[..OWN.len()], own);
        let apart = STATUSES_APART_MAX - OWN.len();
        assert_eq!(each.len(), STATUSES_APART_MAX + 1);
        assert_eq!(each[STATUSES_APART_MAX], (None, 100 - apart as u64));
    }
}
