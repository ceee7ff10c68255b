//! Along which axis.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Checker;
use crate::lab::experiment::{Axis, Sender, Sweep};
use crate::lab::limits::{CLIENTS_MAX, LOAD_MAX, POINTS_MAX, QUANTUM_MAX_US};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadOf {
    tenant: String,
    loads: Vec<f64>,
}

impl Checker {
    pub(super) fn sweep(
        &mut self,
        written: &BTreeMap<String, &RawValue>,
        tenants: &[Sender],
    ) -> Sweep {
        let nothing = Sweep {
            axis: Axis::Load,
            values: Vec::new(),
        };
        let mut axes = written.iter();
        let (Some((axis, value)), None) = (axes.next(), axes.next()) else {
            let right =
                "one of load, load-of, quantum-us and clients, such as {\"load\": [0.2, 0.8]},";
            self.wrong("sweep", &written.keys().collect::<Vec<_>>(), right);
            return nothing;
        };
        let key = format!("sweep.{axis}");
        let sweep = match &**axis {
            "load" => self.values(&key, value, Axis::Load),
            "load-of" => self.load_of(&key, value, tenants),
            "quantum-us" => self.values(&key, value, Axis::QuantumUs),
            "clients" => self.values(&key, value, Axis::Clients),
            other => {
                let right = "load, load-of, quantum-us or clients";
                self.wrong("sweep", &other, right);
                None
            }
        };
        if let Some(sweep) = &sweep {
            self.sane(&key, sweep);
        }
        sweep.unwrap_or(nothing)
    }

    fn values(&mut self, key: &str, value: &RawValue, axis: Axis) -> Option<Sweep> {
        match serde_json::from_str(value.get()) {
            Ok(values) => Some(Sweep { axis, values }),
            Err(_) => {
                self.wrong(key, &value.get(), "a list of numbers");
                None
            }
        }
    }

    fn load_of(&mut self, key: &str, value: &RawValue, tenants: &[Sender]) -> Option<Sweep> {
        let of = serde_json::from_str::<LoadOf>(value.get());
        let right = "such as {\"tenant\": \"NAME\", \"loads\": [0.1, 1]}";
        let of = self.understood(key, of.map_err(|error| format!("{error}; {right}")))?;
        if !tenants.iter().any(|tenant| tenant.name == of.tenant) {
            let names: Vec<_> = tenants.iter().map(|tenant| &*tenant.name).collect();
            let right = format!("a tenant ({})", names.join(", "));
            self.wrong(&format!("{key}.tenant"), &of.tenant, &right);
        }
        Some(Sweep {
            axis: Axis::LoadOf(of.tenant),
            values: of.loads,
        })
    }

    fn sane(&mut self, key: &str, sweep: &Sweep) {
        let (most, is_whole) = match sweep.axis {
            Axis::Load | Axis::LoadOf(_) => (LOAD_MAX, false),
            Axis::QuantumUs => (QUANTUM_MAX_US as f64, true),
            Axis::Clients => (CLIENTS_MAX, true),
        };
        let fits =
            |value: &f64| *value > 0.0 && *value <= most && (!is_whole || value.fract() == 0.0);
        if let Some(value) = sweep.values.iter().find(|value| !fits(value)) {
            let kind = if is_whole { "an integer" } else { "a number" };
            self.wrong(key, value, &format!("{kind} above 0, up to {most},"));
        }
        let ascends = sweep.values.windows(2).all(|pair| pair[0] < pair[1]);
        if sweep.values.is_empty() || sweep.values.len() > POINTS_MAX || !ascends {
            let right = format!("1 to {POINTS_MAX} numbers in ascending order");
            self.wrong(key, &sweep.values, &right);
        }
    }
}
