//! What may be seen of a running server from any thread, without disturbing it.

use super::flight::Flight;
use super::link::ListenerSleep;
use super::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// See the module's text.
#[derive(Clone)]
pub struct Observed {
    pub(super) metrics: Arc<Metrics>,
    pub(super) sleep: Arc<ListenerSleep>,
    pub(super) draining: Arc<AtomicBool>,
    pub(super) flight: Flight,
}

impl Observed {
    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What its threads noted last.
    #[must_use]
    pub fn flight(&self) -> &Flight {
        &self.flight
    }

    /// Turns of the listener so far.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.metrics.listener.turns.value()
    }

    /// Has the listener turn, if it sleeps.
    pub fn wake(&self) {
        self.sleep.wake();
    }

    /// Whether it takes no more requests.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
