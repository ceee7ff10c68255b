//! Arguments and environment as guests see them: what was given, and nothing else.

use sandbox::{Call, Exit, FunctionConfig, Program};

use crate::support::{query, run, runtime, runtime_with};

#[test]
fn arguments_come_from_the_query() {
    // Writes argc and the size as 4 bytes each, then the block of arguments, then its first
    // pointer's distance to the last.
    let wat = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
            {}
            (func (export "_start")
              (if (call $sizes (i32.const 32) (i32.const 36)) (then unreachable))
              (call $write (i32.const 32) (i32.const 8))
              (if (call $args (i32.const 4096) (i32.const 8192)) (then unreachable))
              (if (i32.ne (i32.load (i32.const 4096)) (i32.const 8192)) (then unreachable))
              (call $write (i32.const 8192) (i32.load (i32.const 36)))
              (call $write
                (i32.load (i32.sub (i32.add (i32.const 4096) (i32.mul (i32.load (i32.const 32)) (i32.const 4))) (i32.const 4)))
                (i32.const 1))))"#,
        crate::support::TALKS
    );
    let mut runtime = runtime(&[&wat]);
    let mut check = |arguments: &str, argv: &[&str]| {
        let outcome = run(&mut runtime, 0, query(arguments));
        assert_eq!(outcome.exit, Exit::Success, "{arguments}");
        let block: Vec<u8> = argv
            .iter()
            .flat_map(|arg| [arg.as_bytes(), b"\0"].concat())
            .collect();
        let last = argv.last().expect("argv[0]");
        let mut expected = (argv.len() as u32).to_le_bytes().to_vec();
        expected.extend((block.len() as u32).to_le_bytes());
        expected.extend(&block);
        expected.push(*last.as_bytes().first().unwrap_or(&0));
        assert_eq!(outcome.call.stdout, expected, "{arguments}");
    };
    check("", &["guest"]);
    check("10", &["guest", "10"]);
    check("a=1&b=2", &["guest", "a=1", "b=2"]);
    check("a&&%20", &["guest", "a", "", "%20"]);
    check("&", &["guest", "", ""]);
}

#[test]
fn a_call_may_bring_the_whole_of_argv() {
    let wat = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
            {}
            (func (export "_start")
              (if (call $sizes (i32.const 32) (i32.const 36)) (then unreachable))
              (if (call $args (i32.const 4096) (i32.const 8192)) (then unreachable))
              (call $write (i32.load (i32.const 4096)) (i32.load (i32.const 36)))))"#,
        crate::support::TALKS
    );
    let config = FunctionConfig {
        name: "guest".into(),
        program: Program::Given,
        ..FunctionConfig::default()
    };
    let call = Call {
        arguments: b"/path\0a\0".to_vec(),
        ..Call::default()
    };
    let outcome = run(&mut runtime_with(&wat, config), 0, call);
    assert_eq!(outcome.call.stdout, b"/path\0a\0");
}

/// Writes the number of variables and their size as 4 bytes each, then their block, then the first
/// byte of the last.
fn dumps_environment() -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
            {}
            (func (export "_start")
              (i64.store (i32.const 32) (i64.const -1))
              (if (call $sizes (i32.const 32) (i32.const 36)) (then unreachable))
              (call $write (i32.const 32) (i32.const 8))
              (if (call $environ (i32.const 4096) (i32.const 8192)) (then unreachable))
              (if (i32.eqz (i32.load (i32.const 32))) (then return))
              (call $write (i32.load (i32.const 4096)) (i32.load (i32.const 36)))
              (call $write
                (i32.load (i32.sub (i32.add (i32.const 4096) (i32.mul (i32.load (i32.const 32)) (i32.const 4))) (i32.const 4)))
                (i32.const 1))))"#,
        crate::support::TALKS
    )
}

#[test]
fn the_environment_is_what_was_given() {
    let variable = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
    let check = |own: &[(&str, &str)], request: &str, expected: &[&str]| {
        let config = FunctionConfig {
            environment: own.iter().map(variable).collect(),
            ..FunctionConfig::default()
        };
        let call = Call {
            environment: request.into(),
            ..Call::default()
        };
        let wat = dumps_environment();
        let outcome = run(&mut runtime_with(&wat, config), 0, call);
        assert_eq!(outcome.exit, Exit::Success, "{expected:?}");
        let block: String = expected.iter().map(|it| format!("{it}\0")).collect();
        let mut dump = (expected.len() as u32).to_le_bytes().to_vec();
        dump.extend((block.len() as u32).to_le_bytes());
        dump.extend(block.as_bytes());
        dump.extend(expected.last().map(|last| last.as_bytes()[0]));
        assert_eq!(outcome.call.stdout, dump, "{expected:?}");
        assert_eq!(
            outcome.call.environment,
            request.as_bytes(),
            "it comes back"
        );
    };
    check(&[], "", &[]);
    check(&[("A", "1"), ("B", "")], "", &["A=1", "B="]);
    check(&[], "C=2\0D=x=y\0", &["C=2", "D=x=y"]);
    check(&[("A", "1")], "C=2\0", &["A=1", "C=2"]);
}

#[test]
fn the_environment_is_empty() {
    let outcome = run(&mut runtime(&[&dumps_environment()]), 0, Call::default());
    assert_eq!(outcome.call.stdout, [0; 8]);
}

#[test]
fn who_can_see_the_environment_is_known() {
    let check = |import: &str, expected: bool| {
        let wat = format!(
            r#"(module (import "wasi_snapshot_preview1" "{import}" (func (param i32 i32) (result i32)))
                (func (export "_start")))"#
        );
        let artifact = crate::support::artifact(&wat);
        assert_eq!(artifact.reads_environment(), expected, "{import}");
    };
    check("environ_get", true);
    check("environ_sizes_get", true);
    check("args_get", false);
}

#[test]
fn configurations_do_not_tell_their_secrets() {
    let config = FunctionConfig {
        environment: vec![("KEY".into(), "hunter2".into())],
        ..FunctionConfig::default()
    };
    let call = Call {
        environment: b"HTTP_COOKIE=hunter2\0".to_vec(),
        ..Call::default()
    };
    let text = format!("{config:?} {config:#?} {call:?}");
    assert!(text.contains("KEY") && !text.contains("hunter2"), "{text}");
}
