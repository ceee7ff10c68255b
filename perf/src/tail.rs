//! What the slowest requests were waiting for: where the time of those beyond a percentile went, beside that of all.
//!
//! Every nanosecond from a request's arrival until it was over is given to one cause, by what its worker did then:
//!
//! | cause | is the time in which |
//! | --- | --- |
//! | listener | it was not yet given to a worker: parsed, held, admitted, behind others in the listener's turn |
//! | behind a class | it could have run and its worker ran a request of that class |
//! | waking | its worker had nothing to run and had not begun it: it slept, or came out of sleep |
//! | switching | its worker was between two slices: preempting, starting, resetting, taking in |
//! | waiting | it waited for something of its own |
//! | running | it ran, up to what its class takes undisturbed |
//! | stalled | it ran longer than that: interrupts, other processes, the machine's host, cold caches |
//!
//! Causes are sums over requests, in nanoseconds; shares are of the cohort's whole time. Nothing is sampled.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::story::Story;

/// What is known of the routes that requests are of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classes {
    /// The names of classes.
    pub names: Vec<String>,
    /// By route: its class, and how long its requests run undisturbed; `None` where nobody knows, and nothing counts as
    /// stalled.
    pub routes: Vec<(u16, Option<u64>)>,
}

impl Classes {
    fn of(&self, story: &Story) -> (u16, Option<u64>) {
        self.routes[usize::from(story.route)]
    }

    /// How many times as long as it needed a request took: sojourn over what its class takes undisturbed, or over what
    /// it ran where nobody knows that. At least its true value to one part in a thousand, in thousandths.
    #[must_use]
    pub fn slowdown_permille(&self, story: &Story) -> u64 {
        let (_, service_ns) = self.of(story);
        let service_ns = service_ns.unwrap_or_else(|| story.ran_ns()).max(1);
        let scaled = u128::from(story.sojourn_ns()) * 1_000 / u128::from(service_ns);
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }
}

/// Why a request was not done yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// See the module's text; likewise the others.
    Listener,
    /// … its class.
    Behind(u16),
    /// …
    Waking,
    /// …
    Switching,
    /// …
    Waiting,
    /// …
    Running,
    /// …
    Stalled,
}

impl Cause {
    /// How it is called.
    #[must_use]
    pub fn name(self, classes: &Classes) -> String {
        match self {
            Self::Listener => "listener".into(),
            Self::Behind(class) => format!("behind {}", classes.names[usize::from(class)]),
            Self::Waking => "waking".into(),
            Self::Switching => "switching".into(),
            Self::Waiting => "waiting for something".into(),
            Self::Running => "running".into(),
            Self::Stalled => "stalled".into(),
        }
    }
}

/// Some requests together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cohort {
    /// How many there are.
    pub requests: u64,
    /// Their sojourns together.
    pub sojourn_ns: u64,
    /// Where that went.
    pub causes: BTreeMap<Cause, u64>,
}

impl Cohort {
    /// A cause's part of the whole, from 0 to 1.
    #[must_use]
    pub fn share(&self, cause: Cause) -> f64 {
        let ns = self.causes.get(&cause).copied().unwrap_or(0);
        ns as f64 / (self.sojourn_ns as f64).max(1.0)
    }

    fn add(&mut self, cause: Cause, ns: u64) {
        if ns > 0 {
            *self.causes.entry(cause).or_default() += ns;
        }
    }
}

/// Where the time went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Of every request that finished.
    pub all: Cohort,
    /// Of those whose slowdown is at least [`Explanation::from_permille`].
    pub tail: Cohort,
    /// The slowdown from which the tail begins, in thousandths.
    pub from_permille: u64,
}

/// A slice on a worker.
#[derive(Clone, Copy)]
struct Ran {
    from_ns: u64,
    to_ns: u64,
    request: u64,
    class: u16,
}

/// Explains the slowest `per_million` of those that arrived then and finished, at least one, by their slowdown. `None`:
/// nobody did.
#[must_use]
pub fn explain(
    stories: &[Story],
    classes: &Classes,
    per_million: u32,
    arrived_ns: Range<u64>,
) -> Option<Explanation> {
    let workers = timelines(stories, classes);
    let counts = |story: &&Story| story.is_finished() && arrived_ns.contains(&story.arrived_ns);
    let finished = || stories.iter().filter(counts);
    let mut slowdowns: Vec<u64> = finished()
        .map(|story| classes.slowdown_permille(story))
        .collect();
    slowdowns.sort_unstable();
    let count = (slowdowns.len() as u64 * u64::from(per_million)).div_ceil(1_000_000);
    let from_permille = *slowdowns.get(slowdowns.len().checked_sub(count.max(1) as usize)?)?;
    let mut explanation = Explanation {
        from_permille,
        ..Explanation::default()
    };
    for story in finished() {
        let causes = causes(story, classes, &workers[usize::from(story.worker)]);
        let is_tail = classes.slowdown_permille(story) >= from_permille;
        let tail = is_tail.then_some(&mut explanation.tail);
        for cohort in [Some(&mut explanation.all), tail].into_iter().flatten() {
            cohort.requests += 1;
            cohort.sojourn_ns += story.sojourn_ns();
            causes
                .iter()
                .for_each(|(cause, ns)| cohort.add(*cause, *ns));
        }
    }
    Some(explanation)
}

/// What each worker ran, in order.
fn timelines(stories: &[Story], classes: &Classes) -> Vec<Vec<Ran>> {
    let workers = stories.iter().map(|story| usize::from(story.worker) + 1);
    let mut timelines = vec![Vec::new(); workers.max().unwrap_or(0)];
    for story in stories {
        let (class, _) = classes.of(story);
        let ran = |&(from_ns, to_ns): &(u64, u64)| Ran {
            from_ns,
            to_ns,
            request: story.request,
            class,
        };
        timelines[usize::from(story.worker)].extend(story.slices.iter().map(ran));
    }
    for timeline in &mut timelines {
        timeline.sort_unstable_by_key(|ran| ran.from_ns);
    }
    timelines
}

/// Where the time of one request went, cause by cause; they add up to its sojourn.
fn causes(story: &Story, classes: &Classes, timeline: &[Ran]) -> Vec<(Cause, u64)> {
    let given_ns = story.dispatched_ns.max(story.arrived_ns);
    let mut causes = vec![(Cause::Listener, given_ns - story.arrived_ns)];
    let (_, service_ns) = classes.of(story);
    let ran_ns = story.ran_ns();
    let running_ns = service_ns.map_or(ran_ns, |service_ns| ran_ns.min(service_ns));
    causes.push((Cause::Running, running_ns));
    causes.push((Cause::Stalled, ran_ns - running_ns));
    causes.push((Cause::Waiting, story.blocked_ns()));
    // What is neither: from each end of a slice, a wait or the dispatch to the next beginning.
    let mut busy: Vec<_> = story.slices.iter().chain(&story.blocks).copied().collect();
    busy.sort_unstable();
    let mut free_ns = given_ns;
    for (from_ns, to_ns) in busy {
        let is_first = from_ns == story.started_ns;
        waited(
            (free_ns, from_ns),
            is_first,
            story.request,
            timeline,
            &mut causes,
        );
        free_ns = free_ns.max(to_ns);
    }
    waited(
        (free_ns, story.ended_ns),
        false,
        story.request,
        timeline,
        &mut causes,
    );
    causes
}

/// What the worker did from one time to another, while a request could have run.
fn waited(
    (from_ns, to_ns): (u64, u64),
    is_first: bool,
    request: u64,
    timeline: &[Ran],
    causes: &mut Vec<(Cause, u64)>,
) {
    let mut free_ns = from_ns;
    let mut has_run = false;
    let first = timeline.partition_point(|ran| ran.to_ns <= from_ns);
    for ran in timeline[first..]
        .iter()
        .take_while(|ran| ran.from_ns < to_ns)
    {
        if ran.request == request {
            continue;
        }
        let (begins_ns, ends_ns) = (ran.from_ns.max(free_ns), ran.to_ns.min(to_ns));
        if begins_ns > free_ns {
            causes.push((Cause::Switching, begins_ns - free_ns));
        }
        if ends_ns > begins_ns {
            causes.push((Cause::Behind(ran.class), ends_ns - begins_ns));
            has_run = true;
        }
        free_ns = free_ns.max(ends_ns);
    }
    let rest = match is_first && !has_run {
        true => Cause::Waking,
        false => Cause::Switching,
    };
    causes.push((rest, to_ns.saturating_sub(free_ns)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::End;

    fn classes() -> Classes {
        Classes {
            names: vec!["short".into(), "long".into()],
            routes: vec![(0, Some(10)), (1, Some(100)), (1, None)],
        }
    }

    /// A request of a route that arrived, was given to worker 0 and had these slices, the last of which ended it.
    fn story(request: u64, route: u16, arrived_ns: u64, slices: &[(u64, u64)]) -> Story {
        Story {
            request,
            route,
            arrived_ns,
            dispatched_ns: arrived_ns + 2,
            started_ns: slices[0].0,
            ended_ns: slices[slices.len() - 1].1,
            end: Some(End::Finished(200)),
            slices: slices.to_vec(),
            ..Story::default()
        }
    }

    fn check(stories: &[Story], of: u64, expected: &[(Cause, u64)]) {
        let classes = classes();
        let workers = timelines(stories, &classes);
        let story = stories.iter().find(|story| story.request == of).unwrap();
        let mut cohort = Cohort::default();
        for (cause, ns) in causes(story, &classes, &workers[0]) {
            cohort.add(cause, ns);
        }
        let got: Vec<_> = cohort.causes.into_iter().collect();
        assert_eq!(got, expected);
        let sum: u64 = got.iter().map(|(_, ns)| ns).sum();
        assert_eq!(
            sum,
            story.sojourn_ns(),
            "nothing is left out or counted twice"
        );
    }

    #[test]
    fn every_nanosecond_has_one_cause() {
        use Cause::{Behind, Listener, Running, Stalled, Switching, Waiting, Waking};
        // It comes while the long one runs, and has its turn between its slices; it is stalled for 3.
        let both = [
            story(1, 1, 0, &[(5, 50), (70, 125)]),
            story(2, 0, 20, &[(54, 67)]),
        ];
        let short = [
            (Listener, 2),
            (Behind(1), 28),
            (Switching, 4),
            (Running, 10),
            (Stalled, 3),
        ];
        check(&both, 2, &short);
        let long = [
            (Listener, 2),
            (Behind(0), 13),
            (Waking, 3),
            (Switching, 7),
            (Running, 100),
        ];
        check(&both, 1, &long);
        // It waits for something while another runs, which is no reason; then it is ready and waits behind it.
        let mut waits = story(1, 2, 0, &[(2, 10), (60, 70)]);
        waits.blocks = vec![(10, 40)];
        let stories = [waits, story(2, 0, 0, &[(20, 55)])];
        let expected = [
            (Listener, 2),
            (Behind(0), 15),
            (Switching, 5),
            (Waiting, 30),
            (Running, 18),
        ];
        check(&stories, 1, &expected);
    }

    #[test]
    fn the_tail_is_explained_beside_all() {
        let mut stories: Vec<_> = (1..100)
            .map(|at| story(at, 0, at * 100, &[(at * 100 + 2, at * 100 + 12)]))
            .collect();
        // Behind a long one, whose own slowdown is small.
        stories.push(story(100, 1, 20_000, &[(20_002, 20_102)]));
        stories.push(story(101, 0, 20_010, &[(20_110, 20_120)]));
        let explanation =
            explain(&stories, &classes(), 10_000, 0..u64::MAX).expect("there are some");
        let counts = (explanation.all.requests, explanation.tail.requests);
        assert_eq!(
            counts,
            (101, 100),
            "whoever is as slow as the second counts too"
        );
        let explanation = explain(&stories, &classes(), 1, 0..u64::MAX).expect("there are some");
        assert_eq!(explanation.tail.requests, 1);
        assert_eq!(explanation.from_permille, 11_000);
        let behind = explanation.tail.share(Cause::Behind(1));
        assert!((behind - 90.0 / 110.0).abs() < 1e-9, "{behind}");
        assert_eq!(Cause::Behind(1).name(&classes()), "behind long");
        let early = explain(&stories, &classes(), 1, 0..20_000).expect("there are some");
        assert_eq!(early.all.requests, 99);
        assert_eq!(explain(&[], &classes(), 1_000, 0..u64::MAX), None);
    }
}
