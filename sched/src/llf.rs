//! Least laxity first: of all ready tasks the one runs that can least afford to wait.
//!
//! Mok, *Fundamental Design Problems of Distributed Systems for the Hard-Real-Time Environment* (MIT 1983). Laxity is the
//! time to the deadline minus what is left to execute. It is optimal on one worker, as EDF is, and on several it sees
//! what EDF does not: that a long request must begin long before its deadline.
//!
//! While a task waits its laxity shrinks, but the moment at which it must begin at the latest, deadline minus rest,
//! stays. So the queue is ordered by that moment, and only the running task's moves on. When the moments of two tasks
//! are equal, the pure rule switches between them without end (thrashing, see Oh & Yang, "A Modified Least-Laxity-First
//! Scheduling Algorithm for Real-Time Tasks", RTCSA 1998). Two things bound this here: the one who runs keeps the
//! processor until another one's latest beginning is earlier by more than the hysteresis, and is left in peace for a
//! quantum at least. The timer is armed for the moment when the first of those who wait is to take over; where a shell
//! times the quantum only, the one who runs is chosen again until then.
//!
//! What is left is the caller's estimate minus what has run, and not below 0: from there on, and for tasks of unknown
//! size, this is EDF. Tasks without a deadline come last. Ties go by arrival.

use alloc::vec::Vec;

use crate::policy::{Arrivals, Event, Nanos, Policy, Slice, Task, TaskId};
use crate::ranked::{Place, Ranked};
use crate::scheduler::Params;

/// See the module's text.
#[derive(Debug)]
pub struct Llf {
    /// Ranked by the latest beginning.
    ready: Ranked,
    /// By slot.
    demands: Vec<Demand>,
    /// Who ran last and was interrupted: it goes on unless another one is more pressed by the hysteresis.
    interrupted: Option<TaskId>,
    params: Params,
}

#[derive(Clone, Copy, Debug, Default)]
struct Demand {
    deadline_ns: Nanos,
    remaining_ns: Nanos,
}

impl Demand {
    fn latest_beginning_ns(self) -> Nanos {
        match self.deadline_ns {
            Nanos::MAX => Nanos::MAX,
            deadline_ns => deadline_ns.saturating_sub(self.remaining_ns),
        }
    }
}

/// The moment at which a task must begin at the latest; `u64::MAX` if it has no deadline.
#[must_use]
pub fn latest_beginning_ns(task: &Task) -> Nanos {
    let demand = Demand {
        deadline_ns: task.deadline_ns,
        remaining_ns: task.expected_ns,
    };
    demand.latest_beginning_ns()
}

impl Llf {
    /// The name in the table of schedulers.
    pub const NAME: &str = "llf";

    /// An empty queue.
    #[must_use]
    pub fn new(params: &Params) -> Self {
        Self {
            ready: Ranked::default(),
            demands: Vec::new(),
            interrupted: None,
            params: *params,
        }
    }

    fn arrived(&mut self, task: &Task) {
        let slot = task.id.index();
        if slot >= self.demands.len() {
            self.demands.resize(slot + 1, Demand::default());
        }
        self.demands[slot] = Demand {
            deadline_ns: task.deadline_ns,
            remaining_ns: task.expected_ns,
        };
    }

    fn ran(&mut self, task: TaskId, ran_ns: Nanos) {
        let demand = &mut self.demands[task.index()];
        demand.remaining_ns = demand.remaining_ns.saturating_sub(ran_ns);
        self.ready.set_rank(task, demand.latest_beginning_ns());
    }

    /// The first of the queue, or the one who was interrupted if the first is not more pressed by the hysteresis.
    fn pick(&mut self) -> Option<(TaskId, Place)> {
        let (first, place) = self.ready.peek()?;
        let Some(last) = self.interrupted.take().filter(|&last| last != first) else {
            return self.ready.pop();
        };
        let bar_ns = place.rank.saturating_add(self.params.hysteresis_ns);
        if self.demands[last.index()].latest_beginning_ns() > bar_ns {
            return self.ready.pop();
        }
        let place = self.ready.remove(last);
        Some((last, place.expect("the interrupted is ready")))
    }
}

impl Policy for Llf {
    fn observe(&mut self, _now: Nanos, event: &Event) {
        match *event {
            Event::Arrived(task) => self.arrived(&task),
            Event::Blocked { task, ran_ns }
            | Event::Yielded { task, ran_ns }
            | Event::Preempted { task, ran_ns } => self.ran(task, ran_ns),
            Event::Woken(_) => {}
            Event::Finished { task, .. } => {
                if self.interrupted == Some(task) {
                    self.interrupted = None;
                }
            }
        }
        if let Event::Preempted { task, .. } = *event {
            self.interrupted = Some(task);
        }
        self.ready.observe(event, latest_beginning_ns);
    }

    fn next(&mut self, _now: Nanos) -> Option<Slice> {
        let (task, place) = self.pick()?;
        if !self.params.preemption {
            return Some(Slice::to_completion(task));
        }
        let Params {
            quantum_ns,
            hysteresis_ns,
            ..
        } = self.params;
        let first = self
            .ready
            .peek()
            .map_or(Nanos::MAX, |(_, first)| first.rank);
        Some(Slice {
            task,
            quantum_ns: Some(quantum_ns),
            // Who has no deadline never gets more pressed than the one who runs.
            contended: first < Nanos::MAX,
            turn_ns: first
                .saturating_add(hysteresis_ns)
                .saturating_sub(place.rank)
                .max(quantum_ns),
            // The moment of the one who runs moves on: who comes may not be the more pressed yet, but be it before the
            // first of those who wait. Then the slice is too long.
            preempted_by: match first {
                Nanos::MAX => Arrivals::Anybody,
                first => Arrivals::RankBefore(first),
            },
        })
    }

    fn rank(&self, task: TaskId) -> Option<u64> {
        Some(self.demands[task.index()].latest_beginning_ns())
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
