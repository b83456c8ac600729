/*
 * How many rows a foreign table has, how many of them a scan brings, and what that may cost.
 *
 * Where the numbers come from, the first that there is:
 *
 *   1. in_chunk(): the size of the chunk.
 *   2. ANALYZE, unless use_remote_estimate is on.
 *   3. the server's statistics of the collection (source/live/collection_statistics.h), or a file's size.
 *   4. constants.
 *
 * Selectivities of conditions are PostgreSQL's own, which rest on what ANALYZE has found. With use_remote_estimate the
 * server counts the documents that the filter lets through, up to a limit and in a bounded time; MongoDB's explain is
 * of no use, because it has no cardinalities but those of a query that was run.
 *
 * Costs are in the planner's units (seq_page_cost = 1). A command costs fdw_startup_cost, a document on its way here
 * fdw_tuple_cost and its bytes, each further batch a round trip, and a document that the server looks at what a tuple
 * costs here, or with an index a part of a random page.
 *
 * POD world (pg/guard.h) but for the headers it uses. Nothing here raises because of a server that does not answer.
 */
#pragma once

#include "pg/backend.h"

extern "C" {
#include "nodes/pathnodes.h"
}

namespace mongoferry::fdw {

/* callbacks.h */
struct TableDescription;
struct RelationInfo;

/* How ANALYZE reads a live collection. */
enum class AnalyzeSampling : uint8_t {
    automatic, /* small ones whole, of others $sample */
    random,    /* $sample */
    off        /* all of it */
};

/* Options of server and table that concern planning. */
struct PlanningOptions {
    bool use_remote_estimate;
    Cost startup_cost; /* fdw_startup_cost */
    Cost tuple_cost;   /* fdw_tuple_cost */
    AnalyzeSampling analyze_sampling;
};
PlanningOptions planning_options(const List *server_options, const List *table_options, bool is_file);

/* What is expected of a base relation. */
struct BaseEstimate {
    double documents;         /* of the collection, or of the chunk */
    double document_bytes;    /* mean size, of BSON */
    double rows_per_document; /* 1 for a table that is not unwound */
    double examined;          /* documents that the server (the reader of a file) has to look at */
    double matching;          /* documents that the filter lets through: those that travel */
    double transfer_bytes;    /* of BSON: what is asked for of one document */
    Cost server_cost;         /* of finding the documents that match, before they are sent */
};

/*
 * Estimates, and sets relation->tuples, rows, width and baserestrictcost. info: of the relation, with the conditions
 * that are sent, its attributes and tables. chunk_documents: of in_chunk(); negative if the whole collection is read.
 * May ask the server, see above.
 */
BaseEstimate estimate_base_relation(PlannerInfo *root, RelOptInfo *relation, const RelationInfo *info,
                                    double chunk_documents);

/*
 * What a command costs is fdw_startup_cost (table->planning.startup_cost), what the server does for its documents
 * (BaseEstimate.server_cost, of a relation of any kind), and what it costs to have them here.
 *
 * cost_of_sending: documents of `bytes` each, in as many batches as they take. Nothing that is done with them here.
 */
Cost cost_of_sending(const TableDescription *table, double documents, double bytes);

/* A command that is sent again and again on the same connection costs only the way there and back. */
Cost cost_of_round_trip(const TableDescription *table);

/* The bytes of a document with values of this width altogether, as a planner's target tells it. */
double bytes_of_values(int width);

/* What it costs the server to look one document up in a collection, as $lookup does: with an index, or by going through
 * the `documents` there are. */
Cost cost_of_look_up(bool indexed, double documents);

/* What it costs the server to look at all documents of a base relation, whatever index there is for the filter. */
Cost cost_of_examining_all(const BaseEstimate &estimate);

/* The cost of scanning the base relation, with the conditions that are checked again here. */
void cost_base_scan(const RelOptInfo *relation, const TableDescription *table, const BaseEstimate &estimate,
                    Cost *startup, Cost *total);

/*
 * Index knowledge. False for files, and where nothing is known: the server does not answer, the collection is a view.
 *
 * leading_index_path: whether some usable index (not partial, sparse, hidden, nor with a collation) has the path (as in
 * RelationFields, in the database's encoding) as its first key. for_equality: only equality is asked of it, which a
 * hashed index can do too.
 */
bool leading_index_path(const TableDescription *table, const char *path, bool for_equality);

/* All usable indexes with their keys, in palloc'd arrays. Keys that serve no comparison end an index's list. */
struct IndexPath {
    const char *path; /* in the database's encoding */
    bool descending;
    bool hashed;
};
struct IndexPattern {
    IndexPath *keys;
    int key_count; /* at least 1 */
    bool unique;
};
IndexPattern *usable_indexes(const TableDescription *table, int *count);

} // namespace mongoferry::fdw
