#!/bin/sh
# Rebuilds the modules of the cases beside their sources. The results are committed, so that the tests need no
# WebAssembly toolchain. What it needs, and what the environment may say, is as in functions/build.sh.
set -eu
cd "$(dirname "$0")/cases"

objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT

cc="${CC_WASM:-${WASI_SDK_PATH:+$WASI_SDK_PATH/bin/}clang}"
for source in *.c; do
    name=${source%.c}
    # In two steps: clang runs wasm-opt, where it finds one, when it optimises and links in one.
    "$cc" --target=wasm32-wasi ${CFLAGS_WASM:-} -O2 -Wall -Wextra -Wno-unused-function \
        -c "$source" -o "$objects/$name.o"
    "$cc" --target=wasm32-wasi ${CFLAGS_WASM:-} "$objects/$name.o" -o "$name.wasm" \
        -Wl,--strip-debug -Wl,--stack-first -Wl,-z,stack-size=8192
done

# The builder's own paths stay out of the module.
sysroot=$("${RUSTC:-rustc}" --print sysroot)
target="${CARGO_TARGET_DIR:-$objects/target}"
RUSTFLAGS="--remap-path-prefix=$sysroot/lib/rustlib/src/rust=rust --remap-path-prefix=$PWD=cases ${RUSTFLAGS:-}" \
    CARGO_TARGET_DIR="$target" cargo build --locked --release --target wasm32-wasip1 ${CARGO_ARGS:-}
cp "$target/wasm32-wasip1/release/rust-std.wasm" rust-std.wasm

chmod 644 ./*.wasm
wc -c ./*.wasm
