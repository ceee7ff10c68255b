//! Service times as they were measured: a histogram from a file, of one of two forms.
//!
//! - A log of HdrHistogram (`.hlog`, the V2 form with compressed histograms in base64), its values nanoseconds; all
//!   its intervals and tags together.
//! - CSV with the columns `value_ns` (or `value_us`, `value_ms`) and `count`, in any order of its lines.
//!
//! A value stands for itself: nothing is interpolated between two of them.

use std::fs;
use std::path::Path;

use rand::Rng;
use sched::Nanos;

use super::csv::{Column, Table, unit_ns};
use super::service::SERVICE_MAX_US;

/// See the module's text. It has at least one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    name: String,
    /// Distinct values, ascending, each with how many there are up to it.
    values: Vec<(Nanos, u64)>,
    moments: [f64; 2],
}

impl Measured {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// A sentence that names the file and, where it can, the line.
    pub fn read(path: &str) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        let name = Path::new(path).file_stem().unwrap_or_default();
        let counts = if is_log(&bytes) {
            perf::hlog::counts(&bytes).map_err(|error| error.to_string())
        } else {
            csv(&bytes)
        };
        counts
            .and_then(|counts| Self::new(&name.to_string_lossy(), counts))
            .map_err(|error| format!("{path}: {error}"))
    }

    /// From values in nanoseconds and how often they were seen.
    fn new(name: &str, mut counts: Vec<(u64, u64)>) -> Result<Self, String> {
        counts.sort_unstable();
        let mut values: Vec<(Nanos, u64)> = Vec::new();
        let (mut total, mut sums) = (0_u64, [0.0; 2]);
        for (value_ns, count) in counts.into_iter().filter(|&(_, count)| count > 0) {
            if value_ns as f64 > SERVICE_MAX_US * 1e3 {
                return Err(format!("{value_ns} ns is longer than an hour"));
            }
            let value_ns = value_ns.max(1);
            total = total.checked_add(count).ok_or("the counts are too large")?;
            sums[0] += value_ns as f64 * count as f64;
            sums[1] += (value_ns as f64).powi(2) * count as f64;
            match values.last_mut() {
                Some(last) if last.0 == value_ns => last.1 = total,
                _ => values.push((value_ns, total)),
            }
        }
        if total == 0 {
            return Err("there are no values in it".into());
        }
        Ok(Self {
            name: name.into(),
            values,
            moments: sums.map(|sum| sum / total as f64),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// `E[Sᵏ]` for k of 1 or 2.
    pub fn moment(&self, k: i32) -> f64 {
        self.moments[k as usize - 1]
    }

    pub fn sample(&self, random: &mut impl Rng) -> Nanos {
        let total = self.values[self.values.len() - 1].1;
        let rank = random.random_range(0..total);
        let at = self.values.partition_point(|&(_, up_to)| up_to <= rank);
        self.values[at].0
    }
}

/// What follows the comments is the legend or an interval, whose histogram begins with these letters in base64.
fn is_log(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let first = lines.find(|line| !line.starts_with(b"#") && !line.trim_ascii().is_empty());
    first.is_some_and(|line| {
        line.starts_with(b"\"StartTimestamp\"") || line.windows(4).any(|part| part == b"HIST")
    })
}

fn csv(bytes: &[u8]) -> Result<Vec<(u64, u64)>, String> {
    let text = str::from_utf8(bytes).map_err(|_| "is neither a log nor text")?;
    let mut lines = text.lines().map(|line| Ok(line.to_owned()));
    let mut table = Table::new(&mut lines)?;
    let (value, per_unit_ns) = value_column(&table)?;
    let count = table.column("count")?;
    let mut counts = Vec::new();
    while let Some(row) = table.next_row()? {
        let value: f64 = row.number(value)?;
        counts.push(((value * per_unit_ns).round() as u64, row.integer(count)?));
    }
    Ok(counts)
}

fn value_column<I: Iterator<Item = std::io::Result<String>>>(
    table: &Table<I>,
) -> Result<(Column, f64), String> {
    for unit in ["ns", "us", "ms"] {
        if let Ok(column) = table.column(&format!("value_{unit}")) {
            return Ok((column, unit_ns(unit)));
        }
    }
    Err("line 1: there is no column value_ns, value_us or value_ms".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    #[test]
    fn csv_is_read_in_its_unit_and_any_order() {
        let rows = [
            "value_ns,count\n3000,1\n1000,3\n",
            "count,value_us\n3,1\n1,3\n",
            "value_us,count,note\n1,2,x\n3,1,\n1,1,\n9,0,\n",
            "# measured yesterday\nvalue_ms,count\n0.001,3\n\n0.003,1\n",
        ];
        for text in rows {
            assert!(!is_log(text.as_bytes()), "{text}");
            let seen = Measured::new("x", csv(text.as_bytes()).expect(text)).expect(text);
            assert_eq!(seen.values, [(1_000, 3), (3_000, 4)], "{text}");
            assert_eq!(seen.moment(1), 1_500.0);
            assert_eq!(seen.moment(2), 3e6);
        }
    }

    #[test]
    fn logs_are_told_from_csv() {
        let legend = b"#[StartTime: 1]\n\"StartTimestamp\",\"Interval_Length\"\n";
        assert!(is_log(legend) && is_log(b"0.1,1.0,2.0,HISTFAAAA\n") && !is_log(b""));
    }

    #[test]
    fn bad_csv_is_refused_with_its_line() {
        let rows = [
            ("", "the header is missing"),
            ("count\n1\n", "line 1: there is no column value_ns"),
            ("value_ns\n1\n", "line 1: there is no column \"count\""),
            ("value_ns,count\n1,2\n-1,3\n", "line 3: value_ns: \"-1\""),
            ("value_ns,count\n1,x\n", "line 2: count: \"x\""),
            ("value_ns,count\n1\n", "line 2: count is missing"),
        ];
        for (text, part) in rows {
            let said = csv(text.as_bytes()).expect_err(text);
            assert!(said.contains(part), "{text:?}: {said}");
        }
        let said = Measured::new("x", vec![(5, 0)]).expect_err("no values");
        assert!(said.contains("no values"), "{said}");
        let said = Measured::new("x", vec![(u64::MAX, 1)]).expect_err("too long");
        assert!(said.contains("hour"), "{said}");
    }

    #[test]
    fn values_come_as_often_as_they_were_seen() {
        let seen = Measured::new("x", vec![(7, 1), (5, 3)]).expect("values");
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let fives = (0..40_000).filter(|_| seen.sample(&mut random) == 5);
        let fives = fives.count();
        assert!((29_500..30_500).contains(&fives), "{fives}");
    }
}
