/*
 * mongoferry.why_not_pushed(query): plans a query, without running it, and tells what of it is not sent to a server,
 * and why.
 */
#include "fdw/reasons.h"

#include "pg/set_returning.h"

extern "C" {
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/plancache.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_why_not_pushed);
}

namespace mongoferry::fdw {

/* Raises 42601 unless it is one statement that can be planned. */
static SPIPlanPtr prepare(const char *text) {
    SPIPlanPtr plan = SPI_prepare(text, 0, nullptr);
    if (!plan)
        ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("could not prepare the query"),
                        errdetail("%s", SPI_result_code_string(SPI_result))));
    const List *sources = SPI_plan_get_plan_sources(plan);
    const CachedPlanSource *source =
        list_length(sources) == 1 ? static_cast<const CachedPlanSource *>(linitial(sources)) : nullptr;
    if (!source || list_length(source->query_list) == 0 ||
        linitial_node(Query, source->query_list)->commandType == CMD_UTILITY)
        ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("why_not_pushed() needs one query"),
                        errdetail("The text is not a single SELECT, INSERT, UPDATE, DELETE or MERGE.")));
    return plan;
}

static void make_plan(void *plan) {
    CachedPlan *cached = SPI_plan_get_cached_plan(static_cast<SPIPlanPtr>(plan));
    if (cached)
        ReleaseCachedPlan(cached, nullptr); /* an unsaved plan has no owner */
}

} // namespace mongoferry::fdw

extern "C" Datum mongoferry_why_not_pushed(PG_FUNCTION_ARGS) {
    using namespace mongoferry::fdw;
    const mongoferry::ResultRows rows = mongoferry::begin_result_rows(fcinfo);
    const char *query = text_to_cstring(PG_GETARG_TEXT_PP(0));
    SPI_connect();
    ListCell *cell;
    foreach (cell, collect_reasons(make_plan, prepare(query))) {
        const StayReason *reason = static_cast<const StayReason *>(lfirst(cell));
        Datum values[] = {CStringGetTextDatum(reason->table), CStringGetTextDatum(reason->part),
                          CStringGetTextDatum(reason->text)};
        rows.put(values);
    }
    SPI_finish();
    return 0;
}
