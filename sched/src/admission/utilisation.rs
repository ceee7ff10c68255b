//! SLEdge's rule: the sum of execution/deadline over all requests that are not done stays below the workers' capacity
//! without a reserve.
//!
//! Abdelzaher, Sharma & Lu, "A Utilization Bound for Aperiodic Task Scheduling" (IEEE ToC 2004), call the sum synthetic
//! utilisation: on one worker under EDF, 1 is enough for all deadlines. On several it is not (Dhall & Liu 1978), and
//! estimates are wrong, so SLEdge keeps a fifth in reserve: a rule of thumb, and no proof.
//!
//! Shares are integers, in units of one worker's 2³², rounded up. No request is counted for more than the whole of a
//! worker, or than the capacity: it cannot run faster, and one that is too long for its deadline is still served where
//! nobody else is there. What has no deadline or an unknown execution holds nothing.
//!
//! A refusal expects that shares are freed as work is done: if a tenth of what is held is in the way, after a tenth of
//! the work that is held, divided among the workers.

use super::Request;
use crate::policy::Nanos;

/// One worker, wholly used.
pub const WORKER: u64 = 1 << 32;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Utilisation {
    workers: u32,
    capacity: u64,
    held: u64,
    /// The expected execution of what holds shares.
    work_ns: u128,
}

impl Utilisation {
    /// For so many workers, of which so many thousandths are kept in reserve.
    ///
    /// # Panics
    ///
    /// If there are no workers, or nothing but the reserve.
    #[must_use]
    pub fn new(workers: u32, reserve_permille: u32) -> Self {
        assert!(workers > 0 && reserve_permille < 1_000, "no capacity");
        let usable = u64::from(1_000 - reserve_permille);
        Self {
            workers,
            capacity: u64::from(workers) * (WORKER / 1_000 * usable),
            held: 0,
            work_ns: 0,
        }
    }

    /// Takes a share for a request; if there is not enough, says when there should be.
    pub(super) fn take(&mut self, now: Nanos, request: &Request) -> Result<u64, Nanos> {
        let share = self.share(now, request);
        let excess = (self.held + share).saturating_sub(self.capacity);
        if excess > 0 {
            return Err(self.freed_after_ns(excess));
        }
        self.hold(share, request.expected_ns);
        Ok(share)
    }

    /// Counts a share, whether there is room or not.
    pub(super) fn hold(&mut self, share: u64, expected_ns: Nanos) {
        if share > 0 {
            self.held += share;
            self.work_ns += u128::from(expected_ns);
        }
    }

    pub(super) fn give(&mut self, share: u64, expected_ns: Nanos) {
        if share > 0 {
            self.held -= share;
            self.work_ns -= u128::from(expected_ns);
        }
    }

    pub(super) fn share(&self, now: Nanos, request: &Request) -> u64 {
        if request.deadline_ns == Nanos::MAX {
            return 0;
        }
        let allowed_ns = request.deadline_ns.saturating_sub(now).max(1);
        let demand = u128::from(request.expected_ns) * u128::from(WORKER);
        let share = demand.div_ceil(u128::from(allowed_ns));
        share.min(u128::from(WORKER.min(self.capacity))) as u64
    }

    fn freed_after_ns(&self, excess: u64) -> Nanos {
        // No share is above the capacity, so something is held where there is an excess.
        let work_ns = self.work_ns / u128::from(self.workers);
        let part_ns = work_ns * u128::from(excess) / u128::from(self.held);
        Nanos::try_from(part_ns).unwrap_or(Nanos::MAX).max(1)
    }

    /// What is held, in units of [`WORKER`].
    #[must_use]
    pub const fn held(&self) -> u64 {
        self.held
    }

    /// What may be held, in units of [`WORKER`].
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(super) const fn is_idle(&self) -> bool {
        self.held == 0 && self.work_ns == 0
    }
}
