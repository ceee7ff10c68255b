//! Tenants of a simulation, from a JSON file: who loads the server how much, and what each is owed.
//!
//! ```json
//! {"tenants": [
//!   {"name": "victim", "workload": "wasm-edge", "load": 0.2, "deadline-us": 500, "weight": 100, "budget-us": 300, "period-us": 1000},
//!   {"name": "neighbour", "workload": "exp:50", "load": 2.0, "arrivals": "onoff:1000:9000", "from-us": 1e6, "until-us": 2e6}
//! ]}
//! ```
//!
//! `load` is a fraction of what all workers could do. `budget-us` of execution in each `period-us` is what the whole
//! server owes the tenant; each worker owes an equal part. What the policy makes of weights and budgets is its affair:
//! see `wfq`, `mtds` and `mtdbf`. Beside a recording, which tells what is asked for, such a file says only what is owed.

use std::collections::BTreeSet;
use std::path::Path;

use sched::Nanos;
use sched::limits::{WEIGHT_DEFAULT, WEIGHT_MAX};
use sched::{Reservation, Tenant};
use serde::Deserialize;

use super::arrivals::Process;
use super::replay::Owed;
use super::workload::Workload;

/// How many tenants there may be.
const TENANTS_MAX: usize = 64;

/// Above it a load is a slip of the pen.
const LOAD_MAX: f64 = 1_000.0;

/// A tenant, as simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct SimTenant {
    pub name: String,
    pub workload: Workload,
    pub process: Process,
    /// A fraction of what all workers could do; nothing is said of it for a closed loop.
    pub load: f64,
    /// From arrival to deadline, for all its classes.
    pub deadline_ns: Option<Nanos>,
    pub from_ns: Nanos,
    pub until_ns: Nanos,
    /// What the whole server owes it.
    pub owed: Tenant,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tenants {
    tenants: Vec<Spec>,
}

/// A tenant, as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Spec {
    name: String,
    workload: Option<String>,
    load: Option<f64>,
    arrivals: Option<String>,
    deadline_us: Option<f64>,
    weight: Option<u32>,
    budget_us: Option<f64>,
    period_us: Option<f64>,
    from_us: Option<f64>,
    until_us: Option<f64>,
}

/// Reads a file; `workload` is for tenants that do not name one.
///
/// # Errors
///
/// A sentence that names the file and the tenant.
pub fn read(path: &Path, workload: &Workload) -> Result<Vec<SimTenant>, String> {
    in_file(path, |text| parse(text, workload))
}

fn parse(text: &str, workload: &Workload) -> Result<Vec<SimTenant>, String> {
    let tenants = specs(text)?.into_iter().map(|spec| {
        let name = spec.name.clone();
        spec.check(workload)
            .map_err(|why| format!("tenant {name:?}: {why}"))
    });
    tenants.collect()
}

fn specs(text: &str) -> Result<Vec<Spec>, String> {
    let specs: Tenants = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let specs = specs.tenants;
    if specs.is_empty() || specs.len() > TENANTS_MAX {
        let count = specs.len();
        return Err(format!("{count} tenants; there may be 1 to {TENANTS_MAX}"));
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = specs.iter().find(|spec| !names.insert(spec.name.clone())) {
        return Err(format!("two tenants are called {:?}", twice.name));
    }
    Ok(specs)
}

/// Reads a file that says what tenants of a recording are owed instead; what they ask for is recorded.
///
/// # Errors
///
/// A sentence that names the file and the tenant.
pub fn read_owed(path: &Path) -> Result<Owed, String> {
    in_file(path, parse_owed)
}

fn parse_owed(text: &str) -> Result<Owed, String> {
    let owed = specs(text)?.into_iter().map(|spec| {
        let owed = spec.check_owed();
        let owed = owed.map_err(|why| format!("tenant {:?}: {why}", spec.name))?;
        Ok((spec.name, owed))
    });
    owed.collect()
}

fn in_file<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    text.and_then(|text| parse(&text))
        .map_err(|error| format!("{}: {error}", path.display()))
}

impl Spec {
    /// Of a tenant whose requests are recorded.
    fn check_owed(&self) -> Result<Tenant, String> {
        let asks = [
            ("workload", self.workload.is_some()),
            ("load", self.load.is_some()),
            ("arrivals", self.arrivals.is_some()),
            ("deadline-us", self.deadline_us.is_some()),
            ("from-us", self.from_us.is_some()),
            ("until-us", self.until_us.is_some()),
        ];
        match asks.iter().find(|(_, is_there)| *is_there) {
            Some((key, _)) => Err(format!("{key} is as recorded: leave it out")),
            None => self.owed(),
        }
    }

    fn owed(&self) -> Result<Tenant, String> {
        let weight = self.weight.unwrap_or(WEIGHT_DEFAULT);
        if !(1..=WEIGHT_MAX).contains(&weight) {
            return Err(format!("weight {weight} is not from 1 to {WEIGHT_MAX}"));
        }
        let reservation = match (self.budget_us, self.period_us) {
            (None, None) => None,
            (Some(budget_us), Some(period_us)) => Some(Reservation {
                budget_ns: nanos("budget-us", budget_us)?,
                period_ns: nanos("period-us", period_us)?,
            }),
            _ => return Err("budget-us and period-us go together".into()),
        };
        if reservation.is_some_and(|reservation| !reservation.is_valid()) {
            return Err("the budget or the period is out of bounds".into());
        }
        Ok(Tenant {
            weight,
            reservation,
        })
    }

    /// What it asks for, unless it asks for what is usual.
    pub fn workload(&self) -> Option<&str> {
        self.workload.as_deref()
    }

    /// Checks all of it; `workload` is for one that does not name one.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub fn check(self, workload: &Workload) -> Result<SimTenant, String> {
        let workload = match &self.workload {
            Some(text) => Workload::parse(text)?,
            None => workload.clone(),
        };
        let process = Process::parse(self.arrivals.as_deref().unwrap_or("poisson"))?;
        if process.is_closed() {
            return Err("a closed loop is not for tenants".into());
        }
        let load = self.load.ok_or("load is missing")?;
        if !(load > 0.0 && load <= LOAD_MAX) {
            return Err(format!("load {load} is not above 0, up to {LOAD_MAX}"));
        }
        let owed = self.owed()?;
        let time = |name, value: Option<f64>| value.map(|us| nanos(name, us)).transpose();
        let from_ns = time("from-us", self.from_us)?.unwrap_or(0);
        let until_ns = time("until-us", self.until_us)?.unwrap_or(Nanos::MAX);
        if from_ns >= until_ns {
            return Err("from-us is not before until-us".into());
        }
        Ok(SimTenant {
            name: self.name,
            workload,
            process,
            load,
            deadline_ns: time("deadline-us", self.deadline_us)?,
            from_ns,
            until_ns,
            owed,
        })
    }
}

/// A day, in microseconds.
const TIME_MAX_US: f64 = 86_400e6;

fn nanos(name: &str, us: f64) -> Result<Nanos, String> {
    if !(0.0..=TIME_MAX_US).contains(&us) {
        return Err(format!("{name} {us} is not from 0 to a day"));
    }
    Ok((us * 1e3).round() as Nanos)
}

/// What one of so many workers owes each tenant.
pub fn shares(tenants: &[Tenant], workers: u32) -> Vec<Tenant> {
    let share = |tenant: &Tenant| Tenant {
        reservation: tenant
            .reservation
            .map(|reservation| reservation.share(workers)),
        ..*tenant
    };
    tenants.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Vec<SimTenant>, String> {
        parse(text, &Workload::parse("wasm-edge").expect("a name"))
    }

    #[test]
    fn tenants_have_what_is_said_and_defaults() {
        let text = r#"{"tenants": [{"name": "a", "load": 0.5},
            {"name": "b", "workload": "exp:10", "load": 2, "arrivals": "onoff:100:900", "deadline-us": 50,
             "weight": 7, "budget-us": 250, "period-us": 1000, "from-us": 5, "until-us": 1e6}]}"#;
        let [a, b] = &check(text).expect("tenants")[..] else {
            panic!("there are two")
        };
        assert_eq!(
            (&*a.workload.name, a.load, a.deadline_ns),
            ("wasm-edge", 0.5, None)
        );
        assert_eq!(
            (a.from_ns, a.until_ns, a.owed),
            (0, Nanos::MAX, Tenant::default())
        );
        assert_eq!(
            (&*b.workload.name, b.load, b.deadline_ns),
            ("exp:10", 2.0, Some(50_000))
        );
        assert_eq!(
            (b.from_ns, b.until_ns, b.owed.weight),
            (5_000, 1_000_000_000, 7)
        );
        let reservation = b.owed.reservation.expect("a reservation");
        assert_eq!(
            (reservation.budget_ns, reservation.period_ns),
            (250_000, 1_000_000)
        );
    }

    #[test]
    fn errors_name_the_tenant() {
        let rows = [
            (r#"{"tenants": []}"#, "0 tenants"),
            (
                r#"{"tenants": [{"name": "a"}]}"#,
                "tenant \"a\": load is missing",
            ),
            (
                r#"{"tenants": [{"name": "a", "load": 0}]}"#,
                "load 0 is not above 0",
            ),
            (
                r#"{"tenants": [{"name": "a", "load": 1}, {"name": "a", "load": 1}]}"#,
                "two tenants",
            ),
            (
                r#"{"tenants": [{"name": "a", "load": 1, "budget-us": 1}]}"#,
                "go together",
            ),
            (
                r#"{"tenants": [{"name": "a", "load": 1, "budget-us": 1, "period-us": 0.1}]}"#,
                "out of bounds",
            ),
            (
                r#"{"tenants": [{"name": "a", "load": 1, "weight": 0}]}"#,
                "weight 0",
            ),
            (
                r#"{"tenants": [{"name": "a", "load": 1, "from-us": 2, "until-us": 1}]}"#,
                "not before",
            ),
            (
                r#"{"tenants": [{"name": "a", "load": 1, "arrivals": "closed:3:exp:1"}]}"#,
                "closed loop",
            ),
            (
                r#"{"tenants": [{"name": "a", "load": 1, "workload": "x:1"}]}"#,
                "tenant \"a\": unknown law",
            ),
            (
                r#"{"tenants": [{"name": "a", "lode": 1}]}"#,
                "unknown field `lode`",
            ),
        ];
        for (text, part) in rows {
            let said = check(text).expect_err(text);
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
