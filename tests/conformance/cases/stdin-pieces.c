// Input is read in pieces and into several buffers at once; at its end there are 0 bytes, again and again.
#include "../check.h"

int main(void) {
    uint8_t a[1], b[4], c[64];
    len_t count;
    __wasi_iovec_t parts[] = {{a, 0}, {a, sizeof a}, {b, sizeof b}};
    WORKS(__wasi_fd_read(0, parts, 3, &count));
    CHECK(count >= 1 && a[0] == 'a');
    // A pipe may give less than there is room for.
    len_t have = count;
    memcpy(c, "a", 1);
    memcpy(c + 1, b, count - 1);
    while (have < 10) {
        __wasi_iovec_t rest = {c + have, sizeof c - have};
        WORKS(__wasi_fd_read(0, &rest, 1, &count));
        CHECK(count > 0);
        have += count;
    }
    CHECK(have == 10 && memcmp(c, "abcdefghij", 10) == 0);
    for (int turn = 0; turn < 2; turn++) {
        __wasi_iovec_t rest = {c, sizeof c};
        WORKS(__wasi_fd_read(0, &rest, 1, &count));
        CHECK(count == 0);
    }
    WORKS(__wasi_fd_read(0, parts, 0, &count));
    CHECK(count == 0);
    return 0;
}
