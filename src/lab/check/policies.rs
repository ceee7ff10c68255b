//! What is compared.

use sched::{DISPATCHERS, DispatchParams, Scheduler};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Checker;
use crate::cli::settings::{Preemption, PreemptionTrigger};
use crate::lab::experiment::Policy;
use crate::lab::limits::{DISPATCH_BOUND_MAX, POLICIES_MAX, QUANTUM_MAX_US};
use crate::sim::front::Room;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenPolicy {
    name: Option<String>,
    scheduler: String,
    quantum_us: Option<u64>,
    preemption: Option<String>,
    trigger: Option<String>,
    dispatch: Option<String>,
    dispatch_bound: Option<u32>,
    admission: Option<String>,
    budget_caps: Option<bool>,
}

impl Checker {
    pub(super) fn policies(&mut self, written: &[&RawValue], is_live: bool) -> Vec<Policy> {
        if written.is_empty() || written.len() > POLICIES_MAX {
            let right = format!("1 to {POLICIES_MAX} of them");
            self.wrong("policies", &written.len(), &right);
        }
        let mut policies = Vec::<Policy>::new();
        for (at, value) in written.iter().enumerate() {
            let key = format!("policies[{at}]");
            let written = match serde_json::from_str::<String>(value.get()) {
                Ok(text) => self.short(&key, &text),
                Err(_) => self.long(&key, value),
            };
            let policy = written.and_then(|written| self.policy(&key, &written));
            let Some(policy) = policy else { continue };
            if is_live {
                self.told_to_servers(&key, &policy);
            }
            if policies.iter().any(|known| known.name == policy.name) {
                self.wrong(&key, &policy.name, "a name of its own for each policy");
            }
            policies.push(policy);
        }
        policies
    }

    /// What only the simulator can do.
    fn told_to_servers(&mut self, key: &str, policy: &Policy) {
        // Servers are told times of admission in milliseconds.
        if let Room::Delay {
            target_ns,
            interval_ns,
        } = policy.room
            && (target_ns % 1_000_000 > 0 || interval_ns % 1_000_000 > 0)
        {
            let right = "whole milliseconds (delay:10000:100000), as servers have them,";
            self.wrong(&format!("{key}.admission"), &policy.room.to_string(), right);
        }
    }

    /// `rr`, or `rr:250` with its quantum.
    fn short(&mut self, key: &str, text: &str) -> Option<WrittenPolicy> {
        let (scheduler, quantum) = match text.split_once(':') {
            Some((scheduler, quantum)) => (scheduler, Some(quantum.parse())),
            None => (text, None),
        };
        let Ok(quantum_us) = quantum.transpose() else {
            self.wrong(key, &text, "NAME or NAME:QUANTUM_US, such as rr:250,");
            return None;
        };
        Some(WrittenPolicy {
            name: Some(text.to_owned()),
            scheduler: scheduler.to_owned(),
            quantum_us,
            ..WrittenPolicy::default()
        })
    }

    fn long(&mut self, key: &str, value: &RawValue) -> Option<WrittenPolicy> {
        let written = serde_json::from_str(value.get()).map_err(|error| {
            let error = error.to_string();
            // The position is within the item, of which the reader knows nothing.
            let reason = error.split(" at line ").next().unwrap_or(&error);
            reason.to_owned()
        });
        self.understood(key, written)
    }

    fn policy(&mut self, key: &str, written: &WrittenPolicy) -> Option<Policy> {
        let at = |name: &str| format!("{key}.{name}");
        let scheduler = Scheduler::from_name(&written.scheduler);
        let scheduler = self.understood(key, scheduler.map_err(|why| why.to_string()));
        let preemptions = [
            ("signal", Preemption::Signal),
            ("epoch", Preemption::Epoch),
            ("off", Preemption::Off),
        ];
        let preemption = written.preemption.as_deref().unwrap_or("signal");
        let preemption = self.one_of(&at("preemption"), preemption, &preemptions);
        let triggers = [
            ("timer", PreemptionTrigger::Timer),
            ("listener", PreemptionTrigger::Listener),
        ];
        let trigger = written.trigger.as_deref().unwrap_or("timer");
        let trigger = self.one_of(&at("trigger"), trigger, &triggers);
        let dispatchers: Vec<_> = DISPATCHERS.iter().map(|row| (row.name, row)).collect();
        let dispatch = written.dispatch.as_deref().unwrap_or(DISPATCHERS[0].name);
        let dispatcher = self.one_of(&at("dispatch"), dispatch, &dispatchers);
        let room = Room::parse(written.admission.as_deref().unwrap_or("none"));
        let room = self.understood(&at("admission"), room);
        let bound = written.dispatch_bound.map(|bound| {
            let most = (1, DISPATCH_BOUND_MAX);
            self.within(&at("dispatch-bound"), bound, most)
        });
        let quantum_us = written.quantum_us;
        let quantum_us =
            quantum_us.map(|us| self.within(&at("quantum-us"), us, (1, QUANTUM_MAX_US)));
        Some(Policy {
            name: written
                .name
                .clone()
                .unwrap_or_else(|| written.scheduler.clone()),
            scheduler: scheduler?,
            quantum_us,
            preemption: preemption?,
            trigger: trigger?,
            dispatcher: dispatcher?,
            dispatch_params: bound
                .map_or(DispatchParams::default(), |bound| DispatchParams { bound }),
            room: room?,
            caps_budgets: written.budget_caps.unwrap_or(false),
        })
    }
}
