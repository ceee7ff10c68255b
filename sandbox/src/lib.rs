//! Runs slices of guests: WebAssembly functions, each in a fresh sandbox.
//!
//! ```text
//!  Compiler ──► Artifact ──┬─► Runtime (worker 1)     slot 0: free
//!   once, any thread       │     engine, pool,        slot 1: suspended future ─► fiber, store,
//!                          │     functions, slots     slot 2: …                   instance
//!                          └─► Runtime (worker 2) …
//!
//!  start(slot, function, call) ─► resume(slot) ─► Preempted | Yielded | Blocked ─► resume(slot) ─►
//!                                              └► Finished(Outcome): the call's buffers come back
//! ```
//!
//! A worker owns its engine, its pool and its sandboxes; workers share compiled code's bytes and
//! nothing else. A sandbox is made from a copy-on-write image and thrown away with its request:
//! nothing of an earlier one can be seen. The crate knows no client, no socket and no policy:
//! who runs next and for how long is its caller's business, told by [`Timer::begin_slice`].

#![deny(unsafe_code)]

mod artifact;
mod bulk;
mod cache;
mod calibrate;
mod call;
mod directories;
pub mod limits;
mod preempt;
mod runtime;
mod scratch;
mod self_test;
mod settings;
mod shed;
mod sleepers;
mod state;
mod wasi;

pub use artifact::{Artifact, Compiler, Import, LoadError, Origin, compile};
pub use cache::{Cache, CacheError};
pub use calibrate::{Calibration, Trigger, calibrate};
pub use call::{ArgumentsError, Call, Exit, Outcome, TrapReport, check_arguments, push_arguments};
pub use directories::Directory;
pub use preempt::{Alarm, Contention, Timer, TimerError, Watcher, monotonic_ns};
pub use runtime::{FunctionConfig, Program, Runtime, RuntimeError, Stderr, Step};
pub use settings::{EngineError, Preemption, Settings, pagemap_scan};
pub use sleepers::Nap;
