//! The order in which each policy serves, as small scripts: what happens on the left, who is chosen on the right.

use sched::{Arrivals, Event, Params, Policy, Reservation, Scheduler, Slice, Task, TaskId, Tenant};

/// One step of a script.
#[derive(Clone, Copy, Debug)]
enum Do {
    /// A task arrives in this slot with this deadline; the order of arrival is that of the script.
    Arrive(u32, u64),
    /// A task that is expected to run so long, without a deadline.
    Size(u32, u64),
    /// A task with a deadline that is expected to run so long.
    Due(u32, u64, u64),
    /// A task of this tenant, with a deadline and an expected run.
    Of(u32, u16, u64, u64),
    /// So much time passes, in which the task that was chosen last runs.
    Run(u64),
    /// So much time passes, in which nobody runs.
    Pass(u64),
    /// The task that was chosen last ends its slice so.
    Preempt,
    Yield,
    Block,
    Finish,
    Wake(u32),
    /// A task that does not run is cancelled.
    Cancel(u32),
    /// The policy is asked and must choose this task.
    Pick(u32),
    /// The policy is asked and must choose nobody.
    Idle,
    /// The slice is timed for the sake of those who wait, and to this length.
    Turn(u64),
    /// The slice is not timed for the sake of those who wait.
    Untimed,
    /// These newcomers interrupt the slice.
    Bar(Arrivals),
}
use Do::{
    Arrive, Bar, Block, Cancel, Due, Finish, Idle, Of, Pass, Pick, Preempt, Run, Size, Turn,
    Untimed, Wake, Yield,
};

const QUANTUM_NS: u64 = 5;

const NEVER: u64 = u64::MAX;

fn build(name: &str, preemption: bool) -> Box<dyn Policy + Send> {
    let params = Params {
        quantum_ns: QUANTUM_NS,
        preemption,
        hysteresis_ns: 3,
        levels: 3,
        boost_ns: 1_000,
    };
    (Scheduler::from_name(name).expect("a known name").build)(&params)
}

/// Plays the script and returns the last slice.
fn check(name: &str, preemption: bool, script: &[Do]) -> Option<Slice> {
    play(build(name, preemption), script)
}

/// The same with tenants.
fn check_tenants(name: &str, tenants: &[Tenant], script: &[Do]) {
    let mut policy = build(name, true);
    policy.set_tenants(0, tenants);
    play(policy, script);
}

fn play(mut policy: Box<dyn Policy + Send>, script: &[Do]) -> Option<Slice> {
    let mut slice: Option<Slice> = None;
    let (mut now, mut ran_ns) = (0, 0);
    for (line, &step) in script.iter().enumerate() {
        let at = format!("{}, step {line} of {script:?}", policy.name());
        let alarm_ns = slice.and_then(|slice| slice.alarm_at_start(0));
        match step {
            Run(ns) => (now, ran_ns) = (now + ns, ns),
            Pass(ns) => now += ns,
            Pick(slot) => {
                slice = policy.next(now);
                let chosen = slice.map(|slice| slice.task);
                assert_eq!(chosen, Some(TaskId(slot)), "{at}");
            }
            Idle => assert_eq!(policy.next(now), None, "{at}"),
            Turn(ns) => assert_eq!(alarm_ns, Some(ns), "{at}"),
            Untimed => assert_eq!(alarm_ns, None, "{at}"),
            Bar(expected) => {
                let bar = slice.map(|slice| slice.preempted_by);
                assert_eq!(bar, Some(expected), "{at}");
            }
            _ => {
                let last = slice.map_or(TaskId(u32::MAX), |slice| slice.task);
                policy.observe(now, &event(step, (line as u64, now), (last, ran_ns)));
                if matches!(step, Preempt | Yield | Block | Finish) {
                    ran_ns = 0;
                }
            }
        }
    }
    slice
}

/// The event of a step that is one; `task` was chosen last, and ran for `ran_ns`.
fn event(step: Do, (seq, now): (u64, u64), (task, ran_ns): (TaskId, u64)) -> Event {
    let arrived = |slot, tenant, deadline_ns, expected_ns| {
        Event::Arrived(Task {
            id: TaskId(slot),
            seq,
            tenant,
            route: 0,
            arrival_ns: now,
            deadline_ns,
            expected_ns,
        })
    };
    match step {
        Arrive(slot, deadline_ns) => arrived(slot, 0, deadline_ns, 0),
        Size(slot, expected_ns) => arrived(slot, 0, NEVER, expected_ns),
        Due(slot, deadline_ns, expected_ns) => arrived(slot, 0, deadline_ns, expected_ns),
        Of(slot, tenant, deadline_ns, expected_ns) => {
            arrived(slot, tenant, deadline_ns, expected_ns)
        }
        Preempt => Event::Preempted { task, ran_ns },
        Yield => Event::Yielded { task, ran_ns },
        Block => Event::Blocked { task, ran_ns },
        Finish => Event::Finished { task, ran_ns },
        Wake(slot) => Event::Woken(TaskId(slot)),
        Cancel(slot) => Event::Finished {
            task: TaskId(slot),
            ran_ns: 0,
        },
        Run(_) | Pass(_) | Pick(_) | Idle | Turn(_) | Untimed | Bar(_) => {
            unreachable!("{step:?} is no event")
        }
    }
}

#[test]
fn fifo_serves_in_the_order_of_arrival() {
    #[rustfmt::skip]
    let scripts: &[&[Do]] = &[
        &[Idle, Arrive(0, 9), Arrive(1, 1), Pick(0), Finish, Pick(1), Finish, Idle],
        // A slot that is used again counts by its new arrival.
        &[Arrive(0, 0), Arrive(1, 0), Pick(0), Finish, Arrive(0, 0), Pick(1), Finish, Pick(0)],
        // The woken keep their place, but interrupt nobody.
        &[Arrive(0, 0), Arrive(1, 0), Arrive(2, 0), Pick(0), Block, Pick(1), Wake(0), Finish, Pick(0), Finish, Pick(2)],
        // A yield lets all go first who are there, but not those who come later.
        &[Arrive(0, 0), Arrive(1, 0), Pick(0), Yield, Arrive(2, 0), Pick(1), Yield, Pick(0), Finish, Pick(2), Finish, Pick(1)],
        // If it is interrupted after all, it goes on.
        &[Arrive(0, 0), Arrive(1, 0), Pick(0), Preempt, Pick(0)],
        // The cancelled leave from anywhere.
        &[Arrive(0, 0), Arrive(1, 0), Arrive(2, 0), Cancel(1), Pick(0), Block, Cancel(0), Pick(2), Finish, Idle],
    ];
    for script in scripts {
        let last = check("fifo", true, script);
        assert!(last.is_none_or(|slice| slice == Slice::to_completion(slice.task)));
    }
}

#[test]
fn round_robin_goes_round() {
    #[rustfmt::skip]
    let scripts: &[&[Do]] = &[
        &[Idle, Arrive(0, 9), Arrive(1, 1), Pick(0), Preempt, Pick(1), Preempt, Pick(0), Finish, Pick(1), Finish, Idle],
        // Who came during the slice is before the one who was interrupted at its end.
        &[Arrive(0, 0), Pick(0), Arrive(1, 0), Preempt, Pick(1), Yield, Pick(0)],
        // The woken go to the back.
        &[Arrive(0, 0), Arrive(1, 0), Arrive(2, 0), Pick(0), Block, Wake(0), Pick(1), Finish, Pick(2), Finish, Pick(0)],
        &[Arrive(0, 0), Arrive(1, 0), Arrive(2, 0), Cancel(0), Cancel(2), Pick(1), Finish, Idle],
    ];
    for script in scripts {
        check("rr", true, script);
    }
}

#[test]
fn edf_serves_the_earliest_deadline() {
    #[rustfmt::skip]
    let scripts: &[&[Do]] = &[
        &[Idle, Arrive(0, NEVER), Arrive(1, 9), Arrive(2, 4), Pick(2), Finish, Pick(1), Finish, Pick(0), Finish, Idle],
        // Ties go by arrival.
        &[Arrive(2, 5), Arrive(1, 5), Arrive(0, 5), Pick(2), Finish, Pick(1), Finish, Pick(0)],
        // The interrupted keep their place among equals; the woken too.
        &[Arrive(0, 5), Arrive(1, 5), Pick(0), Arrive(2, 4), Preempt, Pick(2), Finish, Pick(0), Block, Pick(1), Wake(0), Preempt, Pick(0)],
        // A yield lets equals go first, but not those whose deadline is later.
        &[Arrive(0, 5), Arrive(1, 5), Arrive(2, 6), Pick(0), Yield, Pick(1), Finish, Pick(0), Yield, Pick(0)],
        &[Arrive(0, 1), Arrive(1, 2), Arrive(2, 3), Cancel(0), Pick(1), Finish, Pick(2)],
    ];
    for script in scripts {
        check("edf", true, script);
    }
}

#[test]
fn slices_say_who_may_interrupt_them() {
    let two = [Arrive(0, 7), Arrive(1, 9), Pick(0)];
    let alone = [Arrive(0, 7), Pick(0)];
    // policy, preemption, script, quantum, contended, preempted by
    let rows = [
        ("fifo", true, &two[..], None, false, Arrivals::Nobody),
        ("rr", true, &two, Some(5), true, Arrivals::Anybody),
        ("rr", true, &alone, Some(5), false, Arrivals::Anybody),
        ("rr", false, &two, None, false, Arrivals::Nobody),
        (
            "edf",
            true,
            &two,
            Some(5),
            false,
            Arrivals::DeadlineBefore(7),
        ),
        ("edf", false, &two, None, false, Arrivals::Nobody),
    ];
    for (name, preemption, script, quantum_ns, contended, preempted_by) in rows {
        let expected = Slice {
            task: TaskId(0),
            quantum_ns,
            contended,
            turn_ns: quantum_ns.unwrap_or(NEVER),
            preempted_by,
        };
        let slice = check(name, preemption, script);
        assert_eq!(slice, Some(expected), "{name} {preemption}");
    }
}

#[test]
fn preemptive_fifo_lets_the_older_go_on() {
    let bar = |seq| Bar(Arrivals::RankBefore(seq));
    #[rustfmt::skip]
    let scripts: &[&[Do]] = &[
        // What the newcomer's rank is compared with is the arrival of the one who runs.
        &[Idle, Arrive(0, 9), Arrive(1, 1), Pick(0), Untimed, bar(1), Finish, Pick(1), bar(2)],
        &[Arrive(0, 0), Arrive(1, 0), Pick(0), Block, Pick(1), Wake(0), Preempt, Pick(0), Finish, Pick(1)],
        &[Arrive(0, 0), Arrive(1, 0), Pick(0), Yield, Arrive(2, 0), Pick(1), Finish, Pick(0), Finish, Pick(2)],
    ];
    for script in scripts {
        check("fifo-preemptive", true, script);
    }
}

#[test]
fn llf_serves_who_must_begin_the_soonest() {
    use Arrivals::{Anybody, RankBefore};
    #[rustfmt::skip]
    let scripts: &[&[Do]] = &[
        // Slot 0 is due first, but slot 1 must begin at 100 - 70 = 30, before 50 - 10 = 40.
        &[Due(0, 50, 10), Due(1, 100, 70), Pick(1), Run(70), Finish, Pick(0), Finish, Idle],
        // Ties go by arrival; who has no deadline comes last, whatever its size.
        &[Size(2, 9), Due(1, 90, 10), Due(0, 100, 20), Pick(1), Finish, Pick(0), Finish, Pick(2)],
        // The one who runs is pressed less and less: from 30 it moves to 43, which is 3 beyond the other's 40.
        &[Due(0, 100, 70), Due(1, 50, 10), Pick(0), Turn(13), Bar(RankBefore(40)), Run(13), Preempt, Pick(0), Turn(5),
          Run(5), Preempt, Pick(1), Turn(11), Run(10), Finish, Pick(0), Untimed, Bar(Anybody)],
        // A newcomer within the hysteresis does not take over, one beyond does.
        &[Due(0, 100, 50), Pick(0), Due(1, 100, 53), Preempt, Pick(0), Due(2, 100, 54), Preempt, Pick(2)],
        // Who blocked comes back by its rank, without the advantage of the interrupted.
        &[Due(0, 100, 48), Due(1, 100, 50), Pick(1), Block, Pick(0), Wake(1), Finish, Pick(1)],
        // An interrupted one that is cancelled leaves no trace in its slot.
        &[Due(0, 100, 50), Pick(0), Preempt, Cancel(0), Due(1, 100, 53), Due(0, 100, 51), Pick(1)],
        // Beyond the estimate it is as pressed as it can be.
        &[Due(0, 100, 10), Pick(0), Run(50), Preempt, Due(1, 100, 4), Pick(1)],
    ];
    for script in scripts {
        check("llf", true, script);
    }
}

#[test]
fn sjf_serves_the_shortest_to_completion() {
    #[rustfmt::skip]
    let scripts: &[&[Do]] = &[
        &[Size(0, 0), Size(1, 9), Size(2, 3), Size(3, 9), Pick(2), Size(4, 1), Preempt, Pick(4), Finish, Pick(2), Finish,
          Pick(1), Finish, Pick(3), Finish, Pick(0), Finish, Idle],
        // What has run does not count.
        &[Size(0, 10), Size(1, 8), Pick(1), Run(7), Block, Pick(0), Run(5), Preempt, Wake(1), Pick(1)],
    ];
    for script in scripts {
        let last = check("sjf", true, script);
        assert!(last.is_none_or(|slice| slice == Slice::to_completion(slice.task)));
    }
}

#[test]
fn srpt_serves_of_whom_the_least_is_left() {
    use Arrivals::{Anybody, RankBefore};
    #[rustfmt::skip]
    let scripts: &[&[Do]] = &[
        &[Size(0, 30), Size(1, 20), Pick(1), Turn(25), Bar(RankBefore(20)), Finish, Pick(0), Untimed, Bar(Anybody)],
        // What has run counts: 12 are left of 30, which is less than 13.
        &[Size(0, 30), Pick(0), Run(18), Size(1, 13), Preempt, Pick(0), Turn(17), Bar(RankBefore(12)), Size(2, 11), Preempt,
          Pick(2), Finish, Pick(0), Finish, Pick(1)],
        // Ties go by arrival, waits count as runs do.
        &[Size(0, 9), Size(1, 6), Pick(1), Run(1), Block, Pick(0), Run(4), Preempt, Wake(1), Pick(0)],
        // Late by less than a quantum it goes on; then it counts as twice as long as it ran, and again.
        &[Size(0, 20), Size(1, 24), Size(2, 26), Pick(0), Run(24), Preempt, Pick(0), Turn(5), Run(1), Preempt, Pick(1), Finish,
          Pick(0), Turn(30), Run(30), Preempt, Pick(2), Finish, Pick(0), Untimed],
        // Of unknown size: a quantum, so it is late after two.
        &[Size(0, 0), Size(1, 4), Size(2, 11), Pick(1), Finish, Pick(0), Turn(10), Run(10), Size(3, 9), Preempt, Pick(3), Finish,
          Pick(0), Run(1), Size(4, 9), Preempt, Pick(0)],
    ];
    for script in scripts {
        check("srpt", true, script);
    }
}

#[test]
fn wfq_shares_by_weight() {
    let weights = |weights: &[u32]| -> Vec<Tenant> {
        let tenants = weights.iter().map(|&weight| Tenant {
            weight,
            reservation: None,
        });
        tenants.collect()
    };
    let of = |slot, tenant| Of(slot, tenant, NEVER, 0);
    #[rustfmt::skip]
    let scripts: &[(&[u32], &[Do])] = &[
        // Equal weights: tenants take turns, however many tasks they have; tasks within a tenant too.
        (&[1, 1], &[of(0, 0), of(1, 0), of(2, 0), of(3, 1), Pick(0), Turn(5), Bar(Arrivals::Anybody), Run(5), Preempt,
                    Pick(3), Run(5), Preempt, Pick(1), Run(5), Preempt, Pick(3), Run(5), Preempt, Pick(2), Run(5), Finish, Pick(3)]),
        // Four to one: 5/4, 10/4, 15/4 and 20/4 against 5/1; the tie goes to who came to be ready first.
        (&[4, 1], &[of(0, 0), of(1, 1), Pick(0), Run(5), Preempt, Pick(1), Run(5), Preempt, Pick(0), Run(5), Preempt,
                    Pick(0), Run(5), Preempt, Pick(0), Run(5), Preempt, Pick(1), Run(5), Preempt, Pick(0)]),
        // Half a slice counts half.
        (&[1, 1], &[of(0, 0), of(1, 1), Pick(0), Run(2), Yield, Pick(1), Run(5), Preempt, Pick(0), Run(2), Yield, Pick(0)]),
        // Who was away for long has saved nothing up: it comes back at the virtual time of the slice before, 50 …
        (&[1, 1], &[of(0, 0), of(1, 1), Pick(0), Run(5), Block, Pick(1), Run(50), Preempt, Pick(1), Run(50), Preempt,
                    Wake(0), Pick(0), Run(45), Preempt, Pick(0), Run(10), Preempt, Pick(1)]),
        // … and who was alone owes nothing.
        (&[1, 1], &[of(0, 0), Pick(0), Run(500), Preempt, Pick(0), Run(500), Finish, of(1, 1), of(0, 0), Pick(1), Run(5), Preempt,
                    Pick(0), Run(5), Preempt, Pick(1)]),
        // Cancelled from the queue, blocked or running, nobody else is charged.
        (&[1, 1], &[of(0, 0), of(1, 0), of(2, 1), Pick(0), Block, Pick(2), Cancel(0), Run(5), Preempt, Pick(1), Run(5), Preempt, Cancel(2),
                    Pick(1), Cancel(1), Idle, of(3, 1), Pick(3)]),
        // Who is cancelled while another tenant's task runs does not take that one's slice away.
        (&[1, 1], &[of(0, 0), of(1, 0), of(2, 1), Pick(0), Block, Pick(2), Cancel(0), Run(50), Preempt, Pick(1), Run(5), Preempt, Pick(1)]),
        // Untold tenants have the default weight, 100.
        (&[200], &[of(0, 0), of(1, 7), Pick(0), Run(6), Preempt, Pick(1), Run(6), Preempt, Pick(0), Run(5), Preempt, Pick(0)]),
    ];
    for (tenants, script) in scripts {
        check_tenants("wfq", &weights(tenants), script);
    }
}

/// Tenant 0 has 20 in every 1,000, tenant 1 has 500; tenants 2 and 3 have nothing.
fn reserved() -> [Tenant; 3] {
    let reserved = |budget_ns| Tenant {
        weight: 1,
        reservation: Some(Reservation {
            budget_ns,
            period_ns: 1_000,
        }),
    };
    [reserved(20), reserved(500), Tenant::default()]
}

#[test]
fn mtds_serves_the_guaranteed_within_their_budget() {
    use Arrivals::{Anybody, DeadlineBefore};
    #[rustfmt::skip]
    let scripts: &[&[Do]] = &[
        // The guaranteed go first, whatever their deadline, and by deadline among themselves.
        &[Of(0, 2, 10, 0), Of(1, 0, 900, 0), Of(2, 1, 800, 0), Pick(2), Turn(500), Bar(DeadlineBefore(800)), Finish, Pick(1), Turn(20), Finish, Pick(0)],
        // With its budget used up a tenant falls back to the rest, and is ordered by its deadline there.
        &[Of(0, 0, 900, 0), Of(1, 2, 800, 0), Of(2, 2, 950, 0), Pick(0), Turn(20), Run(20), Preempt, Pick(1), Turn(980), Bar(Anybody), Run(100), Finish,
          Pick(0), Untimed, Run(100), Preempt, Pick(0)],
        // What is run in the rest is not charged; the refill comes with the period and interrupts.
        &[Of(0, 0, 900, 0), Of(1, 2, 800, 0), Pick(0), Run(20), Preempt, Pick(1), Turn(980), Run(979), Preempt, Pick(1), Turn(5), Run(1), Preempt,
          Pick(0), Turn(20)],
        // It ends the turn of the guaranteed too, but who had used up the budget before goes after those who had not.
        &[Of(0, 0, 900, 0), Pick(0), Run(20), Preempt, Pass(880), Of(1, 1, 5_000, 0), Pick(1), Turn(100), Run(100), Preempt,
          Pick(1), Turn(500), Bar(DeadlineBefore(5_000)), Finish, Pick(0), Untimed],
        // They take the processor from it whatever their deadline, and wait as it does once they have used up theirs.
        &[Of(0, 0, 10, 0), Of(1, 2, 5, 0), Pick(0), Run(20), Preempt, Pick(1), Run(980), Preempt, Pick(0), Turn(20), Bar(Anybody), Of(2, 1, 5_000, 0), Run(5),
          Preempt, Pick(2), Turn(500), Run(500), Preempt, Pick(0), Run(15), Preempt, Pick(1), Run(480), Preempt, Pick(0), Turn(20), Run(20), Preempt, Pick(2)],
        // A refill within a slice, and a request of the same tenant after it: the slice belongs to both periods.
        &[Pass(985), Of(0, 0, 5_000, 0), Of(1, 2, 5_000, 0), Pick(0), Turn(15), Run(20), Of(2, 0, 6_000, 0), Preempt, Pick(0), Turn(15)],
        &[Pass(980), Of(0, 0, 5_000, 0), Of(1, 2, 5_000, 0), Of(3, 1, 9_000, 0), Pick(0), Turn(20), Run(22), Of(2, 0, 6_000, 0), Preempt, Pick(3), Turn(500)],
        // A period in which something was left, and it is as the others.
        &[Of(0, 0, 10, 0), Of(1, 2, 5, 0), Pick(0), Run(20), Preempt, Pick(1), Run(980), Preempt, Pick(0), Run(19), Finish, Pick(1), Run(981), Finish,
          Of(2, 1, 50, 0), Of(3, 0, 40, 0), Pick(3), Turn(20), Bar(DeadlineBefore(40))],
        // The debt of a slice that ended late is paid by the refill; 24 were run, so 16 are left of 20.
        &[Of(0, 0, 900, 0), Of(1, 2, 800, 0), Pick(0), Run(24), Preempt, Pick(1), Run(976), Preempt, Pick(0), Turn(16)],
        // It is bounded by a quantum: alone, it ran on for nobody's harm.
        &[Of(0, 0, 900, 0), Pick(0), Untimed, Bar(Anybody), Run(400), Of(1, 2, 800, 0), Preempt, Pick(1), Run(600), Preempt, Pick(0), Turn(15)],
        // Nothing is saved up.
        &[Pass(9_500), Of(0, 0, 9_900, 0), Of(1, 2, 9_800, 0), Pick(0), Turn(20), Run(20), Preempt, Pick(1), Turn(480)],
        // Who waits keeps what is left of its budget, but only to the period's end: then it is full.
        &[Of(0, 0, 900, 0), Of(1, 2, 800, 0), Pick(0), Run(12), Block, Pick(1), Wake(0), Run(5), Preempt, Pick(0), Turn(8), Run(3), Block,
          Pick(1), Run(980), Wake(0), Preempt, Pick(0), Turn(20)],
        // Ties go by arrival, within a tenant and between tenants; a yield lets equals go first.
        &[Of(3, 1, 50, 0), Of(2, 0, 50, 0), Of(1, 1, 50, 0), Pick(3), Yield, Pick(2), Finish, Pick(1), Finish, Pick(3)],
        // Who is cancelled during a slice does not pay for it, and the one who runs does.
        &[Of(0, 0, 900, 0), Of(1, 2, 800, 0), Of(2, 2, 850, 0), Pick(0), Cancel(2), Run(20), Preempt, Pick(1)],
        // Cancelled from anywhere, a tenant that has nothing left to run leaves its class.
        &[Of(0, 0, 10, 0), Of(1, 2, 50, 0), Of(2, 0, 60, 0), Cancel(0), Pick(2), Finish, Pick(1), Block, Cancel(1), Idle],
    ];
    for script in scripts {
        check_tenants("mtds", &reserved(), script);
    }
}

/// Who is guaranteed the shorter period goes first, whatever the deadlines of the requests.
#[test]
fn mtds_serves_the_guaranteed_by_the_ends_of_their_periods() {
    use Arrivals::Anybody;
    let mut tenants = reserved();
    tenants[1].reservation = Some(Reservation {
        budget_ns: 2_700,
        period_ns: 3_000,
    });
    #[rustfmt::skip]
    let scripts: &[&[Do]] = &[
        &[Of(0, 1, 10, 0), Of(1, 0, 900, 0), Pick(1), Turn(20), Bar(Anybody), Run(15), Finish, Pick(0), Untimed],
        // In the third period of the one all periods end together, and deadlines decide.
        &[Pass(2_000), Of(0, 1, 2_010, 0), Of(1, 0, 2_900, 0), Pick(0), Turn(1_000), Run(1_000), Preempt, Pick(1)],
        // Who waits across the end of a period waits with the next one.
        &[Pass(990), Of(0, 0, 900, 0), Of(1, 1, 10, 0), Pick(0), Turn(10), Run(10), Preempt, Pass(1_000), Pick(1)],
    ];
    for script in scripts {
        check_tenants("mtds", &tenants, script);
    }
}

#[test]
fn mtdbf_guarantees_what_reservations_can_carry() {
    use Arrivals::Anybody;
    #[rustfmt::skip]
    let scripts: &[&[Do]] = &[
        // Tenant 1 has half of the processor: 10 are carried by 20. Tenant 0 has a fiftieth, 2 are carried by 100.
        &[Of(0, 2, 5, 2), Of(1, 0, 100, 2), Of(2, 1, 200, 10), Pick(2), Turn(10), Bar(Anybody), Run(10), Finish, Pick(1), Turn(5), Finish, Pick(0), Untimed],
        // A deadline that is too near by 1 is best effort, and takes nothing of the reservation.
        &[Of(0, 2, 90, 2), Of(1, 1, 19, 10), Of(2, 1, 99, 49), Of(3, 1, 99, 10), Pick(2), Finish, Pick(1), Finish, Pick(0), Finish, Pick(3)],
        // Of unknown size: best effort.
        &[Of(0, 2, 300, 5), Of(1, 1, 400, 0), Pick(0)],
        // The server deadlines of one tenant follow each other: 20 and 40, against 30.
        &[Of(0, 1, NEVER, 10), Of(1, 1, NEVER, 10), Pick(0), Finish, Pick(1), Finish, Idle],
        // Beyond what was promised it is best effort, by its own deadline.
        &[Of(0, 1, 500, 10), Of(1, 2, 400, 9), Of(2, 2, 600, 9), Pick(0), Turn(10), Run(10), Preempt, Pick(1), Finish, Pick(0), Untimed, Finish, Pick(2)],
        // Waiting does not use it up.
        &[Of(0, 1, 500, 10), Of(1, 2, 400, 9), Pick(0), Run(4), Block, Pick(1), Wake(0), Preempt, Pick(0), Turn(6), Run(6), Preempt, Pick(1)],
    ];
    for script in scripts {
        check_tenants("mtdbf", &reserved(), script);
    }
}

/// Where no tenant has a reservation, the tenants' policies are EDF.
#[test]
fn without_reservations_it_is_by_deadline() {
    #[rustfmt::skip]
    let script = [
        Of(0, 3, 50, 1), Of(1, 0, 40, 1), Of(2, 1, 40, 1), Pick(1), Untimed, Bar(Arrivals::DeadlineBefore(40)), Run(9), Preempt,
        Pick(1), Yield, Pick(2), Finish, Pick(1), Finish, Pick(0),
    ];
    for name in ["edf", "mtds", "mtdbf"] {
        check(name, true, &script);
    }
}

#[test]
fn mlfq_serves_who_has_run_least() {
    #[rustfmt::skip]
    let scripts: &[&[Do]] = &[
        // Levels of 5, 10 and 20; the last is round robin.
        &[Arrive(0, 0), Pick(0), Untimed, Bar(Arrivals::Anybody), Arrive(1, 0), Run(5), Preempt, Pick(1), Turn(5), Run(5), Preempt,
          Pick(0), Turn(10), Run(10), Preempt, Pick(1), Run(10), Preempt, Pick(0), Turn(20), Run(20), Preempt, Pick(1), Run(20), Preempt, Pick(0), Turn(20)],
        // A newcomer goes before those who have sunk.
        &[Arrive(0, 0), Pick(0), Run(5), Preempt, Pick(0), Run(3), Arrive(1, 0), Preempt, Pick(1), Finish, Arrive(2, 0), Pick(2), Run(5), Preempt, Pick(0), Turn(7)],
        // An allotment is used up in however many slices; waiting gains nothing.
        &[Arrive(0, 0), Arrive(1, 0), Pick(0), Run(3), Block, Pick(1), Wake(0), Run(1), Yield, Pick(0), Turn(2), Run(2), Block, Wake(0),
          Pick(1), Run(3), Yield, Pick(1), Run(1), Preempt, Pick(0)],
        // Once in 1,000 all rise to the first level, in the order of the levels, and begin anew.
        &[Arrive(0, 0), Pick(0), Run(5), Preempt, Pick(0), Run(10), Preempt, Arrive(1, 0), Pick(1), Run(5), Preempt, Arrive(2, 0),
          Pass(979), Pick(2), Preempt, Pass(1), Pick(2), Preempt, Pick(1), Turn(5), Run(5), Preempt, Pick(0), Turn(5), Run(5), Preempt, Pick(2)],
        // The cancelled leave from any level.
        &[Arrive(0, 0), Arrive(1, 0), Pick(0), Run(5), Preempt, Cancel(0), Arrive(0, 0), Pick(1), Finish, Pick(0), Block, Cancel(0), Idle],
    ];
    for script in scripts {
        check("mlfq", true, script);
    }
}

#[test]
fn darc_serves_the_shortest_type() {
    #[rustfmt::skip]
    let scripts: &[&[Do]] = &[
        // 4 to 7 are one type, 8 to 15 the next; unknown is the last.
        &[Size(0, 0), Size(1, 15), Size(2, 7), Size(3, 4), Size(4, 8), Pick(2), Finish, Pick(3), Finish, Pick(1), Finish, Pick(4), Finish, Pick(0)],
    ];
    for script in scripts {
        let last = check("darc", true, script);
        assert!(last.is_none_or(|slice| slice == Slice::to_completion(slice.task)));
    }
}
