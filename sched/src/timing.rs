//! How a slice is timed by a worker that has one timer and a bar: whoever comes compares a deadline with the bar,
//! from another thread, and knows nothing else of the slice.
//!
//! The same rule as [`Slice::alarm_at_start`] and [`Slice::alarm_on_arrival`], for who cannot ask a slice while it
//! runs. Ranks are not deadlines: where a policy compares ranks, whoever comes has the slice timed, and the policy, asked
//! at its end, may choose the same task again. A contended slice is timed to its quantum and not to its turn, so that
//! newcomers need not be compared with it.

use crate::policy::{Arrivals, Nanos, Slice};

/// When the timer of a slice is armed for its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// From the start.
    AtStart,
    /// When a task comes whose deadline (absolute, `u64::MAX` for none) is below the bar; 0: never, `u64::MAX`:
    /// whoever comes, with a deadline or without.
    OnArrival {
        /// The bar.
        bar_ns: Nanos,
    },
}

impl Timing {
    /// No arrival has the slice timed.
    pub const NEVER: Self = Self::OnArrival { bar_ns: 0 };
}

impl Slice {
    /// How it is timed.
    #[must_use]
    pub const fn timing(&self) -> Timing {
        let bar_ns = match (self.quantum_ns, self.preempted_by) {
            (None, _) => return Timing::NEVER,
            (Some(_), _) if self.contended => return Timing::AtStart,
            (Some(_), Arrivals::Nobody) => 0,
            (Some(_), Arrivals::Anybody | Arrivals::RankBefore(_)) => Nanos::MAX,
            // The highest bar means anybody; here it is anybody with a deadline.
            (Some(_), Arrivals::DeadlineBefore(Nanos::MAX)) => Nanos::MAX - 1,
            (Some(_), Arrivals::DeadlineBefore(bar_ns)) => bar_ns,
        };
        Timing::OnArrival { bar_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Newcomer;
    use crate::policy::TaskId;
    use Arrivals::{Anybody, DeadlineBefore, Nobody, RankBefore};

    #[test]
    fn the_bar_lets_pass_whom_the_slice_admits() {
        let quanta = [None, Some(0), Some(10), Some(Nanos::MAX)];
        let arrivals = [0, 1, 7, Nanos::MAX - 1, Nanos::MAX].map(DeadlineBefore);
        let arrivals = arrivals
            .into_iter()
            .chain([Nobody, Anybody, RankBefore(0), RankBefore(9)]);
        for preempted_by in arrivals {
            for (quantum_ns, contended) in quanta
                .map(|quantum_ns| [(quantum_ns, true), (quantum_ns, false)])
                .concat()
            {
                let slice = Slice {
                    quantum_ns,
                    contended,
                    preempted_by,
                    ..Slice::to_completion(TaskId(0))
                };
                check(&slice);
            }
        }
    }

    fn check(slice: &Slice) {
        let at_start = slice.alarm_at_start(100).is_some();
        assert_eq!(slice.timing() == Timing::AtStart, at_start, "{slice:?}");
        let Timing::OnArrival { bar_ns } = slice.timing() else {
            return;
        };
        // The one below the highest is taken for it: a deadline in 584 years.
        for deadline_ns in [0, 1, 6, 7, 8, Nanos::MAX - 2, Nanos::MAX] {
            let passes = bar_ns == Nanos::MAX || deadline_ns < bar_ns;
            let newcomer = Newcomer {
                deadline_ns,
                rank: 3,
            };
            let alarm = slice.alarm_on_arrival(100, 105, newcomer);
            // Where ranks are compared, all pass.
            let by_rank = matches!(slice.preempted_by, RankBefore(_)) && slice.quantum_ns.is_some();
            assert_eq!(
                passes,
                alarm.is_some() || by_rank,
                "{slice:?}, {deadline_ns}"
            );
        }
    }
}
