//! What strokes, marks and colours mean, in rows above the panels, where they hide nothing.

use plotters::element::{Circle, EmptyElement};

use super::Origin;
use super::canvas::{
    Anchor, Area, Canvas, Drawn, EDGE, Font, Group, Pixels, at, fill, fine, line, polygon, stroke,
    text, text_width,
};
use super::colours::{Colour, GROUND, INK, MUTED, Mark, ON_PART};
use super::limits::NAME_CHARS_MAX;
use crate::markup::shorten;

/// One entry.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub sample: Sample,
    pub name: String,
}

/// What is explained.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sample {
    /// A line of this colour.
    Line {
        colour: Colour,
        mark: Option<Mark>,
        origin: Origin,
    },
    /// An arrow.
    Exit,
    /// A part of a bar, and its letter.
    Part(Colour, char),
}

/// The entries with the places where they begin, and the height of all.
pub(super) struct Legend {
    entries: Vec<(Pixels, Entry)>,
    pub height: f64,
}

/// The height of a row, in pixels.
const ROW: f64 = 21.0;

/// The length of a sample of a line, in pixels.
const SAMPLE: f64 = 30.0;

/// Between entries, in pixels; between lists, twice as much.
const GAP: f64 = 20.0;

impl Legend {
    /// Puts lists of entries into rows between these places. A list begins a row, unless it fits behind the one before.
    pub fn new<const N: usize>(lists: [Vec<Entry>; N], left: f64, right: f64) -> Self {
        let mut legend = Self {
            entries: Vec::new(),
            height: 0.0,
        };
        let (mut x, mut y) = (left, ROW / 2.0);
        for list in lists {
            let list = list.into_iter().map(Entry::shortened);
            let list: Vec<Entry> = list.collect();
            let width: f64 = list.iter().map(|entry| entry.width() + GAP).sum();
            if x > left && x + width - GAP > right {
                (x, y) = (left, y + ROW);
            }
            for entry in list {
                let width = entry.width();
                if x > left && x + width > right {
                    (x, y) = (left, y + ROW);
                }
                legend.entries.push(((x, y), entry));
                legend.height = y + ROW / 2.0;
                x += width + GAP;
            }
            if x > left {
                x += GAP;
            }
        }
        legend
    }

    pub fn draw(&self, canvas: &mut Canvas) {
        for ((x, y), entry) in &self.entries {
            entry.sample.draw(canvas, (*x, *y));
            let point = (x + entry.sample.width(), *y);
            let font = Font::new(INK, Anchor::Start);
            canvas.layer(Group::default(), |area| {
                text(area, &entry.name, point, font)
            });
        }
    }
}

impl Entry {
    fn shortened(self) -> Self {
        let name = shorten(&self.name, NAME_CHARS_MAX);
        Self { name, ..self }
    }

    fn width(&self) -> f64 {
        self.sample.width() + text_width(&self.name)
    }
}

impl Sample {
    fn width(self) -> f64 {
        match self {
            Self::Line { .. } => SAMPLE + 7.0,
            Self::Exit => 16.0,
            Self::Part(..) => 24.0,
        }
    }

    fn draw(self, canvas: &mut Canvas, (x, y): Pixels) {
        match self {
            Self::Line {
                colour,
                mark: shape,
                origin,
            } => {
                let group = Group::dashed(dashes(origin));
                canvas.layer(group, |area| {
                    line(area, &[(x, y), (x + SAMPLE, y)], stroke(colour, LINE))
                });
                if let Some(shape) = shape {
                    let middle = (x + SAMPLE / 2.0, y);
                    canvas.layer(Group::default(), |area| {
                        mark(area, shape, middle, colour, origin)
                    });
                }
            }
            Self::Exit => canvas.layer(Group::default(), |area| {
                arrow(area, (x + 5.0, y + 3.0), MUTED, true)
            }),
            Self::Part(colour, letter) => {
                canvas.layer(Group::default(), |area| {
                    fill(area, (x, y - 8.5), (x + 17.0, y + 8.5), colour)?;
                    let font = Font::new(ON_PART, Anchor::Middle);
                    text(area, letter.encode_utf8(&mut [0; 4]), (x + 8.5, y), font)
                });
            }
        }
    }
}

/// The width of a series' line, in pixels.
pub(super) const LINE: f64 = 1.9;

/// Half the width of a mark, in pixels.
const MARK: f64 = 3.3;

/// The dashes of a stroke.
pub(super) fn dashes(origin: Origin) -> &'static [f64] {
    match origin {
        Origin::Live => &[],
        Origin::Simulated => &[7.0, 4.0],
        Origin::Theory => &[1.9, 3.2],
    }
}

/// A mark: hollow if simulated.
pub(super) fn mark(
    area: &Area,
    shape: Mark,
    point: Pixels,
    colour: Colour,
    origin: Origin,
) -> Drawn {
    let inside = if origin == Origin::Simulated {
        GROUND
    } else {
        colour
    };
    let corners: Vec<_> = shape
        .corners()
        .iter()
        .map(|(x, y)| (x * MARK, y * MARK))
        .collect();
    if !corners.is_empty() {
        return polygon(area, point, &corners, inside, colour);
    }
    let radius = fine(MARK);
    let circle = EmptyElement::at(at(point))
        + Circle::new((0, 0), radius, inside.filled())
        + Circle::new((0, 0), radius, stroke(colour, EDGE));
    area.draw(&circle)
}

/// An arrow with its base at a point.
pub(super) fn arrow(area: &Area, point: Pixels, colour: Colour, up: bool) -> Drawn {
    let tip = if up { -7.5 } else { 7.5 };
    polygon(
        area,
        point,
        &[(-4.5, 0.0), (4.5, 0.0), (0.0, tip)],
        colour,
        colour,
    )
}
