/*
 * Why parts of a query stay here: collected while it is planned, for why_not_pushed(). POD world.
 */
#pragma once

#include "pg/backend.h"

extern "C" {
#include "nodes/pathnodes.h"
#include "nodes/pg_list.h"
}

namespace mongoferry::fdw {

/* A part of a query that is not sent. Palloc'd in the context of its collection. */
struct StayReason {
    const char *table; /* the foreign table's name, or those of a join */
    const char *part;  /* "condition (total > 5)", "GROUP BY", "join" … */
    const char *text;  /* a phrase without a final period */
};

/* While plan is run, what the planner's callbacks note is collected. Returns a list of StayReason *, each once. */
List *collect_reasons(void (*plan)(void *), void *argument);

/* Does nothing outside of collect_reasons(). The texts are copied. */
void note_reason(const char *table, const char *part, const char *text);

/* Of a condition (or another expression) on the relation, in the planner's form, with the reasons that its translation
 * gave (query::Reason *): the first is the one that the others follow from. */
void note_condition(PlannerInfo *root, const RelOptInfo *relation, const char *what, Node *expression,
                    const List *reasons);
/* Of a stage above the relation, or a join: "GROUP BY", "ORDER BY" … */
void note_stage(PlannerInfo *root, const RelOptInfo *relation, const char *stage, const List *reasons);
/* The names of the relation's tables as the query has them, "orders, customers". */
const char *relation_names(PlannerInfo *root, const RelOptInfo *relation);

} // namespace mongoferry::fdw
