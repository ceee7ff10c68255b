//! Heads and the environments made of them.

use super::*;
use crate::config::CGI_VARIABLES;
use listener_http::{HeadParser, Limits, Parsed};

/// What is the same for every request to `/a` that says no more than it must.
const PLAIN: &str = "AUTH_TYPE= GATEWAY_INTERFACE=CGI/1.1 HTTP_HOST=h:1 PATH_INFO= PATH_TRANSLATED= QUERY_STRING= \
     REMOTE_ADDR=192.0.2.1 REMOTE_HOST=192.0.2.1 REMOTE_USER= REQUEST_METHOD=GET SCRIPT_NAME=/a SERVER_NAME=h \
     SERVER_PORT=8080 SERVER_PROTOCOL=HTTP/1.1 X_FULL_URL=http://h:1/a X_MATCHED_ROUTE=/a X_RAW_PATH_INFO=";

/// The environment, sorted, without the version of the software.
fn environment(route: &str, pass_authorization: bool, head: &str) -> Vec<String> {
    let text = format!("{head}\r\n\r\n");
    let parsed = HeadParser::new().parse(&Limits::default(), text.as_bytes());
    let Ok(Parsed::Head { head, .. }) = parsed else {
        panic!("{text}: {parsed:?}");
    };
    let request = Request {
        method: head.method,
        version: head.version,
        host: head.host.as_bytes(),
        path: head.path.as_bytes(),
        query: head.query.as_bytes(),
        fields: head.fields(),
        body_bytes: 5,
        client: Some("192.0.2.1".parse().expect("an address")),
        server: "[::1]:8080".parse().expect("an address"),
    };
    let mut out = Vec::new();
    Cgi::new(route, pass_authorization).push_environment(&request, &mut out);
    assert_eq!(out.pop(), Some(0));
    let variables = out.split(|&byte| byte == 0);
    let text = |variable: &[u8]| String::from_utf8_lossy(variable).into_owned();
    let mut variables: Vec<_> = variables.map(text).collect();
    let software = format!("SERVER_SOFTWARE={SOFTWARE}");
    let at = variables.iter().position(|variable| *variable == software);
    variables.remove(at.expect("it says who it is"));
    variables.sort();
    variables
}

/// Checks the variables that are not as in [`PLAIN`], and those that are missing.
#[track_caller]
fn check(route: &str, head: &str, expected: &[&str]) {
    check_passing(false, route, head, expected);
}

#[track_caller]
fn check_passing(pass_authorization: bool, route: &str, head: &str, expected: &[&str]) {
    let got = environment(route, pass_authorization, head);
    let plain: Vec<_> = PLAIN.split_whitespace().collect();
    let differ: Vec<_> = got.iter().filter(|it| !plain.contains(&&***it)).collect();
    assert_eq!(differ, expected, "{head}");
    let name = |variable: &str| variable.split('=').next().map(str::to_owned);
    let names: Vec<_> = got.iter().map(|variable| name(variable)).collect();
    let mut once = names.clone();
    once.dedup();
    assert_eq!(names, once, "each name once");
    for variable in &plain {
        assert!(names.contains(&name(variable)), "{head}: no {variable}");
    }
}

#[test]
fn a_plain_request() {
    check("/a", "GET /a HTTP/1.1\r\nHost: h:1", &[]);
}

#[test]
fn paths_and_queries() {
    let check = |route: &str, target: &str, expected: &[&str]| {
        let head = format!("GET {target} HTTP/1.1\r\nHost: h:1");
        let got = environment(route, false, &head);
        let names = [
            "SCRIPT_NAME",
            "X_RAW_PATH_INFO",
            "PATH_INFO",
            "QUERY_STRING",
            "X_FULL_URL",
        ];
        let of = |name: &&str| {
            let variable = got
                .iter()
                .find_map(|it| it.strip_prefix(*name)?.strip_prefix('='));
            variable.expect("is there").to_owned()
        };
        let got: Vec<_> = names.iter().map(of).collect();
        assert_eq!(got, expected, "{route} {target}");
    };
    check(
        "/a",
        "/a/b?c&d=%20",
        &["/a", "/b", "/b", "c&d=%20", "http://h:1/a/b?c&d=%20"],
    );
    check("/a", "/a/", &["/a", "/", "/", "", "http://h:1/a/"]);
    check("/", "/a/b", &["", "/a/b", "/a/b", "", "http://h:1/a/b"]);
    check("/", "/", &["", "/", "/", "", "http://h:1/"]);
    check(
        "/a",
        "/a/%41%2fb%c3%a9",
        &[
            "/a",
            "/%41%2fb%c3%a9",
            "/A/b\u{e9}",
            "",
            "http://h:1/a/%41%2fb%c3%a9",
        ],
    );
    // No variable is cut short, and what is no encoding stays.
    check(
        "/a",
        "/a/%00x",
        &["/a", "/%00x", "/%00x", "", "http://h:1/a/%00x"],
    );
    check(
        "/a",
        "/a/%%41%4",
        &["/a", "/%%41%4", "/%A%4", "", "http://h:1/a/%%41%4"],
    );
    check(
        "/a",
        "/a/%zz%+1",
        &["/a", "/%zz%+1", "/%zz%+1", "", "http://h:1/a/%zz%+1"],
    );
    check(
        "/a",
        "http://other/a/b",
        &["/a", "/b", "/b", "", "http://other/a/b"],
    );
}

#[test]
fn servers_have_names() {
    let check = |head: &str, name: &str, url: &str| {
        let got = environment("/a", false, head);
        let name = format!("SERVER_NAME={name}");
        let url = format!("X_FULL_URL={url}");
        assert!(got.contains(&name) && got.contains(&url), "{head}: {got:?}");
    };
    check(
        "GET /a HTTP/1.1\r\nHost: [::2]:80",
        "[::2]",
        "http://[::2]:80/a",
    );
    check("GET /a HTTP/1.1\r\nHost: [::2]", "[::2]", "http://[::2]/a");
    check("GET /a HTTP/1.1\r\nHost:", "[::1]", "http://[::1]:8080/a");
    check("GET /a HTTP/1.0", "[::1]", "http://[::1]:8080/a");
    check(
        "GET /a HTTP/1.1\r\nHost: :80",
        "[::1]",
        "http://[::1]:8080/a",
    );
}

#[test]
fn header_fields_become_variables() {
    let check = |fields: &str, expected: &[&str]| {
        check(
            "/a",
            &format!("GET /a HTTP/1.1\r\nHost: h:1\r\n{fields}"),
            expected,
        );
    };
    check(
        "X-Foo: b c\r\naccept:*/*",
        &["HTTP_ACCEPT=*/*", "HTTP_X_FOO=b c"],
    );
    check("Empty:", &["HTTP_EMPTY="]);
    check("Eq: a=b=c", &["HTTP_EQ=a=b=c"]);
    check("Content-Type: text/x", &["CONTENT_TYPE=text/x"]);
    // RFC 3875 §4.1.18
    check(
        "A: 1\r\nB: 2\r\na: 3\r\nA: 4",
        &["HTTP_A=1, 3, 4", "HTTP_B=2"],
    );
    check("Cookie: a=1\r\nCookie: b=2", &["HTTP_COOKIE=a=1; b=2"]);
}

#[test]
fn some_header_fields_do_not() {
    for field in [
        "Proxy: http://evil",
        "PROXY: http://evil",
        "pRoXy: http://evil",
        "Proxy-Authorization: x",
        "Proxy-Connection: x",
        "Authorization: Basic x",
        "AUTHORIZATION: Basic x",
        "X_Foo: b",
        "X.Foo: b",
        "Proxy_: b",
        "Content_Type: b",
        "Content_Length: 1",
        "Connection: keep-alive",
        "Keep-Alive: 5",
        "TE: trailers",
        "Trailer: a",
        "Upgrade: a",
    ] {
        check(
            "/a",
            &format!("GET /a HTTP/1.1\r\nHost: h:1\r\n{field}"),
            &[],
        );
    }
    // Nor does one that is left out stand in for the one that is not.
    let clash = "GET /a HTTP/1.1\r\nHost: h:1\r\nX_Foo: evil\r\nX-Foo: good\r\nX_Foo: evil";
    check("/a", clash, &["HTTP_X_FOO=good"]);
}

#[test]
fn authorization_is_passed_if_allowed() {
    let head = "GET /a HTTP/1.1\r\nHost: h:1\r\nAuthorization: Basic x\r\nProxy-Authorization: y";
    check_passing(true, "/a", head, &["HTTP_AUTHORIZATION=Basic x"]);
    check_passing(false, "/a", head, &[]);
}

#[test]
fn a_body_has_a_length() {
    let length = &["CONTENT_LENGTH=5", "REQUEST_METHOD=POST"];
    check(
        "/a",
        "POST /a HTTP/1.1\r\nHost: h:1\r\nContent-Length: 5",
        length,
    );
    check(
        "/a",
        "POST /a HTTP/1.1\r\nHost: h:1\r\nTransfer-Encoding: chunked",
        length,
    );
    check(
        "/a",
        "POST /a HTTP/1.1\r\nHost: h:1",
        &["REQUEST_METHOD=POST"],
    );
    check(
        "/a",
        "GET /a HTTP/1.0\r\nHost: h:1\r\nContent-Length: 5",
        &["CONTENT_LENGTH=5", "SERVER_PROTOCOL=HTTP/1.0"],
    );
}

#[test]
fn the_list_of_variables_is_true() {
    let head = "POST /a HTTP/1.1\r\nHost: h:1\r\nContent-Length: 5\r\nContent-Type: x";
    let got = environment("/a", false, head);
    let name = |variable: &String| variable.split('=').next().map(str::to_owned);
    let mut names: Vec<_> = got.iter().filter_map(name).collect();
    names.retain(|name| !name.starts_with("HTTP_"));
    names.push("SERVER_SOFTWARE".to_owned());
    names.sort();
    assert_eq!(names, CGI_VARIABLES);
}
