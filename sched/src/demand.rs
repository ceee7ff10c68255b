//! Demand bounds: whether reservations fit on a processor, and which requests a reservation can carry.
//!
//! Baruah, Rosier & Howell, "Algorithms and Complexity Concerning the Preemptive Scheduling of Hard-Real-Time, Periodic
//! Tasks on One Processor" (Real-Time Systems 1990): under earliest deadline first everything is in time if, for every
//! t, the work that comes and is due within any interval of length t is at most t. Reservations are due at the end of
//! their period, so each demands ⌊t/period⌋ × budget, and the sum is at most t for every t if and only if the sum of
//! budget/period is at most 1: [`check`].
//!
//! Requests come when they want. [`Bandwidth`] gives each a server deadline as a constant bandwidth server does (Abeni
//! & Buttazzo, "Integrating Multimedia Applications in Hard Real-Time Systems", RTSS 1998): from the later of now and
//! the tenant's last server deadline on, at the tenant's rate. Between any two moments a tenant's requests then never
//! demand more than its rate, whatever their number, and the bound above holds for all tenants together. A request
//! whose own deadline is before the server's is one that the reservation cannot carry.

use core::fmt;

use crate::policy::Nanos;
use crate::tenant::{Reservation, Tenant};

/// Shares of a processor are counted in this unit, rounded up, so that sums of them never promise too much.
const WHOLE: u128 = 1 << 64;

/// The reservations do not fit on a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overcommitted {
    /// The numbers of this tenant's reservation are out of bounds.
    Invalid {
        /// Index of the tenant.
        tenant: usize,
    },
    /// With this tenant and those before it, more than the whole processor is reserved.
    Total {
        /// Index of the tenant.
        tenant: usize,
    },
}

impl fmt::Display for Overcommitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { tenant } => {
                write!(f, "the reservation of tenant {tenant} is out of bounds")
            }
            Self::Total { tenant } => write!(
                f,
                "the reservations of tenants 0 to {tenant} are more than all workers together can do"
            ),
        }
    }
}

impl core::error::Error for Overcommitted {}

/// Checks that one worker can carry all these reservations, which are its shares of them.
///
/// # Errors
///
/// [`Overcommitted`], naming the first tenant that does not fit.
pub fn check(tenants: &[Tenant]) -> Result<(), Overcommitted> {
    let mut total = 0_u128;
    for (tenant, reservation) in tenants.iter().map(|tenant| tenant.reservation).enumerate() {
        let Some(reservation) = reservation else {
            continue;
        };
        if !reservation.is_valid() {
            return Err(Overcommitted::Invalid { tenant });
        }
        let budget = u128::from(reservation.budget_ns) * WHOLE;
        total = total.saturating_add(budget.div_ceil(u128::from(reservation.period_ns)));
        // Rounding up may exceed a whole by one unit for each tenant, where the exact sum is one.
        if total > WHOLE + tenants.len() as u128 {
            return Err(Overcommitted::Total { tenant });
        }
    }
    Ok(())
}

/// The work that reservations demand within an interval of `t_ns` at most, all of it due at its end.
#[must_use]
pub fn bound_ns(tenants: &[Tenant], t_ns: Nanos) -> u128 {
    let reservations = tenants.iter().filter_map(|tenant| tenant.reservation);
    let demands = reservations.map(
        |Reservation {
             budget_ns,
             period_ns,
         }| { u128::from(t_ns / period_ns) * u128::from(budget_ns) },
    );
    demands.sum()
}

/// What a tenant's reservation has promised so far.
#[derive(Clone, Copy, Debug)]
pub struct Bandwidth {
    reservation: Reservation,
    /// The last server deadline given.
    last_ns: Nanos,
}

impl Bandwidth {
    /// Nothing promised yet.
    #[must_use]
    pub const fn new(reservation: Reservation) -> Self {
        Self {
            reservation,
            last_ns: 0,
        }
    }

    /// The server deadline of a request that comes now and executes for `expected_ns`. `None`, and nothing is
    /// promised, if that is unknown (0) or the reservation cannot carry it by `deadline_ns`.
    #[must_use = "the reservation has promised it"]
    pub fn promise(&mut self, now: Nanos, expected_ns: Nanos, deadline_ns: Nanos) -> Option<Nanos> {
        if expected_ns == 0 {
            return None;
        }
        let Reservation {
            budget_ns,
            period_ns,
        } = self.reservation;
        let length =
            (u128::from(expected_ns) * u128::from(period_ns)).div_ceil(u128::from(budget_ns));
        let length = Nanos::try_from(length).ok()?;
        let due_ns = now.max(self.last_ns).checked_add(length)?;
        if due_ns > deadline_ns {
            return None;
        }
        self.last_ns = due_ns;
        Some(due_ns)
    }

    /// The reservation.
    #[must_use]
    pub const fn reservation(&self) -> Reservation {
        self.reservation
    }

    /// The last server deadline given: before it, a new request is not carried from its arrival on.
    #[must_use]
    pub const fn last_ns(&self) -> Nanos {
        self.last_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn tenants(reservations: &[(Nanos, Nanos)]) -> Vec<Tenant> {
        let tenants = reservations.iter().map(|&(budget_ns, period_ns)| Tenant {
            weight: 1,
            reservation: Some(Reservation {
                budget_ns,
                period_ns,
            }),
        });
        tenants.collect()
    }

    #[test]
    fn reservations_fit_or_not() {
        use Overcommitted::{Invalid, Total};
        let rows: &[(&[(Nanos, Nanos)], _)] = &[
            (&[], Ok(())),
            (&[(5_000, 5_000)], Ok(())),
            (&[(5_001, 5_000)], Err(Total { tenant: 0 })),
            (&[(1_000, 3_000); 3], Ok(())),
            (
                &[(1_000, 3_000), (2_000, 3_000), (1, 3_600_000_000_000)],
                Err(Total { tenant: 2 }),
            ),
            (&[(1_000, 7_000), (1_000, 11_000), (59_000, 77_000)], Ok(())),
            (
                &[(1_000, 7_000), (1_000, 11_000), (59_001, 77_000)],
                Err(Total { tenant: 2 }),
            ),
            (&[(0, 5_000)], Err(Invalid { tenant: 0 })),
            (&[(1, 5_000), (1, 999)], Err(Invalid { tenant: 1 })),
        ];
        for (reservations, expected) in rows {
            assert_eq!(check(&tenants(reservations)), *expected, "{reservations:?}");
        }
    }

    /// What fits demands no more than there is, in any interval; what does not fit demands more in some.
    #[test]
    fn the_check_is_the_bound() {
        for budgets in 0..6_u64.pow(3) {
            let budgets = [budgets % 6, budgets / 6 % 6, budgets / 36].map(|b| (b + 1) * 500);
            let tenants = tenants(&[
                (budgets[0], 2_000),
                (budgets[1], 3_000),
                (budgets[2], 5_000),
            ]);
            // All bounds are reached at multiples of 1,000, and repeat after 30,000.
            let within = (1..=30).all(|k| bound_ns(&tenants, k * 1_000) <= u128::from(k * 1_000));
            assert_eq!(check(&tenants).is_ok(), within, "{budgets:?}");
        }
    }

    #[test]
    fn promises_follow_each_other_at_the_tenants_rate() {
        let mut bandwidth = Bandwidth::new(Reservation {
            budget_ns: 1_000,
            period_ns: 4_000,
        });
        // now, expected, deadline, server deadline
        let rows = [
            (0, 10, 39, None),
            (0, 10, 40, Some(40)),
            (20, 10, 79, None),
            (20, 10, u64::MAX, Some(80)),
            (100, 0, u64::MAX, None),
            (100, 1, 104, Some(104)),
            (u64::MAX - 3, 1, u64::MAX, None),
            (100, u64::MAX, u64::MAX, None),
        ];
        for (now, expected_ns, deadline_ns, due_ns) in rows {
            assert_eq!(bandwidth.promise(now, expected_ns, deadline_ns), due_ns);
        }
    }
}
