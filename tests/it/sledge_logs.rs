//! SLEdge's two logs as the program writes them: the columns that scripts look for, and what is in them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::client::post;
use crate::process::{Folder, Serving};

const SANDBOXES: &str = "id,tenant,route,state,deadline,actual,queued,uninitialized,allocated,initialized,runnable,interrupted,preempted,\
running_sys,running_user,asleep,returned,complete,error,proc_MHz,payload_size,regression_param";
const SESSIONS: &str = "tenant,route,state,header_len,resp_body_len,receive_duration,sent_duration,total_lifetime,proc_MHz";

/// How long one of them sleeps.
const NAP_NS: u64 = 3_000_000;

const HOUR_NS: u64 = 3_600_000_000_000;

type Row = BTreeMap<String, String>;

/// The rows of a file with these columns. None of its values has a comma.
fn rows(text: &str, columns: &str) -> Vec<Row> {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(columns));
    let columns: Vec<_> = columns.split(',').collect();
    let row = |line: &str| {
        let values: Vec<_> = line.split(',').collect();
        assert_eq!(values.len(), columns.len(), "{line}");
        let named = columns.iter().zip(values);
        named
            .map(|(name, value)| ((*name).to_owned(), value.to_owned()))
            .collect()
    };
    lines.map(row).collect()
}

fn number(row: &Row, column: &str) -> u64 {
    row[column]
        .parse()
        .unwrap_or_else(|_| panic!("{column} in {row:?}"))
}

#[test]
fn they_have_a_row_for_each_request() {
    let folder = Folder::new();
    let (sandboxes, sessions) = (folder.path("perf.csv"), folder.path("http.csv"));
    let serve = || {
        let path = |path: &Path| path.to_str().expect("text").to_owned();
        let variables = [("SLEDGE_SANDBOX_PERF_LOG", &*path(&sandboxes))];
        let flags = ["--workers=1", "--http-perf-log", &path(&sessions)];
        Serving::start(&flags, &variables)
    };
    let serving = serve();
    let mut client = serving.client();
    assert_eq!(client.get("/fib?10").status, 200);
    assert_eq!(client.post("/puppet", b"dd").status, 500);
    assert_eq!(client.post("/sleep", &NAP_NS.to_le_bytes()).status, 200);
    assert_eq!(client.get("/none?a=b").status, 404);
    // One waits when its client goes away, one computes.
    let mut waits = serving.client();
    waits.send(post("/sleep", &HOUR_NS.to_le_bytes()));
    assert_eq!(serving.client().get("/fib?1").status, 200);
    let mut gone = serving.client();
    gone.send(post("/puppet", b"l"));
    // One that comes later has its turn after it has begun.
    assert_eq!(serving.client().get("/fib?1").status, 200);
    drop((client, gone, waits));
    serving.stop();
    let read = |path: &Path| std::fs::read_to_string(path).expect("it is there");
    check_sandboxes(&rows(&read(&sandboxes), SANDBOXES));
    check_sessions(&rows(&read(&sessions), SESSIONS));
    // The next server writes on, without the columns' names again.
    let serving = serve();
    assert_eq!(serving.client().get("/fib?10").status, 200);
    serving.stop();
    assert_eq!(rows(&read(&sandboxes), SANDBOXES).len(), 8);
    assert_eq!(rows(&read(&sessions), SESSIONS).len(), 9);
}

fn check_sandboxes(found: &[Row]) {
    let told = found.iter().map(|row| (&*row["route"], &*row["state"]));
    let mut told: Vec<_> = told.collect();
    told.sort_unstable();
    let expected = [
        ("/fib", "Complete"),
        ("/fib", "Complete"),
        ("/fib", "Complete"),
        ("/puppet", "Error"),
        ("/puppet", "Error"),
        ("/sleep", "Complete"),
        ("/sleep", "Error"),
    ];
    assert_eq!(told, expected);
    for row in found {
        assert_eq!((&*row["tenant"], &*row["proc_MHz"]), ("one", "1000"));
        let parts = [
            "queued",
            "runnable",
            "preempted",
            "running_sys",
            "running_user",
            "asleep",
        ];
        let sum: u64 = parts.iter().map(|part| number(row, part)).sum();
        assert_eq!(number(row, "actual"), sum, "{row:?}");
        assert!(number(row, "running_user") + number(row, "running_sys") > 0);
        assert!(
            row["route"] != "/sleep" || number(row, "asleep") > 0,
            "{row:?}"
        );
    }
    assert_eq!(number(&found[1], "payload_size"), 2);
    // It sleeps until a time that it takes before its slice ends: what is left of the slice is part of the nap.
    let nap_ns: u64 = ["running_sys", "running_user", "asleep"]
        .map(|part| number(&found[2], part))
        .iter()
        .sum();
    assert!(nap_ns >= NAP_NS, "{:?}", found[2]);
}

fn check_sessions(found: &[Row]) {
    let urls: Vec<_> = found.iter().map(|row| &*row["route"]).collect();
    assert_eq!(urls.len(), 8, "{urls:?}");
    assert!(urls.contains(&"/none?a=b"));
    let answered = &found[0];
    let (url, state) = (&*answered["route"], number(answered, "state"));
    assert_eq!((url, state), ("/fib?10", 12));
    assert_eq!(number(answered, "resp_body_len"), 3);
    assert!(number(answered, "header_len") > 20);
    assert!(number(answered, "total_lifetime") >= number(answered, "sent_duration"));
}
