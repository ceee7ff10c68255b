//! The run queue of the policies that order tasks by a number fixed at arrival (a deadline, a priority, a size): lowest
//! rank first, ties in the order of arrival.
//!
//! A task keeps its place while it blocks, wakes or is interrupted. One that yields goes behind all of its rank who are
//! there, and before those of its rank who come later, so that nobody starves by being polite.

use alloc::vec::Vec;

use crate::heap::SlotHeap;
use crate::policy::{Event, Task, TaskId};

/// See the module's text.
#[derive(Debug, Default)]
pub struct Ranked {
    ready: SlotHeap<Place>,
    places: Places,
}

/// A place in the order; the fields compare from the first to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// What the policy orders by, the lowest first.
    pub rank: u64,
    /// The task's arrival; if it yielded, the latest arrival at that time.
    pub seq: u64,
    /// 0, or which yield it was.
    turn: u64,
}

/// Where each task stands whenever it is ready, for policies that keep more than one queue.
#[derive(Debug, Default)]
pub struct Places {
    by_slot: Vec<Place>,
    /// The latest arrival seen.
    seq_last: u64,
    yields: u64,
}

impl Places {
    /// Gives a task that arrives its place.
    pub fn arrive(&mut self, task: &Task, rank: u64) -> Place {
        self.seq_last = self.seq_last.max(task.seq);
        let slot = task.id.index();
        if slot >= self.by_slot.len() {
            self.by_slot.resize(slot + 1, Place::default());
        }
        self.by_slot[slot] = Place {
            rank,
            seq: task.seq,
            turn: 0,
        };
        self.by_slot[slot]
    }

    /// Where a living task stands.
    #[must_use]
    pub fn of(&self, task: TaskId) -> Place {
        self.by_slot[task.index()]
    }

    /// Puts a task behind all of its rank.
    pub fn step_back(&mut self, task: TaskId) -> Place {
        self.yields += 1;
        let place = &mut self.by_slot[task.index()];
        place.seq = self.seq_last;
        place.turn = self.yields;
        *place
    }

    /// Changes the rank of a task, which is in no queue.
    pub fn set_rank(&mut self, task: TaskId, rank: u64) {
        self.by_slot[task.index()].rank = rank;
    }
}

impl Ranked {
    /// Takes note of an event; `rank` gives the rank of a task that arrives.
    pub fn observe(&mut self, event: &Event, rank: impl FnOnce(&Task) -> u64) {
        match *event {
            Event::Arrived(task) => {
                let place = self.places.arrive(&task, rank(&task));
                self.ready.push(task.id, place);
            }
            Event::Woken(task) | Event::Preempted { task, .. } => {
                self.ready.push(task, self.places.of(task));
            }
            Event::Yielded { task, .. } => {
                let place = self.places.step_back(task);
                self.ready.push(task, place);
            }
            Event::Blocked { .. } => {}
            Event::Finished { task, .. } => {
                self.ready.remove(task);
            }
        }
    }

    /// Changes the rank of a task that is not ready: before the event that makes it so.
    pub fn set_rank(&mut self, task: TaskId, rank: u64) {
        self.places.set_rank(task, rank);
    }

    /// The first task.
    #[must_use]
    pub fn peek(&self) -> Option<(TaskId, Place)> {
        self.ready.peek()
    }

    /// Takes out the first task.
    pub fn pop(&mut self) -> Option<(TaskId, Place)> {
        self.ready.pop()
    }

    /// Takes out a task, wherever it is; `None` if it is not ready.
    pub fn remove(&mut self, task: TaskId) -> Option<Place> {
        self.ready.remove(task)
    }

    /// The number of ready tasks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ready.len()
    }

    /// Whether nobody is ready.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Levels of the heap passed so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.ready.steps()
    }
}
