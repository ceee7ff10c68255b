//! What holds on every path, to the nanosecond and without any statistics.

use std::collections::BTreeSet;

use sched::{DISPATCHERS, Dispatcher, Nanos, Params, Reservation, SCHEDULERS, Scheduler, Tenant};

use super::Row;
use super::queues::config;
use crate::sim::arrivals::{Estimate, Process};
use crate::sim::engine::{Config, Engine, Happening, Job, Request};
use crate::sim::front::{FrontConfig, Learn, Room};
use crate::sim::scenario::Scenario;
use crate::sim::source::{Open, Source};
use crate::sim::workload::Workload;

/// Looks at cases; says how many, and of each that was broken how.
pub type Cases = fn(seed: u64) -> (usize, Vec<String>);

/// A row that is to be worked out.
pub struct Check {
    pub name: &'static str,
    pub cases: Cases,
}

impl Check {
    pub fn run(&self, seed: u64) -> Row {
        let (cases, broken) = (self.cases)(seed);
        Row::exact(self.name, cases, &broken)
    }
}

/// All of them.
pub fn checks() -> Vec<Check> {
    let checks: [(&'static str, Cases); 11] = [
        (
            "one worker: unfinished work is Lindley's under every policy",
            lindley,
        ),
        ("Little's law: ∫N dt = ΣT under every policy", little),
        (
            "SRPT has finished as many as any policy at any time (Schrage 1968)",
            srpt_is_minimal,
        ),
        (
            "EDF's largest lateness is the least (Horn 1974)",
            edf_lateness,
        ),
        ("policies that are FIFO in special cases", fifo_in_disguise),
        (
            "every request ends once, all costs are charged, under tight bounds",
            ends_once,
        ),
        (
            "services do not depend on the policy nor on the load",
            common_random_numbers,
        ),
        ("a seed repeats a run", repeats),
        (
            "no worker is idle while somebody waits at the dispatcher",
            none_idle,
        ),
        (
            "stealing: no worker is idle while a request has not begun elsewhere",
            none_idle_where_workers_steal,
        ),
        (
            "every dispatcher and rule of admission: one end each, all capacity is given back",
            capacity_is_given_back,
        ),
    ];
    checks.map(|(name, cases)| Check { name, cases }).into()
}

/// The first requests of a Poisson stream that loads the workers so much.
pub fn requests(
    workload: &str,
    workers: usize,
    load: f64,
    count: u64,
    seed: u64,
    estimate: Estimate,
) -> Vec<Request> {
    let workload = Workload::parse(workload).expect("a known workload");
    let scenario = Scenario::stream(workload, Process::Poisson, Some(Nanos::MAX), estimate);
    let mut source = scenario.source(Some(load), workers, count, seed);
    (0..count).map(|_| source.take()).collect()
}

/// Poisson requests with deadlines that have nothing to do with their sizes.
pub fn with_deadlines(workers: usize, seed: u64) -> Vec<Request> {
    let mut requests = requests("tpcc", workers, 0.9, 3_000, seed, Estimate::Exact);
    for request in &mut requests {
        let arrival = &mut request.arrival;
        let allowed_ns = 1_000 * (arrival.seq.wrapping_mul(2_654_435_761) % 500);
        arrival.deadline_ns = arrival.arrival_ns + allowed_ns;
    }
    requests
}

/// Every policy, interrupting soon, late, and never.
fn configs(workers: usize) -> impl Iterator<Item = Config> {
    SCHEDULERS.iter().flat_map(move |scheduler| {
        [500, 50_000, 0].map(|quantum_ns| {
            let mut config = config(workers, scheduler.name, quantum_ns.max(1));
            config.params.preemption = quantum_ns > 0;
            config
        })
    })
}

fn called(config: &Config) -> String {
    let Params {
        quantum_ns,
        preemption,
        ..
    } = config.params;
    let workers = config.workers;
    let name = config.scheduler.name;
    format!("{name}, quantum {quantum_ns} ns, preemption {preemption}, {workers} workers")
}

/// Runs to the end; what finished, in that order, with the time.
pub fn run(config: &Config, requests: Vec<Request>) -> Vec<(Nanos, Job)> {
    let count = requests.len() as u64;
    let costs = config.costs;
    let mut engine = Engine::new(config.clone(), Open::new(requests.into_iter()));
    let mut finished = Vec::new();
    while let Some(happening) = engine.step() {
        if let Happening::Finished { job, .. } = happening {
            finished.push((engine.now(), job));
        }
    }
    engine.totals().audit(count, &costs);
    finished
}

/// On one worker without overhead the unfinished work follows Lindley's recursion, whatever the policy.
fn lindley(seed: u64) -> (usize, Vec<String>) {
    let requests = with_deadlines(1, seed);
    let mut expected = Vec::new();
    let (mut work_ns, mut last_ns) = (0_u64, 0);
    for request in &requests {
        let now = request.arrival.arrival_ns;
        work_ns = work_ns.saturating_sub(now - last_ns) + request.service_ns;
        last_ns = now;
        expected.push((now, work_ns));
    }
    each_config(1, |config| {
        let mut engine = Engine::new(config.clone(), Open::new(requests.iter().copied()));
        let mut seen = Vec::new();
        while let Some(happening) = engine.step() {
            if matches!(happening, Happening::Delivered { .. }) {
                seen.push((engine.now(), engine.unfinished_ns()));
            }
        }
        seen == expected
    })
}

/// The right side is measured here, the left by the engine.
fn little(seed: u64) -> (usize, Vec<String>) {
    let mut cases = 0;
    let mut broken = Vec::new();
    for workers in [1, 4] {
        let (more, bad) = each_config(workers, |config| {
            let requests = with_deadlines(workers, seed).into_iter();
            let mut engine = Engine::new(config.clone(), Open::new(requests));
            let mut sojourns_ns = 0;
            while let Some(happening) = engine.step() {
                if let Happening::Finished { job, .. } = happening {
                    sojourns_ns += u128::from(engine.now() - job.request.arrival.arrival_ns);
                }
            }
            engine.totals().present_ns == sojourns_ns
        });
        cases += more;
        broken.extend(bad);
    }
    (cases, broken)
}

/// As all see the same arrivals, it has the fewest present at any time if its kth end comes before anybody's kth end.
fn srpt_is_minimal(seed: u64) -> (usize, Vec<String>) {
    let requests = requests("tpcc", 1, 0.9, 3_000, seed, Estimate::Exact);
    let ends = |config: &Config| -> Vec<Nanos> {
        let finished = run(config, requests.clone());
        finished.into_iter().map(|(now, _)| now).collect()
    };
    let least = ends(&config(1, "srpt", 1));
    let mut apart = 0;
    let (cases, mut broken) = each_config(1, |config| {
        let other = ends(config);
        apart += usize::from(other != least);
        least.iter().zip(&other).all(|(srpt, other)| srpt <= other)
    });
    if apart == 0 {
        broken.push("no policy differs from it".into());
    }
    (cases, broken)
}

fn edf_lateness(seed: u64) -> (usize, Vec<String>) {
    let (mut cases, mut broken, mut apart) = (0, Vec::new(), 0);
    for stream in 0..4 {
        let requests = with_deadlines(1, seed.wrapping_add(stream));
        let lateness = |config: &Config| {
            let finished = run(config, requests.clone());
            let late = finished
                .iter()
                .map(|(now, job)| *now as i64 - job.request.arrival.deadline_ns as i64);
            late.max().unwrap_or(i64::MIN)
        };
        let least = lateness(&config(1, "edf", 1));
        let (more, bad) = each_config(1, |config| {
            let other = lateness(config);
            apart += usize::from(other > least);
            other >= least
        });
        cases += more;
        broken.extend(bad);
    }
    if apart == 0 {
        broken.push("no policy is worse".into());
    }
    (cases, broken)
}

/// Equal sizes, equal deadlines, an endless quantum, nobody with a reservation.
fn fifo_in_disguise(seed: u64) -> (usize, Vec<String>) {
    let mut broken = Vec::new();
    let mut cases = 0;
    for workers in [1, 4] {
        let mut equal = requests("fixed-10", workers, 0.9, 3_000, seed, Estimate::Exact);
        for request in &mut equal {
            request.arrival.deadline_ns = request.arrival.arrival_ns + 90_000;
        }
        let mut sizes = requests("tpcc", workers, 0.9, 3_000, seed, Estimate::Exact);
        for request in &mut sizes {
            request.arrival.deadline_ns = request.arrival.arrival_ns + 90_000;
        }
        let any = with_deadlines(workers, seed);
        let rows = [
            ("edf", 1, &sizes, "fifo"),
            ("sjf", 1, &equal, "fifo"),
            ("srpt", 1, &equal, "fifo"),
            ("llf", 1, &equal, "fifo"),
            ("darc", 1, &equal, "fifo"),
            ("fifo-preemptive", 500, &any, "fifo"),
            ("rr", 1_000_000, &any, "fifo"),
            ("wfq", 1_000_000, &any, "fifo"),
            ("mtds", 500, &any, "edf"),
            ("mtdbf", 500, &any, "edf"),
        ];
        let known = rows
            .into_iter()
            .filter(|row| Scheduler::from_name(row.0).is_ok());
        for (name, quantum_ns, requests, like) in known {
            cases += 1;
            let disguised = run(&config(workers, name, quantum_ns), requests.clone());
            if disguised != run(&config(workers, like, quantum_ns), requests.clone()) {
                broken.push(format!("{name} is not {like} on {workers} workers"));
            }
        }
    }
    (cases, broken)
}

fn ends_once(seed: u64) -> (usize, Vec<String>) {
    let requests = with_deadlines(3, seed);
    each_config(3, |config| {
        let mut config = config.clone();
        config.costs.dispatch_ns = 300;
        config.costs.start_ns = 2_000;
        config.costs.preempt_ns = 900;
        config.costs.timer_jitter_ns = 100;
        config.tasks_max = 3;
        config.backlog_max = 2;
        let mut open: BTreeSet<u64> = (0..requests.len() as u64).collect();
        let mut engine = Engine::new(config.clone(), Open::new(requests.iter().copied()));
        let (mut delivered, mut held, mut fine) = (BTreeSet::new(), 0, true);
        while let Some(happening) = engine.step() {
            match happening {
                Happening::Delivered { request, .. } => {
                    fine &= delivered.insert(request.arrival.seq);
                }
                Happening::Held { .. } => held += 1,
                Happening::Refused { request } => fine &= open.remove(&request.arrival.seq),
                Happening::Finished { job, .. } => {
                    let seq = job.request.arrival.seq;
                    fine &= delivered.contains(&seq) && open.remove(&seq);
                }
                _ => {}
            }
        }
        engine.totals().audit(requests.len() as u64, &config.costs);
        // The bounds were tried.
        fine && open.is_empty() && engine.totals().refused > 0 && held > 0
    })
}

/// The streams of arrivals and services are apart.
fn common_random_numbers(seed: u64) -> (usize, Vec<String>) {
    let sizes = |load: f64| -> Vec<(u16, Nanos)> {
        let requests = requests("wasm-edge", 3, load, 5_000, seed, Estimate::Mean);
        let size = |request: &Request| (request.arrival.route, request.service_ns);
        requests.iter().map(size).collect()
    };
    let low = sizes(0.2);
    let loads = [0.5, 0.9, 1.5];
    let broken = loads.into_iter().filter(|&load| sizes(load) != low);
    let broken: Vec<String> = broken.map(|load| format!("at load {load}")).collect();
    (loads.len(), broken)
}

fn repeats(seed: u64) -> (usize, Vec<String>) {
    let jittered = |config: &Config| {
        let mut config = config.clone();
        config.costs.timer_jitter_ns = 2_000;
        run(&config, with_deadlines(4, seed))
    };
    each_config(4, |config| jittered(config) == jittered(config))
}

/// With a central queue, an idle worker and a waiting request never meet.
fn none_idle(seed: u64) -> (usize, Vec<String>) {
    each_config(3, |config| {
        let mut config = config.clone();
        config.tasks_max = 1;
        config.backlog_max = usize::MAX;
        let requests = with_deadlines(3, seed).into_iter();
        let mut engine = Engine::new(config, Open::new(requests));
        let (mut waiting, mut fine, mut waited) = (0_u64, true, false);
        let mut last_ns = 0;
        while let Some(happening) = engine.step() {
            // Between two moments; what happens at one is in no order of importance.
            if engine.now() > last_ns {
                waited |= waiting > 0;
                last_ns = engine.now();
            }
            match happening {
                Happening::Held { .. } => waiting += 1,
                Happening::Delivered { request, .. } => {
                    waiting -= u64::from(request.arrival.arrival_ns < engine.now());
                }
                _ => {}
            }
            let present = engine.totals().present;
            fine &= waiting == 0 || present >= 2;
        }
        fine && waited
    })
}

fn none_idle_where_workers_steal(seed: u64) -> (usize, Vec<String>) {
    each_config(4, |config| {
        let mut config = config.clone();
        config.dispatcher = Dispatcher::from_name("steal").expect("a known name");
        let requests = with_deadlines(4, seed).into_iter();
        let mut engine = Engine::new(config, Open::new(requests));
        let mut fine = true;
        while engine.step().is_some() {
            let idle = engine.loads().iter().any(|load| load.outstanding == 0);
            fine &= !idle || engine.loads().iter().all(|load| load.queued == 0);
        }
        fine && engine.totals().stolen > 0
    })
}

/// The tenant of each request is its class here, and some have a reservation.
fn capacity_is_given_back(seed: u64) -> (usize, Vec<String>) {
    let rooms = ["none", "utilisation:10", "demand:10", "delay:20:100"];
    let (mut cases, mut broken) = (0, Vec::new());
    for dispatcher in DISPATCHERS {
        for (room, budgets) in rooms
            .into_iter()
            .flat_map(|room| [(room, false), (room, true)])
        {
            let mut config = config(3, "rr", 5_000);
            config.dispatcher = dispatcher;
            config.backlog_max = 10;
            config.tasks_max = 20;
            config.front = FrontConfig {
                room: Room::parse(room).expect("a rule"),
                budgets,
                learn: Some(Learn::Window(90)),
            };
            config.tenants = vec![
                Tenant {
                    reservation: Some(Reservation {
                        budget_ns: 500_000,
                        period_ns: 1_000_000,
                    }),
                    ..Tenant::default()
                };
                2
            ];
            let mut requests = requests("tpcc", 3, 1.5, 3_000, seed, Estimate::Unknown);
            for request in &mut requests {
                request.arrival.tenant = request.arrival.route;
                request.arrival.deadline_ns = request.arrival.arrival_ns + 200_000;
            }
            let mut engine = Engine::new(config.clone(), Open::new(requests.into_iter()));
            while engine.step().is_some() {}
            engine.totals().audit(3_000, &config.costs);
            cases += 1;
            if !engine.is_front_idle() || engine.loads().iter().any(|load| load.work_ns > 0) {
                broken.push(format!("{}, {room}, budgets {budgets}", dispatcher.name));
            }
        }
    }
    (cases, broken)
}

fn each_config(workers: usize, mut holds: impl FnMut(&Config) -> bool) -> (usize, Vec<String>) {
    let mut cases = 0;
    let mut broken = Vec::new();
    for config in configs(workers) {
        cases += 1;
        if !holds(&config) {
            broken.push(called(&config));
        }
    }
    (cases, broken)
}
