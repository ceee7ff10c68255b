//! The admin endpoint: what it says of the server's life, and that neither its clients nor the server's load are in each
//! other's way.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::client::{Client, post};
use crate::harness::{Setup, route, wait_until};
use crate::process::{Folder, Serving, logged, spec};

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
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/fib", 404),
        ("POST", "/livez", 405),
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

/// What a socket in the file system answers.
fn ask(socket: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("somebody listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").expect("it takes bytes");
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .expect("it answers and closes");
    text
}

#[test]
fn the_program_has_it_at_a_socket() {
    // Not among the build's files: a socket's path is short.
    let socket = std::env::temp_dir().join(format!("luge-it-{}.socket", std::process::id()));
    let admin = format!("unix:{}", socket.display());
    let socket = &*socket;
    let serving = Serving::start(&["--admin", &admin, "--log-format", "json"], &[]);
    // It is there as soon as the server is.
    assert!(ask(socket, "/readyz").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(ask(socket, "/metrics").contains("luge_build_info"));
    // One who never ends his request, and one who has not begun.
    let mut open = UnixStream::connect(socket).expect("somebody listens");
    open.write_all(b"GET /livez HTTP/1.1\r\n")
        .expect("it takes bytes");
    let idle = UnixStream::connect(socket).expect("somebody listens");
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
