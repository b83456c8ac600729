/* See driver_error.h. */
#include "source/live/driver_error.h"

#include "source/live/driver.h"

namespace mongoferry::source::live {

bool read_server_failure(bson::View reply, ServerFailure *failure) {
    auto number = [](const bson::Value &value) -> double {
        switch (value.type) {
        case bson::Type::int32:
            return bson::load_int32(value.bytes);
        case bson::Type::int64:
            return static_cast<double>(bson::load_int64(value.bytes));
        case bson::Type::float64:
            return bson::load_float64(value.bytes);
        case bson::Type::boolean:
            return value.bytes[0];
        default:
            return 0;
        }
    };
    auto text = [&](const char *key) -> std::string {
        bson::Value value;
        return bson::find(reply, key, &value) && value.type == bson::Type::string
                   ? to_server_text(std::string(bson::text_of(value)))
                   : "";
    };
    bson::Value value;
    const bool has_ok = bson::find(reply, "ok", &value);
    if (has_ok && number(value) != 0)
        return false;
    const bool has_code = bson::find(reply, "code", &value);
    failure->code = has_code ? static_cast<int32_t>(number(value)) : 0;
    failure->code_name = text("codeName");
    failure->message = text("errmsg");
    return has_ok || has_code || !failure->message.empty();
}

static std::string described(const ServerName &server) {
    std::string result = "\"" + server.foreign_server + "\"";
    if (!server.host_and_port.empty())
        result += " (" + server.host_and_port + ")";
    return result;
}

/* What we saw below the driver, which is nearer to the cause; else the driver's own words, and what it logged. */
static std::string details(const bson_error_t &error, const StreamContext &context, const char *logged) {
    static const std::string jargon = "No suitable servers found (`serverSelectionTryOnce` set)";
    std::string result = error.message;
    if (result.compare(0, jargon.size(), jargon) == 0)
        result = "No suitable server was found" + result.substr(jargon.size());
    else if (context.problem[0] != '\0')
        result = context.problem;
    for (const char *more : {context.problem, logged})
        if (more && *more && result.find(more) == std::string::npos)
            result += (result.empty() ? "" : ": ") + std::string(more);
    /* Of a greeting that it does not understand the driver says nothing. */
    return result.empty() ? "The server does not answer as a MongoDB server does." : to_server_text(result);
}

static bool is_authentication_failure(const bson_error_t &error) noexcept {
    constexpr uint32_t authentication_failed = 18;
    return (error.domain == MONGOC_ERROR_CLIENT && error.code == MONGOC_ERROR_CLIENT_AUTHENTICATE) ||
           error.domain == MONGOC_ERROR_SASL || error.domain == MONGOC_ERROR_SCRAM ||
           (error.domain == MONGOC_ERROR_SERVER && error.code == authentication_failed);
}

ConnectionError connect_error(const ServerName &server, const std::string &username, const bson_error_t &error,
                              const StreamContext &context, const char *logged) {
    if (is_authentication_failure(error) && !context.protocol_violation && context.problem[0] == '\0')
        return ConnectionError(ERRCODE_INVALID_PASSWORD,
                               "authentication failed on server " + described(server) +
                                   (username.empty() ? "" : " for user \"" + to_server_text(username) + "\""),
                               details(error, context, logged), "Check the options of the user mapping.");
    return ConnectionError(context.protocol_violation ? ERRCODE_PROTOCOL_VIOLATION
                                                      : ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
                           "could not connect to server " + described(server), details(error, context, logged));
}

ConnectionError lost_connection_error(const ServerName &server, const bson_error_t &error,
                                      const StreamContext &context) {
    if (context.protocol_violation)
        return invalid_reply_error(server, context.problem);
    return ConnectionError(ERRCODE_CONNECTION_FAILURE, "lost the connection to server " + described(server),
                           details(error, context, nullptr));
}

ConnectionError invalid_reply_error(const ServerName &server, const std::string &what) {
    return ConnectionError(ERRCODE_PROTOCOL_VIOLATION, "server " + described(server) + " sent an invalid reply",
                           "The reply cannot be used: " + to_server_text(what) + ".");
}

/*
 * By MongoDB's error codes; those that are not named here say what is wrong with the command.
 *
 * Source: src/mongo/base/error_codes.yml of the server (categories RetriableError, NotPrimaryError, ShutdownError,
 * NetworkError, SnapshotError, SystemOverloadedError), and the drivers' specification of retryable reads. Not among
 * them is 175 (QueryPlanKilled): it is how a scan learns that its collection was dropped, and the same scan again
 * would find nothing and take that for the end.
 */
static int sqlstate_of(int32_t code) noexcept {
    switch (code) {
    case 13: /* Unauthorized */
        return ERRCODE_INSUFFICIENT_PRIVILEGE;
    case 18:   /* AuthenticationFailed */
    case 8000: /* AtlasError: of its proxy, on wrong credentials */
        return ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
    case 50: /* MaxTimeMSExpired: a limit that somebody has set */
        return ERRCODE_QUERY_CANCELED;

    case 6:     /* HostUnreachable */
    case 7:     /* HostNotFound */
    case 89:    /* NetworkTimeout */
    case 91:    /* ShutdownInProgress */
    case 94:    /* NotYetInitialized: of a member that starts */
    case 189:   /* PrimarySteppedDown */
    case 303:   /* SplitHorizonChange */
    case 9001:  /* SocketException */
    case 10107: /* NotWritablePrimary */
    case 11600: /* InterruptedAtShutdown */
    case 11602: /* InterruptedDueToReplStateChange */
    case 13435: /* NotPrimaryNoSecondaryOk */
    case 13436: /* NotPrimaryOrSecondary */
        return ERRCODE_CONNECTION_FAILURE;

    case 24:    /* LockTimeout */
    case 43:    /* CursorNotFound */
    case 112:   /* WriteConflict */
    case 133:   /* FailedToSatisfyReadPreference: mongos finds no such member of a shard */
    case 134:   /* ReadConcernMajorityNotAvailableYet */
    case 136:   /* CappedPositionLost */
    case 150:   /* StaleEpoch: of shards, as the next ones */
    case 202:   /* NetworkInterfaceExceededTimeLimit */
    case 237:   /* CursorKilled */
    case 239:   /* SnapshotTooOld */
    case 246:   /* SnapshotUnavailable */
    case 249:   /* StaleDbVersion */
    case 250:   /* StaleChunkHistory */
    case 262:   /* ExceededTimeLimit: of the server's own doings */
    case 272:   /* MigrationConflict */
    case 279:   /* ClientDisconnect: between mongos and a shard */
    case 355:   /* InterruptedDueToStorageChange */
    case 365:   /* TemporarilyUnavailable */
    case 402:   /* ResourceExhausted */
    case 407:   /* PooledConnectionAcquisitionExceededTimeLimit */
    case 433:   /* AdmissionQueueOverflow */
    case 449:   /* RateLimitExceeded */
    case 11601: /* Interrupted: somebody has killed the operation there; here nobody has canceled anything */
    case 13388: /* StaleConfig */
        return ERRCODE_CONNECTION_EXCEPTION;

    case 146: /* ExceededMemoryLimit */
    case 292: /* QueryExceededMemoryLimitNoDiskUseAllowed */
        return ERRCODE_FDW_OUT_OF_MEMORY;
    case 26: /* NamespaceNotFound */
        return ERRCODE_FDW_TABLE_NOT_FOUND;
    default:
        return ERRCODE_FDW_ERROR;
    }
}

ServerError server_error(const ServerName &server, const std::string &command, const std::string &name_space,
                         const ServerFailure &failure) {
    constexpr int32_t cursor_not_found = 43;
    constexpr int32_t cursor_killed = 237;
    const int sqlstate = sqlstate_of(failure.code);
    std::string detail = "MongoDB error";
    if (failure.code != 0)
        detail += " " + std::to_string(failure.code);
    if (!failure.code_name.empty())
        detail += " (" + failure.code_name + ")";
    detail += " in command " + command + " on \"" + to_server_text(name_space) + "\"";
    if (failure.code == cursor_not_found || failure.code == cursor_killed)
        return {failure.code,
                Error(sqlstate, "the cursor of a scan is gone on server " + described(server),
                      detail + (failure.message.empty() ? "." : ": " + failure.message),
                      "A server gives up a cursor when nothing is fetched from it for a while (30 minutes, or 10 on "
                      "servers without sessions), or when it is killed or restarts. A smaller \"fetch_size\" makes the "
                      "pauses between two fetches shorter.")};
    return {failure.code, Error(sqlstate,
                                "server " + described(server) + " reports: " +
                                    (failure.message.empty() ? std::string("no reason given") : failure.message),
                                detail + ".")};
}

} // namespace mongoferry::source::live
