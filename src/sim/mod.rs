//! The simulator: the server's own dispatch, policies and worker loop on virtual time.
//!
//! It answers what a policy would do to the tail at a load, for any number of workers, without a machine to spare. Time
//! is in integer nanoseconds and everything random comes from one seed, so a run is repeated to the byte. It knows no
//! guests, sockets or operating system; what they cost are parameters.
//!
//! | file | subject |
//! | --- | --- |
//! | [`args`] | the command line |
//! | [`engine`] | the machine: listener, workers, timers |
//! | [`stalls`] | when its cores stop |
//! | [`calendar`], [`waiting`] | when each worker is next to be looked at, and who is woken when |
//! | [`service`], [`measured`] | laws of service times, and measured ones |
//! | [`workload`] | mixes of them, by their names in the literature |
//! | [`arrivals`], [`source`] | when requests come |
//! | [`trace`], [`bursts`], [`azure`], [`csv`] | requests that were recorded |
//! | [`replay`], [`timelines`], [`recorded`] | … by a server: its requests, put together from its events, and how it did |
//! | [`front`] | estimates that are learnt, and admission |
//! | [`tenants`], [`scenario`] | who asks for what |
//! | [`notes`] | what happens, as a server records it |
//! | [`mod@run`], [`totals`], [`report`] | one simulation, what is measured in it, and its table and JSON |
//! | [`compare`], [`parallel`], [`progress`] | many simulations |
//! | [`mod@validate`] | the simulator against queueing theory |

mod args;
pub(crate) mod arrivals;
mod azure;
mod bursts;
mod calendar;
mod compare;
mod csv;
pub(crate) mod engine;
pub(crate) mod front;
mod measured;
pub(crate) mod notes;
pub(crate) mod parallel;
mod progress;
mod recorded;
pub(crate) mod replay;
mod report;
mod run;
pub(crate) mod scenario;
pub(crate) mod service;
pub(crate) mod source;
pub(crate) mod stalls;
pub(crate) mod tenants;
#[cfg(test)]
mod tests;
mod timelines;
pub(crate) mod totals;
pub(crate) mod trace;
pub(crate) mod validate;
mod waiting;
pub(crate) mod workload;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

pub use args::Args;
use args::{Command, Convert, From};
use engine::Config;
use notes::Recorder;
use progress::Progress;
use replay::{Owed, Replay};
use report::Report;
use run::Run;
use scenario::Scenario;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// What was asked for cannot be simulated, or a file cannot be read.
    #[error("{0}")]
    Input(String),
    /// The simulator does not agree with theory.
    #[error("{0} of the rows above failed")]
    Invalid(usize),
    /// The result could not be written.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

/// Runs the simulation and prints its result.
///
/// # Errors
///
/// See [`SimError`].
pub fn run(args: &Args) -> Result<(), SimError> {
    match &args.command {
        Some(Command::Validate(asked)) => return validate(asked),
        Some(Command::Convert(Convert { from })) => return convert(from),
        None => {}
    }
    let text = if args.list {
        workload::list()
    } else {
        simulate(args)?
    };
    print(&text)
}

fn simulate(args: &Args) -> Result<String, SimError> {
    let scenario = args.scenario().map_err(SimError::Input)?;
    let config = args.config(&scenario).map_err(SimError::Input)?;
    let run = args.run(&scenario);
    let estimates = args.estimates();
    let Some((contestants, loads)) = args.comparison(&config) else {
        let progress = Progress::new(run.requests);
        let report = match &args.record {
            Some(file) => record(file, &scenario, &config, &estimates, run, &progress)?,
            None => run::simulate(&scenario, &config, &estimates, run, &progress),
        };
        return match args.json {
            true => json(&report),
            false => Ok(report.table()),
        };
    };
    let reports = compare::compare(&scenario, &config, &contestants, &loads, &estimates, run);
    match args.json {
        true => json(&reports),
        false => Ok(compare::table(&reports, config.params.quantum_ns)),
    }
}

/// Simulates, and records what happens.
fn record(
    file: &Path,
    scenario: &Scenario,
    config: &Config,
    estimates: &str,
    run: Run,
    progress: &Progress,
) -> Result<Report, SimError> {
    let wrong = |error: io::Error| SimError::Input(format!("{}: {error}", file.display()));
    let out = File::create(file).map_err(wrong)?;
    let recorder = Recorder::new(BufWriter::new(out), scenario, config);
    let mut recorder = recorder.map_err(wrong)?;
    let notes = &mut recorder;
    let report = run::simulate_noting(scenario, config, estimates, run, progress, notes);
    recorder.finish().map_err(wrong)?;
    Ok(report)
}

fn validate(asked: &args::Validate) -> Result<(), SimError> {
    let rows = validate::validate(asked.seed, asked.filter.as_deref());
    if rows.is_empty() {
        return Err(SimError::Input("no row has that in its name".into()));
    }
    print(&match asked.json {
        true => json(&rows)?,
        false => validate::table(&rows),
    })?;
    match rows.iter().filter(|row| !row.holds()).count() {
        0 => Ok(()),
        failed => Err(SimError::Invalid(failed)),
    }
}

fn convert(from: &From) -> Result<(), SimError> {
    let out = &mut io::stdout().lock();
    let converted = match from {
        From::Recording { file } => convert_recording(file, out),
        From::Azure2021 { file } => {
            trace::open(file).and_then(|lines| azure::convert_2021(lines, out))
        }
        From::Azure2019(asked) => convert_2019(asked, out),
    };
    converted.map_err(SimError::Input)
}

fn convert_recording(file: &Path, out: &mut dyn Write) -> Result<(), String> {
    let replay = Replay::read(file, &Owed::new())?;
    replay.convert(out)?;
    if let Some(left_out) = replay.recording.counts.left_out() {
        eprintln!("luge sim: left out: {left_out}");
    }
    if replay.recording.is_truncated {
        eprintln!("luge sim: the end of the recording is missing");
    }
    Ok(())
}

fn convert_2019(asked: &args::Azure2019, out: &mut dyn Write) -> Result<(), String> {
    let invocations = trace::open(&asked.invocations)?;
    let durations = trace::open(&asked.durations)?;
    let unknown = azure::convert_2019(invocations, durations, asked.day(), out)?;
    if unknown > 0 {
        eprintln!("luge sim: left out {unknown} functions of which no durations are known");
    }
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Result<String, SimError> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
    Ok(text + "\n")
}

fn print(text: &str) -> Result<(), SimError> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // A reader that has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
