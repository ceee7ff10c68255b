//! Nothing of an earlier request can be seen: one slot, used a thousand times by guests that look
//! at everything they have, dirty all of it, and end in every way a guest can end.

use std::task::Waker;

use sandbox::{Call, Contention, Exit, Runtime, Step, Timer, monotonic_ns};

use crate::support::{TALKS, query, runtime};

/// Traps unless memory, globals, tables and segments are as new; then dirties them, memory grown by
/// three pages included, yields, and ends as its number of arguments says.
fn looks_and_dirties() -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
            (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
            {memory}
            (global $counter (mut i64) (i64.const 41))
            (table $functions 4 funcref)
            (table $others 2 100 funcref)
            (elem (table $functions) (i32.const 1) func $one)
            (elem $passive func $one)
            (data $initial (i32.const 1024) "as compiled")
            (data $spare "spare")
            (func $one)
            (func $check_zero (param $at i32) (param $end i32)
              (loop $next
                (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
                (local.set $at (i32.add (local.get $at) (i32.const 8)))
                (br_if $next (i32.lt_u (local.get $at) (local.get $end)))))
            (func $look
              (if (i32.ne (memory.size) (i32.const 2)) (then unreachable))
              (call $check_zero (i32.const 0) (i32.const 1024))
              (if (i64.ne (i64.load (i32.const 1024)) (i64.const 0x69706d6f63207361)) (then unreachable))
              (if (i32.ne (i32.load (i32.const 1032)) (i32.const 0x0064656c)) (then unreachable))
              (call $check_zero (i32.const 1040) (i32.const 131072))
              (if (i64.ne (global.get $counter) (i64.const 41)) (then unreachable))
              (if (i32.ne (table.size $functions) (i32.const 4)) (then unreachable))
              (if (i32.ne (table.size $others) (i32.const 2)) (then unreachable))
              (if (i32.eqz (ref.is_null (table.get $functions (i32.const 0)))) (then unreachable))
              (if (ref.is_null (table.get $functions (i32.const 1))) (then unreachable))
              (if (i32.eqz (ref.is_null (table.get $functions (i32.const 3)))) (then unreachable))
              (if (i32.eqz (ref.is_null (table.get $others (i32.const 1)))) (then unreachable))
              (memory.init $spare (i32.const 2000) (i32.const 0) (i32.const 5))
              (table.init $functions $passive (i32.const 2) (i32.const 0) (i32.const 1)))
            (func $dirty
              (if (i32.ne (memory.grow (i32.const 3)) (i32.const 2)) (then unreachable))
              (call $check_zero (i32.const 131072) (i32.const 327680))
              (memory.fill (i32.const 0) (i32.const 0xab) (i32.const 327680))
              (global.set $counter (i64.const 0))
              (table.fill $functions (i32.const 0) (ref.func $one) (i32.const 4))
              (drop (table.grow $others (ref.func $one) (i32.const 50)))
              (table.set $functions (i32.const 1) (ref.null func))
              (table.fill $others (i32.const 0) (ref.func $one) (i32.const 52))
              (data.drop $spare)
              (elem.drop $passive))
            (func (export "_start") (local $how i32)
              (drop (call $sizes (i32.const 32) (i32.const 36)))
              (local.set $how (i32.load (i32.const 32)))
              (i64.store (i32.const 32) (i64.const 0))
              (call $look)
              (call $dirty)
              (drop (call $yield))
              (if (i32.eq (local.get $how) (i32.const 2)) (then (call $look)))
              (if (i32.eq (local.get $how) (i32.const 3)) (then (loop $l (br $l))))
              (call $exit (i32.const 77))))"#,
        memory = TALKS.replace(
            r#"(memory (export "memory") 1)"#,
            r#"(memory (export "memory") 2)"#
        ),
    )
}

/// Another module in the same slots: all of its eight pages are 0 at first and 0xcd at last.
const OTHER: &str = r#"(module
    (memory 8)
    (func (export "_start") (local $at i32)
      (loop $next
        (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $next (i32.lt_u (local.get $at) (i32.const 524288))))
      (memory.fill (i32.const 0) (i32.const 0xcd) (i32.const 524288))))"#;

/// Reads just beyond its one page, where others before it had memory.
const BEYOND: &str =
    r#"(module (memory 1) (func (export "_start") (drop (i64.load (i32.const 65536)))))"#;

/// How a sandbox of the first guest is brought to its end.
#[derive(Debug, Clone, Copy)]
enum End {
    Exit,
    /// By looking again: what it did cannot be overlooked.
    Trap,
    DiscardAfterYield,
    DiscardPreempted,
}

fn dirty(runtime: &mut Runtime, timer: &mut Timer, end: End) {
    let arguments = match end {
        End::Exit | End::DiscardAfterYield => "",
        End::Trap => "1",
        End::DiscardPreempted => "1&2",
    };
    let call = query(arguments);
    runtime.start(0, 0, call, Waker::noop().clone());
    let step = runtime.resume(0);
    assert!(matches!(step, Step::Yielded), "not as new: {step:?}");
    let step = match end {
        End::DiscardAfterYield => {
            runtime.discard(0);
            return;
        }
        End::DiscardPreempted => {
            timer.begin_slice(monotonic_ns(), Contention::Contended);
            let step = runtime.resume(0);
            timer.end_slice();
            assert!(matches!(step, Step::Preempted), "{step:?}");
            runtime.discard(0);
            return;
        }
        End::Exit | End::Trap => runtime.resume(0),
    };
    let Step::Finished(outcome) = step else {
        panic!("{end:?}: {step:?}");
    };
    match (end, outcome.exit) {
        (End::Exit, Exit::Code(77)) | (End::Trap, Exit::Trapped(_)) => {}
        (end, exit) => panic!("{end:?}: {exit:?}"),
    }
}

fn outcome(runtime: &mut Runtime, function: u16) -> Exit {
    runtime.start(0, function, Call::default(), Waker::noop().clone());
    match runtime.resume(0) {
        Step::Finished(outcome) => outcome.exit,
        step => panic!("{step:?}"),
    }
}

#[test]
fn a_thousand_sandboxes_in_one_slot_each_find_all_as_new() {
    let mut runtime = runtime(&[&looks_and_dirties(), OTHER, BEYOND]);
    let mut timer = runtime.timer().expect("a timer");
    let ends = [
        End::Exit,
        End::Trap,
        End::DiscardAfterYield,
        End::DiscardPreempted,
    ];
    for round in 0..1_000 {
        dirty(&mut runtime, &mut timer, ends[round % ends.len()]);
        if round % 5 == 0 {
            assert_eq!(outcome(&mut runtime, 1), Exit::Success, "round {round}");
            assert!(
                matches!(outcome(&mut runtime, 2), Exit::Trapped(_)),
                "round {round}"
            );
        }
    }
}

#[test]
fn every_slot_can_be_taken_at_once_again_and_again() {
    let mut runtime = runtime(&[&looks_and_dirties()]);
    for _ in 0..50 {
        for slot in 0..4 {
            runtime.start(slot, 0, Call::default(), Waker::noop().clone());
            assert!(matches!(runtime.resume(slot), Step::Yielded));
        }
        for slot in (0..4).rev() {
            assert!(matches!(runtime.resume(slot), Step::Finished(_)));
        }
    }
}
