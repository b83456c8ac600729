/*
 * See filter.h. Logic: from a condition down to comparisons of a column with a constant (comparison.h), which the query
 * language can say so that indexes serve, or to {$expr: …} for what it can't.
 *
 * SQL's logic has three values, MongoDB's two, and a negation on the server would turn NULL into a match. So a
 * condition is translated under the question what it shall be, and a NOT turns the question round, down to the
 * comparisons.
 */
#include "query/filter.h"

#include "query/array_condition.h"
#include "query/column_rule.h"
#include "query/comparison.h"
#include "query/function_rules.h"

#include "bson/objectid_type_id.h"

extern "C" {
#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"
}

namespace mongoferry::query {

namespace {

/* What a condition shall be. */
enum class Wanted : uint8_t { is_true, is_false, is_not_true, is_not_false };

Wanted negated(Wanted wanted) {
    switch (wanted) {
    case Wanted::is_true:
        return Wanted::is_false;
    case Wanted::is_false:
        return Wanted::is_true;
    case Wanted::is_not_true:
        return Wanted::is_not_false;
    default:
        return Wanted::is_not_true;
    }
}

/* Whether NULL is what is wanted. */
bool admits_null(Wanted wanted) {
    return wanted == Wanted::is_not_true || wanted == Wanted::is_not_false;
}

/* For conditions that are never NULL: whether they shall be true. */
bool wants_true(Wanted wanted) {
    return wanted == Wanted::is_true || wanted == Wanted::is_not_false;
}

constexpr Predicate unsent{nullptr, false};

Predicate settled(bool all) {
    return {make_node(all ? NodeKind::everything : NodeKind::nothing), true};
}

/* What is put together of several: an arm of all_of that is not sent makes the whole wider, one of any_of makes it
 * impossible. */
class Combination {
public:
    explicit Combination(NodeKind combined) : kind(combined) {}

    void add(const Predicate &predicate) {
        exact = exact && predicate.node && predicate.exact;
        if (!predicate.node)
            is_unsent = is_unsent || kind == NodeKind::any_of;
        else
            nodes = lappend(nodes, predicate.node);
        count += 1;
    }

    Predicate result() const {
        if (is_unsent || (count > 0 && nodes == NIL))
            return unsent;
        FilterNode **children = static_cast<FilterNode **>(palloc(sizeof(FilterNode *) * Max(list_length(nodes), 1)));
        ListCell *cell;
        foreach (cell, nodes)
            children[foreach_current_index(cell)] = static_cast<FilterNode *>(lfirst(cell));
        FilterNode *node = combine(kind, children, list_length(nodes));
        return {node, exact || (node->kind == NodeKind::nothing && kind == NodeKind::all_of)};
    }

private:
    NodeKind kind;
    List *nodes = NIL;
    int count = 0;
    bool exact = true;
    bool is_unsent = false;
};

Predicate both(const Predicate &left, const Predicate &right) {
    Combination combination(NodeKind::all_of);
    combination.add(left);
    combination.add(right);
    return combination.result();
}

Predicate one_of(const Predicate &left, const Predicate &right) {
    Combination combination(NodeKind::any_of);
    combination.add(left);
    combination.add(right);
    return combination.result();
}

/* --- a column compared with a constant --------------------------------------------------------------------------- */

/* Casts that keep a number what it is. */
bool is_widening(Oid function) {
    switch (function) {
    case F_INT4_INT2:
    case F_INT8_INT2:
    case F_INT8_INT4:
    case F_FLOAT8_INT2:
    case F_FLOAT8_INT4:
    case F_FLOAT8_INT8: /* not quite: comparison.cpp knows */
    case F_NUMERIC_INT2:
    case F_NUMERIC_INT4:
    case F_NUMERIC_INT8:
    case F_FLOAT8_FLOAT4:
        return true;
    default:
        return false;
    }
}

Oid get_type_namespace(Oid type) {
    const HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
    if (!HeapTupleIsValid(tuple))
        return InvalidOid;
    const Oid name_space = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple))->typnamespace;
    ReleaseSysCache(tuple);
    return name_space;
}

bool is_to_uuid(const FuncExpr *function) {
    const Oid object_id = bson::objectid_type_id();
    return function->funcresulttype == UUIDOID && list_length(function->args) == 1 && OidIsValid(object_id) &&
           getBaseType(exprType(static_cast<Node *>(linitial(function->args)))) == object_id &&
           get_func_namespace(function->funcid) == get_type_namespace(object_id) &&
           strcmp(get_func_name(function->funcid), "to_uuid") == 0;
}

/* The column's side of a comparison. */
struct ColumnSide {
    UsedColumn used;
    Oid type;     /* that it is compared as */
    bool as_uuid; /* an objectid column inside to_uuid() */
};

bool find_column_side(const Translation *translation, Node *expression, ColumnSide *side) {
    side->type = exprType(expression);
    side->as_uuid = false;
    if (find_column(translation, expression, &side->used))
        return true;
    if (!IsA(expression, FuncExpr))
        return false;
    const FuncExpr *function = reinterpret_cast<const FuncExpr *>(expression);
    side->as_uuid = is_to_uuid(function);
    if (!side->as_uuid && !is_widening(function->funcid))
        return false;
    return find_column(translation, static_cast<Node *>(linitial(function->args)), &side->used) &&
           (!side->as_uuid || side->used.rule.kind == ColumnKind::object_id);
}

/* "side comparison constant", for a constant that may be NULL. */
struct ColumnComparison {
    Node *expression; /* for reasons */
    ColumnSide side;
    Comparison comparison;
    Oid collation;
    int placeholder;
};

Predicate compare_true(Translation *translation, const ColumnComparison &compared, Comparison comparison,
                       const Const *constant) {
    if (constant->constisnull)
        return settled(false);
    if (compared.side.as_uuid)
        return compare_object_id_with_uuid(translation, compared.expression, compared.side.used, comparison, constant,
                                           compared.placeholder);
    return compare_with_constant(translation, compared.expression, compared.side.used, compared.side.type, comparison,
                                 constant, compared.placeholder, compared.collation);
}

Predicate translate_comparison(Translation *translation, const ColumnComparison &compared, const Const *constant,
                               Wanted wanted) {
    const Comparison comparison = wants_true(wanted) ? compared.comparison : query::negated(compared.comparison);
    const Predicate holds = compare_true(translation, compared, comparison, constant);
    if (!admits_null(wanted))
        return holds;
    if (constant->constisnull)
        return settled(true);
    if (!holds.node)
        return unsent;
    return one_of(holds, is_null_predicate(translation, compared.expression, compared.side.used));
}

/* --- what only the aggregation language says --------------------------------------------------------------------- */

/* Documents for which the expression tells nothing, or PostgreSQL an error, pass. */
Predicate translate_by_expression(Translation *translation, Node *condition, Wanted wanted) {
    Translation inner = *translation;
    inner.uses = NIL;
    inner.troubles = NIL;
    ServerValue *value = translate_truth(&inner, condition, wanted == Wanted::is_true || wanted == Wanted::is_not_true);
    translation->reasons = inner.reasons;
    if (!value)
        return unsent;
    if (admits_null(wanted))
        value = operation("$not", {value});
    if (ServerValue *odd = odd_test(&inner))
        value = operation("$or", {odd, value});
    ListCell *cell;
    foreach (cell, inner.uses) {
        const FieldUse *use = static_cast<const FieldUse *>(lfirst(cell));
        use_field(translation, use->table, use->column);
    }
    translation->troubles = list_concat(translation->troubles, inner.troubles);
    return {expression_node(value), true};
}

/* Conditions on arrays and on the inside of jsonb columns have a wide form in the query language, for indexes. */
Predicate translate_otherwise(Translation *translation, Node *condition, Wanted wanted) {
    FilterNode *wide = nullptr;
    if (wanted == Wanted::is_true) {
        const int known_reasons = list_length(translation->reasons);
        wide = translate_array_condition(translation, condition);
        if (!wide && list_length(translation->reasons) > known_reasons)
            return unsent;
        if (!wide)
            wide = translate_json_condition(translation, condition);
    }
    const int reason_count = list_length(translation->reasons);
    const Predicate by_expression = translate_by_expression(translation, condition, wanted);
    if (!wide)
        return by_expression;
    if (by_expression.node)
        return {both({wide, true}, by_expression).node, by_expression.exact};
    translation->reasons = list_truncate(translation->reasons, reason_count); /* something is sent */
    return {wide, false};
}

/* --- text ----------------------------------------------------------------------------------------------- */

/* A text column under a function that matches it with patterns. */
struct PatternMatch {
    Node *expression; /* for reasons */
    UsedColumn used;
    PatternKind kind;
    bool is_negated;
    Oid collation;
    int placeholder;
};

bool find_pattern_match(const Translation *translation, Node *expression, Oid function, Node *text, Oid collation,
                        PatternMatch *match) {
    match->expression = expression;
    match->collation = collation;
    return find_pattern_kind(function, &match->kind, &match->is_negated) &&
           find_column(translation, text, &match->used);
}

Predicate translate_pattern_match(Translation *translation, const PatternMatch &match, const Const *pattern,
                                  Wanted wanted) {
    if (pattern->constisnull)
        return settled(admits_null(wanted));
    const Predicate predicate =
        match_pattern(translation, match.expression, match.used, match.kind, wants_true(wanted) != match.is_negated,
                      pattern, match.placeholder, match.collation);
    if (!admits_null(wanted) || !predicate.node)
        return predicate;
    return one_of(predicate, is_null_predicate(translation, match.expression, match.used));
}

/* A call of such a function with a constant pattern. False if it is nothing of the kind. */
bool translate_matching_call(Translation *translation, Node *expression, Oid function, const List *arguments,
                             Oid collation, Wanted wanted, Predicate *result) {
    if (list_length(arguments) != 2)
        return false;
    Node *pattern = static_cast<Node *>(lsecond(arguments));
    const Const *constant = constant_of(translation, pattern);
    PatternMatch match;
    if (!constant || !find_pattern_match(translation, expression, function, static_cast<Node *>(linitial(arguments)),
                                         collation, &match))
        return false;
    match.placeholder = placeholder_of(pattern);
    *result = translate_pattern_match(translation, match, constant, wanted);
    return true;
}

/* --- conditions by kind ------------------------------------------------------------------------------------------ */

Predicate translate(Translation *translation, Node *condition, Wanted wanted);

Predicate translate_operator(Translation *translation, OpExpr *expression, Wanted wanted) {
    Node *node = reinterpret_cast<Node *>(expression);
    if (list_length(expression->args) != 2)
        return translate_otherwise(translation, node, wanted);
    Node *left = static_cast<Node *>(linitial(expression->args));
    Node *right = static_cast<Node *>(lsecond(expression->args));
    Predicate matched;
    if (translate_matching_call(translation, node, get_opcode(expression->opno), expression->args,
                                expression->inputcollid, wanted, &matched))
        return matched;
    ColumnComparison compared{node, {}, Comparison::equal, expression->inputcollid, 0};
    if (OidIsValid(get_base_element_type(exprType(left))) ||
        !find_comparison(expression->opno, exprType(left), &compared.comparison))
        return translate_otherwise(translation, node, wanted);
    if (constant_of(translation, left)) { /* 5 < a is a > 5 */
        std::swap(left, right);
        compared.comparison = commuted(compared.comparison);
    }
    const Const *constant = constant_of(translation, right);
    if (!constant || !find_column_side(translation, left, &compared.side))
        return translate_otherwise(translation, node, wanted);
    compared.placeholder = placeholder_of(right);
    return translate_comparison(translation, compared, constant, wanted);
}

Predicate translate_function_call(Translation *translation, FuncExpr *call, Wanted wanted) {
    Node *node = reinterpret_cast<Node *>(call);
    Predicate matched;
    if (translate_matching_call(translation, node, call->funcid, call->args, call->inputcollid, wanted, &matched))
        return matched;
    return translate_otherwise(translation, node, wanted);
}

/* IS DISTINCT FROM is never NULL. */
Predicate translate_distinct(Translation *translation, DistinctExpr *expression, Wanted wanted) {
    Node *node = reinterpret_cast<Node *>(expression);
    Node *left = static_cast<Node *>(linitial(expression->args));
    Node *right = static_cast<Node *>(lsecond(expression->args));
    if (constant_of(translation, left))
        std::swap(left, right);
    const Const *constant = constant_of(translation, right);
    ColumnComparison compared{node, {}, Comparison::equal, expression->inputcollid, 0};
    if (!constant || !find_column_side(translation, left, &compared.side))
        return translate_otherwise(translation, node, wanted);
    compared.placeholder = placeholder_of(right);
    const bool distinct = wants_true(wanted);
    if (constant->constisnull)
        return distinct ? is_not_null_predicate(translation, node, compared.side.used)
                        : is_null_predicate(translation, node, compared.side.used);
    return translate_comparison(translation, compared, constant, distinct ? Wanted::is_not_true : Wanted::is_true);
}

/* column = ANY (constants), column <> ALL (constants), column LIKE ANY (constants), and others. */
Predicate translate_array_comparison(Translation *translation, ScalarArrayOpExpr *expression, Wanted wanted) {
    Node *node = reinterpret_cast<Node *>(expression);
    Node *left = static_cast<Node *>(linitial(expression->args));
    Node *right = static_cast<Node *>(lsecond(expression->args));
    const Oid collation = expression->inputcollid;
    const Const *list = constant_of(translation, right);
    ColumnComparison compared{node, {}, Comparison::equal, collation, placeholder_of(right)};
    PatternMatch match;
    const bool is_match = find_pattern_match(translation, node, get_opcode(expression->opno), left, collation, &match);
    match.placeholder = compared.placeholder;
    if (!list || (!is_match && (!find_comparison(expression->opno, exprType(left), &compared.comparison) ||
                                !find_column_side(translation, left, &compared.side))))
        return translate_otherwise(translation, node, wanted);
    if (list->constisnull)
        return settled(admits_null(wanted));

    ArrayType *array = DatumGetArrayTypeP(list->constvalue);
    const Oid type = ARR_ELEMTYPE(array);
    int16 length;
    bool by_value;
    char alignment;
    get_typlenbyvalalign(type, &length, &by_value, &alignment);
    Datum *values;
    bool *nulls;
    int count;
    deconstruct_array(array, type, length, by_value, alignment, &values, &nulls, &count);

    /* True ANY and not false ANY ask for one of them, the others for all; ALL the other way round. */
    Combination combination(expression->useOr == wants_true(wanted) ? NodeKind::any_of : NodeKind::all_of);
    for (int i = 0; i < count; ++i) {
        CHECK_FOR_INTERRUPTS();
        const Const *constant = makeConst(type, -1, collation, length, values[i], nulls[i], by_value);
        const Predicate predicate = is_match ? translate_pattern_match(translation, match, constant, wanted)
                                             : translate_comparison(translation, compared, constant, wanted);
        if (!predicate.node)
            return unsent;
        combination.add(predicate);
    }
    return combination.result();
}

/* left operator right, of members of a comparison of rows; the strategy is one of its operator family. */
Node *member_comparison(Oid family, int16 strategy, Node *left, Node *right, Oid collation) {
    const Oid operator_id =
        get_opfamily_member(family, getBaseType(exprType(left)), getBaseType(exprType(right)), strategy);
    if (!OidIsValid(operator_id))
        return nullptr;
    Expr *comparison = make_opclause(operator_id, BOOLOID, false, reinterpret_cast<Expr *>(left),
                                     reinterpret_cast<Expr *>(right), InvalidOid, collation);
    set_opfuncid(reinterpret_cast<OpExpr *>(comparison));
    return reinterpret_cast<Node *>(comparison);
}

/* (a, b) < (1, 2) is a < 1 OR (a = 1 AND b < 2). Of <= only the last member's comparison is not strict. It is false
 * where the opposite is true. */
Predicate translate_row_comparison(Translation *translation, RowCompareExpr *expression, Wanted wanted) {
    Node *node = reinterpret_cast<Node *>(expression);
    int strategy = row_comparison_strategy(expression);
    if (admits_null(wanted) || strategy == BTEqualStrategyNumber || strategy > BTGreaterStrategyNumber)
        return translate_otherwise(translation, node, wanted);
    if (wanted == Wanted::is_false)
        strategy = strategy == BTLessStrategyNumber           ? BTGreaterEqualStrategyNumber
                   : strategy == BTLessEqualStrategyNumber    ? BTGreaterStrategyNumber
                   : strategy == BTGreaterEqualStrategyNumber ? BTLessStrategyNumber
                                                              : BTLessEqualStrategyNumber;
    const bool is_less = strategy == BTLessStrategyNumber || strategy == BTLessEqualStrategyNumber;
    const int16 strict = is_less ? BTLessStrategyNumber : BTGreaterStrategyNumber;
    List *arms = NIL;
    List *equalities = NIL;
    const int count = list_length(expression->largs);
    for (int i = 0; i < count; ++i) {
        const Oid family = list_nth_oid(expression->opfamilies, i);
        const Oid collation = list_nth_oid(expression->inputcollids, i);
        Node *left = static_cast<Node *>(list_nth(expression->largs, i));
        Node *right = static_cast<Node *>(list_nth(expression->rargs, i));
        Node *decides =
            member_comparison(family, i == count - 1 ? static_cast<int16>(strategy) : strict, left, right, collation);
        Node *equality = member_comparison(family, BTEqualStrategyNumber, left, right, collation);
        if (!decides || !equality)
            return translate_otherwise(translation, node, wanted);
        arms = lappend(arms, makeBoolExpr(AND_EXPR, lappend(list_copy(equalities), decides), -1));
        equalities = lappend(equalities, equality);
    }
    return translate(translation, reinterpret_cast<Node *>(makeBoolExpr(OR_EXPR, arms, -1)), Wanted::is_true);
}

Predicate translate_logic(Translation *translation, BoolExpr *expression, Wanted wanted) {
    if (expression->boolop == NOT_EXPR)
        return translate(translation, static_cast<Node *>(linitial(expression->args)), negated(wanted));
    Combination combination((expression->boolop == AND_EXPR) == wants_true(wanted) ? NodeKind::all_of
                                                                                   : NodeKind::any_of);
    ListCell *cell;
    foreach (cell, expression->args)
        combination.add(translate(translation, static_cast<Node *>(lfirst(cell)), wanted));
    return combination.result();
}

Predicate translate_null_test(Translation *translation, NullTest *test, Wanted wanted) {
    Node *node = reinterpret_cast<Node *>(test);
    UsedColumn used;
    if (test->argisrow || !find_column(translation, reinterpret_cast<Node *>(test->arg), &used))
        return translate_otherwise(translation, node, wanted);
    return (test->nulltesttype == IS_NULL) == wants_true(wanted) ? is_null_predicate(translation, node, used)
                                                                 : is_not_null_predicate(translation, node, used);
}

/* IS TRUE and the like are never NULL. */
Predicate translate_boolean_test(Translation *translation, BooleanTest *test, Wanted wanted) {
    Node *argument = reinterpret_cast<Node *>(test->arg);
    const bool holds = wants_true(wanted);
    switch (test->booltesttype) {
    case IS_TRUE:
        return translate(translation, argument, holds ? Wanted::is_true : Wanted::is_not_true);
    case IS_NOT_TRUE:
        return translate(translation, argument, holds ? Wanted::is_not_true : Wanted::is_true);
    case IS_FALSE:
        return translate(translation, argument, holds ? Wanted::is_false : Wanted::is_not_false);
    case IS_NOT_FALSE:
        return translate(translation, argument, holds ? Wanted::is_not_false : Wanted::is_false);
    default:
        break;
    }
    if ((test->booltesttype == IS_UNKNOWN) == holds)
        return both(translate(translation, argument, Wanted::is_not_true),
                    translate(translation, argument, Wanted::is_not_false));
    return one_of(translate(translation, argument, Wanted::is_true),
                  translate(translation, argument, Wanted::is_false));
}

/* A boolean column is compared with true. */
Predicate translate_boolean_column(Translation *translation, Node *condition, const UsedColumn &used, Wanted wanted) {
    const ColumnComparison compared{condition, {used, BOOLOID, false}, Comparison::equal, InvalidOid, 0};
    const Const *constant = reinterpret_cast<const Const *>(makeBoolConst(true, false));
    return translate_comparison(translation, compared, constant, wanted);
}

Predicate translate_boolean_constant(const Translation *translation, Node *condition, const Const *constant,
                                     Wanted wanted) {
    const int placeholder = placeholder_of(condition);
    if (!translation->values_known && placeholder > 0) {
        Constant unknown{};
        unknown.placeholder = placeholder;
        return {expression_node(constant_value(unknown)), true};
    }
    if (constant->constisnull)
        return settled(admits_null(wanted));
    return settled(DatumGetBool(constant->constvalue) == wants_true(wanted));
}

Predicate translate(Translation *translation, Node *condition, Wanted wanted) {
    check_stack_depth();
    UsedColumn used;
    if (find_column(translation, condition, &used))
        return translate_boolean_column(translation, condition, used, wanted);
    if (const Const *constant = constant_of(translation, condition))
        return translate_boolean_constant(translation, condition, constant, wanted);
    switch (nodeTag(condition)) {
    case T_OpExpr:
        return translate_operator(translation, reinterpret_cast<OpExpr *>(condition), wanted);
    case T_FuncExpr:
        return translate_function_call(translation, reinterpret_cast<FuncExpr *>(condition), wanted);
    case T_DistinctExpr:
        return translate_distinct(translation, reinterpret_cast<DistinctExpr *>(condition), wanted);
    case T_ScalarArrayOpExpr:
        return translate_array_comparison(translation, reinterpret_cast<ScalarArrayOpExpr *>(condition), wanted);
    case T_RowCompareExpr:
        return translate_row_comparison(translation, reinterpret_cast<RowCompareExpr *>(condition), wanted);
    case T_BoolExpr:
        return translate_logic(translation, reinterpret_cast<BoolExpr *>(condition), wanted);
    case T_NullTest:
        return translate_null_test(translation, reinterpret_cast<NullTest *>(condition), wanted);
    case T_BooleanTest:
        return translate_boolean_test(translation, reinterpret_cast<BooleanTest *>(condition), wanted);
    case T_RelabelType:
        return translate(translation, reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(condition)->arg),
                         wanted);
    default:
        return translate_otherwise(translation, condition, wanted);
    }
}

} // namespace

FilterNode *translate_condition(Translation *translation, Node *condition, bool *exact) {
    const Predicate predicate = translate(translation, condition, Wanted::is_true);
    *exact = predicate.node && predicate.exact;
    return predicate.node;
}

} // namespace mongoferry::query
