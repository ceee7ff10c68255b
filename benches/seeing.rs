//! What it costs to see: the timeline, the events of the flight recorder and the metrics of a request that runs in one
//! slice, each as the threads of the server write them, with warm caches, in nanoseconds of this machine.
//!
//! And what a recording costs its thread: to read the events, which another thread has noted since the last look, and to
//! write them down.
//!
//! The whole of it is measured on a server by comparing two builds, which takes a quiet machine; this says what there
//! is to be found.

use std::hint::black_box;
use std::time::Instant;

use listener::Timeline;
use perf::event::{What, ring};
use perf::live::{Counter, LiveHistogram};
use perf::recording::{Header, Writer};
use std::sync::mpsc::sync_channel;

const REQUESTS: u64 = 2_000_000;

/// The events of such a request.
const EVENTS: [What; 7] = [
    What::Arrived {
        route: 3,
        expected_ns: 25_000,
    },
    What::Dispatched { worker: 0 },
    What::Taken,
    What::Resumed,
    What::Finished { status: 200 },
    What::Answered { status: 200 },
    What::Sent,
];

/// Counters that such a request moves, and the histograms that it is recorded in, at most.
const COUNTERS: usize = 16;
const HISTOGRAMS: usize = 4;

fn main() {
    let epoch = Instant::now();
    let now_ns = || epoch.elapsed().as_nanos() as u64;
    let clock_ns = each("one reading of the clock", |_| {
        black_box(now_ns());
    });
    // All but one of its points were read before there were timelines.
    let mut timeline = Timeline::default();
    let points_ns = each("the points of a timeline", |at| {
        timeline = Timeline::default();
        write(&mut timeline, at);
        black_box(&mut timeline);
    });
    let (mut events, _reader) = ring(1 << 16);
    let events_ns = each("7 events", |at| {
        for (step, what) in EVENTS.iter().enumerate() {
            events.note(at + step as u64, at, black_box(*what));
        }
    });
    let counters: [Counter; COUNTERS] = std::array::from_fn(|_| Counter::default());
    let histograms: [LiveHistogram; HISTOGRAMS] = std::array::from_fn(|_| LiveHistogram::default());
    let metrics_ns = each("16 counters, 4 histograms", |at| {
        counters.iter().for_each(Counter::increment);
        for histogram in &histograms {
            histogram.record(black_box(20_000 + at % 8_192));
        }
    });
    println!(
        "{:<28} {:>8.1} ns",
        "timeline, with one reading",
        clock_ns + points_ns
    );
    println!(
        "{:<28} {:>8.1} ns",
        "all",
        clock_ns + points_ns + events_ns + metrics_ns
    );
    recording();
}

/// Requests between two looks of a recording: fifty looks a second, 50,000 requests.
const LOOK_REQUESTS: u64 = 1_000;

/// Per request, what it takes to read the events and to write them down; of 400 looks the median.
fn recording() {
    let (mut events, reader) = ring(1 << 17);
    let (look, noted) = (sync_channel(0), sync_channel(0));
    let noting = std::thread::spawn(move || {
        let mut request = 0;
        while look.1.recv().is_ok() {
            for _ in 0..LOOK_REQUESTS {
                request += 1;
                for (step, what) in (0..).zip(EVENTS) {
                    events.note(25_000 * request + 1_500 * step, request, what);
                }
            }
            noted.0.send(()).expect("it is waited for");
        }
    });
    let mut writer = Writer::new(std::io::sink(), &Header::default()).expect("a sink takes all");
    let mut next = 0;
    let looks = (0..400).map(|_| {
        look.0.send(()).expect("it notes");
        noted.1.recv().expect("it notes");
        let began = Instant::now();
        next = reader.read_blocks(next, |lost, events| {
            let written = writer.write(0, lost, events);
            written.expect("a sink takes all");
        });
        began.elapsed().as_nanos() as f64 / LOOK_REQUESTS as f64
    });
    let mut looks: Vec<f64> = looks.collect();
    looks.sort_by(f64::total_cmp);
    println!(
        "{:<28} {:>8.1} ns",
        "recording them, by a thread", looks[200]
    );
    drop(look.0);
    noting.join().expect("it notes");
}

/// Every point that such a request reaches.
fn write(timeline: &mut Timeline, at: u64) {
    timeline.began_ns = at;
    timeline.parsed_ns = at + 1;
    timeline.arrived_ns = at + 2;
    timeline.admitted_ns = at + 3;
    timeline.dispatched_ns = at + 4;
    timeline.picked_ns = at + 5;
    timeline.started_ns = at + 6;
    timeline.finished_ns = at + 7;
    timeline.answered_ns = at + 8;
    timeline.sending_ns = at + 9;
    timeline.sent_ns = at + 10;
    timeline.ran_ns += at;
    timeline.host_ns += 1;
    timeline.slices += 1;
}

/// The least of a few rounds: what disturbs only adds.
fn each(name: &str, mut request: impl FnMut(u64)) -> f64 {
    let rounds = (0..7).map(|_| {
        let begin = Instant::now();
        (0..REQUESTS).for_each(&mut request);
        begin.elapsed().as_nanos() as f64 / REQUESTS as f64
    });
    let least = rounds.fold(f64::INFINITY, f64::min);
    println!("{name:<28} {least:>8.1} ns");
    least
}
