//! How the values of settings are written: counts, durations, sizes, lists of cores, log filters.
//!
//! Each form is a type that parses (an error is the remedy: what would be right) and displays
//! as it would be written.

use std::fmt;
use std::time::Duration;

/// Parses an integer within bounds, `_` allowed between digits.
pub(super) fn integer(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let digits = text.replace('_', "");
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| plain);
    number
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| format!("an integer from {min} to {max}"))
}

/// A span of time as people write it: `10s`, `500ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    const UNITS: [(&'static str, u64); 5] = [
        ("us", 1),
        ("ms", 1_000),
        ("s", 1_000_000),
        ("m", 60_000_000),
        ("h", 3_600_000_000),
    ];

    pub(crate) fn parse(text: &str, min: Duration, max: Duration) -> Result<Self, String> {
        let digits = text.len()
            - text
                .trim_start_matches(|char: char| char.is_ascii_digit())
                .len();
        let (number, unit) = text.split_at(digits);
        let unit = Self::UNITS.iter().find(|(name, _)| *name == unit.trim());
        let micros = unit.and_then(|(_, micros)| number.parse::<u64>().ok()?.checked_mul(*micros));
        micros
            .map(Duration::from_micros)
            .filter(|span| (min..=max).contains(span))
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "a time from {} to {}, such as 250us, 500ms, 10s, 2m",
                    Self(min),
                    Self(max)
                )
            })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        if micros == 0 {
            return f.write_str("0s");
        }
        let whole = |(_, unit): &&(&str, u64)| micros.is_multiple_of(u128::from(*unit));
        let (name, unit) = Self::UNITS
            .iter()
            .rev()
            .find(whole)
            .unwrap_or(&Self::UNITS[0]);
        write!(f, "{}{name}", micros / u128::from(*unit))
    }
}

/// A number of bytes: `1048576`, `1MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) u64);

impl Bytes {
    const UNITS: [(&'static str, u64); 4] = [
        ("", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ];

    pub(super) fn parse(text: &str, min: u64, max: u64) -> Result<Self, String> {
        let digits = text.len()
            - text
                .trim_start_matches(|char: char| char.is_ascii_digit())
                .len();
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim();
        let unit = Self::UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit));
        unit.and_then(|(_, bytes)| number.parse::<u64>().ok()?.checked_mul(*bytes))
            .filter(|bytes| (min..=max).contains(bytes))
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "bytes from {} to {}, such as 4096, 64KiB, 1MiB",
                    Self(min),
                    Self(max)
                )
            })
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, unit): &&(&str, u64)| self.0 > 0 && self.0.is_multiple_of(*unit);
        let (name, unit) = Self::UNITS
            .iter()
            .rev()
            .find(whole)
            .unwrap_or(&Self::UNITS[0]);
        write!(f, "{}{name}", self.0 / unit)
    }
}

/// Numbers of cores as Linux lists them: `0,2-3`. In the order given, none twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cores(pub(super) Vec<usize>);

impl Cores {
    /// Parses a list of cores out of `available`.
    pub(super) fn parse(text: &str, available: &[usize]) -> Result<Self, String> {
        let remedy = || {
            let available = Self(available.to_vec());
            format!("a list such as 0,2-3, each core once, out of {available}")
        };
        let cores = Self::list(text).ok_or_else(remedy)?;
        let distinct = (1..cores.len()).all(|at| !cores[..at].contains(&cores[at]));
        let known = cores.iter().all(|core| available.contains(core));
        (distinct && known)
            .then_some(Self(cores))
            .ok_or_else(remedy)
    }

    /// The numbers of a list, whatever they are; `None` if it is none or has more than 4096.
    pub(super) fn list(text: &str) -> Option<Vec<usize>> {
        const CORES_MAX: usize = 4096;
        let mut cores = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (usize, usize) =
                (first.trim().parse().ok()?, last.trim().parse().ok()?);
            if first > last || last - first >= CORES_MAX - cores.len() {
                return None;
            }
            cores.extend(first..=last);
        }
        Some(cores)
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.0.chunk_by(|a, b| a + 1 == *b);
        for (index, run) in runs.enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match run {
                [only] => write!(f, "{comma}{only}")?,
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

/// A filter of log lines: a level, or directives such as `info,luge::server=debug`.
///
/// A lone word must be a level: to the filter a misspelt level is a target, and everything would
/// be silent.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let directive = |part: &str| match part.rsplit_once('=') {
        Some((target, word)) => !target.is_empty() && level(word),
        None => level(part) || part.contains("::") || part.contains('['),
    };
    let right = text.split(',').all(|part| directive(part.trim()));
    right.then(|| text.to_owned()).ok_or_else(|| {
        format!(
            "one of {}, or directives such as info,luge::server=debug",
            LEVELS.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (text, parsed) in [
            ("1", Some(1)),
            ("10", Some(10)),
            ("1_0", Some(10)),
            ("0", None),
            ("11", None),
            ("+1", None),
            ("-1", None),
            ("1.0", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(integer(text, 1, 10).ok(), parsed, "{text}");
        }
        assert_eq!(
            integer("x", 1, 10),
            Err("an integer from 1 to 10".to_owned())
        );
    }

    #[test]
    fn spans() {
        let (min, max) = (Duration::from_micros(1), Duration::from_secs(7200));
        for (text, micros, shown) in [
            ("250us", 250, "250us"),
            ("500ms", 500_000, "500ms"),
            ("1500 ms", 1_500_000, "1500ms"),
            ("10s", 10_000_000, "10s"),
            ("90s", 90_000_000, "90s"),
            ("120s", 120_000_000, "2m"),
            ("1h", 3_600_000_000, "1h"),
        ] {
            let span = Span::parse(text, min, max).expect(text);
            assert_eq!(span.0, Duration::from_micros(micros), "{text}");
            assert_eq!(span.to_string(), shown);
        }
        for text in [
            "",
            "10",
            "s",
            "0s",
            "3h",
            "-1s",
            "1.5s",
            "1d",
            "99999999999999999h",
        ] {
            let remedy = Span::parse(text, min, max).expect_err(text);
            assert!(remedy.starts_with("a time from 1us to 2h"), "{remedy}");
        }
        assert_eq!(Span(Duration::ZERO).to_string(), "0s");
    }

    #[test]
    fn bytes() {
        for (text, parsed, shown) in [
            ("0", 0, "0"),
            ("1000", 1000, "1000"),
            ("4096", 4096, "4KiB"),
            ("64kib", 65536, "64KiB"),
            ("3 MiB", 3 << 20, "3MiB"),
            ("1GiB", 1 << 30, "1GiB"),
        ] {
            let bytes = Bytes::parse(text, 0, 1 << 30).expect(text);
            assert_eq!((bytes.0, &*bytes.to_string()), (parsed, shown));
        }
        for text in [
            "",
            "KiB",
            "1MB",
            "2GiB",
            "-1",
            "1.5MiB",
            "99999999999999GiB",
        ] {
            assert!(Bytes::parse(text, 0, 1 << 30).is_err(), "{text}");
        }
    }

    #[test]
    fn cores() {
        let available = [0, 1, 2, 3, 6];
        for (text, parsed, shown) in [
            ("0", &[0][..], "0"),
            ("0,2-3", &[0, 2, 3], "0,2-3"),
            ("6, 0-1", &[6, 0, 1], "6,0-1"),
            ("3,2", &[3, 2], "3,2"),
        ] {
            let cores = Cores::parse(text, &available).expect(text);
            assert_eq!((&*cores.0, &*cores.to_string()), (parsed, shown));
        }
        for text in [
            "",
            ",",
            "0,",
            "0,0",
            "0-1,1",
            "2-1",
            "4",
            "3-6",
            "x",
            "-1",
            "0-99999999999",
        ] {
            let remedy = Cores::parse(text, &available).expect_err(text);
            assert!(remedy.ends_with("out of 0-3,6"), "{remedy}");
        }
    }

    #[test]
    fn log_filters() {
        for text in [
            "info",
            "OFF",
            "info,luge=debug",
            "luge::server=trace",
            "warn, luge[span]=info",
        ] {
            assert_eq!(log_filter(text).as_deref(), Ok(text));
        }
        for text in ["", "inof", "luge=", "=info", "luge=inof", "info,"] {
            assert!(log_filter(text).is_err(), "{text}");
        }
    }
}
