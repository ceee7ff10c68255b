//! Whether server and simulator say the same, and how much noise there is in what the server says.

use perf::Percentile;
use perf::objective::{Metric, Statistic};

use super::digest::Digest;
use super::results::{Kind, Origin, Wanted};

/// The loads up to which they are compared: beyond, a queue is as long as a run is, and any small cost decides.
const LOAD_MAX: f64 = 0.8;

/// What is compared, and by which part the two may differ.
const COMPARED: [(Percentile, f64); 3] = [
    (Percentile::P50, 0.15),
    (Percentile::P99, 0.15),
    (Percentile::P99_9, 0.30),
];

/// How to read it.
pub const LEGEND: &str = "The simulator runs the server's scheduler on the requests as they were meant, with the costs that were \
measured before; it agrees if p50 and p99 are within 15 % and p99.9 within 30 %. The simulator of the recording runs the same \
requests as the server has recorded them: when they really came, and how long each really ran. What those two differ by is what \
the machine did to the server (late arrivals, interrupts, other processes), and the noise is the larger of that and of the \
interval between repetitions. A difference within the noise says nothing about the scheduler.";

/// A percentile of the slowdown at a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    pub policy: usize,
    /// Index of the value.
    pub value: usize,
    pub statistic: Statistic,
    pub tolerance: f64,
    /// The part of their time that the server's workers were busy, overheads included.
    pub busy: Option<f64>,
    pub live: Option<f64>,
    /// Between repetitions.
    pub interval: Option<(f64, f64)>,
    pub simulated: Option<f64>,
    pub replayed: Option<f64>,
}

impl Agreement {
    /// Of the simulator to the server.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.simulated? / self.live?)
    }

    /// Whether they differ by less than they may; `None` if one of them is not known.
    pub fn agrees(&self) -> Option<bool> {
        let ratio = self.ratio()?;
        Some((1.0 - self.tolerance..=1.0 + self.tolerance).contains(&ratio))
    }

    /// The factor by which figures of the server may be off; at least 1. `None` if nothing says.
    pub fn noise(&self) -> Option<f64> {
        let live = self.live?;
        let by_machine = match (self.replayed, self.simulated) {
            (Some(replayed), Some(simulated)) => Some(factor(replayed, simulated)),
            _ => None,
        };
        let between = self
            .interval
            .map(|(low, high)| factor(low, live).max(factor(high, live)));
        by_machine.into_iter().chain(between).reduce(f64::max)
    }

    /// Whether they differ by less than the noise.
    pub fn is_within_noise(&self) -> bool {
        let ratio = self.ratio().map(|ratio| factor(ratio, 1.0));
        ratio
            .zip(self.noise())
            .is_some_and(|(ratio, noise)| ratio <= noise)
    }
}

/// By which factor two numbers differ.
fn factor(a: f64, b: f64) -> f64 {
    match a > 0.0 && b > 0.0 {
        true => (a / b).max(b / a),
        false => f64::INFINITY,
    }
}

/// All that can be compared.
pub fn agreement(digest: &Digest<'_>) -> Vec<Agreement> {
    let results = digest.results;
    let has_both = [Origin::Live, Origin::Simulated]
        .iter()
        .all(|origin| results.origins().contains(origin));
    if !has_both {
        return Vec::new();
    }
    let mut rows = Vec::new();
    for policy in 0..results.policies.len() {
        for (value, load) in results.axis.values.iter().enumerate() {
            if results.axis.kind == Kind::Load && *load > LOAD_MAX {
                continue;
            }
            rows.extend(COMPARED.map(|(percentile, tolerance)| {
                let statistic = Statistic::At(percentile);
                let wanted = Wanted {
                    metric: Metric::Slowdown,
                    statistic,
                    class: None,
                };
                let of = |origin: Origin| digest.value((policy, origin), value, wanted);
                let live = of(Origin::Live);
                let measured = digest.measured((policy, Origin::Live), value);
                Agreement {
                    busy: measured.map(|measured| 1.0 - measured.workers.idle()),
                    policy,
                    value,
                    statistic,
                    tolerance,
                    live: live.map(|live| live.value),
                    interval: live.and_then(|live| live.interval),
                    simulated: of(Origin::Simulated).map(|it| it.value),
                    replayed: of(Origin::Replayed).map(|it| it.value),
                }
            }));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(live: f64, simulated: f64, replayed: f64, interval: (f64, f64)) -> Agreement {
        Agreement {
            policy: 0,
            value: 0,
            statistic: Statistic::At(Percentile::P99),
            tolerance: 0.15,
            busy: None,
            live: Some(live),
            interval: Some(interval),
            simulated: Some(simulated),
            replayed: Some(replayed),
        }
    }

    #[test]
    fn what_differs_more_than_it_may_is_told_from_noise() {
        for (row, agrees, is_within_noise) in [
            (row(10.0, 11.4, 10.0, (9.9, 10.1)), true, true),
            (row(10.0, 11.6, 10.0, (9.9, 10.1)), false, true),
            // The recording explains nothing, and repetitions hardly differ.
            (row(10.0, 8.4, 8.4, (9.9, 10.1)), false, false),
            (row(10.0, 8.6, 8.6, (9.9, 10.1)), true, false),
            // Repetitions differ as much.
            (row(10.0, 8.0, 8.0, (7.9, 12.7)), false, true),
            // What differs by a machine that is stopped is noise.
            (row(10.0, 5.0, 10.0, (9.9, 10.1)), false, true),
        ] {
            assert_eq!(row.agrees(), Some(agrees), "{row:?}");
            assert_eq!(row.is_within_noise(), is_within_noise, "{row:?}");
        }
    }

    #[test]
    fn what_is_not_known_does_not_agree() {
        let known = row(10.0, 10.0, 10.0, (9.0, 11.0));
        for unknown in [
            Agreement {
                live: None,
                ..known
            },
            Agreement {
                simulated: None,
                ..known
            },
        ] {
            assert_eq!(unknown.agrees(), None);
            assert!(!unknown.is_within_noise());
        }
        let alone = Agreement {
            replayed: None,
            interval: None,
            ..known
        };
        assert_eq!((alone.agrees(), alone.noise()), (Some(true), None));
    }
}
