/*
 * Conditions on array columns as query predicates: what some element is, which MongoDB's query language says of a field
 * that holds an array. Wide: a value beside an array, nested arrays and the order of elements are PostgreSQL's to
 * judge. POD world.
 */
#pragma once

#include "query/translation.h"

namespace mongoferry::query {

/*
 * constant = ANY (column) and other comparisons; column @> constant, constant <@ column, column && constant, column =
 * constant. NULL, without a reason, for other conditions, and with one if it can't be sent.
 */
FilterNode *translate_array_condition(Translation *translation, Node *condition);

} // namespace mongoferry::query
