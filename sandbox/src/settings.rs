//! What a server sets for all its sandboxes, and the wasmtime configuration made from it.
//!
//! One place, because compiled code runs only in an engine of the very same configuration: the
//! engine that compiles and the engine of every worker are made here. Knows no module.

use std::sync::OnceLock;

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

use crate::limits;
use crate::preempt::signal::host_stack_bytes;
use crate::self_test;

/// What holds for every sandbox of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Sandboxes alive at once on one worker; [`crate::Runtime::start`] takes slots below it.
    pub sandboxes_max: u32,
    /// Bytes of linear memory that a sandbox may grow to; a multiple of 64 KiB. A function may
    /// be given less.
    pub memory_max_bytes: u64,
    /// Address space reserved for each memory; see [`limits::MEMORY_RESERVATION_BYTES`].
    pub memory_reservation_bytes: u64,
    /// Native stack that a guest's frames may take, in bytes. Beyond it the guest traps.
    pub wasm_stack_bytes: usize,
    /// How a guest that runs too long is stopped.
    pub preemption: Preemption,
}

/// How a guest that runs too long is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preemption {
    /// Where it is: a signal handler suspends it. Compiled code takes no part, and is the same as with
    /// `Off`. On x86-64 only, and only where the self-test passes: see [`Settings::fit`].
    #[cfg_attr(target_arch = "x86_64", default)]
    Signal,
    /// Compiled code looks at a counter in every loop and every function.
    #[cfg_attr(not(target_arch = "x86_64"), default)]
    Epoch,
    /// Not at all: a guest runs until it ends or waits.
    Off,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            sandboxes_max: limits::SANDBOXES_MAX,
            memory_max_bytes: limits::MEMORY_MAX_BYTES,
            memory_reservation_bytes: limits::MEMORY_RESERVATION_BYTES,
            wasm_stack_bytes: limits::WASM_STACK_BYTES,
            preemption: Preemption::default(),
        }
    }
}

/// No engine could be made with these settings.
#[derive(Debug, thiserror::Error)]
#[error(
    "no pool of {sandboxes_max} sandboxes with {memory_reservation_bytes} bytes of address space each: {cause}"
)]
pub struct EngineError {
    sandboxes_max: u32,
    memory_reservation_bytes: u64,
    cause: String,
}

/// Fewer sandboxes than this on a worker are accepted only after the reservations were reduced.
const SANDBOXES_WORTHWHILE: u32 = 16;

impl Settings {
    /// These settings as they can be had here, with what was changed said in the log: preemption by
    /// epochs where that by signal does not pass its self-test, and pools that fit.
    ///
    /// Call it once, before anything is compiled: code is compiled for one way of preemption and one
    /// reservation. Any further call gives the same.
    ///
    /// # Errors
    ///
    /// Not even one sandbox fits, or the settings contradict each other.
    pub fn fit(&self, workers: usize) -> Result<Settings, EngineError> {
        let mut wished = self.clone();
        if self.preemption == Preemption::Signal
            && let Err(cause) = self_test::preemption_by_signal()
        {
            tracing::warn!(cause, "no preemption by signal here: by epochs instead");
            wished.preemption = Preemption::Epoch;
        }
        wished.fit_pool(workers)
    }

    /// These settings, made smaller until `workers` pools fit this process's address space
    /// (`ulimit -v`, 39-bit machines): first half the sandboxes, and half again; then memories
    /// without the room that makes bounds checks unnecessary.
    fn fit_pool(&self, workers: usize) -> Result<Settings, EngineError> {
        let sparing = self.memory_max_bytes.min(self.memory_reservation_bytes);
        let rounds = [
            (
                self.memory_reservation_bytes,
                SANDBOXES_WORTHWHILE.min(self.sandboxes_max),
            ),
            (sparing, 1),
        ];
        let mut error = None;
        for (memory_reservation_bytes, sandboxes_min) in rounds {
            let mut sandboxes_max = self.sandboxes_max;
            while sandboxes_max >= sandboxes_min.max(1) {
                let tried = Settings {
                    sandboxes_max,
                    memory_reservation_bytes,
                    ..self.clone()
                };
                let pools: Result<Vec<_>, _> = (0..workers).map(|_| tried.engine()).collect();
                match pools {
                    Ok(_) => return Ok(tried.told_apart_from(self)),
                    Err(cause) => error = Some(cause),
                }
                sandboxes_max /= 2;
            }
        }
        Err(error.unwrap_or_else(|| self.error("sandboxes_max is 0".to_owned())))
    }

    fn told_apart_from(self, wished: &Settings) -> Settings {
        if self != *wished {
            tracing::warn!(
                sandboxes_max = self.sandboxes_max,
                sandboxes_wished = wished.sandboxes_max,
                memory_reservation_bytes = self.memory_reservation_bytes,
                "address space is short (ulimit -v?): sandboxes made fewer or slower"
            );
        }
        self
    }

    /// An engine with a pool: one worker's.
    pub(crate) fn engine(&self) -> Result<Engine, EngineError> {
        let mut config = self.config();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(self.pool()));
        Engine::new(&config).map_err(|cause| self.error(format!("{cause:#}")))
    }

    /// An engine that only compiles.
    pub(crate) fn compiler(&self) -> Result<Engine, EngineError> {
        Engine::new(&self.config()).map_err(|cause| self.error(format!("{cause:#}")))
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config
            .epoch_interruption(self.preemption == Preemption::Epoch)
            .memory_reservation(self.memory_reservation_bytes)
            .memory_init_cow(true)
            .max_wasm_stack(self.wasm_stack_bytes)
            .async_stack_size(self.wasm_stack_bytes.saturating_add(host_stack_bytes()))
            // A fresh sandbox may find an earlier one's bytes on its native stack, and cannot
            // look at them: wasm has no address of it, and compiled code reads no stack slot
            // before it wrote it. Zeroing would cost every request a system call.
            .async_stack_zeroing(false)
            // Nothing of the process's environment may change what a trap's report says.
            .wasm_backtrace_details(WasmBacktraceDetails::Disable)
            .concurrency_support(false);
        config
    }

    fn pool(&self) -> PoolingAllocationConfig {
        let scanned = pagemap_scan();
        let keep_resident_bytes = match scanned {
            true => (limits::KEEP_RESIDENT_WORKER_BYTES / self.sandboxes_max.max(1) as usize)
                .clamp(
                    limits::KEEP_RESIDENT_SCANNED_BYTES,
                    limits::KEEP_RESIDENT_SCANNED_BYTES_MAX,
                ),
            false => limits::KEEP_RESIDENT_BYTES,
        };
        let mut pool = PoolingAllocationConfig::new();
        // A sandbox may have a helper's instance beside its own; it is memory on the heap.
        pool.total_core_instances(self.sandboxes_max.saturating_mul(2))
            .total_memories(self.sandboxes_max)
            .total_tables(self.sandboxes_max.saturating_mul(limits::TABLES_MAX))
            .total_stacks(self.sandboxes_max)
            .max_memories_per_module(1)
            .max_tables_per_module(limits::TABLES_MAX)
            .table_elements(limits::TABLE_ELEMENTS_POOLED)
            .max_memory_size(usize::try_from(self.memory_max_bytes).unwrap_or(usize::MAX))
            .linear_memory_keep_resident(keep_resident_bytes)
            .table_keep_resident(keep_resident_bytes)
            .pagemap_scan(if scanned { Enabled::Yes } else { Enabled::No });
        pool
    }

    fn error(&self, cause: String) -> EngineError {
        EngineError {
            sandboxes_max: self.sandboxes_max,
            memory_reservation_bytes: self.memory_reservation_bytes,
            cause,
        }
    }
}

/// Whether the kernel has `PAGEMAP_SCAN` (Linux 6.7) and lets this process use it. Found by
/// asking for a pool of one page that needs it.
pub fn pagemap_scan() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_core_instances(1)
            .total_memories(1)
            .total_tables(1)
            .total_stacks(1)
            .max_memory_size(1 << 16)
            .pagemap_scan(Enabled::Yes);
        let mut config = Config::new();
        config
            .memory_reservation(1 << 16)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        Engine::new(&config).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_fit_stay_as_they_are() {
        let settings = Settings {
            sandboxes_max: 4,
            ..Settings::default()
        };
        assert_eq!(settings.fit(2).expect("fits"), settings);
    }

    #[test]
    fn settings_that_do_not_fit_are_reduced_or_refused() {
        let check = |settings: Settings, expected: Option<(u32, u64)>| {
            let fitted = settings.fit(1).ok();
            let got = fitted.map(|it| (it.sandboxes_max, it.memory_reservation_bytes));
            assert_eq!(got, expected, "{settings:?}");
        };
        // 2^47 bytes of address space hold 31 memories of 4 TiB.
        let huge = Settings {
            sandboxes_max: 64,
            memory_reservation_bytes: 4 << 40,
            ..Settings::default()
        };
        check(huge.clone(), Some((16, 4 << 40)));
        // None of 128 TiB: the bounds checks come back, the number stays.
        let huger = Settings {
            memory_reservation_bytes: 128 << 40,
            ..huge
        };
        check(huger, Some((64, limits::MEMORY_MAX_BYTES)));
        check(
            Settings {
                sandboxes_max: 0,
                ..Settings::default()
            },
            None,
        );
        check(
            Settings {
                wasm_stack_bytes: 0,
                ..Settings::default()
            },
            None,
        );
    }
}
