//! What a function is told about its request: the meta-variables of CGI/1.1 (RFC 3875 §4.1) and WAGI's, and its
//! arguments.
//!
//! Pure: bytes in, bytes out. Where RFC 3875 leaves room, and where a client could abuse it:
//!
//! - `PATH_INFO` is decoded, but for `%00` and what is no encoding, which stay as they are: no variable is cut short.
//!   `X_RAW_PATH_INFO` is as it was sent. There is no file behind a path, so `PATH_TRANSLATED` is `PATH_INFO`, as in WAGI.
//! - `HTTP_*` comes only from names of letters, digits and hyphens. `X_Foo` would come out as `X-Foo` does, and a
//!   client could pass it for what a proxy in front has set; it is left out, as other servers do.
//! - Fields of one name become one value (RFC 3875 §4.1.18).
//! - Left out are `Proxy` (a library takes `HTTP_PROXY` for its own), `Authorization` unless the route passes it, what
//!   is a variable of its own, and what concerns the connection only.
//! - Nobody has checked a name or a password: `REMOTE_USER` and `AUTH_TYPE` are empty. `REMOTE_HOST` is the address, as
//!   RFC 3875 §4.1.9 has it where no name is looked up.
//!
//! Not here: a route's own variables, which are the sandbox's from the start and cannot have these names.

use crate::config::Abi;
use listener::Exchange;
use listener_http::{Fields, HEADERS_MAX, Method, Version};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

#[cfg(test)]
mod tests;

/// What functions see as the software that runs them.
const SOFTWARE: &str = concat!("luge/", env!("CARGO_PKG_VERSION"));

/// What of a route's environment is the same for every request.
#[derive(Clone, Debug)]
pub struct Cgi {
    /// Variables, each ended by a NUL byte.
    constant: Vec<u8>,
    /// Bytes of the path that are `SCRIPT_NAME`.
    script_name_bytes: usize,
    pass_authorization: bool,
}

/// A request as its environment is made from it.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub method: Method,
    pub version: Version,
    pub host: &'a [u8],
    pub path: &'a [u8],
    pub query: &'a [u8],
    pub fields: Fields<'a>,
    pub body_bytes: usize,
    pub client: Option<IpAddr>,
    /// Where it came in.
    pub server: SocketAddr,
}

impl<'a> Request<'a> {
    pub fn of(exchange: &'a Exchange, server: SocketAddr) -> Request<'a> {
        Request {
            method: exchange.method,
            version: exchange.version,
            host: exchange.host(),
            path: path(exchange),
            query: exchange.query(),
            fields: exchange.fields(),
            body_bytes: exchange.body.len(),
            client: exchange.client,
            server,
        }
    }
}

/// `http://host` has an empty path, which is the root's (RFC 9110 §4.2.3).
fn path(exchange: &Exchange) -> &[u8] {
    match exchange.path() {
        b"" => b"/",
        path => path,
    }
}

/// Appends the arguments: the parts of the query, and with WAGI the path before them.
pub(crate) fn push_arguments(exchange: &Exchange, abi: Abi, arguments: &mut Vec<u8>) {
    if abi == Abi::Wagi {
        arguments.extend_from_slice(path(exchange));
        arguments.push(0);
    }
    sandbox::push_arguments(exchange.query(), arguments);
}

impl Cgi {
    /// Of a route as it is configured.
    pub fn new(route: &str, pass_authorization: bool) -> Cgi {
        let script_name = route.trim_end_matches('/');
        let mut constant = Vec::new();
        for (name, value) in [
            ("AUTH_TYPE", ""),
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("REMOTE_USER", ""),
            ("SCRIPT_NAME", script_name),
            ("SERVER_SOFTWARE", SOFTWARE),
            ("X_MATCHED_ROUTE", route),
        ] {
            push(name, &[value.as_bytes()], &mut constant);
        }
        Cgi {
            constant,
            script_name_bytes: script_name.len(),
            pass_authorization,
        }
    }

    /// Appends the variables of a request, `NAME=value`, each ended by a NUL byte.
    pub(crate) fn push_environment(&self, request: &Request<'_>, out: &mut Vec<u8>) {
        let Request { path, query, .. } = *request;
        out.extend_from_slice(&self.constant);
        push("REQUEST_METHOD", &[request.method.as_str().as_bytes()], out);
        push("QUERY_STRING", &[query], out);
        let path_info = path.get(self.script_name_bytes..).unwrap_or_default();
        push("X_RAW_PATH_INFO", &[path_info], out);
        for name in ["PATH_INFO", "PATH_TRANSLATED"] {
            begin(name, out);
            push_decoded(path_info, out);
            out.push(0);
        }
        let protocol: &[u8] = match request.version {
            Version::Http10 => b"HTTP/1.0",
            Version::Http11 => b"HTTP/1.1",
        };
        push("SERVER_PROTOCOL", &[protocol], out);
        self.push_addresses(request, out);
        self.push_fields(request, out);
    }

    /// Who talks to whom.
    fn push_addresses(&self, request: &Request<'_>, out: &mut Vec<u8>) {
        let Request {
            server,
            path,
            query,
            ..
        } = *request;
        push_number("SERVER_PORT", usize::from(server.port()), out);
        for name in ["REMOTE_ADDR", "REMOTE_HOST"] {
            begin(name, out);
            if let Some(client) = request.client {
                write!(out, "{client}").expect("memory takes all");
            }
            out.push(0);
        }
        let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
        match host_name(request.host) {
            b"" => {
                begin("SERVER_NAME", out);
                push_host(server.ip(), out);
                out.push(0);
                begin("X_FULL_URL", out);
                write!(out, "http://{server}").expect("memory takes all");
                for part in [path, mark, query, b"\0"] {
                    out.extend_from_slice(part);
                }
            }
            name => {
                push("SERVER_NAME", &[name], out);
                let url = [b"http://", request.host, path, mark, query];
                push("X_FULL_URL", &url, out);
            }
        }
    }

    /// The header fields: `HTTP_*`, `CONTENT_TYPE`, `CONTENT_LENGTH`.
    fn push_fields(&self, request: &Request<'_>, out: &mut Vec<u8>) {
        let mut table = [("", &b""[..]); HEADERS_MAX];
        let mut hashes = [0; HEADERS_MAX];
        let mut count = 0;
        for ((name, value), at) in request.fields.clone().zip(0..HEADERS_MAX) {
            table[at] = (name, value);
            hashes[at] = hash(name);
            count += 1;
        }
        let fields = &table[..count];
        // RFC 9112 §3.2.2: a host in the target goes before the field.
        if !request.host.is_empty() {
            push("HTTP_HOST", &[request.host], out);
        }
        let mut has_body = false;
        for (at, (name, value)) in fields.iter().enumerate() {
            let same = |from: usize, to: usize| {
                let each = hashes[from..to].iter().zip(&fields[from..to]);
                let same = each.filter(|(hash, _)| **hash == hashes[at]);
                same.filter(|(_, (other, _))| other.eq_ignore_ascii_case(name))
            };
            has_body |= is_one_of(name, &["content-length", "transfer-encoding"]);
            if !self.is_shown(name) || same(0, at).next().is_some() {
                continue;
            }
            if !name.eq_ignore_ascii_case("content-type") {
                out.extend_from_slice(b"HTTP_");
            }
            out.extend(name.bytes().map(|byte| match byte {
                b'-' => b'_',
                byte => byte.to_ascii_uppercase(),
            }));
            out.push(b'=');
            out.extend_from_slice(value);
            // RFC 6265 §5.4: pairs of cookies are separated by semicolons.
            let is_cookie = name.eq_ignore_ascii_case("cookie");
            let separator = if is_cookie { b"; " } else { b", " };
            for (_, (_, value)) in same(at + 1, count) {
                out.extend_from_slice(separator);
                out.extend_from_slice(value);
            }
            out.push(0);
        }
        if has_body {
            push_number("CONTENT_LENGTH", request.body_bytes, out);
        }
    }

    fn is_shown(&self, name: &str) -> bool {
        const HIDDEN: [&str; 10] = [
            "authorization",
            "connection",
            "content-length",
            "host",
            "keep-alive",
            "proxy",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ];
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_proxys = name
            .get(..6)
            .is_some_and(|front| front.eq_ignore_ascii_case("proxy-"));
        let is_passed = self.pass_authorization && name.eq_ignore_ascii_case("authorization");
        name.bytes().all(is_plain) && !is_proxys && (is_passed || !is_one_of(name, &HIDDEN))
    }
}

/// FNV-1a of a name in lower case: a hundred names are compared with each other.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    })
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// A `Host` field's value without the port.
fn host_name(host: &[u8]) -> &[u8] {
    let end = match host.first() {
        Some(b'[') => host.iter().position(|&byte| byte == b']').map(|at| at + 1),
        _ => host.iter().position(|&byte| byte == b':'),
    };
    &host[..end.unwrap_or(host.len())]
}

/// As it stands in a URL.
fn push_host(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => write!(out, "{address}"),
        IpAddr::V6(address) => write!(out, "[{address}]"),
    }
    .expect("memory takes all");
}

fn begin(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'=');
}

fn push(name: &str, value: &[&[u8]], out: &mut Vec<u8>) {
    begin(name, out);
    value.iter().for_each(|part| out.extend_from_slice(part));
    out.push(0);
}

fn push_number(name: &str, number: usize, out: &mut Vec<u8>) {
    begin(name, out);
    write!(out, "{number}\0").expect("memory takes all");
}

/// Decodes `%41` and the like (RFC 3986 §2.1); NUL cannot stand in a variable and stays as it came.
fn push_decoded(path: &[u8], out: &mut Vec<u8>) {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        let decoded = match rest {
            [b'%', high, low, ..] => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match decoded {
            Some((high, low)) if high + low > 0 => {
                out.push((high << 4 | low) as u8);
                rest = &rest[3..];
            }
            _ => {
                out.push(*byte);
                rest = after;
            }
        }
    }
}
