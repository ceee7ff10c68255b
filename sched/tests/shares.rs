//! What tenants get over time: one worker on virtual time that keeps to the alarms of its slices, tenants that always
//! have work, and one that has too much of it.

use sched::mtdbf::Mtdbf;
use sched::mtds::Mtds;
use sched::wfq::Wfq;
use sched::{Event, Params, Policy, Reservation, Slice, Task, TaskId, Tenant};

const QUANTUM_NS: u64 = 100;

/// A tenant's load: so many requests at once, each of so long, the next one when one is done.
#[derive(Clone, Copy)]
struct Load {
    requests: u32,
    service_ns: u64,
    /// From arrival to deadline.
    deadline_ns: u64,
}

/// One worker. Slices end at their alarm, or up to `late_ns` after it, as interruptions do.
struct Machine<P> {
    policy: P,
    loads: Vec<Load>,
    late_ns: u64,
    now: u64,
    seq: u64,
    /// By slot: tenant, and what is left of the request.
    tasks: Vec<(u16, u64)>,
    /// By tenant: what it ran.
    ran_ns: Vec<u64>,
}

impl<P: Policy> Machine<P> {
    fn new(mut policy: P, tenants: &[Tenant], loads: &[Load], late_ns: u64) -> Self {
        policy.set_tenants(0, tenants);
        let mut machine = Self {
            policy,
            loads: loads.to_vec(),
            late_ns,
            now: 0,
            seq: 0,
            tasks: Vec::new(),
            ran_ns: vec![0; loads.len()],
        };
        for (tenant, load) in loads.iter().enumerate() {
            for _ in 0..load.requests {
                machine.tasks.push((tenant as u16, 0));
                machine.arrive(TaskId(machine.tasks.len() as u32 - 1));
            }
        }
        machine
    }

    fn arrive(&mut self, id: TaskId) {
        let (tenant, left_ns) = &mut self.tasks[id.index()];
        let load = self.loads[usize::from(*tenant)];
        *left_ns = load.service_ns;
        self.seq += 1;
        let task = Task {
            id,
            seq: self.seq,
            tenant: *tenant,
            route: *tenant,
            arrival_ns: self.now,
            deadline_ns: self.now + load.deadline_ns,
            expected_ns: load.service_ns,
        };
        self.policy.observe(self.now, &Event::Arrived(task));
    }

    /// One slice; gives who ran, and for how long.
    fn step(&mut self) -> (u16, u64) {
        let slice: Slice = self.policy.next(self.now).expect("there is always work");
        let (tenant, left_ns) = &mut self.tasks[slice.task.index()];
        let alarm_ns = slice
            .alarm_at_start(0)
            .map(|alarm_ns| alarm_ns + self.late_ns);
        let ran_ns = alarm_ns.map_or(*left_ns, |alarm_ns| alarm_ns.min(*left_ns));
        let tenant = *tenant;
        *left_ns -= ran_ns;
        let is_done = *left_ns == 0;
        self.now += ran_ns;
        self.ran_ns[usize::from(tenant)] += ran_ns;
        let task = slice.task;
        if is_done {
            self.policy
                .observe(self.now, &Event::Finished { task, ran_ns });
            self.arrive(task);
        } else {
            self.policy
                .observe(self.now, &Event::Preempted { task, ran_ns });
        }
        (tenant, ran_ns)
    }
}

fn params() -> Params {
    Params {
        quantum_ns: QUANTUM_NS,
        ..Params::default()
    }
}

/// Start-time fair queueing's bound: what two tenants ran, divided by their weights, differs by no more than the longest
/// slice of each, divided by its weight; at any time, however different their requests and their numbers.
#[test]
fn wfq_keeps_to_the_weights_at_all_times() {
    let weights = [1_u32, 2, 7];
    let tenants = weights.map(|weight| Tenant {
        weight,
        reservation: None,
    });
    let load = |requests, service_ns| Load {
        requests,
        service_ns,
        deadline_ns: 1,
    };
    for late_ns in [0, 7, QUANTUM_NS] {
        let policy = Wfq::new(&params());
        let loads = [load(50, 1_000_000), load(1, 60), load(3, 10)];
        let mut machine = Machine::new(policy, &tenants, &loads, late_ns);
        let longest_ns = loads.map(|load| (QUANTUM_NS + late_ns).min(load.service_ns));
        for _ in 0..100_000 {
            machine.step();
            for (a, b) in [(0, 1), (0, 2), (1, 2)] {
                // Everything times both weights, so that nothing is rounded.
                let [wa, wb] = [a, b].map(|tenant: usize| u64::from(weights[tenant]));
                let apart = (machine.ran_ns[a] * wb).abs_diff(machine.ran_ns[b] * wa);
                let bound = longest_ns[a] * wb + longest_ns[b] * wa;
                assert!(
                    apart <= bound,
                    "{a} {b}: {apart} > {bound} at {}",
                    machine.now
                );
            }
        }
        assert!(machine.ran_ns.iter().all(|ran_ns| *ran_ns > 10_000));
    }
}

/// Tenants that always have work get their budgets in every period, whatever the aggressor does and however long the
/// periods of others are;
/// nobody's debt is more than a quantum; and over n periods nobody takes more than n budgets and what is owed for one
/// slice that ended late.
#[test]
fn mtds_gives_every_tenant_its_budget_in_every_period() {
    let of = |budget_ns, period_ns| Reservation {
        budget_ns,
        period_ns,
    };
    // The second one's deadlines are the earlier: by them alone it would take the whole of the first one's period.
    for reservations in [
        [of(2_000, 10_000), of(3_000, 10_000)],
        [of(2_000, 5_000), of(5_500, 10_000)],
        [of(700, 10_000), of(2_200, 2_500)],
    ] {
        for late_ns in [0, 20, 99] {
            check_budgets(reservations, late_ns);
        }
    }
}

fn check_budgets(reservations: [Reservation; 2], late_ns: u64) {
    let tenant = |reservation| Tenant {
        weight: 1,
        reservation,
    };
    let reserved = reservations.map(Some).map(tenant);
    let tenants = [reserved[0], reserved[1], tenant(None)];
    // The last has no reservation, many requests, and the earliest deadlines.
    let load = |requests, service_ns, deadline_ns| Load {
        requests,
        service_ns,
        deadline_ns,
    };
    let loads = [
        load(2, 130, 90_000),
        load(1, 5_000, 50_000),
        load(99, 777, 1),
    ];
    let mut machine = Machine::new(Mtds::new(&params()), &tenants, &loads, late_ns);
    let mut ran_ns = [vec![0], vec![0]];
    for _ in 0..50_000 {
        let (tenant, slice_ns) = machine.step();
        for (index, reservation) in (0..).zip(reservations) {
            let end_period = (machine.now / reservation.period_ns) as usize;
            let before_ns = slice_ns.saturating_sub(machine.now % reservation.period_ns);
            let ran_ns: &mut Vec<u64> = &mut ran_ns[usize::from(index)];
            ran_ns.resize(end_period + 1, 0);
            if tenant == index {
                ran_ns[end_period] += slice_ns - before_ns;
                ran_ns[end_period.saturating_sub(1)] += before_ns;
            }
            let left_ns = machine.policy.left_ns(index).expect("a reservation");
            assert!(left_ns >= -(QUANTUM_NS as i64), "{left_ns}");
            assert!(left_ns <= reservation.budget_ns as i64);
        }
    }
    for (ran_ns, Reservation { budget_ns, .. }) in ran_ns.iter().zip(reservations) {
        let whole = ran_ns.len() - 1;
        assert!(whole > 100);
        for (period, ran_ns) in ran_ns[1..whole].iter().enumerate() {
            // The debt of the period before, and what this one owes at its end.
            let slack_ns = 2 * late_ns;
            let apart = ran_ns.abs_diff(budget_ns);
            assert!(apart <= slack_ns, "{period}: {ran_ns} of {reservations:?}");
        }
        let total_ns: u64 = ran_ns[..whole].iter().sum();
        assert!(total_ns <= whole as u64 * budget_ns + late_ns);
    }
    // The rest is the aggressor's: nothing idles.
    assert_eq!(machine.ran_ns.iter().sum::<u64>(), machine.now);
}

/// Tasks that come when they are told to, and the worker that runs them.
struct Promises {
    policy: Mtdbf,
    now: u64,
    /// By slot: what is left, and when it was promised to be done.
    tasks: Vec<(u64, u64)>,
}

impl Promises {
    fn arrive(&mut self, tenant: u16, service_ns: u64, (deadline_ns, promised_ns): (u64, u64)) {
        let task = Task {
            id: TaskId(self.tasks.len() as u32),
            seq: self.tasks.len() as u64,
            tenant,
            route: 0,
            arrival_ns: self.now,
            deadline_ns,
            expected_ns: service_ns,
        };
        self.tasks.push((service_ns, promised_ns));
        self.policy.observe(self.now, &Event::Arrived(task));
    }

    /// One quantum; whether somebody was done to whom that was promised.
    fn step(&mut self) -> bool {
        let slice = self.policy.next(self.now).expect("there is always work");
        let Slice {
            task, quantum_ns, ..
        } = slice;
        let (left_ns, promised_ns) = &mut self.tasks[task.index()];
        let ran_ns = quantum_ns.expect("it is interrupted").min(*left_ns);
        *left_ns -= ran_ns;
        self.now += ran_ns;
        if *left_ns > 0 {
            let event = Event::Preempted { task, ran_ns };
            self.policy.observe(self.now, &event);
            return false;
        }
        let event = Event::Finished { task, ran_ns };
        self.policy.observe(self.now, &event);
        assert!(
            self.now <= promised_ns.saturating_add(QUANTUM_NS),
            "{task:?} at {}",
            self.now
        );
        *promised_ns < u64::MAX
    }
}

/// The constant-bandwidth promise: what a reservation carries is done by the server deadline and one quantum, whatever
/// the others do, here with reservations for nearly the whole of the worker.
#[test]
fn mtdbf_keeps_its_promises() {
    let reserved = |(budget_ns, period_ns)| Tenant {
        weight: 1,
        reservation: Some(Reservation {
            budget_ns,
            period_ns,
        }),
    };
    let shares = [(1_000, 4_000), (3_000, 6_000), (1_000, 5_000)];
    let mut policy = Mtdbf::new(&params());
    policy.set_tenants(0, &shares.map(reserved));
    let mut worker = Promises {
        policy,
        now: 0,
        tasks: Vec::new(),
    };
    // A tenant without a reservation always has work, and is always late.
    for _ in 0..1_000 {
        worker.arrive(3, 100_000, (0, u64::MAX));
    }
    // Requests come when their tenant's bandwidth is done with the one before, and are due when it is done with them.
    let services_ns = [500, 1_300, 900];
    let mut next_ns = [0_u64; 3];
    let mut kept = 0;
    while kept < 5_000 {
        for (tenant, next_ns) in next_ns.iter_mut().enumerate() {
            if *next_ns <= worker.now {
                let (budget_ns, period_ns) = shares[tenant];
                *next_ns = worker.now + services_ns[tenant] * period_ns / budget_ns;
                worker.arrive(tenant as u16, services_ns[tenant], (*next_ns, *next_ns));
            }
        }
        kept += u32::from(worker.step());
    }
}
