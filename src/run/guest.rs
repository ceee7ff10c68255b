//! One guest driven to its end: slices until it finishes, uses up its processor time, or is interrupted.
//!
//! The server's own sandboxes, timer and reactor with one slot and no policy: there is nobody else to run.

use super::function::Function;
use crate::limits::RUN_NOTICE;
use crate::server::{self, Clock as _, Guest as _, Interrupt, Monotonic, Reactor, Sandboxes};
use sandbox::{Call, Contention, Outcome, Step};
use sched::Nanos;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::SeqCst};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};

/// What a shell adds to a signal's number for the exit code of a process that it ended.
pub(super) const SIGNAL_EXIT_BASE: u8 = 128;

/// The one slot.
const SLOT: u32 = 0;

/// A guest that has not begun.
pub(super) struct Guest {
    sandboxes: Sandboxes,
    reactor: Reactor,
    cpu_limit_ns: Option<Nanos>,
}

/// How it ended. The call has what it wrote until then.
pub(super) enum Ended {
    Finished(Outcome),
    CpuLimit(Call),
    /// By this signal to this process.
    Interrupted(Call, u8),
}

/// What other threads tell the one that drives the guest.
struct Told {
    woken: AtomicBool,
    /// The signal that ends the guest; 0: none.
    signal: AtomicI32,
    is_over: AtomicBool,
    driver: Thread,
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, SeqCst);
        self.driver.unpark();
    }
}

impl Guest {
    pub fn new(function: Function) -> Result<Guest, String> {
        let reactor = Reactor::start(function.config.has_directories());
        let reactor = reactor.map_err(|error| error.to_string())?;
        let functions = [server::Function {
            artifact: function.artifact,
            config: function.config,
        }];
        let sandboxes = Sandboxes::new(&function.sandbox, &functions, reactor.handle.clone(), None);
        Ok(Guest {
            sandboxes: sandboxes.map_err(|error| error.to_string())?,
            reactor,
            cpu_limit_ns: function.cpu_limit_ns,
        })
    }

    /// Runs it to its end.
    pub fn run(mut self, call: Call) -> Ended {
        let told = Arc::new(Told {
            woken: AtomicBool::new(false),
            signal: AtomicI32::new(0),
            is_over: AtomicBool::new(false),
            driver: thread::current(),
        });
        listen(told.clone(), Arc::new(self.sandboxes.alarm()));
        self.sandboxes
            .start(SLOT, 0, call, Waker::from(told.clone()));
        let ended = self.drive(&told);
        told.is_over.store(true, SeqCst);
        let Guest {
            sandboxes, reactor, ..
        } = self;
        drop(sandboxes);
        reactor.stop();
        ended
    }

    fn drive(&mut self, told: &Told) -> Ended {
        let mut ran_ns = 0;
        loop {
            let begun_ns = Monotonic.now_ns();
            if let Some(signal) = told.signal() {
                return Ended::Interrupted(self.sandboxes.discard(SLOT), signal);
            }
            if self.cpu_limit_ns.is_some_and(|limit_ns| ran_ns >= limit_ns) {
                return Ended::CpuLimit(self.sandboxes.discard(SLOT));
            }
            self.begin_slice(begun_ns, ran_ns);
            // What came before the slice began has found nothing to time.
            if told.signal().is_some() {
                self.sandboxes.arm();
            }
            let step = self.sandboxes.resume(SLOT);
            ran_ns += Monotonic.now_ns() - begun_ns;
            match step {
                Step::Finished(outcome) => return Ended::Finished(outcome),
                Step::Preempted | Step::Yielded => {}
                Step::Blocked => told.wait(),
            }
        }
    }

    fn begin_slice(&mut self, now_ns: Nanos, ran_ns: Nanos) {
        let notice_ns = RUN_NOTICE.as_nanos() as Nanos;
        let alone = Contention::Uncontended { bar: 0 };
        self.sandboxes.begin_slice(now_ns + notice_ns, alone);
        if let Some(limit_ns) = self.cpu_limit_ns {
            self.sandboxes
                .limit(now_ns.saturating_add(limit_ns - ran_ns));
        }
    }
}

impl Told {
    fn signal(&self) -> Option<u8> {
        u8::try_from(self.signal.load(SeqCst))
            .ok()
            .filter(|&it| it > 0)
    }

    /// Sleeps until the guest is woken or shall end.
    fn wait(&self) {
        while !self.woken.swap(false, SeqCst) && self.signal().is_none() {
            thread::park();
        }
    }
}

/// Has signals end the guest, whose output so far is written then. A second one, or one that comes when there
/// is only output to be written, ends the process as it would have without this.
fn listen(told: Arc<Told>, alarm: Arc<dyn Interrupt>) {
    let mut signals = match Signals::new([SIGINT, SIGTERM, SIGHUP]) {
        Ok(signals) => signals,
        Err(error) => return tracing::warn!(%error, "signals end the run at once"),
    };
    // Ends with the process.
    thread::spawn(move || {
        for signal in signals.forever() {
            if told.is_over.load(SeqCst) || told.signal.swap(signal, SeqCst) != 0 {
                end_by(signal);
            }
            alarm.cancel();
            told.driver.unpark();
        }
    });
}

fn end_by(signal: i32) {
    if emulate_default_handler(signal).is_err() {
        std::process::abort();
    }
}
