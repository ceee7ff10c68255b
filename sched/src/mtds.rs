//! Multi-tenant deferrable server: tenants with a reservation are served first while their budget lasts, the rest by
//! deadline below them.
//!
//! Strosnider, Lehoczky & Sha, "The Deferrable Server Algorithm for Enhanced Aperiodic Responsiveness in Hard Real-Time
//! Environments" (IEEE ToC 1995), applied to tenants as in SLEdge. A reservation is so much execution in every period. While
//! something of it is left, the tenant's tasks are guaranteed and go before all others; what they run is charged. When
//! it is used up they fall back to the rest, where nothing is charged, until the next period refills the budget. A slice
//! may end late; that is a debt, of a quantum at most, which the next refill pays first. So over any time of n periods a
//! tenant takes at most n + 1 budgets with priority (the back-to-back effect of the deferrable server), and however great
//! the load of the others, a tenant that always has work waits at most 2(period − budget) for what it was promised, if
//! [`crate::demand::check`] accepted the reservations and their budgets are long against a quantum.
//!
//! Both classes are ordered by deadline, then by arrival, over the first tasks of all tenants. Without reservations this
//! is EDF. Tasks without a deadline come last within their class. The rest starve while the guaranteed have work and
//! budgets for it, which is at most the reserved share of the time.
//!
//! Every tenant has a heap of tasks and stands in a heap of its class, so that a change of class moves one entry. An
//! exhausted tenant with work waits in a third heap for its refill; each exhaustion is followed by one refill there, so
//! the steps per event are logarithmic when summed up over a run, and one event may do what several others caused.

use alloc::vec::Vec;

use crate::demand;
use crate::heap::{SlotHeap, SlotHeaps};
use crate::policy::{Arrivals, Event, Nanos, Policy, Slice, Task, TaskId};
use crate::ranked::{Place, Places};
use crate::scheduler::Params;
use crate::tenant::{Account, Tenant};

/// See the module's text.
#[derive(Debug)]
pub struct Mtds {
    /// The ready tasks of each tenant.
    ready: SlotHeaps<Place>,
    places: Places,
    /// By slot: the tenant.
    homes: Vec<u16>,
    /// Tenants with ready tasks and something left, by the place of their first task.
    guaranteed: SlotHeap<Place>,
    /// The other tenants with ready tasks, by the place of their first task.
    rest: SlotHeap<Place>,
    /// Those of the rest that have a reservation, by the time of their refill.
    refills: SlotHeap<Nanos>,
    /// By tenant; `None` without a reservation.
    accounts: Vec<Option<Account>>,
    /// The running task, if it is charged.
    charged: Option<TaskId>,
    has_reservations: bool,
    params: Params,
}

impl Mtds {
    /// The name in the table of schedulers.
    pub const NAME: &str = "mtds";

    /// An empty queue, and no reservations.
    #[must_use]
    pub fn new(params: &Params) -> Self {
        Self {
            ready: SlotHeaps::default(),
            places: Places::default(),
            homes: Vec::new(),
            guaranteed: SlotHeap::default(),
            rest: SlotHeap::default(),
            refills: SlotHeap::default(),
            accounts: Vec::new(),
            charged: None,
            has_reservations: false,
            params: *params,
        }
    }

    /// What is left of a tenant's budget as of the last look at it, in nanoseconds; negative is a debt. `None` without a
    /// reservation.
    #[must_use]
    pub fn left_ns(&self, tenant: u16) -> Option<i64> {
        let account = self.accounts.get(usize::from(tenant))?.as_ref()?;
        Some(account.left_ns())
    }

    fn arrived(&mut self, task: &Task) {
        let (slot, tenant) = (task.id.index(), usize::from(task.tenant));
        if slot >= self.homes.len() {
            self.homes.resize(slot + 1, 0);
        }
        self.homes[slot] = task.tenant;
        if tenant >= self.accounts.len() {
            self.accounts.resize(tenant + 1, None);
        }
        let place = self.places.arrive(task, task.deadline_ns);
        self.ready.push(tenant, task.id, place);
    }

    fn home(&self, task: TaskId) -> usize {
        usize::from(self.homes[task.index()])
    }

    fn enqueue(&mut self, task: TaskId) {
        self.ready.push(self.home(task), task, self.places.of(task));
    }

    fn charge(&mut self, now: Nanos, task: TaskId, ran_ns: Nanos) {
        if self.charged != Some(task) {
            return;
        }
        self.charged = None;
        let tenant = self.home(task);
        // Who may not be interrupted runs over by more than a quantum, and owes all of it.
        let debt_max_ns = match self.params.preemption {
            true => self.params.quantum_ns,
            false => Nanos::MAX,
        };
        if let Some(account) = &mut self.accounts[tenant] {
            account.charge(now, ran_ns, debt_max_ns);
        }
    }

    /// Puts a tenant where it belongs, after its tasks or its account have changed.
    fn classify(&mut self, now: Nanos, tenant: usize) {
        let handle = TaskId(tenant as u32);
        self.guaranteed.remove(handle);
        self.rest.remove(handle);
        self.refills.remove(handle);
        let Some((_, first)) = self.ready.peek(tenant) else {
            return;
        };
        let Some(account) = &mut self.accounts[tenant] else {
            return self.rest.push(handle, first);
        };
        account.refresh(now);
        if account.left_ns() > 0 {
            self.guaranteed.push(handle, first);
        } else {
            self.rest.push(handle, first);
            self.refills.push(handle, account.refill_ns());
        }
    }

    fn refill_the_due(&mut self, now: Nanos) {
        while let Some((handle, due_ns)) = self.refills.peek()
            && due_ns <= now
        {
            self.classify(now, handle.index());
        }
    }

    fn slice(&self, now: Nanos, task: TaskId, left_ns: Option<u64>) -> Slice {
        let Params { quantum_ns, .. } = self.params;
        let deadline_ns = self.places.of(task).rank;
        // Those of its class who wait have later deadlines; a refill may make one of another class guaranteed.
        let refill = self.refills.peek();
        let refill = refill.map(|(_, due_ns)| due_ns.saturating_sub(now));
        let (contended, turn_ns, preempted_by) = match left_ns {
            // It runs until its budget is used up; then those who wait come, of whatever class.
            Some(left_ns) if !self.ready.is_empty() => {
                let turn_ns = refill.map_or(left_ns, |refill_ns| refill_ns.min(left_ns));
                (true, turn_ns, Arrivals::DeadlineBefore(deadline_ns))
            }
            Some(_) => (false, quantum_ns, Arrivals::Anybody),
            None => {
                let anybody = self.has_reservations;
                let bar = match anybody {
                    true => Arrivals::Anybody,
                    false => Arrivals::DeadlineBefore(deadline_ns),
                };
                (refill.is_some(), refill.unwrap_or(quantum_ns), bar)
            }
        };
        // The last slice of a budget is as short as what is left of it.
        let quantum_ns = quantum_ns.min(left_ns.unwrap_or(quantum_ns));
        Slice {
            task,
            quantum_ns: Some(quantum_ns),
            contended,
            turn_ns: turn_ns.max(quantum_ns),
            preempted_by,
        }
    }
}

impl Policy for Mtds {
    fn observe(&mut self, now: Nanos, event: &Event) {
        let task = match *event {
            Event::Arrived(task) => {
                self.arrived(&task);
                task.id
            }
            Event::Woken(task) => {
                self.enqueue(task);
                task
            }
            Event::Blocked { task, ran_ns } => {
                self.charge(now, task, ran_ns);
                task
            }
            Event::Yielded { task, ran_ns } => {
                self.charge(now, task, ran_ns);
                self.places.step_back(task);
                self.enqueue(task);
                task
            }
            Event::Preempted { task, ran_ns } => {
                self.charge(now, task, ran_ns);
                self.enqueue(task);
                task
            }
            Event::Finished { task, ran_ns } => {
                self.charge(now, task, ran_ns);
                self.ready.remove(self.home(task), task);
                task
            }
        };
        self.classify(now, self.home(task));
    }

    fn next(&mut self, now: Nanos) -> Option<Slice> {
        self.refill_the_due(now);
        let first = self.guaranteed.peek();
        let (handle, _) = first.or_else(|| self.rest.peek())?;
        let tenant = handle.index();
        let (task, _) = self.ready.pop(tenant).expect("the tenant has a ready task");
        let left_ns = match (&mut self.accounts[tenant], first) {
            (Some(account), Some(_)) => {
                account.refresh(now);
                self.charged = Some(task);
                Some(account.left_ns().unsigned_abs())
            }
            _ => None,
        };
        self.classify(now, tenant);
        if !self.params.preemption {
            return Some(Slice::to_completion(task));
        }
        Some(self.slice(now, task, left_ns))
    }

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn waiting(&self) -> usize {
        self.ready.len()
    }

    fn steps(&self) -> u64 {
        self.ready.steps() + self.guaranteed.steps() + self.rest.steps() + self.refills.steps()
    }

    fn set_tenants(&mut self, now: Nanos, tenants: &[Tenant]) {
        demand::check(tenants).expect("whoever read the configuration has checked it");
        if tenants.len() > self.accounts.len() {
            self.accounts.resize(tenants.len(), None);
        }
        let reservations = tenants.iter().map(|tenant| tenant.reservation);
        let reservations = reservations.chain(core::iter::repeat(None));
        for (account, reservation) in self.accounts.iter_mut().zip(reservations) {
            // What a tenant owes or has left outlives a reload that does not change its reservation.
            if account.map(|account| account.reservation()) != reservation {
                *account = reservation.map(|reservation| Account::new(now, reservation));
            }
        }
        self.has_reservations = self.accounts.iter().any(Option::is_some);
        for tenant in 0..self.accounts.len() {
            self.classify(now, tenant);
        }
    }
}
