// A directory with many entries, through a buffer for few of them: each once, and from a cookie on.
#include "../check.h"

#define ENTRIES 300

static uint8_t buffer[400];
static char seen[ENTRIES];

static void name_of(int number, char *name) {
    memcpy(name, "entry-000", 10);
    for (int digit = 8; number > 0; digit--, number /= 10) name[digit] += number % 10;
}

// Entries from `cookie` on; the cookie after the fifth.
static int gather(__wasi_dircookie_t cookie, __wasi_dircookie_t *fifth) {
    int count = 0, dots = 0;
    memset(seen, 0, sizeof seen);
    for (;;) {
        len_t used, at = 0;
        WORKS(__wasi_fd_readdir(DIR, buffer, sizeof buffer, cookie, &used));
        CHECK(used <= sizeof buffer);
        while (at + sizeof(__wasi_dirent_t) <= used) {
            __wasi_dirent_t entry;
            memcpy(&entry, buffer + at, sizeof entry);
            const char *name = (char *)buffer + at + sizeof entry;
            at += sizeof entry + entry.d_namlen;
            // Cut at the end of the buffer: it comes again.
            if (at > used) break;
            cookie = entry.d_next;
            if (name[0] == '.') {
                CHECK(entry.d_type == __WASI_FILETYPE_DIRECTORY);
                dots++;
                continue;
            }
            CHECK(entry.d_namlen == 9 && memcmp(name, "entry-", 6) == 0);
            int number = (name[6] - '0') * 100 + (name[7] - '0') * 10 + (name[8] - '0');
            CHECK(number >= 0 && number < ENTRIES && !seen[number]);
            CHECK(entry.d_type == (number % 2 ? __WASI_FILETYPE_REGULAR_FILE : __WASI_FILETYPE_DIRECTORY));
            seen[number] = 1;
            if (++count == 5) *fifth = entry.d_next;
        }
        if (used < sizeof buffer) break;
    }
    CHECK(dots == 0 || dots == 2);
    return count;
}

int main(void) {
    char name[10];
    for (int number = 0; number < ENTRIES; number++) {
        name_of(number, name);
        if (number % 2) make(name, "");
        else WORKS(__wasi_path_create_directory(DIR, name));
    }
    __wasi_dircookie_t fifth = 0, none;
    CHECK(gather(0, &fifth) == ENTRIES);
    CHECK(gather(fifth, &none) == ENTRIES - 5);
    // A directory that has become empty again.
    for (int number = 0; number < ENTRIES; number++) {
        name_of(number, name);
        if (number % 2) WORKS(__wasi_path_unlink_file(DIR, name));
        else WORKS(__wasi_path_remove_directory(DIR, name));
    }
    CHECK(gather(0, &none) == 0);
    len_t used;
    make("file", "");
    fd_t fd;
    WORKS(open_at(DIR, "file", 0, READS, 0, &fd));
    GIVES_EITHER(__wasi_fd_readdir(fd, buffer, sizeof buffer, 0, &used), __WASI_ERRNO_NOTDIR, __WASI_ERRNO_BADF);
    return 0;
}
