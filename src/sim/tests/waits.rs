//! Requests that wait between their bursts, or give way: small runs that can be followed by hand, and generated ones of
//! which the sums must be right and in which nobody idles who could run.

use std::collections::BTreeSet;

use perf::event::What;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use sched::{DISPATCHERS, Nanos, SCHEDULERS};

use super::{Config, Costs, config};
use crate::sim::arrivals::Estimate;
use crate::sim::engine::{Burst, Engine, Happening, Then};
use crate::sim::notes::Notes;
use crate::sim::source::Source;
use crate::sim::totals::Totals;
use crate::sim::trace::{Asked, Builder, Record, Trace, read_luge};
use crate::sim::workload::Workload;

/// Requests as (arrival, deadline after it, work and waits by turns).
fn trace(rows: &[(Nanos, Nanos, &str)]) -> Trace {
    let rows = rows.iter();
    let rows = rows.map(|(arrival_ns, deadline_ns, bursts)| {
        Ok(format!("{arrival_ns},{deadline_ns},a,{bursts}"))
    });
    let head = "arrival_ns,deadline_ns,class,bursts_ns".to_owned();
    let lines = [Ok(head)].into_iter().chain(rows);
    let mut builder = Builder::default();
    let workload = Workload::parse("fixed-1").expect("a name");
    read_luge(lines, &workload, 1, &mut builder).expect("a trace");
    builder.finish("waits").expect("requests")
}

fn source(trace: &Trace) -> impl Source + '_ {
    let asked = Asked {
        requests: u64::MAX,
        stretch: 1.0,
        estimate: Some(Estimate::Exact),
        seed: 1,
    };
    trace.source(asked, vec![Nanos::MAX; trace.classes.len()])
}

/// Who finishes when.
fn ends(config: &Config, trace: &Trace) -> Vec<(u64, Nanos)> {
    let mut engine = Engine::new(config.clone(), source(trace));
    let mut ends = Vec::new();
    while let Some(happening) = engine.step() {
        if let Happening::Finished { job, .. } = happening {
            ends.push((job.request.arrival.seq, engine.now()));
        }
    }
    engine.totals().audit(trace.len() as u64, &config.costs);
    ends
}

fn check(policy: (&str, Nanos), rows: &[(Nanos, Nanos, &str)], expected: &[(u64, Nanos)]) {
    let config = config(1, policy.0, policy.1);
    assert_eq!(
        ends(&config, &trace(rows)),
        expected,
        "{policy:?}, {rows:?}"
    );
}

#[test]
fn others_run_while_one_waits() {
    for policy in ["fifo", "rr", "edf", "srpt", "sjf", "mlfq"] {
        let policy = (policy, 1_000);
        check(policy, &[(0, 9, "10+100+10")], &[(0, 120)]);
        check(policy, &[(0, 9, "10+100+10+5+1")], &[(0, 126)]);
        // Nobody else is there when it wakes.
        let rows = [(0, 9, "10+100+10"), (1, 90, "50")];
        check(policy, &rows, &[(1, 60), (0, 120)]);
        // Two wait at once.
        let rows = [(0, 9, "10+100+10"), (1, 90, "20+100+20")];
        check(policy, &rows, &[(0, 120), (1, 150)]);
    }
}

#[test]
fn who_wakes_queues_as_its_policy_says() {
    let rows = [(0, 0, "10+10+10"), (0, 0, "50"), (0, 0, "5")];
    // In the order of arrival; at the back.
    check(("fifo", 1), &rows, &[(1, 60), (0, 70), (2, 75)]);
    check(("rr", 1_000), &rows, &[(1, 60), (2, 65), (0, 75)]);
}

#[test]
fn a_wake_interrupts_where_an_arrival_would() {
    // The second runs from 5 on, the first wakes at 15.
    let urgent = [(0, 100, "5+10+5"), (0, 500, "50")];
    let patient = [(0, 600, "5+10+5"), (1, 500, "50")];
    check(("edf", 10), &urgent, &[(0, 20), (1, 60)]);
    // Not before the quantum is over.
    check(("edf", 30), &urgent, &[(0, 40), (1, 60)]);
    check(("edf", 10), &patient, &[(1, 55), (0, 60)]);
    check(("rr", 10), &patient, &[(0, 20), (1, 60)]);
    check(("fifo", 10), &urgent, &[(1, 55), (0, 60)]);
    // It is older than who runs.
    check(("fifo-preemptive", 10), &patient, &[(0, 20), (1, 60)]);
    let mut off = config(1, "edf", 10);
    off.params.preemption = false;
    assert_eq!(ends(&off, &trace(&urgent)), [(1, 55), (0, 60)]);
}

/// At its arrival 25 were left of the first, which is more than the second is; when it wakes at 30 it is 5.
#[test]
fn who_wakes_is_compared_by_what_it_is_then() {
    let rows = [(0, 0, "20+10+5"), (21, 0, "15")];
    check(("srpt", 1), &rows, &[(0, 35), (1, 41)]);
    check(("sjf", 1), &rows, &[(1, 36), (0, 41)]);
}

#[test]
fn who_gives_way_goes_behind_those_whom_its_policy_puts_there() {
    let rows = [(0, 90, "10+y+10"), (0, 90, "5"), (0, 95, "5")];
    check(("fifo", 1), &rows, &[(1, 15), (2, 20), (0, 30)]);
    check(("edf", 1), &rows, &[(1, 15), (0, 25), (2, 30)]);
    check(("fifo", 1), &[(0, 0, "10+y+10")], &[(0, 20)]);
}

/// What it waits for is there before it has stopped.
#[test]
fn a_wait_of_nothing_keeps_the_place_of_who_wakes() {
    let rows = [(0, 0, "10+0+10"), (0, 0, "5")];
    check(("fifo", 1), &rows, &[(0, 20), (1, 25)]);
    check(("rr", 1_000), &rows, &[(1, 15), (0, 25)]);
}

#[test]
fn at_one_moment_ends_precede_wakes_and_wakes_arrivals() {
    // At 30 the second ends, the first wakes and the third comes.
    let rows = [(0, 0, "10+20+10"), (0, 0, "20"), (30, 0, "5")];
    check(("rr", 1_000), &rows, &[(1, 30), (0, 40), (2, 45)]);
    // Of two that wake at once, the one that waits longer is first.
    let rows = [(0, 0, "10+30+5"), (0, 0, "10+20+5")];
    check(("rr", 1_000), &rows, &[(0, 45), (1, 50)]);
}

#[test]
fn a_sandbox_starts_once_and_waits_cost_nothing() {
    let mut costly = config(1, "rr", 10);
    costly.costs = Costs {
        start_ns: 7,
        preempt_ns: 3,
        ..Costs::default()
    };
    // It wakes at 22. Alone, it is not interrupted.
    assert_eq!(ends(&costly, &trace(&[(0, 0, "10+5+50")])), [(0, 72)]);
    // The other starts at 18 and works from 25 to 28, when it is interrupted, and again from 34 on.
    let rows = [(0, 0, "10+5+3"), (18, 0, "20")];
    assert_eq!(ends(&costly, &trace(&rows)), [(0, 34), (1, 51)]);
}

/// Looks whether a worker idles while somebody is ready, or runs two at once.
#[derive(Default)]
struct Watch {
    now: Nanos,
    ready: Vec<BTreeSet<u64>>,
    running: Vec<Option<u64>>,
    idled: u32,
}

impl Notes for Watch {
    fn note(&mut self, source: usize, at_ns: Nanos, request: u64, what: What) {
        let Some(worker) = source.checked_sub(1) else {
            return;
        };
        if at_ns > self.now {
            let mut workers = self.ready.iter().zip(&self.running);
            let idles = workers.any(|(ready, running)| running.is_none() && !ready.is_empty());
            self.idled += u32::from(idles);
            self.now = at_ns;
        }
        let (ready, running) = (&mut self.ready[worker], &mut self.running[worker]);
        match what {
            What::Taken | What::Woken => assert!(ready.insert(request)),
            What::Resumed => {
                assert!(ready.remove(&request));
                assert_eq!(running.replace(request), None);
            }
            What::Preempted | What::Yielded => {
                assert_eq!(running.take(), Some(request));
                ready.insert(request);
            }
            What::Blocked | What::Finished { .. } => assert_eq!(running.take(), Some(request)),
            what => panic!("{what:?} is not a worker's"),
        }
    }
}

/// Many requests of up to five bursts, of three classes. Waits are about as long as work.
pub fn bursty(seed: u64, workers: u64, count: u64) -> Trace {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut builder = Builder::default();
    let mut now = 0;
    for _ in 0..count {
        now += random.random_range(0..400) / workers as i64;
        let name = ["a", "b", "c"][random.random_range(0..3)];
        let class = builder.class("", name, name).expect("few classes");
        let mut bursts: Vec<Burst> = (0..random.random_range(0..5))
            .map(|_| Burst {
                work_ns: random.random_range(1..100),
                then: match random.random_range(0..5) {
                    0 => Then::Yield,
                    1 => Then::Wait(0),
                    _ => Then::Wait(random.random_range(1..200)),
                },
            })
            .collect();
        let work_ns = random.random_range(1..200);
        let record = Record::new(now, work_ns, class);
        if bursts.is_empty() {
            builder.push(record).expect("room");
            continue;
        }
        let then = Then::End;
        bursts.push(Burst { work_ns, then });
        builder.push_bursts(record, &bursts).expect("room");
    }
    builder.finish("bursty").expect("requests")
}

/// Runs to the end, and audits.
fn run(config: &Config, trace: &Trace, notes: impl Notes) -> Totals {
    let mut engine = Engine::noting(config.clone(), source(trace), notes);
    while engine.step().is_some() {}
    engine.totals().audit(trace.len() as u64, &config.costs);
    *engine.totals()
}

#[test]
fn the_sums_are_right_and_nobody_idles_who_could_run() {
    for (seed, scheduler) in (0..).zip(SCHEDULERS) {
        for (quantum_ns, workers) in [(1, 1), (20, 3), (100_000, 2)] {
            let config = config(workers, scheduler.name, quantum_ns);
            let trace = bursty(seed, workers as u64, 2_000);
            let mut watch = Watch {
                ready: vec![BTreeSet::new(); workers],
                running: vec![None; workers],
                ..Watch::default()
            };
            let totals = run(&config, &trace, &mut watch);
            assert_eq!(watch.idled, 0, "{} {quantum_ns}", scheduler.name);
            assert!(totals.yielded > 100 && totals.blocked > 1_000, "{totals:?}");
        }
    }
}

/// With costs, tight bounds, and every way to choose a worker.
#[test]
fn every_request_ends_once_though_it_waits() {
    for (seed, dispatcher) in (0..).zip(DISPATCHERS) {
        for scheduler in SCHEDULERS {
            let mut config = config(3, scheduler.name, 30);
            config.dispatcher = dispatcher;
            config.tasks_max = 4;
            config.backlog_max = 5;
            config.costs = Costs {
                dispatch_ns: 20,
                start_ns: 15,
                preempt_ns: 9,
                finish_ns: 4,
                timer_jitter_ns: 5,
            };
            let totals = run(&config, &bursty(seed, 3, 2_000), ());
            let tried = totals.refused > 0 && totals.blocked > 500;
            assert!(tried, "{} {}: {totals:?}", dispatcher.name, scheduler.name);
        }
    }
}
