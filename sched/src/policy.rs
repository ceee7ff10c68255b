//! The vocabulary that policies and workers share: tasks, what happens to them, and what a policy decides.
//!
//! A worker tells its policy every [`Event`] and asks it for the next [`Slice`]. Nothing here acts, and nothing here
//! keeps a task's state: the worker does, by the table in [`crate::state`].

use crate::tenant::Tenant;

/// Nanoseconds, since an epoch of the caller's choosing (the server's start, the simulation's zero) or as a length.
pub type Nanos = u64;

/// The slot of a task in its worker's table. Slots are reused, so an id names a task only while the task lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u32);

impl TaskId {
    /// The slot as an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a policy knows of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its slot in the worker's table.
    pub id: TaskId,
    /// Its place in the order of arrival at the server. Ties are broken by it, so that runs repeat.
    pub seq: u64,
    /// The tenant, as an index into the configuration.
    pub tenant: u16,
    /// The route, as an index into the configuration.
    pub route: u16,
    /// When the request arrived at the server.
    pub arrival_ns: Nanos,
    /// When it ought to be done, absolute. `u64::MAX`: it has no deadline.
    pub deadline_ns: Nanos,
    /// How long it is expected to execute. 0: unknown.
    pub expected_ns: Nanos,
}

/// All that can happen to a task on a worker. `ran_ns` is the length of the slice that ended.
///
/// A cancelled task is `Finished`, in whatever state it was; it ran for 0 ns if it was not running. A policy forgets a
/// finished task at once, since its slot may be taken by the very next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new task, ready to run.
    Arrived(Task),
    /// A blocked task is ready to run again.
    Woken(TaskId),
    /// The running task waits for something and gave up its processor.
    Blocked {
        /// The task that was running.
        task: TaskId,
        /// How long its slice lasted.
        ran_ns: Nanos,
    },
    /// The running task gave way of its own accord; it is ready.
    Yielded {
        /// The task that was running.
        task: TaskId,
        /// How long its slice lasted.
        ran_ns: Nanos,
    },
    /// The running task was interrupted; it is ready.
    Preempted {
        /// The task that was running.
        task: TaskId,
        /// How long its slice lasted.
        ran_ns: Nanos,
    },
    /// The task is over: returned, trapped or cancelled.
    Finished {
        /// The task that is over.
        task: TaskId,
        /// How long its slice lasted; 0 if it was not running.
        ran_ns: Nanos,
    },
}

/// Which later arrivals (or wakes) on this worker would take the processor from the running task. The worker's timer
/// is armed for those and for nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// None: the slice lasts as long as the task wants.
    Nobody,
    /// Every one.
    Anybody,
    /// Those whose deadline is earlier than this.
    DeadlineBefore(Nanos),
    /// Those whose rank ([`Scheduler::rank`](crate::Scheduler::rank), [`Policy::rank`]) is lower than this.
    RankBefore(u64),
}

/// What is looked at of a task that comes while another one runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// Its deadline, absolute; `u64::MAX` for none.
    pub deadline_ns: Nanos,
    /// Its rank by the worker's scheduler; 0 if it is not known.
    pub rank: u64,
}

impl Arrivals {
    /// Those that the bar of a slice lets pass; see [`Timing::bar`](crate::Timing::bar).
    #[must_use]
    pub const fn below(bar: u64) -> Self {
        match bar {
            0 => Self::Nobody,
            u64::MAX => Self::Anybody,
            bar => Self::RankBefore(bar),
        }
    }

    /// Those that remain once this task has come, which is to be beaten if it is one of them.
    #[must_use]
    pub fn after(self, newcomer: Newcomer) -> Self {
        match self {
            Self::Nobody => Self::Nobody,
            Self::Anybody => Self::RankBefore(newcomer.rank),
            Self::DeadlineBefore(limit_ns) => {
                Self::DeadlineBefore(limit_ns.min(newcomer.deadline_ns))
            }
            Self::RankBefore(limit) => Self::RankBefore(limit.min(newcomer.rank)),
        }
    }

    /// Whether this task would take the processor.
    #[must_use]
    pub const fn admit(self, newcomer: Newcomer) -> bool {
        match self {
            Self::Nobody => false,
            Self::Anybody => true,
            Self::DeadlineBefore(limit_ns) => newcomer.deadline_ns < limit_ns,
            Self::RankBefore(limit) => newcomer.rank < limit,
        }
    }
}

/// A decision: this task runs now, under these conditions.
#[must_use = "the policy takes the task for running from here on"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The task to run.
    pub task: TaskId,
    /// The time that the task is left in peace; after it, it may be interrupted. `None`: it runs to completion.
    pub quantum_ns: Option<Nanos>,
    /// Somebody waits already who would run if this task were interrupted: the timer is armed from the start.
    pub contended: bool,
    /// How long it takes, if `contended`, until those who wait would run; at least the quantum. Who can time a slice
    /// to one length only takes the quantum, and asks the policy more often than is needed.
    pub turn_ns: Nanos,
    /// Who may come later and take the processor.
    pub preempted_by: Arrivals,
}

impl Slice {
    /// The slice of a task that nobody interrupts.
    pub const fn to_completion(task: TaskId) -> Self {
        Self {
            task,
            quantum_ns: None,
            contended: false,
            turn_ns: Nanos::MAX,
            preempted_by: Arrivals::Nobody,
        }
    }

    /// When to interrupt the slice that starts at `started_ns`, as far as is known at its start. `None`: leave the
    /// timer alone.
    #[must_use]
    pub fn alarm_at_start(&self, started_ns: Nanos) -> Option<Nanos> {
        let quantum_ns = self.quantum_ns.filter(|_| self.contended)?;
        Some(started_ns.saturating_add(self.turn_ns.max(quantum_ns)))
    }

    /// When to interrupt the slice that started at `started_ns`, because this task came at `now`: at the end of the
    /// quantum, and at once if that is past. `None`: the newcomer changes nothing.
    #[must_use]
    pub fn alarm_on_arrival(
        &self,
        started_ns: Nanos,
        now: Nanos,
        newcomer: Newcomer,
    ) -> Option<Nanos> {
        let quantum_ns = self
            .quantum_ns
            .filter(|_| self.preempted_by.admit(newcomer))?;
        Some(now.max(started_ns.saturating_add(quantum_ns)))
    }
}

/// A scheduling policy of one worker: told what happens, asked who is next.
///
/// The caller keeps to this contract, and an implementation may panic where it is broken: events are told in the order
/// in which they happen and are legal by [`crate::state`]; `next` is called only while no task runs, and from then on
/// the task it returns is the running one. Every operation takes constant or logarithmic time in the number of tasks.
/// Tables grow with the highest slot seen and never shrink, so a warm worker does not allocate.
pub trait Policy {
    /// Takes note of what happened at `now`.
    fn observe(&mut self, now: Nanos, event: &Event);

    /// Takes the next task to run out of the run queue. `None` only if nobody is ready.
    fn next(&mut self, now: Nanos) -> Option<Slice>;

    /// The rank of a living task that does not run, where it is not what it was at its arrival: what a task that is
    /// woken is compared by.
    fn rank(&self, _task: TaskId) -> Option<u64> {
        None
    }

    /// The name by which the policy is chosen.
    fn name(&self) -> &'static str;

    /// The number of ready tasks, without the running one.
    fn waiting(&self) -> usize;

    /// How many steps its run queues have taken so far, one for each link set and each level of a heap passed: what
    /// the tests bound in place of time.
    fn steps(&self) -> u64;

    /// The tenants as of now, by the index that tasks carry: told before the first event, and after every reload.
    /// Tenants that are not told of have [`Tenant::default`]. A policy that knows no tenants does nothing.
    ///
    /// # Panics
    ///
    /// If there are reservations that [`crate::demand::check`] refuses; who reads the configuration asks it first.
    fn set_tenants(&mut self, _now: Nanos, _tenants: &[Tenant]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timer_is_armed_only_for_those_who_would_run() {
        use Arrivals::{Anybody, DeadlineBefore, Nobody, RankBefore};
        // quantum, contended, who, then for a start at 100 and an arrival at `now` with a deadline: both alarms
        let rows = [
            (None, false, Nobody, 105, 0, None, None),
            (None, true, Anybody, 105, 0, None, None),
            (Some(10), false, Nobody, 105, 0, None, None),
            (Some(10), true, Nobody, 105, 0, Some(110), None),
            (Some(10), false, Anybody, 105, u64::MAX, None, Some(110)),
            (Some(10), true, Anybody, 150, 0, Some(110), Some(150)),
            (Some(10), false, DeadlineBefore(7), 105, 6, None, Some(110)),
            (Some(10), false, DeadlineBefore(7), 105, 7, None, None),
            (Some(10), true, RankBefore(7), 105, 6, Some(110), Some(110)),
            (Some(10), false, RankBefore(7), 105, 7, None, None),
            (Some(0), true, Anybody, 105, 7, Some(100), Some(105)),
            (
                Some(u64::MAX),
                true,
                Anybody,
                105,
                7,
                Some(u64::MAX),
                Some(u64::MAX),
            ),
        ];
        for (quantum_ns, contended, preempted_by, now, key, at_start, on_arrival) in rows {
            let slice = Slice {
                task: TaskId(0),
                quantum_ns,
                contended,
                turn_ns: 0,
                preempted_by,
            };
            // What the other kind of arrival looks at is the opposite.
            let newcomer = match preempted_by {
                RankBefore(_) => Newcomer {
                    deadline_ns: u64::MAX - key,
                    rank: key,
                },
                _ => Newcomer {
                    deadline_ns: key,
                    rank: u64::MAX - key,
                },
            };
            assert_eq!(slice.alarm_at_start(100), at_start, "{slice:?}");
            let alarm = slice.alarm_on_arrival(100, now, newcomer);
            assert_eq!(alarm, on_arrival, "{slice:?} at {now}");
        }
    }

    #[test]
    fn who_came_is_to_be_beaten_by_who_comes_next() {
        use Arrivals::{Anybody, DeadlineBefore, Nobody, RankBefore};
        let newcomer = Newcomer {
            deadline_ns: 70,
            rank: 7,
        };
        let rows = [
            (Nobody, Nobody),
            (Anybody, RankBefore(7)),
            (DeadlineBefore(90), DeadlineBefore(70)),
            (DeadlineBefore(50), DeadlineBefore(50)),
            (RankBefore(9), RankBefore(7)),
            (RankBefore(5), RankBefore(5)),
        ];
        for (before, expected) in rows {
            assert_eq!(before.after(newcomer), expected, "{before:?}");
        }
    }

    #[test]
    fn those_who_wait_have_a_turn_but_not_before_the_quantum() {
        for (turn_ns, alarm_ns) in [(0, 110), (10, 110), (30, 130), (u64::MAX, u64::MAX)] {
            let slice = Slice {
                task: TaskId(0),
                quantum_ns: Some(10),
                contended: true,
                turn_ns,
                preempted_by: Arrivals::Anybody,
            };
            let newcomer = Newcomer {
                deadline_ns: 0,
                rank: 0,
            };
            assert_eq!(slice.alarm_at_start(100), Some(alarm_ns));
            assert_eq!(slice.alarm_on_arrival(100, 105, newcomer), Some(110));
        }
    }
}
