//! What charts say in words: to those who point at something, and to those who do not see them.

use super::axis::Axis;
use super::{Bars, Lines, Point, Scale, Series};

/// The numbers of one point.
pub(super) fn told(chart: &Lines, series: &Series, point: &Point) -> String {
    let (x, y) = (chart.x.unit.text(point.x), chart.y.unit.text(point.y));
    let interval = point.interval.map(|(low, high)| {
        let (low, high) = (chart.y.unit.text(low), chart.y.unit.text(high));
        format!(" ({low} to {high})")
    });
    format!(
        "{}, {}\n{}: {x}\n{}: {y}{}",
        series.name,
        series.origin.word(),
        chart.x.label,
        chart.y.label,
        interval.unwrap_or_default()
    )
}

/// What there is to see in a chart of lines.
pub(super) fn of_lines(chart: &Lines) -> String {
    let mut words = format!("{} over {}.", axis(&chart.y), axis(&chart.x));
    for reference in &chart.references {
        words += &format!(
            " A line at {}: {}.",
            chart.y.unit.text(reference.y),
            reference.label
        );
    }
    for panel in &chart.panels {
        if !panel.name.is_empty() {
            words += &format!(" {}:", panel.name);
        }
        for series in &panel.series {
            words += &format!(
                " {}, {}: {}.",
                series.name,
                series.origin.word(),
                extent(chart, series)
            );
        }
        for phase in &panel.phases {
            let (from, to) = (chart.x.unit.text(phase.from), chart.x.unit.text(phase.to));
            words += &format!(" From {from} to {to}: {}.", phase.name);
        }
    }
    words
}

/// What there is to see in a chart of bars.
pub(super) fn of_bars(chart: &Bars) -> String {
    let mut words = format!("Bars of {}.", chart.label);
    for bar in &chart.bars {
        let parts = bar
            .values
            .iter()
            .zip(chart.parts.iter().map(String::as_str).chain([""]));
        let parts = parts.map(|(value, part)| format!("{part} {}", chart.unit.text(*value)));
        let parts = parts.collect::<Vec<_>>().join(", ");
        words += &format!(" {}: {}.", bar.name, parts.trim());
    }
    words
}

fn axis(axis: &Axis) -> String {
    let scale = match axis.scale {
        Scale::Linear => "",
        Scale::Log => " (logarithmic)",
        Scale::Nines => " (by the number of nines)",
    };
    format!("{}{scale}", axis.label)
}

/// How many points a series has, and from where to where it leads.
fn extent(chart: &Lines, series: &Series) -> String {
    let (Some(first), Some(last)) = (series.points.first(), series.points.last()) else {
        return "no data".to_owned();
    };
    let place = |point: &Point| {
        let y = match point.y {
            f64::INFINITY => "beyond the axis".to_owned(),
            y => chart.y.unit.text(y),
        };
        format!("{y} at {}", chart.x.unit.text(point.x))
    };
    match series.points.len() {
        1 => format!("1 point, {}", place(first)),
        count => format!("{count} points, from {} to {}", place(first), place(last)),
    }
}
