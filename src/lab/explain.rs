//! `luge lab explain`: what the slowest requests were waiting for, of an experiment or of any server's recording.

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use perf::recording::{self, Whole};
use perf::story::Stories;
use perf::tail::{Classes, Explanation, explain};

use super::digest::Digest;
use super::report::time::sentence;
use super::report::words::{origin_word, value_text};
use super::results::{Origin, Results};

/// Of all policies and points of an experiment, one line each.
pub fn of_results(results: &Results) -> String {
    let digest = Digest::new(results);
    let mut text = String::new();
    for line in digest.lines() {
        if line.1 == Origin::Replayed {
            continue;
        }
        for (at, value) in results.axis.values.iter().enumerate() {
            let tail = digest
                .measured(line, at)
                .and_then(|measured| measured.tail.as_ref());
            let Some(tail) = tail else { continue };
            let policy = &results.policies[line.0].name;
            let name = format!(
                "{policy}, {}, at {}",
                origin_word(line.1),
                value_text(results, *value)
            );
            let _infallible = writeln!(text, "{}", sentence(&name, tail));
        }
    }
    text
}

/// Of a recording: the slowest `per_million` of its requests, by sojourn over what they ran.
///
/// # Errors
///
/// A sentence that names the file.
pub fn of_recording(file: &Path, per_million: u32) -> Result<String, String> {
    let place = |why: String| format!("{}: {why}", file.display());
    let opened = File::open(file).map_err(|error| place(error.to_string()))?;
    let read = recording::read(BufReader::with_capacity(1 << 20, opened));
    let Whole {
        header,
        chunks,
        is_truncated,
    } = read.map_err(|error| place(error.to_string()))?;
    let stories = Stories::of(chunks);
    let routes = header.routes.len() as u16;
    let unknown = stories.whole.iter().find(|story| story.route >= routes);
    if let Some(story) = unknown {
        return Err(place(format!(
            "is damaged: it has no route {}",
            story.route
        )));
    }
    let classes = Classes {
        names: header
            .routes
            .iter()
            .map(|route| route.name.clone())
            .collect(),
        // Nobody knows how long they take undisturbed.
        routes: (0..routes).map(|route| (route, None)).collect(),
    };
    let explanation = explain(&stories.whole, &classes, per_million, 0..u64::MAX);
    let explanation = explanation.ok_or_else(|| place("no request has finished in it".into()))?;
    let mut text = table(&explanation, &classes);
    if is_truncated {
        text.push_str("the end of the file is missing\n");
    }
    if stories.torn + stories.lost > 0 {
        let _infallible = writeln!(
            text,
            "left out: {} requests of which a part is missing; {} events were lost",
            stories.torn, stories.lost
        );
    }
    Ok(text)
}

fn table(explanation: &Explanation, classes: &Classes) -> String {
    let Explanation {
        all,
        tail,
        from_permille,
    } = explanation;
    let mean_us = |sojourn_ns: u64, requests: u64| sojourn_ns as f64 / requests.max(1) as f64 / 1e3;
    let mut text = format!(
        "{} of {} requests had the largest slowdown: they took {:.1} times as long as they ran, or more\n\n{:<32} {:>14} {:>14}\n{:<32} {:>11.1} µs {:>11.1} µs\n",
        tail.requests,
        all.requests,
        *from_permille as f64 / 1e3,
        "their time went to",
        "those",
        "all",
        "on average",
        mean_us(tail.sojourn_ns, tail.requests),
        mean_us(all.sojourn_ns, all.requests),
    );
    let mut causes: Vec<_> = all.causes.keys().collect();
    causes.sort_by(|a, b| tail.share(**b).total_cmp(&tail.share(**a)));
    for cause in causes {
        let percent = |share: f64| share * 1e2;
        let _infallible = writeln!(
            text,
            "{:<32} {:>12.2} % {:>12.2} %",
            cause.name(classes),
            percent(tail.share(*cause)),
            percent(all.share(*cause))
        );
    }
    text
}
