//! A guest that makes the calls that it is told: one module for every call of preview 1, so that a test is a
//! list of calls with their arguments, and finds the errnos and the guest's memory afterwards.
//!
//! ```text
//!   stdin ─► 0        memory that the calls' pointers lead to
//!            65536    header: records, descriptor to report to
//!            65544    records: call, which arguments are loaded, errno, –, nine arguments of 8 bytes
//! ```
//!
//! The report is all of that, with the errnos filled in.

use std::fmt::Write;

use sandbox::{Call, Exit, Outcome, Runtime};

use crate::support::run;

/// Every call but `proc_exit`, with its parameters: `i` is an i32, `l` an i64.
#[rustfmt::skip]
pub const CALLS: [(&str, &str); 45] = [
    ("args_get", "ii"), ("args_sizes_get", "ii"), ("clock_res_get", "ii"), ("clock_time_get", "ili"),
    ("environ_get", "ii"), ("environ_sizes_get", "ii"), ("fd_advise", "illi"), ("fd_allocate", "ill"),
    ("fd_close", "i"), ("fd_datasync", "i"), ("fd_fdstat_get", "ii"), ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "ill"), ("fd_filestat_get", "ii"), ("fd_filestat_set_size", "il"),
    ("fd_filestat_set_times", "illi"), ("fd_pread", "iiili"), ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"), ("fd_pwrite", "iiili"), ("fd_read", "iiii"), ("fd_readdir", "iiili"),
    ("fd_renumber", "ii"), ("fd_seek", "ilii"), ("fd_sync", "i"), ("fd_tell", "ii"), ("fd_write", "iiii"),
    ("path_create_directory", "iii"), ("path_filestat_get", "iiiii"), ("path_filestat_set_times", "iiiilli"),
    ("path_link", "iiiiiii"), ("path_open", "iiiiillii"), ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"), ("path_rename", "iiiiii"), ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"), ("poll_oneoff", "iiii"), ("proc_raise", "i"), ("random_get", "ii"),
    ("sched_yield", ""), ("sock_accept", "iii"), ("sock_recv", "iiiiii"), ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

pub const SUCCESS: i32 = 0;
pub const BADF: i32 = 8;
pub const EXIST: i32 = 20;
pub const FAULT: i32 = 21;
pub const ILSEQ: i32 = 25;
pub const INVAL: i32 = 28;
pub const MFILE: i32 = 33;
pub const NAMETOOLONG: i32 = 37;
pub const NOENT: i32 = 44;
pub const NOSPC: i32 = 51;
pub const NOTDIR: i32 = 54;
pub const NOTEMPTY: i32 = 55;
pub const NOTSOCK: i32 = 57;
pub const NOTSUP: i32 = 58;
pub const PERM: i32 = 63;
pub const SPIPE: i32 = 70;

pub const CREAT: i64 = 1;
pub const DIRECTORY: i64 = 2;
pub const EXCL: i64 = 4;
pub const TRUNC: i64 = 8;
pub const APPEND: i64 = 1;
pub const READ: i64 = 1 << 1;
pub const WRITE: i64 = 1 << 6;
pub const FOLLOW: i64 = 1;

const RECORDS_AT: usize = 65_536;
const RECORD_BYTES: usize = 16 + 9 * 8;

/// The module's text.
pub fn guest() -> String {
    let (mut imports, mut dispatch) = (String::new(), String::new());
    for (index, (name, params)) in CALLS.iter().enumerate() {
        let wasm = |param| if param == 'i' { "i32" } else { "i64" };
        let types: Vec<_> = params.chars().map(wasm).collect();
        let types = types.join(" ");
        let mut arguments = String::new();
        for (at, param) in params.chars().enumerate() {
            let argument = match param {
                'i' => format!("(i32.wrap_i64 (call $argument (local.get $at) (i32.const {at})))"),
                _ => format!("(call $argument (local.get $at) (i32.const {at}))"),
            };
            arguments += &argument;
        }
        writeln!(
            imports,
            r#"(import "wasi_snapshot_preview1" "{name}" (func ${name} (param {types}) (result i32)))"#
        )
        .expect("writes");
        writeln!(
            dispatch,
            "(if (i32.eq (i32.load (local.get $at)) (i32.const {index})) (then (return (call ${name} {arguments}))))"
        )
        .expect("writes");
    }
    format!(
        r#"(module {imports}
          (memory (export "memory") 32)
          (func $argument (param $at i32) (param $index i32) (result i64)
            (local.set $index (i32.shl (i32.const 1) (local.get $index)))
            (if (result i64) (i32.and (i32.load offset=4 (local.get $at)) (local.get $index))
              (then (i64.load32_u (i32.load offset=16 (i32.add (local.get $at) (i32.mul (i32.ctz (local.get $index)) (i32.const 8))))))
              (else (i64.load offset=16 (i32.add (local.get $at) (i32.mul (i32.ctz (local.get $index)) (i32.const 8)))))))
          (func $dispatch (param $at i32) (result i32) {dispatch} unreachable)
          (func $vector (i32.store (i32.const 2000000) (i32.const 0)) (i32.store (i32.const 2000004) (i32.const 1900000)))
          (func (export "_start") (local $at i32) (local $left i32)
            (call $vector)
            (if (call $fd_read (i32.const 0) (i32.const 2000000) (i32.const 1) (i32.const 2000008)) (then unreachable))
            (local.set $at (i32.const {first}))
            (local.set $left (i32.load (i32.const {RECORDS_AT})))
            (block $done (loop $next
              (br_if $done (i32.eqz (local.get $left)))
              (i32.store offset=8 (local.get $at) (call $dispatch (local.get $at)))
              (local.set $at (i32.add (local.get $at) (i32.const {RECORD_BYTES})))
              (local.set $left (i32.sub (local.get $left) (i32.const 1)))
              (br $next)))
            (i32.store (i32.const 2000000) (i32.const 0))
            (i32.store (i32.const 2000004) (local.get $at))
            (drop (call $fd_write (i32.load (i32.const {fd_at})) (i32.const 2000000) (i32.const 1) (i32.const 2000008)))))"#,
        first = RECORDS_AT + 8,
        fd_at = RECORDS_AT + 4,
    )
}

/// An argument.
#[derive(Clone, Copy, Debug)]
pub enum Arg {
    Value(i64),
    /// What a u32 in the guest's memory says when it comes to the call.
    At(u32),
}

impl From<i64> for Arg {
    fn from(value: i64) -> Arg {
        Arg::Value(value)
    }
}

/// Calls to be made, and memory for them.
#[derive(Clone)]
pub struct Script {
    memory: Vec<u8>,
    records: Vec<u8>,
    names: Vec<String>,
    used: u32,
    pub report_to: u32,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            memory: vec![0; RECORDS_AT],
            records: Vec::new(),
            names: Vec::new(),
            // Nothing lies at 0: there, a forgotten pointer shows.
            used: 64,
            report_to: 1,
        }
    }
}

impl Script {
    /// Room of so many bytes, aligned for anything.
    pub fn room(&mut self, bytes: usize) -> u32 {
        let at = self.used;
        self.used += (bytes as u32).next_multiple_of(8).max(8);
        assert!((self.used as usize) < RECORDS_AT, "the memory is full");
        at
    }

    /// Bytes in memory.
    pub fn bytes(&mut self, bytes: &[u8]) -> u32 {
        let at = self.room(bytes.len());
        self.memory[at as usize..][..bytes.len()].copy_from_slice(bytes);
        at
    }

    /// A vector of vectors; gives where it is.
    pub fn vectors(&mut self, vectors: &[(u32, usize)]) -> i64 {
        let bytes = vectors
            .iter()
            .flat_map(|&(at, len)| [at.to_le_bytes(), (len as u32).to_le_bytes()]);
        let bytes: Vec<u8> = bytes.flatten().collect();
        self.bytes(&bytes).into()
    }

    /// Adds a call; gives its number.
    pub fn call(&mut self, name: &str, arguments: &[Arg]) -> usize {
        let index = CALLS.iter().position(|(known, _)| *known == name);
        let index = index.unwrap_or_else(|| panic!("{name} is no call"));
        assert_eq!(CALLS[index].1.len(), arguments.len(), "{name}");
        let mut values = [0_i64; 9];
        let mut loaded = 0_u32;
        for (at, argument) in arguments.iter().enumerate() {
            values[at] = match *argument {
                Arg::Value(value) => value,
                Arg::At(place) => {
                    loaded |= 1 << at;
                    place.into()
                }
            };
        }
        for word in [index as u32, loaded, u32::MAX, 0] {
            self.records.extend_from_slice(&word.to_le_bytes());
        }
        for value in values {
            self.records.extend_from_slice(&value.to_le_bytes());
        }
        self.names.push(format!("{name} {arguments:?}"));
        self.names.len() - 1
    }

    /// Opens `path`; the descriptor will be there.
    pub fn open(
        &mut self,
        dir: impl Into<Arg>,
        path: &str,
        oflags: i64,
        rights: i64,
        fdflags: i64,
    ) -> Arg {
        // Should it fail, there is no such descriptor.
        let (at, told_at) = (self.bytes(path.as_bytes()), self.bytes(&[0xff; 4]));
        let [path_at, len, told] = [at.into(), path.len() as i64, told_at.into()].map(Arg::Value);
        let rest = [oflags, rights, rights, fdflags].map(Arg::Value);
        let [oflags, base, inheriting, fdflags] = rest;
        let dir = dir.into();
        self.call(
            "path_open",
            &[
                dir,
                FOLLOW.into(),
                path_at,
                len,
                oflags,
                base,
                inheriting,
                fdflags,
                told,
            ],
        );
        Arg::At(told_at)
    }

    /// A call whose arguments are a directory and a path in it.
    pub fn on_path(&mut self, name: &str, dir: impl Into<Arg>, path: &str) -> usize {
        let at = self.bytes(path.as_bytes());
        let [at, len] = [at.into(), path.len() as i64].map(Arg::Value);
        self.call(name, &[dir.into(), at, len])
    }

    pub fn write(&mut self, fd: impl Into<Arg>, bytes: &[u8]) -> usize {
        let at = self.bytes(bytes);
        let vectors = self.vectors(&[(at, bytes.len())]);
        let told = self.room(4);
        self.call(
            "fd_write",
            &[fd.into(), vectors.into(), 1.into(), i64::from(told).into()],
        )
    }

    /// Reads up to `len` bytes; gives where they will be, and where their number.
    pub fn read(&mut self, fd: impl Into<Arg>, len: usize) -> (u32, u32) {
        let at = self.room(len);
        let vectors = self.vectors(&[(at, len)]);
        let told = self.room(4);
        self.call(
            "fd_read",
            &[fd.into(), vectors.into(), 1.into(), i64::from(told).into()],
        );
        (at, told)
    }

    /// What the guest reads.
    pub fn stdin(&self) -> Vec<u8> {
        let mut stdin = self.memory.clone();
        stdin.extend_from_slice(&(self.names.len() as u32).to_le_bytes());
        stdin.extend_from_slice(&self.report_to.to_le_bytes());
        stdin.extend_from_slice(&self.records);
        stdin
    }

    pub fn request(&self) -> Call {
        Call {
            stdin: self.stdin(),
            ..Call::default()
        }
    }

    pub fn run(&self, runtime: &mut Runtime) -> Report {
        self.report(run(runtime, 0, self.request()))
    }

    /// Reads the report of one that has ended well.
    pub fn report(&self, outcome: Outcome) -> Report {
        assert_eq!(outcome.exit, Exit::Success, "{:?}", self.names);
        self.parse(&outcome.call.stdout)
    }

    pub fn parse(&self, report: &[u8]) -> Report {
        let bytes = RECORDS_AT + 8 + self.records.len();
        assert!(report.len() >= bytes, "a report of {} bytes", report.len());
        let (told, report) = report.split_at(report.len() - bytes);
        let records = report[RECORDS_AT + 8..].chunks(RECORD_BYTES);
        let errno = |record: &[u8]| i32::from_le_bytes(record[8..12].try_into().expect("four"));
        Report {
            errnos: records.map(errno).collect(),
            memory: report[..RECORDS_AT].to_vec(),
            names: self.names.clone(),
            told: told.to_vec(),
        }
    }
}

/// What came of a script.
#[derive(Debug)]
pub struct Report {
    pub errnos: Vec<i32>,
    pub memory: Vec<u8>,
    names: Vec<String>,
    /// What was written to where the report went, before it.
    pub told: Vec<u8>,
}

impl Report {
    /// Every call has ended so.
    #[track_caller]
    pub fn check(&self, errnos: &[i32]) {
        let lines: Vec<_> = self
            .names
            .iter()
            .zip(&self.errnos)
            .map(|(name, errno)| format!("{errno:3} {name}\n"))
            .collect();
        assert_eq!(self.errnos, errnos, "\n{}", lines.concat());
    }

    /// Where two memories differ.
    pub fn differs(&self, other: &Report) -> Vec<(usize, u8, u8)> {
        let pairs = self.memory.iter().zip(&other.memory).enumerate();
        let differing = pairs.filter(|(_, (one, other))| one != other);
        differing
            .map(|(at, (one, other))| (at, *one, *other))
            .collect()
    }

    #[track_caller]
    pub fn all_succeeded(&self) {
        self.check(&vec![SUCCESS; self.errnos.len()]);
    }

    pub fn u32(&self, at: u32) -> u32 {
        u32::from_le_bytes(self.memory[at as usize..][..4].try_into().expect("four"))
    }

    pub fn u64(&self, at: u32) -> u64 {
        u64::from_le_bytes(self.memory[at as usize..][..8].try_into().expect("eight"))
    }

    /// The bytes at the place, as many as were told at the other.
    pub fn read(&self, (at, told): (u32, u32)) -> &[u8] {
        &self.memory[at as usize..][..self.u32(told) as usize]
    }
}
