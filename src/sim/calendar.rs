//! When each worker next has something to do: the minimum over all of them, kept as a tournament.
//!
//! A worker has one time, or none; changing it and finding the earliest are O(log workers). Among equals the worker of
//! the lowest index comes first, so that runs repeat.

use sched::Nanos;

/// The time of what does not happen, as of a worker that has nothing to do.
pub const NEVER: Nanos = Nanos::MAX;

/// See the module's text.
pub struct Calendar {
    /// A complete binary tree: the times of the workers are the leaves, each other node is the lesser of its children,
    /// and the root is at 1.
    times: Vec<Nanos>,
}

impl Calendar {
    /// Nobody has anything to do.
    pub fn new(workers: usize) -> Self {
        Self {
            times: vec![NEVER; 2 * workers.next_power_of_two()],
        }
    }

    /// Sets, or with `None` clears, the time of a worker.
    pub fn set(&mut self, worker: usize, time: Option<Nanos>) {
        let mut node = self.times.len() / 2 + worker;
        self.times[node] = time.unwrap_or(NEVER);
        while node > 1 {
            node /= 2;
            self.times[node] = self.times[2 * node].min(self.times[2 * node + 1]);
        }
    }

    /// The earliest time and whose it is.
    pub fn first(&self) -> Option<(Nanos, usize)> {
        let leaves = self.times.len() / 2;
        let time = self.times[1];
        if time == NEVER {
            return None;
        }
        let mut node = 1;
        while node < leaves {
            node = 2 * node + usize::from(self.times[2 * node] != time);
        }
        Some((time, node - leaves))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_ties_go_to_the_lowest() {
        for workers in [1, 2, 3, 5, 8] {
            let mut calendar = Calendar::new(workers);
            let mut plain = vec![None; workers];
            assert_eq!(calendar.first(), None);
            for i in 0..1_000_u64 {
                let worker = (i * 7 % workers as u64) as usize;
                let time = (i % 5 != 0).then_some(i * 13 % 11);
                calendar.set(worker, time);
                plain[worker] = time;
                let first = (0..workers).filter_map(|w| Some((plain[w]?, w))).min();
                assert_eq!(calendar.first(), first, "{plain:?}");
            }
        }
    }
}
