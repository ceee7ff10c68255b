//! What a refusal costs: processor time of the listener's thread for a request that is refused, from its bytes to its
//! answer's, beside that for one that is admitted, over real sockets: by the kernel's own count, and of that the part
//! outside of the kernel, which is luge's.
//!
//! A server is started with two tenants, one of which has a budget that one request uses up; the same client asks the
//! one and the other in turn, on as many connections. Times are of this machine; the ratio is what tells.

mod server;

use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;

use server::{Outcome, Server, Used, free_ports};

const CONNECTIONS: usize = 32;
const ROUNDS: usize = 2_000;
const TURNS: usize = 7;

fn main() -> Outcome<()> {
    // `cargo test` runs benchmarks too, to see that they run.
    let (rounds, turns) = match std::env::args().any(|it| it == "--bench") {
        true => (ROUNDS, TURNS),
        false => (20, 1),
    };
    let ports = free_ports::<2>()?;
    let route = r#"{"route": "/", "path": "empty.wat", "expected-execution-us": 10}"#;
    let spec = format!(
        r#"[{{"name": "poor", "port": {}, "max-budget-us": 1, "replenishment-period-us": 3600000000, "routes": [{route}]}},
            {{"name": "rich", "port": {}, "routes": [{route}]}}]"#,
        ports[0], ports[1]
    );
    let server = Server::start("refusal", &spec, ports.len(), &["--budget-caps=on"])?;
    let [mut refused, mut admitted] = [clients(ports[0])?, clients(ports[1])?];
    // The budget is used up, and everything is warm.
    rounds_of(&mut refused, 10, None)?;
    rounds_of(&mut admitted, 10, Some("200"))?;
    println!(
        "{:>24} {:>24} {:>8}",
        "refused, luge's part", "admitted, luge's part", "ratio"
    );
    for _ in 0..turns {
        let refusal = cost(&server, &mut refused, rounds, "429")?;
        let answer = cost(&server, &mut admitted, rounds, "200")?;
        let ratio = refusal.0.whole_ns / answer.0.whole_ns;
        println!("{refusal:>24} {answer:>24} {ratio:>8.2}");
    }
    Ok(())
}

/// Of the listener, for each request.
struct Cost(Used);

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [whole_us, user_us] = [self.0.whole_ns, self.0.user_ns].map(|ns| ns / 1e3);
        f.pad(&format!("{whole_us:.2} µs, {user_us:.2} µs"))
    }
}

struct Client {
    connection: TcpStream,
    buffer: Vec<u8>,
}

fn clients(port: u16) -> Outcome<Vec<Client>> {
    let clients = (0..CONNECTIONS).map(|_| {
        let connection = TcpStream::connect(("127.0.0.1", port))?;
        connection.set_nodelay(true)?;
        let buffer = vec![0; 4096];
        Ok(Client { connection, buffer })
    });
    clients.collect()
}

fn cost(server: &Server, clients: &mut [Client], rounds: usize, status: &str) -> Outcome<Cost> {
    let listener = |name: &str| name == "luge-listener";
    let before = server.used(listener)?;
    rounds_of(clients, rounds, Some(status))?;
    let after = server.used(listener)?;
    Ok(Cost(after.each_since(before, rounds * clients.len())))
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
