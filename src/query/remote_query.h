/*
 * What a foreign scan asks of the server, in SQL's terms: made by the planner, carried in ForeignScan.fdw_private, made
 * into a command (query/command.h) whenever the scan starts, because some rules depend on the values of parameters.
 *
 * Vars have the position of their table, from 1 on, as varno. Placeholders: each largest subexpression without such
 * Vars that is not a Const (parameters, stable functions) is evaluated by the executor when the scan starts; in the
 * query stands a Param of kind PARAM_EXTERN with its number, from 1 on. POD world.
 */
#pragma once

#include "pg/backend.h"

extern "C" {
#include "nodes/pathnodes.h"
#include "nodes/pg_list.h"
}

namespace mongoferry::query {

/* One key of an order. A List in fdw_private: expression, integer list of the two. */
struct SortKey {
    Node *expression;
    bool descending;
    bool nulls_first;
};

/*
 * The order of the work is that of SQL: tables joined, conditions, grouping, having, sort, offset, limit, output.
 * A scan of one table without grouping that outputs all it reads is a find, everything else a pipeline.
 */
struct RemoteQuery {
    List *conditions;     /* of Node *: WHERE */
    List *attributes;     /* integer list: the attribute numbers read, ascending (a scan of one table's rows) */
    List *joins;          /* see join.h; NIL: one table */
    bool grouped;         /* group_keys, having and the aggregates of output count; without keys: one row */
    List *group_keys;     /* of Node * */
    List *having;         /* of Node *: over keys and aggregates */
    List *sort_keys;      /* of SortKey * */
    bool sorted_by_index; /* the server has an index that gives this order */
    Node *offset;         /* Const or Param of type int8, or NULL */
    Node *limit;          /* likewise */
    /* Of Node *: what a row consists of, in order, where that is not a table's row: plain Vars, keys, Aggrefs.
     * NIL for a scan of a table's rows. The ForeignScan's fdw_scan_tlist has the same. */
    List *output;
};

/* As plain nodes and back. The list is what the plan carries; the other way shares its members. */
List *to_list(const RemoteQuery &query);
RemoteQuery from_list(const List *list);

/*
 * Renumbers the Vars of the given relations (range table indexes, in the order of the tables' positions), and takes
 * placeholders out. Returns the query; *placeholders is the list of expressions to evaluate, appended to.
 */
RemoteQuery make_plan_form(const RemoteQuery &query, const List *relations, List **placeholders);

/* With the placeholders replaced by constants: values of Const *, in their order. */
RemoteQuery with_values(const RemoteQuery &query, const List *values);

/* The same for one expression, for the planner's trial translations: Vars renumbered, placeholders as Params. */
Node *plan_form_of(Node *expression, const List *relations, List **placeholders);

} // namespace mongoferry::query
