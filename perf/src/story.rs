//! What happened to each request, put together from what the threads noted: its points, its slices, and what it was
//! doing between them.
//!
//! ```text
//!   arrived ── listener ── dispatched ── waiting ──▐slice▌── ready ──▐slice▌── blocked ──▐slice▌ ended ── answered ── sent
//! ```
//!
//! A story that is not whole (its request arrived before the first event or ends after the last, or events of its
//! threads were lost) is left out and counted: half a story would be told as if it were a short one. How it was answered
//! is not needed: whoever looks at workers alone, as a simulation, knows nothing of it.

use std::collections::HashMap;

use crate::event::{Drop, Event, Refusal, What};
use crate::recording::{Chunk, LISTENER};

/// One request, from its arrival to its end. Times in nanoseconds; 0 where not reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// Its number in logs.
    pub request: u64,
    /// Index of its route.
    pub route: u16,
    /// How long it was expected to execute; 0 for unknown.
    pub expected_ns: u64,
    /// Its last byte was there.
    pub arrived_ns: u64,
    /// It was given to a worker.
    pub dispatched_ns: u64,
    /// Which one took it; of one that nobody took, to whom it was given.
    pub worker: u16,
    /// The worker took it out of its ring; where workers steal, as it began.
    pub taken_ns: u64,
    /// Its first slice began.
    pub started_ns: u64,
    /// It was over on its worker, or refused.
    pub ended_ns: u64,
    /// How.
    pub end: Option<End>,
    /// Its answer was handed to its connection.
    pub answered_ns: u64,
    /// The kernel had its answer's last byte; 0 also if it never had.
    pub sent_ns: u64,
    /// Its slices, in order: from when to when.
    pub slices: Vec<(u64, u64)>,
    /// How many of them the clock ended.
    pub preemptions: u32,
    /// When it waited for something, in order.
    pub blocks: Vec<(u64, u64)>,
}

/// How a request was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its function ended; the answer's status.
    Finished(u16),
    /// It was ended.
    Dropped(Drop),
    /// It was not taken.
    Refused(Refusal),
}

impl Story {
    /// How long it held a processor.
    #[must_use]
    pub fn ran_ns(&self) -> u64 {
        length_ns(&self.slices)
    }

    /// How long it waited for something of its own.
    #[must_use]
    pub fn blocked_ns(&self) -> u64 {
        length_ns(&self.blocks)
    }

    /// From its last byte until it was over on its worker.
    #[must_use]
    pub fn sojourn_ns(&self) -> u64 {
        self.ended_ns.saturating_sub(self.arrived_ns)
    }

    /// Whether its function ended, with whatever status.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.end, Some(End::Finished(_)))
    }
}

fn length_ns(spans: &[(u64, u64)]) -> u64 {
    spans.iter().map(|(from_ns, to_ns)| to_ns - from_ns).sum()
}

/// All stories of a recording.
#[derive(Clone, Debug, Default)]
pub struct Stories {
    /// Those that are whole, in the order of their ends.
    pub whole: Vec<Story>,
    /// Requests of whose stories a part is missing.
    pub torn: u64,
    /// Events that were lost.
    pub lost: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Outside,
    Ready,
    Running(u64),
    Blocked(u64),
    Over,
    /// Its worker's events do not make sense.
    Torn,
}

#[derive(Default)]
struct Draft {
    story: Story,
    state: State,
    has_arrived: bool,
    /// Nothing more will be noted of it.
    has_departed: bool,
}

impl Stories {
    /// Puts together what these chunks tell, which are those of a whole recording in their order.
    #[must_use]
    pub fn of(chunks: impl IntoIterator<Item = Chunk>) -> Self {
        let mut stories = Self::default();
        let mut drafts = HashMap::<u64, Draft>::new();
        for chunk in chunks {
            stories.lost += chunk.lost;
            for event in &chunk.events {
                let draft = drafts.entry(event.request).or_default();
                draft.story.request = event.request;
                match chunk.source {
                    LISTENER => draft.listener(event),
                    source => draft.worker(event, source - 1),
                }
                // Most end while few others are under way; so the table stays small.
                if draft.is_over()
                    && draft.has_departed
                    && let Some(draft) = drafts.remove(&event.request)
                {
                    stories.whole.push(draft.story);
                }
            }
        }
        let (over, torn) = drafts.into_values().partition::<Vec<_>, _>(Draft::is_over);
        stories
            .whole
            .extend(over.into_iter().map(|draft| draft.story));
        stories
            .whole
            .sort_by_key(|story| (story.ended_ns, story.request));
        stories.torn = torn.len() as u64;
        stories
    }
}

impl Draft {
    fn is_over(&self) -> bool {
        self.has_arrived && self.state == State::Over
    }

    fn listener(&mut self, event: &Event) {
        let story = &mut self.story;
        match event.what {
            What::Arrived { route, expected_ns } => {
                self.has_arrived = true;
                (story.route, story.expected_ns) = (route, expected_ns);
                story.arrived_ns = event.at_ns;
            }
            What::Dispatched { worker } => {
                story.dispatched_ns = event.at_ns;
                // Another one may have stolen it, and may have said so before.
                if story.taken_ns == 0 {
                    story.worker = worker;
                }
            }
            What::Refused(why) => self.end(event.at_ns, End::Refused(why)),
            // It waited at the dispatcher.
            What::Dropped(why) => self.end(event.at_ns, End::Dropped(why)),
            What::Answered { .. } => story.answered_ns = event.at_ns,
            What::Sent => {
                story.sent_ns = event.at_ns;
                self.has_departed = true;
            }
            What::Cut => self.has_departed = true,
            _ => {}
        }
    }

    fn end(&mut self, at_ns: u64, end: End) {
        (self.story.ended_ns, self.story.end) = (at_ns, Some(end));
        self.state = State::Over;
    }

    fn worker(&mut self, event: &Event, worker: u16) {
        let (at_ns, story) = (event.at_ns, &mut self.story);
        let next = match (self.state, event.what) {
            (State::Outside, What::Taken) => {
                (story.taken_ns, story.worker) = (at_ns, worker);
                State::Ready
            }
            (State::Ready, What::Resumed) => {
                if story.started_ns == 0 {
                    story.started_ns = at_ns;
                }
                State::Running(at_ns)
            }
            (State::Running(from_ns), what) => {
                story.slices.push((from_ns, at_ns.max(from_ns)));
                match what {
                    What::Preempted => {
                        story.preemptions += 1;
                        State::Ready
                    }
                    What::Yielded => State::Ready,
                    What::Blocked => State::Blocked(at_ns),
                    What::Finished { status } => return self.end(at_ns, End::Finished(status)),
                    _ => State::Torn,
                }
            }
            (State::Blocked(from_ns), What::Woken) => {
                story.blocks.push((from_ns, at_ns.max(from_ns)));
                State::Ready
            }
            (State::Outside | State::Ready | State::Blocked(_), What::Dropped(why)) => {
                if let State::Blocked(from_ns) = self.state {
                    story.blocks.push((from_ns, at_ns.max(from_ns)));
                }
                return self.end(at_ns, End::Dropped(why));
            }
            _ => State::Torn,
        };
        self.state = next;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Chunks from rows of source, time, request and event.
    pub(crate) fn chunks(rows: &[(u16, u64, u64, What)]) -> Vec<Chunk> {
        let chunk = |&(source, at_ns, request, what): &(u16, u64, u64, What)| Chunk {
            source,
            lost: 0,
            events: vec![Event {
                at_ns,
                request,
                what,
            }],
        };
        rows.iter().map(chunk).collect()
    }

    pub(crate) const ARRIVED: What = What::Arrived {
        route: 3,
        expected_ns: 9,
    };
    pub(crate) const DONE: What = What::Finished { status: 200 };
    pub(crate) const ANSWERED: What = What::Answered { status: 200 };

    #[test]
    fn who_stole_a_request_is_its_worker() {
        let [given, taken] = [What::Dispatched { worker: 0 }, What::Taken];
        // The file may tell of either first.
        for order in [
            [(0, 11, given), (2, 12, taken)],
            [(2, 12, taken), (0, 11, given)],
        ] {
            let mut rows = vec![(0, 10, 7, ARRIVED)];
            rows.extend(order.map(|(source, at_ns, what)| (source, at_ns, 7, what)));
            rows.extend([(2, 13, 7, What::Resumed), (2, 20, 7, DONE)]);
            rows.extend([(0, 21, 7, ANSWERED), (0, 22, 7, What::Sent)]);
            let stories = Stories::of(chunks(&rows));
            let workers: Vec<u16> = stories.whole.iter().map(|story| story.worker).collect();
            assert_eq!(workers, [1]);
        }
    }

    #[test]
    fn a_story_is_put_together_from_both_threads() {
        use What::{Blocked, Dispatched, Preempted, Resumed, Sent, Taken, Woken, Yielded};
        let to = Dispatched { worker: 1 };
        let rows = [
            (2, 12, 7, Taken),
            (2, 13, 7, Resumed),
            (0, 10, 7, ARRIVED),
            (0, 11, 7, to),
            (2, 20, 7, Preempted),
            (2, 25, 7, Resumed),
            (2, 27, 7, Blocked),
            (2, 40, 7, Woken),
            (2, 41, 7, Resumed),
            (2, 42, 7, Yielded),
            (2, 45, 7, Resumed),
            (2, 50, 7, DONE),
            (0, 60, 7, ANSWERED),
            (0, 61, 7, Sent),
        ];
        let stories = Stories::of(chunks(&rows));
        let expected = Story {
            request: 7,
            route: 3,
            expected_ns: 9,
            arrived_ns: 10,
            dispatched_ns: 11,
            worker: 1,
            taken_ns: 12,
            started_ns: 13,
            ended_ns: 50,
            end: Some(End::Finished(200)),
            answered_ns: 60,
            sent_ns: 61,
            slices: vec![(13, 20), (25, 27), (41, 42), (45, 50)],
            preemptions: 1,
            blocks: vec![(27, 40)],
        };
        assert_eq!((stories.whole, stories.torn), (vec![expected.clone()], 0));
        assert_eq!(expected.ran_ns(), 15);
        assert_eq!((expected.blocked_ns(), expected.sojourn_ns()), (13, 40));
        // Whatever is missing of how it was served, it is no story.
        for left_out in 0..rows.len() {
            if matches!(rows[left_out].3, Dispatched { .. } | ANSWERED | Sent) {
                continue;
            }
            let mut rows = rows.to_vec();
            rows.remove(left_out);
            let stories = Stories::of(chunks(&rows));
            assert_eq!((stories.whole.len(), stories.torn), (0, 1), "{left_out}");
        }
    }

    #[test]
    fn requests_end_in_many_ways() {
        let check = |rows: &[(u16, u64, u64, What)], end: End, ended_ns: u64| {
            let stories = Stories::of(chunks(rows));
            assert_eq!(stories.torn, 0, "{rows:?}");
            let story = &stories.whole[0];
            assert_eq!((story.end, story.ended_ns), (Some(end), ended_ns));
            assert_eq!(story.is_finished(), matches!(end, End::Finished(_)));
        };
        let gone = What::Dropped(Drop::Abandoned);
        let dropped = End::Dropped(Drop::Abandoned);
        let full = Refusal::Full;
        let to = What::Dispatched { worker: 0 };
        check(
            &[
                (0, 1, 1, ARRIVED),
                (0, 2, 1, What::Refused(full)),
                (0, 3, 1, ANSWERED),
                (0, 4, 1, What::Sent),
            ],
            End::Refused(full),
            2,
        );
        check(
            &[
                (0, 1, 1, ARRIVED),
                (0, 2, 1, What::Held),
                (0, 3, 1, gone),
                (0, 4, 1, What::Cut),
            ],
            dropped,
            3,
        );
        check(
            &[
                (0, 1, 1, ARRIVED),
                (0, 2, 1, to),
                (1, 3, 1, gone),
                (0, 4, 1, What::Cut),
            ],
            dropped,
            3,
        );
        check(
            &[
                (0, 1, 1, ARRIVED),
                (0, 2, 1, to),
                (1, 3, 1, What::Taken),
                (1, 4, 1, What::Resumed),
                (1, 5, 1, What::Blocked),
                (1, 9, 1, gone),
                (0, 10, 1, What::Cut),
            ],
            dropped,
            9,
        );
    }
}
