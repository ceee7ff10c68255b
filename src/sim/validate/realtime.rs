//! Deadlines that can be met are met, and reservations are kept: the theory of real-time systems, on every path.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use sched::{Nanos, Reservation, Tenant};

use super::exact::{Cases, Check, run};
use super::queues::config;
use super::theory;
use crate::sim::engine::Request;
use crate::worker::Arrival;

/// All of them.
pub fn checks() -> Vec<Check> {
    let checks: [(&'static str, Cases); 4] = [
        (
            "EDF meets all deadlines up to a utilisation of 1, and not beyond (Liu & Layland 1973)",
            full_utilisation,
        ),
        (
            "EDF meets all deadlines exactly if the demand bound says so (Baruah et al. 1990)",
            demand_bound,
        ),
        (
            "a deferrable server takes at most C(1+⌈(t−C)/T⌉) in any t, and takes 2C in a row",
            deferrable_demand,
        ),
        (
            "a reservation supplies at least (C/T)(t−2(T−C)) in any t (Shin & Lee 2003)",
            guaranteed_supply,
        ),
    ];
    checks.map(|(name, cases)| Check { name, cases }).into()
}

/// A periodic task: execution, period, relative deadline.
#[derive(Clone, Copy, Debug)]
struct Task {
    execution: u64,
    period: u64,
    deadline: u64,
}

/// The requests of tasks that all begin at 0, up to this time, by arrival.
fn periodic(tasks: &[Task], until: u64) -> Vec<Request> {
    let mut requests = Vec::new();
    for task in tasks {
        for k in 0..until.div_ceil(task.period) {
            let [at, execution, due] = [
                k * task.period,
                task.execution,
                k * task.period + task.deadline,
            ]
            .map(|ticks| ticks * TICK_NS);
            requests.push(request(0, at, execution, due));
        }
    }
    numbered(requests)
}

fn request(tenant: u16, arrival_ns: Nanos, service_ns: Nanos, deadline_ns: Nanos) -> Request {
    let arrival = Arrival {
        seq: 0,
        tenant,
        route: tenant,
        arrival_ns,
        deadline_ns,
        expected_ns: service_ns,
    };
    Request {
        arrival,
        service_ns,
    }
}

fn numbered(mut requests: Vec<Request>) -> Vec<Request> {
    requests.sort_by_key(|request| request.arrival.arrival_ns);
    for (request, seq) in requests.iter_mut().zip(0..) {
        request.arrival.seq = seq;
    }
    requests
}

/// The unit of the tasks' times. Nobody is interrupted in its first nanosecond, so what happens is off by a few of
/// them; who is really late is so by a unit.
const TICK_NS: Nanos = 10_000;

/// Whether somebody is late.
fn is_late(scheduler: &str, requests: Vec<Request>) -> bool {
    let finished = run(&config(1, scheduler, 1), requests);
    finished
        .iter()
        .any(|(now, job)| *now > job.request.arrival.deadline_ns + TICK_NS / 2)
}

fn full_utilisation(_: u64) -> (usize, Vec<String>) {
    let sets: [&[(u64, u64)]; 4] = [
        &[(1, 2), (1, 3), (1, 6)],
        &[(2, 5), (3, 10), (3, 10)],
        &[(25, 50), (30, 75), (10, 100)],
        &[(1, 4), (1, 4), (3, 12), (5, 20)],
    ];
    let mut broken = Vec::new();
    for set in sets {
        let tasks: Vec<Task> = set
            .iter()
            .map(|&(execution, period)| task(execution, period, period))
            .collect();
        // All periods divide 300 or 60.
        if is_late("edf", periodic(&tasks, 600)) {
            broken.push(format!("{set:?} is late"));
        }
        // A little more is too much in the long run.
        let mut more = tasks;
        more.push(task(1, 500, 500));
        if !is_late("edf", periodic(&more, 3_000)) {
            broken.push(format!("{set:?} and a little more is not late"));
        }
    }
    if !is_late("fifo", periodic(&[task(1, 2, 2), task(5, 10, 10)], 100)) {
        broken.push("FIFO does what EDF does".into());
    }
    (2 * sets.len() + 1, broken)
}

const fn task(execution: u64, period: u64, deadline: u64) -> Task {
    Task {
        execution,
        period,
        deadline,
    }
}

/// Tasks that begin together meet their deadlines if and only if for all t the work that comes and is due within t is
/// at most t.
fn demand_bound(seed: u64) -> (usize, Vec<String>) {
    const SETS: usize = 200;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let periods = [4, 5, 6, 8, 10, 12, 20, 24];
    let (mut broken, mut fitting) = (Vec::new(), 0);
    for _ in 0..SETS {
        let tasks: Vec<Task> = (0..3)
            .map(|_| {
                let period = periods[random.random_range(0..periods.len())];
                let execution = random.random_range(1..=period / 2);
                task(execution, period, random.random_range(execution..=period))
            })
            .collect();
        let demand = |t: u64| -> u64 {
            let due = tasks.iter().filter(|task| task.deadline <= t);
            due.map(|task| ((t - task.deadline) / task.period + 1) * task.execution)
                .sum()
        };
        // All periods divide 120; a demand that stays below the time for so long does so for ever.
        let fits = (1..=240).all(|t| demand(t) <= t);
        fitting += usize::from(fits);
        if is_late("edf", periodic(&tasks, 240)) == fits {
            broken.push(format!("{tasks:?}"));
        }
    }
    if fitting == 0 || fitting == SETS {
        broken.push("all sets are alike".into());
    }
    (SETS, broken)
}

/// Execution of one request, and the quantum.
const UNIT_NS: Nanos = 10_000;
const BUDGET_NS: Nanos = 300_000;
const PERIOD_NS: Nanos = 1_000_000;
const PERIODS: u64 = 20;

/// When the requests of a tenant with a reservation end, one after the other, under `mtds` and beside another tenant who
/// always has work, all of it more pressing. `bursts` are times and numbers of requests.
fn reserved_ends(bursts: &[(Nanos, u64)]) -> Vec<Nanos> {
    let mut requests = Vec::new();
    for &(at_ns, count) in bursts {
        requests.extend((0..count).map(|_| request(0, at_ns, UNIT_NS, u64::MAX)));
    }
    let other = PERIODS * PERIOD_NS / UNIT_NS;
    requests.extend((0..other).map(|_| request(1, 0, UNIT_NS, 1)));
    let mut config = config(1, "mtds", UNIT_NS);
    config.tenants = vec![
        Tenant {
            reservation: Some(Reservation {
                budget_ns: BUDGET_NS,
                period_ns: PERIOD_NS,
            }),
            ..Tenant::default()
        },
        Tenant::default(),
    ];
    let finished = run(&config, numbered(requests));
    let others_end_ns = finished
        .iter()
        .filter(|(_, job)| job.request.arrival.tenant == 1)
        .map(|(now, _)| *now)
        .max();
    // Afterwards nobody competes.
    let until_ns = others_end_ns.unwrap_or(0);
    let own = finished
        .iter()
        .filter(|(_, job)| job.request.arrival.tenant == 0);
    own.map(|&(now, _)| now)
        .filter(|&now| now < until_ns)
        .collect()
}

fn always_backlogged() -> Vec<Nanos> {
    reserved_ends(&[(0, PERIODS * PERIOD_NS / UNIT_NS)])
}

/// Looks at the window between any two ends: its length, and the work done in it.
fn windows(ends_ns: &[Nanos], mut holds: impl FnMut(f64, f64) -> bool) -> (usize, Vec<String>) {
    let (mut cases, mut broken) = (0, Vec::new());
    for (i, &from_ns) in ends_ns.iter().enumerate() {
        for (units, &to_ns) in (1..).zip(&ends_ns[i + 1..]) {
            let (length_ns, work_ns) = ((to_ns - from_ns) as f64, (units * UNIT_NS) as f64);
            cases += 1;
            if !holds(length_ns, work_ns) {
                broken.push(format!("{work_ns} ns of work in {length_ns} ns"));
            }
        }
    }
    (cases, broken)
}

fn deferrable_demand(_: u64) -> (usize, Vec<String>) {
    // Half of it at the end of each other period, so that a budget follows on a budget.
    let burst = 2 * BUDGET_NS / UNIT_NS;
    let bursts: Vec<(Nanos, u64)> = (1..PERIODS / 2)
        .map(|k| (2 * k * PERIOD_NS - BUDGET_NS, burst))
        .collect();
    let (mut cases, mut broken) = (0, Vec::new());
    let mut in_a_row = false;
    for ends_ns in [always_backlogged(), reserved_ends(&bursts)] {
        let (more, bad) = windows(&ends_ns, |length_ns, work_ns| {
            // But for what the other one's slice took of the first budget, and the request that the window begins with.
            in_a_row |=
                length_ns <= work_ns && work_ns + (3 * UNIT_NS) as f64 >= (2 * BUDGET_NS) as f64;
            // A slice ends late by at most a quantum, and the window holds whole requests.
            let slack_ns = UNIT_NS as f64;
            work_ns
                <= theory::deferrable_demand(BUDGET_NS as f64, PERIOD_NS as f64, length_ns)
                    + slack_ns
        });
        cases += more;
        broken.extend(bad);
    }
    if !in_a_row {
        broken.push("no budget follows on a budget".into());
    }
    (cases, broken)
}

fn guaranteed_supply(_: u64) -> (usize, Vec<String>) {
    let ends_ns = always_backlogged();
    let (cases, mut broken) = windows(&ends_ns, |length_ns, work_ns| {
        let supply_ns = theory::guaranteed_supply(BUDGET_NS as f64, PERIOD_NS as f64, length_ns);
        // The window ends with a request, so what came before it is one less; and a slice of others may end late.
        work_ns + UNIT_NS as f64 >= supply_ns
    });
    let own_ns = ends_ns.len() as u64 * UNIT_NS;
    let owed_ns = PERIODS * BUDGET_NS;
    if own_ns < owed_ns / 10 * 9 || own_ns > owed_ns * 2 {
        broken.push(format!("{own_ns} ns in all, {owed_ns} ns owed"));
    }
    (cases, broken)
}
