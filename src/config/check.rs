//! From typed keys to the spec: what no schema can say, across keys, routes, tenants and files.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde_json::Value;
use serde_json::value::RawValue;

use super::env::{self, Environment, Sources};
use super::json;
use super::keys::{
    Abi, DECIMAL_MAX, DeadlineAction, DirKeys, ROUTE_IGNORED, RouteKeys, Stderr, TENANT_IGNORED,
    TenantKeys,
};
use super::load::directory;
use super::methods::Methods;
use super::read::{Object, Reader, Shape};
use super::router;
use super::spec::{Dir, Model, Route, Tenant};

/// Below this port, a process needs a privilege to listen.
const PORT_UNPRIVILEGED_MIN: u16 = 1024;

/// Reads a spec and checks everything in it.
pub(super) struct Checker<'a, 's, R> {
    pub(super) reader: Reader<'a>,
    pub(super) schema: &'s Value,
    /// The module for a path of the spec, or what is wrong with it.
    pub(super) resolve: R,
    /// Where the secrets come from that variables refer to.
    pub(super) sources: Sources<'s>,
    /// Where the value of `path` begins in the text, for each route in order.
    pub(super) path_offsets: Vec<Option<usize>>,
}

impl<'a, R> Checker<'a, '_, R>
where
    R: Fn(&Path) -> Result<PathBuf, String>,
{
    /// The tenants in `root`; complete only if the reader has no problems afterwards.
    pub(super) fn tenants(&mut self, root: &'a RawValue) -> Vec<Tenant> {
        if !self.reader.check(self.schema, "$", root) {
            return Vec::new();
        }
        let schema = &self.schema["items"];
        let route_schema = &schema["properties"]["routes"]["items"];
        let tenant_shape = Shape {
            noun: "tenant",
            schema,
            ignored: TENANT_IGNORED,
            other: ("route", route_schema),
        };
        let route_shape = Shape {
            noun: "route",
            schema: route_schema,
            ignored: ROUTE_IGNORED,
            other: ("tenant", schema),
        };
        let mut tenants = Vec::new();
        let mut seen = Seen::default();
        for (index, value) in json::items(root).into_iter().enumerate() {
            let at = format!("$[{index}]");
            let object = self
                .reader
                .object::<TenantKeys<'a>>(&tenant_shape, at, value);
            let Some(object) = object else { continue };
            self.check_name(&object, &mut seen);
            self.check_port(&object, &mut seen);
            self.check_budget(&object);
            let routes = self.routes(&route_shape, &object);
            tenants.push(tenant(object, routes));
        }
        tenants
    }

    fn routes(&mut self, shape: &Shape<'_>, tenant: &Object<'a, TenantKeys<'a>>) -> Vec<Route> {
        let mut routes = Vec::new();
        let mut seen = HashMap::new();
        let values = tenant.keys.routes.map(json::items).unwrap_or_default();
        for (index, value) in values.into_iter().enumerate() {
            let at = format!("{}[{index}]", tenant.member("routes"));
            let Some(object) = self.reader.object::<RouteKeys<'a>>(shape, at, value) else {
                continue;
            };
            self.check_route(&object, &mut seen);
            self.check_content_type(&object);
            self.check_deadline(&object);
            self.check_abi(&object);
            let model = self.model(&object);
            let dirs = self.dirs(shape.schema, &object);
            let path = self.module(&object);
            let offset = |value| json::offset(self.reader.text, value);
            self.path_offsets.push(object.value("path").map(offset));
            let env = self.environment(&object);
            routes.push(route(object, model, path, env, dirs));
        }
        routes
    }

    fn check_name(&mut self, tenant: &Object<'a, TenantKeys<'a>>, seen: &mut Seen) {
        let Some(name) = &tenant.keys.name else {
            return;
        };
        if let Some(first) = seen.names.get(name) {
            let problem = format!("{first} has this name already");
            self.reader
                .problem_with(tenant, "name", problem, "a name of its own for each tenant");
        } else {
            seen.names.insert(name.clone(), tenant.at.clone());
        }
        if name.chars().any(char::is_control) {
            let problem = "the name has control characters";
            self.reader
                .problem_with(tenant, "name", problem, "printable characters");
        }
    }

    fn check_port(&mut self, tenant: &Object<'a, TenantKeys<'a>>, seen: &mut Seen) {
        let Some(port) = tenant.keys.port else { return };
        if port == 0 {
            return;
        }
        if let Some(first) = seen.ports.get(&port) {
            let problem = format!("{first} has this port already");
            self.reader
                .problem_with(tenant, "port", problem, "a port of its own for each tenant");
        } else {
            seen.ports.insert(port, tenant.at.clone());
        }
        if port < PORT_UNPRIVILEGED_MIN {
            let notice = "ports below 1024 need CAP_NET_BIND_SERVICE or root";
            self.reader.notice(tenant.member("port"), notice);
        }
    }

    /// A budget may be greater than its period: it counts the time of all workers together.
    fn check_budget(&mut self, tenant: &Object<'a, TenantKeys<'a>>) {
        let budget = tenant.keys.max_budget_us.unwrap_or(0);
        let period = tenant.keys.replenishment_period_us.unwrap_or(0);
        let malformed = |key, parsed: Option<u64>| tenant.has(key) && parsed.is_none();
        if malformed(
            "replenishment-period-us",
            tenant.keys.replenishment_period_us,
        ) || malformed("max-budget-us", tenant.keys.max_budget_us)
        {
            return;
        }
        if budget > 0 && period == 0 {
            let problem = "there is a budget, but no replenishment-period-us to fill it again";
            let remedy = "both keys greater than 0, or both 0 or absent";
            self.reader
                .problem_with(tenant, "max-budget-us", problem, remedy);
        } else if budget > period {
            let cores = budget.div_ceil(period);
            let notice = format!("the budget is greater than its period: it takes {cores} workers");
            self.reader.notice(tenant.member("max-budget-us"), notice);
        }
    }

    fn check_route(
        &mut self,
        route: &Object<'a, RouteKeys<'a>>,
        seen: &mut HashMap<String, String>,
    ) {
        let Some(path) = &route.keys.route else {
            return;
        };
        let unfit =
            |char: char| matches!(char, '?' | '#') || char.is_whitespace() || char.is_control();
        let wrong = if !path.starts_with('/') {
            Some("the route does not begin with \"/\"".to_owned())
        } else {
            let char = path.chars().find(|&char| unfit(char));
            char.map(|char| format!("a path never has {char:?} in it"))
        };
        if let Some(problem) = wrong {
            let remedy = "a path from the root, without query and fragment, such as \"/fib\"";
            self.reader.problem_with(route, "route", problem, remedy);
        }
        let canonical = router::canonical(path);
        if let Some(first) = seen.get(canonical) {
            let problem = format!("{first} serves this path already");
            let remedy = "each path once in a tenant; a trailing slash makes no difference";
            self.reader.problem_with(route, "route", problem, remedy);
        } else {
            seen.insert(canonical.to_owned(), route.at.clone());
        }
    }

    fn check_deadline(&mut self, route: &Object<'a, RouteKeys<'a>>) {
        let acts = route.keys.deadline_action.unwrap_or_default() != DeadlineAction::None;
        if acts && !route.has("relative-deadline-us") {
            let problem = "there is no relative-deadline-us to act at";
            let remedy = "both keys, or \"none\"";
            self.reader
                .problem_with(route, "deadline-action", problem, remedy);
        }
    }

    fn check_abi(&mut self, route: &Object<'a, RouteKeys<'a>>) {
        let keys = &route.keys;
        if keys.abi == Some(Abi::Wagi) && keys.stderr == Some(Stderr::Body) {
            let problem = "with \"abi\": \"wagi\" it would get into the header";
            self.reader
                .problem_with(route, "stderr", problem, "\"log\" or \"drop\"");
        }
    }

    /// The model of a route's execution, of which all keys are there or none.
    fn model(&mut self, route: &Object<'a, RouteKeys<'a>>) -> Option<Model> {
        let here: Vec<_> = MODEL.iter().filter(|key| route.has(key)).collect();
        let first = here.first()?;
        let keys = &route.keys;
        let parameters = keys.model_num_of_param;
        let is_needed = |key: &str| parameters == Some(2) || key != MODEL_SECOND;
        let missing: Vec<_> = MODEL
            .iter()
            .filter(|key| !route.has(key) && is_needed(key))
            .map(|key| format!("\"{key}\""))
            .collect();
        if !missing.is_empty() {
            let problem = format!("is of a model without {}", missing.join(", "));
            let remedy = format!("all of {}, or none", MODEL.join(", "));
            self.reader.problem_with(route, first, problem, remedy);
            return None;
        }
        let beta1_us = self.decimal(route, "model-beta1", keys.model_beta1);
        let beta2_us = self.decimal(route, MODEL_SECOND, keys.model_beta2);
        if parameters == Some(2) && beta2_us.is_some_and(|beta| beta != 0.0) {
            let notice =
                "has no effect: of a model's parameters only the first is known, the body's size";
            self.reader.notice(route.member(MODEL_SECOND), notice);
        }
        for key in ["expected-execution-us", "admissions-percentile"] {
            if route.has(key) {
                let notice = format!("{key} has no effect: the route has a model");
                self.reader.notice(route.member(key), notice);
            }
        }
        Some(Model {
            bias_us: keys.model_bias?,
            scale_bytes: NonZeroU32::new(keys.model_scale?)?,
            beta1_us: beta1_us?,
        })
    }

    /// A number, or a string of one.
    fn decimal(
        &mut self,
        route: &Object<'a, RouteKeys<'a>>,
        key: &str,
        value: Option<&RawValue>,
    ) -> Option<f64> {
        let written = value?.get().trim_matches('"');
        let number = written.trim().parse().ok();
        let bounds = -DECIMAL_MAX as f64..=DECIMAL_MAX as f64;
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            let remedy = format!("a number from -{DECIMAL_MAX} to {DECIMAL_MAX}, such as 0.25");
            let problem = "is not a number that can be reckoned with";
            self.reader.problem_with(route, key, problem, remedy);
        }
        number
    }

    fn environment(&mut self, route: &Object<'a, RouteKeys<'a>>) -> Environment {
        let value = route.keys.env.and_then(|_| route.value("env"));
        let read = |value| env::read(&mut self.reader, &route.member("env"), value, &self.sources);
        value.map(read).unwrap_or_default()
    }

    /// The directories of a route; their names in the guest, that of its scratch directory too, differ.
    fn dirs(&mut self, route_schema: &Value, route: &Object<'a, RouteKeys<'a>>) -> Vec<Dir> {
        let shape = Shape {
            noun: "directory",
            schema: &route_schema["properties"]["dirs"]["items"],
            ignored: &[],
            other: ("route", route_schema),
        };
        let mut seen = HashMap::new();
        if let Some(scratch) = &route.keys.scratch {
            if let Some(problem) = unfit_guest(scratch) {
                let remedy = "an absolute path such as \"/tmp\"";
                self.reader.problem_with(route, "scratch", problem, remedy);
            }
            seen.insert(scratch.clone(), route.member("scratch"));
        }
        let mut dirs = Vec::new();
        let values = route.keys.dirs.map(json::items).unwrap_or_default();
        for (index, value) in values.into_iter().enumerate() {
            let at = format!("{}[{index}]", route.member("dirs"));
            let Some(object) = self.reader.object::<DirKeys>(&shape, at, value) else {
                continue;
            };
            dirs.extend(self.dir(&object, &mut seen));
        }
        dirs
    }

    fn dir(
        &mut self,
        object: &Object<'a, DirKeys>,
        seen: &mut HashMap<String, String>,
    ) -> Option<Dir> {
        let host = object.keys.host.as_ref().map(|host| {
            let folder = self.reader.file.parent().unwrap_or(Path::new(""));
            folder.join(host)
        });
        if let Some(why) = host.as_deref().and_then(|host| directory(host).err()) {
            let remedy = "a directory that is there, relative to the spec's folder";
            let problem = format!("the directory {why}");
            self.reader.problem_with(object, "host", problem, remedy);
        }
        let guest = object.keys.guest.clone();
        if let Some(problem) = guest.as_deref().and_then(unfit_guest) {
            let remedy = "an absolute path such as \"/data\"";
            self.reader.problem_with(object, "guest", problem, remedy);
        }
        let known = guest.as_ref().and_then(|guest| seen.get(guest));
        if let Some(first) = known {
            let problem = format!("{first} has this name already");
            let remedy = "a name of its own for each directory of a route";
            self.reader.problem_with(object, "guest", problem, remedy);
        } else if let Some(guest) = &guest {
            seen.insert(guest.clone(), object.at.clone());
        }
        let access = object.keys.access.unwrap_or_default();
        let (host, guest) = (host?, guest?);
        Some(Dir {
            host,
            guest,
            access,
        })
    }

    /// RFC 9110 §5.5: visible characters, blanks and tabs between them.
    fn check_content_type(&mut self, route: &Object<'a, RouteKeys<'a>>) {
        let Some(value) = &route.keys.http_resp_content_type else {
            return;
        };
        let allowed = |char: char| matches!(char, '\t' | ' '..='~');
        let problem = if let Some(char) = value.chars().find(|&char| !allowed(char)) {
            format!("a header value cannot have {char:?} in it")
        } else if value.trim() != value {
            "a header value cannot begin or end with a blank".to_owned()
        } else {
            return;
        };
        let remedy = "a media type such as \"text/plain\"";
        self.reader
            .problem_with(route, "http-resp-content-type", problem, remedy);
    }

    /// The module of a route. SLEdge names shared objects, `x.wasm.so`; the `x.wasm` that it was
    /// made of is what runs here.
    fn module(&mut self, route: &Object<'a, RouteKeys<'a>>) -> Option<PathBuf> {
        let written = route.keys.path.as_deref()?;
        let remedy = "a .wasm or .wat file that can be read, relative to the spec's folder";
        if let Some(wasm) = written
            .strip_suffix(".so")
            .filter(|path| path.ends_with(".wasm"))
        {
            return match (self.resolve)(Path::new(wasm)) {
                Ok(path) => {
                    let notice = "native code is not run here, the .wasm beside it is taken";
                    self.reader.notice(route.member("path"), notice);
                    Some(path)
                }
                Err(why) => {
                    let problem = format!("native code is not run here, and \"{wasm}\" {why}");
                    let remedy = "the .wasm that the .wasm.so was made of, beside it";
                    self.reader.problem_with(route, "path", problem, remedy);
                    None
                }
            };
        }
        if !written.ends_with(".wasm") && !written.ends_with(".wat") {
            let problem = "the name ends neither in .wasm nor in .wat";
            self.reader.problem_with(route, "path", problem, remedy);
            return None;
        }
        (self.resolve)(Path::new(written))
            .map_err(|why| {
                let problem = format!("the module {why}");
                self.reader.problem_with(route, "path", problem, remedy);
            })
            .ok()
    }
}

/// Why a function cannot have a directory of this name.
fn unfit_guest(name: &str) -> Option<&'static str> {
    if !name.starts_with('/') {
        return Some("the name does not begin with \"/\"");
    }
    let mut parts = name[1..].split('/');
    let is_odd = name != "/" && parts.any(|part| matches!(part, "" | "." | ".."));
    if is_odd || name.contains('\0') {
        return Some("the name has \".\", \"..\", an empty part or a NUL in it");
    }
    None
}

/// The keys of a model of a route's execution, and the one that has no effect.
const MODEL: [&str; 5] = [
    "model-bias",
    "model-scale",
    "model-num-of-param",
    "model-beta1",
    MODEL_SECOND,
];
const MODEL_SECOND: &str = "model-beta2";

/// What earlier tenants have taken, with their JSON paths.
#[derive(Default)]
struct Seen {
    names: HashMap<String, String>,
    ports: HashMap<u16, String>,
}

/// The tenant; what is missing is filled in anyhow, since problems tell of it.
fn tenant(object: Object<'_, TenantKeys<'_>>, routes: Vec<Route>) -> Tenant {
    let keys = object.keys;
    Tenant {
        name: keys.name.unwrap_or_default(),
        port: keys.port.unwrap_or_default(),
        routes,
        weight: keys.weight,
        replenishment_period_us: keys.replenishment_period_us.filter(|&period| period > 0),
        max_budget_us: keys.max_budget_us.filter(|&budget| budget > 0),
        pointer: object.at,
    }
}

/// As [`tenant`].
fn route(
    object: Object<'_, RouteKeys<'_>>,
    model: Option<Model>,
    path: Option<PathBuf>,
    env: Environment,
    dirs: Vec<Dir>,
) -> Route {
    let keys = object.keys;
    let written = keys.route.unwrap_or_default();
    let canonical = router::canonical(&written);
    Route {
        route: if canonical.is_empty() { "/" } else { canonical }.to_owned(),
        path: path.unwrap_or_default(),
        relative_deadline_us: keys.relative_deadline_us,
        expected_execution_us: keys.expected_execution_us.filter(|&time| time > 0),
        model,
        admissions_percentile: keys.admissions_percentile,
        http_resp_content_type: keys.http_resp_content_type,
        stack_size: keys.stack_size,
        methods: keys.methods.map_or(Methods::ALL, Methods::from_iter),
        max_body_bytes: keys.max_body_bytes,
        stderr: keys.stderr.unwrap_or_default(),
        max_memory_bytes: keys.max_memory_bytes,
        cpu_limit_us: keys.cpu_limit_us,
        deadline_action: keys.deadline_action.unwrap_or_default(),
        debug: keys.debug.unwrap_or_default(),
        server_timing: keys.server_timing.unwrap_or_default(),
        latency_objective_us: keys.latency_objective_us,
        env,
        abi: keys.abi.unwrap_or_default(),
        pass_authorization: keys.pass_authorization.unwrap_or_default(),
        dirs,
        scratch: keys.scratch,
        pointer: object.at,
        path_position: None,
    }
}
