// Names: renamed, linked, linked symbolically, unlinked; and what is not done.
#include "../check.h"

#define FOLLOW __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW

int main(void) {
    __wasi_filestat_t status, other;
    fd_t fd;
    // Rename: to a new name, over a file, directories.
    make("a", "from a");
    make("b", "from b");
    WORKS(__wasi_path_rename(DIR, "a", DIR, "c"));
    GIVES(__wasi_path_rename(DIR, "a", DIR, "d"), __WASI_ERRNO_NOENT);
    WORKS(__wasi_path_rename(DIR, "c", DIR, "b"));
    holds("b", "from a");
    WORKS(__wasi_path_create_directory(DIR, "dir"));
    WORKS(__wasi_path_create_directory(DIR, "empty"));
    make("dir/file", "deep");
    GIVES(__wasi_path_rename(DIR, "b", DIR, "dir"), __WASI_ERRNO_ISDIR);
    GIVES(__wasi_path_rename(DIR, "dir", DIR, "b"), __WASI_ERRNO_NOTDIR);
    GIVES_EITHER(__wasi_path_rename(DIR, "empty", DIR, "dir"), __WASI_ERRNO_NOTEMPTY, __WASI_ERRNO_EXIST);
    WORKS(__wasi_path_rename(DIR, "dir", DIR, "empty"));
    holds("empty/file", "deep");
    // Into a directory by its descriptor.
    WORKS(open_at(DIR, "empty", __WASI_OFLAGS_DIRECTORY, READS, 0, &fd));
    WORKS(__wasi_path_rename(DIR, "b", fd, "moved"));
    WORKS(__wasi_fd_close(fd));
    holds("empty/moved", "from a");

    // Hard links.
    WORKS(__wasi_path_link(DIR, 0, "empty/moved", DIR, "linked"));
    WORKS(__wasi_path_filestat_get(DIR, FOLLOW, "linked", &status));
    WORKS(__wasi_path_filestat_get(DIR, FOLLOW, "empty/moved", &other));
    CHECK(status.nlink == 2 && status.ino == other.ino);
    GIVES(__wasi_path_link(DIR, 0, "linked", DIR, "empty/file"), __WASI_ERRNO_EXIST);
    GIVES(__wasi_path_link(DIR, 0, "none", DIR, "x"), __WASI_ERRNO_NOENT);
    GIVES_EITHER(__wasi_path_link(DIR, 0, "empty", DIR, "x"), __WASI_ERRNO_PERM, __WASI_ERRNO_ACCES);

    // Symbolic links, one that leads nowhere too.
    WORKS(__wasi_path_symlink("linked", DIR, "link"));
    WORKS(__wasi_path_symlink("nowhere", DIR, "dangling"));
    GIVES(__wasi_path_symlink("x", DIR, "link"), __WASI_ERRNO_EXIST);
    holds("link", "from a");
    char target[16] = {0};
    len_t length;
    WORKS(__wasi_path_readlink(DIR, "link", (uint8_t *)target, sizeof target, &length));
    CHECK(length == 6 && strcmp(target, "linked") == 0);
    memset(target, 0, sizeof target);
    WORKS(__wasi_path_readlink(DIR, "link", (uint8_t *)target, 3, &length));
    CHECK(length == 3 && strcmp(target, "lin") == 0);
    GIVES(__wasi_path_readlink(DIR, "linked", (uint8_t *)target, sizeof target, &length), __WASI_ERRNO_INVAL);
    WORKS(__wasi_path_filestat_get(DIR, 0, "link", &status));
    CHECK(status.filetype == __WASI_FILETYPE_SYMBOLIC_LINK);
    WORKS(__wasi_path_filestat_get(DIR, FOLLOW, "link", &status));
    CHECK(status.filetype == __WASI_FILETYPE_REGULAR_FILE);
    GIVES(__wasi_path_filestat_get(DIR, FOLLOW, "dangling", &status), __WASI_ERRNO_NOENT);
    WORKS(__wasi_path_filestat_get(DIR, 0, "dangling", &status));
    GIVES(__wasi_path_open(DIR, 0, "link", 0, READS, 0, 0, &fd), __WASI_ERRNO_LOOP);
    // Around in a circle.
    WORKS(__wasi_path_symlink("circle", DIR, "circle"));
    GIVES(open_at(DIR, "circle", 0, READS, 0, &fd), __WASI_ERRNO_LOOP);

    // Gone.
    GIVES_EITHER(__wasi_path_unlink_file(DIR, "empty"), __WASI_ERRNO_ISDIR, __WASI_ERRNO_PERM);
    GIVES(__wasi_path_remove_directory(DIR, "empty"), __WASI_ERRNO_NOTEMPTY);
    GIVES(__wasi_path_remove_directory(DIR, "linked"), __WASI_ERRNO_NOTDIR);
    GIVES(__wasi_path_unlink_file(DIR, "none"), __WASI_ERRNO_NOENT);
    WORKS(__wasi_path_unlink_file(DIR, "link"));
    WORKS(__wasi_path_unlink_file(DIR, "dangling"));
    holds("linked", "from a");
    // A file that is open stays readable without its name.
    WORKS(open_at(DIR, "linked", 0, READS, 0, &fd));
    WORKS(__wasi_path_unlink_file(DIR, "linked"));
    WORKS(__wasi_fd_filestat_get(fd, &status));
    CHECK(status.size == 6 && status.nlink == 1);
    return 0;
}
