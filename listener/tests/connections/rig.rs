//! A listener with one connection, between a network and a service that do what a script says and write down what
//! they see.
//!
//! Both are strict where the kernel and the server are: an operation too many, a buffer given back twice, or bytes
//! after the end of sending are failures of the test at once.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::RawFd;
use std::time::Duration;

use listener::limits::SWEEP_EVERY_NS;
use listener::{
    Answered, BufferId, Completion, ConnectionKey, Counters, Exchange, Io, Listener, Received,
    Refusal, Service, Settings, Target, Time,
};
use listener_http::{Head, Limits, Status};

/// The connection's descriptor.
pub const FD: RawFd = 7;

/// The worker that gets every request.
const WORKER: u16 = 3;

pub const SECOND_NS: u64 = 1_000_000_000;

/// Limits that a script can reach, and a patience for each phase that no other has.
pub fn settings() -> Settings {
    Settings {
        limits: Limits {
            request_line_max_bytes: 48,
            head_max_bytes: 160,
            headers_max: 4,
            body_max_bytes: 16,
        },
        connections_max: 1,
        bodies_max_bytes: 1 << 30,
        header_timeout_ns: 5 * SECOND_NS,
        body_timeout_ns: 9 * SECOND_NS,
        idle_timeout_ns: 20 * SECOND_NS,
        send_timeout_ns: 30 * SECOND_NS,
        draining: false,
    }
}

/// The network's side of the connection.
#[derive(Default)]
pub struct Wire {
    /// Completions that come before all others.
    completions: VecDeque<Completion>,
    /// What the client has sent and nobody has received, piece by piece.
    incoming: VecDeque<Vec<u8>>,
    /// What comes after the pieces: the end, or an error.
    last: Option<Received>,
    receiving: Option<ConnectionKey>,
    held: Option<Vec<u8>>,
    sending: Option<(ConnectionKey, Vec<u8>, usize)>,
    /// How much of a send is taken at a time; 0: nothing is.
    pub taken_max: usize,
    /// How often anything is taken at all.
    pub takes_left: usize,
    /// What the client has got.
    pub output: Vec<u8>,
    /// How often receiving was stopped.
    pub stops: usize,
    pub accepting: bool,
    pub write_shut: bool,
    pub both_shut: bool,
    pub closed: bool,
    /// Other connections that were closed.
    pub turned_away: Vec<RawFd>,
}

impl Wire {
    fn check_open(&self, fd: RawFd) {
        assert_eq!(fd, FD);
        assert!(!self.closed, "the socket has been closed");
    }

    fn receive_next(&mut self) -> Option<Completion> {
        let key = self.receiving?;
        if self.held.is_none()
            && let Some(piece) = self.incoming.pop_front()
        {
            let what = Received::Data(BufferId {
                id: 0,
                len: piece.len() as u32,
            });
            self.held = Some(piece);
            return Some(Completion::Received {
                key,
                what,
                more: true,
            });
        }
        let what = if self.both_shut {
            Received::End
        } else {
            self.last.take()?
        };
        self.receiving = None;
        Some(Completion::Received {
            key,
            what,
            more: false,
        })
    }

    fn send_next(&mut self) -> Option<Completion> {
        if self.both_shut {
            let (key, bytes, _) = self.sending.take()?;
            return Some(Completion::Sent {
                key,
                bytes,
                result: Err(32),
            });
        }
        if self.taken_max == 0 || self.takes_left == 0 {
            return None;
        }
        let (key, bytes, from) = self.sending.take()?;
        self.takes_left -= 1;
        let taken = self.taken_max.min(bytes.len() - from);
        self.output.extend_from_slice(&bytes[from..from + taken]);
        Some(Completion::Sent {
            key,
            bytes,
            result: Ok(taken),
        })
    }
}

impl Io for Wire {
    fn accept(&mut self, _: u16) {
        self.accepting = true;
    }

    fn stop_accepting(&mut self) {
        self.accepting = false;
    }

    fn peer(&mut self, fd: RawFd) -> Option<IpAddr> {
        self.check_open(fd);
        Some(CLIENT)
    }

    fn receive(&mut self, key: ConnectionKey, fd: RawFd) {
        self.check_open(fd);
        assert!(self.receiving.is_none() && !self.both_shut);
        self.receiving = Some(key);
    }

    fn stop_receiving(&mut self, key: ConnectionKey) {
        self.stops += 1;
        if self.receiving.take().is_some() {
            self.completions.push_back(Completion::Received {
                key,
                what: Received::Stopped,
                more: false,
            });
        }
    }

    fn send(&mut self, key: ConnectionKey, fd: RawFd, bytes: Vec<u8>, from: usize) {
        self.check_open(fd);
        assert!(
            self.sending.is_none() && !self.write_shut && !self.both_shut && from < bytes.len()
        );
        self.sending = Some((key, bytes, from));
    }

    fn shutdown_write(&mut self, fd: RawFd) {
        self.check_open(fd);
        assert!(self.sending.is_none() && !self.write_shut);
        self.write_shut = true;
    }

    fn shutdown_both(&mut self, fd: RawFd) {
        self.check_open(fd);
        assert!(!self.both_shut);
        self.both_shut = true;
    }

    fn close(&mut self, fd: RawFd) {
        if fd != FD {
            return self.turned_away.push(fd);
        }
        self.check_open(fd);
        assert!(self.sending.is_none() && self.receiving.is_none() && self.held.is_none());
        self.closed = true;
    }

    fn buffer(&self, buffer: BufferId) -> &[u8] {
        let held = self
            .held
            .as_deref()
            .expect("a buffer that was received into");
        assert_eq!(
            buffer,
            BufferId {
                id: 0,
                len: held.len() as u32
            }
        );
        held
    }

    fn release(&mut self, _: BufferId) {
        self.held.take().expect("a buffer is given back once");
    }

    fn submit(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    fn wait(&mut self, _: Option<Duration>) -> std::io::Result<()> {
        Ok(())
    }

    fn overflows(&self) -> u64 {
        0
    }

    fn next(&mut self) -> Option<Completion> {
        self.completions
            .pop_front()
            .or_else(|| self.receive_next())
            .or_else(|| self.send_next())
    }
}

/// The server's side: holds requests until the script answers them.
#[derive(Default)]
pub struct Desk {
    asked: VecDeque<Box<Exchange>>,
    done: VecDeque<Box<Exchange>>,
    /// Requests as `? GET /a?b [body]`, clients that went away as `! gone`, access log records as
    /// `= GET /a 200 5`: status and length of the body.
    pub seen: Vec<String>,
    /// Records of answers that have not departed.
    under_way: Vec<String>,
    /// Those of answers that departed, and how long after they were handed over; none if the kernel never took them.
    pub departed: Vec<(String, Option<u64>)>,
    /// Of each of these the lengths of its head, of its body, and of the request's body.
    pub lengths: Vec<[u64; 3]>,
}

fn text_of(record: &Answered<'_>) -> String {
    let method = record.method.map_or("-", |method| method.as_str());
    let (path, status) = (record.path.escape_ascii(), record.status.0);
    format!("{method} {path} {status} {}", record.body_bytes)
}

impl Desk {
    /// Everything that was told of has departed.
    pub fn check_end(&self) {
        assert_eq!(self.under_way, [""; 0], "not departed");
    }
}

/// Whoever connects.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The largest body that a route takes, in bytes.
pub const BODY_MAX_BYTES: u64 = 12;

impl Service for Desk {
    fn route(&mut self, port: u16, head: &Head<'_>) -> Result<Target, Refusal> {
        assert_eq!(port, 0);
        let route = match head.path {
            "/text" | "/busy" => 0,
            "/plain" => 1,
            "/read-only" => {
                let allow = Some("GET, HEAD".into());
                return Err(Refusal {
                    allow,
                    ..Refusal::new(Status::METHOD_NOT_ALLOWED)
                });
            }
            _ => return Err(Refusal::new(Status::NOT_FOUND)),
        };
        Ok(Target {
            route,
            body_max_bytes: BODY_MAX_BYTES,
            tells_timing: false,
        })
    }

    fn submit(&mut self, exchange: Box<Exchange>) -> Result<u16, (Box<Exchange>, Refusal)> {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let (path, query) = (text(exchange.path()), text(exchange.query()));
        let mark = if query.is_empty() { "" } else { "?" };
        let method = exchange.method.as_str();
        self.seen.push(format!(
            "? {method} {path}{mark}{query} [{}]",
            text(&exchange.body)
        ));
        assert_eq!(exchange.client, Some(CLIENT));
        let fields = exchange.fields().map(|(name, _)| name);
        assert_eq!(
            fields
                .filter(|name| name.eq_ignore_ascii_case("host"))
                .count(),
            usize::from(!exchange.host().is_empty())
        );
        assert!(
            exchange.answer.is_empty() && exchange.errors.is_empty() && !exchange.is_abandoned()
        );
        if path == "/busy" {
            let refusal = Refusal::new(Status::SERVICE_UNAVAILABLE);
            return Err((
                exchange,
                Refusal {
                    retry_after_s: Some(1),
                    ..refusal
                },
            ));
        }
        assert!(
            self.asked.is_empty(),
            "one request of a connection is under way at a time"
        );
        self.asked.push_back(exchange);
        Ok(WORKER)
    }

    fn abandon(&mut self, worker: u16, connection: ConnectionKey) {
        assert_eq!(worker, WORKER);
        self.seen.push("! gone".into());
        let exchange = self.asked.pop_front().expect("who is given up has asked");
        assert!(exchange.connection == connection && exchange.is_abandoned());
        self.done.push_back(exchange);
    }

    fn completed(&mut self) -> Option<Box<Exchange>> {
        self.done.pop_front()
    }

    fn content_type(&self, route: u16) -> Option<&str> {
        [Some("text/x"), None][usize::from(route)]
    }

    fn answered(&mut self, record: &Answered<'_>) {
        assert_eq!(record.client, Some(CLIENT));
        let text = text_of(record);
        self.seen.push(format!("= {text}"));
        self.under_way.push(text);
        let at = record.timeline;
        let points = [at.began_ns, at.parsed_ns, at.arrived_ns, at.answered_ns];
        let reached: Vec<_> = points.into_iter().filter(|at_ns| *at_ns > 0).collect();
        assert!(reached.is_sorted() && at.sent_ns == 0, "{at:?}");
    }

    fn departed(&mut self, record: &Answered<'_>) {
        let text = text_of(record);
        let known = self.under_way.iter().position(|known| *known == text);
        self.under_way.remove(known.expect("it was told of, once"));
        let at = record.timeline;
        let took_ns = (at.sent_ns > 0).then(|| {
            assert!(at.answered_ns <= at.sending_ns && at.sending_ns <= at.sent_ns);
            at.sent_ns - at.answered_ns
        });
        self.departed.push((text, took_ns));
        let lengths = [record.head_bytes, record.body_bytes, record.received_bytes];
        self.lengths.push(lengths);
    }
}

/// The listener between the two.
pub struct Rig {
    pub listener: Listener<Wire, Desk>,
    now_ns: u64,
}

impl Rig {
    /// With the connection open.
    pub fn new(settings: Settings) -> Rig {
        let time = Time {
            now_ns: SECOND_NS,
            unix_s: 0,
        };
        let wire = Wire {
            taken_max: usize::MAX,
            takes_left: usize::MAX,
            ..Wire::default()
        };
        let listener = Listener::new(wire, Desk::default(), settings, 1, time);
        let mut rig = Rig {
            listener,
            now_ns: time.now_ns,
        };
        assert!(rig.wire().accepting);
        rig.accept(Ok(FD), true);
        rig
    }

    /// A connection comes in, or fails to; without `more` no other will until it is asked for.
    pub fn accept(&mut self, result: Result<RawFd, i32>, more: bool) {
        self.wire().accepting = more;
        self.wire().completions.push_back(Completion::Accepted {
            port: 0,
            result,
            more,
        });
        self.settle();
    }

    pub fn wire(&mut self) -> &mut Wire {
        self.listener.io()
    }

    pub fn desk(&mut self) -> &mut Desk {
        self.listener.service()
    }

    pub fn counters(&self) -> Counters {
        self.listener.counters()
    }

    /// The client sends.
    pub fn feed(&mut self, piece: &[u8]) {
        if !piece.is_empty() {
            self.wire().incoming.push_back(piece.to_vec());
            self.settle();
        }
    }

    /// The client sends no more, or the connection fails.
    pub fn finish(&mut self, last: Received) {
        self.wire().last = Some(last);
        self.settle();
    }

    /// The request that is held is answered.
    pub fn answer(&mut self, status: Status, body: &[u8]) {
        let mut exchange = self.desk().asked.pop_front().expect("somebody has asked");
        exchange.status = status;
        exchange.answer.extend_from_slice(body);
        self.desk().done.push_back(exchange);
        self.settle();
    }

    /// Time passes; deadlines are looked at in between.
    pub fn pass(&mut self, ns: u64) {
        let until_ns = self.now_ns + ns;
        while self.now_ns < until_ns {
            self.now_ns = until_ns.min(self.now_ns + SWEEP_EVERY_NS);
            self.settle();
        }
    }

    /// Turns until nothing more happens.
    pub fn settle(&mut self) {
        let time = Time {
            now_ns: self.now_ns,
            unix_s: 0,
        };
        while self
            .listener
            .turn(time)
            .expect("this network does not fail")
        {}
    }
}
