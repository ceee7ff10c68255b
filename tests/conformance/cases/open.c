// Opening: what exists, what does not, created, exclusively, truncated, at the end, as a directory.
#include "../check.h"

#define FOLLOW __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW

int main(void) {
    fd_t fd, other;
    GIVES(open_at(DIR, "none", 0, READS, 0, &fd), __WASI_ERRNO_NOENT);
    GIVES(open_at(DIR, "none/none", __WASI_OFLAGS_CREAT, WRITES, 0, &fd), __WASI_ERRNO_NOENT);
    GIVES(open_at(DIR, "", 0, READS, 0, &fd), __WASI_ERRNO_NOENT);
    GIVES(open_at(99, "none", 0, READS, 0, &fd), __WASI_ERRNO_BADF);
    make("file", "hello");
    GIVES(open_at(DIR, "file", __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, WRITES, 0, &fd), __WASI_ERRNO_EXIST);
    GIVES(open_at(DIR, "file", __WASI_OFLAGS_DIRECTORY, READS, 0, &fd), __WASI_ERRNO_NOTDIR);
    GIVES(open_at(DIR, "file/", 0, READS, 0, &fd), __WASI_ERRNO_NOTDIR);
    holds("file", "hello");

    // Truncated, without other rights than to write.
    WORKS(open_at(DIR, "file", __WASI_OFLAGS_TRUNC, WRITES, 0, &fd));
    put(fd, "abc");
    WORKS(__wasi_fd_close(fd));
    holds("file", "abc");
    // At the end, wherever it was positioned.
    WORKS(open_at(DIR, "file", 0, WRITES, __WASI_FDFLAGS_APPEND, &fd));
    put(fd, "d");
    __wasi_filesize_t at;
    WORKS(__wasi_fd_seek(fd, 0, __WASI_WHENCE_SET, &at));
    put(fd, "e");
    WORKS(__wasi_fd_close(fd));
    holds("file", "abcde");

    // A file is no directory to open in, and not executable by reading alone.
    WORKS(open_at(DIR, "file", 0, READS, 0, &fd));
    GIVES_EITHER(open_at(fd, "x", 0, READS, 0, &other), __WASI_ERRNO_NOTDIR, __WASI_ERRNO_BADF);
    __wasi_ciovec_t part = {(const uint8_t *)"x", 1};
    len_t count;
    GIVES_EITHER(__wasi_fd_write(fd, &part, 1, &count), __WASI_ERRNO_BADF, __WASI_ERRNO_NOTCAPABLE);
    // Two descriptors of one file have positions of their own.
    WORKS(open_at(DIR, "file", 0, READS, 0, &other));
    CHECK(fd != other);
    WORKS(__wasi_fd_seek(fd, 3, __WASI_WHENCE_SET, &at));
    WORKS(__wasi_fd_tell(other, &at));
    CHECK(at == 0);
    WORKS(__wasi_fd_close(fd));
    WORKS(__wasi_fd_close(other));
    GIVES(__wasi_fd_close(fd), __WASI_ERRNO_BADF);

    WORKS(__wasi_path_create_directory(DIR, "dir"));
    GIVES(__wasi_path_create_directory(DIR, "dir"), __WASI_ERRNO_EXIST);
    WORKS(open_at(DIR, "dir", __WASI_OFLAGS_DIRECTORY, READS, 0, &fd));
    WORKS(open_at(fd, "below", __WASI_OFLAGS_CREAT, WRITES, 0, &other));
    put(other, "deep");
    WORKS(__wasi_fd_close(other));
    WORKS(__wasi_fd_close(fd));
    holds("dir/below", "deep");
    holds("./dir/../dir/./below", "deep");
    GIVES(open_at(DIR, "dir", 0, WRITES, 0, &fd), __WASI_ERRNO_ISDIR);
    return 0;
}
