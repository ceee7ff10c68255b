//! What the table says that policies look at is what they do: two runs that differ in one fact alone differ in who is
//! served when, or not at all.

use sched::Fact::{Deadline, Execution, Reservation, Weight};
use sched::{
    Event, Fact, Params, Reservation as Budget, SCHEDULERS, Scheduler, Task, TaskId, Tenant,
};

const TASKS: u32 = 6;

/// Four slices for each task.
const SERVICE_NS: u64 = 40;
const QUANTUM_NS: u64 = 10;

/// What is known of the tasks, by their slot, and of the two tenants that they belong to in turn.
#[derive(Clone, Copy)]
struct Known {
    deadlines_ns: [u64; TASKS as usize],
    expected_ns: [u64; TASKS as usize],
    tenants: [Tenant; 2],
}

/// Nothing that tells one task or tenant from another; without reservations, as with them little else is looked at.
const PLAIN: Known = Known {
    deadlines_ns: [100_000; TASKS as usize],
    expected_ns: [0; TASKS as usize],
    tenants: [tenant(100, None); 2],
};

const fn tenant(weight: u32, budget_ns: Option<u64>) -> Tenant {
    let reservation = match budget_ns {
        None => None,
        Some(budget_ns) => Some(Budget {
            budget_ns,
            period_ns: 10_000,
        }),
    };
    Tenant {
        weight,
        reservation,
    }
}

/// Who runs in which slice, all having come at once.
fn order(scheduler: &Scheduler, known: &Known) -> Vec<TaskId> {
    let params = Params {
        quantum_ns: QUANTUM_NS,
        hysteresis_ns: 1,
        ..Params::default()
    };
    let mut policy = (scheduler.build)(&params);
    policy.set_tenants(0, &known.tenants);
    let mut left_ns = [SERVICE_NS; TASKS as usize];
    for slot in 0..TASKS {
        let task = Task {
            id: TaskId(slot),
            seq: u64::from(slot),
            tenant: (slot % 2) as u16,
            route: 0,
            arrival_ns: 0,
            deadline_ns: known.deadlines_ns[slot as usize],
            expected_ns: known.expected_ns[slot as usize],
        };
        policy.observe(0, &Event::Arrived(task));
    }
    let (mut now, mut order) = (0, Vec::new());
    while let Some(slice) = policy.next(now) {
        let left_ns = &mut left_ns[slice.task.index()];
        let ran_ns = slice.quantum_ns.map_or(*left_ns, |_| QUANTUM_NS);
        (now, *left_ns) = (now + ran_ns, *left_ns - ran_ns);
        let task = slice.task;
        let event = match *left_ns {
            0 => Event::Finished { task, ran_ns },
            _ => Event::Preempted { task, ran_ns },
        };
        policy.observe(now, &event);
        order.push(task);
    }
    order
}

#[test]
fn policies_look_at_what_they_say_and_at_nothing_else() {
    let reserved = Known {
        tenants: [tenant(100, Some(4_000)); 2],
        ..PLAIN
    };
    let sizes = Known {
        expected_ns: [700, 300, 900, 10, 400, 20],
        ..reserved
    };
    let pairs: &[(Fact, Known, Known)] = &[
        (
            Deadline,
            PLAIN,
            Known {
                deadlines_ns: [900, 800, 700, 600, 500, 400],
                ..PLAIN
            },
        ),
        (Execution, reserved, sizes),
        (
            Weight,
            PLAIN,
            Known {
                tenants: [tenant(100, None), tenant(700, None)],
                ..PLAIN
            },
        ),
        (
            Reservation,
            PLAIN,
            Known {
                tenants: [tenant(100, None), tenant(100, Some(4_000))],
                ..PLAIN
            },
        ),
        // Of what is expected too, which demand bounds need.
        (
            Reservation,
            Known {
                tenants: PLAIN.tenants,
                ..sizes
            },
            Known {
                tenants: [tenant(100, None), tenant(100, Some(4_000))],
                ..sizes
            },
        ),
    ];
    for scheduler in SCHEDULERS {
        for fact in [Deadline, Execution, Weight, Reservation] {
            let differs = pairs
                .iter()
                .filter(|(of, _, _)| *of == fact)
                .any(|(_, one, other)| order(scheduler, one) != order(scheduler, other));
            assert_eq!(
                differs,
                scheduler.uses(fact),
                "{}: {fact:?}",
                scheduler.name
            );
        }
    }
}
