//! Experiments from their text to what is told of them, in the simulator, where all repeats to the nanosecond.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use perf::Percentile;
use perf::objective::{Metric, Statistic};

use super::calibrate::Calibration;
use super::compare::{Verdict, compare, table};
use super::digest::Digest;
use super::experiment::Experiment;
use super::report;
use super::requests::{Asked, Requests};
use super::results::{Origin, Results, Wanted};
use super::run::Order;
use super::shipped;
use crate::sim::service::Service;

fn parse(text: &str) -> Experiment {
    let parsed = Experiment::parse("test", text, "".into());
    parsed.unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// Runs it in the simulator, once for each point.
fn simulate(mut experiment: Experiment) -> Results {
    (experiment.is_live, experiment.is_simulated) = (false, true);
    let stop = AtomicBool::new(false);
    let order = Order {
        experiment: &experiment,
        out: Path::new("nothing-is-written"),
        seed: 1,
        keeps_recordings: false,
        stop: &stop,
    };
    order.carry_out().expect("it runs")
}

/// What a class has at each value of the axis, by policy.
fn values(results: &Results, policy: &str, class: &str, wanted: Wanted) -> Vec<f64> {
    let digest = Digest::new(results);
    let policy = results.policies.iter().position(|it| it.name == policy);
    let line = (policy.expect("a policy"), Origin::Simulated);
    let wanted = Wanted {
        class: Some(results.class(Some(class)).expect("a class")),
        ..wanted
    };
    let values = 0..results.axis.values.len();
    values
        .map(|at| digest.pooled(line, at, wanted).expect("enough"))
        .collect()
}

const P99: Wanted = Wanted {
    metric: Metric::Slowdown,
    statistic: Statistic::At(Percentile::P99),
    class: None,
};

const SMALL: &str = r#"{"title": "t", "question": "q", "workload": "bimodal:90:10,10:100",
    "policies": ["fifo", "rr:20"], "sweep": {"load": [0.3, 0.7]}, "duration": "500ms", "repetitions": 3, "run": ["sim"],
    "interval": "100ms", "objectives": ["p99 slowdown <= 20"]}"#;

#[test]
fn all_mistakes_are_told_at_once() {
    let text = r#"{"title": "t", "question": "q",
        "classes": [{"name": "a", "share": 0, "service": "fixed:10"}, {"name": "a", "share": 1},
                    {"name": "b", "share": 1, "service": "exp:5", "deadline": "soon"}],
        "arrivals": "closed:1:fixed:1",
        "policies": ["best", "rr:x", {"name": "p", "scheduler": "rr", "quantum-us": 0, "dispatch-bound": 0},
                     {"scheduler": "fifo", "preemption": "no", "trigger": "clock", "dispatch": "any", "admission": "yes"},
                     {"scheduler": "fifo", "speed": 2}, "fifo", "fifo",
                     {"name": "fine", "scheduler": "fifo", "admission": "delay:1500:100000"}],
        "sweep": {"clients": [4, 2]}, "load": 0, "workers": 0, "duration": "0s", "warmup-percent": 91, "repetitions": 0,
        "run": ["dead", "live"], "objectives": ["p99 slowdown of c <= 5", "p99 is good"], "deadline": "x",
        "estimates": "noisy:1", "interval": "-", "costs": {"start-us": -1}}"#;
    let problems = Experiment::parse("test", text, "".into()).expect_err("it is wrong");
    let expected = [
        "classes[0].share: 0.0",
        "classes[1].name: \"a\"",
        "classes[1].service: \"\"",
        "classes[2].deadline: \"soon\"",
        "arrivals: \"closed:1:fixed:1\"",
        "run: [\"dead\", \"live\"]",
        "duration: \"0s\"",
        "policies[0]: ",
        "policies[1]: \"rr:x\"",
        "policies[2].quantum-us: 0",
        "policies[2].dispatch-bound: 0",
        "policies[3].preemption: \"no\"",
        "policies[3].trigger: \"clock\"",
        "policies[3].dispatch: \"any\"",
        "policies[3].admission: ",
        "policies[4]: unknown field `speed`",
        "policies[6]: \"fifo\"",
        "sweep.clients: [4.0, 2.0]",
        "load: 0.0",
        "workers: 0",
        "warmup-percent: 91",
        "repetitions: 0",
        "deadline: \"x\"",
        "interval: \"-\"",
        "costs.start-us: -1.0",
        "objectives[0]: \"c\"",
        "objectives[1]: ",
        "estimates: \"noisy:1\"",
        "sweep: \"clients\"",
        "policies[7].admission: \"delay:1500:100000\"",
    ];
    for expected in expected {
        let told = problems.iter().filter(|it| it.starts_with(expected));
        assert_eq!(told.count(), 1, "{expected}: {problems:#?}");
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
}

#[test]
fn what_is_no_experiment_is_an_error_with_its_place() {
    for (text, expected) in [
        ("", "EOF while parsing"),
        ("1", "invalid type"),
        ("{\"title\": \"t\"}", "missing field `question`"),
        ("{\n\"titel\": 1}", "unknown field `titel`"),
    ] {
        let problems = Experiment::parse("test", text, "".into()).expect_err("it is wrong");
        assert!(problems[0].contains(expected), "{text}: {problems:?}");
        assert!(problems[0].contains(" at line "), "{text}: {problems:?}");
    }
    let problems = Experiment::read(Path::new("no/such.json")).expect_err("it is not there");
    assert!(problems[0].starts_with("no/such.json: "), "{problems:?}");
}

/// Tenants' own mistakes name them.
#[test]
fn tenants_and_sweeps_have_to_fit() {
    let tenants = |tenants: &str, sweep: &str| {
        format!(
            r#"{{"title": "t", "question": "q", "tenants": {tenants}, "policies": ["fifo"], "sweep": {sweep}, "run": ["sim"]}}"#
        )
    };
    let good = r#"[{"name": "a", "workload": "fixed:1", "load": 0.5}]"#;
    for (text, expected) in [
        (
            tenants(good, r#"{"load-of": {"tenant": "b", "loads": [1]}}"#),
            "sweep.load-of.tenant: \"b\"",
        ),
        (
            tenants(good, r#"{"load-of": {"tenant": "a"}}"#),
            "sweep.load-of: missing field `loads`",
        ),
        (
            tenants(good, r#"{"load": [0.1], "clients": [1]}"#),
            "sweep: [\"clients\", \"load\"]",
        ),
        (
            tenants(good, r#"{"quantum-us": [1.5]}"#),
            "sweep.quantum-us: 1.5",
        ),
        (tenants(good, r#"{"speed": [1]}"#), "sweep: \"speed\""),
        (tenants(good, r#"{"clients": [1]}"#), "sweep: \"clients\""),
        (
            tenants(r#"[{"name": "a", "load": 0.5}]"#, r#"{"load": [1]}"#),
            "tenants[0].workload: \"\"",
        ),
        (
            tenants(
                r#"[{"name": "a", "workload": "slow", "load": 0.5}]"#,
                r#"{"load": [1]}"#,
            ),
            "tenants[0]",
        ),
    ] {
        let problems = Experiment::parse("test", &text, "".into()).expect_err("it is wrong");
        let is_told = problems.iter().any(|it| it.starts_with(expected));
        assert!(is_told, "{expected}: {problems:#?}");
    }
}

fn requests(experiment: &Experiment, services: &[Service], seed: u64) -> Requests {
    let asked = Asked {
        experiment,
        services,
        value: 0.5,
        seed,
        turnaround_ns: 1,
    };
    asked.requests().expect("they are not too many")
}

/// Common random numbers: what is asked depends on the seed and on the point, and on nothing else.
#[test]
fn requests_are_of_their_seed_and_their_routes() {
    let experiment = parse(&SMALL.replace("bimodal:90:10,10:100", "exp:50"));
    let services = [Service::Exponential(50_000)];
    let first = requests(&experiment, &services, 1);
    assert_eq!(first, requests(&experiment, &services, 1));
    assert_ne!(first, requests(&experiment, &services, 2));
    assert!(
        first
            .open
            .is_sorted_by_key(|request| request.arrival.arrival_ns)
    );
    // 0.5 of one worker for half a second, 50 µs each.
    assert!(
        (4_700..5_300).contains(&first.open.len()),
        "{}",
        first.open.len()
    );
    for request in &first.open {
        let route = first.routes[usize::from(request.arrival.route)];
        assert_eq!(route.service_ns, request.service_ns);
        let deadline_ns = request.arrival.deadline_ns - request.arrival.arrival_ns;
        assert_eq!(deadline_ns, route.deadline_ns);
    }
    let mut sizes: Vec<_> = first.routes.iter().map(|route| route.service_ns).collect();
    sizes.sort_unstable();
    assert!(
        sizes.windows(2).all(|pair| pair[0] < pair[1]),
        "one route for each size"
    );
}

/// Whatever is counted in several places is the same everywhere, and near what it has to be.
#[test]
fn results_add_up_and_agree_with_theory() {
    let results = simulate(parse(SMALL));
    assert_eq!(results.runs.len(), 2 * 2 * 3);
    for run in &results.runs {
        let measured = &run.measured;
        let all = measured.all();
        assert_eq!(all.requests, all.finished + all.refused + all.dropped);
        assert_eq!((measured.torn, measured.events_lost), (0, 0));
        let load = measured.workers.work;
        assert!(
            (load / run.value - 1.0).abs() < 0.1,
            "{load} at {}",
            run.value
        );
        let intervals = measured.intervals.iter().flat_map(|it| &it.classes);
        let (came, good) = intervals.fold((0, 0), |(came, good), it| {
            (came + it.requests, good + it.good)
        });
        assert!(
            came > all.requests && good <= came,
            "{came} {good} {}",
            all.requests
        );
        let tail = measured.tail.as_ref().expect("some finished");
        let told_ns: u64 = tail.causes.iter().map(|cause| cause.tail_ns).sum();
        assert_eq!(told_ns, tail.sojourn_ns, "every nanosecond has a cause");
    }
    // Pollaczek and Khinchine: 19 µs of service, E[S²] = 1,090 µs².
    let mean = Wanted {
        metric: Metric::Sojourn,
        statistic: Statistic::Mean,
        class: None,
    };
    let digest = Digest::new(&results);
    for (at, load) in [(0, 0.3), (1, 0.7)] {
        let theory = 19e3 + load / 19e3 * 1_090e6 / (2.0 * (1.0 - load));
        let told = digest
            .value((0, Origin::Simulated), at, mean)
            .expect("enough")
            .value;
        assert!(
            (told / theory - 1.0).abs() < 0.06,
            "{told} and {theory} at {load}"
        );
    }
}

#[test]
fn what_is_written_is_read_and_reported() {
    let results = simulate(parse(SMALL));
    let text = serde_json::to_string(&results).expect("it can be written");
    let read: Results = serde_json::from_str(&text).expect("it can be read");
    let html = report::page(&results).html();
    assert_eq!(html, report::page(&read).html());
    for expected in [
        "p99 slowdown along the load",
        "Pollaczek and Khinchine",
        "All percentiles at a load of",
        "Requests answered in time, interval by interval",
        "The workers’ time",
        "bimodal:90:10,10:100",
    ] {
        let expected = expected.replace('’', "'");
        let escaped = expected.replace('\'', "&#39;");
        assert!(
            html.contains(&expected) || html.contains(&escaped),
            "{expected}"
        );
    }
}

/// Two measurements of the same are told apart by what they are, and not by what they are called.
#[test]
fn comparisons_tell_better_from_worse() {
    let with = |scheduler: &str| {
        let policy = format!(r#"[{{"name": "p", "scheduler": "{scheduler}", "quantum-us": 20}}]"#);
        simulate(parse(&SMALL.replace(r#"["fifo", "rr:20"]"#, &policy)))
    };
    let (fifo, srpt) = (with("fifo"), with("srpt"));
    let verdict = |first: &Results, second: &Results| {
        let changes = compare(first, second).expect("they have all in common");
        assert_eq!(table(&changes, 0.05).lines().count(), 1 + changes.len());
        let of = changes.iter().find(|it| it.what == "p99 slowdown");
        of.expect("it is compared").verdict(0.05)
    };
    assert_eq!(verdict(&fifo, &srpt), Verdict::Better);
    assert_eq!(verdict(&srpt, &fifo), Verdict::Worse);
    assert_eq!(verdict(&fifo, &fifo), Verdict::Same);
    let other = simulate(parse(&SMALL.replace("fifo", "edf").replace("rr:20", "llf")));
    assert!(
        compare(&fifo, &other).is_err(),
        "they have no policy in common"
    );
    // One reckons with what was measured, the other with nothing.
    let mut measured = with("fifo");
    measured.calibration = Some(Calibration {
        round_ns: 1.0,
        functions_ns: Vec::new(),
        turnaround_ns: 1,
        modes: Vec::new(),
    });
    let refused = compare(&measured, &fifo).map(drop);
    assert!(refused.is_err_and(|why| why.contains("costs")));
}

#[test]
fn what_few_requests_cannot_tell_is_said_to_be_so() {
    let lead = |text: &str| report::page(&simulate(parse(text))).lead.join("\n");
    let told = "The load up to which p99 slowdown <= 20 on the simulator: ";
    let few = lead(&SMALL.replace(r#""duration": "500ms""#, r#""duration": "2ms""#));
    assert!(
        few.contains(&format!("{told}too few requests to tell.")),
        "{few}"
    );
    let many = lead(SMALL);
    assert!(
        many.contains(told) && !many.contains("too few requests"),
        "{many}"
    );
}

fn shipped(name: &str) -> Experiment {
    let mut experiment = shipped::named(name).expect("it is shipped").experiment();
    experiment.repetitions = 1;
    experiment
}

/// A tenant at ten times its budget moves a victim's p99 to at most 1.25 times of what it has alone.
#[test]
fn a_noisy_neighbour_is_hardly_heard() {
    let results = simulate(shipped("noisy-neighbour"));
    let at = results
        .axis
        .values
        .iter()
        .position(|load| *load == 1.0)
        .expect("ten times its tenth");
    for (policy, most) in [("wfq", 1.25), ("mtds", 1.25)] {
        let slowdowns = values(&results, policy, "victim", P99);
        let ratio = slowdowns[at] / slowdowns[0];
        assert!(ratio <= most, "{policy}: {ratio} of {slowdowns:?}");
    }
    let fifo = values(&results, "fifo", "victim", P99);
    assert!(
        fifo[at] > 100.0 * fifo[0],
        "the neighbour is not noisy: {fifo:?}"
    );
}

/// Under 1.2 and 10 times of what it can do a server with admission does at least 90 % of that in time, and its queue is
/// gone within 2 s afterwards.
#[test]
fn overload_with_admission_is_survived() {
    let results = simulate(shipped("overload"));
    let rows = report::overload::rows(&results);
    let row = |policy: &str, load: f64| {
        let found = rows
            .iter()
            .find(|row| row.policy == policy && row.value == load);
        found.expect("it is told").shown
    };
    for load in [0.9, 9.7] {
        for policy in ["utilisation", "edf, utilisation"] {
            let shown = row(policy, load);
            assert!(shown.goodput >= 0.9, "{policy} at {load}: {shown:?}");
            let recovery_ns = shown.recovery_ns.expect("it recovers");
            assert!(
                recovery_ns <= 2_000_000_000,
                "{policy} at {load}: {shown:?}"
            );
        }
    }
    let without = row("no admission", 9.7);
    assert!(without.goodput < 0.3, "that is no overload: {without:?}");
}
