//! Axes: where a value is on one, how far it goes, and where its ticks are.
//!
//! A scale maps values to an even measure (the value, its logarithm, or nines), on which an axis is a range. plotters asks
//! [`Ruler`] for pixels, ticks and labels, as it asks axes of its own; those know no nines, and label what nobody reads.

use std::f64::consts::LOG10_2;
use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::canvas::text_width;
use super::limits::{MAGNITUDE_MAX, POSITIVE_MIN, TICKS_MAX};
use super::unit::Unit;

/// An axis, as the caller wants it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// What it shows, without the unit where that stands at the ticks, and with it (`requests/s`) where it does not.
    pub label: String,
    /// What its values are.
    pub unit: Unit,
    /// How they are spread.
    pub scale: Scale,
    /// Where it begins; `None` is where the data does, or 0 on a linear axis without negative values.
    pub min: Option<f64>,
    /// Where it ends; `None` is where the data does. A line that goes beyond ends there, with an arrow.
    pub max: Option<f64>,
}

impl Axis {
    /// A linear axis that takes its ends from the data.
    #[must_use]
    pub fn linear(label: &str, unit: Unit) -> Self {
        let label = label.to_owned();
        Self {
            label,
            unit,
            ..Self::default()
        }
    }

    /// A logarithmic axis that takes its ends from the data.
    #[must_use]
    pub fn log(label: &str, unit: Unit) -> Self {
        Self {
            scale: Scale::Log,
            ..Self::linear(label, unit)
        }
    }

    /// An axis of percentiles, from 0 on, in nines.
    #[must_use]
    pub fn nines(label: &str) -> Self {
        Self {
            scale: Scale::Nines,
            ..Self::linear(label, Unit::Percent)
        }
    }

    /// The same axis from a value on.
    #[must_use]
    pub fn from(self, min: f64) -> Self {
        let min = Some(min);
        Self { min, ..self }
    }

    /// The same axis up to a value.
    #[must_use]
    pub fn to(self, max: f64) -> Self {
        let max = Some(max);
        Self { max, ..self }
    }
}

/// How the values of an axis are spread over it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// By their logarithms. Zero and negative values are left out.
    Log,
    /// Parts of 1 by how many nines they have: 0.9, 0.99 and 0.999 are equally far apart. What is not in [0, 1) is left
    /// out; the largest value of a sample has no place here.
    Nines,
}

impl Scale {
    /// Where a value is on the scale's even measure; `None` if it has no place there.
    pub(super) fn even(self, value: f64) -> Option<f64> {
        let even = match self {
            Self::Linear => value,
            Self::Log if value >= POSITIVE_MIN => value.log10(),
            Self::Nines if (0.0..1.0).contains(&value) => -(1.0 - value).log10(),
            Self::Log | Self::Nines => return None,
        };
        (value.abs() <= MAGNITUDE_MAX).then_some(even)
    }

    fn value(self, even: f64) -> f64 {
        match self {
            Self::Linear => even,
            Self::Log => 10_f64.powf(even),
            Self::Nines => 1.0 - 10_f64.powf(-even),
        }
    }
}

/// What the ends of an axis do that come from data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// They are the data's, unless a tick is close by.
    Tight,
    /// They are the next ticks.
    Round,
}

/// An axis with its ends and ticks. Positions are from 0, where it begins, to 1, where it ends.
#[derive(Clone, Debug)]
pub(super) struct Ruler {
    scale: Scale,
    low: f64,
    high: f64,
    /// What has a label.
    ticks: Vec<Tick>,
    /// What has none.
    minors: Vec<f64>,
}

#[derive(Clone, Debug)]
struct Tick {
    value: f64,
    label: String,
}

impl Ruler {
    /// An axis for these values, with as many labels as there is room for. Bounds that are not on the scale, or not in
    /// order, are ignored.
    pub fn new(axis: &Axis, ends: Ends, values: &[f64], room: Room) -> Self {
        let span = Span::new(axis, ends, values);
        let mut rulers = candidates(&span).map(|steps| span.ruler(axis.unit, steps, room));
        let coarsest = rulers.next().expect("there is a candidate");
        // From the coarsest on, until one is too fine.
        rulers
            .take_while(|ruler| ruler.fits(room))
            .last()
            .unwrap_or(coarsest)
    }

    /// Where a value is, below 0 or above 1 if beyond an end; `None` if it has no place on this scale.
    pub fn position(&self, value: f64) -> Option<f64> {
        let even = self.scale.even(value)?;
        Some((even - self.low) / (self.high - self.low))
    }

    /// The value that is at a position.
    pub fn value(&self, position: f64) -> f64 {
        self.scale
            .value(self.low + position * (self.high - self.low))
    }

    /// The labels of its ticks.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.ticks.iter().map(|tick| tick.label.as_str())
    }
}

/// The room for an axis, in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) enum Room {
    /// From left to right: labels stand beside each other.
    Across(f64),
    /// From below: labels stand above each other.
    Up(f64),
}

impl Room {
    fn length(self) -> f64 {
        match self {
            Self::Across(length) | Self::Up(length) => length,
        }
    }

    /// What lies between the middles of two neighbouring labels at least.
    fn apart(self, one: &str, other: &str) -> f64 {
        match self {
            Self::Across(_) => (text_width(one) + text_width(other)) / 2.0 + LABEL_GAP,
            Self::Up(_) => LABEL_HEIGHT,
        }
    }
}

/// The least gap between labels beside each other, in pixels.
pub(super) const LABEL_GAP: f64 = 10.0;

/// More steps on a linear axis are not read.
const STEPS_MAX: f64 = 11.0;

/// The least distance of labels above each other, in pixels.
const LABEL_HEIGHT: f64 = 36.0;

/// How near the end of the data the next tick is, as a part of the axis, for the axis to go there.
const NEAR: f64 = 0.07;

/// What is less than this part of a value is its rounding.
const RESOLUTION: f64 = 1e-9;

/// What an axis is to show, on the even measure.
struct Span {
    scale: Scale,
    ends: Ends,
    low: f64,
    high: f64,
    low_is_fixed: bool,
    high_is_fixed: bool,
}

impl Span {
    fn new(axis: &Axis, ends: Ends, values: &[f64]) -> Self {
        let scale = axis.scale;
        let even = values.iter().filter_map(|value| scale.even(*value));
        let (least, most) = even.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), even| {
            (least.min(even), most.max(even))
        });
        let bound = |bound: Option<f64>| bound.and_then(|value| scale.even(value));
        let (low, high) = match (bound(axis.min), bound(axis.max)) {
            (Some(low), Some(high)) if low >= high => (None, None),
            bounds => bounds,
        };
        let start = if scale == Scale::Log {
            least
        } else {
            least.min(0.0)
        };
        let (from, to) = (low.unwrap_or(start), high.unwrap_or(most));
        let (from, to) = widened(scale, from, to, low.is_some(), high.is_some());
        Self {
            scale,
            ends,
            low: from,
            high: to,
            low_is_fixed: low.is_some(),
            high_is_fixed: high.is_some(),
        }
    }

    fn ruler(&self, unit: Unit, steps: Steps, room: Room) -> Ruler {
        let (mut low, mut high) = (self.low, self.high);
        if !self.low_is_fixed && (self.ends == Ends::Round || self.scale == Scale::Log) {
            low = steps.below(low);
        }
        if !self.high_is_fixed {
            let round = steps.above(high);
            let is_near = round - high <= NEAR * (high - low);
            if is_near || self.ends == Ends::Round {
                high = round;
            }
        }
        let mut ruler = Ruler {
            scale: self.scale,
            low,
            high,
            ticks: Vec::new(),
            minors: Vec::new(),
        };
        ruler.mark(unit, steps, room);
        ruler
    }
}

/// The ends of an axis, also where there is no data, or only one value, or none between the bounds.
fn widened(
    scale: Scale,
    low: f64,
    high: f64,
    low_is_fixed: bool,
    high_is_fixed: bool,
) -> (f64, f64) {
    let length_min = match scale {
        Scale::Linear => POSITIVE_MIN,
        // Of a power of ten, or a nine.
        Scale::Log | Scale::Nines => RESOLUTION,
    };
    let has_data = low.is_finite() && high.is_finite();
    let magnitude = low.abs().max(high.abs());
    if has_data && high - low > length_min.max(RESOLUTION * magnitude) {
        return (low, high);
    }
    if has_data && scale == Scale::Log && !low_is_fixed && !high_is_fixed {
        return (low - 0.5, low + 0.5);
    }
    let start = if low.is_finite() { low } else { 0.0 };
    let anchor = if high_is_fixed { high } else { start };
    let length = match scale {
        Scale::Linear => anchor.abs().max(1.0),
        Scale::Log | Scale::Nines => 2.0,
    };
    match high_is_fixed {
        true => (high - length, high),
        false => (start, start + length),
    }
}

/// How far the labelled ticks of an axis are from each other.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Steps {
    /// So much, on a linear axis.
    Even(f64),
    /// At 1, 2 and 5 of each power of ten.
    OneTwoFive,
    /// So many powers of ten, or nines.
    Decades(f64),
    /// At each nine and at the median, which is between 0 % and 90 %.
    Nines,
}

/// Steps from coarse to fine.
fn candidates(span: &Span) -> impl Iterator<Item = Steps> + use<> {
    let length = span.high - span.low;
    let coarsest = length.log10().ceil() as i32;
    let powers = (0..4).map(move |less| 10_f64.powi(coarsest - less));
    let parts = powers.flat_map(|power| [power, 0.5 * power, 0.2 * power]);
    let finest = length / STEPS_MAX;
    let decades = [100.0, 50.0, 20.0, 10.0, 5.0, 4.0, 3.0, 2.0, 1.0];
    let decades = decades
        .into_iter()
        .filter(move |step| *step <= length.max(1.0));
    let steps: Vec<Steps> = match span.scale {
        Scale::Linear => parts
            .filter(|step| *step > finest)
            .map(Steps::Even)
            .collect(),
        Scale::Log => decades
            .map(Steps::Decades)
            .chain([Steps::OneTwoFive])
            .collect(),
        Scale::Nines => decades.map(Steps::Decades).chain([Steps::Nines]).collect(),
    };
    steps.into_iter()
}

impl Steps {
    fn below(self, even: f64) -> f64 {
        match self {
            Self::Even(step) => (even / step + RESOLUTION).floor() * step,
            _ => {
                let whole = (even + RESOLUTION).floor();
                let parts = ONE_TWO_FIVE.map(|part| whole + part).into_iter();
                parts
                    .rev()
                    .find(|at| *at <= even + RESOLUTION)
                    .unwrap_or(whole)
            }
        }
    }

    fn above(self, even: f64) -> f64 {
        match self {
            Self::Even(step) => (even / step - RESOLUTION).ceil() * step,
            _ => {
                let whole = (even - RESOLUTION).floor();
                let mut parts = ONE_TWO_FIVE.map(|part| whole + part).into_iter();
                parts
                    .find(|at| *at >= even - RESOLUTION)
                    .unwrap_or(whole + 1.0)
            }
        }
    }
}

/// The logarithms of 1, 2 and 5.
const ONE_TWO_FIVE: [f64; 3] = [0.0, LOG10_2, 1.0 - LOG10_2];

impl Ruler {
    /// Whether no label is too near to the next.
    fn fits(&self, room: Room) -> bool {
        let position = |tick: &Tick| self.position(tick.value).unwrap_or(0.0);
        self.ticks.windows(2).all(|pair| {
            let distance = (position(&pair[1]) - position(&pair[0])) * room.length();
            distance >= room.apart(&pair[0].label, &pair[1].label)
        })
    }

    /// Sets the ticks.
    fn mark(&mut self, unit: Unit, steps: Steps, room: Room) {
        let (mut labelled, mut minors) = (Vec::new(), Vec::new());
        match steps {
            Steps::Even(step) => {
                let first = (self.low / step - RESOLUTION).ceil();
                let count = ((self.high / step + RESOLUTION).floor() - first + 1.0).max(0.0);
                let count = (count as usize).min(TICKS_MAX);
                // The sum with 0 makes −0 to 0.
                labelled.extend((0..count).map(|at| (first + at as f64) * step + 0.0));
            }
            Steps::OneTwoFive => {
                let decades = self.decades(1.0);
                labelled.extend(decades.flat_map(|decade| ONE_TWO_FIVE.map(|part| decade + part)));
                minors.extend(self.within_decades());
            }
            Steps::Nines => {
                labelled.extend(self.decades(1.0));
                labelled.push(LOG10_2);
            }
            Steps::Decades(step) => {
                labelled.extend(self.decades(step));
                match step > 1.0 || self.scale == Scale::Nines {
                    true => minors.extend(self.decades(1.0)),
                    false => minors.extend(self.within_decades()),
                }
            }
        }
        labelled.retain(|even| self.contains(*even));
        labelled.sort_by(f64::total_cmp);
        let largest = labelled
            .iter()
            .fold(0.0_f64, |most, even| most.max(even.abs()));
        let tick = |even: f64| Tick {
            value: self.scale.value(even),
            label: match steps {
                Steps::Even(step) => unit.tick(even, step, largest),
                _ => unit.text(exact(self.scale, even)),
            },
        };
        let mut ticks: Vec<Tick> = labelled.iter().copied().map(tick).collect();
        if self.scale == Scale::Log {
            self.label_ends(&mut ticks, [tick(self.low), tick(self.high)], room);
        }
        minors.retain(|even| self.contains(*even) && !labelled.contains(even));
        self.minors = minors
            .into_iter()
            .map(|even| self.scale.value(even))
            .collect();
        self.ticks = ticks;
    }

    /// Adds ticks at the ends, which need not be powers of ten, where there is room for their labels.
    fn label_ends(&self, ticks: &mut Vec<Tick>, [low, high]: [Tick; 2], room: Room) {
        let distance = |one: &Tick, other: &Tick| {
            let (one, other) = (self.position(one.value), self.position(other.value));
            (one.unwrap_or(0.0) - other.unwrap_or(0.0)).abs() * room.length()
        };
        let is_free = |tick: &Tick, next: Option<&Tick>| {
            next.is_none_or(|next| distance(tick, next) >= room.apart(&tick.label, &next.label))
        };
        if is_free(&low, ticks.first()) {
            ticks.insert(0, low);
        }
        if is_free(&high, ticks.last()) {
            ticks.push(high);
        }
    }

    fn contains(&self, even: f64) -> bool {
        let slack = RESOLUTION * self.low.abs().max(self.high.abs()).max(1e-6);
        self.low - slack <= even && even <= self.high + slack
    }

    fn decades(&self, step: f64) -> impl Iterator<Item = f64> + use<> {
        let first = (self.low / step).floor() * step;
        let count = ((self.high - first) / step + RESOLUTION).floor() + 1.0;
        (0..(count as usize).min(TICKS_MAX)).map(move |at| first + at as f64 * step)
    }

    /// 2 to 9 times each power of ten, where there are few of those.
    fn within_decades(&self) -> impl Iterator<Item = f64> + use<> {
        let decades = self.decades(1.0).take(TICKS_MAX / 8);
        decades.flat_map(|decade| (2..10_u8).map(move |part| decade + f64::from(part).log10()))
    }
}

/// A tick's value without what the logarithm's rounding left.
fn exact(scale: Scale, even: f64) -> f64 {
    let value = scale.value(even);
    match scale {
        Scale::Linear => value,
        Scale::Log => format!("{value:.5e}").parse().unwrap_or(value),
        Scale::Nines => (1.0 - value).mul_add(-1.0, 1.0),
    }
}

impl Ranged for Ruler {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    /// What has no place is at the beginning; nobody asks for it.
    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let position = self.position(*value).unwrap_or(0.0).clamp(-1.0, 2.0);
        let (from, to) = (f64::from(limit.0), f64::from(limit.1));
        (from + position * (to - from)).round() as i32
    }

    /// The ticks, whatever number is asked for: they were chosen for the room that there is.
    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => self.minors.clone(),
            false => self.ticks.iter().map(|tick| tick.value).collect(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.value(0.0)..self.value(1.0)
    }
}

impl ValueFormatter<f64> for Ruler {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|tick| tick.value == *value);
        tick.map_or_else(String::new, |tick| tick.label.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACROSS: Room = Room::Across(700.0);
    const UP: Room = Room::Up(340.0);
    const LOW: Room = Room::Up(100.0);

    /// Values, and the labels of their axis, apart by two blanks, with its ends.
    type Row<'a> = (&'a [f64], &'a str);

    fn check(axis: Axis, ends: Ends, room: Room, rows: &[Row]) {
        for (values, expected) in rows {
            let ruler = Ruler::new(&axis, ends, values, room);
            let labels: Vec<_> = ruler.labels().collect();
            let [from, to] = [0.0, 1.0].map(|position| axis.unit.text(ruler.value(position)));
            let found = format!("{} [{from} to {to}]", labels.join("  "));
            assert_eq!(found.replace('\u{a0}', " "), *expected, "{axis:?}");
        }
    }

    #[test]
    fn linear_ticks_are_where_people_look_for_them() {
        let percent = Axis::linear("", Unit::Percent);
        let labels = "0 %  10 %  20 %  30 %  40 %  50 %  60 %  70 %  80 %  90 % [0 % to 90 %]";
        check(
            percent.clone(),
            Ends::Tight,
            ACROSS,
            &[(&[0.1, 0.9], labels)],
        );
        let labels = "0 %  20 %  40 %  60 %  80 %  100 % [0 % to 100 %]";
        check(
            percent.clone(),
            Ends::Tight,
            Room::Across(240.0),
            &[(&[0.1, 0.95], labels)],
        );
        check(
            percent,
            Ends::Tight,
            Room::Across(40.0),
            &[(&[0.9], "0 % [0 % to 90 %]")],
        );
        let time = Axis::linear("", Unit::Nanoseconds);
        let labels = "0  5 s  10 s  15 s  20 s  25 s  30 s [0 ns to 31 s]";
        check(time.clone(), Ends::Tight, ACROSS, &[(&[0.0, 31e9], labels)]);
        let labels = "0  0.5 ms  1 ms  1.5 ms  2 ms [0 ns to 2 ms]";
        check(
            time,
            Ends::Round,
            Room::Up(210.0),
            &[(&[0.0, 1.7e6], labels)],
        );
        let number = Axis::linear("", Unit::One);
        let labels = "−3  −2  −1  0  1  2  3 [−3 to 3]";
        check(number.clone(), Ends::Round, UP, &[(&[-3.0, 3.0], labels)]);
        let labels = "10  12  14  16  18  20 [10 to 20]";
        let bounded = number.clone().from(10.0).to(20.0);
        check(bounded, Ends::Round, UP, &[(&[1.0, 100.0], labels)]);
        let rows: [Row; 4] = [
            (&[0.0, 1.0], "0  0.5  1 [0 to 1]"),
            (&[0.0], "0  0.5  1 [0 to 1]"),
            (&[], "0  0.5  1 [0 to 1]"),
            (
                &[1e99, 1e101, f64::INFINITY],
                "0  5e86 T  1e87 T [0 to 1e87 T]",
            ),
        ];
        check(number.clone(), Ends::Round, LOW, &rows);
        // Bounds that are none: one is not finite, two are in the wrong order.
        check(number.clone().to(f64::NAN), Ends::Round, LOW, &rows);
        check(number.from(2.0).to(1.0), Ends::Round, LOW, &rows);
    }

    #[test]
    fn logarithmic_ticks_are_where_people_look_for_them() {
        let number = Axis::log("", Unit::One);
        let rows: [Row; 3] = [
            (
                &[1e-20, 1e20],
                "1e−20  1  100,000,000 T [1e−20 to 100,000,000 T]",
            ),
            (&[0.0, -1.0], "1  10  100 [1 to 100]"),
            (&[42.0], "10  100 [10 to 200]"),
        ];
        check(number.clone(), Ends::Round, LOW, &rows);
        let labels = "1  10  100  1,000 [1 to 1,000]";
        let bounded = number.clone().from(1.0).to(1000.0);
        check(bounded, Ends::Round, UP, &[(&[0.0, 3.0, 1e9], labels)]);
        let labels = "1  10  100  500 [1 to 500]";
        check(
            number.to(500.0),
            Ends::Round,
            Room::Up(210.0),
            &[(&[1.3], labels)],
        );
        let time = Axis::log("", Unit::Nanoseconds);
        let labels = "20 µs  50 µs  100 µs  200 µs  500 µs [20 µs to 500 µs]";
        check(time.clone(), Ends::Round, UP, &[(&[27e3, 390e3], labels)]);
        let labels = "20 µs  100 µs  1 ms  5 ms [20 µs to 5 ms]";
        check(
            time,
            Ends::Tight,
            Room::Across(350.0),
            &[(&[20e3, 5e6], labels)],
        );
    }

    #[test]
    fn percentiles_are_where_people_look_for_them() {
        let nines = Axis::nines("");
        let labels = "0 %  50 %  90 %  99 %  99.9 %  99.99 % [0 % to 99.99 %]";
        check(
            nines.clone(),
            Ends::Tight,
            ACROSS,
            &[(&[0.2, 0.9999], labels)],
        );
        let labels = "99 %  99.99 %  99.9999 % [90 % to 99.9999 %]";
        let room = Room::Across(220.0);
        check(
            nines.from(0.9),
            Ends::Tight,
            room,
            &[(&[0.5, 0.999_999, 1.0], labels)],
        );
    }

    #[test]
    fn labels_never_meet() {
        let mut state = 7_u64;
        let mut random = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as f64 / f64::from(1_u32 << 31)
        };
        for round in 0..3_000 {
            let unit = [Unit::One, Unit::Percent, Unit::Nanoseconds][round % 3];
            let axis = [Axis::linear("", unit), Axis::log("", unit), Axis::nines("")]
                [round / 3 % 3]
                .clone();
            let values = [0; 3].map(|_| 10_f64.powf(60.0 * random() - 30.0) * (random() - 0.2));
            let length = 30.0 + 700.0 * random();
            let room = [Room::Across(length), Room::Up(length)][round / 9 % 2];
            let ends = [Ends::Round, Ends::Tight][round / 18 % 2];
            let ruler = Ruler::new(&axis, ends, &values, room);
            assert!(
                ruler.fits(room) || ruler.ticks.len() <= 3,
                "{values:?}: {ruler:?}"
            );
            assert!(ruler.low < ruler.high, "{values:?}: {ruler:?}");
            for value in values
                .iter()
                .filter(|value| axis.scale.even(**value).is_some())
            {
                let position = ruler.position(*value).unwrap();
                assert!(
                    (-1e-6..=1.0 + 1e-6).contains(&position),
                    "{value}: {ruler:?}"
                );
            }
        }
    }

    #[test]
    fn positions_and_values_are_each_others_inverse() {
        let axes = [
            Axis::linear("", Unit::One),
            Axis::log("", Unit::One),
            Axis::nines(""),
        ];
        for axis in axes {
            let ruler = Ruler::new(&axis, Ends::Round, &[0.5, 0.99], Room::Up(100.0));
            for value in [0.5, 0.7, 0.9, 0.99] {
                let back = ruler.value(ruler.position(value).unwrap());
                assert!(
                    (back / value - 1.0).abs() < 1e-12,
                    "{axis:?} {value} {back}"
                );
            }
            for value in [f64::NAN, f64::INFINITY, 1e101] {
                assert_eq!(ruler.position(value), None, "{axis:?}");
            }
        }
    }

    #[test]
    fn an_axis_has_a_length_whatever_it_is_given() {
        let numbers = [
            0.0,
            -0.0,
            1.0,
            0.5,
            -1.0,
            0.999_999_999,
            5e-324,
            f64::EPSILON,
            1e99,
            1e300,
            f64::MIN,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ];
        let numbers = || numbers.map(Some).into_iter().chain([None]);
        for scale in [Scale::Linear, Scale::Log, Scale::Nines] {
            for (min, max) in numbers().flat_map(|min| numbers().map(move |max| (min, max))) {
                for (one, other) in
                    numbers().flat_map(|one| numbers().map(move |other| (one, other)))
                {
                    let axis = Axis {
                        scale,
                        min,
                        max,
                        ..Axis::default()
                    };
                    let values: Vec<f64> = one.into_iter().chain(other).collect();
                    let ruler = Ruler::new(&axis, Ends::Round, &values, Room::Up(100.0));
                    let length = ruler.high - ruler.low;
                    assert!(
                        length > 0.0 && length.is_finite(),
                        "{axis:?} {values:?}: {ruler:?}"
                    );
                }
            }
        }
    }
}
