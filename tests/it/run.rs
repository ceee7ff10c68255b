//! `luge run`: what goes in, what comes out, which exit code, and what is said when something is wrong.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::harness::{repository, wait_until};
use crate::process::{Folder, luge};

/// What guests in text begin with.
const PRELUDE: &str = r#"
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open
    (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\06\00\00\00")
  (data (i32.const 16) "hello\n")
  (func $hello (param $fd i32)
    (if (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable)))
"#;

fn run(arguments: &[&str]) -> Command {
    let mut command = luge();
    command.args(["run", "--cache-dir=off"]).args(arguments);
    command
}

fn output(mut command: Command, stdin: &[u8]) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be run");
    let mut pipe = child.stdin.take().expect("piped");
    // A guest that reads nothing, or a mistake, ends without having read.
    std::thread::scope(|scope| {
        scope.spawn(move || pipe.write_all(stdin).ok());
        child.wait_with_output().expect("it is ours")
    })
}

/// Runs a guest with this body after [`PRELUDE`]; `check` is how it ends and what is on its two outputs.
#[track_caller]
fn check_guest(flags: &[&str], body: &str, code: i32, out: &str, err: &[&str]) {
    let folder = Folder::new();
    let module = folder.write("guest.wat", &format!("(module {PRELUDE} {body})"));
    let mut command = run(flags);
    command.arg(&module);
    let output = output(command, b"");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{body}: {said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), out, "{body}");
    assert_eq!(said.is_empty(), err.is_empty(), "{body}: {said}");
    for part in err {
        assert!(said.contains(part), "{body}: {part} in {said}");
    }
}

#[test]
fn a_guests_exit_code_is_the_processes() {
    check_guest(&[], "(func (export \"_start\"))", 0, "", &[]);
    for code in [0, 1, 33, 125, 134, 255] {
        let body = format!("(func (export \"_start\") (call $exit (i32.const {code})))");
        check_guest(&[], &body, code, "", &[]);
    }
    for code in [256, -1] {
        let body = format!("(func (export \"_start\") (call $exit (i32.const {code})))");
        check_guest(&[], &body, 1, "", &["luge run: ", &code.to_string()]);
    }
}

#[test]
fn what_a_guest_writes_comes_out_whatever_its_end() {
    let body = |end: &str| {
        format!(
            "(func $main (export \"_start\") (call $hello (i32.const 1)) (call $hello (i32.const 2)) {end})"
        )
    };
    check_guest(&[], &body(""), 0, "hello\n", &["hello\n"]);
    check_guest(
        &[],
        &body("(call $exit (i32.const 3))"),
        3,
        "hello\n",
        &["hello\n"],
    );
    let trapped = [
        "hello\n",
        "luge run: ",
        "guest.wat: trapped: ",
        "unreachable",
        "\n  in main at 0x",
    ];
    check_guest(&[], &body("unreachable"), 134, "hello\n", &trapped);
    for preemption in ["signal", "epoch"] {
        let flags = ["--cpu-limit=20ms", &format!("--preemption={preemption}")];
        check_guest(
            &flags,
            &body("(loop $l (br $l))"),
            152,
            "hello\n",
            &["hello\n", "--cpu-limit"],
        );
    }
}

#[test]
fn limits_end_a_guest() {
    let grow = "(func (export \"_start\") (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)))";
    check_guest(&["--memory-max=128KiB"], grow, 0, "", &[]);
    check_guest(
        &["--memory-max=64KiB"],
        grow,
        134,
        "",
        &["--memory-max", "65536"],
    );
    check_guest(&["--memory-max=2GiB"], grow, 0, "", &[]);
    let deep = "(func $f (param i32) (result i32) (i32.add (i32.const 1) (call $f (local.get 0))))
        (func (export \"_start\") (drop (call $f (i32.const 0))))";
    check_guest(&[], deep, 134, "", &["--stack-size"]);
    let twice = |fd: u32| {
        let hello = format!("(call $hello (i32.const {fd}))");
        format!("(func (export \"_start\") {hello} {hello})")
    };
    check_guest(&["--output-max=12"], &twice(1), 0, "hello\nhello\n", &[]);
    check_guest(
        &["--output-max=11"],
        &twice(1),
        134,
        "hello\n",
        &["--output-max"],
    );
    let err = output_of_stderr(&twice(2));
    assert_eq!(err, "hello\nhello\n");
}

/// Standard error of a guest that ends well, as it is.
fn output_of_stderr(body: &str) -> String {
    let folder = Folder::new();
    let module = folder.write("guest.wat", &format!("(module {PRELUDE} {body})"));
    let mut command = run(&[]);
    command.arg(module);
    String::from_utf8(output(command, b"").stderr).expect("text")
}

#[test]
fn standard_input_reaches_the_guest_as_it_is() {
    let echo = |flags: &[&str], stdin: &[u8]| {
        let mut command = run(flags);
        command.arg(repository("functions/echo/echo.wasm"));
        output(command, stdin)
    };
    let bytes: Vec<u8> = (0..100_000_u32).map(|at| (at * 7) as u8).collect();
    for stdin in [&b""[..], b"\0\xff\n", &bytes] {
        let output = echo(&[], stdin);
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stdout == stdin && output.stderr.is_empty());
    }
    assert_eq!(echo(&["--stdin-max=3"], b"abc").stdout, b"abc");
    let refused = echo(&["--stdin-max=3"], b"abcd");
    assert_eq!(
        (refused.status.code(), &*refused.stdout),
        (Some(3), &b""[..])
    );
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--stdin-max"));
}

#[test]
fn a_guest_that_reads_nothing_does_not_wait_for_input() {
    let mut command = run(&[]);
    command.arg(repository("functions/empty/empty.wasm"));
    command.stdin(Stdio::piped());
    let mut child = command.spawn().expect("the program can be run");
    let pipe = child.stdin.take();
    let status = child.wait().expect("it is ours");
    drop(pipe);
    assert!(status.success());
}

#[test]
fn arguments_and_environment_are_the_given_ones() {
    let mut command = run(&[
        "--env",
        "A=1",
        "--env=B=x=y",
        "--env",
        "CANARY",
        "--env=A=2",
        "--env=E=",
    ]);
    command
        .env("CANARY", "sings")
        .env("SECRET", "not for guests");
    command.arg(repository("tests/guests/argv.wat"));
    let odd = OsString::from_vec(b"\xff&=\n".to_vec());
    command.args(["", "--env"]).arg(odd);
    let output = output(command, b"");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let expected = b"argv\0\0--env\0\xff&=\n\0B=x=y\0CANARY=sings\0A=2\0E=\0";
    assert_eq!(
        output.stdout.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
}

#[test]
fn a_function_of_a_spec_runs_as_its_route_has_it() {
    let folder = Folder::new();
    let spec = json!([{"name": "t", "port": 1, "routes": [
        {"route": "/fib", "path": repository("functions/fib/fib.wasm")},
        {"route": "/limited", "path": repository("functions/fib/fib.wasm"), "cpu-limit-us": 1},
        {"route": "/small", "path": repository("functions/echo/echo.wasm"), "max-body-bytes": 2},
    ]}]);
    let spec = folder.write("spec.json", &spec.to_string());
    let check = |arguments: &[&str], stdin: &[u8], code, out: &str, err: &str| {
        let mut command = run(&["--spec"]);
        command.arg(&spec).args(arguments);
        let output = output(command, stdin);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            out,
            "{arguments:?}"
        );
        assert!(said.contains(err), "{arguments:?}: {said}");
    };
    check(&["/fib", "30"], b"", 0, "832040\n", "");
    check(&["/fib"], b"10", 0, "55\n", "");
    check(&["/limited", "45"], b"", 152, "", "--cpu-limit");
    check(&["--cpu-limit=20s", "/limited", "20"], b"", 0, "6765\n", "");
    check(&["/small"], b"abc", 3, "", "--stdin-max");
    check(&["/fibb"], b"", 3, "", "/fib");
    check(&["--tenant=s", "/fib"], b"", 3, "", "--tenant");
}

#[test]
fn what_is_wrong_is_said_by_flag_and_file() {
    let folder = Folder::new();
    let library = folder.write("library.wat", "(module (func (export \"f\")))");
    let import = folder.write(
        "import.wat",
        "(module (import \"env\" \"f\" (func)) (func (export \"_start\")))",
    );
    let text = folder.write("text.wasm", "hello");
    let name = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
    let fib = name(&repository("functions/fib/fib.wasm"));
    for (arguments, code, parts) in [
        (vec![], 2, vec!["MODULE"]),
        (vec!["--frobnicate", &fib], 2, vec!["--frobnicate"]),
        (
            vec!["/nonexistent/x.wasm"],
            3,
            vec!["/nonexistent/x.wasm", "No such file"],
        ),
        (vec![&*name(&library)], 3, vec!["library.wat", "_start"]),
        (vec![&*name(&import)], 3, vec!["import.wat", "env.f"]),
        (vec![&*name(&text)], 3, vec!["text.wasm", "magic"]),
        (
            vec!["--cpu-limit=5", "--env==", &fib],
            3,
            vec!["--cpu-limit", "such as 250us", "--env"],
        ),
        (
            vec!["--preemption=off", "--cpu-limit=5s", &fib],
            3,
            vec!["--preemption"],
        ),
        (
            vec!["--spec=/nonexistent.json", "/fib"],
            3,
            vec!["/nonexistent.json"],
        ),
        (vec!["--tenant=a", &fib], 2, vec!["--spec"]),
        (
            vec!["--dir=/nonexistent::/a", &fib],
            3,
            vec!["--dir", "/nonexistent", "No such file"],
        ),
        (
            vec!["--dir", &fib, &fib],
            3,
            vec!["--dir", "fib.wasm", "is no folder"],
        ),
        (
            vec!["--dir=/::/a", "--dir=/tmp::/a", &fib],
            3,
            vec!["--dir", "two folders as /a"],
        ),
        (
            vec!["--memory-max=64KiB", &*name(&folder.write("big.wat", BIG))],
            1,
            vec!["big.wat", "131072", "65536"],
        ),
    ] {
        let output = output(run(&arguments), b"");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{arguments:?}: {part} in {said}");
        }
    }
}

/// Starts with two pages.
const BIG: &str = "(module (memory (export \"memory\") 2) (func (export \"_start\")))";

/// A guest that opens `name` in its first directory, creating it if it must, and writes `hello` into it; its
/// exit code is the errno of opening.
fn creates(name: &str) -> String {
    format!(
        r#"(module {PRELUDE}
        (data (i32.const 64) "{name}")
        (func (export "_start") (local $errno i32)
          (local.set $errno (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const {})
            (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 128)))
          (if (local.get $errno) (then (call $exit (local.get $errno))))
          (call $hello (i32.load (i32.const 128)))))"#,
        name.len()
    )
}

#[test]
fn folders_are_seen_as_they_are_given() {
    const PERM: i32 = 63;
    const BADF: i32 = 8;
    let folder = Folder::new();
    let module = folder.write("guest.wat", &creates("new"));
    let host = folder.path("data");
    std::fs::create_dir(&host).expect("a folder can be made");
    let host = host.to_string_lossy();
    let new = folder.path("data/new");
    for (flags, code, is_made) in [
        (vec![], BADF, false),
        (vec![format!("--dir={host}::/d")], PERM, false),
        (vec![format!("--dir={host}::/d:ro")], PERM, false),
        (vec!["--scratch=/tmp".to_owned()], 0, false),
        (vec![format!("--dir={host}::/d:rw")], 0, true),
        (vec![format!("--dir={host}:rw")], 0, true),
    ] {
        let mut command = run(&[]);
        command.args(&flags).arg(&module);
        let output = output(command, b"");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {said}");
        assert_eq!(
            std::fs::read(&new).ok(),
            is_made.then(|| b"hello\n".to_vec()),
            "{flags:?}"
        );
        std::fs::remove_file(&new).ok();
    }
}

#[test]
fn what_was_written_before_a_signal_comes_out() {
    let folder = Folder::new();
    let guest = creates("ready").replace(
        "(call $hello (i32.load (i32.const 128)))",
        "(call $hello (i32.const 1)) (call $hello (i32.load (i32.const 128))) (loop $l (br $l))",
    );
    let module = folder.write("guest.wat", &guest);
    let mut command = run(&["--cpu-limit=60s"]);
    command
        .arg("--dir")
        .arg(format!("{}:rw", folder.path("").display()))
        .arg(module);
    command.stdout(Stdio::piped());
    let child = command.spawn().expect("the program can be run");
    wait_until("the guest has written", || {
        folder
            .path("ready")
            .metadata()
            .is_ok_and(|it| it.len() == 6)
    });
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-s", "INT", &pid]).status();
    assert!(sent.expect("kill can be run").success());
    let output = child.wait_with_output().expect("it is ours");
    assert_eq!(
        (output.status.code(), &*output.stdout),
        (Some(130), &b"hello\n"[..])
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut command = run(&[]);
    command.arg(repository("functions/echo/echo.wasm"));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be run");
    // Before there is any output: the guest starts at the end of its input.
    drop(child.stdout.take());
    let mut pipe = child.stdin.take().expect("piped");
    pipe.write_all(&[b'x'; 1 << 20]).expect("it reads all");
    drop(pipe);
    let output = child.wait_with_output().expect("it is ours");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn signals_end_a_guest_that_computes_and_one_that_sleeps() {
    let folder = Folder::new();
    let spins = folder.write(
        "spins.wat",
        "(module (func (export \"_start\") (loop $l (br $l))))",
    );
    let sleeps = folder.write("sleeps.wat", SLEEPS);
    for (module, signal, code) in [
        (&spins, "INT", 130),
        (&sleeps, "INT", 130),
        (&sleeps, "TERM", 143),
    ] {
        let mut command = run(&["--cpu-limit=60s"]);
        command.arg(module).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        let pid = child.id().to_string();
        wait_until("it handles signals", || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let caught =
                u64::from_str_radix(caught.expect("a line").trim(), 16).expect("hexadecimal");
            // The last of them; bit 0 is signal 1.
            caught & 1 != 0
        });
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.expect("kill can be run").success());
        let status = child.wait().expect("it is ours");
        assert_eq!(
            status.code(),
            Some(code),
            "{module:?} {:?}",
            status.signal()
        );
    }
}

/// Sleeps on the monotonic clock for a minute.
const SLEEPS: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 60000000000))
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))))"#;
