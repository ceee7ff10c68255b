//! perf sees: it keeps what was measured and says no more than the sample supports. Nothing here is needed in order to
//! run the server.
//!
//! | file | subject |
//! | --- | --- |
//! | [`histogram`] | percentiles with their confidence intervals |
//! | [`live`] | what one thread counts while others read it |
//! | [`schedule`] | when a load generator means to send |
//! | [`fit`] | whether it did send as a Poisson process does |
//! | [`formats`] | histograms as files for other programs |
//! | [`encoded`] | histograms as JSON |
//! | [`event`] | what happened to requests, the last so many for each thread |
//! | [`recording`] | … written down, to be replayed |
//! | [`trace`] | … to be looked at |
//! | [`story`] | … put together for each request |
//! | [`tail`] | what the slowest requests were waiting for |
//! | [`objective`] | what a latency is meant to be, and up to which load it is |
//! | [`noise`] | what the machine alone does to a thread |
//! | [`chart`] | what numbers look like |
//! | [`page`] | charts, tables and words as one report |

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod chart;
pub mod encoded;
pub mod event;
pub mod fit;
pub mod formats;
pub mod histogram;
pub mod hlog;
pub mod live;
mod markup;
pub mod noise;
pub mod objective;
pub mod page;
pub mod recording;
pub mod replications;
pub mod schedule;
pub mod story;
pub mod tail;
pub mod trace;

pub use fit::Fit;
pub use histogram::{Estimate, Histogram, Percentile, Summary};
pub use live::{BOUNDS_NS, Busy, Counter, Gauge, LiveHistogram, Snapshot};
pub use replications::Interval;
pub use schedule::Arrivals;
