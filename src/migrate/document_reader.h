/*
 * Reading the documents behind a foreign table as they are, whatever its columns say, and showing them as columns.
 *
 * POD world: the source is reached once a batch, through pg_entry(), as in a scan (fdw/scan.cpp).
 */
#pragma once

#include "pg/backend.h"

#include "fdw/callbacks.h"

namespace mongoferry::migrate {

/* A reading in progress. */
struct Reading {
    source::Source *source; /* owned by the memory context that the reading was opened in; NULL once it is closed */
    source::Batch batch;
    int64 left; /* documents to give yet; -1: all */
};

/* Bounds that are NULL are the whole collection's. They must live as long as the range. Exception world; throws Error
 * (22023). */
source::Range range_of(const bytea *bounds);

/* What to ask the source of a table for. Exception world. */
source::Request make_document_request(const fdw::TableDescription *table, source::Range range);

/* The documents in the bounds (NULL: all; they must live as long as context), in the order of the source; maximum -1:
 * all of them, else no more than that. sample: a live server chooses them at random, and may choose one twice. Raises
 * what the source raises, and 22023 for bounds that are none. */
Reading *open_reading(MemoryContext context, const fdw::TableDescription *table, const bytea *bounds, int64 maximum,
                      bool sample = false);

/* False at the end. The document is valid until the next call. Interruptible. */
bool next_document(Reading *reading, bson::View *document);

/* Ends the reading; harmless when it has ended. */
void close_reading(Reading *reading);

/* The columns source_id jsonb, document jsonb and raw bytea of a document, in the current memory context: three values
 * and three null flags. What jsonb can't hold is NULL there. */
void document_columns(bson::View document, Datum *values, bool *nulls);

} // namespace mongoferry::migrate
