//! Isolation: no request finds anything of an earlier one, whatever that one did to its sandbox.

use crate::harness::{Setup, route};

/// What `footprints.wat` finds in a sandbox that nobody has used, in the order in which it says so.
#[rustfmt::skip]
const FRESH: [(&str, u32); 13] = [
    ("pages of memory", 2),
    ("sum of all bytes of memory, those of its data", sum(b"as it was")),
    ("pages before it grew", 2),
    ("sum of all bytes that it grew by", 0),
    ("the data segment that it drops", u32::from_le_bytes(*b"kept")),
    ("the global", 11),
    ("elements of the table", 2),
    ("what element 0 answers", 7),
    ("element 1 is null", 1),
    ("elements before the table grew", 2),
    ("element 4 is null", 1),
    ("what the element segment that it drops answers", 9),
    // All of them the request's.
    ("variables of the environment", 18),
];

const fn sum(bytes: &[u8]) -> u32 {
    let (mut sum, mut at) = (0, 0);
    while at < bytes.len() {
        sum += bytes[at] as u32;
        at += 1;
    }
    sum
}

#[test]
fn nothing_of_a_request_is_left_for_the_next() {
    let setup = Setup {
        sandboxes_max: 3,
        ..Setup::default()
    };
    let server = setup.serve(&[
        route("/footprints", "footprints.wat"),
        route("/echo", "echo/echo.wasm"),
        route("/puppet", "puppet.wat"),
    ]);
    let mut client = server.client();
    let mut environment = None;
    for round in 0..1000 {
        let found = client.get("/footprints");
        assert_eq!(found.status, 200, "round {round}");
        let (numbers, rest) = found.body.as_chunks();
        assert!(
            rest.is_empty() && numbers.len() == FRESH.len() + 1,
            "round {round}: {found:?}"
        );
        for (number, (what, expected)) in numbers.iter().zip(FRESH) {
            assert_eq!(
                u32::from_le_bytes(*number),
                expected,
                "round {round}: {what}"
            );
        }
        // The bytes of the environment: those of the same request, so many times.
        let bytes = numbers.last().copied();
        assert_eq!(*environment.get_or_insert(bytes), bytes, "round {round}");
        // Others use the same memories, and leave them in other states.
        match round % 10 {
            3 => assert_eq!(client.post("/echo", b"between").text(), "between"),
            7 => assert_eq!(client.post("/puppet", b"u").status, 500),
            _ => {}
        }
    }
}

/// Many sandboxes at once, so that every slot of the pool has been dirtied by everybody.
#[test]
fn nothing_is_left_when_sandboxes_overlap() {
    let setup = Setup {
        sandboxes_max: 8,
        scheduler: "rr",
        ..Setup::default()
    };
    let server = setup.serve(&[
        route("/footprints", "footprints.wat"),
        route("/echo", "echo/echo.wasm"),
    ]);
    let mut clients: Vec<_> = (0..8).map(|_| server.client()).collect();
    for _ in 0..20 {
        for (at, client) in clients.iter_mut().enumerate() {
            client.send(crate::client::get("/footprints"));
            client.send(crate::client::post("/echo", &vec![at as u8 + 1; 100_000]));
        }
        for (at, client) in clients.iter_mut().enumerate() {
            let fresh: Vec<u8> = FRESH
                .iter()
                .flat_map(|(_, number)| number.to_le_bytes())
                .collect();
            assert!(client.response().body.starts_with(&fresh));
            assert!(client.response().body == vec![at as u8 + 1; 100_000]);
        }
    }
}
