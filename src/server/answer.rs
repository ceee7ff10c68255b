//! From the end of a sandbox to the answer, and to the log what the client is not told.

use super::ends::Ends;
use crate::limits::STDERR_LINES_MAX;
use listener::Exchange;
use sandbox::{Call, Outcome};

/// Turns what became of the function into an answer.
pub(super) fn answer(exchange: &mut Exchange, outcome: Outcome, route: &str, ends: &Ends) {
    give_back(exchange, outcome.call);
    log_errors(exchange, route);
    exchange.status = ends.finished(outcome.exit, exchange.request_id, route);
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
