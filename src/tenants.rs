//! Tenants as the scheduler sees them: the weights and reservations of a spec, each worker's share of them, and whether
//! the workers can keep what is reserved.
//!
//! Whether they can depends on the settings, the policy and the number of workers above all, so a spec alone is never wrong here.

use crate::cli::Settings;
use crate::config::{Notice, Problem, Problems, Spec};
use sched::admission::RULES;
use sched::demand::{self, Overcommitted};
use sched::limits::WEIGHT_DEFAULT;
use sched::{Fact, Reservation, Scheduler, Tenant};

const NS_PER_US: u64 = 1_000;

/// The tenants of a spec, in its order; reservations are those of the whole server.
pub fn of(spec: &Spec) -> Vec<Tenant> {
    let tenants = spec.tenants.iter().map(|tenant| {
        let budget_us = tenant.max_budget_us.filter(|&budget_us| budget_us > 0);
        let period_us = tenant.replenishment_period_us;
        let ns = |us: u64| us.saturating_mul(NS_PER_US);
        Tenant {
            weight: tenant.weight.unwrap_or(WEIGHT_DEFAULT),
            reservation: budget_us
                .zip(period_us)
                .map(|(budget, period)| Reservation {
                    budget_ns: ns(budget),
                    period_ns: ns(period),
                }),
        }
    });
    tenants.collect()
}

/// What one of so many workers has of them.
pub fn shares(tenants: &[Tenant], workers: usize) -> Vec<Tenant> {
    let share = |reservation: Reservation| reservation.share(workers as u32);
    let tenants = tenants.iter().map(|tenant| Tenant {
        reservation: tenant.reservation.map(share),
        ..*tenant
    });
    tenants.collect()
}

/// Checks that the workers can keep the reservations of a spec, if they are told to.
///
/// # Errors
///
/// The tenant that is one too many, with the largest budget that there is room for.
pub fn check(spec: &Spec, settings: &Settings) -> Result<(), Problems> {
    let (tenants, workers) = (of(spec), settings.workers);
    let mut promising = [settings.scheduler.uses, settings.admission.uses].into_iter();
    if !promising.any(|uses| uses.contains(&Fact::Reservation)) {
        return check_caps(spec, &tenants, settings);
    }
    let (at, problem, remedy) = match demand::check(&shares(&tenants, workers)) {
        Ok(()) => return Ok(()),
        Err(Overcommitted::Invalid { tenant }) => {
            let problem = format!("is not from 1 ns to 1 h for each of {workers} workers");
            (tenant, problem, "a budget within these bounds".to_owned())
        }
        Err(Overcommitted::Total { tenant }) => {
            let problem = match tenant {
                0 => "is more than all workers together can do".to_owned(),
                _ => "is more than the workers can do beside the tenants before".to_owned(),
            };
            (tenant, problem, room(&tenants[..=tenant], workers as u64))
        }
    };
    Err(budget_problem(spec, at, &problem, remedy).into())
}

/// A cap may be more than the workers can do, but it is an account of which numbers are bounded.
fn check_caps(spec: &Spec, tenants: &[Tenant], settings: &Settings) -> Result<(), Problems> {
    let is_wrong = |tenant: &Tenant| tenant.reservation.is_some_and(|it| !it.is_valid());
    match tenants.iter().position(is_wrong) {
        Some(at) if settings.budget_caps => {
            let remedy = "at most 3600000000, an hour".to_owned();
            Err(budget_problem(spec, at, "is too large for a cap", remedy).into())
        }
        _ => Ok(()),
    }
}

fn budget_problem(spec: &Spec, at: usize, problem: &str, remedy: String) -> Problem {
    let tenant = &spec.tenants[at];
    let value = ("max-budget-us", tenant.max_budget_us.unwrap_or(0));
    let problem = format!("the budget of tenant {:?} {problem}", tenant.name);
    spec.problem_with_tenant(tenant, value, problem, remedy)
}

/// What would be right for the last of these tenants.
fn room(tenants: &[Tenant], workers: u64) -> String {
    const WORKER: u128 = 1 << 32;
    let used = |reservation: Reservation| {
        let budget = u128::from(reservation.budget_ns) * WORKER;
        budget.div_ceil(u128::from(reservation.period_ns))
    };
    let reservations = tenants.iter().filter_map(|tenant| tenant.reservation);
    let reservations: Vec<_> = reservations.collect();
    let Some((last, before)) = reservations.split_last() else {
        return "fewer reservations".to_owned();
    };
    let before: u128 = before.iter().copied().map(used).sum();
    let left = (u128::from(workers) * WORKER).saturating_sub(before);
    let left_us = left * u128::from(last.period_ns) / WORKER / u128::from(NS_PER_US);
    let needed = (before + used(*last)).div_ceil(WORKER);
    match left_us {
        0 => format!("{needed} workers, or smaller budgets of the tenants before"),
        _ => format!("at most {left_us}, or {needed} workers"),
    }
}

/// Keys that nothing looks at which is in force.
pub fn without_effect(spec: &Spec, settings: &Settings) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut note = |pointer: &str, key: &str, fact: Fact, is_there: bool| {
        if is_there && !settings.uses(fact) {
            notices.push(Notice {
                at: format!("{pointer}.{key}"),
                notice: format!("has no effect but with {}", with(fact)),
            });
        }
    };
    for tenant in &spec.tenants {
        let (weight, budget) = (tenant.weight, tenant.max_budget_us);
        note(&tenant.pointer, "weight", Fact::Weight, weight.is_some());
        note(
            &tenant.pointer,
            "max-budget-us",
            Fact::Reservation,
            budget.is_some(),
        );
    }
    let routes = || spec.tenants.iter().flat_map(|tenant| &tenant.routes);
    // One will do: there may be many.
    if let Some(route) = routes().find(|route| route.expected_execution_us.is_some()) {
        let key = "expected-execution-us";
        note(&route.pointer, key, Fact::Execution, true);
    }
    if let Some(route) = routes().find(|route| route.model.is_some()) {
        note(&route.pointer, "model-bias", Fact::Execution, true);
    }
    notices
}

/// What looks at a fact.
fn with(fact: Fact) -> String {
    let names = |names: Vec<&'static str>| names.join(", ");
    let mut with = Vec::new();
    let schedulers: Vec<_> = Scheduler::names_using(fact).collect();
    with.push(format!("--scheduler {}", names(schedulers)));
    let rules = RULES.iter().filter(|rule| rule.uses.contains(&fact));
    let rules: Vec<_> = rules.map(|rule| rule.name).collect();
    if !rules.is_empty() {
        with.push(format!("--admission {}", names(rules)));
    }
    if fact == Fact::Reservation {
        with.push("--budget-caps on".to_owned());
    }
    with.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, load_from};
    use serde_json::{Value, json};
    use std::collections::BTreeMap;
    use std::path::Path;

    fn spec(tenants: &[Value]) -> Spec {
        let tenants = tenants.iter().enumerate().map(|(at, keys)| {
            let mut tenant = json!({"name": format!("t{at}"), "port": 10_000 + at,
                "routes": [{"route": "/", "path": "a.wasm"}]});
            let keys = keys.as_object().expect("keys").clone();
            tenant.as_object_mut().expect("an object").extend(keys);
            tenant
        });
        let text = Value::from_iter(tenants).to_string();
        let found = |path: &Path| Ok(path.to_owned());
        let loaded = load_from(&text, Path::new("s.json"), LoadOptions::default(), found);
        loaded.expect("a good spec").spec
    }

    fn reserved(budget_us: u64, period_us: u64) -> Value {
        json!({"max-budget-us": budget_us, "replenishment-period-us": period_us})
    }

    fn settings(flags: &[(&'static str, &str)]) -> Settings {
        let given = flags
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let settings = Settings::resolve(&given.collect(), &BTreeMap::new(), &[0]);
        settings.expect("right settings")
    }

    #[test]
    fn a_cap_is_bounded_by_itself() {
        let spec = spec(&[reserved(3_600_000_001, 4_000)]);
        let said = check(&spec, &settings(&[("budget-caps", "on")]));
        let problem = said.expect_err("a problem").0.remove(0);
        assert_eq!(problem.at, "$[0].max-budget-us");
        assert_eq!(check(&spec, &settings(&[])), Ok(()));
    }

    #[test]
    fn what_the_workers_cannot_keep_is_told_with_what_they_can() {
        let none = json!({});
        // the tenants, the workers, what is said: whose budget, its value, and what would be right
        let rows = [
            (vec![none.clone()], 1, None),
            (vec![reserved(400, 400)], 1, None),
            (
                vec![reserved(401, 400)],
                1,
                Some(["$[0]", "401", "at most 400, or 2 workers"]),
            ),
            (vec![reserved(401, 400)], 2, None),
            (
                vec![reserved(300, 400), none, reserved(200, 500)],
                1,
                Some(["$[2]", "200", "at most 125, or 2 workers"]),
            ),
            (
                vec![reserved(400, 400), reserved(1, 400)],
                1,
                Some(["$[1]", "1", "2 workers, or smaller budgets"]),
            ),
            (
                vec![reserved(1, 400)],
                1_001,
                Some(["$[0]", "1", "within these bounds"]),
            ),
        ];
        for (tenants, workers, expected) in rows {
            let spec = spec(&tenants);
            let check = |flag: (&'static str, &str)| {
                let workers = workers.to_string();
                check(&spec, &settings(&[flag, ("workers", &workers)]))
            };
            for flag in [
                ("scheduler", "mtds"),
                ("scheduler", "mtdbf"),
                ("admission", "demand"),
            ] {
                let said = check(flag).err();
                let Some([at, value, remedy]) = expected else {
                    assert_eq!(said, None, "{tenants:?}");
                    continue;
                };
                let problem = said.expect("a problem").0.remove(0);
                assert_eq!(problem.at, format!("{at}.max-budget-us"));
                assert_eq!(problem.value, value);
                assert!(problem.remedy.contains(remedy), "{problem}");
                assert!(problem.problem.contains("tenant \"t"), "{problem}");
            }
            assert_eq!(check(("scheduler", "wfq")), Ok(()));
            assert_eq!(check(("budget-caps", "on")), Ok(()));
        }
    }

    #[test]
    fn tenants_are_what_the_spec_says_and_shares_add_up() {
        let mut second = reserved(1_200, 400);
        second["weight"] = 7.into();
        let tenants = of(&spec(&[json!({}), second]));
        let reservation = |budget_ns| Reservation {
            budget_ns,
            period_ns: 400_000,
        };
        let expected = |budget_ns| {
            let second = Tenant {
                weight: 7,
                reservation: Some(reservation(budget_ns)),
            };
            [Tenant::default(), second]
        };
        assert_eq!(tenants, expected(1_200_000));
        assert_eq!(shares(&tenants, 3), expected(400_000));
    }

    #[test]
    fn what_the_policy_does_not_look_at_is_said() {
        let mut tenant = reserved(100, 400);
        tenant["weight"] = 7.into();
        tenant["routes"] = json!([{"route": "/", "path": "a.wasm", "expected-execution-us": 9},
            {"route": "/b", "path": "a.wasm", "model-bias": 9, "model-scale": 1, "model-num-of-param": 1, "model-beta1": 1}]);
        let spec = spec(&[json!({}), tenant]);
        let keys = [
            "$[1].weight",
            "$[1].max-budget-us",
            "$[1].routes[0].expected-execution-us",
            "$[1].routes[1].model-bias",
        ];
        for (flag, expected) in [
            (("scheduler", "rr"), &keys[..]),
            (("scheduler", "wfq"), &keys[1..]),
            (("scheduler", "mtds"), &[keys[0], keys[2], keys[3]]),
            (("scheduler", "mtdbf"), &keys[..1]),
            (("scheduler", "srpt"), &keys[..2]),
            (("budget-caps", "on"), &keys[..1]),
            (("admission", "utilisation"), &keys[..2]),
            (("dispatch", "lwl"), &keys[..2]),
        ] {
            let notices = without_effect(&spec, &settings(&[flag]));
            let at: Vec<_> = notices.iter().map(|notice| &*notice.at).collect();
            assert_eq!(at, expected, "{flag:?}");
        }
    }
}
