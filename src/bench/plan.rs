//! What a run is: the command line, checked. All mistakes are told at once, each with what would be right.

use std::path::PathBuf;
use std::time::Duration;

use perf::Arrivals;

use super::Args;
use super::limits::{CONNECTIONS_MAX, DESCRIPTORS_RESERVED, RATE_MAX};
use super::target::Targets;
use super::written::{Written, read};
use crate::cli::Span;

/// How requests are spread, as it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Process {
    /// `poisson`.
    Poisson,
    /// `constant`.
    Constant,
    /// `bursts:ON,OFF`.
    Bursts(Duration, Duration),
    /// `trace:FILE`.
    Trace(PathBuf),
}

impl Process {
    /// Understands the flag.
    ///
    /// # Errors
    ///
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            "poisson, constant, bursts:ON,OFF (such as bursts:100ms,900ms) or trace:FILE would be right".to_owned()
        };
        match text.split_once(':').unwrap_or((text, "")) {
            ("poisson", "") => Ok(Self::Poisson),
            ("constant", "") => Ok(Self::Constant),
            ("trace", file) if !file.is_empty() => Ok(Self::Trace(file.into())),
            ("bursts", phases) => {
                let (on, off) = phases.split_once(',').ok_or_else(wrong)?;
                Ok(Self::Bursts(span(on)?, span(off)?))
            }
            _ => Err(wrong()),
        }
    }

    /// Its name in results.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Poisson => "poisson",
            Self::Constant => "constant",
            Self::Bursts(..) => "bursts",
            Self::Trace(_) => "trace",
        }
    }
}

/// A time of a run: from a microsecond to a day.
///
/// # Errors
///
/// What would be right.
pub fn span(text: &str) -> Result<Duration, String> {
    let day = Duration::from_secs(86_400);
    let span = Span::parse(text, Duration::from_micros(1), day);
    span.map(|span| span.0)
        .map_err(|right| format!("{right} would be right"))
}

/// The same, or none at all.
///
/// # Errors
///
/// What would be right.
pub fn span_or_zero(text: &str) -> Result<Duration, String> {
    match text {
        "0" | "0s" => Ok(Duration::ZERO),
        text => span(text),
    }
}

/// A rate.
///
/// # Errors
///
/// What would be right.
pub fn rate(text: &str) -> Result<f64, String> {
    let rate = text
        .parse()
        .ok()
        .filter(|rate| (0.001..=RATE_MAX).contains(rate));
    rate.ok_or_else(|| {
        format!("a number of requests per second from 0.001 to {RATE_MAX} would be right")
    })
}

/// A number of connections.
///
/// # Errors
///
/// What would be right.
pub fn connections(text: &str) -> Result<usize, String> {
    let count = text
        .parse()
        .ok()
        .filter(|count| (1..=CONNECTIONS_MAX).contains(count));
    let count =
        count.ok_or_else(|| format!("a number from 1 to {CONNECTIONS_MAX} would be right"))?;
    Ok(count as usize)
}

/// See the module's text.
pub struct Plan {
    /// What is sent, where to, and what is expected.
    pub targets: Targets,
    /// When; `None` in a closed loop.
    pub arrivals: Option<Arrivals>,
    /// Of which target each request of the schedule is; `None`: drawn by weight.
    pub sequence: Option<Vec<u32>>,
    /// How it is called.
    pub process: &'static str,
    /// Requests per second that are meant, unless the loop is closed.
    pub rate: Option<f64>,
    /// How long requests are sent.
    pub duration_ns: u64,
    /// How many at most.
    pub requests_max: u64,
    /// How much of the beginning is not measured.
    pub warmup_ns: u64,
    /// How long a request may take, from its intended time.
    pub timeout_ns: u64,
    /// How long before a request is due the generator stays awake.
    pub spin_ns: u64,
    /// For each server.
    pub connections: usize,
    /// Whether a connection is used for more than one request.
    pub keep_alive: bool,
    /// What all randomness comes from.
    pub seed: u64,
}

impl Plan {
    /// Checks the command line.
    ///
    /// # Errors
    ///
    /// All mistakes, each with its place and what would be right.
    pub fn new(args: &Args) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let keep_alive = !args.no_keep_alive;
        let targets = args.targets(keep_alive).unwrap_or_else(|found| {
            problems.extend(found);
            Targets::default()
        });
        let arrivals = args.arrivals().unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let duration = match &arrivals {
            Some(Arrivals::Trace(times_ns)) => {
                let last_ns = times_ns.last().copied().unwrap_or(0);
                args.duration.unwrap_or(Duration::from_nanos(last_ns + 1))
            }
            _ => args.duration.unwrap_or(Duration::from_secs(10)),
        };
        let usual = match args.requests {
            Some(_) => Duration::ZERO,
            None => duration / 10,
        };
        let warmup = args.warmup.unwrap_or(usual);
        if warmup >= duration {
            problems.push(format!(
                "--warmup: {warmup:?} is not right; less than the duration of {duration:?} would be"
            ));
        }
        problems.extend(descriptors(args.connections, targets.origins.len()).err());
        let duration_ns = duration.as_nanos() as u64;
        let rate = arrivals
            .as_ref()
            .map(|arrivals| intended(arrivals, duration));
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            targets,
            process: if args.closed {
                "closed"
            } else {
                args.arrivals.name()
            },
            arrivals,
            sequence: None,
            rate,
            duration_ns,
            requests_max: args.requests.unwrap_or(u64::MAX),
            warmup_ns: warmup.as_nanos() as u64,
            timeout_ns: args.timeout.as_nanos() as u64,
            spin_ns: args.spin.as_nanos() as u64,
            connections: args.connections,
            keep_alive,
            seed: args.seed,
        })
    }
}

/// Allows so many descriptors as the connections take.
fn descriptors(connections: usize, servers: usize) -> Result<(), String> {
    let wanted = (connections * servers) as u64 + DESCRIPTORS_RESERVED;
    // Where it cannot be asked, connecting says what is wrong.
    let may = rlimit::increase_nofile_limit(wanted).unwrap_or(wanted);
    if may >= wanted {
        return Ok(());
    }
    let most = may.saturating_sub(DESCRIPTORS_RESERVED) / servers.max(1) as u64;
    Err(format!(
        "--connections: {connections} is not right; at most {most} for each server, or a higher limit (ulimit -n), \
         would be"
    ))
}

/// Requests per second.
fn intended(arrivals: &Arrivals, duration: Duration) -> f64 {
    match arrivals {
        Arrivals::Poisson { rate }
        | Arrivals::Constant { rate }
        | Arrivals::Bursts { rate, .. } => *rate,
        Arrivals::Trace(times_ns) => {
            let sent = times_ns.partition_point(|at_ns| u128::from(*at_ns) < duration.as_nanos());
            sent as f64 / duration.as_secs_f64()
        }
    }
}

impl Args {
    fn targets(&self, keep_alive: bool) -> Result<Targets, Vec<String>> {
        match &self.targets {
            Some(path) => Targets::from_file(path, keep_alive),
            None if self.urls.is_empty() => Err(vec![
                "URL: there is none; at least one, or a file of them (--targets), would be right"
                    .to_owned(),
            ]),
            None => {
                let mut problems = Vec::new();
                let headers = self.headers.iter().filter_map(|header| {
                    let pair = header
                        .split_once(':')
                        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
                    if pair.is_none() {
                        problems.push(format!(
                            "--header: {header:?} is not right; NAME: VALUE would be"
                        ));
                    }
                    pair
                });
                let headers = headers.collect();
                let one = Written {
                    method: self.method.clone(),
                    headers,
                    body: self.body.clone(),
                    body_file: self.body_file.clone(),
                    expect_status: self.expect_status,
                    expect_body: self.expect_body.clone(),
                    expect_length: self.expect_length,
                    expect_sha256: self.expect_sha256.clone(),
                    ..Written::default()
                };
                let url = |url: &String| Written {
                    url: url.clone(),
                    ..one.clone()
                };
                let written: Vec<Written> = self.urls.iter().map(url).collect();
                match Targets::from_flags(&written, keep_alive) {
                    Ok(targets) if problems.is_empty() => Ok(targets),
                    Ok(_) => Err(problems),
                    Err(found) => Err([problems, found].concat()),
                }
            }
        }
    }

    fn arrivals(&self) -> Result<Option<Arrivals>, String> {
        if self.closed {
            return Ok(None);
        }
        let rate = self.rate;
        let given = || {
            rate.ok_or_else(|| {
                "--rate: there is none; requests per second, or a closed loop (--closed), would be right".to_owned()
            })
        };
        Ok(Some(match &self.arrivals {
            Process::Poisson => Arrivals::Poisson { rate: given()? },
            Process::Constant => Arrivals::Constant { rate: given()? },
            Process::Bursts(on, off) => Arrivals::Bursts {
                rate: given()?,
                on_ns: on.as_nanos() as u64,
                off_ns: off.as_nanos() as u64,
            },
            Process::Trace(_) if rate.is_some() => {
                return Err("--rate: a trace has its own; one of them would be right".to_owned());
            }
            Process::Trace(path) => {
                let place = |problem: String| format!("--arrivals: {}: {problem}", path.display());
                let bytes = read(path).map_err(|error| place(error.to_string()))?;
                Arrivals::trace(&String::from_utf8_lossy(&bytes)).map_err(|(line, right)| {
                    place(format!("line {line} is not right; {right}, would be"))
                })?
            }
        }))
    }
}
