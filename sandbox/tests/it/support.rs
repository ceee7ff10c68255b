//! A worker in miniature: compiles guests, and drives one sandbox or many until they end.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};
use std::thread::{JoinHandle, Thread};

use sandbox::{
    Alarm, Artifact, Call, Compiler, Exit, FunctionConfig, Outcome, Preemption, Runtime, Settings,
    Step, Timer, Trigger, Watcher, compile, monotonic_ns,
};
use tokio::runtime::Handle;

/// A prelude for guests that talk: `$write(at, len)` to stdout, `$exit(code)`, one page.
pub const TALKS: &str = r#"
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func $write_to (param $fd i32) (param $at i32) (param $len i32)
    (i32.store (i32.const 8) (local.get $at))
    (i32.store (i32.const 12) (local.get $len))
    (if (call $fd_write (local.get $fd) (i32.const 8) (i32.const 1) (i32.const 16)) (then unreachable)))
  (func $write (param $at i32) (param $len i32)
    (call $write_to (i32.const 1) (local.get $at) (local.get $len)))
"#;

/// Few slots: a test makes many runtimes.
pub fn settings() -> Settings {
    Settings {
        sandboxes_max: 4,
        ..Settings::default()
    }
}

/// The thread that wakes sleeping guests: one for all tests.
pub fn reactor() -> Handle {
    static REACTOR: OnceLock<Handle> = OnceLock::new();
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let runtime = runtime.expect("a reactor");
        let handle = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        handle
    };
    REACTOR.get_or_init(start).clone()
}

pub fn artifact(wat: &str) -> Artifact {
    match compile(&settings(), wat.as_bytes()) {
        Ok(artifact) => artifact,
        Err(error) => panic!("{error}\n{wat}"),
    }
}

/// A module with the talking prelude.
pub fn talking(body: &str) -> String {
    format!("(module {TALKS} {body})")
}

pub fn runtime(guests: &[&str]) -> Runtime {
    runtime_as(&settings(), guests)
}

/// Both ways of preemption.
pub const PREEMPTIVE: [Preemption; 2] = [Preemption::Signal, Preemption::Epoch];

/// A runtime whose guests are preempted in this way.
pub fn preempting(preemption: Preemption, guests: &[&str]) -> Runtime {
    let settings = Settings {
        preemption,
        ..settings()
    };
    runtime_as(&settings, guests)
}

/// Both ways of knowing that a slice is over.
pub const TRIGGERS: [Trigger; 2] = [Trigger::Timer, Trigger::Watcher];

/// A runtime's timer, and who watches it if somebody has to.
pub fn timer(runtime: &Runtime, trigger: Trigger) -> (Timer, Option<Watching>) {
    match trigger {
        Trigger::Timer => (runtime.timer().expect("a timer"), None),
        Trigger::Watcher => {
            let timer = runtime.watched_timer(Arc::new(Awake)).expect("a timer");
            let watching = Watching::new(timer.alarm());
            (timer, Some(watching))
        }
    }
}

/// Watches a timer until it is dropped.
pub struct Watching {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watching {
    fn new(alarm: Alarm) -> Watching {
        let done = Arc::new(AtomicBool::new(false));
        let is_done = done.clone();
        let watch = move || {
            while !is_done.load(SeqCst) {
                alarm.expire_if_due(monotonic_ns());
                std::thread::yield_now();
            }
        };
        Watching {
            done,
            thread: Some(std::thread::spawn(watch)),
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.done.store(true, SeqCst);
        let thread = self.thread.take().expect("it is dropped once");
        thread.join().expect("it does not panic");
    }
}

/// One who never sleeps need not be told.
#[derive(Debug)]
struct Awake;

impl Watcher for Awake {
    fn armed(&self, _at_ns: u64) {}
}

pub fn runtime_as(settings: &Settings, guests: &[impl AsRef<[u8]>]) -> Runtime {
    let compiler = Compiler::new(settings, None).expect("a compiler");
    let function = |guest: &_| match compiler.compile(AsRef::as_ref(guest)) {
        Ok(artifact) => {
            let config = FunctionConfig {
                name: "guest".into(),
                ..FunctionConfig::default()
            };
            (artifact, config)
        }
        Err(error) => {
            let text: &[u8] = AsRef::as_ref(guest);
            panic!("{error}\n{}", String::from_utf8_lossy(text))
        }
    };
    let functions: Vec<_> = guests.iter().map(function).collect();
    Runtime::new(settings, &functions, reactor()).expect("a runtime")
}

pub fn runtime_with(wat: &str, config: FunctionConfig) -> Runtime {
    Runtime::new(&settings(), &[(artifact(wat), config)], reactor()).expect("a runtime")
}

/// Tells the worker's thread that its sandbox can go on.
pub struct Woken {
    pub woken: AtomicBool,
    thread: Thread,
}

impl Woken {
    pub fn new() -> Arc<Woken> {
        Arc::new(Woken {
            woken: AtomicBool::new(false),
            thread: std::thread::current(),
        })
    }

    /// Sleeps until the waker was called, and forgets it.
    pub fn wait(&self) {
        while !self.woken.swap(false, SeqCst) {
            std::thread::park();
        }
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, SeqCst);
        self.thread.unpark();
    }
}

/// Runs function `function` in slot 0 to its end.
pub fn run(runtime: &mut Runtime, function: u16, call: Call) -> Outcome {
    let woken = Woken::new();
    runtime.start(0, function, call, Waker::from(woken.clone()));
    loop {
        match runtime.resume(0) {
            Step::Finished(outcome) => {
                runtime.reset(0);
                return outcome;
            }
            Step::Preempted | Step::Yielded => {}
            Step::Blocked => woken.wait(),
        }
    }
}

/// Runs a guest once with nothing given, and says how it ended.
pub fn exit(wat: &str) -> Exit {
    run(&mut runtime(&[wat]), 0, Call::default()).exit
}

pub fn query(query: &str) -> Call {
    let mut call = Call::default();
    sandbox::push_arguments(query.as_bytes(), &mut call.arguments);
    call
}
