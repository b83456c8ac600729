/*
 * Planning a scan: which columns are read, which conditions go along. Numbers of rows and costs are estimate.cpp's.
 *
 * Nothing here needs a server: EXPLAIN and prepared statements work while it is away.
 */
#include "fdw/callbacks.h"

#include "fdw/chunk_condition.h"
#include "fdw/parallel.h"
#include "fdw/parameterised_paths.h"
#include "fdw/reasons.h"
#include "fdw/row_filter.h"
#include "pg/guard.h"
#include "query/command.h"
#include "query/filter.h"
#include "query/unwind.h"
#include "query/join.h"

extern "C" {
#include "access/table.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/rel.h"
}

namespace mongoferry::fdw {

namespace {

/* The attribute numbers that the query reads of the relation; a whole-row reference reads them all. */
Bitmapset *attributes_read(const RelOptInfo *relation, const TableDescription *table) {
    Bitmapset *numbers = nullptr; /* offset by FirstLowInvalidHeapAttributeNumber */
    pull_varattnos(reinterpret_cast<Node *>(relation->reltarget->exprs), relation->relid, &numbers);
    ListCell *cell;
    foreach (cell, relation->baserestrictinfo)
        pull_varattnos(reinterpret_cast<Node *>(lfirst_node(RestrictInfo, cell)->clause), relation->relid, &numbers);

    Bitmapset *attributes = nullptr;
    bool whole_row = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, numbers);
    for (int number = 1; number <= table->fields.count; ++number)
        if (table->fields.fields[number - 1].path &&
            (whole_row || bms_is_member(number - FirstLowInvalidHeapAttributeNumber, numbers)))
            attributes = bms_add_member(attributes, number);
    return attributes;
}

/* Why nothing is sent at all, or NULL. */
const char *reason_to_stay(const TableDescription *table) {
    if (table->source.dump)
        return "the documents are read from a file";
    return table->pushdown ? nullptr : "pushdown is off";
}

/* Whether a condition is exact behind a $unwind stage, which only groups and limits have. */
bool is_exact_on_elements(const query::Translation *translation, Node *plan_form) {
    query::Translation unwound{};
    unwound.tables = query::unwound_tables(translation->tables, translation->table_count);
    unwound.table_count = translation->table_count;
    bool exact;
    return query::translate_condition(&unwound, plan_form, &exact) && exact;
}

/* Which of the relation's conditions are sent, and what can be done above them. */
void choose_conditions(PlannerInfo *root, RelOptInfo *relation, RelationInfo *state) {
    /* How many documents a chunk has is told by how many are received (chunk_scans.h). */
    const char *stays =
        state->chunk_bounds ? "the documents of a chunk are counted here" : reason_to_stay(state->table);
    state->exact = !stays;
    query::Translation translation{};
    translation.tables = translated_tables(state->tables);
    translation.table_count = 1;
    ListCell *cell;
    foreach (cell, relation->baserestrictinfo) {
        Node *condition = reinterpret_cast<Node *>(lfirst_node(RestrictInfo, cell)->clause);
        List *placeholders = NIL;
        bool exact = false;
        translation.reasons = NIL;
        Node *plan_form = query::plan_form_of(condition, state->relations, &placeholders);
        const bool is_sent = !stays && query::translate_condition(&translation, plan_form, &exact);
        if (!stays && !exact && state->table->fields.unwind)
            exact = is_exact_on_elements(&translation, plan_form);
        if (is_sent || exact) {
            state->remote.conditions = lappend(state->remote.conditions, condition);
        } else {
            state->has_local_conditions = true;
            if (!stays)
                note_condition(root, relation, "condition", condition, translation.reasons);
        }
        state->exact = state->exact && exact;
    }
    if (stays)
        note_reason(relation_names(root, relation), "everything", stays);
}

} // namespace

query::TranslatedTable *translated_tables(const List *tables) {
    auto *translated =
        static_cast<query::TranslatedTable *>(palloc0(sizeof(query::TranslatedTable) * Max(list_length(tables), 1)));
    ListCell *cell;
    foreach (cell, tables) {
        const TableDescription *table = static_cast<const TableDescription *>(lfirst(cell));
        const int position = foreach_current_index(cell);
        const char *collection = table->source.collection;
        translated[position].fields = &table->fields;
        translated[position].collection = pg_server_to_any(collection, static_cast<int>(strlen(collection)), PG_UTF8);
        translated[position].prefix = position > 0 ? query::joined_field(position) : nullptr;
    }
    return translated;
}

query::Command try_command(const query::RemoteQuery &remote, const List *tables, const List *relations) {
    List *placeholders = NIL;
    return query::make_command(query::make_plan_form(remote, relations, &placeholders), translated_tables(tables),
                               list_length(tables), false);
}

void get_foreign_rel_size(PlannerInfo *root, RelOptInfo *relation, Oid table_id) {
    RelationInfo *state = static_cast<RelationInfo *>(palloc0(sizeof(RelationInfo)));
    relation->fdw_private = state;
    state->relations = list_make1_int(static_cast<int>(relation->relid));
    RangeTblEntry *entry = planner_rt_fetch(relation->relid, root);
    Relation table = table_open(table_id, NoLock);
    state->table = describe_table(table, relation->relid, planned_user(root, relation, entry));
    table_close(table, NoLock);

    state->tables = list_make1(state->table);
    state->attributes = attributes_read(relation, state->table);
    state->chunk_bounds = take_chunk_condition(relation, table_id);
    if (state->chunk_bounds)
        relation->consider_parallel = false; /* what is read of a chunk is noted in this process (chunk_scans.h) */

    choose_conditions(root, relation, state);

    state->estimate = estimate_base_relation(root, relation, state,
                                             state->chunk_bounds ? estimate_chunk_documents(state->chunk_bounds) : -1);
}

void get_foreign_paths(PlannerInfo *root, RelOptInfo *relation, Oid) {
    RelationInfo *state = static_cast<RelationInfo *>(relation->fdw_private);
    Cost startup, total;
    cost_base_scan(relation, state->table, state->estimate, &startup, &total);
    ForeignPath *path = make_foreign_scan_path(root, relation, relation->rows, startup, total);
    if (may_warn(state->table)) /* workers that read the same documents would all warn of them */
        path->path.parallel_safe = false;
    add_path(relation, reinterpret_cast<Path *>(path));
    add_parallel_path(root, relation, state);
    if (!reason_to_stay(state->table) && !state->chunk_bounds)
        add_parameterised_paths(root, relation);
}

static List *table_ids(const List *tables) {
    List *ids = NIL;
    ListCell *cell;
    foreach (cell, tables)
        ids = lappend_oid(ids, static_cast<const TableDescription *>(lfirst(cell))->id);
    return ids;
}

/* The plan of a path that does more than scan a table's rows. */
static ForeignScan *make_remote_plan(const RemotePath *path, List *target_list, Plan *local_plan) {
    List *scan_target_list = NIL;
    ListCell *cell;
    foreach (cell, path->query.output)
        scan_target_list =
            lappend(scan_target_list,
                    makeTargetEntry(static_cast<Expr *>(lfirst(cell)),
                                    static_cast<AttrNumber>(foreach_current_index(cell) + 1), nullptr, false));
    Assert(!local_plan || list_length(local_plan->targetlist) >= list_length(scan_target_list));
    List *placeholders = NIL;
    const query::RemoteQuery plan_form = query::make_plan_form(path->query, path->relations, &placeholders);
    List *fdw_private = list_make4(query::to_list(plan_form), table_ids(path->tables), list_make1_int(false), NIL);
    return make_foreignscan(target_list, path->local_conditions, 0, placeholders, fdw_private, scan_target_list, NIL,
                            local_plan);
}

ForeignScan *get_foreign_plan(PlannerInfo *, RelOptInfo *relation, Oid, ForeignPath *best_path, List *target_list,
                              List *conditions, Plan *outer_plan) {
    if (best_path->fdw_private != NIL)
        return make_remote_plan(static_cast<const RemotePath *>(linitial(best_path->fdw_private)), target_list,
                                outer_plan);

    RelationInfo *state = static_cast<RelationInfo *>(relation->fdw_private);
    query::RemoteQuery remote = state->remote;
    for (int number = -1; (number = bms_next_member(state->attributes, number)) >= 0;)
        remote.attributes = lappend_int(remote.attributes, number);
    remote.conditions = list_concat_copy(remote.conditions, parameterised_conditions(relation, best_path));
    List *expressions = NIL;
    remote = query::make_plan_form(remote, state->relations, &expressions);
    if (state->chunk_bounds)
        expressions = lappend(expressions, state->chunk_bounds);
    /* Every condition is checked again here: what was sent is a wider filter (query/filter.h). */
    List *checked = NIL;
    ListCell *cell;
    foreach (cell, conditions)
        if (!lfirst_node(RestrictInfo, cell)->pseudoconstant)
            checked = lappend(checked, lfirst(cell));
    List *stages = state->table->pushdown ? choose_stages(state->table->fields, checked, state->attributes) : NIL;
    checked = extract_actual_clauses(checked, false);
    List *fdw_private = list_make4(query::to_list(remote), table_ids(state->tables),
                                   list_make1_int(state->chunk_bounds != nullptr), stages);
    return make_foreignscan(target_list, checked, relation->relid, expressions, fdw_private, NIL,
                            staged_conditions(checked, stages), outer_plan);
}

} // namespace mongoferry::fdw
