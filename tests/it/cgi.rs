//! CGI responses (`abi: wagi`, RFC 3875 §6) through the whole server. `echo` writes what it is sent, so that a test
//! says what the function writes.

use serde_json::{Value, json};

use crate::client::{Client, Response, post};
use crate::harness::{Server, Setup, repository, route, route_with};
use crate::process::{Folder, Serving, logged, luge};

fn serve() -> Server {
    let wagi = |keys: Value| {
        let mut all = json!({"abi": "wagi"});
        let all_keys = all.as_object_mut().expect("keys");
        all_keys.extend(keys.as_object().expect("keys").clone());
        all
    };
    let typed = wagi(json!({"http-resp-content-type": "text/default"}));
    Setup::default().serve(&[
        route_with("/cgi", "echo/echo.wasm", wagi(json!({}))),
        route_with("/typed", "echo/echo.wasm", typed),
        route_with("/puppet", "puppet.wat", wagi(json!({}))),
        route("/sledge", "echo/echo.wasm"),
    ])
}

/// Checks what the client gets, with either line end.
fn check(client: &mut Client, output: &str, line: &str, fields: &[&str], body: &str) {
    for output in [output.to_owned(), with_crlf(output)] {
        let response = client.post("/cgi", output.as_bytes());
        check_response(&response, line, fields);
        assert_eq!(response.text(), body, "{output:?}");
        let length = response.field("Content-Length").map(str::to_owned);
        assert_eq!(length, Some(body.len().to_string()), "{output:?}");
        assert!(!response.closes(), "{output:?}");
    }
}

fn with_crlf(output: &str) -> String {
    let (head, body) = output.split_once("\n\n").unwrap_or((output, ""));
    format!("{}\r\n\r\n{body}", head.replace('\n', "\r\n"))
}

fn check_response(response: &Response, line: &str, fields: &[&str]) {
    let head = &response.head;
    assert_eq!(head.lines().next(), Some(&*format!("HTTP/1.1 {line}")));
    for expected in fields {
        match expected.split_once(": ") {
            Some((name, value)) => assert_eq!(response.field(name), Some(value), "{head}"),
            None => {
                let name = expected.trim_start_matches('-');
                assert_eq!(response.field(name), None, "{head}");
            }
        }
    }
    assert_eq!(response.field("Server"), Some("luge"), "{head}");
    assert!(
        response
            .field("Date")
            .is_some_and(|date| date.ends_with("GMT")),
        "{head}"
    );
}

/// What a function writes, the status line, fields (`-name`: without it), the body.
#[rustfmt::skip]
const RESPONSES: &[(&str, &str, &[&str], &str)] = &[
    ("Content-Type: text/x\n\nhi\n", "200 OK", &["Content-Type: text/x", "-Location"], "hi\n"),
    ("Content-Type: text/x\nX-A: b\n\n", "200 OK", &["X-A: b"], ""),
    ("Status: 404\n\nno", "404 Not Found", &["-Content-Type", "-Status"], "no"),
    ("Status: 404 Nobody here\n\nno", "404 Nobody here", &["-Status"], "no"),
    ("Status: 201 OK\nLocation: /new\n\n", "201 OK", &["Location: /new"], ""),
    ("Status: 299\n\n", "299 ", &[], ""),
    // Redirects: a client's, and a local one, which is answered as one of a client's.
    ("Location: http://a/b\n\n", "302 Found", &["Location: http://a/b"], ""),
    ("Location: /sledge\n\n", "302 Found", &["Location: /sledge"], ""),
    ("Status: 307\nLocation: /b\n\n", "307 Temporary Redirect", &["Location: /b"], ""),
    // Fields about framing and connection, and the server's own, are not the function's to say.
    ("Status: 200\nContent-Length: 99\nTransfer-Encoding: chunked\n\nbody", "200 OK", &["-Transfer-Encoding"], "body"),
    ("Status: 200\nConnection: close\nKeep-Alive: 1\n\n", "200 OK", &["-Connection", "-Keep-Alive"], ""),
    ("Status: 200\nUpgrade: x\nTE: x\nTrailer: x\n\n", "200 OK", &["-Upgrade", "-TE", "-Trailer"], ""),
    ("Status: 200\nProxy-Authenticate: x\nX-Kept: y\n\n", "200 OK", &["-Proxy-Authenticate", "X-Kept: y"], ""),
    ("Status: 200\nDate: never\nServer: other\n\n", "200 OK", &[], ""),
    // Errors that a function makes are its own, body and all.
    ("Status: 500\nContent-Type: a\n\noops", "500 Internal Server Error", &["Content-Type: a"], "oops"),
    ("Status: 503\n\n", "503 Service Unavailable", &["-Retry-After"], ""),
];

#[test]
fn a_function_makes_its_own_header() {
    let server = serve();
    let mut client = server.client();
    for (output, line, fields, body) in RESPONSES {
        check(&mut client, output, line, fields, body);
    }
}

#[test]
fn what_is_no_response_is_a_bad_gateway() {
    let server = serve();
    let mut client = server.client();
    for output in [
        "",
        "hello",
        "hello\n",
        "\n",
        "\nbody",
        "Content-Type: a",
        "Content-Type: a\n",
        "X-A: b\n\nbody",
        "Content-Length: 4\n\nbody",
        "HTTP/1.1 200 OK\nContent-Type: a\n\n",
        "Status: 99\n\n",
        "Status: 101\n\n",
        "Status: 600\n\n",
        "Status: ok\n\n",
        "Status: 200\nStatus: 201\n\n",
        "Location:\n\n",
        "Content-Type: a\rX-Evil: b\n\n",
        "Content-Type: a\n folded\n\n",
        "Content-Type : a\n\n",
        "Content-Type: a\0b\n\n",
        "Status: 200\nX Y: b\n\n",
    ] {
        let response = client.post("/cgi", output.as_bytes());
        assert_eq!(
            (response.status, response.text()),
            (502, "Bad Gateway\n"),
            "{output:?}"
        );
        assert!(!response.closes(), "{output:?}");
        assert!(!response.head.contains("Evil"), "{output:?}");
    }
    let large = format!("Status: 200\nX: {}\n\n", "a".repeat(64 << 10));
    assert_eq!(client.post("/cgi", large.as_bytes()).status, 502);
    // The next is none the worse, and the same output is fine where nobody asks for a header.
    assert_eq!(client.post("/cgi", b"Status: 200\n\nfine").text(), "fine");
    assert_eq!(client.post("/sledge", b"Status: 404\n\n").status, 200);
}

#[test]
fn why_it_is_none_is_in_the_log() {
    let folder = Folder::new();
    let serving = Serving::somewhere(|port| {
        let echo = repository("functions/echo/echo.wasm");
        let cgi = route_with("/cgi", &echo.to_string_lossy(), json!({"abi": "wagi"}));
        let spec = json!([{"name": "one", "port": port, "routes": [cgi]}]);
        let mut command = luge();
        command
            .arg("serve")
            .arg(folder.write("spec.json", &spec.to_string()));
        command.arg("--log-format=json");
        command
    });
    let mut client = serving.client();
    for output in ["X-A: b\n\n", "Status: 200\n\n", "hello"] {
        client.post("/cgi", output.as_bytes());
    }
    let lines = logged(&serving.stop(), "function wrote no CGI response");
    let causes: Vec<_> = lines
        .iter()
        .map(|line| (&line["cause"], &line["request"]))
        .collect();
    assert_eq!(
        causes,
        [
            (
                &json!("neither Content-Type nor Location nor Status"),
                &json!(1)
            ),
            (
                &json!("the output ends before the empty line after the header fields"),
                &json!(3)
            ),
        ]
    );
}

#[test]
fn a_function_that_fails_says_nothing() {
    let server = serve();
    let mut client = server.client();
    for (what, command) in [("exit code", "e"), ("trap", "u"), ("too much output", "w")] {
        let response = client.post("/puppet", command.as_bytes());
        assert_eq!(
            (response.status, response.text()),
            (500, "Internal Server Error\n"),
            "{what}"
        );
    }
}

#[test]
fn a_content_type_of_the_route_is_the_default() {
    let server = serve();
    let mut client = server.client();
    let mut check = |output: &str, content_type: Option<&str>| {
        let response = client.post("/typed", output.as_bytes());
        assert_eq!(response.field("Content-Type"), content_type, "{output:?}");
    };
    check("Status: 200\n\nbody", Some("text/default"));
    check("Content-Type: text/own\n\nbody", Some("text/own"));
    check("Content-Type: text/own\n\n", Some("text/own"));
    check("Location: /\n\n", None);
}

/// RFC 9110 §6.4.1, §8.6, §9.3.2, §15.3.6, §15.4.5: where there is no content there is none, whatever the function writes.
#[test]
fn some_answers_have_no_body() {
    let server = serve();
    let mut client = server.client();
    let mut check = |method: &str, output: &str, line: &str, length: Option<&str>| {
        let request = post("/cgi", output.as_bytes());
        let request = String::from_utf8(request).expect("text");
        client.send(request.replacen("POST", method, 1));
        let head = client.head().expect("an answer");
        check_response(&head, line, &[]);
        assert_eq!(head.field("Content-Length"), length, "{method} {output:?}");
        // What follows would be taken for the head of the next.
        assert_eq!(
            client.post("/sledge", b"next").text(),
            "next",
            "{method} {output:?}"
        );
    };
    check("POST", "Status: 204\n\nbody", "204 No Content", None);
    check(
        "POST",
        "Status: 205\n\nbody",
        "205 Reset Content",
        Some("0"),
    );
    check(
        "POST",
        "Status: 304\nETag: \"a\"\n\nbody",
        "304 Not Modified",
        None,
    );
    check("HEAD", "Content-Type: a\n\nbody", "200 OK", Some("4"));
    check("HEAD", "Content-Type: a\n\n", "200 OK", None);
    check("HEAD", "Status: 404\n\nbody", "404 Not Found", Some("4"));
    check("HEAD", "no response", "502 Bad Gateway", Some("12"));
}

#[test]
fn a_large_body_follows_its_header() {
    let server = serve();
    let mut client = server.client();
    let body: Vec<u8> = (0..4_u32 << 20).map(|at| (at % 251) as u8).collect();
    let output = [b"Content-Type: a\n\n", &body[..]].concat();
    let response = client.post("/cgi", &output);
    assert!(response.status == 200 && response.body == body);
    let ended = server.end();
    assert_eq!(ended.each("body_bytes"), [body.len()]);
}
