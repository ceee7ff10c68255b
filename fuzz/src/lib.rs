//! What the fuzz targets check, free of libfuzzer, so that stable tests replay the corpora through the same checks.
//!
//! No input makes the codec panic, and its verdict depends on the bytes and not on how they were cut up. Beyond that, each
//! check asserts of what was accepted that it is what a function may rely on.

mod cgi;
mod connection;

pub use cgi::check_cgi;
use connection::{Event, replay_split};
use listener_http::{BodyDecoder, Framing, HEADERS_MAX, HeadParser, Limits, Parsed, Reject};

/// Small enough for a fuzzer to reach every one of them.
const SMALL: Limits = Limits {
    request_line_max_bytes: 40,
    head_max_bytes: 120,
    headers_max: 4,
    body_max_bytes: 24,
};

/// Longer inputs are split at a sample of places only, for the checks' time grows with the square of the length.
const SPLITS_MAX: usize = 32;

/// Checks any bytes as a client's side of a connection.
pub fn check_connection(input: &[u8]) {
    for limits in [SMALL, Limits::default()] {
        let stride = input.len() / SPLITS_MAX + 1;
        for event in replay_split(&limits, input, (0..input.len()).step_by(stride)) {
            match event {
                Event::Body(body) | Event::InBody(body) => {
                    assert!(body.len() as u64 <= limits.body_max_bytes)
                }
                Event::Reject(reject) => assert!((400..=505).contains(&reject.status().0)),
                Event::Head { .. } | Event::Close | Event::InHead => {}
            }
        }
        check_head(&limits, input);
    }
}

/// What holds of an accepted head.
fn check_head(limits: &Limits, input: &[u8]) {
    let Ok(Parsed::Head { head, consumed }) = HeadParser::new().parse(limits, input) else {
        return;
    };
    let text = &input[..consumed];
    assert!(text.ends_with(b"\r\n\r\n"));
    let crs = text.iter().filter(|&&byte| byte == b'\r').count();
    assert_eq!(
        text.windows(2).filter(|pair| pair == b"\r\n").count(),
        crs,
        "a bare CR"
    );
    assert_eq!(
        text.iter().filter(|&&byte| byte == b'\n').count(),
        crs,
        "a bare LF"
    );
    let first_line = text
        .iter()
        .position(|byte| byte.is_ascii_graphic())
        .unwrap_or_default();
    assert!(consumed - first_line <= limits.head_max_bytes);

    assert!(!head.path.is_empty());
    for text in [head.path, head.query, head.host] {
        assert!(
            text.bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'#')
        );
    }
    assert!(!head.path.contains('?'));
    assert!(head.fields().count() <= limits.headers_max.min(HEADERS_MAX));
    let mut lengths = 0;
    let mut codings = 0;
    for (name, value) in head.fields() {
        assert!(
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b':')
        );
        assert!(
            value
                .iter()
                .all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
        );
        assert!(!value.first().is_some_and(u8::is_ascii_whitespace));
        assert!(!value.last().is_some_and(u8::is_ascii_whitespace));
        lengths += usize::from(name.eq_ignore_ascii_case("content-length"));
        codings += usize::from(name.eq_ignore_ascii_case("transfer-encoding"));
    }
    let framed = match head.framing {
        Framing::None => (0, 0),
        Framing::Length(_) => (1, 0),
        Framing::Chunked => (0, 1),
    };
    // Several Transfer-Encoding lines make one list, of which one member is chunked and the others empty.
    assert_eq!((lengths, codings.min(1)), framed);
}

/// Checks any bytes as a body: chunked if the first byte is `c`, else as long as that byte says.
pub fn check_body(input: &[u8]) {
    let Some((&selector, input)) = input.split_first() else {
        return;
    };
    let framing = match selector {
        b'c' => Framing::Chunked,
        length => Framing::Length(u64::from(length)),
    };
    for body_max_bytes in [u64::from(u8::MAX), 1 << 20] {
        let whole = decode(framing, body_max_bytes, [input]);
        assert_eq!(
            decode(framing, body_max_bytes, input.chunks(1)),
            whole,
            "byte by byte"
        );
        let stride = input.len() / SPLITS_MAX + 1;
        for at in (0..input.len()).step_by(stride) {
            let (front, back) = input.split_at(at);
            assert_eq!(
                decode(framing, body_max_bytes, [front, back]),
                whole,
                "split at {at}"
            );
        }
        assert!(whole.body.len() as u64 <= body_max_bytes);
        if let Framing::Length(length) = framing {
            let taken = input.len().min(length as usize);
            assert_eq!(whole.body, input[..taken]);
            assert_eq!(whole.end, Ok((taken, taken as u64 == length)));
        } else if let Ok((consumed, true)) = whole.end {
            assert!(consumed >= whole.body.len() + b"0\r\n\r\n".len());
            assert!(input[..consumed].ends_with(b"\r\n\r\n"));
        }
    }
}

/// How the decoding of a body went.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    body: Vec<u8>,
    /// Bytes consumed, and whether the body is complete.
    end: Result<(usize, bool), Reject>,
}

fn decode<'p>(
    framing: Framing,
    body_max_bytes: u64,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Decoded {
    let mut body = Vec::new();
    let mut decoder = BodyDecoder::new(framing, body_max_bytes)
        .expect("a byte's worth of body is within the limit");
    let mut consumed = 0;
    for piece in pieces {
        match decoder.decode(piece, &mut body) {
            Ok(progress) => {
                assert!(
                    progress.done || progress.consumed == piece.len(),
                    "an unfinished body takes all"
                );
                consumed += progress.consumed;
            }
            Err(reject) => {
                let end = Err(reject);
                return Decoded { body, end };
            }
        }
    }
    let end = Ok((consumed, decoder.is_done()));
    Decoded { body, end }
}
