/*
 * Joins that the server does (query/join.h): which ones may be sent, and what they may cost.
 *
 * The table joined is always one collection, so a join of several is a chain. Without an index on the joined field
 * $lookup looks at all of the collection for each document; then it is only considered for small collections.
 */
#include "fdw/callbacks.h"

#include "fdw/estimate.h"
#include "fdw/reasons.h"
#include "query/join.h"

extern "C" {
#include "catalog/pg_type.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"
}

namespace mongoferry::fdw {

namespace {

/* The documents that a join without an index may look at. */
constexpr double small_join = 1000000;

bool is_joinable_type(JoinType type) {
    return type == JOIN_INNER || type == JOIN_LEFT || type == JOIN_SEMI || type == JOIN_ANTI;
}

bool same_database(const RelationInfo *left, const RelationInfo *right) {
    const char *left_name = static_cast<const TableDescription *>(linitial(left->tables))->source.database;
    const char *right_name = right->table->source.database;
    return left_name && right_name && strcmp(left_name, right_name) == 0;
}

bool is_unwound(const RelationInfo *info) {
    return static_cast<const TableDescription *>(linitial(info->tables))->fields.unwind != nullptr;
}

/* An equality that is one of the values as such: "outer = inner". */
bool read_key(const RestrictInfo *info, Relids outer, Relids inner, query::JoinKey *key) {
    if (!IsA(info->clause, OpExpr) || info->mergeopfamilies == NIL)
        return false;
    const OpExpr *clause = reinterpret_cast<const OpExpr *>(info->clause);
    if (OidIsValid(clause->inputcollid) && !get_collation_isdeterministic(clause->inputcollid))
        return false;
    Node *left = static_cast<Node *>(linitial(clause->args));
    Node *right = static_cast<Node *>(lsecond(clause->args));
    if (bms_is_subset(info->left_relids, outer) && bms_equal(info->right_relids, inner))
        *key = {left, right};
    else if (bms_is_subset(info->right_relids, outer) && bms_equal(info->left_relids, inner))
        *key = {right, left};
    else
        return false;
    return !bms_is_empty(info->left_relids) && !bms_is_empty(info->right_relids);
}

/* Sorts the join's conditions into keys and others. False if it can't be sent. */
bool read_conditions(const RelOptInfo *outer, const RelOptInfo *inner, const RelOptInfo *joined, const List *conditions,
                     query::Join *join) {
    ListCell *cell;
    foreach (cell, conditions) {
        const RestrictInfo *info = lfirst_node(RestrictInfo, cell);
        /* Of WHERE: after the join. A semi join's own may look like that too, and means the same there. */
        const bool of_where =
            (join->type == JOIN_LEFT || join->type == JOIN_ANTI) && RINFO_IS_PUSHED_DOWN(info, joined->relids);
        query::JoinKey key;
        if (!of_where && read_key(info, outer->relids, inner->relids, &key)) {
            query::JoinKey *copy = static_cast<query::JoinKey *>(palloc(sizeof(query::JoinKey)));
            *copy = key;
            join->keys = lappend(join->keys, copy);
        } else if (join->type == JOIN_INNER || of_where) {
            join->conditions = lappend(join->conditions, info->clause);
        } else {
            return false;
        }
    }
    return join->keys != NIL;
}

/* What the join's rows consist of, if those are columns that the join still has. */
bool read_output(const RelOptInfo *joined, const RelOptInfo *inner, JoinType type, List **output) {
    ListCell *cell;
    foreach (cell, joined->reltarget->exprs) {
        Node *node = static_cast<Node *>(lfirst(cell));
        if (!IsA(node, Var) || reinterpret_cast<const Var *>(node)->varattno < 1)
            return false;
        if ((type == JOIN_SEMI || type == JOIN_ANTI) &&
            bms_is_member(static_cast<int>(reinterpret_cast<const Var *>(node)->varno), inner->relids))
            return false;
    }
    *output = list_copy(joined->reltarget->exprs);
    return true;
}

/* Whether the server finds the joined documents by an index on one of the keys. */
bool has_index(const RelationInfo *inner, const query::Join &join) {
    ListCell *cell;
    foreach (cell, join.keys) {
        Node *key = static_cast<const query::JoinKey *>(lfirst(cell))->inner;
        while (IsA(key, RelabelType))
            key = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(key)->arg);
        if (!IsA(key, Var))
            continue;
        const AttrNumber column = reinterpret_cast<const Var *>(key)->varattno;
        if (column > 0 && leading_index_path(inner->table, inner->table->fields.fields[column - 1].path, true))
            return true;
    }
    return false;
}

void add_join_path(PlannerInfo *root, RelOptInfo *joined, RelOptInfo *outer, RelOptInfo *inner, const query::Join &join,
                   RelationInfo *info) {
    const RelationInfo *inner_info = static_cast<const RelationInfo *>(inner->fdw_private);
    const bool indexed = has_index(inner_info, join);
    const double examined = outer->rows * inner->tuples;
    if (!indexed && examined > small_join) {
        note_reason(relation_names(root, joined), "join", "no index serves its condition");
        return;
    }
    Path *local_path = GetExistingLocalJoinPath(joined);
    if (!local_path)
        return;

    RemotePath *remote_path = static_cast<RemotePath *>(palloc0(sizeof(RemotePath)));
    if (!read_output(joined, inner, join.type, &info->remote.output))
        return;
    remote_path->query = info->remote;
    remote_path->tables = info->tables;
    remote_path->relations = info->relations;
    const query::Command trial = try_command(info->remote, info->tables, info->relations);
    if (!trial.sendable) {
        note_stage(root, joined, "join", trial.reasons);
        return;
    }

    /* The documents of the outer side as if they were sent, a look-up for each, and the rows on their way here. */
    const RelationInfo *outer_info = static_cast<const RelationInfo *>(outer->fdw_private);
    const TableDescription *table = static_cast<const TableDescription *>(linitial(info->tables));
    info->estimate.server_cost =
        outer_info->estimate.server_cost + outer->rows * (cpu_tuple_cost + cost_of_look_up(indexed, inner->tuples));
    const Cost startup = table->planning.startup_cost;
    const Cost total = startup + info->estimate.server_cost +
                       cost_of_sending(table, joined->rows, bytes_of_values(joined->reltarget->width)) +
                       joined->rows * cpu_tuple_cost;
    ForeignPath *path =
        make_foreign_join_path(root, joined, joined->rows, startup, total, local_path, list_make1(remote_path));
    if (info->remote.output != NIL) /* a join without columns is only there to be counted above it */
        add_path(joined, reinterpret_cast<Path *>(path));
    info->local_path = local_path;
    joined->fdw_private = info;
}

} // namespace

void get_foreign_join_paths(PlannerInfo *root, RelOptInfo *joined, RelOptInfo *outer, RelOptInfo *inner,
                            JoinType join_type, JoinPathExtraData *extra) {
    const RelationInfo *outer_info = static_cast<const RelationInfo *>(outer->fdw_private);
    const RelationInfo *inner_info = static_cast<const RelationInfo *>(inner->fdw_private);
    /* Rows that are locked or changed are fetched again one by one, which a join here can't do. */
    if ((root->parse->commandType != CMD_SELECT && root->parse->commandType != CMD_INSERT) || root->rowMarks != NIL)
        return;
    if (!is_joinable_type(join_type) || joined->fdw_private || !outer_info || !inner_info || !outer_info->exact ||
        !inner_info->exact || !inner_info->table || is_unwound(inner_info) || is_unwound(outer_info) ||
        !bms_is_empty(joined->lateral_relids) || !same_database(outer_info, inner_info))
        return;

    query::Join join{};
    join.type = join_type;
    join.own_conditions = inner_info->remote.conditions;
    if (!read_conditions(outer, inner, joined, extra->restrictlist, &join))
        return;

    RelationInfo *info = static_cast<RelationInfo *>(palloc0(sizeof(RelationInfo)));
    info->tables = lappend(list_copy(outer_info->tables), inner_info->table);
    info->relations = lappend_int(list_copy(outer_info->relations), static_cast<int>(inner->relid));
    info->remote = outer_info->remote;
    info->remote.output = NIL;
    info->remote.joins = lappend(list_copy(outer_info->remote.joins), query::join_to_list(join));
    info->exact = true;
    add_join_path(root, joined, outer, inner, join, info);
}

} // namespace mongoferry::fdw
