// What is known of files: type, size, links, times; and what of it can be set.
#include "../check.h"

#define FOLLOW __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW
#define SECOND 1000000000ull

int main(void) {
    __wasi_filestat_t file, dir, again;
    make("file", "hello");
    WORKS(__wasi_path_filestat_get(DIR, FOLLOW, "file", &file));
    CHECK(file.filetype == __WASI_FILETYPE_REGULAR_FILE && file.size == 5 && file.nlink == 1);
    CHECK(file.mtim > 1577836800 * SECOND);
    WORKS(__wasi_path_filestat_get(DIR, FOLLOW, ".", &dir));
    WORKS(__wasi_fd_filestat_get(DIR, &again));
    CHECK(dir.filetype == __WASI_FILETYPE_DIRECTORY && dir.ino == again.ino && dir.dev == again.dev);
    CHECK(dir.ino != file.ino);
    GIVES(__wasi_path_filestat_get(DIR, FOLLOW, "none", &again), __WASI_ERRNO_NOENT);
    GIVES(__wasi_path_filestat_get(DIR, FOLLOW, "file/x", &again), __WASI_ERRNO_NOTDIR);

    fd_t fd;
    WORKS(open_at(DIR, "file", 0, WRITES | ALL_RIGHTS, 0, &fd));
    WORKS(__wasi_fd_filestat_get(fd, &again));
    CHECK(again.ino == file.ino && again.size == 5);
    WORKS(__wasi_fd_filestat_set_size(fd, 100));
    WORKS(__wasi_fd_filestat_get(fd, &again));
    CHECK(again.size == 100);
    WORKS(__wasi_fd_filestat_set_size(fd, 2));
    holds("file", "he");

    WORKS(__wasi_fd_filestat_set_times(fd, 1000 * SECOND, 2000 * SECOND, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM));
    WORKS(__wasi_fd_filestat_get(fd, &again));
    CHECK(again.atim == 1000 * SECOND && again.mtim == 2000 * SECOND);
    WORKS(__wasi_path_filestat_set_times(DIR, FOLLOW, "file", 0, 3000 * SECOND + 5, __WASI_FSTFLAGS_MTIM));
    WORKS(__wasi_path_filestat_get(DIR, FOLLOW, "file", &again));
    CHECK(again.atim == 1000 * SECOND && again.mtim / SECOND == 3000);
    WORKS(__wasi_fd_filestat_set_times(fd, 0, 0, __WASI_FSTFLAGS_MTIM_NOW));
    WORKS(__wasi_fd_filestat_get(fd, &again));
    CHECK(again.atim == 1000 * SECOND && again.mtim >= file.mtim);
    GIVES(__wasi_fd_filestat_set_times(fd, 0, 0, __WASI_FSTFLAGS_MTIM | __WASI_FSTFLAGS_MTIM_NOW), __WASI_ERRNO_INVAL);
    GIVES(__wasi_path_filestat_set_times(DIR, 0, "file", 0, 0, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_ATIM_NOW),
          __WASI_ERRNO_INVAL);
    WORKS(__wasi_fd_close(fd));
    return 0;
}
