//! Pages: what is in their HTML.

use html5ever::tendril::TendrilSink;
use markup5ever_rcdom::RcDom;
use perf::chart::{Chart, Lines, Origin, Panel, Point, Series};
use perf::page::{Block, Cell, Column, Figure, Page, Section, Table, Verdict};
use roxmltree::{Document, Node, ParsingOptions};

use crate::charts::NAMES;
use crate::sample;

/// As XML, which a page is, too.
fn parsed(html: &str) -> Document<'_> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(html, options).unwrap_or_else(|error| panic!("{error}: {html}"))
}

fn elements<'a>(document: &'a Document, name: &'a str) -> impl Iterator<Item = Node<'a, 'a>> {
    document
        .descendants()
        .filter(move |node| node.is_element() && node.tag_name().name() == name)
}

fn text(node: Node) -> String {
    node.descendants()
        .filter(Node::is_text)
        .filter_map(|node| node.text())
        .collect()
}

/// What holds for any page: HTML without an error, XML, and nothing that would be fetched or run.
fn check(page: &Page) {
    let html = page.html();
    let dom = html5ever::parse_document(RcDom::default(), html5ever::ParseOpts::default())
        .one(html.as_str());
    assert!(dom.errors.borrow().is_empty(), "{:?}: {html}", dom.errors);
    let document = parsed(&html);
    assert_eq!(document.root_element().attribute("lang"), Some("en"));
    let viewport =
        elements(&document, "meta").any(|meta| meta.attribute("name") == Some("viewport"));
    assert!(viewport);
    let policy = elements(&document, "meta").find_map(|meta| {
        let is_policy = meta.attribute("http-equiv") == Some("Content-Security-Policy");
        meta.attribute("content").filter(|_| is_policy)
    });
    assert!(
        policy
            .unwrap()
            .starts_with("default-src 'none'; style-src 'unsafe-inline'; ")
    );
    let mut ids: Vec<_> = document
        .descendants()
        .filter_map(|node| node.attribute("id"))
        .collect();
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "{ids:?}");
    for element in document.descendants().filter(Node::is_element) {
        let name = element.tag_name().name();
        assert!(
            !["script", "img", "iframe", "object", "embed", "base", "form"].contains(&name),
            "{name}"
        );
        for attribute in element.attributes() {
            assert!(!attribute.name().starts_with("on"), "{attribute:?}");
            assert!(
                !["src", "srcset", "action", "style"].contains(&attribute.name()),
                "{attribute:?}"
            );
            if attribute.name() == "href" {
                let is_own = attribute
                    .value()
                    .strip_prefix('#')
                    .is_some_and(|id| ids.contains(&id));
                assert!(is_own || attribute.value() == "data:,", "{attribute:?}");
            }
        }
    }
    for style in elements(&document, "style") {
        assert!(!text(style).contains("url(") && !text(style).contains("@import"));
    }
}

#[test]
fn a_page_is_html_and_needs_nothing_else() {
    check(&Page::default());
    check(&sample::page());
    for name in NAMES {
        check(&named(name));
    }
}

/// A page where everything has this name.
fn named(name: &str) -> Page {
    let owned = name.to_owned();
    let series = |origin| Series {
        name: owned.clone(),
        origin,
        points: vec![Point::new(1.0, 2.0).within(1.0, 3.0)],
    };
    let chart = Chart::Lines(Lines {
        title: owned.clone(),
        panels: vec![Panel {
            name: owned.clone(),
            series: vec![series(Origin::Live), series(Origin::Theory)],
            ..Panel::default()
        }],
        ..Lines::default()
    });
    let table = Table {
        caption: owned.clone(),
        columns: vec![Column::words(name), Column::numbers(name, name)],
        rows: vec![
            vec![Cell::new(name), Cell::new(name).marked(Verdict::Bad, name)],
            vec![],
        ],
    };
    Page {
        title: owned.clone(),
        lead: vec![owned.clone()],
        names: vec![owned.clone()],
        sections: vec![
            Section {
                title: owned.clone(),
                blocks: vec![
                    Block::Heading(owned.clone()),
                    Block::Paragraph(owned.clone()),
                    Block::List(vec![owned.clone()]),
                    Block::Table(table),
                    Block::Figure(Figure::new(chart, name)),
                ],
            };
            5
        ],
        manifest: owned,
    }
}

#[test]
fn names_are_shown_as_they_are() {
    let shown = |name: &&&str| !name.is_empty() && !name.contains('\0');
    for name in NAMES.iter().filter(shown) {
        let html = named(name).html();
        let document = parsed(&html);
        let heads =
            ["title", "h1", "h2", "h3", "p", "li"].map(|tag| elements(&document, tag).next());
        for element in heads.into_iter().flatten() {
            assert_eq!(text(element), *name, "{element:?}");
        }
        assert_eq!(text(elements(&document, "pre").next().unwrap()), *name);
    }
}

#[test]
fn the_same_page_is_the_same_bytes() {
    assert_eq!(sample::page().html(), sample::page().html());
}

#[test]
fn a_name_has_one_look_on_a_page() {
    let page = sample::page();
    let html = page.html();
    let document = parsed(&html);
    let mut seen = Vec::new();
    for name in &page.names {
        let mut looks = Vec::new();
        for group in elements(&document, "g") {
            let title = group
                .first_element_child()
                .and_then(|title| title.text())
                .unwrap_or("");
            let mark = group.children().filter(Node::is_element).nth(1);
            if let Some(mark) = mark.filter(|_| title.starts_with(&format!("{name}, live\n"))) {
                let corners = mark
                    .attribute("points")
                    .map_or(0, |points| points.split_whitespace().count());
                looks.push((mark.attribute("fill").unwrap(), corners));
            }
        }
        assert!(looks.len() > 30, "{name}: {looks:?}");
        looks.dedup();
        assert_eq!(looks.len(), 1, "{name}: {looks:?}");
        seen.extend(looks);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), page.names.len());
}

#[test]
fn looks_are_given_to_the_names_of_the_page_first() {
    let first_mark = |names: &[&str]| {
        let page = Page {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..named("fifo")
        };
        let html = page.html();
        let document = parsed(&html);
        let groups = elements(&document, "g");
        let mut marks = groups.filter_map(|group| {
            let mut inner = group.children().filter(Node::is_element);
            let is_mark = inner.next()?.text()?.starts_with("fifo, live");
            let colour = inner.next()?.attribute("fill")?;
            is_mark.then(|| colour.to_owned())
        });
        marks.next().unwrap()
    };
    assert_eq!(first_mark(&[]), first_mark(&["fifo", "edf"]));
    assert_eq!(first_mark(&["edf", "fifo"]), "#DE7618");
}

#[test]
fn tables_say_what_their_numbers_mean() {
    let table = Table {
        caption: "Loads".to_owned(),
        columns: vec![
            Column::words("Policy"),
            Column::numbers("SLO 50", "%"),
            Column::words("Remark"),
        ],
        rows: vec![
            vec![
                Cell::new("fifo"),
                Cell::new("15.6").marked(Verdict::Bad, "missed"),
                Cell::new("x"),
                Cell::new("cut"),
            ],
            vec![Cell::new("edf"), Cell::too_few(41_270)],
        ],
    };
    let blocks = vec![Block::Table(table)];
    let sections = vec![Section {
        title: String::new(),
        blocks,
    }];
    let html = Page {
        sections,
        ..Page::default()
    }
    .html();
    let document = parsed(&html);
    assert_eq!(
        text(elements(&document, "caption").next().unwrap()),
        "Table 1. Loads"
    );
    let cell = |cell: Node| {
        let class = cell.attribute("class").unwrap_or("");
        format!("{} {class}: {}", cell.tag_name().name(), text(cell))
    };
    let rows = elements(&document, "tr").map(|row| row.children().map(cell).collect::<Vec<_>>());
    let rows: Vec<_> = rows.collect();
    let expected = [
        ["th : Policy", "th number: SLO 50 %", "th : Remark"],
        ["th : fifo", "td number: missed 15.6", "td : x"],
        ["th : edf", "td number: n/a (n\u{a0}=\u{a0}41,270)", "td : "],
    ];
    assert_eq!(rows, expected);
}

#[test]
fn contents_and_the_manifest_are_there_when_they_are_needed() {
    for (sections, has_contents) in [(0, false), (3, false), (4, true)] {
        let section = Section {
            title: "A & B".to_owned(),
            blocks: Vec::new(),
        };
        let manifest = if has_contents { "seed: 7" } else { "" };
        let page = Page {
            sections: vec![section; sections],
            manifest: manifest.to_owned(),
            ..Page::default()
        };
        let html = page.html();
        let document = parsed(&html);
        let links: Vec<_> = elements(&document, "a").map(text).collect();
        let expected: &[&str] = if has_contents {
            &["A & B", "A & B", "A & B", "A & B", "Manifest"]
        } else {
            &[]
        };
        assert_eq!(links, expected);
        assert_eq!(
            elements(&document, "pre").map(text).collect::<String>(),
            manifest
        );
        check(&page);
    }
}

#[test]
fn the_numbers_of_a_chart_stand_beneath_it() {
    let series = Series {
        name: "fifo".to_owned(),
        origin: Origin::Simulated,
        points: vec![
            Point::new(0.5, 1.5e6).within(1.25e6, 2e6),
            Point::new(0.9, f64::INFINITY),
        ],
    };
    let chart = Lines {
        x: perf::chart::Axis::linear("load", perf::chart::Unit::Percent),
        y: perf::chart::Axis::log("sojourn time", perf::chart::Unit::Nanoseconds),
        panels: vec![Panel {
            series: vec![series],
            ..Panel::default()
        }],
        ..Lines::default()
    };
    let data = perf::page::data::of(&Chart::Lines(chart));
    let columns: Vec<_> = data
        .columns
        .iter()
        .map(|column| format!("{} {}", column.head, column.unit))
        .collect();
    assert_eq!(
        columns,
        [
            "Series ",
            "Origin ",
            "load %",
            "sojourn time ms",
            "from ms",
            "to ms"
        ]
    );
    let rows: Vec<Vec<_>> = data
        .rows
        .iter()
        .map(|row| row.iter().map(|cell| cell.text.as_str()).collect())
        .collect();
    assert_eq!(rows[0], ["fifo", "simulated", "50", "1.5", "1.25", "2"]);
    assert_eq!(rows[1], ["fifo", "simulated", "90", "∞"]);
}
