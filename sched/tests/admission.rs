//! Admission: the rules as tables, every way a request can end, and overload.

use std::collections::VecDeque;

use sched::admission::{
    Admission, Budgets, DemandBound, QueueDelay, Receipt, Request, Rule, Thresholds, Utilisation,
    Verdict,
};
use sched::{Reservation, SCHEDULERS, Tenant};

const NEVER: u64 = u64::MAX;

fn request(tenant: u16, expected_ns: u64, deadline_ns: u64) -> Request {
    Request {
        tenant,
        expected_ns,
        deadline_ns,
    }
}

/// Tenant 0 has 1,000 in every 10,000, tenant 1 has nothing reserved.
fn tenants() -> [Tenant; 2] {
    let reserved = Tenant {
        weight: 1,
        reservation: Some(Reservation {
            budget_ns: 1_000,
            period_ns: 10_000,
        }),
    };
    [reserved, Tenant::default()]
}

/// What is decided: taken, or refused for that long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    In,
    /// In, and guaranteed.
    Sure,
    Tenant(u64),
    Server(u64),
}
use Is::{In, Server, Sure};

/// Asks one after the other; those that are taken stay. Gives the receipts.
fn check(admission: &mut Admission, asked: &[(u64, Request, Is)]) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for (row, &(now, request, expected)) in asked.iter().enumerate() {
        let is = match admission.decide(now, &request) {
            Verdict::Admit(receipt) => {
                let is = if receipt.is_guaranteed() { Sure } else { In };
                receipts.push(receipt);
                is
            }
            Verdict::RefuseTenant { retry_after_ns } => Is::Tenant(retry_after_ns),
            Verdict::RefuseServer { retry_after_ns } => Server(retry_after_ns),
        };
        assert_eq!(is, expected, "row {row}");
    }
    receipts
}

#[test]
fn utilisation_stays_below_the_capacity() {
    let rule = |workers, reserve| {
        Admission::new(
            None,
            None,
            Rule::Utilisation(Utilisation::new(workers, reserve)),
        )
    };
    // Two workers without a fifth: 1.6. Halves are taken three times; a tenth then, and no more.
    let half = request(0, 50, 1_100);
    let mut admission = rule(2, 200);
    // 0.4 are too much, of 1.5 that hold 150 of work: after 150/2 x 0.4/1.5 = 20.
    let mut receipts = check(
        &mut admission,
        &[
            (1_000, half, In),
            (1_000, half, In),
            (1_000, half, In),
            (1_000, half, Server(20)),
            (1_000, request(0, 9, 1_100), In),
            (1_000, request(0, 2, 1_100), Server(1)),
            (1_000, request(0, 0, 1_100), In),
            (1_000, request(0, 99, NEVER), In),
        ],
    );
    // What was given back can be taken again, once.
    admission.end(2_000, receipts.remove(0), 50);
    check(
        &mut admission,
        &[(1_000, half, In), (1_000, half, Server(24))],
    );
    // However late it is, a request counts for one worker at most, and one alone is always served.
    for (now, second) in [
        (1_000, In),
        (1_099, Server(200_000)),
        (5_000, Server(200_000)),
    ] {
        let long = request(0, 1_000_000, 1_100);
        check(
            &mut rule(1, 200),
            &[(now, long, In), (now, long, Server(1_000_000))],
        );
        check(&mut rule(2, 200), &[(now, long, In), (now, half, second)]);
    }
}

#[test]
fn budgets_cap_tenants() {
    let mut admission = Admission::new(Some(Budgets::new(0, &tenants())), None, Rule::None);
    let of = |expected_ns| request(0, expected_ns, NEVER);
    let mut receipts = check(
        &mut admission,
        &[
            (0, of(600), In),
            (10, of(600), Is::Tenant(9_990)),
            (10, of(400), In),
            (10, of(0), Is::Tenant(9_990)),
            // Others are not concerned, and tenants that nobody told of neither.
            (10, request(1, 5_000, NEVER), In),
            (10, request(9, 5_000, NEVER), In),
        ],
    );
    // The first needed less than was thought, the second more: 300 back, 100 more.
    admission.end(20, receipts.remove(0), 300);
    admission.end(20, receipts.remove(0), 500);
    assert_eq!(
        admission.budgets().and_then(|budgets| budgets.left_ns(0)),
        Some(200)
    );
    let mut receipts = check(
        &mut admission,
        &[(20, of(201), Is::Tenant(9_980)), (20, of(0), In)],
    );
    // A debt of 1,400 is paid by two periods; in the third there is enough.
    admission.end(30, receipts.remove(0), 1_600);
    check(
        &mut admission,
        &[
            (30, of(0), Is::Tenant(19_970)),
            (10_000, of(0), Is::Tenant(10_000)),
            (20_000, of(601), Is::Tenant(10_000)),
            (20_000, of(600), In),
        ],
    );
    // More than a whole budget is taken of a full account, and leaves a debt.
    check(
        &mut admission,
        &[(40_000, of(2_500), In), (40_001, of(1), Is::Tenant(19_999))],
    );
}

/// Who has much to do leaves a fifth of the places, of which another one may have as much of what is left.
#[test]
fn no_tenant_gets_all_places() {
    let fresh = || Admission::new(None, Some(Thresholds::new(2, 10)), Rule::None);
    let [first, second] = [0, 1].map(|tenant| request(tenant, 0, NEVER));
    let mut admission = fresh();
    let mut asked = vec![(0, first, In); 8];
    asked.extend([(0, first, Is::Tenant(1)), (0, second, In)]);
    // One place is left, and the first has eight times as many.
    asked.extend([(0, first, Is::Tenant(1)), (0, second, In)]);
    // None is left, for nobody.
    asked.extend([(0, first, Is::Tenant(1)), (0, second, Is::Tenant(1))]);
    let mut receipts = check(&mut admission, &asked);
    // Who has less to do gets what becomes free.
    admission.end(1, receipts.remove(0), 0);
    check(
        &mut admission,
        &[(1, first, Is::Tenant(1)), (1, second, In)],
    );
    // What reservations carry is taken in any case.
    let room = Utilisation::new(1, 0);
    let demand = Rule::Demand(DemandBound::new(&tenants(), room));
    let mut by_demand = Admission::new(None, Some(Thresholds::new(2, 0)), demand);
    let promised = request(0, 100, 10_000);
    assert!(
        matches!(by_demand.decide(0, &promised), Verdict::Admit(receipt) if receipt.is_guaranteed())
    );
    // Nobody counts those of a tenant of whom nobody told.
    let unknown = request(9, 0, NEVER);
    check(&mut fresh(), &[(0, unknown, In); 50]);
}

/// Only policies that tell tenants apart need it, and only where there are some.
#[test]
fn thresholds_are_for_policies_that_know_tenants() {
    for scheduler in SCHEDULERS {
        let knows = ["wfq", "mtds", "mtdbf"].contains(&scheduler.name);
        assert_eq!(
            Thresholds::of(scheduler, 2, 10).is_some(),
            knows,
            "{}",
            scheduler.name
        );
        assert!(
            Thresholds::of(scheduler, 1, 10).is_none(),
            "{}",
            scheduler.name
        );
    }
}

#[test]
fn reservations_are_taken_and_the_rest_where_there_is_room() {
    let room = Utilisation::new(1, 500);
    let mut admission =
        Admission::new(None, None, Rule::Demand(DemandBound::new(&tenants(), room)));
    // A tenth of the server carries 10 by 100, and 10 more by 200.
    let receipts = check(
        &mut admission,
        &[
            (0, request(0, 10, 100), Sure),
            (0, request(0, 10, 150), In),
            (0, request(0, 10, 200), Sure),
            // Best effort up to a half: 0.1 + 0.0667 + 0.05 are held.
            (0, request(1, 28, 100), In),
            (0, request(1, 10, 100), Server(11)),
            // What the reservation carries is taken all the same; what it could not do in time is not.
            (0, request(0, 10, 300), Sure),
            (0, request(0, 10, 301), Server(8)),
            (0, request(0, 10, 9), Server(68)),
        ],
    );
    receipts
        .into_iter()
        .for_each(|receipt| admission.end(0, receipt, 1));
    assert!(admission.is_idle());
}

/// All that can become of a request, at random, under every rule, with and without budgets: what is held is always the
/// sum over the living, and at the end nothing is.
#[test]
fn capacity_is_always_given_back() {
    let rules: [fn() -> Rule; 4] = [
        || Rule::None,
        || Rule::Utilisation(Utilisation::new(2, 200)),
        || Rule::Delay(QueueDelay::new(20, 100)),
        || Rule::Demand(DemandBound::new(&tenants(), Utilisation::new(2, 200))),
    ];
    for rule in rules {
        for budgets in [false, true] {
            for seed in 0..200 {
                let budgets = budgets.then(|| Budgets::new(0, &tenants()));
                let thresholds = (seed % 2 == 0).then(|| Thresholds::new(2, 1_000));
                lives(Admission::new(budgets, thresholds, rule()), seed);
            }
        }
    }
}

fn lives(mut admission: Admission, seed: u64) {
    let mut random = SplitMix(seed);
    // Receipts, and for how long they have run.
    let mut living: Vec<(Receipt, u64, u64)> = Vec::new();
    let (mut taken, mut charged_ns, mut now) = (0, 0, 0);
    for _ in 0..300 {
        // Within the first period, so that nothing is refilled.
        now = (now + random.below(40)).min(9_999);
        match random.below(4) {
            0 | 1 => {
                let expected_ns = random.below(30);
                let deadline_ns = [NEVER, now + random.below(200)][random.below(2) as usize];
                let request = request(0, expected_ns, deadline_ns);
                match admission.decide(now, &request) {
                    Verdict::Admit(receipt) => {
                        taken += 1;
                        // Refused by the dispatcher after all, or alive.
                        if random.below(10) == 0 {
                            admission.end(now, receipt, 0);
                        } else {
                            living.push((receipt, expected_ns, 0));
                        }
                    }
                    Verdict::RefuseTenant { retry_after_ns } => {
                        assert!(retry_after_ns > 0 && retry_after_ns % 10_000 == 10_000 - now);
                    }
                    Verdict::RefuseServer { retry_after_ns } => assert!(retry_after_ns > 0),
                }
            }
            // It runs: for the first time, or again; twice told is once told.
            2 => {
                if let Some(at) = random.index(living.len()) {
                    let (receipt, _, ran_ns) = &mut living[at];
                    admission.started(now, receipt);
                    *ran_ns += random.below(30);
                }
            }
            // Answered, trapped, killed, cancelled: whatever it is, in whatever state.
            _ => {
                if let Some(at) = random.index(living.len()) {
                    let (receipt, _, ran_ns) = living.swap_remove(at);
                    admission.end(now, receipt, ran_ns);
                    charged_ns += ran_ns;
                }
            }
        }
        if let Some(left_ns) = admission.budgets().and_then(|budgets| budgets.left_ns(0)) {
            let expected_ns: u64 = living.iter().map(|(_, expected_ns, _)| expected_ns).sum();
            assert_eq!(
                left_ns,
                1_000 - (charged_ns + expected_ns) as i64,
                "seed {seed}"
            );
        }
    }
    assert!(taken > 10, "the generator is too tame");
    for (receipt, _, ran_ns) in living {
        admission.end(now, receipt, ran_ns);
    }
    assert!(admission.is_idle(), "seed {seed}: {admission:?}");
}

/// A worker that serves in the order of arrival, each request for 100, and requests that come every so often for
/// 1,000,000. Gives how many were refused, the waits of those who were not, and when the last one was done.
fn overload(mut admission: Admission, gap_ns: u64) -> (usize, Vec<u64>, u64) {
    let mut queue: VecDeque<(u64, Receipt)> = VecDeque::new();
    let (mut refused, mut waits_ns, mut free_ns) = (0, Vec::new(), 0);
    let mut serve =
        |admission: &mut Admission, queue: &mut VecDeque<(u64, Receipt)>, until_ns: u64| {
            while let Some((arrived_ns, mut receipt)) =
                queue.pop_front_if(|(at, _)| free_ns.max(*at) <= until_ns)
            {
                let now = free_ns.max(arrived_ns);
                admission.started(now, &mut receipt);
                waits_ns.push(now - arrived_ns);
                free_ns = now + 100;
                admission.end(now, receipt, 100);
            }
        };
    for now in (0..1_000_000).step_by(gap_ns as usize) {
        serve(&mut admission, &mut queue, now);
        match admission.decide(now, &request(0, 0, NEVER)) {
            Verdict::Admit(receipt) => queue.push_back((now, receipt)),
            Verdict::RefuseServer { .. } => refused += 1,
            Verdict::RefuseTenant { .. } => panic!("there are no budgets"),
        }
    }
    serve(&mut admission, &mut queue, NEVER);
    assert!(admission.is_idle());
    (refused, waits_ns, free_ns)
}

#[test]
fn overload_is_cut_to_the_target_and_the_worker_stays_busy() {
    let rule = || Admission::new(None, None, Rule::Delay(QueueDelay::new(2_000, 20_000)));
    // 0.8, 1.2 and ten times what the worker can do.
    for gap_ns in [125, 84, 10] {
        let (refused, waits_ns, end_ns) = overload(rule(), gap_ns);
        let served = waits_ns.len();
        let asked = 1_000_000_usize.div_ceil(gap_ns as usize);
        assert_eq!(refused + served, asked);
        if gap_ns > 100 {
            assert_eq!(refused, 0);
            continue;
        }
        assert!(served >= 9_900, "{gap_ns}: goodput {served} of 10,000");
        // Until it is recognised a queue builds up, of at most an interval's arrivals; it is gone by half of the run.
        let late = waits_ns[served / 2..]
            .iter()
            .filter(|wait_ns| **wait_ns > 2 * 2_000);
        assert_eq!(late.count(), 0, "{gap_ns}");
        assert!(
            end_ns <= 1_000_000 + 2 * 2_000,
            "{gap_ns}: the queue is gone at {end_ns}"
        );
        // Without a rule, the last one waits for nearly all that was too much.
        let (_, waits_ns, _) = overload(Admission::default(), gap_ns);
        assert!(waits_ns[waits_ns.len() - 1] > 100_000);
    }
}

/// A burst that drains is no overload.
#[test]
fn a_burst_is_not_refused() {
    let mut admission = Admission::new(None, None, Rule::Delay(QueueDelay::new(2_000, 20_000)));
    let burst = [(0, request(0, 0, NEVER), In); 150];
    let receipts = check(&mut admission, &burst);
    for (i, mut receipt) in receipts.into_iter().enumerate() {
        let now = 100 * i as u64;
        admission.started(now, &mut receipt);
        admission.end(now, receipt, 100);
        // However long a newcomer will wait, if that is not so for long.
        let newcomers = check(&mut admission, &[(now, request(0, 0, NEVER), In)]);
        for newcomer in newcomers {
            admission.end(now, newcomer, 0);
        }
    }
    assert!(admission.is_idle());
}

/// Steele, Lea & Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014).
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn index(&mut self, count: usize) -> Option<usize> {
        (count > 0).then(|| self.below(count as u64) as usize)
    }
}
