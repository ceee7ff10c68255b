//! What wasmtime-wasi alone would do, ours does: generated scripts of calls on files and descriptors, run
//! by both in directories of the same contents, must give the same errnos, the same memory and leave the same
//! files behind.
//!
//! Left out is what differs on purpose: clocks, random numbers, arguments, waiting, pointers that are wrong
//! (which end a guest of wasmtime's), and several vectors in one call (of which it takes the first).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use wasmtime::{Engine, InstancePre, Linker, Module, Store};
use wasmtime_wasi::p1::{WasiP1Ctx, add_to_linker_sync};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::files::Folder;
use crate::script::{Arg, CREAT, DIRECTORY, READ, Script, WRITE, guest};
use crate::support::runtime_with;

const SEEDS: u64 = 60;
const CALLS: usize = 40;

/// As `wasmtime run --dir` would.
fn reference(script: &Script, folder: &Path, writable: bool) -> Vec<u8> {
    static GUEST: OnceLock<(Engine, InstancePre<WasiP1Ctx>)> = OnceLock::new();
    let (engine, instance) = GUEST.get_or_init(|| {
        let engine = Engine::default();
        let mut linker = Linker::new(&engine);
        add_to_linker_sync(&mut linker, |context| context).expect("WASI");
        let module = Module::new(&engine, guest()).expect("compiles");
        let instance = linker.instantiate_pre(&module).expect("links");
        (engine, instance)
    });
    let (stdout, stderr) = (
        MemoryOutputPipe::new(1 << 22),
        MemoryOutputPipe::new(1 << 22),
    );
    let perms = match writable {
        true => FsPerms::ReadWrite,
        false => FsPerms::ReadOnly,
    };
    let mut context = WasiCtxBuilder::new();
    let context = context
        .stdin(MemoryInputPipe::new(script.stdin()))
        .stdout(stdout)
        .stderr(stderr.clone())
        .allow_blocking_current_thread(true)
        .preopened_dir(folder, "/data", perms);
    let mut store = Store::new(engine, context.expect("a directory").build_p1());
    let instance = instance.instantiate(&mut store).expect("instantiates");
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start");
    let ended = start.expect("a start").call(&mut store, ());
    ended.expect("ends well");
    stderr.contents().to_vec()
}

/// A generator of scripts: the same seed, the same script.
struct Maker {
    state: u64,
    script: Script,
}

const PATHS: [&str; 12] = [
    "hello",
    "sub",
    "sub/deep",
    "new",
    "sub/new",
    "in",
    "out",
    "door/secret",
    "../secret",
    ".",
    "none/x",
    "hello/",
];

impl Maker {
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// A descriptor, mostly of those that there are. 2 is left alone: the report goes there.
    fn fd(&mut self) -> Arg {
        self.pick(&[0, 1, 3, 4, 4, 4, 4, 5, 5, 5, 6, 6, 7]).into()
    }

    fn dir(&mut self) -> Arg {
        self.pick(&[3, 3, 3, 3, 3, 3, 4, 6, 1]).into()
    }

    fn path(&mut self) -> [Arg; 2] {
        let path = self.pick(&PATHS);
        let at = i64::from(self.script.bytes(path.as_bytes()));
        [at.into(), (path.len() as i64).into()]
    }

    fn room(&mut self, bytes: usize) -> Arg {
        i64::from(self.script.room(bytes)).into()
    }

    fn offset(&mut self) -> Arg {
        self.pick(&[0, 1, 5, 100, -1]).into()
    }

    /// One vector, and where the number goes.
    fn vector(&mut self) -> [Arg; 2] {
        let len = self.below(12) as usize;
        let at = self.script.bytes(&b"abcdefghijkl"[..len]);
        [self.script.vectors(&[(at, len)]).into(), 1.into()]
    }

    /// Adds one of all calls, with arguments made for it.
    #[rustfmt::skip]
    fn call(&mut self) {
        let [fd, to_fd, dir, to_dir] = [self.fd(), self.fd(), self.dir(), self.dir()];
        let ([path, len], [to, to_len]) = (self.path(), self.path());
        let (offset, [vectors, count]) = (self.offset(), self.vector());
        let (room, told) = (self.room(72), self.room(8));
        let [zero, nine, room_len] = [0, 9, 70].map(Arg::Value);
        let size = Arg::Value(self.below(30) as i64);
        let [follow, whence] = [2, 3].map(|bound| Arg::Value(self.below(bound) as i64));
        let oflags = self.pick(&[0, 0, 1, 1, 2, 5, 8, 9, 3]).into();
        let rights = self.pick(&[2, 64, 66]).into();
        let fdflags = self.pick(&[0, 0, 0, 1, 4]).into();
        let set_flags = self.pick(&[0, 1, 4, 2]).into();
        // How often, which, with what.
        let calls: &[(usize, &str, &[Arg])] = &[
            (5, "path_open", &[dir, follow, path, len, oflags, rights, rights, fdflags, told]),
            (2, "fd_write", &[fd, vectors, count, told]),
            (1, "fd_read", &[fd, vectors, count, told]),
            (1, "fd_pread", &[fd, vectors, count, offset, told]),
            (1, "fd_pwrite", &[fd, vectors, count, offset, told]),
            (1, "fd_seek", &[fd, offset, whence, told]),
            (1, "fd_tell", &[fd, told]),
            (1, "fd_close", &[fd]),
            (1, "fd_renumber", &[fd, to_fd]),
            (1, "fd_fdstat_get", &[fd, room]),
            (1, "fd_fdstat_set_flags", &[fd, set_flags]),
            (1, "fd_filestat_set_size", &[fd, size]),
            (1, "path_create_directory", &[dir, path, len]),
            (1, "path_unlink_file", &[dir, path, len]),
            (1, "path_remove_directory", &[dir, path, len]),
            (1, "path_rename", &[dir, path, len, to_dir, to, to_len]),
            (1, "path_link", &[dir, follow, path, len, to_dir, to, to_len]),
            (1, "path_symlink", &[path, len, dir, to, to_len]),
            (1, "path_readlink", &[dir, path, len, room, room_len, told]),
            (1, "fd_prestat_get", &[fd, room]),
            (1, "fd_prestat_dir_name", &[fd, room, size]),
            (1, "fd_sync", &[fd]),
            (1, "fd_datasync", &[fd]),
            (1, "fd_advise", &[fd, zero, zero, zero]),
            (1, "fd_allocate", &[fd, zero, nine]),
            (1, "fd_fdstat_set_rights", &[fd, zero, zero]),
            (1, "sock_shutdown", &[fd, zero]),
        ];
        let each = calls.iter().flat_map(|call| std::iter::repeat_n(call, call.0));
        let each: Vec<_> = each.collect();
        let (_, name, arguments) = self.pick(&each);
        self.script.call(name, arguments);
    }
}

/// Names, kinds and contents of what is in a directory.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(folder).expect("within").display();
            let name = name.to_string();
            let kind = fs::symlink_metadata(&path).expect("there").file_type();
            let what = if kind.is_dir() {
                left.push(path);
                "a directory".to_owned()
            } else if kind.is_symlink() && name != "absolute" {
                format!("to {}", fs::read_link(&path).expect("a link").display())
            } else if kind.is_symlink() {
                "absolute".to_owned()
            } else {
                format!("{:?}", fs::read(&path).expect("a file"))
            };
            found.insert(name, what);
        }
    }
    found
}

#[test]
fn what_wasmtime_does_is_done() {
    let mut succeeded = 0;
    for seed in 0..SEEDS {
        let writable = seed % 4 != 0;
        let mut maker = Maker {
            state: seed,
            script: Script::default(),
        };
        let oflags = if writable { CREAT } else { 0 };
        maker
            .script
            .open(3, "hello", 0, READ | if writable { WRITE } else { 0 }, 0);
        maker.script.open(3, "sub/deep", oflags, READ, 0);
        maker.script.open(3, "sub", DIRECTORY, READ, 0);
        for _ in 0..CALLS {
            maker.call();
        }
        // Wherever the streams are then: stderr is where it was.
        maker.script.report_to = 2;
        let script = maker.script;
        let (ours, theirs) = (Folder::new("ours"), Folder::new("theirs"));
        let mut config = ours.config(writable);
        config.stderr = sandbox::Stderr::Body;
        let outcome = crate::support::run(&mut runtime_with(&guest(), config), 0, script.request());
        let ours_told = script.parse(&outcome.call.stdout);
        let theirs_told = reference(&script, &theirs.inside(), writable);
        let theirs_told = script.parse(&theirs_told);
        theirs_told.check(&ours_told.errnos);
        assert!(
            ours_told.memory == theirs_told.memory,
            "{seed}: {:?}",
            ours_told.differs(&theirs_told)
        );
        assert_eq!(files(&ours.inside()), files(&theirs.inside()), "{seed}");
        succeeded += ours_told.errnos.iter().filter(|errno| **errno == 0).count();
    }
    assert!(
        succeeded > SEEDS as usize * CALLS / 5,
        "{succeeded}: too tame"
    );
}
