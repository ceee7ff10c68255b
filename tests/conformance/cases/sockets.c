// There are no sockets: what takes one is refused, for files and for numbers of nothing.
#include "../check.h"

int main(void) {
    fd_t fd;
    uint8_t byte;
    len_t count;
    __wasi_roflags_t flags;
    __wasi_iovec_t in = {&byte, 1};
    __wasi_ciovec_t out = {&byte, 1};
    GIVES(__wasi_sock_shutdown(99, __WASI_SDFLAGS_RD), __WASI_ERRNO_BADF);
    GIVES_EITHER(__wasi_sock_accept(99, 0, &fd), __WASI_ERRNO_BADF, __WASI_ERRNO_NOTSUP);
    GIVES_EITHER(__wasi_sock_recv(99, &in, 1, 0, &count, &flags), __WASI_ERRNO_BADF, __WASI_ERRNO_NOTSUP);
    GIVES_EITHER(__wasi_sock_send(99, &out, 1, 0, &count), __WASI_ERRNO_BADF, __WASI_ERRNO_NOTSUP);
    make("file", "x");
    WORKS(open_at(DIR, "file", 0, READS, 0, &fd));
    GIVES_EITHER(__wasi_sock_shutdown(fd, __WASI_SDFLAGS_RD), __WASI_ERRNO_NOTSOCK, __WASI_ERRNO_BADF);
    return 0;
}
