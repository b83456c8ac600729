/*
 * Arithmetic of numeric, in Decimal128: exact within 34 digits, and with the scale that PostgreSQL gives (the sum has
 * the larger scale of the two, the product both together). What comes near the limits is trouble. Division is not sent:
 * how many digits a quotient has is PostgreSQL's own choice.
 */
#include "query/number_rules.h"

namespace mongoferry::query {

/* --- arguments --------------------------------------------------------------------------------------------------- */

/* A number as a Decimal128. A stored double is whole (column_rule.h); as a double only 15 digits of it would count. */
ServerValue *decimal_argument(const Call &call, int number) {
    ServerValue *value = argument_value(call, number);
    if (!value || is_constant(value))
        return value;
    if (!may_be_stored(argument(call, number)))
        return converted(value, "decimal");
    return with_name("value", value, [&](ServerValue *known) {
        return choice(operation("$eq", {operation_of("$type", known), text_value("double")}),
                      converted(converted(known, "long"), "decimal"), converted(known, "decimal"));
    });
}

/* Neither so large nor so small that the exponent could run out; not NaN, not infinite. */
static ServerValue *is_ordinary(ServerValue *value) {
    return any_of({operation("$eq", {value, integer_value(0)}),
                   all_of({operation("$gte", {operation("$abs", {value}), decimal_value("1E-1000")}),
                           operation("$lte", {operation("$abs", {value}), decimal_value("1E+1000")})})});
}

static ServerValue *is_between(ServerValue *value, const char *lower, const char *upper) {
    return all_of({operation("$gte", {value, decimal_value(lower)}), operation("$lte", {value, decimal_value(upper)})});
}

/* So long written that digits may have been rounded away. */
static ServerValue *is_long(ServerValue *value, int length) {
    return operation("$gte", {operation_of("$strLenCP", operation_of("$toString", value)), integer_value(length)});
}

/* Whether a value that is something, has no result, or one that is too long. */
static void add_digits_trouble(const Call &call, ServerValue *something, ServerValue *result, int length) {
    add_trouble(call.translation, all_of({something, with_name("result", result, [&](ServerValue *known) {
                                              return choice(is_something(known), is_long(known, length),
                                                            boolean_value(true));
                                          })}));
}

/* --- operators --------------------------------------------------------------------------------------------------- */

static ServerValue *numeric_operation(const Call &call, const char *name) {
    ServerValue *left = decimal_argument(call, 0);
    ServerValue *right = left ? decimal_argument(call, 1) : nullptr;
    if (!right)
        return nullptr;
    ServerValue *result = with_names("left", left, "right", right, [&](ServerValue *a, ServerValue *b) {
        ServerValue *divisor_fits = strcmp(name, "$mod") == 0 ? operation("$ne", {b, integer_value(0)}) : nullptr;
        ServerValue *zero = decimal_value("0");
        ServerValue *computed = nullptr;
        if (strcmp(name, "$subtract") == 0)
            computed = operation("$add", {a, operation("$multiply", {b, integer_value(-1)})});
        else if (strcmp(name, "$multiply") == 0)
            computed = operation(name, {operation("$add", {a, zero}), operation("$add", {b, zero})});
        else
            computed = operation(name, {a, b});
        return choice(all_of({is_ordinary(a), is_ordinary(b), divisor_fits}), computed, null_value());
    });
    constexpr int digits_of_decimal = 34;
    add_digits_trouble(call, all_of({is_something(left), is_something(right)}), result, digits_of_decimal);
    return result;
}

static ServerValue *add_numeric(const Call &call) {
    return numeric_operation(call, "$add");
}

/* a - b is computed as a + (-b): there are servers that subtract with fewer digits than they add. */
static ServerValue *subtract_numeric(const Call &call) {
    return numeric_operation(call, "$subtract");
}

/* 1E+3 * 0.5 shall be 500.0, not 5E+2: so the factors get an exponent that is no more than 0. */
static ServerValue *multiply_numeric(const Call &call) {
    return numeric_operation(call, "$multiply");
}

static ServerValue *remainder_numeric(const Call &call) {
    return numeric_operation(call, "$mod");
}

static ServerValue *negate_numeric(const Call &call) {
    ServerValue *value = decimal_argument(call, 0);
    return value ? operation("$multiply", {value, integer_value(-1)}) : nullptr;
}

static ServerValue *absolute_numeric(const Call &call) {
    ServerValue *value = decimal_argument(call, 0);
    return value ? operation("$abs", {value}) : nullptr;
}

static ServerValue *sign_numeric(const Call &call) {
    ServerValue *value = decimal_argument(call, 0);
    if (!value)
        return nullptr;
    ServerValue *zero = integer_value(0);
    add_trouble(call.translation, operation("$eq", {value, decimal_value("NaN")}));
    return of_something(value, [&](ServerValue *known) {
        return choice(operation("$gt", {known, zero}), integer_value(1),
                      choice(operation("$lt", {known, zero}), integer_value(-1), zero));
    });
}

/* --- rounding ---------------------------------------------------------------------------------------------------- */

/* The bounds of numbers that have room for so many digits behind the point. */
static ServerValue *has_room(ServerValue *value, int scale) {
    constexpr int room = 32; /* of 34: one for a carry, one for the half that is added */
    return is_between(value, psprintf("-1E+%d", room - Max(scale, 0)), psprintf("1E+%d", room - Max(scale, 0)));
}

/* scale digits behind the point; name is $trunc, $ceil or $floor. */
static ServerValue *cut_decimal(const Call &call, const char *name, ServerValue *value, int scale) {
    ServerValue *result = with_name("value", value, [&](ServerValue *known) {
        return choice(has_room(known, scale),
                      scale == 0 ? operation(name, {known}) : operation(name, {known, integer_value(scale)}),
                      null_value());
    });
    add_trouble(call.translation, all_of({is_something(value), not_of(has_room(value, scale))}));
    return result;
}

/* SQL rounds a half away from zero, $round to even: so half a unit is added and the rest is cut off. */
ServerValue *rounded_decimal(const Call &call, ServerValue *value, int scale) {
    ServerValue *up = decimal_value(psprintf("5E%d", -(scale + 1)));
    ServerValue *down = decimal_value(psprintf("-5E%d", -(scale + 1)));
    ServerValue *result = with_name("value", value, [&](ServerValue *known) {
        ServerValue *moved = operation("$add", {known, choice(operation("$lt", {known, integer_value(0)}), down, up)});
        return choice(has_room(known, scale),
                      scale == 0 ? operation("$trunc", {moved}) : operation("$trunc", {moved, integer_value(scale)}),
                      null_value());
    });
    constexpr int longest = 33;
    add_trouble(call.translation,
                all_of({is_something(value), any_of({not_of(has_room(value, scale)), is_long(value, longest)})}));
    return result;
}

static ServerValue *truncate_numeric(const Call &call) {
    ServerValue *value = decimal_argument(call, 0);
    return value ? cut_decimal(call, "$trunc", value, 0) : nullptr;
}

static ServerValue *ceil_numeric(const Call &call) {
    ServerValue *value = decimal_argument(call, 0);
    return value ? cut_decimal(call, "$ceil", value, 0) : nullptr;
}

static ServerValue *floor_numeric(const Call &call) {
    ServerValue *value = decimal_argument(call, 0);
    return value ? cut_decimal(call, "$floor", value, 0) : nullptr;
}

static ServerValue *round_numeric(const Call &call) {
    ServerValue *value = decimal_argument(call, 0);
    return value ? rounded_decimal(call, value, 0) : nullptr;
}

/* The second argument, where it is written in the query and leaves room for digits before the point. */
static bool literal_scale(const Call &call, int *scale) {
    const Const *literal = literal_argument(call, 1);
    constexpr int most = 20;
    if (!literal || DatumGetInt32(literal->constvalue) < 0 || DatumGetInt32(literal->constvalue) > most)
        return false;
    *scale = DatumGetInt32(literal->constvalue);
    return true;
}

static constexpr char scale_not_written[] = "the number of digits is not a constant from 0 to 20";

static ServerValue *round_numeric_to(const Call &call) {
    int scale;
    if (!literal_scale(call, &scale))
        return not_sent(call.translation, call.expression, scale_not_written);
    ServerValue *value = decimal_argument(call, 0);
    return value ? rounded_decimal(call, value, scale) : nullptr;
}

static ServerValue *truncate_numeric_to(const Call &call) {
    int scale;
    if (!literal_scale(call, &scale))
        return not_sent(call.translation, call.expression, scale_not_written);
    ServerValue *value = decimal_argument(call, 0);
    return value ? cut_decimal(call, "$trunc", value, scale) : nullptr;
}

/* The cast to numeric(precision, scale). */
static ServerValue *fit_numeric(const Call &call) {
    const Const *literal = literal_argument(call, 1);
    const int32 modifier = literal ? DatumGetInt32(literal->constvalue) : -1;
    if (modifier < VARHDRSZ)
        return not_sent(call.translation, call.expression, "the type modifier is not a constant");
    const int precision = static_cast<int>(static_cast<uint32>(modifier - VARHDRSZ) >> 16);
    const int scale = (modifier - VARHDRSZ) & 0xffff;
    if (scale > 20 || scale > precision || precision - scale > 32)
        return not_sent(call.translation, call.expression, "the type modifier leaves no room in Decimal128");
    ServerValue *value = decimal_argument(call, 0);
    if (!value)
        return nullptr;
    ServerValue *result = rounded_decimal(call, value, scale);
    ServerValue *bound = decimal_value(psprintf("1E+%d", precision - scale));
    add_trouble(call.translation, operation("$gte", {operation("$abs", {result}), bound}));
    return result;
}

/* --- the table --------------------------------------------------------------------------------------------------- */

// clang-format off
static const FunctionRule rules[] = {
    {"numeric + numeric, a - b, a * b", "{$add: [a, b]}, {$add: [a, {$multiply: [b, -1]}]}, {$multiply: [{$add: [a, 0]}, {$add: [b, 0]}]}, of Decimal128",
     "a result of 34 digits or more, NaN, infinity, and numbers beyond 1E±1000 are trouble", add_numeric, {F_NUMERIC_ADD}},
    {nullptr, nullptr, nullptr, subtract_numeric, {F_NUMERIC_SUB}},
    {nullptr, nullptr, nullptr, multiply_numeric, {F_NUMERIC_MUL}},
    {"numeric % numeric, mod(a, b)", "{$mod: [a, b]}", "the same, and zero as divisor", remainder_numeric, {F_NUMERIC_MOD, F_MOD_NUMERIC_NUMERIC}},
    {"- numeric, abs(numeric), @ a", "{$multiply: [a, -1]}, {$abs: a}", "always", negate_numeric, {F_NUMERIC_UMINUS}},
    {nullptr, nullptr, nullptr, absolute_numeric, {F_NUMERIC_ABS, F_ABS_NUMERIC}},
    {"sign(numeric)", "$cond", "NaN is trouble", sign_numeric, {F_SIGN_NUMERIC}},
    {"trunc, ceil, ceiling, floor (numeric)", "$trunc, $ceil, $floor", "numbers beyond 1E+32, NaN and infinity are trouble", truncate_numeric, {F_TRUNC_NUMERIC}},
    {nullptr, nullptr, nullptr, ceil_numeric, {F_CEIL_NUMERIC, F_CEILING_NUMERIC}},
    {nullptr, nullptr, nullptr, floor_numeric, {F_FLOOR_NUMERIC}},
    {"round(numeric), round(a, n), trunc(a, n), numeric(p, s)", "half a unit is added, then {$trunc: [a, n]}, since $round rounds half to even",
     "n is a constant from 0 to 20; numbers with 33 digits or more, NaN and infinity are trouble, and what does not fit numeric(p, s)", round_numeric, {F_ROUND_NUMERIC}},
    {nullptr, nullptr, nullptr, round_numeric_to, {F_ROUND_NUMERIC_INT4}},
    {nullptr, nullptr, nullptr, truncate_numeric_to, {F_TRUNC_NUMERIC_INT4}},
    {nullptr, nullptr, nullptr, fit_numeric, {F_NUMERIC_NUMERIC_INT4}},
    {"numeric / numeric", nullptr, "how many digits a quotient has is PostgreSQL's own choice", nullptr, {F_NUMERIC_DIV}},
    {"sqrt, power, exp, ln, log", nullptr, "the last digits may differ", nullptr,
     {F_NUMERIC_SQRT, F_NUMERIC_POWER, F_NUMERIC_EXP, F_NUMERIC_LN, F_NUMERIC_LOG, F_SQRT_NUMERIC, F_SQRT_FLOAT8, F_POWER_FLOAT8_FLOAT8,
      F_POWER_NUMERIC_NUMERIC, F_EXP_FLOAT8, F_EXP_NUMERIC, F_LN_FLOAT8, F_LN_NUMERIC}},
};
// clang-format on

const RuleGroup numeric_rules = {"numeric", rules, lengthof(rules)};

} // namespace mongoferry::query
