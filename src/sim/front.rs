//! What is decided about a request before a worker is sought: how long it is expected to run, if that is learnt, and
//! whether it is admitted. Estimators and rules are those of `sched`.

use std::collections::HashMap;
use std::fmt;

use perf::event::Refusal;
use sched::admission::{
    Admission, Budgets, DemandBound, QueueDelay, Receipt, Request as Asked, Rule, Thresholds,
    Utilisation, Verdict,
};
use sched::estimate::{Estimator, Percentile, Quantile, Window};
use sched::{Nanos, Tenant};

use super::engine::Request;
use super::service::parse_us;

/// What part of the capacity is kept back unless something else is said, in thousandths.
const RESERVE_PERMILLE: u32 = 200;

/// By what rule the server has room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// It always has.
    #[default]
    Always,
    Utilisation {
        reserve_permille: u32,
    },
    Demand {
        reserve_permille: u32,
    },
    Delay {
        target_ns: Nanos,
        interval_ns: Nanos,
    },
}

impl Room {
    /// Understands `none`, `utilisation[:PERCENT]`, `demand[:PERCENT]` and `delay:TARGET_US:INTERVAL_US`.
    ///
    /// # Errors
    ///
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let reserve = |percent: &str| {
            let percent = percent.parse().ok().filter(|percent| *percent < 100);
            let percent: u32 =
                percent.ok_or_else(|| format!("{text:?}: not a percentage from 0 to 99"))?;
            Ok::<u32, String>(percent * 10)
        };
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            ["none"] => Ok(Self::Always),
            ["utilisation"] => Ok(Self::Utilisation {
                reserve_permille: RESERVE_PERMILLE,
            }),
            ["utilisation", percent] => Ok(Self::Utilisation {
                reserve_permille: reserve(percent)?,
            }),
            ["demand"] => Ok(Self::Demand {
                reserve_permille: RESERVE_PERMILLE,
            }),
            ["demand", percent] => Ok(Self::Demand {
                reserve_permille: reserve(percent)?,
            }),
            ["delay", target, interval] => {
                let (target_ns, interval_ns) = (parse_us(target)?, parse_us(interval)?);
                if target_ns > interval_ns {
                    return Err(format!("{text:?}: the target is above the interval"));
                }
                Ok(Self::Delay {
                    target_ns,
                    interval_ns,
                })
            }
            _ => Err(format!(
                "{text:?} is not none, utilisation[:PERCENT], demand[:PERCENT] or delay:TARGET_US:INTERVAL_US"
            )),
        }
    }

    fn rule(self, workers: u32, tenants: &[Tenant]) -> Rule {
        match self {
            Self::Always => Rule::None,
            Self::Utilisation { reserve_permille } => {
                Rule::Utilisation(Utilisation::new(workers, reserve_permille))
            }
            Self::Demand { reserve_permille } => {
                let room = Utilisation::new(workers, reserve_permille);
                Rule::Demand(DemandBound::new(tenants, room))
            }
            Self::Delay {
                target_ns,
                interval_ns,
            } => Rule::Delay(QueueDelay::new(target_ns, interval_ns)),
        }
    }
}

/// As [`Room::parse`] understands it.
impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |ns: Nanos| ns as f64 / 1e3;
        match *self {
            Self::Always => f.write_str("none"),
            Self::Utilisation { reserve_permille } => {
                write!(f, "utilisation:{}", reserve_permille / 10)
            }
            Self::Demand { reserve_permille } => write!(f, "demand:{}", reserve_permille / 10),
            Self::Delay {
                target_ns,
                interval_ns,
            } => write!(f, "delay:{}:{}", us(target_ns), us(interval_ns)),
        }
    }
}

/// How estimates are learnt from what ran, per route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learn {
    /// This percentile of the last 256 runs.
    Window(u8),
    /// This percentile, exponentially weighted.
    Quantile(u8),
}

impl Learn {
    fn estimator(self) -> Estimator {
        let percentile = |percent| Percentile::new(percent).expect("checked when it was parsed");
        match self {
            Self::Window(percent) => {
                Estimator::Window(Box::new(Window::new(percentile(percent), 0)))
            }
            Self::Quantile(percent) => {
                Estimator::Quantile(Box::new(Quantile::new(percentile(percent), 0)))
            }
        }
    }
}

/// What stands before the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrontConfig {
    pub room: Room,
    /// Whether tenants are refused beyond their reservations.
    pub budgets: bool,
    pub learn: Option<Learn>,
}

/// See the module's text.
pub struct Front {
    admission: Admission,
    /// By number of the request.
    receipts: HashMap<u64, Receipt>,
    learn: Option<Learn>,
    /// By route; as many as were seen.
    estimators: Vec<Estimator>,
}

impl Front {
    /// `tenants` is what the whole server owes. `None` if nothing is decided here.
    pub fn new(
        config: FrontConfig,
        workers: usize,
        tenants: &[Tenant],
        thresholds: Option<Thresholds>,
    ) -> Option<Self> {
        if config == FrontConfig::default() && thresholds.is_none() {
            return None;
        }
        let budgets = config.budgets.then(|| Budgets::new(0, tenants));
        Some(Self {
            admission: Admission::new(
                budgets,
                thresholds,
                config.room.rule(workers as u32, tenants),
            ),
            receipts: HashMap::new(),
            learn: config.learn,
            estimators: Vec::new(),
        })
    }

    /// Says what is expected of the request, and whether it is taken.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn admit(&mut self, now: Nanos, request: &mut Request) -> Result<(), Refusal> {
        let arrival = &mut request.arrival;
        if let Some(learn) = self.learn {
            let route = usize::from(arrival.route);
            while self.estimators.len() <= route {
                self.estimators.push(learn.estimator());
            }
            arrival.expected_ns = self.estimators[route].expected_ns(0);
        }
        let asked = Asked {
            tenant: arrival.tenant,
            expected_ns: arrival.expected_ns,
            deadline_ns: arrival.deadline_ns,
        };
        match self.admission.decide(now, &asked) {
            Verdict::Admit(receipt) => {
                self.receipts.insert(arrival.seq, receipt);
                Ok(())
            }
            Verdict::RefuseTenant { .. } => Err(Refusal::Tenant),
            Verdict::RefuseServer { .. } => Err(Refusal::Server),
        }
    }

    /// It runs for the first time.
    pub fn started(&mut self, now: Nanos, request: &Request) {
        if let Some(receipt) = self.receipts.get_mut(&request.arrival.seq) {
            self.admission.started(now, receipt);
        }
    }

    /// It is over after it ran for so long; 0 if no worker took it.
    pub fn ended(&mut self, now: Nanos, request: &Request, ran_ns: Nanos) {
        let receipt = self.receipts.remove(&request.arrival.seq);
        let receipt = receipt.expect("who was admitted has a receipt");
        self.admission.end(now, receipt, ran_ns);
        if ran_ns > 0 && self.learn.is_some() {
            self.estimators[usize::from(request.arrival.route)].observe(ran_ns);
        }
    }

    /// Whether all capacity was given back.
    pub fn is_idle(&self) -> bool {
        self.receipts.is_empty() && self.admission.is_idle()
    }
}
