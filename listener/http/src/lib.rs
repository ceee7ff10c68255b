//! The server's side of HTTP/1.1 and HTTP/1.0, sans I/O: bytes in, requests out; responses in, bytes out.
//!
//! It exists apart from the listener so that every rule of the protocol can be tested, fuzzed and replayed without a
//! socket: a connection is a function of the bytes received, however the network cuts them up.
//!
//! ```text
//!   received bytes ─► HeadParser ─► Head ─► BodyDecoder ─► body bytes
//!                         └───────────┴─────────┴─► Reject ─► Status ─► encode_head ─► bytes to send
//!                          a function's output ─► CgiHead ─────┴─► FieldLines ─┘
//! ```
//!
//! The parser is stricter than RFC 9112 asks where leniency is what request smuggling lives on: lines end in CRLF and in
//! nothing else, a body has one length or none, and whatever is ambiguous is refused.
//!
//! What it deliberately does not do: it knows no socket, clock, thread or route; it neither decodes nor normalizes paths;
//! it does not stream response bodies, upgrade, or act as a client or proxy.
//!
//! ```
//! use listener_http::{BodyDecoder, HeadParser, Limits, Parsed};
//!
//! let limits = Limits::default();
//! let input = b"POST /fib?30 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
//! let Parsed::Head { head, consumed } = HeadParser::new().parse(&limits, input)? else {
//!     panic!("the head is complete");
//! };
//! assert_eq!((head.path, head.query), ("/fib", "30"));
//!
//! let mut body = Vec::new();
//! let mut decoder = BodyDecoder::new(head.framing, limits.body_max_bytes)?;
//! let progress = decoder.decode(&input[consumed..], &mut body)?;
//! assert!(progress.done && body == b"hi");
//! # Ok::<(), listener_http::Reject>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod body;
mod cgi;
mod chunked;
mod date;
mod field;
mod head;
mod limits;
mod parser;
mod reject;
mod response;
mod semantics;
mod status;
mod target;

pub use body::{BodyDecoder, Progress};
pub use cgi::{CgiError, CgiHead};
pub use date::format_imf_fixdate;
pub use field::Fields;
pub use head::{Framing, Head, Method, Version};
pub use limits::{
    CGI_FIELDS_MAX, CGI_HEAD_MAX_BYTES, CHUNK_EXTENSIONS_MAX_BYTES, EMPTY_LINES_MAX, HEADERS_MAX,
    Limits, TRAILERS_MAX_BYTES,
};
pub use parser::{HeadParser, Parsed};
pub use reject::Reject;
pub use response::{CONTINUE, FieldLines, ResponseHead, encode_head};
pub use status::Status;
