/*
 * Differences between PostgreSQL 14 to 18, all of them in this one file.
 *
 * Included by pg/backend.h, after the backend's headers. Code elsewhere never looks at PG_VERSION_NUM; it uses the
 * names defined here, which follow the newest version's shape.
 */
#pragma once

#if PG_VERSION_NUM < 140000
#error "mongoferry needs PostgreSQL 14 or later"
#endif

#include <climits>

extern "C" {
#include "access/stratnum.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_tablespace.h"
#include "commands/explain.h"
#include "nodes/execnodes.h"
#include "nodes/parsenodes.h"
#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"
#include "optimizer/pathnode.h"
#include "parser/parsetree.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/pg_locale.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#include "storage/waiteventset.h"
#endif
}

namespace mongoferry {

/* Who reads a base relation while it is planned: the owner of the view that it is read through, if there is one. */
inline Oid planned_user(PlannerInfo *root, RelOptInfo *relation, RangeTblEntry *entry) {
#if PG_VERSION_NUM >= 160000
    (void)root;
    (void)entry;
    return OidIsValid(relation->userid) ? relation->userid : GetUserId();
#else
    (void)root;
    (void)relation;
    return OidIsValid(entry->checkAsUser) ? entry->checkAsUser : GetUserId();
#endif
}

/* The same while it runs. */
inline Oid scanning_user(ForeignScanState *node) {
    ForeignScan *scan = reinterpret_cast<ForeignScan *>(node->ss.ps.plan);
#if PG_VERSION_NUM >= 160000
    return OidIsValid(scan->checkAsUser) ? scan->checkAsUser : GetUserId();
#else
    /* A join's and an aggregate's tables are all read as the same user. */
    const Index table =
        scan->scan.scanrelid > 0 ? scan->scan.scanrelid : static_cast<Index>(bms_next_member(scan->fs_relids, -1));
    Oid user = rt_fetch(table, node->ss.ps.state->es_range_table)->checkAsUser;
    return OidIsValid(user) ? user : GetUserId();
#endif
}

/* Settings of this name that nobody has defined are refused (before 15: warned about). */
inline void reserve_setting_prefix(const char *prefix) {
#if PG_VERSION_NUM >= 150000
    MarkGUCPrefixReserved(prefix);
#else
    EmitWarningsOnPlaceholders(prefix);
#endif
}

/* A path over a base relation without order, for each row of the outer relations (and of LATERAL references). */
inline ForeignPath *make_parameterised_scan_path(PlannerInfo *root, RelOptInfo *relation, double rows, Cost startup,
                                                 Cost total, Relids outer) {
#if PG_VERSION_NUM >= 180000
    return create_foreignscan_path(root, relation, nullptr, rows, 0, startup, total, NIL, outer, nullptr, NIL, NIL);
#elif PG_VERSION_NUM >= 170000
    return create_foreignscan_path(root, relation, nullptr, rows, startup, total, NIL, outer, nullptr, NIL, NIL);
#else
    return create_foreignscan_path(root, relation, nullptr, rows, startup, total, NIL, outer, nullptr, NIL);
#endif
}

/* The same without outer relations (it may depend on LATERAL references). */
inline ForeignPath *make_foreign_scan_path(PlannerInfo *root, RelOptInfo *relation, double rows, Cost startup,
                                           Cost total) {
    return make_parameterised_scan_path(root, relation, rows, startup, total, relation->lateral_relids);
}

/* A path of an upper relation or a join, with the local path that gives the same rows. Where the local path needs
 * workers of its own, a worker can't run it. */
inline ForeignPath *make_foreign_upper_path(PlannerInfo *root, RelOptInfo *relation, PathTarget *target, double rows,
                                            Cost startup, Cost total, List *path_keys, Path *local_path,
                                            List *fdw_private) {
    ForeignPath *path =
#if PG_VERSION_NUM >= 180000
        create_foreign_upper_path(root, relation, target, rows, 0, startup, total, path_keys, local_path, NIL,
                                  fdw_private);
#elif PG_VERSION_NUM >= 170000
        create_foreign_upper_path(root, relation, target, rows, startup, total, path_keys, local_path, NIL,
                                  fdw_private);
#else
        create_foreign_upper_path(root, relation, target, rows, startup, total, path_keys, local_path, fdw_private);
#endif
    if (local_path && !local_path->parallel_safe)
        path->path.parallel_safe = false;
    return path;
}

inline ForeignPath *make_foreign_join_path(PlannerInfo *root, RelOptInfo *relation, double rows, Cost startup,
                                           Cost total, Path *local_path, List *fdw_private) {
    ForeignPath *path =
#if PG_VERSION_NUM >= 180000
        create_foreign_join_path(root, relation, nullptr, rows, 0, startup, total, NIL, relation->lateral_relids,
                                 local_path, NIL, fdw_private);
#elif PG_VERSION_NUM >= 170000
        create_foreign_join_path(root, relation, nullptr, rows, startup, total, NIL, relation->lateral_relids,
                                 local_path, NIL, fdw_private);
#else
        create_foreign_join_path(root, relation, nullptr, rows, startup, total, NIL, relation->lateral_relids,
                                 local_path, fdw_private);
#endif
    if (local_path && !local_path->parallel_safe)
        path->path.parallel_safe = false;
    return path;
}

/* A set of things to wait for, freed with FreeWaitEventSet() or, where PostgreSQL can, when an error ends the
 * statement. */
inline WaitEventSet *create_statement_wait_event_set(int events) {
#if PG_VERSION_NUM >= 170000
    return CreateWaitEventSet(CurrentResourceOwner, events);
#else
    return CreateWaitEventSet(CurrentMemoryContext, events);
#endif
}

} // namespace mongoferry

/* Before 16 PGDLLEXPORT means nothing outside Windows; we hide symbols by default, so it has to mean something. */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

/* Soft errors of input functions came with 16; before it every error is a hard one. */
#if PG_VERSION_NUM < 160000
#define ereturn(context, dummy_value, ...)                                                                             \
    do {                                                                                                               \
        (void)(context);                                                                                               \
        ereport(ERROR, __VA_ARGS__);                                                                                   \
        return dummy_value;                                                                                            \
    } while (0)
#endif

/* Comparing abbreviated keys as unsigned integers: the backend's own comparator from 15 on, which tuplesort knows. */
#if PG_VERSION_NUM < 150000
extern "C" {
#include "utils/sortsupport.h"
}
inline int ssup_datum_unsigned_cmp(Datum x, Datum y, SortSupport) {
    return x < y ? -1 : x > y;
}
#endif

/* Calls a type's input function. False if it finds the text wrong and says so without raising (from 16 on, and only
 * those functions that can); sqlstate and message (palloc'd) are its error's. */
extern "C" {
#include "nodes/nodeFuncs.h"
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#endif
}

namespace mongoferry {

inline bool call_input_function_softly(FmgrInfo *function, char *text, Oid parameter, int32 typmod, Datum *result,
                                       int *sqlstate, const char **message) {
#if PG_VERSION_NUM >= 160000
    ErrorSaveContext error{};
    error.type = T_ErrorSaveContext;
    error.details_wanted = true;
    if (InputFunctionCallSafe(function, text, parameter, typmod, reinterpret_cast<Node *>(&error), result))
        return true;
    *sqlstate = error.error_data->sqlerrcode;
    *message = error.error_data->message;
    return false;
#else
    (void)sqlstate;
    (void)message;
    *result = InputFunctionCall(function, text, parameter, typmod);
    return true;
#endif
}

/* expression_tree_walker: before 16 it is declared without the walker's parameters, which C++ takes at its word. */
inline bool walk_expression(Node *node, bool (*walker)(Node *, void *), void *context) {
#if PG_VERSION_NUM >= 160000
    return expression_tree_walker(node, walker, context);
#else
    return expression_tree_walker(node, reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(walker)), context);
#endif
}

/* expression_tree_mutator, likewise. */
inline Node *mutate_expression(Node *node, Node *(*mutator)(Node *, void *), void *context) {
#if PG_VERSION_NUM >= 160000
    return expression_tree_mutator(node, mutator, context);
#else
    return expression_tree_mutator(node, reinterpret_cast<Node *(*)()>(reinterpret_cast<void (*)()>(mutator)), context);
#endif
}

/* The same for raw_expression_tree_walker, which walks what the raw parser gives. */
inline bool walk_raw_expression(Node *node, bool (*walker)(Node *, void *), void *context) {
#if PG_VERSION_NUM >= 160000
    return raw_expression_tree_walker(node, walker, context);
#else
    return raw_expression_tree_walker(node, reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(walker)),
                                      context);
#endif
}

/* The btree strategy of a comparison of rows. */
inline int row_comparison_strategy(const RowCompareExpr *comparison) {
#if PG_VERSION_NUM >= 180000
    return static_cast<int>(comparison->cmptype); /* numbered alike */
#else
    return static_cast<int>(comparison->rctype);
#endif
}

/* Whether a collation compares bytes. */
inline bool collation_is_c(Oid collation) {
#if PG_VERSION_NUM >= 180000
    return OidIsValid(collation) && pg_newlocale_from_collation(collation)->collate_is_c;
#else
    return OidIsValid(collation) && lc_collate_is_c(collation);
#endif
}

/* Rights on objects, asked in one way for all kinds from 16 on. */
inline bool may_use_server(Oid server, Oid user) {
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(ForeignServerRelationId, server, user, ACL_USAGE) == ACLCHECK_OK;
#else
    return pg_foreign_server_aclcheck(server, user, ACL_USAGE) == ACLCHECK_OK;
#endif
}

/* Whether a role may make tables in a tablespace. */
inline bool may_create_in_tablespace(Oid tablespace, Oid user) {
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(TableSpaceRelationId, tablespace, user, ACL_CREATE) == ACLCHECK_OK;
#else
    return pg_tablespace_aclcheck(tablespace, user, ACL_CREATE) == ACLCHECK_OK;
#endif
}
inline bool owns_relation(Oid relation, Oid user) {
#if PG_VERSION_NUM >= 160000
    return object_ownercheck(RelationRelationId, relation, user);
#else
    return pg_class_ownercheck(relation, user);
#endif
}

/* Whether a path key asks for descending order. */
inline bool is_descending(const PathKey *key) {
#if PG_VERSION_NUM >= 180000
    return key->pk_cmptype == COMPARE_GT;
#else
    return key->pk_strategy == BTGreaterStrategyNumber;
#endif
}

} // namespace mongoferry

/* Has a set-returning function give its rows in a tuplestore, setResult and setDesc of its ReturnSetInfo. */
#if PG_VERSION_NUM < 150000
extern "C" {
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/tuplestore.h"
}
inline void InitMaterializedSRF(FunctionCallInfo fcinfo, bits32) {
    ReturnSetInfo *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
    if (result == nullptr || !IsA(result, ReturnSetInfo) || !(result->allowedModes & SFRM_Materialize))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("set-valued function called in context that cannot accept a set")));
    MemoryContext previous = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
    TupleDesc row;
    if (get_call_result_type(fcinfo, nullptr, &row) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    result->returnMode = SFRM_Materialize;
    result->setResult = tuplestore_begin_heap((result->allowedModes & SFRM_Materialize_Random) != 0, false, work_mem);
    result->setDesc = row;
    MemoryContextSwitchTo(previous);
}
#endif

/* A random number between 0 and 1, exclusive, of a reservoir's own generator. */
extern "C" {
#include "utils/sampling.h"
}
namespace mongoferry {
inline double random_fraction(ReservoirState reservoir) {
#if PG_VERSION_NUM >= 150000
    return sampler_random_fract(&reservoir->randstate);
#else
    return sampler_random_fract(reservoir->randstate);
#endif
}
} // namespace mongoferry
