/*
 * ORDER BY, OFFSET and LIMIT of a query on the server.
 *
 * A key that is a plain field is sorted by as it is, so that an index serves. MongoDB's order of a type's native values
 * (column_rule.h) is SQL's but for these:
 *
 *   null and missing   come first in MongoDB's ascending order, and where NULLS FIRST or LAST says so in SQL's
 *   NaN                is MongoDB's lowest number and SQL's highest
 *   date columns       a BSON date has a time of day, so rows that tie in SQL do not there: a key of its own, unless it
 * is the last one (the order of ties is open in SQL)
 *
 * Where these matter there are two forms. The plain one sorts by the fields alone; it is right if no document has such
 * a value, which is asked before (Command.plain_probe). It is tried if an index would serve
 * (RemoteQuery.sorted_by_index). The other one sorts by added keys: {$project: {document: "$$ROOT", r0: rank of nulls
 * and NaN, k0: value}}, {$sort: {r0: 1, k0: 1}}, … {$replaceRoot}.
 *
 * Documents whose value in the column is another than the field's (a string in a timestamptz column, a field below an
 * array) are looked for by probes. Those that a scan would refuse are not: a LIMIT may pass over them.
 *
 * numeric: a double stands for its shortest decimal (README), which lies beside its exact value. Among themselves
 * doubles have the same order as these, decimals and integers too; only both of them in one field might be another
 * order.
 *
 * Source: MongoDB manual, "Comparison/Sort Order", "$sort (aggregation)", "Sort Consistency". POD world.
 */
#pragma once

#include "query/command.h"

namespace mongoferry::query {

/*
 * Adds the query's order, offset and limit to the command: to a find where it can be one (no joins, no groups), else
 * stages behind the pipeline's. translation: of what stands before. False, with a reason, if it can't be sent, as for a
 * negative count.
 */
bool append_order(Translation *translation, const RemoteQuery &query, Command *command);

/* Whether a Const, Param or NULL can be an offset or a limit: a plain value, once the scan starts. */
bool is_count(const Node *count);

/* The path of the field that a sort key is sorted by as it is, as in RelationFields; NULL if it is an expression. For a
 * query of one table, to be compared with its indexes. */
const char *plain_sort_path(const RemoteQuery &query, const TranslatedTable *tables, const SortKey *key);

} // namespace mongoferry::query
