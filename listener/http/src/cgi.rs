//! Reads the response that a function writes by CGI/1.1 (RFC 3875 §6): header lines, an empty line, the body.
//!
//! What a function says is an allegation: a line that is no field, a field that must not be there twice, a head without
//! an end make a [`CgiError`], and whoever asked gets 502. Fields that are the server's to decide (framing, connection,
//! `Date`, `Server`) are left out. What is kept has passed [`FieldLines::push`], so that no function can split a head.
//!
//! What it deliberately does not do: follow a local redirect (RFC 3875 §6.2.2) within the server. The client gets it as
//! 302 with that `Location`, which RFC 9110 §10.2.2 allows to be relative.

use core::ops::Range;
use core::{fmt, mem, str};

use crate::limits::{CGI_FIELDS_MAX, CGI_HEAD_MAX_BYTES};
use crate::{FieldLines, Status, field};

/// The head of a CGI response. The default says nothing: there was none.
#[derive(Clone, Debug, Default)]
pub struct CgiHead {
    fields: FieldLines,
    /// The reason phrase's bytes within the output; valid as part of a field's value, maybe empty.
    pub reason: Range<usize>,
    /// Where the body begins within the output; 0 if no head was read.
    pub body_at: usize,
}

/// Why what a function wrote is no CGI response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CgiError {
    /// It ends before the empty line that ends a head.
    Unended,
    /// The head is larger than [`CGI_HEAD_MAX_BYTES`].
    TooLarge,
    /// There are more than [`CGI_FIELDS_MAX`] fields.
    TooManyFields,
    /// A line is no header field (RFC 3875 §6.3, RFC 9112 §5).
    Field,
    /// `Content-Type`, `Location` or `Status` is there twice (RFC 3875 §6.3).
    Twice,
    /// `Status` is not three digits from 200 to 599, and maybe a reason.
    Status,
    /// `Location` is empty.
    Location,
    /// There is neither `Content-Type` nor `Location` nor `Status` (RFC 3875 §6.3).
    Bare,
}

impl CgiHead {
    /// Whether a head was read.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.body_at > 0
    }

    /// What the response says beside its status.
    #[must_use]
    pub fn fields(&self) -> &FieldLines {
        &self.fields
    }

    /// Forgets what was read, and keeps the memory.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.reason = 0..0;
        self.body_at = 0;
    }

    /// Reads the head of `output` and gives its status: that of `Status`, or 302 with `Location`, or 200.
    ///
    /// # Errors
    ///
    /// [`CgiError`]; then nothing has been read.
    pub fn read(&mut self, output: &[u8]) -> Result<Status, CgiError> {
        self.clear();
        let result = self.read_lines(output);
        if result.is_err() {
            self.clear();
        }
        result
    }

    fn read_lines(&mut self, output: &[u8]) -> Result<Status, CgiError> {
        let bounded = &output[..output.len().min(CGI_HEAD_MAX_BYTES)];
        let (mut status, mut location, mut content_type) = (None, false, false);
        let (mut at, mut count) = (0, 0);
        loop {
            let Some(length) = memchr::memchr(b'\n', &bounded[at..]) else {
                let cut = output.len() > bounded.len();
                return Err(if cut {
                    CgiError::TooLarge
                } else {
                    CgiError::Unended
                });
            };
            // RFC 3875 §6.1: NL is LF or CRLF.
            let line = &bounded[at..at + length];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            at += length + 1;
            if line.is_empty() {
                break;
            }
            count += 1;
            if count > CGI_FIELDS_MAX {
                return Err(CgiError::TooManyFields);
            }
            let (name, value) = split(line)?;
            if name.eq_ignore_ascii_case("status") {
                let (code, reason) = parse_status(value)?;
                if status.replace(code).is_some() {
                    return Err(CgiError::Twice);
                }
                let reason_at = reason.as_ptr().addr() - output.as_ptr().addr();
                self.reason = reason_at..reason_at + reason.len();
                continue;
            }
            let special = if name.eq_ignore_ascii_case("location") {
                if value.is_empty() {
                    return Err(CgiError::Location);
                }
                Some(&mut location)
            } else if name.eq_ignore_ascii_case("content-type") {
                Some(&mut content_type)
            } else {
                None
            };
            if special.is_some_and(|seen| mem::replace(seen, true)) {
                return Err(CgiError::Twice);
            }
            self.fields.push(name, value);
        }
        if status.is_none() && !location && !content_type {
            return Err(CgiError::Bare);
        }
        self.body_at = at;
        let otherwise = if location { Status::FOUND } else { Status::OK };
        Ok(status.unwrap_or(otherwise))
    }
}

/// A field's name and its value without surrounding whitespace.
fn split(line: &[u8]) -> Result<(&str, &[u8]), CgiError> {
    let colon = memchr::memchr(b':', line).ok_or(CgiError::Field)?;
    let name = str::from_utf8(&line[..colon]).map_err(|_| CgiError::Field)?;
    let value = field::trim(&line[colon + 1..]);
    match field::is_token(name) && value.iter().copied().all(field::is_value_byte) {
        true => Ok((name, value)),
        false => Err(CgiError::Field),
    }
}

/// RFC 3875 §6.3.3: `3digit [SP reason-phrase]`. An interim status (1xx) is no response, and what begins with another
/// digit than 2 to 5 is invalid (RFC 9110 §15).
fn parse_status(value: &[u8]) -> Result<(Status, &[u8]), CgiError> {
    let (code, reason) = value.split_at_checked(3).ok_or(CgiError::Status)?;
    let reason = match reason {
        [] => reason,
        [b' ' | b'\t', ..] => field::trim(reason),
        _ => return Err(CgiError::Status),
    };
    if !code.iter().all(u8::is_ascii_digit) {
        return Err(CgiError::Status);
    }
    let code = code
        .iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match code {
        200..=599 => Ok((Status(code), reason)),
        _ => Err(CgiError::Status),
    }
}

impl CgiError {
    /// What is wrong, in a few words for the log.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unended => "the output ends before the empty line after the header fields",
            Self::TooLarge => "the header fields are too large",
            Self::TooManyFields => "too many header fields",
            Self::Field => "a line is no header field",
            Self::Twice => "Content-Type, Location or Status twice",
            Self::Status => "Status is not a number from 200 to 599 and a reason",
            Self::Location => "Location is empty",
            Self::Bare => "neither Content-Type nor Location nor Status",
        }
    }
}

impl fmt::Display for CgiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl core::error::Error for CgiError {}
