//! The flight recorder and the recording of a running server: what is written, when, and that it is whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use perf::event::{Event, What};
use perf::recording::{LISTENER, Reader};
use serde_json::{Value, json};

use crate::client::post;
use crate::harness::{repository, route, route_with, wait_until};
use crate::process::{Folder, Serving, logged, luge};

fn serve(folder: &Folder, routes: &[Value], arguments: &[String]) -> Serving {
    Serving::somewhere(|port| {
        let spec = json!([{"name": "one", "port": port, "routes": routes}]);
        let spec = folder.write("spec.json", &spec.to_string());
        let mut command = luge();
        command.arg("serve").arg(spec).args(arguments);
        command.args(["--log-format=json", "--workers=1"]);
        command
    })
}

fn routes(keys: &Value) -> Vec<Value> {
    let path = |path: &str| repository(path).to_string_lossy().into_owned();
    vec![
        route_with("/fib", &path("functions/fib/fib.wasm"), keys.clone()),
        route("/puppet", &path("tests/guests/puppet.wat")),
        route("/sleep", &path("tests/guests/sleep.wat")),
    ]
}

/// What is told of each request: by the listener, then by its worker, then by the listener again.
fn stories(path: &PathBuf) -> BTreeMap<u64, Vec<What>> {
    let file = File::open(path).expect("it was recorded");
    let reader = Reader::new(file).expect("a recording");
    let names: Vec<_> = reader.header().routes.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["one/fib", "one/puppet", "one/sleep"]);
    let (mut listener, mut worker) = (Vec::new(), Vec::new());
    for chunk in reader {
        let chunk = chunk.expect("a chunk");
        assert_eq!(chunk.lost, 0);
        match chunk.source {
            LISTENER => listener.extend(chunk.events),
            _ => worker.extend(chunk.events),
        }
    }
    let is_back =
        |event: &Event| matches!(event.what, What::Answered { .. } | What::Sent | What::Cut);
    let (back, out): (Vec<_>, _) = listener.into_iter().partition(is_back);
    let mut stories = BTreeMap::<u64, Vec<What>>::new();
    for event in [out, worker, back].into_iter().flatten() {
        stories.entry(event.request).or_default().push(event.what);
    }
    stories
}

/// The parts of a story without those that vary.
fn plot(story: &[What]) -> Vec<What> {
    let mut plot: Vec<_> = story.to_vec();
    // However often it was preempted.
    let is_slice = |what: &What| matches!(what, What::Preempted | What::Resumed);
    plot.dedup_by(|a, b| is_slice(a) && is_slice(b));
    for what in &mut plot {
        if let What::Arrived { expected_ns, .. } = what {
            *expected_ns = 0;
        }
    }
    plot
}

#[test]
fn a_recording_tells_of_every_request_what_happened_to_it() {
    use What::{Answered, Blocked, Finished, Resumed, Sent, Taken, Woken};
    let folder = Folder::new();
    let record = format!("--record={}", folder.path("all.rec").display());
    let serving = serve(&folder, &routes(&json!({})), &[record]);
    let mut client = serving.client();
    assert_eq!(client.get("/fib?10").text(), "55\n");
    let nap = 5_000_000_u64.to_le_bytes();
    assert_eq!(client.post("/sleep", &nap).text(), "awake\n");
    assert_eq!(client.post("/puppet", b"u").status, 500);
    assert_eq!(client.get("/none").status, 404);
    let mut gone = serving.client();
    gone.send(post("/puppet", b"l"));
    // One that comes later has its turn after it has begun.
    assert_eq!(serving.client().get("/fib?10").text(), "55\n");
    drop(gone);
    let log = serving.stop();
    let arrived = |route| What::Arrived {
        route,
        expected_ns: 0,
    };
    let dispatched = What::Dispatched { worker: 0 };
    let done = |status| [Finished { status }, Answered { status }, Sent];
    let stories = stories(&folder.path("all.rec"));
    let plots: Vec<_> = stories.values().map(|story| plot(story)).collect();
    let start = |route| vec![arrived(route), dispatched, Taken, Resumed];
    assert_eq!(plots[0], [start(0), done(200).to_vec()].concat());
    let waits = vec![Blocked, Woken, Resumed];
    assert_eq!(plots[1], [start(2), waits, done(200).to_vec()].concat());
    assert_eq!(plots[2], [start(1), done(500).to_vec()].concat());
    // The request without a route is none; the endless one is dropped, and nobody hears of it.
    let dropped = What::Dropped(perf::event::Drop::Abandoned);
    let endless = plots.iter().find(|plot| plot.contains(&dropped));
    let endless = endless.expect("its client has gone");
    assert_eq!(endless[..4], start(1)[..]);
    assert_eq!(endless[endless.len() - 2..], [dropped, What::Cut]);
    let recorded = logged(&log, "recorded");
    let events: usize = stories.values().map(Vec::len).sum();
    assert_eq!(
        (&recorded[0]["events"], &recorded[0]["lost"]),
        (&json!(events), &json!(0))
    );
}

/// What was recorded before is there, up to the last whole chunk.
#[test]
fn a_killed_servers_recording_can_be_read() {
    let folder = Folder::new();
    let record = format!("--record={}", folder.path("all.rec").display());
    let serving = serve(&folder, &routes(&json!({})), &[record]);
    let mut client = serving.client();
    for _ in 0..100 {
        assert_eq!(client.get("/fib?10").text(), "55\n");
    }
    let path = folder.path("all.rec");
    let all_sent = || {
        let reader = Reader::new(File::open(&path).ok()?).ok()?;
        let chunks = reader.filter_map(Result::ok);
        let events = chunks.flat_map(|chunk| chunk.events);
        Some(events.filter(|event| event.what == What::Sent).count() == 100)
    };
    wait_until("all is recorded", || all_sent() == Some(true));
    serving.signal("KILL");
    assert_eq!(serving.ended().code, None);
    assert_eq!(stories(&path).len(), 100);
}

/// The files that the flight recorder has written out so far, by ending.
fn flights(folder: &Folder) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder.path("flights"))
        .into_iter()
        .flatten();
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.partition(|path| path.extension().is_some_and(|ending| ending == "json"))
}

fn check_flight(folder: &Folder, log: &str, request: u64) {
    let message = "the flight recorder was written out: .trace.json and .rec";
    assert_eq!(logged(log, message).len(), 1, "{log}");
    let (traces, recordings) = flights(folder);
    assert_eq!((traces.len(), recordings.len()), (1, 1));
    let trace = std::fs::read_to_string(&traces[0]).expect("it can be read");
    let trace: Value = serde_json::from_str(&trace).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let slices = events
        .iter()
        .filter(|event| event["tid"] == 1 && event["ph"] == "X");
    let mut slices = slices.filter(|slice| slice["args"]["request"] == request);
    let slice = slices.next().expect("its slice");
    assert_eq!(slice["name"], "one/fib");
    assert_eq!(slice["args"]["ended"], "finished, 200");
    let story = &stories(&recordings[0])[&request];
    assert!(story.contains(&What::Finished { status: 200 }), "{story:?}");
}

#[test]
fn the_last_events_are_written_out_on_demand() {
    let folder = Folder::new();
    let flights_to = format!("--flight-dir={}", folder.path("flights").display());
    let serving = serve(&folder, &routes(&json!({})), &[flights_to]);
    assert_eq!(serving.client().get("/fib?10").text(), "55\n");
    assert_eq!(flights(&folder).0.len(), 0);
    serving.signal("USR2");
    wait_until("it is written", || flights(&folder).1.len() == 1);
    // It goes on to serve.
    assert_eq!(serving.client().get("/fib?10").text(), "55\n");
    check_flight(&folder, &serving.stop(), 1);
}

#[test]
fn each_time_has_files_of_its_own() {
    let folder = Folder::new();
    let flights_to = format!("--flight-dir={}", folder.path("flights").display());
    let serving = serve(&folder, &routes(&json!({})), &[flights_to]);
    // Most of them within one second.
    for written in 1..=4 {
        serving.signal("USR2");
        wait_until("it is written", || flights(&folder).1.len() == written);
    }
    let log = serving.stop();
    let told = logged(
        &log,
        "the flight recorder was written out: .trace.json and .rec",
    );
    assert_eq!(told.len(), 4, "{log}");
    for line in told {
        let base = line["flight"].as_str().expect("a path");
        for ending in [".trace.json", ".rec"] {
            let path = PathBuf::from(format!("{base}{ending}"));
            assert!(path.is_file(), "{}", path.display());
        }
    }
}

#[test]
fn the_last_events_are_written_out_when_a_request_misses_its_objective() {
    let folder = Folder::new();
    let flights_to = format!("--flight-dir={}", folder.path("flights").display());
    let missed = "a request missed its objective";
    // An hour, and a microsecond, for /fib.
    let patient = routes(&json!({"latency-objective-us": 3_600_000_000_u64}));
    let serving = serve(&folder, &patient, std::slice::from_ref(&flights_to));
    assert_eq!(serving.client().get("/fib?10").text(), "55\n");
    assert_eq!(logged(&serving.stop(), missed).len(), 0);
    let eager = routes(&json!({"latency-objective-us": 1}));
    let serving = serve(&folder, &eager, &[flights_to]);
    let mut client = serving.client();
    assert_eq!(client.get("/fib?10").text(), "55\n");
    wait_until("it is written", || flights(&folder).1.len() == 1);
    // One will do for a while.
    assert_eq!(client.get("/fib?10").text(), "55\n");
    let log = serving.stop();
    let missed = logged(&log, missed);
    assert_eq!(missed.len(), 1, "{log}");
    assert_eq!(missed[0]["request"], 1);
    check_flight(&folder, &log, 1);
}

#[test]
fn a_recorder_without_a_folder_says_so() {
    let folder = Folder::new();
    let serving = serve(
        &folder,
        &routes(&json!({})),
        &["--flight-dir=off".to_owned()],
    );
    serving.signal("USR2");
    // The signal's thread hands it on before it sees the next one.
    let log = serving.stop();
    let message = "the flight recorder has nowhere to write to: --flight-dir is off";
    assert_eq!(logged(&log, message).len(), 1, "{log}");
}
