//! What a refusal costs: processor time of the listener's thread for a request that is refused, from its bytes to its
//! answer's, beside that for one that is admitted, over real sockets: by the kernel's own count, and of that the part
//! outside of the kernel, which is luge's.
//!
//! A server is started with two tenants, one of which has a budget that one request uses up; the same client asks the
//! one and the other in turn, on as many connections. Times are of this machine; the ratio is what tells.

use std::error::Error;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

const CONNECTIONS: usize = 32;
const ROUNDS: usize = 2_000;
const TURNS: usize = 7;

/// The unit of user time in `/proc`: a hundredth of a second on every Linux there is.
const TICK_NS: f64 = 1e7;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    // `cargo test` runs benchmarks too, to see that they run.
    let (rounds, turns) = match std::env::args().any(|it| it == "--bench") {
        true => (ROUNDS, TURNS),
        false => (20, 1),
    };
    let mut server = Server::start()?;
    let mut refused = server.clients(server.ports[0])?;
    let mut admitted = server.clients(server.ports[1])?;
    // The budget is used up, and everything is warm.
    rounds_of(&mut refused, 10, None)?;
    rounds_of(&mut admitted, 10, Some("200"))?;
    println!(
        "{:>24} {:>24} {:>8}",
        "refused, luge's part", "admitted, luge's part", "ratio"
    );
    for _ in 0..turns {
        let refusal = server.cost(&mut refused, rounds, "429")?;
        let answer = server.cost(&mut admitted, rounds, "200")?;
        let ratio = refusal.whole_ns / answer.whole_ns;
        println!("{refusal:>24} {answer:>24} {ratio:>8.2}");
    }
    server.end()
}

struct Server {
    child: Child,
    ports: [u16; 2],
}

/// Processor time.
struct Cost {
    whole_ns: f64,
    /// Outside of the kernel.
    user_ns: f64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!(
            "{:.2} µs, {:.2} µs",
            self.whole_ns / 1e3,
            self.user_ns / 1e3
        );
        f.pad(&text)
    }
}

struct Client {
    connection: TcpStream,
    buffer: Vec<u8>,
}

impl Server {
    fn start() -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("luge-refusal-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(
            folder.join("empty.wat"),
            "(module (func (export \"_start\")))",
        )?;
        let ports = free_ports()?;
        let route = r#"{"route": "/", "path": "empty.wat", "expected-execution-us": 10}"#;
        let spec = format!(
            r#"[{{"name": "poor", "port": {}, "max-budget-us": 1, "replenishment-period-us": 3600000000, "routes": [{route}]}},
                {{"name": "rich", "port": {}, "routes": [{route}]}}]"#,
            ports[0], ports[1]
        );
        std::fs::write(folder.join("spec.json"), spec)?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_luge"))
            .args([
                "serve",
                "spec.json",
                "--budget-caps=on",
                "--log-format=json",
                "--cache-dir=off",
            ])
            .args(["--flight-dir=off", "--workers=1"])
            .current_dir(&folder)
            .stderr(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stderr.take().ok_or("no log")?).lines();
        let mut serving = 0;
        for line in lines {
            let line = line?;
            let event: serde_json::Value = serde_json::from_str(&line)?;
            serving += usize::from(event["message"] == "serving");
            if serving == ports.len() {
                break;
            }
        }
        std::fs::remove_dir_all(&folder)?;
        Ok(Self { child, ports })
    }

    fn clients(&self, port: u16) -> Outcome<Vec<Client>> {
        let clients = (0..CONNECTIONS).map(|_| {
            let connection = TcpStream::connect(("127.0.0.1", port))?;
            connection.set_nodelay(true)?;
            let buffer = vec![0; 4096];
            Ok(Client { connection, buffer })
        });
        clients.collect()
    }

    /// Of the listener, for each request.
    fn cost(&mut self, clients: &mut [Client], rounds: usize, status: &str) -> Outcome<Cost> {
        let before = self.listener()?;
        rounds_of(clients, rounds, Some(status))?;
        let after = self.listener()?;
        let requests = (rounds * clients.len()) as f64;
        Ok(Cost {
            whole_ns: (after.whole_ns - before.whole_ns) / requests,
            user_ns: (after.user_ns - before.user_ns) / requests,
        })
    }

    /// What its thread has used so far.
    fn listener(&self) -> Outcome<Cost> {
        for entry in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let folder = entry?.path();
            let read = |name: &str| std::fs::read_to_string(folder.join(name));
            if read("comm")?.trim() != "luge-listener" {
                continue;
            }
            let (schedstat, stat) = (read("schedstat")?, read("stat")?);
            let whole_ns = schedstat.split(' ').next().ok_or("no time")?.parse()?;
            // The fields behind the name, which may hold anything: the twelfth is user time.
            let behind = stat.rsplit(')').next().ok_or("no name")?;
            let ticks: f64 = behind.split(' ').nth(12).ok_or("no user time")?.parse()?;
            let user_ns = ticks * TICK_NS;
            return Ok(Cost { whole_ns, user_ns });
        }
        Err("there is no listener".into())
    }

    fn end(mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// Ports that nobody listens at now.
fn free_ports() -> Outcome<[u16; 2]> {
    let held = [
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
    ];
    Ok([held[0].local_addr()?.port(), held[1].local_addr()?.port()])
}

/// Each client asks once a round; all answers have this status.
fn rounds_of(clients: &mut [Client], rounds: usize, status: Option<&str>) -> Outcome<()> {
    for _ in 0..rounds {
        for client in &mut *clients {
            client
                .connection
                .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
        }
        for client in &mut *clients {
            client.answer(status)?;
        }
    }
    Ok(())
}

impl Client {
    fn answer(&mut self, status: Option<&str>) -> Outcome<()> {
        let mut filled = 0;
        loop {
            let count = self.connection.read(&mut self.buffer[filled..])?;
            if count == 0 {
                return Err("the server has closed the connection".into());
            }
            filled += count;
            let text = std::str::from_utf8(&self.buffer[..filled])?;
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).ok_or("no length")?;
            let length: usize = length.split("\r\n").next().ok_or("no length")?.parse()?;
            if body.len() < length {
                continue;
            }
            return match status
                .is_none_or(|status| head.starts_with(&format!("http/1.1 {status} ")))
            {
                true => Ok(()),
                false => Err(format!("an answer that is not {status:?}: {text}").into()),
            };
        }
    }
}
