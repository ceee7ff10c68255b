//! A server for a benchmark, in a folder of its own, and what its threads have used by the kernel's count.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// The program.
pub const LUGE: &str = env!("CARGO_BIN_EXE_luge");

/// The unit of user time in `/proc`: a hundredth of a second on every Linux there is.
const TICK_NS: f64 = 1e7;

/// Killed, and its folder removed, when it is dropped.
pub struct Server {
    child: Child,
    folder: PathBuf,
}

/// Processor time.
#[derive(Clone, Copy, Default)]
pub struct Used {
    pub whole_ns: f64,
    /// Outside of the kernel.
    pub user_ns: f64,
}

impl Server {
    /// With `spec`, in which `empty.wat` does nothing, and which has this many ports. It serves when this returns.
    pub fn start(name: &str, spec: &str, ports: usize, arguments: &[&str]) -> Outcome<Server> {
        let folder = std::env::temp_dir().join(format!("luge-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(
            folder.join("empty.wat"),
            "(module (func (export \"_start\")))",
        )?;
        std::fs::write(folder.join("spec.json"), spec)?;
        let child = Command::new(LUGE)
            .args(["serve", "spec.json", "--workers=1", "--log-format=json"])
            .args(["--cache-dir=off", "--flight-dir=off"])
            .args(arguments)
            .current_dir(&folder)
            .stderr(Stdio::piped())
            .spawn()?;
        let mut server = Server { child, folder };
        let mut log = BufReader::new(server.child.stderr.take().ok_or("no log")?).lines();
        let mut serving = 0;
        while serving < ports {
            let line = log.next().ok_or("the server has ended")??;
            let event: serde_json::Value = serde_json::from_str(&line)?;
            serving += usize::from(event["message"] == "serving");
        }
        Ok(server)
    }

    /// What its threads with such names have used so far, together.
    pub fn used(&self, wanted: impl Fn(&str) -> bool) -> Outcome<Used> {
        let mut used = Used::default();
        for entry in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let folder = entry?.path();
            let read = |name: &str| std::fs::read_to_string(folder.join(name));
            if !wanted(read("comm")?.trim()) {
                continue;
            }
            let (schedstat, stat) = (read("schedstat")?, read("stat")?);
            let whole_ns: f64 = schedstat.split(' ').next().ok_or("no time")?.parse()?;
            // The fields behind the name, which may hold anything: the twelfth is user time.
            let behind = stat.rsplit(')').next().ok_or("no name")?;
            let ticks: f64 = behind.split(' ').nth(12).ok_or("no user time")?.parse()?;
            used.whole_ns += whole_ns;
            used.user_ns += ticks * TICK_NS;
        }
        Ok(used)
    }
}

impl Used {
    /// For each of so many requests since then.
    pub fn each_since(self, before: Used, requests: usize) -> Used {
        let each = |now: f64, before: f64| (now - before) / requests as f64;
        Used {
            whole_ns: each(self.whole_ns, before.whole_ns),
            user_ns: each(self.user_ns, before.user_ns),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // There is nobody to tell.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// Ports that nobody listens at now.
pub fn free_ports<const N: usize>() -> Outcome<[u16; N]> {
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
