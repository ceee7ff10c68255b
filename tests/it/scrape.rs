//! A scrape, read by a parser that knows nothing of luge and takes nothing that the format does not allow.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use openmetrics_parser::OpenMetricsValue;
use openmetrics_parser::openmetrics::parse_openmetrics;

use crate::client::Client;
use crate::harness::wait_until;

pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A series: its name with all suffixes, and its labels.
pub type Series = (String, BTreeMap<String, String>);

/// Every series with its value.
pub struct Scrape {
    pub values: BTreeMap<Series, f64>,
    /// The names whose values never fall.
    growing: Vec<String>,
}

/// What the admin endpoint answers to a GET with this field more.
pub fn get(address: SocketAddr, path: &str, accept: &str) -> crate::client::Response {
    let mut client = Client::connect(address);
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n"
    ));
    client.response()
}

/// Scrapes until so many requests are over, which are all that there are: what they took is counted after they are
/// answered, and so are their resets.
pub fn scraped(address: SocketAddr, requests: u64) -> Scrape {
    let mut scrape = Scrape::new(address);
    wait_until("all requests are over", || {
        scrape = Scrape::new(address);
        let sum = |name: &str| scrape.sum(name, &[]);
        let started = sum("luge_sandbox_starts_total");
        sum("luge_requests_total") >= requests as f64
            && sum("luge_request_run_seconds_count") == started
            && sum("luge_sandbox_resets_total") + sum("luge_sandbox_failures_total") == started
    });
    scrape
}

impl Scrape {
    pub fn new(address: SocketAddr) -> Scrape {
        let response = get(address, "/metrics", "*/*");
        assert_eq!(response.status, 200);
        assert_eq!(response.field("Content-Type"), Some(OPEN_METRICS));
        Scrape::of(response.text())
    }

    pub fn of(text: &str) -> Scrape {
        assert!(text.ends_with("\n# EOF\n"));
        let exposition = parse_openmetrics(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let mut scrape = Scrape {
            values: BTreeMap::new(),
            growing: Vec::new(),
        };
        for family in exposition.families.values() {
            assert!(!family.help.is_empty(), "{}", family.family_name);
            let name = &family.family_name;
            for sample in family.iter_samples() {
                let labels = sample.get_labelset().expect("it is a family's");
                let labels = labels
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone()));
                scrape.add(name, labels.collect(), &sample.value);
            }
        }
        scrape
    }

    fn add(&mut self, name: &str, labels: BTreeMap<String, String>, value: &OpenMetricsValue) {
        let mut put = |suffix: &str, more: Option<(&str, String)>, value: f64, grows: bool| {
            let name = format!("{name}{suffix}");
            if grows && !self.growing.contains(&name) {
                self.growing.push(name.clone());
            }
            let more = more.map(|(name, value)| (name.to_owned(), value));
            let labels = labels.clone().into_iter().chain(more).collect();
            let before = self.values.insert((name.clone(), labels), value);
            assert_eq!(before, None, "{name} twice");
        };
        match value {
            OpenMetricsValue::Counter(counter) => put("_total", None, counter.value.as_f64(), true),
            OpenMetricsValue::Gauge(gauge) => put("", None, gauge.as_f64(), false),
            OpenMetricsValue::Info => put("_info", None, 1.0, false),
            OpenMetricsValue::Histogram(histogram) => {
                let sum = histogram.sum.expect("it has a sum").as_f64();
                let count = histogram.count.expect("it has a count") as f64;
                let last = histogram.buckets.last().expect("it has buckets");
                assert_eq!(last.count.as_f64(), count, "{name}");
                put("_sum", None, sum, true);
                put("_count", None, count, true);
                for bucket in &histogram.buckets {
                    let le = ("le", bucket.upper_bound.to_string());
                    put("_bucket", Some(le), bucket.count.as_f64(), true);
                }
            }
            other => panic!("{name}: {other:?}"),
        }
    }

    /// All series of this name with these labels, added up.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |found: &BTreeMap<String, String>, (name, value): &(&str, &str)| {
            found.get(*name).is_some_and(|found| found == value)
        };
        let series = self.values.iter().filter(|((found, with), _)| {
            found == name && labels.iter().all(|label| has(with, label))
        });
        series.map(|(_, value)| value).sum()
    }

    /// Whether there is any series of this name.
    pub fn has(&self, name: &str) -> bool {
        self.values.keys().any(|(found, _)| found == name)
    }

    /// Asserts that what only grows has not fallen since `before`, and that nothing has gone.
    pub fn check_since(&self, before: &Scrape) {
        for (series, was) in &before.values {
            let now = self.values.get(series);
            let now = now.unwrap_or_else(|| panic!("{series:?} has gone"));
            let grows = before.growing.contains(&series.0);
            assert!(!grows || now >= was, "{series:?} falls from {was} to {now}");
        }
    }
}
