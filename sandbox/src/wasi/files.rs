//! The calls on descriptors and paths of functions with directories.
//!
//! # One table of descriptors
//!
//! wasmtime-wasi has the table: it knows which numbers are taken, by what, and where files are. The three
//! streams have their places in it, too, so that numbers are given out as `wasmtime run` would; but what is
//! read and written there is ours ([`super::stdio`] remembers which numbers they have), as is what must be
//! counted of open files. Every call here asks first whether the descriptor is a stream's, and else
//! delegates; what changes the table (`fd_close`, `fd_renumber`, `path_open`) is done there first and noted
//! here if it succeeded.
//!
//! Why not the streams through wasmtime-wasi as well: its stdout takes 4 KiB at a time and each time a
//! promise that has to be polled (8.1 us for a life with one line of output, where ours takes 4.0), it would
//! end a guest with a wrong pointer, which gets `EFAULT` here, and the limit of output would have to be
//! told through three layers. Why not all functions this way: each call that may wait costs a boxed future,
//! and there is a context to make, together 1.5 us of 5.4 (bench `life`, `hello, files` beside `hello,
//! general`); where there are no directories neither is needed, for nothing can be opened. So there are two
//! linkers, and which one a function gets is known when it is loaded.
//!
//! # Limits
//!
//! | what | limit | beyond it |
//! | --- | --- | --- |
//! | open files of a sandbox | `FILES_OPEN_MAX` | `EMFILE` |
//! | open files of all sandboxes | `FILES_OPEN_PROCESS_MAX` | `ENFILE` |
//! | bytes that a sandbox adds to files | `FILE_BYTES_MAX` | `ENOSPC` |
//! | files, directories and links that it makes | `FILE_ENTRIES_MAX` | `ENOSPC` |
//! | bytes of one read or write | `FILE_CHUNK_BYTES` | a short count |
//! | bytes of a path | `PATH_BYTES_MAX` | `ENAMETOOLONG` |
//!
//! Bytes are counted by descriptor: a write beyond the furthest place that was written or set through it is
//! paid for by how far it goes, so that a file that is written from its beginning costs its length, holes
//! included. No file is longer than what was paid through all of its descriptors, deleted ones that are
//! still open included, and so is the sum of all. A failed write may be paid for; nothing is paid back.
//!
//! File operations run on the reactor's blocking threads; the sandbox waits meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use wasmtime::{Caller, Linker};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as general, WasiSnapshotPreview1};
use wiggle::{GuestError, GuestMemory as General};

use super::memory::{self, GuestMemory};
use super::stdio::{self, check_iovecs};
use super::{Errno, PREVIEW_1, Refusal, Stdio, answer, timed_async};
use crate::directories::{Hold, Opened};
use crate::limits::{
    FILE_BYTES_MAX, FILE_CHUNK_BYTES, FILE_ENTRIES_MAX, FILES_OPEN_MAX, FILES_OPEN_PROCESS_MAX,
    HOST_CALL_BYTES_MAX, PATH_BYTES_MAX,
};
use crate::state::State;

/// What a sandbox has beyond the streams; made when its guest first looks at a file.
pub(crate) struct Files {
    wasi: WasiP1Ctx,
    /// All descriptors that are no stream's.
    open: BTreeMap<u32, Open>,
    bytes_left: u64,
    entries_left: u32,
    /// Behind the context: descriptors are closed first.
    _scratch: Option<Hold>,
}

/// A descriptor of a file or a directory.
#[derive(Default)]
struct Open {
    is_file: bool,
    appends: bool,
    /// Up to where has been paid for.
    paid_to: u64,
    /// Which of the directories that it was given this is; else there is a place.
    given: Option<usize>,
    _place: Option<Place>,
}

/// One of the [`FILES_OPEN_PROCESS_MAX`] places.
struct Place;

static PLACES_TAKEN: AtomicUsize = AtomicUsize::new(0);

// Bits of preview 1.
const OFLAG_CREAT: i32 = 1;
const FDFLAG_APPEND: i32 = 1;

/// The first descriptor of a directory.
const DIRECTORIES_AT: u32 = 3;

// The result of a delegated call whose memory is a [`Buffer`].
const TOLD_AT: i32 = 8;
const DATA_AT: usize = 16;

/// Where a file's length is in its `filestat`, and how long that is.
const FILESTAT_SIZE_AT: usize = 32;
const FILESTAT_BYTES: usize = 64;

type Guest<'a> = Caller<'a, State>;

/// Directory, lookup flags, path, its length, open flags, rights, inherited rights, descriptor flags, where
/// the descriptor is to be told.
type PathOpen = (i32, i32, i32, i32, i32, i64, i64, i32, i32);

/// Delegates a call without any bookkeeping; `paths`: arguments that are lengths of paths.
macro_rules! delegate {
    ($linker:ident, $name:ident($($argument:ident: $type:ty),*) $(paths($($length:ident),*))? $(, $wait:ident)?) => {
        $linker.func_wrap_async(
            PREVIEW_1,
            stringify!($name),
            |mut guest: Guest<'_>, ($($argument,)*): ($($type,)*)| Box::new(async move {
                timed_async!(guest, async {
                    $($(check_path($length)?;)*)?
                    let (memory, files, _) = open(&mut guest).await?;
                    let memory = &mut General::Unshared(memory.into_bytes());
                    told(delegate!(@wait general::$name(&mut files.wasi, memory, $($argument),*) $(, $wait)?))
                })
            }),
        )?;
    };
    (@wait $call:expr) => { $call };
    (@wait $call:expr, waits) => { $call.await };
}

/// Delegates a call that makes (`true`) or removes an entry of a directory.
macro_rules! delegate_entry {
    ($linker:ident, $makes:literal, $name:ident($($argument:ident: $type:ty),*) paths($($length:ident),*)) => {
        $linker.func_wrap_async(
            PREVIEW_1,
            stringify!($name),
            |mut guest: Guest<'_>, ($($argument,)*): ($($type,)*)| Box::new(async move {
                timed_async!(guest, async {
                    $(check_path($length)?;)*
                    let (memory, files, _) = open(&mut guest).await?;
                    if $makes {
                        files.take_entry()?;
                    }
                    let memory = &mut General::Unshared(memory.into_bytes());
                    let done = told(general::$name(&mut files.wasi, memory, $($argument),*).await);
                    if done.is_ok() != $makes {
                        files.give_entry();
                    }
                    done
                })
            }),
        )?;
    };
}

/// Adds all calls on descriptors and paths.
#[rustfmt::skip]
pub(super) fn add_to(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    delegate!(linker, fd_advise(fd: i32, offset: i64, len: i64, advice: i32), waits);
    delegate!(linker, fd_allocate(fd: i32, offset: i64, len: i64));
    delegate!(linker, fd_datasync(fd: i32), waits);
    delegate!(linker, fd_fdstat_set_rights(fd: i32, base: i64, inheriting: i64));
    delegate!(linker, fd_filestat_get(fd: i32, at: i32), waits);
    delegate!(linker, fd_filestat_set_times(fd: i32, atim: i64, mtim: i64, flags: i32), waits);
    delegate!(linker, fd_readdir(fd: i32, at: i32, len: i32, cookie: i64, told_at: i32), waits);
    delegate!(linker, fd_seek(fd: i32, offset: i64, whence: i32, told_at: i32), waits);
    delegate!(linker, fd_sync(fd: i32), waits);
    delegate!(linker, fd_tell(fd: i32, told_at: i32));
    delegate!(linker, path_filestat_get(fd: i32, flags: i32, path: i32, len: i32, at: i32) paths(len), waits);
    delegate!(linker, path_filestat_set_times(fd: i32, flags: i32, path: i32, len: i32, atim: i64, mtim: i64, set: i32) paths(len), waits);
    delegate!(linker, path_readlink(fd: i32, path: i32, len: i32, at: i32, bytes: i32, told_at: i32) paths(len), waits);
    delegate!(linker, path_rename(fd: i32, path: i32, len: i32, to_fd: i32, to: i32, to_len: i32) paths(len, to_len), waits);
    delegate_entry!(linker, true, path_create_directory(fd: i32, path: i32, len: i32) paths(len));
    delegate_entry!(linker, true, path_link(fd: i32, flags: i32, path: i32, len: i32, to_fd: i32, to: i32, to_len: i32) paths(len, to_len));
    delegate_entry!(linker, true, path_symlink(path: i32, len: i32, fd: i32, to: i32, to_len: i32) paths(len, to_len));
    delegate_entry!(linker, false, path_remove_directory(fd: i32, path: i32, len: i32) paths(len));
    delegate_entry!(linker, false, path_unlink_file(fd: i32, path: i32, len: i32) paths(len));
    add_reads_and_writes(linker)?;
    add_table(linker)
}

#[rustfmt::skip]
fn add_reads_and_writes(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker
        .func_wrap_async(PREVIEW_1, "fd_read", |mut guest: Guest<'_>, (fd, iovecs, count, told_at): (i32, i32, i32, i32)| {
            Box::new(async move {
                let [fd, iovecs, count, told_at] = [fd, iovecs, count, told_at].map(|it| it as u32);
                timed_async!(guest, async {
                    match guest.data().stdio.stream(fd) {
                        Ok(_) => stdio::fd_read(&mut guest, fd, iovecs, count, told_at),
                        Err(_) => read(&mut guest, fd, [iovecs, count], None, told_at).await,
                    }
                })
            })
        })?
        .func_wrap_async(PREVIEW_1, "fd_pread", |mut guest: Guest<'_>, (fd, iovecs, count, offset, told_at): (i32, i32, i32, i64, i32)| {
            Box::new(async move {
                let vectors = [iovecs as u32, count as u32];
                timed_async!(guest, read(&mut guest, fd as u32, vectors, Some(offset), told_at as u32))
            })
        })?
        .func_wrap_async(PREVIEW_1, "fd_write", |mut guest: Guest<'_>, (fd, iovecs, count, told_at): (i32, i32, i32, i32)| {
            Box::new(async move {
                let [fd, iovecs, count, told_at] = [fd, iovecs, count, told_at].map(|it| it as u32);
                timed_async!(guest, async {
                    match guest.data().stdio.stream(fd) {
                        Ok(_) => stdio::fd_write(&mut guest, fd, iovecs, count, told_at),
                        Err(_) => write(&mut guest, fd, [iovecs, count], None, told_at).await,
                    }
                })
            })
        })?
        .func_wrap_async(PREVIEW_1, "fd_pwrite", |mut guest: Guest<'_>, (fd, iovecs, count, offset, told_at): (i32, i32, i32, i64, i32)| {
            Box::new(async move {
                let vectors = [iovecs as u32, count as u32];
                timed_async!(guest, write(&mut guest, fd as u32, vectors, Some(offset), told_at as u32))
            })
        })?
        .func_wrap_async(PREVIEW_1, "fd_filestat_set_size", |mut guest: Guest<'_>, (fd, bytes): (i32, i64)| {
            Box::new(async move { timed_async!(guest, set_size(&mut guest, fd, bytes)) })
        })?;
    Ok(())
}

#[rustfmt::skip]
fn add_table(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker
        .func_wrap_async(PREVIEW_1, "fd_close", |mut guest: Guest<'_>, (fd,): (i32,)| {
            Box::new(async move { timed_async!(guest, close(&mut guest, fd)) })
        })?
        .func_wrap_async(PREVIEW_1, "fd_renumber", |mut guest: Guest<'_>, (from, to): (i32, i32)| {
            Box::new(async move { timed_async!(guest, renumber(&mut guest, from, to)) })
        })?
        .func_wrap_async(PREVIEW_1, "fd_fdstat_get", |mut guest: Guest<'_>, (fd, at): (i32, i32)| {
            Box::new(async move { timed_async!(guest, fdstat_get(&mut guest, fd, at)) })
        })?
        .func_wrap_async(PREVIEW_1, "fd_fdstat_set_flags", |mut guest: Guest<'_>, (fd, flags): (i32, i32)| {
            Box::new(async move { timed_async!(guest, set_flags(&mut guest, fd, flags)) })
        })?
        .func_wrap_async(PREVIEW_1, "path_open", |mut guest: Guest<'_>, arguments: PathOpen| {
            Box::new(async move { timed_async!(guest, path_open(&mut guest, arguments)) })
        })?
        .func_wrap(PREVIEW_1, "fd_prestat_get", |mut guest: Guest<'_>, fd: i32, at: i32| {
            answer(prestat_get(&mut guest, fd as u32, at as u32))
        })?
        .func_wrap(PREVIEW_1, "fd_prestat_dir_name", |mut guest: Guest<'_>, fd: i32, at: i32, len: i32| {
            answer(prestat_dir_name(&mut guest, fd as u32, at as u32, len as u32))
        })?;
    Ok(())
}

/// What the calls below work on: memory, files (made now, if this is the first call that needs them),
/// streams.
async fn open<'a>(
    guest: &'a mut Guest<'_>,
) -> Result<(GuestMemory<'a>, &'a mut Files, &'a mut Stdio), Refusal> {
    if guest.data().files.is_none() {
        let profile = guest.data().profile.clone();
        let directories = profile.directories.as_ref();
        let directories = directories.expect("only functions with directories have these calls");
        let opened = directories.context().await;
        let opened = opened.map_err(|cause| Refusal::End(wasmtime::Error::msg(cause)))?;
        let mut files = Files::new(opened, directories.names().len());
        let stdio = guest.data().stdio.clone();
        for fd in (0..DIRECTORIES_AT).filter(|fd| stdio.stream(*fd).is_err()) {
            let memory = &mut General::Unshared(&mut []);
            told(general::fd_close(&mut files.wasi, memory, fd as i32).await)?;
        }
        guest.data_mut().files = Some(Box::new(files));
    }
    let (memory, state) = memory::of(guest)?;
    let files = state.files.as_mut().expect("made above");
    files.wasi.set_hostcall_fuel(HOST_CALL_BYTES_MAX);
    Ok((memory, files, &mut state.stdio))
}

/// The outcome of a delegated call. That an argument is wrong is the guest's to know, not its end.
fn told(result: wasmtime::Result<i32>) -> Result<(), Refusal> {
    let error = match result {
        Ok(0) => return Ok(()),
        Ok(errno) => return Err(Refusal::General(errno)),
        Err(error) => error,
    };
    let mut cause = error.downcast_ref::<GuestError>();
    while let Some(GuestError::InFunc { err, .. }) = cause {
        cause = Some(err);
    }
    match cause {
        Some(GuestError::PtrOverflow | GuestError::PtrOutOfBounds(_)) => Err(Errno::Fault.into()),
        Some(_) => Err(Errno::Inval.into()),
        None => Err(Refusal::End(error)),
    }
}

fn check_path(len: i32) -> Result<(), Errno> {
    match len as u32 {
        0..=PATH_BYTES_MAX => Ok(()),
        _ => Err(Errno::Nametoolong),
    }
}

impl Files {
    fn new(opened: Opened, given: usize) -> Files {
        let directory = |index| {
            let given = Some(index);
            let open = Open {
                given,
                ..Open::default()
            };
            (DIRECTORIES_AT + index as u32, open)
        };
        Files {
            wasi: opened.wasi,
            open: (0..given).map(directory).collect(),
            bytes_left: FILE_BYTES_MAX,
            entries_left: FILE_ENTRIES_MAX,
            _scratch: opened.scratch,
        }
    }

    fn take_entry(&mut self) -> Result<(), Errno> {
        let left = self.entries_left.checked_sub(1);
        self.entries_left = left.ok_or(Errno::Nospc)?;
        Ok(())
    }

    fn give_entry(&mut self) {
        self.entries_left = FILE_ENTRIES_MAX.min(self.entries_left + 1);
    }

    /// Pays for a file's becoming as long as `from + len`; where everything is appended, for `len`.
    fn pay(&mut self, fd: u32, from: u64, len: u64) -> Result<(), Errno> {
        let open = self.open.get_mut(&fd).filter(|open| open.is_file);
        let to = i64::try_from(from).map_or(u64::MAX, |from| (from as u64).saturating_add(len));
        let Some(open) = open.filter(|open| open.appends || to != u64::MAX) else {
            // It will be refused where it is delegated to.
            return Ok(());
        };
        let cost = match open.appends {
            true => len,
            false => to.saturating_sub(open.paid_to),
        };
        let left = self.bytes_left.checked_sub(cost);
        self.bytes_left = left.ok_or(Errno::Nospc)?;
        if !open.appends {
            open.paid_to = open.paid_to.max(to);
        }
        Ok(())
    }

    /// A file's position; of a directory there is none.
    fn position(&mut self, fd: u32) -> Result<u64, Refusal> {
        let mut buffer = Buffer::new(0);
        let memory = &mut General::Unshared(buffer.bytes());
        told(general::fd_tell(&mut self.wasi, memory, fd as i32, TOLD_AT))?;
        Ok(u64_at(buffer.bytes(), TOLD_AT as usize))
    }
}

/// Whether a descriptor is a file's.
pub(super) fn is_file(state: &State, fd: u32) -> bool {
    let open = state.files.as_ref().and_then(|files| files.open.get(&fd));
    open.is_some_and(|open| open.is_file)
}

/// Whether there is such a descriptor at all.
pub(super) fn is_open(state: &State, fd: u32) -> bool {
    let is_file = match &state.files {
        Some(files) => files.open.contains_key(&fd),
        None => given(state, fd).is_some(),
    };
    is_file || state.stdio.stream(fd).is_ok()
}

/// What is left to read of a file.
pub(super) async fn left_bytes(guest: &mut Guest<'_>, fd: u32) -> Result<u64, Refusal> {
    let (_, files, _) = open(guest).await?;
    let mut buffer = Buffer::new(FILESTAT_BYTES);
    let memory = &mut General::Unshared(buffer.bytes());
    told(general::fd_filestat_get(&mut files.wasi, memory, fd as i32, DATA_AT as i32).await)?;
    let bytes = u64_at(buffer.bytes(), DATA_AT + FILESTAT_SIZE_AT);
    Ok(bytes.saturating_sub(files.position(fd)?))
}

/// Memory for a delegated call that is not the guest's: one vector, its result, and what it points at. So
/// several vectors are one call, as long as a call may be, and no more than that is copied at a time.
struct Buffer {
    bytes: Vec<u8>,
    /// To where it is aligned as a guest's memory is.
    skipped: usize,
}

impl Buffer {
    fn new(len: usize) -> Buffer {
        let bytes = vec![0; DATA_AT + len + align_of::<u64>()];
        let skipped = bytes.as_ptr().align_offset(align_of::<u64>());
        let mut buffer = Buffer { bytes, skipped };
        buffer.bytes()[..4].copy_from_slice(&(DATA_AT as u32).to_le_bytes());
        buffer.bytes()[4..8].copy_from_slice(&(len as u32).to_le_bytes());
        buffer
    }

    fn bytes(&mut self) -> &mut [u8] {
        let len = self.bytes.len() - align_of::<u64>();
        &mut self.bytes[self.skipped..][..len]
    }

    /// The bytes that the call has moved.
    fn moved(&mut self) -> &mut [u8] {
        let moved = u64_at(self.bytes(), TOLD_AT as usize) as u32 as usize;
        &mut self.bytes()[DATA_AT..][..moved]
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]))
}

async fn read(
    guest: &mut Guest<'_>,
    fd: u32,
    [iovecs, count]: [u32; 2],
    offset: Option<i64>,
    told_at: u32,
) -> Result<(), Refusal> {
    let (mut memory, files, _) = open(guest).await?;
    let wanted = check_iovecs(&memory, iovecs, count, told_at)? as usize;
    let mut buffer = Buffer::new(wanted.min(FILE_CHUNK_BYTES));
    let (wasi, into) = (&mut files.wasi, &mut General::Unshared(buffer.bytes()));
    let fd = fd as i32;
    told(match offset {
        None => general::fd_read(wasi, into, fd, 0, 1, TOLD_AT).await,
        Some(offset) => general::fd_pread(wasi, into, fd, 0, 1, offset, TOLD_AT).await,
    })?;
    let read = buffer.moved();
    memory.write_u32(told_at, read.len() as u32)?;
    let mut unread = &*read;
    for index in 0..count {
        let iovec = memory.iovec(iovecs, index)?;
        let (now, later) = unread.split_at(unread.len().min(iovec.len as usize));
        memory.write(iovec.at, now)?;
        unread = later;
    }
    Ok(())
}

async fn write(
    guest: &mut Guest<'_>,
    fd: u32,
    [iovecs, count]: [u32; 2],
    offset: Option<i64>,
    told_at: u32,
) -> Result<(), Refusal> {
    let (mut memory, files, _) = open(guest).await?;
    let wanted = check_iovecs(&memory, iovecs, count, told_at)? as usize;
    let mut buffer = Buffer::new(wanted.min(FILE_CHUNK_BYTES));
    let mut unwritten = &mut buffer.bytes()[DATA_AT..];
    let bytes = unwritten.len() as u64;
    for index in 0..count {
        let iovec = memory.iovec(iovecs, index)?;
        let len = unwritten.len().min(iovec.len as usize);
        let (now, later) = unwritten.split_at_mut(len);
        now.copy_from_slice(memory.slice(iovec.at, len as u32)?);
        unwritten = later;
    }
    let from = match offset {
        Some(offset) => offset as u64,
        None => files.position(fd)?,
    };
    files.pay(fd, from, bytes)?;
    let (wasi, of) = (&mut files.wasi, &mut General::Unshared(buffer.bytes()));
    let fd = fd as i32;
    told(match offset {
        None => general::fd_write(wasi, of, fd, 0, 1, TOLD_AT).await,
        Some(offset) => general::fd_pwrite(wasi, of, fd, 0, 1, offset, TOLD_AT).await,
    })?;
    memory.write_u32(told_at, buffer.moved().len() as u32)?;
    Ok(())
}

async fn set_size(guest: &mut Guest<'_>, fd: i32, bytes: i64) -> Result<(), Refusal> {
    let (memory, files, _) = open(guest).await?;
    // A length that is no length is refused where it is delegated to.
    files.pay(fd as u32, 0, bytes.max(0) as u64)?;
    let memory = &mut General::Unshared(memory.into_bytes());
    told(general::fd_filestat_set_size(&mut files.wasi, memory, fd, bytes).await)
}

async fn set_flags(guest: &mut Guest<'_>, fd: i32, flags: i32) -> Result<(), Refusal> {
    let (memory, files, _) = open(guest).await?;
    let memory = &mut General::Unshared(memory.into_bytes());
    told(general::fd_fdstat_set_flags(
        &mut files.wasi,
        memory,
        fd,
        flags,
    ))?;
    if let Some(open) = files.open.get_mut(&(fd as u32)) {
        open.appends = flags & FDFLAG_APPEND != 0;
    }
    Ok(())
}

async fn fdstat_get(guest: &mut Guest<'_>, fd: i32, at: i32) -> Result<(), Refusal> {
    if guest.data().stdio.stream(fd as u32).is_ok() {
        return stdio::fd_fdstat_get(guest, fd as u32, at as u32);
    }
    let (memory, files, _) = open(guest).await?;
    let memory = &mut General::Unshared(memory.into_bytes());
    told(general::fd_fdstat_get(&mut files.wasi, memory, fd, at).await)
}

async fn close(guest: &mut Guest<'_>, fd: i32) -> Result<(), Refusal> {
    let state = guest.data_mut();
    if state.files.is_none() && state.stdio.stream(fd as u32).is_ok() {
        state.stdio.close(fd as u32);
        return Ok(());
    }
    let (memory, files, stdio) = open(guest).await?;
    let memory = &mut General::Unshared(memory.into_bytes());
    told(general::fd_close(&mut files.wasi, memory, fd).await)?;
    files.open.remove(&(fd as u32));
    stdio.close(fd as u32);
    Ok(())
}

async fn renumber(guest: &mut Guest<'_>, from: i32, to: i32) -> Result<(), Refusal> {
    let (memory, files, stdio) = open(guest).await?;
    let memory = &mut General::Unshared(memory.into_bytes());
    told(general::fd_renumber(&mut files.wasi, memory, from, to).await)?;
    let (from, to) = (from as u32, to as u32);
    stdio.renumber(from, to);
    if from != to {
        match files.open.remove(&from) {
            Some(open) => files.open.insert(to, open),
            None => files.open.remove(&to),
        };
    }
    Ok(())
}

async fn path_open(guest: &mut Guest<'_>, arguments: PathOpen) -> Result<(), Refusal> {
    let (fd, lookup, path, len, oflags, base, inheriting, flags, told_at) = arguments;
    check_path(len)?;
    let (memory, files, _) = open(guest).await?;
    // Before the file is open: it would stay open without anybody knowing its number.
    memory.slice(told_at as u32, 4)?;
    if told_at % 4 != 0 {
        return Err(Errno::Inval.into());
    }
    let opened = files.open.values().filter(|open| open.given.is_none());
    if opened.count() >= FILES_OPEN_MAX {
        return Err(Errno::Mfile.into());
    }
    let place = Place::take()?;
    let makes = oflags & OFLAG_CREAT != 0;
    if makes {
        files.take_entry()?;
    }
    let memory = &mut General::Unshared(memory.into_bytes());
    let done = told(
        general::path_open(
            &mut files.wasi,
            memory,
            fd,
            lookup,
            path,
            len,
            oflags,
            base,
            inheriting,
            flags,
            told_at,
        )
        .await,
    );
    if let Err(refusal) = done {
        if makes {
            files.give_entry();
        }
        return Err(refusal);
    }
    let fd = memory::of(guest)?.0.read_u32(told_at as u32)?;
    let (_, files, _) = open(guest).await?;
    let open = Open {
        is_file: files.position(fd).is_ok(),
        appends: flags & FDFLAG_APPEND != 0,
        _place: Some(place),
        ..Open::default()
    };
    files.open.insert(fd, open);
    Ok(())
}

/// Which of the function's directories is at a descriptor.
fn given(state: &State, fd: u32) -> Option<usize> {
    match &state.files {
        Some(files) => files.open.get(&fd)?.given,
        None => {
            let index = fd.checked_sub(DIRECTORIES_AT)? as usize;
            let directories = state.profile.directories.as_ref()?;
            (index < directories.names().len()).then_some(index)
        }
    }
}

/// The name of the directory at a descriptor.
fn given_name(state: &State, fd: u32) -> Option<String> {
    let directories = state.profile.directories.as_ref()?;
    directories.names().get(given(state, fd)?).cloned()
}

fn prestat_get(guest: &mut Guest<'_>, fd: u32, at: u32) -> Result<(), Refusal> {
    let name = given_name(guest.data(), fd).ok_or(Errno::Badf)?;
    // The kind is 0, a directory; behind it the length of its name.
    let prestat = (name.len() as u64) << 32;
    memory::of(guest)?.0.write_u64(at, prestat)?;
    Ok(())
}

fn prestat_dir_name(guest: &mut Guest<'_>, fd: u32, at: u32, len: u32) -> Result<(), Refusal> {
    let Some(name) = given_name(guest.data(), fd) else {
        let errno = match is_open(guest.data(), fd) {
            true => Errno::Notdir,
            false => Errno::Badf,
        };
        return Err(errno.into());
    };
    if name.len() > len as usize {
        return Err(Errno::Nametoolong.into());
    }
    memory::of(guest)?.0.write(at, name.as_bytes())?;
    Ok(())
}

impl Place {
    fn take() -> Result<Place, Errno> {
        let taken = PLACES_TAKEN.fetch_add(1, Relaxed);
        // Gives it back if there was none.
        let place = Place;
        match taken < FILES_OPEN_PROCESS_MAX {
            true => Ok(place),
            false => Err(Errno::Nfile),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        PLACES_TAKEN.fetch_sub(1, Relaxed);
    }
}
