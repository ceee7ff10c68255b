//! The protocol between worker and watcher, at every place where they can meet. Whoever may be
//! anywhere in it stands still there.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::preempt::{Contention, Timer, monotonic_ns};
use crate::settings::Settings;

const FAR_NS: u64 = 3_600_000_000_000;
const ANYBODY: Contention = Contention::Uncontended { bar: u64::MAX };

/// Notes what it is told.
#[derive(Debug, Default)]
struct Noting(Mutex<Vec<u64>>);

impl Watcher for Noting {
    fn armed(&self, at_ns: u64) {
        self.0.lock().expect("nobody panics").push(at_ns);
    }
}

fn timer(preemption: Preemption) -> Timer {
    timer_of(preemption, Arc::new(Noting::default()))
}

fn timer_of(preemption: Preemption, watcher: Arc<Noting>) -> Timer {
    let engine = Settings::default().compiler().expect("an engine");
    let shared = Arc::new(Shared::new(&engine, preemption, None));
    Timer::new(&shared, Some(watcher)).expect("a timer")
}

fn far_ns() -> u64 {
    monotonic_ns() + FAR_NS
}

impl Timer {
    fn watch(&self) -> &Watch {
        self.shared.watch().expect("a watcher")
    }

    /// When the watcher has to look; `None`: never.
    fn due(&self) -> Option<u64> {
        Some(self.watch().due_ns()).filter(|due_ns| *due_ns != u64::MAX)
    }

    fn is_told(&self) -> bool {
        self.watch().told.load(SeqCst)
    }

    /// What the watcher does, with the clock at `now_ns`.
    fn look_at(&self, now_ns: u64) -> u64 {
        self.alarm().expire_if_due(now_ns)
    }
}

#[test]
fn the_watcher_has_something_to_look_at_only_if_somebody_comes_who_may_preempt() {
    let check = |bar: u64, say: &dyn Fn(&crate::Alarm), armed: bool| {
        let mut timer = timer(Preemption::Epoch);
        let alarm = timer.alarm();
        say(&alarm);
        assert_eq!(timer.due(), None, "no slice runs");
        let end_ns = far_ns();
        timer.begin_slice(end_ns, Contention::Uncontended { bar });
        assert_eq!(timer.due(), None, "nobody waits yet");
        say(&alarm);
        assert_eq!(timer.due(), armed.then_some(end_ns), "bar {bar}");
    };
    check(u64::MAX, &|alarm| alarm.arrival(u64::MAX), true);
    check(100, &|alarm| alarm.arrival(99), true);
    check(100, &|alarm| alarm.arrival(100), false);
    check(0, &|alarm| alarm.arrival(0), false);
    check(0, &|alarm| alarm.cancel(), true);
}

#[test]
fn a_watcher_is_told_of_earlier_times_only() {
    let watcher = Arc::new(Noting::default());
    let mut timer = timer_of(Preemption::Epoch, watcher.clone());
    let first_ns = far_ns();
    for end_ns in [first_ns, first_ns + 1, u64::MAX, first_ns - 1] {
        timer.begin_slice(end_ns, Contention::Contended);
        timer.end_slice();
    }
    let told = watcher.0.lock().expect("nobody panics").clone();
    assert_eq!(told, [first_ns, first_ns - 1]);
}

#[test]
fn who_is_not_over_is_not_disturbed() {
    // The time at which the watcher looks for an earlier arming; the slice that it finds then; when it
    // has to look again.
    type Begin = fn(&mut Timer, u64);
    let check = |what: &str, begin: Begin, next_ns: Option<u64>| {
        let mut timer = timer(Preemption::Epoch);
        let now_ns = far_ns();
        timer.begin_slice(now_ns, Contention::Contended);
        timer.end_slice();
        begin(&mut timer, now_ns);
        let next_ns = next_ns.map_or(u64::MAX, |later_ns| now_ns + later_ns);
        assert_eq!(timer.look_at(now_ns), next_ns, "{what}");
        assert!(!timer.is_told(), "{what}");
        assert_eq!(timer.due().unwrap_or(u64::MAX), next_ns, "{what}");
    };
    check("no slice", |_, _| {}, None);
    check(
        "a later one",
        |timer, now_ns| timer.begin_slice(now_ns + 1, Contention::Contended),
        Some(1),
    );
    check(
        "nobody waits",
        |timer, now_ns| timer.begin_slice(now_ns, ANYBODY),
        None,
    );
    check(
        "nobody waits, and there is a limit",
        |timer, now_ns| {
            timer.begin_slice(now_ns, ANYBODY);
            timer.limit(now_ns + 7);
        },
        Some(7),
    );
    check(
        "a limit before the end",
        |timer, now_ns| {
            timer.begin_slice(now_ns + 9, Contention::Contended);
            timer.limit(now_ns + 7);
        },
        Some(7),
    );
}

#[test]
fn who_is_over_is_told_and_told_again_until_it_answers() {
    let mut timer = timer(Preemption::Epoch);
    let end_ns = monotonic_ns();
    timer.begin_slice(end_ns, Contention::Contended);
    let first_ns = timer.look_at(end_ns);
    assert!(timer.is_told() && first_ns > end_ns);
    // The word was not heard: no guest has looked.
    let second_ns = timer.look_at(first_ns);
    assert!(timer.is_told());
    assert!(
        second_ns - first_ns >= first_ns - end_ns,
        "less and less often"
    );
    assert!(timer.shared.is_requested(), "it is over");
    assert!(!timer.is_told() && timer.due().is_none(), "answered");
    assert!(timer.shared.take_request());
    assert!(!timer.shared.is_requested(), "once");
}

#[test]
fn a_limit_is_told_whoever_waits() {
    for contention in [ANYBODY, Contention::Contended] {
        let mut timer = timer(Preemption::Epoch);
        timer.begin_slice(far_ns(), contention);
        let limit_ns = monotonic_ns();
        timer.limit(limit_ns);
        timer.look_at(limit_ns);
        assert!(timer.shared.take_request(), "{contention:?}");
        timer.end_slice();
        timer.begin_slice(far_ns(), ANYBODY);
        assert!(!timer.shared.is_requested(), "it ended with its slice");
    }
}

/// The watcher has looked and found a slice over; before its word comes, the worker goes on.
#[test]
fn a_stale_word_stops_nobody() {
    type Go = fn(&mut Timer);
    let check = |what: &str, go: Go, stops: bool, armed: bool| {
        let mut timer = timer(Preemption::Epoch);
        timer.begin_slice(monotonic_ns(), Contention::Contended);
        timer.end_slice();
        go(&mut timer);
        timer.watch().tell(&timer.shared, monotonic_ns());
        assert_eq!(timer.shared.take_request(), stops, "{what}");
        let is_later = timer.due().is_some_and(|due_ns| due_ns > monotonic_ns());
        assert_eq!(is_later, armed, "{what}: {:?}", timer.due());
        assert!(!timer.is_told(), "{what}");
    };
    check("the slice ended", |_| {}, false, false);
    check(
        "another began",
        |timer| timer.begin_slice(far_ns(), Contention::Contended),
        false,
        true,
    );
    check(
        "another began for which nobody waits",
        |timer| timer.begin_slice(monotonic_ns(), ANYBODY),
        false,
        false,
    );
    check(
        "… and it has a limit",
        |timer| {
            timer.begin_slice(monotonic_ns(), ANYBODY);
            timer.limit(far_ns());
        },
        false,
        true,
    );
    check(
        "… and somebody comes",
        |timer| {
            timer.begin_slice(far_ns(), ANYBODY);
            timer.alarm().arrival(0);
        },
        false,
        true,
    );
    check(
        "another began and is over",
        |timer| timer.begin_slice(monotonic_ns(), Contention::Contended),
        true,
        false,
    );
}

/// The watcher has read what was armed and stands still; before it goes on, somebody arms.
#[test]
fn an_arming_is_not_lost_when_the_watcher_moves_on() {
    let mut timer = timer(Preemption::Epoch);
    let stale_ns = monotonic_ns();
    timer.begin_slice(stale_ns, Contention::Contended);
    timer.end_slice();
    // It saw no slice. Now one begins, and its arming finds an earlier one.
    timer.begin_slice(far_ns(), Contention::Contended);
    let end_ns = timer.shared.due_ns();
    assert_eq!(timer.due(), Some(stale_ns), "relied upon");
    assert!(timer.watch().move_on(stale_ns, u64::MAX));
    timer
        .watch()
        .due_ns
        .fetch_min(timer.shared.due_ns(), SeqCst);
    assert_eq!(timer.due(), Some(end_ns), "the second look");
    // It saw the slice, to whose end it means to move. Now a limit is set.
    let limit_ns = end_ns - 1;
    timer.limit(limit_ns);
    assert!(!timer.watch().move_on(end_ns, end_ns), "changed meanwhile");
    assert_eq!(timer.due(), Some(limit_ns));
}

#[test]
fn an_arming_is_not_lost_when_the_worker_takes_it_back() {
    // Whoever comes has taken the token; the table is looked at before it arms, or after.
    for arms_first in [true, false] {
        let mut timer = timer(Preemption::Epoch);
        let end_ns = far_ns();
        timer.begin_slice(end_ns, ANYBODY);
        let taken_ns = timer.shared.token.swap(NONE, SeqCst);
        if arms_first {
            timer.shared.arm(taken_ns, monotonic_ns());
        }
        assert!(!timer.shared.expired());
        if !arms_first {
            timer.shared.arm(taken_ns, monotonic_ns());
        }
        assert_eq!(timer.due(), Some(end_ns), "{arms_first}");
    }
}

/// With signals the handler looks at the table, on the worker's thread.
#[test]
fn a_signal_brings_the_word() {
    let mut timer = timer(Preemption::Signal);
    let end_ns = monotonic_ns();
    timer.begin_slice(end_ns, Contention::Contended);
    let before = timer.expiries();
    timer.look_at(end_ns);
    // It was this thread that sent it: it has come before the call returned.
    assert_eq!(timer.expiries(), before + 1);
    assert!(!timer.is_told());
    assert!(timer.shared.take_request(), "no guest could be suspended");
    assert!(timer.due().is_some(), "it is tried again");
    timer.end_slice();
    timer.watch().tell(&timer.shared, monotonic_ns());
    assert_eq!(timer.expiries(), before + 2);
    assert!(!timer.shared.take_request(), "no slice");
    // One that is on its way is not sent again.
    timer.watch().told.store(true, SeqCst);
    timer.watch().tell(&timer.shared, monotonic_ns());
    assert_eq!(timer.expiries(), before + 2);
}

#[test]
fn nobody_signals_a_thread_that_is_gone() {
    let alarm = std::thread::spawn(|| {
        let mut timer = timer(Preemption::Signal);
        timer.begin_slice(monotonic_ns(), Contention::Contended);
        timer.alarm()
    });
    let alarm = alarm.join().expect("ends");
    assert_eq!(alarm.expire_if_due(monotonic_ns()), u64::MAX);
    assert_eq!(alarm.shared.expiries.load(SeqCst), 0);
    assert!(!alarm.shared.watch().expect("a watcher").told.load(SeqCst));
}

#[test]
fn without_a_watcher_there_is_nothing_to_watch() {
    let engine = Settings::default().compiler().expect("an engine");
    let shared = Arc::new(Shared::new(&engine, Preemption::Epoch, None));
    let mut timer = Timer::new(&shared, None).expect("a timer");
    timer.begin_slice(monotonic_ns(), Contention::Contended);
    assert_eq!(timer.alarm().expire_if_due(u64::MAX), u64::MAX);
}

/// Two watchers and somebody who rings the alarm without pause, while slices of all kinds and lengths follow
/// each other, and the timer is dropped in the end. Every slice that is waited out must be stopped.
#[test]
fn worker_and_watchers_may_meet_in_any_way() {
    for preemption in [Preemption::Epoch, Preemption::Signal] {
        let mut timer = timer(preemption);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for rings in [false, true, false] {
                let (alarm, done) = (timer.alarm(), &done);
                scope.spawn(move || {
                    while !done.load(SeqCst) {
                        match rings {
                            true => alarm.cancel(),
                            false => _ = alarm.expire_if_due(monotonic_ns()),
                        }
                        std::thread::yield_now();
                    }
                });
            }
            for round in 0..2_000_u64 {
                let waits = round % 2 == 0;
                let contention = match round % 3 {
                    0 => Contention::Contended,
                    _ => ANYBODY,
                };
                let length_ns = match round % 5 {
                    0 => 200_000,
                    1 if !waits => FAR_NS,
                    _ => 10_000,
                };
                timer.begin_slice(monotonic_ns() + length_ns, contention);
                if round % 7 == 0 {
                    timer.limit(monotonic_ns() + length_ns / 2);
                }
                while waits && !timer.shared.take_request() {
                    std::thread::yield_now();
                }
                timer.end_slice();
                assert!(!timer.shared.requested.load(SeqCst));
            }
            drop(timer);
            done.store(true, SeqCst);
        });
    }
}
