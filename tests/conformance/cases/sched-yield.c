// Yielding comes back.
#include "../check.h"

int main(void) {
    for (int turn = 0; turn < 100; turn++) WORKS(__wasi_sched_yield());
    return 0;
}
