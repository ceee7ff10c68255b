//! Values that were worked out elsewhere, against the formulas: to the last digit that is given.

use super::Row;
use super::theory::{self, Atoms};
use crate::sim::workload::Workload;

/// A table of (what, digits, formula).
type Values = Vec<(String, &'static str, f64)>;

/// All of them.
pub fn rows() -> Vec<Row> {
    let groups: [(&str, Values); 7] = [
        ("M/M/1 quantiles", mm1()),
        ("Erlang C, E[W] of M/M/c", erlang()),
        ("E[T] of M/G/1 at 0.8", sojourns()),
        ("E[T/S] of M/G/1 at 0.8", slowdowns()),
        ("M/M/1 under SRPT", srpt()),
        ("two choices among many", two_choices()),
        ("bounds of the deferrable server", deferrable()),
    ];
    groups.map(|(name, values)| row(name, &values)).into()
}

fn row(name: &str, values: &Values) -> Row {
    let wrong = values
        .iter()
        .filter(|(_, digits, value)| !agrees(digits, *value));
    let wrong: Vec<String> = wrong
        .map(|(what, digits, value)| format!("{what}: {digits}, formula {value}"))
        .collect();
    Row::exact(format!("golden values: {name}"), values.len(), &wrong)
}

/// Whether a value rounds to these digits; trailing zeros of an integer may be rounding, too.
fn agrees(digits: &str, value: f64) -> bool {
    let decimals = digits
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    let zeros = match decimals {
        0 => digits.len() - digits.trim_end_matches('0').len(),
        _ => 0,
    };
    let unit = 10_f64.powi(zeros as i32 - decimals as i32);
    digits
        .parse()
        .is_ok_and(|wanted: f64| (value - wanted).abs() <= 0.5 * unit * (1.0 + 1e-9))
}

/// The values of a workload that has no law but fixed services.
pub fn atoms(workload: &str) -> Atoms {
    let workload = Workload::parse(workload).expect("a known workload");
    let classes = workload.classes.iter();
    let mut atoms: Vec<(f64, f64)> = classes
        .map(|class| (class.share, class.service.mean_ns() as f64 / 1e3))
        .collect();
    atoms.sort_by(|a, b| a.1.total_cmp(&b.1));
    Atoms(atoms)
}

fn mm1() -> Values {
    let rows = [
        (0.8, 0.5, "3.4657"),
        (0.8, 0.99, "23.0259"),
        (0.8, 0.999, "34.5388"),
        (0.8, 0.9999, "46.0517"),
        (0.9, 0.5, "6.93"),
        (0.9, 0.99, "46.05"),
        (0.9, 0.999, "69.08"),
        (0.9, 0.9999, "92.10"),
    ];
    let value = |(load, q, digits)| {
        let value = theory::mm1_quantile(load, 1.0, q);
        (format!("{q} at {load}"), digits, value)
    };
    rows.map(value).into()
}

fn erlang() -> Values {
    #[rustfmt::skip]
    let rows = [
        (1, [".5", ".8", ".9"], ["1", "4", "9"]),
        (2, [".333333", ".711111", ".852632"], [".33333", "1.77778", "4.26316"]),
        (4, [".173913", ".596432", ".787753"], [".08696", ".74554", "1.96938"]),
        (8, [".059044", ".457645", ".701533"], [".01476", ".28603", ".87692"]),
        (16, [".009019", ".304884", ".591343"], [".00113", ".09528", ".36959"]),
    ];
    let loads = [0.5, 0.8, 0.9];
    let mut values = Values::new();
    for (servers, waiting, waits) in rows {
        for ((load, waiting), wait) in loads.into_iter().zip(waiting).zip(waits) {
            let c = theory::erlang_c(servers, load);
            values.push((format!("C({servers}, {load})"), waiting, c));
            let w = theory::mmc_wait(servers, load, 1.0);
            values.push((format!("E[W] of {servers} at {load}"), wait, w));
        }
    }
    values
}

/// Workload; E\[T\] under FIFO, PS, SRPT, SJF; E\[T/S\] under the same.
#[rustfmt::skip]
const MG1: [(&str, [&str; 4], [&str; 4]); 9] = [
    ("fixed-1", ["3", "5", "3", "3"], ["3", "5", "3", "3"]),
    ("bimodal-1", ["7.5", "5", "2.4375", "3.8438"], ["12.82", "5", "1.517", "4.841"]),
    ("bimodal-2", ["502.5", "5", "2.3344", "168.72"], ["1003", "5", "1.335", "334.8"]),
    ("high-bimodal", ["248.54", "252.5", "150.71", "170.27"], ["101", "5", "2.006", "21.96"]),
    ("extreme-bimodal", ["837.19", "14.988", "8.2277", "199.23"], ["1661", "5", "1.087", "383.9"]),
    ("disp-1", ["23.864", "27.5", "15.794", "17.382"], ["11.10", "5", "2.065", "3.971"]),
    ("disp-3", ["174.34", "29.75", "16.400", "52.281"], ["161.1", "5", "1.177", "37.77"]),
    ("dispersive-skyloft", ["18580", "269.9", "155.67", "4070.2"], ["4609", "5", "1.041", "980.4"]),
    ("tpcc", ["113.62", "95.34", "44.747", "61.84"], ["11.09", "5", "1.541", "3.851"]),
];

const POLICIES: [&str; 4] = ["FIFO", "PS", "SRPT", "SJF"];

fn sojourns() -> Values {
    let mut values = Values::new();
    for (name, sojourns, _) in MG1 {
        let law = atoms(name);
        let formulas = [
            law.fifo(0.8),
            theory::processor_sharing(0.8, law.mean()),
            law.expect(|x| law.srpt(0.8, x)),
            law.expect(|x| x + law.sjf_wait(0.8, x)),
        ];
        for ((policy, digits), formula) in POLICIES.into_iter().zip(sojourns).zip(formulas) {
            values.push((format!("{name}, {policy}"), digits, formula));
        }
    }
    values
}

fn slowdowns() -> Values {
    let mut values = Values::new();
    for (name, _, slowdowns) in MG1 {
        let law = atoms(name);
        let formulas = [
            law.fifo_slowdown(0.8),
            theory::processor_sharing(0.8, 1.0),
            law.expect(|x| law.srpt(0.8, x) / x),
            law.expect(|x| 1.0 + law.sjf_wait(0.8, x) / x),
        ];
        for ((policy, digits), formula) in POLICIES.into_iter().zip(slowdowns).zip(formulas) {
            values.push((format!("{name}, {policy}"), digits, formula));
        }
    }
    values
}

/// From the same integrals at thirty digits.
fn srpt() -> Values {
    let rows = [
        (0.5, "1.42537", "1.22512"),
        (0.8, "2.35277", "1.57785"),
        (0.9, "3.55213", "1.91726"),
    ];
    let mut values = Values::new();
    for (load, mean, slowdown) in rows {
        let formula = theory::mm1_srpt(load);
        values.push((format!("E[T] at {load}"), mean, formula.0));
        values.push((format!("E[T/S] at {load}"), slowdown, formula.1));
    }
    values
}

fn two_choices() -> Values {
    let value = theory::power_of_two(0.9);
    vec![("E[T] at 0.9".into(), "2.614", value)]
}

fn deferrable() -> Values {
    let rows = [
        (0.1, ".5596"),
        (0.2, ".4520"),
        (0.3, ".3629"),
        (0.5, ".2231"),
    ];
    let mut values: Values = rows
        .map(|(u, digits)| (format!("beside {u}"), digits, theory::deferrable_bound(u)))
        .into();
    let least = (1..1_000).map(|i| f64::from(i) / 1_000.0);
    let least = least
        .min_by(|a, b| total(*a).total_cmp(&total(*b)))
        .unwrap_or(0.0);
    values.push(("the least total".into(), ".6518", total(least)));
    values.push(("where it is".into(), ".186", least));
    values
}

fn total(u: f64) -> f64 {
    u + theory::deferrable_bound(u)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formulas_give_the_golden_values() {
        for row in rows() {
            assert!(row.holds(), "{row:?}");
        }
    }

    #[test]
    fn digits_are_taken_at_their_word() {
        let rows = [
            ("3.47", 3.4657, true),
            ("3.46", 3.4657, false),
            (".8", 0.8, true),
            ("4", 4.4, true),
            ("4", 4.6, false),
            ("18580", 18_584.9, true),
            ("18580", 18_586.0, false),
        ];
        for (digits, value, expected) in rows {
            assert_eq!(agrees(digits, value), expected, "{digits} {value}");
        }
    }
}
