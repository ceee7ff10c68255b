//! The sandbox as its worker sees it: guests in WAT, run through the public interface.

mod alike;
mod arguments;
mod cache;
mod exits;
mod files;
mod freshness;
mod host_calls;
mod kernels;
mod load;
mod pointers;
mod preemption;
mod proposals;
mod reset;
mod script;
mod storm;
mod support;
mod waiting;
mod witx;
