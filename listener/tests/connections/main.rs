//! Whole connections as scripts: what the client sends and when answers come, and what must come of it: the requests
//! that the service sees, the access log, every byte of output, and how the connection ends.
//!
//! Each script is replayed with its input in one piece, byte by byte, and cut in two at every place; with a network
//! that takes what it is given and with one that takes a byte at a time. Nothing may come out differently.

mod endings;
mod limits;
mod refusals;
mod requests;
mod rig;

use std::collections::BTreeSet;

use listener::Received;
use listener_http::Status;
use rig::{Rig, settings};

/// What happens to a connection.
#[derive(Clone, Copy)]
enum Step<'a> {
    /// The client sends.
    In(&'a str),
    /// The request under way is answered.
    Answer(&'a str),
    /// The request under way fails.
    Fail(u16),
    /// The client sends no more.
    End,
    /// The connection fails.
    Reset,
    /// Time passes, in nanoseconds.
    Pass(u64),
    /// The server begins to drain.
    Drain,
    /// The server cuts all connections.
    Abort,
}

/// How a connection stands when its script is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Open,
    /// Waits for the client to end, having ended itself.
    Lingering,
    Closed,
    /// Closed without regard for what was under way.
    Cut,
}

use Ending::{Closed, Cut, Lingering, Open};
use Step::{Abort, Answer, Drain, End, Fail, In, Pass, Reset};

/// Where the input is cut, counted from its first byte.
type Cuts = BTreeSet<usize>;

#[track_caller]
fn check(script: &[Step<'_>], seen: &[&str], output: &str, ending: Ending) {
    check_cuts(script, seen, |_| output.to_owned(), ending);
}

/// As [`check`], where the output depends on how the input comes in.
#[track_caller]
fn check_cuts(
    script: &[Step<'_>],
    seen: &[&str],
    output: impl Fn(&Cuts) -> String,
    ending: Ending,
) {
    let input_bytes: usize = script
        .iter()
        .map(|step| if let In(text) = step { text.len() } else { 0 })
        .sum();
    let whole = std::iter::once(Cuts::new());
    let bytes = std::iter::once((0..input_bytes).collect());
    let halves = (1..input_bytes).map(|at| Cuts::from([at]));
    for cuts in whole.chain(bytes).chain(halves) {
        for taken_max in [usize::MAX, 1] {
            let outcome = replay(script, &cuts, taken_max);
            let at: Vec<_> = cuts.iter().take(2).collect();
            let context = format!(
                "cut {} times, from {at:?}; {taken_max} bytes are taken at a time",
                cuts.len()
            );
            assert_eq!(outcome.seen, seen, "{context}");
            assert_eq!(outcome.output, output(&cuts), "{context}");
            assert_eq!(outcome.ending, ending, "{context}");
        }
    }
}

struct Outcome {
    seen: Vec<String>,
    output: String,
    ending: Ending,
}

fn replay(script: &[Step<'_>], cuts: &Cuts, taken_max: usize) -> Outcome {
    let mut rig = Rig::new(settings());
    rig.wire().taken_max = taken_max;
    let mut position = 0;
    for step in script {
        match *step {
            In(text) => {
                let mut from = 0;
                for &cut in cuts.range(position + 1..position + text.len()) {
                    rig.feed(&text.as_bytes()[from..cut - position]);
                    from = cut - position;
                }
                rig.feed(&text.as_bytes()[from..]);
                position += text.len();
            }
            Answer(text) => rig.answer(Status::OK, text.as_bytes()),
            Fail(status) => rig.answer(Status(status), b"not to be seen"),
            End => rig.finish(Received::End),
            Reset => rig.finish(Received::Failed(104)),
            Pass(ns) => rig.pass(ns),
            Drain => rig.listener.drain(),
            Abort => rig.listener.abort(),
        }
        rig.settle();
    }
    let wire = rig.wire();
    let ending = match (wire.closed, wire.both_shut, wire.write_shut) {
        (true, true, _) => Cut,
        (true, false, _) => Closed,
        (false, false, true) => Lingering,
        (false, false, false) => Open,
        (false, true, _) => panic!("a connection that was cut ends at once"),
    };
    let output = String::from_utf8(wire.output.clone()).expect("ASCII");
    assert_eq!(
        rig.listener.connections(),
        usize::from(matches!(ending, Open | Lingering))
    );
    rig.desk().check_end();
    Outcome {
        seen: rig.desk().seen.clone(),
        output,
        ending,
    }
}

/// An answer of the route `/text`; `fields` come after the length, each with its line end.
fn ok(fields: &str, body: &str) -> String {
    response(
        "200 OK",
        &format!(
            "Content-Type: text/x\r\nContent-Length: {}\r\n{fields}",
            body.len()
        ),
        body,
    )
}

/// A refusal with the text that tells people of it.
fn error(status: &str, fields: &str) -> String {
    let reason = &status[4..];
    let length = reason.len() + 1;
    let fields = format!("Content-Type: text/plain\r\nContent-Length: {length}\r\n{fields}");
    response(status, &fields, &format!("{reason}\n"))
}

fn response(status: &str, fields: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nServer: luge\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n{fields}\r\n{body}"
    )
}

/// The field of an answer that is the connection's last.
const CLOSE: &str = "Connection: close\r\n";
