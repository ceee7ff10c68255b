//! Who sends what.

use std::path::PathBuf;

use sched::{Nanos, Tenant};
use serde::Deserialize;

use super::{Checker, Written};
use crate::lab::experiment::{Class, Sender, What};
use crate::lab::limits::CLASSES_MAX;
use crate::sim::arrivals::Process;
use crate::sim::service::Service;
use crate::sim::tenants::Spec as TenantSpec;
use crate::sim::workload::Workload;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WrittenClass {
    name: String,
    share: f64,
    service: Option<String>,
    function: Option<PathBuf>,
    query: Option<String>,
    body_file: Option<PathBuf>,
    deadline: Option<String>,
}

impl Checker {
    /// The classes, and whose they are.
    pub(super) fn senders(&mut self, written: &Written<'_>) -> (Vec<Class>, Vec<Sender>) {
        let own = self.own(written);
        let process = self.process(written);
        let Some(tenants) = &written.tenants else {
            let all = Sender {
                name: String::new(),
                classes: 0..own.len(),
                process,
                load: 1.0,
                from_ns: 0,
                until_ns: Nanos::MAX,
                owed: Tenant::default(),
            };
            return (own, vec![all]);
        };
        let (mut classes, mut senders) = (Vec::new(), Vec::new());
        for (at, spec) in tenants.iter().enumerate() {
            self.tenant(
                &format!("tenants[{at}]"),
                spec,
                &own,
                &mut classes,
                &mut senders,
            );
        }
        if classes.len() > CLASSES_MAX {
            let right = format!("at most {CLASSES_MAX} classes of all tenants together");
            self.wrong("tenants", &classes.len(), &right);
        }
        (classes, senders)
    }

    /// What is sent by those who do not say.
    fn own(&mut self, written: &Written<'_>) -> Vec<Class> {
        match (&written.workload, &written.classes) {
            (Some(_), Some(_)) => {
                let problem = "workload and classes: one of them would be right".to_owned();
                self.problems.push(problem);
                Vec::new()
            }
            (Some(text), None) => self.workload("workload", text),
            (None, Some(classes)) => self.classes(classes),
            (None, None) if written.tenants.is_some() => Vec::new(),
            (None, None) => {
                let problem = "workload: there is none; a name (luge sim --list), a law, or classes would be right";
                self.problems.push(problem.to_owned());
                Vec::new()
            }
        }
    }

    fn process(&mut self, written: &Written<'_>) -> Process {
        let arrivals = written.arrivals.as_deref().unwrap_or("poisson");
        let process = self.understood("arrivals", Process::parse(arrivals));
        let process = process.unwrap_or(Process::Poisson);
        if process.is_closed() {
            let right = "an open process, or a sweep over clients,";
            self.wrong("arrivals", &arrivals, right);
        }
        process
    }

    fn tenant(
        &mut self,
        key: &str,
        spec: &TenantSpec,
        own: &[Class],
        classes: &mut Vec<Class>,
        senders: &mut Vec<Sender>,
    ) {
        let any = Workload::parse("fixed:1").expect("a law");
        let Some(tenant) = self.understood(key, spec.clone().check(&any)) else {
            return;
        };
        if senders.iter().any(|sender| sender.name == tenant.name) {
            let right = "a name of its own for each tenant";
            self.wrong(&format!("{key}.name"), &tenant.name, right);
        }
        let theirs = match spec.workload() {
            Some(text) => self.workload(&format!("{key}.workload"), text),
            None if own.is_empty() => {
                let right = "a workload, here or for all,";
                self.wrong(&format!("{key}.workload"), &"", right);
                return;
            }
            None => own.to_vec(),
        };
        let first = classes.len();
        let alone = theirs.len() == 1;
        classes.extend(theirs.into_iter().map(|class| Class {
            name: match alone {
                true => tenant.name.clone(),
                false => format!("{}/{}", tenant.name, class.name),
            },
            deadline_ns: tenant.deadline_ns.or(class.deadline_ns),
            ..class
        }));
        senders.push(Sender {
            name: tenant.name,
            classes: first..classes.len(),
            process: tenant.process,
            load: tenant.load,
            from_ns: tenant.from_ns,
            until_ns: tenant.until_ns,
            owed: tenant.owed,
        });
    }

    fn workload(&mut self, key: &str, text: &str) -> Vec<Class> {
        let workload = self.understood(key, Workload::parse(text));
        let classes = workload.map(|workload| workload.classes);
        let classes = classes.into_iter().flatten().map(|class| Class {
            name: class.name,
            share: class.share,
            what: What::Service(class.service),
            deadline_ns: None,
        });
        classes.collect()
    }

    fn classes(&mut self, written: &[WrittenClass]) -> Vec<Class> {
        if written.is_empty() || written.len() > CLASSES_MAX {
            let right = format!("1 to {CLASSES_MAX} of them");
            self.wrong("classes", &written.len(), &right);
        }
        let total: f64 = written.iter().map(|class| class.share).sum();
        let mut classes = Vec::<Class>::new();
        for (at, class) in written.iter().enumerate() {
            let key = |name: &str| format!("classes[{at}].{name}");
            if !(class.share > 0.0 && class.share.is_finite()) {
                self.wrong(&key("share"), &class.share, "a number above 0");
            }
            if classes.iter().any(|known| known.name == class.name) {
                let right = "a name of its own for each class";
                self.wrong(&key("name"), &class.name, right);
            }
            let Some(what) = self.what(&key("service"), class) else {
                continue;
            };
            classes.push(Class {
                name: class.name.clone(),
                share: class.share / total,
                what,
                deadline_ns: self.time(&key("deadline"), class.deadline.as_ref()),
            });
        }
        classes
    }

    fn what(&mut self, key: &str, class: &WrittenClass) -> Option<What> {
        match (&class.service, &class.function) {
            (Some(law), None) => self.understood(key, Service::parse(law)).map(What::Service),
            (None, Some(path)) => Some(What::Function {
                path: path.clone(),
                query: class.query.clone().unwrap_or_default(),
                body: class.body_file.clone(),
            }),
            _ => {
                let right = "either a service (a law) or a function";
                self.wrong(key, &class.service.as_deref().unwrap_or(""), right);
                None
            }
        }
    }
}
