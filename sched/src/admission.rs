//! Admission: whether a request is taken at all, decided before anything is spent on it.
//!
//! Three questions are asked, and each has a rule of its own: whether the tenant has budget for it ([`budgets`]; if not,
//! 429), whether it leaves places to the other tenants ([`thresholds`]; if not, 429), and whether the server has room
//! ([`utilisation`], [`delay`], [`demand`], or no rule; if not, 503). A request that is
//! taken has a [`Receipt`] for the capacity that it holds. It cannot be copied, and [`Admission::end`] consumes it, however
//! the request ends: answered, trapped, killed, dropped before it began, or refused by the dispatcher after all. Who
//! loses one loses the capacity, so the compiler warns of a receipt that is not used.
//!
//! A refusal says after what time it would be reasonable to come again. That is what the rule expects as things stand,
//! and neither a promise nor a constant. Every operation takes a fixed number of steps and allocates nothing; tables of
//! tenants are made at the beginning.

use crate::policy::Nanos;
use crate::scheduler::Fact;
use crate::tenant::Tenant;

pub mod budgets;
pub mod delay;
pub mod demand;
pub mod thresholds;
pub mod utilisation;

pub use budgets::Budgets;
pub use delay::QueueDelay;
pub use demand::DemandBound;
pub use thresholds::Thresholds;
pub use utilisation::Utilisation;

/// What is looked at of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The tenant, as an index into the configuration.
    pub tenant: u16,
    /// How long it is expected to execute; 0 for unknown.
    pub expected_ns: Nanos,
    /// When it ought to be done, absolute; `u64::MAX` for no deadline.
    pub deadline_ns: Nanos,
}

/// What became of the question.
#[must_use = "a receipt that is dropped is capacity lost"]
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken.
    Admit(Receipt),
    /// The tenant has used up its budget, or its part of the places: 429.
    RefuseTenant {
        /// When there should be enough again, from now, in nanoseconds.
        retry_after_ns: Nanos,
    },
    /// The server has no room: 503.
    RefuseServer {
        /// When there should be enough again, from now, in nanoseconds.
        retry_after_ns: Nanos,
    },
}

/// The capacity that a request holds until it ends.
#[must_use = "the capacity is given back with it"]
#[derive(Debug, PartialEq, Eq)]
pub struct Receipt {
    tenant: u16,
    admitted_ns: Nanos,
    expected_ns: Nanos,
    /// Of [`utilisation::WORKER`].
    share: u64,
    is_started: bool,
    is_guaranteed: bool,
}

impl Receipt {
    /// A reservation carries it ([`demand`]); always `false` under the other rules.
    #[must_use]
    pub const fn is_guaranteed(&self) -> bool {
        self.is_guaranteed
    }
}

/// The rule by which the server has room.
#[derive(Clone, Debug, Default)]
pub enum Rule {
    /// It always has.
    #[default]
    None,
    /// While the sum of execution/deadline is below the workers' capacity.
    Utilisation(Utilisation),
    /// While requests do not wait too long before they begin.
    Delay(QueueDelay),
    /// What reservations carry always; the rest by utilisation.
    Demand(DemandBound),
}

/// What a rule is made of. One ignores what it has no use for.
#[derive(Clone, Copy, Debug)]
pub struct RuleParams<'a> {
    /// The tenants; reservations are those of all workers together.
    pub tenants: &'a [Tenant],
    /// The number of workers. At least 1.
    pub workers: u32,
    /// By utilisation: how many thousandths of the workers are kept in reserve. Below 1,000.
    pub reserve_permille: u32,
    /// By delay: waits up to this are good. At least 1.
    pub target_ns: Nanos,
    /// By delay: waits above it are, for so long. At least the target.
    pub interval_ns: Nanos,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct NamedRule {
    /// The name by which it is chosen.
    pub name: &'static str,
    /// What it looks at.
    pub uses: &'static [Fact],
    /// Makes it.
    pub build: fn(&RuleParams<'_>) -> Rule,
}

/// All rules; the first is the default.
pub static RULES: &[NamedRule] = &[
    NamedRule {
        name: "none",
        uses: &[],
        build: |_| Rule::None,
    },
    NamedRule {
        name: "utilisation",
        uses: &[Fact::Deadline, Fact::Execution],
        build: |params| Rule::Utilisation(room(params)),
    },
    NamedRule {
        name: "delay",
        uses: &[],
        build: |params| Rule::Delay(QueueDelay::new(params.target_ns, params.interval_ns)),
    },
    NamedRule {
        name: "demand",
        uses: &[Fact::Deadline, Fact::Execution, Fact::Reservation],
        build: |params| Rule::Demand(DemandBound::new(params.tenants, room(params))),
    },
];

fn room(params: &RuleParams<'_>) -> Utilisation {
    Utilisation::new(params.workers, params.reserve_permille)
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    budgets: Option<Budgets>,
    thresholds: Option<Thresholds>,
    rule: Rule,
}

impl Admission {
    /// By these rules; `None`: tenants have no budgets, and any may have all places. By demand, what reservations carry is
    /// taken whatever else there is, so that there are no thresholds.
    #[must_use]
    pub fn new(budgets: Option<Budgets>, thresholds: Option<Thresholds>, rule: Rule) -> Self {
        Self {
            budgets,
            thresholds: thresholds.filter(|_| !matches!(rule, Rule::Demand(_))),
            rule,
        }
    }

    /// Decides about a request that came now.
    pub fn decide(&mut self, now: Nanos, request: &Request) -> Verdict {
        if let Some(budgets) = &mut self.budgets
            && let Err(retry_after_ns) = budgets.check(now, request)
        {
            return Verdict::RefuseTenant { retry_after_ns };
        }
        if let Some(thresholds) = &self.thresholds
            && let Err(retry_after_ns) = thresholds.check(request.tenant)
        {
            return Verdict::RefuseTenant { retry_after_ns };
        }
        let room = match &mut self.rule {
            Rule::None => Ok((0, false)),
            Rule::Utilisation(rule) => rule.take(now, request).map(|share| (share, false)),
            Rule::Delay(rule) => rule.take().map(|()| (0, false)),
            Rule::Demand(rule) => rule.take(now, request),
        };
        let (share, is_guaranteed) = match room {
            Ok(room) => room,
            Err(retry_after_ns) => return Verdict::RefuseServer { retry_after_ns },
        };
        if let Some(budgets) = &mut self.budgets {
            budgets.take(request);
        }
        if let Some(thresholds) = &mut self.thresholds {
            thresholds.take(request.tenant);
        }
        Verdict::Admit(Receipt {
            tenant: request.tenant,
            admitted_ns: now,
            expected_ns: request.expected_ns,
            share,
            is_started: false,
            is_guaranteed,
        })
    }

    /// Whether it wants to know at once when requests begin; else it is soon enough when they end.
    #[must_use]
    pub const fn wants_starts(&self) -> bool {
        matches!(self.rule, Rule::Delay(_))
    }

    /// A request begins to execute now, for the first time.
    pub fn started(&mut self, now: Nanos, receipt: &mut Receipt) {
        if core::mem::replace(&mut receipt.is_started, true) {
            return;
        }
        if let Rule::Delay(rule) = &mut self.rule {
            rule.started(now, now.saturating_sub(receipt.admitted_ns));
        }
    }

    /// A request is over, whatever became of it; it executed for so long, 0 if it did not begin.
    pub fn end(&mut self, now: Nanos, receipt: Receipt, ran_ns: Nanos) {
        if let Some(budgets) = &mut self.budgets {
            budgets.settle(now, receipt.tenant, receipt.expected_ns, ran_ns);
        }
        if let Some(thresholds) = &mut self.thresholds {
            thresholds.give(receipt.tenant);
        }
        match &mut self.rule {
            Rule::None => {}
            Rule::Utilisation(rule) => rule.give(receipt.share, receipt.expected_ns),
            Rule::Delay(rule) if !receipt.is_started => rule.left(),
            Rule::Delay(_) => {}
            Rule::Demand(rule) => rule.give(receipt.share, receipt.expected_ns),
        }
    }

    /// Whether the rules know of no request that they hold capacity for.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let gave_places = self.thresholds.as_ref().is_none_or(Thresholds::is_idle);
        gave_places && self.gave_room()
    }

    const fn gave_room(&self) -> bool {
        match &self.rule {
            Rule::None => true,
            Rule::Utilisation(rule) => rule.is_idle(),
            Rule::Delay(rule) => rule.queued() == 0,
            Rule::Demand(rule) => rule.is_idle(),
        }
    }

    /// The shares of the workers that are given away, if the rule gives any.
    #[must_use]
    pub const fn room(&self) -> Option<&Utilisation> {
        match &self.rule {
            Rule::Utilisation(room) => Some(room),
            Rule::Demand(rule) => Some(rule.room()),
            Rule::None | Rule::Delay(_) => None,
        }
    }

    /// The tenants' budgets.
    #[must_use]
    pub const fn budgets(&self) -> Option<&Budgets> {
        self.budgets.as_ref()
    }
}
