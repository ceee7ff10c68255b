//! Rules about Rust: what every file has, what only some may have, and how long functions are.

use crate::tree::{File, Tree, functions, line_of, words};
use crate::{Finding, Rule};

/// The files with `unsafe`, each of which opens with its safety argument.
const UNSAFE_FILES: &[&str] = &[
    "listener/src/probe.rs",
    "listener/src/ring.rs",
    "sandbox/benches/bare/mod.rs",
    "sandbox/src/artifact.rs",
    "sandbox/src/preempt/gate.rs",
    "sandbox/src/preempt/kernel.rs",
    "sandbox/src/preempt/signal.rs",
    "sandbox/src/shed.rs",
    "sandbox/tests/allocations.rs",
    "src/bench/ring.rs",
];

/// The files that may sleep, and why.
const SLEEPERS: &[(&str, &str)] = &[
    (
        "tests/conformance/cases/rust-std.rs",
        "a guest, which tries what sleeping does",
    ),
    (
        "src/server/records.rs",
        "logs of requests are written in batches, by a thread of its own",
    ),
    (
        "src/server/mod.rs",
        "at the end, a thread is waited for with a limit, which `join` has not",
    ),
];

/// The crates without an operating system, hence without a clock, a thread or a socket.
const PURE_CRATES: &[&str] = &["listener/http/src/lib.rs", "sched/src/lib.rs"];

/// Where nothing may depend on how a machine rounds.
const INTEGER_FOLDER: &str = "sched/src/";

macro_rules! lines_60 {
    () => {
        "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"
    };
}

/// One screen.
const FUNCTION_LINES_MAX: usize = 70;

pub const RULES: &[Rule] = &[
    Rule {
        name: "a file opens with what it is",
        check: openings,
        bad: &[
            ("a.rs:1", &[("a.rs", "mod b;\n//! A.")]),
            ("a.rs:1", &[("a.rs", "")]),
            ("a.rs:1", &[("a.rs", "//!\n//! A.")]),
        ],
        good: &[&[("a.rs", "//! A.\nmod b;"), ("a.md", "A")]],
    },
    Rule {
        name: "a function fits a screen",
        check: function_lengths,
        bad: &[(
            "a.rs:2",
            &[(
                "a.rs",
                concat!("\nfn a() {", lines_60!(), "\n\n\n\n\n\n\n\n\n\n}"),
            )],
        )],
        good: &[&[(
            "a.rs",
            concat!("fn a() {", lines_60!(), "\n\n\n\n\n\n\n\n\n}\n\n"),
        )]],
    },
    Rule {
        name: "unsafe is in few files",
        check: unsafe_files,
        bad: &[
            ("a.rs:2", &[("a.rs", "\nunsafe impl Send for A {}")]),
            (
                "listener/src/ring.rs:1",
                &[("listener/src/ring.rs", "// SAFETY: there is no unsafe")],
            ),
            (
                "listener/src/ring.rs:2",
                &[("listener/src/ring.rs", "\nunsafe { a() }")],
            ),
            ("sandbox/tests/allocations.rs:1", &[]),
        ],
        good: &[
            &[(
                "a.rs",
                "#![forbid(unsafe_code)]\n// unsafe\nlet a = \"unsafe\";",
            )],
            &[("listener/src/ring.rs", "// SAFETY: b.\nunsafe { b() }")],
        ],
    },
    Rule {
        name: "the deciding crates are pure",
        check: pure_crates,
        bad: &[
            ("sched/src/lib.rs:1", &[("sched/src/lib.rs", "#![no_std]")]),
            (
                "sched/src/lib.rs:1",
                &[("sched/src/lib.rs", "#![forbid(unsafe_code)]\n// #![no_std]")],
            ),
            (
                "listener/http/src/lib.rs:1",
                &[("listener/http/src/lib.rs", "mod a;")],
            ),
            (
                "listener/http/src/a.rs:2",
                &[("listener/http/src/a.rs", "\nextern  crate std;")],
            ),
            ("sched/src/a.rs:1", &[("sched/src/a.rs", "fn a(b: f64) {}")]),
            ("sched/src/lib.rs:1", &[]),
        ],
        good: &[&[
            (
                "sched/src/lib.rs",
                "#![no_std]\n#![forbid(unsafe_code)]\nextern crate alloc;\n// f64",
            ),
            ("listener/src/lib.rs", "extern crate std; fn a(b: f64) {}"),
        ]],
    },
    Rule {
        name: "every test runs",
        check: ignored_tests,
        bad: &[
            ("a.rs:2", &[("a.rs", "#[test]\n#[ignore]\nfn a() {}")]),
            ("a.rs:1", &[("a.rs", "#[ignore = \"slow\"]")]),
            ("a.rs:1", &[("a.rs", "#[cfg_attr(b, ignore)]")]),
        ],
        good: &[&[(
            "a.rs",
            "// #[ignore]\nfn ignore() {}\nlet a = ignore(b[0]);",
        )]],
    },
    Rule {
        name: "nobody sleeps",
        check: sleepers,
        bad: &[
            ("tests/it/a.rs:1", &[("tests/it/a.rs", "thread::sleep(b);")]),
            (
                "src/a.rs:2",
                &[("src/a.rs", "\nuse std::thread::{sleep, spawn};")],
            ),
            (
                "src/server/mod.rs:1",
                &[("src/server/mod.rs", "// thread::sleep")],
            ),
        ],
        good: &[&[
            ("src/server/mod.rs", "thread::sleep(a)"),
            ("src/a.rs", "// thread::sleep\ntime::sleep(thread)"),
        ]],
    },
    Rule {
        name: "names are the field's",
        check: getters,
        bad: &[
            ("a.rs:1", &[("a.rs", "pub fn get_a() {}")]),
            ("a.rs:1", &[("a.rs", "    pub(crate) const fn get_a() {}")]),
        ],
        good: &[&[(
            "a.rs",
            "fn get_a() {}\npub fn a() { get_a() }\npub fn get() {}\npub fn target_a() {}",
        )]],
    },
    Rule {
        name: "a limit says what it limits",
        check: limits,
        bad: &[
            (
                "a/limits.rs:1",
                &[("a/limits.rs", "pub const A_MAX: u32 = 1;")],
            ),
            (
                "a/limits.rs:3",
                &[(
                    "a/limits.rs",
                    "/// A.\nconst A: u32 = 1;\nconst B: u32 = 1;",
                )],
            ),
            (
                "limits.rs:2",
                &[("limits.rs", "// A.\npub(crate) const A: u32 = 1;")],
            ),
        ],
        good: &[
            &[(
                "limits.rs",
                "/// A.\n#[cfg(b)]\npub const A: u32 = 1;\nconst _: () = assert!(A > 0);",
            )],
            &[
                ("limits.rs", "//! A.\n\nimpl A {\n    const fn a() {}\n}"),
                ("a.rs", "const A: u32 = 1;"),
                ("a/tests/limits.rs", "const A: u32 = 1;"),
            ],
        ],
    },
];

fn openings(tree: &Tree) -> Vec<Finding> {
    let without = tree.rust().filter(|file| !file.text.starts_with("//! "));
    let findings = without.map(|file| Finding::new(&file.path, 1, "does not open with `//! `"));
    findings.collect()
}

fn function_lengths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        for function in functions(&file.code) {
            let lines = function.line_last - function.line_first + 1;
            if lines > FUNCTION_LINES_MAX {
                let what = format!("{} has {lines} lines", function.name);
                findings.push(Finding::new(&file.path, function.line_first, what));
            }
        }
    }
    findings
}

fn unsafe_files(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let argued = file.text.contains("SAFETY");
        if !UNSAFE_FILES.contains(&file.path.as_str()) || !argued {
            findings.extend(uses(file, "unsafe"));
        }
    }
    for path in UNSAFE_FILES {
        if tree
            .file(path)
            .and_then(|file| uses(file, "unsafe").next())
            .is_none()
        {
            findings.push(Finding::new(path, 1, "may have unsafe and has none"));
        }
    }
    findings
}

fn pure_crates(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in PURE_CRATES {
        for attribute in ["#![no_std]", "#![forbid(unsafe_code)]"] {
            let file = tree.file(path);
            if !file.is_some_and(|file| file.code.lines().any(|line| line == attribute)) {
                findings.push(Finding::new(path, 1, format!("lacks {attribute}")));
            }
        }
        let folder = path.trim_end_matches("lib.rs");
        let inside = tree.rust().filter(|file| file.path.starts_with(folder));
        for (file, (line, text)) in
            inside.flat_map(|file| file.code_lines().map(move |line| (file, line)))
        {
            let mut words = words(text).map(|(_, word)| word);
            if words.by_ref().any(|word| word == "crate") && words.next() == Some("std") {
                findings.push(Finding::new(&file.path, line, "std comes in again"));
            }
        }
    }
    for file in tree
        .rust()
        .filter(|file| file.path.starts_with(INTEGER_FOLDER))
    {
        findings.extend(["f32", "f64"].iter().flat_map(|float| uses(file, float)));
    }
    findings
}

fn ignored_tests(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        for (line, text) in file.code_lines() {
            let is_attribute = text.trim_start().starts_with("#[");
            if is_attribute && words(text).any(|(_, word)| word == "ignore") {
                findings.push(Finding::new(&file.path, line, "a test that does not run"));
            }
        }
    }
    findings
}

fn sleepers(tree: &Tree) -> Vec<Finding> {
    let allowed = |path: &str| SLEEPERS.iter().any(|(sleeper, _)| *sleeper == path);
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !allowed(&file.path)) {
        findings.extend(sleeps(file).map(|line| Finding::new(&file.path, line, "a sleep")));
    }
    for (path, _) in SLEEPERS {
        if tree
            .file(path)
            .and_then(|file| sleeps(file).next())
            .is_none()
        {
            findings.push(Finding::new(path, 1, "may sleep and does not"));
        }
    }
    findings
}

/// The lines on which a thread sleeps, or on which its sleep is imported.
fn sleeps(file: &File) -> impl Iterator<Item = usize> {
    let sleeps = file.code_lines().filter(|(_, text)| {
        let mut words = words(text).map(|(_, word)| word);
        words.any(|word| word == "thread") && words.any(|word| word == "sleep")
    });
    sleeps.map(|(line, _)| line)
}

fn getters(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        for (line, text) in file.code_lines() {
            let words: Vec<&str> = words(text).map(|(_, word)| word).collect();
            let name = words.iter().skip_while(|word| **word != "fn").nth(1);
            if words.first() == Some(&"pub") && name.is_some_and(|name| name.starts_with("get_")) {
                findings.push(Finding::new(&file.path, line, "`get_` says nothing"));
            }
        }
    }
    findings
}

fn limits(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let is_tests = file.path.split('/').any(|part| part == "tests");
        if is_tests || file.path.rsplit('/').next() != Some("limits.rs") {
            continue;
        }
        let mut documented = false;
        for ((line, text), (_, code)) in file.lines().zip(file.code_lines()) {
            let words = words(code).map(|(_, word)| word);
            let mut declared = words.skip_while(|word| ["pub", "crate", "super"].contains(word));
            if text.trim_start().starts_with("///") {
                documented = true;
            } else if declared.next() == Some("const") {
                let name = declared.next().unwrap_or("");
                if !documented && !["_", "fn", "unsafe"].contains(&name) {
                    findings.push(Finding::new(
                        &file.path,
                        line,
                        format!("{name} has no doc comment"),
                    ));
                }
                documented = false;
            } else if !code.trim_start().starts_with("#[") {
                documented = false;
            }
        }
    }
    findings
}

/// Where a file's code has a word.
fn uses<'a>(file: &'a File, sought: &'a str) -> impl Iterator<Item = Finding> + 'a {
    let places = words(&file.code).filter(move |(_, word)| *word == sought);
    places.map(move |(at, word)| Finding::new(&file.path, line_of(&file.code, at), word))
}
