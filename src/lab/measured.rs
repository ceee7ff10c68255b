//! What a run has shown: histograms for each class, where the workers' time went, and what the tail was waiting for. The
//! same for a run of a server and one of the simulator, from the same events.
//!
//! Only requests that arrived after the warm-up count. What was refused, dropped or answered with an error is counted and in
//! no histogram; percentiles take it for slower than all ([`super::results::Wanted`]).

use perf::Histogram;
use perf::story::{End, Stories, Story};
use perf::tail::{Classes, explain};
use sched::Nanos;
use serde::{Deserialize, Serialize};

use super::requests::Route;

/// The slowest so many of a million are the tail.
const TAIL_PER_MILLION: u32 = 1_000;

/// The statuses from which on an answer is of no use.
const ERRORS: u16 = 400;

/// See the module's text.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// How long was measured.
    pub window_ns: Nanos,
    /// By class of the experiment.
    pub classes: Vec<OfClass>,
    pub workers: Shares,
    /// Slices that ended by the clock.
    pub preemptions: u64,
    /// What requests were waiting for; none if none finished.
    pub tail: Option<Tail>,
    /// How the run went, interval by interval; empty unless that was asked for.
    pub intervals: Vec<Interval>,
    /// Requests of which a part of the story is missing.
    pub torn: u64,
    /// Events that were lost.
    pub events_lost: u64,
}

/// The requests of a class.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OfClass {
    /// Those that arrived.
    pub requests: u64,
    pub finished: u64,
    pub refused: u64,
    /// Dropped, or answered with an error.
    pub dropped: u64,
    /// Finished after their deadline.
    pub missed: u64,
    /// Sojourn over undisturbed service, in thousandths.
    pub slowdown_permille: Histogram,
    /// From arrival to the end on the worker.
    pub sojourn_ns: Histogram,
    /// The part of it in which a request neither ran nor waited for something of its own.
    pub queue_ns: Histogram,
    /// How long it ran.
    pub ran_ns: Histogram,
}

/// What the workers did, all together, as parts of their time, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// What requests take undisturbed.
    pub work: f64,
    /// The rest of their slices: starts, cold caches, interrupts, other processes.
    pub stretch: f64,
    /// Between slices, while somebody could have run.
    pub switching: f64,
}

/// What the slowest requests were waiting for, and all of them. Times are sums over requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// The slowdown from which it begins, in thousandths.
    pub from_permille: u64,
    /// How many there are.
    pub requests: u64,
    pub sojourn_ns: u64,
    /// How many there are in all.
    pub all_requests: u64,
    pub all_sojourn_ns: u64,
    pub causes: Vec<Cause>,
}

/// A cause, and the time that it took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    pub name: String,
    pub tail_ns: u64,
    pub all_ns: u64,
}

/// Some of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Since the first request could have come.
    pub from_ns: Nanos,
    /// Requests on the server at its end.
    pub present: u64,
    /// By class.
    pub classes: Vec<IntervalOfClass>,
}

/// The requests of a class that arrived in an interval, and some that ended in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntervalOfClass {
    pub requests: u64,
    /// Finished by their deadline.
    pub in_time: u64,
    pub refused: u64,
    /// Finished in this interval and by their deadline, whenever they arrived.
    pub good: u64,
    pub p50_ns: Option<u64>,
    pub p99_ns: Option<u64>,
}

/// What has to be known of a run in order to understand its events.
pub struct Frame<'r> {
    pub routes: &'r [Route],
    /// The names of the experiment's classes.
    pub names: Vec<String>,
    pub workers: usize,
    /// When the first request could have come, by the events' clock.
    pub start_ns: Nanos,
    pub warmup_ns: Nanos,
    pub duration_ns: Nanos,
    /// Of what it is told how the run went.
    pub interval_ns: Option<Nanos>,
}

impl Measured {
    /// What these stories say.
    pub fn new(stories: &Stories, frame: &Frame<'_>) -> Self {
        let (from_ns, to_ns) = frame.window_ns();
        let is_measured = |story: &&Story| (from_ns..to_ns).contains(&story.arrived_ns);
        let mut classes = vec![OfClass::default(); frame.names.len()];
        for story in stories.whole.iter().filter(is_measured) {
            let route = frame.route(story);
            classes[usize::from(route.class)].add(story, route);
        }
        let preempted = stories.whole.iter().filter(is_measured);
        Self {
            window_ns: to_ns - from_ns,
            preemptions: preempted.map(|story| u64::from(story.preemptions)).sum(),
            workers: Shares::new(stories, frame),
            tail: Tail::new(stories, frame),
            intervals: frame.intervals(stories),
            torn: stories.torn,
            events_lost: stories.lost,
            classes,
        }
    }

    /// All classes together.
    pub fn all(&self) -> OfClass {
        let mut all = OfClass::default();
        self.classes.iter().for_each(|class| all.merge(class));
        all
    }

    /// Adds another run of the same.
    pub fn merge(&mut self, other: &Self) {
        let whole_ns = (self.window_ns + other.window_ns).max(1) as f64;
        let part = other.window_ns as f64 / whole_ns;
        self.workers.merge(&other.workers, part);
        self.window_ns += other.window_ns;
        self.preemptions += other.preemptions;
        self.torn += other.torn;
        self.events_lost += other.events_lost;
        match (&mut self.tail, &other.tail) {
            (Some(tail), Some(other)) => tail.merge(other),
            (tail, other) => *tail = tail.take().or_else(|| other.clone()),
        }
        self.classes.resize(other.classes.len(), OfClass::default());
        for (class, other) in self.classes.iter_mut().zip(&other.classes) {
            class.merge(other);
        }
    }
}

impl Frame<'_> {
    fn window_ns(&self) -> (Nanos, Nanos) {
        let from_ns = self.start_ns + self.warmup_ns;
        (
            from_ns,
            self.start_ns + self.duration_ns.max(self.warmup_ns),
        )
    }

    fn route(&self, story: &Story) -> &Route {
        &self.routes[usize::from(story.route)]
    }

    /// Which requests are of which class, and how long they take undisturbed.
    pub fn classes(&self) -> Classes {
        let route = |route: &Route| (route.class, Some(route.service_ns));
        Classes {
            names: self.names.clone(),
            routes: self.routes.iter().map(route).collect(),
        }
    }

    fn intervals(&self, stories: &Stories) -> Vec<Interval> {
        let Some(interval_ns) = self.interval_ns else {
            return Vec::new();
        };
        let count = self.duration_ns.div_ceil(interval_ns) as usize;
        let mut kept =
            vec![vec![(IntervalOfClass::default(), Histogram::new()); self.names.len()]; count];
        let mut present = vec![0; count];
        for story in &stories.whole {
            let since_ns = story.arrived_ns.saturating_sub(self.start_ns);
            let at = ((since_ns / interval_ns) as usize).min(count - 1);
            let route = self.route(story);
            let (counts, sojourns_ns) = &mut kept[at][usize::from(route.class)];
            counts.add(story, route, sojourns_ns);
            // It is there at the ends of these.
            let until_ns = story.ended_ns.saturating_sub(self.start_ns);
            let until = ((until_ns / interval_ns) as usize).min(count);
            let is_good = matches!(story.end, Some(End::Finished(status)) if status < ERRORS)
                && story.sojourn_ns() <= route.deadline_ns;
            if let Some(kept) = kept.get_mut(until) {
                kept[usize::from(route.class)].0.good += u64::from(is_good);
            }
            present[at..until]
                .iter_mut()
                .for_each(|present| *present += 1);
        }
        let intervals = kept.into_iter().zip(present).enumerate();
        let intervals = intervals.map(|(at, (classes, present))| Interval {
            from_ns: at as Nanos * interval_ns,
            present,
            classes: classes.into_iter().map(IntervalOfClass::told).collect(),
        });
        intervals.collect()
    }
}

impl IntervalOfClass {
    fn add(&mut self, story: &Story, route: &Route, sojourns_ns: &mut Histogram) {
        self.requests += 1;
        match story.end {
            Some(End::Finished(status)) if status < ERRORS => {
                self.in_time += u64::from(story.sojourn_ns() <= route.deadline_ns);
                sojourns_ns.record(story.sojourn_ns());
            }
            Some(End::Refused(_)) => self.refused += 1,
            Some(End::Finished(_) | End::Dropped(_)) | None => {}
        }
    }

    fn told((counts, sojourns_ns): (Self, Histogram)) -> Self {
        let summary = sojourns_ns.summary();
        Self {
            p50_ns: summary.p50,
            p99_ns: summary.p99,
            ..counts
        }
    }
}

impl OfClass {
    fn add(&mut self, story: &Story, route: &Route) {
        self.requests += 1;
        match story.end {
            Some(End::Finished(status)) if status < ERRORS => {}
            Some(End::Refused(_)) => {
                self.refused += 1;
                return;
            }
            Some(End::Finished(_) | End::Dropped(_)) | None => {
                self.dropped += 1;
                return;
            }
        }
        let sojourn_ns = story.sojourn_ns();
        let ran_ns = story.ran_ns();
        self.finished += 1;
        self.missed += u64::from(sojourn_ns > route.deadline_ns);
        let slowdown = u128::from(sojourn_ns) * 1_000 / u128::from(route.service_ns.max(1));
        self.slowdown_permille
            .record(u64::try_from(slowdown).unwrap_or(u64::MAX));
        self.sojourn_ns.record(sojourn_ns);
        let held_ns = ran_ns + story.blocked_ns();
        self.queue_ns.record(sojourn_ns.saturating_sub(held_ns));
        self.ran_ns.record(ran_ns);
    }

    /// How many were not answered, or with an error.
    pub fn unanswered(&self) -> u64 {
        self.refused + self.dropped
    }

    /// Adds those of another run.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.finished += other.finished;
        self.refused += other.refused;
        self.dropped += other.dropped;
        self.missed += other.missed;
        self.slowdown_permille.merge(&other.slowdown_permille);
        self.sojourn_ns.merge(&other.sojourn_ns);
        self.queue_ns.merge(&other.queue_ns);
        self.ran_ns.merge(&other.ran_ns);
    }
}

impl Shares {
    fn new(stories: &Stories, frame: &Frame<'_>) -> Self {
        let window = frame.window_ns();
        let (mut work_ns, mut ran_ns) = (0.0, 0.0);
        let mut could_run = vec![Vec::new(); frame.workers];
        for story in &stories.whole {
            let own_ns: u64 = story
                .slices
                .iter()
                .map(|slice| within(*slice, window))
                .sum();
            ran_ns += own_ns as f64;
            // Of one that runs longer than it should every part is stretched alike.
            let service_ns = frame.route(story).service_ns.min(story.ran_ns());
            work_ns += own_ns as f64 * service_ns as f64 / story.ran_ns().max(1) as f64;
            if story.taken_ns > 0 {
                could_run[usize::from(story.worker)].extend(runnable(story));
            }
        }
        let could_run_ns: u64 = could_run
            .into_iter()
            .map(|spans| covered_ns(spans, window))
            .sum();
        let whole_ns = (window.1 - window.0).max(1) as f64 * frame.workers as f64;
        Self {
            work: work_ns / whole_ns,
            stretch: (ran_ns - work_ns) / whole_ns,
            switching: (could_run_ns as f64 - ran_ns).max(0.0) / whole_ns,
        }
    }

    /// The part in which nobody could run.
    pub fn idle(&self) -> f64 {
        (1.0 - self.work - self.stretch - self.switching).max(0.0)
    }

    /// With another run, whose part of the whole is this.
    fn merge(&mut self, other: &Self, part: f64) {
        let mix = |own: f64, other: f64| own * (1.0 - part) + other * part;
        *self = Self {
            work: mix(self.work, other.work),
            stretch: mix(self.stretch, other.stretch),
            switching: mix(self.switching, other.switching),
        };
    }
}

/// When a worker could have run it.
fn runnable(story: &Story) -> Vec<(Nanos, Nanos)> {
    let mut spans = Vec::with_capacity(1 + story.blocks.len());
    let mut from_ns = story.taken_ns;
    for &(blocked_ns, woken_ns) in &story.blocks {
        spans.push((from_ns, blocked_ns));
        from_ns = woken_ns;
    }
    spans.push((from_ns, story.ended_ns));
    spans
}

/// How much of a window these cover together.
fn covered_ns(mut spans: Vec<(Nanos, Nanos)>, window: (Nanos, Nanos)) -> Nanos {
    spans.sort_unstable();
    let (mut covered_ns, mut until_ns) = (0, 0);
    for (from_ns, to_ns) in spans {
        covered_ns += within((from_ns.max(until_ns), to_ns), window);
        until_ns = until_ns.max(to_ns);
    }
    covered_ns
}

fn within((from_ns, to_ns): (Nanos, Nanos), (first_ns, last_ns): (Nanos, Nanos)) -> Nanos {
    to_ns.min(last_ns).saturating_sub(from_ns.max(first_ns))
}

impl Tail {
    fn new(stories: &Stories, frame: &Frame<'_>) -> Option<Self> {
        let (from_ns, to_ns) = frame.window_ns();
        let classes = frame.classes();
        let told = explain(&stories.whole, &classes, TAIL_PER_MILLION, from_ns..to_ns)?;
        // Whatever the tail waits for, all do.
        let causes = told.all.causes.iter().map(|(cause, all_ns)| Cause {
            name: cause.name(&classes),
            tail_ns: told.tail.causes.get(cause).copied().unwrap_or(0),
            all_ns: *all_ns,
        });
        Some(Self {
            from_permille: told.from_permille,
            requests: told.tail.requests,
            sojourn_ns: told.tail.sojourn_ns,
            all_requests: told.all.requests,
            all_sojourn_ns: told.all.sojourn_ns,
            causes: causes.collect(),
        })
    }

    /// Adds that of another run.
    fn merge(&mut self, other: &Self) {
        self.from_permille = self.from_permille.min(other.from_permille);
        self.requests += other.requests;
        self.sojourn_ns += other.sojourn_ns;
        self.all_requests += other.all_requests;
        self.all_sojourn_ns += other.all_sojourn_ns;
        for cause in &other.causes {
            match self.causes.iter_mut().find(|own| own.name == cause.name) {
                Some(own) => {
                    own.tail_ns += cause.tail_ns;
                    own.all_ns += cause.all_ns;
                }
                None => self.causes.push(cause.clone()),
            }
        }
    }
}
