//! What happened to requests, as a server notes it: one closed enum, and a ring of the last so many for each thread.
//!
//! ```text
//!   listener   Arrived ─► Refused
//!                 │   └─► Held ─┐
//!                 └──────► Dispatched                                     ┌─► Answered ─► Sent │ Cut
//!   worker                    └─► Taken ─► Resumed ─► Preempted, Yielded ─┤ Resumed …
//!                                              │  └─► Blocked ─► Woken ───┘
//!                                              └─► Finished │ Dropped ────► back to the listener
//! ```
//!
//! A ring has one writer, its thread, which never waits and allocates nothing: what is oldest is overwritten. Anybody may
//! read, at any time; what is overwritten meanwhile is left out, and counted. A slice lasts from `Resumed` to the next
//! event of its worker that ends one. Times are nanoseconds of the server's monotonic clock; those of a listener's ring
//! are not quite in order, as an arrival has the time at which its turn began.
//!
//! Not here: what the events mean for a policy, and how they are written down ([`crate::recording`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Something that happened to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in nanoseconds.
    pub at_ns: u64,
    /// The request's number in logs.
    pub request: u64,
    /// What.
    pub what: What,
}

/// See the module's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Its last byte was there.
    Arrived {
        /// Index of the route.
        route: u16,
        /// How long it is expected to execute, up to [`EXPECTED_MAX_NS`]; 0 for unknown.
        expected_ns: u64,
    },
    /// It was not taken.
    Refused(Refusal),
    /// All workers had enough: it waits at the dispatcher.
    Held,
    /// It was put into a worker's ring, or on its shelf where workers steal.
    Dispatched {
        /// Index of the worker.
        worker: u16,
    },
    /// A worker took it out of its ring, and its policy knows it now; off a shelf, as it begins, where workers steal.
    Taken,
    /// A slice of it begins; the first time its sandbox is made.
    Resumed,
    /// The slice ended by the clock.
    Preempted,
    /// The slice ended as it gave way.
    Yielded,
    /// The slice ended as it waits for something.
    Blocked,
    /// What it waited for has come.
    Woken,
    /// Its function ended, and with it the slice.
    Finished {
        /// The answer's status.
        status: u16,
    },
    /// It is over without its function having ended, whether or not it was running.
    Dropped(Drop),
    /// Its answer was handed to its connection.
    Answered {
        /// The status.
        status: u16,
    },
    /// The kernel has taken the answer's last byte.
    Sent,
    /// Its connection ended before that, or its client went away before the answer.
    Cut,
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// Its tenant had used up its budget.
    Tenant,
    /// Admission found no room.
    Server,
    /// All workers were full.
    Full,
}

/// Why a request is over before its function was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Drop {
    /// Its client has gone.
    Abandoned,
    /// It has had its CPU time.
    CpuLimit,
    /// Its deadline has passed.
    Deadline,
    /// Its deadline had passed before it began.
    Unstarted,
}

/// Longer expectations are noted as this: 18 minutes.
pub const EXPECTED_MAX_NS: u64 = (1 << 40) - 1;

/// What an event's second and third word say beside the request: the kind, a small number and a large one.
pub(crate) type Parts = (u8, u16, u64);

impl What {
    /// As numbers; the inverse of [`What::from_parts`].
    #[inline]
    pub(crate) fn parts(self) -> Parts {
        match self {
            Self::Arrived { route, expected_ns } => (0, route, expected_ns.min(EXPECTED_MAX_NS)),
            Self::Refused(why) => (1, why as u16, 0),
            Self::Held => (2, 0, 0),
            Self::Dispatched { worker } => (3, worker, 0),
            Self::Taken => (4, 0, 0),
            Self::Resumed => (5, 0, 0),
            Self::Preempted => (6, 0, 0),
            Self::Yielded => (7, 0, 0),
            Self::Blocked => (8, 0, 0),
            Self::Woken => (9, 0, 0),
            Self::Finished { status } => (10, status, 0),
            Self::Dropped(why) => (11, why as u16, 0),
            Self::Answered { status } => (12, status, 0),
            Self::Sent => (13, 0, 0),
            Self::Cut => (14, 0, 0),
        }
    }

    /// `None`: no event has these parts.
    #[inline]
    pub(crate) fn from_parts((kind, small, large): Parts) -> Option<Self> {
        let event = match kind {
            0 => Self::Arrived {
                route: small,
                expected_ns: large,
            },
            1 => Self::Refused(match small {
                0 => Refusal::Tenant,
                1 => Refusal::Server,
                2 => Refusal::Full,
                _ => return None,
            }),
            2 => Self::Held,
            3 => Self::Dispatched { worker: small },
            4 => Self::Taken,
            5 => Self::Resumed,
            6 => Self::Preempted,
            7 => Self::Yielded,
            8 => Self::Blocked,
            9 => Self::Woken,
            10 => Self::Finished { status: small },
            11 => Self::Dropped(match small {
                0 => Drop::Abandoned,
                1 => Drop::CpuLimit,
                2 => Drop::Deadline,
                3 => Drop::Unstarted,
                _ => return None,
            }),
            12 => Self::Answered { status: small },
            13 => Self::Sent,
            14 => Self::Cut,
            _ => return None,
        };
        (event.parts() == (kind, small, large)).then_some(event)
    }
}

/// Words that an event takes in a ring.
const WORDS: usize = 3;

/// Events that are read before it is looked whether they are whole.
const BLOCK_EVENTS: usize = 256;

const SMALL_SHIFT: u32 = 8;
const LARGE_SHIFT: u32 = 24;

#[inline]
fn packed((kind, small, large): Parts) -> u64 {
    u64::from(kind) | u64::from(small) << SMALL_SHIFT | large << LARGE_SHIFT
}

#[inline]
fn unpacked(word: u64) -> Parts {
    (
        word as u8,
        (word >> SMALL_SHIFT) as u16,
        word >> LARGE_SHIFT,
    )
}

const _: () = assert!(EXPECTED_MAX_NS << LARGE_SHIFT >> LARGE_SHIFT == EXPECTED_MAX_NS);

/// Makes a ring for the last so many events.
///
/// # Panics
///
/// If the number is no power of two.
#[must_use]
pub fn ring(capacity: usize) -> (EventWriter, EventReader) {
    assert!(capacity.is_power_of_two(), "{capacity} events");
    let slots = (0..capacity).map(|_| Default::default()).collect();
    let shared = Arc::new(Shared {
        slots,
        written: AtomicU64::new(0),
    });
    let writer = EventWriter {
        shared: shared.clone(),
        written: 0,
    };
    (writer, EventReader { shared })
}

struct Shared {
    /// The event of number n is at n modulo the capacity, a power of two.
    slots: Box<[[AtomicU64; WORDS]]>,
    /// How many events were ever written.
    written: AtomicU64,
}

/// A thread's end of its ring.
pub struct EventWriter {
    shared: Arc<Shared>,
    /// Nobody else changes it.
    written: u64,
}

/// The end for everybody else.
#[derive(Clone)]
pub struct EventReader {
    shared: Arc<Shared>,
}

/// What was read of a ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// In the order in which they were written.
    pub events: Vec<Event>,
    /// How many more had been asked for and were overwritten.
    pub lost: u64,
    /// The number from which to read on.
    pub next: u64,
}

impl Shared {
    #[inline]
    fn capacity(&self) -> u64 {
        self.slots.len() as u64
    }

    #[inline]
    fn slot(&self, number: u64) -> &[AtomicU64; WORDS] {
        &self.slots[(number & (self.capacity() - 1)) as usize]
    }
}

impl EventWriter {
    /// Notes an event.
    #[inline]
    pub fn note(&mut self, at_ns: u64, request: u64, what: What) {
        // Whoever reads one of the words below and then `written` finds at least this number there, and knows that
        // what was in the slot before is no more.
        fence(Ordering::Release);
        let slot = self.shared.slot(self.written);
        slot[0].store(at_ns, Ordering::Relaxed);
        slot[1].store(request, Ordering::Relaxed);
        slot[2].store(packed(what.parts()), Ordering::Relaxed);
        self.written += 1;
        self.shared.written.store(self.written, Ordering::Release);
    }
}

impl EventReader {
    /// The number of the next event that will be written.
    #[must_use]
    #[inline]
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Acquire)
    }

    /// Reads all events from this number on that are still there.
    #[must_use]
    pub fn read(&self, from: u64) -> Read {
        let mut read = Read::default();
        read.next = self.read_blocks(from, |lost, events| {
            if lost > 0 {
                // What was read before them is older still: what is kept has no gap.
                read.lost += lost + read.events.len() as u64;
                read.events.clear();
            }
            read.events.extend_from_slice(events);
        });
        read
    }

    /// The same, handed on in blocks that are still warm, each with how many events before it were overwritten. Gives the
    /// number from which to read on.
    pub fn read_blocks(&self, from: u64, mut take: impl FnMut(u64, &[Event])) -> u64 {
        let (shared, next) = (&*self.shared, self.written());
        let first = from.max(next.saturating_sub(shared.capacity())).min(next);
        let mut lost = first.saturating_sub(from);
        let mut raw = [[0; WORDS]; BLOCK_EVENTS];
        let mut events = Vec::with_capacity(BLOCK_EVENTS);
        for first in (first..next).step_by(BLOCK_EVENTS) {
            let raw = &mut raw[..BLOCK_EVENTS.min((next - first) as usize)];
            for (number, raw) in (first..).zip(&mut *raw) {
                let slot = shared.slot(number);
                *raw = slot.each_ref().map(|word| word.load(Ordering::Relaxed));
            }
            fence(Ordering::Acquire);
            // The event of this number may be being written at this moment.
            let writing = shared.written.load(Ordering::Relaxed);
            let whole = (writing + 1).saturating_sub(shared.capacity());
            let torn = whole.saturating_sub(first).min(raw.len() as u64) as usize;
            let whole = raw[torn..].iter().map(|&[at_ns, request, packed]| Event {
                at_ns,
                request,
                what: What::from_parts(unpacked(packed)).expect("it was written as one"),
            });
            events.clear();
            events.extend(whole);
            take(std::mem::take(&mut lost) + torn as u64, &events);
        }
        next
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    /// One of each kind, with the largest numbers that it may have.
    pub(crate) fn one_of_each() -> Vec<What> {
        let max = u16::MAX;
        vec![
            What::Arrived {
                route: max,
                expected_ns: EXPECTED_MAX_NS,
            },
            What::Refused(Refusal::Tenant),
            What::Refused(Refusal::Server),
            What::Refused(Refusal::Full),
            What::Held,
            What::Dispatched { worker: max },
            What::Taken,
            What::Resumed,
            What::Preempted,
            What::Yielded,
            What::Blocked,
            What::Woken,
            What::Finished { status: max },
            What::Dropped(Drop::Abandoned),
            What::Dropped(Drop::CpuLimit),
            What::Dropped(Drop::Deadline),
            What::Dropped(Drop::Unstarted),
            What::Answered { status: max },
            What::Sent,
            What::Cut,
        ]
    }

    #[test]
    fn every_event_is_what_it_was() {
        for what in one_of_each() {
            assert_eq!(
                What::from_parts(unpacked(packed(what.parts()))),
                Some(what),
                "{what:?}"
            );
        }
        let longer = What::Arrived {
            route: 1,
            expected_ns: u64::MAX,
        };
        assert_eq!(longer.parts(), (0, 1, EXPECTED_MAX_NS));
        for parts in [(1, 3, 0), (11, 4, 0), (2, 1, 0), (13, 0, 1), (15, 0, 0)] {
            assert_eq!(What::from_parts(parts), None, "{parts:?}");
        }
    }

    fn requests(read: &Read) -> Vec<u64> {
        read.events.iter().map(|event| event.request).collect()
    }

    #[test]
    fn the_last_are_there_and_the_others_are_counted() {
        let (mut writer, reader) = ring(4);
        assert_eq!(reader.read(0), Read::default());
        for request in 0..3 {
            writer.note(request, request, What::Sent);
        }
        let read = reader.read(0);
        assert_eq!(
            (requests(&read), read.lost, read.next),
            (vec![0, 1, 2], 0, 3)
        );
        for request in 3..9 {
            writer.note(request, request, What::Sent);
        }
        // One less than there is room for: the next may be half written.
        let read = reader.read(read.next);
        assert_eq!(
            (requests(&read), read.lost, read.next),
            (vec![6, 7, 8], 3, 9)
        );
        assert_eq!(
            reader.read(9),
            Read {
                next: 9,
                ..Read::default()
            }
        );
        assert_eq!(reader.read(99).next, 9);
    }

    /// Every event says the same thing three times; one that is torn does not.
    #[test]
    fn none_is_torn_while_it_is_overwritten() {
        let (mut writer, reader) = ring(64);
        let done = Arc::new(AtomicBool::new(false));
        let reading = std::thread::spawn({
            let done = done.clone();
            move || {
                let (mut next, mut seen, mut lost) = (0, 0, 0);
                loop {
                    let last = done.load(Ordering::Acquire);
                    let read = reader.read(next);
                    let first = read.next - read.events.len() as u64;
                    for (number, event) in (first..).zip(&read.events) {
                        assert_eq!((event.at_ns, event.request), (number, number));
                        let expected_ns = number & EXPECTED_MAX_NS;
                        let route = number as u16;
                        assert_eq!(event.what, What::Arrived { route, expected_ns });
                    }
                    assert_eq!(first - next, read.lost);
                    (seen, lost) = (seen + read.events.len() as u64, lost + read.lost);
                    next = read.next;
                    if last {
                        return (seen, lost);
                    }
                }
            }
        });
        const EVENTS: u64 = 2_000_000;
        for number in 0..EVENTS {
            let expected_ns = number & EXPECTED_MAX_NS;
            let route = number as u16;
            writer.note(number, number, What::Arrived { route, expected_ns });
        }
        done.store(true, Ordering::Release);
        let (seen, lost) = reading.join().expect("none is torn");
        assert_eq!(seen + lost, EVENTS);
    }
}
