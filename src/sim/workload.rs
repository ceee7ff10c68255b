//! How long requests take: mixes of classes, by formula or by their names in the literature.
//!
//! A workload is a mix of classes, each with its share and its law of service times (see [`super::service`]). Arrivals
//! are not here: see [`super::arrivals`].

use rand::Rng;
use sched::Nanos;

use super::service::Service;

/// A named mix. `spec` is what [`Workload::parse`] understands; `classes` names its parts, or is empty.
pub struct Named {
    pub names: &'static [&'static str],
    spec: &'static str,
    classes: &'static [&'static str],
    /// Who uses it.
    pub source: &'static str,
}

/// The mixes of the literature: shares in per cent, services in microseconds.
#[rustfmt::skip]
pub static NAMED: &[Named] = &[
    Named { names: &["fixed-1"], spec: "fixed:1", classes: &[], source: "Shinjuku, Concord, SBB" },
    Named { names: &["fixed-10"], spec: "fixed:10", classes: &[], source: "Shinjuku, Concord, SBB" },
    Named { names: &["exp-1"], spec: "exp:1", classes: &[], source: "ZygOS, TQ, RackSched" },
    Named { names: &["exp-10"], spec: "exp:10", classes: &[], source: "ZygOS, TQ, RackSched" },
    Named { names: &["exp-50"], spec: "exp:50", classes: &[], source: "ZygOS, TQ, RackSched" },
    Named { names: &["exp-100"], spec: "exp:100", classes: &[], source: "luge" },
    Named { names: &["bimodal-1"], spec: "bimodal:90:0.5,10:5.5", classes: SHORT_LONG, source: "ZygOS, Caladan, Perséphone BIM1" },
    Named { names: &["bimodal-2"], spec: "bimodal:99.9:0.5,0.1:500.5", classes: SHORT_LONG, source: "ZygOS, Caladan, Perséphone BIM2" },
    Named { names: &["high-bimodal", "bimodal-high"], spec: "bimodal:50:1,50:100", classes: SHORT_LONG, source: "Shinjuku, Perséphone DISP2, Concord, TQ, SBB" },
    Named { names: &["extreme-bimodal", "bimodal-extreme"], spec: "bimodal:99.5:0.5,0.5:500", classes: SHORT_LONG, source: "Shinjuku, Perséphone SBIM2, Concord, TQ, SBB" },
    Named { names: &["disp-1"], spec: "bimodal:50:1,50:10", classes: SHORT_LONG, source: "Perséphone" },
    Named { names: &["disp-3"], spec: "bimodal:95:1,5:100", classes: SHORT_LONG, source: "Perséphone" },
    Named { names: &["trimodal"], spec: "mix:33.3:5,33.3:50,33.3:500", classes: &["short", "medium", "long"], source: "Shinjuku" },
    Named { names: &["trimodal-racksched"], spec: "mix:33.3:50,33.3:500,33.3:5000", classes: &["short", "medium", "long"], source: "RackSched" },
    Named { names: &["dispersive-skyloft"], spec: "bimodal:99.5:4,0.5:10000", classes: SHORT_LONG, source: "ghOSt, Skyloft" },
    Named { names: &["racksched-90"], spec: "bimodal:90:50,10:500", classes: SHORT_LONG, source: "RackSched, Pallas" },
    Named { names: &["racksched-50"], spec: "bimodal:50:50,50:500", classes: SHORT_LONG, source: "RackSched, Pallas" },
    Named { names: &["tpcc"], spec: "mix:44:5.7,4:6,44:20,4:88,4:100", classes: &["payment", "order-status", "new-order", "delivery", "stock-level"], source: "Perséphone, Concord, TQ" },
    Named { names: &["rocksdb-50"], spec: "bimodal:50:1.5,50:635", classes: GET_SCAN, source: "Perséphone, Skyloft, TQ" },
    Named { names: &["rocksdb-5"], spec: "bimodal:95:1.5,5:635", classes: GET_SCAN, source: "Aspen" },
    Named { names: &["rocksdb-0.5"], spec: "bimodal:99.5:1.5,0.5:635", classes: GET_SCAN, source: "Shinjuku, TQ" },
    Named { names: &["racksched-exp"], spec: "exp:50", classes: &[], source: "RackSched, Pallas" },
    Named { names: &["lognormal"], spec: "lognormal:10:1", classes: &[], source: "measured functions, by their shape" },
    Named { names: &["bounded-pareto"], spec: "pareto:1.3:10:10000", classes: &[], source: "the queueing literature (alpha of 1.1 to 1.5)" },
    Named { names: &["wasm-edge"], spec: "bimodal:99.5:25,0.5:5000", classes: SHORT_LONG, source: "luge: extreme-bimodal on the scale of functions" },
    Named { names: &["wasm-high"], spec: "bimodal:50:50,50:5000", classes: SHORT_LONG, source: "luge: high-bimodal, 50 times as long" },
];

const SHORT_LONG: &[&str] = &["short", "long"];
const GET_SCAN: &[&str] = &["get", "scan"];

/// How many classes a mix may have.
const CLASSES_MAX: usize = 64;

/// See the module's text.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// As it was asked for.
    pub name: String,
    /// At least one.
    pub classes: Vec<Class>,
}

/// A part of a mix.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    pub name: String,
    /// Its part of all requests; the parts sum to 1.
    pub share: f64,
    pub service: Service,
}

impl Workload {
    /// Understands a name of [`NAMED`], a law of [`Service`], or a mix of them: `mix:SHARE:LAW,…`, `bimodal` being
    /// another word for `mix`. Shares need not sum to 100.
    ///
    /// # Errors
    ///
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let named = NAMED.iter().find(|named| named.names.contains(&text));
        let spec = named.map_or(text, |named| named.spec);
        let parts = match spec.split_once(':') {
            None => return Err(unknown(text)),
            Some(("bimodal" | "mix", rest)) => parse_mix(rest)?,
            Some(_) => vec![(1.0, Service::parse(spec).map_err(|why| hint(&why))?)],
        };
        let total: f64 = parts.iter().map(|(share, _)| share).sum();
        let names = named.map_or(&[][..], |named| named.classes);
        let classes = parts.into_iter().enumerate().map(|(i, (share, service))| {
            let name = names
                .get(i)
                .map_or_else(|| service.to_string(), |&name| name.into());
            let share = share / total;
            Class {
                name,
                share,
                service,
            }
        });
        Ok(Self {
            name: text.into(),
            classes: classes.collect(),
        })
    }

    /// `E[S]`, in ns.
    pub fn mean_ns(&self) -> f64 {
        self.expect(|service| service.moment(1))
    }

    /// `E[S²]`, in ns².
    pub fn second_moment(&self) -> f64 {
        self.expect(|service| service.moment(2))
    }

    /// `C² = Var(S)/E[S]²`, the squared coefficient of variation.
    pub fn scv(&self) -> f64 {
        self.second_moment() / self.mean_ns().powi(2) - 1.0
    }

    /// Draws the class (as an index) and the service time of a request.
    pub fn sample(&self, random: &mut impl Rng) -> (u16, Nanos) {
        let class = match self.classes.len() {
            1 => 0,
            count => {
                let mut left: f64 = random.random();
                let here = |class: &Class| {
                    left -= class.share;
                    left < 0.0
                };
                // Rounding may leave a crumb beyond the last share.
                self.classes.iter().position(here).unwrap_or(count - 1)
            }
        };
        (class as u16, self.classes[class].service.sample(random))
    }

    fn expect(&self, of: impl Fn(&Service) -> f64) -> f64 {
        let classes = self.classes.iter();
        classes.map(|class| class.share * of(&class.service)).sum()
    }
}

fn parse_mix(text: &str) -> Result<Vec<(f64, Service)>, String> {
    let parts: Result<Vec<_>, String> = text.split(',').map(parse_part).collect();
    parts.and_then(|parts| match parts.len() {
        1..=CLASSES_MAX => Ok(parts),
        count => Err(format!("{count} classes are more than {CLASSES_MAX}")),
    })
}

/// `SHARE:LAW`.
fn parse_part(text: &str) -> Result<(f64, Service), String> {
    let wanted = || format!("{text:?} is not SHARE:MICROSECONDS or SHARE:LAW");
    let (share, law) = text.split_once(':').ok_or_else(wanted)?;
    let share = share
        .parse()
        .ok()
        .filter(|share| (1e-6..=1e6).contains(share));
    Ok((share.ok_or_else(wanted)?, Service::parse(law)?))
}

fn hint(why: &str) -> String {
    format!("{why}; or mix:SHARE:LAW,… or a name (--list)")
}

fn unknown(text: &str) -> String {
    let names: Vec<&str> = NAMED.iter().map(|named| named.names[0]).collect();
    format!(
        "unknown workload {text:?}, expected fixed:US, exp:US, lognormal:US:SIGMA, pareto:ALPHA:LOW_US:HIGH_US, \
         hist:FILE, bimodal:SHARE:LAW,SHARE:LAW, mix:SHARE:LAW,… or one of {}",
        names.join(", ")
    )
}

/// The table of [`NAMED`] for people.
pub fn list() -> String {
    let rows = NAMED.iter().map(|named| {
        let name = named.names[0];
        let workload = Workload::parse(name).expect("the table is right");
        let (mean_us, scv) = (workload.mean_ns() / 1e3, workload.scv());
        format!(
            "{name:<20} {mean_us:>10.4} {scv:>9.3}  {:<44} {}\n",
            named.spec, named.source
        )
    });
    let head = format!(
        "{:<20} {:>10} {:>9}  {:<44} used by\n",
        "name", "mean, µs", "C²", "is"
    );
    head + &rows.collect::<String>()
}
