//! Tables. Numbers stand at the right, their unit in the head; what a number means is said with a word, and a number that
//! the sample does not support is not there.

use crate::chart::Unit;
use crate::markup::{Markup, escape};

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What stands above it, behind its number; nothing if it is empty.
    pub caption: String,
    /// The columns from left to right.
    pub columns: Vec<Column>,
    /// The rows from top to bottom. One that is too short ends with empty cells, one that is too long is cut.
    pub rows: Vec<Vec<Cell>>,
}

/// A column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// Its head.
    pub head: String,
    /// The unit of its numbers, for the head; nothing if it is empty.
    pub unit: String,
    /// Whether its cells are numbers.
    pub is_numeric: bool,
}

impl Column {
    /// A column of words.
    #[must_use]
    pub fn words(head: &str) -> Self {
        Self {
            head: head.to_owned(),
            ..Self::default()
        }
    }

    /// A column of numbers, with their unit or "".
    #[must_use]
    pub fn numbers(head: &str, unit: &str) -> Self {
        Self {
            head: head.to_owned(),
            unit: unit.to_owned(),
            is_numeric: true,
        }
    }
}

/// A cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// What is in it.
    pub text: String,
    /// What that means.
    pub mark: Option<Mark>,
}

impl Cell {
    /// A cell without a mark.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let (text, mark) = (text.into(), None);
        Self { text, mark }
    }

    /// The cell of a number for which the sample is too small, with its size.
    #[must_use]
    pub fn too_few(count: u64) -> Self {
        let count = Unit::One.text(count as f64);
        Self::new(format!("n/a (n\u{a0}=\u{a0}{count})"))
    }

    /// The same cell with a mark.
    #[must_use]
    pub fn marked(self, verdict: Verdict, word: &str) -> Self {
        let word = word.to_owned();
        let mark = Some(Mark { verdict, word });
        Self { mark, ..self }
    }
}

/// What is said of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// How it is coloured.
    pub verdict: Verdict,
    /// The word that says it: `met`, `missed`, `within noise`.
    pub word: String,
}

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What was hoped for.
    Good,
    /// What was not.
    Bad,
    /// Nobody knows.
    Uncertain,
}

impl Table {
    /// Writes it with its number, if it has one.
    pub(super) fn write(&self, html: &mut Markup, id: Option<&str>, number: &str) {
        let id = id.map(|id| format!(" id=\"{id}\"")).unwrap_or_default();
        html.raw(&format!(
            "<div class=\"scroll\" tabindex=\"0\">\n<table{id}>\n"
        ));
        let caption = escape(&self.caption);
        match number {
            "" if caption.is_empty() => {}
            "" => html.raw(&format!("<caption>{caption}</caption>\n")),
            _ => html.raw(&format!("<caption><b>{number}</b> {caption}</caption>\n")),
        }
        html.raw("<thead>\n<tr>");
        self.columns
            .iter()
            .for_each(|column| column.write_head(html));
        html.raw("</tr>\n</thead>\n<tbody>\n");
        for row in &self.rows {
            html.raw("<tr>");
            for (at, column) in self.columns.iter().enumerate() {
                let empty = Cell::default();
                row.get(at).unwrap_or(&empty).write(html, column, at == 0);
            }
            html.raw("</tr>\n");
        }
        html.raw("</tbody>\n</table>\n</div>\n");
    }
}

impl Column {
    fn write_head(&self, html: &mut Markup) {
        let class = if self.is_numeric {
            " class=\"number\""
        } else {
            ""
        };
        let head = escape(&self.head);
        let unit = match self.unit.as_str() {
            "" => String::new(),
            unit => format!(" <span class=\"unit\">{}</span>", escape(unit)),
        };
        html.raw(&format!("<th scope=\"col\"{class}>{head}{unit}</th>"));
    }
}

impl Cell {
    /// Writes it; the first words of a row are its head. A number stands behind its mark, so that numbers stay in line.
    fn write(&self, html: &mut Markup, column: &Column, is_first: bool) {
        let (open, close) = match (column.is_numeric, is_first) {
            (true, _) => ("<td class=\"number\">", "</td>"),
            (false, true) => ("<th scope=\"row\">", "</th>"),
            (false, false) => ("<td>", "</td>"),
        };
        let text = escape(&self.text);
        let mark = self.mark.as_ref().map(Mark::html);
        html.raw(open);
        html.raw(&match mark {
            None => text,
            Some(mark) if column.is_numeric => format!("{mark} {text}"),
            Some(mark) => format!("{text} {mark}"),
        });
        html.raw(close);
    }
}

impl Mark {
    fn html(&self) -> String {
        let class = match self.verdict {
            Verdict::Good => "good",
            Verdict::Bad => "bad",
            Verdict::Uncertain => "uncertain",
        };
        format!("<span class=\"mark {class}\">{}</span>", escape(&self.word))
    }
}
