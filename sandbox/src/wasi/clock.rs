//! The four clocks of preview 1. The two of CPU time give the sandbox's own, summed over its slices.
//!
//! Sleeping on a clock is [`super::poll`]'s; when it is over by which clock is said here.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use wasmtime::{Caller, Linker};

use super::{Errno, PREVIEW_1, Refusal, answer, memory};
use crate::preempt::monotonic_ns;
use crate::state::State;

const REALTIME: i32 = 0;
const MONOTONIC: i32 = 1;
const PROCESS_CPUTIME: i32 = 2;
const THREAD_CPUTIME: i32 = 3;

/// All four clocks count nanoseconds.
const RESOLUTION_NS: u64 = 1;

/// The time by the two clocks that one can sleep on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// CLOCK_MONOTONIC, of the machine.
    pub(super) monotonic_ns: u64,
    /// Since 1970.
    realtime_ns: u64,
}

impl Now {
    pub(super) fn read() -> Now {
        Now {
            monotonic_ns: monotonic_ns(),
            realtime_ns: realtime_ns(),
        }
    }

    /// When, on CLOCK_MONOTONIC, a subscription to `clock` is due. CPU time cannot be slept for: it does
    /// not pass meanwhile.
    pub(super) fn due_ns(
        &self,
        clock: i32,
        timeout_ns: u64,
        is_absolute: bool,
    ) -> Result<u64, Errno> {
        let now_ns = self.monotonic_ns;
        match (clock, is_absolute) {
            (REALTIME | MONOTONIC, false) => Ok(now_ns.saturating_add(timeout_ns)),
            (REALTIME, true) => {
                Ok(now_ns.saturating_add(timeout_ns.saturating_sub(self.realtime_ns)))
            }
            (MONOTONIC, true) => Ok(timeout_ns.saturating_add(origin_ns())),
            _ => Err(Errno::Inval),
        }
    }
}

fn realtime_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

/// Where guests' monotonic clock begins: they need not know the machine's uptime.
fn origin_ns() -> u64 {
    static ORIGIN_NS: OnceLock<u64> = OnceLock::new();
    *ORIGIN_NS.get_or_init(monotonic_ns)
}

pub(super) fn add_to(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        PREVIEW_1,
        "clock_time_get",
        |mut caller: Caller<'_, State>, clock: i32, _precision_ns: i64, at: i32| {
            answer(clock_time_get(&mut caller, clock, at as u32))
        },
    )?;
    linker.func_wrap(
        PREVIEW_1,
        "clock_res_get",
        |mut caller: Caller<'_, State>, clock: i32, at: i32| {
            answer(clock_res_get(&mut caller, clock, at as u32))
        },
    )?;
    Ok(())
}

fn clock_time_get(caller: &mut Caller<'_, State>, clock: i32, at: u32) -> Result<(), Refusal> {
    let (mut memory, state) = memory::of(caller)?;
    let now_ns = match clock {
        REALTIME => realtime_ns(),
        // The origin first: it is not later than now.
        MONOTONIC => {
            let origin_ns = origin_ns();
            monotonic_ns().saturating_sub(origin_ns)
        }
        PROCESS_CPUTIME | THREAD_CPUTIME => state.slot.cpu_time_ns(),
        _ => return Err(Errno::Inval.into()),
    };
    memory.write_u64(at, now_ns)?;
    Ok(())
}

fn clock_res_get(caller: &mut Caller<'_, State>, clock: i32, at: u32) -> Result<(), Refusal> {
    let (mut memory, _) = memory::of(caller)?;
    if !(REALTIME..=THREAD_CPUTIME).contains(&clock) {
        return Err(Errno::Inval.into());
    }
    memory.write_u64(at, RESOLUTION_NS)?;
    Ok(())
}
