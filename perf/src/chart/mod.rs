//! Charts: data in, one SVG of text out.
//!
//! | file | subject |
//! | --- | --- |
//! | `axis` | where values are, and ticks that people read |
//! | `unit` | numbers that people read |
//! | `colours` | what tells series apart, on light and on dark ground |
//! | `lines` | lines over numbers, percentiles or time, one panel or several |
//! | `series` | … what is drawn of each |
//! | `trace` | … what of it is within its panel, and where it leaves |
//! | `bars` | what wholes consist of |
//! | `legend` | what strokes, marks and colours mean |
//! | `words` | what is not drawn but told |
//! | `canvas` | what plotters draws on |
//! | `limits` | how much is drawn |
//!
//! The same chart gives the same bytes. A number that cannot be drawn (not finite, or not on its axis' scale) is left out,
//! and a line is broken there; never is anything a panic. A series without points is named with the word "no data". A chart
//! is 800 wide, scales with its page, and has a title and a description for those who cannot see it.
//!
//! Not here: files, clocks, statistics. Intervals, percentiles and theory are the caller's numbers.

mod axis;
mod bars;
mod canvas;
mod colours;
mod legend;
mod limits;
mod lines;
mod series;
mod trace;
mod unit;
mod words;

pub use axis::{Axis, Scale};
pub use colours::Looks;
pub(crate) use colours::css;
pub use unit::Unit;
pub(crate) use unit::column_text;

/// A chart.
#[derive(Clone, Debug, PartialEq)]
pub enum Chart {
    /// Lines in panels that share their axes.
    Lines(Lines),
    /// Bars of parts.
    Bars(Bars),
}

impl Chart {
    /// The chart as an `<svg>` element. It is in the colours for light ground, unless it stands in a page, whose style
    /// sheet knows the others.
    #[must_use]
    pub fn svg(&self, looks: &Looks) -> String {
        match self {
            Self::Lines(chart) => lines::svg(chart, looks),
            Self::Bars(chart) => bars::svg(chart),
        }
    }

    /// The names that have looks, in the order of their appearance, some more than once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let panels = match self {
            Self::Lines(chart) => chart.panels.as_slice(),
            Self::Bars(_) => &[],
        };
        let series = panels.iter().flat_map(|panel| &panel.series);
        series.map(|series| series.name.as_str())
    }
}

/// Lines in one panel, or in small multiples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lines {
    /// What the chart is called where it is not seen.
    pub title: String,
    /// The horizontal axis, of all panels.
    pub x: Axis,
    /// The vertical axis, of all panels.
    pub y: Axis,
    /// One panel, or several, which stand in rows of up to three.
    pub panels: Vec<Panel>,
    /// Horizontal lines through all panels.
    pub references: Vec<Reference>,
    /// How intervals are drawn.
    pub intervals: Intervals,
}

/// One field of lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    /// What stands above it; nothing if it is empty.
    pub name: String,
    /// The lines, later ones on top.
    pub series: Vec<Series>,
    /// What went on from where to where on the horizontal axis.
    pub phases: Vec<Phase>,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Of whom it tells: a policy, a tenant. One name has one colour and mark on a whole page.
    pub name: String,
    /// Where its numbers come from.
    pub origin: Origin,
    /// Its points, in the order in which they are joined.
    pub points: Vec<Point>,
}

/// Where numbers come from, which is what their stroke tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Measured on a server: solid, with filled marks.
    #[default]
    Live,
    /// Simulated: dashed, with hollow marks.
    Simulated,
    /// From a formula: dotted, without marks.
    Theory,
}

impl Origin {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Simulated => "simulated",
            Self::Theory => "theory",
        }
    }
}

/// One point of a line, in the units of its axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Along the horizontal axis.
    pub x: f64,
    /// Along the vertical axis. `f64::INFINITY` is beyond any end of the axis: it is told by an arrow there.
    pub y: f64,
    /// The lower and the upper end of its confidence interval; on a logarithmic axis a lower end may be 0.
    pub interval: Option<(f64, f64)>,
}

impl Point {
    /// A point without an interval.
    #[must_use]
    pub fn new(x: f64, y: f64) -> Self {
        let interval = None;
        Self { x, y, interval }
    }

    /// The same point with its confidence interval.
    #[must_use]
    pub fn within(self, low: f64, high: f64) -> Self {
        let interval = Some((low, high));
        Self { interval, ..self }
    }
}

/// How confidence intervals are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Intervals {
    /// A bar at each point.
    #[default]
    Bars,
    /// A band along the line.
    Band,
}

/// A horizontal line to compare with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reference {
    /// What stands beside it.
    pub label: String,
    /// Where it is on the vertical axis.
    pub y: f64,
}

/// A stretch of the horizontal axis. Every other one is shaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Phase {
    /// What stands above it.
    pub name: String,
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
}

/// Horizontal bars, each of the same parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bars {
    /// What the chart is called where it is not seen.
    pub title: String,
    /// What the lengths are.
    pub label: String,
    /// What their values are.
    pub unit: Unit,
    /// The parts from left to right. One part alone needs no name.
    pub parts: Vec<String>,
    /// The bars from top to bottom.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bar {
    /// What stands beside it.
    pub name: String,
    /// As many values as there are parts. What is negative or not finite has no length.
    pub values: Vec<f64>,
}
