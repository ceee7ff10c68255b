//! Histograms of nanoseconds as files that other programs read: `.hgrm` (a percentile spectrum, as wrk2 and
//! HdrHistogram's plotter have it), `.hlog` (an interval log in V2, with tags), and fields of CSV.
//!
//! Times in both are milliseconds, as those programs expect; the histograms within `.hlog` are nanoseconds.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::Histogram;

const NS_PER_MS: f64 = 1e6;

/// Rows for each halving of the distance to 100 %.
const TICKS_PER_HALF: u32 = 5;

/// The percentile spectrum.
#[must_use]
pub fn hgrm(histogram: &Histogram) -> String {
    let counts = histogram.counts();
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut total = 0;
    for step in counts.iter_quantiles(TICKS_PER_HALF) {
        total += step.count_since_last_iteration();
        let value_ms = step.value_iterated_to() as f64 / NS_PER_MS;
        let quantile = step.quantile_iterated_to();
        let inverse = match quantile < 1.0 {
            true => format!("{:.2}", 1.0 / (1.0 - quantile)),
            false => "inf".to_owned(),
        };
        text += &format!("{value_ms:12.6} {quantile:14.12} {total:10} {inverse:>14}\n");
    }
    let (mean, deviation, max) = match counts.is_empty() {
        true => (0.0, 0.0, 0.0),
        false => (
            histogram.mean().unwrap_or(0.0),
            counts.stdev(),
            counts.max() as f64,
        ),
    };
    // Of a histogram with three digits that begins at one.
    let sub_buckets = 2048_u64;
    let buckets = 1
        + (counts.max() / sub_buckets)
            .checked_ilog2()
            .map_or(0, |log| log + 1);
    text += &format!(
        "#[Mean    = {:12.6}, StdDeviation   = {:12.6}]\n\
         #[Max     = {:12.6}, Total count    = {:12}]\n\
         #[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]\n",
        mean / NS_PER_MS,
        deviation / NS_PER_MS,
        max / NS_PER_MS,
        histogram.count(),
    );
    text
}

/// What was measured in an interval.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Whose; `None` for all.
    pub tag: Option<String>,
    /// From the start of the log.
    pub start: Duration,
    /// Its length.
    pub length: Duration,
    /// Its values, in nanoseconds.
    pub histogram: Histogram,
}

/// Writes an interval log, from its head to the last interval.
///
/// # Errors
///
/// What `out` says.
pub fn hlog(
    out: &mut impl Write,
    start: SystemTime,
    intervals: impl IntoIterator<Item = Interval>,
) -> io::Result<()> {
    let since_epoch = start.duration_since(SystemTime::UNIX_EPOCH);
    let start_s = since_epoch.unwrap_or(Duration::ZERO).as_secs_f64();
    write!(
        out,
        "#[Histogram log format version 1.3]\n\
         #[StartTime: {start_s:.3} (seconds since epoch)]\n\
         #[BaseTime: {start_s:.3} (seconds since epoch)]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
    )?;
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .with_max_value_divisor(NS_PER_MS)
        .begin_log_with(out, &mut serializer)?;
    for interval in intervals {
        // A tag has no blanks, commas or line ends.
        let tag = interval
            .tag
            .map(|tag| tag.replace([' ', ',', '\r', '\n'], "_"));
        let tag = tag.as_deref().and_then(Tag::new);
        let counts = interval.histogram.counts();
        log.write_histogram(counts, interval.start, interval.length, tag)
            .map_err(io::Error::other)?;
    }
    Ok(())
}

/// A field of CSV (RFC 4180): quoted where it must be.
#[must_use]
pub fn csv_field(text: &str) -> String {
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    fn sample() -> Histogram {
        let mut histogram = Histogram::new();
        (1..=1_000).for_each(|ms| histogram.record(ms * 1_000_000));
        histogram
    }

    #[test]
    fn a_spectrum_has_its_columns_and_footer() {
        let text = hgrm(&sample());
        let rows: Vec<Vec<&str>> = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            rows[0],
            ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
        );
        let median = rows.iter().find(|row| row[1] == "0.500000000000").unwrap();
        let median_ms: f64 = median[0].parse().unwrap();
        assert!((median_ms - 500.0).abs() < 1.0, "{median:?}");
        assert_eq!((median[2], median[3]), ("500", "2.00"));
        let last = rows.last().unwrap();
        assert_eq!(&last[1..], ["1.000000000000", "1000", "inf"]);
        for part in [
            "Mean    =   500.500000",
            "Total count    =         1000",
            "SubBuckets     =         2048",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(hgrm(&Histogram::new()).contains("Total count    =            0"));
    }

    #[test]
    fn an_interval_log_is_read_back() {
        let interval = |tag: Option<&str>, second| Interval {
            tag: tag.map(str::to_owned),
            start: Duration::from_secs(second),
            length: Duration::from_secs(1),
            histogram: sample(),
        };
        let intervals = [interval(None, 0), interval(Some("a b,c"), 1)];
        let mut log = Vec::new();
        let start = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        hlog(&mut log, start, intervals).unwrap();
        let text = String::from_utf8(log.clone()).unwrap();
        assert!(text.contains("#[StartTime: 1.500 (seconds since epoch)]"));
        assert!(text.contains(",HISTFAAAA"), "{text}");

        // The reader of this library does not know the legend, which others write.
        let log = text.lines().filter(|line| !line.starts_with('"'));
        let log = log.collect::<Vec<_>>().join("\n") + "\n";
        let read = IntervalLogIterator::new(log.as_bytes()).filter_map(|entry| match entry {
            Ok(LogEntry::Interval(interval)) => Some(interval),
            Ok(_) => None,
            Err(error) => panic!("{error:?}"),
        });
        let read: Vec<_> = read.collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].tag(), None);
        assert_eq!(
            read[1].tag().map(|tag| tag.as_str().to_owned()),
            Some("a_b_c".to_owned())
        );
        assert_eq!(read[1].start_timestamp(), Duration::from_secs(1));
        assert!((read[1].max() - 1_000.0).abs() < 1.0);
        let encoded = read[0].encoded_histogram();
        let bytes = base64_decode(encoded);
        let histogram: hdrhistogram::Histogram<u64> =
            Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        assert_eq!(&histogram, sample().counts());
    }

    /// So that no dependency is needed for one test.
    fn base64_decode(text: &str) -> Vec<u8> {
        let digit = |byte: u8| match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        let digits: Vec<u8> = text
            .bytes()
            .filter(|byte| *byte != b'=')
            .map(digit)
            .collect();
        let bits = digits.chunks(4).flat_map(|four| {
            let word = four
                .iter()
                .fold(0, |word, digit| word << 6 | u32::from(*digit));
            let word = word << (6 * (4 - four.len())) << 8;
            word.to_be_bytes().into_iter().take(four.len() * 6 / 8)
        });
        bits.collect()
    }

    #[test]
    fn csv_fields() {
        for (text, field) in [("a", "a"), ("a,b", "\"a,b\""), ("a\"b", "\"a\"\"b\"")] {
            assert_eq!(csv_field(text), field);
        }
    }
}
