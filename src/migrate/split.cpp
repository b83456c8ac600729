/*
 * mongoferry.split_source(regclass, integer): the chunks of a foreign table's collection.
 */
#include "migrate/shown_json.h"
#include "migrate/source_table.h"
#include "pg/bytea.h"
#include "pg/guard.h"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_split_source);
}

namespace mongoferry::migrate {

namespace {

using Chunks = std::vector<source::Chunk>;

Chunks split(const fdw::SourceOptions &source, int64_t chunk_size) {
    const std::string database = source.database ? source.database : "";
    return source.dump ? source::split_collection(fdw::file_options(source), database, source.collection, chunk_size)
                       : source::live::split_collection(fdw::connection_key(source), fdw::connection_options(source),
                                                        database, source.collection, chunk_size);
}

} // namespace

} // namespace mongoferry::migrate

extern "C" Datum mongoferry_split_source(PG_FUNCTION_ARGS) {
    using namespace mongoferry;
    FuncCallContext *call;
    if (SRF_IS_FIRSTCALL()) {
        call = SRF_FIRSTCALL_INIT();
        const int32 chunk_size = PG_GETARG_INT32(1);
        if (chunk_size < 1)
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("chunk size must be at least 1, not %d", chunk_size)));
        MemoryContext caller_context = MemoryContextSwitchTo(call->multi_call_memory_ctx);
        TupleDesc row;
        if (get_call_result_type(fcinfo, nullptr, &row) != TYPEFUNC_COMPOSITE)
            elog(ERROR, "return type must be a row type");
        call->tuple_desc = BlessTupleDesc(row);
        const fdw::TableDescription *table =
            migrate::describe_source_table(PG_GETARG_OID(0), migrate::SourceAccess::documents);
        call->user_fctx = pg_entry([&] {
            return new_in_context<migrate::Chunks>(call->multi_call_memory_ctx,
                                                   migrate::split(table->source, chunk_size));
        });
        MemoryContextSwitchTo(caller_context);
    }
    call = SRF_PERCALL_SETUP();
    const migrate::Chunks &chunks = *static_cast<const migrate::Chunks *>(call->user_fctx);
    if (call->call_cntr >= chunks.size())
        SRF_RETURN_DONE(call);
    const source::Chunk &chunk = chunks[call->call_cntr];

    Datum shown = 0;
    const bool is_shown = migrate::shown_json(bson::view_of(chunk.bounds), &shown);
    Datum values[] = {
        Int32GetDatum(static_cast<int32>(call->call_cntr + 1)),
        PointerGetDatum(make_bytea(chunk.bounds.data(), chunk.bounds.size())),
        shown,
        Int64GetDatum(chunk.documents),
        Int64GetDatum(chunk.bytes),
    };
    bool nulls[lengthof(values)] = {false, false, !is_shown, false, chunk.bytes < 0};
    SRF_RETURN_NEXT(call, HeapTupleGetDatum(heap_form_tuple(call->tuple_desc, values, nulls)));
}
