//! What of WebAssembly beyond its first version runs here, and what is refused in which words: name, module,
//! and a part of the refusal.

#[rustfmt::skip]
pub const PROPOSALS: &[(&str, &str, Option<&str>)] = &[
    ("bulk memory", r#"(module (memory 1) (func (export "_start") (memory.fill (i32.const 0) (i32.const 1) (i32.const 9))))"#, None),
    ("multi-value", r#"(module (func $two (result i32 i32) (i32.const 1) (i32.const 2)) (func (export "_start") (call $two) drop drop))"#, None),
    ("mutable globals", r#"(module (global (export "g") (mut i32) (i32.const 0)) (func (export "_start") (global.set 0 (i32.const 1))))"#, None),
    ("non-trapping conversions", r#"(module (func (export "_start") (drop (i32.trunc_sat_f64_s (f64.const 1e300)))))"#, None),
    ("sign extension", r#"(module (func (export "_start") (drop (i32.extend8_s (i32.const 200)))))"#, None),
    ("reference types, functions", r#"(module (table 1 funcref) (func (export "_start") (table.set (i32.const 0) (ref.null func))))"#, None),
    ("SIMD", r#"(module (func (export "_start") (drop (i32x4.add (v128.const i64x2 1 2) (v128.const i64x2 3 4)))))"#, None),
    ("relaxed SIMD", r#"(module (func (export "_start") (drop (i8x16.relaxed_swizzle (v128.const i64x2 1 2) (v128.const i64x2 3 4)))))"#, None),
    ("tail calls", r#"(module (func $f) (func (export "_start") (return_call $f)))"#, None),
    ("extended constants", r#"(module (memory 1) (data (i32.add (i32.const 1) (i32.const 2)) "x") (func (export "_start")))"#, None),
    ("memory64", r#"(module (memory i64 1) (func (export "_start") (i64.store (i64.const 8) (i64.const 1))))"#, None),
    ("multi-memory", r#"(module (memory 1) (memory 1) (func (export "_start")))"#, Some("has 2 memories, more than 1")),
    ("threads", r#"(module (memory 1 1 shared) (func (export "_start") (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))))"#, Some("threads")),
    ("exceptions", r#"(module (tag $t) (func (export "_start") (block $b (try_table (catch $t $b) (throw $t)))))"#, Some("exceptions")),
    ("garbage collection", r#"(module (type $s (struct (field i32))) (func (export "_start") (drop (struct.new $s (i32.const 1)))))"#, Some("gc")),
    ("reference types, of the host", r#"(module (table 1 externref) (func (export "_start")))"#, Some("gc")),
    ("typed function references", r#"(module (type $t (func)) (func $f) (elem declare func $f) (func (export "_start") (call_ref $t (ref.func $f))))"#, None),
    ("stack switching", r#"(module (type $f (func)) (type $c (cont $f)) (func (export "_start") (drop (ref.null $c))))"#, Some("stack switching")),
    ("wide arithmetic", r#"(module (func (export "_start") (i64.add128 (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)) drop drop))"#, Some("wide arithmetic")),
    ("custom page sizes", r#"(module (memory 1 (pagesize 1)) (func (export "_start")))"#, Some("page sizes")),
    ("shared-everything threads", r#"(module (global (shared mut i32) (i32.const 0)) (func (export "_start")))"#, Some("shared-everything")),
];
