//! Tables of comma-separated values: a header that names the columns, then a row a line. Every error names its line.
//!
//! Empty lines and lines that begin with `#` are passed over. Fields are neither quoted nor may they hold commas: what
//! is read here are numbers and names.

use std::fmt::Arguments;
use std::io::{self, Write};

use sched::Nanos;

use super::service::SERVICE_MAX_US;

/// How long a line may be.
const LINE_MAX_BYTES: usize = 1 << 20;

/// The latest time in a trace, in nanoseconds: a year.
pub const TIME_MAX_NS: f64 = 365.0 * 24.0 * SERVICE_MAX_US * 1e3;

/// See the module's text.
pub struct Table<I> {
    lines: I,
    header: Vec<String>,
    line: usize,
    text: String,
}

/// A column, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column(usize);

/// A row, as it stands in the file.
pub struct Row<'a> {
    header: &'a [String],
    fields: Vec<&'a str>,
    line: usize,
}

impl<I: Iterator<Item = io::Result<String>>> Table<I> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be read.
    pub fn new(lines: I) -> Result<Self, String> {
        let mut table = Self {
            lines,
            header: Vec::new(),
            line: 0,
            text: String::new(),
        };
        if !table.advance()? {
            return Err("the header is missing".into());
        }
        let header = table.text.trim_start_matches('\u{feff}').split(',');
        table.header = header.map(|name| name.trim().to_lowercase()).collect();
        Ok(table)
    }

    /// Finds a column by its name.
    ///
    /// # Errors
    ///
    /// There is no such column.
    pub fn column(&self, name: &str) -> Result<Column, String> {
        let at = self.header.iter().position(|column| column == name);
        at.map(Column).ok_or_else(|| {
            let line = self.line;
            let all = self.header.join(", ");
            format!("line {line}: there is no column {name:?} among {all}")
        })
    }

    /// Finds a column of times by its name without the unit, `_ns`, `_us`, `_ms` or `_s`; and how many nanoseconds its
    /// unit has.
    pub fn time_column(&self, name: &str) -> Option<(Column, f64)> {
        ["ns", "us", "ms", "s"].into_iter().find_map(|unit| {
            let column = self.column(&format!("{name}_{unit}")).ok()?;
            Some((column, unit_ns(unit)))
        })
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, String> {
        if !self.advance()? {
            return Ok(None);
        }
        Ok(Some(Row {
            header: &self.header,
            fields: self.text.split(',').map(str::trim).collect(),
            line: self.line,
        }))
    }

    fn advance(&mut self) -> Result<bool, String> {
        loop {
            let Some(text) = self.lines.next() else {
                return Ok(false);
            };
            self.line += 1;
            self.text = text.map_err(|error| format!("line {}: {error}", self.line))?;
            if self.text.len() > LINE_MAX_BYTES {
                return Err(format!(
                    "line {}: longer than {LINE_MAX_BYTES} bytes",
                    self.line
                ));
            }
            if !self.text.trim().is_empty() && !self.text.starts_with('#') {
                return Ok(true);
            }
        }
    }
}

impl<'a> Row<'a> {
    /// A field as it stands.
    ///
    /// # Errors
    ///
    /// The row ends before it.
    pub fn text(&self, column: Column) -> Result<&'a str, String> {
        let field = self.fields.get(column.0).copied();
        field.ok_or_else(|| format!("line {}: {} is missing", self.line, self.header[column.0]))
    }

    /// A number that is not negative.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn number(&self, column: Column) -> Result<f64, String> {
        let text = self.text(column)?;
        let number = text.parse().ok();
        let number = number.filter(|number: &f64| *number >= 0.0 && number.is_finite());
        number.ok_or_else(|| self.wrong(column, "is not a number from 0 on"))
    }

    /// An integer that is not negative.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn integer(&self, column: Column) -> Result<u64, String> {
        let number = self.text(column)?.parse().ok();
        number.ok_or_else(|| self.wrong(column, "is not an integer from 0 on"))
    }

    /// A time, given what [`Table::time_column`] found.
    ///
    /// # Errors
    ///
    /// It is none, or beyond a year.
    pub fn time_ns(&self, (column, per_unit_ns): (Column, f64)) -> Result<Nanos, String> {
        let time_ns = self.number(column)? * per_unit_ns;
        if time_ns > TIME_MAX_NS {
            return Err(self.wrong(column, "is more than a year"));
        }
        Ok(time_ns.round() as Nanos)
    }

    /// An error about a field.
    pub fn wrong(&self, column: Column, what: &str) -> String {
        let text = self.text(column).unwrap_or_default();
        format!(
            "line {}: {}: {text:?} {what}",
            self.line, self.header[column.0]
        )
    }
}

/// Writes a table.
pub struct Lines<'a>(io::BufWriter<&'a mut dyn Write>);

impl<'a> Lines<'a> {
    /// Begins with the names of its columns.
    ///
    /// # Errors
    ///
    /// A sentence about why it cannot be written, as everywhere here.
    pub fn new(out: &'a mut dyn Write, columns: &str) -> Result<Self, String> {
        let mut lines = Self(io::BufWriter::new(out));
        lines.put(format_args!("{columns}"))?;
        Ok(lines)
    }

    /// A row.
    pub fn put(&mut self, line: Arguments<'_>) -> Result<(), String> {
        Self::judge(writeln!(self.0, "{line}"))
    }

    /// There are no more.
    pub fn finish(mut self) -> Result<(), String> {
        Self::judge(self.0.flush())
    }

    fn judge(written: io::Result<()>) -> Result<(), String> {
        match written {
            // A reader that has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|error| format!("cannot write: {error}")),
        }
    }
}

/// How many nanoseconds a unit has: `ns`, `us`, `ms`, and seconds else.
pub fn unit_ns(unit: &str) -> f64 {
    match unit {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        _ => 1e9,
    }
}
