//! What goes into a sandbox and what comes out of it, as plain values.
//!
//! The buffers of a [`Call`] travel with the request: from the caller into the sandbox and back
//! in its [`Outcome`], so that a warm server allocates none. How an outcome becomes a response is
//! the caller's choice.

use std::fmt;

use wasmtime::{Trap, WasmBacktrace};

use crate::bulk::Offsets;
use crate::limits::{ARGUMENTS_BYTES_MAX, ARGUMENTS_MAX, REPORT_NAME_CHARS_MAX};

/// One request in the sandbox's eyes. Give the buffers cleared: output is appended.
#[derive(Default, PartialEq, Eq)]
pub struct Call {
    /// `argv[1..]`, each ended by a NUL byte; with [`crate::Program::Given`], `argv[0]` before them.
    pub arguments: Vec<u8>,
    /// What this request adds to the function's own environment: `NAME=value`, each ended by a NUL
    /// byte. Of equal names guests see both, the function's own first.
    pub environment: Vec<u8>,
    /// What the guest reads from file descriptor 0.
    pub stdin: Vec<u8>,
    /// What the guest wrote to file descriptor 1, and to 2 under [`crate::Stderr::Body`].
    pub stdout: Vec<u8>,
    /// What the guest wrote to file descriptor 2 under [`crate::Stderr::Log`].
    pub stderr: Vec<u8>,
    /// The request's id: carried, never looked at.
    pub request_id: u64,
}

/// How one sandbox ended, with its buffers.
#[derive(Debug)]
#[must_use]
pub struct Outcome {
    /// The call that was given to [`crate::Runtime::start`].
    pub call: Call,
    /// Why the guest no longer runs.
    pub exit: Exit,
}

/// Why a guest no longer runs.
#[derive(Debug, PartialEq, Eq)]
pub enum Exit {
    /// `_start` returned, or the guest called `proc_exit(0)`.
    Success,
    /// The guest called `proc_exit` with another code.
    Code(i32),
    /// The guest trapped, raised a deadly signal, or gave a host call what it cannot work with.
    Trapped(TrapReport),
    /// The guest needed more native stack than [`crate::Settings::wasm_stack_bytes`].
    StackLimit(TrapReport),
    /// The guest wanted more memory than its limit.
    MemoryLimit(TrapReport),
    /// The guest wanted a larger table than its limit.
    TableLimit(TrapReport),
    /// The guest wrote more than [`crate::FunctionConfig::output_max_bytes`].
    OutputLimit,
    /// No sandbox could be made; the text says why. Nothing of the guest has run.
    StartFailed(String),
}

/// What is known about a trap. Made for a log: names from the module are escaped and cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrapReport {
    /// One line: the kind of trap.
    pub summary: String,
    /// One line for each wasm frame, innermost first: the function, and where in the module's file. May
    /// be empty.
    pub backtrace: Vec<String>,
}

/// Why a query cannot become arguments: both are for the client to mend (414).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentsError {
    /// The query is longer than [`ARGUMENTS_BYTES_MAX`].
    #[error("the query has {bytes} bytes, more than {ARGUMENTS_BYTES_MAX}")]
    Bytes {
        /// Length of the query.
        bytes: usize,
    },
    /// The query has more than [`ARGUMENTS_MAX`] parts.
    #[error("the query has {count} parts, more than {ARGUMENTS_MAX}")]
    Count {
        /// Parts between `&`.
        count: usize,
    },
}

impl fmt::Debug for Call {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("request_id", &self.request_id)
            .field("arguments", &self.arguments.escape_ascii().to_string())
            .field("stdin_bytes", &self.stdin.len())
            .field("stdout_bytes", &self.stdout.len())
            .finish_non_exhaustive()
    }
}

/// Says whether `query` may be the arguments of a [`Call`].
///
/// # Errors
///
/// Either limit exceeded: nothing is ever cut silently.
pub fn check_arguments(query: &[u8]) -> Result<(), ArgumentsError> {
    if query.len() > ARGUMENTS_BYTES_MAX {
        return Err(ArgumentsError::Bytes { bytes: query.len() });
    }
    let count = parts(query).count();
    if count > ARGUMENTS_MAX {
        return Err(ArgumentsError::Count { count });
    }
    Ok(())
}

/// Appends the parts of `query` between `&` to [`Call::arguments`]; none of an empty one.
pub fn push_arguments(query: &[u8], arguments: &mut Vec<u8>) {
    for part in parts(query) {
        arguments.extend_from_slice(part);
        arguments.push(0);
    }
}

fn parts(query: &[u8]) -> impl Iterator<Item = &[u8]> {
    query
        .split(|&byte| byte == b'&')
        .filter(move |_| !query.is_empty())
}

/// Why a host call ends the guest: travels through wasmtime as the error of that call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("exit code {0}")]
    Exit(i32),
    #[error("raised {0}")]
    Raised(&'static str),
    #[error("output limit")]
    OutputLimit,
    #[error("memory of {wanted_bytes} bytes wanted, the limit is {limit_bytes}")]
    MemoryLimit {
        wanted_bytes: usize,
        limit_bytes: usize,
    },
    #[error("table of {wanted} elements wanted, the limit is {limit}")]
    TableLimit { wanted: usize, limit: usize },
}

impl Exit {
    /// Reads a wasmtime error that ended `_start` or the start function of the module that was rewritten
    /// as `offsets` say.
    pub(crate) fn from_error(error: &wasmtime::Error, offsets: &Offsets) -> Exit {
        let report = || TrapReport::new(error, offsets);
        match error.downcast_ref::<End>() {
            Some(End::Exit(0)) => Exit::Success,
            Some(End::Exit(code)) => Exit::Code(*code),
            Some(End::OutputLimit) => Exit::OutputLimit,
            Some(End::MemoryLimit { .. }) => Exit::MemoryLimit(report()),
            Some(End::TableLimit { .. }) => Exit::TableLimit(report()),
            Some(End::Raised(_)) | None => match error.downcast_ref::<Trap>() {
                Some(Trap::StackOverflow) => Exit::StackLimit(report()),
                _ => Exit::Trapped(report()),
            },
        }
    }
}

impl TrapReport {
    fn new(error: &wasmtime::Error, offsets: &Offsets) -> TrapReport {
        let summary = match (error.downcast_ref::<Trap>(), error.downcast_ref::<End>()) {
            (Some(trap), _) => trap.to_string(),
            (None, Some(end)) => end.to_string(),
            (None, None) => escaped(&error.root_cause().to_string()),
        };
        let backtrace = error
            .downcast_ref::<WasmBacktrace>()
            .map(|trace| trace.frames().iter())
            .into_iter()
            .flatten()
            .filter(|frame| !offsets.is_appended(frame.func_index()))
            .map(|it| frame(it, offsets))
            .collect();
        TrapReport { summary, backtrace }
    }
}

fn frame(frame: &wasmtime::FrameInfo, offsets: &Offsets) -> String {
    let name = match frame.func_name() {
        Some(name) => escaped(name),
        None => format!("function {}", frame.func_index()),
    };
    match frame.module_offset() {
        Some(offset) => format!("{name} at {:#x}", offsets.original(offset)),
        None => name,
    }
}

/// A text that a guest chose, fit for one line of a log.
pub(crate) fn escaped(text: &str) -> String {
    text.chars()
        .take(REPORT_NAME_CHARS_MAX)
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_split_at_ampersands() {
        let check = |query: &str, expected: &[&str]| {
            let mut got = Vec::new();
            push_arguments(query.as_bytes(), &mut got);
            let expected: String = expected.iter().map(|part| format!("{part}\0")).collect();
            assert_eq!(got, expected.as_bytes(), "{query:?}");
        };
        check("", &[]);
        check("10", &["10"]);
        check("a=1&b", &["a=1", "b"]);
        check("a&&b", &["a", "", "b"]);
        check("&", &["", ""]);
        check("a%26b+c", &["a%26b+c"]);
    }

    #[test]
    fn arguments_have_limits() {
        let check = |query: Vec<u8>, expected| assert_eq!(check_arguments(&query), expected);
        check(vec![], Ok(()));
        check(vec![b'a'; ARGUMENTS_BYTES_MAX], Ok(()));
        let bytes = ARGUMENTS_BYTES_MAX + 1;
        check(vec![b'a'; bytes], Err(ArgumentsError::Bytes { bytes }));
        check(vec![b'&'; ARGUMENTS_MAX - 1], Ok(()));
        let count = ARGUMENTS_MAX + 1;
        check(
            vec![b'&'; ARGUMENTS_MAX],
            Err(ArgumentsError::Count { count }),
        );
    }

    #[test]
    fn names_from_a_guest_cannot_forge_a_log_line() {
        assert_eq!(escaped("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(escaped(&"x".repeat(1000)).len(), REPORT_NAME_CHARS_MAX);
    }
}
