//! A target as people write it, piece by piece: what is wrong with it, and the request that it is.
//!
//! Not here: where its server is, and how it is told from the others (`target`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use super::limits::FILE_MAX_BYTES;
use super::target::{Body, Statuses};

/// A target as it is written, in a file or as flags.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Written {
    /// Where to.
    pub url: String,
    /// What it is called in results.
    pub name: Option<String>,
    /// `GET`, or `POST` where there is a body.
    pub method: Option<String>,
    /// How often, compared with the other targets.
    pub weight: Option<f64>,
    /// Headers beside those that are always sent.
    pub headers: BTreeMap<String, String>,
    /// The body as text.
    pub body: Option<String>,
    /// The body as a file, from the folder of the file of targets.
    pub body_file: Option<PathBuf>,
    /// The status code that is right; else any 2xx is.
    pub expect_status: Option<u16>,
    /// The body that is right.
    pub expect_body: Option<String>,
    /// The length of the body that is right.
    pub expect_length: Option<u64>,
    /// The SHA-256 of the body that is right, in hexadecimal digits.
    pub expect_sha256: Option<String>,
}

/// The mistakes of one target.
pub(super) struct Problems<'p> {
    pub(super) place: &'p dyn Fn(&str) -> String,
    pub(super) found: Vec<String>,
}

impl Problems<'_> {
    pub(super) fn add(&mut self, key: &str, value: &dyn std::fmt::Debug, right: &str) {
        let place = (self.place)(key);
        let said = match place.starts_with("URL ") {
            true => place,
            false => format!("{place}: {value:?}"),
        };
        self.found
            .push(format!("{said} is not right; {right} would be"));
    }
}

impl Written {
    pub(super) fn method(&self, problems: &mut Problems<'_>) -> &str {
        let has_body = self.body.is_some() || self.body_file.is_some();
        let usual = if has_body { "POST" } else { "GET" };
        let method = self.method.as_deref().unwrap_or(usual);
        if !is_token(method) || method == "CONNECT" {
            problems.add(
                "method",
                &method,
                "a method such as GET or POST, and not CONNECT",
            );
        }
        method
    }

    pub(super) fn check_headers(&self, problems: &mut Problems<'_>) {
        for (name, value) in &self.headers {
            let key = "headers";
            let own = [
                "connection",
                "content-length",
                "expect",
                "transfer-encoding",
            ];
            let visible = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
            if !is_token(name) {
                problems.add(key, name, "a name such as X-Tenant");
            } else if own.contains(&&*name.to_ascii_lowercase()) {
                problems.add(
                    key,
                    name,
                    "a header that is not about the transfer, which is luge's matter,",
                );
            } else if !value.bytes().all(visible) {
                problems.add(key, value, "a value without control characters");
            }
        }
    }

    pub(super) fn request_body(
        &self,
        folder: &Path,
        problems: &mut Problems<'_>,
    ) -> Option<Vec<u8>> {
        match (&self.body, &self.body_file) {
            (Some(_), Some(file)) => {
                problems.add("body-file", file, "either a body or a file with it");
                None
            }
            (Some(text), None) => Some(text.clone().into_bytes()),
            (None, Some(file)) => read(&folder.join(file))
                .map_err(|error| {
                    problems.add(
                        "body-file",
                        file,
                        &format!("a file that can be read ({error})"),
                    );
                })
                .ok(),
            (None, None) => None,
        }
    }

    pub(super) fn statuses(&self, problems: &mut Problems<'_>) -> Statuses {
        match self.expect_status {
            None => Statuses::Success,
            Some(status) => {
                if !(200..=599).contains(&status) {
                    problems.add("expect-status", &status, "a status from 200 to 599");
                }
                Statuses::Only(status)
            }
        }
    }

    pub(super) fn expected_body(&self, problems: &mut Problems<'_>) -> Body {
        match (&self.expect_body, self.expect_length, &self.expect_sha256) {
            (None, None, None) => Body::Any,
            (Some(text), None, None) => Body::Exact(text.clone().into_bytes()),
            (None, Some(length), None) => Body::Length(length),
            (None, None, Some(digits)) => digest(digits).map_or_else(
                || {
                    problems.add("expect-sha256", digits, "64 hexadecimal digits");
                    Body::Any
                },
                Body::Sha256,
            ),
            (text, length, _) => {
                let (key, value): (_, &dyn std::fmt::Debug) = match (text, length) {
                    (Some(_), Some(length)) => ("expect-length", &length.clone()),
                    _ => ("expect-sha256", &self.expect_sha256),
                };
                problems.add(
                    key,
                    value,
                    "one of expect-body, expect-length and expect-sha256",
                );
                Body::Any
            }
        }
    }

    pub(super) fn render(
        &self,
        url: &Url,
        method: &str,
        body: Option<&[u8]>,
        keep_alive: bool,
    ) -> Vec<u8> {
        let mut head = format!("{method} {}", url.path());
        if let Some(query) = url.query() {
            head += "?";
            head += query;
        }
        head += " HTTP/1.1\r\n";
        let given = |name: &str| {
            self.headers
                .keys()
                .any(|given| given.eq_ignore_ascii_case(name))
        };
        if !given("host") {
            let host = url.host().map(|host| host.to_string()).unwrap_or_default();
            let port = url
                .port()
                .map(|port| format!(":{port}"))
                .unwrap_or_default();
            head += &format!("Host: {host}{port}\r\n");
        }
        if !given("user-agent") {
            head += concat!("User-Agent: luge-bench/", env!("CARGO_PKG_VERSION"), "\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        // RFC 9110 §8.6: a method that means something with a body says that there is none.
        if body.is_some() || ["POST", "PUT", "PATCH"].contains(&method) {
            head += &format!("Content-Length: {}\r\n", body.map_or(0, <[u8]>::len));
        }
        if !keep_alive {
            head += "Connection: close\r\n";
        }
        head += "\r\n";
        [head.as_bytes(), body.unwrap_or_default()].concat()
    }
}

/// Reads a file that is not too large.
///
/// # Errors
///
/// Why it cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > FILE_MAX_BYTES {
        true => Err(io::Error::other(format!(
            "more than {FILE_MAX_BYTES} bytes"
        ))),
        false => Ok(bytes),
    }
}

fn is_token(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(token)
}

fn digest(digits: &str) -> Option<[u8; 32]> {
    let hex = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate().filter(|_| hex) {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    hex.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests() {
        let digits = "0f".repeat(32);
        assert_eq!(digest(&digits), Some([15; 32]));
        for wrong in ["", "0f", &"0g".repeat(32), &"é".repeat(32)] {
            assert_eq!(digest(wrong), None);
        }
    }
}
