//! What a preemption costs on this machine, measured; and from that the shortest quantum that makes
//! sense.
//!
//! The cost of a timer's expiry differs by more than ten between bare metal and a nested virtual
//! machine, where the interrupt and the timer's programming each leave the guest. So it is measured as
//! what counts in the end: how much longer a guest takes for the same work when it is preempted.

use std::fs;
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

/// Runs of each kind, in turn. The fastest of each count: whatever else a machine does makes them longer. Those in
/// which the kernel took the processor away count only if there are no others.
const RUNS: usize = 5;

/// After so many runs what there is has to do. Those in which nobody was preempted never count: a watcher may not
/// have got to run.
const RUNS_MAX: usize = 100;

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
    let _watcher = (trigger == Trigger::Watcher).then(|| Spinning::new(timer.alarm()));
    let (mut alone, mut preempted) = (Vec::new(), Vec::new());
    let mut delays_ns = Vec::new();
    for _ in 0..RUNS_MAX {
        alone.push(run(&mut runtime, &mut timer, u64::MAX, &mut delays_ns));
        let ran = run(&mut runtime, &mut timer, QUANTUM_NS, &mut delays_ns);
        preempted.extend(Some(ran).filter(|ran| ran.preemptions > 0));
        if preempted.iter().filter(|ran| !ran.is_disturbed).count() == RUNS {
            break;
        }
    }
    let alone = alone.iter().map(|ran| (ran.is_disturbed, ran.ns)).min();
    let (_, alone_ns) = alone.expect("some runs");
    let cost_ns = |ran: &Ran| ran.ns.saturating_sub(alone_ns) / ran.preemptions;
    let costs = preempted.iter().map(|ran| (ran.is_disturbed, cost_ns(ran)));
    let (_, preemption_ns) = costs.min().ok_or("no guest was preempted")?;
    delays_ns.sort_unstable();
    Ok(Calibration {
        preemption_ns,
        delay_ns: delays_ns[delays_ns.len() / 2],
    })
}

/// How a guest got to its end.
struct Ran {
    ns: u64,
    preemptions: u64,
    /// Something else had the processor meanwhile.
    is_disturbed: bool,
}

/// Runs the guest to its end. Adds how late each of its slices ended.
fn run(runtime: &mut Runtime, timer: &mut Timer, quantum_ns: u64, delays_ns: &mut Vec<u64>) -> Ran {
    runtime.start(0, 0, Call::default(), Waker::noop().clone());
    let switches = involuntary_switches();
    let begun_ns = monotonic_ns();
    for preemptions in 0.. {
        let end_ns = monotonic_ns().saturating_add(quantum_ns);
        timer.begin_slice(end_ns, Contention::Contended);
        let step = runtime.resume(0);
        timer.end_slice();
        let now_ns = monotonic_ns();
        if let Step::Finished(_) = step {
            return Ran {
                ns: now_ns - begun_ns,
                preemptions,
                is_disturbed: involuntary_switches() != switches,
            };
        }
        delays_ns.push(now_ns.saturating_sub(end_ns));
    }
    unreachable!("a guest that computes for milliseconds ends")
}

/// How often the kernel has taken the processor from this thread; `None` if it does not say (proc(5)).
fn involuntary_switches() -> Option<u64> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let mut lines = status.lines();
    let count = lines.find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"))?;
    count.trim().parse().ok()
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
    fn the_kernel_says_when_it_takes_the_processor_away() {
        assert!(involuntary_switches().is_some());
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
