//! Suspends a guest in the signal handler, at whatever instruction it had come to, and lets it go on
//! there. Compiled code takes no part: it holds no checks.
//!
//! ```text
//!   worker's stack            fiber's stack
//!   resume ─ poll ──────────► wasm … wasm        the timer expires, the program counter is in wasm
//!                             ┌ signal frame ┐   all registers, as the kernel saved them
//!                             │ handler      │
//!                             │ host call    │   its future is Pending
//!   Step::Preempted ◄──────── └──────────────┘
//!   …
//!   resume ─ poll ──────────► the future is Ready, the host call and the handler return,
//!                             sigreturn ─► wasm goes on
//! ```
//!
//! Decides nothing: whether the slice is over is [`Shared::expired`]'s business.
//!
//! # Safety argument
//!
//! The claim: to the interrupted code and to wasmtime, what happens here is a call of an async host
//! function from the guest, of the kind that wasmtime's compiled code makes all the time, except that
//! the kernel and not the compiler saves the registers around it.
//!
//! 1. *Only compiled wasm is interrupted.* The handler acts if, and only if, the saved program
//!    counter lies in the body of a function of a module of this worker's engine, while this worker
//!    polls a sandbox. Bodies are `Module::functions()`: trampolines, the functions that start a
//!    module, and builtins are not among them. So no Rust or C code is under the handler but that
//!    which called into wasm: no lock is held, no allocator is half way, no `&mut` is live that
//!    wasmtime itself does not take to be suspended while wasm runs. Within this handler anything may
//!    be called that a host function may call. With the program counter elsewhere the handler touches
//!    atomics and arms the timer, no more (`kernel`, point 1).
//! 2. *What it reads.* [`Code`] is made before the first guest runs and never changed; the
//!    [`Guest`] is of the slot that is being polled, its pointers are set on this very thread before
//!    wasm is entered and unset before the store is dropped. The modules are kept alive by `Code`.
//! 3. *What it calls.* `array_call` of a `VMFuncRef` got from `Func::to_raw`, with the vmctx found
//!    there and the vmctx of an instance of the same store as caller: what wasmtime's own trampolines
//!    pass. The function is from `Linker::func_wrap_async`, without parameters and results. The one
//!    thing of this that the API does not promise is the layout of `VMFuncRef` (wasmtime is pinned
//!    exactly; both contexts' magic numbers are looked at before; the self-test runs it).
//!    The caller's vmctx serves to find the store, and to make a `Caller` that is not used.
//! 4. *What wasmtime assumes of a host call.* (a) A fiber with its context in the store: all wasm
//!    here is entered by `call_async` and `instantiate_async`, which always take a fiber, and an
//!    async host call that has returned has put the context back. (b) That the trampoline has noted
//!    where wasm was left, for who walks the stack: garbage collection (not compiled in) and
//!    backtraces. Nothing captures one here: the function fails in no way, and does nothing. What an
//!    earlier exit had noted stays as it was: a suspension swaps these fields out of the store and
//!    the resumption swaps them in. (c) That compiled code reads again what a host call may have
//!    changed. It does not here, and need not: the function changes nothing of the store, and nobody
//!    else may while its future is suspended ([`crate::Runtime`] owns it and only polls it).
//! 5. *Stack.* The handler runs without `SA_ONSTACK`, on the fiber's stack, below the interrupted
//!    frame and the 128 bytes of red zone that the kernel leaves. Wasm stops at its stack limit;
//!    below it lies the host's part, made large enough for the frames of nested signals
//!    ([`host_stack_bytes`], from `AT_MINSIGSTKSZ`: AVX-512 and AMX state included) and for host calls.
//!    A handler that interrupts this one finds Rust code, and returns.
//! 6. *The kernel keeps no state of a handler.* With `SA_NODEFER` and an empty mask the set of
//!    blocked signals is the same in the handler, in the worker that goes on, and after sigreturn.
//!    All that sigreturn restores is in the frame. The alternate stack, which sigreturn sets too, is
//!    set when wasmtime first runs on a thread and not changed after; `SS_AUTODISARM` is not used.
//!    The kernel resets the FPU for the handler; the worker goes on with that, which is what Rust has
//!    anyway, and the guest's own state comes back from the frame. Protection keys are off in the
//!    pool. Shadow stacks are not to be had with wasmtime's fibers at all.
//! 7. *The thread.* A sandbox is resumed on the thread that it was interrupted on (`Runtime` is not
//!    `Send`): thread-locals, errno's address and the timer stay what they were.
//! 8. *The end.* The future of a sandbox suspended here must not be dropped: the host call would
//!    return an error to a frame that cannot raise it. [`Guest::is_interrupted`] says so, and such a
//!    sandbox is resumed with [`Guest::kill`] instead: the handler then sets the saved program
//!    counter to a `ud2` that wasmtime's compiler made for `unreachable`, and returns. What follows is
//!    a trap like any other: its signal handler finds an address that it knows as a trap, walks the
//!    frame pointers and unwinds to where wasm was entered. Should the host call fail all the same,
//!    the process is aborted.
//! 9. *Frame pointers* are kept by wasmtime's code at every instruction, with one exception: a prologue
//!    that makes room for a tail call's arguments first moves the frame pointer and then copies what
//!    it points at. A trap there would walk garbage. `is_settled` tells these four instructions;
//!    the handler takes them for host code.
//! 10. *A return from the host* (`gate`) is the one place outside of bodies where a guest is suspended:
//!     in the trampoline through which it called the host, at the instruction after the call. The host
//!     function has returned; what is left is to load its results, or to raise its failure, from this
//!     frame, which the kernel saves like any other. The trampoline has noted where wasm was left, and
//!     its frame stands, so that points 4 and 8 hold as in a body. The gate stops a thread in two more
//!     places, where a module is entered: at a trampoline's first instruction, and where a trap
//!     unwinds to. They are told apart by two signs at once: the instruction before is a call of a
//!     register, and the frame pointer points at a frame close above that returns into a body. (The
//!     first has no call before it; the second returns to the host.) Read is only what lies between the
//!     stack pointer and a trampoline's largest frame: where the frame pointer is the host's and points
//!     elsewhere, it is not followed.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst};

use wasmtime::unix::StoreExt;
use wasmtime::{AsContextMut, Func, Instance, InstancePre, Linker, Module, Store};

use super::{Shared, Suspension, gate};
use crate::limits;
use crate::state::{Slot, State};
use crate::wasi::ReturnOnce;

/// Whether this can be done at all on what this was compiled for.
pub(crate) const IS_SUPPORTED: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// Traps; besides, an instance of it lends its context to guests that have none yet.
const HELPER: &str = r#"(module (func (export "trap") unreachable))"#;

/// What `unreachable` is compiled to.
const UD2: [u8; 2] = [0x0f, 0x0b];

/// The magic numbers that wasmtime's contexts begin with: of a host function, of an instance.
const HOST_MAGIC: [u8; 4] = *b"ACHF";
const INSTANCE_MAGIC: [u8; 4] = *b"core";

/// The compiled code of a worker's functions, as its signal handler sees it.
#[derive(Debug)]
pub(crate) struct Code {
    /// Where function bodies begin and end, in order.
    bodies: Box<[(usize, usize)]>,
    /// The address of a `ud2` that wasmtime knows as a trap.
    trap_at: usize,
    /// Keeps the code where it is.
    _modules: Vec<Module>,
}

/// What makes a store's guests suspendable; one for each engine.
pub(crate) struct Suspender {
    /// Has the function that suspends, and nothing else.
    linker: Linker<State>,
    helper: InstancePre<State>,
    helper_module: Module,
}

/// The guest of a slot, as the signal handler sees it.
#[derive(Debug, Default)]
pub(crate) struct Guest {
    /// The function that suspends; null while no guest can be interrupted.
    suspend: AtomicPtr<RawFunc>,
    /// The context of an instance in the guest's store; null while there is none.
    caller: AtomicPtr<c_void>,
    /// Where the code of its module is, in whole pages.
    text: AtomicPtr<u8>,
    text_bytes: AtomicUsize,
    interrupted: AtomicBool,
    killed: AtomicBool,
}

/// A guest that can be interrupted until this is dropped, which must be before its store is.
pub(crate) struct Interruptible<'a>(&'a Guest);

/// wasmtime's `VMFuncRef`.
#[derive(Debug)]
#[repr(C)]
struct RawFunc {
    array_call: unsafe extern "C" fn(*mut c_void, *mut c_void, *mut Values, usize) -> bool,
    wasm_call: *mut c_void,
    type_index: u32,
    context: *mut c_void,
}

/// Room for an `array_call`'s values, of which there are none.
#[repr(C, align(16))]
struct Values([u8; 16]);

impl Code {
    pub(crate) fn new(suspender: &Suspender, modules: Vec<Module>) -> Code {
        let mut bodies: Vec<_> = modules.iter().flat_map(bodies).collect();
        bodies.sort_unstable();
        Code {
            bodies: bodies.into(),
            trap_at: suspender.trap_at(),
            _modules: modules,
        }
    }

    /// The body that `address` lies in.
    fn body(&self, address: usize) -> Option<(usize, usize)> {
        let after = self.bodies.partition_point(|body| body.0 <= address);
        let body = *self.bodies.get(after.checked_sub(1)?)?;
        (address < body.1).then_some(body)
    }
}

fn bodies(module: &Module) -> impl Iterator<Item = (usize, usize)> {
    let text = module.text().as_ptr() as usize;
    module.functions().map(move |function| {
        let start = text + function.offset;
        (start, start + function.len)
    })
}

impl Suspender {
    pub(crate) fn new(engine: &wasmtime::Engine) -> wasmtime::Result<Suspender> {
        let mut linker = Linker::new(engine);
        linker.func_wrap_async("", "", |_: wasmtime::Caller<'_, State>, (): ()| {
            Box::new(ReturnOnce::default())
        })?;
        let helper_module = Module::new(engine, HELPER)?;
        Ok(Suspender {
            helper: Linker::new(engine).instantiate_pre(&helper_module)?,
            linker,
            helper_module,
        })
    }

    fn trap_at(&self) -> usize {
        let (start, end) = bodies(&self.helper_module).next().expect("one function");
        let text = self.helper_module.text();
        let base = text.as_ptr() as usize;
        let at = text[start - base..end - base]
            .windows(UD2.len())
            .position(|bytes| bytes == UD2);
        start + at.expect("`unreachable` is a ud2")
    }

    /// Lets the guests of `store` be interrupted, until the returned value is dropped.
    pub(crate) fn prepare<'a>(
        &self,
        store: &mut Store<State>,
        slot: &'a Arc<Slot>,
        module: &Module,
    ) -> Interruptible<'a> {
        let guest = &slot.guest;
        // Its only item, not by name: to hash two names took a tenth of a short life.
        let suspend = self.linker.iter(&mut *store).next();
        let suspend = suspend.and_then(|(_, _, suspend)| suspend.into_func());
        let raw = raw(&suspend.expect("the linker's only function"), store);
        let text = module.text();
        guest.text.store(text.as_ptr().cast_mut(), SeqCst);
        guest.text_bytes.store(text.len(), SeqCst);
        guest.killed.store(false, SeqCst);
        guest.suspend.store(raw, SeqCst);
        let slot = slot.clone();
        // SAFETY: the handler is async-signal-safe: `gate`, point 3.
        unsafe {
            store.set_signal_handler(move |signal, _, context| {
                gate::faulted(&slot.worker, signal, context.cast_mut().cast())
            });
        }
        Interruptible(guest)
    }

    /// An instance without a purpose of its own, in a store whose guest will run before it has one.
    pub(crate) async fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<Func> {
        let instance: Instance = self.helper.instantiate_async(&mut *store).await?;
        let trap = instance.get_func(store, "trap");
        Ok(trap.expect("the helper exports it"))
    }
}

impl Interruptible<'_> {
    /// From now on. `of` is a function of an instance in the guest's store, not of the host.
    ///
    /// Should wasmtime's structures not be as they are known, the guest is never interrupted, which
    /// the self-test finds.
    pub(crate) fn begin(&self, of: &Func, store: &mut Store<State>) {
        let (of, suspend) = (raw(of, store), self.0.suspend.load(SeqCst));
        // SAFETY: both are `VMFuncRef`s of the store, which is alive: see `raw`. A context begins with
        // 4 bytes that say of what it is.
        let (caller, is_known) = unsafe {
            let (caller, host) = ((*of).context, (*suspend).context);
            let magic = (*caller.cast::<[u8; 4]>(), *host.cast::<[u8; 4]>());
            (caller, magic == (INSTANCE_MAGIC, HOST_MAGIC))
        };
        if is_known {
            self.0.caller.store(caller, SeqCst);
        }
    }
}

impl Drop for Interruptible<'_> {
    fn drop(&mut self) {
        self.0.caller.store(ptr::null_mut(), SeqCst);
        self.0.suspend.store(ptr::null_mut(), SeqCst);
    }
}

impl Guest {
    /// Whether the guest is suspended in the signal handler: its future must not be dropped then.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(SeqCst)
    }

    /// Whether it runs, or is about to.
    pub(super) fn is_prepared(&self) -> bool {
        !self.suspend.load(SeqCst).is_null()
    }

    /// Where the code of its module begins, and its length.
    pub(super) fn text(&self) -> (*const u8, usize) {
        (self.text.load(SeqCst), self.text_bytes.load(SeqCst))
    }

    /// Lets an interrupted guest trap when it is resumed.
    pub(crate) fn kill(&self) {
        self.killed.store(true, SeqCst);
    }
}

fn raw(func: &Func, store: &mut Store<State>) -> *mut RawFunc {
    // The pointer is valid as long as the store: `Func::to_raw`.
    func.to_raw(store.as_context_mut()).cast()
}

/// The slice is over, and the worker's thread was interrupted at `registers`: suspends the guest until
/// it is resumed. Gives false if it cannot be suspended there.
///
/// # Safety
///
/// Runs in a signal handler without `SA_ONSTACK`, with the registers that the kernel gave it.
pub(super) unsafe fn interrupt(shared: &Shared, registers: &Registers) -> bool {
    let in_body = |code: &Code| {
        let body = code.body(registers.pc());
        body.is_some_and(|body| registers.is_settled(body.1))
    };
    // SAFETY: the caller's promise.
    shared.code.as_ref().is_some_and(in_body) && unsafe { suspend(shared, registers) }
}

/// As [`interrupt`], where the guest has just come back from a host call, in the trampoline that made
/// it: point 10 of the safety argument.
///
/// # Safety
///
/// As for [`interrupt`].
pub(super) unsafe fn interrupt_return(shared: &Shared, registers: &Registers) -> bool {
    // SAFETY: the caller's promise.
    returns_to_body(shared, registers) && unsafe { suspend(shared, registers) }
}

/// Whether `registers` are those of a trampoline to the host, after its call, of a function's body.
pub(super) fn returns_to_body(shared: &Shared, registers: &Registers) -> bool {
    let Some(code) = &shared.code else {
        return false;
    };
    let called_from = registers.return_address();
    registers.is_after_call() && called_from.is_some_and(|address| code.body(address).is_some())
}

/// # Safety
///
/// As for [`interrupt`], and the guest may be suspended there.
unsafe fn suspend(shared: &Shared, registers: &Registers) -> bool {
    // SAFETY: the pointer is set only while the runtime polls the guest's sandbox, and both belong to
    // the slot, which lives as long as the runtime. That is: across the suspension, too.
    let guest = unsafe { shared.polled.load(SeqCst).as_ref() };
    let (Some(code), Some(guest)) = (&shared.code, guest) else {
        return false;
    };
    let caller = guest.caller.load(SeqCst);
    // SAFETY: `Interruptible` unsets it before its store is dropped, on this thread.
    let suspend = unsafe { guest.suspend.load(SeqCst).as_ref() };
    let Some(suspend) = suspend.filter(|_| !caller.is_null()) else {
        return false;
    };
    shared.suspend(Suspension::Preempted);
    guest.interrupted.store(true, SeqCst);
    let mut values = Values([0; 16]);
    // SAFETY: points 1, 3 and 4 of the safety argument.
    let returned = unsafe { (suspend.array_call)(suspend.context, caller, &mut values, 0) };
    guest.interrupted.store(false, SeqCst);
    if !returned {
        // The future was dropped, which nobody does, or wasmtime's host call is not what it was.
        std::process::abort();
    }
    if guest.killed.load(SeqCst) {
        registers.set_pc(code.trap_at);
    }
    true
}

/// The interrupted code's registers, in the frame that the kernel will restore them from.
pub(super) struct Registers(*mut libc::ucontext_t);

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
impl Registers {
    /// # Safety
    ///
    /// `context` is a signal handler's third argument, and outlives this.
    pub(super) unsafe fn new(context: *mut c_void) -> Registers {
        Registers(context.cast())
    }

    fn read(&self, register: libc::c_int) -> usize {
        // SAFETY: `new`'s promise, and the registers are numbered within the array.
        unsafe { (*self.0).uc_mcontext.gregs[register as usize] as usize }
    }

    pub(super) fn pc(&self) -> usize {
        self.read(libc::REG_RIP)
    }

    fn set_pc(&self, address: usize) {
        // SAFETY: as above; nobody else has the frame.
        unsafe { (*self.0).uc_mcontext.gregs[libc::REG_RIP as usize] = address as i64 };
    }

    /// Whether the instruction before, within a module's code, is an indirect call: `call r64`, as
    /// trampolines call the host.
    fn is_after_call(&self) -> bool {
        const CALL_REGISTER: u8 = 0b11_010_000;
        // SAFETY: the caller has found the address in code, which something always precedes.
        let [opcode, modrm] = unsafe { *((self.pc() - 2) as *const [u8; 2]) };
        opcode == 0xff && modrm & 0b11_111_000 == CALL_REGISTER
    }

    /// Where the function returns to that has its frame on top of the stack; `None` if there is none.
    fn return_address(&self) -> Option<usize> {
        let (sp, fp) = (self.read(libc::REG_RSP), self.read(libc::REG_RBP));
        let is_near = (sp..sp + limits::TRAMPOLINE_FRAME_BYTES_MAX).contains(&fp);
        // SAFETY: above the stack pointer is stack: point 10 of the safety argument.
        (is_near && fp.is_multiple_of(8)).then(|| unsafe { *((fp + 8) as *const usize) })
    }

    /// Whether the frame pointer points at a frame: point 9 of the safety argument. `end` is that of
    /// the function.
    fn is_settled(&self, end: usize) -> bool {
        let pc = self.pc();
        if self.read(libc::REG_RSP) != self.read(libc::REG_RBP) || end - pc < 4 {
            return true;
        }
        // SAFETY: the four bytes lie in the body of a function that is alive.
        let bytes = unsafe { *(pc as *const [u8; 4]) };
        !is_frame_move(bytes)
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
impl Registers {
    pub(super) unsafe fn new(context: *mut c_void) -> Registers {
        Registers(context.cast())
    }

    /// In no function.
    pub(super) fn pc(&self) -> usize {
        0
    }

    fn set_pc(&self, _: usize) {}

    fn is_after_call(&self) -> bool {
        false
    }

    fn return_address(&self) -> Option<usize> {
        None
    }

    fn is_settled(&self, _: usize) -> bool {
        false
    }
}

/// `mov r11, [rsp+n]` or `mov [rsp+n], r11`, by which a prologue moves its frame.
fn is_frame_move(instruction: [u8; 4]) -> bool {
    const REX_WR: u8 = 0x4c;
    const R11_AND_SIB: u8 = 0b00_011_100;
    const RSP: u8 = 0x24;
    let [rex, opcode, modrm, sib] = instruction;
    rex == REX_WR && matches!(opcode, 0x89 | 0x8b) && modrm & 0x3f == R11_AND_SIB && sib == RSP
}

/// The native stack that a fiber has below what wasm may use: for host calls, and for the frames of
/// this handler and of one that interrupts it.
pub(crate) fn host_stack_bytes() -> usize {
    const AT_MINSIGSTKSZ: libc::c_ulong = 51;
    // SAFETY: no preconditions; 0 where the kernel does not say, which is before it knew larger ones.
    let frame_bytes = unsafe { libc::getauxval(AT_MINSIGSTKSZ) } as usize;
    limits::HOST_STACK_BYTES
        .max(limits::HOST_CALL_STACK_BYTES + limits::NESTED_SIGNALS * frame_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn prologues_that_move_their_frame_are_known() {
        // `few` has no arguments on the stack and tail-calls a function that has.
        let wat = r#"(module
            (func $few (param i32) (result i32)
              (return_call $many (local.get 0) (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4)
                (i32.const 5) (i32.const 6) (i32.const 7) (i32.const 8) (i32.const 9)))
            (func $many (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
              (return_call $few (local.get 9))))"#;
        const MOV_RBP_RSP: [u8; 3] = [0x48, 0x89, 0xe5];
        let engine = Settings::default().compiler().expect("an engine");
        let module = Module::new(&engine, wat).expect("compiles");
        let few = module.functions().next().expect("a function");
        let code = &module.text()[few.offset..few.offset + few.len];
        let frame_at = code.windows(3).rposition(|bytes| bytes == MOV_RBP_RSP);
        let mut at = frame_at.expect("a frame") + MOV_RBP_RSP.len();
        let mut moves = 0;
        while is_frame_move(code[at..at + 4].try_into().expect("four bytes")) {
            // The displacement: none, one byte, or four.
            at += 4 + [0, 1, 4][usize::from(code[at + 2] >> 6)];
            moves += 1;
        }
        assert_eq!(moves, 4, "{code:02x?}");
    }

    #[test]
    fn an_address_is_in_a_body_or_not() {
        let code = Code {
            bodies: Box::new([(10, 20), (20, 25), (40, 41)]),
            trap_at: 0,
            _modules: Vec::new(),
        };
        let check = |address, expected| assert_eq!(code.body(address), expected, "{address}");
        check(0, None);
        check(9, None);
        check(10, Some((10, 20)));
        check(19, Some((10, 20)));
        check(20, Some((20, 25)));
        check(25, None);
        check(40, Some((40, 41)));
        check(41, None);
        check(usize::MAX, None);
    }

    #[test]
    fn the_stack_has_room_for_signals() {
        assert!(host_stack_bytes() >= limits::HOST_STACK_BYTES);
    }
}
