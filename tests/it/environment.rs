//! What functions are told: all of their environment, nothing of the server's; their arguments. And that a guest
//! which reads and writes as it likes waits for nobody.

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Server, Setup, repository, route, route_with};
use crate::process::{Folder, Serving, luge};

/// Arguments and environment, sorted, as `dump.wat` tells them.
fn dump(client: &mut Client, request: &str) -> (Vec<String>, Vec<String>) {
    client.send(request);
    let response = client.response();
    assert_eq!(response.status, 200, "{request}");
    let body = response.body;
    // Where the function does not speak CGI, its head is part of the body.
    let body = body
        .strip_prefix(b"Content-Type: x/dump\n\n")
        .unwrap_or(&body);
    let text = String::from_utf8(body.to_vec()).expect("text");
    let (arguments, environment) = text.split_once("\0\0").expect("both");
    let strings = |text: &str| -> Vec<String> {
        let strings = text.split_terminator('\0');
        strings.map(str::to_owned).collect()
    };
    let mut environment = strings(environment);
    environment.sort();
    (strings(arguments), environment)
}

fn serve(keys: Value) -> Server {
    let dump = route_with("/dump", "dump.wat", keys);
    Setup::default().serve(&[dump, route("/echo", "echo/echo.wasm")])
}

/// The exact environment of a request for `/dump`, with what differs put in and `-NAME` left out.
fn expected(server: &Server, differences: &[&str]) -> Vec<String> {
    let port = server.address().port();
    let version = env!("CARGO_PKG_VERSION");
    let mut all = [
        "AUTH_TYPE=",
        "GATEWAY_INTERFACE=CGI/1.1",
        "HTTP_HOST=a",
        "PATH_INFO=",
        "PATH_TRANSLATED=",
        "QUERY_STRING=",
        "REMOTE_ADDR=127.0.0.1",
        "REMOTE_HOST=127.0.0.1",
        "REMOTE_USER=",
        "REQUEST_METHOD=GET",
        "SCRIPT_NAME=/dump",
        "SERVER_NAME=a",
        "SERVER_PROTOCOL=HTTP/1.1",
        "X_FULL_URL=http://a/dump",
        "X_MATCHED_ROUTE=/dump",
        "X_RAW_PATH_INFO=",
    ]
    .map(str::to_owned)
    .to_vec();
    all.push(format!("SERVER_PORT={port}"));
    all.push(format!("SERVER_SOFTWARE=luge/{version}"));
    for difference in differences {
        let name = difference.trim_start_matches('-').split('=').next();
        all.retain(|variable| variable.split('=').next() != name);
        if !difference.starts_with('-') {
            all.push((*difference).to_owned());
        }
    }
    all.sort();
    all
}

#[test]
fn a_function_sees_its_request_and_its_route() {
    let env = json!({"LEVEL": "1", "EMPTY": "", "KEY": "$$a=b"});
    let own = ["LEVEL=1", "EMPTY=", "KEY=$a=b"];
    let server = serve(json!({"env": env}));
    let mut client = server.client();
    let mut check = |request: &str, differences: &[&str]| {
        let (_, environment) = dump(&mut client, request);
        let differences = [&own, differences].concat();
        assert_eq!(environment, expected(&server, &differences), "{request}");
    };
    check("GET /dump HTTP/1.1\r\nHost: a\r\n\r\n", &[]);
    check(
        "POST /dump/x%20y?q=1&r HTTP/1.1\r\nHost: a:81\r\nContent-Type: text/x\r\nContent-Length: 3\r\n\
         Authorization: Basic eA==\r\nProxy: http://evil\r\nX_Foo: evil\r\nX-Foo: good\r\n\r\nabc",
        &[
            "CONTENT_LENGTH=3",
            "CONTENT_TYPE=text/x",
            "HTTP_HOST=a:81",
            "HTTP_X_FOO=good",
            "PATH_INFO=/x y",
            "PATH_TRANSLATED=/x y",
            "QUERY_STRING=q=1&r",
            "REQUEST_METHOD=POST",
            "X_FULL_URL=http://a:81/dump/x%20y?q=1&r",
            "X_RAW_PATH_INFO=/x%20y",
        ],
    );
    check(
        "POST /dump HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        &["CONTENT_LENGTH=2", "REQUEST_METHOD=POST"],
    );
    let port = server.address().port();
    check(
        "GET /dump HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        &[
            "-HTTP_HOST",
            "SERVER_NAME=127.0.0.1",
            "SERVER_PROTOCOL=HTTP/1.0",
            &format!("X_FULL_URL=http://127.0.0.1:{port}/dump"),
        ],
    );
    // Nothing of all that is left for the next.
    check("GET /dump HTTP/1.1\r\nHost: a\r\n\r\n", &[]);
}

#[test]
fn authorization_is_passed_where_the_route_allows_it() {
    let request = "GET /dump HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n";
    for (allowed, differences) in [(true, &["HTTP_AUTHORIZATION=Bearer x"][..]), (false, &[])] {
        let server = serve(json!({"pass-authorization": allowed}));
        let (_, environment) = dump(&mut server.client(), request);
        assert_eq!(environment, expected(&server, differences), "{allowed}");
    }
}

#[test]
fn arguments_are_the_querys_and_with_wagi_the_path_before_them() {
    for (abi, first) in [("sledge", "dump"), ("wagi", "/dump/a%20b")] {
        let server = serve(json!({"abi": abi}));
        let check = |query: &str, rest: &[&str]| {
            let request = format!("GET /dump/a%20b{query} HTTP/1.1\r\nHost: a\r\n\r\n");
            let (arguments, _) = dump(&mut server.client(), &request);
            assert_eq!(arguments, [&[first], rest].concat(), "{abi} {query}");
        };
        check("", &[]);
        check("?10", &["10"]);
        check("?a=1&b=%20&c", &["a=1", "b=%20", "c"]);
    }
}

#[test]
fn clients_are_in_the_access_log() {
    let server = serve(json!({}));
    server.client().get("/dump");
    server.client().get("/nowhere");
    assert_eq!(server.end().each("client"), ["127.0.0.1", "127.0.0.1"]);
}

/// The program's own variables, with a canary among them, and secrets of a route: a function sees the latter only,
/// and nobody sees them in what the program says.
#[test]
fn nothing_of_the_servers_environment_is_seen_and_no_secret_told() {
    let folder = Folder::new();
    folder.write("token", "s3cret-of-file\n");
    let spec = |port: u16| {
        let env = json!({"TOKEN": "${file:token}", "VARIABLE": "<${env:CANARY}>"});
        let dump = repository("tests/guests/dump.wat");
        let route = route_with("/dump", &dump.to_string_lossy(), json!({"env": env}));
        json!([{"name": "one", "port": port, "routes": [route]}]).to_string()
    };
    let path = folder.write("spec.json", &spec(1024));
    let cache = folder.path("cache");
    let command = |name: &str| {
        let mut command = luge();
        command.arg(name).arg(&path).env("LUGE_CACHE_DIR", &cache);
        command
    };
    let with_canary = |name: &str| {
        let mut command = command(name);
        command.env("CANARY", "s3cret-of-server");
        command
    };
    for name in ["check", "compile"] {
        let output = with_canary(name).output().expect("it runs");
        assert!(output.status.success(), "{name}: {output:?}");
        assert!(!format!("{output:?}").contains("s3cret"), "{output:?}");
        let output = command(name).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("${env:CANARY}") && said.contains("is not set"),
            "{said}"
        );
        assert!(!format!("{output:?}").contains("s3cret"), "{output:?}");
    }
    let serving = Serving::somewhere(|port| {
        folder.write("spec.json", &spec(port));
        let mut command = with_canary("serve");
        command.args(["--log-level", "debug"]);
        command
    });
    let request = "GET /dump HTTP/1.1\r\nHost: a\r\n\r\n";
    let (_, environment) = dump(&mut serving.client(), request);
    let name = |variable: &String| variable.split('=').next().map(str::to_owned);
    let names: Vec<_> = environment.iter().filter_map(name).collect();
    let mut known = names_of_a_request();
    known.extend(["TOKEN", "VARIABLE"].map(str::to_owned));
    known.sort();
    assert_eq!(names, known);
    for own in ["TOKEN=s3cret-of-file", "VARIABLE=<s3cret-of-server>"] {
        assert!(environment.iter().any(|variable| variable == own), "{own}");
    }
    let ended = serving.stopped();
    let said = format!("{} {:?}", ended.err, ended.out);
    assert!(!said.contains("s3cret"), "{said}");
}

/// Those of a request without a body.
fn names_of_a_request() -> Vec<String> {
    let names = luge::config::CGI_VARIABLES.into_iter();
    let names = names.filter(|name| !name.starts_with("CONTENT_"));
    names.chain(["HTTP_HOST"]).map(str::to_owned).collect()
}

#[test]
fn guests_read_and_write_as_they_like() {
    let server = Setup::default().serve(&[
        route("/empty", "empty/empty.wasm"),
        route("/eager", "eager.wat"),
    ]);
    let mut client = server.client();
    let body = vec![b'x'; 8 << 20];
    // Reads nothing of a large body.
    assert_eq!(client.post("/empty", &body).status, 200);
    // Writes more than any pipe holds before it reads.
    let answer = client.post("/eager", &body);
    assert_eq!(
        (answer.status, answer.body.len()),
        (200, (4 << 20) + body.len())
    );
    assert!(answer.body.ends_with(&body));
    assert_eq!(client.get("/eager").body.len(), 4 << 20);
}
