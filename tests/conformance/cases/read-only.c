// A directory that is only to be read: everything can be read, nothing changed, and every attempt is refused.
#include "../check.h"

#define FOLLOW __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW

static void refused(const char *what, uint64_t got) {
    if (got != __WASI_ERRNO_PERM && got != __WASI_ERRNO_NOTCAPABLE && got != __WASI_ERRNO_ROFS && got != __WASI_ERRNO_ACCES)
        fail("read-only.c: ", what, got);
}

int main(void) {
    fd_t fd = 0;
    __wasi_filestat_t before, after;
    holds("kept.txt", "kept\n");
    WORKS(__wasi_path_filestat_get(DIR, FOLLOW, "kept.txt", &before));
    refused("creating", open_at(DIR, "new", __WASI_OFLAGS_CREAT, WRITES, 0, &fd));
    refused("truncating", open_at(DIR, "kept.txt", __WASI_OFLAGS_TRUNC, READS, 0, &fd));
    refused("opening to write", open_at(DIR, "kept.txt", 0, WRITES, 0, &fd));
    refused("a directory", __wasi_path_create_directory(DIR, "new"));
    refused("unlinking", __wasi_path_unlink_file(DIR, "kept.txt"));
    refused("removing", __wasi_path_remove_directory(DIR, "below"));
    refused("renaming", __wasi_path_rename(DIR, "kept.txt", DIR, "new"));
    refused("linking", __wasi_path_link(DIR, 0, "kept.txt", DIR, "new"));
    refused("a symbolic link", __wasi_path_symlink("kept.txt", DIR, "new"));
    refused("times", __wasi_path_filestat_set_times(DIR, FOLLOW, "kept.txt", 0, 0, __WASI_FSTFLAGS_MTIM));
    WORKS(open_at(DIR, "kept.txt", 0, READS, 0, &fd));
    __wasi_ciovec_t part = {(const uint8_t *)"x", 1};
    len_t count;
    CHECK(__wasi_fd_write(fd, &part, 1, &count) != 0);
    CHECK(__wasi_fd_pwrite(fd, &part, 1, 0, &count) != 0);
    CHECK(__wasi_fd_filestat_set_size(fd, 0) != 0);
    CHECK(__wasi_fd_allocate(fd, 0, 100) != 0);
    refused("times of a descriptor", __wasi_fd_filestat_set_times(fd, 0, 0, __WASI_FSTFLAGS_MTIM));
    // From a directory that was opened in it, too.
    WORKS(open_at(DIR, "below", __WASI_OFLAGS_DIRECTORY, READS, 0, &fd));
    fd_t other;
    refused("creating below", open_at(fd, "new", __WASI_OFLAGS_CREAT, WRITES, 0, &other));
    WORKS(__wasi_path_filestat_get(DIR, FOLLOW, "kept.txt", &after));
    CHECK(after.size == before.size && after.mtim == before.mtim && after.nlink == before.nlink);
    return 0;
}
