/*
 * The fuzzer that runs inside a backend: mutated documents through the whole decoder, input functions, jsonb and all.
 *
 *   CREATE FUNCTION fuzz(documents bytea[], paths text[], types text[], options text, unwind text, seed bigint,
 *                        iterations int) RETURNS text
 *       AS '$libdir/mongoferry_decode_test', 'mongoferry_fuzz' LANGUAGE C;
 *
 * Each mutated document lies in a malloc'd buffer of exactly its size, so that a sanitizer sees a byte too far. A
 * refusal or a corrupt document is what is to be expected; any other error ends the run, with the document in its
 * detail. Half of the runs have a row filter, which reads what it may see and removes a third. Each value read is
 * written by its type's output function, which must find it well formed. The same seed makes the same documents.
 * Returns how many rows, refusals and corrupt documents there were.
 *
 *   CREATE FUNCTION leave() RETURNS void AS '$libdir/mongoferry_decode_test', 'mongoferry_leave' LANGUAGE C;
 *
 * ends a single-user backend at once. Under a preloaded AddressSanitizer an orderly end may hang for ever in the
 * clean-up of libraries that have nothing to do with us (p11-kit's, when its locale is freed).
 */
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

#include "decode_fields.h"

extern "C" {
#include "utils/array.h"

PG_FUNCTION_INFO_V1(mongoferry_fuzz);
PG_FUNCTION_INFO_V1(mongoferry_leave);
PGDLLEXPORT Datum mongoferry_fuzz(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum mongoferry_leave(PG_FUNCTION_ARGS);
}

using namespace mongoferry::bson;

namespace {

/* xorshift64*: good enough to choose bytes. */
struct Random {
    uint64_t state;
    uint64_t next() {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return state * 0x2545F4914F6CDD1Du;
    }
    size_t below(size_t limit) { return limit == 0 ? 0 : static_cast<size_t>(next() >> 16) % limit; }
};

constexpr int32_t interesting[] = {0, 1, 4, 5, -1, 12, 16, INT32_MAX, INT32_MIN, 100, 255, 65536};
constexpr uint8_t types[] = {1,    2,    3,    4,    5,    6,    7,    8,    9,    0x0A, 0x0B, 0x0C,
                             0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x12, 0x13, 0x7F, 0xFF, 0x00, 0x14};

/* One change, in place; size may shrink or grow up to room. */
void mutate(Random *random, uint8_t *bytes, size_t *size, size_t room, View other) {
    const size_t at = random->below(*size);
    switch (random->below(8)) {
    case 0:
        bytes[at] = static_cast<uint8_t>(random->next());
        break;
    case 1:
        bytes[at] ^= static_cast<uint8_t>(1u << random->below(8));
        break;
    case 2:
        bytes[at] = types[random->below(sizeof types)];
        break;
    case 3: /* a length, or part of a number */
        if (*size >= 4) {
            const int32_t value = interesting[random->below(sizeof interesting / sizeof interesting[0])];
            memcpy(bytes + random->below(*size - 3), &value, sizeof value);
        }
        break;
    case 4: { /* a length that is only a little wrong */
        if (*size >= 4) {
            uint8_t *place = bytes + random->below(*size - 3);
            const int32_t value = load_int32(place) + static_cast<int32_t>(random->below(9)) - 4;
            memcpy(place, &value, sizeof value);
        }
        break;
    }
    case 5: { /* bytes go */
        const size_t count = random->below(std::min(*size - at, static_cast<size_t>(16)));
        memmove(bytes + at, bytes + at + count, *size - at - count);
        *size -= count;
        break;
    }
    case 6: { /* bytes come, from another document */
        const size_t count = std::min(std::min(random->below(32), room - *size), other.size);
        const size_t from = random->below(other.size - count + 1);
        memmove(bytes + at + count, bytes + at, *size - at);
        memcpy(bytes + at, other.data + from, count);
        *size += count;
        break;
    }
    default: { /* bytes are overwritten by others */
        const size_t count = std::min(std::min(random->below(16), *size - at), other.size);
        memcpy(bytes + at, other.data + random->below(other.size - count + 1), count);
    }
    }
}

/* A row filter that looks at all it may look at, and decides as it likes. */
struct FuzzFilter {
    Random random;
    const Fields *fields;
    const Oid *outputs;
    const Datum *values;
    const bool *nulls;
    MemoryContext row_context;
};

bool passes(void *context, int stage) {
    FuzzFilter *filter = static_cast<FuzzFilter *>(context);
    for (int index = 0; index < filter->fields->count; ++index) {
        if (filter->fields->specs[index].stage > stage) {
            if (!filter->nulls[index])
                elog(ERROR, "a column of stage %d has a value at stage %d", filter->fields->specs[index].stage, stage);
        } else if (!filter->nulls[index])
            OidOutputFunctionCall(filter->outputs[index], filter->values[index]);
    }
    if (filter->random.below(3) != 0)
        return true;
    MemoryContextReset(filter->row_context);
    return false;
}

enum class Ending : uint8_t { rows, refused, corrupt, unexpected };

struct Counts {
    int64_t rows = 0;
    int64_t refused = 0;
    int64_t corrupt = 0;
};

Ending judge(int sqlstate) {
    if (sqlstate == ERRCODE_DATA_CORRUPTED || sqlstate == ERRCODE_FDW_ERROR)
        return Ending::corrupt;
    const int category = ERRCODE_TO_CATEGORY(sqlstate);
    return category == ERRCODE_DATA_EXCEPTION || category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION
               ? Ending::refused
               : Ending::unexpected;
}

} // namespace

Datum mongoferry_fuzz(PG_FUNCTION_ARGS) {
    Datum *documents;
    int document_count;
    deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), BYTEAOID, -1, false, TYPALIGN_INT, &documents, nullptr,
                      &document_count);
    const Fields fields = parse_fields(PG_GETARG_ARRAYTYPE_P(1), PG_GETARG_ARRAYTYPE_P(2),
                                       parse_options(text_to_cstring(PG_GETARG_TEXT_PP(3))));
    const char *unwind = PG_ARGISNULL(4) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(4));
    Random random{static_cast<uint64_t>(PG_GETARG_INT64(5)) * 0x9E3779B97F4A7C15u + 1};
    const int iterations = PG_GETARG_INT32(6);
    if (document_count == 0)
        elog(ERROR, "documents to begin with are needed");

    MemoryContext context = CurrentMemoryContext;
    MemoryContext row_context = AllocSetContextCreate(context, "row", ALLOCSET_DEFAULT_SIZES);
    Datum *values = static_cast<Datum *>(palloc0(sizeof(Datum) * static_cast<size_t>(fields.count + 1)));
    bool *nulls = static_cast<bool *>(palloc0(sizeof(bool) * static_cast<size_t>(fields.count + 1)));
    Oid *outputs = static_cast<Oid *>(palloc0(sizeof(Oid) * static_cast<size_t>(fields.count + 1)));
    for (int index = 0; index < fields.count; ++index) {
        bool is_varlena;
        getTypeOutputInfo(fields.specs[index].type, &outputs[index], &is_varlena);
    }
    /* Half of the runs have a row filter. */
    FuzzFilter filter{random, &fields, outputs, values, nulls, row_context};
    const int stage_count = static_cast<int>(random.below(2) * (1 + random.below(3)));
    for (int index = 0; index < fields.count; ++index)
        fields.specs[index].stage = static_cast<int>(random.below(static_cast<size_t>(stage_count) + 1));
    FieldPlan *plan = make_field_plan(fields.specs, fields.count, fields.count, unwind, true,
                                      {"things", "db.things", "/dump/things.bson"});
    if (stage_count > 0)
        set_row_filter(plan, {stage_count, passes, &filter, random.below(2) == 0});
    Counts counts;

    for (int iteration = 0; iteration < iterations; ++iteration) {
        CHECK_FOR_INTERRUPTS();
        MemoryContextReset(row_context);
        const View seed = view_of(DatumGetByteaPP(documents[random.below(static_cast<size_t>(document_count))]));
        const View other = view_of(DatumGetByteaPP(documents[random.below(static_cast<size_t>(document_count))]));
        const size_t room = seed.size + 256;
        uint8_t *work = static_cast<uint8_t *>(MemoryContextAlloc(row_context, room));
        memcpy(work, seed.data, seed.size);
        size_t size = seed.size;
        for (size_t changes = random.below(6); changes > 0 && size > 0; --changes)
            mutate(&random, work, &size, room, other);
        if (size >= 5 && random.below(10) != 0) { /* the outermost framing is the source's to check */
            const int32_t length = static_cast<int32_t>(size);
            memcpy(work, &length, sizeof length);
            work[size - 1] = 0;
        }
        uint8_t *buffer = static_cast<uint8_t *>(malloc(std::max(size, static_cast<size_t>(1))));
        if (buffer == nullptr)
            elog(ERROR, "out of memory");
        memcpy(buffer, work, size);

        volatile Ending ending = Ending::rows;
        volatile int64_t rows = 0;
        ErrorData *volatile error = nullptr;
        MemoryContextSwitchTo(row_context);
        PG_TRY();
        {
            begin_document(plan, {buffer, size}, 0);
            while (next_row(plan, values, nulls)) {
                rows = rows + 1;
                for (int index = 0; index < fields.count; ++index)
                    if (!nulls[index])
                        OidOutputFunctionCall(outputs[index], values[index]);
            }
        }
        PG_CATCH();
        {
            MemoryContextSwitchTo(row_context);
            error = CopyErrorData();
            FlushErrorState();
            ending = judge(error->sqlerrcode);
        }
        PG_END_TRY();
        MemoryContextSwitchTo(context);
        free(buffer);

        counts.rows += rows;
        counts.refused += ending == Ending::refused;
        counts.corrupt += ending == Ending::corrupt;
        if (ending == Ending::unexpected) {
            StringInfoData bytes;
            initStringInfo(&bytes);
            for (size_t at = 0; at < size; ++at)
                appendStringInfo(&bytes, "%02x", work[at]);
            ereport(ERROR, (errcode(error->sqlerrcode), errmsg("iteration %d: %s", iteration, error->message),
                            errdetail("%s", bytes.data)));
        }
    }
    report_mismatches(plan);
    PG_RETURN_TEXT_P(
        cstring_to_text(psprintf("%lld rows, %lld refused, %lld corrupt", static_cast<long long>(counts.rows),
                                 static_cast<long long>(counts.refused), static_cast<long long>(counts.corrupt))));
}

Datum mongoferry_leave(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    fflush(stdout);
    _exit(0);
}
