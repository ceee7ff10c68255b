//! What the machine alone does to a thread on a worker's core, before and after the runs.

use std::time::{Duration, Instant};

use perf::noise::Stalls;
use serde::{Deserialize, Serialize};

use super::places::pin;

/// Stalls of a core, of which percentiles of latencies below them tell and of nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// How many there are in a second.
    pub per_second: f64,
    /// The part of the time that they take.
    pub share: f64,
    /// The longest.
    pub max_ns: u64,
    /// How long one request in a hundred that comes at any time and takes no time is stalled, at least.
    pub p99_ns: u64,
    /// … and one in a thousand.
    pub p99_9_ns: u64,
}

impl Noise {
    /// Looks at this core for so long, and does nothing else there.
    pub fn of(core: Option<usize>, duration: Duration) -> Self {
        let look = move || {
            pin(core);
            let begin = Instant::now();
            let readings = std::iter::from_fn(|| {
                let at = begin.elapsed();
                (at < duration).then_some(at.as_nanos() as u64)
            });
            Self::told(&Stalls::of(readings))
        };
        let looked = std::thread::spawn(look).join();
        looked.expect("looking at the clock does not panic")
    }

    fn told(stalls: &Stalls) -> Self {
        Self {
            per_second: stalls.per_second(),
            share: stalls.share(),
            max_ns: stalls.max_ns(),
            p99_ns: stalls.quantile_ns(0.99, 0),
            p99_9_ns: stalls.quantile_ns(0.999, 0),
        }
    }
}
