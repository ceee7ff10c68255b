;; Writes argv and then the environment to stdout as they lie in memory: each string ended by a NUL byte.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 4)
  ;; 0: count, 4: bytes, 8: a vector, 16: written. Pointers from 0x10000, strings from 0x20000.
  (func $print
    (i32.store (i32.const 8) (i32.const 0x20000))
    (i32.store (i32.const 12) (i32.load (i32.const 4)))
    (if (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)) (then unreachable)))
  (func (export "_start")
    (if (call $args_sizes (i32.const 0) (i32.const 4)) (then unreachable))
    (if (call $args (i32.const 0x10000) (i32.const 0x20000)) (then unreachable))
    (call $print)
    (if (call $environ_sizes (i32.const 0) (i32.const 4)) (then unreachable))
    (if (call $environ (i32.const 0x10000) (i32.const 0x20000)) (then unreachable))
    (call $print)))
