/*
 * Casts between numbers, booleans and text. PostgreSQL's integers are out of doubles rounded half to even, out of
 * numeric half away from zero.
 */
#include "query/number_rules.h"

#include "bson/objectid_type_id.h"

extern "C" {
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
}

#include <cmath>

namespace mongoferry::query {

/* --- to integers ------------------------------------------------------------------------------------------------- */

static ServerValue *widen_integer(const Call &call) {
    return argument_value(call, 0);
}

static ServerValue *narrow_integer(const Call &call) {
    ServerValue *value = argument_value(call, 0);
    return value ? integer_result(call, value) : nullptr;
}

/* Of a number without digits behind the point. */
static ServerValue *integer_of_whole(const Call &call, ServerValue *number) {
    ServerValue *whole = converted(number, "long"); /* null for what no bigint can hold, NaN included */
    add_trouble(call.translation, all_of({is_something(number), is_nothing(whole)}));
    return integer_result(call, whole);
}

static ServerValue *integer_of_float64(const Call &call) {
    ServerValue *value = argument_value(call, 0);
    if (!value)
        return nullptr;
    return integer_of_whole(call, rounded_float64("$round", is_constant(value) ? value : converted(value, "double")));
}

static ServerValue *integer_of_numeric(const Call &call) {
    ServerValue *value = decimal_argument(call, 0);
    if (!value)
        return nullptr;
    return integer_of_whole(call, rounded_decimal(call, value, 0));
}

static ServerValue *integer_of_boolean(const Call &call) {
    ServerValue *value = argument_value(call, 0);
    if (!value)
        return nullptr;
    return of_something(value, [](ServerValue *known) { return choice(known, integer_value(1), integer_value(0)); });
}

static ServerValue *boolean_of_integer(const Call &call) {
    ServerValue *value = argument_value(call, 0);
    if (!value)
        return nullptr;
    return of_something(value, [](ServerValue *known) { return operation("$ne", {known, integer_value(0)}); });
}

/* --- to double precision and numeric ----------------------------------------------------------------------------- */

static ServerValue *float64_of_integer(const Call &call) {
    ServerValue *value = argument_value(call, 0);
    return value ? converted(converted(value, "long"), "double") : nullptr;
}

static ServerValue *float64_of_numeric(const Call &call) {
    ServerValue *value = decimal_argument(call, 0);
    if (!value)
        return nullptr;
    ServerValue *result = converted(value, "double");
    add_trouble(
        call.translation, with_names("value", value, "result", result, [&](ServerValue *a, ServerValue *b) {
            ServerValue *infinities = array_value({float64_value(HUGE_VAL), float64_value(-HUGE_VAL)});
            ServerValue *zero = integer_value(0);
            return all_of(
                {is_something(a),
                 any_of({is_nothing(b), all_of({operation("$eq", {b, zero}), operation("$ne", {a, zero})}),
                         all_of({operation("$in", {b, infinities}), not_of(operation("$in", {a, infinities}))})})});
        }));
    return result;
}

static ServerValue *numeric_of_integer(const Call &call) {
    ServerValue *value = argument_value(call, 0);
    return value ? converted(converted(value, "long"), "decimal") : nullptr;
}

/* PostgreSQL takes the 15 digits that a double surely has, and so does $toDecimal, which leaves zeros at the end. */
static ServerValue *numeric_of_float64(const Call &call) {
    ServerValue *value = argument_value(call, 0);
    if (!value)
        return nullptr;
    ServerValue *written = operation_of("$toString", converted(converted(value, "double"), "decimal"));
    constexpr int longest = 20; /* sign, three zeros, point and 15 digits */
    add_trouble(call.translation, with_name("written", written, [&](ServerValue *known) {
                    ServerValue *is_special = named_operation(
                        "$regexMatch", {{"input", known}, {"regex", text_value("[^-.0-9]|^-?0\\.000|^-0(\\.0*)?$")}});
                    return choice(is_something(known),
                                  any_of({is_special, operation("$gt", {operation_of("$strLenCP", known),
                                                                        integer_value(longest)})}),
                                  boolean_value(false));
                }));
    return with_name("written", written, [&](ServerValue *known) {
        auto without = [](ServerValue *text, const char *end) {
            return named_operation("$rtrim", {{"input", text}, {"chars", text_value(end)}});
        };
        return converted(
            choice(operation("$gte", {operation("$indexOfCP", {known, text_value(".")}), integer_value(0)}),
                   without(without(known, "0"), "."), known),
            "decimal");
    });
}

/* --- to text ----------------------------------------------------------------------------------------------------- */

static ServerValue *text_of_boolean(const Call &call) {
    ServerValue *value = argument_value(call, 0);
    if (!value)
        return nullptr;
    return of_something(value,
                        [](ServerValue *known) { return choice(known, text_value("true"), text_value("false")); });
}

ServerValue *translate_text_cast(const Call &call) {
    const Oid from = getBaseType(exprType(argument(call, 0)));
    const bool is_to_text = call.type == TEXTOID || call.type == VARCHAROID;
    const bool is_whole = from == INT2OID || from == INT4OID || from == INT8OID;
    if (!is_to_text || (!is_whole && from != bson::objectid_type_id()))
        return not_sent(
            call.translation, call.expression,
            psprintf("there is no rule for the cast from %s to %s", format_type_be(from), format_type_be(call.type)));
    if (GetDatabaseEncoding() != PG_UTF8)
        return not_sent(call.translation, call.expression, "the database's encoding is not UTF8");
    ServerValue *value = argument_value(call, 0);
    if (!value)
        return nullptr;
    return operation_of("$toString", is_whole ? converted(value, "long") : value);
}

/* --- the table --------------------------------------------------------------------------------------------------- */

// clang-format off
static const FunctionRule rules[] = {
    {"casts between smallint, integer and bigint", "the number itself", "a number out of range is trouble", widen_integer,
     {F_INT4_INT2, F_INT8_INT2, F_INT8_INT4}},
    {nullptr, nullptr, nullptr, narrow_integer, {F_INT2_INT4, F_INT2_INT8, F_INT4_INT8}},
    {"double precision → smallint, integer, bigint", "$round (half to even, both), $convert", "a number out of range, NaN and infinity are trouble", integer_of_float64,
     {F_INT2_FLOAT8, F_INT4_FLOAT8, F_INT8_FLOAT8}},
    {"numeric → smallint, integer, bigint", "as round(numeric), then $convert", "a number out of range, NaN and infinity are trouble", integer_of_numeric,
     {F_INT2_NUMERIC, F_INT4_NUMERIC, F_INT8_NUMERIC}},
    {"smallint, integer, bigint → double precision, numeric", "$convert to double, decimal", "always", float64_of_integer,
     {F_FLOAT8_INT2, F_FLOAT8_INT4, F_FLOAT8_INT8}},
    {nullptr, nullptr, nullptr, numeric_of_integer, {F_NUMERIC_INT2, F_NUMERIC_INT4, F_NUMERIC_INT8}},
    {"numeric → double precision", "$convert to double", "a number out of range is trouble", float64_of_numeric, {F_FLOAT8_NUMERIC}},
    {"double precision → numeric", "$convert to decimal, which keeps 15 digits as PostgreSQL does, without the zeros at the end",
     "NaN, infinity, and numbers below 0.001 or from 1E+15 on are trouble", numeric_of_float64, {F_NUMERIC_FLOAT8}},
    {"boolean → integer, integer → boolean", "{$cond: [a, 1, 0]}, {$ne: [a, 0]}", "always", integer_of_boolean, {F_INT4_BOOL}},
    {nullptr, nullptr, nullptr, boolean_of_integer, {F_BOOL_INT4}},
    {"boolean → text", "{$cond: [a, 'true', 'false']}", "always", text_of_boolean, {F_TEXT_BOOL}},
    {"smallint, integer, bigint, objectid → text", "$toString", "the database's encoding is UTF8", nullptr, {}},
};
// clang-format on

const RuleGroup cast_rules = {"casts", rules, lengthof(rules)};

} // namespace mongoferry::query
