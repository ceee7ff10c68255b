//! Recordings: what is recorded of a simulation and replayed on the same machine is the same to the nanosecond, on
//! another it is what that does with the same requests; and files that are not what they should be.

use std::path::Path;

use perf::event::{Drop, Event, Refusal, What};
use perf::recording::{Header, LISTENER, Route, Tenant, Writer};
use sched::{DISPATCHERS, Nanos, SCHEDULERS};
use serde_json::{Value, json};

use super::reports::{args, file, report, text};
use super::waits::bursty;
use super::{Config, config};
use crate::sim::engine::{Engine, Happening};
use crate::sim::notes::{Notes, Recorder};
use crate::sim::replay::{Owed, Replay};
use crate::sim::scenario::Scenario;

/// Who finishes when, in the order of ends.
fn ends(config: &Config, scenario: &Scenario, notes: impl Notes) -> Vec<(u64, Nanos)> {
    let source = scenario.source(None, config.workers, u64::MAX, 1);
    let mut engine = Engine::noting(config.clone(), source, notes);
    let mut ends = Vec::new();
    while let Some(happening) = engine.step() {
        if let Happening::Finished { job, .. } = happening {
            ends.push((job.request.arrival.seq, engine.now()));
        }
    }
    let arrived = engine.totals().arrived;
    engine.totals().audit(arrived, &config.costs);
    ends
}

/// Records a run with waits, yields and interruptions and replays it; both must have the same ends.
fn check_same(config: &Config, seed: u64) {
    let trace = bursty(seed, config.workers as u64, 1_000);
    let scenario = Scenario::trace(trace, None, None, None);
    let mut bytes = Vec::new();
    let recorder = Recorder::new(&mut bytes, &scenario, config);
    let mut recorder = recorder.expect("a vector takes all");
    let first = ends(config, &scenario, &mut recorder);
    recorder.finish().expect("a vector takes all");
    let replay = Replay::of(Path::new("x"), &bytes[..], &Owed::new()).expect("a recording");
    assert_eq!(replay.recording.counts.left_out(), None);
    let recording = Some(replay.recording);
    let replayed = Scenario::trace(replay.trace, recording, None, None);
    let name = (config.scheduler.name, config.dispatcher.name);
    assert_eq!(ends(config, &replayed, ()), first, "{name:?}");
    assert_eq!(first.len(), 1_000);
}

#[test]
fn a_run_that_is_replayed_on_its_machine_is_the_same() {
    for (seed, scheduler) in (0..).zip(SCHEDULERS) {
        for (quantum_ns, workers) in [(1, 1), (25, 3), (100_000, 2)] {
            check_same(&config(workers, scheduler.name, quantum_ns), seed);
        }
    }
    for (seed, dispatcher) in (0..).zip(DISPATCHERS) {
        let mut config = config(3, "rr", 25);
        config.dispatcher = dispatcher;
        config.backlog_max = 1 << 20;
        check_same(&config, seed);
    }
}

/// Two tenants with three routes of which one is not asked for, two workers.
fn header() -> Header {
    let tenant = |name: &str, weight| Tenant {
        name: name.into(),
        weight,
        ..Tenant::default()
    };
    let route = |name: &str, tenant, deadline_ns| Route {
        name: name.into(),
        tenant,
        deadline_ns,
    };
    Header {
        luge: "9.9".into(),
        started_unix_ns: 1_700_000_000_000_000_000,
        start_ns: 1_000,
        workers: 2,
        scheduler: "fifo".into(),
        quantum_ns: 5_000,
        preemption: "signal".into(),
        dispatch: "jsq".into(),
        tenants: vec![tenant("one", 100), tenant("two", 300)],
        routes: vec![
            route("/never", 0, None),
            // As servers call it in logs.
            route("two/a,b", 1, Some(50_000)),
            route("/c", 0, None),
        ],
    }
}

fn recording(header: &Header, chunks: &[(u16, u64, Vec<Event>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, header).expect("a vector takes all");
    for (source, lost, events) in chunks {
        let written = writer.write(*source, *lost, events);
        written.expect("a vector takes all");
    }
    bytes
}

fn at(us: u64, request: u64, what: What) -> Event {
    Event {
        at_ns: 1_000 + us * 1_000,
        request,
        what,
    }
}

fn arrived(us: u64, request: u64, route: u16) -> Event {
    let expected_ns = 25_000;
    at(us, request, What::Arrived { route, expected_ns })
}

/// A long request and a short one on the same worker, one that waits on the other, one that is refused, one that goes.
fn afternoon() -> Vec<u8> {
    use What::{Blocked, Finished, Resumed, Taken, Woken};
    const OK: What = Finished { status: 200 };
    let listener = vec![
        arrived(0, 1, 2),
        arrived(1, 2, 1),
        arrived(2, 3, 1),
        arrived(3, 4, 2),
        at(3, 4, What::Refused(Refusal::Full)),
        arrived(4, 5, 2),
    ];
    let one = vec![
        at(0, 1, Taken),
        at(0, 1, Resumed),
        at(1, 2, Taken),
        at(100, 1, OK),
        at(100, 2, Resumed),
        at(110, 2, OK),
    ];
    let two = vec![
        at(2, 3, Taken),
        at(2, 3, Resumed),
        at(5, 5, Taken),
        at(12, 3, Blocked),
        at(12, 5, Resumed),
        at(17, 5, What::Dropped(Drop::Abandoned)),
        at(32, 3, Woken),
        at(32, 3, Resumed),
        at(40, 3, OK),
    ];
    recording(
        &header(),
        &[(2, 0, two), (LISTENER, 0, listener), (1, 0, one)],
    )
}

fn json(arguments: &str) -> Value {
    serde_json::from_str(&text(&format!("{arguments} --json"))).expect("a report")
}

/// The mean of a column and row, in microseconds.
fn mean(report: &Value, row: usize, column: &str) -> f64 {
    report["classes"][row][column]["mean"]
        .as_f64()
        .expect("a mean")
        / 1e3
}

#[test]
fn what_is_not_asked_for_is_as_recorded_and_the_server_stands_beside() {
    let path = file("afternoon.rec", afternoon());
    let replay = format!("--replay {path} --warmup-percent 0");
    let report = json(&replay);
    let setting = &report["setting"];
    for (key, value) in [
        ("scheduler", json!("fifo")),
        ("quantum_ns", json!(5_000)),
        ("workers", json!(2)),
        ("preemption", json!(true)),
        ("estimates", json!("recorded")),
        ("requests", json!(5)),
    ] {
        assert_eq!(setting[key], value, "{key}");
    }
    // A tenant of one route has the row of that route.
    let names = report["classes"].as_array().expect("rows").iter();
    let names: Vec<_> = names.map(|row| row["class"].as_str()).collect();
    assert_eq!(names, ["all", "two/a,b", "one/c"].map(Some));
    let recorded = &report["recorded"];
    for (key, value) in [
        ("luge", json!("9.9")),
        ("scheduler", json!("fifo")),
        ("workers", json!(2)),
        ("replayed", json!(5)),
        ("not_run", json!(1)),
        ("cut_short", json!(1)),
        ("refused", json!(1)),
        ("is_truncated", json!(false)),
    ] {
        assert_eq!(recorded[key], value, "{key}");
    }
    // 100, 109, 38 and 13, of which 0, 99, 0 and 8 in queues; those of 100, 10, 18 and 5.
    assert_eq!(mean(recorded, 0, "sojourn_ns"), 65.0);
    assert_eq!(mean(recorded, 0, "queue_ns"), 26.75);
    let slowdown = recorded["classes"][0]["slowdown"]["mean"].as_f64();
    let expected = (1.0 + 10.9 + 38.0 / 18.0 + 2.6) / 4.0;
    assert!(
        (slowdown.expect("a mean") - expected).abs() < 1e-3,
        "{slowdown:?}"
    );
    assert_eq!(recorded["classes"][0]["missed_deadlines"], 1);
    // One less, which was refused, and takes the 100 of its route when it is replayed.
    assert_eq!(recorded["classes"][0]["requests"], 4);
    assert_eq!(report["classes"][0]["requests"], 5);
    let table = text(&replay);
    for part in [
        "\n  recorded             4      65.000",
        "recorded by luge 9.9: fifo, quantum 5 µs, preemption signal, dispatch jsq, 2 workers; utilisation",
        "5 requests replayed, 1 that did not run, for their route's mean, 1 that were cut short, for what they ran\n",
    ] {
        assert!(table.contains(part), "{part:?} in {table}");
    }
    std::fs::remove_file(path).expect("it was there");
}

/// On one worker: 100 of work at 0, 10 at 1, 10 and 8 with a wait of 20 at 2, 100 at 3, 5 at 4.
#[test]
fn another_policy_does_what_it_does() {
    let path = file("policies.rec", afternoon());
    let replay = format!("--replay {path} --warmup-percent 0 --workers 1");
    let sojourn = |more: &str| mean(&json(&format!("{replay} {more}")), 0, "sojourn_ns");
    // The third waits from 120 to 140, and goes on when the fourth is done. Ends at 100, 110, 228, 220 and 233.
    let fifo = (100.0 + 109.0 + 226.0 + 217.0 + 229.0) / 5.0;
    assert_eq!(sojourn(""), fifo);
    assert_eq!(sojourn("--scheduler fifo --quantum-us 1"), fifo);
    // In turns of 10: the short ones are done at 20, 78 and 55.
    let turns = sojourn("--scheduler rr --quantum-us 10");
    assert!(turns < 0.8 * fifo, "{turns}");
    let compared = json(&format!("{replay} --compare fifo,rr:10"));
    assert_eq!(mean(&compared[0], 0, "sojourn_ns"), fifo);
    assert_eq!(mean(&compared[1], 0, "sojourn_ns"), turns);
    let table = text(&format!("{replay} --compare fifo,rr:10"));
    assert_eq!(table.matches(" recorded    ").count(), 3, "{table}");
    // The first of them: 0, 100 µs.
    assert_eq!(sojourn("--requests 1"), 100.0);
    // At ten times the load they come at nearly one time.
    let own = report(&replay).setting.load.expect("a load");
    let stretched = sojourn(&format!("--load {}", own * 10.0));
    assert!(stretched > fifo, "{stretched}");
    // None of the 50 µs but the refused is late, if it may take longer.
    let late = |more: &str| report(&format!("{replay} {more}")).classes[0].missed_deadlines;
    assert_eq!(
        (late(""), late("--deadline-us 1"), late("--deadline-us 300")),
        (2, 5, 0)
    );
    std::fs::remove_file(path).expect("it was there");
}

#[test]
fn estimates_are_as_recorded_or_as_asked() {
    let path = file("estimates.rec", afternoon());
    for (asked, expected) in [
        ("", [25_000, 25_000]),
        ("--estimates exact", [100_000, 10_000]),
        ("--estimates none", [0, 0]),
        ("--estimates mean", [68_333, 14_000]),
    ] {
        let args = args(&format!("--replay {path} {asked}"));
        let scenario = args.scenario().expect("a recording");
        let mut source = scenario.source(None, 1, 2, 1);
        let seen = [(); 2].map(|()| source.take().arrival.expected_ns);
        assert_eq!(seen, expected, "{asked}");
    }
    std::fs::remove_file(path).expect("it was there");
}

/// A simulated run is recorded as a server's is, and what is told of it is what the simulation has said of itself.
#[test]
fn the_recorded_run_is_told_as_it_was() {
    let path = std::env::temp_dir().join(format!("luge-sim-{}-own.rec", std::process::id()));
    let path = path.display();
    let machine =
        "--scheduler edf --quantum-us 7 --workers 2 --dispatch jbsq --backlog-max 6 --tasks-max 3";
    let asked = "--workload disp-1 --load 1.1 --requests 20000";
    let simulated = json(&format!("{asked} {machine} --record {path}"));
    assert!(simulated["refused"].as_u64() > Some(0));
    let replayed = json(&format!("--replay {path}"));
    let recorded = &replayed["recorded"];
    assert_eq!(recorded["refused"], simulated["refused"]);
    assert_eq!(recorded["preemptions"], simulated["preemptions"]);
    assert_eq!(recorded["scheduler"], "edf");
    for (recorded, simulated) in recorded["classes"]
        .as_array()
        .expect("rows")
        .iter()
        .zip(simulated["classes"].as_array().expect("rows"))
    {
        assert_eq!(recorded, simulated);
    }
    let kept = ["scheduler", "quantum_ns", "workers", "deadlines"];
    for key in kept {
        assert_eq!(replayed["setting"][key], simulated["setting"][key], "{key}");
    }
    let again = args(&format!("--replay {path} --record {path}"));
    let said = again.scenario().expect_err("the same file");
    assert!(said.contains("into itself"), "{said}");
    std::fs::remove_file(path.to_string()).expect("it was there");
}

#[test]
fn tenants_are_owed_what_is_recorded_or_what_is_said() {
    let mut header = header();
    (header.tenants[1].budget_ns, header.tenants[1].period_ns) = (500_000, 1_000_000);
    let events = |request, route| {
        let finished = What::Finished { status: 200 };
        let [taken, resumed] = [What::Taken, What::Resumed].map(|what| at(1, request, what));
        (
            arrived(0, request, route),
            [taken, resumed, at(9, request, finished)],
        )
    };
    let ((first, one), (second, two)) = (events(1, 1), events(2, 2));
    let chunks = [
        (LISTENER, 0, vec![first, second]),
        (1, 0, one.to_vec()),
        (2, 0, two.to_vec()),
    ];
    let path = file("tenants.rec", recording(&header, &chunks));
    let owed = |more: &str| {
        let args = args(&format!("--replay {path} {more}"));
        let scenario = args.scenario()?;
        let owed = args.config(&scenario)?.tenants;
        let budget_us = owed[1].reservation.map_or(0, |it| it.budget_ns / 1_000);
        Ok::<_, String>((owed[0].weight, owed[1].weight, budget_us))
    };
    // Where nothing looks at them there are no reservations to be kept.
    assert_eq!(owed(""), Ok((100, 300, 0)));
    assert_eq!(owed("--scheduler mtds"), Ok((100, 300, 500)));
    assert_eq!(owed("--compare fifo,mtdbf"), Ok((100, 300, 500)));
    assert_eq!(owed("--budgets"), Ok((100, 300, 500)));
    let tenants = |text: &str| file("tenants-owed.json", format!(r#"{{"tenants": [{text}]}}"#));
    for (tenant, expected) in [
        (r#"{"name": "one", "weight": 7}"#, Ok((7, 300, 500))),
        (
            r#"{"name": "two", "budget-us": 90, "period-us": 1000}"#,
            Ok((100, 100, 90)),
        ),
        (r#"{"name": "two"}"#, Ok((100, 100, 0))),
        (
            r#"{"name": "three"}"#,
            Err("has no tenant \"three\", only one, two"),
        ),
        (
            r#"{"name": "one", "load": 1}"#,
            Err("tenant \"one\": load is as recorded: leave it out"),
        ),
        (
            r#"{"name": "one", "weight": 0}"#,
            Err("tenant \"one\": weight 0 is not from 1"),
        ),
        (
            r#"{"name": "two", "budget-us": 3000, "period-us": 1000}"#,
            Err("more than all workers"),
        ),
    ] {
        let file = tenants(tenant);
        match (
            owed(&format!("--scheduler mtds --tenants {file}")),
            expected,
        ) {
            (Err(said), Err(part)) => assert!(said.contains(part), "{tenant}: {said}"),
            (got, expected) => assert_eq!(got, expected.map_err(String::from), "{tenant}"),
        }
        std::fs::remove_file(file).expect("it was there");
    }
    std::fs::remove_file(path).expect("it was there");
}

/// Whether a file can be replayed, or a part of what is said.
fn judge(bytes: Vec<u8>, expected: Result<(), &str>) {
    let path = file("odd.rec", bytes);
    let args = args(&format!("--replay {path}"));
    let scenario = args.scenario();
    let config = scenario.and_then(|scenario| args.config(&scenario));
    match (config, expected) {
        (Ok(_), Ok(())) => {}
        (Err(said), Err(part)) => {
            assert!(
                said.contains(part) && said.starts_with(&path),
                "{part}: {said}"
            );
        }
        (got, expected) => panic!("{expected:?}: {got:?}"),
    }
    std::fs::remove_file(path).expect("it was there");
}

#[test]
fn files_that_are_not_what_they_should_be() {
    let whole = afternoon();
    let mut odd = whole.clone();
    *odd.last_mut().expect("it is long") = 0xff;
    judge(odd, Err("its chunk 3 is damaged"));
    let cut = whole[..9].to_vec();
    judge(cut, Err("its header is damaged: its end is missing"));
    let csv = b"arrival_us,service_us".to_vec();
    judge(csv, Err("is no recording: it does not begin with"));
    let nothing = recording(&header(), &[]);
    judge(nothing, Err("there are no requests in it"));
    let begun = vec![arrived(0, 1, 2), arrived(0, 2, 2)];
    let begun = recording(&header(), &[(LISTENER, 0, begun)]);
    judge(begun, Err("no request in it is whole: 2 have no end in it"));
    let said = args("--replay /none.rec").scenario().expect_err("no file");
    assert!(said.starts_with("/none.rec: "), "{said}");
}

#[test]
fn headers_that_make_no_sense() {
    type Change = fn(&mut Header);
    #[rustfmt::skip]
    let rows: [(Change, Result<(), &str>); 11] = [
        (|_| {}, Ok(())),
        (|it| it.scheduler = "cfs".into(), Err("its header: unknown scheduler \"cfs\"")),
        (|it| it.dispatch = "dice".into(), Err("its header: unknown dispatcher \"dice\"")),
        (|it| it.quantum_ns = 0, Err("its header: a quantum, in ns, of 0")),
        (|it| it.quantum_ns = u64::MAX, Err("above 3600000000000: choose with --quantum-us")),
        (|it| it.workers = 2_000, Err("a number of workers of 2000, above 1024")),
        (|it| it.routes.truncate(2), Err("request 1 is for route 2 of 2")),
        (|it| it.routes[1].tenant = 2, Err("route \"two/a,b\" is of tenant 2 of 2")),
        (|it| it.tenants[0].weight = 0, Err("the weight of tenant \"one\" is 0, not from 1")),
        (|it| it.tenants[0].budget_ns = 9, Ok(())),
        (|it| it.preemption = "off".into(), Ok(())),
    ];
    for (change, expected) in rows {
        let mut header = header();
        change(&mut header);
        let end = at(9, 1, What::Finished { status: 200 });
        let [taken, resumed] = [What::Taken, What::Resumed].map(|what| at(1, 1, what));
        let chunks = [
            (LISTENER, 0, vec![arrived(0, 1, 2)]),
            (1, 0, vec![taken, resumed, end]),
        ];
        judge(recording(&header, &chunks), expected);
    }
}

/// Whatever is cut off or changed in a recording, there is a result or an error, and no panic.
#[test]
fn no_file_does_harm() {
    let whole = afternoon();
    let replay = |bytes: &[u8]| {
        if let Ok(replay) = Replay::of(Path::new("x"), bytes, &Owed::new()) {
            let scenario = Scenario::trace(replay.trace, Some(replay.recording), None, None);
            ends(&config(2, "rr", 1_000_000), &scenario, ());
        }
    };
    for at in 0..whole.len() {
        replay(&whole[..at]);
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            replay(&bytes);
        }
    }
}

#[test]
fn what_is_lost_or_cut_is_said() {
    let mut chunks = Vec::new();
    let [first, second] = [1, 2].map(|request| arrived(0, request, 2));
    chunks.push((LISTENER, 0, vec![first, second]));
    let run = |request| {
        let finished = What::Finished { status: 200 };
        [(1, What::Taken), (1, What::Resumed), (9, finished)]
            .map(|(us, what)| at(us, request, what))
    };
    chunks.push((1, 0, run(1).to_vec()));
    chunks.push((2, 5, run(2)[1..].to_vec()));
    let mut bytes = recording(&header(), &chunks);
    // The next chunk's first byte.
    bytes.push(1);
    let path = file("lost.rec", bytes);
    let table = text(&format!("--replay {path}"));
    let said =
        "1 requests replayed; left out: 1 have lost events; the end of the recording is missing\n";
    assert!(table.contains(said), "{table}");
    let report = json(&format!("--replay {path}"));
    assert_eq!(report["recorded"]["events_lost"], 5);
    assert_eq!(report["recorded"]["is_truncated"], true);
    std::fs::remove_file(path).expect("it was there");
}

#[test]
fn a_recording_is_converted_to_a_trace_and_read_again() {
    let path = file("convert.rec", afternoon());
    let replay = Replay::read(Path::new(&path), &Owed::new()).expect("a recording");
    let mut out = Vec::new();
    replay.convert(&mut out).expect("a vector takes all");
    let csv = "arrival_us,service_us,class,tenant,deadline_us,bursts_us\n\
               0,100,/c,one,,\n\
               1,10,/a%2Cb,two,50,\n\
               2,18,/a%2Cb,two,50,10+20+8\n\
               3,100,/c,one,,\n\
               4,5,/c,one,,\n";
    assert_eq!(String::from_utf8(out).expect("text"), csv);
    let trace = file("convert.csv", csv);
    let machine = "--workers 1 --scheduler fifo --warmup-percent 0 --deadline-us 50";
    let replayed = report(&format!("--replay {path} {machine}"));
    let read = report(&format!("--trace {trace} {machine}"));
    let rows = |report: &crate::sim::report::Report| {
        let all = &report.classes[0];
        (
            all.requests,
            all.sojourn_ns.mean,
            all.queue_ns.mean,
            all.slowdown.mean,
        )
    };
    assert_eq!(rows(&replayed), rows(&read));
    for path in [path, trace] {
        std::fs::remove_file(path).expect("it was there");
    }
}

/// What takes no more is no error if it is a reader that has seen enough.
#[test]
fn a_reader_may_have_seen_enough() {
    struct Closed(std::io::ErrorKind);
    impl std::io::Write for Closed {
        fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let replay = Replay::of(Path::new("x"), &afternoon()[..], &Owed::new()).expect("a recording");
    let convert = |kind| replay.convert(&mut Closed(kind));
    assert_eq!(convert(std::io::ErrorKind::BrokenPipe), Ok(()));
    let said = convert(std::io::ErrorKind::StorageFull).expect_err("no room");
    assert!(said.starts_with("cannot write: "), "{said}");
}
