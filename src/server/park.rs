//! How a thread with nothing to do goes to sleep, and how the others wake it without paying when it is awake.
//!
//! Waking a sleeping thread costs the waker a system call and often an interrupt to another core, so the
//! waker looks at a flag first. The flag and the rings follow Dekker's pattern: the sleeper raises the flag,
//! then looks at the rings once more; the waker fills a ring, then looks at the flag. With a sequentially
//! consistent fence between the two steps on both sides, at least one of them sees the other, so no wake
//! is lost.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::thread::Thread;

/// Whether somebody sleeps.
#[derive(Debug, Default)]
pub(crate) struct Asleep(AtomicBool);

impl Asleep {
    /// For the sleeper: raises the flag; `true` if there is still nothing to do.
    pub fn begin(&self, nothing_to_do: impl FnOnce() -> bool) -> bool {
        self.0.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        nothing_to_do()
    }

    /// For the sleeper: it is awake.
    pub fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// For a waker, after it has left something to do: `true` if it must wake the sleeper. Of many wakers
    /// one is told so.
    pub fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::SeqCst)
    }
}

/// A worker's sleep.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    asleep: Asleep,
    thread: OnceLock<Thread>,
}

impl Parker {
    /// To be called once, by the thread that is going to sleep here.
    pub fn adopt(&self) {
        self.thread.get_or_init(std::thread::current);
    }

    /// Sleeps until woken, unless there is something to do. May wake for nothing.
    pub fn park(&self, nothing_to_do: impl FnOnce() -> bool) {
        if self.asleep.begin(nothing_to_do) {
            std::thread::park();
        }
        self.asleep.end();
    }

    /// Wakes the sleeper, if it sleeps; whether it did.
    pub fn wake(&self) -> bool {
        let sleeps = self.asleep.must_wake();
        if sleeps && let Some(thread) = self.thread.get() {
            thread.unpark();
        }
        sleeps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    /// A wake that is lost makes this hang: the sleeper has no other reason to go on.
    #[test]
    fn no_wake_is_lost() {
        const ROUNDS: u64 = 20_000;
        let parker = Arc::new(Parker::default());
        let (asked, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let sleeper = std::thread::spawn({
            let (parker, asked, done) = (parker.clone(), asked.clone(), done.clone());
            move || {
                parker.adopt();
                while done.load(Ordering::Acquire) < ROUNDS {
                    let seen = done.load(Ordering::Acquire);
                    if asked.load(Ordering::Acquire) > seen {
                        done.store(seen + 1, Ordering::Release);
                    } else {
                        parker.park(|| asked.load(Ordering::Acquire) == seen);
                    }
                }
            }
        });
        for round in 1..=ROUNDS {
            asked.store(round, Ordering::Release);
            parker.wake();
            while done.load(Ordering::Acquire) < round {
                std::thread::yield_now();
            }
        }
        sleeper.join().expect("the sleeper ends");
    }
}
