/*
 * A remote query (remote_query.h) made into what the server is asked: a find, or the stages of a pipeline.
 *
 * make_command() is POD world: it looks at catalogs and values; what it returns is palloc'd. write_command() puts it
 * into a Request (exception world).
 */
#pragma once

#include "pg/backend.h"

#include "bson/conversion_options.h"
#include "query/filter.h"
#include "query/group_finish.h"
#include "query/remote_query.h"
#include "query/translation.h"
#include "source/source.h"

namespace mongoferry::query {

/* A field of the documents that come back, for one column of a row that is not a table's. */
struct OutputField {
    const char *column_name; /* for messages */
    const char *path;        /* in the documents that come back */
    Oid type;
    int32 typmod;
    bson::ConversionOptions options;
};

/* Documents of one table that must not exist. */
struct Probe {
    int table;            /* from 0 on */
    FilterNode **filters; /* all must hold */
    int filter_count;
    bool only_with_next; /* they matter only if the next probe finds a document too */
};

struct Command {
    /* False where a value of a placeholder turned out to be one for which the translation is not exact (and the query
     * needs that): the local plan has to be run. A scan of a table's rows is always sendable: it sends less. */
    bool sendable;

    FilterNode **filters; /* of the first table; all must hold */
    int filter_count;

    ServerValue *pipeline;  /* an array of the stages behind the filters' $match; NULL: a find */
    ServerValue *sort;      /* of a find: a document, or NULL */
    int64 offset;           /* of a find */
    int64 limit;            /* of a find; -1: none */
    int offset_placeholder; /* > 0: of a value that is not known yet, to be shown by EXPLAIN */
    int limit_placeholder;
    /* With both sort and pipeline: a find with that sort gives the same rows if there is no document with these
     * predicates (besides the filters), which is asked first. */
    FilterNode *plain_filter;
    bool needs_pipeline; /* there is such a document */
    int64 passed_over;   /* documents of the answer that come before the offset, and are dropped here */
    bool empty;          /* no document can be wanted: nothing is asked */

    /* Asked for before the command; if one of them finds a document, the local plan is called for. */
    Probe *probes;
    int probe_count;
    /* A pipeline's documents may have a field of this name at the top; where it is true the local plan is called for.
     * NULL: there is none. */
    const char *odd_field;

    OutputField *outputs; /* for RemoteQuery.output, in its order; NULL for a scan of a table's rows */
    int output_count;
    /* A grouped query: how RemoteQuery.output, in its order, is made of the outputs, which then are parts. Else NULL.
     */
    Finish *finishes;
    int finish_count;
    /* If there is no document, there is one row all the same: counts of 0, and else NULL. */
    bool row_without_documents;

    List *reasons; /* of Reason *: why it is not sendable */
};

/* values_known: false for a trial, or to be shown by EXPLAIN. The outputs do not depend on values. */
Command make_command(const RemoteQuery &query, const TranslatedTable *tables, int table_count, bool values_known);

/* Appends a probe for documents that have all of filters, and odd; nothing if that is NULL. */
void add_probe(Command *command, int table, FilterNode *const *filters, int filter_count, FilterNode *odd);

/* The projection for paths as the catalogs have them, in the database's encoding, and for the array that the table is
 * unwound by. Exception world. */
bson::Document make_field_projection(std::vector<std::string> paths, const RelationFields &fields);

/* Sets filter, projection, pipeline, sort, offset and limit of the request. */
void write_command(const Command &command, const RemoteQuery &query, const TranslatedTable *tables,
                   source::Request *request);

} // namespace mongoferry::query
