//! What a refusal costs: processor time of the listener's thread for a request that is refused, from its bytes to its
//! answer's, beside that for one that is admitted, from the kernel's own count, over real sockets.
//!
//! A server is started with two tenants, one of which has a budget that one request uses up; the same client asks the
//! one and the other in turn, on as many connections. Times are of this machine; the ratio is what tells.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

const CONNECTIONS: usize = 32;
const ROUNDS: usize = 2_000;
const TURNS: usize = 7;

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
    println!("{:>12} {:>12} {:>8}", "refused", "admitted", "ratio");
    for _ in 0..turns {
        let refusal_ns = server.cost_ns(&mut refused, rounds, "429")?;
        let answer_ns = server.cost_ns(&mut admitted, rounds, "200")?;
        println!(
            "{:>9.2} µs {:>9.2} µs {:>8.2}",
            refusal_ns / 1e3,
            answer_ns / 1e3,
            refusal_ns / answer_ns
        );
    }
    server.end()
}

struct Server {
    child: Child,
    ports: [u16; 2],
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
        let route = r#"{"route": "/", "path": "empty.wat", "expected-execution-us": 10}"#;
        let spec = format!(
            r#"[{{"name": "poor", "port": 0, "max-budget-us": 1, "replenishment-period-us": 3600000000, "routes": [{route}]}},
                {{"name": "rich", "port": 0, "routes": [{route}]}}]"#
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
        let mut ports = Vec::new();
        for line in lines {
            let event: serde_json::Value = serde_json::from_str(&line?)?;
            if event["message"] == "serving" {
                let address = event["address"].as_str().ok_or("no address")?;
                ports.push(address.rsplit(':').next().ok_or("no port")?.parse()?);
            }
            if ports.len() == 2 {
                break;
            }
        }
        std::fs::remove_dir_all(&folder)?;
        let ports = ports.try_into().map_err(|_| "the server has not started")?;
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
    fn cost_ns(&mut self, clients: &mut [Client], rounds: usize, status: &str) -> Outcome<f64> {
        let before_ns = self.listener_ns()?;
        rounds_of(clients, rounds, Some(status))?;
        let used_ns = self.listener_ns()? - before_ns;
        Ok(used_ns as f64 / (rounds * clients.len()) as f64)
    }

    fn listener_ns(&self) -> Outcome<u64> {
        for entry in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let folder = entry?.path();
            if std::fs::read_to_string(folder.join("comm"))?.trim() == "luge-listener" {
                let stat = std::fs::read_to_string(folder.join("schedstat"))?;
                return Ok(stat.split(' ').next().ok_or("no time")?.parse()?);
            }
        }
        Err("there is no listener".into())
    }

    fn end(mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
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
