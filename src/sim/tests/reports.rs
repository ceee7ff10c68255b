//! What is printed is what happened.

use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;

use crate::sim::progress::Progress;
use crate::sim::report::Report;
use crate::sim::run;
use crate::sim::{Args, simulate};

pub(super) fn args(arguments: &str) -> Args {
    let words = ["sim"].into_iter().chain(arguments.split_whitespace());
    Args::try_parse_from(words).expect("good arguments")
}

pub(super) fn report(arguments: &str) -> Report {
    let args = args(arguments);
    let scenario = args.scenario().expect("a scenario");
    let config = args.config(&scenario).expect("a machine");
    let run = args.run(&scenario);
    run::simulate(&scenario, &config, "mean", run, &Progress::silent())
}

pub(super) fn text(arguments: &str) -> String {
    simulate(&args(arguments)).expect("a result")
}

/// Twice as many as one worker can do, evenly spaced: request i comes at 5(i + 1) µs and stays for 10 + 5i µs. The
/// first tenth of a hundred is not measured, so i goes from 10 to 99.
#[test]
fn an_even_overload_can_be_reckoned_by_hand() {
    let report = report(
        "--workload fixed:10 --workers 1 --load 2 --arrivals deterministic --requests 100 \
         --scheduler fifo --deadline-us 100",
    );
    let [all] = &report.classes[..] else {
        panic!("one class needs one row: {report:?}")
    };
    assert_eq!(all.requests, 90);
    assert_eq!(all.sojourn_ns.mean, Some(282_500.0));
    assert_eq!(all.queue_ns.mean, Some(272_500.0));
    assert_eq!(all.slowdown.mean, Some(28.25));
    // The 45th of them has i = 54.
    let p50 = all.sojourn_ns.p50.expect("45 lie beyond");
    assert!((p50 - 280_000.0).abs() < 280.0, "{p50}");
    assert_eq!(all.sojourn_ns.p90, None, "only 9 lie beyond");
    // Late from i = 19 on.
    assert_eq!(all.missed_deadlines, 81);
    assert_eq!(report.simulated_ns, 1_005_000);
    assert_eq!(report.utilisation, 1_000.0 / 1_005.0);
    let table = report.table();
    assert!(
        table.contains("282.500") && table.contains("n/a"),
        "{table}"
    );
}

#[test]
fn each_class_has_its_row_and_the_first_is_all() {
    let report = report("--workload tpcc --requests 10000 --warmup-percent 0");
    let names: Vec<&str> = report
        .classes
        .iter()
        .map(|row| row.class.as_str())
        .collect();
    assert_eq!(names[..3], ["all", "payment", "order-status"]);
    let counts: Vec<u64> = report.classes.iter().map(|row| row.requests).collect();
    assert_eq!(
        (counts[0], counts[1..].iter().sum::<u64>()),
        (10_000, 10_000)
    );
}

#[test]
fn a_seed_repeats_to_the_byte() {
    let output = |seed: u64| {
        let report = report(&format!("--requests 20000 --seed {seed}"));
        let json = serde_json::to_string(&report).expect("finite numbers");
        report.table() + &json
    };
    assert_eq!(output(1), output(1));
    assert_ne!(output(1), output(2));
}

/// Every way of asking gives the same bytes for a seed, on however many threads, and others for another.
#[test]
fn every_process_repeats() {
    let rows = [
        "--arrivals onoff:100:900",
        "--arrivals mmpp:5:1000:1000",
        "--arrivals closed:20:exp:100",
        "--workload lognormal:10:1 --estimates noisy:0.5 --scheduler srpt",
        "--workload pareto:1.3:10:1000 --timer-jitter-ns 2000 --preempt-ns 500",
        "--compare rr:10,rr:100,fifo,edf --loads 0.5,0.9",
    ];
    for row in rows {
        let output = |seed: u64| text(&format!("{row} --requests 5000 --json --seed {seed}"));
        assert_eq!(output(1), output(1), "{row}");
        assert_ne!(output(1), output(2), "{row}");
    }
}

#[test]
fn a_comparison_has_what_the_runs_alone_have() {
    let setting = "--workload disp-1 --workers 1 --requests 20000";
    let both = text(&format!(
        "{setting} --compare fifo,rr:2 --loads 0.5,0.8 --json"
    ));
    let both: Vec<serde_json::Value> = serde_json::from_str(&both).expect("reports");
    let alone = [
        "--scheduler fifo --load 0.5",
        "--scheduler rr --quantum-us 2 --load 0.5",
        "--scheduler fifo --load 0.8",
        "--scheduler rr --quantum-us 2 --load 0.8",
    ];
    assert_eq!(both.len(), alone.len());
    for (report, alone) in both.iter().zip(alone) {
        let alone: serde_json::Value =
            serde_json::from_str(&text(&format!("{setting} {alone} --json"))).expect("a report");
        let part = |value: &serde_json::Value| value["classes"].clone();
        assert_eq!(part(report), part(&alone));
    }
    let table = text(&format!("{setting} --compare fifo,rr:2 --loads 0.5,0.8"));
    assert_eq!(table.matches("rr 2 µs").count(), 6, "{table}");
}

#[test]
fn the_table_says_deadlines_and_the_largest() {
    let table = text("--workload disp-1 --requests 20000");
    assert!(
        table.contains("deadlines: short 10 µs, long 100 µs"),
        "{table}"
    );
    assert!(table.lines().any(|line| line.ends_with("max")), "{table}");
    let table = text("--workload disp-1 --requests 20000 --deadline-us 70");
    assert!(table.contains("deadline 70 µs"), "{table}");
}

pub(super) fn file(name: &str, text: impl AsRef<[u8]>) -> String {
    static FILES: AtomicU64 = AtomicU64::new(0);
    // Tests that run at once may call their files alike.
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let name = format!("luge-sim-{}-{number}-{name}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).expect("a temporary file");
    path.display().to_string()
}

#[test]
fn tenants_have_their_rows_and_loads() {
    let path = file(
        "tenants.json",
        r#"{"tenants": [{"name": "a", "workload": "disp-1", "load": 0.3},
            {"name": "b", "workload": "exp:10", "load": 0.6, "arrivals": "onoff:100:100", "budget-us": 100, "period-us": 1000}]}"#,
    );
    let report = report(&format!(
        "--tenants {path} --scheduler mtds --requests 30000"
    ));
    let rows = report.classes.iter().map(|row| (&*row.class, row.requests));
    let rows: std::collections::BTreeMap<&str, u64> = rows.collect();
    assert_eq!(rows["a"] + rows["b"], rows["all"]);
    assert_eq!(rows["a/short"] + rows["a/long"], rows["a"]);
    // Twice the load in requests of nearly twice the length.
    let part = rows["a"] as f64 / rows["all"] as f64;
    assert!((part - 0.476).abs() < 0.03, "{part}");
    assert!(
        (report.utilisation - 0.9).abs() < 0.03,
        "{}",
        report.utilisation
    );
    let half = self::report(&format!("--tenants {path} --load 0.45 --requests 30000"));
    assert!(
        (half.utilisation - 0.45).abs() < 0.02,
        "{}",
        half.utilisation
    );
    std::fs::remove_file(path).expect("it was there");
}

#[test]
fn a_trace_is_replayed_and_stretched() {
    let path = file(
        "trace.csv",
        "arrival_us,service_us,class\n0,10,a\n5,10,b\n100,10,a\n",
    );
    let setting = format!("--trace {path} --workers 1 --scheduler fifo --warmup-percent 0");
    let recorded = report(&setting);
    assert_eq!(recorded.setting.requests, 3);
    assert_eq!(recorded.simulated_ns, 110_000);
    assert_eq!(recorded.setting.load, Some(0.3));
    assert_eq!(recorded.classes[0].sojourn_ns.mean, Some(35_000.0 / 3.0));
    // At twice the load the second comes after 2.5 µs, the third after 50.
    let stretched = report(&format!("{setting} --load 0.6"));
    assert_eq!(stretched.simulated_ns, 60_000);
    assert_eq!(stretched.classes[0].sojourn_ns.mean, Some(37_500.0 / 3.0));
    std::fs::remove_file(path).expect("it was there");
}

#[test]
fn bad_arguments_are_refused() {
    let rows = [
        "--workload nothing",
        "--scheduler cfs",
        "--quantum-us 0",
        "--workers 0",
        "--workers 1025",
        "--load 0",
        "--load nan",
        "--load -1",
        "--load 0.5 --loads 0.5",
        "--compare nothing",
        "--compare rr:0",
        "--scheduler rr --compare rr",
        "--arrivals closed:0:1",
        "--arrivals onoff:100",
        "--estimates maybe",
        "--param levels=0",
        "--param quantum",
        "--trace-format azure-2021",
        "--tenants a.json --trace b.csv",
        "--replay a.rec --trace b.csv",
        "--replay a.rec --arrivals poisson",
        "--replay a.rec --workload fixed-1",
        "--record a.rec --compare fifo",
        "--record a.rec --loads 0.5,0.8",
        "--budgets",
        "--requests 0",
        "--warmup-percent 100",
        "--preemption maybe",
        "--deadline-us -1",
        "--preempt-ns 1000000000",
        "--tasks-max 0",
    ];
    for row in rows {
        let words = ["sim"].into_iter().chain(row.split_whitespace());
        let error = Args::try_parse_from(words).expect_err(row);
        // What is wrong is the value, not that there is a flag that begins with it.
        assert_ne!(
            error.kind(),
            clap::error::ErrorKind::UnknownArgument,
            "{row}"
        );
    }
    let closed = args("--arrivals closed:3:1 --load 0.5");
    assert!(
        closed
            .scenario()
            .expect_err("no load")
            .contains("leave --load out")
    );
}
