//! sched decides: which task a worker runs next and for how long, and which worker gets a request.
//!
//! Everything here is a pure state machine. Time comes in as an argument and decisions go out as values that the
//! shell acts on, so the server and the simulator run the same code, and a run can be recorded and repeated. There is
//! no clock here, no source of randomness, no thread and no float; `no_std` lets the compiler hold that.
//!
//! | file | subject |
//! | --- | --- |
//! | [`policy`] | the vocabulary: [`Task`], [`Event`], [`Slice`], and the trait [`Policy`] |
//! | [`fifo`], [`rr`], [`edf`] | the policies, one file each |
//! | [`scheduler`] | the table of policies by name: a new policy is one file and one row in it |
//! | [`dispatch`] | which worker gets an arriving request |
//! | [`timing`] | when a slice's timer is armed |
//! | [`state`] | the states of a task and every transition between them |
//! | [`ranked`], [`heap`], [`list`] | the run queues that the policies are made of |

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

pub mod dispatch;
pub mod edf;
pub mod fifo;
pub mod heap;
pub mod list;
pub mod policy;
pub mod ranked;
pub mod rr;
pub mod scheduler;
pub mod state;
pub mod timing;

pub use dispatch::{LeastLoaded, Load};
pub use policy::{Arrivals, Event, Nanos, Policy, Slice, Task, TaskId};
pub use scheduler::{Params, SCHEDULERS, Scheduler, UnknownScheduler};
pub use state::{Cause, State};
pub use timing::Timing;
