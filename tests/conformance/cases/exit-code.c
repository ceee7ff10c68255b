// The exit code is the guest's, also from within a function, and what was written before is there.
#include "../check.h"

__attribute__((noinline)) static void leave(void) { __wasi_proc_exit(33); }

int main(void) {
    say(1, "before\n");
    leave();
    say(1, "after\n");
    return 0;
}
