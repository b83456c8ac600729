/* See parameterised_paths.h. The search for conditions is that of postgres_fdw and of index scans: join clauses that
 * can move down to the relation, and equalities that equivalence classes imply. */
#include "fdw/parameterised_paths.h"

#include "fdw/callbacks.h"
#include "fdw/estimate.h"

extern "C" {
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
}

namespace mongoferry::fdw {

namespace {

/* Whether the condition is one that an index of the collection can serve: "column = expression of other relations". */
bool uses_index(const RelOptInfo *relation, const RelationInfo *info, const RestrictInfo *condition) {
    if (condition->mergeopfamilies == NIL || !IsA(condition->clause, OpExpr))
        return false;
    ListCell *cell;
    foreach (cell, reinterpret_cast<const OpExpr *>(condition->clause)->args) {
        Node *side = static_cast<Node *>(lfirst(cell));
        while (IsA(side, RelabelType))
            side = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(side)->arg);
        if (!IsA(side, Var))
            continue;
        const Var *var = reinterpret_cast<const Var *>(side);
        if (static_cast<Index>(var->varno) == relation->relid && var->varattno > 0 &&
            leading_index_path(info->table, info->table->fields.fields[var->varattno - 1].path, true))
            return true;
    }
    return false;
}

bool is_sent(const RelationInfo *info, const RestrictInfo *condition) {
    query::Translation translation{};
    translation.tables = translated_tables(info->tables);
    translation.table_count = 1;
    List *placeholders = NIL;
    bool exact;
    return query::translate_condition(
               &translation,
               query::plan_form_of(reinterpret_cast<Node *>(condition->clause), info->relations, &placeholders),
               &exact) != nullptr;
}

/* The path that is parameterised by what the condition refers to; each set of outer relations once. */
void consider_condition(PlannerInfo *root, RelOptInfo *relation, const RestrictInfo *condition, List **considered) {
    const RelationInfo *info = static_cast<const RelationInfo *>(relation->fdw_private);
    if (!uses_index(relation, info, condition) || !is_sent(info, condition))
        return;
    Relids outer = bms_union(condition->clause_relids, relation->lateral_relids);
    outer = bms_del_member(outer, static_cast<int>(relation->relid));
    if (bms_is_empty(outer))
        return;
    ParamPathInfo *parameters = get_baserel_parampathinfo(root, relation, outer);
    if (list_member_ptr(*considered, parameters))
        return;
    *considered = lappend(*considered, parameters);

    const double rows = parameters->ppi_rows;
    const Cost startup = cost_of_round_trip(info->table) + cost_of_look_up(true, rows);
    Cost total = startup + cost_of_sending(info->table, rows, bytes_of_values(relation->reltarget->width));
    total += rows * (cpu_tuple_cost + relation->baserestrictcost.per_tuple);
    add_path(relation,
             reinterpret_cast<Path *>(make_parameterised_scan_path(root, relation, rows, startup, total, outer)));
}

/* For generate_implied_equalities_for_column(): which members of equivalence classes are meant. */
struct WantedMember {
    Expr *current; /* being looked for; NULL at first */
    List *done;    /* those that were before */
};

bool matches_member(PlannerInfo *, RelOptInfo *, EquivalenceClass *, EquivalenceMember *member, void *argument) {
    WantedMember *wanted = static_cast<WantedMember *>(argument);
    if (wanted->current)
        return equal(member->em_expr, wanted->current);
    if (list_member(wanted->done, member->em_expr))
        return false;
    wanted->current = member->em_expr;
    return true;
}

} // namespace

void add_parameterised_paths(PlannerInfo *root, RelOptInfo *relation) {
    List *considered = NIL;
    ListCell *cell;
    foreach (cell, relation->joininfo) {
        RestrictInfo *condition = lfirst_node(RestrictInfo, cell);
        if (join_clause_is_movable_to(condition, relation))
            consider_condition(root, relation, condition, &considered);
    }
    if (!relation->has_eclass_joins)
        return;
    WantedMember wanted{};
    for (;;) {
        wanted.current = nullptr;
        List *conditions = generate_implied_equalities_for_column(root, relation, matches_member, &wanted,
                                                                  relation->lateral_referencers);
        if (!wanted.current)
            return;
        foreach (cell, conditions) {
            RestrictInfo *condition = lfirst_node(RestrictInfo, cell);
            if (join_clause_is_movable_to(condition, relation))
                consider_condition(root, relation, condition, &considered);
        }
        wanted.done = lappend(wanted.done, wanted.current);
    }
}

/* Whether the path has them for more than LATERAL references, which every path of the relation has. */
static bool has_parameters(const RelOptInfo *relation, const ForeignPath *path) {
    return !bms_is_subset(path->path.param_info->ppi_req_outer, relation->lateral_relids);
}

List *parameterised_conditions(RelOptInfo *relation, const ForeignPath *path) {
    List *conditions = NIL;
    if (!path->path.param_info || !has_parameters(relation, path))
        return NIL;
    const RelationInfo *info = static_cast<const RelationInfo *>(relation->fdw_private);
    ListCell *cell;
    foreach (cell, path->path.param_info->ppi_clauses) {
        const RestrictInfo *condition = lfirst_node(RestrictInfo, cell);
        if (is_sent(info, condition))
            conditions = lappend(conditions, condition->clause);
    }
    return conditions;
}

} // namespace mongoferry::fdw
