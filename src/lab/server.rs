//! A server of the lab's: a process of its own, so that it is the program that users run, and each run begins afresh.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::limits::{END_MAX, START_MAX};

/// How often it is looked whether a process has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// See the module's text.
pub struct Server {
    child: Child,
    /// Copies its log; ends with it.
    log: Option<JoinHandle<()>>,
    /// What it has said at its start that is no mere information.
    pub warnings: Vec<String>,
}

/// What threads of a process have used of processors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpu(Vec<(String, u64)>);

impl Server {
    /// Starts this program as a server in a folder, which gets its log, and waits until so many tenants are served.
    ///
    /// # Errors
    ///
    /// It cannot be started, or ends, or takes too long; with the last that it has said.
    pub fn start(folder: &Path, flags: &[String], tenants: usize) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
        let log = folder.join("server.log");
        let place = |error: io::Error| format!("{}: {error}", log.display());
        let file = File::create(&log).map_err(place)?;
        let mut command = Command::new(program);
        command
            .args([
                "serve",
                "spec.json",
                "--log-format=json",
                "--log-level=info",
            ])
            .args(flags)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        for (name, _) in crate::cli::settings::variables() {
            if name.starts_with("LUGE_") || name.starts_with("SLEDGE_") {
                command.env_remove(name);
            }
        }
        let started = command.spawn();
        let mut child = started.map_err(|error| format!("a server cannot be started: {error}"))?;
        let lines = BufReader::new(child.stderr.take().expect("it is piped"));
        let (tell, told) = channel();
        let copy = move || copy(lines, file, |line| drop(tell.send(line)));
        let copying = thread::Builder::new().name("server-log".into()).spawn(copy);
        let mut server = Self {
            child,
            log: Some(copying.map_err(|error| format!("a thread for the log: {error}"))?),
            warnings: Vec::new(),
        };
        server.warnings = wait_until_serving(&told, tenants)?;
        Ok(server)
    }

    /// What its threads have used so far; empty where the kernel does not tell.
    pub fn cpu(&self) -> Cpu {
        Cpu::of(self.child.id()).unwrap_or_default()
    }

    /// Tells it to end, and waits until it has.
    ///
    /// # Errors
    ///
    /// It does not end, or not well.
    pub fn end(mut self) -> Result<(), String> {
        let told = kill_process(Pid::from_child(&self.child), Signal::TERM);
        told.map_err(|error| format!("a server cannot be told to end: {error}"))?;
        let deadline = Instant::now() + END_MAX;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => thread::park_timeout(LOOK_EVERY),
                Ok(None) => return Err(format!("a server has not ended in {END_MAX:?}")),
                Err(error) => return Err(format!("a server cannot be waited for: {error}")),
            }
        };
        match status.success() {
            true => Ok(()),
            false => Err(format!(
                "a server has ended with {status}; see its server.log"
            )),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended is not there to be killed, and of one that has not, nothing is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
        if let Some(log) = self.log.take() {
            drop(log.join());
        }
    }
}

/// Copies lines into the log, and tells them until nobody listens.
fn copy(lines: impl BufRead, mut log: File, mut tell: impl FnMut(String)) {
    for line in lines.lines().map_while(Result::ok) {
        // The run says more than its log.
        drop(writeln!(log, "{line}"));
        tell(line);
    }
}

/// What it has said until then beside information.
fn wait_until_serving(told: &Receiver<String>, tenants: usize) -> Result<Vec<String>, String> {
    let deadline = Instant::now() + START_MAX;
    let mut serving = 0;
    let mut said = Vec::new();
    while serving < tenants {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = match told.recv_timeout(left) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("a server has not started in {START_MAX:?}"));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(format!("a server has not started: {}", said.join("; ")));
            }
        };
        let event: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
        let message = event["message"].as_str().unwrap_or(&line);
        serving += usize::from(message == "serving");
        if event["level"] != "INFO" {
            said.push(message.to_owned());
        }
    }
    Ok(said)
}

impl Cpu {
    fn of(process: u32) -> io::Result<Self> {
        let mut threads = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/{process}/task"))? {
            let folder = entry?.path();
            let name = std::fs::read_to_string(folder.join("comm"))?;
            let stat = std::fs::read_to_string(folder.join("schedstat"))?;
            let ran_ns = stat.split(' ').next().and_then(|text| text.parse().ok());
            threads.push((name.trim().to_owned(), ran_ns.unwrap_or(0)));
        }
        Ok(Self(threads))
    }

    /// What was used since then, by a thread of this name, in nanoseconds.
    pub fn since(&self, before: &Self) -> Vec<(String, u64)> {
        let sum = |cpu: &Self, name: &str| -> u64 {
            let own = cpu.0.iter().filter(|(thread, _)| thread == name);
            own.map(|(_, ran_ns)| ran_ns).sum()
        };
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        names.dedup();
        let used = names.into_iter().map(|name| {
            let ns = sum(self, name).saturating_sub(sum(before, name));
            (name.to_owned(), ns)
        });
        used.collect()
    }
}
