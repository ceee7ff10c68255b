//! Waiting: `poll_oneoff` on clocks and descriptors.
//!
//! What is ready now is told at once; else the sandbox sleeps until the first of its clocks, off the worker
//! ([`crate::sleepers`]), and costs nothing meanwhile. Descriptors never make it wait: a request's body is
//! there before its function starts, output goes to memory, and files are always ready. A call whose time
//! has come already gives the slice back first, as `sched_yield` does: a guest that waits by asking again
//! and again stands in nobody's way, under any policy.
//!
//! Nothing is copied: subscriptions are read where they are, once to see what is ready and once to tell.

use wasmtime::{Caller, Linker};

use super::clock::Now;
use super::memory::{self, GuestMemory};
use super::process::ReturnOnce;
use super::stdio::Stream;
use super::{Errno, PREVIEW_1, Refusal, answer, files, timed_async};
use crate::limits::SUBSCRIPTIONS_MAX;
use crate::preempt::{Suspension, monotonic_ns};
use crate::state::State;

// Sizes and offsets of preview 1.
const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: u32 = 32;

/// The kinds of subscriptions and events, by number.
const CLOCK: u8 = 0;
const FD_READ: u8 = 1;
const FD_WRITE: u8 = 2;

/// The time of a clock's subscription is absolute.
const ABSOLUTE: u16 = 1;

/// Nothing more will come.
const HANGUP: u16 = 1;

struct Subscription {
    userdata: u64,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// On CLOCK_MONOTONIC.
    Clock {
        at_ns: u64,
    },
    Read(u32),
    Write(u32),
}

/// A guest's `poll_oneoff`.
#[derive(Clone, Copy)]
struct Poll {
    subscriptions_at: u32,
    events_at: u32,
    count: u32,
    /// What is relative counts from here.
    now: Now,
}

pub(super) fn add_to(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        PREVIEW_1,
        "poll_oneoff",
        |mut guest: Caller<'_, State>,
         (subscriptions, events, count, told_at): (i32, i32, i32, i32)| {
            let poll = Poll {
                subscriptions_at: subscriptions as u32,
                events_at: events as u32,
                count: count as u32,
                now: Now::read(),
            };
            Box::new(async move { timed_async!(guest, poll.run(&mut guest, told_at as u32)) })
        },
    )?;
    Ok(())
}

impl Poll {
    async fn run(self, guest: &mut Caller<'_, State>, told_at: u32) -> Result<(), Refusal> {
        // To sleep for ever is not supported, as nowhere.
        if self.count == 0 || self.count > SUBSCRIPTIONS_MAX {
            return Err(Errno::Inval.into());
        }
        let (memory, state) = memory::of(guest)?;
        memory.slice(self.events_at, self.count * EVENT_BYTES)?;
        memory.slice(told_at, 4)?;
        match self.first_ns(&memory, state)? {
            // Somebody is ready who is no clock.
            None => {}
            Some(at_ns) if at_ns <= self.now.monotonic_ns => {
                state.slot.worker.suspend(Suspension::Yielded);
                ReturnOnce::default().await;
            }
            Some(at_ns) => {
                let profile = state.profile.clone();
                profile.sleepers.sleep_until(at_ns).await;
            }
        }
        let told = self.tell(guest, monotonic_ns()).await?;
        memory::of(guest)?.0.write_u32(told_at, told)?;
        Ok(())
    }

    /// When the first clock is due; `None` if a descriptor is ready now and no clock's time has come.
    fn first_ns(&self, memory: &GuestMemory<'_>, state: &State) -> Result<Option<u64>, Refusal> {
        let (mut first_ns, mut is_ready) = (u64::MAX, false);
        for index in 0..self.count {
            match self.subscription(memory, index)?.kind {
                Kind::Clock { at_ns } => first_ns = first_ns.min(at_ns),
                Kind::Read(fd) => {
                    is_ready = true;
                    let is_stdin = state.stdio.stream(fd).map(|stream| stream == Stream::Stdin);
                    if !is_stdin.unwrap_or_else(|_| files::is_file(state, fd)) {
                        return Err(Errno::Badf.into());
                    }
                }
                Kind::Write(fd) => {
                    is_ready = true;
                    let is_output = state.stdio.stream(fd).map(|stream| stream != Stream::Stdin);
                    if !is_output.unwrap_or_else(|_| files::is_file(state, fd)) {
                        return Err(Errno::Badf.into());
                    }
                }
            }
        }
        Ok((!is_ready || first_ns <= self.now.monotonic_ns).then_some(first_ns))
    }

    /// Writes an event for each who is ready; gives their number.
    async fn tell(&self, guest: &mut Caller<'_, State>, now_ns: u64) -> Result<u32, Refusal> {
        let mut told = 0;
        for index in 0..self.count {
            let (memory, state) = memory::of(guest)?;
            let Subscription { userdata, kind } = self.subscription(&memory, index)?;
            let (kind, bytes, flags) = match kind {
                Kind::Clock { at_ns } if at_ns > now_ns => continue,
                Kind::Clock { .. } => (CLOCK, 0, 0),
                Kind::Write(_) => (FD_WRITE, 1, 0),
                Kind::Read(fd) => {
                    let left = match state.stdio.stream(fd) {
                        Ok(_) => (state.call.stdin.len() - state.stdin_at) as u64,
                        Err(_) => files::left_bytes(guest, fd).await?,
                    };
                    (FD_READ, left, if left == 0 { HANGUP } else { 0 })
                }
            };
            let mut event = [0; EVENT_BYTES as usize];
            event[..8].copy_from_slice(&userdata.to_le_bytes());
            event[10] = kind;
            event[16..24].copy_from_slice(&bytes.to_le_bytes());
            event[24..26].copy_from_slice(&flags.to_le_bytes());
            let at = self.events_at + told * EVENT_BYTES;
            memory::of(guest)?.0.write(at, &event)?;
            told += 1;
        }
        Ok(told)
    }

    fn subscription(&self, memory: &GuestMemory<'_>, index: u32) -> Result<Subscription, Errno> {
        let at = self
            .subscriptions_at
            .checked_add(index * SUBSCRIPTION_BYTES);
        let bytes = memory.slice(at.ok_or(Errno::Fault)?, SUBSCRIPTION_BYTES)?;
        let bytes: &[u8; SUBSCRIPTION_BYTES as usize] =
            bytes.try_into().map_err(|_| Errno::Fault)?;
        let u32_at = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| bytes[at + byte]));
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let kind = match bytes[8] {
            CLOCK => {
                let flags = u16::from_le_bytes([bytes[40], bytes[41]]);
                if flags & !ABSOLUTE != 0 {
                    return Err(Errno::Inval);
                }
                let is_absolute = flags & ABSOLUTE != 0;
                let clock = u32_at(16) as i32;
                let at_ns = self.now.due_ns(clock, u64_at(24), is_absolute)?;
                Kind::Clock { at_ns }
            }
            FD_READ => Kind::Read(u32_at(16)),
            FD_WRITE => Kind::Write(u32_at(16)),
            _ => return Err(Errno::Inval),
        };
        Ok(Subscription {
            userdata: u64_at(0),
            kind,
        })
    }
}

const _: () = assert!(SUBSCRIPTIONS_MAX < u32::MAX / SUBSCRIPTION_BYTES);
