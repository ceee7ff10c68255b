//! The table of connections and the loop body over them.
//!
//! A connection's slot is freed only when no operation of it is under way, so a completion always finds
//! the connection that it belongs to; answers, which may come late, are matched by generation.

use crate::connection::{Connection, Context, Overdue};
use crate::exchange::{ConnectionKey, Exchange, Spare, clear};
use crate::io::{Completion, Io, Received};
use crate::limits::{
    ANSWERS_PER_TURN_MAX, CONNECTIONS_MAX, LINGER_NS, SWEEP_EVERY_NS, SWEEP_PARTS,
};
use crate::service::Service;
use listener_http::{Limits, format_imf_fixdate};
use slab::Slab;
use std::os::fd::RawFd;
use std::time::Duration;

/// What an operator may set; times in nanoseconds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Limits of requests.
    pub limits: Limits,
    /// Connections open at once; one more is closed at once.
    pub connections_max: usize,
    /// Bytes of request bodies held at once, over all connections; beyond it 503.
    pub bodies_max_bytes: u64,
    /// From a request's first byte (or the connection's start) to the end of its head.
    pub header_timeout_ns: u64,
    /// Between two pieces of a body.
    pub body_timeout_ns: u64,
    /// Between two requests.
    pub idle_timeout_ns: u64,
    /// For the client to take an answer.
    pub send_timeout_ns: u64,
    /// Set by [`Listener::drain`]: every answer closes its connection.
    pub draining: bool,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted and kept.
    pub connections: u64,
    /// Connections closed at once because the table was full.
    pub connections_refused: u64,
    /// Accepts that failed, most often for want of file descriptors.
    pub accepts_failed: u64,
    /// Request heads that were complete and valid.
    pub requests: u64,
    /// Requests that were complete and offered to the service.
    pub submitted: u64,
    /// Answers to requests that were routed.
    pub answered: u64,
    /// Requests refused by the parser, the limits or the routes.
    pub rejected: u64,
    /// Requests refused by the service: no room, no budget.
    pub refused: u64,
    /// Requests whose client went away before the answer.
    pub abandoned: u64,
    /// Requests whose client went away before their body was there.
    pub bodies_given_up: u64,
    /// Answers that came back after their connection had gone.
    pub answers_unclaimed: u64,
    /// Connections that ran out of time.
    pub timeouts: u64,
    /// Times that no receive buffer was free.
    pub buffers_exhausted: u64,
    /// Times that completions had no room in the ring and waited in the kernel.
    pub ring_overflows: u64,
}

/// A reading of the two clocks that a listener needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Monotonic nanoseconds.
    pub now_ns: u64,
    /// Seconds since 1970, for the Date field.
    pub unix_s: u64,
}

struct Slot {
    connection: Connection,
    fd: RawFd,
    generation: u32,
    receiving: bool,
    stopping: bool,
    sending: bool,
    send_deadline_ns: u64,
    write_shut: bool,
    cut: bool,
}

/// Connections and what they wait for.
pub struct Listener<I, S> {
    io: I,
    service: S,
    settings: Settings,
    slots: Slab<Slot>,
    generations: Vec<u32>,
    counters: Counters,
    spare: Spare,
    ports: Vec<Port>,
    date: [u8; 29],
    time: Time,
    next_sweep_ns: u64,
    sweep_part: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Port {
    Accepting,
    /// Accepting failed; tried again at the next sweep.
    Paused,
}

impl<I: Io, S: Service> Listener<I, S> {
    /// Begins to accept on ports `0..ports`.
    pub fn new(io: I, service: S, settings: Settings, ports: u16, time: Time) -> Listener<I, S> {
        assert!(settings.connections_max <= CONNECTIONS_MAX);
        let mut listener = Listener {
            io,
            service,
            settings,
            slots: Slab::new(),
            generations: Vec::new(),
            counters: Counters::default(),
            spare: Spare::default(),
            ports: vec![Port::Accepting; usize::from(ports)],
            date: format_imf_fixdate(time.unix_s),
            time,
            next_sweep_ns: time.now_ns + SWEEP_EVERY_NS,
            sweep_part: 0,
        };
        for port in 0..ports {
            listener.io.accept(port);
        }
        listener
    }

    /// Does all that can be done now without waiting. Returns whether anything happened.
    ///
    /// # Errors
    ///
    /// The ring itself failed; nothing more can be done with it.
    pub fn turn(&mut self, time: Time) -> std::io::Result<bool> {
        self.set_time(time);
        self.io.submit()?;
        let mut happened = false;
        while let Some(completion) = self.io.next() {
            happened = true;
            self.complete(completion);
        }
        for _ in 0..ANSWERS_PER_TURN_MAX {
            let Some(exchange) = self.service.completed() else {
                break;
            };
            happened = true;
            self.answer(exchange);
        }
        if self.time.now_ns >= self.next_sweep_ns {
            self.sweep();
        }
        Ok(happened)
    }

    /// Waits for a completion, for the bell, or for the next deadline of a connection; never longer than
    /// `at_most`.
    ///
    /// # Errors
    ///
    /// As [`Listener::turn`].
    pub fn wait(&mut self, at_most: Option<Duration>) -> std::io::Result<()> {
        let idle = self.slots.is_empty() && !self.ports.contains(&Port::Paused);
        let until_sweep = self.next_sweep_ns.saturating_sub(self.time.now_ns);
        let until_sweep = (!idle).then_some(Duration::from_nanos(until_sweep));
        let timeout = [until_sweep, at_most].into_iter().flatten().min();
        self.io.wait(timeout)
    }

    /// Stops accepting; idle connections are closed, the others after the answer under way.
    pub fn drain(&mut self) {
        self.settings.draining = true;
        self.ports.clear();
        self.io.stop_accepting();
        for index in self.indices() {
            self.slots[index].connection.finish();
            self.flush(index);
        }
    }

    /// Gives up every request and cuts every connection.
    pub fn abort(&mut self) {
        for index in self.indices() {
            self.cut(index);
        }
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.slots.len()
    }

    /// Counts since the start.
    pub fn counters(&self) -> Counters {
        Counters {
            ring_overflows: self.io.overflows(),
            ..self.counters
        }
    }

    /// The service behind it.
    pub fn service(&mut self) -> &mut S {
        &mut self.service
    }

    /// The sockets under it.
    pub fn io(&mut self) -> &mut I {
        &mut self.io
    }

    fn set_time(&mut self, time: Time) {
        if time.unix_s != self.time.unix_s {
            self.date = format_imf_fixdate(time.unix_s);
        }
        self.time = time;
    }

    fn indices(&self) -> Vec<usize> {
        self.slots.iter().map(|(index, _)| index).collect()
    }

    fn complete(&mut self, completion: Completion) {
        match completion {
            Completion::Accepted { port, result, more } => self.accepted(port, result, more),
            Completion::Received { key, what, more } => self.received(key, what, more),
            Completion::Sent { key, bytes, result } => self.sent(key, bytes, result),
            Completion::Rung => {}
        }
    }

    fn accepted(&mut self, port: u16, result: Result<RawFd, i32>, more: bool) {
        match result {
            Ok(fd)
                if self.settings.draining || self.slots.len() >= self.settings.connections_max =>
            {
                self.counters.connections_refused += 1;
                self.io.close(fd);
            }
            Ok(fd) => self.open(port, fd),
            Err(_) if self.settings.draining => {}
            Err(_) => {
                self.counters.accepts_failed += 1;
                if !more {
                    // Most often no descriptors are left: trying again at once would spin.
                    self.ports[usize::from(port)] = Port::Paused;
                }
                return;
            }
        }
        if !more && !self.settings.draining {
            self.io.accept(port);
        }
    }

    fn open(&mut self, port: u16, fd: RawFd) {
        self.counters.connections += 1;
        let index = self.slots.vacant_key();
        if index == self.generations.len() {
            self.generations.push(0);
        }
        self.generations[index] = self.generations[index].wrapping_add(1);
        let client = self.io.peer(fd);
        self.slots.insert(Slot {
            connection: Connection::new(port, client, self.time.now_ns, &self.settings),
            fd,
            generation: self.generations[index],
            receiving: false,
            stopping: false,
            sending: false,
            send_deadline_ns: u64::MAX,
            write_shut: false,
            cut: false,
        });
        self.flush(index);
    }

    fn received(&mut self, key: ConnectionKey, what: Received, more: bool) {
        let index = self.index(key);
        let slot = &mut self.slots[index];
        if !more {
            slot.receiving = false;
            slot.stopping = false;
        }
        let cut = slot.cut;
        match what {
            Received::Data(buffer) => {
                if !cut {
                    let (connection, mut context, io) = self.parts(index);
                    connection.receive(&mut context, io.buffer(buffer));
                }
                self.io.release(buffer);
            }
            Received::End if !cut => {
                let (connection, mut context, _) = self.parts(index);
                connection.end_input(&mut context);
            }
            Received::Failed(_) if !cut => self.cut(index),
            Received::NoBuffer => self.counters.buffers_exhausted += 1,
            Received::Stopped | Received::End | Received::Failed(_) => {}
        }
        // `cut` may have closed it already.
        if self.slots.contains(index) {
            self.flush(index);
        }
    }

    fn sent(&mut self, key: ConnectionKey, mut bytes: Vec<u8>, result: Result<usize, i32>) {
        let index = self.index(key);
        let slot = &mut self.slots[index];
        slot.sending = false;
        let whole = match result {
            Ok(sent) if sent == bytes.len() => true,
            // MSG_WAITALL makes it rare: send the rest.
            Ok(sent) if sent > 0 && !slot.cut => {
                bytes.drain(..sent);
                slot.sending = true;
                self.io.send(key, slot.fd, bytes, 0);
                return;
            }
            _ => false,
        };
        if !whole {
            return self.cut(index);
        }
        clear(&mut bytes);
        if slot.connection.output.capacity() == 0 {
            slot.connection.output = bytes;
        }
        let cut = slot.cut;
        let (connection, mut context, _) = self.parts(index);
        connection.taken(&mut context);
        if !cut {
            connection.sent(&mut context);
        }
        self.flush(index);
    }

    fn answer(&mut self, exchange: Box<Exchange>) {
        let key = exchange.connection;
        let index = key.index as usize;
        let waiting = self
            .slots
            .get(index)
            .is_some_and(|slot| slot.generation == key.generation && !slot.cut)
            && !exchange.is_abandoned();
        if !waiting {
            self.counters.answers_unclaimed += 1;
            return self.context(key).unclaimed(exchange);
        }
        let (connection, mut context, _) = self.parts(index);
        connection.answer(&mut context, exchange);
        self.flush(index);
    }

    /// Brings what is under way for a connection in line with what it wants.
    fn flush(&mut self, index: usize) {
        let now_ns = self.time.now_ns;
        let slot = &mut self.slots[index];
        let key = ConnectionKey {
            index: index as u32,
            generation: slot.generation,
        };
        let (io, connection) = (&mut self.io, &mut slot.connection);
        if !slot.cut {
            if !slot.sending && !connection.output.is_empty() {
                slot.sending = true;
                slot.send_deadline_ns = now_ns + self.settings.send_timeout_ns;
                io.send(key, slot.fd, std::mem::take(&mut connection.output), 0);
                connection.offer(now_ns);
            }
            if connection.wants_input() && !slot.receiving {
                slot.receiving = true;
                io.receive(key, slot.fd);
            }
            if !connection.is_closing() || slot.sending {
                return self.stop_receiving_unless_wanted(index);
            }
            if connection.lingers() {
                if !slot.write_shut {
                    slot.write_shut = true;
                    connection.deadline_ns = now_ns + LINGER_NS;
                    io.shutdown_write(slot.fd);
                }
                return;
            }
        }
        self.stop_receiving_unless_wanted(index);
        let slot = &self.slots[index];
        if !slot.receiving && !slot.sending {
            let mut slot = self.slots.remove(index);
            slot.connection.end(&mut self.context(key));
            self.io.close(slot.fd);
        }
    }

    fn stop_receiving_unless_wanted(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let wanted = !slot.cut && slot.connection.wants_input();
        if slot.receiving && !slot.stopping && !wanted {
            slot.stopping = true;
            let key = ConnectionKey {
                index: index as u32,
                generation: slot.generation,
            };
            self.io.stop_receiving(key);
        }
    }

    /// Ends a connection without further ado: what is under way completes soon, then it is closed.
    fn cut(&mut self, index: usize) {
        if !self.slots[index].cut {
            self.slots[index].cut = true;
            let (connection, mut context, _) = self.parts(index);
            connection.give_up(&mut context);
            self.io.shutdown_both(self.slots[index].fd);
        }
        self.flush(index);
    }

    fn sweep(&mut self) {
        let now_ns = self.time.now_ns;
        self.next_sweep_ns = now_ns + SWEEP_EVERY_NS;
        for port in 0..self.ports.len() {
            if self.ports[port] == Port::Paused {
                self.ports[port] = Port::Accepting;
                self.io.accept(port as u16);
            }
        }
        let mut index = self.sweep_part;
        self.sweep_part = (self.sweep_part + 1) % SWEEP_PARTS;
        while index < self.generations.len() {
            if let Some(slot) = self.slots.get(index)
                && !slot.cut
            {
                let overdue = if slot.sending {
                    slot.send_deadline_ns
                } else {
                    slot.connection.deadline_ns
                };
                if now_ns >= overdue {
                    self.expire(index);
                }
            }
            index += SWEEP_PARTS;
        }
    }

    fn expire(&mut self, index: usize) {
        self.counters.timeouts += 1;
        let sending = self.slots[index].sending;
        let (connection, mut context, _) = self.parts(index);
        match connection.expire(&mut context, sending) {
            Overdue::Request | Overdue::Idle => self.flush(index),
            Overdue::Cut => self.cut(index),
        }
    }

    fn index(&self, key: ConnectionKey) -> usize {
        let index = key.index as usize;
        assert_eq!(
            self.slots.get(index).map(|slot| slot.generation),
            Some(key.generation),
            "a slot is freed only by its final completion"
        );
        index
    }

    /// For what no longer has a connection.
    fn context(&mut self, key: ConnectionKey) -> Context<'_, S> {
        Context {
            service: &mut self.service,
            settings: &self.settings,
            counters: &mut self.counters,
            spare: &mut self.spare,
            date: std::str::from_utf8(&self.date).expect("an IMF-fixdate is ASCII"),
            now_ns: self.time.now_ns,
            key,
        }
    }

    fn parts(&mut self, index: usize) -> (&mut Connection, Context<'_, S>, &mut I) {
        let slot = &mut self.slots[index];
        let context = Context {
            service: &mut self.service,
            settings: &self.settings,
            counters: &mut self.counters,
            spare: &mut self.spare,
            date: std::str::from_utf8(&self.date).expect("an IMF-fixdate is ASCII"),
            now_ns: self.time.now_ns,
            key: ConnectionKey {
                index: index as u32,
                generation: slot.generation,
            },
        };
        (&mut slot.connection, context, &mut self.io)
    }
}
