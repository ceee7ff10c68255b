//! Where requests go, as tables: the loads, then the choices one after the other, each added to the load. And what
//! every dispatcher must do, on generated loads.

use Choice::{Hold, Refuse, Worker};
use sched::dispatch::{Choice, DISPATCHERS, Dispatch, DispatchParams, Dispatcher, Load, Offer};
use sched::{Arrivals, Newcomer};

fn load(outstanding: u32) -> Load {
    Load {
        outstanding,
        ..Load::default()
    }
}

const FULL: Load = Load {
    outstanding: 9,
    queued: 0,
    work_ns: 0,
    preempted_by: Arrivals::Nobody,
    full: true,
};

fn work(work_ns: u64, outstanding: u32) -> Load {
    Load {
        work_ns,
        ..load(outstanding)
    }
}

fn running(preempted_by: Arrivals) -> Load {
    Load {
        preempted_by,
        ..load(1)
    }
}

fn queued(queued: u32) -> Load {
    Load {
        queued,
        ..load(queued + 1)
    }
}

fn build(name: &str, bound: u32) -> Box<dyn Dispatch + Send> {
    let row = Dispatcher::from_name(name).expect("a known name");
    (row.build)(&DispatchParams { bound })
}

fn offer(deadline_ns: u64, random: u64) -> Offer {
    Offer {
        expected_ns: 10,
        newcomer: Newcomer {
            deadline_ns,
            rank: deadline_ns,
        },
        random,
    }
}

fn check(name: &str, loads: &[Load], expected: &[Choice]) {
    let mut dispatch = build(name, 2);
    let mut loads = loads.to_vec();
    for (row, &expected) in expected.iter().enumerate() {
        let choice = dispatch.dispatch(&offer(50, 0), &loads);
        assert_eq!(choice, expected, "{name} {row}: {loads:?}");
        if let Worker(worker) = choice {
            loads[worker].outstanding += 1;
            loads[worker].work_ns += 10;
        }
    }
}

#[test]
fn the_shortest_queue_is_joined() {
    check(
        "jsq",
        &[load(2), load(2), FULL, load(1)],
        &[Worker(3), Worker(0), Worker(1), Worker(3)],
    );
}

#[test]
fn who_has_its_share_of_the_central_queue_gets_no_more() {
    check(
        "jbsq",
        &[load(0), load(1), load(0)],
        &[
            Worker(0),
            Worker(2),
            Worker(0),
            Worker(1),
            Worker(2),
            Hold,
            Hold,
        ],
    );
    check("jbsq", &[load(5), FULL], &[Hold]);
    check("jbsq", &[FULL, FULL], &[Refuse]);
    check("jbsq", &[], &[Refuse]);
}

#[test]
fn the_least_work_is_joined() {
    check(
        "lwl",
        &[work(25, 1), work(0, 3), FULL, work(0, 2)],
        &[
            Worker(3),
            Worker(1),
            Worker(3),
            Worker(1),
            Worker(3),
            Worker(1),
            Worker(0),
        ],
    );
    check("lwl", &[FULL], &[Refuse]);
}

#[test]
fn workers_are_dealt_requests_in_turn() {
    check(
        "rr",
        &[load(9), load(0), FULL, load(3)],
        &[Worker(0), Worker(1), Worker(3), Worker(0), Worker(1)],
    );
    check(
        "steal",
        &[load(9), load(0), FULL, load(3)],
        &[Worker(0), Worker(1), Worker(3), Worker(0), Worker(1)],
    );
    check("rr", &[FULL], &[Refuse]);
}

#[test]
fn the_less_loaded_of_two_gets_it() {
    const QUARTER: u64 = 1 << 30;
    const THIRD: u64 = (1 << 32) / 3 + 1;
    let loads = [load(3), load(1), load(2), FULL];
    // The first drawn, how many of the other three are skipped, who gets it.
    let rows = [
        (0, 0, Worker(1)),
        (0, 1, Worker(2)),
        (0, 2, Worker(0)),
        (1, 0, Worker(1)),
        (2, 0, Worker(2)),
        (2, 1, Worker(2)),
        (2, 2, Worker(1)),
        (3, 0, Worker(0)),
    ];
    for (first, skipped, expected) in rows {
        let random = ((skipped * THIRD) << 32) | (first * QUARTER);
        let choice = build("po2", 1).dispatch(&offer(0, random), &loads);
        assert_eq!(choice, expected, "{first} {skipped}");
    }
    // Both full, but not all; all; only one; none.
    let rows: [(&[Load], Choice); 4] = [
        (&[FULL, FULL, load(1), load(0)], Worker(3)),
        (&[FULL, FULL], Refuse),
        (&[load(7)], Worker(0)),
        (&[], Refuse),
    ];
    for (loads, expected) in rows {
        assert_eq!(build("po2", 1).dispatch(&offer(0, 0), loads), expected);
    }
}

#[test]
fn who_has_nothing_takes_from_who_has_the_most() {
    // The thief is the first.
    let rows: [(&[Load], Option<usize>); 6] = [
        (&[load(0), queued(1), queued(3), queued(2)], Some(2)),
        (&[load(0), queued(3), queued(3)], Some(1)),
        (&[load(0), load(1), load(1)], None),
        // All that it has waits for other things.
        (&[load(1), queued(3)], Some(1)),
        (&[load(0)], None),
        (&[load(0), FULL, Load { queued: 4, ..FULL }], Some(2)),
    ];
    for (loads, expected) in rows {
        assert_eq!(build("steal", 1).steal(0, loads), expected, "{loads:?}");
    }
    let loads = [queued(3), load(0), queued(3)];
    assert_eq!(build("steal", 1).steal(1, &loads), Some(2), "the next one");
}

#[test]
fn who_would_lose_the_most_is_interrupted() {
    use Arrivals::{Anybody, DeadlineBefore, Nobody, RankBefore};
    // The newcomer's deadline is 50.
    check(
        "triage",
        &[running(DeadlineBefore(60)), load(0), running(Anybody)],
        &[Worker(1)],
    );
    check(
        "triage",
        &[
            running(DeadlineBefore(60)),
            running(DeadlineBefore(90)),
            running(DeadlineBefore(50)),
        ],
        &[Worker(1)],
    );
    check(
        "triage",
        &[
            running(RankBefore(51)),
            running(RankBefore(50)),
            running(Nobody),
        ],
        &[Worker(0)],
    );
    // It would win nowhere: the shortest queue.
    let late = Load {
        outstanding: 4,
        ..running(DeadlineBefore(10))
    };
    check(
        "triage",
        &[late, running(Nobody), running(DeadlineBefore(50))],
        &[Worker(1), Worker(2)],
    );
    check(
        "triage",
        &[
            Load {
                full: true,
                ..running(Anybody)
            },
            late,
        ],
        &[Worker(1)],
    );
    check("triage", &[FULL], &[Refuse]);
}

/// Loads in all combinations of idle, busy and full, on one to five workers: nobody full is chosen, nothing is refused
/// that somebody could take, and who lets requests wait lets none wait while somebody is idle.
#[test]
fn no_dispatcher_refuses_what_somebody_can_take() {
    for row in DISPATCHERS {
        let mut dispatch = (row.build)(&DispatchParams::default());
        assert_eq!(dispatch.name(), row.name);
        for workers in 1..=5_u32 {
            for mix in 0..3_u32.pow(workers) {
                let loads: Vec<Load> = (0..workers)
                    .map(|worker| [load(0), load(2), FULL][(mix / 3_u32.pow(worker) % 3) as usize])
                    .collect();
                let random = u64::from(mix).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let (takes, idles) = (
                    loads.iter().any(|load| !load.full),
                    loads.contains(&load(0)),
                );
                match dispatch.dispatch(&offer(5, random), &loads) {
                    Worker(worker) => assert!(!loads[worker].full, "{}", row.name),
                    Hold => assert!(row.work_conserving && takes && !idles, "{}", row.name),
                    Refuse => assert!(!takes, "{} {loads:?}", row.name),
                }
            }
        }
    }
}
