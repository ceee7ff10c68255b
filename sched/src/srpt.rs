//! Shortest remaining processing time, on estimates: the task runs of which the least is expected to be left.
//!
//! Schrage & Miller, "The Queue M/G/1 with the Shortest Remaining Processing Time Discipline" (Operations Research 1966);
//! Schrage, "A Proof of the Optimality of the Shortest Remaining Processing Time Discipline" (1968): with sizes known,
//! no policy on one worker has fewer requests in it at any moment. What is left is the estimate minus what has run.
//!
//! Estimates are wrong, and an estimate that is too low is the dangerous error: its task would have nothing left for
//! ever, and keep everybody out (Dell'Amico, Carra & Michiardi, "PSBS: Practical Size-Based Scheduling", IEEE ToC 2016).
//! So a task may be late by one quantum. Then its estimate is taken to be twice what it has run, and it queues by that;
//! a runaway is thus interrupted at twice, four times, eight times its first overrun, and falls behind all shorter ones
//! each time. A task of unknown size begins with one quantum as its estimate, which makes this a policy of few levels
//! that is blind to sizes where no estimates are given.
//!
//! Ties go by arrival. Those who wait have more left than the one who runs, so the timer is armed for the moment when
//! that one is late, and for newcomers of which less is left. The long starve while enough shorter ones come.

use alloc::vec::Vec;

use crate::policy::{Arrivals, Event, Nanos, Policy, Slice, TaskId};
use crate::ranked::Ranked;
use crate::scheduler::Params;

/// See the module's text.
#[derive(Debug)]
pub struct Srpt {
    ready: Ranked,
    /// By slot.
    progress: Vec<Progress>,
    params: Params,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    estimate_ns: Nanos,
    ran_ns: Nanos,
}

impl Progress {
    fn remaining_ns(self) -> Nanos {
        self.estimate_ns.saturating_sub(self.ran_ns)
    }

    /// When it is late, in execution time from now.
    fn until_late_ns(self, grace_ns: Nanos) -> Nanos {
        self.estimate_ns
            .saturating_add(grace_ns)
            .saturating_sub(self.ran_ns)
    }
}

impl Srpt {
    /// The name in the table of schedulers.
    pub const NAME: &str = "srpt";

    /// An empty queue.
    #[must_use]
    pub fn new(params: &Params) -> Self {
        Self {
            ready: Ranked::default(),
            progress: Vec::new(),
            params: *params,
        }
    }

    fn arrived(&mut self, task: TaskId, expected_ns: Nanos) -> Nanos {
        let slot = task.index();
        if slot >= self.progress.len() {
            self.progress.resize(slot + 1, Progress::default());
        }
        let estimate_ns = match expected_ns {
            0 => self.params.quantum_ns,
            known_ns => known_ns,
        };
        self.progress[slot] = Progress {
            estimate_ns,
            ran_ns: 0,
        };
        estimate_ns
    }

    fn ran(&mut self, task: TaskId, ran_ns: Nanos) {
        let progress = &mut self.progress[task.index()];
        progress.ran_ns = progress.ran_ns.saturating_add(ran_ns);
        if progress.until_late_ns(self.params.quantum_ns) == 0 {
            progress.estimate_ns = progress.ran_ns.saturating_mul(2);
        }
        self.ready.set_rank(task, progress.remaining_ns());
    }
}

impl Policy for Srpt {
    fn observe(&mut self, _now: Nanos, event: &Event) {
        let mut rank = 0;
        match *event {
            Event::Arrived(task) => rank = self.arrived(task.id, task.expected_ns),
            Event::Blocked { task, ran_ns }
            | Event::Yielded { task, ran_ns }
            | Event::Preempted { task, ran_ns } => self.ran(task, ran_ns),
            Event::Woken(_) | Event::Finished { .. } => {}
        }
        self.ready.observe(event, |_| rank);
    }

    fn next(&mut self, _now: Nanos) -> Option<Slice> {
        let (task, place) = self.ready.pop()?;
        if !self.params.preemption {
            return Some(Slice::to_completion(task));
        }
        let quantum_ns = self.params.quantum_ns;
        Some(Slice {
            task,
            quantum_ns: Some(quantum_ns),
            contended: !self.ready.is_empty(),
            turn_ns: self.progress[task.index()]
                .until_late_ns(quantum_ns)
                .max(quantum_ns),
            preempted_by: self.bar(place.rank),
        })
    }

    fn rank(&self, task: TaskId) -> Option<u64> {
        Some(self.progress[task.index()].remaining_ns())
    }

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn waiting(&self) -> usize {
        self.ready.len()
    }

    fn steps(&self) -> u64 {
        self.ready.steps()
    }
}

impl Srpt {
    /// If nobody waits, the timer is armed for no lateness. Then anybody who comes is a reason to look again.
    fn bar(&self, remaining_ns: Nanos) -> Arrivals {
        if self.ready.is_empty() {
            Arrivals::Anybody
        } else {
            Arrivals::RankBefore(remaining_ns)
        }
    }
}
