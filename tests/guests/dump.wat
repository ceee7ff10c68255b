;; A CGI response of all that it is told: its arguments, an empty string, its environment, each string with its NUL.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))

  ;; 0: what to write, 8: a count of bytes, 16: a number of strings, 20: their bytes; 65536: pointers; 131072: strings
  (memory (export "memory") 8)
  (data (i32.const 32) "Content-Type: x/dump\0a\0a")
  (data (i32.const 64) "\00")

  (func $write (param $at i32) (param $len i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $len))
    (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable)))

  (func (export "_start")
    (call $write (i32.const 32) (i32.const 22))
    (if (call $args_sizes_get (i32.const 16) (i32.const 20)) (then unreachable))
    (if (call $args_get (i32.const 65536) (i32.const 131072)) (then unreachable))
    (call $write (i32.const 131072) (i32.load (i32.const 20)))
    (call $write (i32.const 64) (i32.const 1))
    (if (call $environ_sizes_get (i32.const 16) (i32.const 20)) (then unreachable))
    (if (call $environ_get (i32.const 65536) (i32.const 131072)) (then unreachable))
    (call $write (i32.const 131072) (i32.load (i32.const 20)))))
