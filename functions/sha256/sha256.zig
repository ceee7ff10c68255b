//! sha256: the SHA-256 of the body in hexadecimal, as `sha256sum` prints it.
//!
//!   POST /sha256, any body
//!
//! The body is read in pieces of 16 KiB, so that memory does not grow with it. Reading and writing are the
//! calls of WASI themselves, which stay the same while Zig's own library for them changes.

const std = @import("std");
const wasi = std.os.wasi;

pub fn main() u8 {
    var hash = std.crypto.hash.sha2.Sha256.init(.{});
    var piece: [16 * 1024]u8 = undefined;
    while (true) {
        const into = [_]wasi.iovec_t{.{ .base = &piece, .len = piece.len }};
        var count: usize = 0;
        if (wasi.fd_read(0, &into, into.len, &count) != .SUCCESS) return 1;
        if (count == 0) break;
        hash.update(piece[0..count]);
    }
    const text = std.fmt.bytesToHex(hash.finalResult(), .lower) ++ "\n";
    const from = [_]wasi.ciovec_t{.{ .base = text, .len = text.len }};
    var count: usize = 0;
    const written = wasi.fd_write(1, &from, from.len, &count);
    return if (written == .SUCCESS and count == text.len) 0 else 1;
}
