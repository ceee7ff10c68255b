//! Power of two choices: of two workers at random, the one with fewer requests.
//!
//! Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (IEEE TPDS 2001); Vvedenskaya, Dobrushin &
//! Karpelevich (1996). With many workers the share of queues with i requests or more falls as ρ^(2^i − 1), where for one
//! choice it is ρ^i: nearly all of what looking at every worker would bring, at a price that does not grow with them.
//!
//! The two are different workers, drawn from the two halves of the offer's random bits; equal ones go by the first drawn.
//! If both are full, all are looked at, so that nothing is refused that somebody could take.

use super::{Choice, Dispatch, Load, Offer, least};

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct PowerOfTwo;

impl PowerOfTwo {
    /// The name in the table of dispatchers.
    pub const NAME: &str = "po2";
}

/// A number below `limit`, from 32 random bits (Lemire, "Fast Random Integer Generation in an Interval", 2019, without
/// its rejection: the bias for a thousand workers is below one in a million).
fn below(random: u32, limit: usize) -> usize {
    ((u64::from(random) * limit as u64) >> 32) as usize
}

impl Dispatch for PowerOfTwo {
    fn dispatch(&mut self, offer: &Offer, loads: &[Load]) -> Choice {
        let Some(others) = loads.len().checked_sub(1) else {
            return Choice::Refuse;
        };
        let first = below(offer.random as u32, loads.len());
        let step = 1 + below((offer.random >> 32) as u32, others.max(1));
        let second = (first + step) % loads.len();
        let key = |worker: usize| (loads[worker].full, loads[worker].outstanding);
        let chosen = if key(second) < key(first) {
            second
        } else {
            first
        };
        if !loads[chosen].full {
            return Choice::Worker(chosen);
        }
        let outstanding = |load: &Load| (!load.full).then_some(load.outstanding);
        least(loads, chosen, outstanding).map_or(Choice::Refuse, Choice::Worker)
    }

    fn name(&self) -> &'static str {
        Self::NAME
    }
}
