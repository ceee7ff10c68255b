//! What happens to a connection of the load generator, and what it means for the request on it.
//!
//! Every end of a request is here, and leads to one entry in the books: `complete` or `fail`. Not here: which request
//! comes next (`load`), and what an answer says (`response`).

use socket2::{Domain, Protocol, Socket, Type};

use super::limits::RECEIVE_BYTES;
use super::load::{Load, Request};
use super::response::{Answer, Reader};
use super::tally::Failure;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// No socket. What a request gets when no connection is idle; it then waits for the connect, too.
    Closed,
    Connecting,
    /// Open and free.
    Idle,
    /// A request is under way.
    Busy,
    /// The kernel still has operations of the socket, which were cancelled.
    Closing,
}

pub(super) struct Connection {
    /// Which server's.
    pub(super) origin: usize,
    pub(super) state: State,
    pub(super) request: Option<Request>,
    /// Counts the connection's requests, to know later whether one is still under way.
    pub(super) serial: u64,
    /// Since when it is free, or was before its request.
    pub(super) free_since_ns: u64,
    pub(super) sent_ns: u64,
    /// Operations that the kernel has.
    pub(super) operations: u32,
    socket: Option<Socket>,
    /// Whether a send is under way or has failed: the connection is then not used again.
    unsent: bool,
    /// How many of the server's addresses this connect has tried in vain.
    refusals: usize,
    reader: Reader,
    pub(super) buffer: Vec<u8>,
}

impl Connection {
    pub(super) fn new(origin: usize) -> Self {
        Self {
            origin,
            state: State::Closed,
            request: None,
            serial: 0,
            free_since_ns: 0,
            sent_ns: 0,
            operations: 0,
            socket: None,
            unsent: false,
            refusals: 0,
            reader: Reader::new(),
            buffer: vec![0; RECEIVE_BYTES],
        }
    }
}

impl Load<'_> {
    /// Opens a connection. Where there are several addresses, the one that somebody was found at is tried first.
    pub(super) fn open(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        let addresses = &self.plan.targets.origins[connection.origin].addresses;
        let first = self.pools[connection.origin].address;
        let address = &addresses[(first + connection.refusals) % addresses.len()];
        match connect_socket(Domain::from(i32::from(address.family()))) {
            Ok(socket) => {
                self.ring.connect(slot, &socket, address);
                connection.state = State::Connecting;
                connection.operations += 1;
                connection.socket = Some(socket);
            }
            Err(error) => {
                let now_ns = self.ring.now_ns();
                self.not_connected(slot, error.raw_os_error().unwrap_or(libc::EIO), now_ns);
            }
        }
    }

    pub(super) fn connected(&mut self, slot: usize, result: Result<(), i32>, at_ns: u64) {
        let connection = &mut self.connections[slot];
        if connection.state != State::Connecting {
            return;
        }
        let origin = connection.origin;
        let addresses = self.plan.targets.origins[origin].addresses.len();
        match result {
            Ok(()) => {
                let pool = &mut self.pools[origin];
                pool.address = (pool.address + connection.refusals) % addresses;
                pool.connected += 1;
                connection.refusals = 0;
                connection.unsent = false;
                self.receive(slot);
                match self.connections[slot].request {
                    Some(_) => {
                        self.leaving.push((slot, false));
                        self.send(slot);
                    }
                    None => self.is_free(slot, at_ns),
                }
            }
            Err(errno) => {
                connection.refusals += 1;
                if connection.refusals < addresses {
                    if let Some(socket) = connection.socket.take() {
                        self.ring.close(socket);
                    }
                    self.open(slot);
                } else {
                    self.not_connected(slot, errno, at_ns);
                }
            }
        }
    }

    fn not_connected(&mut self, slot: usize, errno: i32, at_ns: u64) {
        let connection = &mut self.connections[slot];
        connection.refusals = 0;
        self.pools[connection.origin].refusal = Some(errno);
        let failure = match errno {
            libc::ECONNREFUSED => Failure::Refused,
            libc::ECONNRESET => Failure::Reset,
            _ => Failure::NotConnected,
        };
        self.shut(slot, at_ns, Some(failure));
    }

    pub(super) fn send(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        let (Some(request), Some(socket)) = (&connection.request, &connection.socket) else {
            return;
        };
        let target = &self.plan.targets.targets[request.target];
        connection.state = State::Busy;
        connection.unsent = true;
        connection.operations += 1;
        connection.reader.begin(&target.expected);
        self.ring.send(slot, socket, &target.request);
    }

    /// A send that fails is not the request's end: the server may have answered before it closed, and the receive that is
    /// under way says so, or how the connection ended.
    pub(super) fn sent(&mut self, slot: usize, result: Result<usize, i32>) {
        let connection = &mut self.connections[slot];
        if let (State::Busy, Some(request)) = (connection.state, connection.request) {
            let whole = self.plan.targets.targets[request.target].request.len();
            connection.unsent = result != Ok(whole);
        }
    }

    fn receive(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        if let Some(socket) = &connection.socket {
            let buffer = std::mem::take(&mut connection.buffer);
            connection.operations += 1;
            self.ring.receive(slot, socket, buffer);
        }
    }

    pub(super) fn received(&mut self, slot: usize, result: Result<usize, i32>, at_ns: u64) {
        let connection = &mut self.connections[slot];
        let request = match (connection.state, connection.request) {
            (State::Busy, Some(request)) => request,
            (State::Idle, _) => {
                // Closed by the server, which it may do at any time; bytes that nobody asked for are counted.
                self.books.unsolicited += u64::from(matches!(result, Ok(1..)));
                return self.shut(slot, at_ns, None);
            }
            _ => return,
        };
        let expected = &self.plan.targets.targets[request.target].expected;
        let read = match result {
            Ok(0) => match connection.reader.end(expected) {
                Some(answer) => Ok(Some(answer)),
                None => Err(Failure::ClosedEarly),
            },
            Ok(count) => {
                let received = connection
                    .reader
                    .receive(expected, &connection.buffer[..count]);
                received.map_err(|_| Failure::Malformed)
            }
            Err(libc::ECONNRESET | libc::EPIPE) => Err(Failure::Reset),
            Err(_) => Err(Failure::ClosedEarly),
        };
        match read {
            Ok(Some(answer)) => self.complete(slot, request, answer, at_ns),
            Ok(None) => self.receive(slot),
            Err(failure) => self.shut(slot, at_ns, Some(failure)),
        }
    }

    /// The answer of a request is complete.
    fn complete(&mut self, slot: usize, request: Request, answer: Answer, at_ns: u64) {
        let connection = &mut self.connections[slot];
        connection.request = None;
        let failure = match (answer.status_right, answer.body_right) {
            (false, _) => Some(Failure::WrongStatus),
            (true, false) => Some(Failure::WrongBody),
            (true, true) => None,
        };
        self.books
            .finished(request, failure, Some(&answer), connection.sent_ns, at_ns);
        if answer.keep_alive && self.plan.keep_alive && !connection.unsent {
            self.receive(slot);
            self.is_free(slot, at_ns);
        } else {
            self.shut(slot, at_ns, None);
        }
    }

    /// Ends a connection; `failure` is what that means for the request on it, if there is one.
    pub(super) fn shut(&mut self, slot: usize, at_ns: u64, failure: Option<Failure>) {
        let connection = &mut self.connections[slot];
        if let (Some(failure), Some(request)) = (failure, connection.request.take()) {
            self.books
                .finished(request, Some(failure), None, connection.sent_ns, at_ns);
        }
        if connection.state == State::Idle {
            self.pools[connection.origin]
                .idle
                .retain(|idle| *idle != slot);
        }
        connection.state = State::Closing;
        if connection.operations > 0
            && let Some(socket) = &connection.socket
        {
            self.ring.cancel(socket);
        }
        self.close_if_done(slot, at_ns);
    }

    /// The end of a connection that is closing, when the kernel has nothing of it any longer.
    pub(super) fn close_if_done(&mut self, slot: usize, at_ns: u64) {
        let connection = &mut self.connections[slot];
        if connection.state == State::Closing && connection.operations == 0 {
            if let Some(socket) = connection.socket.take() {
                self.ring.close(socket);
            }
            connection.state = State::Closed;
            connection.free_since_ns = at_ns;
            self.pools[connection.origin].closed.push_back(slot);
        }
    }

    fn is_free(&mut self, slot: usize, at_ns: u64) {
        let connection = &mut self.connections[slot];
        connection.state = State::Idle;
        connection.free_since_ns = at_ns;
        self.pools[connection.origin].idle.push_back(slot);
    }
}

fn connect_socket(domain: Domain) -> std::io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}
