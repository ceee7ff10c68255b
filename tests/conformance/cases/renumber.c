// A descriptor under another's number; the other is closed.
#include "../check.h"

int main(void) {
    make("a", "from a");
    make("b", "from b");
    fd_t a, b;
    WORKS(open_at(DIR, "a", 0, READS, 0, &a));
    WORKS(open_at(DIR, "b", 0, READS, 0, &b));
    WORKS(__wasi_fd_renumber(a, b));
    char bytes[7] = {0};
    __wasi_iovec_t part = {(uint8_t *)bytes, 6};
    len_t count;
    GIVES(__wasi_fd_read(a, &part, 1, &count), __WASI_ERRNO_BADF);
    WORKS(__wasi_fd_read(b, &part, 1, &count));
    CHECK(count == 6 && strcmp(bytes, "from a") == 0);
    GIVES(__wasi_fd_renumber(a, b), __WASI_ERRNO_BADF);
    WORKS(__wasi_fd_renumber(b, b));
    WORKS(__wasi_fd_close(b));
    // Numbers are given again.
    for (int turn = 0; turn < 5000; turn++) {
        fd_t fd;
        WORKS(open_at(DIR, "a", 0, READS, 0, &fd));
        CHECK(fd < 64);
        WORKS(__wasi_fd_close(fd));
    }
    // A file as standard output.
    fd_t out = created("out");
    WORKS(__wasi_fd_renumber(out, 1));
    say(1, "into the file");
    WORKS(__wasi_fd_close(1));
    holds("out", "into the file");
    return 0;
}
