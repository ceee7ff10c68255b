//! A guest's memory as a host call sees it: every pointer and length is an allegation until one
//! of these functions has checked it.

use wasmtime::{Caller, Extern};

use super::{Errno, Refusal};
use crate::state::State;

/// The guest's linear memory for the time of one call.
pub(super) struct GuestMemory<'a>(&'a mut [u8]);

/// A vector of a scattered read or write: `(pointer, length)` as the guest gave it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Iovec {
    pub(super) at: u32,
    pub(super) len: u32,
}

const IOVEC_BYTES: u32 = 8;

/// The calling guest's memory and the sandbox's state.
pub(super) fn of<'a>(
    caller: &'a mut Caller<'_, State>,
) -> Result<(GuestMemory<'a>, &'a mut State), Refusal> {
    let export = caller.data().profile.memory;
    let memory = export.and_then(|export| caller.get_module_export(&export));
    let Some(Extern::Memory(memory)) = memory else {
        return Err(Refusal::End(wasmtime::Error::msg(
            "the module exports no memory `memory`",
        )));
    };
    let (bytes, state) = memory.data_and_store_mut(caller);
    Ok((GuestMemory(bytes), state))
}

impl<'a> GuestMemory<'a> {
    /// The whole of it.
    pub(super) fn into_bytes(self) -> &'a mut [u8] {
        self.0
    }

    pub(super) fn slice(&self, at: u32, len: u32) -> Result<&[u8], Errno> {
        // As 64-bit numbers: the sum of two of 32 bits cannot overflow.
        let range = at as usize..at as usize + len as usize;
        self.0.get(range).ok_or(Errno::Fault)
    }

    pub(super) fn slice_mut(&mut self, at: u32, len: u32) -> Result<&mut [u8], Errno> {
        let range = at as usize..at as usize + len as usize;
        self.0.get_mut(range).ok_or(Errno::Fault)
    }

    pub(super) fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Errno> {
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::Fault)?;
        self.slice_mut(at, len)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn write_u32(&mut self, at: u32, value: u32) -> Result<(), Errno> {
        self.write(at, &value.to_le_bytes())
    }

    pub(super) fn write_u64(&mut self, at: u32, value: u64) -> Result<(), Errno> {
        self.write(at, &value.to_le_bytes())
    }

    pub(super) fn read_u32(&self, at: u32) -> Result<u32, Errno> {
        let bytes = self.slice(at, 4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Vector `index` of the array at `iovecs`, whose `count` the caller has checked against
    /// [`crate::limits::IOVECS_MAX`].
    pub(super) fn iovec(&self, iovecs: u32, index: u32) -> Result<Iovec, Errno> {
        let at = iovecs
            .checked_add(index * IOVEC_BYTES)
            .ok_or(Errno::Fault)?;
        let len_at = at.checked_add(4).ok_or(Errno::Fault)?;
        Ok(Iovec {
            at: self.read_u32(at)?,
            len: self.read_u32(len_at)?,
        })
    }
}

const _: () = assert!(usize::BITS == 64 && crate::limits::IOVECS_MAX < u32::MAX / IOVEC_BYTES);
