/*
 * One connection to a MongoDB deployment: the driver's client, and the rules for using it from a backend.
 *
 * Exception world. Every call of the driver goes through here: under a DriverScope, with the streams' context set for
 * it, and with what happened in the streams (cancel, protocol violation) turned into an exception afterwards. Once
 * anything but a server's orderly refusal has gone wrong the connection is broken for good; the cache makes a new one.
 */
#pragma once

#include "bson/builder.h"
#include "source/live/connection_options.h"
#include "source/live/driver_error.h"
#include "source/live/driver_handles.h"
#include "source/live/find_command.h"
#include "source/live/stream_context.h"

#include <map>
#include <memory>
#include <string>

namespace mongoferry::source::live {

/* For what nobody waits for willingly: giving cursors up. In microseconds. */
constexpr int64_t discard_time = 500 * 1000;

class Connection {
public:
    /* Connects to nothing yet, but looks SRV records up. */
    explicit Connection(const ConnectionOptions &options);
    /* Tells the server that our sessions are over, within a short time, and closes the sockets. */
    ~Connection();
    Connection(const Connection &) = delete;
    Connection &operator=(const Connection &) = delete;

    /* A server of the deployment that reads may go to, connected and authenticated. */
    struct Server {
        uint32_t id = 0;
        std::string host_and_port;
    };
    Server select_server();

    /* Throws ConnectionError; NULL if the server has no sessions. Must be destroyed before the connection. */
    SessionHandle start_session();

    /*
     * Runs a command and stores the server's reply, which is well framed at its top level. Throws Error if the server
     * refuses (ServerError, or ConnectionError where the server won't do any more), ConnectionError if the connection
     * is lost, PgError if the wait was interrupted. read_concern: as configured, for commands that begin a read.
     * name_space: for messages, "db.collection".
     */
    void command(const Server &server, const std::string &database, const bson::Document &command,
                 mongoc_client_session_t *session, bool read_concern, const std::string &name_space, BsonHandle *reply);

    /* What a scan leaves behind on the server. */
    struct Leftover {
        const Server *server;
        const std::string *database;
        const std::string *collection;
        int64_t cursor_id;                /* 0 if none is known */
        mongoc_client_session_t *session; /* or NULL */
        bool in_flight;                   /* a command was sent whose reply never came */
    };
    /* Gives it up: on this connection, or if that is broken on a short-lived one. Takes half a second at most, all
     * leftovers of a broken connection together. Never throws, never raises; silent on failure. */
    void discard(const Leftover &leftover) noexcept;

    /* From now on, calls that are not done at this monotonic_time() throw ConnectionError (57014), and the connection
     * is broken. no_deadline: as long as it takes. */
    void set_time_limit(int64_t until) noexcept { context_.time_limit = until; }

    bool broken() const noexcept { return broken_; }
    /* True once a command has been answered. */
    bool proven() const noexcept { return proven_; }
    const std::string &server_name() const noexcept { return options_.server_name; }
    ServerName name_of(const Server &server) const { return {options_.server_name, server.host_and_port}; }

    /* By name space; see id_index.h. */
    std::map<std::string, IdRangeForm> id_range_forms;
    /* By name space: whether the collection is known to compare strings by their bytes; see compares_by_bytes(). */
    std::map<std::string, bool> comparisons_by_bytes;

    /* For the cache. */
    int users = 0;                 /* scans that are open on it */
    bool valid = true;             /* false: options have changed since */
    bool drop_when_unused = false; /* the transaction at whose end it was to go is over */
    bool keep = true;              /* beyond the transaction */
    uint32 server_hash = 0;        /* as the system caches' invalidation names them */
    uint32 user_mapping_hash = 0;

private:
    void open_client();
    void close_client() noexcept;
    /* After a call of the driver: throws if the wait was given up. */
    void raise_interrupt();
    bool worth_waiting() noexcept;
    void break_up() noexcept { broken_ = true; }
    bool discard_here(const Leftover &leftover) noexcept;
    void discard_elsewhere(const Leftover &leftover) noexcept;

    const ConnectionOptions options_;
    StreamContext context_; /* before client_: its streams hold on to it */
    UriHandle uri_;
    mongoc_client_t *client_ = nullptr;
    bool broken_ = false;
    bool proven_ = false;
    int64_t discard_left_ = discard_time; /* of the time for leftovers of a broken connection */
};

} // namespace mongoferry::source::live
