//! What holds of a CGI response, whatever a function writes: it cannot split the server's head, nor say where the
//! message ends.

use listener_http::{
    CGI_FIELDS_MAX, CGI_HEAD_MAX_BYTES, CgiError, CgiHead, ResponseHead, Status, Version,
    encode_head,
};

/// Checks any bytes as what a function writes.
pub fn check_cgi(output: &[u8]) {
    let mut read = CgiHead::default();
    let result = read.read(output);
    assert_eq!(read.is_read(), result.is_ok());
    let Ok(status) = result else {
        assert!(read.fields().as_bytes().is_empty() && read.body_at == 0);
        return;
    };
    assert!((200..=599).contains(&status.0));
    let head = &output[..read.body_at];
    assert!(head.len() <= CGI_HEAD_MAX_BYTES);
    assert!(head.ends_with(b"\n\n") || head.ends_with(b"\n\r\n"));
    check_response(status, output, &read);
    check_line_ends(status, head, &read);
    // Nothing of an earlier response is left.
    assert_eq!(read.read(b""), Err(CgiError::Unended));
    assert!(read.fields().as_bytes().is_empty() && !read.fields().has_content_type());
}

/// The head that the client gets is one, and says nothing that is the server's to say.
fn check_response(status: Status, output: &[u8], read: &CgiHead) {
    let mut sent = Vec::new();
    let head = ResponseHead {
        status,
        reason: Some(&output[read.reason.clone()]),
        version: Version::Http11,
        keep_alive: true,
        date: "",
        content_type: None,
        content_length: None,
        retry_after_s: None,
        allow: None,
        extra: &[],
        lines: Some(read.fields()),
    };
    encode_head(&head, &mut sent);
    let lines = sent
        .strip_suffix(b"\r\n\r\n")
        .expect("it ends in an empty line");
    let text = String::from_utf8_lossy(lines);
    let mut lines = text.split("\r\n");
    let line = lines.next().expect("a status line");
    assert!(
        line.starts_with(&format!("HTTP/1.1 {} ", status.0)),
        "{line}"
    );
    assert!(!line.contains(control), "{line}");
    assert_eq!(lines.next(), Some("Server: luge"));
    let mut count = 0;
    let mut content_types = 0;
    for line in lines {
        assert!(!line.contains(control), "{line:?}");
        let (name, _) = line.split_once(": ").expect("a field");
        let name = name.to_ascii_lowercase();
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(
            !FORBIDDEN.contains(&&*name) && !name.starts_with("proxy-"),
            "{name}"
        );
        count += 1;
        content_types += usize::from(name == "content-type");
    }
    assert!(count <= CGI_FIELDS_MAX && content_types <= 1);
    assert_eq!(read.fields().has_content_type(), content_types == 1);
}

/// RFC 3875 §6.1: lines end in LF or in CRLF, which makes no difference.
fn check_line_ends(status: Status, head: &[u8], read: &CgiHead) {
    let text = head.split(|&byte| byte == b'\n');
    let text = text.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let lines: Vec<_> = text.collect();
    for end in [&b"\n"[..], b"\r\n"] {
        let same = lines.join(end);
        let mut other = CgiHead::default();
        match other.read(&same) {
            Ok(code) => assert_eq!(code, status),
            // With the longer ends the head may have become too large.
            Err(error) => {
                assert!(error == CgiError::TooLarge && same.len() > CGI_HEAD_MAX_BYTES);
                continue;
            }
        }
        assert_eq!(other.body_at, same.len());
        assert_eq!(other.fields().as_bytes(), read.fields().as_bytes());
        assert_eq!(same[other.reason.clone()], head[read.reason.clone()]);
    }
}

fn control(char: char) -> bool {
    char.is_ascii_control() && char != '\t'
}

const FORBIDDEN: [&str; 10] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "server",
    "status",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
