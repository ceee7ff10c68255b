//! The access log: one line for each answer when it has left, written by a thread of its own.
//!
//! The listener copies what it knows into a bounded ring and goes on; a reader that is too slow loses
//! lines, which are counted, and never delays a request. The writer looks at the ring every few
//! milliseconds, so that filling it wakes nobody.

use super::Address;
use crate::limits::{ACCESS_RECORDS_MAX, ACCESS_WRITE_EVERY};
use listener::{Answered, Timeline};
use listener_http::Method;
use rtrb::{Consumer, Producer, RingBuffer};
use serde::Serialize;
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Where the lines go, and how they look.
pub struct AccessLogTo {
    /// A file, or standard output.
    pub sink: Box<dyn Write + Send>,
    /// For people or for programs.
    pub format: Format,
}

/// The listener's end.
pub struct AccessLog {
    records: Producer<Record>,
    lost: Arc<AtomicU64>,
}

struct Record {
    at: SystemTime,
    request_id: u64,
    port: u16,
    client: Option<IpAddr>,
    method: Option<Method>,
    path: Box<[u8]>,
    query: Box<[u8]>,
    status: u16,
    body_bytes: u64,
    timeline: Timeline,
}

/// A line; times in microseconds.
#[derive(Serialize)]
struct Line<'a> {
    /// RFC 3339.
    time: String,
    /// 0 where it was refused before it had one.
    request: u64,
    tenant: &'a str,
    port: u16,
    /// Its address; null if it had gone before it was looked at.
    client: Option<IpAddr>,
    method: &'a str,
    path: &'a str,
    query: &'a str,
    /// 499: the client went away before the answer.
    status: u16,
    body_bytes: u64,
    /// From the request's first byte to its last.
    received_us: f64,
    /// From there until the kernel had the answer's last byte.
    latency_us: f64,
    /// Of it, before the sandbox started.
    queued_us: f64,
    /// Of it, time that the function held a core.
    ran_us: f64,
    /// Of that, in calls of the host.
    host_us: f64,
    /// Of it, time that the function could have run and others did.
    preempted_us: f64,
    /// Of it, time that the function waited for something.
    blocked_us: f64,
    /// Of it, from the answer's hand-over to its connection on.
    written_us: f64,
    preemptions: u32,
}

impl AccessLog {
    /// Starts the writer; `addresses` are the ports in the order of their indices. It ends when the log is dropped
    /// and all lines are written.
    ///
    /// # Errors
    ///
    /// No thread can be made.
    pub fn start(
        to: AccessLogTo,
        addresses: &[Address],
    ) -> std::io::Result<(AccessLog, std::thread::JoinHandle<()>)> {
        let (records, source) = RingBuffer::new(ACCESS_RECORDS_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            source,
            lost: lost.clone(),
            to,
            addresses: addresses.to_vec(),
        };
        let thread = std::thread::Builder::new()
            .name("luge-access-log".into())
            .spawn(move || writer.run())?;
        Ok((AccessLog { records, lost }, thread))
    }

    pub(crate) fn record(&mut self, answered: &Answered<'_>) {
        let record = Record {
            at: SystemTime::now(),
            request_id: answered.request_id,
            port: answered.port,
            client: answered.client,
            method: answered.method,
            path: answered.path.into(),
            query: answered.query.into(),
            status: answered.status.0,
            body_bytes: answered.body_bytes,
            timeline: *answered.timeline,
        };
        if self.records.push(record).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Writer {
    source: Consumer<Record>,
    lost: Arc<AtomicU64>,
    to: AccessLogTo,
    addresses: Vec<Address>,
}

impl Writer {
    fn run(mut self) {
        loop {
            let last = self.source.is_abandoned();
            if let Err(error) = self.write() {
                tracing::error!(%error, "the access log cannot be written: it ends here");
                return;
            }
            if last {
                return;
            }
            std::thread::sleep(ACCESS_WRITE_EVERY);
        }
    }

    fn write(&mut self) -> std::io::Result<()> {
        let mut text = Vec::new();
        while let Ok(record) = self.source.pop() {
            let address = &self.addresses[usize::from(record.port)];
            record.format(address, self.to.format, &mut text)?;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "access log lines were lost: its writer is too slow");
        }
        self.to.sink.write_all(&text)?;
        self.to.sink.flush()
    }
}

impl Record {
    fn format(&self, address: &Address, format: Format, out: &mut Vec<u8>) -> std::io::Result<()> {
        let path = String::from_utf8_lossy(&self.path);
        let query = String::from_utf8_lossy(&self.query);
        let at = &self.timeline;
        // What was never reached is 0, and so is the time to it.
        let us = |ns: Option<u64>| ns.unwrap_or(0) as f64 / 1e3;
        let line = Line {
            time: humantime::format_rfc3339_micros(self.at).to_string(),
            request: self.request_id,
            tenant: &address.0,
            port: address.1.port(),
            client: self.client,
            method: self.method.map_or("-", Method::as_str),
            path: if path.is_empty() { "-" } else { &path },
            query: &query,
            status: self.status,
            body_bytes: self.body_bytes,
            received_us: us(at.received_ns()),
            latency_us: us(at.latency_ns()),
            queued_us: us(at.queued_ns()),
            ran_us: us(Some(at.ran_ns)),
            host_us: us(Some(at.host_ns)),
            preempted_us: us(Some(at.preempted_ns)),
            blocked_us: us(Some(at.blocked_ns)),
            written_us: us(at.written_ns()),
            preemptions: at.preemptions,
        };
        match format {
            Format::Human => line.write(out),
            Format::Json => {
                serde_json::to_writer(&mut *out, &line)?;
                out.write_all(b"\n")
            }
        }
    }
}

impl Line<'_> {
    fn write(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        let client = self.client.map_or("-".to_owned(), |it| it.to_string());
        let mark = if self.query.is_empty() { "" } else { "?" };
        writeln!(
            out,
            "{} {}:{} {client} #{} {} {}{mark}{} {} {} B, {:.1} us (queued {:.1}, ran {:.1}, of it {:.1} in the host, preempted {:.1} in {} \
             times, blocked {:.1}, written {:.1}; received {:.1})",
            self.time,
            self.tenant,
            self.port,
            self.request,
            self.method,
            self.path,
            self.query,
            self.status,
            self.body_bytes,
            self.latency_us,
            self.queued_us,
            self.ran_us,
            self.host_us,
            self.preempted_us,
            self.preemptions,
            self.blocked_us,
            self.written_us,
            self.received_us,
        )
    }
}
