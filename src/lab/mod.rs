//! `luge lab`: compares policies, on servers that it starts, in the simulator, or both, and tells what it found in one page.
//!
//! An experiment is a file: requests × policies × values of one axis × repetitions. Every policy gets the same requests
//! (common random numbers); servers run one after the other in an order of chance; what is measured of them comes from their
//! recordings, and what the simulator says from the same events.
//!
//! | file | subject |
//! | --- | --- |
//! | [`experiment`], [`check`], [`shipped`] | what is to be found out |
//! | [`requests`] | the requests of a run |
//! | [`places`], [`spec`], [`server`], [`live`] | runs on servers |
//! | [`simulated`] | runs in the simulator |
//! | [`mod@calibrate`], [`seen`], [`stalled`], [`noise`], [`manifest`] | what things cost here, what the machine does, what it is |
//! | [`mod@run`] | all runs of an experiment |
//! | [`measured`], [`results`], [`digest`] | what a run has shown, and all of them |
//! | [`agreement`], [`theory`] | what simulator and theory say beside |
//! | [`mod@report`], [`compare`], [`explain`] | what is told of it |
//!
//! What is of use elsewhere (charts, pages, statistics, stories, objectives) is in `perf`.

mod agreement;
mod args;
mod calibrate;
mod check;
mod compare;
mod digest;
mod experiment;
mod explain;
mod limits;
mod live;
mod manifest;
mod measured;
mod noise;
mod places;
mod report;
mod requests;
mod results;
mod run;
mod seen;
mod server;
mod shipped;
mod simulated;
mod spec;
mod stalled;
#[cfg(test)]
mod tests;
mod theory;

use std::path::Path;

use crate::bench::stop_on_signal;
use crate::cli::{Exit, print};
pub use args::Args;
use args::{Command, Compare, Explain, Report, Run};
use calibrate::Calibration;
use compare::Verdict;
use experiment::Experiment;
use live::Live;
use places::Places;
use results::Results;
use run::Order;

/// Does what is asked.
pub fn run(args: &Args) -> Exit {
    let done = match &args.command {
        Command::Run(asked) => run_experiment(asked),
        Command::List => Ok(print(&shipped::list())),
        Command::Show { name } => show(name),
        Command::Report(asked) => report_again(asked),
        Command::Compare(asked) => compare_two(asked),
        Command::Explain(asked) => explain_tail(asked),
        Command::Calibrate { json } => calibrate(*json),
    };
    done.unwrap_or_else(|Wrong(problems, exit)| {
        for problem in problems {
            eprintln!("luge lab: {problem}");
        }
        exit
    })
}

/// What is wrong, and how the process ends for it.
struct Wrong(Vec<String>, Exit);

impl From<String> for Wrong {
    fn from(problem: String) -> Self {
        Self(vec![problem], Exit::Failure)
    }
}

/// A shipped experiment by its name, or a file.
fn find(name: &str) -> Result<Experiment, Wrong> {
    if let Some(shipped) = shipped::named(name) {
        return Ok(shipped.experiment());
    }
    let path = Path::new(name);
    if !path.exists() {
        let names: Vec<_> = shipped::SHIPPED
            .iter()
            .map(|shipped| shipped.name)
            .collect();
        let problem = format!(
            "{name}: there is no such file; a file, or one of {} would be right",
            names.join(", ")
        );
        return Err(Wrong(vec![problem], Exit::Configuration));
    }
    Experiment::read(path).map_err(|problems| Wrong(problems, Exit::Configuration))
}

fn run_experiment(asked: &Run) -> Result<Exit, Wrong> {
    let mut experiment = find(&asked.experiment)?;
    let problems = asked.change(&mut experiment);
    if !problems.is_empty() {
        return Err(Wrong(problems, Exit::Configuration));
    }
    prepare(&asked.out)?;
    let out = std::path::absolute(&asked.out).map_err(|error| format!("--out: {error}"))?;
    let stop = stop_on_signal().map_err(|error| format!("signals: {error}"))?;
    let order = Order {
        experiment: &experiment,
        out: &out,
        seed: asked.seed,
        keeps_recordings: !asked.no_recordings,
        stop: &stop,
    };
    let results = order.carry_out()?;
    results.write(&asked.out)?;
    let told = write_report(&results, &asked.out)?;
    let printed = print(&told);
    let is_whole = results.manifest.ended_early.is_none();
    Ok(if is_whole { printed } else { Exit::Failure })
}

/// A folder that nothing is in.
fn prepare(out: &Path) -> Result<(), Wrong> {
    let place = |error: std::io::Error| format!("--out {}: {error}", out.display());
    std::fs::create_dir_all(out).map_err(place)?;
    match std::fs::read_dir(out).map_err(place)?.next() {
        None => Ok(()),
        Some(_) => {
            let problem = format!(
                "--out {}: is not empty; a new folder would be right",
                out.display()
            );
            Err(Wrong(vec![problem], Exit::Configuration))
        }
    }
}

/// Writes the report; what is to be told at the end.
fn write_report(results: &Results, out: &Path) -> Result<String, Wrong> {
    let page = report::page(results);
    let file = out.join(report::FILE);
    let written = std::fs::write(&file, page.html());
    written.map_err(|error| format!("{}: {error}", file.display()))?;
    let lead: String = page
        .lead
        .iter()
        .map(|paragraph| format!("{paragraph}\n"))
        .collect();
    Ok(format!("{}\n\n{lead}\n{}\n", page.title, file.display()))
}

fn show(name: &str) -> Result<Exit, Wrong> {
    match shipped::named(name) {
        Some(shipped) => Ok(print(shipped.text)),
        None => find(name).map(|experiment| print(&experiment.text)),
    }
}

fn report_again(asked: &Report) -> Result<Exit, Wrong> {
    let mut results = read(&asked.folder)?;
    for objective in &asked.slo {
        let class = objective.class.as_deref();
        if class.is_some() && results.class(class).is_none() {
            let names: Vec<_> = results.classes.iter().map(|class| &*class.name).collect();
            let problem = format!(
                "--slo: {:?} is not right; a class of the experiment ({}) would be",
                class.unwrap_or_default(),
                names.join(", ")
            );
            return Err(Wrong(vec![problem], Exit::Configuration));
        }
        results.objectives.push(objective.to_string());
    }
    let told = write_report(&results, &asked.folder)?;
    Ok(print(&told))
}

fn compare_two(asked: &Compare) -> Result<Exit, Wrong> {
    let (first, second) = (read(&asked.first)?, read(&asked.second)?);
    if first.manifest.seed != second.manifest.seed {
        eprintln!(
            "luge lab: the two have different seeds: their requests differ, and the intervals are as wide as that makes them"
        );
    }
    let changes = compare::compare(&first, &second);
    let changes = changes.map_err(|why| Wrong(vec![why], Exit::Configuration))?;
    let let_pass = asked.let_pass_percent / 1e2;
    let printed = print(&compare::table(&changes, let_pass));
    let is_worse = changes
        .iter()
        .any(|change| change.verdict(let_pass) == Verdict::Worse);
    Ok(if is_worse { Exit::Failure } else { printed })
}

/// The results in a folder; that there are none is a mistake of the command line's.
fn read(folder: &Path) -> Result<Results, Wrong> {
    Results::read(folder).map_err(|why| Wrong(vec![why], Exit::Configuration))
}

fn explain_tail(asked: &Explain) -> Result<Exit, Wrong> {
    let text = match asked.path.is_dir() {
        true => explain::of_results(&read(&asked.path)?),
        false => explain::of_recording(&asked.path, asked.per_million)?,
    };
    Ok(print(&text))
}

/// Measures what things cost here, and nothing else.
fn calibrate(json: bool) -> Result<Exit, Wrong> {
    let text = include_str!("calibration.json");
    let experiment = Experiment::parse("calibration", text, "".into());
    let experiment = experiment.unwrap_or_else(|problems| panic!("it is right: {problems:?}"));
    let folder = std::env::temp_dir().join(format!("luge-calibration-{}", std::process::id()));
    let stop = stop_on_signal().map_err(|error| format!("signals: {error}"))?;
    let live = Live {
        experiment: &experiment,
        places: Places::here(1),
        rounds_per_ns: 1.0,
        cache: folder.join("cache"),
        stop: &stop,
    };
    let tell = |what: &str| eprintln!("luge lab: {what}");
    let measured = Calibration::measure(&live, &folder, &tell);
    // What is left of it does no harm.
    drop(std::fs::remove_dir_all(&folder));
    let measured = measured?;
    let text = match json {
        true => serde_json::to_string_pretty(&measured).map_err(|error| error.to_string())? + "\n",
        false => measured.table(),
    };
    Ok(print(&text))
}
