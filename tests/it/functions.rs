//! Every example function through HTTP: what it answers, in which type, by which way of asking.

use serde_json::{Value, json};

use crate::client::{Client, Response, get, post};
use crate::harness::{Server, Setup, repository};

/// The functions of these names, as `functions/spec.json` has them.
fn serve(names: &[&str]) -> Server {
    let spec = std::fs::read_to_string(repository("functions/spec.json")).expect("readable");
    let spec: Value = serde_json::from_str(&spec).expect("JSON");
    let routes = spec[0]["routes"].as_array().expect("routes").iter();
    let wanted = routes.filter(|route| {
        names
            .iter()
            .any(|name| route["route"] == format!("/{name}"))
    });
    let wanted: Vec<Value> = wanted.cloned().collect();
    assert_eq!(wanted.len(), names.len());
    Setup::default().serve(&wanted)
}

fn file(path: &str) -> Vec<u8> {
    std::fs::read(repository("functions").join(path)).expect("readable")
}

#[track_caller]
fn check(response: &Response, content_type: &str, body: &[u8]) {
    assert_eq!(response.status, 200, "{}", response.head);
    assert_eq!(response.field("Content-Type"), Some(content_type));
    assert!(
        response.body == body,
        "{:?}",
        String::from_utf8_lossy(&response.body)
    );
}

/// Bytes without a pattern, the same every time.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// A body in chunks of growing sizes (RFC 9112 §7.1).
fn chunked(target: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    let (mut rest, mut size) = (body, 1);
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(size.min(rest.len()));
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        (rest, size) = (later, size * 3);
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

#[test]
fn fib_is_asked_by_query_and_by_body() {
    let server = serve(&["fib"]);
    let mut client = server.client();
    let (mut number, mut next) = (0_u64, 1_u64);
    for n in 0..=20 {
        let expected = format!("{number}\n");
        check(
            &client.get(&format!("/fib?{n}")),
            "text/plain",
            expected.as_bytes(),
        );
        check(
            &client.post("/fib", n.to_string().as_bytes()),
            "text/plain",
            expected.as_bytes(),
        );
        (number, next) = (next, number + next);
    }
    check(&client.get("/fib?30"), "text/plain", b"832040\n");
    for wrong in ["/fib?x", "/fib?-1", "/fib?51", "/fib"] {
        assert_eq!(client.get(wrong).status, 500, "{wrong}");
    }
}

#[test]
fn empty_answers_with_an_empty_body() {
    let server = serve(&["empty"]);
    let response = server.client().get("/empty");
    check(&response, "text/plain", b"");
    assert_eq!(response.field("Content-Length"), Some("0"));
}

#[test]
fn echo_gives_bodies_of_every_size_back() {
    let server = serve(&["echo"]);
    let mut client = server.client();
    for size in [0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 1 << 20] {
        let body = noise(size);
        for request in [post("/echo", &body), chunked("/echo", &body)] {
            client.send(request);
            check(&client.response(), "application/octet-stream", &body);
        }
    }
}

#[test]
fn sha256_is_the_digest_of_the_body() {
    let server = serve(&["sha256"]);
    let mut client = server.client();
    // FIPS 180-4, the examples of NIST: nothing, one block, two blocks, a million of `a`.
    for (body, digest) in [
        (
            String::new(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            "abc".into(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".into(),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (
            "a".repeat(1_000_000),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
        ),
    ] {
        let response = client.post("/sha256", body.as_bytes());
        check(&response, "text/plain", format!("{digest}\n").as_bytes());
    }
}

#[test]
fn words_are_counted_across_pieces() {
    let server = serve(&["words"]);
    let mut client = server.client();
    let long = "ab \n".repeat(100_000);
    for (body, counts) in [
        ("", (0, 0, 0)),
        ("one", (3, 1, 0)),
        (" one\ttwo\nthree\r\n\n", (17, 3, 3)),
        ("gr\u{fc}\u{df}e \u{0}", (9, 2, 0)),
        (&*long, (400_000, 100_000, 100_000)),
        (&*"x".repeat(50_000), (50_000, 1, 0)),
    ] {
        let response = client.post("/words", body.as_bytes());
        let (bytes, words, lines) = counts;
        let expected = format!("{{\"bytes\": {bytes}, \"words\": {words}, \"lines\": {lines}}}\n");
        check(&response, "application/json", expected.as_bytes());
    }
}

#[test]
fn html_escapes_what_it_is_given() {
    let server = serve(&["html"]);
    let mut client = server.client();
    let hostile = "<script>\"'&</script>";
    let page =
        json!({"title": hostile, "intro": hostile, "items": [{"name": hostile, "note": hostile}]});
    let response = client.post("/html", page.to_string().as_bytes());
    assert_eq!(response.status, 200);
    assert_eq!(
        response.field("Content-Type"),
        Some("text/html; charset=utf-8")
    );
    assert!(!response.text().contains("<script"), "{}", response.text());
    // Title twice, intro, name, note.
    let escaped = response.text().matches("script").count();
    assert_eq!(escaped, 5 * 2, "{}", response.text());

    let sample: Value = serde_json::from_slice(&file("html/sample.json")).expect("JSON");
    let without_body = client.get("/html");
    assert!(
        without_body
            .text()
            .contains(sample["title"].as_str().expect("a title"))
    );
    assert_eq!(client.post("/html", b"{").status, 500);
}

#[test]
fn ekf_steps_as_recorded() {
    let server = serve(&["ekf"]);
    let mut client = server.client();
    let (sample, expected) = (file("ekf/sample.bin"), file("ekf/expected.bin"));
    check(
        &client.post("/ekf", &sample),
        "application/octet-stream",
        &expected,
    );
    assert_eq!(client.post("/ekf", &sample[1..]).status, 500);
}

#[test]
fn resize_makes_pictures_smaller() {
    let server = serve(&["resize"]);
    let mut client = server.client();
    let sample = file("resize/sample.jpg");
    for (query, width) in [("", 128), ("?200", 200), ("?width=64", 64)] {
        let response = client.post(&format!("/resize{query}"), &sample);
        assert_eq!(response.status, 200);
        assert_eq!(response.field("Content-Type"), Some("image/jpeg"));
        assert_eq!(jpeg_width(&response.body), width, "{query}");
    }
    assert_eq!(client.post("/resize", b"no picture").status, 500);
}

/// The width in a JPEG's frame header (ITU-T T.81 §B.2.2).
fn jpeg_width(jpeg: &[u8]) -> u16 {
    assert_eq!(jpeg[..2], [0xff, 0xd8], "starts with SOI");
    let mut at = 2;
    loop {
        assert_eq!(jpeg[at], 0xff, "a marker");
        let u16_at = |at: usize| u16::from_be_bytes([jpeg[at], jpeg[at + 1]]);
        match jpeg[at + 1] {
            // SOF0 to SOF2: length, precision, height, width.
            0xc0..=0xc2 => return u16_at(at + 7),
            _ => at += 2 + usize::from(u16_at(at + 2)),
        }
    }
}

/// RFC 9110 §9.3.2
#[test]
fn head_gives_the_length_and_no_body() {
    let server = serve(&["fib", "echo"]);
    let mut client: Client = server.client();
    for target in ["/fib?30", "/fib?x", "/nowhere", "/echo"] {
        let with_body = client.get(target);
        client.send(format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let head = client.head().expect("an answer");
        assert_eq!(head.status, with_body.status, "{target}");
        for field in ["Content-Length", "Content-Type"] {
            assert_eq!(head.field(field), with_body.field(field), "{target}");
        }
        // If there were a body, it would be taken for the next answer.
        client.send(get("/fib?7"));
        check(&client.response(), "text/plain", b"13\n");
    }
}
