/*
 * SQL conditions → a query predicate for find.
 *
 * Everything sent is a wider filter: it lets through every document of which a row satisfies the condition, and perhaps
 * more; the executor checks the condition again on each row. So the only question of a rule is whether a document might
 * be missed. It may be missed where a scan would have raised an error about it.
 *
 * Two steps, for the two worlds (pg/guard.h): translate_condition() looks at expressions and the catalogs and makes a
 * palloc'd tree (POD world); render_filter() makes BSON of it (exception world).
 */
#pragma once

#include "pg/backend.h"

#include "bson/builder.h"
#include "query/relation_fields.h"

extern "C" {
#include "nodes/primnodes.h"
}

namespace mongoferry::query {

struct FilterNode; /* filter.cpp's own */

/* The predicate for a condition on the relation's columns; NULL if none of it can be sent. */
FilterNode *translate_condition(const RelationFields &relation, Node *condition);

/* All nodes must hold. An empty document if there are none. */
bson::Document render_filter(const FilterNode *const *nodes, int count);

} // namespace mongoferry::query
