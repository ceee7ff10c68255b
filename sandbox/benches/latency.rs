//! From the end of a slice to the first instruction of the other sandbox, beside what the kernel takes for the
//! signal alone and what two fiber switches cost.
//!
//! ```text
//!   cargo bench -p sandbox --bench latency
//!
//!   slice's end ───── stop ─────► the worker has its thread ───── go on ─────► the other sandbox reads the clock
//!   bare:        to the first line of an empty handler, on a thread that spins
//! ```
//!
//! One sandbox loops for ever. The other is there already and goes on where it yielded, or is fresh and starts. The
//! rows take turns. The worker has the last core; whoever watches the clock for it has the first, and spins.

mod bare;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::thread::{JoinHandle, spawn};

use core_affinity::CoreId;
use hdrhistogram::Histogram;
use sandbox::{
    Alarm, Call, Compiler, Contention, FunctionConfig, Preemption, Runtime, Settings, Step, Timer,
    Trigger, Watcher, calibrate, monotonic_ns,
};

const ROUNDS: usize = 30;

/// Samples of each row in a round.
const SAMPLES: usize = 100;

/// Slices last this long, and up to as much again, so that nothing falls into step with the clock's ticks.
const QUANTUM_NS: u64 = 60_000;

const WAYS: [(&str, Preemption, Trigger); 4] = [
    ("signal, timer", Preemption::Signal, Trigger::Timer),
    ("signal, watcher", Preemption::Signal, Trigger::Watcher),
    ("epoch, timer", Preemption::Epoch, Trigger::Timer),
    ("epoch, watcher", Preemption::Epoch, Trigger::Watcher),
];

const ENDLESS: &str = r#"(module (func (export "_start") (loop $l (br $l))))"#;

/// Reads the clock first of all and writes it down; `BEFORE` and `AFTER` may make a loop of that.
const READS: &str = r#"(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\40\00\00\00\08\00\00\00")
  (func (export "_start") BEFORE
    (drop (call $time (i32.const 1) (i64.const 0) (i32.const 64)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    AFTER))"#;

/// Slots, and functions of the same number.
const LOOPS: u32 = 0;
const GOES_ON: u32 = 1;
const FRESH: u32 = 2;

/// Times of one kind, in nanoseconds.
struct Times(Histogram<u64>);

/// A worker, and how it fares.
struct Worker {
    name: &'static str,
    runtime: Runtime,
    timer: Timer,
    trigger: Trigger,
    /// What its guests' clock shows at 0.
    origin_ns: u64,
    stop: Times,
    goes_on: Times,
    fresh: Times,
}

fn main() {
    // Before this thread is pinned, and others with it.
    let costs = WAYS.map(|(_, preemption, trigger)| calibrate(preemption, trigger));
    pin(false);
    let reactor = tokio::runtime::Builder::new_current_thread().build();
    let reactor = reactor.expect("a reactor");
    let mut workers = WAYS.map(|way| Worker::new(way, reactor.handle()));
    let (mut timer, mut signal, mut switches) = (Times::new(), Times::new(), Times::new());
    let bare = bare::Timer::new();
    let mut yields = Yields::new(reactor.handle());
    for _ in 0..ROUNDS {
        bare_timer(&bare, &mut timer);
        bare_signal(&bare, &mut signal);
        yields.measure(&mut switches);
        for worker in &mut workers {
            worker.measure();
        }
    }
    println!("{} samples of each, microseconds", ROUNDS * SAMPLES);
    let floor = |quantile| timer.at(quantile) + switches.at(quantile);
    Times::head("");
    timer.print("bare: a timer's signal", &floor);
    signal.print("bare: a watcher's signal", &floor);
    switches.print("two fiber switches (a yield and back)", &floor);
    Times::head("from a slice's end to the other sandbox");
    for worker in &workers {
        worker.stop.print(&format!("{}: stop", worker.name), &floor);
        worker
            .goes_on
            .print(&format!("{}: one that goes on", worker.name), &floor);
        worker
            .fresh
            .print(&format!("{}: a fresh one", worker.name), &floor);
    }
    println!("\nratio: to a bare timer's signal and two fiber switches, by quantile");
    println!("\npreemption round trip: what a guest loses each time");
    for ((name, ..), cost) in WAYS.iter().zip(costs) {
        let cost_ns = cost.expect("a sandbox").preemption_ns;
        println!("  {name:22} {:6.1} us", cost_ns as f64 / 1e3);
    }
}

/// The calling thread to the last core, as interrupts prefer the first; a watcher to the first.
fn pin(is_watcher: bool) {
    // As they are before the first call: threads inherit what their maker may use.
    static CORES: OnceLock<Vec<CoreId>> = OnceLock::new();
    let cores = CORES.get_or_init(|| core_affinity::get_core_ids().unwrap_or_default());
    let core = if is_watcher {
        cores.first()
    } else {
        cores.last()
    };
    if let Some(core) = core {
        core_affinity::set_for_current(*core);
    }
}

fn next_end_ns(sample: usize) -> u64 {
    monotonic_ns() + QUANTUM_NS + (sample as u64 * 7919) % QUANTUM_NS
}

fn bare_timer(bare: &bare::Timer, times: &mut Times) {
    for sample in 0..SAMPLES {
        let (at_ns, before) = (next_end_ns(sample), bare::count());
        bare.set(at_ns, 0);
        while bare::count() == before {
            std::hint::spin_loop();
        }
        times.note(bare::came_ns() - at_ns);
    }
}

/// Another thread watches the clock and sends the signal.
fn bare_signal(bare: &bare::Timer, times: &mut Times) {
    let (target, due_ns) = (bare.target(), Arc::new(AtomicU64::new(u64::MAX)));
    let due = due_ns.clone();
    let watching = Watching::new(move || {
        if monotonic_ns() >= due.load(SeqCst) {
            due.store(u64::MAX, SeqCst);
            target.signal();
        }
    });
    for sample in 0..SAMPLES {
        let (at_ns, before) = (next_end_ns(sample), bare::count());
        due_ns.store(at_ns, SeqCst);
        while bare::count() == before {
            std::hint::spin_loop();
        }
        times.note(bare::came_ns() - at_ns);
    }
    drop(watching);
}

/// A thread that does the same again and again on the first core, until this is dropped.
struct Watching {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A watcher that never sleeps need not be told.
#[derive(Debug)]
struct Awake;

impl Watcher for Awake {
    fn armed(&self, _at_ns: u64) {}
}

impl Watching {
    fn new(mut look: impl FnMut() + Send + 'static) -> Watching {
        let done = Arc::new(AtomicBool::new(false));
        let is_done = done.clone();
        let watch = move || {
            pin(true);
            while !is_done.load(SeqCst) {
                look();
                std::hint::spin_loop();
            }
        };
        Watching {
            done,
            thread: Some(spawn(watch)),
        }
    }

    fn of(alarm: Alarm) -> Watching {
        Watching::new(move || _ = alarm.expire_if_due(monotonic_ns()))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.done.store(true, SeqCst);
        let thread = self.thread.take().expect("it is dropped once");
        thread.join().expect("a watcher does not panic");
    }
}

/// A guest that yields for ever.
struct Yields(Runtime);

impl Yields {
    fn new(reactor: &tokio::runtime::Handle) -> Yields {
        let module = reads("(loop $l (drop (call $yield)) (br $l))", "");
        let mut runtime = runtime(Preemption::Signal, &[&module], reactor);
        runtime.start(0, 0, Call::default(), Waker::noop().clone());
        Yields(runtime)
    }

    fn measure(&mut self, times: &mut Times) {
        const EACH: u64 = 16;
        for _ in 0..SAMPLES {
            let begun_ns = monotonic_ns();
            for _ in 0..EACH {
                assert!(matches!(self.0.resume(0), Step::Yielded));
            }
            times.note((monotonic_ns() - begun_ns) / EACH);
        }
    }
}

fn reads(before: &str, after: &str) -> String {
    READS.replace("BEFORE", before).replace("AFTER", after)
}

fn runtime(preemption: Preemption, modules: &[&str], reactor: &tokio::runtime::Handle) -> Runtime {
    let settings = Settings {
        sandboxes_max: 3,
        preemption,
        ..Settings::default()
    };
    let compiler = Compiler::new(&settings, None).expect("a compiler");
    let function = |module: &&str| {
        let artifact = compiler.compile(module.as_bytes()).expect("compiles");
        (artifact, FunctionConfig::default())
    };
    let functions: Vec<_> = modules.iter().map(function).collect();
    Runtime::new(&settings, &functions, reactor.clone()).expect("a runtime")
}

impl Worker {
    fn new(
        (name, preemption, trigger): (&'static str, Preemption, Trigger),
        reactor: &tokio::runtime::Handle,
    ) -> Worker {
        let goes_on = reads("(loop $l (drop (call $yield))", "(br $l))");
        let modules = [ENDLESS, &goes_on, &reads("", "")];
        let mut runtime = runtime(preemption, &modules, reactor);
        let timer = match trigger {
            Trigger::Timer => runtime.timer(),
            Trigger::Watcher => runtime.watched_timer(Arc::new(Awake)),
        };
        runtime.start(LOOPS, 0, Call::default(), Waker::noop().clone());
        let mut worker = Worker {
            name,
            runtime,
            timer: timer.expect("a timer"),
            trigger,
            origin_ns: 0,
            stop: Times::new(),
            goes_on: Times::new(),
            fresh: Times::new(),
        };
        worker.origin_ns = worker.origin_ns();
        worker
    }

    /// A reading lies between two of ours: the narrowest bounds of many.
    fn origin_ns(&mut self) -> u64 {
        let (mut low_ns, mut high_ns) = (0, u64::MAX);
        for _ in 0..1_000 {
            let before_ns = monotonic_ns();
            let read_ns = self.start_fresh();
            low_ns = low_ns.max(before_ns - read_ns);
            high_ns = high_ns.min(monotonic_ns() - read_ns);
        }
        low_ns.midpoint(high_ns)
    }

    fn measure(&mut self) {
        let watching = (self.trigger == Trigger::Watcher).then(|| Watching::of(self.timer.alarm()));
        for sample in 0..SAMPLES {
            let end_ns = self.stop_the_endless(sample);
            let read_ns = self.origin_ns + self.start_fresh();
            self.fresh.note(read_ns.saturating_sub(end_ns));
        }
        // One that writes all its readings down; to begin with it has yielded.
        self.start(GOES_ON);
        assert!(matches!(self.go(GOES_ON), Step::Yielded));
        let mut ends_ns = Vec::with_capacity(SAMPLES);
        for sample in 0..SAMPLES {
            ends_ns.push(self.stop_the_endless(sample));
            assert!(matches!(self.go(GOES_ON), Step::Yielded));
        }
        let readings = self.runtime.discard(GOES_ON).stdout;
        let readings = readings.as_chunks().0;
        assert_eq!(readings.len(), SAMPLES);
        for (end_ns, reading) in ends_ns.into_iter().zip(readings) {
            let read_ns = self.origin_ns + u64::from_le_bytes(*reading);
            self.goes_on.note(read_ns.saturating_sub(end_ns));
        }
        drop(watching);
    }

    /// Runs the endless one until its slice is over; when that was.
    fn stop_the_endless(&mut self, sample: usize) -> u64 {
        let end_ns = next_end_ns(sample);
        self.timer.begin_slice(end_ns, Contention::Contended);
        let step = self.runtime.resume(LOOPS);
        self.timer.end_slice();
        self.stop.note(monotonic_ns().saturating_sub(end_ns));
        assert!(matches!(step, Step::Preempted));
        end_ns
    }

    /// A whole life; what it reads.
    fn start_fresh(&mut self) -> u64 {
        self.start(FRESH);
        let Step::Finished(outcome) = self.go(FRESH) else {
            panic!("it reads the clock and ends");
        };
        let reading = outcome.call.stdout.try_into();
        u64::from_le_bytes(reading.expect("one reading"))
    }

    fn start(&mut self, slot: u32) {
        let waker = Waker::noop().clone();
        self.runtime
            .start(slot, slot as u16, Call::default(), waker);
    }

    /// A slice that nobody waits for the end of.
    fn go(&mut self, slot: u32) -> Step {
        let nobody = Contention::Uncontended { bar: u64::MAX };
        self.timer.begin_slice(monotonic_ns() + QUANTUM_NS, nobody);
        let step = self.runtime.resume(slot);
        self.timer.end_slice();
        step
    }
}

impl Times {
    fn new() -> Times {
        Times(Histogram::new(3).expect("three digits"))
    }

    fn note(&mut self, ns: u64) {
        self.0.record(ns).expect("it grows");
    }

    fn at(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1e3
    }

    fn head(what: &str) {
        println!(
            "\n{what:38} {:>7} {:>7} {:>7}   ratio p50   p99   in us: <2  <4  <8 <16 <32 <64  64- %",
            "p50", "p90", "p99"
        );
    }

    fn print(&self, name: &str, floor: &dyn Fn(f64) -> f64) {
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|quantile| self.at(quantile));
        let (ratio, ratio_99) = (p50 / floor(0.5), p99 / floor(0.99));
        print!("{name:38} {p50:7.2} {p90:7.2} {p99:7.2}   {ratio:9.2} {ratio_99:5.2}        ");
        let mut from_ns = 0;
        for end_ns in [2, 4, 8, 16, 32, 64, u64::MAX / 1000].map(|us| us * 1000) {
            let count = self.0.count_between(from_ns, end_ns - 1);
            print!(" {:3.0}", count as f64 * 100.0 / self.0.len() as f64);
            from_ns = end_ns;
        }
        println!();
    }
}
