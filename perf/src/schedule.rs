//! When requests are meant to be sent: open loop, decided before the run and blind to how the server fares.
//!
//! Randomness is an argument: a source of numbers that are uniform in [0, 1). Times are nanoseconds from the start of the
//! run. Not here: a clock, or what is sent.

/// How the times are spread.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// Independent of each other: exponential gaps.
    Poisson {
        /// Requests per second.
        rate: f64,
    },
    /// All gaps equal.
    Constant {
        /// Requests per second.
        rate: f64,
    },
    /// Poisson for `on_ns`, nothing for `off_ns`, and again (an interrupted Poisson process with fixed phases).
    Bursts {
        /// Requests per second, over both phases.
        rate: f64,
        /// How long a burst lasts; above 0.
        on_ns: u64,
        /// How long the pause after it lasts.
        off_ns: u64,
    },
    /// As recorded: times that do not decrease.
    Trace(Vec<u64>),
}

impl Arrivals {
    /// The times, from `uniform`, which gives a number in [0, 1) at each call; those of a trace end.
    pub fn times<'a>(
        &'a self,
        mut uniform: impl FnMut() -> f64 + 'a,
    ) -> Box<dyn Iterator<Item = u64> + 'a> {
        // A sum in floating point is good to a nanosecond for a hundred days.
        let poisson = move |rate: f64| {
            let mut at_ns = 0.0;
            std::iter::repeat_with(move || {
                at_ns += -(1.0 - uniform()).ln() * 1e9 / rate;
                at_ns
            })
        };
        match *self {
            Self::Poisson { rate } => Box::new(poisson(rate).map(|at_ns| at_ns as u64)),
            Self::Constant { rate } => {
                Box::new((0..).map(move |nth: u64| (nth as f64 * 1e9 / rate) as u64))
            }
            Self::Bursts {
                rate,
                on_ns,
                off_ns,
            } => {
                let period_ns = on_ns + off_ns;
                let in_bursts = poisson(rate * period_ns as f64 / on_ns as f64);
                Box::new(in_bursts.map(move |at_ns| {
                    let at_ns = at_ns as u64;
                    at_ns / on_ns * period_ns + at_ns % on_ns
                }))
            }
            Self::Trace(ref times_ns) => Box::new(times_ns.iter().copied()),
        }
    }

    /// Reads a trace: CSV whose first column is seconds from the start. A first line that is no number is a heading.
    ///
    /// # Errors
    ///
    /// The line, counted from 1, and what would be right.
    pub fn trace(text: &str) -> Result<Self, (usize, &'static str)> {
        let mut times_ns: Vec<u64> = Vec::new();
        let lines = (1..).zip(text.lines());
        for (line, row) in lines.filter(|(_, row)| !row.trim().is_empty()) {
            let field = row.split(',').next().unwrap_or("").trim();
            let seconds = field.parse::<f64>().ok();
            let Some(seconds) = seconds.filter(|seconds| (0.0..=TRACE_MAX_S).contains(seconds))
            else {
                if line == 1 && seconds.is_none() {
                    continue;
                }
                return Err((
                    line,
                    "seconds from the start, such as 0.0125, at most a week",
                ));
            };
            let at_ns = (seconds * 1e9).round() as u64;
            if times_ns.last().is_some_and(|last_ns| at_ns < *last_ns) {
                return Err((line, "a time that is not before that of the line above"));
            }
            times_ns.push(at_ns);
        }
        match times_ns.is_empty() {
            true => Err((1, "at least one line with a time")),
            false => Ok(Self::Trace(times_ns)),
        }
    }
}

/// A week.
const TRACE_MAX_S: f64 = 7.0 * 86_400.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that steps through [0, 1) evenly and in no order (additive recurrence).
    fn even() -> impl FnMut() -> f64 {
        let mut at = 0.5;
        move || {
            at = (at + 0.618_033_988_749_894_9) % 1.0;
            at
        }
    }

    #[test]
    fn each_process_has_its_rate() {
        let rate = 1_000.0;
        let bursts = Arrivals::Bursts {
            rate,
            on_ns: 10_000_000,
            off_ns: 90_000_000,
        };
        for arrivals in [
            Arrivals::Poisson { rate },
            Arrivals::Constant { rate },
            bursts,
        ] {
            let times: Vec<u64> = arrivals.times(even()).take(100_000).collect();
            assert!(times.is_sorted(), "{arrivals:?}");
            let last_s = *times.last().unwrap() as f64 / 1e9;
            assert!((last_s - 100.0).abs() < 0.2, "{arrivals:?}: {last_s}");
        }
    }

    #[test]
    fn bursts_leave_pauses() {
        let (on_ns, off_ns) = (10_000_000, 90_000_000);
        let arrivals = Arrivals::Bursts {
            rate: 500.0,
            on_ns,
            off_ns,
        };
        let mut times = arrivals.times(even()).take(10_000);
        assert!(times.all(|at_ns| at_ns % (on_ns + off_ns) < on_ns));
    }

    #[test]
    fn the_first_of_a_constant_rate_is_at_once() {
        let arrivals = Arrivals::Constant { rate: 3.0 };
        let times: Vec<u64> = arrivals.times(|| 0.0).take(4).collect();
        assert_eq!(times, [0, 333_333_333, 666_666_666, 1_000_000_000]);
    }

    #[test]
    fn traces() {
        let check = |text: &str, expected: Result<&[u64], usize>| {
            let read = Arrivals::trace(text);
            let expected = expected.map(|times_ns| Arrivals::Trace(times_ns.to_vec()));
            assert_eq!(read.map_err(|(line, _)| line), expected, "{text:?}");
        };
        check("0\n0.5,a\n0.5\n", Ok(&[0, 500_000_000, 500_000_000]));
        check("seconds,what\n0.000000001\n\n", Ok(&[1]));
        check("", Err(1));
        check("seconds\n", Err(1));
        check("0\nx\n", Err(2));
        check("1\n0.5\n", Err(2));
        check("-1\n", Err(1));
        check("inf\n", Err(1));
        check("0\n1e9\n", Err(2));
    }
}
