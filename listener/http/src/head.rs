//! A complete request head: its syntax by httparse, what httparse lets pass by our own checks.
//!
//! httparse 1.10 accepts in a request, and this crate refuses: bare LF as a line end (in `parser`), empty lines without
//! end before the request line (there too), any UTF-8 and `#` in the target (in `target`). It knows nothing of the meaning
//! of fields (in `semantics`).

use core::mem::MaybeUninit;

use crate::Reject;
use crate::field::Fields;
use crate::limits::HEADERS_MAX;
use crate::semantics::Semantics;
use crate::target::Target;

/// A request method (RFC 9110 §9, RFC 5789).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `PATCH`
    Patch,
    /// `OPTIONS`
    Options,
    /// `CONNECT`
    Connect,
    /// `TRACE`
    Trace,
}

impl Method {
    /// As it stands in a request line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Options => "OPTIONS",
            Self::Connect => "CONNECT",
            Self::Trace => "TRACE",
        }
    }

    /// Methods are case-sensitive (RFC 9110 §9.1).
    fn from_token(token: &str) -> Result<Self, Reject> {
        Ok(match token {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "PATCH" => Self::Patch,
            "OPTIONS" => Self::Options,
            "CONNECT" => Self::Connect,
            "TRACE" => Self::Trace,
            _ => return Err(Reject::MethodUnknown),
        })
    }
}

/// The protocol version of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// How the end of a request's body is found (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Neither length nor coding: there is no body.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// A request head, borrowed from the bytes it was parsed from.
#[derive(Clone, Debug)]
pub struct Head<'b> {
    /// What is to be done.
    pub method: Method,
    /// The protocol version.
    pub version: Version,
    /// The path as sent, percent-encoding included; begins with `/`. Else `*` (OPTIONS) or `host:port` (CONNECT).
    pub path: &'b str,
    /// The query without its `?`, empty if there is none.
    pub query: &'b str,
    /// How the body's end is found.
    pub framing: Framing,
    /// Whether the connection may carry another request after this one (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// Whether the client waits for [`CONTINUE`](crate::CONTINUE) before it sends the body (RFC 9110 §10.1.1).
    pub expect_continue: bool,
    /// Whether the client asks where the time of its request goes: it sent `Luge-Timing`, with whatever value.
    pub wants_timing: bool,
    /// Host and port as sent: the target's, or else the `Host` field's (RFC 9112 §3.3). Empty if HTTP/1.0 gives none.
    pub host: &'b str,
    /// The field lines, well formed, each with its CRLF.
    lines: &'b [u8],
}

impl<'b> Head<'b> {
    /// The header fields in the order received, repeated ones repeated.
    #[must_use]
    pub fn fields(&self) -> Fields<'b> {
        Fields::new(self.lines)
    }

    /// The lines of the fields, each with its CRLF: what [`Fields::new`] takes, for those who keep a head's bytes.
    #[must_use]
    pub fn field_lines(&self) -> &'b [u8] {
        self.lines
    }

    /// From the bytes of a whole head: the request line's first to the last of the empty line's, each line ending in CRLF.
    pub(crate) fn parse(bytes: &'b [u8]) -> Result<Self, Reject> {
        let mut table = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, &mut table) {
            Ok(httparse::Status::Complete(end)) if end == bytes.len() => {}
            Ok(_) => return Err(Reject::LineEnd),
            Err(error) => return Err(syntax_reject(error, bytes)),
        }
        let (Some(method), Some(target), Some(minor)) =
            (request.method, request.path, request.version)
        else {
            return Err(Reject::RequestLine);
        };
        let method = Method::from_token(method)?;
        let version = if minor == 0 {
            Version::Http10
        } else {
            Version::Http11
        };
        let target = Target::parse(method, target)?;

        let mut semantics = Semantics::new(version);
        for header in &*request.headers {
            semantics.take(header.name, header.value)?;
        }
        let host = semantics.host()?;
        let framing = semantics.framing()?;
        let request_line = memchr::memchr(b'\n', bytes).map_or(0, |at| at + 1);
        Ok(Self {
            method,
            version,
            path: target.path,
            query: target.query,
            framing,
            keep_alive: semantics.keep_alive(),
            expect_continue: semantics.expect_continue()
                && !matches!(framing, Framing::None | Framing::Length(0)),
            wants_timing: semantics.wants_timing(),
            host: target.authority.unwrap_or(host),
            lines: &bytes[request_line..bytes.len() - b"\r\n".len()],
        })
    }
}

#[cold]
fn syntax_reject(error: httparse::Error, head: &[u8]) -> Reject {
    match error {
        httparse::Error::Version if is_foreign_version(head) => Reject::Version,
        httparse::Error::NewLine => Reject::LineEnd,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => Reject::Field,
        httparse::Error::TooManyHeaders => Reject::TooManyFields,
        httparse::Error::Version | httparse::Error::Token | httparse::Error::Status => {
            Reject::RequestLine
        }
    }
}

/// Whether the request line ends in a version that is well formed (RFC 9112 §2.3), or in one of those without a minor
/// number, as HTTP/3 is written.
fn is_foreign_version(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let version = line
        .splitn(3, |&byte| byte == b' ')
        .nth(2)
        .unwrap_or_default();
    match version.strip_prefix(b"HTTP/") {
        Some([major, b'.', minor]) => major.is_ascii_digit() && minor.is_ascii_digit(),
        Some([major]) => major.is_ascii_digit(),
        _ => false,
    }
}
