//! What the three ways of preemption cost, kernel by kernel: how much longer each takes than with `off`,
//! when nobody waits and when it is preempted every 250 µs.
//!
//! Runs are interleaved, and the fastest of each kind counts, so that what else the machine does weighs
//! little. Ratios, not times, are what to compare between machines.

#[path = "../tests/it/kernels.rs"]
mod kernels;

use std::task::Waker;

use kernels::{KERNELS, module};
use sandbox::{
    Call, Compiler, Contention, FunctionConfig, Preemption, Runtime, Settings, Step, Timer,
    calibrate, monotonic_ns,
};

const MODES: [(&str, Preemption); 3] = [
    ("off", Preemption::Off),
    ("signal", Preemption::Signal),
    ("epoch", Preemption::Epoch),
];

const QUANTUM_NS: u64 = 250_000;

const RUNS: u32 = 15;

fn main() {
    for (name, preemption) in MODES {
        let cost_ns = calibrate(preemption, sandbox::Trigger::Timer)
            .expect("a sandbox")
            .preemption_ns;
        println!("one preemption, {name}: {:.1} us", cost_ns as f64 / 1e3);
    }
    println!(
        "{:24} {:>9} {:>8} {:>8} {:>14} {:>14}",
        "kernel", "off, ms", "signal", "epoch", "signal, 250 us", "epoch, 250 us"
    );
    let mut workers: Vec<_> = MODES.iter().map(|(_, mode)| worker(*mode)).collect();
    for (kernel, (name, ..)) in KERNELS.iter().enumerate() {
        let mut best_ns = [[u64::MAX; 2]; MODES.len()];
        for _ in 0..RUNS {
            for (worker, best_ns) in workers.iter_mut().zip(&mut best_ns) {
                for (best_ns, quantum_ns) in best_ns.iter_mut().zip([u64::MAX, QUANTUM_NS]) {
                    let ran_ns = run(worker, kernel as u16, quantum_ns);
                    *best_ns = ran_ns.min(*best_ns);
                }
            }
        }
        let [[off_ns, _], signal, epoch] = best_ns;
        let ratio = |ns: u64| format!("{:.3}", ns as f64 / off_ns as f64);
        println!(
            "{name:24} {:9.2} {:>8} {:>8} {:>14} {:>14}",
            off_ns as f64 / 1e6,
            ratio(signal[0]),
            ratio(epoch[0]),
            ratio(signal[1]),
            ratio(epoch[1])
        );
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

/// Runs a kernel to its end in slices of `quantum_ns`; how long that took.
fn run((runtime, timer): &mut (Runtime, Timer), kernel: u16, quantum_ns: u64) -> u64 {
    runtime.start(0, kernel, Call::default(), Waker::noop().clone());
    let begun_ns = monotonic_ns();
    loop {
        let end_ns = monotonic_ns().saturating_add(quantum_ns);
        timer.begin_slice(end_ns, Contention::Contended);
        let step = runtime.resume(0);
        timer.end_slice();
        match step {
            Step::Finished(_) => return monotonic_ns() - begun_ns,
            Step::Preempted => {}
            step => unreachable!("a kernel computes: {step:?}"),
        }
    }
}
