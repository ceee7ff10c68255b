//! Requests that are answered: their framing, their order, and whether the connection stays.

use super::*;
use crate::rig::SECOND_NS;

#[test]
fn a_connection_serves_one_request_after_the_other() {
    check(
        &[
            In("GET /text HTTP/1.1\r\nHost: a\r\n\r\n"),
            Answer("one"),
            In("GET /text?b&c HTTP/1.1\r\nHost: a\r\n\r\n"),
            Answer(""),
        ],
        &[
            "? GET /text []",
            "= GET /text 200 3",
            "? GET /text?b&c []",
            "= GET /text 200 0",
        ],
        &(ok("", "one") + &ok("", "")),
        Open,
    );
}

/// Who asks is told where the time went, as far as there is anything to tell.
#[test]
fn an_answer_says_where_its_time_went_if_it_is_asked() {
    let times = "received;dur=1000.000000, total;dur=3000.000000";
    check(
        &[
            In("GET /text HTTP/1.1\r\nluge-timing:\r\n"),
            Pass(SECOND_NS),
            In("Host: a\r\n\r\n"),
            Pass(2 * SECOND_NS),
            Answer("x"),
            In("GET /busy HTTP/1.1\r\nHost: a\r\nLuge-Timing: 1\r\n\r\n"),
            In("GET /text HTTP/1.1\r\nHost: a\r\n\r\n"),
            Answer("y"),
        ],
        &[
            "? GET /text []",
            "= GET /text 200 1",
            "? GET /busy []",
            "= GET /busy 503 20",
            "? GET /text []",
            "= GET /text 200 1",
        ],
        &(ok(&format!("Server-Timing: {times}\r\n"), "x")
            + &error(
                "503 Service Unavailable",
                "Retry-After: 1\r\nServer-Timing: received;dur=0.000000, total;dur=0.000000\r\n",
            )
            + &ok("", "y")),
        Open,
    );
}

/// RFC 9112 §9.3.2: answers in the order of the requests.
#[test]
fn pipelined_requests_wait_for_the_answer_before_them() {
    let requests = "GET /text?1 HTTP/1.1\r\nHost: a\r\n\r\n\
                    POST /text?2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\
                    GET /none HTTP/1.1\r\nHost: a\r\n\r\n\
                    GET /text?3 HTTP/1.1\r\nHost: a\r\n\r\n";
    check(
        &[In(requests), Answer("one"), Answer("two"), Answer("three")],
        &[
            "? GET /text?1 []",
            "= GET /text 200 3",
            "? POST /text?2 [hi]",
            "= POST /text 200 3",
            "= GET /none 404 10",
            "? GET /text?3 []",
            "= GET /text 200 5",
        ],
        &(ok("", "one") + &ok("", "two") + &error("404 Not Found", "") + &ok("", "three")),
        Open,
    );
}

#[test]
fn bodies_come_in_either_framing() {
    let chunked = "POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3;x=y\r\nabc\r\n09\r\ndefghijkl\r\n0\r\nTrailer: t\r\n\r\n";
    check(
        &[
            In(chunked),
            Answer("1"),
            In("PUT /text HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
            Answer("2"),
        ],
        &[
            "? POST /text [abcdefghijkl]",
            "= POST /text 200 1",
            "? PUT /text []",
            "= PUT /text 200 1",
        ],
        &(ok("", "1") + &ok("", "2")),
        Open,
    );
    let both = "POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nabcdefghijkl\
                POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    check(
        &[In(both), Answer("1"), Answer("2")],
        &[
            "? POST /text [abcdefghijkl]",
            "= POST /text 200 1",
            "? POST /text []",
            "= POST /text 200 1",
        ],
        &(ok("", "1") + &ok("", "2")),
        Open,
    );
}

/// RFC 9110 §9.3.2: the fields of GET, the body of none.
#[test]
fn head_gets_the_fields_without_the_body() {
    check(
        &[
            In("HEAD /text HTTP/1.1\r\nHost: a\r\n\r\nHEAD /none HTTP/1.1\r\nHost: a\r\n\r\n"),
            Answer("five!"),
        ],
        &[
            "? HEAD /text []",
            "= HEAD /text 200 5",
            "= HEAD /none 404 10",
        ],
        &(response(
            "200 OK",
            "Content-Type: text/x\r\nContent-Length: 5\r\n",
            "",
        ) + &response(
            "404 Not Found",
            "Content-Type: text/plain\r\nContent-Length: 10\r\n",
            "",
        )),
        Open,
    );
}

#[test]
fn a_route_may_have_no_content_type() {
    check(
        &[In("GET /plain HTTP/1.1\r\nHost: a\r\n\r\n"), Answer("x")],
        &["? GET /plain []", "= GET /plain 200 1"],
        &response("200 OK", "Content-Length: 1\r\n", "x"),
        Open,
    );
}

/// RFC 9112 §9.3. What follows a request that was the last is not looked at.
#[test]
fn the_client_says_whether_the_connection_stays() {
    let check = |request: &str, fields: &str, ending: Ending| {
        let more = if ending == Closed {
            "GET /text?more HTTP/1.1\r\n"
        } else {
            ""
        };
        check(
            &[In(&format!("{request}\r\n\r\n{more}")), Answer("x")],
            &["? GET /text []", "= GET /text 200 1"],
            &ok(fields, "x"),
            ending,
        );
    };
    check("GET /text HTTP/1.1\r\nHost: a", "", Open);
    check(
        "GET /text HTTP/1.1\r\nHost: a\r\nConnection: close",
        CLOSE,
        Closed,
    );
    check("GET /text HTTP/1.0", "", Closed);
    check(
        "GET /text HTTP/1.0\r\nConnection: keep-alive",
        "Connection: keep-alive\r\n",
        Open,
    );
}

/// RFC 9110 §10.1.1: the interim answer may be left out when the body is coming already, so whether it is there
/// depends on whether any of the body came with the head's last byte.
#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let head =
        "POST /text HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let seen = ["? POST /text [hi]", "= POST /text 200 1"];
    check_cuts(
        &[In(&format!("{head}hi")), Answer("x")],
        &seen,
        |cuts| {
            let interim = if cuts.contains(&head.len()) {
                "HTTP/1.1 100 Continue\r\n\r\n"
            } else {
                ""
            };
            interim.to_owned() + &ok("", "x")
        },
        Open,
    );
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".to_owned();
    check(
        &[In(head), In("hi"), Answer("x")],
        &seen,
        &(interim.clone() + &ok("", "x")),
        Open,
    );
    // It waits for its turn behind an earlier request.
    check(
        &[
            In("GET /text HTTP/1.1\r\nHost: a\r\n\r\n"),
            In(head),
            Answer("x"),
            In("hi"),
            Answer("x"),
        ],
        &["? GET /text []", "= GET /text 200 1", seen[0], seen[1]],
        &(ok("", "x") + &interim + &ok("", "x")),
        Open,
    );
}

#[test]
fn nobody_is_told_to_go_on_with_what_is_refused_or_empty() {
    let check = |fields: &str, seen: &[&str], answers: &[Step<'_>], output: &str, ending| {
        let head = format!("POST {fields}\r\nExpect: 100-continue\r\n\r\n");
        let script: Vec<_> = [In(&head)]
            .into_iter()
            .chain(answers.iter().copied())
            .collect();
        check(&script, seen, output, ending);
    };
    let seen = ["? POST /text []", "= POST /text 200 1"];
    check(
        "/text HTTP/1.1\r\nHost: a\r\nContent-Length: 0",
        &seen,
        &[Answer("x")],
        &ok("", "x"),
        Open,
    );
    check(
        "/text HTTP/1.1\r\nHost: a",
        &seen,
        &[Answer("x")],
        &ok("", "x"),
        Open,
    );
    let large = error("413 Content Too Large", CLOSE);
    check(
        "/text HTTP/1.1\r\nHost: a\r\nContent-Length: 13",
        &["= POST /text 413 18"],
        &[],
        &large,
        Lingering,
    );
    let unknown = error("404 Not Found", CLOSE);
    check(
        "/none HTTP/1.1\r\nHost: a\r\nContent-Length: 2",
        &["= POST /none 404 10"],
        &[],
        &unknown,
        Lingering,
    );
}

/// The connection is fit for the next request; the client learns the status and nothing else.
#[test]
fn a_function_that_fails_costs_its_request_alone() {
    check(
        &[
            In("GET /text HTTP/1.1\r\nHost: a\r\n\r\n"),
            Fail(500),
            In("GET /text HTTP/1.1\r\nHost: a\r\n\r\n"),
            Answer("x"),
        ],
        &[
            "? GET /text []",
            "= GET /text 500 22",
            "? GET /text []",
            "= GET /text 200 1",
        ],
        &(error("500 Internal Server Error", "") + &ok("", "x")),
        Open,
    );
    check(
        &[In("HEAD /text HTTP/1.0\r\n\r\n"), Fail(503)],
        &["? HEAD /text []", "= HEAD /text 503 20"],
        &response(
            "503 Service Unavailable",
            "Content-Type: text/plain\r\nContent-Length: 20\r\nRetry-After: 1\r\n",
            "",
        ),
        Closed,
    );
}

/// The lengths that are told of an answer are those of what the client has got.
#[test]
fn the_lengths_of_an_answer_are_told() {
    // The request, whether it reaches a worker, and the lengths of the answer's body, as sent, and of the request's.
    let rows = [
        ("GET /text HTTP/1.1\r\nHost: a\r\n\r\n", true, 3, 0),
        (
            "POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            true,
            3,
            5,
        ),
        ("GET /busy HTTP/1.1\r\nHost: a\r\n\r\n", false, 20, 0),
        ("GET /none HTTP/1.1\r\nHost: a\r\n\r\n", false, 10, 0),
        ("BREW\r\n\r\n", false, 12, 0),
    ];
    for (request, is_asked, body_bytes, received_bytes) in rows {
        let mut rig = Rig::new(settings());
        rig.feed(request.as_bytes());
        if is_asked {
            rig.answer(Status::OK, b"abc");
        }
        let head_bytes = rig.wire().output.len() as u64 - body_bytes;
        let expected = [head_bytes, body_bytes, received_bytes];
        assert_eq!(rig.desk().lengths, [expected], "{request}");
    }
    let mut rig = Rig::new(settings());
    rig.feed(b"HEAD /text HTTP/1.1\r\nHost: a\r\n\r\n");
    rig.answer(Status::OK, b"abc");
    let head_bytes = rig.wire().output.len() as u64;
    assert_eq!(rig.desk().lengths, [[head_bytes, 3, 0]]);
}
