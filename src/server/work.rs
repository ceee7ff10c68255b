//! A worker's thread: takes requests out of its ring or off its shelf, asks the policy who runs, runs slices of sandboxes.
//!
//! What runs and for how long is decided in [`crate::worker::Worker`], which the simulator drives in the
//! same way; this file is what it takes to do so with a real clock, real rings and real sandboxes.

use super::answer::{answer, give_up, report};
use super::cgi::{self, Request};
use super::ends;
use super::link::{Inbox, Inlet, Start};
use super::metrics::WorkerMetrics;
use super::routes::Routes;
use super::seams::{Clock, Guest, Interrupt};
use super::wakes::{Wakers, Wakes};
use crate::config::DeadlineAction;
use crate::worker::{Arrival, Ended, SliceEnd, TaskKey, Turn, Worker};
use listener::{ConnectionKey, Exchange, Timeline};
use perf::event::{self, EventWriter, What};
use sandbox::{Call, Contention, Step};
use sched::{Dispatcher, Nanos, Params, Scheduler, Slice, TaskId, Tenant, Timing};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use stealing::Thief;

mod stealing;

/// What a worker's thread owns.
pub struct WorkerThread<G, C> {
    worker: Tasks,
    /// Where workers steal.
    thief: Option<Thief>,
    guest: G,
    clock: C,
    inbox: Inbox,
    wakes: Arc<Wakes>,
    wakers: Wakers,
    routes: Arc<Routes>,
    /// Whose request is in which slot, for finding it by its client or its waker.
    asked: Vec<Option<Asked>>,
    settings: WorkerSettings,
    stop: Arc<AtomicBool>,
    events: EventWriter,
}

/// Without its request is who has not begun, where workers steal.
type Tasks = Worker<Option<Box<Exchange>>>;

#[derive(Clone, Copy)]
struct Asked {
    request: u64,
    sequence: u64,
    connection: ConnectionKey,
    key: TaskKey,
    /// When its last slice ended, or when it was woken since.
    since_ns: Nanos,
    /// At its arrival.
    rank: u64,
    /// It will be woken at its deadline, if that ends it.
    has_alarm: bool,
}

/// What a worker is told.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// The policy.
    pub scheduler: &'static Scheduler,
    /// Its parameters.
    pub params: Params,
    /// Who chose this worker for a request, and from whom it steals, if it does.
    pub dispatch: &'static Dispatcher,
    /// Requests in its table at once, each with a sandbox once it has started.
    pub tasks_max: u32,
    /// How soon a slice without a quantum notices that its client has gone, in nanoseconds.
    pub notice_ns: Nanos,
    /// How long to look for work before going to sleep, in nanoseconds.
    pub spin_ns: Nanos,
    /// Where it counts.
    pub metrics: Arc<WorkerMetrics>,
    /// Whether the listener is told at once when a request begins.
    pub tells_starts: bool,
    /// By index; of reservations this worker's share.
    pub tenants: Arc<[Tenant]>,
}

impl Asked {
    /// Its task was blocked and is ready now.
    fn woken(&mut self, now: Nanos, timeline: &mut Timeline) {
        timeline.blocked_ns += now - self.since_ns;
        self.since_ns = now;
    }
}

impl<G: Guest, C: Clock> WorkerThread<G, C> {
    /// A worker without work. `alarm` is what others hold of `guest`; what happens is noted in `events`.
    pub fn new(
        settings: WorkerSettings,
        (guest, alarm): (G, Arc<dyn Interrupt>),
        (clock, events): (C, EventWriter),
        inbox: Inbox,
        routes: Arc<Routes>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let wakes = Wakes::new(settings.tasks_max, inbox.parker.clone(), alarm);
        let mut worker = Worker::new(
            (settings.scheduler.build)(&settings.params),
            settings.tasks_max,
        );
        worker.set_tenants(clock.now_ns(), &settings.tenants);
        let steals = settings.dispatch.steals;
        WorkerThread {
            worker,
            thief: steals.then(|| Thief::new(settings.dispatch)),
            guest,
            clock,
            inbox,
            wakers: Wakers::new(wakes.clone()),
            wakes,
            routes,
            asked: Vec::new(),
            settings,
            stop,
            events,
        }
    }

    /// Serves until told to stop.
    pub fn run(mut self) {
        self.inbox.parker.adopt();
        while !self.stop.load(Ordering::Acquire) {
            let now = self.clock.now_ns();
            if !self.turn(now) {
                self.idle(now);
            }
        }
    }

    /// Takes in what has come and runs one slice; `false` if nobody is ready.
    pub fn turn(&mut self, now: Nanos) -> bool {
        self.take_in(now);
        let mut turn = self.worker.turn(now);
        if turn == Turn::Idle && self.steal(now) {
            turn = self.worker.turn(now);
        }
        match turn {
            Turn::Run { slice, first } => {
                self.run_slice(now, slice, first);
                true
            }
            Turn::Idle => {
                self.inbox.idle(self.worker.free_slots() > 0);
                self.inbox.outbox.announce();
                false
            }
        }
    }

    /// Requests in its table.
    pub fn outstanding(&self) -> u32 {
        self.worker.outstanding()
    }

    fn take_in(&mut self, now: Nanos) {
        while self.worker.free_slots() > 0
            && let Inlet::Ring(requests) = &mut self.inbox.requests
            && let Ok(exchange) = requests.pop()
        {
            self.admit(now, exchange);
        }
        self.look_at_shelf(now);
        while let Ok(connection) = self.inbox.abandoned.pop() {
            self.cancel(now, connection);
        }
        let (worker, asked, events) = (&mut self.worker, &mut self.asked, &mut self.events);
        let metrics = &self.settings.metrics;
        self.wakes.take(|slot| {
            if let Some(Some(asked)) = asked.get_mut(slot as usize)
                && worker.wake(now, asked.key)
            {
                let exchange = request(worker, asked.key.id);
                asked.woken(now, &mut exchange.timeline);
                metrics.blocked.add(-1);
                events.note(now, asked.request, What::Woken);
            }
        });
    }

    fn admit(&mut self, now: Nanos, mut exchange: Box<Exchange>) {
        if exchange.is_abandoned() {
            return self.give_back(now, exchange);
        }
        self.taken(now, &mut exchange);
        let arrival = self.routes.route(exchange.route).arrival(&exchange);
        let names = (exchange.request_id, exchange.connection);
        self.enter(now, arrival, names, Some(exchange));
    }

    /// A request is this worker's from now on.
    fn taken(&mut self, now: Nanos, exchange: &mut Exchange) {
        exchange.timeline.picked_ns = now;
        self.events.note(now, exchange.request_id, What::Taken);
    }

    /// A request that has not begun goes back without an answer, as nobody waits for it.
    fn give_back(&mut self, now: Nanos, mut exchange: Box<Exchange>) {
        self.abandoned(now, &mut exchange);
        self.settings.metrics.over(&exchange);
        self.inbox.outbox.push(exchange);
    }

    /// A task enters the table, which has room for it.
    fn enter(
        &mut self,
        now: Nanos,
        arrival: Arrival,
        (request, connection): (u64, ConnectionKey),
        exchange: Option<Box<Exchange>>,
    ) {
        let arrived = self.worker.arrive(now, arrival, exchange);
        let key = arrived.expect("there is a free slot");
        let slot = key.id.index();
        if slot >= self.asked.len() {
            self.asked.resize(slot + 1, None);
        }
        self.asked[slot] = Some(Asked {
            request,
            sequence: arrival.seq,
            connection,
            key,
            since_ns: now,
            rank: arrival.rank(self.settings.scheduler),
            has_alarm: false,
        });
    }

    fn cancel(&mut self, now: Nanos, connection: ConnectionKey) {
        // Rare, so a search will do. One that is not found is in the ring still, or answered already.
        let found = self
            .asked
            .iter()
            .flatten()
            .find(|asked| asked.connection == connection);
        if let Some(asked) = found.copied() {
            self.cancel_task(now, asked);
        }
    }

    fn cancel_task(&mut self, now: Nanos, Asked { key, since_ns, .. }: Asked) {
        let was_blocked = self.worker.is_blocked(key.id);
        if let Some(ended) = self.worker.cancel(now, key) {
            let mut ended = with_request(ended);
            let timeline = &mut ended.job.timeline;
            if was_blocked {
                timeline.blocked_ns += now - since_ns;
                self.settings.metrics.blocked.add(-1);
            } else if timeline.started_ns > 0 {
                timeline.preempted_ns += now - since_ns;
            }
            self.abandoned(now, &mut ended.job);
            self.end(ended);
        }
    }

    /// Nobody waits for it any more, and it is over.
    fn abandoned(&mut self, now: Nanos, exchange: &mut Exchange) {
        exchange.timeline.finished_ns = now;
        let what = What::Dropped(event::Drop::Abandoned);
        self.events.note(now, exchange.request_id, what);
    }

    fn run_slice(&mut self, now: Nanos, slice: Slice, first: bool) {
        self.inbox.outbox.announce();
        if first && !self.fetch(now, slice.task) {
            return;
        }
        if !first {
            let waited_ns = now - self.asked(slice.task).since_ns;
            request(&mut self.worker, slice.task).timeline.preempted_ns += waited_ns;
        }
        if self.judge(now, slice.task, !first) {
            return self.end_by_verdict(now, !first);
        }
        let request = self.asked(slice.task).request;
        self.events.note(now, request, What::Resumed);
        if first {
            self.start(now, slice.task);
        }
        self.begin_slice(now, &slice);
        self.inbox.busy();
        self.settings.metrics.busy.begin(now);
        let step = self.guest.resume(slice.task.0);
        // Whoever comes now is taken in before it is decided who runs next.
        self.inbox.bar.store(u64::MAX, Ordering::Relaxed);
        let ended_ns = self.clock.now_ns();
        self.settings.metrics.busy.end(ended_ns);
        let (end, what) = self.slice_end(ended_ns, slice.task, ended_ns.saturating_sub(now), step);
        self.events.note(ended_ns, request, what);
        let finished = end == SliceEnd::Finished;
        self.take_in(ended_ns);
        if !finished && self.judge(ended_ns, slice.task, true) {
            return self.end_by_verdict(ended_ns, true);
        }
        if let Some(ended) = self.worker.ended(ended_ns, end) {
            let mut ended = with_request(ended);
            if !finished {
                self.abandoned(ended_ns, &mut ended.job);
            }
            // A sandbox that finished is gone; one that was cancelled in its slice is still there.
            ended.started &= !finished;
            self.end(ended);
        } else if end == SliceEnd::Blocked {
            self.blocked(ended_ns, slice.task);
        }
    }

    /// What is to be known of a task that waits; one that was woken meanwhile is ready already.
    fn blocked(&mut self, now: Nanos, task: TaskId) {
        if let Some(rank) = self.worker.rank(task) {
            self.wakers.set_rank(task.0, rank);
        }
        if self.worker.is_blocked(task) {
            self.settings.metrics.blocked.add(1);
        } else {
            let request = self.asked(task).request;
            self.events.note(now, request, What::Woken);
        }
    }

    fn asked(&mut self, task: TaskId) -> &mut Asked {
        let asked = self.asked[task.index()].as_mut();
        asked.expect("somebody has asked for what runs")
    }

    /// Notes in the task's exchange how a slice of `ran_ns` ended.
    fn slice_end(
        &mut self,
        now: Nanos,
        task: TaskId,
        ran_ns: Nanos,
        step: Step,
    ) -> (SliceEnd, What) {
        self.asked(task).since_ns = now;
        let host_ns = self.guest.host_ns(task.0, ran_ns);
        let metrics = &self.settings.metrics;
        let exchange = request(&mut self.worker, task);
        exchange.timeline.host_ns += host_ns;
        exchange.timeline.ran_ns += ran_ns;
        exchange.timeline.slices += 1;
        match step {
            Step::Finished(outcome) => {
                exchange.timeline.finished_ns = now;
                metrics.completions.increment();
                let route = self.routes.route(exchange.route);
                let ends = metrics.ends(exchange.route);
                answer(exchange, outcome, route, ends);
                let status = exchange.status.0;
                (SliceEnd::Finished, What::Finished { status })
            }
            Step::Preempted => {
                exchange.timeline.preemptions += 1;
                metrics.preempted(self.guest.due_ns(), now);
                (SliceEnd::Preempted, What::Preempted)
            }
            Step::Yielded => {
                metrics.yields.increment();
                (SliceEnd::Yielded, What::Yielded)
            }
            Step::Blocked => {
                exchange.timeline.blocks += 1;
                metrics.blocks.increment();
                self.wake_at_deadline(task);
                (SliceEnd::Blocked, What::Blocked)
            }
        }
    }

    /// A task that waits has its turn at its deadline, if that ends it.
    fn wake_at_deadline(&mut self, task: TaskId) {
        let exchange = request(&mut self.worker, task);
        let route = self.routes.route(exchange.route);
        let deadline_ns = route.deadline_ns(exchange.timeline.arrived_ns);
        let asked = self.asked[task.index()].as_mut();
        let asked = asked.expect("somebody has asked for what runs");
        if route.deadline_action == DeadlineAction::Kill && !asked.has_alarm {
            asked.has_alarm = true;
            let waker = self.wakers.waker(task.0, asked.rank);
            self.guest.wake_at(task.0, waker, deadline_ns);
        }
    }

    /// Whether the running task is over by verdict; then its answer says so.
    fn judge(&mut self, now: Nanos, task: TaskId, is_started: bool) -> bool {
        let exchange = request(&mut self.worker, task);
        let route = self.routes.route(exchange.route);
        let Some(verdict) = ends::verdict(route, &exchange.timeline, now, is_started) else {
            return false;
        };
        exchange.status = verdict.status();
        exchange.timeline.finished_ns = now;
        let what = What::Dropped(verdict.event());
        self.events.note(now, exchange.request_id, what);
        let ends = self.settings.metrics.ends(exchange.route);
        ends.judged(verdict, exchange, route);
        if route.debug {
            report(exchange, verdict);
        }
        true
    }

    /// Ends the running task; `has_sandbox`: one that has not finished.
    fn end_by_verdict(&mut self, now: Nanos, has_sandbox: bool) {
        let ended = self.worker.ended(now, SliceEnd::Finished);
        let mut ended = with_request(ended.expect("a task that has finished is over"));
        ended.started = has_sandbox;
        self.end(ended);
    }

    /// Times the slice: for those who wait, and for whoever comes and would run. A client that goes away interrupts
    /// even a slice to completion, so that its own request can end; the policy is told as of any preemption.
    fn begin_slice(&mut self, now: Nanos, slice: &Slice) {
        let length_ns = slice.quantum_ns.unwrap_or(self.settings.notice_ns);
        let Timing { bar, turn_ns } = slice.timing();
        self.inbox.bar.store(bar, Ordering::Relaxed);
        // Where it ends then anyhow, nobody who comes needs to be compared.
        let (contention, turn_end_ns) = match turn_ns <= length_ns {
            true => (Contention::Contended, Nanos::MAX),
            false => (Contention::Uncontended { bar }, now.saturating_add(turn_ns)),
        };
        self.guest
            .begin_slice(now.saturating_add(length_ns), contention);
        let exchange = request(&mut self.worker, slice.task);
        let route = self.routes.route(exchange.route);
        let limit_ns = ends::limit_ns(route, &exchange.timeline, now);
        let limit_ns = limit_ns.unwrap_or(Nanos::MAX).min(turn_end_ns);
        if limit_ns != Nanos::MAX {
            self.guest.limit(limit_ns);
        }
        // What came between the last look and the line above has found no slice to time.
        if (bar > 0 && self.inbox.has_requests())
            || self.inbox.has_abandoned()
            || self.wakes.any()
            || self.stop.load(Ordering::Acquire)
        {
            self.guest.arm();
        }
    }

    fn start(&mut self, now: Nanos, task: TaskId) {
        let exchange = request(&mut self.worker, task);
        exchange.timeline.started_ns = now;
        self.settings.metrics.started.increment();
        if self.settings.tells_starts {
            let start = Start {
                ticket: exchange.ticket,
                sequence: exchange.sequence,
                at_ns: now,
            };
            let told = self.inbox.starts.push(start);
            told.expect("the ring has room for two for every outstanding request");
        }
        let mut arguments = std::mem::take(&mut exchange.arguments);
        let mut environment = std::mem::take(&mut exchange.environment);
        let route = self.routes.route(exchange.route);
        cgi::push_arguments(exchange, route.abi, &mut arguments);
        if let Some(cgi) = &route.cgi {
            let request = Request::of(exchange, self.routes.address(exchange.port));
            cgi.push_environment(&request, &mut environment);
        }
        let call = Call {
            arguments,
            environment,
            stdin: std::mem::take(&mut exchange.body),
            stdout: std::mem::take(&mut exchange.answer),
            stderr: std::mem::take(&mut exchange.errors),
            request_id: exchange.request_id,
        };
        let asked = self.asked[task.index()].expect("somebody has asked for what runs");
        let waker = self.wakers.waker(task.0, asked.rank);
        self.guest.start(task.0, route.function, call, waker);
    }

    fn end(&mut self, ended: Ended<Box<Exchange>>) {
        let mut exchange = ended.job;
        self.asked[ended.key.id.index()] = None;
        if ended.started {
            let call = self.guest.discard(ended.key.id.0);
            let route = self.routes.route(exchange.route);
            give_up(&mut exchange, call, &route.name);
        }
        let metrics = &self.settings.metrics;
        let spent = metrics.over(&exchange);
        self.inbox.outbox.push(exchange);
        // Not while its client waits.
        if let Some(spent) = spent {
            metrics.spent(&spent);
        }
        self.guest.reset(ended.key.id.0);
        metrics.resets.set(self.guest.resets());
    }

    /// Nothing to run: look a little longer, then sleep.
    fn idle(&mut self, since: Nanos) {
        while self.clock.now_ns() < since + self.settings.spin_ns {
            if self.has_something() {
                return;
            }
            std::hint::spin_loop();
        }
        self.inbox.parker.park(|| !self.has_something());
    }

    /// A request that finds no free slot is nothing yet: only this thread frees one.
    fn has_something(&self) -> bool {
        (self.worker.free_slots() > 0 && (self.inbox.has_requests() || self.inbox.can_steal()))
            || self.inbox.has_abandoned()
            || self.wakes.any()
            || self.stop.load(Ordering::Acquire)
    }
}

/// The request of a task that has begun, or is to run now.
fn request(worker: &mut Tasks, task: TaskId) -> &mut Exchange {
    let exchange = worker.job_mut(task).as_mut();
    exchange.expect("who has begun has its request")
}

/// A task that is over, and its request with it.
fn with_request(ended: Ended<Option<Box<Exchange>>>) -> Ended<Box<Exchange>> {
    Ended {
        key: ended.key,
        job: ended.job.expect("who is answered has its request"),
        started: ended.started,
        cancelled: ended.cancelled,
    }
}
