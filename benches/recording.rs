//! What `--record` costs: processor time of the thread that records, for each request of a function that does nothing,
//! beside that of all threads of the server together, over real sockets, by the kernel's count.
//!
//! What the other threads do for it they do anyhow: they note in their rings.

mod server;

use std::process::Command;

use server::{LUGE, Outcome, Server, free_ports};

fn main() -> Outcome<()> {
    // `cargo test` runs benchmarks too, to see that they run.
    let (requests, turns) = match std::env::args().any(|it| it == "--bench") {
        true => (100_000, 7),
        false => (200, 1),
    };
    let [port] = free_ports()?;
    let spec = format!(
        r#"[{{"name": "one", "port": {port}, "routes": [{{"route": "/", "path": "empty.wat"}}]}}]"#
    );
    let server = Server::start("recording", &spec, 1, &["--record=all.rec"])?;
    let url = format!("http://127.0.0.1:{port}/");
    ask(&url, requests / 10)?;
    println!(
        "{:>16} {:>16} {:>8}",
        "recording, µs", "all threads, µs", "part"
    );
    for _ in 0..turns {
        let used = || -> Outcome<[_; 2]> {
            let recording = server.used(|name| name == "luge-flight")?;
            Ok([recording, server.used(|_| true)?])
        };
        let before = used()?;
        ask(&url, requests)?;
        let after = used()?;
        let us = [0, 1].map(|at| after[at].each_since(before[at], requests).whole_ns / 1e3);
        let part = 100.0 * us[0] / us[1];
        println!("{:>16.2} {:>16.2} {part:>7.1}%", us[0], us[1]);
    }
    Ok(())
}

/// So many requests, all answered well.
fn ask(url: &str, requests: usize) -> Outcome<()> {
    let loaded = Command::new(LUGE)
        .args(["bench", url, "--closed", "--requests"])
        .arg(requests.to_string())
        .output()?;
    match loaded.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&loaded.stderr).into()),
    }
}
