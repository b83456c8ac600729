/* See value_comparison.h. */
#include "query/value_comparison.h"

#include "bson/number_text.h"
#include "bson/objectid_type_id.h"

extern "C" {
#include "mb/pg_wchar.h"
}

#include <cmath>

namespace mongoferry::query {

/* --- which comparisons ------------------------------------------------------------------------------------------- */

static bool is_integer(Oid type) {
    return type == INT2OID || type == INT4OID || type == INT8OID;
}

static bool has_nan(Oid type) {
    return type == FLOAT8OID || type == NUMERICOID;
}

bool is_equal_by_value(Oid type) {
    switch (type) {
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case FLOAT8OID:
    case NUMERICOID:
    case BOOLOID:
    case DATEOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
        return true;
    default:
        return type == bson::objectid_type_id();
    }
}

static bool is_equal_alike(Oid type, Oid collation, const char **why) {
    switch (type) {
    case UUIDOID:
        return true;
    case TEXTOID:
        if (GetDatabaseEncoding() != PG_UTF8) {
            *why = "text is compared on the server only if the database's encoding is UTF8";
            return false;
        }
        if (OidIsValid(collation) && !get_collation_isdeterministic(collation)) {
            *why = "texts that are equal under a nondeterministic collation differ for MongoDB";
            return false;
        }
        return true;
    default:
        if (is_equal_by_value(type))
            return true;
        *why = "values of this type are not compared on the server";
        return false;
    }
}

bool is_ordered_alike(Oid type, Oid collation, const char **why) {
    if (!is_equal_alike(type, collation, why))
        return false;
    if (type == TEXTOID && !collation_is_c(collation)) {
        *why = "the order of text depends on the collation; MongoDB compares bytes, as collation \"C\" does";
        return false;
    }
    return true;
}

bool read_comparison(Oid operator_id, Oid collation, ComparedTypes *types, const char **why) {
    Oid left_type;
    Oid right_type;
    op_input_types(operator_id, &left_type, &right_type);
    if (!OidIsValid(left_type) || (left_type != right_type && !(is_integer(left_type) && is_integer(right_type))) ||
        !find_comparison(operator_id, left_type, &types->comparison)) {
        *why = "there is no rule for this operator";
        return false;
    }
    types->has_nan = has_nan(left_type);
    const bool is_equality = types->comparison == Comparison::equal || types->comparison == Comparison::not_equal;
    return is_equality ? is_equal_alike(left_type, collation, why) : is_ordered_alike(left_type, collation, why);
}

/* --- their form -------------------------------------------------------------------------------------------------- */

bool is_nan_constant(const ServerValue *value) {
    if (!is_constant(value))
        return false;
    switch (value->constant.kind) {
    case ConstantKind::float64:
        return std::isnan(value->constant.float64);
    case ConstantKind::decimal128:
        return bson::decimal128_parts(value->constant.bytes).kind == bson::Decimal128Parts::Kind::nan;
    default:
        return false;
    }
}

static bool is_number_constant(const ServerValue *value) {
    return is_constant(value) && !is_null_constant(value) && !is_nan_constant(value);
}

static ServerValue *nan_value() {
    return float64_value(std::nan(""));
}

/* NULL for what is always something. */
static ServerValue *something_unless_constant(ServerValue *value) {
    return is_constant(value) ? nullptr : is_something(value);
}

/* left < right or left <= right, with NaN above all. That right is not null follows, null being below everything. */
static ServerValue *less_with_nan(bool or_equal, ServerValue *left, ServerValue *right) {
    const char *name = or_equal ? "$lte" : "$lt";
    ServerValue *left_is_number = is_number_constant(left) ? nullptr : operation("$gt", {left, nan_value()});
    ServerValue *right_is_nan = is_number_constant(right) ? nullptr : operation("$eq", {right, nan_value()});
    ServerValue *among_numbers = all_of({left_is_number, operation(name, {left, right})});
    if (!right_is_nan)
        return among_numbers;
    /* Below NaN is every other number; not above it is NaN too. */
    ServerValue *left_fits = or_equal ? something_unless_constant(left) : left_is_number;
    return any_of({all_of({left_fits, right_is_nan}), among_numbers});
}

ServerValue *compare_values(ComparedTypes types, ServerValue *left, ServerValue *right) {
    if (is_null_constant(left) || is_null_constant(right))
        return boolean_value(false);
    if (types.comparison == Comparison::greater || types.comparison == Comparison::greater_equal) {
        std::swap(left, right);
        types.comparison = types.comparison == Comparison::greater ? Comparison::less : Comparison::less_equal;
    }
    return with_names("left", left, "right", right, [&](ServerValue *a, ServerValue *b) -> ServerValue * {
        switch (types.comparison) {
        case Comparison::equal: /* of two equals, neither is null if one is not */
            return all_of({is_constant(b) ? nullptr : something_unless_constant(a), operation("$eq", {a, b})});
        case Comparison::not_equal:
            return all_of({something_unless_constant(a), something_unless_constant(b), operation("$ne", {a, b})});
        case Comparison::less:
        case Comparison::less_equal:
        default:
            if (types.has_nan)
                return less_with_nan(types.comparison == Comparison::less_equal, a, b);
            return all_of({something_unless_constant(a),
                           operation(types.comparison == Comparison::less ? "$lt" : "$lte", {a, b})});
        }
    });
}

} // namespace mongoferry::query
