//! Simulated sandboxes: guests that do what their plan says, and the worker's timer as the real one would treat them.
//!
//! While a guest runs, the rest of the world goes on: requests come, clients go, wakes fire, other workers run slices.
//! That is how everything that can happen between two instructions of the worker's loop does happen here.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use luge::server::{Guest, Interrupt};
use sandbox::{Call, Contention, Exit, Outcome, Step, TrapReport};

use crate::ledger::{Ledger, Life, id_of};
use crate::plan::{Deed, End, GuestPlan, Plans, ROUTES, answer};
use crate::shared::Shared;

/// A slice that nobody ends ends after so many looks at the world: guests may run for ever, runs may not.
const LOOKS_MAX: usize = 40;

/// A worker's timer, as its worker and as others see it.
#[derive(Default)]
pub struct Timer(Mutex<TimerState>);

#[derive(Default)]
struct TimerState {
    /// The slice that runs: its end, and the bar for arrivals.
    slice: Option<(u64, Contention)>,
    /// When it ends whoever comes.
    limit_ns: Option<u64>,
    armed: bool,
    /// Somebody has called since the worker last looked.
    rung: bool,
    /// Whoever comes now comes after the worker's look and before its slice.
    beginning: bool,
    arrival_missed: bool,
    cancel_missed: bool,
}

impl Timer {
    fn state(&self) -> MutexGuard<'_, TimerState> {
        self.0.lock().expect("nobody panics here")
    }

    /// Whether somebody has called since the last time.
    pub fn take_rung(&self) -> bool {
        std::mem::take(&mut self.state().rung)
    }

    pub fn is_rung(&self) -> bool {
        self.state().rung
    }
}

impl Interrupt for Timer {
    fn arrival(&self, rank: u64) {
        let mut state = self.state();
        state.rung = true;
        state.arrival_missed |= state.beginning;
        if let Some((_, Contention::Uncontended { bar })) = state.slice {
            state.armed |= rank < bar || bar == u64::MAX;
        }
    }

    fn cancel(&self) {
        let mut state = self.state();
        state.rung = true;
        state.cancel_missed |= state.beginning;
        state.armed |= state.slice.is_some();
    }

    /// It expires by itself.
    fn expire_if_due(&self, _now_ns: u64) -> u64 {
        u64::MAX
    }
}

/// Wakes that are to come, and wakers of guests that are no more.
#[derive(Default)]
pub struct Alarms {
    pending: Vec<Alarm>,
    stale: Vec<Waker>,
}

struct Alarm {
    due_ns: u64,
    fired: Rc<Cell<bool>>,
    waker: Waker,
}

impl Alarms {
    /// Another thread wakes somebody: who is due, and now and then who is not.
    pub fn step(alarms: &RefCell<Alarms>, shared: &Shared) {
        let due = |alarm: &Alarm| alarm.due_ns <= shared.now_ns();
        let at = alarms.borrow().pending.iter().position(due);
        if let Some(at) = at {
            let alarm = alarms.borrow_mut().pending.swap_remove(at);
            alarm.fired.set(true);
            alarm.waker.wake();
        } else if shared.chance(20) && !alarms.borrow().stale.is_empty() {
            shared.saw("a wake for nobody");
            let at = shared.below(alarms.borrow().stale.len());
            let waker = alarms.borrow().stale[at].clone();
            waker.wake_by_ref();
        }
    }
}

struct Running {
    id: usize,
    plan: GuestPlan,
    call: Call,
    waker: Waker,
    /// How far it is: the deed, and what is left of it.
    deed: usize,
    left_ns: Option<u64>,
    waits: Option<Rc<Cell<bool>>>,
    /// Who came in its last slice: in round robin their turn comes before its next.
    after: Vec<usize>,
}

/// A worker's sandboxes.
pub struct SimGuest {
    pub shared: Rc<Shared>,
    pub plans: Rc<Plans>,
    pub ledger: Rc<RefCell<Ledger>>,
    pub alarms: Rc<RefCell<Alarms>>,
    pub timer: Arc<Timer>,
    /// Sandboxes there are now, on all workers.
    pub alive: Rc<Cell<u32>>,
    worker: usize,
    slots: BTreeMap<u32, Running>,
    used: u32,
    /// Those given up before this slice began: none of them may run.
    abandoned: Vec<usize>,
    /// When the last slice that was stopped was to be.
    due_ns: Cell<u64>,
    /// By slot: it had an instance that was not reset.
    instances: BTreeSet<u32>,
    resets: u64,
}

impl SimGuest {
    pub fn new(
        (shared, plans, ledger): (Rc<Shared>, Rc<Plans>, Rc<RefCell<Ledger>>),
        alarms: Rc<RefCell<Alarms>>,
        (worker, timer): (usize, Arc<Timer>),
        alive: Rc<Cell<u32>>,
    ) -> SimGuest {
        let (slots, used, abandoned) = (BTreeMap::new(), 0, Vec::new());
        SimGuest {
            shared,
            plans,
            ledger,
            alarms,
            timer,
            alive,
            worker,
            slots,
            used,
            abandoned,
            due_ns: Cell::new(0),
            instances: BTreeSet::new(),
            resets: 0,
        }
    }

    /// Goes on with a guest; how the slice ended, if the guest did not.
    fn run(&self, guest: &mut Running) -> Option<Step> {
        if let Some(fired) = &guest.waits {
            if !fired.get() {
                self.shared.saw("woken for nothing");
                return Some(Step::Blocked);
            }
            guest.waits = None;
            guest.deed += 1;
        }
        for _ in 0..LOOKS_MAX {
            let deed = match guest.plan.deeds.get(guest.deed) {
                Some(deed) => *deed,
                None if guest.plan.end == End::Never => Deed::Run { ns: u64::MAX },
                None => return None,
            };
            match deed {
                Deed::Run { ns } => {
                    let left_ns = *guest.left_ns.get_or_insert(ns);
                    let ns = left_ns.min(self.shared.within(1..=60_000) as u64);
                    self.shared.pass(ns);
                    self.shared.world().step();
                    guest.left_ns = Some(left_ns - ns).filter(|&left_ns| left_ns > 0);
                    guest.deed += usize::from(left_ns == ns);
                }
                Deed::Yield => {
                    guest.deed += 1;
                    self.shared.saw("yielded");
                    return Some(Step::Yielded);
                }
                Deed::Block { ns } => return Some(self.block(guest, ns)),
            }
            let state = self.timer.state();
            let (end_ns, _) = state.slice.expect("a slice runs");
            let now_ns = self.shared.now_ns();
            let dues_ns = [state.limit_ns, state.armed.then_some(end_ns)];
            let due_ns = dues_ns.into_iter().flatten().min();
            if let Some(due_ns) = due_ns.filter(|due_ns| now_ns >= *due_ns) {
                drop(state);
                self.due_ns.set(due_ns);
                self.shared.saw("preempted");
                return Some(Step::Preempted);
            }
        }
        self.due_ns.set(self.shared.now_ns());
        Some(Step::Preempted)
    }

    fn block(&self, guest: &mut Running, ns: Option<u64>) -> Step {
        let fired = Rc::new(Cell::new(false));
        guest.waits = Some(fired.clone());
        match ns {
            Some(0) if self.shared.chance(50) => {
                fired.set(true);
                guest.waker.wake_by_ref();
            }
            Some(ns) => self.alarms.borrow_mut().pending.push(Alarm {
                due_ns: self.shared.now_ns() + ns,
                fired: fired.clone(),
                waker: guest.waker.clone(),
            }),
            None => {}
        }
        // It is suspended and has not said so yet.
        for _ in 0..self.shared.below(4) {
            self.shared.world().step();
        }
        if fired.get() {
            self.shared.saw("woken before it blocked");
        }
        Step::Blocked
    }

    fn end(&self, guest: Running) -> Outcome {
        let Running {
            id,
            plan,
            mut call,
            waker,
            ..
        } = guest;
        self.alarms.borrow_mut().stale.push(waker);
        let (exit, seen) = match plan.end {
            End::Answers(bytes) => {
                let answer = answer(self.plans.requests[id].query.as_bytes(), &call.stdin, bytes);
                call.stdout.extend_from_slice(&answer);
                (Exit::Success, "guest answered")
            }
            End::Traps => {
                // What it wrote before is not for the client.
                call.stdout.extend_from_slice(b"half an answer");
                let report = TrapReport {
                    summary: "simulated".into(),
                    backtrace: Vec::new(),
                };
                (Exit::Trapped(report), "guest trapped")
            }
            End::Exits(code) => (Exit::Code(code), "guest exited with a code"),
            End::WritesTooMuch => (Exit::OutputLimit, "guest wrote too much"),
            End::DoesNotStart => {
                let cause = Exit::StartFailed("simulated".into());
                (cause, "guest did not start")
            }
            End::Never => unreachable!("it never ends"),
        };
        self.shared.saw(seen);
        self.ledger.borrow_mut().ends(&exit);
        self.ledger.borrow_mut().lives(id, Life::Ended);
        self.alive.set(self.alive.get() - 1);
        Outcome { call, exit }
    }
}

impl Guest for SimGuest {
    fn start(&mut self, slot: u32, function: u16, call: Call, waker: Waker) {
        let id = id_of(&call.arguments).expect("the arguments are the query");
        let plan = &self.plans.requests[id];
        self.shared
            .trace(|| format!("request {id} starts in slot {slot}"));
        assert_eq!(
            function, ROUTES[plan.route].2,
            "{id} runs another's function"
        );
        let mut arguments = Vec::new();
        sandbox::push_arguments(plan.query.as_bytes(), &mut arguments);
        assert_eq!(
            (&call.arguments, &call.stdin),
            (&arguments, &plan.body),
            "{id}"
        );
        let query = format!("\0QUERY_STRING={}\0", plan.query);
        let mut environment = call.environment.windows(query.len());
        assert!(environment.any(|part| part == query.as_bytes()), "{id}");
        assert!(
            call.stdout.is_empty() && call.stderr.is_empty(),
            "{id} begins with another's output"
        );
        assert!(
            !self.ledger.borrow().is_abandoned(id),
            "{id} starts though nobody waits for it"
        );
        assert!(
            slot < self.plans.config.tasks_max,
            "there is no slot {slot}"
        );
        if slot < self.used {
            self.shared.saw("a slot is used again");
        }
        self.used = self.used.max(slot + 1);
        let plan = plan.guest.clone();
        let guest = Running {
            id,
            plan,
            call,
            waker,
            deed: 0,
            left_ns: None,
            waits: None,
            after: Vec::new(),
        };
        assert!(
            self.slots.insert(slot, guest).is_none(),
            "slot {slot} is taken"
        );
        self.alive.set(self.alive.get() + 1);
    }

    fn begin_slice(&mut self, end_ns: u64, contention: Contention) {
        let ledger = self.ledger.borrow();
        let gone = |guest: &&Running| ledger.is_abandoned(guest.id);
        self.abandoned = self
            .slots
            .values()
            .filter(gone)
            .map(|guest| guest.id)
            .collect();
        drop(ledger);
        self.timer.state().beginning = true;
        for _ in 0..self.shared.below(4) {
            self.shared.world().step();
        }
        let mut state = self.timer.state();
        assert!(state.slice.is_none(), "two slices at once");
        state.beginning = false;
        state.slice = Some((end_ns, contention));
        state.limit_ns = None;
        state.armed = contention == Contention::Contended;
        // A slice that no arrival may interrupt need not be timed for one.
        state.arrival_missed &= contention != Contention::Uncontended { bar: 0 };
    }

    fn limit(&mut self, at_ns: u64) {
        let mut state = self.timer.state();
        let (end_ns, _) = state.slice.expect("a slice has begun");
        // No route has a limit: others wait for this one's turn to end.
        assert!(at_ns > end_ns && state.limit_ns.is_none());
        state.limit_ns = Some(at_ns);
    }

    fn wake_at(&mut self, _slot: u32, _waker: Waker, _at_ns: u64) {
        unreachable!("no route has a deadline that ends it");
    }

    fn arm(&mut self) {
        self.timer.state().armed = true;
    }

    fn resume(&mut self, slot: u32) -> Step {
        let mut guest = self.slots.remove(&slot).expect("a sandbox in the slot");
        assert!(
            !self.abandoned.contains(&guest.id),
            "{} goes on though nobody waits for it",
            guest.id
        );
        let mut state = self.timer.state();
        assert!(state.slice.is_some(), "no slice has begun");
        // What came may have been stolen already.
        let came =
            std::mem::take(&mut state.arrival_missed) && !self.plans.config.intake.dispatch.steals;
        let missed = came | std::mem::take(&mut state.cancel_missed);
        assert!(
            !missed || state.armed,
            "who came before the slice cannot end it"
        );
        drop(state);
        self.ledger.borrow_mut().lives(guest.id, Life::Running);
        let came_before = self.take_turn(&mut guest);
        let step = match self.run(&mut guest) {
            None => {
                if !matches!(guest.plan.end, End::DoesNotStart) {
                    self.instances.insert(slot);
                }
                return self.finish(guest);
            }
            Some(step) => step,
        };
        guest.after = self.came_since(came_before);
        let life = if matches!(step, Step::Blocked) {
            Life::Blocked
        } else {
            Life::Ready
        };
        self.ledger.borrow_mut().lives(guest.id, life);
        self.slots.insert(slot, guest);
        self.timer.state().slice = None;
        step
    }

    fn due_ns(&self) -> u64 {
        self.due_ns.get()
    }

    fn host_ns(&self, _slot: u32, _slice_ns: u64) -> u64 {
        0
    }

    fn reset(&mut self, slot: u32) {
        assert!(!self.slots.contains_key(&slot), "it has not finished");
        self.resets += u64::from(self.instances.remove(&slot));
    }

    fn resets(&self) -> u64 {
        self.resets
    }

    fn discard(&mut self, slot: u32) -> Call {
        let guest = self.slots.remove(&slot).expect("a sandbox in the slot");
        assert!(
            self.ledger.borrow().is_abandoned(guest.id),
            "{} is thrown away though somebody waits",
            guest.id
        );
        self.shared.saw("discarded");
        self.instances.insert(slot);
        self.ledger.borrow_mut().lives(guest.id, Life::Ended);
        self.alarms.borrow_mut().stale.push(guest.waker);
        self.alive.set(self.alive.get() - 1);
        guest.call
    }
}

impl SimGuest {
    /// Who goes on after a slice in round robin goes on after those who came in it.
    fn take_turn(&self, guest: &mut Running) -> usize {
        let ledger = self.ledger.borrow();
        for id in std::mem::take(&mut guest.after) {
            assert!(ledger.had_its_turn(id), "{} goes before {id}", guest.id);
        }
        ledger.admitted(self.worker).len()
    }

    fn came_since(&self, before: usize) -> Vec<usize> {
        let ledger = self.ledger.borrow();
        // Who found no place in the worker's table waits in the ring, behind everybody.
        // Who waited at the dispatcher has not come when it was submitted, and whose place a stolen one has waits too.
        let dispatch = self.plans.config.intake.dispatch;
        let is_late = dispatch.name == "jbsq" || dispatch.steals;
        let is_other = self.plans.config.scheduler.name != "rr" || is_late;
        if is_other || ledger.is_behind(self.worker) {
            return Vec::new();
        }
        ledger.admitted(self.worker)[before..].to_vec()
    }

    fn finish(&mut self, guest: Running) -> Step {
        let outcome = self.end(guest);
        self.timer.state().slice = None;
        Step::Finished(outcome)
    }
}
