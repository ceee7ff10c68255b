//! Replications of a simulation, and the intervals that they give.

use perf::Interval;
use sched::Nanos;

use super::{Finding, Row, Verdict};
use crate::sim::engine::{Config, Engine, Happening};
use crate::sim::parallel;
use crate::sim::scenario::Scenario;
use crate::sim::totals::Totals;

/// How many replications.
const REPLICATIONS: usize = 16;

/// The probability that an interval holds the true mean: with some hundred rows, one false alarm in a hundred runs.
const CONFIDENCE: f64 = 0.9999;

/// The widest interval, as a part of the theory, that still tells one formula from another.
const HALF_WIDTH_MAX: f64 = 0.15;

/// What is simulated, and what theory says of it.
pub struct Experiment {
    pub name: String,
    pub config: Config,
    pub scenario: Scenario,
    pub load: Option<f64>,
    pub requests: u64,
    pub claims: Vec<Claim>,
}

/// What theory says of one figure.
pub struct Claim {
    pub name: String,
    pub theory: f64,
    /// The relative error that the model is known to have.
    pub bias: f64,
    pub statistic: Statistic,
}

type PerRequest = dyn Fn(&Seen) -> Option<f64> + Sync;
type Whole = dyn Fn(&Totals, Nanos) -> f64 + Sync;

/// A figure of one run.
pub enum Statistic {
    /// The mean over the requests, but for the first tenth, and the last twentieth, who see the queue run dry. `None`
    /// leaves a request out.
    PerRequest(Box<PerRequest>),
    /// Of the whole run: its sums, and its end.
    Whole(Box<Whole>),
}

/// A request that is over. Times in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub class: u16,
    pub service_us: f64,
    pub sojourn_us: f64,
    /// The part of the sojourn in which it held no processor.
    pub wait_us: f64,
    pub refused: bool,
}

/// All rows of all experiments.
pub fn rows(experiments: &[Experiment], seed: u64) -> Vec<Row> {
    let runs = experiments.len() * REPLICATIONS;
    let figures = parallel::map(runs, |index| {
        let experiment = &experiments[index / REPLICATIONS];
        // Replications of one run have nothing to do with those of another.
        let own = seed.wrapping_mul(1 << 32).wrapping_add(index as u64);
        experiment.replicate(own)
    });
    let mut rows = Vec::new();
    for (experiment, figures) in experiments.iter().zip(figures.chunks(REPLICATIONS)) {
        for (index, claim) in experiment.claims.iter().enumerate() {
            let values: Vec<f64> = figures.iter().map(|run| run[index]).collect();
            rows.push(claim.judge(&experiment.name, &values));
        }
    }
    rows
}

impl Experiment {
    /// The figures of one run, one for each claim.
    fn replicate(&self, seed: u64) -> Vec<f64> {
        let source = self
            .scenario
            .source(self.load, self.config.workers, self.requests, seed);
        let mut engine = Engine::new(self.config.clone(), source);
        let measured = self.requests / 10..self.requests - self.requests / 20;
        let mut sums = vec![(0.0, 0.0); self.claims.len()];
        while let Some(happening) = engine.step() {
            let (request, held_ns, refused) = match happening {
                Happening::Finished { job, .. } => (job.request, job.held_ns, false),
                Happening::Refused { request } => (request, 0, true),
                _ => continue,
            };
            if !measured.contains(&request.arrival.seq) {
                continue;
            }
            let us = |time_ns: Nanos| time_ns as f64 / 1e3;
            let sojourn_ns = engine.now() - request.arrival.arrival_ns;
            let seen = Seen {
                class: request.arrival.route,
                service_us: us(request.service_ns),
                sojourn_us: us(sojourn_ns),
                wait_us: us(sojourn_ns - held_ns),
                refused,
            };
            for ((sum, count), claim) in sums.iter_mut().zip(&self.claims) {
                if let Statistic::PerRequest(of) = &claim.statistic
                    && let Some(value) = of(&seen)
                {
                    *sum += value;
                    *count += 1.0;
                }
            }
        }
        engine.totals().audit(self.requests, &self.config.costs);
        let figures = self.claims.iter().zip(sums);
        let figure = |(claim, (sum, count)): (&Claim, (f64, f64))| match &claim.statistic {
            Statistic::PerRequest(_) => sum / count,
            Statistic::Whole(of) => of(engine.totals(), engine.now()),
        };
        figures.map(figure).collect()
    }
}

impl Claim {
    fn judge(&self, experiment: &str, values: &[f64]) -> Row {
        let Interval { mean, half_width } = Interval::new(values, CONFIDENCE);
        let (distance, size) = ((mean - self.theory).abs(), self.theory.abs());
        // What is not a number fails.
        let near = distance <= half_width + self.bias * size;
        let verdict = match (near, half_width <= HALF_WIDTH_MAX * size) {
            (true, true) => Verdict::Holds,
            (true, false) => Verdict::TooNoisy,
            (false, _) => Verdict::Fails,
        };
        Row {
            name: format!("{experiment}: {}", self.name),
            verdict,
            finding: Finding::Interval {
                theory: self.theory,
                simulation: mean,
                half_width,
                confidence: CONFIDENCE,
                bias: self.bias,
                replications: values.len(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(theory: f64, bias: f64, values: &[f64]) -> Verdict {
        let claim = Claim {
            name: "x".into(),
            theory,
            bias,
            statistic: Statistic::Whole(Box::new(|_, _| 0.0)),
        };
        claim.judge("y", values).verdict
    }

    #[test]
    fn a_theory_outside_of_the_interval_fails_and_a_wide_interval_says_nothing() {
        let values: Vec<f64> = (0..16).map(|i| 99.0 + 2.0 * f64::from(i % 2)).collect();
        // The mean is 100, the standard error 0.258, t is 5.2 or so.
        assert_eq!(verdict(100.0, 0.0, &values), Verdict::Holds);
        assert_eq!(verdict(101.2, 0.0, &values), Verdict::Holds);
        assert_eq!(verdict(102.0, 0.0, &values), Verdict::Fails);
        assert_eq!(verdict(102.0, 0.02, &values), Verdict::Holds);
        assert_eq!(verdict(98.0, 0.0, &values), Verdict::Fails);
        let wide: Vec<f64> = values
            .iter()
            .map(|value| (value - 100.0) * 50.0 + 100.0)
            .collect();
        assert_eq!(verdict(100.0, 0.0, &wide), Verdict::TooNoisy);
        assert_eq!(verdict(100.0, 0.0, &[f64::NAN; 16]), Verdict::Fails);
    }
}
