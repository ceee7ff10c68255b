//! Numbers as people read them: `10 µs` and not `0.00001`, `99.99 %` and not `100 %`.
//!
//! Between a number and its unit is a no-break space. Not here: how many of its digits a measurement supports; three are
//! written, unless a percentage near 100 needs more.

/// What the values of an axis or a column are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// A number: a slowdown, a count, requests per second.
    #[default]
    One,
    /// A part of 1, written as a percentage.
    Percent,
    /// A time in nanoseconds, written in the unit that suits it.
    Nanoseconds,
}

/// A step of a unit: how many of the values it is, and what is written behind.
type Step = (f64, &'static str);

impl Unit {
    /// A value with three significant digits and its unit: `1.25 ms`, `12,300`, `12.3 M`, `99.95 %`. What is not
    /// finite is `n/a`.
    #[must_use]
    pub fn text(self, value: f64) -> String {
        if !value.is_finite() {
            return "n/a".to_owned();
        }
        let (whole, suffix) = self.step(rounded(value));
        let scaled = value / whole;
        let mut decimals = decimals_of(scaled);
        if self == Self::Percent && (50.0..100.0).contains(&scaled) {
            decimals = decimals.max((-(100.0 - scaled).log10()).ceil() as i32);
        }
        joined(&plain(scaled, decimals), suffix)
    }

    /// The label of a tick on an axis whose ticks are so far apart and go so far: all in one unit, with as many decimals
    /// as tell them apart.
    pub(super) fn tick(self, value: f64, apart: f64, largest: f64) -> String {
        if value == 0.0 && self != Self::Percent {
            return "0".to_owned();
        }
        let (whole, suffix) = self.step(largest);
        let decimals = (-(apart / whole).log10() - 1e-9).ceil() as i32;
        joined(&plain(value / whole, decimals), suffix)
    }

    /// What is written in the head of a column whose largest value this is, and how many of the values that is.
    pub(crate) fn column(self, largest: f64) -> (f64, &'static str) {
        self.step(rounded(largest))
    }

    fn step(self, value: f64) -> Step {
        let steps: &[Step] = match self {
            Self::One => &[(1.0, ""), (1e6, "M"), (1e9, "G"), (1e12, "T")],
            Self::Percent => &[(0.01, "%")],
            Self::Nanoseconds => &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")],
        };
        let fitting = steps.iter().rev().find(|(whole, _)| value.abs() >= *whole);
        *fitting.unwrap_or(&steps[0])
    }
}

/// A number of a column, with a digit more than is read in passing.
pub(crate) fn column_text(value: f64) -> String {
    match value.is_finite() {
        true => plain(value, decimals_of(value) + 1),
        false => "n/a".to_owned(),
    }
}

const SIGNIFICANT_DIGITS: i32 = 3;

/// How many decimals there are at most; what would need more is written with a power of ten.
const DECIMALS_MAX: i32 = 6;

fn joined(number: &str, suffix: &str) -> String {
    match suffix {
        "" => number.to_owned(),
        _ => format!("{number}\u{a0}{suffix}"),
    }
}

/// Rounded to the significant digits, so that 999.9 µs are told as 1 ms.
fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

fn decimals_of(value: f64) -> i32 {
    let value = rounded(value).abs();
    match value {
        0.0 => 0,
        _ => SIGNIFICANT_DIGITS - 1 - value.log10().floor() as i32,
    }
}

/// A number with at most so many decimals, without zeros at its end, the thousands apart.
fn plain(value: f64, decimals: i32) -> String {
    let magnitude = value.abs();
    let tiny = magnitude > 0.0 && magnitude < 10_f64.powi(2 - DECIMALS_MAX);
    if tiny || magnitude >= 1e15 {
        let text = format!("{value:.2e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", without_zeros(mantissa)).replace('-', "−");
    }
    let decimals = decimals.clamp(0, DECIMALS_MAX) as usize;
    let text = format!("{magnitude:.decimals$}");
    let (whole, _) = text.split_once('.').unwrap_or((&text, ""));
    let grouped = thousands(whole) + &without_zeros(&text)[whole.len()..];
    match value < 0.0 && grouped != "0" {
        true => format!("−{grouped}"),
        false => grouped,
    }
}

/// A number without the zeros that end its decimals, and without a point before none. Zeros of a whole number stay.
fn without_zeros(number: &str) -> &str {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    }
}

fn thousands(digits: &str) -> String {
    let mut grouped = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        let rows = [
            (Unit::One, 0.0, "0"),
            (Unit::One, -0.0, "0"),
            (Unit::One, 1.0, "1"),
            (Unit::One, 0.1 + 0.2, "0.3"),
            (Unit::One, 1.0 / 3.0, "0.333"),
            (Unit::One, -2.5, "−2.5"),
            (Unit::One, 99.96, "100"),
            (Unit::One, 1234.0, "1,234"),
            (Unit::One, 999_600.0, "1 M"),
            (Unit::One, 12_345_678.0, "12.3 M"),
            (Unit::One, 2e-5, "2e−5"),
            (Unit::One, 1e30, "1e18 T"),
            (Unit::One, f64::NAN, "n/a"),
            (Unit::Percent, 0.0, "0 %"),
            (Unit::Percent, 0.5, "50 %"),
            (Unit::Percent, 0.123_456, "12.3 %"),
            (Unit::Percent, 0.9999, "99.99 %"),
            (Unit::Percent, 0.999_95, "99.995 %"),
            (Unit::Percent, 1.0, "100 %"),
            (Unit::Percent, 1.2, "120 %"),
            (Unit::Nanoseconds, 0.0, "0 ns"),
            (Unit::Nanoseconds, 999.0, "999 ns"),
            (Unit::Nanoseconds, 1500.0, "1.5 µs"),
            (Unit::Nanoseconds, 999_900.0, "1 ms"),
            (Unit::Nanoseconds, 25e6, "25 ms"),
            (Unit::Nanoseconds, 3.6e12, "3,600 s"),
            (Unit::Nanoseconds, f64::INFINITY, "n/a"),
        ];
        for (unit, value, text) in rows {
            assert_eq!(unit.text(value).replace('\u{a0}', " "), text, "{value}");
        }
    }

    #[test]
    fn ticks_of_an_axis_are_told_apart() {
        let rows = [
            (Unit::Nanoseconds, 0.0, 5e5, 2e6, "0"),
            (Unit::Nanoseconds, 5e5, 5e5, 2e6, "0.5 ms"),
            (Unit::One, 0.8, 0.2, 1.0, "0.8"),
            (Unit::One, 100.2, 0.2, 101.0, "100.2"),
            (Unit::One, 10_000.0, 10_000.0, 50_000.0, "10,000"),
            (Unit::Percent, 0.0, 0.2, 1.0, "0 %"),
            (Unit::Percent, 0.999, 0.001, 1.0, "99.9 %"),
        ];
        for (unit, value, apart, largest, text) in rows {
            assert_eq!(
                unit.tick(value, apart, largest).replace('\u{a0}', " "),
                text
            );
        }
    }
}
