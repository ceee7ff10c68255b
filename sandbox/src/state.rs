//! What belongs to one sandbox beside the guest itself: the data of its wasmtime store.
//!
//! Made for one call and dropped with it. Where a sandbox is dropped before it has finished, the
//! call's buffers go home to the slot that it ran in.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::{Engine, ModuleExport, ResourceLimiter};

use crate::bulk::Offsets;
use crate::call::{Call, End};
use crate::directories::Directories;
use crate::limits::{TABLE_ELEMENTS_MAX, TABLE_ELEMENTS_POOLED};
use crate::preempt::signal::Guest;
use crate::preempt::{Shared, monotonic_ns, ticks};
use crate::runtime::Stderr;
use crate::settings::Preemption;
use crate::sleepers::Sleepers;
use crate::wasi::{Files, Stdio};

/// The data of a store.
pub(crate) struct State {
    pub(crate) call: Call,
    pub(crate) profile: Arc<Profile>,
    pub(crate) slot: Arc<Slot>,
    /// Bytes of stdin that have been read.
    pub(crate) stdin_at: usize,
    pub(crate) stdio: Stdio,
    /// What it has beyond the streams, made when its guest first needs it.
    pub(crate) files: Option<Box<Files>>,
    /// It has raised a signal that does nothing: said once.
    pub(crate) raised: bool,
    finished: bool,
}

/// What is the same for all sandboxes of a function on one worker.
#[derive(Default)]
pub(crate) struct Profile {
    /// The function's name, for the log.
    pub(crate) name: String,
    /// What goes before a call's arguments, each ended by a NUL byte.
    pub(crate) program: Vec<u8>,
    /// What goes before a call's environment, each ended by a NUL byte.
    pub(crate) environment: Vec<u8>,
    pub(crate) memory: Option<ModuleExport>,
    pub(crate) memory_max_bytes: usize,
    pub(crate) output_max_bytes: usize,
    pub(crate) log_max_bytes: usize,
    pub(crate) stderr: Stderr,
    pub(crate) offsets: Arc<Offsets>,
    /// What it has beyond the streams.
    pub(crate) directories: Option<Directories>,
    /// Who wakes those that wait for a time.
    pub(crate) sleepers: Arc<Sleepers>,
}

/// What is the same for all sandboxes that run in one slot of a worker, one after another.
pub(crate) struct Slot {
    pub(crate) worker: Arc<Shared>,
    /// The running guest as the signal handler sees it.
    pub(crate) guest: Guest,
    /// Where the buffers of a sandbox go that was dropped before it had finished.
    home: Mutex<Option<Call>>,
    /// CPU time of the sandbox's earlier slices.
    cpu_ns: AtomicU64,
    resumed_at_ns: AtomicU64,
    /// The running slice, or the last, in ticks: its beginning, and how many of them were in calls of the host.
    began_at: AtomicU64,
    hosted: AtomicU64,
    /// When the call of the host began that the guest is in; 0: in none.
    called_at: AtomicU64,
}

impl State {
    pub(crate) fn new(call: Call, profile: Arc<Profile>, slot: Arc<Slot>) -> State {
        let stdio = Stdio::default();
        State {
            call,
            profile,
            slot,
            stdin_at: 0,
            stdio,
            files: None,
            raised: false,
            finished: false,
        }
    }

    /// For a store that no guest runs in: types of a linker's items can be had only within one.
    pub(crate) fn bare(engine: &Engine) -> State {
        let worker = Arc::new(Shared::new(engine, Preemption::Off, None));
        State::new(Call::default(), Arc::default(), Arc::new(Slot::new(worker)))
    }

    /// The guest is done: takes the buffers.
    pub(crate) fn finish(&mut self) -> Call {
        self.finished = true;
        mem::take(&mut self.call)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if !self.finished {
            self.slot.leave_home(mem::take(&mut self.call));
        }
    }
}

impl Slot {
    pub(crate) fn new(worker: Arc<Shared>) -> Slot {
        Slot {
            worker,
            guest: Guest::default(),
            home: Mutex::new(None),
            cpu_ns: AtomicU64::new(0),
            resumed_at_ns: AtomicU64::new(0),
            began_at: AtomicU64::new(0),
            hosted: AtomicU64::new(0),
            called_at: AtomicU64::new(0),
        }
    }

    /// Keeps the buffers of a sandbox that ends unfinished.
    pub(crate) fn leave_home(&self, call: Call) {
        let mut home = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        *home = Some(call);
    }

    /// The buffers of the sandbox that has just been dropped unfinished.
    pub(crate) fn take_home(&self) -> Option<Call> {
        self.home
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    // Those below run on the worker's thread only; atomics because a store's data is `Send`.

    pub(crate) fn reset_time(&self) {
        self.cpu_ns.store(0, Relaxed);
        self.called_at.store(0, Relaxed);
    }

    pub(crate) fn resumed(&self) {
        self.resumed_at_ns.store(monotonic_ns(), Relaxed);
        let now = ticks();
        self.began_at.store(now, Relaxed);
        self.hosted.store(0, Relaxed);
        // It may be in the middle of a call of the host, which it waited in.
        if self.called_at.load(Relaxed) != 0 {
            self.called_at.store(now, Relaxed);
        }
    }

    /// A call of the host begins that has work to do.
    pub(crate) fn host_begins(&self) {
        self.called_at.store(ticks(), Relaxed);
    }

    /// It ends.
    pub(crate) fn host_ends(&self) {
        let spent = ticks().saturating_sub(self.called_at.load(Relaxed));
        let hosted = self.hosted.load(Relaxed) + spent;
        self.hosted.store(hosted, Relaxed);
        self.called_at.store(0, Relaxed);
    }

    /// Of a slice of so many nanoseconds that has just ended, those in calls of the host.
    pub(crate) fn host_ns(&self, slice_ns: u64) -> u64 {
        let (hosted, called_at) = (self.hosted.load(Relaxed), self.called_at.load(Relaxed));
        if hosted == 0 && called_at == 0 {
            return 0;
        }
        let now = ticks();
        let slice = now.saturating_sub(self.began_at.load(Relaxed)).max(1);
        let open = match called_at {
            0 => 0,
            called_at => now.saturating_sub(called_at),
        };
        let part = u128::from((hosted + open).min(slice)) * u128::from(slice_ns);
        (part / u128::from(slice)) as u64
    }

    pub(crate) fn suspended(&self) {
        self.cpu_ns.store(self.cpu_time_ns(), Relaxed);
    }

    /// CPU time of the running sandbox: its earlier slices and this one so far.
    pub(crate) fn cpu_time_ns(&self) -> u64 {
        let slice_ns = monotonic_ns().saturating_sub(self.resumed_at_ns.load(Relaxed));
        self.cpu_ns.load(Relaxed) + slice_ns
    }
}

/// To want more than a limit of ours is the end, at once: few guests check, and fewer go on usefully. Beyond
/// what the module itself declared the answer is -1, as the standard has it.
impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = self.profile.memory_max_bytes;
        allow(desired, maximum, limit, || End::MemoryLimit {
            wanted_bytes: desired,
            limit_bytes: limit,
        })
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = TABLE_ELEMENTS_MAX;
        // Where the module declares none, or a larger one, this is the pool's.
        let declared = maximum.filter(|maximum| *maximum < TABLE_ELEMENTS_POOLED);
        allow(desired, declared, limit, || End::TableLimit {
            wanted: desired,
            limit,
        })
    }
}

fn allow(
    desired: usize,
    declared: Option<usize>,
    limit: usize,
    end: impl FnOnce() -> End,
) -> wasmtime::Result<bool> {
    if declared.is_some_and(|maximum| desired > maximum) {
        return Ok(false);
    }
    match desired <= limit {
        true => Ok(true),
        false => Err(wasmtime::Error::new(end())),
    }
}
