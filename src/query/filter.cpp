/*
 * See filter.h. The rules, by the type of the column: "column op constant" with op one of = < <= > >=, IN and = ANY,
 * combined by AND and OR, and boolean columns by themselves.
 *
 * - smallint, integer, bigint: numbers compare across BSON's number types by value, as here.
 * - double precision: the same; NaN is above all numbers in SQL and below them in MongoDB, so > and >= add NaN.
 * - numeric without a modifier: a double becomes its shortest decimal, which may lie beside its exact value, so a
 *   constant that is no integer is sent both as a double and as a Decimal128.
 * - boolean: true or false.
 * - mongoferry.objectid: ObjectIds compare byte by byte, as here.
 * - timestamptz, timestamp: dates in milliseconds; strings, ObjectIds and timestamps convert too and are let through.
 * - text, varchar without a modifier: equality only, since the order of text depends on the collation. Other BSON
 *   types have a text form too and are let through where it could be the constant's.
 *
 * Not sent: conditions on columns below an unwound array, on columns that read strings as numbers or drop NULs, with
 * nondeterministic collations, and everything else.
 */
#include "query/filter.h"

#include "bson/number_text.h"
#include "bson/objectid_type_id.h"
#include "bson/path.h"
#include "query/filter_node.h"

extern "C" {
#include "access/stratnum.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
}

#include <cmath>

namespace mongoferry::query {

namespace {

constexpr const char *types_read_as_time[] = {"string", "objectId", "timestamp"};
constexpr const char *types_with_free_text[] = {"symbol", "javascript"};
// clang-format off
constexpr const char *types_with_any_text[] = {
    "double", "int", "long", "decimal", "date", "objectId", "bool", "binData", "regex", "symbol", "javascript",
    "dbPointer", "object", "array", "timestamp", "minKey", "maxKey", "javascriptWithScope"};
// clang-format on

template <int count>
TypeList list_of(const char *const (&names)[count]) {
    return {names, count};
}

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

/* --- numbers ------------------------------------------------------------------------------------------------- */

bool includes_greater(StrategyNumber comparison) {
    return comparison == BTGreaterStrategyNumber || comparison == BTGreaterEqualStrategyNumber;
}

/* SQL puts NaN above every number, MongoDB below. */
FilterNode *with_nan(FilterNode *node, const char *path, StrategyNumber comparison) {
    if (!includes_greater(comparison))
        return node;
    return either(node, compare_node(path, BTEqualStrategyNumber, float64_constant(std::nan(""))));
}

FilterNode *translate_float_comparison(const char *path, StrategyNumber comparison, double value) {
    if (std::isnan(value))
        return nullptr;
    return with_nan(compare_node(path, comparison, float64_constant(value)), path, comparison);
}

/* Without the strictness: for a bound that stands beside the constant rather than at it. */
StrategyNumber not_strict(StrategyNumber comparison) {
    return comparison == BTLessStrategyNumber      ? BTLessEqualStrategyNumber
           : comparison == BTGreaterStrategyNumber ? BTGreaterEqualStrategyNumber
                                                   : comparison;
}

FilterNode *translate_numeric_comparison(const char *path, StrategyNumber comparison, Datum value) {
    char *text = DatumGetCString(DirectFunctionCall1(numeric_out, value));
    /* Within 2^53 an integer is the same number in every BSON number type. */
    constexpr int64 exact_limit = INT64CONST(9007199254740992);
    size_t digits = strspn(text[0] == '-' ? text + 1 : text, "0123456789");
    if (digits <= 16 && text[digits + (text[0] == '-')] == '\0') {
        int64 integer = strtoll(text, nullptr, 10);
        if (integer >= -exact_limit && integer <= exact_limit)
            return with_nan(compare_node(path, comparison, integer_constant(integer)), path, comparison);
    }
    Constant decimal{};
    decimal.kind = ConstantKind::decimal128;
    if (!bson::parse_decimal128(text, decimal.bytes))
        return nullptr;
    if (bson::decimal128_parts(decimal.bytes).kind != bson::Decimal128Parts::Kind::finite)
        return nullptr;
    double nearest = strtod(text, nullptr);
    if (!std::isfinite(nearest))
        return nullptr;
    StrategyNumber bound = not_strict(comparison);
    return with_nan(either(compare_node(path, bound, decimal), compare_node(path, bound, float64_constant(nearest))),
                    path, comparison);
}

/* --- times --------------------------------------------------------------------------------------------------- */

constexpr int64 milliseconds_from_1970_to_2000 = INT64CONST(946684800000);

/* A comparison with a point in microseconds since 2000, of a field in milliseconds since 1970. */
FilterNode *translate_time_comparison(const char *path, StrategyNumber comparison, int64 microseconds) {
    if (microseconds == DT_NOBEGIN || microseconds == DT_NOEND)
        return nullptr;
    int64 milliseconds = microseconds / 1000;
    int64 rest = microseconds % 1000;
    if (rest < 0) {
        rest += 1000;
        --milliseconds;
    }
    milliseconds += milliseconds_from_1970_to_2000;
    /* Between two milliseconds: x < c and x <= c hold up to the one below, which not being strict includes; x > c and
     * x >= c hold from the one above, which is more than the one below; nothing equals c but other types may. */
    FilterNode *node = compare_node(path, rest ? not_strict(comparison) : comparison, date_constant(milliseconds));
    return either(node, type_node(path, list_of(types_read_as_time)));
}

/* --- text ---------------------------------------------------------------------------------------------------- */

/* Whether the text of a number, date, ObjectId, UUID, regular expression or JSON might read like this. Errs to yes. */
bool could_be_text_of_other_types(const char *data, size_t size) {
    if (size == 0)
        return false;
    unsigned char first = static_cast<unsigned char>(data[0]);
    if ((first >= '0' && first <= '9') || strchr("+-./{[\"$", first))
        return true;
    for (const char *word : {"true", "false", "NaN", "Infinity", "undefined", "null"})
        if (strlen(word) == size && memcmp(word, data, size) == 0)
            return true;
    bool hex_digits_only = strspn(data, "0123456789abcdefABCDEF-") >= size;
    return hex_digits_only && (size == 24 || size == 36);
}

FilterNode *translate_text_equality(const Field &field, Datum value) {
    if (GetDatabaseEncoding() != PG_UTF8 || field.options.on_nul != bson::OnNul::error)
        return nullptr;
    char *characters = TextDatumGetCString(value);
    Constant constant{};
    constant.kind = ConstantKind::text;
    constant.text = {characters, strlen(characters), nullptr};
    FilterNode *same = compare_node(field.path, BTEqualStrategyNumber, constant);
    return either(same, could_be_text_of_other_types(characters, constant.text.size)
                            ? type_node(field.path, list_of(types_with_any_text))
                            : type_node(field.path, list_of(types_with_free_text)));
}

/* --- one comparison ------------------------------------------------------------------------------------------ */

/* The column behind a Var of the relation, if conditions on it may be sent. */
const Field *pushable_field(const RelationFields &relation, Node *node, Oid *base_type) {
    if (IsA(node, RelabelType))
        node = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(node)->arg);
    if (!IsA(node, Var))
        return nullptr;
    Var *var = reinterpret_cast<Var *>(node);
    if (var->varno != 1 || var->varlevelsup != 0 || var->varattno < 1 || var->varattno > relation.count)
        return nullptr;
    const Field *field = &relation.fields[var->varattno - 1];
    if (!field->path || field->path[0] == '$' || field->options.coerce_strings)
        return nullptr;
    /* A condition on an element is not one on the document. */
    if (relation.unwind && bson::is_at_or_below(field->path, relation.unwind))
        return nullptr;
    int32 typmod = field->typmod;
    *base_type = getBaseTypeAndTypmod(field->type, &typmod);
    /* A type modifier changes values on the way (numeric(6,2) rounds, varchar(3) cuts blanks). */
    if (typmod >= 0)
        return nullptr;
    return field;
}

/* "field comparison constant", of the operand type that the operator takes on the constant's side. */
FilterNode *translate_comparison(const Field &field, Oid base_type, StrategyNumber comparison, Oid constant_type,
                                 Datum value) {
    switch (base_type) {
    case INT2OID:
    case INT4OID:
    case INT8OID:
        switch (constant_type) {
        case INT2OID:
            return compare_node(field.path, comparison, integer_constant(DatumGetInt16(value)));
        case INT4OID:
            return compare_node(field.path, comparison, integer_constant(DatumGetInt32(value)));
        case INT8OID:
            return compare_node(field.path, comparison, integer_constant(DatumGetInt64(value)));
        }
        return nullptr;
    case FLOAT8OID:
        return constant_type == FLOAT8OID ? translate_float_comparison(field.path, comparison, DatumGetFloat8(value))
                                          : nullptr;
    case NUMERICOID:
        return constant_type == NUMERICOID ? translate_numeric_comparison(field.path, comparison, value) : nullptr;
    case BOOLOID: {
        if (constant_type != BOOLOID)
            return nullptr;
        Constant constant{};
        constant.kind = ConstantKind::boolean;
        constant.boolean = DatumGetBool(value);
        return compare_node(field.path, comparison, constant);
    }
    case TIMESTAMPTZOID:
    case TIMESTAMPOID:
        /* Mixed comparisons depend on the session's time zone; a timestamp column holds UTC. */
        return constant_type == base_type ? translate_time_comparison(field.path, comparison, DatumGetTimestamp(value))
                                          : nullptr;
    case TEXTOID:
    case VARCHAROID:
        return comparison == BTEqualStrategyNumber && constant_type == TEXTOID ? translate_text_equality(field, value)
                                                                               : nullptr;
    default:
        if (constant_type == base_type && base_type == bson::objectid_type_id()) {
            Constant constant{};
            constant.kind = ConstantKind::object_id;
            memcpy(constant.bytes, DatumGetPointer(value), 12);
            return compare_node(field.path, comparison, constant);
        }
        return nullptr;
    }
}

/* The btree strategy that the operator has in its operands' default operator family; 0 for none. */
StrategyNumber btree_strategy(Oid operator_id, Oid type) {
    TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);
    if (!OidIsValid(entry->btree_opf))
        return InvalidStrategy;
    return static_cast<StrategyNumber>(get_op_opfamily_strategy(operator_id, entry->btree_opf));
}

bool is_text_type(Oid type) {
    return type == TEXTOID || type == VARCHAROID;
}

/* Equality of text is that of bytes, unless the collation says otherwise. */
bool collation_is_harmless(Oid collation) {
    return !OidIsValid(collation) || get_collation_isdeterministic(collation);
}

/* "column operator constant" of a condition, taken apart. */
struct Comparison {
    const Field *field;
    Oid base_type; /* of the column */
    StrategyNumber strategy;
    const Const *constant; /* not NULL */
};

/* False if it is nothing that may be sent. constant is an operand, or an array of them. */
bool read_comparison(const RelationFields &relation, Node *column, Oid operator_id, Node *constant, Oid collation,
                     Comparison *comparison) {
    if (!IsA(constant, Const))
        return false;
    comparison->constant = reinterpret_cast<Const *>(constant);
    comparison->field = pushable_field(relation, column, &comparison->base_type);
    if (!comparison->field || comparison->constant->constisnull)
        return false;
    comparison->strategy =
        btree_strategy(operator_id, is_text_type(comparison->base_type) ? TEXTOID : comparison->base_type);
    return comparison->strategy != InvalidStrategy && collation_is_harmless(collation);
}

FilterNode *translate_operator(const RelationFields &relation, OpExpr *expression) {
    if (list_length(expression->args) != 2)
        return nullptr;
    Node *left = static_cast<Node *>(linitial(expression->args));
    Node *right = static_cast<Node *>(lsecond(expression->args));
    Oid operator_id = expression->opno;
    if (IsA(left, Const)) { /* 5 < a is a > 5 */
        operator_id = get_commutator(operator_id);
        if (!OidIsValid(operator_id))
            return nullptr;
        std::swap(left, right);
    }
    Comparison comparison;
    if (!read_comparison(relation, left, operator_id, right, expression->inputcollid, &comparison))
        return nullptr;
    return translate_comparison(*comparison.field, comparison.base_type, comparison.strategy,
                                comparison.constant->consttype, comparison.constant->constvalue);
}

/* column = ANY (array): a choice of equalities. */
FilterNode *translate_any(const RelationFields &relation, ScalarArrayOpExpr *expression) {
    Node *left = static_cast<Node *>(linitial(expression->args));
    Node *right = static_cast<Node *>(lsecond(expression->args));
    Comparison comparison;
    if (!expression->useOr ||
        !read_comparison(relation, left, expression->opno, right, expression->inputcollid, &comparison) ||
        comparison.strategy != BTEqualStrategyNumber)
        return nullptr;

    ArrayType *array = DatumGetArrayTypeP(comparison.constant->constvalue);
    int16 length;
    bool by_value;
    char align;
    get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &align);
    Datum *values;
    bool *nulls;
    int count;
    deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, align, &values, &nulls, &count);

    FilterNode **children = static_cast<FilterNode **>(palloc(sizeof(FilterNode *) * Max(count, 1)));
    int child_count = 0;
    for (int i = 0; i < count; ++i) {
        if (nulls[i])
            continue; /* equals nothing */
        FilterNode *child = translate_comparison(*comparison.field, comparison.base_type, comparison.strategy,
                                                 ARR_ELEMTYPE(array), values[i]);
        if (!child)
            return nullptr;
        children[child_count++] = child;
    }
    return child_count > 0 ? combine(NodeKind::any_of, children, child_count) : nullptr;
}

FilterNode *translate_boolean_column(const RelationFields &relation, Node *node, bool value) {
    Oid base_type;
    const Field *field = pushable_field(relation, node, &base_type);
    if (!field || base_type != BOOLOID)
        return nullptr;
    return translate_comparison(*field, BOOLOID, BTEqualStrategyNumber, BOOLOID, BoolGetDatum(value));
}

FilterNode *translate(const RelationFields &relation, Node *condition);

FilterNode *translate_boolean_expression(const RelationFields &relation, BoolExpr *expression) {
    /* NOT of a wider filter would be a narrower one, so only a plain column can be negated. */
    if (expression->boolop == NOT_EXPR)
        return translate_boolean_column(relation, static_cast<Node *>(linitial(expression->args)), false);

    FilterNode **children = static_cast<FilterNode **>(palloc(sizeof(FilterNode *) * list_length(expression->args)));
    int count = 0;
    ListCell *cell;
    foreach (cell, expression->args) {
        FilterNode *child = translate(relation, static_cast<Node *>(lfirst(cell)));
        if (child)
            children[count++] = child;
        else if (expression->boolop == OR_EXPR)
            return nullptr; /* that arm may let anything through */
    }
    if (count == 0)
        return nullptr;
    return combine(expression->boolop == OR_EXPR ? NodeKind::any_of : NodeKind::all_of, children, count);
}

FilterNode *translate(const RelationFields &relation, Node *condition) {
    check_stack_depth();
    switch (nodeTag(condition)) {
    case T_OpExpr:
        return translate_operator(relation, reinterpret_cast<OpExpr *>(condition));
    case T_ScalarArrayOpExpr:
        return translate_any(relation, reinterpret_cast<ScalarArrayOpExpr *>(condition));
    case T_BoolExpr:
        return translate_boolean_expression(relation, reinterpret_cast<BoolExpr *>(condition));
    case T_Var:
        return translate_boolean_column(relation, condition, true);
    default:
        return nullptr;
    }
}

} // namespace

FilterNode *translate_condition(Translation *translation, Node *condition, bool *exact) {
    *exact = false;
    FilterNode *node = translation->table_count == 1 ? translate(*translation->tables[0].fields, condition) : nullptr;
    if (!node)
        return not_sent(translation, condition, "there is no rule for it");
    return node;
}

} // namespace mongoferry::query
