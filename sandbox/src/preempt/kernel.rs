//! The kernel's timer, its signal, and the same signal from a watcher: all `unsafe` of preemption, and
//! why it is sound.
//!
//! Knows nothing of slices: what an expiry means is `Shared::expired`. There are two handlers, each with
//! a signal of its own: one requests, the other may suspend the guest that it interrupted, for which
//! `signal` holds the argument. Here is what they have in common. A watcher sends the second only.
//!
//! # Safety argument
//!
//! 1. *What the handlers touch.* Atomics of [`Shared`], `clock_gettime`, `timer_settime` (both
//!    async-signal-safe by POSIX.1-2017 §2.4.3) and `Engine::increment_epoch` (documented as such by
//!    wasmtime), and what `gate` adds. No lock, no allocation, no thread-local that has to be made first;
//!    errno is put back. Nothing in it panics.
//! 2. *Where they run.* The one that requests with `SA_ONSTACK`: on the thread's alternate stack (every
//!    Rust thread has one), never on a fiber's. The one that suspends without: on the stack that it
//!    interrupted, which is a fiber's, the thread's, or the alternate one under another handler; all
//!    have the room. Its signal is one of a worker's timer or its watcher and sent to no other thread.
//! 3. *The pointer it gets* is that of the `Shared` which [`super::Timer`] keeps alive. The timer is
//!    made with `SIGEV_THREAD_ID` for the thread that makes it, and `Timer` cannot leave that thread
//!    (it is not `Send`). Its drop, on that thread, deletes the timer before it lets go of `Shared`.
//!    The kernel delivers a pending signal that is not blocked before a system call returns,
//!    `timer_delete` included, and the signal was unblocked for this thread. So no expiry can find
//!    `Shared` gone. A watcher's signal has the pointer of the same `Shared`, and the same drop makes a
//!    system call after the last of them was sent. A handler that suspended its guest holds the pointer
//!    until the guest is resumed: the runtime that does so keeps `Shared` alive, with or without a timer.
//! 4. *Who may arm.* POSIX timers belong to the process. Another thread calls `timer_settime`
//!    only between `arming += 1` and `arming -= 1`, and only if it took a token in between. Drop
//!    sets the token to 0 and waits for `arming == 0` before it deletes: a later comer finds no
//!    token. So no id is used after its deletion, when it might name another's timer. In the same way
//!    a watcher sends its signal only between the two, and only if it saw a slice in between: drop ends
//!    the slice before it waits. So no thread id is used after the thread's end, when it might name
//!    another. A `Timer` that is never dropped keeps `Shared` for ever; a stranger that gets its
//!    thread's id, and a signal with it, polls no sandbox of it: the handler stops nobody.
//! 5. *Forged signals.* The handler takes the pointer only from `SI_TIMER`, which the kernel makes, and
//!    from a code of our own, which nobody else uses: not that of `sigqueue`, whose value means
//!    something else to whoever else sends it. A process of the same user could forge both, but such a
//!    process may write to this one's memory anyway.

use std::io;
use std::mem::MaybeUninit;
use std::sync::{Arc, OnceLock};

use super::signal::{self, Registers};
use super::{Shared, TimerError, gate};
use crate::settings::Preemption;

/// Real-time signals above the first one: leaves room for what else a process may use. For the handler
/// that requests, for the one that suspends, and for the gate's.
const SIGNALS_ABOVE_MIN: [libc::c_int; 3] = [3, 4, 5];

/// `si_code` of a watcher's signal. Negative, as codes that the kernel does not make must be.
const SI_WATCHER: libc::c_int = -0x6c75;

const NS_PER_S: u64 = 1_000_000_000;

/// A POSIX timer that signals the thread which made it.
#[derive(Debug)]
pub(super) struct KernelTimer(libc::timer_t);

// SAFETY: a timer's id is a number in pointer's clothing; the kernel lets any thread of the
// process use it. That none does after its deletion is point 4 of the safety argument.
unsafe impl Send for KernelTimer {}
// SAFETY: as above; concurrent `timer_settime` calls are ordered by the kernel.
unsafe impl Sync for KernelTimer {}

impl KernelTimer {
    /// Makes a disarmed timer whose expiries call [`Shared::expired`] on the calling thread.
    pub(super) fn new(shared: &Arc<Shared>) -> Result<KernelTimer, TimerError> {
        let suspends = shared.preemption == Preemption::Signal;
        receive_signal(suspends)?;
        // SAFETY: `sigevent` is a C struct for which all zeroes is a value.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = signal_number(suspends);
        event.sigev_value = libc::sigval {
            sival_ptr: Arc::as_ptr(shared).cast_mut().cast(),
        };
        // SAFETY: no arguments, cannot fail.
        event.sigev_notify_thread_id = unsafe { libc::gettid() };
        let mut timer = MaybeUninit::<libc::timer_t>::uninit();
        // SAFETY: both pointers are valid for the call; `timer` is written when it succeeds. The
        // pointer in `event` is used only by the handler: point 3 of the safety argument.
        unsafe {
            let status = libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, timer.as_mut_ptr());
            match status {
                0 => Ok(KernelTimer(timer.assume_init())),
                _ => Err(failed("timer_create", io::Error::last_os_error())),
            }
        }
    }

    /// Lets the timer expire once, at `at_ns` on CLOCK_MONOTONIC or at once if that is past; 0
    /// disarms it. Replaces what was set before. Async-signal-safe.
    pub(super) fn set(&self, at_ns: u64) {
        let once = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let at = libc::timespec {
            tv_sec: (at_ns / NS_PER_S) as libc::time_t,
            tv_nsec: (at_ns % NS_PER_S) as libc::c_long,
        };
        let spec = libc::itimerspec {
            it_interval: once,
            it_value: at,
        };
        // SAFETY: `spec` is valid for the call, the old value is not asked for, and the timer
        // exists (point 4). It cannot fail: the id and the nanoseconds are in range.
        unsafe { libc::timer_settime(self.0, libc::TIMER_ABSTIME, &spec, std::ptr::null_mut()) };
    }

    /// Deletes the timer, on the thread that made it. When it returns, no expiry is pending: point
    /// 3 of the safety argument.
    pub(super) fn delete(&self) {
        // SAFETY: the timer exists, and its owner is being dropped.
        unsafe { libc::timer_delete(self.0) };
    }

    /// Nanoseconds until the next expiry and between expiries; `(0, 0)` of a disarmed timer.
    #[cfg(test)]
    pub(super) fn remaining_and_period_ns(&self) -> (u64, u64) {
        let mut spec = MaybeUninit::<libc::itimerspec>::uninit();
        // SAFETY: `spec` is written when the call succeeds, which is asserted.
        let spec = unsafe {
            assert_eq!(libc::timer_gettime(self.0, spec.as_mut_ptr()), 0);
            spec.assume_init()
        };
        let ns = |time: libc::timespec| time.tv_sec as u64 * NS_PER_S + time.tv_nsec as u64;
        (ns(spec.it_value), ns(spec.it_interval))
    }
}

/// The thread that a watcher signals.
#[derive(Debug)]
pub(super) struct Target {
    process: libc::pid_t,
    thread: libc::pid_t,
}

/// What a queued signal carries: `siginfo_t` with its union's `_rt`, as all architectures but MIPS have it.
#[repr(C)]
struct Queued {
    signal: libc::c_int,
    errno: libc::c_int,
    code: libc::c_int,
    sender: Sender,
}

#[repr(C)]
struct Sender {
    process: libc::pid_t,
    user: libc::uid_t,
    value: *mut libc::c_void,
}

const _: () = assert!(size_of::<Queued>() <= size_of::<libc::siginfo_t>());

impl Target {
    /// The calling thread, which from now on takes the signal that suspends its guest.
    pub(super) fn new() -> Result<Target, TimerError> {
        receive_signal(true)?;
        // SAFETY: no arguments, cannot fail.
        let (process, thread) = unsafe { (libc::getpid(), libc::gettid()) };
        Ok(Target { process, thread })
    }

    /// Lets the handler run on the thread as if a timer had expired. Says false if the kernel has no
    /// room for the signal now (`RLIMIT_SIGPENDING`). Only as point 4 has it.
    pub(super) fn signal(&self, shared: &Shared) -> bool {
        let signal = signal_number(true);
        let queued = Queued {
            signal,
            errno: 0,
            code: SI_WATCHER,
            sender: Sender {
                process: self.process,
                // Nobody looks at it.
                user: 0,
                value: std::ptr::from_ref(shared).cast_mut().cast(),
            },
        };
        // SAFETY: `siginfo_t` is a C struct for which all zeroes is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: `info` has the room, and may hold any bytes. The call reads it, and the thread exists
        // (point 4). The pointer in it is used only by the handler: point 3.
        let status = unsafe {
            std::ptr::from_mut(&mut info).cast::<Queued>().write(queued);
            let number = libc::SYS_rt_tgsigqueueinfo;
            libc::syscall(number, self.process, self.thread, signal, &raw const info)
        };
        status == 0
    }
}

/// Takes what signals are pending for the calling thread: the kernel delivers them before a system
/// call returns.
pub(super) fn take_pending() {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::sched_yield() };
}

/// Nanoseconds on CLOCK_MONOTONIC, the clock of all slices. Async-signal-safe.
pub fn monotonic_ns() -> u64 {
    let mut now = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `now` is a valid place for a timespec. The call cannot fail for this clock, which
    // Linux always has, so it is written.
    let now = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, now.as_mut_ptr());
        now.assume_init()
    };
    now.tv_sec as u64 * NS_PER_S + now.tv_nsec as u64
}

/// Counts up steadily while a thread runs on; for parts of a slice, which need not be known in nanoseconds. Where
/// there is no cheaper counter, [`monotonic_ns`].
pub(crate) fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a counter that every x86-64 processor has; where the kernel has forbidden it (PR_SET_TSC,
    // which nobody does here), the process gets a signal and no wrong value.
    return unsafe { std::arch::x86_64::_rdtsc() };
    #[cfg(not(target_arch = "x86_64"))]
    return monotonic_ns();
}

fn signal_number(suspends: bool) -> libc::c_int {
    libc::SIGRTMIN() + SIGNALS_ABOVE_MIN[usize::from(suspends)]
}

/// The signal that the gate sends to its own thread.
pub(super) fn gate_signal() -> libc::c_int {
    libc::SIGRTMIN() + SIGNALS_ABOVE_MIN[2]
}

/// Lets the calling thread have the handler that requests or the one that suspends.
fn receive_signal(suspends: bool) -> Result<(), TimerError> {
    install_handler(suspends)?;
    if suspends {
        gate::install_handler()?;
    }
    unblock_signals(suspends)
}

/// Installs the handler, once for the process.
fn install_handler(suspends: bool) -> Result<(), TimerError> {
    static INSTALLED: [OnceLock<Result<(), i32>>; 2] = [OnceLock::new(), OnceLock::new()];
    let installed = INSTALLED[usize::from(suspends)].get_or_init(|| {
        let (handler, flags) = match suspends {
            // The handler may be left for long: its signal must not stay blocked meanwhile.
            true => (on_expiry_suspend as *const () as usize, libc::SA_NODEFER),
            false => (on_expiry_request as *const () as usize, libc::SA_ONSTACK),
        };
        // SAFETY: the handlers may run anywhere: points 1 and 2.
        unsafe { handle(signal_number(suspends), handler, flags) }
    });
    installed.map_err(|errno| failed("sigaction", io::Error::from_raw_os_error(errno)))
}

/// Installs a handler of three arguments; gives the errno if that fails.
///
/// # Safety
///
/// `handler` is one, and may run wherever `signal` is delivered.
pub(super) unsafe fn handle(
    signal: libc::c_int,
    handler: usize,
    flags: libc::c_int,
) -> Result<(), i32> {
    // SAFETY: `sigaction` is a C struct for which all zeroes is a value: an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | flags;
    // SAFETY: `action` is valid for the call, its handler by the caller's promise.
    match unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
    }
}

/// Lets the calling thread receive our signals, whatever mask it inherited.
fn unblock_signals(suspends: bool) -> Result<(), TimerError> {
    let mut signals = vec![signal_number(suspends)];
    signals.extend(suspends.then(gate_signal));
    for signal in signals {
        if let Err(errno) = mask(libc::SIG_UNBLOCK, signal) {
            let error = io::Error::from_raw_os_error(errno);
            return Err(failed("pthread_sigmask", error));
        }
    }
    Ok(())
}

/// Blocks or unblocks one signal for the calling thread; gives the errno if that fails.
/// Async-signal-safe.
pub(super) fn mask(how: libc::c_int, signal: libc::c_int) -> Result<(), i32> {
    let mut ours = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initializes the set, the others read it; the old mask is not asked for.
    let errno = unsafe {
        libc::sigemptyset(ours.as_mut_ptr());
        libc::sigaddset(ours.as_mut_ptr(), signal);
        libc::pthread_sigmask(how, ours.as_ptr(), std::ptr::null_mut())
    };
    match errno {
        0 => Ok(()),
        errno => Err(errno),
    }
}

extern "C" fn on_expiry_request(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a valid `info` with SA_SIGINFO.
    unsafe {
        let Some(shared) = shared(info) else { return };
        preserving_errno(|| {
            if shared.expired() {
                shared.request_check();
            }
        });
    }
}

extern "C" fn on_expiry_suspend(
    _: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel gives a valid `info` and `context` with SA_SIGINFO, and this handler was
    // installed without SA_ONSTACK.
    unsafe {
        let Some(shared) = shared(info) else { return };
        preserving_errno(|| {
            let registers = Registers::new(context);
            if shared.expired() && !signal::interrupt(shared, &registers) {
                shared.request_return(&registers);
            }
        });
    }
}

/// What an expiry is for; `None` if somebody else sent the signal.
///
/// # Safety
///
/// Runs in a handler of the timer's signal, with the `info` that the kernel gave it.
unsafe fn shared<'a>(info: *mut libc::siginfo_t) -> Option<&'a Shared> {
    // SAFETY: for these codes the value of `info` is the pointer that `KernelTimer::new` or
    // `Target::signal` set, valid as long as the timer and while a guest is suspended: points 3 and 5.
    unsafe {
        let is_expiry = matches!((*info).si_code, libc::SI_TIMER | SI_WATCHER);
        is_expiry.then(|| &*(*info).si_value().sival_ptr.cast::<Shared>())
    }
}

/// Runs `then` in a handler, which must leave errno as it was.
pub(super) fn preserving_errno(then: impl FnOnce()) {
    // SAFETY: errno is the thread's own, and a guest is resumed on the thread that it was
    // interrupted on.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        then();
        *errno = before;
    }
}

fn failed(call: &'static str, source: io::Error) -> TimerError {
    TimerError::Kernel { call, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_is_preserved() {
        let errno = || io::Error::last_os_error().raw_os_error();
        // SAFETY: no descriptor is -1, so that nothing is closed.
        unsafe { libc::close(-1) };
        let before = errno();
        let mut within = None;
        preserving_errno(|| {
            // SAFETY: a signal that does not exist is sent to nobody.
            unsafe { libc::kill(0, -1) };
            within = errno();
        });
        assert_eq!((before, within), (Some(libc::EBADF), Some(libc::EINVAL)));
        assert_eq!(errno(), before);
    }
}
