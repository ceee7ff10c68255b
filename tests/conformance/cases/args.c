// Arguments as they were given, and nothing beyond them.
#include "../check.h"

int main(int argc, char **argv) {
    for (int at = 1; at < argc; at++) {
        say(1, "[");
        say(1, argv[at]);
        say(1, "]\n");
    }
    CHECK(argv[argc] == 0);
    len_t count, bytes, expected = 0;
    WORKS(__wasi_args_sizes_get(&count, &bytes));
    for (int at = 0; at < argc; at++) expected += strlen(argv[at]) + 1;
    CHECK(count == (len_t)argc && bytes == expected);
    return 0;
}
