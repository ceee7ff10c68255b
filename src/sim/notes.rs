//! What happens in a simulation in the words of a server's recording, so that a simulated run can be looked at, and
//! replayed, like one of a server.
//!
//! Where workers steal, a request is noted as a worker's own when it begins; before, it may still go elsewhere.

use std::io::{self, Write};

use perf::event::{Event, What};
use perf::recording::{Header, Route, Tenant, Writer};
use sched::Nanos;

use super::engine::Config;
use super::scenario::Scenario;

/// Who is told what happens. A source is [`perf::recording::LISTENER`], or a worker's index + 1.
pub trait Notes {
    fn note(&mut self, source: usize, at_ns: Nanos, request: u64, what: What);
}

/// Nobody.
impl Notes for () {
    fn note(&mut self, _source: usize, _at_ns: Nanos, _request: u64, _what: What) {}
}

impl<N: Notes> Notes for &mut N {
    fn note(&mut self, source: usize, at_ns: Nanos, request: u64, what: What) {
        (**self).note(source, at_ns, request, what);
    }
}

/// Writes a recording.
pub struct Recorder<W> {
    writer: Writer<W>,
    /// By source: what is not written yet.
    unwritten: Vec<Vec<Event>>,
    /// The first thing that went wrong; nothing is written from then on.
    result: io::Result<()>,
}

/// Events of a source that are written at a time.
const CHUNK_EVENTS: usize = 1_024;

impl<W: Write> Recorder<W> {
    /// Begins a recording of what this machine does with a scenario.
    ///
    /// # Errors
    ///
    /// What writing says.
    pub fn new(out: W, scenario: &Scenario, config: &Config) -> io::Result<Self> {
        Ok(Self {
            writer: Writer::new(out, &header(scenario, config))?,
            unwritten: vec![Vec::new(); config.workers + 1],
            result: Ok(()),
        })
    }

    /// Writes what is left.
    ///
    /// # Errors
    ///
    /// The first that went wrong, then or now.
    pub fn finish(mut self) -> io::Result<()> {
        (0..self.unwritten.len()).for_each(|source| self.write(source));
        self.result?;
        self.writer.flush()
    }

    fn write(&mut self, source: usize) {
        let events = &mut self.unwritten[source];
        if self.result.is_ok() {
            self.result = self.writer.write(source as u16, 0, events);
        }
        events.clear();
    }
}

impl<W: Write> Notes for Recorder<W> {
    fn note(&mut self, source: usize, at_ns: Nanos, request: u64, what: What) {
        self.unwritten[source].push(Event {
            at_ns,
            request,
            what,
        });
        if self.unwritten[source].len() == CHUNK_EVENTS {
            self.write(source);
        }
    }
}

fn header(scenario: &Scenario, config: &Config) -> Header {
    let preemption = if config.params.preemption {
        "simulated"
    } else {
        "off"
    };
    let classes = scenario.classes.iter();
    let tenants = classes.clone().map(|class| usize::from(class.tenant) + 1);
    let tenant = |index: usize| {
        let owed = config.tenants.get(index).copied().unwrap_or_default();
        let reservation = owed.reservation;
        Tenant {
            name: scenario.tenants.get(index).cloned().unwrap_or_default(),
            weight: owed.weight,
            budget_ns: reservation.map_or(0, |it| it.budget_ns),
            period_ns: reservation.map_or(0, |it| it.period_ns),
        }
    };
    Header {
        luge: env!("CARGO_PKG_VERSION").into(),
        started_unix_ns: 0,
        start_ns: 0,
        workers: config.workers as u16,
        scheduler: config.scheduler.name.into(),
        quantum_ns: config.params.quantum_ns,
        preemption: preemption.into(),
        dispatch: config.dispatcher.name.into(),
        tenants: (0..tenants.max().unwrap_or(0)).map(tenant).collect(),
        routes: classes
            .map(|class| Route {
                name: class.name.clone(),
                tenant: class.tenant,
                deadline_ns: (class.deadline_ns < Nanos::MAX).then_some(class.deadline_ns),
            })
            .collect(),
    }
}
