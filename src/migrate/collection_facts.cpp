/*
 * What preflight() asks of a collection besides its documents' number: mongoferry.sample_documents(regclass, integer),
 * mongoferry.id_types(regclass), mongoferry.default_collation(regclass).
 */
#include "migrate/document_reader.h"
#include "migrate/shown_json.h"
#include "migrate/source_table.h"
#include "pg/guard.h"
#include "pg/set_returning.h"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_sample_documents);
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_id_types);
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_default_collation);
}

/* sample_documents(source regclass, documents integer) → rows as of read_documents(), strict. Raises 22023 for a number
 * below 1, and what describe_source_table() and the source raise. */
extern "C" Datum mongoferry_sample_documents(PG_FUNCTION_ARGS) {
    using namespace mongoferry;
    const ResultRows rows = begin_result_rows(fcinfo);
    const int32 documents = PG_GETARG_INT32(1);
    if (documents < 1)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("number of documents must be at least 1, not %d", documents)));
    const fdw::TableDescription *table =
        migrate::describe_source_table(PG_GETARG_OID(0), migrate::SourceAccess::documents);
    migrate::Reading *reading = migrate::open_reading(CurrentMemoryContext, table, nullptr, documents, true);
    bson::View document;
    while (migrate::next_document(reading, &document)) {
        Datum values[3];
        bool nulls[3];
        migrate::document_columns(document, values, nulls);
        rows.put(values, nulls);
    }
    migrate::close_reading(reading);
    return 0;
}

namespace mongoferry::migrate {

/* The database of a live source always has a name. */
static std::string database_of(const fdw::SourceOptions &source) {
    return source.database ? source.database : "";
}

} // namespace mongoferry::migrate

/* id_types(source regclass) → text[], strict. NULL where there is no index to ask: files, views, time series; and for
 * an empty collection. */
extern "C" Datum mongoferry_id_types(PG_FUNCTION_ARGS) {
    using namespace mongoferry;
    const fdw::TableDescription *table =
        migrate::describe_source_table(PG_GETARG_OID(0), migrate::SourceAccess::documents);
    if (table->source.dump)
        PG_RETURN_NULL();
    ArrayType *result = pg_entry([&]() -> ArrayType * {
        const std::vector<std::string> types =
            source::live::id_types(fdw::connection_key(table->source), fdw::connection_options(table->source),
                                   migrate::database_of(table->source), table->source.collection);
        if (types.empty())
            return nullptr;
        return pg_guard([&] {
            Datum *elements = static_cast<Datum *>(palloc(types.size() * sizeof(Datum)));
            for (size_t i = 0; i < types.size(); ++i)
                elements[i] = CStringGetTextDatum(types[i].c_str());
            return construct_array(elements, static_cast<int>(types.size()), TEXTOID, -1, false, TYPALIGN_INT);
        });
    });
    if (!result)
        PG_RETURN_NULL();
    PG_RETURN_ARRAYTYPE_P(result);
}

/* default_collation(source regclass) → jsonb, strict. NULL if the collection has none, for files, and where the server
 * doesn't tell. */
extern "C" Datum mongoferry_default_collation(PG_FUNCTION_ARGS) {
    using namespace mongoferry;
    const fdw::TableDescription *table = migrate::describe_source_table(PG_GETARG_OID(0), migrate::SourceAccess::table);
    if (table->source.dump)
        PG_RETURN_NULL();
    const bson::View collation = pg_entry([&] {
        return fdw::palloc_copy(
            source::live::default_collation(fdw::connection_key(table->source), fdw::connection_options(table->source),
                                            migrate::database_of(table->source), table->source.collection));
    });
    Datum shown;
    if (collation.size == 0 || !migrate::shown_json(collation, &shown))
        PG_RETURN_NULL();
    return shown;
}
