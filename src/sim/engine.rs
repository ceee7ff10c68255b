//! The server on virtual time: a listener, workers, and a timer each. The dispatch, the policies and the worker loop
//! are the server's own; made up are the clock, the requests, and the guests, which do nothing but take time.
//!
//! ```text
//!   requests ─► listener: one at a time, `dispatch_ns` each ─► LeastLoaded ─► Worker ─► Finished
//!                                   └► backlog, while all are full   └► Refused: the backlog is full too
//!   a slice:   turn            timer, or done
//!                │ start_ns │ work   │ preempt_ns │ turn …
//!                ▲ first slice only    ▲ only if interrupted
//! ```
//!
//! The timer is armed as on the server: at the start of a slice if somebody waits, during it for an arrival that would
//! take the processor. The start of a sandbox cannot be interrupted. What ends at a moment precedes what arrives at it.
//!
//! [`Engine::step`] goes to the next thing that happened and returns it; it counts nothing that can be counted outside.

use std::collections::VecDeque;

use sched::{LeastLoaded, Load, Nanos, Newcomer, Params, Scheduler, Slice, Task, TaskId};

use super::calendar::Calendar;
use crate::worker::{Arrival, SliceEnd, Turn, Worker};

/// A request that will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// `route` is the class.
    pub arrival: Arrival,
    /// How long it runs if nobody interrupts it. At least 1.
    pub service_ns: Nanos,
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
}

/// The machine.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub workers: usize,
    pub scheduler: &'static Scheduler,
    pub params: Params,
    pub costs: Costs,
    /// How many requests a worker takes at a time.
    pub tasks_max: u32,
    /// How many requests wait at the dispatcher while all workers are full. With one task per worker and no bound here,
    /// it is a central queue.
    pub backlog_max: usize,
}

/// A request on a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    pub request: Request,
    /// When the worker got it.
    pub delivered_ns: Nanos,
    /// What is left of its service.
    remaining_ns: Nanos,
    /// How long it held a processor so far: its service, and the start of its sandbox.
    pub held_ns: Nanos,
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
    /// It is done.
    Finished { worker: usize, job: Job },
}

/// See the module's text.
pub struct Engine<I> {
    config: Config,
    now: Nanos,
    requests: I,
    /// Parsed by the listener, on its way to a worker: when it gets there.
    coming: Option<(Nanos, Request)>,
    /// When the listener is done with what it has.
    listener_free_ns: Nanos,
    dispatch: LeastLoaded,
    loads: Vec<Load>,
    /// How many workers are full.
    full: usize,
    /// Not empty only while all workers are full.
    backlog: VecDeque<Request>,
    workers: Vec<SimWorker>,
    calendar: Calendar,
    totals: Totals,
}

struct SimWorker {
    tasks: Worker<Job>,
    phase: Phase,
}

/// What a worker is doing.
#[derive(Clone, Copy)]
enum Phase {
    Idle,
    /// Coming back from an interruption.
    Switching,
    Running(Run),
}

#[derive(Clone, Copy)]
struct Run {
    slice: Slice,
    started_ns: Nanos,
    /// The sandbox has started and the guest's work begins.
    work_from_ns: Nanos,
    /// It is done, or interrupted.
    ends_ns: Nanos,
}

/// Sums over the whole run, all workers together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Time spent in the requests' own work.
    pub work_ns: u128,
    /// Time spent in starting and interrupting.
    pub overhead_ns: u128,
    pub started: u64,
    pub preempted: u64,
    pub finished: u64,
    pub refused: u64,
    /// ∫N dt, N being the number of requests on the workers.
    pub present_ns: u128,
    /// Requests on the workers now.
    present: u64,
    /// Σ(finished − delivered).
    stayed_ns: u128,
    /// Σ service of the finished.
    served_ns: u128,
}

impl<I: Iterator<Item = Request>> Engine<I> {
    /// Everybody idle, at time 0. Requests come in the order of their arrival.
    pub fn new(config: Config, requests: I) -> Self {
        let worker = |_| SimWorker {
            tasks: Worker::new((config.scheduler.build)(&config.params), config.tasks_max),
            phase: Phase::Idle,
        };
        let mut engine = Self {
            now: 0,
            requests,
            coming: None,
            listener_free_ns: 0,
            dispatch: LeastLoaded::default(),
            loads: vec![Load::default(); config.workers],
            full: 0,
            backlog: VecDeque::new(),
            workers: (0..config.workers).map(worker).collect(),
            calendar: Calendar::new(config.workers),
            totals: Totals::default(),
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
        if self.full < self.workers.len()
            && let Some(request) = self.backlog.pop_front()
        {
            return Some(self.deliver(request));
        }
        loop {
            match (self.calendar.first(), self.coming) {
                (Some((at_ns, worker)), coming)
                    if coming.is_none_or(|(comes_ns, _)| at_ns <= comes_ns) =>
                {
                    self.advance(at_ns);
                    if let Some(happening) = self.act(worker) {
                        return Some(happening);
                    }
                }
                (_, Some((comes_ns, request))) => {
                    self.advance(comes_ns);
                    self.listen();
                    return Some(self.deliver(request));
                }
                (_, None) => return None,
            }
        }
    }

    /// The work that the workers still have to do, without overhead.
    #[cfg(test)]
    pub fn unfinished_ns(&mut self) -> Nanos {
        let now = self.now;
        let left = self.workers.iter_mut().map(|worker| {
            let run = match worker.phase {
                Phase::Running(run) => now.saturating_sub(run.work_from_ns),
                Phase::Idle | Phase::Switching => 0,
            };
            worker
                .tasks
                .jobs()
                .map(|job| job.remaining_ns)
                .sum::<Nanos>()
                - run
        });
        left.sum()
    }

    fn advance(&mut self, to_ns: Nanos) {
        debug_assert!(to_ns >= self.now);
        let elapsed_ns = u128::from(to_ns - self.now);
        self.totals.present_ns += elapsed_ns * u128::from(self.totals.present);
        self.now = to_ns;
    }

    /// Takes the next request up.
    fn listen(&mut self) {
        self.coming = self.requests.next().map(|request| {
            let from_ns = self.listener_free_ns.max(request.arrival.arrival_ns);
            self.listener_free_ns = from_ns + self.config.costs.dispatch_ns;
            (self.listener_free_ns, request)
        });
    }

    fn deliver(&mut self, request: Request) -> Happening {
        let Some(index) = self.dispatch.choose(&self.loads) else {
            if self.backlog.len() < self.config.backlog_max {
                self.backlog.push_back(request);
                return Happening::Held { request };
            }
            self.totals.refused += 1;
            return Happening::Refused { request };
        };
        let now = self.now;
        let worker = &mut self.workers[index];
        let job = Job {
            request,
            delivered_ns: now,
            remaining_ns: request.service_ns,
            held_ns: 0,
        };
        let taken = worker.tasks.arrive(now, request.arrival, job);
        assert!(taken.is_ok(), "the dispatcher chose a full worker");
        self.totals.present += 1;
        self.loads[index].outstanding += 1;
        self.loads[index].full = worker.tasks.free_slots() == 0;
        self.full += usize::from(self.loads[index].full);
        match &mut worker.phase {
            Phase::Idle => self.turn(index),
            Phase::Switching => {}
            Phase::Running(run) => {
                let newcomer = newcomer(self.config.scheduler, &request.arrival);
                let alarm = run.slice.alarm_on_arrival(run.started_ns, now, newcomer);
                run.arm(alarm);
                self.calendar.set(index, Some(run.ends_ns));
            }
        }
        Happening::Delivered {
            worker: index,
            request,
        }
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
            self.calendar.set(index, None);
            return;
        };
        let mut work_from_ns = now;
        if first {
            self.totals.started += 1;
            work_from_ns += self.config.costs.start_ns;
        }
        let mut run = Run {
            slice,
            started_ns: now,
            work_from_ns,
            ends_ns: work_from_ns + worker.tasks.job_mut(slice.task).remaining_ns,
        };
        run.arm(slice.alarm_at_start(now));
        worker.phase = Phase::Running(run);
        self.calendar.set(index, Some(run.ends_ns));
    }

    fn end_slice(&mut self, index: usize, run: Run) -> Happening {
        let now = self.now;
        let worker = &mut self.workers[index];
        let job = worker.tasks.job_mut(run.slice.task);
        let worked_ns = now - run.work_from_ns;
        job.remaining_ns -= worked_ns;
        job.held_ns += now - run.started_ns;
        self.totals.work_ns += u128::from(worked_ns);
        self.totals.overhead_ns += u128::from(run.work_from_ns - run.started_ns);
        if job.remaining_ns > 0 {
            let ended = worker.tasks.ended(now, SliceEnd::Preempted);
            assert!(ended.is_none(), "nobody cancels here");
            self.interrupted(index);
            return Happening::Preempted { worker: index };
        }
        let ended = worker.tasks.ended(now, SliceEnd::Finished);
        let job = ended.expect("a finished task ends").job;
        self.loads[index].outstanding -= 1;
        self.full -= usize::from(self.loads[index].full);
        self.loads[index].full = false;
        self.totals.present -= 1;
        self.totals.finished += 1;
        self.totals.stayed_ns += u128::from(now - job.delivered_ns);
        self.totals.served_ns += u128::from(job.request.service_ns);
        self.turn(index);
        Happening::Finished { worker: index, job }
    }

    fn interrupted(&mut self, index: usize) {
        let Costs { preempt_ns, .. } = self.config.costs;
        self.totals.preempted += 1;
        self.totals.overhead_ns += u128::from(preempt_ns);
        self.workers[index].phase = Phase::Switching;
        self.calendar.set(index, Some(self.now + preempt_ns));
    }
}

/// What the timer looks at when a request comes while another one runs.
fn newcomer(scheduler: &Scheduler, arrival: &Arrival) -> Newcomer {
    let task = Task {
        // A rank does not depend on it.
        id: TaskId(0),
        seq: arrival.seq,
        tenant: arrival.tenant,
        route: arrival.route,
        arrival_ns: arrival.arrival_ns,
        deadline_ns: arrival.deadline_ns,
        expected_ns: arrival.expected_ns,
    };
    Newcomer {
        deadline_ns: arrival.deadline_ns,
        rank: (scheduler.rank)(&task),
    }
}

impl Run {
    /// The timer will ring; a sandbox that is starting is let start.
    fn arm(&mut self, alarm_ns: Option<Nanos>) {
        if let Some(alarm_ns) = alarm_ns {
            self.ends_ns = self.ends_ns.min(alarm_ns.max(self.work_from_ns));
        }
    }
}

impl Totals {
    /// Checks what is true of every run that went from idle to idle, exactly.
    pub fn audit(&self, requests: u64, costs: &Costs) {
        assert_eq!(self.finished + self.refused, requests, "one end each");
        assert_eq!(self.started, self.finished, "one start each");
        assert_eq!(self.present, 0, "nobody is left");
        assert_eq!(self.present_ns, self.stayed_ns, "Little's law");
        assert_eq!(self.work_ns, self.served_ns, "work is conserved");
        let starts_ns = u128::from(self.started) * u128::from(costs.start_ns);
        let switches_ns = u128::from(self.preempted) * u128::from(costs.preempt_ns);
        assert_eq!(
            self.overhead_ns,
            starts_ns + switches_ns,
            "costs are charged"
        );
    }
}
