/*
 * The field plan: made once a scan, it knows which paths of a document go into which columns and how each BSON type
 * becomes that column's type. Reading a document walks its bytes once and writes Datums.
 *
 * POD world (pg/guard.h): everything is palloc'd in one memory context, functions raise by ereport, nothing has a
 * destructor. Values are allocated in CurrentMemoryContext, which the scan resets for each row.
 */
#pragma once

#include "pg/backend.h"

#include "bson/conversion_options.h"
#include "bson/view.h"

namespace mongoferry::bson {

/* A column that a scan wants. */
struct FieldSpec {
    int slot;                /* where in values[]/nulls[] it goes: attnum - 1 */
    const char *column_name; /* for messages */
    const char *path;        /* dotted path; "$$ROOT" the document as stored; "$$INDEX" the position in unwind */
    Oid type;
    int32 typmod; /* -1 for none; acts as an assignment cast would */
    ConversionOptions options;
    int stage =
        0; /* of the row filter, if there is one: read before this stage is asked, or, beyond the last, at the end */
};

/* Where the documents come from, for messages. */
struct PlanSource {
    const char *relation_name; /* the foreign table */
    const char *collection;    /* "database.collection", or the collection's name in a file */
    const char *file_name;     /* NULL for a live server; else a corrupt document's error names it with its offset */
};

struct FieldPlan; /* field_plan.cpp's own */

/*
 * Builds the plan in the current memory context. unwind is the path of the array that gives a row for each element, or
 * NULL; paths at or below it are read from the element, others from the document. Raises 0A000/HV004 for a column type
 * that no BSON value can become, naming the column. slot_count is the length of the values[] and nulls[] arrays.
 */
FieldPlan *make_field_plan(const FieldSpec *fields, int field_count, int slot_count, const char *unwind,
                           bool unwind_outer, const PlanSource &source);

/* Names the file in messages, where the scan learned it later than the plan was made. Copies it. */
void set_file_name(FieldPlan *plan, const char *file_name);

/*
 * Conditions that rows must satisfy, checked while a row is read. They are asked in stages, each as soon as its columns
 * are there, and each may look at the columns of its own stage and of those before. Columns of later stages are not
 * converted until then; of a row that fails they never are: what does not fit there is neither refused nor counted, and
 * the rest of the document is not looked at.
 */
struct RowFilter {
    int stage_count;
    /* Whether the row passes, by what next_row()'s values and nulls hold. May raise. If it says false it may reset the
     * row's memory context, or better should: next_row() goes on to the document's next row. */
    bool (*passes)(void *context, int stage);
    void *context;
    bool counts_rows; /* take_rows_removed() must be exact */
};

/* Before the first document. */
void set_row_filter(FieldPlan *plan, const RowFilter &filter);

/* How many rows the filter has removed since the last call. A document all of whose rows are passed over at once counts
 * for one row, unless counts_rows is set. */
int64_t take_rows_removed(FieldPlan *plan);

/*
 * Reads the next document's rows:
 *
 *     begin_document(plan, document, offset);
 *     while (next_row(plan, values, nulls)) …            (once for a table without unwind)
 *
 * The document's bytes must stay valid until its last row is read. offset is that of the document in the file's
 * decompressed bytes, or -1. next_row sets all slots: those that no field names, and missing ones, to NULL. Rows that
 * the filter removes are passed over. Raises 22xxx errors for values that do not fit (unless on_mismatch says null),
 * XX001 (files) or HV000 for corrupt documents. Before next_row() is called for a row the caller resets the row's
 * memory context if it wants the previous row freed.
 */
void begin_document(FieldPlan *plan, View document, int64_t offset);
bool next_row(FieldPlan *plan, Datum *values, bool *nulls);

/* One WARNING for each plan that turned values into NULL because of on_mismatch: how many of which columns, with the
 * first _id per column. Called at the end of the scan; resets the counters. */
void report_mismatches(FieldPlan *plan);

/* For a scan that several processes share. take_mismatches() calls take for each column that would be reported, with
 * its number (from 0 to below count_columns(), the same in plans made alike), and resets the counters; add_mismatches()
 * is the reverse. first_id is copied by who wants to keep it. */
using TakeMismatches = void (*)(void *context, int column, int64_t count, const char *first_id);
int count_columns(const FieldPlan *plan);
void take_mismatches(FieldPlan *plan, TakeMismatches take, void *context);
void add_mismatches(FieldPlan *plan, int column, int64_t count, const char *first_id);

/* For a statement that is run over many small parts: from hold_mismatches() on all plans' reports are added up, in
 * context, until they are told in one WARNING for each foreign table, or forgotten. Context must not go before that. */
void hold_mismatches(MemoryContext context);
void tell_held_mismatches();
void forget_held_mismatches();

/* Splits and checks a path as options accept it: no empty text, no empty component at its ends … Returns NULL if
 * it is fine, else what is wrong, in words for errdetail. */
const char *check_path(const char *path);

} // namespace mongoferry::bson
