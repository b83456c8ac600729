/*
 * The door to the live server: what the FDW and the SQL functions call. Exception world (pg/guard.h) unless said
 * otherwise; the driver's headers are not seen from here.
 */
#pragma once

#include "bson/builder.h"
#include "source/live/connection_options.h"
#include "source/source.h"
#include "source/split.h"

#include <memory>
#include <string>
#include <vector>

namespace mongoferry::source::live {

/*
 * A scan of one collection. Connects in open(), through the cache. Destroying it (also from a memory context's reset
 * callback, at abort) gives the server's cursor up, without raising and without waiting for long.
 * Errors: 08xxx when the server can't be reached or is lost, 28xxx when it refuses the credentials, 42501 when it
 * refuses the rights, HVxxx for the rest; the message names the foreign server.
 */
std::unique_ptr<Source> make_live_source(const ConnectionKey &key, const ConnectionOptions &options);

/* The command that a live source sends to the database for this request: what EXPLAIN prints. Of an ordinary
 * collection: a range of _ids of a view takes another form, see find_command.h. */
bson::Document find_command(const Request &request);

/* The server's own explain of that command: what its reply says of plans; executed: the server runs the command once
 * more and tells what that took. The server's form, which differs from version to version. Interruptible. */
bson::Document explain_command(const ConnectionKey &key, const ConnectionOptions &options, const Request &request,
                               bool executed);

/* The collections of a database, views and time series included, without system.*; sorted by name as bytes. A database
 * that does not exist has none. */
std::vector<CollectionInfo> list_collections(const ConnectionKey &key, const ConnectionOptions &options,
                                             const std::string &database);

/* Splits a collection into chunks of about chunk_size documents (at least 1), in the order of the index on _id. One
 * that is empty or does not exist is one chunk without bounds. Interruptible. */
std::vector<Chunk> split_collection(const ConnectionKey &key, const ConnectionOptions &options,
                                    const std::string &database, const std::string &collection, int64_t chunk_size);

/* The same for a scan that reads all of them at once: at most so many, about even; bytes are not known. A view or a
 * time series is one, because each range of it may cost as much as all of it. */
std::vector<Chunk> divide_collection(const ConnectionKey &key, const ConnectionOptions &options,
                                     const std::string &database, const std::string &collection, int64_t ranges);

/* How many documents are in the range now: exact, counted. A list counts those that exist. range is not raw and has no
 * except. Throws Error 22023 for a range that only a file can have. Interruptible. */
int64_t count_documents(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                        const std::string &collection, const Range &range);

/* The types that _ids of a collection have, in the order of the index: MongoDB's names for $type, with "number" for all
 * numbers and "string" also for the deprecated symbols. Cheap however large the collection is. None for a view or a
 * time series, which have no index to ask, and for a collection that is empty. Interruptible. */
std::vector<std::string> id_types(const ConnectionKey &key, const ConnectionOptions &options,
                                  const std::string &database, const std::string &collection);

/* The default collation of a collection as listCollections shows it; empty if it has none, does not exist, or if the
 * server does not tell this user. */
bson::Document default_collation(const ConnectionKey &key, const ConnectionOptions &options,
                                 const std::string &database, const std::string &collection);

/* What a validator has to know of a connection string, without connecting. */
struct UriReview {
    bool valid = false;
    std::string problem; /* why not, in words that follow "invalid connection string: "; never with a password */
    bool has_username = false;
    bool has_password = false;       /* also: tlsCertificateKeyFilePassword, AWS_SESSION_TOKEN */
    bool reads_server_files = false; /* makes the server process read a file or use its own environment's credentials */
    std::vector<std::string> server_file_options; /* the options that do, as written in MongoDB's manual */
    std::string database;                         /* the path of the URI, or empty */
};
UriReview review_uri(const std::string &uri);

/* True if the driver knows the mechanism of that name (as in the authMechanism option, case-sensitive), and whether it
 * uses credentials of the server process rather than a username and password. */
struct MechanismReview {
    bool valid = false;
    bool uses_server_credentials = false; /* MONGODB-AWS, MONGODB-X509, GSSAPI, MONGODB-OIDC */
};
MechanismReview review_auth_mechanism(const std::string &mechanism);

/* The cache of this backend. */
struct CachedConnection {
    Oid server;       /* may have been dropped since */
    Oid user_mapping; /* InvalidOid if the connection was made without one */
    bool valid;       /* false: server or mapping have changed; it goes when the last scan on it ends */
    bool in_use;      /* a scan is open on it */
};
std::vector<CachedConnection> cached_connections();
/* Closes the connections to a server, or all. Those with an open scan stay. Returns whether any was closed; *in_use
 * (may be NULL) whether any had to stay. */
bool disconnect(Oid server, bool *in_use);
bool disconnect_all(bool *in_use);

} // namespace mongoferry::source::live
