//! The bounds of what policies and estimates can be told, each with its unit, and how they hang together.

use crate::policy::Nanos;

/// The largest weight of a tenant. The unit is free: shares are the ratios of weights.
pub const WEIGHT_MAX: u32 = 10_000;

/// The weight of a tenant that none is said of.
pub const WEIGHT_DEFAULT: u32 = 100;

/// The shortest period of a reservation, in nanoseconds: below it, refilling costs more than it gives.
pub const PERIOD_MIN_NS: Nanos = 1_000;

/// The longest period of a reservation, in nanoseconds: an hour.
pub const PERIOD_MAX_NS: Nanos = 3_600_000_000_000;

/// The longest quantum and the longest of the other times that a policy is told, in nanoseconds: an hour.
pub const QUANTUM_MAX_NS: Nanos = 3_600_000_000_000;

/// The largest number of levels of a multi-level feedback queue.
pub const LEVELS_MAX: u32 = 8;

/// How many runs of a route an estimate by window remembers.
pub const WINDOW_RUNS: usize = 256;

/// How many workers a dispatcher knows at most.
pub const WORKERS_MAX: usize = 1_024;

/// How many types of requests a dispatcher tells apart at most.
pub const TYPES_MAX: usize = 1_024;

// The last level's allotment is the quantum times this, and must not overflow.
const _: () = assert!(QUANTUM_MAX_NS.leading_zeros() > LEVELS_MAX);
// Budgets are signed: a debt is a negative one.
const _: () = assert!(PERIOD_MAX_NS < i64::MAX as u64 / 2);
