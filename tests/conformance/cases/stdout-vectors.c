// Output from several buffers comes out in their order; each descriptor has its own.
#include "../check.h"

int main(void) {
    const __wasi_ciovec_t parts[] = {
        {(const uint8_t *)"one ", 4}, {(const uint8_t *)"", 0}, {(const uint8_t *)"two ", 4}, {(const uint8_t *)"three\n", 6},
    };
    len_t written;
    WORKS(__wasi_fd_write(1, parts, 4, &written));
    CHECK(written == 14);
    WORKS(__wasi_fd_write(2, parts + 2, 2, &written));
    CHECK(written == 10);
    WORKS(__wasi_fd_write(1, parts, 0, &written));
    CHECK(written == 0);
    return 0;
}
