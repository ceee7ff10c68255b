// What the cases in C share: a check that says where it failed, and preview 1 as it is, below wasi-libc.
// No printf: the modules stay small.
#include <string.h>
#include <wasi/api.h>

typedef __wasi_fd_t fd_t;
typedef __wasi_size_t len_t;

static void say(fd_t fd, const char *text) {
    __wasi_ciovec_t part = {(const uint8_t *)text, strlen(text)};
    len_t written;
    (void)!__wasi_fd_write(fd, &part, 1, &written);
}

static void say_number(fd_t fd, uint64_t number) {
    char digits[21];
    char *at = digits + 20;
    *at = 0;
    do *--at = '0' + number % 10;
    while (number /= 10);
    say(fd, at);
}

static inline void fail(const char *where, const char *what, uint64_t got) {
    say(2, where);
    say(2, what);
    say(2, " gave ");
    say_number(2, got);
    say(2, "\n");
    __wasi_proc_exit(1);
}

#define TEXT_OF(x) #x
#define LINE_OF(x) __FILE_NAME__ ":" TEXT_OF(x) ": "

// The call returns this errno. One of two where systems differ.
#define GIVES(call, errno)                                                 \
    do {                                                                   \
        uint64_t got_ = (call);                                            \
        if (got_ != (errno)) fail(LINE_OF(__LINE__), #call, got_);         \
    } while (0)
#define GIVES_EITHER(call, one, other)                                     \
    do {                                                                   \
        uint64_t got_ = (call);                                            \
        if (got_ != (one) && got_ != (other)) fail(LINE_OF(__LINE__), #call, got_); \
    } while (0)
#define WORKS(call) GIVES(call, __WASI_ERRNO_SUCCESS)
#define CHECK(condition)                                                   \
    do {                                                                   \
        if (!(condition)) fail(LINE_OF(__LINE__), #condition, 0);          \
    } while (0)

// The first preopened directory.
#define DIR 3

#define ALL_RIGHTS (~0ull >> 34)
#define READS (__WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_TELL)
#define WRITES (READS | __WASI_RIGHTS_FD_WRITE)

static inline uint64_t open_at(fd_t dir, const char *path, int oflags, uint64_t rights, int fdflags, fd_t *fd) {
    return __wasi_path_open(dir, __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, path, oflags, rights, 0, fdflags, fd);
}

static inline fd_t created(const char *path) {
    fd_t fd;
    WORKS(open_at(DIR, path, __WASI_OFLAGS_CREAT, WRITES, 0, &fd));
    return fd;
}

static inline void put(fd_t fd, const char *text) {
    __wasi_ciovec_t part = {(const uint8_t *)text, strlen(text)};
    len_t written;
    WORKS(__wasi_fd_write(fd, &part, 1, &written));
    CHECK(written == part.buf_len);
}

static inline void make(const char *path, const char *text) {
    fd_t fd = created(path);
    put(fd, text);
    WORKS(__wasi_fd_close(fd));
}

static inline void holds(const char *path, const char *text) {
    char bytes[256] = {0};
    fd_t fd;
    len_t count;
    WORKS(open_at(DIR, path, 0, READS, 0, &fd));
    __wasi_iovec_t part = {(uint8_t *)bytes, sizeof bytes - 1};
    WORKS(__wasi_fd_read(fd, &part, 1, &count));
    CHECK(strcmp(bytes, text) == 0);
    WORKS(__wasi_fd_close(fd));
}
