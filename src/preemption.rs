//! From how preemption was asked for to how it is done on this machine: which way and which trigger are in
//! force, what one costs, and whether the quantum makes sense at that price.

use crate::cli::settings::{Preemption, PreemptionTrigger, Row, Settings, Source};
use crate::config::{Problem, Problems};
use sandbox::{Calibration, Trigger};

/// What preemption costs with either trigger; `None`: nobody wanted to know, or it could not be measured.
#[derive(Clone, Copy, Debug, Default)]
struct Prices {
    timer: Option<Calibration>,
    listener: Option<Calibration>,
}

/// The settings with the way of preemption that `sandbox` was fitted to, its trigger, and a quantum that they can
/// keep.
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
    let measured = |trigger| {
        let calibration = sandbox::calibrate(sandbox.preemption, trigger);
        let warn = |cause: &String| {
            tracing::warn!(cause, ?trigger, "the cost of preemption is not known");
        };
        calibration.inspect_err(warn).ok()
    };
    let wanted = settings.preemption_trigger;
    let prices = Prices {
        timer: (wanted != PreemptionTrigger::Listener)
            .then(|| measured(Trigger::Timer))
            .flatten(),
        listener: (wanted == PreemptionTrigger::Listener || may_watch(settings, wanted))
            .then(|| measured(Trigger::Watcher))
            .flatten(),
    };
    priced(settings, preemption, prices)
}

/// What ends the slices of a server with these settings.
pub fn trigger(settings: &Settings) -> Trigger {
    match settings.preemption_trigger {
        PreemptionTrigger::Listener => Trigger::Watcher,
        PreemptionTrigger::Timer | PreemptionTrigger::Auto => Trigger::Timer,
    }
}

/// Whether the listener may be taken without having been asked for: only on a core of its own is it awake in time.
fn may_watch(settings: &Settings, wanted: PreemptionTrigger) -> bool {
    wanted == PreemptionTrigger::Auto && settings.cores.len() > settings.workers
}

/// The trigger that `auto` stands for: what costs the worker less, and the timer if that is not known.
pub fn cheaper(timer: Option<Calibration>, listener: Option<Calibration>) -> PreemptionTrigger {
    match (timer, listener) {
        (Some(timer), Some(listener)) if listener.preemption_ns < timer.preemption_ns => {
            PreemptionTrigger::Listener
        }
        (None, Some(_)) => PreemptionTrigger::Listener,
        _ => PreemptionTrigger::Timer,
    }
}

/// A price as people read it.
pub fn in_words(calibration: &Calibration) -> String {
    let us = |ns: u64| ns as f64 / 1e3;
    let (each_us, late_us) = (us(calibration.preemption_ns), us(calibration.delay_ns));
    format!("{each_us:.1} us each, {late_us:.1} us late")
}

fn priced(
    settings: &Settings,
    preemption: Preemption,
    prices: Prices,
) -> Result<Settings, Problems> {
    let mut settled = settings.clone();
    settled.preemption = preemption;
    let is_auto = settings.preemption_trigger == PreemptionTrigger::Auto;
    if is_auto {
        settled.preemption_trigger = cheaper(prices.timer, prices.listener);
    }
    let trigger = settled.preemption_trigger;
    if trigger == PreemptionTrigger::Listener && settings.cores.len() <= settings.workers {
        tracing::warn!(
            "preemption-trigger: the listener shares its core with a worker and will end slices late"
        );
    }
    let (price, other) = match trigger {
        PreemptionTrigger::Listener => (prices.listener, prices.timer),
        PreemptionTrigger::Timer | PreemptionTrigger::Auto => (prices.timer, prices.listener),
    };
    if is_auto {
        let words = |price: Option<Calibration>| price.map(|price| in_words(&price));
        let (price, other) = (words(price), words(other));
        tracing::info!(%trigger, price, other, "the trigger of preemption that costs the worker less here");
        row(&mut settled, "preemption-trigger").value = match other {
            Some(other) => format!("{trigger} (auto: the other {other})"),
            None => format!("{trigger} (auto)"),
        };
    }
    match price {
        Some(price) => with_price(settled, price),
        None => Ok(settled),
    }
}

fn with_price(mut settled: Settings, price: Calibration) -> Result<Settings, Problems> {
    let preemption = settled.preemption;
    row(&mut settled, "preemption").value = format!("{preemption} ({})", in_words(&price));
    let quantum_min_us = price.quantum_min_ns().div_ceil(1000).max(1);
    if settled.quantum_us >= quantum_min_us {
        return Ok(settled);
    }
    if !settled.quantum_floor {
        tracing::warn!(
            quantum_min_us,
            "the quantum is short: preemption takes more than a tenth of it"
        );
        return Ok(settled);
    }
    let quantum = row(&mut settled, "quantum-us");
    if quantum.source != Source::Default {
        let cost_us = price.preemption_ns as f64 / 1e3;
        let problem =
            format!("a preemption costs {cost_us:.1} us here, more than a tenth of this quantum");
        let remedy = format!("{quantum_min_us} or more");
        let at = quantum.source.to_string();
        return Err(Problem::of_setting(at, &quantum.value, problem, remedy).into());
    }
    tracing::warn!(
        quantum_us = quantum_min_us,
        "preemption is dear here: a longer quantum than the default"
    );
    quantum.value = quantum_min_us.to_string();
    settled.quantum_us = quantum_min_us;
    Ok(settled)
}

fn row<'a>(settings: &'a mut Settings, name: &str) -> &'a mut Row {
    let mut rows = settings.rows.iter_mut();
    rows.find(|row| row.name == name)
        .expect("every setting has a row")
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

    fn price(preemption_ns: u64) -> Option<Calibration> {
        Some(Calibration {
            preemption_ns,
            delay_ns: 700,
        })
    }

    #[test]
    fn a_quantum_that_costs_more_than_a_tenth_is_refused_or_made_longer() {
        let check = |flags: &[(&'static str, &str)], preemption_ns, expected: Result<u64, &str>| {
            let prices = Prices {
                timer: price(preemption_ns),
                ..Prices::default()
            };
            let got = priced(&resolved(flags), Preemption::Signal, prices);
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
        check(
            &[("quantum-us", "23"), ("quantum-floor", "off")],
            2_400,
            Ok(23),
        );
    }

    #[test]
    fn what_is_in_force_is_said() {
        let prices = Prices {
            timer: price(2_440),
            ..Prices::default()
        };
        let settled = priced(&resolved(&[]), Preemption::Epoch, prices).expect("settles");
        assert_eq!(settled.preemption, Preemption::Epoch);
        let table = settled.table();
        assert!(
            table.contains("epoch (2.4 us each, 0.7 us late)"),
            "{table}"
        );
        assert!(!table.contains("(auto"), "{table}");
    }

    #[test]
    fn auto_takes_what_costs_the_worker_less_and_says_so() {
        use PreemptionTrigger::{Listener, Timer};
        // The prices of both, what is taken, its row, the least quantum that is accepted.
        let rows = [
            (
                (price(5_000), price(1_000)),
                Listener,
                "listener (auto: the other 5.0 us each, 0.7 us late)",
                "10",
            ),
            (
                (price(1_000), price(5_000)),
                Timer,
                "timer (auto: the other 5.0 us each, 0.7 us late)",
                "10",
            ),
            (
                (price(1_000), price(1_000)),
                Timer,
                "timer (auto: the other 1.0 us each, 0.7 us late)",
                "10",
            ),
            ((price(1_000), None), Timer, "timer (auto)", "10"),
            ((None, price(1_000)), Listener, "listener (auto)", "10"),
            ((None, None), Timer, "timer (auto)", "1"),
        ];
        for ((timer, listener), expected, shown, quantum_us) in rows {
            let flags = [("preemption-trigger", "auto"), ("quantum-us", quantum_us)];
            let prices = Prices { timer, listener };
            let settled = priced(&resolved(&flags), Preemption::Signal, prices).expect("settles");
            assert_eq!(settled.preemption_trigger, expected);
            let is_watched = trigger(&settled) == Trigger::Watcher;
            assert_eq!(is_watched, expected == Listener);
            let row = settled
                .rows
                .iter()
                .find(|row| row.name == "preemption-trigger");
            assert_eq!(row.expect("a row").value, shown);
        }
    }

    #[test]
    fn the_quantum_is_bounded_by_the_trigger_in_force() {
        let prices = Prices {
            timer: price(1_000),
            listener: price(3_000),
        };
        for (trigger, expected) in [("timer", Ok(20)), ("listener", Err(())), ("auto", Ok(20))] {
            let flags = [("preemption-trigger", trigger), ("quantum-us", "20")];
            let got = priced(&resolved(&flags), Preemption::Signal, prices);
            let got = got.map(|settings| settings.quantum_us).map_err(|_| ());
            assert_eq!(got, expected, "{trigger}");
        }
    }

    #[test]
    fn auto_leaves_the_slices_to_timers_where_the_listener_has_no_core_of_its_own() {
        for (flags, expected) in [
            (&[][..], true),
            (&[("workers", "2")], false),
            (&[("cores", "1")], false),
        ] {
            let settings = resolved(flags);
            let may = may_watch(&settings, PreemptionTrigger::Auto);
            assert_eq!(may, expected, "{flags:?}");
        }
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
