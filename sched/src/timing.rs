//! How a slice is timed by a worker that has one timer and a bar: whoever comes compares its rank with the bar, from
//! another thread, and knows nothing else of the slice.
//!
//! The same rule as [`Slice::alarm_at_start`] and [`Slice::alarm_on_arrival`], for who cannot ask a slice while it
//! runs. Deadlines are ranks here: the policies that ask for deadlines rank by them
//! ([`Scheduler::rank`](crate::Scheduler::rank)).

use crate::policy::{Arrivals, Nanos, Slice};

/// When a slice is interrupted, counted from its start. Without a quantum: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// At the end of the quantum if a task comes whose rank is below this; 0: whoever comes, it is not; `u64::MAX`:
    /// whoever comes, it is.
    pub bar: u64,
    /// After so long, at least the quantum, whoever comes; `u64::MAX`: nobody waits for it.
    pub turn_ns: Nanos,
}

impl Timing {
    /// Nobody interrupts it.
    pub const NEVER: Self = Self {
        bar: 0,
        turn_ns: Nanos::MAX,
    };
}

impl Slice {
    /// How it is timed.
    #[must_use]
    pub fn timing(&self) -> Timing {
        let Some(quantum_ns) = self.quantum_ns else {
            return Timing::NEVER;
        };
        let bar = match self.preempted_by {
            Arrivals::Nobody => 0,
            Arrivals::Anybody => u64::MAX,
            // The highest bar means anybody; here it is anybody with a deadline, or a rank.
            Arrivals::DeadlineBefore(bar) | Arrivals::RankBefore(bar) => bar.min(u64::MAX - 1),
        };
        let turn_ns = match self.contended {
            true => self.turn_ns.max(quantum_ns),
            false => Nanos::MAX,
        };
        Timing { bar, turn_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Newcomer, TaskId};
    use Arrivals::{Anybody, DeadlineBefore, Nobody, RankBefore};

    #[test]
    fn a_slice_ends_when_it_would_if_it_were_asked() {
        let bars = [0, 1, 7, u64::MAX - 1, u64::MAX];
        let arrivals = bars.map(DeadlineBefore).into_iter();
        let arrivals = arrivals.chain(bars.map(RankBefore));
        for preempted_by in arrivals.chain([Nobody, Anybody]) {
            for quantum_ns in [None, Some(0), Some(10), Some(Nanos::MAX)] {
                for (contended, turn_ns) in [(true, 0), (true, 30), (true, Nanos::MAX), (false, 30)]
                {
                    check(&Slice {
                        task: TaskId(0),
                        quantum_ns,
                        contended,
                        turn_ns,
                        preempted_by,
                    });
                }
            }
        }
    }

    fn check(slice: &Slice) {
        let Timing { bar, turn_ns } = slice.timing();
        let at_start_ns = slice.alarm_at_start(100).unwrap_or(Nanos::MAX);
        assert_eq!(turn_ns.saturating_add(100), at_start_ns, "{slice:?}");
        // The one below the highest is taken for it: a deadline in 584 years.
        for rank in [0, 1, 6, 7, 8, u64::MAX - 2, u64::MAX] {
            let newcomer = Newcomer {
                deadline_ns: rank,
                rank,
            };
            let passes = bar == u64::MAX || rank < bar;
            assert_eq!(
                passes,
                Arrivals::below(bar).admit(newcomer),
                "{bar}, {rank}"
            );
            let alarm = slice.alarm_on_arrival(100, 105, newcomer);
            assert_eq!(passes, alarm.is_some(), "{slice:?}, {rank}");
        }
    }
}
