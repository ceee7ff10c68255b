//! What queueing theory says of an experiment's mean sojourn, where it says something: one worker, Poisson arrivals of one
//! sender, no overhead. Sojourns of servers lie above it by what starting, ending and preempting cost.

use super::experiment::{Experiment, Sender};
use super::results::{Kind, Policy, Results};
use crate::sim::arrivals::Process;
use crate::sim::validate::theory::{Atoms, pollaczek_khinchine, processor_sharing};

/// The mean sojourn in nanoseconds at a load below 1.
pub type Formula = Box<dyn Fn(f64) -> f64>;

/// What is said of a policy under this experiment; `None`: nothing.
pub fn formula(results: &Results, policy: &Policy) -> Option<Formula> {
    let is_preemptive = policy.preemption != "off";
    let scheduler = match &*policy.scheduler {
        "rr" | "srpt" if !is_preemptive => return None,
        _ if policy.admission != "none" => return None,
        scheduler => scheduler,
    };
    let experiment = Experiment::parse("", &results.experiment, "".into()).ok()?;
    let [
        Sender {
            process: Process::Poisson,
            ..
        },
    ] = &experiment.tenants[..]
    else {
        return None;
    };
    if results.workers != 1 || results.axis.kind != Kind::Load {
        return None;
    }
    let sum = |of: fn(&super::results::Class) -> f64| -> f64 {
        results
            .classes
            .iter()
            .map(|class| class.share * of(class))
            .sum()
    };
    let (mean, second) = (sum(|class| class.mean_ns), sum(|class| class.second_moment));
    match scheduler {
        "fifo" => Some(Box::new(move |load| {
            mean + pollaczek_khinchine(load, mean, second)
        })),
        "rr" => Some(Box::new(move |load| processor_sharing(load, mean))),
        "srpt" => {
            let atoms = atoms(results)?;
            Some(Box::new(move |load| atoms.expect(|x| atoms.srpt(load, x))))
        }
        "sjf" => {
            let atoms = atoms(results)?;
            Some(Box::new(move |load| {
                atoms.expect(|x| x + atoms.sjf_wait(load, x))
            }))
        }
        _ => None,
    }
}

/// The classes' services, if each is always the same.
fn atoms(results: &Results) -> Option<Atoms> {
    let mut atoms = Vec::new();
    for class in &results.classes {
        let is_fixed = (class.second_moment / class.mean_ns.powi(2) - 1.0).abs() < 1e-9;
        atoms.push(is_fixed.then_some((class.share, class.mean_ns))?);
    }
    atoms.sort_by(|a, b| a.1.total_cmp(&b.1));
    Some(Atoms(atoms))
}
