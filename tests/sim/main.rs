//! The whole server, simulated: the code that serves, between a simulated network, simulated sandboxes and virtual
//! time, on one thread, with all chance drawn from a seed. Clients, kernel and guests do the worst that they may, and
//! oracles check what comes of it: every request that was admitted is answered exactly once, with the right bytes, in
//! order, or its client has gone; nothing is closed, sent, released or started twice, and nothing is left in the end.
//!
//! `LUGE_SIM_SEED=7 cargo test --test sim` replays a seed and tells on stderr what happens; `LUGE_SIM_SEEDS=0..100000`
//! runs many.
//!
//! What it does not cover: threads (memory order, sleeping and waking), io_uring and wasmtime themselves.

mod client;
mod events;
mod guest;
mod io;
mod ledger;
mod metrics;
mod network;
mod plan;
mod request;
mod response;
mod rules;
mod shared;
mod socket;
mod world;

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use shared::Shared;
use world::World;

/// The seeds of every test run.
const SEEDS: Range<u64> = 0..1_000;

/// What must have happened at least once in [`SEEDS`]: a simulation that never gets there proves nothing.
const MUST_HAPPEN: &[&str] = &[
    "100",
    "200",
    "400 for a body",
    "404",
    "405",
    "408",
    "408 for a body",
    "408 for a head",
    "413",
    "429",
    "499",
    "500",
    "503",
    "503: no capacity",
    "503: no memory",
    "503: no room",
    "EMFILE",
    "HEAD",
    "a body",
    "a connection turned away",
    "a large body",
    "a send failed",
    "a short write",
    "a slot is used again",
    "a wake for nobody",
    "abandoned before it started",
    "abandoned while it is blocked",
    "abandoned while it is ready",
    "abandoned while it runs",
    "abandoned while its answer is on its way",
    "aborted with work under way",
    "accepting ended by itself",
    "calm",
    "closed as idle",
    "closed by the drain",
    "closed on unread bytes",
    "cut after a failure",
    "cut at the end",
    "cut for being far ahead",
    "cut for not reading",
    "cut for sending on",
    "departed",
    "departed unsent",
    "departed without a number",
    "discarded",
    "drained",
    "drained with work under way",
    "guest did not start",
    "guest exited with a code",
    "guest trapped",
    "guest wrote too much",
    "held",
    "no buffer",
    "preempted",
    "receiving ended by itself",
    "receiving paused",
    "stolen",
    "woken before it blocked",
    "woken for nothing",
    "yielded",
];

#[test]
fn the_server_keeps_its_promises() {
    let text = |name| std::env::var(name).ok();
    if let Some(seed) = text("LUGE_SIM_SEED") {
        run(seed.parse().expect("LUGE_SIM_SEED is a number"), true);
        return;
    }
    if let Some(seeds) = text("LUGE_SIM_SEEDS") {
        let (from, to) = seeds.split_once("..").expect("LUGE_SIM_SEEDS is from..to");
        let number = |text: &str| text.parse::<u64>().expect("LUGE_SIM_SEEDS is from..to");
        eprintln!("{:#?}", run_all(number(from)..number(to)));
        return;
    }
    let seen = run_all(SEEDS);
    let missing: Vec<_> = MUST_HAPPEN
        .iter()
        .filter(|&what| !seen.contains_key(what))
        .collect();
    assert!(missing.is_empty(), "never happened: {missing:?}");
}

#[test]
fn a_seed_says_all() {
    assert_eq!(run(1, false), run(1, false));
}

fn run_all(seeds: Range<u64>) -> BTreeMap<&'static str, u64> {
    let mut all = BTreeMap::new();
    for seed in seeds {
        for (what, times) in run(seed, false) {
            *all.entry(what).or_default() += times;
        }
    }
    all
}

fn run(seed: u64, traced: bool) -> BTreeMap<&'static str, u64> {
    let _guard = TellSeed(seed);
    let shared = Rc::new(Shared::new(seed, traced));
    World::new(shared.clone()).run();
    shared.seen()
}

/// Tells how to replay a run that failed.
struct TellSeed(u64);

impl Drop for TellSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay: LUGE_SIM_SEED={} cargo test --test sim", self.0);
        }
    }
}
