//! Wakes of blocked tasks: set from any thread, taken in by the worker between two slices.
//!
//! One bit for each slot of the worker's table, so that the set is bounded, needs no lock, and a task that
//! is woken ten times is woken once. A bit may name a slot whose task is a later one by now: such a wake
//! makes that task look, find nothing, and block again.

use super::park::Parker;
use super::seams::Interrupt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Wake, Waker};

/// The wakes of one worker that have not been taken in.
pub(crate) struct Wakes {
    words: Box<[AtomicU64]>,
    any: AtomicBool,
    parker: Arc<Parker>,
    alarm: Arc<dyn Interrupt>,
}

struct SlotWaker {
    slot: u32,
    /// What its task is compared by.
    rank: AtomicU64,
    wakes: Arc<Wakes>,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let word = &self.wakes.words[self.slot as usize / 64];
        word.fetch_or(1 << (self.slot % 64), Ordering::SeqCst);
        self.wakes.any.store(true, Ordering::SeqCst);
        self.wakes.alarm.arrival(self.rank.load(Ordering::Relaxed));
        self.wakes.parker.wake();
    }
}

impl Wakes {
    pub fn new(slots: u32, parker: Arc<Parker>, alarm: Arc<dyn Interrupt>) -> Arc<Wakes> {
        let words = (0..slots.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Wakes {
            words,
            any: AtomicBool::new(false),
            parker,
            alarm,
        })
    }

    /// Whether there is anything to take in.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }

    /// Takes in all wakes.
    pub fn take(&self, mut woken: impl FnMut(u32)) {
        if !self.any() {
            return;
        }
        // Cleared first: a wake that comes now sets it again.
        self.any.store(false, Ordering::SeqCst);
        for (at, word) in self.words.iter().enumerate() {
            let mut bits = word.swap(0, Ordering::SeqCst);
            while bits != 0 {
                woken(at as u32 * 64 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
    }
}

/// The wakers of a worker's slots, made once each and reused by every task of the slot.
pub(crate) struct Wakers {
    wakes: Arc<Wakes>,
    slots: Vec<Option<(Arc<SlotWaker>, Waker)>>,
}

impl Wakers {
    pub fn new(wakes: Arc<Wakes>) -> Wakers {
        Wakers {
            wakes,
            slots: Vec::new(),
        }
    }

    /// The task of a slot, which has a waker, has this rank from now on.
    pub fn set_rank(&mut self, slot: u32, rank: u64) {
        if let Some((shared, _)) = &self.slots[slot as usize] {
            shared.rank.store(rank, Ordering::Relaxed);
        }
    }

    /// The waker for the task of a slot, which has this rank from now on.
    pub fn waker(&mut self, slot: u32, rank: u64) -> Waker {
        let at = slot as usize;
        if at >= self.slots.len() {
            self.slots.resize_with(at + 1, || None);
        }
        let wakes = &self.wakes;
        let (shared, waker) = self.slots[at].get_or_insert_with(|| {
            let shared = Arc::new(SlotWaker {
                slot,
                rank: AtomicU64::new(u64::MAX),
                wakes: wakes.clone(),
            });
            (shared.clone(), Waker::from(shared))
        });
        shared.rank.store(rank, Ordering::Relaxed);
        waker.clone()
    }
}
