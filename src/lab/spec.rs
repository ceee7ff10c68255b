//! What a server is given to serve: a spec of the experiment's tenants, with a route for each size of request.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use sched::Nanos;
use serde_json::{Map, Value, json};

use super::experiment::{Experiment, What};
use super::requests::Route;
use crate::demo;
use crate::sim::arrivals::Estimate;
use crate::sim::front::Learn;

/// Computes for as many rounds as it is asked to.
const SPIN: &str = include_str!("spin.wat");

/// What it is called in a server's folder.
const SPIN_FILE: &str = "spin.wat";

/// The name of the only tenant where there are none.
const ALONE: &str = "lab";

/// A spec, and how its routes are asked for.
pub struct Spec {
    pub json: Value,
    /// By tenant: where it is served.
    pub ports: Vec<u16>,
}

/// The name of a tenant in specs and recordings.
pub fn tenant_name(experiment: &Experiment, sender: usize) -> &str {
    match &*experiment.tenants[sender].name {
        "" => ALONE,
        name => name,
    }
}

/// The path of a route.
pub fn path(route: usize) -> String {
    format!("/r{route}")
}

/// The route of a name in a recording, `lab/r17`.
///
/// # Errors
///
/// It is no name of [`path`]'s.
pub fn route_of(name: &str) -> Result<u16, String> {
    let number = name
        .rsplit_once("/r")
        .and_then(|(_, number)| number.parse().ok());
    number.ok_or_else(|| format!("{name:?} is no route of the lab's"))
}

/// Writes the module of requests that only take time into a folder.
///
/// # Errors
///
/// What writing says.
pub fn write_spin(folder: &Path) -> std::io::Result<()> {
    std::fs::write(folder.join(SPIN_FILE), SPIN)
}

/// The file of a function: an embedded one by its name, which is written into the server's folder, or a path from the
/// experiment's.
///
/// # Errors
///
/// It is neither.
pub fn module(experiment: &Experiment, function: &Path, folder: &Path) -> Result<PathBuf, String> {
    let name = function.display();
    let embedded = demo::module(&PathBuf::from(format!("{name}/{name}.wasm")));
    if let Ok(bytes) = embedded {
        let file = format!("{name}.wasm");
        let to = folder.join(&file);
        let written = std::fs::write(&to, bytes);
        let place = |error: std::io::Error| format!("{}: {error}", to.display());
        return written.map(|()| file.into()).map_err(place);
    }
    let file = experiment.folder.join(function);
    let found = file.canonicalize();
    found.map_err(|error| {
        format!(
            "function {name}: {}: {error}; the name of an embedded function, or a module's file, \
                                   would be right",
            file.display()
        )
    })
}

/// The spec of these routes. `modules` are the files of the experiment's classes.
///
/// # Errors
///
/// No port is to be had.
pub fn spec(
    experiment: &Experiment,
    routes: &[Route],
    modules: &[PathBuf],
) -> std::io::Result<Spec> {
    let ports = free_ports(experiment.tenants.len())?;
    let tenants = experiment.tenants.iter().enumerate().map(|(at, sender)| {
        let own = routes.iter().enumerate();
        let own = own.filter(|(_, route)| usize::from(route.sender) == at);
        let own = own.map(|(index, route)| {
            self::route(experiment, index, route, &modules[usize::from(route.class)])
        });
        let mut tenant = json!({
            "name": tenant_name(experiment, at),
            "port": ports[at],
            "weight": sender.owed.weight,
            "routes": own.collect::<Vec<_>>(),
        });
        if let Some(reservation) = sender.owed.reservation {
            tenant["max-budget-us"] = us(reservation.budget_ns).into();
            tenant["replenishment-period-us"] = us(reservation.period_ns).into();
        }
        tenant
    });
    // A tenant whose requests have not come yet has no routes, and a spec may have none without.
    let has_routes = |tenant: &Value| tenant["routes"].as_array().is_some_and(|it| !it.is_empty());
    Ok(Spec {
        json: tenants.filter(has_routes).collect(),
        ports,
    })
}

fn route(experiment: &Experiment, index: usize, route: &Route, module: &Path) -> Value {
    let mut keys = Map::new();
    keys.insert("route".into(), path(index).into());
    keys.insert("path".into(), module.display().to_string().into());
    if route.deadline_ns < Nanos::MAX {
        keys.insert("relative-deadline-us".into(), us(route.deadline_ns).into());
    }
    if route.expected_ns > 0 {
        keys.insert("expected-execution-us".into(), us(route.expected_ns).into());
    }
    if let Estimate::Learnt(Learn::Window(percent) | Learn::Quantile(percent)) =
        experiment.estimates
    {
        keys.insert("admissions-percentile".into(), percent.into());
    }
    Value::Object(keys)
}

/// At least 1.
fn us(time_ns: Nanos) -> u64 {
    (time_ns / 1_000).max(1)
}

/// The file of a class's module, for classes that only take time.
pub fn spin_file() -> PathBuf {
    PathBuf::from(SPIN_FILE)
}

/// Whether a class is a function.
pub fn function(what: &What) -> Option<&Path> {
    match what {
        What::Function { path, .. } => Some(path),
        What::Service(_) => None,
    }
}

/// Ports that nobody listens at now.
fn free_ports(count: usize) -> std::io::Result<Vec<u16>> {
    // All are held until all are known, so that no two are the same.
    let held = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let held = held.collect::<std::io::Result<Vec<_>>>()?;
    held.iter()
        .map(|socket| Ok(socket.local_addr()?.port()))
        .collect()
}
