/*
 * Grouping, aggregates and DISTINCT on the server: the planner's paths. The rules are query/group_aggregates.h's. POD
 * world.
 */
#pragma once

#include "pg/backend.h"

extern "C" {
#include "nodes/pathnodes.h"
}

namespace mongoferry::fdw {

/* Adds a path to the relation of the stage UPPERREL_GROUP_AGG, or UPPERREL_PARTIAL_GROUP_AGG (partial), if all of it
 * can be done on the server; conditions of HAVING may stay here. */
void add_group_path(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output, const GroupPathExtraData *extra,
                    bool partial);

/* The same for SELECT DISTINCT, at UPPERREL_DISTINCT. */
void add_distinct_path(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output);

} // namespace mongoferry::fdw
