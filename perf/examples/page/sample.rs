//! A page with charts of every kind, from formulas and noise that is always the same. The tests read it, too.

use perf::chart::{
    Axis, Bar, Bars, Chart, Intervals, Lines, Origin, Panel, Phase, Point, Reference, Series, Unit,
};
use perf::page::{Block, Cell, Column, Figure, Page, Section, Table, Verdict};

const LOADS: [f64; 11] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9];

/// Name, and how its p99.9 slowdown grows: what it is at no load, and the load at which it would have no bound.
const POLICIES: [(&str, f64, f64); 5] = [
    ("fifo", 9.0, 0.62),
    ("rr 1 ms", 4.5, 0.86),
    ("rr 100 µs", 2.6, 0.94),
    ("edf", 2.9, 0.97),
    ("srpt", 1.6, 1.0),
];

/// The page.
pub fn page() -> Page {
    Page {
        title: "Which policy keeps short functions short?".to_owned(),
        lead: vec![
            "We asked at what load the 99.9th percentile of slowdown passes 50 when one function in two hundred takes \
             5 ms and the others 25 µs. Five policies were measured on three workers and simulated with the same \
             arrivals."
                .to_owned(),
            "First come, first served passes it at 16 % of capacity. Round robin with a quantum of 100 µs holds it up \
             to 78 %, 0.92 of what its simulation allows; earliest deadline first cannot be told from it."
                .to_owned(),
        ],
        names: POLICIES.map(|(name, ..)| name.to_owned()).to_vec(),
        sections: vec![load(), classes(), tail(), time(), edges()],
        manifest: "luge 0.1.0 (1cb273e)\ncommand: luge lab --workload wasm-edge --policies fifo,rr:1000,rr:100,edf,srpt\n\
                   kernel: 6.1.0\ncpu: 2 × virtual\nseed: 7\ngovernor: unknown <not readable>"
            .to_owned(),
    }
}

/// Its charts.
#[cfg_attr(not(test), expect(dead_code, reason = "for the tests"))]
pub fn charts() -> Vec<Chart> {
    let sections = page().sections.into_iter();
    let blocks = sections.flat_map(|section| section.blocks);
    blocks
        .filter_map(|block| match block {
            Block::Figure(figure) => Some(figure.chart),
            _ => None,
        })
        .collect()
}

/// The same numbers every time, between −1 and 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / f64::from(1_u32 << 30) - 1.0
    }
}

fn slowdown(least: f64, most: f64, load: f64) -> f64 {
    match load < most {
        true => 1.0 + least * load / (1.0 - load / most).powf(1.4),
        false => f64::INFINITY,
    }
}

fn figure(chart: Lines, caption: &str) -> Block {
    Block::Figure(Figure::new(Chart::Lines(chart), caption))
}

fn bars(chart: Bars, caption: &str) -> Block {
    Block::Figure(Figure::new(Chart::Bars(chart), caption))
}

fn swept(name: &str, origin: Origin, noise: &mut Noise, at: impl Fn(f64) -> f64) -> Series {
    let points = LOADS.map(|load| {
        let (bias, spread) = match origin {
            Origin::Live => (1.12, 0.10),
            _ => (1.0, 0.04),
        };
        let y = at(load) * bias * (1.0 + spread * noise.next());
        Point::new(load, y).within(y * (1.0 - 1.5 * spread), y * (1.0 + 1.8 * spread))
    });
    let (name, points) = (name.to_owned(), points.to_vec());
    Series {
        name,
        origin,
        points,
    }
}

fn load() -> Section {
    let mut noise = Noise(1);
    let mut series = Vec::new();
    for (name, least, most) in POLICIES {
        for origin in [Origin::Simulated, Origin::Live] {
            series.push(swept(name, origin, &mut noise, |load| {
                slowdown(least * 4.0, most, load)
            }));
        }
    }
    let theory = (0..100).map(|at| f64::from(at) / 100.0);
    series.push(Series {
        name: "fifo".to_owned(),
        origin: Origin::Theory,
        points: theory
            .map(|load| Point::new(load, slowdown(35.0, 0.62, load)))
            .collect(),
    });
    let chart = Lines {
        title: "p99.9 slowdown by load".to_owned(),
        x: Axis::linear("load, part of capacity", Unit::Percent),
        y: Axis::log("p99.9 slowdown", Unit::One).from(1.0).to(1000.0),
        panels: vec![Panel {
            series,
            ..Panel::default()
        }],
        references: references(),
        intervals: Intervals::Bars,
    };
    Section {
        title: "Load and slowdown".to_owned(),
        blocks: vec![
            Block::Paragraph("Slowdown is the time from a request's scheduled arrival to its answer, divided by what it takes alone.".to_owned()),
            figure(chart, "The 99.9th percentile of slowdown against load, for all requests. Bars are 95 % confidence intervals over ten replications. The dotted line is the theory of M/G/1 under FIFO."),
            Block::Table(capacities()),
            Block::Heading("The quantum".to_owned()),
            figure(quanta(), "The largest load that keeps the 99.9th percentile of slowdown below 50, against the quantum of round robin, and what part of the processor preemption itself takes."),
        ],
    }
}

fn references() -> Vec<Reference> {
    [("SLO 50", 50.0), ("SLO 10", 10.0)]
        .map(|(label, y)| Reference {
            label: label.to_owned(),
            y,
        })
        .to_vec()
}

fn capacities() -> Table {
    let row = |name: &str, fifty: &str, ten: Cell, bound: &str, sample: Cell| {
        vec![
            Cell::new(name),
            Cell::new(fifty),
            ten,
            Cell::new(bound),
            sample,
        ]
    };
    Table {
        caption: "The largest load that keeps an SLO of the 99.9th percentile of slowdown, live."
            .to_owned(),
        columns: vec![
            Column::words("Policy"),
            Column::numbers("SLO 50", "%"),
            Column::numbers("SLO 10", "%"),
            Column::numbers("Simulated, SLO 50", "%"),
            Column::numbers("p99.99 at 50 % load", "ms"),
        ],
        rows: vec![
            row(
                "fifo",
                "15.6",
                Cell::new("3.1").marked(Verdict::Bad, "missed"),
                "15.9",
                Cell::new("41.2"),
            ),
            row(
                "rr 1 ms",
                "44.0",
                Cell::new("11.5").marked(Verdict::Bad, "missed"),
                "46.8",
                Cell::new("12.8"),
            ),
            row(
                "rr 100 µs",
                "78.1",
                Cell::new("52.0").marked(Verdict::Good, "met"),
                "85.8",
                Cell::new("5.31"),
            ),
            row(
                "edf",
                "77.4",
                Cell::new("51.2").marked(Verdict::Uncertain, "within noise"),
                "84.9",
                Cell::too_few(41_270),
            ),
        ],
    }
}

fn quanta() -> Lines {
    let quanta = [20e3, 50e3, 100e3, 250e3, 500e3, 1e6, 5e6];
    let largest = [0.52, 0.74, 0.81, 0.66, 0.55, 0.44, 0.16];
    let series = |name: &str, origin, values: Vec<f64>| Series {
        name: name.to_owned(),
        origin,
        points: quanta
            .iter()
            .zip(values)
            .map(|(x, y)| Point::new(*x, y))
            .collect(),
    };
    let overheads = quanta.map(|quantum| 3200.0 / (quantum + 3200.0));
    Lines {
        title: "Largest load and overhead by quantum".to_owned(),
        x: Axis::log("quantum", Unit::Nanoseconds),
        y: Axis::linear("part of capacity", Unit::Percent),
        panels: vec![
            Panel {
                name: "Largest load at SLO 50".to_owned(),
                series: vec![
                    series("signal", Origin::Live, largest.to_vec()),
                    series(
                        "signal",
                        Origin::Simulated,
                        largest.map(|load| load * 1.06).to_vec(),
                    ),
                    series(
                        "epoch",
                        Origin::Live,
                        largest.map(|load| load * 0.8).to_vec(),
                    ),
                ],
                phases: Vec::new(),
            },
            Panel {
                name: "Processor time that preemption takes".to_owned(),
                series: vec![
                    series("signal", Origin::Live, overheads.to_vec()),
                    series(
                        "epoch",
                        Origin::Live,
                        overheads.map(|part| part * 0.4 + 0.11).to_vec(),
                    ),
                ],
                phases: Vec::new(),
            },
        ],
        ..Lines::default()
    }
}

fn classes() -> Section {
    let mut noise = Noise(2);
    let mut panel = |name: &str, factor: f64| Panel {
        name: name.to_owned(),
        series: POLICIES
            .iter()
            .map(|(policy, least, most)| {
                let factor = if *policy == "srpt" && factor < 1.0 {
                    9.0 * factor
                } else {
                    factor
                };
                swept(policy, Origin::Live, &mut noise, |load| {
                    slowdown(least * factor, *most, load)
                })
            })
            .collect(),
        phases: Vec::new(),
    };
    let three = vec![
        panel("empty, 2 µs", 14.0),
        panel("fib, 25 µs", 3.0),
        panel("resize, 5 ms", 0.3),
    ];
    let four = vec![
        panel("light", 0.5),
        panel("medium", 2.0),
        panel("heavy", 4.0),
        panel("extreme", 30.0),
    ];
    let chart = |panels| Lines {
        title: "p99 slowdown by load and class".to_owned(),
        x: Axis::linear("load, part of capacity", Unit::Percent),
        y: Axis::log("p99 slowdown", Unit::One).from(1.0).to(500.0),
        panels,
        references: references(),
        intervals: Intervals::Bars,
    };
    Section {
        title: "Who pays".to_owned(),
        blocks: vec![
            Block::List(vec![
                "Short functions gain what long ones lose, and they gain more.".to_owned(),
                "Under srpt the longest wait for all others.".to_owned(),
            ]),
            figure(
                chart(three),
                "The 99th percentile of slowdown by class of functions.",
            ),
            figure(chart(four), "The same for four mixes."),
        ],
    }
}

fn tail() -> Section {
    Section {
        title: "The tail".to_owned(),
        blocks: vec![
            figure(
                spectra(),
                "Percentiles of sojourn time at 70 % load, in nines. Bands are 95 % confidence intervals.",
            ),
            bars(
                waits(),
                "What the slowest thousandth of requests spent their time on.",
            ),
            bars(overheads(), "What a request costs beside its function."),
        ],
    }
}

fn spectra() -> Lines {
    let series = POLICIES.map(|(name, least, _)| {
        let nines = (0..=120).map(|at| f64::from(at) / 30.0);
        let points = nines.map(|nines| {
            let y = 27e3 * (1.0 + 0.05 * least * nines.powf(2.2));
            let y = y * (1.0 + 0.03 * (nines * 3.0).sin().abs());
            let spread = 0.01 + 0.02 * nines.powi(2);
            let percentile = 1.0 - 10_f64.powf(-nines);
            Point::new(percentile, y).within(y * (1.0 - spread), y * (1.0 + spread))
        });
        Series {
            name: name.to_owned(),
            origin: Origin::Live,
            points: points.collect(),
        }
    });
    Lines {
        title: "Percentiles of sojourn time at 70 % load".to_owned(),
        x: Axis::nines("percentile"),
        y: Axis::log("sojourn time", Unit::Nanoseconds),
        panels: vec![Panel {
            series: series.to_vec(),
            ..Panel::default()
        }],
        references: vec![Reference {
            label: "deadline".to_owned(),
            y: 100e3,
        }],
        intervals: Intervals::Band,
    }
}

fn waits() -> Bars {
    let parts = [
        "listener queue",
        "ring",
        "run queue, behind longer",
        "run queue, behind as long",
        "own execution",
        "preemption",
        "host",
    ];
    let bar = |name: &str, values: [f64; 7]| Bar {
        name: name.to_owned(),
        values: values.map(|value| value * 1e3).to_vec(),
    };
    Bars {
        title: "What the slowest requests waited for".to_owned(),
        label: "mean time of the requests beyond p99.9".to_owned(),
        unit: Unit::Nanoseconds,
        parts: parts.map(str::to_owned).to_vec(),
        bars: vec![
            bar("fifo", [35.0, 12.0, 9200.0, 380.0, 25.0, 0.0, 110.0]),
            bar("rr 1 ms", [35.0, 14.0, 2900.0, 610.0, 25.0, 8.0, 120.0]),
            bar("rr 100 µs", [38.0, 12.0, 420.0, 900.0, 25.0, 96.0, 180.0]),
            bar("edf", [36.0, 12.0, 380.0, 870.0, 25.0, 102.0, 640.0]),
            bar("srpt", [36.0, 12.0, 110.0, 240.0, 25.0, 60.0, 130.0]),
        ],
    }
}

fn overheads() -> Bars {
    let bars = [("signal", 3.2e3), ("epoch", 4.9e3), ("off", 1.7e3)];
    let bars = bars.map(|(name, value)| Bar {
        name: name.to_owned(),
        values: vec![value],
    });
    Bars {
        title: "Overhead of a request".to_owned(),
        label: "processor time beside the function's own".to_owned(),
        unit: Unit::Nanoseconds,
        parts: vec![String::new()],
        bars: bars.to_vec(),
    }
}

fn time() -> Section {
    let mut noise = Noise(3);
    let mut tenant = |name: &str, at: &dyn Fn(f64) -> f64| Series {
        name: name.to_owned(),
        origin: Origin::Live,
        points: (0..=300)
            .map(|tenth| {
                let seconds = f64::from(tenth) / 10.0;
                Point::new(seconds * 1e9, (at(seconds) + 0.015 * noise.next()).max(0.0))
            })
            .collect(),
    };
    let flood = |seconds: f64| {
        if (10.0..20.0).contains(&seconds) {
            0.62
        } else {
            0.12
        }
    };
    let chart = Lines {
        title: "Processor time of tenants".to_owned(),
        x: Axis::linear("time since start", Unit::Nanoseconds),
        y: Axis::linear("processor time, part of one worker", Unit::Percent).to(1.0),
        panels: vec![Panel {
            series: vec![
                tenant("victim", &|_| 0.3),
                tenant("neighbour", &flood),
                tenant("batch", &|seconds| 0.9 - 0.3 - flood(seconds)),
            ],
            phases: [
                ("calm", 0.0, 10e9),
                ("neighbour floods", 10e9, 20e9),
                ("calm again", 20e9, 30e9),
            ]
            .map(|(name, from, to)| Phase {
                name: name.to_owned(),
                from,
                to,
            })
            .to_vec(),
            ..Panel::default()
        }],
        references: vec![
            Reference {
                label: "victim's budget".to_owned(),
                y: 0.3,
            },
            Reference {
                label: "neighbour's budget".to_owned(),
                y: 0.28,
            },
        ],
        ..Lines::default()
    };
    Section {
        title: "A neighbour floods".to_owned(),
        blocks: vec![figure(
            chart,
            "Processor time that three tenants use, of one worker, by mtds. What is reserved is kept while a neighbour asks for ten times its share.",
        )],
    }
}

/// What is not as it should be: names, numbers, nothing.
fn edges() -> Section {
    let hostile =
        "</title></svg><script>alert(1)</script> & \"a very long name\" that goes on and on";
    let series = |name: &str, points: &[(f64, f64)]| Series {
        name: name.to_owned(),
        origin: Origin::Live,
        points: points.iter().map(|(x, y)| Point::new(*x, *y)).collect(),
    };
    let chart = Lines {
        title: hostile.to_owned(),
        x: Axis::linear("x", Unit::One),
        y: Axis::log("y & y < z", Unit::One).to(100.0),
        panels: vec![
            Panel {
                name: "points that cannot be drawn".to_owned(),
                series: vec![
                    series(
                        hostile,
                        &[
                            (0.0, 1.0),
                            (1.0, 5.0),
                            (2.0, 0.0),
                            (3.0, 9.0),
                            (4.0, f64::NAN),
                            (5.0, 20.0),
                            (6.0, 40.0),
                        ],
                    ),
                    series(
                        "beyond",
                        &[
                            (0.0, 3.0),
                            (1.0, 30.0),
                            (2.0, 300.0),
                            (3.0, 3000.0),
                            (5.0, 20.0),
                            (6.0, f64::INFINITY),
                        ],
                    ),
                    series("nobody", &[]),
                ],
                phases: Vec::new(),
            },
            Panel {
                name: "nothing".to_owned(),
                series: vec![series("nobody", &[])],
                phases: Vec::new(),
            },
        ],
        ..Lines::default()
    };
    Section {
        title: format!("Edges: {hostile}"),
        blocks: vec![
            figure(chart, hostile),
            figure(Lines::default(), "A chart of nothing."),
        ],
    }
}
