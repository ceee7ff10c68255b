//! A suite's cases: found in a folder, run one by one, compared with what their descriptions expect.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde::Deserialize;

/// How long a case may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// Folders of modules for other worlds than preview 1.
const OTHER_WORLDS: [&str; 2] = ["wasm32-wasip2", "wasm32-wasip3"];

/// A module and what it shall do.
pub struct Case {
    /// Its path within the suite, without the extension.
    pub name: String,
    module: PathBuf,
    description: Result<Description, String>,
}

/// What goes in and what must come out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Description {
    args: Vec<String>,
    env: BTreeMap<String, String>,
    /// Directories beside the module; guests have them by the same names.
    dirs: Vec<String>,
    /// A directory that guests have as `/`.
    root: Option<String>,
    access: Access,
    stdin: String,
    exit_code: i32,
    stdout: Option<String>,
    stderr: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Access {
    Ro,
    #[default]
    Rw,
}

/// Every case below `folder`, by name.
pub fn cases(folder: &Path) -> Vec<Case> {
    let mut found = Vec::new();
    gather(folder, folder, &mut found);
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn gather(suite: &Path, folder: &Path, found: &mut Vec<Case>) {
    for entry in fs::read_dir(folder).expect("a folder of the suite can be read") {
        let entry = entry.expect("a folder of the suite can be read");
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        // As it is: a case's symbolic link may lead anywhere.
        if entry.file_type().expect("it is there").is_dir() {
            if !OTHER_WORLDS.contains(&&*name) {
                gather(suite, &path, found);
            }
        } else if path
            .extension()
            .is_some_and(|it| it == "wasm" || it == "wat")
        {
            let name = path
                .strip_prefix(suite)
                .expect("it is below")
                .with_extension("");
            found.push(Case {
                name: name.to_string_lossy().into_owned(),
                description: described(&path.with_extension("json")),
                module: path,
            });
        }
    }
}

fn described(path: &Path) -> Result<Description, String> {
    match fs::read_to_string(path) {
        Ok(text) => {
            serde_json::from_str(&text).map_err(|error| format!("its description: {error}"))
        }
        Err(_) => Ok(Description::default()),
    }
}

impl Case {
    /// Runs it; how it went wrong if it did.
    pub fn run(&self) -> Result<(), String> {
        let description = self.description.as_ref().map_err(String::clone)?;
        let scratch = Scratch::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_luge"));
        command.args(["run", "--cache-dir=off"]);
        let beside = self.module.parent().expect("a file is in a folder");
        let dirs = description.dirs.iter().map(|name| (name, &**name));
        let dirs = dirs.chain(description.root.iter().map(|name| (name, "/")));
        for (name, guest) in dirs {
            let copy = scratch.0.join(name);
            copy_tree(&beside.join(name), &copy);
            let access = match description.access {
                Access::Ro => "ro",
                Access::Rw => "rw",
            };
            command
                .arg("--dir")
                .arg(format!("{}::{guest}:{access}", copy.display()));
        }
        for (name, value) in &description.env {
            command.arg(format!("--env={name}={value}"));
        }
        command.arg(&self.module).args(&description.args);
        let output = finish(command, description.stdin.clone())?;
        description.compare(&output)
    }
}

impl Description {
    fn compare(&self, output: &Output) -> Result<(), String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        if output.status.code() != Some(self.exit_code) {
            let (status, expected) = (output.status, self.exit_code);
            return Err(format!(
                "{status}, not exit code {expected}; it said {stdout:?} and {stderr:?}"
            ));
        }
        for (what, got, expected) in [
            ("stdout", stdout, &self.stdout),
            ("stderr", stderr, &self.stderr),
        ] {
            if let Some(expected) = expected.as_ref().filter(|expected| **expected != got) {
                return Err(format!("{what} is {got:?}, not {expected:?}"));
            }
        }
        Ok(())
    }
}

/// Runs a command to its end, unless it hangs.
fn finish(mut command: Command, stdin: String) -> Result<Output, String> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be run");
    let mut pipe = child.stdin.take().expect("piped");
    let pid = child.id().to_string();
    let (said, output) = channel();
    std::thread::spawn(move || {
        // One that reads nothing may be gone.
        pipe.write_all(stdin.as_bytes()).ok();
        drop(pipe);
        said.send(child.wait_with_output()).ok();
    });
    match output.recv_timeout(PATIENCE) {
        Ok(output) => Ok(output.expect("it is ours")),
        Err(_) => {
            let killed = Command::new("kill").args(["-s", "KILL", &pid]).status();
            assert!(
                killed.is_ok_and(|status| status.success()),
                "it cannot be ended"
            );
            Err("hangs".to_owned())
        }
    }
}

/// Copies a directory; one that does not exist is an empty one.
fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a copy can be made");
    let Ok(entries) = fs::read_dir(from) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a directory of the suite can be read").path();
        let copy = to.join(path.file_name().expect("entries have names"));
        let kind = path.symlink_metadata().expect("it is there").file_type();
        if kind.is_dir() {
            copy_tree(&path, &copy);
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).expect("it is a link");
            std::os::unix::fs::symlink(target, copy).expect("a copy can be made");
        } else {
            fs::copy(&path, copy).expect("a copy can be made");
        }
    }
}

/// A folder of its own for one run, which goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "conformance-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Relaxed)
        );
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("a folder can be made");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind is in the build's folder.
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}
