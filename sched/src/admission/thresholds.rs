//! How many requests of a tenant are on the server at once: dynamic thresholds (Choudhury & Hahne, IEEE/ACM Transactions
//! on Networking 6(2), 1998).
//!
//! A policy that is fair to tenants can only choose among the requests that it sees. If one tenant may fill all places,
//! requests of the others wait, or are refused, before any policy is asked. So a tenant is refused once it has
//! [`FACTOR`] times as many requests as there are places free: alone it gets all but one place in `FACTOR + 1` (of five
//! places or more), and the more tenants have much to do, the less each of them. Nothing is reserved for anybody; who asks
//! for little finds a place unless very many ask for much at once.
//!
//! A place is free as soon as a request ends, and how soon that is nobody knows here: a refusal says the least.

use alloc::vec;
use alloc::vec::Vec;

use crate::policy::Nanos;
use crate::scheduler::{Fact, Scheduler};

/// How many times the free places a tenant may have.
pub const FACTOR: u64 = 4;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Thresholds {
    /// By tenant.
    held: Vec<u32>,
    free: u32,
}

impl Thresholds {
    /// For so many tenants, and so many requests that the workers' policies see at once.
    #[must_use]
    pub fn new(tenants: usize, places: u32) -> Self {
        Self {
            held: vec![0; tenants],
            free: places,
        }
    }

    /// What a policy needs: nothing if there is only one tenant, or if it knows no tenants.
    #[must_use]
    pub fn of(scheduler: &Scheduler, tenants: usize, places: u32) -> Option<Self> {
        let knows_tenants = scheduler.uses(Fact::Weight) || scheduler.uses(Fact::Reservation);
        (knows_tenants && tenants > 1).then(|| Self::new(tenants, places))
    }

    /// Requests of a tenant that are on the server.
    #[must_use]
    pub fn held(&self, tenant: u16) -> u32 {
        self.held.get(usize::from(tenant)).copied().unwrap_or(0)
    }

    /// Whether nobody is on the server.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.held.iter().all(|held| *held == 0)
    }

    pub(super) fn check(&self, tenant: u16) -> Result<(), Nanos> {
        let held = u64::from(self.held(tenant));
        match held < FACTOR * u64::from(self.free) {
            true => Ok(()),
            false => Err(1),
        }
    }

    pub(super) fn take(&mut self, tenant: u16) {
        if let Some(held) = self.held.get_mut(usize::from(tenant)) {
            *held += 1;
            self.free -= 1;
        }
    }

    pub(super) fn give(&mut self, tenant: u16) {
        if let Some(held) = self.held.get_mut(usize::from(tenant)) {
            *held -= 1;
            self.free += 1;
        }
    }
}
