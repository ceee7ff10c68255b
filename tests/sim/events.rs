//! What the threads noted in their rings of events must tell the story of each request, whole and once, and the same
//! as its timeline.

use std::collections::BTreeMap;

use perf::event::{Drop, Event, EventReader, What};

use crate::ledger::{Ledger, Spent};

/// More than any run has.
pub const EVENTS_MAX: usize = 1 << 13;

/// The readers of all rings.
pub struct Events {
    of_listener: EventReader,
    pub of_workers: Vec<EventReader>,
}

/// How far the story of a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Chapter {
    #[default]
    Unheard,
    Arrived,
    Held,
    /// Its worker is to tell on.
    Dispatched,
    Taken,
    Running,
    Ready,
    Blocked,
    Over,
    Answered,
    Departed,
}

#[derive(Clone, Copy, Default)]
struct Story {
    chapter: Chapter,
    since_ns: u64,
    spent: Spent,
}

impl Events {
    pub fn new(of_listener: EventReader) -> Events {
        Events {
            of_listener,
            of_workers: Vec::new(),
        }
    }

    /// Events of workers like this.
    pub fn count(&self, of: fn(&What) -> bool) -> usize {
        let events = self.of_workers.iter().flat_map(all);
        events.filter(|event| of(&event.what)).count()
    }

    pub fn check_end(&self, ledger: &Ledger) {
        let mut stories = BTreeMap::<u64, Story>::new();
        let of_listener = all(&self.of_listener);
        // Each ring is in the order of its thread; a request goes from one to the other and back once.
        let (out, back) = of_listener.into_iter().partition::<Vec<_>, _>(|event| {
            !matches!(event.what, What::Answered { .. } | What::Sent | What::Cut)
        });
        out.iter().for_each(|event| tell(&mut stories, event));
        for reader in &self.of_workers {
            let mut running = None;
            for event in all(reader) {
                tell(&mut stories, &event);
                match event.what {
                    What::Resumed => assert_eq!(running.replace(event.request), None),
                    What::Preempted | What::Yielded | What::Blocked | What::Finished { .. } => {
                        assert_eq!(running.take(), Some(event.request), "a slice of another");
                    }
                    _ => {}
                }
            }
            assert_eq!(running, None, "a slice without an end");
        }
        back.iter().for_each(|event| tell(&mut stories, event));
        for (request, story) in &stories {
            assert_eq!(story.chapter, Chapter::Departed, "request {request}");
            if let Some(spent) = ledger.spent(ledger.id_of_request(*request)) {
                assert_eq!(story.spent, spent, "request {request}");
            }
        }
        assert_eq!(
            stories.len(),
            ledger.submitted_count(),
            "one story for each"
        );
    }
}

fn all(reader: &EventReader) -> Vec<Event> {
    let read = reader.read(0);
    assert_eq!(read.lost, 0, "EVENTS_MAX is too small");
    read.events
}

fn tell(stories: &mut BTreeMap<u64, Story>, event: &Event) {
    let story = stories.entry(event.request).or_default();
    let before = story.chapter;
    let passed_ns = event.at_ns.checked_sub(story.since_ns);
    let passed_ns = passed_ns.expect("what follows is later");
    let next = match (before, event.what) {
        (Chapter::Unheard, What::Arrived { .. }) => Chapter::Arrived,
        (Chapter::Arrived, What::Refused(_)) => Chapter::Over,
        (Chapter::Arrived, What::Held) => Chapter::Held,
        (Chapter::Arrived | Chapter::Held, What::Dispatched { .. }) => Chapter::Dispatched,
        (Chapter::Held | Chapter::Dispatched, What::Dropped(Drop::Abandoned)) => Chapter::Over,
        (Chapter::Dispatched, What::Taken) => Chapter::Taken,
        (Chapter::Taken, What::Resumed) => Chapter::Running,
        (Chapter::Ready, What::Resumed) => {
            story.spent.preempted_ns += passed_ns;
            Chapter::Running
        }
        (
            Chapter::Running,
            What::Preempted | What::Yielded | What::Blocked | What::Finished { .. },
        ) => {
            story.spent.ran_ns += passed_ns;
            story.spent.slices += 1;
            match event.what {
                What::Blocked => Chapter::Blocked,
                What::Finished { .. } => Chapter::Over,
                _ => Chapter::Ready,
            }
        }
        (Chapter::Blocked, What::Woken) => {
            story.spent.blocked_ns += passed_ns;
            Chapter::Ready
        }
        (Chapter::Taken, What::Dropped(_)) => Chapter::Over,
        (Chapter::Ready, What::Dropped(_)) => {
            story.spent.preempted_ns += passed_ns;
            Chapter::Over
        }
        (Chapter::Blocked, What::Dropped(_)) => {
            story.spent.blocked_ns += passed_ns;
            Chapter::Over
        }
        (Chapter::Over, What::Answered { .. }) => Chapter::Answered,
        (Chapter::Answered, What::Sent | What::Cut) | (Chapter::Over, What::Cut) => {
            Chapter::Departed
        }
        _ => panic!("{event:?} while it is {before:?}"),
    };
    (story.chapter, story.since_ns) = (next, event.at_ns);
}
