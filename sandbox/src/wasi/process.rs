//! Exit, signals, yield and random numbers.
//!
//! A signal never becomes one of the host: it ends the sandbox or does nothing. Yield and long
//! random requests return to the worker, which decides who is next.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use wasmtime::{Caller, Linker};

use super::{Errno, PREVIEW_1, Refusal, answer, memory, timed_async};
use crate::call::End;
use crate::limits::RANDOM_CHUNK_BYTES;
use crate::preempt::Suspension;
use crate::state::State;

/// Returns to the worker once, without asking to be woken: the worker knows why.
#[derive(Default)]
pub(crate) struct ReturnOnce {
    returned: bool,
}

impl Future for ReturnOnce {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match std::mem::replace(&mut self.returned, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

pub(super) fn add_to(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        PREVIEW_1,
        "proc_exit",
        |code: i32| -> wasmtime::Result<()> { Err(wasmtime::Error::new(End::Exit(code))) },
    )?;
    linker.func_wrap(
        PREVIEW_1,
        "proc_raise",
        |mut caller: Caller<'_, State>, signal: i32| answer(proc_raise(caller.data_mut(), signal)),
    )?;
    linker.func_wrap_async(
        PREVIEW_1,
        "sched_yield",
        |caller: Caller<'_, State>, (): ()| {
            Box::new(async move {
                caller.data().slot.worker.suspend(Suspension::Yielded);
                ReturnOnce::default().await;
                0
            })
        },
    )?;
    linker.func_wrap_async(
        PREVIEW_1,
        "random_get",
        |mut caller: Caller<'_, State>, (at, len): (i32, i32)| {
            Box::new(
                async move { timed_async!(caller, random_get(&mut caller, at as u32, len as u32)) },
            )
        },
    )?;
    Ok(())
}

/// What a signal does, with its name.
#[derive(Debug, Clone, Copy)]
enum Signal {
    Ends(&'static str),
    IsIgnored(&'static str),
}

/// The signals of preview 1 by number; each does what POSIX has it do by default.
#[rustfmt::skip]
const SIGNALS: [Signal; 31] = {
    use Signal::{Ends, IsIgnored};
    [
        // Asks whether one could raise another.
        IsIgnored("no signal"),
        Ends("SIGHUP"), Ends("SIGINT"), Ends("SIGQUIT"), Ends("SIGILL"), Ends("SIGTRAP"), Ends("SIGABRT"),
        Ends("SIGBUS"), Ends("SIGFPE"), Ends("SIGKILL"), Ends("SIGUSR1"), Ends("SIGSEGV"), Ends("SIGUSR2"),
        Ends("SIGPIPE"), Ends("SIGALRM"), Ends("SIGTERM"),
        IsIgnored("SIGCHLD"), IsIgnored("SIGCONT"),
        // Nobody could continue a stopped sandbox.
        Ends("SIGSTOP"), Ends("SIGTSTP"), Ends("SIGTTIN"), Ends("SIGTTOU"),
        IsIgnored("SIGURG"),
        Ends("SIGXCPU"), Ends("SIGXFSZ"), Ends("SIGVTALRM"), Ends("SIGPROF"),
        IsIgnored("SIGWINCH"),
        Ends("SIGPOLL"), Ends("SIGPWR"), Ends("SIGSYS"),
    ]
};

fn proc_raise(state: &mut State, signal: i32) -> Result<(), Refusal> {
    let index = usize::try_from(signal).ok();
    match index.and_then(|index| SIGNALS.get(index)) {
        None => Err(Errno::Inval.into()),
        Some(Signal::Ends(name)) => Err(End::Raised(name).into()),
        Some(Signal::IsIgnored(name)) => {
            // Once: a guest may raise without end.
            if !std::mem::replace(&mut state.raised, true) {
                let (function, request_id) = (&state.profile.name, state.call.request_id);
                tracing::info!(function, request_id, "raised {name}, which does nothing");
            }
            Ok(())
        }
    }
}

async fn random_get(caller: &mut Caller<'_, State>, at: u32, len: u32) -> Result<(), Refusal> {
    // The whole range first; a guest's memory never shrinks.
    memory::of(caller)?.0.slice(at, len)?;
    let mut filled = 0;
    while filled < len {
        let (mut memory, state) = memory::of(caller)?;
        let chunk = (len - filled).min(RANDOM_CHUNK_BYTES as u32);
        getrandom::fill(memory.slice_mut(at + filled, chunk)?).map_err(|_| Errno::Io)?;
        filled += chunk;
        if state.slot.worker.take_request() {
            state.slot.worker.suspend(Suspension::Preempted);
            ReturnOnce::default().await;
        }
    }
    Ok(())
}
