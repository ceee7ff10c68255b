//! Stops a guest at the end of its slice: one one-shot timer per worker, armed only when somebody
//! waits. Decides nothing: whose slice it is and how long it lasts is the worker's caller's choice.
//!
//! What expires is the kernel's timer, as is told here; or the worker is told by another thread that
//! watches the clock (`watch`, which says what differs). The table is the same.
//!
//! ```text
//!   worker                                   listener (any other thread)
//!   begin_slice(end, Uncontended):           push a request into the worker's ring
//!     slice_end ◄─ end                       fence
//!     bar, token ◄─ end                      arrival(rank): below the bar?
//!     fence                                    swap the token with 0; was it set?
//!   look at the ring; if not empty: arm()        see to it that the timer expires by then
//!   … the guest runs …
//!   end_slice: token ◄─ 0, slice_end ◄─ 0
//! ```
//!
//! Store, fence, look on both sides: either the listener sees the token or the worker sees the
//! request. A slice that begins contended is timed by the worker and has no token.
//!
//! The timer expires on the worker's thread; the handler stops the guest if, and only if, a slice
//! that is meant to be timed is over:
//!
//! | slice_end | token | clock | the expiry is | handler |
//! | --- | --- | --- | --- | --- |
//! | 0 | any | any | stale, no slice runs | nothing |
//! | set | set | before the limit | stale, nobody waits | arms for the limit, if there is one |
//! | set | 0 | before end and limit | early | arms for the earlier of the two |
//! | set | 0 | at the end or later | due | stops the guest |
//! | set | any | at the limit or later | due | stops the guest |
//!
//! How it stops it is the mode's: by bumping the epoch of the worker's engine, which compiled code
//! looks at ([`Preemption::Epoch`]); or by suspending it where it is (`signal`, which holds the safety
//! argument), unless it is in a host call: then it is stopped as it comes back (`gate`).
//!
//! # An arming outlives its slice
//!
//! Programming the clock's hardware costs more than a short request where a hypervisor has to do it
//! (16 µs on a nested virtual machine, 0.3 µs otherwise), so a timer is neither disarmed at the end
//! of a slice nor armed where it is bound to expire early enough anyway: the third row of the table
//! makes an early expiry as good as the right one. `promise` holds a time by which the timer
//! will expire; who would arm for a later one relies on it. While short requests follow each other,
//! the timer is armed once in a quantum and not once in a request.
//!
//! The promise is written by whoever arms, after arming, if it is still what was read before. If it
//! is not, two have armed at the same time, and it is unknown whose time the timer has: then it
//! expires at once, and the handler, alone with the worker, sets it right. The same if an arming
//! for an ended slice has displaced that of a running slice which ends earlier. What remains is a
//! thread that is stopped between its arming and its promise for longer than a slice, under slices
//! of different lengths: a slice may then last as long as the longest.
//!
//! # An epoch that goes unnoticed
//!
//! An expiry may fall into the moment before wasmtime sets a guest's epoch deadline, which is
//! relative to the epoch that the expiry has just bumped. Therefore a due expiry in that mode arms again,
//! one slice later: normally that is the arming of the next slice. While a long host call
//! keeps the guest from stopping, the times between double.
//!
//! Atomics are `SeqCst` throughout: a slice is microseconds, and this is not where they go.

#[expect(
    unsafe_code,
    reason = "takes pages' rights and steps; its safety argument opens it"
)]
mod gate;
#[expect(
    unsafe_code,
    reason = "system calls and a signal handler; its safety argument opens it"
)]
mod kernel;
#[expect(
    unsafe_code,
    reason = "suspends a guest in a signal handler; its safety argument opens it"
)]
pub(crate) mod signal;
#[cfg(test)]
mod tests;
mod watch;

use std::io;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering::SeqCst, fence,
};
use std::sync::{Arc, OnceLock};

use wasmtime::Engine;

use self::kernel::KernelTimer;
use self::signal::{Code, Guest, Registers};
use self::watch::Watch;
use crate::settings::Preemption;

pub use self::kernel::monotonic_ns;
pub(crate) use self::kernel::ticks;
pub use self::watch::Watcher;

/// No slice, no token, no promise; disarms a timer.
const NONE: u64 = 0;

/// A time long past: the timer expires at once.
const PAST_NS: u64 = 1;

/// What a due expiry takes for the slice's length where that is not known.
const SLICE_NS: u64 = 1_000_000;

/// When a guest is looked at again that can be stopped neither where it is nor as it comes back: it has
/// not begun, or is on its way out of its module.
const RETRY_NS: u64 = 20_000;

/// Why no timer could be had.
#[derive(Debug, thiserror::Error)]
pub enum TimerError {
    /// This worker has, or had, its timer.
    #[error("the worker's timer has been made already")]
    Exists,
    /// The kernel refused (`RLIMIT_SIGPENDING` bounds the timers of a user).
    #[error("{call}: {source}")]
    Kernel {
        /// The call that failed.
        call: &'static str,
        /// Its errno.
        source: io::Error,
    },
}

/// Who waits when a slice begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contention {
    /// Somebody who would run if the slice ended: it is timed.
    Contended,
    /// Nobody, or somebody for whom it is limited ([`Timer::limit`]). A later arrival has the slice timed if its
    /// rank is below the bar.
    Uncontended {
        /// In the unit of ranks, which is the scheduler's; `u64::MAX`: any arrival, 0: none.
        bar: u64,
    },
}

/// A worker's one timer. Lives on the worker's thread.
///
/// Around every slice: [`begin_slice`](Timer::begin_slice), a look for what arrived meanwhile (and
/// [`arm`](Timer::arm) if something did), [`crate::Runtime::resume`], [`end_slice`](Timer::end_slice).
#[derive(Debug)]
pub struct Timer {
    shared: Arc<Shared>,
    not_send: PhantomData<*const ()>,
}

/// The end of a [`Timer`] that other threads hold: has the running slice timed when that is wanted.
#[derive(Debug, Clone)]
pub struct Alarm {
    shared: Arc<Shared>,
}

/// What the worker, its timer's handler, its guests' epoch callbacks and the alarms share.
#[derive(Debug)]
pub(crate) struct Shared {
    engine: Engine,
    preemption: Preemption,
    /// What may be interrupted, with [`Preemption::Signal`].
    code: Option<Code>,
    /// The guest of the sandbox that is being polled; null between polls.
    polled: AtomicPtr<Guest>,
    /// The polled guest's code cannot be executed.
    is_shut: AtomicBool,
    trigger: OnceLock<Trigger>,
    /// When the running slice ends, CLOCK_MONOTONIC; [`NONE`] between slices.
    slice_end_ns: AtomicU64,
    /// How long it is, if it began contended; [`NONE`] otherwise.
    slice_length_ns: AtomicU64,
    /// `slice_end_ns` while nobody has asked for the slice to be timed; [`NONE`] otherwise.
    token: AtomicU64,
    /// When the running slice ends whoever waits; `u64::MAX`: never.
    limit_ns: AtomicU64,
    /// When a slice was last asked for to be timed after all.
    asked_ns: AtomicU64,
    bar: AtomicU64,
    /// If later than now: the timer expires then or earlier.
    promise_ns: AtomicU64,
    /// Threads that are arming the timer at this moment.
    arming: AtomicU32,
    /// The running guest shall stop at its next opportunity.
    requested: AtomicBool,
    /// Why the running guest suspended itself.
    suspension: AtomicU8,
    /// Expiries of the timer, stale and early ones included.
    expiries: AtomicU64,
}

/// What says that a slice is over.
#[derive(Debug)]
enum Trigger {
    Timer(KernelTimer),
    Watch(Watch),
}

/// Why a guest suspended itself, other than to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Suspension {
    Preempted = 1,
    Yielded = 2,
}

impl Timer {
    /// Makes the calling thread's timer; with a `watcher` it is that one who lets it expire. With
    /// [`Preemption::Off`] it makes nothing and times nothing.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        watcher: Option<Arc<dyn Watcher>>,
    ) -> Result<Timer, TimerError> {
        if shared.trigger.get().is_some() {
            return Err(TimerError::Exists);
        }
        if shared.preemption != Preemption::Off {
            let trigger = match watcher {
                None => Trigger::Timer(KernelTimer::new(shared)?),
                Some(watcher) => Trigger::Watch(Watch::new(shared.preemption, watcher)?),
            };
            shared.trigger.get_or_init(|| trigger);
        }
        Ok(Timer {
            shared: shared.clone(),
            not_send: PhantomData,
        })
    }

    /// The end to give to threads that bring work to this worker.
    pub fn alarm(&self) -> Alarm {
        Alarm {
            shared: self.shared.clone(),
        }
    }

    /// Begins a slice that ends at `end_ns` on CLOCK_MONOTONIC (`u64::MAX`: never).
    ///
    /// After an uncontended begin the caller must look at its inbox once more and call
    /// [`arm`](Timer::arm) if something arrived: what came before this call found no token.
    pub fn begin_slice(&mut self, end_ns: u64, contention: Contention) {
        let shared = &*self.shared;
        if shared.trigger.get().is_none() {
            return;
        }
        let end_ns = end_ns.max(PAST_NS);
        shared.requested.store(false, SeqCst);
        match contention {
            Contention::Contended => {
                let now_ns = monotonic_ns();
                shared.begin(end_ns, end_ns.saturating_sub(now_ns));
                shared.arm(end_ns, now_ns);
            }
            Contention::Uncontended { bar } => {
                // Before the token: who takes the token times the slice that it sees.
                shared.begin(end_ns, NONE);
                shared.bar.store(bar, SeqCst);
                shared.token.store(end_ns, SeqCst);
                fence(SeqCst);
            }
        }
    }

    /// Somebody waits after all: the running slice is timed from now on. Nothing to do if it is.
    pub fn arm(&mut self) {
        self.shared.take_and_arm();
    }

    /// The running slice ends at `at_ns` on CLOCK_MONOTONIC, too, and that whoever waits: its guest has
    /// no more time. Holds for this slice only.
    pub fn limit(&mut self, at_ns: u64) {
        let shared = &*self.shared;
        if shared.trigger.get().is_none() {
            return;
        }
        let at_ns = at_ns.max(PAST_NS);
        shared.limit_ns.store(at_ns, SeqCst);
        let is_timed = shared.token.load(SeqCst) == NONE;
        if !is_timed || at_ns < shared.slice_end_ns.load(SeqCst) {
            shared.arm(at_ns, monotonic_ns());
        }
    }

    /// Ends the slice. The timer may still expire for it: that stops nobody.
    ///
    /// Says when it was due to be stopped: at its end, or at its limit, or when somebody came who had it timed later
    /// than that; `u64::MAX`: never.
    pub fn end_slice(&mut self) -> u64 {
        let due_ns = match self.shared.due_ns() {
            u64::MAX => u64::MAX,
            due_ns => due_ns.max(self.shared.asked_ns.load(SeqCst)),
        };
        self.shared.token.store(NONE, SeqCst);
        self.shared.slice_end_ns.store(NONE, SeqCst);
        self.shared.requested.store(false, SeqCst);
        due_ns
    }

    /// Expiries so far, stale and early ones included: what preemption has cost in interrupts.
    pub fn expiries(&self) -> u64 {
        self.shared.expiries.load(SeqCst)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.end_slice();
        while self.shared.arming.load(SeqCst) != 0 {
            std::thread::yield_now();
        }
        match self.shared.trigger.get() {
            Some(Trigger::Timer(timer)) => timer.delete(),
            Some(Trigger::Watch(_)) => kernel::take_pending(),
            None => {}
        }
    }
}

impl Alarm {
    /// A request with this rank (the lower, the sooner it runs) has been put into the worker's inbox.
    /// Times the running slice if the request may preempt it.
    pub fn arrival(&self, rank: u64) {
        // The request is visible before the bar and the token are looked at.
        fence(SeqCst);
        let bar = self.shared.bar.load(SeqCst);
        if bar == u64::MAX || rank < bar {
            self.take_and_arm();
        }
    }

    /// A client went away, whatever runs: times the running slice regardless of the bar.
    pub fn cancel(&self) {
        fence(SeqCst);
        self.take_and_arm();
    }

    /// Lets a timer with a [`Watcher`] expire, if that is due at `now_ns`. Says when to call again, at
    /// the latest; `u64::MAX`: when the watcher is told so, and always of a timer without.
    ///
    /// Cheap unless something is due. Any thread, also many at once.
    pub fn expire_if_due(&self, now_ns: u64) -> u64 {
        let Some(watch) = self.shared.watch() else {
            return u64::MAX;
        };
        let due_ns = watch.due_ns();
        if now_ns < due_ns {
            return due_ns;
        }
        // From here to the last line but one the worker's thread does not end.
        self.shared.arming.fetch_add(1, SeqCst);
        let next_ns = watch.expire(&self.shared, now_ns);
        self.shared.arming.fetch_sub(1, SeqCst);
        next_ns
    }

    fn take_and_arm(&self) {
        let shared = &*self.shared;
        if shared.token.load(SeqCst) == NONE {
            return;
        }
        // From here to the last line the timer is not deleted.
        shared.arming.fetch_add(1, SeqCst);
        shared.take_and_arm();
        shared.arming.fetch_sub(1, SeqCst);
    }
}

impl Shared {
    /// `code` is for [`Preemption::Signal`].
    pub(crate) fn new(engine: &Engine, preemption: Preemption, code: Option<Code>) -> Shared {
        Shared {
            engine: engine.clone(),
            preemption,
            code,
            polled: AtomicPtr::new(ptr::null_mut()),
            is_shut: AtomicBool::new(false),
            trigger: OnceLock::new(),
            slice_end_ns: AtomicU64::new(NONE),
            slice_length_ns: AtomicU64::new(NONE),
            token: AtomicU64::new(NONE),
            limit_ns: AtomicU64::new(u64::MAX),
            asked_ns: AtomicU64::new(NONE),
            bar: AtomicU64::new(0),
            promise_ns: AtomicU64::new(NONE),
            arming: AtomicU32::new(0),
            requested: AtomicBool::new(false),
            suspension: AtomicU8::new(0),
            expiries: AtomicU64::new(0),
        }
    }

    pub(crate) fn preemption(&self) -> Preemption {
        self.preemption
    }

    /// Lets `guest` be interrupted while `poll` runs, which polls its sandbox.
    pub(crate) fn polling<R>(&self, guest: &Guest, poll: impl FnOnce() -> R) -> R {
        self.polled.store(ptr::from_ref(guest).cast_mut(), SeqCst);
        let result = poll();
        // In this order: an expiry that still finds the guest shuts the gate.
        self.polled.store(ptr::null_mut(), SeqCst);
        gate::open(self, guest);
        result
    }

    /// Whether the running guest shall stop. On the worker's thread.
    pub(crate) fn is_requested(&self) -> bool {
        self.requested.load(SeqCst) || self.answer()
    }

    /// The watcher's word, where no signal brings it: looks at the table now.
    fn answer(&self) -> bool {
        let is_told =
            self.preemption == Preemption::Epoch && self.watch().is_some_and(Watch::take_word);
        let is_over = is_told && self.expired();
        if is_over {
            self.requested.store(true, SeqCst);
        }
        is_over
    }

    /// Whether the running guest shall stop; asking takes the request.
    pub(crate) fn take_request(&self) -> bool {
        self.is_requested() && self.requested.swap(false, SeqCst)
    }

    /// Notes why the running guest is about to return to its worker.
    pub(crate) fn suspend(&self, why: Suspension) {
        self.suspension.store(why as u8, SeqCst);
    }

    /// Takes that note.
    pub(crate) fn take_suspension(&self) -> Option<Suspension> {
        match self.suspension.swap(0, SeqCst) {
            1 => Some(Suspension::Preempted),
            2 => Some(Suspension::Yielded),
            _ => None,
        }
    }

    fn watch(&self) -> Option<&Watch> {
        match self.trigger.get()? {
            Trigger::Watch(watch) => Some(watch),
            Trigger::Timer(_) => None,
        }
    }

    fn begin(&self, end_ns: u64, length_ns: u64) {
        self.limit_ns.store(u64::MAX, SeqCst);
        self.slice_length_ns.store(length_ns, SeqCst);
        self.slice_end_ns.store(end_ns, SeqCst);
    }

    /// Times the running slice, if nobody has done so.
    fn take_and_arm(&self) {
        if self.token.load(SeqCst) == NONE {
            return;
        }
        let now_ns = monotonic_ns();
        // Before the token: the slice may be over as soon as that is gone.
        self.asked_ns.store(now_ns, SeqCst);
        let end_ns = self.token.swap(NONE, SeqCst);
        if end_ns != NONE {
            self.arm(end_ns, now_ns);
        }
    }

    /// Sees to it that the timer expires at `end_ns` or earlier. Any thread; for a slice whose
    /// token is gone.
    fn arm(&self, end_ns: u64, now_ns: u64) {
        if let Some(watch) = self.watch() {
            return watch.arm(end_ns);
        }
        let promise_ns = self.promise_ns.load(SeqCst);
        if end_ns == u64::MAX || (now_ns < promise_ns && promise_ns <= end_ns) {
            return;
        }
        self.set(end_ns);
        let promised = self
            .promise_ns
            .compare_exchange(promise_ns, end_ns, SeqCst, SeqCst);
        let running_ns = self
            .slice_end_ns
            .load(SeqCst)
            .min(self.limit_ns.load(SeqCst));
        let displaced = running_ns != NONE && running_ns < end_ns;
        if promised.is_err() || displaced {
            self.set(PAST_NS);
        }
    }

    /// The timer expired: the table above, but for its last line. Says whether the slice is over. Runs
    /// in the signal handler, or where nothing interrupts it: on the worker's thread.
    fn expired(&self) -> bool {
        self.expiries.fetch_add(1, SeqCst);
        // Before the token is looked at: who takes it afterwards finds no promise and arms.
        match self.watch() {
            Some(watch) => watch.forget(),
            None => self.promise_ns.store(NONE, SeqCst),
        }
        let due_ns = self.due_ns();
        if due_ns == u64::MAX {
            return false;
        }
        let now_ns = monotonic_ns();
        if now_ns < due_ns {
            self.set_and_promise(due_ns);
            // Who took the token meanwhile may have armed for the end before that.
            let since_ns = self.due_ns();
            if since_ns < due_ns {
                self.set_and_promise(since_ns);
            }
        }
        now_ns >= due_ns
    }

    /// When the running slice is over; `u64::MAX`: none runs, or nobody waits and it has no limit.
    fn due_ns(&self) -> u64 {
        let end_ns = self.slice_end_ns.load(SeqCst);
        if end_ns == NONE {
            return u64::MAX;
        }
        let limit_ns = self.limit_ns.load(SeqCst);
        match self.token.load(SeqCst) == NONE {
            true => end_ns.min(limit_ns),
            false => limit_ns,
        }
    }

    /// Stops the guest as it comes back to its module, where it was not when its slice was over. In the
    /// signal handler, which found it at `registers`.
    fn request_return(&self, registers: &Registers) {
        self.requested.store(true, SeqCst);
        if !gate::shut(self, registers) {
            self.retry();
        }
    }

    /// Looks again shortly at a guest that can be stopped neither where it is nor as it comes back.
    fn retry(&self) {
        self.set_and_promise(monotonic_ns() + RETRY_NS);
    }

    /// Stops the guest at its next epoch check, or at the next opportunity that a host call gives. In
    /// the signal handler.
    fn request_check(&self) {
        self.requested.store(true, SeqCst);
        let now_ns = monotonic_ns();
        self.engine.increment_epoch();
        let length_ns = match self.slice_length_ns.load(SeqCst) {
            NONE => SLICE_NS,
            length_ns => length_ns,
        };
        let late_ns = now_ns.saturating_sub(self.slice_end_ns.load(SeqCst));
        self.set_and_promise(now_ns + length_ns.max(late_ns));
    }

    fn set_and_promise(&self, at_ns: u64) {
        if let Some(watch) = self.watch() {
            return watch.arm(at_ns);
        }
        self.set(at_ns);
        self.promise_ns.store(at_ns, SeqCst);
    }

    fn set(&self, at_ns: u64) {
        if let Some(Trigger::Timer(timer)) = self.trigger.get() {
            timer.set(at_ns);
        }
    }
}
