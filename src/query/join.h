/*
 * Joins of collections of one database as $lookup.
 *
 * The stages for one joined table, whose document then stands under a field of its own beside the document so far:
 *
 *   {$lookup: {from, localField, foreignField, let, pipeline: [{$match: {$expr: …}}, …], as}}
 *   inner   {$unwind: as}          left   {$unwind: {path: as, preserveNullAndEmptyArrays: true}}
 *   semi    a match if as has documents   anti   if it has none
 *
 * localField and foreignField let the foreign collection's index serve. By themselves they are no SQL join: a missing
 * field equals null and a missing one, and elements of arrays are looked at. The pipeline's condition is the exact one.
 * A $lookup with both needs MongoDB 5.0.
 *
 * Source: MongoDB manual, "$lookup (aggregation)", "$unwind (aggregation)". POD world.
 */
#pragma once

#include "query/command.h"

namespace mongoferry::query {

/* A table joined to those before it. In RemoteQuery.joins the tables 2, 3 … have theirs in order. */
struct Join {
    JoinType type;        /* inner, left, semi, anti */
    List *keys;           /* of JoinKey *: at least one */
    List *conditions;     /* of Node *: what else must hold, after the join */
    List *own_conditions; /* of Node *: on the joined table's documents */
};
struct JoinKey {
    Node *outer; /* over the tables before */
    Node *inner; /* over the joined table */
};

/* A member of RemoteQuery.joins. */
List *join_to_list(const Join &join);

/* Where the joined table's document stands: a field's name. table from 1 on (0 is the first, which is at the top). */
const char *joined_field(int table);

/* Appends the stages of the query's joins to command->pipeline, and the probes that they need. False, with a reason, if
 * something is not exact. */
bool append_join_stages(Translation *translation, const RemoteQuery &query, Command *command);

} // namespace mongoferry::query
