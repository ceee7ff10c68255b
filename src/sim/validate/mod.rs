//! `luge sim validate`: the simulator against queueing theory.
//!
//! Three kinds of rows. Golden values check the formulas themselves. Exact rows are what holds on every run to the
//! nanosecond; each counts the cases it looked at and those that broke it. The others are means of a simulation with
//! their confidence interval over independent replications (Student's t): a row holds if the theory lies in the interval,
//! and fails, too, if the interval is too wide to say anything. Levels are such that of all rows together about one run
//! in a hundred, with a seed of its own each, has a false alarm; with the default seed the verdict is always the same.
//!
//! | file | subject |
//! | --- | --- |
//! | [`theory`] | the formulas |
//! | [`golden`] | values of the formulas that were worked out elsewhere |
//! | [`experiment`] | replications and their intervals |
//! | [`queues`] | what is simulated, and what theory says of it |
//! | [`exact`] | what holds on every path |
//! | [`realtime`] | deadlines, reservations |

pub mod exact;
pub mod experiment;
pub mod golden;
pub mod queues;
pub mod realtime;
pub mod theory;

use std::fmt::Write as _;

use serde::Serialize;

use super::parallel;

/// Whether a row is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Holds,
    Fails,
    /// The interval is too wide.
    TooNoisy,
}

/// A line of the result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub name: String,
    pub verdict: Verdict,
    #[serde(flatten)]
    pub finding: Finding,
}

/// What a verdict rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// A mean and its interval.
    Interval {
        theory: f64,
        simulation: f64,
        half_width: f64,
        /// The probability that the interval holds the true mean.
        confidence: f64,
        /// The relative error that the model is known to have.
        bias: f64,
        replications: usize,
    },
    /// What must hold in every case.
    Exact {
        cases: usize,
        broken: usize,
        /// The first that broke it.
        first: Option<String>,
    },
}

impl Row {
    /// What must hold in every case; `broken` says of each that broke it how.
    pub fn exact(name: impl Into<String>, cases: usize, broken: &[String]) -> Self {
        let verdict = match (cases, broken) {
            (1.., []) => Verdict::Holds,
            _ => Verdict::Fails,
        };
        Self {
            name: name.into(),
            verdict,
            finding: Finding::Exact {
                cases,
                broken: broken.len(),
                first: broken.first().cloned(),
            },
        }
    }

    pub fn holds(&self) -> bool {
        self.verdict == Verdict::Holds
    }
}

/// Does all that has this in its name.
pub fn validate(seed: u64, filter: Option<&str>) -> Vec<Row> {
    let wanted = |name: &str| filter.is_none_or(|text| name.contains(text));
    let mut rows: Vec<Row> = golden::rows();
    rows.retain(|row| wanted(&row.name));
    let mut checks = exact::checks();
    checks.extend(realtime::checks());
    checks.retain(|check| wanted(check.name));
    rows.extend(parallel::map(checks.len(), |index| checks[index].run(seed)));
    let mut experiments = queues::experiments();
    for experiment in &mut experiments {
        let name = experiment.name.clone();
        experiment
            .claims
            .retain(|claim| wanted(&format!("{name}: {}", claim.name)));
    }
    experiments.retain(|experiment| !experiment.claims.is_empty());
    rows.extend(experiment::rows(&experiments, seed));
    rows
}

/// The table for people.
pub fn table(rows: &[Row]) -> String {
    let width = rows
        .iter()
        .map(|row| row.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = format!(
        "{:<9} {:<width$} {:>12} {:>12} {:>10}\n",
        "verdict", "row", "theory", "simulation", "± interval"
    );
    for row in rows {
        let verdict = match row.verdict {
            Verdict::Holds => "holds",
            Verdict::Fails => "FAILS",
            Verdict::TooNoisy => "TOO NOISY",
        };
        let _infallible = write!(text, "{verdict:<9} {:<width$} ", row.name);
        let _infallible = match &row.finding {
            &Finding::Interval {
                theory,
                simulation,
                half_width,
                bias,
                ..
            } => {
                let allowed = match bias {
                    0.0 => String::new(),
                    bias => format!("  and {:.1} % of the model's", bias * 100.0),
                };
                writeln!(
                    text,
                    "{theory:>12.5} {simulation:>12.5} {half_width:>10.5}{allowed}"
                )
            }
            Finding::Exact {
                cases, broken: 0, ..
            } => writeln!(text, "{:>12} {:>12} exact in {cases} cases", "", ""),
            Finding::Exact {
                cases,
                broken,
                first,
            } => writeln!(
                text,
                "{:>12} {:>12} {broken} of {cases} cases broken, the first: {}",
                "",
                "",
                first.as_deref().unwrap_or_default()
            ),
        };
    }
    let held = rows.iter().filter(|row| row.holds()).count();
    let _infallible = writeln!(text, "\n{held} of {} rows hold", rows.len());
    text
}
