//! The report of an experiment: one page for somebody who was not there.
//!
//! | file | subject |
//! | --- | --- |
//! | this | which sections there are |
//! | [`figures`] | charts along the axis, spectra, the course of a run |
//! | [`overload`] | what is done with more than can be done |
//! | [`time`] | where time went: of workers, and of the slowest requests |
//! | [`trust`] | how far to believe it: agreement, noise, costs |
//! | [`words`] | how things are called, and what came out in sentences |
//!
//! What it shows is in [`super::results`]; how it looks is `perf::page`'s affair.

mod figures;
pub mod overload;
pub mod time;
mod trust;
pub mod words;

use perf::objective::{Highest, Objective};
use perf::page::{Block, Cell, Column, Page, Section, Table, Verdict};

use super::digest::{Digest, Line};
use super::results::{Kind, Origin, Results, Wanted};
use words::{load_text, origin_word};

/// The file's name.
pub const FILE: &str = "report.html";

/// The page of these results.
pub fn page(results: &Results) -> Page {
    let digest = Digest::new(results);
    let mut sections = vec![
        outcome(&digest),
        figures::tail(&digest),
        figures::classes(&digest),
        figures::spectra(&digest),
        overload::section(&digest),
        figures::course(&digest),
        figures::ends(&digest),
        time::workers(&digest),
        time::tail(&digest),
        trust::section(&digest),
    ];
    sections.retain(|section| !section.blocks.is_empty());
    Page {
        title: results.title.clone(),
        lead: words::lead(&digest),
        names: results
            .policies
            .iter()
            .map(|policy| policy.name.clone())
            .collect(),
        sections,
        manifest: manifest(results),
    }
}

/// The highest load at which an objective is met; `None` if the axis is not of loads or nothing is known.
pub fn highest(digest: &Digest<'_>, line: Line, objective: &Objective) -> Option<Highest> {
    if digest.results.axis.kind != Kind::Load {
        return None;
    }
    let wanted = wanted(digest, objective)?;
    let values = digest.results.axis.values.iter().enumerate();
    let values: Vec<_> = values
        .filter(|(at, _)| digest.measured(line, *at).is_some())
        .map(|(at, load)| (*load, digest.pooled(line, at, wanted)))
        .collect();
    Highest::of(&values, objective.at_most)
}

/// `None` if it is of a class that is not there.
fn wanted(digest: &Digest<'_>, objective: &Objective) -> Option<Wanted> {
    let class = objective.class.as_deref();
    let known = digest.results.class(class);
    if class.is_some() && known.is_none() {
        return None;
    }
    Some(Wanted {
        metric: objective.metric,
        statistic: objective.statistic,
        class: known,
    })
}

/// Up to which load each policy meets each objective.
fn outcome(digest: &Digest<'_>) -> Section {
    let objectives = digest.results.parsed_objectives();
    let mut blocks = Vec::new();
    if digest.results.axis.kind == Kind::Load && !objectives.is_empty() {
        blocks.push(Block::Table(objectives_table(digest, &objectives)));
        blocks.push(Block::Paragraph(
            "Between two loads that were measured the value is taken to grow exponentially. Where even the lowest load \
             that was tried is too much, or the highest one is not, that is said. Requests that were refused, dropped or \
             answered with an error are slower than all others. \"n/a\": too few requests to tell."
                .to_owned(),
        ));
    }
    blocks.push(Block::Table(words::classes_table(digest.results)));
    blocks.push(Block::Table(words::policies_table(digest.results)));
    Section {
        title: "What came out, and what was asked".to_owned(),
        blocks,
    }
}

fn objectives_table(digest: &Digest<'_>, objectives: &[Objective]) -> Table {
    let mut columns = vec![Column::words("Policy"), Column::words("From")];
    columns.extend(
        objectives
            .iter()
            .map(|it| Column::numbers(&it.to_string(), "")),
    );
    let lines = digest.lines();
    let shown = lines
        .iter()
        .filter(|(_, origin)| *origin != Origin::Replayed);
    let rows =
        shown.map(|line| {
            let policy = &digest.results.policies[line.0];
            let mut row = vec![Cell::new(&policy.name), Cell::new(origin_word(line.1))];
            row.extend(objectives.iter().map(|objective| {
                match highest(digest, *line, objective) {
                    None => Cell::new("n/a"),
                    Some(found) => {
                        let cell = Cell::new(load_text(found));
                        match found {
                            Highest::Below(_) => cell.marked(Verdict::Bad, "missed"),
                            Highest::At(_) | Highest::AtLeast(_) => cell,
                        }
                    }
                }
            }));
            row
        });
    Table {
        caption: "The highest load, as a part of what the workers could do without any overhead, at which each \
                  objective is met"
            .to_owned(),
        columns,
        rows: rows.collect(),
    }
}

fn manifest(results: &Results) -> String {
    let manifest = serde_json::to_string_pretty(&results.manifest);
    let manifest = manifest.unwrap_or_default();
    format!("{manifest}\n\n{}", results.experiment.trim_end())
}
