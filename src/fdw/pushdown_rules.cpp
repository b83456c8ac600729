/*
 * mongoferry.pushdown_rules(): the table of rules as rows, for people and for the test that holds docs/pushdown.md
 * against it.
 */
#include "pg/set_returning.h"
#include "query/function_rules.h"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_pushdown_rules);
}

extern "C" Datum mongoferry_pushdown_rules(PG_FUNCTION_ARGS) {
    const mongoferry::ResultRows rows = mongoferry::begin_result_rows(fcinfo);
    int count;
    const mongoferry::query::RuleText *rules = mongoferry::query::function_rule_texts(&count);
    for (int i = 0; i < count; ++i) {
        Datum values[] = {CStringGetTextDatum(rules[i].subject), CStringGetTextDatum(rules[i].sql),
                          rules[i].mongodb ? CStringGetTextDatum(rules[i].mongodb) : 0,
                          CStringGetTextDatum(rules[i].when)};
        bool nulls[lengthof(values)] = {false, false, !rules[i].mongodb, false};
        rows.put(values, nulls);
    }
    return 0;
}
