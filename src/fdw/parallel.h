/*
 * Parallel scans: when a collection is worth several processes, and how they share it.
 *
 * A live collection is cut into ranges of _id when the scan starts, a file into ranges of bytes while it is read; each
 * process takes one range after the other, and reads it through a connection or file descriptor of its own. Since an
 * _id never changes, and the ranges tile all _ids whatever their types, no document is read twice and none is missed
 * that was there all the time. What is written meanwhile may be seen or not, as in a scan of one process.
 */
#pragma once

#include "fdw/callbacks.h"
#include "fdw/shared_scan.h"

namespace mongoferry::fdw {

/* The process's part in it. Owned by the query's memory context. */
struct ParallelScan {
    std::unique_ptr<SharedScan> shared; /* NULL: no room was left for it, and who comes first reads everything */
    source::Source *inner = nullptr;    /* reads a range */
    std::unique_ptr<source::Source> source;
    bool is_leader = false;
};

/* Adds the path by which several processes read the relation together, where that is possible and it is large enough.
 * POD world. */
void add_parallel_path(PlannerInfo *root, RelOptInfo *relation, const RelationInfo *state);

/* Whether a scan may end with a WARNING, because some column has on_mismatch 'null'. POD world. */
bool may_warn(const TableDescription *table);

/* To be called at the end of a scan, before report_mismatches(): what a worker has counted goes to the leader, which
 * gets all of it into its plan. POD world. */
void finish_parallel_scan(ScanState *state);

/* What all processes have received; of a scan that is not parallel, what it has itself. */
source::Statistics total_statistics(const ScanState *state);

} // namespace mongoferry::fdw
