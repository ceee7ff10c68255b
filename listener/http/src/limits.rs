//! Every bound of the codec, with its unit, in one place.
//!
//! Those that an operator may want to move are fields of [`Limits`]; the others are constants. How long a client may take
//! is not here: the codec knows no clock.

/// Most header fields that a request can have, whatever [`Limits::headers_max`] says: the size of a table on the stack.
pub const HEADERS_MAX: usize = 128;

/// Most empty lines accepted before a request line (RFC 9112 §2.2 asks for at least one).
pub const EMPTY_LINES_MAX: usize = 4;

/// Most bytes of chunk extensions in one body, all its chunks together (RFC 9112 §7.1.1 asks for such a bound).
pub const CHUNK_EXTENSIONS_MAX_BYTES: usize = 4 * 1024;

/// Most bytes of trailer fields after a chunked body, line ends included.
pub const TRAILERS_MAX_BYTES: usize = 8 * 1024;

/// Most bytes of the head of a CGI response, the empty line after it included.
pub const CGI_HEAD_MAX_BYTES: usize = 32 * 1024;

/// Most fields of a CGI response, those that are left out included.
pub const CGI_FIELDS_MAX: usize = 128;

/// Most hexadecimal digits of a chunk size, leading zeros included: what fills a `u64` and cannot overflow it.
pub(crate) const CHUNK_SIZE_DIGITS_MAX: u8 = 16;

/// The bounds of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of the request line, its CRLF included; beyond: 414. Never more than `head_max_bytes`.
    pub request_line_max_bytes: usize,
    /// Most bytes of the head, from the request line to the empty line that ends it, both included; beyond: 431.
    pub head_max_bytes: usize,
    /// Most header fields, at most [`HEADERS_MAX`]; beyond: 431.
    pub headers_max: usize,
    /// Most bytes of the decoded body; beyond: 413.
    pub body_max_bytes: u64,
}

impl Limits {
    /// What an ordinary server allows.
    const DEFAULT: Self = Self {
        request_line_max_bytes: 8 * 1024,
        head_max_bytes: 32 * 1024,
        headers_max: 100,
        body_max_bytes: 16 * 1024 * 1024,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

// RFC 9112 §3: request lines of at least 8000 octets are to be supported.
const _: () = assert!(Limits::DEFAULT.request_line_max_bytes >= 8000);
const _: () = assert!(Limits::DEFAULT.request_line_max_bytes <= Limits::DEFAULT.head_max_bytes);
const _: () = assert!(Limits::DEFAULT.headers_max <= HEADERS_MAX);
const _: () = assert!(CHUNK_SIZE_DIGITS_MAX as u32 * 4 <= u64::BITS);
