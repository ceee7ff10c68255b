//! Small runs that can be followed by hand: when the timer is armed, what is charged to whom, who goes where.

use super::{Config, Costs, Nanos, Request, config, ends, run};
use crate::sim::engine::{Engine, Happening};
use crate::sim::source::Open;
use crate::sim::stalls::Stalls;
use crate::worker::Arrival;

/// Requests as (arrival, service, deadline).
fn scripted(rows: &[(Nanos, Nanos, Nanos)]) -> Vec<Request> {
    let request = |(seq, &(arrival_ns, service_ns, deadline_ns))| Request {
        arrival: Arrival {
            seq: seq as u64,
            tenant: 0,
            route: 0,
            arrival_ns,
            deadline_ns,
            expected_ns: 0,
        },
        service_ns,
    };
    rows.iter().enumerate().map(request).collect()
}

/// `expected` is who finishes when, in that order.
fn check(config: &Config, rows: &[(Nanos, Nanos, Nanos)], expected: &[(u64, Nanos)]) {
    assert_eq!(ends(&run(config, scripted(rows))), expected, "{config:?}");
}

fn costing(mut config: Config, dispatch_ns: Nanos, start_ns: Nanos, preempt_ns: Nanos) -> Config {
    config.costs = Costs {
        dispatch_ns,
        start_ns,
        preempt_ns,
        ..Costs::default()
    };
    config
}

#[test]
fn round_robin_interrupts_when_somebody_comes_but_not_before_the_quantum() {
    let rr = config(1, "rr", 10);
    // Alone: no interruption. One comes after the quantum: at once.
    check(&rr, &[(0, 100, 0), (25, 5, 0)], &[(1, 30), (0, 105)]);
    // One comes within the quantum: at its end.
    check(&rr, &[(0, 100, 0), (4, 5, 0)], &[(1, 15), (0, 105)]);
    // Two wait: the timer is armed from the start of each slice.
    check(&rr, &[(0, 15, 0), (0, 15, 0)], &[(0, 25), (1, 30)]);
    // Who ends just when the timer rings has ended.
    check(&rr, &[(0, 10, 0), (0, 10, 0)], &[(0, 10), (1, 20)]);
    // Who comes during a slice goes before the one who is interrupted at its end.
    check(
        &rr,
        &[(0, 20, 0), (1, 20, 0), (15, 5, 0)],
        &[(0, 30), (2, 35), (1, 45)],
    );
    let mut off = rr.clone();
    off.params.preemption = false;
    check(&off, &[(0, 100, 0), (25, 5, 0)], &[(0, 100), (1, 105)]);
}

#[test]
fn edf_interrupts_for_an_earlier_deadline_only() {
    let edf = config(1, "edf", 10);
    check(&edf, &[(0, 100, 500), (25, 5, 400)], &[(1, 30), (0, 105)]);
    check(&edf, &[(0, 100, 500), (4, 5, 400)], &[(1, 15), (0, 105)]);
    check(&edf, &[(0, 100, 500), (25, 5, 500)], &[(0, 100), (1, 105)]);
    check(
        &edf,
        &[(0, 100, 500), (25, 5, 600), (26, 5, 550)],
        &[(0, 100), (2, 105), (1, 110)],
    );
}

#[test]
fn costs_are_charged_where_they_arise() {
    let rows = [(0, 100, 0), (25, 5, 0)];
    // Each interruption takes the worker 3: the newcomer begins at 28.
    check(
        &costing(config(1, "rr", 10), 0, 0, 3),
        &rows,
        &[(1, 33), (0, 108)],
    );
    // Each sandbox takes 7 to start, once: 0 to 7, and 25 to 32. The second is interrupted at 35, and goes on at 45.
    check(
        &costing(config(1, "rr", 10), 0, 7, 0),
        &rows,
        &[(1, 47), (0, 119)],
    );
    // A start is not interrupted, even if it takes longer than the quantum.
    let slow = costing(config(1, "rr", 10), 0, 50, 0);
    check(&slow, &[(0, 20, 0), (1, 5, 0)], &[(1, 115), (0, 125)]);
    // The end of a request takes the worker 4 before it turns to the next, however long that waits.
    let mut ends = config(1, "fifo", 1);
    ends.costs.finish_ns = 4;
    let rows = [(0, 10, 0), (0, 10, 0), (26, 10, 0), (50, 10, 0)];
    check(&ends, &rows, &[(0, 10), (1, 24), (2, 38), (3, 60)]);
    // The listener takes them one at a time.
    let listener = costing(config(4, "fifo", 1), 5, 0, 0);
    check(
        &listener,
        &[(0, 1, 0), (0, 1, 0), (20, 1, 0)],
        &[(0, 6), (1, 11), (2, 26)],
    );
}

#[test]
fn a_request_goes_to_the_least_loaded() {
    let fifo = config(2, "fifo", 1);
    let rows = [(0, 100, 0), (0, 10, 0), (5, 10, 0), (6, 10, 0)];
    check(&fifo, &rows, &[(1, 10), (3, 20), (0, 100), (2, 110)]);
    // Those who are done do not count.
    let rows = [(0, 1, 0), (0, 100, 0), (2, 1, 0), (5, 1, 0)];
    check(&fifo, &rows, &[(0, 1), (2, 3), (3, 6), (1, 100)]);
}

#[test]
fn what_the_workers_cannot_take_waits_or_is_refused() {
    let mut fifo = config(2, "fifo", 1);
    fifo.tasks_max = 1;
    let rows = [(0, 10, 0), (0, 20, 0), (1, 7, 0), (2, 7, 0), (30, 7, 0)];
    check(&fifo, &rows, &[(0, 10), (1, 20), (4, 37)]);
    // Who ends just when somebody comes has made room.
    let rows_at_end = [(0, 10, 0), (0, 20, 0), (10, 7, 0)];
    check(&fifo, &rows_at_end, &[(0, 10), (2, 17), (1, 20)]);
    fifo.backlog_max = 1;
    check(&fifo, &rows, &[(0, 10), (2, 17), (1, 20), (4, 37)]);
    fifo.backlog_max = 2;
    check(&fifo, &rows, &[(0, 10), (2, 17), (1, 20), (3, 24), (4, 37)]);
}

/// Two take turns: each slice is a quantum long and late by what the timer's jitter allows.
#[test]
fn the_timer_rings_late_by_its_jitter() {
    let mut rr = config(1, "rr", 10_000);
    rr.costs.timer_jitter_ns = 4_000;
    let requests = scripted(&[(0, 6_000_000, 0), (0, 6_000_000, 0)]);
    let mut engine = Engine::new(rr, Open::new(requests.into_iter()));
    let (mut last_ns, mut late_ns) = (0, Vec::new());
    while let Some(happening) = engine.step() {
        if let Happening::Preempted { .. } = happening {
            late_ns.push(
                (engine.now() - last_ns)
                    .checked_sub(10_000)
                    .expect("never early"),
            );
            last_ns = engine.now();
        }
    }
    assert!(
        late_ns.len() > 900 && late_ns.iter().all(|&late| late <= 4_000),
        "{late_ns:?}"
    );
    let mean_ns = late_ns.iter().sum::<Nanos>() / late_ns.len() as Nanos;
    assert!((1_800..2_200).contains(&mean_ns), "{mean_ns}");
}

#[test]
fn all_takes_longer_by_the_stalls() {
    let stalls = Stalls {
        per_second: 1_000.0,
        lengths_ns: vec![100_000, 300_000],
    };
    let rows: Vec<_> = (0..20_000).map(|_| (0, 50_000, 0)).collect();
    for (name, quantum_ns) in [("fifo", 0), ("rr", 10_000)] {
        // Started, and in round robin preempted four times, at the cost of 1 µs each: 51 and 55 µs of the worker's time.
        let mut machine = costing(config(1, name, quantum_ns), 0, 1_000, 1_000);
        machine.tasks_max = 20_000;
        machine.stalls = stalls.clone();
        let ends = ends(&run(&machine, scripted(&rows)));
        assert_eq!(ends.len(), rows.len());
        let (_, last_ns) = ends[ends.len() - 1];
        let busy_ns = 20_000.0 * if name == "rr" { 55_000.0 } else { 51_000.0 };
        let longer = last_ns as f64 / busy_ns;
        assert!((1.15..1.25).contains(&longer), "{name}: {longer}");
    }
    // The listener's are those of its busy time: 10 µs take 12 on average. Three more come in 300 µs, and wait together
    // for 380 µs longer: in one of 200, which makes another 1.9 µs each.
    let mut machine = costing(config(1, "fifo", 0), 10_000, 0, 0);
    machine.tasks_max = 20_000;
    machine.listener_stalls = stalls;
    let rows: Vec<_> = (0..20_000).map(|at| (at * 100_000, 1, 0)).collect();
    let ends = ends(&run(&machine, scripted(&rows)));
    let waits_ns = ends
        .iter()
        .map(|(at, end_ns)| end_ns - rows[*at as usize].0);
    let mean_ns = waits_ns.sum::<Nanos>() as f64 / 20_000.0;
    assert!((13_000.0..15_000.0).contains(&mean_ns), "{mean_ns}");
}
