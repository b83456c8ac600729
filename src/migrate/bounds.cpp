/*
 * SQL functions that make bounds of chunks (source/range.h) out of documents: raw_bounds(), id_bounds(),
 * bounds_except().
 */
#include "pg/backend.h"

#include "pg/bytea.h"
#include "pg/guard.h"
#include "source/range.h"

extern "C" {
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_raw_bounds);
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_id_bounds);
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_bounds_except);
}

namespace mongoferry::migrate {

namespace {

struct Documents {
    bson::View *list;
    int count;
};

/* The elements of a bytea[]; NULL elements are left out. Raises 22023 for one that is no document. POD world. */
Documents documents_of(Datum array) {
    Datum *elements;
    bool *nulls;
    int count;
    deconstruct_array(DatumGetArrayTypeP(array), BYTEAOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
    Documents documents{static_cast<bson::View *>(palloc(sizeof(bson::View) * Max(count, 1))), 0};
    for (int i = 0; i < count; ++i) {
        if (nulls[i])
            continue;
        const bytea *bytes = DatumGetByteaPP(elements[i]);
        const bson::View document{reinterpret_cast<const uint8_t *>(VARDATA_ANY(bytes)), VARSIZE_ANY_EXHDR(bytes)};
        if (!bson::is_framed(document))
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("element %d of the array of documents is not a BSON document", i + 1),
                            errhint("Documents come from the column \"raw\" of mongoferry.read_documents() or "
                                    "mongoferry.errors.")));
        documents.list[documents.count++] = document;
    }
    return documents;
}

/* The _ids of the documents as a BSON array; documents without one are left out. Exception world. */
bson::Document ids_of(const Documents &documents) {
    bson::Builder ids;
    int64_t index = 0;
    for (int i = 0; i < documents.count; ++i) {
        bson::Value id;
        if (bson::find(documents.list[i], "_id", &id))
            ids.append_value(std::to_string(index++), id);
    }
    return ids.finish();
}

/* Exception world. */
bytea *to_bytea(const bson::Document &document) {
    return pg_guard([&] { return make_bytea(document.data(), document.size()); });
}

} // namespace

} // namespace mongoferry::migrate

using namespace mongoferry;

Datum mongoferry_raw_bounds(FunctionCallInfo fcinfo) {
    const migrate::Documents documents = migrate::documents_of(PG_GETARG_DATUM(0));
    PG_RETURN_BYTEA_P(pg_entry([&] {
        bson::Document bytes;
        for (int i = 0; i < documents.count; ++i)
            bytes.insert(bytes.end(), documents.list[i].data, documents.list[i].data + documents.list[i].size);
        source::Range range;
        range.kind = source::Range::Kind::raw;
        range.raw = bson::view_of(bytes);
        return migrate::to_bytea(source::render_range(range));
    }));
}

Datum mongoferry_id_bounds(FunctionCallInfo fcinfo) {
    const migrate::Documents documents = migrate::documents_of(PG_GETARG_DATUM(0));
    PG_RETURN_BYTEA_P(pg_entry([&] {
        source::Range range;
        range.kind = source::Range::Kind::list;
        range.ids = migrate::ids_of(documents);
        return migrate::to_bytea(source::render_range(range));
    }));
}

Datum mongoferry_bounds_except(FunctionCallInfo fcinfo) {
    const bytea *bounds = PG_GETARG_BYTEA_PP(0);
    const migrate::Documents documents = migrate::documents_of(PG_GETARG_DATUM(1));
    PG_RETURN_BYTEA_P(pg_entry([&] {
        source::Range range =
            source::parse_range({reinterpret_cast<const uint8_t *>(VARDATA_ANY(bounds)), VARSIZE_ANY_EXHDR(bounds)});
        range.except = migrate::ids_of(documents);
        return migrate::to_bytea(source::render_range(range));
    }));
}
