//! One worker's engine, functions and sandboxes: starts, resumes and discards them.
//!
//! A slot is one boxed future that never ends and leads one life after another, so that a request
//! allocates nothing of ours. A life holds the sandbox's store, its instance and the call of `_start`;
//! a fiber inside it keeps the guest's stack while it is suspended. The runtime polls a sandbox only
//! when told to, and says why it came back; it chooses nothing.
//!
//! ```text
//!           start              resume
//!   free ─────────► ready ─────────────► (runs) ──► Finished ──► free
//!     ▲               ▲                     │
//!     │ discard       └── Preempted, Yielded, Blocked
//!     └───────────────┘
//! ```

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;
use wasmtime::{Engine, InstancePre, Module, ModuleExport, Store, StoreContextMut, UpdateDeadline};

use crate::artifact::Artifact;
use crate::call::{Call, Exit, Outcome};
use crate::directories::{Directories, Directory};
use crate::limits::{HOST_CALL_BYTES_MAX, LOG_MAX_BYTES, OUTPUT_MAX_BYTES};
use crate::preempt::signal::{Code, Interruptible, Suspender};
use crate::preempt::{Shared, Suspension, Timer, TimerError, Watcher};
use crate::self_test;
use crate::settings::{EngineError, Preemption, Settings};
use crate::shed::{self, Shedding};
use crate::sleepers::{Nap, Sleepers};
use crate::state::{Profile, Slot, State};
use crate::wasi::{self, Reach, ReturnOnce};

/// One function of a server: what its sandboxes get beside the module.
#[derive(Clone, PartialEq, Eq)]
pub struct FunctionConfig {
    /// `argv[0]`. A NUL byte would end it early in the guest's eyes.
    pub name: String,
    /// Whether it is.
    pub program: Program,
    /// The function's own environment as (name, value), the same for every request. The caller sees to
    /// it that no name holds `=` and neither holds a NUL byte.
    pub environment: Vec<(String, String)>,
    /// Where file descriptor 2 goes.
    pub stderr: Stderr,
    /// Linear memory in bytes, if less than [`Settings::memory_max_bytes`].
    pub memory_max_bytes: Option<u64>,
    /// Bytes of output into the response's body; beyond it the sandbox ends.
    pub output_max_bytes: u64,
    /// Bytes of file descriptor 2 that are kept under [`Stderr::Log`].
    pub log_max_bytes: usize,
    /// Directories of the host that it sees, in the order of their descriptors.
    pub directories: Vec<Directory>,
    /// The guest's name of a directory of each sandbox's own, empty at first and removed with it.
    pub scratch: Option<String>,
}

/// What a guest's `argv[0]` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Program {
    /// [`FunctionConfig::name`].
    #[default]
    Name,
    /// The first of [`Call::arguments`].
    Given,
}

/// Where a guest's file descriptor 2 goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stderr {
    /// Into the response's body, between what goes to stdout.
    Body,
    /// Into [`Call::stderr`], up to [`FunctionConfig::log_max_bytes`]; what follows is dropped.
    #[default]
    Log,
    /// Nowhere.
    Drop,
}

/// What became of a slice.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// The guest has ended and its slot is free. See [`Runtime::reset`].
    Finished(Outcome),
    /// Its slice was over. It can go on at once.
    Preempted,
    /// It gave its slice back (`sched_yield`). It can go on at once.
    Yielded,
    /// It waits, and can go on when its waker was called; that may already have happened.
    Blocked,
}

/// Why a worker's runtime could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No engine, or no address space for the pool.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A function cannot be loaded: compiled with other settings, or too large for the pool.
    #[error("{function}: {cause}")]
    Load {
        /// The function's name.
        function: String,
        /// What wasmtime says.
        cause: String,
    },
    /// A function's directory cannot be opened, or no private one made.
    #[error("{function}: {cause}")]
    Directory {
        /// The function's name.
        function: String,
        /// Which, and why.
        cause: String,
    },
    /// Guests cannot be suspended by a signal here.
    #[error("no preemption by signal: {0}")]
    Preemption(String),
    /// A function has less memory than its module starts with.
    #[error("{function}: starts with {bytes} bytes of memory, more than its limit of {bytes_max}")]
    Memory {
        /// The function's name.
        function: String,
        /// The module's minimum.
        bytes: u64,
        /// The function's limit.
        bytes_max: u64,
    },
}

/// One worker's engine, functions and sandboxes. Stays on the thread that made it.
pub struct Runtime {
    // Before the engine: sandboxes give their instances back to its pool.
    sandboxes: Vec<Sandbox>,
    functions: Vec<Rc<Function>>,
    shared: Arc<Shared>,
    sleepers: Arc<Sleepers>,
    reactor: Handle,
    resets: u64,
}

/// What a slot holds.
struct Sandbox {
    lives: Pin<Box<dyn Future<Output = Infallible>>>,
    desk: Rc<Desk>,
    taken: bool,
    /// Its last life is over, but what it used has not been given back.
    is_used: bool,
    /// It had an instance, of which the reset has not been counted.
    had_instance: bool,
    waker: Waker,
    slot: Arc<Slot>,
    needs_reactor: bool,
}

/// Where a slot's future finds its next life, and leaves how it ended.
#[derive(Default)]
struct Desk {
    next: Cell<Option<(Rc<Function>, State)>>,
    ended: Cell<Option<Outcome>>,
}

/// A function in this worker's engine.
struct Function {
    instance: InstancePre<State>,
    start: ModuleExport,
    profile: Arc<Profile>,
    preemption: Preempted,
    needs_reactor: bool,
    /// Its guests run before their instance is complete.
    has_start: bool,
    shedding: Shedding,
}

/// What a store needs so that its guest can be stopped.
#[derive(Clone)]
enum Preempted {
    BySignal(Rc<Suspender>),
    AtEpochs,
    Never,
}

impl fmt::Debug for FunctionConfig {
    /// Without the values of the environment, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.environment.iter().map(|(name, _)| name).collect();
        f.debug_struct("FunctionConfig")
            .field("name", &self.name)
            .field("environment", &names)
            .finish_non_exhaustive()
    }
}

impl FunctionConfig {
    /// Whether its guests can see any directory, so that they may wait for files.
    pub fn has_directories(&self) -> bool {
        !self.directories.is_empty() || self.scratch.is_some()
    }
}

impl Default for FunctionConfig {
    fn default() -> FunctionConfig {
        FunctionConfig {
            name: String::new(),
            program: Program::default(),
            environment: Vec::new(),
            stderr: Stderr::default(),
            memory_max_bytes: None,
            output_max_bytes: OUTPUT_MAX_BYTES,
            log_max_bytes: LOG_MAX_BYTES,
            directories: Vec::new(),
            scratch: None,
        }
    }
}

impl Runtime {
    /// Makes the calling thread's engine with its pool, and loads every function into it.
    ///
    /// `reactor` is a tokio runtime driven by another thread: guests wait for files there, on its blocking
    /// threads, and the thread that wakes those who sleep is started there.
    ///
    /// # Errors
    ///
    /// The pool does not fit, guests cannot be preempted as the settings say (see [`Settings::fit`]
    /// for both), or a function does not fit the pool.
    pub fn new(
        settings: &Settings,
        functions: &[(Artifact, FunctionConfig)],
        reactor: Handle,
    ) -> Result<Runtime, RuntimeError> {
        if settings.preemption == Preemption::Signal {
            self_test::preemption_by_signal().map_err(RuntimeError::Preemption)?;
        }
        Runtime::untested(settings, functions, reactor)
    }

    /// As [`Runtime::new`], but preemption is not tried first.
    pub(crate) fn untested(
        settings: &Settings,
        functions: &[(Artifact, FunctionConfig)],
        reactor: Handle,
    ) -> Result<Runtime, RuntimeError> {
        let engine = settings.engine()?;
        let preemption = Preempted::new(settings.preemption, &engine)?;
        let sleepers = Arc::new(Sleepers::new(reactor.clone()));
        let functions = load(settings, &engine, functions, &preemption, &sleepers)?;
        let code = preemption.code(&functions);
        let shared = Arc::new(Shared::new(&engine, settings.preemption, code));
        let sandboxes = (0..settings.sandboxes_max)
            .map(|_| Sandbox::free(&shared))
            .collect();
        Ok(Runtime {
            sandboxes,
            functions,
            shared,
            sleepers,
            reactor,
            resets: 0,
        })
    }

    /// How guests are preempted.
    pub fn preemption(&self) -> Preemption {
        self.shared.preemption()
    }

    /// Memory that sandboxes which have ended left resident for those to come, in bytes. It counts
    /// in the process's resident set, as does what living sandboxes use.
    pub fn idle_resident_bytes(&self) -> usize {
        let function = self.functions.first();
        function.map_or(0, |it| {
            shed::idle_resident_bytes(it.instance.module().engine())
        })
    }

    /// Calls `waker` at `at_ns` on CLOCK_MONOTONIC, not earlier, from another thread, unless the [`Nap`] is
    /// dropped before.
    pub fn wake_at(&self, at_ns: u64, waker: Waker) -> Nap {
        self.sleepers.wake_at(at_ns, waker)
    }

    /// Makes this worker's timer, once.
    ///
    /// # Errors
    ///
    /// The timer exists already, or the kernel gives none.
    pub fn timer(&self) -> Result<Timer, TimerError> {
        Timer::new(&self.shared, None)
    }

    /// The same without a timer of the kernel: it expires when `watcher` lets it
    /// ([`crate::Alarm::expire_if_due`]).
    ///
    /// # Errors
    ///
    /// As of [`Runtime::timer`].
    pub fn watched_timer(&self, watcher: Arc<dyn Watcher>) -> Result<Timer, TimerError> {
        Timer::new(&self.shared, Some(watcher))
    }

    /// Puts a fresh sandbox into a free slot. Nothing of the guest runs yet, and nothing can
    /// fail yet: what goes wrong is the first [`resume`](Runtime::resume)'s outcome.
    ///
    /// `waker` is called, from any thread, when the sandbox was [`Step::Blocked`] and can go on.
    ///
    /// # Panics
    ///
    /// If the slot is taken, or slot or function do not exist.
    pub fn start(&mut self, slot: u32, function: u16, call: Call, waker: Waker) {
        let function = &self.functions[usize::from(function)];
        let sandbox = &mut self.sandboxes[slot as usize];
        assert!(!sandbox.taken, "slot {slot} is taken");
        self.resets += u64::from(sandbox.reset(&self.reactor));
        sandbox.slot.reset_time();
        let state = State::new(call, function.profile.clone(), sandbox.slot.clone());
        sandbox.needs_reactor = function.needs_reactor;
        sandbox.waker = waker;
        sandbox.desk.next.set(Some((function.clone(), state)));
        sandbox.taken = true;
    }

    /// Runs the guest in `slot` until it ends, is preempted, yields or waits.
    ///
    /// # Panics
    ///
    /// If there is no sandbox in the slot.
    pub fn resume(&mut self, slot: u32) -> Step {
        let sandbox = &mut self.sandboxes[slot as usize];
        assert!(sandbox.taken, "slot {slot} is free");
        let _entered = sandbox.needs_reactor.then(|| self.reactor.enter());
        sandbox.slot.resumed();
        let mut context = Context::from_waker(&sandbox.waker);
        let poll = || sandbox.lives.as_mut().poll(&mut context).is_pending();
        assert!(self.shared.polling(&sandbox.slot.guest, poll));
        match sandbox.desk.ended.take() {
            Some(outcome) => {
                sandbox.is_used = true;
                sandbox.had_instance = !matches!(outcome.exit, Exit::StartFailed(_));
                sandbox.leave();
                Step::Finished(outcome)
            }
            None => {
                sandbox.slot.suspended();
                match self.shared.take_suspension() {
                    Some(Suspension::Preempted) => Step::Preempted,
                    Some(Suspension::Yielded) => Step::Yielded,
                    None => Step::Blocked,
                }
            }
        }
    }

    /// Of the slot's last slice, which took `slice_ns` and has just ended, the time in calls of the host that do more
    /// than tell a number.
    ///
    /// # Panics
    ///
    /// If there is no such slot.
    #[must_use]
    pub fn host_ns(&self, slot: u32, slice_ns: u64) -> u64 {
        self.sandboxes[slot as usize].slot.host_ns(slice_ns)
    }

    /// Gives back what the slot's last sandbox used, if it has finished: its memory is as new then. It is
    /// for after the answer; without it, [`start`](Runtime::start) does it. Does nothing otherwise.
    ///
    /// # Panics
    ///
    /// If there is no such slot.
    pub fn reset(&mut self, slot: u32) {
        self.resets += u64::from(self.sandboxes[slot as usize].reset(&self.reactor));
    }

    /// Instances whose memory was made as new since the start, for those to come. A sandbox that could not be started
    /// had none.
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// Ends a sandbox that is not running, wherever it was suspended: its client went away, or
    /// the server drains. Gives back the call with what the guest had written so far.
    ///
    /// # Panics
    ///
    /// If there is no sandbox in the slot.
    pub fn discard(&mut self, slot: u32) -> Call {
        let sandbox = &mut self.sandboxes[slot as usize];
        assert!(sandbox.taken, "slot {slot} is free");
        let _entered = sandbox.needs_reactor.then(|| self.reactor.enter());
        sandbox.release();
        self.resets += u64::from(sandbox.reset(&self.reactor));
        sandbox
            .slot
            .take_home()
            .expect("a sandbox dropped unfinished leaves its call")
    }
}

impl Sandbox {
    fn free(shared: &Arc<Shared>) -> Sandbox {
        let desk = Rc::new(Desk::default());
        Sandbox {
            lives: Box::pin(lives(desk.clone())),
            desk,
            taken: false,
            is_used: false,
            had_instance: false,
            waker: Waker::noop().clone(),
            slot: Arc::new(Slot::new(shared.clone())),
            needs_reactor: false,
        }
    }

    /// Whether there was an instance to reset.
    fn reset(&mut self, reactor: &Handle) -> bool {
        if std::mem::take(&mut self.is_used) {
            let _entered = self.needs_reactor.then(|| reactor.enter());
            let mut context = Context::from_waker(Waker::noop());
            assert!(self.lives.as_mut().poll(&mut context).is_pending());
        }
        std::mem::take(&mut self.had_instance)
    }

    /// Ends what runs, if anything does.
    fn release(&mut self) {
        if !self.taken {
            return;
        }
        if self.slot.guest.is_interrupted() {
            self.slot.guest.kill();
            let mut context = Context::from_waker(Waker::noop());
            assert!(self.lives.as_mut().poll(&mut context).is_pending());
            let outcome = self.desk.ended.take();
            let outcome = outcome.expect("a killed guest traps at once");
            self.slot.leave_home(outcome.call);
            self.is_used = true;
            self.had_instance = true;
        } else {
            // Unless it has not begun, it is dropped with the future that leads it.
            self.had_instance = self.desk.next.take().is_none();
            self.lives = Box::pin(lives(self.desk.clone()));
        }
        self.leave();
    }

    fn leave(&mut self) {
        self.taken = false;
        self.waker = Waker::noop().clone();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.release();
    }
}

impl Preempted {
    fn new(preemption: Preemption, engine: &Engine) -> Result<Preempted, RuntimeError> {
        Ok(match preemption {
            Preemption::Signal => {
                let suspender = Suspender::new(engine).map_err(|cause| RuntimeError::Load {
                    function: "preemption".to_owned(),
                    cause: format!("{cause:#}"),
                })?;
                Preempted::BySignal(Rc::new(suspender))
            }
            Preemption::Epoch => Preempted::AtEpochs,
            Preemption::Off => Preempted::Never,
        })
    }

    fn code(&self, functions: &[Rc<Function>]) -> Option<Code> {
        let Preempted::BySignal(suspender) = self else {
            return None;
        };
        let modules = functions
            .iter()
            .map(|function| function.instance.module().clone());
        Some(Code::new(suspender, modules.collect()))
    }
}

fn load(
    settings: &Settings,
    engine: &Engine,
    functions: &[(Artifact, FunctionConfig)],
    preemption: &Preempted,
    sleepers: &Arc<Sleepers>,
) -> Result<Vec<Rc<Function>>, RuntimeError> {
    let linker = |reach| {
        wasi::linker(engine, reach).map_err(|cause| RuntimeError::Load {
            function: "host calls".to_owned(),
            cause: format!("{cause:#}"),
        })
    };
    let (streams, directories) = (linker(Reach::Streams)?, linker(Reach::Directories)?);
    // Functions of one artifact share the module, and with it the pool's warm memories.
    let mut modules: Vec<(&Artifact, Module)> = Vec::new();
    let mut loaded = Vec::with_capacity(functions.len());
    for (artifact, config) in functions {
        let failed = |cause: wasmtime::Error| RuntimeError::Load {
            function: config.name.clone(),
            cause: format!("{cause:#}"),
        };
        let known = modules.iter().find(|(known, _)| known.same(artifact));
        let module = match known {
            Some((_, module)) => module.clone(),
            None => artifact.load(engine).map_err(failed)?,
        };
        let profile = profile(settings, &module, artifact, config, sleepers)?;
        let linker = match profile.directories {
            Some(_) => &directories,
            None => &streams,
        };
        loaded.push(Rc::new(Function {
            instance: linker.instantiate_pre(&module).map_err(failed)?,
            start: module
                .get_export_index("_start")
                .expect("an artifact exports _start"),
            needs_reactor: profile.directories.is_some(),
            profile: Arc::new(profile),
            preemption: preemption.clone(),
            has_start: artifact.has_start(),
            shedding: Shedding::default(),
        }));
        modules.push((artifact, module));
    }
    Ok(loaded)
}

fn profile(
    settings: &Settings,
    module: &Module,
    artifact: &Artifact,
    config: &FunctionConfig,
    sleepers: &Arc<Sleepers>,
) -> Result<Profile, RuntimeError> {
    let function = || config.name.clone();
    let bytes = artifact.memory_min_bytes();
    let bytes_max = config.memory_max_bytes.unwrap_or(u64::MAX);
    let bytes_max = bytes_max.min(settings.memory_max_bytes);
    if bytes > bytes_max {
        return Err(RuntimeError::Memory {
            function: function(),
            bytes,
            bytes_max,
        });
    }
    let directories = Directories::open(config).map_err(|cause| RuntimeError::Directory {
        function: function(),
        cause,
    })?;
    Ok(Profile {
        name: config.name.clone(),
        program: program(config),
        environment: environment(config),
        memory: module.get_export_index("memory"),
        memory_max_bytes: usize::try_from(bytes_max).unwrap_or(usize::MAX),
        output_max_bytes: usize::try_from(config.output_max_bytes).unwrap_or(usize::MAX),
        log_max_bytes: config.log_max_bytes,
        stderr: config.stderr,
        offsets: artifact.offsets().clone(),
        directories,
        sleepers: sleepers.clone(),
    })
}

/// The argument that goes before a call's, as guests see it.
fn program(config: &FunctionConfig) -> Vec<u8> {
    match config.program {
        Program::Name => [config.name.as_bytes(), b"\0"].concat(),
        Program::Given => Vec::new(),
    }
}

/// The variables that go before a call's, as guests see them.
fn environment(config: &FunctionConfig) -> Vec<u8> {
    let variables = config.environment.iter();
    let variables = variables.flat_map(|(name, value)| [name, "=", value, "\0"]);
    variables.collect::<String>().into_bytes()
}

/// One life after another, as the desk has them. Between two it is pending.
async fn lives(desk: Rc<Desk>) -> Infallible {
    loop {
        let next = poll_fn(|_| desk.next.take().map_or(Poll::Pending, Poll::Ready));
        let (function, state) = next.await;
        life(function, state, &desk).await;
    }
}

/// The whole life of a sandbox: the store, the instance, `_start`, and the reset of all that.
async fn life(function: Rc<Function>, state: State, desk: &Desk) {
    let slot = state.slot.clone();
    let mut store = Store::new(function.instance.module().engine(), state);
    store.set_hostcall_fuel(HOST_CALL_BYTES_MAX);
    store.limiter(|state| state);
    let exit = match &function.preemption {
        Preempted::BySignal(suspender) => {
            let interruptible = suspender.prepare(&mut store, &slot, function.instance.module());
            run(&function, &mut store, Some((suspender, &interruptible))).await
        }
        Preempted::AtEpochs => {
            look_at_epochs(&mut store);
            run(&function, &mut store, None).await
        }
        Preempted::Never => run(&function, &mut store, None).await,
    };
    let call = store.data_mut().finish();
    let outcome = Some(Outcome { call, exit });
    if store.data().files.is_some() {
        // Nothing of its files is left when its end is told.
        drop(store);
        return desk.ended.set(outcome);
    }
    // Who waits for the answer has it before the reset.
    desk.ended.set(outcome);
    ReturnOnce::default().await;
}

fn look_at_epochs(store: &mut Store<State>) {
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(on_epoch);
    // The slice was over before this store had a deadline: its epoch has been counted in.
    if store.data().slot.worker.is_requested() {
        store.set_epoch_deadline(0);
    }
}

async fn run(
    function: &Function,
    store: &mut Store<State>,
    interruption: Option<(&Suspender, &Interruptible<'_>)>,
) -> Exit {
    if let Some((suspender, interruptible)) = interruption
        && function.has_start
    {
        match suspender.instantiate(store).await {
            Ok(helper) => interruptible.begin(&helper, store),
            Err(error) => return Exit::StartFailed(format!("{error:#}")),
        }
    }
    let inheritance = function.shedding.before(store.engine());
    let instance = match function.instance.instantiate_async(&mut *store).await {
        Ok(instance) => instance,
        Err(error) if is_guests_doing(&error) => {
            return Exit::from_error(&error, &function.profile.offsets);
        }
        Err(error) => return Exit::StartFailed(format!("{error:#}")),
    };
    let start = instance
        .get_module_export(&mut *store, &function.start)
        .and_then(|export| export.into_func())
        .expect("an artifact exports the function _start");
    if let Some((_, interruptible)) = interruption {
        interruptible.begin(&start, store);
    }
    let start = start
        .typed::<(), ()>(&*store)
        .expect("_start was checked when it was compiled");
    let sheds = inheritance.is_some_and(|before| before.is_too_much(store.engine()));
    let exit = match start.call_async(&mut *store, ()).await {
        Ok(()) => Exit::Success,
        Err(error) => Exit::from_error(&error, &function.profile.offsets),
    };
    if let Some(memory) = function.profile.memory.as_ref().filter(|_| sheds) {
        shed::shed(&instance, memory, store);
    }
    exit
}

/// Whether an instantiation failed in the guest's own code: a start function, a data segment out
/// of bounds.
fn is_guests_doing(error: &wasmtime::Error) -> bool {
    error.is::<wasmtime::WasmBacktrace>() || error.is::<wasmtime::Trap>()
}

/// Compiled code has seen a new epoch: its own slice's end, or one that passed while it was
/// suspended or that stopped another.
fn on_epoch(store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    let worker = &store.data().slot.worker;
    if !worker.take_request() {
        return Ok(UpdateDeadline::Continue(1));
    }
    worker.suspend(Suspension::Preempted);
    // Not `Yield`: that calls the waker, and nobody has to be woken.
    Ok(UpdateDeadline::YieldCustom(
        1,
        Box::pin(ReturnOnce::default()),
    ))
}
