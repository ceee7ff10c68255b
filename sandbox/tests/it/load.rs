//! What cannot be a function is refused when it is compiled, with the whole reason.

use sandbox::{
    Artifact, Call, Exit, FunctionConfig, LoadError, Preemption, Runtime, RuntimeError, Settings,
    compile,
};

use crate::support::{artifact, reactor, run, settings};

#[track_caller]
fn check(wat: &str, expected: Option<&str>) {
    let got = compile(&settings(), wat.as_bytes()).map_err(|error| error.to_string());
    match (got, expected) {
        (Ok(_), None) => {}
        (Err(got), Some(expected)) => assert!(got.contains(expected), "{got}\nlacks: {expected}"),
        (got, expected) => panic!("{got:?} instead of {expected:?}\n{wat}"),
    }
}

const START: &str = r#"(func (export "_start"))"#;

#[test]
fn a_function_needs_a_start() {
    check(&format!("(module {START})"), None);
    check("(module)", Some("no function `_start`"));
    check(
        r#"(module (memory (export "_start") 1))"#,
        Some("`_start` as a memory"),
    );
    check(
        r#"(module (global (export "_start") f32 (f32.const 0)))"#,
        Some("global of type f32"),
    );
    check(
        r#"(module (func (export "_start") (param i32)))"#,
        Some("(func (param i32))"),
    );
    check(
        r#"(module (func (export "_start") (result i64) i64.const 0))"#,
        Some("(func (result i64))"),
    );
}

#[test]
fn what_is_no_module_is_refused() {
    check("", Some("not a WebAssembly module"));
    check("(module", Some("expected `)`"));
    check("\0asm\u{1}\0\0\0\u{ff}", Some("not a WebAssembly module"));
    check("\0asm\u{2}\0\0\0", Some("not a WebAssembly module"));
    check("\u{7f}ELF", Some("not a WebAssembly module"));
    check(
        &format!("(module {START} (func (result i32) i64.const 0))"),
        Some("type mismatch"),
    );
    check("(component)", Some("component"));
}

#[test]
fn all_unknown_imports_are_named() {
    let wat = format!(
        r#"(module
            (import "env" "now" (func (result i64)))
            (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_wriet" (func (param i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func (param i64)))
            (import "env" "memory" (memory 1))
            {START})"#
    );
    let Err(LoadError::Imports(imports)) = compile(&settings(), wat.as_bytes()) else {
        panic!("loaded");
    };
    let texts: Vec<_> = imports.iter().map(ToString::to_string).collect();
    let expected = [
        "env.now: (type (func (result i64)))",
        "wasi_snapshot_preview1.fd_wriet: (type (func (param i32) (result i32)))",
        "wasi_snapshot_preview1.proc_exit: (type (func (param i64))) (provided as (type (func (param i32))))",
        "env.memory: a memory",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn every_call_of_preview_1_is_provided() {
    // Name and parameters; all but proc_exit give an errno.
    let calls = [
        ("args_get", "i32 i32"),
        ("args_sizes_get", "i32 i32"),
        ("clock_res_get", "i32 i32"),
        ("clock_time_get", "i32 i64 i32"),
        ("environ_get", "i32 i32"),
        ("environ_sizes_get", "i32 i32"),
        ("fd_advise", "i32 i64 i64 i32"),
        ("fd_allocate", "i32 i64 i64"),
        ("fd_close", "i32"),
        ("fd_datasync", "i32"),
        ("fd_fdstat_get", "i32 i32"),
        ("fd_fdstat_set_flags", "i32 i32"),
        ("fd_fdstat_set_rights", "i32 i64 i64"),
        ("fd_filestat_get", "i32 i32"),
        ("fd_filestat_set_size", "i32 i64"),
        ("fd_filestat_set_times", "i32 i64 i64 i32"),
        ("fd_pread", "i32 i32 i32 i64 i32"),
        ("fd_prestat_dir_name", "i32 i32 i32"),
        ("fd_prestat_get", "i32 i32"),
        ("fd_pwrite", "i32 i32 i32 i64 i32"),
        ("fd_read", "i32 i32 i32 i32"),
        ("fd_readdir", "i32 i32 i32 i64 i32"),
        ("fd_renumber", "i32 i32"),
        ("fd_seek", "i32 i64 i32 i32"),
        ("fd_sync", "i32"),
        ("fd_tell", "i32 i32"),
        ("fd_write", "i32 i32 i32 i32"),
        ("path_create_directory", "i32 i32 i32"),
        ("path_filestat_get", "i32 i32 i32 i32 i32"),
        ("path_filestat_set_times", "i32 i32 i32 i32 i64 i64 i32"),
        ("path_link", "i32 i32 i32 i32 i32 i32 i32"),
        ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
        ("path_readlink", "i32 i32 i32 i32 i32 i32"),
        ("path_remove_directory", "i32 i32 i32"),
        ("path_rename", "i32 i32 i32 i32 i32 i32"),
        ("path_symlink", "i32 i32 i32 i32 i32"),
        ("path_unlink_file", "i32 i32 i32"),
        ("poll_oneoff", "i32 i32 i32 i32"),
        ("proc_raise", "i32"),
        ("random_get", "i32 i32"),
        ("sched_yield", ""),
        ("sock_accept", "i32 i32 i32"),
        ("sock_recv", "i32 i32 i32 i32 i32 i32"),
        ("sock_send", "i32 i32 i32 i32 i32"),
        ("sock_shutdown", "i32 i32"),
    ];
    let imports: String = calls
        .iter()
        .map(|(name, params)| {
            format!(
                r#"(import "wasi_snapshot_preview1" "{name}" (func (param {params}) (result i32)))"#
            )
        })
        .collect();
    check(
        &format!(
            r#"(module {imports} (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))) {START})"#
        ),
        None,
    );
}

#[test]
fn memories_and_tables_have_limits() {
    let with = |items: &str| format!("(module {items} {START})");
    // 256 MiB are 4,096 pages.
    check(&with("(memory 4096)"), None);
    check(
        &with("(memory 4097)"),
        Some("needs 268500992 bytes of memory"),
    );
    check(&with("(memory 1 65536)"), None);
    check(&with("(memory i64 1)"), None);
    check(
        &with("(memory i64 0x1000000000000)"),
        Some("bytes of memory"),
    );
    check(&with("(memory 1) (memory 1)"), Some("has 2 memories"));
    check(&with("(table 20000 funcref)"), None);
    check(&with("(table 20001 funcref)"), Some("20001 elements"));
    check(&with(&"(table 1 funcref)".repeat(4)), None);
    check(
        &with(&"(table 1 funcref)".repeat(5)),
        Some("needs 5 tables"),
    );
}

fn load(
    settings: &Settings,
    artifact: Artifact,
    config: FunctionConfig,
) -> Result<Runtime, RuntimeError> {
    Runtime::new(settings, &[(artifact, config)], reactor())
}

#[test]
fn a_function_may_have_less_memory_but_enough_to_start() {
    let guest = artifact(&format!("(module (memory 2) {START})"));
    let check = |bytes: u64, fits: bool| {
        let config = FunctionConfig {
            memory_max_bytes: Some(bytes),
            ..FunctionConfig::default()
        };
        match load(&settings(), guest.clone(), config) {
            Ok(_) => assert!(fits, "{bytes}"),
            Err(error) => {
                assert!(
                    matches!(error, RuntimeError::Memory { bytes: 131_072, .. }),
                    "{error}"
                );
                assert!(!fits, "{bytes}");
            }
        }
    };
    check(131_072, true);
    check(131_071, false);
    check(0, false);
}

#[test]
fn code_for_other_settings_is_refused() {
    let guest = artifact(&format!("(module {START})"));
    let settings = || Settings {
        preemption: Preemption::Off,
        ..settings()
    };
    let check = |settings: Settings, fits: bool| {
        let got = load(&settings, guest.clone(), FunctionConfig::default());
        assert_eq!(got.is_ok(), fits, "{settings:?}");
    };
    check(settings(), true);
    check(
        Settings {
            sandboxes_max: 7,
            ..settings()
        },
        true,
    );
    check(
        Settings {
            preemption: Preemption::Epoch,
            ..settings()
        },
        false,
    );
    check(
        Settings {
            memory_reservation_bytes: 256 << 20,
            ..settings()
        },
        false,
    );
}

#[test]
fn proposals_run_or_are_refused_in_words() {
    for (name, wat, refusal) in crate::proposals::PROPOSALS {
        match (compile(&settings(), wat.as_bytes()), refusal) {
            (Ok(artifact), None) => {
                let functions = [(artifact, FunctionConfig::default())];
                let runtime = Runtime::new(&settings(), &functions, reactor());
                let mut runtime = runtime.expect("a runtime");
                assert_eq!(
                    run(&mut runtime, 0, Call::default()).exit,
                    Exit::Success,
                    "{name}"
                );
            }
            (Err(error), Some(refusal)) => {
                assert!(error.to_string().contains(refusal), "{name}: {error}");
            }
            (got, expected) => panic!("{name}: {got:?} instead of {expected:?}"),
        }
    }
}

/// A module cut anywhere, and one with any byte changed, is refused or runs; nothing panics.
#[test]
fn damaged_modules_do_no_harm() {
    let wat = r#"(module
        (import "wasi_snapshot_preview1" "fd_close" (func (param i32) (result i32)))
        (memory 1)
        (data $passive "0123456789")
        (func $fill (param i32) (memory.fill (i32.const 0) (local.get 0) (local.get 0)))
        (func (export "_start")
          (memory.copy (i32.const 0) (i32.const 1) (memory.size))
          (memory.init $passive (i32.const 0) (i32.const 0) (i32.const 9))
          (call $fill (i32.const 7))))"#;
    let wasm = wat::parse_str(wat).expect("it is well formed");
    let compiler = sandbox::Compiler::new(&settings(), None).expect("a compiler");
    let mut compiled = 0;
    for cut in 0..wasm.len() {
        compiled += u32::from(compiler.compile(&wasm[..cut]).is_ok());
    }
    // Where the name section begins, and at its end.
    assert!(compiled <= 2, "{compiled}");
    for at in 0..wasm.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut damaged = wasm.clone();
            damaged[at] ^= change;
            compiled += u32::from(compiler.compile(&damaged).is_ok());
        }
    }
    assert!(compiled > 2);
}
