//! A report as one HTML file: words, tables and charts that explain themselves to somebody who was not there.
//!
//! | file | subject |
//! | --- | --- |
//! | [`table`] | tables, and what a cell says of its number |
//! | [`data`] | the numbers of a chart as a table |
//! | `page.css` | how it looks, on a screen, a phone and paper |
//!
//! The file needs nothing else: no script, no font, no picture, no server; a policy in its head forbids them, so that not
//! even a mistake here could fetch or run anything. Any text may be in it, whatever it contains; it is shown, not obeyed.
//! The same page gives the same bytes.
//!
//! ```
//! use perf::chart::{Axis, Chart, Lines, Origin, Panel, Point, Reference, Series, Unit};
//! use perf::page::{Block, Figure, Page, Section};
//!
//! let slowdowns = Chart::Lines(Lines {
//!     title: "p99.9 slowdown by load".to_owned(),
//!     x: Axis::linear("load, part of capacity", Unit::Percent),
//!     y: Axis::log("p99.9 slowdown", Unit::One).from(1.0).to(1000.0),
//!     panels: vec![Panel {
//!         series: vec![Series {
//!             name: "rr 100 µs".to_owned(),
//!             origin: Origin::Simulated,
//!             points: vec![
//!                 Point::new(0.5, 12.0).within(11.0, 13.5),
//!                 Point::new(0.9, 48.0).within(41.0, 60.0),
//!             ],
//!         }],
//!         ..Panel::default()
//!     }],
//!     references: vec![Reference { label: "SLO 50".to_owned(), y: 50.0 }],
//!     ..Lines::default()
//! });
//! let page = Page {
//!     title: "Which policy keeps short functions short?".to_owned(),
//!     lead: vec!["We asked … It came out that …".to_owned()],
//!     sections: vec![Section {
//!         title: "Load and slowdown".to_owned(),
//!         blocks: vec![Block::Figure(Figure::new(slowdowns, "Bars are 95 % confidence intervals."))],
//!     }],
//!     ..Page::default()
//! };
//! assert!(page.html().contains("<b>Figure 1.</b> Bars are 95 % confidence intervals."));
//! ```
//!
//! Not here: files and clocks. What is to be told of the time and the machine of a measurement is in the manifest.

pub mod data;
pub mod table;

use std::fmt::Write;

use crate::chart::{Chart, Looks, css};
use crate::markup::{Markup, escape};

pub use table::{Cell, Column, Mark, Table, Verdict};

/// A report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Its title.
    pub title: String,
    /// What was asked and what came out, in paragraphs: all that most will read.
    pub lead: Vec<String>,
    /// The names that get colours and marks first, in this order; those of other series follow in the order of their
    /// appearance. Pages with the same names here have the same colours for them.
    pub names: Vec<String>,
    /// The rest.
    pub sections: Vec<Section>,
    /// What it takes to repeat the measurement, as it is; nothing if it is empty.
    pub manifest: String,
}

/// A part of a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// What is in it.
    pub blocks: Vec<Block>,
}

/// What stands in a section.
#[expect(clippy::large_enum_variant, reason = "a page has tens of them")]
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A heading within it.
    Heading(String),
    /// Some sentences.
    Paragraph(String),
    /// Points that have no order.
    List(Vec<String>),
    /// A table, with a number.
    Table(Table),
    /// A chart, with a number.
    Figure(Figure),
}

/// A chart with what is said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The chart.
    pub chart: Chart,
    /// What it shows and how to read it.
    pub caption: String,
    /// Its numbers, folded away beneath it.
    pub data: Option<Table>,
}

impl Figure {
    /// A chart with its numbers.
    #[must_use]
    pub fn new(chart: Chart, caption: &str) -> Self {
        let data = Some(data::of(&chart));
        Self {
            chart,
            caption: caption.to_owned(),
            data,
        }
    }
}

/// So many sections are found without a table of contents.
const SECTIONS_WITHOUT_CONTENTS: usize = 3;

/// Nothing may be loaded, and nothing may run.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

impl Page {
    /// The file's text.
    #[must_use]
    pub fn html(&self) -> String {
        let mut html = Markup::default();
        self.head(&mut html);
        html.raw("<body>\n<main>\n<header>\n");
        html.element("h1", &self.title);
        html.raw("<div class=\"lead\">\n");
        self.lead
            .iter()
            .for_each(|paragraph| html.element("p", paragraph));
        html.raw("</div>\n</header>\n");
        if self.sections.len() > SECTIONS_WITHOUT_CONTENTS {
            self.contents(&mut html);
        }
        let mut writer = Writer {
            html,
            looks: self.looks(),
            figures: 0,
            tables: 0,
        };
        for (number, section) in (1..).zip(&self.sections) {
            writer.section(number, section);
        }
        let mut html = writer.html;
        if !self.manifest.is_empty() {
            html.raw("<section id=\"manifest\">\n<h2>Manifest</h2>\n");
            html.element("pre tabindex=\"0\"", &self.manifest);
            html.raw("</section>\n");
        }
        html.raw("</main>\n</body>\n</html>\n");
        html.0
    }

    fn head(&self, html: &mut Markup) {
        html.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n");
        html.raw(&format!(
            "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\"/>\n",
            escape(POLICY)
        ));
        html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n");
        // Without one a browser asks the server for it.
        html.raw("<link rel=\"icon\" href=\"data:,\"/>\n");
        html.element("title", &self.title);
        html.raw("<style>\n");
        html.raw(&css());
        html.raw(include_str!("page.css"));
        html.raw("</style>\n</head>\n");
    }

    fn contents(&self, html: &mut Markup) {
        html.raw("<nav aria-label=\"Contents\">\n<ol>\n");
        for (number, section) in (1..).zip(&self.sections) {
            let title = escape(&section.title);
            html.raw(&format!(
                "<li><a href=\"#section-{number}\">{title}</a></li>\n"
            ));
        }
        if !self.manifest.is_empty() {
            html.raw("<li><a href=\"#manifest\">Manifest</a></li>\n");
        }
        html.raw("</ol>\n</nav>\n");
    }

    fn looks(&self) -> Looks {
        let blocks = self.sections.iter().flat_map(|section| &section.blocks);
        let charts = blocks.filter_map(|block| match block {
            Block::Figure(figure) => Some(&figure.chart),
            _ => None,
        });
        let first = self.names.iter().map(String::as_str);
        Looks::new(first.chain(charts.flat_map(Chart::names)))
    }
}

/// What is written section by section, with what is counted through all of them.
struct Writer {
    html: Markup,
    looks: Looks,
    figures: u32,
    tables: u32,
}

impl Writer {
    fn section(&mut self, number: u32, section: &Section) {
        writeln!(self.html.0, "<section id=\"section-{number}\">").expect("a string takes all");
        self.html.element("h2", &section.title);
        for block in &section.blocks {
            match block {
                Block::Heading(text) => self.html.element("h3", text),
                Block::Paragraph(text) => self.html.element("p", text),
                Block::List(items) => {
                    self.html.raw("<ul>\n");
                    items.iter().for_each(|item| self.html.element("li", item));
                    self.html.raw("</ul>\n");
                }
                Block::Table(table) => {
                    self.tables += 1;
                    let id = format!("table-{}", self.tables);
                    table.write(
                        &mut self.html,
                        Some(&id),
                        &format!("Table {}.", self.tables),
                    );
                }
                Block::Figure(figure) => self.figure(figure),
            }
        }
        self.html.raw("</section>\n");
    }

    fn figure(&mut self, figure: &Figure) {
        self.figures += 1;
        let number = self.figures;
        let svg = figure.chart.svg(&self.looks);
        let caption = escape(&figure.caption);
        let html = &mut self.html;
        html.raw(&format!(
            "<figure id=\"figure-{number}\">\n<div class=\"scroll\" tabindex=\"0\">\n{svg}</div>\n"
        ));
        html.raw(&format!(
            "<figcaption><b>Figure {number}.</b> {caption}</figcaption>\n"
        ));
        if let Some(data) = figure.data.as_ref().filter(|data| !data.rows.is_empty()) {
            html.raw("<details>\n");
            html.element("summary", &format!("The numbers of figure {number}"));
            data.write(html, None, "");
            html.raw("</details>\n");
        }
        html.raw("</figure>\n");
    }
}
