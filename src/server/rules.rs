//! By what the listener's thread decides, made of what the server is told.

use super::estimates::Learnt;
use sched::admission::{Admission, Budgets, NamedRule, RuleParams, Thresholds};
use sched::estimate::NamedEstimator;
use sched::{Dispatch, DispatchParams, Fact, Nanos, Scheduler, Tenant};

/// What is told of how requests are taken and who gets them.
#[derive(Clone, Debug)]
pub struct Intake {
    /// Who gets a request.
    pub dispatch: &'static sched::Dispatcher,
    /// The dispatcher's parameters.
    pub dispatch_params: DispatchParams,
    /// Requests that may wait for a worker at the listener, where the dispatcher holds any.
    pub backlog_max: usize,
    /// Whether a request is taken at all.
    pub admission: &'static NamedRule,
    /// By utilisation and demand: thousandths of the workers that are kept in reserve.
    pub reserve_permille: u32,
    /// By delay: waits up to this are good, in nanoseconds. At least 1.
    pub target_ns: Nanos,
    /// By delay: for how long they may be longer, in nanoseconds. At least the target.
    pub interval_ns: Nanos,
    /// Whether a tenant gets no more than its budget.
    pub caps_budgets: bool,
    /// How executions are estimated; `None`: by the last runs of a route that names a percentile, and of all routes if
    /// anything looks at estimates.
    pub estimator: Option<&'static NamedEstimator>,
    /// What is known of the routes' executions from before.
    pub learnt: Learnt,
}

impl Default for Intake {
    fn default() -> Intake {
        Intake {
            dispatch: &sched::DISPATCHERS[0],
            dispatch_params: DispatchParams::default(),
            backlog_max: 0,
            admission: &sched::admission::RULES[0],
            reserve_permille: 200,
            target_ns: 10_000_000,
            interval_ns: 100_000_000,
            caps_budgets: false,
            estimator: None,
            learnt: Learnt::default(),
        }
    }
}

/// By what a dispatcher decides.
pub struct Rules {
    /// The workers' policy: what a newcomer is compared by.
    pub scheduler: &'static Scheduler,
    /// Who gets a request.
    pub dispatch: Box<dyn Dispatch + Send>,
    /// Its row in the table.
    pub dispatcher: &'static sched::Dispatcher,
    /// See [`Intake::backlog_max`].
    pub backlog_max: usize,
    /// Whether it is taken at all.
    pub admission: Admission,
    /// See [`Intake::estimator`].
    pub estimator: Option<&'static NamedEstimator>,
    /// Something looks at estimates.
    pub uses_sizes: bool,
    /// What is known of the routes' executions from before.
    pub learnt: Learnt,
}

impl Rules {
    /// The rules for so many workers, whose policies see so many requests each, and these tenants, whose reservations are
    /// those of all workers together.
    ///
    /// # Panics
    ///
    /// If [`crate::tenants::check`] does not let them pass.
    #[must_use]
    pub fn new(
        now: Nanos,
        scheduler: &'static Scheduler,
        intake: Intake,
        (tenants, workers, tasks_max): (&[Tenant], usize, u32),
    ) -> Rules {
        let uses = [scheduler.uses, intake.admission.uses, intake.dispatch.uses];
        let uses_sizes =
            intake.caps_budgets || uses.iter().any(|uses| uses.contains(&Fact::Execution));
        let rule = (intake.admission.build)(&RuleParams {
            tenants,
            workers: workers as u32,
            reserve_permille: intake.reserve_permille,
            target_ns: intake.target_ns,
            interval_ns: intake.interval_ns,
        });
        let budgets = intake.caps_budgets.then(|| Budgets::new(now, tenants));
        let places = tasks_max.saturating_mul(workers as u32);
        let thresholds = Thresholds::of(scheduler, tenants.len(), places);
        Rules {
            scheduler,
            dispatch: (intake.dispatch.build)(&intake.dispatch_params),
            dispatcher: intake.dispatch,
            backlog_max: intake.backlog_max,
            admission: Admission::new(budgets, thresholds, rule),
            estimator: intake.estimator,
            uses_sizes,
            learnt: intake.learnt,
        }
    }
}
