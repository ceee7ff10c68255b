//! What is right by itself, and not together.

use super::{Checker, Written};
use crate::lab::experiment::{Axis, Experiment, What};
use crate::lab::limits::INTERVALS_MAX;
use crate::sim::arrivals::Estimate;
use crate::sim::service::Service;

impl Checker {
    pub(super) fn agree(&mut self, experiment: &Experiment, written: &Written<'_>) {
        if experiment.has_functions() && !experiment.is_live {
            let right = "[\"live\"] or both, as only a server knows how long functions take,";
            self.wrong("run", &["sim"], right);
        }
        if matches!(experiment.estimates, Estimate::Noisy(_)) && experiment.is_live {
            let right = "one that servers know (mean, exact, none, window:PERCENT, quantile:PERCENT), or run: [\"sim\"]";
            self.wrong(
                "estimates",
                &written.estimates.as_deref().unwrap_or(""),
                right,
            );
        }
        if experiment.sweep.axis == Axis::Clients {
            self.agree_on_clients(experiment);
        }
        if let Some(interval_ns) = experiment.interval_ns
            && experiment.duration_ns / interval_ns > INTERVALS_MAX
        {
            let right = format!("one of which the duration has at most {INTERVALS_MAX}");
            self.wrong(
                "interval",
                &written.interval.as_deref().unwrap_or(""),
                &right,
            );
        }
    }

    /// Clients ask one thing after the other, each as often as it gets to it.
    fn agree_on_clients(&mut self, experiment: &Experiment) {
        if experiment.has_tenants() {
            let right = "load or load-of, where there are tenants,";
            self.wrong("sweep", &"clients", right);
        }
        for class in &experiment.classes {
            let is_fixed = match &class.what {
                What::Service(service) => matches!(service, Service::Fixed(_)),
                What::Function { .. } => true,
            };
            if !is_fixed {
                let name = &class.name;
                let right = format!("load, where a class ({name}) does not always take as long,");
                self.wrong("sweep", &"clients", &right);
            }
        }
    }
}
