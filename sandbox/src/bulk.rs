//! Rewrites a module so that no bulk operation on memory holds a worker for long.
//!
//! `memory.fill`, `memory.copy` and `memory.init` are compiled to one call of the host's `memset` or
//! `memmove`, whatever their length, and nothing can suspend a guest in there: a fill of 1 GiB of fresh
//! memory takes a second. So each of them whose length is not a small constant becomes a call of a
//! function that is appended to the module:
//!
//! ```text
//!   bulk(d, s, n):
//!     if n > CHUNK and all of d..d+n and s..s+n is in bounds
//!       one chunk after another, in a loop, in which the guest can be preempted;
//!       d, s, n = what is left
//!     the operation itself (d, s, n)
//! ```
//!
//! The last line does short operations, after one comparison; the end of long ones; and those out of bounds,
//! which trap there before anything is written, as the standard has it (WebAssembly 2.0 §4.4.7).
//! Nothing else runs in the instance between two chunks, so that nobody can tell.
//!
//! Types and functions are only appended, and no index shifts. Offsets in the code do: [`Offsets`] leads
//! them back, and names the functions that are not the module's own.
//!
//! Not here: tables. wasmtime compiles their bulk operations to loops within the function, which can be
//! preempted anywhere, and they have 20,000 elements at most. Arrays of the GC proposal, which is off.
//! And whether a module is valid: that was found before.

use std::borrow::Cow;
use std::ops::Range;

use wasm_encoder::{BlockType, Encode, Function, InstructionSink, ValType};
use wasmparser::{BinaryReaderError, FunctionBody, Operator, Parser, Payload, TypeRef};

use crate::limits::BULK_CHUNK_BYTES;

#[cfg(test)]
mod tests;

/// Part of a cache's keys: another one where the same module is rewritten in another way.
pub(crate) const VERSION: u64 = 1 << 32 | BULK_CHUNK_BYTES;

/// A module without long bulk operations.
pub(crate) struct Rewritten<'a> {
    pub(crate) wasm: Cow<'a, [u8]>,
    pub(crate) offsets: Offsets,
}

/// Leads from a rewritten module back to the one that it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offsets {
    /// How many functions are the module's own; later ones were appended.
    functions: u32,
    /// From which offset on an offset is how much larger than in the original, in order.
    shifts: Vec<(u32, i32)>,
}

/// What one appended function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bulk {
    Fill { memory: u32 },
    Copy { to: u32, from: u32 },
    Init { memory: u32, segment: u32 },
}

/// What has to be known of a module.
#[derive(Default)]
struct Survey<'a> {
    /// Its sections in order: id and contents.
    sections: Vec<(u8, Range<usize>)>,
    types: u32,
    functions: u32,
    /// Whether a memory has 64-bit addresses.
    memories: Vec<bool>,
    /// Bytes of each data segment.
    segments: Vec<u64>,
    bodies: Vec<FunctionBody<'a>>,
}

/// An operation to be replaced.
struct Site {
    at: Range<usize>,
    bulk: Bulk,
}

// Parameters of an appended function.
const D: u32 = 0;
const S: u32 = 1;
const N: u32 = 2;

// Its locals of 64 bits.
const D64: u32 = 3;
const S64: u32 = 4;
const N64: u32 = 5;

const TYPE_SECTION: u8 = 1;
const FUNCTION_SECTION: u8 = 3;
const CODE_SECTION: u8 = 10;

/// Rewrites a valid module. What has nothing to rewrite stays as it is.
///
/// # Errors
///
/// It is no module.
pub(crate) fn rewrite(wasm: &[u8]) -> Result<Rewritten<'_>, BinaryReaderError> {
    rewrite_by(wasm, BULK_CHUNK_BYTES)
}

fn rewrite_by(wasm: &[u8], chunk_bytes: u64) -> Result<Rewritten<'_>, BinaryReaderError> {
    let survey = Survey::of(wasm)?;
    let mut sites = Vec::new();
    for body in &survey.bodies {
        sites.push(survey.sites(body, chunk_bytes)?);
    }
    if sites.iter().all(Vec::is_empty) {
        return Ok(Rewritten {
            wasm: wasm.into(),
            offsets: Offsets::default(),
        });
    }
    Ok(Rewriter::new(wasm, &survey, chunk_bytes).rewrite(&sites))
}

impl<'a> Survey<'a> {
    fn of(wasm: &'a [u8]) -> Result<Survey<'a>, BinaryReaderError> {
        let mut survey = Survey::default();
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            survey.sections.extend(payload.as_section());
            match payload {
                Payload::TypeSection(groups) => {
                    for group in groups {
                        survey.types += group?.types().len() as u32;
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        match import?.ty {
                            TypeRef::Func(_) | TypeRef::FuncExact(_) => survey.functions += 1,
                            TypeRef::Memory(ty) => survey.memories.push(ty.memory64),
                            TypeRef::Table(_) | TypeRef::Global(_) | TypeRef::Tag(_) => {}
                        }
                    }
                }
                Payload::FunctionSection(functions) => survey.functions += functions.count(),
                Payload::MemorySection(memories) => {
                    for memory in memories {
                        survey.memories.push(memory?.memory64);
                    }
                }
                Payload::DataSection(segments) => {
                    for segment in segments {
                        survey.segments.push(segment?.data.len() as u64);
                    }
                }
                Payload::CodeSectionEntry(body) => survey.bodies.push(body),
                _ => {}
            }
        }
        Ok(survey)
    }

    /// The operations in a body that may be long.
    fn sites(
        &self,
        body: &FunctionBody<'_>,
        chunk_bytes: u64,
    ) -> Result<Vec<Site>, BinaryReaderError> {
        let mut sites = Vec::new();
        let mut operators = body.get_operators_reader()?;
        // What was just pushed, if it is a constant: the length comes last.
        let mut constant = None;
        while !operators.eof() {
            let start = operators.original_position();
            let operator = operators.read()?;
            let bulk = bulk(&operator).filter(|bulk| self.is_long(*bulk, constant, chunk_bytes));
            sites.extend(bulk.map(|bulk| Site {
                at: start..operators.original_position(),
                bulk,
            }));
            constant = match operator {
                Operator::I32Const { value } => Some(u64::from(value as u32)),
                Operator::I64Const { value } => Some(value as u64),
                _ => None,
            };
        }
        Ok(sites)
    }

    fn is_long(&self, bulk: Bulk, length: Option<u64>, chunk_bytes: u64) -> bool {
        let bytes_max = match bulk {
            Bulk::Init { segment, .. } => self.segment_bytes(segment),
            Bulk::Fill { .. } | Bulk::Copy { .. } => u64::MAX,
        };
        length.unwrap_or(u64::MAX).min(bytes_max) > chunk_bytes
    }

    fn is_64(&self, memory: u32) -> bool {
        self.memories[memory as usize]
    }

    fn segment_bytes(&self, segment: u32) -> u64 {
        self.segments[segment as usize]
    }

    /// The types of an appended function's parameters, which are the operation's own.
    fn params(&self, bulk: Bulk) -> [ValType; 3] {
        let index = |memory| match self.is_64(memory) {
            true => ValType::I64,
            false => ValType::I32,
        };
        match bulk {
            Bulk::Fill { memory } => [index(memory), ValType::I32, index(memory)],
            Bulk::Copy { to, from } => {
                let both_64 = self.is_64(to) && self.is_64(from);
                let length = if both_64 { ValType::I64 } else { ValType::I32 };
                [index(to), index(from), length]
            }
            Bulk::Init { memory, .. } => [index(memory), ValType::I32, ValType::I32],
        }
    }
}

fn bulk(operator: &Operator<'_>) -> Option<Bulk> {
    match *operator {
        Operator::MemoryFill { mem } => Some(Bulk::Fill { memory: mem }),
        Operator::MemoryCopy { dst_mem, src_mem } => Some(Bulk::Copy {
            to: dst_mem,
            from: src_mem,
        }),
        Operator::MemoryInit { data_index, mem } => Some(Bulk::Init {
            memory: mem,
            segment: data_index,
        }),
        _ => None,
    }
}

/// A module on its way.
struct Rewriter<'a> {
    wasm: &'a [u8],
    survey: &'a Survey<'a>,
    chunk_bytes: u64,
    /// What the appended functions do, in their order.
    appended: Vec<Bulk>,
    out: Vec<u8>,
    shifts: Vec<(u32, i32)>,
}

impl<'a> Rewriter<'a> {
    fn new(wasm: &'a [u8], survey: &'a Survey<'a>, chunk_bytes: u64) -> Rewriter<'a> {
        Rewriter {
            wasm,
            survey,
            chunk_bytes,
            appended: Vec::new(),
            out: Vec::with_capacity(wasm.len() + wasm.len() / 8),
            shifts: Vec::new(),
        }
    }

    fn rewrite(mut self, sites: &[Vec<Site>]) -> Rewritten<'static> {
        // Few differ: each segment that is worth it has more than a chunk of bytes.
        for bulk in sites.iter().flatten().map(|site| site.bulk) {
            if !self.appended.contains(&bulk) {
                self.appended.push(bulk);
            }
        }
        self.out.extend_from_slice(&self.wasm[..HEADER_BYTES]);
        for (id, range) in &self.survey.sections {
            self.out.push(*id);
            match *id {
                TYPE_SECTION => {
                    let types = self.types();
                    self.extended(range, &types);
                }
                FUNCTION_SECTION => {
                    let functions: Vec<_> = (0..self.appended.len() as u32)
                        .map(|at| encoded(&(self.survey.types + at)))
                        .collect();
                    self.extended(range, &functions);
                }
                CODE_SECTION => self.code(range, sites),
                _ => {
                    range.len().encode(&mut self.out);
                    self.out.extend_from_slice(&self.wasm[range.clone()]);
                }
            }
        }
        Rewritten {
            wasm: self.out.into(),
            offsets: Offsets {
                functions: self.survey.functions,
                shifts: self.shifts,
            },
        }
    }

    /// A section, a vector, with more entries at its end.
    fn extended(&mut self, range: &Range<usize>, more: &[Vec<u8>]) {
        let (count, entries_at) = self.count(range);
        let mut section = encoded(&(count + more.len() as u32));
        section.extend_from_slice(&self.wasm[entries_at..range.end]);
        section.extend(more.iter().flatten());
        section.len().encode(&mut self.out);
        self.out.extend_from_slice(&section);
    }

    /// A vector's length, and where its entries begin.
    fn count(&self, range: &Range<usize>) -> (u32, usize) {
        let mut reader = wasmparser::BinaryReader::new(&self.wasm[range.clone()], range.start);
        let count = reader.read_var_u32().expect("the section has been read");
        (count, reader.original_position())
    }

    fn types(&self) -> Vec<Vec<u8>> {
        const FUNC: u8 = 0x60;
        let each = self.appended.iter().map(|bulk| {
            let mut ty = vec![FUNC];
            self.survey.params(*bulk).as_slice().encode(&mut ty);
            0_u32.encode(&mut ty);
            ty
        });
        each.collect()
    }

    fn code(&mut self, range: &Range<usize>, sites: &[Vec<Site>]) {
        let (count, entries_at) = self.count(range);
        let mut section = encoded(&(count + self.appended.len() as u32));
        // Of each piece of the section that is as it was: where it was, and where in the section it is.
        let mut pieces = Vec::new();
        let mut at = entries_at;
        for (body, sites) in self.survey.bodies.iter().zip(sites) {
            let body = body.range();
            let mut new = Vec::with_capacity(body.len());
            let mut moved = vec![(body.start, 0)];
            let mut from = body.start;
            for site in sites {
                new.extend_from_slice(&self.wasm[from..site.at.start]);
                self.call(site, &mut new);
                from = site.at.end;
                moved.push((from, new.len()));
            }
            new.extend_from_slice(&self.wasm[from..body.end]);
            // As it was written, if it is the same: it may be longer than it need be.
            match new.len() == body.len() {
                true => section.extend_from_slice(&self.wasm[at..body.start]),
                false => new.len().encode(&mut section),
            }
            pieces.extend(moved.iter().map(|(was, is)| (*was, section.len() + is)));
            section.extend_from_slice(&new);
            at = body.end;
        }
        for bulk in &self.appended {
            Helper::new(*bulk, self.survey, self.chunk_bytes)
                .function()
                .encode(&mut section);
        }
        section.len().encode(&mut self.out);
        for (was, is) in pieces {
            let is = self.out.len() + is;
            let shift = is as i32 - was as i32;
            if self.shifts.last().is_none_or(|last| last.1 != shift) {
                self.shifts.push((is as u32, shift));
            }
        }
        self.out.extend_from_slice(&section);
    }

    /// The call in the place of an operation, as long as that if possible.
    fn call(&self, site: &Site, out: &mut Vec<u8>) {
        let at = self.appended.iter().position(|bulk| *bulk == site.bulk);
        let at = at.expect("every site's is appended") as u32;
        let begun = out.len();
        let mut code = InstructionSink::new(out);
        code.call(self.survey.functions + at);
        while out.len() - begun < site.at.len() {
            InstructionSink::new(out).nop();
        }
    }
}

/// A module's magic number and version.
const HEADER_BYTES: usize = 8;

fn encoded(what: &impl Encode) -> Vec<u8> {
    let mut bytes = Vec::new();
    what.encode(&mut bytes);
    bytes
}

/// An appended function on its way.
struct Helper<'a> {
    bulk: Bulk,
    params: [ValType; 3],
    survey: &'a Survey<'a>,
    chunk_bytes: u64,
}

impl<'a> Helper<'a> {
    fn new(bulk: Bulk, survey: &'a Survey<'a>, chunk_bytes: u64) -> Helper<'a> {
        Helper {
            bulk,
            params: survey.params(bulk),
            survey,
            chunk_bytes,
        }
    }

    fn function(&self) -> Function {
        let mut function = Function::new([(3, ValType::I64)]);
        let mut code = function.instructions();
        code.local_get(N);
        self.chunk(&mut code);
        match self.params[2] {
            ValType::I64 => code.i64_gt_u(),
            _ => code.i32_gt_u(),
        };
        code.if_(BlockType::Empty);
        self.widen(&mut code, D, D64);
        self.widen(&mut code, N, N64);
        if self.moves_source() {
            self.widen(&mut code, S, S64);
        }
        self.in_bounds(&mut code);
        code.if_(BlockType::Empty);
        match self.bulk {
            Bulk::Copy { .. } => {
                code.local_get(D64).local_get(S64).i64_le_u();
                code.if_(BlockType::Empty);
                self.ascend(&mut code);
                code.else_();
                self.descend(&mut code);
                code.end();
            }
            Bulk::Fill { .. } | Bulk::Init { .. } => self.ascend(&mut code),
        }
        self.narrow(&mut code, N64, N);
        code.local_set(N);
        code.end().end();
        code.local_get(D).local_get(S).local_get(N);
        self.operation(&mut code);
        code.end();
        function
    }

    /// Whether the second parameter is a place and not a value.
    fn moves_source(&self) -> bool {
        !matches!(self.bulk, Bulk::Fill { .. })
    }

    /// Does the chunks from the first one on; the rest is from `D` and `S` on.
    fn ascend(&self, code: &mut InstructionSink<'_>) {
        let chunk = self.chunk_bytes as i64;
        code.loop_(BlockType::Empty);
        self.narrow(code, D64, D);
        match self.moves_source() {
            true => self.narrow(code, S64, S),
            false => {
                code.local_get(S);
            }
        }
        self.chunk(code);
        self.operation(code);
        code.local_get(D64)
            .i64_const(chunk)
            .i64_add()
            .local_set(D64);
        if self.moves_source() {
            code.local_get(S64)
                .i64_const(chunk)
                .i64_add()
                .local_set(S64);
        }
        code.local_get(N64).i64_const(chunk).i64_sub();
        code.local_tee(N64).i64_const(chunk).i64_gt_u().br_if(0);
        code.end();
        self.narrow(code, D64, D);
        code.local_set(D);
        if self.moves_source() {
            self.narrow(code, S64, S);
            code.local_set(S);
        }
    }

    /// Does the chunks from the last one on, for a source that lies below; the rest is the beginning.
    fn descend(&self, code: &mut InstructionSink<'_>) {
        let chunk = self.chunk_bytes as i64;
        code.loop_(BlockType::Empty);
        code.local_get(N64)
            .i64_const(chunk)
            .i64_sub()
            .local_set(N64);
        for (wide, param) in [(D64, D), (S64, S)] {
            code.local_get(wide).local_get(N64).i64_add();
            if self.params[param as usize] == ValType::I32 {
                code.i32_wrap_i64();
            }
        }
        self.chunk(code);
        self.operation(code);
        code.local_get(N64).i64_const(chunk).i64_gt_u().br_if(0);
        code.end();
    }

    /// Leaves whether all that is read and written exists.
    fn in_bounds(&self, code: &mut InstructionSink<'_>) {
        match self.bulk {
            Bulk::Fill { memory } => self.in_memory(code, D64, memory),
            Bulk::Copy { to, from } => {
                self.in_memory(code, D64, to);
                self.in_memory(code, S64, from);
                code.i32_and();
            }
            Bulk::Init { memory, segment } => {
                self.in_memory(code, D64, memory);
                // Of a segment that was dropped, the first chunk traps.
                let bytes = self.survey.segment_bytes(segment);
                within(code, S64, |code| {
                    code.i64_const(bytes as i64);
                });
                code.i32_and();
            }
        }
    }

    fn in_memory(&self, code: &mut InstructionSink<'_>, start: u32, memory: u32) {
        const PAGE_BYTES_LOG2: i64 = 16;
        within(code, start, |code| {
            code.memory_size(memory);
            if !self.survey.is_64(memory) {
                code.i64_extend_i32_u();
            }
            code.i64_const(PAGE_BYTES_LOG2).i64_shl();
        });
    }

    /// Pushes a chunk's length as the operation wants it.
    fn chunk(&self, code: &mut InstructionSink<'_>) {
        match self.params[2] {
            ValType::I64 => code.i64_const(self.chunk_bytes as i64),
            _ => code.i32_const(self.chunk_bytes as i32),
        };
    }

    fn operation(&self, code: &mut InstructionSink<'_>) {
        match self.bulk {
            Bulk::Fill { memory } => code.memory_fill(memory),
            Bulk::Copy { to, from } => code.memory_copy(to, from),
            Bulk::Init { memory, segment } => code.memory_init(memory, segment),
        };
    }

    fn widen(&self, code: &mut InstructionSink<'_>, param: u32, wide: u32) {
        code.local_get(param);
        if self.params[param as usize] == ValType::I32 {
            code.i64_extend_i32_u();
        }
        code.local_set(wide);
    }

    /// Pushes a wide local as its parameter's type.
    fn narrow(&self, code: &mut InstructionSink<'_>, wide: u32, param: u32) {
        code.local_get(wide);
        if self.params[param as usize] == ValType::I32 {
            code.i32_wrap_i64();
        }
    }
}

/// Leaves whether `N64` bytes from the local `start` on lie within the size that `size` pushes:
/// `n <= size && start <= size - n`.
fn within(code: &mut InstructionSink<'_>, start: u32, size: impl Fn(&mut InstructionSink<'_>)) {
    code.local_get(N64);
    size(code);
    code.i64_le_u().local_get(start);
    size(code);
    code.local_get(N64).i64_sub().i64_le_u().i32_and();
}

/// Of a module that was not rewritten.
impl Default for Offsets {
    fn default() -> Offsets {
        Offsets {
            functions: u32::MAX,
            shifts: Vec::new(),
        }
    }
}

impl Offsets {
    /// Whether a function was appended.
    pub(crate) fn is_appended(&self, function: u32) -> bool {
        function >= self.functions
    }

    /// The original offset of code at `offset`.
    pub(crate) fn original(&self, offset: usize) -> usize {
        let after = self
            .shifts
            .partition_point(|(from, _)| *from as usize <= offset);
        let shift = after.checked_sub(1).map_or(0, |at| self.shifts[at].1);
        offset.saturating_add_signed(-(shift as isize))
    }

    /// Appends it to `code`, for [`Offsets::split`].
    pub(crate) fn append(&self, code: &mut Vec<u8>) {
        for (from, shift) in &self.shifts {
            code.extend_from_slice(&from.to_le_bytes());
            code.extend_from_slice(&shift.to_le_bytes());
        }
        code.extend_from_slice(&self.functions.to_le_bytes());
        code.extend_from_slice(&(self.shifts.len() as u32).to_le_bytes());
    }

    /// Takes what [`Offsets::append`] has appended off the end of `code`.
    pub(crate) fn split(code: &mut Vec<u8>) -> Option<Offsets> {
        let (rest, tail) = code.split_last_chunk::<8>()?;
        let [functions, count] = words(*tail);
        let shifts_at = rest.len().checked_sub(count as usize * 8)?;
        let (shifts, _) = rest[shifts_at..].as_chunks::<8>();
        let shifts = shifts.iter().map(|bytes| {
            let [from, shift] = words(*bytes);
            (from, shift as i32)
        });
        let shifts = shifts.collect();
        code.truncate(shifts_at);
        Some(Offsets { functions, shifts })
    }
}

fn words(bytes: [u8; 8]) -> [u32; 2] {
    let both = u64::from_le_bytes(bytes);
    [both as u32, (both >> 32) as u32]
}
