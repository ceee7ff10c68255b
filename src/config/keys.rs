//! The keys that a spec file may hold, as types, and the JSON Schema made from them.
//!
//! Names, units, bounds and descriptions are written here once: editors get them as a schema, the
//! reader ([`super::read`]) checks files against that same schema and names the bounds in its
//! remedies. Whatever a schema cannot say (equal ports, files that are missing) is in
//! [`super::check`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, json_schema};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::methods::Method;

/// Tenants of one spec at most; each is a listening socket.
pub(super) const TENANTS_MAX: usize = 4096;

/// What a tenant object may hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub(super) struct TenantKeys<'a> {
    /// The tenant's name, in logs and metrics; unlike every other tenant's.
    #[schemars(required, length(min = 1, max = 255))]
    pub(super) name: Option<String>,
    /// The TCP port on which the tenant's routes are served; unlike every other tenant's.
    #[schemars(required, range(min = 1, max = 65535))]
    pub(super) port: Option<u16>,
    /// The tenant's functions by path.
    #[serde(borrow)]
    #[schemars(
        required,
        with = "Vec<RouteKeys<'static>>",
        length(min = 1, max = 65535)
    )]
    pub(super) routes: Option<&'a RawValue>,
    /// The tenant's share of the processors against those of the others, with --scheduler wfq. Default: 100.
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) weight: Option<u32>,
    /// The period, in microseconds, after which the tenant's budget is filled again. 0: no
    /// reservation.
    #[schemars(range(max = 3_600_000_000_u64))]
    pub(super) replenishment_period_us: Option<u64>,
    /// Processor time, in microseconds over all workers, guaranteed to the tenant in every
    /// period, with --scheduler mtds or mtdbf. 0: no reservation.
    #[schemars(range(max = 3_600_000_000_000_u64))]
    pub(super) max_budget_us: Option<u64>,
}

/// What a route object may hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub(super) struct RouteKeys<'a> {
    /// The path that is served: it takes requests for itself and for everything below it, by
    /// whole segments ("/fib" takes "/fib/x", not "/fib2"); the longest route wins.
    #[schemars(required, length(min = 1, max = 1024), regex(pattern = r"^/[^?#\s]*$"))]
    pub(super) route: Option<String>,
    /// The module, a .wasm or .wat file, relative to the spec. For "x.wasm.so" (SLEdge's
    /// compiled form) the "x.wasm" beside it is taken.
    #[schemars(
        required,
        length(min = 1, max = 4096),
        regex(pattern = r"\.(wasm|wat|wasm\.so)$")
    )]
    pub(super) path: Option<String>,
    /// Microseconds from arrival until the answer is due; what earliest-deadline-first sorts by.
    #[schemars(range(min = 1, max = 86_400_000_000_u64))]
    pub(super) relative_deadline_us: Option<u64>,
    /// Microseconds of processor time that a request is expected to take. 0: unknown.
    #[schemars(range(max = 86_400_000_000_u64))]
    pub(super) expected_execution_us: Option<u64>,
    /// A model of the execution, SLEdge's: microseconds expected whatever the body, to which model-beta1 is added for
    /// every model-scale bytes of it. Goes before expected-execution-us and past executions.
    #[schemars(range(max = 86_400_000_000_u64))]
    pub(super) model_bias: Option<u64>,
    /// Of the model: how many bytes of the body model-beta1 is for.
    #[schemars(range(min = 1, max = 4_294_967_295_u64))]
    pub(super) model_scale: Option<u32>,
    /// Of the model: how many parameters it has. The first is the size of the body; the second is not known here.
    #[schemars(range(min = 1, max = 2))]
    pub(super) model_num_of_param: Option<u8>,
    /// Of the model: microseconds for every model-scale bytes, maybe negative.
    #[serde(borrow)]
    #[schemars(with = "Option<Decimal>")]
    pub(super) model_beta1: Option<&'a RawValue>,
    /// Of the model: microseconds for the second parameter, without effect.
    #[serde(borrow)]
    #[schemars(with = "Option<Decimal>")]
    pub(super) model_beta2: Option<&'a RawValue>,
    /// Which percentile of past execution times admission control reckons with.
    #[schemars(range(min = 50, max = 99))]
    pub(super) admissions_percentile: Option<u8>,
    /// The Content-Type of the function's answers.
    #[schemars(
        length(min = 1, max = 255),
        regex(pattern = r"^[!-~]([\t -~]*[!-~])?$")
    )]
    pub(super) http_resp_content_type: Option<String>,
    /// Bytes of stack for a sandbox. All sandboxes get the largest that a route asks for.
    #[schemars(range(min = 16_384, max = 1_073_741_824))]
    pub(super) stack_size: Option<u64>,
    /// The request methods that the route answers to; others get 405. Default: all of them.
    #[schemars(length(min = 1, max = 7))]
    pub(super) methods: Option<Vec<Method>>,
    /// Bytes of request body at most; more gets 413. Default: the server's --max-body-bytes.
    #[schemars(range(max = 4_294_967_296_u64))]
    pub(super) max_body_bytes: Option<u64>,
    /// Where the function's stderr goes. Default: "log".
    pub(super) stderr: Option<Stderr>,
    /// Bytes of linear memory that a sandbox may have at most; wanting more ends it. Default: 256 MiB.
    #[schemars(range(min = 65_536, max = 4_294_967_296_u64))]
    pub(super) max_memory_bytes: Option<u64>,
    /// Microseconds of processor time that a request may take; then its sandbox is ended and the
    /// client gets 500. Needs preemption.
    #[schemars(range(min = 1, max = 86_400_000_000_u64))]
    pub(super) cpu_limit_us: Option<u64>,
    /// What becomes of a request that is not done relative-deadline-us after its arrival. Default: "none".
    pub(super) deadline_action: Option<DeadlineAction>,
    /// Whether a client whose request fails is told why: the trap, where in the module, the number of the
    /// request in the log. For development. Default: false.
    pub(super) debug: Option<bool>,
    /// Whether every answer says in a Server-Timing field where its time went. If not, those do whose request has a
    /// Luge-Timing field. Default: false.
    pub(super) server_timing: Option<bool>,
    /// Microseconds from a request's arrival within which its answer is meant to have left; one that takes longer has
    /// the flight recorder written out (--flight-dir). Default: none.
    #[schemars(range(min = 1, max = 86_400_000_000_u64))]
    pub(super) latency_objective_us: Option<u64>,
    /// Variables of the function's environment, beside those of CGI/1.1 that the request sets. A value may hold
    /// ${file:PATH} (relative to the spec, without one newline at the end) and ${env:NAME} (of the server's own
    /// environment), resolved when the spec is loaded; $$ is a dollar sign.
    #[schemars(with = "Option<BTreeMap<String, String>>", extend("writeOnly" = true, "propertyNames" = json!({ "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" })))]
    pub(super) env: Option<IgnoredAny>,
    /// How the function is spoken to. Default: "sledge".
    pub(super) abi: Option<Abi>,
    /// Whether the function sees the Authorization field as HTTP_AUTHORIZATION. Default: false.
    pub(super) pass_authorization: Option<bool>,
    /// Directories of the host that the function sees, and nothing outside of them.
    #[serde(borrow)]
    #[schemars(with = "Option<Vec<DirKeys>>", length(min = 1, max = 64))]
    pub(super) dirs: Option<&'a RawValue>,
    /// The function's name of a directory that each request gets for itself, empty, writable, and
    /// removed with it, such as "/tmp".
    #[schemars(length(min = 1, max = 4096), regex(pattern = r"^/"))]
    pub(super) scratch: Option<String>,
}

/// A number, or a string of one: how SLEdge writes what is no integer.
struct Decimal;

impl JsonSchema for Decimal {
    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["number", "string"],
            "minimum": -DECIMAL_MAX,
            "maximum": DECIMAL_MAX,
            "pattern": r"^[+-]?[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?$",
        })
    }
}

/// How far a [`Decimal`] is from 0 at most.
pub(super) const DECIMAL_MAX: i64 = 1_000_000_000;

/// How a function is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Abi {
    /// As SLEdge does: its arguments are the query's parts, its output is the response's body.
    #[default]
    Sledge,
    /// By WAGI: its first argument is the path, its output is a CGI response (RFC 3875 §6) with header and body.
    Wagi,
}

/// What an object in `dirs` may hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub(super) struct DirKeys {
    /// The directory, relative to the spec.
    #[schemars(required, length(min = 1, max = 4096))]
    pub(super) host: Option<String>,
    /// The function's name of it, such as "/data".
    #[schemars(required, length(min = 1, max = 4096), regex(pattern = r"^/"))]
    pub(super) guest: Option<String>,
    /// What the function may do with what is in it. Default: "ro".
    pub(super) access: Option<Access>,
}

/// What a function may do with what is in a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Read it.
    #[default]
    Ro,
    /// Read and change it.
    Rw,
}

/// What becomes of a request that is not done by its deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeadlineAction {
    /// It is answered late.
    #[default]
    None,
    /// Its sandbox is ended (504), or not even started (503).
    Kill,
    /// If it has not started, it is not (503); else it is answered late.
    DropUnstarted,
}

/// Where a function's stderr goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stderr {
    /// Into the response body, mixed with stdout as it comes: SLEdge's way.
    Body,
    /// Into the server's log, line by line.
    #[default]
    Log,
    /// Nowhere.
    Drop,
}

/// Keys of SLEdge and its branches that are accepted in a route and have no effect, with why.
pub(super) const ROUTE_IGNORED: &[(&str, &str)] = &[
    ("request-type", "a request type is told by its route"),
    ("n-resas", "workers are not reserved for routes"),
    ("group-id", "workers are not reserved for groups of routes"),
    ("http-req-size", "bodies are limited by max-body-bytes"),
    ("http-resp-size", "responses grow as they need"),
    (
        "path_preprocess",
        "a model of the execution sees the body's size and nothing else of it",
    ),
];

/// As [`ROUTE_IGNORED`], in a tenant.
pub(super) const TENANT_IGNORED: &[(&str, &str)] =
    &[("route-replicas", "routes are listed one by one")];

/// The JSON Schema (draft 2020-12) of spec files, for editors and for the reader.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(Tidy);
    let tenant = settings
        .into_generator()
        .into_root_schema_for::<TenantKeys<'static>>();
    let mut tenant = tenant.to_value();
    allow(&mut tenant["properties"], TENANT_IGNORED);
    for key in ["$schema", "title"] {
        tenant
            .as_object_mut()
            .expect("made as an object")
            .remove(key);
    }
    let route = &mut tenant["properties"]["routes"]["items"];
    allow(&mut route["properties"], ROUTE_IGNORED);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "luge spec",
        "description": "The functions that a luge server offers: an array of tenants.",
        "type": "array",
        "minItems": 1,
        "maxItems": TENANTS_MAX,
        "items": tenant,
    })
}

fn allow(properties: &mut Value, ignored: &[(&str, &str)]) {
    for (key, why) in ignored {
        properties[*key] = json!({
            "description": format!("Accepted for SLEdge's sake, without effect: {why}."),
            "deprecated": true,
        });
    }
}

/// An absent key is `None` in Rust; a `null` in the file is a mistake.
/// And a description is one line, however it is wrapped here.
#[derive(Clone)]
struct Tidy;

impl Transform for Tidy {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if let Some(Value::String(description)) = schema.get_mut("description") {
            *description = description.replace('\n', " ");
        }
        let null = json!({ "type": "null" });
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = &types[..] {
                let only = only.clone();
                schema.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
            choices.retain(|choice| *choice != null);
            if let [Value::Object(only)] = &choices[..] {
                let only = only.clone();
                schema.remove("anyOf");
                for (key, value) in only {
                    schema.ensure_object().entry(key).or_insert(value);
                }
            }
        }
    }
}
