//! Where the time of a request went: the points in its life, and the times between them.
//!
//! ```text
//!   accepted   began   parsed   arrived   admitted   dispatched   picked   started … finished   answered   sending   sent
//!                │ received        │ queued                         ran, preempted, blocked │ returned │ written          │
//!                                  │ sojourn                                                │
//!                                  │ latency                                                                             │
//! ```
//!
//! The listener writes the points before the ring to the worker and those behind the ring back, the worker those
//! between; the timeline travels with the exchange, so nothing is shared. From `started` to `finished` every
//! nanosecond is in one of `ran`, `preempted` and `blocked`.

/// Points in a request's life, in nanoseconds of the server's clock; 0 where not reached. They are in the order of the
/// fields. What the listener's own are is the beginning of the turn in which it saw them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Its connection was accepted; 0 if that has had a request before.
    pub accepted_ns: u64,
    /// Its first byte was there.
    pub began_ns: u64,
    /// Its head was there and had a route.
    pub parsed_ns: u64,
    /// Its last byte was there.
    pub arrived_ns: u64,
    /// It was admitted.
    pub admitted_ns: u64,
    /// It was put where a worker takes it from.
    pub dispatched_ns: u64,
    /// The worker took it out of there.
    pub picked_ns: u64,
    /// Its sandbox was started.
    pub started_ns: u64,
    /// The function ended, or was ended.
    pub finished_ns: u64,
    /// The answer was handed to the connection.
    pub answered_ns: u64,
    /// The answer's first byte was handed to the kernel.
    pub sending_ns: u64,
    /// The kernel has taken its last byte.
    pub sent_ns: u64,
    /// Time that it held the worker's core: its slices together.
    pub ran_ns: u64,
    /// Time between its first slice and its end that it could have run and did not.
    pub preempted_ns: u64,
    /// Time between its first slice and its end that it waited for something.
    pub blocked_ns: u64,
    /// Of its slices, time in calls of the host.
    pub host_ns: u64,
    /// How many slices it had.
    pub slices: u32,
    /// How often it was preempted.
    pub preemptions: u32,
    /// How often it waited for something.
    pub blocks: u32,
}

impl Timeline {
    /// From the first byte to the last.
    #[must_use]
    pub fn received_ns(&self) -> Option<u64> {
        between(self.began_ns, self.arrived_ns)
    }

    /// From the last byte to the start of the sandbox.
    #[must_use]
    pub fn queued_ns(&self) -> Option<u64> {
        between(self.arrived_ns, self.started_ns)
    }

    /// From the last byte to the function's end.
    #[must_use]
    pub fn sojourn_ns(&self) -> Option<u64> {
        between(self.arrived_ns, self.finished_ns)
    }

    /// From the function's end until the listener had its answer.
    #[must_use]
    pub fn returned_ns(&self) -> Option<u64> {
        between(self.finished_ns, self.answered_ns)
    }

    /// From the answer's hand-over until the kernel had its last byte.
    #[must_use]
    pub fn written_ns(&self) -> Option<u64> {
        between(self.answered_ns, self.sent_ns)
    }

    /// From the request's last byte until the kernel had the answer's.
    #[must_use]
    pub fn latency_ns(&self) -> Option<u64> {
        between(self.arrived_ns, self.sent_ns)
    }

    /// What is known when the answer is written, as the value of a `Server-Timing` field: names with times in
    /// milliseconds (W3C Server Timing §2). `total` is from the first byte to the hand-over of the answer; the others
    /// are parts of it, `host` one of `ran`.
    #[must_use]
    pub fn server_timing(&self) -> String {
        let total_ns = between(self.began_ns, self.answered_ns);
        let started = |ns: u64| (self.started_ns > 0).then_some(ns);
        let parts = [
            ("received", self.received_ns()),
            ("queued", self.queued_ns()),
            ("ran", started(self.ran_ns)),
            ("host", started(self.host_ns)),
            ("preempted", started(self.preempted_ns)),
            ("blocked", started(self.blocked_ns)),
            ("returned", self.returned_ns()),
            ("total", total_ns),
        ];
        let known = parts.iter().filter_map(|(name, ns)| Some((name, (*ns)?)));
        let texts =
            known.map(|(name, ns)| format!("{name};dur={}.{:06}", ns / 1_000_000, ns % 1_000_000));
        texts.collect::<Vec<_>>().join(", ")
    }
}

/// `None` where either was not reached.
fn between(from_ns: u64, to_ns: u64) -> Option<u64> {
    (from_ns > 0 && to_ns > 0).then(|| to_ns.saturating_sub(from_ns))
}
