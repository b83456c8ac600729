/*
 * See checked_stream.h. Relies on how the driver reads a message: four bytes first, for the length, then the rest in
 * one call. So a large reply is read straight into the driver's buffer and checked there, without a copy; whatever does
 * not fit that shape (a reply that comes piece by piece while the driver may not block, a compressed one) is gathered
 * here first.
 */
#include "source/live/checked_stream.h"

#include "source/live/interruptible_stream.h"
#include "source/live/wire_message.h"

#include <algorithm>
#include <cerrno>

namespace mongoferry::source::live {

/* A number that none of the driver's own streams has. */
constexpr int stream_type = 101;

namespace {

struct CheckedStream : mongoc_stream_t {
    mongoc_stream_t *base;
    StreamContext *context;
    std::string tls_host;   /* until the handshake is done; then empty */
    bool handshake_pending; /* the last write only got on with the handshake */

    /* Of the request that is being sent or was sent last. */
    uint8_t sent_header[MessageHeader::size];
    size_t sent_header_size; /* how much of it we have seen */
    int64_t sent_left;       /* bytes of the request after its header that are yet to come */
    int32_t request_id;
    int32_t request_opcode;

    /* The reply that is coming in, or that is being handed out. */
    std::vector<uint8_t> message;
    size_t received;   /* of message, while it comes in */
    bool complete;     /* message is whole and sound, and is being handed out */
    size_t handed_out; /* of message, when complete */
    bool in_place;     /* only the header is here, four bytes of it handed out; the driver's next call takes the rest */
};

} // namespace

static CheckedStream *self_of(mongoc_stream_t *stream) noexcept {
    return static_cast<CheckedStream *>(stream);
}

static ssize_t refuse(CheckedStream *stream, const char *problem) noexcept {
    stream->context->set_protocol_violation(problem);
    errno = EPROTO;
    return -1;
}

/* Follows what goes out, to know what the next reply must answer. */
static void note_request(CheckedStream *stream, const uint8_t *data, size_t size) noexcept {
    while (size > 0) {
        if (stream->sent_left > 0) {
            const size_t skipped = std::min(size, static_cast<size_t>(stream->sent_left));
            stream->sent_left -= static_cast<int64_t>(skipped);
            data += skipped;
            size -= skipped;
            continue;
        }
        const size_t taken = std::min(size, MessageHeader::size - stream->sent_header_size);
        memcpy(stream->sent_header + stream->sent_header_size, data, taken);
        stream->sent_header_size += taken;
        data += taken;
        size -= taken;
        if (stream->sent_header_size == MessageHeader::size) {
            const MessageHeader header = read_header(stream->sent_header);
            stream->request_id = header.request_id;
            stream->request_opcode = header.opcode;
            stream->sent_left = header.length - static_cast<int64_t>(MessageHeader::size);
            stream->sent_header_size = 0;
        }
    }
}

/* Gets on with the TLS handshake; true when it is done. If not, errno tells why: EAGAIN, or EPROTO with the problem
 * noted. */
static bool shake_hands(CheckedStream *stream, int32_t timeout) noexcept {
    bson_error_t error{};
    int events = 0;
    const bool done = timeout == 0
                          ? mongoc_stream_tls_handshake(stream->base, stream->tls_host.c_str(), 0, &events, &error)
                          : mongoc_stream_tls_handshake_block(stream->base, stream->tls_host.c_str(), timeout, &error);
    if (done) {
        poll_for_instead(stream->base, 0);
        stream->tls_host.clear();
        stream->handshake_pending = false;
        return true;
    }
    stream->handshake_pending = events != 0 && !stream->context->given_up;
    if (stream->handshake_pending) {
        /* The driver, which wants to write, would find the socket ready all the time. */
        poll_for_instead(stream->base, static_cast<short>(events));
        errno = EAGAIN;
    } else {
        stream->context->set_problem("%s", error.message);
        errno = EPROTO;
    }
    return false;
}

static ssize_t BSON_CALL write_stream(mongoc_stream_t *base, mongoc_iovec_t *iov, size_t count,
                                      int32_t timeout) noexcept {
    CheckedStream *stream = self_of(base);
    if (!stream->tls_host.empty() && !shake_hands(stream, timeout))
        return -1;
    const ssize_t written = mongoc_stream_writev(stream->base, iov, count, timeout);
    size_t left = written > 0 ? static_cast<size_t>(written) : 0;
    for (size_t i = 0; i < count && left > 0; ++i) {
        const size_t part = std::min(left, static_cast<size_t>(iov[i].iov_len));
        note_request(stream, static_cast<const uint8_t *>(iov[i].iov_base), part);
        left -= part;
    }
    return written;
}

/* Reads until message holds size bytes. 1 when it does; else what the base stream returned (0 end, -1 error). */
static ssize_t gather(CheckedStream *stream, size_t size, int32_t timeout) {
    if (stream->message.size() < size)
        stream->message.resize(size);
    while (stream->received < size) {
        mongoc_iovec_t rest{};
        rest.iov_base = reinterpret_cast<char *>(stream->message.data() + stream->received);
        rest.iov_len = size - stream->received;
        const ssize_t result =
            mongoc_stream_readv(stream->base, &rest, 1, timeout == 0 ? 0 : size - stream->received, timeout);
        if (result <= 0)
            return result;
        stream->received += static_cast<size_t>(result);
    }
    return 1;
}

/* Brings a whole sound message in (complete), or its checked header if the rest can go straight to the driver
 * (in_place). Returns as gather(). */
static ssize_t receive(CheckedStream *stream, bool may_be_in_place, int32_t timeout) {
    ssize_t result = gather(stream, MessageHeader::size, timeout);
    if (result <= 0)
        return result;
    const MessageHeader header = read_header(stream->message.data());
    if (const char *problem = check_reply_header(header, stream->request_id, stream->request_opcode))
        return refuse(stream, problem);
    if (may_be_in_place && stream->received == MessageHeader::size && header.opcode != opcode_compressed) {
        stream->in_place = true;
        return 1;
    }
    /* Grows with what has arrived: a length alone must not make us allocate 48 MB while nothing is known yet. */
    constexpr size_t step = 1024 * 1024;
    const size_t whole = static_cast<size_t>(header.length);
    while (stream->received < whole) {
        result = gather(stream, std::min(whole, std::max(stream->received, stream->message.size()) + step), timeout);
        if (result <= 0)
            return result;
    }
    if (header.opcode == opcode_compressed) {
        std::vector<uint8_t> uncompressed;
        if (const char *problem = decompress_reply(stream->message.data(), whole, &uncompressed))
            return refuse(stream, problem);
        stream->message.swap(uncompressed);
    } else {
        stream->message.resize(whole);
    }
    if (const char *problem =
            check_reply_body(read_header(stream->message.data()).opcode, stream->message.data() + MessageHeader::size,
                             stream->message.size() - MessageHeader::size))
        return refuse(stream, problem);
    stream->complete = true;
    stream->handed_out = 0;
    return 1;
}

static void forget_message(CheckedStream *stream) noexcept {
    stream->complete = false;
    stream->in_place = false;
    stream->received = 0;
    stream->handed_out = 0;
    if (stream->message.capacity() > 64 * 1024)
        std::vector<uint8_t>().swap(stream->message);
    stream->message.clear();
}

/* The driver's second call for a reply whose header we have: the rest goes into its buffer, and is checked there. */
static ssize_t read_in_place(CheckedStream *stream, mongoc_iovec_t *iov, int32_t timeout) noexcept {
    constexpr size_t length_size = 4;
    uint8_t *target = reinterpret_cast<uint8_t *>(iov->iov_base);
    const size_t held = MessageHeader::size - length_size;
    const MessageHeader header = read_header(stream->message.data());
    const size_t whole = static_cast<size_t>(header.length);
    memcpy(target, stream->message.data() + length_size, held);
    mongoc_iovec_t rest{};
    rest.iov_base = reinterpret_cast<char *>(target + held);
    rest.iov_len = whole - MessageHeader::size;
    const ssize_t result = mongoc_stream_readv(stream->base, &rest, 1, rest.iov_len, timeout);
    if (result < 0 || static_cast<size_t>(result) != whole - MessageHeader::size)
        return -1;
    if (const char *problem = check_reply_body(header.opcode, target + held, whole - MessageHeader::size))
        return refuse(stream, problem);
    forget_message(stream);
    return static_cast<ssize_t>(whole - length_size);
}

static ssize_t read_guarded(CheckedStream *stream, mongoc_iovec_t *iov, size_t count, size_t min_bytes,
                            int32_t timeout) {
    size_t wanted = 0;
    for (size_t i = 0; i < count; ++i)
        wanted += iov[i].iov_len;

    if (!stream->complete && !stream->in_place) {
        const ssize_t result = receive(stream, timeout != 0 && count == 1 && wanted == 4 && min_bytes == 4, timeout);
        if (result <= 0)
            return result;
        if (stream->in_place) {
            memcpy(iov[0].iov_base, stream->message.data(), 4);
            return 4;
        }
    } else if (stream->in_place) {
        const size_t rest = static_cast<size_t>(read_header(stream->message.data()).length) - 4;
        if (timeout != 0 && count == 1 && wanted == rest && min_bytes == rest)
            return read_in_place(stream, iov, timeout);
        /* Another shape than we know of: gather it here after all. */
        stream->in_place = false;
        const ssize_t result = receive(stream, false, timeout);
        if (result <= 0)
            return result;
        stream->handed_out = 4;
    }

    ssize_t copied = 0;
    for (size_t i = 0; i < count; ++i) {
        const size_t part = std::min(static_cast<size_t>(iov[i].iov_len), stream->message.size() - stream->handed_out);
        memcpy(iov[i].iov_base, stream->message.data() + stream->handed_out, part);
        stream->handed_out += part;
        copied += static_cast<ssize_t>(part);
    }
    if (stream->handed_out == stream->message.size())
        forget_message(stream);
    return copied;
}

static ssize_t BSON_CALL read_stream(mongoc_stream_t *base, mongoc_iovec_t *iov, size_t count, size_t min_bytes,
                                     int32_t timeout) noexcept {
    CheckedStream *stream = self_of(base);
    try {
        return read_guarded(stream, iov, count, min_bytes, timeout);
    } catch (const std::exception &) {
        stream->context->set_problem("out of memory");
        errno = ENOMEM;
        return -1;
    }
}

static int BSON_CALL close_stream(mongoc_stream_t *stream) noexcept {
    return mongoc_stream_close(self_of(stream)->base);
}

static void BSON_CALL destroy_stream(mongoc_stream_t *stream) noexcept {
    mongoc_stream_destroy(self_of(stream)->base);
    delete self_of(stream);
}

static int BSON_CALL flush_stream(mongoc_stream_t *stream) noexcept {
    return mongoc_stream_flush(self_of(stream)->base);
}

static int BSON_CALL set_socket_option(mongoc_stream_t *stream, int level, int name, void *value,
                                       mongoc_socklen_t size) noexcept {
    return mongoc_stream_setsockopt(self_of(stream)->base, level, name, value, size);
}

static mongoc_stream_t *BSON_CALL base_stream(mongoc_stream_t *stream) noexcept {
    return self_of(stream)->base;
}

static bool BSON_CALL is_closed(mongoc_stream_t *stream) noexcept {
    return mongoc_stream_check_closed(self_of(stream)->base);
}

static bool BSON_CALL has_timed_out(mongoc_stream_t *stream) noexcept {
    return mongoc_stream_timed_out(self_of(stream)->base);
}

static bool BSON_CALL should_retry(mongoc_stream_t *stream) noexcept {
    CheckedStream *self = self_of(stream);
    if (!self->tls_host.empty())
        return self->handshake_pending;
    return !self->context->protocol_violation && mongoc_stream_should_retry(self->base);
}

mongoc_stream_t *new_checked_stream(mongoc_stream_t *base, StreamContext *context, const char *tls_host) noexcept {
    CheckedStream *stream = nullptr;
    try {
        stream = new CheckedStream{};
        stream->tls_host = tls_host ? tls_host : "";
    } catch (const std::exception &) {
        delete stream;
        mongoc_stream_destroy(base);
        return nullptr;
    }
    stream->type = stream_type;
    stream->destroy = destroy_stream;
    stream->close = close_stream;
    stream->flush = flush_stream;
    stream->writev = write_stream;
    stream->readv = read_stream;
    stream->setsockopt = set_socket_option;
    stream->get_base_stream = base_stream;
    stream->check_closed = is_closed;
    stream->failed = destroy_stream;
    stream->timed_out = has_timed_out;
    stream->should_retry = should_retry;
    stream->base = base;
    stream->context = context;
    return stream;
}

} // namespace mongoferry::source::live
