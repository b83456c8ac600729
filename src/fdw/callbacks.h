/*
 * The callbacks of the foreign-data wrapper, a file for each group, and the state that they share.
 *
 * Signatures are PostgreSQL's (foreign/fdwapi.h). All are called by the backend, so each is an edge: exceptions stay
 * behind pg_entry() (pg/guard.h).
 */
#pragma once

#include "pg/backend.h"

#include "bson/field_plan.h"
#include "fdw/estimate.h"
#include "fdw/source_options.h"
#include "pg/guard.h"
#include "query/command.h"
#include "query/relation_fields.h"
#include "query/remote_query.h"
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

/* join_paths.cpp */
void get_foreign_join_paths(PlannerInfo *root, RelOptInfo *joined, RelOptInfo *outer, RelOptInfo *inner,
                            JoinType join_type, JoinPathExtraData *extra);

/* upper.cpp */
void get_foreign_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input, RelOptInfo *output,
                             void *extra);

/* scan.cpp */
void begin_foreign_scan(ForeignScanState *node, int flags);
TupleTableSlot *iterate_foreign_scan(ForeignScanState *node);
void rescan_foreign_scan(ForeignScanState *node);
void end_foreign_scan(ForeignScanState *node);
/* Makes the command of a scan that has not started, for EXPLAIN. */
void sketch_command(ForeignScanState *node);

/* parallel.cpp */
bool is_foreign_scan_parallel_safe(PlannerInfo *root, RelOptInfo *relation, RangeTblEntry *entry);
Size estimate_dsm_foreign_scan(ForeignScanState *node, ParallelContext *context);
void initialize_dsm_foreign_scan(ForeignScanState *node, ParallelContext *context, void *coordinate);
void reinitialize_dsm_foreign_scan(ForeignScanState *node, ParallelContext *context, void *coordinate);
void initialize_worker_foreign_scan(ForeignScanState *node, shm_toc *toc, void *coordinate);
void shutdown_foreign_scan(ForeignScanState *node);

/* explain.cpp */
void explain_foreign_scan(ForeignScanState *node, ExplainState *explain);
extern bool explain_asks_server; /* the setting mongoferry.remote_explain */

/* analyze.cpp */
bool analyze_foreign_table(Relation relation, AcquireSampleRowsFunc *acquire, BlockNumber *pages);

/* import.cpp */
List *import_foreign_schema(ImportForeignSchemaStmt *statement, Oid server);

/*
 * ForeignScan.fdw_exprs: the query's placeholders (query/remote_query.h), evaluated whenever the scan starts, and
 * behind them the bounds (bytea) of in_chunk() if the scan is restricted to a chunk.
 *
 * ForeignScan.fdw_private, by position. The plan may be copied, cached and sent to workers, so these are plain nodes.
 */
enum PrivateSlot {
    private_query = 0,  /* List: the remote query, as query::to_list() makes it */
    private_tables = 1, /* List of Oid: its foreign tables, by their position */
    private_chunk = 2,  /* List of integer, one: whether fdw_exprs ends with the bounds of a chunk */
    private_stages = 3  /* List of integer, as choose_stages() makes it (row_filter.h); NIL: none */
};

/* What a foreign table's catalog entries say, for planning and for the scan. Palloc'd. */
struct TableDescription {
    Oid id;
    const char *name;
    query::RelationFields fields;
    SourceOptions source;
    int32 fetch_size; /* 0: as many documents as the server likes */
    bool pushdown;
    int parallel_workers; /* how many are planned for a scan; -1: by the collection's size */
    PlanningOptions planning;
};

/* All documents of the table's collection; of files the database may be unnamed. Exception world. */
source::Request whole_collection(const TableDescription *table);

/* "database.collection" for messages, or the collection alone where no database is named. Palloc'd or as it is. */
const char *collection_name(const SourceOptions &options);

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

/*
 * RelOptInfo.fdw_private of a relation that the wrapper reads: a base relation, a join, or an upper relation. What is
 * sent for it, with Vars numbered as in the query.
 */
struct RelationInfo {
    TableDescription *table;   /* of a base relation; else NULL */
    List *tables;              /* of TableDescription *; the first is the one whose collection is read */
    const List *relations;     /* integer list: their range table indexes */
    query::RemoteQuery remote; /* its conditions are those that are sent */
    bool has_local_conditions; /* some condition is not sent at all */
    /* Every condition is sent exactly, and nothing else stands in the way of doing more on the server than scanning
     * (translation.h: exact). */
    bool exact;
    BaseEstimate estimate; /* of a join or an upper relation: the server_cost alone */
    /* Of a join or a grouped relation: what its pushed path has beside it; gives remote.output, perhaps with more
     * behind. Kept, because what a relation's list of paths points to may be freed once the planner is above the
     * relation. */
    Path *local_path;
    RelOptInfo *scanned;   /* of an ordered relation: the one whose rows are put in order; else NULL */
    Bitmapset *attributes; /* of a base relation: those that the query reads */
    Expr *chunk_bounds;    /* the second argument of in_chunk(); NULL: the whole collection */
};

/* ForeignPath.fdw_private of a path that does more than scan a table's rows: one member, a pointer to this. The path
 * has an outer path, the local plan, which gives rows of the query's output too. */
struct RemotePath {
    query::RemoteQuery query; /* with output; Vars numbered as in the planner's query */
    List *tables;             /* of TableDescription * */
    const List *relations;
    List *local_conditions; /* of Node *: HAVING that is checked here */
};

/* The tables of a query for its translation: descriptions in their order. Palloc'd. */
query::TranslatedTable *translated_tables(const List *tables);

/* A trial translation of a planner's query (plan.cpp). */
query::Command try_command(const query::RemoteQuery &remote, const List *tables, const List *relations);

struct ParallelScan; /* parallel.h */

/* ForeignScanState.fdw_state. */
struct ScanState {
    TableDescription *table;        /* the first one, whose source is read */
    query::TranslatedTable *tables; /* all of them */
    SourceOptions *table_options;   /* for each of them */
    int table_count;
    query::RemoteQuery query;      /* in plan form */
    List *placeholders;            /* of ExprState * */
    MemoryContext command_context; /* holds the command, made anew whenever the scan starts */
    query::Command command;
    bool has_command;               /* one was made; not so while the scan has not started */
    bool command_is_known;          /* the command is that of placeholders' values, not only a sketch */
    source::Request *request;       /* owned by the query's memory context */
    ExprState *chunk_bounds;        /* NULL: the whole collection */
    MemoryContext chunk_context;    /* holds the bounds while the source is open */
    const uint8_t *raw_documents;   /* where the chunk's documents are if it brings them along; else NULL */
    source::Statistics before_open; /* what had been read before the source was opened (again) */
    source::Source *source;         /* likewise; NULL under EXPLAIN without ANALYZE */
    ParallelScan *parallel;         /* likewise; NULL when this process reads alone */
    bool is_open;
    bool at_end;
    bool has_row;          /* since the scan started there was a document */
    int64 to_pass_over;    /* documents before the command's offset */
    bool runs_local_plan;  /* since the scan started: the outer plan gives the rows */
    int64 local_plan_runs; /* for EXPLAIN */
    source::Batch batch;
    bson::FieldPlan *plan;
    /* A grouped query: how columns are made of the plan's values; else NULL. */
    const query::Finish *finishes;
    Datum *part_values;
    bool *part_nulls;
    struct RowConditions *row_conditions; /* checked while rows are decoded; NULL: none */
    bool in_document;                     /* begin_document() was called and next_row() has not yet said false */
    MemoryContext row_context;
};

} // namespace mongoferry::fdw
