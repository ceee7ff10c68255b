//! Bad specs as tables: what is said about each, and where.

use serde_json::{Value, json};

use super::{WHOLE, check, read, with_route, with_routes, with_tenant};
use crate::config::LoadOptions;

/// Keys of a tenant, and what is wrong where.
#[rustfmt::skip]
const TENANTS: &[(&str, &str, &str, &str)] = &[
    (r#"{"name": ""}"#, "name", "has 0 characters", "1 to 255"),
    (r#"{"name": null}"#, "name", "is null", "a string"),
    (r#"{"name": "a\nb"}"#, "name", "control characters", "printable"),
    (r#"{"port": "80"}"#, "port", "is a string, not an integer", "1 to 65535"),
    (r#"{"port": 80.5}"#, "port", "fraction", "1 to 65535"),
    (r#"{"port": 0}"#, "port", "out of range", "1 to 65535"),
    (r#"{"port": -1}"#, "port", "out of range", "1 to 65535"),
    (r#"{"port": 65536}"#, "port", "out of range", "1 to 65535"),
    (r#"{"routes": []}"#, "routes", "has 0 entries", "an array of 1"),
    (r#"{"routes": {}}"#, "routes", "is an object", "an array"),
    (r#"{"routes": ["/a"]}"#, "routes[0]", "not a route", "route, path"),
    (r#"{"max-budget-us": 5}"#, "max-budget-us", "no replenishment-period-us", "both"),
    (r#"{"max-budget-us": true}"#, "max-budget-us", "a boolean", "an integer"),
    (r#"{"weight": 0}"#, "weight", "out of range", "1 to 10000"),
    (r#"{"weight": 10001}"#, "weight", "out of range", "1 to 10000"),
    (r#"{"Port": 1}"#, "Port", "no such key", "did you mean \"port\"?"),
    (r#"{"max_budget_us": 1}"#, "max_budget_us", "no such key", "\"max-budget-us\"?"),
    (r#"{"path": "a.wasm"}"#, "path", "no such key", "belongs into a route"),
    (r#"{"colour": 1}"#, "colour", "no such key", "may hold max-budget-us, name, port"),
];

/// Keys of a route, and what is wrong where.
#[rustfmt::skip]
const ROUTES: &[(&str, &str, &str, &str)] = &[
    (r#"{"route": "a"}"#, "route", "does not begin", "such as \"/fib\""),
    (r#"{"route": ""}"#, "route", "has 0 characters", "1 to 1024"),
    (r#"{"route": "/a?b"}"#, "route", "never has '?'", "without query"),
    (r#"{"route": "/a#b"}"#, "route", "never has '#'", "without query"),
    (r#"{"route": "/a b"}"#, "route", "never has ' '", "without query"),
    (r#"{"route": "/\u007f"}"#, "route", "never has", "without query"),
    (r#"{"route": 1}"#, "route", "an integer, not a string", "a string"),
    (r#"{"path": "c.wasm"}"#, "path", "the module does not exist", "relative to the spec"),
    (r#"{"path": "c.wasm.so"}"#, "path", "\"c.wasm\" does not exist", "beside it"),
    (r#"{"path": "a_wasm.so"}"#, "path", "ends neither", ".wasm or .wat"),
    (r#"{"path": "a"}"#, "path", "ends neither", ".wasm or .wat"),
    (r#"{"path": ["a.wasm"]}"#, "path", "is an array", "a string"),
    (r#"{"relative-deadline-us": 0}"#, "relative-deadline-us", "range", "1 to 86400"),
    (r#"{"relative-deadline-us": 1e3}"#, "relative-deadline-us", "exponent", "an integer"),
    (r#"{"expected-execution-us": -1}"#, "expected-execution-us", "range", "0 to"),
    (r#"{"admissions-percentile": 49}"#, "admissions-percentile", "range", "50 to 99"),
    (r#"{"admissions-percentile": 100}"#, "admissions-percentile", "range", "50 to 99"),
    (r#"{"model-bias": 1}"#, "model-bias", "without \"model-scale\", \"model-num-of-param\", \"model-beta1\"", "all of model-bias, "),
    (r#"{"model-beta1": 1, "model-num-of-param": 1}"#, "model-num-of-param", "without \"model-bias\", \"model-scale\"", "or none"),
    (r#"{"model-bias": 1, "model-scale": 1, "model-num-of-param": 2, "model-beta1": 1}"#, "model-bias", "without \"model-beta2\"", "or none"),
    (r#"{"model-bias": 1, "model-scale": 0, "model-num-of-param": 1, "model-beta1": 1}"#, "model-scale", "range", "1 to 4294967295"),
    (r#"{"model-bias": -1, "model-scale": 1, "model-num-of-param": 1, "model-beta1": 1}"#, "model-bias", "range", "0 to 86400"),
    (r#"{"model-bias": 0.5, "model-scale": 1, "model-num-of-param": 1, "model-beta1": 1}"#, "model-bias", "fraction", "an integer"),
    (r#"{"model-bias": 1, "model-scale": 1, "model-num-of-param": 3, "model-beta1": 1}"#, "model-num-of-param", "range", "1 to 2"),
    (r#"{"model-bias": 1, "model-scale": 1, "model-num-of-param": 1, "model-beta1": true}"#, "model-beta1", "a boolean, not a number", "a number, -1000000000 to 1000000000"),
    (r#"{"model-bias": 1, "model-scale": 1, "model-num-of-param": 1, "model-beta1": "much"}"#, "model-beta1", "reckoned with", "such as 0.25"),
    (r#"{"model-bias": 1, "model-scale": 1, "model-num-of-param": 1, "model-beta1": 1e10}"#, "model-beta1", "reckoned with", "-1000000000 to"),
    (r#"{"model-bias": 1, "model-scale": 1, "model-num-of-param": 1, "model-beta1": "inf"}"#, "model-beta1", "reckoned with", "-1000000000 to"),
    (r#"{"model-bias": 1, "model-scale": 1, "model-num-of-param": 2, "model-beta1": 1, "model-beta2": "NaN"}"#, "model-beta2", "reckoned with", "a number"),
    (r#"{"stack-size": 1}"#, "stack-size", "range", "16384 to"),
    (r#"{"max-memory-bytes": 1099511627776}"#, "max-memory-bytes", "range", "65536 to 4294967296"),
    (r#"{"cpu-limit-us": 0}"#, "cpu-limit-us", "range", "1 to 86400"),
    (r#"{"debug": "yes"}"#, "debug", "is a string, not a boolean", "true or false"),
    (r#"{"server-timing": 1}"#, "server-timing", "is an integer, not a boolean", "true or false"),
    (r#"{"latency-objective-us": 0}"#, "latency-objective-us", "range", "1 to 86400"),
    (r#"{"deadline-action": "kill"}"#, "deadline-action", "no relative-deadline-us", "both keys"),
    (r#"{"deadline-action": "drop"}"#, "deadline-action", "none of the", "\"none\", \"kill\", \"drop-unstarted\""),
    (r#"{"max-body-bytes": "1MB"}"#, "max-body-bytes", "is a string", "an integer, 0"),
    (r#"{"methods": []}"#, "methods", "has 0 entries", "one of \"GET\", \"HEAD\""),
    (r#"{"methods": ["GET", "get"]}"#, "methods[1]", "none of the", "one of \"GET\""),
    (r#"{"methods": "GET"}"#, "methods", "is a string", "an array"),
    (r#"{"stderr": "BODY"}"#, "stderr", "none of the", "\"body\", \"log\", \"drop\""),
    (r#"{"stderr": 1}"#, "stderr", "an integer, not a string", "\"body\""),
    (r#"{"scratch": "tmp"}"#, "scratch", "does not begin", "such as \"/tmp\""),
    (r#"{"scratch": "/a/../b"}"#, "scratch", "\"..\"", "absolute"),
    (r#"{"scratch": ""}"#, "scratch", "has 0 characters", "1 to 4096"),
    (r#"{"dirs": {}}"#, "dirs", "is an object", "an array of 1 to 64"),
    (r#"{"dirs": []}"#, "dirs", "has 0 entries", "each an object with host, guest"),
    (r#"{"dirs": ["/tmp"]}"#, "dirs[0]", "not a directory", "host, guest"),
    (r#"{"dirs": [{"host": "/", "guest": "a"}]}"#, "dirs[0].guest", "does not begin", "such as \"/data\""),
    (r#"{"dirs": [{"host": "/", "guest": "/a//b"}]}"#, "dirs[0].guest", "an empty part", "absolute"),
    (r#"{"dirs": [{"host": "/", "guest": "/a/."}]}"#, "dirs[0].guest", "\".\"", "absolute"),
    (r#"{"dirs": [{"guest": "/a"}]}"#, "dirs[0].host", "has no \"host\"", "a string"),
    (r#"{"dirs": [{"host": "/"}]}"#, "dirs[0].guest", "has no \"guest\"", "a string"),
    (r#"{"dirs": [{"host": "none", "guest": "/a"}]}"#, "dirs[0].host", "does not exist", "relative to the spec"),
    (r#"{"dirs": [{"host": "/dev/null", "guest": "/a"}]}"#, "dirs[0].host", "is no directory", "that is there"),
    (r#"{"dirs": [{"host": "/", "guest": "/a", "access": "r"}]}"#, "dirs[0].access", "none of the", "one of \"ro\", \"rw\""),
    (r#"{"dirs": [{"host": "/", "guest": "/a", "acces": "rw"}]}"#, "dirs[0].acces", "no such key", "\"access\"?"),
    (r#"{"dirs": [{"host": "/", "guest": "/a", "path": "x"}]}"#, "dirs[0].path", "no such key", "belongs into a route"),
    (r#"{"dirs": [{"host": "/", "guest": "/a"}, {"host": "/", "guest": "/a"}]}"#, "dirs[1].guest", "dirs[0] has this name", "of its own"),
    (r#"{"scratch": "/a", "dirs": [{"host": "/", "guest": "/a"}]}"#, "dirs[0].guest", "scratch has this name", "of its own"),
    (r#"{"rout": "/b"}"#, "rout", "no such key", "did you mean \"route\"?"),
    (r#"{"port": 1}"#, "port", "no such key", "belongs into a tenant"),
    (r#"{"n-resa": 1}"#, "n-resa", "no such key", "did you mean \"n-resas\"?"),
];

fn parsed(keys: &str) -> Value {
    serde_json::from_str(keys).expect(keys)
}

#[test]
fn bad_tenants() {
    let routes = r#""routes": [{"route": "/a", "path": "a.wasm"}]"#;
    check("", &[("$", "not JSON: EOF", "RFC 8259")]);
    check(
        "[1,]",
        &[("$", "not JSON: trailing comma", "no comma after the last")],
    );
    check(
        "{}",
        &[(
            "$",
            "is an object, not an array",
            "each an object with name, port, routes",
        )],
    );
    check(
        "[]",
        &[("$", "has 0 entries", "an array of 1 to 4096 entries")],
    );
    check(
        "[7]",
        &[("$[0]", "is an integer, not a tenant", "an object with")],
    );
    check(
        "[{}]",
        &[
            ("$[0].name", "has no \"name\"", "a string of 1 to 255"),
            ("$[0].port", "has no \"port\"", "an integer, 1 to 65535"),
            (
                "$[0].routes",
                "has no \"routes\"",
                "an array of 1 to 65535 entries",
            ),
        ],
    );
    for (keys, at, problem, remedy) in TENANTS {
        let text = with_tenant(&parsed(keys));
        check(&text, &[(&format!("$[0].{at}"), problem, remedy)]);
    }
    let odd = json!({"a b": {"c": [1]}});
    check(
        &with_tenant(&odd),
        &[("$[0][\"a b\"]", "no such key", "leave it out")],
    );
    check(
        &format!(r#"[{{"name": "a", "port": 8080, {routes}, "port": 1}}]"#),
        &[("$[0].port", "is there already", "once")],
    );
    check(
        &format!(
            r#"[{{"name": "a", "port": 8080, {routes}}}, {{"name": "a", "port": 8080, {routes}}}]"#
        ),
        &[
            ("$[1].name", "$[0] has this name", "of its own"),
            ("$[1].port", "$[0] has this port", "of its own"),
        ],
    );
}

#[test]
fn bad_routes() {
    for (keys, at, problem, remedy) in ROUTES {
        let text = with_route(&parsed(keys));
        check(&text, &[(&format!("$[0].routes[0].{at}"), problem, remedy)]);
    }
    for value in ["a\r\nb: c", "a\u{0}", "ü", " a", "a\t"] {
        let text = with_route(&json!({"http-resp-content-type": value}));
        let at = "$[0].routes[0].http-resp-content-type";
        check(&text, &[(at, "a header value cannot", "text/plain")]);
    }
    let surrogate = with_route(&json!({})).replace("/a", r"/\ud800");
    check(
        &surrogate,
        &[("$[0].routes[0].route", "no valid Unicode", "a string")],
    );
    let surrogate = with_route(&json!({"x": 1})).replace("\"x\"", r#""\ud800""#);
    check(
        &surrogate,
        &[("$[0].routes[0]", "a key that is no text", "surrogates")],
    );
}

#[test]
fn equal_routes() {
    let text = with_routes(&json!([
        {"route": "/a", "path": "a.wasm"}, {"route": "/a/", "path": "a.wasm"},
        {"route": "/a2", "path": "a.wasm"}, {"route": "/", "path": "a.wasm"},
        {"route": "//", "path": "a.wasm"},
    ]));
    check(
        &text,
        &[
            (
                "$[0].routes[1].route",
                "$[0].routes[0] serves this path",
                "trailing slash",
            ),
            (
                "$[0].routes[4].route",
                "$[0].routes[3] serves this path",
                "trailing slash",
            ),
        ],
    );
}

#[test]
fn everything_at_once_in_the_order_of_the_file() {
    let text = "[\n{\"port\": \"x\", \"routes\": [{\"path\": \"c.wasm\"}],\n\"nmae\": 1, \"name\": \"b\"}]";
    check(
        text,
        &[
            ("$[0].port", "is a string", ""),
            ("$[0].routes[0].route", "has no \"route\"", ""),
            ("$[0].routes[0].path", "does not exist", ""),
            ("$[0].nmae", "no such key", "\"name\"?"),
        ],
    );
    let problems = read(text, LoadOptions::default())
        .expect_err("bad")
        .to_string();
    assert!(
        problems.starts_with("spec.json:2:10: $[0].port\n    value    \"x\"\n"),
        "{problems}"
    );
    assert!(problems.ends_with("4 problems"), "{problems}");
}

/// Work grows with the size of the text, not with its square.
#[test]
fn large_specs() {
    let routes: Vec<_> = (0..65_535)
        .map(|index| json!({ "route": format!("/{index}"), "path": "a.wasm", "n-resas": 1 }))
        .collect();
    let loaded = read(&with_routes(&json!(routes)), LoadOptions::default()).expect("accepted");
    assert_eq!(loaded.spec.tenants[0].routes.len(), routes.len());

    let wrong: Vec<_> = (0..65_535).map(|_| json!({ "route": 1 })).collect();
    let problems = read(&with_routes(&json!(wrong)), LoadOptions::default()).expect_err("wrong");
    assert_eq!(problems.0.len(), 2 * wrong.len());

    let mut keys = json!({});
    for index in 0..300_000 {
        keys[format!("key-{index}")] = json!(index);
    }
    check(
        &with_tenant(&keys),
        &[("$[0]", "has 300003 keys", "an object with name")],
    );
    let many = with_routes(&json!(vec![json!({}); 65_536]));
    check(&many, &[("$[0].routes", "has 65536 entries", "1 to 65535")]);
}

/// The whole spec cut off everywhere, and with every character replaced by others.
#[test]
fn no_text_does_harm() {
    let judge = |text: &str| {
        for problem in read(text, LoadOptions::default())
            .err()
            .iter()
            .flat_map(|all| &all.0)
        {
            let said = [&problem.at, &problem.problem, &problem.remedy];
            assert!(
                said.iter().all(|text| !text.is_empty()),
                "{text}\n{problem}"
            );
            let line = problem.position.map_or(0, |position| position.line);
            assert!(
                (1..=text.lines().count().max(1) + 1).contains(&line),
                "{text}\n{problem}"
            );
        }
    };
    for (offset, _) in WHOLE.char_indices() {
        judge(&WHOLE[..offset]);
        for other in ["", "\"", "\\", "-", "9", "{", "]", ",", "ü", "\n"] {
            judge(&format!(
                "{}{other}{}",
                &WHOLE[..offset],
                &WHOLE[offset + 1..]
            ));
        }
    }
}
