/*
 * Conditions as values, and values that depend on conditions: comparisons, AND, OR, NOT, IS …, IN, CASE, COALESCE …
 *
 * SQL has three truth values. translate_truth() asks for one of them and gets an expression with two; as a value a
 * condition is true, false or null.
 */
#include "query/value_comparison.h"
#include "query/rule.h"

extern "C" {
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
}

#include <cmath>

namespace mongoferry::query {

/* --- IN and the like --------------------------------------------------------------------------------------------- */

/* The members of an array that is a constant or written out; false if it is neither. */
static bool members_of(const Translation *translation, Node *array, List **members, bool *is_null) {
    *members = NIL;
    *is_null = false;
    if (IsA(array, ArrayExpr)) {
        if (reinterpret_cast<ArrayExpr *>(array)->multidims)
            return false;
        *members = reinterpret_cast<ArrayExpr *>(array)->elements;
        return true;
    }
    const Const *constant = constant_of(translation, array);
    if (!constant)
        return false;
    *is_null = constant->constisnull;
    if (*is_null)
        return true;
    ArrayType *values = DatumGetArrayTypeP(constant->constvalue);
    const Oid type = ARR_ELEMTYPE(values);
    int16 length;
    bool by_value;
    char alignment;
    get_typlenbyvalalign(type, &length, &by_value, &alignment);
    Datum *datums;
    bool *nulls;
    int count;
    deconstruct_array(values, type, length, by_value, alignment, &datums, &nulls, &count);
    for (int i = 0; i < count; ++i)
        *members = lappend(*members, makeConst(type, -1, constant->constcollid, length, datums[i], nulls[i], by_value));
    return true;
}

/* left = ANY (members), or left <> ALL (members) as its opposite, by one $in. */
static ServerValue *in_list(ServerValue *left, ServerValue *list, bool has_null, bool wanted) {
    if (!wanted && has_null)
        return boolean_value(false); /* it is unknown at best */
    return with_name("left", left, [&](ServerValue *value) {
        ServerValue *found = operation("$in", {value, list});
        return all_of({is_something(value), wanted ? found : not_of(found)});
    });
}

static ServerValue *array_comparison_truth(Translation *translation, ScalarArrayOpExpr *expression, bool truth) {
    ComparedTypes types;
    const char *why;
    if (!read_comparison(expression->opno, expression->inputcollid, &types, &why))
        return not_sent(translation, expression, why);
    List *members;
    bool is_null;
    Node *array = static_cast<Node *>(lsecond(expression->args));
    if (!members_of(translation, array, &members, &is_null))
        return not_sent(translation, expression, "the array is not a constant");
    if (is_null)
        return boolean_value(false);
    if (members == NIL)
        return boolean_value(truth != expression->useOr);
    ServerValue *left = translate_operand(translation, static_cast<Node *>(linitial(expression->args)));
    if (!left)
        return nullptr;

    ServerValue *list = array_value({});
    bool has_null = false;
    bool constants_only = true;
    ListCell *cell;
    foreach (cell, members) {
        ServerValue *member = translate_operand(translation, static_cast<Node *>(lfirst(cell)));
        if (!member)
            return nullptr;
        constants_only = constants_only && is_constant(member);
        if (is_constant(member))
            member->constant.placeholder = placeholder_of(array);
        if (is_null_constant(member))
            has_null = true;
        else
            append_item(list, member);
    }
    if (constants_only && types.comparison == Comparison::equal && expression->useOr)
        return in_list(left, list, has_null, truth);
    if (constants_only && types.comparison == Comparison::not_equal && !expression->useOr)
        return in_list(left, list, has_null, !truth);

    /* ANY is true if one comparison is, and false if all are; ALL the other way round. */
    const bool all_of_them = expression->useOr != truth;
    if (all_of_them && has_null)
        return boolean_value(false);
    if (!truth)
        types.comparison = negated(types.comparison);
    return with_name("one", left, [&](ServerValue *value) {
        ServerValue *comparisons = array_value({});
        for (int i = 0; i < list->count; ++i)
            append_item(comparisons, compare_values(types, value, list->items[i]));
        return operation_of(all_of_them ? "$and" : "$or", comparisons);
    });
}

/* --- two-valued conditions --------------------------------------------------------------------------------------- */

static ServerValue *logic_truth(Translation *translation, BoolExpr *expression, bool truth) {
    if (expression->boolop == NOT_EXPR)
        return translate_truth(translation, static_cast<Node *>(linitial(expression->args)), !truth);
    ServerValue *members = array_value({});
    ListCell *cell;
    foreach (cell, expression->args) {
        ServerValue *member = translate_truth(translation, static_cast<Node *>(lfirst(cell)), truth);
        if (!member)
            return nullptr;
        append_item(members, member);
    }
    return operation_of((expression->boolop == AND_EXPR) == truth ? "$and" : "$or", members);
}

static ServerValue *null_test(Translation *translation, NullTest *expression, bool truth) {
    if (expression->argisrow)
        return not_sent(translation, expression, "rows are not tested for NULL on the server");
    ServerValue *value = translate_operand(translation, reinterpret_cast<Node *>(expression->arg));
    if (!value)
        return nullptr;
    return (expression->nulltesttype == IS_NULL) == truth ? is_nothing(value) : is_something(value);
}

static ServerValue *boolean_test(Translation *translation, BooleanTest *expression, bool truth) {
    Node *inner = reinterpret_cast<Node *>(expression->arg);
    ServerValue *value = nullptr;
    bool negative = false;
    switch (expression->booltesttype) {
    case IS_NOT_TRUE:
        negative = true;
        [[fallthrough]];
    case IS_TRUE:
        value = translate_truth(translation, inner, true);
        break;
    case IS_NOT_FALSE:
        negative = true;
        [[fallthrough]];
    case IS_FALSE:
        value = translate_truth(translation, inner, false);
        break;
    case IS_NOT_UNKNOWN:
        negative = true;
        [[fallthrough]];
    case IS_UNKNOWN:
        value = translate_operand(translation, inner);
        if (value)
            value = is_nothing(value);
        break;
    }
    if (!value)
        return nullptr;
    return negative == truth ? not_of(value) : value;
}

/* null for a missing value too, so that the two are equal */
static ServerValue *null_if_missing(ServerValue *value) {
    return is_constant(value) ? value : operation("$ifNull", {value, null_value()});
}

static ServerValue *distinct_test(Translation *translation, OpExpr *expression, bool truth) {
    ComparedTypes types;
    const char *why;
    if (!read_comparison(expression->opno, expression->inputcollid, &types, &why))
        return not_sent(translation, expression, why);
    ServerValue *left = translate_operand(translation, static_cast<Node *>(linitial(expression->args)));
    ServerValue *right =
        left ? translate_operand(translation, static_cast<Node *>(lsecond(expression->args))) : nullptr;
    if (!right)
        return nullptr;
    return operation(truth ? "$ne" : "$eq", {null_if_missing(left), null_if_missing(right)});
}

/* NULL, without a reason, if the operator is no comparison. */
static bool comparison_truth(Translation *translation, OpExpr *expression, bool truth, ServerValue **result) {
    ComparedTypes types;
    const char *why;
    if (list_length(expression->args) != 2 || !read_comparison(expression->opno, expression->inputcollid, &types, &why))
        return false;
    ServerValue *left = translate_operand(translation, static_cast<Node *>(linitial(expression->args)));
    ServerValue *right =
        left ? translate_operand(translation, static_cast<Node *>(lsecond(expression->args))) : nullptr;
    if (!truth)
        types.comparison = negated(types.comparison);
    *result = right ? compare_values(types, left, right) : nullptr;
    return true;
}

static bool is_known(const Translation *translation, Node *expression) {
    ListCell *cell;
    foreach (cell, translation->known)
        if (equal(static_cast<const KnownValue *>(lfirst(cell))->expression, expression))
            return true;
    return false;
}

ServerValue *translate_truth(Translation *translation, Node *condition, bool truth) {
    check_stack_depth();
    if (!is_known(translation, condition)) {
        switch (nodeTag(condition)) {
        case T_BoolExpr:
            return logic_truth(translation, reinterpret_cast<BoolExpr *>(condition), truth);
        case T_NullTest:
            return null_test(translation, reinterpret_cast<NullTest *>(condition), truth);
        case T_BooleanTest:
            return boolean_test(translation, reinterpret_cast<BooleanTest *>(condition), truth);
        case T_DistinctExpr:
            return distinct_test(translation, reinterpret_cast<OpExpr *>(condition), truth);
        case T_ScalarArrayOpExpr:
            return array_comparison_truth(translation, reinterpret_cast<ScalarArrayOpExpr *>(condition), truth);
        case T_OpExpr: {
            ServerValue *result;
            if (comparison_truth(translation, reinterpret_cast<OpExpr *>(condition), truth, &result))
                return result;
            break;
        }
        default:
            break;
        }
    }
    ServerValue *value = translate_operand(translation, condition);
    if (!value)
        return nullptr;
    if (is_constant(value) && value->constant.kind == ConstantKind::boolean && value->constant.placeholder == 0)
        return boolean_value(value->constant.boolean == truth);
    return operation("$eq", {value, boolean_value(truth)});
}

/* --- conditions as values ---------------------------------------------------------------------------------------- */

static ServerValue *condition_value(const Call &call) {
    ServerValue *is_true = translate_truth(call.translation, call.expression, true);
    if (!is_true)
        return nullptr;
    switch (nodeTag(call.expression)) {
    case T_NullTest:
    case T_BooleanTest:
    case T_DistinctExpr:
        return is_true; /* never unknown */
    default:
        break;
    }
    ServerValue *is_false = translate_truth(call.translation, call.expression, false);
    if (!is_false)
        return nullptr;
    return choice(is_true, boolean_value(true), choice(is_false, boolean_value(false), null_value()));
}

/* --- CASE -------------------------------------------------------------------------------------------------------- */

static Node *replace_tested(Node *node, void *tested) {
    if (!node)
        return nullptr;
    if (IsA(node, CaseTestExpr))
        return static_cast<Node *>(tested);
    if (IsA(node, CaseExpr) && reinterpret_cast<CaseExpr *>(node)->arg) {
        /* A CASE within has tested values of its own, except in what it tests. */
        CaseExpr *inner = static_cast<CaseExpr *>(copyObjectImpl(node));
        inner->arg = reinterpret_cast<Expr *>(replace_tested(reinterpret_cast<Node *>(inner->arg), tested));
        return reinterpret_cast<Node *>(inner);
    }
    return mutate_expression(node, replace_tested, tested);
}

/* Troubles since the list was set aside matter only where the condition holds. */
static void restrict_troubles(Translation *translation, List *before, ServerValue *condition) {
    if (translation->troubles == NIL) {
        translation->troubles = before;
        return;
    }
    ServerValue *any = array_value({});
    ListCell *cell;
    foreach (cell, translation->troubles)
        append_item(any, static_cast<ServerValue *>(lfirst(cell)));
    translation->troubles = before;
    add_trouble(translation, all_of({condition, operation_of("$or", any)}));
}

static ServerValue *case_value(const Call &call) {
    const CaseExpr *expression = reinterpret_cast<const CaseExpr *>(call.expression);
    Translation *translation = call.translation;
    ServerValue *branches = array_value({});
    ServerValue *none_holds = array_value({});
    ListCell *cell;
    foreach (cell, expression->args) {
        const CaseWhen *when = static_cast<const CaseWhen *>(lfirst(cell));
        Node *condition = reinterpret_cast<Node *>(when->expr);
        if (expression->arg)
            condition = replace_tested(condition, expression->arg);
        ServerValue *holds = translate_truth(translation, condition, true);
        if (!holds)
            return nullptr;
        List *before = translation->troubles;
        translation->troubles = NIL;
        ServerValue *result = translate_value(translation, reinterpret_cast<Node *>(when->result));
        restrict_troubles(translation, before, holds);
        if (!result)
            return nullptr;
        append_item(branches, append_entry(append_entry(document_value(), "case", holds), "then", result));
        append_item(none_holds, not_of(holds));
    }
    List *before = translation->troubles;
    translation->troubles = NIL;
    ServerValue *otherwise = expression->defresult
                                 ? translate_value(translation, reinterpret_cast<Node *>(expression->defresult))
                                 : null_value();
    restrict_troubles(translation, before, operation_of("$and", none_holds));
    if (!otherwise)
        return nullptr;
    return named_operation("$switch", {{"branches", branches}, {"default", otherwise}});
}

/* --- COALESCE, NULLIF, GREATEST, LEAST --------------------------------------------------------------------------- */

static ServerValue *coalesce_value(const Call &call) {
    ServerValue *result = nullptr;
    for (int i = list_length(call.arguments) - 1; i >= 0; --i) {
        ServerValue *value = argument_value(call, i);
        if (!value)
            return nullptr;
        result = result ? operation("$ifNull", {value, result}) : value;
    }
    return result;
}

static ServerValue *nullif_value(const Call &call) {
    const NullIfExpr *expression = reinterpret_cast<const NullIfExpr *>(call.expression);
    ComparedTypes types;
    const char *why;
    if (!read_comparison(expression->opno, expression->inputcollid, &types, &why))
        return not_sent(call.translation, call.expression, why);
    ServerValue *left = argument_value(call, 0);
    ServerValue *right = left ? argument_value(call, 1) : nullptr;
    if (!right)
        return nullptr;
    return with_names("first", left, "second", right, [&](ServerValue *first, ServerValue *second) {
        return choice(compare_values(types, first, second), null_value(), first);
    });
}

static ServerValue *extreme_value(const Call &call) {
    const MinMaxExpr *expression = reinterpret_cast<const MinMaxExpr *>(call.expression);
    const char *why;
    const Oid type = getBaseType(call.type);
    if (!is_ordered_alike(type == VARCHAROID ? TEXTOID : type, expression->inputcollid, &why))
        return not_sent(call.translation, call.expression, why);
    ServerValue *values = array_value({});
    for (int i = 0; i < list_length(call.arguments); ++i) {
        ServerValue *value = argument_value(call, i);
        if (!value)
            return nullptr;
        append_item(values, value);
        if ((type == FLOAT8OID || type == NUMERICOID) && !is_constant(value))
            add_trouble(call.translation, operation("$eq", {value, float64_value(std::nan(""))}));
        if (is_nan_constant(value))
            return not_sent(call.translation, call.expression,
                            "NaN is the largest number in SQL and the smallest here");
    }
    return operation_of(expression->op == IS_GREATEST ? "$max" : "$min", values);
}

/* --- the table --------------------------------------------------------------------------------------------------- */

// clang-format off
static const FunctionRule rules[] = {
    {"a = b, a <> b", "{$eq: [a, b]}, {$ne: [a, b]}, with a look for null",
     "both of the same type (the integer types count as one): smallint, integer, bigint, double precision, numeric, boolean, "
     "date, timestamp, timestamptz, objectid; text, if the database's encoding is UTF8 and the collation is deterministic", condition_value, {}},
    {"a < b, a <= b, a > b, a >= b, BETWEEN", "{$lt: [a, b]} …, with a look for null and for NaN, which is the largest number in SQL",
     "as before; text only under collation \"C\"", condition_value, {}},
    {"a IN (…), a = ANY (…), a NOT IN (…), a < ALL (…) …", "{$in: [a, […]]}, or a comparison with each member",
     "as the comparison; the array is a constant or written out", condition_value, {}},
    {"AND, OR, NOT", "$and, $or, with a condition that is true and one that is false in place of the three truth values", "always", condition_value, {}},
    {"a IS NULL, a IS NOT NULL", "{$lte: [a, null]}, {$gt: [a, null]}", "a is not a row", condition_value, {}},
    {"a IS TRUE, a IS NOT FALSE, a IS UNKNOWN …", "that a is true, or is false, or is null", "always", condition_value, {}},
    {"a IS DISTINCT FROM b", "{$ne: [a, b]}, null being equal to null", "as a = b", condition_value, {}},
    {"CASE … END", "$switch", "always; what is trouble in an arm counts only where the arm's condition holds", case_value, {}},
    {"COALESCE(a, b, …)", "$ifNull", "always", coalesce_value, {}},
    {"NULLIF(a, b)", "{$cond: [a = b, null, a]}", "as a = b", nullif_value, {}},
    {"GREATEST(a, b, …), LEAST(a, b, …)", "$max, $min", "as a < b; NaN is trouble", extreme_value, {}},
};
// clang-format on

const RuleGroup conditional_rules = {"conditions as values", rules, lengthof(rules)};

ServerValue *translate_conditional(const Call &call) {
    switch (nodeTag(call.expression)) {
    case T_CaseExpr:
        return case_value(call);
    case T_CoalesceExpr:
        return coalesce_value(call);
    case T_NullIfExpr:
        return nullif_value(call);
    case T_MinMaxExpr:
        return extreme_value(call);
    default:
        return condition_value(call);
    }
}

} // namespace mongoferry::query
