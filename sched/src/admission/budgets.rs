//! Tenants' budgets: no tenant has more executed in a period than its budget, whatever the load of the others.
//!
//! The budget is a cap here, where the same numbers are a guarantee to [`crate::mtds`]. When a request is taken, its
//! expected execution is; when it ends, the account is settled with what it really was. So a burst is refused before it
//! is executed, and estimates that were too low are a debt, which the next periods pay. A request that needs more than
//! a whole budget is taken when the account is full. Of an unknown execution nothing is taken beforehand: such requests
//! are taken while anything is left.
//!
//! A refusal says when the period begins by which enough will have been refilled, if the tenant asks for nothing else.
//! What its requests give back before that is not counted on.

use alloc::vec::Vec;

use super::Request;
use crate::policy::Nanos;
use crate::tenant::{Account, Tenant};

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Budgets {
    /// By tenant; `None` without a budget.
    accounts: Vec<Option<Account>>,
}

impl Budgets {
    /// Full accounts for these tenants. Tenants that are not among them have no budget.
    ///
    /// # Panics
    ///
    /// If a reservation is not valid.
    #[must_use]
    pub fn new(now: Nanos, tenants: &[Tenant]) -> Self {
        let reservations = tenants.iter().map(|tenant| tenant.reservation);
        Self {
            accounts: reservations
                .map(|reservation| Some(Account::new(now, reservation?)))
                .collect(),
        }
    }

    /// What is left to a tenant as of the last look, in nanoseconds; `None` without a budget.
    #[must_use]
    pub fn left_ns(&self, tenant: u16) -> Option<i64> {
        let account = self.accounts.get(usize::from(tenant))?.as_ref()?;
        Some(account.left_ns())
    }

    /// Whether there is enough for a request; if not, after what time.
    pub(super) fn check(&mut self, now: Nanos, request: &Request) -> Result<(), Nanos> {
        let Some(account) = self.account(request.tenant) else {
            return Ok(());
        };
        account.refresh(now);
        let capacity_ns = account.reservation().budget_ns;
        let needed_ns = request.expected_ns.clamp(1, capacity_ns);
        if account.left_ns() >= needed_ns as i64 {
            return Ok(());
        }
        let when_ns = account.available_ns(needed_ns);
        Err(when_ns.map_or(Nanos::MAX, |when_ns| when_ns.saturating_sub(now).max(1)))
    }

    pub(super) fn take(&mut self, request: &Request) {
        if let Some(account) = self.account(request.tenant) {
            account.take(request.expected_ns, Nanos::MAX);
        }
    }

    pub(super) fn settle(&mut self, now: Nanos, tenant: u16, expected_ns: Nanos, ran_ns: Nanos) {
        let Some(account) = self.account(tenant) else {
            return;
        };
        account.refresh(now);
        match ran_ns.checked_sub(expected_ns) {
            Some(over_ns) => account.take(over_ns, Nanos::MAX),
            None => account.give(expected_ns - ran_ns),
        }
    }

    fn account(&mut self, tenant: u16) -> Option<&mut Account> {
        self.accounts.get_mut(usize::from(tenant))?.as_mut()
    }
}
