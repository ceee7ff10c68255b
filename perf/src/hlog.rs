//! Reads logs of histograms as HdrHistogram writes them (`.hlog`): what other tools and other runs have measured.
//!
//! Intervals and tags are not told apart: all of a log is one distribution. Values stay in the unit of the log, which
//! the format does not say.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

/// Why a log could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HlogError {
    /// A line is neither a comment nor an interval.
    Line,
    /// The histogram of an interval (the first is 1) cannot be decoded.
    Interval(usize),
}

impl fmt::Display for HlogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line => write!(f, "a line is neither a comment nor an interval of a log"),
            Self::Interval(which) => write!(f, "interval {which} holds no histogram in V2 form"),
        }
    }
}

impl std::error::Error for HlogError {}

/// All values of all intervals, each with how often it was seen: the highest that is equivalent to it in the
/// histogram's resolution.
///
/// # Errors
///
/// [`HlogError`].
pub fn counts(log: &[u8]) -> Result<Vec<(u64, u64)>, HlogError> {
    let mut decoder = Deserializer::new();
    let mut counts = Vec::new();
    let mut intervals = 0;
    for entry in legendless(log).flat_map(IntervalLogIterator::new) {
        let LogEntry::Interval(interval) = entry.map_err(|_| HlogError::Line)? else {
            continue;
        };
        intervals += 1;
        let broken = HlogError::Interval(intervals);
        let bytes = STANDARD.decode(interval.encoded_histogram());
        let bytes = bytes.map_err(|_| broken.clone())?;
        let histogram: hdrhistogram::Histogram<u64> = decoder
            .deserialize(&mut &bytes[..])
            .map_err(|_| broken.clone())?;
        let recorded = histogram.iter_recorded();
        counts.extend(recorded.map(|step| (step.value_iterated_to(), step.count_at_value())));
    }
    Ok(counts)
}

/// The lines of a log without the legend that names its columns, which the decoder does not know.
fn legendless(log: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = log.split_inclusive(|&byte| byte == b'\n');
    lines.filter(|line| !line.starts_with(b"\"") && !line.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::V2DeflateSerializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
    use std::time::Duration;

    fn log(parts: &[&[u64]]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let mut writer = IntervalLogWriterBuilder::new()
            .add_comment("a comment")
            .begin_log_with(&mut text, &mut serializer)
            .expect("a vector takes all");
        for values in parts {
            let mut histogram = hdrhistogram::Histogram::<u64>::new(3).expect("three digits");
            values
                .iter()
                .for_each(|&value| histogram.record(value).expect("it grows"));
            let second = Duration::from_secs(1);
            let written = writer.write_histogram(&histogram, second, second, Tag::new("get"));
            written.expect("a vector takes all");
        }
        text
    }

    #[test]
    fn what_was_written_is_read() {
        let mut text = log(&[&[5, 5, 900], &[], &[5]]);
        assert_eq!(counts(&text), Ok(vec![(5, 2), (900, 1), (5, 1)]));
        let legend = b"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n";
        text.splice(0..0, *legend);
        assert_eq!(counts(&text), Ok(vec![(5, 2), (900, 1), (5, 1)]));
    }

    #[test]
    fn damage_is_an_error() {
        let mut text = log(&[&[5], &[6]]);
        let at = text.len() - 20;
        text[at] = b'?';
        assert_eq!(counts(&text), Err(HlogError::Interval(2)));
        assert_eq!(counts(b"# x\n1,2\n"), Err(HlogError::Line));
        assert_eq!(
            counts(b"0.100,1.000,2.0,AAAA\n"),
            Err(HlogError::Interval(1))
        );
        assert_eq!(counts(b""), Ok(Vec::new()));
    }
}
