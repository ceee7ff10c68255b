// Nothing outside of a directory can be reached from it: up, from the root, through symbolic links, whoever made them.
#include "../check.h"

#define FOLLOW __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW

static void refused(const char *path) {
    fd_t fd;
    __wasi_filestat_t status;
    uint64_t opened = open_at(DIR, path, 0, READS, 0, &fd);
    if (opened != __WASI_ERRNO_PERM && opened != __WASI_ERRNO_NOTCAPABLE) fail(path, ": opening", opened);
    uint64_t told = __wasi_path_filestat_get(DIR, FOLLOW, path, &status);
    if (told != __WASI_ERRNO_PERM && told != __WASI_ERRNO_NOTCAPABLE) fail(path, ": its status", told);
}

int main(void) {
    WORKS(__wasi_path_create_directory(DIR, "dir"));
    make("dir/file", "inside");
    holds("dir/../dir/file", "inside");
    const char *paths[] = {
        "..", "../", "../files", "../files/dir/file", "dir/../..", "dir/../../files/dir/file", "./../x", "/", "/etc/passwd", "//etc",
    };
    for (len_t at = 0; at < sizeof paths / sizeof *paths; at++) refused(paths[at]);

    // Symbolic links that lead out, made before (by whoever filled the directory) and by the guest.
    refused("out");
    refused("out/files/dir/file");
    WORKS(__wasi_path_symlink("../files/dir", DIR, "dir/around"));
    WORKS(__wasi_path_symlink("../..", DIR, "dir/up"));
    WORKS(__wasi_path_symlink("dir/up", DIR, "twice"));
    refused("dir/up");
    refused("twice");
    refused("dir/up/files/dir/file");
    // A link that stays inside is none.
    WORKS(__wasi_path_symlink("../dir/file", DIR, "dir/inside"));
    holds("dir/inside", "inside");
    // An absolute one cannot even be made.
    GIVES_EITHER(__wasi_path_symlink("/etc/passwd", DIR, "absolute"), __WASI_ERRNO_PERM, __WASI_ERRNO_NOTCAPABLE);

    fd_t fd;
    GIVES_EITHER(open_at(DIR, "../new", __WASI_OFLAGS_CREAT, WRITES, 0, &fd), __WASI_ERRNO_PERM, __WASI_ERRNO_NOTCAPABLE);
    GIVES_EITHER(__wasi_path_create_directory(DIR, "../new"), __WASI_ERRNO_PERM, __WASI_ERRNO_NOTCAPABLE);
    GIVES_EITHER(__wasi_path_rename(DIR, "dir/file", DIR, "../file"), __WASI_ERRNO_PERM, __WASI_ERRNO_NOTCAPABLE);
    GIVES_EITHER(__wasi_path_link(DIR, 0, "dir/file", DIR, "../file"), __WASI_ERRNO_PERM, __WASI_ERRNO_NOTCAPABLE);
    GIVES_EITHER(__wasi_path_unlink_file(DIR, "../x"), __WASI_ERRNO_PERM, __WASI_ERRNO_NOTCAPABLE);
    GIVES_EITHER(__wasi_path_remove_directory(DIR, "../x"), __WASI_ERRNO_PERM, __WASI_ERRNO_NOTCAPABLE);
    // Nor from a directory below.
    WORKS(open_at(DIR, "dir", __WASI_OFLAGS_DIRECTORY, READS, 0, &fd));
    fd_t other;
    GIVES_EITHER(open_at(fd, "../dir/file", 0, READS, 0, &other), __WASI_ERRNO_PERM, __WASI_ERRNO_NOTCAPABLE);
    return 0;
}
