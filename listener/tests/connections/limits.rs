//! What a connection holds at most, and what it does when the client or the network is in its way.

use super::*;
use crate::rig::{FD, SECOND_NS};
use listener::limits::{ANSWERS_AHEAD_MAX, INPUT_AHEAD_MAX_BYTES, OUTPUT_AHEAD_MAX_BYTES};

const REQUEST: &[u8] = b"GET /text HTTP/1.1\r\nHost: a\r\n\r\n";

/// Who pipelines more than is kept for him is not listened to until there is room; nothing is lost or seen twice.
#[test]
fn receiving_pauses_when_a_client_is_far_ahead() {
    let mut rig = Rig::new(settings());
    let request = |number| format!("GET /text?{number:05} HTTP/1.1\r\nHost: a\r\n\r\n");
    let requests = 4 * INPUT_AHEAD_MAX_BYTES / request(0).len();
    let input: String = (0..requests).map(request).collect();
    for piece in input.as_bytes().chunks(10_000) {
        rig.feed(piece);
    }
    assert_eq!(rig.wire().stops, 1, "paused, and not asked to pause again");
    for number in 0..requests {
        let seen = format!("? GET /text?{number:05} []");
        assert_eq!(rig.desk().seen.last(), Some(&seen));
        rig.answer(Status::OK, b"x");
    }
    assert_eq!(rig.counters().requests as usize, requests);
    assert_eq!(rig.wire().output, ok("", "x").repeat(requests).into_bytes());
    assert!(rig.wire().stops > 1, "paused again after it went on");
}

/// Of a client that does not read, no further request is looked at: here, one is on its way, one lies ready.
#[test]
fn requests_wait_for_room_for_their_answers() {
    let mut rig = Rig::new(settings());
    rig.wire().taken_max = 0;
    let body = "x".repeat(OUTPUT_AHEAD_MAX_BYTES);
    rig.feed(&REQUEST.repeat(3));
    rig.answer(Status::OK, b"x");
    rig.answer(Status::OK, body.as_bytes());
    assert_eq!(rig.counters().requests, 2);
    assert_eq!(rig.wire().stops, 1, "nor is more of it wanted");
    rig.wire().taken_max = 10_000;
    rig.settle();
    assert_eq!(rig.counters().requests, 3);
    rig.answer(Status::OK, b"x");
    assert_eq!(
        rig.wire().output,
        (ok("", "x") + &ok("", &body) + &ok("", "x")).into_bytes()
    );
}

/// Nor of one whose answers are many and small: each is remembered until the kernel has it.
#[test]
fn requests_wait_for_answers_to_depart() {
    let mut rig = Rig::new(settings());
    rig.wire().taken_max = 0;
    let requests = 3 * ANSWERS_AHEAD_MAX;
    rig.feed(&REQUEST.repeat(requests));
    for _ in 0..ANSWERS_AHEAD_MAX {
        rig.answer(Status::OK, b"x");
    }
    assert_eq!(rig.counters().requests as usize, ANSWERS_AHEAD_MAX);
    assert_eq!(rig.desk().departed, []);
    rig.wire().taken_max = usize::MAX;
    rig.pass(SECOND_NS);
    // The first was on its way alone, the others behind it together.
    let all = vec![("GET /text 200 1".to_owned(), Some(SECOND_NS / 8)); ANSWERS_AHEAD_MAX];
    assert_eq!(rig.desk().departed, all);
    for _ in ANSWERS_AHEAD_MAX..requests {
        rig.answer(Status::OK, b"x");
    }
    assert_eq!(rig.counters().requests as usize, requests);
    rig.desk().check_end();
}

/// An answer departs with its last byte, however few the kernel takes at a time; time is until then.
#[test]
fn an_answer_departs_with_its_last_byte() {
    let mut rig = Rig::new(settings());
    rig.feed(REQUEST);
    rig.wire().taken_max = ok("", "x").len() - 1;
    rig.wire().takes_left = 1;
    rig.answer(Status::OK, b"x");
    rig.pass(2 * SECOND_NS);
    assert_eq!(rig.desk().departed, []);
    rig.wire().takes_left = usize::MAX;
    rig.settle();
    let expected = [("GET /text 200 1".to_owned(), Some(2 * SECOND_NS))];
    assert_eq!(rig.desk().departed, expected);
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let mut rig = Rig::new(settings());
    rig.wire().taken_max = 0;
    rig.feed(&REQUEST.repeat(2));
    rig.answer(Status::OK, b"x");
    rig.pass(29 * SECOND_NS);
    assert!(!rig.wire().closed);
    rig.pass(3 * SECOND_NS);
    assert!(rig.wire().both_shut && rig.wire().closed);
    assert_eq!(
        rig.desk().seen.last().map(String::as_str),
        Some("= GET /text 499 0"),
        "its second request too"
    );
    let departed = [
        ("GET /text 200 1".to_owned(), None),
        ("GET /text 499 0".to_owned(), None),
    ];
    assert_eq!(rig.desk().departed, departed, "neither was taken");
    let counters = rig.counters();
    assert_eq!(
        (
            counters.timeouts,
            counters.abandoned,
            counters.answers_unclaimed
        ),
        (1, 1, 1)
    );
}

/// Who reads slowly has as much time for the next request as everybody else.
#[test]
fn a_connection_idles_from_when_its_answer_is_sent() {
    let mut rig = Rig::new(settings());
    rig.wire().taken_max = 0;
    rig.feed(REQUEST);
    rig.answer(Status::OK, b"x");
    rig.pass(25 * SECOND_NS);
    rig.wire().taken_max = 1;
    rig.settle();
    rig.pass(19 * SECOND_NS);
    assert!(!rig.wire().closed);
    rig.pass(3 * SECOND_NS);
    assert!(rig.wire().closed && !rig.wire().both_shut);
}

#[test]
fn a_connection_too_many_is_closed_at_once() {
    let mut rig = Rig::new(settings());
    rig.feed(REQUEST);
    rig.accept(Ok(FD + 1), true);
    assert_eq!(rig.wire().turned_away, [FD + 1]);
    rig.accept(Ok(FD + 2), false);
    assert_eq!(rig.wire().turned_away, [FD + 1, FD + 2]);
    assert!(rig.wire().accepting, "accepting goes on");
    let counters = rig.counters();
    assert_eq!((counters.connections, counters.connections_refused), (1, 2));
    rig.answer(Status::OK, b"x");
    rig.finish(Received::End);
    assert!(rig.wire().closed);
    // The place is free again, and its next tenant is not taken for its last.
    rig.wire().closed = false;
    rig.accept(Ok(FD), true);
    rig.feed(REQUEST);
    rig.answer(Status::OK, b"y");
    assert_eq!(rig.wire().output, (ok("", "x") + &ok("", "y")).into_bytes());
}

/// Most often no descriptor is free, and asking at once would be asking in vain.
#[test]
fn accepting_that_failed_is_tried_again_later() {
    let mut rig = Rig::new(settings());
    rig.accept(Err(24), true);
    assert!(rig.wire().accepting);
    rig.accept(Err(24), false);
    assert!(!rig.wire().accepting, "not at once");
    rig.pass(SECOND_NS);
    assert!(rig.wire().accepting);
    assert_eq!(rig.counters().accepts_failed, 2);
    rig.listener.drain();
    rig.accept(Err(125), false);
    rig.accept(Ok(FD + 1), false);
    rig.pass(SECOND_NS);
    assert!(!rig.wire().accepting, "a drain is the end of it");
    assert_eq!(rig.wire().turned_away, [FD + 1]);
    assert_eq!(rig.counters().accepts_failed, 2);
}

/// No buffer was free: nothing is lost.
#[test]
fn receiving_goes_on_after_a_want_of_buffers() {
    let mut rig = Rig::new(settings());
    rig.feed(&REQUEST[..9]);
    rig.finish(Received::NoBuffer);
    rig.feed(&REQUEST[9..]);
    assert_eq!(rig.desk().seen, ["? GET /text []"]);
    assert_eq!(rig.counters().buffers_exhausted, 1);
}

/// A client that goes away while receiving is paused is not seen to go: its time is limited instead, for each of its
/// requests.
#[test]
fn a_client_that_pipelines_without_end_has_its_time() {
    for answered in 0..3 {
        let mut rig = Rig::new(settings());
        while rig.wire().stops == 0 {
            rig.feed(&REQUEST.repeat(300));
        }
        for _ in 0..answered {
            rig.pass(18 * SECOND_NS);
            rig.answer(Status::OK, b"x");
        }
        assert_eq!(rig.wire().stops, 1, "still paused");
        rig.pass(18 * SECOND_NS);
        assert!(!rig.wire().closed);
        rig.pass(4 * SECOND_NS);
        assert!(rig.wire().closed);
        assert_eq!(rig.counters().abandoned, 1);
    }
}

/// Bodies that are held take memory; there is so much and no more of it, whichever way their length is told.
#[test]
fn bodies_have_a_limit_together() {
    let settings = listener::Settings {
        bodies_max_bytes: 10,
        ..settings()
    };
    let head = "POST /text HTTP/1.1\r\nHost: a\r\n";
    let within = format!("{head}Content-Length: 10\r\n\r\n0123456789");
    let beyond = [
        format!("{head}Content-Length: 11\r\n\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n"),
    ];
    for beyond in beyond {
        let mut rig = Rig::new(settings.clone());
        // What was held is given back with the answer.
        for _ in 0..3 {
            rig.feed(within.as_bytes());
            rig.answer(Status::OK, b"x");
        }
        rig.feed(beyond.as_bytes());
        let output = String::from_utf8(rig.wire().output.clone()).expect("text");
        assert_eq!(output.matches("HTTP/1.1 200 OK").count(), 3, "{output}");
        assert_eq!(output.matches("HTTP/1.1 503").count(), 1, "{output}");
        assert!(output.contains("Retry-After: 1\r\n"), "{output}");
    }
}
