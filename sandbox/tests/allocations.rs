//! A warm request allocates nothing of ours: as often as wasmtime alone, and no more.
//!
//! What wasmtime itself allocates for a store and an instance cannot be avoided through its API, and
//! is counted here beside: the same guest in the same kind of engine, by a bare loop. `System` does
//! the work, and each thread counts for itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sandbox::{Call, Exit, FunctionConfig, Preemption, Runtime, Settings, Step, compile};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module,
    PoolingAllocationConfig, Store,
};

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is `System`'s, with what was given. Counting allocates nothing: the cell is in
// the thread's own memory from the start and has no destructor.
#[expect(unsafe_code, reason = "an allocator is unsafe to implement")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Allocations of this thread in one call of `work`, when it is warm.
fn allocations(mut work: impl FnMut()) -> u64 {
    (0..10).for_each(|_| work());
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

const EMPTY: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

/// Reads the request, and writes to the body and to the log.
const TALKS: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (memory (export "memory") 2)
  (table 10 funcref)
  (data (i32.const 0) "\40\00\00\00\10\00\00\00")
  (func (export "_start")
    (drop (call $sizes (i32.const 16) (i32.const 20)))
    (drop (call $args (i32.const 1024) (i32.const 2048)))
    (drop (call $environ_sizes (i32.const 16) (i32.const 20)))
    (drop (call $environ (i32.const 1024) (i32.const 2048)))
    (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 32)))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 24)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 24)))
    (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 24)))))"#;

/// Of a life under our runtime, from dispatch to reset.
fn ours(wasm: &[u8], preemption: Preemption) -> u64 {
    let settings = Settings {
        sandboxes_max: 4,
        preemption,
        ..Settings::default()
    };
    let reactor = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a reactor");
    let artifact = compile(&settings, wasm).expect("compiles");
    let config = FunctionConfig {
        environment: vec![("LEVEL".to_owned(), "1".to_owned())],
        ..FunctionConfig::default()
    };
    let functions = [(artifact, config)];
    let runtime = Runtime::new(&settings, &functions, reactor.handle().clone());
    let mut runtime = runtime.expect("a runtime");
    let mut buffers = Some(Call {
        arguments: b"a=1\0b\0".to_vec(),
        environment: b"REQUEST_METHOD=GET\0".to_vec(),
        stdin: b"0123456789abcdef".to_vec(),
        ..Call::default()
    });
    allocations(|| {
        let mut call = buffers.take().expect("they come back");
        call.stdout.clear();
        call.stderr.clear();
        runtime.start(0, 0, call, Waker::noop().clone());
        let Step::Finished(outcome) = runtime.resume(0) else {
            panic!("not finished");
        };
        assert_eq!(outcome.exit, Exit::Success);
        buffers = Some(outcome.call);
    })
}

/// Of a store, an instance and a call by wasmtime alone. Host calls do nothing.
fn bare(wasm: &[u8], preemption: Preemption) -> u64 {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(4)
        .total_memories(4)
        .total_tables(4)
        .total_stacks(4)
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(64 << 10);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(preemption == Preemption::Epoch)
        .concurrency_support(false);
    let engine = Engine::new(&config).expect("an engine");
    let module = Module::new(&engine, wasm).expect("compiles");
    let linker = mute(&engine);
    let instance: InstancePre<()> = linker.instantiate_pre(&module).expect("links");
    let start = module.get_export_index("_start").expect("is there");
    allocations(|| {
        let mut store = Store::new(&engine, ());
        if preemption == Preemption::Epoch {
            store.set_epoch_deadline(1);
        }
        drive(async {
            let instance = instance.instantiate_async(&mut store).await.expect("fits");
            let start = instance.get_module_export(&mut store, &start);
            let start = start
                .and_then(|export| export.into_func())
                .expect("a function");
            let start = start.typed::<(), ()>(&store).expect("its type");
            start.call_async(&mut store, ()).await.expect("returns");
        });
    })
}

/// Host calls that do nothing, for the imports of the guests above.
fn mute(engine: &Engine) -> Linker<()> {
    const MODULE: &str = "wasi_snapshot_preview1";
    let mut linker = Linker::new(engine);
    let four = |_: i32, _: i32, _: i32, _: i32| 0;
    let two = |_: i32, _: i32| 0;
    let clock = |_: i32, _: i64, _: i32| 0;
    linker
        .func_wrap(MODULE, "fd_read", four)
        .and_then(|linker| linker.func_wrap(MODULE, "fd_write", four))
        .and_then(|linker| linker.func_wrap(MODULE, "args_sizes_get", two))
        .and_then(|linker| linker.func_wrap(MODULE, "args_get", two))
        .and_then(|linker| linker.func_wrap(MODULE, "environ_sizes_get", two))
        .and_then(|linker| linker.func_wrap(MODULE, "environ_get", two))
        .and_then(|linker| linker.func_wrap(MODULE, "clock_time_get", clock))
        .expect("each is defined once");
    linker
}

fn drive<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let Poll::Ready(output) = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("waits");
    };
    output
}

#[test]
fn a_warm_request_allocates_nothing_of_ours() {
    for (name, wat) in [("empty", EMPTY), ("talks", TALKS)] {
        let wasm = wat::parse_str(wat).expect("parses");
        // With signals, wasmtime boxes the store's handler of faults, and makes room in the store for
        // the function that suspends.
        for (preemption, more) in [
            (Preemption::Off, 0),
            (Preemption::Epoch, 0),
            (Preemption::Signal, 4),
        ] {
            let (ours, bare) = (ours(&wasm, preemption), bare(&wasm, preemption));
            println!("{name}, {preemption:?}: {ours}, of which wasmtime alone {bare}");
            assert!(
                ours <= bare + more,
                "{name}, {preemption:?}: {ours}, {bare}"
            );
        }
    }
}
