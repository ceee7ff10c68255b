//! What metrics tell beside numbers: the names of tenants and routes, and how the server was told to work.

use super::super::Options;
use crate::cli::WASMTIME_VERSION;
use crate::deployment::Deployment;
use sched::{Nanos, Tenant};

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// By their indices.
    pub tenants: Vec<TenantNamed>,
    /// By their indices.
    pub routes: Vec<RouteNamed>,
    /// How many there are.
    pub workers: usize,
    /// Sandboxes of one worker at most.
    pub sandboxes_max: u32,
    /// How long a slice is.
    pub quantum_ns: Nanos,
    /// Tenants get no more than their budgets.
    pub caps_budgets: bool,
    /// Facts that are labels: a name, what they are, and each with its name.
    pub facts: Vec<Facts>,
}

/// A tenant.
#[derive(Clone, Debug, Default)]
pub struct TenantNamed {
    /// As configured.
    pub name: String,
    /// What it has reserved.
    pub reservation: Option<sched::Reservation>,
}

/// A route.
#[derive(Clone, Debug, Default)]
pub struct RouteNamed {
    /// Index of its tenant.
    pub tenant: usize,
    /// As configured.
    pub path: String,
}

/// Facts of one kind.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The metric without `_info`.
    pub name: &'static str,
    /// What they are.
    pub help: &'static str,
    /// Each with its name.
    pub labels: Vec<(&'static str, String)>,
}

impl About {
    /// What is to be known of this server.
    pub(crate) fn new(deployment: &Deployment, options: &Options) -> About {
        let ports = deployment.ports.iter().zip(&deployment.tenants);
        let tenants = ports.map(|(port, Tenant { reservation, .. })| TenantNamed {
            name: port.tenant.clone(),
            reservation: *reservation,
        });
        let routes = deployment.routes.each().map(|route| RouteNamed {
            tenant: usize::from(route.tenant),
            path: route.path.clone(),
        });
        About {
            tenants: tenants.collect(),
            routes: routes.collect(),
            workers: options.worker_cores.len(),
            sandboxes_max: options.tasks_max(),
            quantum_ns: options.params.quantum_ns,
            caps_budgets: options.intake.caps_budgets,
            facts: vec![build(), preemption(options), scheduling(options)],
        }
    }
}

fn build() -> Facts {
    let labels = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("wasmtime", WASMTIME_VERSION),
        ("commit", option_env!("LUGE_COMMIT").unwrap_or("unknown")),
    ];
    Facts {
        name: "luge_build",
        help: "What this program is made of",
        labels: labels.map(|(name, value)| (name, value.to_owned())).into(),
    }
}

fn preemption(options: &Options) -> Facts {
    let mode = match options.sandbox.preemption {
        sandbox::Preemption::Signal => "signal",
        sandbox::Preemption::Epoch => "epoch",
        sandbox::Preemption::Off => "off",
    };
    let trigger = match options.trigger {
        sandbox::Trigger::Timer => "timer",
        sandbox::Trigger::Watcher => "listener",
    };
    Facts {
        name: "luge_preemption",
        help: "How running functions are interrupted here",
        labels: vec![("mode", mode.to_owned()), ("trigger", trigger.to_owned())],
    }
}

fn scheduling(options: &Options) -> Facts {
    let intake = &options.intake;
    let labels = [
        ("scheduler", options.scheduler.name),
        ("dispatch", intake.dispatch.name),
        ("admission", intake.admission.name),
    ];
    Facts {
        name: "luge_scheduling",
        help: "By which policies requests are taken, given to workers and run",
        labels: labels.map(|(name, value)| (name, value.to_owned())).into(),
    }
}
