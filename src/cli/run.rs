//! The command line of `luge run`: what is run, what it is given, and within which limits.
//!
//! clap takes every value as text; [`Run::understand`] checks them all, so that everything wrong is told
//! at once, as the server's settings are. Nothing here touches a file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::flags::Given;
use super::settings::Settings;
use super::values::{Bytes, Span};
use crate::config::{Problem, Problems};
use crate::limits::RUN_OUTPUT_MAX_BYTES;

/// Settings of the server that `luge run` has too, with their flags and variables.
const SETTINGS: [&str; 2] = ["preemption", "cache-dir"];

/// `luge run`.
#[derive(Debug, Args)]
#[command(after_help = ENDS)]
pub struct Run {
    /// The module (.wasm or .wat), or with --spec a route; then the guest's own arguments
    #[arg(value_name = "MODULE", required = true, trailing_var_arg = true)]
    pub what: Vec<OsString>,
    /// Take the function from this spec: MODULE is a route, with its environment, folders and limits
    #[arg(long, value_name = "SPEC")]
    pub spec: Option<PathBuf>,
    /// The tenant whose route it is, where several have it
    #[arg(long, value_name = "NAME", requires = "spec")]
    pub tenant: Option<String>,
    /// Let the guest see the folder HOST as GUEST (HOST alone: by the same name): to read, or to write too with :rw
    #[arg(long = "dir", value_name = "HOST[::GUEST][:rw]")]
    pub folders: Vec<OsString>,
    /// Give the guest an empty folder of its own as GUEST, removed when it ends
    #[arg(long, value_name = "GUEST")]
    pub scratch: Option<OsString>,
    /// Set a variable of the guest's environment; NAME alone: to its value here
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    pub environment: Vec<OsString>,
    /// Processor time that the guest may take [default: any]
    #[arg(long, value_name = "TIME")]
    pub cpu_limit: Option<String>,
    /// Linear memory that the guest may have [default: 256MiB, as in a server]
    #[arg(long, value_name = "BYTES")]
    pub memory_max: Option<String>,
    /// Standard input at most [default: 16MiB, as in a server]
    #[arg(long, value_name = "BYTES")]
    pub stdin_max: Option<String>,
    /// Standard output at most, and standard error at most [default: 1GiB; in a server 16MiB]
    #[arg(long, value_name = "BYTES")]
    pub output_max: Option<String>,
    /// Stack that the guest may need [default: 512KiB, as in a server]
    #[arg(long, value_name = "BYTES")]
    pub stack_size: Option<String>,
    /// How the guest is interrupted: signal, epoch, or off [default: signal] [env: LUGE_PREEMPTION]
    #[arg(long, value_name = "MODE")]
    pub preemption: Option<String>,
    /// Where compiled modules are kept: a folder, or off [default: as in a server] [env: LUGE_CACHE_DIR]
    #[arg(long, value_name = "PATH")]
    pub cache_dir: Option<String>,
}

/// What the exit codes of `luge run` mean, for its help.
const ENDS: &str = "\
Standard input is read to its end before the guest starts, if the module reads any; its output is written
when it has ended.

Exit codes:
  the guest's own, if it ended by itself
  1    the run failed, or the guest's exit code is none of a process
  2    the command line cannot be understood
  3    a value, the module or the spec has problems
  130  interrupted (Ctrl-C)
  134  the guest trapped, or went beyond a limit: the report is on standard error
  152  the guest took more processor time than --cpu-limit";

/// What a command line means, checked.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// A module's file, or a route of a spec.
    pub function: Function,
    /// `argv[1..]`, each ended by a NUL byte.
    pub arguments: Vec<u8>,
    /// What is added to the guest's environment, in the order given.
    pub environment: Vec<(String, String)>,
    /// Folders that are added to the guest's.
    pub folders: Vec<Folder>,
    /// The guest's name of a folder of its own.
    pub scratch: Option<String>,
    /// Limits that were given.
    pub limits: Limits,
    /// Preemption and cache; the rest is the server's.
    pub settings: Settings,
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Function {
    /// This file.
    Module(PathBuf),
    /// A route of a spec.
    Route {
        /// The spec.
        spec: PathBuf,
        /// Whose it is; none: the only one's who has it.
        tenant: Option<String>,
        /// As the spec has it.
        route: String,
    },
}

/// A folder that the guest sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Where it is.
    pub host: PathBuf,
    /// What the guest calls it.
    pub guest: String,
    /// Whether the guest may change what is in it.
    pub writable: bool,
}

/// Limits of a run; none where nothing was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Processor time.
    pub cpu: Option<Duration>,
    /// Linear memory.
    pub memory_max_bytes: Option<u64>,
    /// Standard input.
    pub stdin_max_bytes: Option<u64>,
    /// Standard output, and standard error.
    pub output_max_bytes: Option<u64>,
    /// Native stack of the guest's frames.
    pub stack_bytes: Option<u64>,
}

impl Run {
    /// What the command line means. `variable` gives a variable of this process.
    ///
    /// # Errors
    ///
    /// Every value that is wrong, by its flag.
    pub fn understand(
        &self,
        variables: &BTreeMap<String, String>,
        variable: impl Fn(&OsStr) -> Option<OsString>,
    ) -> Result<Wanted, Problems> {
        let mut problems = Vec::new();
        let settings = self.settings(variables).unwrap_or_else(|found| {
            problems.extend(found.0);
            Settings::resolve(&Given::default(), &BTreeMap::new(), &[]).expect("defaults are right")
        });
        let mut kept = Collected(&mut problems);
        let wanted = Wanted {
            function: kept.take(self.function()),
            arguments: kept.take(self.arguments()),
            environment: kept.all(&self.environment, |text| assignment(text, &variable)),
            folders: kept.all(&self.folders, folder),
            scratch: kept.take(self.scratch.as_deref().map(scratch).transpose()),
            limits: self.limits(&mut kept),
            settings,
        };
        Problems(problems).or(wanted)
    }

    /// The settings that a run has of the server's: other variables of the server's are not its business.
    fn settings(&self, variables: &BTreeMap<String, String>) -> Result<Settings, Problems> {
        let values = [&self.preemption, &self.cache_dir];
        let given = SETTINGS.into_iter().zip(values);
        let given = given.filter_map(|(name, value)| Some((name, value.clone()?)));
        let ours = [
            "LUGE_PREEMPTION",
            "LUGE_CACHE_DIR",
            "XDG_CACHE_HOME",
            "HOME",
        ];
        let variables = variables
            .iter()
            .filter(|(name, _)| ours.contains(&&***name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Settings::resolve(&given.collect(), &variables, &[])
    }

    fn function(&self) -> Result<Function, Problems> {
        let what = self.what.first().expect("clap requires one");
        let Some(spec) = &self.spec else {
            return Ok(Function::Module(what.into()));
        };
        let route = text(what).ok_or_else(|| {
            let problem = "is no text, so no spec has it as a route";
            wrong("MODULE", what, problem, "a route of the spec, such as /fib")
        })?;
        Ok(Function::Route {
            spec: spec.clone(),
            tenant: self.tenant.clone(),
            route,
        })
    }

    fn arguments(&self) -> Result<Vec<u8>, Problems> {
        use sandbox::limits::{ARGUMENTS_BYTES_MAX, ARGUMENTS_MAX};
        let arguments = &self.what[1..];
        let bytes: usize = arguments.iter().map(|argument| argument.len() + 1).sum();
        if arguments.len() <= ARGUMENTS_MAX && bytes <= ARGUMENTS_BYTES_MAX {
            let each = arguments.iter();
            return Ok(each
                .flat_map(|it| [it.as_bytes(), b"\0"])
                .flatten()
                .copied()
                .collect());
        }
        let problem = format!(
            "{} arguments of {bytes} bytes are too many",
            arguments.len()
        );
        let remedy = format!("at most {ARGUMENTS_MAX} with {ARGUMENTS_BYTES_MAX} bytes together");
        Err(Problem::of_setting("ARGUMENTS", "", problem, remedy).into())
    }

    fn limits(&self, kept: &mut Collected<'_>) -> Limits {
        let day = Duration::from_secs(24 * 3600);
        let mut bytes = |flag, value: &Option<String>, min, max| {
            kept.value(flag, value, |text| {
                Bytes::parse(text, min, max).map(|it| it.0)
            })
        };
        Limits {
            memory_max_bytes: bytes("--memory-max", &self.memory_max, 1 << 16, 1 << 32),
            stdin_max_bytes: bytes("--stdin-max", &self.stdin_max, 0, 1 << 32),
            output_max_bytes: bytes("--output-max", &self.output_max, 0, 1 << 36),
            stack_bytes: bytes("--stack-size", &self.stack_size, 1 << 14, 1 << 30),
            cpu: kept.value("--cpu-limit", &self.cpu_limit, |text| {
                Span::parse(text, Duration::from_micros(1), day).map(|it| it.0)
            }),
        }
    }
}

impl Limits {
    /// Standard output at most, and standard error at most, in bytes.
    pub fn output_max_bytes(&self) -> u64 {
        self.output_max_bytes.unwrap_or(RUN_OUTPUT_MAX_BYTES)
    }
}

/// Problems so far. What is wrong leaves a default behind, which nobody uses.
struct Collected<'a>(&'a mut Vec<Problem>);

impl Collected<'_> {
    fn take<T: Default>(&mut self, result: Result<T, Problems>) -> T {
        result.unwrap_or_else(|problems| {
            self.0.extend(problems.0);
            T::default()
        })
    }

    fn all<T>(
        &mut self,
        values: &[OsString],
        parse: impl Fn(&OsStr) -> Result<T, Problems>,
    ) -> Vec<T> {
        let results = values.iter().map(|value| parse(value));
        results
            .filter_map(|result| self.take(result.map(Some)))
            .collect()
    }

    fn value<T>(
        &mut self,
        flag: &str,
        value: &Option<String>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = value.as_deref()?;
        let parsed = parse(value).map(Some);
        self.take(parsed.map_err(|remedy| {
            Problem::of_setting(flag, value, "not a value for this limit", remedy).into()
        }))
    }
}

impl Default for Function {
    fn default() -> Function {
        Function::Module(PathBuf::new())
    }
}

fn text(text: &OsStr) -> Option<String> {
    text.to_str().map(str::to_owned)
}

fn wrong(flag: &str, value: &OsStr, problem: &str, remedy: &str) -> Problems {
    Problem::of_setting(flag, &value.to_string_lossy(), problem, remedy).into()
}

/// `NAME=VALUE`, or `NAME` for the variable of this process.
fn assignment(
    given: &OsStr,
    variable: impl Fn(&OsStr) -> Option<OsString>,
) -> Result<(String, String), Problems> {
    let wrong = |problem| {
        wrong(
            "--env",
            given,
            problem,
            "NAME=VALUE, or NAME of a variable set here",
        )
    };
    let bytes = given.as_bytes();
    let (name, value) = match bytes.iter().position(|&byte| byte == b'=') {
        Some(at) => (
            OsStr::from_bytes(&bytes[..at]),
            Some(OsStr::from_bytes(&bytes[at + 1..]).to_owned()),
        ),
        None => (given, variable(given)),
    };
    if name.is_empty() {
        return Err(wrong("has no name"));
    }
    let value = value.ok_or_else(|| wrong("is no variable here"))?;
    let both = text(name).zip(text(&value));
    both.ok_or_else(|| wrong("is no text in UTF-8"))
}

/// `HOST[::GUEST][:rw]`.
fn folder(given: &OsStr) -> Result<Folder, Problems> {
    let wrong = |problem| {
        wrong(
            "--dir",
            given,
            problem,
            "HOST::GUEST such as ./data::/data, to write too ./data::/data:rw",
        )
    };
    let bytes = given.as_bytes();
    let (bytes, writable) = match bytes.strip_suffix(b":rw") {
        Some(bytes) => (bytes, true),
        None => (bytes.strip_suffix(b":ro").unwrap_or(bytes), false),
    };
    let (host, guest) = match bytes.windows(2).position(|two| two == b"::") {
        Some(at) => (&bytes[..at], &bytes[at + 2..]),
        None => (bytes, bytes),
    };
    if host.is_empty() || guest.is_empty() {
        return Err(wrong("lacks a folder"));
    }
    let guest = str::from_utf8(guest)
        .map_err(|_| wrong("has a name for the guest that is no text in UTF-8"))?;
    Ok(Folder {
        host: OsString::from_vec(host.to_vec()).into(),
        guest: guest.to_owned(),
        writable,
    })
}

fn scratch(given: &OsStr) -> Result<String, Problems> {
    let remedy = "the guest's name for it, such as /tmp";
    let name = text(given).filter(|name| !name.is_empty());
    name.ok_or_else(|| wrong("--scratch", given, "is no name of a folder", remedy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    fn parsed(words: &[&[u8]]) -> Run {
        let words = [&b"luge"[..], b"run"]
            .into_iter()
            .chain(words.iter().copied());
        let words = words.map(|word| OsString::from_vec(word.to_vec()));
        let cli = Cli::try_parse_from(words).expect("can be parsed");
        match cli.into_command() {
            Command::Run(run) => *run,
            other => panic!("{other:?}"),
        }
    }

    fn understood(words: &[&str]) -> Result<Wanted, Problems> {
        let words: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
        let variable = |name: &OsStr| (name == "HERE").then(|| "there".into());
        parsed(&words).understand(&BTreeMap::new(), variable)
    }

    #[test]
    fn everything_after_the_module_is_the_guests() {
        let check = |words: &[&[u8]], arguments: &[u8]| {
            let wanted = parsed(words)
                .understand(&BTreeMap::new(), |_| None)
                .expect("right");
            assert_eq!(wanted.function, Function::Module("x.wasm".into()));
            assert_eq!(wanted.arguments, arguments);
        };
        check(&[b"x.wasm"], b"");
        check(&[b"x.wasm", b"a", b""], b"a\0\0");
        check(
            &[b"x.wasm", b"--env", b"A=B", b"--help"],
            b"--env\0A=B\0--help\0",
        );
        check(&[b"--", b"x.wasm", b"--", b"a"], b"--\0a\0");
        check(&[b"x.wasm", b"\xff&=\n"], b"\xff&=\n\0");
    }

    #[test]
    fn folders() {
        let check = |text: &str, expected: Option<(&str, &str, bool)>| {
            let got = folder(OsStr::new(text)).ok();
            let expected = expected.map(|(host, guest, writable)| Folder {
                host: host.into(),
                guest: guest.into(),
                writable,
            });
            assert_eq!(got, expected, "{text}");
        };
        check("data", Some(("data", "data", false)));
        check("data:rw", Some(("data", "data", true)));
        check("data::/d", Some(("data", "/d", false)));
        check("./a:b::/d:ro", Some(("./a:b", "/d", false)));
        check("/a::/b:rw", Some(("/a", "/b", true)));
        check("a::b::c", Some(("a", "b::c", false)));
        for nothing in ["", "::", "a::", "::b", ":rw", "::/b:rw"] {
            check(nothing, None);
        }
    }

    #[test]
    fn variables() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let got = understood(&["--env", text, "x.wasm"]).ok();
            let got = got.map(|wanted| wanted.environment);
            let expected = expected.map(|(name, value)| vec![(name.to_owned(), value.to_owned())]);
            assert_eq!(got, expected, "{text}");
        };
        check("A=B", Some(("A", "B")));
        check("A=", Some(("A", "")));
        check("A=B=C", Some(("A", "B=C")));
        check("HERE", Some(("HERE", "there")));
        check("NOWHERE", None);
        check("=B", None);
        check("", None);
    }

    #[test]
    fn everything_wrong_is_told_at_once_by_its_flag() {
        let words = [
            "--env",
            "=1",
            "--dir",
            "::",
            "--scratch",
            "",
            "--cpu-limit",
            "1",
            "--memory-max",
            "1KiB",
            "--stdin-max",
            "x",
            "--output-max",
            "-1",
            "--stack-size",
            "0",
            "--preemption",
            "on",
            "x.wasm",
        ];
        // A value may begin with a dash only behind `=`.
        let words: Vec<String> = words.chunks(2).map(|pair| pair.join("=")).collect();
        let words: Vec<&str> = words.iter().map(|word| &**word).collect();
        let problems = understood(&words).expect_err("all is wrong");
        let mut flags: Vec<_> = problems.0.iter().map(|problem| &*problem.at).collect();
        flags.sort_unstable();
        let expected = [
            "--cpu-limit",
            "--dir",
            "--env",
            "--memory-max",
            "--output-max",
            "--preemption",
            "--scratch",
            "--stack-size",
            "--stdin-max",
        ];
        assert_eq!(flags, expected);
        assert!(problems.0.iter().all(|problem| !problem.remedy.is_empty()));
    }

    #[test]
    fn limits_of_all_kinds() {
        let wanted = understood(&[
            "--cpu-limit=100ms",
            "--memory-max=1MiB",
            "--stdin-max=0",
            "x.wasm",
        ]);
        let expected = Limits {
            cpu: Some(Duration::from_millis(100)),
            memory_max_bytes: Some(1 << 20),
            stdin_max_bytes: Some(0),
            ..Limits::default()
        };
        assert_eq!(wanted.expect("right").limits, expected);
    }

    #[test]
    fn functions_of_a_spec() {
        let wanted =
            understood(&["--spec", "s.json", "--tenant", "t", "/fib", "30"]).expect("right");
        let expected = Function::Route {
            spec: "s.json".into(),
            tenant: Some("t".into()),
            route: "/fib".into(),
        };
        assert_eq!(
            (wanted.function, &*wanted.arguments),
            (expected, &b"30\0"[..])
        );
    }
}
