//! Writes response heads.
//!
//! A head cannot be split or its framing changed by what is put in: whoever made a value, a function included, control
//! characters become spaces, and fields that say where the message ends are the codec's alone.

use alloc::vec::Vec;

use crate::{Status, Version, field};

/// Tells a client that waits for it to send the body (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What a response head says.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The status, three digits.
    pub status: Status,
    /// The reason phrase, if not the one that the status has; control characters become spaces.
    pub reason: Option<&'a [u8]>,
    /// The version of the request that is answered.
    pub version: Version,
    /// Whether the connection stays open for another request.
    pub keep_alive: bool,
    /// `Date`, as [`format_imf_fixdate`](crate::format_imf_fixdate) gives it (RFC 9110 §6.6.1); empty for none.
    pub date: &'a str,
    /// `Content-Type`, if any.
    pub content_type: Option<&'a str>,
    /// The body's length in bytes; for HEAD that which GET would have (RFC 9110 §8.6), if it is known. Left out where
    /// the status forbids it.
    pub content_length: Option<u64>,
    /// `Retry-After`, in seconds.
    pub retry_after_s: Option<u32>,
    /// `Allow`: the methods of the resource, comma-separated; 405 requires it (RFC 9110 §15.5.6).
    pub allow: Option<&'a str>,
    /// Further fields. Those with a malformed name, and those about framing and connection, are left out.
    pub extra: &'a [(&'a str, &'a str)],
    /// Further fields, made ready before.
    pub lines: Option<&'a FieldLines>,
}

/// Field lines that are fit to be sent in any response.
#[derive(Clone, Debug, Default)]
pub struct FieldLines {
    bytes: Vec<u8>,
    has_content_type: bool,
}

impl FieldLines {
    /// Adds a field, its control characters made spaces; leaves it out if its name is malformed or the server's to say.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        if field::is_token(name) && !is_reserved(name) && !is_servers(name) {
            push_field(name, value, &mut self.bytes);
            self.has_content_type |= name.eq_ignore_ascii_case("content-type");
        }
    }

    /// Forgets all, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.has_content_type = false;
    }

    /// The lines, each ending in CRLF.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Memory that it keeps, in bytes.
    #[must_use]
    pub fn capacity_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether one of them is `Content-Type`.
    #[must_use]
    pub fn has_content_type(&self) -> bool {
        self.has_content_type
    }
}

/// Appends the status line, the fields and the empty line to `out`.
pub fn encode_head(head: &ResponseHead<'_>, out: &mut Vec<u8>) {
    push_status_line(head.status, head.reason, out);
    out.extend_from_slice(b"Server: luge\r\n");
    if !head.date.is_empty() {
        push_field("Date", head.date.as_bytes(), out);
    }
    if let Some(content_type) = head.content_type {
        push_field("Content-Type", content_type.as_bytes(), out);
    }
    if let Some(length) = head.content_length
        && !head.status.forbids_content_length()
    {
        push_number_field("Content-Length", length, out);
    }
    // RFC 9112 §9.3: persistence is the default of 1.1 and the exception in 1.0.
    match (head.version, head.keep_alive) {
        (Version::Http11, true) | (Version::Http10, false) => {}
        (Version::Http11, false) => out.extend_from_slice(b"Connection: close\r\n"),
        (Version::Http10, true) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
    }
    if let Some(retry_after_s) = head.retry_after_s {
        push_number_field("Retry-After", u64::from(retry_after_s), out);
    }
    if let Some(allow) = head.allow {
        push_field("Allow", allow.as_bytes(), out);
    }
    for (name, value) in head.extra {
        if field::is_token(name) && !is_reserved(name) {
            push_field(name, value.as_bytes(), out);
        }
    }
    if let Some(lines) = head.lines {
        out.extend_from_slice(&lines.bytes);
    }
    out.extend_from_slice(b"\r\n");
}

/// Always HTTP/1.1, the highest version spoken, to 1.0 clients too (RFC 9110 §6.2).
fn push_status_line(status: Status, reason: Option<&[u8]>, out: &mut Vec<u8>) {
    if status == Status::OK && reason.is_none() {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    debug_assert!((100..=999).contains(&status.0), "a status has three digits");
    let digit = |power: u16| b'0' + (status.0 / power % 10) as u8;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[digit(100), digit(10), digit(1), b' ']);
    push_value(reason.unwrap_or(status.phrase().as_bytes()), out);
    out.extend_from_slice(b"\r\n");
}

fn push_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    push_value(value, out);
    out.extend_from_slice(b"\r\n");
}

fn push_value(value: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(value);
    // RFC 9110 §5.5: CR, LF and NUL are replaced by SP; here every control character is.
    for byte in &mut out[start..] {
        if !field::is_value_byte(*byte) {
            *byte = b' ';
        }
    }
}

fn push_number_field(name: &str, number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20]; // u64::MAX has twenty
    let mut first = digits.len();
    let mut rest = number;
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(&digits[first..]);
    out.extend_from_slice(b"\r\n");
}

/// Fields that say where the message ends or what becomes of the connection (RFC 9112 §6, RFC 9110 §7.6.1).
fn is_reserved(name: &str) -> bool {
    const RESERVED: [&str; 8] = [
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    RESERVED
        .iter()
        .any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// Fields of a function's that the server says itself, or that are between a client and a proxy (RFC 9110 §11.7).
fn is_servers(name: &str) -> bool {
    let is_proxys = name
        .get(..6)
        .is_some_and(|front| front.eq_ignore_ascii_case("proxy-"));
    is_proxys || name.eq_ignore_ascii_case("date") || name.eq_ignore_ascii_case("server")
}
