//! Limits of a route: each ends the sandbox at once, with its status, its line in the log and its counter. And
//! what is told of it: all of it to the log, none to the client unless the route is in development.

use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::hostile::serve;
use crate::process::{Folder, logged};

/// A function that comes to an end of its own kind.
struct End {
    name: &'static str,
    /// What the module has beside `_start`, which loops after `body`: it has to be ended, and at once.
    items: &'static str,
    body: &'static str,
    keys: Value,
    status: u16,
    message: &'static str,
    counter: &'static str,
    /// What the log says of the cause; of a limit that is no fault at a place, nothing.
    trap: &'static str,
}

const DEEP: &str = "(func $deep (param i64) (result i64)
    (i64.add (call $deep (local.get 0)) (call $deep (i64.const 1))))";

#[rustfmt::skip]
fn ends() -> Vec<End> {
    let none = || json!({});
    let soon = |action: &str, us: u32| json!({"relative-deadline-us": us, "deadline-action": action});
    vec![
        End { name: "cpu", items: "", body: "", keys: json!({"cpu-limit-us": 20_000}), status: 500,
            message: "function used up its CPU limit", counter: "cpu_limit", trap: "" },
        End { name: "deadline", items: "", body: "", keys: soon("kill", 20_000), status: 504,
            message: "function was not done by its deadline", counter: "deadline", trap: "" },
        End { name: "unstarted", items: "", body: "", keys: soon("drop-unstarted", 1), status: 503,
            message: "request had not begun by its deadline", counter: "unstarted", trap: "" },
        End { name: "memory", items: "(memory 1)", body: "(drop (memory.grow (i32.const 2)))",
            keys: json!({"max-memory-bytes": 131_072}), status: 500,
            message: "function needed more memory than its limit", counter: "memory_limit",
            trap: "memory of 196608 bytes wanted, the limit is 131072" },
        End { name: "table", items: "(table 1 funcref)", body: "(drop (table.grow (ref.null func) (i32.const 20000)))",
            keys: none(), status: 500,
            message: "function needed a larger table than its limit", counter: "table_limit",
            trap: "table of 20001 elements wanted, the limit is 20000" },
        End { name: "stack", items: DEEP, body: "(drop (call $deep (i64.const 0)))", keys: none(), status: 500,
            message: "function needed more stack than its limit", counter: "stack_limit",
            trap: "wasm trap: call stack exhausted" },
        End { name: "output", items: "", body: "(loop $more (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))) (br $more))",
            keys: none(), status: 500,
            message: "function wrote more than its output limit", counter: "output_limit", trap: "" },
        End { name: "trap", items: "", body: "unreachable", keys: none(), status: 500,
            message: "function trapped", counter: "traps", trap: "wasm trap: wasm `unreachable` instruction executed" },
        End { name: "code", items: "", body: "(call $exit (i32.const 3))", keys: none(), status: 500,
            message: "function exited with a code other than 0", counter: "exit_codes", trap: "" },
        End { name: "output-of-no-kind", items: "", body: "(call $exit (i32.const 0))", keys: json!({"abi": "wagi"}),
            status: 502, message: "function wrote no CGI response", counter: "not_cgi", trap: "" },
    ]
}

impl End {
    fn wat(&self) -> String {
        let End { items, body, .. } = self;
        let memory = match items.contains("(memory") {
            true => "",
            // A vector of 64 KiB at 8.
            false => {
                r#"(memory (export "memory") 1) (data (i32.const 8) "\00\00\00\00\00\00\01\00")"#
            }
        };
        format!(
            r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            {memory} {items}
            (func $ends {body} (loop $for_ever (br $for_ever)))
            (func (export "_start") (call $ends)))"#
        )
    }

    /// Its route, and the same in development.
    fn routes(&self, folder: &Folder) -> [Value; 2] {
        let path = folder.write(&format!("{}.wat", self.name), &self.wat());
        [("", false), ("/debug", true)].map(|(below, debug)| {
            let mut route = self.keys.clone();
            route["route"] = json!(format!("/{}{below}", self.name));
            route["path"] = json!(path);
            route["debug"] = json!(debug);
            route
        })
    }
}

#[test]
fn each_limit_has_its_status_its_log_line_and_its_counter() {
    for preemption in ["signal", "epoch"] {
        let ends = ends();
        let folder = Folder::new();
        let routes: Vec<_> = ends.iter().flat_map(|end| end.routes(&folder)).collect();
        let preemption = format!("--preemption={preemption}");
        let arguments = [
            "--workers=1",
            "--log-format=json",
            "--cache-dir=off",
            &preemption,
        ];
        let serving = serve(&routes, &arguments);
        let mut client = serving.client();
        let mut reports = Vec::new();
        for end in &ends {
            plain(&mut client, end);
            reports.push(told(&mut client, end));
        }
        drop(client);
        let log = serving.stop();
        for (end, report) in ends.iter().zip(reports) {
            check_log(&log, end, &report);
        }
        let all = &logged(&log, "functions that did not end well")[0];
        for end in &ends {
            assert_eq!(all[end.counter], 2, "{} in {all:?}", end.counter);
        }
    }
}

/// The client learns no more than that it failed.
fn plain(client: &mut Client, end: &End) {
    let response = client.get(&format!("/{}", end.name));
    let phrase = match end.status {
        502 => "Bad Gateway\n",
        503 => "Service Unavailable\n",
        504 => "Gateway Timeout\n",
        _ => "Internal Server Error\n",
    };
    assert_eq!(
        (response.status, response.text()),
        (end.status, phrase),
        "{}",
        end.name
    );
    check_fields(&response, end);
}

/// The client of a route in development is told.
fn told(client: &mut Client, end: &End) -> String {
    let response = client.get(&format!("/{}/debug", end.name));
    assert_eq!(response.status, end.status, "{}", end.name);
    check_fields(&response, end);
    let report = response.text().to_owned();
    assert!(report.starts_with(end.message), "{report}");
    assert!(report.contains(end.trap), "{report}");
    report
}

fn check_fields(response: &Response, end: &End) {
    assert_eq!(response.field("Content-Type"), Some("text/plain"));
    let retry = (end.status == 503).then_some("1");
    assert_eq!(response.field("Retry-After"), retry, "{}", end.name);
    assert!(!response.closes(), "{}", end.name);
}

/// Both requests have their line, with all that the report says.
fn check_log(log: &str, end: &End, report: &str) {
    let lines = logged(log, end.message);
    let route = |line: &std::collections::BTreeMap<String, Value>| line["route"].clone();
    let routes: Vec<_> = lines.iter().map(route).collect();
    let expected = ["", "/debug"].map(|below| format!("one/{}{below}", end.name));
    assert_eq!(routes, expected, "{report}");
    let line = &lines[1];
    let number = format!("\nrequest {}\n", line["request"]);
    assert!(report.ends_with(&number), "{report}");
    if end.trap.is_empty() {
        return;
    }
    assert_eq!(line["trap"], end.trap);
    let backtrace = line["backtrace"].as_str().expect("a text");
    let frames: Vec<_> = backtrace.split(", called by ").collect();
    let told: Vec<_> = report
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .collect();
    assert_eq!(frames, told);
    let innermost = if end.name == "stack" { "deep" } else { "ends" };
    assert!(frames[0].starts_with(innermost), "{backtrace}");
    // A function that finds no stack has not come to any place in it.
    let places = frames.iter().filter(|frame| frame.contains(" at 0x"));
    let expected = frames.len() - usize::from(end.name == "stack");
    assert!(
        frames.len() >= 2 && places.count() == expected,
        "{backtrace}"
    );
}
