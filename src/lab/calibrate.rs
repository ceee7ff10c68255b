//! What things cost on this machine: measured on servers of the lab's, by the events that they record, so that the
//! simulator is told what is true here, and a request can be asked to take 25 µs.
//!
//! | cost | is at the median (finish and preempt: on average) |
//! | --- | --- |
//! | round | how much longer the spin function runs for each round, on a server without preemption |
//! | function | how long a function runs alone, without the start of its sandbox |
//! | start | how long a request runs that has nothing to do, among others that have |
//! | dispatch | from arrival to the first slice, on an idle worker that is awake |
//! | finish | from the end of a request to the next slice, with the next one there |
//! | preempt | from a slice that the clock has ended to the next one, and by how much more a request runs for it |
//! | lateness | how much longer than the quantum such a slice is |
//! | turnaround | from the end of a request to the next arrival from the same client |

use std::fmt::Write as _;
use std::path::Path;

use perf::story::{Stories, Story};
use sched::{Nanos, Scheduler, Tenant};
use serde::{Deserialize, Serialize};

use super::experiment::{Axis, Class, Experiment, Policy, Sender, Sweep, What};
use super::limits::QUANTUM_DEFAULT_US;
use super::live::{Live, Load};
use super::requests::{Requests, Route};
use super::seen::{self, Seen};
use crate::cli::settings::{Preemption, PreemptionTrigger};
use crate::sim::arrivals::{Estimate, Process};
use crate::sim::engine::Costs;
use crate::sim::front::Room;
use crate::sim::service::Service;
use crate::sim::stalls::Stalls;

/// Rounds of requests that run for a while: some milliseconds here, and less than that on a faster machine.
const ROUNDS: Nanos = 200_000;

/// Rounds of requests that keep a worker busy while others come.
const ROUNDS_BUSY: Nanos = 4_000;

/// Quanta that a request is as long as that is interrupted.
const QUANTA: Nanos = 20;

/// How many requests are looked at, and for how long at most.
const REQUESTS: u64 = 1_500;
const REQUESTS_LONG: u64 = 120;
const DURATION_NS: Nanos = 10_000_000_000;

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// How long a round of the spin function takes.
    pub round_ns: f64,
    /// By class of the experiment: how long its function takes; none for those that are none.
    pub functions_ns: Vec<Option<Nanos>>,
    pub turnaround_ns: Nanos,
    pub modes: Vec<Mode>,
}

/// What a way of preemption costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mode {
    /// `signal`, `epoch` or `off`.
    pub preemption: String,
    /// `timer` or `listener`.
    pub trigger: String,
    pub dispatch_ns: Nanos,
    pub start_ns: Nanos,
    pub finish_ns: Nanos,
    /// Between the two slices.
    pub preempt_ns: Nanos,
    /// By how much more the interrupted request runs, each time.
    pub inflation_ns: Nanos,
    pub lateness_ns: Nanos,
    /// How much longer code runs than without preemption: what its checks cost.
    pub stretch: f64,
    /// Of a worker's core. None before the runs: see the noise floor.
    #[serde(default)]
    pub stalls: Stalls,
    /// Of the listener's core, while it dispatches.
    #[serde(default)]
    pub listener_stalls: Stalls,
}

/// The classes of the calibration's own experiment; the functions of the other one follow.
const ZERO: u16 = 0;
const SPIN: u16 = 1;
const BUSY: u16 = 2;
const LONG: u16 = 3;
const FUNCTIONS: u16 = 4;

impl Calibration {
    /// Measures, on servers in folders below this one; `tell` is told what comes next.
    ///
    /// # Errors
    ///
    /// A server fails, or nothing can be measured.
    pub fn measure(live: &Live<'_>, folder: &Path, tell: &dyn Fn(&str)) -> Result<Self, String> {
        let own = own_experiment(live.experiment);
        let rig = Rig {
            live: Live {
                experiment: &own,
                places: live.places.clone(),
                // A service is a number of rounds here.
                rounds_per_ns: 1.0,
                cache: live.cache.clone(),
                stop: live.stop,
            },
            folder,
        };
        tell("how long requests take alone");
        let alone = rig.alone(Preemption::Off)?;
        let round_ns = alone.round_ns()?;
        if round_ns <= 0.0 {
            return Err(
                "calibration: requests with work take no longer than those without".to_owned(),
            );
        }
        let mut modes = Vec::<Mode>::new();
        for policy in &live.experiment.policies {
            let pair = (policy.preemption.to_string(), policy.trigger.to_string());
            let is_known = |mode: &Mode| (&mode.preemption, &mode.trigger) == (&pair.0, &pair.1);
            if modes.iter().any(is_known) {
                continue;
            }
            tell(&format!("what preemption costs ({}, {})", pair.0, pair.1));
            modes.push(rig.mode(policy.preemption, policy.trigger, round_ns)?);
        }
        Ok(Self {
            round_ns,
            functions_ns: alone.functions_ns(live.experiment)?,
            turnaround_ns: alone.turnaround_ns()?,
            modes,
        })
    }

    /// What a policy's server costs, for the simulator.
    pub fn mode(&self, policy: &Policy) -> Option<&Mode> {
        let pair = (policy.preemption.to_string(), policy.trigger.to_string());
        let mut modes = self.modes.iter();
        modes.find(|mode| (&mode.preemption, &mode.trigger) == (&pair.0, &pair.1))
    }
}

impl Calibration {
    /// For people.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<18} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>7}\n",
            "preemption", "dispatch", "start", "finish", "preempt", "+ within", "late", "longer"
        );
        for mode in &self.modes {
            let name = format!("{}, {}", mode.preemption, mode.trigger);
            let times_ns = [
                mode.dispatch_ns,
                mode.start_ns,
                mode.finish_ns,
                mode.preempt_ns,
                mode.inflation_ns,
                mode.lateness_ns,
            ];
            let _infallible = write!(text, "{name:<18}");
            for time_ns in times_ns {
                let _infallible = write!(text, " {:>7.2} µs", time_ns as f64 / 1e3);
            }
            let _infallible = writeln!(text, " {:>7.3}", mode.stretch);
        }
        text
    }
}

impl Mode {
    /// For requests of which it is known how long they take undisturbed.
    pub fn costs(&self) -> Costs {
        Costs {
            dispatch_ns: self.dispatch_ns,
            start_ns: self.start_ns,
            preempt_ns: self.preempt_ns + self.inflation_ns,
            finish_ns: self.finish_ns,
            // All times up to it are as likely, so that the mean is as measured.
            timer_jitter_ns: 2 * self.lateness_ns,
        }
    }

    /// For requests of which it is known how long they ran: starts and what preemption made of them are in that.
    pub fn replay_costs(&self) -> Costs {
        Costs {
            start_ns: 0,
            preempt_ns: self.preempt_ns,
            ..self.costs()
        }
    }
}

/// A policy for calibration.
fn policy(preemption: Preemption, trigger: PreemptionTrigger) -> Policy {
    Policy {
        name: "calibration".to_owned(),
        scheduler: Scheduler::from_name("rr").expect("it is in the table"),
        quantum_us: None,
        preemption,
        trigger,
        dispatcher: &sched::DISPATCHERS[0],
        dispatch_params: sched::DispatchParams::default(),
        room: Room::Always,
        caps_budgets: false,
    }
}

/// An experiment whose services are rounds, with the functions of another one.
fn own_experiment(experiment: &Experiment) -> Experiment {
    let spin = |name: &str| Class {
        name: name.to_owned(),
        share: 1.0,
        what: What::Service(Service::Fixed(1)),
        deadline_ns: None,
    };
    let mut classes: Vec<_> = ["zero", "spin", "busy", "long"].map(spin).into();
    let functions = experiment.classes.iter();
    classes.extend(
        functions
            .filter(|class| super::spec::function(&class.what).is_some())
            .cloned(),
    );
    Experiment {
        tenants: vec![Sender {
            name: String::new(),
            classes: 0..classes.len(),
            process: Process::Poisson,
            load: 1.0,
            from_ns: 0,
            until_ns: Nanos::MAX,
            owed: Tenant::default(),
        }],
        classes,
        workers: 1,
        sweep: Sweep {
            axis: Axis::Clients,
            values: vec![1.0],
        },
        estimates: Estimate::Unknown,
        warmup_percent: 0,
        ..experiment.clone()
    }
}

/// Where it is measured.
struct Rig<'e> {
    live: Live<'e>,
    folder: &'e Path,
}

/// Requests one after the other.
struct Alone {
    stories: Vec<Story>,
    routes: Vec<Route>,
}

impl Rig<'_> {
    /// Requests of these classes, as so many rounds, from so many clients.
    fn run(
        &self,
        (preemption, trigger): (Preemption, PreemptionTrigger),
        name: &str,
        asked: &[(u16, Nanos)],
        clients: usize,
        requests_max: u64,
    ) -> Result<Alone, String> {
        let route = |&(class, rounds): &(u16, Nanos)| Route {
            class,
            sender: 0,
            service_ns: rounds,
            deadline_ns: Nanos::MAX,
            expected_ns: 0,
        };
        let requests = Requests {
            routes: asked.iter().map(route).collect(),
            open: Vec::new(),
        };
        let load = Load {
            queries: requests
                .routes
                .iter()
                .map(|route| self.live.query(route))
                .collect(),
            weights: vec![1.0; requests.routes.len()],
            requests: &requests,
            clients: Some(clients),
            requests_max,
            duration_ns: DURATION_NS,
            seed: 1,
        };
        let folder = self.folder.join(format!("{preemption}-{trigger}-{name}"));
        let policy = policy(preemption, trigger);
        let ran = self.live.run(&policy, QUANTUM_DEFAULT_US, &load, &folder)?;
        if !ran.report.is_right() {
            return Err(format!(
                "calibration: not every request was answered rightly; see {} and server.log there",
                folder.join(super::live::LOAD).display()
            ));
        }
        let mut stories = Stories::of(ran.chunks).whole;
        stories.retain(Story::is_finished);
        Ok(Alone {
            stories,
            routes: requests.routes,
        })
    }

    fn alone(&self, preemption: Preemption) -> Result<Alone, String> {
        let functions = FUNCTIONS..self.live.experiment.classes.len() as u16;
        let mut asked = vec![(ZERO, 0), (SPIN, ROUNDS)];
        asked.extend(functions.map(|class| (class, 0)));
        let mode = (preemption, PreemptionTrigger::Timer);
        self.run(mode, "alone", &asked, 1, REQUESTS)
    }

    fn mode(
        &self,
        preemption: Preemption,
        trigger: PreemptionTrigger,
        round_ns: f64,
    ) -> Result<Mode, String> {
        let alone = self.alone(preemption)?;
        let own_round_ns = alone.round_ns()?;
        let busy = self.run(
            (preemption, trigger),
            "busy",
            &[(BUSY, ROUNDS_BUSY), (ZERO, 0)],
            4,
            REQUESTS,
        )?;
        let mut mode = Mode {
            preemption: preemption.to_string(),
            trigger: trigger.to_string(),
            dispatch_ns: shown("how long dispatch takes", alone.seen().dispatch_ns())?,
            start_ns: busy.ran_ns(ZERO)?,
            finish_ns: shown("what ending a request costs", busy.seen().finish_ns())?,
            preempt_ns: 0,
            inflation_ns: 0,
            lateness_ns: 0,
            stretch: own_round_ns / round_ns,
            stalls: Stalls::default(),
            listener_stalls: Stalls::default(),
        };
        if preemption != Preemption::Off {
            let quantum_ns = QUANTUM_DEFAULT_US * 1_000;
            let rounds = (QUANTA * quantum_ns) as f64 / own_round_ns;
            let undisturbed_ns = mode.start_ns + (QUANTA * quantum_ns);
            let asked = [(LONG, rounds as Nanos)];
            let long = self.run((preemption, trigger), "long", &asked, 2, REQUESTS_LONG)?;
            mode.preempt_ns = shown("what a preemption costs", long.seen().preempt_ns())?;
            mode.inflation_ns = long.inflation_ns(undisturbed_ns)?;
            mode.lateness_ns = long.lateness_ns(quantum_ns)?;
        }
        Ok(mode)
    }
}

impl Alone {
    fn seen(&self) -> Seen<'_> {
        Seen {
            stories: &self.stories,
            routes: &self.routes,
            quantum_ns: QUANTUM_DEFAULT_US * 1_000,
        }
    }

    fn of(&self, class: u16) -> impl Iterator<Item = &Story> {
        let is_of = move |story: &&Story| self.routes[usize::from(story.route)].class == class;
        self.stories.iter().filter(is_of)
    }

    fn ran_ns(&self, class: u16) -> Result<Nanos, String> {
        median("how long requests run", self.of(class).map(Story::ran_ns))
    }

    fn round_ns(&self) -> Result<f64, String> {
        Ok((self.ran_ns(SPIN)? as f64 - self.ran_ns(ZERO)? as f64) / ROUNDS as f64)
    }

    fn functions_ns(&self, experiment: &Experiment) -> Result<Vec<Option<Nanos>>, String> {
        let start_ns = self.ran_ns(ZERO)?;
        let mut next = FUNCTIONS..;
        let classes = experiment.classes.iter();
        let classes = classes.map(|class| {
            if super::spec::function(&class.what).is_none() {
                return Ok(None);
            }
            let own = next.next().expect("it has no end");
            let told = self.ran_ns(own);
            let ran_ns = told.map_err(|why| format!("{why} (class {:?})", class.name))?;
            Ok(Some(ran_ns.saturating_sub(start_ns).max(1)))
        });
        classes.collect()
    }

    fn turnaround_ns(&self) -> Result<Nanos, String> {
        let pairs = self.stories.windows(2);
        median(
            "how long a client takes to ask again",
            pairs.map(|pair| pair[1].arrived_ns.saturating_sub(pair[0].ended_ns)),
        )
    }

    fn inflation_ns(&self, undisturbed_ns: Nanos) -> Result<Nanos, String> {
        let preempted = self.stories.iter().filter(|story| story.preemptions > 0);
        median(
            "what a preemption costs a request",
            preempted.map(|story| {
                let more_ns = story.ran_ns().saturating_sub(undisturbed_ns);
                more_ns / u64::from(story.preemptions)
            }),
        )
    }

    fn lateness_ns(&self, quantum_ns: Nanos) -> Result<Nanos, String> {
        let slices = self.seen().slices();
        let ended = slices
            .values()
            .flatten()
            .filter(|(_, to_ns, story)| *to_ns < story.ended_ns);
        median(
            "how late preemptions are",
            ended.map(|(from_ns, to_ns, _)| (to_ns - from_ns).saturating_sub(quantum_ns)),
        )
    }
}

fn median(what: &str, values: impl Iterator<Item = Nanos>) -> Result<Nanos, String> {
    shown(what, seen::median(values.collect()))
}

/// What is to be measured has to be seen.
fn shown(what: &str, seen: Option<Nanos>) -> Result<Nanos, String> {
    seen.ok_or_else(|| format!("calibration: nothing shows {what}: no such request has finished"))
}
