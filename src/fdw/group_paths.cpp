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

/* What it costs the server to put a document into its group, and to add it up; little against having it here. */
Cost cost_of_grouping(double documents, int aggregates) {
    return documents * cpu_operator_cost * (0.5 + 0.1 * aggregates);
}

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

/* NULL, or why it can't be one. */
const char *add_key(Pieces *pieces, Expr *expression, const SortGroupClause *clause) {
    if (const char *refusal = query::refusal_of_key(reinterpret_cast<Node *>(expression)))
        return refusal;
    if (!is_default_equality(clause, expression))
        return "a key is compared by another equality than its type's own";
    /* The same as a parameter would be replaced by the row's value in the expressions that are evaluated before. */
    if (!contain_var_clause(reinterpret_cast<Node *>(expression)))
        return "a key is the same for all rows";
    if (!list_member(pieces->keys, expression)) {
        pieces->keys = lappend(pieces->keys, expression);
        add_column_to_pathtarget(pieces->target, expression, clause->tleSortGroupRef);
    }
    return nullptr;
}

void add_aggregates(Pieces *pieces, Node *expression) {
    ListCell *cell;
    foreach (cell, pull_var_clause(expression, PVC_INCLUDE_AGGREGATES | PVC_RECURSE_PLACEHOLDERS)) {
        /* A Var outside of an aggregate is part of a key. */
        if (IsA(lfirst(cell), Aggref))
            add_new_column_to_pathtarget(pieces->target, static_cast<Expr *>(lfirst(cell)));
    }
}

/* NULL, or why a key can't be one on the server. */
const char *find_pieces(const Query *query, const PathTarget *target, const List *having, Pieces *pieces) {
    pieces->target = create_empty_pathtarget();
    ListCell *cell;
    int column = 0;
    foreach (cell, target->exprs) {
        Expr *expression = static_cast<Expr *>(lfirst(cell));
        const Index reference = get_pathtarget_sortgroupref(target, column++);
        const SortGroupClause *clause =
            reference ? get_sortgroupref_clause_noerr(reference, query->groupClause) : nullptr;
        if (clause)
            if (const char *refusal = add_key(pieces, expression, clause))
                return refusal;
        if (!clause)
            add_aggregates(pieces, reinterpret_cast<Node *>(expression));
    }
    foreach (cell, having)
        add_aggregates(pieces, static_cast<Node *>(lfirst(cell)));
    return nullptr;
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
List *choose_having(PlannerInfo *root, const RelOptInfo *input, query::RemoteQuery *remote, const RelationInfo *below,
                    const List *having) {
    List *local = NIL;
    ListCell *cell;
    foreach (cell, having) {
        query::RemoteQuery with_condition = *remote;
        with_condition.having = lappend(list_copy(remote->having), lfirst(cell));
        if (remote->group_keys != NIL && !contain_volatile_functions(static_cast<Node *>(lfirst(cell)))) {
            const query::Command trial = try_command(with_condition, below->tables, below->relations);
            if (trial.sendable) {
                *remote = with_condition;
                continue;
            }
            note_stage(root, input, "HAVING", trial.reasons);
        }
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
    info->local_path = local_path;
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
    const TableDescription *table = static_cast<const TableDescription *>(linitial(info->tables));
    const int aggregates = list_length(remote.output) - list_length(remote.group_keys);
    info->estimate = below->estimate;
    info->estimate.server_cost += cost_of_grouping(documents, aggregates);
    const Cost startup = table->planning.startup_cost + info->estimate.server_cost;
    const Cost total = startup + cost_of_sending(table, rows, bytes_of_values(local_path->pathtarget->width)) +
                       rows * cpu_tuple_cost + target->cost.startup + rows * target->cost.per_tuple;
    add_path(output, reinterpret_cast<Path *>(make_foreign_upper_path(root, output, target, rows, startup, total, NIL,
                                                                      local_path, list_make1(path))));
}

} // namespace

void add_group_path(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output, const GroupPathExtraData *extra,
                    bool partial) {
    const Query *query = root->parse;
    const RelationInfo *below = static_cast<const RelationInfo *>(input->fdw_private);
    if (below->remote.grouped || (extra->patype == PARTITIONWISE_AGGREGATE_PARTIAL) != partial)
        return;
    if (query->groupingSets != NIL) {
        note_reason(relation_names(root, input), "grouping", "there is no rule for grouping sets");
        return;
    }
    const List *having = partial ? NIL : reinterpret_cast<const List *>(extra->havingQual);
    Pieces pieces{};
    const char *refusal = find_pieces(query, output->reltarget, having, &pieces);
    if (refusal || !has_all_keys(query->groupClause, pieces.target)) {
        note_reason(relation_names(root, input), "grouping", refusal ? refusal : "a key is not among the columns");
        return;
    }
    /* Here a Var besides the keys would have to come along. */
    if (partial && list_length(pieces.target->exprs) < list_length(output->reltarget->exprs))
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
    List *local_conditions = choose_having(root, input, &remote, below, having);
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
        const char *refusal = clause ? add_key(&pieces, static_cast<Expr *>(list_nth(target->exprs, i)), clause)
                                     : "a column is not compared";
        if (refusal) {
            note_reason(relation_names(root, input), "DISTINCT", refusal);
            return;
        }
    }
    /* The local path gives the target's columns, so these must be the pieces. */
    if (list_length(pieces.keys) != list_length(target->exprs))
        return;
    query::RemoteQuery remote = below->remote;
    remote.grouped = true;
    remote.group_keys = pieces.keys;
    remote.output = pieces.keys;
    const query::Command trial = try_command(remote, below->tables, below->relations);
    if (!trial.sendable) {
        note_stage(root, input, "DISTINCT", trial.reasons);
        return;
    }
    if (Path *local_path = copy_local_path(output, nullptr))
        add_path_for(root, below, input->rows, output, target, remote, NIL, local_path);
}

} // namespace mongoferry::fdw
