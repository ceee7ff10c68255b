//! Charts and pages as others read them: parsed by parsers that are not ours.
//!
//! What they look like is for people to judge: `cargo run -p perf --example page -- FILE.html`.

mod charts;
mod pages;
#[path = "../../examples/page/sample.rs"]
mod sample;
