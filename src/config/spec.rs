//! The spec after reading: complete, checked, defaults filled in.
//!
//! Plain data for the server. Not here: the file's form ([`super::keys`]) and its mistakes.

use std::num::NonZeroU32;
use std::path::PathBuf;

use super::env::Environment;
use super::keys::{Abi, Access, DeadlineAction, Stderr};
use super::methods::Methods;
use super::problem::{Position, Problem};

/// What is served.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The file that it came from, as it was named.
    pub file: PathBuf,
    /// At least one; names and ports differ.
    pub tenants: Vec<Tenant>,
}

/// One who owns functions, reached at a port of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// Not empty, unlike every other tenant's.
    pub name: String,
    /// The TCP port; 0 only if [`super::LoadOptions::allow_port_zero`].
    pub port: u16,
    /// At least one; no two are equal.
    pub routes: Vec<Route>,
    /// Its share of the processors against those of the others, 1 to 10,000.
    pub weight: Option<u32>,
    /// Microseconds after which the budget is filled again; none without a reservation.
    pub replenishment_period_us: Option<u64>,
    /// Processor time in microseconds, over all workers, guaranteed per period; none without a
    /// reservation.
    pub max_budget_us: Option<u64>,
    /// The JSON path of this tenant, such as `$[0]`.
    pub pointer: String,
}

/// A path below which requests go to one function.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Begins with `/`; ends with one only if it is the root.
    pub route: String,
    /// The module, `.wasm` or `.wat`: what the resolver answered, a readable file for
    /// [`super::load()`].
    pub path: PathBuf,
    /// Microseconds from arrival until an answer is due; at least 1.
    pub relative_deadline_us: Option<u64>,
    /// Microseconds of processor time that a request is expected to take; at least 1.
    pub expected_execution_us: Option<u64>,
    /// A model of that, which goes before all else that is known of it.
    pub model: Option<Model>,
    /// Which percentile of past execution times admission reckons with, 50 to 99.
    pub admissions_percentile: Option<u8>,
    /// The `Content-Type` of answers, a valid field value (RFC 9110 §5.5).
    pub http_resp_content_type: Option<String>,
    /// Bytes of stack that a sandbox needs.
    pub stack_size: Option<u64>,
    /// What the route answers to; else 405 with these in `Allow`.
    pub methods: Methods,
    /// Bytes of request body at most; the server's own setting if none.
    pub max_body_bytes: Option<u64>,
    /// Where the function's stderr goes.
    pub stderr: Stderr,
    /// Bytes of linear memory at most, over all memories of a sandbox.
    pub max_memory_bytes: Option<u64>,
    /// Microseconds of processor time that a request may take; at least 1.
    pub cpu_limit_us: Option<u64>,
    /// What becomes of a request that is not done by its deadline; without one, none.
    pub deadline_action: DeadlineAction,
    /// Whether clients are told why a request has failed.
    pub debug: bool,
    /// Whether every answer says where its time went.
    pub server_timing: bool,
    /// Microseconds from arrival until an answer is meant to have left; at least 1.
    pub latency_objective_us: Option<u64>,
    /// The function's own variables, with all references resolved.
    pub env: Environment,
    /// How the function is spoken to.
    pub abi: Abi,
    /// Whether the function sees the `Authorization` field.
    pub pass_authorization: bool,
    /// What it sees of the host, by its own names, which differ.
    pub dirs: Vec<Dir>,
    /// Its name of a directory of each request's own.
    pub scratch: Option<String>,
    /// The JSON path of this route, such as `$[0].routes[2]`.
    pub pointer: String,
    /// Where the value of `path` stands in the file.
    pub path_position: Option<Position>,
}

/// How long requests are expected to execute: a bias, and so much for a unit of the body's size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model {
    /// Whatever the body, in microseconds.
    pub bias_us: u64,
    /// The unit, in bytes.
    pub scale_bytes: NonZeroU32,
    /// For each unit, in microseconds; may be negative.
    pub beta1_us: f64,
}

/// A directory of the host as a function sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Dir {
    /// It was there when the spec was read.
    pub host: PathBuf,
    /// Absolute, without `.`, `..` and empty parts.
    pub guest: String,
    /// What the function may do with what is in it.
    pub access: Access,
}

impl Spec {
    /// A problem with the value of a tenant's `key`, found after reading.
    pub fn problem_with_tenant(
        &self,
        tenant: &Tenant,
        (key, value): (&str, u64),
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Problem {
        let at = format!("{}.{key}", tenant.pointer);
        Problem::in_file(&self.file, at, problem, remedy).with_value(&value.to_string())
    }

    /// A problem with the module of `route`, found after reading: what is wrong, what would be
    /// right. It points at the route's `path`.
    pub fn problem(
        &self,
        route: &Route,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Problem {
        Problem::in_file(
            &self.file,
            format!("{}.path", route.pointer),
            problem,
            remedy,
        )
        .with_value(&format!("{:?}", route.path))
        .with_position(route.path_position)
    }
}
