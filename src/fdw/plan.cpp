/*
 * Planning a scan: which columns are read, which conditions go along, what it may cost.
 *
 * Nothing here connects to a server: EXPLAIN and prepared statements work while it is away. Row numbers come from
 * the catalogs or, for files, from the file's size.
 */
#include "fdw/callbacks.h"

#include "fdw/chunk_condition.h"
#include "pg/bytea.h"
#include "pg/guard.h"
#include "query/filter.h"

extern "C" {
#include "access/table.h"
#include "catalog/pg_type.h"
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

/* Assumptions where nothing is known. */
constexpr double default_documents = 1000;
constexpr double default_document_bytes = 300;
constexpr double default_unwound_elements = 3;

/* In units of the planner's costs (seq_page_cost = 1): a round trip or the opening of a file, a document's way here. */
constexpr Cost live_startup_cost = 100;
constexpr Cost file_startup_cost = 1;
constexpr Cost document_cost = 0.01;

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

/* How many documents the collection has, as far as can be told without asking a server. */
double estimate_documents(const RelOptInfo *relation, const TableDescription *table) {
    if (relation->tuples > 0)
        return relation->tuples; /* ANALYZE has counted rows */
    if (table->source.dump) {
        source::SizeEstimate size = pg_entry([&] {
            return source::estimate_size(file_options(table->source),
                                         table->source.database ? table->source.database : "",
                                         table->source.collection);
        });
        if (size.bytes >= 0)
            return clamp_row_est(static_cast<double>(size.bytes) / (size.document_size > 0
                                                                        ? static_cast<double>(size.document_size)
                                                                        : default_document_bytes));
    }
    return default_documents;
}

} // namespace

void get_foreign_rel_size(PlannerInfo *root, RelOptInfo *relation, Oid table_id) {
    PlanState *state = static_cast<PlanState *>(palloc0(sizeof(PlanState)));
    relation->fdw_private = state;
    RangeTblEntry *entry = planner_rt_fetch(relation->relid, root);
    Relation table = table_open(table_id, NoLock);
    state->table = describe_table(table, relation->relid, planned_user(root, relation, entry));
    table_close(table, NoLock);

    state->attributes = attributes_read(relation, state->table);
    state->chunk_bounds = take_chunk_condition(relation, table_id);

    if (state->table->pushdown && !state->table->source.dump) {
        query::FilterNode **nodes = static_cast<query::FilterNode **>(
            palloc(sizeof(query::FilterNode *) * Max(list_length(relation->baserestrictinfo), 1)));
        int count = 0;
        ListCell *cell;
        foreach (cell, relation->baserestrictinfo) {
            query::FilterNode *node = query::translate_condition(
                state->table->fields, reinterpret_cast<Node *>(lfirst_node(RestrictInfo, cell)->clause));
            if (node)
                nodes[count++] = node;
        }
        if (count > 0)
            state->filter = pg_entry([&] { return palloc_copy(query::render_filter(nodes, count)); });
    }

    double documents = state->chunk_bounds ? estimate_chunk_documents(state->chunk_bounds)
                                           : estimate_documents(relation, state->table);
    if (relation->tuples > 0) /* a chunk is no more than the whole */
        documents = Min(documents, relation->tuples);
    relation->tuples =
        state->table->fields.unwind && relation->tuples <= 0 ? documents * default_unwound_elements : documents;
    set_baserel_size_estimates(root, relation);
}

void get_foreign_paths(PlannerInfo *root, RelOptInfo *relation, Oid) {
    PlanState *state = static_cast<PlanState *>(relation->fdw_private);
    Cost startup =
        (state->table->source.dump ? file_startup_cost : live_startup_cost) + relation->baserestrictcost.startup;
    /* With a filter on the server only about the rows of the result travel. */
    double travelling = state->filter.size > 0 ? relation->rows : relation->tuples;
    Cost total = startup + travelling * (document_cost + cpu_tuple_cost + relation->baserestrictcost.per_tuple);
    add_path(relation,
             reinterpret_cast<Path *>(make_foreign_scan_path(root, relation, relation->rows, startup, total)));
}

ForeignScan *get_foreign_plan(PlannerInfo *, RelOptInfo *relation, Oid, ForeignPath *, List *target_list,
                              List *conditions, Plan *outer_plan) {
    PlanState *state = static_cast<PlanState *>(relation->fdw_private);

    Datum filter = 0;
    if (state->filter.size > 0)
        filter = PointerGetDatum(make_bytea(state->filter.data, state->filter.size));
    List *attributes = NIL;
    for (int number = -1; (number = bms_next_member(state->attributes, number)) >= 0;)
        attributes = lappend_int(attributes, number);

    List *fdw_private =
        list_make2(makeConst(BYTEAOID, -1, InvalidOid, -1, filter, state->filter.size == 0, false), attributes);
    /* Every condition is checked again here: what was sent is a wider filter (query/filter.h). */
    return make_foreignscan(target_list, extract_actual_clauses(conditions, false), relation->relid,
                            state->chunk_bounds ? list_make1(state->chunk_bounds) : NIL, fdw_private, NIL, NIL,
                            outer_plan);
}

} // namespace mongoferry::fdw
