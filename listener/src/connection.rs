//! One client connection as a pure state machine: bytes in, requests out; answers in, bytes out.
//!
//! It owns no socket and knows no ring: [`crate::Listener`] moves the bytes. Time is an argument.
//! One request of a connection is under way at a time; what a client pipelines behind it stays in
//! `input` until its turn (RFC 9112 §9.3.2), and receiving pauses when that grows.
//!
//! ```text
//!              head complete            body complete           answer
//!   ┌─► Head ────────────────► Body ────────────────► Waiting ────────┐
//!   │    │ bad, or not routed    │ bad                                │
//!   │    └──────────┬────────────┘                                    │
//!   │               ▼                                                 │
//!   │            Closing (answers are sent, input is thrown away)     │
//!   └───────────────────────────────── keep-alive ────────────────────┘
//! ```

use crate::exchange::{Abandoned, ConnectionKey, Exchange, Spare, Written, clear};
use crate::limits::{
    ANSWERS_AHEAD_MAX, BODY_TIMEOUTS_MAX, IDLE_BUFFER_MAX_BYTES, INPUT_AHEAD_MAX_BYTES,
    INPUT_MAX_BYTES, OUTPUT_AHEAD_MAX_BYTES,
};
use crate::service::{Answered, Refusal, Service};
use crate::timeline::Timeline;
use crate::{Counters, Settings};
use listener_http::{
    BodyDecoder, CONTINUE, Framing, Head, HeadParser, Method, Parsed, Reject, ResponseHead, Status,
    Version, encode_head,
};
use std::collections::VecDeque;
use std::net::IpAddr;

/// What a connection needs from around it for one call.
pub(crate) struct Context<'a, S> {
    pub service: &'a mut S,
    pub settings: &'a Settings,
    pub counters: &'a mut Counters,
    pub spare: &'a mut Spare,
    /// The Date field's value (RFC 9110 §6.6.1).
    pub date: &'a str,
    pub now_ns: u64,
    pub key: ConnectionKey,
}

impl<S: Service> Context<'_, S> {
    fn departed(&mut self, departing: Departing) {
        let Departing { exchange, written } = departing;
        self.service.departed(&exchange.answered(written));
        self.spare.keep(exchange);
    }

    /// Nobody waits any more for what an exchange asked.
    pub fn unclaimed(&mut self, exchange: Box<Exchange>) {
        let record = exchange.given_up();
        self.service.answered(&record);
        self.service.departed(&record);
        self.spare.keep(exchange);
    }
}

enum Phase {
    Head,
    Body(BodyDecoder, Box<Exchange>),
    Waiting { worker: u16, abandoned: Abandoned },
    Closing,
}

/// What the client waits for when time is up, and so what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// Nothing was asked: close.
    Idle,
    /// A request that began has not come: 408, then close.
    Request,
    /// The client does not take its answer, or goes on sending after a refusal: cut.
    Cut,
}

/// An answer that the kernel has not taken, and its lengths.
struct Departing {
    exchange: Box<Exchange>,
    written: Written,
}

pub(crate) struct Connection {
    port: u16,
    client: Option<IpAddr>,
    /// When it was accepted, until its first request has come.
    accepted_ns: u64,
    phase: Phase,
    parser: HeadParser,
    /// Received and not yet consumed, from `consumed` on.
    input: Vec<u8>,
    consumed: usize,
    /// To be sent next.
    pub output: Vec<u8>,
    /// The answers in what is being sent, and behind them those in `output`.
    departing: VecDeque<Departing>,
    /// How many of them are in what is being sent.
    offered: usize,
    /// When the body that is coming in must be there, however lively its client is.
    body_until_ns: u64,
    /// When the request that is coming in began; 0 between requests.
    began_ns: u64,
    /// When patience ends; `u64::MAX` while a worker has the request.
    pub deadline_ns: u64,
    /// It was refused, or had more to say than was read: read on until it ends, so that it gets its answer.
    linger: bool,
    /// The client will send no more.
    pub input_ended: bool,
}

impl Connection {
    pub fn new(port: u16, client: Option<IpAddr>, now_ns: u64, settings: &Settings) -> Connection {
        Connection {
            port,
            client,
            accepted_ns: now_ns,
            phase: Phase::Head,
            parser: HeadParser::new(),
            input: Vec::new(),
            consumed: 0,
            output: Vec::new(),
            departing: VecDeque::new(),
            offered: 0,
            body_until_ns: 0,
            began_ns: 0,
            deadline_ns: now_ns + settings.header_timeout_ns,
            linger: false,
            input_ended: false,
        }
    }

    /// Takes in received bytes.
    pub fn receive<S: Service>(&mut self, context: &mut Context<'_, S>, bytes: &[u8]) {
        if matches!(self.phase, Phase::Closing) {
            return;
        }
        if self.consumed < self.input.len() {
            self.input.extend_from_slice(bytes);
            self.advance_input(context);
        } else {
            // The common case: a request lies whole in the received buffer, and is parsed where it is.
            clear(&mut self.input);
            self.consumed = 0;
            let consumed = self.advance(context, bytes);
            self.input.extend_from_slice(&bytes[consumed..]);
            self.bound_input(context);
        }
    }

    /// Receiving is about to pause, or did not pause in time. While it is paused a client that goes away is not
    /// seen, so that its time is limited even while a worker has its request.
    fn bound_input<S: Service>(&mut self, context: &mut Context<'_, S>) {
        let ahead = self.input.len() - self.consumed;
        if ahead > INPUT_MAX_BYTES {
            self.give_up(context);
            self.input = Vec::new();
            self.consumed = 0;
        } else if ahead >= INPUT_AHEAD_MAX_BYTES && matches!(self.phase, Phase::Waiting { .. }) {
            self.deadline_ns = context.now_ns + context.settings.idle_timeout_ns;
        }
    }

    /// The client sends no more. What it asked and was not yet answered is given up: a client that closes
    /// cannot be told from one that only shuts down its sending half.
    pub fn end_input<S: Service>(&mut self, context: &mut Context<'_, S>) {
        self.input_ended = true;
        self.give_up(context);
    }

    /// The answer to the request under way.
    pub fn answer<S: Service>(
        &mut self,
        context: &mut Context<'_, S>,
        mut exchange: Box<Exchange>,
    ) {
        assert!(
            matches!(self.phase, Phase::Waiting { .. }),
            "one request is under way at a time"
        );
        exchange.keep_alive &= !context.settings.draining;
        let keep_alive = exchange.keep_alive;
        let refusal = Refusal::new(exchange.status);
        if exchange.status == Status::OK || exchange.own_head.is_read() {
            self.give_answer(context, exchange);
        } else {
            self.give_refusal(context, exchange, &refusal);
        }
        self.next_request(context, keep_alive);
        // Receiving has paused: closing with unread bytes would reset the connection under the answer
        // (RFC 9112 §9.6).
        let ahead = self.input.len() - self.consumed;
        self.linger |= !keep_alive && ahead >= INPUT_AHEAD_MAX_BYTES;
        self.advance_input(context);
    }

    /// Time is up.
    pub fn expire<S: Service>(&mut self, context: &mut Context<'_, S>, sending: bool) -> Overdue {
        if sending || matches!(self.phase, Phase::Closing) {
            return Overdue::Cut;
        }
        let too_late = Refusal::new(Status::REQUEST_TIMEOUT);
        match std::mem::replace(&mut self.phase, Phase::Closing) {
            Phase::Head if self.began_ns == 0 => return Overdue::Idle,
            waiting @ Phase::Waiting { .. } => {
                self.phase = waiting;
                return Overdue::Cut;
            }
            Phase::Body(_, exchange) => self.refuse_body(context, exchange, &too_late),
            Phase::Head | Phase::Closing => self.refuse(context, None, &too_late, false),
        }
        Overdue::Request
    }

    /// Drain: no further request; idle connections end now, the others after their answer.
    pub fn finish(&mut self) {
        if matches!(self.phase, Phase::Head) && self.began_ns == 0 {
            self.phase = Phase::Closing;
        }
    }

    /// Whether more bytes are wanted now.
    pub fn wants_input(&self) -> bool {
        !self.input_ended
            && match self.phase {
                Phase::Head | Phase::Body(..) => self.has_room(),
                Phase::Waiting { .. } => self.input.len() - self.consumed < INPUT_AHEAD_MAX_BYTES,
                Phase::Closing => self.linger,
            }
    }

    /// Whether another answer may be added to those that have not been sent.
    fn has_room(&self) -> bool {
        self.output.len() < OUTPUT_AHEAD_MAX_BYTES && self.departing.len() < ANSWERS_AHEAD_MAX
    }

    /// Whether all is said once `output` has been sent.
    pub fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing)
    }

    /// Whether to let the client finish sending before the socket is closed, so that the reset which an
    /// unread byte provokes does not destroy the answer on its way (RFC 9112 §9.6).
    pub fn lingers(&self) -> bool {
        self.linger && !self.input_ended
    }

    /// The client has gone, or the connection is cut: the request under way is abandoned.
    pub fn give_up<S: Service>(&mut self, context: &mut Context<'_, S>) {
        match std::mem::replace(&mut self.phase, Phase::Closing) {
            Phase::Waiting { worker, abandoned } => {
                abandoned.set();
                context.counters.abandoned += 1;
                context.service.abandon(worker, context.key);
            }
            Phase::Body(_, exchange) => {
                context.counters.bodies_given_up += 1;
                context.unclaimed(exchange);
            }
            Phase::Head | Phase::Closing => {}
        }
    }

    /// All of `output` was just given to the kernel.
    pub fn offer(&mut self, now_ns: u64) {
        for departing in self.departing.range_mut(self.offered..) {
            departing.exchange.timeline.sending_ns = now_ns;
        }
        self.offered = self.departing.len();
    }

    /// The kernel has taken all that it was given.
    pub fn taken<S: Service>(&mut self, context: &mut Context<'_, S>) {
        for mut departing in self.departing.drain(..self.offered) {
            departing.exchange.timeline.sent_ns = context.now_ns;
            context.departed(departing);
        }
        self.offered = 0;
    }

    /// The connection is no more: what was not taken never will be.
    pub fn end<S: Service>(&mut self, context: &mut Context<'_, S>) {
        self.departing
            .drain(..)
            .for_each(|departing| context.departed(departing));
    }

    /// All that was given to be sent has been.
    pub fn sent<S: Service>(&mut self, context: &mut Context<'_, S>) {
        if matches!(self.phase, Phase::Head) && self.began_ns == 0 && self.output.is_empty() {
            // However slowly the client read: its time to ask again begins only now.
            self.deadline_ns = context.now_ns + context.settings.idle_timeout_ns;
            self.shed_buffers();
        }
        self.advance_input(context);
    }

    /// Many idle connections keep little each.
    fn shed_buffers(&mut self) {
        if self.output.capacity() > IDLE_BUFFER_MAX_BYTES {
            self.output = Vec::new();
        }
        if self.consumed == self.input.len() && self.input.capacity() > IDLE_BUFFER_MAX_BYTES {
            self.input = Vec::new();
            self.consumed = 0;
        }
    }

    /// Goes on with what came in earlier: the answer before it is done, or there is room for output again.
    fn advance_input<S: Service>(&mut self, context: &mut Context<'_, S>) {
        let input = std::mem::take(&mut self.input);
        let consumed = self.advance(context, &input[self.consumed..]);
        self.input = input;
        self.consumed += consumed;
        if self.consumed == self.input.len() {
            clear(&mut self.input);
            self.consumed = 0;
        } else if self.consumed >= INPUT_AHEAD_MAX_BYTES {
            self.input.drain(..self.consumed);
            self.consumed = 0;
        }
        self.bound_input(context);
    }

    /// Consumes what can be consumed now, from the front.
    fn advance<S: Service>(&mut self, context: &mut Context<'_, S>, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && self.has_room() {
            let rest = &bytes[at..];
            match std::mem::replace(&mut self.phase, Phase::Closing) {
                Phase::Head => {
                    if self.began_ns == 0 {
                        self.began_ns = context.now_ns;
                        self.deadline_ns = context.now_ns + context.settings.header_timeout_ns;
                    }
                    match self.parser.parse(&context.settings.limits, rest) {
                        Ok(Parsed::Partial) => {
                            self.phase = Phase::Head;
                            break;
                        }
                        Ok(Parsed::Head { head, consumed }) => {
                            at += consumed;
                            self.begin(context, &head, &rest[..consumed], at < bytes.len());
                        }
                        Err(reject) => self.reject(context, None, &reject),
                    }
                }
                Phase::Body(decoder, exchange) => {
                    at += self.take_body(context, decoder, exchange, rest)
                }
                waiting @ Phase::Waiting { .. } => {
                    self.phase = waiting;
                    break;
                }
                Phase::Closing => return bytes.len(),
            }
        }
        at
    }

    fn begin<S: Service>(
        &mut self,
        context: &mut Context<'_, S>,
        head: &Head<'_>,
        raw: &[u8],
        more: bool,
    ) {
        context.counters.requests += 1;
        let target = match context.service.route(self.port, head) {
            Ok(target) => target,
            // Without a body the connection is at the start of the next request and can stay.
            Err(refusal) => {
                let stay = head.framing == Framing::None && head.keep_alive;
                return self.refuse(context, Some(head), &refusal, stay);
            }
        };
        let decoder = match BodyDecoder::new(head.framing, target.body_max_bytes) {
            Ok(decoder) => decoder,
            Err(reject) => return self.reject(context, Some(head), &reject),
        };
        let mut exchange = context.spare.take();
        let length = match head.framing {
            Framing::Length(length) => length,
            Framing::None | Framing::Chunked => 0,
        };
        if !context
            .spare
            .reserve(&mut exchange, length, context.settings.bodies_max_bytes)
        {
            context.spare.keep(exchange);
            let refusal = Refusal::new(Status::SERVICE_UNAVAILABLE);
            return self.refuse(context, Some(head), &refusal, false);
        }
        exchange.timeline.accepted_ns = std::mem::take(&mut self.accepted_ns);
        exchange.timeline.began_ns = self.began_ns;
        exchange.timeline.parsed_ns = context.now_ns;
        exchange.connection = context.key;
        exchange.port = self.port;
        exchange.client = self.client;
        exchange.request_id = context.counters.requests;
        exchange.route = target.route;
        exchange.method = head.method;
        exchange.version = head.version;
        exchange.keep_alive = head.keep_alive && !context.settings.draining;
        exchange.tells_timing = target.tells_timing || head.wants_timing;
        exchange.head.extend_from_slice(raw);
        exchange.path = span(raw, head.path.as_bytes());
        exchange.query = span(raw, head.query.as_bytes());
        exchange.host = span(raw, head.host.as_bytes());
        exchange.field_lines = span(raw, head.field_lines());
        if decoder.is_done() {
            return self.submit(context, exchange);
        }
        // RFC 9110 §10.1.1: not needed when the body is coming already.
        if head.expect_continue && !more {
            self.output.extend_from_slice(CONTINUE);
        }
        let timeout_ns = context.settings.body_timeout_ns;
        self.body_until_ns = context
            .now_ns
            .saturating_add(timeout_ns.saturating_mul(BODY_TIMEOUTS_MAX));
        self.deadline_ns = context.now_ns + timeout_ns;
        self.phase = Phase::Body(decoder, exchange);
    }

    fn take_body<S: Service>(
        &mut self,
        context: &mut Context<'_, S>,
        mut decoder: BodyDecoder,
        mut exchange: Box<Exchange>,
        bytes: &[u8],
    ) -> usize {
        match decoder.decode(bytes, &mut exchange.body) {
            Ok(progress) if progress.done => {
                self.submit(context, exchange);
                progress.consumed
            }
            Ok(_)
                if !context
                    .spare
                    .reserve_received(&mut exchange, context.settings.bodies_max_bytes) =>
            {
                self.refuse_body(
                    context,
                    exchange,
                    &Refusal::new(Status::SERVICE_UNAVAILABLE),
                );
                bytes.len()
            }
            Ok(progress) => {
                let next_ns = context.now_ns + context.settings.body_timeout_ns;
                self.deadline_ns = next_ns.min(self.body_until_ns);
                self.phase = Phase::Body(decoder, exchange);
                progress.consumed
            }
            Err(reject) => {
                self.refuse_body(context, exchange, &Refusal::new(reject.status()));
                bytes.len()
            }
        }
    }

    /// Answers before the body was whole; what follows of it is thrown away.
    fn refuse_body<S: Service>(
        &mut self,
        context: &mut Context<'_, S>,
        mut exchange: Box<Exchange>,
        refusal: &Refusal,
    ) {
        exchange.keep_alive = false;
        exchange.status = refusal.status;
        self.give_refusal(context, exchange, refusal);
        self.next_request(context, false);
        self.linger = true;
    }

    fn submit<S: Service>(&mut self, context: &mut Context<'_, S>, mut exchange: Box<Exchange>) {
        exchange.timeline.arrived_ns = context.now_ns;
        exchange.received_bytes = exchange.body.len() as u64;
        context.counters.submitted += 1;
        exchange.sequence = context.counters.submitted;
        let abandoned = exchange.abandoned();
        self.deadline_ns = u64::MAX;
        match context.service.submit(exchange) {
            Ok(worker) => self.phase = Phase::Waiting { worker, abandoned },
            Err((mut exchange, refusal)) => {
                context.counters.refused += 1;
                exchange.status = refusal.status;
                // A drain may have begun since the head was there.
                exchange.keep_alive &= !context.settings.draining;
                let keep_alive = exchange.keep_alive;
                self.give_refusal(context, exchange, &refusal);
                self.next_request(context, keep_alive);
            }
        }
    }

    fn next_request<S: Service>(&mut self, context: &Context<'_, S>, keep_alive: bool) {
        self.began_ns = 0;
        self.phase = if keep_alive && !self.input_ended {
            Phase::Head
        } else {
            Phase::Closing
        };
        self.deadline_ns = context.now_ns + context.settings.idle_timeout_ns;
    }

    fn give_answer<S: Service>(
        &mut self,
        context: &mut Context<'_, S>,
        mut exchange: Box<Exchange>,
    ) {
        exchange.timeline.answered_ns = context.now_ns;
        let written = self.write_answer(context, &exchange);
        self.depart(context, exchange, written);
    }

    fn write_answer<S: Service>(
        &mut self,
        context: &mut Context<'_, S>,
        exchange: &Exchange,
    ) -> Written {
        let own = &exchange.own_head;
        let (status, is_head) = (exchange.status, exchange.method == Method::Head);
        let body = match status.forbids_content() {
            true => &[],
            false => exchange.answer_body(),
        };
        // What a GET would have is not known, where the function made no body for good reason (RFC 9110 §8.6).
        let is_unknown = own.is_read() && body.is_empty() && is_head;
        let has_length = status != Status::NOT_MODIFIED && !is_unknown;
        let reason = &exchange.answer[own.reason.clone()];
        let timing = timing(exchange);
        let extra = timing.as_deref().map(|text| (SERVER_TIMING, text));
        let is_own = own.is_read() && (body.is_empty() || own.fields().has_content_type());
        let content_type = match is_own {
            true => None,
            false => context.service.content_type(exchange.route),
        };
        let head = ResponseHead {
            status,
            reason: (!reason.is_empty()).then_some(reason),
            version: exchange.version,
            keep_alive: exchange.keep_alive,
            content_type,
            content_length: has_length.then_some(body.len() as u64),
            retry_after_s: None,
            allow: None,
            date: context.date,
            extra: extra.as_slice(),
            lines: Some(own.fields()),
        };
        let head_bytes = self.write_head(&head);
        if !is_head {
            self.output.extend_from_slice(body);
        }
        Written {
            head_bytes,
            body_bytes: body.len() as u64,
        }
    }

    fn give_refusal<S: Service>(
        &mut self,
        context: &mut Context<'_, S>,
        mut exchange: Box<Exchange>,
        refusal: &Refusal,
    ) {
        let reply = (
            exchange.version,
            exchange.keep_alive,
            exchange.method != Method::Head,
        );
        exchange.timeline.answered_ns = context.now_ns;
        let timing = timing(&exchange);
        let extra = timing.as_deref().map(|text| (SERVER_TIMING, text));
        let written = self.write_error(
            (context.date, extra.as_slice()),
            refusal,
            reply,
            &exchange.report,
        );
        self.depart(context, exchange, written);
    }

    /// The answer is in `output`: what is left of its exchange is its record.
    fn depart<S: Service>(
        &mut self,
        context: &mut Context<'_, S>,
        mut exchange: Box<Exchange>,
        written: Written,
    ) {
        context.counters.answered += 1;
        context.service.answered(&exchange.answered(written));
        context.spare.release(&mut exchange);
        self.departing.push_back(Departing { exchange, written });
    }

    fn reject<S: Service>(
        &mut self,
        context: &mut Context<'_, S>,
        head: Option<&Head<'_>>,
        reject: &Reject,
    ) {
        self.refuse(context, head, &Refusal::new(reject.status()), false);
    }

    /// Answers a request that never became an exchange; the connection stays only if `stay`.
    fn refuse<S: Service>(
        &mut self,
        context: &mut Context<'_, S>,
        head: Option<&Head<'_>>,
        refusal: &Refusal,
        stay: bool,
    ) {
        let stay = stay && !context.settings.draining;
        let version = head.map_or(Version::Http11, |head| head.version);
        let method = head.map(|head| head.method);
        let reply = (version, stay, method != Some(Method::Head));
        let written = self.write_error((context.date, &[]), refusal, reply, &[]);
        context.counters.rejected += 1;
        let record = Answered {
            request_id: 0,
            port: self.port,
            client: self.client,
            method,
            path: head.map_or(&[], |head| head.path.as_bytes()),
            query: head.map_or(&[], |head| head.query.as_bytes()),
            status: refusal.status,
            head_bytes: written.head_bytes,
            body_bytes: written.body_bytes,
            received_bytes: 0,
            route: None,
            worker: None,
            timeline: &Timeline::default(),
        };
        context.service.answered(&record);
        context.service.departed(&record);
        self.next_request(context, stay);
        self.linger = !stay;
    }

    /// A report, or, where it is empty, a short text for people, without internals.
    fn write_error(
        &mut self,
        (date, extra): (&str, &[(&str, &str)]),
        refusal: &Refusal,
        (version, keep_alive, send_body): (Version, bool, bool),
        report: &[u8],
    ) -> Written {
        let reason = refusal.status.phrase().as_bytes();
        let body = match report {
            [] => [reason, b"\n"],
            report => [report, b""],
        };
        let body_bytes = body.iter().map(|part| part.len() as u64).sum();
        let head = ResponseHead {
            status: refusal.status,
            reason: None,
            version,
            keep_alive,
            content_type: Some("text/plain"),
            content_length: Some(body_bytes),
            retry_after_s: refusal.retry_after_s,
            allow: refusal.allow.as_deref(),
            date,
            extra,
            lines: None,
        };
        let head_bytes = self.write_head(&head);
        if send_body {
            body.iter()
                .for_each(|part| self.output.extend_from_slice(part));
        }
        Written {
            head_bytes,
            body_bytes,
        }
    }

    /// Returns its length.
    fn write_head(&mut self, head: &ResponseHead<'_>) -> u64 {
        let before = self.output.len();
        encode_head(head, &mut self.output);
        (self.output.len() - before) as u64
    }
}

/// The field that says where the time of an answer went (W3C Server Timing).
const SERVER_TIMING: &str = "Server-Timing";

/// Its value, if somebody asks for it.
fn timing(exchange: &Exchange) -> Option<String> {
    let asked = exchange.tells_timing;
    asked.then(|| exchange.timeline.server_timing())
}

fn span(raw: &[u8], part: &[u8]) -> std::ops::Range<usize> {
    // The empty query and the path of `http://host` may point outside of the head: they are empty or "/".
    let from = (part.as_ptr() as usize).wrapping_sub(raw.as_ptr() as usize);
    if from <= raw.len() && from + part.len() <= raw.len() {
        from..from + part.len()
    } else {
        0..0
    }
}
