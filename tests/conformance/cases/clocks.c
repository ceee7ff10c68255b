// Four clocks with their resolutions; they do not go back; there is no fifth.
#include "../check.h"

int main(void) {
    for (__wasi_clockid_t clock = 0; clock < 2; clock++) {
        __wasi_timestamp_t resolution, now, later;
        WORKS(__wasi_clock_res_get(clock, &resolution));
        CHECK(resolution > 0 && resolution <= 1000000000);
        WORKS(__wasi_clock_time_get(clock, 1, &now));
        for (int turn = 0; turn < 1000; turn++) {
            WORKS(__wasi_clock_time_get(clock, 0, &later));
            if (clock == __WASI_CLOCKID_MONOTONIC) CHECK(later >= now);
            now = later;
        }
        // After 2020.
        if (clock == __WASI_CLOCKID_REALTIME) CHECK(now > 1577836800000000000ull);
    }
    __wasi_timestamp_t none;
    GIVES(__wasi_clock_time_get(4, 0, &none), __WASI_ERRNO_INVAL);
    GIVES(__wasi_clock_res_get(4, &none), __WASI_ERRNO_INVAL);
    return 0;
}
