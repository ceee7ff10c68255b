//! Which of two workers gets a request, where that follows from what runs and waits on them.

use serde_json::json;

use crate::client::{Client, get, post};
use crate::harness::{Server, Setup, route, route_with, wait_until};
use crate::scrape::Scrape;
use luge::server::Intake;
use sched::Dispatcher;

fn setup(scheduler: &'static str, dispatcher: &str) -> Setup {
    Setup {
        scheduler,
        workers: 2,
        intake: Intake {
            dispatch: Dispatcher::from_name(dispatcher).expect("a dispatcher"),
            ..Intake::default()
        },
        ..Setup::default()
    }
}

/// A client whose endless loop runs, as the so many-eth one of the server.
fn runs(server: &Server, path: &str, count: usize) -> Client {
    let mut client = server.client();
    client.send(post(path, b"l"));
    let admin = server.admin();
    wait_until("it runs", || {
        let running = [("state", "running")];
        Scrape::new(admin.address()).sum("luge_sandboxes", &running) == count as f64
    });
    client
}

/// How many requests each worker has begun.
fn starts(server: &Server) -> [f64; 2] {
    let scrape = Scrape::new(server.admin().address());
    ["0", "1"].map(|worker| scrape.sum("luge_sandbox_starts_total", &[("worker", worker)]))
}

/// Requests are dealt to both workers in turn. What one of them, which runs an endless loop to completion, does not
/// begin, the other does.
#[test]
fn an_idle_worker_takes_what_has_not_begun_elsewhere() {
    let server = setup("fifo", "steal")
        .serve(&[route("/loop", "puppet.wat"), route("/fib", "fib/fib.wasm")]);
    let running = runs(&server, "/loop", 1);
    for _ in 0..10 {
        assert_eq!(server.client().get("/fib?10").text(), "55\n");
    }
    // Also many at once, on one connection each.
    let mut clients: Vec<_> = (0..50).map(|_| server.client()).collect();
    clients
        .iter_mut()
        .for_each(|client| client.send(get("/fib?15")));
    for client in &mut clients {
        assert_eq!(client.response().text(), "610\n");
    }
    let scrape = Scrape::new(server.admin().address());
    let of = |metric, worker| scrape.sum(metric, &[("worker", worker)]);
    // The loop may have been stolen too.
    let starts = starts(&server);
    let free = starts.iter().position(|&count| count == 60.0);
    assert_eq!(starts.iter().sum::<f64>(), 61.0);
    let free = free.expect("one of them has all but the loop");
    let stolen = of("luge_stolen_requests_total", &free.to_string());
    assert_eq!(stolen, 30.0, "every other one");
    drop(running);
    assert_eq!(server.end().counters.abandoned, 1);
}

/// Whoever has a request whose client goes away, and where: it ends, and no other does.
#[test]
fn who_goes_away_is_found_on_any_shelf_and_worker() {
    let server = Setup {
        sandboxes_max: 2,
        ..setup("fifo", "steal")
    }
    .serve(&[route("/loop", "puppet.wat"), route("/fib", "fib/fib.wasm")]);
    let running: Vec<_> = (1..=2).map(|count| runs(&server, "/loop", count)).collect();
    let mut queued: Vec<_> = (0..20).map(|_| server.client()).collect();
    for client in &mut queued {
        client.send(post("/loop", b"l"));
    }
    let mut other = server.client();
    other.send(get("/fib?10"));
    server.client().barrier();
    drop(queued);
    drop(running);
    assert_eq!(other.response().text(), "55\n");
    assert_eq!(server.end().counters.abandoned, 22);
}

/// One worker runs a loop that is due in a second, the other one that is due in an hour. What comes then is due in
/// between: whom it would not take the processor from, it is not sent to.
#[test]
fn who_would_lose_is_interrupted_and_nobody_else() {
    let due = |name: &str, path: &str, us: u64| {
        route_with(name, path, json!({"relative-deadline-us": us}))
    };
    let server = setup("edf", "triage").serve(&[
        due("/soon", "puppet.wat", 1_000_000),
        due("/late", "puppet.wat", 3_600_000_000),
        due("/fib", "fib/fib.wasm", 60_000_000),
    ]);
    let running = [("/soon", 1), ("/late", 2)].map(|(path, count)| runs(&server, path, count));
    for _ in 0..10 {
        assert_eq!(server.client().get("/fib?10").text(), "55\n");
    }
    assert_eq!(starts(&server), [1.0, 11.0]);
    drop(running);
    assert_eq!(server.end().counters.abandoned, 2);
}
