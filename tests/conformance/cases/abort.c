// A trap ends the guest abnormally, after what it wrote.
#include <stdlib.h>
#include "../check.h"

int main(void) {
    say(1, "before\n");
    abort();
}
