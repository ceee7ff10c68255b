;; Sleeps for as many nanoseconds as the body says (a little-endian u64), and answers how much longer it was, by its
;; own clock.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))

  ;; 64: a subscription to the monotonic clock; its timeout at 88. 128: the event. 192, 200: before and after.
  (memory (export "memory") 1)
  (data (i32.const 0) "\58\00\00\00\08\00\00\00")
  (data (i32.const 8) "\c0\00\00\00\08\00\00\00")

  (func (export "_start")
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
    (i32.store (i32.const 80) (i32.const 1))
    (drop (call $time (i32.const 1) (i64.const 0) (i32.const 192)))
    (if (call $poll_oneoff (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 16))
      (then (unreachable)))
    (drop (call $time (i32.const 1) (i64.const 0) (i32.const 200)))
    (i64.store (i32.const 192)
      (i64.sub (i64.sub (i64.load (i32.const 200)) (i64.load (i32.const 192))) (i64.load (i32.const 88))))
    (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))))
