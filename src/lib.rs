//! The shell of luge: configuration, command line, threads, the worker loop, the simulator that runs
//! the same loop on virtual time, and the load generator. What decides, parses, runs guests or measures is in
//! the leaves: `sched`, `listener` and `listener-http`, `sandbox`, `perf`.

pub mod admin;
pub mod bench;
pub mod cli;
pub mod compile;
pub mod config;
pub mod demo;
pub mod deployment;
pub mod estimates;
pub mod lab;
pub mod limits;
pub mod logging;
pub mod preemption;
pub mod run;
pub mod serve;
pub mod server;
pub mod sim;
pub mod tenants;
pub mod worker;
