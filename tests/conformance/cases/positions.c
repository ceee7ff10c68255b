// Reading and writing at positions, the file's own and given ones.
#include "../check.h"

static __wasi_filesize_t told(fd_t fd) {
    __wasi_filesize_t at;
    WORKS(__wasi_fd_tell(fd, &at));
    return at;
}

int main(void) {
    fd_t fd = created("file");
    put(fd, "0123456789");
    CHECK(told(fd) == 10);
    char a[3] = "..", b[5] = "....";
    __wasi_iovec_t parts[] = {{(uint8_t *)a, 2}, {(uint8_t *)b, 4}};
    len_t count;
    WORKS(__wasi_fd_read(fd, parts, 2, &count));
    CHECK(count == 0);
    // Given positions leave the file's own where it is.
    WORKS(__wasi_fd_pread(fd, parts, 1, 3, &count));
    CHECK(count == 2 && strcmp(a, "34") == 0 && told(fd) == 10);
    WORKS(__wasi_fd_pread(fd, parts, 1, 9, &count));
    CHECK(count == 1 && a[0] == '9');
    WORKS(__wasi_fd_pread(fd, parts, 1, 10, &count));
    CHECK(count == 0);
    WORKS(__wasi_fd_pread(fd, parts, 1, 1000, &count));
    CHECK(count == 0);
    __wasi_ciovec_t out = {(const uint8_t *)"AB", 2};
    WORKS(__wasi_fd_pwrite(fd, &out, 1, 4, &count));
    CHECK(count == 2 && told(fd) == 10);

    __wasi_filesize_t at;
    WORKS(__wasi_fd_seek(fd, 2, __WASI_WHENCE_SET, &at));
    CHECK(at == 2);
    WORKS(__wasi_fd_seek(fd, 2, __WASI_WHENCE_CUR, &at));
    CHECK(at == 4);
    WORKS(__wasi_fd_seek(fd, -1, __WASI_WHENCE_END, &at));
    CHECK(at == 9);
    WORKS(__wasi_fd_seek(fd, -5, __WASI_WHENCE_CUR, &at));
    CHECK(at == 4 && told(fd) == 4);
    GIVES(__wasi_fd_seek(fd, -5, __WASI_WHENCE_CUR, &at), __WASI_ERRNO_INVAL);
    GIVES(__wasi_fd_seek(fd, -1, __WASI_WHENCE_SET, &at), __WASI_ERRNO_INVAL);
    CHECK(told(fd) == 4);
    WORKS(__wasi_fd_read(fd, parts, 1, &count));
    CHECK(count == 2 && strcmp(a, "AB") == 0 && told(fd) == 6);

    // Beyond the end is a hole of zeros.
    WORKS(__wasi_fd_seek(fd, 12, __WASI_WHENCE_SET, &at));
    put(fd, "Z");
    WORKS(__wasi_fd_pread(fd, parts + 1, 1, 9, &count));
    CHECK(count == 4 && memcmp(b, "9\0\0Z", 4) == 0);
    __wasi_filestat_t status;
    WORKS(__wasi_fd_filestat_get(fd, &status));
    CHECK(status.size == 13);
    WORKS(__wasi_fd_sync(fd));
    WORKS(__wasi_fd_datasync(fd));
    WORKS(__wasi_fd_advise(fd, 0, 10, __WASI_ADVICE_SEQUENTIAL));
    WORKS(__wasi_fd_close(fd));
    GIVES(__wasi_fd_read(fd, parts, 1, &count), __WASI_ERRNO_BADF);
    GIVES(__wasi_fd_tell(fd, &at), __WASI_ERRNO_BADF);
    return 0;
}
