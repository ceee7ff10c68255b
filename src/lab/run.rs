//! An experiment from its first run to its results.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use perf::story::Stories;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use sched::Nanos;

use super::calibrate::{Calibration, Mode};
use super::experiment::{Axis, Experiment, Policy, Sender, What};
use super::limits::{NOISE, QUANTUM_DEFAULT_US};
use super::live::{INTERRUPTED, Live, RECORDING};
use super::manifest::Manifest;
use super::measured::{Frame, Measured};
use super::noise::Noise;
use super::places::Places;
use super::requests::{Asked, Requests};
use super::results::{self, Origin, Results, Run};
use super::seen::Seen;
use super::simulated::{machine, replay, simulate};
use crate::sim::engine::{Config, Costs};
use crate::sim::parallel;
use crate::sim::service::Service;
use crate::sim::stalls::Stalls;

/// What to do with an experiment.
pub struct Order<'e> {
    pub experiment: &'e Experiment,
    /// Where everything goes; absolute, for servers run in folders below.
    pub out: &'e Path,
    pub seed: u64,
    /// Whether the recordings of servers are kept.
    pub keeps_recordings: bool,
    /// Set when all is to end.
    pub stop: &'e AtomicBool,
}

/// A run to be made.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    policy: usize,
    value: usize,
    repetition: u32,
}

/// What is known when runs begin.
struct Rig<'e> {
    order: &'e Order<'e>,
    places: Places,
    services: Vec<Service>,
    calibration: Option<Calibration>,
    progress: ProgressBar,
}

impl Drop for Rig<'_> {
    fn drop(&mut self) {
        // Of no use but to the next server; there may be none.
        drop(std::fs::remove_dir_all(self.cache()));
    }
}

impl Order<'_> {
    /// Runs all of it, and returns what came out. What ends it early is in the manifest of what came out until then.
    ///
    /// # Errors
    ///
    /// A sentence about what went wrong before anything came out.
    pub fn carry_out(&self) -> Result<Results, String> {
        let began = Instant::now();
        let experiment = self.experiment;
        let places = Places::here(experiment.workers);
        let mut manifest = Manifest::new(
            self.seed,
            experiment.is_live.then_some(&places),
            experiment.workers,
        );
        for warning in &manifest.warnings {
            eprintln!("luge lab: {warning}");
        }
        let rig = Rig::new(self, places).inspect_err(|_| self.leave_nothing())?;
        let mut noise = Vec::new();
        let mut runs = Vec::new();
        let ended = rig.all(&mut runs, &mut noise);
        rig.progress.finish_and_clear();
        if let Err(why) = ended {
            if runs.is_empty() {
                self.leave_nothing();
                return Err(why);
            }
            eprintln!("luge lab: not all runs were made: {why}");
            manifest.ended_early = Some(why);
        }
        if !self.keeps_recordings {
            discard(self.out, &runs)?;
        }
        manifest.warnings.extend(rig.doubts(&runs));
        runs.sort_by_key(|run| (run.policy, run.origin, run.value.to_bits(), run.repetition));
        manifest.seconds = began.elapsed().as_secs_f64();
        Ok(rig.results(manifest, noise, runs))
    }

    /// Who interrupts it before anything came out can run it again to the same place. What failed is left to be looked
    /// at.
    fn leave_nothing(&self) {
        if self.stop.load(Ordering::Relaxed) {
            for folder in ["calibration", "runs"] {
                drop(std::fs::remove_dir_all(self.out.join(folder)));
            }
        }
    }
}

impl<'e> Rig<'e> {
    /// Calibrates, and makes the requests.
    fn new(order: &'e Order<'e>, places: Places) -> Result<Self, String> {
        let experiment = order.experiment;
        let progress = ProgressBar::no_length();
        let style = ProgressStyle::with_template("{elapsed}  {msg}");
        progress.set_style(style.expect("the template is right"));
        let mut rig = Self {
            order,
            places,
            services: Vec::new(),
            calibration: None,
            progress,
        };
        if experiment.is_live {
            let live = rig.servers(1.0);
            if rig.progress.is_hidden() {
                eprintln!("luge lab: calibration");
            }
            let tell = |what: &str| rig.progress.set_message(format!("calibration: {what}"));
            let folder = order.out.join("calibration");
            rig.calibration = Some(Calibration::measure(&live, &folder, &tell)?);
        }
        rig.services = rig.services_of(experiment);
        // Before anything runs: whether there are none, or too many.
        for value in [0, experiment.sweep.values.len() - 1] {
            rig.asked(value, 0).requests()?;
        }
        Ok(rig)
    }

    /// All runs.
    fn all(&self, runs: &mut Vec<Run>, noise: &mut Vec<Noise>) -> Result<(), String> {
        let experiment = self.order.experiment;
        if experiment.is_live {
            noise.push(self.noise());
            self.live(runs)?;
            noise.push(self.noise());
        }
        if experiment.is_simulated {
            let simulated = self.simulated(runs)?;
            runs.extend(simulated);
            let replayed = self.replayed(runs)?;
            runs.extend(replayed);
        }
        Ok(())
    }

    /// What is to be known of all runs before their figures are believed.
    fn doubts(&self, runs: &[Run]) -> Vec<String> {
        let mut doubts = Vec::new();
        let live: Vec<_> = runs.iter().filter_map(|run| run.live.as_ref()).collect();
        let late = live.iter().filter(|live| live.was_late).count();
        if late > 0 {
            doubts.push(format!(
                "in {late} of {} runs on servers the load generator was late: requests came otherwise than they were meant, \
                 and are counted from when they came",
                live.len()
            ));
        }
        if self.order.experiment.is_simulated
            && self.calibration.is_none()
            && self.order.experiment.costs.is_none()
        {
            doubts.push(
                "the simulator reckoned with no costs: starts, ends and preemptions took no time, which flatters small quanta. \
                 A run on servers measures them, or the experiment says them (\"costs\")"
                    .to_owned(),
            );
        }
        doubts
    }

    /// So many runs begin, of this kind.
    fn begin(&self, kind: &'static str, runs: usize) {
        self.progress.set_position(0);
        self.progress.set_length(runs as u64);
        self.progress.reset_eta();
        let style =
            ProgressStyle::with_template("{bar:30} {pos}/{len} {prefix}, {eta} left  {msg}");
        self.progress
            .set_style(style.expect("the template is right"));
        self.progress.set_prefix(kind);
        self.progress.set_message("");
        if self.progress.is_hidden() && runs > 0 {
            eprintln!("luge lab: {runs} {kind}");
        }
    }

    fn services_of(&self, experiment: &Experiment) -> Vec<Service> {
        let classes = experiment.classes.iter().enumerate();
        let services = classes.map(|(at, class)| match &class.what {
            What::Service(service) => service.clone(),
            What::Function { .. } => {
                let calibration = self.calibration.as_ref();
                let known = calibration.and_then(|calibration| calibration.functions_ns[at]);
                Service::Fixed(known.expect("functions are calibrated"))
            }
        });
        services.collect()
    }

    fn cache(&self) -> PathBuf {
        self.order.out.join("cache")
    }

    fn servers(&self, rounds_per_ns: f64) -> Live<'e> {
        Live {
            experiment: self.order.experiment,
            places: self.places.clone(),
            rounds_per_ns,
            cache: self.cache(),
            stop: self.order.stop,
        }
    }

    fn asked(&self, value: usize, repetition: u32) -> Asked<'_> {
        Asked {
            experiment: self.order.experiment,
            services: &self.services,
            value: self.order.experiment.sweep.values[value],
            seed: self.order.seed + u64::from(repetition),
            turnaround_ns: self.calibration.as_ref().map_or(1, |it| it.turnaround_ns),
        }
    }

    fn policy(&self, point: Point) -> &'e Policy {
        &self.order.experiment.policies[point.policy]
    }

    fn quantum_us(&self, point: Point) -> u64 {
        let own = self.policy(point).quantum_us;
        let sweep = &self.order.experiment.sweep;
        let swept = (sweep.axis == Axis::QuantumUs).then(|| sweep.values[point.value] as u64);
        own.or(swept).unwrap_or(QUANTUM_DEFAULT_US)
    }

    /// All runs, those of a repetition together in an order of chance: what drifts on the machine meets all alike.
    fn points(&self) -> Vec<Point> {
        let Experiment {
            policies,
            sweep,
            repetitions,
            ..
        } = self.order.experiment;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.order.seed);
        let each = (0..*repetitions).flat_map(|repetition| {
            let points = (0..policies.len()).flat_map(|policy| {
                (0..sweep.values.len()).map(move |value| Point {
                    policy,
                    value,
                    repetition,
                })
            });
            let mut points: Vec<Point> = points.collect();
            points.shuffle(&mut random);
            points
        });
        each.collect()
    }

    fn noise(&self) -> Noise {
        self.progress.set_message("noise floor");
        // A worker's core, or the only one.
        let core = self.places.server.get(1).or(self.places.server.first());
        Noise::of(core.copied(), NOISE)
    }

    fn live(&self, runs: &mut Vec<Run>) -> Result<(), String> {
        let calibration = self.calibration.as_ref().expect("it was made");
        let live = self.servers(1.0 / calibration.round_ns);
        let points = self.points();
        self.begin("runs on servers", points.len());
        for (at, point) in points.iter().enumerate() {
            let folder = format!("runs/{:03}", at + 1);
            let policy = self.policy(*point);
            let value = self.order.experiment.sweep.values[point.value];
            let message = format!(
                "{} at {value}, repetition {}",
                policy.name,
                point.repetition + 1
            );
            self.progress.set_message(message);
            let requests = self.requests(*point)?;
            let seed = self.order.seed + u64::from(point.repetition);
            let load = live.load(&requests, value, seed);
            let to = self.order.out.join(&folder);
            let ran = live.run(policy, self.quantum_us(*point), &load, &to);
            let ran = ran.map_err(|why| format!("{}: {why}", to.display()))?;
            self.progress.inc(1);
            let before = calibration.mode(policy).expect("each was measured");
            let stories = Stories::of(ran.chunks);
            let seen = Seen {
                stories: &stories.whole,
                routes: &requests.routes,
                quantum_ns: self.quantum_us(*point) * 1_000,
            };
            let costs = seen.mode(before);
            let mut warnings = ran.warnings;
            warnings.extend(ran.report.warnings());
            runs.push(Run {
                live: Some(results::Live {
                    cpu: ran.cpu,
                    is_right: ran.report.is_right(),
                    was_late: ran.report.was_late(),
                    warnings,
                    costs: Some(costs),
                }),
                folder: Some(folder),
                ..self.told(*point, Origin::Live, &stories, &requests)
            });
        }
        Ok(())
    }

    /// What a policy costs at a point: as the server there has shown, or as was measured before.
    fn mode<'r>(&'r self, runs: &'r [Run], point: Point) -> Option<&'r Mode> {
        let value = self.order.experiment.sweep.values[point.value];
        let of_point = |run: &&Run| {
            (run.policy, run.value, run.repetition) == (point.policy, value, point.repetition)
                && run.origin == Origin::Live
        };
        let own = runs.iter().find(of_point).and_then(|run| run.live.as_ref());
        let before = || self.calibration.as_ref()?.mode(self.policy(point));
        own.and_then(|live| live.costs.as_ref()).or_else(before)
    }

    /// The same for every policy and for servers and simulations alike.
    fn requests(&self, point: Point) -> Result<Requests, String> {
        self.asked(point.value, point.repetition).requests()
    }

    /// `runs` are those of servers, if there are any.
    fn simulated(&self, runs: &[Run]) -> Result<Vec<Run>, String> {
        let points = self.points();
        self.begin("simulations", points.len());
        let run = |at: usize| {
            if self.is_stopped() {
                return Err(INTERRUPTED.to_owned());
            }
            let point: Point = points[at];
            let requests = self.requests(point)?;
            let mode = self.mode(runs, point);
            let costs = mode.map(|mode| mode.costs());
            let costs = self.order.experiment.costs.or(costs).unwrap_or_default();
            let stalls = |of: fn(&Mode) -> &Stalls| mode.map(of).cloned().unwrap_or_default();
            let machine = Config {
                stalls: stalls(|mode| &mode.stalls),
                listener_stalls: stalls(|mode| &mode.listener_stalls),
                ..self.machine(point, costs)
            };
            let asked = self.asked(point.value, point.repetition);
            let stretch = mode.map_or(1.0, |mode| mode.stretch);
            let chunks = simulate(&machine, &asked, &requests, stretch);
            let stories = Stories::of(chunks);
            self.progress.inc(1);
            Ok(self.told(point, Origin::Simulated, &stories, &requests))
        };
        parallel::map(points.len(), run).into_iter().collect()
    }

    /// What the simulator makes of the servers' recordings.
    fn replayed(&self, runs: &[Run]) -> Result<Vec<Run>, String> {
        let live: Vec<&Run> = runs
            .iter()
            .filter(|run| run.origin == Origin::Live)
            .collect();
        self.begin("replays", live.len());
        let replay = |at: usize| {
            if self.is_stopped() {
                return Err(INTERRUPTED.to_owned());
            }
            let run = live[at];
            let values = &self.order.experiment.sweep.values;
            let value = values.iter().position(|value| *value == run.value);
            let point = Point {
                policy: run.policy,
                value: value.expect("it is one of them"),
                repetition: run.repetition,
            };
            let mode = self.mode(runs, point);
            let costs = mode.map_or(Costs::default(), |mode| mode.replay_costs());
            let folder = run.folder.as_ref().expect("a server has one");
            let recording = self.order.out.join(folder).join(RECORDING);
            let chunks = replay(&self.machine(point, costs), &recording)?;
            let requests = self.requests(point)?;
            let stories = Stories::of(chunks);
            self.progress.inc(1);
            Ok(self.told(point, Origin::Replayed, &stories, &requests))
        };
        parallel::map(live.len(), replay).into_iter().collect()
    }

    fn is_stopped(&self) -> bool {
        self.order.stop.load(Ordering::Relaxed)
    }

    fn machine(&self, point: Point, costs: Costs) -> Config {
        let quantum_ns = self.quantum_us(point) * 1_000;
        machine(self.order.experiment, self.policy(point), quantum_ns, costs)
    }

    fn told(&self, point: Point, origin: Origin, stories: &Stories, requests: &Requests) -> Run {
        let experiment = self.order.experiment;
        let frame = Frame {
            routes: &requests.routes,
            names: experiment
                .classes
                .iter()
                .map(|class| class.name.clone())
                .collect(),
            workers: experiment.workers,
            start_ns: start_ns(stories, requests, origin),
            warmup_ns: experiment.warmup_ns(),
            duration_ns: experiment.duration_ns,
            interval_ns: experiment.interval_ns,
        };
        Run {
            policy: point.policy,
            origin,
            value: experiment.sweep.values[point.value],
            repetition: point.repetition,
            folder: None,
            measured: Measured::new(stories, &frame),
            live: None,
        }
    }

    fn results(&self, manifest: Manifest, noise: Vec<Noise>, runs: Vec<Run>) -> Results {
        let experiment = self.order.experiment;
        let asked = self.asked(0, 0);
        let scenario = asked.scenario();
        let classes = experiment
            .classes
            .iter()
            .zip(&self.services)
            .zip(&scenario.classes);
        let classes = classes.map(|((class, service), known)| results::Class {
            name: class.name.clone(),
            tenant: experiment.tenants[usize::from(known.tenant)].name.clone(),
            share: class.share,
            service: match &class.what {
                What::Service(service) => service.to_string(),
                What::Function { path, query, .. } => format!("{}?{query}", path.display()),
            },
            mean_ns: service.moment(1),
            second_moment: service.moment(2),
            spell: spell(&experiment.tenants[usize::from(known.tenant)]),
            deadline_ns: (known.deadline_ns < Nanos::MAX).then_some(known.deadline_ns),
        });
        Results {
            name: experiment.name.clone(),
            title: experiment.title.clone(),
            question: experiment.question.clone(),
            experiment: experiment.text.clone(),
            manifest,
            workers: experiment.workers,
            duration_ns: experiment.duration_ns,
            warmup_percent: experiment.warmup_percent,
            axis: axis(experiment),
            classes: classes.collect(),
            policies: experiment
                .policies
                .iter()
                .map(|policy| told(experiment, policy))
                .collect(),
            objectives: experiment
                .objectives
                .iter()
                .map(ToString::to_string)
                .collect(),
            calibration: self.calibration.clone(),
            noise,
            runs,
        }
    }
}

/// When the first request could have come, by the clock of the events.
fn start_ns(stories: &Stories, requests: &Requests, origin: Origin) -> Nanos {
    if origin == Origin::Simulated {
        return 0;
    }
    let first_ns = stories.whole.iter().map(|story| story.arrived_ns).min();
    let meant_ns = requests
        .open
        .first()
        .map_or(0, |request| request.arrival.arrival_ns);
    first_ns.unwrap_or(0).saturating_sub(meant_ns)
}

fn axis(experiment: &Experiment) -> results::Axis {
    let (name, kind) = match &experiment.sweep.axis {
        Axis::Load => ("load".to_owned(), results::Kind::Load),
        Axis::LoadOf(tenant) => (format!("load of {tenant}"), results::Kind::Load),
        Axis::QuantumUs => ("quantum".to_owned(), results::Kind::Quantum),
        Axis::Clients => ("clients".to_owned(), results::Kind::Clients),
    };
    results::Axis {
        name,
        kind,
        values: experiment.sweep.values.clone(),
    }
}

/// When a tenant sends, if it does not all the time.
fn spell(sender: &Sender) -> Option<(Nanos, Nanos)> {
    let (from_ns, until_ns) = (sender.from_ns, sender.until_ns);
    (from_ns > 0 || until_ns < Nanos::MAX).then_some((from_ns, until_ns))
}

fn told(experiment: &Experiment, policy: &Policy) -> results::Policy {
    let swept = experiment.sweep.axis == Axis::QuantumUs;
    let default = (!swept).then_some(QUANTUM_DEFAULT_US);
    results::Policy {
        name: policy.name.clone(),
        scheduler: policy.scheduler.name.to_owned(),
        quantum_us: policy.quantum_us.or(default),
        preemption: policy.preemption.to_string(),
        trigger: policy.trigger.to_string(),
        dispatch: policy.dispatcher.name.to_owned(),
        admission: match policy.caps_budgets {
            true => format!("{}, budgets are caps", policy.room),
            false => policy.room.to_string(),
        },
    }
}

/// Removes what is large.
fn discard(out: &Path, runs: &[Run]) -> Result<(), String> {
    for folder in runs.iter().filter_map(|run| run.folder.as_ref()) {
        let file: PathBuf = out.join(folder).join(RECORDING);
        std::fs::remove_file(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}
