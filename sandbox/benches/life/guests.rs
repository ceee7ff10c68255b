//! The guests that are measured, each with what it is given.

use std::path::Path;

/// A module with its request.
pub struct Guest {
    pub name: &'static str,
    pub wasm: Vec<u8>,
    pub query: &'static str,
    pub stdin: Vec<u8>,
    /// It is given a directory.
    pub has_directory: bool,
}

/// Says hello after it has looked at its arguments and its environment, as a libc does.
const HELLO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (memory (export "memory") 17)
  (data (i32.const 16) "hello world\n")
  (data (i32.const 1000000) "x")
  (func $check (param i32) (if (local.get 0) (then unreachable)))
  (func (export "_start")
    (call $check (call $args_sizes (i32.const 64) (i32.const 68)))
    (call $check (call $args (i32.const 4096) (i32.const 8192)))
    (call $check (call $environ_sizes (i32.const 72) (i32.const 76)))
    (call $check (call $environ (i32.const 5120) (i32.const 9216)))
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 12))
    (call $check (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

/// The same, and one call that is not on every request's path. With a directory, wasmtime-wasi's context is made
/// for it.
const HELLO_GENERAL: &str = r#"
  (import "wasi_snapshot_preview1" "fd_filestat_get" (func $stat (param i32 i32) (result i32)))"#;

/// The example functions with a typical request each, and hello.
pub fn all() -> Vec<Guest> {
    let general = HELLO
        .replacen("(module", &format!("(module{HELLO_GENERAL}"), 1)
        .replacen(
            "(i32.store (i32.const 0)",
            "(drop (call $stat (i32.const 9) (i32.const 80)))\n    (i32.store (i32.const 0)",
            1,
        );
    let wat = |name, text: &str| Guest {
        name,
        wasm: wat::parse_str(text).expect("parses"),
        query: "a=1&b=2",
        stdin: Vec::new(),
        has_directory: false,
    };
    vec![
        function("empty", "", None),
        wat("hello", HELLO),
        wat("hello, general", &general),
        Guest {
            has_directory: true,
            ..wat("hello, files", &general)
        },
        function("echo", "", Some("echo/echo.c")),
        function("fib", "10", None),
        function("ekf", "", Some("ekf/sample.bin")),
        function("html", "", Some("html/sample.json")),
        function("resize", "100", Some("resize/sample.jpg")),
    ]
}

fn function(name: &'static str, query: &'static str, stdin: Option<&str>) -> Guest {
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
    let read = |path: &str| std::fs::read(functions.join(path)).expect(path);
    Guest {
        name,
        wasm: read(&format!("{name}/{name}.wasm")),
        query,
        stdin: stdin.map(read).unwrap_or_default(),
        has_directory: false,
    }
}

pub fn yields_for_ever() -> Guest {
    let text = r#"(module
      (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
      (func (export "_start") (loop (drop (call $yield)) (br 0))))"#;
    Guest {
        name: "yields",
        wasm: wat::parse_str(text).expect("parses"),
        query: "",
        stdin: Vec::new(),
        has_directory: false,
    }
}

/// Writes one word into every page of the first `dirty_kib` of a memory of `memory_kib`.
pub fn dirties(memory_kib: u32, dirty_kib: u32) -> Guest {
    let pages = memory_kib / 64;
    let end = dirty_kib * 1024;
    let text = format!(
        r#"(module (memory (export "memory") {pages})
          (func (export "_start") (local $at i32)
            (block (loop
              (br_if 1 (i32.ge_u (local.get $at) (i32.const {end})))
              (i32.store (local.get $at) (i32.const 1))
              (local.set $at (i32.add (local.get $at) (i32.const 4096)))
              (br 0)))))"#
    );
    Guest {
        name: "dirties",
        wasm: wat::parse_str(text).expect("parses"),
        query: "",
        stdin: Vec::new(),
        has_directory: false,
    }
}

/// As [`dirties`], but only if there is an argument.
pub fn dirties_on_demand(memory_kib: u32, dirty_kib: u32, query: &'static str) -> Guest {
    let pages = memory_kib / 64;
    let end = dirty_kib * 1024;
    let text = format!(
        r#"(module
          (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
          (memory (export "memory") {pages})
          (func (export "_start") (local $at i32)
            (drop (call $sizes (i32.const 0) (i32.const 4)))
            (block
              (br_if 0 (i32.le_u (i32.load (i32.const 0)) (i32.const 1)))
              (loop
                (br_if 1 (i32.ge_u (local.get $at) (i32.const {end})))
                (i32.store (local.get $at) (i32.const 1))
                (local.set $at (i32.add (local.get $at) (i32.const 4096)))
                (br 0)))))"#
    );
    Guest {
        name: "dirties",
        wasm: wat::parse_str(text).expect("parses"),
        query,
        stdin: Vec::new(),
        has_directory: false,
    }
}
