//! The formulas of queueing theory that the simulator is held against. This is the one place where they stand.
//!
//! Times are in any unit, the same within one call; ρ is the load of one server. Notation: λ arrival rate, S service,
//! T sojourn, W wait.

/// M/M/1: E\[T\] = E\[S\]/(1−ρ), for every policy that does not look at sizes.
pub fn mm1_sojourn(load: f64, mean: f64) -> f64 {
    mean / (1.0 - load)
}

/// M/M/1 under FIFO: T is exponential, so its quantile is −ln(1−q) E\[T\].
pub fn mm1_quantile(load: f64, mean: f64, q: f64) -> f64 {
    -(1.0 - q).ln() * mm1_sojourn(load, mean)
}

/// Erlang's B(c, a) by its recursion: the part that is refused if nobody can wait, whatever the law of services.
pub fn erlang_b(servers: u32, offered: f64) -> f64 {
    (1..=servers).fold(1.0, |b, k| offered * b / (f64::from(k) + offered * b))
}

/// Erlang's C: the part that waits (Cooper, *Introduction to Queueing Theory*, §3.5).
pub fn erlang_c(servers: u32, load: f64) -> f64 {
    let blocked = erlang_b(servers, load * f64::from(servers));
    blocked / (1.0 - load * (1.0 - blocked))
}

/// M/M/c: E\[W\] = C/(cμ − λ).
pub fn mmc_wait(servers: u32, load: f64, mean: f64) -> f64 {
    erlang_c(servers, load) * mean / (f64::from(servers) * (1.0 - load))
}

/// M/M/c: P(W > t) = C e^{−(cμ−λ)t}.
pub fn mmc_wait_beyond(servers: u32, load: f64, mean: f64, t: f64) -> f64 {
    erlang_c(servers, load) * (-f64::from(servers) * (1.0 - load) / mean * t).exp()
}

/// Pollaczek and Khinchine: E\[W\] = λE\[S²\]/(2(1−ρ)) of M/G/1 under FIFO.
pub fn pollaczek_khinchine(load: f64, mean: f64, second: f64) -> f64 {
    load / mean * second / (2.0 * (1.0 - load))
}

/// A law of few values: (probability, value), ascending.
#[derive(Clone, Debug)]
pub struct Atoms(pub Vec<(f64, f64)>);

impl Atoms {
    /// E of a function of S.
    pub fn expect(&self, of: impl Fn(f64) -> f64) -> f64 {
        self.0.iter().map(|&(p, x)| p * of(x)).sum()
    }

    pub fn mean(&self) -> f64 {
        self.expect(|x| x)
    }

    pub fn second(&self) -> f64 {
        self.expect(|x| x * x)
    }

    /// ρ(x): the load of those not longer than x, or `below` of those that are shorter.
    fn load_up_to(&self, load: f64, x: f64, below: bool) -> f64 {
        let part = |size: f64| {
            if size < x || (!below && size == x) {
                size
            } else {
                0.0
            }
        };
        load / self.mean() * self.expect(part)
    }

    /// M/G/1 under FIFO: E\[T\].
    pub fn fifo(&self, load: f64) -> f64 {
        self.mean() + pollaczek_khinchine(load, self.mean(), self.second())
    }

    /// M/G/1 under FIFO: E\[T/S\].
    pub fn fifo_slowdown(&self, load: f64) -> f64 {
        1.0 + pollaczek_khinchine(load, self.mean(), self.second()) * self.expect(|x| 1.0 / x)
    }

    /// Shortest job first, non-preemptive, ties by arrival: E\[W(x)\] = λE\[S²\]/(2(1−ρ(x⁻))(1−ρ(x))) (Phipps 1956).
    pub fn sjf_wait(&self, load: f64, x: f64) -> f64 {
        let shorter = self.load_up_to(load, x, true);
        let upto = self.load_up_to(load, x, false);
        load / self.mean() * self.second() / (2.0 * (1.0 - shorter) * (1.0 - upto))
    }

    /// Shortest remaining processing time, ties by arrival: E\[T(x)\] (Schrage & Miller 1966, with atoms).
    pub fn srpt(&self, load: f64, x: f64) -> f64 {
        let rate = load / self.mean();
        let truncated = self.expect(|size| size.min(x).powi(2));
        let shorter = self.load_up_to(load, x, true);
        let upto = self.load_up_to(load, x, false);
        let wait = rate / 2.0 * truncated / ((1.0 - shorter) * (1.0 - upto));
        // ∫ dt/(1−ρ(t)) from 0 to x, ρ being constant between two atoms.
        let (mut residence, mut from) = (0.0, 0.0);
        for &(_, size) in self.0.iter().filter(|&&(_, size)| size <= x) {
            residence += (size - from) / (1.0 - self.load_up_to(load, size, true));
            from = size;
        }
        wait + residence
    }

    /// Preemptive priority for the short, no account being taken of what has run: E\[T(x)\].
    pub fn priority_preemptive(&self, load: f64, x: f64) -> f64 {
        let rate = load / self.mean();
        let upto_second = self.expect(|size| if size <= x { size * size } else { 0.0 });
        let shorter = self.load_up_to(load, x, true);
        let upto = self.load_up_to(load, x, false);
        x / (1.0 - shorter) + rate * upto_second / (2.0 * (1.0 - shorter) * (1.0 - upto))
    }

    /// Processor time per request of round robin with quantum q, if every interruption costs h and somebody always
    /// waits: E\[S\] + h E\[⌈S/q⌉ − 1\].
    pub fn round_robin_demand(&self, q: f64, h: f64) -> f64 {
        self.mean() + h * self.expect(|x| (x / q - 1e-9).ceil() - 1.0)
    }

    /// Everybody takes longer by as much.
    pub fn longer(&self, by: f64) -> Self {
        Self(self.0.iter().map(|&(p, x)| (p, x + by)).collect())
    }
}

/// Processor sharing is insensitive: E\[T(x)\] = x/(1−ρ) whatever the law.
pub fn processor_sharing(load: f64, x: f64) -> f64 {
    x / (1.0 - load)
}

/// M/M/1 under SRPT: E\[T\] and E\[T/S\], in mean services, by Simpson's rule over E\[T(x)\] (Schrage & Miller 1966).
pub fn mm1_srpt(load: f64) -> (f64, f64) {
    const STEP: f64 = 5e-4;
    const STEPS: usize = 100_000;
    let upto = |x: f64| 1.0 - (-x).exp() * (1.0 + x);
    let (mut residence, mut mean, mut slowdown) = (0.0, 0.0, 0.0);
    // At 0, T(x)/x is 1.
    slowdown += STEP / 3.0;
    for i in 1..=STEPS {
        let x = i as f64 * STEP;
        let stay = |x: f64| 1.0 / (1.0 - load * upto(x));
        residence += STEP / 6.0 * (stay(x - STEP) + 4.0 * stay(x - STEP / 2.0) + stay(x));
        let sojourn = load * upto(x) / (1.0 - load * upto(x)).powi(2) + residence;
        let weight = match (i == STEPS, i % 2) {
            (true, _) => 1.0,
            (false, 1) => 4.0,
            (false, _) => 2.0,
        } * STEP
            / 3.0
            * (-x).exp();
        mean += weight * sojourn;
        slowdown += weight * sojourn / x;
    }
    (mean, slowdown)
}

/// GI/M/1 under FIFO: E\[T\] = E\[S\]/(1−σ), σ being the root of σ = A*(μ(1−σ)) below 1; `transform` is A*, the Laplace
/// transform of the times between arrivals (Kleinrock, *Queueing Systems* I, §6.4).
pub fn gi_m_1(mean: f64, transform: impl Fn(f64) -> f64) -> f64 {
    let mut sigma = 0.5;
    for _ in 0..10_000 {
        sigma = transform((1.0 - sigma) / mean);
    }
    mean / (1.0 - sigma)
}

/// The transform for arrivals at equal intervals.
pub fn deterministic_transform(rate: f64, s: f64) -> f64 {
    (-s / rate).exp()
}

/// The transform for a Poisson process of this rate that is on and off for exponential times of these means.
pub fn on_off_transform(rate_on: f64, on: f64, off: f64, s: f64) -> f64 {
    let (leave, back) = (1.0 / on, 1.0 / off);
    rate_on * (s + back) / (s * s + (rate_on + leave + back) * s + rate_on * back)
}

/// The transform for every nth request of a Poisson process of this rate: what a worker gets that is dealt to in turn.
pub fn dealt_transform(rate: f64, n: i32, s: f64) -> f64 {
    (rate / (rate + s)).powi(n)
}

/// The less loaded of two at random, for many exponential servers: E\[T\] = Σ ρ^(2^i − 2) for i from 1 on, in mean services
/// (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).
pub fn power_of_two(load: f64) -> f64 {
    (1..12).map(|i| load.powi((1 << i) - 2)).sum()
}

type Matrix = [[f64; 2]; 2];

fn times(a: Matrix, b: Matrix) -> Matrix {
    let entry = |i: usize, j: usize| a[i][0] * b[0][j] + a[i][1] * b[1][j];
    [[entry(0, 0), entry(0, 1)], [entry(1, 0), entry(1, 1)]]
}

fn inverse([[a, b], [c, d]]: Matrix) -> Matrix {
    let determinant = a * d - b * c;
    let part = |x: f64| x / determinant;
    [[part(d), part(-b)], [part(-c), part(a)]]
}

/// MMPP(2)/M/1: E\[T\], by matrix geometry (Neuts, *Matrix-Geometric Solutions*, §3.1). Rates and mean times of the two
/// states.
pub fn mmpp_m_1(mean: f64, rates: [f64; 2], times_in: [f64; 2]) -> f64 {
    let service = 1.0 / mean;
    let leave = times_in.map(|time| 1.0 / time);
    let local = |served: f64| -> Matrix {
        [
            [-leave[0] - rates[0] - served, leave[0]],
            [leave[1], -leave[1] - rates[1] - served],
        ]
    };
    let back = inverse(local(service));
    let mut r: Matrix = [[0.0; 2]; 2];
    for _ in 0..100_000 {
        let square = times(r, r);
        let up: Matrix = [
            [-rates[0] - service * square[0][0], -service * square[0][1]],
            [-service * square[1][0], -rates[1] - service * square[1][1]],
        ];
        r = times(up, back);
    }
    // The empty states solve π(B + μR) = 0; the first column is enough, the sum is scaled away below.
    let first = local(0.0)[0][0] + service * r[0][0];
    let second = local(0.0)[1][0] + service * r[1][0];
    let empty = [second, -first];
    let sums = inverse([[1.0 - r[0][0], -r[0][1]], [-r[1][0], 1.0 - r[1][1]]]);
    let dot = |row: [f64; 2], m: Matrix| {
        let column = |j: usize| row[0] * m[0][j] + row[1] * m[1][j];
        [column(0), column(1)]
    };
    let levels = dot(empty, sums);
    let present = dot(dot(levels, r), sums);
    let number = (present[0] + present[1]) / (levels[0] + levels[1]);
    let whole = times_in[0] + times_in[1];
    number * whole / (rates[0] * times_in[0] + rates[1] * times_in[1])
}

/// A closed loop of clients who think for an exponential time, before so many exponential servers with one queue (the
/// machine-repair model): requests per unit of time.
pub fn closed_throughput(clients: u32, think: f64, servers: u32, mean: f64) -> f64 {
    let busy = |k: u32| f64::from(k.min(servers)) / mean;
    let (mut weight, mut total, mut served) = (1.0, 1.0, 0.0);
    for k in 1..=clients {
        weight *= f64::from(clients - k + 1) / think / busy(k);
        total += weight;
        served += weight * busy(k);
    }
    served / total
}

/// The largest load of periodic tasks under rate-monotonic priorities beside a deferrable server of utilisation `u`, for
/// many tasks: ln((u+2)/(2u+1)) (Strosnider, Lehoczky & Sha 1995).
pub fn deferrable_bound(u: f64) -> f64 {
    ((u + 2.0) / (2.0 * u + 1.0)).ln()
}

/// A deferrable server may run budget after budget across one refill: what it takes with priority in a window of length
/// t is at most C(1 + ⌈(t−C)/T⌉).
pub fn deferrable_demand(budget: f64, period: f64, t: f64) -> f64 {
    if t <= budget {
        return t.max(0.0);
    }
    budget * (1.0 + ((t - budget) / period).ceil())
}

/// What a reservation of C in every T gives within any window of length t at least: (C/T)(t − 2(T−C)) (Shin & Lee,
/// "Periodic Resource Model for Compositional Real-Time Guarantees", RTSS 2003).
pub fn guaranteed_supply(budget: f64, period: f64, t: f64) -> f64 {
    (budget / period * (t - 2.0 * (period - budget))).max(0.0)
}

/// Two exponential servers with a queue each, arrivals joining the shorter: E\[T\] in mean services, from the stationary
/// distribution on a square of states, found by iteration. No closed form is known.
pub fn shortest_of_two(load: f64) -> f64 {
    const SIZE: usize = 60;
    let rate = 2.0 * load;
    let mut p = vec![[1.0 / (SIZE * SIZE) as f64; SIZE]; SIZE];
    for _ in 0..4_000 {
        let mut after = vec![[0.0; SIZE]; SIZE];
        for i in 0..SIZE {
            for j in 0..SIZE {
                // Uniformised: the rates are divided by their largest sum, and what does not happen stays.
                let mass = p[i][j] / (rate + 2.0);
                let (up_i, up_j) = ((i + 1).min(SIZE - 1), (j + 1).min(SIZE - 1));
                let joins = |here: usize, there: usize| match here.cmp(&there) {
                    std::cmp::Ordering::Less => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Greater => 0.0,
                };
                after[up_i][j] += mass * rate * joins(i, j);
                after[i][up_j] += mass * rate * joins(j, i);
                after[i.saturating_sub(1)][j] += mass;
                after[i][j.saturating_sub(1)] += mass;
            }
        }
        p = after;
    }
    let states = p.iter().enumerate();
    let number: f64 = states
        .flat_map(|(i, row)| {
            row.iter()
                .enumerate()
                .map(move |(j, mass)| mass * (i + j) as f64)
        })
        .sum();
    number / rate
}
