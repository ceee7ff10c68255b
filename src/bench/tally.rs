//! What became of the requests: every one of them is counted under one name.
//!
//! Latencies count from the intended time. A request that was given up after the timeout is in the histogram with the
//! time after which it was given up, which is less than it would have taken: left out, it would make the tail look
//! better. One that failed at once is not: it was no answer, and would make the rest look better.

use std::collections::BTreeMap;

use perf::Histogram;

/// Why a request has no right answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody listens there (ECONNREFUSED).
    Refused,
    /// No connection for another reason.
    NotConnected,
    /// The connection was reset.
    Reset,
    /// The connection was closed before the answer's end.
    ClosedEarly,
    /// What came is no HTTP/1.1.
    Malformed,
    /// An answer with another status.
    WrongStatus,
    /// An answer with another body.
    WrongBody,
    /// No answer in time.
    Timeout,
    /// No connection was free in time.
    NeverSent,
    /// Under way when the run was interrupted.
    Unanswered,
}

impl Failure {
    /// All of them, each with its name in results and a word for people.
    pub const TABLE: [(Self, &'static str, &'static str); 10] = [
        (Self::Refused, "refused", "connection refused"),
        (Self::NotConnected, "not_connected", "no connection"),
        (Self::Reset, "reset", "connection reset"),
        (
            Self::ClosedEarly,
            "closed_early",
            "connection closed before the answer's end",
        ),
        (Self::Malformed, "malformed", "no HTTP/1.1 answer"),
        (
            Self::WrongStatus,
            "wrong_status",
            "answered with another status",
        ),
        (Self::WrongBody, "wrong_body", "answered with another body"),
        (Self::Timeout, "timeout", "no answer in time"),
        (
            Self::NeverSent,
            "never_sent",
            "never sent: no connection was free",
        ),
        (
            Self::Unanswered,
            "unanswered",
            "under way at the interruption",
        ),
    ];

    /// Whether it was an answer all the same.
    pub fn is_answer(self) -> bool {
        matches!(self, Self::WrongStatus | Self::WrongBody)
    }
}

/// The requests of one target, or of all.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// All of them; each is right or failed.
    pub requests: u64,
    /// Those with a right answer.
    pub right: u64,
    /// The others, in the order of [`Failure::TABLE`].
    pub failures: [u64; Failure::TABLE.len()],
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// From the intended time to the end of a right answer, or until it was given up.
    pub latency_ns: Histogram,
    /// From the send to the end of a right answer: what a generator without a schedule would say.
    pub since_sent_ns: Histogram,
    /// From the intended time to the end of a wrong answer.
    pub wrong_ns: Histogram,
    /// Bytes of bodies of answers.
    pub body_bytes: u64,
}

/// A request that is over, times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// The status of its answer and bytes of its body.
    pub answer: Option<(u16, u64)>,
    /// Since it was meant to be sent.
    pub latency_ns: u64,
    /// Since it was sent.
    pub since_sent_ns: u64,
    /// Whether it lasted for the whole timeout.
    pub timed_out: bool,
}

impl Finished {
    /// Whether its latency is a value of [`Tally::latency_ns`].
    pub fn counts(&self) -> bool {
        self.failure.is_none() || self.timed_out
    }
}

impl Tally {
    /// Adds a request that is over.
    pub fn record(&mut self, finished: &Finished) {
        self.requests += 1;
        if let Some((status, body_bytes)) = finished.answer {
            *self.statuses.entry(status).or_default() += 1;
            self.body_bytes += body_bytes;
        }
        match finished.failure {
            None => {
                self.right += 1;
                self.since_sent_ns.record(finished.since_sent_ns);
            }
            Some(failure) => {
                self.failures[failure as usize] += 1;
                if failure.is_answer() {
                    self.wrong_ns.record(finished.latency_ns);
                }
            }
        }
        if finished.counts() {
            self.latency_ns.record(finished.latency_ns);
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.right += other.right;
        for (count, more) in self.failures.iter_mut().zip(other.failures) {
            *count += more;
        }
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.latency_ns.merge(&other.latency_ns);
        self.since_sent_ns.merge(&other.since_sent_ns);
        self.wrong_ns.merge(&other.wrong_ns);
        self.body_bytes += other.body_bytes;
    }

    /// How many failed.
    pub fn failed(&self) -> u64 {
        self.requests - self.right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        for (at, (failure, _, _)) in Failure::TABLE.iter().enumerate() {
            assert_eq!(*failure as usize, at);
        }
    }

    #[test]
    fn a_request_that_was_given_up_counts_and_one_that_failed_at_once_does_not() {
        let mut tally = Tally::default();
        for (failure, timed_out, latency_ns) in [
            (None, false, 10),
            (Some(Failure::Timeout), true, 1_000),
            (Some(Failure::NeverSent), true, 1_000),
            (Some(Failure::NeverSent), false, 5),
            (Some(Failure::Refused), false, 1),
            (Some(Failure::WrongStatus), false, 2),
        ] {
            let answer = failure.is_none_or(Failure::is_answer).then_some((200, 3));
            tally.record(&Finished {
                failure,
                answer,
                latency_ns,
                since_sent_ns: latency_ns,
                timed_out,
            });
        }
        let mut all = Tally::default();
        all.merge(&tally);
        assert_eq!((all.requests, all.right, all.failed()), (6, 1, 5));
        assert_eq!(
            (all.latency_ns.count(), all.latency_ns.max()),
            (3, Some(1_000))
        );
        assert_eq!((all.wrong_ns.count(), all.since_sent_ns.count()), (1, 1));
        assert_eq!((all.statuses[&200], all.body_bytes), (2, 6));
        assert_eq!(all.failures[Failure::NeverSent as usize], 2);
    }
}
