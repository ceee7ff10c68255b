;; The body is a letter and a path in its first directory. "r": answers what is in the file. "w": makes the file, and
;; writes the path into it and into the answer; "y" does that, and yields for ever. What fails is answered by the errno:
;; a byte after "no ".
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $sched_yield (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))

  ;; 0: a vector, 8: a number of bytes, 16: a descriptor, 32: "no ", 1024: the body, 4096: what was read
  (memory (export "memory") 1)
  (data (i32.const 32) "no ")

  (func $check (param $errno i32)
    (if (local.get $errno) (then
      (i32.store8 (i32.const 35) (local.get $errno))
      (call $vector (i32.const 32) (i32.const 4))
      (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (call $proc_exit (i32.const 0)))))
  (func $vector (param $at i32) (param $len i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $len)))
  (func $open (param $oflags i32) (param $rights i64)
    (call $check (call $path_open (i32.const 3) (i32.const 1) (i32.const 1025)
      (i32.sub (i32.load (i32.const 20)) (i32.const 1))
      (local.get $oflags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 16))))

  (func (export "_start") (local $letter i32)
    (call $vector (i32.const 1024) (i32.const 1024))
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 20)))
    (local.set $letter (i32.load8_u (i32.const 1024)))
    (if (i32.eq (local.get $letter) (i32.const 114)) (then
      (call $open (i32.const 0) (i64.const 2))
      (call $vector (i32.const 4096) (i32.const 4096))
      (call $check (call $fd_read (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 8)))
      (call $vector (i32.const 4096) (i32.load (i32.const 8)))
      (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (return)))
    ;; Created anew: it must not be there.
    (call $open (i32.const 5) (i64.const 64))
    (call $vector (i32.const 1025) (i32.sub (i32.load (i32.const 20)) (i32.const 1)))
    (call $check (call $fd_write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 8)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (if (i32.eq (local.get $letter) (i32.const 121)) (then
      (loop $forever (drop (call $sched_yield)) (br $forever))))))
