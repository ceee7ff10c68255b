//! Where a recording shows that a core stood still: what took much longer than it takes otherwise.
//!
//! Looked at is what has a usual length: of a worker slices that the clock had to end, requests that ran in one piece,
//! beside the others of their size, how soon it begins with what finds it idle, and what comes between two slices; of the
//! listener how long it takes for a request. Much longer is longer by [`STALL_MIN_NS`] and by a part of itself; what is
//! less is part of what things cost on average.

use std::collections::{BTreeMap, HashMap};

use perf::story::Story;
use sched::Nanos;

use super::requests::Route;
use super::seen::{self, Slice};
use crate::sim::stalls::Stalls;

/// The shortest stall: less is an interrupt, of which there are many, and the mean tells of them.
const STALL_MIN_NS: Nanos = 50_000;

/// By which part of what it usually takes something has to take longer: the clock rate changes by less.
const STALL_PART: Nanos = 8;

/// What was looked at, and the stalls in it.
#[derive(Debug, Default)]
pub struct Stalled {
    observed_ns: Nanos,
    lengths_ns: Vec<Nanos>,
    /// By request.
    within_ns: HashMap<u64, Nanos>,
}

impl Stalled {
    /// Of the slices of each worker, in order.
    pub fn of(
        workers: &BTreeMap<u16, Vec<Slice<'_>>>,
        routes: &[Route],
        quantum_ns: Nanos,
    ) -> Self {
        let mut stalled = Self::default();
        let mut whole = BTreeMap::<Nanos, Vec<(u64, Nanos)>>::new();
        for slices in workers.values() {
            for (at, (from_ns, to_ns, story)) in slices.iter().enumerate() {
                let length_ns = to_ns - from_ns;
                if is_whole(story) {
                    let service_ns = routes[usize::from(story.route)].service_ns;
                    let alike = whole.entry(service_ns).or_default();
                    alike.push((story.request, length_ns));
                } else if *to_ns < story.ended_ns && story.blocks.is_empty() {
                    let due_ns = due_ns(&slices[at..], quantum_ns);
                    let due_ns = due_ns.unwrap_or(*to_ns);
                    stalled.look(Some(story.request), length_ns, due_ns - from_ns);
                }
            }
        }
        stalled.look_at_idle(workers);
        for alike in whole.into_values() {
            let lengths_ns = alike.iter().map(|(_, length_ns)| *length_ns).collect();
            let usual_ns = seen::median(lengths_ns).unwrap_or(0);
            for (request, length_ns) in alike {
                stalled.look(Some(request), length_ns, usual_ns);
            }
        }
        stalled
    }

    /// Of the listener, while it has a request to dispatch.
    pub fn of_listener(stories: &[Story]) -> Self {
        let mut times: Vec<_> = stories
            .iter()
            .map(|story| (story.dispatched_ns, story.arrived_ns))
            .collect();
        times.sort_unstable();
        let gaps = times.windows(2).map(|pair| {
            let ((before_ns, _), (dispatched_ns, arrived_ns)) = (pair[0], pair[1]);
            dispatched_ns.saturating_sub(before_ns.max(arrived_ns))
        });
        let mut stalled = Self::default();
        stalled.mean_ns(gaps.collect());
        stalled
    }

    /// Who is idle is not seen to be stalled but by those who come meanwhile: what they see of it is all that there is.
    fn look_at_idle(&mut self, workers: &BTreeMap<u16, Vec<Slice<'_>>>) {
        let mut waits_ns = Vec::new();
        for slices in workers.values() {
            for pair in slices.windows(2) {
                let ((_, before_ns, _), (from_ns, _, story)) = (pair[0], pair[1]);
                if before_ns < story.dispatched_ns && from_ns == story.started_ns {
                    self.observed_ns += story.dispatched_ns - before_ns;
                    waits_ns.push(from_ns.saturating_sub(story.dispatched_ns));
                }
            }
        }
        self.mean_ns(waits_ns);
    }

    /// Takes note of something; returns how long it would have been without a stall.
    fn look(&mut self, request: Option<u64>, length_ns: Nanos, usual_ns: Nanos) -> Nanos {
        self.observed_ns += length_ns;
        let more_ns = length_ns.saturating_sub(usual_ns);
        if more_ns < STALL_MIN_NS.max(usual_ns / STALL_PART) {
            return length_ns;
        }
        self.lengths_ns.push(more_ns);
        if let Some(request) = request {
            *self.within_ns.entry(request).or_default() += more_ns;
        }
        usual_ns
    }

    /// The mean of things that are alike, without their stalls. `None` of nothing.
    pub fn mean_ns(&mut self, lengths_ns: Vec<Nanos>) -> Option<Nanos> {
        let usual_ns = seen::median(lengths_ns.clone())?;
        let lengths_ns = lengths_ns.into_iter();
        let without: Vec<_> = lengths_ns
            .map(|length_ns| self.look(None, length_ns, usual_ns))
            .collect();
        seen::mean(&without)
    }

    /// How long a request was stalled while it ran, as far as it is known.
    pub fn within_ns(&self, story: &Story) -> Nanos {
        self.within_ns.get(&story.request).copied().unwrap_or(0)
    }

    /// For the simulator.
    pub fn stalls(mut self) -> Stalls {
        let stalled_ns: Nanos = self.lengths_ns.iter().sum();
        let ran_ns = self.observed_ns.saturating_sub(stalled_ns);
        self.lengths_ns.sort_unstable();
        Stalls {
            per_second: self.lengths_ns.len() as f64 * 1e9 / ran_ns.max(1) as f64,
            lengths_ns: self.lengths_ns,
        }
    }
}

/// Whether it ran in one piece.
fn is_whole(story: &Story) -> bool {
    story.is_finished() && story.slices.len() == 1
}

/// When the first of these slices had to be ended: at the end of the quantum, or when the first of those came who had
/// their turn before it ran again. `None`: nobody did.
fn due_ns(slices: &[Slice<'_>], quantum_ns: Nanos) -> Option<Nanos> {
    let (from_ns, to_ns, story) = slices[0];
    let later = slices[1..].iter();
    let before = later.take_while(|(.., next)| next.request != story.request);
    let first_ns = before.map(|(.., next)| next.dispatched_ns).min()?;
    Some(first_ns.max(from_ns + quantum_ns).min(to_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of 100 µs that has come then and ran then.
    fn story(request: u64, dispatched_ns: Nanos, slices: &[(Nanos, Nanos)]) -> Story {
        Story {
            request,
            arrived_ns: dispatched_ns - 2_000,
            ..seen::tests::story(0, dispatched_ns, slices)
        }
    }

    fn looked_at(stories: &[Story]) -> Stalled {
        let mut slices: Vec<Slice<'_>> = Vec::new();
        for story in stories {
            let own = story.slices.iter();
            slices.extend(own.map(|&(from_ns, to_ns)| (from_ns, to_ns, story)));
        }
        slices.sort_unstable_by_key(|(from_ns, ..)| *from_ns);
        let route = Route {
            class: 0,
            sender: 0,
            service_ns: 100_000,
            deadline_ns: Nanos::MAX,
            expected_ns: 0,
        };
        Stalled::of(&BTreeMap::from([(0, slices)]), &[route], 250_000)
    }

    const MS: Nanos = 1_000_000;

    /// They find the worker idle, begin at once and take 100 µs, a millisecond after each other.
    fn usual() -> Vec<Story> {
        let one = |at: Nanos| (at + 1) * MS;
        (0..9)
            .map(|at| story(at, one(at), &[(one(at) + 5_000, one(at) + 105_000)]))
            .collect()
    }

    #[test]
    fn what_takes_as_long_as_ever_is_no_stall() {
        let mut stories = usual();
        // A little longer, which is an interrupt.
        stories[3].slices[0].1 += 40_000;
        stories[3].ended_ns += 40_000;
        let stalls = looked_at(&stories).stalls();
        assert!(stalls.lengths_ns.is_empty(), "{stalls:?}");
        assert_eq!(stalls.per_second, 0.0);
    }

    #[test]
    fn what_takes_much_longer_is_a_stall() {
        let mut stories = usual();
        // One that ran for longer, one whose idle worker began with it later.
        stories[3].slices[0].1 += 300_000;
        stories[3].ended_ns += 300_000;
        stories[5] = story(5, 6 * MS, &[(6 * MS + 205_000, 6 * MS + 305_000)]);
        // A slice of the quantum's length; one that nobody wanted to end before 400 µs; one that ended 90 µs late.
        for (request, at, came_ns, ended_ns) in [
            (20, 20 * MS, 0, 250_000),
            (22, 30 * MS, 400_000, 400_000),
            (24, 40 * MS, 0, 340_000),
        ] {
            let slices = [(at, at + ended_ns), (at + MS, at + 2 * MS)];
            stories.push(story(request, at, &slices));
            let other = (at + ended_ns, at + ended_ns + 100_000);
            stories.push(story(request + 1, at + came_ns, &[other]));
        }
        let stalled = looked_at(&stories);
        let of = |request: usize| {
            let found = stories.iter().find(|story| story.request == request as u64);
            stalled.within_ns(found.expect("it is there"))
        };
        assert_eq!([3, 5, 20, 22, 24].map(of), [300_000, 0, 0, 0, 90_000]);
        let stalls = stalled.stalls();
        assert_eq!(stalls.lengths_ns, [90_000, 200_000, 300_000]);
        assert!(
            stalls.per_second > 0.0 && stalls.share() > 0.0,
            "{stalls:?}"
        );
    }

    #[test]
    fn a_listener_stalls_while_it_has_something_to_do() {
        let mut stories = usual();
        let none = Stalled::of_listener(&stories).stalls();
        assert!(none.lengths_ns.is_empty(), "{none:?}");
        stories[4].arrived_ns -= 700_000;
        let stalls = Stalled::of_listener(&stories).stalls();
        assert_eq!(stalls.lengths_ns, [700_000]);
        // It was busy with each for 2 µs.
        assert!(stalls.per_second > 1_000.0, "{stalls:?}");
    }
}
