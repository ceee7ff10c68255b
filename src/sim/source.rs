//! Where requests come from, as the engine sees it: a stream that can be looked at one request ahead and is told how
//! each request ended, so that a loop can be closed.

use sched::Nanos;

use super::engine::{Burst, Request};

/// See the module's text. Requests come in the order of their arrivals, and numbered in that order.
pub trait Source {
    /// When the next request arrives; `None` if none comes unless one of those under way ends.
    fn peek_ns(&self) -> Option<Nanos>;

    /// The next request.
    ///
    /// # Panics
    ///
    /// If there is none.
    fn take(&mut self) -> Request;

    /// Whether some requests have several bursts.
    fn has_bursts(&self) -> bool {
        false
    }

    /// A part of a request that was taken, counted from 0; the parts' work is its service. `None`: it is all of a piece.
    fn burst(&self, request: &Request, at: u32) -> Option<Burst> {
        let (_, _) = (request, at);
        None
    }

    /// A request ended at `now`, finished or refused.
    fn ended(&mut self, now: Nanos, request: &Request) {
        let (_, _) = (now, request);
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn peek_ns(&self) -> Option<Nanos> {
        (**self).peek_ns()
    }

    fn take(&mut self) -> Request {
        (**self).take()
    }

    fn has_bursts(&self) -> bool {
        (**self).has_bursts()
    }

    fn burst(&self, request: &Request, at: u32) -> Option<Burst> {
        (**self).burst(request, at)
    }

    fn ended(&mut self, now: Nanos, request: &Request) {
        (**self).ended(now, request);
    }
}

/// Requests that come whatever the server does.
pub struct Open<I> {
    next: Option<Request>,
    rest: I,
}

impl<I: Iterator<Item = Request>> Open<I> {
    pub fn new(mut requests: I) -> Self {
        Self {
            next: requests.next(),
            rest: requests,
        }
    }
}

impl<I: Iterator<Item = Request>> Source for Open<I> {
    fn peek_ns(&self) -> Option<Nanos> {
        self.next.map(|request| request.arrival.arrival_ns)
    }

    fn take(&mut self) -> Request {
        let following = self.rest.next();
        std::mem::replace(&mut self.next, following).expect("somebody comes")
    }
}

/// Several open streams as one, in the order of arrival; among equals the first stream goes first. Numbers the
/// requests anew.
pub struct Merged<I> {
    streams: Vec<(Option<Request>, I)>,
    seq: u64,
}

impl<I: Iterator<Item = Request>> Merged<I> {
    pub fn new(streams: impl IntoIterator<Item = I>) -> Self {
        let streams = streams
            .into_iter()
            .map(|mut stream| (stream.next(), stream));
        Self {
            streams: streams.collect(),
            seq: 0,
        }
    }
}

impl<I: Iterator<Item = Request>> Iterator for Merged<I> {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        let streams = self.streams.iter_mut();
        let heads = streams.filter_map(|stream| Some((stream.0?.arrival.arrival_ns, stream)));
        let (_, (head, rest)) = heads.min_by_key(|&(arrival_ns, _)| arrival_ns)?;
        let mut request = std::mem::replace(head, rest.next())?;
        request.arrival.seq = self.seq;
        self.seq += 1;
        Some(request)
    }
}
