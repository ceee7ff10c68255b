//! A run of the simulator, as the events that a server would have recorded.

use std::path::Path;

use perf::event::{Event, What};
use perf::recording::Chunk;
use sched::admission::Thresholds;
use sched::dispatch::jbsq::BoundedQueues;
use sched::{Fact, Nanos, Params};

use super::experiment::{Axis, Experiment, Policy};
use super::requests::{Asked, Requests};
use super::spec::route_of;
use crate::sim::arrivals::Estimate;
use crate::sim::engine::{Config, Costs, Engine};
use crate::sim::front::{FrontConfig, Room};
use crate::sim::notes::Notes;
use crate::sim::replay::{Owed, Replay};
use crate::sim::scenario::Scenario;
use crate::sim::service::Service;
use crate::sim::source::{Open, Source};
use crate::sim::stalls::Stalls;

/// Requests that a worker has at most, begun and in its ring: the server's defaults.
const TASKS_MAX: u32 = 1_280;

/// Those of them that its policy knows of, where admission sees to it that there are no more.
const SANDBOXES_MAX: u32 = 256;

/// Requests that wait for a worker at most, under a dispatcher that lets them: the server's default.
const BACKLOG_MAX: usize = 4_096;

/// Keeps what happens, by source.
struct Kept(Vec<Vec<Event>>);

impl Notes for &mut Kept {
    fn note(&mut self, source: usize, at_ns: Nanos, request: u64, what: What) {
        self.0[source].push(Event {
            at_ns,
            request,
            what,
        });
    }
}

/// The machine of a policy.
pub fn machine(
    experiment: &Experiment,
    policy: &Policy,
    quantum_ns: Nanos,
    costs: Costs,
) -> Config {
    let learn = match experiment.estimates {
        Estimate::Learnt(learn) => Some(learn),
        _ => None,
    };
    let owed = experiment.tenants.iter().map(|sender| sender.owed);
    let uses_reservations = policy.scheduler.uses(Fact::Reservation)
        || policy.caps_budgets
        || matches!(policy.room, Room::Demand { .. });
    let owed = owed.map(|mut owed| {
        owed.reservation = owed.reservation.filter(|_| uses_reservations);
        owed
    });
    Config {
        workers: experiment.workers,
        scheduler: policy.scheduler,
        params: Params {
            quantum_ns,
            preemption: policy.preempts(),
            ..Params::default()
        },
        costs,
        stalls: Stalls::default(),
        listener_stalls: Stalls::default(),
        dispatcher: policy.dispatcher,
        dispatch_params: policy.dispatch_params,
        front: FrontConfig {
            room: policy.room,
            budgets: policy.caps_budgets,
            learn,
        },
        tenants: owed.collect(),
        tasks_max: match Thresholds::of(policy.scheduler, experiment.tenants.len(), 0) {
            Some(_) => SANDBOXES_MAX,
            None => TASKS_MAX,
        },
        backlog_max: match policy.dispatcher.name {
            BoundedQueues::NAME => BACKLOG_MAX,
            _ => 0,
        },
    }
}

/// What this machine does with these requests.
pub fn simulate(
    machine: &Config,
    asked: &Asked<'_>,
    requests: &Requests,
    stretch: f64,
) -> Vec<Chunk> {
    let stretch_of = |service_ns: Nanos| ((service_ns as f64 * stretch) as Nanos).max(1);
    match asked.experiment.sweep.axis {
        Axis::Clients => {
            let services = asked.services.iter();
            let stretched = services.map(|service| Service::Fixed(stretch_of(service.mean_ns())));
            let stretched: Vec<Service> = stretched.collect();
            let scenario = Asked {
                services: &stretched,
                ..*asked
            }
            .scenario();
            let source = scenario.source(None, machine.workers, u64::MAX, asked.seed);
            run(machine, source, asked.experiment.duration_ns)
        }
        _ => {
            let stretched = requests.open.iter().map(|request| {
                let mut request = *request;
                request.service_ns = stretch_of(request.service_ns);
                request
            });
            run(machine, Open::new(stretched), Nanos::MAX)
        }
    }
}

/// What this machine would have done with the requests that a server has recorded, each as long as it was there; the
/// routes are those of the requests.
///
/// # Errors
///
/// The recording cannot be read or has nothing to replay.
pub fn replay(machine: &Config, recording: &Path) -> Result<Vec<Chunk>, String> {
    let Replay { trace, recording } = Replay::read(recording, &Owed::new())?;
    let names = recording.routes.iter();
    let names = names.map(|route| &recording.header.routes[usize::from(*route)].name);
    let routes = names
        .map(|name| route_of(name))
        .collect::<Result<Vec<_>, _>>()?;
    let scenario = Scenario::trace(trace, Some(recording), None, None);
    let source = scenario.source(None, machine.workers, u64::MAX, 0);
    let mut machine = machine.clone();
    machine.tenants = scenario.owed();
    let mut chunks = run(&machine, source, Nanos::MAX);
    for event in chunks.iter_mut().flat_map(|chunk| &mut chunk.events) {
        if let What::Arrived { route, .. } = &mut event.what {
            *route = routes[usize::from(*route)];
        }
    }
    Ok(chunks)
}

/// Runs until all is done, or until this time.
fn run(machine: &Config, source: impl Source, until_ns: Nanos) -> Vec<Chunk> {
    let mut kept = Kept(vec![Vec::new(); machine.workers + 1]);
    let mut engine = Engine::noting(machine.clone(), source, &mut kept);
    while engine.step().is_some() && engine.now() < until_ns {}
    let sources = (0..).zip(kept.0);
    let chunks = sources.map(|(source, events)| Chunk {
        source,
        lost: 0,
        events,
    });
    chunks.collect()
}
