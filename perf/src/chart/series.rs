//! What is drawn of the series of one panel: intervals beneath lines beneath marks, and arrows where lines leave.

use plotters::element::Polygon;
use plotters::style::Color;

use super::canvas::{Canvas, Group, Pixels, at, line, stroke};
use super::legend::{LINE, arrow, dashes, mark};
use super::lines::{Frame, Plot, positions};
use super::trace::{Trace, is_inside};
use super::words::told;
use super::{Intervals, Origin, Panel, Point, Scale, Series};

/// How much of the ground a band hides.
const BAND_OPACITY: f64 = 0.16;

/// The width of an interval's bar and its ends, in pixels.
const BAR: f64 = 1.2;
const BAR_END: f64 = 3.0;

/// Points that are closer than this on the average, in pixels, do not have a mark each.
const CLOSE: f64 = 11.0;

/// How far the marks of such points are apart, in pixels.
const MARKS_APART: f64 = 90.0;

/// The least distance of arrows, in pixels.
const ARROWS_APART: f64 = 10.0;

impl Plot<'_> {
    /// Draws all series of a panel.
    pub(super) fn series(
        &self,
        canvas: &mut Canvas,
        panel: &Panel,
        traces: &[Trace],
        frame: &Frame,
    ) {
        for series in &panel.series {
            match self.chart.intervals {
                Intervals::Band => self.bands(canvas, series, frame),
                Intervals::Bars => self.bars(canvas, series, frame),
            }
        }
        for (series, trace) in panel.series.iter().zip(traces) {
            self.lines(canvas, series, trace, frame);
        }
        let count = panel.series.len() as f64;
        for (at, series) in panel.series.iter().enumerate() {
            if series.origin != Origin::Theory {
                self.marks(canvas, series, (at as f64 + 0.5) / count, frame);
            }
        }
        self.exits(canvas, panel, traces, frame);
    }

    fn bands(&self, canvas: &mut Canvas, series: &Series, frame: &Frame) {
        let colour = self.looks.of(&series.name).colour;
        let style = colour.rgb().mix(BAND_OPACITY);
        let spans: Vec<_> = series.points.iter().map(|point| self.span(point)).collect();
        for run in spans.split(Option::is_none) {
            let run = run.iter().flatten();
            let lows = run.clone().map(|(x, low, _)| at(frame.pixels((*x, *low))));
            let highs = run.map(|(x, _, high)| at(frame.pixels((*x, *high))));
            let outline: Vec<_> = lows.chain(highs.rev()).collect();
            if outline.len() > 2 {
                canvas.layer(Group::default(), |area| {
                    area.draw(&Polygon::new(outline, style))
                });
            }
        }
    }

    fn bars(&self, canvas: &mut Canvas, series: &Series, frame: &Frame) {
        let style = stroke(self.looks.of(&series.name).colour, BAR);
        canvas.layer(Group::default(), |area| {
            for (x, low, high) in series.points.iter().filter_map(|point| self.span(point)) {
                let ends = [low, high].map(|height| frame.pixels((x, height)));
                line(area, &ends, style)?;
                // An interval that goes on beyond the panel has no end there.
                let seen = [low > 0.0, high < 1.0];
                for ((x, y), _) in ends.into_iter().zip(seen).filter(|(_, seen)| *seen) {
                    line(area, &[(x - BAR_END, y), (x + BAR_END, y)], style)?;
                }
            }
            Ok(())
        });
    }

    /// The position of a point's interval: where it is, from where to where. What is beyond the panel ends at its edge.
    fn span(&self, point: &Point) -> Option<(f64, f64, f64)> {
        let x = self.x.position(point.x)?;
        let (low, high) = point.interval?;
        let low = match self.y.position(low) {
            None if self.chart.y.scale == Scale::Log && low <= 0.0 => 0.0,
            low => low?,
        };
        let high = match high {
            f64::INFINITY => 1.0,
            finite => self.y.position(finite)?,
        };
        let is_seen = is_inside((x, 0.0)) && low <= high && low <= 1.0 && high >= 0.0;
        is_seen.then_some((x, low.max(0.0), high.min(1.0)))
    }

    fn lines(&self, canvas: &mut Canvas, series: &Series, trace: &Trace, frame: &Frame) {
        let style = stroke(self.looks.of(&series.name).colour, LINE);
        let group = Group::dashed(dashes(series.origin));
        canvas.layer(group, |area| {
            for piece in &trace.pieces {
                let points: Vec<_> = piece
                    .iter()
                    .map(|position| frame.pixels(*position))
                    .collect();
                line(area, &points, style)?;
            }
            Ok(())
        });
    }

    /// A mark at each point, which tells its numbers. Where points are close together there are marks here and there, from
    /// a part of their distance on, so that those of several series do not stand on each other.
    fn marks(&self, canvas: &mut Canvas, series: &Series, from: f64, frame: &Frame) {
        let look = self.looks.of(&series.name);
        let positions = positions(&self.x, &self.y, &series.points);
        let inside = series
            .points
            .iter()
            .zip(positions)
            .filter_map(|(point, position)| {
                let position = position.filter(|position| is_inside(*position))?;
                Some((point, frame.pixels(position)))
            });
        let inside: Vec<(&Point, Pixels)> = inside.collect();
        let mark = |canvas: &mut Canvas, point: Pixels, title: Option<&str>| {
            let group = Group {
                title,
                ..Group::default()
            };
            canvas.layer(group, |area| {
                mark(area, look.mark, point, look.colour, series.origin)
            });
        };
        if !are_close(&inside) {
            for (point, at) in inside {
                mark(canvas, at, Some(&told(self.chart, series, point)));
            }
            return;
        }
        let mut next = inside.first().map_or(0.0, |(_, (x, _))| *x) + from * MARKS_APART;
        for (_, (x, y)) in inside {
            if x >= next {
                mark(canvas, (x, y), None);
                next = x + MARKS_APART;
            }
        }
    }

    fn exits(&self, canvas: &mut Canvas, panel: &Panel, traces: &[Trace], frame: &Frame) {
        let mut taken: Vec<(Pixels, &str)> = Vec::new();
        for (series, trace) in panel.series.iter().zip(traces) {
            let colour = self.looks.of(&series.name).colour;
            let origin = series.origin.word();
            let title = format!("{}, {origin}: goes on beyond the axis", series.name);
            for exit in &trace.exits {
                let edge = if exit.up { 1.0 } else { 0.0 };
                let (mut x, y) = frame.pixels((exit.x, edge));
                let near = |x: f64| {
                    let mut taken = taken.iter();
                    let is_near = |at: &Pixels| at.1 == y && (at.0 - x).abs() < ARROWS_APART;
                    taken.find(|(at, _)| is_near(at)).map(|(_, name)| *name)
                };
                // Those that would hide each other stand in a row, unless they say the same.
                let right = frame.pixels((1.0, edge)).0;
                while x < right && near(x).is_some_and(|name| name != series.name) {
                    x += ARROWS_APART / 2.0;
                }
                if near(x).is_none() {
                    canvas.layer(Group::titled(&title), |area| {
                        arrow(area, (x, y), colour, exit.up)
                    });
                    taken.push(((x, y), &series.name));
                }
            }
        }
    }
}

fn are_close(points: &[(&Point, Pixels)]) -> bool {
    let (Some((_, (first, _))), Some((_, (last, _)))) = (points.first(), points.last()) else {
        return false;
    };
    points.len() > 1 && (last - first).abs() < CLOSE * (points.len() - 1) as f64
}
