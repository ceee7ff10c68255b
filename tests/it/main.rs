//! The server over real sockets: every test starts one, in this process or as the program, and talks to it
//! as clients do.
//!
//! Servers listen at ports of the kernel's choice, so that all tests run side by side. Order is asserted,
//! never time; whoever waits, waits for a condition, and gives up loudly.

mod admin;
mod admission;
mod bench;
mod cgi;
mod client;
mod departures;
mod dispatch;
mod drain;
mod environment;
mod failure;
mod files;
mod flight;
mod functions;
mod harness;
mod hostile;
mod isolation;
mod lab;
mod limits;
mod metrics;
mod overload;
mod process;
mod program;
mod protocol;
mod run;
mod scheduling;
mod scrape;
mod serving;
mod sledge_logs;
mod stub;
mod tenants;
mod trigger;
mod waiting;
