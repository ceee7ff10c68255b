//! How much an experiment may ask for.

use std::time::Duration;

/// Classes of requests, all senders together.
pub const CLASSES_MAX: usize = 64;

/// Policies that are compared.
pub const POLICIES_MAX: usize = 16;

/// Points along the axis.
pub const POINTS_MAX: usize = 64;

/// Measurements of the same point.
pub const REPETITIONS_MAX: u32 = 100;

/// Workers of a server.
pub const WORKERS_MAX: usize = 1_024;

/// How long requests are sent at a point.
pub const DURATION_MAX: Duration = Duration::from_secs(3_600);

/// Requests of a run: they are kept in memory.
pub const REQUESTS_MAX: usize = 50_000_000;

/// Intervals of a run's course.
pub const INTERVALS_MAX: u64 = 10_000;

/// The loads that make sense.
pub const LOAD_MAX: f64 = 100.0;

/// The longest quantum, in microseconds: that of the server's setting.
pub const QUANTUM_MAX_US: u64 = 999_999;

/// Requests that a worker has at most while others wait: that of the server's setting.
pub const DISPATCH_BOUND_MAX: u32 = 65_536;

/// Connections of the load generator to a worker, for each tenant: more than a worker may have requests, so that those who
/// wait do it at the server.
pub const CONNECTIONS: usize = 1_536;

/// Clients of a closed loop.
pub const CLIENTS_MAX: f64 = 10_000.0;

/// Services of a continuous law are rounded to a grid whose steps grow by this factor, so that there is a route for each
/// size, of which the undisturbed service is known: coarser where a server has to have the routes …
pub const GRID_LIVE: f64 = 1.04;

/// … than where it is only simulated.
pub const GRID_SIMULATED: f64 = 1.005;

/// How long a server may take to start, modules compiled: a machine may be busy.
pub const START_MAX: Duration = Duration::from_secs(120);

/// How long it may take to end once it is told.
pub const END_MAX: Duration = Duration::from_secs(60);

/// How long a request may take before the generator gives it up.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// How long the machine alone is looked at.
pub const NOISE: Duration = Duration::from_secs(2);

/// The quantum of policies that do not say, in microseconds: what is honest with preemption by signals.
pub const QUANTUM_DEFAULT_US: u64 = 250;
