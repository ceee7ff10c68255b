//! Variables of functions: what they become, what is wrong with them, and that no message has a value in it.

use std::fs;

use serde_json::{Value, json};

use super::{check, read, with_route, with_routes};
use crate::config::{LoadOptions, load};
use crate::limits::{ENV_BYTES_MAX, ENV_VARIABLES_MAX};

/// What must be in no message.
const SECRET: &str = "hunter2";

/// Variables (`@`: the secret), what is wrong where, and what would be right.
#[rustfmt::skip]
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    (r#""@""#, "", "is a string, not an object", "an object of strings"),
    (r#"["@"]"#, "", "is an array, not an object", "an object of strings"),
    (r#"{"A": 1}"#, ".A", "is an integer, not a string", "a string"),
    (r#"{"A": ["@"]}"#, ".A", "is an array, not a string", "a string"),
    (r#"{"A": {"B": "@"}}"#, ".A", "is an object, not a string", "a string"),
    (r#"{"A": null}"#, ".A", "is null", "a string"),
    (r#"{"A": "@\u0000"}"#, ".A", "has a NUL", "without NUL"),
    (r#"{"A": "@\ud800"}"#, ".A", "no valid Unicode", "pairs"),
    (r#"{"A B": "@"}"#, "[\"A B\"]", "no name of a variable", "a letter or _"),
    (r#"{"A=B": "@"}"#, "[\"A=B\"]", "no name of a variable", "a letter or _"),
    (r#"{"": "@"}"#, "[\"\"]", "no name of a variable", "a letter or _"),
    (r#"{"HTTP_PROXY": "@"}"#, ".HTTP_PROXY", "the request sets", "does not set"),
    (r#"{"PATH_INFO": "@"}"#, ".PATH_INFO", "the request sets", "does not set"),
    (r#"{"A": "@", "A": "@"}"#, ".A", "there already", "a letter or _"),
    (r#"{"A": "@${file:/nowhere/at/all}"}"#, ".A", "the file does not exist", "${file:PATH}"),
    (r#"{"A": "@${file:/}"}"#, ".A", "the file is a directory", "${file:PATH}"),
    (r#"{"A": "@${file:/dev/zero}"}"#, ".A", "is not a regular file", "${file:PATH}"),
    (r#"{"A": "@${env:LUGE_TEST_NO_SUCH}"}"#, ".A", "the variable is not set", "${env:NAME}"),
    (r#"{"A": "@${env:A=B}"}"#, ".A", "the variable is not set", "${env:NAME}"),
    (r#"{"A": "@${fiel:a}"}"#, ".A", "no reference", "${env:NAME}"),
    (r#"{"A": "@${file:a"}"#, ".A", "does not end", "$${"),
];

fn silent(text: &str) {
    let Err(problems) = read(text, LoadOptions::default()) else {
        panic!("nothing is wrong with {text}");
    };
    let json = serde_json::to_string(&problems).expect("serializes");
    for said in [problems.to_string(), format!("{problems:?}"), json] {
        assert!(!said.contains(SECRET), "{text}\n{said}");
    }
}

#[test]
fn mistakes_are_told_without_values() {
    for (env, at, problem, remedy) in MISTAKES {
        let env = env.replace('@', SECRET);
        let text = with_route(&json!({"env": "@"})).replace("\"@\"", &env);
        let at = format!("$[0].routes[0].env{at}");
        check(&text, &[(&at, problem, remedy)]);
        silent(&text);
    }
    let env = json!({"A": SECRET});
    // A key that is there twice, one that is not known, JSON that is none.
    let twice =
        with_route(&json!({"env": env, "x": 1})).replace("\"x\":1", "\"env\":{\"B\":\"hunter2\"}");
    check(&twice, &[("$[0].routes[0].env", "there already", "once")]);
    silent(&twice);
    silent(&with_route(&json!({"envv": env})));
    silent(&with_routes(&env));
    silent(&with_route(&json!({"env": env})).replace('}', ""));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let env = json!({"1": "", "A": "${env:LUGE_TEST_NO_SUCH}", "B": 2, "C": "fine"});
    let at = "$[0].routes[0].env";
    check(
        &with_route(&json!({"env": env, "abi": "cgi", "pass-authorization": 1})),
        &[
            (
                "$[0].routes[0].abi",
                "none of the known",
                "\"sledge\", \"wagi\"",
            ),
            (&format!("{at}.1"), "no name", ""),
            (&format!("{at}.A"), "is not set", ""),
            (&format!("{at}.B"), "is an integer", ""),
            (
                "$[0].routes[0].pass-authorization",
                "is an integer, not a boolean",
                "true or false",
            ),
        ],
    );
}

#[test]
fn variables_have_limits() {
    let at = "$[0].routes[0].env";
    let many =
        |count: usize| -> Value { (0..count).map(|n| (format!("A{n}"), json!(""))).collect() };
    check(&with_route(&json!({"env": many(ENV_VARIABLES_MAX)})), &[]);
    let too_many = with_route(&json!({"env": many(ENV_VARIABLES_MAX + 1)}));
    check(&too_many, &[(at, "has 257 variables", "at most 256")]);
    let large = |bytes: usize| with_route(&json!({"env": {"A": "x".repeat(bytes - 1)}}));
    check(&large(ENV_BYTES_MAX), &[]);
    check(
        &large(ENV_BYTES_MAX + 1),
        &[(at, "262145 bytes together", "at most 262144")],
    );
}

#[test]
fn stderr_does_not_get_into_a_header() {
    let keys = json!({"abi": "wagi", "stderr": "body"});
    let at = "$[0].routes[0].stderr";
    check(
        &with_route(&keys),
        &[(at, "into the header", "\"log\" or \"drop\"")],
    );
}

#[test]
fn secrets_are_resolved_and_not_told() {
    let folder = std::env::temp_dir().join(format!("luge-secrets-{}", std::process::id()));
    fs::create_dir_all(folder.join("keys")).expect("a folder");
    let write = |name: &str, text: &[u8]| fs::write(folder.join(name), text).expect("written");
    write("a.wasm", b"");
    write("keys/token", b"hunter2\n");
    write("keys/binary", b"\xff");
    write("keys/large", &vec![b'x'; ENV_BYTES_MAX + 1]);
    let env = json!({"B": "Bearer ${file:keys/token}!", "A": "${env:CARGO_PKG_NAME}$$"});
    write("spec.json", with_route(&json!({"env": env})).as_bytes());
    let loaded = load(&folder.join("spec.json")).expect("fine");
    let variables = &loaded.spec.tenants[0].routes[0].env.0;
    let expected = [("A", "luge$"), ("B", "Bearer hunter2!")];
    assert_eq!(
        *variables,
        expected.map(|(name, value)| (name.into(), value.into()))
    );
    let said = format!("{loaded:?} {loaded:#?}");
    assert!(said.contains("\"B\"") && !said.contains(SECRET), "{said}");

    let env = json!({"A": "${file:keys/binary}", "B": "${file:keys/large}", "C": "${file:keys}"});
    write("spec.json", with_route(&json!({"env": env})).as_bytes());
    let problems = load(&folder.join("spec.json")).expect_err("wrong").0;
    fs::remove_dir_all(&folder).expect("removed");
    let told: Vec<_> = problems
        .iter()
        .map(|it| (&*it.value, &*it.problem))
        .collect();
    assert_eq!(
        told,
        [
            ("${file:keys/binary}", "the file is not UTF-8"),
            ("${file:keys/large}", "the file has more than 262144 bytes"),
            ("${file:keys}", "the file is a directory"),
        ]
    );
}
