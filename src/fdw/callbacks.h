/*
 * The callbacks of the foreign-data wrapper, a file for each group, and the state that they share.
 *
 * Signatures are PostgreSQL's (foreign/fdwapi.h). All are called by the backend, so each is an edge: exceptions stay
 * behind pg_entry() (pg/guard.h).
 */
#pragma once

#include "pg/backend.h"

#include "bson/field_plan.h"
#include "fdw/source_options.h"
#include "pg/guard.h"
#include "query/relation_fields.h"
#include "source/source.h"

extern "C" {
#include "commands/explain.h"
#include "foreign/fdwapi.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"
}

namespace mongoferry::fdw {

/* plan.cpp */
void get_foreign_rel_size(PlannerInfo *root, RelOptInfo *relation, Oid table);
void get_foreign_paths(PlannerInfo *root, RelOptInfo *relation, Oid table);
ForeignScan *get_foreign_plan(PlannerInfo *root, RelOptInfo *relation, Oid table, ForeignPath *best_path,
                              List *target_list, List *conditions, Plan *outer_plan);

/* scan.cpp */
void begin_foreign_scan(ForeignScanState *node, int flags);
TupleTableSlot *iterate_foreign_scan(ForeignScanState *node);
void rescan_foreign_scan(ForeignScanState *node);
void end_foreign_scan(ForeignScanState *node);

/* explain.cpp */
void explain_foreign_scan(ForeignScanState *node, ExplainState *explain);

/* import.cpp */
List *import_foreign_schema(ImportForeignSchemaStmt *statement, Oid server);

/*
 * ForeignScan.fdw_exprs has one member if the scan is restricted to a chunk by in_chunk(): the bounds (bytea),
 * evaluated whenever the scan starts.
 *
 * ForeignScan.fdw_private, by position. The plan may be copied, cached and sent to workers, so these are plain nodes.
 */
enum PrivateSlot {
    private_filter = 0,    /* Const of type bytea: the filter as BSON; NULL for none */
    private_attributes = 1 /* List of integer: the attribute numbers that the query reads, ascending */
};

/* What a foreign table's catalog entries say, for planning and for the scan. Palloc'd. */
struct TableDescription {
    query::RelationFields fields;
    SourceOptions source;
    int32 fetch_size; /* 0: as many documents as the server likes */
    bool pushdown;
};

/* Reads the catalogs. relation_index is the range table index that the fields' Vars have (0 when it does not matter);
 * user is who reads. */
TableDescription *describe_table(Relation relation, Index relation_index, Oid user);

/* A document that outlives the exception world, in the current memory context. Exception world. */
inline bson::View palloc_copy(const bson::Document &document) {
    return pg_guard([&] {
        uint8_t *copy = static_cast<uint8_t *>(palloc(document.size()));
        memcpy(copy, document.data(), document.size());
        return bson::View{copy, document.size()};
    });
}

/* RelOptInfo.fdw_private of a base relation. */
struct PlanState {
    TableDescription *table;
    bson::View filter; /* size 0: none */
    Bitmapset *attributes;
    Expr *chunk_bounds; /* the second argument of in_chunk(); NULL: the whole collection */
};

/* ForeignScanState.fdw_state. */
struct ScanState {
    TableDescription *table;
    source::Request *request;       /* owned by the query's memory context */
    ExprState *chunk_bounds;        /* NULL: the whole collection */
    MemoryContext chunk_context;    /* holds the bounds while the source is open */
    const uint8_t *raw_documents;   /* where the chunk's documents are if it brings them along; else NULL */
    source::Statistics before_open; /* what had been read before the source was opened (again) */
    source::Source *source;         /* likewise; NULL under EXPLAIN without ANALYZE */
    bool is_open;
    bool at_end;
    source::Batch batch;
    bson::FieldPlan *plan;
    bool in_document; /* begin_document() was called and next_row() has not yet said false */
    MemoryContext row_context;
};

} // namespace mongoferry::fdw
