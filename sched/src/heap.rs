//! A priority queue of tasks from which any task can leave: a binary heap that knows where each slot stands.
//!
//! Putting in, taking the least and removing any are each O(log n), with nothing stale left behind (Cormen et al.,
//! *Introduction to Algorithms*, §6.5, with handles). The tables grow with the highest slot seen and never shrink.
//!
//! [`SlotHeap`] is one of them, [`SlotHeaps`] are many that share the table of positions, for the policies that keep
//! one for each tenant: a task has one tenant, so it is in one of them at most.

use alloc::vec::Vec;

use crate::policy::TaskId;

/// The position of a task that is not in the heap.
const NOWHERE: u32 = u32::MAX;

/// See the module's text. A task is in it at most once; the least key comes first.
#[derive(Clone, Debug)]
pub struct SlotHeap<K> {
    entries: Vec<(K, TaskId)>,
    positions: Positions,
}

/// Many heaps; see the module's text. A task is in at most one of them.
#[derive(Clone, Debug)]
pub struct SlotHeaps<K> {
    heaps: Vec<Vec<(K, TaskId)>>,
    positions: Positions,
    len: usize,
}

#[derive(Clone, Debug, Default)]
struct Positions {
    /// By slot: the index into the entries, or `NOWHERE`.
    by_slot: Vec<u32>,
    /// Levels passed so far.
    steps: u64,
}

/// A heap at work: `entries[i] <= entries[2i + 1]` and `entries[i] <= entries[2i + 2]`, by key.
struct Sift<'a, K> {
    entries: &'a mut Vec<(K, TaskId)>,
    positions: &'a mut Positions,
}

impl<K> Default for SlotHeap<K> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            positions: Positions::default(),
        }
    }
}

impl<K> Default for SlotHeaps<K> {
    fn default() -> Self {
        Self {
            heaps: Vec::new(),
            positions: Positions::default(),
            len: 0,
        }
    }
}

impl<K: Ord + Copy> SlotHeap<K> {
    /// Puts a task in.
    ///
    /// # Panics
    ///
    /// If the task is in the heap already.
    pub fn push(&mut self, task: TaskId, key: K) {
        self.sift().push(task, key);
    }

    /// The task with the least key.
    #[must_use]
    pub fn peek(&self) -> Option<(TaskId, K)> {
        self.entries.first().map(|&(key, task)| (task, key))
    }

    /// Takes the task with the least key.
    pub fn pop(&mut self) -> Option<(TaskId, K)> {
        (!self.entries.is_empty()).then(|| self.sift().take(0))
    }

    /// Takes a task out, wherever it is; `None` if it is not here.
    pub fn remove(&mut self, task: TaskId) -> Option<K> {
        let position = self.positions.of(task)?;
        Some(self.sift().take(position).1)
    }

    /// The number of tasks in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Levels passed so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.positions.steps
    }

    fn sift(&mut self) -> Sift<'_, K> {
        Sift {
            entries: &mut self.entries,
            positions: &mut self.positions,
        }
    }
}

impl<K: Ord + Copy> SlotHeaps<K> {
    /// Puts a task into a heap; heaps come to be when they are needed.
    ///
    /// # Panics
    ///
    /// If the task is in a heap already.
    pub fn push(&mut self, heap: usize, task: TaskId, key: K) {
        if heap >= self.heaps.len() {
            self.heaps.resize_with(heap + 1, Vec::new);
        }
        self.sift(heap).push(task, key);
        self.len += 1;
    }

    /// The task with the least key of a heap.
    #[must_use]
    pub fn peek(&self, heap: usize) -> Option<(TaskId, K)> {
        let first = self.heaps.get(heap)?.first();
        first.map(|&(key, task)| (task, key))
    }

    /// Takes the task with the least key of a heap.
    pub fn pop(&mut self, heap: usize) -> Option<(TaskId, K)> {
        self.peek(heap)?;
        self.len -= 1;
        Some(self.sift(heap).take(0))
    }

    /// Takes a task out of its heap, which the caller knows; `None` if it is in none.
    pub fn remove(&mut self, heap: usize, task: TaskId) -> Option<K> {
        let position = self.positions.of(task)?;
        assert_eq!(self.heaps[heap][position].1, task, "it is in another heap");
        self.len -= 1;
        Some(self.sift(heap).take(position).1)
    }

    /// The number of tasks in all heaps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether all are empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Levels passed so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.positions.steps
    }

    fn sift(&mut self, heap: usize) -> Sift<'_, K> {
        Sift {
            entries: &mut self.heaps[heap],
            positions: &mut self.positions,
        }
    }
}

impl Positions {
    fn of(&self, task: TaskId) -> Option<usize> {
        let position = *self.by_slot.get(task.index())?;
        (position != NOWHERE).then_some(position as usize)
    }
}

impl<K: Ord + Copy> Sift<'_, K> {
    fn push(&mut self, task: TaskId, key: K) {
        let slot = task.index();
        let by_slot = &mut self.positions.by_slot;
        if slot >= by_slot.len() {
            by_slot.resize(slot + 1, NOWHERE);
        }
        assert_eq!(by_slot[slot], NOWHERE, "{task:?} is queued twice");
        self.entries.push((key, task));
        self.up(self.entries.len() - 1);
    }

    /// Takes out the entry at `at`; the last one fills its place and finds its own from there.
    fn take(&mut self, at: usize) -> (TaskId, K) {
        let (key, task) = self.entries.swap_remove(at);
        self.positions.by_slot[task.index()] = NOWHERE;
        if let Some(&(moved, _)) = self.entries.get(at) {
            if moved < key {
                self.up(at);
            } else {
                self.down(at);
            }
        }
        (task, key)
    }

    /// Moves the entry at `at` towards the root until its parent is not greater.
    fn up(&mut self, mut at: usize) {
        let entry = self.entries[at];
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.entries[parent].0 <= entry.0 {
                break;
            }
            self.place(at, self.entries[parent]);
            at = parent;
        }
        self.place(at, entry);
    }

    /// Moves the entry at `at` away from the root until no child is less.
    fn down(&mut self, mut at: usize) {
        let entry = self.entries[at];
        loop {
            let mut child = 2 * at + 1;
            if child >= self.entries.len() {
                break;
            }
            if child + 1 < self.entries.len() && self.entries[child + 1].0 < self.entries[child].0 {
                child += 1;
            }
            if entry.0 <= self.entries[child].0 {
                break;
            }
            self.place(at, self.entries[child]);
            at = child;
        }
        self.place(at, entry);
    }

    fn place(&mut self, at: usize, entry: (K, TaskId)) {
        self.entries[at] = entry;
        self.positions.by_slot[entry.1.index()] = at as u32;
        self.positions.steps += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;
    use core::cmp::Ordering;

    /// A key that counts how often it is compared.
    #[derive(Clone, Copy)]
    struct Counted<'a>(u64, &'a Cell<u32>);

    impl Ord for Counted<'_> {
        fn cmp(&self, other: &Self) -> Ordering {
            self.1.set(self.1.get() + 1);
            self.0.cmp(&other.0)
        }
    }
    impl PartialOrd for Counted<'_> {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }
    impl PartialEq for Counted<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other).is_eq()
        }
    }
    impl Eq for Counted<'_> {}

    /// A permutation of 0..n that looks random: multiplication by an odd number, modulo a power of two.
    fn scrambled(i: u32, n: u32) -> u32 {
        i.wrapping_mul(2_654_435_761) % n
    }

    #[test]
    fn every_operation_is_logarithmic() {
        const N: u32 = 1 << 14;
        let comparisons = Cell::new(0);
        let mut heap = SlotHeap::default();
        let mut worst = 0;
        let mut counting = |work: &mut dyn FnMut()| {
            comparisons.set(0);
            work();
            worst = worst.max(comparisons.get());
        };
        for i in 0..N {
            let key = Counted(u64::from(scrambled(i, N)), &comparisons);
            counting(&mut || heap.push(TaskId(i), key));
        }
        for i in 0..N / 2 {
            let slot = scrambled(i, N);
            counting(&mut || {
                assert_eq!(
                    heap.remove(TaskId(slot)).unwrap().0,
                    u64::from(scrambled(slot, N))
                )
            });
        }
        let mut last = 0;
        for _ in N / 2..N {
            counting(&mut || {
                let (task, key) = heap.pop().unwrap();
                assert_eq!(key.0, u64::from(scrambled(task.0, N)));
                assert!(last <= key.0);
                last = key.0;
            });
        }
        assert!(heap.is_empty());
        assert!((14..=2 * 14 + 2).contains(&worst), "{worst} comparisons");
    }

    /// Many heaps side by side give what as many heaps apart give.
    #[test]
    fn heaps_that_share_their_positions_do_not_disturb_each_other() {
        const HEAPS: u32 = 5;
        const N: u32 = 1 << 10;
        let mut together = SlotHeaps::default();
        let mut apart: [SlotHeap<u32>; HEAPS as usize] = Default::default();
        for i in 0..N {
            let heap = (scrambled(i, N) % HEAPS) as usize;
            together.push(heap, TaskId(i), scrambled(i, 64));
            apart[heap].push(TaskId(i), scrambled(i, 64));
        }
        for i in (0..N).step_by(3) {
            let heap = (scrambled(i, N) % HEAPS) as usize;
            let key = apart[heap].remove(TaskId(i));
            assert_eq!(together.remove(heap, TaskId(i)), key);
            assert_eq!(together.remove(heap, TaskId(i)), None);
        }
        for (heap, alone) in apart.iter_mut().enumerate() {
            while let Some(expected) = alone.pop() {
                assert_eq!(together.peek(heap), Some(expected));
                assert_eq!(together.pop(heap), Some(expected));
            }
            assert_eq!(together.pop(heap), None);
        }
        assert!(together.is_empty());
        assert_eq!(together.peek(99), None);
    }

    #[test]
    fn who_is_not_here_cannot_be_removed() {
        let mut heap = SlotHeap::default();
        assert_eq!(heap.remove(TaskId(0)), None);
        heap.push(TaskId(4), 1);
        assert_eq!(heap.remove(TaskId(3)), None);
        assert_eq!(heap.remove(TaskId(4)), Some(1));
        assert_eq!(heap.remove(TaskId(4)), None);
    }

    #[test]
    #[should_panic(expected = "queued twice")]
    fn nobody_is_queued_twice() {
        let mut heap = SlotHeap::default();
        heap.push(TaskId(3), 1);
        heap.push(TaskId(3), 2);
    }
}
