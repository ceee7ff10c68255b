//! Conformance with WASI preview 1: drives `luge run` through suites of cases, each a module and a description of
//! what goes in and what must come out.
//!
//! The layout is that of the public WebAssembly/wasi-testsuite: beside `x.wasm` or `x.wat` an `x.json` (`args`, `env`,
//! `dirs` or `root`, `exit_code`, `stdout`, `stderr`; without it the guest must exit with 0). Our own cases in `cases/`
//! always run, and may have two keys more: `stdin`, and `access` (`ro`) for directories that are only to be read.
//! The public suite runs where `LUGE_WASI_TESTSUITE` names a folder with its built modules.
//!
//! Every case has its own copy of its directories. What fails for a reason that is known is listed in
//! `known-failures.txt`; one of those that passes is an error too, so that the list stays true.

mod suite;

use std::collections::BTreeMap;
use std::path::Path;
use suite::{Case, cases};

/// A folder of the public suite's built modules.
const PUBLIC: &str = "LUGE_WASI_TESTSUITE";

#[test]
fn our_own_cases_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/cases");
    let cases = cases(&folder);
    let sources = |extension: &str| {
        let files = std::fs::read_dir(&folder)
            .expect("readable")
            .map(|file| file.expect("readable").path());
        files
            .filter(|file| file.extension().is_some_and(|it| it == extension))
            .count()
    };
    // A source whose module was not built is a case that nobody runs.
    let expected = sources("c") + sources("rs") + sources("wat");
    assert_eq!(cases.len(), expected);
    judge(&cases, &BTreeMap::new());
}

#[test]
fn the_public_suite_passes_but_for_what_is_known() {
    let Some(folder) = std::env::var_os(PUBLIC) else {
        println!("skipped: {PUBLIC} names no folder with the public suite");
        return;
    };
    let cases = cases(Path::new(&folder));
    assert!(!cases.is_empty(), "{PUBLIC} has no modules");
    judge(&cases, &known_failures());
}

/// Names of cases and why they fail.
fn known_failures() -> BTreeMap<&'static str, &'static str> {
    let lines = include_str!("known-failures.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let entries = lines.map(|line| line.split_once(": ").expect("NAME: REASON"));
    entries.collect()
}

/// Runs the cases, prints a line for each and the counts, and fails if any is not as expected.
fn judge(cases: &[Case], known: &BTreeMap<&str, &str>) {
    let (mut passed, mut expected, mut wrong) = (0, 0, Vec::new());
    for case in cases {
        let name = &case.name;
        match (case.run(), known.get(&**name)) {
            (Ok(()), None) => {
                passed += 1;
                println!("passed  {name}");
            }
            (Err(_), Some(reason)) => {
                expected += 1;
                println!("known   {name}: {reason}");
            }
            (Ok(()), Some(_)) => {
                wrong.push(format!("{name}: passes, but is listed as a known failure"))
            }
            (Err(how), None) => wrong.push(format!("{name}: {how}")),
        }
    }
    println!(
        "{passed} passed, {expected} failed as known, {} wrong",
        wrong.len()
    );
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}
