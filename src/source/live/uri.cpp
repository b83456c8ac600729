/*
 * See uri.h and review_uri() in live.h.
 *
 * Everything goes through one connection string, assembled here and parsed by the driver: so its own rules (which
 * options exclude each other, what each mechanism needs, SRV and its TXT records) hold for options and strings alike.
 * Source of the format: the specification "Connection String" and MongoDB manual, "Connection Strings".
 */
#include "source/live/uri.h"

#include "pg/guard.h"
#include "source/live/driver.h"
#include "source/live/live.h"

#include <algorithm>
#include <strings.h>

namespace mongoferry::source::live {

static bool equal_ignoring_case(std::string_view left, std::string_view right) noexcept {
    return left.size() == right.size() && strncasecmp(left.data(), right.data(), left.size()) == 0;
}

static bool contains_ignoring_case(const std::string &text, const char *word) noexcept {
    return strcasestr(text.c_str(), word) != nullptr;
}

/* RFC 3986: all but the unreserved characters. */
static std::string percent_encode(const std::string &text) {
    static const char digits[] = "0123456789ABCDEF";
    std::string result;
    for (char letter : text) {
        const unsigned char byte = static_cast<unsigned char>(letter);
        if ((byte < 0x80 && isalnum(byte)) || (letter != '\0' && strchr("-._~", letter)))
            result += letter;
        else
            result += {'%', digits[byte >> 4], digits[byte & 15]};
    }
    return result;
}

/* The pieces of a connection string: scheme "://" [userinfo "@"] hosts [rest], rest from the first "/" or "?" on. */
struct UriPieces {
    std::string scheme;
    std::string userinfo;
    bool has_userinfo = false;
    std::string hosts;
    std::string rest;
};

static UriPieces take_apart(const std::string &uri) {
    UriPieces pieces;
    size_t start = uri.find("://");
    start = start == std::string::npos ? 0 : start + 3;
    pieces.scheme = uri.substr(0, start);
    const size_t end = std::min(uri.find_first_of("/?", start), uri.size());
    const std::string authority = uri.substr(start, end - start);
    const size_t at = authority.rfind('@');
    pieces.has_userinfo = at != std::string::npos;
    pieces.userinfo = pieces.has_userinfo ? authority.substr(0, at) : "";
    pieces.hosts = pieces.has_userinfo ? authority.substr(at + 1) : authority;
    pieces.rest = uri.substr(end);
    return pieces;
}

/* The driver quotes what it doesn't like, passwords too. */
static std::string harmless_problem(const std::string &uri, const std::string &problem) {
    for (const char *start : {"Password ", "Username ", "Invalid username or password", "Incorrect URI escapes"})
        if (problem.compare(0, strlen(start), start) == 0)
            return "the characters @ : / % of a user name must be percent-encoded";
    const bool may_hold_secret = uri.find('@') != std::string::npos || contains_ignoring_case(uri, "password") ||
                                 contains_ignoring_case(uri, "token");
    const size_t quote = problem.find_first_of("\"'");
    if (may_hold_secret && quote != std::string::npos)
        return problem.substr(0, quote) + "…";
    return problem;
}

static UriHandle parse(const std::string &uri, std::string *problem) {
    initialize_driver();
    bson_error_t error{};
    UriHandle result;
    std::string logged;
    {
        /* Quiet: what the driver logs may quote the string. */
        DriverScope scope(true);
        result.reset(mongoc_uri_new_with_error(uri.c_str(), &error));
        logged = scope.logged();
    }
    if (!result) {
        *problem = error.message[0] ? error.message : logged;
        if (problem->empty())
            *problem = "it can't be parsed";
    }
    return result;
}

/* The options of a URI by name, as the driver has understood them. */
static bool has_option(const mongoc_uri_t *uri, const char *name) noexcept {
    bson_iter_t iterator;
    return bson_iter_init_find_case(&iterator, mongoc_uri_get_options(uri), name);
}

MechanismReview review_auth_mechanism(const std::string &mechanism) {
    struct Known {
        const char *name;
        bool uses_server_credentials;
    };
    /* SCRAM and PLAIN take a password; X.509 takes a file of the server's, the rest its environment. */
    static constexpr Known known[] = {
        {"SCRAM-SHA-1", false}, {"SCRAM-SHA-256", false}, {"PLAIN", false},       {"MONGODB-X509", true},
        {"MONGODB-AWS", true},  {"GSSAPI", true},         {"MONGODB-OIDC", true},
    };
    for (const Known &entry : known)
        if (mechanism == entry.name)
            return {true, entry.uses_server_credentials};
    return {};
}

UriReview review_uri(const std::string &uri) {
    UriReview review;
    std::string problem;
    const std::string text = to_utf8(uri);
    if (!text.starts_with("mongodb://") && !text.starts_with("mongodb+srv://")) {
        review.problem = "It must begin with \"mongodb://\" or \"mongodb+srv://\".";
        return review;
    }
    UriHandle parsed = parse(text, &problem);
    if (!parsed) {
        review.problem = to_server_text(harmless_problem(text, problem));
        return review;
    }
    review.valid = true;
    const char *username = mongoc_uri_get_username(parsed.get());
    review.has_username = username && *username;
    review.has_password = mongoc_uri_get_password(parsed.get()) != nullptr ||
                          has_option(parsed.get(), MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD);
    const char *database = mongoc_uri_get_database(parsed.get());
    review.database = database ? to_server_text(database) : "";

    if (has_option(parsed.get(), MONGOC_URI_TLSCAFILE))
        review.server_file_options.push_back("tlsCAFile");
    if (has_option(parsed.get(), MONGOC_URI_TLSCERTIFICATEKEYFILE))
        review.server_file_options.push_back("tlsCertificateKeyFile");
    /* The password of that file is of no use without it, but the secret is there for all to see. */
    const char *mechanism = mongoc_uri_get_auth_mechanism(parsed.get());
    if (mechanism) {
        std::string upper = mechanism;
        std::transform(upper.begin(), upper.end(), upper.begin(),
                       [](unsigned char letter) { return static_cast<char>(toupper(letter)); });
        const MechanismReview found = review_auth_mechanism(upper);
        if (!found.valid) {
            review.valid = false;
            review.problem = "unknown authentication mechanism \"" + to_server_text(mechanism) + "\"";
        }
        if (found.uses_server_credentials)
            review.server_file_options.push_back("authMechanism");
    }
    BsonHandle properties;
    if (mongoc_uri_get_mechanism_properties(parsed.get(), properties.prepare())) {
        bson_iter_t iterator;
        if (bson_iter_init_find_case(&iterator, properties.get(), "AWS_SESSION_TOKEN"))
            review.has_password = true;
    } else {
        bson_init(properties.get());
    }
    review.reads_server_files = !review.server_file_options.empty();
    return review;
}

/* Adds "name=value" to the options of a connection string. */
static void add_option(std::string *rest, const char *name, const std::string &value) {
    const char last = rest->back();
    if (last != '?' && last != '&')
        *rest += '&';
    *rest += name;
    *rest += '=';
    *rest += percent_encode(value);
}

/* "host" and "port" as the authority of a connection string. */
static std::string authority_of(const ConnectionOptions &options) {
    const std::string port = std::to_string(options.port.value_or(27017));
    std::string host = options.host ? to_utf8(*options.host) : "localhost";
    if (!host.empty() && host[0] == '/') {
        /* A directory means the socket in it, as MongoDB names it. */
        static const std::string suffix = ".sock";
        if (host.size() < suffix.size() || host.compare(host.size() - suffix.size(), suffix.size(), suffix) != 0)
            host += "/mongodb-" + port + suffix;
        return percent_encode(host);
    }
    if (host.find(':') != std::string::npos)
        return "[" + host + "]:" + port;
    return percent_encode(host) + ":" + port;
}

/* Credentials that the driver would take for granted and end the process without. */
static void check_credentials(const ConnectionOptions &options, const mongoc_uri_t *uri) {
    const char *username = mongoc_uri_get_username(uri);
    const char *mechanism = mongoc_uri_get_auth_mechanism(uri);
    const bool wants_password =
        mechanism ? equal_ignoring_case(mechanism, "PLAIN") || strncasecmp(mechanism, "SCRAM-", 6) == 0
                  : username && *username;
    if (wants_password && !mongoc_uri_get_password(uri))
        throw Error(ERRCODE_INVALID_PASSWORD,
                    "no password is known for user \"" + to_server_text(username ? username : "") + "\" of server \"" +
                        options.server_name + "\"",
                    {}, "Set the option \"password\" of the user mapping.");
    if (username && !*username && !mechanism)
        throw Error(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
                    "the user name for server \"" + options.server_name + "\" is empty");
}

UriHandle make_uri(const ConnectionOptions &options) {
    UriPieces pieces;
    if (options.uri) {
        pieces = take_apart(to_utf8(*options.uri));
    } else {
        pieces.scheme = "mongodb://";
        pieces.hosts = authority_of(options);
    }
    if (options.username) {
        pieces.userinfo = percent_encode(to_utf8(*options.username));
        pieces.has_userinfo = true;
    }
    if (options.password && pieces.has_userinfo)
        pieces.userinfo =
            pieces.userinfo.substr(0, pieces.userinfo.find(':')) + ":" + percent_encode(to_utf8(*options.password));

    std::string rest = pieces.rest;
    if (rest.empty() || rest[0] != '/')
        rest.insert(0, "/");
    if (rest.find('?') == std::string::npos)
        rest += '?';
    auto add_text = [&](const char *name, const std::optional<std::string> &value) {
        if (value)
            add_option(&rest, name, to_utf8(*value));
    };
    auto add_flag = [&](const char *name, const std::optional<bool> &value) {
        if (value)
            add_option(&rest, name, *value ? "true" : "false");
    };
    add_text("authSource", options.auth_source);
    add_text("authMechanism", options.auth_mechanism);
    add_flag("tls", options.tls);
    add_text("tlsCAFile", options.tls_ca_file);
    add_text("tlsCertificateKeyFile", options.tls_certificate_key_file);
    add_text("tlsCertificateKeyFilePassword", options.tls_certificate_key_file_password);
    add_flag("tlsAllowInvalidCertificates", options.tls_allow_invalid_certificates);
    add_flag("tlsAllowInvalidHostnames", options.tls_allow_invalid_hostnames);
    add_flag("tlsInsecure", options.tls_insecure);
    add_text("readPreference", options.read_preference);
    add_text("readConcernLevel", options.read_concern);
    add_text("compressors", options.compressors);
    add_text("replicaSet", options.replica_set);
    add_flag("directConnection", options.direct_connection);

    const std::string text = pieces.scheme + (pieces.has_userinfo ? pieces.userinfo + "@" : "") + pieces.hosts + rest;
    std::string problem;
    UriHandle uri = parse(text, &problem);
    if (!uri)
        throw Error(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
                    "the options of server \"" + options.server_name + "\" make no valid connection",
                    to_server_text(harmless_problem(text, problem)));
    check_credentials(options, uri.get());

    DriverScope scope(true);
    /* The driver reads 0 as "use the default", which is five minutes; the longest time stands for none here. */
    const int socket_timeout =
        options.socket_timeout.value_or(mongoc_uri_get_option_as_int32(uri.get(), MONGOC_URI_SOCKETTIMEOUTMS, 0));
    mongoc_uri_set_option_as_int32(uri.get(), MONGOC_URI_SOCKETTIMEOUTMS,
                                   socket_timeout > 0 ? socket_timeout : INT32_MAX);
    const int connect_timeout =
        options.connect_timeout.value_or(mongoc_uri_get_option_as_int32(uri.get(), MONGOC_URI_CONNECTTIMEOUTMS, 0));
    mongoc_uri_set_option_as_int32(uri.get(), MONGOC_URI_CONNECTTIMEOUTMS,
                                   connect_timeout > 0 ? connect_timeout : 10000);
    if (options.server_selection_timeout)
        mongoc_uri_set_option_as_int32(uri.get(), MONGOC_URI_SERVERSELECTIONTIMEOUTMS,
                                       *options.server_selection_timeout);

    /* Replies are looked into before the driver gets them (wire_message.h): only what we can unpack is offered. */
    bson_iter_t iterator;
    const bson_t *compressors = mongoc_uri_get_compressors(uri.get());
    const bool zlib = compressors && bson_iter_init_find(&iterator, compressors, "zlib");
    mongoc_uri_set_compressors(uri.get(), zlib ? "zlib" : nullptr);

    if (options.application_name || !mongoc_uri_get_appname(uri.get())) {
        std::string name = to_utf8(options.application_name.value_or("mongoferry"));
        constexpr size_t most = 128; /* bytes: the handshake's limit */
        if (name.size() > most) {
            size_t size = most;
            while (size > 0 && (static_cast<unsigned char>(name[size]) & 0xC0) == 0x80)
                --size;
            name.resize(size);
        }
        mongoc_uri_set_appname(uri.get(), name.c_str());
    }
    return uri;
}

UriHandle make_direct_uri(const mongoc_uri_t *uri, const mongoc_host_list_t *host, int connect_timeout) {
    UriPieces pieces;
    pieces.scheme = "mongodb://";
    pieces.hosts = host->family == AF_UNIX ? percent_encode(host->host) : std::string(host->host_and_port);
    if (const char *username = mongoc_uri_get_username(uri)) {
        pieces.userinfo = percent_encode(username);
        if (const char *password = mongoc_uri_get_password(uri))
            pieces.userinfo += ":" + percent_encode(password);
        pieces.userinfo += "@";
    }
    std::string rest = "/?directConnection=true";
    if (mongoc_uri_get_auth_mechanism(uri))
        add_option(&rest, "authMechanism", mongoc_uri_get_auth_mechanism(uri));
    if (mongoc_uri_get_username(uri) || mongoc_uri_get_auth_mechanism(uri))
        add_option(&rest, "authSource", mongoc_uri_get_auth_source(uri));
    if (mongoc_uri_get_tls(uri)) {
        add_option(&rest, "tls", "true");
        for (const char *name :
             {MONGOC_URI_TLSCAFILE, MONGOC_URI_TLSCERTIFICATEKEYFILE, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD})
            if (const char *value = mongoc_uri_get_option_as_utf8(uri, name, nullptr))
                add_option(&rest, name, value);
        for (const char *name :
             {MONGOC_URI_TLSALLOWINVALIDCERTIFICATES, MONGOC_URI_TLSALLOWINVALIDHOSTNAMES, MONGOC_URI_TLSINSECURE})
            if (has_option(uri, name))
                add_option(&rest, name, mongoc_uri_get_option_as_bool(uri, name, false) ? "true" : "false");
    }
    std::string problem;
    UriHandle direct = parse(pieces.scheme + pieces.userinfo + pieces.hosts + rest, &problem);
    if (!direct)
        return direct;
    DriverScope scope(true);
    BsonHandle properties;
    if (mongoc_uri_get_mechanism_properties(uri, properties.prepare()))
        mongoc_uri_set_mechanism_properties(direct.get(), properties.get());
    else
        bson_init(properties.get());
    mongoc_uri_set_option_as_int32(direct.get(), MONGOC_URI_CONNECTTIMEOUTMS, connect_timeout);
    mongoc_uri_set_option_as_int32(direct.get(), MONGOC_URI_SOCKETTIMEOUTMS, connect_timeout);
    if (const char *name = mongoc_uri_get_appname(uri))
        mongoc_uri_set_appname(direct.get(), name);
    return direct;
}

} // namespace mongoferry::source::live
