//! Field lines: what bytes they may hold, how their lists split, and an iterator over a head's fields.
//!
//! It gives values as they came, trimmed; what any of them means is not decided here.

use core::iter::FusedIterator;
use core::str;

/// `tchar` of RFC 9110 §5.6.2: what methods and field names consist of.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether `name` is a field name (RFC 9110 §5.1).
pub(crate) fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token_byte)
}

/// What a field value may hold (RFC 9110 §5.5): printable ASCII, space, tab, `obs-text`; no other control character.
pub(crate) fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// The non-empty members of a comma-separated list without quoted strings (RFC 9110 §5.6.1.2).
pub(crate) fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(trim)
        .filter(|member| !member.is_empty())
}

/// Without the optional whitespace around it (RFC 9110 §5.6.3).
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The header fields of a request in the order received, as (name, value without surrounding whitespace).
///
/// From [`Head::fields`](crate::Head::fields). Names keep their case; compare them with `eq_ignore_ascii_case`.
#[derive(Clone, Debug)]
pub struct Fields<'b> {
    /// What is left of a field section that was found well formed: lines, each `name ":" value CRLF`.
    lines: &'b [u8],
}

impl<'b> Fields<'b> {
    /// The fields of lines that [`Head::field_lines`](crate::Head::field_lines) gave.
    ///
    /// # Panics
    ///
    /// The iterator does, if other lines are given to it.
    pub fn new(lines: &'b [u8]) -> Self {
        Self { lines }
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = (&'b str, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let end = memchr::memchr(b'\n', self.lines)?;
        let (line, rest) = self.lines.split_at(end + 1);
        self.lines = rest;
        let colon = memchr::memchr(b':', line)?;
        let name = str::from_utf8(&line[..colon])
            .expect("the head was accepted, so a field name is a token");
        let value = line[colon + 1..].strip_suffix(b"\r\n")?;
        Some((name, trim(value)))
    }
}

impl FusedIterator for Fields<'_> {}
