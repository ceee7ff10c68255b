;; Writes 4 MiB before it reads anything, then copies what it reads behind them.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  ;; 0: the second page, 8: as much of it as was read, at 20 of which
  (data (i32.const 0) "\00\00\01\00\00\00\01\00")
  (data (i32.const 8) "\00\00\01\00")
  (func (export "_start") (local $pages i32)
    (local.set $pages (i32.const 64))
    (loop $more
      (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)) (then unreachable))
      (local.set $pages (i32.sub (local.get $pages) (i32.const 1)))
      (br_if $more (local.get $pages)))
    (loop $more
      (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 20)) (then unreachable))
      (i32.store (i32.const 12) (i32.load (i32.const 20)))
      (if (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 24)) (then unreachable))
      (br_if $more (i32.load (i32.const 20))))))
