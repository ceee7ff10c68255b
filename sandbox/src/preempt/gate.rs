//! Stops a guest where it comes back from a host call: for slices that end while it is in one.
//!
//! An expiry that finds the guest in host code cannot suspend it there, and to try again by time is
//! to throw dice: a guest that fills its memory again and again is in the host but for a few
//! instructions, and might hold its worker for minutes; and where a timer's expiry is dear, a second
//! one costs more than all that follows here. So the gate is shut:
//!
//! ```text
//!   host code            trampoline
//!   … ──── returns ────► SIGSEGV, on the alternate stack: opens the gate, sends the gate's signal
//!                        gate's signal, on the fiber's stack: the guest is suspended
//! ```
//!
//! The gate is the right to execute the pages of the guest's module. It costs two `mprotect`, a fault
//! and a signal.
//!
//! # Safety argument
//!
//! 1. *Whose pages.* Those of the text of the module whose guest is being polled, in the mapping of this
//!    worker's engine (each engine maps its modules itself): no other thread executes them. Their
//!    rights are read and execute before and after, and read while the gate is shut, so that who reads
//!    code (wasmtime's handler does not) still may.
//! 2. *The gate is open when it must be.* It is shut only while the sandbox is polled and opened by the
//!    first return into the module, or when the poll has returned ([`Shared::polling`]): first the guest
//!    is forgotten, so that no expiry shuts the gate any more, then it is opened. Wasm runs only within
//!    polls. If it cannot be opened there is no code to go on with: the process is aborted.
//! 3. *The fault* is told from a guest's own by its address: that of an instruction in the shut pages. It
//!    is taken by the store's own signal handler (`StoreExt::set_signal_handler`, made for this), which
//!    wasmtime calls on the alternate stack before it looks at a fault. It touches atomics, calls
//!    `mprotect`, and sends a signal to its own thread; all are system calls without state.
//! 4. *The gate's signal* is blocked while it is sent and stays so until the handler of the fault
//!    returns, which puts the interrupted code's mask back: it is delivered there, before the
//!    instruction that has faulted is tried again. Its handler, like that of the timer, is without
//!    `SA_ONSTACK`, and suspends the guest as that would, where `signal` (point 10) says that it may.

use std::cell::Cell;
use std::ffi::c_void;
use std::io;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;

use super::signal::{Guest, Registers, interrupt_return, returns_to_body};
use super::{Shared, TimerError, kernel};

thread_local! {
    /// Whose guest has come back to its module, between the fault and the signal; null: nobody's.
    static RETURNING: Cell<*const Shared> = const { Cell::new(ptr::null()) };
}

/// Shuts the gate before the guest that is being polled, which was found at `registers`. Says whether
/// it is shut: not before a guest within its module, or that has not begun. In the handler.
pub(super) fn shut(shared: &Shared, registers: &Registers) -> bool {
    // SAFETY: set only while the runtime polls the guest's sandbox, whose slot holds it.
    let guest = unsafe { shared.polled.load(SeqCst).as_ref() };
    let Some(guest) = guest.filter(|guest| guest.is_prepared() && !is_within(guest, registers))
    else {
        return false;
    };
    let is_shut = protect(guest, libc::PROT_READ);
    shared.is_shut.store(is_shut, SeqCst);
    is_shut
}

/// Opens the gate before `guest`, if it is shut.
pub(super) fn open(shared: &Shared, guest: &Guest) {
    if !shared.is_shut.load(SeqCst) {
        return;
    }
    shared.is_shut.store(false, SeqCst);
    if !protect(guest, libc::PROT_READ | libc::PROT_EXEC) {
        std::process::abort();
    }
}

fn protect(guest: &Guest, rights: libc::c_int) -> bool {
    let (text, bytes) = guest.text();
    // SAFETY: the pages of a module that is alive, and its rights may change: points 1 and 2.
    !text.is_null() && unsafe { libc::mprotect(text.cast_mut().cast(), bytes, rights) } == 0
}

fn is_within(guest: &Guest, registers: &Registers) -> bool {
    let (text, bytes) = guest.text();
    (text as usize..text as usize + bytes).contains(&registers.pc())
}

/// Installs the handler for returns, once for the process.
pub(super) fn install_handler() -> Result<(), TimerError> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        let handler = on_return as *const () as usize;
        // SAFETY: the handler is what its signal needs: point 4.
        unsafe { kernel::handle(kernel::gate_signal(), handler, libc::SA_NODEFER) }
    });
    installed.map_err(|errno| TimerError::Kernel {
        call: "sigaction",
        source: io::Error::from_raw_os_error(errno),
    })
}

/// A fault while a guest of `shared` runs: takes it if it is the gate's.
///
/// # Safety
///
/// Runs in a handler of `signal`, with the `context` that the kernel gave it.
pub(super) unsafe fn faulted(shared: &Shared, signal: libc::c_int, context: *mut c_void) -> bool {
    if signal != libc::SIGSEGV || !shared.is_shut.load(SeqCst) {
        return false;
    }
    // SAFETY: see `shut`.
    let guest = unsafe { shared.polled.load(SeqCst).as_ref() };
    // SAFETY: the kernel gave it.
    let registers = unsafe { Registers::new(context) };
    let Some(guest) = guest.filter(|guest| is_within(guest, &registers)) else {
        return false;
    };
    open(shared, guest);
    if !(returns_to_body(shared, &registers) && signal_return(shared)) {
        shared.retry();
    }
    true
}

/// Sends the gate's signal to the calling thread, for when the handler that runs has returned.
fn signal_return(shared: &Shared) -> bool {
    let signal = kernel::gate_signal();
    if kernel::mask(libc::SIG_BLOCK, signal).is_err() {
        return false;
    }
    RETURNING.set(shared);
    // SAFETY: a signal to one's own thread, which has a handler for it.
    unsafe { libc::pthread_kill(libc::pthread_self(), signal) == 0 }
}

extern "C" fn on_return(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: set only while its guest is being polled, a moment ago.
    let Some(shared) = (unsafe { RETURNING.replace(ptr::null()).as_ref() }) else {
        // Somebody else has sent it.
        return;
    };
    kernel::preserving_errno(|| {
        // SAFETY: the kernel gives a valid `context`; this handler is without SA_ONSTACK.
        unsafe {
            let registers = Registers::new(context);
            if shared.is_requested() && !interrupt_return(shared, &registers) {
                shared.retry();
            }
        }
    });
}
