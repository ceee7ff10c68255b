//! Slices: guests stopped by the timer, that yield, or that wait, and what they compute all the same.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Waker;

use sandbox::{Call, Contention, Exit, Preemption, Runtime, Step, Timer, Trigger, monotonic_ns};

use crate::support::{
    PREEMPTIVE, TALKS, TRIGGERS, Woken, preempting, run, runtime, talking, timer,
};

const ENDLESS: &str = r#"(module (func (export "_start") (loop $l (br $l))))"#;
const FAR_NS: u64 = 3_600_000_000_000;

/// Runs a slice of `length_ns` while others wait.
fn contended(runtime: &mut Runtime, timer: &mut Timer, slot: u32, length_ns: u64) -> Step {
    timer.begin_slice(monotonic_ns() + length_ns, Contention::Contended);
    let step = runtime.resume(slot);
    timer.end_slice();
    step
}

#[test]
fn an_endless_guest_is_stopped_every_slice() {
    let bodies = [
        "(loop $l (br $l))",
        "(loop $l (drop (i32.add (i32.const 1) (i32.const 2))) (br $l))",
        "(loop $l (i32.store (i32.const 0) (i32.load (i32.const 4))) (br $l))",
        "(loop $l (call $nothing) (br $l))",
        "(call $back_and_forth)",
        "(loop $l (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0))) (br $l))",
        "(loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br $l))",
    ];
    let ways = PREEMPTIVE.map(|preemption| TRIGGERS.map(|trigger| (preemption, trigger)));
    for ((preemption, trigger), body) in ways
        .as_flattened()
        .iter()
        .flat_map(|way| bodies.map(|body| (*way, body)))
    {
        let wat = talking(&format!(
            r#"(func $nothing)
               (func $back_and_forth (loop $l (return_call $back_and_forth)))
               (func (export "_start") {body})"#
        ));
        let mut runtime = preempting(preemption, &[&wat]);
        let (mut timer, _watching) = timer(&runtime, trigger);
        runtime.start(2, 0, Call::default(), Waker::noop().clone());
        for _ in 0..20 {
            let step = contended(&mut runtime, &mut timer, 2, 100_000);
            assert!(
                matches!(step, Step::Preempted),
                "{preemption:?} {trigger:?} {body}: {step:?}"
            );
        }
        assert_eq!(runtime.discard(2), Call::default());
        assert!(timer.expiries() >= 20);
    }
}

/// One operation, and no way out of it but between its chunks.
#[test]
fn one_long_operation_is_stopped_again_and_again() {
    let operations = [
        "(memory.fill (i32.const 0) (i32.const 1) (i32.const 0x10000000))",
        "(memory.copy (i32.const 0x8000000) (i32.const 0) (i32.const 0x8000000))",
        "(memory.copy (i32.const 0) (i32.const 1) (i32.const 0xfffffff))",
        "(memory.copy (i32.const 1) (i32.const 0) (i32.const 0xfffffff))",
    ];
    for (preemption, operation) in PREEMPTIVE
        .iter()
        .flat_map(|mode| operations.map(|operation| (*mode, operation)))
    {
        let wat = format!(r#"(module (memory 4096) (func (export "_start") {operation}))"#);
        let mut runtime = preempting(preemption, &[&wat]);
        let mut timer = runtime.timer().expect("a timer");
        runtime.start(0, 0, Call::default(), Waker::noop().clone());
        let mut preempted = 0;
        let outcome = loop {
            match contended(&mut runtime, &mut timer, 0, 100_000) {
                Step::Finished(outcome) => break outcome,
                Step::Preempted => preempted += 1,
                step => panic!("{preemption:?} {operation}: {step:?}"),
            }
        };
        assert_eq!(outcome.exit, Exit::Success, "{preemption:?} {operation}");
        assert!(preempted >= 3, "{preemption:?} {operation}: {preempted}");
    }
}

#[test]
fn a_start_function_that_never_ends_is_stopped_too() {
    for preemption in PREEMPTIVE {
        let wat =
            r#"(module (func $first (loop $l (br $l))) (start $first) (func (export "_start")))"#;
        let mut runtime = preempting(preemption, &[wat]);
        let mut timer = runtime.timer().expect("a timer");
        runtime.start(0, 0, Call::default(), Waker::noop().clone());
        for _ in 0..3 {
            assert!(matches!(
                contended(&mut runtime, &mut timer, 0, 100_000),
                Step::Preempted
            ));
        }
        runtime.discard(0);
    }
}

#[test]
fn preempted_guests_compute_what_they_would_alone() {
    for preemption in PREEMPTIVE {
        let fib = talking(
            r#"(func $fib (param i32) (result i32)
             (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
               (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                              (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
           (func (export "_start")
             (i32.store (i32.const 64) (call $fib (i32.const 30)))
             (call $write (i32.const 64) (i32.const 4)))"#,
        );
        let mixing = talking(
            r#"(func (export "_start") (local $n i64) (local $sum i64) (local $lanes v128)
             (local.set $n (i64.const 3000000))
             (loop $l
               (local.set $sum (i64.add (i64.mul (local.get $sum) (i64.const 6364136223846793005)) (local.get $n)))
               (local.set $lanes (i64x2.add (local.get $lanes) (i64x2.splat (local.get $sum))))
               (local.set $n (i64.sub (local.get $n) (i64.const 1)))
               (br_if $l (i64.ne (local.get $n) (i64.const 0))))
             (i64.store (i32.const 64) (local.get $sum))
             (v128.store (i32.const 72) (local.get $lanes))
             (call $write (i32.const 64) (i32.const 24)))"#,
        );
        let mut runtime = preempting(preemption, &[&fib, &mixing]);
        let alone = [0, 1].map(|function| run(&mut runtime, function, Call::default()).call.stdout);
        assert_eq!(alone[0], 832_040_u32.to_le_bytes());

        let mut timer = runtime.timer().expect("a timer");
        let functions = [0, 1, 0, 1];
        let mut together = vec![None; functions.len()];
        let mut preempted = [0; 4];
        for (slot, function) in functions.iter().enumerate() {
            runtime.start(
                slot as u32,
                *function,
                Call::default(),
                Waker::noop().clone(),
            );
        }
        while together.contains(&None) {
            for slot in 0..functions.len() {
                if together[slot].is_some() {
                    continue;
                }
                match contended(&mut runtime, &mut timer, slot as u32, 50_000) {
                    Step::Finished(outcome) => together[slot] = Some(outcome.call.stdout),
                    Step::Preempted => preempted[slot] += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
        for (slot, function) in functions.iter().enumerate() {
            assert_eq!(
                together[slot].as_ref(),
                Some(&alone[usize::from(*function)]),
                "slot {slot}"
            );
            assert!(preempted[slot] > 0, "slot {slot} was never preempted");
        }
    }
}

#[test]
fn nobody_waits_nobody_is_stopped() {
    for preemption in PREEMPTIVE {
        // The slice is over at once, but nothing arms the timer: the guest runs to its end.
        let wat = r#"(module (func (export "_start") (local $n i32)
        (loop $l (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000000))))))"#;
        let mut runtime = preempting(preemption, &[wat]);
        let mut timer = runtime.timer().expect("a timer");
        runtime.start(0, 0, Call::default(), Waker::noop().clone());
        timer.begin_slice(monotonic_ns(), Contention::Uncontended { bar: u64::MAX });
        assert!(matches!(runtime.resume(0), Step::Finished(_)));
        timer.end_slice();
        assert_eq!(timer.expiries(), 0);
    }
}

#[test]
fn an_arrival_stops_a_slice_that_is_over() {
    for preemption in PREEMPTIVE {
        let mut runtime = preempting(preemption, &[ENDLESS]);
        let mut timer = runtime.timer().expect("a timer");
        let alarm = timer.alarm();
        let stopped = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stopped.load(SeqCst) {
                    alarm.arrival(7);
                    std::thread::yield_now();
                }
            });
            runtime.start(0, 0, Call::default(), Waker::noop().clone());
            for bar in [8, u64::MAX] {
                timer.begin_slice(monotonic_ns(), Contention::Uncontended { bar });
                assert!(matches!(runtime.resume(0), Step::Preempted));
                timer.end_slice();
            }
            stopped.store(true, SeqCst);
        });
        runtime.discard(0);
    }
}

#[test]
fn what_arrived_before_the_slice_stops_it_by_the_second_look() {
    for preemption in PREEMPTIVE {
        let mut runtime = preempting(preemption, &[ENDLESS]);
        let mut timer = runtime.timer().expect("a timer");
        timer.alarm().arrival(0);
        runtime.start(0, 0, Call::default(), Waker::noop().clone());
        timer.begin_slice(
            monotonic_ns() + 50_000,
            Contention::Uncontended { bar: u64::MAX },
        );
        timer.arm();
        assert!(matches!(runtime.resume(0), Step::Preempted));
        timer.end_slice();
        runtime.discard(0);
    }
}

#[test]
fn a_slice_that_is_over_before_its_guest_runs_stops_it_all_the_same() {
    let ways = PREEMPTIVE.map(|preemption| TRIGGERS.map(|trigger| (preemption, trigger)));
    for &(preemption, trigger) in ways.as_flattened() {
        // The expiry comes before the guest's epoch deadline is set: first of a fresh sandbox, then of
        // one that is resumed.
        let mut runtime = preempting(preemption, &[ENDLESS]);
        let (mut timer, _watching) = timer(&runtime, trigger);
        runtime.start(0, 0, Call::default(), Waker::noop().clone());
        for round in 0..50 {
            let before = timer.expiries();
            timer.begin_slice(monotonic_ns(), Contention::Contended);
            match trigger {
                Trigger::Timer => {
                    while timer.expiries() == before {
                        std::thread::yield_now();
                    }
                }
                // Unless the watcher has done so already.
                Trigger::Watcher => _ = timer.alarm().expire_if_due(monotonic_ns()),
            }
            let step = runtime.resume(0);
            timer.end_slice();
            assert!(matches!(step, Step::Preempted), "{round}: {step:?}");
        }
        runtime.discard(0);
    }
}

#[test]
fn a_worker_stops_only_its_own_guests() {
    for preemption in PREEMPTIVE {
        // The other worker's timer expires again and again; this one's guest has a slice without end.
        let counting = r#"(module (func (export "_start") (local $n i64)
        (loop $l (br_if $l (i64.lt_u (local.tee $n (i64.add (local.get $n) (i64.const 1))) (i64.const 20000000))))))"#;
        let stopped = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut runtime = preempting(preemption, &[ENDLESS]);
                let mut timer = runtime.timer().expect("a timer");
                runtime.start(0, 0, Call::default(), Waker::noop().clone());
                while !stopped.load(SeqCst) {
                    assert!(matches!(
                        contended(&mut runtime, &mut timer, 0, 50_000),
                        Step::Preempted
                    ));
                }
                runtime.discard(0);
            });
            let mut runtime = preempting(preemption, &[counting]);
            let mut timer = runtime.timer().expect("a timer");
            runtime.start(0, 0, Call::default(), Waker::noop().clone());
            let step = contended(&mut runtime, &mut timer, 0, FAR_NS);
            stopped.store(true, SeqCst);
            assert!(matches!(step, Step::Finished(_)), "{step:?}");
            assert_eq!(timer.expiries(), 0);
        });
    }
}

#[test]
fn without_preemption_nothing_is_timed() {
    let wat = r#"(module (func (export "_start") (local $n i32)
        (loop $l (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000000))))))"#;
    let mut runtime = preempting(Preemption::Off, &[wat]);
    let mut timer = runtime.timer().expect("a timer");
    runtime.start(0, 0, Call::default(), Waker::noop().clone());
    assert!(matches!(
        contended(&mut runtime, &mut timer, 0, 0),
        Step::Finished(_)
    ));
    timer.alarm().cancel();
    assert_eq!(timer.expiries(), 0);
}

#[test]
fn a_guest_that_yields_comes_back_where_it_was() {
    let wat = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
            {TALKS}
            (data (i32.const 64) "abc")
            (func (export "_start")
              (call $write (i32.const 64) (i32.const 1))
              (if (call $yield) (then unreachable))
              (call $write (i32.const 65) (i32.const 1))
              (if (call $yield) (then unreachable))
              (call $write (i32.const 66) (i32.const 1))))"#
    );
    let mut runtime = runtime(&[&wat]);
    let woken = Woken::new();
    runtime.start(0, 0, Call::default(), Waker::from(woken.clone()));
    assert!(matches!(runtime.resume(0), Step::Yielded));
    assert!(matches!(runtime.resume(0), Step::Yielded));
    let Step::Finished(outcome) = runtime.resume(0) else {
        panic!("did not finish");
    };
    assert_eq!(outcome.call.stdout, b"abc");
    assert!(!woken.woken.load(SeqCst), "nobody had to be woken");
}

#[test]
fn a_long_host_call_is_stopped_on_its_way() {
    for preemption in PREEMPTIVE {
        // 64 MiB of random bytes: hundreds of milliseconds in one call.
        let wat = format!(
            r#"(module
            (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            {TALKS}
            (func (export "_start")
              (drop (memory.grow (i32.const 1024)))
              (call $exit (call $random (i32.const 65536) (i32.const 0x4000000)))))"#
        );
        let mut runtime = preempting(preemption, &[&wat]);
        let mut timer = runtime.timer().expect("a timer");
        runtime.start(0, 0, Call::default(), Waker::noop().clone());
        let mut preempted = 0;
        let exit = loop {
            match contended(&mut runtime, &mut timer, 0, 100_000) {
                Step::Finished(outcome) => break outcome.exit,
                Step::Preempted => preempted += 1,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(exit, Exit::Success);
        assert!(preempted > 1, "{preempted}");
    }
}

#[test]
fn a_guest_is_stopped_as_it_comes_back_from_a_long_host_call() {
    // Each fill or copy of 32 MiB lasts longer than a slice, and what lies between two is nanoseconds.
    let wat = talking(
        r#"(func (export "_start") (local $n i32)
             (drop (memory.grow (i32.const 1024)))
             (local.set $n (i32.const 10))
             (loop $l
               (memory.fill (i32.const 65536) (local.get $n) (i32.const 0x2000000))
               (memory.copy (i32.const 65540) (i32.const 65536) (i32.const 0x2000000))
               (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
             (call $exit (i32.load8_u (i32.const 0x1000000))))"#,
    );
    let mut runtime = preempting(Preemption::Signal, &[&wat]);
    let mut timer = runtime.timer().expect("a timer");
    runtime.start(0, 0, Call::default(), Waker::noop().clone());
    let mut preempted = 0;
    let exit = loop {
        match contended(&mut runtime, &mut timer, 0, 20_000) {
            Step::Finished(outcome) => break outcome.exit,
            Step::Preempted => preempted += 1,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(exit, Exit::Code(1));
    assert!(preempted >= 20, "{preempted}");
}

/// Sleeps `ms` on the given clock, then writes `x`.
fn sleeper(clock: u32, ms: u64) -> String {
    let ns = ms * 1_000_000;
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            {TALKS}
            (data (i32.const 64) "x")
            (func (export "_start")
              (i32.store (i32.const 144) (i32.const {clock}))
              (i64.store (i32.const 152) (i64.const {ns}))
              (if (call $poll (i32.const 128) (i32.const 256) (i32.const 1) (i32.const 32)) (then unreachable))
              (if (i32.ne (i32.load (i32.const 32)) (i32.const 1)) (then unreachable))
              (call $write (i32.const 64) (i32.const 1))))"#
    )
}

#[test]
fn a_sleeping_guest_is_woken() {
    for preemption in PREEMPTIVE {
        for clock in [0, 1] {
            let mut runtime = preempting(preemption, &[&sleeper(clock, 20), ENDLESS]);
            let mut timer = runtime.timer().expect("a timer");
            let woken = Woken::new();
            let asleep_at_ns = monotonic_ns();
            runtime.start(0, 0, Call::default(), Waker::from(woken.clone()));
            assert!(matches!(runtime.resume(0), Step::Blocked));
            // Another runs meanwhile.
            runtime.start(1, 1, Call::default(), Waker::noop().clone());
            assert!(matches!(
                contended(&mut runtime, &mut timer, 1, 50_000),
                Step::Preempted
            ));
            let outcome = loop {
                woken.wait();
                match runtime.resume(0) {
                    Step::Finished(outcome) => break outcome,
                    Step::Blocked => {}
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(
                (outcome.exit, outcome.call.stdout.as_slice()),
                (Exit::Success, &b"x"[..])
            );
            assert!(
                monotonic_ns() - asleep_at_ns >= 20_000_000,
                "woken too early"
            );
            runtime.discard(1);
        }
    }
}

#[test]
fn a_sleeping_guest_can_be_discarded() {
    let mut runtime = runtime(&[&sleeper(1, 3_600_000)]);
    for _ in 0..3 {
        runtime.start(0, 0, Call::default(), Waker::noop().clone());
        assert!(matches!(runtime.resume(0), Step::Blocked));
        assert_eq!(runtime.discard(0), Call::default());
    }
}

#[test]
fn stdio_is_always_ready() {
    // Polls fd 0 for reading and fd 1 for writing: two events, no wait.
    let wat = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            {TALKS}
            (func (export "_start")
              (i32.store8 (i32.const 136) (i32.const 1)) (i32.store (i32.const 144) (i32.const 0))
              (i32.store8 (i32.const 184) (i32.const 2)) (i32.store (i32.const 192) (i32.const 1))
              (if (call $poll (i32.const 128) (i32.const 256) (i32.const 2) (i32.const 32)) (then unreachable))
              (call $exit (i32.load (i32.const 32)))))"#
    );
    let mut runtime = runtime(&[&wat]);
    runtime.start(0, 0, Call::default(), Waker::noop().clone());
    let Step::Finished(outcome) = runtime.resume(0) else {
        panic!("waited");
    };
    assert_eq!(outcome.exit, Exit::Code(2));
}

#[test]
fn a_sleep_until_a_reading_of_the_clock_is_kept() {
    // Reads the monotonic clock, then sleeps until 5 ms later, absolute.
    let wat = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
            {TALKS}
            (func (export "_start") (local $until i64)
              (drop (call $time (i32.const 1) (i64.const 0) (i32.const 64)))
              (local.set $until (i64.add (i64.load (i32.const 64)) (i64.const 5000000)))
              (i32.store (i32.const 144) (i32.const 1))
              (i64.store (i32.const 152) (local.get $until))
              (i32.store16 (i32.const 168) (i32.const 1))
              (if (call $poll (i32.const 128) (i32.const 256) (i32.const 1) (i32.const 32)) (then unreachable))
              (drop (call $time (i32.const 1) (i64.const 0) (i32.const 64)))
              (if (i64.lt_u (i64.load (i32.const 64)) (local.get $until)) (then unreachable))))"#
    );
    assert_eq!(
        run(&mut runtime(&[&wat]), 0, Call::default()).exit,
        Exit::Success
    );
}
