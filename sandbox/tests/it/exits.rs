//! How a guest ends, and that the worker goes on whatever it was.

use sandbox::{Call, Exit, FunctionConfig, Stderr, Step};

use crate::support::{exit, query, run, runtime, runtime_as, runtime_with, settings, talking};

#[test]
fn exit_codes() {
    let check = |code: &str, expected: Exit| {
        let wat = talking(&format!(
            r#"(func (export "_start") (call $exit (i32.const {code})) unreachable)"#
        ));
        assert_eq!(exit(&wat), expected, "{code}");
    };
    check("0", Exit::Success);
    check("1", Exit::Code(1));
    check("137", Exit::Code(137));
    check("-1", Exit::Code(-1));
}

#[test]
fn a_start_function_may_exit_too() {
    let check = |body: &str, expected: Exit| {
        let wat = talking(&format!(
            r#"(func $first {body}) (start $first) (func (export "_start") (call $exit (i32.const 7)))"#
        ));
        assert_eq!(exit(&wat), expected, "{body}");
    };
    check("nop", Exit::Code(7));
    check("(call $exit (i32.const 3))", Exit::Code(3));
    check("(call $exit (i32.const 0))", Exit::Success);
}

/// A guest that traps by `body`, and the one line that its report gives.
#[track_caller]
fn check_trap(wat: &str, summary: &str) {
    let Exit::Trapped(report) = exit(wat) else {
        panic!("did not trap: {wat}");
    };
    assert_eq!(report.summary, summary, "{wat}");
}

fn with_body(items: &str, body: &str) -> String {
    format!(r#"(module (memory 1) (table 2 funcref) {items} (func (export "_start") {body}))"#)
}

#[test]
fn traps_are_named() {
    let cases = [
        ("unreachable", "wasm `unreachable` instruction executed"),
        (
            "(drop (i32.div_s (i32.const 1) (i32.const 0)))",
            "integer divide by zero",
        ),
        (
            "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))",
            "integer overflow",
        ),
        (
            "(drop (i32.trunc_f32_s (f32.const nan)))",
            "invalid conversion to integer",
        ),
        (
            "(drop (i32.load (i32.const 65533)))",
            "out of bounds memory access",
        ),
        (
            "(i64.store (i32.const -1) (i64.const 0))",
            "out of bounds memory access",
        ),
        (
            "(drop (i32.load offset=0xffffffff (i32.const -1)))",
            "out of bounds memory access",
        ),
        (
            "(memory.fill (i32.const 0) (i32.const 1) (i32.const 65537))",
            "out of bounds memory access",
        ),
        (
            "(call_indirect (i32.const 2))",
            "undefined element: out of bounds table access",
        ),
        ("(call_indirect (i32.const 0))", "uninitialized element"),
        (
            "(call_indirect (param i32) (i32.const 0) (i32.const 1))",
            "indirect call type mismatch",
        ),
    ];
    for (body, trap) in cases {
        let wat = with_body("(func $void) (elem (i32.const 1) $void)", body);
        check_trap(&wat, &format!("wasm trap: {trap}"));
    }
}

#[test]
fn traps_outside_the_start_are_named_too() {
    check_trap(
        &with_body("(func $first unreachable) (start $first)", ""),
        "wasm trap: wasm `unreachable` instruction executed",
    );
    check_trap(
        &with_body(r#"(data (i32.const 65535) "ab")"#, ""),
        "wasm trap: out of bounds memory access",
    );
    let no_memory = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
        (func (export "_start") (drop (call $w (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))))"#;
    check_trap(no_memory, "the module exports no memory `memory`");
}

#[test]
fn a_stack_has_a_limit() {
    let check = |items: &str, body: &str| {
        let Exit::StackLimit(report) = exit(&with_body(items, body)) else {
            panic!("{items}");
        };
        assert_eq!(report.summary, "wasm trap: call stack exhausted");
        assert!(!report.backtrace.is_empty());
    };
    check("(func $deep (call $deep) (call $deep))", "(call $deep)");
    check(
        "(func $deep (param i64 i64 i64 i64) (result i64)
            (i64.add (local.get 0) (call $deep (local.get 3) (local.get 2) (local.get 1) (i64.const 1))))",
        "(drop (call $deep (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)))",
    );
}

/// Wanting too much is the end at once. What the module itself forbids is no concern of ours.
#[test]
fn to_grow_beyond_a_limit_is_the_end() {
    let check = |wat: &str, expected: &str| {
        let got = match exit(wat) {
            Exit::MemoryLimit(report) | Exit::TableLimit(report) => {
                assert!(
                    report.backtrace[0].starts_with("$grows at 0x"),
                    "{report:?}"
                );
                report.summary
            }
            Exit::Trapped(report) => report.summary,
            Exit::Success => "success".to_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(got, expected, "{wat}");
    };
    let grows = |items: &str, operation: &str, amount: i64| {
        format!(
            r#"(module {items} (func $"$grows" (drop ({operation} ({} {amount})))) (func (export "_start") (call $"$grows")))"#,
            if items.contains("i64") {
                "i64.const"
            } else {
                "i32.const"
            },
        )
    };
    let table = "table.grow (ref.null func)";
    let memory = |wanted: u64| {
        let limit = sandbox::limits::MEMORY_MAX_BYTES;
        format!("memory of {wanted} bytes wanted, the limit is {limit}")
    };
    let page = 65_536;
    check(&grows("(memory 1)", "memory.grow", 4095), "success");
    check(
        &grows("(memory 1)", "memory.grow", 4096),
        &memory(4097 * page),
    );
    check(
        &grows("(memory 1)", "memory.grow", 65_535),
        &memory(65_536 * page),
    );
    check(
        &grows("(memory i64 1)", "memory.grow", 1 << 40),
        &memory(((1 << 40) + 1) * page),
    );
    check(
        &grows("(memory 1 5000)", "memory.grow", 4999),
        &memory(5000 * page),
    );
    check(&grows("(memory 1 5000)", "memory.grow", 5000), "success");
    check(&grows("(memory 1 2)", "memory.grow", 2), "success");
    check(&grows("(table 1 funcref)", table, 19_999), "success");
    let elements = "table of 20001 elements wanted, the limit is 20000";
    check(&grows("(table 1 funcref)", table, 20_000), elements);
    check(&grows("(table 1 2 funcref)", table, 20_000), "success");
    // In a start function, too.
    let starts = grows("(memory 1)", "memory.grow", 4096)
        .replace("(func (exp", r#"(start $"$grows") (func (exp"#);
    check(&starts, &memory(4097 * page));
    // And afterwards a trap is no more than a trap.
    let traps = grows("(memory 1 2)", "memory.grow", 2).replace("(call", "unreachable (call");
    check(&traps, "wasm trap: wasm `unreachable` instruction executed");
}

#[test]
fn a_trap_says_where() {
    let wat = r#"(module
        (func $inner unreachable)
        (func $"forged\nline" (call $inner))
        (func (export "_start") (call $"forged\nline")))"#;
    let Exit::Trapped(report) = exit(wat) else {
        panic!("did not trap");
    };
    let names: Vec<_> = report
        .backtrace
        .iter()
        .map(|frame| frame.split(" at 0x").next().unwrap_or(""))
        .collect();
    assert_eq!(names, ["inner", "forged\\nline", "function 2"]);
}

/// Long operations are calls of functions that the module does not have: nobody sees them.
#[test]
fn a_trap_says_where_in_the_module_as_it_was() {
    let wat = |trap: &str| {
        let wat = format!(
            r#"(module (memory 1) (global $far (mut i32) (i32.const 65500))
            (func $before (memory.fill (i32.const 0) (i32.const 1) (global.get $far)))
            (func $inner {trap})
            (func (export "_start") (call $before) (call $inner)))"#
        );
        wat::parse_str(&wat).expect("it is well formed")
    };
    let operation = "(memory.fill (global.get $far) (i32.const 1) (global.get $far))";
    for trap in ["unreachable", operation] {
        let wasm = wat(trap);
        // The name section comes last; before it, the last function begins with its two calls.
        let code = [0x10, 0x00, 0x10, 0x01, 0x0b];
        let start = wasm
            .windows(5)
            .rposition(|bytes| bytes == code)
            .expect("a function");
        // Its length and its locals lie between the two, and the end of the inner one.
        let length = if trap == operation { 3 } else { 1 };
        let expected = [
            format!("inner at {:#x}", start - 3 - length),
            format!("function 2 at {:#x}", start + 2),
        ];
        let outcome = run(&mut runtime_as(&settings(), &[wasm]), 0, Call::default());
        let Exit::Trapped(report) = outcome.exit else {
            panic!("did not trap: {trap}");
        };
        assert_eq!(report.backtrace, expected, "{trap}");
    }
}

#[test]
fn the_worker_goes_on_after_any_end() {
    let bad = r#"(module (func (export "_start") unreachable))"#;
    let deep = r#"(module (func $deep (call $deep)) (func (export "_start") (call $deep)))"#;
    let code = talking(r#"(func (export "_start") (call $exit (i32.const 9)))"#);
    let good = talking(
        r#"(data (i32.const 64) "hello") (func (export "_start") (call $write (i32.const 64) (i32.const 5)))"#,
    );
    let mut runtime = runtime(&[bad, deep, &code, &good]);
    for function in [0, 1, 2, 0, 1, 2] {
        let outcome = run(&mut runtime, function, Call::default());
        assert_ne!(outcome.exit, Exit::Success);
        let outcome = run(&mut runtime, 3, Call::default());
        assert_eq!(
            (outcome.exit, outcome.call.stdout.as_slice()),
            (Exit::Success, &b"hello"[..])
        );
    }
}

#[test]
fn raised_signals_end_the_guest_or_do_nothing() {
    let check = |signal: &str, expected: &str| {
        let wat = talking(&format!(
            r#"(func (export "_start") (call $exit (call $raise (i32.const {signal}))))"#
        ))
        .replacen(
            "(module",
            r#"(module (import "wasi_snapshot_preview1" "proc_raise" (func $raise (param i32) (result i32)))"#,
            1,
        );
        let got = match exit(&wat) {
            Exit::Trapped(report) => report.summary,
            Exit::Success => "ignored".to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(got, expected, "signal {signal}");
    };
    // As preview 1 numbers them; what is missing is ignored by default (POSIX, <signal.h>).
    let ends = [
        "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV",
        "USR2", "PIPE", "ALRM", "TERM", "", "", "STOP", "TSTP", "TTIN", "TTOU", "", "XCPU", "XFSZ",
        "VTALRM", "PROF", "", "POLL", "PWR", "SYS",
    ];
    for (signal, name) in ends.into_iter().enumerate() {
        let expected = match name {
            "" => "ignored".to_owned(),
            name => format!("raised SIG{name}"),
        };
        check(&signal.to_string(), &expected);
    }
    check("31", "Code(28)");
    check("-1", "Code(28)");
}

#[test]
fn memory_grows_to_its_limit_and_no_further() {
    // Grows to as many pages as it has arguments, and uses the last byte.
    let wat = r#"(module
        (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start")
          (drop (call $sizes (i32.const 32) (i32.const 36)))
          (loop $more
            (if (i32.lt_u (memory.size) (i32.load (i32.const 32)))
              (then
                (drop (memory.grow (i32.const 1)))
                (br $more))))
          (i32.store8 (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)) (i32.const 1))))"#;
    let check = |memory_max_bytes: Option<u64>, pages: usize, is_allowed: bool| {
        let config = FunctionConfig {
            memory_max_bytes,
            ..FunctionConfig::default()
        };
        let call = query(&vec!["x"; pages - 1].join("&"));
        let exit = run(&mut runtime_with(wat, config), 0, call).exit;
        let is_right = match is_allowed {
            true => exit == Exit::Success,
            false => matches!(exit, Exit::MemoryLimit(_)),
        };
        assert!(is_right, "{memory_max_bytes:?} {pages}: {exit:?}");
    };
    check(None, 1000, true);
    check(Some(5 << 16), 5, true);
    check(Some(5 << 16), 6, false);
    check(Some((6 << 16) - 1), 5, true);
    check(Some((6 << 16) - 1), 6, false);
    check(Some(1 << 16), 1, true);
    check(Some(1 << 16), 2, false);
    check(Some(u64::MAX), 1000, true);
}

#[test]
fn output_has_a_limit() {
    // Writes 16 bytes, argc times.
    let wat = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
            {}
            (func (export "_start")
              (drop (call $sizes (i32.const 32) (i32.const 36)))
              (loop $more
                (call $write (i32.const 64) (i32.const 16))
                (i32.store (i32.const 32) (i32.sub (i32.load (i32.const 32)) (i32.const 1)))
                (br_if $more (i32.load (i32.const 32))))))"#,
        crate::support::TALKS
    );
    let check = |output_max_bytes: u64, writes: usize, expected: Exit, written: usize| {
        let config = FunctionConfig {
            output_max_bytes,
            ..FunctionConfig::default()
        };
        let arguments = vec!["x"; writes - 1].join("&");
        let outcome = run(&mut runtime_with(&wat, config), 0, query(&arguments));
        assert_eq!(
            (outcome.exit, outcome.call.stdout.len()),
            (expected, written)
        );
    };
    check(48, 3, Exit::Success, 48);
    check(48, 4, Exit::OutputLimit, 48);
    check(47, 3, Exit::OutputLimit, 32);
    check(0, 1, Exit::OutputLimit, 0);
}

#[test]
fn stderr_goes_where_the_function_says() {
    let wat = talking(
        r#"(data (i32.const 64) "onetwo")
           (func (export "_start")
             (call $write_to (i32.const 1) (i32.const 64) (i32.const 3))
             (call $write_to (i32.const 2) (i32.const 67) (i32.const 3))
             (call $write_to (i32.const 1) (i32.const 64) (i32.const 3)))"#,
    );
    let check = |stderr: Stderr, body: &str, log: &str| {
        let config = FunctionConfig {
            stderr,
            ..FunctionConfig::default()
        };
        let call = run(&mut runtime_with(&wat, config), 0, Call::default()).call;
        assert_eq!(
            (call.stdout.as_slice(), call.stderr.as_slice()),
            (body.as_bytes(), log.as_bytes())
        );
    };
    check(Stderr::Body, "onetwoone", "");
    check(Stderr::Log, "oneone", "two");
    check(Stderr::Drop, "oneone", "");
}

#[test]
fn the_log_is_cut_and_the_guest_goes_on() {
    let wat = talking(
        r#"(func (export "_start") (local $n i32)
             (loop $more
               (call $write_to (i32.const 2) (i32.const 0) (i32.const 60000))
               (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 3)))))"#,
    );
    let outcome = run(&mut runtime(&[&wat]), 0, Call::default());
    assert_eq!(outcome.exit, Exit::Success);
    assert_eq!(outcome.call.stderr.len(), sandbox::limits::LOG_MAX_BYTES);
}

#[test]
fn buffers_come_back_from_every_end() {
    let yields = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
            {}
            (func (export "_start")
              (call $write (i32.const 0) (i32.const 3))
              (drop (call $yield))
              unreachable))"#,
        crate::support::TALKS
    );
    let call = || Call {
        arguments: b"a\0b\0".to_vec(),
        environment: b"A=1\0".to_vec(),
        stdin: b"body".to_vec(),
        stdout: Vec::with_capacity(1234),
        stderr: Vec::with_capacity(567),
        request_id: 42,
    };
    let check = |call: Call, written: usize| {
        assert_eq!(
            (call.arguments.as_slice(), call.stdin.as_slice()),
            (&b"a\0b\0"[..], &b"body"[..])
        );
        assert_eq!((call.stdout.len(), call.request_id), (written, 42));
        assert!(
            call.stdout.capacity() >= 1234 && call.stderr.capacity() >= 567,
            "the same buffers"
        );
    };
    let mut runtime = runtime(&[&yields]);
    check(run(&mut runtime, 0, call()).call, 3);

    runtime.start(1, 0, call(), std::task::Waker::noop().clone());
    check(runtime.discard(1), 0);

    runtime.start(1, 0, call(), std::task::Waker::noop().clone());
    assert!(matches!(runtime.resume(1), Step::Yielded));
    check(runtime.discard(1), 3);
}
