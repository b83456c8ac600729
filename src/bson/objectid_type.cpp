/*
 * The SQL type mongoferry.objectid: input and output, comparison, hashing, sorting, casts.
 *
 * Twelve bytes, fixed length, passed by reference, no alignment. The order is that of the bytes, as MongoDB has it: by
 * time of creation in seconds, then by the process that made it, then by its counter.
 *
 * POD world (pg/guard.h). All functions are declared STRICT in extension/20_objectid.sql, so none sees a NULL.
 */
#include "pg/backend.h"

#include "bson/number_text.h"

extern "C" {
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "port/pg_bswap.h"
#include "utils/sortsupport.h"
#include "utils/timestamp.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_in);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_out);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_recv);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_send);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_eq);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_ne);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_lt);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_le);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_gt);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_ge);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_cmp);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_sortsupport);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_hash);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_hash_extended);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_smaller);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_larger);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_to_bytea);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_from_bytea);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_to_timestamptz);
}

using mongoferry::bson::parse_object_id;
using mongoferry::bson::write_object_id;

static constexpr size_t objectid_size = 12;
static constexpr size_t objectid_digits = 2 * objectid_size;

static inline const uint8_t *bytes_of(Datum objectid) {
    return reinterpret_cast<const uint8_t *>(DatumGetPointer(objectid));
}
#define GETARG_OBJECTID(n) bytes_of(PG_GETARG_DATUM(n))

static inline int compare(const uint8_t *a, const uint8_t *b) {
    return memcmp(a, b, objectid_size);
}

/* ---- input and output ---- */

/* 24 hexadecimal digits of either case. Raises 22P02, softly where the caller can take it. */
Datum objectid_in(PG_FUNCTION_ARGS) {
    const char *digits = PG_GETARG_CSTRING(0);
    uint8_t *objectid = static_cast<uint8_t *>(palloc(objectid_size));
    if (!parse_object_id(std::string_view(digits, strlen(digits)), objectid))
        ereturn(fcinfo->context, static_cast<Datum>(0),
                (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
                 errmsg("invalid input syntax for type %s: \"%s\"", "mongoferry.objectid", digits),
                 errdetail("An ObjectId is written as 24 hexadecimal digits.")));
    PG_RETURN_POINTER(objectid);
}

Datum objectid_out(PG_FUNCTION_ARGS) {
    char *digits = static_cast<char *>(palloc(objectid_digits + 1));
    write_object_id(GETARG_OBJECTID(0), digits);
    digits[objectid_digits] = '\0';
    PG_RETURN_CSTRING(digits);
}

Datum objectid_recv(PG_FUNCTION_ARGS) {
    StringInfo message = reinterpret_cast<StringInfo>(PG_GETARG_POINTER(0));
    uint8_t *objectid = static_cast<uint8_t *>(palloc(objectid_size));
    pq_copymsgbytes(message, reinterpret_cast<char *>(objectid), objectid_size);
    PG_RETURN_POINTER(objectid);
}

Datum objectid_send(PG_FUNCTION_ARGS) {
    StringInfoData message;
    pq_begintypsend(&message);
    pq_sendbytes(&message, reinterpret_cast<const char *>(GETARG_OBJECTID(0)), objectid_size);
    PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

/* ---- comparison ---- */

Datum objectid_eq(PG_FUNCTION_ARGS) {
    PG_RETURN_BOOL(compare(GETARG_OBJECTID(0), GETARG_OBJECTID(1)) == 0);
}
Datum objectid_ne(PG_FUNCTION_ARGS) {
    PG_RETURN_BOOL(compare(GETARG_OBJECTID(0), GETARG_OBJECTID(1)) != 0);
}
Datum objectid_lt(PG_FUNCTION_ARGS) {
    PG_RETURN_BOOL(compare(GETARG_OBJECTID(0), GETARG_OBJECTID(1)) < 0);
}
Datum objectid_le(PG_FUNCTION_ARGS) {
    PG_RETURN_BOOL(compare(GETARG_OBJECTID(0), GETARG_OBJECTID(1)) <= 0);
}
Datum objectid_gt(PG_FUNCTION_ARGS) {
    PG_RETURN_BOOL(compare(GETARG_OBJECTID(0), GETARG_OBJECTID(1)) > 0);
}
Datum objectid_ge(PG_FUNCTION_ARGS) {
    PG_RETURN_BOOL(compare(GETARG_OBJECTID(0), GETARG_OBJECTID(1)) >= 0);
}
Datum objectid_cmp(PG_FUNCTION_ARGS) {
    PG_RETURN_INT32(compare(GETARG_OBJECTID(0), GETARG_OBJECTID(1)));
}

/* Transition functions of min() and max(). */
Datum objectid_smaller(PG_FUNCTION_ARGS) {
    PG_RETURN_DATUM(compare(GETARG_OBJECTID(0), GETARG_OBJECTID(1)) <= 0 ? PG_GETARG_DATUM(0) : PG_GETARG_DATUM(1));
}
Datum objectid_larger(PG_FUNCTION_ARGS) {
    PG_RETURN_DATUM(compare(GETARG_OBJECTID(0), GETARG_OBJECTID(1)) >= 0 ? PG_GETARG_DATUM(0) : PG_GETARG_DATUM(1));
}

/* ---- sorting ---- */

static int compare_full(Datum x, Datum y, SortSupport) {
    return compare(bytes_of(x), bytes_of(y));
}

/* The leading bytes as one unsigned integer that sorts as they do. */
static Datum abbreviate(Datum original, SortSupport) {
    Datum abbreviated;
    memcpy(&abbreviated, bytes_of(original), sizeof abbreviated);
    return DatumBigEndianToNative(abbreviated);
}

/* Abbreviating costs one load, and the eight bytes hold the time of creation: it is never worth giving up. */
static bool keep_abbreviating(int, SortSupport) {
    return false;
}

Datum objectid_sortsupport(PG_FUNCTION_ARGS) {
    SortSupport support = reinterpret_cast<SortSupport>(PG_GETARG_POINTER(0));
    support->comparator = compare_full;
    support->ssup_extra = nullptr;
    if (support->abbreviate) {
        support->comparator = ssup_datum_unsigned_cmp;
        support->abbrev_converter = abbreviate;
        support->abbrev_abort = keep_abbreviating;
        support->abbrev_full_comparator = compare_full;
    }
    PG_RETURN_VOID();
}

/* ---- hashing ---- */

Datum objectid_hash(PG_FUNCTION_ARGS) {
    return hash_any(GETARG_OBJECTID(0), objectid_size);
}
Datum objectid_hash_extended(PG_FUNCTION_ARGS) {
    return hash_any_extended(GETARG_OBJECTID(0), objectid_size, static_cast<uint64>(PG_GETARG_INT64(1)));
}

/* ---- casts ---- */

Datum objectid_to_bytea(PG_FUNCTION_ARGS) {
    bytea *result = static_cast<bytea *>(palloc(VARHDRSZ + objectid_size));
    SET_VARSIZE(result, VARHDRSZ + objectid_size);
    memcpy(VARDATA(result), GETARG_OBJECTID(0), objectid_size);
    PG_RETURN_BYTEA_P(result);
}

/* Raises 22P03 (invalid_binary_representation) for a bytea that has not 12 bytes. */
Datum objectid_from_bytea(PG_FUNCTION_ARGS) {
    bytea *input = PG_GETARG_BYTEA_PP(0);
    size_t size = VARSIZE_ANY_EXHDR(input);
    if (size != objectid_size)
        ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
                        errmsg("invalid length for type %s: %zu bytes", "mongoferry.objectid", size),
                        errdetail("An ObjectId has %zu bytes.", objectid_size)));
    uint8_t *objectid = static_cast<uint8_t *>(palloc(objectid_size));
    memcpy(objectid, VARDATA_ANY(input), objectid_size);
    PG_RETURN_POINTER(objectid);
}

/* The time of creation: the first four bytes, big-endian, are seconds since 1970, unsigned, so until 2106.
 * Source: https://github.com/mongodb/specifications/blob/master/source/bson-objectid/objectid.md */
Datum objectid_to_timestamptz(PG_FUNCTION_ARGS) {
    uint32 seconds;
    memcpy(&seconds, GETARG_OBJECTID(0), sizeof seconds);
    seconds = pg_ntoh32(seconds);
    constexpr int64 seconds_from_unix_epoch = int64{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * SECS_PER_DAY;
    PG_RETURN_TIMESTAMPTZ((int64{seconds} - seconds_from_unix_epoch) * USECS_PER_SEC);
}
