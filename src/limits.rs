//! The shell's limits: what the server itself bounds, by name and unit. The leaves have their own:
//! `listener::limits`, `sandbox::limits`.

use std::time::Duration;

/// Records of requests that may wait for the writer of logs.
pub const ACCESS_RECORDS_MAX: usize = 65_536;

/// How often logs of requests are written.
pub const ACCESS_WRITE_EVERY: Duration = Duration::from_millis(50);

/// How often events are read that are recorded: their rings have room for many times as much.
pub const RECORD_EVERY: Duration = Duration::from_millis(20);

/// Bytes of a recording that are handed to the kernel at once, unless a look ends before.
pub const RECORD_BUFFER_BYTES: usize = 64 << 10;

/// The flight recorder is written out for an objective so often at most …
pub const FLIGHT_EVERY: Duration = Duration::from_secs(10);

/// … and so many times in a server's life: who wants more asks for it.
pub const FLIGHTS_BY_OBJECTIVE_MAX: u32 = 16;

/// How long a worker may take to end after the last answer, before the process ends without it.
pub const WORKER_END_MAX: Duration = Duration::from_secs(1);

/// Functions (modules) that a server can have: an index travels with each request.
pub const FUNCTIONS_MAX: usize = u16::MAX as usize;

/// Variables that a route may have of its own.
pub const ENV_VARIABLES_MAX: usize = 256;

/// Bytes of their names and values together.
pub const ENV_BYTES_MAX: usize = 256 << 10;

/// How long to try again for a port that is in use.
pub const ADDRESS_IN_USE_MAX: Duration = Duration::from_millis(500);

/// Looks at connections that were cut at the end of a drain, until they are closed.
pub const ABORT_TURNS_MAX: u32 = 100;

/// How long each of them waits.
pub const ABORT_WAIT: Duration = Duration::from_millis(10);

/// Lines of a function's standard error that reach the log for one request.
pub const STDERR_LINES_MAX: usize = 32;

/// Log lines that may wait for their writer; beyond it they are dropped and the log says how many.
pub const LOG_LINES_MAX: usize = 8192;

/// File descriptors that are not connections: ring, bell, sockets, logs, standard streams, module images.
pub const DESCRIPTORS_RESERVED: usize = 128;

/// Connections to the admin endpoint at once; one more waits.
pub const ADMIN_CONNECTIONS_MAX: usize = 32;

/// Bytes of a request's head at the admin endpoint; beyond it 431.
pub const ADMIN_HEAD_MAX_BYTES: usize = 16 << 10;

/// How long a request's head may take at the admin endpoint: those who connect and say nothing are in others' way so
/// long at most.
pub const ADMIN_HEAD_MAX: Duration = Duration::from_secs(2);

/// Connections to the admin endpoint that wait to be accepted.
pub const ADMIN_BACKLOG: i32 = 64;

/// How long a connection to the admin endpoint may last, in which a page of many megabytes is written.
pub const ADMIN_CONNECTION_MAX: Duration = Duration::from_secs(60);

/// Bytes of a page that is written as it is read, at a time.
pub const ADMIN_CHUNK_BYTES: usize = 64 << 10;

/// How many times that may wait for the client.
pub const ADMIN_CHUNKS_MAX: usize = 4;

/// Pages that are written as they are read, at once; one more is refused.
pub const ADMIN_WRITERS_MAX: usize = 1;

/// Threads that write pages: one is left for those that are short.
pub const ADMIN_THREADS_MAX: usize = ADMIN_WRITERS_MAX + 1;

/// How much those give way to threads that serve, where cores are few: a nice value, of which 19 is the greatest.
pub const ADMIN_NICE: i32 = 19;

/// Statuses that are counted apart for a route: the server's own, and what is left of it for those that functions make up.
pub const STATUSES_APART_MAX: usize = 40;

/// When the admin endpoint tries again to accept a connection, where there are no descriptors left.
pub const ADMIN_ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// A listener that has not turned for so long is stuck.
pub const LIVENESS_PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked at until then.
pub const LIVENESS_LOOK_EVERY: Duration = Duration::from_millis(1);

/// Threads that do what functions want of files; none if no function has a directory.
pub const FILE_THREADS: usize = 8;

/// How long such a thread is kept that has nothing to do: for ever. One that a worker would start in its
/// place would be pinned to that worker's core.
pub const FILE_THREADS_KEEP: Duration = Duration::from_secs(u32::MAX as u64);

/// Default of `luge run --output-max`: each of a guest's two outputs, kept until it has ended. More than a
/// server's, whose guests answer requests.
pub const RUN_OUTPUT_MAX_BYTES: u64 = 1 << 30;

/// How soon a guest of `luge run` that computes notices an interrupt (Ctrl-C).
pub const RUN_NOTICE: Duration = Duration::from_millis(10);

// With what a request adds they fit a guest's memory many times over.
const _: () = assert!(ENV_BYTES_MAX as u64 * 16 <= sandbox::limits::MEMORY_MAX_BYTES);
