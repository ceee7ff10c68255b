//! `luge run`: one function once from the command line, in the sandbox that the server would give it.
//!
//! ```text
//!   command line ─► function (module or route, compiled) ─► guest (one sandbox, driven to its end)
//!   standard input, whole ──────────────────────────────────┘        │
//!   standard output and error, exit code ◄────────────────────────── how it ended
//! ```
//!
//! A server's guest has its request's body before it starts, and its output is sent when it has ended: so
//! it is here, and a program that talks with its user does not run well. There is no request: variables of
//! CGI are there only if they are given with `--env`.

mod function;
mod guest;

use crate::cli::Exit as Ours;
use crate::cli::run::Run;
use crate::cli::settings::{self, LogFormat};
use crate::config::{Problem, Problems};
use crate::logging;
use function::Function;
use guest::{Ended, Guest, SIGNAL_EXIT_BASE};
use sandbox::{Call, Exit, TrapReport};
use std::io::{self, ErrorKind, IsTerminal as _, Read as _, Write};
use std::process::ExitCode;

/// As a shell tells of a process that SIGABRT has ended, and as other runtimes tell of a trap.
const TRAPPED: u8 = SIGNAL_EXIT_BASE + libc::SIGABRT as u8;

/// As a shell tells of SIGXCPU.
const CPU_LIMIT: u8 = SIGNAL_EXIT_BASE + libc::SIGXCPU as u8;

/// Why nothing was run.
enum Failure {
    /// What was asked for is wrong.
    Problems(Problems),
    /// It could not be done.
    Failed(String),
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Failure {
        Failure::Problems(problems)
    }
}

/// Runs what the command line says, and gives the exit code of the process.
pub fn run(arguments: &Run) -> ExitCode {
    // Nothing but what the user should know: standard error is the guest's.
    let guard = logging::start("warn", LogFormat::Human);
    let ended = run_guest(arguments);
    drop(guard);
    match ended {
        Ok(code) => code.into(),
        Err(Failure::Problems(problems)) => {
            eprintln!("{problems}");
            Ours::Configuration.into()
        }
        Err(Failure::Failed(cause)) => {
            eprintln!("luge run: {cause}");
            Ours::Failure.into()
        }
    }
}

fn run_guest(arguments: &Run) -> Result<u8, Failure> {
    let variable = |name: &std::ffi::OsStr| std::env::var_os(name);
    let wanted = arguments.understand(&settings::variables(), variable)?;
    let function = Function::prepare(&wanted)?;
    let name = function.name.clone();
    let mut call = Call {
        arguments: function.arguments(&wanted.arguments),
        ..Call::default()
    };
    if function.artifact.reads_stdin() {
        call.stdin = standard_input(function.stdin_max_bytes)?;
    }
    let limits = function.limits();
    let ended = Guest::new(function)
        .map_err(|cause| Failure::Failed(format!("{name}: {cause}")))?
        .run(call);
    let (call, code, report) = match ended {
        Ended::Finished(outcome) => {
            let (code, report) = told(outcome.exit, &limits);
            (outcome.call, code, report)
        }
        Ended::CpuLimit(call) => (
            call,
            CPU_LIMIT,
            Some("took more processor time than --cpu-limit".to_owned()),
        ),
        Ended::Interrupted(call, signal) => (call, SIGNAL_EXIT_BASE + signal, None),
    };
    write(io::stdout().lock(), "standard output", &call.stdout)?;
    write(io::stderr().lock(), "standard error", &call.stderr)?;
    if let Some(report) = report {
        eprintln!("luge run: {name}: {report}");
    }
    Ok(code)
}

/// All of standard input, which the guest will read.
fn standard_input(bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let stdin = io::stdin().lock();
    if stdin.is_terminal() {
        eprintln!("luge run: reading standard input to its end (Ctrl-D)");
    }
    let mut bytes = Vec::new();
    stdin
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::Failed(format!("standard input: {error}")))?;
    if bytes.len() as u64 > bytes_max {
        let problem = format!("standard input has more than {bytes_max} bytes");
        let problem =
            Problem::of_setting("--stdin-max", "", problem, "a larger limit, or less input");
        return Err(Problems::from(problem).into());
    }
    Ok(bytes)
}

/// Writes what a guest has written. A reader that has seen enough is no failure.
fn write(mut stream: impl Write, what: &str, bytes: &[u8]) -> Result<(), Failure> {
    match stream.write_all(bytes).and_then(|()| stream.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("{what}: {error}")))
        }
        _ => Ok(()),
    }
}

/// The limits that a guest may find, as they are told.
struct Limits {
    memory_bytes: u64,
    stack_bytes: usize,
    output_bytes: u64,
}

/// The exit code of a guest that has ended, and what is to be said about it.
fn told(exit: Exit, limits: &Limits) -> (u8, Option<String>) {
    let beyond = |what: &str, flag: &str, bytes: u64| {
        format!("needed more {what} than its limit of {bytes} bytes ({flag})")
    };
    let (what, report) = match exit {
        Exit::Success => return (0, None),
        Exit::Code(code) => {
            return match u8::try_from(code) {
                Ok(code) => (code, None),
                Err(_) => {
                    let report = format!("exit code {code} is none of a process (0 to 255)");
                    (Ours::Failure.code(), Some(report))
                }
            };
        }
        Exit::StartFailed(cause) => {
            return (
                Ours::Failure.code(),
                Some(format!("no sandbox could be started: {cause}")),
            );
        }
        Exit::OutputLimit => {
            let bytes = limits.output_bytes;
            let report = format!("wrote more than its limit of {bytes} bytes (--output-max)");
            return (TRAPPED, Some(report));
        }
        Exit::Trapped(report) => ("trapped".to_owned(), report),
        Exit::MemoryLimit(report) => (
            beyond("memory", "--memory-max", limits.memory_bytes),
            report,
        ),
        Exit::StackLimit(report) => (
            beyond("stack", "--stack-size", limits.stack_bytes as u64),
            report,
        ),
        Exit::TableLimit(report) => ("needed a larger table than its limit".to_owned(), report),
    };
    let TrapReport { summary, backtrace } = report;
    let frames: String = backtrace
        .iter()
        .map(|frame| format!("\n  in {frame}"))
        .collect();
    (TRAPPED, Some(format!("{what}: {summary}{frames}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_have_their_codes_and_reports() {
        let limits = Limits {
            memory_bytes: 65_536,
            stack_bytes: 16_384,
            output_bytes: 10,
        };
        let report = || TrapReport {
            summary: "it happened".to_owned(),
            backtrace: vec!["f at 0x1".to_owned(), "g at 0x2".to_owned()],
        };
        let frames = "it happened\n  in f at 0x1\n  in g at 0x2";
        let check = |exit, code, parts: &[&str]| {
            let (got, said) = told(exit, &limits);
            assert_eq!((got, said.is_some()), (code, !parts.is_empty()), "{said:?}");
            let said = said.unwrap_or_default();
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        };
        check(Exit::Success, 0, &[]);
        check(Exit::Code(1), 1, &[]);
        check(Exit::Code(255), 255, &[]);
        check(Exit::Code(256), 1, &["256"]);
        check(Exit::Code(-1), 1, &["-1"]);
        check(Exit::Trapped(report()), 134, &["trapped: ", frames]);
        check(
            Exit::StackLimit(report()),
            134,
            &["16384", "--stack-size", frames],
        );
        check(
            Exit::MemoryLimit(report()),
            134,
            &["65536", "--memory-max", frames],
        );
        check(Exit::TableLimit(report()), 134, &["table", frames]);
        check(Exit::OutputLimit, 134, &["10 bytes", "--output-max"]);
        check(Exit::StartFailed("no room".to_owned()), 1, &["no room"]);
    }
}
