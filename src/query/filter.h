/*
 * SQL conditions → a query predicate for find and $match.
 *
 * What is sent is a wider filter: it lets through every document of which a row satisfies the condition, and perhaps
 * more; the executor checks the condition again on each row. So the only question of a rule is whether a document might
 * be missed. It may be missed where a scan would have raised an error about it. A translation that is exact besides
 * (translation.h) is good for grouping, limits and joins, which nobody checks again.
 *
 * Two steps, for the two worlds (pg/guard.h): translate_condition() looks at expressions and the catalogs and makes a
 * palloc'd tree (POD world); render_filter() makes BSON of it (exception world).
 */
#pragma once

#include "pg/backend.h"

#include "bson/builder.h"
#include "query/translation.h"

extern "C" {
#include "nodes/primnodes.h"
}

namespace mongoferry::query {

struct FilterNode; /* filter_node.h */

/* The predicate for a condition in its plan form (remote_query.h); NULL, with a reason, if none of it can be sent.
 * *exact tells whether it is exact for native documents; the translation then has what that relies on. */
FilterNode *translate_condition(Translation *translation, Node *condition, bool *exact);

/* All nodes must hold. An empty document if there are none. */
bson::Document render_filter(const FilterNode *const *nodes, int count);

} // namespace mongoferry::query
