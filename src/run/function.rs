//! What is run: a module's file, or the function of a route, compiled and with all that its sandbox gets.

use super::{Failure, Limits};
use crate::cli::run::{self, Wanted};
use crate::cli::settings::Preemption;
use crate::config::{LoadOptions, Problem, Problems, Route, Spec, load_with, nearest};
use crate::deployment::{compile_one, function_config};
use crate::serve;
use sandbox::{Artifact, Compiler, Directory, FunctionConfig};
use sched::Nanos;
use std::path::{Path, PathBuf};

/// A function, ready to be run.
pub(super) struct Function {
    /// For people: the module's file.
    pub name: String,
    pub artifact: Artifact,
    pub config: FunctionConfig,
    pub sandbox: sandbox::Settings,
    pub cpu_limit_ns: Option<Nanos>,
    pub stdin_max_bytes: u64,
}

/// What is known of a function before it is compiled.
struct Described {
    path: PathBuf,
    config: FunctionConfig,
    cpu_limit_ns: Option<Nanos>,
    stdin_max_bytes: Option<u64>,
    stack_bytes: Option<u64>,
    memory_max_bytes: Option<u64>,
}

impl Function {
    /// Finds and compiles it.
    pub fn prepare(wanted: &Wanted) -> Result<Function, Failure> {
        let described = match &wanted.function {
            run::Function::Module(path) => Described::of_module(path),
            run::Function::Route {
                spec,
                tenant,
                route,
            } => Described::of_route(spec, tenant.as_deref(), route)?,
        };
        let Described {
            path,
            mut config,
            cpu_limit_ns,
            stdin_max_bytes,
            stack_bytes,
            memory_max_bytes,
        } = described;
        let limits = &wanted.limits;
        config.memory_max_bytes = limits.memory_max_bytes.or(memory_max_bytes);
        config.output_max_bytes = limits.output_max_bytes();
        config.log_max_bytes = usize::try_from(limits.output_max_bytes()).unwrap_or(usize::MAX);
        // What the command line says counts, as in any environment of a later assignment.
        for (name, value) in &wanted.environment {
            config.environment.retain(|(known, _)| known != name);
            config.environment.push((name.clone(), value.clone()));
        }
        add_folders(&mut config, wanted)?;
        let cpu = limits
            .cpu
            .map(|cpu| u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX));
        let cpu_limit_ns = cpu.or(cpu_limit_ns);
        let sandbox = fitted(
            wanted,
            limits.stack_bytes.or(stack_bytes),
            config.memory_max_bytes,
        )?;
        if cpu_limit_ns.is_some() && sandbox.preemption == sandbox::Preemption::Off {
            let problem = "a guest that is not interrupted cannot be ended by a limit";
            let problem = Problem::of_setting("--preemption", "off", problem, "signal or epoch");
            return Err(Problems::from(problem).into());
        }
        let artifact = compile(wanted, &sandbox, &path)?;
        Ok(Function {
            name: path.display().to_string(),
            artifact,
            config,
            sandbox,
            cpu_limit_ns,
            stdin_max_bytes: limits
                .stdin_max_bytes
                .or(stdin_max_bytes)
                .unwrap_or(wanted.settings.max_body_bytes),
        })
    }

    /// A call's arguments, from those after `argv[0]`.
    pub fn arguments(&self, after: &[u8]) -> Vec<u8> {
        match self.config.program {
            sandbox::Program::Name => after.to_vec(),
            sandbox::Program::Given => [self.config.name.as_bytes(), b"\0", after].concat(),
        }
    }

    pub fn limits(&self) -> Limits {
        let memory_max_bytes = self.config.memory_max_bytes;
        Limits {
            memory_bytes: memory_max_bytes.unwrap_or(self.sandbox.memory_max_bytes),
            stack_bytes: self.sandbox.wasm_stack_bytes,
            output_bytes: self.config.output_max_bytes,
        }
    }
}

/// Adds what the command line says to the function's own directories; the same name replaces one.
fn add_folders(config: &mut FunctionConfig, wanted: &Wanted) -> Result<(), Problems> {
    let mut problems = Vec::new();
    for (at, folder) in wanted.folders.iter().enumerate() {
        let wrong = |problem: &str, remedy| {
            let host = folder.host.display().to_string();
            Problem::of_setting("--dir", &host, problem, remedy)
        };
        match std::fs::metadata(&folder.host) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => problems.push(wrong("is no folder", "a folder: files are seen in theirs")),
            Err(error) => problems.push(wrong(&error.to_string(), "a folder that exists")),
        }
        let earlier = wanted.folders[..at].iter().map(|folder| &folder.guest);
        if earlier
            .chain(&wanted.scratch)
            .any(|name| *name == folder.guest)
        {
            let problem = format!("the guest has two folders as {}", folder.guest);
            problems.push(wrong(&problem, "another name for one: HOST::GUEST"));
        }
        config
            .directories
            .retain(|known| known.guest != folder.guest);
        config.directories.push(Directory {
            host: folder.host.clone(),
            guest: folder.guest.clone(),
            writable: folder.writable,
        });
    }
    if wanted.scratch.is_some() {
        config.scratch.clone_from(&wanted.scratch);
    }
    Problems(problems).or(())
}

impl Described {
    fn of_module(path: &Path) -> Described {
        let name = path
            .file_stem()
            .map(|name| name.to_string_lossy().into_owned());
        Described {
            path: path.to_owned(),
            config: FunctionConfig {
                name: name.unwrap_or_default(),
                ..FunctionConfig::default()
            },
            cpu_limit_ns: None,
            stdin_max_bytes: None,
            stack_bytes: None,
            memory_max_bytes: None,
        }
    }

    fn of_route(file: &Path, tenant: Option<&str>, route: &str) -> Result<Described, Problems> {
        let spec = load_with(file, LoadOptions::default())?.spec;
        let route = found(&spec, tenant, route)?;
        Ok(Described {
            path: route.path.clone(),
            config: function_config(route),
            cpu_limit_ns: route.cpu_limit_us.map(|us| us.saturating_mul(1000)),
            stdin_max_bytes: route.max_body_bytes,
            stack_bytes: route.stack_size,
            memory_max_bytes: route.max_memory_bytes,
        })
    }
}

/// The route that is meant.
fn found<'s>(spec: &'s Spec, tenant: Option<&str>, route: &str) -> Result<&'s Route, Problems> {
    let names = || spec.tenants.iter().map(|tenant| &*tenant.name);
    if let Some(wanted) = tenant.filter(|wanted| names().all(|name| name != *wanted)) {
        let remedy =
            nearest(wanted, names()).map_or("a tenant of the spec".to_owned(), str::to_owned);
        return Err(
            Problem::of_setting("--tenant", wanted, "the spec has no such tenant", remedy).into(),
        );
    }
    let tenants = spec
        .tenants
        .iter()
        .filter(|it| tenant.is_none_or(|wanted| it.name == wanted));
    let routes = tenants.flat_map(|tenant| tenant.routes.iter().map(move |route| (tenant, route)));
    let routes: Vec<_> = routes.collect();
    let mut matching = routes.iter().filter(|(_, it)| it.route == route);
    match (matching.next(), matching.next()) {
        (Some((_, only)), None) => Ok(only),
        (Some((one, _)), Some((other, _))) => {
            let problem = format!(
                "more than one tenant has this route: {}, {}",
                one.name, other.name
            );
            Err(Problem::of_setting("MODULE", route, problem, "--tenant with one of them").into())
        }
        (None, _) => {
            let names = routes.iter().map(|(_, route)| &*route.route);
            let list: Vec<_> = names.clone().take(10).collect();
            let remedy = match nearest(route, names) {
                Some(name) => name.to_owned(),
                None => format!("a route of the spec, such as {}", list.join(" ")),
            };
            Err(Problem::of_setting("MODULE", route, "the spec has no such route", remedy).into())
        }
    }
}

/// The server's sandbox, for one guest, as it can be had on this machine.
fn fitted(
    wanted: &Wanted,
    stack_bytes: Option<u64>,
    memory_max_bytes: Option<u64>,
) -> Result<sandbox::Settings, Failure> {
    const WASM_PAGE_BYTES: u64 = 64 << 10;
    let default = sandbox::Settings::default();
    let memory_max_bytes = memory_max_bytes
        .unwrap_or(0)
        .next_multiple_of(WASM_PAGE_BYTES);
    let settings = sandbox::Settings {
        sandboxes_max: 1,
        memory_max_bytes: default.memory_max_bytes.max(memory_max_bytes),
        wasm_stack_bytes: stack_bytes
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(default.wasm_stack_bytes),
        preemption: match wanted.settings.preemption {
            Preemption::Signal => sandbox::Preemption::Signal,
            Preemption::Epoch => sandbox::Preemption::Epoch,
            Preemption::Off => sandbox::Preemption::Off,
        },
        ..default
    };
    settings
        .fit(1)
        .map_err(|error| Failure::Failed(error.to_string()))
}

fn compile(wanted: &Wanted, sandbox: &sandbox::Settings, path: &Path) -> Result<Artifact, Failure> {
    let compiler = Compiler::new(sandbox, serve::cache(&wanted.settings));
    let compiler = compiler.map_err(|error| Failure::Failed(error.to_string()))?;
    let module = compile_one(path, &compiler, |path| std::fs::read(path));
    let module = module.map_err(|(problem, remedy)| {
        let path = path.display().to_string();
        Problems::from(Problem::of_setting("MODULE", &path, problem, remedy))
    })?;
    Ok(module.artifact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_from;

    #[test]
    fn routes_are_found_by_name_and_tenant() {
        let spec = r#"[
            {"name": "a", "port": 1, "routes": [{"route": "/x", "path": "1.wasm"}, {"route": "/y", "path": "2.wasm"}]},
            {"name": "b", "port": 2, "routes": [{"route": "/x", "path": "3.wasm"}]}
        ]"#;
        let loaded = load_from(spec, Path::new("s"), LoadOptions::default(), |path| {
            Ok(path.to_owned())
        });
        let spec = loaded.expect("a good spec").spec;
        let check = |tenant, route, expected: Result<&str, (&str, &str)>| {
            let got = found(&spec, tenant, route);
            let got = got.as_ref().map(|route| route.path.to_str().expect("text"));
            let got = got.map_err(|problems| (&*problems.0[0].at, &*problems.0[0].remedy));
            assert_eq!(got, expected, "{tenant:?} {route}");
        };
        check(None, "/y", Ok("2.wasm"));
        check(Some("a"), "/x", Ok("1.wasm"));
        check(Some("b"), "/x", Ok("3.wasm"));
        check(None, "/x", Err(("MODULE", "--tenant with one of them")));
        check(None, "/yy", Err(("MODULE", "/y")));
        check(
            Some("b"),
            "/long-name",
            Err(("MODULE", "a route of the spec, such as /x")),
        );
        check(Some("aa"), "/x", Err(("--tenant", "a")));
    }
}
