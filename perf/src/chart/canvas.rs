//! What charts are drawn on: layers that plotters draws, each put into a group of one SVG.
//!
//! plotters' SVG backend writes elements and nothing around them. Groups add what it lacks: a title that is shown where a
//! point is pointed at, and dashes, which its elements inherit. As it knows whole coordinates only, it is given ten to a
//! pixel; a `viewBox` does not mind. Text is `<text>` in whatever font the page has, so its width is an estimate here
//! ([`text_width`]), rather too wide than too narrow.

use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{EmptyElement, PathElement, Polygon, Rectangle};
use plotters::prelude::SVGBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, FontTransform, IntoFont, ShapeStyle, TextStyle};

use super::colours::Colour;
use crate::markup::{clean, escape, shorten};

/// Where plotters draws.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What drawing comes to. It never fails, as it is into a string.
pub(super) type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// A point in pixels, from the left and from the top.
pub(super) type Pixels = (f64, f64);

/// The size of text, in pixels.
pub(super) const TEXT: f64 = 12.5;

/// How many of plotters' coordinates are a pixel.
const PER_PIXEL: f64 = 10.0;

/// plotters divides sizes of fonts by this before it writes them.
const FONT_FACTOR: f64 = 1.24;

/// A length in plotters' coordinates.
pub(super) fn fine(pixels: f64) -> i32 {
    (pixels * PER_PIXEL).round() as i32
}

/// A point in plotters' coordinates.
pub(super) fn at((x, y): Pixels) -> (i32, i32) {
    (fine(x), fine(y))
}

/// How the elements of a layer are drawn alike.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Group<'a> {
    /// What is shown where it is pointed at.
    pub title: Option<&'a str>,
    /// Lengths of dashes and gaps in pixels; none is a solid line.
    pub dashes: &'a [f64],
}

impl<'a> Group<'a> {
    /// What is called so.
    pub fn titled(title: &'a str) -> Self {
        Self {
            title: Some(title),
            dashes: &[],
        }
    }

    /// What is drawn with these dashes.
    pub fn dashed(dashes: &'a [f64]) -> Self {
        Self {
            title: None,
            dashes,
        }
    }
}

/// A drawing that grows by layers.
pub(super) struct Canvas {
    width: f64,
    height: f64,
    layers: String,
}

impl Canvas {
    /// An empty one of this size in pixels.
    pub fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            layers: String::new(),
        }
    }

    /// Lets plotters draw on top of what is there.
    pub fn layer(&mut self, group: Group, draw: impl FnOnce(&Area) -> Drawn) {
        let mut svg = String::new();
        let size = (fine(self.width) as u32, fine(self.height) as u32);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&area)
            .and_then(|()| area.present())
            .expect("a string takes all");
        drop(area);
        let elements = elements(&svg);
        if elements.is_empty() {
            return;
        }
        let mut attributes = String::new();
        if !group.dashes.is_empty() {
            let dashes = group.dashes.iter().map(|length| fine(*length).to_string());
            let dashes = dashes.collect::<Vec<_>>().join(" ");
            attributes = format!(" stroke-dasharray=\"{dashes}\"");
        }
        let title = group
            .title
            .map(|title| format!("<title>{}</title>\n", escape(title)));
        let title = title.unwrap_or_default();
        self.layers += &match attributes.is_empty() && title.is_empty() {
            true => elements.to_owned(),
            false => format!("<g{attributes}>\n{title}{elements}</g>\n"),
        };
    }

    /// The whole, which a page scales to its width. The title and the description are for those who do not see it.
    pub fn svg(self, title: &str, description: &str) -> String {
        let (width, height) = (fine(self.width), fine(self.height));
        let (title, description) = (escape(title), escape(description));
        let (wide, high, layers) = (self.width, self.height, self.layers);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" width=\"{wide}\" height=\"{high}\" \
             viewBox=\"0 0 {width} {height}\" stroke-linejoin=\"round\">\n\
             <title>{title}</title>\n<desc>{description}</desc>\n{layers}</svg>\n"
        )
    }
}

/// What plotters wrote between the root's tags.
fn elements(svg: &str) -> &str {
    let inner = svg.split_once('\n').map_or("", |(_, inner)| inner);
    inner.trim_end().strip_suffix("</svg>").unwrap_or(inner)
}

/// A line of this width in pixels.
pub(super) fn stroke(colour: Colour, width: f64) -> ShapeStyle {
    colour.rgb().stroke_width(fine(width) as u32)
}

/// A line through points.
pub(super) fn line(area: &Area, points: &[Pixels], style: ShapeStyle) -> Drawn {
    let points: Vec<_> = points.iter().copied().map(at).collect();
    area.draw(&PathElement::new(points, style))
}

/// A filled rectangle between two corners.
pub(super) fn fill(area: &Area, from: Pixels, to: Pixels, colour: Colour) -> Drawn {
    area.draw(&Rectangle::new([at(from), at(to)], colour.filled()))
}

/// A filled polygon around a point, whose corners are so many pixels from it; with an edge of another colour.
pub(super) fn polygon(
    area: &Area,
    around: Pixels,
    corners: &[Pixels],
    fill: Colour,
    edge: Colour,
) -> Drawn {
    let corners: Vec<_> = corners.iter().copied().map(at).collect();
    let mut outline = corners.clone();
    outline.extend(corners.iter().take(2));
    let edge = stroke(edge, EDGE);
    let shape = EmptyElement::at(at(around))
        + Polygon::new(corners, fill.filled())
        + PathElement::new(outline, edge);
    area.draw(&shape)
}

/// The width of an edge, in pixels.
pub(super) const EDGE: f64 = 1.4;

/// Where a text is from the point that it is drawn at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// To the right of it.
    Start,
    /// Around it.
    Middle,
    /// To the left of it.
    End,
}

/// A style of text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Font {
    colour: Colour,
    anchor: Anchor,
    bold: bool,
    upwards: bool,
}

impl Font {
    /// Upright text that is not bold.
    pub fn new(colour: Colour, anchor: Anchor) -> Self {
        Self {
            colour,
            bold: false,
            anchor,
            upwards: false,
        }
    }

    /// The same, bold.
    pub fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    /// The same, read from below.
    pub fn upwards(self) -> Self {
        let upwards = true;
        Self { upwards, ..self }
    }

    /// As plotters wants it. The point is at half the height of the text.
    pub fn style(self) -> TextStyle<'static> {
        let font = ("sans-serif", TEXT * PER_PIXEL * FONT_FACTOR).into_font();
        let font = match self.bold {
            true => font.style(FontStyle::Bold),
            false => font,
        };
        let font = match self.upwards {
            true => font.transform(FontTransform::Rotate270),
            false => font,
        };
        let horizontal = match self.anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let pos = Pos::new(horizontal, VPos::Center);
        TextStyle {
            font,
            color: self.colour.rgb().to_backend_color(),
            pos,
        }
    }
}

/// A line of text; nothing if it is empty.
pub(super) fn text(area: &Area, text: &str, point: Pixels, font: Font) -> Drawn {
    if text.is_empty() {
        return Ok(());
    }
    area.draw_text(&clean(text), &font.style(), at(point))
}

/// About how wide a text is, in pixels. It is rather narrower.
pub(super) fn text_width(text: &str) -> f64 {
    let ems = text.chars().map(|character| match character {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '|' | '\'' | '!' => 0.33,
        'f' | 't' | 'r' | ' ' | '\u{a0}' | '(' | ')' | '[' | ']' | '/' | '-' => 0.41,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '…' => 0.98,
        'A'..='Z' => 0.74,
        c if c.is_ascii() => 0.64,
        'µ' | '×' | '−' => 0.7,
        // Of scripts with wide characters.
        _ => 1.0,
    });
    ems.sum::<f64>() * TEXT
}

/// A text, or so much of it as there is room for, if that is more than a few characters.
pub(super) fn fitting(text: &str, room: f64) -> String {
    if text_width(text) <= room {
        return text.to_owned();
    }
    let mut width = text_width("…");
    let fits = text.chars().take_while(|character| {
        width += text_width(character.encode_utf8(&mut [0; 4]));
        width <= room
    });
    match fits.count() {
        0..FITTING_CHARS_MIN => String::new(),
        count => shorten(text, count + 1),
    }
}

/// Fewer characters of a text do not tell what it is.
const FITTING_CHARS_MIN: usize = 3;
