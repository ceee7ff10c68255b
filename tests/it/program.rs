//! The commands that end by themselves: what they print, and their exit codes.

use serde_json::{Value, json};

use crate::process::{Folder, Said, run, spec};

fn ok(said: Said) -> String {
    assert_eq!(said.code, Some(0), "{}", said.err);
    said.out
}

#[test]
fn version_and_help() {
    let version = ok(run(["--version"]));
    assert!(
        version.starts_with(concat!("luge ", env!("CARGO_PKG_VERSION"), " (wasmtime ")),
        "{version}"
    );
    let help = ok(run(["--help"]));
    for command in [
        "serve",
        "check",
        "schema",
        "doctor",
        "sim",
        "bench",
        "completions",
    ] {
        assert!(help.contains(command), "{command}");
    }
    assert_eq!(run(["frobnicate"]).code, Some(2));
}

#[test]
fn a_good_spec_checks() {
    let folder = modules();
    let root = json!({"route": "/", "path": folder.path("good.wat")});
    let one = tenant(std::slice::from_ref(&root));
    let two = json!([spec(10010)[0], {"name": "two", "port": 10011, "routes": [root]}]);
    for (spec, counted) in [
        (one, "1 tenant, 1 route, no problems\n"),
        (spec(10010), "1 tenant, 3 routes, no problems\n"),
        (two, "2 tenants, 4 routes, no problems\n"),
    ] {
        let path = folder.write("spec.json", &spec.to_string());
        let said = ok(run(["check".as_ref(), path.as_os_str()]));
        assert_eq!(said, format!("{}: {counted}", path.display()));
        let said = run(["check".as_ref(), path.as_os_str(), "--format=json".as_ref()]);
        assert_eq!(ok(said), "[]\n");
    }
}

/// Modules that cannot be served, each with what its problem says of it.
const BAD_MODULES: [(&str, &str, &str); 6] = [
    ("no-start.wat", "(module)", "exports no function `_start`"),
    (
        "none.wasm",
        "none",
        "is no WebAssembly: it does not begin with its magic number",
    ),
    (
        "component.wasm",
        "\0asm\x0d\0\x01\0",
        "is a component; luge runs modules (WASI preview 1)",
    ),
    (
        "imports.wat",
        r#"(module (import "env" "f" (func)) (func (export "_start")))"#,
        "imports that nobody provides: env.f",
    ),
    ("half.wat", "(module (func", "half.wat:1:14"),
    ("empty.wasm", "", "is no WebAssembly"),
];

const GOOD_MODULE: &str = r#"(module (func (export "_start")))"#;

/// A folder with [`BAD_MODULES`] and `good.wat`.
fn modules() -> Folder {
    let folder = Folder::new();
    folder.write("good.wat", GOOD_MODULE);
    for (name, text, _) in BAD_MODULES {
        folder.write(name, text);
    }
    folder
}

fn tenant(routes: &[Value]) -> Value {
    json!([{"name": "one", "port": 8080, "routes": routes}])
}

#[test]
fn a_bad_spec_is_told_all_its_problems() {
    let folder = modules();
    check_bad(&folder, &json!({}), &[("$", "")]);
    let routes = [
        json!({"route": "fib", "path": "good.wat"}),
        json!({"route": "/a", "path": "missing.wasm"}),
        json!({"route": "/b", "path": "good.wat", "relative-deadline-us": 0}),
        json!({"route": "/c", "path": "good.wat", "methods": ["BREW"]}),
        json!({"route": "/d", "path": "good.wat", "pat": 1}),
    ];
    let problems = [
        ("$[0].routes[0].route", "does not begin with"),
        ("$[0].routes[1].path", "does not exist"),
        ("$[0].routes[2].relative-deadline-us", "out of range"),
        ("$[0].routes[3].methods[0]", ""),
        ("$[0].routes[4].pat", "no such key"),
    ];
    check_bad(&folder, &tenant(&routes), &problems);
    assert_eq!(run(["check", "/nonexistent/spec.json"]).code, Some(3));
    assert_eq!(
        run(["serve", "--quantum-us=0", "--workers=x"]).code,
        Some(3)
    );
}

/// What is wrong with the modules is told together with what is wrong with the spec: one look is enough.
#[test]
fn bad_modules_are_told_with_the_rest() {
    let folder = modules();
    for is_spec_good in [true, false] {
        let mut routes = Vec::new();
        let mut places = Vec::new();
        for (at, (name, _, problem)) in BAD_MODULES.into_iter().enumerate() {
            routes.push(json!({"route": format!("/{at}"), "path": name}));
            places.push((format!("$[0].routes[{at}].path"), problem));
        }
        if !is_spec_good {
            // Among and after the modules' own; and a module that is not there has one problem, not two.
            routes[0]["route"] = json!("fib");
            places.insert(1, ("$[0].routes[0].route".to_owned(), "begin with"));
            routes.push(json!({"route": "/none", "path": "missing.wasm", "pat": 1}));
            places.push(("$[0].routes[6].pat".to_owned(), "no such key"));
            places.push(("$[0].routes[6].path".to_owned(), "does not exist"));
        }
        let places: Vec<_> = places.iter().map(|(at, text)| (&**at, *text)).collect();
        check_bad(&folder, &tenant(&routes), &places);
    }
}

/// A spec has these problems, each a place and a part of what is said, in this order, and no others. A wrong
/// setting is told beside them.
fn check_bad(folder: &Folder, spec: &Value, expected: &[(&str, &str)]) {
    let path = folder.write("spec.json", &format!("{spec:#}"));
    let said = run(["check".as_ref(), path.as_os_str(), "--format=json".as_ref()]);
    assert_eq!(said.code, Some(3));
    let problems: Vec<Value> = serde_json::from_str(&said.out).expect("JSON");
    let found: Vec<_> = problems.iter().map(|problem| &problem["at"]).collect();
    let places: Vec<_> = expected.iter().map(|(at, _)| *at).collect();
    assert_eq!(found, places, "{problems:?}");
    for (problem, (_, part)) in problems.iter().zip(expected) {
        let complete = problem["line"].is_u64() && problem["remedy"].is_string();
        assert!(complete, "{problem}");
        let text = problem["problem"].as_str().expect("text");
        assert!(text.contains(part), "{problem}");
    }

    let said = run(["check".as_ref(), path.as_os_str()]);
    assert_eq!((said.code, &*said.out), (Some(3), ""), "{spec}");
    // And nothing of it is served.
    let served = run(["serve".as_ref(), path.as_os_str(), "--workers=x".as_ref()]);
    assert_eq!((served.code, &*served.out), (Some(3), ""), "{spec}");
    assert!(served.err.contains("--workers"), "{}", served.err);
    for (at, part) in expected {
        for err in [&said.err, &served.err] {
            assert!(err.contains(at) && err.contains(part), "{at} in {err}");
        }
    }
    assert_eq!(run(["serve".as_ref(), path.as_os_str()]).code, Some(3));
}

#[test]
fn the_schema_knows_the_keys() {
    let schema: Value = serde_json::from_str(&ok(run(["schema"]))).expect("JSON");
    let tenant = &schema["items"]["properties"];
    let route = &tenant["routes"]["items"]["properties"];
    for key in [
        "name",
        "port",
        "routes",
        "weight",
        "replenishment-period-us",
        "max-budget-us",
    ] {
        assert!(tenant[key].is_object(), "{key}");
    }
    for key in [
        "route",
        "path",
        "relative-deadline-us",
        "expected-execution-us",
        "model-beta1",
        "admissions-percentile",
        "http-resp-content-type",
        "stack-size",
        "methods",
        "max-body-bytes",
        "max-memory-bytes",
        "stderr",
    ] {
        assert!(route[key].is_object(), "{key}");
    }
}

#[test]
fn the_doctor_speaks_json() {
    let said = run(["doctor", "--json"]);
    let report: Value = serde_json::from_str(&said.out).expect("JSON");
    let text = report.to_string();
    // These tests serve on this machine, so it is fit.
    assert_eq!(said.code, Some(0), "{text}");
    assert!(text.contains("io_uring"), "{text}");
}

#[test]
fn completions_are_scripts() {
    for shell in ["bash", "zsh", "fish"] {
        let script = ok(run(["completions", shell]));
        assert!(
            script.contains("luge") && script.contains("quantum-us"),
            "{shell}"
        );
    }
}
