/*
 * mongoferry.write_chunk(): one chunk of a source into its target.
 *
 * The statement runs over the whole chunk in one subtransaction. If data is what makes it fail, the documents of the
 * chunk are read once, raw, and the statement is run over parts of them (isolation.h), each part in a subtransaction of
 * its own, until each document is either written or refused. The source is not read again for the parts: their bounds
 * bring the documents along (kind raw, source/range.h).
 *
 * POD world. The caller's transaction keeps what was written.
 */
#include "fdw/chunk_scans.h"
#include "migrate/chunk_statement.h"
#include "migrate/document_reader.h"
#include "migrate/document_slice.h"
#include "migrate/isolation.h"
#include "migrate/source_table.h"
#include "pg/set_returning.h"
#include "pg/subtransaction.h"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_constraint.h"
#include "commands/trigger.h"
#include "nodes/makefuncs.h"
#include "utils/syscache.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_write_chunk);
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_chunk_totals);
}

namespace mongoferry::migrate {

namespace {

/* What chunk_totals() tells. */
struct Totals {
    int64 documents;
    int64 bytes;
    int64 rows_written;
    int64 refused;
    bool stopped;
};
Totals last_totals;
bool is_running = false;

/* A call of write_chunk(). */
struct Chunk {
    const fdw::TableDescription *table;
    const ChunkStatement *statement;
    const bytea *bounds;       /* NULL: no documents */
    int64 max_refused;         /* -1: any number */
    MemoryContext try_context; /* of one try and what is made of its outcome */
    ResultRows refusals;
    DocumentSlice *postponed; /* documents that may find later ones to refer to; NULL: there is no later */
    Totals totals;
};

/* An error that says nothing about the documents: of rights, resources, connections, the statement or the server. It is
 * raised, so that the chunk is tried again or the task fails. */
bool is_of_environment(const ErrorData *error) {
    const int sqlstate = error->sqlerrcode;
    /* Row-level security refuses a row as a CHECK constraint does, if with the SQLSTATE of missing rights. */
    if (sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE && error->funcname &&
        strcmp(error->funcname, "ExecWithCheckOptions") == 0)
        return false;
    switch (ERRCODE_TO_CATEGORY(sqlstate)) {
    case MAKE_SQLSTATE('0', '8', '0', '0', '0'): /* connection */
    case MAKE_SQLSTATE('2', '5', '0', '0', '0'): /* transaction state */
    case MAKE_SQLSTATE('2', '6', '0', '0', '0'): /* statement name */
    case MAKE_SQLSTATE('2', '8', '0', '0', '0'): /* authorization */
    case MAKE_SQLSTATE('2', 'D', '0', '0', '0'): /* transaction termination */
    case MAKE_SQLSTATE('3', 'D', '0', '0', '0'): /* catalog name */
    case MAKE_SQLSTATE('3', 'F', '0', '0', '0'): /* schema name */
    case MAKE_SQLSTATE('4', '0', '0', '0', '0'): /* transaction rollback */
    case MAKE_SQLSTATE('4', '2', '0', '0', '0'): /* syntax, access rule */
    case MAKE_SQLSTATE('5', '3', '0', '0', '0'): /* resources */
    case MAKE_SQLSTATE('5', '5', '0', '0', '0'): /* object state */
    case MAKE_SQLSTATE('5', '7', '0', '0', '0'): /* operator intervention: cancelling is among them */
    case MAKE_SQLSTATE('5', '8', '0', '0', '0'): /* system */
    case MAKE_SQLSTATE('7', '2', '0', '0', '0'): /* snapshot */
    case MAKE_SQLSTATE('H', 'V', '0', '0', '0'): /* foreign-data wrapper */
        return true;
    case MAKE_SQLSTATE('X', 'X', '0', '0', '0'):
        return sqlstate != ERRCODE_DATA_CORRUPTED; /* a damaged document */
    default:
        return false;
    }
}

/* Every constraint judges at the end of the statement, so that what it refuses can be told. */
void set_constraints_immediate() {
    ConstraintsSetStmt *all = makeNode(ConstraintsSetStmt);
    all->deferred = false;
    AfterTriggerSetState(all);
}

/* Runs the statement over the documents in the bounds, which are in the context of the try. NULL: their rows are
 * written. Else they are not, and the error says why; it is one of data, all others are raised. */
ErrorData *try_documents(Chunk *chunk, PlannedFor planned_for, const bytea *bounds) {
    fdw::reset_chunk_scans();
    uint64 rows = 0;
    ErrorData *error = in_subtransaction([&] {
        rows = run_chunk_statement(chunk->statement, planned_for, bounds);
        return true;
    });
    if (!error) {
        chunk->totals.rows_written += static_cast<int64>(rows);
        return nullptr;
    }
    forget_expected_documents();
    if (is_of_environment(error))
        ReThrowError(error);
    return error;
}

/* A row of the result: the document and why it was refused. */
void refuse(Chunk *chunk, bson::View document, const ErrorData *error) {
    Datum values[9];
    bool nulls[lengthof(values)];
    document_columns(document, values, nulls);
    const char *const texts[] = {unpack_sql_state(error->sqlerrcode),
                                 error->message ? error->message : "unknown error",
                                 error->detail,
                                 error->hint,
                                 error->constraint_name,
                                 error->column_name};
    for (size_t i = 0; i < lengthof(texts); ++i) {
        nulls[3 + i] = texts[i] == nullptr;
        values[3 + i] = texts[i] ? CStringGetTextDatum(texts[i]) : 0;
    }
    chunk->refusals.put(values, nulls);
    ++chunk->totals.refused;
}

/* A foreign key of a table to itself was violated: what it refers to may be among the documents that follow. In a
 * partitioned table the constraint is a partition's, and refers to the table. */
bool is_reference_to_itself(const ErrorData *error) {
    if (error->sqlerrcode != ERRCODE_FOREIGN_KEY_VIOLATION || !error->schema_name || !error->table_name ||
        !error->constraint_name)
        return false;
    const Oid table = get_relname_relid(error->table_name, get_namespace_oid(error->schema_name, true));
    if (!OidIsValid(table))
        return false;
    HeapTuple tuple =
        SearchSysCache1(CONSTROID, ObjectIdGetDatum(get_relation_constraint_oid(table, error->constraint_name, true)));
    if (!HeapTupleIsValid(tuple))
        return false;
    const Oid referenced = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple))->confrelid;
    ReleaseSysCache(tuple);
    return referenced == table ||
           (get_rel_relispartition(table) && list_member_oid(get_partition_ancestors(table), referenced));
}

/* The document has failed alone. False if more documents are refused now than may be. */
bool settle(Chunk *chunk, bson::View document, const ErrorData *error) {
    if (chunk->postponed && !chunk->postponed->is_full() && is_reference_to_itself(error)) {
        append_document(chunk->postponed, document);
        return true;
    }
    refuse(chunk, document, error);
    return chunk->max_refused < 0 || chunk->totals.refused <= chunk->max_refused;
}

/* Writes what can be written of the documents. False as soon as more are refused than may be. */
bool isolate_in_slice(Chunk *chunk, const DocumentSlice *slice, Isolation *isolation) {
    MemoryContext context = MemoryContextSwitchTo(chunk->try_context);
    bool goes_on = true;
    for (isolation->begin(slice->count); goes_on && !isolation->finished();) {
        CHECK_FOR_INTERRUPTS();
        MemoryContextReset(chunk->try_context);
        const Isolation::Piece piece = isolation->next();
        ErrorData *error = try_documents(chunk, piece.size() <= few_documents ? PlannedFor::few : PlannedFor::chunk,
                                         raw_bounds(slice, piece.first, piece.end));
        if (!error) {
            isolation->succeeded();
            continue;
        }
        const int64_t offset = fdw::chunk_scans().raw_offset;
        isolation->failed(offset < 0 ? Isolation::unknown : document_at(slice, piece.first, offset));
        if (piece.size() > 1)
            continue;
        if (offset < 0) /* it failed before it had read the document: it is not the document's fault */
            ReThrowError(error);
        goes_on = settle(chunk, slice->view(piece.first, piece.end), error);
    }
    MemoryContextSwitchTo(context);
    return goes_on;
}

/* The documents that referred to others of their table which were not there: again, as long as that helps. Each time in
 * the reverse order, so that a chain of them is written in one go in whichever direction it runs. */
bool isolate_postponed(Chunk *chunk) {
    constexpr int most_passes = 50; /* more are of no use to anybody but a chain of thousands in disorder */
    DocumentSlice current = make_slice();
    DocumentSlice left = *chunk->postponed;
    bool goes_on = true;
    bool is_last = false;
    for (int pass = 1; goes_on && left.count > 0; ++pass) {
        clear_slice(&current);
        for (size_t i = left.count; i-- > 0;)
            append_document(&current, left.view(i, i + 1));
        clear_slice(&left);
        chunk->postponed = is_last ? nullptr : &left;
        Isolation isolation;
        goes_on = isolate_in_slice(chunk, &current, &isolation);
        /* What is left when it does not help is tried once more, for the errors. */
        is_last = left.count == current.count || pass == most_passes;
    }
    return goes_on;
}

/* Writes what can be written of the chunk. False if it was stopped by max_refused. */
bool isolate(Chunk *chunk) {
    Reading *reading = open_reading(CurrentMemoryContext, chunk->table, chunk->bounds, -1);
    DocumentSlice slice = make_slice();
    DocumentSlice postponed = make_slice();
    chunk->postponed = &postponed;
    Isolation isolation;
    bool goes_on = true;
    for (bool is_last = false; goes_on && !is_last;) {
        clear_slice(&slice);
        bson::View document;
        while (!slice.is_full() && !is_last) {
            if (next_document(reading, &document))
                append_document(&slice, document);
            else
                is_last = true;
        }
        chunk->totals.documents += static_cast<int64>(slice.count);
        chunk->totals.bytes += slice.bytes.len;
        goes_on = isolate_in_slice(chunk, &slice, &isolation);
    }
    close_reading(reading);
    return goes_on && isolate_postponed(chunk);
}

/* SPI is connected, and the current memory context lives until it is disconnected. */
void write_chunk(Chunk *chunk) {
    set_constraints_immediate();
    chunk->try_context = AllocSetContextCreate(CurrentMemoryContext, "mongoferry try", ALLOCSET_DEFAULT_SIZES);

    MemoryContext context = MemoryContextSwitchTo(chunk->try_context);
    const ErrorData *error = try_documents(chunk, PlannedFor::chunk, chunk->bounds);
    MemoryContextSwitchTo(context);
    if (!error) {
        const fdw::ChunkScans scans = fdw::chunk_scans();
        chunk->totals.documents = scans.documents;
        chunk->totals.bytes = scans.bytes;
        return;
    }
    /* In a subtransaction, so that all of it can be taken back, and the tries' subtransactions have none of the
     * caller's to roll back when an error leaves us. */
    bson::hold_mismatches(context);
    ErrorData *raised = in_subtransaction([chunk] {
        chunk->totals.stopped = !isolate(chunk);
        return !chunk->totals.stopped;
    });
    if (raised)
        ReThrowError(raised);
    if (chunk->totals.stopped) {
        chunk->totals.rows_written = 0;
        bson::forget_held_mismatches();
    } else {
        bson::tell_held_mismatches();
    }
}

/* Marks that a call is running until the current memory context goes, in whatever way. */
void mark_running() {
    if (is_running)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE), errmsg("write_chunk() cannot be called while it is running")));
    MemoryContextCallback *at_end = static_cast<MemoryContextCallback *>(palloc0(sizeof(MemoryContextCallback)));
    at_end->func = [](void *) {
        is_running = false;
        forget_expected_documents();
        bson::forget_held_mismatches();
    };
    MemoryContextRegisterResetCallback(CurrentMemoryContext, at_end);
    is_running = true;
}

} // namespace

} // namespace mongoferry::migrate

extern "C" Datum mongoferry_write_chunk(PG_FUNCTION_ARGS) {
    using namespace mongoferry::migrate;
    for (int i = 0; i < 2; ++i)
        if (PG_ARGISNULL(i))
            ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                            errmsg("source and statement of write_chunk() must not be NULL")));
    Chunk chunk{};
    chunk.refusals = mongoferry::begin_result_rows(fcinfo);
    chunk.bounds = PG_ARGISNULL(2) ? nullptr : PG_GETARG_BYTEA_PP(2);
    chunk.max_refused = PG_ARGISNULL(3) ? -1 : PG_GETARG_INT64(3);
    if (!PG_ARGISNULL(3) && chunk.max_refused < 0)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("max_refused must not be negative")));
    chunk.table = describe_source_table(PG_GETARG_OID(0), SourceAccess::documents);
    const char *statement = text_to_cstring(PG_GETARG_TEXT_PP(1));

    if (SPI_connect() != SPI_OK_CONNECT)
        elog(ERROR, "SPI_connect failed");
    mark_running();
    last_totals = {};
    chunk.statement = prepare_chunk_statement(statement);
    if (chunk.bounds)
        write_chunk(&chunk);
    last_totals = chunk.totals;
    if (SPI_finish() != SPI_OK_FINISH)
        elog(ERROR, "SPI_finish failed");
    return 0;
}

extern "C" Datum mongoferry_chunk_totals(PG_FUNCTION_ARGS) {
    using mongoferry::migrate::last_totals;
    TupleDesc row;
    if (get_call_result_type(fcinfo, nullptr, &row) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    Datum values[] = {Int64GetDatum(last_totals.documents), Int64GetDatum(last_totals.bytes),
                      Int64GetDatum(last_totals.rows_written), Int64GetDatum(last_totals.refused),
                      BoolGetDatum(last_totals.stopped)};
    bool nulls[lengthof(values)] = {};
    return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls));
}
