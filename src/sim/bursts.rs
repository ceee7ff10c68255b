//! The bursts of a trace's requests, in one table: 16 bytes each, and nothing for a request that is all of a piece.

use sched::Nanos;

use super::engine::{Burst, Then};

/// How many bursts a trace may have, 3.2 GB of them.
const BURSTS_MAX: usize = 200_000_000;

/// The longest wait: beyond it there is no number left for the other ends.
const WAIT_MAX_NS: Nanos = Nanos::MAX - FIRST_WAIT;

/// How a burst ends, as a number: a wait is its length and this.
const FIRST_WAIT: u64 = 2;
const YIELD: u64 = 1;
const END: u64 = 0;

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct Bursts {
    packed: Vec<Packed>,
}

#[derive(Clone, Copy, Debug)]
struct Packed {
    work_ns: Nanos,
    then: u64,
}

impl Packed {
    fn wait_ns(self) -> Nanos {
        self.then.saturating_sub(FIRST_WAIT)
    }
}

impl Bursts {
    /// In place of a request's bursts: it is all of a piece.
    pub const NONE: u32 = u32::MAX;

    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// Keeps the bursts of a request, of which the last and no other ends it. The number is what they are found by.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub fn push(&mut self, bursts: &[Burst]) -> Result<u32, String> {
        let first = self.packed.len();
        if bursts.len() > BURSTS_MAX - first {
            return Err(format!("there are more than {BURSTS_MAX} bursts"));
        }
        self.packed.extend(bursts.iter().map(|burst| {
            let then = match burst.then {
                Then::End => END,
                Then::Yield => YIELD,
                Then::Wait(wait_ns) => wait_ns.min(WAIT_MAX_NS) + FIRST_WAIT,
            };
            let work_ns = burst.work_ns;
            Packed { work_ns, then }
        }));
        let last = self.packed[first..].iter().position(|it| it.then == END);
        assert_eq!(last, Some(bursts.len() - 1), "the last ends it");
        Ok(first as u32)
    }

    /// A burst of a request, counted from 0, which has so many.
    pub fn of(&self, bursts: u32, at: u32) -> Option<Burst> {
        if bursts == Self::NONE {
            return None;
        }
        let Packed { work_ns, then } = self.packed[bursts as usize + at as usize];
        let then = match then {
            END => Then::End,
            YIELD => Then::Yield,
            wait => Then::Wait(wait - FIRST_WAIT),
        };
        Some(Burst { work_ns, then })
    }

    /// All bursts of a request; none if it is all of a piece.
    pub fn each(&self, bursts: u32) -> impl Iterator<Item = Burst> + '_ {
        let mut next = (bursts != Self::NONE).then_some(0);
        std::iter::from_fn(move || {
            let burst = self.of(bursts, next?)?;
            next = next.filter(|_| burst.then != Then::End).map(|at| at + 1);
            Some(burst)
        })
    }

    /// All waits together.
    pub fn waits_ns(&self) -> u128 {
        let waits = self.packed.iter();
        waits.map(|packed| u128::from(packed.wait_ns())).sum()
    }
}

const _: () = assert!(BURSTS_MAX < Bursts::NONE as usize);

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(work_ns: Nanos, then: Then) -> Burst {
        Burst { work_ns, then }
    }

    #[test]
    fn what_is_kept_is_found() {
        let mut table = Bursts::default();
        let rows: [&[Burst]; 4] = [
            &[burst(5, Then::End)],
            &[
                burst(1, Then::Wait(0)),
                burst(2, Then::Yield),
                burst(3, Then::End),
            ],
            &[
                burst(u64::MAX, Then::Wait(WAIT_MAX_NS)),
                burst(1, Then::End),
            ],
            &[
                burst(7, Then::Wait(9)),
                burst(7, Then::Wait(1)),
                burst(7, Then::End),
            ],
        ];
        let numbers = rows.map(|row| table.push(row).expect("room"));
        for (row, number) in rows.into_iter().zip(numbers) {
            for (at, expected) in row.iter().enumerate() {
                assert_eq!(table.of(number, at as u32), Some(*expected));
            }
        }
        assert_eq!(table.of(Bursts::NONE, 0), None);
        for (row, number) in rows.into_iter().zip(numbers) {
            assert!(table.each(number).eq(row.iter().copied()));
        }
        assert_eq!(table.each(Bursts::NONE).count(), 0);
        assert_eq!(table.waits_ns(), u128::from(WAIT_MAX_NS) + 10);
    }
}
