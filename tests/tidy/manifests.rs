//! Rules about the edges between crates: what each `Cargo.toml` may depend on.
//!
//! Only the names in `[dependencies]`, `[build-dependencies]` and their tables by target are read. Versions and
//! licences are `deny.toml`'s.

use crate::tree::{File, Tree};
use crate::{Finding, Rule};

struct Edges {
    manifest: &'static str,
    /// The crates of the house that it depends on, exactly.
    own: &'static [&'static str],
    /// What else it may depend on, where that is part of the architecture.
    outside: Option<&'static [&'static str]>,
}

/// A row that changes is an architectural change: see ARCHITECTURE.md.
const EDGES: &[Edges] = &[
    Edges {
        manifest: "Cargo.toml",
        own: CRATES,
        outside: None,
    },
    Edges {
        manifest: "listener/Cargo.toml",
        own: &["listener-http"],
        outside: Some(&["io-uring", "libc", "slab", "thiserror"]),
    },
    Edges {
        manifest: "listener/http/Cargo.toml",
        own: &[],
        outside: Some(&["httparse", "memchr"]),
    },
    Edges {
        manifest: "perf/Cargo.toml",
        own: &[],
        outside: Some(&["base64", "hdrhistogram", "plotters", "serde", "serde_json"]),
    },
    Edges {
        manifest: "sandbox/Cargo.toml",
        own: &[],
        outside: None,
    },
    Edges {
        manifest: "sched/Cargo.toml",
        own: &[],
        outside: Some(&[]),
    },
];

/// The crates of the house.
const CRATES: &[&str] = &["listener", "listener-http", "perf", "sandbox", "sched"];

/// The one manifest that may name wasmtime.
const WASMTIME_USER: &str = "sandbox/Cargo.toml";

/// Workspaces of their own, which nothing here depends on.
const APART: &[&str] = &["functions/", "fuzz/", "tests/conformance/cases/"];

pub const RULES: &[Rule] = &[Rule {
    name: "edges between crates are the architecture",
    check: edges,
    bad: &[
        (
            "sched/Cargo.toml:2",
            &[("sched/Cargo.toml", "[dependencies]\nlibc = \"0.2\"")],
        ),
        (
            "sched/Cargo.toml:2",
            &[("sched/Cargo.toml", "[dependencies]\nperf.workspace = true")],
        ),
        (
            "sandbox/Cargo.toml:1",
            &[(
                "sandbox/Cargo.toml",
                "[dependencies.sched]\nworkspace = true",
            )],
        ),
        (
            "sandbox/Cargo.toml:2",
            &[(
                "sandbox/Cargo.toml",
                "[target.'cfg(unix)'.dependencies]\nlistener = {}",
            )],
        ),
        (
            "listener/Cargo.toml:1",
            &[(
                "listener/Cargo.toml",
                "[dev-dependencies]\nlistener-http = {}",
            )],
        ),
        (
            "perf/Cargo.toml:2",
            &[("perf/Cargo.toml", "[build-dependencies]\n\"cc\" = \"1\"")],
        ),
        (
            "Cargo.toml:2",
            &[("Cargo.toml", "[dependencies]\nwasmtime.workspace = true")],
        ),
        (
            "Cargo.toml:1",
            &[("Cargo.toml", "[workspace.dependencies]\nsched = {}")],
        ),
        ("new/Cargo.toml:1", &[("new/Cargo.toml", "")]),
        ("sched/Cargo.toml:1", &[]),
    ],
    good: &[
        &[(
            "sched/Cargo.toml",
            "[package]\nperf = 1\n[dependencies]\n# perf\n[dev-dependencies]\nrand = \"1\"",
        )],
        &[(
            "listener/Cargo.toml",
            "[dependencies]\nlistener-http.workspace = true\nslab = { features = [\n    \"perf\",\n] }",
        )],
        &[
            (
                "sandbox/Cargo.toml",
                "[dependencies]\nwasmtime.workspace = true",
            ),
            ("fuzz/Cargo.toml", ""),
        ],
    ],
}];

fn edges(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for edges in EDGES {
        match tree.file(edges.manifest) {
            Some(file) => findings.extend(edges_of(file, edges)),
            None => findings.push(Finding::new(edges.manifest, 1, "is not there")),
        }
    }
    let manifests = tree
        .with_extension("toml")
        .filter(|file| file.path.ends_with("Cargo.toml"));
    let apart = |file: &File| APART.iter().any(|folder| file.path.starts_with(folder));
    for file in manifests.filter(|file| !apart(file)) {
        if EDGES.iter().all(|edges| edges.manifest != file.path) {
            findings.push(Finding::new(
                &file.path,
                1,
                "a crate without a row in the table of edges",
            ));
        }
    }
    findings
}

fn edges_of(file: &File, edges: &Edges) -> Vec<Finding> {
    let mut findings = Vec::new();
    let dependencies = dependencies(&file.text);
    for (line, name) in &dependencies {
        let allowed = if CRATES.contains(name) {
            edges.own.contains(name)
        } else {
            let elsewhere = name.starts_with("wasmtime") && edges.manifest != WASMTIME_USER;
            !elsewhere && edges.outside.is_none_or(|outside| outside.contains(name))
        };
        if !allowed {
            findings.push(Finding::new(
                &file.path,
                *line,
                format!("no edge to {name} is allowed"),
            ));
        }
    }
    for name in edges.own {
        if dependencies
            .iter()
            .all(|(_, dependency)| dependency != name)
        {
            findings.push(Finding::new(
                &file.path,
                1,
                format!("has no edge to {name}, though allowed"),
            ));
        }
    }
    findings
}

/// The lines and names of what a manifest depends on, other than for its tests.
fn dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut dependencies = Vec::new();
    let mut in_table = false;
    for (line, text) in (1..).zip(manifest.lines()) {
        if let Some(header) = text.strip_prefix('[') {
            let header = header.split(']').next().unwrap_or("");
            let (table, name) = header.split_at(header.rfind('.').map_or(0, |dot| dot + 1));
            in_table = is_dependencies(name) && table != "workspace.";
            // A table of one dependency: `[dependencies.name]`.
            let table = table.trim_end_matches('.');
            let last = table.rsplit('.').next().unwrap_or("");
            if is_dependencies(last) && !table.starts_with("workspace") {
                dependencies.push((line, name.trim_matches('"')));
            }
        } else if in_table {
            let is_name = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
            let unquoted = text.trim_start_matches('"');
            let name = &unquoted[..unquoted.find(|c| !is_name(c)).unwrap_or(unquoted.len())];
            if !name.is_empty() && text.contains(" = ") {
                dependencies.push((line, name));
            }
        }
    }
    dependencies
}

fn is_dependencies(name: &str) -> bool {
    name == "dependencies" || name == "build-dependencies"
}
