/* See array_condition.h. Source: MongoDB manual, "Query an Array". */
#include "query/array_condition.h"

#include "query/comparison.h"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
}

namespace mongoferry::query {

namespace {

/* The types that become elements of text[]: an array among them is a further dimension. */
// clang-format off
constexpr const char *types_read_as_text[] = {
    "double", "int", "long", "decimal", "date", "objectId", "bool", "binData", "regex", "symbol", "javascript",
    "dbPointer", "object", "timestamp", "minKey", "maxKey", "javascriptWithScope"};
// clang-format on

/* An array column, as its elements are compared. */
bool find_array_column(const Translation *translation, Node *expression, UsedColumn *elements, Oid *type) {
    if (!find_column(translation, expression, elements) || !elements->field)
        return false;
    /* A path that ends with a position gives that element whole: an array in it is not looked into. */
    if (elements->has_position)
        return false;
    int32 typmod = elements->field->typmod;
    *type = get_element_type(getBaseTypeAndTypmod(elements->field->type, &typmod));
    if (!OidIsValid(*type))
        return false;
    elements->rule = rule_of_type(*type, typmod, elements->field->options);
    elements->of_elements = true;
    if (elements->rule.kind == ColumnKind::text)
        elements->rule.convertible = {types_read_as_text, lengthof(types_read_as_text)};
    return true;
}

/* "some element comparison constant"; of arrays in arrays nothing is said. */
FilterNode *some_element(Translation *translation, Node *condition, const UsedColumn &elements, Oid type,
                         Comparison comparison, const Const *constant, int placeholder, Oid collation) {
    const Predicate predicate =
        compare_with_constant(translation, condition, elements, type, comparison, constant, placeholder, collation);
    if (!predicate.node)
        return nullptr;
    static constexpr const char *array_type = "array";
    return either(predicate.node, type_node(psprintf("%s.0", elements.path), {&array_type, 1}));
}

/* constant comparison ANY (column) */
FilterNode *translate_any(Translation *translation, ScalarArrayOpExpr *expression) {
    Node *node = reinterpret_cast<Node *>(expression);
    Node *left = static_cast<Node *>(linitial(expression->args));
    const Const *constant = constant_of(translation, left);
    UsedColumn elements;
    Oid type;
    Comparison comparison;
    if (!expression->useOr || !constant ||
        !find_array_column(translation, static_cast<Node *>(lsecond(expression->args)), &elements, &type) ||
        !find_comparison(expression->opno, exprType(left), &comparison))
        return nullptr;
    if (constant->constisnull)
        return make_node(NodeKind::nothing);
    return some_element(translation, node, elements, type, commuted(comparison), constant, placeholder_of(left),
                        expression->inputcollid);
}

/* All (or one) of the constants are elements. */
FilterNode *translate_elements(Translation *translation, OpExpr *expression, const UsedColumn &elements, Oid type,
                               const Const *constants, int placeholder, bool is_overlap, bool nulls_are_equal) {
    Node *node = reinterpret_cast<Node *>(expression);
    if (constants->constisnull)
        return make_node(NodeKind::nothing);
    ArrayType *array = DatumGetArrayTypeP(constants->constvalue);
    int16 length;
    bool by_value;
    char alignment;
    get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &alignment);
    Datum *values;
    bool *nulls;
    int count;
    deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, alignment, &values, &nulls, &count);
    FilterNode **children = static_cast<FilterNode **>(palloc(sizeof(FilterNode *) * Max(count, 1)));
    int child_count = 0;
    for (int i = 0; i < count; ++i) {
        CHECK_FOR_INTERRUPTS();
        if (nulls[i]) {
            if (!is_overlap && !nulls_are_equal)
                return make_node(NodeKind::nothing); /* NULL is an element of no array */
            continue;
        }
        const Const *constant =
            makeConst(ARR_ELEMTYPE(array), -1, expression->inputcollid, length, values[i], false, by_value);
        FilterNode *child = some_element(translation, node, elements, type, Comparison::equal, constant, placeholder,
                                         expression->inputcollid);
        if (!child)
            return nullptr;
        children[child_count++] = child;
    }
    if (!is_overlap && child_count == 0)
        return not_sent(translation, expression, "it holds for any array");
    return combine(is_overlap ? NodeKind::any_of : NodeKind::all_of, children, child_count);
}

FilterNode *translate_operator(Translation *translation, OpExpr *expression) {
    if (list_length(expression->args) != 2)
        return nullptr;
    const Oid function = get_opcode(expression->opno);
    Node *column = static_cast<Node *>(linitial(expression->args));
    Node *constants = static_cast<Node *>(lsecond(expression->args));
    const bool is_turned = constant_of(translation, column) != nullptr;
    if (is_turned)
        std::swap(column, constants);
    const bool contains = function == (is_turned ? F_ARRAYCONTAINED : F_ARRAYCONTAINS);
    if (!contains && function != F_ARRAYOVERLAP && function != F_ARRAY_EQ)
        return nullptr;
    const Const *constant = constant_of(translation, constants);
    UsedColumn elements;
    Oid type;
    if (!constant || !find_array_column(translation, column, &elements, &type))
        return nullptr;
    return translate_elements(translation, expression, elements, type, constant, placeholder_of(constants),
                              function == F_ARRAYOVERLAP, function == F_ARRAY_EQ);
}

} // namespace

FilterNode *translate_array_condition(Translation *translation, Node *condition) {
    if (IsA(condition, ScalarArrayOpExpr))
        return translate_any(translation, reinterpret_cast<ScalarArrayOpExpr *>(condition));
    if (IsA(condition, OpExpr))
        return translate_operator(translation, reinterpret_cast<OpExpr *>(condition));
    return nullptr;
}

} // namespace mongoferry::query
