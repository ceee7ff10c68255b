//! Compiled code that is kept from one start to the next.

use std::fs;
use std::path::PathBuf;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use sandbox::{Cache, Call, Compiler, Exit, FunctionConfig, LoadError, Origin, Runtime};

use crate::support::{reactor, run, settings, talking};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Relaxed);
        let name = format!("luge-artifacts-{}-{count}", std::process::id());
        Folder(std::env::temp_dir().join(name))
    }

    /// As a process would make it that has just started.
    fn compiler(&self) -> Compiler {
        let cache = Cache::open(&self.0).expect("a cache");
        Compiler::new(&settings(), Some(cache)).expect("a compiler")
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).expect("a folder");
        entries.map(|entry| entry.expect("a file").path()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the folder was made");
    }
}

/// A module that says its number.
fn module(number: u32) -> String {
    talking(&format!(
        r#"(data (i32.const 100) "{number:03}") (func (export "_start") (call $write (i32.const 100) (i32.const 3)))"#
    ))
}

#[test]
fn the_second_start_compiles_nothing_and_runs_the_same() {
    const MODULES: u32 = 100;
    let folder = Folder::new();
    let modules: Vec<_> = (0..MODULES).map(module).collect();
    for origin in [Origin::Compiled, Origin::Cached] {
        let compiler = folder.compiler();
        let functions: Vec<_> = modules
            .iter()
            .map(|wat| compiler.compile(wat.as_bytes()).expect("compiles"))
            .map(|artifact| (artifact, FunctionConfig::default()))
            .collect();
        let all = functions.iter().all(|(it, _)| it.origin() == origin);
        assert!(all, "not all are {origin:?}");
        let mut runtime = Runtime::new(&settings(), &functions, reactor()).expect("a runtime");
        for function in 0..MODULES {
            let outcome = run(&mut runtime, function as u16, Call::default());
            assert_eq!(outcome.exit, Exit::Success);
            assert_eq!(outcome.call.stdout, format!("{function:03}").as_bytes());
        }
    }
    assert_eq!(folder.files().len(), MODULES as usize);
}

/// What leads offsets back to the module as it was is kept with the code.
#[test]
fn a_trap_is_told_alike_from_the_cache() {
    let folder = Folder::new();
    let wat = r#"(module (memory 1)
        (func (export "_start")
          (memory.fill (i32.const 0) (i32.const 1) (memory.size))
          (memory.fill (i32.const 1) (i32.const 1) (i32.const 65536))))"#;
    let reports = [Origin::Compiled, Origin::Cached].map(|origin| {
        let artifact = folder.compiler().compile(wat.as_bytes()).expect("compiles");
        assert_eq!(artifact.origin(), origin);
        let functions = [(artifact, FunctionConfig::default())];
        let mut runtime = Runtime::new(&settings(), &functions, reactor()).expect("a runtime");
        match run(&mut runtime, 0, Call::default()).exit {
            Exit::Trapped(report) => report,
            exit => panic!("{exit:?}"),
        }
    });
    assert_eq!(reports[0], reports[1]);
    assert_eq!(reports[0].backtrace.len(), 1, "{:?}", reports[0]);
    // Where a module as small as this is.
    let (_, offset) = reports[0].backtrace[0]
        .split_once(" at 0x")
        .expect("an offset");
    let offset = usize::from_str_radix(offset, 16).expect("a number");
    let wasm = wat::parse_str(wat).expect("it is well formed");
    assert_eq!(wasm.get(offset..offset + 3), Some(&[0xfc, 0x0b, 0x00][..]));
}

#[test]
fn damaged_code_is_compiled_again() {
    let folder = Folder::new();
    let module = module(1);
    let compile = || {
        let artifact = folder.compiler().compile(module.as_bytes());
        artifact.expect("compiles").origin()
    };
    assert_eq!(compile(), Origin::Compiled);
    let files = folder.files();
    let mut bytes = fs::read(&files[0]).expect("was written");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&files[0], &bytes).expect("is ours");
    assert_eq!(compile(), Origin::Compiled);
    assert_eq!(compile(), Origin::Cached);
    assert_eq!(folder.files(), files);
}

#[test]
fn what_cannot_be_a_function_is_refused_and_not_kept() {
    let folder = Folder::new();
    for _ in 0..2 {
        let refused = folder.compiler().compile(b"(module)");
        assert!(matches!(refused, Err(LoadError::NoStart)));
    }
    assert_eq!(folder.files().len(), 0);
}

#[test]
fn starts_at_the_same_time_do_not_clash() {
    const STARTS: usize = 8;
    let folder = Folder::new();
    let modules: Vec<_> = (0..10).map(module).collect();
    let together = Barrier::new(STARTS);
    std::thread::scope(|scope| {
        for _ in 0..STARTS {
            scope.spawn(|| {
                let compiler = folder.compiler();
                together.wait();
                for module in &modules {
                    compiler.compile(module.as_bytes()).expect("compiles");
                }
            });
        }
    });
    assert_eq!(folder.files().len(), modules.len());
    let compiler = folder.compiler();
    for module in &modules {
        let artifact = compiler.compile(module.as_bytes()).expect("compiles");
        assert_eq!(artifact.origin(), Origin::Cached);
    }
}

/// What is running does not see what becomes of the file that its code came from.
#[test]
fn running_code_does_not_depend_on_its_file() {
    let folder = Folder::new();
    let module = module(7);
    folder.compiler().compile(module.as_bytes()).expect("kept");
    let artifact = folder.compiler().compile(module.as_bytes());
    let artifact = artifact.expect("is there");
    assert_eq!(artifact.origin(), Origin::Cached);
    for file in folder.files() {
        fs::write(file, b"").expect("is ours");
    }
    let functions = [(artifact, FunctionConfig::default())];
    let mut runtime = Runtime::new(&settings(), &functions, reactor()).expect("a runtime");
    let outcome = run(&mut runtime, 0, Call::default());
    assert_eq!(outcome.call.stdout, b"007");
}
