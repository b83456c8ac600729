/*
 * The connections of this backend: one for each user mapping, kept across statements, dropped when their options
 * change. As postgres_fdw has it, except that a connection under an open scan stays with that scan while a new one is
 * made for the statements after the change.
 */
#pragma once

#include "source/live/connection.h"
#include "source/live/connection_options.h"

#include <memory>

namespace mongoferry::source::live {

/* The cached connection, or a new one in its place if there is none, or it is broken or out of date. */
std::shared_ptr<Connection> cached_connection(const ConnectionKey &key, const ConnectionOptions &options);

/* Whether a failure at the first use of a cached connection may only mean that the server has gone and come back since
 * it was used last, so that a new one is worth trying. was_proven: the connection had answered before; start:
 * monotonic_time() before the use. */
bool may_be_stale(const ConnectionError &error, bool was_proven, int64_t start) noexcept;

/* Counts a scan as a user of its connection while it lives. */
class ConnectionUse {
public:
    ConnectionUse() noexcept = default;
    explicit ConnectionUse(std::shared_ptr<Connection> connection) noexcept;
    ~ConnectionUse() { release(); }
    ConnectionUse(ConnectionUse &&other) noexcept : connection_(std::move(other.connection_)) {}
    ConnectionUse &operator=(ConnectionUse &&other) noexcept {
        if (this != &other) {
            release();
            connection_ = std::move(other.connection_);
        }
        return *this;
    }

    Connection *operator->() const noexcept { return connection_.get(); }
    explicit operator bool() const noexcept { return connection_ != nullptr; }
    /* The connection closes with its last user if it has to go. Never throws. */
    void release() noexcept;

private:
    std::shared_ptr<Connection> connection_;
};

} // namespace mongoferry::source::live
