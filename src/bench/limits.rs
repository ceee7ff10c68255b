//! What the load generator bounds, by name and unit.

use std::time::Duration;

/// Operations handed to the kernel at once.
pub const SUBMISSIONS: u32 = 1024;

/// Completions that may wait for each connection: a send, a receive, a cancelled one of each.
pub const COMPLETIONS_PER_CONNECTION: usize = 4;

/// Bytes that one receive takes; also what each connection costs in memory.
pub const RECEIVE_BYTES: usize = 16 << 10;

/// Bytes of an answer's status line and headers at most.
pub const HEAD_MAX_BYTES: usize = 64 << 10;

/// Headers of an answer at most.
pub const HEADERS_MAX: usize = 128;

/// Informational answers (1xx) before an answer at most.
pub const INFORMATIONAL_MAX: u32 = 16;

/// Completions that are handled before the schedule is looked at again, so that many answers do not make requests late.
pub const COMPLETIONS_PER_TURN: usize = 16;

/// The longest wait in the ring: so late is Ctrl-C seen.
pub const WAIT_MAX: Duration = Duration::from_millis(50);

/// Connections for each server at most.
pub const CONNECTIONS_MAX: u64 = 50_000;

/// Requests per second at most.
pub const RATE_MAX: f64 = 2e6;

/// Targets of a run at most.
pub const TARGETS_MAX: usize = 1_000;

/// Bytes of a file of targets, a trace or a request body at most.
pub const FILE_MAX_BYTES: u64 = 256 << 20;

/// Gaps between sends that are kept for the test of their distribution: so many that a difference of a twentieth is
/// found. With more it would find the microseconds that each send itself takes.
pub const GAPS_MAX: usize = 1_000;

/// How often the progress is shown.
pub const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// How long an interval of the interval log is.
pub const INTERVAL_NS: u64 = 1_000_000_000;

/// File descriptors that are not connections.
pub const DESCRIPTORS_RESERVED: u64 = 64;
