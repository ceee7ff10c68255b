//! What a rewritten module does is what the original does, trap or no trap.

use wasmtime::{Engine, Instance, Module, Store, Trap};

use super::*;

/// A memory of one page with no two neighbouring bytes alike, and a passive segment.
fn module(index: &str, body: &str) -> Vec<u8> {
    let bytes: String = (0..200).map(|at| format!("\\{:02x}", at + 1)).collect();
    let wat = format!(
        r#"(module
            (memory (export "memory") {index} 1 1)
            (data $segment "{bytes}")
            (func (export "drop") (data.drop $segment))
            (func (export "prepare") (local $at i32)
              (loop $next
                (i32.store8 {at} (i32.mul (local.get $at) (i32.const 7)))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $at) (i32.const 65536)))))
            (func (export "run") {body}))"#,
        at = match index {
            "i64" => "(i64.extend_i32_u (local.get $at))",
            _ => "(local.get $at)",
        }
    );
    wat::parse_str(&wat).unwrap_or_else(|error| panic!("{error}\n{wat}"))
}

/// What the module does with these arguments: its trap and its memory.
struct Subject {
    store: Store<()>,
    instance: Instance,
}

impl Subject {
    fn new(engine: &Engine, wasm: &[u8]) -> Subject {
        let module = Module::new(engine, wasm).expect("it is valid");
        let mut store = Store::new(engine, ());
        let instance = Instance::new(&mut store, &module, &[]).expect("it starts");
        Subject { store, instance }
    }

    fn call(&mut self, name: &str, arguments: &[wasmtime::Val]) -> Option<Trap> {
        let function = self.instance.get_func(&mut self.store, name);
        let function = function.expect("it is exported");
        let called = function.call(&mut self.store, arguments, &mut []);
        called
            .err()
            .map(|error| *error.downcast_ref().expect("a trap"))
    }

    fn memory(&mut self) -> &[u8] {
        let memory = self.instance.get_memory(&mut self.store, "memory");
        memory.expect("it is exported").data(&self.store)
    }
}

/// Calls both with each `(d, s, n)`; returns how many trapped.
fn check(wasm: &[u8], chunk_bytes: u64, calls: &[[u64; 3]], drops: bool) -> usize {
    let engine = Engine::default();
    let rewritten = rewrite_by(wasm, chunk_bytes).expect("it can be read");
    assert_ne!(*wasm, *rewritten.wasm);
    let mut subjects = [wasm, &rewritten.wasm].map(|wasm| Subject::new(&engine, wasm));
    let mut trapped = 0;
    for call in calls {
        let [before, after] = &mut subjects;
        let mut traps = [before, after].map(|subject| {
            subject.call("prepare", &[]);
            if drops {
                subject.call("drop", &[]);
            }
            let run = subject.instance.get_func(&mut subject.store, "run");
            let ty = run.expect("it is exported").ty(&subject.store);
            let arguments = ty.params().zip(call).map(|(ty, value)| match ty {
                wasmtime::ValType::I64 => wasmtime::Val::I64(*value as i64),
                _ => wasmtime::Val::I32(*value as i32),
            });
            let arguments: Vec<_> = arguments.collect();
            subject.call("run", &arguments)
        });
        assert_eq!(traps[0].take(), traps[1], "{call:?} by {chunk_bytes}");
        trapped += usize::from(traps[1].is_some());
        let [before, after] = &mut subjects;
        assert!(
            before.memory() == after.memory(),
            "{call:?} by {chunk_bytes}"
        );
    }
    trapped
}

/// Every combination.
fn calls(destinations: &[u64], sources: &[u64], lengths: &[u64]) -> Vec<[u64; 3]> {
    let mut calls = Vec::new();
    for d in destinations {
        for s in sources {
            calls.extend(lengths.iter().map(|n| [*d, *s, *n]));
        }
    }
    calls
}

/// About a chunk of 16 bytes, and about the end of the memory.
const PLACES: [u64; 14] = [
    0,
    1,
    15,
    16,
    17,
    31,
    33,
    48,
    100,
    65_500,
    65_519,
    65_535,
    65_536,
    0xffff_fff0,
];
const LENGTHS: [u64; 16] = [
    0,
    1,
    15,
    16,
    17,
    31,
    32,
    33,
    47,
    48,
    49,
    64,
    100,
    200,
    65_536,
    0xffff_ffff,
];

const PARAMS_32: &str = "(param i32 i32 i32)";

#[test]
fn fills_are_equal() {
    let check_all = |index: &str, body: &str| {
        let wasm = module(index, body);
        let trapped = check(&wasm, 16, &calls(&PLACES, &[0xab], &LENGTHS), false);
        assert!((30..200).contains(&trapped), "{trapped}");
    };
    let operation = "(memory.fill (local.get 0) (local.get 1) (local.get 2))";
    check_all("", &format!("{PARAMS_32} {operation}"));
    check_all("i64", &format!("(param i64 i32 i64) {operation}"));
}

#[test]
fn copies_are_equal_however_they_overlap() {
    let check_all = |index: &str, body: &str| {
        let wasm = module(index, body);
        let near: Vec<u64> = (60..140).step_by(3).collect();
        let calls = [
            calls(&PLACES, &PLACES, &LENGTHS),
            calls(&near, &[100], &LENGTHS),
        ]
        .concat();
        let trapped = check(&wasm, 16, &calls, false);
        assert!((500..3000).contains(&trapped), "{trapped}");
    };
    let operation = "(memory.copy (local.get 0) (local.get 1) (local.get 2))";
    check_all("", &format!("{PARAMS_32} {operation}"));
    check_all("i64", &format!("(param i64 i64 i64) {operation}"));
}

#[test]
fn initialisations_are_equal_from_segments_kept_and_dropped() {
    let check_all = |index: &str, body: &str| {
        let wasm = module(index, body);
        let calls = calls(
            &PLACES,
            &[0, 1, 16, 100, 199, 200, 201, 0xffff_ffff],
            &LENGTHS,
        );
        for (drops, expected) in [(false, 900..1700), (true, 1600..1792)] {
            let trapped = check(&wasm, 16, &calls, drops);
            assert!(expected.contains(&trapped), "{trapped}");
        }
    };
    let operation = "(memory.init $segment (local.get 0) (local.get 1) (local.get 2))";
    check_all("", &format!("{PARAMS_32} {operation}"));
    check_all("i64", &format!("(param i64 i32 i32) {operation}"));
}

#[test]
fn sixty_four_bits_do_not_wrap() {
    let wasm = module(
        "i64",
        "(param i64 i32 i64) (memory.fill (local.get 0) (local.get 1) (local.get 2))",
    );
    let far = [u64::MAX, u64::MAX - 15, 1 << 63, 1 << 48, 1 << 32];
    let calls = [calls(&far, &[1], &LENGTHS), calls(&PLACES, &[1], &far)].concat();
    assert_eq!(check(&wasm, 16, &calls, false), calls.len());
}

#[test]
fn memories_and_their_kinds_are_told_apart() {
    let wat = r#"(module
        (import "" "" (func))
        (import "" "" (memory 1))
        (memory $wide i64 1)
        (data $segment "0123456789abcdefghij")
        (func (param i32 i64 i32)
          (memory.copy 0 $wide (local.get 0) (local.get 1) (local.get 2))
          (memory.copy $wide 0 (local.get 1) (local.get 0) (local.get 2))
          (memory.copy $wide $wide (local.get 1) (local.get 1) (i64.extend_i32_u (local.get 2)))
          (memory.init $wide $segment (local.get 1) (local.get 0) (local.get 2))
          (memory.copy 0 $wide (local.get 0) (local.get 1) (local.get 2))
          (memory.fill 0 (local.get 0) (local.get 0) (local.get 2))))"#;
    let wasm = wat::parse_str(wat).expect("it is well formed");
    let rewritten = rewrite_by(&wasm, 16).expect("it can be read");
    Module::new(&Engine::default(), &rewritten.wasm).expect("it is valid");
    let appended = |at| rewritten.offsets.is_appended(at);
    assert_eq!([1, 2].map(appended), [false, true]);
    let survey = Survey::of(&rewritten.wasm).expect("it can be read");
    assert_eq!((survey.functions, survey.bodies.len()), (2 + 5, 1 + 5));
}

#[test]
fn what_is_short_stays_as_it_is() {
    let check = |body: &str, is_same: bool| {
        let wasm = module("", body);
        let rewritten = rewrite_by(&wasm, 16).expect("it can be read");
        assert_eq!(*rewritten.wasm == *wasm, is_same, "{body}");
        assert_eq!(rewritten.offsets == Offsets::default(), is_same, "{body}");
    };
    let constant = |n: i32| format!("(memory.fill (i32.const 0) (i32.const 0) (i32.const {n}))");
    check("", true);
    check(&constant(16), true);
    check(&constant(17), false);
    check(&constant(-1), false);
    check(
        "(memory.init $segment (i32.const 0) (i32.const 0) (i32.const 16))",
        true,
    );
    check(
        "(param i32) (memory.copy (i32.const 0) (i32.const 0) (local.get 0))",
        false,
    );
    // The constant is not the length.
    let body = "(param i32) i32.const 0 i32.const 0 local.get 0 i32.const 1 drop memory.fill";
    check(body, false);
    // A segment that is no longer than a chunk needs no help.
    let wasm = module(
        "",
        "(param i32) (memory.init $segment (i32.const 0) (i32.const 0) (local.get 0))",
    );
    let rewritten = rewrite_by(&wasm, 200).expect("it can be read");
    assert_eq!(*rewritten.wasm, *wasm);
}

/// Also with more functions than two bytes of an index can name: there a call is longer than what it replaces.
#[test]
fn offsets_lead_back() {
    const BULK: &str = "(func (param i32)
        (memory.fill (local.get 0) (local.get 0) (local.get 0))
        (drop (i32.load (local.get 0)))
        (memory.copy (local.get 0) (local.get 0) (local.get 0))
        (drop (i32.load (local.get 0))))";
    for (others, shifts) in [(0, 1), (1, 1), (16_400, 3)] {
        let others = "(func (param i32))".repeat(others);
        let wat = format!("(module (memory 1) {BULK} {others} {BULK})");
        let wasm = wat::parse_str(&wat).expect("it is well formed");
        let rewritten = rewrite_by(&wasm, 16).expect("it can be read");
        let led: Vec<_> = places(&rewritten.wasm)
            .iter()
            .map(|offset| rewritten.offsets.original(*offset))
            .collect();
        let expected = places(&wasm);
        assert_eq!(led[..expected.len()], expected);
        assert_eq!(rewritten.offsets.shifts.len(), shifts);
    }
}

/// Where loads and ends are.
fn places(wasm: &[u8]) -> Vec<usize> {
    let survey = Survey::of(wasm).expect("it can be read");
    let operators = survey.bodies.iter().flat_map(|body| {
        let operators = body.get_operators_reader().expect("it can be read");
        operators.into_iter_with_offsets()
    });
    let operators = operators.map(|operator| operator.expect("it can be read"));
    let is_place = |operator: &_| matches!(operator, Operator::I32Load { .. } | Operator::End);
    operators
        .filter(|(operator, _)| is_place(operator))
        .map(|(_, offset)| offset)
        .collect()
}

#[test]
fn offsets_survive_the_cache() {
    let check = |shifts: &[(u32, i32)]| {
        let offsets = Offsets {
            functions: 7,
            shifts: shifts.to_vec(),
        };
        let mut bytes = b"code".to_vec();
        offsets.append(&mut bytes);
        assert_eq!(Offsets::split(&mut bytes), Some(offsets));
        assert_eq!(bytes, b"code");
    };
    check(&[]);
    check(&[(0, -3)]);
    check(&[(5, 3), (70, 4), (u32::MAX, i32::MIN)]);
    for cut in [0, 7, 8, 15] {
        let mut bytes = vec![0xff; cut];
        assert_eq!(Offsets::split(&mut bytes), None);
    }
}
