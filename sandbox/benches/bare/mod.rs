//! What the kernel's own part of a preemption costs: a timer's signal, and one from another thread, to a handler
//! that does next to nothing, on a thread that runs no guest. Measured beside the real thing, in the same run.
//!
//! # Safety argument
//!
//! The handler reads the clock and stores into two atomics, all of which is async-signal-safe; it takes nothing
//! from its arguments. The timer belongs to the thread that made it and is deleted when it is dropped; it is not
//! `Send`. A signal is sent only by a thread that the [`Timer`]'s thread has started and joins before it ends. The
//! signal is none of those that the sandboxes use, and both numbers are in range.

#![expect(unsafe_code, reason = "system calls and a signal handler")]

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use sandbox::monotonic_ns;

/// Beyond those of the sandboxes.
const SIGNAL_ABOVE_MIN: libc::c_int = 8;

const NS_PER_S: u64 = 1_000_000_000;

static COUNT: AtomicU64 = AtomicU64::new(0);
static CAME_NS: AtomicU64 = AtomicU64::new(0);

/// The calling thread's timer, whose expiries only call the handler.
pub struct Timer {
    timer: libc::timer_t,
    not_send: PhantomData<*const ()>,
}

/// A thread that can be sent the signal.
#[derive(Clone, Copy)]
pub struct Target {
    process: libc::pid_t,
    thread: libc::pid_t,
}

/// How often the handler ran.
pub fn count() -> u64 {
    COUNT.load(SeqCst)
}

/// When it last ran.
pub fn came_ns() -> u64 {
    CAME_NS.load(SeqCst)
}

fn signal() -> libc::c_int {
    libc::SIGRTMIN() + SIGNAL_ABOVE_MIN
}

extern "C" fn on_signal(_: libc::c_int) {
    CAME_NS.store(monotonic_ns(), SeqCst);
    COUNT.fetch_add(1, SeqCst);
}

impl Timer {
    pub fn new() -> Timer {
        let mut timer = MaybeUninit::uninit();
        // SAFETY: both structs may be all zeroes; every pointer is valid for its call; `timer` is written when the
        // call succeeds, which is asserted. The handler may run anywhere.
        let timer = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            assert_eq!(libc::sigaction(signal(), &action, std::ptr::null_mut()), 0);
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = signal();
            event.sigev_notify_thread_id = libc::gettid();
            let made = libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, timer.as_mut_ptr());
            assert_eq!(made, 0);
            timer.assume_init()
        };
        Timer {
            timer,
            not_send: PhantomData,
        }
    }

    /// Expires at `at_ns` on CLOCK_MONOTONIC, and then every `period_ns`; 0: only once. `at_ns` 0: never again.
    pub fn set(&self, at_ns: u64, period_ns: u64) {
        let spec = libc::itimerspec {
            it_interval: timespec(period_ns),
            it_value: timespec(at_ns),
        };
        // SAFETY: the timer exists, and `spec` is valid for the call.
        let status = unsafe {
            libc::timer_settime(self.timer, libc::TIMER_ABSTIME, &spec, std::ptr::null_mut())
        };
        assert_eq!(status, 0);
    }

    /// This thread.
    pub fn target(&self) -> Target {
        // SAFETY: no arguments, cannot fail.
        let (process, thread) = unsafe { (libc::getpid(), libc::gettid()) };
        Target { process, thread }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: the timer exists, and this is its end.
        unsafe { libc::timer_delete(self.timer) };
    }
}

impl Target {
    /// Sends it the signal.
    pub fn signal(self) {
        // SAFETY: no pointers; the thread exists, see the safety argument.
        let status =
            unsafe { libc::syscall(libc::SYS_tgkill, self.process, self.thread, signal()) };
        assert_eq!(status, 0);
    }
}

fn timespec(ns: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: (ns / NS_PER_S) as libc::time_t,
        tv_nsec: (ns % NS_PER_S) as libc::c_long,
    }
}
