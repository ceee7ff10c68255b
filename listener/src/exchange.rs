//! One request and its answer: the value that travels from the listener to a worker and back.
//!
//! An exchange owns every buffer that a request needs and is reused from request to request, so a warm
//! server moves one pointer over each ring and allocates nothing. Whoever holds the box holds the
//! request: it can be neither lost nor answered twice.

use listener_http::{CgiHead, Fields, Method, Status, Version};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::limits::{BUFFER_KEPT_MAX_BYTES, EXCHANGES_KEPT_MAX, EXCHANGES_KEPT_MAX_BYTES};
use crate::service::Answered;
use crate::timeline::Timeline;

/// The client went away before its answer: nobody sees this status but the access log (nginx's 499).
const CLIENT_CLOSED_REQUEST: Status = Status(499);

/// Names a connection: its slot, and how many connections had the slot before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionKey {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ConnectionKey {
    /// The slot in the listener's table; two open connections never share it.
    pub fn index(self) -> u32 {
        self.index
    }
}

/// Lengths of an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub head_bytes: u64,
    pub body_bytes: u64,
}

/// A request on its way to a worker, or its answer on the way back.
#[derive(Debug)]
pub struct Exchange {
    /// The connection that asked.
    pub connection: ConnectionKey,
    /// Index of the port that it came in on.
    pub port: u16,
    /// The client's address; none if it had gone before it was looked at.
    pub client: Option<IpAddr>,
    /// Bytes reserved for its body.
    reserved_bytes: u64,
    /// Counts the requests of this server; names the request in logs.
    pub request_id: u64,
    /// The order in which requests were complete, over all connections.
    pub sequence: u64,
    /// The route that [`crate::Service::route`] found.
    pub route: u16,
    /// The worker that it was given to.
    pub worker: u16,
    /// Names the request among those under way; means something to the service alone.
    pub ticket: u32,
    /// How long it is expected to execute, in nanoseconds; 0 for unknown. The service says so.
    pub expected_ns: u64,
    /// Request method.
    pub method: Method,
    /// Request version.
    pub version: Version,
    /// Whether the connection stays open after the answer.
    pub keep_alive: bool,
    /// Whether the answer says where its time went.
    pub(crate) tells_timing: bool,
    /// The request's head as it was received.
    pub head: Vec<u8>,
    /// The path's bytes within `head`.
    pub path: Range<usize>,
    /// The query's bytes within `head`, without the question mark.
    pub query: Range<usize>,
    /// The bytes of host and port within `head`; see [`listener_http::Head::host`].
    pub host: Range<usize>,
    /// The bytes of the field lines within `head`.
    pub field_lines: Range<usize>,
    /// A buffer for the function's arguments, filled and emptied by the worker.
    pub arguments: Vec<u8>,
    /// A buffer for the function's environment, filled and emptied by the worker.
    pub environment: Vec<u8>,
    /// The request's body, decoded.
    pub body: Vec<u8>,
    /// Its length, once it is whole: whoever answers may take the body away.
    pub(crate) received_bytes: u64,
    /// The answer's status; whoever answers sets it.
    pub status: Status,
    /// The answer's body; before it the head that the function wrote, if `own_head` was read from it.
    pub answer: Vec<u8>,
    /// What the function says of its answer beside the body.
    pub own_head: CgiHead,
    /// What the function wrote to its standard error, where it is kept apart.
    pub errors: Vec<u8>,
    /// The body of an answer that is an error; empty: the words for its status.
    pub report: Vec<u8>,
    /// When what happened.
    pub timeline: Timeline,
    abandoned: Abandoned,
}

/// Set by the listener when the client has gone, read by the worker that holds the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Abandoned(Arc<AtomicBool>);

impl Abandoned {
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Exchange {
    /// Of a request that is still to come: empty buffers, zeroes.
    #[must_use]
    pub fn new() -> Box<Exchange> {
        Box::new(Exchange {
            connection: ConnectionKey {
                index: 0,
                generation: 0,
            },
            port: 0,
            client: None,
            reserved_bytes: 0,
            request_id: 0,
            sequence: 0,
            route: 0,
            worker: 0,
            ticket: 0,
            expected_ns: 0,
            method: Method::Get,
            version: Version::Http11,
            keep_alive: false,
            tells_timing: false,
            head: Vec::new(),
            path: 0..0,
            query: 0..0,
            host: 0..0,
            field_lines: 0..0,
            arguments: Vec::new(),
            environment: Vec::new(),
            body: Vec::new(),
            received_bytes: 0,
            status: Status(0),
            answer: Vec::new(),
            own_head: CgiHead::default(),
            errors: Vec::new(),
            report: Vec::new(),
            timeline: Timeline::default(),
            abandoned: Abandoned::default(),
        })
    }

    /// What is told of its answer.
    pub(crate) fn answered(&self, written: Written) -> Answered<'_> {
        Answered {
            request_id: self.request_id,
            port: self.port,
            client: self.client,
            method: Some(self.method),
            path: self.path(),
            query: self.query(),
            status: self.status,
            head_bytes: written.head_bytes,
            body_bytes: written.body_bytes,
            received_bytes: self.received_bytes,
            route: Some(self.route),
            worker: (self.timeline.dispatched_ns > 0).then_some(self.worker),
            timeline: &self.timeline,
        }
    }

    /// What is told where the client went away first.
    pub(crate) fn given_up(&self) -> Answered<'_> {
        let status = CLIENT_CLOSED_REQUEST;
        Answered {
            status,
            ..self.answered(Written::default())
        }
    }

    /// The path as sent, without the query.
    pub fn path(&self) -> &[u8] {
        &self.head[self.path.clone()]
    }

    /// The query as sent, without the question mark.
    pub fn query(&self) -> &[u8] {
        &self.head[self.query.clone()]
    }

    /// Host and port as sent; empty if HTTP/1.0 gave none.
    pub fn host(&self) -> &[u8] {
        &self.head[self.host.clone()]
    }

    /// The header fields as sent.
    pub fn fields(&self) -> Fields<'_> {
        Fields::new(&self.head[self.field_lines.clone()])
    }

    /// The answer without the head that the function wrote.
    pub fn answer_body(&self) -> &[u8] {
        &self.answer[self.own_head.body_at..]
    }

    /// Whether the client has gone.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.is_set()
    }

    pub(crate) fn abandoned(&self) -> Abandoned {
        self.abandoned.clone()
    }

    fn capacity_bytes(&self) -> usize {
        let buffers = [
            &self.head,
            &self.arguments,
            &self.environment,
            &self.body,
            &self.answer,
            &self.errors,
            &self.report,
        ];
        let bytes: usize = buffers.into_iter().map(Vec::capacity).sum();
        bytes + self.own_head.fields().capacity_bytes()
    }

    /// Forgets the request, keeps its buffers unless they are large.
    fn recycle(&mut self) {
        for buffer in [
            &mut self.head,
            &mut self.arguments,
            &mut self.environment,
            &mut self.body,
            &mut self.answer,
            &mut self.errors,
            &mut self.report,
        ] {
            clear(buffer);
        }
        self.own_head.clear();
        self.path = 0..0;
        self.query = 0..0;
        self.host = 0..0;
        self.field_lines = 0..0;
        self.received_bytes = 0;
        self.status = Status(0);
        self.timeline = Timeline::default();
        if self.abandoned.is_set() {
            // The connection that set it may still hold the old flag; a new one cannot be confused with it.
            self.abandoned = Abandoned::default();
        }
    }
}

/// Exchanges at rest, for reuse, and the account of the memory that bodies take.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    #[expect(
        clippy::vec_box,
        reason = "the box is what travels; unboxing would allocate it anew"
    )]
    resting: Vec<Box<Exchange>>,
    /// What the buffers of those at rest take.
    resting_bytes: usize,
    /// What is reserved for the bodies of requests that came in and are not answered yet.
    bodies_bytes: u64,
}

impl Spare {
    pub fn take(&mut self) -> Box<Exchange> {
        let Some(exchange) = self.resting.pop() else {
            return Exchange::new();
        };
        self.resting_bytes -= exchange.capacity_bytes();
        exchange
    }

    /// Gives back the memory of an exchange's bodies, of which nobody needs anything any more.
    pub fn release(&mut self, exchange: &mut Exchange) {
        self.bodies_bytes -= std::mem::take(&mut exchange.reserved_bytes);
        clear(&mut exchange.body);
        clear(&mut exchange.answer);
    }

    pub fn keep(&mut self, mut exchange: Box<Exchange>) {
        self.release(&mut exchange);
        exchange.recycle();
        let bytes = exchange.capacity_bytes();
        if self.resting.len() < EXCHANGES_KEPT_MAX
            && self.resting_bytes + bytes <= EXCHANGES_KEPT_MAX_BYTES
        {
            self.resting_bytes += bytes;
            self.resting.push(exchange);
        }
    }

    /// Sets memory aside for a body of so many bytes; `false` if there is not so much left.
    pub fn reserve(&mut self, exchange: &mut Exchange, bytes: u64, bodies_max_bytes: u64) -> bool {
        let more = bytes.saturating_sub(exchange.reserved_bytes);
        if more > bodies_max_bytes.saturating_sub(self.bodies_bytes) {
            return false;
        }
        self.bodies_bytes += more;
        exchange.reserved_bytes += more;
        true
    }

    /// The same for what has come of a body whose length nobody said.
    pub fn reserve_received(&mut self, exchange: &mut Exchange, bodies_max_bytes: u64) -> bool {
        let received = exchange.body.len() as u64;
        self.reserve(exchange, received, bodies_max_bytes)
    }
}

/// Empties a buffer for its next use; frees it when it grew large.
pub(crate) fn clear(buffer: &mut Vec<u8>) {
    if buffer.capacity() > BUFFER_KEPT_MAX_BYTES {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}
