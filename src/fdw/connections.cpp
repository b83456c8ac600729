/*
 * What users see and do about this backend's connections to live servers: get_connections(), disconnect(),
 * disconnect_all(). Named and behaving as postgres_fdw's functions of this kind, where it has them.
 */
#include "pg/guard.h"
#include "pg/set_returning.h"

#include "source/live/live.h"

extern "C" {
#include "catalog/pg_user_mapping.h"
#include "foreign/foreign.h"
#include "utils/syscache.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_get_connections);
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_disconnect);
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_disconnect_all);
}

namespace mongoferry::fdw {

namespace {

/* What was cached when the function was called, palloc'd: closing and opening meanwhile does no harm. */
struct Connections {
    source::live::CachedConnection *list;
    uint64 count;
};

Connections *copy_connections() {
    return pg_entry([] {
        const std::vector<source::live::CachedConnection> cached = source::live::cached_connections();
        auto *copy = static_cast<Connections *>(pg_guard([&] { return palloc0(sizeof(Connections)); }));
        copy->count = cached.size();
        copy->list = static_cast<source::live::CachedConnection *>(
            pg_guard([&] { return palloc((cached.size() + 1) * sizeof(source::live::CachedConnection)); }));
        for (size_t i = 0; i < cached.size(); ++i)
            copy->list[i] = cached[i];
        return copy;
    });
}

/* The user that a mapping is for; "public" for everybody's; NULL if it was dropped. */
const char *user_of_mapping(Oid user_mapping) {
    HeapTuple tuple = SearchSysCache1(USERMAPPINGOID, ObjectIdGetDatum(user_mapping));
    if (!HeapTupleIsValid(tuple))
        return nullptr;
    const Oid user = reinterpret_cast<Form_pg_user_mapping>(GETSTRUCT(tuple))->umuser;
    ReleaseSysCache(tuple);
    return OidIsValid(user) ? GetUserNameFromId(user, true) : "public";
}

} // namespace

} // namespace mongoferry::fdw

extern "C" Datum mongoferry_get_connections(PG_FUNCTION_ARGS) {
    using namespace mongoferry;
    const ResultRows rows = begin_result_rows(fcinfo);
    const fdw::Connections *connections = fdw::copy_connections();
    for (uint64 i = 0; i < connections->count; ++i) {
        const source::live::CachedConnection &connection = connections->list[i];
        const ForeignServer *server = GetForeignServerExtended(connection.server, FSV_MISSING_OK);
        const char *user = fdw::user_of_mapping(connection.user_mapping);
        Datum values[] = {
            server ? CStringGetTextDatum(server->servername) : 0,
            user ? CStringGetTextDatum(user) : 0,
            BoolGetDatum(connection.valid),
            BoolGetDatum(connection.in_use),
        };
        bool nulls[lengthof(values)] = {!server, !user, false, false};
        rows.put(values, nulls);
    }
    return 0;
}

extern "C" Datum mongoferry_disconnect(PG_FUNCTION_ARGS) {
    const char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    const ForeignServer *server = GetForeignServerByName(name, false); /* 42704 if there is none */
    bool in_use = false;
    const bool closed =
        mongoferry::pg_entry([&] { return mongoferry::source::live::disconnect(server->serverid, &in_use); });
    if (in_use)
        ereport(WARNING, (errmsg("cannot close connection for server \"%s\" because it is still in use", name)));
    PG_RETURN_BOOL(closed);
}

extern "C" Datum mongoferry_disconnect_all(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    bool in_use = false;
    const bool closed = mongoferry::pg_entry([&] { return mongoferry::source::live::disconnect_all(&in_use); });
    if (in_use)
        ereport(WARNING, (errmsg("cannot close all connections because some of them are still in use")));
    PG_RETURN_BOOL(closed);
}
