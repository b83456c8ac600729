/*
 * Arithmetic of integers and of double precision. numeric is in rules_numeric.cpp.
 *
 * smallint and integer are computed in MongoDB's own integers, which go over into long and then into double where they
 * become too large, so that a result out of range is seen. For bigint that would be too late (a double near 2^63 is not
 * exact), so it goes by way of Decimal128, whose 34 digits hold every sum, and every product that is not far out of
 * range anyway. (MongoDB manual, "$add (expression operator)" and the following.)
 */
#include "query/number_rules.h"

#include <cmath>

namespace mongoferry::query {

/* --- integers ---------------------------------------------------------------------------------------------------- */

static ServerValue *smallest_integer(Oid type) {
    return integer_value(type == INT2OID ? PG_INT16_MIN : type == INT4OID ? PG_INT32_MIN : PG_INT64_MIN);
}

static ServerValue *largest_integer(Oid type) {
    return integer_value(type == INT2OID ? PG_INT16_MAX : type == INT4OID ? PG_INT32_MAX : PG_INT64_MAX);
}

static void add_range_trouble(Translation *translation, ServerValue *result, Oid type) {
    add_trouble(translation, with_name("result", result, [&](ServerValue *value) {
                    return any_of({operation("$gt", {value, largest_integer(type)}),
                                   all_of({is_something(value), operation("$lt", {value, smallest_integer(type)})})});
                }));
}

/* An integer as a Decimal128. From a double only 15 digits would be taken. */
static ServerValue *integer_as_decimal(const Call &call, int number) {
    ServerValue *value = argument_value(call, number);
    if (!value)
        return nullptr;
    return is_constant(value) ? value : converted(converted(value, "long"), "decimal");
}

/* An operator on decimals needs one of them to be one. */
static ServerValue *exact_operation(const char *name, ServerValue *left, ServerValue *right) {
    if (is_constant(left))
        return operation(name, {operation_of("$toDecimal", left), right});
    return operation(name, {left, right});
}

ServerValue *integer_result(const Call &call, ServerValue *result) {
    add_range_trouble(call.translation, result, call.type);
    if (call.type == INT8OID)
        return converted(result, "long");
    return with_name("result", result, [&](ServerValue *known) {
        return choice(all_of({operation("$gte", {known, smallest_integer(call.type)}),
                              operation("$lte", {known, largest_integer(call.type)})}),
                      known, null_value());
    });
}

static ServerValue *integer_operation(const Call &call, const char *name) {
    const bool by_decimal = call.type == INT8OID;
    ServerValue *left = by_decimal ? integer_as_decimal(call, 0) : argument_value(call, 0);
    ServerValue *right = !left ? nullptr : by_decimal ? integer_as_decimal(call, 1) : argument_value(call, 1);
    if (!right)
        return nullptr;
    return integer_result(call, by_decimal ? exact_operation(name, left, right) : operation(name, {left, right}));
}

static ServerValue *add_integers(const Call &call) {
    return integer_operation(call, "$add");
}

static ServerValue *subtract_integers(const Call &call) {
    return integer_operation(call, "$subtract");
}

static ServerValue *multiply_integers(const Call &call) {
    return integer_operation(call, "$multiply");
}

/* What the function makes of both, where the divisor is neither null nor zero; zero is trouble. */
template <typename MakeBody>
static ServerValue *divided(const Call &call, ServerValue *left, ServerValue *right, MakeBody make_body) {
    if (is_constant(right) && right->constant.kind == ConstantKind::integer && right->constant.placeholder == 0) {
        if (right->constant.integer == 0)
            return not_sent(call.translation, call.expression, "it divides by zero");
        return make_body(left, right);
    }
    add_trouble(call.translation, all_of({is_something(left), operation("$eq", {right, integer_value(0)})}));
    return with_names("left", left, "right", right, [&](ServerValue *dividend, ServerValue *divisor) {
        return choice(operation("$eq", {divisor, integer_value(0)}), null_value(), make_body(dividend, divisor));
    });
}

/* The quotient of two integers of up to 32 bits as a double is on the right side of every integer, and so is that of
 * two of 64 bits as a decimal: it is at least 1 / divisor away from the next. */
static ServerValue *divide_integers(const Call &call) {
    const bool by_decimal = call.type == INT8OID;
    ServerValue *left = by_decimal ? integer_as_decimal(call, 0) : argument_value(call, 0);
    ServerValue *right = !left ? nullptr : by_decimal ? integer_as_decimal(call, 1) : argument_value(call, 1);
    if (!right)
        return nullptr;
    ServerValue *result = divided(call, left, right, [&](ServerValue *dividend, ServerValue *divisor) {
        return by_decimal ? exact_operation("$divide", dividend, divisor) : operation("$divide", {dividend, divisor});
    });
    if (!result)
        return nullptr;
    return integer_result(call, converted(operation("$trunc", {result}), by_decimal ? "decimal" : "long"));
}

/* SQL's remainder has the sign of the dividend, as MongoDB's. */
static ServerValue *remainder_of_integers(const Call &call) {
    ServerValue *left = argument_value(call, 0);
    ServerValue *right = left ? argument_value(call, 1) : nullptr;
    if (!right)
        return nullptr;
    if (call.type == INT8OID) { /* of the doubles that a field may hold, and a long, the remainder would be a double */
        left = is_constant(left) ? left : converted(left, "long");
        right = is_constant(right) ? right : converted(right, "long");
    }
    return divided(call, left, right, [&](ServerValue *dividend, ServerValue *divisor) {
        return operation("$mod", {dividend, divisor});
    });
}

static ServerValue *negate_integer(const Call &call) {
    const bool by_decimal = call.type == INT8OID;
    ServerValue *value = by_decimal ? integer_as_decimal(call, 0) : argument_value(call, 0);
    return value ? integer_result(call, operation("$subtract", {integer_value(0), value})) : nullptr;
}

static ServerValue *absolute_integer(const Call &call) {
    const bool by_decimal = call.type == INT8OID; /* of the smallest long $abs would be an error */
    ServerValue *value = by_decimal ? integer_as_decimal(call, 0) : argument_value(call, 0);
    return value ? integer_result(call, operation("$abs", {value})) : nullptr;
}

static ServerValue *same_value(const Call &call) {
    return argument_value(call, 0);
}

/* --- double precision -------------------------------------------------------------------------------------------- */

/* An argument as a double: longs are added as longs otherwise. */
static ServerValue *float64_argument(const Call &call, int number) {
    ServerValue *value = argument_value(call, number);
    if (!value || is_constant(value) || !may_be_stored(argument(call, number)))
        return value;
    return converted(value, "double");
}

static ServerValue *is_infinite(ServerValue *value) {
    return operation("$in", {value, array_value({float64_value(HUGE_VAL), float64_value(-HUGE_VAL)})});
}

static ServerValue *is_not_infinite(ServerValue *value) {
    return not_of(is_infinite(value));
}

/* MongoDB computes with IEEE 754 doubles as PostgreSQL does, which besides refuses to go over into infinity or, when
 * multiplying and dividing, into zero. */
static ServerValue *float64_operation(const Call &call, const char *name) {
    ServerValue *left = float64_argument(call, 0);
    ServerValue *right = left ? float64_argument(call, 1) : nullptr;
    if (!right)
        return nullptr;
    const bool can_vanish = strcmp(name, "$multiply") == 0;
    add_trouble(call.translation, with_names("left", left, "right", right, [&](ServerValue *a, ServerValue *b) {
                    return with_name("result", operation(name, {a, b}), [&](ServerValue *result) {
                        ServerValue *overflow = all_of({is_infinite(result), is_not_infinite(a), is_not_infinite(b)});
                        if (!can_vanish)
                            return overflow;
                        return any_of({overflow, all_of({operation("$eq", {result, integer_value(0)}),
                                                         operation("$ne", {a, integer_value(0)}),
                                                         operation("$ne", {b, integer_value(0)})})});
                    });
                }));
    return operation(name, {left, right});
}

static ServerValue *add_float64(const Call &call) {
    return float64_operation(call, "$add");
}

static ServerValue *subtract_float64(const Call &call) {
    return float64_operation(call, "$subtract");
}

static ServerValue *multiply_float64(const Call &call) {
    return float64_operation(call, "$multiply");
}

static ServerValue *divide_float64(const Call &call) {
    ServerValue *left = float64_argument(call, 0);
    ServerValue *right = left ? float64_argument(call, 1) : nullptr;
    if (!right)
        return nullptr;
    ServerValue *zero = integer_value(0);
    ServerValue *quotient = with_names("left", left, "right", right, [&](ServerValue *a, ServerValue *b) {
        return choice(operation("$eq", {b, zero}), null_value(), operation("$divide", {a, b}));
    });
    add_trouble(call.translation, with_names("left", left, "right", right, [&](ServerValue *a, ServerValue *b) {
                    return with_name("result", quotient, [&](ServerValue *result) {
                        return any_of({operation("$eq", {b, zero}), all_of({is_infinite(result), is_not_infinite(a)}),
                                       all_of({operation("$eq", {result, zero}), operation("$ne", {a, zero}),
                                               is_not_infinite(b)})});
                    });
                }));
    return quotient;
}

static ServerValue *negate_float64(const Call &call) {
    ServerValue *value = float64_argument(call, 0);
    return value ? operation("$multiply", {value, float64_value(-1)}) : nullptr;
}

static ServerValue *absolute_float64(const Call &call) {
    ServerValue *value = float64_argument(call, 0);
    return value ? operation("$abs", {value}) : nullptr;
}

/* From 2^52 on every double is whole; the manual does not tell what $round does to so large ones. */
ServerValue *rounded_float64(const char *name, ServerValue *value) {
    constexpr double all_are_whole = 4503599627370496.0;
    return with_name("value", value, [&](ServerValue *known) {
        return choice(all_of({operation("$gte", {known, float64_value(-all_are_whole)}),
                              operation("$lte", {known, float64_value(all_are_whole)})}),
                      operation(name, {known}), known);
    });
}

static ServerValue *round_float64(const Call &call) { /* half to even, both */
    ServerValue *value = float64_argument(call, 0);
    return value ? rounded_float64("$round", value) : nullptr;
}

static ServerValue *truncate_float64(const Call &call) {
    ServerValue *value = float64_argument(call, 0);
    return value ? rounded_float64("$trunc", value) : nullptr;
}

static ServerValue *ceil_float64(const Call &call) {
    ServerValue *value = float64_argument(call, 0);
    return value ? rounded_float64("$ceil", value) : nullptr;
}

static ServerValue *floor_float64(const Call &call) {
    ServerValue *value = float64_argument(call, 0);
    return value ? rounded_float64("$floor", value) : nullptr;
}

static ServerValue *sign_float64(const Call &call) {
    ServerValue *value = float64_argument(call, 0);
    if (!value)
        return nullptr;
    ServerValue *zero = integer_value(0);
    add_trouble(call.translation, operation("$eq", {value, float64_value(std::nan(""))}));
    return of_something(value, [&](ServerValue *known) {
        return choice(operation("$gt", {known, zero}), float64_value(1),
                      choice(operation("$lt", {known, zero}), float64_value(-1), float64_value(0)));
    });
}

/* --- the table --------------------------------------------------------------------------------------------------- */

// clang-format off
static const FunctionRule rules[] = {
    {"integer + integer, a - b, a * b (smallint, integer, bigint, mixed)", "{$add: [a, b]}, $subtract, $multiply; bigint by way of Decimal128",
     "a result out of range is trouble", add_integers,
     {F_INT2PL, F_INT4PL, F_INT8PL, F_INT24PL, F_INT42PL, F_INT28PL, F_INT82PL, F_INT48PL, F_INT84PL}},
    {nullptr, nullptr, nullptr, subtract_integers,
     {F_INT2MI, F_INT4MI, F_INT8MI, F_INT24MI, F_INT42MI, F_INT28MI, F_INT82MI, F_INT48MI, F_INT84MI}},
    {nullptr, nullptr, nullptr, multiply_integers,
     {F_INT2MUL, F_INT4MUL, F_INT8MUL, F_INT24MUL, F_INT42MUL, F_INT28MUL, F_INT82MUL, F_INT48MUL, F_INT84MUL}},
    {"integer / integer", "$divide, then $trunc; bigint by way of Decimal128", "zero as divisor and a result out of range are trouble", divide_integers,
     {F_INT2DIV, F_INT4DIV, F_INT8DIV, F_INT24DIV, F_INT42DIV, F_INT28DIV, F_INT82DIV, F_INT48DIV, F_INT84DIV}},
    {"integer % integer, mod(a, b)", "{$mod: [a, b]}", "zero as divisor is trouble", remainder_of_integers,
     {F_INT2MOD, F_INT4MOD, F_INT8MOD, F_MOD_INT2_INT2, F_MOD_INT4_INT4, F_MOD_INT8_INT8}},
    {"- integer, abs(integer), @ integer", "{$subtract: [0, a]}, {$abs: a}", "a result out of range is trouble", negate_integer,
     {F_INT2UM, F_INT4UM, F_INT8UM}},
    {nullptr, nullptr, nullptr, absolute_integer, {F_INT2ABS, F_INT4ABS, F_INT8ABS, F_ABS_INT2, F_ABS_INT4, F_ABS_INT8}},
    {"+ a (any number)", "a", "always", same_value, {F_INT2UP, F_INT4UP, F_INT8UP, F_FLOAT8UP, F_NUMERIC_UPLUS}},
    {"double precision + double precision, a - b, a * b", "{$add: [a, b]}, $subtract, $multiply, of doubles",
     "infinity out of finite numbers, and zero out of others, are trouble", add_float64, {F_FLOAT8PL}},
    {nullptr, nullptr, nullptr, subtract_float64, {F_FLOAT8MI}},
    {nullptr, nullptr, nullptr, multiply_float64, {F_FLOAT8MUL}},
    {"double precision / double precision", "{$divide: [a, b]}", "the same, and zero as divisor", divide_float64, {F_FLOAT8DIV}},
    {"- double precision, abs(double precision), @ a", "{$multiply: [a, -1]}, {$abs: a}", "always", negate_float64, {F_FLOAT8UM}},
    {nullptr, nullptr, nullptr, absolute_float64, {F_FLOAT8ABS, F_ABS_FLOAT8}},
    {"round, trunc, ceil, ceiling, floor (double precision)", "$round (half to even, both), $trunc, $ceil, $floor; numbers from 2^52 on as they are", "always",
     round_float64, {F_ROUND_FLOAT8, F_DROUND}},
    {nullptr, nullptr, nullptr, truncate_float64, {F_TRUNC_FLOAT8, F_DTRUNC}},
    {nullptr, nullptr, nullptr, ceil_float64, {F_CEIL_FLOAT8, F_CEILING_FLOAT8}},
    {nullptr, nullptr, nullptr, floor_float64, {F_FLOOR_FLOAT8}},
    {"sign(double precision)", "$cond", "NaN is trouble", sign_float64, {F_SIGN_FLOAT8}},
};
// clang-format on

const RuleGroup arithmetic_rules = {"arithmetic", rules, lengthof(rules)};

} // namespace mongoferry::query
