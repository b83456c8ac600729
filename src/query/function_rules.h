/*
 * The table of rules for functions, operators and other expressions as values of the aggregation language: for each,
 * its form there, and when it is sent. docs/pushdown.md is this table, held against it by a test.
 *
 * A rule is exact for native documents (translation.h): the same value as PostgreSQL's, null for NULL, never an error
 * on the server. Where PostgreSQL would raise an error, or the two might differ for certain documents, the rule adds a
 * trouble to the translation; the value for these documents is null, or one of the type. POD world.
 *
 * What rules expect of translate_value(), and give: integers as any BSON number, double precision as double, int or
 * long, numeric as decimal, int or long, text as string, timestamptz, timestamp (in UTC) and date (its midnight in UTC)
 * as date, boolean as bool.
 */
#pragma once

#include "query/translation.h"

namespace mongoferry::query {

/* The value of an expression other than a plain column, constant, placeholder or RelabelType; for translate_value().
 * NULL, with a reason, if it can't be sent. */
ServerValue *translate_function(Translation *translation, Node *expression);

/* A two-valued expression: true where the SQL condition is true (truth) or is false (!truth), else false. Exact and
 * never null. NULL, with a reason, if it can't be sent. */
ServerValue *translate_truth(Translation *translation, Node *condition, bool truth);

/* A query predicate for a condition on the inside of a jsonb column, which translate_condition() has no rule for: wide,
 * never exact. NULL, without a reason, if there is none. */
FilterNode *translate_json_condition(Translation *translation, Node *condition);

/* A rule as people read it. The texts are MongoDB's and SQL's words; columns of docs/pushdown.md. */
struct RuleText {
    const char *subject; /* "arithmetic" */
    const char *sql;
    const char *mongodb; /* NULL: it is not sent */
    const char *when;    /* what is asked of arguments, what is trouble; or why it is not sent */
};

/* The rules of function_rules.cpp, in the order of the manual. */
const RuleText *function_rule_texts(int *count);

} // namespace mongoferry::query
