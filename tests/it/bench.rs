//! `luge bench` against servers whose delays and faults are known: that it charges the server for what it did, and names
//! all that went wrong.
//!
//! Of times only what holds on any machine is asserted: that they are not less than what the server took.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::wait_until;
use crate::process::{Folder, Said, Serving, luge, run};
use crate::stub::{Reply, Stub, take};

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// Runs it to its end; its JSON. With nothing said about the rate, 20 requests at once.
fn bench(arguments: &[&str]) -> (Said, Value) {
    let usual = [
        "bench",
        "--json",
        "-",
        "--warmup",
        "0",
        "--requests",
        "20",
        "--connections",
        "2",
    ];
    let usual: &[&str] = match arguments.contains(&"--requests") {
        true => &usual[..5],
        false => &usual,
    };
    let rate: &[&str] = match arguments
        .iter()
        .any(|flag| ["--rate", "--closed", "--arrivals"].contains(flag))
    {
        true => &[],
        false => &["--rate", "1000"],
    };
    let said = run([usual, rate, arguments].concat());
    let json = serde_json::from_str(&said.out);
    let json = json.unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.err));
    (said, json)
}

fn all(json: &Value) -> &Value {
    &json["targets"][0]
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// 20 requests to `stub`: how many are right, and how the others failed.
fn check(stub: &Stub, arguments: &[&str], right: u64, failures: Value) {
    let url = stub.url("/");
    let (said, json) = bench(&[arguments, &[&url]].concat());
    let all = all(&json);
    assert_eq!(
        (&all["right"], &all["failures"]),
        (&json!(right), &failures),
        "{arguments:?}"
    );
    assert_eq!(all["requests"], 20, "{arguments:?}");
    let code = if right == 20 { 0 } else { 1 };
    assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
}

#[test]
fn every_form_of_an_answer_is_read() {
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
    // the answer, whether the connection stays, how it is given
    type Give = fn(Vec<u8>) -> Reply;
    let rows: [(&[u8], bool, Give); 8] = [
        (HELLO, true, Reply::Whole),
        (HELLO, true, Reply::Drip),
        (chunked, true, Reply::Whole),
        (chunked, true, Reply::Drip),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            true,
            Reply::Whole,
        ),
        (
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
            false,
            Reply::Last,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", false, Reply::Last),
        (
            b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            false,
            Reply::Whole,
        ),
    ];
    for (answer, stays, give) in rows {
        let stub = Stub::start(move |_| give(answer.to_vec()));
        for expected in [
            &["--expect-body", "hello"][..],
            &["--expect-length", "5"],
            &[
                "--expect-sha256",
                "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            ],
        ] {
            let before = stub.connections();
            check(
                &stub,
                &[expected, &["--connections", "1", "--requests", "20"]].concat(),
                20,
                json!({}),
            );
            let used = stub.connections() - before;
            assert_eq!(
                used,
                if stays { 1 } else { 20 },
                "{}",
                String::from_utf8_lossy(answer)
            );
        }
    }
}

#[test]
fn a_connection_for_each_request_on_demand() {
    let stub = Stub::always(HELLO);
    check(&stub, &["--no-keep-alive"], 20, json!({}));
    // One of the two that were opened ahead may be left over.
    assert!(
        (20..=21).contains(&stub.connections()),
        "{}",
        stub.connections()
    );
}

#[test]
fn a_name_may_have_addresses_where_nobody_listens() {
    // Where localhost is ::1, too, that is tried first.
    let stub = Stub::always(HELLO);
    let url = format!("http://localhost:{}/", stub.address.port());
    let (said, json) = bench(&[&url]);
    assert_eq!(
        (said.code, number(&all(&json)["right"])),
        (Some(0), 20),
        "{json}"
    );
}

#[test]
fn every_failure_has_its_name() {
    let rows: [(&[u8], &[&str], &str); 8] = [
        (
            b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            &[],
            "wrong_status",
        ),
        (HELLO, &["--expect-status", "404"], "wrong_status"),
        (HELLO, &["--expect-body", "hallo"], "wrong_body"),
        (HELLO, &["--expect-length", "6"], "wrong_body"),
        (HELLO, &["--expect-sha256", &"0".repeat(64)], "wrong_body"),
        (b"SSH-2.0-OpenSSH\r\n", &[], "malformed"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!",
            &[],
            "malformed",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello??",
            &[],
            "malformed",
        ),
    ];
    for (answer, arguments, failure) in rows {
        let answer = answer.to_vec();
        let stub = Stub::start(move |_| Reply::Whole(answer.clone()));
        check(&stub, arguments, 0, json!({failure: 20}));
    }
    let early: [&[u8]; 2] = [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"];
    for answer in early {
        let stub = Stub::start(move |_| Reply::Last(answer.to_vec()));
        check(&stub, &[], 0, json!({"closed_early": 20}));
    }
}

#[test]
fn wrong_answers_among_right_ones_are_counted() {
    let stub = Stub::start(|asked| {
        let right = asked.nth % 4 != 0;
        Reply::Whole(
            if right {
                HELLO
            } else {
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhallo"
            }
            .to_vec(),
        )
    });
    check(
        &stub,
        &["--expect-body", "hello"],
        15,
        json!({"wrong_body": 5}),
    );
}

#[test]
fn reset_connections_are_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it has an address");
    // A socket that is closed with bytes that nobody read is reset.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("there is memory");
            stream.read_exact(&mut [0]).ok();
        }
    });
    let url = format!("http://{address}/");
    let (said, json) = bench(&["--connections", "1", "--requests", "20", &url]);
    assert_eq!(all(&json)["failures"], json!({"reset": 20}));
    assert_eq!(said.code, Some(1));
}

#[test]
fn refused_connections_are_counted() {
    let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    let stub = Stub::start(|_| Reply::Farewell(answer.to_vec()));
    let arguments = ["--connections", "1", "--requests", "20"];
    check(&stub, &arguments, 1, json!({"refused": 19}));
    // Where nobody listens at all there is no run.
    let url = stub.url("/");
    let said = run(["bench", "--rate", "10", &url]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains(&stub.address.to_string()) && said.err.contains("refused"),
        "{}",
        said.err
    );
}

#[test]
fn who_waits_in_vain_is_counted() {
    let folder = Folder::new();
    // All at the same time: one is sent, and when it is given up, so are all that wait behind it.
    let trace = folder.write("trace.csv", &format!("seconds\n{}", "0.01\n".repeat(20)));
    let stub = Stub::start(|_| Reply::Silence);
    let arrivals = format!("trace:{}", trace.display());
    let arguments = [
        "--arrivals",
        &arrivals,
        "--timeout",
        "100ms",
        "--connections",
        "1",
        "--requests",
        "20",
    ];
    check(
        &stub,
        &arguments,
        0,
        json!({"timeout": 1, "never_sent": 19}),
    );
    let url = stub.url("/");
    let (_, json) = bench(&[&arguments[..], &[&url]].concat());
    let latency = &all(&json)["latency_ns"];
    assert_eq!(latency["count"], 20, "given up is not left out");
    assert!(number(&latency["p50"]["value"]) >= 100_000_000, "{latency}");
}

#[test]
fn a_constant_delay_is_the_least_latency() {
    let delay = Duration::from_millis(20);
    let stub = Stub::start(move |_| {
        take(delay);
        Reply::Whole(HELLO.to_vec())
    });
    let url = stub.url("/");
    for arguments in [
        &["--closed"][..],
        &["--rate", "50"],
        &["--rate", "50", "--arrivals", "constant"],
    ] {
        let (_, json) = bench(&[arguments, &[&url]].concat());
        for times in ["latency_ns", "since_sent_ns"] {
            let p50 = &all(&json)[times]["p50"];
            assert!(number(&p50["value"]) >= 20_000_000, "{arguments:?}: {p50}");
            assert!(number(&p50["low"]) >= 19_900_000, "{arguments:?}: {p50}");
        }
    }
}

/// A server that stands still once, for half a second.
fn stalls_once() -> Stub {
    let one_at_a_time = Mutex::new(0);
    Stub::start(move |_| {
        let mut count = one_at_a_time.lock().expect("nobody panics with it");
        *count += 1;
        if *count == 100 {
            take(Duration::from_millis(500));
        }
        Reply::Whole(HELLO.to_vec())
    })
}

#[test]
fn a_stall_is_charged_to_all_who_would_have_come_meanwhile() {
    // Of 1200 requests, 200 are meant to be sent in the first half of the stall: each waits for a quarter of a second
    // or more. A tenth of all is less than that.
    let stub = stalls_once();
    let open = [
        "--rate",
        "800",
        "--arrivals",
        "constant",
        "--requests",
        "1200",
        "--connections",
        "8",
    ];
    let (_, json) = bench(&[&open[..], &[&stub.url("/")]].concat());
    let latency = &all(&json)["latency_ns"];
    for percentile in ["p90", "p99"] {
        assert!(
            number(&latency[percentile]["value"]) >= 250_000_000,
            "{latency}"
        );
    }
    assert!(number(&json["generator"]["waited_for_connection_ns"]["count"]) >= 190);

    // A client that waits for its answer before it sends again does not see it: one request of all is slow.
    let stub = stalls_once();
    let closed = [
        "--closed",
        "--requests",
        "1200",
        "--connections",
        "1",
        "--duration",
        "1m",
    ];
    let (_, json) = bench(&[&closed[..], &[&stub.url("/")]].concat());
    let latency = &all(&json)["latency_ns"];
    assert!(number(&latency["max"]) >= 499_000_000, "{latency}");
    assert!(
        number(&latency["p99"]["value"]) < number(&latency["max"]),
        "{latency}"
    );
}

#[test]
fn many_targets_from_a_file() {
    let (one, two) = (
        Stub::always(HELLO),
        Stub::start(|asked| {
            let right = asked.line == "PUT /b HTTP/1.1" && asked.body == b"body";
            Reply::Whole(
                if right {
                    HELLO
                } else {
                    b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"
                }
                .to_vec(),
            )
        }),
    );
    let folder = Folder::new();
    folder.write("body", "body");
    let targets = json!([
        {"url": one.url("/a?b"), "name": "often, \"a\"", "weight": 9, "expect-body": "hello"},
        {"url": two.url("/b"), "method": "PUT", "body-file": "body", "headers": {"X-A": "b"}, "expect-length": 5},
    ]);
    let targets = folder.write("targets.json", &targets.to_string());
    let paths =
        ["csv", "hgrm", "hlog"].map(|name| folder.path(name).to_string_lossy().into_owned());
    let counts = || {
        let (said, json) = bench(&[
            "--rate",
            "2000",
            "--requests",
            "400",
            "--targets",
            &targets.to_string_lossy(),
            "--csv",
            &paths[0],
            "--hgrm",
            &paths[1],
            "--hlog",
            &paths[2],
        ]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        let names = [0, 1, 2].map(|row| json["targets"][row]["name"].clone());
        assert_eq!(names, ["all", "often, \"a\"", "/b"]);
        [0, 1, 2].map(|row| number(&json["targets"][row]["right"]))
    };
    let first = counts();
    assert_eq!(first[0], 400);
    assert_eq!(first[1] + first[2], 400);
    assert!((20..=60).contains(&first[2]), "a tenth: {first:?}");
    assert_eq!(counts(), first, "the same seed chooses the same targets");
    assert_eq!(one.requests() + two.requests(), 800);

    check_files(&folder);
}

/// The files of 400 requests to two targets.
fn check_files(folder: &Folder) {
    let csv = folder.read("csv");
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(rows.len(), 4);
    assert!(
        rows[1].starts_with("all,poisson,2000,") && rows[2].starts_with("\"often, \"\"a\"\"\","),
        "{csv}"
    );
    assert!(
        folder
            .read("hgrm")
            .contains("Total count    =          400")
    );
    let log = folder.read("hlog");
    for tag in ["", "Tag=often__\"a\",", "Tag=/b,"] {
        let mut lines = log.lines().filter(|line| line.contains("HISTFAAAA"));
        let found = match tag {
            "" => lines.any(|line| line.starts_with(|char: char| char.is_ascii_digit())),
            tag => lines.any(|line| line.starts_with(tag)),
        };
        assert!(found, "{tag}: {log}");
    }
}

#[test]
fn large_bodies_go_both_ways() {
    let stub = Stub::start(|asked| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            asked.body.len()
        );
        Reply::Whole([head.as_bytes(), &asked.body].concat())
    });
    let body = "0123456789abcdef".repeat(1 << 18);
    let folder = Folder::new();
    let targets = json!([{"url": stub.url("/"), "body": body, "expect-body": body}]);
    let targets = folder.write("targets.json", &targets.to_string());
    let (said, json) = bench(&["--targets", &targets.to_string_lossy()]);
    assert_eq!(
        (said.code, number(&all(&json)["right"])),
        (Some(0), 20),
        "{json}"
    );
    assert_eq!(all(&json)["body_bytes"], 20 << 22);
    assert_eq!(stub.connections(), 2, "both are kept");
}

#[test]
fn an_interruption_prints_what_there_is() {
    let stub = Stub::start(|asked| match asked.nth {
        ..=50 => Reply::Whole(HELLO.to_vec()),
        _ => Reply::Silence,
    });
    let mut command = luge();
    command.args([
        "bench",
        "--rate",
        "500",
        "--duration",
        "10m",
        "--warmup",
        "0",
        "--json",
        "-",
        &stub.url("/"),
    ]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let child = command.spawn().expect("the program can be run");
    wait_until("enough was sent", || stub.requests() >= 60);
    let killed = std::process::Command::new("kill")
        .args(["-s", "INT", &child.id().to_string()])
        .status();
    assert!(killed.expect("kill can be run").success());
    let output = child.wait_with_output().expect("it ends");
    let json: Value = serde_json::from_slice(&output.stdout).expect("it says JSON");
    assert_eq!(
        (output.status.code(), &json["interrupted"]),
        (Some(1), &json!(true))
    );
    let all = all(&json);
    assert_eq!(all["right"], 50);
    let failures = &all["failures"];
    let never_sent = failures["never_sent"].as_u64().unwrap_or(0);
    assert!(number(&failures["unanswered"]) >= 10, "{failures}");
    assert_eq!(
        number(&all["requests"]),
        50 + number(&failures["unanswered"]) + never_sent
    );
}

#[test]
fn its_verdicts_on_itself_are_told() {
    let stub = Stub::always(HELLO);
    let (_, json) = bench(&["--rate", "2000", "--requests", "1000", &stub.url("/")]);
    let generator = &json["generator"];
    assert_eq!(generator["lag_ns"]["count"], 1000);
    assert!(generator["gaps"]["poisson"].is_boolean(), "{generator}");
    assert_eq!(generator["gaps"]["tested"], 999);
    let (_, json) = bench(&["--closed", "--requests", "100", &stub.url("/")]);
    assert_eq!(
        (&json["generator"]["valid"], &json["generator"]["gaps"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn the_table_is_for_people() {
    let stub = Stub::always(HELLO);
    let said = run([
        "bench",
        "--rate",
        "1000",
        "--requests",
        "100",
        "--warmup",
        "0",
        "--seed",
        "3",
        &stub.url("/"),
    ]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    for part in [
        "poisson arrivals at 1000/s",
        "seed 3",
        "p99.99",
        "n/a",
        "since the send",
        "200: 100",
        "generator's lag",
        "Kolmogorov-Smirnov",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let folder = Folder::new();
    let targets = folder.write(
        "targets.json",
        r#"[{"url": "http://127.0.0.1:1/", "weight": -1}, {"url": "nowhere", "methode": "GET"}, {"url": "ftp://a/"}]"#,
    );
    let targets = targets.to_string_lossy().into_owned();
    let rows: &[(&[&str], i32, &[&str])] = &[
        (
            &["--targets", &targets, "--warmup", "1h"],
            3,
            &[
                "$[0].weight: -1.0",
                "$[1]: unknown field `methode`",
                "$[2].url: \"ftp://a/\"",
                "--rate: there is none",
                "--warmup",
            ],
        ),
        (&[], 3, &["URL: there is none", "--rate: there is none"]),
        (
            &["--closed", "https://127.0.0.1/", "--header", "x"],
            3,
            &["TLS", "--header: \"x\" is not right; NAME: VALUE would be"],
        ),
        (
            &["--arrivals", "trace:/nowhere.csv", "http://127.0.0.1/"],
            3,
            &["--arrivals: /nowhere.csv: No such file"],
        ),
        (
            &["--rate", "0", "http://127.0.0.1/"],
            2,
            &["--rate", "from 0.001"],
        ),
        (
            &["--rate", "1", "--arrivals", "uniform", "http://127.0.0.1/"],
            2,
            &["--arrivals", "poisson, constant, bursts"],
        ),
        (
            &["--rate", "1", "--duration", "soon", "http://127.0.0.1/"],
            2,
            &["--duration", "such as 250us"],
        ),
        (
            &["--rate", "1", "--closed", "http://127.0.0.1/"],
            2,
            &["cannot be used with"],
        ),
    ];
    for (arguments, code, parts) in rows {
        let said = run([&["bench"], *arguments].concat());
        assert_eq!(said.code, Some(*code), "{arguments:?}: {}", said.err);
        for part in *parts {
            assert!(said.err.contains(part), "{part}: {}", said.err);
        }
    }
}

#[test]
fn luge_answers_its_own_load_generator() {
    let serving = Serving::start(&["--workers", "1"], &[]);
    let url = format!("http://{}/fib?10", serving.address());
    let (said, json) = bench(&[
        "--rate",
        "200",
        "--requests",
        "100",
        "--expect-body",
        "55\n",
        &url,
    ]);
    assert_eq!(
        (said.code, number(&all(&json)["right"])),
        (Some(0), 100),
        "{json}"
    );
    serving.stop();
}
