//! One run: the server between its seams, and everything around it, one step at a time on one thread.
//!
//! Who steps next is chance. Guests call [`World::step`] themselves while they run, so that steps nest: whoever is in
//! the middle of one cannot be chosen again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use listener::{Listener, Time};
use luge::server::metrics::{Metrics, WorkerMetrics};
use luge::server::{
    Dispatcher, Interrupt, ListenerSleep, Refused, Rules, Shelf, WorkerLink, WorkerSettings,
    WorkerThread, link,
};
use perf::event::{EventWriter, ring};
use sched::{Reservation, Tenant};

use crate::client::Client;
use crate::events::{EVENTS_MAX, Events};
use crate::guest::{Alarms, SimGuest, Timer};
use crate::io::SimIo;
use crate::ledger::{Ledger, Watched};
use crate::metrics;
use crate::network::Network;
use crate::plan::{Config, PORTS, Plans, routes};
use crate::shared::{Phase, Shared, VirtualClock};

/// Steps after which a run that ought to end is stuck.
const STEPS_MAX: usize = 400_000;

/// Steps that a drain is given before everything is cut.
const DRAIN_STEPS: usize = 3_000;

const MICROSECOND_NS: u64 = 1_000;
const MILLISECOND_NS: u64 = 1_000_000;

type Worker = WorkerThread<SimGuest, VirtualClock>;

pub struct World {
    shared: Rc<Shared>,
    plans: Rc<Plans>,
    ledger: Rc<RefCell<Ledger>>,
    network: Rc<RefCell<Network>>,
    clients: RefCell<Vec<Client>>,
    listener: RefCell<Listener<SimIo, Watched>>,
    listener_sleeps_until_ns: Rc<Cell<Option<u64>>>,
    workers: Vec<RefCell<Worker>>,
    timers: Vec<Arc<Timer>>,
    asleep: Vec<Cell<bool>>,
    alarms: Rc<RefCell<Alarms>>,
    /// Sandboxes there are.
    alive: Rc<Cell<u32>>,
    events: Events,
    metrics: Arc<Metrics>,
    steps: Cell<usize>,
}

impl World {
    pub fn new(shared: Rc<Shared>) -> Rc<World> {
        let plans = Plans::draw(&shared);
        let ledger = Rc::new(RefCell::new(Ledger::new(shared.clone(), plans.clone())));
        let network = Rc::new(RefCell::new(Network::new(
            shared.clone(),
            plans.clone(),
            ledger.clone(),
        )));
        let alarms = Rc::new(RefCell::new(Alarms::default()));
        let alive = Rc::new(Cell::new(0));
        let timers: Vec<_> = (0..plans.config.workers)
            .map(|_| Arc::new(Timer::default()))
            .collect();
        let (mut links, mut workers) = (Vec::new(), Vec::new());
        let sleep = Arc::new(ListenerSleep::default());
        let around = (shared.clone(), plans.clone(), ledger.clone());
        let (noted, told) = ring(EVENTS_MAX);
        let mut events = Events::new(told);
        let metrics = metrics::metrics(plans.config.workers);
        let dispatcher = plans.config.intake.dispatch;
        let mut shelves = Shelf::for_workers(timers.len(), dispatcher);
        for (number, timer) in timers.iter().enumerate() {
            let own = (number, timer.clone());
            let guest = SimGuest::new(around.clone(), alarms.clone(), own, alive.clone());
            let (noted, told) = ring(EVENTS_MAX);
            events.of_workers.push(told);
            let seen = (metrics.worker(number), noted);
            let around = (&sleep, shelves.next());
            let (link, worker) = worker(guest, seen, timer.clone(), around);
            links.push(link);
            workers.push(RefCell::new(worker));
        }
        let around = (VirtualClock(shared.clone()), noted);
        let rules = rules(&shared, &plans.config);
        let seen = (None, metrics.clone());
        let dispatcher = Dispatcher::new(routes(), links, rules, seen, around);
        let sleeps = Rc::new(Cell::new(None));
        let io = SimIo::new(shared.clone(), network.clone(), sleeps.clone());
        let watched = Watched {
            dispatcher,
            ledger: ledger.clone(),
        };
        let settings = plans.config.listener.clone();
        let listener = Listener::new(io, watched, settings, PORTS, time(&shared));
        let client = |number| Client::new(number, shared.clone(), plans.clone());
        let world = Rc::new(World {
            clients: RefCell::new((0..plans.clients.len()).map(client).collect()),
            listener: RefCell::new(listener),
            listener_sleeps_until_ns: sleeps,
            asleep: timers.iter().map(|_| Cell::new(false)).collect(),
            steps: Cell::new(0),
            ledger,
            network,
            workers,
            timers,
            alarms,
            alive,
            events,
            metrics,
            plans,
            shared,
        });
        world.shared.set_world(Rc::downgrade(&world));
        world
    }

    /// Serves, drains, and checks that nothing is left.
    pub fn run(&self) {
        let steps = self.plans.config.steps;
        if self.plans.config.calm {
            self.step_until(STEPS_MAX, || {
                self.clients.borrow().iter().all(Client::is_gone)
            });
            for client in &*self.clients.borrow() {
                assert!(client.is_content(), "{client:?} has not got its answers");
            }
            self.shared.saw("calm");
        } else {
            self.step_until(steps, || false);
        }
        self.shared.enter(Phase::Draining);
        if self.ledger.borrow().outstanding() > 0 {
            self.shared.saw("drained with work under way");
        }
        self.listener.borrow_mut().drain();
        self.listener_sleeps_until_ns.set(None);
        self.step_until(self.steps.get() + DRAIN_STEPS, || self.is_empty());
        if self.is_empty() {
            self.shared.saw("drained");
        }
        self.shared.enter(Phase::Aborting);
        if self.ledger.borrow().outstanding() > 0 {
            self.shared.saw("aborted with work under way");
        }
        self.listener.borrow_mut().abort();
        self.listener_sleeps_until_ns.set(None);
        self.step_until(STEPS_MAX, || self.is_empty() && self.is_quiet());
        assert!(self.is_empty() && self.is_quiet(), "stuck");
        self.check_end();
    }

    fn step_until(&self, steps_max: usize, done: impl Fn() -> bool) {
        while self.steps.get() < steps_max && !done() {
            self.step();
        }
    }

    /// Somebody does something.
    pub fn step(&self) {
        self.steps.set(self.steps.get() + 1);
        match self.shared.below(100) {
            0..40 => {
                let mut clients = self.clients.borrow_mut();
                let client = self.shared.below(clients.len());
                clients[client].step(&mut self.network.borrow_mut());
            }
            40..66 => self.network.borrow_mut().step(),
            66..81 => self.step_listener(),
            81..93 => self.step_worker(),
            93..96 => self.pass_time(),
            _ => Alarms::step(&self.alarms, &self.shared),
        }
    }

    fn step_listener(&self) {
        let mut listener = self.listener.borrow_mut();
        if let Some(until_ns) = self.listener_sleeps_until_ns.get() {
            let woken = !self.network.borrow().ready.is_empty()
                || listener.service().dispatcher.has_completed();
            if !woken && self.shared.now_ns() < until_ns {
                return;
            }
        }
        let happened = listener
            .turn(time(&self.shared))
            .expect("this network does not fail");
        let left = listener.service().dispatcher.has_completed();
        // Who leaves while it waits at the dispatcher comes back with the next turn, before which nobody sleeps.
        let may_hold = self.plans.config.intake.dispatch.name == "jbsq";
        assert!(!left || may_hold, "an answer is left lying");
        if !happened && !left && self.shared.chance(50) {
            listener.wait(None).expect("this network does not fail");
        }
    }

    fn step_worker(&self) {
        let at = self.shared.below(self.workers.len());
        let Ok(mut worker) = self.workers[at].try_borrow_mut() else {
            return;
        };
        // For what others have that could be stolen it is woken in other ways.
        let steals = self.plans.config.intake.dispatch.steals;
        if self.asleep[at].get() && !self.timers[at].is_rung() && !steals {
            return;
        }
        self.timers[at].take_rung();
        let ran = worker.turn(self.shared.now_ns());
        self.asleep[at].set(!ran && !self.timers[at].is_rung());
    }

    fn pass_time(&self) {
        let below = |ns: u64| self.shared.below(ns as usize) as u64;
        let ns = match self.shared.below(100) {
            _ if self.plans.config.calm => below(300 * MICROSECOND_NS),
            0..50 => below(50 * MICROSECOND_NS),
            50..80 => below(5 * MILLISECOND_NS),
            80..97 => below(200 * MILLISECOND_NS),
            _ => below(1_500 * MILLISECOND_NS),
        };
        self.shared.pass(ns);
    }

    /// The server has nothing more to do.
    fn is_empty(&self) -> bool {
        let mut listener = self.listener.borrow_mut();
        listener.connections() == 0 && listener.service().dispatcher.outstanding() == 0
    }

    /// Nothing is on its way to or from the kernel, and no worker has anything to look at.
    fn is_quiet(&self) -> bool {
        let network = self.network.borrow();
        let workers = self
            .asleep
            .iter()
            .zip(&self.timers)
            .all(|(asleep, timer)| asleep.get() && !timer.is_rung());
        network.submissions.is_empty() && network.ready.is_empty() && workers
    }

    fn check_end(&self) {
        let counters = self.listener.borrow().counters();
        self.shared.trace(|| format!("{counters:?}"));
        self.ledger.borrow().check_end(&counters);
        self.network.borrow().check_end(&counters);
        self.events.check_end(&self.ledger.borrow());
        assert!(
            self.workers
                .iter()
                .all(|worker| worker.borrow().outstanding() == 0)
        );
        assert_eq!(self.alive.get(), 0, "a sandbox is left");
        let mut listener = self.listener.borrow_mut();
        let dispatcher = &listener.service().dispatcher;
        assert!(dispatcher.admission().is_idle(), "capacity is lost");
        let refused = dispatcher.refused();
        let ends = self.ledger.borrow().ends;
        metrics::check_end(&self.metrics, (&self.events, &ends), &counters, &refused);
        let Refused {
            tenant,
            server,
            full,
        } = refused;
        assert_eq!(tenant + server + full, counters.refused);
        let rule = self.plans.config.intake.admission.name;
        assert!(server == 0 || rule != "none", "refused by no rule");
    }
}

fn time(shared: &Shared) -> Time {
    let now_ns = shared.now_ns();
    Time {
        now_ns,
        unix_s: 800_000_000 + now_ns / 1_000_000_000,
    }
}

/// By what the listener decides.
fn rules(shared: &Shared, config: &Config) -> Rules {
    let whole = |tenant: Tenant| Tenant {
        reservation: tenant.reservation.map(|share| Reservation {
            budget_ns: share.budget_ns * config.workers as u64,
            ..share
        }),
        ..tenant
    };
    let tenants = config.tenants.map(whole);
    let now_ns = shared.now_ns();
    let intake = config.intake.clone();
    let many = (&tenants[..], config.workers, config.tasks_max);
    Rules::new(now_ns, config.scheduler, intake, many)
}

/// A worker of the server and the link to it.
fn worker(
    guest: SimGuest,
    (metrics, events): (Arc<WorkerMetrics>, EventWriter),
    timer: Arc<Timer>,
    (sleep, shelf): (&Arc<ListenerSleep>, Option<Shelf>),
) -> (WorkerLink, Worker) {
    let config = &guest.plans.config;
    let settings = WorkerSettings {
        tasks_max: config.tasks_max,
        scheduler: config.scheduler,
        params: config.params,
        dispatch: config.intake.dispatch,
        notice_ns: config.params.quantum_ns,
        spin_ns: 0,
        metrics,
        tells_starts: config.intake.admission.name == "delay",
        tenants: config.tenants.into(),
    };
    let (pending, inbox) = link(config.outstanding_max, sleep.clone(), shelf);
    let clock = VirtualClock(guest.shared.clone());
    let alarm: Arc<dyn Interrupt> = timer;
    let stop = Arc::new(AtomicBool::new(false));
    let worker = WorkerThread::new(
        settings,
        (guest, alarm.clone()),
        (clock, events),
        inbox,
        routes(),
        stop,
    );
    (pending.complete(alarm), worker)
}
