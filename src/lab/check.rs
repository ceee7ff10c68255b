//! An experiment's text, understood and checked; all mistakes at once. What it means is [`super::experiment`]'s.
//!
//! | file | subject |
//! | --- | --- |
//! | this | what there is in a file, and what holds for all of it |
//! | [`senders`] | classes and tenants |
//! | [`policies`] | policies |
//! | [`sweep`] | the axis |
//! | [`together`] | what does not go together |

mod policies;
mod senders;
mod sweep;
mod together;

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::path::PathBuf;
use std::time::Duration;

use perf::objective::Objective;
use sched::Nanos;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::experiment::{Class, Experiment};
use super::limits::{DURATION_MAX, LOAD_MAX, REPETITIONS_MAX, WORKERS_MAX};
use crate::cli::Span;
use crate::sim::arrivals::Estimate;
use crate::sim::engine::Costs;
use crate::sim::tenants::Spec as TenantSpec;
use senders::WrittenClass;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written<'a> {
    title: String,
    question: String,
    workload: Option<String>,
    classes: Option<Vec<WrittenClass>>,
    tenants: Option<Vec<TenantSpec>>,
    arrivals: Option<String>,
    #[serde(borrow)]
    policies: Vec<&'a RawValue>,
    #[serde(borrow)]
    sweep: BTreeMap<String, &'a RawValue>,
    load: Option<f64>,
    workers: Option<usize>,
    duration: Option<String>,
    warmup_percent: Option<u32>,
    repetitions: Option<u32>,
    run: Option<Vec<String>>,
    objectives: Option<Vec<String>>,
    deadline: Option<String>,
    estimates: Option<String>,
    interval: Option<String>,
    costs: Option<WrittenCosts>,
}

/// In microseconds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[derive(Default)]
struct WrittenCosts {
    dispatch_us: f64,
    start_us: f64,
    preempt_us: f64,
    finish_us: f64,
    timer_jitter_us: f64,
}

/// A reader that goes on after a mistake.
struct Checker {
    problems: Vec<String>,
}

/// Understands the text of a file of this name.
///
/// # Errors
///
/// All mistakes, each with the key, the value and what would be right.
pub fn check(name: &str, text: &str, folder: PathBuf) -> Result<Experiment, Vec<String>> {
    let written: Written<'_> =
        serde_json::from_str(text).map_err(|error| vec![error.to_string()])?;
    let mut checker = Checker {
        problems: Vec::new(),
    };
    let experiment = checker.experiment(&written);
    match checker.problems.is_empty() {
        true => Ok(Experiment {
            name: name.to_owned(),
            text: text.to_owned(),
            folder,
            ..experiment
        }),
        false => Err(checker.problems),
    }
}

impl Checker {
    fn wrong(&mut self, key: &str, value: &dyn Debug, right: &str) {
        let problem = format!("{key}: {value:?} is not right; {right} would be");
        self.problems.push(problem);
    }

    /// What was understood, or a mistake.
    fn understood<T>(&mut self, key: &str, understood: Result<T, String>) -> Option<T> {
        let wrong = |why: String| self.problems.push(format!("{key}: {why}"));
        understood.map_err(wrong).ok()
    }

    fn within<T: PartialOrd + Copy + Display + Debug>(
        &mut self,
        key: &str,
        value: T,
        (least, most): (T, T),
    ) -> T {
        if !(least..=most).contains(&value) {
            self.wrong(key, &value, &format!("a number from {least} to {most}"));
        }
        value
    }

    fn time(&mut self, key: &str, text: Option<&String>) -> Option<Nanos> {
        let text = text?;
        match Span::parse(text, Duration::from_micros(1), DURATION_MAX) {
            Ok(span) => Some(span.0.as_nanos() as Nanos),
            Err(right) => {
                self.wrong(key, text, &right);
                None
            }
        }
    }

    fn one_of<T: Copy>(&mut self, key: &str, text: &str, choices: &[(&str, T)]) -> Option<T> {
        let found = choices.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            self.wrong(key, &text, &format!("one of {}", names.join(", ")));
        }
        found.map(|(_, choice)| *choice)
    }

    fn experiment(&mut self, written: &Written<'_>) -> Experiment {
        let (classes, tenants) = self.senders(written);
        let (is_live, is_simulated) = self.run(written);
        let warmup = written.warmup_percent.unwrap_or(10);
        let repetitions = written.repetitions.unwrap_or(3);
        let duration_ns = self.time("duration", written.duration.as_ref());
        let estimates = written.estimates.as_deref().unwrap_or("mean");
        let experiment = Experiment {
            name: String::new(),
            text: String::new(),
            folder: PathBuf::new(),
            title: written.title.clone(),
            question: written.question.clone(),
            policies: self.policies(&written.policies, is_live),
            sweep: self.sweep(&written.sweep, &tenants),
            load: self.within("load", written.load.unwrap_or(0.8), (0.001, LOAD_MAX)),
            workers: self.within("workers", written.workers.unwrap_or(1), (1, WORKERS_MAX)),
            duration_ns: duration_ns.unwrap_or(10_000_000_000),
            warmup_percent: self.within("warmup-percent", warmup, (0, 90)),
            repetitions: self.within("repetitions", repetitions, (1, REPETITIONS_MAX)),
            is_live,
            is_simulated,
            deadline_ns: self.time("deadline", written.deadline.as_ref()),
            estimates: self
                .understood("estimates", Estimate::parse(estimates))
                .unwrap_or(Estimate::Mean),
            interval_ns: self.time("interval", written.interval.as_ref()),
            costs: written.costs.as_ref().map(|costs| self.costs(costs)),
            objectives: self.objectives(written, &classes),
            classes,
            tenants,
        };
        self.agree(&experiment, written);
        experiment
    }

    fn run(&mut self, written: &Written<'_>) -> (bool, bool) {
        let both = || vec!["live".to_owned(), "sim".to_owned()];
        let run = written.run.clone().unwrap_or_else(both);
        let known = |how: &String| how == "live" || how == "sim";
        if run.is_empty() || !run.iter().all(known) {
            self.wrong("run", &run, "[\"live\"], [\"sim\"] or both");
        }
        let has = |name: &str| run.iter().any(|how| how == name);
        (has("live"), has("sim"))
    }

    fn objectives(&mut self, written: &Written<'_>, classes: &[Class]) -> Vec<Objective> {
        let mut objectives = Vec::new();
        for (at, text) in written.objectives.iter().flatten().enumerate() {
            let key = format!("objectives[{at}]");
            let objective = self.understood(&key, Objective::parse(text));
            let Some(objective) = objective else { continue };
            let unknown = is_unknown(&objective, classes).map(str::to_owned);
            if let Some(class) = unknown {
                self.wrong(&key, &class, &one_class_of(classes));
            }
            objectives.push(objective);
        }
        objectives
    }

    fn costs(&mut self, written: &WrittenCosts) -> Costs {
        let mut cost = |name: &str, us: f64| {
            let us = self.within(&format!("costs.{name}"), us, (0.0, 999_999.0));
            (us * 1e3).round() as Nanos
        };
        Costs {
            dispatch_ns: cost("dispatch-us", written.dispatch_us),
            start_ns: cost("start-us", written.start_us),
            preempt_ns: cost("preempt-us", written.preempt_us),
            finish_ns: cost("finish-us", written.finish_us),
            timer_jitter_ns: cost("timer-jitter-us", written.timer_jitter_us),
        }
    }
}

/// The class that an objective is of, if nobody knows it.
pub fn is_unknown<'o>(objective: &'o Objective, classes: &[Class]) -> Option<&'o str> {
    let class = objective.class.as_deref()?;
    let is_known = classes.iter().any(|known| known.name == class);
    (!is_known).then_some(class)
}

/// What would be right instead.
pub fn one_class_of(classes: &[Class]) -> String {
    let names: Vec<_> = classes.iter().map(|class| &*class.name).collect();
    format!("a class of the experiment ({})", names.join(", "))
}
