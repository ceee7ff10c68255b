//! `luge bench`: loads any HTTP/1.1 server and says how long its answers took, and how sure that is.
//!
//! In an open loop, the usual one, requests leave by a schedule that the server cannot slow down, and their latencies
//! count from the time at which they were meant to be sent: a server that stalls is charged for all who would have come
//! meanwhile (no coordinated omission; Tene 2013, Schroeder 2006). The generator measures its own lag, too, and says when
//! a run tells more about it than about the server.
//!
//! | file | subject |
//! | --- | --- |
//! | [`plan`] | the command line, checked |
//! | [`target`], [`written`] | what is asked, what is expected |
//! | [`load`] | the loop: schedule, queues, timeouts |
//! | `connection` | what happens to a connection |
//! | [`response`] | reading answers |
//! | [`ring`] | the sockets, over io_uring |
//! | [`books`], [`tally`] | what is counted |
//! | [`report`], `table` | the figures, for programs and for people |
//! | [`progress`] | the bar |
//!
//! What is pure and of use elsewhere, the schedules, statistics and files, is in `perf`. Not here: TLS, HTTP/2, pipelining,
//! and more than one thread. The server's code is not used but for the decoding of chunks and the making of a ring.

pub(crate) mod books;
mod connection;
mod limits;
pub(crate) mod load;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod report;
mod response;
mod ring;
mod table;
pub(crate) mod tally;
pub(crate) mod target;
pub(crate) mod written;

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use perf::formats::{Interval, hgrm, hlog};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli::{Exit, print};
use load::LoadError;
use plan::{Plan, Process};
use progress::{Counts, Progress};
use report::Report;

/// Load an HTTP/1.1 server, and say how long its answers took
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Where to send requests; several get equal shares
    #[arg(value_name = "URL")]
    urls: Vec<String>,

    /// Targets from a file, a JSON array; see below
    #[arg(long, value_name = "FILE", conflicts_with = "urls")]
    targets: Option<PathBuf>,

    /// Requests per second, all targets together
    #[arg(long, value_parser = plan::rate, value_name = "NUMBER")]
    rate: Option<f64>,

    /// When they are sent: poisson, constant, bursts:ON,OFF or trace:FILE (CSV, seconds from the start)
    #[arg(long, default_value = "poisson", value_parser = Process::parse, value_name = "PROCESS")]
    arrivals: Process,

    /// No schedule: each connection sends again as soon as it is answered
    #[arg(long, conflicts_with_all = ["rate", "arrivals"])]
    closed: bool,

    /// How long requests are sent [default: 10s, or a trace's length]
    #[arg(long, value_parser = plan::span, value_name = "TIME")]
    duration: Option<Duration>,

    /// How many requests are sent at most
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "NUMBER")]
    requests: Option<u64>,

    /// How much of the beginning is not measured [default: a tenth of the duration; with --requests none]
    #[arg(long, value_parser = plan::span_or_zero, value_name = "TIME")]
    warmup: Option<Duration>,

    /// Connections, for each server
    #[arg(long, default_value = "64", value_parser = plan::connections, value_name = "NUMBER")]
    connections: usize,

    /// A new connection for each request
    #[arg(long)]
    no_keep_alive: bool,

    /// How long a request may take from its intended time
    #[arg(long, default_value = "10s", value_parser = plan::span, value_name = "TIME")]
    timeout: Duration,

    /// How long before a request is due the generator stays awake; 1s: always
    #[arg(long, default_value = "100us", value_parser = plan::span_or_zero, value_name = "TIME")]
    spin: Duration,

    /// What all randomness comes from
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,

    /// The method [default: GET, or POST with a body]
    #[arg(long, conflicts_with = "targets", help_heading = "Request")]
    method: Option<String>,

    /// A header; may be repeated
    #[arg(
        long = "header",
        conflicts_with = "targets",
        value_name = "NAME: VALUE",
        help_heading = "Request"
    )]
    headers: Vec<String>,

    /// The body
    #[arg(long, conflicts_with_all = ["targets", "body_file"], value_name = "TEXT", help_heading = "Request")]
    body: Option<String>,

    /// A file with the body
    #[arg(
        long,
        conflicts_with = "targets",
        value_name = "FILE",
        help_heading = "Request"
    )]
    body_file: Option<PathBuf>,

    /// The status that is right [default: any 2xx]
    #[arg(
        long,
        conflicts_with = "targets",
        value_name = "CODE",
        help_heading = "Request"
    )]
    expect_status: Option<u16>,

    /// The body that is right
    #[arg(
        long,
        conflicts_with = "targets",
        value_name = "TEXT",
        help_heading = "Request"
    )]
    expect_body: Option<String>,

    /// The length of the body that is right
    #[arg(
        long,
        conflicts_with = "targets",
        value_name = "BYTES",
        help_heading = "Request"
    )]
    expect_length: Option<u64>,

    /// The SHA-256 of the body that is right
    #[arg(
        long,
        conflicts_with = "targets",
        value_name = "DIGITS",
        help_heading = "Request"
    )]
    expect_sha256: Option<String>,

    /// Write the results as JSON; - prints them instead of the table
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    json: Option<PathBuf>,

    /// Write a line for each target as CSV
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    csv: Option<PathBuf>,

    /// Write the percentile spectrum of all latencies, as HdrHistogram's plotter reads it
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    hgrm: Option<PathBuf>,

    /// Write a histogram for each second and target (HdrHistogram's interval log, V2)
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    hlog: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Targets of a file have url and, if wanted, name, method, weight, headers (an object), body or body-file,
expect-status, and one of expect-body, expect-length, expect-sha256:
  [{\"url\": \"http://127.0.0.1:10010/fib?10\", \"weight\": 9, \"expect-body\": \"55\\n\"},
   {\"url\": \"http://127.0.0.1:10010/resize\", \"body-file\": \"sample.jpg\", \"expect-status\": 200}]

Latencies count from the time at which a request was meant to be sent. Percentiles come with 95 % confidence
intervals, and are not told (n/a) where fewer than ten values lie beyond. Exit code 1 if a request failed.
A generator that was late is told (INVALID), and changes no exit code.";

/// Runs the load and prints what became of it.
pub fn run(args: &Args) -> Exit {
    let plan = match Plan::new(args) {
        Ok(plan) => plan,
        Err(problems) => {
            for problem in problems {
                eprintln!("luge bench: {problem}");
            }
            return Exit::Configuration;
        }
    };
    match run_plan(args, &plan) {
        Ok(exit) => exit,
        Err(Error::Load(LoadError::Ring(error))) => {
            eprintln!("luge bench: {error}");
            Exit::Ring
        }
        Err(error) => {
            eprintln!("luge bench: {error}");
            Exit::Failure
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{0}: {1}")]
    File(String, io::Error),
    #[error("signals: {0}")]
    Signals(io::Error),
}

impl Error {
    fn file(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        |error| Self::File(path.display().to_string(), error)
    }
}

fn run_plan(args: &Args, plan: &Plan) -> Result<Exit, Error> {
    let stop = stop_on_signal().map_err(Error::Signals)?;
    // Made before the run: a folder that is not there is not to be found out afterwards.
    let files = [&args.json, &args.csv, &args.hgrm].map(|path| path.as_deref().map(create));
    let [json, csv, spectrum] = files.map(Option::transpose);
    let (mut json, mut csv, mut spectrum) = (json?, csv?, spectrum?);
    let (intervals, log) = match &args.hlog {
        Some(path) => write_log(path)?,
        None => (None, None),
    };
    let counts = Arc::new(Counts::default());
    let progress = Progress::start(&counts, Duration::from_nanos(plan.duration_ns));
    let started = SystemTime::now();
    let result = load::run(plan, &stop, &counts, intervals);
    counts.is_over();
    progress.end();
    let books = result?;

    let report = Report::new(plan, &books, started, stop.load(Ordering::Relaxed));
    let text = report.json();
    if let Some((path, file)) = &mut json {
        file.write_all(text.as_bytes()).map_err(Error::file(path))?;
    }
    if let Some((path, file)) = &mut csv {
        file.write_all(report.csv().as_bytes())
            .map_err(Error::file(path))?;
    }
    if let Some((path, file)) = &mut spectrum {
        let all = report::all(&books);
        file.write_all(hgrm(&all.latency_ns).as_bytes())
            .map_err(Error::file(path))?;
    }
    if let (Some(path), Some(log)) = (&args.hlog, log) {
        let written = log
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("its writer has failed")));
        written.map_err(Error::file(path))?;
    }
    let printed = match args.json.as_deref() == Some(Path::new("-")) {
        true => Exit::Ok,
        false => print(&report.table()),
    };
    for warning in report.warnings() {
        eprintln!("luge bench: {warning}");
    }
    Ok(if report.is_right() {
        printed
    } else {
        Exit::Failure
    })
}

/// The first SIGINT or SIGTERM ends the run, a second one the process.
pub(crate) fn stop_on_signal() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let code = 128 + signal;
        signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

type Output = Box<dyn io::Write + Send>;

fn create(path: &Path) -> Result<(PathBuf, Output), Error> {
    let output: Output = match path == Path::new("-") {
        true => Box::new(io::stdout()),
        false => Box::new(File::create(path).map_err(Error::file(path))?),
    };
    Ok((path.to_owned(), output))
}

type Log = (Option<Sender<Interval>>, Option<JoinHandle<io::Result<()>>>);

/// Starts the thread that writes the interval log.
fn write_log(path: &Path) -> Result<Log, Error> {
    let (_, output) = create(path)?;
    let (sender, intervals) = channel();
    let write = move || {
        let mut output = BufWriter::new(output);
        hlog(&mut output, SystemTime::now(), intervals)?;
        output.flush()
    };
    let thread = thread::Builder::new().name("hlog".into()).spawn(write);
    Ok((Some(sender), Some(thread.map_err(Error::file(path))?)))
}
