/*
 * The decoder as SQL functions, for tests that want it without a foreign table.
 *
 *   CREATE FUNCTION decode(document bytea, paths text[], types text[], options text, unwind text, unwind_outer bool)
 *       RETURNS SETOF text[] AS '$libdir/mongoferry_decode_test', 'mongoferry_decode' LANGUAGE C;
 *   CREATE FUNCTION decode_time(document bytea, paths text[], types text[], repetitions int)
 *       RETURNS float8 AS '$libdir/mongoferry_decode_test', 'mongoferry_decode_time' LANGUAGE C STRICT;
 *
 * options is a list of words for all columns (decode_fields.h), and "file" for documents from a file.
 */
#include <ctime>

#include "decode_fields.h"

extern "C" {
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/tuplestore.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(mongoferry_decode);
PG_FUNCTION_INFO_V1(mongoferry_decode_time);
PGDLLEXPORT Datum mongoferry_decode(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum mongoferry_decode_time(PG_FUNCTION_ARGS);
}

using namespace mongoferry::bson;

Datum mongoferry_decode(PG_FUNCTION_ARGS) {
    const char *words = PG_ARGISNULL(3) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(3));
    const Fields fields = parse_fields(PG_GETARG_ARRAYTYPE_P(1), PG_GETARG_ARRAYTYPE_P(2), parse_options(words));
    const char *unwind = PG_ARGISNULL(4) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(4));
    const bool unwind_outer = !PG_ARGISNULL(5) && PG_GETARG_BOOL(5);

    ReturnSetInfo *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
    if (result == nullptr || !IsA(result, ReturnSetInfo) || !(result->allowedModes & SFRM_Materialize))
        elog(ERROR, "the function returns a set");
    MemoryContext previous = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
    Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
    TupleDesc description = CreateTemplateTupleDesc(1);
    TupleDescInitEntry(description, 1, "row", TEXTARRAYOID, -1, 0);
    MemoryContextSwitchTo(previous);
    result->returnMode = SFRM_Materialize;
    result->setResult = rows;
    result->setDesc = description;

    const PlanSource source{"things", "db.things",
                            std::string_view(words).find("file") == std::string_view::npos ? nullptr
                                                                                           : "/dump/things.bson"};
    FieldPlan *plan = make_field_plan(fields.specs, fields.count, fields.count, unwind, unwind_outer, source);

    Datum *values = static_cast<Datum *>(palloc0(sizeof(Datum) * static_cast<size_t>(fields.count + 1)));
    bool *nulls = static_cast<bool *>(palloc0(sizeof(bool) * static_cast<size_t>(fields.count + 1)));
    Datum *texts = static_cast<Datum *>(palloc0(sizeof(Datum) * static_cast<size_t>(fields.count + 1)));
    MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "row", ALLOCSET_DEFAULT_SIZES);

    /* As a scan would have it: exactly the document's bytes, so that a sanitizer sees what reads beyond. */
    const View document = view_of(PG_GETARG_BYTEA_PP(0));
    uint8_t *copy = static_cast<uint8_t *>(MemoryContextAlloc(CurrentMemoryContext, document.size + 1));
    memcpy(copy, document.data, document.size);
    begin_document(plan, {copy, document.size}, 1000);
    while (true) {
        MemoryContextReset(row_context);
        MemoryContextSwitchTo(row_context);
        const bool has_row = next_row(plan, values, nulls);
        if (!has_row)
            break;
        for (int index = 0; index < fields.count; ++index) {
            if (nulls[index])
                continue;
            Oid output;
            bool is_varlena;
            getTypeOutputInfo(fields.specs[index].type, &output, &is_varlena);
            texts[index] = CStringGetTextDatum(OidOutputFunctionCall(output, values[index]));
        }
        int size[1] = {fields.count};
        int lower_bound[1] = {1};
        Datum row[1] = {
            PointerGetDatum(construct_md_array(texts, nulls, 1, size, lower_bound, TEXTOID, -1, false, TYPALIGN_INT))};
        bool row_nulls[1] = {false};
        tuplestore_putvalues(rows, description, row, row_nulls);
    }
    MemoryContextSwitchTo(previous);
    report_mismatches(plan);
    PG_RETURN_NULL();
}

/* Nanoseconds a document, of this process's own time: the machine may be busy. */
static double process_time() {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

Datum mongoferry_decode_time(PG_FUNCTION_ARGS) {
    const Fields fields = parse_fields(PG_GETARG_ARRAYTYPE_P(1), PG_GETARG_ARRAYTYPE_P(2), ConversionOptions());
    const int repetitions = PG_GETARG_INT32(3);
    FieldPlan *plan =
        make_field_plan(fields.specs, fields.count, fields.count, nullptr, false, {"things", "db.things", nullptr});
    Datum *values = static_cast<Datum *>(palloc0(sizeof(Datum) * static_cast<size_t>(fields.count + 1)));
    bool *nulls = static_cast<bool *>(palloc0(sizeof(bool) * static_cast<size_t>(fields.count + 1)));
    const View document = view_of(PG_GETARG_BYTEA_PP(0));
    MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "row", ALLOCSET_DEFAULT_SIZES);
    MemoryContext previous = MemoryContextSwitchTo(row_context);
    const double start = process_time();
    for (int repetition = 0; repetition < repetitions; ++repetition) {
        MemoryContextReset(row_context);
        begin_document(plan, document, -1);
        while (next_row(plan, values, nulls)) {
        }
        if (repetition % 1024 == 0)
            CHECK_FOR_INTERRUPTS();
    }
    const double end = process_time();
    MemoryContextSwitchTo(previous);
    PG_RETURN_FLOAT8((end - start) / repetitions);
}
