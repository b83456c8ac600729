/*
 * The rules by column type: which BSON values are the column's own ("native", see translation.h), which others become
 * a value too, and how to ask the server which of these a document has. All knowledge of a type that translations of
 * conditions, values, orders and groups share is here.
 *
 * It follows src/bson/convert_*.cpp, which do the conversion. POD world.
 */
#pragma once

#include "pg/backend.h"

#include "query/filter_node.h"
#include "query/translation.h"

namespace mongoferry::query {

enum class ColumnKind : uint8_t {
    integer,   /* int2, int4, int8 */
    float32,   /* float4: values are rounded, so all comparisons are wide */
    float64,   /* float8 */
    numeric,   /* numeric, numeric(p,s) */
    boolean,   /* bool */
    text,      /* text, varchar, varchar(n) */
    object_id, /* mongoferry.objectid */
    uuid,      /* uuid */
    timestamp, /* timestamp, timestamptz; a modifier of 3 or more changes nothing */
    date,      /* date: the UTC day */
    bytes,     /* bytea: only whether there is one */
    other,     /* only whether there is one, and never exactly */
};

struct ColumnRule {
    ColumnKind kind;
    Oid base_type;   /* of a domain, else the type */
    int32 limit;     /* varchar(n): n characters; else -1 */
    int64 minimum;   /* integer */
    int64 maximum;   /* integer */
    int32 precision; /* numeric(p,s): p and s; else -1 */
    int32 scale;
    uint8_t uuid_binary;        /* uuid: the subtype of the native binaries */
    TypeList convertible;       /* BSON types, none of them native, that become values of the column too */
    const char *not_comparable; /* why nothing is sent about its values; NULL: they can be compared */
    const char *not_exact;      /* why no translation is exact; NULL: it can be */
};

/* The type's rule under the column's options. */
ColumnRule rule_of_type(Oid type, int32 typmod, const bson::ConversionOptions &options);

/* A column, or a known value, as a translation meets it. */
struct UsedColumn {
    int table; /* from 0 on; -1: a known value */
    AttrNumber column;
    const Field *field; /* NULL: a known value */
    const char *path;   /* UTF-8 */
    ColumnRule rule;
    bool of_elements;  /* in an array that no $unwind has come over yet: the path means all of its elements */
    bool has_position; /* the path names a position in an array, which the aggregation language does not know */
};

/* The column or known value behind an expression; false if it is none. */
bool find_column(const Translation *translation, Node *expression, UsedColumn *used);
/* A column by number. */
UsedColumn column_at(const Translation *translation, int table, AttrNumber column);

/* Why a predicate of the query language, or an expression of the aggregation language, can't speak of the column's
 * values; NULL if it can. */
const char *refusal_in_query(const UsedColumn &used);
const char *refusal_in_expression(const UsedColumn &used);

/* Boolean expressions: the field holds a native value; it is odd. Total. */
ServerValue *native_test(const UsedColumn &used);
ServerValue *odd_value_test(const UsedColumn &used);

/* Query predicates; NULL: there is no such document.
 * Odd documents whose value in the column may be any: strings in a timestamptz column … Numbers in float64 and numeric
 * columns are left to the comparison, which can tell. */
FilterNode *convertible_filter(const UsedColumn &used);
/* Odd documents in which the column is NULL: an array on the way, undefined, and what on_mismatch reads as NULL.
 * Everything, if these can't be told. */
FilterNode *null_by_oddity_filter(const UsedColumn &used);
/* Odd documents that a scan reads: those two and the odd numbers. */
FilterNode *odd_filter(const UsedColumn &used);
/* An array before the end of a path (UTF-8), from the given byte on; NULL: there is nothing before its end. */
FilterNode *arrays_before_end(const char *path, size_t start);
/* All odd documents: where a column is used without being read. */
FilterNode *any_odd_filter(const UsedColumn &used);

/* The bounds of what a timestamp column can hold, in milliseconds since 1970; the upper one is the first beyond. */
extern const int64 timestamp_first_millisecond;
extern const int64 timestamp_beyond_millisecond;

} // namespace mongoferry::query
