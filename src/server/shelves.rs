//! Requests that have not begun, where workers steal: each worker has a shelf, and all workers reach all shelves.
//!
//! ```text
//!   listener ── put ──►  worker 0's shelf  ── look ──►  worker 0: what its policy may know of each
//!                                          ── claim ─►  worker 0: its policy has picked this one
//!                                          ── steal ─►  worker 1: has nothing to do, takes the oldest
//! ```
//!
//! A worker's policy chooses among what lies on its shelf and what it has begun. Only what it picks for the first time is
//! claimed, and may be gone by then; so nothing waits at one worker while another one has nothing to do, however long a
//! slice of the first one lasts.
//!
//! A shelf is a queue in the order of arrival behind a lock, as three threads take from its ends and its middle. It is
//! held to move a pointer, or to look at what is new; what can be known without it stands in counters beside it.
//!
//! A worker is open while it has nothing to do and room for more. Who leaves something on the shelf of one that is not,
//! or begins a slice while something lies on any, wakes one that is open and sleeps. A worker looks at the counters once
//! more after it has opened, before it sleeps ([`Parker`]), and as it begins a slice, so no wake is lost.

use super::park::Parker;
use listener::Exchange;
use sched::Dispatcher;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard};

/// One worker's shelf among all of them: what the listener and that worker hold.
#[derive(Clone)]
pub struct Shelf {
    all: Arc<[Place]>,
    worker: usize,
}

/// A shelf, and what is known of it without its lock.
#[repr(align(128))]
#[derive(Default)]
struct Place {
    queue: Mutex<VecDeque<Waiting>>,
    count: AtomicU32,
    /// Those at the end of the queue that the worker has not looked at.
    fresh: AtomicU32,
    /// Its worker has nothing to do and room for more: it looks at the shelves before it sleeps.
    is_open: AtomicBool,
    /// The client of some request has gone, wherever that is.
    notice: AtomicBool,
    parker: Arc<Parker>,
}

struct Waiting {
    exchange: Box<Exchange>,
    is_fresh: bool,
}

impl Shelf {
    /// One for each of so many workers, if they steal; else none.
    pub fn for_workers(workers: usize, dispatcher: &Dispatcher) -> impl Iterator<Item = Shelf> {
        let workers = if dispatcher.steals { workers } else { 0 };
        let all: Arc<[Place]> = (0..workers).map(|_| Place::default()).collect();
        (0..workers).map(move |worker| Shelf {
            all: all.clone(),
            worker,
        })
    }

    /// How many workers have one.
    pub(super) fn workers(&self) -> usize {
        self.all.len()
    }

    /// Whose it is.
    pub(super) fn worker(&self) -> usize {
        self.worker
    }

    /// How its worker sleeps.
    pub(super) fn parker(&self) -> Arc<Parker> {
        self.own().parker.clone()
    }

    /// For the listener: a request for this worker, later than all that it was given. Wakes it, or another one if it
    /// could not take it.
    pub(super) fn put(&self, exchange: Box<Exchange>) {
        let mut queue = self.own().lock();
        let last = queue.back().map(|last| last.exchange.sequence);
        debug_assert!(last < Some(exchange.sequence), "in the order of arrival");
        queue.push_back(Waiting {
            exchange,
            is_fresh: true,
        });
        self.own().fresh.fetch_add(1, Ordering::Relaxed);
        self.own().count(&queue);
        drop(queue);
        // What is left here is seen by whoever opens later.
        fence(Ordering::SeqCst);
        match self.own().is_open.load(Ordering::SeqCst) {
            true => _ = self.own().parker.wake(),
            false => self.offer(),
        }
    }

    /// For the worker: whether it has nothing to do and room for more.
    pub(super) fn set_open(&self, is_open: bool) {
        self.own().is_open.store(is_open, Ordering::SeqCst);
    }

    /// For the listener: a client has gone; each worker has to look whether it has its request.
    pub(super) fn leave_notice(&self) {
        self.own().notice.store(true, Ordering::SeqCst);
    }

    /// Whether there is a notice.
    pub(super) fn has_notice(&self) -> bool {
        self.own().notice.load(Ordering::Relaxed)
    }

    /// For the worker: whether there was a notice since the last time.
    pub(super) fn take_notice(&self) -> bool {
        self.has_notice() && self.own().notice.swap(false, Ordering::SeqCst)
    }

    /// Whether there is something that the worker has not looked at.
    pub(super) fn has_fresh(&self) -> bool {
        self.own().fresh.load(Ordering::Relaxed) > 0
    }

    /// For the worker: shows it what it has not seen, `max` at most.
    pub(super) fn look(&self, max: u32, show: impl FnMut(&Exchange)) {
        let mut queue = self.own().lock();
        let fresh = self.own().fresh.load(Ordering::Relaxed);
        let seen = fresh.min(max);
        let first = queue.len() - fresh as usize;
        let shown = queue.iter_mut().skip(first).take(seen as usize);
        let shown = shown.map(|waiting| {
            waiting.is_fresh = false;
            &*waiting.exchange
        });
        shown.for_each(show);
        self.own().fresh.store(fresh - seen, Ordering::Relaxed);
    }

    /// For the worker: the request that it has seen with this number, if it is still there.
    pub(super) fn claim(&self, sequence: u64) -> Option<Box<Exchange>> {
        let mut queue = self.own().lock();
        let at = queue.binary_search_by_key(&sequence, |waiting| waiting.exchange.sequence);
        let waiting = queue.remove(at.ok()?)?;
        debug_assert!(!waiting.is_fresh, "what is claimed was seen");
        self.own().count(&queue);
        Some(waiting.exchange)
    }

    /// For the worker: those whose clients have gone.
    pub(super) fn take_abandoned(&self) -> VecDeque<Box<Exchange>> {
        let mut queue = self.own().lock();
        let (gone, left): (VecDeque<_>, VecDeque<_>) = queue
            .drain(..)
            .partition(|waiting| waiting.exchange.is_abandoned());
        *queue = left;
        let fresh = queue.iter().filter(|waiting| waiting.is_fresh).count();
        self.own().fresh.store(fresh as u32, Ordering::Relaxed);
        self.own().count(&queue);
        gone.into_iter().map(|waiting| waiting.exchange).collect()
    }

    /// For the worker: the oldest request on the shelf of another one.
    pub(super) fn steal(&self, victim: usize) -> Option<Box<Exchange>> {
        let place = &self.all[victim];
        let mut queue = place.lock();
        let waiting = queue.pop_front()?;
        if waiting.is_fresh {
            place.fresh.fetch_sub(1, Ordering::Relaxed);
        }
        place.count(&queue);
        Some(waiting.exchange)
    }

    /// How many lie on each worker's shelf, and none on one's own.
    pub(super) fn elsewhere(&self) -> impl Iterator<Item = u32> {
        let places = self.all.iter().enumerate();
        places.map(|(worker, place)| match worker == self.worker {
            true => 0,
            false => place.count.load(Ordering::Relaxed),
        })
    }

    /// Wakes a worker that sleeps and could take something, if anything lies on any shelf.
    pub(super) fn offer(&self) {
        // Who has left something there has looked whether this worker is open, or this one sees it.
        fence(Ordering::SeqCst);
        let mut places = self.all.iter();
        if places.any(|place| place.count.load(Ordering::Relaxed) > 0) {
            let wakes = |place: &Place| place.is_open.load(Ordering::SeqCst) && place.parker.wake();
            let _ = self.all.iter().any(wakes);
        }
    }

    fn own(&self) -> &Place {
        &self.all[self.worker]
    }
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.queue.lock().expect("nobody panics while holding it")
    }

    fn count(&self, queue: &VecDeque<Waiting>) {
        self.count.store(queue.len() as u32, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::atomic::AtomicUsize;

    fn shelves(workers: usize) -> Vec<Shelf> {
        let dispatcher = Dispatcher::from_name("steal").expect("a dispatcher");
        Shelf::for_workers(workers, dispatcher).collect()
    }

    fn request(sequence: u64) -> Box<Exchange> {
        let mut exchange = Exchange::new();
        exchange.sequence = sequence;
        exchange
    }

    fn numbers(shelf: &Shelf, max: u32) -> Vec<u64> {
        let mut seen = Vec::new();
        shelf.look(max, |exchange| seen.push(exchange.sequence));
        seen
    }

    #[test]
    fn each_request_is_seen_once_and_taken_once() {
        let [own, other] = &shelves(2)[..] else {
            panic!("two workers");
        };
        (1..=5).for_each(|sequence| own.put(request(sequence)));
        assert_eq!(numbers(own, 2), [1, 2]);
        assert!(own.has_fresh() && !other.has_fresh());
        assert_eq!(other.elsewhere().collect::<Vec<_>>(), [5, 0]);
        assert_eq!(own.elsewhere().sum::<u32>(), 0);
        let sequence = |exchange: Option<Box<Exchange>>| Some(exchange?.sequence);
        // The oldest is stolen, seen or not.
        assert_eq!(sequence(other.steal(0)), Some(1));
        assert_eq!(sequence(own.claim(1)), None);
        assert_eq!(sequence(own.claim(2)), Some(2));
        assert_eq!(sequence(other.steal(0)), Some(3));
        assert_eq!(numbers(own, 9), [4, 5]);
        assert!(!own.has_fresh());
        assert_eq!(sequence(own.claim(5)), Some(5));
        assert_eq!(sequence(own.claim(4)), Some(4));
        assert_eq!(sequence(other.steal(0)), None);
        assert_eq!(other.elsewhere().sum::<u32>(), 0);
    }

    #[test]
    fn a_notice_is_taken_once_and_takes_nobody_who_is_there() {
        let shelf = &shelves(1)[0];
        assert!(!shelf.take_notice());
        shelf.leave_notice();
        assert!(shelf.take_notice() && !shelf.take_notice());
        (1..=3).for_each(|sequence| shelf.put(request(sequence)));
        assert_eq!(numbers(shelf, 2), [1, 2]);
        assert!(shelf.take_abandoned().is_empty());
        assert_eq!(numbers(shelf, 9), [3]);
    }

    /// A worker that sleeps without room is not in the way of one that has some: else this hangs.
    #[test]
    fn who_has_room_is_woken() {
        const ROUNDS: usize = 5_000;
        let shelves = shelves(3);
        let taken = AtomicUsize::new(0);
        let is_done = || taken.load(Ordering::SeqCst) == ROUNDS;
        std::thread::scope(|scope| {
            // The first two have no room, and one of them is given all.
            for full in &shelves[..2] {
                scope.spawn(|| {
                    let parker = full.parker();
                    parker.adopt();
                    while !is_done() {
                        full.set_open(false);
                        parker.park(|| !is_done());
                    }
                });
            }
            scope.spawn(|| {
                let parker = shelves[2].parker();
                parker.adopt();
                while !is_done() {
                    shelves[2].set_open(true);
                    parker.park(|| shelves[2].elsewhere().all(|queued| queued == 0));
                    shelves[2].set_open(false);
                    let stolen = shelves[2].steal(1).is_some();
                    taken.fetch_add(usize::from(stolen), Ordering::SeqCst);
                }
                shelves.iter().for_each(|shelf| _ = shelf.parker().wake());
            });
            for round in 0..ROUNDS {
                shelves[1].put(request(round as u64));
                while taken.load(Ordering::SeqCst) <= round {
                    std::thread::yield_now();
                }
            }
        });
    }

    /// One puts, one claims, two steal and sleep in between: all is taken once, and nobody oversleeps the last one.
    #[test]
    fn nothing_is_lost_between_threads() {
        const REQUESTS: u64 = 50_000;
        let shelves = shelves(3);
        let taken = Mutex::new(BTreeSet::new());
        let count = AtomicUsize::new(0);
        let take = |exchange: Box<Exchange>| {
            let is_new = taken.lock().expect("no panic").insert(exchange.sequence);
            assert!(is_new, "{} is taken twice", exchange.sequence);
            if count.fetch_add(1, Ordering::SeqCst) + 1 == REQUESTS as usize {
                shelves.iter().for_each(|shelf| _ = shelf.parker().wake());
            }
        };
        let is_done = || count.load(Ordering::SeqCst) == REQUESTS as usize;
        std::thread::scope(|scope| {
            for shelf in &shelves {
                scope.spawn(|| {
                    let parker = shelf.parker();
                    parker.adopt();
                    let mut seen = Vec::new();
                    while !is_done() {
                        shelf.set_open(false);
                        shelf.look(7, |exchange| seen.push(exchange.sequence));
                        if let Some(sequence) = seen.pop() {
                            shelf.claim(sequence).into_iter().for_each(&take);
                            shelf.offer();
                        } else if let Some(victim) = shelf.elsewhere().position(|queued| queued > 0)
                        {
                            shelf.steal(victim).into_iter().for_each(&take);
                            shelf.offer();
                        } else {
                            let is_empty = || shelf.elsewhere().all(|queued| queued == 0);
                            shelf.set_open(true);
                            parker.park(|| !is_done() && !shelf.has_fresh() && is_empty());
                        }
                    }
                });
            }
            for sequence in 1..=REQUESTS {
                // All to one: the others have nothing but what they take.
                shelves[0].put(request(sequence));
            }
        });
        assert!(is_done());
    }
}
