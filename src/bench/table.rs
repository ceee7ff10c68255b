//! The table of a run, for people: times in milliseconds, `n/a` where the sample is too small to tell.

use super::report::{Bounds, Gaps, PERCENTILES, Report, Times};
use super::tally::Failure;

impl Report {
    /// The table for people.
    pub fn table(&self) -> String {
        let mut text = self.table_head();
        let widths = self.targets.iter().map(|row| row.name.chars().count());
        let width = widths.max().unwrap_or(0).clamp(16, 40);
        text += &format!(
            "\n{:<width$} {:>10} {:>9}",
            "latency, ms", "requests", "failed"
        );
        for (name, _) in PERCENTILES {
            text += &format!(" {name:>17}");
        }
        text += &format!(" {:>10}\n", "max");
        for row in &self.targets {
            let name: String = row.name.chars().take(width).collect();
            text += &format!("{name:<width$} {:>10} {:>9}", row.requests, row.failed);
            text += &row.latency_ns.cells(|bounds| ms(bounds.value));
            text += &format!(
                " {:>10}\n",
                row.latency_ns.max.map_or_else(|| "n/a".into(), ms)
            );
            if row.latency_ns.percentile("p50").is_none() {
                continue;
            }
            text += &format!("{:<width$} {:>10} {:>9}", "", "", "");
            let interval = |bounds: &Bounds| format!("[{}, {}]", ms(bounds.low), ms(bounds.high));
            text += row
                .latency_ns
                .cells(interval)
                .trim_end_matches([' ', 'n', '/', 'a']);
            text += "\n";
        }
        let all = &self.targets[0];
        text += &format!("{:<width$} {:>10} {:>9}", "since the send", all.right, "");
        text += &all.since_sent_ns.cells(|bounds| ms(bounds.value));
        text += &format!(
            " {:>10}\n\n",
            all.since_sent_ns.max.map_or_else(|| "n/a".into(), ms)
        );
        text += &self.table_foot();
        text
    }

    fn table_head(&self) -> String {
        let setting = &self.setting;
        let seconds = |time_ns: u64| time_ns as f64 / 1e9;
        let servers = setting.servers.join(", ");
        let how = match setting.rate {
            Some(rate) => format!("{} arrivals at {rate:.0}/s", setting.arrivals),
            None => "closed loop".to_owned(),
        };
        let reuse = if setting.keep_alive {
            "kept alive"
        } else {
            "one request each"
        };
        let interrupted = if self.interrupted {
            ", interrupted"
        } else {
            ""
        };
        format!(
            "{servers}: {how} for {} s, {} connections {reuse}, seed {}\n\
             measured: {:.3} s after a warm-up of {} s ({} requests, {} failed){interrupted}\n",
            seconds(setting.duration_ns),
            setting.connections,
            setting.seed,
            seconds(self.measured_ns),
            seconds(setting.warmup_ns),
            self.warmup.requests,
            self.warmup.failed,
        )
    }

    /// What became of the requests.
    fn table_foot(&self) -> String {
        let all = &self.targets[0];
        let rate = |rate: Option<f64>| {
            rate.map_or_else(|| "n/a".to_owned(), |rate| format!("{rate:.1}/s"))
        };
        let (intended, sent) = (rate(self.rate.intended), rate(self.rate.sent));
        let answered = rate(self.rate.answered);
        let statuses = all.statuses.iter();
        let statuses: Vec<String> = statuses
            .map(|(status, count)| format!("{status}: {count}"))
            .collect();
        let mut text = line(
            "rate",
            &format!("intended {intended}, sent {sent}, answered rightly {answered}"),
        );
        text += &line("statuses", &statuses.join(", "));
        for (_, name, meaning) in Failure::TABLE {
            if let Some(count) = all.failures.get(name) {
                text += &line("FAILED", &format!("{count} {name} ({meaning})"));
            }
        }
        if self.unsolicited > 0 {
            let count = self.unsolicited;
            let what = format!("{count} times a server sent what nobody had asked for");
            text += &line("FAILED", &what);
        }
        text + &self.table_generator()
    }

    /// What the generator says of itself.
    fn table_generator(&self) -> String {
        let generator = &self.generator;
        let waited = &generator.waited_for_connection_ns;
        let mut text = line(
            "waited",
            &format!(
                "{} requests found no connection free{}",
                waited.count,
                waited.brief()
            ),
        );
        if generator.lag_max_allowed_ns.is_some() {
            let verdict = match generator.valid {
                Some(true) => "small enough",
                Some(false) => "TOO LARGE",
                None => "too few requests to tell",
            };
            let lag = generator.lag_ns.brief();
            text += &line("generator's lag", &format!("{verdict}{lag}"));
        }
        if let Some(gaps) = &generator.gaps {
            text += &line("sends", &gaps.verdict());
        }
        text
    }
}

impl Gaps {
    fn verdict(&self) -> String {
        let distance = self.kolmogorov_smirnov;
        let verdict = match self.poisson {
            Some(true) => format!(
                "Poisson (Kolmogorov-Smirnov {distance:.4}, p {:.3})",
                self.p
            ),
            Some(false) => format!(
                "NOT Poisson (Kolmogorov-Smirnov {distance:.4}, p {:.1e})",
                self.p
            ),
            None => "not meant to be Poisson".to_owned(),
        };
        format!(
            "{verdict}, variation {:.3}, {} gaps",
            self.variation, self.tested
        )
    }
}

impl Times {
    /// A cell of the table for each percentile.
    fn cells(&self, cell: impl Fn(&Bounds) -> String) -> String {
        let cells = PERCENTILES.map(|(name, _)| {
            let cell = self
                .percentile(name)
                .map_or_else(|| "n/a".to_owned(), &cell);
            format!(" {cell:>17}")
        });
        cells.concat()
    }

    /// In microseconds, as part of a sentence.
    fn brief(&self) -> String {
        let Some(max) = self.max else {
            return String::new();
        };
        let us = |time_ns: u64| format!("{:.1}", time_ns as f64 / 1e3);
        let told = ["p50", "p99", "p99.9"].map(|name| {
            let value = self
                .percentile(name)
                .map_or_else(|| "n/a".to_owned(), |bounds| us(bounds.value));
            format!("{name} {value}")
        });
        format!(": {} and at most {} µs", told.join(", "), us(max))
    }
}

fn ms(time_ns: u64) -> String {
    let in_ms = time_ns as f64 / 1e6;
    match in_ms < 100.0 {
        true => format!("{in_ms:.3}"),
        false => format!("{in_ms:.1}"),
    }
}

fn line(name: &str, what: &str) -> String {
    format!("{name:<16} {what}\n")
}
