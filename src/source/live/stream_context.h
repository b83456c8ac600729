/*
 * What the streams of one connection share: how they wait, and what happened while they did.
 *
 * The driver sits between our code and our streams, and it is C that neither exceptions nor longjmp may cross. So the
 * streams note here what must be said, return an error to the driver, and whoever called the driver reads it here once
 * the driver has returned.
 */
#pragma once

#include "pg/backend.h"

#include <map>
#include <poll.h>
#include <sys/socket.h>

namespace mongoferry::source::live {

/* Microseconds of a clock that only goes forward. */
int64_t monotonic_time() noexcept;
constexpr int64_t no_deadline = INT64_MAX;

class StreamContext {
public:
    /*
     * interruptible: waits on the process latch, as every wait in a backend must.
     * bounded: waits on nothing but the socket and the deadline, and calls nothing of the backend that could raise;
     * for cleaning up while an error is on its way.
     */
    enum class Mode : uint8_t { interruptible, bounded };

    enum class Wait : uint8_t { ready, timed_out, given_up };

    /* Waits until the socket is readable or writable (POLLIN, POLLOUT), not beyond deadline or this->deadline. */
    Wait wait(int socket, short events, int64_t until) noexcept;
    /* The same for several; sets revents as poll() does. */
    Wait wait(struct pollfd *sockets, size_t count, int64_t until) noexcept;
    /* Looks whether the statement has been cancelled or the backend told to end; true if the driver must return. Also
     * serves what else has come up (another session's DROP DATABASE waits for such a barrier). */
    bool must_give_up() noexcept;

    /* Keeps the first problem of a call; it is nearer to the cause than what follows from it. */
    void set_problem(const char *format, ...) noexcept pg_attribute_printf(2, 3);
    void set_protocol_violation(const char *what) noexcept;
    /* Before each call of the driver. */
    void begin_call() noexcept {
        problem[0] = '\0';
        protocol_violation = false;
    }

    Mode mode = Mode::interruptible;
    int64_t deadline = no_deadline; /* beyond this no wait lasts */
    /* Beyond this the connection is given up, as by a cancel; of the interruptible mode only. The driver would go on
     * with its next try after a wait that has merely ended. */
    int64_t time_limit = no_deadline;

    bool given_up = false;      /* once true it stays: the connection is lost with its half-read reply */
    bool out_of_time = false;   /* given up because of time_limit */
    ErrorData *error = nullptr; /* what an interrupt raised, to be raised again; NULL if it is still pending */
    bool protocol_violation = false;
    char problem[320] = ""; /* in words, for a detail */

    struct Address {
        struct sockaddr_storage address;
        socklen_t size;
    };
    /* By "host:port"; kept so that cleaning up needs no name resolution, which cannot be bounded. */
    std::map<std::string, std::vector<Address>> addresses;
};

} // namespace mongoferry::source::live
