#!/bin/sh
# Rebuilds every function and puts its .wasm beside its source. The results are committed: they are
# what the server embeds, so that building the server needs no WebAssembly toolchain.
#
# Needs, ordinarily:
#   C      wasi-sdk with WASI_SDK_PATH set, or a clang with wasi-libc
#   Rust   rustup target add wasm32-wasip1
#   Zig    zig 0.17
#   AssemblyScript  node with npm, which fetches the compiler
#
# What the environment may say instead:
#   CC_WASM      the C compiler (default: $WASI_SDK_PATH/bin/clang, else clang)
#   CFLAGS_WASM  more flags for it, e.g. --target=wasm32-wasip1 or --sysroot=...
#   ZIG          the Zig compiler (default: zig)
#   CARGO_ARGS   more arguments for cargo, e.g. -Z build-std=std,panic_abort
#   RUSTFLAGS    more flags for rustc; RUSTC, CARGO_TARGET_DIR and the like work as usual
set -eu
cd "$(dirname "$0")"

c_functions="empty fib echo ekf"
rust_functions="resize html"
zig_functions="sha256"
assemblyscript_functions="words"

# The stack lies below the data, in Rust's by default: an overflow traps.
c_stack_bytes=8192
rust_stack_bytes=65536
zig_stack_bytes=65536

objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT

cc="${CC_WASM:-${WASI_SDK_PATH:+$WASI_SDK_PATH/bin/}clang}"
for name in $c_functions; do
    # In two steps: clang runs wasm-opt, where it finds one, when it optimises and links in one.
    "$cc" --target=wasm32-wasi ${CFLAGS_WASM:-} -O2 -Wall -Wextra \
        -c "$name/$name.c" -o "$objects/$name.o"
    "$cc" --target=wasm32-wasi ${CFLAGS_WASM:-} "$objects/$name.o" -o "$name/$name.wasm" \
        -Wl,--strip-debug -Wl,--stack-first -Wl,-z,stack-size=$c_stack_bytes
done

# The builder's own paths stay out of the modules: of the crates, of std where cargo builds it, of
# this folder.
cargo fetch --quiet --locked
sysroot=$("${RUSTC:-rustc}" --print sysroot)
flags="-C link-arg=-zstack-size=$rust_stack_bytes -C target-feature=+simd128"
for sources in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do
    flags="$flags --remap-path-prefix=${sources%/}=crates"
done
flags="$flags --remap-path-prefix=$sysroot/lib/rustlib/src/rust=rust"
RUSTFLAGS="$flags --remap-path-prefix=$PWD=functions ${RUSTFLAGS:-}" \
    cargo build --locked --release --target wasm32-wasip1 ${CARGO_ARGS:-}
for name in $rust_functions; do
    cp "${CARGO_TARGET_DIR:-target}/wasm32-wasip1/release/$name.wasm" "$name/$name.wasm"
done

for name in $zig_functions; do
    ${ZIG:-zig} build-exe "$name/$name.zig" -target wasm32-wasi -O ReleaseSmall -fstrip --stack $zig_stack_bytes \
        --cache-dir "$objects/zig" -femit-bin="$name/$name.wasm"
done

# A sandbox is thrown away with its request: what the guest allocates need not be freed.
for name in $assemblyscript_functions; do
    cp "$name/package.json" "$name/$name.ts" "$objects"
    (cd "$objects" && npm install --silent && npx asc "$name.ts" -O3 --runtime stub -o "$name.wasm" \
        --config node_modules/@assemblyscript/wasi-shim/asconfig.json)
    cp "$objects/$name.wasm" "$name/$name.wasm"
done

chmod 644 ./*/*.wasm
wc -c ./*/*.wasm
