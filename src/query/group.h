/*
 * Grouping, aggregates and DISTINCT as $group.
 *
 * Behind the filters (and joins) stand the stages
 *
 *   {$group: {_id: {k0: …, k1: …}, a0: …, odd: {$max: …}}}    without keys: _id: null
 *   {$group: …}                                               once more, for an aggregate with DISTINCT
 *   {$set: {a0: …, odd: …}}                                   sums of nothing, guards
 *   {$match: {$or: [having, {odd: true}]}}
 *   {$sort: {odd: -1}}                                        unless an order follows (order.h)
 *
 * odd is true in a group with a document, or a sum, for which SQL's answer might be another; such a group comes first.
 * Without keys MongoDB gives nothing for no documents, where SQL has a row: Command.row_without_documents.
 *
 * Source: MongoDB manual, "$group (aggregation)". POD world.
 */
#pragma once

#include "query/command.h"

namespace mongoferry::query {

/*
 * Appends the stages to command->pipeline, and sets the command's outputs. translation: of what stands before; grouped
 * becomes that of what stands behind, which knows keys and aggregates and no columns. False, with a reason, if it can't
 * be sent.
 */
bool append_group_stages(Translation *translation, const RemoteQuery &query, Command *command, Translation *grouped);

/* Whether equal values of the type are one group for MongoDB too, and which expressions can be keys at all: NULL, or
 * why not. */
const char *refusal_of_key(Node *key);

} // namespace mongoferry::query
