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
//! [`crate::demand::check`] accepted the reservations, their periods are equal, and their budgets are long against a
//! quantum. Where periods differ that holds while nobody defers: a budget that is kept until late in its period runs
//! back to back with the next, for which the check leaves no room in a longer period of somebody else.
//!
//! The guaranteed are ordered by the ends of their periods, for which their budgets are due: earliest deadline first over
//! the servers, which the check is for. Where those end together, who used up the budget of the period before goes after
//! those who did not, and may be interrupted by them: it asks for all that it is owed or more, and its requests, late as
//! they are, would else go before those of every tenant that is within its budget. Only then the deadlines of the
//! requests count, then their arrival. The rest are ordered by deadline, then arrival, over the first tasks of all
//! tenants; without reservations this is EDF. Tasks without a deadline come last among their equals. The rest starve
//! while the guaranteed have work and budgets for it, which is at most the reserved share of the time.
//!
//! Every tenant has a heap of tasks and stands in a heap of its class, so that a change of class moves one entry. An
//! exhausted tenant with work waits in a third heap for its refill, and a guaranteed one whose period ends while it waits
//! gets its place in the next. Each exhaustion is followed by one refill, and the guaranteed are served within their
//! periods, so the steps per event are logarithmic when summed up over a run, and one event may do what several others
//! caused.

use alloc::vec::Vec;

use crate::demand;
use crate::heap::{SlotHeap, SlotHeaps};
use crate::policy::{Arrivals, Event, Nanos, Policy, Slice, Task, TaskId};
use crate::ranked::{Place, Places};
use crate::scheduler::Params;
use crate::tenant::{Account, Tenant};

/// What a guaranteed tenant waits with; the fields compare from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    /// The end of the period that its budget is for.
    due_ns: Nanos,
    /// It used up the budget of the period before.
    overran: bool,
    /// The place of its first task.
    first: Place,
}

/// See the module's text.
#[derive(Debug)]
pub struct Mtds {
    /// The ready tasks of each tenant.
    ready: SlotHeaps<Place>,
    places: Places,
    /// By slot: the tenant.
    homes: Vec<u16>,
    /// Tenants with ready tasks and something left.
    guaranteed: SlotHeap<Claim>,
    /// The other tenants with ready tasks, by the place of their first task.
    rest: SlotHeap<Place>,
    /// Those of the rest that have a reservation, by the time of their refill.
    refills: SlotHeap<Nanos>,
    /// By tenant; `None` without a reservation.
    accounts: Vec<Option<Account>>,
    /// The running task, if it is charged.
    charged: Option<TaskId>,
    has_reservations: bool,
    /// All reservations are for periods of one length, so that theirs end together.
    has_one_period: bool,
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
            has_one_period: true,
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
        let is_charged = self.charged.is_some_and(|task| self.home(task) == tenant);
        let Some(account) = &mut self.accounts[tenant] else {
            return self.rest.push(handle, first);
        };
        // What runs on it is charged first, as a slice that a refill falls into belongs to two periods.
        if !is_charged {
            account.refresh(now);
        }
        if account.left_ns() > 0 {
            let claim = Claim {
                due_ns: account.refill_ns(),
                overran: account.overran(),
                first,
            };
            self.guaranteed.push(handle, claim);
        } else {
            self.rest.push(handle, first);
            self.refills.push(handle, account.refill_ns());
        }
    }

    /// Puts those whose period is over where they belong in the next one.
    fn refill_the_due(&mut self, now: Nanos) {
        while let Some((handle, due_ns)) = self.refills.peek()
            && due_ns <= now
        {
            self.classify(now, handle.index());
        }
        while let Some((handle, claim)) = self.guaranteed.peek()
            && claim.due_ns <= now
        {
            self.classify(now, handle.index());
        }
    }

    /// The slice of a task that is charged to this account, if to any.
    fn slice(&self, now: Nanos, task: TaskId, charged: Option<Account>) -> Slice {
        let Params { quantum_ns, .. } = self.params;
        let deadline_ns = self.places.of(task).rank;
        // A refill may make one who waits guaranteed.
        let refill = self.refills.peek();
        let refill = refill.map(|(_, due_ns)| due_ns.saturating_sub(now));
        let left_ns = charged.map(|account| account.left_ns().unsigned_abs());
        let (contended, turn_ns) = match charged {
            // It goes first until its budget is used up, or its period is over.
            Some(account) if !self.ready.is_empty() => {
                let end_ns = account.refill_ns().saturating_sub(now);
                let ends = [left_ns, refill, Some(end_ns)].into_iter().flatten();
                (true, ends.min().unwrap_or(quantum_ns))
            }
            Some(_) => (false, quantum_ns),
            None => (refill.is_some(), refill.unwrap_or(quantum_ns)),
        };
        let by_deadline = match charged {
            Some(account) => contended && self.has_one_period && !account.overran(),
            None => !self.has_reservations,
        };
        let preempted_by = match by_deadline {
            true => Arrivals::DeadlineBefore(deadline_ns),
            false => Arrivals::Anybody,
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
        let guaranteed = self.guaranteed.peek().map(|(handle, _)| handle);
        let handle = guaranteed.or_else(|| self.rest.peek().map(|(handle, _)| handle))?;
        let tenant = handle.index();
        let (task, _) = self.ready.pop(tenant).expect("the tenant has a ready task");
        let mut charged = None;
        if guaranteed.is_some()
            && let Some(account) = &mut self.accounts[tenant]
        {
            account.refresh(now);
            self.charged = Some(task);
            charged = Some(*account);
        }
        self.classify(now, tenant);
        if !self.params.preemption {
            return Some(Slice::to_completion(task));
        }
        Some(self.slice(now, task, charged))
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
        let reservations = self.accounts.iter().flatten().map(Account::reservation);
        let mut periods = reservations.map(|reservation| reservation.period_ns);
        let first = periods.next();
        self.has_reservations = first.is_some();
        self.has_one_period = periods.all(|period_ns| Some(period_ns) == first);
        for tenant in 0..self.accounts.len() {
            self.classify(now, tenant);
        }
    }
}
