//! Records of requests that are over, on their way to the logs that are written of them, by a thread of its own.
//!
//! ```text
//!   listener ── bounded ring ──► writer's thread ──► access log (`access`)
//!                                               ├──► SLEdge's log of sandboxes, and of sessions (`sledge_logs`)
//! ```
//!
//! The listener copies what it knows into the ring and goes on; a reader that is too slow loses records, which are
//! counted, and never delays a request. The writer looks at the ring every few milliseconds, so that filling it wakes
//! nobody. A log that cannot be written any more ends; the others go on.

use super::access::{self, AccessLogTo};
use super::routes::Routes;
use super::{Address, sledge_logs};
use crate::limits::{ACCESS_RECORDS_MAX, ACCESS_WRITE_EVERY};
use listener::{Answered, Timeline};
use listener_http::Method;
use rtrb::{Consumer, Producer, RingBuffer};
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::SystemTime;

/// Where a log goes.
pub type Sink = Box<dyn Write + Send>;

/// The logs that are written.
#[derive(Default)]
pub struct Logs {
    /// A line for each answer.
    pub access: Option<AccessLogTo>,
    /// SLEdge's log of sandboxes.
    pub sandboxes: Option<CsvTo>,
    /// SLEdge's log of HTTP sessions.
    pub sessions: Option<CsvTo>,
}

/// Where rows go.
pub struct CsvTo {
    /// A file.
    pub sink: Sink,
    /// Nothing is in it yet: it begins with the columns' names.
    pub is_new: bool,
}

impl Logs {
    fn is_empty(&self) -> bool {
        self.access.is_none() && self.sandboxes.is_none() && self.sessions.is_none()
    }
}

/// The listener's end.
pub struct Recorder {
    records: Producer<Record>,
    lost: Arc<AtomicU64>,
}

/// What is told of a request.
pub(super) struct Record {
    pub at: SystemTime,
    pub request_id: u64,
    pub port: u16,
    pub route: Option<u16>,
    pub client: Option<IpAddr>,
    pub method: Option<Method>,
    pub path: Box<[u8]>,
    pub query: Box<[u8]>,
    pub status: u16,
    pub head_bytes: u64,
    pub body_bytes: u64,
    pub received_bytes: u64,
    pub timeline: Timeline,
}

impl Recorder {
    /// Starts the writer, if there is anything to write; `addresses` are the ports in the order of their indices. It
    /// ends when the recorder is dropped and all is written.
    ///
    /// # Errors
    ///
    /// No thread can be made.
    pub fn start(
        logs: Logs,
        addresses: &[Address],
        routes: Arc<Routes>,
    ) -> io::Result<Option<(Recorder, JoinHandle<()>)>> {
        if logs.is_empty() {
            return Ok(None);
        }
        let (records, source) = RingBuffer::new(ACCESS_RECORDS_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            source,
            lost: lost.clone(),
            logs: Log::all(logs),
            around: Around {
                addresses: addresses.to_vec(),
                routes,
            },
        };
        let thread = std::thread::Builder::new()
            .name("luge-records".into())
            .spawn(move || writer.run())?;
        Ok(Some((Recorder { records, lost }, thread)))
    }

    pub(crate) fn record(&mut self, answered: &Answered<'_>) {
        let record = Record {
            at: SystemTime::now(),
            request_id: answered.request_id,
            port: answered.port,
            route: answered.route,
            client: answered.client,
            method: answered.method,
            path: answered.path.into(),
            query: answered.query.into(),
            status: answered.status.0,
            head_bytes: answered.head_bytes,
            body_bytes: answered.body_bytes,
            received_bytes: answered.received_bytes,
            timeline: *answered.timeline,
        };
        if self.records.push(record).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a record names by numbers.
pub(super) struct Around {
    pub addresses: Vec<Address>,
    pub routes: Arc<Routes>,
}

/// One of the logs.
struct Log {
    name: &'static str,
    sink: Sink,
    /// Writes what it has to say of a record.
    format: Format,
    text: Vec<u8>,
}

type Format = Box<dyn Fn(&Record, &Around, &mut Vec<u8>) -> io::Result<()> + Send>;

impl Log {
    fn all(logs: Logs) -> Vec<Log> {
        let access = logs.access.map(|AccessLogTo { sink, format }| Log {
            name: "access log",
            sink,
            format: Box::new(move |record, around, out| {
                access::write(record, &around.addresses, format, out)
            }),
            text: Vec::new(),
        });
        let csv = |name, header: &str, row: fn(&Record, &Around, &mut Vec<u8>)| {
            let text = header.as_bytes().to_vec();
            move |CsvTo { sink, is_new }| Log {
                name,
                sink,
                format: Box::new(move |record, around, out| {
                    row(record, around, out);
                    Ok(())
                }),
                text: if is_new { text } else { Vec::new() },
            }
        };
        let (header, row) = (sledge_logs::SANDBOX_HEADER, sledge_logs::sandbox_row);
        let sandboxes = logs.sandboxes.map(csv("log of sandboxes", header, row));
        let (header, row) = (sledge_logs::SESSION_HEADER, sledge_logs::session_row);
        let sessions = logs.sessions.map(csv("log of sessions", header, row));
        [access, sandboxes, sessions]
            .into_iter()
            .flatten()
            .collect()
    }

    fn write(&mut self) -> io::Result<()> {
        self.sink.write_all(&self.text)?;
        self.text.clear();
        self.sink.flush()
    }
}

struct Writer {
    source: Consumer<Record>,
    lost: Arc<AtomicU64>,
    logs: Vec<Log>,
    around: Around,
}

impl Writer {
    fn run(mut self) {
        loop {
            let last = self.source.is_abandoned();
            self.write();
            if last {
                return;
            }
            std::thread::sleep(ACCESS_WRITE_EVERY);
        }
    }

    fn write(&mut self) {
        let mut failed = vec![None; self.logs.len()];
        while let Ok(record) = self.source.pop() {
            for (log, failed) in self.logs.iter_mut().zip(&mut failed) {
                let formatted = (log.format)(&record, &self.around, &mut log.text);
                *failed = failed
                    .take()
                    .or(formatted.err().map(|error| error.to_string()));
            }
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(
                lost,
                "lines of requests' logs were lost: their writer is too slow"
            );
        }
        let mut failed = failed.into_iter();
        self.logs.retain_mut(|log| {
            let formatted = failed.next().flatten().map_or(Ok(()), Err);
            let written = log.write().map_err(|error| error.to_string());
            let outcome = formatted.and(written);
            if let Err(error) = &outcome {
                let log = log.name;
                tracing::error!(error, log, "a log cannot be written: it ends here");
            }
            outcome.is_ok()
        });
    }
}
