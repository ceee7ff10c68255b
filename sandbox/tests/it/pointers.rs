//! Pointers and lengths at and beyond the end of memory, for every call of preview 1 that takes one: generated
//! from the standard's own interface text, so that no call is forgotten.
//!
//! A guest makes one call with the values that it reads from its stdin, and exits with the errno. What is
//! expected is known from the text alone: who points outside must not succeed. Whether that is an errno or a
//! trap of the guest, the standard leaves open where a pointer does not lie in memory.

use std::fmt::Write as _;
use std::path::Path;

use sandbox::{Call, Directory, Exit, FunctionConfig, Runtime};

use crate::support::{artifact, reactor, run, settings};
use crate::witx::{Interface, Role, interface};

const MEMORY_BYTES: u64 = 1 << 16;

/// Where there is something to point at: a path of one byte, a subscription whose time has come, zeros.
const GOOD_AT: u64 = 64;

/// At the end of memory, of signed and of unsigned numbers.
const EDGES: [u64; 6] = [
    0,
    MEMORY_BYTES - 1,
    MEMORY_BYTES,
    MEMORY_BYTES + 1,
    1 << 31,
    u32::MAX as u64,
];

/// Two streams and, where there is one, a directory.
const DESCRIPTORS: [u64; 3] = [0, 1, 3];

/// The largest errno of the standard (`notcapable`).
const ERRNO_MAX: i32 = 76;

/// Calls that do not come back to say how it went, or have nothing to point with.
const WITHOUT_POINTERS: [&str; 13] = [
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_renumber",
    "fd_sync",
    "proc_exit",
    "proc_raise",
    "sched_yield",
];

impl Role {
    /// What it is when it is not the one that is tried.
    fn good(self) -> u64 {
        match self {
            Role::Result(_) | Role::List(_) | Role::Pointer => GOOD_AT,
            Role::Count | Role::Length => 1,
            Role::Number | Role::Long | Role::Descriptor => 0,
        }
    }

    fn tried(self, good: u64) -> Vec<u64> {
        match self {
            Role::Number | Role::Long | Role::Descriptor => vec![good],
            _ => [good].into_iter().chain(EDGES).collect(),
        }
    }
}

impl Interface {
    fn has_pointers(&self) -> bool {
        let is_pointer = |role| matches!(role, Role::Result(_) | Role::List(_) | Role::Pointer);
        self.params.iter().any(|role| is_pointer(*role))
    }

    /// A guest that makes the call with the numbers on its stdin, 8 bytes each.
    fn guest(&self) -> String {
        let (mut params, mut values) = (String::new(), String::new());
        for (index, role) in self.params.iter().enumerate() {
            let ty = if *role == Role::Long { "i64" } else { "i32" };
            write!(params, " {ty}").expect("a string");
            write!(values, "({ty}.load (i32.const {}))", 1024 + 8 * index).expect("a string");
        }
        format!(
            r#"(module
              (import "wasi_snapshot_preview1" "{}" (func $call (param{params}) (result i32)))
              (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
              (memory (export "memory") 1)
              (data (i32.const {GOOD_AT}) "a")
              (data (i32.const 512) "\00\04\00\00\00\04\00\00")
              (func (export "_start")
                (if (call $read (i32.const 0) (i32.const 512) (i32.const 1) (i32.const 520))
                  (then unreachable))
                (call $exit (call $call {values}))))"#,
            self.name
        )
    }

    /// All values of every two parameters, the others good, with each descriptor; none twice.
    fn cases(&self) -> Vec<Vec<u64>> {
        let mut cases = Vec::new();
        for descriptor in DESCRIPTORS {
            let good = |role: &Role| match role {
                Role::Descriptor => descriptor,
                role => role.good(),
            };
            let good: Vec<_> = self.params.iter().map(good).collect();
            for one in 0..good.len() {
                for other in 0..=one {
                    for value in self.params[one].tried(good[one]) {
                        for another in self.params[other].tried(good[other]) {
                            let mut case = good.clone();
                            case[other] = another;
                            case[one] = value;
                            cases.push(case);
                        }
                    }
                }
            }
        }
        cases.sort_unstable();
        cases.dedup();
        cases
    }

    /// Whether something of this case lies outside that the call needs if it is to succeed.
    fn must_fail(&self, case: &[u64]) -> bool {
        let outside = |at: u64, bytes: u64| bytes > 0 && at + bytes > MEMORY_BYTES;
        self.params
            .iter()
            .enumerate()
            .any(|(index, role)| match *role {
                Role::Result(bytes) => outside(case[index], bytes),
                Role::List(element) => outside(case[index], case[index + 1] * element),
                _ => false,
            })
    }
}

/// A runtime in which function 0 is good and the others make one call each.
fn runtime(calls: &[Interface], config: &FunctionConfig) -> Runtime {
    const GOOD: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
    let guests = calls.iter().map(Interface::guest);
    let guests = std::iter::once(GOOD.to_owned()).chain(guests);
    let functions: Vec<_> = guests
        .map(|guest| (artifact(&guest), config.clone()))
        .collect();
    Runtime::new(&settings(), &functions, reactor()).expect("a runtime")
}

fn call(case: &[u64]) -> Call {
    Call {
        stdin: case.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ..Call::default()
    }
}

#[test]
fn no_call_with_a_pointer_is_forgotten() {
    let calls = interface();
    assert_eq!(calls.len(), 46);
    let without = calls.iter().filter(|call| !call.has_pointers());
    let mut without: Vec<_> = without.map(|call| &*call.name).collect();
    without.sort_unstable();
    let mut expected = WITHOUT_POINTERS.to_vec();
    expected.push("sock_shutdown");
    assert_eq!(without, expected);
}

#[test]
fn whoever_points_outside_hurts_nobody_else() {
    check(&FunctionConfig::default());
}

#[test]
fn nor_does_who_has_a_directory() {
    let host =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pointers-{}", std::process::id()));
    std::fs::create_dir_all(&host).expect("a folder can be made");
    let directory = Directory {
        host: host.clone(),
        guest: "/".into(),
        writable: true,
    };
    check(&FunctionConfig {
        directories: vec![directory],
        ..FunctionConfig::default()
    });
    std::fs::remove_dir_all(&host).expect("it can be removed");
}

fn check(config: &FunctionConfig) {
    let mut calls = interface();
    calls.retain(Interface::has_pointers);
    let mut runtime = runtime(&calls, config);
    let (mut outside, mut failed) = (0, 0);
    for (function, interface) in (1..).zip(&calls) {
        for case in interface.cases() {
            let must_fail = interface.must_fail(&case);
            let exit = run(&mut runtime, function, call(&case)).exit;
            let told = format!("{} {case:x?}: {exit:?}", interface.name);
            let has_failed = exit != Exit::Success;
            assert!(has_failed || !must_fail, "{told}");
            assert!(is_the_guests_own(&exit, &case), "{told}");
            outside += u32::from(must_fail);
            failed += u32::from(has_failed);
        }
        assert_eq!(run(&mut runtime, 0, Call::default()).exit, Exit::Success);
    }
    assert!(outside > 1000 && failed > outside, "{outside} {failed}");
}

/// Whether a call of this case may end like this: with success, an errno, or for one that points outside a trap.
fn is_the_guests_own(exit: &Exit, case: &[u64]) -> bool {
    match exit {
        Exit::Success => true,
        Exit::Code(errno) => (1..=ERRNO_MAX).contains(errno),
        // Its own `unreachable` would be our mistake.
        Exit::Trapped(report) => {
            let points_outside = case.iter().any(|value| *value >= MEMORY_BYTES - 1);
            points_outside && !report.summary.contains("unreachable")
        }
        _ => false,
    }
}
