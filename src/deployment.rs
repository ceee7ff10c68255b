//! From a spec to what the server runs: every module compiled once, all cores at work, every route bound to its
//! function.
//!
//! All problems are collected, as the spec's own are; nothing is served unless there are none.

use crate::config::{Abi, Access, Dir, Model, Problem, Problems, Router, Spec, Stderr};
use crate::limits::FUNCTIONS_MAX;
use crate::server::{Cgi, Function, Route, Routes};
use crate::tenants;
use listener_http::Method;
use sandbox::{Artifact, Compiler, Directory, FunctionConfig, LoadError, Origin, Program};
use sched::estimate::Regression;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Functions and routes, ready to be served.
pub struct Deployment {
    /// What every worker runs; a route names one by its index.
    pub functions: Vec<Function>,
    /// Which requests go to which of them.
    pub routes: Routes,
    /// The tenants' ports in the order of [`Routes`].
    pub ports: Vec<Port>,
    /// What the scheduler knows of them, in the same order; reservations are those of the whole server.
    pub tenants: Vec<sched::Tenant>,
    /// What was compiled, and how.
    pub modules: Modules,
}

impl Deployment {
    /// Whether any of its functions can wait for files.
    pub fn has_directories(&self) -> bool {
        let mut configs = self.functions.iter().map(|function| &function.config);
        configs.any(FunctionConfig::has_directories)
    }
}

/// The modules of a spec, compiled, in the order of their paths.
pub struct Modules {
    /// Each path once.
    pub each: Vec<Module>,
    /// From the first module's beginning to the last one's end.
    pub took: Duration,
}

/// A module, compiled.
pub struct Module {
    /// Its file.
    pub path: PathBuf,
    /// Its code.
    pub artifact: Artifact,
    /// How long it took to read and compile, or to find in the cache.
    pub took: Duration,
}

/// A tenant's port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The tenant's name.
    pub tenant: String,
    /// TCP port; 0: any.
    pub port: u16,
    /// The tenant's routes, for people.
    pub routes: Vec<String>,
}

/// The stack that a spec asks for: the largest of its routes', for all sandboxes share one pool.
pub fn stack_bytes(spec: &Spec) -> Option<u64> {
    routes(spec).filter_map(|(_, route)| route.stack_size).max()
}

/// The memory that a spec asks for, of whole pages: likewise.
pub fn memory_bytes(spec: &Spec) -> Option<u64> {
    const PAGE_BYTES: u64 = 64 << 10;
    let asked = routes(spec).filter_map(|(_, route)| route.max_memory_bytes);
    asked.max().map(|bytes| bytes.next_multiple_of(PAGE_BYTES))
}

fn routes(spec: &Spec) -> impl Iterator<Item = (usize, &crate::config::Route)> {
    spec.tenants
        .iter()
        .enumerate()
        .flat_map(|(at, tenant)| tenant.routes.iter().map(move |route| (at, route)))
}

impl Modules {
    fn code(&self) -> BTreeMap<&Path, &Artifact> {
        let each = self.each.iter();
        each.map(|module| (&*module.path, &module.artifact))
            .collect()
    }
}

/// In one line: how many, from where, how large, how long.
impl fmt::Display for Modules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let artifacts = || self.each.iter().map(|module| &module.artifact);
        let cached = artifacts().filter(|artifact| artifact.origin() == Origin::Cached);
        let cached = cached.count();
        let bytes: usize = artifacts().map(Artifact::code_bytes).sum();
        write!(
            f,
            "{} modules: {cached} from the cache, {} compiled, {bytes} bytes of code, {:.1} ms",
            self.each.len(),
            self.each.len() - cached,
            self.took.as_secs_f64() * 1e3
        )
    }
}

/// Compiles every module of a spec and binds its routes. `body_max_bytes` holds for routes that do not say.
///
/// # Errors
///
/// Every module that cannot be read or cannot be a function.
pub fn prepare(
    spec: &Spec,
    compiler: &Compiler,
    body_max_bytes: u64,
    read: impl Fn(&Path) -> std::io::Result<Vec<u8>> + Sync,
) -> Result<Deployment, Problems> {
    let mut problems = Vec::new();
    let modules = compile(spec, compiler, read, &mut problems);
    let artifacts = modules.code();
    let mut functions = Vec::new();
    let mut table = Vec::new();
    let mut by_tenant = vec![Vec::new(); spec.tenants.len()];
    for (tenant, route) in routes(spec) {
        let Some(artifact) = artifacts.get(&*route.path) else {
            continue;
        };
        if table.len() == FUNCTIONS_MAX {
            let limit = format!("more than {FUNCTIONS_MAX} routes");
            problems.push(spec.problem(route, limit, "fewer routes, or several servers"));
            break;
        }
        let (bytes, bytes_max) = (artifact.memory_min_bytes(), memory_max_bytes(route));
        if bytes > bytes_max {
            let error = LoadError::Memory { bytes, bytes_max };
            problems.push(spec.problem(route, error.to_string(), remedy(&error)));
            continue;
        }
        by_tenant[tenant].push((route.route.as_str(), table.len() as u16));
        let function = position(
            &mut functions,
            &route.path,
            artifact,
            function_config(route),
        );
        table.push(bind(
            (&spec.tenants[tenant].name, tenant),
            route,
            (function, artifact),
            body_max_bytes,
        ));
    }
    let ports = spec.tenants.iter().map(|tenant| Port {
        tenant: tenant.name.clone(),
        port: tenant.port,
        routes: tenant
            .routes
            .iter()
            .map(|route| route.route.clone())
            .collect(),
    });
    let routers = by_tenant
        .into_iter()
        .map(|routes| Router::new(routes.into_iter()))
        .collect();
    let functions = functions.into_iter().map(|named| named.function).collect();
    Problems(problems).or(Deployment {
        functions,
        routes: Routes::new(table, routers),
        ports: ports.collect(),
        tenants: tenants::of(spec),
        modules,
    })
}

/// Compiles the modules of a spec without binding its routes.
///
/// # Errors
///
/// Every module that cannot be read or cannot be a function.
pub fn compile_only(
    spec: &Spec,
    compiler: &Compiler,
    read: impl Fn(&Path) -> std::io::Result<Vec<u8>> + Sync,
) -> Result<Modules, Problems> {
    let mut problems = Vec::new();
    let modules = compile(spec, compiler, read, &mut problems);
    Problems(problems).or(modules)
}

fn compile(
    spec: &Spec,
    compiler: &Compiler,
    read: impl Fn(&Path) -> std::io::Result<Vec<u8>> + Sync,
    problems: &mut Vec<Problem>,
) -> Modules {
    let begun = Instant::now();
    let paths: BTreeSet<_> = routes(spec).map(|(_, route)| &*route.path).collect();
    let mut each = Vec::with_capacity(paths.len());
    for (path, compiled) in side_by_side(paths, |path| compile_one(path, compiler, &read)) {
        match compiled {
            Ok(module) => each.push(module),
            Err((problem, remedy)) => {
                let mut of_path = routes(spec).filter(|(_, route)| route.path == path);
                let (_, route) = of_path.next().expect("a path is some route's");
                problems.push(spec.problem(route, problem, remedy));
            }
        }
    }
    each.sort_by(|a, b| a.path.cmp(&b.path));
    let took = begun.elapsed();
    Modules { each, took }
}

/// What went wrong, and its remedy.
pub(crate) type Failure = (String, String);

/// Compiles the module at `path`.
pub(crate) fn compile_one(
    path: &Path,
    compiler: &Compiler,
    read: impl Fn(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<Module, Failure> {
    let begun = Instant::now();
    let unreadable = |error: std::io::Error| {
        let remedy = "a readable .wasm or .wat file".to_owned();
        (error.to_string(), remedy)
    };
    let wasm = read(path).map_err(unreadable)?;
    check_kind(path, &wasm)?;
    let artifact = compiler.compile(&wasm).map_err(|error| {
        let problem = error.to_string();
        let path = path.display().to_string();
        (problem.replace("<anon>", &path), remedy(&error))
    })?;
    Ok(Module {
        path: path.to_owned(),
        artifact,
        took: begun.elapsed(),
    })
}

/// Does `work` for each path, on as many threads as there are cores; the results come in any order.
///
/// The compiler itself spreads a module's functions over cores, but a module has much beside its
/// functions, and most have few large ones.
fn side_by_side<'a, T: Send>(
    paths: impl IntoIterator<Item = &'a Path, IntoIter: Send>,
    work: impl Fn(&'a Path) -> T + Sync,
) -> Vec<(&'a Path, T)> {
    let paths = Mutex::new(paths.into_iter());
    let next = || paths.lock().expect("nobody panics with it").next();
    let worker = || {
        std::iter::from_fn(&next)
            .map(|path| (path, work(path)))
            .collect::<Vec<_>>()
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let done = workers.into_iter().map(|worker| worker.join());
        done.flat_map(|done| done.expect("a module's faults are errors"))
            .collect()
    })
}

/// wasmtime takes what has no magic number for text, and its errors speak of that: said better here.
fn check_kind(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let is_text = path.extension().is_some_and(|extension| extension == "wat");
    let binary = "a WebAssembly module built for wasm32-wasip1".to_owned();
    match bytes {
        [b'\0', b'a', b's', b'm', version @ ..] if version.starts_with(COMPONENT_LAYER) => {
            let problem = "is a component; luge runs modules (WASI preview 1)".to_owned();
            Err((problem, format!("{binary}, not wasm32-wasip2")))
        }
        [b'\0', b'a', b's', b'm', ..] => Ok(()),
        _ if is_text => Ok(()),
        _ => {
            let problem = "is no WebAssembly: it does not begin with its magic number";
            Err((problem.to_owned(), binary))
        }
    }
}

/// Version and layer of a component where a module has its version (component model, `Binary.md`).
const COMPONENT_LAYER: &[u8] = &[0x0d, 0x00, 0x01, 0x00];

fn remedy(error: &LoadError) -> String {
    let remedy = match error {
        LoadError::Malformed(_) => "a WebAssembly module (binary, or text in .wat)",
        LoadError::Imports(_) => {
            "a module that imports from wasi_snapshot_preview1 only (target wasm32-wasip1)"
        }
        LoadError::NoStart | LoadError::StartType { .. } => {
            "a command: a module with `main`, built for wasm32-wasip1"
        }
        LoadError::Memory { .. } => "a smaller initial memory, or a larger max-memory-bytes",
        LoadError::Memories { .. } => "a module with one memory",
        LoadError::Tables { .. } => "a module with smaller tables",
        LoadError::Elements { .. } => "a module whose tables are filled by active segments",
        LoadError::Engine(_) | LoadError::Code(_) => {
            "fewer workers or sandboxes; `luge doctor` shows the limits of this machine"
        }
    };
    remedy.to_owned()
}

/// Routes that run the same module in the same way share one function.
fn position(
    functions: &mut Vec<Named>,
    path: &Path,
    artifact: &Artifact,
    config: FunctionConfig,
) -> u16 {
    let same = |named: &Named| named.path == path && named.function.config == config;
    let at = functions.iter().position(same).unwrap_or_else(|| {
        let function = Function {
            artifact: artifact.clone(),
            config: config.clone(),
        };
        functions.push(Named {
            path: path.to_owned(),
            function,
        });
        functions.len() - 1
    });
    at as u16
}

struct Named {
    path: PathBuf,
    function: Function,
}

/// A route that says nothing gets no more because another does.
fn memory_max_bytes(route: &crate::config::Route) -> u64 {
    let default = sandbox::limits::MEMORY_MAX_BYTES;
    route.max_memory_bytes.unwrap_or(default)
}

/// What a route's sandboxes get beside the module.
pub(crate) fn function_config(route: &crate::config::Route) -> FunctionConfig {
    let name = route
        .path
        .file_stem()
        .map(|name| name.to_string_lossy().into_owned());
    let stderr = match route.stderr {
        Stderr::Body => sandbox::Stderr::Body,
        Stderr::Log => sandbox::Stderr::Log,
        Stderr::Drop => sandbox::Stderr::Drop,
    };
    FunctionConfig {
        name: name.unwrap_or_default(),
        program: match route.abi {
            Abi::Sledge => Program::Name,
            Abi::Wagi => Program::Given,
        },
        environment: route.env.0.clone(),
        stderr,
        memory_max_bytes: Some(memory_max_bytes(route)),
        directories: route.dirs.iter().map(directory).collect(),
        scratch: route.scratch.clone(),
        ..FunctionConfig::default()
    }
}

fn directory(dir: &Dir) -> Directory {
    Directory {
        host: dir.host.clone(),
        guest: dir.guest.clone(),
        writable: dir.access == Access::Rw,
    }
}

fn bind(
    (tenant, index): (&str, usize),
    route: &crate::config::Route,
    (function, artifact): (u16, &Artifact),
    body_max_bytes: u64,
) -> Route {
    let us = |us: u64| us.saturating_mul(1000);
    // Whoever takes GET takes HEAD (RFC 9110 §9.1: both must be supported by a general-purpose server).
    let takes = |method: &Method| {
        let is_head_of_get = *method == Method::Head && route.methods.contains("GET");
        is_head_of_get || route.methods.contains(method.as_str())
    };
    let methods: Vec<_> = METHODS.into_iter().filter(takes).collect();
    let names: Vec<_> = methods.iter().map(|method| method.as_str()).collect();
    let allow = names.join(", ").into();
    Route {
        name: format!("{tenant}{}", route.route),
        path: route.route.clone(),
        tenant: index as u16,
        function,
        methods,
        allow,
        body_max_bytes: route.max_body_bytes.unwrap_or(body_max_bytes),
        relative_deadline_ns: route.relative_deadline_us.map(us),
        expected_ns: route.expected_execution_us.map_or(0, us),
        model: route.model.map(regression),
        percentile: route.admissions_percentile,
        content_type: route.http_resp_content_type.clone(),
        cpu_limit_ns: route.cpu_limit_us.map(us),
        deadline_action: route.deadline_action,
        debug: route.debug,
        tells_timing: route.server_timing,
        objective_ns: route.latency_objective_us.map(us),
        abi: route.abi,
        cgi: artifact
            .reads_environment()
            .then(|| Cgi::new(&route.route, route.pass_authorization)),
    }
}

fn regression(model: Model) -> Regression {
    /// Millionths of a nanosecond.
    const US_MICRO: f64 = 1e9;
    Regression {
        bias_ns: model.bias_us.saturating_mul(1000),
        beta_micro: (model.beta1_us * US_MICRO).round() as i64,
        scale_bytes: model.scale_bytes,
    }
}

/// The methods of the parser that a route can take.
const METHODS: [Method; 7] = [
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
    Method::Options,
];
