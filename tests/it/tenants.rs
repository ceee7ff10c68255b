//! One tenant floods the only worker, the other one does not notice: weights and reservations from the spec to the
//! workers' policies.
//!
//! What is asserted is an order that does not depend on how fast anything is: the flood are endless loops.

use serde_json::{Value, json};

use crate::client::{Client, get, post};
use crate::harness::{Server, Setup, route, tenant};

/// Loops that the flood has under way.
const FLOOD: usize = 20;

fn serve(scheduler: &'static str, flood: Value, other: Value) -> Server {
    let with = |name: &str, keys: Value| {
        let routes = [route("/loop", "puppet.wat"), route("/fib", "fib/fib.wasm")];
        let mut tenant = tenant(name, &routes);
        let keys = keys.as_object().expect("keys").clone();
        tenant.as_object_mut().expect("an object").extend(keys);
        tenant
    };
    let setup = Setup {
        scheduler,
        sandboxes_max: 64,
        ..Setup::default()
    };
    setup.serve_tenants(&json!([with("flood", flood), with("other", other)]))
}

fn client(server: &Server, tenant: usize) -> Client {
    Client::connect(server.addresses()[tenant])
}

/// Loops of the first tenant that have come when this returns.
fn flood(server: &Server) -> Vec<Client> {
    let mut loops: Vec<_> = (0..FLOOD).map(|_| client(server, 0)).collect();
    for client in &mut loops {
        client.send(post("/loop", b"l"));
    }
    client(server, 0).barrier();
    loops
}

/// Without a reservation the other tenant would wait for ever: nobody has a deadline, so it is the order of arrival.
#[test]
fn who_is_within_a_budget_is_served_before_who_floods() {
    let budget = json!({"max-budget-us": 500_000, "replenishment-period-us": 1_000_000});
    let server = serve("mtds", json!({}), budget);
    let loops = flood(&server);
    let mut other = client(&server, 1);
    for _ in 0..10 {
        assert_eq!(other.get("/fib?10").text(), "55\n");
    }
    drop(loops);
    assert_eq!(server.end().counters.abandoned, FLOOD as u64);
}

/// A short request of the flood's comes last and waits for its turn behind 20 loops; a long one of the other tenant's
/// takes many slices. Who is first depends on the weights alone.
#[test]
fn tenants_share_by_weight() {
    for (flood_weight, other_weight, expected) in [
        (1, 10_000, ["other", "flood"]),
        (10_000, 1, ["flood", "other"]),
    ] {
        let weight = |weight: u32| json!({"weight": weight});
        let server = serve("wfq", weight(flood_weight), weight(other_weight));
        let loops = flood(&server);
        let (mut short, mut long) = (client(&server, 0), client(&server, 1));
        long.send(get("/fib?36"));
        client(&server, 0).barrier();
        short.send(get("/fib?10"));
        client(&server, 0).barrier();
        let (first, last) = match expected[0] {
            "flood" => (&mut short, &mut long),
            _ => (&mut long, &mut short),
        };
        assert_eq!(first.response().status, 200, "{expected:?}");
        drop(loops);
        assert_eq!(last.response().status, 200, "{expected:?}");
        let ended = server.end();
        let answered = ended.answers.iter().filter(|line| line["path"] == "/fib");
        let tenants: Vec<_> = answered.map(|line| line["tenant"].clone()).collect();
        assert_eq!(tenants, expected);
    }
}
