//! What the threads counted, as it is told to Prometheus, must be what the listener's counters and the threads' events
//! say; and what is over is in flight no longer.

use std::sync::Arc;

use listener::Counters;
use luge::server::Refused;
use luge::server::metrics::{About, Encoding, Metrics, RouteNamed, TenantNamed, text};
use perf::event::What;

use crate::events::Events;
use crate::ledger::Ends;
use crate::plan::{PORTS, ROUTES};

pub fn metrics(workers: usize) -> Arc<Metrics> {
    let tenants = (0..PORTS).map(|port| TenantNamed {
        name: format!("tenant-{port}"),
        ..TenantNamed::default()
    });
    let routes = ROUTES.iter().map(|row| RouteNamed {
        tenant: usize::from(row.1),
        path: row.0.to_owned(),
    });
    Arc::new(Metrics::new(About {
        tenants: tenants.collect(),
        routes: routes.collect(),
        workers,
        ..About::default()
    }))
}

/// At the end of a run.
pub fn check_end(
    metrics: &Arc<Metrics>,
    (events, ends): (&Events, &Ends),
    counters: &Counters,
    refused: &Refused,
) {
    let text = text(metrics, Encoding::Prometheus);
    // The series of this name with this part in its labels, added up.
    let sum = |name: &str, part: &str| -> f64 {
        let lines = text.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{'])) && line.contains(part)
        });
        let values = lines.map(|line| line.rsplit(' ').next().expect("a value").parse::<f64>());
        values.map(|value| value.expect("a number")).sum()
    };
    let count = |of: fn(&What) -> bool| events.count(of) as f64;
    let over = counters.answered + counters.rejected;
    let over = over + counters.answers_unclaimed + counters.bodies_given_up;
    let slices = count(|what| matches!(what, What::Resumed));
    let preempted = count(|what| matches!(what, What::Preempted));
    let yielded = count(|what| matches!(what, What::Yielded));
    let blocked = count(|what| matches!(what, What::Blocked));
    let finished = count(|what| matches!(what, What::Finished { .. }));
    let started = sum("luge_sandbox_starts_total", "");
    let not_started = ends.did_not_start as f64;
    let instances = started - not_started;
    let admitted = (counters.submitted - counters.refused) as f64;
    for (name, part, expected) in [
        ("luge_requests_total", "", over as f64),
        ("luge_admission_total", "\"admitted\"", admitted),
        ("luge_admission_total", "\"tenant\"}", refused.tenant as f64),
        ("luge_admission_total", "\"server\"}", refused.server as f64),
        ("luge_admission_total", "\"full\"}", refused.full as f64),
        ("luge_slices_total", "", slices),
        ("luge_slices_total", "end=\"preempted\"", preempted),
        ("luge_slices_total", "end=\"yielded\"", yielded),
        ("luge_slices_total", "end=\"blocked\"", blocked),
        ("luge_slices_total", "end=\"finished\"", finished),
        ("luge_preemptions_total", "", preempted),
        ("luge_preemption_latency_seconds_count", "", preempted),
        ("luge_request_queue_seconds_count", "", started),
        ("luge_request_run_seconds_count", "", started),
        ("luge_request_run_seconds_bucket", "+Inf", started),
        ("luge_sandbox_resets_total", "", instances),
        ("luge_sandbox_failures_total", "", not_started),
        ("luge_traps_total", "", ends.traps as f64),
        ("luge_exits_total", "", ends.exits as f64),
        ("luge_kills_total", "", ends.wrote_too_much as f64),
        ("luge_kills_total", "\"output\"", ends.wrote_too_much as f64),
        ("luge_requests_in_flight", "", 0.0),
        ("luge_queue_depth", "", 0.0),
        ("luge_backlog_depth", "", 0.0),
        ("luge_sandboxes", "", 0.0),
    ] {
        assert_eq!(sum(name, part), expected, "{name} {part} in\n{text}");
    }
    let busy_s = sum("luge_worker_busy_seconds_total", "");
    let ran_s = sum("luge_request_run_seconds_sum", "");
    assert!((busy_s - ran_s).abs() < 1e-6, "{busy_s} {ran_s}");
}
