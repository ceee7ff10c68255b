// Waiting: for a time, for one that has passed, for none, for standard descriptors; and what cannot be waited for.
#include "../check.h"

static __wasi_timestamp_t now_ns(void) {
    __wasi_timestamp_t now;
    WORKS(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 0, &now));
    return now;
}

static __wasi_subscription_t at(__wasi_timestamp_t timeout_ns, __wasi_subclockflags_t flags) {
    __wasi_subscription_t clock = {.userdata = 7, .u.tag = __WASI_EVENTTYPE_CLOCK};
    clock.u.u.clock = (__wasi_subscription_clock_t){__WASI_CLOCKID_MONOTONIC, timeout_ns, 0, flags};
    return clock;
}

static __wasi_subscription_t on(uint8_t type, fd_t fd) {
    __wasi_subscription_t ready = {.userdata = fd, .u.tag = type};
    ready.u.u.fd_read.file_descriptor = fd;
    return ready;
}

int main(void) {
    __wasi_event_t events[4];
    len_t count;
    __wasi_subscription_t one = at(30000000, 0);
    __wasi_timestamp_t begun = now_ns();
    WORKS(__wasi_poll_oneoff(&one, events, 1, &count));
    CHECK(count == 1 && events[0].userdata == 7 && events[0].error == 0);
    CHECK(events[0].type == __WASI_EVENTTYPE_CLOCK && now_ns() - begun >= 30000000);

    begun = now_ns();
    one = at(begun + 20000000, __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME);
    WORKS(__wasi_poll_oneoff(&one, events, 1, &count));
    CHECK(count == 1 && now_ns() >= begun + 20000000);
    one = at(1, __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME);
    WORKS(__wasi_poll_oneoff(&one, events, 1, &count));
    CHECK(count == 1);
    one = at(0, 0);
    for (int turn = 0; turn < 100; turn++) {
        WORKS(__wasi_poll_oneoff(&one, events, 1, &count));
        CHECK(count == 1);
    }
    // The earlier of two is enough.
    __wasi_subscription_t two[] = {at(3600000000000ull, 0), at(1000000, 0)};
    two[1].userdata = 8;
    WORKS(__wasi_poll_oneoff(two, events, 2, &count));
    CHECK(count == 1 && events[0].userdata == 8);

    __wasi_subscription_t ready[] = {
        on(__WASI_EVENTTYPE_FD_READ, 0), on(__WASI_EVENTTYPE_FD_WRITE, 1), at(3600000000000ull, 0),
    };
    WORKS(__wasi_poll_oneoff(ready, events, 3, &count));
    CHECK(count >= 1 && count <= 2);
    for (len_t event = 0; event < count; event++) CHECK(events[event].userdata < 2 && events[event].error == 0);
    GIVES(__wasi_poll_oneoff(ready, events, 0, &count), __WASI_ERRNO_INVAL);
    return 0;
}
