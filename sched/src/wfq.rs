//! Weighted fair queueing: tenants share the worker in proportion to their weights, and within a tenant all take turns.
//!
//! Goyal, Vin & Cheng, "Start-time Fair Queuing" (SIGCOMM 1996), which for processors is Goyal, Guo & Vin, "A Hierarchical
//! CPU Scheduler for Multimedia Operating Systems" (OSDI 1996). Each tenant has a tag: the virtual time at which its next
//! slice begins. The tenant with the lowest tag runs; what it ran, divided by its weight, is added to its tag. The
//! worker's virtual time is the tag of the one who runs. A tenant that had nothing to run comes back at that time, so it
//! can neither save up what it did not use nor is it punished for what it used while nobody else was there. No lengths
//! need to be known in advance, which is why the start decides and not the end.
//!
//! Over any time in which two tenants both have work, what they ran, divided by their weights, differs by no more than
//! the longest slice of each, divided by its weight. Nobody starves. A tenant that is ten times over its share takes
//! nothing from another one but the rest of the slice that runs.
//!
//! Within a tenant it is round robin. Equal tags go by who came to be ready first.

use alloc::vec::Vec;

use crate::heap::SlotHeap;
use crate::limits::{WEIGHT_DEFAULT, WEIGHT_MAX};
use crate::list::SlotLists;
use crate::policy::{Arrivals, Event, Nanos, Policy, Slice, TaskId};
use crate::scheduler::Params;
use crate::tenant::Tenant;

/// Virtual time is counted in nanoseconds divided by weight, times this, so that division loses nothing that matters.
const SCALE: u128 = 1 << 32;

/// See the module's text.
#[derive(Debug)]
pub struct Wfq {
    /// The ready tasks of each tenant.
    ready: SlotLists,
    /// The tenants that have ready tasks, but for the one of the running task: by tag, then by turn.
    order: SlotHeap<(u128, u64)>,
    tenants: Vec<State>,
    /// By slot: the tenant.
    homes: Vec<u16>,
    /// The running task and its tenant.
    running: Option<(TaskId, u16)>,
    virtual_now: u128,
    /// The highest tag there ever was: where virtual time goes when everybody has left.
    tag_max: u128,
    turns: u64,
    params: Params,
}

#[derive(Clone, Copy, Debug)]
struct State {
    weight: u32,
    /// The end of what it ran last, in virtual time.
    tag: u128,
}

impl Wfq {
    /// The name in the table of schedulers.
    pub const NAME: &str = "wfq";

    /// An empty queue.
    #[must_use]
    pub fn new(params: &Params) -> Self {
        Self {
            ready: SlotLists::default(),
            order: SlotHeap::default(),
            tenants: Vec::new(),
            homes: Vec::new(),
            running: None,
            virtual_now: 0,
            tag_max: 0,
            turns: 0,
            params: *params,
        }
    }

    fn arrived(&mut self, task: TaskId, tenant: u16) {
        let (slot, index) = (task.index(), usize::from(tenant));
        if slot >= self.homes.len() {
            self.homes.resize(slot + 1, 0);
        }
        self.homes[slot] = tenant;
        self.grow(index + 1);
    }

    fn grow(&mut self, tenants: usize) {
        if tenants > self.tenants.len() {
            let state = State {
                weight: WEIGHT_DEFAULT,
                tag: 0,
            };
            self.tenants.resize(tenants, state);
        }
    }

    fn home(&self, task: TaskId) -> u16 {
        self.homes[task.index()]
    }

    /// The task is ready.
    fn enqueue(&mut self, task: TaskId) {
        let tenant = self.home(task);
        let was_idle = self.ready.list_is_empty(usize::from(tenant));
        self.ready.push_back(usize::from(tenant), task);
        if was_idle && self.running.is_none_or(|(_, running)| running != tenant) {
            self.line_up(tenant);
        }
    }

    fn line_up(&mut self, tenant: u16) {
        let state = &mut self.tenants[usize::from(tenant)];
        state.tag = state.tag.max(self.virtual_now);
        self.turns += 1;
        self.order
            .push(TaskId(u32::from(tenant)), (state.tag, self.turns));
    }

    /// The slice of the running task is over, and the task, if it is ready, is in its queue again.
    fn charge(&mut self, task: TaskId, ran_ns: Nanos) {
        let Some((_, tenant)) = self.running.take_if(|(running, _)| *running == task) else {
            return;
        };
        let state = &mut self.tenants[usize::from(tenant)];
        state.tag += u128::from(ran_ns) * SCALE / u128::from(state.weight);
        self.tag_max = self.tag_max.max(state.tag);
        if !self.ready.list_is_empty(usize::from(tenant)) {
            self.line_up(tenant);
        }
    }

    fn finished(&mut self, task: TaskId, ran_ns: Nanos) {
        let tenant = self.home(task);
        if self.ready.remove(usize::from(tenant), task)
            && self.ready.list_is_empty(usize::from(tenant))
        {
            self.order.remove(TaskId(u32::from(tenant)));
        }
        self.charge(task, ran_ns);
    }
}

impl Policy for Wfq {
    fn observe(&mut self, _now: Nanos, event: &Event) {
        match *event {
            Event::Arrived(task) => {
                self.arrived(task.id, task.tenant);
                self.enqueue(task.id);
            }
            Event::Woken(task) => self.enqueue(task),
            Event::Blocked { task, ran_ns } => self.charge(task, ran_ns),
            Event::Yielded { task, ran_ns } | Event::Preempted { task, ran_ns } => {
                self.enqueue(task);
                self.charge(task, ran_ns);
            }
            Event::Finished { task, ran_ns } => self.finished(task, ran_ns),
        }
        if self.running.is_none() && self.order.is_empty() {
            self.virtual_now = self.tag_max;
        }
    }

    fn next(&mut self, _now: Nanos) -> Option<Slice> {
        let (handle, (tag, _)) = self.order.pop()?;
        let tenant = handle.0 as u16;
        let task = self.ready.pop_front(handle.index());
        let task = task.expect("a tenant in line has a ready task");
        self.running = Some((task, tenant));
        self.virtual_now = self.virtual_now.max(tag);
        if !self.params.preemption {
            return Some(Slice::to_completion(task));
        }
        Some(Slice {
            task,
            quantum_ns: Some(self.params.quantum_ns),
            contended: !self.ready.is_empty(),
            turn_ns: self.params.quantum_ns,
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
        self.ready.steps() + self.order.steps()
    }

    fn set_tenants(&mut self, _now: Nanos, tenants: &[Tenant]) {
        self.grow(tenants.len());
        let told = tenants.iter().map(|tenant| tenant.weight);
        let weights = told.chain(core::iter::repeat(WEIGHT_DEFAULT));
        for (state, weight) in self.tenants.iter_mut().zip(weights) {
            assert!((1..=WEIGHT_MAX).contains(&weight), "a weight of {weight}");
            state.weight = weight;
        }
    }
}
