//! CGI responses as tables: what a function writes, and what becomes of it (RFC 3875 §6).

use listener_http::{CGI_FIELDS_MAX, CGI_HEAD_MAX_BYTES, CgiError, CgiHead};

/// Checks an output with either line end: status and reason, fields with their line ends left out, body.
#[track_caller]
fn check(output: &str, status: &str, fields: &[&str], body: &str) {
    for output in [output.to_owned(), with_crlf(output)] {
        let mut head = CgiHead::default();
        let code = head.read(output.as_bytes()).expect(&output);
        let reason = &output[head.reason.clone()];
        let said = format!("{} {reason}", code.0);
        assert_eq!(said.trim_end(), status, "{output:?}");
        let lines: String = fields.iter().map(|line| format!("{line}\r\n")).collect();
        let sent = String::from_utf8_lossy(head.fields().as_bytes());
        assert_eq!(sent, lines, "{output:?}");
        assert_eq!(&output[head.body_at..], body, "{output:?}");
    }
}

/// The head's line ends as CRLF, the body as it is.
fn with_crlf(output: &str) -> String {
    let (head, body) = output.split_once("\n\n").unwrap_or((output, ""));
    format!("{}\r\n\r\n{body}", head.replace('\n', "\r\n"))
}

#[track_caller]
fn check_error(output: impl AsRef<[u8]>, error: CgiError) {
    let output = output.as_ref();
    let mut head = CgiHead::default();
    assert_eq!(head.read(output), Err(error), "{}", output.escape_ascii());
    assert!(!head.is_read() && head.fields().as_bytes().is_empty());
}

/// RFC 3875 §6.2
#[test]
fn responses() {
    let text = "Content-Type: text/plain";
    check("Content-Type: text/plain\n\nhi\n", "200", &[text], "hi\n");
    check(
        "content-type:text/plain \n\n",
        "200",
        &["content-type: text/plain"],
        "",
    );
    check("Status: 204\n\n", "204", &[], "");
    check("STATUS:404\t\n\nx", "404", &[], "x");
    check("Status: 404 Not here, no\n\n", "404 Not here, no", &[], "");
    check("Status: 599   a\n\n", "599 a", &[], "");
    check("Location: /b?c\n\n", "302", &["Location: /b?c"], "");
    check(
        "Location: http://a/b\n\n",
        "302",
        &["Location: http://a/b"],
        "",
    );
    check(
        "Status: 308\nlocation: /b\nContent-Type: text/plain\n\nmoved",
        "308",
        &["location: /b", text],
        "moved",
    );
    check(
        "Set-Cookie: a=1\nStatus: 200 OK\nSet-Cookie: b=2\nX-Empty:\n\n\nbody",
        "200 OK",
        &["Set-Cookie: a=1", "Set-Cookie: b=2", "X-Empty: "],
        "\nbody",
    );
    check("Status: 200\nX: a: b\n\n", "200", &["X: a: b"], "");
}

#[test]
fn line_ends_may_be_mixed() {
    let output = b"Status: 200\r\nX: a\nY: b\r\n\nbody\r\n";
    let mut head = CgiHead::default();
    assert!(head.read(output).is_ok());
    assert_eq!(head.fields().as_bytes(), b"X: a\r\nY: b\r\n");
    assert_eq!(&output[head.body_at..], b"body\r\n");
}

/// RFC 3875 §6.3.4, RFC 9110 §7.6.1
#[test]
fn the_servers_fields_are_left_out() {
    for name in [
        "Connection",
        "Content-Length",
        "content-length",
        "Date",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authentication-Info",
        "Proxy-Connection",
        "PROXY-X",
        "Server",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "TRANSFER-ENCODING",
        "Upgrade",
    ] {
        let output = format!("Status: 200\n{name}: a\nX: b\n{name}: c\n\nbody");
        check(&output, "200", &["X: b"], "body");
    }
}

#[test]
fn what_is_no_response() {
    for output in [
        "",
        "Status: 200",
        "Status: 200\n",
        "Status: 200\r\n",
        "Status: 200\n\r",
        "body",
    ] {
        check_error(output, CgiError::Unended);
    }
    for line in [
        "no colon",
        ": no name",
        "white space: a",
        "Before : a",
        " Folded: a",
        "\tb",
        "\u{e9}: a",
        "HTTP/1.1 200 OK",
        "(: a",
        "X: a\rY: b",
        "X: a\r\r",
        "X: \u{0}",
        "X: \u{7f}",
        "X: \u{1b}[31m",
        "X\r: a",
    ] {
        check_error(format!("Status: 200\n{line}\n\n"), CgiError::Field);
        check_error(format!("{line}\r\nStatus: 200\r\n\r\n"), CgiError::Field);
    }
    for value in [
        "", "2", "20", "2000", "200x", "abc", "+20", "099", "100", "101", "199", "600", "999",
        "20 0",
    ] {
        check_error(format!("Status: {value}\n\n"), CgiError::Status);
    }
    check_error("Location:\n\n", CgiError::Location);
    check_error("Status: 301\nLocation:  \n\n", CgiError::Location);
    for name in ["Status: 200", "Location: /a", "Content-Type: a"] {
        let lower = name.to_ascii_lowercase();
        check_error(format!("{name}\n{lower}\n\n"), CgiError::Twice);
    }
    for output in [
        "\n",
        "\r\n",
        "\nbody",
        "X: a\n\n",
        "Content-Length: 4\n\nbody",
    ] {
        check_error(output, CgiError::Bare);
    }
}

#[test]
fn heads_have_limits() {
    let fields = |count: usize| {
        format!(
            "{}\n",
            "Status: 200\n".to_owned() + &"X: a\n".repeat(count - 1)
        )
    };
    let mut head = CgiHead::default();
    assert!(head.read(fields(CGI_FIELDS_MAX).as_bytes()).is_ok());
    check_error(fields(CGI_FIELDS_MAX + 1), CgiError::TooManyFields);
    let bytes = |bytes: usize| format!("Status: 200\nX: {}\n\nbody", "a".repeat(bytes - 17));
    assert!(head.read(bytes(CGI_HEAD_MAX_BYTES).as_bytes()).is_ok());
    assert_eq!(head.body_at, CGI_HEAD_MAX_BYTES);
    check_error(bytes(CGI_HEAD_MAX_BYTES + 1), CgiError::TooLarge);
    check_error(vec![b'a'; 1 << 20], CgiError::TooLarge);
}

#[test]
fn a_head_is_used_again() {
    let mut head = CgiHead::default();
    assert!(
        head.read(b"Content-Type: a\nStatus: 200 Fine\nX: y\n\n")
            .is_ok()
    );
    assert!(head.fields().has_content_type());
    assert!(head.read(b"Status: 201\n\nbody").is_ok());
    assert!(head.fields().as_bytes().is_empty() && !head.fields().has_content_type());
    assert!(head.reason.is_empty());
    head.clear();
    assert!(!head.is_read());
}
