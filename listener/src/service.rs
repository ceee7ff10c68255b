//! The seam between the listener and what is behind it: routing, admission, the rings to the workers.

use crate::exchange::{ConnectionKey, Exchange};
use crate::timeline::Timeline;
use listener_http::{Head, Method, Status};
use std::net::IpAddr;
use std::sync::Arc;

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The route; means something to the service alone.
    pub route: u16,
    /// The largest body that the route takes, in bytes.
    pub body_max_bytes: u64,
    /// Whether every answer of the route says where its time went; else those whose request asks.
    pub tells_timing: bool,
}

/// What a client that found no room is told to wait, in seconds: the least that the field can say.
const RETRY_AFTER_S: u32 = 1;

/// A request is not taken, with the answer that the client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The answer's status.
    pub status: Status,
    /// When to try again, in seconds (RFC 9110 §10.2.3).
    pub retry_after_s: Option<u32>,
    /// The methods that would be taken (RFC 9110 §10.2.1), for 405.
    pub allow: Option<Arc<str>>,
}

impl Refusal {
    /// A refusal that says its status and, where it is for want of room, to come again.
    pub fn new(status: Status) -> Refusal {
        let is_passing = status == Status::SERVICE_UNAVAILABLE;
        Refusal {
            status,
            retry_after_s: is_passing.then_some(RETRY_AFTER_S),
            allow: None,
        }
    }
}

/// One answer, as it is told of; with the status 499 there was nobody any more to give it to.
#[derive(Clone, Debug)]
pub struct Answered<'a> {
    /// The request's number; 0 where it was refused before it had one.
    pub request_id: u64,
    /// The port it came in on.
    pub port: u16,
    /// The client's address; none if it had gone before it was looked at.
    pub client: Option<IpAddr>,
    /// Its method, where it could be parsed.
    pub method: Option<Method>,
    /// Its path as sent.
    pub path: &'a [u8],
    /// Its query as sent, without the question mark.
    pub query: &'a [u8],
    /// The answer's status.
    pub status: Status,
    /// The length of the answer's head.
    pub head_bytes: u64,
    /// The length of the answer's body.
    pub body_bytes: u64,
    /// The length of the request's body, where it was whole.
    pub received_bytes: u64,
    /// The route, where it had one.
    pub route: Option<u16>,
    /// The worker that had it, if one had.
    pub worker: Option<u16>,
    /// When what happened to it.
    pub timeline: &'a Timeline,
}

/// What the listener asks of the server behind it. Nothing here may wait.
pub trait Service {
    /// Finds the route of a request that came in on a port.
    ///
    /// # Errors
    ///
    /// The refusal to answer with: 404, 405, 414.
    fn route(&mut self, port: u16, head: &Head<'_>) -> Result<Target, Refusal>;

    /// Takes a whole request and says which worker has it. From here until it comes out of
    /// [`Service::completed`] it is the service's.
    ///
    /// # Errors
    ///
    /// Gives it back with the refusal to answer with: 429, 503.
    fn submit(&mut self, exchange: Box<Exchange>) -> Result<u16, (Box<Exchange>, Refusal)>;

    /// Nobody waits any more for what this connection asked; [`Exchange::is_abandoned`] says so already.
    /// The exchange still comes out of [`Service::completed`], however it ends.
    fn abandon(&mut self, worker: u16, connection: ConnectionKey);

    /// The next request that was answered, or given up after it was abandoned.
    fn completed(&mut self) -> Option<Box<Exchange>>;

    /// The content type of a route's answers.
    fn content_type(&self, route: u16) -> Option<&str>;

    /// An answer was handed to its connection, or there is nobody to hand it to. Told once of every request.
    fn answered(&mut self, record: &Answered<'_>);

    /// Nothing more happens to a request of which [`Service::answered`] told: the kernel has taken the answer's last
    /// byte, or (`sent_ns` is 0) that is not known, or will never be. Told once of every request.
    fn departed(&mut self, record: &Answered<'_>);
}
