/*
 * A constant of a query, as it goes to the server: a BSON value in plain memory. POD.
 */
#pragma once

#include "pg/backend.h"

namespace mongoferry::query {

enum class ConstantKind : uint8_t {
    null,
    integer, /* written as int32 where it fits, else int64 */
    float64,
    decimal128,
    boolean,
    object_id,
    date, /* milliseconds since 1970, UTC */
    text, /* UTF-8 */
    regex,
    uuid, /* binary of subtype 4 or 3, see binary_subtype */
};

struct Constant {
    ConstantKind kind;
    uint8_t binary_subtype; /* uuid */
    /* n > 0: the value of the plan's n-th placeholder (remote_query.h), of which only the type is known yet; EXPLAIN
     * shows it as {"$parameter": n}. */
    int placeholder;
    union {
        int64 integer; /* also milliseconds of a date */
        double float64;
        uint8_t bytes[16]; /* Decimal128, ObjectId or UUID in the byte order that the field has */
        bool boolean;
        struct {
            const char *data;
            size_t size;
            const char *options; /* regex: its letters; else NULL */
        } text;
    };
};

} // namespace mongoferry::query
