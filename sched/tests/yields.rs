//! What `sched_yield` means to each policy: who runs when a task has given its slice back.
//!
//! Three tasks are ready: 0 was chosen and yields, 1 came after it, 2 last. Their deadlines are the row's; what each
//! policy makes of it is in its module's text.

use sched::{Event, Params, Scheduler, Task, TaskId};

/// Deadlines of the three, and who runs in the three slices that follow, all of which end in a yield.
type Row = (&'static str, [u64; 3], [u32; 3]);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // To the back, as if it had come just now.
    ("fifo", [7, 7, 7], [1, 2, 0]),
    ("fifo", [1, 2, 3], [1, 2, 0]),
    ("rr", [7, 7, 7], [1, 2, 0]),
    ("rr", [1, 2, 3], [1, 2, 0]),
    // An equal's turn, and of nobody who has more time.
    ("edf", [7, 7, 7], [1, 2, 0]),
    ("edf", [7, 7, 9], [1, 0, 1]),
    ("edf", [1, 2, 3], [0, 0, 0]),
    ("edf", [u64::MAX; 3], [1, 2, 0]),
];

fn params(preemption: bool) -> Params {
    Params {
        quantum_ns: 5,
        preemption,
        hysteresis_ns: 0,
        levels: 3,
        boost_ns: 1_000,
    }
}

#[test]
fn a_yield_is_the_turn_of_those_whom_the_policy_puts_before() {
    for &(name, deadlines, expected) in ROWS {
        for preemption in [true, false] {
            let params = params(preemption);
            let mut policy = (Scheduler::from_name(name).expect("a known name").build)(&params);
            let mut now = 0;
            for (slot, deadline_ns) in (0..).zip(deadlines) {
                let task = Task {
                    id: TaskId(slot),
                    seq: now,
                    tenant: 0,
                    route: 0,
                    arrival_ns: now,
                    deadline_ns,
                    expected_ns: 0,
                };
                policy.observe(now, &Event::Arrived(task));
                now += 1;
            }
            let mut ran = Vec::new();
            for _ in 0..4 {
                let task = policy.next(now).expect("somebody is ready").task;
                ran.push(task.0);
                now += 1;
                policy.observe(now, &Event::Yielded { task, ran_ns: 1 });
            }
            assert_eq!(ran[0], 0, "{name}");
            assert_eq!(ran[1..], expected, "{name} {deadlines:?} {preemption}");
        }
    }
}

/// Who yields alone goes on.
#[test]
fn a_yield_to_nobody_is_nothing() {
    for scheduler in sched::SCHEDULERS {
        let params = params(true);
        let mut policy = (scheduler.build)(&params);
        let task = Task {
            id: TaskId(3),
            seq: 0,
            tenant: 0,
            route: 0,
            arrival_ns: 0,
            deadline_ns: 9,
            expected_ns: 0,
        };
        policy.observe(0, &Event::Arrived(task));
        for now in 1..5 {
            let slice = policy.next(now).expect("it is ready");
            assert_eq!(slice.task, TaskId(3), "{}", scheduler.name);
            policy.observe(
                now,
                &Event::Yielded {
                    task: slice.task,
                    ran_ns: 1,
                },
            );
        }
    }
}
