//! The requests that wait for something, and when each is woken.
//!
//! The first comes out first, and of those who are woken at the same moment the one who began to wait first, so that runs
//! repeat. As many entries as there are requests that wait.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use sched::{Nanos, TaskId};

use super::calendar::NEVER;
use crate::worker::TaskKey;

/// See the module's text.
#[derive(Default)]
pub struct Waiting {
    wakes: BinaryHeap<Reverse<Wake>>,
    /// How many ever waited.
    count: u64,
}

/// Somebody is woken. The fields compare from the first to the last; the second is never equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wake {
    pub at_ns: Nanos,
    order: u64,
    /// Since when it waits.
    pub since_ns: Nanos,
    pub worker: usize,
    /// What the running slice compares it by.
    pub rank: u64,
    slot: u32,
    generation: u32,
}

impl Wake {
    pub fn key(&self) -> TaskKey {
        TaskKey {
            id: TaskId(self.slot),
            generation: self.generation,
        }
    }
}

impl Waiting {
    /// This task of this worker waits between two times.
    pub fn push(
        &mut self,
        (since_ns, at_ns): (Nanos, Nanos),
        worker: usize,
        key: TaskKey,
        rank: u64,
    ) {
        self.wakes.push(Reverse(Wake {
            at_ns,
            since_ns,
            order: self.count,
            worker,
            rank,
            slot: key.id.0,
            generation: key.generation,
        }));
        self.count += 1;
    }

    /// When the first is woken; [`NEVER`] if nobody waits.
    pub fn first_ns(&self) -> Nanos {
        self.wakes.peek().map_or(NEVER, |Reverse(wake)| wake.at_ns)
    }

    /// The first.
    pub fn pop(&mut self) -> Option<Wake> {
        self.wakes.pop().map(|Reverse(wake)| wake)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_comes_first_and_ties_go_to_who_waits_longer() {
        let mut waiting = Waiting::default();
        for (slot, at_ns) in [30, 10, 30, 20, 10].into_iter().enumerate() {
            let key = TaskKey {
                id: TaskId(slot as u32),
                generation: 7,
            };
            // What else is known of them does not matter.
            waiting.push((0, at_ns), 9 - slot, key, u64::MAX - at_ns);
        }
        assert_eq!(waiting.first_ns(), 10);
        let order = std::iter::from_fn(|| waiting.pop());
        let order: Vec<_> = order.map(|wake| (wake.at_ns, wake.key().id.0)).collect();
        assert_eq!(order, [(10, 1), (10, 4), (20, 3), (30, 0), (30, 2)]);
        assert_eq!(waiting.first_ns(), NEVER);
    }
}
