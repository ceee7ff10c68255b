//! The public traces of Azure Functions, read and converted to the trace of [`super::trace`].
//!
//! - 2021 (Zhang et al., "Faster and Cheaper Serverless Computing on Harvested Resources", SOSP 2021): an invocation a
//!   line, `app,func,end_timestamp,duration`, in seconds. An invocation arrives at its end minus its duration.
//! - 2019 (Shahrad et al., "Serverless in the Wild", USENIX ATC 2020): a function a line, with the number of its
//!   invocations in each minute of a day, and in another file the percentiles of its durations, which are those of
//!   averages over 30 seconds. Invocations are spread over their minute at random; durations are drawn between the
//!   percentiles, evenly.
//!
//! A class is a function, a tenant an app, both called by the first eight digits of their hashes. Durations below a
//! microsecond, which both files round to 0, become one.

use std::collections::HashMap;
use std::io::{self, Write};

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use sched::Nanos;

use super::csv::{Column, Lines, Row, Table};
use super::trace::{Builder, Record};

/// The shortest duration that stands for one that was rounded to 0.
const DURATION_MIN_NS: Nanos = 1_000;

/// How many digits of a hash are enough to tell functions apart for people.
const HASH_DIGITS: usize = 8;

/// Minutes in a file of 2019.
const MINUTES: usize = 1_440;

/// The percentiles that are told, as fractions.
const PERCENTILES: [f64; 7] = [0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0];

/// Reads the trace of 2021.
///
/// # Errors
///
/// A sentence that names the line.
pub fn read_2021(
    lines: impl Iterator<Item = io::Result<String>>,
    builder: &mut Builder,
) -> Result<(), String> {
    let mut table = Table::new(lines)?;
    let (app, func) = (table.column("app")?, table.column("func")?);
    let end = (table.column("end_timestamp")?, 1e9);
    let duration = (table.column("duration")?, 1e9);
    while let Some(row) = table.next_row()? {
        let (app, func) = (row.text(app)?, row.text(func)?);
        let duration_ns = row.time_ns(duration)?;
        let class = builder.class(app, func, &label(app, func))?;
        let arrival_ns = row.time_ns(end)? as i64 - duration_ns as i64;
        let service_ns = duration_ns.max(DURATION_MIN_NS);
        builder.push(Record::new(arrival_ns, service_ns, class))?;
    }
    Ok(())
}

/// Converts the trace of 2021, in its order.
///
/// # Errors
///
/// A sentence that names the line, or says why nothing could be written.
pub fn convert_2021(
    lines: impl Iterator<Item = io::Result<String>>,
    out: &mut dyn Write,
) -> Result<(), String> {
    let mut builder = Builder::default();
    read_2021(lines, &mut builder)?;
    let trace = builder.finish("azure-2021")?;
    let mut lines = Lines::new(out, COLUMNS)?;
    for record in trace.records() {
        let class = &trace.classes[usize::from(record.class)];
        let arrival_ns = record.arrival_ns as Nanos;
        write(&mut lines, arrival_ns, record.service_ns, &class.name)?;
    }
    lines.finish()
}

/// What of a day of 2019 is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Day {
    /// The first minute, from 1.
    pub first: usize,
    /// How many minutes.
    pub minutes: usize,
    /// The part of the functions that is taken, at random.
    pub sample: f64,
    pub seed: u64,
}

struct Function {
    label: String,
    /// In nanoseconds, at [`PERCENTILES`].
    durations_ns: [f64; 7],
    /// Invocations per wanted minute.
    counts: Vec<u32>,
}

/// Converts a day of 2019, minute by minute. Says how many functions were left out because there is nothing about
/// their durations.
///
/// # Errors
///
/// A sentence that names the line, or says why nothing could be written.
pub fn convert_2019(
    invocations: impl Iterator<Item = io::Result<String>>,
    durations: impl Iterator<Item = io::Result<String>>,
    day: Day,
    out: &mut dyn Write,
) -> Result<usize, String> {
    let durations = read_durations(durations).map_err(|why| format!("durations: {why}"))?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(day.seed);
    let (functions, unknown) = read_invocations(invocations, &durations, day, &mut random)
        .map_err(|why| format!("invocations: {why}"))?;
    let mut lines = Lines::new(out, COLUMNS)?;
    for minute in 0..day.minutes {
        let mut now: Vec<(Nanos, Nanos, &str)> = Vec::new();
        for function in &functions {
            for _ in 0..function.counts[minute] {
                let arrival_ns =
                    minute as u64 * 60_000_000_000 + random.random_range(0..60_000_000_000);
                let service_ns = between(&function.durations_ns, random.random());
                now.push((arrival_ns, service_ns.max(DURATION_MIN_NS), &function.label));
            }
        }
        now.sort_unstable();
        for (arrival_ns, service_ns, label) in now {
            write(&mut lines, arrival_ns, service_ns, label)?;
        }
    }
    lines.finish().map(|()| unknown)
}

/// By app and function: the percentiles of the durations.
type Durations = HashMap<(String, String), [f64; 7]>;

fn read_durations(lines: impl Iterator<Item = io::Result<String>>) -> Result<Durations, String> {
    let mut table = Table::new(lines)?;
    let (app, func) = (table.column("hashapp")?, table.column("hashfunction")?);
    let mut columns = [app; 7];
    for (column, fraction) in columns.iter_mut().zip(PERCENTILES) {
        *column = table.column(&format!("percentile_average_{}", fraction * 100.0))?;
    }
    let mut durations = Durations::new();
    while let Some(row) = table.next_row()? {
        let mut at = [0.0; 7];
        for (value, column) in at.iter_mut().zip(columns) {
            *value = row.time_ns((column, 1e6))? as f64;
        }
        if at.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(row.wrong(columns[6], "ends percentiles that do not ascend"));
        }
        durations.insert(key(&row, app, func)?, at);
    }
    Ok(durations)
}

fn read_invocations(
    lines: impl Iterator<Item = io::Result<String>>,
    durations: &Durations,
    day: Day,
    random: &mut impl Rng,
) -> Result<(Vec<Function>, usize), String> {
    let mut table = Table::new(lines)?;
    let (app, func) = (table.column("hashapp")?, table.column("hashfunction")?);
    let minutes = (day.first..day.first + day.minutes).map(|minute| {
        if minute == 0 || minute > MINUTES {
            return Err(format!(
                "a day has the minutes 1 to {MINUTES}, not {minute}"
            ));
        }
        table.column(&minute.to_string())
    });
    let minutes: Vec<Column> = minutes.collect::<Result<_, _>>()?;
    let (mut functions, mut unknown) = (Vec::new(), 0);
    while let Some(row) = table.next_row()? {
        if !random.random_bool(day.sample) {
            continue;
        }
        let key = key(&row, app, func)?;
        let counts: Result<Vec<u32>, String> = minutes
            .iter()
            .map(|&minute| {
                let count = row.integer(minute)?;
                u32::try_from(count).map_err(|_| row.wrong(minute, "is too large"))
            })
            .collect();
        match durations.get(&key) {
            None => unknown += 1,
            Some(&durations_ns) => functions.push(Function {
                label: label(&key.0, &key.1),
                durations_ns,
                counts: counts?,
            }),
        }
    }
    Ok((functions, unknown))
}

fn key(row: &Row<'_>, app: Column, func: Column) -> Result<(String, String), String> {
    Ok((row.text(app)?.to_owned(), row.text(func)?.to_owned()))
}

/// The duration below which this fraction lies, between the percentiles along straight lines.
fn between(durations_ns: &[f64; 7], fraction: f64) -> Nanos {
    let above = PERCENTILES
        .iter()
        .position(|&at| fraction < at)
        .unwrap_or(6);
    let (low, high) = (PERCENTILES[above - 1], PERCENTILES[above]);
    let part = (fraction - low) / (high - low);
    let (from_ns, to_ns) = (durations_ns[above - 1], durations_ns[above]);
    (from_ns + part * (to_ns - from_ns)).round() as Nanos
}

fn label(app: &str, func: &str) -> String {
    let short = |hash: &str| hash.chars().take(HASH_DIGITS).collect::<String>();
    format!("{}/{}", short(app), short(func))
}

const COLUMNS: &str = "arrival_us,service_us,tenant,class";

/// Writes a request; `label` is the tenant's and the class's name.
fn write(
    lines: &mut Lines<'_>,
    arrival_ns: Nanos,
    service_ns: Nanos,
    label: &str,
) -> Result<(), String> {
    let (tenant, class) = label.split_once('/').unwrap_or(("", label));
    let (arrival_us, service_us) = (arrival_ns as f64 / 1e3, service_ns as f64 / 1e3);
    lines.put(format_args!("{arrival_us},{service_us},{tenant},{class}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> impl Iterator<Item = io::Result<String>> {
        text.lines().map(|line| Ok(line.to_owned()))
    }

    #[test]
    fn the_trace_of_2021() {
        let text = "app,func,end_timestamp,duration\n\
                    734272c01926d1,313c03f53a0d31,5160.142,0.134\n\
                    17c37a0fdd5d19,c9f8e30e36d1ae,5160.018,0.013\n\
                    734272c01926d1,313c03f53a0d31,5161,0\n";
        let mut out = Vec::new();
        convert_2021(lines(text), &mut out).expect("a trace");
        let expected = "arrival_us,service_us,tenant,class\n\
                        0,13000,17c37a0f,c9f8e30e\n\
                        3000,134000,734272c0,313c03f5\n\
                        995000,1,734272c0,313c03f5\n";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
        let broken = "app,func,end_timestamp,duration\na,b,1,x\n";
        let said = convert_2021(lines(broken), &mut Vec::new()).expect_err("no number");
        assert_eq!(said, "line 2: duration: \"x\" is not a number from 0 on");
    }

    fn day_2019(sample: f64) -> (String, String, Day) {
        let minutes: Vec<String> = (1..=3).map(|minute| minute.to_string()).collect();
        let invocations = format!(
            "HashOwner,HashApp,HashFunction,Trigger,{}\no,app,f,http,9,2,1\no,app,g,timer,0,1,0\no,app,h,queue,0,5,0\n",
            minutes.join(",")
        );
        let durations = "HashOwner,HashApp,HashFunction,Average,Count,Minimum,Maximum,percentile_Average_0,\
            percentile_Average_1,percentile_Average_25,percentile_Average_50,percentile_Average_75,\
            percentile_Average_99,percentile_Average_100\n\
            o,app,f,5,9,0,9,1,1,1,1,1,1,1\no,app,g,5,9,0,9,0,10,20,30,40,50,60\n";
        let day = Day {
            first: 2,
            minutes: 2,
            sample,
            seed: 1,
        };
        (invocations, durations.into(), day)
    }

    #[test]
    fn a_day_of_2019() {
        let (invocations, durations, day) = day_2019(1.0);
        let mut out = Vec::new();
        let unknown = convert_2019(lines(&invocations), lines(&durations), day, &mut out);
        assert_eq!(unknown, Ok(1), "nothing is known of h");
        let text = String::from_utf8(out).expect("text");
        let rows: Vec<Vec<&str>> = text
            .lines()
            .skip(1)
            .map(|line| line.split(',').collect())
            .collect();
        let at: Vec<f64> = rows
            .iter()
            .map(|row| row[0].parse().expect("a time"))
            .collect();
        assert_eq!(rows.len(), 4, "{text}");
        assert!(
            at.is_sorted() && at[2] < 60e6 && at[3] >= 60e6 && at[3] < 120e6,
            "{text}"
        );
        let f = rows.iter().filter(|row| row[3] == "f");
        assert!(
            f.clone().count() == 3 && f.clone().all(|row| row[1] == "1000"),
            "{text}"
        );
        let (none, _, day) = day_2019(0.0);
        let mut out = Vec::new();
        let unknown = convert_2019(lines(&none), lines(&durations), day, &mut out);
        assert_eq!(
            (unknown, out.len()),
            (Ok(0), "arrival_us,service_us,tenant,class\n".len())
        );
    }

    #[test]
    fn durations_lie_between_the_percentiles() {
        let durations_ns = [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0];
        let rows = [
            (0.0, 0),
            (0.005, 5),
            (0.01, 10),
            (0.5, 30),
            (0.625, 35),
            (0.995, 55),
            (0.999_999, 60),
        ];
        for (fraction, expected) in rows {
            assert_eq!(between(&durations_ns, fraction), expected, "{fraction}");
        }
    }
}
