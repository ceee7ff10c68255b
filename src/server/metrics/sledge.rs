//! The names that SLEdge's metrics endpoint has, for scripts that know them. SLEdge writes `name: value`, which no parser
//! of Prometheus' text takes; here it is Prometheus' text, so that a space is where the colon was.
//!
//! A route's names are made as SLEdge makes them, of the tenant's name and the route's path without its leading slash;
//! what a name cannot have becomes `_`, and if that makes two alike, the second has a number behind it. What has no
//! meaning here is left out: work_admitted_percentile unless admission is by utilisation. States of a sandbox that luge's
//! does not pass through are 0, and the others are as many as there were sandboxes: a request that was over before it
//! began counts as one that ended with an error.
//! SLEdge counts latencies in cycles of its processor; here they are nanoseconds.

use super::process::Process;
use super::{Metrics, WorkerMetrics, listener::Codes, worker::OfRoute};
use perf::live::Counter;
use perf::{Histogram, Percentile};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// See the module's text.
#[must_use]
pub fn text(metrics: &Metrics) -> String {
    let mut out = Lines::default();
    if let Some(process) = Process::read() {
        of_process(&process, &mut out);
    }
    let (held, capacity) = (&metrics.listener.held, &metrics.listener.capacity);
    if capacity.value() > 0 {
        let percent = held.value() as f64 * 100.0 / capacity.value() as f64;
        out.gauge("work_admitted_percentile", percent);
    }
    let mut total = Totals::default();
    metrics
        .listener
        .routes()
        .for_each(|(_, counted)| total.add(&counted.codes));
    let tenants = metrics.listener.tenants.iter();
    tenants.for_each(|counted| total.add(&counted.unrouted));
    out.totals("", &total);
    routes(metrics, &mut out);
    sandboxes(metrics, &mut out);
    out.text
}

fn of_process(process: &Process, out: &mut Lines) {
    for (name, value) in [
        ("major_page_faults", process.major_faults),
        ("minor_page_faults", process.minor_faults),
        ("child_major_page_faults", process.child_major_faults),
        ("child_minor_page_faults", process.child_minor_faults),
    ] {
        out.counter(&format!("os_proc_{name}"), value as f64);
    }
    // SLEdge's are the kernel's ticks; there are a hundred in a second wherever Linux runs.
    for (name, value_s) in [
        ("user_time", process.user_s),
        ("sys_time", process.system_s),
        ("guest_time", process.guest_s),
    ] {
        out.counter(&format!("os_proc_{name}"), (value_s * 100.0).round());
    }
}

fn routes(metrics: &Metrics, out: &mut Lines) {
    let mut taken = BTreeSet::new();
    for (at, route) in metrics.about.routes.iter().enumerate() {
        let tenant = &metrics.about.tenants[route.tenant].name;
        let path = route.path.strip_prefix('/').unwrap_or(&route.path);
        let mut prefix = name(&format!("{tenant}_{path}_"));
        let mut number = 2;
        while !taken.insert(prefix.clone()) {
            prefix = name(&format!("{tenant}_{path}_{number}_"));
            number += 1;
        }
        let mut total = Totals::default();
        if let Some(counted) = metrics.listener.route(at) {
            total.add(&counted.codes);
        }
        out.totals(&prefix, &total);
        let executions = executions(metrics, at);
        for (percentile, suffix) in [(Percentile::P50, "p50"), (Percentile::P90, "p90")] {
            if let Some(value_ns) = executions.percentile(percentile) {
                out.gauge(&format!("{prefix}latency_{suffix}"), value_ns as f64);
            }
        }
    }
}

/// How long a route's functions ran, which is what SLEdge's percentiles are of.
fn executions(metrics: &Metrics, route: usize) -> Histogram {
    let mut all = Histogram::new();
    let workers = metrics.workers.iter();
    let counted = workers.filter_map(|worker| worker.route(route));
    counted.for_each(|OfRoute { run, .. }| all.merge(&run.snapshot().counts));
    all
}

/// States of SLEdge's sandboxes that luge's do not pass through.
const STATES_OF_NONE: [&str; 6] = [
    "uninitialized",
    "initialized",
    "runnable",
    "running_sys",
    "interrupted",
    "returned",
];

fn sandboxes(metrics: &Metrics, out: &mut Lines) {
    let sum = |of: fn(&WorkerMetrics) -> &Counter| -> u64 {
        let workers = metrics.workers.iter();
        workers.map(|it| of(it).value()).sum()
    };
    // The later read first, so that no state is more than there are.
    let (finished, dropped) = (sum(|it| &it.finished), sum(|it| &it.dropped));
    let failed = sum(|it| &it.failed).min(finished);
    let (mut allocated, mut preempted, mut running, mut asleep) = (0, 0, 0, 0);
    for reading in metrics.readings() {
        allocated += reading.queued;
        preempted += reading.ready;
        running += reading.running;
        asleep += reading.blocked;
    }
    let total = sum(|it| &it.started) + dropped + allocated;
    out.counter("total_sandboxes", total as f64);
    let none = STATES_OF_NONE.map(|state| (state, 0));
    let states = [
        ("allocated", allocated),
        ("preempted", preempted),
        ("running_user", running),
        ("asleep", asleep),
        ("complete", finished - failed),
        ("error", failed + dropped),
    ];
    for (state, count) in none.into_iter().chain(states) {
        out.gauge(&format!("total_sandboxes_{state}"), count as f64);
    }
}

/// Answers, as SLEdge counts them.
#[derive(Default)]
struct Totals {
    requests: u64,
    ok: u64,
    of_client: u64,
    of_server: u64,
}

impl Totals {
    fn add(&mut self, codes: &Codes) {
        for (code, count) in codes.each() {
            self.requests += count;
            match code.map(|code| code / 100) {
                Some(2) => self.ok += count,
                Some(4) => self.of_client += count,
                Some(5) => self.of_server += count,
                _ => {}
            }
        }
    }
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn totals(&mut self, prefix: &str, totals: &Totals) {
        for (name, value) in [
            ("total_requests", totals.requests),
            ("total_2XX", totals.ok),
            ("total_4XX", totals.of_client),
            ("total_5XX", totals.of_server),
        ] {
            self.counter(&format!("{prefix}{name}"), value as f64);
        }
    }

    fn counter(&mut self, name: &str, value: f64) {
        self.metric(name, "counter", value);
    }

    fn gauge(&mut self, name: &str, value: f64) {
        self.metric(name, "gauge", value);
    }

    fn metric(&mut self, name: &str, kind: &str, value: f64) {
        writeln!(self.text, "# TYPE {name} {kind}\n{name} {value}")
            .expect("writing to a string does not fail");
    }
}

/// As a name may be: `[a-zA-Z_][a-zA-Z0-9_]*`.
fn name(wanted: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let mut name: String = wanted.chars().map(allowed).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (wanted, expected) in [
            ("gwu_fib_", "gwu_fib_"),
            ("9 lives_a/b-c?_", "_9_lives_a_b_c__"),
            ("\u{fc}ber\n\"_", "_ber___"),
            ("", ""),
        ] {
            assert_eq!(name(wanted), expected, "{wanted:?}");
        }
    }
}
