/* See order_paths.h. */
#include "fdw/order_paths.h"

#include "fdw/callbacks.h"
#include "fdw/estimate.h"
#include "fdw/local_path.h"
#include "fdw/reasons.h"
#include "query/order.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/tlist.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

#include <cmath>

namespace mongoferry::fdw {

namespace {

/* What the planner asks for is more than a server's sort or limit can do. */
bool is_out_of_question(const PlannerInfo *root, const RelationInfo *below) {
    const Query *query = root->parse;
    const TableDescription *table = static_cast<const TableDescription *>(linitial(below->tables));
    return query->commandType != CMD_SELECT || query->rowMarks != NIL || query->hasTargetSRFs ||
           table->fields.unwind != nullptr;
}

/* --- the order --------------------------------------------------------------------------------------------------- */

/* The expression of a path key over the relations, preferably one of the query's output. */
Node *key_expression(const PathKey *key, Relids relations, const List *output) {
    if (key->pk_eclass->ec_has_volatile)
        return nullptr;
    Node *found = nullptr;
    ListCell *cell;
    foreach (cell, key->pk_eclass->ec_members) {
        const EquivalenceMember *member = static_cast<const EquivalenceMember *>(lfirst(cell));
        if (member->em_is_const || member->em_is_child || !bms_is_subset(member->em_relids, relations))
            continue;
        const bool is_output = list_member(output, member->em_expr);
        if (is_output || !found)
            found = reinterpret_cast<Node *>(member->em_expr);
        if (is_output)
            break;
    }
    return found;
}

/* The type's own order. */
bool is_default_order(const PathKey *key, Node *expression) {
    const Oid type = getBaseType(exprType(expression));
    return lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf == key->pk_opfamily;
}

/* Path keys as sort keys. False if one of them is none of the relation's. */
bool read_sort_keys(const List *path_keys, const RelationInfo *below, const List *output, List **sort_keys) {
    Relids relations = nullptr;
    ListCell *cell;
    foreach (cell, below->relations)
        relations = bms_add_member(relations, lfirst_int(cell));
    foreach (cell, path_keys) {
        const PathKey *path_key = static_cast<const PathKey *>(lfirst(cell));
        Node *expression = key_expression(path_key, relations, output);
        if (!expression || !is_default_order(path_key, expression))
            return false;
        query::SortKey *key = static_cast<query::SortKey *>(palloc(sizeof(query::SortKey)));
        *key = {expression, is_descending(path_key), path_key->pk_nulls_first};
        *sort_keys = lappend(*sort_keys, key);
    }
    return true;
}

/* Whether an index of the collection has the keys in this order, or exactly the other way round. */
bool has_index_order(const query::RemoteQuery &remote, const RelationInfo *below) {
    if (!below->table)
        return false;
    int index_count;
    const IndexPattern *indexes = usable_indexes(below->table, &index_count);
    for (int i = 0; i < index_count; ++i) {
        if (indexes[i].key_count < list_length(remote.sort_keys))
            continue;
        bool matches = true;
        bool is_reversed = false;
        ListCell *cell;
        foreach (cell, remote.sort_keys) {
            const query::SortKey *key = static_cast<const query::SortKey *>(lfirst(cell));
            const IndexPath &index_key = indexes[i].keys[foreach_current_index(cell)];
            const char *path = query::plain_sort_path(remote, translated_tables(below->tables), key);
            const bool differs = key->descending != index_key.descending;
            if (foreach_current_index(cell) == 0)
                is_reversed = differs;
            matches =
                matches && path && !index_key.hashed && strcmp(path, index_key.path) == 0 && differs == is_reversed;
        }
        if (matches)
            return true;
    }
    return false;
}

/* --- rows -------------------------------------------------------------------------------------------------------- */

/* The columns that the query's rows are made of, those that it sorts by and those of its conditions: these too are
 * read here, so that a value that does not fit its column is an error as ever. (Not of a join's conditions: its local
 * plan does not hand them up.) False if there is something else. */
bool find_columns(const PathTarget *target, const query::RemoteQuery &remote, List **output) {
    List *expressions = list_concat_copy(target->exprs, remote.joins == NIL ? remote.conditions : NIL);
    ListCell *cell;
    foreach (cell, remote.sort_keys)
        expressions = lappend(expressions, static_cast<const query::SortKey *>(lfirst(cell))->expression);
    foreach (cell, pull_var_clause(reinterpret_cast<Node *>(expressions),
                                   PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS | PVC_RECURSE_PLACEHOLDERS)) {
        Var *column = static_cast<Var *>(lfirst(cell));
        if (column->varattno < 1)
            return false;
        *output = list_append_unique(*output, column);
    }
    return *output != NIL;
}

/* The rows below the order, as the local plan has them. */
Path *local_rows(PlannerInfo *root, RelOptInfo *scanned, const RelationInfo *info, List *output) {
    if (info->remote.grouped)
        return info->local_path && equal(info->local_path->pathtarget->exprs, output) ? info->local_path : nullptr;
    Path *path = info->local_path;
    if (info->remote.joins == NIL) {
        Cost startup;
        Cost total;
        cost_base_scan(scanned, info->table, info->estimate, &startup, &total);
        path = reinterpret_cast<Path *>(make_foreign_scan_path(root, scanned, scanned->rows, startup, total));
    }
    PathTarget *target = create_empty_pathtarget();
    ListCell *cell;
    foreach (cell, output)
        add_column_to_pathtarget(target, static_cast<Expr *>(lfirst(cell)), 0);
    set_pathtarget_cost_width(root, target);
    return path ? reinterpret_cast<Path *>(create_projection_path(root, scanned, path, target)) : nullptr;
}

/* --- costs ------------------------------------------------------------------------------------------------------- */

/* Rows before the offset and rows of the limit, of so many. */
void estimate_window(double scanned, const FinalPathExtraData *extra, double *passed, double *rows) {
    Cost startup = 0;
    Cost total = 0;
    *rows = scanned;
    adjust_limit_rows_costs(rows, &startup, &total, extra->offset_est, extra->count_est);
    *passed = extra->offset_est > 0   ? static_cast<double>(extra->offset_est)
              : extra->offset_est < 0 ? scanned * 0.1
                                      : 0;
    *passed = Min(*passed, scanned);
}

/* estimate.h says what commands cost. */
void cost_limited_path(const RelOptInfo *scanned, const RelationInfo *info, const query::Command &trial, int width,
                       const FinalPathExtraData *extra, double *rows, Cost *startup, Cost *total) {
    const TableDescription *table = static_cast<const TableDescription *>(linitial(info->tables));
    const double scanned_rows = scanned->cheapest_total_path->rows; /* an upper relation has no number itself */
    double passed;
    estimate_window(scanned_rows, extra, &passed, rows);
    const double wanted = passed + *rows;
    Cost server_cost = info->estimate.server_cost;
    if (info->remote.sort_keys != NIL && !info->remote.sorted_by_index) /* as a sort of these rows with a limit here */
        server_cost += scanned_rows * 2 * cpu_operator_cost * log2(2 * Max(wanted, 1));
    else if (!info->remote.grouped)
        server_cost *= Min(wanted / Max(scanned_rows, 1), 1);
    /* A probe that finds nothing looks at all of the documents, though it does little with them. */
    server_cost += trial.probe_count * scanned_rows * cpu_operator_cost;
    *startup = table->planning.startup_cost;
    if (info->remote.sort_keys != NIL || info->remote.grouped) { /* else the first row comes before the last is found */
        *startup += server_cost;
        server_cost = 0;
    }
    const double bytes = info->table ? info->estimate.transfer_bytes : bytes_of_values(width);
    /* Here a row is neither checked nor sorted. And a scan's first batch comes whole, whatever the limit is. */
    *total = *startup + server_cost + cost_of_sending(table, *rows, bytes) + *rows * cpu_tuple_cost / 2;
}

} // namespace

void add_ordered_path(PlannerInfo *root, RelOptInfo *input, RelOptInfo *ordered) {
    const RelationInfo *below = static_cast<const RelationInfo *>(input->fdw_private);
    if (is_out_of_question(root, below) || root->limit_tuples == 0)
        return;
    const PathTarget *target = root->upper_targets[UPPERREL_FINAL];
    query::RemoteQuery remote = below->remote;
    remote.attributes = NIL;
    if (!read_sort_keys(root->sort_pathkeys, below, target->exprs, &remote.sort_keys))
        return;
    if (!remote.grouped) {
        remote.output = NIL;
        if (!find_columns(target, remote, &remote.output))
            return;
    }
    remote.sorted_by_index = remote.sort_keys != NIL && has_index_order(remote, below);
    const query::Command trial = try_command(remote, below->tables, below->relations);
    if (!trial.sendable) {
        if (root->parse->limitCount || root->parse->limitOffset)
            note_stage(root, input, "ORDER BY", trial.reasons);
        return;
    }
    RelationInfo *info = static_cast<RelationInfo *>(palloc(sizeof(RelationInfo)));
    *info = *below;
    info->remote = remote;
    info->scanned = input;
    ordered->fdw_private = info;
}

void add_limited_path(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output, const FinalPathExtraData *extra) {
    const Query *query = root->parse;
    const RelationInfo *below = static_cast<const RelationInfo *>(input->fdw_private);
    if (!extra->limit_needed || query->limitOption == LIMIT_OPTION_WITH_TIES || is_out_of_question(root, below) ||
        !query::is_count(query->limitCount) || !query::is_count(query->limitOffset))
        return;
    PathTarget *target = root->upper_targets[UPPERREL_FINAL];
    RelOptInfo *scanned = below->scanned ? below->scanned : input;

    RemotePath *remote_path = static_cast<RemotePath *>(palloc0(sizeof(RemotePath)));
    query::RemoteQuery *remote = &remote_path->query;
    *remote = below->remote;
    remote->attributes = NIL;
    remote->limit = query->limitCount;
    remote->offset = query->limitOffset;
    if (!below->scanned && !remote->grouped) {
        remote->output = NIL;
        if (!find_columns(target, *remote, &remote->output))
            return;
    }
    remote_path->tables = below->tables;
    remote_path->relations = below->relations;
    const query::Command trial = try_command(*remote, below->tables, below->relations);
    if (!trial.sendable)
        return;
    /* A bare LIMIT saves little, for the scan is given up early anyway: not worth a search for odd documents. */
    if (remote->sort_keys == NIL && !remote->grouped && remote->joins == NIL && trial.probe_count > 0)
        return;

    Path *local_path = local_rows(root, scanned, below, remote->output);
    if (!local_path)
        return;
    if (query->sortClause != NIL && root->sort_pathkeys != NIL)
        local_path = reinterpret_cast<Path *>(
            create_sort_path(root, input, local_path, root->sort_pathkeys, extra->limit_tuples));
    local_path =
        reinterpret_cast<Path *>(create_limit_path(root, output, local_path, query->limitOffset, query->limitCount,
                                                   query->limitOption, extra->offset_est, extra->count_est));
    double rows;
    Cost startup, total;
    cost_limited_path(scanned, below, trial, target->width, extra, &rows, &startup, &total);
    total += target->cost.startup + rows * target->cost.per_tuple;
    add_path(output, reinterpret_cast<Path *>(make_foreign_upper_path(root, output, target, rows, startup, total,
                                                                      root->sort_pathkeys, local_path,
                                                                      list_make1(remote_path))));
}

} // namespace mongoferry::fdw
