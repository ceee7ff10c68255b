//! Bars of parts, beneath each other: what the slowest requests waited for, what overheads consist of.
//!
//! Each part has a letter as well as a colour, and its number where there is room; the sum stands at the end.

use plotters::chart::ChartBuilder;

use super::axis::{Axis, Ends, Room, Ruler};
use super::canvas::{
    Anchor, Area, Canvas, Drawn, Font, Group, Pixels, at, fill, fine, fitting, stroke, text,
    text_width,
};
use super::colours::{Colour, FAINT, GRID, INK, MUTED, ON_PART, PARTS};
use super::legend::{Entry, Legend, Sample};
use super::lines::{TEXT_ROW, TICK, TICK_LABELS, WIDTH};
use super::words::of_bars;
use super::{Bar, Bars};

/// From one bar to the next, in pixels.
const ROW: f64 = 30.0;

/// The height of a bar, in pixels.
const BAR: f64 = 21.0;

/// The width of a bar's name, in pixels.
const NAME_WIDTH_MAX: f64 = 240.0;

/// Above the bars, in pixels.
const HEAD: f64 = 6.0;

/// The chart as SVG.
pub(super) fn svg(chart: &Bars) -> String {
    let plot = Plot::new(chart);
    let mut canvas = Canvas::new(WIDTH, plot.height);
    plot.legend.draw(&mut canvas);
    canvas.layer(Group::default(), |area| plot.mesh(area));
    for (at, bar) in chart.bars.iter().enumerate() {
        plot.bar(&mut canvas, bar, plot.top + (at as f64 + 0.5) * ROW);
    }
    let point = ((plot.left + plot.right) / 2.0, plot.height - TEXT_ROW / 2.0);
    let label = fitting(&chart.label, plot.right - plot.left);
    let font = Font::new(INK, Anchor::Middle);
    canvas.layer(Group::default(), |area| text(area, &label, point, font));
    canvas.svg(&chart.title, &of_bars(chart))
}

/// A chart with its layout.
struct Plot<'a> {
    chart: &'a Bars,
    ruler: Ruler,
    legend: Legend,
    left: f64,
    right: f64,
    top: f64,
    height: f64,
}

impl<'a> Plot<'a> {
    fn new(chart: &'a Bars) -> Self {
        let widest = |texts: &mut dyn Iterator<Item = String>| {
            texts.map(|text| text_width(&text)).fold(0.0, f64::max)
        };
        let names = chart.bars.iter().map(|bar| &bar.name);
        let left = widest(&mut names.map(|name| fitting(name, NAME_WIDTH_MAX))) + 12.0;
        let sums: Vec<f64> = chart.bars.iter().map(sum).collect();
        let room = widest(&mut sums.iter().map(|sum| chart.unit.text(*sum))) + 12.0;
        let right = WIDTH - room;
        let axis = Axis::linear(&chart.label, chart.unit);
        let ruler = Ruler::new(&axis, Ends::Tight, &sums, Room::Across(right - left));
        let legend = Legend::new([entries(chart)], left, WIDTH);
        let top = legend.height + HEAD;
        let height = top + chart.bars.len().max(1) as f64 * ROW + TICK_LABELS + TEXT_ROW;
        Self {
            chart,
            ruler,
            legend,
            left,
            right,
            top,
            height,
        }
    }

    fn mesh(&self, area: &Area) -> Drawn {
        let (from, to) = (
            at((self.left, self.top)),
            at((self.right, self.height - TEXT_ROW)),
        );
        let area = area
            .clone()
            .shrink(from, (to.0 - from.0 + 1, to.1 - from.1 + 1));
        ChartBuilder::on(&area)
            .x_label_area_size(fine(TICK_LABELS))
            .build_cartesian_2d(self.ruler.clone(), 0.0..1.0)?
            .configure_mesh()
            .disable_y_mesh()
            .bold_line_style(stroke(GRID, 1.0))
            .light_line_style(stroke(FAINT, 1.0))
            .axis_style(stroke(MUTED, 1.0))
            .label_style(Font::new(MUTED, Anchor::Middle).style())
            .set_all_tick_mark_size(fine(TICK))
            .draw()
    }

    fn bar(&self, canvas: &mut Canvas, bar: &Bar, middle: f64) {
        let name = fitting(&bar.name, NAME_WIDTH_MAX);
        let font = Font::new(INK, Anchor::End);
        let point = (self.left - 7.0, middle);
        canvas.layer(Group::titled(&bar.name), |area| {
            text(area, &name, point, font)
        });
        let mut before = 0.0;
        for (at, value) in bar.values.iter().map(|value| length(*value)).enumerate() {
            if value > 0.0 {
                let (from, to) = (self.along(before), self.along(before + value));
                let part = self.chart.parts.get(at).map_or("", String::as_str);
                let number = self.chart.unit.text(value);
                let title = format!("{}, {part}: {number}", bar.name);
                let letter = (self.chart.parts.len() > 1).then(|| letter(at));
                let written = written(letter, &number, to - from);
                canvas.layer(Group::titled(&title), |area| {
                    segment(area, ((from, to), middle), colour(at), &written)
                });
            }
            before += value;
        }
        let sum = self.chart.unit.text(before);
        let point = (self.along(before) + 6.0, middle);
        let font = Font::new(INK, Anchor::Start);
        canvas.layer(Group::default(), |area| text(area, &sum, point, font));
    }

    /// Where a value is in the chart.
    fn along(&self, value: f64) -> f64 {
        let position = self.ruler.position(value).unwrap_or(0.0).clamp(0.0, 1.0);
        self.left + position * (self.right - self.left)
    }
}

/// A part of a bar between two places, with a line of the ground's colour between it and the next.
fn segment(
    area: &Area,
    ((from, to), middle): (Pixels, f64),
    colour: Colour,
    written: &str,
) -> Drawn {
    let end = if to - from > 2.0 { to - 1.0 } else { to };
    fill(
        area,
        (from, middle - BAR / 2.0),
        (end, middle + BAR / 2.0),
        colour,
    )?;
    let font = Font::new(ON_PART, Anchor::Middle);
    text(area, written, ((from + to) / 2.0, middle), font)
}

/// What there is room for: the letter and the number, or the letter, or nothing. The number of an only part is its sum.
fn written(letter: Option<char>, number: &str, room: f64) -> String {
    let Some(letter) = letter else {
        return String::new();
    };
    let candidates = [format!("{letter} {number}"), letter.to_string()];
    let mut fitting = candidates
        .into_iter()
        .filter(|text| text_width(text) + 4.0 <= room);
    fitting.next().unwrap_or_default()
}

fn entries(chart: &Bars) -> Vec<Entry> {
    if chart.parts.len() < 2 {
        return Vec::new();
    }
    let entry = |(at, name): (usize, &String)| Entry {
        sample: Sample::Part(colour(at), letter(at)),
        name: name.clone(),
    };
    chart.parts.iter().enumerate().map(entry).collect()
}

fn colour(part: usize) -> Colour {
    PARTS[part % PARTS.len()]
}

fn letter(part: usize) -> char {
    ('a'..='z').nth(part).unwrap_or('…')
}

fn length(value: f64) -> f64 {
    let is_drawn = value.is_finite() && value > 0.0;
    if is_drawn { value } else { 0.0 }
}

fn sum(bar: &Bar) -> f64 {
    bar.values.iter().map(|value| length(*value)).sum()
}
