//! The flight recorder: what the threads noted last, written out when somebody asks or a request missed its objective;
//! and the recording of all of it, if that is wanted.
//!
//! ```text
//!   listener, workers ── note ──► rings of events ◄── read ── flight thread ──► --record FILE, as they come
//!   SIGUSR2, objective missed ── order ─────────────────────►      │ └──────► --flight-dir: the rings, as trace and recording
//! ```
//!
//! The threads on the data path only note (see [`perf::event`]); everything else happens on one thread off it, which
//! reads the rings some fifty times a second while it records, and else sleeps. What it cannot keep up with is
//! overwritten, counted, and said.

use super::seams::{Clock, Monotonic};
use crate::limits::{FLIGHT_EVERY, FLIGHTS_BY_OBJECTIVE_MAX, RECORD_BUFFER_BYTES, RECORD_EVERY};
use perf::event::EventReader;
use perf::recording::{Chunk, Header, LISTENER, Writer};
use perf::trace;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::SystemTime;

/// Where flights and the recording go.
#[derive(Default)]
pub struct FlightTo {
    /// The folder for what is written out on demand or for an objective; `None`: nowhere.
    pub folder: Option<PathBuf>,
    /// Where everything is recorded; `None`: nowhere.
    pub record: Option<Box<dyn Write + Send>>,
}

/// What the threads noted last, for any thread to read.
#[derive(Clone)]
pub struct Flight {
    header: Arc<Header>,
    /// By source: the listener, then the workers.
    readers: Arc<[EventReader]>,
}

/// Has the flight recorder written out, from any thread.
#[derive(Clone)]
pub struct FlightControl {
    orders: SyncSender<Order>,
}

/// The listener's end: notices requests that missed their objectives.
pub struct Objectives {
    orders: SyncSender<Order>,
    /// Not before this one is enough.
    next_ns: u64,
    left: u32,
}

enum Order {
    WriteOut,
    Missed { request: u64, took_ns: u64 },
    End,
}

impl Flight {
    /// Over the rings of the listener and of each worker.
    pub fn new(header: Header, readers: Vec<EventReader>) -> Flight {
        Flight {
            header: Arc::new(header),
            readers: readers.into(),
        }
    }

    /// What is in the rings now.
    fn snapshot(&self) -> Vec<Chunk> {
        let sources = (LISTENER..).zip(&*self.readers);
        let chunks = sources.map(|(source, reader)| Chunk {
            source,
            // What came before is not lost: nobody wanted it.
            lost: 0,
            events: reader.read(0).events,
        });
        chunks.collect()
    }

    /// What the threads noted last, as a trace for Chrome's or Perfetto's viewer.
    ///
    /// # Errors
    ///
    /// What `out` says.
    pub fn write_trace(&self, out: &mut impl Write) -> io::Result<()> {
        trace::write(out, &self.header, &self.snapshot())
    }

    /// The same as a recording, for `luge sim --replay`.
    ///
    /// # Errors
    ///
    /// What `out` says.
    pub fn write_recording(&self, out: &mut impl Write) -> io::Result<()> {
        write_chunks(&mut Writer::new(out, &self.header)?, &self.snapshot())
    }

    /// Writes both into a folder; their paths without the ending.
    fn write_out(&self, folder: &Path, why: &str) -> io::Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let base = folder.join(format!("luge-flight-{}-{why}", now.replace(':', "")));
        // One snapshot in both forms.
        let chunks = self.snapshot();
        let create = |ending: &str| {
            let mut path = base.clone().into_os_string();
            path.push(ending);
            // What another one has written at the same moment is kept.
            File::create_new(path).map(BufWriter::new)
        };
        let mut file = create(".trace.json")?;
        trace::write(&mut file, &self.header, &chunks)?;
        file.flush()?;
        let mut file = create(".rec")?;
        write_chunks(&mut Writer::new(&mut file, &self.header)?, &chunks)?;
        file.flush()?;
        Ok(base)
    }
}

fn write_chunks(writer: &mut Writer<impl Write>, chunks: &[Chunk]) -> io::Result<()> {
    for chunk in chunks {
        writer.write(chunk.source, chunk.lost, &chunk.events)?;
    }
    writer.flush()
}

impl FlightControl {
    /// Has what was noted last written out. Returns at once; what comes of it is in the log.
    pub fn write_out(&self) {
        // One that waits already will do.
        drop(self.orders.try_send(Order::WriteOut));
    }
}

impl Objectives {
    /// A request has taken so long, which is more than it was meant to. Never waits.
    pub fn missed(&mut self, now: u64, request: u64, took_ns: u64) {
        if now < self.next_ns || self.left == 0 {
            return;
        }
        self.next_ns = now.saturating_add(FLIGHT_EVERY.as_nanos() as u64);
        if self
            .orders
            .try_send(Order::Missed { request, took_ns })
            .is_ok()
        {
            self.left -= 1;
        }
    }
}

/// The flight thread, from outside.
pub(super) struct FlightThread {
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
}

impl FlightThread {
    /// Starts it. What was noted before is part of the recording.
    pub fn start(flight: Flight, to: FlightTo) -> io::Result<FlightThread> {
        let (orders, inbox) = sync_channel(4);
        let recording = match to.record {
            None => None,
            Some(sink) => Some(Recording::new(&flight, sink)?),
        };
        let recorder = Recorder {
            flight,
            folder: to.folder,
            recording,
            inbox,
        };
        let thread = std::thread::Builder::new()
            .name("luge-flight".into())
            .spawn(move || recorder.run())?;
        Ok(FlightThread { orders, thread })
    }

    pub fn control(&self) -> FlightControl {
        FlightControl {
            orders: self.orders.clone(),
        }
    }

    pub fn objectives(&self) -> Objectives {
        Objectives {
            orders: self.orders.clone(),
            next_ns: 0,
            left: FLIGHTS_BY_OBJECTIVE_MAX,
        }
    }

    /// Records what is left, and ends it. For when nobody notes any more.
    pub fn end(self) {
        // The thread takes every order in turn, so there will be room.
        drop(self.orders.send(Order::End));
        self.thread
            .join()
            .expect("the flight thread does not panic");
    }
}

struct Recorder {
    flight: Flight,
    folder: Option<PathBuf>,
    recording: Option<Recording>,
    inbox: Receiver<Order>,
}

impl Recorder {
    fn run(mut self) {
        loop {
            let order = match &self.recording {
                Some(_) => self.inbox.recv_timeout(RECORD_EVERY),
                None => self
                    .inbox
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
            };
            self.record();
            match order {
                Ok(Order::WriteOut) => self.write_out("asked"),
                Ok(Order::Missed { request, took_ns }) => {
                    let took_us = took_ns / 1_000;
                    tracing::warn!(request, took_us, "a request missed its objective");
                    self.write_out("objective");
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(recording) = &self.recording {
            recording.log();
        }
    }

    fn record(&mut self) {
        if let Some(recording) = &mut self.recording
            && let Err(error) = recording.go_on(&self.flight)
        {
            tracing::error!(%error, "the recording cannot be written: it ends here");
            recording.log();
            self.recording = None;
        }
    }

    fn write_out(&self, why: &str) {
        let Some(folder) = &self.folder else {
            tracing::warn!("the flight recorder has nowhere to write to: --flight-dir is off");
            return;
        };
        match self.flight.write_out(folder, why) {
            Ok(base) => {
                let flight = base.display();
                tracing::info!(%flight, "the flight recorder was written out: .trace.json and .rec");
            }
            Err(error) => {
                let folder = folder.display();
                tracing::error!(%folder, %error, "the flight recorder cannot be written out");
            }
        }
    }
}

/// A recording under way.
struct Recording {
    writer: Writer<Counted<BufWriter<Box<dyn Write + Send>>>>,
    /// By source: the number of the next event.
    next: Vec<u64>,
    events: u64,
    lost: u64,
}

impl Recording {
    fn new(flight: &Flight, sink: Box<dyn Write + Send>) -> io::Result<Recording> {
        let out = Counted {
            out: BufWriter::with_capacity(RECORD_BUFFER_BYTES, sink),
            bytes: 0,
        };
        Ok(Recording {
            writer: Writer::new(out, &flight.header)?,
            next: vec![0; flight.readers.len()],
            events: 0,
            lost: 0,
        })
    }

    fn go_on(&mut self, flight: &Flight) -> io::Result<()> {
        for ((source, reader), next) in (LISTENER..).zip(&*flight.readers).zip(&mut self.next) {
            let mut written = Ok(());
            *next = reader.read_blocks(*next, |lost, events| {
                if self.lost == 0 && lost > 0 {
                    tracing::warn!(
                        "events were overwritten before they could be recorded: more --flight-events would help"
                    );
                }
                self.events += events.len() as u64;
                self.lost += lost;
                if written.is_ok() {
                    written = self.writer.write(source, lost, events);
                }
            });
            written?;
        }
        self.writer.flush()
    }

    fn log(&self) {
        let (events, lost, bytes) = (self.events, self.lost, self.writer.sink().bytes);
        tracing::info!(events, lost, bytes, "recorded");
    }
}

/// Counts what is written.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// When a server starts, by the clock of its events and by the calendar.
pub(super) fn started() -> (u64, u64) {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let unix_ns = unix.unwrap_or_default().as_nanos();
    (
        Monotonic.now_ns(),
        u64::try_from(unix_ns).unwrap_or(u64::MAX),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use perf::event::{What, ring};
    use perf::recording::Reader;
    use std::sync::Mutex;

    fn flight(events: usize) -> (Flight, Vec<perf::event::EventWriter>) {
        let (writers, readers) = (0..3).map(|_| ring(events)).unzip();
        let header = Header {
            workers: 2,
            ..Header::default()
        };
        (Flight::new(header, readers), writers)
    }

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .expect("nobody panics")
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn of_source(recording: &[u8], source: u16) -> (Vec<u64>, u64) {
        let chunks = Reader::new(recording).expect("a recording");
        let chunks: Vec<_> = chunks.map(|chunk| chunk.expect("a chunk")).collect();
        let own = || chunks.iter().filter(|chunk| chunk.source == source);
        let events = own().flat_map(|chunk| &chunk.events);
        let requests = events.map(|event| event.request).collect();
        (requests, own().map(|chunk| chunk.lost).sum())
    }

    /// Whatever was noted before the end is recorded, once and in order.
    #[test]
    fn a_recording_has_everything_that_was_noted() {
        let (flight, mut writers) = flight(1 << 16);
        let file = Shared::default();
        let to = FlightTo {
            folder: None,
            record: Some(Box::new(file.clone())),
        };
        writers[1].note(1, 0, What::Taken);
        let thread = FlightThread::start(flight, to).expect("a thread");
        for request in 1..10_000 {
            writers[1].note(request, request, What::Taken);
            if request % 1_000 == 0 {
                thread.control().write_out();
            }
        }
        writers[2].note(7, 7, What::Taken);
        thread.end();
        let file = file.0.lock().expect("nobody panics");
        assert_eq!(of_source(&file, 1), ((0..10_000).collect(), 0));
        assert_eq!(of_source(&file, 2), (vec![7], 0));
    }

    #[test]
    fn what_is_overwritten_is_counted() {
        let (flight, mut writers) = flight(16);
        for request in 0..100 {
            writers[0].note(request, request, What::Sent);
        }
        let file = Shared::default();
        let mut recording = Recording::new(&flight, Box::new(file.clone())).expect("a vector");
        recording.go_on(&flight).expect("a vector takes all");
        assert_eq!((recording.events, recording.lost), (15, 85));
        let mut last = Vec::new();
        flight
            .write_recording(&mut last)
            .expect("a vector takes all");
        assert_eq!(of_source(&last, 0), ((85..100).collect(), 0));
    }

    #[test]
    fn of_many_misses_few_are_written_out() {
        let (orders, inbox) = sync_channel(100);
        let mut objectives = Objectives {
            orders,
            next_ns: 0,
            left: 2,
        };
        let every_ns = FLIGHT_EVERY.as_nanos() as u64;
        for (now, expected) in [(5, 1), (6, 1), (4 + every_ns, 1), (5 + every_ns, 2)] {
            objectives.missed(now, 1, 1);
            let count = expected - objectives.left.abs_diff(2) as usize;
            assert_eq!(count, 0, "at {now}");
        }
        objectives.missed(10 * every_ns, 1, 1);
        assert_eq!(inbox.try_iter().count(), 2);
    }
}
