/*
 * Paths of a base relation for the inner side of a nested loop: for each outer row the server is asked for the
 * documents that match it. Only where an index of the collection finds them. POD world.
 */
#pragma once

#include "pg/backend.h"

extern "C" {
#include "nodes/pathnodes.h"
}

namespace mongoferry::fdw {

void add_parameterised_paths(PlannerInfo *root, RelOptInfo *relation);

/* The conditions of such a path that are sent besides the relation's own: expressions over it and outer relations.
 * NIL for a path without parameters. */
List *parameterised_conditions(RelOptInfo *relation, const ForeignPath *path);

} // namespace mongoferry::fdw
