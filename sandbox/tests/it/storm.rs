//! Evidence for preemption by signal: guests of every kind, suspended and killed at any instruction.
//!
//! A storm runs four sandboxes on one worker in slices of microseconds, in random order, and compares
//! what each comes to with what it comes to alone. `LUGE_STORM_SECONDS=600` makes it last.

use std::path::Path;
use std::task::Waker;

use sandbox::{
    Call, Contention, Exit, Preemption, Runtime, Settings, Step, Timer, Trigger, monotonic_ns,
};

use crate::kernels::{KERNELS, Kernel, module};
use crate::support::{TRIGGERS, Watching, query, run, runtime_as, settings, timer};

/// Slices of a storm last up to this.
const SLICE_MAX_NS: u64 = 40_000;

/// How often a storm preempts each guest, at least.
const PREEMPTIONS_MIN: u64 = 300;

/// The same for a guest that is often done before its slice is over.
const PREEMPTIONS_OF_SHORT_MIN: u64 = 20;

const SLOTS: u32 = 4;

/// A repeatable source of randomness (xorshift, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What a storm runs: a kernel, or one of the example functions with what it is asked.
struct Guest {
    name: &'static str,
    wasm: Vec<u8>,
    query: &'static str,
    body: Vec<u8>,
}

/// All example functions as `(folder, query, sample)`.
const FUNCTIONS: &[(&str, &str, &str)] = &[
    ("empty", "", ""),
    ("echo", "", "../resize/sample.jpg"),
    ("fib", "29", ""),
    ("ekf", "", "sample.bin"),
    ("html", "", "sample.json"),
    ("resize", "200", "sample.jpg"),
];

impl Guest {
    fn all() -> Vec<Guest> {
        let kernel = |kernel: &Kernel| Guest {
            name: kernel.0,
            wasm: module(kernel).into_bytes(),
            query: "",
            body: Vec::new(),
        };
        let kernels = KERNELS.iter().map(kernel);
        kernels
            .chain(FUNCTIONS.iter().map(Guest::function))
            .collect()
    }

    fn function((name, query, sample): &(&'static str, &'static str, &'static str)) -> Guest {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
        let read = |file: &str| std::fs::read(folder.join(name).join(file)).expect("a file");
        Guest {
            name,
            wasm: read(&format!("{name}.wasm")),
            query,
            body: match *sample {
                "" => Vec::new(),
                sample => read(sample),
            },
        }
    }

    fn call(&self) -> Call {
        Call {
            stdin: self.body.clone(),
            ..query(self.query)
        }
    }
}

struct Storm {
    guests: Vec<Guest>,
    runtime: Runtime,
    timer: Timer,
    watching: Option<Watching>,
    random: Random,
    preemptions: Vec<u64>,
}

fn result(outcome: sandbox::Outcome) -> (Exit, Vec<u8>) {
    (outcome.exit, outcome.call.stdout)
}

impl Storm {
    fn new(trigger: Trigger) -> Storm {
        let settings = Settings {
            preemption: Preemption::Signal,
            sandboxes_max: SLOTS,
            ..settings()
        };
        let guests = Guest::all();
        let modules: Vec<_> = guests.iter().map(|guest| &guest.wasm).collect();
        let runtime = runtime_as(&settings, &modules);
        let (timer, watching) = timer(&runtime, trigger);
        Storm {
            timer,
            watching,
            runtime,
            random: Random(0x9e37_79b9_7f4a_7c15),
            preemptions: vec![0; guests.len()],
            guests,
        }
    }

    /// What every guest comes to by itself.
    fn alone(&mut self) -> Vec<(Exit, Vec<u8>)> {
        let guests = self.guests.iter().zip(0..);
        guests
            .map(|(guest, at)| result(run(&mut self.runtime, at, guest.call())))
            .collect()
    }

    fn start(&mut self, slot: u32, guest: u16) {
        let waker = Waker::noop().clone();
        let call = self.guests[usize::from(guest)].call();
        self.runtime.start(slot, guest, call, waker);
    }

    fn slice(&mut self, slot: u32, guest: u16) -> Step {
        let length_ns = self.random.below(SLICE_MAX_NS);
        let end_ns = monotonic_ns() + length_ns;
        self.timer.begin_slice(end_ns, Contention::Contended);
        let step = self.runtime.resume(slot);
        self.timer.end_slice();
        self.preemptions[usize::from(guest)] += u64::from(matches!(step, Step::Preempted));
        step
    }

    /// Whether this guest has not been preempted often enough.
    fn is_young(&self, guest: usize) -> bool {
        let is_short = ["empty", "echo"].contains(&self.guests[guest].name);
        let enough = match is_short {
            true => PREEMPTIONS_OF_SHORT_MIN,
            false => PREEMPTIONS_MIN,
        };
        // A watcher that shares its core sees few guests in the midst.
        let part = match self.watching {
            Some(_) => 10,
            None => 1,
        };
        self.preemptions[guest] < enough / part
    }

    fn guest(&mut self) -> u16 {
        self.random.below(self.guests.len() as u64) as u16
    }

    /// Leaves a guest suspended; one that has ended before is started again.
    fn stop_in_midst(&mut self, slot: u32, guest: u16) {
        loop {
            self.start(slot, guest);
            match self.slice(slot, guest) {
                Step::Preempted => return,
                Step::Finished(_) => {}
                step => panic!("{step:?}"),
            }
        }
    }

    /// Starts a sandbox in every slot, stops each in its midst and ends it: nothing was lost so far.
    fn fill(&mut self) {
        for slot in 0..SLOTS {
            self.stop_in_midst(slot, 0);
        }
        for slot in 0..SLOTS {
            assert_eq!(self.runtime.discard(slot), Call::default());
        }
    }
}

/// How long a storm is to last beyond what it does anyway.
fn storm_ns() -> u64 {
    let seconds = std::env::var("LUGE_STORM_SECONDS").ok();
    seconds.map_or(0, |text| {
        text.parse::<u64>().expect("seconds") * 1_000_000_000
    })
}

#[test]
fn a_storm_changes_no_result() {
    storms(Trigger::Timer);
}

#[test]
fn a_storm_of_a_watchers_signals_changes_none_either() {
    storms(Trigger::Watcher);
}

fn storms(trigger: Trigger) {
    let mut storm = Storm::new(trigger);
    let alone = storm.alone();
    for (guest, (exit, stdout)) in storm.guests.iter().zip(&alone) {
        let says_little = ["empty", "fib"].contains(&guest.name);
        let is_well = *exit != Exit::Success || stdout.len() >= 16 || says_little;
        assert!(is_well, "{}: {exit:?}", guest.name);
    }
    let until_ns = monotonic_ns() + storm_ns();
    let mut queue: Vec<u16> = Vec::new();
    let mut running = [None; SLOTS as usize];
    loop {
        if queue.is_empty() && running.iter().all(Option::is_none) {
            let is_young = (0..storm.guests.len()).any(|guest| storm.is_young(guest));
            if !is_young && monotonic_ns() >= until_ns {
                break;
            }
            let guests = 0..storm.guests.len();
            let needy = guests.filter(|guest| !is_young || storm.is_young(*guest));
            queue = needy.map(|guest| guest as u16).collect();
        }
        let slot = storm.random.below(u64::from(SLOTS)) as u32;
        let place = &mut running[slot as usize];
        if place.is_none() {
            *place = queue.pop();
            match *place {
                Some(guest) => storm.start(slot, guest),
                None => continue,
            }
        }
        let guest = place.expect("somebody runs there");
        match storm.slice(slot, guest) {
            Step::Preempted => {}
            Step::Finished(outcome) => {
                *place = None;
                let name = storm.guests[usize::from(guest)].name;
                assert_eq!(result(outcome), alone[usize::from(guest)], "{name}");
            }
            step => panic!("{step:?}"),
        }
    }
    println!("preemptions: {:?}", storm.preemptions);
    storm.fill();
}

#[test]
fn guests_are_ended_wherever_they_are() {
    let mut storm = Storm::new(Trigger::Timer);
    let alone = storm.alone();
    let mut killed = 0;
    while killed < 2_000 {
        let guest = storm.guest();
        let expected = &alone[usize::from(guest)];
        let slot = storm.random.below(u64::from(SLOTS)) as u32;
        storm.start(slot, guest);
        let mut slices = storm.random.below(6);
        loop {
            match storm.slice(slot, guest) {
                Step::Preempted if slices == 0 => {
                    let written = storm.runtime.discard(slot).stdout;
                    assert!(expected.1.starts_with(&written));
                    killed += 1;
                    break;
                }
                Step::Preempted => slices -= 1,
                Step::Finished(outcome) => {
                    assert_eq!(result(outcome), *expected);
                    break;
                }
                step => panic!("{step:?}"),
            }
        }
        if killed % 500 == 0 {
            storm.fill();
            let outcome = run(&mut storm.runtime, 0, Call::default());
            assert_eq!(result(outcome), alone[0]);
        }
    }
    storm.fill();
}

#[test]
fn a_worker_may_end_with_suspended_guests() {
    let orders = [true, false].map(|timer_first| TRIGGERS.map(|trigger| (timer_first, trigger)));
    for (timer_first, trigger) in orders.into_iter().flatten() {
        let mut storm = Storm::new(trigger);
        for slot in 0..SLOTS {
            storm.stop_in_midst(slot, slot as u16);
        }
        let Storm { runtime, timer, .. } = storm;
        match timer_first {
            true => (drop(timer), drop(runtime)),
            false => (drop(runtime), drop(timer)),
        };
    }
}

/// A slice may be over just as its guest comes back to the worker by itself: that leaves nothing behind in its
/// module, which would be found by the next of its guests.
#[test]
fn slices_may_end_as_guests_give_way() {
    let yields = |n: u32| {
        format!(
            r#"(module
              (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
              (func (export "_start") (local $n i32)
                (loop $l
                  (local.set $n (i32.const {n}))
                  (loop $work (br_if $work (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
                  (drop (call $yield))
                  (br $l))))"#
        )
    };
    let settings = Settings {
        preemption: Preemption::Signal,
        sandboxes_max: 2,
        ..settings()
    };
    // Some ten microseconds, as a timer's signal takes here and there.
    let (one, other) = (yields(25_000), yields(60_000));
    let mut runtime = runtime_as(&settings, &[&one, &other]);
    let mut timer = runtime.timer().expect("a timer");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for slot in 0..2 {
        let waker = Waker::noop().clone();
        runtime.start(slot, slot as u16, query(""), waker);
    }
    for _ in 0..30_000 {
        let slot = random.below(2) as u32;
        timer.begin_slice(monotonic_ns() + random.below(20_000), Contention::Contended);
        match runtime.resume(slot) {
            Step::Yielded | Step::Preempted => {}
            step => panic!("{step:?}"),
        }
        timer.end_slice();
    }
}
