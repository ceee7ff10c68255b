//! When a request gets no more time, and what becomes of it: the route's CPU limit, its deadline.
//!
//! Pure: time is an argument. What ends a guest from within (traps, its memory, its stack) is the sandbox's
//! to find; here is only how each end is told and counted.
//!
//! | end | answer | because |
//! | --- | --- | --- |
//! | trap, exit code, stack, memory, table, output, CPU limit | 500 | the function is at fault |
//! | no CGI response where one is due (`abi: wagi`) | 502 | the function is at fault as a gateway's other side |
//! | deadline, started | 504 | it was not done in time |
//! | deadline, not started | 503 | the server was not; another try may find it idle |
//!
//! A sandbox that waits when its deadline passes is woken for its verdict.

use super::routes::Route;
use crate::config::DeadlineAction;
use listener::{Exchange, Timeline};
use listener_http::{CgiError, Status};
use perf::event;
use perf::live::Counter;
use sandbox::Exit;
use sched::Nanos;
use std::fmt::{self, Display, Formatter};

/// Why a request is over, whether or not its function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has had its route's CPU time.
    CpuLimit,
    /// Its deadline has passed.
    Deadline,
    /// Its deadline has passed before it began.
    Unstarted,
}

/// How requests have ended other than well: of one route on one worker, which alone counts, or a sum of such.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    exit_codes: Counter,
    traps: Counter,
    stack_limit: Counter,
    memory_limit: Counter,
    table_limit: Counter,
    output_limit: Counter,
    cpu_limit: Counter,
    deadline: Counter,
    unstarted: Counter,
    start_failed: Counter,
    not_cgi: Counter,
}

/// The verdict on a request whose turn it is, or that has had it.
pub(crate) fn verdict(
    route: &Route,
    timeline: &Timeline,
    now: Nanos,
    is_started: bool,
) -> Option<Verdict> {
    let is_late = now >= route.deadline_ns(timeline.arrived_ns);
    let cpu_limit_ns = route.cpu_limit_ns.unwrap_or(Nanos::MAX);
    match route.deadline_action {
        DeadlineAction::Kill if is_late && is_started => Some(Verdict::Deadline),
        DeadlineAction::Kill | DeadlineAction::DropUnstarted if is_late && !is_started => {
            Some(Verdict::Unstarted)
        }
        _ if timeline.ran_ns >= cpu_limit_ns => Some(Verdict::CpuLimit),
        _ => None,
    }
}

/// When a slice that begins now must end whoever waits: there would be a verdict then.
pub(crate) fn limit_ns(route: &Route, timeline: &Timeline, now: Nanos) -> Option<Nanos> {
    let deadline_ns = match route.deadline_action {
        DeadlineAction::Kill => route.deadline_ns(timeline.arrived_ns),
        DeadlineAction::None | DeadlineAction::DropUnstarted => Nanos::MAX,
    };
    let cpu_ns = route.cpu_limit_ns.map_or(Nanos::MAX, |limit_ns| {
        now.saturating_add(limit_ns.saturating_sub(timeline.ran_ns))
    });
    let limit_ns = deadline_ns.min(cpu_ns);
    (limit_ns != Nanos::MAX).then_some(limit_ns)
}

impl Verdict {
    pub(crate) fn event(self) -> event::Drop {
        match self {
            Verdict::CpuLimit => event::Drop::CpuLimit,
            Verdict::Deadline => event::Drop::Deadline,
            Verdict::Unstarted => event::Drop::Unstarted,
        }
    }

    pub(crate) fn status(self) -> Status {
        match self {
            Verdict::CpuLimit => Status::INTERNAL_SERVER_ERROR,
            Verdict::Deadline => Status::GATEWAY_TIMEOUT,
            Verdict::Unstarted => Status::SERVICE_UNAVAILABLE,
        }
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::CpuLimit => "function used up its CPU limit",
            Verdict::Deadline => "function was not done by its deadline",
            Verdict::Unstarted => "request had not begun by its deadline",
        })
    }
}

/// What is wrong with the output of a function that succeeded, in words.
pub(crate) const NOT_CGI: &str = "function wrote no CGI response";

/// How a function ended, in words.
pub(crate) fn what(exit: &Exit) -> &'static str {
    match exit {
        Exit::Success => "function succeeded",
        Exit::Code(_) => "function exited with a code other than 0",
        Exit::StartFailed(_) => "no sandbox could be started",
        Exit::OutputLimit => "function wrote more than its output limit",
        Exit::Trapped(_) => "function trapped",
        Exit::StackLimit(_) => "function needed more stack than its limit",
        Exit::MemoryLimit(_) => "function needed more memory than its limit",
        Exit::TableLimit(_) => "function needed a larger table than its limit",
    }
}

/// How many requests have ended in each of these ways.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndCounts {
    /// Ended by a limit, with its name.
    pub kills: [(&'static str, u64); 7],
    pub exits: u64,
    pub traps: u64,
    pub start_failed: u64,
    pub not_cgi: u64,
}

impl Ends {
    fn each(&self) -> [&Counter; 11] {
        [
            &self.exit_codes,
            &self.traps,
            &self.stack_limit,
            &self.memory_limit,
            &self.table_limit,
            &self.output_limit,
            &self.cpu_limit,
            &self.deadline,
            &self.unstarted,
            &self.start_failed,
            &self.not_cgi,
        ]
    }

    /// Adds those of others to a sum.
    pub(crate) fn add(&self, more: &Ends) {
        for (sum, more) in self.each().into_iter().zip(more.each()) {
            sum.add(more.value());
        }
    }

    /// As they are now.
    pub(crate) fn counts(&self) -> EndCounts {
        let of = Counter::value;
        EndCounts {
            kills: [
                ("cpu", of(&self.cpu_limit)),
                ("deadline", of(&self.deadline)),
                ("memory", of(&self.memory_limit)),
                ("output", of(&self.output_limit)),
                ("stack", of(&self.stack_limit)),
                ("table", of(&self.table_limit)),
                ("unstarted", of(&self.unstarted)),
            ],
            exits: of(&self.exit_codes),
            traps: of(&self.traps),
            start_failed: of(&self.start_failed),
            not_cgi: of(&self.not_cgi),
        }
    }

    /// Counts a verdict and says it in the log.
    pub(crate) fn judged(&self, verdict: Verdict, exchange: &Exchange, route: &Route) {
        let counter = match verdict {
            Verdict::CpuLimit => &self.cpu_limit,
            Verdict::Deadline => &self.deadline,
            Verdict::Unstarted => &self.unstarted,
        };
        counter.increment();
        let (request, route) = (exchange.request_id, &*route.name);
        let ran_us = exchange.timeline.ran_ns / 1000;
        tracing::warn!(request, route, ran_us, "{verdict}");
    }

    /// Counts an answer that is no CGI response, says so in the log, and gives the answer instead.
    pub(crate) fn not_cgi(&self, error: CgiError, request: u64, route: &str) -> Status {
        self.not_cgi.increment();
        let cause = error.reason();
        tracing::warn!(request, route, cause, "{NOT_CGI}");
        Status::BAD_GATEWAY
    }

    /// Counts how a function ended, says in the log what its client is not told, and gives the answer.
    pub(crate) fn finished(&self, exit: &Exit, request: u64, route: &str) -> Status {
        let what = what(exit);
        let (counter, report) = match exit {
            Exit::Success => return Status::OK,
            Exit::Code(code) => {
                self.exit_codes.increment();
                tracing::warn!(request, route, code, "{what}");
                return Status::INTERNAL_SERVER_ERROR;
            }
            Exit::StartFailed(cause) => {
                self.start_failed.increment();
                tracing::error!(request, route, cause, "{what}");
                return Status::SERVICE_UNAVAILABLE;
            }
            Exit::OutputLimit => {
                self.output_limit.increment();
                let limit_bytes = sandbox::limits::OUTPUT_MAX_BYTES;
                tracing::warn!(request, route, limit_bytes, "{what}");
                return Status::INTERNAL_SERVER_ERROR;
            }
            Exit::Trapped(report) => (&self.traps, report),
            Exit::StackLimit(report) => (&self.stack_limit, report),
            Exit::MemoryLimit(report) => (&self.memory_limit, report),
            Exit::TableLimit(report) => (&self.table_limit, report),
        };
        counter.increment();
        let backtrace = report.backtrace.join(", called by ");
        tracing::warn!(request, route, trap = report.summary, backtrace, "{what}");
        Status::INTERNAL_SERVER_ERROR
    }

    /// Says in the log what there is to say, once, at the end.
    pub(crate) fn log(&self) {
        let of = Counter::value;
        tracing::info!(
            exit_codes = of(&self.exit_codes),
            traps = of(&self.traps),
            stack_limit = of(&self.stack_limit),
            memory_limit = of(&self.memory_limit),
            table_limit = of(&self.table_limit),
            output_limit = of(&self.output_limit),
            cpu_limit = of(&self.cpu_limit),
            deadline = of(&self.deadline),
            unstarted = of(&self.unstarted),
            start_failed = of(&self.start_failed),
            not_cgi = of(&self.not_cgi),
            "functions that did not end well"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRIVED_NS: Nanos = 1_000;

    fn route(cpu_limit_ns: Option<u64>, deadline_action: DeadlineAction) -> Route {
        Route {
            relative_deadline_ns: Some(500),
            cpu_limit_ns,
            deadline_action,
            ..Route::default()
        }
    }

    fn timeline(ran_ns: u64) -> Timeline {
        Timeline {
            arrived_ns: ARRIVED_NS,
            ran_ns,
            ..Timeline::default()
        }
    }

    #[test]
    fn verdicts() {
        use DeadlineAction::{DropUnstarted, Kill, None as Nothing};
        let check = |action, now, is_started, expected: Option<Verdict>| {
            let got = verdict(&route(None, action), &timeline(9), now, is_started);
            assert_eq!(got, expected, "{action:?} at {now}, started: {is_started}");
        };
        for is_started in [true, false] {
            check(Nothing, 9_999, is_started, None);
            check(Kill, 1_499, is_started, None);
            check(DropUnstarted, 1_499, is_started, None);
        }
        check(Kill, 1_500, true, Some(Verdict::Deadline));
        check(Kill, 1_500, false, Some(Verdict::Unstarted));
        check(DropUnstarted, 1_500, false, Some(Verdict::Unstarted));
        check(DropUnstarted, 1_500, true, None);
        let cpu = |ran_ns| verdict(&route(Some(70), Nothing), &timeline(ran_ns), 9_999, true);
        assert_eq!(cpu(69), None);
        assert_eq!(cpu(70), Some(Verdict::CpuLimit));
    }

    #[test]
    fn a_slice_ends_where_there_would_be_a_verdict() {
        use DeadlineAction::{DropUnstarted, Kill, None as Nothing};
        let check = |cpu_limit_ns, action, ran_ns, expected: Option<Nanos>| {
            let got = limit_ns(&route(cpu_limit_ns, action), &timeline(ran_ns), 1_200);
            assert_eq!(got, expected, "{cpu_limit_ns:?} {action:?} {ran_ns}");
        };
        check(None, Nothing, 10, None);
        check(None, DropUnstarted, 10, None);
        check(None, Kill, 10, Some(1_500));
        check(Some(70), Nothing, 0, Some(1_270));
        check(Some(70), Nothing, 60, Some(1_210));
        check(Some(70), Nothing, 90, Some(1_200));
        check(Some(70), Kill, 0, Some(1_270));
        check(Some(700), Kill, 0, Some(1_500));
    }
}
