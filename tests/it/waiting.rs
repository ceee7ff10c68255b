//! Guests that wait: they hold their sandbox and nothing else.

use serde_json::json;

use crate::client::{Client, post};
use crate::harness::{Server, Setup, route, route_with};

fn serve(setup: Setup) -> Server {
    setup.serve(&[
        route("/sleep", "sleep.wat"),
        route("/puppet", "puppet.wat"),
        route_with(
            "/fib",
            "fib/fib.wasm",
            json!({"relative-deadline-us": 1000}),
        ),
    ])
}

fn sleepers(server: &Server, count: usize, ns: u64) -> Vec<Client> {
    let mut clients: Vec<_> = (0..count).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send(post("/sleep", &ns.to_le_bytes()));
    }
    server.client().barrier();
    clients
}

#[test]
fn sleepers_wake() {
    for scheduler in ["fifo", "rr", "edf"] {
        for preemption in [true, false] {
            let server = serve(Setup {
                scheduler,
                preemption,
                sandboxes_max: 64,
                ..Setup::default()
            });
            for mut client in sleepers(&server, 50, 50_000_000) {
                assert_eq!(client.response().text(), "awake\n");
                assert_eq!(
                    client.post("/sleep", &0_u64.to_le_bytes()).text(),
                    "awake\n"
                );
            }
        }
    }
}

/// Fifty who sleep for ever: were they in the way, nobody else would ever be served.
#[test]
fn others_are_served_while_guests_sleep() {
    for scheduler in ["fifo", "rr", "edf"] {
        let server = serve(Setup {
            scheduler,
            sandboxes_max: 51,
            ..Setup::default()
        });
        let asleep = sleepers(&server, 50, u64::MAX);
        let mut client = server.client();
        for _ in 0..20 {
            assert_eq!(client.get("/fib?10").text(), "55\n", "{scheduler}");
        }
        drop((asleep, client));
        assert_eq!(server.end().counters.abandoned, 50, "{scheduler}");
    }
}

/// Who sleeps keeps the sandbox: with all of them asleep the next request has to wait for one.
#[test]
fn requests_wait_for_a_sandbox() {
    let server = serve(Setup {
        sandboxes_max: 3,
        ..Setup::default()
    });
    let mut asleep = sleepers(&server, 3, u64::MAX);
    let mut client = server.client();
    client.send(crate::client::get("/fib?10"));
    server.client().barrier();
    drop(asleep.pop());
    assert_eq!(client.response().text(), "55\n");
    drop((asleep, client));
    assert_eq!(server.end().counters.abandoned, 3);
}

/// A guest that yields lets others run, even where nothing is preempted.
#[test]
fn who_yields_gives_way() {
    for preemption in [true, false] {
        let server = serve(Setup {
            scheduler: "rr",
            preemption,
            ..Setup::default()
        });
        let mut yielding = server.client();
        yielding.send(post("/puppet", b"y"));
        let mut client = server.client();
        client.barrier();
        for _ in 0..20 {
            assert_eq!(client.get("/fib?10").text(), "55\n");
        }
        drop((yielding, client));
        assert_eq!(server.end().counters.abandoned, 1);
    }
}

/// Microseconds until a request is due: of one that yields for ever, and of one that comes after it.
type Due = [Option<u64>; 2];

/// What a yield means by policy, through the whole server, where nothing else ends a slice.
#[test]
fn a_yield_is_for_the_policy_to_say() {
    const HOUR: u64 = 3_600_000_000;
    let rows: [(&str, Due, bool); 5] = [
        ("fifo", [None, None], true),
        ("rr", [None, None], true),
        // An equal's turn, and that of one who is due before.
        ("edf", [None, None], true),
        ("edf", [Some(HOUR), Some(1)], true),
        ("edf", [Some(HOUR), Some(2 * HOUR)], false),
    ];
    for (scheduler, [yielding_due, other_due], gives_way) in rows {
        let due = |name, path, us: Option<u64>| match us {
            Some(us) => route_with(name, path, json!({"relative-deadline-us": us})),
            None => route(name, path),
        };
        let setup = Setup {
            scheduler,
            preemption: false,
            ..Setup::default()
        };
        let server = setup.serve(&[
            due("/yielding", "puppet.wat", yielding_due),
            due("/other", "fib/fib.wasm", other_due),
            due("/urgent", "fib/fib.wasm", Some(1)),
        ]);
        let (mut yielding, mut other) = (server.client(), server.client());
        yielding.send(post("/yielding", b"y"));
        server.client().barrier();
        other.send(crate::client::get("/other?10"));
        server.client().barrier();
        let mut urgent = server.client();
        if gives_way {
            assert_eq!(other.response().text(), "55\n", "{scheduler}");
            drop(yielding);
        } else {
            assert_eq!(urgent.get("/urgent?10").text(), "55\n");
            drop(yielding);
            assert_eq!(other.response().text(), "55\n");
        }
        drop((other, urgent));
        let ended = server.end();
        assert_eq!(ended.counters.abandoned, 1, "{scheduler}");
        let first = if gives_way { "/other" } else { "/urgent" };
        assert_eq!(ended.each("path")[0], first, "{scheduler}");
    }
}

/// A thousand on one worker, each with a time of its own, while one computes without end: all wake, none early. How
/// late they run at the median is printed; it is what the policy makes of it, here half a quantum and a little.
#[test]
fn a_thousand_sleep_while_one_computes() {
    const SLEEPERS: u64 = 1000;
    for scheduler in ["rr", "edf"] {
        let setup = Setup {
            scheduler,
            sandboxes_max: SLEEPERS as u32 + 1,
            outstanding_max: 2 * SLEEPERS as u32,
            ..Setup::default()
        };
        // By deadlines a sleeper goes before.
        let due =
            |route, path, us: u64| route_with(route, path, json!({"relative-deadline-us": us}));
        let server = setup.serve(&[
            due("/nap", "nap.wat", 1_000_000),
            due("/loop", "puppet.wat", 3_600_000_000),
        ]);
        let mut clients: Vec<_> = (0..SLEEPERS).map(|_| server.client()).collect();
        let nap_ns = |sleeper| 1_000_000_000 + sleeper * 500_000_u64;
        for (sleeper, client) in (0..).zip(&mut clients) {
            client.send(post("/nap", &nap_ns(sleeper).to_le_bytes()));
        }
        let mut computing = server.client();
        computing.send(post("/loop", b"l"));
        let mut late_ns: Vec<u64> = Vec::new();
        for client in &mut clients {
            let answer = client.response().body;
            let late = u64::from_le_bytes(answer.try_into().expect("eight bytes"));
            assert!(late < u64::MAX / 2, "woken early");
            late_ns.push(late);
        }
        late_ns.sort_unstable();
        let [median, most] = [late_ns.len() / 2, late_ns.len() - 1].map(|at| late_ns[at] / 1000);
        println!("{scheduler}: late by {median} us at the median, {most} us at most");
        drop((clients, computing));
        assert_eq!(server.end().counters.abandoned, 1);
    }
}
