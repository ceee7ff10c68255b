//! The requests of a run: from a seed, the same for every policy and for server and simulator alike (common random
//! numbers), so that policies differ by what they do and not by what they were asked.
//!
//! Each size of a class is a route of its own, so that it is known of every request how long it takes undisturbed. Sizes
//! of continuous laws are therefore rounded to a geometric grid, by a few percent at most.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use sched::Nanos;

use super::experiment::{Axis, Experiment, Sender};
use super::limits::{GRID_LIVE, GRID_SIMULATED, REQUESTS_MAX};
use crate::sim::arrivals::{Estimate, Process};
use crate::sim::engine::Request;
use crate::sim::scenario::Scenario;
use crate::sim::service::Service;
use crate::sim::source::Source;
use crate::sim::tenants::SimTenant;
use crate::sim::workload::{Class, Workload};

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Of the experiment.
    pub class: u16,
    /// Of the experiment's tenants.
    pub sender: u16,
    /// How long its requests take undisturbed.
    pub service_ns: Nanos,
    /// From arrival.
    pub deadline_ns: Nanos,
    /// How long they are said to take; 0 for unknown.
    pub expected_ns: Nanos,
}

/// See the module's text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requests {
    pub routes: Vec<Route>,
    /// In the order of arrival; empty in a closed loop.
    pub open: Vec<Request>,
}

/// A point of an experiment.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'e> {
    pub experiment: &'e Experiment,
    /// How long each class takes.
    pub services: &'e [Service],
    /// Along the axis.
    pub value: f64,
    pub seed: u64,
    /// How long a client of a closed loop takes from an answer to the next request, at least 1.
    pub turnaround_ns: Nanos,
}

impl Asked<'_> {
    /// The requests of an open loop, or the routes of a closed one.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub fn requests(&self) -> Result<Requests, String> {
        let scenario = self.scenario();
        match self.experiment.sweep.axis {
            Axis::Clients => Ok(self.routes(&scenario)),
            _ => self.open(&scenario),
        }
    }

    /// What is asked for, as the simulator has it.
    pub fn scenario(&self) -> Scenario {
        let Experiment { tenants, .. } = self.experiment;
        let streams = tenants.iter().map(|sender| self.stream(sender));
        let mut scenario = Scenario::tenants(streams.collect(), None, self.experiment.estimates);
        if !self.experiment.has_tenants() {
            scenario.tenants.clear();
        }
        for (class, simulated) in self.experiment.classes.iter().zip(&mut scenario.classes) {
            let own_ns = class.deadline_ns.or(self.experiment.deadline_ns);
            simulated.deadline_ns = self.told(own_ns.unwrap_or(simulated.deadline_ns));
        }
        scenario
    }

    /// The load of all together, unless it is the senders' own.
    pub fn load(&self) -> Option<f64> {
        match self.experiment.sweep.axis {
            Axis::Load => Some(self.value),
            Axis::QuantumUs if !self.experiment.has_tenants() => Some(self.experiment.load),
            Axis::QuantumUs | Axis::LoadOf(_) | Axis::Clients => None,
        }
    }

    fn stream(&self, sender: &Sender) -> SimTenant {
        let classes = sender.classes.clone().map(|at| {
            let class = &self.experiment.classes[at];
            Class {
                name: class.name.clone(),
                share: class.share,
                service: self.services[at].clone(),
            }
        });
        let load = match &self.experiment.sweep.axis {
            Axis::LoadOf(name) if *name == sender.name => self.value,
            _ => sender.load,
        };
        SimTenant {
            name: sender.name.clone(),
            workload: Workload {
                name: sender.name.clone(),
                classes: classes.collect(),
            },
            process: match self.experiment.sweep.axis {
                Axis::Clients => Process::Closed {
                    clients: self.value as usize,
                    think: Service::Fixed(self.turnaround_ns.max(1)),
                },
                _ => sender.process.clone(),
            },
            load,
            deadline_ns: None,
            from_ns: sender.from_ns,
            until_ns: sender.until_ns,
            owed: sender.owed,
        }
    }

    fn open(&self, scenario: &Scenario) -> Result<Requests, String> {
        let workers = self.experiment.workers;
        let mut source = scenario.source(self.load(), workers, u64::MAX, self.seed);
        let mut requests = Requests::default();
        let mut known = BTreeMap::<(u16, Nanos), u16>::new();
        while let Some(at_ns) = source.peek_ns() {
            if at_ns >= self.experiment.duration_ns {
                break;
            }
            if requests.open.len() == REQUESTS_MAX {
                return Err(format!(
                    "more than {REQUESTS_MAX} requests; a shorter duration would be right"
                ));
            }
            let mut request = source.take();
            let class = request.arrival.route;
            request.service_ns = self.on_grid(class, request.service_ns);
            let index = match known.entry((class, request.service_ns)) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    let index = u16::try_from(requests.routes.len()).map_err(|_| {
                        "more than 65,536 sizes of requests; fewer classes of continuous laws would be right"
                    })?;
                    let route = self.route(scenario, class, request.service_ns);
                    requests.routes.push(route);
                    *new.insert(index)
                }
            };
            let route = requests.routes[usize::from(index)];
            request.arrival.route = index;
            request.arrival.deadline_ns = at_ns.saturating_add(route.deadline_ns);
            if !matches!(self.experiment.estimates, Estimate::Noisy(_)) {
                request.arrival.expected_ns = route.expected_ns;
            }
            requests.open.push(request);
        }
        match requests.open.is_empty() {
            true => Err(format!(
                "no request comes at {}; a longer duration or a higher load would be right",
                self.value
            )),
            false => Ok(requests),
        }
    }

    /// One for each class, in their order.
    fn routes(&self, scenario: &Scenario) -> Requests {
        let routes = (0..).zip(self.services);
        let routes = routes.map(|(class, service)| self.route(scenario, class, service.mean_ns()));
        Requests {
            routes: routes.collect(),
            open: Vec::new(),
        }
    }

    fn route(&self, scenario: &Scenario, class: u16, service_ns: Nanos) -> Route {
        let mean_ns = self.services[usize::from(class)].mean_ns();
        let expected_ns = match self.experiment.estimates {
            Estimate::Mean => self.told(mean_ns),
            Estimate::Exact => self.told(service_ns),
            Estimate::Unknown | Estimate::Learnt(_) | Estimate::Noisy(_) => 0,
        };
        let known = &scenario.classes[usize::from(class)];
        Route {
            class,
            sender: known.tenant,
            service_ns,
            deadline_ns: known.deadline_ns,
            expected_ns,
        }
    }

    /// A time as a server can be told it: in whole microseconds.
    fn told(&self, time_ns: Nanos) -> Nanos {
        match self.experiment.is_live && time_ns < Nanos::MAX {
            true => (time_ns / 1_000).max(1) * 1_000,
            false => time_ns,
        }
    }

    fn on_grid(&self, class: u16, service_ns: Nanos) -> Nanos {
        if let Service::Fixed(service_ns) = self.services[usize::from(class)] {
            return service_ns;
        }
        let step = match self.experiment.is_live {
            true => GRID_LIVE,
            false => GRID_SIMULATED,
        };
        let steps = ((service_ns as f64).ln() / step.ln()).round();
        (step.powf(steps).round() as Nanos).max(1)
    }
}
