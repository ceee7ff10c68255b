//! The seams of the server: what the simulation of the whole server replaces, and nothing else.
//!
//! [`listener::Io`] is the third. Everything between them (connections, parser, routes, dispatch, rings,
//! worker loop, policy) is the same code in production and under simulation.

use crate::server::Function;
use sandbox::{
    Alarm, Call, Contention, Nap, Runtime, RuntimeError, Step, Timer, TimerError, Watcher,
};
use sched::Nanos;
use std::sync::Arc;
use std::task::Waker;

/// A monotonic clock.
pub trait Clock {
    /// Nanoseconds since some fixed point.
    fn now_ns(&self) -> Nanos;
}

/// `CLOCK_MONOTONIC`, on which the timers of workers run too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Monotonic;

impl Clock for Monotonic {
    fn now_ns(&self) -> Nanos {
        sandbox::monotonic_ns()
    }
}

/// What other threads hold of a worker's guests: may end the running slice. See [`sandbox::Alarm`].
pub trait Interrupt: Send + Sync {
    /// A task with this rank, by the worker's policy, has come for the worker.
    fn arrival(&self, rank: u64);
    /// A client has gone, or the worker shall stop.
    fn cancel(&self);
    /// Ends the running slice if it is over and the worker has no timer of its own; says when to look
    /// again. See [`sandbox::Alarm::expire_if_due`].
    fn expire_if_due(&self, now: Nanos) -> Nanos;
}

impl Interrupt for Alarm {
    fn arrival(&self, rank: u64) {
        Alarm::arrival(self, rank);
    }

    fn cancel(&self) {
        Alarm::cancel(self);
    }

    fn expire_if_due(&self, now: Nanos) -> Nanos {
        Alarm::expire_if_due(self, now)
    }
}

/// What runs functions: a worker's sandboxes and the timer that ends their slices.
pub trait Guest {
    /// Makes a sandbox in a free slot. See [`Runtime::start`].
    fn start(&mut self, slot: u32, function: u16, call: Call, waker: Waker);
    /// Begins a slice that ends at `end_ns`. See [`Timer::begin_slice`].
    fn begin_slice(&mut self, end_ns: Nanos, contention: Contention);
    /// Ends the slice at `at_ns` whoever waits. See [`Timer::limit`].
    fn limit(&mut self, at_ns: Nanos);
    /// Calls `waker` at `at_ns`, from another thread, if the sandbox in `slot` is still there then. See
    /// [`Runtime::wake_at`].
    fn wake_at(&mut self, slot: u32, waker: Waker, at_ns: Nanos);
    /// Times the slice after all. See [`Timer::arm`].
    fn arm(&mut self);
    /// Runs the sandbox until the slice ends, one way or another. See [`Runtime::resume`].
    fn resume(&mut self, slot: u32) -> Step;
    /// When the slice that has just ended was due to be stopped. See [`Timer::end_slice`].
    fn due_ns(&self) -> Nanos;
    /// Of the slice of `slice_ns` that has just ended, the time in calls of the host. See [`Runtime::host_ns`].
    fn host_ns(&self, slot: u32, slice_ns: Nanos) -> Nanos;
    /// Gives back what a sandbox that has finished used. See [`Runtime::reset`].
    fn reset(&mut self, slot: u32);
    /// Instances of which that was done so far. See [`Runtime::resets`].
    fn resets(&self) -> u64;
    /// Ends a sandbox that does not run. See [`Runtime::discard`].
    fn discard(&mut self, slot: u32) -> Call;
}

/// The real thing.
pub struct Sandboxes {
    runtime: Runtime,
    timer: Timer,
    /// By slot, who is to be woken at its deadline.
    naps: Vec<Option<Nap>>,
    /// Of the last slice.
    due_ns: Nanos,
}

/// Why a worker has no sandboxes.
#[derive(Debug, thiserror::Error)]
pub enum SandboxesError {
    /// No engine, no pool, or a module that does not fit it.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// No timer.
    #[error(transparent)]
    Timer(#[from] TimerError),
}

impl Sandboxes {
    /// Makes the calling thread's engine, pool and timer, which `watcher` lets expire if there is one.
    ///
    /// # Errors
    ///
    /// [`SandboxesError`].
    pub fn new(
        settings: &sandbox::Settings,
        functions: &[Function],
        reactor: tokio::runtime::Handle,
        watcher: Option<Arc<dyn Watcher>>,
    ) -> Result<Sandboxes, SandboxesError> {
        let functions: Vec<_> = functions
            .iter()
            .map(|function| (function.artifact.clone(), function.config.clone()))
            .collect();
        let runtime = Runtime::new(settings, &functions, reactor)?;
        let timer = match watcher {
            Some(watcher) => runtime.watched_timer(watcher)?,
            None => runtime.timer()?,
        };
        Ok(Sandboxes {
            runtime,
            timer,
            naps: (0..settings.sandboxes_max).map(|_| None).collect(),
            due_ns: Nanos::MAX,
        })
    }

    /// The end to give to others.
    pub fn alarm(&self) -> Alarm {
        self.timer.alarm()
    }
}

impl Guest for Sandboxes {
    fn start(&mut self, slot: u32, function: u16, call: Call, waker: Waker) {
        self.runtime.start(slot, function, call, waker);
    }

    fn begin_slice(&mut self, end_ns: Nanos, contention: Contention) {
        self.timer.begin_slice(end_ns, contention);
    }

    fn limit(&mut self, at_ns: Nanos) {
        self.timer.limit(at_ns);
    }

    fn wake_at(&mut self, slot: u32, waker: Waker, at_ns: Nanos) {
        self.naps[slot as usize] = Some(self.runtime.wake_at(at_ns, waker));
    }

    fn arm(&mut self) {
        self.timer.arm();
    }

    fn resume(&mut self, slot: u32) -> Step {
        let step = self.runtime.resume(slot);
        self.due_ns = self.timer.end_slice();
        if matches!(step, Step::Finished(_)) {
            self.naps[slot as usize] = None;
        }
        step
    }

    fn due_ns(&self) -> Nanos {
        self.due_ns
    }

    fn host_ns(&self, slot: u32, slice_ns: Nanos) -> Nanos {
        self.runtime.host_ns(slot, slice_ns)
    }

    fn reset(&mut self, slot: u32) {
        self.runtime.reset(slot);
    }

    fn resets(&self) -> u64 {
        self.runtime.resets()
    }

    fn discard(&mut self, slot: u32) -> Call {
        self.naps[slot as usize] = None;
        self.runtime.discard(slot)
    }
}
