//! Turns a module's bytes into compiled code that every worker can load, and says in full what is
//! wrong with a module that cannot be a function.
//!
//! ```text
//!   module ─► cache? ──► code ─► sealed memory ─► engine of worker 1: mapped
//!         └─► compile ──►┘                    └─► engine of worker 2: mapped, the same pages
//! ```
//!
//! One of the few files with `unsafe`: to load compiled code is to trust it as the program itself is
//! trusted. What is loaded here was made by wasmtime's compiler from a module that it had validated,
//! in this process or in one of this user's that wrote it into the [`Cache`], which says what it
//! takes for its own. Code from a compiler of another version or with other settings has another key
//! there, and wasmtime refuses it besides.
//!
//! wasmtime maps the code and reads its pages when they are needed, for as long as the module is
//! alive; were the file changed meanwhile, other code would run, and were it cut, the process would
//! end with SIGBUS. So it is not the cache's file that is mapped: the code, when it has been checked,
//! is copied into a file in memory that has no name and is sealed against writing, growing and
//! shrinking, by anybody and for ever. The bytes that were checked are the bytes that run. Nor does
//! it matter then how the cache's file system is mounted (`noexec`).

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use wasmparser::{BinaryReaderError, ElementItems, ElementKind, Operator, Parser, Payload};
use wasmtime::{Engine, ExternType, Linker, Module, Store};

use crate::bulk::{self, Offsets};
use crate::cache::{Cache, Key};
use crate::call::escaped;
use crate::limits::{ELEMENTS_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX, WASM_PAGE_BYTES};
use crate::settings::{EngineError, Settings};
use crate::state::State;
use crate::wasi::{self, Reach};

/// A module compiled once, for all workers. Cheap to clone.
#[derive(Clone)]
pub struct Artifact {
    inner: Arc<Inner>,
}

struct Inner {
    code: Code,
    /// Where in the module the code's instructions are.
    offsets: Arc<Offsets>,
    origin: Origin,
    memory_min_bytes: u64,
    reads_environment: bool,
    reads_stdin: bool,
    has_start: bool,
}

/// Where compiled code came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was compiled just now.
    Compiled,
    /// It was found in the cache.
    Cached,
}

/// What turns modules into artifacts, on any number of threads at once.
pub struct Compiler {
    settings: Settings,
    engine: Engine,
    linker: Linker<State>,
    cache: Option<Cache>,
}

/// Compiled code in sealed memory.
struct Code {
    file: File,
    bytes: usize,
}

/// Why a module cannot be a function.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Neither a valid module nor its text, or with features that are not supported.
    #[error("not a WebAssembly module that can run here: {0}")]
    Malformed(String),
    /// Imports that nobody provides, all of them.
    #[error("imports that nobody provides: {}", list(.0))]
    Imports(Vec<Import>),
    /// There is no function `_start` to call.
    #[error("exports no function `_start`: compile it as a command, not as a library")]
    NoStart,
    /// `_start` is something else than a function without parameters and results.
    #[error(
        "exports `_start` as {found}, which should be a function without parameters and results"
    )]
    StartType {
        /// What it is.
        found: String,
    },
    /// The memory is larger from the start than a sandbox's may grow.
    #[error("needs {bytes} bytes of memory to start with, more than the limit of {bytes_max}")]
    Memory {
        /// Its minimum.
        bytes: u64,
        /// [`Settings::memory_max_bytes`].
        bytes_max: u64,
    },
    /// More than one memory.
    #[error("has {count} memories, more than 1")]
    Memories {
        /// How many.
        count: usize,
    },
    /// Too many or too large tables.
    #[error(
        "needs {tables} tables with up to {elements} elements, more than {TABLES_MAX} or {TABLE_ELEMENTS_MAX}"
    )]
    Tables {
        /// How many.
        tables: u32,
        /// Minimum of the largest.
        elements: u64,
    },
    /// Too many elements in passive segments and in such whose place is computed.
    #[error(
        "has {count} elements in segments that are set up for every request, more than {ELEMENTS_MAX}"
    )]
    Elements {
        /// How many.
        count: u64,
    },
    /// The settings make no engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// There is no sealed memory for the compiled code.
    #[error("no memory for compiled code: {0}")]
    Code(#[from] io::Error),
}

/// An import that nobody provides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The module's name.
    pub module: String,
    /// The item's name.
    pub name: String,
    /// Its type as the importing module wants it.
    pub wanted: String,
    /// Its type as provided, if the name is known and only the type differs.
    pub provided: Option<String>,
}

/// Compiles `wasm` (binary or text) without a cache; see [`Compiler::compile`].
///
/// # Errors
///
/// See [`LoadError`].
pub fn compile(settings: &Settings, wasm: &[u8]) -> Result<Artifact, LoadError> {
    Compiler::new(settings, None)?.compile(wasm)
}

impl Compiler {
    /// A compiler of code for engines with these settings.
    ///
    /// # Errors
    ///
    /// The settings make no engine.
    pub fn new(settings: &Settings, cache: Option<Cache>) -> Result<Compiler, EngineError> {
        let engine = settings.compiler()?;
        let linker = wasi::linker(&engine, Reach::Streams).expect("each host call is added once");
        Ok(Compiler {
            settings: settings.clone(),
            engine,
            linker,
            cache,
        })
    }

    /// Gives the code of `wasm` (binary or text), from the cache if it is there, and checks that the
    /// module can be a function. To compile takes milliseconds for small modules and seconds for
    /// large ones.
    ///
    /// # Errors
    ///
    /// See [`LoadError`]: every cause is the module's, except [`LoadError::Code`].
    pub fn compile(&self, wasm: &[u8]) -> Result<Artifact, LoadError> {
        let key = self
            .cache
            .as_ref()
            .map(|cache| (cache, Key::new(&self.engine, wasm)));
        if let Some((cache, key)) = &key
            && let Some(mut bytes) = cache.read(key)
            && let Some(offsets) = Offsets::split(&mut bytes)
        {
            let code = Code::seal(&bytes)?;
            match code.load(&self.engine) {
                Ok(module) => return self.check(wasm, &module, (code, offsets), Origin::Cached),
                Err(error) => tracing::warn!("compiled code is ignored: {error:#}"),
            }
        }
        let (mut bytes, offsets) = self.translate(wasm)?;
        let code = Code::seal(&bytes)?;
        let module = code.load(&self.engine).map_err(malformed)?;
        let artifact = self.check(wasm, &module, (code, offsets), Origin::Compiled)?;
        if let Some((cache, key)) = &key {
            artifact.inner.offsets.append(&mut bytes);
            cache.write(key, &bytes);
        }
        Ok(artifact)
    }

    /// Compiles the module, as `bulk` has rewritten it. What is wrong with it is said of the original.
    fn translate(&self, wasm: &[u8]) -> Result<(Vec<u8>, Offsets), LoadError> {
        let text = |error: wat::Error| LoadError::Malformed(error.to_string());
        let wasm = wat::parse_bytes(wasm).map_err(text)?;
        Module::validate(&self.engine, &wasm).map_err(malformed)?;
        let damaged = |error: BinaryReaderError| malformed(error.into());
        let count = elements(&wasm).map_err(damaged)?;
        if count > ELEMENTS_MAX {
            return Err(LoadError::Elements { count });
        }
        let rewritten = bulk::rewrite(&wasm).map_err(damaged)?;
        let code = self.engine.precompile_module(&rewritten.wasm);
        Ok((code.map_err(malformed)?, rewritten.offsets))
    }

    fn check(
        &self,
        wasm: &[u8],
        module: &Module,
        (code, offsets): (Code, Offsets),
        origin: Origin,
    ) -> Result<Artifact, LoadError> {
        check_imports(&self.engine, &self.linker, module)?;
        check_start(module)?;
        let memory_min_bytes = check_resources(&self.settings, module)?;
        let reads_environment = module
            .imports()
            .any(|import| wasi::is_environment(import.module(), import.name()));
        let inner = Inner {
            code,
            offsets: Arc::new(offsets),
            origin,
            memory_min_bytes,
            reads_environment,
            reads_stdin: module.imports().any(|import| import.name() == "fd_read"),
            has_start: may_have_start(wasm),
        };
        Ok(Artifact {
            inner: Arc::new(inner),
        })
    }
}

impl Code {
    fn seal(bytes: &[u8]) -> io::Result<Code> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("luge-code", flags)?);
        file.write_all(bytes)?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&file, seals)?;
        Ok(Code {
            file,
            bytes: bytes.len(),
        })
    }

    #[expect(
        unsafe_code,
        reason = "to load compiled code is to trust it; see the file's head"
    )]
    fn load(&self, engine: &Engine) -> wasmtime::Result<Module> {
        let file = self.file.try_clone()?;
        // SAFETY: the file is `seal`'s, so that its contents, which wasmtime maps privately, never
        // change while the module is alive. They are what the compiler made of a validated module:
        // see the file's head for how that is known of code from the cache. wasmtime itself refuses
        // code from an engine of another version or configuration.
        unsafe { Module::deserialize_open_file(engine, file) }
    }
}

impl Artifact {
    /// Memory that an instance has from the start, in bytes.
    pub fn memory_min_bytes(&self) -> u64 {
        self.inner.memory_min_bytes
    }

    /// Size of the compiled code, in bytes.
    pub fn code_bytes(&self) -> usize {
        self.inner.code.bytes
    }

    /// Where the code came from.
    pub fn origin(&self) -> Origin {
        self.inner.origin
    }

    /// Whether the guest can see its environment at all: else [`crate::Call::environment`] may stay empty.
    pub fn reads_environment(&self) -> bool {
        self.inner.reads_environment
    }

    /// Whether the guest can read anything: else [`crate::Call::stdin`] may stay empty.
    pub fn reads_stdin(&self) -> bool {
        self.inner.reads_stdin
    }

    /// Whether the module may have a start function, which runs before an instance is complete.
    pub(crate) fn has_start(&self) -> bool {
        self.inner.has_start
    }

    pub(crate) fn offsets(&self) -> &Arc<Offsets> {
        &self.inner.offsets
    }

    pub(crate) fn same(&self, other: &Artifact) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Loads the code into a worker's engine, which must have been made with the same settings.
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Module> {
        self.inner.code.load(engine)
    }
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifact")
            .field("code_bytes", &self.code_bytes())
            .field("memory_min_bytes", &self.memory_min_bytes())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Import {
            module,
            name,
            wanted,
            provided,
        } = self;
        write!(f, "{}.{}: {wanted}", escaped(module), escaped(name))?;
        match provided {
            Some(provided) => write!(f, " (provided as {provided})"),
            None => Ok(()),
        }
    }
}

fn malformed(error: wasmtime::Error) -> LoadError {
    LoadError::Malformed(format!("{error:#}"))
}

fn list(imports: &[Import]) -> String {
    let each: Vec<_> = imports.iter().map(Import::to_string).collect();
    each.join(", ")
}

fn check_imports(
    engine: &Engine,
    linker: &Linker<State>,
    module: &Module,
) -> Result<(), LoadError> {
    let Err(first) = linker.instantiate_pre(module) else {
        return Ok(());
    };
    let unknown = unknown_imports(engine, linker, module);
    match unknown.is_empty() {
        true => Err(malformed(first)),
        false => Err(LoadError::Imports(unknown)),
    }
}

/// Which imports the linker cannot satisfy. Types of its items can be had only within a store.
fn unknown_imports(engine: &Engine, linker: &Linker<State>, module: &Module) -> Vec<Import> {
    let mut store = Store::new(engine, State::bare(engine));
    let mut unknown = Vec::new();
    for import in module.imports() {
        let provided = linker.get(&mut store, import.module(), import.name()).ok();
        let provided = provided.map(|item| item.ty(&store));
        let fits = match (&provided, import.ty()) {
            (Some(ExternType::Func(ours)), ExternType::Func(theirs)) => ours.matches(&theirs),
            _ => false,
        };
        if !fits {
            unknown.push(Import {
                module: import.module().to_owned(),
                name: import.name().to_owned(),
                wanted: kind(&import.ty()),
                provided: provided.as_ref().map(kind),
            });
        }
    }
    unknown
}

fn check_start(module: &Module) -> Result<(), LoadError> {
    match module.get_export("_start") {
        None => Err(LoadError::NoStart),
        Some(ExternType::Func(ty)) if ty.params().len() == 0 && ty.results().len() == 0 => Ok(()),
        Some(other) => Err(LoadError::StartType {
            found: kind(&other),
        }),
    }
}

/// Whether there is a start section in a valid module. A module in text may have one.
fn may_have_start(wasm: &[u8]) -> bool {
    const HEADER_BYTES: usize = 8;
    const START_SECTION: u8 = 8;
    if !wasm.starts_with(b"\0asm") {
        return true;
    }
    let mut at = HEADER_BYTES;
    while let Some(&id) = wasm.get(at) {
        if id == START_SECTION {
            return true;
        }
        at += 1;
        // The section's length, LEB128.
        let (mut bytes, mut shift) = (0_usize, 0);
        while let Some(&byte) = wasm.get(at) {
            at += 1;
            bytes |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        at += bytes;
    }
    false
}

/// Counts the elements that are computed for every instance.
fn elements(wasm: &[u8]) -> Result<u64, BinaryReaderError> {
    let mut count = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::ElementSection(segments) = payload? else {
            continue;
        };
        for segment in segments {
            let segment = segment?;
            let is_computed = match &segment.kind {
                ElementKind::Declared => false,
                ElementKind::Passive => true,
                ElementKind::Active { offset_expr, .. } => {
                    let mut offset = offset_expr.get_operators_reader();
                    let first = offset.read()?;
                    let is_constant =
                        matches!(first, Operator::I32Const { .. } | Operator::I64Const { .. });
                    !(is_constant && offset.is_end_then_eof())
                }
            };
            if is_computed {
                count += u64::from(match segment.items {
                    ElementItems::Functions(items) => items.count(),
                    ElementItems::Expressions(_, items) => items.count(),
                });
            }
        }
    }
    Ok(count)
}

/// Checks what the pool could not hold, and gives the memory's minimum in bytes.
fn check_resources(settings: &Settings, module: &Module) -> Result<u64, LoadError> {
    let needs = module.resources_required();
    let count = needs.num_memories as usize;
    if count > 1 {
        return Err(LoadError::Memories { count });
    }
    let elements = needs.max_initial_table_size.unwrap_or(0);
    if needs.num_tables > TABLES_MAX || elements > TABLE_ELEMENTS_MAX as u64 {
        return Err(LoadError::Tables {
            tables: needs.num_tables,
            elements,
        });
    }
    let pages = needs.max_initial_memory_size.unwrap_or(0);
    let bytes = pages.saturating_mul(WASM_PAGE_BYTES);
    let bytes_max = settings.memory_max_bytes;
    match bytes > bytes_max {
        true => Err(LoadError::Memory { bytes, bytes_max }),
        false => Ok(bytes),
    }
}

fn kind(ty: &ExternType) -> String {
    match ty {
        ExternType::Func(ty) => ty.to_string(),
        ExternType::Global(ty) => format!("a global of type {}", ty.content()),
        ExternType::Table(_) => "a table".to_owned(),
        ExternType::Memory(_) => "a memory".to_owned(),
        ExternType::Tag(_) => "a tag".to_owned(),
    }
}
