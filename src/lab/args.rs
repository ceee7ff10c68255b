//! The command line of `luge lab`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use perf::objective::Objective;

use super::check::{is_unknown, one_class_of};
use super::experiment::Experiment;
use super::limits::{DURATION_MAX, REPETITIONS_MAX};
use crate::cli::Span;

/// Compare policies: run experiments on servers and in the simulator, and report what they show
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    pub(super) command: Command,
}

/// See [`Args`].
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// Run an experiment and write its report
    Run(Run),
    /// The experiments that come with luge
    List,
    /// Print an experiment's file, to change a copy of it
    Show {
        /// A name of the list
        name: String,
    },
    /// Write the report of results again, maybe with other objectives
    Report(Report),
    /// Whether the second of two runs of an experiment is better or worse; exit code 1 if it is worse
    Compare(Compare),
    /// What the slowest requests were waiting for
    Explain(Explain),
    /// Measure what dispatch, start, preemption and end cost on this machine
    Calibrate {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `luge lab run`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Run {
    /// A file, or a name of the list
    pub(super) experiment: String,
    /// The folder for the report, the results and every raw file; a new one
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// An objective beside the experiment's, such as 'p99.9 slowdown <= 50' or 'p99 sojourn of short <= 2ms'; may be repeated
    #[arg(long, value_parser = Objective::parse, value_name = "OBJECTIVE")]
    slo: Vec<Objective>,
    /// Only on servers, or only in the simulator
    #[arg(long, value_enum)]
    only: Option<Only>,
    /// How often each point is measured, instead of what the experiment says
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(REPETITIONS_MAX)), value_name = "N")]
    repetitions: Option<u32>,
    /// How long requests are sent at each point, instead of what the experiment says
    #[arg(long, value_parser = duration, value_name = "TIME")]
    duration: Option<Duration>,
    /// What all randomness comes from; each repetition has the next one
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..1 << 48), value_name = "NUMBER")]
    pub(super) seed: u64,
    /// Do not keep the recordings of servers, which are the largest of the raw files
    #[arg(long)]
    pub(super) no_recordings: bool,
}

/// Where an experiment runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    /// On servers
    Live,
    /// In the simulator
    Sim,
}

/// `luge lab report`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Report {
    /// The folder of a run
    pub(super) folder: PathBuf,
    /// An objective beside those of the run; may be repeated
    #[arg(long, value_parser = Objective::parse, value_name = "OBJECTIVE")]
    pub(super) slo: Vec<Objective>,
}

/// `luge lab compare`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Compare {
    /// The folder of a run
    pub(super) first: PathBuf,
    /// The folder of another one of the same experiment
    pub(super) second: PathBuf,
    /// How much worse the second may be
    #[arg(long, default_value_t = 5.0, value_parser = percent, value_name = "PERCENT")]
    pub(super) let_pass_percent: f64,
}

/// `luge lab explain`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Explain {
    /// The folder of a run, or a recording of any server (luge serve --record)
    pub(super) path: PathBuf,
    /// How many of a million requests are the slowest, in a recording
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "N")]
    pub(super) per_million: u32,
}

fn duration(text: &str) -> Result<Duration, String> {
    let span = Span::parse(text, Duration::from_millis(1), DURATION_MAX);
    span.map(|span| span.0)
        .map_err(|right| format!("{right} would be right"))
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text
        .parse()
        .ok()
        .filter(|percent| (0.0..=1e3).contains(percent));
    percent.ok_or_else(|| "a number from 0 to 1000 would be right".to_owned())
}

impl Run {
    /// Changes an experiment by what was asked beside it; what does not fit it.
    pub(super) fn change(&self, experiment: &mut Experiment) -> Vec<String> {
        let mut problems = Vec::new();
        for objective in &self.slo {
            if let Some(class) = is_unknown(objective, &experiment.classes) {
                let right = one_class_of(&experiment.classes);
                problems.push(format!("--slo: {class:?} is not right; {right} would be"));
            }
            experiment.objectives.push(objective.clone());
        }
        match self.only {
            Some(Only::Live) => (experiment.is_live, experiment.is_simulated) = (true, false),
            Some(Only::Sim) if experiment.has_functions() => {
                let problem = "--only: sim is not right; live would be, as only a server knows how long functions take";
                problems.push(problem.to_owned());
            }
            Some(Only::Sim) => (experiment.is_live, experiment.is_simulated) = (false, true),
            None => {}
        }
        if let Some(repetitions) = self.repetitions {
            experiment.repetitions = repetitions;
        }
        if let Some(duration) = self.duration {
            experiment.duration_ns = duration.as_nanos() as u64;
        }
        problems
    }
}
