//! Every limit of a sandbox, with its name and unit, in one place.
//!
//! A limit that can be set per server or per function lives in [`crate::Settings`] or
//! [`crate::FunctionConfig`]; its default is here. What is not settable is only here.

/// Default of [`crate::Settings::sandboxes_max`]: sandboxes alive at once on one worker.
pub const SANDBOXES_MAX: u32 = 256;

/// Default of [`crate::Settings::memory_max_bytes`]: the linear memory one sandbox may grow to.
pub const MEMORY_MAX_BYTES: u64 = 256 << 20;

/// Default of [`crate::Settings::memory_reservation_bytes`]: address space kept for each memory.
///
/// 4 GiB and the guard behind it cover every address that a 32-bit index can form, so that
/// compiled code needs no bounds checks at all: worth some ten percent and more in code that
/// loads and stores. What it costs is address space alone, 1 TiB for 256 sandboxes on a worker,
/// of the 128 TiB that x86-64 gives. [`crate::Settings::fit`] gives it up where it does not fit.
pub const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;

/// Default of [`crate::Settings::wasm_stack_bytes`]: native stack that compiled wasm may use.
pub const WASM_STACK_BYTES: usize = 512 << 10;

/// Native stack above the wasm stack, at least: the host calls and the signal frames of one fiber.
pub(crate) const HOST_STACK_BYTES: usize = 512 << 10;

/// The part of it that host calls may take.
pub(crate) const HOST_CALL_STACK_BYTES: usize = 256 << 10;

/// Signal frames that may lie on a fiber's stack at once: the one that a guest is suspended in, and
/// those of expiries that come while it is being left.
pub(crate) const NESTED_SIGNALS: usize = 4;

/// Frame of a trampoline from wasm to the host: 16 bytes for each of 1,000 parameters, which is the
/// most that a module may have, and some registers.
pub(crate) const TRAMPOLINE_FRAME_BYTES_MAX: usize = 17 << 10;

/// Elements that a table may have or grow to.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 20_000;

/// Elements that the pool has room for: one more, so that a table which its module limits can be told from
/// one that it does not.
pub(crate) const TABLE_ELEMENTS_POOLED: usize = TABLE_ELEMENTS_MAX + 1;

/// Elements of a module's segments that are computed anew for every sandbox, before its guest can be preempted:
/// some 0.25 µs each. Those of active segments, which compilers write, are not among them.
pub(crate) const ELEMENTS_MAX: u64 = 2_000;

/// Tables of one module.
pub(crate) const TABLES_MAX: u32 = 4;

/// Default of [`crate::FunctionConfig::output_max_bytes`]: the response body of one sandbox.
pub const OUTPUT_MAX_BYTES: u64 = 16 << 20;

/// Default of [`crate::FunctionConfig::log_max_bytes`]: stderr kept for the log; what follows is dropped.
pub const LOG_MAX_BYTES: usize = 16 << 10;

/// Bytes of the query that become arguments.
pub const ARGUMENTS_BYTES_MAX: usize = 32 << 10;

/// Arguments made from the query, `argv[0]` not counted.
pub const ARGUMENTS_MAX: usize = 1024;

/// Vectors of one scattered read or write: `IOV_MAX` of Linux.
pub(crate) const IOVECS_MAX: u32 = 1024;

/// Subscriptions of one `poll_oneoff`.
pub(crate) const SUBSCRIPTIONS_MAX: u32 = 4096;

/// How long the thread that wakes sleepers itself sleeps at most.
pub(crate) const NAP_MAX: std::time::Duration = std::time::Duration::from_secs(3600);

/// Files and directories that one sandbox may have open, those that it was given not counted (`EMFILE`).
pub const FILES_OPEN_MAX: usize = 64;

/// Files and directories that all sandboxes of a process may have open (`ENFILE`).
pub const FILES_OPEN_PROCESS_MAX: usize = 1024;

/// Bytes by which one sandbox may make files longer, all together and over its whole life (`ENOSPC`).
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// Files, directories and links that one sandbox may make (`ENOSPC`). What it removes counts no more.
pub const FILE_ENTRIES_MAX: u32 = 4096;

/// Bytes that one read or write moves between a guest and a file; it is told that it was fewer.
pub(crate) const FILE_CHUNK_BYTES: usize = 256 << 10;

/// Bytes of a path: `PATH_MAX` of Linux.
pub(crate) const PATH_BYTES_MAX: u32 = 4096;

/// How often a scratch directory is emptied that something is still written to.
pub(crate) const SCRATCH_SWEEPS_MAX: u32 = 16;

/// Random bytes made between two looks at the preemption flag: some tens of microseconds.
pub(crate) const RANDOM_CHUNK_BYTES: usize = 16 << 10;

/// Bytes that one bulk operation on memory works on before the guest can be preempted.
pub(crate) const BULK_CHUNK_BYTES: u64 = 64 << 10;

/// What one call into the general WASI implementation may copy or allocate on a guest's behalf.
pub(crate) const HOST_CALL_BYTES_MAX: usize = 1 << 20;

/// Linear memory that stays resident when a sandbox is reset and the kernel can tell the pages
/// that are there (`PAGEMAP_SCAN`, Linux 6.7): only those are zeroed or copied back. At least.
pub(crate) const KEEP_RESIDENT_SCANNED_BYTES: usize = 2 << 20;

/// At most, with few sandboxes.
pub(crate) const KEEP_RESIDENT_SCANNED_BYTES_MAX: usize = 16 << 20;

/// Between the two, what all sandboxes of a worker may keep together: never more than they had in
/// use, and given back again when it is not used ([`SHED_EVERY`]).
pub(crate) const KEEP_RESIDENT_WORKER_BYTES: usize = 1 << 30;

/// Lives of a function on a worker until one looks at how much memory it has inherited.
pub(crate) const SHED_EVERY: u32 = 64;

/// Inherited memory that is given back: what costs more to reset than a short request takes.
pub(crate) const SHED_ABOVE_BYTES: usize = 256 << 10;

/// The same where it cannot, and the whole range is zeroed at every reset.
pub(crate) const KEEP_RESIDENT_BYTES: usize = 64 << 10;

/// Compiled code of one module that is read from or written to a cache.
pub(crate) const CACHED_BYTES_MAX: u64 = 1 << 30;

/// Characters of one text that a guest chose, in a trap's report.
pub(crate) const REPORT_NAME_CHARS_MAX: usize = 120;

/// One page of linear memory. (The custom-page-sizes proposal is off.)
pub(crate) const WASM_PAGE_BYTES: u64 = 64 << 10;

const _: () = {
    assert!(MEMORY_MAX_BYTES <= MEMORY_RESERVATION_BYTES);
    assert!(MEMORY_MAX_BYTES.is_multiple_of(WASM_PAGE_BYTES));
    assert!(MEMORY_RESERVATION_BYTES.is_multiple_of(WASM_PAGE_BYTES));
    assert!(OUTPUT_MAX_BYTES <= MEMORY_MAX_BYTES);
    assert!(KEEP_RESIDENT_BYTES <= KEEP_RESIDENT_SCANNED_BYTES);
    assert!(KEEP_RESIDENT_SCANNED_BYTES <= KEEP_RESIDENT_SCANNED_BYTES_MAX);
    assert!(SHED_ABOVE_BYTES < KEEP_RESIDENT_SCANNED_BYTES);
    // A signal frame with AVX-512 and AMX state takes some 11 KiB.
    assert!(HOST_STACK_BYTES >= HOST_CALL_STACK_BYTES + NESTED_SIGNALS * (16 << 10));
    // The pointers of all arguments fit the address space of any guest that can be loaded.
    assert!((ARGUMENTS_MAX + 1) * 4 + ARGUMENTS_BYTES_MAX <= WASM_PAGE_BYTES as usize);
    assert!(RANDOM_CHUNK_BYTES <= HOST_CALL_BYTES_MAX);
    assert!(FILE_CHUNK_BYTES + 64 <= HOST_CALL_BYTES_MAX);
    assert!(FILES_OPEN_MAX <= FILES_OPEN_PROCESS_MAX);
};
