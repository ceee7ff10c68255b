//! The protocol between worker, listener and timer, at every place where they can meet.

use super::*;
use crate::settings::Settings;

const FAR_NS: u64 = 3_600_000_000_000;
const ANYBODY: Contention = Contention::Uncontended { bar: u64::MAX };

fn timer() -> Timer {
    let engine = Settings::default().compiler().expect("an engine");
    Timer::new(
        &Arc::new(Shared::new(&engine, Preemption::Epoch, None)),
        None,
    )
    .expect("a timer")
}

fn far_ns() -> u64 {
    monotonic_ns() + FAR_NS
}

impl Timer {
    /// When the timer expires, to within the time that asking takes; `None`: it is disarmed.
    fn expires_in_ns(&self) -> Option<u64> {
        let Some(Trigger::Timer(timer)) = self.shared.trigger.get() else {
            panic!("no kernel timer");
        };
        let (remaining_ns, period_ns) = timer.remaining_and_period_ns();
        assert_eq!(period_ns, 0, "a one-shot timer has no period");
        (remaining_ns != 0).then_some(remaining_ns)
    }

    fn is_armed(&self) -> bool {
        self.expires_in_ns().is_some()
    }

    /// As if nothing had been armed before. Between slices.
    fn disarm(&mut self) {
        self.shared.promise_ns.store(NONE, SeqCst);
        self.shared.set(NONE);
    }

    fn wait_for_expiry(&self, before: u64) {
        while self.expiries() == before {
            std::thread::yield_now();
        }
    }

    /// An expiry out of the blue: of an earlier slice.
    fn expire_now(&self) {
        let before = self.expiries();
        self.shared.set(PAST_NS);
        self.wait_for_expiry(before);
    }
}

#[test]
fn the_timer_is_armed_only_if_somebody_comes_who_may_preempt() {
    let check = |bar: u64, say: &dyn Fn(&Alarm), armed: bool| {
        let mut timer = timer();
        let alarm = timer.alarm();
        say(&alarm);
        assert!(!timer.is_armed(), "no slice runs");
        timer.begin_slice(far_ns(), Contention::Uncontended { bar });
        assert!(!timer.is_armed(), "nobody waits yet");
        say(&alarm);
        assert_eq!(timer.is_armed(), armed, "bar {bar}");
        timer.end_slice();
        timer.disarm();
        assert!(!timer.is_armed(), "disarmed before sleeping");
        say(&alarm);
        assert!(!timer.is_armed(), "no slice runs");
    };
    check(u64::MAX, &|alarm| alarm.arrival(u64::MAX), true);
    check(100, &|alarm| alarm.arrival(99), true);
    check(100, &|alarm| alarm.arrival(100), false);
    check(0, &|alarm| alarm.arrival(0), false);
    check(0, &|alarm| alarm.cancel(), true);
}

#[test]
fn a_contended_slice_is_timed_from_its_beginning() {
    let mut timer = timer();
    timer.begin_slice(u64::MAX, Contention::Contended);
    assert!(!timer.is_armed(), "a slice without end");
    timer.end_slice();
    timer.begin_slice(far_ns(), Contention::Contended);
    assert!(timer.is_armed());
    timer.end_slice();
    assert!(timer.is_armed(), "an arming outlives its slice");
}

#[test]
fn a_slice_says_when_it_was_due() {
    let mut timer = timer();
    let (alarm, end_ns) = (timer.alarm(), far_ns());
    assert_eq!(timer.end_slice(), u64::MAX, "there was none");
    timer.begin_slice(end_ns, Contention::Contended);
    assert_eq!(timer.end_slice(), end_ns);
    timer.begin_slice(end_ns, ANYBODY);
    assert_eq!(timer.end_slice(), u64::MAX, "nobody waited");
    timer.begin_slice(end_ns, ANYBODY);
    alarm.arrival(0);
    assert_eq!(timer.end_slice(), end_ns, "who comes early waits");
    timer.begin_slice(end_ns, ANYBODY);
    timer.limit(end_ns - 1);
    assert_eq!(timer.end_slice(), end_ns - 1, "whoever waits");
    // Who finds that the slice might be over has come just now.
    for look in [
        |timer: &mut Timer| timer.alarm().arrival(0),
        |timer: &mut Timer| timer.arm(),
    ] {
        let began_ns = monotonic_ns();
        timer.begin_slice(PAST_NS, ANYBODY);
        look(&mut timer);
        let due_ns = timer.end_slice();
        assert!((began_ns..=monotonic_ns()).contains(&due_ns), "{due_ns}");
    }
}

#[test]
fn the_second_look_times_the_slice() {
    let mut timer = timer();
    timer.begin_slice(far_ns(), ANYBODY);
    assert!(!timer.is_armed());
    timer.arm();
    assert!(timer.is_armed());
}

#[test]
fn slices_that_end_later_are_served_by_the_arming_there_is() {
    let mut timer = timer();
    let alarm = timer.alarm();
    let first_ns = far_ns();
    timer.begin_slice(first_ns, Contention::Contended);
    timer.end_slice();
    for later in 1..5 {
        timer.begin_slice(first_ns + later * FAR_NS, Contention::Contended);
        timer.end_slice();
        timer.begin_slice(first_ns + later * FAR_NS, ANYBODY);
        alarm.arrival(0);
        timer.end_slice();
        assert!(timer.expires_in_ns() <= Some(FAR_NS), "not armed anew");
    }
    // An early expiry arms for the end of the slice that it finds.
    timer.begin_slice(first_ns + FAR_NS, Contention::Contended);
    timer.expire_now();
    assert!(timer.expires_in_ns() > Some(FAR_NS));
    assert!(!timer.shared.take_request(), "the slice is not over");
    timer.end_slice();
    // One that ends earlier is not.
    timer.begin_slice(first_ns - FAR_NS / 2, Contention::Contended);
    assert!(timer.expires_in_ns() < Some(FAR_NS));
}

#[test]
fn an_expiry_counts_only_for_a_timed_slice_that_is_over() {
    let mut timer = timer();
    timer.expire_now();
    assert!(
        !timer.shared.take_request() && !timer.is_armed(),
        "no slice runs"
    );

    timer.begin_slice(far_ns(), ANYBODY);
    timer.expire_now();
    assert!(
        !timer.shared.take_request() && !timer.is_armed(),
        "nobody waits"
    );
    timer.alarm().arrival(0);
    assert!(
        timer.is_armed(),
        "whoever comes then does not rely on what expired"
    );
    timer.end_slice();

    timer.begin_slice(u64::MAX, Contention::Contended);
    timer.expire_now();
    assert!(
        !timer.shared.take_request() && !timer.is_armed(),
        "it never ends"
    );
    timer.end_slice();

    timer.begin_slice(far_ns(), Contention::Contended);
    timer.expire_now();
    assert!(!timer.shared.take_request(), "it is not over");
    assert!(timer.is_armed(), "and still timed");
    timer.end_slice();

    let before = timer.expiries();
    timer.begin_slice(monotonic_ns(), Contention::Contended);
    timer.wait_for_expiry(before);
    assert!(timer.shared.take_request(), "due");
    let before = timer.expiries();
    timer.wait_for_expiry(before);
    assert!(
        timer.shared.take_request(),
        "due again while the slice goes on"
    );
    timer.end_slice();
    timer.disarm();
    assert!(!timer.is_armed(), "and not after it");
}

#[test]
fn a_limit_holds_whoever_waits() {
    let mut timer = timer();
    // Nobody waits.
    timer.begin_slice(far_ns(), ANYBODY);
    timer.limit(monotonic_ns() + FAR_NS / 2);
    assert!(timer.expires_in_ns() < Some(FAR_NS), "armed for the limit");
    timer.expire_now();
    assert!(!timer.shared.take_request(), "the limit is not reached");
    assert!(timer.is_armed(), "and still timed");
    let before = timer.expiries();
    timer.limit(monotonic_ns());
    timer.wait_for_expiry(before);
    assert!(timer.shared.take_request(), "the limit is reached");
    timer.end_slice();

    // Somebody waits, the limit is earlier than the end or later.
    timer.begin_slice(far_ns(), Contention::Contended);
    let before = timer.expiries();
    timer.limit(monotonic_ns());
    timer.wait_for_expiry(before);
    assert!(timer.shared.take_request());
    timer.end_slice();
    let before = timer.expiries();
    timer.begin_slice(monotonic_ns(), Contention::Contended);
    timer.limit(far_ns());
    timer.wait_for_expiry(before);
    assert!(timer.shared.take_request());
    timer.end_slice();

    // It ends with its slice.
    timer.disarm();
    timer.begin_slice(far_ns(), ANYBODY);
    assert!(!timer.is_armed());
    timer.expire_now();
    assert!(!timer.is_armed() && !timer.shared.take_request());
}

#[test]
fn an_arming_for_an_ended_slice_does_not_delay_a_shorter_one_that_runs() {
    let mut timer = timer();
    let alarm = timer.alarm();
    timer.begin_slice(far_ns(), ANYBODY);
    // As if the token had been taken in an earlier, longer slice and its taker only now came to arm.
    timer.shared.token.store(far_ns() + FAR_NS, SeqCst);
    let before = timer.expiries();
    alarm.cancel();
    timer.wait_for_expiry(before);
    assert!(!timer.shared.take_request());
    assert!(timer.is_armed());
    assert!(
        timer.expires_in_ns() <= Some(FAR_NS),
        "armed for the running slice"
    );
}

#[test]
fn a_request_left_over_does_not_stop_the_next_slice() {
    let mut timer = timer();
    let before = timer.expiries();
    timer.begin_slice(monotonic_ns(), Contention::Contended);
    timer.wait_for_expiry(before);
    timer.end_slice();
    assert!(!timer.shared.take_request(), "after the slice");
    timer.begin_slice(far_ns(), Contention::Contended);
    assert!(!timer.shared.take_request(), "in the next");
}

#[test]
fn alarms_outlive_their_timer() {
    let mut timer = timer();
    let alarm = timer.alarm();
    timer.begin_slice(far_ns(), ANYBODY);
    drop(timer);
    alarm.arrival(0);
    alarm.cancel();
    assert_eq!(alarm.shared.expiries.load(SeqCst), 0);
    assert_eq!(alarm.shared.arming.load(SeqCst), 0);
}

#[test]
fn a_worker_has_one_timer() {
    let timer = timer();
    assert!(matches!(
        Timer::new(&timer.shared, None),
        Err(TimerError::Exists)
    ));
}

#[test]
fn armings_and_slices_may_meet_in_any_way() {
    // Two threads ring the alarm without pause while slices of all kinds and lengths follow each
    // other, and the timer is dropped in the end. Every slice that is waited out must be stopped.
    let mut timer = timer();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let alarm = timer.alarm();
            scope.spawn(|| {
                let alarm = alarm;
                while !done.load(SeqCst) {
                    alarm.cancel();
                }
            });
        }
        for round in 0..3_000_u64 {
            let waits = round % 2 == 0;
            let contention = if round % 3 == 0 {
                Contention::Contended
            } else {
                ANYBODY
            };
            let length_ns = match round % 5 {
                0 => 200_000,
                1 if !waits => FAR_NS,
                _ => 10_000,
            };
            timer.begin_slice(monotonic_ns() + length_ns, contention);
            while waits && !timer.shared.take_request() {
                std::hint::spin_loop();
            }
            timer.end_slice();
        }
        drop(timer);
        done.store(true, SeqCst);
    });
}
