//! The spec: which functions are served, on which ports, under which routes, with which limits.
//!
//! SLEdge's `spec.json` is read as it is, extended by a few keys of luge's own. One set of types
//! (`keys`) says what the file may hold; the JSON Schema for editors and the reader's own
//! checks both come from it. A reader that stops at the first mistake wastes its user's time, so
//! every problem is collected, each with its place in the file and what would be right.
//!
//! ```text
//! text ──json──► values with positions ──read──► keys (typed) ──check──► Spec, notices
//!                     ▲ keys::schema says what is allowed          Problems, all at once
//! ```
//!
//! Not here: compiling modules (the caller adds its [`Problem`]s by [`Spec::problem`]), opening
//! sockets, and the server's own settings (`crate::cli`).

mod check;
mod env;
mod json;
mod keys;
mod load;
mod methods;
mod problem;
mod read;
mod router;
mod spec;
#[cfg(test)]
mod tests;

pub use env::{CGI_VARIABLES, Environment};
pub use keys::{Abi, Access, DeadlineAction, Stderr, schema};
pub use load::{Examined, LoadOptions, Loaded, examine, examine_text, load, load_from, load_with};
pub use methods::{Method, Methods};
pub use problem::{Notice, Position, Problem, Problems, nearest};
pub use router::Router;
pub use spec::{Dir, Model, Route, Spec, Tenant};
