/*
 * mongoferry.read_documents(regclass, bytea, bigint) and mongoferry.count_documents(regclass, bytea): the documents
 * behind a foreign table as they are, whatever its columns say.
 */
#include "migrate/document_reader.h"
#include "migrate/source_table.h"
#include "pg/guard.h"
#include "query/projection.h"
#include "source/chunk_source.h"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_read_documents);
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_count_documents);
}

namespace mongoferry::migrate {

namespace {

/* Exception world. */
int64_t count_by_reading(const fdw::TableDescription *table, source::Range range) {
    source::Request request = make_document_request(table, std::move(range));
    request.projection = query::make_projection({"_id"});
    const std::unique_ptr<source::Source> source = source::make_chunk_source(fdw::make_source(table->source));
    source->open(request);
    int64_t count = 0;
    source::Batch batch;
    while (source->next_batch(&batch)) {
        pg_guard([] { CHECK_FOR_INTERRUPTS(); });
        bson::View document;
        while (batch.next(&document))
            ++count;
    }
    return count;
}

/* Exception world. */
int64_t count(const fdw::TableDescription *table, source::Range range) {
    if (range.kind == source::Range::Kind::raw || !range.except.empty())
        return count_by_reading(table, std::move(range));
    const fdw::SourceOptions &source = table->source;
    const std::string database = source.database ? source.database : "";
    return source.dump ? source::count_documents(fdw::file_options(source), database, source.collection, range)
                       : source::live::count_documents(fdw::connection_key(source), fdw::connection_options(source),
                                                       database, source.collection, range);
}

} // namespace

} // namespace mongoferry::migrate

extern "C" Datum mongoferry_read_documents(PG_FUNCTION_ARGS) {
    using namespace mongoferry;
    FuncCallContext *call;
    if (SRF_IS_FIRSTCALL()) {
        call = SRF_FIRSTCALL_INIT();
        MemoryContext caller_context = MemoryContextSwitchTo(call->multi_call_memory_ctx);
        TupleDesc row;
        if (get_call_result_type(fcinfo, nullptr, &row) != TYPEFUNC_COMPOSITE)
            elog(ERROR, "return type must be a row type");
        call->tuple_desc = BlessTupleDesc(row);
        const int64 maximum = PG_ARGISNULL(2) ? -1 : PG_GETARG_INT64(2);
        if (!PG_ARGISNULL(2) && maximum < 0)
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("number of documents must not be negative, but is " INT64_FORMAT, maximum)));
        if (PG_ARGISNULL(0)) {
            call->user_fctx = palloc0(sizeof(migrate::Reading)); /* of nothing */
        } else {
            const fdw::TableDescription *table =
                migrate::describe_source_table(PG_GETARG_OID(0), migrate::SourceAccess::documents);
            const bytea *bounds = PG_ARGISNULL(1) ? nullptr : PG_GETARG_BYTEA_P_COPY(1);
            call->user_fctx = migrate::open_reading(call->multi_call_memory_ctx, table, bounds, maximum);
        }
        MemoryContextSwitchTo(caller_context);
    }
    call = SRF_PERCALL_SETUP();
    migrate::Reading *reading = static_cast<migrate::Reading *>(call->user_fctx);
    bson::View document;
    if (!migrate::next_document(reading, &document)) {
        migrate::close_reading(reading);
        SRF_RETURN_DONE(call);
    }
    Datum values[3];
    bool nulls[3];
    migrate::document_columns(document, values, nulls);
    SRF_RETURN_NEXT(call, HeapTupleGetDatum(heap_form_tuple(call->tuple_desc, values, nulls)));
}

extern "C" Datum mongoferry_count_documents(PG_FUNCTION_ARGS) {
    using namespace mongoferry;
    if (PG_ARGISNULL(0))
        PG_RETURN_NULL();
    const fdw::TableDescription *table = migrate::describe_source_table(PG_GETARG_OID(0), migrate::SourceAccess::table);
    const bytea *bounds = PG_ARGISNULL(1) ? nullptr : PG_GETARG_BYTEA_PP(1);
    PG_RETURN_INT64(pg_entry([&] { return migrate::count(table, migrate::range_of(bounds)); }));
}
