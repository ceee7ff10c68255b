//! When requests come. All but the closed loop are open: they come at a rate that does not depend on how the server
//! fares, which is how many clients who do not know of each other behave.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Exp1, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use sched::Nanos;
use sched::estimate::Percentile;

use super::engine::Request;
use super::front::Learn;
use super::service::{Service, parse_positive, parse_us};
use super::source::Source;
use super::workload::Workload;
use crate::worker::Arrival;

/// How many clients a closed loop may have.
const CLIENTS_MAX: usize = 1 << 20;

/// How the times between arrivals are distributed.
#[derive(Clone, Debug, PartialEq)]
pub enum Process {
    /// Exponential and independent: many clients who do not know of each other.
    Poisson,
    /// All equal.
    Deterministic,
    /// Poisson at one of two rates in turn, each for an exponential time (a Markov-modulated Poisson process; Fischer &
    /// Meier-Hellstern, "The Markov-modulated Poisson process cookbook", Performance Evaluation 1993). The mean rate is
    /// the one asked for.
    Mmpp {
        /// The higher rate as a multiple of the lower; infinite if nothing comes at the lower.
        ratio: f64,
        /// The mean time at the higher rate.
        high_ns: Nanos,
        /// The mean time at the lower rate.
        low_ns: Nanos,
    },
    /// Each of so many clients sends its next request when the last was answered and it has thought.
    Closed { clients: usize, think: Service },
}

impl Process {
    /// Understands `poisson`, `deterministic`, `onoff:ON_US:OFF_US`, `mmpp:RATIO:HIGH_US:LOW_US` and
    /// `closed:CLIENTS:LAW`.
    ///
    /// # Errors
    ///
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let parts: Vec<&str> = rest.split(':').collect();
        match (kind, &parts[..]) {
            ("poisson", [""]) => Ok(Self::Poisson),
            ("deterministic", [""]) => Ok(Self::Deterministic),
            ("onoff", [on, off]) => Ok(Self::Mmpp {
                ratio: f64::INFINITY,
                high_ns: parse_us(on)?,
                low_ns: parse_us(off)?,
            }),
            ("mmpp", [ratio, high, low]) => Ok(Self::Mmpp {
                ratio: parse_positive(ratio, 1e9)?,
                high_ns: parse_us(high)?,
                low_ns: parse_us(low)?,
            }),
            ("closed", [clients, _, ..]) => {
                let (_, law) = rest.split_once(':').expect("it has two parts");
                let count = clients.parse().ok();
                let count = count.filter(|count| (1..=CLIENTS_MAX).contains(count));
                Ok(Self::Closed {
                    clients: count.ok_or_else(|| {
                        format!("{clients:?} is not a number of clients from 1 to {CLIENTS_MAX}")
                    })?,
                    think: Service::parse(law)?,
                })
            }
            _ => Err(format!(
                "unknown arrivals {text:?}, expected poisson, deterministic, onoff:ON_US:OFF_US, \
                 mmpp:RATIO:HIGH_US:LOW_US or closed:CLIENTS:THINK"
            )),
        }
    }

    /// Whether the rate is the clients' affair and not a setting.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |time_ns: Nanos| time_ns as f64 / 1e3;
        match self {
            Self::Poisson => f.write_str("poisson"),
            Self::Deterministic => f.write_str("deterministic"),
            &Self::Mmpp {
                ratio,
                high_ns,
                low_ns,
            } => match ratio.is_finite() {
                true => write!(f, "mmpp {ratio} {} µs {} µs", us(high_ns), us(low_ns)),
                false => write!(f, "onoff {} µs {} µs", us(high_ns), us(low_ns)),
            },
            Self::Closed { clients, think } => {
                write!(f, "closed loop of {clients}, think {think},")
            }
        }
    }
}

/// What a policy is told of the size of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Estimate {
    /// The mean of the request's class.
    Mean,
    /// The size: an oracle.
    Exact,
    /// Nothing.
    Unknown,
    /// The size times a lognormal error whose logarithm has this deviation, and the median 1.
    Noisy(f64),
    /// What the server has learnt of the route so far.
    Learnt(Learn),
}

impl Estimate {
    /// Understands `mean`, `exact`, `none`, `noisy:SIGMA`, `window:PERCENT` and `quantile:PERCENT`.
    ///
    /// # Errors
    ///
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "mean" => Ok(Self::Mean),
            None if text == "exact" => Ok(Self::Exact),
            None if text == "none" => Ok(Self::Unknown),
            Some(("noisy", sigma)) => parse_positive(sigma, 10.0).map(Self::Noisy),
            Some(("window", percent)) => {
                parse_percentile(percent).map(|percent| Self::Learnt(Learn::Window(percent)))
            }
            Some(("quantile", percent)) => {
                parse_percentile(percent).map(|percent| Self::Learnt(Learn::Quantile(percent)))
            }
            _ => Err(format!(
                "{text:?} is not mean, exact, none, noisy:SIGMA, window:PERCENT or quantile:PERCENT"
            )),
        }
    }

    /// What is said of a request of this size, in a class of this mean.
    #[inline]
    pub fn of(self, mean_ns: Nanos, service_ns: Nanos, random: &mut impl Rng) -> Nanos {
        match self {
            Self::Mean => mean_ns,
            Self::Exact => service_ns,
            Self::Unknown | Self::Learnt(_) => 0,
            Self::Noisy(sigma) => {
                let normal: f64 = StandardNormal.sample(random);
                ((service_ns as f64 * (sigma * normal).exp()) as Nanos).max(1)
            }
        }
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mean => f.write_str("mean"),
            Self::Exact => f.write_str("exact"),
            Self::Unknown => f.write_str("none"),
            Self::Noisy(sigma) => write!(f, "noisy {sigma}"),
            Self::Learnt(Learn::Window(percent)) => write!(f, "p{percent} of 256 runs"),
            Self::Learnt(Learn::Quantile(percent)) => write!(f, "p{percent}, weighted"),
        }
    }
}

fn parse_percentile(text: &str) -> Result<u8, String> {
    let percent = text.parse().ok();
    let percent = percent.filter(|&percent| Percentile::new(percent).is_some());
    percent.ok_or_else(|| format!("{text:?} is not a percentile"))
}

/// The times between arrivals.
struct Pace {
    process: Process,
    /// 1/λ.
    interval_ns: f64,
    random: Xoshiro256PlusPlus,
    /// At the higher of two rates.
    high: bool,
    /// The part of a nanosecond that rounding has left, so that the mean interval is exact.
    carry_ns: f64,
}

impl Pace {
    fn next_ns(&mut self) -> Nanos {
        let exact_ns = match self.process {
            Process::Deterministic => self.interval_ns,
            Process::Mmpp {
                ratio,
                high_ns,
                low_ns,
            } => self.modulated_ns(ratio, high_ns as f64, low_ns as f64),
            Process::Poisson | Process::Closed { .. } => {
                let unit: f64 = Exp1.sample(&mut self.random);
                unit * self.interval_ns
            }
        } + self.carry_ns;
        self.carry_ns = exact_ns.fract();
        exact_ns as Nanos
    }

    /// The next arrival and the next change of rate compete; both are without memory.
    fn modulated_ns(&mut self, ratio: f64, high_ns: f64, low_ns: f64) -> f64 {
        let (high_rate, low_rate) = modulated_rates(1.0 / self.interval_ns, ratio, high_ns, low_ns);
        let mut passed_ns = 0.0;
        loop {
            let (rate, change) = match self.high {
                true => (high_rate, 1.0 / high_ns),
                false => (low_rate, 1.0 / low_ns),
            };
            let unit: f64 = Exp1.sample(&mut self.random);
            passed_ns += unit / (rate + change);
            let which: f64 = self.random.random();
            if which * (rate + change) < rate {
                return passed_ns;
            }
            self.high = !self.high;
        }
    }
}

/// The higher and the lower rate of a process with this mean rate.
pub fn modulated_rates(rate: f64, ratio: f64, high_ns: f64, low_ns: f64) -> (f64, f64) {
    let whole = high_ns + low_ns;
    if ratio.is_infinite() {
        return (rate * whole / high_ns, 0.0);
    }
    let low_rate = rate * whole / (ratio * high_ns + low_ns);
    (ratio * low_rate, low_rate)
}

/// What a stream of requests is made of.
#[derive(Clone, Debug)]
pub struct Stream<'a> {
    pub workload: &'a Workload,
    pub process: &'a Process,
    /// λ in requests per nanosecond; a closed loop does not look at it.
    pub rate: f64,
    /// By class of the workload: the time from arrival to deadline; `u64::MAX` for none.
    pub deadlines_ns: Vec<Nanos>,
    pub estimate: Estimate,
    pub tenant: u16,
    /// The route of the workload's first class.
    pub route: u16,
    /// Nothing comes before.
    pub from_ns: Nanos,
    /// Nothing comes from here on.
    pub until_ns: Nanos,
    /// Which of the streams of a seed.
    pub index: u32,
    pub seed: u64,
}

/// The sizes of requests, and what is said of them.
struct Sizes<'a> {
    stream: Stream<'a>,
    services: Xoshiro256PlusPlus,
    errors: Xoshiro256PlusPlus,
}

impl Sizes<'_> {
    fn request(&mut self, seq: u64, now: Nanos) -> Request {
        let stream = &self.stream;
        let (class, service_ns) = stream.workload.sample(&mut self.services);
        let mean_ns = stream.workload.classes[usize::from(class)]
            .service
            .mean_ns();
        let estimate = stream.estimate;
        let arrival = Arrival {
            seq,
            tenant: stream.tenant,
            route: stream.route + class,
            arrival_ns: now,
            deadline_ns: now.saturating_add(stream.deadlines_ns[usize::from(class)]),
            expected_ns: estimate.of(mean_ns, service_ns, &mut self.errors),
        };
        Request {
            arrival,
            service_ns,
        }
    }
}

/// The random streams of a stream of requests: intervals, services, errors of estimates. Each is apart from the others,
/// so the same requests come at the same times whatever the policy, and at proportionally spaced times whatever the
/// load (common random numbers).
fn randomness(seed: u64, index: u32) -> [Xoshiro256PlusPlus; 3] {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..3 * index).for_each(|_| random.jump());
    [(); 3].map(|()| {
        let stream = random.clone();
        random.jump();
        stream
    })
}

/// An open stream of requests, without an end unless it has a time.
pub struct Arrivals<'a> {
    sizes: Sizes<'a>,
    pace: Pace,
    seq: u64,
    now: Nanos,
}

impl<'a> Arrivals<'a> {
    pub fn new(stream: Stream<'a>) -> Self {
        let [intervals, services, errors] = randomness(stream.seed, stream.index);
        let mut pace = Pace {
            process: stream.process.clone(),
            interval_ns: 1.0 / stream.rate,
            random: intervals,
            high: false,
            carry_ns: 0.0,
        };
        if let &Process::Mmpp {
            high_ns, low_ns, ..
        } = stream.process
        {
            let which: f64 = pace.random.random();
            pace.high = which * ((high_ns + low_ns) as f64) < high_ns as f64;
        }
        Self {
            now: stream.from_ns,
            sizes: Sizes {
                stream,
                services,
                errors,
            },
            pace,
            seq: 0,
        }
    }
}

impl Iterator for Arrivals<'_> {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        self.now = self.now.saturating_add(self.pace.next_ns());
        if self.now >= self.sizes.stream.until_ns {
            return None;
        }
        let request = self.sizes.request(self.seq, self.now);
        self.seq += 1;
        Some(request)
    }
}

/// A closed loop: the clients begin by thinking, and a refusal is an answer. It sends so many requests in all.
///
/// A client that waits sends nothing, so a slow server is asked less: percentiles of a closed loop leave out what
/// clients who do not wait would have seen ("coordinated omission").
pub struct Closed<'a> {
    sizes: Sizes<'a>,
    thinking: Xoshiro256PlusPlus,
    think: &'a Service,
    /// When the clients that think are done. Who is who does not matter, as they are all alike; the second number makes
    /// an order among equals: the client's at first, then that of its last request.
    thinkers: BinaryHeap<Reverse<(Nanos, u64)>>,
    seq: u64,
    requests: u64,
}

impl<'a> Closed<'a> {
    /// `None` if the stream's process is not closed.
    pub fn new(stream: Stream<'a>, requests: u64) -> Option<Self> {
        let Process::Closed { clients, think } = stream.process else {
            return None;
        };
        let [mut thinking, services, errors] = randomness(stream.seed, stream.index);
        let begin = |client| Reverse((think.sample(&mut thinking), client));
        let thinkers = (0..*clients as u64).map(begin).collect();
        Some(Self {
            sizes: Sizes {
                stream,
                services,
                errors,
            },
            thinking,
            think,
            thinkers,
            seq: 0,
            requests,
        })
    }
}

impl Source for Closed<'_> {
    fn peek_ns(&self) -> Option<Nanos> {
        let first = self.thinkers.peek().filter(|_| self.seq < self.requests);
        first.map(|&Reverse((at_ns, _))| at_ns)
    }

    fn take(&mut self) -> Request {
        let Reverse((at_ns, _)) = self.thinkers.pop().expect("somebody comes");
        let request = self.sizes.request(self.seq, at_ns);
        self.seq += 1;
        request
    }

    fn ended(&mut self, now: Nanos, request: &Request) {
        let think_ns = self.think.sample(&mut self.thinking);
        let seq = request.arrival.seq;
        self.thinkers.push(Reverse((now + think_ns, seq)));
    }
}
