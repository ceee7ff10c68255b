// The clocks of CPU time advance while the guest computes, and hardly while it sleeps.
#include "../check.h"

static __wasi_timestamp_t cpu_ns(__wasi_clockid_t clock) {
    __wasi_timestamp_t now;
    WORKS(__wasi_clock_time_get(clock, 0, &now));
    return now;
}

int main(void) {
    for (__wasi_clockid_t clock = 2; clock < 4; clock++) {
        __wasi_timestamp_t resolution, begun = cpu_ns(clock);
        WORKS(__wasi_clock_res_get(clock, &resolution));
        CHECK(resolution > 0);
        // Ends, or the clock stands still.
        while (cpu_ns(clock) < begun + 1000000) {
        }
        begun = cpu_ns(clock);
        __wasi_subscription_t sleep = {.u.tag = __WASI_EVENTTYPE_CLOCK};
        sleep.u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
        sleep.u.u.clock.timeout = 200000000;
        __wasi_event_t event;
        len_t events;
        WORKS(__wasi_poll_oneoff(&sleep, &event, 1, &events));
        CHECK(cpu_ns(clock) - begun < 200000000);
    }
    return 0;
}
