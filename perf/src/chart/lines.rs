//! Lines in panels: loads against percentiles, spectra of percentiles, and what happens over time.
//!
//! ```text
//!          legend, in rows
//!          name or phases      name or phases
//!        ┌──────────────────┐┌──────────────────┐
//! y axis │      panel       ││      panel       │ names of references
//!        └──────────────────┘└──────────────────┘
//!          ticks               ticks
//!                      x axis
//! ```
//!
//! Panels share their axes: what is higher in one is larger than what is lower in another.

use plotters::chart::ChartBuilder;

use super::axis::{Ends, LABEL_GAP, Room, Ruler};
use super::canvas::{
    Anchor, Area, Canvas, Drawn, Font, Group, Pixels, at, fill, fine, fitting, line, stroke, text,
    text_width,
};
use super::colours::{FAINT, GRID, INK, Looks, MUTED, SHADE};
use super::legend::{Entry, Legend, Sample};
use super::limits::{PANELS_PER_ROW_MAX, REFERENCE_CHARS_MAX};
use super::trace::{Position, Trace, is_inside};
use super::words::of_lines;
use super::{Lines, Origin, Panel, Phase, Point, Reference, Series};
use crate::markup::shorten;

/// The width of every chart, in pixels.
pub(super) const WIDTH: f64 = 800.0;

/// The heights of panels in pixels, by how many stand beside each other.
const HEIGHTS: [f64; PANELS_PER_ROW_MAX] = [340.0, 260.0, 210.0];

/// Room for a line of text. This and what follows is in pixels.
pub(super) const TEXT_ROW: f64 = 20.0;

/// Room for arrows above a panel.
const ARROWS: f64 = 12.0;

/// Room below a panel for the labels of its ticks.
pub(super) const TICK_LABELS: f64 = 26.0;

/// The length of a tick.
pub(super) const TICK: f64 = 4.0;

/// Between panels at least.
const GAP_MIN: f64 = 22.0;

/// Right of the panels at least.
const RIGHT_MIN: f64 = 20.0;

/// Unlike those of any origin.
const REFERENCE_DASHES: [f64; 4] = [11.0, 3.0, 2.0, 3.0];

/// The chart as SVG.
pub(super) fn svg(chart: &Lines, looks: &Looks) -> String {
    if chart.panels.is_empty() {
        let panels = vec![Panel::default()];
        let chart = Lines {
            panels,
            ..chart.clone()
        };
        return svg(&chart, looks);
    }
    let plot = Plot::new(chart, looks);
    let mut canvas = Canvas::new(WIDTH, plot.height);
    plot.legend.draw(&mut canvas);
    for at in 0..chart.panels.len() {
        plot.panel(&mut canvas, at);
    }
    plot.axis_labels(&mut canvas);
    canvas.svg(&chart.title, &of_lines(chart))
}

/// A chart with its axes and where everything is.
pub(super) struct Plot<'a> {
    pub chart: &'a Lines,
    pub looks: &'a Looks,
    pub x: Ruler,
    pub y: Ruler,
    traces: Vec<Vec<Trace>>,
    legend: Legend,
    grid: Grid,
    height: f64,
}

impl<'a> Plot<'a> {
    fn new(chart: &'a Lines, looks: &'a Looks) -> Self {
        let mut grid = Grid::new(chart);
        let (xs, ys) = values(chart);
        let y = Ruler::new(&chart.y, Ends::Round, &ys, Room::Up(grid.panel_height));
        grid.left = TEXT_ROW + y.labels().map(text_width).fold(0.0, f64::max) + 2.0 * TICK + 4.0;
        let across = |grid: &Grid| {
            let room = Room::Across(grid.panel_width());
            Ruler::new(&chart.x, Ends::Tight, &xs, room)
        };
        let x = across(&grid);
        let ends = [x.labels().next(), x.labels().last()];
        grid.part(ends.map(|label| text_width(label.unwrap_or_default())));
        let x = across(&grid);
        let trace = |series: &Series| Trace::new(positions(&x, &y, &series.points));
        let panels = chart.panels.iter();
        let traces: Vec<Vec<Trace>> = panels
            .map(|panel| panel.series.iter().map(trace).collect())
            .collect();
        let lists = [names(chart, looks, &traces), strokes(chart, &traces)];
        let legend = Legend::new(lists, grid.left, WIDTH);
        grid.top = legend.height;
        let height = grid.top + grid.rows as f64 * grid.row() + TEXT_ROW;
        Self {
            chart,
            looks,
            x,
            y,
            traces,
            legend,
            grid,
            height,
        }
    }

    fn panel(&self, canvas: &mut Canvas, at: usize) {
        let panel = &self.chart.panels[at];
        let frame = self.grid.frame(at);
        let name_row = frame.corner.1 - self.grid.head + TEXT_ROW / 2.0;
        let name = fitting(&panel.name, frame.width);
        let font = Font::new(INK, Anchor::Start).bold();
        if !name.is_empty() {
            canvas.layer(Group::default(), |area| {
                text(area, &name, (frame.corner.0, name_row), font)
            });
        }
        self.phases(canvas, panel, &frame);
        canvas.layer(Group::default(), |area| {
            self.mesh(area, &frame, at.is_multiple_of(self.grid.columns))
        });
        self.references(canvas, &frame, at);
        self.series(canvas, panel, &self.traces[at], &frame);
        if self.traces[at].iter().all(|trace| trace.is_empty) {
            let font = Font::new(MUTED, Anchor::Middle);
            canvas.layer(Group::default(), |area| {
                text(area, "no data", frame.pixels((0.5, 0.5)), font)
            });
        }
    }

    /// The grid, the axes, and the ticks with their labels, which are plotters'.
    fn mesh(&self, area: &Area, frame: &Frame, is_first: bool) -> Drawn {
        let label_width = if is_first { self.grid.left } else { 0.0 };
        let (x, y) = frame.corner;
        let (from, to) = (
            at((x - label_width, y)),
            at((x + frame.width, y + frame.height + TICK_LABELS)),
        );
        let area = area
            .clone()
            .shrink(from, (to.0 - from.0 + 1, to.1 - from.1 + 1));
        let mut chart = ChartBuilder::on(&area)
            .x_label_area_size(fine(TICK_LABELS))
            .y_label_area_size(fine(label_width))
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        chart
            .configure_mesh()
            .bold_line_style(stroke(GRID, 1.0))
            .light_line_style(stroke(FAINT, 1.0))
            .axis_style(stroke(MUTED, 1.0))
            .label_style(Font::new(MUTED, Anchor::Middle).style())
            .set_all_tick_mark_size(fine(TICK))
            .draw()
    }
}

impl Plot<'_> {
    fn phases(&self, canvas: &mut Canvas, panel: &Panel, frame: &Frame) {
        let y = frame.corner.1 - ARROWS - TEXT_ROW / 2.0 + 2.0;
        for (at, phase) in panel.phases.iter().enumerate() {
            let Some((from, to)) = self.stretch(phase) else {
                continue;
            };
            let (upper, lower) = (frame.pixels((from, 1.0)), frame.pixels((to, 0.0)));
            let name = fitting(&phase.name, lower.0 - upper.0 - 4.0);
            canvas.layer(Group::titled(&phase.name), |area| {
                if at.is_multiple_of(2) {
                    fill(area, upper, lower, SHADE)?;
                }
                let font = Font::new(MUTED, Anchor::Middle);
                text(area, &name, ((upper.0 + lower.0) / 2.0, y), font)
            });
        }
    }

    /// Where a phase is within the panel.
    fn stretch(&self, phase: &Phase) -> Option<(f64, f64)> {
        let (from, to) = (self.x.position(phase.from)?, self.x.position(phase.to)?);
        let (from, to) = (from.max(0.0), to.min(1.0));
        (from < to).then_some((from, to))
    }

    fn references(&self, canvas: &mut Canvas, frame: &Frame, at: usize) {
        let is_last =
            (at + 1).is_multiple_of(self.grid.columns) || at + 1 == self.chart.panels.len();
        let mut references: Vec<_> = self.chart.references.iter().collect();
        references.sort_by(|one, other| other.y.total_cmp(&one.y));
        let mut above = f64::NEG_INFINITY;
        for reference in references {
            let height = self
                .y
                .position(reference.y)
                .filter(|height| is_inside((0.0, *height)));
            let Some(height) = height else {
                continue;
            };
            let (from, to) = (frame.pixels((0.0, height)), frame.pixels((1.0, height)));
            let group = Group {
                title: Some(&reference.label),
                dashes: &REFERENCE_DASHES,
            };
            canvas.layer(group, |area| line(area, &[from, to], stroke(MUTED, 1.2)));
            if is_last {
                above = to.1.max(above + TEXT_ROW * 0.75);
                // Those for which there is no room are told where the lines are pointed at.
                let has_room = above < frame.pixels((0.0, 0.0)).1 + TICK_LABELS;
                let label = if has_room {
                    label(reference)
                } else {
                    String::new()
                };
                let point = (to.0 + 6.0, above);
                canvas.layer(Group::default(), |area| {
                    text(area, &label, point, Font::new(INK, Anchor::Start))
                });
            }
        }
    }

    fn axis_labels(&self, canvas: &mut Canvas) {
        let Grid { left, right, .. } = self.grid;
        let label = fitting(&self.chart.x.label, right - left);
        let point = ((left + right) / 2.0, self.height - TEXT_ROW / 2.0);
        let font = Font::new(INK, Anchor::Middle);
        canvas.layer(Group::default(), |area| text(area, &label, point, font));
        // Once for all rows, and as long as they are.
        let (top, bottom) = (self.grid.top, self.height - TEXT_ROW);
        let label = fitting(&self.chart.y.label, bottom - top);
        let first = self.grid.frame(0).pixels((0.0, 1.0)).1;
        let last = self.grid.frame(self.grid.columns * (self.grid.rows - 1));
        let last = last.pixels((0.0, 0.0)).1;
        // In the middle of the panels, unless it is longer than they are.
        let half = text_width(&label) / 2.0;
        let middle = ((first + last) / 2.0).max(top + half).min(bottom - half);
        let font = font.upwards();
        canvas.layer(Group::default(), |area| {
            text(area, &label, (TEXT_ROW / 2.0, middle), font)
        });
    }
}

/// Where the panels are, in pixels.
struct Grid {
    columns: usize,
    rows: usize,
    left: f64,
    right: f64,
    top: f64,
    /// Between panels.
    gap: f64,
    /// Above each panel.
    head: f64,
    panel_height: f64,
}

impl Grid {
    /// All but what depends on the labels of axes and on the legend.
    fn new(chart: &Lines) -> Self {
        let count = chart.panels.len();
        let columns = match count {
            // Two rows of two.
            4 => 2,
            _ => count.clamp(1, PANELS_PER_ROW_MAX),
        };
        let references = chart.references.iter();
        let labels = references.map(|reference| text_width(&label(reference)) + 10.0);
        let has = |what: fn(&Panel) -> bool| f64::from(u8::from(chart.panels.iter().any(what)));
        let heads = has(|panel| !panel.name.is_empty()) + has(|panel| !panel.phases.is_empty());
        Self {
            columns,
            rows: count.div_ceil(columns),
            left: 0.0,
            right: WIDTH - labels.fold(RIGHT_MIN, f64::max),
            top: 0.0,
            gap: GAP_MIN,
            head: ARROWS + heads * TEXT_ROW,
            panel_height: HEIGHTS[columns - 1],
        }
    }

    /// Makes room for labels of these widths at the ends of the horizontal axis: they must neither meet those of the next
    /// panel nor the edge.
    fn part(&mut self, [first, last]: [f64; 2]) {
        self.right = self.right.min(WIDTH - last / 2.0);
        if self.columns > 1 {
            self.gap = self.gap.max((first + last) / 2.0 + LABEL_GAP);
        }
    }

    fn panel_width(&self) -> f64 {
        let gaps = self.gap * (self.columns - 1) as f64;
        (self.right - self.left - gaps) / self.columns as f64
    }

    /// The height of a row.
    fn row(&self) -> f64 {
        self.head + self.panel_height + TICK_LABELS
    }

    fn frame(&self, at: usize) -> Frame {
        let (column, row) = ((at % self.columns) as f64, (at / self.columns) as f64);
        let width = self.panel_width();
        let x = self.left + column * (width + self.gap);
        let y = self.top + self.head + row * self.row();
        Frame {
            corner: (x, y),
            width,
            height: self.panel_height,
        }
    }
}

fn label(reference: &Reference) -> String {
    shorten(&reference.label, REFERENCE_CHARS_MAX)
}

/// Where a panel is.
pub(super) struct Frame {
    corner: Pixels,
    width: f64,
    height: f64,
}

impl Frame {
    /// Where a position within the panel is in the chart.
    pub fn pixels(&self, (x, y): Position) -> Pixels {
        let (left, top) = self.corner;
        (left + x * self.width, top + (1.0 - y) * self.height)
    }
}

/// The positions of points; `None` for those that cannot be drawn.
pub(super) fn positions(
    x: &Ruler,
    y: &Ruler,
    points: &[Point],
) -> impl Iterator<Item = Option<Position>> {
    points.iter().map(|point| {
        let height = match point.y {
            f64::INFINITY => f64::INFINITY,
            finite => y.position(finite)?,
        };
        Some((x.position(point.x)?, height))
    })
}

/// What the axes are to show.
fn values(chart: &Lines) -> (Vec<f64>, Vec<f64>) {
    let (mut xs, mut ys) = (Vec::new(), Vec::new());
    for panel in &chart.panels {
        xs.extend(panel.phases.iter().flat_map(|phase| [phase.from, phase.to]));
        for point in panel.series.iter().flat_map(|series| &series.points) {
            xs.push(point.x);
            ys.push(point.y);
            ys.extend(
                point
                    .interval
                    .into_iter()
                    .flat_map(|(low, high)| [low, high]),
            );
        }
    }
    ys.extend(chart.references.iter().map(|reference| reference.y));
    (xs, ys)
}

/// One entry for each name, with the stroke that it has first.
fn names(chart: &Lines, looks: &Looks, traces: &[Vec<Trace>]) -> Vec<Entry> {
    let all = || {
        let series = chart.panels.iter().flat_map(|panel| &panel.series);
        series.zip(traces.iter().flatten())
    };
    let mut names: Vec<&str> = Vec::new();
    for (series, _) in all() {
        if !names.contains(&series.name.as_str()) {
            names.push(&series.name);
        }
    }
    let entry = |name: &str| {
        let own = || all().filter(|(series, _)| series.name == name);
        let origin = own().map(|(series, _)| series.origin).min();
        let origin = origin.unwrap_or_default();
        let look = looks.of(name);
        let is_empty = own().all(|(_, trace)| trace.is_empty);
        Entry {
            sample: Sample::Line {
                colour: look.colour,
                mark: (origin != Origin::Theory).then_some(look.mark),
                origin,
            },
            name: format!("{name}{}", if is_empty { " (no data)" } else { "" }),
        }
    };
    names.into_iter().map(entry).collect()
}

/// One entry for each stroke if there are several or one is not of the live, and one for arrows.
fn strokes(chart: &Lines, traces: &[Vec<Trace>]) -> Vec<Entry> {
    let all = chart.panels.iter().flat_map(|panel| &panel.series);
    let mut origins: Vec<Origin> = all.map(|series| series.origin).collect();
    origins.sort_unstable();
    origins.dedup();
    let entry = |origin: Origin| Entry {
        sample: Sample::Line {
            colour: MUTED,
            mark: None,
            origin,
        },
        name: origin.word().to_owned(),
    };
    let mut entries = Vec::new();
    if origins != [Origin::Live] {
        entries.extend(origins.into_iter().map(entry));
    }
    if traces.iter().flatten().any(|trace| !trace.exits.is_empty()) {
        entries.push(Entry {
            sample: Sample::Exit,
            name: "goes on beyond the axis".to_owned(),
        });
    }
    entries
}
