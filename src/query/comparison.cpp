/*
 * See comparison.h. For each type: what is sent, and why that is right.
 *
 * Source of MongoDB's side: manual, "Comparison Query Operators" (comparisons match values of the constant's type only,
 * numbers of all kinds being one type; NaN equals NaN and is neither less nor greater than anything) and "Query for
 * Null or Missing Fields". Numbers compare by value exactly across int, long, double and decimal.
 */
#include "query/comparison.h"

#include "bson/number_text.h"
#include "bson/uuid_layout.h"

extern "C" {
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "utils/uuid.h"
}

#include <cerrno>
#include <cmath>

namespace mongoferry::query {

/* --- comparisons ------------------------------------------------------------------------------------------------- */

Comparison negated(Comparison comparison) {
    switch (comparison) {
    case Comparison::equal:
        return Comparison::not_equal;
    case Comparison::not_equal:
        return Comparison::equal;
    case Comparison::less:
        return Comparison::greater_equal;
    case Comparison::less_equal:
        return Comparison::greater;
    case Comparison::greater:
        return Comparison::less_equal;
    default:
        return Comparison::less;
    }
}

Comparison commuted(Comparison comparison) {
    switch (comparison) {
    case Comparison::less:
        return Comparison::greater;
    case Comparison::less_equal:
        return Comparison::greater_equal;
    case Comparison::greater:
        return Comparison::less;
    case Comparison::greater_equal:
        return Comparison::less_equal;
    default:
        return comparison;
    }
}

static bool comparison_of_strategy(int strategy, Comparison *comparison) {
    switch (strategy) {
    case BTLessStrategyNumber:
        *comparison = Comparison::less;
        return true;
    case BTLessEqualStrategyNumber:
        *comparison = Comparison::less_equal;
        return true;
    case BTEqualStrategyNumber:
        *comparison = Comparison::equal;
        return true;
    case BTGreaterEqualStrategyNumber:
        *comparison = Comparison::greater_equal;
        return true;
    case BTGreaterStrategyNumber:
        *comparison = Comparison::greater;
        return true;
    default:
        return false;
    }
}

bool find_comparison(Oid operator_id, Oid left_type, Comparison *comparison) {
    const Oid base_type = getBaseType(left_type);
    const Oid type = base_type == VARCHAROID ? TEXTOID : base_type;
    const TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);
    if (!OidIsValid(entry->btree_opf))
        return false;
    if (comparison_of_strategy(get_op_opfamily_strategy(operator_id, entry->btree_opf), comparison))
        return true;
    const Oid negator = get_negator(operator_id); /* <> is in no family of btree */
    *comparison = Comparison::not_equal;
    return OidIsValid(negator) && get_op_opfamily_strategy(negator, entry->btree_opf) == BTEqualStrategyNumber;
}

static bool is_greater(Comparison comparison) {
    return comparison == Comparison::greater || comparison == Comparison::greater_equal;
}

static bool is_less(Comparison comparison) {
    return comparison == Comparison::less || comparison == Comparison::less_equal;
}

/* --- building blocks --------------------------------------------------------------------------------------------- */

namespace {

/* One comparison under translation. */
struct Work {
    const UsedColumn *used;
    Comparison comparison;
    int placeholder;
    bool exact; /* so far */

    const char *path() const { return used->path; }
};

Constant integer_constant(int64 value) {
    Constant constant{};
    constant.kind = ConstantKind::integer;
    constant.integer = value;
    return constant;
}

Constant float64_constant(double value) {
    Constant constant{};
    constant.kind = ConstantKind::float64;
    constant.float64 = value;
    return constant;
}

Constant date_constant(int64 milliseconds) {
    Constant constant{};
    constant.kind = ConstantKind::date;
    constant.integer = milliseconds;
    return constant;
}

Constant text_constant(const char *characters) {
    Constant constant{};
    constant.kind = ConstantKind::text;
    constant.text = {characters, strlen(characters), nullptr};
    return constant;
}

Constant uuid_constant(uint8_t subtype, const uint8_t *bytes) {
    Constant constant{};
    constant.kind = ConstantKind::uuid;
    constant.binary_subtype = subtype;
    memcpy(constant.bytes, bytes, sizeof constant.bytes);
    return constant;
}

Constant object_id_constant(const uint8_t *bytes) {
    Constant constant{};
    constant.kind = ConstantKind::object_id;
    memcpy(constant.bytes, bytes, 12);
    return constant;
}

FilterNode *nothing() {
    return make_node(NodeKind::nothing);
}

FilterNode *both(FilterNode *left, FilterNode *right) {
    FilterNode *children[] = {left, right};
    return combine(NodeKind::all_of, children, 2);
}

FilterNode *typed(const Work &work, const char *const *type, FilterNode *node) {
    return both(type_node(work.path(), {type, 1}), node);
}

FilterNode *equals(const Work &work, Constant constant) {
    constant.placeholder = work.placeholder;
    return compare_node(work.path(), BTEqualStrategyNumber, constant);
}

/* $nin and $ne are about all elements of an array; where some element is meant, "<>" is less or greater, which other
 * types of BSON and NaN are neither. */
bool differs_by_order(const Work &work) {
    return work.used->of_elements || work.used->has_position;
}

/* "the field comparison constant", as MongoDB compares. */
FilterNode *compare(const Work &work, Comparison comparison, Constant constant) {
    constant.placeholder = work.placeholder;
    switch (comparison) {
    case Comparison::equal:
        return compare_node(work.path(), BTEqualStrategyNumber, constant);
    case Comparison::less:
        return compare_node(work.path(), BTLessStrategyNumber, constant);
    case Comparison::less_equal:
        return compare_node(work.path(), BTLessEqualStrategyNumber, constant);
    case Comparison::greater:
        return compare_node(work.path(), BTGreaterStrategyNumber, constant);
    case Comparison::greater_equal:
        return compare_node(work.path(), BTGreaterEqualStrategyNumber, constant);
    default:
        break;
    }
    if (differs_by_order(work))
        return either(compare(work, Comparison::less, constant), compare(work, Comparison::greater, constant));
    return differs_node(work.path(), constant);
}

/* There is a value. Of elements this can't be said; then any document may be meant. */
FilterNode *some_value(Work *work) {
    if (!work->used->of_elements && !work->used->has_position)
        return not_null_node(work->path());
    return make_node(NodeKind::everything);
}

/* SQL puts NaN above every number, also above infinity. */
FilterNode *with_nan(const Work &work, FilterNode *node) {
    const bool is_wanted =
        is_greater(work.comparison) || (work.comparison == Comparison::not_equal && differs_by_order(work));
    if (!is_wanted)
        return node;
    return either(node, compare_node(work.path(), BTEqualStrategyNumber, float64_constant(std::nan(""))));
}

FilterNode *compare_with_nan(Work *work) {
    switch (work->comparison) {
    case Comparison::equal:
    case Comparison::greater_equal:
        return equals(*work, float64_constant(std::nan("")));
    case Comparison::greater:
        return nothing();
    case Comparison::less_equal:
        return some_value(work);
    default:
        if (work->used->of_elements || work->used->has_position)
            return some_value(work);
        return compare(*work, Comparison::not_equal, float64_constant(std::nan("")));
    }
}

/* --- constants among the integers -------------------------------------------------------------------------------- */

/* Where a constant lies among the values of a column that are all integers (also days, milliseconds). */
struct Place {
    enum class Kind : uint8_t { at, between, below_all, above_all } kind;
    int64 floor; /* the integer that it is, or the next lower one */
};

/* The same comparison with an integer that is as good; false if the answer is the same for all: then *comparison is
 * equal for "none", not_equal for "all". */
bool settle_place(const Place &place, Comparison *comparison) {
    switch (place.kind) {
    case Place::Kind::at:
        return true;
    case Place::Kind::between:
        if (*comparison == Comparison::equal || *comparison == Comparison::not_equal)
            return false;
        *comparison = is_less(*comparison) ? Comparison::less_equal : Comparison::greater;
        return true;
    default: {
        const bool all = *comparison == Comparison::not_equal ||
                         (place.kind == Place::Kind::above_all ? is_less(*comparison) : is_greater(*comparison));
        *comparison = all ? Comparison::not_equal : Comparison::equal;
        return false;
    }
    }
}

constexpr double int64_beyond = 9223372036854775808.0;
constexpr double exact_in_float64 = 9007199254740992.0;

Place place_of_float64(double value) {
    if (value < -int64_beyond)
        return {Place::Kind::below_all, 0};
    if (!(value < int64_beyond)) /* NaN too, which is above all */
        return {Place::Kind::above_all, 0};
    const double floor = std::floor(value);
    return {floor == value ? Place::Kind::at : Place::Kind::between, static_cast<int64>(floor)};
}

Place place_of_numeric(Datum value) {
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

/* --- numbers ----------------------------------------------------------------------------------------------------- */

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

constexpr const char *decimal_type = "decimal";
constexpr const char *double_type = "double";

/* The shortest digits of a double: what it becomes as numeric. */
const char *shortest_digits(double value) {
    char *digits = static_cast<char *>(palloc0(bson::number_text_size));
    digits[bson::write_float64(value, digits)] = '\0';
    return digits;
}

Datum numeric_of_digits(const char *digits) {
    return DirectFunctionCall3(numeric_in, CStringGetDatum(digits), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/* Whether those digits are all there is of it, as for 0.5, but not for 0.1. */
bool is_exactly(double value, const char *digits) {
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
FilterNode *compare_plain_numeric(Work *work, Datum value) {
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
double bound_of_rounded(Datum value, int32 scale, bool upper) {
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

/* --- times ------------------------------------------------------------------------------------------------------- */

constexpr int64 epoch_days = POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE;
constexpr int64 milliseconds_per_day = 86400000;

int64 floor_divide(int64 value, int64 divisor, bool *is_whole) {
    int64 quotient = value / divisor;
    const int64 rest = value % divisor;
    *is_whole = rest == 0;
    return rest < 0 ? quotient - 1 : quotient;
}

/* Microseconds since 2000 among the dates of BSON, which have milliseconds. */
Place place_of_timestamp(Timestamp microseconds) {
    if (TIMESTAMP_IS_NOBEGIN(microseconds))
        return {Place::Kind::below_all, 0};
    if (TIMESTAMP_IS_NOEND(microseconds))
        return {Place::Kind::above_all, 0};
    bool is_whole;
    const int64 milliseconds = floor_divide(microseconds, 1000, &is_whole) + epoch_days * milliseconds_per_day;
    return {is_whole ? Place::Kind::at : Place::Kind::between, milliseconds};
}

/* The constant in the column's type, as PostgreSQL's operators between the types convert it; timestamptz in the time
 * zone of the session. What overflows lies beyond all values. */
bool timestamp_of_constant(const Const *constant, bool with_zone, Timestamp *timestamp) {
    const Oid type = getBaseType(constant->consttype);
    int overflow = 0;
    if (type == (with_zone ? TIMESTAMPTZOID : TIMESTAMPOID))
        *timestamp = DatumGetTimestamp(constant->constvalue);
    else if (type == DATEOID)
        *timestamp = with_zone ? date2timestamptz_opt_overflow(DatumGetDateADT(constant->constvalue), &overflow)
                               : date2timestamp_opt_overflow(DatumGetDateADT(constant->constvalue), &overflow);
    else if (type == TIMESTAMPOID && with_zone)
        *timestamp = timestamp2timestamptz_opt_overflow(DatumGetTimestamp(constant->constvalue), &overflow);
    else
        return false;
    if (overflow != 0)
        *timestamp = overflow > 0 ? DT_NOEND : DT_NOBEGIN;
    return true;
}

/* timestamp against timestamptz: which time the column's value means depends on the zone's changes around it, so the
 * constant is moved by more than any of these. */
FilterNode *compare_timestamp_with_zoned(Work *work, const Const *constant) {
    work->exact = false;
    constexpr int64 slack = INT64CONST(2) * 86400 * 1000;
    const Place place = place_of_timestamp(DatumGetTimestampTz(constant->constvalue));
    Comparison comparison = work->comparison;
    if (!settle_place(place, &comparison) && comparison == Comparison::equal && place.kind != Place::Kind::between)
        return nothing();
    FilterNode *from = compare(*work, Comparison::greater_equal, date_constant(place.floor - slack));
    FilterNode *to = compare(*work, Comparison::less_equal, date_constant(place.floor + slack));
    if (place.kind != Place::Kind::at && place.kind != Place::Kind::between)
        return some_value(work);
    switch (work->comparison) {
    case Comparison::equal:
        return both(from, to);
    case Comparison::not_equal:
        return some_value(work);
    default:
        return is_less(work->comparison) ? to : from;
    }
}

FilterNode *compare_timestamp(Work *work, const Const *constant) {
    const bool with_zone = work->used->rule.base_type == TIMESTAMPTZOID;
    if (!with_zone && getBaseType(constant->consttype) == TIMESTAMPTZOID)
        return compare_timestamp_with_zoned(work, constant);
    Timestamp timestamp;
    if (!timestamp_of_constant(constant, with_zone, &timestamp))
        return nullptr;
    const Place place = place_of_timestamp(timestamp);
    Comparison comparison = work->comparison;
    if (!settle_place(place, &comparison))
        return comparison == Comparison::equal ? nothing() : some_value(work);
    return compare(*work, comparison, date_constant(place.floor));
}

/* A constant among the days since 1970. */
bool place_of_day(const Const *constant, Place *place) {
    const Oid type = getBaseType(constant->consttype);
    if (type == DATEOID) {
        const DateADT day = DatumGetDateADT(constant->constvalue);
        *place = {DATE_IS_NOBEGIN(day) ? Place::Kind::below_all
                  : DATE_IS_NOEND(day) ? Place::Kind::above_all
                                       : Place::Kind::at,
                  day + epoch_days};
        return true;
    }
    if (type != TIMESTAMPOID && type != TIMESTAMPTZOID)
        return false;
    const Timestamp timestamp = DatumGetTimestamp(constant->constvalue);
    if (TIMESTAMP_NOT_FINITE(timestamp)) {
        *place = {TIMESTAMP_IS_NOBEGIN(timestamp) ? Place::Kind::below_all : Place::Kind::above_all, 0};
        return true;
    }
    if (type == TIMESTAMPOID) {
        bool is_whole;
        const int64 day = floor_divide(timestamp, USECS_PER_DAY, &is_whole) + epoch_days;
        *place = {is_whole ? Place::Kind::at : Place::Kind::between, day};
        return true;
    }
    /* The day begins at midnight in the session's time zone, or, where that is left out, a little later. */
    const DateADT day = DatumGetDateADT(DirectFunctionCall1(timestamptz_date, constant->constvalue));
    int overflow = 0;
    const TimestampTz midnight = date2timestamptz_opt_overflow(day, &overflow);
    if (overflow != 0)
        return false;
    *place = {midnight == timestamp ? Place::Kind::at : Place::Kind::between,
              day + epoch_days - (midnight > timestamp ? 1 : 0)};
    return true;
}

/* A day is a half-open range of milliseconds. */
FilterNode *compare_date(Work *work, const Const *constant) {
    Place place;
    if (!place_of_day(constant, &place))
        return nullptr;
    Comparison comparison = work->comparison;
    if (!settle_place(place, &comparison))
        return comparison == Comparison::equal ? nothing() : some_value(work);
    const Constant begin = date_constant(place.floor * milliseconds_per_day);
    const Constant end = date_constant((place.floor + 1) * milliseconds_per_day);
    switch (comparison) {
    case Comparison::equal:
        return both(compare(*work, Comparison::greater_equal, begin), compare(*work, Comparison::less, end));
    case Comparison::not_equal:
        return either(compare(*work, Comparison::less, begin), compare(*work, Comparison::greater_equal, end));
    case Comparison::less:
        return compare(*work, Comparison::less, begin);
    case Comparison::less_equal:
        return compare(*work, Comparison::less, end);
    case Comparison::greater:
        return compare(*work, Comparison::greater_equal, end);
    default:
        return compare(*work, Comparison::greater_equal, begin);
    }
}

/* --- text -------------------------------------------------------------------------------------------------------- */

constexpr const char *types_with_free_text[] = {"symbol", "javascript"};
constexpr const char *array_type = "array";

/* Whether the text of a number, date, ObjectId, UUID, regular expression or JSON might read like this. Errs to yes. */
bool could_be_text_of_other_types(const char *data, size_t size) {
    if (size == 0)
        return false;
    const unsigned char first = static_cast<unsigned char>(data[0]);
    if ((first >= '0' && first <= '9') || strchr("+-./{[\"$", first))
        return true;
    for (const char *word : {"true", "false", "NaN", "Infinity", "undefined", "null"})
        if (strlen(word) == size && memcmp(word, data, size) == 0)
            return true;
    const bool hex_digits_only = strspn(data, "0123456789abcdefABCDEF-") >= size;
    return hex_digits_only && (size == 24 || size == 36);
}

/* Equality is that of bytes; other types have a text form too. */
FilterNode *equal_text(const Work &work, const Constant &constant) {
    FilterNode *same = equals(work, constant);
    const UsedColumn &used = *work.used;
    if (!used.field)
        return same;
    const char *characters = constant.text.data;
    const int length = pg_mbstrlen_with_len(characters, static_cast<int>(constant.text.size));
    if (used.field->options.on_nul != bson::OnNul::error || work.placeholder > 0 ||
        (used.rule.limit >= 0 && length >= used.rule.limit) ||
        could_be_text_of_other_types(characters, constant.text.size))
        return either(same, convertible_filter(used));
    return either(same, type_node(work.path(), {types_with_free_text, lengthof(types_with_free_text)}));
}

/* Whether it might begin like this. */
bool could_begin_text_of_other_types(const char *prefix) {
    if (prefix[0] == '\0' || strchr("0123456789+-./{[\"$abcdef", prefix[0]))
        return true;
    for (const char *word : {"true", "false", "NaN", "Infinity", "undefined", "null"})
        if (strncmp(word, prefix, strlen(prefix)) == 0)
            return true;
    return false;
}

/* Adds to "is something else than": an array, which has a text of its own, whatever its elements are, and strings of
 * which the column has another text than the field. */
FilterNode *with_other_texts(const Work &work, FilterNode *differs) {
    const UsedColumn &used = *work.used;
    if (!used.field)
        return differs;
    if (used.field->options.on_nul != bson::OnNul::error || used.rule.limit >= 0)
        return either(differs, convertible_filter(used));
    return either(differs, type_node(work.path(), {&array_type, 1}));
}

FilterNode *match_text(const Work &work, const TextPattern &pattern) {
    Constant regex{};
    regex.kind = ConstantKind::regex;
    regex.text = {pattern.regex, strlen(pattern.regex), pattern.options};
    const UsedColumn &used = *work.used;
    if (work.comparison == Comparison::not_equal) {
        return with_other_texts(work, compare(work, Comparison::not_equal, regex));
    }
    FilterNode *same = equals(work, regex);
    if (!used.field)
        return same;
    if (used.field->options.on_nul != bson::OnNul::error || work.placeholder > 0 || used.rule.limit >= 0 ||
        could_begin_text_of_other_types(pattern.prefix))
        return either(same, convertible_filter(used));
    return either(same, type_node(work.path(), {types_with_free_text, lengthof(types_with_free_text)}));
}

FilterNode *compare_text(Work *work, Datum value) {
    const Constant constant = text_constant(TextDatumGetCString(value));
    switch (work->comparison) {
    case Comparison::equal:
        return equal_text(*work, constant);
    case Comparison::not_equal:
        return with_other_texts(*work, compare(*work, Comparison::not_equal, constant));
    default:
        return compare(*work, work->comparison, constant);
    }
}

/* --- identifiers ------------------------------------------------------------------------------------------------- */

/* Native are binaries of one subtype. Of equal ones of the other subtype, and ObjectIds, the bytes are known. */
FilterNode *compare_uuid(Work *work, const uint8_t *bytes) {
    const UsedColumn &used = *work->used;
    const bson::UuidRepresentation representation =
        used.field ? used.field->options.uuid_representation : bson::UuidRepresentation::standard;
    uint8_t stored[UUID_LEN]; /* each of the legacy orders is its own reverse */
    bson::uuid_from_legacy(bytes, representation, stored);
    const Constant standard = uuid_constant(4, bytes);
    const Constant legacy = uuid_constant(3, stored);
    const Constant &native = used.rule.uuid_binary == 4 ? standard : legacy;
    if (work->comparison == Comparison::equal) {
        FilterNode *node = equals(*work, native);
        if (!used.field)
            return node;
        node = either(node, equals(*work, used.rule.uuid_binary == 4 ? legacy : standard));
        uint8_t object_id[12];
        if (bson::object_id_from_uuid(bytes, object_id))
            node = either(node, equals(*work, object_id_constant(object_id)));
        static constexpr const char *string_type = "string";
        return either(node, type_node(work->path(), {&string_type, 1}));
    }
    const bool keeps_order = used.rule.uuid_binary == 4 || memcmp(bytes, stored, UUID_LEN) == 0 ||
                             representation == bson::UuidRepresentation::python_legacy;
    if (work->comparison != Comparison::not_equal && !keeps_order) {
        work->exact = false;
        return some_value(work);
    }
    return compare(*work, work->comparison, native);
}

/* --- one comparison ---------------------------------------------------------------------------------------------- */

/* NULL where there is no rule for the two types. */
FilterNode *compare_native(Work *work, Oid compared_type, const Const *constant) {
    const Oid constant_type = getBaseType(constant->consttype);
    switch (work->used->rule.kind) {
    case ColumnKind::integer:
        return compare_integer(work, constant);
    case ColumnKind::float32:
    case ColumnKind::float64: {
        if (constant_type != FLOAT4OID && constant_type != FLOAT8OID)
            return nullptr;
        const double value = constant_type == FLOAT4OID ? static_cast<double>(DatumGetFloat4(constant->constvalue))
                                                        : DatumGetFloat8(constant->constvalue);
        return work->used->rule.kind == ColumnKind::float64 ? compare_float64(work, value)
                                                            : compare_float32(work, value);
    }
    case ColumnKind::numeric:
        return constant_type == NUMERICOID ? compare_numeric(work, constant->constvalue) : nullptr;
    case ColumnKind::boolean: {
        if (constant_type != BOOLOID)
            return nullptr;
        Constant made{};
        made.kind = ConstantKind::boolean;
        made.boolean = DatumGetBool(constant->constvalue);
        if (work->comparison != Comparison::not_equal || work->placeholder > 0)
            return compare(*work, work->comparison, made);
        made.boolean = !made.boolean;
        return compare(*work, Comparison::equal, made);
    }
    case ColumnKind::text:
        return constant_type == TEXTOID || constant_type == VARCHAROID ? compare_text(work, constant->constvalue)
                                                                       : nullptr;
    case ColumnKind::object_id:
        if (constant_type != work->used->rule.base_type || compared_type != constant_type)
            return nullptr;
        return compare(*work, work->comparison,
                       object_id_constant(reinterpret_cast<const uint8_t *>(DatumGetPointer(constant->constvalue))));
    case ColumnKind::uuid:
        return constant_type == UUIDOID ? compare_uuid(work, DatumGetUUIDP(constant->constvalue)->data) : nullptr;
    case ColumnKind::timestamp:
        return compare_timestamp(work, constant);
    case ColumnKind::date:
        return compare_date(work, constant);
    default:
        return nullptr;
    }
}

bool adds_convertible(const Work &work) {
    if (!work.used->field)
        return false;
    switch (work.used->rule.kind) {
    case ColumnKind::text:
    case ColumnKind::uuid: /* equality has arms of its own, and $nin lets pass all that is something else */
        return work.comparison != Comparison::equal &&
               (work.comparison != Comparison::not_equal || differs_by_order(work));
    case ColumnKind::date:
        return true;
    default:
        return work.comparison != Comparison::not_equal || differs_by_order(work);
    }
}

const char *refusal_of_comparison(const Work &work, Oid collation) {
    if (const char *refusal = refusal_in_query(*work.used))
        return refusal;
    if (work.used->rule.not_comparable)
        return work.used->rule.not_comparable;
    if (work.used->rule.kind != ColumnKind::text)
        return nullptr;
    if (OidIsValid(collation) && !get_collation_isdeterministic(collation))
        return "the collation is not deterministic";
    const bool is_order = is_less(work.comparison) || is_greater(work.comparison);
    return is_order && !collation_is_c(collation) ? "text is ordered by its bytes only in the collation C" : nullptr;
}

} // namespace

static Predicate finish(const Work &work, FilterNode *node) {
    if (adds_convertible(work))
        if (FilterNode *convertible = convertible_filter(*work.used))
            node = either(node, convertible);
    const UsedColumn &used = *work.used;
    const bool exact = work.exact && !used.rule.not_exact && !used.of_elements && !used.has_position;
    return {node, exact};
}

Predicate compare_with_constant(Translation *translation, Node *expression, const UsedColumn &used, Oid compared_type,
                                Comparison comparison, const Const *constant, int placeholder, Oid collation) {
    Work work{&used, comparison, placeholder, true};
    if (const char *refusal = refusal_of_comparison(work, collation)) {
        not_sent(translation, expression, refusal);
        return {nullptr, false};
    }
    FilterNode *node = compare_native(&work, compared_type, constant);
    if (!node) {
        not_sent(translation, expression,
                 psprintf("a column of type %s can't be compared with this value of type %s in MongoDB",
                          format_type_be(used.rule.base_type), format_type_be(constant->consttype)));
        return {nullptr, false};
    }
    if (used.field)
        use_field(translation, used.table, used.column);
    return finish(work, node);
}

Predicate compare_object_id_with_uuid(Translation *translation, Node *expression, const UsedColumn &used,
                                      Comparison comparison, const Const *constant, int placeholder) {
    Work work{&used, comparison, placeholder, true};
    if (const char *refusal = refusal_of_comparison(work, InvalidOid)) {
        not_sent(translation, expression, refusal);
        return {nullptr, false};
    }
    uint8_t object_id[12]{};
    FilterNode *node;
    if (bson::object_id_from_uuid(DatumGetUUIDP(constant->constvalue)->data, object_id) || placeholder > 0)
        node = compare(work, comparison, object_id_constant(object_id)); /* to_uuid() keeps the order */
    else if (comparison == Comparison::equal)
        node = nothing();
    else if (comparison == Comparison::not_equal)
        node = some_value(&work);
    else {
        not_sent(translation, expression, "no ObjectId makes this UUID");
        return {nullptr, false};
    }
    if (used.field)
        use_field(translation, used.table, used.column);
    return finish(work, node);
}

Predicate match_pattern(Translation *translation, Node *expression, const UsedColumn &used, PatternKind kind,
                        bool matches, const Const *pattern, int placeholder, Oid collation) {
    Work work{&used, matches ? Comparison::equal : Comparison::not_equal, placeholder, true};
    const char *refusal = refusal_of_comparison(work, collation);
    if (!refusal && used.rule.kind != ColumnKind::text)
        refusal = "it is no column of type text";
    if (!refusal && !matches && (used.of_elements || used.has_position))
        refusal = refusal_in_expression(used);
    TextPattern translated{};
    if (!refusal)
        refusal =
            translate_pattern(kind, TextDatumGetCString(pattern->constvalue), collation_is_c(collation), &translated);
    if (!refusal && !matches && !translated.exact)
        refusal = "which letters are the same depends on the locale";
    if (refusal) {
        not_sent(translation, expression, refusal);
        return {nullptr, false};
    }
    if (used.field)
        use_field(translation, used.table, used.column);
    work.exact = translated.exact;
    if (translated.literal && placeholder == 0)
        return finish(work, compare_text(&work, CStringGetTextDatum(translated.literal)));
    return finish(work, match_text(work, translated));
}

/* --- NULL -------------------------------------------------------------------------------------------------------- */

static const char *refusal_of_null_test(const UsedColumn &used) {
    if (const char *refusal = refusal_in_query(used))
        return refusal;
    if (used.of_elements || used.has_position)
        return refusal_in_expression(used);
    return nullptr;
}

Predicate is_null_predicate(Translation *translation, Node *expression, const UsedColumn &used) {
    if (const char *refusal = refusal_of_null_test(used)) {
        not_sent(translation, expression, refusal);
        return {nullptr, false};
    }
    if (used.field)
        use_field(translation, used.table, used.column);
    FilterNode *node = compare_node(used.path, BTEqualStrategyNumber, Constant{}); /* missing too */
    if (FilterNode *odd = null_by_oddity_filter(used))
        node = either(node, odd);
    if (node->kind == NodeKind::everything) {
        not_sent(translation, expression, "what on_mismatch reads as NULL can't be told by the server");
        return {nullptr, false};
    }
    return {node, !used.rule.not_exact};
}

Predicate is_not_null_predicate(Translation *translation, Node *expression, const UsedColumn &used) {
    if (const char *refusal = refusal_of_null_test(used)) {
        not_sent(translation, expression, refusal);
        return {nullptr, false};
    }
    if (used.field)
        use_field(translation, used.table, used.column);
    FilterNode *node = not_null_node(used.path);
    /* An array that contains null is something too, where arrays are values. */
    if (used.field && (used.rule.kind == ColumnKind::text || used.rule.kind == ColumnKind::other))
        node = either(node, type_node(used.path, {&array_type, 1}));
    return {node, !used.rule.not_exact};
}

} // namespace mongoferry::query
