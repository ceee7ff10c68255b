//! The listener's end of the network: every call is checked by [`crate::rules`], then queued.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use listener::{BufferId, Completion, ConnectionKey, Io, Received};

use crate::network::{Event, Network, Submission};
use crate::shared::{Phase, Shared};

pub struct SimIo {
    pub shared: Rc<Shared>,
    pub network: Rc<RefCell<Network>>,
    gathered: VecDeque<Event>,
    /// Buffers that are the listener's, with their bytes.
    held: Vec<Option<Vec<u8>>>,
    /// Until when the listener sleeps: `Some` after [`Io::wait`], `u64::MAX` for ever.
    pub sleeps_until_ns: Rc<Cell<Option<u64>>>,
}

impl SimIo {
    pub fn new(
        shared: Rc<Shared>,
        network: Rc<RefCell<Network>>,
        sleeps_until_ns: Rc<Cell<Option<u64>>>,
    ) -> SimIo {
        let held = vec![None; usize::from(network.borrow().plans.config.buffers)];
        SimIo {
            shared,
            network,
            gathered: VecDeque::new(),
            held,
            sleeps_until_ns,
        }
    }

    fn gather(&mut self, all: bool) {
        let mut network = self.network.borrow_mut();
        network.submit();
        let ready = network.ready.len();
        let seen = if all || self.shared.chance(80) {
            ready
        } else {
            self.shared.within(0..=ready)
        };
        self.gathered.extend(network.ready.drain(..seen));
    }
}

impl Io for SimIo {
    fn accept(&mut self, port: u16) {
        assert_eq!(
            self.shared.phase(),
            Phase::Serving,
            "accepts after the drain has begun"
        );
        let mut network = self.network.borrow_mut();
        let asked = &mut network.asked_to_accept[usize::from(port)];
        assert!(!std::mem::replace(asked, true), "accepts twice");
        network.submissions.push_back(Submission::Accept { port });
    }

    fn stop_accepting(&mut self) {
        self.network
            .borrow_mut()
            .submissions
            .push_back(Submission::StopAccepting);
    }

    fn peer(&mut self, _: RawFd) -> Option<IpAddr> {
        Some(Ipv4Addr::LOCALHOST.into())
    }

    fn receive(&mut self, key: ConnectionKey, fd: RawFd) {
        self.network.borrow_mut().ask_to_receive(key, fd);
    }

    fn stop_receiving(&mut self, key: ConnectionKey) {
        self.network.borrow_mut().ask_to_stop(key);
    }

    fn send(&mut self, key: ConnectionKey, fd: RawFd, bytes: Vec<u8>, from: usize) {
        self.network.borrow_mut().ask_to_send(key, fd, bytes, from);
    }

    fn shutdown_write(&mut self, fd: RawFd) {
        let mut network = self.network.borrow_mut();
        let now_ns = self.shared.now_ns();
        let (_, view) = network.view(fd);
        assert!(!view.sending && view.write_shut_ns.is_none() && !view.both_shut);
        view.write_shut_ns = Some(now_ns);
        network
            .submissions
            .push_back(Submission::ShutdownWrite { fd });
    }

    fn shutdown_both(&mut self, fd: RawFd) {
        let mut network = self.network.borrow_mut();
        network.check_cut(fd);
        network
            .submissions
            .push_back(Submission::ShutdownBoth { fd });
    }

    fn close(&mut self, fd: RawFd) {
        let mut network = self.network.borrow_mut();
        network.check_close(fd);
        network.submissions.push_back(Submission::Close { fd });
    }

    fn buffer(&self, buffer: BufferId) -> &[u8] {
        let bytes = self.held[usize::from(buffer.id)]
            .as_deref()
            .expect("a buffer of the listener's");
        assert_eq!(bytes.len(), buffer.len as usize);
        bytes
    }

    fn release(&mut self, buffer: BufferId) {
        self.held[usize::from(buffer.id)]
            .take()
            .expect("a buffer is given back once");
        self.network.borrow_mut().buffers_free.push(buffer.id);
    }

    fn submit(&mut self) -> std::io::Result<()> {
        self.sleeps_until_ns.set(None);
        self.gather(false);
        Ok(())
    }

    fn wait(&mut self, timeout: Option<Duration>) -> std::io::Result<()> {
        self.gather(true);
        if self.gathered.is_empty() {
            self.network.borrow().check_sleep(timeout.is_none());
            let until_ns = timeout.map_or(u64::MAX, |timeout| {
                self.shared.now_ns() + timeout.as_nanos() as u64
            });
            self.sleeps_until_ns.set(Some(until_ns));
        }
        Ok(())
    }

    fn overflows(&self) -> u64 {
        0
    }

    fn next(&mut self) -> Option<Completion> {
        let Event { completion, bytes } = self.gathered.pop_front()?;
        self.network.borrow_mut().tell(&completion);
        if let Completion::Received {
            what: Received::Data(buffer),
            ..
        } = &completion
        {
            let held = &mut self.held[usize::from(buffer.id)];
            assert!(
                held.replace(bytes).is_none(),
                "this network gives a buffer twice"
            );
        }
        Some(completion)
    }
}
