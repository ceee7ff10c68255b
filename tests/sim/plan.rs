//! What a run is going to be, drawn before it begins: the server's limits, the clients and their fates, every request
//! byte by byte, and what its guest will do. The oracles know from here what is right.

use std::num::NonZeroU32;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use listener_http::{Limits, Method};
use luge::config::Router;
use luge::config::{Abi, DeadlineAction};
use luge::server::{Cgi, Intake, Route, Routes};
use sched::admission::RULES;
use sched::estimate::{ESTIMATORS, Regression};
use sched::{DISPATCHERS, DispatchParams, Params, Reservation, SCHEDULERS, Scheduler, Tenant};

use crate::request;
use crate::shared::Shared;

const MILLISECOND_NS: u64 = 1_000_000;

/// The server and its surroundings.
pub struct Config {
    pub workers: usize,
    pub outstanding_max: u32,
    pub tasks_max: u32,
    pub scheduler: &'static Scheduler,
    pub params: Params,
    /// A worker's share of what they are promised.
    pub tenants: [Tenant; PORTS as usize],
    /// How requests are taken, and who gets them.
    pub intake: Intake,
    pub listener: listener::Settings,
    /// Receive buffers, and the size of each.
    pub buffers: u16,
    pub buffer_bytes: usize,
    /// How often the network makes trouble, in percent of what it does.
    pub faults_percent: u32,
    /// Nobody makes trouble and time passes slowly: everything must be answered.
    pub calm: bool,
    /// Steps before the drain begins.
    pub steps: usize,
}

impl Config {
    pub fn draw(shared: &Shared) -> Config {
        let calm = shared.chance(15);
        let outstanding_max = shared.within(1..=4) as u32;
        let quantum_ns = shared.within(10_000..=300_000) as u64;
        let patience = if calm { 100_000..=100_000 } else { 300..=2_000 };
        let timeout_ns = || shared.within(patience.clone()) as u64 * MILLISECOND_NS;
        Config {
            workers: shared.within(1..=3),
            outstanding_max,
            tasks_max: shared.within(1..=outstanding_max as usize) as u32,
            scheduler: shared.pick(SCHEDULERS),
            params: Params {
                quantum_ns,
                preemption: shared.chance(80),
                ..Params::default()
            },
            tenants: [(); PORTS as usize].map(|()| draw_tenant(shared)),
            intake: draw_intake(shared),
            listener: listener::Settings {
                limits: LIMITS,
                bodies_max_bytes: match calm {
                    true => 1 << 30,
                    false => *shared.pick(&[1 << 30, 60_000, 500]),
                },
                connections_max: if calm { 64 } else { shared.within(2..=12) },
                header_timeout_ns: timeout_ns(),
                body_timeout_ns: timeout_ns(),
                idle_timeout_ns: timeout_ns(),
                send_timeout_ns: timeout_ns(),
                draining: false,
            },
            buffers: shared.within(1..=4) as u16,
            buffer_bytes: if calm {
                4096
            } else {
                *shared.pick(&[16, 256, 16 * 1024])
            },
            faults_percent: if calm { 0 } else { *shared.pick(&[0, 2, 10]) },
            calm,
            steps: shared.within(500..=10_000),
        }
    }
}

fn draw_intake(shared: &Shared) -> Intake {
    Intake {
        dispatch: shared.pick(DISPATCHERS),
        dispatch_params: DispatchParams {
            bound: shared.within(1..=3) as u32,
        },
        backlog_max: shared.within(1..=6),
        // Most often nobody is refused for the sake of the others.
        admission: match shared.chance(50) {
            true => &RULES[0],
            false => shared.pick(RULES),
        },
        reserve_permille: shared.below(900) as u32,
        target_ns: 20_000,
        interval_ns: 50_000,
        caps_budgets: shared.chance(20),
        estimator: shared.chance(70).then(|| shared.pick(ESTIMATORS)),
        ..Intake::default()
    }
}

/// At most half of a worker, since there are two.
fn draw_tenant(shared: &Shared) -> Tenant {
    let period_ns = shared.within(50_000..=2_000_000) as u64;
    let budget_ns = shared.within(1_000..=period_ns as usize / 2) as u64;
    Tenant {
        weight: shared.within(1..=1_000) as u32,
        reservation: shared.chance(50).then_some(Reservation {
            budget_ns,
            period_ns,
        }),
    }
}

/// Small, so that they are reached.
pub const LIMITS: Limits = Limits {
    request_line_max_bytes: 200,
    head_max_bytes: 600,
    headers_max: 8,
    body_max_bytes: 1 << 20,
};

/// Tenants' ports.
pub const PORTS: u16 = 2;

/// Path, port, function, largest body, deadline, content type of each route.
type RouteRow = (
    &'static str,
    u16,
    u16,
    u64,
    Option<u64>,
    Option<&'static str>,
);

pub const ROUTES: [RouteRow; 3] = [
    ("/a", 0, 2, 200, Some(200_000), Some("text/a")),
    ("/a/b", 0, 0, 2_000, Some(2_000_000), None),
    ("/c", 1, 1, 40_000, None, Some("text/c")),
];

/// Longer by a nanosecond for every byte of the body.
const MODEL: Regression = Regression {
    bias_ns: 20_000,
    beta_micro: 1_000_000,
    scale_bytes: NonZeroU32::MIN,
};

pub fn routes() -> Arc<Routes> {
    let route =
        |&(path, port, function, body_max_bytes, relative_deadline_ns, content_type): &RouteRow| {
            Route {
                name: format!("tenant-{port}{path}"),
                path: path.to_owned(),
                tenant: port,
                function,
                methods: vec![Method::Get, Method::Head, Method::Post, Method::Put],
                allow: request::ALLOW.into(),
                body_max_bytes,
                relative_deadline_ns,
                // Half of its deadline, where it has one.
                expected_ns: relative_deadline_ns.unwrap_or(0) / 2,
                model: (port == 1).then_some(MODEL),
                percentile: (port == 0).then_some(90),
                content_type: content_type.map(str::to_owned),
                cpu_limit_ns: None,
                deadline_action: DeadlineAction::None,
                debug: false,
                tells_timing: false,
                objective_ns: None,
                abi: Abi::Sledge,
                cgi: Some(Cgi::new(path, false)),
            }
        };
    let router = |port| {
        let paths = ROUTES
            .iter()
            .enumerate()
            .filter(move |(_, row)| row.1 == port);
        Router::new(paths.map(|(index, row)| (row.0, index as u16)))
    };
    Arc::new(Routes::new(
        ROUTES.iter().map(route).collect(),
        (0..PORTS).map(router).collect(),
    ))
}

/// What becomes of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Sends everything, takes every answer, and leaves.
    Polite,
    /// Takes every answer and stays until it is thrown out.
    Stays,
    /// Having sent so many bytes: sends the end, and goes on reading.
    EndsAt(usize),
    /// Having sent so many bytes: resets the connection.
    ResetsAt(usize),
    /// Having sent so many bytes: says nothing more.
    SilentAt(usize),
    /// Having read so many answers: resets the connection.
    ResetsAfter(usize),
    /// Never reads.
    Deaf,
    /// Sends on when all is said.
    Babbles,
}

pub struct ClientPlan {
    pub port: u16,
    pub fate: Fate,
    /// Ids of its requests.
    pub requests: Range<usize>,
    /// All its requests' bytes.
    pub input: Vec<u8>,
    /// Sends a request without waiting for the answer before it.
    pub pipelines: bool,
    /// Sends at most so many bytes at a time.
    pub piece_max: usize,
    /// Reads at most so many bytes at a time.
    pub read_max: usize,
}

/// What a request comes to, if it comes whole and nobody goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A function answers it.
    Routed,
    /// Refused with this status when its head is there; the connection stays for the next request, or not.
    Refused { status: u16, stays: bool },
    /// Refused with this status for its body.
    BadBody { status: u16 },
    /// Refused with this status before it is a request.
    Malformed { status: u16 },
}

pub struct RequestPlan {
    pub client: usize,
    /// Its place in the client's input, and where its head ends there.
    pub span: Range<usize>,
    pub head_end: usize,
    pub method: Method,
    pub path: String,
    pub query: String,
    pub body: Vec<u8>,
    pub chunked: bool,
    /// HTTP/1.0
    pub old: bool,
    pub keep_alive: bool,
    pub expects_continue: bool,
    pub verdict: Verdict,
    /// Index into [`ROUTES`].
    pub route: usize,
    pub guest: GuestPlan,
}

/// What a guest does before it ends.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    Run {
        ns: u64,
    },
    Yield,
    /// Waits until it is woken after so long, or for ever.
    Block {
        ns: Option<u64>,
    },
}

/// How a guest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With an answer of so many bytes.
    Answers(usize),
    Traps,
    Exits(i32),
    WritesTooMuch,
    DoesNotStart,
    /// Runs until it is stopped.
    Never,
}

#[derive(Clone, Debug)]
pub struct GuestPlan {
    pub deeds: Vec<Deed>,
    pub end: End,
}

pub struct Plans {
    pub config: Config,
    pub clients: Vec<ClientPlan>,
    pub requests: Vec<RequestPlan>,
}

impl Plans {
    pub fn draw(shared: &Shared) -> Rc<Plans> {
        let config = Config::draw(shared);
        let (mut clients, mut requests) = (Vec::new(), Vec::new());
        // Few seeds have large answers: they are slow.
        let bulky = shared.chance(10);
        for client in 0..shared.within(4..=30) {
            let first = requests.len();
            let port = shared.below(usize::from(PORTS)) as u16;
            // Few clients send much at once, ahead of the answers.
            let hoards = port == 1 && shared.chance(15);
            let mut input = Vec::new();
            for _ in 0..shared.within(1..=5) {
                let id = requests.len();
                let mut draft = request::draw(shared, &config, id, port, hoards);
                if bulky && shared.chance(20) && matches!(draft.guest.end, End::Answers(_)) {
                    draft.guest.end = End::Answers(shared.within(50_000..=300_000));
                }
                requests.push(draft.place(client, &mut input));
            }
            clients.push(ClientPlan {
                port,
                fate: draw_fate(shared, &config, input.len(), requests.len() - first),
                requests: first..requests.len(),
                input,
                pipelines: hoards || shared.chance(40),
                piece_max: if config.calm || hoards {
                    200_000
                } else {
                    *shared.pick(&[1, 7, 60, 1_000, 40_000])
                },
                read_max: if bulky || config.calm {
                    1 << 20
                } else {
                    *shared.pick(&[1, 50, 1_000, 100_000])
                },
            });
        }
        Rc::new(Plans {
            config,
            clients,
            requests,
        })
    }
}

fn draw_fate(shared: &Shared, config: &Config, bytes: usize, requests: usize) -> Fate {
    if config.calm {
        return Fate::Polite;
    }
    // Most often with all that it asks: then it goes away while a function works for it.
    let at = if shared.chance(50) {
        bytes
    } else {
        shared.below(bytes + 1)
    };
    match shared.below(16) {
        0..5 => Fate::Polite,
        5..7 => Fate::Stays,
        7..9 => Fate::EndsAt(at),
        9..11 => Fate::ResetsAt(at),
        11 => Fate::SilentAt(shared.below(bytes + 1)),
        12..14 => Fate::ResetsAfter(shared.below(requests + 1)),
        14 => Fate::Deaf,
        _ => Fate::Babbles,
    }
}

/// The answer of a function to what it was given: whoever mixes up two requests gets another.
pub fn answer(query: &[u8], body: &[u8], bytes: usize) -> Vec<u8> {
    // FNV-1a
    let sum = query
        .iter()
        .chain(b"|")
        .chain(body)
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, &byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
    let mut answer = sum.to_be_bytes().to_vec();
    answer.extend((8..bytes).map(|at| (sum >> (at % 8 * 8)) as u8 ^ at as u8));
    answer.truncate(bytes);
    answer
}
