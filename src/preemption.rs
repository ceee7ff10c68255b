//! From how preemption was asked for to how it is done on this machine: which way is in force, what one
//! costs, and whether the quantum makes sense at that price.

use crate::cli::settings::{Preemption, Settings, Source};
use crate::config::{Problem, Problems};
use sandbox::Calibration;

/// The settings with the way of preemption that `sandbox` was fitted to, and a quantum that it can keep.
///
/// # Errors
///
/// The user wants a quantum that preemption itself would take more than a tenth of.
pub fn settle(settings: &Settings, sandbox: &sandbox::Settings) -> Result<Settings, Problems> {
    let preemption = match sandbox.preemption {
        sandbox::Preemption::Signal => Preemption::Signal,
        sandbox::Preemption::Epoch => Preemption::Epoch,
        sandbox::Preemption::Off => return Ok(settings.clone()),
    };
    match sandbox::calibrate(sandbox.preemption, sandbox::Trigger::Timer) {
        Ok(calibration) => priced(settings, preemption, calibration),
        Err(cause) => {
            tracing::warn!(cause, "the cost of preemption is not known");
            Ok(settings.clone())
        }
    }
}

fn priced(
    settings: &Settings,
    preemption: Preemption,
    calibration: Calibration,
) -> Result<Settings, Problems> {
    let mut settled = settings.clone();
    settled.preemption = preemption;
    let cost_us = calibration.preemption_ns as f64 / 1e3;
    let quantum_min_us = calibration.quantum_min_ns().div_ceil(1000).max(1);
    for row in &mut settled.rows {
        match row.name {
            "preemption" => row.value = format!("{preemption} ({cost_us:.1} us each)"),
            "quantum-us" if settings.quantum_us < quantum_min_us => match &row.source {
                Source::Default => {
                    tracing::warn!(
                        quantum_us = quantum_min_us,
                        "preemption is dear here: a longer quantum than the default"
                    );
                    settled.quantum_us = quantum_min_us;
                    row.value = quantum_min_us.to_string();
                }
                source => {
                    let problem = format!(
                        "a preemption costs {cost_us:.1} us here, more than a tenth of this quantum"
                    );
                    let remedy = format!("{quantum_min_us} or more");
                    let at = source.to_string();
                    return Err(Problem::of_setting(at, &row.value, problem, remedy).into());
                }
            },
            _ => {}
        }
    }
    Ok(settled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Given;
    use std::collections::BTreeMap;

    fn resolved(flags: &[(&'static str, &str)]) -> Settings {
        let given: Given = flags
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        Settings::resolve(&given, &BTreeMap::new(), &[0, 1]).expect("right settings")
    }

    #[test]
    fn a_quantum_that_costs_more_than_a_tenth_is_refused_or_made_longer() {
        let check = |flags: &[(&'static str, &str)], preemption_ns, expected: Result<u64, &str>| {
            let calibration = Calibration {
                preemption_ns,
                delay_ns: 0,
            };
            let got = priced(&resolved(flags), Preemption::Signal, calibration);
            let got = got.map(|settings| settings.quantum_us);
            let got = got.map_err(|problems| problems.0[0].remedy.clone());
            assert_eq!(got, expected.map_err(str::to_owned), "{flags:?}");
        };
        check(&[], 2_400, Ok(1000));
        check(&[], 100_000, Ok(1000));
        check(&[], 100_001, Ok(1001));
        check(&[("quantum-us", "24")], 2_400, Ok(24));
        check(&[("quantum-us", "23")], 2_400, Err("24 or more"));
        check(&[("quantum-us", "1")], 0, Ok(1));
    }

    #[test]
    fn what_is_in_force_is_said() {
        let calibration = Calibration {
            preemption_ns: 2_440,
            delay_ns: 0,
        };
        let settled = priced(&resolved(&[]), Preemption::Epoch, calibration).expect("settles");
        assert_eq!(settled.preemption, Preemption::Epoch);
        assert!(settled.table().contains("epoch (2.4 us each)"));
    }

    #[test]
    fn nothing_is_measured_without_preemption() {
        let settings = resolved(&[("preemption", "off"), ("quantum-us", "1")]);
        let sandbox = sandbox::Settings {
            preemption: sandbox::Preemption::Off,
            ..sandbox::Settings::default()
        };
        let settled = settle(&settings, &sandbox).expect("settles");
        assert_eq!(settled.rows, settings.rows);
    }
}
