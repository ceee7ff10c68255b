//! The worker loop as a pure state machine: the table of tasks, their states, and the policy that chooses among them.
//!
//! The server's threads drive it with the machine's clock and sandboxes, the simulator with virtual time and made-up
//! work; `J` is what each of them keeps of a task. Between two slices the driver tells what has come ([`Worker::arrive`],
//! [`Worker::wake`], [`Worker::cancel`]) and asks what to run ([`Worker::turn`]); when the slice is over it says how
//! ([`Worker::ended`]):
//!
//! ```text
//!   loop {
//!       take in arrivals, wakes, cancellations ─► arrive, wake, cancel
//!       turn ─► Idle: sleep until something comes
//!            └► Run: arm the timer if slice.alarm_at_start says so, run the task
//!                    take in what came meanwhile ─► arrive, wake, cancel
//!                    ended
//!   }
//! ```
//!
//! What came during a slice is taken in before the slice's end is told, so that it queues before the task that was
//! interrupted. Nothing here runs a guest, reads a clock, arms a timer or touches a ring.

use sched::admission::Request;
use sched::state::{Cause, State, step};
use sched::{Event, Nanos, Policy, Scheduler, Slice, Task, TaskId, Tenant};

/// Names one task for ever: its slot, and how many tasks had the slot before. A key outlives its task harmlessly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TaskKey {
    /// The slot.
    pub id: TaskId,
    /// Which task in that slot.
    pub generation: u32,
}

/// A task that comes to a worker: what a policy may know of it, but for the slot. See [`Task`] for the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The order of arrival at the server.
    pub seq: u64,
    /// Index of the tenant.
    pub tenant: u16,
    /// Index of the route.
    pub route: u16,
    /// When it arrived at the server.
    pub arrival_ns: Nanos,
    /// When it ought to be done, absolute; `u64::MAX` for never.
    pub deadline_ns: Nanos,
    /// How long it is expected to execute; 0 for unknown.
    pub expected_ns: Nanos,
}

/// What the worker does next.
#[must_use = "a task that is to run counts as running"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Run this task, then tell [`Worker::ended`].
    Run {
        /// Who, and how long.
        slice: Slice,
        /// It has not run before: it needs a sandbox.
        first: bool,
    },
    /// Nobody is ready.
    Idle,
}

/// How a slice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceEnd {
    /// The task returned or trapped.
    Finished,
    /// The timer interrupted it.
    Preempted,
    /// It gave way.
    Yielded,
    /// It waits for a wake.
    Blocked,
}

/// A task that is over; its slot is free again.
#[must_use = "somebody waits for the answer"]
#[derive(Debug, PartialEq, Eq)]
pub struct Ended<J> {
    /// Who it was.
    pub key: TaskKey,
    /// What the driver had kept of it.
    pub job: J,
    /// It has run: there is a sandbox to drop.
    pub started: bool,
    /// It was cancelled. One that was cancelled during its last slice is so even if it finished in it.
    pub cancelled: bool,
}

/// A worker's tasks and its policy; see the module's text.
pub struct Worker<J> {
    policy: Box<dyn Policy + Send>,
    slots: Vec<Slot<J>>,
    /// The slots that are free, the one to be taken first last: the warmest.
    free: Vec<TaskId>,
    tasks_max: u32,
    running: Option<Running>,
}

struct Slot<J> {
    generation: u32,
    state: State,
    started: bool,
    /// A wake came while it was running.
    woken: bool,
    /// A cancellation came while it was running.
    cancelled: bool,
    /// `Some` unless the state is `Ended`.
    job: Option<J>,
}

#[derive(Clone, Copy)]
struct Running {
    task: TaskId,
    since_ns: Nanos,
}

impl Arrival {
    /// What it is compared by where somebody runs; see [`Scheduler::rank`].
    #[must_use]
    pub fn rank(&self, scheduler: &Scheduler) -> u64 {
        // A rank does not depend on the slot.
        (scheduler.rank)(&self.task(TaskId(0)))
    }

    /// What admission may know of it.
    #[must_use]
    pub fn request(&self) -> Request {
        Request {
            tenant: self.tenant,
            expected_ns: self.expected_ns,
            deadline_ns: self.deadline_ns,
        }
    }

    fn task(&self, id: TaskId) -> Task {
        Task {
            id,
            seq: self.seq,
            tenant: self.tenant,
            route: self.route,
            arrival_ns: self.arrival_ns,
            deadline_ns: self.deadline_ns,
            expected_ns: self.expected_ns,
        }
    }
}

impl<J> Worker<J> {
    /// A worker without tasks, which takes at most `tasks_max` at a time. The table grows to its highest need.
    ///
    /// # Panics
    ///
    /// If `tasks_max` is `u32::MAX`, which is no slot.
    #[must_use]
    pub fn new(policy: Box<dyn Policy + Send>, tasks_max: u32) -> Self {
        assert!(tasks_max < u32::MAX, "slots are numbered below u32::MAX");
        Self {
            policy,
            slots: Vec::new(),
            free: Vec::new(),
            tasks_max,
            running: None,
        }
    }

    /// Tells the policy of the tenants, by the index that arrivals carry; see [`Policy::set_tenants`].
    pub fn set_tenants(&mut self, now: Nanos, tenants: &[Tenant]) {
        self.policy.set_tenants(now, tenants);
    }

    /// How many more tasks it can take.
    #[must_use]
    pub fn free_slots(&self) -> u32 {
        self.tasks_max - self.outstanding()
    }

    /// How many tasks it has, in whatever state.
    #[must_use]
    pub fn outstanding(&self) -> u32 {
        (self.slots.len() - self.free.len()) as u32
    }

    /// How many of them are ready to run, without the running one.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.policy.waiting()
    }

    /// The task whose slice has not ended yet.
    #[must_use]
    pub fn running(&self) -> Option<TaskId> {
        self.running.map(|running| running.task)
    }

    /// The rank by which a living task that does not run is compared, if it isn't that of its arrival; see
    /// [`Policy::rank`].
    #[must_use]
    pub fn rank(&self, id: TaskId) -> Option<u64> {
        self.policy.rank(id)
    }

    /// Whether a task waits for a wake.
    #[must_use]
    pub fn is_blocked(&self, id: TaskId) -> bool {
        self.slots[id.index()].state == State::Blocked
    }

    /// The key of a living task.
    #[must_use]
    pub fn key(&self, id: TaskId) -> TaskKey {
        TaskKey {
            id,
            generation: self.slots[id.index()].generation,
        }
    }

    /// What the driver keeps of a living task.
    ///
    /// # Panics
    ///
    /// If the slot is free.
    pub fn job_mut(&mut self, id: TaskId) -> &mut J {
        self.slots[id.index()]
            .job
            .as_mut()
            .expect("a living task has a job")
    }

    /// Takes a task in.
    ///
    /// # Errors
    ///
    /// The job is given back if the table is full.
    pub fn arrive(&mut self, now: Nanos, arrival: Arrival, job: J) -> Result<TaskKey, J> {
        if self.free_slots() == 0 {
            return Err(job);
        }
        let id = self.free.pop().unwrap_or_else(|| self.grow());
        let slot = &mut self.slots[id.index()];
        debug_assert_eq!(slot.state, State::Ended);
        slot.state = State::Queued;
        slot.started = false;
        slot.woken = false;
        slot.cancelled = false;
        slot.job = Some(job);
        let generation = slot.generation;
        let task = arrival.task(id);
        self.policy.observe(now, &Event::Arrived(task));
        Ok(TaskKey { id, generation })
    }

    /// Wakes a task; `true` if it was blocked and is ready now.
    ///
    /// A wake that finds its task running is kept until the slice ends: if it ends by blocking, the task is ready at
    /// once. One that finds it ready or queued is dropped, as the task will look anyway. A stale key is ignored.
    pub fn wake(&mut self, now: Nanos, key: TaskKey) -> bool {
        let Some(slot) = self.living(key) else {
            return false;
        };
        match slot.state {
            State::Blocked => {
                self.transit(key.id, Cause::Woken);
                self.policy.observe(now, &Event::Woken(key.id));
                true
            }
            State::Running => {
                slot.woken = true;
                false
            }
            State::Queued | State::Ready | State::Ended => false,
        }
    }

    /// Ends a task whose answer nobody wants. A running one ends when its slice does, by [`Worker::ended`], and gives
    /// `None` here, as does a stale key.
    pub fn cancel(&mut self, now: Nanos, key: TaskKey) -> Option<Ended<J>> {
        let slot = self.living(key)?;
        slot.cancelled = true;
        if slot.state == State::Running {
            return None;
        }
        Some(self.end(now, key.id, Cause::Cancelled, 0))
    }

    /// Chooses what runs now.
    ///
    /// # Panics
    ///
    /// If a slice has not ended.
    pub fn turn(&mut self, now: Nanos) -> Turn {
        assert!(self.running.is_none(), "a slice has not ended");
        let Some(slice) = self.policy.next(now) else {
            return Turn::Idle;
        };
        self.transit(slice.task, Cause::Picked);
        let slot = &mut self.slots[slice.task.index()];
        slot.woken = false;
        let first = !std::mem::replace(&mut slot.started, true);
        self.running = Some(Running {
            task: slice.task,
            since_ns: now,
        });
        Turn::Run { slice, first }
    }

    /// The slice of the running task is over. Gives the task back if it is too, because it finished or because it was
    /// cancelled meanwhile.
    ///
    /// # Panics
    ///
    /// If no task runs.
    pub fn ended(&mut self, now: Nanos, end: SliceEnd) -> Option<Ended<J>> {
        let Running { task, since_ns } = self.running.take().expect("a slice has begun");
        let ran_ns = now.saturating_sub(since_ns);
        let slot = &self.slots[task.index()];
        let (cause, event) = match end {
            SliceEnd::Finished => return Some(self.end(now, task, Cause::Finished, ran_ns)),
            _ if slot.cancelled => return Some(self.end(now, task, Cause::Cancelled, ran_ns)),
            SliceEnd::Preempted => (Cause::Preempted, Event::Preempted { task, ran_ns }),
            SliceEnd::Yielded => (Cause::Yielded, Event::Yielded { task, ran_ns }),
            SliceEnd::Blocked => (Cause::Blocked, Event::Blocked { task, ran_ns }),
        };
        let woken = slot.woken;
        self.transit(task, cause);
        self.policy.observe(now, &event);
        if woken {
            // Does nothing unless it has blocked.
            self.wake(now, self.key(task));
        }
        None
    }

    fn end(&mut self, now: Nanos, task: TaskId, cause: Cause, ran_ns: Nanos) -> Ended<J> {
        self.transit(task, cause);
        self.policy.observe(now, &Event::Finished { task, ran_ns });
        let key = self.key(task);
        let slot = &mut self.slots[task.index()];
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(task);
        Ended {
            key,
            job: slot.job.take().expect("a living task has a job"),
            started: slot.started,
            cancelled: slot.cancelled,
        }
    }

    /// What the driver keeps of each living task.
    pub fn jobs(&self) -> impl Iterator<Item = &J> {
        self.slots.iter().filter_map(|slot| slot.job.as_ref())
    }

    fn transit(&mut self, task: TaskId, cause: Cause) {
        let state = &mut self.slots[task.index()].state;
        let Some(next) = step(*state, cause) else {
            panic!("{task:?} cannot be {cause:?} while {state:?}");
        };
        *state = next;
    }

    fn living(&mut self, key: TaskKey) -> Option<&mut Slot<J>> {
        let slot = self.slots.get_mut(key.id.index())?;
        (slot.generation == key.generation && slot.state != State::Ended).then_some(slot)
    }

    fn grow(&mut self) -> TaskId {
        let id = TaskId(self.slots.len() as u32);
        self.slots.push(Slot {
            generation: 0,
            state: State::Ended,
            started: false,
            woken: false,
            cancelled: false,
            job: None,
        });
        id
    }
}

#[cfg(test)]
mod tests;
