/*
 * What is needed to connect to a MongoDB server, in plain values: the FDW fills it from the options of foreign server
 * and user mapping, which it has validated; the connection makes the driver's URI of it.
 */
#pragma once

#include "pg/backend.h"

#include <optional>
#include <string>
#include <vector>

namespace mongoferry::source::live {

/*
 * Which cached connection of this backend: one for each user mapping (a PUBLIC mapping is shared by all who use it), or
 * for each server where there is no mapping.
 */
struct ConnectionKey {
    Oid server = InvalidOid;
    Oid user_mapping = InvalidOid; /* UserMapping.umid */
};

/* An option that was not given is nullopt; what is given here wins over the same option inside uri. */
struct ConnectionOptions {
    std::string server_name; /* the foreign server's name, for messages */

    /* where */
    std::optional<std::string> uri;  /* a connection string without a password; wins over host and port */
    std::optional<std::string> host; /* default localhost; a path is a Unix socket; IPv6 addresses go without [] */
    std::optional<int> port;         /* 1 to 65535; default 27017 */

    /* who; any character is allowed in each */
    std::optional<std::string> username;
    std::optional<std::string> password;
    std::optional<std::string> auth_source;
    std::optional<std::string> auth_mechanism; /* SCRAM-SHA-1, SCRAM-SHA-256, PLAIN, MONGODB-X509, … */

    /* TLS; any of these but tls 'false' turns it on */
    std::optional<bool> tls;
    std::optional<std::string> tls_ca_file;
    std::optional<std::string> tls_certificate_key_file;
    std::optional<std::string> tls_certificate_key_file_password;
    std::optional<bool> tls_allow_invalid_certificates;
    std::optional<bool> tls_allow_invalid_hostnames;
    std::optional<bool> tls_insecure;

    /* how */
    std::optional<std::string> read_preference; /* primary, primaryPreferred, secondary, secondaryPreferred, nearest */
    std::optional<std::string> read_concern;    /* local, available, majority, linearizable, snapshot */
    std::optional<std::string> compressors;     /* comma-separated: zstd, zlib, snappy */
    std::optional<std::string> replica_set;
    std::optional<bool> direct_connection;
    std::optional<std::string> application_name; /* default "mongoferry"; at most 128 bytes reach the server */

    /* times in milliseconds; 0 means no limit for socket_timeout, and is refused for the two others */
    std::optional<int> connect_timeout;          /* default 10000, for each address */
    std::optional<int> socket_timeout;           /* default none: the server may think as long as it needs; the wait can
                                                    be cancelled, and statement_timeout limits it */
    std::optional<int> server_selection_timeout; /* default 30000: how long to look for a server that fits */

    /* false: the connection is closed at the end of the transaction instead of being kept for the next one */
    bool keep_connections = true;
};

} // namespace mongoferry::source::live
