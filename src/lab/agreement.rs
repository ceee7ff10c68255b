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
pub const LEGEND: &str = "The simulator runs the server's scheduler on the requests as they were meant, with what starts, ends, \
preemptions and dispatch cost on average in the server's run beside it, and with the stalls of its cores; it agrees if p50 and \
p99 are within 15 % and p99.9 within 30 %. What differs by less than the interval between repetitions is within the noise, and \
says nothing. The simulator of the recording runs the same requests as the server has recorded them: when they really came, and \
how long each really ran, with no stalls but those within that. If that one agrees and the other does not, the scheduler is \
simulated rightly and something else differs: arrivals that came late, or services that took longer than what was measured \
(interrupts, other processes, caches, a clock rate that changes).";

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

    /// What it says.
    pub fn verdict(&self) -> Verdict {
        let Some(ratio) = self.ratio() else {
            return Verdict::Unknown;
        };
        let is_near = |ratio: f64| (1.0 - self.tolerance..=1.0 + self.tolerance).contains(&ratio);
        let explained = self.replayed.zip(self.live).map(|(it, live)| it / live);
        let noise = self.noise();
        let is_noise = noise.is_some_and(|noise| factor(ratio, 1.0) <= noise);
        match () {
            () if is_near(ratio) => Verdict::Agrees,
            () if is_noise => Verdict::WithinNoise,
            () if explained.is_some_and(is_near) => Verdict::DiffersByRequests,
            () => Verdict::Differs,
        }
    }

    /// The factor by which figures of the server differ between repetitions; at least 1. `None` if nothing says.
    pub fn noise(&self) -> Option<f64> {
        let (live, (low, high)) = (self.live?, self.interval?);
        Some(factor(low, live).max(factor(high, live)))
    }
}

/// What a comparison of server and simulator says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They differ by less than they may.
    Agrees,
    /// They differ by less than repetitions do.
    WithinNoise,
    /// They differ, and the simulator of what the server has recorded does not: by when requests came and how long they
    /// ran.
    DiffersByRequests,
    Differs,
    /// One of them is not known.
    Unknown,
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
    fn what_differs_is_told_with_what_explains_it() {
        use Verdict::{Agrees, Differs, DiffersByRequests, WithinNoise};
        for (row, verdict) in [
            (row(10.0, 11.4, 10.0, (9.9, 10.1)), Agrees),
            (row(10.0, 8.6, 5.0, (9.9, 10.1)), Agrees),
            // Repetitions differ as much.
            (row(10.0, 8.0, 8.0, (7.9, 12.7)), WithinNoise),
            // What the server has recorded explains it: it is not the scheduler.
            (row(10.0, 5.0, 10.0, (9.9, 10.1)), DiffersByRequests),
            // It does not.
            (row(10.0, 8.4, 8.4, (9.9, 10.1)), Differs),
            (row(10.0, 11.6, 11.6, (9.9, 10.1)), Differs),
        ] {
            assert_eq!(row.verdict(), verdict, "{row:?}");
        }
    }

    #[test]
    fn what_is_not_known_has_no_verdict() {
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
            assert_eq!(unknown.verdict(), Verdict::Unknown);
        }
        let alone = Agreement {
            replayed: None,
            interval: None,
            simulated: Some(12.0),
            ..known
        };
        assert_eq!((alone.verdict(), alone.noise()), (Verdict::Differs, None));
    }
}
