//! Events as a trace that people look at: the JSON of Chrome's trace event format, which Perfetto's viewer reads.
//!
//! ```text
//!   listener   ▐arrive /fib▌──┐            ┌──▐answer 200▌
//!   worker 0   ▐/html ▌▐/fib ▌▐/html    ▌▐/fib▌          flows ── follow one request
//! ```
//!
//! Threads are tracks, slices of sandboxes are slices, and a request is a flow through them, so that one sees who ran
//! while a request waited, and who took its place. A slice says how it ended and how long its sandbox had been ready
//! for it. Of slices whose beginning or end is not among the events nothing is drawn. Times are microseconds since the
//! header's start.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::json;

use crate::event::{Drop, Event, Refusal, What};
use crate::recording::{Chunk, Header, LISTENER};

/// The one process of a trace.
const PROCESS: u32 = 1;

/// What the listener does is noted when it is done: drawn as this much, in microseconds, where nothing says how long
/// it took.
const MOMENT_US: f64 = 0.5;

/// Writes a trace of the events of all sources.
///
/// # Errors
///
/// What `out` says.
pub fn write(out: &mut impl Write, header: &Header, chunks: &[Chunk]) -> io::Result<()> {
    let mut trace = Trace {
        out,
        header,
        routes: routes(chunks),
        flows: HashMap::new(),
        is_first: true,
    };
    trace.begin()?;
    for chunk in chunks {
        match chunk.source {
            LISTENER => trace.listener(&chunk.events)?,
            source => trace.worker(source, &chunk.events)?,
        }
    }
    trace.end(chunks)
}

/// Each request's route, as far as its arrival is among the events.
fn routes(chunks: &[Chunk]) -> HashMap<u64, u16> {
    let events = chunks.iter().flat_map(|chunk| &chunk.events);
    let arrivals = events.filter_map(|event| match event.what {
        What::Arrived { route, .. } => Some((event.request, route)),
        _ => None,
    });
    arrivals.collect()
}

struct Trace<'a, W> {
    out: &'a mut W,
    header: &'a Header,
    routes: HashMap<u64, u16>,
    /// The points of each request's flow: when, and on which track.
    flows: HashMap<u64, Vec<(f64, u16)>>,
    is_first: bool,
}

/// A span on a track.
struct Span {
    source: u16,
    name: String,
    from_us: f64,
    until_us: f64,
    arguments: serde_json::Value,
}

impl<W: Write> Trace<'_, W> {
    fn begin(&mut self) -> io::Result<()> {
        self.out.write_all(b"{\"traceEvents\":[\n")?;
        let names = (0..self.header.workers).map(|worker| format!("worker {worker}"));
        let names: Vec<String> = std::iter::once("listener".to_owned())
            .chain(names)
            .collect();
        self.event(
            &json!({"ph": "M", "pid": PROCESS, "name": "process_name", "args": {"name": "luge"}}),
        )?;
        for (source, name) in names.iter().enumerate() {
            let named = json!({"ph": "M", "pid": PROCESS, "tid": source, "name": "thread_name", "args": {"name": name}});
            self.event(&named)?;
            let sorted = json!({"ph": "M", "pid": PROCESS, "tid": source, "name": "thread_sort_index", "args": {"sort_index": source}});
            self.event(&sorted)?;
        }
        Ok(())
    }

    fn end(&mut self, chunks: &[Chunk]) -> io::Result<()> {
        let mut flows: Vec<_> = std::mem::take(&mut self.flows).into_iter().collect();
        flows.sort_unstable_by_key(|(request, _)| *request);
        for (request, mut points) in flows {
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            self.flow(request, &points)?;
        }
        let lost: u64 = chunks.iter().map(|chunk| chunk.lost).sum();
        let about = json!({"header": self.header, "events_overwritten": lost});
        write!(
            self.out,
            "\n],\"displayTimeUnit\":\"ns\",\"otherData\":{about}}}\n"
        )
    }

    /// From one point of a request to the next. One alone leads nowhere.
    fn flow(&mut self, request: u64, points: &[(f64, u16)]) -> io::Result<()> {
        let last = points.len().saturating_sub(1);
        for (at, (at_us, source)) in points.iter().enumerate().filter(|_| last > 0) {
            let phase = match at {
                0 => "s",
                at if at == last => "f",
                _ => "t",
            };
            let mut event = json!({
                "ph": phase, "pid": PROCESS, "tid": source, "ts": at_us,
                "cat": "request", "name": "request", "id": request,
            });
            if phase == "f" {
                event["bp"] = json!("e");
            }
            self.event(&event)?;
        }
        Ok(())
    }

    fn event(&mut self, event: &serde_json::Value) -> io::Result<()> {
        if !std::mem::take(&mut self.is_first) {
            self.out.write_all(b",\n")?;
        }
        serde_json::to_writer(&mut *self.out, event).map_err(io::Error::from)
    }

    fn span(&mut self, span: Span) -> io::Result<()> {
        let duration_us = (span.until_us - span.from_us).max(0.0);
        self.event(&json!({
            "ph": "X", "pid": PROCESS, "tid": span.source, "ts": span.from_us, "dur": duration_us,
            "name": span.name, "args": span.arguments,
        }))
    }

    fn us(&self, at_ns: u64) -> f64 {
        at_ns.wrapping_sub(self.header.start_ns) as i64 as f64 / 1e3
    }

    fn route(&self, request: u64) -> String {
        let route = self.routes.get(&request);
        let known = route.and_then(|route| self.header.routes.get(usize::from(*route)));
        known.map_or_else(|| format!("request {request}"), |route| route.name.clone())
    }

    /// What the listener did for each request: from its arrival, or from when it was done with the one before, on.
    fn listener(&mut self, events: &[Event]) -> io::Result<()> {
        let mut free_us = f64::MIN;
        let mut arrived_us = HashMap::new();
        for event in events {
            let at_us = self.us(event.at_ns);
            let (from_us, what) = match event.what {
                What::Arrived { .. } => {
                    arrived_us.insert(event.request, at_us);
                    continue;
                }
                What::Dispatched { worker } => {
                    let from_us = arrived_us.remove(&event.request);
                    (from_us, format!("to worker {worker}"))
                }
                What::Held => (arrived_us.remove(&event.request), "hold".to_owned()),
                What::Refused(why) => {
                    let from_us = arrived_us.remove(&event.request);
                    (from_us, format!("refuse ({})", refusal(why)))
                }
                What::Answered { status } => (None, format!("answer {status}")),
                What::Sent => (None, "sent".to_owned()),
                What::Cut => (None, "cut".to_owned()),
                _ => continue,
            };
            let from_us = from_us.unwrap_or(at_us).max(free_us);
            let until_us = at_us.max(from_us + MOMENT_US);
            free_us = until_us;
            let name = format!("{what}: {}", self.route(event.request));
            let arguments = json!({"request": event.request});
            self.note(event.request, (from_us + until_us) / 2.0, LISTENER);
            self.span(Span {
                source: LISTENER,
                name,
                from_us,
                until_us,
                arguments,
            })?;
        }
        Ok(())
    }

    fn worker(&mut self, source: u16, events: &[Event]) -> io::Result<()> {
        let mut running: Option<Event> = None;
        let mut ready_ns = HashMap::new();
        let mut slices = HashMap::<u64, u32>::new();
        for event in events {
            let ended = match event.what {
                What::Taken | What::Woken => {
                    ready_ns.insert(event.request, event.at_ns);
                    continue;
                }
                What::Resumed => {
                    running = Some(*event);
                    continue;
                }
                What::Preempted => "preempted".to_owned(),
                What::Yielded => "yielded".to_owned(),
                What::Blocked => "blocked".to_owned(),
                What::Finished { status } => format!("finished, {status}"),
                What::Dropped(why) => {
                    self.dropped(source, event, why)?;
                    continue;
                }
                _ => continue,
            };
            let Some(began) = running
                .take()
                .filter(|began| began.request == event.request)
            else {
                continue;
            };
            let slice = slices.entry(event.request).or_default();
            *slice += 1;
            let mut arguments = json!({"request": event.request, "slice": *slice, "ended": ended});
            if let Some(since_ns) = ready_ns.remove(&event.request) {
                let waited_ns = began.at_ns.saturating_sub(since_ns);
                arguments["waited_us"] = json!(waited_ns as f64 / 1e3);
            }
            if matches!(event.what, What::Preempted | What::Yielded) {
                ready_ns.insert(event.request, event.at_ns);
            }
            let (from_us, until_us) = (self.us(began.at_ns), self.us(event.at_ns));
            self.note(event.request, (from_us + until_us) / 2.0, source);
            let name = self.route(event.request);
            self.span(Span {
                source,
                name,
                from_us,
                until_us,
                arguments,
            })?;
        }
        Ok(())
    }

    fn dropped(&mut self, source: u16, event: &Event, why: Drop) -> io::Result<()> {
        let name = format!(
            "dropped ({}): {}",
            drop_cause(why),
            self.route(event.request)
        );
        let arguments = json!({"request": event.request});
        let at_us = self.us(event.at_ns);
        self.event(&json!({
            "ph": "i", "s": "t", "pid": PROCESS, "tid": source, "ts": at_us, "name": name, "args": arguments,
        }))
    }

    fn note(&mut self, request: u64, at_us: f64, source: u16) {
        self.flows.entry(request).or_default().push((at_us, source));
    }
}

fn refusal(why: Refusal) -> &'static str {
    match why {
        Refusal::Tenant => "its tenant's budget is used up",
        Refusal::Server => "admission finds no room",
        Refusal::Full => "all workers are full",
    }
}

fn drop_cause(why: Drop) -> &'static str {
    match why {
        Drop::Abandoned => "its client has gone",
        Drop::CpuLimit => "CPU limit",
        Drop::Deadline => "deadline",
        Drop::Unstarted => "deadline, before it began",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Route;
    use serde_json::Value;

    fn header() -> Header {
        let route = |name: &str| Route {
            name: name.into(),
            ..Route::default()
        };
        Header {
            start_ns: 1_000_000,
            workers: 1,
            routes: vec![route("/a\"<\n"), route("/b")],
            ..Header::default()
        }
    }

    /// Times in microseconds since the start.
    fn trace(listener: &[(u64, u64, What)], worker: &[(u64, u64, What)]) -> Value {
        let events = |events: &[(u64, u64, What)]| {
            let event = |&(at_us, request, what)| Event {
                at_ns: 1_000_000 + at_us * 1_000,
                request,
                what,
            };
            events.iter().map(event).collect()
        };
        let chunks = [(0, listener), (1, worker)].map(|(source, of)| Chunk {
            source,
            lost: 2,
            events: events(of),
        });
        let mut text = Vec::new();
        write(&mut text, &header(), &chunks).expect("a vector takes all");
        serde_json::from_slice(&text).expect("it is JSON")
    }

    fn of_phase<'a>(trace: &'a Value, phase: &str) -> Vec<&'a Value> {
        let events = trace["traceEvents"].as_array().expect("events");
        events.iter().filter(|event| event["ph"] == phase).collect()
    }

    fn arrived(route: u16) -> What {
        What::Arrived {
            route,
            expected_ns: 0,
        }
    }

    /// A long request is preempted by a short one; what happened before the first event is left out.
    #[test]
    fn a_person_sees_who_preempted_whom() {
        use What::{Dispatched, Finished, Preempted, Resumed, Sent, Taken};
        let to_worker = Dispatched { worker: 0 };
        let done = Finished { status: 200 };
        let trace = trace(
            &[
                (10, 7, arrived(0)),
                (12, 7, to_worker),
                (20, 8, arrived(1)),
                (21, 8, to_worker),
                (90, 8, What::Answered { status: 200 }),
                (95, 8, Sent),
            ],
            &[
                (5, 6, done),
                (13, 7, Taken),
                (14, 7, Resumed),
                (60, 7, Preempted),
                (61, 8, Taken),
                (62, 8, Resumed),
                (80, 8, done),
                (81, 7, Resumed),
            ],
        );
        let of_worker = |event: &&&Value| event["tid"] == 1;
        let spans = of_phase(&trace, "X");
        let spans: Vec<_> = spans.iter().filter(of_worker).collect();
        let told: Vec<_> = spans
            .iter()
            .map(|span| {
                let args = &span["args"];
                let numbers = [&span["ts"], &span["dur"], &args["waited_us"]];
                let numbers = numbers.map(|number| number.as_f64().expect("a number"));
                let texts = [&span["name"], &args["ended"]];
                (texts.map(|text| text.as_str().expect("text")), numbers)
            })
            .collect();
        let expected = [
            (["/a\"<\n", "preempted"], [14.0, 46.0, 1.0]),
            (["/b", "finished, 200"], [62.0, 18.0, 1.0]),
        ];
        assert_eq!(told, expected);
        // Request 8 flows from the listener to the worker and back, request 7 only there.
        let flows = |phase: &str, request: u64| {
            let all = of_phase(&trace, phase);
            let own = all.iter().filter(|event| event["id"] == request);
            own.map(|event| event["tid"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(flows("s", 8), [0]);
        assert_eq!(flows("t", 8), [1, 0]);
        assert_eq!(flows("f", 8), [0]);
        assert_eq!(
            (flows("s", 7), flows("f", 7)),
            (vec![0.into()], vec![1.into()])
        );
        assert_eq!(trace["otherData"]["events_overwritten"], 4);
        let named = of_phase(&trace, "M");
        let names: Vec<_> = named.iter().map(|event| &event["args"]["name"]).collect();
        assert!(names.contains(&&json!("worker 0")) && names.contains(&&json!("listener")));
    }

    /// Spans of a track lie side by side, or viewers draw nonsense.
    #[test]
    fn what_the_listener_does_at_once_is_drawn_side_by_side() {
        let to_worker = What::Dispatched { worker: 0 };
        let trace = trace(
            &[
                (10, 1, arrived(0)),
                (11, 1, to_worker),
                (10, 2, arrived(0)),
                (13, 2, to_worker),
                (10, 3, arrived(0)),
                (13, 3, What::Refused(Refusal::Full)),
                (12, 1, What::Cut),
            ],
            &[(20, 2, What::Dropped(Drop::Abandoned))],
        );
        let mut free_us = 0.0;
        let spans = of_phase(&trace, "X");
        assert_eq!(spans.len(), 4);
        for span in spans {
            let [from_us, length_us] = ["ts", "dur"].map(|key| span[key].as_f64().expect(key));
            assert!(from_us >= free_us && length_us > 0.0, "{span}");
            free_us = from_us + length_us;
        }
        let dropped = of_phase(&trace, "i");
        let name = dropped[0]["name"].as_str().expect("a name");
        assert!(name.contains("its client has gone"), "{name}");
    }

    #[test]
    fn nothing_is_a_trace_too() {
        let trace = trace(&[], &[]);
        assert_eq!(of_phase(&trace, "X").len(), 0);
        assert_eq!(trace["otherData"]["header"]["workers"], 1);
    }
}
