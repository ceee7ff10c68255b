//! What each request did, put together from the events of several threads, of which each notes only its part.
//!
//! ```text
//!   listener   Arrived ─────────────────────────────► Refused: it did not run
//!   worker     Taken ─► Resumed ─► Preempted, Yielded, Blocked ─► Woken ─► Resumed … ─► Finished, Dropped
//!                          └─ work ─┘                    └─ wait ──┘
//! ```
//!
//! The threads' events come in any order, each thread's in its own. A request is complete when both parts are; until
//! then it is kept by its number, and of one that is complete there is a record and no more. What is not complete, or
//! has lost events in between, is left out and counted: a guess at how long something ran would be taken for a
//! measurement. Of those that did not run it is the mean of their route's.
//!
//! Yields are kept. Where a task blocks and goes on without a wake in between, what it waited for was there already: the
//! wait is 0. A wait ends when the worker has heard of it, between two slices: where those are long, a recorded wait may
//! be longer than what was waited for.

use std::collections::HashMap;

use perf::event::{Event, What};
use perf::recording::{Chunk, Header};
use sched::Nanos;
use serde::Serialize;

use super::bursts::Bursts;
use super::engine::{Burst, Then};
use super::trace::{REQUESTS_MAX, Record};

/// Times of events lie so far from the recording's start at most, in nanoseconds: 36 years.
const AWAY_MAX_NS: u64 = 1 << 60;

/// See the module's text.
pub struct Timelines {
    start_ns: u64,
    /// Those of which something is missing, by number.
    open: HashMap<u64, Course>,
    /// In the order of arrival.
    records: Vec<Record>,
    bursts: Bursts,
    /// By source: how often events were lost.
    gaps: Vec<u64>,
    /// By route: how many finished, and how long they ran together.
    finished: Vec<(u64, u128)>,
    counts: Counts,
}

/// What was found in a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests that are replayed, …
    pub replayed: u64,
    /// … of them those that were refused, or dropped before they ran, which are taken to run for their route's mean.
    pub not_run: u64,
    /// … of them those that were dropped after they had run for a while, which run for as long.
    pub cut_short: u64,
    /// Left out: their arrival is not in it.
    pub without_beginning: u64,
    /// Left out: their end is not in it.
    pub without_end: u64,
    /// Left out: events of theirs in between were overwritten before they were recorded.
    pub with_losses: u64,
    /// Left out: their events contradict each other.
    pub contradictory: u64,
    /// Left out: they did not run, and none of their route has finished.
    pub unknown: u64,
    /// Requests that were refused, as recorded.
    pub refused: u64,
    /// Slices that ended by the clock, as recorded.
    pub preemptions: u64,
    /// Events that were overwritten before they were recorded.
    pub events_lost: u64,
}

impl Counts {
    /// How many are left out, and why; `None`: nobody is.
    pub fn left_out(&self) -> Option<String> {
        let reasons = [
            (self.without_beginning, "have no beginning in it"),
            (self.without_end, "have no end in it"),
            (self.with_losses, "have lost events"),
            (self.contradictory, "contradict themselves"),
            (self.unknown, "did not run and nobody of their route did"),
        ];
        let reasons = reasons.into_iter().filter(|(count, _)| *count > 0);
        let reasons: Vec<String> = reasons
            .map(|(count, why)| format!("{count} {why}"))
            .collect();
        (!reasons.is_empty()).then(|| reasons.join(", "))
    }
}

/// What is known of a request.
#[derive(Default)]
struct Course {
    /// Where its record is, if it was seen to arrive.
    record: Option<usize>,
    state: State,
    /// The worker that has it, as a source, and how often that one had lost events by then.
    source: (u16, u64),
    /// When the state began.
    since_ns: i64,
    /// What it worked in the burst that is not over.
    work_ns: Nanos,
    has_run: bool,
    /// Those that are over.
    bursts: Vec<Burst>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// No worker has it.
    #[default]
    Elsewhere,
    /// It does not run, and could.
    Ready,
    Running,
    Blocked,
    /// It is over, since then.
    Finished,
    Dropped,
    /// It cannot be told what it did.
    Broken(Why),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Loss,
    Contradiction,
}

impl Timelines {
    /// Of a recording with this header.
    pub fn new(header: &Header) -> Self {
        Self {
            start_ns: header.start_ns,
            open: HashMap::new(),
            records: Vec::new(),
            bursts: Bursts::default(),
            gaps: vec![0; usize::from(header.workers) + 1],
            finished: vec![(0, 0); header.routes.len()],
            counts: Counts::default(),
        }
    }

    /// Takes in a chunk; those of a source in their order.
    ///
    /// # Errors
    ///
    /// A sentence about what makes no sense.
    pub fn take(&mut self, chunk: &Chunk) -> Result<(), String> {
        let source = chunk.source;
        if chunk.lost > 0 {
            self.gaps[usize::from(source)] += 1;
            self.counts.events_lost = self.counts.events_lost.saturating_add(chunk.lost);
        }
        for event in &chunk.events {
            let away_ns = event.at_ns.wrapping_sub(self.start_ns) as i64;
            if away_ns.unsigned_abs() > AWAY_MAX_NS {
                let request = event.request;
                return Err(format!(
                    "request {request} has an event decades away from the others"
                ));
            }
            self.note(source, away_ns, event)?;
        }
        Ok(())
    }

    fn note(&mut self, source: u16, now: i64, event: &Event) -> Result<(), String> {
        match event.what {
            What::Arrived { route, expected_ns } => {
                self.arrived(now, event.request, route, expected_ns)?;
            }
            What::Refused(_) => self.refused(event.request),
            // They say nothing of what it did.
            What::Held
            | What::Dispatched { .. }
            | What::Answered { .. }
            | What::Sent
            | What::Cut => {}
            _ => self.worked((source, self.gaps[usize::from(source)]), now, event)?,
        }
        Ok(())
    }

    /// Takes note of a worker's event.
    fn worked(&mut self, source: (u16, u64), now: i64, event: &Event) -> Result<(), String> {
        self.counts.preemptions += u64::from(event.what == What::Preempted);
        let course = match event.what {
            // One that is over may be woken still.
            What::Woken => self.open.get_mut(&event.request),
            _ => Some(self.open.entry(event.request).or_default()),
        };
        let Some(course) = course else {
            return Ok(());
        };
        course.step(source, now, event.what);
        match course.is_complete() {
            true => self.close(event.request),
            false => Ok(()),
        }
    }

    fn arrived(
        &mut self,
        now: i64,
        request: u64,
        route: u16,
        expected_ns: Nanos,
    ) -> Result<(), String> {
        if usize::from(route) >= self.finished.len() {
            let routes = self.finished.len();
            return Err(format!(
                "request {request} is for route {route} of {routes}"
            ));
        }
        if self.records.len() >= REQUESTS_MAX {
            return Err(format!("there are more than {REQUESTS_MAX} requests"));
        }
        let course = self.open.entry(request).or_default();
        if course.record.is_some() {
            course.state = State::Broken(Why::Contradiction);
            return Ok(());
        }
        course.record = Some(self.records.len());
        let mut record = Record::new(now, MISSING, route);
        (record.service_ns, record.expected_ns) = (MISSING, expected_ns);
        self.records.push(record);
        match course.is_complete() {
            true => self.close(request),
            false => Ok(()),
        }
    }

    fn refused(&mut self, request: u64) {
        self.counts.refused += 1;
        match self.open.remove(&request) {
            Some(Course {
                record: Some(at),
                state: State::Elsewhere,
                ..
            }) => self.records[at].is_guess = true,
            Some(course) => self.count_incomplete(&course),
            None => self.counts.without_beginning += 1,
        }
    }

    /// Completes the record of a request of which all is known.
    fn close(&mut self, request: u64) -> Result<(), String> {
        let course = self.open.remove(&request);
        let mut course = course.expect("it was looked at");
        let at = course.record.expect("it is complete");
        let record = &mut self.records[at];
        let Some(sojourn_ns) = elapsed_ns(record.arrival_ns, course.since_ns) else {
            self.counts.contradictory += 1;
            return Ok(());
        };
        record.sojourn_ns = sojourn_ns;
        if !course.has_run {
            record.is_guess = true;
            return Ok(());
        }
        course.end_last_burst();
        record.service_ns = course.bursts.iter().map(|burst| burst.work_ns).sum();
        if course.bursts.len() > 1 {
            record.bursts = self.bursts.push(&course.bursts)?;
        }
        if course.state == State::Finished {
            let (count, sum_ns) = &mut self.finished[usize::from(record.class)];
            (*count, *sum_ns) = (*count + 1, *sum_ns + u128::from(record.service_ns));
        } else {
            self.counts.cut_short += 1;
        }
        Ok(())
    }

    /// The requests that can be replayed, their classes being their routes.
    pub fn finish(mut self) -> (Vec<Record>, Bursts, Counts) {
        let open = std::mem::take(&mut self.open);
        open.values()
            .for_each(|course| self.count_incomplete(course));
        let Self {
            finished,
            mut counts,
            mut records,
            bursts,
            ..
        } = self;
        records.retain_mut(|record| {
            if record.is_guess {
                let (count, sum_ns) = finished[usize::from(record.class)];
                counts.not_run += u64::from(count > 0);
                counts.unknown += u64::from(count == 0);
                // Of an empty sum there is no mean: it is left out.
                let mean_ns = sum_ns.checked_div(u128::from(count));
                record.service_ns = mean_ns.map_or(MISSING, |mean_ns| mean_ns.max(1) as Nanos);
            }
            record.service_ns != MISSING
        });
        counts.replayed = records.len() as u64;
        (records, bursts, counts)
    }

    fn count_incomplete(&mut self, course: &Course) {
        let counter = match (course.record, course.state) {
            (None, _) => &mut self.counts.without_beginning,
            (_, State::Broken(Why::Contradiction)) => &mut self.counts.contradictory,
            (_, State::Broken(Why::Loss)) => &mut self.counts.with_losses,
            _ if self.gaps[usize::from(course.source.0)] > course.source.1 => {
                &mut self.counts.with_losses
            }
            _ => &mut self.counts.without_end,
        };
        *counter += 1;
    }
}

/// The service of a record that is not complete.
const MISSING: Nanos = 0;

impl Course {
    fn is_complete(&self) -> bool {
        self.record.is_some() && matches!(self.state, State::Finished | State::Dropped)
    }

    /// Takes note of an event of a worker, by its number as a source and how often it has lost events.
    fn step(&mut self, source: (u16, u64), now: i64, what: What) {
        use State::{Blocked, Broken, Dropped, Elsewhere, Finished, Ready, Running};
        let state = self.state;
        if let (Ready | Running, What::Woken) | (Broken(_), _) = (state, what) {
            // It will look anyhow, or nobody wants to know.
            return;
        }
        let in_state_ns = match state {
            Elsewhere => Some(0),
            _ if source != self.source => None,
            _ => elapsed_ns(self.since_ns, now),
        };
        let Some(in_state_ns) = in_state_ns else {
            let lost = source.0 == self.source.0 && source.1 > self.source.1;
            let why = if lost { Why::Loss } else { Why::Contradiction };
            self.state = Broken(why);
            return;
        };
        if state == Running {
            self.work_ns += in_state_ns;
        }
        self.state = match (state, what) {
            (Elsewhere, What::Taken) => Ready,
            // It left before a worker had it, unless that was not seen.
            (Elsewhere, What::Dropped(_)) if source.1 == 0 => Dropped,
            (Elsewhere, _) => Broken(Why::Loss),
            (Ready, What::Resumed) => Running,
            // What it waited for was there before it had stopped.
            (Blocked, What::Resumed) => self.end_burst(Then::Wait(0), Running),
            (Blocked, What::Woken) => self.end_burst(Then::Wait(in_state_ns), Ready),
            (Running, What::Preempted) => Ready,
            (Running, What::Yielded) => self.end_burst(Then::Yield, Ready),
            (Running, What::Blocked) => Blocked,
            (Running, What::Finished { .. }) => Finished,
            (Ready | Running | Blocked, What::Dropped(_)) => Dropped,
            _ => Broken(Why::Contradiction),
        };
        self.has_run |= self.state == Running;
        (self.source, self.since_ns) = (source, now);
    }

    fn end_burst(&mut self, then: Then, state: State) -> State {
        let work_ns = std::mem::take(&mut self.work_ns).max(1);
        self.bursts.push(Burst { work_ns, then });
        state
    }

    /// One that was dropped before it went on has no burst for that.
    fn end_last_burst(&mut self) {
        match self.bursts.last_mut() {
            Some(last) if self.state == State::Dropped && self.work_ns == 0 => {
                last.then = Then::End;
            }
            _ => _ = self.end_burst(Then::End, self.state),
        }
    }
}

/// `None`: it runs backwards.
fn elapsed_ns(from_ns: i64, to_ns: i64) -> Option<Nanos> {
    u64::try_from(to_ns - from_ns).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::trace::{UNTOLD, bursts_text};
    use perf::event::{Drop, Refusal};
    use perf::recording::Route;

    /// An event is a letter, the request, and the time: `R1@20`. An arrival may have a route: `A1/2@20`.
    fn event(text: &str) -> Event {
        let (kind, rest) = text.split_at(1);
        let (request, at) = rest.split_once('@').expect(text);
        let (request, route) = request.split_once('/').unwrap_or((request, "0"));
        let what = match kind {
            "A" => What::Arrived {
                route: route.parse().expect(text),
                expected_ns: 7,
            },
            "N" => What::Refused(Refusal::Server),
            "H" => What::Held,
            "D" => What::Dispatched { worker: 0 },
            "T" => What::Taken,
            "R" => What::Resumed,
            "P" => What::Preempted,
            "Y" => What::Yielded,
            "B" => What::Blocked,
            "W" => What::Woken,
            "F" => What::Finished { status: 200 },
            "X" => What::Dropped(Drop::Abandoned),
            "S" => What::Sent,
            "C" => What::Cut,
            _ => panic!("{text}"),
        };
        Event {
            at_ns: at.parse::<i64>().expect(text) as u64,
            request: request.parse().expect(text),
            what,
        }
    }

    /// Chunks are separated by `|`: the source, maybe `!` and how many events were lost before, and the events.
    fn taken(text: &str) -> Result<Timelines, String> {
        let mut timelines = Timelines::new(&Header {
            workers: 2,
            routes: vec![Route::default(); 3],
            ..Header::default()
        });
        for chunk in text.split('|') {
            let (head, events) = chunk.trim().split_once(':').expect(text);
            let (source, lost) = head.split_once('!').unwrap_or((head, "0"));
            timelines.take(&Chunk {
                source: source.parse().expect(text),
                lost: lost.parse().expect(text),
                events: events.split_whitespace().map(event).collect(),
            })?;
        }
        Ok(timelines)
    }

    /// The requests that are replayed: arrival, service and sojourn, and the bursts or `?` for a guess.
    fn check(text: &str, expected: &[&str], counts: Counts) {
        let (records, bursts, found) = taken(text).expect(text).finish();
        let row = |record: &Record| {
            let own: Vec<Burst> = bursts.each(record.bursts).collect();
            let ns = |burst: &Burst| Burst {
                work_ns: burst.work_ns * 1_000,
                then: match burst.then {
                    Then::Wait(wait_ns) => Then::Wait(wait_ns * 1_000),
                    then => then,
                },
            };
            let sojourn = match record.sojourn_ns {
                UNTOLD => "-".to_owned(),
                told_ns => told_ns.to_string(),
            };
            let (arrival_ns, service_ns) = (record.arrival_ns, record.service_ns);
            let how = match record.is_guess {
                true => "?".to_owned(),
                false => bursts_text(own.iter().map(ns)),
            };
            format!("{arrival_ns} {service_ns} {sojourn} {how}")
        };
        let rows: Vec<String> = records.iter().map(row).collect();
        let rows: Vec<&str> = rows.iter().map(|row| row.trim_end()).collect();
        assert_eq!(rows, expected, "{text}");
        let replayed = expected.len() as u64;
        assert_eq!(found, Counts { replayed, ..counts }, "{text}");
    }

    fn preempted(preemptions: u64) -> Counts {
        Counts {
            preemptions,
            ..Counts::default()
        }
    }

    #[test]
    fn slices_are_work_and_blocks_are_waits() {
        let none = Counts::default();
        check(
            "0: A1@10 D1@11 S1@60 | 1: T1@12 R1@15 F1@40",
            &["10 25 30"],
            none,
        );
        // Interrupted, it works on, and what is between is queueing.
        let slices = "0: A1@10 | 1: T1@12 R1@15 P1@20 R1@30 P1@31 R1@40 F1@44";
        check(slices, &["10 10 34"], preempted(2));
        let waits = "0: A1@0 | 1: T1@0 R1@0 B1@5 W1@25 R1@30 P1@32 R1@33 B1@34 W1@44 R1@44 F1@48";
        check(waits, &["0 12 48 5+20+3+10+4"], preempted(1));
        // What it waited for was there before it had stopped, whether or not that was noted.
        check(
            "0: A1@0 | 1: T1@0 R1@0 B1@5 R1@9 F1@10",
            &["0 6 10 5+0+1"],
            none,
        );
        check(
            "0: A1@0 | 1: T1@0 R1@0 W1@4 B1@5 R1@9 F1@10",
            &["0 6 10 5+0+1"],
            none,
        );
        // A wake that finds it ready says nothing, nor does one of somebody who is gone.
        let stray = "0: A1@0 | 1: T1@0 W1@0 R1@0 P1@3 W1@4 R1@5 B1@8 W1@9 R1@9 F1@10 W1@11";
        check(stray, &["0 7 10 6+1+1"], preempted(1));
        check(
            "0: A1@0 | 1: T1@0 R1@0 Y1@5 R1@9 F1@10",
            &["0 6 10 5+y+1"],
            none,
        );
        // Too short for the clock.
        check(
            "0: A1@0 | 1: T1@0 R1@0 B1@0 W1@5 R1@5 F1@5",
            &["0 2 5 1+5+1"],
            none,
        );
    }

    /// The order of arrival is that of the listener, whatever its events' times and the order of the chunks.
    #[test]
    fn threads_may_be_written_in_any_order() {
        let expected = ["20 4 10", "10 5 11", "10 1 15"];
        for text in [
            "0: A2@20 A1@10 H3@9 A3@10 | 1: T1@11 T3@12 R1@16 F1@21 R3@24 F3@25 | 2: T2@26 R2@26 F2@30",
            "2: T2@26 R2@26 F2@30 | 1: T1@11 | 1: T3@12 R1@16 | 1: F1@21 R3@24 F3@25 | 0: A2@20 A1@10 A3@10 C1@30",
            "1: T1@11 | 0: A2@20 A1@10 | 2: T2@26 R2@26 | 1: T3@12 R1@16 F1@21 | 0: A3@10 | 2: F2@30 | 1: R3@24 F3@25",
        ] {
            check(text, &expected, Counts::default());
        }
    }

    #[test]
    fn who_was_dropped_ran_for_as_long_as_it_ran() {
        let cut_short = |count| Counts {
            cut_short: count,
            ..Counts::default()
        };
        // While it runs, between two slices, while it waits, and when it was woken.
        for (ends, expected) in [
            ("R1@2 X1@9", "0 7 9"),
            ("R1@2 Y1@9 X1@12", "0 7 12"),
            ("R1@2 B1@9 X1@12", "0 7 12"),
            ("R1@2 B1@9 W1@12 X1@13", "0 7 13"),
            ("R1@2 B1@9 W1@12 R1@14 X1@18", "0 11 18 7+3+4"),
            ("R1@2 B1@9 W1@12 R1@14 B1@18 X1@30", "0 11 30 7+3+4"),
        ] {
            check(
                &format!("0: A1@0 | 1: T1@1 {ends}"),
                &[expected],
                cut_short(1),
            );
        }
        // It says nothing of how long its route's run.
        let text = "0: A1@0 A2@1 N2@1 | 1: T1@1 R1@2 X1@9";
        let unknown = Counts {
            unknown: 1,
            refused: 1,
            ..cut_short(1)
        };
        check(text, &["0 7 9"], unknown);
    }

    #[test]
    fn who_did_not_run_takes_the_mean_of_its_route() {
        let runs = "1: T1@1 T2@1 R1@10 F1@14 R2@20 F2@40";
        let not_run = |count, refused| Counts {
            not_run: count,
            refused,
            ..Counts::default()
        };
        let expected = ["0 4 14", "0 20 40", "5 12 - ?"];
        check(
            &format!("0: A1@0 A2@0 A3@5 N3@5 | {runs}"),
            &expected,
            not_run(1, 1),
        );
        // It left while it was held, or in the worker's ring, or waited for its first slice.
        let expected = ["0 4 14", "0 20 40", "5 12 3 ?"];
        let others = format!("{runs} | 0: A1@0 A2@0 A3@5");
        check(&format!("{others} H3@5 X3@8"), &expected, not_run(1, 0));
        check(&format!("{others} | 2: X3@8"), &expected, not_run(1, 0));
        check(
            &format!("{others} | 2: T3@6 X3@8"),
            &expected,
            not_run(1, 0),
        );
        // Nobody knows of another route.
        let text = format!("0: A1@0 A2@0 A3/1@5 N3@5 | {runs}");
        let unknown = Counts {
            unknown: 1,
            refused: 1,
            ..Counts::default()
        };
        check(&text, &expected[..2], unknown);
    }

    #[test]
    fn what_is_not_whole_is_left_out_and_counted() {
        let good = "0: A9@0 | 2: T9@0 R9@1 F9@2";
        let without_beginning = |count| Counts {
            without_beginning: count,
            ..Counts::default()
        };
        let without_end = |count| Counts {
            without_end: count,
            ..Counts::default()
        };
        let lost = |count, events_lost| Counts {
            with_losses: count,
            events_lost,
            ..Counts::default()
        };
        let contradictory = Counts {
            contradictory: 1,
            ..Counts::default()
        };
        let rows = [
            ("1: R1@0 F1@5", without_beginning(1)),
            ("1: T1@0 R1@0 F1@5", without_beginning(1)),
            ("1: F1@0 X2@1", without_beginning(2)),
            ("0: S1@0 C2@0 H3@0", without_beginning(0)),
            ("0: A1@0", without_end(1)),
            (
                "0: A1@0 A2@0 A3@0 | 1: T1@0 T2@1 R2@2 T3@3 R3@4 B3@5",
                without_end(3),
            ),
            // Its slice, its end, its beginning and the whole of it are lost.
            ("0: A1@0 | 1: T1@0 | 1!2: R1@4 F1@5", lost(1, 2)),
            ("0: A1@0 | 1: T1@0 R1@0 | 1!1:", lost(1, 1)),
            ("0: A1@0 | 1!1: R1@0 F1@5", lost(1, 1)),
            ("0: A1@0 | 1!1: X1@5", lost(1, 1)),
            ("0: A1@0 | 1!1:", without_end(1).and_lost(1)),
            // Another worker's do not matter, nor the listener's, nor those before it came.
            (
                "1: T1@0 R1@0 | 2!4: | 0!1: A1@0",
                without_end(1).and_lost(5),
            ),
            ("0: A1@9 | 1: R1@10", lost(1, 0)),
            ("0: A1@0 | 1: T1@0 B1@1", contradictory),
            ("0: A1@0 | 1: T1@0 F1@1", contradictory),
            ("0: A1@0 | 1: T1@0 R1@5 F1@4", contradictory),
            ("0: A1@0 | 1: T1@0 R1@5 R1@6 F1@7", contradictory),
            ("0: A1@0 | 1: T1@0 | 2: R1@5 F1@6", contradictory),
            ("0: A1@0 A1@0 | 1: T1@0 R1@5 F1@6", contradictory),
            ("0: A1@9 | 1: T1@0 R1@5 F1@6", contradictory),
        ];
        for (text, counts) in rows {
            check(&format!("{good} | {text}"), &["0 1 2"], counts);
        }
        let after = "1!3: | 0: A1@0 | 1: T1@0 R1@1 F1@5";
        check(after, &["0 4 5"], lost(0, 3));
        assert_eq!(
            contradictory.left_out().as_deref(),
            Some("1 contradict themselves")
        );
        assert_eq!(preempted(9).left_out(), None);
    }

    impl Counts {
        fn and_lost(self, events_lost: u64) -> Self {
            Self {
                events_lost,
                ..self
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for (text, part) in [
            ("0: A1/3@0", "request 1 is for route 3 of 3"),
            ("0: A1@9223372036854775807", "decades away"),
            ("1: T1@-9223372036854775808", "decades away"),
        ] {
            let said = taken(text).err().expect(text);
            assert!(said.contains(part), "{text}: {said}");
        }
        // A clock that began late: what is before the start is no mistake.
        check(
            "0: A1@-5 | 1: T1@-5 R1@-3 F1@2",
            &["-5 5 7"],
            Counts::default(),
        );
    }
}
