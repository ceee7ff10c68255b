//! sched decides: which task a worker runs next and for how long, and which worker gets a request.
//!
//! Everything here is a pure state machine. Time comes in as an argument and decisions go out as values that the
//! shell acts on, so the server and the simulator run the same code, and a run can be recorded and repeated. There is
//! no clock here, no source of randomness, no thread and no float; `no_std` lets the compiler hold that.
//!
//! | file | subject |
//! | --- | --- |
//! | [`policy`] | the vocabulary: [`Task`], [`Event`], [`Slice`], and the trait [`Policy`] |
//! | [`fifo`], [`fifo_preemptive`], [`rr`] | policies that look at nothing but the order of events |
//! | [`edf`], [`llf`] | … at deadlines |
//! | [`sjf`], [`srpt`], [`darc`] | … at how long tasks are expected to run |
//! | [`mlfq`] | … at how long tasks have run |
//! | [`wfq`], [`mtds`], [`mtdbf`] | … at tenants |
//! | [`scheduler`] | the table of policies by name: a new policy is one file and one row in it |
//! | [`admission`] | whether a request is taken at all |
//! | [`dispatch`] | which worker gets an arriving request |
//! | [`timing`] | when a slice's timer is armed |
//! | [`estimate`] | how long requests are expected to execute |
//! | [`tenant`], [`demand`] | weights, reservations, accounts; what reservations demand |
//! | [`state`] | the states of a task and every transition between them |
//! | [`ranked`], [`heap`], [`list`] | the run queues that the policies are made of |
//! | [`limits`] | bounds and their units |

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

pub mod admission;
pub mod darc;
pub mod demand;
pub mod dispatch;
pub mod edf;
pub mod estimate;
pub mod fifo;
pub mod fifo_preemptive;
pub mod heap;
pub mod limits;
pub mod list;
pub mod llf;
pub mod mlfq;
pub mod mtdbf;
pub mod mtds;
pub mod policy;
pub mod ranked;
pub mod rr;
pub mod scheduler;
pub mod sjf;
pub mod srpt;
pub mod state;
pub mod tenant;
pub mod timing;
pub mod wfq;

pub use dispatch::{
    Choice, DISPATCHERS, Dispatch, DispatchParams, Dispatcher, LeastLoaded, Load, Offer,
};
pub use policy::{Arrivals, Event, Nanos, Newcomer, Policy, Slice, Task, TaskId};
pub use scheduler::{Fact, PARAMS, Param, Params, SCHEDULERS, Scheduler, UnknownScheduler};
pub use state::{Cause, State};
pub use tenant::{Reservation, Tenant};
pub use timing::Timing;
