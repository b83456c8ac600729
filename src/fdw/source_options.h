/*
 * From the catalogs to a source: what server, user mapping and foreign table say about where the documents come from.
 *
 * resolve_source() is POD world; make_source() and the other functions with C++ types are exception world.
 */
#pragma once

#include "pg/backend.h"

#include "fdw/options.h"
#include "source/file/file_source.h"
#include "source/live/live.h"
#include "source/source.h"

#include <memory>

namespace mongoferry::fdw {

/* A source of documents, as the catalogs describe it. Plain pointers into the current memory context. */
struct SourceOptions {
    ForeignServer *server;
    UserMapping *user_mapping; /* NULL for files, and for a live server that has none for this user */
    const char *dump;          /* path of a dump; NULL for a live server */
    const char *database;      /* never NULL for a live server that a table reads; may be NULL for files */
    const char *collection;    /* never NULL */
};

/*
 * What the catalogs say for a foreign table (or, with table_options NIL and relation_name NULL, for the server alone)
 * as user reads it. Raises 42501 when the owner of the server may not (any more) let it read files, HV00x when the
 * server names no source or there is no database, and the driver's 42883-like naming errors.
 */
SourceOptions resolve_source(Oid server_id, Oid user, const List *table_options, const char *relation_name);

/* Ready to be opened. Nothing is connected or opened yet. */
std::unique_ptr<source::Source> make_source(const SourceOptions &options);

source::live::ConnectionKey connection_key(const SourceOptions &options);
source::live::ConnectionOptions connection_options(const SourceOptions &options);
source::FileOptions file_options(const SourceOptions &options);

} // namespace mongoferry::fdw
