/*
 * See chunk_statement.h.
 *
 * Plans are generic: planning anew for each of thousands of tries would cost more than the tries, and the bounds tell
 * the planner nothing but how many documents there are, which it is told otherwise.
 */
#include "migrate/chunk_statement.h"

#include "fdw/chunk_condition.h"

extern "C" {
#include "tcop/cmdtag.h"
#include "utils/plancache.h"
}

namespace mongoferry::migrate {

namespace {

/* A worker meets a statement for each task. */
constexpr int cache_size = 32;
ChunkStatement cache[cache_size];
uint64 use_count = 0;

/* Plans are also made again while they run, whenever a table that they use has changed. */
void expect_documents(PlannedFor planned_for) {
    fdw::expected_chunk_documents = planned_for == PlannedFor::few ? 10 : fdw::default_chunk_documents;
}

void check_kind(SPIPlanPtr plan) {
    const List *sources = SPI_plan_get_plan_sources(plan);
    const CachedPlanSource *source =
        list_length(sources) == 1 ? static_cast<CachedPlanSource *>(linitial(sources)) : nullptr;
    if (!source || source->resultDesc || (source->commandTag != CMDTAG_INSERT && source->commandTag != CMDTAG_UPDATE))
        ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
                        errmsg("statement of a chunk is not one INSERT or UPDATE without RETURNING")));
}

SPIPlanPtr prepare(const char *text, PlannedFor planned_for) {
    Oid parameter_type = BYTEAOID;
    SPIPlanPtr plan = SPI_prepare_cursor(text, 1, &parameter_type, CURSOR_OPT_GENERIC_PLAN);
    if (plan == nullptr)
        elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
    check_kind(plan);
    /* Planned now, so that what planning raises is not taken for the fault of a document. */
    expect_documents(planned_for);
    CachedPlan *cached_plan = SPI_plan_get_cached_plan(plan);
    forget_expected_documents();
    if (cached_plan)
        ReleaseCachedPlan(cached_plan, nullptr); /* a plan that is not saved belongs to no resource owner */
    return plan;
}

void drop(ChunkStatement *statement) {
    for (SPIPlanPtr &plan : statement->plans) {
        if (plan)
            SPI_freeplan(plan);
        plan = nullptr;
    }
    if (statement->text)
        pfree(statement->text);
    statement->text = nullptr;
}

} // namespace

ChunkStatement *prepare_chunk_statement(const char *text) {
    ChunkStatement *oldest = &cache[0];
    for (ChunkStatement &known : cache) {
        if (known.text && strcmp(known.text, text) == 0) {
            known.last_use = ++use_count;
            return &known;
        }
        if (!known.text || (oldest->text && known.last_use < oldest->last_use))
            oldest = &known;
    }
    SPIPlanPtr plans[] = {prepare(text, PlannedFor::chunk), prepare(text, PlannedFor::few)};
    drop(oldest);
    /* The text comes last: an entry without one is empty. */
    for (size_t i = 0; i < lengthof(plans); ++i) {
        if (SPI_keepplan(plans[i]) != 0)
            elog(ERROR, "SPI_keepplan failed");
        oldest->plans[i] = plans[i];
    }
    oldest->text = MemoryContextStrdup(TopMemoryContext, text);
    oldest->last_use = ++use_count;
    return oldest;
}

uint64 run_chunk_statement(const ChunkStatement *statement, PlannedFor planned_for, const bytea *bounds) {
    Datum value = PointerGetDatum(bounds);
    const char null = bounds ? ' ' : 'n';
    expect_documents(planned_for);
    const int result = SPI_execute_plan(statement->plans[static_cast<int>(planned_for)], &value, &null, false, 0);
    forget_expected_documents();
    if (result < 0)
        elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(result));
    return SPI_processed;
}

void forget_expected_documents() {
    fdw::expected_chunk_documents = fdw::default_chunk_documents;
}

} // namespace mongoferry::migrate
