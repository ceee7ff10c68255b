//! The experiments that come with luge: the files of `perf/experiments`, known by their names.

use super::experiment::Experiment;

/// An experiment's name and its file.
pub struct Shipped {
    pub name: &'static str,
    pub text: &'static str,
}

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// All of them, in the order in which they are told.
        pub static SHIPPED: &[Shipped] = &[$(Shipped {
            name: $name,
            text: include_str!(concat!("../../perf/experiments/", $name, ".json")),
        }),*];
    };
}

shipped![
    "wasm-edge",
    "wasm-high",
    "noisy-neighbour",
    "overload",
    "quantum",
    "preemption",
    "sledge-bimodal",
    "sledge-concurrency",
    "sledge-mix",
    "sledge-tenants",
    "extreme-bimodal",
    "high-bimodal",
    "trimodal",
    "tpcc",
    "rocksdb",
    "exponential",
];

/// The one of this name.
pub fn named(name: &str) -> Option<&'static Shipped> {
    SHIPPED.iter().find(|shipped| shipped.name == name)
}

impl Shipped {
    /// What it is.
    ///
    /// # Panics
    ///
    /// If it is wrong: a test holds that none is.
    pub fn experiment(&self) -> Experiment {
        let parsed = Experiment::parse(self.name, self.text, "".into());
        parsed.unwrap_or_else(|problems| panic!("{}: {}", self.name, problems.join("; ")))
    }
}

/// All of them as a table.
pub fn list() -> String {
    let rows = SHIPPED.iter().map(|shipped| {
        let experiment = shipped.experiment();
        let points = experiment.policies.len() * experiment.sweep.values.len();
        let live_s = match experiment.is_live {
            true => {
                points as u64 * u64::from(experiment.repetitions) * experiment.duration_ns
                    / 1_000_000_000
            }
            false => 0,
        };
        let time = match live_s {
            0 => "simulated".to_owned(),
            live_s => format!("{:.0} min", (live_s as f64 / 60.0).ceil()),
        };
        format!("{:<20} {time:>10}  {}\n", shipped.name, experiment.title)
    });
    let head = format!("{:<20} {:>10}  {}\n", "name", "takes", "is");
    head + &rows.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_wrong_with_them() {
        for shipped in SHIPPED {
            let experiment = shipped.experiment();
            assert!(
                experiment.is_live || experiment.is_simulated,
                "{}",
                shipped.name
            );
        }
        assert_eq!(list().lines().count(), SHIPPED.len() + 1);
        assert!(named("nothing").is_none());
    }

    /// Who adds a file means it to be shipped.
    #[test]
    fn every_file_is_shipped() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/perf/experiments");
        let files = std::fs::read_dir(folder).expect("the folder is there");
        let mut names: Vec<String> = files
            .map(|file| file.expect("an entry").path())
            .map(|path| {
                path.file_stem()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        let mut known: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.name).collect();
        names.sort();
        known.sort_unstable();
        assert_eq!(names, known);
    }
}
