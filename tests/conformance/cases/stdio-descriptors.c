// Standard descriptors: what they can and cannot do, closed, and under another number.
#include "../check.h"

int main(void) {
    uint8_t byte = 'x';
    __wasi_iovec_t in = {&byte, 1};
    __wasi_ciovec_t out = {&byte, 1};
    len_t count;
    __wasi_filesize_t at;
    GIVES(__wasi_fd_write(0, &out, 1, &count), __WASI_ERRNO_BADF);
    GIVES(__wasi_fd_read(1, &in, 1, &count), __WASI_ERRNO_BADF);
    GIVES(__wasi_fd_read(2, &in, 1, &count), __WASI_ERRNO_BADF);
    GIVES(__wasi_fd_write(99, &out, 1, &count), __WASI_ERRNO_BADF);
    for (fd_t fd = 0; fd < 3; fd++) {
        __wasi_fdstat_t status;
        WORKS(__wasi_fd_fdstat_get(fd, &status));
        CHECK(status.fs_filetype != __WASI_FILETYPE_DIRECTORY && status.fs_filetype != __WASI_FILETYPE_REGULAR_FILE);
        GIVES(__wasi_fd_seek(fd, 0, __WASI_WHENCE_CUR, &at), __WASI_ERRNO_SPIPE);
        GIVES(__wasi_fd_tell(fd, &at), __WASI_ERRNO_SPIPE);
        __wasi_prestat_t prestat;
        GIVES(__wasi_fd_prestat_get(fd, &prestat), __WASI_ERRNO_BADF);
    }
    WORKS(__wasi_fd_close(2));
    GIVES(__wasi_fd_close(2), __WASI_ERRNO_BADF);
    GIVES(__wasi_fd_write(2, &out, 1, &count), __WASI_ERRNO_BADF);
    GIVES(__wasi_fd_renumber(99, 1), __WASI_ERRNO_BADF);
    // Standard output under the number of standard input.
    WORKS(__wasi_fd_renumber(1, 0));
    GIVES(__wasi_fd_write(1, &out, 1, &count), __WASI_ERRNO_BADF);
    WORKS(__wasi_fd_write(0, &out, 1, &count));
    CHECK(count == 1);
    GIVES(__wasi_fd_read(0, &in, 1, &count), __WASI_ERRNO_BADF);
    return 0;
}
