//! Charts along the axis, spectra, and the course of a run.

use perf::Percentile;
use perf::chart::{
    Axis, Chart, Intervals, Lines, Origin as Stroke, Panel, Point, Reference, Series, Unit,
};
use perf::objective::{Metric, Statistic};
use perf::page::{Block, Figure, Section};

use super::super::digest::{Digest, Line};
use super::super::measured::{Interval, OfClass};
use super::super::results::{Kind, Origin, PERMILLE, Results, Wanted};
use super::super::theory;
use super::words::{origin_word, statistic_word, stroke, value_text};

/// Slowdowns beyond it are told by an arrow.
const SLOWDOWN_MAX: f64 = 10_000.0;

/// Loads beyond it are near enough to 1 for formulas to say nothing useful.
const THEORY_LOAD_MAX: f64 = 0.98;

/// Points of a formula's line.
const THEORY_POINTS: u32 = 60;

/// Classes that are shown apart.
const CLASSES_APART_MAX: usize = 6;

/// Where a spectrum is read: so many halvings of what is beyond.
const SPECTRUM_POINTS: u32 = 80;

/// The horizontal axis of most charts.
pub fn axis(results: &Results) -> Axis {
    let name = &results.axis.name;
    let least = results.axis.values.first().copied().unwrap_or(0.0);
    let most = results.axis.values.last().copied().unwrap_or(1.0);
    // What goes over decades is seen on no linear axis.
    let is_wide = most > 20.0 * least;
    match results.axis.kind {
        Kind::Load if is_wide => Axis::log(name, Unit::Percent),
        Kind::Load => Axis::linear(name, Unit::Percent).to(most),
        Kind::Quantum => Axis::log(name, Unit::Nanoseconds),
        Kind::Clients if is_wide => Axis::log(name, Unit::One),
        Kind::Clients => Axis::linear(name, Unit::One).to(most),
    }
}

/// A value of the axis in the units of [`axis`].
pub fn along(results: &Results, value: f64) -> f64 {
    match results.axis.kind {
        Kind::Quantum => value * 1e3,
        Kind::Load | Kind::Clients => value,
    }
}

/// The lines that charts show.
pub fn shown(digest: &Digest<'_>) -> Vec<Line> {
    let lines = digest.lines().into_iter();
    lines
        .filter(|(_, origin)| *origin != Origin::Replayed)
        .collect()
}

/// A line for each policy and origin: what is known of it at each value of the axis, placed there by its horizontal place.
fn along_axis(
    digest: &Digest<'_>,
    point: impl Fn(Line, usize, f64) -> Option<Point>,
) -> Vec<Series> {
    let results = digest.results;
    let series = shown(digest).into_iter().map(|line| {
        let values = results.axis.values.iter().enumerate();
        let points = values.filter_map(|(at, value)| point(line, at, along(results, *value)));
        Series {
            name: results.policies[line.0].name.clone(),
            origin: stroke(line.1),
            points: points.collect(),
        }
    });
    series.collect()
}

/// A statistic of each policy along the axis.
fn series(digest: &Digest<'_>, wanted: Wanted) -> Vec<Series> {
    along_axis(digest, |line, at, x| {
        let found = digest.value(line, at, wanted)?;
        let point = Point::new(x, found.value);
        Some(match found.interval {
            Some((low, high)) => point.within(low, high),
            None => point,
        })
    })
}

fn lines(
    digest: &Digest<'_>,
    title: String,
    y: Axis,
    panels: Vec<Panel>,
    references: Vec<Reference>,
) -> Chart {
    Chart::Lines(Lines {
        title,
        x: axis(digest.results),
        y,
        panels,
        references,
        intervals: Intervals::Bars,
    })
}

/// A way in which a request is of no use to its client.
#[derive(Clone, Copy)]
enum End {
    Useless,
    Refused,
    Dropped,
}

impl End {
    fn count(self, class: &OfClass) -> u64 {
        match self {
            Self::Useless => class.missed + class.unanswered(),
            Self::Refused => class.refused,
            Self::Dropped => class.dropped,
        }
    }
}

fn panel(name: &str, series: Vec<Series>) -> Panel {
    Panel {
        name: name.to_owned(),
        series,
        phases: Vec::new(),
    }
}

/// The objectives of this metric and statistic, as lines.
fn references(results: &Results, wanted: Wanted) -> Vec<Reference> {
    let objectives = results.parsed_objectives();
    let own = objectives.iter().filter(|objective| {
        let class = results.class(objective.class.as_deref());
        (objective.metric, objective.statistic, class)
            == (wanted.metric, wanted.statistic, wanted.class)
    });
    let reference = own.map(|objective| Reference {
        label: objective.to_string(),
        y: objective.at_most,
    });
    reference.collect()
}

fn slowdown_axis(statistic: Statistic) -> Axis {
    let label = format!("{} slowdown", statistic_word(statistic));
    Axis::log(&label, Unit::One).from(1.0).to(SLOWDOWN_MAX)
}

/// The tail along the axis.
pub fn tail(digest: &Digest<'_>) -> Section {
    let results = digest.results;
    let mut blocks = Vec::new();
    for percentile in [Percentile::P99_9, Percentile::P99] {
        let statistic = Statistic::At(percentile);
        let wanted = Wanted {
            metric: Metric::Slowdown,
            statistic,
            class: None,
        };
        let word = statistic_word(statistic);
        let chart = lines(
            digest,
            format!("{word} slowdown along the {}", results.axis.name),
            slowdown_axis(statistic),
            vec![panel("", series(digest, wanted))],
            references(results, wanted),
        );
        let caption = format!(
            "The {word} of the slowdown of all requests, by policy. Lower is better. Solid lines are the server, dashed \
             ones the simulator; bars are 95 % confidence intervals between repetitions. Requests that were not answered are \
             slower than all others: where a percentile is one of them there is no point."
        );
        blocks.push(Block::Figure(Figure::new(chart, &caption)));
    }
    if results.axis.kind == Kind::Clients {
        blocks.push(throughput(digest));
    }
    blocks.push(mean(digest));
    blocks.push(queue(digest));
    Section {
        title: format!("The tail along the {}", results.axis.name),
        blocks,
    }
}

/// How much is answered, which in a closed loop nobody has asked for.
fn throughput(digest: &Digest<'_>) -> Block {
    let series = along_axis(digest, |line, at, x| {
        let measured = digest.measured(line, at)?;
        let seconds = measured.window_ns as f64 / 1e9;
        Some(Point::new(x, measured.all().finished as f64 / seconds))
    });
    let title = format!("Throughput along the {}", digest.results.axis.name);
    let y = Axis::linear("requests per second", Unit::One).from(0.0);
    let chart = lines(digest, title, y, vec![panel("", series)], Vec::new());
    let caption =
        "Requests that were answered in a second, all clients together. Higher is better.";
    Block::Figure(Figure::new(chart, caption))
}

/// The mean sojourn, beside what theory says of it.
fn mean(digest: &Digest<'_>) -> Block {
    let results = digest.results;
    let wanted = Wanted {
        metric: Metric::Sojourn,
        statistic: Statistic::Mean,
        class: None,
    };
    let mut all = series(digest, wanted);
    let mut known = Vec::new();
    for policy in &results.policies {
        let Some(formula) = theory::formula(results, policy) else {
            continue;
        };
        if known.contains(&policy.scheduler) {
            continue;
        }
        known.push(policy.scheduler.clone());
        let least = results.axis.values.first().copied().unwrap_or(0.0);
        let most = results
            .axis
            .values
            .last()
            .copied()
            .unwrap_or(0.0)
            .min(THEORY_LOAD_MAX);
        let points = (0..=THEORY_POINTS).map(|step| {
            let load = least + (most - least) * f64::from(step) / f64::from(THEORY_POINTS);
            Point::new(load, formula(load))
        });
        all.push(Series {
            name: policy.name.clone(),
            origin: Stroke::Theory,
            points: points.collect(),
        });
    }
    let theory = match known.is_empty() {
        true => "",
        false => {
            " Dotted lines are queueing theory without any overhead: Pollaczek and Khinchine for FIFO, processor sharing \
             for round robin, Schrage and Miller for SRPT, Phipps for SJF."
        }
    };
    let chart = lines(
        digest,
        format!("Mean sojourn along the {}", results.axis.name),
        Axis::log("mean sojourn", Unit::Nanoseconds),
        vec![panel("", all)],
        references(results, wanted),
    );
    let caption = format!(
        "The mean time from arrival until a request is over, of those that were answered.{theory}"
    );
    Block::Figure(Figure::new(chart, &caption))
}

/// How long requests wait for a processor.
fn queue(digest: &Digest<'_>) -> Block {
    let series = along_axis(digest, |line, at, x| {
        let queue_ns = digest.measured(line, at)?.all().queue_ns;
        let p99_ns = queue_ns.percentile(Percentile::P99)?;
        Some(Point::new(x, p99_ns.max(1) as f64))
    });
    let chart = lines(
        digest,
        format!("Time in queue along the {}", digest.results.axis.name),
        Axis::log("p99 of the time in queue", Unit::Nanoseconds),
        vec![panel("", series)],
        Vec::new(),
    );
    let caption = "The p99 of the time in which a request was there and did not run: before its first slice, and between \
                   two of them; of requests that were answered.";
    Block::Figure(Figure::new(chart, caption))
}

/// The tail of each class.
pub fn classes(digest: &Digest<'_>) -> Section {
    let results = digest.results;
    let mut blocks = Vec::new();
    if results.classes.len() > 1 {
        for percentile in [Percentile::P99_9, Percentile::P99] {
            let statistic = Statistic::At(percentile);
            let panels = results.classes.iter().enumerate().map(|(at, class)| {
                let wanted = Wanted {
                    metric: Metric::Slowdown,
                    statistic,
                    class: Some(at),
                };
                panel(&class.name, series(digest, wanted))
            });
            let word = statistic_word(statistic);
            let chart = lines(
                digest,
                format!("{word} slowdown of each class"),
                slowdown_axis(statistic),
                panels.collect(),
                Vec::new(),
            );
            let caption = format!(
                "The {word} of the slowdown, class by class. A class of too few requests for it has no line."
            );
            blocks.push(Block::Figure(Figure::new(chart, &caption)));
        }
    }
    Section {
        title: "Class by class".to_owned(),
        blocks,
    }
}

/// The value of the axis that is looked at closely: the highest load that is not an overload.
pub fn close_up(results: &Results) -> usize {
    let values = &results.axis.values;
    let fits = |value: &f64| results.axis.kind != Kind::Load || *value <= 0.9;
    values.iter().rposition(fits).unwrap_or(0)
}

/// All percentiles at one value of the axis.
pub fn spectra(digest: &Digest<'_>) -> Section {
    let results = digest.results;
    let at = close_up(results);
    let mut blocks = Vec::new();
    for (is_slowdown, y) in [
        (true, Axis::log("slowdown", Unit::One).from(1.0)),
        (false, Axis::log("sojourn", Unit::Nanoseconds)),
    ] {
        let series = shown(digest).into_iter().filter_map(|line| {
            let all = digest.measured(line, at)?.all();
            Some(Series {
                name: results.policies[line.0].name.clone(),
                origin: stroke(line.1),
                points: spectrum(&all, is_slowdown),
            })
        });
        let what = if is_slowdown { "slowdown" } else { "sojourn" };
        let chart = Chart::Lines(Lines {
            title: format!("Percentiles of the {what}"),
            x: Axis::nines("percentile"),
            y,
            panels: vec![panel("", series.collect())],
            references: Vec::new(),
            intervals: Intervals::Bars,
        });
        let caption = format!(
            "All percentiles of the {what} at {}, on an axis on which each nine is as wide as the one before; they end where \
             fewer than ten requests lie beyond, or where those begin that were not answered.",
            value_text(results, results.axis.values[at])
        );
        // Too many numbers for a table; they are in the results.
        let data = None;
        blocks.push(Block::Figure(Figure {
            data,
            ..Figure::new(chart, &caption)
        }));
    }
    Section {
        title: format!(
            "All percentiles at {}",
            value_text(results, results.axis.values[at])
        ),
        blocks,
    }
}

fn spectrum(class: &OfClass, is_slowdown: bool) -> Vec<Point> {
    let (histogram, scale) = match is_slowdown {
        true => (&class.slowdown_permille, PERMILLE),
        false => (&class.sojourn_ns, 1.0),
    };
    let unanswered = class.unanswered();
    let points = (0..SPECTRUM_POINTS).filter_map(|step| {
        let beyond = 0.5_f64.powf(f64::from(step) / 5.0);
        let hundredths = ((1.0 - beyond) * 1e4).floor() as u32;
        let value = histogram.percentile_beside(Percentile(hundredths), unanswered)?;
        let is_known = value.is_finite();
        is_known.then(|| Point::new(f64::from(hundredths) / 1e4, value / scale))
    });
    let mut points: Vec<Point> = points.collect();
    points.dedup_by(|a, b| a.x == b.x);
    points
}

/// How the runs at one value of the axis went.
pub fn course(digest: &Digest<'_>) -> Section {
    let results = digest.results;
    let mut blocks = Vec::new();
    let last = results.axis.values.len() - 1;
    for origin in results.origins() {
        let panels = results
            .policies
            .iter()
            .enumerate()
            .filter_map(|(policy, told)| {
                let run = results
                    .of(policy, origin, results.axis.values[last])
                    .next()?;
                let intervals = &run.measured.intervals;
                let series = results.classes.iter().enumerate();
                let series = series.map(|(at, class)| in_time(intervals, at, &class.name, origin));
                (!intervals.is_empty()).then(|| panel(&told.name, series.collect()))
            });
        let panels: Vec<Panel> = panels.collect();
        if panels.is_empty() || origin == Origin::Replayed {
            continue;
        }
        let from = origin_word(origin);
        let chart = Chart::Lines(Lines {
            title: "Requests answered in time, interval by interval".to_owned(),
            x: Axis::linear("time", Unit::Nanoseconds),
            y: Axis::linear("answered in time, of those that came", Unit::Percent)
                .from(0.0)
                .to(1.0),
            panels,
            references: Vec::new(),
            intervals: Intervals::Bars,
        });
        let caption = format!(
            "The part of the requests of each interval that was answered by its deadline, policy by policy, at {}, in the \
             first repetition on the {from}.",
            value_text(results, results.axis.values[last])
        );
        blocks.push(Block::Figure(Figure {
            data: None,
            ..Figure::new(chart, &caption)
        }));
        blocks.push(present(digest, origin, last));
    }
    Section {
        title: "The course of a run".to_owned(),
        blocks,
    }
}

fn in_time(intervals: &[Interval], class: usize, name: &str, origin: Origin) -> Series {
    let points = intervals.iter().filter_map(|interval| {
        let counts = interval
            .classes
            .get(class)
            .filter(|counts| counts.requests > 0)?;
        let part = counts.in_time as f64 / counts.requests as f64;
        Some(Point::new(interval.from_ns as f64, part))
    });
    Series {
        name: name.to_owned(),
        origin: stroke(origin),
        points: points.collect(),
    }
}

/// How many requests are there.
fn present(digest: &Digest<'_>, origin: Origin, at: usize) -> Block {
    let results = digest.results;
    let series = results
        .policies
        .iter()
        .enumerate()
        .filter_map(|(policy, told)| {
            let run = results.of(policy, origin, results.axis.values[at]).next()?;
            let intervals = run.measured.intervals.iter();
            let points = intervals.map(|it| Point::new(it.from_ns as f64, it.present as f64));
            Some(Series {
                name: told.name.clone(),
                origin: stroke(origin),
                points: points.collect(),
            })
        });
    let chart = Chart::Lines(Lines {
        title: "Requests on the server".to_owned(),
        x: Axis::linear("time", Unit::Nanoseconds),
        y: Axis::linear("requests on the server", Unit::One),
        panels: vec![panel("", series.collect())],
        references: Vec::new(),
        intervals: Intervals::Bars,
    });
    let caption = format!(
        "How many requests are on the server at the end of each interval, in the same runs on the {}.",
        origin_word(origin)
    );
    Block::Figure(Figure {
        data: None,
        ..Figure::new(chart, &caption)
    })
}

/// How requests end: in time, late, refused.
pub fn ends(digest: &Digest<'_>) -> Section {
    let results = digest.results;
    let mut blocks = Vec::new();
    let parts = [
        ("were of no use: late, or not answered", End::Useless),
        ("were refused", End::Refused),
        ("were dropped or answered with an error", End::Dropped),
    ];
    let is_few = (2..=CLASSES_APART_MAX).contains(&results.classes.len());
    for (what, end) in parts {
        let mut panels = vec![panel("all", parts_along(digest, end, None))];
        if is_few {
            let classes = results.classes.iter().enumerate();
            panels.extend(
                classes.map(|(at, class)| panel(&class.name, parts_along(digest, end, Some(at)))),
            );
        }
        let mut points = panels[0].series.iter().flat_map(|series| &series.points);
        if points.all(|point| point.y == 0.0) {
            continue;
        }
        let chart = lines(
            digest,
            format!("Requests that {what}"),
            Axis::linear("part of the requests", Unit::Percent).from(0.0),
            panels,
            Vec::new(),
        );
        let caption = format!("The part of the requests that {what}.");
        blocks.push(Block::Figure(Figure::new(chart, &caption)));
    }
    Section {
        title: "How requests ended".to_owned(),
        blocks,
    }
}

/// The part of the requests, all or of a class, that had this end.
fn parts_along(digest: &Digest<'_>, end: End, class: Option<usize>) -> Vec<Series> {
    along_axis(digest, |line, at, x| {
        let measured = digest.measured(line, at)?;
        let of = match class {
            Some(class) => measured.classes.get(class)?.clone(),
            None => measured.all(),
        };
        let part = end.count(&of) as f64 / of.requests.max(1) as f64;
        Some(Point::new(x, part))
    })
}
