//! The listener's thread: turns of the listener, a short search for more, then sleep in the ring.
//!
//! Where workers have no timers of their own it also ends their slices: it looks at the earliest end with
//! every turn, does not fall asleep shortly before it, and otherwise sleeps no longer than that.

use super::dispatch::{Dispatcher, Refused};
use super::estimates::Learnt;
use super::link::ListenerSleep;
use super::seams::Monotonic;
use crate::limits::{ABORT_TURNS_MAX, ABORT_WAIT};
use listener::{Io, Listener, Time};
use sched::Nanos;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the listener's thread owns.
pub(crate) struct ListenerThread<I> {
    pub listener: Listener<I, Dispatcher<Monotonic>>,
    pub sleep: Arc<ListenerSleep>,
    /// Set to begin the drain; then the bell is rung.
    pub drain: Arc<AtomicBool>,
    /// Set at the end: the workers end too.
    pub stop: Arc<AtomicBool>,
    pub drain_timeout: Duration,
    /// How long to look for work before going to sleep while workers owe answers, in nanoseconds.
    pub spin_ns: u64,
    pub clocks: Clocks,
    /// When the first of the workers' slices has to be ended here; `u64::MAX`: none.
    pub due_ns: Nanos,
    /// When the last turn began; 0 if there was a sleep since.
    pub turned_ns: Nanos,
}

/// How the drain ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections cut because the drain took too long; 0 when all was answered.
    pub connections_cut: usize,
    /// What the listener counted.
    pub counters: listener::Counters,
    /// Requests that were not taken.
    pub refused: Refused,
    /// What was learnt of the routes' executions.
    pub learnt: Learnt,
}

/// How old the reading of the calendar's clock may be, in nanoseconds: it is read for the Date field only.
const UNIX_AGE_MAX_NS: u64 = 100_000_000;

/// The two clocks. The calendar's is read now and then, not at every turn.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    unix_s: u64,
    unix_until_ns: u64,
}

impl Clocks {
    pub fn read(&mut self) -> Time {
        let now_ns = sandbox::monotonic_ns();
        if now_ns >= self.unix_until_ns {
            let unix = SystemTime::now().duration_since(UNIX_EPOCH);
            self.unix_s = unix.unwrap_or_default().as_secs();
            self.unix_until_ns = now_ns + UNIX_AGE_MAX_NS;
        }
        Time {
            now_ns,
            unix_s: self.unix_s,
        }
    }
}

impl<I: Io> ListenerThread<I> {
    /// Serves until drained; then the workers stop.
    ///
    /// # Errors
    ///
    /// The ring failed.
    pub fn run(mut self) -> std::io::Result<Drained> {
        let drained = self.serve();
        // The flag first: a worker that is interrupted looks at it before it runs on.
        self.stop.store(true, Ordering::SeqCst);
        self.listener.service().interrupt_workers();
        drained
    }

    fn serve(&mut self) -> std::io::Result<Drained> {
        let mut busy_until_ns = 0;
        while !self.drain.load(Ordering::Acquire) {
            let (now_ns, happened) = self.turn()?;
            if happened {
                busy_until_ns = now_ns + self.spin_ns;
            } else if now_ns >= busy_until_ns || self.listener.service().outstanding() == 0 {
                let drain = self.drain.clone();
                self.sleep(now_ns, u64::MAX, || !drain.load(Ordering::Acquire))?;
            }
        }
        self.finish()
    }

    /// Ends slices that are over and takes in what has come; when that was, and whether anything had.
    fn turn(&mut self) -> std::io::Result<(Nanos, bool)> {
        let now = self.clocks.read();
        let before_ns = std::mem::replace(&mut self.turned_ns, now.now_ns);
        let dispatcher = self.listener.service();
        dispatcher.metrics().listener.turns.increment();
        self.due_ns = dispatcher.expire_if_due(now.now_ns);
        let happened = self.listener.turn(now)?;
        if happened {
            let (counters, connections) = (self.listener.counters(), self.listener.connections());
            let counted = &self.listener.service().metrics().listener;
            counted.found(before_ns, now.now_ns);
            counted.counted(&counters, connections);
        }
        Ok((now.now_ns, happened))
    }

    /// Sleeps until something comes, a slice is nearly over, or it is `until_ns`.
    fn sleep(
        &mut self,
        now_ns: Nanos,
        until_ns: Nanos,
        nothing_else: impl FnOnce() -> bool,
    ) -> std::io::Result<()> {
        let until_ns = match self.due_ns {
            u64::MAX => until_ns,
            // Sleepers wake late: the rest is waited out awake.
            due_ns => until_ns.min(due_ns.saturating_sub(self.spin_ns)),
        };
        if until_ns <= now_ns {
            return Ok(());
        }
        let at_most = (until_ns != u64::MAX).then(|| Duration::from_nanos(until_ns - now_ns));
        self.sleep.until_ns.store(until_ns, Ordering::SeqCst);
        let dispatcher = self.listener.service();
        let nothing = self.sleep.asleep.begin(|| {
            !dispatcher.has_completed()
                && dispatcher.expire_if_due(now_ns) >= until_ns
                && nothing_else()
        });
        let result = if nothing {
            self.turned_ns = 0;
            self.listener.wait(at_most)
        } else {
            Ok(())
        };
        self.sleep.asleep.end();
        result
    }

    fn finish(&mut self) -> std::io::Result<Drained> {
        self.listener.drain();
        let until_ns = self
            .clocks
            .read()
            .now_ns
            .saturating_add(self.drain_timeout.as_nanos() as u64);
        loop {
            let (now_ns, happened) = self.turn()?;
            if self.listener.connections() == 0 && self.listener.service().outstanding() == 0 {
                break;
            }
            if now_ns >= until_ns {
                break;
            }
            if !happened {
                self.sleep(now_ns, until_ns, || true)?;
            }
        }
        let connections_cut = self.listener.connections();
        self.listener.abort();
        // What was cut completes at once; the bound is for a kernel that takes its time.
        for _ in 0..ABORT_TURNS_MAX {
            self.turn()?;
            if self.listener.connections() == 0 {
                break;
            }
            self.turned_ns = 0;
            self.listener.wait(Some(ABORT_WAIT))?;
        }
        Ok(Drained {
            connections_cut,
            counters: self.listener.counters(),
            refused: self.listener.service().refused(),
            learnt: self.listener.service().learnt(),
        })
    }
}
