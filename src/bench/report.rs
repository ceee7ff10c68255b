//! What a run says: verdicts on itself, JSON and CSV for programs.
//!
//! Times are in nanoseconds; `null` and empty fields are where the sample is too small to tell. Percentiles are never
//! averaged: the row of all targets is the merged histogram's. The table for people is in `table`.

use std::collections::BTreeMap;
use std::time::SystemTime;

use perf::formats::csv_field;
use perf::{Estimate, Fit, Histogram, Percentile};
use serde::Serialize;

use super::books::Books;
use super::plan::Plan;
use super::tally::{Failure, Tally};
use super::target::ALL;

/// The generator's lag may be so much of the median latency …
const LAG_OF_MEDIAN: f64 = 0.05;

/// … or so much, whichever is more, for a run to be about the server.
const LAG_NS: f64 = 10_000.0;

pub(super) const PERCENTILES: [(&str, Percentile); 5] = [
    ("p50", Percentile::P50),
    ("p90", Percentile::P90),
    ("p99", Percentile::P99),
    ("p99.9", Percentile::P99_9),
    ("p99.99", Percentile::P99_99),
];

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    pub(super) luge: &'static str,
    pub(super) started_unix_s: f64,
    pub(super) interrupted: bool,
    pub(super) setting: Setting,
    pub(super) measured_ns: u64,
    pub(super) rate: Rate,
    pub(super) generator: Generator,
    pub(super) warmup: Warmup,
    pub(super) unsolicited: u64,
    /// The first is all targets together.
    pub(super) targets: Vec<Row>,
}

#[derive(Debug, Serialize)]
pub(super) struct Setting {
    pub(super) arrivals: &'static str,
    pub(super) rate: Option<f64>,
    pub(super) duration_ns: u64,
    pub(super) warmup_ns: u64,
    pub(super) timeout_ns: u64,
    pub(super) spin_ns: u64,
    pub(super) connections: usize,
    pub(super) keep_alive: bool,
    pub(super) seed: u64,
    pub(super) servers: Vec<String>,
}

/// Requests per second over the measured time.
#[derive(Debug, Serialize)]
pub(super) struct Rate {
    pub(super) intended: Option<f64>,
    /// By the schedule, as far as it was due.
    pub(super) scheduled: Option<f64>,
    pub(super) sent: Option<f64>,
    /// Right answers that came.
    pub(super) answered: Option<f64>,
}

/// What the generator says of itself.
#[derive(Debug, Serialize)]
pub(super) struct Generator {
    /// Whether the lag is small enough; `null` if that cannot be told.
    pub(super) valid: Option<bool>,
    pub(super) lag_max_allowed_ns: Option<f64>,
    pub(super) lag_ns: Times,
    /// Of the requests that found no connection free; part of their latency.
    pub(super) waited_for_connection_ns: Times,
    pub(super) gaps: Option<Gaps>,
}

/// The gaps between sends.
#[derive(Debug, Serialize)]
pub(super) struct Gaps {
    pub(super) tested: usize,
    /// Standard deviation over mean: 1 for Poisson, 0 for a constant rate.
    pub(super) variation: f64,
    pub(super) kolmogorov_smirnov: f64,
    pub(super) p: f64,
    /// Whether they are as exponential gaps of the intended rate are; `null` where that was not meant.
    pub(super) poisson: Option<bool>,
}

#[derive(Debug, Serialize)]
pub(super) struct Warmup {
    pub(super) requests: u64,
    pub(super) failed: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) requests: u64,
    pub(super) right: u64,
    pub(super) failed: u64,
    pub(super) failures: BTreeMap<&'static str, u64>,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) body_bytes: u64,
    pub(super) latency_ns: Times,
    pub(super) since_sent_ns: Times,
    pub(super) wrong_answers_ns: Times,
}

#[derive(Debug, Serialize)]
pub(super) struct Times {
    pub(super) count: u64,
    pub(super) mean: Option<f64>,
    #[serde(flatten)]
    pub(super) percentiles: BTreeMap<&'static str, Option<Bounds>>,
    pub(super) max: Option<u64>,
}

/// A percentile and its 95 % confidence interval.
#[derive(Debug, Serialize)]
pub(super) struct Bounds {
    pub(super) value: u64,
    pub(super) low: u64,
    pub(super) high: u64,
}

/// All targets together.
pub fn all(books: &Books) -> Tally {
    let mut all = Tally::default();
    books.tallies.iter().for_each(|tally| all.merge(tally));
    all
}

impl Report {
    /// Draws the conclusions.
    pub fn new(plan: &Plan, books: &Books, started: SystemTime, interrupted: bool) -> Self {
        let all = all(books);
        let targets = &plan.targets.targets;
        let each = targets.iter().zip(&books.tallies);
        let mut rows = vec![Row::new(ALL, &all)];
        if targets.len() > 1 {
            rows.extend(each.map(|(target, tally)| Row::new(&target.name, tally)));
        }
        let measured_s = books.measured_ns as f64 / 1e9;
        let per_second = |count: u64| (measured_s > 0.0).then(|| count as f64 / measured_s);
        let since_epoch = started.duration_since(SystemTime::UNIX_EPOCH);
        let servers = plan.targets.origins.iter();
        Self {
            luge: env!("CARGO_PKG_VERSION"),
            started_unix_s: since_epoch.unwrap_or_default().as_secs_f64(),
            interrupted,
            setting: Setting {
                arrivals: plan.process,
                rate: plan.rate,
                duration_ns: plan.duration_ns,
                warmup_ns: plan.warmup_ns,
                timeout_ns: plan.timeout_ns,
                spin_ns: plan.spin_ns,
                connections: plan.connections,
                keep_alive: plan.keep_alive,
                seed: plan.seed,
                servers: servers.map(|origin| origin.authority.clone()).collect(),
            },
            measured_ns: books.measured_ns,
            rate: Rate {
                intended: plan.rate,
                scheduled: plan.rate.and_then(|_| per_second(all.requests)),
                sent: per_second(books.lag_ns.count()),
                answered: per_second(books.answered),
            },
            generator: Generator::new(plan, books, &all),
            warmup: Warmup {
                requests: books.warmup.0,
                failed: books.warmup.1,
            },
            unsolicited: books.unsolicited,
            targets: rows,
        }
    }

    /// Whether every request was answered, and rightly.
    pub fn is_right(&self) -> bool {
        let all = &self.targets[0];
        all.failed + self.warmup.failed + self.unsolicited == 0 && all.requests > 0
    }

    /// What is to be known before the figures are believed.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let generator = &self.generator;
        if self.was_late() {
            let allowed_us = generator.lag_max_allowed_ns.unwrap_or(LAG_NS) / 1e3;
            warnings.push(format!(
                "INVALID: the generator itself was late: the p99.9 of its lag is above {allowed_us:.0} µs \
                 (the larger of 10 µs and 5 % of the median); use a lower rate, a larger --spin, a core of its own"
            ));
        }
        if let Some(Gaps {
            poisson: Some(false),
            p,
            ..
        }) = generator.gaps
        {
            warnings.push(format!(
                "the sends were no Poisson process of the rate intended (Kolmogorov-Smirnov, p {p:.2e})"
            ));
        }
        if self.targets[0].requests == 0 {
            warnings.push(
                "no request was measured: the run was too short, or its rate too low".to_owned(),
            );
        }
        warnings
    }

    /// Whether the generator itself was late, so that its figures tell of it as well.
    pub fn was_late(&self) -> bool {
        self.generator.valid == Some(false)
    }

    /// The JSON text.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("it has no keys but strings") + "\n"
    }

    /// A heading and a line for each target, the first for all.
    pub fn csv(&self) -> String {
        let mut text = "target,arrivals,intended_rate,measured_s,requests,right,failed".to_owned();
        for (_, name, _) in Failure::TABLE {
            text += &format!(",{name}");
        }
        text += ",mean_ns";
        for (name, _) in PERCENTILES {
            text += &format!(",{name}_ns,{name}_low_ns,{name}_high_ns");
        }
        text += ",max_ns\n";
        for row in &self.targets {
            let rate = self
                .rate
                .intended
                .map_or_else(String::new, |rate| rate.to_string());
            let measured_s = self.measured_ns as f64 / 1e9;
            let fields = [csv_field(&row.name), self.setting.arrivals.to_owned(), rate];
            text += &fields.join(",");
            text += &format!(
                ",{measured_s},{},{},{}",
                row.requests, row.right, row.failed
            );
            for (_, name, _) in Failure::TABLE {
                text += &format!(",{}", row.failures.get(name).unwrap_or(&0));
            }
            text += &format!(",{}", optional(row.latency_ns.mean));
            for (name, _) in PERCENTILES {
                match row.latency_ns.percentile(name) {
                    Some(Bounds { value, low, high }) => text += &format!(",{value},{low},{high}"),
                    None => text += ",,,",
                }
            }
            text += &format!(",{}\n", optional(row.latency_ns.max));
        }
        text
    }
}

impl Generator {
    fn new(plan: &Plan, books: &Books, all: &Tally) -> Self {
        let is_open = plan.arrivals.is_some();
        // Without a median there is the largest, of which the median is not more: a lag that is too large for it is.
        let median_ns = all.latency_ns.percentile(Percentile::P50);
        let allowed_ns = median_ns.map_or(LAG_NS, |median_ns| {
            LAG_NS.max(LAG_OF_MEDIAN * median_ns as f64)
        });
        let lag = &books.lag_ns;
        let is_small = |lag_ns: u64| lag_ns as f64 <= allowed_ns;
        // Where p99.9 is not told, those below it may be too large already, or the largest small enough.
        let mut told = PERCENTILES[..4].iter().rev();
        let largest_told = told.find_map(|(_, percentile)| lag.percentile(*percentile));
        let valid = match lag.percentile(Percentile::P99_9) {
            Some(lag_ns) => Some(is_small(lag_ns)),
            None if lag.max().is_some_and(is_small) => Some(true),
            None => largest_told
                .filter(|lag_ns| !is_small(*lag_ns))
                .map(|_| false),
        };
        Self {
            valid: valid.filter(|_| is_open),
            lag_max_allowed_ns: is_open.then_some(allowed_ns),
            lag_ns: Times::new(lag),
            waited_for_connection_ns: Times::new(&books.waited_ns),
            gaps: plan
                .rate
                .and_then(|rate| Gaps::new(&books.gaps_ns, rate, plan.process)),
        }
    }
}

impl Gaps {
    fn new(gaps_ns: &[f64], rate: f64, process: &str) -> Option<Self> {
        let fit = Fit::exponential(gaps_ns, 1e9 / rate)?;
        let count = gaps_ns.len() as f64;
        let mean = gaps_ns.iter().sum::<f64>() / count;
        let variance = gaps_ns.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
        Some(Self {
            tested: fit.count,
            variation: if mean > 0.0 {
                variance.sqrt() / mean
            } else {
                0.0
            },
            kolmogorov_smirnov: fit.distance,
            p: fit.p,
            poisson: (process == "poisson").then(|| fit.holds()),
        })
    }
}

impl Row {
    fn new(name: &str, tally: &Tally) -> Self {
        let failures = Failure::TABLE.iter().filter_map(|(failure, name, _)| {
            let count = tally.failures[*failure as usize];
            (count > 0).then_some((*name, count))
        });
        Self {
            name: name.to_owned(),
            requests: tally.requests,
            right: tally.right,
            failed: tally.failed(),
            failures: failures.collect(),
            statuses: tally.statuses.clone(),
            body_bytes: tally.body_bytes,
            latency_ns: Times::new(&tally.latency_ns),
            since_sent_ns: Times::new(&tally.since_sent_ns),
            wrong_answers_ns: Times::new(&tally.wrong_ns),
        }
    }
}

impl Times {
    fn new(histogram: &Histogram) -> Self {
        let bounds = |Estimate { value, low, high }| Bounds { value, low, high };
        let percentiles = PERCENTILES
            .map(|(name, percentile)| (name, histogram.estimate(percentile).map(bounds)));
        Self {
            count: histogram.count(),
            mean: histogram.mean(),
            percentiles: percentiles.into(),
            max: histogram.max(),
        }
    }

    pub(super) fn percentile(&self, name: &str) -> Option<&Bounds> {
        self.percentiles.get(name).and_then(Option::as_ref)
    }
}

fn optional(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
