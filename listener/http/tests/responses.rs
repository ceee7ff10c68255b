//! Response heads, byte for byte, and the dates in them.

use listener_http::{Reject, ResponseHead, Status, Version, encode_head, format_imf_fixdate};

const HEAD: ResponseHead<'static> = ResponseHead {
    status: Status::OK,
    reason: None,
    version: Version::Http11,
    keep_alive: true,
    date: "",
    content_type: None,
    content_length: Some(0),
    retry_after_s: None,
    allow: None,
    extra: &[],
    lines: None,
};

#[track_caller]
fn check(head: &ResponseHead<'_>, expected: &str) {
    let mut out = b"before".to_vec();
    encode_head(head, &mut out);
    let text = String::from_utf8(out).expect("what went in was UTF-8");
    assert_eq!(text, format!("before{expected}"));
}

/// Checks the lines after `Server`.
#[track_caller]
fn check_fields(head: &ResponseHead<'_>, expected: &str) {
    check(
        head,
        &format!("HTTP/1.1 200 OK\r\nServer: luge\r\n{expected}\r\n"),
    );
}

#[test]
fn status_lines() {
    for (status, line) in [
        (Status::OK, "200 OK"),
        (Status::NOT_FOUND, "404 Not Found"),
        (
            Status::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "431 Request Header Fields Too Large",
        ),
        (
            Status::HTTP_VERSION_NOT_SUPPORTED,
            "505 HTTP Version Not Supported",
        ),
        (Status(299), "299 "), // RFC 9112 §4: the space stays where the phrase is absent
        (Status(999), "999 "),
    ] {
        check(
            &ResponseHead { status, ..HEAD },
            &format!("HTTP/1.1 {line}\r\nServer: luge\r\nContent-Length: 0\r\n\r\n"),
        );
    }
}

#[test]
fn every_field() {
    check(
        &ResponseHead {
            status: Status::SERVICE_UNAVAILABLE,
            version: Version::Http11,
            keep_alive: false,
            date: "Sun, 06 Nov 1994 08:49:37 GMT",
            content_type: Some("text/plain; charset=utf-8"),
            content_length: Some(12),
            retry_after_s: Some(1),
            allow: Some("GET, HEAD"),
            extra: &[("X-A", "b"), ("x-c", "")],
            ..HEAD
        },
        "HTTP/1.1 503 Service Unavailable\r\nServer: luge\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: 12\r\nConnection: close\r\nRetry-After: 1\r\n\
         Allow: GET, HEAD\r\nX-A: b\r\nx-c: \r\n\r\n",
    );
}

/// RFC 9112 §9.3
#[test]
fn persistence() {
    for (version, keep_alive, field) in [
        (Version::Http11, true, ""),
        (Version::Http11, false, "Connection: close\r\n"),
        (Version::Http10, true, "Connection: keep-alive\r\n"),
        (Version::Http10, false, ""),
    ] {
        let head = ResponseHead {
            version,
            keep_alive,
            ..HEAD
        };
        check_fields(&head, &format!("Content-Length: 0\r\n{field}"));
    }
}

/// RFC 9110 §8.6
#[test]
fn lengths() {
    for content_length in [0, 9, 10, 1_234_567_890, u64::MAX] {
        let head = ResponseHead {
            content_length: Some(content_length),
            ..HEAD
        };
        check_fields(&head, &format!("Content-Length: {content_length}\r\n"));
    }
    let retry_after_s = Some(u32::MAX);
    check_fields(
        &ResponseHead {
            retry_after_s,
            ..HEAD
        },
        "Content-Length: 0\r\nRetry-After: 4294967295\r\n",
    );
    let (none, some) = ("", "Content-Length: 7\r\n");
    for (status, field) in [(100, none), (204, none), (304, some), (404, some)] {
        let status = Status(status);
        let head = ResponseHead {
            status,
            content_length: Some(7),
            ..HEAD
        };
        check(
            &head,
            &format!(
                "HTTP/1.1 {} {}\r\nServer: luge\r\n{field}\r\n",
                status.0,
                status.phrase()
            ),
        );
    }
}

/// RFC 9110 §5.5, RFC 9112 §11.1: nothing put in ends a field, let alone the head.
#[test]
fn injections() {
    check_fields(
        &ResponseHead {
            content_type: Some("a\r\nX: y\r\n\r\nbody\0\u{7f}\té"),
            ..HEAD
        },
        "Content-Type: a  X: y    body  \té\r\nContent-Length: 0\r\n",
    );
    check_fields(
        &ResponseHead {
            allow: Some("GET\nX: y"),
            ..HEAD
        },
        "Content-Length: 0\r\nAllow: GET X: y\r\n",
    );
    let extra = [
        ("", "a"),
        ("X Y", "a"),
        ("X\r\nY", "a"),
        ("X:", "a"),
        ("é", "a"),
        ("Content-Length", "5"),
        ("content-length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("CONNECTION", "close"),
        ("Keep-Alive", "5"),
        ("Upgrade", "h2c"),
        ("Trailer", "a"),
        ("TE", "trailers"),
        ("Proxy-Connection", "close"),
        ("X-Good", "a\rb\nc"),
        ("Te-Good", "d"),
    ];
    check_fields(
        &ResponseHead {
            extra: &extra,
            ..HEAD
        },
        "Content-Length: 0\r\nX-Good: a b c\r\nTe-Good: d\r\n",
    );
}

/// RFC 9110 §15, RFC 6585
#[test]
fn phrases() {
    for (status, code, phrase) in [
        (Status::CONTINUE, 100, "Continue"),
        (Status::OK, 200, "OK"),
        (Status::NO_CONTENT, 204, "No Content"),
        (Status::NOT_MODIFIED, 304, "Not Modified"),
        (Status::BAD_REQUEST, 400, "Bad Request"),
        (Status::NOT_FOUND, 404, "Not Found"),
        (Status::METHOD_NOT_ALLOWED, 405, "Method Not Allowed"),
        (Status::REQUEST_TIMEOUT, 408, "Request Timeout"),
        (Status::LENGTH_REQUIRED, 411, "Length Required"),
        (Status::CONTENT_TOO_LARGE, 413, "Content Too Large"),
        (Status::URI_TOO_LONG, 414, "URI Too Long"),
        (Status::EXPECTATION_FAILED, 417, "Expectation Failed"),
        (Status::TOO_MANY_REQUESTS, 429, "Too Many Requests"),
        (
            Status::REQUEST_HEADER_FIELDS_TOO_LARGE,
            431,
            "Request Header Fields Too Large",
        ),
        (Status::INTERNAL_SERVER_ERROR, 500, "Internal Server Error"),
        (Status::NOT_IMPLEMENTED, 501, "Not Implemented"),
        (Status::BAD_GATEWAY, 502, "Bad Gateway"),
        (Status::SERVICE_UNAVAILABLE, 503, "Service Unavailable"),
        (Status::GATEWAY_TIMEOUT, 504, "Gateway Timeout"),
        (
            Status::HTTP_VERSION_NOT_SUPPORTED,
            505,
            "HTTP Version Not Supported",
        ),
    ] {
        assert_eq!((status.0, status.phrase()), (code, phrase));
    }
    assert_eq!(Reject::BodyTooLarge.to_string(), "body too large");
}

/// RFC 9110 §5.6.7; the seconds are those of `date -u -d … +%s`.
#[test]
fn dates() {
    for (unix_seconds, date) in [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        (253_402_300_800, "Fri, 31 Dec 9999 23:59:59 GMT"),
        (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] {
        assert_eq!(
            format_imf_fixdate(unix_seconds).escape_ascii().to_string(),
            date
        );
    }
}

/// Five hundred years, counted day by day.
#[test]
fn every_day() {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [(&str, u64); 12] = [
        ("Jan", 31),
        ("Feb", 28),
        ("Mar", 31),
        ("Apr", 30),
        ("May", 31),
        ("Jun", 30),
        ("Jul", 31),
        ("Aug", 31),
        ("Sep", 30),
        ("Oct", 31),
        ("Nov", 30),
        ("Dec", 31),
    ];
    let mut days = 0;
    for year in 1970..2470 {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        for (month, length) in MONTHS {
            for day in 1..=length + u64::from(leap && month == "Feb") {
                let weekday = WEEKDAYS[days as usize % 7];
                let expected = format!("{weekday}, {day:02} {month} {year} 12:34:56 GMT");
                let date = format_imf_fixdate(days * 86_400 + 12 * 3600 + 34 * 60 + 56);
                assert_eq!(date.escape_ascii().to_string(), expected);
                days += 1;
            }
        }
    }
}
