//! Queue-delay control: once requests have waited too long for a while, no more are taken than will be begun in time.
//!
//! Nichols & Jacobson, "Controlling Queue Delay" (ACM Queue 2012), CoDel: a queue is bad if even the shortest wait within
//! an interval is above the target; a burst that drains is not. That is how overload is recognised here, by the waits of
//! requests as they begin. What CoDel then does, dropping at a slowly growing rate, is made for senders that slow down;
//! requests of many clients do not, and at ten times the capacity it would be much too slow. So who is refused is
//! decided by Little's law: the requests that wait, times the mean time between two beginnings, is how long a newcomer
//! will wait; if that is above the target, it is refused. The queue is thus cut to the target at once and kept there,
//! the workers stay busy, and the first request that begins within the target ends the overload.
//!
//! It needs no estimates of executions and no deadlines. A refusal says by how much the wait is above the target.

use crate::policy::Nanos;

/// A new gap between two beginnings counts for one in so many.
const GAP_WEIGHT: u64 = 8;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct QueueDelay {
    target_ns: Nanos,
    interval_ns: Nanos,
    /// Requests that were taken and have not begun.
    queued: u32,
    /// Since when every request has begun late.
    late_since_ns: Option<Nanos>,
    is_overloaded: bool,
    /// The last beginning, if requests waited after it.
    last_ns: Option<Nanos>,
    /// The mean time between two beginnings while requests wait.
    gap_ns: Nanos,
}

impl QueueDelay {
    /// Waits up to the target are good; waits above it are, for an interval.
    ///
    /// # Panics
    ///
    /// If the target is 0 or above the interval.
    #[must_use]
    pub fn new(target_ns: Nanos, interval_ns: Nanos) -> Self {
        assert!((1..=interval_ns).contains(&target_ns), "no such target");
        Self {
            target_ns,
            interval_ns,
            queued: 0,
            late_since_ns: None,
            is_overloaded: false,
            last_ns: None,
            gap_ns: 0,
        }
    }

    /// Requests that were taken and have not begun.
    #[must_use]
    pub const fn queued(&self) -> u32 {
        self.queued
    }

    /// Whether newcomers are measured by how long they would wait.
    #[must_use]
    pub const fn is_overloaded(&self) -> bool {
        self.is_overloaded
    }

    pub(super) fn take(&mut self) -> Result<(), Nanos> {
        let wait_ns = u64::from(self.queued).saturating_mul(self.gap_ns);
        if self.is_overloaded && wait_ns > self.target_ns {
            return Err(wait_ns - self.target_ns);
        }
        self.queued += 1;
        Ok(())
    }

    /// A request that waited so long begins now.
    pub(super) fn started(&mut self, now: Nanos, waited_ns: Nanos) {
        if let Some(last_ns) = self.last_ns {
            let gap_ns = now.saturating_sub(last_ns).min(self.interval_ns);
            self.gap_ns = match self.gap_ns {
                0 => gap_ns,
                mean_ns => (mean_ns * (GAP_WEIGHT - 1) + gap_ns) / GAP_WEIGHT,
            };
        }
        self.left();
        self.last_ns = (self.queued > 0).then_some(now);
        if waited_ns <= self.target_ns {
            self.calm();
        } else if self.queued > 0 {
            let since_ns = *self.late_since_ns.get_or_insert(now);
            self.is_overloaded |= now.saturating_sub(since_ns) >= self.interval_ns;
        }
    }

    /// A request has left the queue.
    pub(super) fn left(&mut self) {
        self.queued -= 1;
        if self.queued == 0 {
            self.last_ns = None;
            self.calm();
        }
    }

    fn calm(&mut self) {
        self.late_since_ns = None;
        self.is_overloaded = false;
    }
}
