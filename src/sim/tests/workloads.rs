//! Workloads mean what the literature says, and bad ones are refused with a word that helps.

use sched::Nanos;

use crate::sim::arrivals::{Arrivals, Estimate, Process, Stream};
use crate::sim::service::parse_us;
use crate::sim::workload::{NAMED, Workload};

fn stream<'a>(workload: &'a Workload, process: &'a Process, rate: f64) -> Stream<'a> {
    Stream {
        workload,
        process,
        rate,
        deadlines_ns: vec![7, 9],
        estimate: Estimate::Mean,
        tenant: 0,
        route: 0,
        from_ns: 0,
        until_ns: Nanos::MAX,
        index: 0,
        seed: 1,
    }
}

#[test]
fn named_workloads_have_the_moments_of_the_literature() {
    // name, E[S] in µs, C²
    let rows = [
        ("fixed-10", 10.0, 0.0),
        ("exp-50", 50.0, 1.0),
        ("bimodal-1", 1.0, 2.25),
        ("bimodal-2", 1.0, 249.8),
        ("high-bimodal", 50.5, 0.961),
        ("bimodal-high", 50.5, 0.961),
        ("extreme-bimodal", 2.9975, 138.1),
        ("disp-1", 5.5, 0.669),
        ("disp-3", 5.95, 13.15),
        ("trimodal", 185.0, 1.459),
        ("trimodal-racksched", 1850.0, 1.459),
        ("dispersive-skyloft", 53.98, 170.6),
        ("racksched-90", 95.0, 2.02),
        ("racksched-50", 275.0, 0.669),
        ("tpcc", 19.07, 1.48),
        ("wasm-edge", 49.88, 49.5),
        ("wasm-high", 2525.0, 0.961),
    ];
    for (name, mean_us, scv) in rows {
        let workload = Workload::parse(name).expect(name);
        let (mean, c2) = (workload.mean_ns() / 1e3, workload.scv());
        assert!((mean - mean_us).abs() <= 1e-3 * mean_us, "{name}: {mean}");
        assert!((c2 - scv).abs() <= 5e-3 * scv + 1e-12, "{name}: {c2}");
    }
}

#[test]
fn every_name_is_understood_and_has_its_classes_named() {
    for named in NAMED {
        for name in named.names {
            let workload = Workload::parse(name).expect(name);
            let sum: f64 = workload.classes.iter().map(|class| class.share).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{name}");
            let unnamed = workload
                .classes
                .iter()
                .any(|class| class.name.contains('µ'));
            assert_eq!(unnamed, workload.classes.len() == 1, "{name}");
        }
    }
}

#[test]
fn formulas_and_their_errors() {
    // text, and either the classes or a part of what is said of it
    let rows = [
        ("fixed:2.5", Ok(1)),
        ("exp:0.001", Ok(1)),
        ("lognormal:10:1", Ok(1)),
        ("mix:80:exp:5,20:pareto:1.5:1:100", Ok(2)),
        ("bimodal:99.5:25,0.5:5000", Ok(2)),
        ("mix:1:1,1:2,2:3", Ok(3)),
        ("mix:1:1", Ok(1)),
        ("fixed", Err("expected fixed:US")),
        ("weibull:3", Err("unknown law \"weibull:3\"")),
        ("fixed:0", Err("\"0\" is not a number of microseconds")),
        ("exp:-1", Err("\"-1\" is not a number of microseconds")),
        ("exp:NaN", Err("\"NaN\"")),
        ("fixed:4e9", Err("\"4e9\"")),
        ("bimodal:", Err("\"\" is not SHARE:MICROSECONDS")),
        ("bimodal:50:1,", Err("\"\" is not SHARE:MICROSECONDS")),
        ("bimodal:0:1,1:1", Err("\"0:1\" is not SHARE:MICROSECONDS")),
        (
            "bimodal:50:1,50:x",
            Err("\"x\" is not a number of microseconds"),
        ),
    ];
    for (text, expected) in rows {
        match (Workload::parse(text), expected) {
            (Ok(workload), Ok(classes)) => assert_eq!(workload.classes.len(), classes, "{text}"),
            (Err(said), Err(part)) => assert!(said.contains(part), "{text}: {said}"),
            (result, _) => panic!("{text}: {result:?}"),
        }
    }
    let many = format!("mix:{}1:1", "1:1,".repeat(64));
    assert_eq!(
        Workload::parse(&many),
        Err("65 classes are more than 64".into())
    );
    assert_eq!(parse_us("0.5"), Ok(500));
}

/// What is drawn has the share and the mean of each class, and the intervals those of the process.
#[test]
fn samples_are_distributed_as_asked() {
    const COUNT: usize = 200_000;
    let workload = Workload::parse("mix:90:1,10:30").expect("a formula");
    // An on-off process makes renewals, hyperexponential between arrivals: 100 ns on, 300 ns off.
    let rows = [
        ("poisson", 1.0, 0.01),
        ("deterministic", 0.0, 0.01),
        ("onoff:0.1:0.3", on_off_scv(1.0 / 333.3, 100.0, 300.0), 0.02),
    ];
    for (process, scv, tolerance) in rows {
        let process = Process::parse(process).expect("a process");
        let arrivals = Arrivals::new(stream(&workload, &process, 1.0 / 333.3));
        let requests: Vec<_> = arrivals.take(COUNT).collect();
        let long = requests.iter().filter(|r| r.arrival.route == 1).count() as f64;
        assert!((long / COUNT as f64 - 0.1).abs() < 0.003, "{long}");
        for (seq, request) in requests.iter().enumerate() {
            let arrival = &request.arrival;
            let (service_ns, allowed_ns) = [(1_000, 7), (30_000, 9)][usize::from(arrival.route)];
            assert_eq!(
                (request.service_ns, arrival.expected_ns),
                (service_ns, service_ns)
            );
            assert_eq!(arrival.deadline_ns - arrival.arrival_ns, allowed_ns);
            assert_eq!(arrival.seq, seq as u64);
        }
        let times = requests.iter().map(|r| r.arrival.arrival_ns as f64);
        let gaps: Vec<f64> = times
            .clone()
            .zip(times.skip(1))
            .map(|(a, b)| b - a)
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!(
            (mean / 333.3 - 1.0).abs() < tolerance,
            "{process:?}: {mean}"
        );
        if process == Process::Deterministic {
            // What rounding takes from one interval it gives to the next.
            let span_ns = requests[COUNT - 1].arrival.arrival_ns as f64;
            assert!((span_ns - 333.3 * COUNT as f64).abs() < 2.0, "{span_ns}");
        }
        assert!(
            (variance / mean.powi(2) - scv).abs() < 0.02 * (1.0 + scv),
            "{process:?}: {variance}"
        );
    }
}

/// C² of the times between arrivals of an on-off process, from the moments of its phases: E\[X\] = 1/λ, and
/// E\[X²\] = 2 (1 + σ(off)/…) by first-step analysis.
fn on_off_scv(rate: f64, on: f64, off: f64) -> f64 {
    let rate_on = rate * (on + off) / on;
    let (leave, back) = (1.0 / on, 1.0 / off);
    // From on: X = D + (0 or Y + X'), D exponential with rate_on + leave, Y exponential with back.
    let total = rate_on + leave;
    let again = leave / total;
    let mean = (1.0 / total + again / back) / (1.0 - again);
    let second = (2.0 / total.powi(2)
        + again * (2.0 / back.powi(2) + 2.0 * mean / back + 2.0 / total * (1.0 / back + mean)))
        / (1.0 - again);
    second / mean.powi(2) - 1.0
}

#[test]
fn a_stream_has_its_time() {
    let workload = Workload::parse("mix:90:1,10:30").expect("a formula");
    let mut stream = stream(&workload, &Process::Poisson, 0.01);
    stream.from_ns = 50_000;
    stream.until_ns = 60_000;
    let times: Vec<Nanos> = Arrivals::new(stream)
        .map(|r| r.arrival.arrival_ns)
        .collect();
    assert!((60..140).contains(&times.len()), "{times:?}");
    assert!(times.is_sorted() && times[0] >= 50_000 && times[times.len() - 1] < 60_000);
}

#[test]
fn processes_and_their_errors() {
    let rows = [
        ("poisson", ""),
        ("mmpp:4:100:200", ""),
        ("closed:3:lognormal:10:1", ""),
        ("onoff:100:900", ""),
        ("bursty", "unknown arrivals \"bursty\", expected poisson"),
        ("poisson:3", "unknown arrivals"),
        ("onoff:0:1", "\"0\" is not a number of microseconds"),
        ("mmpp:0:1:1", "\"0\" is not a number above 0"),
        ("closed:0:5", "\"0\" is not a number of clients"),
        ("closed:5", "unknown arrivals"),
        ("closed:5:weibull:1", "unknown law"),
    ];
    for (text, part) in rows {
        let said = Process::parse(text).err().unwrap_or_default();
        assert!(
            said.contains(part) && said.is_empty() == part.is_empty(),
            "{text}: {said}"
        );
    }
}

#[test]
fn estimates_are_what_was_asked_for() {
    let workload = Workload::parse("exp:10").expect("a formula");
    for text in ["mean", "exact", "none", "noisy:0.5"] {
        let mut stream = stream(&workload, &Process::Poisson, 0.01);
        stream.estimate = Estimate::parse(text).expect("an estimate");
        let mut above = 0;
        for request in Arrivals::new(stream).take(2_000) {
            let (said, is) = (request.arrival.expected_ns, request.service_ns);
            match text {
                "mean" => assert_eq!(said, 10_000),
                "exact" => assert_eq!(said, is),
                "none" => assert_eq!(said, 0),
                _ => above += u64::from(said > is),
            }
        }
        // The median error is none.
        assert!(
            text != "noisy:0.5" || (900..1_100).contains(&above),
            "{above}"
        );
    }
    for text in ["", "noisy", "noisy:0", "noisy:x", "mean:1"] {
        assert!(Estimate::parse(text).is_err(), "{text}");
    }
}
