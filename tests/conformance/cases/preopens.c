// The preopened directories by their names, in order, and no other descriptor.
#include "../check.h"

int main(void) {
    const char *names[] = {"one", "two"};
    for (fd_t fd = 0; fd < 2; fd++) {
        __wasi_prestat_t prestat;
        WORKS(__wasi_fd_prestat_get(DIR + fd, &prestat));
        CHECK(prestat.tag == __WASI_PREOPENTYPE_DIR && prestat.u.dir.pr_name_len == 3);
        uint8_t name[4] = "...";
        WORKS(__wasi_fd_prestat_dir_name(DIR + fd, name, 3));
        CHECK(memcmp(name, names[fd], 4) == 0);
        GIVES(__wasi_fd_prestat_dir_name(DIR + fd, name, 2), __WASI_ERRNO_NAMETOOLONG);
        __wasi_fdstat_t status;
        WORKS(__wasi_fd_fdstat_get(DIR + fd, &status));
        CHECK(status.fs_filetype == __WASI_FILETYPE_DIRECTORY);
    }
    __wasi_prestat_t none;
    GIVES(__wasi_fd_prestat_get(DIR + 2, &none), __WASI_ERRNO_BADF);
    // What is in them is theirs.
    holds("in-one.txt", "first\n");
    fd_t fd;
    GIVES(open_at(DIR + 1, "in-one.txt", 0, READS, 0, &fd), __WASI_ERRNO_NOENT);
    return 0;
}
