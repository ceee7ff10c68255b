//! What is told to Prometheus: that it is what was asked of the server, that it is well-formed whatever names tenants and
//! routes have, that it never falls, and that the dashboard asks for nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use luge::server::Intake;
use openmetrics_parser::prometheus::parse_prometheus;
use sched::admission::RULES;
use serde_json::{Value, json};

use crate::client::{Client, post};
use crate::harness::{Server, Setup, repository, route, route_with, tenant, wait_until};
use crate::scrape::{OPEN_METRICS, PROMETHEUS, Scrape, get, scraped};

/// A metric, labels of its series, and the sum of those.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], u64);

const ONE: (&str, &str) = ("tenant", "one");
const FIB: (&str, &str) = ("route", "/fib");
const LATE: (&str, &str) = ("route", "/late");

fn check(scrape: &Scrape, rows: &[Row<'_>]) {
    for (name, labels, expected) in rows {
        assert!(scrape.has(name), "there is no {name}");
        let found = scrape.sum(name, labels);
        assert_eq!(found, *expected as f64, "{name} {labels:?}");
    }
}

/// What [`what_was_asked_is_counted`] finds.
const ASKED: &[Row] = &[
    ("luge_requests_total", &[], 11),
    ("luge_requests_total", &[ONE, FIB, ("code", "200")], 3),
    (
        "luge_requests_total",
        &[ONE, ("route", "/puppet"), ("code", "500")],
        3,
    ),
    (
        "luge_requests_total",
        &[ONE, ("route", "/puppet"), ("code", "200")],
        1,
    ),
    (
        "luge_requests_total",
        &[ONE, ("route", ""), ("code", "404")],
        1,
    ),
    ("luge_requests_total", &[("tenant", "two"), LATE], 2),
    ("luge_deadline_misses_total", &[], 2),
    ("luge_deadline_misses_total", &[LATE], 2),
    ("luge_objective_misses_total", &[], 2),
    ("luge_objective_misses_total", &[LATE], 2),
    ("luge_request_duration_seconds_count", &[ONE, FIB], 3),
    ("luge_request_duration_seconds_count", &[], 10),
    ("luge_request_queue_seconds_count", &[], 10),
    ("luge_request_run_seconds_count", &[ONE, FIB], 3),
    ("luge_request_write_seconds_count", &[], 10),
    ("luge_admission_total", &[("verdict", "admitted")], 10),
    ("luge_admission_total", &[("tenant", "two")], 2),
    ("luge_kills_total", &[], 1),
    (
        "luge_kills_total",
        &[ONE, ("route", "/kill"), ("cause", "cpu")],
        1,
    ),
    ("luge_traps_total", &[], 2),
    ("luge_traps_total", &[ONE, ("route", "/puppet")], 2),
    ("luge_exits_total", &[], 1),
    ("luge_sandbox_starts_total", &[], 10),
    ("luge_sandbox_resets_total", &[], 10),
    ("luge_slices_total", &[("end", "finished")], 9),
    ("luge_connections", &[], 2),
    ("luge_connections_accepted_total", &[], 2),
    ("luge_requests_in_flight", &[], 0),
    ("luge_queue_depth", &[], 0),
    ("luge_sandboxes", &[], 0),
    ("luge_workers", &[], 2),
    ("luge_sandboxes_max", &[], 16),
    (
        "luge_build_info",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1,
    ),
    (
        "luge_preemption_info",
        &[("mode", "epoch"), ("trigger", "timer")],
        1,
    ),
    ("luge_scheduling_info", &[("scheduler", "edf")], 1),
];

#[test]
fn what_was_asked_is_counted() {
    let kill = json!({"cpu-limit-us": 20_000});
    let late = json!({"relative-deadline-us": 1, "latency-objective-us": 1});
    let server = Setup {
        workers: 2,
        ..Setup::default()
    }
    .serve_tenants(&json!([
        tenant(
            "one",
            &[
                route("/fib", "fib/fib.wasm"),
                route("/puppet", "puppet.wat"),
                route_with("/kill", "puppet.wat", kill),
            ],
        ),
        tenant("two", &[route_with("/late", "fib/fib.wasm", late)]),
    ]));
    let admin = server.admin();
    let mut one = server.client();
    for _ in 0..3 {
        assert_eq!(one.get("/fib?10").status, 200);
    }
    for (command, status) in [(b"d", 500), (b"d", 500), (b"e", 500), (b"k", 200)] {
        assert_eq!(one.post("/puppet", command).status, status);
    }
    assert_eq!(one.post("/kill", b"l").status, 500);
    assert_eq!(one.get("/none").status, 404);
    let mut two = Client::connect(server.addresses()[1]);
    for _ in 0..2 {
        assert_eq!(two.get("/late?5").status, 200);
    }
    let scrape = scraped(admin.address(), 11);
    check(&scrape, ASKED);
    // The CPU limit of one, at least, was run.
    let busy_s = scrape.sum("luge_worker_busy_seconds_total", &[]);
    let ran_s = scrape.sum("luge_request_run_seconds_sum", &[]);
    assert!(
        ran_s >= 0.02 && (busy_s - ran_s).abs() < 1e-6,
        "{busy_s} {ran_s}"
    );
}

#[test]
fn what_is_under_way_is_seen() {
    let late = json!({"relative-deadline-us": 1});
    let server = Setup {
        scheduler: "rr",
        sandboxes_max: 3,
        ..Setup::default()
    }
    .serve(&[
        route_with("/puppet", "puppet.wat", late.clone()),
        route_with("/sleep", "sleep.wat", late),
    ]);
    let admin = server.admin();
    let mut clients: Vec<_> = (0..6).map(|_| server.client()).collect();
    let hour = 3_600_000_000_000_u64.to_le_bytes();
    clients[0].send(post("/sleep", &hour));
    server.client().barrier();
    for client in &mut clients[1..] {
        client.send(post("/puppet", b"l"));
    }
    wait_until("one sleeps, one of two runs, three wait", || {
        let scrape = Scrape::new(admin.address());
        let state = |state| scrape.sum("luge_sandboxes", &[("state", state)]);
        let states = [state("blocked"), state("running") + state("ready")];
        states == [1.0, 2.0] && scrape.sum("luge_queue_depth", &[]) == 3.0
    });
    let before = Scrape::new(admin.address());
    check(
        &before,
        &[("luge_requests_in_flight", &[("worker", "0")], 6)],
    );
    // They share: slices are stopped, and how late is told. The slice that runs is counted.
    wait_until("some are preempted", || {
        let scrape = Scrape::new(admin.address());
        scrape.check_since(&before);
        let latencies = scrape.sum("luge_preemption_latency_seconds_count", &[]);
        let busy_s = |scrape: &Scrape| scrape.sum("luge_worker_busy_seconds_total", &[]);
        latencies > 30.0 && busy_s(&scrape) > busy_s(&before)
    });
    let scrape = Scrape::new(admin.address());
    assert!(scrape.has("luge_preemption_latency_quantile_seconds"));
    drop(clients);
    let over = scraped(admin.address(), 6);
    let gone = [("code", "499")];
    check(
        &over,
        &[
            ("luge_requests_total", &gone, 6),
            ("luge_requests_abandoned_total", &[], 6),
            // Those too that never began.
            ("luge_deadline_misses_total", &[], 6),
            ("luge_request_blocked_seconds_count", &[], 1),
            ("luge_sandboxes", &[], 0),
            ("luge_requests_in_flight", &[], 0),
            ("luge_queue_depth", &[], 0),
        ],
    );
    // One that waited may have begun in the place of another that had gone earlier.
    let resets = over.sum("luge_sandbox_resets_total", &[]);
    assert!((3.0..=6.0).contains(&resets), "{resets}");
}

#[test]
fn verdicts_and_budgets_are_told_by_tenant() {
    let rule = RULES.iter().find(|rule| rule.name == "utilisation");
    let server = Setup {
        intake: Intake {
            admission: rule.expect("a rule"),
            caps_budgets: true,
            ..Intake::default()
        },
        ..Setup::default()
    };
    let fib = || [route("/fib", "fib/fib.wasm")];
    let mut capped = tenant("capped", &fib());
    capped["max-budget-us"] = 1_000.into();
    capped["replenishment-period-us"] = 3_600_000_000_u64.into();
    let server = server.serve_tenants(&json!([capped, tenant("free", &fib())]));
    let admin = server.admin();
    let mut client = server.client();
    // Its execution is unknown, so it is taken, and it takes more than a millisecond.
    assert_eq!(client.get("/fib?36").status, 200);
    assert_eq!(client.get("/fib?1").status, 429);
    let scrape = scraped(admin.address(), 2);
    let capped = ("tenant", "capped");
    check(
        &scrape,
        &[
            (
                "luge_admission_total",
                &[capped, ("verdict", "admitted")],
                1,
            ),
            ("luge_admission_total", &[capped, ("verdict", "tenant")], 1),
            ("luge_admission_total", &[("tenant", "free")], 0),
            ("luge_requests_total", &[capped, ("code", "429")], 1),
            ("luge_request_duration_seconds_count", &[], 1),
            ("luge_tenant_period_seconds", &[capped], 3_600),
            ("luge_admission_utilisation_ratio", &[], 0),
        ],
    );
    assert_eq!(scrape.sum("luge_tenant_budget_seconds", &[]), 0.001);
    assert!(scrape.sum("luge_tenant_budget_left_seconds", &[capped]) < 0.0);
}

#[test]
fn nothing_falls_under_load() {
    let server = Setup {
        workers: 2,
        scheduler: "rr",
        ..Setup::default()
    }
    .serve(&[
        route("/fib", "fib/fib.wasm"),
        route("/puppet", "puppet.wat"),
    ]);
    let admin = server.admin();
    let done = Arc::new(AtomicBool::new(false));
    let load = (0..3).map(|number| {
        let (mut client, done) = (server.client(), done.clone());
        std::thread::spawn(move || {
            let mut requests = 0_u64;
            while !done.load(Ordering::Acquire) {
                let response = match (number + requests) % 3 {
                    0 => client.get("/fib?20"),
                    1 => client.post("/puppet", b"d"),
                    _ => client.get("/none"),
                };
                assert!([200, 404, 500].contains(&response.status));
                requests += 1;
            }
            requests
        })
    });
    let load: Vec<_> = load.collect();
    let mut before = Scrape::new(admin.address());
    for _ in 0..40 {
        let scrape = Scrape::new(admin.address());
        scrape.check_since(&before);
        before = scrape;
    }
    done.store(true, Ordering::Release);
    let requests = load
        .into_iter()
        .map(|load| load.join().expect("all is answered"));
    let requests: u64 = requests.sum();
    let last = scraped(admin.address(), requests);
    last.check_since(&before);
    check(&last, &[("luge_requests_total", &[], requests)]);
}

#[test]
fn both_texts_are_well_formed_whatever_the_names() {
    let hostile = [
        "quo\"te",
        "back\\slash\\",
        "{a=\"b\"} 1",
        "gr\u{fc}n \u{1f6f7}",
        "# EOF",
        "le",
        "",
    ];
    let tenants = hostile.iter().enumerate().map(|(at, name)| {
        let path = format!(
            "/x{}",
            name.replace(char::is_whitespace, "_")
                .replace(['#', '?'], "%")
        );
        tenant(&format!("{name}{at}"), &[route(&path, "fib/fib.wasm")])
    });
    let server = Setup::default().serve_tenants(&Value::Array(tenants.collect()));
    let admin = server.admin();
    for address in server.addresses() {
        assert_eq!(Client::connect(*address).get("/nowhere/at/all").status, 404);
    }
    let scrape = scraped(admin.address(), hostile.len() as u64);
    for (at, name) in hostile.iter().enumerate() {
        let name = format!("{name}{at}");
        check(&scrape, &[("luge_requests_total", &[("tenant", &name)], 1)]);
    }
    for (path, accept, content_type) in [
        ("/metrics", "text/plain;version=0.0.4", PROMETHEUS),
        (
            "/metrics",
            "application/openmetrics-text;q=0.1,text/plain;q=0.2",
            PROMETHEUS,
        ),
        (
            "/metrics",
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2",
            OPEN_METRICS,
        ),
        (
            "/metrics/sledge",
            "application/openmetrics-text",
            PROMETHEUS,
        ),
    ] {
        let response = get(admin.address(), path, accept);
        assert_eq!(
            response.field("Content-Type"),
            Some(content_type),
            "{accept}"
        );
        if content_type == PROMETHEUS {
            let parsed = parse_prometheus(response.text());
            let families = parsed.unwrap_or_else(|error| panic!("{error}")).families;
            let name = if path == "/metrics" {
                "luge_requests_total"
            } else {
                "total_requests"
            };
            assert!(families.contains_key(name), "{path}");
        }
    }
}

/// What [`sledges_names_are_known`] finds.
const SLEDGE: &[(&str, f64)] = &[
    ("total_requests", 27.0),
    ("total_2XX", 25.0),
    ("total_4XX", 1.0),
    ("total_5XX", 1.0),
    ("gwu_fib_total_requests", 25.0),
    ("gwu_fib_total_2XX", 25.0),
    ("gwu_fib_total_5XX", 0.0),
    ("gwu_a_b_total_5XX", 1.0),
    ("gwu_a_b_2_total_requests", 0.0),
    ("total_sandboxes", 26.0),
    ("total_sandboxes_allocated", 0.0),
    ("total_sandboxes_running_user", 0.0),
    ("total_sandboxes_preempted", 0.0),
    ("total_sandboxes_asleep", 0.0),
    ("total_sandboxes_complete", 25.0),
    ("total_sandboxes_error", 1.0),
    ("total_sandboxes_uninitialized", 0.0),
    ("total_sandboxes_initialized", 0.0),
    ("total_sandboxes_runnable", 0.0),
    ("total_sandboxes_running_sys", 0.0),
    ("total_sandboxes_interrupted", 0.0),
    ("total_sandboxes_returned", 0.0),
];

#[test]
fn sledges_names_are_known() {
    let server = Setup {
        workers: 2,
        ..Setup::default()
    };
    let server = server.serve_tenants(&json!([tenant(
        "gwu",
        &[
            route("/fib", "fib/fib.wasm"),
            route("/a-b", "puppet.wat"),
            route("/a_b", "fib/fib.wasm")
        ]
    ),]));
    let admin = server.admin();
    let mut client = server.client();
    for _ in 0..25 {
        assert_eq!(client.get("/fib?10").status, 200);
    }
    assert_eq!(client.post("/a-b", b"d").status, 500);
    assert_eq!(client.get("/none").status, 404);
    scraped(admin.address(), 27);
    let response = get(admin.address(), "/metrics/sledge", "*/*");
    let lines = response
        .text()
        .lines()
        .filter(|line| !line.starts_with('#'));
    let values = lines.map(|line| line.split_once(' ').expect("a name and a value"));
    let values: Vec<_> = values.collect();
    let value = |name: &str| {
        let found = values.iter().find(|(found, _)| *found == name);
        found.map(|(_, value)| value.parse::<f64>().expect("a number"))
    };
    for &(name, expected) in SLEDGE {
        assert_eq!(value(name), Some(expected), "{name}");
    }
    assert!(value("gwu_fib_latency_p50") > Some(0.0));
    // Ten values beyond it are needed.
    assert_eq!(value("gwu_fib_latency_p90"), None);
    for name in [
        "major_page_faults",
        "minor_page_faults",
        "user_time",
        "sys_time",
        "guest_time",
    ] {
        assert!(value(&format!("os_proc_{name}")).is_some(), "{name}");
    }
}

/// A server with something of everything.
fn with_everything() -> Server {
    let rule = RULES.iter().find(|rule| rule.name == "utilisation");
    let server = Setup {
        scheduler: "rr",
        intake: Intake {
            admission: rule.expect("a rule"),
            caps_budgets: true,
            ..Intake::default()
        },
        ..Setup::default()
    };
    let routes = [
        route("/fib", "fib/fib.wasm"),
        route("/puppet", "puppet.wat"),
        route("/sleep", "sleep.wat"),
    ];
    let mut one = tenant("one", &routes);
    one["max-budget-us"] = 1_000_000.into();
    one["replenishment-period-us"] = 1_000_000.into();
    server.serve_tenants(&json!([one]))
}

/// The names of metrics in what a panel asks for.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("luge_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        Value::Object(values) => {
            for (key, value) in values {
                match value {
                    Value::String(text) if ["expr", "query", "definition"].contains(&&**key) => {
                        found.push(text.clone());
                    }
                    value => expressions(value, found),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let text =
        std::fs::read_to_string(repository("deploy/grafana/luge.json")).expect("it is there");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let mut asked = Vec::new();
    expressions(&dashboard, &mut asked);
    let asked: BTreeSet<_> = asked
        .iter()
        .flat_map(|expression| names(expression))
        .collect();
    assert!(asked.len() > 15, "{asked:?}");
    let server = with_everything();
    let admin = server.admin();
    let mut client = server.client();
    for _ in 0..1_000 {
        assert_eq!(client.get("/fib?1").status, 200);
    }
    let nap_ns = 1_000_000_u64.to_le_bytes();
    assert_eq!(client.post("/sleep", &nap_ns).status, 200);
    let mut loops = [server.client(), server.client()];
    loops
        .iter_mut()
        .for_each(|client| client.send(post("/puppet", b"l")));
    wait_until("they were preempted", || {
        Scrape::new(admin.address()).sum("luge_preemptions_total", &[]) > 10.0
    });
    drop(loops);
    let scrape = scraped(admin.address(), 1_003);
    let missing: Vec<_> = asked.iter().filter(|name| !scrape.has(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
