//! Wakes guests that wait for a time: one thread of a worker's own, asleep until the earliest of them.
//!
//! A timer wheel such as tokio's counts milliseconds, and wakes up to two too late; here the thread sleeps
//! to the nanosecond that is wanted, and is late by what the kernel takes (its timer slack, 50 us) and by
//! the way to the worker. Nothing is polled: who sleeps costs an entry in a tree, which goes with the
//! [`Nap`], so that there are never more than the worker has sandboxes, twice.
//!
//! Who is woken runs when the policy says so; that is not decided here. Nobody is woken early.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::limits::NAP_MAX;
use crate::preempt::monotonic_ns;

/// The sleepers of one worker. Its thread is started with the first, and ends with this.
#[derive(Default)]
pub(crate) struct Sleepers {
    bed: Arc<Bed>,
    started: AtomicBool,
    /// Whose thread starts ours. A worker's may be pinned to its core, and a thread inherits that: then
    /// a guest that runs there would keep the others from being woken.
    reactor: Option<Handle>,
}

#[derive(Default)]
struct Bed {
    naps: Mutex<Naps>,
    /// There is an earlier one than the thread knows of, or the end has come.
    changed: Condvar,
}

#[derive(Default)]
struct Naps {
    /// By time, then by number.
    due: BTreeMap<Key, Waker>,
    numbers: u64,
    ended: bool,
}

/// When, on CLOCK_MONOTONIC, and a number of its own.
type Key = (u64, u64);

/// One sleeper. Dropped, it is woken no more.
#[must_use = "dropped, it wakes nobody"]
pub struct Nap {
    key: Key,
    bed: Arc<Bed>,
}

impl Sleepers {
    pub(crate) fn new(reactor: Handle) -> Sleepers {
        Sleepers {
            bed: Arc::default(),
            started: AtomicBool::new(false),
            reactor: Some(reactor),
        }
    }

    /// Calls `waker` at `at_ns` on CLOCK_MONOTONIC, not earlier, from the thread of the sleepers.
    pub(crate) fn wake_at(&self, at_ns: u64, waker: Waker) -> Nap {
        let mut naps = self.bed.lock();
        naps.numbers += 1;
        let key = (at_ns, naps.numbers);
        naps.due.insert(key, waker);
        let is_first = naps.due.first_key_value().is_some_and(|it| *it.0 == key);
        drop(naps);
        if !self.started.swap(true, SeqCst) {
            self.start();
        } else if is_first {
            self.bed.changed.notify_one();
        }
        let bed = self.bed.clone();
        Nap { key, bed }
    }

    /// Waits until `at_ns` on CLOCK_MONOTONIC.
    pub(crate) async fn sleep_until(&self, at_ns: u64) {
        let mut nap = None;
        std::future::poll_fn(|context| {
            if monotonic_ns() >= at_ns {
                return std::task::Poll::Ready(());
            }
            nap.get_or_insert_with(|| self.wake_at(at_ns, context.waker().clone()));
            std::task::Poll::Pending
        })
        .await;
    }

    fn start(&self) {
        let bed = self.bed.clone();
        let start = move || {
            let thread = std::thread::Builder::new().name("luge-sleepers".to_owned());
            let thread = thread.spawn(move || bed.wake_all());
            thread.expect("a thread for those who sleep");
        };
        match &self.reactor {
            // Nobody waits for it: it ends when the thread has been started.
            Some(reactor) => drop(reactor.spawn(async move { start() })),
            None => start(),
        }
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        self.bed.lock().ended = true;
        self.bed.changed.notify_one();
    }
}

impl Bed {
    fn lock(&self) -> MutexGuard<'_, Naps> {
        self.naps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread.
    fn wake_all(&self) {
        let mut woken = Vec::new();
        let mut naps = self.lock();
        while !naps.ended {
            let now_ns = monotonic_ns();
            while let Some(first) = naps.due.first_entry()
                && first.key().0 <= now_ns
            {
                woken.push(first.remove());
            }
            if !woken.is_empty() {
                // Not under the lock: who is woken may want to sleep again at once.
                drop(naps);
                woken.drain(..).for_each(Waker::wake);
                naps = self.lock();
                continue;
            }
            let first = naps.due.first_key_value();
            let left = first.map_or(NAP_MAX, |((at_ns, _), _)| {
                Duration::from_nanos(at_ns - now_ns).min(NAP_MAX)
            });
            let waited = self.changed.wait_timeout(naps, left);
            (naps, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Nap {
    fn drop(&mut self) {
        // The waker is dropped after the lock: it may be the last of its task.
        let waker = self.bed.lock().due.remove(&self.key);
        drop(waker);
    }
}

impl fmt::Debug for Nap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nap").field("at_ns", &self.key.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};
    use std::task::Wake;

    struct Told {
        at_ns: u64,
        told: Sender<(u64, u64)>,
    }

    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            // Nobody listens any more once a test has failed.
            self.told.send((self.at_ns, monotonic_ns())).ok();
        }
    }

    #[test]
    fn all_wake_in_order_and_none_early() {
        let sleepers = Sleepers::default();
        let (told, woken) = channel();
        let now_ns = monotonic_ns();
        let mut naps = Vec::new();
        // In an order that makes some of them the earliest as they come.
        for index in 0..100_u64 {
            let at_ns = now_ns + 1_000_000 + index * 37 % 100 * 100_000;
            let told = told.clone();
            naps.push(sleepers.wake_at(at_ns, Arc::new(Told { at_ns, told }).into()));
        }
        let woken: Vec<_> = woken.iter().take(100).collect();
        assert!(woken.is_sorted_by_key(|(at_ns, _)| *at_ns));
        assert!(woken.iter().all(|(at_ns, woken_ns)| woken_ns >= at_ns));
    }

    #[test]
    fn who_is_dropped_is_forgotten() {
        let sleepers = Sleepers::default();
        let (told, woken) = channel();
        let wake = |at_ns| {
            let told = told.clone();
            sleepers.wake_at(at_ns, Arc::new(Told { at_ns, told }).into())
        };
        let now_ns = monotonic_ns();
        let (first, second) = (wake(now_ns + 20_000_000), wake(now_ns + 30_000_000));
        let never = wake(u64::MAX);
        drop(first);
        let (at_ns, _) = woken.recv().expect("the second wakes");
        assert_eq!(at_ns, now_ns + 30_000_000);
        drop((second, never));
        assert!(sleepers.bed.lock().due.is_empty());
    }
}
