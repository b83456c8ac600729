/*
 * The rules for conditions on a column and a constant, as people read them: those of comparison.cpp, text_pattern.cpp
 * and array_condition.cpp. They go before the rules of function_rules.h, since the query language has indexes.
 */
#pragma once

#include "query/function_rules.h"

namespace mongoferry::query {

/* In the order of the manual. */
const RuleText *condition_rule_texts(int *count);

} // namespace mongoferry::query
