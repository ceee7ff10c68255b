//! Reads answers: bytes in, at every split of them, and at the end a status and whether it is what was expected.
//!
//! Heads are httparse's; chunked bodies are decoded as strictly as luge reads its own requests (`listener-http`). A body
//! ends by its length, its last chunk, or the connection's end (RFC 9112 §6.3). Bodies are checked as they come and not
//! kept. Not here: content codings, trailers, upgrades.

use listener_http::{BodyDecoder, Framing};
use sha2::{Digest, Sha256};

use super::limits::{HEAD_MAX_BYTES, HEADERS_MAX, INFORMATIONAL_MAX};
use super::target::{Body, Expected, Statuses};

/// What is known of an answer when it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Whether that was expected.
    pub status_right: bool,
    /// Whether its body was.
    pub body_right: bool,
    /// Whether the connection may be used again.
    pub keep_alive: bool,
    /// Bytes of its body, decoded.
    pub body_bytes: u64,
}

/// What is wrong with what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// How a body is found to be as expected.
#[derive(Debug)]
enum Check {
    Nothing,
    Length(u64),
    /// So much of it was seen, `None` once it differed.
    Exact(Option<usize>),
    Digest(Sha256),
}

#[derive(Debug)]
enum State {
    Head,
    Length(u64),
    Chunked(BodyDecoder),
    UntilEnd,
}

/// Reads the answers of one connection, one after the other.
#[derive(Debug)]
pub struct Reader {
    state: State,
    /// What has come of a head that is not complete.
    head: Vec<u8>,
    decoded: Vec<u8>,
    check: Check,
    answer: Answer,
    informational: u32,
}

impl Reader {
    /// A reader for an answer to come.
    pub fn new() -> Self {
        Self {
            state: State::Head,
            head: Vec::new(),
            decoded: Vec::new(),
            check: Check::Nothing,
            answer: Answer {
                status: 0,
                status_right: false,
                body_right: false,
                keep_alive: false,
                body_bytes: 0,
            },
            informational: 0,
        }
    }

    /// Makes it ready for the next answer.
    pub fn begin(&mut self, expected: &Expected) {
        self.state = State::Head;
        self.head.clear();
        self.informational = 0;
        self.answer.body_bytes = 0;
        self.check = match &expected.body {
            Body::Any => Check::Nothing,
            Body::Length(length) => Check::Length(*length),
            Body::Exact(_) => Check::Exact(Some(0)),
            Body::Sha256(_) => Check::Digest(Sha256::new()),
        };
    }

    /// Takes what was received; the answer, if that was its end.
    ///
    /// # Errors
    ///
    /// What came is no HTTP/1.1 answer, or goes on behind its end.
    pub fn receive(
        &mut self,
        expected: &Expected,
        input: &[u8],
    ) -> Result<Option<Answer>, Malformed> {
        if !matches!(self.state, State::Head) {
            return self.body(expected, input);
        }
        if self.head.is_empty() {
            // Most answers come whole: nothing is copied.
            return self.head(expected, input);
        }
        let mut head = std::mem::take(&mut self.head);
        head.extend_from_slice(input);
        let result = self.head(expected, &head);
        if self.head.is_empty() {
            head.clear();
            self.head = head;
        }
        result
    }

    /// The connection has ended; the answer, if that is how it ends.
    pub fn end(&mut self, expected: &Expected) -> Option<Answer> {
        matches!(self.state, State::UntilEnd).then(|| self.complete(expected))
    }

    /// `input` is all that has come of the head, with what is behind it.
    fn head(&mut self, expected: &Expected, input: &[u8]) -> Result<Option<Answer>, Malformed> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(input) {
            Ok(httparse::Status::Partial) if input.len() >= HEAD_MAX_BYTES => {
                Err(Malformed("a head that is too large"))
            }
            Ok(httparse::Status::Partial) => {
                self.head = input.to_vec();
                Ok(None)
            }
            Ok(httparse::Status::Complete(length)) => {
                let status = response.code.unwrap_or(0);
                let rest = &input[length..];
                // RFC 9110 §15.2: informational answers come before the answer. 101 would be another protocol.
                if (100..200).contains(&status) && status != 101 {
                    self.informational += 1;
                    if self.informational > INFORMATIONAL_MAX {
                        return Err(Malformed("informational answers without end"));
                    }
                    return match rest {
                        [] => Ok(None),
                        rest => self.head(expected, rest),
                    };
                }
                let framing = Framed::of(&response)?;
                self.begin_body(expected, status, framing);
                self.body(expected, rest)
            }
            Err(httparse::Error::TooManyHeaders) => Err(Malformed("too many headers")),
            Err(_) => Err(Malformed("no HTTP/1.1 head")),
        }
    }

    fn begin_body(&mut self, expected: &Expected, status: u16, framed: Framed) {
        self.answer.status = status;
        self.answer.status_right = match expected.statuses {
            Statuses::Success => (200..300).contains(&status),
            Statuses::Only(only) => status == only,
        };
        self.answer.keep_alive = framed.keep_alive;
        // RFC 9112 §6.3: these have no body, whatever their headers say.
        let none = expected.is_head || matches!(status, 101 | 204 | 304);
        self.state = match framed.body {
            _ if none => State::Length(0),
            Some(Framing::Length(length)) => State::Length(length),
            Some(framing) => match BodyDecoder::new(framing, u64::MAX) {
                Ok(decoder) => State::Chunked(decoder),
                Err(_) => State::Length(0),
            },
            None => State::UntilEnd,
        };
    }

    fn body(&mut self, expected: &Expected, input: &[u8]) -> Result<Option<Answer>, Malformed> {
        let (taken, done) = match &mut self.state {
            State::Length(left) => {
                let taken = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(input.len());
                *left -= taken as u64;
                let done = *left == 0;
                self.check(expected, &input[..taken]);
                (taken, done)
            }
            State::Chunked(decoder) => {
                let mut decoded = std::mem::take(&mut self.decoded);
                let progress = decoder
                    .decode(input, &mut decoded)
                    .map_err(|_| Malformed("a chunked body with a mistake"))?;
                self.check(expected, &decoded);
                decoded.clear();
                self.decoded = decoded;
                (progress.consumed, progress.done)
            }
            State::UntilEnd => {
                self.check(expected, input);
                (input.len(), false)
            }
            State::Head => return Err(Malformed("no head")),
        };
        if taken < input.len() {
            return Err(Malformed("bytes behind the end of an answer"));
        }
        Ok(done.then(|| self.complete(expected)))
    }

    fn check(&mut self, expected: &Expected, bytes: &[u8]) {
        self.answer.body_bytes += bytes.len() as u64;
        match &mut self.check {
            Check::Nothing | Check::Length(_) => {}
            Check::Exact(at) => {
                let Body::Exact(whole) = &expected.body else {
                    return;
                };
                *at = at.and_then(|at| {
                    let end = at.checked_add(bytes.len())?;
                    (whole.get(at..end) == Some(bytes)).then_some(end)
                });
            }
            Check::Digest(digest) => digest.update(bytes),
        }
    }

    fn complete(&mut self, expected: &Expected) -> Answer {
        let check = std::mem::replace(&mut self.check, Check::Nothing);
        self.answer.body_right = match (check, &expected.body) {
            (Check::Length(length), _) => self.answer.body_bytes == length,
            (Check::Exact(at), Body::Exact(whole)) => at == Some(whole.len()),
            (Check::Digest(digest), Body::Sha256(wanted)) => digest.finalize()[..] == wanted[..],
            _ => true,
        };
        if matches!(self.state, State::UntilEnd) {
            self.answer.keep_alive = false;
        }
        self.state = State::Head;
        self.answer
    }
}

/// How a head says that its body is framed; `None` is by the connection's end.
struct Framed {
    body: Option<Framing>,
    keep_alive: bool,
}

impl Framed {
    fn of(response: &httparse::Response<'_, '_>) -> Result<Self, Malformed> {
        let (mut length, mut coding) = (None, None);
        // RFC 9112 §9.3: HTTP/1.1 keeps the connection unless told otherwise, HTTP/1.0 only if it is told so.
        let mut keep_alive = response.version == Some(1);
        for header in response.headers.iter() {
            let value = header.value.trim_ascii();
            if header.name.eq_ignore_ascii_case("content-length") {
                let number = std::str::from_utf8(value).ok().filter(|text| {
                    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
                });
                let number = number.and_then(|text| text.parse::<u64>().ok());
                let number = number.ok_or(Malformed("a Content-Length that is no number"))?;
                if length.replace(number).is_some_and(|other| other != number) {
                    return Err(Malformed("two lengths"));
                }
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                coding = Some(value);
            } else if header.name.eq_ignore_ascii_case("connection") {
                for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    if option.eq_ignore_ascii_case(b"close") {
                        keep_alive = false;
                    } else if option.eq_ignore_ascii_case(b"keep-alive")
                        && response.version == Some(0)
                    {
                        keep_alive = true;
                    }
                }
            }
        }
        let body = match coding {
            Some(coding) if coding.eq_ignore_ascii_case(b"chunked") => Some(Framing::Chunked),
            Some(_) => None,
            None => length.map(Framing::Length),
        };
        Ok(Self { body, keep_alive })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

    fn expected(body: Body) -> Expected {
        Expected {
            statuses: Statuses::Success,
            body,
            is_head: false,
        }
    }

    /// Reads `input`, cut in two at every place; `Ok(None)` if it goes on until the connection's end.
    fn read(expected: &Expected, input: &[u8]) -> Result<Option<Answer>, Malformed> {
        let mut results = (0..=input.len()).map(|cut| {
            let mut reader = Reader::new();
            reader.begin(expected);
            let (first, second) = input.split_at(cut);
            match reader.receive(expected, first)? {
                Some(answer) if second.is_empty() => Ok(Some(answer)),
                Some(_) => Err(Malformed("bytes behind the end of an answer")),
                None => match reader.receive(expected, second)? {
                    Some(answer) => Ok(Some(answer)),
                    None => Ok(reader.end(expected)),
                },
            }
        });
        let first = results.next().expect("there is a cut");
        for (cut, result) in results.enumerate() {
            assert_eq!(result, first, "cut at {}", cut + 1);
        }
        first
    }

    #[test]
    fn framings() {
        // input, body bytes, keep alive
        let rows: &[(&[u8], u64, bool)] = &[
            (OK, 2, true),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, true),
            (b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", 0, true),
            (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 13, false),
            (b"HTTP/1.1 200 OK\r\nconnection: foo, CLOSE\r\ncontent-length: 1\r\n\r\na", 1, false),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", 1, false),
            (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", 1, true),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n1\r\n!\r\n0\r\nT: u\r\n\r\n", 3, true),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\nab", 2, false),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", 1, true),
        ];
        for (input, body_bytes, keep_alive) in rows {
            let text = String::from_utf8_lossy(input);
            let answer = read(&expected(Body::Any), input)
                .expect(&text)
                .expect(&text);
            assert!(answer.status_right && answer.body_right, "{text}");
            assert_eq!(
                (answer.body_bytes, answer.keep_alive),
                (*body_bytes, *keep_alive),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_answer() {
        let rows: &[&[u8]] = &[
            b"SSH-2.0-OpenSSH\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab",
        ];
        for input in rows {
            let read = read(&expected(Body::Any), input);
            assert!(read.is_err(), "{}", String::from_utf8_lossy(input));
        }
        let endless = [
            b"HTTP/1.1 200 OK\r\nA: ".as_slice(),
            &vec![b'a'; HEAD_MAX_BYTES],
        ]
        .concat();
        let mut reader = Reader::new();
        let any = expected(Body::Any);
        reader.begin(&any);
        let mut pieces = endless.chunks(1_000);
        assert!(pieces.any(|piece| reader.receive(&any, piece).is_err()));
        let informational = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(INFORMATIONAL_MAX as usize + 1);
        assert!(read(&any, &informational).is_err());
    }

    #[test]
    fn expectations() {
        let sha256 = Sha256::digest(b"hi").into();
        for (body, right) in [
            (Body::Any, true),
            (Body::Length(2), true),
            (Body::Length(3), false),
            (Body::Exact(b"hi".to_vec()), true),
            (Body::Exact(b"ho".to_vec()), false),
            (Body::Exact(b"h".to_vec()), false),
            (Body::Exact(b"hi!".to_vec()), false),
            (Body::Sha256(sha256), true),
            (Body::Sha256([0; 32]), false),
        ] {
            let answer = read(&expected(body.clone()), OK).unwrap().unwrap();
            assert_eq!(answer.body_right, right, "{body:?}");
        }
        for (statuses, code, right) in [
            (Statuses::Success, "299", true),
            (Statuses::Success, "404", false),
            (Statuses::Only(404), "404", true),
            (Statuses::Only(404), "200", false),
        ] {
            let expected = Expected {
                statuses,
                body: Body::Any,
                is_head: true,
            };
            let input = format!("HTTP/1.1 {code} X\r\nContent-Length: 5\r\n\r\n");
            let answer = read(&expected, input.as_bytes()).unwrap().unwrap();
            assert_eq!(answer.status_right, right, "{code}");
        }
    }

    #[test]
    fn a_reader_is_used_again() {
        let any = expected(Body::Length(2));
        let mut reader = Reader::new();
        for _ in 0..3 {
            reader.begin(&any);
            assert_eq!(reader.receive(&any, &OK[..9]), Ok(None));
            let answer = reader.receive(&any, &OK[9..]).unwrap().unwrap();
            assert_eq!((answer.body_bytes, answer.body_right), (2, true));
        }
    }
}
