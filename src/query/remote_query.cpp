/* See remote_query.h. */
#include "query/remote_query.h"

#include "pg/compat.h"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
}

namespace mongoferry::query {

/* --- plain nodes ------------------------------------------------------------------------------------------------- */

static List *list_of_sort_key(const SortKey *key) {
    return list_make2(key->expression, list_make2_int(key->descending, key->nulls_first));
}

static SortKey *sort_key_of_list(const List *list) {
    SortKey *key = static_cast<SortKey *>(palloc(sizeof(SortKey)));
    const List *flags = static_cast<const List *>(list_nth(list, 1));
    *key = {static_cast<Node *>(list_nth(list, 0)), list_nth_int(flags, 0) != 0, list_nth_int(flags, 1) != 0};
    return key;
}

/* In this order from_list() reads. A NULL node can stand in a List. */
List *to_list(const RemoteQuery &query) {
    List *sort_keys = NIL;
    ListCell *cell;
    foreach (cell, query.sort_keys)
        sort_keys = lappend(sort_keys, list_of_sort_key(static_cast<const SortKey *>(lfirst(cell))));
    List *list = list_make5(query.conditions, query.attributes, query.joins, query.group_keys, query.having);
    list = lappend(list, sort_keys);
    list = lappend(list, query.offset);
    list = lappend(list, query.limit);
    list = lappend(list, query.output);
    return lappend(list, list_make2_int(query.grouped, query.sorted_by_index));
}

RemoteQuery from_list(const List *list) {
    auto list_at = [&](int position) { return static_cast<List *>(list_nth(list, position)); };
    RemoteQuery query{};
    query.conditions = list_at(0);
    query.attributes = list_at(1);
    query.joins = list_at(2);
    query.group_keys = list_at(3);
    query.having = list_at(4);
    ListCell *cell;
    foreach (cell, list_at(5))
        query.sort_keys = lappend(query.sort_keys, sort_key_of_list(static_cast<const List *>(lfirst(cell))));
    query.offset = static_cast<Node *>(list_nth(list, 6));
    query.limit = static_cast<Node *>(list_nth(list, 7));
    query.output = list_at(8);
    query.grouped = linitial_int(list_at(9)) != 0;
    query.sorted_by_index = lsecond_int(list_at(9)) != 0;
    return query;
}

/* Applies change to every expression of the query. */
template <typename Change>
static RemoteQuery map_expressions(const RemoteQuery &query, Change change) {
    auto map_node = [&](Node *node) -> Node * { return node ? change(node) : nullptr; };
    auto map_nodes = [&](List *nodes) { return reinterpret_cast<List *>(map_node(reinterpret_cast<Node *>(nodes))); };
    RemoteQuery mapped = query;
    mapped.conditions = map_nodes(query.conditions);
    mapped.joins = map_nodes(query.joins);
    mapped.group_keys = map_nodes(query.group_keys);
    mapped.having = map_nodes(query.having);
    mapped.output = map_nodes(query.output);
    mapped.offset = map_node(query.offset);
    mapped.limit = map_node(query.limit);
    mapped.sort_keys = NIL;
    ListCell *cell;
    foreach (cell, query.sort_keys) {
        SortKey *key = static_cast<SortKey *>(palloc(sizeof(SortKey)));
        *key = *static_cast<const SortKey *>(lfirst(cell));
        key->expression = map_node(key->expression);
        mapped.sort_keys = lappend(mapped.sort_keys, key);
    }
    return mapped;
}

/* --- placeholders ------------------------------------------------------------------------------------------------ */

namespace {

struct PlanForm {
    const List *relations;
    List **placeholders;
    /* In the arms of CASE and COALESCE: what stands there may never be evaluated, so nothing that might raise an error
     * is taken out. */
    bool conditional;
};

bool refers_to(Node *node, void *relations) {
    if (!node)
        return false;
    if (IsA(node, Var)) {
        const Var *var = reinterpret_cast<const Var *>(node);
        return var->varlevelsup == 0 &&
               list_member_int(static_cast<const List *>(relations), static_cast<int>(var->varno));
    }
    switch (nodeTag(node)) {
    case T_Aggref:
    case T_GroupingFunc:
    case T_WindowFunc:
    case T_SubLink:
    case T_SubPlan:
    case T_AlternativeSubPlan:
    case T_CaseTestExpr:
    case T_CoerceToDomainValue:
    case T_PlaceHolderVar:
        return true; /* has no value of its own before the scan */
    default:
        return walk_expression(node, refers_to, relations);
    }
}

/* Evaluating it can't fail. */
bool is_harmless(Node *node) {
    while (IsA(node, RelabelType))
        node = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(node)->arg);
    return IsA(node, Param) || IsA(node, Var) || IsA(node, SQLValueFunction) ||
           (IsA(node, FuncExpr) && reinterpret_cast<FuncExpr *>(node)->args == NIL);
}

bool is_placeholder(Node *node, const PlanForm *form) {
    switch (nodeTag(node)) {
    case T_Const:
    case T_List:
    case T_TargetEntry:
    case T_SortGroupClause:
    case T_CaseWhen: /* a part of an expression, which the backend's walker does not take on its own */
        return false;
    default:
        break;
    }
    if (refers_to(node, const_cast<List *>(form->relations)) || contain_volatile_functions(node) ||
        expression_returns_set(node))
        return false;
    if (form->conditional && !is_harmless(node))
        return false;
    const Oid type = exprType(node);
    return OidIsValid(type) && get_typtype(type) != TYPTYPE_PSEUDO;
}

Node *plan_form_mutator(Node *node, void *argument) {
    PlanForm *form = static_cast<PlanForm *>(argument);
    if (!node)
        return nullptr;
    if (is_placeholder(node, form)) {
        int number = 0;
        ListCell *cell;
        foreach (cell, *form->placeholders) {
            ++number;
            if (equal(lfirst(cell), node))
                break;
        }
        if (!cell) {
            *form->placeholders = lappend(*form->placeholders, copyObjectImpl(node));
            number = list_length(*form->placeholders);
        }
        Param *param = makeNode(Param);
        param->paramkind = PARAM_EXTERN;
        param->paramid = number;
        param->paramtype = exprType(node);
        param->paramtypmod = exprTypmod(node);
        param->paramcollid = exprCollation(node);
        param->location = -1;
        return reinterpret_cast<Node *>(param);
    }
    if (IsA(node, Var)) {
        Var *var = static_cast<Var *>(copyObjectImpl(node));
        ListCell *cell;
        foreach (cell, form->relations)
            if (lfirst_int(cell) == static_cast<int>(var->varno)) {
                var->varno = foreach_current_index(cell) + 1;
                break;
            }
        return reinterpret_cast<Node *>(var);
    }
    if (!form->conditional && (IsA(node, CaseExpr) || IsA(node, CoalesceExpr))) {
        PlanForm arms = *form;
        arms.conditional = true;
        return mutate_expression(node, plan_form_mutator, &arms);
    }
    return mutate_expression(node, plan_form_mutator, argument);
}

Node *values_mutator(Node *node, void *values) {
    if (!node)
        return nullptr;
    if (IsA(node, Param)) {
        const Param *param = reinterpret_cast<const Param *>(node);
        if (param->paramkind == PARAM_EXTERN)
            return static_cast<Node *>(list_nth(static_cast<const List *>(values), param->paramid - 1));
    }
    return mutate_expression(node, values_mutator, values);
}

} // namespace

Node *plan_form_of(Node *expression, const List *relations, List **placeholders) {
    PlanForm form{relations, placeholders, false};
    return plan_form_mutator(expression, &form);
}

RemoteQuery make_plan_form(const RemoteQuery &query, const List *relations, List **placeholders) {
    return map_expressions(query, [&](Node *node) { return plan_form_of(node, relations, placeholders); });
}

RemoteQuery with_values(const RemoteQuery &query, const List *values) {
    return map_expressions(query, [&](Node *node) { return values_mutator(node, const_cast<List *>(values)); });
}

} // namespace mongoferry::query
