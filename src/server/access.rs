//! The access log: one line for each answer when it has left. Who writes it is in [`super::records`].

use super::Address;
use super::records::{Record, Sink};
use listener_http::Method;
use serde::Serialize;
use std::io::Write;
use std::net::IpAddr;

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
    pub sink: Sink,
    /// For people or for programs.
    pub format: Format,
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

/// The line of an answer.
pub(super) fn write(
    record: &Record,
    addresses: &[Address],
    format: Format,
    out: &mut Vec<u8>,
) -> std::io::Result<()> {
    let address = &addresses[usize::from(record.port)];
    let path = String::from_utf8_lossy(&record.path);
    let query = String::from_utf8_lossy(&record.query);
    let at = &record.timeline;
    // What was never reached is 0, and so is the time to it.
    let us = |ns: Option<u64>| ns.unwrap_or(0) as f64 / 1e3;
    let line = Line {
        time: humantime::format_rfc3339_micros(record.at).to_string(),
        request: record.request_id,
        tenant: &address.0,
        port: address.1.port(),
        client: record.client,
        method: record.method.map_or("-", Method::as_str),
        path: if path.is_empty() { "-" } else { &path },
        query: &query,
        status: record.status,
        body_bytes: record.body_bytes,
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
