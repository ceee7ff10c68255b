//! What is asked and what is expected: from flags or a file of targets to bytes to send. All mistakes are told at once.
//!
//! Not here: TLS, and anything that differs from one request of a target to the next.

use std::net::ToSocketAddrs as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::value::RawValue;
use socket2::SockAddr;
use url::{Host, Url};

use super::limits::TARGETS_MAX;
use super::written::{Problems, Written, read};

/// The statuses that are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statuses {
    /// Any 2xx.
    Success,
    /// This one.
    Only(u16),
}

/// The bodies that are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Any.
    Any,
    /// Any of this length in bytes.
    Length(u64),
    /// This one.
    Exact(Vec<u8>),
    /// Any with this digest.
    Sha256([u8; 32]),
}

/// What a right answer is.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Its statuses.
    pub statuses: Statuses,
    /// Its bodies.
    pub body: Body,
    /// Whether it has no body, as the request was a HEAD.
    pub is_head: bool,
}

/// A target, ready to be sent.
#[derive(Clone, Debug)]
pub struct Target {
    /// What it is called in results; no two have the same.
    pub name: String,
    /// Which server's, as an index.
    pub origin: usize,
    /// How often, compared with the other targets; above 0.
    pub weight: f64,
    /// The whole request.
    pub request: Arc<[u8]>,
    /// What a right answer is.
    pub expected: Expected,
}

/// A server.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Host and port.
    pub authority: String,
    /// Where it may be reached; at least one.
    pub addresses: Vec<Arc<SockAddr>>,
}

/// Targets and their servers.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// At least one.
    pub targets: Vec<Target>,
    /// At least one.
    pub origins: Vec<Origin>,
    /// Whether connections are used for more than one request.
    keep_alive: bool,
    /// What is wrong, each with its place and what would be right.
    problems: Vec<String>,
}

/// The name of the row of all targets.
pub const ALL: &str = "all";

impl Targets {
    /// Checks targets that were given as flags.
    ///
    /// # Errors
    ///
    /// All mistakes, each with its flag and what would be right.
    pub fn from_flags(written: &[Written], keep_alive: bool) -> Result<Self, Vec<String>> {
        let mut targets = Self::new(keep_alive);
        for written in written {
            targets.add(written, Path::new(""), &|key| match key {
                "url" => format!("URL {:?}", written.url),
                key => format!("--{key}"),
            });
        }
        targets.checked()
    }

    /// Reads a file of targets: a JSON array of [`Written`].
    ///
    /// # Errors
    ///
    /// All mistakes, each with its place and what would be right.
    pub fn from_file(path: &Path, keep_alive: bool) -> Result<Self, Vec<String>> {
        let one = |problem: String| vec![format!("{}: {problem}", path.display())];
        let bytes = read(path).map_err(|error| one(error.to_string()))?;
        let items: Vec<&RawValue> = serde_json::from_slice(&bytes)
            .map_err(|error| one(format!("{error}; a JSON array of targets would be right")))?;
        if !(1..=TARGETS_MAX).contains(&items.len()) {
            let count = items.len();
            return Err(one(format!(
                "{count} targets; 1 to {TARGETS_MAX} would be right"
            )));
        }
        let mut targets = Self::new(keep_alive);
        let folder = path.parent().unwrap_or(Path::new(""));
        for (index, item) in items.iter().enumerate() {
            let place = |key: &str| format!("{}: $[{index}].{key}", path.display());
            match serde_json::from_str::<Written>(item.get()) {
                Ok(written) => targets.add(&written, folder, &place),
                Err(error) => {
                    let error = error.to_string();
                    // The position is within the item, of which the reader knows nothing.
                    let reason = error.split(" at line ").next().unwrap_or(&error);
                    let place = format!("{}: $[{index}]", path.display());
                    targets.problems.push(format!("{place}: {reason}"));
                }
            }
        }
        targets.checked()
    }

    fn new(keep_alive: bool) -> Self {
        Self {
            keep_alive,
            ..Self::default()
        }
    }

    fn checked(self) -> Result<Self, Vec<String>> {
        match self.problems.is_empty() {
            true => Ok(self),
            false => Err(self.problems),
        }
    }

    fn add(&mut self, written: &Written, folder: &Path, place: &dyn Fn(&str) -> String) {
        let mut problems = Problems {
            place,
            found: Vec::new(),
        };
        let origin = self.origin(&written.url, &mut problems);
        let weight = written.weight.unwrap_or(1.0);
        if !(1e-6..=1e6).contains(&weight) {
            problems.add("weight", &weight, "a number from 0.000001 to 1000000");
        }
        let body = written.request_body(folder, &mut problems);
        let method = written.method(&mut problems);
        written.check_headers(&mut problems);
        let expected = Expected {
            statuses: written.statuses(&mut problems),
            body: written.expected_body(&mut problems),
            is_head: method == "HEAD",
        };
        let found = problems.found;
        if let (Some((origin, url)), true) = (origin, found.is_empty()) {
            let request = written.render(&url, method, body.as_deref(), self.keep_alive);
            self.targets.push(Target {
                name: self.unique_name(written.name.as_deref(), &url),
                origin,
                weight,
                request: request.into(),
                expected,
            });
        }
        // Flags are the same for several URLs.
        for problem in found {
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }

    /// The server of a URL, found by name once.
    fn origin(&mut self, text: &str, problems: &mut Problems<'_>) -> Option<(usize, Url)> {
        const RIGHT: &str = "such as http://127.0.0.1:10010/fib?30";
        let Some(url) = Url::parse(text).ok().filter(|url| url.has_host()) else {
            problems.add("url", &text, RIGHT);
            return None;
        };
        let plain = url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
        let (true, Some(host), Some(port)) = (plain, url.host(), url.port_or_known_default())
        else {
            let right = "plain http:// without a user (there is no TLS here)";
            problems.add("url", &text, right);
            return None;
        };
        let authority = format!("{host}:{port}");
        let known = self
            .origins
            .iter()
            .position(|origin| origin.authority == authority);
        let at = known.unwrap_or_else(|| {
            let found = match host {
                Host::Domain(name) => (name, port).to_socket_addrs().map(Vec::from_iter),
                Host::Ipv4(address) => Ok(vec![(address, port).into()]),
                Host::Ipv6(address) => Ok(vec![(address, port).into()]),
            };
            match found {
                Ok(found) if !found.is_empty() => {
                    let addresses = found.into_iter().map(|address| Arc::new(address.into()));
                    let addresses = addresses.collect();
                    self.origins.push(Origin {
                        authority,
                        addresses,
                    });
                }
                Ok(_) => problems.add("url", &text, "a host that has an address"),
                Err(error) => {
                    problems.add("url", &text, &format!("a host that can be found ({error})"))
                }
            }
            self.origins.len().saturating_sub(1)
        });
        Some((at, url))
    }

    fn unique_name(&self, name: Option<&str>, url: &Url) -> String {
        let usual = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let name = name.unwrap_or(&usual);
        let taken =
            |name: &str| name == ALL || self.targets.iter().any(|target| target.name == name);
        match taken(name) {
            false => name.to_owned(),
            true => {
                let mut names = (2..).map(|nth| format!("{name} #{nth}"));
                names.find(|name| !taken(name)).expect("numbers do not end")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: &str) -> Written {
        serde_json::from_str(json).expect(json)
    }

    #[test]
    fn requests_are_rendered() {
        let agent = concat!("User-Agent: luge-bench/", env!("CARGO_PKG_VERSION"), "\r\n");
        for (json, keep_alive, expected) in [
            (
                r#"{"url": "http://127.0.0.1:81/a?b"}"#,
                true,
                format!("GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:81\r\n{agent}\r\n"),
            ),
            (
                r#"{"url": "http://[::1]", "method": "POST", "headers": {"X": "y"}}"#,
                false,
                format!(
                    "POST / HTTP/1.1\r\nHost: [::1]\r\n{agent}X: y\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                ),
            ),
            (
                r#"{"url": "http://127.0.0.1/#c", "body": "hi", "headers": {"host": "a", "user-agent": "b"}}"#,
                true,
                "POST / HTTP/1.1\r\nhost: a\r\nuser-agent: b\r\nContent-Length: 2\r\n\r\nhi"
                    .to_owned(),
            ),
        ] {
            let targets = Targets::from_flags(&[written(json)], keep_alive).expect(json);
            let request = String::from_utf8_lossy(&targets.targets[0].request);
            assert_eq!(request, expected);
        }
    }

    #[test]
    fn servers_are_shared_and_names_are_not() {
        let urls = [
            "http://127.0.0.1:81/a",
            "http://127.0.0.1:81/a",
            "http://127.0.0.2:81/all?",
        ];
        let all: Vec<Written> = urls
            .map(|url| Written {
                url: url.to_owned(),
                ..Written::default()
            })
            .into();
        let targets = Targets::from_flags(&all, true).expect("they are right");
        let names: Vec<&str> = targets.targets.iter().map(|target| &*target.name).collect();
        assert_eq!(names, ["/a", "/a #2", "/all?"]);
        let origins: Vec<usize> = targets.targets.iter().map(|target| target.origin).collect();
        assert_eq!((origins, targets.origins.len()), (vec![0, 0, 1], 2));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let json = r#"{"url": "https://127.0.0.1", "method": "G T", "weight": 0, "headers": {"a b": "c", "Content-Length": "1", "d": "\n"},
            "body": "x", "body-file": "y", "expect-status": 99, "expect-length": 1, "expect-sha256": "zz"}"#;
        let problems = Targets::from_flags(&[written(json)], true).expect_err("it is wrong");
        let places = problems
            .iter()
            .map(|problem| problem.split(':').next().unwrap_or(""));
        let places: Vec<&str> = places.collect();
        assert_eq!(
            places,
            [
                "URL \"https",
                "--weight",
                "--body-file",
                "--method",
                "--headers",
                "--headers",
                "--headers",
                "--expect-status",
                "--expect-sha256"
            ],
            "{problems:#?}"
        );
    }
}
