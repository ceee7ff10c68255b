//! What guests may call: WASI preview 1, all of it. `WASI.md` beside this crate's manifest says of each
//! call how it is done and what tests it.
//!
//! There are two linkers with the same calls. A function without directories has nothing but its three
//! streams: every call is our own, most need not wait, and none needs a context. One with directories has
//! wasmtime-wasi's files ([`files`] says how the two share a table of descriptors). What means something to
//! the scheduler (waiting, yield, CPU time, bounded work) is our own in both.
//!
//! A pointer or length that does not lie within the guest's memory is EFAULT for that guest, before anything
//! has been read or written; one that is not aligned, where that is asked, EINVAL. Exit codes are the
//! guest's own. There are no sockets.
//!
//! The time in calls is counted where there is more to do than to tell a number: to read a clock twice takes longer
//! than that.

mod arguments;
mod clock;
mod files;
mod memory;
mod poll;
mod process;
mod sockets;
mod stdio;

use wasmtime::{Caller, Engine, Linker};

use crate::state::State;

pub(crate) use files::Files;
pub(crate) use process::ReturnOnce;
pub(crate) use stdio::Stdio;

/// The module that preview 1 imports come from.
const PREVIEW_1: &str = "wasi_snapshot_preview1";

/// What a function's guests can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The three streams.
    Streams,
    /// Those, and directories.
    Directories,
}

/// Whether an import shows the guest its environment.
pub(crate) fn is_environment(module: &str, name: &str) -> bool {
    module == PREVIEW_1 && matches!(name, "environ_get" | "environ_sizes_get")
}

/// A linker with all that is provided; the same names and types for either reach.
pub(crate) fn linker(engine: &Engine, reach: Reach) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    arguments::add_to(&mut linker)?;
    clock::add_to(&mut linker)?;
    poll::add_to(&mut linker)?;
    process::add_to(&mut linker)?;
    sockets::add_to(&mut linker)?;
    match reach {
        Reach::Streams => stdio::add_to(&mut linker)?,
        Reach::Directories => files::add_to(&mut linker)?,
    }
    Ok(linker)
}

/// The errors of preview 1 that our own calls give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Errno {
    Badf = 8,
    Fault = 21,
    Inval = 28,
    Io = 29,
    Mfile = 33,
    Nametoolong = 37,
    Nfile = 41,
    Nospc = 51,
    Notdir = 54,
    Notsock = 57,
    Spipe = 70,
}

/// How a call of ours ends other than with success.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// With an error for the guest.
    Errno(Errno),
    /// With one of wasmtime-wasi's.
    General(i32),
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

/// Does a call that has work to do, counts its time, and gives its result as [`answer`] does.
fn timed(
    guest: &mut Caller<'_, State>,
    call: impl FnOnce(&mut Caller<'_, State>) -> Result<(), Refusal>,
) -> wasmtime::Result<i32> {
    guest.data().slot.host_begins();
    let result = call(guest);
    guest.data().slot.host_ends();
    answer(result)
}

/// The same for a call that may wait; what it waits is not counted, as no slice runs then.
macro_rules! timed_async {
    ($guest:ident, $call:expr) => {{
        $guest.data().slot.host_begins();
        let result = $call.await;
        $guest.data().slot.host_ends();
        answer(result)
    }};
}
use timed_async;

/// A call's result as wasmtime wants it: the errno for the guest, or the error that ends it.
fn answer(result: Result<(), Refusal>) -> wasmtime::Result<i32> {
    match result {
        Ok(()) => Ok(0),
        Err(Refusal::Errno(errno)) => Ok(errno as i32),
        Err(Refusal::General(errno)) => Ok(errno),
        Err(Refusal::End(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use wasmtime::{ExternType, Store};

    /// Each call with its type.
    fn calls(linker: &Linker<State>, store: &mut Store<State>) -> Vec<(String, String)> {
        let items: Vec<_> = linker
            .iter(&mut *store)
            .map(|(module, name, item)| (module.to_owned(), name.to_owned(), item))
            .collect();
        let mut calls = Vec::new();
        for (module, name, item) in items {
            assert_eq!(module, PREVIEW_1);
            let ExternType::Func(called) = item.ty(&*store) else {
                panic!("{name} is no function");
            };
            calls.push((name, called.to_string()));
        }
        calls.sort_unstable();
        calls
    }

    /// The calls that `WASI.md` tells of: the first cells of its rows.
    fn told() -> Vec<String> {
        let rows = include_str!("../../WASI.md").lines();
        let cells = rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next());
        let mut names: Vec<_> = cells.map(str::to_owned).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn every_call_of_preview_1_is_there_and_told_of() {
        let engine = Settings::default().compiler().expect("an engine");
        let mut store = Store::new(&engine, State::bare(&engine));
        let mut general = Linker::new(&engine);
        wasmtime_wasi::p1::add_to_linker_async(&mut general, |_: &mut State| {
            unreachable!("nothing is called")
        })
        .expect("adds");
        let general = calls(&general, &mut store);
        assert_eq!(general.len(), 46);
        for reach in [Reach::Streams, Reach::Directories] {
            let linker = linker(&engine, reach).expect("adds");
            assert_eq!(calls(&linker, &mut store), general, "{reach:?}");
        }
        let names: Vec<_> = general.into_iter().map(|(name, _)| name).collect();
        assert_eq!(told(), names);
    }
}
