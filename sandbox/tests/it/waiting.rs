//! Waiting and time: `poll_oneoff`, CPU clocks, and host calls that are long.

use std::task::Waker;
use std::time::{Duration, Instant};

use sandbox::{Call, Contention, Exit, Step, monotonic_ns};

use crate::files::Folder;
use crate::script::*;
use crate::support::{PREEMPTIVE, Woken, preempting, runtime, runtime_as, runtime_with, settings};

const CLOCK: u8 = 0;
const FD_READ: u8 = 1;
const FD_WRITE: u8 = 2;

const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;
const ABSOLUTE: u16 = 1;

const MS: u64 = 1_000_000;

/// A subscription to a clock; its userdata tells it from others.
fn clock(userdata: u64, id: u32, timeout_ns: u64, flags: u16) -> [u8; 48] {
    let mut bytes = [0; 48];
    bytes[..8].copy_from_slice(&userdata.to_le_bytes());
    bytes[8] = CLOCK;
    bytes[16..20].copy_from_slice(&id.to_le_bytes());
    bytes[24..32].copy_from_slice(&timeout_ns.to_le_bytes());
    bytes[40..42].copy_from_slice(&flags.to_le_bytes());
    bytes
}

fn stream(userdata: u64, kind: u8, fd: u32) -> [u8; 48] {
    let mut bytes = clock(userdata, fd, 0, 0);
    bytes[8] = kind;
    bytes
}

/// What a `poll_oneoff` told: of each event its userdata, kind, bytes and flags.
type Events = Vec<(u64, u8, u64, u16)>;

fn poll(script: &mut Script, subscriptions: &[[u8; 48]]) -> (u32, u32) {
    let at = script.bytes(&subscriptions.concat());
    let events = script.room(32 * subscriptions.len());
    let told = script.room(4);
    let count = subscriptions.len() as i64;
    let [at, into, told_at] = [at, events, told].map(|it| Arg::Value(it.into()));
    script.call("poll_oneoff", &[at, into, count.into(), told_at]);
    (events, told)
}

fn events(report: &Report, (at, told): (u32, u32)) -> Events {
    let event = |index| {
        let at = at + 32 * index;
        let kind = report.memory[at as usize + 10];
        let flags = report.memory[at as usize + 24];
        (report.u64(at), kind, report.u64(at + 16), flags.into())
    };
    (0..report.u32(told)).map(event).collect()
}

#[test]
fn what_is_ready_is_told() {
    let folder = Folder::new("poll");
    let mut script = Script::default();
    let never = clock(1, MONOTONIC, u64::MAX, 0);
    let now = clock(2, MONOTONIC, 0, 0);
    let past = clock(3, REALTIME, 1, ABSOLUTE);
    let soon = clock(4, MONOTONIC, MS, 0);
    let file = script.open(3, "hello", 0, READ, 0);
    assert!(matches!(file, Arg::At(_)));
    let rows: [(&[[u8; 48]], Events); 8] = [
        (&[now], vec![(2, CLOCK, 0, 0)]),
        (&[never, soon], vec![(4, CLOCK, 0, 0)]),
        (
            &[past, never, now],
            vec![(3, CLOCK, 0, 0), (2, CLOCK, 0, 0)],
        ),
        // The body has been read to its end.
        (&[stream(5, FD_READ, 0), never], vec![(5, FD_READ, 0, 1)]),
        (&[never, stream(6, FD_WRITE, 1)], vec![(6, FD_WRITE, 1, 0)]),
        (
            &[stream(7, FD_WRITE, 2), now],
            vec![(7, FD_WRITE, 1, 0), (2, CLOCK, 0, 0)],
        ),
        (&[stream(8, FD_READ, 4)], vec![(8, FD_READ, 11, 0)]),
        (&[clock(9, REALTIME, MS, 0)], vec![(9, CLOCK, 0, 0)]),
    ];
    let polls: Vec<_> = rows
        .iter()
        .map(|(subscriptions, _)| poll(&mut script, subscriptions))
        .collect();
    let report = script.run(&mut runtime_with(&guest(), folder.config(false)));
    report.all_succeeded();
    for (at, (_, expected)) in polls.into_iter().zip(rows) {
        assert_eq!(events(&report, at), expected);
    }
}

#[test]
fn what_cannot_be_waited_for_is_an_errno() {
    let mut script = Script::default();
    let rows = [
        (clock(0, 2, 1, 0), INVAL),
        (clock(0, 3, 1, ABSOLUTE), INVAL),
        (clock(0, 4, 1, 0), INVAL),
        (clock(0, MONOTONIC, 1, 2), INVAL),
        (stream(0, 3, 0), INVAL),
        (stream(0, FD_READ, 1), BADF),
        (stream(0, FD_WRITE, 0), BADF),
        (stream(0, FD_READ, 3), BADF),
        (stream(0, FD_WRITE, u32::MAX), BADF),
    ];
    let mut errnos: Vec<_> = rows.iter().map(|(_, errno)| *errno).collect();
    for (subscription, _) in rows {
        poll(&mut script, &[clock(1, MONOTONIC, 0, 0), subscription]);
    }
    let at = i64::from(script.bytes(&clock(0, MONOTONIC, 0, 0)));
    let end = 32 * 65_536;
    for (arguments, errno) in [
        ([at, at, 0, 0], INVAL),
        ([at, at, 4097, 0], INVAL),
        ([at, at, -1, 0], INVAL),
        ([end - 47, at, 1, 0], FAULT),
        ([at, end - 31, 1, 0], FAULT),
        ([at, at, 1, end - 3], FAULT),
        ([-1, -1, 1, -1], FAULT),
        // Events over their own subscriptions.
        ([at, at, 1, 0], SUCCESS),
    ] {
        script.call("poll_oneoff", &arguments.map(Arg::Value));
        errnos.push(errno);
    }
    script.run(&mut runtime(&[&guest()])).check(&errnos);
}

/// Relative, and absolute on the clock that the guest itself reads: never too early.
#[test]
fn nobody_wakes_early() {
    for (id, flags) in [
        (REALTIME, 0),
        (MONOTONIC, 0),
        (REALTIME, ABSOLUTE),
        (MONOTONIC, ABSOLUTE),
    ] {
        let mut script = Script::default();
        let (before, after) = (script.room(8), script.room(8));
        let read = |script: &mut Script, at: u32| {
            let arguments = [i64::from(id), 0, at.into()].map(Arg::Value);
            script.call("clock_time_get", &arguments);
        };
        let mut runtime = runtime(&[&guest()]);
        read(&mut script, before);
        // The clock of guests begins with the process's first look at it: a time to come is found out.
        let now_ns = script.run(&mut runtime).u64(before);
        let timeout_ns = 5 * MS;
        let at_ns = now_ns + 20 * MS;
        let wanted_ns = if flags == ABSOLUTE { at_ns } else { timeout_ns };
        poll(&mut script, &[clock(1, id, wanted_ns, flags)]);
        read(&mut script, after);
        let report = script.run(&mut runtime);
        report.all_succeeded();
        let due_ns = match flags {
            ABSOLUTE => at_ns,
            _ => report.u64(before) + timeout_ns,
        };
        assert!(report.u64(after) >= due_ns, "{id} {flags}");
    }
}

/// A guest that waits by asking whether it is time lets others run every time.
#[test]
fn who_asks_again_and_again_yields() {
    let mut script = Script::default();
    for _ in 0..10 {
        poll(&mut script, &[clock(1, MONOTONIC, 0, 0)]);
    }
    let mut runtime = runtime(&[&guest()]);
    runtime.start(0, 0, script.request(), Waker::noop().clone());
    let mut yields = 0;
    loop {
        match runtime.resume(0) {
            Step::Yielded => yields += 1,
            Step::Finished(outcome) => break script.report(outcome).all_succeeded(),
            Step::Preempted => {}
            Step::Blocked => panic!("waits"),
        }
    }
    assert_eq!(yields, 10);
}

/// A thousand at once: all wake, none early. How late at the median is printed, and what it costs that they
/// sleep; on a machine that does nothing else some 100 us, and next to nothing.
#[test]
fn a_thousand_sleep_at_once() {
    const SLEEPERS: u32 = 1000;
    let settings = sandbox::Settings {
        sandboxes_max: SLEEPERS,
        ..settings()
    };
    let mut runtime = runtime_as(&settings, &[guest()]);
    let woken: Vec<_> = (0..SLEEPERS).map(|_| Woken::new()).collect();
    let mut script = Script::default();
    let (before, after) = (script.room(8), script.room(8));
    let read = |script: &mut Script, at: u32| {
        let arguments = [i64::from(MONOTONIC), 0, at.into()].map(Arg::Value);
        script.call("clock_time_get", &arguments);
    };
    read(&mut script, before);
    let slept_ns = 3000 * MS;
    poll(&mut script, &[clock(1, MONOTONIC, slept_ns, 0)]);
    read(&mut script, after);
    for slot in 0..SLEEPERS {
        let waker = Waker::from(woken[slot as usize].clone());
        runtime.start(slot, 0, script.request(), waker);
        assert!(!matches!(runtime.resume(slot), Step::Finished(_)));
    }
    let cpu_ns = || {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("proc");
        let first = stat.split(' ').next().expect("a number");
        first.parse::<u64>().expect("a number")
    };
    let before_ns = cpu_ns();
    let until = Instant::now() + Duration::from_millis(300);
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
    let asleep_us = (cpu_ns() - before_ns) / 1000;
    let mut late_ns = Vec::new();
    let mut left: Vec<u32> = (0..SLEEPERS).collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !left.is_empty() {
        assert!(Instant::now() < deadline, "{} still sleep", left.len());
        // Who has been called has left a token for the park.
        std::thread::park_timeout(Duration::from_millis(100));
        left.retain(|&slot| {
            if !woken[slot as usize]
                .woken
                .swap(false, std::sync::atomic::Ordering::SeqCst)
            {
                return true;
            }
            let Step::Finished(outcome) = runtime.resume(slot) else {
                return true;
            };
            let report = script.report(outcome);
            report.all_succeeded();
            let slept = report.u64(after) - report.u64(before);
            late_ns.push(slept.checked_sub(slept_ns).expect("not early"));
            false
        });
    }
    late_ns.sort_unstable();
    let [median, most] = [late_ns.len() / 2, late_ns.len() - 1].map(|at| late_ns[at] / 1000);
    println!("late by {median} us at the median, {most} us at most");
    println!("300 ms with all asleep took {asleep_us} us of the worker's CPU time");
}

/// Discarded while it sleeps; its waker is not called for the next in its slot.
#[test]
fn who_is_discarded_in_its_sleep_wakes_nobody() {
    let mut script = Script::default();
    poll(&mut script, &[clock(1, MONOTONIC, 10 * MS, 0)]);
    let mut runtime = runtime(&[&guest()]);
    let woken = Woken::new();
    runtime.start(0, 0, script.request(), Waker::from(woken.clone()));
    assert!(matches!(runtime.resume(0), Step::Blocked));
    let _call = runtime.discard(0);
    // It sleeps longer than the first would have.
    let mut longer = Script::default();
    poll(&mut longer, &[clock(1, MONOTONIC, 30 * MS, 0)]);
    longer.run(&mut runtime).all_succeeded();
    assert!(!woken.woken.load(std::sync::atomic::Ordering::SeqCst));
}

/// Spins until its own CPU clock has gone on by 20 ms, then tells how far the wall clock went meanwhile.
const SPINS: &str = r#"(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $read (param $clock i32) (result i64)
    (if (call $time (local.get $clock) (i64.const 1) (i32.const 64)) (then unreachable))
    (i64.load (i32.const 64)))
  (func (export "_start") (local $cpu i64) (local $wall i64) (local $n i32)
    (local.set $wall (call $read (i32.const 1)))
    (local.set $cpu (call $read (i32.const 2)))
    (loop $spin
      (local.set $n (i32.const 10000))
      (loop $count (br_if $count (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (br_if $spin (i64.lt_u (i64.sub (call $read (i32.const 3)) (local.get $cpu)) (i64.const 20000000))))
    (i64.store (i32.const 80) (i64.sub (call $read (i32.const 2)) (local.get $cpu)))
    (i64.store (i32.const 88) (i64.sub (call $read (i32.const 1)) (local.get $wall)))
    (i32.store (i32.const 0) (i32.const 80))
    (i32.store (i32.const 4) (i32.const 16))
    (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))))"#;

/// Two spin at once, in slices, and between them the worker itself does for a while what it likes.
#[test]
fn cpu_clocks_count_what_the_guest_ran_and_nothing_else() {
    for preemption in PREEMPTIVE {
        let mut runtime = preempting(preemption, &[SPINS]);
        let mut timer = runtime.timer().expect("a timer");
        let mut ran_ns = [0_u64; 2];
        let mut told = [None, None];
        let mut idle_ns = 0;
        for slot in 0..2 {
            runtime.start(slot, 0, Call::default(), Waker::noop().clone());
        }
        while told.iter().any(Option::is_none) {
            for slot in (0..2)
                .filter(|slot| told[*slot].is_none())
                .collect::<Vec<_>>()
            {
                let begun_ns = monotonic_ns();
                timer.begin_slice(begun_ns + MS, Contention::Contended);
                let step = runtime.resume(slot as u32);
                timer.end_slice();
                let ended_ns = monotonic_ns();
                ran_ns[slot] += ended_ns - begun_ns;
                if let Step::Finished(outcome) = step {
                    assert_eq!(outcome.exit, Exit::Success);
                    let number = |at: usize| {
                        let bytes = outcome.call.stdout[at..at + 8].try_into();
                        u64::from_le_bytes(bytes.expect("eight"))
                    };
                    told[slot] = Some((number(0), number(8)));
                }
                while monotonic_ns() < ended_ns + MS / 10 {}
                idle_ns += MS / 10;
            }
        }
        assert!(idle_ns > 0);
        for (slot, told) in told.into_iter().enumerate() {
            let (cpu_ns, wall_ns) = told.expect("ended");
            assert!(cpu_ns >= 20 * MS);
            // Not the other's time, nor the worker's: what its slices had from outside is more.
            assert!(cpu_ns <= ran_ns[slot], "{cpu_ns} of {}", ran_ns[slot]);
            assert!(wall_ns >= cpu_ns);
        }
        // The first to end had the other's slices between its own.
        let (cpu_ns, wall_ns) = told[0].expect("ended");
        assert!(wall_ns > cpu_ns + MS, "{wall_ns} {cpu_ns}");
    }
}

/// 48 MiB of random numbers take many slices, in either way of preemption; 1 GiB is not this guest's to fill.
#[test]
fn random_numbers_without_end_are_interrupted() {
    let wat = |bytes: u32, errno: u32| {
        format!(
            r#"(module
                (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
                (memory (export "memory") 800)
                (func (export "_start")
                  (if (i32.ne (call $random (i32.const 0) (i32.const {bytes})) (i32.const {errno})) (then unreachable))))"#
        )
    };
    for preemption in PREEMPTIVE {
        let guests = [wat(48 << 20, 0), wat(1 << 30, FAULT as u32)];
        let mut runtime = preempting(preemption, &[&guests[0], &guests[1]]);
        let mut timer = runtime.timer().expect("a timer");
        let slices = |runtime: &mut sandbox::Runtime, timer: &mut sandbox::Timer, function| {
            runtime.start(0, function, Call::default(), Waker::noop().clone());
            for slice in 1_u32.. {
                timer.begin_slice(monotonic_ns() + MS, Contention::Contended);
                let step = runtime.resume(0);
                timer.end_slice();
                match step {
                    Step::Finished(outcome) => {
                        assert_eq!(outcome.exit, Exit::Success);
                        return slice;
                    }
                    Step::Preempted => {}
                    step => panic!("{step:?}"),
                }
            }
            unreachable!("it ends")
        };
        assert!(slices(&mut runtime, &mut timer, 0) > 5, "{preemption:?}");
        slices(&mut runtime, &mut timer, 1);
        // Given up in the midst of it.
        runtime.start(0, 0, Call::default(), Waker::noop().clone());
        timer.begin_slice(monotonic_ns() + MS, Contention::Contended);
        assert!(matches!(runtime.resume(0), Step::Preempted));
        timer.end_slice();
        let _call = runtime.discard(0);
        assert!(slices(&mut runtime, &mut timer, 0) > 5, "{preemption:?}");
    }
}

/// What waits for a file is no burden: the worker is given back, and called when it can go on. Not every
/// time, for a file may be there before anybody has looked whether it is.
#[test]
fn a_file_is_waited_for() {
    let folder = Folder::new("waited");
    let mut script = Script::default();
    let file = script.open(3, "hello", 0, READ, 0);
    let read = script.read(file, 16);
    let mut runtime = runtime_with(&guest(), folder.config(false));
    let mut blocked = 0;
    for _ in 0..50 {
        let woken = Woken::new();
        runtime.start(0, 0, script.request(), Waker::from(woken.clone()));
        let report = loop {
            match runtime.resume(0) {
                Step::Blocked => {
                    blocked += 1;
                    woken.wait();
                }
                Step::Finished(outcome) => break script.report(outcome),
                Step::Preempted | Step::Yielded => {}
            }
        };
        report.all_succeeded();
        assert_eq!(report.read(read), b"hello, file");
    }
    assert!(blocked > 0);
}
