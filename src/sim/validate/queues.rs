//! The queues of the literature, as the simulator has them, each with what theory says of it.

use sched::{DISPATCHERS, DispatchParams, Dispatcher, Nanos, Params, Scheduler};

use super::experiment::{Claim, Experiment, Seen, Statistic};
use super::golden::atoms;
use super::theory;
use crate::sim::arrivals::{Estimate, Process, modulated_rates};
use crate::sim::engine::{Config, Costs};
use crate::sim::front::FrontConfig;
use crate::sim::scenario::Scenario;
use crate::sim::stalls::Stalls;
use crate::sim::workload::Workload;

/// Priorities by deadline: a class's deadline lies so far behind that of the class before that no time between two
/// arrivals makes up for it.
const RANK_NS: Nanos = 1_000_000_000_000_000;

/// All of them.
pub fn experiments() -> Vec<Experiment> {
    let groups = [
        mm1(),
        mmc(),
        mg1_fifo(),
        processor_sharing(),
        priorities(),
        by_size(),
        overheads(),
        refusals(),
        other_arrivals(),
        dispatchers(),
    ];
    groups.into_iter().flatten().collect()
}

/// No overhead, no bound that is ever reached.
pub fn config(workers: usize, scheduler: &str, quantum_ns: Nanos) -> Config {
    Config {
        workers,
        scheduler: Scheduler::from_name(scheduler).expect("a known name"),
        params: Params {
            quantum_ns,
            preemption: true,
            ..Params::default()
        },
        costs: Costs::default(),
        stalls: Stalls::default(),
        listener_stalls: Stalls::default(),
        dispatcher: &DISPATCHERS[0],
        dispatch_params: DispatchParams::default(),
        front: FrontConfig::default(),
        tenants: Vec::new(),
        tasks_max: 1 << 30,
        backlog_max: 0,
    }
}

/// One queue for all workers: each takes one request, the rest wait at the dispatcher.
fn central(workers: usize) -> Config {
    let mut config = config(workers, "fifo", 1);
    config.tasks_max = 1;
    config.backlog_max = usize::MAX;
    config
}

fn scenario(workload: &str, estimate: Estimate) -> Scenario {
    let workload = Workload::parse(workload).expect("a known workload");
    Scenario::stream(workload, Process::Poisson, Some(Nanos::MAX), estimate)
}

fn experiment(
    name: impl Into<String>,
    config: Config,
    workload: &str,
    load: f64,
    requests: u64,
) -> Experiment {
    Experiment {
        name: name.into(),
        config,
        scenario: scenario(workload, Estimate::Mean),
        load: Some(load),
        requests,
        claims: Vec::new(),
    }
}

impl Experiment {
    fn claim(
        mut self,
        name: impl Into<String>,
        theory: f64,
        statistic: impl Fn(&Seen) -> Option<f64> + Sync + 'static,
    ) -> Self {
        self.claims.push(Claim {
            name: name.into(),
            theory,
            bias: 0.0,
            statistic: Statistic::PerRequest(Box::new(statistic)),
        });
        self
    }

    fn claim_sojourn(self, theory: f64) -> Self {
        self.claim("E[T], µs", theory, |seen| Some(seen.sojourn_us))
    }

    /// By class, in the order of the workload.
    fn claim_sojourn_of(self, class: u16, theory: f64) -> Self {
        let name = format!("E[T] of class {}, µs", class + 1);
        self.claim(name, theory, move |seen| {
            (seen.class == class).then_some(seen.sojourn_us)
        })
    }

    fn biased(mut self, bias: f64) -> Self {
        self.claims.iter_mut().for_each(|claim| claim.bias = bias);
        self
    }
}

fn part(of: bool) -> Option<f64> {
    Some(f64::from(u8::from(of)))
}

/// For exponential services every policy that does not look at sizes has the same mean.
fn mm1() -> Vec<Experiment> {
    let blind = [
        ("fifo", 1),
        ("rr", 2_000),
        ("edf", 1),
        ("fifo-preemptive", 1_000),
        ("wfq", 2_000),
        ("mlfq", 5_000),
    ];
    let each = blind
        .into_iter()
        .filter(|&(name, _)| Scheduler::from_name(name).is_ok());
    let mut all: Vec<Experiment> = each
        .map(|(scheduler, quantum_ns)| {
            let config = config(1, scheduler, quantum_ns);
            let name = format!("M/M/1 at 0.8, {scheduler}");
            experiment(name, config, "exp-10", 0.8, 60_000)
                .claim_sojourn(theory::mm1_sojourn(0.8, 10.0))
        })
        .collect();
    // Under FIFO the sojourn is exponential. The tail of a correlated sample is noisy, so it is looked at under a lower
    // load.
    for (load, quantiles) in [(0.8, &[0.5][..]), (0.5, &[0.5, 0.9, 0.97])] {
        let name = format!("M/M/1 at {load}, fifo");
        let mut one = experiment(name, config(1, "fifo", 1), "exp-10", load, 60_000);
        for &q in quantiles {
            let limit_us = theory::mm1_quantile(load, 10.0, q);
            let name = format!("P(T > its {q} quantile)");
            one = one.claim(name, 1.0 - q, move |seen| part(seen.sojourn_us > limit_us));
        }
        all.push(one);
    }
    all
}

fn mmc() -> Vec<Experiment> {
    let rows = [(1, 0.8), (2, 0.8), (4, 0.8), (8, 0.8), (16, 0.8), (4, 0.5)];
    let each = rows.map(|(servers, load): (u32, f64)| {
        let wait_us = theory::mmc_wait(servers, load, 10.0);
        let limit_us = 10.0 / (f64::from(servers) * (1.0 - load));
        let beyond = theory::mmc_wait_beyond(servers, load, 10.0, limit_us);
        let name = format!("M/M/{servers} at {load}");
        experiment(name, central(servers as usize), "exp-10", load, 80_000)
            .claim("E[W], µs", wait_us, |seen| Some(seen.wait_us))
            .claim("P(W > 0)", theory::erlang_c(servers, load), |seen| {
                part(seen.wait_us > 0.0)
            })
            .claim("P(W > 1/(cμ−λ))", beyond, move |seen| {
                part(seen.wait_us > limit_us)
            })
    });
    each.into()
}

fn mg1_fifo() -> Vec<Experiment> {
    let rows = [
        ("fixed-1", 0.8),
        ("bimodal-1", 0.8),
        ("high-bimodal", 0.8),
        ("disp-1", 0.8),
        ("tpcc", 0.8),
        ("lognormal", 0.7),
        ("pareto:1.5:10:300", 0.6),
        ("mix:80:exp:5,20:lognormal:40:0.5", 0.7),
    ];
    let each = rows.map(|(workload, load)| {
        let law = Workload::parse(workload).expect("a known workload");
        let (mean_us, second_us2) = (law.mean_ns() / 1e3, law.second_moment() / 1e6);
        let wait_us = theory::pollaczek_khinchine(load, mean_us, second_us2);
        let name = format!("M/G/1 at {load}, fifo, {workload}");
        experiment(name, config(1, "fifo", 1), workload, load, 60_000).claim(
            "E[W], µs",
            wait_us,
            |seen| Some(seen.wait_us),
        )
    });
    each.into()
}

/// Processor sharing is insensitive to all but the mean. Round robin comes near with a short quantum.
fn processor_sharing() -> Vec<Experiment> {
    const BIAS: f64 = 0.03;
    let sojourn_us = |x: f64| theory::processor_sharing(0.7, x);
    let classes = experiment(
        "M/G/1-PS at 0.7, disp-1",
        config(1, "rr", 100),
        "disp-1",
        0.7,
        20_000,
    )
    .claim_sojourn_of(0, sojourn_us(1.0))
    .claim_sojourn_of(1, sojourn_us(10.0))
    .biased(BIAS);
    let laws = ["exp-10", "fixed-10", "mix:90:5,10:55", "lognormal"].map(|workload| {
        let name = format!("M/G/1-PS at 0.7, {workload}");
        experiment(name, config(1, "rr", 250), workload, 0.7, 20_000)
            .claim_sojourn(sojourn_us(10.0))
            .biased(BIAS)
    });
    std::iter::once(classes).chain(laws).collect()
}

/// Two or three classes, the shorter the sooner, by their deadlines under EDF.
fn priorities() -> Vec<Experiment> {
    let mut all = Vec::new();
    for workload in ["disp-1", "mix:50:1,30:4,20:10"] {
        let law = atoms(workload);
        for preemption in [true, false] {
            let kind = if preemption {
                "preemptive"
            } else {
                "non-preemptive"
            };
            let mut config = config(1, "edf", 1);
            config.params.preemption = preemption;
            let name = format!("priorities at 0.8, {kind}, {workload}");
            let mut one = experiment(name, config, workload, 0.8, 40_000);
            for (rank, class) in one.scenario.classes.iter_mut().enumerate() {
                class.deadline_ns = (rank as Nanos + 1) * RANK_NS;
            }
            for (class, &(_, x)) in law.0.iter().enumerate() {
                let theory = match preemption {
                    true => law.priority_preemptive(0.8, x),
                    false => x + law.sjf_wait(0.8, x),
                };
                one = one.claim_sojourn_of(class as u16, theory);
            }
            if !preemption {
                // Kleinrock's conservation law: Σρ_k E[W_k] = ρ E[W] of FIFO, whatever the order.
                let rate = 0.8 / law.mean();
                let work = 0.8 * theory::pollaczek_khinchine(0.8, law.mean(), law.second());
                one = one.claim("Σρ E[W], µs", work, move |seen| {
                    Some(rate * seen.service_us * seen.wait_us)
                });
            }
            all.push(one);
        }
    }
    all
}

/// Policies that are told the size.
fn by_size() -> Vec<Experiment> {
    let mut all = Vec::new();
    for scheduler in ["srpt", "sjf"] {
        for workload in ["disp-1", "bimodal-1", "high-bimodal", "tpcc"] {
            let law = atoms(workload);
            let sojourn = |x: f64| match scheduler {
                "srpt" => law.srpt(0.8, x),
                _ => x + law.sjf_wait(0.8, x),
            };
            let name = format!("M/G/1 at 0.8, {scheduler}, {workload}");
            let mut one = experiment(name, config(1, scheduler, 1), workload, 0.8, 40_000);
            one = one.claim_sojourn(law.expect(sojourn));
            for (class, &(_, x)) in law.0.iter().enumerate().filter(|_| law.0.len() == 2) {
                one = one.claim_sojourn_of(class as u16, sojourn(x));
            }
            all.push(one);
        }
    }
    let mut exponential = experiment(
        "M/M/1 at 0.8, srpt",
        config(1, "srpt", 1),
        "exp-10",
        0.8,
        60_000,
    )
    .claim_sojourn(10.0 * theory::mm1_srpt(0.8).0);
    exponential.scenario = scenario("exp-10", Estimate::Exact);
    all.push(exponential);
    all
}

/// Costs take what they should.
fn overheads() -> Vec<Experiment> {
    // In an overload a request costs its service and an interruption for each quantum that it begins but the last.
    let overload = [
        ("fixed-10", 1, 1_000, 1_000),
        ("disp-1", 1, 500, 200),
        ("disp-1", 4, 3_000, 2_400),
        ("tpcc", 2, 5_000, 2_400),
    ];
    let mut all: Vec<Experiment> = overload
        .map(|(workload, workers, quantum_ns, preempt_ns)| {
            let mut config = config(workers, "rr", quantum_ns);
            config.costs.preempt_ns = preempt_ns;
            let us = |time_ns: Nanos| time_ns as f64 / 1e3;
            let demand = atoms(workload).round_robin_demand(us(quantum_ns), us(preempt_ns));
            let name = format!(
                "overload, rr {} µs at {} µs each, {workload}",
                us(quantum_ns),
                us(preempt_ns)
            );
            let mut one = experiment(
                format!("{name}, {workers} workers"),
                config,
                workload,
                3.0,
                20_000,
            );
            one.claims.push(Claim {
                name: "λ_max, 1/µs".into(),
                theory: workers as f64 / demand,
                // The end, when the last of all are alone.
                bias: 0.01,
                statistic: Statistic::Whole(Box::new(|totals, end_ns| {
                    totals.finished as f64 / (end_ns as f64 / 1e3)
                })),
            });
            one
        })
        .into();
    all.extend([started(), listener()]);
    all
}

/// A sandbox's start makes services longer.
fn started() -> Experiment {
    let mut config = config(1, "fifo", 1);
    config.costs.start_ns = 2_000;
    let law = atoms("disp-1");
    let longer = law.longer(2.0);
    let load = 0.5 / law.mean() * longer.mean();
    let wait_us = theory::pollaczek_khinchine(load, longer.mean(), longer.second());
    let name = "M/G/1 at 0.5, sandboxes start in 2 µs, disp-1";
    experiment(name, config, "disp-1", 0.5, 60_000)
        .claim("E[W], µs", wait_us, |seen| Some(seen.wait_us))
}

/// The listener alone is M/D/1 before workers of whom one is always idle.
fn listener() -> Experiment {
    let mut config = config(64, "fifo", 1);
    config.costs.dispatch_ns = 1_000;
    let wait_us = 1.0 + theory::pollaczek_khinchine(0.7, 1.0, 1.0);
    let name = "the listener as M/D/1 at 0.7";
    experiment(name, config, "exp-10", 0.7 * 10.0 / 64.0, 60_000).claim(
        "E[T−S], µs",
        wait_us,
        |seen| Some(seen.sojourn_us - seen.service_us),
    )
}

/// Without a queue, what is refused depends on no more than the load.
fn refusals() -> Vec<Experiment> {
    let each = ["exp-10", "fixed-10", "disp-1"].map(|workload| {
        let mut config = central(4);
        config.backlog_max = 0;
        let name = format!("M/G/4/4 at 0.8, {workload}");
        experiment(name, config, workload, 0.8, 60_000).claim(
            "P(refused), Erlang B",
            theory::erlang_b(4, 3.2),
            |seen| part(seen.refused),
        )
    });
    each.into()
}

fn other_arrivals() -> Vec<Experiment> {
    let arriving = |name: &str, process: &str, load: f64, requests: u64| {
        let workload = Workload::parse("exp-10").expect("a known workload");
        let process = Process::parse(process).expect("a known process");
        let mut one = experiment(name, config(1, "fifo", 1), "exp-10", load, requests);
        one.scenario = Scenario::stream(workload, process, Some(Nanos::MAX), Estimate::Mean);
        one
    };
    let (on_us, off_us) = (100.0, 300.0);
    let (rate_on, _) = modulated_rates(0.05, f64::INFINITY, on_us, off_us);
    let (high, low) = modulated_rates(0.06, 4.0, 400.0, 800.0);
    let mut all = vec![
        arriving("D/M/1 at 0.8", "deterministic", 0.8, 60_000)
            .claim_sojourn(theory::gi_m_1(10.0, |s| {
                theory::deterministic_transform(0.08, s)
            })),
        arriving("on-off/M/1 at 0.5", "onoff:100:300", 0.5, 100_000)
            .claim_sojourn(theory::gi_m_1(10.0, |s| {
                theory::on_off_transform(rate_on, on_us, off_us, s)
            })),
        arriving("MMPP(2)/M/1 at 0.6", "mmpp:4:400:800", 0.6, 120_000)
            .claim_sojourn(theory::mmpp_m_1(10.0, [high, low], [400.0, 800.0])),
    ];
    for servers in [1, 3] {
        let mut one = arriving("closed", "closed:10:exp:40", 1.0, 60_000);
        one.name = format!("closed loop of 10, {servers} workers");
        one.load = None;
        one.config = central(servers);
        one.claims.push(Claim {
            name: "requests per µs".into(),
            theory: theory::closed_throughput(10, 40.0, servers as u32, 10.0),
            bias: 0.001,
            statistic: Statistic::Whole(Box::new(|totals, end_ns| {
                totals.finished as f64 / (end_ns as f64 / 1e3)
            })),
        });
        all.push(one);
    }
    all
}

/// Who gets what: exponential services on FIFO workers.
fn dispatchers() -> Vec<Experiment> {
    let one = |workers: usize, dispatcher: &str, load: f64| {
        let mut config = config(workers, "fifo", 1);
        config.dispatcher = Dispatcher::from_name(dispatcher).expect("a known name");
        config.dispatch_params.bound = 1;
        config.backlog_max = usize::MAX;
        let name = format!("{workers} workers at {load}, {dispatcher}");
        experiment(name, config, "exp-10", load, 60_000)
    };
    // Two that idle nobody have the mean of the single queue.
    let single = theory::mmc_wait(4, 0.8, 10.0);
    let dealt = theory::gi_m_1(10.0, |s| theory::dealt_transform(0.16, 2, s));
    let mut few_of_many = one(200, "po2", 0.8)
        .claim_sojourn(10.0 * theory::power_of_two(0.8))
        // 200 are not infinitely many.
        .biased(0.02);
    few_of_many.requests = 100_000;
    vec![
        one(4, "jbsq", 0.8).claim("E[W], µs", single, |seen| Some(seen.wait_us)),
        one(4, "steal", 0.8).claim("E[W], µs", single, |seen| Some(seen.wait_us)),
        one(2, "rr", 0.8).claim_sojourn(dealt),
        one(2, "jsq", 0.8).claim_sojourn(10.0 * theory::shortest_of_two(0.8)),
        few_of_many,
    ]
}
