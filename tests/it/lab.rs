//! `luge lab` as a user runs it: on servers that it starts and in the simulator, and what can be made of the results.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::wait_until;
use crate::process::{Folder, Said, luge, run, signal};

fn ok(said: Said) -> Said {
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    said
}

/// A class that takes time and one that is a function, at one load, under two policies.
fn experiment() -> Value {
    json!({
        "title": "Two classes",
        "question": "Does it run?",
        "classes": [
            {"name": "spin", "share": 9, "service": "fixed:200"},
            {"name": "fib", "share": 1, "function": "fib", "query": "15"},
        ],
        "policies": ["fifo", {"name": "slices", "scheduler": "rr", "quantum-us": 1000, "dispatch": "jbsq", "dispatch-bound": 4}],
        "sweep": {"load": [0.1]},
        "duration": "400ms",
        "repetitions": 1,
        "interval": "100ms",
        "objectives": ["p50 slowdown <= 1000"],
    })
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// Requests of a run that ended well, and all.
fn ended(run: &Value) -> (u64, u64) {
    let classes = run["measured"]["classes"].as_array().expect("classes");
    let sum = |key: &str| classes.iter().map(|class| number(&class[key])).sum();
    (sum("finished"), sum("requests"))
}

#[test]
fn an_experiment_runs_on_servers_and_in_the_simulator() {
    let folder = Folder::new();
    let file = folder.write("two.json", &experiment().to_string());
    let out = folder.path("out");
    let (file, out) = (file.to_str().expect("text"), out.to_str().expect("text"));
    let said = ok(run(["lab", "run", file, "--out", out]));
    assert!(said.out.starts_with("Two classes\n"), "{}", said.out);
    assert!(
        said.out.contains("p50 slowdown <= 1000 on the server: "),
        "{}",
        said.out
    );

    let results: Value = serde_json::from_str(&folder.read("out/results.json")).expect("JSON");
    let runs = results["runs"].as_array().expect("runs");
    // Two policies, each on a server, in the simulator, and once more as recorded.
    assert_eq!(runs.len(), 6);
    for run in runs {
        let (finished, requests) = ended(run);
        assert_eq!(finished, requests, "{run}");
        // 0.36 s at a rate of a few hundred a second.
        assert!(requests > 20, "{requests}");
        let is_live = run["origin"] == "live";
        assert_eq!(run["live"].is_object(), is_live);
        if is_live {
            assert_eq!(run["live"]["is_right"], true, "{run}");
            assert_eq!(run["measured"]["torn"], 0);
            let at = run["folder"].as_str().expect("a folder");
            for name in ["server.rec", "server.log", "load.json", "spec.json"] {
                assert!(folder.path(&format!("out/{at}/{name}")).exists(), "{name}");
            }
        }
    }
    let manifest: Value = serde_json::from_str(&folder.read("out/manifest.json")).expect("JSON");
    assert_eq!(manifest["seed"], 1);
    let kept: Value = serde_json::from_str(&folder.read("out/experiment.json")).expect("JSON");
    assert_eq!(kept, experiment());
    for kind in ["round_ns", "turnaround_ns"] {
        assert!(results["calibration"][kind].as_f64() > Some(0.0), "{kind}");
    }
    check_what_is_made_of_them(&folder, out);
}

/// Reports, explanations and comparisons of results that are there.
fn check_what_is_made_of_them(folder: &Folder, out: &str) {
    // Again, with another objective; the same as before but for that.
    ok(run([
        "lab",
        "report",
        out,
        "--slo",
        "mean sojourn of fib <= 1s",
    ]));
    let html = folder.read("out/report.html");
    assert!(
        html.contains("mean sojourn of fib &lt;= 1s"),
        "{}",
        html.len()
    );
    let said = ok(run(["lab", "explain", out]));
    assert_eq!(said.out.lines().count(), 4, "{}", said.out);
    let recording = folder.path("out/runs/001/server.rec");
    let said = ok(run([
        "lab",
        "explain",
        recording.to_str().expect("text"),
        "--per-million",
        "100000",
    ]));
    assert!(said.out.contains("their time went to"), "{}", said.out);
    assert!(said.out.contains("running"), "{}", said.out);
    // What a server has left that was killed.
    let whole = std::fs::read(&recording).expect("it is there");
    std::fs::write(&recording, &whole[..whole.len() - 3]).expect("it can be written");
    let said = ok(run(["lab", "explain", recording.to_str().expect("text")]));
    assert!(
        said.out.contains("the end of the file is missing"),
        "{}",
        said.out
    );
    // One run of each tells nothing of how they differ.
    let said = ok(run(["lab", "compare", out, out]));
    assert!(said.out.contains("too few runs"), "{}", said.out);
}

/// Who is interrupted tells what there is, fails, and leaves neither servers nor their cache.
#[test]
fn an_interrupted_experiment_tells_what_it_has() {
    let folder = Folder::new();
    let mut long = experiment();
    long["repetitions"] = json!(100);
    let file = folder.write("long.json", &long.to_string());
    let out = folder.path("out");
    let mut lab = luge();
    lab.args(["lab", "run"]).arg(&file).arg("--out").arg(&out);
    lab.stdout(Stdio::null()).stderr(Stdio::piped());
    let lab = lab.spawn().expect("the program can be run");
    // Step by step, each with patience of its own.
    for step in [
        "calibration/off-timer-alone",
        "calibration/signal-timer-busy",
        "calibration/signal-timer-long",
        "runs/001",
        "runs/002",
        "runs/003",
    ] {
        wait_until(step, || out.join(step).exists());
    }
    signal(&lab, "INT");
    let ended = lab.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("not all runs were made: "), "{said}");
    let results: Value = serde_json::from_str(&folder.read("out/results.json")).expect("JSON");
    let runs = results["runs"].as_array().expect("runs").len();
    assert!((2..200).contains(&runs), "{runs}");
    let why = results["manifest"]["ended_early"].as_str();
    assert!(
        why.is_some_and(|why| why.contains("interrupted")),
        "{why:?}"
    );
    assert!(
        folder
            .read("out/report.html")
            .contains("not all runs were made")
    );
    assert!(!out.join("cache").exists());
}

/// … and where there is nothing to tell yet, it can be run again to the same place.
#[test]
fn an_experiment_that_is_interrupted_at_once_leaves_nothing() {
    let folder = Folder::new();
    let file = folder.write("long.json", &experiment().to_string());
    let out = folder.path("out");
    let mut lab = luge();
    lab.args(["lab", "run"]).arg(&file).arg("--out").arg(&out);
    lab.stdout(Stdio::null()).stderr(Stdio::piped());
    let lab = lab.spawn().expect("the program can be run");
    wait_until("it calibrates", || {
        out.join("calibration/off-timer-alone").exists()
    });
    signal(&lab, "INT");
    let ended = lab.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("luge lab: calibration\n"), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    let left = std::fs::read_dir(&out).expect("a folder");
    assert_eq!(left.count(), 0, "{said}");
}

/// What is worse is a failure for scripts, and the same seed is the same.
#[test]
fn comparisons_end_with_a_code() {
    let folder = Folder::new();
    let simulated = |scheduler: &str, name: &str| {
        let mut experiment = experiment();
        experiment["classes"] = json!([{"name": "spin", "share": 1, "service": "exp:200"}]);
        experiment["policies"] = json!([{"name": "p", "scheduler": scheduler, "quantum-us": 50}]);
        experiment["sweep"] = json!({"load": [0.5, 0.8]});
        experiment["repetitions"] = json!(3);
        experiment["duration"] = json!("2s");
        let file = folder.write(&format!("{name}.json"), &experiment.to_string());
        let out = folder.path(name).to_str().expect("text").to_owned();
        let file = file.to_str().expect("text");
        ok(run(["lab", "run", file, "--only", "sim", "--out", &out]));
        out
    };
    let (fifo, srpt, again) = (
        simulated("fifo", "a"),
        simulated("srpt", "b"),
        simulated("fifo", "c"),
    );
    let said = run(["lab", "compare", &srpt, &fifo]);
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    assert!(said.out.contains("WORSE"), "{}", said.out);
    ok(run(["lab", "compare", &fifo, &srpt]));
    let said = ok(run(["lab", "compare", &fifo, &again]));
    // All but the p99.9, for which there are too few requests.
    let same = said.out.matches("+0.0 % to +0.0 %").count();
    assert_eq!(same, 4, "{}", said.out);
}

#[test]
fn what_is_wrong_is_said_before_anything_runs() {
    let folder = Folder::new();
    let mut wrong = experiment();
    wrong["repetitions"] = json!(0);
    wrong["load"] = json!(-1);
    let wrong = folder.write("wrong.json", &wrong.to_string());
    let wrong = wrong.to_str().expect("text");
    let out = folder.path("out");
    let out = out.to_str().expect("text");
    let said = run(["lab", "run", wrong, "--out", out]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert_eq!(said.err.lines().count(), 2, "{}", said.err);
    assert!(
        said.err.contains("wrong.json: repetitions: 0"),
        "{}",
        said.err
    );
    assert!(!folder.path("out").exists());

    let said = run(["lab", "run", "no-such-experiment", "--out", out]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.err.contains("wasm-edge, "), "{}", said.err);
    let said = run([
        "lab",
        "run",
        "wasm-edge",
        "--out",
        out,
        "--slo",
        "p99 slowdown of c <= 5",
    ]);
    assert!(said.err.contains("--slo: \"c\""), "{}", said.err);
    folder.write("file", "");
    let here = folder.path("");
    let said = run([
        "lab",
        "run",
        "wasm-edge",
        "--out",
        here.to_str().expect("text"),
    ]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.err.contains("is not empty"), "{}", said.err);
    let said = run(["lab", "report", here.to_str().expect("text")]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    let said = ok(run(["lab", "list"]));
    assert!(said.out.contains("noisy-neighbour"), "{}", said.out);
    let said = ok(run(["lab", "show", "tpcc"]));
    assert!(
        serde_json::from_str::<Value>(&said.out).is_ok(),
        "{}",
        said.out
    );
}
