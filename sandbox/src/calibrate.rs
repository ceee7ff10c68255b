//! What a preemption costs on this machine, measured; and from that the shortest quantum that makes
//! sense.
//!
//! The cost of a timer's expiry differs by more than ten between bare metal and a nested virtual
//! machine, where the interrupt and the timer's programming each leave the guest. So it is measured as
//! what counts in the end: how much longer a guest takes for the same work when it is preempted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Waker;
use std::thread;

use crate::artifact::compile;
use crate::call::Call;
use crate::preempt::{Alarm, Contention, Timer, Watcher, monotonic_ns};
use crate::runtime::{FunctionConfig, Runtime, Step};
use crate::settings::{Preemption, Settings};

/// Computes for some two milliseconds.
const GUEST: &str = r#"(module (func (export "_start") (local $n i32) (local $sum i32)
  (local.set $n (i32.const 2000000))
  (loop $l
    (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 1664525)) (local.get $n)))
    (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (if (i32.eqz (local.get $sum)) (then unreachable))))"#;

/// The quantum of the measurement: some twenty preemptions in a run.
const QUANTUM_NS: u64 = 100_000;

/// Runs of each kind, in turn. The fastest of each count: whatever else a machine does makes them longer.
const RUNS: usize = 5;

/// Runs in which nobody was preempted do not count: a watcher may not have got to run. Until so many.
const RUNS_MAX: usize = 200;

/// Preemptions may take one part in so many of a guest's time.
const OVERHEAD_PART: u64 = 10;

/// What lets a worker's timer expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trigger {
    /// The kernel: [`Runtime::timer`].
    #[default]
    Timer,
    /// Another thread: [`Runtime::watched_timer`].
    Watcher,
}

/// Costs of preemption on this machine, as of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calibration {
    /// How much longer a guest takes for each time that it is preempted, in nanoseconds: the timer's
    /// arming and expiry, the way to the worker and back.
    pub preemption_ns: u64,
    /// How long after the end of its slice the worker has its thread back, in nanoseconds: the median.
    pub delay_ns: u64,
}

/// Looks at the clock all the time, on a thread of its own, until it is dropped.
struct Spinning {
    done: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

/// A watcher that never sleeps need not be told.
#[derive(Debug)]
struct Awake;

impl Calibration {
    /// The shortest quantum that costs no more than a tenth, in nanoseconds.
    pub fn quantum_min_ns(&self) -> u64 {
        self.preemption_ns.saturating_mul(OVERHEAD_PART)
    }
}

impl Watcher for Awake {
    fn armed(&self, _at_ns: u64) {}
}

impl Spinning {
    fn new(alarm: Alarm) -> Spinning {
        let done = Arc::new(AtomicBool::new(false));
        let is_done = done.clone();
        let watch = move || {
            while !is_done.load(Relaxed) {
                alarm.expire_if_due(monotonic_ns());
                // On a core of its own that costs next to nothing, and elsewhere the others their time.
                thread::yield_now();
            }
        };
        Spinning {
            done,
            thread: Some(thread::spawn(watch)),
        }
    }
}

impl Drop for Spinning {
    fn drop(&mut self) {
        self.done.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a watcher does not panic");
        }
    }
}

/// Measures on the calling thread, in some tens of milliseconds. A watcher has a thread of its own and does
/// nothing else; it may run where the calling thread may, which therefore ought not to be pinned to a core.
/// Nothing for [`Preemption::Off`].
///
/// # Errors
///
/// No sandbox or no timer can be made, or nobody is preempted; the text says why.
pub fn calibrate(preemption: Preemption, trigger: Trigger) -> Result<Calibration, String> {
    if preemption == Preemption::Off {
        return Ok(Calibration {
            preemption_ns: 0,
            delay_ns: 0,
        });
    }
    let settings = Settings {
        sandboxes_max: 1,
        preemption,
        ..Settings::default()
    };
    let reactor = tokio::runtime::Builder::new_current_thread().build();
    let reactor = reactor.map_err(|error| error.to_string())?;
    let artifact = compile(&settings, GUEST.as_bytes()).map_err(|error| error.to_string())?;
    let functions = [(artifact, FunctionConfig::default())];
    let runtime = Runtime::new(&settings, &functions, reactor.handle().clone());
    let mut runtime = runtime.map_err(|error| error.to_string())?;
    let timer = match trigger {
        Trigger::Timer => runtime.timer(),
        Trigger::Watcher => runtime.watched_timer(Arc::new(Awake)),
    };
    let mut timer = timer.map_err(|error| error.to_string())?;
    let mut delays_ns = Vec::new();
    let _watcher = (trigger == Trigger::Watcher).then(|| Spinning::new(timer.alarm()));
    let mut alone_ns = u64::MAX;
    let mut preempted = Vec::new();
    for _ in 0..RUNS_MAX {
        alone_ns = alone_ns.min(run(&mut runtime, &mut timer, u64::MAX, &mut delays_ns));
        let before = delays_ns.len();
        let ran_ns = run(&mut runtime, &mut timer, QUANTUM_NS, &mut delays_ns);
        let preemptions = (delays_ns.len() - before) as u64;
        if preemptions > 0 {
            preempted.push((ran_ns, preemptions));
        }
        if preempted.len() == RUNS {
            break;
        }
    }
    let costs_ns = preempted
        .into_iter()
        .map(|(ran_ns, preemptions)| ran_ns.saturating_sub(alone_ns) / preemptions);
    let not_preempted = || "no guest was preempted".to_owned();
    Ok(Calibration {
        preemption_ns: costs_ns.min().ok_or_else(not_preempted)?,
        delay_ns: median(delays_ns).ok_or_else(not_preempted)?,
    })
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// Runs the guest to its end; how long that took. Adds how late each of its slices ended.
fn run(runtime: &mut Runtime, timer: &mut Timer, quantum_ns: u64, delays_ns: &mut Vec<u64>) -> u64 {
    runtime.start(0, 0, Call::default(), Waker::noop().clone());
    let begun_ns = monotonic_ns();
    loop {
        let end_ns = monotonic_ns().saturating_add(quantum_ns);
        timer.begin_slice(end_ns, Contention::Contended);
        let step = runtime.resume(0);
        timer.end_slice();
        let now_ns = monotonic_ns();
        if let Step::Finished(_) = step {
            return now_ns - begun_ns;
        }
        delays_ns.push(now_ns.saturating_sub(end_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_preemption_can_be_measured() {
        for preemption in [Preemption::Signal, Preemption::Epoch] {
            for trigger in [Trigger::Timer, Trigger::Watcher] {
                calibrate(preemption, trigger).expect("sandboxes and timers can be made");
            }
        }
        let free = Calibration {
            preemption_ns: 0,
            delay_ns: 0,
        };
        assert_eq!(calibrate(Preemption::Off, Trigger::Timer), Ok(free));
    }

    #[test]
    fn the_shortest_quantum_costs_a_tenth() {
        let check = |preemption_ns, expected| {
            let calibration = Calibration {
                preemption_ns,
                delay_ns: 0,
            };
            assert_eq!(calibration.quantum_min_ns(), expected);
        };
        check(0, 0);
        check(2_400, 24_000);
        check(u64::MAX, u64::MAX);
    }
}
