/* Numbers compared with a constant. See comparison.cpp for what is known of MongoDB. */
#include "query/comparison_work.h"

#include "bson/number_text.h"

extern "C" {
#include "utils/numeric.h"
}

#include <cerrno>
#include <cmath>

namespace mongoferry::query {

static constexpr double int64_beyond = 9223372036854775808.0;
static constexpr double exact_in_float64 = 9007199254740992.0;

static Place place_of_float64(double value) {
    if (value < -int64_beyond)
        return {Place::Kind::below_all, 0};
    if (!(value < int64_beyond)) /* NaN too, which is above all */
        return {Place::Kind::above_all, 0};
    const double floor = std::floor(value);
    return {floor == value ? Place::Kind::at : Place::Kind::between, static_cast<int64>(floor)};
}

static Place place_of_numeric(Datum value) {
    const char *characters = DatumGetCString(DirectFunctionCall1(numeric_out, value));
    if (strcmp(characters, "-Infinity") == 0)
        return {Place::Kind::below_all, 0};
    if (strcmp(characters, "NaN") == 0 || strcmp(characters, "Infinity") == 0)
        return {Place::Kind::above_all, 0};
    const Datum floor = DirectFunctionCall1(numeric_floor, value);
    const char *digits = DatumGetCString(DirectFunctionCall1(numeric_out, floor));
    errno = 0;
    const int64 integer = strtoll(digits, nullptr, 10);
    if (errno == ERANGE)
        return {digits[0] == '-' ? Place::Kind::below_all : Place::Kind::above_all, 0};
    const bool is_at = DatumGetBool(DirectFunctionCall2(numeric_eq, value, floor));
    return {is_at ? Place::Kind::at : Place::Kind::between, integer};
}

/* Integers compare by value across BSON's number types, as here. */
FilterNode *compare_integer(Work *work, const Const *constant) {
    Place place{Place::Kind::at, 0};
    switch (getBaseType(constant->consttype)) {
    case INT2OID:
        place.floor = DatumGetInt16(constant->constvalue);
        break;
    case INT4OID:
        place.floor = DatumGetInt32(constant->constvalue);
        break;
    case INT8OID:
        place.floor = DatumGetInt64(constant->constvalue);
        break;
    case NUMERICOID:
        place = place_of_numeric(constant->constvalue);
        break;
    case FLOAT8OID: {
        const double value = DatumGetFloat8(constant->constvalue);
        place = place_of_float64(value);
        /* bigint as double precision is rounded from 2^53 on, so that several are equal to the constant. */
        if (work->used->rule.base_type == INT8OID && !std::isnan(value) && std::fabs(value) >= exact_in_float64)
            return nullptr;
        break;
    }
    default:
        return nullptr;
    }
    Comparison comparison = work->comparison;
    if (!settle_place(place, &comparison))
        return comparison == Comparison::equal ? nothing() : some_value(work);
    return compare(*work, comparison, integer_constant(place.floor));
}

static constexpr const char *decimal_type = "decimal";
static constexpr const char *double_type = "double";

/* The shortest digits of a double: what it becomes as numeric. */
static const char *shortest_digits(double value) {
    char *digits = static_cast<char *>(palloc0(bson::number_text_size));
    digits[bson::write_float64(value, digits)] = '\0';
    return digits;
}

static Datum numeric_of_digits(const char *digits) {
    return DirectFunctionCall3(numeric_in, CStringGetDatum(digits), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/* Whether those digits are all there is of it, as for 0.5, but not for 0.1. */
static bool is_exactly(double value, const char *digits) {
    if (!std::isfinite(value))
        return true;
    constexpr int most_digits = 800; /* a double has 767 at most */
    return DatumGetBool(DirectFunctionCall2(
        numeric_eq, numeric_of_digits(digits),
        numeric_of_digits(std::fabs(value) < 1 ? psprintf("%.1080f", value) : psprintf("%.*e", most_digits, value))));
}

/* A Decimal128 in a float8 column must have the shortest digits of a double, so it compares as these do. */
FilterNode *compare_float64(Work *work, double value) {
    if (std::isnan(value))
        return compare_with_nan(work);
    FilterNode *node = compare(*work, work->comparison, float64_constant(value));
    const char *digits = shortest_digits(value);
    Constant decimal{};
    decimal.kind = ConstantKind::decimal128;
    if (work->comparison != Comparison::not_equal && !is_exactly(value, digits)) {
        if (!bson::parse_decimal128(digits, decimal.bytes))
            return nullptr;
        FilterNode *of_decimals = compare(*work, work->comparison, decimal);
        node = either(node,
                      work->comparison == Comparison::equal ? of_decimals : typed(*work, &decimal_type, of_decimals));
    }
    return with_nan(*work, node);
}

/* Rounding keeps the order, so that a bound a step away is wide enough for all numbers. */
FilterNode *compare_float32(Work *work, double value) {
    work->exact = false;
    if (std::isnan(value))
        return compare_with_nan(work);
    const float nearest = static_cast<float>(value);
    const Constant low = float64_constant(std::nextafter(nearest, -HUGE_VALF));
    const Constant high = float64_constant(std::nextafter(nearest, HUGE_VALF));
    switch (work->comparison) {
    case Comparison::equal:
        return both(compare(*work, Comparison::greater_equal, low), compare(*work, Comparison::less_equal, high));
    case Comparison::not_equal:
        return some_value(work);
    case Comparison::less:
    case Comparison::less_equal:
        return compare(*work, Comparison::less_equal, high);
    default:
        return with_nan(*work, compare(*work, Comparison::greater_equal, low));
    }
}

/* A double in a numeric column becomes its shortest digits, which may lie beside its exact value. So where these could
 * make a difference, doubles have an arm of their own. */
static FilterNode *compare_plain_numeric(Work *work, Datum value) {
    const char *characters = DatumGetCString(DirectFunctionCall1(numeric_out, value));
    if (strcmp(characters, "NaN") == 0)
        return compare_with_nan(work);
    const double nearest = strtod(characters, nullptr);
    if (strstr(characters, "Infinity"))
        return with_nan(*work, compare(*work, work->comparison, float64_constant(nearest)));
    Constant decimal{};
    decimal.kind = ConstantKind::decimal128;
    if (!bson::parse_decimal128(characters, decimal.bytes) ||
        bson::decimal128_parts(decimal.bytes).kind != bson::Decimal128Parts::Kind::finite || !std::isfinite(nearest))
        return nullptr;
    const Place place = place_of_numeric(value);
    if (place.kind == Place::Kind::at && std::fabs(nearest) <= exact_in_float64)
        return with_nan(*work, compare(*work, work->comparison, integer_constant(place.floor)));

    FilterNode *node = compare(*work, work->comparison, decimal);
    const char *digits = shortest_digits(nearest);
    const int side = DatumGetInt32(DirectFunctionCall2(numeric_cmp, numeric_of_digits(digits), value));
    if (work->comparison != Comparison::not_equal && (side != 0 || !is_exactly(nearest, digits))) {
        Comparison of_doubles = work->comparison;
        if (side > 0) /* the nearest double reads as more than the constant */
            of_doubles = is_less(of_doubles) ? Comparison::less : Comparison::greater_equal;
        else if (side < 0)
            of_doubles = is_less(of_doubles) ? Comparison::less_equal : Comparison::greater;
        FilterNode *doubles = compare(*work, of_doubles, float64_constant(nearest));
        if (work->comparison != Comparison::equal)
            node = either(node, typed(*work, &double_type, doubles));
        else if (side == 0)
            node = either(node, doubles);
    }
    return with_nan(*work, node);
}

/* A double below or above the numeric and all that rounds to it, with some room. */
static double bound_of_rounded(Datum value, int32 scale, bool upper) {
    const Datum unit = numeric_of_digits(psprintf("1e-%d", scale));
    const Datum moved = DirectFunctionCall2(upper ? numeric_add : numeric_sub, value, unit);
    const double nearest = strtod(DatumGetCString(DirectFunctionCall1(numeric_out, moved)), nullptr);
    return std::nextafter(nearest, upper ? HUGE_VAL : -HUGE_VAL);
}

/* numeric(p,s) rounds what has more digits. So odd numbers near the constant pass, too; the bounds are there for the
 * index. */
FilterNode *compare_numeric(Work *work, Datum value) {
    const int32 scale = work->used->rule.scale;
    const Datum rounded = scale < 0 ? value : DirectFunctionCall2(numeric_round, value, Int32GetDatum(scale));
    const bool is_finite = !numeric_is_nan(DatumGetNumeric(value)) && !numeric_is_inf(DatumGetNumeric(value));
    if (scale < 0 || !is_finite)
        return compare_plain_numeric(work, value);
    const bool is_value = DatumGetBool(DirectFunctionCall2(numeric_eq, rounded, value));
    if (!is_value && (work->comparison == Comparison::equal || work->comparison == Comparison::not_equal))
        return work->comparison == Comparison::equal ? nothing() : some_value(work);
    FilterNode *node = compare_plain_numeric(work, value);
    if (!node || work->comparison == Comparison::not_equal)
        return node;
    FilterNode *from =
        compare(*work, Comparison::greater_equal, float64_constant(bound_of_rounded(value, scale, false)));
    FilterNode *to = compare(*work, Comparison::less_equal, float64_constant(bound_of_rounded(value, scale, true)));
    FilterNode *near = work->comparison == Comparison::equal ? both(from, to)
                       : is_less(work->comparison)           ? to
                                                             : with_nan(*work, from);
    if (refusal_in_expression(*work->used))
        return near;
    return both(near, either(node, expression_node(odd_value_test(*work->used))));
}

} // namespace mongoferry::query
