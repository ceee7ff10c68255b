//! Socket I/O over io_uring: one ring, used by one thread.
//!
//! # Safety argument
//!
//! This file and `probe.rs` hold all the `unsafe` of the crate.
//!
//! * **Receive buffers.** The kernel writes into `Buffers`: two anonymous mappings made before they are
//!   registered. Dropping a [`Ring`] first cancels every operation and waits until none is left, since closing
//!   the ring's descriptor alone would let them end some time later; where that fails the mappings are leaked.
//!   A buffer belongs to the kernel from `provide` until a completion names it, and to us from then until
//!   `release`. Rust code makes a `&[u8]` of a buffer only through [`Io::buffer`], and only while `held` says
//!   that it is ours; both ends of that time are asserted.
//! * **Send buffers.** The kernel reads from a `Vec<u8>` that was moved into `sends`; it is taken out only
//!   when its completion has come. A moved `Vec` does not move its heap bytes, so the slab may grow.
//!   Dropping a [`Ring`] treats them as it does the receive buffers.
//! * **Submission.** Every entry pushed refers to nothing but a file descriptor, the buffer group, or such
//!   a `Vec`, so it stays valid for as long as the operation runs.
//! * **System calls** (`mmap`, `setsockopt`, `eventfd`) get valid pointers and lengths and their results
//!   are checked.

use crate::exchange::ConnectionKey;
use crate::io::{BufferId, Completion, Io, Received};
use crate::limits::*;
use crate::probe::{RingError, build_ring};
use io_uring::types::{BufRingEntry, CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use slab::Slab;
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

const BUFFER_GROUP: u16 = 0;

/// The kinds of operation, in the four highest bits of a completion's user data.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
enum Kind {
    Accept = 1,
    Receive = 2,
    Send = 3,
    Bell = 4,
    /// Nobody waits for it: shutdown, close, cancel.
    Unwatched = 5,
}

const KIND_SHIFT: u32 = 60;

fn user_data(kind: Kind, low: u64) -> u64 {
    debug_assert!(low < 1 << KIND_SHIFT);
    (kind as u64) << KIND_SHIFT | low
}

fn key_bits(key: ConnectionKey) -> u64 {
    u64::from(key.generation) << KEY_INDEX_BITS | u64::from(key.index)
}

fn key_of(bits: u64) -> ConnectionKey {
    ConnectionKey {
        index: (bits & ((1 << KEY_INDEX_BITS) - 1)) as u32,
        generation: (bits >> KEY_INDEX_BITS) as u32,
    }
}

/// Wakes a listener that waits in its ring, from any thread.
#[derive(Clone, Debug)]
pub struct Bell(Arc<OwnedFd>);

impl Bell {
    fn new() -> std::io::Result<Bell> {
        // SAFETY: no pointers; the result is checked and owned by nobody else.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: `fd` is a fresh descriptor that we own.
        Ok(Bell(Arc::new(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    /// Wakes the listener. A system call, and on many machines a dear one: ask first whether it sleeps.
    pub fn ring(&self) {
        let one = 1u64;
        // SAFETY: writes eight bytes from a live local; async-signal-safe. The only failure (EAGAIN, the
        // counter is full) means that it has been rung already.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }
}

/// The provided receive buffers and the ring that hands them to the kernel.
struct Buffers {
    entries: NonNull<BufRingEntry>,
    data: NonNull<u8>,
    tail: u16,
    /// The kernel may use them still: they stay mapped.
    leaked: bool,
}

impl Buffers {
    const ENTRIES_BYTES: usize = RECEIVE_BUFFERS as usize * size_of::<BufRingEntry>();
    const DATA_BYTES: usize = RECEIVE_BUFFERS as usize * RECEIVE_BUFFER_BYTES;

    fn new() -> std::io::Result<Buffers> {
        let mut buffers = Buffers {
            entries: map(Self::ENTRIES_BYTES)?.cast(),
            data: map(Self::DATA_BYTES)?,
            tail: 0,
            leaked: false,
        };
        for id in 0..RECEIVE_BUFFERS {
            buffers.provide(id);
        }
        buffers.publish();
        Ok(buffers)
    }

    fn provide(&mut self, id: u16) {
        assert!(
            id < RECEIVE_BUFFERS,
            "the kernel named a buffer that it was never given"
        );
        let at = usize::from(self.tail & (RECEIVE_BUFFERS - 1));
        // SAFETY: `at` and `id` are below the number of entries and of buffers of the two mappings, and
        // the entry at the tail is not the kernel's: there are as many entries as buffers.
        unsafe {
            let entry = &mut *self.entries.as_ptr().add(at);
            entry.set_addr(
                self.data
                    .as_ptr()
                    .add(usize::from(id) * RECEIVE_BUFFER_BYTES) as u64,
            );
            entry.set_len(RECEIVE_BUFFER_BYTES as u32);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&mut self) {
        // SAFETY: the tail lies within the first entry of the mapping, is aligned for a u16, and is
        // written by us alone; the kernel reads it with acquire semantics.
        unsafe {
            let tail = BufRingEntry::tail(self.entries.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }
}

fn map(bytes: usize) -> std::io::Result<NonNull<u8>> {
    // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no existing memory.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if at == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error());
    }
    Ok(NonNull::new(at.cast()).expect("mmap without MAP_FIXED never maps the zero page"))
}

impl Drop for Buffers {
    fn drop(&mut self) {
        if self.leaked {
            return;
        }
        // SAFETY: both were mapped by `map` with these sizes, and the ring that knew them is gone.
        unsafe {
            libc::munmap(self.entries.as_ptr().cast(), Self::ENTRIES_BYTES);
            libc::munmap(self.data.as_ptr().cast(), Self::DATA_BYTES);
        }
    }
}

struct Sending {
    key: ConnectionKey,
    bytes: Vec<u8>,
}

/// The listener's ring, its listening sockets and its buffers.
pub struct Ring {
    // Dropped first: after that the kernel touches neither `buffers` nor `sends`.
    ring: IoUring,
    buffers: Buffers,
    /// Which buffers are ours: a completion has named them, they are not released yet.
    held: [bool; RECEIVE_BUFFERS as usize],
    released: bool,
    sends: Slab<Sending>,
    listening: Vec<TcpListener>,
    bell: Bell,
    gathered: VecDeque<(u64, i32, u32)>,
    overflows: u64,
}

impl Ring {
    /// Makes the ring on the calling thread, which must be the one that uses it.
    ///
    /// # Errors
    ///
    /// [`RingError`] says why io_uring cannot be had here and what would help.
    pub fn new(listening: Vec<TcpListener>) -> Result<Ring, RingError> {
        let ring = build_ring(SUBMISSIONS, COMPLETIONS)?;
        let buffers = Buffers::new().map_err(RingError::memory)?;
        // SAFETY: the mapping holds RECEIVE_BUFFERS entries, is page aligned, and outlives the ring.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                buffers.entries.as_ptr() as u64,
                RECEIVE_BUFFERS,
                BUFFER_GROUP,
                0,
            )
        }
        .map_err(RingError::buffers)?;
        for socket in &listening {
            set_nodelay(socket).map_err(RingError::socket)?;
            set_backlog(socket).map_err(RingError::socket)?;
        }
        let bell = Bell::new().map_err(RingError::memory)?;
        let mut ring = Ring {
            ring,
            buffers,
            held: [false; RECEIVE_BUFFERS as usize],
            released: false,
            sends: Slab::new(),
            listening,
            bell,
            gathered: VecDeque::with_capacity(COMPLETIONS as usize),
            overflows: 0,
        };
        ring.watch_bell();
        Ok(ring)
    }

    /// What wakes this ring's [`Io::wait`] from another thread.
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    fn watch_bell(&mut self) {
        // Multishot poll: one completion for every ring of the bell, and no read of the counter needed.
        let fd = Fd(self.bell.0.as_raw_fd());
        let entry = opcode::PollAdd::new(fd, libc::POLLIN as u32)
            .multi(true)
            .build();
        self.push(entry.user_data(user_data(Kind::Bell, 0)));
    }

    fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: see the safety argument: an entry refers to nothing that can go before it completes.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            self.publish_released();
            // The queue is full: handing it over makes room. An error other than EINTR or EBUSY leaves it
            // full, so that the loop would not end; those are our bug (EBADF, EFAULT, EINVAL).
            if let Err(error) = self.ring.submit() {
                assert!(
                    matches!(
                        error.raw_os_error(),
                        Some(libc::EINTR | libc::EBUSY | libc::EAGAIN)
                    ),
                    "io_uring_enter: {error}"
                );
                self.gather();
            }
        }
    }

    fn push_unwatched(&mut self, entry: squeue::Entry) {
        self.push(
            entry
                .flags(squeue::Flags::SKIP_SUCCESS)
                .user_data(user_data(Kind::Unwatched, 0)),
        );
    }

    fn gather(&mut self) {
        self.gathered.extend(
            self.ring
                .completion()
                .map(|entry: cqueue::Entry| (entry.user_data(), entry.result(), entry.flags())),
        );
    }

    fn publish_released(&mut self) {
        if std::mem::take(&mut self.released) {
            self.buffers.publish();
        }
    }

    fn completion(&mut self, data: u64, result: i32, flags: u32) -> Option<Completion> {
        let low = data & ((1 << KIND_SHIFT) - 1);
        let more = cqueue::more(flags);
        match data >> KIND_SHIFT {
            kind if kind == Kind::Accept as u64 => {
                let result = if result >= 0 {
                    Ok(result)
                } else {
                    Err(-result)
                };
                Some(Completion::Accepted {
                    port: low as u16,
                    result,
                    more,
                })
            }
            kind if kind == Kind::Receive as u64 => {
                let what = received(result, flags);
                if let Received::Data(buffer) = &what {
                    let held = std::mem::replace(&mut self.held[usize::from(buffer.id)], true);
                    assert!(
                        !held,
                        "the kernel used a buffer that it had not been given back"
                    );
                }
                Some(Completion::Received {
                    key: key_of(low),
                    what,
                    more,
                })
            }
            kind if kind == Kind::Send as u64 => {
                let Sending { key, bytes } = self.sends.remove(low as usize);
                let result = if result >= 0 {
                    Ok(result as usize)
                } else {
                    Err(-result)
                };
                Some(Completion::Sent { key, bytes, result })
            }
            kind if kind == Kind::Bell as u64 => {
                if !more {
                    self.watch_bell();
                }
                Some(Completion::Rung)
            }
            _ => None,
        }
    }
}

fn received(result: i32, flags: u32) -> Received {
    match (result, cqueue::buffer_select(flags)) {
        (len, Some(id)) if len > 0 => Received::Data(BufferId {
            id,
            len: len as u32,
        }),
        (0, _) => Received::End,
        (error, _) => match -error {
            libc::ENOBUFS => Received::NoBuffer,
            libc::ECANCELED => Received::Stopped,
            errno => Received::Failed(errno),
        },
    }
}

/// Connections inherit the option from the socket that accepts them: one call here, none for each.
fn set_nodelay(socket: &TcpListener) -> std::io::Result<()> {
    let one: libc::c_int = 1;
    // SAFETY: points to a live int of the stated size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NODELAY,
            (&raw const one).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// At once and not through the ring: there a kernel thread does it some time later, and looks the descriptor
/// up only then, when it may be another connection's.
fn shut(fd: RawFd, how: libc::c_int) {
    // SAFETY: no pointers; the descriptor is open until `close`. The only failure (ENOTCONN, the peer has
    // reset) means that there is nothing left to shut.
    unsafe { libc::shutdown(fd, how) };
}

/// Lets clients wait that come while the listener is busy: std asks for 128, beyond which the kernel drops
/// them and they try again a second later. The kernel lowers it to `net.core.somaxconn`.
fn set_backlog(socket: &TcpListener) -> std::io::Result<()> {
    // SAFETY: no pointers; the descriptor is open.
    let result = unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

fn tolerate(result: std::io::Result<usize>) -> std::io::Result<()> {
    match result {
        Ok(_) => Ok(()),
        // EINTR: a signal; ETIME: the time is over; EBUSY, EAGAIN: completions must be taken first.
        Err(error) => match error.raw_os_error() {
            Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(error),
        },
    }
}

impl Drop for Ring {
    /// Ends what is under way and waits for it; where the kernel cannot do that, leaves it the memory.
    fn drop(&mut self) {
        let every = CancelBuilder::any();
        let cancelled = self.ring.submitter().register_sync_cancel(None, every);
        let none_is_left = match &cancelled {
            Ok(()) => true,
            Err(error) => error.raw_os_error() == Some(libc::ENOENT),
        };
        if !none_is_left {
            std::mem::forget(std::mem::take(&mut self.sends));
            self.buffers.leaked = true;
        }
    }
}

/// A multishot accept has no room for addresses of its own: one would be overwritten by the next.
fn peer(fd: RawFd) -> Option<IpAddr> {
    // SAFETY: the descriptor is open until `close`; the stream that borrows it here is never dropped.
    let stream = ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(fd) });
    Some(stream.peer_addr().ok()?.ip().to_canonical())
}

impl Io for Ring {
    fn accept(&mut self, port: u16) {
        let Some(socket) = self.listening.get(usize::from(port)) else {
            return;
        };
        let entry = opcode::AcceptMulti::new(Fd(socket.as_raw_fd()))
            .flags(libc::SOCK_CLOEXEC)
            .build();
        self.push(entry.user_data(user_data(Kind::Accept, u64::from(port))));
    }

    fn stop_accepting(&mut self) {
        for port in 0..self.listening.len() {
            let accept = user_data(Kind::Accept, port as u64);
            self.push_unwatched(opcode::AsyncCancel::new(accept).build());
        }
        // Handed over before the descriptors are closed: an entry names its descriptor by number. Where the queue
        // cannot be handed over now, the sockets stay open until the process ends, and refuse all the same.
        let handed_over = self.ring.submit().is_ok();
        let sockets = std::mem::take(&mut self.listening);
        for socket in &sockets {
            // Refuses what is still in the backlog, and what comes, even while the cancelled accept
            // holds the socket.
            // SAFETY: no pointers; the descriptor is open.
            unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) };
        }
        if !handed_over {
            std::mem::forget(sockets);
        }
    }

    fn peer(&mut self, fd: RawFd) -> Option<IpAddr> {
        peer(fd)
    }

    fn receive(&mut self, key: ConnectionKey, fd: RawFd) {
        let entry = opcode::RecvMulti::new(Fd(fd), BUFFER_GROUP).build();
        self.push(entry.user_data(user_data(Kind::Receive, key_bits(key))));
    }

    fn stop_receiving(&mut self, key: ConnectionKey) {
        let receive = user_data(Kind::Receive, key_bits(key));
        self.push_unwatched(opcode::AsyncCancel::new(receive).build());
    }

    fn send(&mut self, key: ConnectionKey, fd: RawFd, bytes: Vec<u8>, from: usize) {
        let rest = &bytes[from..];
        let (at, len) = (rest.as_ptr(), u32::try_from(rest.len()).unwrap_or(u32::MAX));
        let slot = self.sends.insert(Sending { key, bytes });
        // MSG_WAITALL: the kernel goes on after a short send, one completion for the whole.
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let entry = opcode::Send::new(Fd(fd), at, len).flags(flags).build();
        self.push(entry.user_data(user_data(Kind::Send, slot as u64)));
    }

    fn shutdown_write(&mut self, fd: RawFd) {
        shut(fd, libc::SHUT_WR);
    }

    fn shutdown_both(&mut self, fd: RawFd) {
        shut(fd, libc::SHUT_RDWR);
    }

    fn close(&mut self, fd: RawFd) {
        self.push_unwatched(opcode::Close::new(Fd(fd)).build());
    }

    fn buffer(&self, buffer: BufferId) -> &[u8] {
        assert!(self.held[usize::from(buffer.id)] && buffer.len as usize <= RECEIVE_BUFFER_BYTES);
        // SAFETY: within the mapping; `held`, so ours since the completion that named it, until `release`.
        unsafe {
            let at = self
                .buffers
                .data
                .as_ptr()
                .add(usize::from(buffer.id) * RECEIVE_BUFFER_BYTES);
            std::slice::from_raw_parts(at, buffer.len as usize)
        }
    }

    fn release(&mut self, buffer: BufferId) {
        assert!(
            std::mem::take(&mut self.held[usize::from(buffer.id)]),
            "a buffer is released once"
        );
        self.buffers.provide(buffer.id);
        self.released = true;
    }

    fn submit(&mut self) -> std::io::Result<()> {
        self.publish_released();
        let idle = {
            let queue = self.ring.submission();
            let has_overflowed = queue.cq_overflow();
            self.overflows += u64::from(has_overflowed);
            queue.is_empty() && !queue.taskrun() && !has_overflowed
        };
        if !idle {
            tolerate(self.ring.submit())?;
        }
        self.gather();
        Ok(())
    }

    fn wait(&mut self, timeout: Option<Duration>) -> std::io::Result<()> {
        if !self.gathered.is_empty() {
            return self.submit();
        }
        self.publish_released();
        let result = match timeout {
            None => self.ring.submit_and_wait(1),
            Some(timeout) => {
                let timespec = Timespec::from(timeout);
                self.ring
                    .submitter()
                    .submit_with_args(1, &SubmitArgs::new().timespec(&timespec))
            }
        };
        tolerate(result)?;
        self.gather();
        Ok(())
    }

    fn overflows(&self) -> u64 {
        self.overflows
    }

    fn next(&mut self) -> Option<Completion> {
        while let Some((data, result, flags)) = self.gathered.pop_front() {
            if let Some(completion) = self.completion(data, result, flags) {
                return Some(completion);
            }
        }
        None
    }
}
