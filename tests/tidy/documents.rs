//! Rules about the documents: that they are there, and that what they name is there too.
//!
//! SPECIFICATION.md has tables whose last column, headed `held by`, names in backticks what holds each promise:
//! tests (`cargo test --test it keep_alive`), a benchmark (`cargo bench -p a --bench b`), a command of the server
//! (`luge sim --seed 7`) or a file (`.ci/run`).
//! In ARCHITECTURE.md whatever is in backticks and has a slash is a path from the root, a folder's with a slash at
//! its end.

use crate::tree::{File, Tree, functions, words};
use crate::{Finding, Rule};

const DOCUMENTS: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SPECIFICATION.md",
];

const ARCHITECTURE: &str = "ARCHITECTURE.md";
const SPECIFICATION: &str = "SPECIFICATION.md";

/// Where the server's commands are declared.
const COMMANDS: &str = "src/cli/";

/// A specification of one promise.
macro_rules! held_by {
    ($cell:literal) => {
        concat!(
            "| promise | figure | held by |\n| --- | --- | --- |\n| b | 1 | ",
            $cell,
            " |"
        )
    };
}

pub const RULES: &[Rule] = &[
    Rule {
        name: "the documents are there",
        check: documents,
        bad: &[
            ("README.md:1", &[]),
            ("CHANGELOG.md:1", &[("CHANGELOG.md", " \n")]),
        ],
        good: &[&[("README.md", "luge")]],
    },
    Rule {
        name: "every promise is held by something that runs",
        check: promises,
        bad: &[
            ("SPECIFICATION.md:1", &[]),
            (
                "SPECIFICATION.md:1",
                &[(
                    "SPECIFICATION.md",
                    "| a | b |\n| --- | --- |\n| c | `.ci/run` |",
                )],
            ),
            (
                "SPECIFICATION.md:3",
                &[("SPECIFICATION.md", held_by!("by hand"))],
            ),
            (
                "SPECIFICATION.md:3",
                &[("SPECIFICATION.md", held_by!("`a.sh`"))],
            ),
            (
                "SPECIFICATION.md:3",
                &[("SPECIFICATION.md", held_by!("`luge fly`"))],
            ),
            (
                "SPECIFICATION.md:3",
                &[("SPECIFICATION.md", held_by!("`cargo test`"))],
            ),
            (
                "SPECIFICATION.md:3",
                &[
                    ("SPECIFICATION.md", held_by!("`cargo test a`")),
                    ("a.rs", "fn a() {}"),
                ],
            ),
            (
                "SPECIFICATION.md:3",
                &[
                    ("SPECIFICATION.md", held_by!("`cargo test --test it a`")),
                    ("sched/tests/other.rs", "#[test]\nfn a() {}"),
                ],
            ),
            (
                "SPECIFICATION.md:3",
                &[
                    ("SPECIFICATION.md", held_by!("`cargo test -p b a`")),
                    ("b/Cargo.toml", "name = \"b\""),
                    ("c/tests/b.rs", "#[test]\nfn a() {}"),
                ],
            ),
            (
                "SPECIFICATION.md:3",
                &[
                    ("SPECIFICATION.md", held_by!("`cargo test a::`")),
                    ("src/b.rs", "#[test]\nfn a() {}"),
                ],
            ),
            (
                "SPECIFICATION.md:3",
                &[
                    ("SPECIFICATION.md", held_by!("`cargo test --test it`")),
                    ("tests/it/main.rs", "fn main() {}"),
                ],
            ),
            (
                "SPECIFICATION.md:3",
                &[
                    ("SPECIFICATION.md", held_by!("`cargo bench`")),
                    ("a/benches/b.rs", "fn main() {}"),
                ],
            ),
            (
                "SPECIFICATION.md:3",
                &[
                    ("SPECIFICATION.md", held_by!("`cargo bench --bench c`")),
                    ("a/benches/b.rs", "fn main() {}"),
                    ("a/benches/b/c.rs", "fn main() {}"),
                ],
            ),
            (
                "SPECIFICATION.md:3",
                &[
                    ("SPECIFICATION.md", held_by!("`cargo bench -p a --bench b`")),
                    ("a/Cargo.toml", "name = \"a\""),
                    ("c/benches/b.rs", "fn main() {}"),
                ],
            ),
        ],
        good: &[
            &[
                (
                    "SPECIFICATION.md",
                    held_by!(
                        "`cargo test -p b --test it c::a -- --exact`, `cargo test --locked a`, \
                         `cargo test -p b`, `cargo test --test it`, `cargo test c::`"
                    ),
                ),
                ("b/Cargo.toml", "[package]\nname = \"b\""),
                ("b/tests/it/c.rs", "#[test]\n// b\nfn a() {}"),
            ],
            &[
                ("SPECIFICATION.md", held_by!("`luge sim --seed 7`")),
                ("src/cli/mod.rs", "enum Command { Sim }"),
            ],
            &[("SPECIFICATION.md", held_by!("`.ci/run`")), (".ci/run", "")],
            &[
                (
                    "SPECIFICATION.md",
                    held_by!("`cargo bench -p a --bench b`, `cargo bench --bench c -- d`"),
                ),
                ("a/Cargo.toml", "name = \"a\""),
                ("a/benches/b.rs", "fn main() {}"),
                ("a/benches/c/main.rs", "fn main() {}"),
            ],
        ],
    },
    Rule {
        name: "the code map is true",
        check: code_map,
        bad: &[
            (
                "ARCHITECTURE.md:2",
                &[
                    ("ARCHITECTURE.md", "\n| `sched/src/a.rs` | b |"),
                    ("sched/src/b.rs", ""),
                ],
            ),
            (
                "ARCHITECTURE.md:1",
                &[("ARCHITECTURE.md", "`src/`"), ("srcs/a.rs", "")],
            ),
            (
                "ARCHITECTURE.md:1",
                &[
                    ("ARCHITECTURE.md", "`src/`"),
                    ("src/a.rs", ""),
                    ("perf/a.rs", ""),
                ],
            ),
        ],
        good: &[&[
            (
                "ARCHITECTURE.md",
                "`src/`, `src/a.rs`, `/proc/self`, `a()`, `b`, `c / d`, HTTP/1.1",
            ),
            ("src/a.rs", ""),
            (".ci/run", ""),
        ]],
    },
    Rule {
        name: "links lead somewhere",
        check: links,
        bad: &[
            ("a.md:2", &[("a.md", "\n[b](c.md)")]),
            ("a/b.md:1", &[("a/b.md", "[c](d.md)"), ("d.md", "")]),
        ],
        good: &[&[
            (
                "a/b.md",
                "[c](../d.md#e) [f](https://g.example) [h](#i) [j](k/)",
            ),
            ("d.md", ""),
            ("a/k/l", ""),
        ]],
    },
];

fn documents(tree: &Tree) -> Vec<Finding> {
    let has_text = |path: &str| {
        tree.file(path)
            .is_some_and(|file| !file.text.trim().is_empty())
    };
    let missing = DOCUMENTS.iter().filter(|path| !has_text(path));
    missing
        .map(|path| Finding::new(path, 1, "is not there"))
        .collect()
}

fn promises(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut promises = 0;
    for (line, holders) in tree
        .file(SPECIFICATION)
        .into_iter()
        .flat_map(held_by_column)
    {
        promises += 1;
        if quoted(holders).next().is_none() {
            findings.push(Finding::new(
                SPECIFICATION,
                line,
                "nothing in backticks holds it",
            ));
        }
        for holder in quoted(holders).filter(|holder| !runs(tree, holder)) {
            let what = format!("`{holder}` is no test, command or file");
            findings.push(Finding::new(SPECIFICATION, line, what));
        }
    }
    if promises == 0 {
        findings.push(Finding::new(
            SPECIFICATION,
            1,
            "has no table with a last column `held by`",
        ));
    }
    findings
}

/// The last cells of the rows of those tables whose last column is headed `held by`.
fn held_by_column(file: &File) -> Vec<(usize, &str)> {
    let mut cells = Vec::new();
    let mut in_table = false;
    for (line, text) in file.lines() {
        let Some(cell) = text
            .strip_suffix('|')
            .and_then(|row| row.rsplit('|').next())
        else {
            in_table = false;
            continue;
        };
        if cell.trim() == "held by" {
            in_table = true;
        } else if in_table && !cell.trim().trim_matches(':').chars().all(|c| c == '-') {
            cells.push((line, cell));
        }
    }
    cells
}

/// Whether there is what a promise is said to be held by.
fn runs(tree: &Tree, holder: &str) -> bool {
    let mut words = holder.split_whitespace();
    match (words.next(), words.next()) {
        (Some("cargo"), Some("test")) => has_test(tree, words),
        (Some("cargo"), Some("bench")) => has_bench(tree, words),
        (Some("luge"), Some(command)) => has_command(tree, command),
        (Some(path), None) => tree.has(path),
        _ => false,
    }
}

/// Whether these arguments of `cargo test` choose a test, and fewer than all.
fn has_test<'a>(tree: &Tree, mut arguments: impl Iterator<Item = &'a str>) -> bool {
    let (mut package, mut target, mut filter) = (None, None, None);
    while let Some(argument) = arguments.next() {
        match argument {
            "--" => break,
            "-p" | "--package" => package = arguments.next(),
            "--test" => target = arguments.next(),
            option if option.starts_with('-') => {}
            name => filter = Some(name),
        }
    }
    if (package, target, filter) == (None, None, None) {
        return false;
    }
    let chosen = tree.rust().filter(|file| {
        package.is_none_or(|package| is_in_package(tree, file, package))
            && target.is_none_or(|target| is_in_target(file, target))
    });
    let mut tests = chosen.flat_map(|file| tests(file).map(move |test| (file, test)));
    tests.any(|(file, test)| filter.is_none_or(|filter| passes(file, test, filter)))
}

/// Whether these arguments of `cargo bench` name a benchmark that is there.
fn has_bench<'a>(tree: &Tree, mut arguments: impl Iterator<Item = &'a str>) -> bool {
    let (mut package, mut bench) = (None, None);
    while let Some(argument) = arguments.next() {
        match argument {
            "--" => break,
            "-p" | "--package" => package = arguments.next(),
            "--bench" => bench = arguments.next(),
            _ => return false,
        }
    }
    let Some(bench) = bench else {
        return false;
    };
    let endings = [
        format!("benches/{bench}.rs"),
        format!("benches/{bench}/main.rs"),
    ];
    tree.rust().any(|file| {
        endings
            .iter()
            .any(|ending| format!("/{}", file.path).ends_with(&format!("/{ending}")))
            && package.is_none_or(|package| is_in_package(tree, file, package))
    })
}

fn is_in_package(tree: &Tree, file: &File, package: &str) -> bool {
    let name = format!("name = \"{package}\"");
    let mut folders = tree.with_extension("toml").filter_map(|manifest| {
        let folder = manifest.path.strip_suffix("Cargo.toml")?;
        manifest
            .lines()
            .any(|(_, line)| line == name)
            .then_some(folder)
    });
    folders.any(|folder| file.path.starts_with(folder))
}

fn is_in_target(file: &File, target: &str) -> bool {
    let path = format!("/{}", file.path);
    path.ends_with(&format!("/tests/{target}.rs")) || path.contains(&format!("/tests/{target}/"))
}

/// Whether a test passes a filter: a test's name, whole, or a module of a file's own with `::` behind it.
fn passes(file: &File, test: &str, filter: &str) -> bool {
    match filter.strip_suffix("::") {
        Some(module) => {
            let module = module.replace("::", "/");
            let path = format!("/{}", file.path);
            path.contains(&format!("/{module}/")) || path.ends_with(&format!("/{module}.rs"))
        }
        None => filter.rsplit("::").next() == Some(test),
    }
}

/// The names of a file's tests.
fn tests(file: &File) -> impl Iterator<Item = &str> {
    let functions = functions(&file.code).into_iter();
    functions.filter_map(|function| {
        let before = file
            .code
            .lines()
            .take(function.line_first - 1)
            .collect::<Vec<_>>();
        let attributes = before.iter().rev().map(|line| line.trim());
        let mut attributes =
            attributes.take_while(|line| line.is_empty() || line.starts_with("#["));
        attributes
            .any(|line| line == "#[test]")
            .then_some(function.name)
    })
}

fn has_command(tree: &Tree, command: &str) -> bool {
    let declarations = tree.rust().filter(|file| file.path.starts_with(COMMANDS));
    let mut variants = declarations.flat_map(|file| words(&file.code));
    variants.any(|(_, word)| word.starts_with(char::is_uppercase) && word.to_lowercase() == command)
}

fn code_map(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(file) = tree.file(ARCHITECTURE) else {
        return findings;
    };
    let is_path = |c: char| c.is_alphanumeric() || "._-/".contains(c);
    for (line, text) in file.lines() {
        for path in quoted(text).filter(|path| path.contains('/') && !path.starts_with('/')) {
            if path.chars().all(is_path) && !tree.has(path) {
                findings.push(Finding::new(
                    ARCHITECTURE,
                    line,
                    format!("`{path}` is not there"),
                ));
            }
        }
    }
    let folders = tree
        .files
        .iter()
        .filter_map(|file| file.path.split_once('/'));
    let mut folders: Vec<&str> = folders.map(|(folder, _)| folder).collect();
    folders.dedup();
    for folder in folders.iter().filter(|folder| !folder.starts_with('.')) {
        if !file.text.contains(&format!("`{folder}/")) {
            let what = format!("names nothing in {folder}/");
            findings.push(Finding::new(ARCHITECTURE, 1, what));
        }
    }
    findings
}

fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.with_extension("md") {
        for (line, text) in file.lines() {
            let targets = text
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split([')', '#']).next());
            let inside = targets.filter(|target| !target.is_empty() && !target.contains(':'));
            for target in inside.filter(|target| !tree.has(&resolved(&file.path, target))) {
                findings.push(Finding::new(
                    &file.path,
                    line,
                    format!("{target} is not there"),
                ));
            }
        }
    }
    findings
}

/// A link's target from the repository's root.
fn resolved(document: &str, target: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => _ = parts.pop(),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What is in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}
