//! Sockets, of which there are none: preview 1 cannot connect, and nobody hands one in.

use wasmtime::{Caller, Linker};

use super::files::is_open;
use super::{Errno, PREVIEW_1};
use crate::state::State;

#[rustfmt::skip]
pub(super) fn add_to(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    type Guest<'a> = Caller<'a, State>;
    linker
        .func_wrap(PREVIEW_1, "sock_accept", |guest: Guest<'_>, fd: i32, _: i32, _: i32| no_socket(&guest, fd))?
        .func_wrap(PREVIEW_1, "sock_recv", |guest: Guest<'_>, fd: i32, _: i32, _: i32, _: i32, _: i32, _: i32| no_socket(&guest, fd))?
        .func_wrap(PREVIEW_1, "sock_send", |guest: Guest<'_>, fd: i32, _: i32, _: i32, _: i32, _: i32| no_socket(&guest, fd))?
        .func_wrap(PREVIEW_1, "sock_shutdown", |guest: Guest<'_>, fd: i32, _: i32| no_socket(&guest, fd))?;
    Ok(())
}

fn no_socket(guest: &Caller<'_, State>, fd: i32) -> i32 {
    match is_open(guest.data(), fd as u32) {
        true => Errno::Notsock as i32,
        false => Errno::Badf as i32,
    }
}
