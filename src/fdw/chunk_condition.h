/*
 * The condition in_chunk(tableoid, bounds), by which a query restricts a foreign table to one chunk of its documents
 * (source/range.h): found by the planner, taken out of what the executor checks, and handed to the source. POD world.
 */
#pragma once

#include "pg/backend.h"

extern "C" {
#include "nodes/pathnodes.h"
}

namespace mongoferry::fdw {

/* Takes in_chunk() out of the relation's conditions and returns its second argument; NULL if there is none. Raises
 * feature_not_supported (0A000) for more than one. */
Expr *take_chunk_condition(RelOptInfo *relation, Oid table);

/* How many documents the planner takes a chunk to have whose bounds it does not know. Whoever plans for other sizes
 * sets it while that is planned. */
constexpr double default_chunk_documents = 20000; /* as many as chunk_size has by default */
extern double expected_chunk_documents;

/* For the planner's row estimates. */
double estimate_chunk_documents(const Expr *bounds);

} // namespace mongoferry::fdw
