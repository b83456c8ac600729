/*
 * See stream_context.h. Relies on WaitLatchOrSocket/WaitEventSet for waiting and on ProcessInterrupts raising an error
 * for a cancelled statement.
 */
#include "source/live/stream_context.h"

#include "pg/guard.h"

extern "C" {
#include "storage/latch.h"
#include "utils/wait_event.h"
}

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <ctime>

namespace mongoferry::source::live {

int64_t monotonic_time() noexcept {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<int64_t>(now.tv_sec) * 1000000 + now.tv_nsec / 1000;
}

void StreamContext::set_problem(const char *format, ...) noexcept {
    if (problem[0] != '\0')
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, sizeof problem, format, arguments);
    va_end(arguments);
}

void StreamContext::set_protocol_violation(const char *what) noexcept {
    protocol_violation = true;
    set_problem("%s", what);
}

bool StreamContext::must_give_up() noexcept {
    if (given_up)
        return true;
    if (mode == Mode::bounded)
        return false;
    if (time_limit != no_deadline && monotonic_time() >= time_limit) {
        given_up = out_of_time = true;
        return true;
    }
    if (!InterruptPending || InterruptHoldoffCount != 0 || CritSectionCount != 0)
        return false;
    if (ProcDiePending || (QueryCancelPending && QueryCancelHoldoffCount == 0)) {
        /* Left pending: it is raised when the driver has returned and has been cleaned up after. Raised from here, a
         * termination would run the exit callbacks within the driver. */
        given_up = true;
        return true;
    }
    /* guard_detail rather than pg_guard(): no exception may leave this frame. */
    error = guard_detail::run_under_pg_try([](void *) { CHECK_FOR_INTERRUPTS(); }, nullptr);
    given_up = error != nullptr;
    return given_up;
}

/* Milliseconds to wait, rounded up so that a wait never ends just before its deadline; -1 for no limit. */
static long milliseconds_until(int64_t until) noexcept {
    if (until == no_deadline)
        return -1;
    const int64_t left = until - monotonic_time();
    if (left <= 0)
        return 0;
    return static_cast<long>(std::min<int64_t>((left + 999) / 1000, 24 * 3600 * 1000));
}

static StreamContext::Wait wait_bounded(struct pollfd *sockets, size_t count, int64_t until) noexcept {
    for (;;) {
        const int ready = poll(sockets, count, static_cast<int>(milliseconds_until(until)));
        if (ready > 0)
            return StreamContext::Wait::ready;
        if (ready < 0 && errno != EINTR)
            return StreamContext::Wait::given_up;
        if (monotonic_time() >= until)
            return StreamContext::Wait::timed_out;
    }
}

namespace {
struct LatchWait {
    struct pollfd *sockets;
    size_t count;
    long milliseconds;
};
} // namespace

/* Waits for the latch, the sockets or the time; POD world. */
static void wait_for_latch(void *argument) {
    LatchWait *wait = static_cast<LatchWait *>(argument);
    auto wanted = [](short events) {
        return static_cast<uint32>(((events & POLLIN) ? WL_SOCKET_READABLE : 0) |
                                   ((events & POLLOUT) ? WL_SOCKET_WRITEABLE : 0));
    };
    if (wait->count == 1) {
        const uint32 events = wanted(wait->sockets[0].events) | WL_LATCH_SET | WL_EXIT_ON_PM_DEATH |
                              (wait->milliseconds >= 0 ? WL_TIMEOUT : 0);
        const int occurred = WaitLatchOrSocket(MyLatch, static_cast<int>(events), wait->sockets[0].fd,
                                               wait->milliseconds, PG_WAIT_EXTENSION);
        if (occurred & WL_LATCH_SET)
            ResetLatch(MyLatch);
        return;
    }
    WaitEventSet *set = create_statement_wait_event_set(static_cast<int>(wait->count) + 2);
    AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, nullptr);
    AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, nullptr, nullptr);
    for (size_t i = 0; i < wait->count; ++i)
        AddWaitEventToSet(set, wanted(wait->sockets[i].events), wait->sockets[i].fd, nullptr, nullptr);
    WaitEvent event;
    const int occurred = WaitEventSetWait(set, wait->milliseconds, &event, 1, PG_WAIT_EXTENSION);
    FreeWaitEventSet(set);
    if (occurred > 0 && (event.events & WL_LATCH_SET))
        ResetLatch(MyLatch);
}

StreamContext::Wait StreamContext::wait(struct pollfd *sockets, size_t count, int64_t until) noexcept {
    until = std::min(until, deadline);
    if (mode == Mode::bounded)
        return given_up ? Wait::given_up : wait_bounded(sockets, count, until);
    until = std::min(until, time_limit);
    for (;;) {
        if (must_give_up())
            return Wait::given_up;
        /* What is ready is taken from poll(): the latch's wait tells neither errors nor more than one socket. */
        const int ready = poll(sockets, count, 0);
        if (ready > 0)
            return Wait::ready;
        if (ready < 0 && errno != EINTR)
            return Wait::given_up;
        if (monotonic_time() >= until)
            return must_give_up() ? Wait::given_up : Wait::timed_out;
        LatchWait latch_wait{sockets, count, milliseconds_until(until)};
        error = guard_detail::run_under_pg_try(wait_for_latch, &latch_wait);
        if (error) {
            given_up = true;
            return Wait::given_up;
        }
    }
}

StreamContext::Wait StreamContext::wait(int socket, short events, int64_t until) noexcept {
    struct pollfd one {
        socket, events, 0
    };
    return wait(&one, 1, until);
}

} // namespace mongoferry::source::live
