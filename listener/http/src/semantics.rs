//! The meaning of the six fields that the server itself obeys: `Host`, `Content-Length`, `Transfer-Encoding`,
//! `Connection`, `Expect` and `Luge-Timing`. All others are left to whoever handles the request.

use core::str;

use crate::{Framing, Reject, Version, field, target};

/// What the fields of a head amount to so far.
pub(crate) struct Semantics<'b> {
    version: Version,
    host: Option<&'b str>,
    content_length: Option<u64>,
    transfer_encoding: bool,
    /// How many times chunked was named.
    chunked: usize,
    close: bool,
    keep_alive: bool,
    expect_continue: bool,
    wants_timing: bool,
}

impl<'b> Semantics<'b> {
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            host: None,
            content_length: None,
            transfer_encoding: false,
            chunked: 0,
            close: false,
            keep_alive: false,
            expect_continue: false,
            wants_timing: false,
        }
    }

    /// Takes the next field into account.
    pub(crate) fn take(&mut self, name: &str, value: &'b [u8]) -> Result<(), Reject> {
        // The lengths are all different, so one comparison of names at most.
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => self.take_host(value),
            6 if name.eq_ignore_ascii_case("expect") => self.take_expect(value),
            10 if name.eq_ignore_ascii_case("connection") => {
                self.take_connection(value);
                Ok(())
            }
            11 if name.eq_ignore_ascii_case("luge-timing") => {
                self.wants_timing = true;
                Ok(())
            }
            14 if name.eq_ignore_ascii_case("content-length") => self.take_content_length(value),
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                self.take_transfer_encoding(value)
            }
            _ => Ok(()),
        }
    }

    /// RFC 9112 §3.2: HTTP/1.1 requires it.
    pub(crate) fn host(&self) -> Result<&'b str, Reject> {
        match (self.host, self.version) {
            (Some(host), _) => Ok(host),
            (None, Version::Http10) => Ok(""),
            (None, Version::Http11) => Err(Reject::Host),
        }
    }

    /// RFC 9112 §6.3
    pub(crate) fn framing(&self) -> Result<Framing, Reject> {
        match (self.transfer_encoding, self.content_length) {
            (false, None) => Ok(Framing::None),
            (false, Some(length)) => Ok(Framing::Length(length)),
            // Item 3: it might be an attempt at request smuggling.
            (true, Some(_)) => Err(Reject::FramingAmbiguous),
            // RFC 9112 §6.1: HTTP/1.0 knows no transfer codings; chunked is applied once.
            (true, None) if self.version == Version::Http11 && self.chunked == 1 => {
                Ok(Framing::Chunked)
            }
            (true, None) => Err(Reject::TransferEncoding),
        }
    }

    /// RFC 9112 §9.3
    pub(crate) fn keep_alive(&self) -> bool {
        !self.close && (self.keep_alive || self.version == Version::Http11)
    }

    pub(crate) fn expect_continue(&self) -> bool {
        self.expect_continue
    }

    pub(crate) fn wants_timing(&self) -> bool {
        self.wants_timing
    }

    /// RFC 9112 §3.2: one field line, and a valid one.
    fn take_host(&mut self, value: &'b [u8]) -> Result<(), Reject> {
        let host = str::from_utf8(value).map_err(|_| Reject::Host)?;
        if self.host.is_some() || target::split_authority(host).is_none() {
            return Err(Reject::Host);
        }
        self.host = Some(host);
        Ok(())
    }

    /// RFC 9110 §8.6: digits only. Repeating the same length (RFC 9112 §6.3 item 5) is refused too: nobody needs it.
    fn take_content_length(&mut self, value: &[u8]) -> Result<(), Reject> {
        if self.content_length.is_some() || value.is_empty() {
            return Err(Reject::ContentLength);
        }
        let mut length: u64 = 0;
        for &byte in value {
            if !byte.is_ascii_digit() {
                return Err(Reject::ContentLength);
            }
            length = length
                .checked_mul(10)
                .and_then(|tens| tens.checked_add(u64::from(byte - b'0')))
                .ok_or(Reject::ContentLength)?;
        }
        self.content_length = Some(length);
        Ok(())
    }

    /// RFC 9112 §6.1: a coding that the server does not understand is answered with 501.
    fn take_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Reject> {
        self.transfer_encoding = true;
        if self.version == Version::Http10 {
            return Err(Reject::TransferEncoding);
        }
        for coding in field::list_members(value) {
            if !coding.eq_ignore_ascii_case(b"chunked") {
                return Err(Reject::CodingUnknown);
            }
            self.chunked += 1;
        }
        Ok(())
    }

    /// RFC 9110 §7.6.1
    fn take_connection(&mut self, value: &[u8]) {
        for option in field::list_members(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// RFC 9110 §10.1.1: ignored in HTTP/1.0.
    fn take_expect(&mut self, value: &[u8]) -> Result<(), Reject> {
        if self.version == Version::Http10 {
            return Ok(());
        }
        for expectation in field::list_members(value) {
            if !expectation.eq_ignore_ascii_case(b"100-continue") {
                return Err(Reject::Expectation);
            }
            self.expect_continue = true;
        }
        Ok(())
    }
}
