//! The books of a run: one tally for each target, and what the generator knows of itself.
//!
//! Requests of the warm-up are counted apart. Times are nanoseconds of the ring's clock.

use std::sync::mpsc::Sender;
use std::time::Duration;

use perf::Histogram;
use perf::formats::Interval;

use super::limits::{GAPS_MAX, INTERVAL_NS};
use super::load::Request;
use super::plan::Plan;
use super::response::Answer;
use super::tally::{Failure, Finished, Tally};

/// See the module's text.
pub struct Books {
    /// In the order of the targets.
    pub tallies: Vec<Tally>,
    /// Between the time at which a request could be sent (it was due, and a connection was free) and its send.
    pub lag_ns: Histogram,
    /// Of the requests that found no connection free: how long until one was.
    pub waited_ns: Histogram,
    /// Some of the gaps between sends, evenly over the run.
    pub gaps_ns: Vec<f64>,
    /// Requests of the warm-up, and those of them that failed.
    pub warmup: (u64, u64),
    /// Requests since the start: sent, over of those, and failed of all.
    pub totals: (u64, u64, u64),
    /// Right answers within the measured time.
    pub answered: u64,
    /// Times that a server sent something that nobody had asked for.
    pub unsolicited: u64,
    /// How long was measured.
    pub measured_ns: u64,
    warmup_ns: u64,
    duration_ns: u64,
    timeout_ns: u64,
    start_ns: u64,
    departures: u64,
    last_departure_ns: Option<u64>,
    gaps_stride: u64,
    intervals: Option<Intervals>,
    names: Vec<String>,
}

/// The current interval of the interval log.
struct Intervals {
    to: Sender<Interval>,
    nth: u64,
    /// All together, then for each target if there are several.
    histograms: Vec<Histogram>,
}

impl Books {
    /// Empty ones.
    pub fn new(plan: &Plan) -> Self {
        let targets = &plan.targets.targets;
        let measured_s = plan.duration_ns.saturating_sub(plan.warmup_ns) as f64 / 1e9;
        let expected = (plan.rate.unwrap_or(0.0) * measured_s).min(plan.requests_max as f64);
        Self {
            tallies: vec![Tally::default(); targets.len()],
            lag_ns: Histogram::new(),
            waited_ns: Histogram::new(),
            gaps_ns: Vec::new(),
            warmup: (0, 0),
            totals: (0, 0, 0),
            answered: 0,
            unsolicited: 0,
            measured_ns: 0,
            warmup_ns: plan.warmup_ns,
            duration_ns: plan.duration_ns,
            timeout_ns: plan.timeout_ns,
            start_ns: 0,
            departures: 0,
            last_departure_ns: None,
            gaps_stride: (expected / GAPS_MAX as f64).ceil().max(1.0) as u64,
            intervals: None,
            names: targets.iter().map(|target| target.name.clone()).collect(),
        }
    }

    /// The run begins.
    pub fn start(&mut self, start_ns: u64, intervals: Option<Sender<Interval>>) {
        self.start_ns = start_ns;
        let several = if self.names.len() > 1 {
            self.names.len()
        } else {
            0
        };
        self.intervals = intervals.map(|to| Intervals {
            to,
            nth: 0,
            histograms: vec![Histogram::new(); 1 + several],
        });
    }

    /// The run is over.
    pub fn end(&mut self, now_ns: u64) {
        let end_ns = (now_ns - self.start_ns).min(self.duration_ns);
        self.measured_ns = end_ns.saturating_sub(self.warmup_ns);
        if let Some(mut intervals) = self.intervals.take() {
            intervals.next(u64::MAX, now_ns - self.start_ns, &self.names);
        }
    }

    /// A request leaves, on a connection that has been free since then.
    pub fn departed(&mut self, request: Request, free_since_ns: u64, now_ns: u64) {
        self.totals.0 += 1;
        let last_ns = self.last_departure_ns.replace(now_ns);
        if self.is_warmup(request) {
            return;
        }
        let could_ns = request.intended_ns.max(free_since_ns);
        self.lag_ns.record(now_ns.saturating_sub(could_ns));
        if free_since_ns > request.intended_ns {
            self.waited_ns.record(free_since_ns - request.intended_ns);
        }
        if let Some(last_ns) = last_ns
            && self.departures.is_multiple_of(self.gaps_stride)
            && self.gaps_ns.len() < GAPS_MAX
        {
            self.gaps_ns.push((now_ns - last_ns) as f64);
        }
        self.departures += 1;
    }

    /// A request that was sent, or for which a connect was tried, is over.
    pub fn finished(
        &mut self,
        request: Request,
        failure: Option<Failure>,
        answer: Option<&Answer>,
        sent_ns: u64,
        at_ns: u64,
    ) {
        let latency_ns = at_ns.saturating_sub(request.intended_ns);
        let finished = Finished {
            failure,
            answer: answer.map(|answer| (answer.status, answer.body_bytes)),
            latency_ns,
            since_sent_ns: at_ns.saturating_sub(sent_ns),
            timed_out: failure == Some(Failure::Timeout),
        };
        self.totals.1 += 1;
        self.book(request, &finished, at_ns);
    }

    /// A request for which no connection was free until now.
    pub fn never_sent(&mut self, request: Request, now_ns: u64) {
        let latency_ns = now_ns.saturating_sub(request.intended_ns);
        let finished = Finished {
            failure: Some(Failure::NeverSent),
            answer: None,
            latency_ns,
            since_sent_ns: 0,
            timed_out: latency_ns >= self.timeout_ns,
        };
        self.book(request, &finished, now_ns);
    }

    fn book(&mut self, request: Request, finished: &Finished, at_ns: u64) {
        let failed = u64::from(finished.failure.is_some());
        self.totals.2 += failed;
        let since_start_ns = at_ns.saturating_sub(self.start_ns);
        if self.is_warmup(request) {
            self.warmup.0 += 1;
            self.warmup.1 += failed;
        } else {
            self.tallies[request.target].record(finished);
            if let Some(intervals) = self.intervals.as_mut().filter(|_| finished.counts()) {
                intervals.next(since_start_ns / INTERVAL_NS, since_start_ns, &self.names);
                intervals.histograms[0].record(finished.latency_ns);
                if let Some(histogram) = intervals.histograms.get_mut(1 + request.target) {
                    histogram.record(finished.latency_ns);
                }
            }
        }
        let measured_ns = self.warmup_ns..self.duration_ns;
        self.answered += u64::from(failed == 0 && measured_ns.contains(&since_start_ns));
    }

    fn is_warmup(&self, request: Request) -> bool {
        request.intended_ns < self.start_ns + self.warmup_ns
    }
}

impl Intervals {
    /// Sends what there is if `nth` is another interval. The writer is another thread: compressing takes long.
    fn next(&mut self, nth: u64, since_start_ns: u64, names: &[String]) {
        if nth <= self.nth {
            return;
        }
        let start_ns = self.nth * INTERVAL_NS;
        let length_ns = INTERVAL_NS.min(since_start_ns - start_ns);
        for (at, histogram) in self.histograms.iter_mut().enumerate() {
            let histogram = std::mem::take(histogram);
            if histogram.count() > 0 {
                let interval = Interval {
                    tag: at.checked_sub(1).map(|target| names[target].clone()),
                    start: Duration::from_nanos(start_ns),
                    length: Duration::from_nanos(length_ns),
                    histogram,
                };
                // Fails if the writer has ended with an error, which is told when it is joined.
                drop(self.to.send(interval));
            }
        }
        self.nth = nth;
    }
}
