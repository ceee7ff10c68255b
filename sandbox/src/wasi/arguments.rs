//! Arguments and environment: what the function's configuration gives and what the request adds to
//! it, and nothing of the server's own.
//!
//! Both lie ready as blocks of strings, each ended by a NUL byte, so that a call copies two blocks
//! and writes pointers into them.

use wasmtime::{Caller, Linker};

use super::{Errno, PREVIEW_1, Refusal, memory, timed};
use crate::state::State;

const POINTER_BYTES: u32 = 4;

pub(super) fn add_to(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        PREVIEW_1,
        "args_sizes_get",
        |mut caller: Caller<'_, State>, count: i32, bytes: i32| {
            timed(&mut caller, |caller| {
                sizes_get(caller, arguments, count as u32, bytes as u32)
            })
        },
    )?;
    linker.func_wrap(
        PREVIEW_1,
        "args_get",
        |mut caller: Caller<'_, State>, argv: i32, buffer: i32| {
            timed(&mut caller, |caller| {
                get(caller, arguments, argv as u32, buffer as u32)
            })
        },
    )?;
    linker.func_wrap(
        PREVIEW_1,
        "environ_sizes_get",
        |mut caller: Caller<'_, State>, count: i32, bytes: i32| {
            timed(&mut caller, |caller| {
                sizes_get(caller, environment, count as u32, bytes as u32)
            })
        },
    )?;
    linker.func_wrap(
        PREVIEW_1,
        "environ_get",
        |mut caller: Caller<'_, State>, environ: i32, buffer: i32| {
            timed(&mut caller, |caller| {
                get(caller, environment, environ as u32, buffer as u32)
            })
        },
    )?;
    Ok(())
}

/// Two blocks of strings, the function's before the request's.
type Blocks<'a> = [&'a [u8]; 2];

fn arguments(state: &State) -> Blocks<'_> {
    [&state.profile.program, &state.call.arguments]
}

fn environment(state: &State) -> Blocks<'_> {
    [&state.profile.environment, &state.call.environment]
}

/// The strings of a block, each with its NUL byte.
fn strings(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    block.split_inclusive(|&byte| byte == 0)
}

/// `(strings, bytes of all strings with their NULs)`.
fn sizes(blocks: Blocks<'_>) -> Result<(u32, u32), Errno> {
    let count = blocks.map(|block| strings(block).count());
    let bytes = blocks.map(<[u8]>::len);
    let fits = |n: [usize; 2]| u32::try_from(n[0] + n[1]).map_err(|_| Errno::Inval);
    Ok((fits(count)?, fits(bytes)?))
}

fn sizes_get(
    caller: &mut Caller<'_, State>,
    blocks: fn(&State) -> Blocks<'_>,
    count_at: u32,
    bytes_at: u32,
) -> Result<(), Refusal> {
    let (mut memory, state) = memory::of(caller)?;
    let (count, bytes) = sizes(blocks(state))?;
    memory.slice(bytes_at, 4)?;
    memory.write_u32(count_at, count)?;
    memory.write_u32(bytes_at, bytes)?;
    Ok(())
}

fn get(
    caller: &mut Caller<'_, State>,
    blocks: fn(&State) -> Blocks<'_>,
    pointers: u32,
    buffer: u32,
) -> Result<(), Refusal> {
    let (mut memory, state) = memory::of(caller)?;
    let blocks = blocks(state);
    let (count, bytes) = sizes(blocks)?;
    let pointers_bytes = count.checked_mul(POINTER_BYTES).ok_or(Errno::Fault)?;
    // Both ranges as a whole, so that no sum below can overflow.
    memory.slice(pointers, pointers_bytes)?;
    memory.slice(buffer, bytes)?;
    let (mut pointer_at, mut at) = (pointers, buffer);
    for block in blocks {
        memory.write(at, block)?;
        for string in strings(block) {
            memory.write_u32(pointer_at, at)?;
            // The last steps may reach 2^32, where nothing is written any more.
            at = at.wrapping_add(string.len() as u32);
            pointer_at = pointer_at.wrapping_add(POINTER_BYTES);
        }
    }
    Ok(())
}
