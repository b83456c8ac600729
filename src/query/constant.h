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

inline Constant integer_constant(int64 value) {
    Constant constant{};
    constant.kind = ConstantKind::integer;
    constant.integer = value;
    return constant;
}

inline Constant float64_constant(double value) {
    Constant constant{};
    constant.kind = ConstantKind::float64;
    constant.float64 = value;
    return constant;
}

inline Constant boolean_constant(bool value) {
    Constant constant{};
    constant.kind = ConstantKind::boolean;
    constant.boolean = value;
    return constant;
}

inline Constant date_constant(int64 milliseconds) {
    Constant constant{};
    constant.kind = ConstantKind::date;
    constant.integer = milliseconds;
    return constant;
}

/* UTF-8, which must live on. */
inline Constant text_constant(const char *characters) {
    Constant constant{};
    constant.kind = ConstantKind::text;
    constant.text = {characters, strlen(characters), nullptr};
    return constant;
}

inline Constant uuid_constant(uint8_t subtype, const uint8_t *bytes) {
    Constant constant{};
    constant.kind = ConstantKind::uuid;
    constant.binary_subtype = subtype;
    memcpy(constant.bytes, bytes, sizeof constant.bytes);
    return constant;
}

inline Constant object_id_constant(const uint8_t *bytes) {
    Constant constant{};
    constant.kind = ConstantKind::object_id;
    memcpy(constant.bytes, bytes, 12);
    return constant;
}

} // namespace mongoferry::query
