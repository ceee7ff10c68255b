//! Requests as they were recorded: what came when, and how long it ran.
//!
//! A trace is CSV (see [`super::csv`]) with these columns, in any order, its rows in any order of time:
//!
//! | column | is |
//! | --- | --- |
//! | `arrival_us` | when it came, from any origin; also `_ns`, `_ms`, `_s` |
//! | `service_us` | how long it ran; also `_ns`, `_ms`, `_s`. Without this column services are drawn from the workload's class of the same name |
//! | `class` | optional unless services are drawn: what kind of request it is, a row in the report |
//! | `tenant` | optional: whose it is |
//! | `deadline_us` | optional: from arrival to deadline, empty for none |
//! | `bursts_us` | optional: how it works and waits by turns, `20+300+5` for 20 µs of work, a wait of 300 and 5 of work; `y` in place of a wait is a yield. It goes before `service_us`, unless it is empty |
//!
//! Time begins at the first arrival. The trace of Azure Functions of 2021 is read as well: see [`super::azure`].

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;

use clap::ValueEnum;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use sched::Nanos;

use super::arrivals::Estimate;
use super::azure;
use super::bursts::Bursts;
use super::csv::{self, Column, Row, Table};
use super::engine::{Burst, Request, Then};
use super::source::{Open, Source};
use super::workload::Workload;
use crate::worker::Arrival;

/// How many requests a trace may have; each takes 48 bytes.
pub const REQUESTS_MAX: usize = 100_000_000;

/// How long a trace may be with all its work and waits one after the other, in nanoseconds: 146 years. No run of it
/// comes near the end of what a time can be.
const TIME_MAX_NS: u128 = 1 << 62;

/// In place of a time that the trace does not tell.
pub const UNTOLD: Nanos = Nanos::MAX;

/// How many classes.
const CLASSES_MAX: usize = u16::MAX as usize;

/// Lines of a file.
pub type FileLines = Lines<BufReader<File>>;

/// The form of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns arrival_us and service_us or class; also tenant, deadline_us
    Luge,
    /// Azure Functions 2021: columns app, func, end_timestamp, duration in seconds
    #[value(name = "azure-2021")]
    Azure2021,
}

/// See the module's text. It has at least one request.
#[derive(Clone, Debug)]
pub struct Trace {
    pub name: String,
    pub classes: Vec<TraceClass>,
    pub tenants: Vec<String>,
    /// By arrival.
    records: Vec<Record>,
    bursts: Bursts,
}

#[derive(Clone, Debug)]
pub struct TraceClass {
    pub name: String,
    pub tenant: u16,
    requests: u64,
    service_sum_ns: u128,
}

/// A request of a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    pub arrival_ns: i64,
    /// All its bursts together. At least 1.
    pub service_ns: Nanos,
    /// From arrival; or [`UNTOLD`].
    pub deadline_ns: Nanos,
    /// What was expected of it, 0 for nothing; or [`UNTOLD`].
    pub expected_ns: Nanos,
    /// From arrival to end, as it was; or [`UNTOLD`].
    pub sojourn_ns: Nanos,
    /// As [`Bursts::push`] said, or [`Bursts::NONE`].
    pub bursts: u32,
    pub class: u16,
    /// Its service is a guess: it has not run.
    pub is_guess: bool,
}

const _: () = assert!(size_of::<Record>() == 48);

impl Record {
    /// A request of which nothing else is told.
    pub fn new(arrival_ns: i64, service_ns: Nanos, class: u16) -> Self {
        Self {
            arrival_ns,
            service_ns: service_ns.max(1),
            deadline_ns: UNTOLD,
            expected_ns: UNTOLD,
            sojourn_ns: UNTOLD,
            bursts: Bursts::NONE,
            class,
            is_guess: false,
        }
    }
}

impl TraceClass {
    pub fn new(name: String, tenant: u16) -> Self {
        Self {
            name,
            tenant,
            requests: 0,
            service_sum_ns: 0,
        }
    }

    pub fn mean_ns(&self) -> Nanos {
        ((self.service_sum_ns / u128::from(self.requests.max(1))) as Nanos).max(1)
    }
}

/// Collects a trace row by row.
#[derive(Default)]
pub struct Builder {
    tenants: Vec<String>,
    tenant_index: HashMap<String, u16>,
    classes: Vec<TraceClass>,
    class_index: HashMap<(u16, String), u16>,
    records: Vec<Record>,
    bursts: Bursts,
}

impl Builder {
    /// The index of a class, which is made if it is new. `label` is how it is called in reports.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub fn class(&mut self, tenant: &str, class: &str, label: &str) -> Result<u16, String> {
        let tenant = match self.tenant_index.get(tenant) {
            Some(&index) => index,
            None => {
                let index = index_of(self.tenants.len(), "tenants")?;
                self.tenants.push(tenant.into());
                self.tenant_index.insert(tenant.into(), index);
                index
            }
        };
        let key = (tenant, class.to_owned());
        if let Some(&index) = self.class_index.get(&key) {
            return Ok(index);
        }
        let index = index_of(self.classes.len(), "classes")?;
        self.classes.push(TraceClass::new(label.into(), tenant));
        self.class_index.insert(key, index);
        Ok(index)
    }

    /// Adds a request.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub fn push(&mut self, record: Record) -> Result<(), String> {
        if self.records.len() >= REQUESTS_MAX {
            return Err(format!("there are more than {REQUESTS_MAX} requests"));
        }
        self.records.push(record);
        Ok(())
    }

    /// Adds a request that works and waits by turns, which is told by its bursts.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub fn push_bursts(&mut self, mut record: Record, bursts: &[Burst]) -> Result<(), String> {
        record.bursts = self.bursts.push(bursts)?;
        let works = bursts.iter().map(|burst| burst.work_ns);
        record.service_ns = works.fold(0, Nanos::saturating_add);
        self.push(record)
    }

    /// The trace, in order of time from its first arrival on.
    ///
    /// # Errors
    ///
    /// See [`Trace::new`].
    pub fn finish(self, name: &str) -> Result<Trace, String> {
        let names = (name, self.tenants);
        Trace::new(names, self.classes, self.records, self.bursts)
    }
}

fn index_of(count: usize, what: &str) -> Result<u16, String> {
    if count >= CLASSES_MAX {
        return Err(format!("there are more than {CLASSES_MAX} {what}"));
    }
    Ok(count as u16)
}

impl Trace {
    /// Requests in any order of time; those of the same time are in the order of their arrival. Names are the trace's and
    /// the tenants'.
    ///
    /// # Errors
    ///
    /// There are none, or they take too long.
    pub fn new(
        (name, tenants): (&str, Vec<String>),
        mut classes: Vec<TraceClass>,
        mut records: Vec<Record>,
        bursts: Bursts,
    ) -> Result<Self, String> {
        records.sort_by_key(|record| record.arrival_ns);
        let first = records.first().ok_or("there are no requests in it")?;
        let first_ns = first.arrival_ns;
        let mut total_ns = bursts.waits_ns();
        for record in &mut records {
            record.arrival_ns -= first_ns;
            let class = &mut classes[usize::from(record.class)];
            class.requests += 1;
            class.service_sum_ns += u128::from(record.service_ns);
            total_ns += u128::from(record.service_ns);
        }
        total_ns += records[records.len() - 1].arrival_ns as u128;
        if total_ns > TIME_MAX_NS {
            return Err("its work and its waits are longer than a century".into());
        }
        Ok(Self {
            name: name.into(),
            classes,
            tenants,
            records,
            bursts,
        })
    }

    /// Reads a file. Services that it does not tell are drawn from `workload`, with this seed.
    ///
    /// # Errors
    ///
    /// A sentence that names the file and the line.
    pub fn read(
        path: &Path,
        format: Format,
        workload: &Workload,
        seed: u64,
    ) -> Result<Self, String> {
        let place = path.display();
        let lines = open(path)?;
        let name = path.file_stem().unwrap_or_default();
        let mut builder = Builder::default();
        let read = match format {
            Format::Luge => read_luge(lines, workload, seed, &mut builder),
            Format::Azure2021 => azure::read_2021(lines, &mut builder),
        };
        read.and_then(|()| builder.finish(&name.to_string_lossy()))
            .map_err(|error| format!("{place}: {error}"))
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Its requests in the order of their numbers.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// How long a request waits for other things than a processor.
    pub fn waits_ns(&self, record: &Record) -> Nanos {
        let waits = self.bursts(record).map(|burst| match burst.then {
            Then::Wait(wait_ns) => wait_ns,
            Then::Yield | Then::End => 0,
        });
        waits.sum()
    }

    /// The bursts of a request; none if it is all of a piece.
    pub fn bursts(&self, record: &Record) -> impl Iterator<Item = Burst> + '_ {
        self.bursts.each(record.bursts)
    }

    /// `E[S]` of its requests.
    pub fn mean_ns(&self) -> f64 {
        self.moment(1)
    }

    pub fn scv(&self) -> f64 {
        self.moment(2) / self.moment(1).powi(2) - 1.0
    }

    fn moment(&self, k: i32) -> f64 {
        let services = self.records.iter();
        let sum: f64 = services
            .map(|record| (record.service_ns as f64).powi(k))
            .sum();
        sum / self.records.len() as f64
    }

    /// The load that it is to so many workers; `None` if all comes at once.
    pub fn load(&self, workers: usize) -> Option<f64> {
        let span_ns = self.records[self.records.len() - 1].arrival_ns;
        let service_ns = self.mean_ns() * self.records.len() as f64;
        (span_ns > 0).then(|| service_ns / (span_ns as f64 * workers as f64))
    }

    /// The requests; `deadlines_ns` are those of the classes.
    pub fn source(&self, asked: Asked, deadlines_ns: Vec<Nanos>) -> impl Source + '_ {
        let requests = self.requests(asked, deadlines_ns);
        Recorded {
            open: Open::new(requests.take(asked.requests as usize)),
            trace: self,
        }
    }

    fn requests(&self, asked: Asked, deadlines_ns: Vec<Nanos>) -> impl Iterator<Item = Request> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(asked.seed);
        let numbered = self.records.iter().zip(0..);
        numbered.map(move |(record, seq)| {
            let arrival_ns = match asked.stretch {
                1.0 => record.arrival_ns as Nanos,
                stretch => (record.arrival_ns as f64 * stretch).round() as Nanos,
            };
            let class = &self.classes[usize::from(record.class)];
            let told = |time_ns, else_ns| match time_ns {
                UNTOLD => else_ns,
                told_ns => told_ns,
            };
            let deadline_ns = told(record.deadline_ns, deadlines_ns[usize::from(record.class)]);
            let (mean_ns, service_ns) = (class.mean_ns(), record.service_ns);
            let expected_ns = match asked.estimate {
                Some(estimate) => estimate.of(mean_ns, service_ns, &mut random),
                None => told(record.expected_ns, mean_ns),
            };
            let arrival = Arrival {
                seq,
                tenant: class.tenant,
                route: record.class,
                arrival_ns,
                deadline_ns: arrival_ns.saturating_add(deadline_ns),
                expected_ns,
            };
            Request {
                arrival,
                service_ns,
            }
        })
    }
}

/// How a trace is to be replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// How many of its requests, the first.
    pub requests: u64,
    /// What the times between them are multiplied by.
    pub stretch: f64,
    /// What is expected of each; `None`: as the trace tells, or the mean of its class.
    pub estimate: Option<Estimate>,
    /// For errors of estimates.
    pub seed: u64,
}

/// A trace as it is replayed.
struct Recorded<'a, I> {
    open: Open<I>,
    trace: &'a Trace,
}

impl<I: Iterator<Item = Request>> Source for Recorded<'_, I> {
    fn peek_ns(&self) -> Option<Nanos> {
        self.open.peek_ns()
    }

    fn take(&mut self) -> Request {
        self.open.take()
    }

    fn has_bursts(&self) -> bool {
        !self.trace.bursts.is_empty()
    }

    fn burst(&self, request: &Request, at: u32) -> Option<Burst> {
        let record = &self.trace.records[request.arrival.seq as usize];
        self.trace.bursts.of(record.bursts, at)
    }
}

/// Opens a text file.
///
/// # Errors
///
/// A sentence that names it.
pub fn open(path: &Path) -> Result<FileLines, String> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(BufReader::new(file).lines())
}

type Lookup = fn(&Row<'_>, Option<Column>) -> Result<String, String>;

/// Reads a trace of luge's own form.
///
/// # Errors
///
/// A sentence that names the line.
pub fn read_luge(
    lines: impl Iterator<Item = std::io::Result<String>>,
    workload: &Workload,
    seed: u64,
    builder: &mut Builder,
) -> Result<(), String> {
    let mut table = Table::new(lines)?;
    let arrival = table.time_column("arrival");
    let arrival = arrival.ok_or("line 1: there is no column arrival_us (nor _ns, _ms, _s)")?;
    let service = table.time_column("service");
    let deadline = table.time_column("deadline");
    let bursts = table.time_column("bursts");
    let class = table.column("class").ok();
    let tenant = table.column("tenant").ok();
    if service.is_none() && class.is_none() {
        return Err("line 1: there is neither a column service_us nor a column class".into());
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let name: Lookup = |row, column| {
        Ok(column
            .map(|c| row.text(c))
            .transpose()?
            .unwrap_or("")
            .into())
    };
    while let Some(row) = table.next_row()? {
        let (owner, kind) = (name(&row, tenant)?, name(&row, class)?);
        let bursts = match bursts {
            Some(bursts) if !row.text(bursts.0)?.is_empty() => parse_bursts(&row, bursts)?,
            _ => Vec::new(),
        };
        let service_ns = match (service, class) {
            _ if !bursts.is_empty() => 0,
            (Some(service), _) => row.time_ns(service)?,
            (None, Some(column)) => {
                let known = workload.classes.iter().find(|class| class.name == kind);
                let drawn = known.map(|class| class.service.sample(&mut random));
                let names: Vec<&str> = workload.classes.iter().map(|class| &*class.name).collect();
                let wanted = format!("is not a class of the workload: {}", names.join(", "));
                drawn.ok_or_else(|| row.wrong(column, &wanted))?
            }
            (None, None) => unreachable!("looked at above"),
        };
        let class = builder.class(&owner, &kind, &label(&owner, &kind))?;
        let mut record = Record::new(row.time_ns(arrival)? as i64, service_ns, class);
        if let Some(deadline) = deadline
            && !row.text(deadline.0)?.is_empty()
        {
            record.deadline_ns = row.time_ns(deadline)?;
        }
        match bursts.len() {
            0 => builder.push(record)?,
            _ => builder.push_bursts(record, &bursts)?,
        }
    }
    Ok(())
}

/// What stands for a yield in place of a wait.
const YIELD: &str = "y";

/// Work and waits by turns, work first and last.
fn parse_bursts(row: &Row<'_>, (column, per_unit_ns): (Column, f64)) -> Result<Vec<Burst>, String> {
    let parts: Vec<&str> = row.text(column)?.split('+').collect();
    let wrong = || row.wrong(column, "is not WORK+WAIT+WORK, and so on");
    let time_ns = |text: &str| {
        let time: Option<f64> = text.trim().parse().ok();
        let time_ns = time.map(|time| (time * per_unit_ns).round());
        let time_ns = time_ns.filter(|time_ns| (0.0..=csv::TIME_MAX_NS).contains(time_ns));
        time_ns.map(|time_ns| time_ns as Nanos).ok_or_else(wrong)
    };
    let mut bursts = Vec::with_capacity(parts.len() / 2 + 1);
    for pair in parts.chunks(2) {
        let then = match pair.get(1).map(|wait| wait.trim()) {
            None => Then::End,
            Some(YIELD) => Then::Yield,
            Some(wait) => Then::Wait(time_ns(wait)?),
        };
        let work_ns = time_ns(pair[0])?.max(1);
        bursts.push(Burst { work_ns, then });
    }
    match bursts.last() {
        Some(last) if last.then == Then::End => Ok(bursts),
        _ => Err(wrong()),
    }
}

/// As [`parse_bursts`] reads it, in microseconds.
pub fn bursts_text(bursts: impl Iterator<Item = Burst>) -> String {
    let us = |time_ns: Nanos| time_ns as f64 / 1e3;
    let burst = |burst: Burst| match burst.then {
        Then::End => us(burst.work_ns).to_string(),
        Then::Yield => format!("{}+{YIELD}+", us(burst.work_ns)),
        Then::Wait(wait_ns) => format!("{}+{}+", us(burst.work_ns), us(wait_ns)),
    };
    bursts.map(burst).collect()
}

/// How a class of a tenant is called.
pub fn label(tenant: &str, class: &str) -> String {
    match (tenant, class) {
        ("", "") => "requests".into(),
        ("", only) | (only, "") => only.into(),
        // A route.
        (tenant, class) if class.starts_with('/') => format!("{tenant}{class}"),
        (tenant, class) => format!("{tenant}/{class}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(text: &str) -> Result<Trace, String> {
        let workload = Workload::parse("rocksdb-5").expect("a name");
        let mut builder = Builder::default();
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        read_luge(lines, &workload, 1, &mut builder)?;
        builder.finish("t")
    }

    fn asked(stretch: f64) -> Asked {
        Asked {
            requests: u64::MAX,
            stretch,
            estimate: None,
            seed: 1,
        }
    }

    /// Arrival, service, deadline (absolute) and class of each request.
    fn seen(trace: &Trace, stretch: f64) -> Vec<(Nanos, Nanos, Nanos, u16)> {
        let requests = trace.requests(asked(stretch), vec![500, 600]);
        let row = |r: Request| {
            (
                r.arrival.arrival_ns,
                r.service_ns,
                r.arrival.deadline_ns,
                r.arrival.route,
            )
        };
        requests.map(row).collect()
    }

    #[test]
    fn columns_come_in_any_order_and_unit_and_rows_in_any_order_of_time() {
        let text = "# recorded\n\nclass,service_us,arrival_ms,deadline_ns,other\nb,2,3.5,,x\na,0.001,1.5,7,\nb,4,3.5,9,\n";
        let trace = trace(text).expect("a trace");
        let expected = [
            (0, 1, 7, 1),
            (2_000_000, 2_000, 2_000_500, 0),
            (2_000_000, 4_000, 2_000_009, 0),
        ];
        assert_eq!(seen(&trace, 1.0), expected);
        assert_eq!(seen(&trace, 0.5)[1].0, 1_000_000);
        assert_eq!(trace.classes[0].mean_ns(), 3_000);
        assert_eq!(trace.load(2), Some(6_001.0 / 4_000_000.0));
    }

    #[test]
    fn services_are_drawn_for_the_classes_of_a_workload() {
        let trace = trace("arrival_s,class,tenant\n0,scan,x\n1,get,y\n2,get,x\n").expect("a trace");
        let services: Vec<Nanos> = seen_services(&trace);
        assert_eq!(services, [635_000, 1_500, 1_500]);
        assert_eq!(trace.tenants, ["x", "y"]);
        let names: Vec<&str> = trace.classes.iter().map(|class| &*class.name).collect();
        assert_eq!(names, ["x/scan", "y/get", "x/get"]);
    }

    fn seen_services(trace: &Trace) -> Vec<Nanos> {
        trace
            .requests(asked(1.0), vec![0; 3])
            .map(|request| request.service_ns)
            .collect()
    }

    #[test]
    fn errors_name_the_line() {
        let rows = [
            ("", "the header is missing"),
            ("arrival_us,service_us\n", "there are no requests"),
            (
                "arrival,service_us\n1,1\n",
                "line 1: there is no column arrival_us",
            ),
            ("arrival_us\n1\n", "line 1: there is neither"),
            (
                "arrival_us,service_us\n1,2\n\n3\n",
                "line 4: service_us is missing",
            ),
            (
                "arrival_us,service_us\n-1,2\n",
                "line 2: arrival_us: \"-1\" is not a number from 0 on",
            ),
            (
                "arrival_us,service_us\nnan,2\n",
                "line 2: arrival_us: \"nan\"",
            ),
            (
                "arrival_us,service_s\n1,1e99\n",
                "line 2: service_s: \"1e99\" is more than a year",
            ),
            (
                "arrival_us,class\n1,put\n",
                "line 2: class: \"put\" is not a class of the workload: get, scan",
            ),
            (
                "arrival_us,service_us,deadline_us\n1,1,soon\n",
                "line 2: deadline_us: \"soon\"",
            ),
        ];
        for (text, part) in rows {
            let said = trace(text).expect_err(text);
            assert!(said.contains(part), "{text:?}: {said}");
        }
    }
}
