//! What the doctor says of sandboxes: the pool that fits this machine, how it is cleaned, how guests are
//! preempted.

use super::Finding;
use crate::cli::settings::PreemptionTrigger;
use crate::preemption::{cheaper, in_words};
use sandbox::{Calibration, Preemption, Settings, Trigger};

/// Findings from making what a worker makes.
pub fn findings() -> Vec<Finding> {
    let wished = Settings::default();
    let pool = match wished.fit(1) {
        Ok(fitted) if fitted == wished => Finding::ok(
            "sandbox pool",
            format!("{} on a worker", fitted.sandboxes_max),
        ),
        Ok(fitted) => Finding::warn(
            "sandbox pool",
            format!(
                "{} of {} on a worker",
                fitted.sandboxes_max, wished.sandboxes_max
            ),
            "more address space (ulimit -v unlimited)",
        ),
        Err(error) => Finding::fail(
            "sandbox pool",
            error.to_string(),
            "more address space (ulimit -v unlimited)",
        ),
    };
    let reset = match sandbox::pagemap_scan() {
        true => Finding::ok(
            "sandbox reset",
            "PAGEMAP_SCAN: by the pages that a request dirtied",
        ),
        false => Finding::warn(
            "sandbox reset",
            "no PAGEMAP_SCAN: by madvise",
            "Linux 6.7 or newer for cheaper resets",
        ),
    };
    let mut findings = vec![pool, reset];
    findings.extend(preemption(&wished));
    findings
}

/// How guests are preempted, and at what price with either trigger.
fn preemption(wished: &Settings) -> Vec<Finding> {
    let fitted = wished.fit(1).map_or(wished.preemption, |it| it.preemption);
    let way = match fitted {
        Preemption::Signal => Finding::ok("preemption", "signal"),
        Preemption::Epoch | Preemption::Off => Finding::warn(
            "preemption",
            "epoch, no signal",
            "Linux on x86-64, for code without checks",
        ),
    };
    let [timer, listener] =
        [Trigger::Timer, Trigger::Watcher].map(|trigger| sandbox::calibrate(fitted, trigger));
    let auto = cheaper(timer.clone().ok(), listener.clone().ok());
    vec![
        way,
        trigger(PreemptionTrigger::Timer, timer, auto),
        trigger(PreemptionTrigger::Listener, listener, auto),
    ]
}

fn trigger(
    trigger: PreemptionTrigger,
    price: Result<Calibration, String>,
    auto: PreemptionTrigger,
) -> Finding {
    const NAME: &str = "preemption trigger";
    match price {
        Ok(price) => {
            let words = in_words(&price);
            let quantum_min_us = price.quantum_min_ns().div_ceil(1000);
            let taken = if trigger == auto {
                "; auto takes it"
            } else {
                ""
            };
            let seen =
                format!("{trigger}: {words}, a quantum of {quantum_min_us} us at least{taken}");
            Finding::ok(NAME, seen)
        }
        Err(cause) => Finding::warn(NAME, format!("{trigger}: {cause}"), "more cores"),
    }
}
