/*
 * Converters: how a BSON value becomes a value of one column type. Chosen once a scan, for each column and, inside
 * arrays and composite types, for each element and attribute; a table by BSON type then leads straight to the function.
 *
 * A converter function never decides what a misfit means: it says "refused" and why (refuse()), and convert() raises
 * the error or turns the value into NULL and counts it, as on_mismatch says. So that happens at the innermost level: an
 * array element that does not fit is a NULL element, and is counted once.
 *
 * POD world (pg/guard.h). Values are allocated in CurrentMemoryContext, converters in the plan's context.
 */
#pragma once

#include "pg/backend.h"

#include "bson/conversion_options.h"
#include "bson/key_set.h"
#include "bson/mismatch.h"
#include "bson/view.h"

namespace mongoferry::bson {

enum class Outcome : uint8_t { value, null, refused };

struct Converter;
using Convert = Outcome (*)(const Converter &converter, Conversion &conversion, const Value &value, Datum *result);

/* BSON's type numbers, made dense: 0 … 0x13 as they are, then max key and min key. */
constexpr int type_index_count = 0x16;
inline int type_index(Type type) noexcept {
    if (type <= Type::decimal128) [[likely]]
        return static_cast<int>(type);
    return type == Type::max_key ? 0x14 : 0x15;
}

/* A function of the backend's that is looked up once. */
struct BackendFunction {
    FmgrInfo info;
    Oid parameter;   /* of an input function: the type parameter */
    bool is_trusted; /* built in: an error leaves nothing behind that only a subtransaction could clean up */
};

struct Converter {
    Oid type;      /* as declared; may be a domain */
    int32 typmod;  /* as declared */
    Oid base_type; /* of the domain, else type */
    int32 base_typmod;
    ConversionOptions options;

    Convert by_type[type_index_count];

    /* After the conversion proper; finishes says whether there is any of it. */
    bool finishes;
    bool is_domain; /* with constraints */
    bool trusts_domain;
    void *domain_state;        /* domain_check's own */
    BackendFunction *coercion; /* applies the type modifier, or NULL */

    BackendFunction *input; /* the type's input function, where strings go through it */
    bool text_by_input;     /* a string type of somebody else's: its values come from text through its input function */

    /* Arrays. */
    Converter *element;
    int16 element_length;
    bool element_by_value;
    char element_alignment;
    bool element_takes_arrays; /* a BSON array inside the array is an element (jsonb[]), not a dimension */
    Datum *elements;           /* room that grows and is used again */
    bool *element_nulls;
    int element_room;

    /* Composite types. */
    TupleDesc row_type;
    KeySet *attribute_names;
    int *attribute_slots;   /* of each name: attnum - 1 */
    Converter **attributes; /* by attnum - 1; NULL for dropped ones */
    Datum *attribute_values;
    bool *attribute_nulls;
    bool *attribute_seen;

    MemoryContext context; /* that the converter lives in */
};

/* The converter for a column type. Raises HV004 (invalid data type) naming the column if no BSON value can become it.
 */
Converter *make_converter(Oid type, int32 typmod, const ConversionOptions &options, const char *column_name);

bool finish_conversion(const Converter &converter, Conversion &conversion, const Value &value, Outcome outcome,
                       Datum *result);

/* Converts a value. True if there is one in *result, false for NULL. Raises if it does not fit and on_mismatch says so.
 */
inline bool convert(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    const Outcome outcome = converter.by_type[type_index(value.type)](converter, conversion, value, result);
    if (outcome == Outcome::value && !converter.finishes) [[likely]]
        return true;
    return finish_conversion(converter, conversion, value, outcome, result);
}

/* A value that is not there: NULL, which a domain may refuse. */
inline bool convert_missing(const Converter &converter, Conversion &conversion, Datum *result) {
    if (!converter.is_domain) [[likely]]
        return false;
    return finish_conversion(converter, conversion, Value{}, Outcome::null, result);
}

/* Says that a value does not fit. reason follows "value …" in the detail and may be NULL; it is static or palloc'd. */
inline Outcome refuse(Conversion &conversion, int sqlstate, const char *reason, Way way = Way::other_type) {
    conversion.refusal = {sqlstate, reason, way};
    return Outcome::refused;
}
Outcome convert_null(const Converter &, Conversion &, const Value &, Datum *);
Outcome refuse_type(const Converter &, Conversion &, const Value &, Datum *);

/* Each fills by_type for the base types of its file; the table is set to convert_null and refuse_type before. */
void choose_number_converters(Converter *converter); /* convert_number.cpp: bool, integers, floats, numeric */
void choose_text_converters(Converter *converter);   /* convert_text.cpp: text, varchar, char(n), other string types */
void choose_json_converters(Converter *converter);   /* convert_json.cpp: json, jsonb */
void choose_time_converters(Converter *converter);   /* convert_time.cpp: timestamptz, timestamp, date */
void choose_bytes_converters(Converter *converter);  /* convert_bytes.cpp: bytea, uuid, objectid */
void choose_array_converters(Converter *converter, Oid element_type, const char *column_name); /* convert_array.cpp */
void choose_composite_converters(Converter *converter, const char *column_name); /* convert_composite.cpp */

/* A name in the server's encoding as the UTF-8 that keys are in. Plan time. */
const char *utf8_name(const char *name);

/* A BSON string through the type's input function. */
Outcome convert_string_by_input(const Converter &, Conversion &, const Value &, Datum *);
/* The same where only coerce_strings allows it; refuses with a hint otherwise. */
Convert coerced_string(const Converter &converter);

} // namespace mongoferry::bson
