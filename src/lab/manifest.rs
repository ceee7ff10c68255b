//! What it takes to repeat a measurement, and to know what it was made on.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::places::Places;
use crate::cli::doctor::machine;
use crate::cli::version;

/// See the module's text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub luge: String,
    pub command: Vec<String>,
    /// RFC 3339.
    pub started: String,
    pub seconds: f64,
    /// Of the first repetition; each later one has the next.
    pub seed: u64,
    /// What there is to know of the machine, each with its name.
    pub machine: Vec<(String, String)>,
    /// What is to be known before the figures are believed.
    pub warnings: Vec<String>,
    /// Why not all runs were made; none if they were.
    pub ended_early: Option<String>,
}

impl Manifest {
    /// Of a measurement that begins now.
    pub fn new(seed: u64, places: Option<&Places>, workers: usize) -> Self {
        let mut warnings: Vec<String> = places
            .and_then(|it| it.warning(workers))
            .into_iter()
            .collect();
        warnings.extend(busy());
        Self {
            luge: version().to_owned(),
            command: std::env::args().collect(),
            started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            seconds: 0.0,
            seed,
            machine: machine_facts(places),
            warnings,
            ended_early: None,
        }
    }
}

fn machine_facts(places: Option<&Places>) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let info = machine::read("/proc/cpuinfo").unwrap_or_default();
    for (key, name) in [("model name", "processor"), ("cpu MHz", "clock, MHz")] {
        let line = info.lines().find_map(|line| line.strip_prefix(key));
        let value = line.and_then(|line| line.split_once(':'));
        facts.extend(value.map(|(_, value)| (name.to_owned(), value.trim().to_owned())));
    }
    let findings = machine::findings(&machine::read);
    facts.extend(
        findings
            .into_iter()
            .map(|finding| (finding.name, finding.seen)),
    );
    for (name, file) in [
        ("load average", "/proc/loadavg"),
        ("isolated cores", "/sys/devices/system/cpu/isolated"),
        ("tickless cores", "/sys/devices/system/cpu/nohz_full"),
        (
            "clock source",
            "/sys/devices/system/clocksource/clocksource0/current_clocksource",
        ),
        (
            "simultaneous multithreading",
            "/sys/devices/system/cpu/smt/control",
        ),
    ] {
        let seen = machine::read(file).filter(|seen| !seen.is_empty());
        facts.extend(seen.map(|seen| (name.to_owned(), seen)));
    }
    if let Some(Places {
        server, generator, ..
    }) = places
    {
        facts.push(("cores of the server".to_owned(), format!("{server:?}")));
        let generator = generator.map_or("any".to_owned(), |core| core.to_string());
        facts.push(("core of the load generator".to_owned(), generator));
    }
    facts
}

/// Whether others use the machine.
fn busy() -> Option<String> {
    let average = machine::read("/proc/loadavg")?;
    let load: f64 = average.split(' ').next()?.parse().ok()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let is_busy = load > 0.5 * cores as f64;
    is_busy.then(|| {
        format!("the machine was busy when it began: a load average of {load} on {cores} cores")
    })
}
