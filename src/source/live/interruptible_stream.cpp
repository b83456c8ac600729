/*
 * See interruptible_stream.h. Relies on the driver's stream structure (mongoc_stream_t, the same from 1.23 to 2.x) and
 * on its habits: it passes timeout 0 where it must not block, and asks should_retry() after a failure.
 */
#include "source/live/interruptible_stream.h"

#include "source/live/checked_stream.h"

extern "C" {
#include "storage/fd.h"
}

#include <algorithm>
#include <cerrno>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

namespace mongoferry::source::live {

/* A number that none of the driver's own streams has. */
constexpr int stream_type = 100;

namespace {

struct InterruptibleStream : mongoc_stream_t {
    StreamContext *context;
    int socket;
    bool connecting;
    short poll_for; /* see poll_for_instead() */
    int last_errno;
    std::string host_and_port;
    std::vector<StreamContext::Address> addresses;
    size_t next_address;
    int64_t connect_until; /* for all addresses together */
    int64_t attempt_until; /* for the address that is being tried */
};

} // namespace

static InterruptibleStream *self_of(mongoc_stream_t *stream) noexcept {
    return static_cast<InterruptibleStream *>(stream);
}

/* The driver passes milliseconds; negative ones it has replaced by a default, and we set INT32_MAX for "no limit". */
static int64_t deadline_after(int32_t milliseconds) noexcept {
    if (milliseconds < 0 || milliseconds == INT32_MAX)
        return no_deadline;
    return monotonic_time() + static_cast<int64_t>(milliseconds) * 1000;
}

static void close_socket(InterruptibleStream *stream) noexcept {
    if (stream->socket >= 0) {
        ::close(stream->socket);
        stream->socket = -1;
        ReleaseExternalFD();
    }
}

/* Begins to connect to the next address that lets us begin. False when there is none left; last_errno tells why. */
static bool connect_to_next_address(InterruptibleStream *stream) noexcept {
    while (stream->next_address < stream->addresses.size()) {
        const StreamContext::Address &address = stream->addresses[stream->next_address++];
        close_socket(stream);
        if (!AcquireExternalFD()) {
            stream->last_errno = EMFILE;
            return false;
        }
        stream->socket = ::socket(address.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (stream->socket < 0) {
            stream->last_errno = errno;
            ReleaseExternalFD();
            continue;
        }
        if (address.address.ss_family != AF_UNIX) {
            int on = 1;
            (void)::setsockopt(stream->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            (void)::setsockopt(stream->socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
#ifdef TCP_KEEPIDLE
            /* As the drivers' specification on keepalive has it: 120 s until the first probe, then every 10 s. */
            int idle = 120, interval = 10, count = 9;
            (void)::setsockopt(stream->socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
            (void)::setsockopt(stream->socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
            (void)::setsockopt(stream->socket, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
#endif
        }
        const int result =
            ::connect(stream->socket, reinterpret_cast<const struct sockaddr *>(&address.address), address.size);
        if (result == 0 || errno == EINPROGRESS || errno == EINTR) {
            stream->connecting = result != 0;
            /* An address that does not answer must leave time for those after it. */
            const int64_t now = monotonic_time();
            const size_t left = stream->addresses.size() - stream->next_address + 1;
            stream->attempt_until =
                now + std::max<int64_t>(0, stream->connect_until - now) / static_cast<int64_t>(left);
            return true;
        }
        stream->last_errno = errno;
    }
    close_socket(stream);
    return false;
}

enum class Progress : uint8_t { pending, connected, failed };

/* What has become of a connection attempt; socket_ready as poll() said. Goes on to the next address on failure. */
static Progress progress_of_connect(InterruptibleStream *stream, bool socket_ready) noexcept {
    if (socket_ready) {
        int problem = 0;
        socklen_t size = sizeof problem;
        if (getsockopt(stream->socket, SOL_SOCKET, SO_ERROR, &problem, &size) != 0)
            problem = errno;
        if (problem == 0) {
            stream->connecting = false;
            return Progress::connected;
        }
        stream->last_errno = problem;
    } else if (monotonic_time() < stream->attempt_until) {
        return Progress::pending;
    } else {
        stream->last_errno = ETIMEDOUT;
    }
    if (connect_to_next_address(stream))
        return stream->connecting ? Progress::pending : Progress::connected;
    return Progress::failed;
}

static ssize_t BSON_CALL poll_streams(mongoc_stream_poll_t *polls, size_t count, int32_t timeout) noexcept {
    StreamContext *context = self_of(polls[0].stream)->context;
    const int64_t until = deadline_after(timeout);
    /* The driver scans a server list at once: a replica set has at most 50 members. */
    constexpr size_t most = 256;
    if (count > most) {
        errno = EINVAL;
        return -1;
    }
    struct pollfd sockets[most];
    for (;;) {
        int64_t wake_up = until;
        for (size_t i = 0; i < count; ++i) {
            InterruptibleStream *stream = self_of(polls[i].stream);
            polls[i].revents = 0;
            const int events = stream->connecting ? POLLOUT : stream->poll_for ? stream->poll_for : polls[i].events;
            sockets[i] = {stream->socket, static_cast<short>(events), 0};
            if (stream->connecting)
                wake_up = std::min(wake_up, stream->attempt_until);
        }
        const StreamContext::Wait wait = context->wait(sockets, count, wake_up);
        if (wait == StreamContext::Wait::given_up || monotonic_time() >= context->deadline) {
            /* An error for each, or the driver would poll on until its own timeout. */
            for (size_t i = 0; i < count; ++i)
                polls[i].revents = POLLERR;
            errno = ECANCELED;
            return static_cast<ssize_t>(count);
        }
        ssize_t ready = 0;
        for (size_t i = 0; i < count; ++i) {
            InterruptibleStream *stream = self_of(polls[i].stream);
            if (stream->socket < 0)
                polls[i].revents = POLLERR;
            else if (!stream->connecting && stream->poll_for)
                polls[i].revents = sockets[i].revents ? polls[i].events : 0;
            else if (!stream->connecting)
                polls[i].revents = sockets[i].revents;
            else
                switch (progress_of_connect(stream, sockets[i].revents != 0)) {
                case Progress::pending:
                    break;
                case Progress::connected:
                    polls[i].revents = polls[i].events & POLLOUT;
                    break;
                case Progress::failed:
                    /* The driver words POLLHUP as "connection refused". */
                    polls[i].revents = stream->last_errno == ECONNREFUSED ? POLLHUP : POLLERR;
                    if (stream->last_errno != ECONNREFUSED)
                        context->set_problem("%s: %s", stream->host_and_port.c_str(), strerror(stream->last_errno));
                    break;
                }
            ready += polls[i].revents != 0;
        }
        if (ready > 0)
            return ready;
        if (monotonic_time() >= until)
            return 0;
    }
}

/* After a call that would have blocked: waits, and tells whether to try again. Sets last_errno and errno if not. */
static bool wait_for_socket(InterruptibleStream *stream, short events, int32_t timeout, int64_t until) noexcept {
    if (timeout == 0) {
        stream->last_errno = EAGAIN;
    } else {
        switch (stream->context->wait(stream->socket, events, until)) {
        case StreamContext::Wait::ready:
            return true;
        case StreamContext::Wait::timed_out:
            stream->last_errno = ETIMEDOUT;
            stream->context->set_problem("%s: no answer in time", stream->host_and_port.c_str());
            break;
        case StreamContext::Wait::given_up:
            stream->last_errno = ECANCELED;
            break;
        }
    }
    errno = stream->last_errno;
    return false;
}

/* What each transfer looks at first. */
static bool is_usable(InterruptibleStream *stream) noexcept {
    if (stream->context->must_give_up())
        stream->last_errno = ECANCELED;
    else if (stream->socket < 0)
        stream->last_errno = EPIPE;
    else
        return true;
    errno = stream->last_errno;
    return false;
}

static ssize_t BSON_CALL write_stream(mongoc_stream_t *base, mongoc_iovec_t *iov, size_t count,
                                      int32_t timeout) noexcept {
    InterruptibleStream *stream = self_of(base);
    const int64_t until = deadline_after(timeout);
    ssize_t sent = 0;
    size_t current = 0;
    size_t offset = 0; /* within the current element */
    stream->last_errno = 0;
    while (current < count) {
        if (!is_usable(stream))
            return -1;
        constexpr size_t window = 64;
        struct iovec pieces[window];
        size_t used = 0;
        for (size_t i = current; i < count && used < window; ++i, ++used) {
            const size_t skip = i == current ? offset : 0;
            pieces[used] = {static_cast<char *>(iov[i].iov_base) + skip, iov[i].iov_len - skip};
        }
        struct msghdr message {};
        message.msg_iov = pieces;
        message.msg_iovlen = used;
        ssize_t result = sendmsg(stream->socket, &message, MSG_NOSIGNAL);
        if (result < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOTCONN) {
                if (wait_for_socket(stream, POLLOUT, timeout, until))
                    continue;
                /* Part of a message may be out: told as success, the driver sends the rest. */
                return sent > 0 && stream->last_errno == EAGAIN ? sent : -1;
            }
            stream->last_errno = errno;
            stream->context->set_problem("%s: %s", stream->host_and_port.c_str(), strerror(stream->last_errno));
            errno = stream->last_errno;
            return -1;
        }
        sent += result;
        while (current < count && static_cast<size_t>(result) >= iov[current].iov_len - offset) {
            result -= static_cast<ssize_t>(iov[current].iov_len - offset);
            offset = 0;
            ++current;
        }
        offset += static_cast<size_t>(result);
    }
    return sent;
}

static ssize_t BSON_CALL read_stream(mongoc_stream_t *base, mongoc_iovec_t *iov, size_t count, size_t min_bytes,
                                     int32_t timeout) noexcept {
    InterruptibleStream *stream = self_of(base);
    const int64_t until = deadline_after(timeout);
    ssize_t received = 0;
    size_t current = 0;
    size_t offset = 0;
    stream->last_errno = 0;
    while (current < count) {
        if (iov[current].iov_len == offset) {
            ++current;
            offset = 0;
            continue;
        }
        if (!is_usable(stream))
            return -1;
        const ssize_t result =
            recv(stream->socket, static_cast<char *>(iov[current].iov_base) + offset, iov[current].iov_len - offset, 0);
        if (result > 0) {
            received += result;
            offset += static_cast<size_t>(result);
            if (static_cast<size_t>(received) >= min_bytes)
                break;
            continue;
        }
        if (result == 0) {
            stream->context->set_problem("%s: the server closed the connection", stream->host_and_port.c_str());
            stream->last_errno = errno = 0;
            return min_bytes == 0 ? received : -1;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (wait_for_socket(stream, POLLIN, timeout, until))
                continue;
            return -1;
        }
        stream->last_errno = errno;
        stream->context->set_problem("%s: %s", stream->host_and_port.c_str(), strerror(stream->last_errno));
        errno = stream->last_errno;
        return -1;
    }
    return received;
}

void poll_for_instead(mongoc_stream_t *stream, short events) noexcept {
    while (stream->get_base_stream)
        stream = stream->get_base_stream(stream);
    self_of(stream)->poll_for = events;
}

static int BSON_CALL close_stream(mongoc_stream_t *stream) noexcept {
    close_socket(self_of(stream));
    return 0;
}

static void BSON_CALL destroy_stream(mongoc_stream_t *stream) noexcept {
    close_socket(self_of(stream));
    delete self_of(stream);
}

static int BSON_CALL flush_stream(mongoc_stream_t *) noexcept {
    return 0;
}

static int BSON_CALL set_socket_option(mongoc_stream_t *stream, int level, int name, void *value,
                                       mongoc_socklen_t size) noexcept {
    return ::setsockopt(self_of(stream)->socket, level, name, value, size);
}

static bool BSON_CALL is_closed(mongoc_stream_t *stream) noexcept {
    char byte;
    const int socket = self_of(stream)->socket;
    if (socket < 0)
        return true;
    const ssize_t result = recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return result == 0 || (result < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

static bool BSON_CALL has_timed_out(mongoc_stream_t *stream) noexcept {
    return self_of(stream)->last_errno == ETIMEDOUT;
}

static bool BSON_CALL should_retry(mongoc_stream_t *stream) noexcept {
    return self_of(stream)->last_errno == EAGAIN;
}

/* The addresses of a host; false with the reason in error. */
static bool resolve(const mongoc_host_list_t *host, StreamContext *context, std::vector<StreamContext::Address> *result,
                    bson_error_t *error) {
    auto known = context->addresses.find(host->host_and_port);
    if (known != context->addresses.end()) {
        *result = known->second;
        return true;
    }
    if (host->family == AF_UNIX) {
        StreamContext::Address address{};
        struct sockaddr_un *path = reinterpret_cast<struct sockaddr_un *>(&address.address);
        if (strlen(host->host) >= sizeof path->sun_path) {
            bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT, "socket path \"%s\" is too long",
                           host->host);
            return false;
        }
        path->sun_family = AF_UNIX;
        memcpy(path->sun_path, host->host, strlen(host->host) + 1);
        address.size = sizeof(struct sockaddr_un);
        result->push_back(address);
    } else {
        struct addrinfo hints {};
        hints.ai_family = AF_UNSPEC;
        hints.ai_socktype = SOCK_STREAM;
        hints.ai_flags = AI_NUMERICSERV;
        struct addrinfo *found = nullptr;
        const std::string port = std::to_string(host->port);
        const int problem = getaddrinfo(host->host, port.c_str(), &hints, &found);
        if (problem != 0) {
            bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_NAME_RESOLUTION,
                           "could not resolve host \"%s\": %s", host->host, gai_strerror(problem));
            context->set_problem("%s", error->message);
            return false;
        }
        for (struct addrinfo *entry = found; entry; entry = entry->ai_next) {
            if (entry->ai_addrlen > sizeof(struct sockaddr_storage))
                continue;
            StreamContext::Address address{};
            memcpy(&address.address, entry->ai_addr, entry->ai_addrlen);
            address.size = entry->ai_addrlen;
            result->push_back(address);
        }
        freeaddrinfo(found);
    }
    context->addresses[host->host_and_port] = *result;
    return true;
}

/* Puts TLS on top of a stream, with the options of the URI. Takes the stream over; NULL with error set on failure. */
static mongoc_stream_t *add_tls(mongoc_stream_t *stream, const mongoc_uri_t *uri, const mongoc_host_list_t *host,
                                StreamContext *context, bson_error_t *error) noexcept {
    mongoc_ssl_opt_t options = *mongoc_ssl_opt_get_default();
    options.pem_file = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, nullptr);
    /* Never NULL: OpenSSL would ask for it at the terminal from which the database server was started. */
    options.pem_pwd = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD, "");
    options.ca_file = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCAFILE, nullptr);
    const bool insecure = mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSINSECURE, false);
    options.weak_cert_validation =
        insecure || mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDCERTIFICATES, false);
    options.allow_invalid_hostname =
        insecure || mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDHOSTNAMES, false);
    mongoc_stream_t *tls = mongoc_stream_tls_new_with_hostname(stream, host->host, &options, 1);
    if (!tls) {
        mongoc_stream_destroy(stream);
        bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT,
                       "TLS could not be set up with the files given");
        context->set_problem("%s", error->message);
    }
    return tls;
}

mongoc_stream_t *BSON_CALL open_stream(const mongoc_uri_t *uri, const mongoc_host_list_t *host, void *user_data,
                                       bson_error_t *error) noexcept {
    StreamContext *context = static_cast<StreamContext *>(user_data);
    if (context->must_give_up()) {
        /* The driver would try again, and again wait. */
        bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT, "the statement was cancelled");
        return nullptr;
    }
    try {
        std::unique_ptr<InterruptibleStream> stream(new InterruptibleStream{});
        stream->type = stream_type;
        stream->destroy = destroy_stream;
        stream->close = close_stream;
        stream->flush = flush_stream;
        stream->writev = write_stream;
        stream->readv = read_stream;
        stream->setsockopt = set_socket_option;
        stream->check_closed = is_closed;
        stream->poll = poll_streams;
        stream->failed = destroy_stream;
        stream->timed_out = has_timed_out;
        stream->should_retry = should_retry;
        stream->context = context;
        stream->socket = -1;
        stream->host_and_port = host->host_and_port;
        if (!resolve(host, context, &stream->addresses, error))
            return nullptr;
        stream->connect_until = deadline_after(mongoc_uri_get_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, 10000));
        if (!connect_to_next_address(stream.get())) {
            bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT, "%s: %s", host->host_and_port,
                           strerror(stream->last_errno));
            context->addresses.erase(host->host_and_port);
            return nullptr;
        }
        mongoc_stream_t *result = stream.release();
        if (mongoc_uri_get_tls(uri)) {
            result = add_tls(result, uri, host, context, error);
            if (!result)
                return nullptr;
        }
        result = new_checked_stream(result, context, mongoc_uri_get_tls(uri) ? host->host : nullptr);
        if (!result)
            bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT, "out of memory");
        return result;
    } catch (const std::exception &) {
        bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT, "out of memory");
        return nullptr;
    }
}

} // namespace mongoferry::source::live
