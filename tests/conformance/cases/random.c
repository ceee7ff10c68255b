// Random bytes fill what they shall and nothing beside it, and differ.
#include "../check.h"

static uint8_t one[100000], other[100000];

int main(void) {
    WORKS(__wasi_random_get(one, 0));
    CHECK(one[0] == 0);
    WORKS(__wasi_random_get(one + 1, sizeof one - 2));
    CHECK(one[0] == 0 && one[sizeof one - 1] == 0);
    unsigned counts[256] = {0};
    for (unsigned at = 1; at < sizeof one - 1; at++) counts[one[at]]++;
    // 390 expected; less than 100 is not to be met with.
    for (int byte = 0; byte < 256; byte++) CHECK(counts[byte] > 100);
    WORKS(__wasi_random_get(other, sizeof other));
    CHECK(memcmp(one + 1, other + 1, sizeof one - 2) != 0);
    return 0;
}
