//! What is counted, as text for Prometheus and for whoever else reads OpenMetrics: names, help, labels.
//!
//! Names begin with `luge_`, are in seconds and bytes, and are sums over no label: Prometheus adds up. Series are there
//! for tenants, workers and verdicts from the start, for routes from their first request on; a percentile is there once
//! ten values lie beyond it ([`perf::histogram`]). The labels are bounded by the configuration, and `code` by a limit for
//! each route, beyond which it is `other`. Requests without a route have the label `route=""`, which to Prometheus is none.

use super::process::Process;
use super::{Metrics, listener::AtTheDoor, worker::OfRoute};
use crate::server::ends::EndCounts;
use crate::server::{Clock, Monotonic};
use perf::live::{BOUNDS_NS, BUCKETS, Buckets, LiveBuckets, LiveHistogram, Snapshot};
use perf::{Histogram, Percentile};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
    prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

/// Which of the two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' own of version 0.0.4.
    Prometheus,
}

impl Encoding {
    /// As a `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// All that is counted now.
#[must_use]
pub fn text(metrics: &Arc<Metrics>, encoding: Encoding) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(metrics.clone())));
    let mut out = String::new();
    let encoded = match encoding {
        Encoding::OpenMetrics => text::encode(&mut out, &registry),
        Encoding::Prometheus => prometheus_text::encode(&mut out, &registry),
    };
    encoded.expect("writing to a string does not fail");
    out
}

/// The percentiles that are told, with their names.
const QUANTILES: [(Percentile, &str); 5] = [
    (Percentile::P50, "0.5"),
    (Percentile::P90, "0.9"),
    (Percentile::P99, "0.99"),
    (Percentile::P99_9, "0.999"),
    (Percentile::P99_99, "0.9999"),
];

type Labels = Vec<(&'static str, String)>;

#[derive(Debug)]
struct Scrape(Arc<Metrics>);

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Text(encoder);
        let metrics = &*self.0;
        facts(metrics, &mut out)?;
        requests(metrics, &mut out)?;
        times(metrics, &mut out)?;
        admission(metrics, &mut out)?;
        workers(metrics, &mut out)?;
        preemption(metrics, &mut out)?;
        sandboxes(metrics, &mut out)?;
        ends(metrics, &mut out)?;
        listener(metrics, &mut out)?;
        process(&mut out)
    }
}

fn facts(metrics: &Metrics, out: &mut Text<'_>) -> fmt::Result {
    for facts in &metrics.about.facts {
        let (name, help) = (facts.name, facts.help);
        let mut family = out
            .0
            .encode_descriptor(name, help, None, MetricType::Info)?;
        family.encode_info(&facts.labels)?;
    }
    let about = &metrics.about;
    out.gauge("luge_workers", "Workers", about.workers as f64)?;
    let quantum_s = seconds(about.quantum_ns);
    out.gauge("luge_quantum_seconds", "How long a slice is", quantum_s)
}

fn requests(metrics: &Metrics, out: &mut Text<'_>) -> fmt::Result {
    let with_code = |mut labels: Labels, code: Option<u16>| {
        let code = code.map_or_else(|| "other".to_owned(), |code| code.to_string());
        labels.push(("code", code));
        labels
    };
    let mut codes = Vec::new();
    for (route, counted) in metrics.listener.routes() {
        let each = counted.codes.each();
        codes.extend(each.map(|(code, count)| (with_code(metrics.route(route), code), count)));
    }
    for (tenant, counted) in metrics.listener.tenants.iter().enumerate() {
        let labels = || vec![("tenant", metrics.tenant(tenant)), ("route", String::new())];
        let each = counted.unrouted.each();
        codes.extend(each.map(|(code, count)| (with_code(labels(), code), count)));
    }
    out.counters(
        "luge_requests",
        "Requests that are over, by the status of their answers; 499: the client went away first",
        codes,
    )?;
    let routes = || metrics.listener.routes();
    out.counters(
        "luge_deadline_misses",
        "Requests that were not over by their deadline, also those whose client had gone by then",
        routes().map(|(at, counted)| (metrics.route(at), counted.deadline_misses.value())),
    )?;
    out.counters(
        "luge_objective_misses",
        "Answers that took longer than the route's objective",
        routes().map(|(at, counted)| (metrics.route(at), counted.objective_misses.value())),
    )
}

/// A part of a request's time, as its worker counts it, with its percentiles.
type Exact = fn(&OfRoute) -> &LiveHistogram;

const EXACT: [([&str; 2], [&str; 2], Exact); 2] = [
    (
        [
            "luge_request_queue_seconds",
            "luge_request_queue_quantile_seconds",
        ],
        [
            "From a request's last byte until it began",
            "Percentiles of luge_request_queue_seconds since the start, to 1 %",
        ],
        |of| &of.queue,
    ),
    (
        [
            "luge_request_run_seconds",
            "luge_request_run_quantile_seconds",
        ],
        [
            "Time that a request held a worker, of requests that began",
            "Percentiles of luge_request_run_seconds since the start, to 1 %",
        ],
        |of| &of.run,
    ),
];

/// The same without.
type Part = fn(&OfRoute) -> &LiveBuckets;

const PARTS: [(&str, &str, Part); 3] = [
    (
        "luge_request_host_seconds",
        "Of the time that a request held a worker, calls of the host; of requests that had any",
        |of| &of.host,
    ),
    (
        "luge_request_preempted_seconds",
        "Time that a request could have run and others did; of requests that were in that case",
        |of| &of.preempted,
    ),
    (
        "luge_request_blocked_seconds",
        "Time that a request waited for something; of requests that did",
        |of| &of.blocked,
    ),
];

fn times(metrics: &Metrics, out: &mut Text<'_>) -> fmt::Result {
    let durations: Vec<_> = metrics
        .listener
        .routes()
        .map(|(at, counted)| (metrics.route(at), counted.duration.snapshot()))
        .collect();
    out.exact(
        [
            "luge_request_duration_seconds",
            "luge_request_duration_quantile_seconds",
        ],
        [
            "From a request's last byte until the kernel had its answer's, of requests that a worker had and whose answer the \
             kernel took whole",
            "Percentiles of luge_request_duration_seconds since the start, to 1 %",
        ],
        &durations,
    )?;
    for (names, help, part) in EXACT {
        let routes = (0..metrics.about.routes.len()).map(|at| {
            let mut whole = Snapshot::default();
            let each = metrics.of_workers(at).map(|it| part(it).snapshot());
            each.for_each(|more| whole.merge(&more));
            (metrics.route(at), whole)
        });
        let routes: Vec<_> = routes.filter(|(_, it)| it.buckets.count() > 0).collect();
        out.exact(names, help, &routes)?;
    }
    for (name, help, part) in PARTS {
        let routes = (0..metrics.about.routes.len()).map(|at| {
            let mut whole = Buckets::default();
            let each = metrics.of_workers(at).map(|it| part(it).read());
            each.for_each(|more| whole.merge(&more));
            (metrics.route(at), whole)
        });
        out.histograms(name, help, routes.filter(|(_, it)| it.count() > 0))?;
    }
    let writes = metrics.listener.routes();
    out.histograms(
        "luge_request_write_seconds",
        "From an answer's hand-over to its connection until the kernel had its last byte",
        writes.map(|(at, counted)| (metrics.route(at), counted.write.read())),
    )
}

fn admission(metrics: &Metrics, out: &mut Text<'_>) -> fmt::Result {
    let tenants = || metrics.listener.tenants.iter().enumerate();
    let mut verdicts = Vec::new();
    for (at, counted) in tenants() {
        for (what, verdict) in AtTheDoor::EACH {
            let labels = vec![
                ("tenant", metrics.tenant(at)),
                ("verdict", verdict.to_owned()),
            ];
            verdicts.push((labels, counted.at_the_door[what as usize].value()));
        }
    }
    out.counters(
        "luge_admission",
        "Requests by what became of them at the door: taken, or refused because the tenant has all that it may, by the \
         rule of admission, or for want of workers",
        verdicts,
    )?;
    let (held, capacity) = (&metrics.listener.held, &metrics.listener.capacity);
    if capacity.value() > 0 {
        let share = held.value() as f64 / capacity.value() as f64;
        let help =
            "Part of what admission may give away that it has given away, as of the last request";
        out.gauge("luge_admission_utilisation_ratio", help, share)?;
    }
    let reservations = metrics.about.tenants.iter().enumerate();
    let reservations = reservations.filter_map(|(at, tenant)| Some((at, tenant.reservation?)));
    let of_tenants = |value: fn(&sched::Reservation) -> u64| {
        let each = reservations.clone();
        each.map(move |(at, it)| (vec![("tenant", metrics.tenant(at))], seconds(value(&it))))
    };
    out.gauges(
        "luge_tenant_budget_seconds",
        "Processor time that a tenant has in every period",
        of_tenants(|it| it.budget_ns),
    )?;
    out.gauges(
        "luge_tenant_period_seconds",
        "The period of its budget",
        of_tenants(|it| it.period_ns),
    )?;
    let is_capped = metrics.about.caps_budgets;
    let left = reservations.clone().filter(|_| is_capped).map(|(at, _)| {
        let left_ns = metrics.listener.tenants[at].budget_left_ns.value();
        (vec![("tenant", metrics.tenant(at))], left_ns as f64 / 1e9)
    });
    out.gauges(
        "luge_tenant_budget_left_seconds",
        "What is left of a tenant's budget as of its last request; debts are below 0",
        left,
    )
}

fn workers(metrics: &Metrics, out: &mut Text<'_>) -> fmt::Result {
    let now = Monotonic.now_ns();
    let readings: Vec<_> = metrics.readings().collect();
    let each = || (0_usize..).zip(&*metrics.workers);
    let of = |value: fn(&super::Reading) -> u64| {
        let readings = (0_usize..).zip(&readings);
        readings.map(move |(at, reading)| (worker(at), value(reading) as f64))
    };
    out.gauges(
        "luge_requests_in_flight",
        "Requests that were given to a worker and have not come back",
        of(|reading| reading.in_flight),
    )?;
    out.gauges(
        "luge_queue_depth",
        "Requests that were given to a worker and have not begun",
        of(|reading| reading.queued),
    )?;
    let backlog = metrics.listener.backlog.value() as f64;
    let help = "Requests that wait for a worker at the listener";
    out.gauge("luge_backlog_depth", help, backlog)?;
    out.counters(
        "luge_stolen_requests",
        "Requests that were another worker's before they began",
        each().map(|(at, it)| (worker(at), it.stolen())),
    )?;
    out.counters(
        "luge_worker_busy_seconds",
        "Time that functions held a worker, the running one included",
        each().zip(&*metrics.told).map(|((at, it), told)| {
            let busy_ns = it.busy.value_ns(now, told);
            (worker(at), seconds(busy_ns))
        }),
    )?;
    out.counters(
        "luge_slices",
        "Slices, by why they ended",
        each().flat_map(|(at, it)| {
            let ends = [
                ("preempted", &it.preemptions),
                ("yielded", &it.yields),
                ("blocked", &it.blocks),
                ("finished", &it.completions),
            ];
            ends.map(|(end, count)| {
                let mut labels = worker(at);
                labels.push(("end", end.to_owned()));
                (labels, count.value())
            })
        }),
    )
}

fn preemption(metrics: &Metrics, out: &mut Text<'_>) -> fmt::Result {
    let each = || (0_usize..).zip(&*metrics.workers);
    out.counters(
        "luge_preemptions",
        "Slices that were stopped",
        each().map(|(at, it)| (worker(at), it.preemptions.value())),
    )?;
    let latencies: Vec<_> = each()
        .map(|(at, it)| (worker(at), it.preemption_latency.snapshot()))
        .collect();
    out.exact(
        [
            "luge_preemption_latency_seconds",
            "luge_preemption_latency_quantile_seconds",
        ],
        [
            "From when a slice was due to be stopped until its worker had the core back",
            "Percentiles of luge_preemption_latency_seconds since the start, to 1 %",
        ],
        &latencies,
    )
}

fn sandboxes(metrics: &Metrics, out: &mut Text<'_>) -> fmt::Result {
    let each = || (0_usize..).zip(&*metrics.workers);
    out.counters(
        "luge_sandbox_starts",
        "Sandboxes started",
        each().map(|(at, it)| (worker(at), it.started.value())),
    )?;
    out.counters(
        "luge_sandbox_resets",
        "Instances whose memory was made as new for those to come, whether they ended or were given up; a sandbox that could \
         not be started had none",
        each().map(|(at, it)| (worker(at), it.resets.value())),
    )?;
    let readings = (0_usize..).zip(metrics.readings());
    let states = readings.flat_map(|(at, reading)| {
        let states = [
            ("running", reading.running),
            ("ready", reading.ready),
            ("blocked", reading.blocked),
        ];
        states.map(|(state, count)| {
            let mut labels = worker(at);
            labels.push(("state", state.to_owned()));
            (labels, count as f64)
        })
    });
    out.gauges("luge_sandboxes", "Sandboxes there are", states)?;
    let max = f64::from(metrics.about.sandboxes_max);
    out.gauge(
        "luge_sandboxes_max",
        "Sandboxes that a worker can have",
        max,
    )
}

/// Functions that ended in a way other than well.
type End = fn(&EndCounts) -> u64;

const ENDS: [(&str, &str, End); 4] = [
    ("luge_traps", "Functions that trapped", |of| of.traps),
    (
        "luge_exits",
        "Functions that exited with a code other than 0",
        |of| of.exits,
    ),
    (
        "luge_cgi_failures",
        "Functions that wrote no CGI response where one was due",
        |of| of.not_cgi,
    ),
    (
        "luge_sandbox_failures",
        "Sandboxes that could not be started",
        |of| of.start_failed,
    ),
];

fn ends(metrics: &Metrics, out: &mut Text<'_>) -> fmt::Result {
    let routes = 0..metrics.about.routes.len();
    let ends = routes.filter_map(|at| Some((metrics.route(at), metrics.ends_of(at)?.counts())));
    let ends: Vec<_> = ends.collect();
    let kills = ends.iter().flat_map(|(labels, counts)| {
        counts.kills.map(|(cause, count)| {
            let mut labels = labels.clone();
            labels.push(("cause", cause.to_owned()));
            (labels, count)
        })
    });
    out.counters(
        "luge_kills",
        "Requests that were ended by a limit, by which; unstarted: by their deadline before they began",
        kills,
    )?;
    for (name, help, of) in ENDS {
        let each = ends.iter();
        out.counters(
            name,
            help,
            each.map(|(labels, counts)| (labels.clone(), of(counts))),
        )?;
    }
    Ok(())
}

fn listener(metrics: &Metrics, out: &mut Text<'_>) -> fmt::Result {
    let listener = &metrics.listener;
    for ((name, help), count) in super::ListenerMetrics::COUNTS
        .into_iter()
        .zip(&listener.counts)
    {
        out.counters(name, help, [(Vec::new(), count.value())])?;
    }
    let connections = listener.connections.value() as f64;
    out.gauge("luge_connections", "Connections that are open", connections)?;
    let turns = [(Vec::new(), listener.turns.value())];
    out.counters("luge_listener_turns", "Turns of the listener", turns)?;
    out.exact(
        [
            "luge_listener_gap_seconds",
            "luge_listener_gap_quantile_seconds",
        ],
        [
            "From the beginning of the listener's turn before to that of one in which it found something, without a sleep \
             between them: what it found has waited so long at most",
            "Percentiles of luge_listener_gap_seconds since the start, to 1 %",
        ],
        &[(Vec::new(), listener.gap.snapshot())],
    )
}

fn process(out: &mut Text<'_>) -> fmt::Result {
    let Some(process) = Process::read() else {
        return Ok(());
    };
    let cpu = [(Vec::new(), process.user_s + process.system_s)];
    out.counters(
        "process_cpu_seconds",
        "Processor time, of user and system",
        cpu,
    )?;
    for (name, help, value) in [
        (
            "process_open_fds",
            "File descriptors that are open",
            process.open_fds as f64,
        ),
        (
            "process_max_fds",
            "File descriptors that may be open",
            process.fds_max as f64,
        ),
        (
            "process_virtual_memory_bytes",
            "Address space that is in use",
            process.virtual_bytes as f64,
        ),
        (
            "process_resident_memory_bytes",
            "Memory that is resident",
            process.resident_bytes as f64,
        ),
        (
            "process_start_time_seconds",
            "When it started, since 1970",
            process.start_unix_s,
        ),
        ("process_threads", "Threads", process.threads as f64),
    ] {
        out.gauge(name, help, value)?;
    }
    Ok(())
}

fn worker(at: usize) -> Labels {
    vec![("worker", at.to_string())]
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

impl Metrics {
    fn tenant(&self, at: usize) -> String {
        self.about.tenants[at].name.clone()
    }

    fn route(&self, at: usize) -> Labels {
        let route = &self.about.routes[at];
        vec![
            ("tenant", self.tenant(route.tenant)),
            ("route", route.path.clone()),
        ]
    }
}

/// The encoder by whole families; one without series is left out.
struct Text<'a>(DescriptorEncoder<'a>);

impl Text<'_> {
    /// A family, series by series.
    fn each<V>(
        &mut self,
        (name, help, kind): (&str, &str, MetricType),
        series: impl IntoIterator<Item = (Labels, V)>,
        encode: impl Fn(&mut MetricEncoder<'_>, V) -> fmt::Result,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        series.try_for_each(|(labels, value)| encode(&mut family.encode_family(&labels)?, value))
    }

    fn counters<V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels, V)>,
    ) -> fmt::Result {
        self.each(
            (name, help, MetricType::Counter),
            series,
            |metric, value| metric.encode_counter::<NoLabelSet, _, u64>(&value, None),
        )
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.gauges(name, help, [(Vec::new(), value)])
    }

    fn gauges<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels, V)>,
    ) -> fmt::Result {
        self.each((name, help, MetricType::Gauge), series, |metric, value| {
            metric.encode_gauge(&value)
        })
    }

    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels, Buckets)>,
    ) -> fmt::Result {
        let kind = (name, help, MetricType::Histogram);
        self.each(kind, series, |metric, buckets| {
            let (sum_s, count) = (buckets.sum_ns as f64 / 1e9, buckets.count());
            metric.encode_histogram::<NoLabelSet>(sum_s, count, &bounded(&buckets), None)
        })
    }

    /// A histogram, and its percentiles as gauges beside it: the names of both, and what they are.
    fn exact(
        &mut self,
        names: [&str; 2],
        help: [&str; 2],
        series: &[(Labels, Snapshot)],
    ) -> fmt::Result {
        let buckets = series.iter();
        let buckets = buckets.map(|(labels, it)| (labels.clone(), it.buckets.clone()));
        self.histograms(names[0], help[0], buckets)?;
        let counts = series.iter().map(|(labels, it)| (labels, &it.counts));
        self.quantiles(names[1], help[1], counts)
    }

    fn quantiles<'l>(
        &mut self,
        name: &str,
        help: &str,
        series: impl Iterator<Item = (&'l Labels, &'l Histogram)>,
    ) -> fmt::Result {
        let told = series.flat_map(|(labels, histogram)| {
            QUANTILES.into_iter().filter_map(|(percentile, quantile)| {
                let value_ns = histogram.percentile(percentile)?;
                let mut labels = labels.clone();
                labels.push(("quantile", quantile.to_owned()));
                Some((labels, seconds(value_ns)))
            })
        });
        self.gauges(name, help, told)
    }
}

/// With their bounds in seconds.
fn bounded(buckets: &Buckets) -> [(f64, u64); BUCKETS] {
    let bounds = BOUNDS_NS.into_iter().map(seconds).chain([f64::INFINITY]);
    let mut bounds = bounds.zip(buckets.counts);
    std::array::from_fn(|_| bounds.next().expect("one more than there are bounds"))
}

#[cfg(test)]
mod tests {
    use super::super::{About, RouteNamed, TenantNamed};
    use super::*;
    use crate::server::Route;
    use listener::{Answered, Timeline};
    use listener_http::Status;
    use openmetrics_parser::openmetrics::parse_openmetrics;
    use openmetrics_parser::prometheus::parse_prometheus;
    use openmetrics_parser::{MetricsExposition, RenderableMetricValue};
    use std::collections::BTreeMap;

    /// What a configuration lets pass, and what it does not.
    const HOSTILE: [&str; 8] = [
        "plain",
        "",
        "a\"b",
        "a\\b\\",
        "a\nb",
        "a\"} 1\nluge_requests_total 7\n# EOF",
        "gr\u{fc}n\t\u{1f6f7}",
        "{le=\"+Inf\"}",
    ];

    fn metrics(names: &[&str]) -> Arc<Metrics> {
        let tenants = names.iter().map(|name| TenantNamed {
            name: (*name).to_owned(),
            reservation: None,
        });
        let routes = names.iter().enumerate().map(|(tenant, name)| RouteNamed {
            tenant,
            path: format!("/{name}"),
        });
        Arc::new(Metrics::new(About {
            tenants: tenants.collect(),
            routes: routes.collect(),
            workers: 2,
            ..About::default()
        }))
    }

    /// A request of this route is over.
    fn depart(metrics: &Metrics, route: u16, timeline: &Timeline, of: &Route) {
        let record = Answered {
            request_id: 1,
            port: route,
            client: None,
            method: None,
            path: b"/",
            query: b"",
            status: Status::OK,
            head_bytes: 0,
            body_bytes: 0,
            received_bytes: 0,
            route: Some(route),
            worker: (timeline.dispatched_ns > 0).then_some(0),
            timeline,
        };
        metrics.listener.departed(&record, Some(of));
    }

    /// The labels of each series of a family.
    fn series<T: Clone, V: RenderableMetricValue + Clone>(
        exposition: &MetricsExposition<T, V>,
        name: &str,
    ) -> Vec<BTreeMap<String, String>> {
        let samples = exposition.families[name].iter_samples();
        let labels = samples.map(|sample| {
            let labels = sample.get_labelset().expect("it is a family's");
            let labels = labels.iter();
            labels
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        });
        labels.collect()
    }

    #[test]
    fn no_name_breaks_the_text() {
        let metrics = metrics(&HOSTILE);
        for route in 0..HOSTILE.len() as u16 {
            depart(&metrics, route, &Timeline::default(), &Route::default());
        }
        let expected = HOSTILE.map(|tenant| {
            let labels = [
                ("tenant", tenant),
                ("route", &format!("/{tenant}")),
                ("code", "200"),
            ];
            BTreeMap::from(labels.map(|(name, value)| (name.to_owned(), value.to_owned())))
        });
        let open = parse_openmetrics(&text(&metrics, Encoding::OpenMetrics));
        let open = open.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(series(&open, "luge_requests"), expected);
        let classic = parse_prometheus(&text(&metrics, Encoding::Prometheus));
        let classic = classic.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(series(&classic, "luge_requests_total"), expected);
    }

    /// The value of a line that begins so.
    fn value(text: &str, series: &str) -> Option<f64> {
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let mut values = lines.map(|value| value.parse().expect("a number"));
        let value = values.next();
        assert_eq!(values.next(), None, "{series} twice");
        value
    }

    #[test]
    fn times_are_in_their_buckets_and_percentiles_wait_for_ten_beyond() {
        let metrics = metrics(&["one"]);
        let route = Route {
            relative_deadline_ns: Some(5_000_000),
            objective_ns: Some(20_000_000),
            ..Route::default()
        };
        let of_ms = |ms: u64| Timeline {
            arrived_ns: 1,
            dispatched_ns: 1,
            finished_ns: 1 + ms * 1_000_000 / 2,
            answered_ns: 1 + ms * 1_000_000 / 2,
            sent_ns: 1 + ms * 1_000_000,
            ..Timeline::default()
        };
        // Refused: its answer says nothing of how long requests take.
        let refused = Timeline {
            dispatched_ns: 0,
            ..of_ms(1)
        };
        depart(&metrics, 0, &refused, &route);
        (1..=20).for_each(|ms| depart(&metrics, 0, &of_ms(ms), &route));
        let text = text(&metrics, Encoding::Prometheus);
        let labels = "tenant=\"one\",route=\"/one\"";
        for (series, expected) in [
            ("luge_requests_total{LABELS,code=\"200\"}", Some(21.0)),
            ("luge_request_duration_seconds_count{LABELS}", Some(20.0)),
            ("luge_request_duration_seconds_sum{LABELS}", Some(0.21)),
            (
                "luge_request_duration_seconds_bucket{LABELS,le=\"0.0005\"}",
                Some(0.0),
            ),
            (
                "luge_request_duration_seconds_bucket{LABELS,le=\"0.01\"}",
                Some(10.0),
            ),
            (
                "luge_request_duration_seconds_bucket{LABELS,le=\"+Inf\"}",
                Some(20.0),
            ),
            ("luge_request_write_seconds_sum{LABELS}", Some(0.105)),
            // Those of 10 ms and more had not ended after 5 ms.
            ("luge_deadline_misses_total{LABELS}", Some(11.0)),
            ("luge_objective_misses_total{LABELS}", Some(0.0)),
            (
                "luge_request_duration_quantile_seconds{LABELS,quantile=\"0.9\"}",
                None,
            ),
        ] {
            let series = series.replace("LABELS", labels);
            assert_eq!(value(&text, &series), expected, "{series} in {text}");
        }
        let median = "luge_request_duration_quantile_seconds{LABELS,quantile=\"0.5\"}";
        let median = value(&text, &median.replace("LABELS", labels)).expect("ten are beyond");
        assert!((0.01..0.0101).contains(&median), "{median}");
    }
}
