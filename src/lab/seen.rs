//! What the recording of a run shows of what things cost: of one that is made to calibrate, and of each run of an
//! experiment, for the simulator that runs beside it.
//!
//! A machine's clock rate and its neighbours change within minutes, so what was measured before the runs may be wrong by a
//! third when they are made. What takes the worker's time (starts, ends, preemptions, the speed of code) is told as a mean,
//! interrupts included, as it is the sum that makes queues; dispatch, which nobody waits for twice, as a median; and what
//! stops the worker for longer, as [stalls](super::stalled) of its core. None of them says anything of queues and tails,
//! which are what the simulator is asked for.

use std::collections::BTreeMap;

use perf::story::Story;
use sched::Nanos;

use super::calibrate::Mode;
use super::requests::Route;
use super::stalled::Stalled;

/// Requests of a size of which there are fewer say nothing of how long it takes.
const REQUESTS_MIN: usize = 20;

/// How many times as long as the shortest requests the longest have to be to tell starts from speed.
const SPREAD_MIN: u64 = 4;

/// By what factor code may be said to be slower or faster than it was before the runs.
const STRETCH_MAX: f64 = 2.0;

/// Stories of a run, and the routes that they are of.
#[derive(Clone, Copy)]
pub struct Seen<'s> {
    pub stories: &'s [Story],
    pub routes: &'s [Route],
    pub quantum_ns: Nanos,
}

/// A slice with its story.
pub type Slice<'s> = (Nanos, Nanos, &'s Story);

impl<'s> Seen<'s> {
    /// What a run shows, and for what it does not show, what was measured before.
    pub fn mode(self, before: &Mode) -> Mode {
        let workers = self.slices();
        let mut stalled = Stalled::of(&workers, self.routes, self.quantum_ns);
        let (start_ns, stretch) = self.start_and_stretch(before, &stalled);
        let finish_ns = stalled.mean_ns(self.finishes());
        let preempt_ns = stalled.mean_ns(self.preemptions());
        Mode {
            dispatch_ns: self.dispatch_ns().unwrap_or(before.dispatch_ns),
            start_ns,
            finish_ns: finish_ns.unwrap_or(before.finish_ns),
            preempt_ns: preempt_ns.unwrap_or(before.preempt_ns),
            stretch,
            stalls: stalled.stalls(),
            listener_stalls: Stalled::of_listener(self.stories).stalls(),
            ..before.clone()
        }
    }

    /// From arrival to the first slice, of those who found their worker idle.
    pub fn dispatch_ns(self) -> Option<Nanos> {
        let mut waits = Vec::new();
        for slices in self.slices().into_values() {
            waits.extend(slices.windows(2).filter_map(|pair| {
                let ((_, before_ns, _), (from_ns, _, story)) = (pair[0], pair[1]);
                let found_idle = before_ns < story.arrived_ns && from_ns == story.started_ns;
                found_idle.then(|| from_ns - story.arrived_ns)
            }));
        }
        median(waits)
    }

    /// From the end of a request to the next slice, with the next one there.
    pub fn finish_ns(self) -> Option<Nanos> {
        Stalled::default().mean_ns(self.finishes())
    }

    /// From a slice that the clock has ended to the next one.
    pub fn preempt_ns(self) -> Option<Nanos> {
        Stalled::default().mean_ns(self.preemptions())
    }

    fn finishes(self) -> Vec<Nanos> {
        self.between(|(_, to_ns, story), (_, _, next)| {
            *to_ns >= story.ended_ns && next.dispatched_ns < *to_ns
        })
    }

    fn preemptions(self) -> Vec<Nanos> {
        self.between(|(_, to_ns, story), _| {
            let waits = story.blocks.iter().any(|(from_ns, _)| from_ns == to_ns);
            *to_ns < story.ended_ns && !waits
        })
    }

    fn between(self, counts: impl Fn(&Slice<'s>, &Slice<'s>) -> bool) -> Vec<Nanos> {
        let mut gaps = Vec::new();
        for slices in self.slices().into_values() {
            let pairs = slices.windows(2).filter(|pair| counts(&pair[0], &pair[1]));
            gaps.extend(pairs.map(|pair| pair[1].0.saturating_sub(pair[0].1)));
        }
        gaps
    }

    /// Of each worker, in order.
    pub fn slices(self) -> BTreeMap<u16, Vec<Slice<'s>>> {
        let mut slices = BTreeMap::<u16, Vec<Slice<'s>>>::new();
        for story in self.stories {
            let own = story.slices.iter();
            let own = own.map(|&(from_ns, to_ns)| (from_ns, to_ns, story));
            slices.entry(story.worker).or_default().extend(own);
        }
        for of_worker in slices.values_mut() {
            of_worker.sort_unstable_by_key(|(from_ns, ..)| *from_ns);
        }
        slices
    }

    /// From how long the shortest and the longest requests ran, less what their preemptions cost and what stopped them.
    fn start_and_stretch(self, before: &Mode, stalled: &Stalled) -> (Nanos, f64) {
        let mut by_size = BTreeMap::<Nanos, Vec<Nanos>>::new();
        for story in self.stories.iter().filter(|story| story.is_finished()) {
            let route = self.routes[usize::from(story.route)];
            let preempted_ns = u64::from(story.preemptions) * before.inflation_ns;
            let stalled_ns = stalled.within_ns(story);
            let own = by_size.entry(route.service_ns).or_default();
            own.push(story.ran_ns().saturating_sub(preempted_ns + stalled_ns));
        }
        by_size.retain(|_, ran_ns| ran_ns.len() >= REQUESTS_MIN);
        let mut sizes = by_size.into_iter();
        let known = |(service_ns, ran_ns): (Nanos, Vec<Nanos>)| Some((service_ns, mean(&ran_ns)?));
        let Some((short_ns, short_ran_ns)) = sizes.next().and_then(known) else {
            return (before.start_ns, before.stretch);
        };
        let long = sizes.next_back().and_then(known);
        let stretch = match long {
            Some((long_ns, long_ran_ns)) if long_ns >= short_ns * SPREAD_MIN => {
                let ran_ns = long_ran_ns as f64 - short_ran_ns as f64;
                ran_ns / (long_ns - short_ns) as f64
            }
            _ => before.stretch,
        };
        let stretch = stretch.clamp(1.0 / STRETCH_MAX, STRETCH_MAX);
        let start_ns = short_ran_ns as f64 - stretch * short_ns as f64;
        (start_ns.max(0.0) as Nanos, stretch)
    }
}

/// `None` of nothing.
pub fn mean(values: &[Nanos]) -> Option<Nanos> {
    let sum: Nanos = values.iter().sum();
    sum.checked_div(values.len() as Nanos)
}

/// `None` of nothing.
pub fn median(mut values: Vec<Nanos>) -> Option<Nanos> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
pub mod tests {
    use perf::story::End;

    use super::*;
    use crate::sim::stalls::Stalls;

    pub fn story(route: u16, arrived_ns: Nanos, slices: &[(Nanos, Nanos)]) -> Story {
        Story {
            request: 0,
            route,
            expected_ns: 0,
            arrived_ns,
            dispatched_ns: arrived_ns,
            worker: 0,
            taken_ns: arrived_ns,
            started_ns: slices[0].0,
            ended_ns: slices[slices.len() - 1].1,
            end: Some(End::Finished(200)),
            answered_ns: 0,
            sent_ns: 0,
            slices: slices.to_vec(),
            preemptions: slices.len() as u32 - 1,
            blocks: Vec::new(),
        }
    }

    fn route(service_ns: Nanos) -> Route {
        Route {
            class: 0,
            sender: 0,
            service_ns,
            deadline_ns: Nanos::MAX,
            expected_ns: 0,
        }
    }

    fn before() -> Mode {
        Mode {
            preemption: "signal".to_owned(),
            trigger: "timer".to_owned(),
            dispatch_ns: 7,
            start_ns: 7,
            finish_ns: 7,
            preempt_ns: 7,
            inflation_ns: 10,
            lateness_ns: 7,
            stretch: 1.5,
            stalls: Stalls::default(),
            listener_stalls: Stalls::default(),
        }
    }

    #[test]
    fn what_a_run_shows_counts_and_for_the_rest_what_was_known() {
        let routes = [route(100), route(1_000)];
        // Each waits 5, runs 120 for 100, and 1,110 + 10 for 1,000 with one interruption; so it is 20 + 1.1 × − 10.
        let mut stories = Vec::new();
        for round in 0..REQUESTS_MIN as Nanos {
            let at = round * 10_000;
            stories.push(story(0, at, &[(at + 5, at + 125)]));
            let from = at + 1_000;
            // Another one is there when it is interrupted, and when it ends.
            stories.push(story(
                1,
                from,
                &[(from + 5, from + 505), (from + 633, from + 1_253)],
            ));
            stories.push(story(0, from + 400, &[(from + 508, from + 628)]));
            stories.push(story(0, from + 1_200, &[(from + 1_257, from + 1_377)]));
        }
        // Who waits for something of its own leaves the worker to nobody for long, and one that was dropped ran for nothing.
        let mut waiting = story(
            0,
            9_000_000,
            &[(9_000_005, 9_000_010), (9_700_000, 9_700_115)],
        );
        waiting.blocks.push((9_000_010, 9_699_999));
        waiting.preemptions = 0;
        stories.push(waiting);
        let mut dropped = story(0, 9_800_000, &[(9_800_005, 9_999_999)]);
        dropped.end = Some(End::Dropped(perf::event::Drop::CpuLimit));
        stories.push(dropped);
        let seen = Seen {
            stories: &stories,
            routes: &routes,
            quantum_ns: 500,
        };
        let mode = seen.mode(&before());
        assert_eq!(mode.dispatch_ns, 5);
        assert_eq!(mode.preempt_ns, 3);
        // After the short one 5, and after the long one 4.
        assert!((4..=5).contains(&mode.finish_ns), "{mode:?}");
        let stretch = (1_110.0 - 120.0) / 900.0;
        assert!((mode.stretch - stretch).abs() < 1e-9, "{mode:?}");
        assert_eq!(mode.start_ns, (120.0 - 100.0 * stretch) as Nanos);
        assert_eq!((mode.inflation_ns, mode.lateness_ns), (10, 7));

        let nothing = Seen {
            stories: &[],
            routes: &routes,
            quantum_ns: 500,
        };
        assert_eq!(nothing.mode(&before()), before());
    }
}
