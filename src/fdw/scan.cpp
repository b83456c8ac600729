/*
 * Running a scan: batches from a source, rows from documents.
 *
 * The source lives in the exception world and is reached once a batch; everything done for each row is of the POD
 * world.
 */
#include "fdw/callbacks.h"

#include "fdw/chunk_scans.h"
#include "fdw/parallel.h"
#include "fdw/row_filter.h"
#include "pg/guard.h"
#include "query/projection.h"
#include "source/chunk_source.h"

extern "C" {
#include "access/table.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace mongoferry::fdw {

namespace {

/* For a scan of a table's rows. conditions: NULL, or those that are checked while rows are decoded. */
bson::FieldPlan *make_row_plan(const TableDescription *table, const List *attributes, RowConditions *conditions) {
    int count = list_length(attributes);
    bson::FieldSpec *specs = static_cast<bson::FieldSpec *>(palloc0(sizeof(bson::FieldSpec) * Max(count, 1)));
    int i = 0;
    ListCell *cell;
    foreach (cell, attributes) {
        int slot = lfirst_int(cell) - 1;
        const query::Field &field = table->fields.fields[slot];
        specs[i] = {slot, field.column_name, field.path, field.type, field.typmod, field.options};
        if (conditions)
            specs[i].stage = stage_of_column(conditions, static_cast<AttrNumber>(slot + 1));
        ++i;
    }
    bson::FieldPlan *plan =
        bson::make_field_plan(specs, count, table->fields.count, table->fields.unwind, table->fields.unwind_outer,
                              {table->name, collection_name(table->source), table->source.dump});
    if (conditions)
        bson::set_row_filter(plan, row_filter_of(conditions));
    return plan;
}

/* For the rows that a command puts together. */
bson::FieldPlan *make_output_plan(const TableDescription *table, const query::Command *command) {
    const int count = command->output_count;
    bson::FieldSpec *specs = static_cast<bson::FieldSpec *>(palloc0(sizeof(bson::FieldSpec) * Max(count, 1)));
    for (int i = 0; i < count; ++i) {
        const query::OutputField &output = command->outputs[i];
        specs[i] = {i, output.column_name, output.path, output.type, output.typmod, output.options};
    }
    return bson::make_field_plan(specs, count, count, nullptr, false,
                                 {table->name, collection_name(table->source), table->source.dump});
}

/* Opened anew: a table of an aggregate or a join is not among the scan's relations. The query holds a lock on it
 * already, in a parallel worker its leader does. */
TableDescription *describe_table_by_id(Oid id, Index position, Oid user) {
    Relation relation = table_open(id, AccessShareLock);
    TableDescription *table = describe_table(relation, position, user);
    table_close(relation, NoLock);
    return table;
}

void describe_tables(ScanState *state, const List *ids, Oid user) {
    List *tables = NIL;
    ListCell *cell;
    foreach (cell, ids)
        tables = lappend(
            tables, describe_table_by_id(lfirst_oid(cell), static_cast<Index>(foreach_current_index(cell) + 1), user));
    state->table = static_cast<TableDescription *>(linitial(tables));
    state->tables = translated_tables(tables);
    state->table_count = list_length(tables);
    state->table_options = static_cast<SourceOptions *>(palloc(sizeof(SourceOptions) * state->table_count));
    foreach (cell, tables)
        state->table_options[foreach_current_index(cell)] = static_cast<const TableDescription *>(lfirst(cell))->source;
}

/* --- the command ---------------------------------------------------------------------------------------------- */

bool depends_on_execution(Node *node, void *context) {
    if (!node)
        return false;
    if (IsA(node, Param) && reinterpret_cast<const Param *>(node)->paramkind == PARAM_EXEC)
        return true;
    return walk_expression(node, depends_on_execution, context);
}

/* Constants for the placeholders. */
List *evaluate_placeholders(ForeignScanState *node, const ScanState *state) {
    List *values = NIL;
    ListCell *cell;
    foreach (cell, state->placeholders) {
        ExprState *expression = static_cast<ExprState *>(lfirst(cell));
        bool is_null;
        Datum value = ExecEvalExprSwitchContext(expression, node->ss.ps.ps_ExprContext, &is_null);
        Node *tree = reinterpret_cast<Node *>(expression->expr);
        int16 length;
        bool by_value;
        get_typlenbyval(exprType(tree), &length, &by_value);
        if (is_null)
            value = 0;
        else if (length == -1) /* rules look into it */
            value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
        else
            value = datumCopy(value, by_value, length);
        values = lappend(
            values, makeConst(exprType(tree), exprTypmod(tree), exprCollation(tree), length, value, is_null, by_value));
    }
    return values;
}

/* Makes the command for the placeholders' values now (known), or as far as it is clear without. */
void make_scan_command(ForeignScanState *node, ScanState *state, bool known) {
    state->command = {};
    MemoryContextReset(state->command_context);
    MemoryContext caller_context = MemoryContextSwitchTo(state->command_context);
    query::RemoteQuery query = state->query;
    if (known && state->placeholders != NIL)
        query = query::with_values(query, evaluate_placeholders(node, state));
    state->has_command = true;
    state->command_is_known = known || state->placeholders == NIL;
    state->command = query::make_command(query, state->tables, state->table_count, state->command_is_known);
    MemoryContextSwitchTo(caller_context);
    if (state->command.sendable)
        pg_entry([&] { query::write_command(state->command, query, state->tables, state->request); });
}

/* Whether a table's collection has a document with all of these predicates. */
bool finds_document(const ScanState *state, int table, const query::FilterNode *const *filters, int filter_count) {
    const SourceOptions &options = state->table_options[table];
    return pg_entry([&] {
        source::Request request;
        request.database = options.database;
        request.collection = options.collection;
        request.filter = query::render_filter(filters, filter_count);
        request.projection = query::make_projection({"_id"});
        request.limit = 1;
        request.simple_collation = true;
        const std::unique_ptr<source::Source> source = make_source(options);
        source->open(request);
        source::Batch batch;
        const bool has_documents = source->next_batch(&batch);
        source->close();
        return has_documents;
    });
}

/* Whether there are documents that call for the local plan. */
bool probes_find_documents(const ScanState *state) {
    bool skips = false;
    for (int i = 0; i < state->command.probe_count; ++i) {
        const query::Probe &probe = state->command.probes[i];
        const bool found = !skips && finds_document(state, probe.table, probe.filters, probe.filter_count);
        if (found && !probe.only_with_next)
            return true;
        skips = probe.only_with_next && !found;
    }
    return false;
}

/* Chooses between the two forms of a command's order (query/order.h). */
void choose_form(ScanState *state) {
    query::Command *command = &state->command;
    if (!command->sort || !command->plain_filter)
        return;
    const int count = command->filter_count;
    const auto filters = static_cast<query::FilterNode **>(
        MemoryContextAlloc(state->command_context, sizeof(query::FilterNode *) * (count + 1)));
    if (count > 0)
        memcpy(filters, command->filters, sizeof(query::FilterNode *) * count);
    filters[count] = command->plain_filter;
    if (!finds_document(state, 0, filters, count + 1))
        return;
    command->needs_pipeline = true;
    pg_entry([&] { query::write_command(*command, state->query, state->tables, state->request); });
}

/* Evaluates the bounds of the chunk and puts them into the request. False if they are NULL, so that there is nothing to
 * read. */
bool set_chunk(ForeignScanState *node, ScanState *state) {
    MemoryContextReset(state->chunk_context);
    bool is_null;
    Datum value = ExecEvalExprSwitchContext(state->chunk_bounds, node->ss.ps.ps_ExprContext, &is_null);
    if (is_null)
        return false;
    MemoryContext caller_context = MemoryContextSwitchTo(state->chunk_context);
    const bytea *bounds = DatumGetByteaPCopy(value);
    MemoryContextSwitchTo(caller_context);
    const bson::View bytes{reinterpret_cast<const uint8_t *>(VARDATA(bounds)), VARSIZE(bounds) - VARHDRSZ};
    pg_entry([&] { state->request->range = source::parse_range(bytes); });
    state->raw_documents =
        state->request->range.kind == source::Range::Kind::raw ? state->request->range.raw.data : nullptr;
    return true;
}

void run_local_plan(ScanState *state) {
    state->runs_local_plan = true;
    ++state->local_plan_runs;
    state->at_end = true;
    state->batch = {};
}

/* The server has found a document for which its answer might not be SQL's. */
bool is_odd(const ScanState *state, bson::View document) {
    const std::string_view name = state->command.odd_field;
    bson::Iterator iterator(document);
    while (iterator.next())
        if (iterator.key() == name)
            return iterator.type() == bson::Type::boolean && iterator.value().bytes[0] != 0;
    return false;
}

/* The next row of the local plan, whose columns are those of the scan, perhaps with more behind them. */
TupleTableSlot *next_local_row(ForeignScanState *node) {
    TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
    /* What the nodes of the local plan allocate lives as long as the query; a scan is asked for rows in a context that
     * is reset with each. */
    MemoryContext caller_context = MemoryContextSwitchTo(node->ss.ps.state->es_query_cxt);
    TupleTableSlot *row = ExecProcNode(outerPlanState(node));
    MemoryContextSwitchTo(caller_context);
    if (TupIsNull(row))
        return slot;
    const int count = slot->tts_tupleDescriptor->natts;
    slot_getsomeattrs(row, count);
    memcpy(slot->tts_values, row->tts_values, sizeof(Datum) * count);
    memcpy(slot->tts_isnull, row->tts_isnull, sizeof(bool) * count);
    return ExecStoreVirtualTuple(slot);
}

/* The server does not do it: it is too old for an operator, a group is larger than it can handle … Rights, credentials,
 * the connection and time limits are another matter. */
bool is_refusal(const Error &error) {
    return error.sqlstate == ERRCODE_FDW_ERROR || error.sqlstate == ERRCODE_FDW_OUT_OF_MEMORY;
}

/* False if the local plan is to be run because the server refuses the command. */
bool start_command(ForeignScanState *node, ScanState *state) {
    const bool has_local_plan = outerPlanState(node) != nullptr;
    return pg_entry([&] {
        try {
            state->source->open(*state->request);
            return true;
        } catch (const Error &error) {
            if (!has_local_plan || !is_refusal(error))
                throw;
        }
        state->source->close();
        return false;
    });
}

/* Opens the source (again). Kept apart so that the row loop has nothing of the exception world in it. */
void open_source(ForeignScanState *node, ScanState *state) {
    state->batch = {};
    state->in_document = false;
    if (state->chunk_bounds && !set_chunk(node, state)) {
        state->at_end = true;
        return;
    }
    make_scan_command(node, state, true);
    if (state->command.empty) {
        state->at_end = true;
        return;
    }
    if (!state->command.sendable || probes_find_documents(state)) {
        run_local_plan(state);
        return;
    }
    choose_form(state);
    state->to_pass_over = state->command.passed_over;
    state->before_open = state->source->statistics();
    if (!start_command(node, state)) {
        run_local_plan(state);
        return;
    }
    if (const char *file_name = state->source->file_name())
        bson::set_file_name(state->plan, file_name);
    state->is_open = true;
    state->at_end = false;
}

void close_source(ScanState *state) {
    if (state->chunk_bounds) {
        const source::Statistics &now = state->source->statistics();
        note_chunk_scan(now.documents - state->before_open.documents, now.bytes - state->before_open.bytes);
    }
    pg_entry([&] { state->source->close(); });
    state->is_open = false;
}

bool next_batch(ScanState *state) {
    return pg_entry([&] { return state->source->next_batch(&state->batch); });
}

/* --- groups --------------------------------------------------------------------------------------------------- */

void finish_values(const ScanState *state, TupleTableSlot *slot) {
    for (int i = 0; i < slot->tts_tupleDescriptor->natts; ++i)
        slot->tts_values[i] =
            query::finish_value(state->finishes[i], state->part_values, state->part_nulls, &slot->tts_isnull[i]);
}

/* The row of a grouping without keys when there was no document. */
void make_row_without_documents(const ScanState *state, TupleTableSlot *slot) {
    memset(state->part_nulls, true, sizeof(bool) * Max(state->command.output_count, 1));
    finish_values(state, slot);
}

bool next_row(const ScanState *state, TupleTableSlot *slot) {
    if (!state->finishes)
        return bson::next_row(state->plan, slot->tts_values, slot->tts_isnull);
    if (!bson::next_row(state->plan, state->part_values, state->part_nulls))
        return false;
    finish_values(state, slot);
    return true;
}

} // namespace

void sketch_command(ForeignScanState *node) {
    /* What is known before the query runs is shown as it is. */
    List *expressions = reinterpret_cast<ForeignScan *>(node->ss.ps.plan)->fdw_exprs;
    make_scan_command(node, static_cast<ScanState *>(node->fdw_state),
                      !depends_on_execution(reinterpret_cast<Node *>(expressions), nullptr));
}

void begin_foreign_scan(ForeignScanState *node, int flags) {
    ForeignScan *scan = reinterpret_cast<ForeignScan *>(node->ss.ps.plan);
    const List *table_ids = static_cast<const List *>(list_nth(scan->fdw_private, private_tables));
    const bool has_chunk = linitial_int(static_cast<const List *>(list_nth(scan->fdw_private, private_chunk))) != 0;

    ScanState *state = static_cast<ScanState *>(palloc0(sizeof(ScanState)));
    node->fdw_state = state;
    describe_tables(state, table_ids, scanning_user(node));
    state->query = query::from_list(static_cast<const List *>(list_nth(scan->fdw_private, private_query)));
    MemoryContext query_context = CurrentMemoryContext;
    state->command_context = AllocSetContextCreate(query_context, "mongoferry command", ALLOCSET_SMALL_SIZES);
    state->request =
        pg_entry([&] { return new_in_context<source::Request>(query_context, whole_collection(state->table)); });
    List *expressions = ExecInitExprList(scan->fdw_exprs, &node->ss.ps);
    if (has_chunk) {
        state->chunk_bounds = static_cast<ExprState *>(llast(expressions));
        state->chunk_context = AllocSetContextCreate(query_context, "mongoferry chunk", ALLOCSET_DEFAULT_SIZES);
        expressions = list_truncate(expressions, list_length(expressions) - 1);
    }
    state->placeholders = expressions;
    if (flags & EXEC_FLAG_EXPLAIN_ONLY) {
        sketch_command(node);
        return;
    }

    state->row_context = AllocSetContextCreate(query_context, "mongoferry row", ALLOCSET_DEFAULT_SIZES);
    if (state->query.output == NIL) {
        const List *stages = static_cast<const List *>(list_nth(scan->fdw_private, private_stages));
        if (stages != NIL)
            state->row_conditions = begin_row_filter(node, stages, state->row_context);
        state->plan = make_row_plan(state->table, state->query.attributes, state->row_conditions);
    } else {
        /* Which outputs there are does not depend on values. */
        const query::Command shape = query::make_command(state->query, state->tables, state->table_count, false);
        state->plan = make_output_plan(state->table, &shape);
        state->finishes = shape.finishes;
        state->part_values = static_cast<Datum *>(palloc0(sizeof(Datum) * Max(shape.output_count, 1)));
        state->part_nulls = static_cast<bool *>(palloc0(sizeof(bool) * Max(shape.output_count, 1)));
    }
    state->source = pg_entry([&] {
        auto *owner = new_in_context<std::unique_ptr<source::Source>>(query_context);
        *owner = make_source(state->table->source);
        if (state->chunk_bounds)
            *owner = source::make_chunk_source(std::move(*owner));
        return owner->get();
    });
}

TupleTableSlot *iterate_foreign_scan(ForeignScanState *node) {
    ScanState *state = static_cast<ScanState *>(node->fdw_state);
    TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
    ExecClearTuple(slot);
    if (!state->is_open && !state->at_end)
        open_source(node, state);
    if (state->runs_local_plan)
        return next_local_row(node);

    MemoryContextReset(state->row_context);
    MemoryContext caller_context = MemoryContextSwitchTo(state->row_context);
    for (;;) {
        if (state->in_document && next_row(state, slot)) {
            if (TTS_EMPTY(slot)) /* the row filter has seen it else */
                ExecStoreVirtualTuple(slot);
            break;
        }
        state->in_document = false;
        bson::View document;
        if (state->batch.next(&document)) {
            if (state->command.odd_field && is_odd(state, document)) {
                MemoryContextSwitchTo(caller_context);
                close_source(state);
                run_local_plan(state);
                return next_local_row(node);
            }
            if (state->to_pass_over > 0) {
                --state->to_pass_over;
                continue;
            }
            const source::Batch &batch = state->batch;
            bson::begin_document(state->plan, document,
                                 batch.first_offset < 0 ? -1 : batch.first_offset + (document.data - batch.start));
            state->in_document = true;
            state->has_row = true;
            if (state->raw_documents)
                last_raw_offset = document.data - state->raw_documents;
            CHECK_FOR_INTERRUPTS(); /* documents without elements give no row to come back from */
            continue;
        }
        if (state->at_end) {
            if (state->command.row_without_documents && !state->has_row) {
                state->has_row = true;
                make_row_without_documents(state, slot);
                ExecStoreVirtualTuple(slot);
            }
            break;
        }
        MemoryContextSwitchTo(caller_context);
        if (!next_batch(state)) {
            state->at_end = true;
            state->batch = {};
        }
        MemoryContextSwitchTo(state->row_context);
    }
    MemoryContextSwitchTo(caller_context);
    if (state->row_conditions)
        InstrCountFiltered1(node, static_cast<double>(bson::take_rows_removed(state->plan)));
    return slot;
}

void rescan_foreign_scan(ForeignScanState *node) {
    /* The next row opens the source anew; a scan that has not begun has nothing to do. */
    ScanState *state = static_cast<ScanState *>(node->fdw_state);
    if (state->is_open)
        close_source(state);
    state->at_end = false;
    state->has_row = false;
    state->runs_local_plan = false; /* the executor rescans the outer plan */
    state->in_document = false;
    state->batch = {};
}

void end_foreign_scan(ForeignScanState *node) {
    ScanState *state = static_cast<ScanState *>(node->fdw_state);
    if (!state || !state->source)
        return;
    if (state->is_open)
        close_source(state);
    finish_parallel_scan(state);
    bson::report_mismatches(state->plan);
}

} // namespace mongoferry::fdw
