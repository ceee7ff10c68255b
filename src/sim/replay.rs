//! A server's recording as what is asked of a simulated one: a trace of its requests, and what its header says of the
//! server. What each request did is put together in [`super::timelines`]; how the server fared is [`super::recorded`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use perf::recording::{self, Header, Reader, Route};
use sched::limits::WEIGHT_MAX;
use sched::{Nanos, Reservation, Tenant};

use super::csv::Lines;
use super::timelines::{Counts, Timelines};
use super::trace::{Record, Trace, TraceClass, bursts_text, label};

/// Bytes that are read of a file at a time.
const READ_BYTES: usize = 1 << 20;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Its classes are the routes that were asked for, its tenants those whose routes they are.
    pub trace: Trace,
    pub recording: Recording,
}

/// What a recording says beside its requests.
#[derive(Clone, Debug)]
pub struct Recording {
    pub file: PathBuf,
    pub header: Header,
    /// By class of the trace: the route in the header.
    pub routes: Vec<u16>,
    /// By tenant of the trace: what the whole server owed it.
    pub owed: Vec<Tenant>,
    pub counts: Counts,
    /// The end of the file is missing.
    pub is_truncated: bool,
}

/// What is owed to tenants, by their names, whatever the recording says.
pub type Owed = BTreeMap<String, Tenant>;

impl Replay {
    /// Reads a recording, chunk by chunk.
    ///
    /// # Errors
    ///
    /// A sentence that names the file and what is wrong with it.
    pub fn read(path: &Path, owed: &Owed) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::of(path, BufReader::with_capacity(READ_BYTES, file), owed)
    }

    /// As [`Replay::read`], of a file that is open.
    pub fn of(path: &Path, input: impl Read, owed: &Owed) -> Result<Self, String> {
        let read = Self::examine(path, input, owed);
        read.map_err(|why| format!("{}: {why}", path.display()))
    }

    fn examine(path: &Path, input: impl Read, owed: &Owed) -> Result<Self, String> {
        let mut reader = Reader::new(input).map_err(|error| error.to_string())?;
        let header = reader.header().clone();
        let tenants = tenants(&header, owed)?;
        let mut timelines = Timelines::new(&header);
        for chunk in reader.by_ref() {
            timelines.take(&chunk.map_err(|error| error.to_string())?)?;
        }
        let (mut records, bursts, counts) = timelines.finish();
        if let (true, Some(left_out)) = (records.is_empty(), counts.left_out()) {
            return Err(format!("no request in it is whole: {left_out}"));
        }
        let used = Used::new(&header, &mut records);
        let names = used.tenants.iter();
        let names = names.map(|&tenant| header.tenants[usize::from(tenant)].name.clone());
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let names = (&*name, names.collect());
        let trace = Trace::new(names, used.classes, records, bursts)?;
        let owed = used.tenants.iter();
        let recording = Recording {
            file: path.into(),
            routes: used.routes,
            owed: owed.map(|&tenant| tenants[usize::from(tenant)]).collect(),
            counts,
            is_truncated: reader.is_truncated(),
            header,
        };
        Ok(Self { trace, recording })
    }

    /// Writes the trace that it is.
    ///
    /// # Errors
    ///
    /// A sentence about why not.
    pub fn convert(&self, out: &mut dyn Write) -> Result<(), String> {
        let columns = "arrival_us,service_us,class,tenant,deadline_us,bursts_us";
        let mut lines = Lines::new(out, columns)?;
        let us = |time_ns: Nanos| time_ns as f64 / 1e3;
        for record in self.trace.records() {
            let route = self.recording.route(usize::from(record.class));
            let tenant = owner(&self.recording.header, route);
            lines.put(format_args!(
                "{},{},{},{},{},{}",
                us(record.arrival_ns as Nanos),
                us(record.service_ns),
                field(path(route, tenant)),
                field(&tenant.name),
                route
                    .deadline_ns
                    .map_or(String::new(), |ns| us(ns).to_string()),
                bursts_text(self.trace.bursts(record)),
            ))?;
        }
        lines.finish()
    }
}

impl Recording {
    /// From arrival to deadline of a class's requests; `u64::MAX` for none.
    pub fn deadline_ns(&self, class: usize) -> Nanos {
        self.route(class).deadline_ns.unwrap_or(Nanos::MAX)
    }

    fn route(&self, class: usize) -> &Route {
        &self.header.routes[usize::from(self.routes[class])]
    }
}

/// What the whole server owed its tenants.
fn tenants(header: &Header, owed: &Owed) -> Result<Vec<Tenant>, String> {
    for route in &header.routes {
        if usize::from(route.tenant) >= header.tenants.len() {
            let (name, tenant, count) = (&route.name, route.tenant, header.tenants.len());
            return Err(format!(
                "its header is damaged: route {name:?} is of tenant {tenant} of {count}"
            ));
        }
    }
    let is_known = |name: &&String| header.tenants.iter().any(|tenant| tenant.name == **name);
    if let Some(name) = owed.keys().find(|name| !is_known(name)) {
        let names: Vec<&str> = header.tenants.iter().map(|tenant| &*tenant.name).collect();
        let names = names.join(", ");
        return Err(format!("has no tenant {name:?}, only {names}"));
    }
    let recorded = header.tenants.iter().map(|tenant| {
        if let Some(owed) = owed.get(&tenant.name) {
            return Ok(*owed);
        }
        let (name, weight) = (&tenant.name, tenant.weight);
        if !(1..=WEIGHT_MAX).contains(&weight) {
            return Err(format!(
                "its header is damaged: the weight of tenant {name:?} is {weight}, not from 1 to {WEIGHT_MAX}"
            ));
        }
        let reservation = Reservation {
            budget_ns: tenant.budget_ns,
            period_ns: tenant.period_ns,
        };
        Ok(Tenant {
            weight,
            reservation: (tenant.budget_ns > 0).then_some(reservation),
        })
    });
    recorded.collect()
}

/// Of a server that has many routes most are not asked for.
struct Used {
    classes: Vec<TraceClass>,
    /// By class: the one in the header, in its order.
    routes: Vec<u16>,
    /// By tenant of a class: the one in the header, in its order.
    tenants: Vec<u16>,
}

impl Used {
    /// The classes of records are routes, and become those of the classes.
    fn new(header: &Header, records: &mut [Record]) -> Self {
        let mut class_of: Vec<Option<u16>> = vec![None; header.routes.len()];
        for record in &*records {
            class_of[usize::from(record.class)] = Some(0);
        }
        let mut used = Self {
            classes: Vec::new(),
            routes: Vec::new(),
            tenants: Vec::new(),
        };
        let routes = (0..).zip(&class_of).filter(|(_, class)| class.is_some());
        used.routes = routes.map(|(route, _)| route).collect();
        let route = |route: u16| &header.routes[usize::from(route)];
        let tenants = used.routes.iter().map(|&it| route(it).tenant);
        used.tenants = BTreeSet::from_iter(tenants).into_iter().collect();
        // Who is alone needs no name.
        let is_alone = used.tenants.len() == 1;
        for (class, &at) in (0..).zip(&used.routes) {
            class_of[usize::from(at)] = Some(class);
            let (route, tenant) = (route(at), owner(header, route(at)));
            let name = match is_alone {
                true => path(route, tenant).to_owned(),
                false => label(&tenant.name, path(route, tenant)),
            };
            let tenant = used.tenants.binary_search(&route.tenant);
            let tenant = tenant.expect("its route is used") as u16;
            used.classes.push(TraceClass::new(name, tenant));
        }
        for record in records {
            let class = class_of[usize::from(record.class)];
            record.class = class.expect("its route is used");
        }
        used
    }
}

fn owner<'a>(header: &'a Header, route: &Route) -> &'a recording::Tenant {
    &header.tenants[usize::from(route.tenant)]
}

/// A route without its tenant, which servers put before it in logs.
fn path<'a>(route: &'a Route, tenant: &recording::Tenant) -> &'a str {
    let path = route.name.strip_prefix(&tenant.name);
    let path = path.filter(|path| path.starts_with('/'));
    path.unwrap_or(&route.name)
}

/// A name as a field of CSV: a comma would be the field's end.
fn field(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for char in name.chars() {
        match char {
            ',' => text += "%2C",
            char if char.is_control() => text += &format!("%{:02X}", char as u32),
            char => text.push(char),
        }
    }
    text
}
