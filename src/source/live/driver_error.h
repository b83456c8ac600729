/*
 * From what the driver or the server say to errors of ours: SQLSTATE, message, detail, hint.
 */
#pragma once

#include "bson/view.h"
#include "pg/guard.h"
#include "source/live/driver_handles.h"
#include "source/live/stream_context.h"

#include <string>

namespace mongoferry::source::live {

/* The connection can't be used any more, or never came about. Another one may work: see LiveSource::open(). */
class ConnectionError : public Error {
public:
    using Error::Error;
};

/* The server has refused a command. */
class ServerError : public Error {
public:
    ServerError(int32_t code_, Error error) : Error(std::move(error)), code(code_) {}

    int32_t code; /* MongoDB's; 0 if the server named none */
};

/* What the server said when it refused a command. */
struct ServerFailure {
    int32_t code = 0; /* MongoDB manual, "Error Codes"; 0 if it named none */
    std::string code_name;
    std::string message;
};
/* Reads {ok: 0, code: …, codeName: …, errmsg: …}; false if the reply is none of a refused command. */
bool read_server_failure(bson::View reply, ServerFailure *failure);

/* What all messages name: the foreign server, and where it is ("" when no host is known yet). */
struct ServerName {
    std::string foreign_server;
    std::string host_and_port;
};

ConnectionError connect_error(const ServerName &server, const std::string &username, const bson_error_t &error,
                              const StreamContext &context, const char *logged);
ConnectionError lost_connection_error(const ServerName &server, const bson_error_t &error,
                                      const StreamContext &context);
/* A reply that breaks the protocol or makes no sense. */
ConnectionError invalid_reply_error(const ServerName &server, const std::string &what);
/* SQLSTATEs of class 08 are for what goes by when the command is given again: 08006 where this server is not the one to
 * give it to any more, so that the connection has to go, and 08000 where the connection is as good as before. */
ServerError server_error(const ServerName &server, const std::string &command, const std::string &name_space,
                         const ServerFailure &failure);

} // namespace mongoferry::source::live
