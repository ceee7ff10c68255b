//! Guests that mean no good, while a good function is called beside them on the same worker: it gets every answer
//! right, they get what they deserve, and the server ends in order.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::client::get;
use crate::process::{Folder, Serving, logged, luge, run};

#[path = "../../sandbox/tests/it/proposals.rs"]
mod proposals;

/// What becomes of a hostile guest, as the log says it.
const CPU: &str = "function used up its CPU limit";
const MEMORY: &str = "function needed more memory than its limit";
const STACK: &str = "function needed more stack than its limit";
const OUTPUT: &str = "function wrote more than its output limit";
const TRAP: &str = "function trapped";

/// More than 1 GiB of memory, in pages.
const LARGE: &str = r#"(memory (export "memory") 16385)"#;
const SMALL: &str = r#"(memory (export "memory") 1)"#;

/// Name, memory, further items, the body of `_start`, the end.
type Hostile = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

#[rustfmt::skip]
const HOSTILE: &[Hostile] = &[
    ("empty-loop", SMALL, "", "(loop $l (br $l))", CPU),
    ("arithmetic", SMALL, "(global $n (mut i64) (i64.const 1))",
        "(loop $l (global.set $n (i64.mul (global.get $n) (i64.const 6364136223846793005))) (br $l))", CPU),
    ("division", SMALL, "(global $x (mut f64) (f64.const 1))",
        "(loop $l (global.set $x (f64.sqrt (f64.div (global.get $x) (f64.const 3)))) (br $l))", CPU),
    ("vectors", SMALL, "(global $v (mut v128) (v128.const i64x2 1 2))",
        "(loop $l (global.set $v (i64x2.add (global.get $v) (global.get $v))) (br $l))", CPU),
    ("memory-bound", r#"(memory (export "memory") 1024)"#, "(global $at (mut i32) (i32.const 0))",
        "(loop $l
           (i64.store (i32.and (global.get $at) (i32.const 0x3ffffc0)) (i64.load (global.get $at)))
           (global.set $at (i32.and (i32.add (global.get $at) (i32.const 4160)) (i32.const 0x3ffffc0)))
           (br $l))", CPU),
    ("br-table", SMALL, "(global $n (mut i32) (i32.const 0))",
        "(loop $l
           (global.set $n (i32.add (global.get $n) (i32.const 1)))
           (block $c (block $b (block $a (br_table $a $b $c $l (i32.and (global.get $n) (i32.const 3)))) (br $l)) (br $l))
           (br $l))", CPU),
    ("indirect", SMALL, "(table 2 funcref) (elem (i32.const 0) $f $g) (func $f) (func $g)
        (global $n (mut i32) (i32.const 0))",
        "(loop $l
           (global.set $n (i32.xor (global.get $n) (i32.const 1)))
           (call_indirect (global.get $n)) (br $l))", CPU),
    ("tail-calls", SMALL, "(func $ping (param i64) (return_call $pong (local.get 0) (local.get 0)))
        (func $pong (param i64 i64) (return_call $ping (local.get 1)))", "(call $ping (i64.const 7))", CPU),
    ("indirect-tail-calls", SMALL, "(table 1 funcref) (elem (i32.const 0) $f)
        (func $f (return_call_indirect (i32.const 0)))", "(call $f)", CPU),
    ("calls-that-return", SMALL, "(func $fib (param i32) (result i32)
          (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
            (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1))) (call $fib (i32.sub (local.get 0) (i32.const 2)))))))",
        "(drop (call $fib (i32.const 90)))", CPU),
    ("fill", LARGE, "", "(loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x40000000)) (br $l))", CPU),
    ("copy", LARGE, "",
        "(loop $l (memory.copy (i32.const 1) (i32.const 0) (i32.const 0x40000000)) (br $l))", CPU),
    ("small-fills", SMALL, "", "(loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br $l))", CPU),
    ("table-fills", SMALL, "(table 20000 funcref)",
        "(loop $l (table.fill (i32.const 0) (ref.null func) (i32.const 20000)) (br $l))", CPU),
    ("table-copies", SMALL, "(table $t 20000 funcref) (elem (table $t) (i32.const 7) func $f) (func $f)",
        "(loop $l (table.copy (i32.const 1) (i32.const 0) (i32.const 19999)) (br $l))", CPU),
    ("writes-nothing", SMALL, "",
        "(loop $l (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 16))) (br $l))", CPU),
    ("writes-10-gib", SMALL, r#"(data (i32.const 8) "\00\00\00\00\00\00\01\00")"#,
        "(loop $l (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16))) (br $l))", OUTPUT),
    ("writes-10-gib-to-stderr", SMALL, r#"(data (i32.const 8) "\00\00\00\00\00\00\01\00")"#,
        "(loop $l (drop (call $fd_write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 16))) (br $l))", CPU),
    ("reads-for-ever", SMALL, r#"(data (i32.const 8) "\00\00\00\00\00\00\01\00")"#,
        "(loop $l (drop (call $fd_read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 16))) (br $l))", CPU),
    ("random", LARGE, "",
        "(loop $l (drop (call $random_get (i32.const 0) (i32.const 0x40000000))) (br $l))", CPU),
    ("clock", SMALL, "",
        "(loop $l (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 8))) (br $l))", CPU),
    ("yields", SMALL, "", "(loop $l (drop (call $sched_yield)) (br $l))", CPU),
    ("polls", SMALL, "",
        // A subscription to the monotonic clock, which is past already.
        "(i32.store (i32.const 80) (i32.const 1))
         (loop $l (drop (call $poll_oneoff (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 256))) (br $l))", CPU),
    ("closes", SMALL, "(global $fd (mut i32) (i32.const 0))",
        "(loop $l
           (drop (call $fd_close (global.get $fd)))
           (drop (call $fd_renumber (i32.const 1) (i32.const 2)))
           (drop (call $fd_renumber (i32.const 2) (global.get $fd)))
           (drop (call $fd_renumber (global.get $fd) (i32.const -1)))
           (global.set $fd (i32.add (global.get $fd) (i32.const 1)))
           (br $l))", CPU),
    ("starts-for-ever", SMALL, "(func $first (loop $l (br $l))) (start $first)", "", CPU),
    ("starts-with-host-calls", SMALL, "(func $first
          (loop $l (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 16))) (br $l)))
          (start $first)", "", CPU),
    ("starts-deep", SMALL, "(func $first (drop (call $sched_yield)) (call $first) (call $first)) (start $first)", "", STACK),
    ("recursion", SMALL, "(func $deep (call $deep) (call $deep))", "(call $deep)", STACK),
    ("recursion-with-host-calls", SMALL, "(func $deep
          (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 8))) (call $deep) (call $deep))",
        "(call $deep)", STACK),
    ("grows", SMALL, "", "(loop $l (drop (memory.grow (i32.const 1))) (br $l))", MEMORY),
    ("grows-and-uses", SMALL, "",
        "(loop $l (memory.fill (i32.mul (memory.grow (i32.const 16)) (i32.const 65536)) (i32.const 1) (i32.const 0x100000)) (br $l))", MEMORY),
    ("grows-a-table", SMALL, "(table 1 funcref)",
        "(loop $l (drop (table.grow (ref.null func) (i32.const 100))) (br $l))", "function needed a larger table than its limit"),
    ("traps", SMALL, "", "unreachable", TRAP),
    ("raises", SMALL, "", "(loop $l (drop (call $proc_raise (i32.const 9))) (br $l))", TRAP),
    ("out-of-bounds", SMALL, "", "(memory.fill (i32.const 65535) (i32.const 1) (i32.const -1))", TRAP),
];

const IMPORTS: &[(&str, &str)] = &[
    ("clock_time_get", "i32 i64 i32"),
    ("fd_close", "i32"),
    ("fd_read", "i32 i32 i32 i32"),
    ("fd_renumber", "i32 i32"),
    ("fd_write", "i32 i32 i32 i32"),
    ("poll_oneoff", "i32 i32 i32 i32"),
    ("proc_raise", "i32"),
    ("random_get", "i32 i32"),
    ("sched_yield", ""),
];

fn wat((_, memory, items, body, _): &Hostile) -> String {
    let uses = |name: &str| body.contains(name) || items.contains(name);
    let imports: String = IMPORTS
        .iter()
        .filter(|(name, _)| uses(name))
        .map(|(name, params)| {
            format!(r#"(import "wasi_snapshot_preview1" "{name}" (func ${name} (param {params}) (result i32)))"#)
        })
        .collect();
    format!(r#"(module {imports} {memory} {items} (func (export "_start") {body}))"#)
}

fn route(folder: &Folder, hostile: &Hostile) -> Value {
    let (name, memory, _, _, end) = *hostile;
    let path = folder.write(&format!("{name}.wat"), &wat(hostile));
    let mut route = json!({"route": format!("/{name}"), "path": path, "cpu-limit-us": 20_000});
    if memory == LARGE {
        route["max-memory-bytes"] = json!(16_385 << 16);
    }
    // Who comes to another end may need longer to it on a slow machine.
    if end != CPU {
        route["cpu-limit-us"] = json!(10_000_000);
    }
    route
}

/// A server of these routes of one tenant, whose modules are at absolute paths.
pub fn serve(routes: &[Value], arguments: &[&str]) -> Serving {
    let folder = Folder::new();
    Serving::somewhere(|port| {
        let spec = json!([{"name": "one", "port": port, "routes": routes}]);
        let path = folder.write("spec.json", &spec.to_string());
        let mut command = luge();
        command.arg("serve").arg(path).args(arguments);
        command
    })
}

#[test]
fn a_good_function_does_not_notice_hostile_ones() {
    for preemption in ["--preemption=signal", "--preemption=epoch"] {
        let folder = Folder::new();
        let mut routes: Vec<_> = HOSTILE.iter().map(|it| route(&folder, it)).collect();
        let fib = crate::harness::repository("functions/fib/fib.wasm");
        routes.push(json!({"route": "/good", "path": fib}));
        let arguments = [
            "--workers=1",
            "--sandboxes-max=8",
            "--log-format=json",
            "--cache-dir=off",
            preemption,
        ];
        let serving = serve(&routes, &arguments);
        let mut good = serving.client();
        for (name, ..) in HOSTILE {
            let mut hostile: Vec<_> = (0..3).map(|_| serving.client()).collect();
            for client in &mut hostile {
                client.send(get(&format!("/{name}")));
            }
            for n in 0..10 {
                let response = good.get("/good?20");
                assert_eq!(
                    (response.status, response.text()),
                    (200, "6765\n"),
                    "{n} beside {name}"
                );
            }
            for mut client in hostile {
                let response = client.response();
                let answer = (response.status, response.text());
                assert_eq!(answer, (500, "Internal Server Error\n"), "{name}");
            }
        }
        drop(good);
        check_log(&serving.stop());
    }
}

/// Every hostile request has its line in the log, and no other.
fn check_log(log: &str) {
    let mut found = BTreeMap::new();
    for message in [
        CPU,
        MEMORY,
        STACK,
        OUTPUT,
        TRAP,
        "function needed a larger table than its limit",
    ] {
        for line in logged(log, message) {
            assert!(line["request"].as_u64() > Some(0), "{line:?}");
            let route = line["route"].as_str().expect("a text").to_owned();
            *found.entry((route, message)).or_insert(0) += 1;
        }
    }
    let expected: BTreeMap<_, _> = HOSTILE
        .iter()
        .map(|(name, .., message)| ((format!("one/{name}"), *message), 3))
        .collect();
    assert_eq!(found, expected);
}

/// Far more functions than anybody writes.
#[test]
fn a_huge_module_is_a_function_like_any_other() {
    let functions: String = (1..10_000)
        .map(|at| {
            format!(
                "(func $f{at} (result i32) (i32.add (call $f{}) (i32.const 1)))",
                at - 1
            )
        })
        .collect();
    let wat = format!(
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (func $f0 (result i32) (i32.const 0)) {functions}
        (func (export "_start") (call $exit (i32.sub (call $f100) (i32.const 100)))))"#
    );
    let folder = Folder::new();
    let path = folder.write("huge.wat", &wat);
    let serving = serve(
        &[json!({"route": "/", "path": path})],
        &["--workers=1", "--cache-dir=off"],
    );
    assert_eq!(serving.client().get("/").status, 200);
    serving.stop();
}

/// And the modules of others that ask for much, or for what takes long to set up, are told at once.
#[test]
fn a_route_gets_no_more_because_another_does() {
    let folder = Folder::new();
    let large = r#"(module (memory 5000) (func (export "_start")))"#;
    let large = folder.write("large.wat", large);
    let functions = "$f ".repeat(2001);
    let segment = |kind: &str| {
        let wat = format!(
            r#"(module (table 2001 funcref) (elem {kind} func {functions}) (func $f (export "_start")))"#
        );
        folder.write(&format!("{}.wat", kind.len()), &wat)
    };
    let passive = segment("");
    let computed = segment("(i32.add (i32.const 0) (i32.const 0))");
    let active = segment("(i32.const 0)");
    let routes = json!([
        {"route": "/0", "path": large, "max-memory-bytes": 5000 << 16},
        {"route": "/1", "path": large},
        {"route": "/2", "path": large, "max-memory-bytes": 4999 << 16},
        {"route": "/3", "path": active},
        {"route": "/4", "path": passive},
        {"route": "/5", "path": computed},
    ]);
    let memory = |limit: u64| {
        format!("needs 327680000 bytes of memory to start with, more than the limit of {limit}")
    };
    let elements =
        "has 2001 elements in segments that are set up for every request, more than 2000";
    let expected = [
        (1, memory(256 << 20)),
        (2, memory(4999 << 16)),
        (4, elements.to_owned()),
        (5, elements.to_owned()),
    ];
    let problems = check(&folder, &routes);
    for (at, text) in &expected {
        let at = json!(format!("$[0].routes[{at}].path"));
        let is_told = |problem: &&Value| problem["at"] == at && problem["problem"] == **text;
        assert!(
            problems.iter().any(|it| is_told(&it)),
            "{at} in {problems:#?}"
        );
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
}

/// The problems of a spec with these routes.
fn check(folder: &Folder, routes: &Value) -> Vec<Value> {
    let spec = json!([{"name": "one", "port": 8080, "routes": routes}]);
    let path = folder.write("spec.json", &spec.to_string());
    let said = run(["check".as_ref(), path.as_os_str(), "--format=json".as_ref()]);
    serde_json::from_str(&said.out).expect("JSON")
}

/// `luge check` says of every proposal what the sandbox says.
#[test]
fn proposals_are_told_apart_before_anything_is_served() {
    let folder = Folder::new();
    let mut routes = Vec::new();
    for (at, (_, wat, _)) in proposals::PROPOSALS.iter().enumerate() {
        let path = folder.write(&format!("{at}.wat"), wat);
        routes.push(json!({"route": format!("/{at}"), "path": path}));
    }
    let problems = check(&folder, &json!(routes));
    let refused: Vec<_> = proposals::PROPOSALS
        .iter()
        .enumerate()
        .filter_map(|(at, (name, _, refusal))| Some((at, *name, (*refusal)?)))
        .collect();
    assert_eq!(problems.len(), refused.len(), "{problems:#?}");
    for (problem, (at, name, refusal)) in problems.iter().zip(refused) {
        assert_eq!(problem["at"], format!("$[0].routes[{at}].path"), "{name}");
        let text = problem["problem"].as_str().expect("text");
        assert!(text.contains(refusal), "{name}: {text}");
    }
}
