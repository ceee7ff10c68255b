// Variables as they were given, and no others.
#include "../check.h"

int main(void) {
    len_t count, bytes;
    WORKS(__wasi_environ_sizes_get(&count, &bytes));
    CHECK(count == 3 && bytes < 256);
    uint8_t *variables[3], block[256];
    WORKS(__wasi_environ_get(variables, block));
    for (len_t at = 0; at < count; at++) {
        say(1, (char *)variables[at]);
        say(1, "\n");
    }
    return 0;
}
