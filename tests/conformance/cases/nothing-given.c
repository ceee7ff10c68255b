// Without arguments, variables and directories there are none.
#include "../check.h"

int main(int argc, char **argv) {
    (void)argv;
    len_t count, bytes;
    CHECK(argc == 1);
    WORKS(__wasi_environ_sizes_get(&count, &bytes));
    CHECK(count == 0 && bytes == 0);
    __wasi_prestat_t prestat;
    GIVES(__wasi_fd_prestat_get(3, &prestat), __WASI_ERRNO_BADF);
    return 0;
}
