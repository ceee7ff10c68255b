//! The admin endpoint: what it says of the server's life, and that neither its clients nor the server's load are in each
//! other's way.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use perf::event::What;
use perf::recording::Reader;
use serde_json::Value;

use crate::client::{Client, post};
use crate::harness::{Setup, route, wait_until};
use crate::process::{Folder, Serving, logged, spec};
use crate::scrape::scraped;

fn status(admin: std::net::SocketAddr, path: &str) -> u16 {
    Client::connect(admin).get(path).status
}

#[test]
fn pages_are_read_and_nothing_else() {
    let server = Setup::default().serve(&[route("/fib", "fib/fib.wasm")]);
    let endpoint = server.admin();
    let admin = endpoint.address();
    for (method, path, expected) in [
        ("GET", "/livez", 200),
        ("GET", "/readyz?verbose", 200),
        ("HEAD", "/readyz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/metrics/sledge", 200),
        ("HEAD", "/flight/trace", 200),
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/flight", 404),
        ("GET", "/fib", 404),
        ("POST", "/livez", 405),
        ("POST", "/flight/recording", 405),
        ("DELETE", "/metrics", 405),
        ("BREW", "/", 404),
    ] {
        let mut client = Client::connect(admin);
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = match method {
            "HEAD" => client.head().expect("an answer"),
            _ => client.response(),
        };
        assert_eq!(response.status, expected, "{method} {path}");
        assert!(response.closes());
        let allowed = (expected == 405).then_some("GET, HEAD");
        assert_eq!(response.field("Allow"), allowed);
        if expected == 404 {
            let text = response.text();
            assert!(
                text.contains("/livez") && text.contains("/metrics"),
                "{text}"
            );
        }
        client.expect_end();
    }
    let mut client = Client::connect(admin);
    let long = "x".repeat(40_000);
    client.send(format!("GET /livez HTTP/1.1\r\nHost: a\r\nA: {long}"));
    assert_eq!(client.response().status, 431);
    let mut client = Client::connect(admin);
    client.send("\0\r\n\r\n");
    assert_eq!(client.response().status, 400);
}

#[test]
fn it_answers_while_all_workers_are_busy() {
    let server = Setup {
        workers: 2,
        ..Setup::default()
    }
    .serve(&[route("/puppet", "puppet.wat")]);
    let admin = server.admin();
    let mut clients: Vec<_> = (0..8).map(|_| server.client()).collect();
    clients
        .iter_mut()
        .for_each(|client| client.send(post("/puppet", b"l")));
    server.client().barrier();
    for path in ["/livez", "/readyz", "/metrics", "/metrics/sledge"] {
        for _ in 0..10 {
            assert_eq!(status(admin.address(), path), 200, "{path}");
        }
    }
    drop(clients);
}

#[test]
fn who_drains_is_live_and_not_ready() {
    let server = Setup::default().serve(&[route("/puppet", "puppet.wat")]);
    let admin = server.admin();
    let mut busy = server.client();
    busy.send(post("/puppet", b"l"));
    server.client().barrier();
    assert_eq!(status(admin.address(), "/readyz"), 200);
    server.begin_drain();
    wait_until("it is not ready", || {
        status(admin.address(), "/readyz") == 503
    });
    assert_eq!(status(admin.address(), "/livez"), 200);
    assert_eq!(status(admin.address(), "/metrics"), 200);
    drop(busy);
}

#[test]
fn a_slow_client_holds_up_nobody() {
    let server = Setup::default().serve(&[route("/fib", "fib/fib.wasm")]);
    let admin = server.admin();
    let mut slow: Vec<_> = (0..20).map(|_| Client::connect(admin.address())).collect();
    for (at, client) in slow.iter_mut().enumerate() {
        // Of the request a part, or of the answer none.
        client.send(
            [
                "",
                "G",
                "GET /metrics HTTP/1.1\r\n",
                "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
            ][at % 4],
        );
    }
    assert_eq!(status(admin.address(), "/livez"), 200);
    assert_eq!(server.client().get("/fib?10").text(), "55\n");
    // Both end with all of them connected.
    drop(admin);
    server.end();
    drop(slow);
}

#[test]
fn what_the_threads_noted_last_is_read() {
    let server = Setup::default().serve(&[route("/fib", "fib/fib.wasm")]);
    let admin = server.admin();
    let mut client = server.client();
    for _ in 0..20 {
        assert_eq!(client.get("/fib?10").status, 200);
    }
    scraped(admin.address(), 20);
    let read = |path: &str, content_type: &str| {
        let stream = TcpStream::connect(admin.address()).expect("somebody listens");
        let (head, body) = ask(stream, path);
        assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
        let field = format!("content-type: {content_type}\r\n");
        assert!(head.contains(&field), "{head}");
        body
    };
    let trace = read("/flight/trace", "application/json");
    let trace: Value = serde_json::from_slice(&trace).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let is_whole = |event: &&Value| event["args"]["ended"] == "finished, 200";
    assert_eq!(events.iter().filter(is_whole).count(), 20);
    let recording = read("/flight/recording", "application/octet-stream");
    let reader = Reader::new(&*recording).expect("a recording");
    let events = reader.flat_map(|chunk| chunk.expect("a chunk").events);
    let ends = events.filter(|event| event.what == What::Finished { status: 200 });
    assert_eq!(ends.count(), 20);
}

/// What is answered to a client that reads until the end: the head, and the body as it is.
fn ask(mut stream: impl Read + Write, path: &str) -> (String, Vec<u8>) {
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("it takes bytes");
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    read.expect("it answers and closes");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let body = bytes.split_off(end.expect("a head") + 4);
    (String::from_utf8(bytes).expect("text"), body)
}

#[test]
fn the_program_has_it_at_a_socket() {
    // Not among the build's files: a socket's path is short.
    let socket = std::env::temp_dir().join(format!("luge-it-{}.socket", std::process::id()));
    let admin = format!("unix:{}", socket.display());
    let socket = &*socket;
    let serving = Serving::start(&["--admin", &admin, "--log-format", "json"], &[]);
    let connect = || UnixStream::connect(socket).expect("somebody listens");
    // It is there as soon as the server is.
    assert_eq!(ask(connect(), "/readyz").1, b"ready\n");
    let metrics = String::from_utf8(ask(connect(), "/metrics").1).expect("text");
    assert!(metrics.contains("luge_build_info"), "{metrics}");
    let mut client = serving.client();
    (0..1_000).for_each(|_| assert_eq!(client.get("/fib?1").status, 200));
    let trace = ask(connect(), "/flight/trace").1;
    // One who does not read it, although it is more than a socket holds: others are not given it meanwhile, and all else.
    assert!(trace.len() > 800_000, "{}", trace.len());
    let mut unread = connect();
    let sent = unread.write_all(b"GET /flight/trace HTTP/1.0\r\n\r\n");
    sent.expect("it takes bytes");
    unread.read_exact(&mut [0; 100]).expect("it begins");
    let (head, words) = ask(connect(), "/flight/recording");
    assert!(head.starts_with("HTTP/1.0 503 "), "{head}");
    assert!(words.starts_with(b"the flight recorder is being written for another"));
    assert_eq!(ask(connect(), "/livez").1, b"live\n");
    assert!(ask(connect(), "/metrics").0.starts_with("HTTP/1.0 200 "));
    // Who wants the head alone has nothing written.
    let mut head = connect();
    let sent = head.write_all(b"HEAD /flight/trace HTTP/1.0\r\n\r\n");
    sent.expect("it takes bytes");
    let mut said = String::new();
    head.read_to_string(&mut said).expect("a head");
    assert!(
        said.starts_with("HTTP/1.0 200 ") && said.ends_with("\r\n\r\n"),
        "{said}"
    );
    // The next is given it when that one has gone.
    drop(unread);
    wait_until("the flight recorder is free", || {
        ask(connect(), "/flight/trace")
            .0
            .starts_with("HTTP/1.0 200 ")
    });
    // One who never ends his request, and one who has not begun.
    let mut open = connect();
    open.write_all(b"GET /livez HTTP/1.1\r\n")
        .expect("it takes bytes");
    let idle = connect();
    assert_eq!(serving.client().get("/fib?10").text(), "55\n");
    let err = serving.stop();
    assert_eq!(logged(&err, "admin")[0]["address"], admin.as_str());
    assert!(!socket.exists(), "the file goes with the server");
    drop((open, idle));
}

#[test]
fn a_port_that_is_anothers_is_told() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("it has one").port();
    let path = folder.write("spec.json", &spec(port).to_string());
    let path = path.to_str().expect("text");
    let admin = format!("127.0.0.1:{port}");
    // A tenant's, before anything is compiled; somebody else's, before anything is served.
    let said = crate::process::run(["serve", path, "--admin", &admin]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(
        said.err.contains("is the port of tenant \"one\""),
        "{}",
        said.err
    );
    let said = crate::process::run(["serve", "--admin", &admin]);
    assert_eq!(said.code, Some(5), "{}", said.err);
    assert!(said.err.contains("cannot listen on"), "{}", said.err);
    let said = crate::process::run(["serve", "--admin", "0.0.0.0:9090"]);
    assert_eq!(said.code, Some(3), "{}", said.err);
}
