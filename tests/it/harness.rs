//! A server in this process, as `luge serve` would start it, and what must be true of it when it ends.
//!
//! Dropping a [`Server`] drains it and checks the books: every request that came was answered, refused, or
//! given up by its client; nothing is left; the access log has a line for every answer. Threads are not
//! pinned and do not spin, for the tests share the cores.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use luge::cli::settings::AdminAddress;
use luge::config::{self, LoadOptions};
use luge::deployment;
use luge::server::{self, Drained, Intake, Learnt, Logs, Options, Refused};
use serde_json::{Value, json};

use crate::client::Client;

/// How long anything may take before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of a request's body at most, for routes that do not say.
const BODY_MAX_BYTES: u64 = 16 << 20;

/// What a test may want otherwise.
pub struct Setup {
    pub scheduler: &'static str,
    pub preemption: bool,
    /// By signal rather than by epochs.
    pub by_signal: bool,
    pub trigger: sandbox::Trigger,
    pub workers: usize,
    pub sandboxes_max: u32,
    pub outstanding_max: u32,
    pub drain_timeout: Duration,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub idle_timeout: Duration,
    pub send_timeout: Duration,
    pub connections_max: usize,
    pub bodies_max_bytes: u64,
    pub intake: Intake,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            scheduler: "edf",
            preemption: true,
            by_signal: false,
            trigger: sandbox::Trigger::Timer,
            workers: 1,
            sandboxes_max: 16,
            outstanding_max: 1024,
            drain_timeout: PATIENCE,
            header_timeout: PATIENCE,
            body_timeout: PATIENCE,
            idle_timeout: PATIENCE,
            send_timeout: PATIENCE,
            connections_max: 4096,
            bodies_max_bytes: 1 << 30,
            intake: Intake::default(),
        }
    }
}

/// A tenant with these routes.
pub fn tenant(name: &str, routes: &[Value]) -> Value {
    json!({"name": name, "port": 0, "routes": routes})
}

/// A route to a module: of `functions/` (`fib/fib.wasm`) or of `tests/guests/` (`puppet.wat`).
pub fn route(route: &str, path: &str) -> Value {
    json!({"route": route, "path": path})
}

/// The same with more keys.
pub fn route_with(route: &str, path: &str, more: Value) -> Value {
    let mut keys = self::route(route, path);
    let more = more.as_object().expect("keys").clone();
    keys.as_object_mut().expect("an object").extend(more);
    keys
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Where the module is that a spec of these tests names.
pub fn module(path: &Path) -> Result<PathBuf, String> {
    let folders = ["functions", "tests/guests"].map(|folder| repository(folder).join(path));
    folders
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| "does not exist".to_owned())
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

impl Setup {
    /// Serves one tenant with these routes.
    pub fn serve(self, routes: &[Value]) -> Server {
        self.serve_tenants(&json!([tenant("one", routes)]))
    }

    /// Serves a spec.
    pub fn serve_tenants(self, spec: &Value) -> Server {
        let options = LoadOptions {
            allow_port_zero: true,
        };
        let loaded = config::load_from(&spec.to_string(), Path::new("spec.json"), options, module);
        let spec = loaded.unwrap_or_else(|problems| panic!("{problems}")).spec;
        let preemption = match (self.preemption, self.by_signal) {
            (true, true) => sandbox::Preemption::Signal,
            (true, false) => sandbox::Preemption::Epoch,
            (false, _) => sandbox::Preemption::Off,
        };
        let sandbox = sandbox::Settings {
            sandboxes_max: self.sandboxes_max,
            preemption,
            ..sandbox::Settings::default()
        };
        let read = |path: &Path| std::fs::read(path);
        let compiler = sandbox::Compiler::new(&sandbox, None).expect("a compiler");
        let deployment = deployment::prepare(&spec, &compiler, BODY_MAX_BYTES, read)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let log = Log::default();
        let options = self.options(sandbox, log.clone());
        let server = server::Server::start(deployment, options).expect("the server starts");
        let addresses = server
            .addresses()
            .iter()
            .map(|(_, address)| *address)
            .collect();
        Server {
            server: Some(server),
            addresses,
            log,
            connections_cut: 0,
        }
    }

    fn options(&self, sandbox: sandbox::Settings, log: Log) -> Options {
        let ns = |time: Duration| time.as_nanos() as u64;
        Options {
            listen_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            listener_core: None,
            worker_cores: vec![None; self.workers],
            scheduler: sched::Scheduler::from_name(self.scheduler).expect("a scheduler"),
            params: sched::Params {
                quantum_ns: 1_000_000,
                preemption: self.preemption,
                ..sched::Params::default()
            },
            intake: self.intake.clone(),
            outstanding_max: self.outstanding_max,
            sandbox,
            trigger: self.trigger,
            listener: listener::Settings {
                limits: listener_http::Limits::default(),
                connections_max: self.connections_max,
                bodies_max_bytes: self.bodies_max_bytes,
                header_timeout_ns: ns(self.header_timeout),
                body_timeout_ns: ns(self.body_timeout),
                idle_timeout_ns: ns(self.idle_timeout),
                send_timeout_ns: ns(self.send_timeout),
                draining: false,
            },
            worker_spin_ns: 0,
            listener_spin_ns: 0,
            drain_timeout: self.drain_timeout,
            logs: Logs {
                access: Some(server::AccessLogTo {
                    sink: Box::new(log),
                    format: server::Format::Json,
                }),
                ..Logs::default()
            },
            events: 1 << 10,
            flight: server::FlightTo::default(),
        }
    }
}

/// A running server.
pub struct Server {
    server: Option<server::Server>,
    addresses: Vec<SocketAddr>,
    log: Log,
    /// Connections that the drain is expected to cut.
    pub connections_cut: usize,
}

/// What is known of a server that has ended.
pub struct Ended {
    pub counters: listener::Counters,
    pub refused: Refused,
    /// What was learnt of the routes' executions.
    pub learnt: Learnt,
    /// The lines of the access log, in the order of the answers; where there was none, of what came back.
    pub answers: Vec<Value>,
}

impl Ended {
    /// A key of every line but those of [`Client::barrier`], in order.
    pub fn each(&self, key: &str) -> Vec<Value> {
        let lines = self
            .answers
            .iter()
            .filter(|line| line["path"] != "/barrier");
        let value = |line: &Value| {
            assert!(!line[key].is_null(), "no {key} in {line}");
            line[key].clone()
        };
        lines.map(value).collect()
    }
}

impl Server {
    /// The first tenant's address.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Every tenant's.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A new connection to the first tenant.
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// Its admin endpoint, at a port of the kernel's choice.
    pub fn admin(&self) -> Admin {
        let address = AdminAddress::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let admin = luge::admin::Admin::bind(&address).expect("there is a port");
        let observed = self.server.as_ref().expect("runs").observed();
        Admin(admin.serve(observed).expect("a thread"))
    }

    pub fn begin_drain(&self) {
        self.server.as_ref().expect("runs").drain().begin();
    }

    /// Drains it and checks the books.
    pub fn end(mut self) -> Ended {
        self.drain()
    }

    fn drain(&mut self) -> Ended {
        self.begin_drain();
        let server = self.server.take().expect("runs");
        let (said, ended) = channel();
        std::thread::spawn(move || drop(said.send(server.join())));
        let patience = 2 * PATIENCE;
        let drained = ended
            .recv_timeout(patience)
            .expect("the server ends")
            .expect("the ring holds");
        let ended = Ended {
            counters: drained.counters,
            refused: drained.refused,
            learnt: drained.learnt.clone(),
            answers: self.log.lines(),
        };
        self.check(&drained, &ended);
        ended
    }

    fn check(&self, drained: &Drained, ended: &Ended) {
        let counters = drained.counters;
        let say = format!("{drained:?}");
        assert_eq!(drained.connections_cut, self.connections_cut, "{say}");
        if self.connections_cut == 0 {
            assert_eq!(counters.answers_unclaimed, counters.abandoned, "{say}");
        }
        // A request may be refused before its head is complete: then it counts as rejected only.
        let settled = counters.answered + counters.abandoned;
        assert!(settled <= counters.requests, "{say}");
        assert!(
            counters.requests <= settled + counters.rejected + counters.bodies_given_up,
            "{say}"
        );
        let lines = ended.answers.len() as u64;
        let answered = counters.answered + counters.rejected;
        let given_up = counters.answers_unclaimed + counters.bodies_given_up;
        assert_eq!(lines, answered + given_up, "{say}");
        assert_eq!(counters.accepts_failed, 0, "{say}");
        let Refused {
            tenant,
            server,
            full,
        } = drained.refused;
        assert_eq!(tenant + server + full, counters.refused, "{say}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.server.is_some() && !std::thread::panicking() {
            self.drain();
        }
    }
}

/// An admin endpoint; it ends when this is dropped.
pub struct Admin(luge::admin::Serving);

impl Admin {
    pub fn address(&self) -> SocketAddr {
        match self.0.address() {
            AdminAddress::Tcp(address) => *address,
            AdminAddress::Unix(_) => unreachable!("it has a port"),
        }
    }
}

/// Where the access log goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self) -> Vec<Value> {
        let bytes = self.0.lock().expect("the writer does not panic");
        let text = std::str::from_utf8(&bytes).expect("the log is text");
        let parse = |line| serde_json::from_str(line).expect("a line is JSON");
        text.lines().map(parse).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .expect("nobody panics")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
