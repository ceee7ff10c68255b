//! From the end of a sandbox to the answer, and to the log what the client is not told unless its route is in
//! development.

use super::ends::{self, Ends};
use super::routes::Route;
use crate::config::Abi;
use crate::limits::STDERR_LINES_MAX;
use listener::Exchange;
use listener_http::Status;
use sandbox::{Call, Exit, Outcome};
use std::fmt::{self, Display, Formatter};

/// Turns what became of the function into an answer.
pub(super) fn answer(exchange: &mut Exchange, outcome: Outcome, route: &Route, ends: &Ends) {
    give_back(exchange, outcome.call);
    log_errors(exchange, &route.name);
    exchange.status = ends.finished(&outcome.exit, exchange.request_id, &route.name);
    if exchange.status == Status::OK && route.abi == Abi::Wagi {
        match exchange.own_head.read(&exchange.answer) {
            Ok(status) => exchange.status = status,
            Err(error) => {
                exchange.status = ends.not_cgi(error, exchange.request_id, &route.name);
                if route.debug {
                    let cause = error.reason();
                    report(exchange, format_args!("{}: {cause}", ends::NOT_CGI));
                }
            }
        }
    } else if route.debug {
        report(exchange, What(&outcome.exit));
    }
}

/// What became of a function, as told to a client that may know.
struct What<'a>(&'a Exit);

/// Tells the client of a route in development why its request has failed.
pub(super) fn report(exchange: &mut Exchange, what: impl Display) {
    if exchange.status != Status::OK {
        let request = exchange.request_id;
        let text = format!("{what}\nrequest {request}\n");
        exchange.report.extend_from_slice(text.as_bytes());
    }
}

impl Display for What<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(ends::what(self.0))?;
        match self.0 {
            Exit::Code(code) => write!(f, ": {code}"),
            Exit::Success | Exit::OutputLimit | Exit::StartFailed(_) => Ok(()),
            Exit::Trapped(report)
            | Exit::StackLimit(report)
            | Exit::MemoryLimit(report)
            | Exit::TableLimit(report) => {
                write!(f, ": {}", report.summary)?;
                let mut frames = report.backtrace.iter();
                frames.try_for_each(|frame| write!(f, "\n  {frame}"))
            }
        }
    }
}

/// The client has gone and the sandbox was dropped: nobody is answered, but the log is.
pub(super) fn give_up(exchange: &mut Exchange, call: Call, route: &str) {
    give_back(exchange, call);
    log_errors(exchange, route);
    let (request, ran_ns) = (exchange.request_id, exchange.timeline.ran_ns);
    tracing::debug!(
        request,
        route,
        ran_ns,
        "function was ended: its client has gone"
    );
}

fn give_back(exchange: &mut Exchange, call: Call) {
    exchange.arguments = call.arguments;
    exchange.environment = call.environment;
    exchange.body = call.stdin;
    exchange.answer = call.stdout;
    exchange.errors = call.stderr;
}

/// What the function wrote to its standard error, a line each. Bounded: this is the worker's time.
fn log_errors(exchange: &Exchange, route: &str) {
    if exchange.errors.is_empty() {
        return;
    }
    let request = exchange.request_id;
    let text = String::from_utf8_lossy(&exchange.errors);
    let mut lines = text.lines();
    for line in lines.by_ref().take(STDERR_LINES_MAX) {
        let stderr = line.escape_debug().to_string();
        tracing::info!(request, route, stderr, "function");
    }
    let lines_left_out = lines.count();
    if lines_left_out > 0 {
        tracing::info!(request, route, lines_left_out, "function");
    }
}
