//! SLEdge's two logs of comma-separated values, for those who have scripts that read them.
//!
//! Columns are SLEdge's. Its times are cycles of the processor, which scripts divide by `proc_MHz` for microseconds; here
//! they are nanoseconds, and `proc_MHz` is 1000, which comes to the same. A row has as many values as there are columns;
//! SLEdge's have one or two more. Names and paths with a comma, a quote or a line's end are in quotes (RFC 4180).
//!
//! What is in which column, and why some are 0, is told in `deploy/README.md`.

use super::records::{Around, Record};
use std::borrow::Cow;
use std::io::Write;

/// The columns of the log of sandboxes.
pub(super) const SANDBOX_HEADER: &str = "id,tenant,route,state,deadline,actual,queued,uninitialized,allocated,\
    initialized,runnable,interrupted,preempted,running_sys,running_user,asleep,returned,complete,error,proc_MHz,\
    payload_size,regression_param\n";

/// The columns of the log of sessions.
pub(super) const SESSION_HEADER: &str = "tenant,route,state,header_len,resp_body_len,receive_duration,sent_duration,\
    total_lifetime,proc_MHz\n";

/// Nanoseconds in a microsecond, in the place of cycles.
const PROC_MHZ: u64 = 1_000;

/// `HTTP_SESSION_SENT_RESPONSE_BODY` and `HTTP_SESSION_SENDING_RESPONSE_BODY`.
const SENT: u64 = 12;
const SENDING: u64 = 10;

/// The row of a request in the log of sandboxes, if it has one.
pub(super) fn sandbox_row(record: &Record, around: &Around, out: &mut Vec<u8>) {
    let at = &record.timeline;
    let Some(route) = record.route.filter(|_| at.dispatched_ns > 0) else {
        return;
    };
    let route = around.routes.route(route);
    let is_well = (200..500).contains(&record.status) && record.status != 499;
    let state = if is_well { "Complete" } else { "Error" };
    let queued_ns = at.picked_ns.saturating_sub(at.arrived_ns);
    // One that did not begin was over when it was found to be.
    let begun_ns = if at.started_ns > 0 {
        at.started_ns
    } else {
        at.finished_ns
    };
    let runnable_ns = match at.picked_ns {
        0 => 0,
        picked_ns => begun_ns.saturating_sub(picked_ns),
    };
    let user_ns = at.ran_ns.saturating_sub(at.host_ns);
    let actual_ns = queued_ns + runnable_ns + at.ran_ns + at.preempted_ns + at.blocked_ns;
    let returned_ns = at.returned_ns().unwrap_or(0);
    let tenant = &around.addresses[usize::from(record.port)].0;
    let times = [
        route.relative_deadline_ns.unwrap_or(0),
        actual_ns,
        queued_ns,
        0,
        0,
        0,
        runnable_ns,
        0,
        at.preempted_ns,
        at.host_ns,
        user_ns,
        at.blocked_ns,
        returned_ns,
        0,
        0,
    ];
    let names = [tenant.as_str(), &route.path, state];
    row(Some(record.request_id), &names, &times, out);
    let rest = [PROC_MHZ, record.received_bytes, 0];
    finish(&rest, out);
}

/// The row of a request in the log of sessions, if it has one.
pub(super) fn session_row(record: &Record, around: &Around, out: &mut Vec<u8>) {
    if record.path.is_empty() {
        return;
    }
    let at = &record.timeline;
    let mut url = String::from_utf8_lossy(&record.path).into_owned();
    if !record.query.is_empty() {
        url.push('?');
        url.push_str(&String::from_utf8_lossy(&record.query));
    }
    let state = if at.sent_ns > 0 { SENT } else { SENDING };
    let lifetime_ns = match (at.began_ns, at.sent_ns) {
        (0, _) | (_, 0) => 0,
        (began_ns, sent_ns) => sent_ns.saturating_sub(began_ns),
    };
    let tenant = &around.addresses[usize::from(record.port)].0;
    let numbers = [
        state,
        record.head_bytes,
        record.body_bytes,
        at.received_ns().unwrap_or(0),
        at.written_ns().unwrap_or(0),
        lifetime_ns,
    ];
    row(None, &[tenant, &url], &numbers, out);
    finish(&[PROC_MHZ], out);
}

fn row(id: Option<u64>, texts: &[&str], numbers: &[u64], out: &mut Vec<u8>) {
    let id = id.map(|id| id.to_string());
    let texts = texts.iter().map(|text| quoted(text));
    let numbers = numbers.iter().map(u64::to_string);
    let all = id
        .into_iter()
        .map(Cow::Owned)
        .chain(texts)
        .chain(numbers.map(Cow::Owned));
    for value in all {
        out.extend_from_slice(value.as_bytes());
        out.push(b',');
    }
}

fn finish(numbers: &[u64], out: &mut Vec<u8>) {
    let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
    writeln!(out, "{}", numbers.join(",")).expect("writing to memory does not fail");
}

/// As a value may be (RFC 4180 §2).
fn quoted(text: &str) -> Cow<'_, str> {
    match text.contains([',', '"', '\r', '\n']) {
        true => Cow::Owned(format!("\"{}\"", text.replace('"', "\"\""))),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Router;
    use crate::server::{Route, Routes};
    use listener::Timeline;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::Arc;
    use std::time::SystemTime;

    fn around(tenant: &str, path: &str) -> Around {
        let route = Route {
            path: path.to_owned(),
            relative_deadline_ns: Some(50_000),
            ..Route::default()
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        Around {
            addresses: vec![(tenant.to_owned(), address)],
            routes: Arc::new(Routes::new(vec![route], vec![Router::default()])),
        }
    }

    fn record(path: &[u8], query: &[u8], status: u16, timeline: Timeline) -> Record {
        Record {
            at: SystemTime::UNIX_EPOCH,
            request_id: 7,
            port: 0,
            route: Some(0),
            client: None,
            method: None,
            path: path.into(),
            query: query.into(),
            status,
            head_bytes: 90,
            body_bytes: 5,
            received_bytes: 3,
            timeline,
        }
    }

    /// It ran for 80 of its 200 ns, half of that in the host.
    const WHOLE: Timeline = Timeline {
        accepted_ns: 0,
        began_ns: 1_000,
        parsed_ns: 1_000,
        arrived_ns: 1_100,
        admitted_ns: 1_100,
        dispatched_ns: 1_100,
        picked_ns: 1_110,
        started_ns: 1_130,
        finished_ns: 1_330,
        answered_ns: 1_350,
        sending_ns: 1_350,
        sent_ns: 1_400,
        ran_ns: 80,
        preempted_ns: 70,
        blocked_ns: 50,
        host_ns: 40,
        slices: 3,
        preemptions: 1,
        blocks: 1,
    };

    #[test]
    fn a_sandboxs_times_add_up() {
        let check = |status, timeline, expected: &str| {
            let mut out = Vec::new();
            let record = record(b"/fib", b"", status, timeline);
            sandbox_row(&record, &around("gwu", "/fib"), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
            let columns = SANDBOX_HEADER.matches(',').count();
            assert!(out.is_empty() || expected.matches(',').count() == columns);
        };
        check(
            200,
            WHOLE,
            "7,gwu,/fib,Complete,50000,230,10,0,0,0,20,0,70,40,40,50,20,0,0,1000,3,0\n",
        );
        check(
            500,
            WHOLE,
            "7,gwu,/fib,Error,50000,230,10,0,0,0,20,0,70,40,40,50,20,0,0,1000,3,0\n",
        );
        // Over before it began, by its deadline; and by its client, who had gone.
        let unstarted = Timeline {
            started_ns: 0,
            ran_ns: 0,
            preempted_ns: 0,
            blocked_ns: 0,
            host_ns: 0,
            ..WHOLE
        };
        check(
            503,
            unstarted,
            "7,gwu,/fib,Error,50000,230,10,0,0,0,220,0,0,0,0,0,20,0,0,1000,3,0\n",
        );
        let gone = Timeline {
            arrived_ns: 1_100,
            dispatched_ns: 1_100,
            ..Timeline::default()
        };
        check(
            499,
            gone,
            "7,gwu,/fib,Error,50000,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1000,3,0\n",
        );
        // No worker had it.
        let refused = Timeline {
            dispatched_ns: 0,
            ..WHOLE
        };
        check(503, refused, "");
    }

    #[test]
    fn a_session_is_what_was_sent() {
        let check = |tenant: &str, (path, query): (&[u8], &[u8]), timeline, expected: &str| {
            let mut out = Vec::new();
            let record = record(path, query, 200, timeline);
            session_row(&record, &around(tenant, "/"), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        };
        check(
            "gwu",
            (b"/fib", b"10"),
            WHOLE,
            "gwu,/fib?10,12,90,5,100,50,400,1000\n",
        );
        check(
            "gwu",
            (b"/fib", b""),
            Timeline::default(),
            "gwu,/fib,10,90,5,0,0,0,1000\n",
        );
        check(
            "g,w\"u",
            (b"/a,b", b"\"c\"\xff"),
            WHOLE,
            "\"g,w\"\"u\",\"/a,b?\"\"c\"\"\u{fffd}\",12,90,5,100,50,400,1000\n",
        );
        // Its head was never understood.
        check("gwu", (b"", b""), WHOLE, "");
        assert_eq!(SESSION_HEADER.matches(',').count(), 8);
    }
}
