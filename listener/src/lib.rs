//! The listener: accepts connections, turns bytes into requests and answers into bytes.
//!
//! [`Listener`] is driven by one thread and never waits. It owns the table of connections and asks two
//! seams for everything else: [`Io`] for the sockets ([`Ring`] over io_uring, or a simulated network) and
//! [`Service`] for routing, admission and the workers behind it. HTTP itself is in `listener-http`.
//!
//! Nothing here knows a scheduling policy, a sandbox, or a clock: time comes in as an argument.

mod connection;
mod exchange;
mod io;
pub mod limits;
mod listener;
mod probe;
mod ring;
mod service;
mod timeline;

pub use exchange::{ConnectionKey, Exchange};
pub use io::{BufferId, Completion, Io, Received};
pub use listener::{Counters, Listener, Settings, Time};
pub use probe::{Cause, Features, RingError, build_ring, probe};
pub use ring::{Bell, Ring};
pub use service::{Answered, Refusal, Service, Target};
pub use timeline::Timeline;
