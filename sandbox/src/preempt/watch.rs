//! The other trigger: no timer, but a thread that watches the clock for the worker, beside its own work.
//!
//! ```text
//!   worker                                        watcher (any thread, in a loop)
//!   begin_slice: due ◄─ min(due, end)             now ≥ due? else due is when to look again
//!     earlier than the watcher knows: armed()     is the running slice over? else due ◄─ its end
//!   … the guest runs …                            told ◄─ true
//!     told: the table, on this thread   ◄──────── epoch += 1, or a signal to this thread
//! ```
//!
//! For machines where a timer's expiry is dear and another thread spins anyway. To arm is to store a
//! number, so there is no promise: `due` only ever gets earlier, until it is taken back (`forget`) by
//! the worker, which then looks at the table and arms for what it finds there.
//!
//! The watcher decides nothing. It looks at the slice before it tells, so as not to disturb without need, but
//! what it has seen may be past when its word comes. Whether the word counts is decided by the table
//! in `preempt`, on the worker's thread: in the signal's handler; or, with epochs, where the guest
//! looks. There nothing moves meanwhile but the token, as under a timer's expiry. So:
//!
//! | between look and word | the word finds | and |
//! | --- | --- | --- |
//! | the slice ended | no slice | stops nobody |
//! | … and another began | a slice that is not over | arms for its end |
//! | … which is untimed | the token | stops nobody, or arms for the limit |
//! | … which is over, too | a slice that is over | stops it, as is right |
//! | the worker armed for an earlier time | `due` has changed | is not said; the watcher looks again |
//! | somebody took the token | no token | counts if the slice is over, else arms for its end |
//!
//! 1. *No arming is lost when `due` moves to a later time.* The watcher moves it only from what it has
//!    read, and looks at the slice once more after. Who arms for a new slice has written its end before:
//!    either `due` has changed, or the second look sees that end.
//! 2. *…or when the worker takes it back.* Who arms on another thread has taken the token before. Either
//!    the table finds it gone, or the arming comes after and stays.
//! 3. *An unheard word.* A guest's epoch deadline is relative to the epoch at which it goes on: an epoch
//!    bumped just before stops nobody. So `due` does not vanish when the word is said, but moves on
//!    by the length of the slice, and by as much again each time, until the worker takes it back.
//! 4. *No heap of signals.* `told` stays set until the handler runs: meanwhile none is sent.
//! 5. *No word to a thread that is gone*: `kernel`, point 4.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::SeqCst, fence};

use super::kernel::Target;
use super::{NONE, RETRY_NS, SLICE_NS, Shared, TimerError};
use crate::settings::Preemption;

/// Who calls [`super::Alarm::expire_if_due`] in time, for timers made by [`crate::Runtime::watched_timer`].
pub trait Watcher: fmt::Debug + Send + Sync {
    /// A timer is due at `at_ns` on CLOCK_MONOTONIC, earlier than what was said last. A watcher that means
    /// to sleep longer must wake up: the arming is visible before this is called, so that one who first
    /// says until when it sleeps and then looks at its timers misses nothing.
    ///
    /// Called on any thread and in signal handlers: must be async-signal-safe.
    fn armed(&self, at_ns: u64);
}

/// What a worker and its watcher share. On cache lines of its own, which the watcher reads all the time.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Watch {
    /// When the watcher has to look; `u64::MAX`: never.
    due_ns: AtomicU64,
    /// The watcher has spoken, and the worker has not looked yet.
    told: AtomicBool,
    watcher: Arc<dyn Watcher>,
    /// The worker's thread, with [`Preemption::Signal`].
    target: Option<Target>,
}

impl Watch {
    /// For the calling thread's guests.
    pub(super) fn new(
        preemption: Preemption,
        watcher: Arc<dyn Watcher>,
    ) -> Result<Watch, TimerError> {
        let target = match preemption {
            Preemption::Signal => Some(Target::new()?),
            Preemption::Epoch | Preemption::Off => None,
        };
        Ok(Watch {
            due_ns: AtomicU64::new(u64::MAX),
            told: AtomicBool::new(false),
            watcher,
            target,
        })
    }

    pub(super) fn due_ns(&self) -> u64 {
        self.due_ns.load(SeqCst)
    }

    /// Sees to it that the watcher looks at `at_ns` or earlier. Async-signal-safe.
    pub(super) fn arm(&self, at_ns: u64) {
        if at_ns < self.due_ns.fetch_min(at_ns, SeqCst) {
            self.watcher.armed(at_ns);
        }
    }

    /// The worker is about to look at the table: what was armed and said before is done with.
    pub(super) fn forget(&self) {
        // First: what is said from here on is said anew.
        self.told.store(false, SeqCst);
        self.due_ns.store(u64::MAX, SeqCst);
    }

    /// Whether the watcher has spoken. For guests that find a new epoch.
    pub(super) fn take_word(&self) -> bool {
        // The epoch was read before; see `tell`.
        fence(Acquire);
        self.told.load(SeqCst) && self.told.swap(false, SeqCst)
    }

    /// The watcher looks, `due_ns` being past at `now_ns`. Says when to look again. While
    /// `arming` is counted up.
    pub(super) fn expire(&self, shared: &Shared, now_ns: u64) -> u64 {
        let due_ns = self.due_ns();
        if now_ns < due_ns {
            return due_ns;
        }
        let over_ns = shared.due_ns();
        if now_ns < over_ns {
            if self.move_on(due_ns, over_ns) {
                self.due_ns.fetch_min(shared.due_ns(), SeqCst);
            }
            return self.due_ns();
        }
        let length_ns = match shared.slice_length_ns.load(SeqCst) {
            NONE => SLICE_NS,
            length_ns => length_ns,
        };
        let wait_ns = length_ns.max(now_ns - over_ns).max(RETRY_NS);
        let again_ns = now_ns.saturating_add(wait_ns);
        if self.move_on(due_ns, again_ns) {
            self.tell(shared, now_ns);
        }
        self.due_ns()
    }

    fn move_on(&self, from_ns: u64, to_ns: u64) -> bool {
        let moved = self.due_ns.compare_exchange(from_ns, to_ns, SeqCst, SeqCst);
        moved.is_ok()
    }

    fn tell(&self, shared: &Shared, now_ns: u64) {
        let is_told = self.told.swap(true, SeqCst);
        match &self.target {
            None => {
                // Who sees the new epoch sees the word.
                fence(SeqCst);
                shared.engine.increment_epoch();
            }
            Some(_) if is_told => {}
            Some(target) => {
                if !target.signal(shared) {
                    self.told.store(false, SeqCst);
                    self.due_ns.fetch_min(now_ns + RETRY_NS, SeqCst);
                }
            }
        }
    }
}
