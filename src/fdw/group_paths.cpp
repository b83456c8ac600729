/* See group_paths.h. */
#include "fdw/group_paths.h"

#include "fdw/callbacks.h"
#include "fdw/local_path.h"
#include "fdw/reasons.h"
#include "query/group.h"

extern "C" {
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/tlist.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace mongoferry::fdw {

namespace {

/* In units of the planner's costs: what the server does to a document that it only counts or adds up; far less than
 * what it costs to have it here. */
constexpr Cost grouped_document_cost = 0.002;
constexpr Cost group_cost = 0.01;

/* Grouping by another equality than the type's own is not MongoDB's. */
bool is_default_equality(const SortGroupClause *clause, const Expr *expression) {
    const TypeCacheEntry *type =
        lookup_type_cache(exprType(reinterpret_cast<const Node *>(expression)), TYPECACHE_EQ_OPR);
    if (clause->eqop == type->eq_opr)
        return true;
    /* varchar is compared as text */
    const Oid base_type = getBaseType(exprType(reinterpret_cast<const Node *>(expression)));
    return clause->eqop == lookup_type_cache(base_type, TYPECACHE_EQ_OPR)->eq_opr;
}

/* What groups are made of, and what rows consist of. */
struct Pieces {
    List *keys;         /* of Node * */
    PathTarget *target; /* keys and aggregates */
};

bool add_key(Pieces *pieces, Expr *expression, const SortGroupClause *clause) {
    if (!is_default_equality(clause, expression) || query::refusal_of_key(reinterpret_cast<Node *>(expression)))
        return false;
    /* The same as a parameter would be replaced by the row's value in the expressions that are evaluated before. */
    if (!contain_var_clause(reinterpret_cast<Node *>(expression)))
        return false;
    if (!list_member(pieces->keys, expression)) {
        pieces->keys = lappend(pieces->keys, expression);
        add_column_to_pathtarget(pieces->target, expression, clause->tleSortGroupRef);
    }
    return true;
}

void add_aggregates(Pieces *pieces, Node *expression) {
    ListCell *cell;
    foreach (cell, pull_var_clause(expression, PVC_INCLUDE_AGGREGATES | PVC_RECURSE_PLACEHOLDERS)) {
        /* A Var outside of an aggregate is part of a key. */
        if (IsA(lfirst(cell), Aggref))
            add_new_column_to_pathtarget(pieces->target, static_cast<Expr *>(lfirst(cell)));
    }
}

/* False if a key can't be one on the server. */
bool find_pieces(const Query *query, const PathTarget *target, const List *having, Pieces *pieces) {
    pieces->target = create_empty_pathtarget();
    ListCell *cell;
    int column = 0;
    foreach (cell, target->exprs) {
        Expr *expression = static_cast<Expr *>(lfirst(cell));
        const Index reference = get_pathtarget_sortgroupref(target, column++);
        const SortGroupClause *clause =
            reference ? get_sortgroupref_clause_noerr(reference, query->groupClause) : nullptr;
        if (clause && !add_key(pieces, expression, clause))
            return false;
        if (!clause)
            add_aggregates(pieces, reinterpret_cast<Node *>(expression));
    }
    foreach (cell, having)
        add_aggregates(pieces, static_cast<Node *>(lfirst(cell)));
    return true;
}

/* All keys of the clause are among the pieces. */
bool has_all_keys(const List *clauses, const PathTarget *target) {
    ListCell *cell;
    foreach (cell, clauses) {
        bool found = false;
        for (int i = 0; i < list_length(target->exprs); ++i)
            found =
                found || get_pathtarget_sortgroupref(target, i) == lfirst_node(SortGroupClause, cell)->tleSortGroupRef;
        if (!found)
            return false;
    }
    return true;
}

/* Of the conditions of HAVING those that the server can check go into the query; the others are returned. Without keys
 * the one row may be made here (query/group.h), so all are checked here. */
List *choose_having(query::RemoteQuery *remote, const RelationInfo *below, const List *having) {
    List *local = NIL;
    ListCell *cell;
    foreach (cell, having) {
        query::RemoteQuery with_condition = *remote;
        with_condition.having = lappend(list_copy(remote->having), lfirst(cell));
        if (remote->group_keys != NIL && !contain_volatile_functions(static_cast<Node *>(lfirst(cell))) &&
            try_command(with_condition, below->tables, below->relations).sendable)
            *remote = with_condition;
        else
            local = lappend(local, lfirst(cell));
    }
    return local;
}

/* The path, if the query can be sent. local_conditions are checked here. */
void add_path_for(PlannerInfo *root, const RelationInfo *below, double documents, RelOptInfo *output,
                  PathTarget *target, const query::RemoteQuery &remote, List *local_conditions, Path *local_path) {
    RelationInfo *info = static_cast<RelationInfo *>(palloc0(sizeof(RelationInfo)));
    info->tables = below->tables;
    info->relations = below->relations;
    info->remote = remote;
    info->has_local_conditions = local_conditions != NIL;
    /* A row that is made here can't be sorted or limited there. */
    info->exact = local_conditions == NIL && remote.group_keys != NIL;
    output->fdw_private = info;

    RemotePath *path = static_cast<RemotePath *>(palloc0(sizeof(RemotePath)));
    path->query = remote;
    path->tables = below->tables;
    path->relations = below->relations;
    path->local_conditions = local_conditions;
    const double rows = local_path->rows;
    const int aggregates = list_length(remote.output) - list_length(remote.group_keys);
    const TableDescription *table = static_cast<const TableDescription *>(linitial(below->tables));
    info->estimate.server_cost = below->estimate.server_cost +
                                 documents * (grouped_document_cost + cpu_operator_cost * 0.1 * Max(aggregates, 1));
    const Cost startup = table->planning.startup_cost + info->estimate.server_cost;
    const Cost total = startup + cost_of_sending(table, rows, bytes_of_values(target->width)) +
                       rows * (group_cost + cpu_tuple_cost) + target->cost.startup + rows * target->cost.per_tuple;
    add_path(output, reinterpret_cast<Path *>(make_foreign_upper_path(root, output, target, rows, startup, total, NIL,
                                                                      local_path, list_make1(path))));
}

} // namespace

void add_group_path(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output, const GroupPathExtraData *extra) {
    const Query *query = root->parse;
    const RelationInfo *below = static_cast<const RelationInfo *>(input->fdw_private);
    if (query->groupingSets != NIL || below->remote.grouped)
        return;
    if (extra->patype != PARTITIONWISE_AGGREGATE_NONE && extra->patype != PARTITIONWISE_AGGREGATE_FULL)
        return;
    const List *having = reinterpret_cast<const List *>(extra->havingQual);
    Pieces pieces{};
    if (!find_pieces(query, output->reltarget, having, &pieces) || !has_all_keys(query->groupClause, pieces.target))
        return;
    query::RemoteQuery remote = below->remote;
    remote.grouped = true;
    remote.group_keys = pieces.keys;
    remote.output = pieces.target->exprs;
    if (remote.output == NIL || expression_returns_set(reinterpret_cast<Node *>(remote.output)))
        return;
    const query::Command trial = try_command(remote, below->tables, below->relations);
    if (!trial.sendable) {
        note_stage(root, input, "grouping", trial.reasons);
        return;
    }
    List *local_conditions = choose_having(&remote, below, having);
    set_pathtarget_cost_width(root, pieces.target);
    Path *local_path = copy_local_path(output, pieces.target);
    if (local_path)
        add_path_for(root, below, input->rows, output, output->reltarget, remote, local_conditions, local_path);
}

void add_distinct_path(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output) {
    const Query *query = root->parse;
    const RelationInfo *below = static_cast<const RelationInfo *>(input->fdw_private);
    if (query->hasDistinctOn || query->hasTargetSRFs || below->remote.grouped || query->hasWindowFuncs)
        return;
    PathTarget *target = root->upper_targets[UPPERREL_DISTINCT];
    Pieces pieces{};
    pieces.target = create_empty_pathtarget();
    for (int i = 0; i < list_length(target->exprs); ++i) {
        const Index reference = get_pathtarget_sortgroupref(target, i);
        const SortGroupClause *clause =
            reference ? get_sortgroupref_clause_noerr(reference, query->distinctClause) : nullptr;
        if (!clause || !add_key(&pieces, static_cast<Expr *>(list_nth(target->exprs, i)), clause))
            return;
    }
    /* The local path gives the target's columns, so these must be the pieces. */
    if (list_length(pieces.keys) != list_length(target->exprs))
        return;
    query::RemoteQuery remote = below->remote;
    remote.grouped = true;
    remote.group_keys = pieces.keys;
    remote.output = pieces.keys;
    Path *local_path = copy_local_path(output, nullptr);
    if (local_path && try_command(remote, below->tables, below->relations).sendable)
        add_path_for(root, below, input->rows, output, target, remote, NIL, local_path);
}

} // namespace mongoferry::fdw
