//! Our own host calls: what they give, and that a wrong pointer or length is the guest's EFAULT.

use std::task::Waker;

use sandbox::{Call, Exit, Step};

use crate::support::{Woken, exit, run, runtime, talking};

/// A guest that makes one call and exits with its errno.
fn calls(name: &str, params: &str, arguments: &str, memory: &str) -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "{name}" (func $call (param {params}) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            {memory}
            (func (export "_start") (call $exit (call $call {arguments}))))"#
    )
}

const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const FAULT: i32 = 21;
const INVAL: i32 = 28;
const SPIPE: i32 = 70;

/// One page ends at 65536; the last numbers wrap around in 32 bits.
const OUTSIDE: [i64; 6] = [
    65_536,
    65_533,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffc,
    0xffff_ffff,
];

#[track_caller]
fn check(name: &str, params: &str, arguments: &str, memory: &str, errno: i32) {
    let expected = if errno == SUCCESS {
        Exit::Success
    } else {
        Exit::Code(errno)
    };
    assert_eq!(
        exit(&calls(name, params, arguments, memory)),
        expected,
        "{name} {arguments} {memory}"
    );
}

/// Checks a call with a pointer in place of `@` inside memory, then at every place outside.
#[track_caller]
fn check_pointer(name: &str, params: &str, arguments: &str, memory: &str) {
    check(
        name,
        params,
        &arguments.replace('@', "(i32.const 1024)"),
        memory,
        SUCCESS,
    );
    for outside in OUTSIDE {
        let arguments = arguments.replace('@', &format!("(i32.const {outside})"));
        check(name, params, &arguments, memory, FAULT);
    }
}

#[test]
fn pointers_are_checked() {
    let zero = "(i32.const 0)";
    for name in ["args_sizes_get", "environ_sizes_get"] {
        check_pointer(name, "i32 i32", &format!("@ {zero}"), "");
        check_pointer(name, "i32 i32", &format!("{zero} @"), "");
    }
    // argv[0] is `guest` with its NUL: 6 bytes.
    check_pointer("args_get", "i32 i32", &format!("@ {zero}"), "");
    check_pointer("args_get", "i32 i32", &format!("{zero} @"), "");
    for clock in 0..4 {
        check_pointer(
            "clock_res_get",
            "i32 i32",
            &format!("(i32.const {clock}) @"),
            "",
        );
        let arguments = format!("(i32.const {clock}) (i64.const 1) @");
        check_pointer("clock_time_get", "i32 i64 i32", &arguments, "");
    }
    for fd in 0..3 {
        check_pointer(
            "fd_fdstat_get",
            "i32 i32",
            &format!("(i32.const {fd}) @"),
            "",
        );
    }
    check_pointer("random_get", "i32 i32", "@ (i32.const 4)", "");
    // The array of vectors, and the result.
    let four = "i32 i32 i32 i32";
    for (name, fd) in [("fd_read", 0), ("fd_write", 1), ("fd_write", 2)] {
        check_pointer(
            name,
            four,
            &format!("(i32.const {fd}) @ (i32.const 1) {zero}"),
            "",
        );
        check_pointer(
            name,
            four,
            &format!("(i32.const {fd}) {zero} (i32.const 0) @"),
            "",
        );
    }
}

#[test]
fn lengths_are_checked() {
    let vector = |at: u32, len: u32| {
        let bytes: String = [at.to_le_bytes(), len.to_le_bytes()]
            .concat()
            .iter()
            .map(|byte| format!("\\{byte:02x}"))
            .collect();
        bytes
    };
    let check_vectors = |vectors: &[(u32, u32)], errno: i32| {
        let bytes: String = vectors.iter().map(|&(at, len)| vector(at, len)).collect();
        let memory = format!(r#"(data (i32.const 256) "{bytes}")"#);
        for (name, fd) in [("fd_read", 0), ("fd_write", 1), ("fd_write", 2)] {
            let count = vectors.len();
            let arguments =
                format!("(i32.const {fd}) (i32.const 256) (i32.const {count}) (i32.const 0)");
            check(name, "i32 i32 i32 i32", &arguments, &memory, errno);
        }
    };
    check_vectors(&[], SUCCESS);
    check_vectors(&[(0, 0)], SUCCESS);
    check_vectors(&[(65_536, 0)], SUCCESS);
    check_vectors(&[(65_537, 0)], FAULT);
    check_vectors(&[(65_535, 1)], SUCCESS);
    check_vectors(&[(65_535, 2)], FAULT);
    check_vectors(&[(4096, 4), (u32::MAX, 1)], FAULT);
    check_vectors(&[(1, u32::MAX)], FAULT);
    check_vectors(&[(u32::MAX, u32::MAX)], FAULT);

    let count =
        |count: u32| format!("(i32.const 1) (i32.const 256) (i32.const {count}) (i32.const 0)");
    check("fd_write", "i32 i32 i32 i32", &count(1024), "", SUCCESS);
    check("fd_write", "i32 i32 i32 i32", &count(1025), "", INVAL);
    check("fd_write", "i32 i32 i32 i32", &count(u32::MAX), "", INVAL);

    check(
        "random_get",
        "i32 i32",
        "(i32.const 0) (i32.const 65536)",
        "",
        SUCCESS,
    );
    check(
        "random_get",
        "i32 i32",
        "(i32.const 0) (i32.const 65537)",
        "",
        FAULT,
    );
    check(
        "random_get",
        "i32 i32",
        "(i32.const 1) (i32.const -1)",
        "",
        FAULT,
    );
    check(
        "random_get",
        "i32 i32",
        "(i32.const 65536) (i32.const 0)",
        "",
        SUCCESS,
    );
}

#[test]
fn only_stdio_exists() {
    let zero = "(i32.const 0)";
    let four = "i32 i32 i32 i32";
    for fd in [3, 4, 1000, -1] {
        let fd = format!("(i32.const {fd})");
        check(
            "fd_read",
            four,
            &format!("{fd} {zero} {zero} {zero}"),
            "",
            BADF,
        );
        check(
            "fd_write",
            four,
            &format!("{fd} {zero} {zero} {zero}"),
            "",
            BADF,
        );
        check(
            "fd_fdstat_get",
            "i32 i32",
            &format!("{fd} {zero}"),
            "",
            BADF,
        );
        check(
            "fd_prestat_get",
            "i32 i32",
            &format!("{fd} {zero}"),
            "",
            BADF,
        );
        check("fd_close", "i32", &fd, "", BADF);
        check(
            "fd_seek",
            "i32 i64 i32 i32",
            &format!("{fd} (i64.const 0) {zero} {zero}"),
            "",
            BADF,
        );
        check("fd_renumber", "i32 i32", &format!("{zero} {fd}"), "", BADF);
        check("fd_renumber", "i32 i32", &format!("{fd} {zero}"), "", BADF);
        check(
            "fd_filestat_get",
            "i32 i32",
            &format!("{fd} {zero}"),
            "",
            BADF,
        );
        check("fd_sync", "i32", &fd, "", BADF);
    }
}

#[test]
fn stdio_has_no_position_and_one_direction() {
    let zero = "(i32.const 0)";
    let four = "i32 i32 i32 i32";
    for fd in 0..3 {
        let fd = format!("(i32.const {fd})");
        check(
            "fd_seek",
            "i32 i64 i32 i32",
            &format!("{fd} (i64.const 0) {zero} {zero}"),
            "",
            SPIPE,
        );
        check("fd_tell", "i32 i32", &format!("{fd} {zero}"), "", SPIPE);
        check("fd_close", "i32", &fd, "", SUCCESS);
    }
    check(
        "fd_read",
        four,
        &format!("(i32.const 1) {zero} {zero} {zero}"),
        "",
        BADF,
    );
    check(
        "fd_write",
        four,
        &format!("{zero} {zero} {zero} {zero}"),
        "",
        BADF,
    );
    check(
        "clock_time_get",
        "i32 i64 i32",
        "(i32.const 4) (i64.const 0) (i32.const 0)",
        "",
        INVAL,
    );
    check(
        "clock_res_get",
        "i32 i32",
        "(i32.const -1) (i32.const 0)",
        "",
        INVAL,
    );
    let open = "i32 i32 i32 i32 i32 i64 i64 i32 i32";
    let arguments = "(i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)
        (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0)";
    check("path_open", open, arguments, "", BADF);
}

#[test]
fn closed_and_renumbered_descriptors_are_gone() {
    let check = |body: &str, expected: Exit, stdout: &str| {
        let wat = format!(
            r#"(module
                (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
                (import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
                {}
                (data (i32.const 64) "x")
                (func (export "_start") {body}))"#,
            crate::support::TALKS
        );
        let outcome = run(&mut runtime(&[&wat]), 0, Call::default());
        assert_eq!(
            (outcome.exit, outcome.call.stdout.as_slice()),
            (expected, stdout.as_bytes()),
            "{body}"
        );
    };
    let write = |fd: u32| {
        format!(
            "(call $exit (call $fd_write (i32.const {fd}) (i32.const 8) (i32.const 0) (i32.const 16)))"
        )
    };
    check(
        &format!("(drop (call $close (i32.const 1))) {}", write(1)),
        Exit::Code(BADF),
        "",
    );
    check(
        &format!("(drop (call $close (i32.const 1))) {}", write(2)),
        Exit::Success,
        "",
    );
    check(
        "(drop (call $close (i32.const 1))) (call $exit (call $close (i32.const 1)))",
        Exit::Code(BADF),
        "",
    );
    let renumber = "(drop (call $renumber (i32.const 1) (i32.const 2)))";
    check(&format!("{renumber} {}", write(1)), Exit::Code(BADF), "");
    let both = format!("{renumber} (call $write_to (i32.const 2) (i32.const 64) (i32.const 1))");
    check(&both, Exit::Success, "x");
    let same = "(drop (call $renumber (i32.const 1) (i32.const 1))) (call $write (i32.const 64) (i32.const 1))";
    check(same, Exit::Success, "x");
}

#[test]
fn stdin_is_read_to_its_end() {
    // Copies stdin to stdout through two vectors of 3 and 5 bytes.
    let wat = talking(
        r#"(func (export "_start")
             (loop $more
               (i32.store (i32.const 32) (i32.const 64)) (i32.store (i32.const 36) (i32.const 3))
               (i32.store (i32.const 40) (i32.const 67)) (i32.store (i32.const 44) (i32.const 5))
               (if (call $fd_read (i32.const 0) (i32.const 32) (i32.const 2) (i32.const 48)) (then unreachable))
               (call $write (i32.const 64) (i32.load (i32.const 48)))
               (br_if $more (i32.load (i32.const 48)))))"#,
    );
    let mut runtime = runtime(&[&wat]);
    for len in [0, 1, 2, 3, 4, 7, 8, 9, 16, 100_000] {
        let stdin: Vec<u8> = (0..len).map(|n: u32| (n * 7 % 251) as u8).collect();
        let outcome = run(
            &mut runtime,
            0,
            Call {
                stdin: stdin.clone(),
                ..Call::default()
            },
        );
        assert_eq!(outcome.exit, Exit::Success);
        assert!(outcome.call.stdout == stdin, "{len} bytes");
    }
}

#[test]
fn clocks_do_not_run_backwards() {
    // For each clock: two readings in order, the first not 0 but for CPU time.
    let wat = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
            {}
            (func $check (param $clock i32) (local $n i32)
              (drop (call $time (local.get $clock) (i64.const 0) (i32.const 32)))
              (loop $spin (br_if $spin (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 10000))))
              (drop (call $time (local.get $clock) (i64.const 0) (i32.const 40)))
              (if (i64.ge_u (i64.load (i32.const 32)) (i64.load (i32.const 40))) (then unreachable)))
            (func (export "_start")
              (call $check (i32.const 1)) (call $check (i32.const 2)) (call $check (i32.const 3))
              (drop (call $time (i32.const 0) (i64.const 0) (i32.const 32)))
              (call $write (i32.const 32) (i32.const 8))))"#,
        crate::support::TALKS
    );
    let now_ns = || {
        std::time::UNIX_EPOCH
            .elapsed()
            .expect("after 1970")
            .as_nanos() as u64
    };
    let before_ns = now_ns();
    let outcome = run(&mut runtime(&[&wat]), 0, Call::default());
    assert_eq!(outcome.exit, Exit::Success);
    let told_ns = u64::from_le_bytes(outcome.call.stdout.try_into().expect("8 bytes"));
    assert!((before_ns..=now_ns()).contains(&told_ns));
}

/// Of each slice: all of one that asks for random numbers and nothing else, none of one that computes, and nothing
/// of the sleep between the slices of one that waits.
#[test]
fn time_in_calls_is_told_apart() {
    const WHOLE: u64 = 1_000_000_000;
    let guest = |body: &str| {
        format!(
            r#"(module
                (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
                (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
                (memory (export "memory") 16)
                (func (export "_start") (local $n i32) {body}))"#
        )
    };
    let asks = guest("(if (call $random (i32.const 0) (i32.const 1048576)) (then unreachable))");
    let computes = guest(
        "(loop $spin (br_if $spin (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 3000000))))",
    );
    // For 20 ms on the monotonic clock, and then it computes for as long as a call takes many times over.
    let waits = guest(
        "(i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 20000000))
         (if (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 96)) (then unreachable))
         (loop $spin (br_if $spin (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 3000000))))",
    );
    let mut runtime = runtime(&[&asks, &computes, &waits]);
    // Of a thousand million parts of each slice.
    let mut parts = |function| {
        let woken = Woken::new();
        runtime.start(0, function, Call::default(), Waker::from(woken.clone()));
        let mut parts = Vec::new();
        loop {
            let step = runtime.resume(0);
            parts.push(runtime.host_ns(0, WHOLE));
            match step {
                Step::Finished(outcome) => {
                    assert_eq!(outcome.exit, Exit::Success);
                    runtime.reset(0);
                    return parts;
                }
                Step::Blocked => woken.wait(),
                Step::Preempted | Step::Yielded => {}
            }
        }
    };
    let asks = parts(0);
    assert!(asks.len() == 1 && asks[0] > WHOLE / 2, "{asks:?}");
    assert_eq!(parts(1), [0]);
    // The end of the call is in the second slice, which a sleep that was counted would fill.
    let waits = parts(2);
    assert!(
        waits.len() == 2 && (1..WHOLE / 2).contains(&waits[1]),
        "{waits:?}"
    );
}

#[test]
fn random_bytes_fill_the_whole_range() {
    // A range of 65000 bytes that ends at the memory's end.
    let wat = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            {}
            (func (export "_start")
              (if (call $random (i32.const 536) (i32.const 65000)) (then unreachable))
              (call $write (i32.const 536) (i32.const 65000))))"#,
        crate::support::TALKS
    );
    let mut runtime = runtime(&[&wat]);
    let mut bytes = || run(&mut runtime, 0, Call::default()).call.stdout;
    let (first, second) = (bytes(), bytes());
    assert_ne!(first, second);
    for stretch in first.chunks(1000) {
        // 1000 bytes without 64 different values among them do not happen in this universe.
        let different: std::collections::HashSet<_> = stretch.iter().collect();
        assert!(different.len() > 64);
    }
}
