//! `luge serve`: settings, logs, signals, ports, and what the process holds on to.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::Command;

use serde_json::{Value, json};

use crate::client::{Client, get, post};
use crate::harness::{route, wait_until};
use crate::process::{Folder, Serving, free_port, logged, luge, spec};

fn serve(arguments: &[&str]) -> Serving {
    Serving::start(arguments, &[])
}

#[test]
fn sigterm_answers_what_is_under_way() {
    for signal in ["TERM", "INT", "HUP"] {
        let serving = serve(&[]);
        let (mut busy, mut idle) = (serving.client(), serving.client());
        assert_eq!(idle.get("/fib?10").text(), "55\n");
        busy.send(post("/sleep", &200_000_000_u64.to_le_bytes()));
        idle.barrier();
        serving.signal(signal);
        assert_eq!(busy.response().text(), "awake\n", "{signal}");
        idle.expect_end();
        let ended = serving.ended();
        assert_eq!(ended.code, Some(0), "{signal}: {}", ended.err);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let serving = serve(&["--drain-timeout=1h"]);
    let mut busy = serving.client();
    busy.send(post("/puppet", b"l"));
    serving.client().barrier();
    serving.signal("TERM");
    wait_until("it drains", || {
        Client::try_connect(serving.address()).is_err()
    });
    serving.signal("TERM");
    assert_eq!(serving.ended().code, Some(1));
    busy.expect_end();
}

#[test]
fn a_port_in_use_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let Err(ended) = Serving::start_at(port, &[], &[]) else {
        panic!("it serves");
    };
    assert_eq!(ended.code, Some(5), "{}", ended.err);
    assert!(ended.err.contains(&port.to_string()), "{}", ended.err);
}

#[test]
fn a_file_that_cannot_be_written_is_said() {
    let arguments = ["--access-log=/nonexistent/log"];
    let Err(ended) = Serving::start_at(free_port(), &arguments, &[]) else {
        panic!("it serves");
    };
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.err.contains("/nonexistent/log"), "{}", ended.err);
}

#[test]
fn a_killed_server_can_be_started_again_at_once() {
    let mut serving = serve(&[]);
    for _ in 0..3 {
        let mut busy = serving.client();
        assert_eq!(busy.get("/fib?10").text(), "55\n");
        busy.send(post("/puppet", b"l"));
        serving.client().barrier();
        let port = serving.address().port();
        serving.signal("KILL");
        assert_eq!(serving.ended().code, None);
        serving = match Serving::start_at(port, &[], &[]) {
            Ok(serving) => serving,
            Err(ended) => panic!("{}", ended.err),
        };
    }
    serving.stop();
}

#[test]
fn sledges_variables_are_understood() {
    let variables = [
        ("SLEDGE_SCHEDULER", "FIFO"),
        ("SLEDGE_NWORKERS", "2"),
        ("SLEDGE_QUANTUM_US", "700"),
        ("SLEDGE_DISABLE_PREEMPTION", "true"),
        ("LUGE_SPIN_US", "7"),
    ];
    let serving = Serving::start(&["--quantum-us=800"], &variables);
    assert_eq!(serving.client().get("/fib?10").text(), "55\n");
    let err = serving.stop();
    for row in [
        ["scheduler", "fifo", "SLEDGE_SCHEDULER"],
        ["workers", "2", "SLEDGE_NWORKERS"],
        ["quantum-us", "800", "--quantum-us"],
        ["preemption", "off", "SLEDGE_DISABLE_PREEMPTION"],
        ["spin-us", "7", "LUGE_SPIN_US"],
        // Unless it is told something else it is as the other.
        ["listener-spin-us", "7", "default"],
    ] {
        assert!(
            err.lines().any(|line| line.split_whitespace().eq(row)),
            "{row:?} in {err}"
        );
    }
}

#[test]
fn memory_for_bodies_is_a_setting() {
    let serving = serve(&["--max-bodies-bytes=1MiB"]);
    let mut client = serving.client();
    assert_eq!(client.post("/puppet", &[b'k'; 1 << 20]).text(), "ok\n");
    assert_eq!(client.post("/puppet", &[b'k'; (1 << 20) + 1]).status, 503);
    serving.stop();
}

/// What is asked in [`check_access_log`], by what the log says of it: method, path, query, status, length of
/// the answer.
const ASKED: [(&str, &str, &str, u16, u64); 4] = [
    ("GET", "/fib", "10", 200, 3),
    ("GET", "/none", "", 404, 10),
    ("POST", "/puppet", "", 500, 22),
    ("GET", "/fib", "3&x", 200, 2),
];

#[test]
fn the_access_log_has_a_line_for_each_answer() {
    check_access_log(
        "human",
        |line, (method, path, query, status, bytes), port| {
            let mark = if query.is_empty() { "" } else { "?" };
            let expected = [
                &*format!("one:{port}"),
                method,
                &*format!("{path}{mark}{query}"),
                &*status.to_string(),
                &*bytes.to_string(),
                "B,",
            ];
            let mut words: Vec<_> = line.split(' ').collect();
            assert!(humantime::parse_rfc3339(words[0]).is_ok(), "{line}");
            assert_eq!(words.remove(2), "127.0.0.1", "{line}");
            assert!(words.remove(2).starts_with('#'), "{line}");
            assert_eq!(words[1..7], expected, "{line}");
        },
    );
    check_access_log(
        "json",
        |line, (method, path, query, status, bytes), port| {
            let mut line: BTreeMap<String, Value> = serde_json::from_str(line).expect("JSON");
            let mut take = |key| line.remove(key).unwrap_or_else(|| panic!("no {key}"));
            let time = take("time");
            let time = humantime::parse_rfc3339(time.as_str().expect("text"));
            assert!(time.is_ok(), "{time:?}");
            assert!(take("request").is_u64() && take("preemptions").is_u64());
            let mut us = |key| take(key).as_f64().expect("a number");
            let parts = [
                "queued_us",
                "ran_us",
                "preempted_us",
                "blocked_us",
                "written_us",
            ];
            let parts = parts.map(&mut us);
            let [latency, received, host] = ["latency_us", "received_us", "host_us"].map(us);
            let ran = parts[1];
            // The parts lie one after the other within the whole; in floating point to a nanosecond.
            assert!(
                latency - parts.iter().sum::<f64>() > -0.001,
                "{latency} {parts:?}"
            );
            assert!(parts.iter().all(|us| *us >= 0.0) && received >= 0.0);
            assert!((0.0..=ran).contains(&host) && (host > 0.0) == (status != 404));
            assert_eq!((ran > 0.0, latency > 0.0), (status != 404, status != 404));
            for (key, value) in [
                ("tenant", Value::from("one")),
                ("port", port.into()),
                ("client", "127.0.0.1".into()),
                ("method", method.into()),
                ("path", path.into()),
                ("query", query.into()),
                ("status", status.into()),
                ("body_bytes", bytes.into()),
            ] {
                assert_eq!(take(key), value, "{key}");
            }
            assert_eq!(line, BTreeMap::new());
        },
    );
}

/// Asks for [`ASKED`], and checks each line of the log in this format, given the port.
fn check_access_log(format: &str, check: impl Fn(&str, (&str, &str, &str, u16, u64), u16)) {
    let folder = Folder::new();
    let access = format!("--access-log={}", folder.path("access").display());
    let serving = serve(&[&access, "--log-format", format]);
    let port = serving.address().port();
    let mut client = serving.client();
    for (method, path, query, status, bytes) in ASKED {
        let target = match query {
            "" => path.to_owned(),
            query => format!("{path}?{query}"),
        };
        let response = match method {
            "GET" => client.get(&target),
            _ => client.post(&target, b"u"),
        };
        assert_eq!(
            (response.status, response.body.len() as u64),
            (status, bytes)
        );
    }
    serving.stop();
    let lines = folder.read("access");
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), ASKED.len(), "{lines:?}");
    for (line, asked) in lines.into_iter().zip(ASKED) {
        check(line, asked, port);
    }
}

/// A function's failure is for its owner's eyes, not for the client's.
#[test]
fn failures_are_in_the_log() {
    let serving = serve(&["--log-format=json"]);
    let mut client = serving.client();
    for command in ["s", "e", "w", "v"] {
        client.post("/puppet", command.as_bytes());
    }
    let err = serving.stop();
    let one = |message: &str| match &logged(&err, message)[..] {
        [line] => line.clone(),
        lines => panic!("{message:?}: {lines:?} in {err}"),
    };
    let trapped = one("function needed more stack than its limit");
    assert_eq!(trapped["level"], "WARN");
    assert_eq!(trapped["route"], "one/puppet");
    assert!(
        trapped["trap"].to_string().contains("stack exhausted"),
        "{trapped:?}"
    );
    let frames = trapped["backtrace"].as_str().expect("text");
    let frames: Vec<_> = frames.split(", called by ").collect();
    assert!(
        frames.len() > 1 && frames.iter().all(|frame| frame.starts_with("deep")),
        "{frames:?}"
    );
    assert_eq!(one("function exited with a code other than 0")["code"], 3);
    one("function wrote more than its output limit");
    assert_eq!(one("function")["stderr"], "no");
    assert_eq!(one("drained")["requests"], 4);
}

/// Writes the request's body, at most 4 KiB, to standard error; then sleeps for ever if it begins with `s`.
const COMPLAINS: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  ;; 32: the body. 8192: a subscription to the monotonic clock, its timeout at 8216. 8256: the event.
  (memory (export "memory") 1)
  (data (i32.const 0) "\20\00\00\00\00\10\00\00")
  (data (i32.const 8208) "\01")
  (data (i32.const 8216) "\ff\ff\ff\ff\ff\ff\ff\ff")
  (func (export "_start")
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
    (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 16)))
    (if (i32.eq (i32.load8_u (i32.const 32)) (i32.const 115))
      (then (drop (call $poll_oneoff (i32.const 8192) (i32.const 8256) (i32.const 1) (i32.const 16)))))))"#;

/// Serves [`COMPLAINS`] at `/complain`, one at a time.
fn serve_complaints() -> Serving {
    let folder = Folder::new();
    folder.write("complains.wat", COMPLAINS);
    let port = free_port();
    let routes = [route("/complain", "complains.wat")];
    let spec = json!([{"name": "one", "port": port, "routes": routes}]);
    let path = folder.write("spec.json", &spec.to_string());
    let mut command = luge();
    command.arg("serve").arg(path);
    command.args(["--log-format=json", "--scheduler=fifo", "--workers=1"]);
    match Serving::of(command, "one", port) {
        Ok(serving) => serving,
        Err(ended) => panic!("{}", ended.err),
    }
}

/// What a function says on standard error is logged as far as it is little, whether its client waits or not.
#[test]
fn complaints_are_in_the_log() {
    const LINES_MAX: usize = 32;
    let serving = serve_complaints();
    let rows = [
        ("k", 1),
        ("k", LINES_MAX),
        ("k", LINES_MAX + 1),
        ("s", 40),
        ("k", 100),
    ];
    for (line, count) in rows {
        let mut client = serving.client();
        let complaint = format!("{line}\n").repeat(count);
        client.send(post("/complain", complaint.as_bytes()));
        if line == "k" {
            assert_eq!(client.response().status, 200);
        } else {
            // First in, first out: who comes later is answered when this one has said all and sleeps.
            let mut other = serving.client();
            other.barrier();
            assert_eq!(other.post("/complain", b"").status, 200);
            drop(client);
            other.barrier();
        }
    }
    let err = serving.stop();
    let mut expected = Vec::new();
    for (line, count) in rows {
        let lines = (0..count.min(LINES_MAX)).map(|_| json!({ "stderr": line }));
        expected.extend(lines);
        if count > LINES_MAX {
            expected.push(json!({"lines_left_out": count - LINES_MAX}));
        }
    }
    let said = |event: &BTreeMap<String, Value>| {
        let keys = ["stderr", "lines_left_out"];
        let said = keys.map(|key| Some((key.to_owned(), event.get(key)?.clone())));
        Value::Object(said.into_iter().flatten().collect())
    };
    let found: Vec<_> = logged(&err, "function").iter().map(said).collect();
    assert_eq!(found, expected);
}

/// Whoever reads JSON finds nothing else: not on standard error, and on standard output the access log alone.
#[test]
fn a_log_in_json_is_json_throughout() {
    for (access_log, lines) in [("--access-log=off", 0), ("--access-log=-", 2)] {
        let serving = serve(&["--log-format=json", "--workers=3", access_log]);
        let mut client = serving.client();
        client.post("/puppet", b"u");
        client.get("/fib?10");
        let ended = serving.stopped();
        for line in ended.err.lines() {
            assert!(
                serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()),
                "{line:?}"
            );
        }
        let settings = &logged(&ended.err, "settings")[0]["settings"];
        let settings: Value = serde_json::from_str(settings.as_str().expect("text")).expect("JSON");
        assert_eq!(settings["workers"], json!(["3", "--workers"]));
        assert_eq!(settings["scheduler"], json!(["rr", "default"]));
        assert_eq!(
            logged(&ended.err, "serving")[0]["routes"],
            "/fib /puppet /sleep"
        );
        let parse = |line: &String| serde_json::from_str::<Value>(line).expect("JSON");
        let asked: Vec<_> = ended.out.iter().map(parse).collect();
        let statuses: Vec<_> = asked.iter().map(|line| &line["status"]).collect();
        assert_eq!(statuses, [500, 200][..lines]);
    }
}

/// Clients that come all at once while the listener is busy wait in the backlog; were it too short, the kernel
/// would drop them, and each would try again a second later.
#[test]
fn a_crowd_may_knock_at_once() {
    let serving = serve(&[]);
    serving.signal("STOP");
    let mut crowd: Vec<_> = (0..400).map(|_| serving.client()).collect();
    crowd
        .iter_mut()
        .for_each(|client| client.send(get("/fib?10")));
    serving.signal("CONT");
    for client in &mut crowd {
        assert_eq!(client.response().text(), "55\n");
    }
    serving.stop();
}

/// With few descriptors there are few connections; the others are closed, and nothing else goes wrong. Who did
/// not ask for more is not warned.
#[test]
fn few_descriptors_are_few_connections() {
    for (arguments, is_told) in [
        (&[][..], false),
        (&["--connections-max=26"], false),
        (&["--connections-max=27"], true),
    ] {
        check_few_descriptors(arguments, is_told);
    }
}

fn check_few_descriptors(arguments: &[&str], is_told: bool) {
    let folder = Folder::new();
    let port = free_port();
    let path = folder.write("spec.json", &spec(port).to_string());
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 160; exec \"$0\" serve \"$@\""]);
    command
        .arg(luge().get_program())
        .arg(path)
        .arg("--workers=1")
        .args(arguments);
    let serving = match Serving::of(command, "one", port) {
        Ok(serving) => serving,
        Err(ended) => panic!("{}", ended.err),
    };
    for _ in 0..3 {
        let mut clients: Vec<_> = (0..100).map(|_| serving.client()).collect();
        let served = clients.iter_mut().filter_map(|client| {
            client.try_send(get("/fib?10")).ok()?;
            client.next()
        });
        // 160, less 128 for everything else and two for each of the three modules.
        assert_eq!(served.count(), 26);
        drop(clients);
        wait_until("there is room again", || {
            let mut client = serving.client();
            client.try_send(get("/fib?10")).is_ok() && client.next().is_some()
        });
    }
    let err = serving.stop();
    assert_eq!(err.contains("ulimit -n"), is_told, "{arguments:?}: {err}");
}

/// Thousands of connections come and go: the process holds as many descriptors as before.
#[test]
fn no_descriptor_is_lost() {
    const AT_ONCE: usize = 250;
    let serving = serve(&["--scheduler=rr"]);
    // A module's image is opened when the module first runs.
    let mut first = serving.client();
    assert_eq!(first.get("/fib?10").status, 200);
    assert_eq!(first.get("/puppet").status, 200);
    let before = serving.descriptors();
    for round in 0..8 {
        let mut clients: Vec<_> = (0..AT_ONCE).map(|_| serving.client()).collect();
        for (at, client) in clients.iter_mut().enumerate() {
            match (at + round) % 5 {
                0 => {}
                1 => client.send("GET /fi"),
                2 if at < 20 => client.send(post("/puppet", b"l")),
                2 | 3 => client.send(get("/fib?10")),
                _ => assert_eq!(client.get("/fib?10").status, 200),
            }
        }
        assert!(serving.descriptors() >= before + AT_ONCE / 2);
    }
    wait_until("all descriptors are closed", || {
        serving.descriptors() == before
    });
    assert_eq!(first.get("/fib?10").text(), "55\n");
    serving.stop();
}

/// Without a spec it serves the examples and says what to try.
#[test]
fn the_demo_needs_nothing() {
    // Its port is fixed, and may be taken: then that is what it says.
    match Serving::of(luge(), "demo", 10010) {
        Ok(serving) => {
            assert!(serving.line().starts_with("try:"));
            assert_eq!(serving.client().get("/fib?30").text(), "832040\n");
            serving.stop();
        }
        Err(ended) => {
            assert_eq!(ended.code, Some(5), "{}", ended.err);
            assert!(ended.err.contains("10010"), "{}", ended.err);
        }
    }
}
