//! The listener's limits: every queue, table and buffer it has, by name and unit.
//!
//! What an operator may change is a field of [`crate::Settings`]; here stand the bounds that the code
//! itself relies on, and the relations between them, checked when it compiles.

/// Connections open at once, at most: an index must fit its part of a ring entry's user data.
pub const CONNECTIONS_MAX: usize = 1 << KEY_INDEX_BITS;

/// Bits of a completion's user data that hold a connection's slot.
pub(crate) const KEY_INDEX_BITS: u32 = 24;

/// Bits of a completion's user data that hold a connection's generation.
pub(crate) const KEY_GENERATION_BITS: u32 = 32;

/// Entries of the submission queue.
pub(crate) const SUBMISSIONS: u32 = 1024;

/// Entries of the completion queue: multishot receives complete many times per submission.
pub(crate) const COMPLETIONS: u32 = 8192;

/// Connections that may wait to be accepted, on each port.
pub(crate) const BACKLOG: i32 = 4096;

/// Size of one provided receive buffer.
pub(crate) const RECEIVE_BUFFER_BYTES: usize = 16 * 1024;

/// Number of provided receive buffers; a power of two, as the kernel asks.
pub(crate) const RECEIVE_BUFFERS: u16 = 256;

/// Bytes that a connection may send ahead of its answers (pipelined requests) before receiving pauses.
pub const INPUT_AHEAD_MAX_BYTES: usize = 64 * 1024;

/// The same where receiving did not pause in time, because much came at once: then the connection is cut.
pub const INPUT_MAX_BYTES: usize = 2 * RECEIVE_BUFFERS as usize * RECEIVE_BUFFER_BYTES;

/// A body must be there after so many body timeouts, however lively its client is.
pub const BODY_TIMEOUTS_MAX: u64 = 20;

/// A buffer larger than this is freed when its connection becomes idle.
pub(crate) const IDLE_BUFFER_MAX_BYTES: usize = 4 * 1024;

/// Bytes waiting to be sent to a client that does not read, before its next request is looked at.
pub const OUTPUT_AHEAD_MAX_BYTES: usize = 256 * 1024;

/// Answers of a connection that the kernel has not taken, before its next request is looked at: each is remembered.
pub const ANSWERS_AHEAD_MAX: usize = 16;

/// A buffer that grew beyond this is freed after use and not kept for the next request.
pub const BUFFER_KEPT_MAX_BYTES: usize = 64 * 1024;

/// What the buffers of exchanges kept for reuse may take together.
pub(crate) const EXCHANGES_KEPT_MAX_BYTES: usize = 64 << 20;

/// Answers taken from the workers in one turn: then the sockets have theirs.
pub(crate) const ANSWERS_PER_TURN_MAX: usize = 1024;

/// Exchanges kept for reuse.
pub(crate) const EXCHANGES_KEPT_MAX: usize = 4096;

/// How long a connection that was refused may go on sending before it is cut (RFC 9112 §9.6).
pub(crate) const LINGER_NS: u64 = 2_000_000_000;

/// One sweep visits every `SWEEP_PARTS`-th connection, so that each is looked at once in
/// `SWEEP_PARTS * SWEEP_EVERY_NS` and no sweep is long.
pub(crate) const SWEEP_PARTS: usize = 8;

/// Time between two sweeps for connections past their deadline.
pub const SWEEP_EVERY_NS: u64 = 125_000_000;

const _: () = assert!(RECEIVE_BUFFERS.is_power_of_two());
const _: () = assert!(COMPLETIONS >= SUBMISSIONS && COMPLETIONS > RECEIVE_BUFFERS as u32);
const _: () = assert!(
    KEY_INDEX_BITS + KEY_GENERATION_BITS <= 60,
    "four bits name the operation"
);
const _: () = assert!(INPUT_AHEAD_MAX_BYTES >= RECEIVE_BUFFER_BYTES);
