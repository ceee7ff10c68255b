//! What every policy must do, whatever its order: generated sequences of everything that can happen to tasks, checked
//! against the table of states. No task is lost, none runs twice at once, none runs when it is not ready, the processor
//! never idles while somebody is ready, and the same seed gives the same run. Then the costs of a decision, counted.

use std::collections::BTreeMap;

use sched::state::step;
use sched::{
    Arrivals, Cause, Event, Params, Policy, Reservation, SCHEDULERS, Scheduler, Slice, State, Task,
    TaskId, Tenant,
};

const SEEDS: u64 = 300;
const STEPS: u32 = 400;
const SLOTS: u32 = 12;
const TENANTS: u64 = 4;

/// A policy and what is known of its tasks from outside.
struct Model {
    policy: Box<dyn Policy + Send>,
    scheduler: &'static Scheduler,
    preemption: bool,
    random: SplitMix,
    now: u64,
    seq: u64,
    arrived: u64,
    ended: u64,
    /// Who runs, and since when.
    running: Option<(TaskId, u64)>,
    /// Its slice, and whether it was timed for somebody's sake; kept when it is preempted, until somebody is chosen.
    slice: Option<(Slice, bool)>,
    /// The living ones by slot.
    tasks: BTreeMap<TaskId, (State, Task)>,
    decisions: Vec<Option<Slice>>,
}

#[test]
fn every_policy_keeps_its_tasks() {
    for scheduler in SCHEDULERS {
        for preemption in [true, false] {
            for seed in 0..SEEDS {
                check(scheduler, preemption, seed);
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for scheduler in SCHEDULERS {
        for seed in 0..20 {
            let first = check(scheduler, true, seed);
            assert!(first == check(scheduler, true, seed), "{}", scheduler.name);
            assert!(first != check(scheduler, true, seed + 1_000));
        }
    }
}

fn check(scheduler: &'static Scheduler, preemption: bool, seed: u64) -> Vec<Option<Slice>> {
    let params = Params {
        quantum_ns: 1 + seed % 3,
        preemption,
        hysteresis_ns: seed % 4,
        levels: 1 + (seed % 4) as u32,
        boost_ns: 20 + seed % 90,
    };
    assert!(params.out_of_bounds().is_none());
    let mut model = Model {
        policy: (scheduler.build)(&params),
        scheduler,
        preemption,
        random: SplitMix(seed),
        now: 0,
        seq: 0,
        arrived: 0,
        ended: 0,
        running: None,
        slice: None,
        tasks: BTreeMap::new(),
        decisions: Vec::new(),
    };
    for step in 0..STEPS {
        // Tenants are told at the beginning or never, and sometimes again: a reload.
        if (step == 0 && !seed.is_multiple_of(5)) || model.random.below(100) == 0 {
            let tenants = tenants(model.random.below(3));
            model.policy.set_tenants(model.now, &tenants);
            model.slice = None;
        }
        model.step();
    }
    model.drain();
    assert_eq!(model.arrived, model.ended, "{} {seed}", scheduler.name);
    assert!(model.arrived > 20, "the generator is too tame");
    model.decisions
}

/// Some reservations: none, some, or all of the worker.
fn tenants(kind: u64) -> Vec<Tenant> {
    let tenant = |index: u64| Tenant {
        weight: 1 + 7 * index as u32,
        reservation: (index < 3 && kind > 0).then_some(Reservation {
            budget_ns: 1_000 * kind,
            period_ns: 3_000 * kind.pow(2) + 3_000 * (2 - kind) * index,
        }),
    };
    (0..TENANTS).map(tenant).collect()
}

impl Model {
    fn step(&mut self) {
        let before = self.now;
        self.now += self.random.below(5);
        if self.random.below(50) == 0 {
            // Far enough for budgets to be refilled and tasks to rise.
            self.now += self.random.below(4_000);
        }
        if self.running.is_none() && self.now > before {
            // Budgets may have been refilled since it was preempted.
            self.slice = None;
        }
        match self.random.below(8) {
            0 | 1 => self.arrive(),
            2 => self.wake(),
            3 if self.random.below(3) == 0 => self.cancel(),
            _ if self.running.is_some() => self.end_slice(),
            _ => self.next(),
        }
        let ready = self.count(|state| matches!(state, State::Queued | State::Ready));
        assert_eq!(self.policy.waiting(), ready, "{}", self.scheduler.name);
    }

    fn arrive(&mut self) {
        let free = (0..SLOTS)
            .map(TaskId)
            .filter(|id| !self.tasks.contains_key(id));
        let free: Vec<TaskId> = free.collect();
        let Some(id) = self.random.pick(&free) else {
            return;
        };
        self.seq += 1;
        self.arrived += 1;
        // Few different deadlines and sizes, so that there are ties, and some without.
        let deadline_ns = match self.random.below(5) {
            4 => u64::MAX,
            due => self.now / 16 * 16 + 10 * due,
        };
        let task = Task {
            id,
            seq: self.seq,
            tenant: self.random.below(TENANTS) as u16,
            route: self.random.below(3) as u16,
            arrival_ns: self.now,
            deadline_ns,
            expected_ns: 3 * self.random.below(4),
        };
        self.tasks.insert(id, (State::Queued, task));
        self.comes(&task, (self.scheduler.rank)(&task));
        self.policy.observe(self.now, &Event::Arrived(task));
    }

    fn wake(&mut self) {
        let blocked = self.those(|state| state == State::Blocked);
        if let Some(id) = self.random.pick(&blocked) {
            self.transit(id, Cause::Woken);
            let task = self.tasks[&id].1;
            let rank = self.policy.rank(id);
            self.comes(&task, rank.unwrap_or_else(|| (self.scheduler.rank)(&task)));
            self.policy.observe(self.now, &Event::Woken(id));
        }
    }

    /// The slice that runs is timed for those who are below its bar. Who ties with it may or may not go first.
    fn comes(&mut self, task: &Task, rank: u64) {
        if let Some((slice, is_timed)) = &mut self.slice {
            *is_timed |= match slice.preempted_by {
                Arrivals::DeadlineBefore(bar_ns) => task.deadline_ns <= bar_ns,
                Arrivals::RankBefore(bar) => rank <= bar,
                Arrivals::Nobody => false,
                Arrivals::Anybody => true,
            };
        }
    }

    fn cancel(&mut self) {
        let any = self.those(|_| true);
        if let Some(id) = self.random.pick(&any) {
            self.transit(id, Cause::Cancelled);
            self.finish(id);
        }
    }

    fn end_slice(&mut self) {
        let (task, since_ns) = self.running.expect("checked by the caller");
        let ran_ns = self.now - since_ns;
        let (cause, event) = match self.random.below(4) {
            0 => (Cause::Blocked, Event::Blocked { task, ran_ns }),
            1 => (Cause::Yielded, Event::Yielded { task, ran_ns }),
            2 => (Cause::Preempted, Event::Preempted { task, ran_ns }),
            _ => {
                self.transit(task, Cause::Finished);
                return self.finish(task);
            }
        };
        self.transit(task, cause);
        self.running = None;
        // Who is interrupted earlier is so for other reasons, and may have lost its turn by that.
        let is_over = |slice: Slice| {
            slice
                .quantum_ns
                .is_some_and(|quantum_ns| ran_ns >= quantum_ns)
        };
        self.slice = self
            .slice
            .filter(|(slice, _)| cause == Cause::Preempted && is_over(*slice));
        if let Some((slice, is_timed)) = &mut self.slice {
            // Where anybody may interrupt, no rank is looked at.
            let by_rank = slice.preempted_by != Arrivals::Anybody;
            *is_timed |= slice.contended && (!by_rank || ran_ns >= slice.turn_ns);
        }
        self.policy.observe(self.now, &event);
    }

    fn next(&mut self) {
        let ready = self.count(|state| matches!(state, State::Queued | State::Ready));
        let decision = self.policy.next(self.now);
        self.decisions.push(decision);
        let Some(slice) = decision else {
            assert_eq!(ready, 0, "{} idles", self.scheduler.name);
            return;
        };
        self.transit(slice.task, Cause::Picked);
        self.running = Some((slice.task, self.now));
        if let Some((last, is_timed)) = self.slice.replace((slice, false)) {
            assert!(
                is_timed || slice.task == last.task,
                "{}: nobody had {last:?} timed for {:?}",
                self.scheduler.name,
                slice.task
            );
        }
        assert!(!slice.contended || ready > 1, "nobody else is here");
        assert!(slice.quantum_ns.is_none_or(|quantum_ns| quantum_ns > 0));
        if !self.preemption {
            assert_eq!(slice, Slice::to_completion(slice.task));
        }
        if let Arrivals::DeadlineBefore(limit_ns) = slice.preempted_by {
            assert_eq!(limit_ns, self.tasks[&slice.task].1.deadline_ns);
        }
    }

    /// Wakes, runs and finishes whoever is left.
    fn drain(&mut self) {
        if self.running.is_some() {
            self.end_slice();
        }
        while self.count(|state| state == State::Blocked) > 0 {
            self.wake();
        }
        while !self.tasks.is_empty() {
            self.next();
            let (task, _) = self.running.expect("somebody is ready");
            self.transit(task, Cause::Finished);
            self.finish(task);
        }
        self.next();
        assert_eq!(self.running, None);
    }

    fn finish(&mut self, task: TaskId) {
        self.tasks.remove(&task);
        self.ended += 1;
        self.slice = self.slice.filter(|(slice, _)| slice.task != task);
        let mut ran_ns = 0;
        if let Some((_, since_ns)) = self.running.take_if(|(running, _)| *running == task) {
            ran_ns = self.now - since_ns;
        }
        let event = Event::Finished { task, ran_ns };
        self.policy.observe(self.now, &event);
    }

    fn transit(&mut self, id: TaskId, cause: Cause) {
        let (state, _) = self.tasks.get_mut(&id).expect("a living task");
        *state = step(*state, cause).unwrap_or_else(|| panic!("{cause:?} while {state:?}"));
    }

    fn those(&self, which: impl Fn(State) -> bool) -> Vec<TaskId> {
        let those = self.tasks.iter().filter(|(_, (state, _))| which(*state));
        those.map(|(id, _)| *id).collect()
    }

    fn count(&self, which: impl Fn(State) -> bool) -> usize {
        self.those(which).len()
    }
}

/// A flood of short tasks of another tenant, one for each that ends, all of them more urgent in every respect: does
/// the long one that came first after the flood began get through? Just where the table says so.
#[test]
fn who_is_said_to_starve_nobody_starves_nobody() {
    for scheduler in SCHEDULERS {
        let params = Params {
            boost_ns: 10_000_000,
            ..Params::default()
        };
        let mut policy = (scheduler.build)(&params);
        let task = |seq: u64, is_short: bool| Task {
            id: TaskId(if is_short { (seq % 4) as u32 } else { 4 }),
            seq,
            tenant: u16::from(is_short),
            route: 0,
            arrival_ns: 10_000 * seq,
            deadline_ns: if is_short { 10_000 * seq } else { u64::MAX },
            expected_ns: if is_short { 10_000 } else { 2_000_000 },
        };
        policy.observe(0, &Event::Arrived(task(0, true)));
        policy.observe(0, &Event::Arrived(task(1, false)));
        policy.observe(0, &Event::Arrived(task(2, true)));
        let (mut now, mut left_ns) = (20_000, 2_000_000);
        for seq in 3..60_000 {
            let Slice {
                task: id,
                quantum_ns,
                ..
            } = policy.next(now).expect("there is always somebody");
            let is_short = id.0 < 4;
            let wants_ns = if is_short { 10_000 } else { left_ns };
            let ran_ns = quantum_ns.map_or(wants_ns, |quantum_ns| wants_ns.min(quantum_ns));
            now += ran_ns;
            if !is_short {
                left_ns -= ran_ns;
            }
            if !is_short && left_ns > 0 {
                policy.observe(now, &Event::Preempted { task: id, ran_ns });
                continue;
            }
            policy.observe(now, &Event::Finished { task: id, ran_ns });
            if left_ns == 0 {
                break;
            }
            // The slot of the one that ended, whose number is the rest of some coming arrival.
            let short = Task {
                id,
                ..task(seq, true)
            };
            policy.observe(now, &Event::Arrived(short));
        }
        assert_eq!(
            left_ns == 0,
            scheduler.starvation_free,
            "{}",
            scheduler.name
        );
    }
}

/// A policy whose tenants, most of them, have reservations.
fn with_tenants(scheduler: &Scheduler) -> Box<dyn Policy + Send> {
    let mut policy = (scheduler.build)(&Params::default());
    let reservation = Reservation {
        budget_ns: 20_000,
        period_ns: 2_000_000,
    };
    let tenant = Tenant {
        weight: 3,
        reservation: Some(reservation),
    };
    policy.set_tenants(0, &[tenant; 64]);
    policy
}

/// Puts so many tasks into the policy's queues, then lets so many turns pass, in each of which one ends, another one
/// comes, one is interrupted, and sometimes one is cancelled; then all are. `see` gets how many steps each turn took.
fn churn(policy: &mut dyn Policy, mut now: u64, ready: u32, turns: u32, mut see: impl FnMut(u64)) {
    let mut random = SplitMix(u64::from(ready));
    let mut seq = 0;
    let mut arrive = |policy: &mut dyn Policy, now: u64, id: TaskId| {
        seq += 1;
        let task = Task {
            id,
            seq,
            tenant: random.below(100) as u16,
            route: 0,
            arrival_ns: now,
            deadline_ns: now + random.below(1_000_000),
            expected_ns: random.below(500_000),
        };
        policy.observe(now, &Event::Arrived(task));
    };
    let cancelled = |task| Event::Finished { task, ran_ns: 0 };
    let ran_ns = 7_000;
    (0..ready).for_each(|slot| arrive(policy, now, TaskId(slot)));
    for turn in 0..turns {
        let before = policy.steps();
        let Slice { task, .. } = policy.next(now).expect("somebody is ready");
        now += ran_ns;
        policy.observe(now, &Event::Finished { task, ran_ns });
        arrive(policy, now, task);
        if turn % 10 == 0 {
            let other = TaskId(turn % ready);
            policy.observe(now, &cancelled(other));
            arrive(policy, now, other);
        }
        let Slice { task, .. } = policy.next(now).expect("somebody is ready");
        now += ran_ns;
        policy.observe(now, &Event::Preempted { task, ran_ns });
        see(policy.steps() - before);
    }
    (0..ready).for_each(|slot| policy.observe(now, &cancelled(TaskId(slot))));
    assert_eq!(policy.next(now), None);
}

/// A turn is six to eight operations of a policy, each of which moves entries in two heaps at most, in and out.
#[test]
fn operations_are_logarithmic() {
    const MOVES: u64 = 8 * 4;
    const TURNS: u32 = 4_000;
    for scheduler in SCHEDULERS {
        for digits in [6, 10, 14] {
            let mut policy = with_tenants(scheduler);
            let (mut worst, mut total) = (0, 0);
            churn(&mut *policy, 0, 1 << digits, TURNS, |steps| {
                worst = worst.max(steps);
                total += steps;
            });
            let at = format!("{} {digits}: {worst} at worst", scheduler.name);
            let mean = total / u64::from(TURNS);
            assert!(0 < mean && mean <= 8 * (digits + 1), "{at}, mean {mean}");
            // At worst the budgets of all 64 tenants are refilled in one turn.
            let refills = if scheduler.name == "mtds" {
                64 * 4 * 7
            } else {
                0
            };
            assert!(worst <= MOVES * (digits + 1) + refills, "{at}");
        }
    }
}

/// What has been through a load once goes through it again without an allocation.
#[test]
fn a_warm_policy_allocates_nothing() {
    for scheduler in SCHEDULERS {
        let mut policy = with_tenants(scheduler);
        let mut allocations = |now| {
            let load = || churn(&mut *policy, now, 1_000, 3_000, |_| {});
            allocation_counter::measure(load).count_total
        };
        let name = scheduler.name;
        assert!(allocations(0) > 0, "{name} is not measured");
        // By then all budgets are full again, as they were.
        assert_eq!(allocations(2_000_000_000), 0, "{name}");
    }
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

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len() as u64) as usize])
    }
}
