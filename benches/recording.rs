//! What `--record` costs: processor time of the thread that records, for each request of a function that does nothing,
//! beside that of all threads of the server together, over real sockets, by the kernel's count.
//!
//! What the other threads do for it they do anyhow: they note in their rings.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

type Outcome<T> = Result<T, Box<dyn Error>>;

const LUGE: &str = env!("CARGO_BIN_EXE_luge");

fn main() -> Outcome<()> {
    // `cargo test` runs benchmarks too, to see that they run.
    let (requests, turns) = match std::env::args().any(|it| it == "--bench") {
        true => (100_000, 7),
        false => (200, 1),
    };
    let folder = std::env::temp_dir().join(format!("luge-recording-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = measure(&folder, requests, turns);
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn measure(folder: &Path, requests: u32, turns: u32) -> Outcome<()> {
    let (mut server, port) = start(folder)?;
    let url = format!("http://127.0.0.1:{port}/");
    let ask = |requests: u32| -> Outcome<()> {
        let bench = [
            "bench",
            &url,
            "--closed",
            "--requests",
            &requests.to_string(),
        ];
        let loaded = Command::new(LUGE).args(bench).output()?;
        match loaded.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&loaded.stderr).into()),
        }
    };
    ask(requests.div_ceil(10))?;
    println!(
        "{:>16} {:>16} {:>8}",
        "recording, µs", "all threads, µs", "part"
    );
    for _ in 0..turns {
        let before = used_ns(&server)?;
        ask(requests)?;
        let after = used_ns(&server)?;
        let us = [0, 1].map(|at| (after[at] - before[at]) / f64::from(requests) / 1e3);
        println!(
            "{:>16.2} {:>16.2} {:>7.1}%",
            us[0],
            us[1],
            100.0 * us[0] / us[1]
        );
    }
    server.kill()?;
    server.wait()?;
    Ok(())
}

fn start(folder: &Path) -> Outcome<(Child, u16)> {
    std::fs::write(
        folder.join("empty.wat"),
        "(module (func (export \"_start\")))",
    )?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let spec = format!(
        r#"[{{"name": "one", "port": {port}, "routes": [{{"route": "/", "path": "empty.wat"}}]}}]"#
    );
    std::fs::write(folder.join("spec.json"), spec)?;
    let mut server = Command::new(LUGE)
        .args(["serve", "spec.json", "--record=all.rec", "--workers=1"])
        .args(["--log-format=json", "--cache-dir=off", "--admin=off"])
        .current_dir(folder)
        .stderr(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(server.stderr.take().ok_or("no log")?).lines();
    for line in lines {
        let event: serde_json::Value = serde_json::from_str(&line?)?;
        if event["message"] == "serving" {
            break;
        }
    }
    Ok((server, port))
}

/// What the recording thread has used so far, and all threads together.
fn used_ns(server: &Child) -> Outcome<[f64; 2]> {
    let mut used = [0.0; 2];
    for entry in std::fs::read_dir(format!("/proc/{}/task", server.id()))? {
        let folder = entry?.path();
        let read = |name: &str| std::fs::read_to_string(folder.join(name));
        let schedstat = read("schedstat")?;
        let ns: f64 = schedstat.split(' ').next().ok_or("no time")?.parse()?;
        used[1] += ns;
        if read("comm")?.trim() == "luge-flight" {
            used[0] = ns;
        }
    }
    Ok(used)
}
