//! `luge sim validate` in small, and that it can fail: a simulator that is broken in one place is found out.

use sched::Params;

use crate::sim::validate::experiment::{self, Experiment};
use crate::sim::validate::queues::experiments;
use crate::sim::validate::{Row, Verdict, exact, realtime, table, validate};

/// With a seed that the command does not have by default.
#[test]
fn what_is_exact_holds() {
    for check in exact::checks().into_iter().chain(realtime::checks()) {
        let row = check.run(11);
        assert!(row.holds(), "{row:?}");
    }
}

fn named(name: &str) -> Experiment {
    let mut all = experiments().into_iter();
    all.find(|one| one.name == name)
        .expect("a known experiment")
}

/// Rows of an experiment in which something was changed.
fn changed(name: &str, change: impl FnOnce(&mut Experiment)) -> Vec<Row> {
    let mut one = named(name);
    change(&mut one);
    experiment::rows(&[one], 11)
}

#[test]
fn theory_and_simulation_agree() {
    for name in [
        "M/M/1 at 0.8, fifo",
        "M/M/4 at 0.8",
        "M/G/1 at 0.8, fifo, disp-1",
        "M/G/4/4 at 0.8, fixed-10",
        "M/G/1 at 0.8, srpt, disp-1",
    ] {
        for row in changed(name, |_| {}) {
            assert!(row.holds(), "{row:?}");
        }
    }
}

/// Each of these is a simulator that does something else than it says.
#[test]
fn what_is_broken_fails() {
    type Change = fn(&mut Experiment);
    let rows: [(&str, Change); 8] = [
        ("M/M/1 at 0.8, rr", |one| one.config.costs.preempt_ns = 200),
        ("M/M/1 at 0.8, fifo", |one| one.config.costs.start_ns = 500),
        ("M/M/4 at 0.8", |one| one.config.tasks_max = 2),
        ("M/G/1 at 0.8, fifo, disp-1", |one| {
            one.config = named("M/G/1 at 0.8, sjf, disp-1").config
        }),
        ("M/G/1-PS at 0.7, disp-1", |one| {
            one.config.params.quantum_ns = 5_000
        }),
        ("M/G/4/4 at 0.8, fixed-10", |one| one.config.backlog_max = 1),
        ("priorities at 0.8, preemptive, disp-1", |one| {
            one.config.params = Params {
                preemption: false,
                ..one.config.params
            };
        }),
        ("on-off/M/1 at 0.5", |one| {
            one.scenario = named("M/M/1 at 0.8, fifo").scenario
        }),
    ];
    for (name, change) in rows {
        let rows = changed(name, change);
        let failed = rows.iter().any(|row| row.verdict == Verdict::Fails);
        assert!(failed, "{name}: {rows:?}");
    }
}

#[test]
fn a_filter_takes_the_rows_with_that_in_their_names() {
    let rows = validate(1, Some("golden values: M/M/1"));
    assert_eq!(rows.len(), 2);
    assert!(validate(1, Some("no such row")).is_empty());
    let broken = Row::exact("a row", 3, &["this case".to_owned()]);
    let text = table(&[rows[0].clone(), broken]);
    assert!(
        text.contains("FAILS     a row") && text.contains("1 of 2 rows hold"),
        "{text}"
    );
}
