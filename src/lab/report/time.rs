//! Where time went: the workers', and that of the slowest requests.

use std::collections::BTreeMap;

use perf::chart::{Bar, Bars, Chart, Unit};
use perf::page::{Block, Figure, Section};

use super::super::digest::{Digest, Line};
use super::super::measured::Tail;
use super::figures::{close_up, shown};
use super::words::{origin_word, value_text};

/// Causes that are told by name; the others are told together.
const CAUSES_MAX: usize = 8;

fn name(digest: &Digest<'_>, (policy, origin): Line) -> String {
    format!(
        "{}, {}",
        digest.results.policies[policy].name,
        origin_word(origin)
    )
}

/// What the workers did.
pub fn workers(digest: &Digest<'_>) -> Section {
    let results = digest.results;
    let at = close_up(results);
    let bars = shown(digest).into_iter().filter_map(|line| {
        let shares = digest.measured(line, at)?.workers;
        Some(Bar {
            name: name(digest, line),
            values: vec![shares.work, shares.stretch, shares.switching, shares.idle()],
        })
    });
    let chart = Chart::Bars(Bars {
        title: "The workers' time".to_owned(),
        label: "part of the workers' time".to_owned(),
        unit: Unit::Percent,
        parts: ["work", "rest of slices", "between slices", "idle"]
            .map(str::to_owned)
            .into(),
        bars: bars.collect(),
    });
    let caption = format!(
        "What the workers did at {}: the requests' own work; what their slices took beyond that (starts of sandboxes, cold \
         caches, checks, interrupts, other processes); time between slices in which somebody could have run (preempting, \
         ending, taking in); and nothing.",
        value_text(results, results.axis.values[at])
    );
    let mut blocks = vec![Block::Figure(Figure::new(chart, &caption))];
    blocks.extend(cpu(digest, at));
    Section {
        title: "The workers' time".to_owned(),
        blocks,
    }
}

/// The other threads' processor time.
fn cpu(digest: &Digest<'_>, at: usize) -> Option<Block> {
    let results = digest.results;
    let value = results.axis.values[at];
    let mut threads = BTreeMap::<&str, BTreeMap<usize, Vec<f64>>>::new();
    for run in results.runs.iter().filter(|run| run.value == value) {
        for (thread, cores) in run.live.iter().flat_map(|live| &live.cpu) {
            if !thread.starts_with("luge-worker") && *cores >= 0.001 {
                let policies = threads.entry(thread).or_default();
                policies.entry(run.policy).or_default().push(*cores);
            }
        }
    }
    if threads.is_empty() {
        return None;
    }
    let parts: Vec<String> = threads.keys().map(|thread| (*thread).to_owned()).collect();
    let bars = results.policies.iter().enumerate().map(|(policy, told)| {
        let mean = |runs: &Vec<f64>| runs.iter().sum::<f64>() / runs.len().max(1) as f64;
        let values = threads
            .values()
            .map(|policies| policies.get(&policy).map_or(0.0, mean));
        Bar {
            name: told.name.clone(),
            values: values.collect(),
        }
    });
    let chart = Chart::Bars(Bars {
        title: "The other threads' time".to_owned(),
        label: "part of one core".to_owned(),
        unit: Unit::Percent,
        parts,
        bars: bars.collect(),
    });
    let caption = format!(
        "Processor time of the server's other threads at {}, as the kernel counts it. Workers look for work without sleeping \
         in the lab, so that theirs says nothing.",
        value_text(results, value)
    );
    Some(Block::Figure(Figure::new(chart, &caption)))
}

/// What the slowest were waiting for.
pub fn tail(digest: &Digest<'_>) -> Section {
    let results = digest.results;
    let at = close_up(results);
    let found: Vec<(Line, &Tail)> = shown(digest)
        .into_iter()
        .filter_map(|line| Some((line, digest.measured(line, at)?.tail.as_ref()?)))
        .collect();
    if found.is_empty() {
        return Section {
            title: String::new(),
            blocks: Vec::new(),
        };
    }
    let causes = causes(&found);
    let bars = found
        .iter()
        .map(|(line, tail)| bar(name(digest, *line), tail, &causes));
    let mut parts = causes.clone();
    parts.push("all else".to_owned());
    let chart = Chart::Bars(Bars {
        title: "What the slowest requests were waiting for".to_owned(),
        label: "part of their time".to_owned(),
        unit: Unit::Percent,
        parts,
        bars: bars.collect(),
    });
    let caption = format!(
        "Where the time of the slowest request in a thousand (by slowdown) went at {}. Every nanosecond has one cause: \
         behind whom it waited, whether its worker was switching, what it ran itself, and what it ran longer than undisturbed \
         (stalled).",
        value_text(results, results.axis.values[at])
    );
    let sentences = found
        .iter()
        .map(|(line, tail)| sentence(&name(digest, *line), tail));
    Section {
        title: "What the tail was waiting for".to_owned(),
        blocks: vec![
            Block::Figure(Figure::new(chart, &caption)),
            Block::List(sentences.collect()),
        ],
    }
}

/// The causes that are told by name, the largest first.
fn causes(found: &[(Line, &Tail)]) -> Vec<String> {
    let mut parts = BTreeMap::<&str, f64>::new();
    for (_, tail) in found {
        for cause in &tail.causes {
            let part = cause.tail_ns as f64 / tail.sojourn_ns.max(1) as f64;
            *parts.entry(&cause.name).or_default() += part;
        }
    }
    let mut parts: Vec<_> = parts.into_iter().collect();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let largest = parts
        .into_iter()
        .filter(|(_, part)| *part > 0.0)
        .take(CAUSES_MAX);
    largest.map(|(name, _)| name.to_owned()).collect()
}

fn bar(name: String, tail: &Tail, causes: &[String]) -> Bar {
    let part = |ns: u64| ns as f64 / tail.sojourn_ns.max(1) as f64;
    let of = |name: &String| {
        let found = tail.causes.iter().find(|cause| cause.name == *name);
        part(found.map_or(0, |cause| cause.tail_ns))
    };
    let mut values: Vec<f64> = causes.iter().map(of).collect();
    values.push((1.0 - values.iter().sum::<f64>()).max(0.0));
    Bar { name, values }
}

/// A tail's causes in words.
pub fn sentence(name: &str, tail: &Tail) -> String {
    let mut causes: Vec<_> = tail.causes.iter().collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.tail_ns));
    let part = |ns: u64, of: u64| Unit::Percent.text(ns as f64 / of.max(1) as f64);
    let parts = causes
        .iter()
        .take(3)
        .filter(|cause| cause.tail_ns > 0)
        .map(|cause| {
            let all = part(cause.all_ns, tail.all_sojourn_ns);
            format!(
                "{} {} ({all} of all requests' time)",
                part(cause.tail_ns, tail.sojourn_ns),
                cause.name
            )
        });
    let mean_ns = tail.sojourn_ns as f64 / tail.requests.max(1) as f64;
    format!(
        "{name}: {} requests with a slowdown of {} or more, {} long on average: {}.",
        tail.requests,
        Unit::One.text(tail.from_permille as f64 / 1e3),
        Unit::Nanoseconds.text(mean_ns),
        parts.collect::<Vec<_>>().join(", ")
    )
}
