//! The simulator against theory ([`theory`], which runs what `luge sim validate` runs), and against what it is meant to
//! model, on scripts small enough to follow by hand ([`scripts`], and [`waits`] where requests wait). What goes in is
//! looked at in [`workloads`] and, as it was recorded, in [`replays`], and what comes out in [`reports`].

mod replays;
mod reports;
mod scripts;
mod theory;
mod waits;
mod workloads;

use sched::Nanos;

use super::engine::{Config, Costs, Job, Request};
use super::validate::exact::run;
use super::validate::queues::config;

/// Who finished when, by order of arrival.
fn ends(finished: &[(Nanos, Job)]) -> Vec<(u64, Nanos)> {
    let ends = finished.iter();
    ends.map(|(now, job)| (job.request.arrival.seq, *now))
        .collect()
}
