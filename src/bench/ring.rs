//! The load generator's sockets over io_uring: one ring, used by one thread, one memory for each operation.
//!
//! # Safety argument
//!
//! * **Memory.** What the kernel reads or writes for an operation (an address, bytes to send, a buffer to receive into)
//!   is on the heap and was moved into `operations`, where nothing touches it until the operation's completion has come
//!   and takes it out. A moved `Vec` or `Arc` does not move its heap bytes, so the slab may grow. Bytes to send are shared
//!   and never written.
//! * **The end.** Dropping a [`Ring`] cancels every operation and waits until none is left; where that fails the memory
//!   is leaked.
//! * **Submission.** Every entry refers to nothing but a file descriptor and such memory. A descriptor that is closed too
//!   early would be an error of ours that the kernel answers with EBADF, not one of memory.
//!
//! Not here: what is sent and when, or what an answer says.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use listener::RingError;
use slab::Slab;
use socket2::{SockAddr, Socket};

use super::limits::{COMPLETIONS_PER_CONNECTION, SUBMISSIONS};

/// Operations whose completion nobody waits for: close, cancel.
const UNWATCHED: u64 = u64::MAX;

/// What an operation lends to the kernel.
#[expect(dead_code, reason = "the first two are read by the kernel alone")]
enum Memory {
    Address(Arc<SockAddr>),
    Bytes(Arc<[u8]>),
    Buffer(Vec<u8>),
}

struct Operation {
    /// Which connection's.
    slot: usize,
    memory: Memory,
}

/// An operation's end.
pub struct Completion {
    /// Which connection's.
    pub slot: usize,
    /// When it was seen.
    pub at_ns: u64,
    /// What ended.
    pub what: Done,
}

/// What ended, and how; errors as `errno`.
pub enum Done {
    /// A connect.
    Connected(Result<(), i32>),
    /// A send of so many bytes.
    Sent(Result<usize, i32>),
    /// A receive of so many bytes into the buffer, which comes back.
    Received(Vec<u8>, Result<usize, i32>),
}

/// See the module's text.
pub struct Ring {
    // Dropped first: after that the kernel does not touch `operations`.
    ring: IoUring,
    operations: Slab<Operation>,
    seen: VecDeque<(cqueue::Entry, u64)>,
    epoch: Instant,
}

impl Ring {
    /// Makes the ring on the calling thread, which must be the one that uses it. Times count from now on.
    ///
    /// # Errors
    ///
    /// Says why io_uring cannot be had here and what would help.
    pub fn new(connections: usize) -> Result<Self, RingError> {
        let completions = connections.saturating_mul(COMPLETIONS_PER_CONNECTION);
        let completions = u32::try_from(completions).unwrap_or(u32::MAX);
        let ring = listener::build_ring(SUBMISSIONS, completions.max(2 * SUBMISSIONS))?;
        // SAFETY: no pointers. Without it the kernel may wake this thread 50 µs late; where it fails, it does.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
        Ok(Self {
            ring,
            operations: Slab::with_capacity(2 * connections),
            seen: VecDeque::new(),
            epoch: Instant::now(),
        })
    }

    /// Nanoseconds since the ring was made.
    pub fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// Connects.
    pub fn connect(&mut self, slot: usize, socket: &Socket, address: &Arc<SockAddr>) {
        let address = Arc::clone(address);
        let (at, len) = (address.as_ptr().cast(), address.len());
        let entry = opcode::Connect::new(Fd(socket.as_raw_fd()), at, len).build();
        self.push_for(slot, Memory::Address(address), entry);
    }

    /// Sends all of it; less than 4 GiB, or the connection is of no further use.
    pub fn send(&mut self, slot: usize, socket: &Socket, bytes: &Arc<[u8]>) {
        let (at, len) = (
            bytes.as_ptr(),
            u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        );
        // MSG_WAITALL: the kernel goes on after a short send.
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let send = opcode::Send::new(Fd(socket.as_raw_fd()), at, len).flags(flags);
        self.push_for(slot, Memory::Bytes(Arc::clone(bytes)), send.build());
    }

    /// Receives into a buffer.
    pub fn receive(&mut self, slot: usize, socket: &Socket, mut buffer: Vec<u8>) {
        let len = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let entry = opcode::Recv::new(Fd(socket.as_raw_fd()), buffer.as_mut_ptr(), len).build();
        self.push_for(slot, Memory::Buffer(buffer), entry);
    }

    /// Ends all that is under way for a socket; each operation has its completion all the same.
    pub fn cancel(&mut self, socket: &Socket) {
        let every = CancelBuilder::fd(Fd(socket.as_raw_fd())).all();
        self.push_unwatched(opcode::AsyncCancel2::new(every).build());
    }

    /// Closes a socket that nothing is under way for.
    pub fn close(&mut self, socket: Socket) {
        self.push_unwatched(opcode::Close::new(Fd(socket.into_raw_fd())).build());
    }

    /// Hands over what was pushed and looks for completions, without waiting.
    ///
    /// # Errors
    ///
    /// The ring cannot be used any longer.
    pub fn submit(&mut self) -> io::Result<()> {
        let idle = {
            let queue = self.ring.submission();
            queue.is_empty() && !queue.taskrun() && !queue.cq_overflow()
        };
        if !idle {
            tolerate(self.ring.submit())?;
        }
        self.gather();
        Ok(())
    }

    /// The same, and waits for a completion if there is none yet, at most so long.
    ///
    /// # Errors
    ///
    /// As [`Ring::submit`].
    pub fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        if !self.seen.is_empty() {
            return self.submit();
        }
        let timespec = Timespec::from(timeout);
        let arguments = SubmitArgs::new().timespec(&timespec);
        tolerate(self.ring.submitter().submit_with_args(1, &arguments))?;
        self.gather();
        Ok(())
    }

    /// Whether a completion was seen that [`Ring::next`] has not given.
    pub fn has_completions(&self) -> bool {
        !self.seen.is_empty()
    }

    /// The next completion that was seen.
    pub fn next(&mut self) -> Option<Completion> {
        while let Some((entry, at_ns)) = self.seen.pop_front() {
            if entry.user_data() == UNWATCHED {
                continue;
            }
            let Operation { slot, memory } = self.operations.remove(entry.user_data() as usize);
            let result = match entry.result() {
                errno if errno < 0 => Err(-errno),
                count => Ok(count as usize),
            };
            let what = match memory {
                Memory::Address(_) => Done::Connected(result.map(|_| ())),
                Memory::Bytes(_) => Done::Sent(result),
                Memory::Buffer(buffer) => Done::Received(buffer, result),
            };
            return Some(Completion { slot, at_ns, what });
        }
        None
    }

    fn gather(&mut self) {
        let at_ns = self.epoch.elapsed().as_nanos() as u64;
        let entries = self.ring.completion();
        self.seen.extend(entries.map(|entry| (entry, at_ns)));
    }

    fn push_for(&mut self, slot: usize, memory: Memory, entry: squeue::Entry) {
        let operation = self.operations.insert(Operation { slot, memory });
        self.push(entry.user_data(operation as u64));
    }

    fn push_unwatched(&mut self, entry: squeue::Entry) {
        let quiet = entry.flags(squeue::Flags::SKIP_SUCCESS);
        self.push(quiet.user_data(UNWATCHED));
    }

    fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: see the safety argument: an entry refers to nothing that can go before it completes.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            // The queue is full: handing it over makes room. What else may go wrong than completions that wait to be
            // taken is our bug (EBADF, EFAULT, EINVAL), and would go on for ever.
            tolerate(self.ring.submit()).expect("what was pushed is sound");
            self.gather();
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let every = CancelBuilder::any();
        let cancelled = self.ring.submitter().register_sync_cancel(None, every);
        let none_is_left = match &cancelled {
            Ok(()) => true,
            Err(error) => error.raw_os_error() == Some(libc::ENOENT),
        };
        if !none_is_left {
            std::mem::forget(std::mem::take(&mut self.operations));
        }
    }
}

fn tolerate(result: io::Result<usize>) -> io::Result<()> {
    match result {
        Ok(_) => Ok(()),
        // EINTR: a signal; ETIME: the time is over; EBUSY, EAGAIN: completions must be taken first.
        Err(error) => match error.raw_os_error() {
            Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(error),
        },
    }
}
