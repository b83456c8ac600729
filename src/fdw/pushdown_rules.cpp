/*
 * mongoferry.pushdown_rules(): the table of rules as rows, for people and for the test that holds docs/pushdown.md
 * against it.
 */
#include "pg/set_returning.h"
#include "query/condition_rules.h"
#include "query/function_rules.h"
#include "query/group_aggregates.h"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_pushdown_rules);
}

namespace mongoferry::fdw {

static void put_rules(const ResultRows &rows, const query::RuleText *rules, int count) {
    for (int i = 0; i < count; ++i) {
        Datum values[] = {CStringGetTextDatum(rules[i].subject), CStringGetTextDatum(rules[i].sql),
                          rules[i].mongodb ? CStringGetTextDatum(rules[i].mongodb) : 0,
                          CStringGetTextDatum(rules[i].when)};
        bool nulls[lengthof(values)] = {false, false, !rules[i].mongodb, false};
        rows.put(values, nulls);
    }
}

} // namespace mongoferry::fdw

extern "C" Datum mongoferry_pushdown_rules(PG_FUNCTION_ARGS) {
    using namespace mongoferry;
    const ResultRows rows = begin_result_rows(fcinfo);
    int count;
    const query::RuleText *rules = query::condition_rule_texts(&count);
    fdw::put_rules(rows, rules, count);
    rules = query::function_rule_texts(&count);
    fdw::put_rules(rows, rules, count);
    rules = query::aggregate_rule_texts(&count);
    fdw::put_rules(rows, rules, count);
    return 0;
}
