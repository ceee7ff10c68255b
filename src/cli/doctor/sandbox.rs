//! What the doctor says of sandboxes: the pool that fits this machine, how it is cleaned, how guests are
//! preempted.

use super::Finding;
use sandbox::{Preemption, Settings};

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
    vec![pool, reset, preemption(&wished)]
}

/// How guests are preempted, and at what price.
fn preemption(wished: &Settings) -> Finding {
    let fitted = wished.fit(1).map_or(wished.preemption, |it| it.preemption);
    let price = match sandbox::calibrate(fitted, sandbox::Trigger::Timer) {
        Ok(calibration) => format!(
            "{:.1} us each, a quantum of {} us at least",
            calibration.preemption_ns as f64 / 1e3,
            calibration.quantum_min_ns().div_ceil(1000)
        ),
        Err(cause) => return Finding::fail("preemption", cause, "a bug: please report it"),
    };
    match fitted {
        Preemption::Signal => Finding::ok("preemption", format!("signal: {price}")),
        Preemption::Epoch | Preemption::Off => Finding::warn(
            "preemption",
            format!("epoch, no signal: {price}"),
            "Linux on x86-64, for code without checks",
        ),
    }
}
