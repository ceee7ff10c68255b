//! The seam between the listener and the sockets: what it asks for, what it is told.
//!
//! Two implementations: [`crate::Ring`] over io_uring, and the simulated network of the tests, which
//! shortens, delays, resets and reorders as a seed says. The listener cannot tell them apart.
//!
//! Memory: bytes to send are given away with [`Io::send`] and come back with [`Completion::Sent`];
//! received bytes stay the other side's and are borrowed between [`Io::buffer`] and [`Io::release`].

use crate::exchange::ConnectionKey;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::time::Duration;

/// One provided buffer holding received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferId {
    /// Which of the provided buffers.
    pub id: u16,
    /// How many bytes were received into it.
    pub len: u32,
}

/// What a receive brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Bytes; to be given back with [`Io::release`].
    Data(BufferId),
    /// The peer will send no more.
    End,
    /// No buffer was free: nothing is lost, ask again.
    NoBuffer,
    /// Receiving was stopped by [`Io::stop_receiving`].
    Stopped,
    /// The connection failed, with its errno.
    Failed(i32),
}

/// What has come to pass.
#[derive(Debug)]
pub enum Completion {
    /// A connection on a port, or the errno of a failed accept; without `more`, accepting has ended.
    Accepted {
        /// Index of the listening socket.
        port: u16,
        /// The connection's socket, or an errno.
        result: Result<RawFd, i32>,
        /// Whether more will come without asking.
        more: bool,
    },
    /// Without `more`, receiving has ended and must be asked for again.
    Received {
        /// Whose.
        key: ConnectionKey,
        /// What it brought.
        what: Received,
        /// Whether more will come without asking.
        more: bool,
    },
    /// The bytes are given back with how many of them (from `from` on) were sent, or the errno.
    Sent {
        /// Whose.
        key: ConnectionKey,
        /// The buffer that was given to be sent.
        bytes: Vec<u8>,
        /// How many bytes were sent, or an errno.
        result: Result<usize, i32>,
    },
    /// Somebody rang the bell (see [`crate::Bell`]).
    Rung,
}

/// The socket operations that a listener needs. None of them waits but [`Io::wait`].
pub trait Io {
    /// Accepts connections on a port until told otherwise.
    fn accept(&mut self, port: u16);
    /// Stops accepting on all ports and closes the listening sockets.
    fn stop_accepting(&mut self);
    /// The address of the other side of a connection that was accepted; none if it has gone.
    fn peer(&mut self, fd: RawFd) -> Option<IpAddr>;
    /// Receives until the end, an error, or [`Io::stop_receiving`].
    fn receive(&mut self, key: ConnectionKey, fd: RawFd);
    /// Ends a receive; it completes as [`Received::Stopped`] unless it has completed otherwise.
    fn stop_receiving(&mut self, key: ConnectionKey);
    /// Sends `bytes[from..]`.
    fn send(&mut self, key: ConnectionKey, fd: RawFd, bytes: Vec<u8>, from: usize);
    /// Ends the sending half: the peer sees the end after what was sent.
    fn shutdown_write(&mut self, fd: RawFd);
    /// Ends both halves: operations under way complete at once.
    fn shutdown_both(&mut self, fd: RawFd);
    /// Closes a socket that has no operation under way.
    fn close(&mut self, fd: RawFd);
    /// The bytes of a received buffer.
    fn buffer(&self, buffer: BufferId) -> &[u8];
    /// Gives a received buffer back.
    fn release(&mut self, buffer: BufferId);
    /// Hands over what was asked for and gathers what has completed, without waiting.
    ///
    /// # Errors
    ///
    /// The ring is broken; interruptions are not errors.
    fn submit(&mut self) -> std::io::Result<()>;
    /// The same, waiting until something completes or the time is over.
    ///
    /// # Errors
    ///
    /// As [`Io::submit`].
    fn wait(&mut self, timeout: Option<Duration>) -> std::io::Result<()>;
    /// Times that it found completions which had no room in the ring and waited in the kernel.
    fn overflows(&self) -> u64;
    /// The next completion gathered.
    fn next(&mut self) -> Option<Completion>;
}
