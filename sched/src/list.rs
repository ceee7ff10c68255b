//! Queues of tasks from which any task can leave at once: doubly linked lists whose links are kept by slot.
//!
//! Every operation is a fixed number of steps. Links live in one table that grows with the highest slot seen and is
//! never searched, so there is no allocation per task and nothing stale is left behind by a removal. [`SlotList`] is
//! one of them, [`SlotLists`] are many that share the table, for policies with a list for each tenant or level.

use alloc::vec::Vec;

use crate::policy::TaskId;

/// The slot that is none. Also the reason why a worker has at most `u32::MAX` tasks.
const NONE: u32 = u32::MAX;

/// See the module's text. A task is in it at most once.
#[derive(Clone, Debug, Default)]
pub struct SlotList(SlotLists);

/// Many lists; see the module's text. A task is in at most one of them.
#[derive(Clone, Debug, Default)]
pub struct SlotLists {
    links: Vec<Link>,
    ends: Vec<Ends>,
    len: usize,
    steps: u64,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    behind: u32,
    linked: bool,
}

const UNLINKED: Link = Link {
    before: NONE,
    behind: NONE,
    linked: false,
};

#[derive(Clone, Copy, Debug)]
struct Ends {
    front: u32,
    back: u32,
}

const EMPTY: Ends = Ends {
    front: NONE,
    back: NONE,
};

impl SlotList {
    /// Puts a task at the back.
    ///
    /// # Panics
    ///
    /// If the task is in the list already.
    pub fn push_back(&mut self, task: TaskId) {
        self.0.push_back(0, task);
    }

    /// Takes the task at the front.
    pub fn pop_front(&mut self) -> Option<TaskId> {
        self.0.pop_front(0)
    }

    /// Takes a task out, wherever it is; `false` if it is not here.
    pub fn remove(&mut self, task: TaskId) -> bool {
        self.0.remove(0, task)
    }

    /// The number of tasks in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Links set so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.0.steps
    }
}

impl SlotLists {
    /// Puts a task at the back of a list; lists come to be when they are needed.
    ///
    /// # Panics
    ///
    /// If the task is in a list already.
    pub fn push_back(&mut self, list: usize, task: TaskId) {
        let slot = task.index();
        if slot >= self.links.len() {
            self.links.resize(slot + 1, UNLINKED);
        }
        if list >= self.ends.len() {
            self.ends.resize(list + 1, EMPTY);
        }
        assert!(!self.links[slot].linked, "{task:?} is queued twice");
        let ends = &mut self.ends[list];
        self.links[slot] = Link {
            before: ends.back,
            behind: NONE,
            linked: true,
        };
        match ends.back {
            NONE => ends.front = task.0,
            back => self.links[back as usize].behind = task.0,
        }
        ends.back = task.0;
        self.len += 1;
        self.steps += 1;
    }

    /// Takes the task at the front of a list.
    pub fn pop_front(&mut self, list: usize) -> Option<TaskId> {
        let front = self.ends.get(list)?.front;
        let front = (front != NONE).then_some(TaskId(front))?;
        self.remove(list, front);
        Some(front)
    }

    /// Takes a task out of its list, which the caller knows; `false` if it is in none.
    pub fn remove(&mut self, list: usize, task: TaskId) -> bool {
        let Some(link) = self.links.get_mut(task.index()) else {
            return false;
        };
        let Link {
            before,
            behind,
            linked,
        } = core::mem::replace(link, UNLINKED);
        if !linked {
            return false;
        }
        let ends = &mut self.ends[list];
        match before {
            NONE => ends.front = behind,
            before => self.links[before as usize].behind = behind,
        }
        match behind {
            NONE => ends.back = before,
            behind => self.links[behind as usize].before = before,
        }
        self.len -= 1;
        self.steps += 1;
        true
    }

    /// Moves all tasks of one list behind those of another, in their order.
    pub fn append(&mut self, from: usize, to: usize) {
        let top = from.max(to);
        if top >= self.ends.len() {
            self.ends.resize(top + 1, EMPTY);
        }
        let Ends { front, back } = core::mem::replace(&mut self.ends[from], EMPTY);
        if front == NONE {
            return;
        }
        self.steps += 1;
        let ends = &mut self.ends[to];
        match ends.back {
            NONE => ends.front = front,
            last => {
                self.links[last as usize].behind = front;
                self.links[front as usize].before = last;
            }
        }
        ends.back = back;
    }

    /// Whether a list is empty.
    #[must_use]
    pub fn list_is_empty(&self, list: usize) -> bool {
        self.ends.get(list).is_none_or(|ends| ends.front == NONE)
    }

    /// The number of tasks in all lists.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether all lists are empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Links set so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(mut list: SlotList) -> Vec<u32> {
        core::iter::from_fn(|| list.pop_front().map(|task| task.0)).collect()
    }

    /// Of 0..5 queued in order, removing any set in any order leaves the rest in order.
    #[test]
    fn any_may_leave_and_the_rest_keep_their_order() {
        for set in 0..32_u32 {
            for backwards in [false, true] {
                let mut list = SlotList::default();
                (0..5).for_each(|slot| list.push_back(TaskId(slot)));
                for i in 0..5 {
                    let slot = if backwards { 4 - i } else { i };
                    if set & (1 << slot) != 0 {
                        assert!(list.remove(TaskId(slot)));
                        assert!(!list.remove(TaskId(slot)));
                    }
                }
                let rest: Vec<u32> = (0..5).filter(|slot| set & (1 << slot) == 0).collect();
                assert_eq!(list.len(), rest.len());
                list.push_back(TaskId(9));
                assert_eq!(drained(list), [rest, [9].into()].concat());
            }
        }
    }

    /// All ways to cut 0..4 into two lists, one behind the other.
    #[test]
    fn a_list_goes_behind_another() {
        for set in 0..16_u32 {
            let mut lists = SlotLists::default();
            let home = |slot: u32| usize::from(set & (1 << slot) != 0);
            (0..4).for_each(|slot| lists.push_back(home(slot), TaskId(slot)));
            lists.append(1, 0);
            assert!(lists.list_is_empty(1) && lists.len() == 4);
            lists.append(7, 0);
            lists.push_back(0, TaskId(9));
            assert!(lists.remove(0, TaskId(3)));
            let drained = core::iter::from_fn(|| lists.pop_front(0).map(|task| task.0));
            let drained: Vec<u32> = drained.collect();
            let kept = (0..3).filter(|&slot| home(slot) == 0);
            let moved = (0..3).filter(|&slot| home(slot) == 1);
            assert_eq!(drained, kept.chain(moved).chain([9]).collect::<Vec<_>>());
        }
    }

    #[test]
    #[should_panic(expected = "queued twice")]
    fn nobody_is_queued_twice() {
        let mut list = SlotList::default();
        list.push_back(TaskId(3));
        list.push_back(TaskId(3));
    }
}
