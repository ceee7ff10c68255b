//! The table of scheduling policies by name. A new policy is a file and a row here; command line, configuration,
//! simulator and conformance tests take their lists from this table.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::darc::Darc;
use crate::edf::Edf;
use crate::fifo::Fifo;
use crate::fifo_preemptive::FifoPreemptive;
use crate::limits::{LEVELS_MAX, QUANTUM_MAX_NS};
use crate::llf::{self, Llf};
use crate::mlfq::Mlfq;
use crate::mtdbf::Mtdbf;
use crate::mtds::Mtds;
use crate::policy::{Nanos, Policy, Task};
use crate::rr::RoundRobin;
use crate::sjf::Sjf;
use crate::srpt::Srpt;
use crate::wfq::Wfq;

/// What every policy can be told. A policy ignores what it has no use for. [`PARAMS`] has the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// The time that a task is left in peace once it runs. At least 1.
    pub quantum_ns: Nanos,
    /// Whether running tasks may be interrupted at all. If not, every slice lasts until its task blocks, yields or ends.
    pub preemption: bool,
    /// Least laxity: by how much another task must be more pressed to take over.
    pub hysteresis_ns: Nanos,
    /// Multi-level feedback: the number of levels.
    pub levels: u32,
    /// Multi-level feedback: how often all tasks rise to the first level.
    pub boost_ns: Nanos,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            quantum_ns: 100_000,
            preemption: true,
            hysteresis_ns: 100_000,
            levels: 4,
            boost_ns: 100_000_000,
        }
    }
}

/// A number that policies are told: how it is called, and what it may be.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name, the unit last.
    pub name: &'static str,
    /// The smallest value.
    pub min: u64,
    /// The largest value.
    pub max: u64,
    /// Reads it.
    pub value: fn(&Params) -> u64,
    /// Sets it; the value is within the bounds.
    pub set: fn(&mut Params, u64),
}

/// All numbers of [`Params`].
pub static PARAMS: &[Param] = &[
    Param {
        name: "quantum-ns",
        min: 1,
        max: QUANTUM_MAX_NS,
        value: |params| params.quantum_ns,
        set: |params, value| params.quantum_ns = value,
    },
    Param {
        name: "hysteresis-ns",
        min: 0,
        max: QUANTUM_MAX_NS,
        value: |params| params.hysteresis_ns,
        set: |params, value| params.hysteresis_ns = value,
    },
    Param {
        name: "levels",
        min: 1,
        max: LEVELS_MAX as u64,
        value: |params| u64::from(params.levels),
        set: |params, value| params.levels = value as u32,
    },
    Param {
        name: "boost-ns",
        min: 1,
        max: QUANTUM_MAX_NS,
        value: |params| params.boost_ns,
        set: |params, value| params.boost_ns = value,
    },
];

impl Params {
    /// The first of its numbers that is out of its bounds.
    #[must_use]
    pub fn out_of_bounds(&self) -> Option<&'static Param> {
        PARAMS
            .iter()
            .find(|param| !(param.min..=param.max).contains(&(param.value)(self)))
    }
}

/// Something that is known of a task or its tenant, and that not every policy looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// When it ought to be done.
    Deadline,
    /// How long it is expected to execute.
    Execution,
    /// The tenant's weight.
    Weight,
    /// The tenant's reservation.
    Reservation,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Scheduler {
    /// The name by which it is chosen.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// The rank at arrival that [`Arrivals::RankBefore`](crate::Arrivals::RankBefore) compares, lower before higher; the
    /// slot is not looked at. The deadline where the policy asks for [deadlines](crate::Arrivals::DeadlineBefore), so that
    /// one number is enough for who comes; the order of arrival where it asks for neither.
    pub rank: fn(&Task) -> u64,
    /// What it looks at beside the order of events.
    pub uses: &'static [Fact],
    /// Whether every ready task runs after a bounded time whatever else comes, as long as tasks end.
    pub starvation_free: bool,
    /// Makes the policy of one worker.
    pub build: fn(&Params) -> Box<dyn Policy + Send>,
}

/// All policies.
pub static SCHEDULERS: &[Scheduler] = &[
    Scheduler {
        name: Fifo::NAME,
        summary: "first in, first out: each request runs to completion",
        rank: |task| task.seq,
        uses: &[],
        starvation_free: true,
        build: |_| Box::new(Fifo::new()),
    },
    Scheduler {
        name: RoundRobin::NAME,
        summary: "round robin: each request runs for a quantum, then the next",
        rank: |task| task.seq,
        uses: &[],
        starvation_free: true,
        build: |params| Box::new(RoundRobin::new(params)),
    },
    Scheduler {
        name: Edf::NAME,
        summary: "earliest deadline first, the deadline being arrival plus the route's",
        rank: |task| task.deadline_ns,
        uses: &[Fact::Deadline],
        starvation_free: false,
        build: |params| Box::new(Edf::new(params)),
    },
    Scheduler {
        name: FifoPreemptive::NAME,
        summary: "first in, first out; an older request that is woken interrupts a younger one",
        rank: |task| task.seq,
        uses: &[],
        starvation_free: true,
        build: |params| Box::new(FifoPreemptive::new(params)),
    },
    Scheduler {
        name: Llf::NAME,
        summary: "least laxity first: whoever must begin the soonest to meet its deadline",
        rank: llf::latest_beginning_ns,
        uses: &[Fact::Deadline, Fact::Execution],
        starvation_free: false,
        build: |params| Box::new(Llf::new(params)),
    },
    Scheduler {
        name: Sjf::NAME,
        summary: "shortest job first by the expected execution, to completion",
        rank: |task| task.expected_ns,
        uses: &[Fact::Execution],
        starvation_free: false,
        build: |_| Box::new(Sjf::new()),
    },
    Scheduler {
        name: Srpt::NAME,
        summary: "shortest remaining time first, by the expected execution",
        rank: |task| task.expected_ns,
        uses: &[Fact::Execution],
        starvation_free: false,
        build: |params| Box::new(Srpt::new(params)),
    },
    Scheduler {
        name: Wfq::NAME,
        summary: "weighted fair queueing: tenants share by weight, requests of a tenant take turns",
        rank: |task| task.seq,
        uses: &[Fact::Weight],
        starvation_free: true,
        build: |params| Box::new(Wfq::new(params)),
    },
    Scheduler {
        name: Mtds::NAME,
        summary: "deferrable servers: tenants within their budget first, the rest by deadline",
        rank: |task| task.deadline_ns,
        uses: &[Fact::Deadline, Fact::Reservation],
        starvation_free: false,
        build: |params| Box::new(Mtds::new(params)),
    },
    Scheduler {
        name: Mtdbf::NAME,
        summary: "demand bounds: requests that a reservation can carry first, the rest by deadline",
        rank: |task| task.deadline_ns,
        uses: &[Fact::Deadline, Fact::Execution, Fact::Reservation],
        starvation_free: false,
        build: |params| Box::new(Mtdbf::new(params)),
    },
    Scheduler {
        name: Mlfq::NAME,
        summary: "multi-level feedback: whoever has run least, blind to sizes",
        rank: |task| task.seq,
        uses: &[],
        starvation_free: true,
        build: |params| Box::new(Mlfq::new(params)),
    },
    Scheduler {
        name: Darc::NAME,
        summary: "shortest type first, to completion; for workers that the dispatcher reserves for types",
        rank: |task| task.seq,
        uses: &[Fact::Execution],
        starvation_free: false,
        build: |_| Box::new(Darc::new()),
    },
];

impl Scheduler {
    /// Finds a policy by its name; case does not matter.
    ///
    /// # Errors
    ///
    /// [`UnknownScheduler`], whose text lists the names that there are.
    pub fn from_name(name: &str) -> Result<&'static Self, UnknownScheduler> {
        SCHEDULERS
            .iter()
            .find(|scheduler| scheduler.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownScheduler { name: name.into() })
    }

    /// Whether it looks at this.
    #[must_use]
    pub fn uses(&self, fact: Fact) -> bool {
        self.uses.contains(&fact)
    }

    /// The names of the policies that look at this, in the table's order.
    pub fn names_using(fact: Fact) -> impl Iterator<Item = &'static str> {
        let using = SCHEDULERS
            .iter()
            .filter(move |scheduler| scheduler.uses(fact));
        using.map(|scheduler| scheduler.name)
    }

    /// The names of all policies, in the table's order.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SCHEDULERS.iter().map(|scheduler| scheduler.name)
    }
}

/// There is no scheduler of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownScheduler {
    /// The name that was asked for.
    pub name: String,
}

impl fmt::Display for UnknownScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown scheduler {:?}, expected one of", self.name)?;
        for (i, name) in Scheduler::names().enumerate() {
            write!(f, "{} {name}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownScheduler {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_are_found_and_agree_with_their_policies() {
        let params = Params::default();
        for row in SCHEDULERS {
            let found = Scheduler::from_name(&row.name.to_ascii_uppercase()).unwrap();
            assert_eq!(found.name, row.name);
            assert_eq!((found.build)(&params).name(), row.name);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = Scheduler::from_name("cfs").unwrap_err();
        let text = error.to_string();
        let expected = "unknown scheduler \"cfs\", expected one of fifo, rr, edf, ";
        assert!(text.starts_with(expected), "{text}");
        assert!(Scheduler::names().all(|name| text.contains(name)), "{text}");
    }

    #[test]
    fn numbers_are_bounded_one_by_one() {
        assert!(Params::default().out_of_bounds().is_none());
        for param in PARAMS {
            for (value, fits) in [
                (param.min, true),
                (param.max, true),
                (param.max + 1, false),
                (param.min.wrapping_sub(1), false),
            ] {
                let mut params = Params::default();
                (param.set)(&mut params, value);
                // What does not fit the type at all has become another number.
                let kept = (param.value)(&params) == value;
                let out = params.out_of_bounds().map(|out| out.name);
                assert_eq!(out, (kept && !fits).then_some(param.name), "{value}");
            }
        }
    }
}
