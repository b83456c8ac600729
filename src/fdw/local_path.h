/*
 * The local plan beside a pushed one: what runs when the server finds a document for which its answer might not be
 * SQL's (query/translation.h). It becomes the ForeignPath's outer path. POD world.
 */
#pragma once

#include "pg/backend.h"

extern "C" {
#include "nodes/pathnodes.h"
}

namespace mongoferry::fdw {

/*
 * A copy of the cheapest (by total cost) of the relation's paths that runs locally, or NULL. A copy, because add_path()
 * frees the nodes of paths that a better one dominates; what lies below them stays. target: what the copy gives instead
 * of the relation's own target, NULL to leave that; only for paths that compute a target themselves (Agg, Group).
 */
Path *copy_local_path(const RelOptInfo *relation, PathTarget *target);

} // namespace mongoferry::fdw
