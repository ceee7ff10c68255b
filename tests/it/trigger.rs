//! Who ends slices, the workers' timers or the listener: clients see no difference.

use std::time::Duration;

use sandbox::Trigger;
use serde_json::json;

use crate::client::{get, post};
use crate::harness::{Server, Setup, route, route_with};
use crate::process::Serving;

/// Every way in which a slice can be ended.
fn ways() -> impl Iterator<Item = (Trigger, bool)> {
    let triggers = [Trigger::Timer, Trigger::Watcher].into_iter();
    triggers.flat_map(|trigger| [true, false].map(|by_signal| (trigger, by_signal)))
}

fn serve((trigger, by_signal): (Trigger, bool), setup: Setup) -> Server {
    let setup = Setup {
        trigger,
        by_signal,
        ..setup
    };
    setup.serve(&[
        route("/fib", "fib/fib.wasm"),
        route("/puppet", "puppet.wat"),
        route_with("/brief", "puppet.wat", json!({"cpu-limit-us": 20_000})),
        route_with(
            "/prompt",
            "puppet.wat",
            json!({"relative-deadline-us": 20_000, "deadline-action": "kill"}),
        ),
    ])
}

#[test]
fn short_requests_are_answered_beside_endless_ones() {
    for way in ways() {
        let server = serve(
            way,
            Setup {
                scheduler: "rr",
                ..Setup::default()
            },
        );
        let mut endless: Vec<_> = (0..2).map(|_| server.client()).collect();
        for client in &mut endless {
            client.send(post("/puppet", b"l"));
        }
        let mut short = server.client();
        short.barrier();
        for _ in 0..20 {
            assert_eq!(short.get("/fib?10").text(), "55\n", "{way:?}");
        }
        drop((endless, short));
        assert_eq!(server.end().counters.abandoned, 2, "{way:?}");
    }
}

/// Nobody waits: what ends them is their own limit. The second time another runs already.
#[test]
fn limits_hold() {
    for way in ways() {
        let server = serve(
            way,
            Setup {
                scheduler: "rr",
                ..Setup::default()
            },
        );
        let mut client = server.client();
        let mut endless = server.client();
        for is_contended in [false, true] {
            if is_contended {
                endless.send(post("/puppet", b"l"));
                server.client().barrier();
            }
            for (path, status) in [("/brief", 500), ("/prompt", 504)] {
                let response = client.post(path, b"l");
                assert_eq!(response.status, status, "{way:?} {path} {is_contended}");
            }
        }
        drop((client, endless));
        assert_eq!(server.end().counters.abandoned, 1, "{way:?}");
    }
}

/// The listener, if it is that who ends slices, is gone before the workers are.
#[test]
fn workers_end_whatever_they_run() {
    for way in ways() {
        let mut server = serve(
            way,
            Setup {
                drain_timeout: Duration::from_millis(50),
                ..Setup::default()
            },
        );
        server.connections_cut = 1;
        let mut endless = server.client();
        endless.send(post("/puppet", b"l"));
        server.client().barrier();
        assert_eq!(server.end().counters.abandoned, 1, "{way:?}");
        endless.expect_end();
    }
    for trigger in ["timer", "listener", "auto"] {
        let flag = format!("--preemption-trigger={trigger}");
        let serving = Serving::start(&[&flag, "--drain-timeout=50ms"], &[]);
        let mut long = serving.client();
        long.send(get("/fib?90"));
        serving.client().barrier();
        let err = serving.stop();
        assert!(!err.contains("cannot be preempted"), "{err}");
        let row = err.lines().find(|line| line.contains("preemption-trigger"));
        assert!(row.is_some_and(|row| row.contains(trigger)), "{err}");
    }
}
