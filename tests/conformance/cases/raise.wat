;; A signal that is ignored by default does nothing; an unknown one is EINVAL; SIGTERM ends the guest.
(module
  (import "wasi_snapshot_preview1" "proc_raise" (func $raise (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    ;; SIGCHLD, SIGCONT, SIGURG, SIGWINCH
    (if (call $raise (i32.const 16)) (then (call $exit (i32.const 1))))
    (if (call $raise (i32.const 17)) (then (call $exit (i32.const 2))))
    (if (call $raise (i32.const 22)) (then (call $exit (i32.const 3))))
    (if (call $raise (i32.const 27)) (then (call $exit (i32.const 4))))
    (if (i32.ne (call $raise (i32.const 31)) (i32.const 28)) (then (call $exit (i32.const 5))))
    (drop (call $raise (i32.const 15)))
    (call $exit (i32.const 6))))
