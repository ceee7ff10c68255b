//! Who is taken and by whom: admission, tenants' budgets as caps, estimates, and requests that wait for a worker at the
//! listener.

use luge::server::{Intake, Runs};
use sched::admission::RULES;
use sched::{DISPATCHERS, DispatchParams};
use serde_json::{Value, json};

use crate::client::{Client, get, post};
use crate::harness::{Server, Setup, route, route_with, tenant, wait_until};
use crate::process::{Folder, Serving};

/// A request of the first route is expected to take 0.39 of a worker, as the spec says; of the last as its model says.
fn by_utilisation() -> Server {
    let rule = RULES.iter().find(|rule| rule.name == "utilisation");
    let setup = Setup {
        intake: Intake {
            admission: rule.expect("a rule"),
            estimator: Some(&sched::estimate::ESTIMATORS[0]),
            ..Intake::default()
        },
        scheduler: "rr",
        ..Setup::default()
    };
    let long = json!({"expected-execution-us": 3_900_000, "relative-deadline-us": 10_000_000});
    let sized = json!({"model-bias": 5, "model-scale": 2, "model-num-of-param": 1, "model-beta1": "1e6",
        "relative-deadline-us": 10_000_000});
    setup.serve(&[
        route_with("/long", "puppet.wat", long),
        route("/other", "puppet.wat"),
        route_with("/sized", "echo/echo.wasm", sized),
    ])
}

#[test]
fn overload_is_refused_with_an_honest_time_and_then_taken_again() {
    let server = by_utilisation();
    // Two fit below four fifths of a worker.
    let mut loops = [server.client(), server.client()];
    for client in &mut loops {
        client.send(post("/long", b"l"));
    }
    let mut other = server.client();
    other.barrier();
    for _ in 0..50 {
        let response = other.get("/long");
        assert_eq!(response.status, 503);
        // 0.37 too much of 0.78, in which there are 7.8 s of work; RFC 9110 §10.2.3.
        assert_eq!(response.field("Retry-After"), Some("4"));
        assert!(!response.closes());
        // Who has no deadline holds nothing.
        assert_eq!(other.get("/other").status, 200);
    }
    drop(loops);
    wait_until("all is taken again", || other.get("/long").status == 200);
    // And stays so: nothing was lost on the way.
    for _ in 0..20 {
        assert_eq!(other.get("/long").status, 200);
    }
    drop(other);
    let ended = server.end();
    assert!(ended.refused.server >= 50, "{:?}", ended.refused);
    assert_eq!((ended.refused.tenant, ended.refused.full), (0, 0));
}

/// Of a model two bytes are expected to take a second, of ten that there are: beside an endless request eight fit.
#[test]
fn a_model_tells_small_requests_from_large_ones() {
    let server = by_utilisation();
    let mut endless = server.client();
    endless.send(post("/long", b"l"));
    let mut other = server.client();
    other.barrier();
    for body in ["", "1", "12345678", "1234567890", "1234567", "123456789012"] {
        let expected = if body.len() <= 8 { 200 } else { 503 };
        let response = other.post("/sized", body.as_bytes());
        assert_eq!(response.status, expected, "{body}");
    }
}

#[test]
fn who_has_used_up_its_budget_is_told_when_there_is_more() {
    let intake = Intake {
        caps_budgets: true,
        ..Intake::default()
    };
    let setup = Setup {
        intake,
        ..Setup::default()
    };
    let fib = || [route("/fib", "fib/fib.wasm")];
    let mut capped = tenant("capped", &fib());
    capped["max-budget-us"] = 1_000.into();
    // An hour: longer than any test.
    capped["replenishment-period-us"] = 3_600_000_000_u64.into();
    let server = setup.serve_tenants(&json!([capped, tenant("free", &fib())]));
    let mut capped = server.client();
    // Its execution is unknown, so it is taken, and it takes more than a millisecond.
    assert_eq!(capped.get("/fib?36").status, 200);
    let response = capped.get("/fib?1");
    assert_eq!(response.status, 429);
    let retry_after_s = response.field("Retry-After").map(str::parse::<u64>);
    assert!(matches!(retry_after_s, Some(Ok(1..))), "{response:?}");
    let mut free = Client::connect(server.addresses()[1]);
    assert_eq!(free.get("/fib?1").status, 200);
    drop((capped, free));
    assert_eq!(server.end().refused.tenant, 1);
}

#[test]
fn executions_are_learnt_and_a_server_begins_with_what_another_has_learnt() {
    let serve = |learnt| {
        let setup = Setup {
            scheduler: "srpt",
            intake: Intake {
                learnt,
                ..Intake::default()
            },
            ..Setup::default()
        };
        setup.serve(&[
            route("/fib", "fib/fib.wasm"),
            route("/puppet", "puppet.wat"),
        ])
    };
    let first = serve(Default::default());
    let mut client = first.client();
    for _ in 0..3 {
        assert_eq!(client.get("/fib?10").status, 200);
        // A trap says nothing of how long it would have been.
        assert_eq!(client.post("/puppet", b"t").status, 500);
    }
    drop(client);
    let learnt = first.end().learnt;
    let Some(Runs::LastNs(runs_ns)) = learnt.0.get("one/fib") else {
        panic!("{learnt:?}");
    };
    assert_eq!(runs_ns.len(), 3);
    assert!(runs_ns.iter().all(|&run_ns| run_ns > 0));
    assert_eq!(learnt.0.get("one/puppet"), Some(&Runs::LastNs(Vec::new())));
    assert_eq!(serve(learnt.clone()).end().learnt, learnt);
}

/// The worker has one request, the others wait at the listener: up to three, and are served in the order of arrival.
#[test]
fn who_waits_for_a_worker_is_served_in_order_or_leaves() {
    let jbsq = DISPATCHERS.iter().find(|named| named.name == "jbsq");
    let setup = Setup {
        intake: Intake {
            dispatch: jbsq.expect("a dispatcher"),
            dispatch_params: DispatchParams { bound: 1 },
            backlog_max: 3,
            ..Intake::default()
        },
        ..Setup::default()
    };
    let server = setup.serve(&[route("/loop", "puppet.wat"), route("/fib", "fib/fib.wasm")]);
    let ask = |target: &str| {
        let mut client = server.client();
        client.send(match target {
            "/loop" => post("/loop", b"l"),
            target => get(target),
        });
        server.client().barrier();
        client
    };
    let running = ask("/loop");
    let [first, gone, third] = ["/fib?1", "/fib?2", "/fib?3"].map(ask);
    assert_eq!(ask("/fib?4").response().status, 503);
    // Who leaves makes room, and is not executed.
    drop(gone);
    server.client().barrier();
    let last = ask("/fib?5");
    drop(running);
    for mut client in [first, third, last] {
        assert_eq!(client.response().status, 200);
    }
    let ended = server.end();
    let queries = ended.each("query");
    assert_eq!(queries, ["4", "2", "", "1", "3", "5"]);
    let gone = ended.answers.iter().find(|line| line["query"] == "2");
    let gone = gone.expect("a line");
    assert_eq!(
        (&gone["status"], &gone["ran_us"]),
        (&json!(499), &json!(0.0))
    );
    assert_eq!(ended.counters.abandoned, 2);
    assert_eq!(ended.refused.full, 1);
}

#[test]
fn what_is_learnt_outlives_the_program_and_a_damaged_file_does_not_stop_it() {
    let folder = Folder::new();
    let path = folder.path("learnt.json");
    let estimates = format!("--estimates={}", path.display());
    let arguments = ["--estimator=window", &estimates];
    let runs = || {
        let learnt: Value = serde_json::from_str(&folder.read("learnt.json")).expect("JSON");
        let runs = learnt["routes"]["one/fib"]["last-ns"].as_array().cloned();
        runs.unwrap_or_else(|| panic!("{learnt}")).len()
    };
    for expected in [1, 2] {
        let serving = Serving::start(&arguments, &[]);
        assert_eq!(serving.client().get("/fib?10").status, 200);
        let said = serving.stop();
        assert!(!said.contains("no estimates"), "{said}");
        assert_eq!(runs(), expected);
    }
    folder.write("learnt.json", "{\"version\":1,");
    let serving = Serving::start(&arguments, &[]);
    assert_eq!(serving.client().get("/fib?10").status, 200);
    let said = serving.stop();
    assert!(said.contains("no estimates are taken over"), "{said}");
    assert_eq!(runs(), 1);
}
