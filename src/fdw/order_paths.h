/*
 * ORDER BY, OFFSET and LIMIT on the server: the planner's paths. What can be sent is query/order.h's. POD world.
 */
#pragma once

#include "pg/backend.h"

extern "C" {
#include "nodes/pathnodes.h"
}

namespace mongoferry::fdw {

/* At UPPERREL_ORDERED: notes that the server can sort, for the LIMIT above. Without a LIMIT the sort is left to
 * PostgreSQL, which has all rows anyway. */
void add_ordered_path(PlannerInfo *root, RelOptInfo *input, RelOptInfo *ordered);

/* At UPPERREL_FINAL: adds a path that has the server apply OFFSET and LIMIT, and the order below them. */
void add_limited_path(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output, const FinalPathExtraData *extra);

} // namespace mongoferry::fdw
