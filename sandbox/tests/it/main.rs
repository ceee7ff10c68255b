//! The sandbox as its worker sees it: guests in WAT, run through the public interface.

mod arguments;
mod cache;
mod exits;
mod freshness;
mod host_calls;
mod kernels;
mod load;
mod preemption;
mod proposals;
mod reset;
mod storm;
mod support;
