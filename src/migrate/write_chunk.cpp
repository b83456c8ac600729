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
#include "migrate/isolation.h"
#include "migrate/source_table.h"
#include "pg/bytea.h"
#include "pg/guard.h"
#include "pg/subtransaction.h"

#include <algorithm>

extern "C" {
#include "commands/trigger.h"
#include "nodes/makefuncs.h"
#include "utils/tuplestore.h"

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

/* How many bytes of documents are held at once while the bad ones are looked for (and one document more). */
constexpr int slice_bytes = 16 * 1024 * 1024;

/* A call of write_chunk(). */
struct Chunk {
    const fdw::TableDescription *table;
    const ChunkStatement *statement;
    const bytea *bounds;       /* NULL: no documents */
    int64 max_refused;         /* -1: any number */
    MemoryContext try_context; /* of one try and what is made of its outcome */
    ReturnSetInfo *result;
    Totals totals;
};

/* Documents one after the other. */
struct Slice {
    StringInfoData bytes;
    int *starts; /* count + 1 */
    size_t count;
    size_t capacity;
    bool is_last; /* there are no more after it */
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

/* False if there is no document left. */
bool read_slice(Reading *reading, Slice *slice) {
    resetStringInfo(&slice->bytes);
    slice->count = 0;
    slice->is_last = false;
    while (slice->bytes.len < slice_bytes) {
        bson::View document;
        if (!next_document(reading, &document)) {
            slice->is_last = true;
            break;
        }
        if (slice->count + 1 >= slice->capacity) {
            slice->capacity *= 2;
            slice->starts = static_cast<int *>(repalloc(slice->starts, slice->capacity * sizeof(int)));
        }
        slice->starts[slice->count++] = slice->bytes.len;
        appendBinaryStringInfo(&slice->bytes, reinterpret_cast<const char *>(document.data),
                               static_cast<int>(document.size));
        slice->starts[slice->count] = slice->bytes.len;
    }
    return slice->count > 0;
}

bson::View bytes_of(const Slice *slice, Isolation::Piece piece) {
    const int start = slice->starts[piece.first];
    return {reinterpret_cast<const uint8_t *>(slice->bytes.data) + start,
            static_cast<size_t>(slice->starts[piece.end] - start)};
}

const bytea *bounds_of(const Slice *slice, Isolation::Piece piece) {
    return pg_entry([&] {
        source::Range range;
        range.kind = source::Range::Kind::raw;
        range.raw = bytes_of(slice, piece);
        const bson::Document bounds = source::render_range(range);
        return pg_guard([&] { return make_bytea(bounds.data(), bounds.size()); });
    });
}

/* The document of the piece that the statement had been given last when it failed. */
size_t document_at_hand(const Slice *slice, Isolation::Piece piece) {
    const int64_t offset = fdw::chunk_scans().raw_offset;
    if (offset < 0)
        return Isolation::unknown;
    const int at = slice->starts[piece.first] + static_cast<int>(offset);
    const int *found = std::upper_bound(slice->starts + piece.first, slice->starts + piece.end, at);
    return static_cast<size_t>(found - slice->starts) - 1;
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
    tuplestore_putvalues(chunk->result->setResult, chunk->result->setDesc, values, nulls);
    ++chunk->totals.refused;
}

/* False as soon as more documents are refused than may be. */
bool isolate_in_slice(Chunk *chunk, const Slice *slice, Isolation *isolation) {
    while (!isolation->finished()) {
        CHECK_FOR_INTERRUPTS();
        MemoryContextReset(chunk->try_context);
        const Isolation::Piece piece = isolation->next();
        const ErrorData *error = try_documents(
            chunk, piece.size() <= few_documents ? PlannedFor::few : PlannedFor::chunk, bounds_of(slice, piece));
        if (!error) {
            isolation->succeeded();
            continue;
        }
        const size_t at = document_at_hand(slice, piece);
        isolation->failed(at);
        if (piece.size() > 1)
            continue;
        if (at == Isolation::unknown) /* it failed before it had read the document: it is not the document's fault */
            ReThrowError(const_cast<ErrorData *>(error));
        refuse(chunk, bytes_of(slice, piece), error);
        if (chunk->max_refused >= 0 && chunk->totals.refused > chunk->max_refused)
            return false;
    }
    return true;
}

/* Writes what can be written of the chunk. False if it was stopped by max_refused. */
bool isolate(Chunk *chunk) {
    MemoryContext context = CurrentMemoryContext;
    Reading *reading = open_reading(context, chunk->table, chunk->bounds, -1);
    Slice slice{};
    initStringInfo(&slice.bytes);
    slice.capacity = 1024;
    slice.starts = static_cast<int *>(palloc(slice.capacity * sizeof(int)));
    Isolation isolation;
    bool goes_on = true;
    while (goes_on && !slice.is_last && read_slice(reading, &slice)) {
        chunk->totals.documents += static_cast<int64>(slice.count);
        chunk->totals.bytes += slice.bytes.len;
        isolation.begin(slice.count);
        MemoryContextSwitchTo(chunk->try_context);
        goes_on = isolate_in_slice(chunk, &slice, &isolation);
        MemoryContextSwitchTo(context);
    }
    close_reading(reading);
    return goes_on;
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
    InitMaterializedSRF(fcinfo, 0);
    Chunk chunk{};
    chunk.result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
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
