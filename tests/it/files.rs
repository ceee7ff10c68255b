//! Files over real sockets: what a route's `dirs` and `scratch` give its function, and what they do not.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Server, Setup, route, route_with, wait_until};

/// A folder of a test's own, with `hello` in `inside` and `secret` beside it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("luge-it-{name}-{}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        fs::create_dir_all(folder.inside()).expect("made");
        fs::write(folder.inside().join("hello"), "hello, file").expect("written");
        fs::write(folder.0.join("secret"), "secret").expect("written");
        folder
    }

    fn inside(&self) -> PathBuf {
        self.0.join("inside")
    }

    fn dirs(&self, access: &str) -> Value {
        json!({"dirs": [{"host": self.inside(), "guest": "/data", "access": access}]})
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

const BADF: u8 = 8;
const EXIST: u8 = 20;
const NOENT: u8 = 44;
const PERM: u8 = 63;

fn refusal(errno: u8) -> Vec<u8> {
    vec![b'n', b'o', b' ', errno]
}

#[test]
fn a_route_gives_its_function_directories() {
    let folder = Folder::new("routes");
    let server = Setup::default().serve(&[
        route("/none", "files.wat"),
        route_with("/ro", "files.wat", folder.dirs("ro")),
        route_with("/rw", "files.wat", folder.dirs("rw")),
        route_with("/own", "files.wat", json!({"scratch": "/tmp"})),
    ]);
    let mut client = server.client();
    let hello = || b"hello, file".to_vec();
    for (route, body, expected) in [
        ("/none", "rhello", refusal(BADF)),
        ("/ro", "rhello", hello()),
        ("/ro", "rnone", refusal(NOENT)),
        ("/ro", "r../secret", refusal(PERM)),
        ("/ro", "r/etc/passwd", refusal(PERM)),
        ("/ro", "wnew", refusal(PERM)),
        ("/rw", "wnew", b"new".to_vec()),
        ("/rw", "wnew", refusal(EXIST)),
        ("/rw", "w../new", refusal(PERM)),
        ("/ro", "rnew", b"new".to_vec()),
        ("/own", "rhello", refusal(NOENT)),
        // Every request has its own.
        ("/own", "wnew", b"new".to_vec()),
        ("/own", "wnew", b"new".to_vec()),
    ] {
        assert_eq!(
            client.post(route, body.as_bytes()).body,
            expected,
            "{route} {body}"
        );
    }
    assert_eq!(
        fs::read(folder.inside().join("new")).expect("there"),
        b"new"
    );
    assert_eq!(fs::read_dir(&folder.0).expect("there").count(), 2);
}

/// Where a request's own directory is that has this file.
fn find_scratch(marker: &str) -> Option<PathBuf> {
    let user = fs::metadata("/proc/self").map(|it| std::os::unix::fs::MetadataExt::uid(&it));
    let folder = format!("luge-scratch-{}", user.expect("ours"));
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    entries(&std::env::temp_dir().join(folder))
        .flat_map(|process| entries(&process.path()).collect::<Vec<_>>())
        .map(|sandbox| sandbox.path())
        .find(|sandbox| sandbox.join(marker).exists())
}

fn endless(server: &Server, marker: &str) -> (crate::client::Client, PathBuf) {
    let mut client = server.client();
    client.send(crate::client::post("/own", format!("y{marker}").as_bytes()));
    let mut found = None;
    wait_until("the function has made its file", || {
        found = find_scratch(marker);
        found.is_some()
    });
    (client, found.expect("found"))
}

/// Its client goes, or the server: what a request had for itself goes, too.
#[test]
fn a_scratch_directory_goes_with_its_request() {
    for (index, client_goes) in [true, false].into_iter().enumerate() {
        let marker = format!("marker-{}-{index}", std::process::id());
        let server = Setup {
            scheduler: "rr",
            drain_timeout: std::time::Duration::from_millis(100),
            ..Setup::default()
        };
        let mut server =
            server.serve(&[route_with("/own", "files.wat", json!({"scratch": "/tmp"}))]);
        let (client, scratch) = endless(&server, &marker);
        if client_goes {
            drop(client);
            wait_until("the directory is gone", || !scratch.exists());
            assert_eq!(server.end().counters.abandoned, 1);
        } else {
            server.connections_cut = 1;
            drop(server.end());
            wait_until("the directory is gone", || !scratch.exists());
            drop(client);
        }
    }
}
