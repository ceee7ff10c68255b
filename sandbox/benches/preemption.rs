//! What the three ways of preemption cost, kernel by kernel: how much longer each takes than with `off`,
//! when nobody waits and when it is preempted every 250 µs.
//!
//! Beside each ratio under preemption stands the one net of what the kernel takes for so many expiries of a
//! timer with an empty handler, measured on a loop that is no guest.
//!
//! Runs are interleaved, and the fastest of each kind counts, so that what else the machine does weighs
//! little. Ratios, not times, are what to compare between machines.
//!
//! ```text
//!   cargo bench -p sandbox --bench preemption
//! ```

#[expect(dead_code, reason = "of a signal only the expiries are counted here")]
mod bare;
#[path = "../tests/it/kernels.rs"]
mod kernels;

use std::hint::black_box;
use std::task::Waker;

use kernels::{KERNELS, module};
use sandbox::{
    Call, Compiler, Contention, FunctionConfig, Preemption, Runtime, Settings, Step, Timer,
    Trigger, calibrate, monotonic_ns,
};

const MODES: [(&str, Preemption); 3] = [
    ("off", Preemption::Off),
    ("signal", Preemption::Signal),
    ("epoch", Preemption::Epoch),
];

const QUANTUM_NS: u64 = 250_000;

const RUNS: u32 = 15;

/// A run's time, and how many expiries of the timer it had.
#[derive(Clone, Copy)]
struct Ran {
    ns: u64,
    expiries: u64,
}

fn main() {
    for (name, preemption) in MODES {
        for trigger in [Trigger::Timer, Trigger::Watcher] {
            let cost = calibrate(preemption, trigger).expect("a sandbox");
            let cost_us = cost.preemption_ns as f64 / 1e3;
            println!("one preemption, {name} by {trigger:?}: {cost_us:.1} us");
        }
    }
    println!(
        "\n{:24} {:>9} {:>8} {:>8} {:>14} {:>7} {:>14} {:>7} {:>8}",
        "kernel",
        "off, ms",
        "signal",
        "epoch",
        "signal, 250 us",
        "net",
        "epoch, 250 us",
        "net",
        "bare us"
    );
    let mut workers: Vec<_> = MODES.iter().map(|(_, mode)| worker(*mode)).collect();
    let mut bare = Bare::new();
    (0..RUNS).for_each(|_| bare.run());
    for (kernel, (name, ..)) in KERNELS.iter().enumerate() {
        let never = Ran {
            ns: u64::MAX,
            expiries: 0,
        };
        let mut best = [[never; 2]; MODES.len()];
        for _ in 0..RUNS {
            for (worker, best) in workers.iter_mut().zip(&mut best) {
                for (best, quantum_ns) in best.iter_mut().zip([u64::MAX, QUANTUM_NS]) {
                    let ran = run(worker, kernel as u16, quantum_ns);
                    if ran.ns < best.ns {
                        *best = ran;
                    }
                }
            }
            bare.run();
        }
        let [[off, _], signal, epoch] = best;
        let ratio = |ns: u64| ns as f64 / off.ns as f64;
        let net = |ran: Ran| ratio(ran.ns.saturating_sub(ran.expiries * bare.each_ns()));
        println!(
            "{name:24} {:9.2} {:8.3} {:8.3} {:14.3} {:7.3} {:14.3} {:7.3} {:8.1}",
            off.ns as f64 / 1e6,
            ratio(signal[0].ns),
            ratio(epoch[0].ns),
            ratio(signal[1].ns),
            net(signal[1]),
            ratio(epoch[1].ns),
            net(epoch[1]),
            bare.each_ns() as f64 / 1e3
        );
    }
}

/// A loop that is no guest, and what it loses to a timer that does nothing.
struct Bare {
    timer: bare::Timer,
    alone_ns: u64,
    interrupted: Ran,
}

impl Bare {
    fn new() -> Bare {
        Bare {
            timer: bare::Timer::new(),
            alone_ns: u64::MAX,
            interrupted: Ran {
                ns: u64::MAX,
                expiries: 1,
            },
        }
    }

    /// Once alone, once interrupted.
    fn run(&mut self) {
        self.alone_ns = self.alone_ns.min(Bare::work());
        let before = bare::count();
        self.timer.set(monotonic_ns() + QUANTUM_NS, QUANTUM_NS);
        let ns = Bare::work();
        self.timer.set(0, 0);
        let expiries = bare::count() - before;
        if ns < self.interrupted.ns {
            self.interrupted = Ran { ns, expiries };
        }
    }

    /// Some ten milliseconds.
    fn work() -> u64 {
        let begun_ns = monotonic_ns();
        let mut sum = 0_u64;
        for n in 0..10_000_000_u64 {
            sum = black_box(sum.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n));
        }
        monotonic_ns() - begun_ns
    }

    /// What one expiry takes.
    fn each_ns(&self) -> u64 {
        let Ran { ns, expiries } = self.interrupted;
        ns.saturating_sub(self.alone_ns) / expiries.max(1)
    }
}

fn worker(preemption: Preemption) -> (Runtime, Timer) {
    let settings = Settings {
        sandboxes_max: 1,
        preemption,
        ..Settings::default()
    };
    let compiler = Compiler::new(&settings, None).expect("a compiler");
    let function = |kernel| {
        let artifact = compiler.compile(module(kernel).as_bytes());
        (artifact.expect("a kernel"), FunctionConfig::default())
    };
    let functions: Vec<_> = KERNELS.iter().map(function).collect();
    let reactor = tokio::runtime::Builder::new_current_thread().build();
    let reactor = reactor.expect("a reactor").handle().clone();
    let runtime = Runtime::new(&settings, &functions, reactor).expect("a runtime");
    let timer = runtime.timer().expect("a timer");
    (runtime, timer)
}

/// Runs a kernel to its end in slices of `quantum_ns`.
fn run((runtime, timer): &mut (Runtime, Timer), kernel: u16, quantum_ns: u64) -> Ran {
    let before = timer.expiries();
    runtime.start(0, kernel, Call::default(), Waker::noop().clone());
    let begun_ns = monotonic_ns();
    loop {
        let end_ns = monotonic_ns().saturating_add(quantum_ns);
        timer.begin_slice(end_ns, Contention::Contended);
        let step = runtime.resume(0);
        timer.end_slice();
        match step {
            Step::Finished(_) => {
                return Ran {
                    ns: monotonic_ns() - begun_ns,
                    expiries: timer.expiries() - before,
                };
            }
            Step::Preempted => {}
            step => unreachable!("a kernel computes: {step:?}"),
        }
    }
}
