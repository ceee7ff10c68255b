//! The server on virtual time: a listener, workers, and a timer each. The dispatch, the policies and the worker loop
//! are the server's own; made up are the clock, the requests, and the guests, which do nothing but take time.
//!
//! ```text
//!   requests ─► listener: one at a time, `dispatch_ns` each ─► admission ─► dispatch ─► Worker ─► Finished
//!                                                                  │          └► backlog, while nobody may have it
//!                                                                  └► Refused    └► Refused: the backlog is full too
//!   a slice:   turn            timer, or its burst is over
//!                │ start_ns │ work   │ preempt_ns │ turn …      │ finish_ns │ turn …
//!                ▲ first slice only    ▲ if interrupted           ▲ if it was the last
//! ```
//!
//! A request is one burst of work, or several between which it waits for something that takes its time, or gives way;
//! neither costs anything. Meanwhile its worker runs others.
//!
//! Whatever a worker does takes longer by the [stalls](super::stalls) of its core, and so does what the listener does.
//!
//! The timer is armed as on the server: at the start of a slice if somebody waits, during it for an arrival or a wake
//! that would take the processor. The start of a sandbox cannot be interrupted. Of what happens at the same moment, ends
//! precede wakes, and wakes precede arrivals.
//!
//! [`Engine::step`] goes to the next thing that happened and returns it; it counts nothing that can be counted outside.

use std::collections::{BTreeMap, VecDeque};

use perf::event::{Refusal, What};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use sched::{
    Arrivals, Choice, Dispatch, DispatchParams, Dispatcher, Load, Nanos, Newcomer, Offer, Params,
    Scheduler, Slice, TaskId, Tenant,
};

use sched::admission::Thresholds;

use super::calendar::{Calendar, NEVER};
use super::front::{Front, FrontConfig};
use super::notes::Notes;
use super::source::Source;
use super::stalls::{Core, Stalls};
use super::tenants::shares;
use super::totals::Totals;
use super::waiting::{Waiting, Wake};
use crate::worker::{Arrival, SliceEnd, TaskKey, Turn, Worker};

/// How late timers ring and where dice fall at dispatch has nothing to do with what is asked, so it needs no seed of the
/// user's.
const OWN_SEED: u64 = 0x6c61_7465;

/// The listener as a source of notes; a worker is its index + 1.
const LISTENER: usize = perf::recording::LISTENER as usize;

/// The number of its core; a worker's is its index.
const LISTENER_CORE: usize = usize::MAX;

/// The status of what is answered.
const OK: u16 = 200;

/// A request that will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// `route` is the class.
    pub arrival: Arrival,
    /// How long it runs if nobody interrupts it, all its bursts together. At least 1.
    pub service_ns: Nanos,
}

/// A part of a request: it works, and then something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// At least 1.
    pub work_ns: Nanos,
    pub then: Then,
}

/// How a burst ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It was the last.
    End,
    /// The request gives way.
    Yield,
    /// The request waits for so long; if 0, what it waits for is there already.
    Wait(Nanos),
}

/// What things cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// The listener's time per request.
    pub dispatch_ns: Nanos,
    /// The worker's time to start a sandbox.
    pub start_ns: Nanos,
    /// The worker's time per interruption.
    pub preempt_ns: Nanos,
    /// The worker's time after the end of a request, before it turns to another one.
    pub finish_ns: Nanos,
    /// The timer rings late by a time between 0 and this, all equally likely.
    pub timer_jitter_ns: Nanos,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Config {
    pub workers: usize,
    pub scheduler: &'static Scheduler,
    pub params: Params,
    pub costs: Costs,
    /// Of each worker's core.
    pub stalls: Stalls,
    /// Of the listener's, while it has a request to dispatch: what stops it otherwise makes requests arrive later.
    pub listener_stalls: Stalls,
    pub dispatcher: &'static Dispatcher,
    pub dispatch_params: DispatchParams,
    pub front: FrontConfig,
    /// By the tenant of a request: what the whole server owes each, of which each worker has an equal part. May be
    /// empty.
    pub tenants: Vec<Tenant>,
    /// How many requests a worker takes at a time.
    pub tasks_max: u32,
    /// How many requests wait at the dispatcher while no worker may have them.
    pub backlog_max: usize,
}

/// A request on a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    pub request: Request,
    /// When the worker got it.
    pub delivered_ns: Nanos,
    /// Which of its bursts it is in.
    burst: u32,
    /// What is left of that.
    remaining_ns: Nanos,
    /// What the later ones take together.
    later_ns: Nanos,
    /// How long it held a processor so far: its service, and the start of its sandbox.
    pub held_ns: Nanos,
    /// How long it has waited, or waits now, for something else than a processor.
    pub waited_ns: Nanos,
}

/// Something that happened, at [`Engine::now`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A worker got it.
    Delivered { worker: usize, request: Request },
    /// All workers are full; it waits at the dispatcher.
    Held { request: Request },
    /// All workers were full, and the backlog too.
    Refused { request: Request },
    /// The timer interrupted a task.
    Preempted { worker: usize },
    /// A task gave way.
    Yielded { worker: usize },
    /// A task waits for something.
    Blocked { worker: usize },
    /// What a task waited for has come.
    Woken { worker: usize },
    /// It is done.
    Finished { worker: usize, job: Job },
}

/// See the module's text. `N` is told what happens.
pub struct Engine<S, N = ()> {
    config: Config,
    now: Nanos,
    requests: S,
    /// The source's, who is asked so often.
    has_bursts: bool,
    /// When the next request gets to a worker, once the listener has parsed it.
    coming_ns: Nanos,
    /// When the listener is done with what it has.
    listener_free_ns: Nanos,
    /// Its time is that in which the listener is busy.
    listener_core: Core,
    listener_busy_ns: Nanos,
    random: Xoshiro256PlusPlus,
    front: Option<Front>,
    dispatch: Box<dyn Dispatch + Send>,
    loads: Vec<Load>,
    backlog: VecDeque<Request>,
    /// The first of the backlog was offered and not taken, and no load has fallen since.
    stuck: bool,
    /// By worker, if workers steal: the tasks that have not begun, by number of the request.
    unbegun: Option<Vec<BTreeMap<u64, TaskKey>>>,
    workers: Vec<SimWorker>,
    calendar: Calendar,
    waiting: Waiting,
    totals: Totals,
    notes: N,
}

struct SimWorker {
    tasks: Worker<Job>,
    core: Core,
    phase: Phase,
}

/// What a worker is doing.
#[derive(Clone, Copy)]
enum Phase {
    Idle,
    /// Coming back from an interruption or from the end of a request.
    Switching,
    Running(Run),
}

#[derive(Clone, Copy)]
struct Run {
    slice: Slice,
    /// By how much the timer rings late.
    late_ns: Nanos,
    started_ns: Nanos,
    /// The sandbox has started and the guest's work begins.
    work_from_ns: Nanos,
    /// Its burst is done, or it is interrupted.
    ends_ns: Nanos,
}

impl<S: Source> Engine<S> {
    /// Everybody idle, at time 0.
    pub fn new(config: Config, requests: S) -> Self {
        Self::noting(config, requests, ())
    }
}

impl<S: Source, N: Notes> Engine<S, N> {
    /// The same, and `notes` is told what happens.
    pub fn noting(config: Config, requests: S, notes: N) -> Self {
        let tenants = shares(&config.tenants, config.workers as u32);
        let worker = |index| {
            let mut policy = (config.scheduler.build)(&config.params);
            policy.set_tenants(0, &tenants);
            SimWorker {
                tasks: Worker::new(policy, config.tasks_max),
                core: Core::new(&config.stalls, index),
                phase: Phase::Idle,
            }
        };
        let places = config.tasks_max.saturating_mul(config.workers as u32);
        let thresholds = Thresholds::of(config.scheduler, config.tenants.len(), places);
        let mut engine = Self {
            now: 0,
            has_bursts: requests.has_bursts(),
            requests,
            coming_ns: NEVER,
            listener_free_ns: 0,
            listener_core: Core::new(&config.listener_stalls, LISTENER_CORE),
            listener_busy_ns: 0,
            random: Xoshiro256PlusPlus::seed_from_u64(OWN_SEED),
            front: Front::new(config.front, config.workers, &config.tenants, thresholds),
            dispatch: (config.dispatcher.build)(&config.dispatch_params),
            loads: vec![Load::default(); config.workers],
            backlog: VecDeque::new(),
            stuck: false,
            unbegun: config
                .dispatcher
                .steals
                .then(|| vec![BTreeMap::new(); config.workers]),
            workers: (0..config.workers).map(worker).collect(),
            calendar: Calendar::new(config.workers),
            waiting: Waiting::default(),
            totals: Totals::default(),
            notes,
            config,
        };
        engine.listen();
        engine
    }

    /// The time of what happened last.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// What was summed up so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Goes to the next thing that happens. `None`: no more requests come, and all are done.
    pub fn step(&mut self) -> Option<Happening> {
        if !self.stuck
            && let Some(&request) = self.backlog.front()
        {
            match self.choose(&request) {
                Choice::Worker(worker) => {
                    self.backlog.pop_front();
                    return Some(self.deliver(worker, request));
                }
                Choice::Hold | Choice::Refuse => self.stuck = true,
            }
        }
        loop {
            let others_ns = self.waiting.first_ns().min(self.coming_ns);
            match self.calendar.first() {
                Some((at_ns, worker)) if at_ns <= others_ns => {
                    self.advance(at_ns);
                    if let Some(happening) = self.act(worker) {
                        return Some(happening);
                    }
                }
                _ if others_ns == NEVER => return None,
                _ => {
                    self.advance(others_ns);
                    return Some(self.take_in());
                }
            }
        }
    }

    /// Somebody is woken now, or comes.
    fn take_in(&mut self) -> Happening {
        if self.waiting.first_ns() <= self.coming_ns {
            let wake = self.waiting.pop();
            return self.wake(wake.expect("it was looked at"));
        }
        let request = self.requests.take();
        self.totals.arrived += 1;
        self.listener_free_ns = self.coming_ns;
        self.listener_busy_ns += self.dispatch_ns();
        self.listener_core.forget(self.listener_busy_ns);
        let happening = self.arrive(request);
        self.listen();
        happening
    }

    /// The work that the workers still have to do, without overhead.
    pub fn unfinished_ns(&mut self) -> Nanos {
        let now = self.now;
        let left = self.workers.iter_mut().map(|worker| {
            let run = match worker.phase {
                Phase::Running(run) => run.worked_ns(now, &worker.core),
                Phase::Idle | Phase::Switching => 0,
            };
            worker
                .tasks
                .jobs()
                .map(|job| job.remaining_ns + job.later_ns)
                .sum::<Nanos>()
                - run
        });
        left.sum()
    }

    /// What the dispatcher knows of the workers.
    pub fn loads(&self) -> &[Load] {
        &self.loads
    }

    /// Whether admission has all its capacity back.
    pub fn is_front_idle(&self) -> bool {
        self.front.as_ref().is_none_or(Front::is_idle)
    }

    fn advance(&mut self, to_ns: Nanos) {
        debug_assert!(to_ns >= self.now);
        let elapsed_ns = u128::from(to_ns - self.now);
        self.totals.present_ns += elapsed_ns * u128::from(self.totals.present);
        self.now = to_ns;
    }

    /// Looks when the next request gets through the listener. Whoever comes later than now cannot go before one that the
    /// listener has begun with, so this may be asked again whenever the source may have changed its mind.
    fn listen(&mut self) {
        self.coming_ns = match self.requests.peek_ns() {
            Some(at_ns) => self.listener_free_ns.max(at_ns) + self.dispatch_ns(),
            None => NEVER,
        };
    }

    /// How long the listener takes for the next request.
    fn dispatch_ns(&mut self) -> Nanos {
        let (busy_ns, dispatch_ns) = (self.listener_busy_ns, self.config.costs.dispatch_ns);
        self.listener_core.end_of(busy_ns, dispatch_ns) - busy_ns
    }

    /// The listener is done with a request.
    fn arrive(&mut self, mut request: Request) -> Happening {
        let now = self.now;
        let admitted = match &mut self.front {
            Some(front) => front.admit(now, &mut request),
            None => Ok(()),
        };
        let Arrival {
            seq,
            route,
            expected_ns,
            ..
        } = request.arrival;
        let what = What::Arrived { route, expected_ns };
        let arrival_ns = request.arrival.arrival_ns;
        self.notes.note(LISTENER, arrival_ns, seq, what);
        if let Err(why) = admitted {
            return self.refuse(request, why);
        }
        // Who came before goes first.
        let choice = match self.backlog.is_empty() {
            true => self.choose(&request),
            false => Choice::Hold,
        };
        if let Choice::Worker(worker) = choice {
            return self.deliver(worker, request);
        }
        if self.backlog.len() < self.config.backlog_max {
            self.stuck |= self.backlog.is_empty();
            self.backlog.push_back(request);
            self.notes.note(LISTENER, now, seq, What::Held);
            return Happening::Held { request };
        }
        if let Some(front) = &mut self.front {
            front.ended(now, &request, 0);
        }
        self.refuse(request, Refusal::Full)
    }

    fn refuse(&mut self, request: Request, why: Refusal) -> Happening {
        let seq = request.arrival.seq;
        self.notes.note(LISTENER, self.now, seq, What::Refused(why));
        self.totals.refused += 1;
        self.requests.ended(self.now, &request);
        Happening::Refused { request }
    }

    fn choose(&mut self, request: &Request) -> Choice {
        let offer = Offer {
            expected_ns: request.arrival.expected_ns,
            newcomer: newcomer(self.config.scheduler, &request.arrival),
            random: self.random.random(),
        };
        self.dispatch.dispatch(&offer, &self.loads)
    }

    #[inline]
    fn deliver(&mut self, index: usize, request: Request) -> Happening {
        let first = match self.has_bursts {
            true => self.requests.burst(&request, 0),
            false => None,
        };
        let first_ns = first.map_or(request.service_ns, |burst| burst.work_ns);
        let job = Job {
            request,
            delivered_ns: self.now,
            burst: 0,
            remaining_ns: first_ns,
            later_ns: request.service_ns - first_ns,
            held_ns: 0,
            waited_ns: 0,
        };
        self.totals.present += 1;
        let seq = request.arrival.seq;
        let worker = index as u16;
        let what = What::Dispatched { worker };
        self.notes.note(LISTENER, self.now, seq, what);
        if self.unbegun.is_none() {
            self.notes.note(index + 1, self.now, seq, What::Taken);
        }
        self.give(index, job);
        self.relieve(index);
        Happening::Delivered {
            worker: index,
            request,
        }
    }

    /// A worker gets a request that has not begun.
    fn give(&mut self, index: usize, job: Job) {
        let now = self.now;
        let arrival = job.request.arrival;
        let worker = &mut self.workers[index];
        let key = worker.tasks.arrive(now, arrival, job);
        let key = key.expect("the dispatcher chose a full worker");
        if let Some(unbegun) = &mut self.unbegun {
            unbegun[index].insert(arrival.seq, key);
        }
        let load = &mut self.loads[index];
        load.outstanding += 1;
        load.queued += 1;
        load.work_ns = load.work_ns.saturating_add(arrival.expected_ns);
        load.full = worker.tasks.free_slots() == 0;
        let newcomer = newcomer(self.config.scheduler, &arrival);
        load.preempted_by = load.preempted_by.after(newcomer);
        self.ready(index, &newcomer);
    }

    /// What a task waited for has come.
    fn wake(&mut self, wake: Wake) -> Happening {
        let Wake { worker, rank, .. } = wake;
        let tasks = &mut self.workers[worker].tasks;
        let woken = tasks.wake(self.now, wake.key());
        assert!(woken, "it waits");
        self.totals.blocked_ns += u128::from(self.now - wake.since_ns);
        let arrival = &tasks.job_mut(wake.key().id).request.arrival;
        self.notes
            .note(worker + 1, self.now, arrival.seq, What::Woken);
        let newcomer = Newcomer {
            deadline_ns: arrival.deadline_ns,
            rank,
        };
        self.ready(worker, &newcomer);
        Happening::Woken { worker }
    }

    /// A worker has one more who is ready.
    #[inline]
    fn ready(&mut self, index: usize, newcomer: &Newcomer) {
        let worker = &mut self.workers[index];
        match &mut worker.phase {
            Phase::Idle => match worker.core.end_of(self.now, 0) {
                awake_ns if awake_ns > self.now => {
                    worker.phase = Phase::Switching;
                    self.calendar.set(index, Some(awake_ns));
                }
                _ => self.turn(index),
            },
            Phase::Switching => {}
            Phase::Running(run) => {
                let alarm_ns = run
                    .slice
                    .alarm_on_arrival(run.started_ns, self.now, *newcomer);
                run.arm(alarm_ns, &mut worker.core);
                self.calendar.set(index, Some(run.ends_ns));
            }
        }
    }

    /// A request has left a worker.
    fn unload(&mut self, index: usize, request: &Request) {
        let load = &mut self.loads[index];
        load.outstanding -= 1;
        load.work_ns = load.work_ns.saturating_sub(request.arrival.expected_ns);
        load.full = false;
        self.stuck = false;
    }

    /// Where workers steal, somebody idle takes what has not begun at this one.
    fn relieve(&mut self, index: usize) {
        if self.unbegun.is_none() || self.loads[index].queued == 0 {
            return;
        }
        let mut workers = self.workers.iter().zip(&self.loads);
        let idle =
            workers.position(|(worker, load)| matches!(worker.phase, Phase::Idle) && !load.full);
        if let Some(thief) = idle {
            self.steal(thief);
        }
    }

    /// A worker without work takes some from another one. `true`: it has some now.
    fn steal(&mut self, thief: usize) -> bool {
        let Some(unbegun) = &mut self.unbegun else {
            return false;
        };
        if self.loads[thief].full {
            return false;
        }
        let Some(victim) = self.dispatch.steal(thief, &self.loads) else {
            return false;
        };
        let (_, key) = unbegun[victim].pop_first().expect("somebody waits there");
        let taken = self.workers[victim].tasks.cancel(self.now, key);
        let job = taken.expect("who has not begun can be taken").job;
        self.loads[victim].queued -= 1;
        self.unload(victim, &job.request);
        self.totals.stolen += 1;
        self.give(thief, job);
        true
    }

    /// Does what a worker has to do now.
    fn act(&mut self, index: usize) -> Option<Happening> {
        match self.workers[index].phase {
            Phase::Running(run) => Some(self.end_slice(index, run)),
            Phase::Idle | Phase::Switching => {
                self.turn(index);
                None
            }
        }
    }

    fn turn(&mut self, index: usize) {
        let now = self.now;
        let worker = &mut self.workers[index];
        let Turn::Run { slice, first } = worker.tasks.turn(now) else {
            worker.phase = Phase::Idle;
            self.loads[index].preempted_by = Arrivals::Anybody;
            self.calendar.set(index, None);
            self.steal(index);
            return;
        };
        self.loads[index].preempted_by = slice.preempted_by;
        let late_ns = match self.config.costs.timer_jitter_ns {
            0 => 0,
            most_ns => self.random.random_range(0..=most_ns),
        };
        worker.core.forget(now);
        let mut work_from_ns = now;
        self.totals.resumed += 1;
        let request = &worker.tasks.job_mut(slice.task).request;
        let seq = request.arrival.seq;
        if first {
            self.totals.started += 1;
            work_from_ns = worker.core.end_of(now, self.config.costs.start_ns);
            self.loads[index].queued -= 1;
            if let Some(unbegun) = &mut self.unbegun {
                unbegun[index].remove(&seq);
                self.notes.note(index + 1, now, seq, What::Taken);
            }
            if let Some(front) = &mut self.front {
                front.started(now, request);
            }
        }
        self.notes.note(index + 1, now, seq, What::Resumed);
        let remaining_ns = worker.tasks.job_mut(slice.task).remaining_ns;
        let mut run = Run {
            slice,
            late_ns,
            started_ns: now,
            work_from_ns,
            ends_ns: worker.core.end_of(work_from_ns, remaining_ns),
        };
        run.arm(slice.alarm_at_start(now), &mut worker.core);
        worker.phase = Phase::Running(run);
        self.calendar.set(index, Some(run.ends_ns));
    }

    fn end_slice(&mut self, index: usize, run: Run) -> Happening {
        let now = self.now;
        let worker = &mut self.workers[index];
        let worked_ns = run.worked_ns(now, &worker.core);
        let start_ns = run.work_from_ns - run.started_ns;
        let start_ns = start_ns - worker.core.lost_ns(run.started_ns, run.work_from_ns);
        let job = worker.tasks.job_mut(run.slice.task);
        job.remaining_ns -= worked_ns;
        job.held_ns += now - run.started_ns;
        self.totals.work_ns += u128::from(worked_ns);
        self.totals.overhead_ns += u128::from(start_ns);
        match (job.remaining_ns, job.later_ns) {
            (0, 0) => self.finish(index),
            (0, _) => self.pause(index, run.slice.task),
            _ => self.interrupt(index, run.slice.task),
        }
    }

    fn finish(&mut self, index: usize) -> Happening {
        let now = self.now;
        let ended = self.workers[index].tasks.ended(now, SliceEnd::Finished);
        let job = ended.expect("a finished task ends").job;
        let seq = job.request.arrival.seq;
        let what = What::Finished { status: OK };
        self.notes.note(index + 1, now, seq, what);
        self.unload(index, &job.request);
        if let Some(front) = &mut self.front {
            front.ended(now, &job.request, job.held_ns);
        }
        self.totals.present -= 1;
        self.totals.finished += 1;
        self.totals.stayed_ns += u128::from(now - job.delivered_ns);
        self.totals.served_ns += u128::from(job.request.service_ns);
        self.totals.waited_ns += u128::from(job.waited_ns);
        match self.config.costs.finish_ns {
            0 => self.turn(index),
            finish_ns => self.switch(index, finish_ns),
        }
        self.requests.ended(now, &job.request);
        self.listen();
        Happening::Finished { worker: index, job }
    }

    /// A burst is over, and another one follows.
    fn pause(&mut self, index: usize, task: TaskId) -> Happening {
        let job = self.workers[index].tasks.job_mut(task);
        let burst = |at| {
            let burst = self.requests.burst(&job.request, at);
            burst.expect("who has work left has a burst for it")
        };
        let (over, next) = (burst(job.burst), burst(job.burst + 1));
        job.burst += 1;
        job.remaining_ns = next.work_ns;
        job.later_ns -= next.work_ns;
        let happening = match over.then {
            Then::Wait(wait_ns) => self.block(index, task, wait_ns),
            Then::Yield | Then::End => {
                self.totals.yielded += 1;
                self.stop(index, task, SliceEnd::Yielded);
                Happening::Yielded { worker: index }
            }
        };
        self.turn(index);
        happening
    }

    /// As on the server a task is compared by the rank that it has when it begins to wait.
    fn block(&mut self, index: usize, task: TaskId, wait_ns: Nanos) -> Happening {
        let now = self.now;
        let tasks = &mut self.workers[index].tasks;
        let key = tasks.key(task);
        let job = tasks.job_mut(task);
        job.waited_ns += wait_ns;
        let arrival = job.request.arrival;
        if wait_ns == 0 {
            // A wake that finds its task running is kept until the slice's end.
            tasks.wake(now, key);
        }
        self.totals.blocked += 1;
        self.stop(index, task, SliceEnd::Blocked);
        if wait_ns == 0 {
            self.notes.note(index + 1, now, arrival.seq, What::Woken);
        } else {
            let rank = self.workers[index].tasks.rank(task);
            let rank = rank.unwrap_or_else(|| arrival.rank(self.config.scheduler));
            let at_ns = now.saturating_add(wait_ns);
            self.waiting.push((now, at_ns), index, key, rank);
        }
        Happening::Blocked { worker: index }
    }

    /// The running task goes on later.
    fn stop(&mut self, index: usize, task: TaskId, end: SliceEnd) {
        let tasks = &mut self.workers[index].tasks;
        let ended = tasks.ended(self.now, end);
        assert!(ended.is_none(), "nobody cancels here");
        let what = match end {
            SliceEnd::Preempted => What::Preempted,
            SliceEnd::Yielded => What::Yielded,
            SliceEnd::Blocked => What::Blocked,
            SliceEnd::Finished => unreachable!("it goes on"),
        };
        let seq = tasks.job_mut(task).request.arrival.seq;
        self.notes.note(index + 1, self.now, seq, what);
    }

    fn interrupt(&mut self, index: usize, task: TaskId) -> Happening {
        let Costs { preempt_ns, .. } = self.config.costs;
        self.stop(index, task, SliceEnd::Preempted);
        self.totals.preempted += 1;
        self.switch(index, preempt_ns);
        Happening::Preempted { worker: index }
    }

    /// The worker is busy with itself for so long.
    fn switch(&mut self, index: usize, for_ns: Nanos) {
        self.totals.overhead_ns += u128::from(for_ns);
        self.workers[index].phase = Phase::Switching;
        self.loads[index].preempted_by = Arrivals::Anybody;
        let until_ns = self.workers[index].core.end_of(self.now, for_ns);
        self.calendar.set(index, Some(until_ns));
    }
}

/// What the timer looks at when a request comes while another one runs.
fn newcomer(scheduler: &Scheduler, arrival: &Arrival) -> Newcomer {
    Newcomer {
        deadline_ns: arrival.deadline_ns,
        rank: arrival.rank(scheduler),
    }
}

impl Run {
    /// The timer will ring; a sandbox that is starting is let start.
    fn arm(&mut self, alarm_ns: Option<Nanos>, core: &mut Core) {
        let rings_ns = alarm_ns.map(|alarm_ns| alarm_ns.saturating_add(self.late_ns));
        if let Some(rings_ns) = rings_ns.filter(|rings_ns| *rings_ns < self.ends_ns) {
            let noticed_ns = core.end_of(rings_ns, 0).max(self.work_from_ns);
            self.ends_ns = self.ends_ns.min(noticed_ns);
        }
    }

    /// The work that is done by now.
    fn worked_ns(&self, now: Nanos, core: &Core) -> Nanos {
        let elapsed_ns = now.saturating_sub(self.work_from_ns);
        elapsed_ns - core.lost_ns(self.work_from_ns, now)
    }
}
