//! Demand bounds at the door, the third class of SLEdge's scheme: a request is guaranteed, best effort, or denied.
//!
//! What its tenant's reservation can carry by its deadline is guaranteed, and taken whatever else there is
//! ([`crate::demand`]). Everything else is best effort, and taken while all requests together, the guaranteed included,
//! leave room by [`super::utilisation`]; beyond, it is denied.
//!
//! Reservations are those of the whole server. A request runs on one worker however large its tenant's reservation, so
//! it is guaranteed only if that is soon enough. The workers promise anew, each by its share ([`crate::mtdbf`]); behind a
//! dispatcher that spreads a tenant's requests unevenly, not all that was guaranteed here is there.

use alloc::vec::Vec;

use super::{Request, Utilisation};
use crate::demand::Bandwidth;
use crate::policy::Nanos;
use crate::tenant::Tenant;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct DemandBound {
    /// By tenant; `None` without a reservation.
    bandwidths: Vec<Option<Bandwidth>>,
    held: Utilisation,
}

impl DemandBound {
    /// For these tenants, whose reservations' [`share`](crate::Reservation::share)s were checked, with that room for all.
    #[must_use]
    pub fn new(tenants: &[Tenant], room: Utilisation) -> Self {
        let reservations = tenants.iter().map(|tenant| tenant.reservation);
        Self {
            bandwidths: reservations
                .map(|reservation| reservation.map(Bandwidth::new))
                .collect(),
            held: room,
        }
    }

    /// The request's share, and whether it is guaranteed.
    pub(super) fn take(&mut self, now: Nanos, request: &Request) -> Result<(u64, bool), Nanos> {
        let is_soon_enough = now.saturating_add(request.expected_ns) <= request.deadline_ns;
        let bandwidth = self.bandwidths.get_mut(usize::from(request.tenant));
        let promise = bandwidth
            .and_then(Option::as_mut)
            .filter(|_| is_soon_enough)
            .and_then(|bandwidth| bandwidth.promise(now, request.expected_ns, request.deadline_ns));
        if promise.is_none() {
            return Ok((self.held.take(now, request)?, false));
        }
        let share = self.held.share(now, request);
        self.held.hold(share, request.expected_ns);
        Ok((share, true))
    }

    pub(super) fn give(&mut self, share: u64, expected_ns: Nanos) {
        self.held.give(share, expected_ns);
    }

    pub(super) const fn room(&self) -> &Utilisation {
        &self.held
    }

    pub(super) const fn is_idle(&self) -> bool {
        self.held.is_idle()
    }
}
