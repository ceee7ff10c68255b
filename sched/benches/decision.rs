//! What one decision costs with 10,000 queued tasks: for each policy, the median and the 99th percentile of one call of
//! `next` and of the event that puts the task back. Nanoseconds of this machine, the clock's own cost taken off.
//!
//! `cargo bench -p sched --bench decision`. Says nothing about a cold cache, and judges nothing but the promised median.

use std::time::Instant;

use sched::{Event, Params, Policy, Reservation, SCHEDULERS, Slice, Task, TaskId, Tenant};

const QUEUED: u32 = 10_000;
const ROUNDS: usize = 100_000;
const MEDIAN_MAX_NS: u64 = 500;

fn main() {
    let clock_ns = median(&mut (0..ROUNDS).map(|_| timed(|| {}).1).collect::<Vec<_>>());
    println!(
        "{QUEUED} queued, clock {clock_ns} ns\n{:16} {:>8} {:>8} {:>10} {:>10}",
        "policy", "next p50", "p99", "event p50", "p99"
    );
    let mut slow = Vec::new();
    for scheduler in SCHEDULERS {
        let mut policy = (scheduler.build)(&Params::default());
        fill(&mut *policy);
        let (mut nexts, mut events) = (Vec::new(), Vec::new());
        let mut now = 1_000_000_000;
        for round in 0..2 * ROUNDS {
            let (slice, next_ns) = timed(|| policy.next(now));
            let Slice { task, .. } = slice.expect("somebody is ready");
            now += 10_000;
            let ran_ns = 10_000;
            let event = match round % 3 {
                0 => Event::Yielded { task, ran_ns },
                _ => Event::Preempted { task, ran_ns },
            };
            let ((), event_ns) = timed(|| policy.observe(now, &event));
            // The first half warms up.
            if round >= ROUNDS {
                nexts.push(next_ns.saturating_sub(clock_ns));
                events.push(event_ns.saturating_sub(clock_ns));
            }
        }
        let next_ns = median(&mut nexts);
        println!(
            "{:16} {next_ns:>8} {:>8} {:>10} {:>10}",
            scheduler.name,
            nexts[ROUNDS / 100 * 99],
            median(&mut events),
            events[ROUNDS / 100 * 99],
        );
        if next_ns > MEDIAN_MAX_NS {
            slow.push(scheduler.name);
        }
    }
    assert!(slow.is_empty(), "above {MEDIAN_MAX_NS} ns: {slow:?}");
}

fn fill(policy: &mut dyn Policy) {
    let tenant = Tenant {
        weight: 10,
        reservation: Some(Reservation {
            budget_ns: 100_000,
            period_ns: 10_000_000,
        }),
    };
    policy.set_tenants(0, &[tenant; 50]);
    for slot in 0..QUEUED {
        let scrambled = u64::from(slot).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let task = Task {
            id: TaskId(slot),
            seq: u64::from(slot),
            tenant: (scrambled % 100) as u16,
            route: 0,
            arrival_ns: 0,
            deadline_ns: 2_000_000_000 + scrambled % 1_000_000_000,
            expected_ns: 1_000 + scrambled % 10_000_000,
        };
        policy.observe(0, &Event::Arrived(task));
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let start = Instant::now();
    let result = std::hint::black_box(work());
    (result, start.elapsed().as_nanos() as u64)
}

/// Sorts.
fn median(samples_ns: &mut [u64]) -> u64 {
    samples_ns.sort_unstable();
    samples_ns[samples_ns.len() / 2]
}
