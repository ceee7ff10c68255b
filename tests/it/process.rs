//! The program as its users run it: started with arguments and variables, watched through its streams, told
//! to end by signals.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::client::Client;
use crate::harness::{PATIENCE, repository, wait_until};

/// The program, without the variables that a developer may have set.
pub fn luge() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_luge"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("LUGE_") || name.starts_with("SLEDGE_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// What a command that ends by itself has said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs the program to its end.
pub fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Said {
    let output = luge()
        .args(arguments)
        .output()
        .expect("the program can be run");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it says text");
    Said {
        code: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// Sends a signal to a child that has not been waited for.
pub fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let status = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(status.expect("kill can be run").success());
}

/// A folder of its own, which goes with it.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file can be written");
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file can be read")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind is in the build's folder.
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

/// A port that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    socket.local_addr().expect("it has an address").port()
}

/// A spec with `/fib`, `/puppet` and `/sleep` on this port.
pub fn spec(port: u16) -> Value {
    let modules = [
        ("/fib", "functions/fib/fib.wasm"),
        ("/puppet", "tests/guests/puppet.wat"),
        ("/sleep", "tests/guests/sleep.wat"),
    ];
    let routes = modules
        .map(|(route, path)| crate::harness::route(route, &repository(path).to_string_lossy()));
    serde_json::json!([{"name": "one", "port": port, "routes": routes}])
}

/// The program, serving.
pub struct Serving {
    child: Child,
    address: SocketAddr,
    /// Standard output's lines; and of standard error, the event that it serves.
    out: Receiver<String>,
    err: Option<JoinHandle<String>>,
}

/// How it ended.
pub struct Ended {
    pub code: Option<i32>,
    /// The lines on standard output that [`Serving::line`] has not given.
    pub out: Vec<String>,
    pub err: String,
}

impl Serving {
    /// Serves [`spec`] with these arguments and variables.
    pub fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Serving {
        let folder = Folder::new();
        Serving::somewhere(|port| Serving::command(&folder, port, arguments, variables))
    }

    /// The same on this port; how it ended if it does not serve.
    pub fn start_at(
        port: u16,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Serving, Ended> {
        let folder = Folder::new();
        let command = Serving::command(&folder, port, arguments, variables);
        Serving::of(command, "one", port)
    }

    fn command(
        folder: &Folder,
        port: u16,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Command {
        let path = folder.write("spec.json", &spec(port).to_string());
        let mut command = luge();
        command.arg("serve").arg(path).args(arguments);
        command.envs(variables.iter().copied());
        command
    }

    /// Serves tenant `one` with the command that is made for a port.
    pub fn somewhere(command: impl Fn(u16) -> Command) -> Serving {
        // Somebody else may take the port between finding and using it.
        for _ in 0..10 {
            let port = free_port();
            match Serving::of(command(port), "one", port) {
                Ok(serving) => return serving,
                Err(ended) => assert_eq!(ended.code, Some(5), "{}", ended.err),
            }
        }
        panic!("no port stays free");
    }

    /// Waits until this command serves this tenant on this port; how it ended if it does not.
    pub fn of(mut command: Command, tenant: &str, port: u16) -> Result<Serving, Ended> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        let (said, out) = channel();
        let err = read_log(child.stderr.take().expect("piped"), said.clone());
        read_lines(child.stdout.take().expect("piped"), said);
        let serving = Serving {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            out,
            err: Some(err),
        };
        match serving.out.recv_timeout(PATIENCE) {
            Ok(line) => {
                let address = serving.address.to_string();
                match serde_json::from_str::<Value>(&line) {
                    Ok(event) => {
                        let found = (&event["tenant"], &event["address"]);
                        assert_eq!(found, (&tenant.into(), &address.into()));
                        let routes = event["routes"].as_str();
                        assert!(
                            routes.is_some_and(|routes| routes.starts_with('/')),
                            "{line}"
                        );
                    }
                    Err(_) => {
                        let expected = format!("serving {tenant} at http://{address}: /");
                        assert!(line.starts_with(&expected), "{line}");
                    }
                }
                Ok(serving)
            }
            Err(_) => Err(serving.ended()),
        }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next line on standard output.
    pub fn line(&self) -> String {
        self.out.recv_timeout(PATIENCE).expect("another line")
    }

    /// Open file descriptors of the process.
    pub fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(folder).expect("it runs").count()
    }

    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for the end.
    pub fn ended(mut self) -> Ended {
        let mut status = None;
        wait_until("the program ends", || {
            status = self.child.try_wait().expect("it is ours");
            status.is_some()
        });
        let err = self.err.take().expect("once").join();
        Ended {
            code: status.expect("it has ended").code(),
            out: self.out.iter().collect(),
            err: err.expect("reading does not panic"),
        }
    }

    /// Tells it to end, and asserts that it does so in order. Gives what it said on standard error.
    pub fn stop(self) -> String {
        self.stopped().err
    }

    /// The same; gives all that it said.
    pub fn stopped(self) -> Ended {
        self.signal("TERM");
        let ended = self.ended();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        ended
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // A test has failed: nothing may outlive it.
        if self.err.is_some() {
            self.child.kill().expect("it is ours");
            self.child.wait().expect("it is ours");
        }
    }
}

fn read_lines(stream: impl Read + Send + 'static, said: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            // Nobody listens any more: the stream is read all the same, lest its writer stop.
            said.send(line.expect("it says text")).ok();
        }
    });
}

/// Gathers the log, and passes on the event that the program serves.
fn read_log(stream: impl Read + Send + 'static, said: Sender<String>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        for line in BufReader::new(stream).lines() {
            let line = line.expect("it says text");
            if !logged(&line, "serving").is_empty() {
                said.send(line.clone()).ok();
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    })
}

/// The lines of the log in JSON that have this message.
pub fn logged(err: &str, message: &str) -> Vec<BTreeMap<String, Value>> {
    let lines = err
        .lines()
        .filter_map(|line| serde_json::from_str::<BTreeMap<String, Value>>(line).ok());
    lines
        .filter(|line| line.get("message").is_some_and(|found| found == message))
        .collect()
}
