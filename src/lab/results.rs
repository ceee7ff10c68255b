//! What an experiment has shown, as it is kept: one JSON file, from which the report is made and that another one is
//! compared with.

use std::path::Path;

use perf::objective::{Metric, Objective, Statistic};
use sched::Nanos;
use serde::{Deserialize, Serialize};

use super::calibrate::Calibration;
use super::calibrate::Mode;
use super::manifest::Manifest;
use super::measured::{Measured, OfClass};
use super::noise::Noise;

/// The file's name.
pub const FILE: &str = "results.json";

/// A slowdown is kept in thousandths.
pub const PERMILLE: f64 = 1e3;

/// See the module's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    pub name: String,
    pub title: String,
    pub question: String,
    /// The experiment's file, as it was.
    pub experiment: String,
    pub manifest: Manifest,
    pub workers: usize,
    pub duration_ns: Nanos,
    pub warmup_percent: u32,
    pub axis: Axis,
    pub classes: Vec<Class>,
    pub policies: Vec<Policy>,
    pub objectives: Vec<String>,
    pub calibration: Option<Calibration>,
    /// Of a worker's core, before the runs and after them; empty if no server ran.
    pub noise: Vec<Noise>,
    pub runs: Vec<Run>,
}

/// What was changed from point to point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// What it is called.
    pub name: String,
    /// `load`, `quantum` or `clients`.
    pub kind: Kind,
    pub values: Vec<f64>,
}

/// What the values of an axis are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Parts of the capacity.
    Load,
    /// Microseconds.
    Quantum,
    /// Clients of a closed loop.
    Clients,
}

/// A kind of request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Class {
    pub name: String,
    /// Whose it is; empty if there are no tenants.
    pub tenant: String,
    /// Its part of its tenant's requests.
    pub share: f64,
    /// How long it takes, in words.
    pub service: String,
    pub mean_ns: f64,
    /// `E[S²]`.
    pub second_moment: f64,
    /// From arrival to deadline; none without.
    pub deadline_ns: Option<Nanos>,
    /// From when to when its tenant sends; none if it does all the time.
    pub spell: Option<(Nanos, Nanos)>,
}

/// What was compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    pub name: String,
    pub scheduler: String,
    /// None if the axis says.
    pub quantum_us: Option<u64>,
    pub preemption: String,
    pub trigger: String,
    pub dispatch: String,
    pub admission: String,
}

/// Where figures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A server.
    Live,
    /// The simulator, with the requests as they were meant.
    Simulated,
    /// The simulator, with the requests as the server of the same run has recorded them.
    Replayed,
}

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Index of its policy.
    pub policy: usize,
    pub origin: Origin,
    /// Along the axis.
    pub value: f64,
    pub repetition: u32,
    /// Where its files are, below the results'; none if it has none.
    pub folder: Option<String>,
    pub measured: Measured,
    /// If it was a server's.
    pub live: Option<Live>,
}

/// What else is known of a server's run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// Processor time by thread, in cores.
    pub cpu: Vec<(String, f64)>,
    /// Whether all requests were answered, rightly.
    pub is_right: bool,
    /// Whether the load generator was.
    #[serde(default)]
    pub was_late: bool,
    /// What the server says at its start, and the load generator of itself.
    pub warnings: Vec<String>,
    /// What things cost in it, as its recording shows; the simulator beside it reckons with that.
    pub costs: Option<Mode>,
}

impl Results {
    /// Reads those in a folder.
    ///
    /// # Errors
    ///
    /// A sentence that names the file.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let file = folder.join(FILE);
        let place = |why: String| format!("{}: {why}", file.display());
        let text = std::fs::read_to_string(&file).map_err(|error| place(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| place(error.to_string()))
    }

    /// Writes them into a folder, and beside them what a person looks for there: the experiment and the manifest.
    ///
    /// # Errors
    ///
    /// A sentence that names the file.
    pub fn write(&self, folder: &Path) -> Result<(), String> {
        let results = serde_json::to_string(self);
        let manifest = serde_json::to_string_pretty(&self.manifest);
        let experiment = Ok(self.experiment.clone());
        for (name, text) in [
            (FILE, results),
            ("manifest.json", manifest),
            ("experiment.json", experiment),
        ] {
            let file = folder.join(name);
            let place = |why: String| format!("{}: {why}", file.display());
            let text = text.map_err(|error| place(error.to_string()))?;
            std::fs::write(&file, text).map_err(|error| place(error.to_string()))?;
        }
        Ok(())
    }

    /// The runs of a point.
    pub fn of(&self, policy: usize, origin: Origin, value: f64) -> impl Iterator<Item = &Run> {
        let is_of =
            move |run: &&Run| (run.policy, run.origin, run.value) == (policy, origin, value);
        self.runs.iter().filter(is_of)
    }

    /// The origins that there are runs of, in order.
    pub fn origins(&self) -> Vec<Origin> {
        let all = [Origin::Live, Origin::Simulated, Origin::Replayed];
        let has = |origin: &Origin| self.runs.iter().any(|run| run.origin == *origin);
        all.into_iter().filter(has).collect()
    }

    /// The objectives.
    pub fn parsed_objectives(&self) -> Vec<Objective> {
        let objectives = self.objectives.iter();
        objectives
            .filter_map(|text| Objective::parse(text).ok())
            .collect()
    }

    /// The class of this name; none for all of them.
    pub fn class(&self, name: Option<&str>) -> Option<usize> {
        self.classes
            .iter()
            .position(|class| Some(&*class.name) == name)
    }
}

/// Which number of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub metric: Metric,
    pub statistic: Statistic,
    /// Of the results; none for all.
    pub class: Option<usize>,
}

impl Wanted {
    /// A slowdown, or nanoseconds; `None` if the sample is too small to tell. Requests that were not answered are slower
    /// than all others: a percentile of which they are is infinite. They are in no mean.
    pub fn of(self, measured: &Measured) -> Option<f64> {
        let class = self.class.and_then(|class| measured.classes.get(class));
        match (self.class, class) {
            (None, _) => self.of_class(&measured.all()),
            (Some(_), class) => self.of_class(class?),
        }
    }

    fn of_class(self, class: &OfClass) -> Option<f64> {
        let (histogram, scale) = match self.metric {
            Metric::Slowdown => (&class.slowdown_permille, PERMILLE),
            Metric::Sojourn => (&class.sojourn_ns, 1.0),
        };
        let value = match self.statistic {
            Statistic::Mean => histogram.mean(),
            Statistic::At(percentile) => {
                histogram.percentile_beside(percentile, class.unanswered())
            }
        };
        Some(value? / scale)
    }
}
