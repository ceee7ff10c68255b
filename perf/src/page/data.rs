//! The numbers of a chart as a table: one row for each point or bar, in one unit for each column.

use super::table::{Cell, Column, Table};
use crate::chart::{Bars, Chart, Lines, Panel, Point, Series, Unit, column_text};

/// The table of a chart's numbers.
#[must_use]
pub fn of(chart: &Chart) -> Table {
    match chart {
        Chart::Lines(chart) => of_lines(chart),
        Chart::Bars(chart) => of_bars(chart),
    }
}

fn of_lines(chart: &Lines) -> Table {
    let series = || {
        let panels = chart.panels.iter();
        panels.flat_map(|panel| panel.series.iter().map(move |series| (panel, series)))
    };
    let points = || series().flat_map(|(_, series)| &series.points);
    let has_panels = chart.panels.iter().any(|panel| !panel.name.is_empty());
    let has_intervals = points().any(|point| point.interval.is_some());
    let x = Measure::new(chart.x.unit, points().map(|point| point.x));
    let y = Measure::new(chart.y.unit, points().map(|point| point.y));
    let mut columns = Vec::new();
    if has_panels {
        columns.push(Column::words("Panel"));
    }
    columns.extend([Column::words("Series"), Column::words("Origin")]);
    columns.extend([x.column(&chart.x.label), y.column(&chart.y.label)]);
    if has_intervals {
        columns.extend([y.column("from"), y.column("to")]);
    }
    let row = |panel: &Panel, series: &Series, point: &Point| {
        let mut row = Vec::new();
        if has_panels {
            row.push(Cell::new(&panel.name));
        }
        row.extend([Cell::new(&series.name), Cell::new(series.origin.word())]);
        row.extend([x.cell(point.x), y.cell(point.y)]);
        if let Some((low, high)) = point.interval {
            row.extend([y.cell(low), y.cell(high)]);
        }
        row
    };
    let rows = series().flat_map(|(panel, series)| {
        let points = series.points.iter();
        points.map(move |point| (panel, series, point))
    });
    let rows = rows.map(|(panel, series, point)| row(panel, series, point));
    Table {
        caption: String::new(),
        columns,
        rows: rows.collect(),
    }
}

fn of_bars(chart: &Bars) -> Table {
    let values = chart.bars.iter().flat_map(|bar| &bar.values);
    let measure = Measure::new(chart.unit, values.copied());
    let mut columns = vec![Column::words("")];
    match chart.parts.as_slice() {
        [] | [_] => columns.push(measure.column(&chart.label)),
        parts => columns.extend(parts.iter().map(|part| measure.column(part))),
    }
    let rows = chart.bars.iter().map(|bar| {
        let name = Cell::new(&bar.name);
        let values = bar.values.iter().map(|value| measure.cell(*value));
        [name].into_iter().chain(values).collect()
    });
    Table {
        caption: String::new(),
        columns,
        rows: rows.collect(),
    }
}

/// The unit that suits all numbers of a column.
struct Measure {
    whole: f64,
    unit: &'static str,
}

impl Measure {
    fn new(unit: Unit, values: impl Iterator<Item = f64>) -> Self {
        let finite = values.filter(|value| value.is_finite());
        let largest = finite.fold(0.0, |most, value| f64::max(most, value.abs()));
        let (whole, unit) = unit.column(largest);
        Self { whole, unit }
    }

    fn column(&self, head: &str) -> Column {
        Column::numbers(head, self.unit)
    }

    fn cell(&self, value: f64) -> Cell {
        match value {
            f64::INFINITY => Cell::new("∞"),
            _ => Cell::new(column_text(value / self.whole)),
        }
    }
}
