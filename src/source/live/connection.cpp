/* See connection.h. Relies on the driver's single-threaded client, which does nothing but when it is called. */
#include "source/live/connection.h"

#include "source/live/driver.h"
#include "source/live/interruptible_stream.h"
#include "source/live/uri.h"

#include <algorithm>

namespace mongoferry::source::live {

/* In microseconds, as all times here. */
constexpr int64_t farewell_time = 250 * 1000;

namespace {

/* While it lives, the streams of a context wait for nothing but the socket, and not for long. */
class BoundedWaits {
public:
    BoundedWaits(StreamContext *context, int64_t until) noexcept
        : context_(context), mode_(context->mode), deadline_(context->deadline) {
        context->mode = StreamContext::Mode::bounded;
        context->deadline = until;
    }
    ~BoundedWaits() {
        context_->mode = mode_;
        context_->deadline = deadline_;
    }
    BoundedWaits(const BoundedWaits &) = delete;
    BoundedWaits &operator=(const BoundedWaits &) = delete;

private:
    StreamContext *context_;
    StreamContext::Mode mode_;
    int64_t deadline_;
};

/* A deadline for the waits of one step. */
class Deadline {
public:
    Deadline(StreamContext *context, int64_t until) noexcept : context_(context) { context->deadline = until; }
    ~Deadline() { context_->deadline = no_deadline; }
    Deadline(const Deadline &) = delete;
    Deadline &operator=(const Deadline &) = delete;

private:
    StreamContext *context_;
};

} // namespace

static bson::View view_of(const bson_t *document) noexcept {
    return {bson_get_data(document), document->len};
}

Connection::Connection(const ConnectionOptions &options) : keep(options.keep_connections), options_(options) {
    uri_ = make_uri(options_);
    open_client();
}

Connection::~Connection() {
    /* A process that ends within the driver must not enter it again. */
    if (inside_driver()) {
        client_ = nullptr;
        (void)uri_.release();
        return;
    }
    close_client();
}

void Connection::open_client() {
    initialize_driver();
    DriverScope scope;
    bson_error_t error{};
    context_.begin_call();
    /* One look around for each selection: waiting for better times is our own loop, which can be cancelled. */
    mongoc_uri_set_option_as_bool(uri_.get(), MONGOC_URI_SERVERSELECTIONTRYONCE, true);
    client_ = mongoc_client_new_from_uri_with_error(uri_.get(), &error);
    if (!client_)
        throw connect_error({options_.server_name, ""}, "", error, context_, scope.logged());
    (void)mongoc_client_set_error_api(client_, MONGOC_ERROR_API_VERSION_2);
    mongoc_client_set_stream_initiator(client_, open_stream, &context_);
}

void Connection::close_client() noexcept {
    if (!client_)
        return;
    DriverScope scope(true);
    BoundedWaits bounded(&context_, monotonic_time() + farewell_time);
    /* Nobody to say good-bye to: forget the sessions, or the driver would look for a server to end them on. */
    if (broken_ || context_.given_up)
        mongoc_client_reset(client_);
    mongoc_client_destroy(client_);
    client_ = nullptr;
}

void Connection::raise_interrupt() {
    if (!context_.given_up)
        return;
    break_up();
    if (context_.error)
        throw PgError(context_.error);
    pg_guard([] { CHECK_FOR_INTERRUPTS(); });
    if (context_.out_of_time)
        throw ConnectionError(ERRCODE_QUERY_CANCELED,
                              "server \"" + options_.server_name + "\" did not answer in the time that it was given");
    throw Error(ERRCODE_QUERY_CANCELED, "canceling statement due to user request");
}

/* Whether a later look around may find what this one did not. */
bool Connection::worth_waiting() noexcept {
    if (options_.server_selection_timeout || mongoc_uri_has_option(uri_.get(), MONGOC_URI_SERVERSELECTIONTIMEOUTMS))
        return true;
    /* Somebody is there, but not in the role that is wanted: an election may be going on. */
    size_t count = 0;
    mongoc_server_description_t **servers = mongoc_client_get_server_descriptions(client_, &count);
    bool somebody = false;
    for (size_t i = 0; i < count; ++i)
        somebody |= strcmp(mongoc_server_description_type(servers[i]), "Unknown") != 0;
    mongoc_server_descriptions_destroy_all(servers, count);
    return somebody;
}

Connection::Server Connection::select_server() {
    const char *username = mongoc_uri_get_username(uri_.get());
    const int64_t connect_time =
        int64_t{1000} * mongoc_uri_get_option_as_int32(uri_.get(), MONGOC_URI_CONNECTTIMEOUTMS, 10000);
    const int64_t selection_end =
        monotonic_time() +
        int64_t{1000} * mongoc_uri_get_option_as_int32(uri_.get(), MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 30000);

    ServerDescriptionHandle selected;
    for (;;) {
        bson_error_t error{};
        std::string logged;
        bool wait = false;
        {
            DriverScope scope;
            /* The driver limits this by itself, save for its check of a connection that has been idle. */
            Deadline deadline(&context_, monotonic_time() + connect_time + 1000000);
            context_.begin_call();
            selected.reset(mongoc_client_select_server(client_, false, mongoc_client_get_read_prefs(client_), &error));
            logged = scope.logged();
            wait = !selected && error.domain == MONGOC_ERROR_SERVER_SELECTION &&
                   error.code == MONGOC_ERROR_SERVER_SELECTION_FAILURE && !context_.given_up &&
                   !context_.protocol_violation && worth_waiting();
        }
        raise_interrupt();
        if (selected)
            break;
        const int64_t now = monotonic_time();
        if (!wait || now >= selection_end) {
            break_up();
            throw connect_error({options_.server_name, ""}, username ? username : "", error, context_, logged.c_str());
        }
        constexpr int64_t pause = 500 * 1000;
        (void)context_.wait(static_cast<struct pollfd *>(nullptr), 0, std::min(now + pause, selection_end));
        raise_interrupt();
        /* A client leaves servers alone for five seconds after a failure; a new one does not. */
        if (users <= 1) {
            close_client();
            open_client();
        }
    }

    Server server{mongoc_server_description_id(selected.get()),
                  mongoc_server_description_host(selected.get())->host_and_port};
    bson_error_t error{};
    std::string logged;
    {
        DriverScope scope;
        Deadline deadline(&context_, monotonic_time() + connect_time);
        context_.begin_call();
        /* Authenticates, if it has not been done. */
        selected.reset(mongoc_client_get_handshake_description(client_, server.id, nullptr, &error));
        logged = scope.logged();
    }
    raise_interrupt();
    if (!selected) {
        break_up();
        throw connect_error(name_of(server), username ? username : "", error, context_, logged.c_str());
    }
    return server;
}

SessionHandle Connection::start_session() {
    bson_error_t error{};
    SessionHandle session;
    {
        DriverScope scope;
        context_.begin_call();
        SessionOptionsHandle options(mongoc_session_opts_new());
        mongoc_session_opts_set_causal_consistency(options.get(), false);
        session.reset(mongoc_client_start_session(client_, options.get(), &error));
    }
    raise_interrupt();
    return session;
}

/* The options that mongoc_client_command_with_opts() takes beside the command. */
static bool append_command_options(bson_t *options, uint32_t server_id, mongoc_client_session_t *session,
                                   const mongoc_read_concern_t *read_concern) noexcept {
    bson_error_t error;
    return bson_append_int32(options, "serverId", -1, static_cast<int32_t>(server_id)) &&
           (!session || mongoc_client_session_append(session, options, &error)) &&
           (!read_concern || mongoc_read_concern_is_default(read_concern) ||
            mongoc_read_concern_append(const_cast<mongoc_read_concern_t *>(read_concern), options));
}

void Connection::command(const Server &server, const std::string &database, const bson::Document &command,
                         mongoc_client_session_t *session, bool read_concern, const std::string &name_space,
                         BsonHandle *reply) {
    if (broken_)
        throw ConnectionError(ERRCODE_CONNECTION_DOES_NOT_EXIST,
                              "the connection to server \"" + options_.server_name + "\" was lost earlier");
    bson_error_t error{};
    bool answered;
    {
        DriverScope scope;
        context_.begin_call();
        bson_t bytes;
        BsonHandle options;
        if (!bson_init_static(&bytes, command.data(), command.size()) ||
            !append_command_options(options.get(), server.id, session,
                                    read_concern ? mongoc_client_get_read_concern(client_) : nullptr))
            throw Error(ERRCODE_FDW_ERROR, "a command for server \"" + options_.server_name + "\" could not be built");
        answered =
            mongoc_client_command_with_opts(client_, database.c_str(), &bytes, mongoc_client_get_read_prefs(client_),
                                            options.get(), reply->prepare(), &error);
    }
    raise_interrupt();
    if (context_.protocol_violation) {
        break_up();
        throw lost_connection_error(name_of(server), error, context_);
    }
    ServerFailure failure;
    if (read_server_failure(view_of(reply->get()), &failure)) {
        proven_ = true;
        bson::Iterator iterator(bson::view_of(command));
        const ServerError refusal =
            server_error(name_of(server), iterator.next() ? std::string(iterator.key()) : "", name_space, failure);
        if (refusal.sqlstate != ERRCODE_CONNECTION_FAILURE)
            throw refusal;
        /* The server is about to go, or is not what it was: the next statement had better look around anew. */
        break_up();
        throw ConnectionError(refusal.sqlstate, refusal.message, refusal.detail, refusal.hint);
    }
    if (!answered) {
        break_up();
        throw lost_connection_error(name_of(server), error, context_);
    }
    proven_ = true;
}

/* {killCursors: collection, cursors: [id]} */
static bson::Document kill_cursors_command(const std::string &collection, int64_t cursor_id) {
    bson::Builder command;
    command.append_string("killCursors", collection);
    command.begin_array("cursors");
    command.append_int64("0", cursor_id);
    command.end();
    return command.finish();
}

/* {killSessions: [{id: …}]}: ends what runs in the session, and its cursors. */
static bson::Document kill_sessions_command(const bson_t *session_id) {
    bson::Builder command;
    command.begin_array("killSessions");
    command.append_document("0", view_of(session_id));
    command.end();
    return command.finish();
}

/* *lost: no answer came. That the server refuses, because the cursor is gone already, is all the same. */
static void run_quietly(mongoc_client_t *client, const char *database, const bson::Document &command,
                        uint32_t server_id, bool *lost) noexcept {
    bson_t bytes;
    BsonHandle options, reply;
    bson_error_t error{};
    if (!bson_init_static(&bytes, command.data(), command.size()) ||
        !append_command_options(options.get(), server_id, nullptr, nullptr))
        return;
    *lost =
        !mongoc_client_command_with_opts(client, database, &bytes, nullptr, options.get(), reply.prepare(), &error) &&
        error.domain != MONGOC_ERROR_SERVER;
}

bool Connection::discard_here(const Leftover &leftover) noexcept {
    bool lost = false;
    try {
        DriverScope scope(true);
        BoundedWaits bounded(&context_, monotonic_time() + discard_time);
        context_.begin_call();
        run_quietly(client_, leftover.database->c_str(), kill_cursors_command(*leftover.collection, leftover.cursor_id),
                    leftover.server->id, &lost);
    } catch (const std::exception &) {
        return false;
    }
    if (lost || context_.protocol_violation)
        break_up();
    return !lost;
}

void Connection::discard_elsewhere(const Leftover &leftover) noexcept {
    const int64_t start = monotonic_time();
    const int64_t until = start + discard_left_;
    if (discard_left_ <= 0)
        return;
    try {
        /* The addresses are known: no name resolution, whose time has no bound. */
        StreamContext context;
        context.addresses = context_.addresses;
        context.mode = StreamContext::Mode::bounded;
        context.deadline = until;

        DriverScope scope(true);
        mongoc_host_list_t host{};
        ServerDescriptionHandle description(mongoc_client_get_server_description(client_, leftover.server->id));
        if (!description)
            return;
        host = *mongoc_server_description_host(description.get());
        if (context.addresses.find(host.host_and_port) == context.addresses.end())
            return;
        UriHandle uri =
            make_direct_uri(mongoc_client_get_uri(client_), &host, static_cast<int>((discard_left_ + 999) / 1000));
        if (!uri)
            return;
        bson_error_t error{};
        mongoc_client_t *client = mongoc_client_new_from_uri_with_error(uri.get(), &error);
        if (!client)
            return;
        (void)mongoc_client_set_error_api(client, MONGOC_ERROR_API_VERSION_2);
        mongoc_client_set_stream_initiator(client, open_stream, &context);
        ServerDescriptionHandle server(mongoc_client_select_server(client, false, nullptr, &error));
        if (server) {
            const uint32_t server_id = mongoc_server_description_id(server.get());
            bool lost = false;
            if (leftover.cursor_id != 0)
                run_quietly(client, leftover.database->c_str(),
                            kill_cursors_command(*leftover.collection, leftover.cursor_id), server_id, &lost);
            /* A cursor that was about to be opened is known by nothing but its session. */
            if (!lost && leftover.in_flight && leftover.session)
                run_quietly(client, "admin", kill_sessions_command(mongoc_client_session_get_lsid(leftover.session)),
                            server_id, &lost);
        } else {
            mongoc_client_reset(client);
        }
        server.reset();
        mongoc_client_destroy(client);
    } catch (const std::exception &) {
        /* Out of memory: then the server's own timeout has to do it. */
    }
    discard_left_ -= monotonic_time() - start;
}

void Connection::discard(const Leftover &leftover) noexcept {
    if (inside_driver() || !client_ || (leftover.cursor_id == 0 && !leftover.in_flight))
        return;
    if (!broken_ && !leftover.in_flight && discard_here(leftover))
        return;
    discard_elsewhere(leftover);
}

} // namespace mongoferry::source::live
