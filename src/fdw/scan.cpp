/*
 * Running a scan: batches from a source, rows from documents.
 *
 * The source lives in the exception world and is reached once a batch; everything done for each row is of the POD
 * world.
 */
#include "fdw/callbacks.h"

#include "fdw/chunk_scans.h"
#include "pg/guard.h"
#include "query/projection.h"
#include "source/chunk_source.h"

extern "C" {
#include "access/table.h"
#include "executor/executor.h"
#include "utils/rel.h"
}

namespace mongoferry::fdw {

namespace {

/* "database.collection" for messages, or the collection alone where no database is named. */
const char *collection_name(const SourceOptions &options) {
    return options.database ? psprintf("%s.%s", options.database, options.collection) : options.collection;
}

bson::FieldPlan *make_scan_plan(Relation relation, const TableDescription *table, const List *attributes) {
    int count = list_length(attributes);
    bson::FieldSpec *specs = static_cast<bson::FieldSpec *>(palloc0(sizeof(bson::FieldSpec) * Max(count, 1)));
    int i = 0;
    ListCell *cell;
    foreach (cell, attributes) {
        int slot = lfirst_int(cell) - 1;
        const query::Field &field = table->fields.fields[slot];
        specs[i++] = {slot, field.column_name, field.path, field.type, field.typmod, field.options};
    }
    return bson::make_field_plan(
        specs, count, table->fields.count, table->fields.unwind, table->fields.unwind_outer,
        {RelationGetRelationName(relation), collection_name(table->source), table->source.dump});
}

source::Request make_request(const TableDescription *table, const Const *filter, const List *attributes) {
    source::Request request;
    request.database = table->source.database ? table->source.database : "";
    request.collection = table->source.collection;
    request.batch_size = table->fetch_size;
    if (filter && !filter->constisnull) {
        bytea *bytes = DatumGetByteaPP(filter->constvalue);
        const uint8_t *data = reinterpret_cast<const uint8_t *>(VARDATA_ANY(bytes));
        request.filter.assign(data, data + VARSIZE_ANY_EXHDR(bytes));
    }
    std::vector<std::string_view> paths;
    ListCell *cell;
    foreach (cell, attributes)
        paths.push_back(table->fields.fields[lfirst_int(cell) - 1].path);
    if (table->fields.unwind)
        paths.push_back(table->fields.unwind);
    request.projection = query::make_projection(paths);
    return request;
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

/* Opens the source (again). Kept apart so that the row loop has nothing of the exception world in it. */
void open_source(ForeignScanState *node, ScanState *state) {
    state->batch = {};
    state->in_document = false;
    if (state->chunk_bounds && !set_chunk(node, state)) {
        state->at_end = true;
        return;
    }
    state->before_open = state->source->statistics();
    pg_entry([&] { state->source->open(*state->request); });
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

} // namespace

void begin_foreign_scan(ForeignScanState *node, int flags) {
    ForeignScan *scan = reinterpret_cast<ForeignScan *>(node->ss.ps.plan);
    Relation relation = node->ss.ss_currentRelation;
    const Const *filter = static_cast<const Const *>(list_nth(scan->fdw_private, private_filter));
    const List *attributes = static_cast<const List *>(list_nth(scan->fdw_private, private_attributes));

    ScanState *state = static_cast<ScanState *>(palloc0(sizeof(ScanState)));
    node->fdw_state = state;
    state->table = describe_table(relation, scan->scan.scanrelid, scanning_user(node));
    MemoryContext query_context = CurrentMemoryContext;
    state->request = pg_entry(
        [&] { return new_in_context<source::Request>(query_context, make_request(state->table, filter, attributes)); });
    if (flags & EXEC_FLAG_EXPLAIN_ONLY)
        return;

    state->plan = make_scan_plan(relation, state->table, attributes);
    state->row_context = AllocSetContextCreate(query_context, "mongoferry row", ALLOCSET_DEFAULT_SIZES);
    if (scan->fdw_exprs != NIL) {
        state->chunk_bounds = ExecInitExpr(static_cast<Expr *>(linitial(scan->fdw_exprs)), &node->ss.ps);
        state->chunk_context = AllocSetContextCreate(query_context, "mongoferry chunk", ALLOCSET_DEFAULT_SIZES);
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

    MemoryContextReset(state->row_context);
    MemoryContext caller_context = MemoryContextSwitchTo(state->row_context);
    for (;;) {
        if (state->in_document && bson::next_row(state->plan, slot->tts_values, slot->tts_isnull)) {
            ExecStoreVirtualTuple(slot);
            break;
        }
        state->in_document = false;
        bson::View document;
        if (state->batch.next(&document)) {
            const source::Batch &batch = state->batch;
            bson::begin_document(state->plan, document,
                                 batch.first_offset < 0 ? -1 : batch.first_offset + (document.data - batch.start));
            state->in_document = true;
            if (state->raw_documents)
                last_raw_offset = document.data - state->raw_documents;
            CHECK_FOR_INTERRUPTS(); /* documents without elements give no row to come back from */
            continue;
        }
        if (state->at_end)
            break;
        MemoryContextSwitchTo(caller_context);
        if (!next_batch(state)) {
            state->at_end = true;
            state->batch = {};
        }
        MemoryContextSwitchTo(state->row_context);
    }
    MemoryContextSwitchTo(caller_context);
    return slot;
}

void rescan_foreign_scan(ForeignScanState *node) {
    /* The next row opens the source anew; a scan that has not begun has nothing to do. */
    ScanState *state = static_cast<ScanState *>(node->fdw_state);
    if (state->is_open)
        close_source(state);
    state->at_end = false;
    state->in_document = false;
    state->batch = {};
}

void end_foreign_scan(ForeignScanState *node) {
    ScanState *state = static_cast<ScanState *>(node->fdw_state);
    if (!state || !state->source)
        return;
    if (state->is_open)
        close_source(state);
    bson::report_mismatches(state->plan);
}

} // namespace mongoferry::fdw
