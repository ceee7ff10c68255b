//! Charts: what is in their SVG.

use perf::chart::{
    Axis, Bar, Bars, Chart, Intervals, Lines, Looks, Origin, Panel, Phase, Point, Reference,
    Series, Unit,
};
use perf::page::Page;
use roxmltree::{Document, Node};

use crate::sample;

/// Names that mean something to HTML, to SVG or to nobody.
pub const NAMES: [&str; 9] = [
    "",
    "</title></svg><script>alert(1)</script>",
    "\" onload=\"alert(1)",
    "]]><!-- &lt; &#0; &unknown;",
    "a\0b\u{1b}[31m\u{7f}\u{85}\u{ffff}\r\n\tc",
    "\u{202e}fifo\u{202d}",
    "<![CDATA[x]]>",
    "中文 🦀 ﷽",
    "a name that is longer than any legend has room for, and goes on and on, and on, and on, and on, and on",
];

/// Numbers that have no place, or a strange one.
const NUMBERS: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    0.5,
    -1.0,
    0.999_999_999,
    5e-324,
    f64::MIN_POSITIVE,
    f64::EPSILON,
    1e99,
    1e300,
    f64::MAX,
    f64::MIN,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn name(&mut self) -> String {
        self.one(&NAMES).to_owned()
    }

    fn number(&mut self) -> f64 {
        match self.below(3) {
            0 => self.one(&NUMBERS),
            _ => self.below(2_000) as f64 / 1_000.0,
        }
    }

    fn axis(&mut self) -> Axis {
        let unit = self.one(&[Unit::One, Unit::Percent, Unit::Nanoseconds]);
        let name = self.name();
        let axis = self.one(&[
            Axis::linear(&name, unit),
            Axis::log(&name, unit),
            Axis::nines(&name),
        ]);
        Axis {
            min: (self.below(3) == 0).then(|| self.number()),
            max: (self.below(3) == 0).then(|| self.number()),
            ..axis
        }
    }

    fn list<T>(&mut self, up_to: usize, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(up_to + 1)).map(|_| item(self)).collect()
    }

    fn chart(&mut self) -> Chart {
        if self.below(4) == 0 {
            return Chart::Bars(Bars {
                title: self.name(),
                label: self.name(),
                unit: self.one(&[Unit::One, Unit::Percent, Unit::Nanoseconds]),
                parts: self.list(30, Self::name),
                bars: self.list(5, |random| Bar {
                    name: random.name(),
                    values: random.list(30, Self::number),
                }),
            });
        }
        Chart::Lines(Lines {
            title: self.name(),
            x: self.axis(),
            y: self.axis(),
            panels: self.list(7, |random| Panel {
                name: random.name(),
                series: random.list(10, Self::series),
                phases: random.list(3, |random| Phase {
                    name: random.name(),
                    from: random.number(),
                    to: random.number(),
                }),
            }),
            references: self.list(3, |random| Reference {
                label: random.name(),
                y: random.number(),
            }),
            intervals: self.one(&[Intervals::Bars, Intervals::Band]),
        })
    }

    fn series(&mut self) -> Series {
        Series {
            name: self.name(),
            origin: self.one(&[Origin::Live, Origin::Simulated, Origin::Theory]),
            points: self.list(12, |random| {
                let interval = (random.below(2) == 0).then(|| (random.number(), random.number()));
                Point {
                    x: random.number(),
                    y: random.number(),
                    interval,
                }
            }),
        }
    }
}

fn svg(chart: &Chart) -> String {
    chart.svg(&Looks::new(chart.names()))
}

fn parsed(svg: &str) -> Document<'_> {
    Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"))
}

fn lines(chart: Lines) -> Chart {
    Chart::Lines(chart)
}

/// A series with points at these tenths.
fn series(name: &str, origin: Origin, points: &[(f64, f64)]) -> Series {
    let points = points
        .iter()
        .map(|(x, y)| Point::new(*x / 10.0, *y))
        .collect();
    let name = name.to_owned();
    Series {
        name,
        origin,
        points,
    }
}

/// A chart of one panel whose axes go from 0 % to 100 %, and from 1 to 1,000 by logarithms.
fn capped(all: Vec<Series>) -> Chart {
    lines(Lines {
        x: Axis::linear("load", Unit::Percent).from(0.0).to(1.0),
        y: Axis::log("slowdown", Unit::One).from(1.0).to(1000.0),
        panels: vec![Panel {
            series: all,
            ..Panel::default()
        }],
        ..Lines::default()
    })
}

/// The groups whose title begins so.
fn titled<'a>(document: &'a Document, beginning: &str) -> Vec<Node<'a, 'a>> {
    let groups = document
        .descendants()
        .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "g")));
    let title = |group: &Node| {
        group
            .first_element_child()
            .and_then(|title| title.text().map(str::to_owned))
    };
    groups
        .filter(|group| title(group).is_some_and(|title| title.starts_with(beginning)))
        .collect()
}

/// All coordinates of an element: those along, and those down.
fn coordinates(element: Node) -> (Vec<f64>, Vec<f64>) {
    let (mut along, mut down) = (Vec::new(), Vec::new());
    for attribute in element.attributes() {
        let number = || attribute.value().parse::<f64>().unwrap();
        match attribute.name() {
            "x" | "x1" | "x2" | "cx" => along.push(number()),
            "y" | "y1" | "y2" | "cy" => down.push(number()),
            "width" => {
                along.push(element.attribute("x").unwrap().parse::<f64>().unwrap() + number())
            }
            "height" => {
                down.push(element.attribute("y").unwrap().parse::<f64>().unwrap() + number())
            }
            "points" => {
                for point in attribute.value().split_whitespace() {
                    let (x, y) = point.split_once(',').unwrap();
                    along.push(x.parse().unwrap());
                    down.push(y.parse().unwrap());
                }
            }
            _ => {}
        }
    }
    (along, down)
}

/// What holds for any chart: well-formed, named, described, all of it within its bounds, in colours that a page knows.
fn check(chart: &Chart) {
    let svg = svg(chart);
    let document = parsed(&svg);
    let root = document.root_element();
    let size: Vec<f64> = root
        .attribute("viewBox")
        .unwrap()
        .split(' ')
        .map(|part| part.parse().unwrap())
        .collect();
    let [_, _, width, height] = size[..] else {
        panic!("{size:?}");
    };
    assert!(width >= 6_400.0 && height > 0.0, "{size:?}");
    let tags: Vec<_> = root
        .children()
        .filter(Node::is_element)
        .take(2)
        .map(|node| node.tag_name().name())
        .collect();
    assert_eq!(tags, ["title", "desc"]);
    let style = Page::default().html();
    for element in root
        .children()
        .flat_map(|child| child.descendants())
        .filter(Node::is_element)
    {
        assert!(
            !matches!(element.tag_name().name(), "script" | "a" | "image" | "use"),
            "{svg}"
        );
        let (along, down) = coordinates(element);
        assert!(
            along.iter().all(|x| (0.0..=width).contains(x)),
            "{element:?} of {chart:?}"
        );
        assert!(
            down.iter().all(|y| (0.0..=height).contains(y)),
            "{element:?} of {chart:?}"
        );
        for attribute in ["fill", "stroke"] {
            let colour = element.attribute(attribute).unwrap_or("none");
            assert!(
                colour == "none"
                    || style.contains(&format!(
                        ".chart [{attribute}=\"{colour}\"]{{{attribute}:var(--"
                    )),
                "{colour}"
            );
        }
        assert!(
            element
                .attributes()
                .all(|attribute| !attribute.name().starts_with("on")),
            "{svg}"
        );
    }
}

#[test]
fn whatever_is_drawn_is_well_formed_and_within_its_bounds() {
    check(&lines(Lines::default()));
    check(&Chart::Bars(Bars::default()));
    for chart in sample::charts() {
        check(&chart);
    }
    let many = (0..300).map(|at| series(&at.to_string(), Origin::Live, &[(9.0, 1.0), (10.0, 1e9)]));
    check(&capped(many.collect()));
    let mut random = Random(1);
    for _ in 0..300 {
        check(&random.chart());
    }
}

#[test]
fn the_same_chart_is_the_same_bytes() {
    let charts = |seed| {
        let mut random = Random(seed);
        let all: Vec<String> = (0..30).map(|_| svg(&random.chart())).collect();
        all
    };
    assert_eq!(charts(2), charts(2));
    assert_ne!(charts(2), charts(3));
}

#[test]
fn every_point_that_can_be_drawn_has_a_mark_that_tells_it() {
    const NAN: f64 = f64::NAN;
    // The points of a live series, how many marks there are, and of how many points each stretch of its line is.
    type Row = (&'static [(f64, f64)], usize, &'static [usize]);
    let rows: [Row; 8] = [
        (&[(1.0, 2.0), (2.0, 3.0), (3.0, 4.0)], 3, &[3]),
        (&[(1.0, 2.0), (2.0, NAN), (3.0, 4.0), (4.0, 5.0)], 3, &[2]),
        (&[(1.0, 2.0), (2.0, 0.0), (3.0, 4.0)], 2, &[]),
        (&[(1.0, 2.0), (2.0, 3.0), (NAN, 4.0), (4.0, -1.0)], 2, &[2]),
        // Beyond the top, and back.
        (
            &[(1.0, 2.0), (2.0, 1e4), (3.0, 4.0), (4.0, f64::INFINITY)],
            2,
            &[2, 2],
        ),
        (&[(5.0, 5.0)], 1, &[]),
        (&[(11.0, 5.0), (12.0, 5.0)], 0, &[]),
        (&[], 0, &[]),
    ];
    for (points, marks, stretches) in rows {
        let chart = capped(vec![
            series("fifo", Origin::Live, points),
            series("other", Origin::Theory, &[(0.0, 1.0), (5.0, 5.0)]),
        ]);
        let svg = svg(&chart);
        let document = parsed(&svg);
        assert_eq!(
            titled(&document, "fifo, live\nload: ").len(),
            marks,
            "{points:?}"
        );
        assert_eq!(titled(&document, "other, theory\n").len(), 0);
        let colour = "#1154CA";
        let drawn = document
            .descendants()
            .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "polyline")));
        // Edges of marks have a width of their own.
        let drawn = drawn.filter(|line| {
            line.attribute("stroke") == Some(colour) && line.attribute("stroke-width") == Some("19")
        });
        let mut drawn: Vec<_> = drawn.map(|line| coordinates(line).0.len()).collect();
        assert_eq!(drawn.remove(0), 2, "the sample in the legend");
        assert_eq!(drawn, stretches, "{points:?}");
    }
}

#[test]
fn what_goes_beyond_is_told_at_the_edge() {
    let chart = capped(vec![
        series("up", Origin::Live, &[(0.0, 10.0), (10.0, 1e5)]),
        series(
            "away",
            Origin::Simulated,
            &[(0.0, 10.0), (8.0, f64::INFINITY)],
        ),
        series("down", Origin::Live, &[(0.0, 10.0), (2.0, 0.1)]),
        series("within", Origin::Live, &[(0.0, 1.0), (10.0, 1000.0)]),
    ]);
    let svg = svg(&chart);
    let document = parsed(&svg);
    // Where the vertical axis and the horizontal one begin and end.
    let label = |text: &str, attribute| {
        let labels = document
            .descendants()
            .filter(|node| node.text().is_some_and(|own| own.trim() == text));
        labels
            .filter_map(|node| node.attribute(attribute))
            .next()
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    let (top, bottom) = (label("1,000", "y"), label("1", "y"));
    let (left, right) = (label("0\u{a0}%", "x"), label("100\u{a0}%", "x"));
    // Half of the way from 10 to 100,000 is 1,000; 10 to 0.1 passes 1 in the middle.
    for (name, at, edge) in [
        ("up, live", 0.5, top),
        ("away, simulated", 0.8, top),
        ("down, live", 0.1, bottom),
    ] {
        let arrows = titled(&document, &format!("{name}: goes on beyond the axis"));
        assert_eq!(arrows.len(), 1, "{name}");
        let (along, down) = coordinates(arrows[0].last_element_child().unwrap());
        let base = (along[0] + along[1]) / 2.0;
        assert!(
            (base - (left + at * (right - left))).abs() < 30.0,
            "{name} {base}"
        );
        assert!((down[0] - edge).abs() < 30.0, "{name} {down:?}");
        assert_eq!(down[2] < down[0], edge == top, "{name}");
    }
    assert!(titled(&document, "within, live: ").is_empty());
    assert!(svg.contains("\ngoes on beyond the axis\n"));
    assert!(
        !self::svg(&capped(vec![series("within", Origin::Live, &[(0.0, 1.0)])]))
            .contains("goes on")
    );
}

#[test]
fn what_would_hide_each_other_stands_apart() {
    let same = ["a", "b", "c"].map(|name| series(name, Origin::Live, &[(0.0, 10.0), (5.0, 1e5)]));
    let Chart::Lines(chart) = capped(same.to_vec()) else {
        unreachable!()
    };
    let references = [10.0, 10.1, 10.2].map(|y| Reference {
        label: format!("SLO {y}"),
        y,
    });
    let references = references.to_vec();
    let svg = svg(&Chart::Lines(Lines {
        references,
        ..chart
    }));
    let document = parsed(&svg);
    let arrows = ["a", "b", "c"].map(|name| {
        let arrows = titled(&document, &format!("{name}, live: goes on"));
        coordinates(arrows[0].last_element_child().unwrap()).0[0]
    });
    let labels = document.descendants().filter(|node| {
        let is_text = node.tag_name().name() == "text";
        is_text && node.text().is_some_and(|text| text.starts_with("\nSLO"))
    });
    let labels: Vec<_> = labels.map(|label| coordinates(label).1[0]).collect();
    assert_eq!(labels.len(), 3);
    for places in [&arrows[..], &labels] {
        assert!(
            places.windows(2).all(|pair| pair[1] - pair[0] >= 100.0),
            "{places:?}"
        );
    }
    // What says the same needs no second arrow.
    let same = [Origin::Live, Origin::Simulated]
        .map(|origin| series("a", origin, &[(0.0, 10.0), (5.0, 1e5)]));
    let svg = self::svg(&capped(same.to_vec()));
    assert_eq!(svg.matches(": goes on").count(), 1);
}

#[test]
fn intervals_end_at_the_edge() {
    let ends = |interval, intervals| {
        let points = [0.2, 0.5, 0.8].map(|x| Point::new(x, 10.0));
        let mut series = series("fifo", Origin::Live, &[]);
        series.points = points.to_vec();
        series.points[1].interval = interval;
        let Chart::Lines(chart) = capped(vec![series]) else {
            unreachable!()
        };
        let svg = svg(&Chart::Lines(Lines { intervals, ..chart }));
        let document = parsed(&svg);
        let is_bar = |node: &Node| node.attribute("stroke-width") == Some("12");
        let bars = document.descendants().filter(is_bar);
        let bars: Vec<_> = bars.map(|bar| coordinates(bar).1).collect();
        let bands = svg.matches("opacity=\"0.16\"").count();
        (bars, bands)
    };
    // The interval, how many lines it is drawn with, and whether it ends at the top and at the bottom of the panel.
    let infinite = f64::INFINITY;
    let rows = [
        (Some((5.0, 20.0)), 3, false, false),
        (Some((5.0, 2000.0)), 2, true, false),
        (Some((5.0, infinite)), 2, true, false),
        (Some((0.0, 20.0)), 2, false, true),
        (Some((0.5, 20.0)), 2, false, true),
        (Some((-1.0, 2000.0)), 1, true, true),
        (Some((2000.0, 3000.0)), 0, false, false),
        (Some((20.0, 5.0)), 0, false, false),
        (Some((f64::NAN, 5.0)), 0, false, false),
        (Some((5.0, f64::NAN)), 0, false, false),
        (None, 0, false, false),
    ];
    let (whole, _) = ends(Some((1.0, 1000.0)), Intervals::Bars);
    let (bottom, top) = (whole[0][0], whole[0][1]);
    for (interval, lines, at_top, at_bottom) in rows {
        let (bars, _) = ends(interval, Intervals::Bars);
        assert_eq!(bars.len(), lines, "{interval:?}");
        if let Some(bar) = bars.first() {
            assert_eq!(
                (bar[1] == top, bar[0] == bottom),
                (at_top, at_bottom),
                "{interval:?}"
            );
            assert!(bar[1] >= top && bar[0] <= bottom, "{interval:?}");
        }
        // A band needs two points beside each other.
        assert_eq!(
            ends(interval, Intervals::Band),
            (Vec::new(), 0),
            "{interval:?}"
        );
    }
    let mut two = series("fifo", Origin::Live, &[]);
    two.points = [0.2, 0.5]
        .map(|x| Point::new(x, 10.0).within(5.0, 20.0))
        .to_vec();
    let Chart::Lines(chart) = capped(vec![two]) else {
        unreachable!()
    };
    let intervals = Intervals::Band;
    let svg = svg(&Chart::Lines(Lines { intervals, ..chart }));
    assert_eq!(svg.matches("opacity=\"0.16\"").count(), 1);
}

#[test]
fn what_is_empty_says_so() {
    let rows: [(&[(f64, f64)], bool); 4] = [
        (&[], true),
        (&[(1.0, -1.0)], true),
        (&[(1.0, f64::NAN)], true),
        (&[(1.0, 1.0)], false),
    ];
    for (points, is_empty) in rows {
        let svg = svg(&capped(vec![series("fifo", Origin::Live, points)]));
        assert_eq!(svg.contains("\nfifo (no data)\n"), is_empty, "{points:?}");
        assert_eq!(svg.contains("\nno data\n"), is_empty, "{points:?}");
    }
}

#[test]
fn origins_are_told_by_strokes() {
    let points = [(1.0, 2.0), (9.0, 20.0)];
    use Origin::{Live, Simulated, Theory};
    let dashed = |origins: &[Origin]| {
        let all = origins
            .iter()
            .map(|origin| series("fifo", *origin, &points));
        let svg = svg(&capped(all.collect()));
        let words =
            [Live, Simulated, Theory].map(|origin| svg.contains(&format!("\n{}\n", origin.word())));
        // Both samples in the legend, and the line.
        (
            svg.matches("stroke-dasharray=\"70 40\"").count(),
            svg.matches("stroke-dasharray=\"19 32\"").count(),
            words,
        )
    };
    assert_eq!(dashed(&[Live]), (0, 0, [false, false, false]));
    assert_eq!(dashed(&[Simulated]), (3, 0, [false, true, false]));
    assert_eq!(dashed(&[Theory]), (0, 3, [false, false, true]));
    assert_eq!(
        dashed(&[Theory, Live, Simulated]),
        (2, 2, [true, true, true])
    );
    for (origin, fill) in [(Live, "#1154CA"), (Simulated, "#FFFFFF")] {
        let svg = svg(&capped(vec![series("fifo", origin, &points)]));
        let document = parsed(&svg);
        let marks = titled(&document, "fifo, ");
        assert_eq!(marks.len(), 2);
        for mark in marks {
            let mut shapes = mark.children().filter(Node::is_element).skip(1);
            assert_eq!(shapes.next().unwrap().attribute("fill"), Some(fill));
        }
    }
}

#[test]
fn a_legend_is_above_what_it_explains() {
    for chart in sample::charts() {
        let Chart::Lines(chart) = chart else {
            continue;
        };
        let names: Vec<_> = chart
            .panels
            .iter()
            .flat_map(|panel| &panel.series)
            .map(|series| series.name.clone())
            .collect();
        let top = {
            let svg = svg(&Chart::Lines(chart.clone()));
            let document = parsed(&svg);
            let marks = names
                .iter()
                .flat_map(|name| titled(&document, &format!("{name}, ")));
            let heights = marks.flat_map(|mark| {
                mark.descendants()
                    .flat_map(|node| coordinates(node).1)
                    .collect::<Vec<_>>()
            });
            heights.fold(f64::INFINITY, f64::min)
        };
        let svg = svg(&Chart::Lines(chart));
        let document = parsed(&svg);
        for text in document
            .descendants()
            .filter(|node| node.tag_name().name() == "text")
        {
            let is_name = text
                .text()
                .is_some_and(|text| names.iter().any(|name| name == text.trim()));
            if is_name {
                let y: f64 = text.attribute("y").unwrap().parse().unwrap();
                assert!(y + 60.0 < top, "{text:?} {top}");
            }
        }
    }
}

#[test]
fn parts_of_bars_are_as_long_as_their_values() {
    let bars = Bars {
        unit: Unit::One,
        parts: vec!["queue".to_owned(), "run".to_owned()],
        bars: vec![
            Bar {
                name: "fifo".to_owned(),
                values: vec![61.0, 22.0],
            },
            Bar {
                name: "odd".to_owned(),
                values: vec![-5.0, f64::NAN, 41.0],
            },
        ],
        ..Bars::default()
    };
    let svg = svg(&Chart::Bars(bars));
    let document = parsed(&svg);
    // From where to where a part goes.
    let place = |title: &str| {
        let [group] = titled(&document, title)[..] else {
            panic!("{title}: {svg}");
        };
        let is_rectangle = |node: &Node| node.tag_name().name() == "rect";
        let (along, _) = coordinates(group.children().find(is_rectangle).unwrap());
        (along[0], along[1])
    };
    let (queue, run, odd) = (
        place("fifo, queue: 61"),
        place("fifo, run: 22"),
        place("odd, : 41"),
    );
    let unit = (run.1 - queue.0) / 83.0;
    // The next begins where one ends, but for a pixel between them.
    for (part, from, to) in [(queue, 0.0, 61.0), (run, 61.0, 83.0), (odd, 0.0, 41.0)] {
        assert!((part.0 - (queue.0 + from * unit)).abs() < 15.0, "{part:?}");
        assert!((part.1 - (queue.0 + to * unit)).abs() < 15.0, "{part:?}");
    }
    assert!(titled(&document, "odd, run").is_empty());
    for text in ["a 61", "b 22", "83", "41"] {
        assert!(svg.contains(&format!("\n{text}\n")), "{text}");
    }
}
