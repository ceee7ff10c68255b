//! Tenants as policies and admission see them: a weight, a reservation, and the account of what is left of it.
//!
//! A reservation is a server in the sense of the theory of real-time systems: so much execution in every period.
//! Periods begin at the multiples of their length. [`Account`] keeps what is left as a deferrable server does
//! (Strosnider, Lehoczky & Sha, "The Deferrable Server Algorithm for Enhanced Aperiodic Responsiveness in Hard
//! Real-Time Environments", IEEE ToC 1995): the budget is kept through the period until it is used, refilled to its
//! capacity at the next, and never saved up. What was used beyond it is a debt, paid by the refills that follow.
//!
//! Nothing here is shared between workers. A reservation for a whole server is divided among them by
//! [`Reservation::share`], and each keeps its own account.

use crate::limits::{PERIOD_MAX_NS, PERIOD_MIN_NS, WEIGHT_DEFAULT};
use crate::policy::Nanos;

/// What is known of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its share against those of the others, from 1 to [`crate::limits::WEIGHT_MAX`].
    pub weight: u32,
    /// What it is guaranteed.
    pub reservation: Option<Reservation>,
}

impl Default for Tenant {
    fn default() -> Self {
        Self {
            weight: WEIGHT_DEFAULT,
            reservation: None,
        }
    }
}

/// So much execution in every period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The execution, in nanoseconds. At least 1.
    pub budget_ns: Nanos,
    /// The period, from [`PERIOD_MIN_NS`] to [`PERIOD_MAX_NS`].
    pub period_ns: Nanos,
}

impl Reservation {
    /// What one of so many workers owes of it; the fraction of a nanosecond that is left over is not owed.
    ///
    /// # Panics
    ///
    /// If there are no workers.
    #[must_use]
    pub const fn share(self, workers: u32) -> Self {
        Self {
            budget_ns: self.budget_ns / workers as u64,
            period_ns: self.period_ns,
        }
    }

    /// Whether its numbers are within their bounds.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.budget_ns > 0
            && self.budget_ns <= PERIOD_MAX_NS
            && self.period_ns >= PERIOD_MIN_NS
            && self.period_ns <= PERIOD_MAX_NS
    }
}

/// What is left of a reservation.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    reservation: Reservation,
    /// Negative: a debt.
    left_ns: i64,
    /// Which period it was filled for last.
    period: u64,
    /// Nothing was left of the period before.
    overran: bool,
}

impl Account {
    /// A full account.
    ///
    /// # Panics
    ///
    /// If the reservation is not valid.
    #[must_use]
    pub fn new(now: Nanos, reservation: Reservation) -> Self {
        assert!(reservation.is_valid(), "{reservation:?} is out of bounds");
        Self {
            reservation,
            left_ns: reservation.budget_ns as i64,
            period: now / reservation.period_ns,
            overran: false,
        }
    }

    /// Refills it if a period has begun since the last time, once for each.
    pub fn refresh(&mut self, now: Nanos) {
        let period = now / self.reservation.period_ns;
        let refills = period.saturating_sub(self.period);
        if refills > 0 {
            self.overran = self.after_refills(refills - 1) <= 0;
            self.left_ns = self.after_refills(refills);
            self.period = period;
        }
    }

    /// Charges a slice of `ran_ns` that ended at `now`: what of it lies before the last refill goes to the account as
    /// it was, the rest to the new one. The debt stops at `debt_max_ns`: what a slice ran beyond that, nobody else
    /// was waiting for.
    pub fn charge(&mut self, now: Nanos, ran_ns: Nanos, debt_max_ns: Nanos) {
        let in_this_period_ns = ran_ns.min(now % self.reservation.period_ns);
        let refill_comes = now / self.reservation.period_ns > self.period;
        let before_ns = if refill_comes {
            ran_ns - in_this_period_ns
        } else {
            0
        };
        self.take(before_ns, debt_max_ns);
        self.refresh(now);
        self.take(ran_ns - before_ns, debt_max_ns);
    }

    /// Takes from the account; the debt stops at `debt_max_ns`.
    pub fn take(&mut self, taken_ns: Nanos, debt_max_ns: Nanos) {
        let bounded = |ns: Nanos| i64::try_from(ns).unwrap_or(i64::MAX);
        let floor_ns = (-bounded(debt_max_ns)).min(self.left_ns);
        self.left_ns = self.left_ns.saturating_sub(bounded(taken_ns)).max(floor_ns);
    }

    /// Puts something back, to the capacity at most.
    pub fn give(&mut self, given_ns: Nanos) {
        let given_ns = i64::try_from(given_ns).unwrap_or(i64::MAX);
        let capacity_ns = self.reservation.budget_ns as i64;
        self.left_ns = self.left_ns.saturating_add(given_ns).min(capacity_ns);
    }

    /// What is left, as of the last refresh; negative is a debt.
    #[must_use]
    pub const fn left_ns(&self) -> i64 {
        self.left_ns
    }

    /// Whether nothing was left at the end of the period before, as of the last refresh: its tenant asks for all that it
    /// is owed, or for more.
    #[must_use]
    pub const fn overran(&self) -> bool {
        self.overran
    }

    /// The reservation.
    #[must_use]
    pub const fn reservation(&self) -> Reservation {
        self.reservation
    }

    /// When it is refilled next, as of the last refresh.
    #[must_use]
    pub const fn refill_ns(&self) -> Nanos {
        (self.period + 1).saturating_mul(self.reservation.period_ns)
    }

    /// When so much will be left if nothing more is taken, as of the last refresh. `None`: never, as it is more than
    /// the capacity.
    #[must_use]
    pub fn available_ns(&self, needed_ns: Nanos) -> Option<Nanos> {
        if needed_ns > self.reservation.budget_ns {
            return None;
        }
        let missing_ns = i128::from(needed_ns) - i128::from(self.left_ns);
        let missing_ns = u128::try_from(missing_ns).unwrap_or(0);
        let refills = missing_ns.div_ceil(u128::from(self.reservation.budget_ns)) as u64;
        Some((self.period + refills).saturating_mul(self.reservation.period_ns))
    }

    fn after_refills(&self, refills: u64) -> i64 {
        let capacity_ns = self.reservation.budget_ns as i64;
        let refills = i64::try_from(refills).unwrap_or(i64::MAX);
        let filled_ns = capacity_ns.saturating_mul(refills);
        self.left_ns.saturating_add(filled_ns).min(capacity_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const R: Reservation = Reservation {
        budget_ns: 300,
        period_ns: 1_000,
    };

    /// Slices charged one after the other: their end, length, and what is left then, with debts up to 100.
    fn check(slices: &[(Nanos, Nanos, i64)]) {
        let mut account = Account::new(0, R);
        for (row, &(now, ran_ns, left_ns)) in slices.iter().enumerate() {
            account.charge(now, ran_ns, 100);
            assert_eq!(account.left_ns(), left_ns, "row {row} of {slices:?}");
            assert!(account.refill_ns() > now && account.refill_ns() <= now + 1_000);
        }
    }

    #[test]
    fn budgets_are_refilled_and_debts_are_paid() {
        check(&[(100, 100, 200), (999, 100, 100), (1_000, 0, 300)]);
        // The debt is paid by the next refill, and is bounded.
        check(&[(350, 350, -50), (1_000, 0, 250)]);
        check(&[(900, 900, -100), (1_000, 0, 200)]);
        // Nothing is saved up, and several periods pay a debt together.
        check(&[(5_500, 0, 300), (9_999, 0, 300)]);
        check(&[(400, 400, -100), (2_000, 0, 300)]);
        // A slice across the refill is charged to both.
        check(&[(1_050, 250, 250), (1_100, 50, 200)]);
        check(&[(1_050, 700, 150)]);
        // … and one across several periods to the last.
        check(&[(3_010, 2_500, 290)]);
    }

    #[test]
    fn who_used_up_the_last_budget_is_known() {
        // The end of a slice and its length, when it is asked, and whether it overran.
        let rows = [
            (0, 0, 0, false),
            (300, 300, 999, false),
            (300, 300, 1_000, true),
            (299, 299, 1_000, false),
            (350, 350, 1_999, true),
            (350, 350, 2_000, false),
            // A period in which the debt took all counts too.
            (900, 900, 2_000, true),
            (900, 900, 3_000, false),
        ];
        for (now, ran_ns, asked_ns, overran) in rows {
            let mut account = Account::new(0, R);
            account.charge(now, ran_ns, 300);
            account.refresh(asked_ns);
            assert_eq!(account.overran(), overran, "{ran_ns}, {asked_ns}");
        }
    }

    #[test]
    fn what_is_put_back_never_exceeds_the_capacity() {
        let mut account = Account::new(0, R);
        account.take(250, 0);
        account.give(100);
        assert_eq!(account.left_ns(), 150);
        account.give(u64::MAX);
        assert_eq!(account.left_ns(), 300);
        account.take(u64::MAX, u64::MAX);
        account.give(1);
        assert!(account.left_ns() < 0);
    }

    #[test]
    fn when_enough_will_be_left() {
        // taken, needed, when
        let rows = [
            (0, 300, Some(0)),
            (0, 301, None),
            (200, 100, Some(0)),
            (200, 101, Some(1_000)),
            (400, 200, Some(1_000)),
            (400, 201, Some(2_000)),
            (1_200, 300, Some(4_000)),
        ];
        for (taken_ns, needed_ns, expected) in rows {
            let mut account = Account::new(0, R);
            account.take(taken_ns, 10_000);
            assert_eq!(account.available_ns(needed_ns), expected);
            let Some(when_ns) = expected else { continue };
            account.refresh(when_ns);
            assert!(account.left_ns() >= needed_ns as i64, "{taken_ns}");
        }
    }

    #[test]
    fn a_share_is_never_more_than_its_part() {
        for workers in 1..20 {
            let share = R.share(workers);
            assert!(share.budget_ns * u64::from(workers) <= R.budget_ns);
            assert_eq!(share.period_ns, R.period_ns);
        }
    }
}
