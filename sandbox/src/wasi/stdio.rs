//! The three streams: the request's body, the response's body, and stderr as the function's configuration
//! has it; and the calls on descriptors of a function that has no directories, for which no other
//! descriptor can exist. Where there are some, [`super::files`] asks here first.
//!
//! Reading and writing move bytes between the guest and the call's buffers and never wait.

use wasmtime::{Caller, Linker};

use super::memory::{self, GuestMemory};
use super::{Errno, PREVIEW_1, Refusal, answer, timed};
use crate::call::End;
use crate::limits::IOVECS_MAX;
use crate::runtime::Stderr;
use crate::state::State;

/// At which descriptor each of the streams is; none if it was closed. A guest can renumber them, but not
/// have two descriptors of one: preview 1 has no `dup`.
#[derive(Debug, Clone)]
pub(crate) struct Stdio([Option<u32>; 3]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdin,
    Stdout,
    Stderr,
}

const STREAMS: [Stream; 3] = [Stream::Stdin, Stream::Stdout, Stream::Stderr];

// Rights of preview 1.
const FD_READ: u64 = 1 << 1;
const FD_WRITE: u64 = 1 << 6;

const FDSTAT_BYTES: usize = 24;
const FDSTAT_RIGHTS_AT: usize = 8;
const FDSTAT_INHERITING_AT: usize = 16;
const FILESTAT_BYTES: usize = 64;

impl Default for Stdio {
    fn default() -> Stdio {
        Stdio([Some(0), Some(1), Some(2)])
    }
}

impl Stdio {
    /// What is at a descriptor.
    pub(super) fn stream(&self, fd: u32) -> Result<Stream, Errno> {
        let at = self.0.iter().position(|at| *at == Some(fd));
        at.map(|at| STREAMS[at]).ok_or(Errno::Badf)
    }

    /// Closes a descriptor, if it is a stream's.
    pub(super) fn close(&mut self, fd: u32) {
        for at in self.0.iter_mut().filter(|at| **at == Some(fd)) {
            *at = None;
        }
    }

    /// Puts what is at `from` to `to`, whose stream, if there is one, is closed.
    pub(super) fn renumber(&mut self, from: u32, to: u32) {
        if from != to {
            self.close(to);
        }
        for at in self.0.iter_mut().filter(|at| **at == Some(from)) {
            *at = Some(to);
        }
    }
}

/// Adds all calls on descriptors and paths, for functions without directories.
#[rustfmt::skip]
pub(super) fn add_to(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    type Guest<'a> = Caller<'a, State>;
    linker
        .func_wrap(PREVIEW_1, "fd_read", |mut guest: Guest<'_>, fd: i32, iovecs: i32, count: i32, read_at: i32| {
            timed(&mut guest, |guest| fd_read(guest, fd as u32, iovecs as u32, count as u32, read_at as u32))
        })?
        .func_wrap(PREVIEW_1, "fd_write", |mut guest: Guest<'_>, fd: i32, iovecs: i32, count: i32, written_at: i32| {
            timed(&mut guest, |guest| fd_write(guest, fd as u32, iovecs as u32, count as u32, written_at as u32))
        })?
        .func_wrap(PREVIEW_1, "fd_fdstat_get", |mut guest: Guest<'_>, fd: i32, at: i32| {
            answer(fd_fdstat_get(&mut guest, fd as u32, at as u32))
        })?
        .func_wrap(PREVIEW_1, "fd_filestat_get", |mut guest: Guest<'_>, fd: i32, at: i32| {
            answer(fd_filestat_get(&mut guest, fd as u32, at as u32))
        })?
        .func_wrap(PREVIEW_1, "fd_close", |mut guest: Guest<'_>, fd: i32| {
            answer(fd_close(guest.data_mut(), fd as u32))
        })?
        .func_wrap(PREVIEW_1, "fd_renumber", |mut guest: Guest<'_>, from: i32, to: i32| {
            answer(fd_renumber(guest.data_mut(), from as u32, to as u32))
        })?
        .func_wrap(PREVIEW_1, "fd_seek", |guest: Guest<'_>, fd: i32, _offset: i64, _whence: i32, _at: i32| {
            answer(on_stream(guest.data(), fd, Errno::Spipe))
        })?
        .func_wrap(PREVIEW_1, "fd_tell", |guest: Guest<'_>, fd: i32, _at: i32| {
            answer(on_stream(guest.data(), fd, Errno::Spipe))
        })?
        .func_wrap(PREVIEW_1, "fd_pread", |guest: Guest<'_>, fd: i32, _: i32, _: i32, _: i64, _: i32| {
            answer(at_position(guest.data(), fd, Stream::Stdin))
        })?
        .func_wrap(PREVIEW_1, "fd_pwrite", |guest: Guest<'_>, fd: i32, _: i32, _: i32, _: i64, _: i32| {
            answer(at_position(guest.data(), fd, Stream::Stdout))
        })?
        .func_wrap(PREVIEW_1, "fd_prestat_get", |_: i32, _: i32| BADF)?
        .func_wrap(PREVIEW_1, "fd_prestat_dir_name", |guest: Guest<'_>, fd: i32, _: i32, _: i32| {
            answer(on_stream(guest.data(), fd, Errno::Notdir))
        })?;
    // What there is for files and directories alone.
    linker
        .func_wrap(PREVIEW_1, "fd_advise", |_: i32, _: i64, _: i64, _: i32| BADF)?
        .func_wrap(PREVIEW_1, "fd_allocate", |_: i32, _: i64, _: i64| BADF)?
        .func_wrap(PREVIEW_1, "fd_datasync", |_: i32| BADF)?
        .func_wrap(PREVIEW_1, "fd_fdstat_set_flags", |_: i32, _: i32| BADF)?
        .func_wrap(PREVIEW_1, "fd_fdstat_set_rights", |_: i32, _: i64, _: i64| BADF)?
        .func_wrap(PREVIEW_1, "fd_filestat_set_size", |_: i32, _: i64| BADF)?
        .func_wrap(PREVIEW_1, "fd_filestat_set_times", |_: i32, _: i64, _: i64, _: i32| BADF)?
        .func_wrap(PREVIEW_1, "fd_readdir", |_: i32, _: i32, _: i32, _: i64, _: i32| BADF)?
        .func_wrap(PREVIEW_1, "fd_sync", |_: i32| BADF)?
        .func_wrap(PREVIEW_1, "path_create_directory", |_: i32, _: i32, _: i32| BADF)?
        .func_wrap(PREVIEW_1, "path_filestat_get", |_: i32, _: i32, _: i32, _: i32, _: i32| BADF)?
        .func_wrap(PREVIEW_1, "path_filestat_set_times", |_: i32, _: i32, _: i32, _: i32, _: i64, _: i64, _: i32| BADF)?
        .func_wrap(PREVIEW_1, "path_link", |_: i32, _: i32, _: i32, _: i32, _: i32, _: i32, _: i32| BADF)?
        .func_wrap(PREVIEW_1, "path_open", |_: i32, _: i32, _: i32, _: i32, _: i32, _: i64, _: i64, _: i32, _: i32| BADF)?
        .func_wrap(PREVIEW_1, "path_readlink", |_: i32, _: i32, _: i32, _: i32, _: i32, _: i32| BADF)?
        .func_wrap(PREVIEW_1, "path_remove_directory", |_: i32, _: i32, _: i32| BADF)?
        .func_wrap(PREVIEW_1, "path_rename", |_: i32, _: i32, _: i32, _: i32, _: i32, _: i32| BADF)?
        .func_wrap(PREVIEW_1, "path_symlink", |_: i32, _: i32, _: i32, _: i32, _: i32| BADF)?
        .func_wrap(PREVIEW_1, "path_unlink_file", |_: i32, _: i32, _: i32| BADF)?;
    Ok(())
}

const BADF: i32 = Errno::Badf as i32;

pub(super) fn fd_read(
    guest: &mut Caller<'_, State>,
    fd: u32,
    iovecs: u32,
    count: u32,
    read_at: u32,
) -> Result<(), Refusal> {
    let (mut memory, state) = memory::of(guest)?;
    if state.stdio.stream(fd)? != Stream::Stdin {
        return Err(Errno::Badf.into());
    }
    check_iovecs(&memory, iovecs, count, read_at)?;
    let mut unread = &state.call.stdin[state.stdin_at..];
    let before = unread.len();
    for index in 0..count {
        let iovec = memory.iovec(iovecs, index)?;
        let buffer = memory.slice_mut(iovec.at, iovec.len)?;
        let (now, later) = unread.split_at(unread.len().min(buffer.len()));
        buffer[..now.len()].copy_from_slice(now);
        unread = later;
    }
    let read = before - unread.len();
    state.stdin_at += read;
    memory.write_u32(read_at, read as u32)?;
    Ok(())
}

pub(super) fn fd_write(
    guest: &mut Caller<'_, State>,
    fd: u32,
    iovecs: u32,
    count: u32,
    written_at: u32,
) -> Result<(), Refusal> {
    let (mut memory, state) = memory::of(guest)?;
    let stream = state.stdio.stream(fd)?;
    let bytes = check_iovecs(&memory, iovecs, count, written_at)?;
    let (into, bytes_max) = match (stream, state.profile.stderr) {
        (Stream::Stdin, _) => return Err(Errno::Badf.into()),
        (Stream::Stdout, _) | (Stream::Stderr, Stderr::Body) => {
            let used = state.call.stdout.len();
            if bytes as usize > state.profile.output_max_bytes.saturating_sub(used) {
                return Err(End::OutputLimit.into());
            }
            (&mut state.call.stdout, usize::MAX)
        }
        (Stream::Stderr, Stderr::Log) => (&mut state.call.stderr, state.profile.log_max_bytes),
        (Stream::Stderr, Stderr::Drop) => (&mut state.call.stderr, 0),
    };
    for index in 0..count {
        let iovec = memory.iovec(iovecs, index)?;
        let from = memory.slice(iovec.at, iovec.len)?;
        let kept = from.len().min(bytes_max.saturating_sub(into.len()));
        into.extend_from_slice(&from[..kept]);
    }
    memory.write_u32(written_at, bytes)?;
    Ok(())
}

/// Checks an array of vectors, all that they point at and the place for the result. Gives the sum
/// of their lengths.
pub(super) fn check_iovecs(
    memory: &GuestMemory<'_>,
    iovecs: u32,
    count: u32,
    result_at: u32,
) -> Result<u32, Errno> {
    if count > IOVECS_MAX {
        return Err(Errno::Inval);
    }
    memory.slice(result_at, 4)?;
    let mut bytes: u32 = 0;
    for index in 0..count {
        let iovec = memory.iovec(iovecs, index)?;
        memory.slice(iovec.at, iovec.len)?;
        bytes = bytes.checked_add(iovec.len).ok_or(Errno::Inval)?;
    }
    Ok(bytes)
}

pub(super) fn fd_fdstat_get(
    guest: &mut Caller<'_, State>,
    fd: u32,
    at: u32,
) -> Result<(), Refusal> {
    let (mut memory, state) = memory::of(guest)?;
    let rights = match state.stdio.stream(fd)? {
        Stream::Stdin => FD_READ,
        Stream::Stdout | Stream::Stderr => FD_WRITE,
    };
    // Type unknown (a pipe has no other in preview 1), no flags, the same rights to inherit.
    let mut fdstat = [0; FDSTAT_BYTES];
    for at in [FDSTAT_RIGHTS_AT, FDSTAT_INHERITING_AT] {
        fdstat[at..at + 8].copy_from_slice(&rights.to_le_bytes());
    }
    memory.write(at, &fdstat)?;
    Ok(())
}

/// All zero: nothing is known of a pipe.
fn fd_filestat_get(guest: &mut Caller<'_, State>, fd: u32, at: u32) -> Result<(), Refusal> {
    let (mut memory, state) = memory::of(guest)?;
    state.stdio.stream(fd)?;
    memory.write(at, &[0; FILESTAT_BYTES])?;
    Ok(())
}

fn fd_close(state: &mut State, fd: u32) -> Result<(), Refusal> {
    state.stdio.stream(fd)?;
    state.stdio.close(fd);
    Ok(())
}

fn fd_renumber(state: &mut State, from: u32, to: u32) -> Result<(), Refusal> {
    state.stdio.stream(from)?;
    state.stdio.stream(to)?;
    state.stdio.renumber(from, to);
    Ok(())
}

/// What a stream is no good for.
pub(super) fn on_stream(state: &State, fd: i32, errno: Errno) -> Result<(), Refusal> {
    state.stdio.stream(fd as u32)?;
    Err(errno.into())
}

/// A pipe has no position to read from, which is told to who could read at all.
fn at_position(state: &State, fd: i32, direction: Stream) -> Result<(), Refusal> {
    let is_input = state.stdio.stream(fd as u32)? == Stream::Stdin;
    let errno = match is_input == (direction == Stream::Stdin) {
        true => Errno::Spipe,
        false => Errno::Badf,
    };
    Err(errno.into())
}
