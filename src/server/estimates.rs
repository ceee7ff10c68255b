//! How long requests are expected to execute: an estimator for each route, asked when a request has come and told when
//! its answer comes back. On the listener's thread alone, so nothing is shared.
//!
//! What was learnt can be taken out and put back ([`Learnt`]); files are the caller's.

use super::routes::{Route, Routes};
use listener::Exchange;
use sched::Nanos;
use sched::estimate::{ESTIMATORS, Estimator, NamedEstimator, Percentile};
use sched::limits::WINDOW_RUNS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The percentile where a route does not say: an execution is as often shorter as it is longer.
const PERCENTILE_DEFAULT: u8 = 50;

/// The estimators of all routes, by their index.
pub(crate) struct Estimates {
    routes: Vec<Estimator>,
}

/// What was learnt of the routes, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Learnt(pub BTreeMap<String, Runs>);

/// What was learnt of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runs {
    /// The last ones in nanoseconds, the oldest first.
    LastNs(Vec<Nanos>),
    /// The weights of classes of runs; see [`sched::estimate::Quantile::weights`].
    Weights(Vec<(u16, u64)>),
}

impl Estimates {
    /// `uses_sizes`: something looks at them. Routes that nothing was learnt of, or in another way, begin cold.
    pub fn new(
        routes: &Routes,
        how: Option<&NamedEstimator>,
        uses_sizes: bool,
        learnt: &Learnt,
    ) -> Estimates {
        let estimator = |route: &Route| {
            let mut estimator = estimator(route, how, uses_sizes);
            if let Some(runs) = learnt.0.get(&route.name) {
                warm(&mut estimator, runs);
            }
            estimator
        };
        Estimates {
            routes: routes.each().map(estimator).collect(),
        }
    }

    /// What is expected of a request; 0 for unknown.
    pub fn expected_ns(&self, exchange: &Exchange) -> Nanos {
        self.routes[usize::from(exchange.route)].expected_ns(exchange.body.len() as u64)
    }

    /// A request has come back. What was cut short or failed says nothing of how long it would have been.
    pub fn observe(&mut self, exchange: &Exchange) {
        let is_whole = (200..500).contains(&exchange.status.0);
        if is_whole && exchange.timeline.ran_ns > 0 {
            self.routes[usize::from(exchange.route)].observe(exchange.timeline.ran_ns);
        }
    }

    /// All that was learnt.
    pub fn learnt(&self, routes: &Routes) -> Learnt {
        let runs = |(route, estimator): (&Route, &Estimator)| {
            let runs = match estimator {
                Estimator::Window(window) => Runs::LastNs(window.runs().collect()),
                Estimator::Quantile(quantile) => Runs::Weights(quantile.weights()),
                Estimator::Fixed(_) | Estimator::Regression(_) => return None,
            };
            Some((route.name.clone(), runs))
        };
        let known = routes.each().zip(&self.routes).filter_map(runs);
        Learnt(known.collect())
    }
}

/// A route's own model says more of a request than the runs of others do.
fn estimator(route: &Route, how: Option<&NamedEstimator>, uses_sizes: bool) -> Estimator {
    if let Some(model) = route.model {
        return Estimator::Regression(model);
    }
    let asked = route.percentile.and_then(Percentile::new);
    let default = || Percentile::new(PERCENTILE_DEFAULT).expect("a percentile");
    let name = match uses_sizes || asked.is_some() {
        true => "window",
        false => "spec",
    };
    let by_itself = || ESTIMATORS.iter().find(|named| named.name == name);
    let named = how.or_else(by_itself).expect("it is in the table");
    (named.build)(asked.unwrap_or_else(default), route.expected_ns)
}

fn warm(estimator: &mut Estimator, runs: &Runs) {
    match (estimator, runs) {
        (Estimator::Fixed(_) | Estimator::Regression(_), _) => {}
        (Estimator::Quantile(quantile), Runs::Weights(weights)) => {
            quantile.restore(weights.iter().copied());
        }
        (Estimator::Window(_), Runs::Weights(_)) => {}
        (estimator, Runs::LastNs(runs)) => {
            let last = runs.len().saturating_sub(WINDOW_RUNS);
            runs[last..]
                .iter()
                .for_each(|&run_ns| estimator.observe(run_ns));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        (how, uses_sizes): (Option<&str>, bool),
        percentile: Option<u8>,
        learnt: Option<Runs>,
        expected_ns: Nanos,
    ) {
        let route = Route {
            expected_ns: 700,
            percentile,
            ..Route::default()
        };
        let named = |how| ESTIMATORS.iter().find(|named| named.name == how);
        let named = how.map(|how| named(how).expect("an estimator"));
        let mut estimator = estimator(&route, named, uses_sizes);
        if let Some(runs) = &learnt {
            warm(&mut estimator, runs);
        }
        let got_ns = estimator.expected_ns(0);
        assert_eq!(got_ns, expected_ns, "{how:?} {percentile:?}");
    }

    /// Whatever is asked for and was learnt.
    #[test]
    fn a_routes_own_model_goes_before_all_else() {
        let model = sched::estimate::Regression {
            bias_ns: 1_000,
            beta_micro: 2_500_000,
            scale_bytes: 1_024.try_into().expect("not 0"),
        };
        let route = Route {
            expected_ns: 700,
            percentile: Some(90),
            model: Some(model),
            ..Route::default()
        };
        let named = ESTIMATORS.iter().map(Some).chain([None]);
        for how in named {
            let mut estimator = estimator(&route, how, true);
            warm(&mut estimator, &Runs::LastNs(vec![5]));
            estimator.observe(9);
            let expected = [0, 1_024, 4_096].map(|bytes| estimator.expected_ns(bytes));
            assert_eq!(expected, [1_000, 1_002, 1_010], "{how:?}");
        }
    }

    #[test]
    fn who_asks_for_it_is_estimated_by_runs_and_begins_warm() {
        let runs = || Some(Runs::LastNs((1..=100).collect()));
        let weights = || Some(Runs::Weights(vec![(3, 1 << 16), (7, 1 << 16)]));
        let (no, yes) = ((None, false), (None, true));
        check(no, None, runs(), 700);
        check(no, Some(90), runs(), 90);
        check(yes, None, None, 700);
        check(yes, None, runs(), 50);
        check((Some("spec"), true), Some(90), runs(), 700);
        check((Some("window"), false), None, runs(), 50);
        check((Some("window"), false), None, weights(), 700);
        check((Some("quantile"), false), None, weights(), 3);
        check((Some("quantile"), false), Some(99), weights(), 7);
        // Of more runs than it remembers, the last.
        let many = (0..9_000).chain(std::iter::repeat_n(5, WINDOW_RUNS));
        check(yes, Some(99), Some(Runs::LastNs(many.collect())), 5);
    }
}
