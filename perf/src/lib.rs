//! perf sees: it keeps what was measured and says no more than the sample supports. Nothing here is needed in order to
//! run the server.
//!
//! | file | subject |
//! | --- | --- |
//! | [`histogram`] | percentiles with their confidence intervals |
//! | [`schedule`] | when a load generator means to send |
//! | [`fit`] | whether it did send as a Poisson process does |
//! | [`formats`] | histograms as files for other programs |
//! | [`event`] | what happened to requests, the last so many for each thread |
//! | [`recording`] | … written down, to be replayed |
//! | [`trace`] | … to be looked at |
//! | [`story`] | … put together for each request |
//! | [`tail`] | what the slowest requests were waiting for |

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod event;
pub mod fit;
pub mod formats;
pub mod histogram;
pub mod hlog;
pub mod recording;
pub mod replications;
pub mod schedule;
pub mod story;
pub mod tail;
pub mod trace;

pub use fit::Fit;
pub use histogram::{Estimate, Histogram, Percentile, Summary};
pub use replications::Interval;
pub use schedule::Arrivals;
