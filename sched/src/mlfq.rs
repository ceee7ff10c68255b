//! Multi-level feedback queue: tasks begin on the first level and sink as they use the processor up, so that short ones
//! go first though nobody knows which are short.
//!
//! Corbató, Merwin-Daggett & Daley, "An Experimental Time-Sharing System" (1962); Arpaci-Dusseau, *Operating Systems: Three
//! Easy Pieces*, ch. 8, for the rules against gaming and starvation. With many fine levels it is foreground-background
//! (least attained service: Kleinrock, *Queueing Systems* vol. 2, §4.6; Nuyens & Wierman 2008), the best that is blind to
//! sizes where those that have run long will run longer. Shinjuku (Kaffes et al., NSDI 2019) has two such levels.
//!
//! Level k, from 0, allots 2ᵏ quanta to a task, however it divides them into slices: who waits or yields before its
//! allotment is used up stays on its level with what is left, and gains nothing by it. Then it sinks; the last level is
//! round robin. Within a level the order is that of becoming ready. A task of a lower level is left in peace for a
//! quantum, then whoever comes may interrupt it.
//!
//! So that nobody starves, all tasks rise to the first level once in every boost period, keeping their order. That is
//! done by hanging lists behind each other, in a fixed number of steps: which level a task is on counts only in the
//! period in which it was noted.

use alloc::vec::Vec;

use crate::limits::LEVELS_MAX;
use crate::list::SlotLists;
use crate::policy::{Arrivals, Event, Nanos, Policy, Slice, TaskId};
use crate::scheduler::Params;

/// See the module's text.
#[derive(Debug)]
pub struct Mlfq {
    /// The ready tasks of each level.
    ready: SlotLists,
    /// By slot.
    standings: Vec<Standing>,
    /// Which boost period it is.
    period: u64,
    /// When the next one begins, once it is known that time goes on.
    boost_ns: Option<Nanos>,
    params: Params,
}

/// How far a task has sunk.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    level: u32,
    /// What it ran on this level.
    used_ns: Nanos,
    /// The boost period in which this holds.
    period: u64,
}

impl Mlfq {
    /// The name in the table of schedulers.
    pub const NAME: &str = "mlfq";

    /// An empty queue.
    ///
    /// # Panics
    ///
    /// If the levels are 0 or more than [`LEVELS_MAX`], or if a quantum or a boost period is 0.
    #[must_use]
    pub fn new(params: &Params) -> Self {
        assert!((1..=LEVELS_MAX).contains(&params.levels), "no such levels");
        assert!(params.quantum_ns > 0 && params.boost_ns > 0, "0 ns");
        Self {
            ready: SlotLists::default(),
            standings: Vec::new(),
            period: 0,
            boost_ns: None,
            params: *params,
        }
    }

    fn standing(&self, task: TaskId) -> Standing {
        let standing = self.standings[task.index()];
        if standing.period == self.period {
            return standing;
        }
        Standing {
            period: self.period,
            ..Standing::default()
        }
    }

    fn allotment_ns(&self, level: u32) -> Nanos {
        self.params.quantum_ns.saturating_mul(1 << level)
    }

    fn arrived(&mut self, task: TaskId) {
        let slot = task.index();
        if slot >= self.standings.len() {
            self.standings.resize(slot + 1, Standing::default());
        }
        self.standings[slot] = Standing {
            period: self.period,
            ..Standing::default()
        };
        self.enqueue(task);
    }

    fn enqueue(&mut self, task: TaskId) {
        let level = self.standing(task).level as usize;
        self.ready.push_back(level, task);
    }

    fn ran(&mut self, task: TaskId, ran_ns: Nanos) {
        let mut standing = self.standing(task);
        standing.used_ns = standing.used_ns.saturating_add(ran_ns);
        if standing.used_ns >= self.allotment_ns(standing.level) {
            standing.level = (standing.level + 1).min(self.params.levels - 1);
            standing.used_ns = 0;
        }
        self.standings[task.index()] = standing;
    }

    fn boost_if_due(&mut self, now: Nanos) {
        let due_ns = *self
            .boost_ns
            .get_or_insert(now.saturating_add(self.params.boost_ns));
        if now < due_ns {
            return;
        }
        for level in 1..self.params.levels as usize {
            self.ready.append(level, 0);
        }
        self.period += 1;
        self.boost_ns = Some(now.saturating_add(self.params.boost_ns));
    }
}

impl Policy for Mlfq {
    fn observe(&mut self, now: Nanos, event: &Event) {
        self.boost_if_due(now);
        match *event {
            Event::Arrived(task) => self.arrived(task.id),
            Event::Woken(task) => self.enqueue(task),
            Event::Blocked { task, ran_ns } => self.ran(task, ran_ns),
            Event::Yielded { task, ran_ns } | Event::Preempted { task, ran_ns } => {
                self.ran(task, ran_ns);
                self.enqueue(task);
            }
            Event::Finished { task, .. } => {
                let level = self.standing(task).level as usize;
                self.ready.remove(level, task);
            }
        }
    }

    fn next(&mut self, now: Nanos) -> Option<Slice> {
        self.boost_if_due(now);
        let mut levels = 0..self.params.levels as usize;
        let task = levels.find_map(|level| self.ready.pop_front(level))?;
        if !self.params.preemption {
            return Some(Slice::to_completion(task));
        }
        let Standing { level, used_ns, .. } = self.standing(task);
        let left_ns = self.allotment_ns(level).saturating_sub(used_ns).max(1);
        let quantum_ns = left_ns.min(self.params.quantum_ns);
        Some(Slice {
            task,
            quantum_ns: Some(quantum_ns),
            contended: !self.ready.is_empty(),
            turn_ns: left_ns,
            preempted_by: Arrivals::Anybody,
        })
    }

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn waiting(&self) -> usize {
        self.ready.len()
    }

    fn steps(&self) -> u64 {
        self.ready.steps()
    }
}
