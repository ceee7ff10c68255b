//! Which worker gets an arriving request: the vocabulary, and the table of policies by name.
//!
//! A dispatcher is asked with what is known of the request ([`Offer`]) and of the workers ([`Load`]). It answers with a
//! [`Choice`]; who asked does what it says and keeps the loads true. Loads are what is seen from outside: requests given
//! minus requests that came back, and what was expected of them. Randomness is part of the offer.
//!
//! A choice looks at every worker once at most ([`power_of_two`] at two of them), and allocates nothing. A worker whose
//! ring or task table is full is never chosen; if all are, the request is refused.

use alloc::boxed::Box;

use crate::limits::WORKERS_MAX;
use crate::policy::{Arrivals, Nanos, Newcomer};
use crate::scheduler::Fact;

pub mod darc;
pub mod jbsq;
pub mod least_loaded;
pub mod least_work;
pub mod power_of_two;
pub mod round_robin;
pub mod stealing;
pub mod triage;

pub use least_loaded::LeastLoaded;

/// What the dispatcher knows of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests given to the worker and not yet answered.
    pub outstanding: u32,
    /// Those of them that have not begun to run, as far as is known; they could still go elsewhere.
    pub queued: u32,
    /// How long the outstanding ones were expected to execute, together.
    pub work_ns: Nanos,
    /// Who would interrupt the slice that runs; anybody, while none does. Those to whom who came since is no hindrance.
    pub preempted_by: Arrivals,
    /// It cannot take another one.
    pub full: bool,
}

/// A request for which a worker is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// How long it is expected to execute; 0 for unknown.
    pub expected_ns: Nanos,
    /// What a running slice is compared with.
    pub newcomer: Newcomer,
    /// Fresh random bits.
    pub random: u64,
}

/// Where a request goes.
#[must_use = "somebody has to act on it"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// To this worker.
    Worker(usize),
    /// To nobody yet: it waits with the dispatcher, first in, first out, and is offered again when a load has fallen.
    /// Who cannot keep requests waiting refuses it.
    Hold,
    /// To nobody: all are full.
    Refuse,
}

/// A policy that chooses workers.
pub trait Dispatch {
    /// Chooses a worker for a request. The number of workers may change between two calls.
    fn dispatch(&mut self, offer: &Offer, loads: &[Load]) -> Choice;

    /// From which worker one that has nothing to do, and room, takes the oldest request that has not begun. `None`: from
    /// nobody.
    #[must_use]
    fn steal(&mut self, _thief: usize, _loads: &[Load]) -> Option<usize> {
        None
    }

    /// The name by which it is chosen.
    fn name(&self) -> &'static str;
}

/// What every dispatcher can be told. One ignores what it has no use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatchParams {
    /// Bounded queues: how many requests a worker has at most while others wait. At least 1.
    pub bound: u32,
}

impl Default for DispatchParams {
    fn default() -> Self {
        Self { bound: 2 }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Dispatcher {
    /// The name by which it is chosen.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// What it looks at of a request.
    pub uses: &'static [Fact],
    /// Whether no worker idles while a request waits at the dispatcher or, once stolen, at another worker.
    pub work_conserving: bool,
    /// Whether workers take requests from each other: [`Dispatch::steal`].
    pub steals: bool,
    /// Whether it looks at what runs: [`Load::preempted_by`].
    pub sees_slices: bool,
    /// Makes it.
    pub build: fn(&DispatchParams) -> Box<dyn Dispatch + Send>,
}

/// All dispatchers; the first is the default.
pub static DISPATCHERS: &[Dispatcher] = &[
    Dispatcher {
        name: LeastLoaded::NAME,
        summary: "join the shortest queue: the worker with the fewest requests",
        uses: &[],
        work_conserving: false,
        steals: false,
        sees_slices: false,
        build: |_| Box::new(LeastLoaded::default()),
    },
    Dispatcher {
        name: jbsq::BoundedQueues::NAME,
        summary: "a central queue, and a bound on what each worker has of it",
        uses: &[],
        work_conserving: true,
        steals: false,
        sees_slices: false,
        build: |params| Box::new(jbsq::BoundedQueues::new(params.bound)),
    },
    Dispatcher {
        name: least_work::LeastWork::NAME,
        summary: "least work left: the worker from which the least is expected",
        uses: &[Fact::Execution],
        work_conserving: false,
        steals: false,
        sees_slices: false,
        build: |_| Box::new(least_work::LeastWork::default()),
    },
    Dispatcher {
        name: power_of_two::PowerOfTwo::NAME,
        summary: "power of two choices: the less loaded of two workers at random",
        uses: &[],
        work_conserving: false,
        steals: false,
        sees_slices: false,
        build: |_| Box::new(power_of_two::PowerOfTwo),
    },
    Dispatcher {
        name: round_robin::RoundRobin::NAME,
        summary: "round robin: one worker after the other",
        uses: &[],
        work_conserving: false,
        steals: false,
        sees_slices: false,
        build: |_| Box::new(round_robin::RoundRobin::default()),
    },
    Dispatcher {
        name: stealing::Stealing::NAME,
        summary: "round robin, and idle workers take what has not begun elsewhere",
        uses: &[],
        work_conserving: true,
        steals: true,
        sees_slices: false,
        build: |_| Box::new(stealing::Stealing::default()),
    },
    Dispatcher {
        name: triage::Triage::NAME,
        summary: "an idle worker, or the one whose request has the best reason to give way",
        uses: &[],
        work_conserving: false,
        steals: false,
        sees_slices: true,
        build: |_| Box::new(triage::Triage::default()),
    },
    Dispatcher {
        name: darc::Darc::NAME,
        summary: "workers reserved for short types; the longer never use them",
        uses: &[Fact::Execution],
        work_conserving: false,
        steals: false,
        sees_slices: false,
        build: |_| Box::new(darc::Darc::default()),
    },
];

impl Dispatcher {
    /// Finds a dispatcher by its name; case does not matter.
    #[must_use]
    pub fn from_name(name: &str) -> Option<&'static Self> {
        DISPATCHERS
            .iter()
            .find(|dispatcher| dispatcher.name.eq_ignore_ascii_case(name))
    }
}

/// The worker with the least key; of equal ones the first from `start` on, around. Those without a key are left out.
fn least<K: Ord>(loads: &[Load], start: usize, key: impl Fn(&Load) -> Option<K>) -> Option<usize> {
    assert!(loads.len() <= WORKERS_MAX, "{} workers", loads.len());
    // Workers may have gone away since.
    let start = if start < loads.len() { start } else { 0 };
    let mut best: Option<(usize, K)> = None;
    for worker in (start..loads.len()).chain(0..start) {
        let Some(key) = key(&loads[worker]) else {
            continue;
        };
        if best.as_ref().is_none_or(|(_, least)| key < *least) {
            best = Some((worker, key));
        }
    }
    best.map(|(worker, _)| worker)
}

impl Default for Arrivals {
    /// Nobody: nothing runs.
    fn default() -> Self {
        Self::Nobody
    }
}
