//! What a thread counts while others read it: counters, gauges, the time that something takes, histograms.
//!
//! Each has one writer. What it does is a plain load and a plain store, without a lock and without a locked instruction,
//! so counting costs what it costs in a variable of one's own; what two threads count are two counters, and whoever
//! reads adds them up. Anybody may read, at any time and without disturbing the writer:
//!
//! * A count never falls from one reading to the next.
//! * A reading may fall between the steps of one record: its sum may have a value that its buckets have not, or the other
//!   way about. The next reading has both.
//! * What was counted before something was handed to another thread (a ring, a channel) is seen by who got it.
//!
//! [`LiveBuckets`] count by [`BOUNDS_NS`] alone. A [`LiveHistogram`] counts as an HdrHistogram with two significant digits does, in the same places, so that a
//! [`Snapshot`] gives its percentiles to 1 %. Its sum is exact, and so are its counts below [`BOUNDS_NS`], the bounds for
//! those who know fixed buckets only: they are counted apart, since bounds that people like lie within HdrHistogram's
//! places. Memory comes with the values, a kibibyte for each power of two in which there are some, and stays.
//!
//! Not here: what is counted, and any text.

use crate::Histogram;
use std::array;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// The bounds of [`Snapshot::buckets`], in nanoseconds and included: 10 µs to 10 s.
pub const BOUNDS_NS: [u64; 19] = {
    const US: u64 = 1_000;
    const MS: u64 = 1_000 * US;
    const S: u64 = 1_000 * MS;
    [
        10 * US,
        25 * US,
        50 * US,
        100 * US,
        250 * US,
        500 * US,
        MS,
        2_500 * US,
        5 * MS,
        10 * MS,
        25 * MS,
        50 * MS,
        100 * MS,
        250 * MS,
        500 * MS,
        S,
        2_500 * MS,
        5 * S,
        10 * S,
    ]
};

/// One bucket up to each bound, and one for what is above all.
pub const BUCKETS: usize = BOUNDS_NS.len() + 1;

/// Something that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.set(self.0.load(Relaxed).wrapping_add(more));
    }

    /// So many in all, as they were counted elsewhere.
    pub fn set(&self, total: u64) {
        self.0.store(total, Relaxed);
    }

    /// How many there were.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Something that grows and shrinks.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// What it is now.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// So much more, or less.
    pub fn add(&self, more: i64) {
        self.set(self.value().wrapping_add(more));
    }

    /// What it was set to last.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// How long something was under way in all, one thing at a time, the one that is included.
///
/// Reading it is for one thread at a time: those who read it later with the same [`Told`] are told no less.
#[derive(Debug, Default)]
pub struct Busy {
    /// At rest the total; under way [`UNDER_WAY`] and when it would have begun, had it been one piece.
    state: AtomicU64,
}

/// What readers of a [`Busy`] were told last. It is theirs, so that it is away from what the writer writes.
#[derive(Debug, Default)]
pub struct Told(AtomicU64);

/// Above all times.
const UNDER_WAY: u64 = 1 << 63;

impl Busy {
    /// It begins, at a time of the monotonic clock.
    pub fn begin(&self, now_ns: u64) {
        let total_ns = self.state.load(Relaxed);
        debug_assert!(total_ns < UNDER_WAY, "it has begun");
        let since_ns = now_ns.wrapping_sub(total_ns) & !UNDER_WAY;
        self.state.store(since_ns | UNDER_WAY, Relaxed);
    }

    /// It ends.
    pub fn end(&self, now_ns: u64) {
        self.state
            .store(total_ns(self.state.load(Relaxed), now_ns), Relaxed);
    }

    /// Whether it is under way.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.state.load(Relaxed) >= UNDER_WAY
    }

    /// How long it was under way, in nanoseconds.
    #[must_use]
    pub fn value_ns(&self, now_ns: u64, told: &Told) -> u64 {
        // Whoever ends it may have looked at the clock before us, and written it down after us.
        let value_ns = total_ns(self.state.load(Relaxed), now_ns);
        told.0.fetch_max(value_ns, Relaxed).max(value_ns)
    }
}

fn total_ns(state: u64, now_ns: u64) -> u64 {
    match state {
        total_ns if total_ns < UNDER_WAY => total_ns,
        since_ns => {
            let total_ns = now_ns.wrapping_sub(since_ns) & !UNDER_WAY;
            // Begun after `now_ns`, by a reader's clock that is late.
            if total_ns > UNDER_WAY / 2 {
                0
            } else {
                total_ns
            }
        }
    }
}

/// The places of values with the same number of bits, less 6: 128 for each.
const OCTAVE_BITS: u32 = 7;
const PLACES: usize = 1 << OCTAVE_BITS;
const OCTAVES: usize = 65 - OCTAVE_BITS as usize;

type Octave = [Counter; PLACES];

/// See the module's text. Where a percentile to 1 % is not worth its memory.
#[derive(Debug, Default)]
pub struct LiveBuckets {
    counts: [Counter; BUCKETS],
    sum: Counter,
}

impl LiveBuckets {
    /// Adds a value; all together may be 584 years.
    pub fn record(&self, value_ns: u64) {
        self.counts[bucket(value_ns)].increment();
        self.sum.add(value_ns);
    }

    /// What is in them now.
    #[must_use]
    pub fn read(&self) -> Buckets {
        Buckets {
            counts: array::from_fn(|at| self.counts[at].value()),
            sum_ns: u128::from(self.sum.value()),
        }
    }
}

/// See the module's text.
pub struct LiveHistogram {
    buckets: LiveBuckets,
    octaves: [OnceLock<Box<Octave>>; OCTAVES],
}

impl Default for LiveHistogram {
    fn default() -> Self {
        Self {
            buckets: LiveBuckets::default(),
            octaves: [const { OnceLock::new() }; OCTAVES],
        }
    }
}

impl LiveHistogram {
    /// Adds a value; all together may be 584 years.
    pub fn record(&self, value_ns: u64) {
        self.buckets.record(value_ns);
        let (octave, place) = place(value_ns);
        let octave = self.octaves[octave].get_or_init(new_octave);
        octave[place].increment();
    }

    /// What is in it now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut counts = Histogram::with_digits(2);
        for (number, octave) in self.octaves.iter().enumerate() {
            for (place, counter) in octave
                .get()
                .into_iter()
                .flat_map(|octave| &**octave)
                .enumerate()
            {
                // Even no times at all would make it the least or the greatest value.
                if counter.value() > 0 {
                    counts.record_n(value(number, place), counter.value());
                }
            }
        }
        Snapshot {
            buckets: self.buckets.read(),
            counts,
        }
    }
}

#[cold]
fn new_octave() -> Box<Octave> {
    Box::new(array::from_fn(|_| Counter::default()))
}

/// Where a value is counted: values below 128 each in a place of its own, above that 128 places of equal width up to
/// each power of two.
fn place(value: u64) -> (usize, usize) {
    let bits = (u64::BITS - value.leading_zeros()).max(OCTAVE_BITS);
    let octave = bits - OCTAVE_BITS;
    let place = (value >> octave.saturating_sub(1)) as usize % PLACES;
    (octave as usize, place)
}

/// The least value that is counted there.
fn value(octave: usize, place: usize) -> u64 {
    match octave {
        0 => place as u64,
        octave => ((PLACES + place) as u64) << (octave - 1),
    }
}

/// For each number of bits, the first bound that is not below all values with so many.
const FIRST_BOUND: [u8; 65] = {
    let mut first = [0; 65];
    let mut bits = 1;
    while bits < 65 {
        let least = 1 << (bits - 1);
        let mut at = 0;
        while at < BOUNDS_NS.len() && BOUNDS_NS[at] < least {
            at += 1;
        }
        first[bits] = at as u8;
        bits += 1;
    }
    first
};

/// The first bucket whose bound is not below the value.
fn bucket(value_ns: u64) -> usize {
    let bits = u64::BITS - value_ns.leading_zeros();
    let mut at = usize::from(FIRST_BOUND[bits as usize]);
    while BOUNDS_NS.get(at).is_some_and(|bound| *bound < value_ns) {
        at += 1;
    }
    at
}

/// [`LiveBuckets`] as they were read, or several of them together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// How many values are up to each of [`BOUNDS_NS`] and above the one before; the last: above all of them.
    pub counts: [u64; BUCKETS],
    /// All values together.
    pub sum_ns: u128,
}

impl Buckets {
    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds all values of another.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum_ns += other.sum_ns;
    }
}

/// A [`LiveHistogram`] as it was read, or several of them together.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// By the bounds.
    pub buckets: Buckets,
    /// For percentiles; its own mean is of places, not of values.
    pub counts: Histogram,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            buckets: Buckets::default(),
            counts: Histogram::with_digits(2),
        }
    }
}

impl Snapshot {
    /// Adds all values of another.
    pub fn merge(&mut self, other: &Self) {
        self.buckets.merge(&other.buckets);
        self.counts.merge(&other.counts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Percentile;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    /// Numbers of every size, with no more pattern than a test needs.
    fn values(count: usize) -> impl Iterator<Item = u64> {
        let mut state = 1_u64;
        let mut bits = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state.rotate_right(11)
        };
        let value = move || bits() >> (bits() % 64);
        std::iter::repeat_with(value).take(count)
    }

    /// Where something begins or ends: powers of two, the bounds, the ends of the range.
    fn edges() -> Vec<u64> {
        let powers = (0..64).map(|bits| 1_u64 << bits);
        let near = powers
            .chain(BOUNDS_NS)
            .flat_map(|edge| [edge - 1, edge, edge + 1]);
        near.chain([u64::MAX - 1, u64::MAX]).collect()
    }

    #[test]
    fn it_counts_as_an_hdrhistogram_of_two_digits() {
        let live = LiveHistogram::default();
        let mut exact = Histogram::with_digits(2);
        let edges = edges().into_iter().map(|value| value >> 8);
        for value in edges.chain(values(200_000).map(|value| value >> 20)) {
            live.record(value);
            exact.record(value);
        }
        let snapshot = live.snapshot();
        assert_eq!(snapshot.counts.counts(), exact.counts());
        assert_eq!(snapshot.buckets.sum_ns, exact.sum());
        assert_eq!(snapshot.buckets.count(), exact.count());
        for hundredths in (0..=9_999).step_by(7) {
            let percentile = Percentile(hundredths);
            assert_eq!(
                snapshot.counts.percentile(percentile),
                exact.percentile(percentile)
            );
        }
    }

    #[test]
    fn a_place_is_as_wide_as_a_hundredth_and_none_is_missing() {
        let places = (0..OCTAVES).flat_map(|octave| (0..PLACES).map(move |place| (octave, place)));
        let starts: Vec<u64> = places
            .clone()
            .map(|(octave, place)| value(octave, place))
            .collect();
        for (at, start) in places.zip(starts.windows(2)) {
            let (start, end) = (start[0], start[1]);
            assert!(
                start < end && (end - start - 1) * 100 <= start,
                "{start}..{end}"
            );
            assert_eq!((place(start), place(end - 1)), (at, at));
        }
        assert_eq!(place(u64::MAX), (OCTAVES - 1, PLACES - 1));
    }

    #[test]
    fn buckets_are_exact() {
        for value in edges().into_iter().chain(values(10_000)) {
            let first = BOUNDS_NS.iter().position(|bound| value <= *bound);
            assert_eq!(bucket(value), first.unwrap_or(BOUNDS_NS.len()), "{value}");
        }
        let live = LiveHistogram::default();
        for (at, bound) in BOUNDS_NS.into_iter().enumerate() {
            (0..=at).for_each(|_| live.record(bound));
        }
        live.record(BOUNDS_NS[BOUNDS_NS.len() - 1] + 1);
        let mut expected: [u64; BUCKETS] = array::from_fn(|at| at as u64 + 1);
        expected[BUCKETS - 1] = 1;
        assert_eq!(live.snapshot().buckets.counts, expected);
    }

    #[test]
    fn places_without_values_are_not_values() {
        let live = LiveHistogram::default();
        live.record(100_000);
        let mut exact = Histogram::with_digits(2);
        exact.record(100_000);
        assert_eq!(live.snapshot().counts.max(), exact.max());
    }

    #[test]
    fn merged_is_as_if_recorded_in_one() {
        let (one, other, both) = (
            LiveHistogram::default(),
            LiveHistogram::default(),
            LiveHistogram::default(),
        );
        for (at, value) in values(10_000).map(|value| value >> 8).enumerate() {
            [&one, &other][at % 2].record(value);
            both.record(value);
        }
        let mut merged = Snapshot::default();
        merged.merge(&one.snapshot());
        merged.merge(&other.snapshot());
        let both = both.snapshot();
        assert_eq!(merged.buckets, both.buckets);
        assert_eq!(merged.counts.counts(), both.counts.counts());
    }

    #[test]
    fn nothing_falls_while_it_is_counted() {
        const RECORDS: u64 = 300_000;
        let live = Arc::new(LiveHistogram::default());
        let done = Arc::new(AtomicBool::new(false));
        let reading = std::thread::spawn({
            let (live, done) = (live.clone(), done.clone());
            move || {
                let mut before = live.snapshot();
                loop {
                    let is_last = done.load(std::sync::atomic::Ordering::Acquire);
                    let now = live.snapshot();
                    let pairs = before.buckets.counts.iter().zip(now.buckets.counts);
                    assert!(pairs.into_iter().all(|(before, now)| *before <= now));
                    assert!(before.buckets.sum_ns <= now.buckets.sum_ns);
                    assert!(before.counts.count() <= now.counts.count());
                    before = now;
                    if is_last {
                        return before;
                    }
                }
            }
        });
        let mut sum = 0;
        for value in values(RECORDS as usize).map(|value| value >> 20) {
            live.record(value);
            sum += u128::from(value);
        }
        done.store(true, std::sync::atomic::Ordering::Release);
        let last = reading.join().expect("nothing falls");
        assert_eq!(last.buckets.count(), RECORDS);
        assert_eq!(last.counts.count(), RECORDS);
        assert_eq!(last.buckets.sum_ns, sum);
    }

    #[test]
    fn time_includes_what_is_under_way() {
        // What happens at a time, and the value that is read then.
        let (busy, told) = (Busy::default(), Told::default());
        assert_eq!((busy.value_ns(5, &told), busy.is_under_way()), (0, false));
        busy.begin(10);
        assert_eq!((busy.value_ns(10, &told), busy.is_under_way()), (0, true));
        assert_eq!(busy.value_ns(17, &told), 7);
        busy.end(20);
        assert_eq!((busy.value_ns(99, &told), busy.is_under_way()), (10, false));
        busy.begin(100);
        assert_eq!(busy.value_ns(105, &told), 15);
        // The clocks of two threads, read in the order in which their words were not.
        busy.end(103);
        assert_eq!(busy.value_ns(110, &told), 15);
        busy.begin(200);
        assert_eq!(
            (
                busy.value_ns(199, &told),
                busy.value_ns(201, &told),
                busy.value_ns(204, &told)
            ),
            (15, 15, 17)
        );
        // More than the clock has seen of the machine.
        let (busy, told) = (Busy::default(), Told::default());
        busy.begin(0);
        busy.end(50);
        busy.begin(10);
        assert_eq!(busy.value_ns(11, &told), 51);
    }

    #[test]
    fn counters_and_gauges() {
        let (counter, gauge) = (Counter::default(), Gauge::default());
        counter.increment();
        counter.add(4);
        assert_eq!(counter.value(), 5);
        counter.set(7);
        assert_eq!(counter.value(), 7);
        gauge.add(-3);
        assert_eq!(gauge.value(), -3);
        gauge.set(2);
        assert_eq!(gauge.value(), 2);
    }
}
