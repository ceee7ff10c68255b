//! What is asked of the server in a simulation: one stream of requests, several tenants, or a trace; and what the
//! report is to call its parts.

use sched::{Nanos, Tenant};

use super::arrivals::{Arrivals, Closed, Estimate, Process, Stream};
use super::replay::Recording;
use super::source::{Merged, Open, Source};
use super::tenants::SimTenant;
use super::trace::{Asked, Trace};
use super::workload::Workload;

/// What a deadline is by default: so many times the class's mean service.
const DEADLINE_SERVICES: u64 = 10;

/// The load where none is said.
const LOAD_DEFAULT: f64 = 0.8;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: String,
    pub arrivals: String,
    pub mean_service_ns: f64,
    pub service_scv: f64,
    /// By route.
    pub classes: Vec<Class>,
    /// Names by index; empty if nobody speaks of tenants.
    pub tenants: Vec<String>,
    kind: Kind,
    /// If it is the trace of one.
    recording: Option<Recording>,
    /// `None`: as a trace tells.
    estimate: Option<Estimate>,
}

/// A kind of request.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    pub name: String,
    pub tenant: u16,
    /// From arrival; `u64::MAX` for none.
    pub deadline_ns: Nanos,
}

#[derive(Clone, Debug)]
enum Kind {
    Streams(Vec<SimTenant>),
    Trace(Trace),
}

impl Scenario {
    /// One stream.
    pub fn stream(
        workload: Workload,
        process: Process,
        deadline_ns: Option<Nanos>,
        estimate: Estimate,
    ) -> Self {
        let stream = SimTenant {
            name: String::new(),
            workload,
            process,
            load: LOAD_DEFAULT,
            deadline_ns,
            from_ns: 0,
            until_ns: Nanos::MAX,
            owed: Tenant::default(),
        };
        let mut scenario = Self::tenants(vec![stream], None, estimate);
        scenario.tenants.clear();
        scenario
    }

    /// Several tenants; `deadline_ns` is for those that name none.
    pub fn tenants(
        mut streams: Vec<SimTenant>,
        deadline_ns: Option<Nanos>,
        estimate: Estimate,
    ) -> Self {
        let mut classes = Vec::new();
        for (tenant, stream) in streams.iter_mut().enumerate() {
            stream.deadline_ns = stream.deadline_ns.or(deadline_ns);
            let alone = stream.workload.classes.len() == 1;
            for class in &stream.workload.classes {
                let name = match (stream.name.is_empty(), alone) {
                    (true, _) => class.name.clone(),
                    (false, true) => stream.name.clone(),
                    (false, false) => format!("{}/{}", stream.name, class.name),
                };
                let usual_ns = usual_deadline_ns(class.service.mean_ns());
                classes.push(Class {
                    name,
                    tenant: tenant as u16,
                    deadline_ns: stream.deadline_ns.unwrap_or(usual_ns),
                });
            }
        }
        // Requests of each stream per nanosecond and worker.
        let rates = streams
            .iter()
            .map(|stream| stream.load / stream.workload.mean_ns());
        let total: f64 = rates.clone().sum();
        let mean = |of: fn(&Workload) -> f64| {
            let parts = rates.clone().zip(&streams);
            let sum: f64 = parts
                .map(|(rate, stream)| rate * of(&stream.workload))
                .sum();
            sum / total
        };
        let mean_service_ns = mean(Workload::mean_ns);
        let named = |of: &dyn Fn(&SimTenant) -> String| {
            let mut names: Vec<String> = streams.iter().map(of).collect();
            names.dedup();
            names.join(" + ")
        };
        Self {
            name: named(&|stream| stream.workload.name.clone()),
            arrivals: named(&|stream| stream.process.to_string()),
            mean_service_ns,
            service_scv: mean(Workload::second_moment) / mean_service_ns.powi(2) - 1.0,
            classes,
            tenants: streams.iter().map(|stream| stream.name.clone()).collect(),
            kind: Kind::Streams(streams),
            recording: None,
            estimate: Some(estimate),
        }
    }

    /// A trace, maybe of a recording. `estimate` is `None` for what is recorded, or else the mean of a class.
    pub fn trace(
        trace: Trace,
        recording: Option<Recording>,
        deadline_ns: Option<Nanos>,
        estimate: Option<Estimate>,
    ) -> Self {
        let classes = trace.classes.iter().enumerate().map(|(at, class)| {
            let own_ns = match &recording {
                Some(recording) => recording.deadline_ns(at),
                None => usual_deadline_ns(class.mean_ns()),
            };
            Class {
                name: class.name.clone(),
                tenant: class.tenant,
                deadline_ns: deadline_ns.unwrap_or(own_ns),
            }
        });
        let named = trace.tenants.len() > 1;
        Self {
            name: trace.name.clone(),
            arrivals: "recorded".into(),
            mean_service_ns: trace.mean_ns(),
            service_scv: trace.scv(),
            classes: classes.collect(),
            tenants: if named {
                trace.tenants.clone()
            } else {
                Vec::new()
            },
            kind: Kind::Trace(trace),
            recording,
            estimate,
        }
    }

    /// What the whole server owes each tenant.
    pub fn owed(&self) -> Vec<Tenant> {
        match (&self.kind, &self.recording) {
            (Kind::Streams(streams), _) => streams.iter().map(|stream| stream.owed).collect(),
            (Kind::Trace(_), Some(recording)) => recording.owed.clone(),
            (Kind::Trace(_), None) => Vec::new(),
        }
    }

    /// The recording that it is, and its requests.
    pub fn replay(&self) -> Option<(&Recording, &Trace)> {
        match (&self.kind, &self.recording) {
            (Kind::Trace(trace), Some(recording)) => Some((recording, trace)),
            _ => None,
        }
    }

    /// The load that it is to so many workers if `asked` is; `None` if that is not for anybody to say.
    pub fn load(&self, asked: Option<f64>, workers: usize) -> Option<f64> {
        match &self.kind {
            Kind::Streams(streams) if streams.iter().any(|s| s.process.is_closed()) => None,
            Kind::Streams(streams) => {
                asked.or_else(|| Some(streams.iter().map(|stream| stream.load).sum()))
            }
            Kind::Trace(trace) => trace.load(workers).map(|own| asked.unwrap_or(own)),
        }
    }

    /// How many requests there will be, of so many that are asked for.
    pub fn requests(&self, asked: Option<u64>, default: u64) -> u64 {
        match &self.kind {
            Kind::Streams(_) => asked.unwrap_or(default),
            Kind::Trace(trace) => asked.unwrap_or(u64::MAX).min(trace.len() as u64),
        }
    }

    /// The requests, at this load.
    pub fn source(
        &self,
        load: Option<f64>,
        workers: usize,
        requests: u64,
        seed: u64,
    ) -> Box<dyn Source + '_> {
        let streams = match &self.kind {
            Kind::Streams(streams) => streams,
            Kind::Trace(trace) => {
                let stretch = match (trace.load(workers), load) {
                    (Some(own), Some(asked)) => own / asked,
                    _ => 1.0,
                };
                let asked = Asked {
                    requests,
                    stretch,
                    estimate: self.estimate,
                    seed,
                };
                let deadlines_ns = self.classes.iter().map(|class| class.deadline_ns);
                return Box::new(trace.source(asked, deadlines_ns.collect()));
            }
        };
        let own: f64 = streams.iter().map(|stream| stream.load).sum();
        let scale = load.map_or(1.0, |asked| asked / own);
        let mut made = self.streams(streams, scale, workers, seed);
        if made.len() > 1 {
            let merged = Merged::new(made.into_iter().map(Arrivals::new));
            return Box::new(Open::new(merged.take(requests as usize)));
        }
        let only = made.remove(0);
        match Closed::new(only.clone(), requests) {
            Some(closed) => Box::new(closed),
            None => Box::new(Open::new(Arrivals::new(only).take(requests as usize))),
        }
    }

    fn streams<'a>(
        &self,
        streams: &'a [SimTenant],
        scale: f64,
        workers: usize,
        seed: u64,
    ) -> Vec<Stream<'a>> {
        let mut route = 0;
        let stream = |(tenant, stream): (usize, &'a SimTenant)| {
            let first = route;
            route += stream.workload.classes.len();
            let classes = &self.classes[first..route];
            Stream {
                workload: &stream.workload,
                process: &stream.process,
                rate: scale * stream.load * workers as f64 / stream.workload.mean_ns(),
                deadlines_ns: classes.iter().map(|class| class.deadline_ns).collect(),
                estimate: self.estimate.unwrap_or(Estimate::Mean),
                tenant: tenant as u16,
                route: first as u16,
                from_ns: stream.from_ns,
                until_ns: stream.until_ns,
                index: tenant as u32,
                seed,
            }
        };
        streams.iter().enumerate().map(stream).collect()
    }
}

fn usual_deadline_ns(mean_ns: Nanos) -> Nanos {
    mean_ns.saturating_mul(DEADLINE_SERVICES)
}
