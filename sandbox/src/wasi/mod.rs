//! What guests may call: WASI preview 1.
//!
//! The breadth comes from wasmtime-wasi, whose context is made when a guest first needs it. The
//! calls on every request's path (stdio, arguments, exit) and those that mean something to the
//! scheduler (yield, CPU time, bounded work) are our own, put on top of it in the same linker.
//! There are no preopened directories and no sockets: beyond stdio no descriptor exists.
//!
//! Of our own calls: a pointer or length that does not lie within the guest's memory is EFAULT for
//! that guest, before anything has been read or written.

mod arguments;
mod clock;
mod memory;
mod process;
mod stdio;

use wasmtime::{Engine, Linker};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::WasiP1Ctx;

use crate::state::State;

pub(crate) use process::ReturnOnce;
pub(crate) use stdio::Stdio;

/// The module that preview 1 imports come from.
const PREVIEW_1: &str = "wasi_snapshot_preview1";

/// Our own calls. What a module imports beyond them may wait on the reactor.
const OWN: [&str; 19] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_close",
    "fd_fdstat_get",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_read",
    "fd_renumber",
    "fd_seek",
    "fd_tell",
    "fd_write",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
];

/// Whether an import is one of our own calls.
pub(crate) fn is_own(module: &str, name: &str) -> bool {
    module == PREVIEW_1 && OWN.contains(&name)
}

/// Whether an import shows the guest its environment.
pub(crate) fn is_environment(module: &str, name: &str) -> bool {
    module == PREVIEW_1 && matches!(name, "environ_get" | "environ_sizes_get")
}

/// A linker with all that is provided.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, general)?;
    linker.allow_shadowing(true);
    add_own(&mut linker)?;
    Ok(linker)
}

fn add_own(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    arguments::add_to(linker)?;
    clock::add_to(linker)?;
    process::add_to(linker)?;
    stdio::add_to(linker)
}

/// The general implementation's context, with closed stdio and our clock.
fn general(state: &mut State) -> &mut WasiP1Ctx {
    state.wasi.get_or_insert_with(|| {
        let mut builder = WasiCtxBuilder::new();
        builder.monotonic_clock(clock::Monotonic);
        Box::new(builder.build_p1())
    })
}

/// The errors of preview 1 that our own calls give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Errno {
    Badf = 8,
    Fault = 21,
    Inval = 28,
    Io = 29,
    Spipe = 70,
}

/// How a call of ours ends other than with success.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// With an error for the guest.
    Errno(Errno),
    /// With the end of the guest.
    End(wasmtime::Error),
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        Refusal::Errno(errno)
    }
}

impl From<crate::call::End> for Refusal {
    fn from(end: crate::call::End) -> Refusal {
        Refusal::End(wasmtime::Error::new(end))
    }
}

/// A call's result as wasmtime wants it: the errno for the guest, or the error that ends it.
fn answer(result: Result<(), Refusal>) -> wasmtime::Result<i32> {
    match result {
        Ok(()) => Ok(0),
        Err(Refusal::Errno(errno)) => Ok(errno as i32),
        Err(Refusal::End(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use wasmtime::Store;

    #[test]
    fn the_list_of_our_own_calls_is_true() {
        let engine = Settings::default().compiler().expect("an engine");
        let mut linker = Linker::new(&engine);
        add_own(&mut linker).expect("adds");
        let mut store = Store::new(&engine, State::bare(&engine));
        let mut names: Vec<_> = linker.iter(&mut store).map(|(_, name, _)| name).collect();
        names.sort_unstable();
        assert_eq!(names, OWN);
    }
}
