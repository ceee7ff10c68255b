//! Files: what a function with directories can do with them, and what none can.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::task::Waker;

use sandbox::limits::{FILE_BYTES_MAX, FILE_ENTRIES_MAX, FILES_OPEN_MAX};
use sandbox::{Directory, FunctionConfig, Runtime, Step};

use crate::script::*;
use crate::support::{runtime_with, talking};

/// A folder of a test's own: `inside` is given to guests, `secret` lies beside it.
///
/// ```text
///   secret
///   outside/secret
///   inside/hello      "hello, file"
///   inside/sub/deep   "deep"
///   inside/in         ─► hello          inside/absolute ─► /…/secret
///   inside/out        ─► ../secret      inside/door     ─► ../outside
/// ```
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, SeqCst);
        let name = format!("luge-files-{name}-{}-{number}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        for directory in ["outside", "inside/sub"] {
            fs::create_dir_all(folder.0.join(directory)).expect("made");
        }
        for (file, text) in [
            ("secret", "secret"),
            ("outside/secret", "secret"),
            ("inside/hello", "hello, file"),
            ("inside/sub/deep", "deep"),
        ] {
            fs::write(folder.0.join(file), text).expect("written");
        }
        for (link, to) in [
            ("in", Path::new("hello")),
            ("out", Path::new("../secret")),
            ("door", Path::new("../outside")),
            ("absolute", &folder.0.join("secret")),
        ] {
            symlink(to, folder.inside().join(link)).expect("linked");
        }
        folder
    }

    pub fn inside(&self) -> PathBuf {
        self.0.join("inside")
    }

    pub fn config(&self, writable: bool) -> FunctionConfig {
        FunctionConfig {
            name: "guest".into(),
            directories: vec![Directory {
                host: self.inside(),
                guest: "/data".into(),
                writable,
            }],
            ..FunctionConfig::default()
        }
    }

    fn runtime(&self, writable: bool) -> Runtime {
        runtime_with(&guest(), self.config(writable))
    }

    fn has_kept_its_secret(&self) {
        for secret in ["secret", "outside/secret"] {
            let text = fs::read_to_string(self.0.join(secret));
            assert_eq!(text.expect("there"), "secret");
        }
        let count = |path: &str| fs::read_dir(self.0.join(path)).expect("there").count();
        assert_eq!((count(""), count("outside")), (3, 1));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn scratch() -> FunctionConfig {
    FunctionConfig {
        name: "guest".into(),
        scratch: Some("/tmp".into()),
        ..FunctionConfig::default()
    }
}

/// The descriptor of the first directory.
const DIR: i64 = 3;

#[test]
fn a_directory_is_announced_and_read() {
    let folder = Folder::new("read");
    let mut script = Script::default();
    let (stat, name, short) = (script.room(8), script.room(16), script.room(16));
    script.call("fd_prestat_get", &[DIR.into(), i64::from(stat).into()]);
    let named = |at: u32, len: i64| [DIR.into(), i64::from(at).into(), len.into()];
    script.call("fd_prestat_dir_name", &named(name, 5));
    script.call("fd_prestat_dir_name", &named(short, 4));
    script.call("fd_prestat_get", &[4.into(), i64::from(stat).into()]);
    let file = script.open(DIR, "sub/../in", 0, READ, 0);
    let whole = script.read(file, 64);
    let end = script.read(file, 64);
    let entries = script.room(1024);
    let used = script.room(4);
    script.call(
        "fd_readdir",
        &[
            DIR.into(),
            i64::from(entries).into(),
            1024.into(),
            0.into(),
            i64::from(used).into(),
        ],
    );
    let report = script.run(&mut folder.runtime(false));
    let mut errnos = vec![SUCCESS; 8];
    errnos[2] = NAMETOOLONG;
    errnos[3] = BADF;
    report.check(&errnos);
    assert_eq!(report.u64(stat), 5 << 32);
    assert_eq!(&report.memory[name as usize..][..6], b"/data\0");
    assert_eq!(report.read(whole), b"hello, file");
    assert_eq!(report.read(end), b"");
    // Behind each entry's 24 bytes is its name.
    let listed = String::from_utf8_lossy(report.read((entries, used))).into_owned();
    for name in [".", "..", "hello", "sub", "in", "out", "absolute", "door"] {
        assert!(listed.contains(name), "{name}");
    }
}

/// Every call that would change something, on what is there.
fn changes(script: &mut Script) {
    let file = script.open(DIR, "hello", 0, READ, 0);
    let hello = script.bytes(b"hello");
    let new = script.bytes(b"new");
    let [hello, new] = [hello, new].map(i64::from);
    script.open(DIR, "hello", 0, WRITE, 0);
    script.open(DIR, "hello", TRUNC, READ, 0);
    script.open(DIR, "new", CREAT, READ, 0);
    script.write(file, b"x");
    script.call("fd_filestat_set_size", &[file, 0.into()]);
    script.call(
        "fd_filestat_set_times",
        &[file, 1.into(), 1.into(), 5.into()],
    );
    script.on_path("path_create_directory", DIR, "new");
    script.on_path("path_unlink_file", DIR, "hello");
    script.on_path("path_remove_directory", DIR, "sub");
    let two = [DIR, hello, 5, DIR, new, 3].map(Arg::Value);
    script.call("path_rename", &two);
    let two = [DIR, 0, hello, 5, DIR, new, 3].map(Arg::Value);
    script.call("path_link", &two);
    script.call("path_symlink", &[hello, 5, DIR, new, 3].map(Arg::Value));
    let times = [DIR, 0, hello, 5, 1, 1, 5].map(Arg::Value);
    script.call("path_filestat_set_times", &times);
}

#[test]
fn what_is_read_only_is_not_changed() {
    let folder = Folder::new("read-only");
    let mut script = Script::default();
    changes(&mut script);
    let report = script.run(&mut folder.runtime(false));
    let mut errnos = vec![PERM; 14];
    errnos[0] = SUCCESS;
    // A descriptor that is not open for writing, on any file (POSIX, write).
    errnos[4] = report.errnos[4];
    assert!([BADF, PERM].contains(&errnos[4]), "{}", errnos[4]);
    report.check(&errnos);
    assert_eq!(
        fs::read(folder.inside().join("hello")).expect("there"),
        b"hello, file"
    );
    assert_eq!(fs::read_dir(folder.inside()).expect("there").count(), 6);
}

#[test]
fn what_is_writable_is_changed() {
    let folder = Folder::new("writable");
    let mut script = Script::default();
    let file = script.open(DIR, "new", CREAT | EXCL, READ | WRITE, 0);
    script.write(file, b"0123456789");
    let [told, sought] = [script.room(8), script.room(8)];
    script.call("fd_tell", &[file, i64::from(told).into()]);
    let (a, b) = (script.bytes(b"AB"), script.bytes(b"C"));
    let vectors = script.vectors(&[(a, 2), (b, 1)]).into();
    let [count, pread] = [script.room(4), script.room(4)];
    let [two, three, four] = [2, 3, 4].map(Arg::Value);
    script.call(
        "fd_pwrite",
        &[file, vectors, two, four, i64::from(count).into()],
    );
    script.call(
        "fd_seek",
        &[file, (-3).into(), two, i64::from(sought).into()],
    );
    let end = script.read(file, 8);
    let (x, y) = (script.room(2), script.room(8));
    let vectors = script.vectors(&[(x, 2), (y, 8)]).into();
    script.call(
        "fd_pread",
        &[file, vectors, two, three, i64::from(pread).into()],
    );
    script.call("fd_fdstat_set_flags", &[file, APPEND.into()]);
    script.write(file, b"end");
    script.call("fd_filestat_set_size", &[file, 11.into()]);
    script.call(
        "fd_filestat_set_times",
        &[file, 7.into(), 0.into(), 1.into()],
    );
    script.call("fd_sync", &[file]);
    script.call("fd_datasync", &[file]);
    script.call("fd_advise", &[file, 0.into(), 0.into(), 0.into()]);
    script.call("fd_close", &[file]);
    let report = script.run(&mut folder.runtime(true));
    report.all_succeeded();

    assert_eq!((report.u64(told), report.u64(sought)), (10, 7));
    assert_eq!((report.u32(count), report.u32(pread)), (3, 7));
    assert_eq!(report.read(end), b"789");
    assert_eq!(&report.memory[x as usize..][..2], b"3A");
    assert_eq!(&report.memory[y as usize..][..5], b"BC789");
    let file = folder.inside().join("new");
    assert_eq!(fs::read(&file).expect("there"), b"0123ABC789e");
}

#[test]
fn names_are_made_moved_and_removed() {
    let folder = Folder::new("names");
    let mut script = Script::default();
    script.on_path("path_create_directory", DIR, "made");
    let [hello, moved, new, link] = ["hello", "made/moved", "new", "link"]
        .map(|name| (i64::from(script.bytes(name.as_bytes())), name.len() as i64));
    let two = |from: (i64, i64), to: (i64, i64)| [DIR, from.0, from.1, DIR, to.0, to.1];
    script.call("path_rename", &two(hello, moved).map(Arg::Value));
    let arguments = [DIR, 0, moved.0, moved.1, DIR, new.0, new.1];
    script.call("path_link", &arguments.map(Arg::Value));
    script.call(
        "path_symlink",
        &[new.0, new.1, DIR, link.0, link.1].map(Arg::Value),
    );
    let (target, len, stat) = (script.room(8), script.room(4), script.room(64));
    let readlink = [DIR, link.0, link.1, target.into(), 8, len.into()];
    script.call("path_readlink", &readlink.map(Arg::Value));
    let arguments = [DIR, FOLLOW, link.0, link.1, stat.into()];
    script.call("path_filestat_get", &arguments.map(Arg::Value));
    let arguments = [DIR, 0, new.0, new.1, 7, 9, 5];
    script.call("path_filestat_set_times", &arguments.map(Arg::Value));
    script.on_path("path_unlink_file", DIR, "sub/deep");
    script.on_path("path_remove_directory", DIR, "sub");
    let report = script.run(&mut folder.runtime(true));
    report.all_succeeded();

    assert_eq!(report.read((target, len)), b"new");
    // A plain file with two names and eleven bytes.
    let (kind, names, bytes) = (stat + 16, stat + 24, stat + 32);
    assert_eq!(report.memory[kind as usize], 4);
    assert_eq!((report.u64(names), report.u64(bytes)), (2, 11));
    let read = |name: &str| fs::read(folder.inside().join(name)).expect(name);
    assert_eq!(read("made/moved"), b"hello, file");
    assert_eq!(read("link"), read("new"));
    assert!(!folder.inside().join("hello").exists());
    assert!(!folder.inside().join("sub").exists());
}

/// Paths that lead out of `inside`.
const OUT: [&str; 10] = [
    "../secret",
    "..",
    "../inside/hello",
    "sub/../../secret",
    "/etc/passwd",
    "/",
    "out",
    "absolute",
    "door/secret",
    "sub/../door/../secret",
];

#[test]
fn nothing_outside_is_reached() {
    for writable in [false, true] {
        let folder = Folder::new("escape");
        let mut script = Script::default();
        for path in OUT {
            for (oflags, rights) in [(0, READ), (DIRECTORY, READ), (CREAT, WRITE), (TRUNC, WRITE)] {
                script.open(DIR, path, oflags, rights, 0);
            }
            let at = i64::from(script.bytes(path.as_bytes()));
            let len = path.len() as i64;
            let room = i64::from(script.room(64));
            script.call(
                "path_filestat_get",
                &[DIR, FOLLOW, at, len, room].map(Arg::Value),
            );
            let times = [DIR, FOLLOW, at, len, 1, 1, 5].map(Arg::Value);
            script.call("path_filestat_set_times", &times);
        }
        let report = script.run(&mut folder.runtime(writable));
        report.check(&[PERM; OUT.len() * 6]);
        folder.has_kept_its_secret();
    }
}

#[test]
fn nothing_is_taken_out_or_brought_in() {
    let folder = Folder::new("links");
    let mut script = Script::default();
    let hello = i64::from(script.bytes(b"hello"));
    let new = i64::from(script.bytes(b"new"));
    let mut errnos = Vec::new();
    for path in [
        "../stolen",
        "door/stolen",
        "/tmp/stolen",
        "sub/../../stolen",
    ] {
        let (at, len) = (i64::from(script.bytes(path.as_bytes())), path.len() as i64);
        script.call(
            "path_rename",
            &[DIR, hello, 5, DIR, at, len].map(Arg::Value),
        );
        script.call(
            "path_link",
            &[DIR, 0, hello, 5, DIR, at, len].map(Arg::Value),
        );
        script.call("path_symlink", &[hello, 5, DIR, at, len].map(Arg::Value));
        script.on_path("path_create_directory", DIR, path);
        errnos.extend([PERM; 4]);
    }
    for path in ["../secret", "door/secret"] {
        let (at, len) = (i64::from(script.bytes(path.as_bytes())), path.len() as i64);
        script.call("path_rename", &[DIR, at, len, DIR, new, 3].map(Arg::Value));
        script.call("path_link", &[DIR, 0, at, len, DIR, new, 3].map(Arg::Value));
        script.on_path("path_unlink_file", DIR, path);
        errnos.extend([PERM; 3]);
    }
    // A link that leads out by a way of its own may be made, but not used; an absolute one not even made.
    let (etc, up) = (script.bytes(b"/etc/passwd"), script.bytes(b"../secret"));
    let (a, b) = (script.bytes(b"a"), script.bytes(b"sub/b"));
    let [etc, up, a, b] = [etc, up, a, b].map(i64::from);
    script.call("path_symlink", &[etc, 11, DIR, a, 1].map(Arg::Value));
    script.call("path_symlink", &[up, 9, DIR, a, 1].map(Arg::Value));
    script.open(DIR, "a", 0, READ, 0);
    // Harmless where it is made, and moved to where it leads out.
    script.call("path_symlink", &[up, 9, DIR, b, 5].map(Arg::Value));
    script.call("path_rename", &[DIR, b, 5, DIR, new, 3].map(Arg::Value));
    script.open(DIR, "new", 0, READ, 0);
    errnos.extend([PERM, SUCCESS, PERM, SUCCESS, SUCCESS, PERM]);
    let report = script.run(&mut folder.runtime(true));
    report.check(&errnos);
    folder.has_kept_its_secret();
}

/// Somebody on the host makes a directory a link that leads out, and back, as fast as he can.
#[test]
fn nothing_outside_is_reached_in_a_race() {
    let folder = Folder::new("race");
    let inside = folder.inside();
    fs::create_dir(inside.join("good")).expect("made");
    fs::write(inside.join("good/secret"), "harmless").expect("written");
    let mut script = Script::default();
    let reads: Vec<_> = (0..200)
        .map(|_| {
            let file = script.open(DIR, "flip/secret", 0, READ, 0);
            let read = script.read(file, 16);
            script.call("fd_close", &[file]);
            read
        })
        .collect();
    let mut runtime = folder.runtime(true);
    let done = AtomicBool::new(false);
    let mut read_all = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                for to in ["door", "good"] {
                    drop(fs::remove_file(inside.join("next")));
                    symlink(to, inside.join("next")).expect("linked");
                    fs::rename(inside.join("next"), inside.join("flip")).expect("renamed");
                }
            }
        });
        for _ in 0..3 {
            let outcome = crate::support::run(&mut runtime, 0, script.request());
            let report = script.parse(&outcome.call.stdout);
            for (index, read) in reads.iter().enumerate() {
                if report.errnos[3 * index] == SUCCESS {
                    read_all.push(report.read(*read).to_vec());
                }
            }
        }
        done.store(true, SeqCst);
    });
    assert!(!read_all.is_empty());
    assert!(read_all.iter().all(|read| read == b"harmless"));
    folder.has_kept_its_secret();
}

/// Numbers of descriptors: files and streams share them.
#[test]
fn files_and_streams_change_places() {
    let folder = Folder::new("renumber");
    let mut script = Script::default();
    let four = Arg::Value(4);
    let b = script.open(DIR, "b", CREAT, WRITE, 0);
    // stdout is at 4 then, where b was, and the next file at 1.
    script.call("fd_renumber", &[1.into(), b]);
    let a = script.open(DIR, "a", CREAT, WRITE, 0);
    script.write(1, b"to the file");
    script.write(four, b"to the client");
    // What is free is given again.
    script.call("fd_close", &[0.into()]);
    script.call("fd_close", &[0.into()]);
    let hello = script.open(DIR, "hello", 0, READ, 0);
    let other = script.open(DIR, "hello", 0, READ, 0);
    let third = script.open(DIR, "hello", 0, READ, 0);
    let read = script.read(hello, 5);
    let room = i64::from(script.room(64));
    script.call("fd_seek", &[four, 0.into(), 0.into(), room.into()]);
    script.call(
        "fd_pread",
        &[four, 0.into(), 0.into(), 0.into(), room.into()],
    );
    script.call(
        "fd_pwrite",
        &[four, room.into(), 0.into(), 0.into(), room.into()],
    );
    script.call("fd_filestat_get", &[four, room.into()]);
    script.call("fd_prestat_get", &[four, room.into()]);
    script.call("fd_prestat_dir_name", &[four, room.into(), 8.into()]);
    // Even the directory can be moved, and keeps its name.
    script.call("fd_renumber", &[DIR.into(), 2.into()]);
    let name = script.room(8);
    script.call(
        "fd_prestat_dir_name",
        &[2.into(), i64::from(name).into(), 8.into()],
    );
    script.call("fd_prestat_get", &[DIR.into(), room.into()]);
    script.report_to = 4;
    let report = script.run(&mut folder.runtime(true));
    let mut errnos = vec![SUCCESS; 20];
    errnos[6] = BADF;
    errnos[11..14].copy_from_slice(&[SPIPE, BADF, SPIPE]);
    errnos[15..17].copy_from_slice(&[BADF, NOTDIR]);
    errnos[19] = BADF;
    report.check(&errnos);
    let number = |arg| match arg {
        Arg::At(at) => report.u32(at),
        Arg::Value(value) => value as u32,
    };
    assert_eq!([a, hello, other, third].map(number), [1, 0, 5, 6]);
    assert_eq!(report.read(read), b"hello");
    assert_eq!(report.told, b"to the client");
    assert_eq!(&report.memory[name as usize..][..5], b"/data");
    let file = fs::read(folder.inside().join("a")).expect("there");
    assert_eq!(file, b"to the file");
}

#[test]
fn descriptors_bytes_and_entries_are_bounded() {
    let folder = Folder::new("limits");
    let mut runtime = folder.runtime(true);
    let mut script = Script::default();
    for _ in 0..=FILES_OPEN_MAX {
        script.open(DIR, "hello", 0, READ, 0);
    }
    // One that is closed makes room for another.
    script.call("fd_close", &[10.into()]);
    script.open(DIR, "hello", 0, READ, 0);
    script.open(DIR, "hello", 0, READ, 0);
    let report = script.run(&mut runtime);
    let mut errnos = vec![SUCCESS; FILES_OPEN_MAX];
    errnos.extend([MFILE, SUCCESS, SUCCESS, MFILE]);
    report.check(&errnos);

    let most = FILE_BYTES_MAX as i64;
    let mut script = Script::default();
    let a = script.open(DIR, "a", CREAT, WRITE, 0);
    script.call("fd_filestat_set_size", &[a, (most + 1).into()]);
    script.call("fd_filestat_set_size", &[a, (-1).into()]);
    script.call("fd_filestat_set_size", &[a, (most - 2).into()]);
    script.write(a, b"what is within costs nothing");
    let b = script.open(DIR, "b", CREAT, WRITE, 0);
    script.write(b, b"xx");
    script.write(b, b"x");
    let x = script.bytes(b"x");
    let vectors = script.vectors(&[(x, 1)]);
    let told = i64::from(script.room(4));
    script.call(
        "fd_pwrite",
        &[b, vectors.into(), 1.into(), 1.into(), told.into()],
    );
    script.call(
        "fd_pwrite",
        &[b, vectors.into(), 1.into(), i64::MAX.into(), told.into()],
    );
    // Nor by appending, nor after it was deleted.
    script.call("fd_fdstat_set_flags", &[b, APPEND.into()]);
    script.write(b, b"x");
    script.on_path("path_unlink_file", DIR, "a");
    let c = script.open(DIR, "c", CREAT, WRITE, 0);
    script.write(c, b"x");
    #[rustfmt::skip]
    let errnos = [SUCCESS, NOSPC, INVAL, SUCCESS, SUCCESS, SUCCESS, SUCCESS, NOSPC, SUCCESS, NOSPC, SUCCESS, NOSPC, SUCCESS, SUCCESS, NOSPC];
    script.run(&mut runtime).check(&errnos);

    let folder = Folder::new("entries");
    let mut script = Script::default();
    script.on_path("path_create_directory", DIR, "sub");
    for number in 0..FILE_ENTRIES_MAX {
        script.on_path("path_create_directory", DIR, &format!("{number:x}"));
    }
    script.open(DIR, "x", CREAT, WRITE, 0);
    script.on_path("path_remove_directory", DIR, "0");
    script.on_path("path_create_directory", DIR, "0");
    script.on_path("path_create_directory", DIR, "x");
    let mut errnos = vec![EXIST];
    errnos.extend(vec![SUCCESS; FILE_ENTRIES_MAX as usize]);
    errnos.extend([NOSPC, SUCCESS, SUCCESS, NOSPC]);
    script.run(&mut folder.runtime(true)).check(&errnos);
}

/// Wrong pointers, lengths and numbers are told, and end nobody.
#[rustfmt::skip]
#[test]
fn wrong_arguments_are_errnos() {
    let folder = Folder::new("wrong");
    let mut script = Script::default();
    let file = script.open(DIR, "hello", 0, READ, 0);
    let far = Arg::Value(0x7fff_fff0);
    let [zero, one, five, none] = [0, 1, 5, 99].map(Arg::Value);
    let (dir, size) = (Arg::Value(DIR), Arg::Value(-1));
    let odd = Arg::Value(i64::from(script.room(64)) + 1);
    let name = Arg::Value(script.bytes(b"hello").into());
    let no_text = Arg::Value(script.bytes(b"\xff\xfe").into());
    let open = |fd, told| [fd, zero, name, five, zero, READ.into(), zero, zero, told];
    let rows: &[(&str, &[Arg], i32)] = &[
        ("fd_filestat_get", &[file, far], FAULT),
        ("fd_filestat_get", &[file, odd], INVAL),
        ("fd_fdstat_get", &[file, far], FAULT),
        ("fd_read", &[file, far, one, zero], FAULT),
        ("fd_read", &[file, zero, one, far], FAULT),
        ("fd_read", &[file, zero, 1025.into(), zero], INVAL),
        ("fd_write", &[file, far, one, zero], FAULT),
        ("fd_readdir", &[dir, far, 100.into(), zero, zero], FAULT),
        ("fd_seek", &[file, zero, 3.into(), zero], INVAL),
        ("fd_seek", &[file, size, zero, zero], INVAL),
        ("fd_tell", &[file, far], FAULT),
        ("path_unlink_file", &[dir, far, five], FAULT),
        ("path_unlink_file", &[dir, zero, 4097.into()], NAMETOOLONG),
        ("path_unlink_file", &[dir, zero, size], NAMETOOLONG),
        ("path_filestat_get", &[dir, zero, no_text, 2.into(), zero], ILSEQ),
        ("path_filestat_get", &[dir, 2.into(), name, five, zero], INVAL),
        ("path_filestat_get", &[file, zero, name, five, zero], BADF),
        ("path_open", &open(dir, far), FAULT),
        ("path_open", &open(dir, odd), INVAL),
        ("path_open", &open(none, zero), BADF),
        ("path_open", &open(one, zero), BADF),
        ("path_open", &open(file, zero), NOTDIR),
        ("fd_allocate", &[file, zero, one], NOTSUP),
        ("fd_fdstat_set_rights", &[file, zero, zero], NOTSUP),
        ("fd_close", &[none], BADF),
        ("fd_renumber", &[file, none], BADF),
        ("fd_read", &[dir, zero, zero, zero], BADF),
        ("fd_read", &[one, zero, zero, zero], BADF),
        ("fd_write", &[zero, zero, zero, zero], BADF),
        ("sock_shutdown", &[file, zero], NOTSOCK),
        ("sock_accept", &[dir, zero, zero], NOTSOCK),
        ("sock_recv", &[none, zero, zero, zero, zero, zero], BADF),
        ("sock_send", &[one, zero, zero, zero, zero], NOTSOCK),
    ];
    let mut errnos = vec![SUCCESS];
    for (name, arguments, errno) in rows {
        script.call(name, arguments);
        errnos.push(*errno);
    }
    script.run(&mut folder.runtime(false)).check(&errnos);
}

/// A call that fails has not left a file open: were it so, the last could not be had.
#[test]
fn a_refused_open_keeps_no_descriptor() {
    let folder = Folder::new("refused");
    let mut script = Script::default();
    let mut errnos = Vec::new();
    for _ in 0..FILES_OPEN_MAX {
        script.open(DIR, "out", 0, READ, 0);
        script.open(DIR, "none", 0, READ, 0);
        errnos.extend([PERM, NOENT]);
    }
    for _ in 0..FILES_OPEN_MAX {
        script.open(DIR, "sub", DIRECTORY, READ, 0);
    }
    errnos.extend([SUCCESS; FILES_OPEN_MAX]);
    script.run(&mut folder.runtime(false)).check(&errnos);
}

/// Where a scratch directory is that has a file of this name in it.
fn find_scratch(marker: &str) -> Option<PathBuf> {
    let user = fs::metadata("/proc/self").map(|it| std::os::unix::fs::MetadataExt::uid(&it));
    let folder = format!("luge-scratch-{}", user.expect("ours"));
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    entries(&std::env::temp_dir().join(folder))
        .flat_map(|process| entries(&process.path()).collect::<Vec<_>>())
        .map(|sandbox| sandbox.path())
        .find(|sandbox| sandbox.join(marker).exists())
}

fn wait_until_gone(scratch: &Path) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while scratch.exists() {
        assert!(
            std::time::Instant::now() < deadline,
            "{} stays",
            scratch.display()
        );
        std::thread::yield_now();
    }
}

#[test]
fn a_scratch_directory_is_empty_and_ones_own() {
    let mut runtime = runtime_with(&guest(), scratch());
    let mut script = Script::default();
    script.open(DIR, "mine", CREAT | EXCL, WRITE, 0);
    script.on_path("path_create_directory", DIR, "deep");
    script.on_path("path_create_directory", DIR, "deep/er");
    script.on_path("path_remove_directory", DIR, "deep");
    for _ in 0..3 {
        script
            .run(&mut runtime)
            .check(&[SUCCESS, SUCCESS, SUCCESS, NOTEMPTY]);
    }
}

/// However a sandbox ends, its directory ends with it.
#[test]
fn a_scratch_directory_goes_with_its_sandbox() {
    let ends = [
        ("returns", "(nop)", false),
        ("exits", "(call $exit (i32.const 3))", false),
        ("traps", "unreachable", false),
        ("is discarded", "(loop (drop (call $yield)) (br 0))", true),
        (
            "is discarded in a file call",
            "(loop (drop (call $sync (i32.const 4))) (br 0))",
            true,
        ),
    ];
    for (index, (name, end, discard)) in ends.into_iter().enumerate() {
        let marker = format!("marker-{}-{index}", std::process::id());
        let wat = talking("").replace(
            "(memory (export \"memory\") 1)",
            r#"(import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
               (import "wasi_snapshot_preview1" "path_filestat_get" (func $stat (param i32 i32 i32 i32 i32) (result i32)))
               (import "wasi_snapshot_preview1" "fd_datasync" (func $sync (param i32) (result i32)))
               (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
               (memory (export "memory") 1)"#,
        );
        let body = format!(
            r#"(data (i32.const 64) "{marker}")
               (func (export "_start")
                 (if (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const {len}) (i32.const 1)
                    (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 128)) (then unreachable))
                 (drop (call $yield))
                 {end}))"#,
            len = marker.len()
        );
        let wat = format!("{}{body}", wat.trim_end().trim_end_matches(')'));
        let mut runtime = runtime_with(&wat, scratch());
        let woken = crate::support::Woken::new();
        runtime.start(0, 0, Default::default(), Waker::from(woken.clone()));
        while !matches!(runtime.resume(0), Step::Yielded) {
            woken.wait();
        }
        let scratch = find_scratch(&marker).expect(name);
        if discard {
            while !matches!(runtime.resume(0), Step::Yielded | Step::Blocked) {}
            let _call = runtime.discard(0);
        } else {
            while !matches!(runtime.resume(0), Step::Finished(_)) {}
        }
        wait_until_gone(&scratch);
    }
}

/// With a directory of the host and one of its own; and none without it.
#[test]
fn what_a_function_was_not_given_it_does_not_have() {
    let folder = Folder::new("both");
    let config = FunctionConfig {
        scratch: Some("/tmp".into()),
        ..folder.config(false)
    };
    let mut script = Script::default();
    script.open(DIR, "hello", 0, READ, 0);
    script.open(DIR, "new", CREAT, WRITE, 0);
    script.open(4, "new", CREAT, WRITE, 0);
    script.open(9, "new", CREAT, WRITE, 0);
    let stat = script.room(8);
    script.call("fd_prestat_get", &[4.into(), i64::from(stat).into()]);
    script.call("fd_prestat_get", &[5.into(), i64::from(stat).into()]);
    let errnos = [SUCCESS, PERM, SUCCESS, BADF, SUCCESS, BADF];
    script
        .run(&mut runtime_with(&guest(), config))
        .check(&errnos);
    script
        .run(&mut runtime_with(&guest(), FunctionConfig::default()))
        .check(&[BADF; 6]);
}

#[test]
fn a_directory_that_is_not_there_is_said() {
    let config = FunctionConfig {
        directories: vec![Directory {
            host: "/nowhere/at/all".into(),
            guest: "/".into(),
            writable: false,
        }],
        ..FunctionConfig::default()
    };
    let functions = [(crate::support::artifact(&guest()), config)];
    let error = Runtime::new(
        &crate::support::settings(),
        &functions,
        crate::support::reactor(),
    );
    let error = error.err().expect("refused").to_string();
    assert!(error.contains("/nowhere/at/all"), "{error}");
}
