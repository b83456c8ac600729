/* See crew_step.h. Relies on SPI. */
#include "migrate/crew_step.h"

extern "C" {
#include "executor/spi.h"
}

namespace mongoferry::migrate {

static constexpr int max_arguments = 9;

/* Names in the queries are qualified: they run with the search_path of the caller. */
char *query_text(const char *query, int argument_count, const char *const *arguments) {
    Assert(argument_count <= max_arguments);
    MemoryContext context = CurrentMemoryContext; /* SPI leaves its own one behind */
    Oid types[max_arguments] = {};
    Datum values[max_arguments] = {};
    char nulls[max_arguments] = {};
    for (int i = 0; i < argument_count; i++) {
        types[i] = TEXTOID;
        values[i] = arguments[i] ? CStringGetTextDatum(arguments[i]) : static_cast<Datum>(0);
        nulls[i] = arguments[i] ? ' ' : 'n';
    }
    const int result = SPI_execute_with_args(query, argument_count, types, values, nulls, false, 0);
    if (result != SPI_OK_SELECT)
        elog(ERROR, "%s failed: %s", query, SPI_result_code_string(result));
    MemoryContextSwitchTo(context);
    char *text = SPI_processed > 0 ? SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) : nullptr;
    SPI_freetuptable(SPI_tuptable);
    return text;
}

StepOutcome work_step(const Job &job) {
    MemoryContext context = CurrentMemoryContext;
    const int result = SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0);
    MemoryContextSwitchTo(context);
    if (result != SPI_OK_UTILITY)
        elog(ERROR, "SET CONSTRAINTS failed: %s", SPI_result_code_string(result));
    const char *arguments[] = {job.job, job.migration, job.options};
    const char *outcome =
        query_text("SELECT mongoferry.work_step($1, $2, $3::pg_catalog.jsonb)", lengthof(arguments), arguments);
    if (outcome && strcmp(outcome, "again") == 0)
        return StepOutcome::again;
    if (outcome && strcmp(outcome, "wait") == 0)
        return StepOutcome::wait;
    if (outcome && strcmp(outcome, "finished") == 0)
        return StepOutcome::finished;
    ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
                    errmsg("mongoferry.work_step() returned \"%s\"", outcome ? outcome : "NULL")));
    pg_unreachable();
}

void step_failed(const Job &job, const ErrorData *error) {
    char chunk[16];
    snprintf(chunk, sizeof(chunk), "%d", noted_chunk());
    char sqlstate[6];
    memcpy(sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(sqlstate));
    const char *arguments[] = {job.job,     job.migration, noted_task(),   noted_chunk() > 0 ? chunk : nullptr,
                               job.options, sqlstate,      error->message, error->detail,
                               error->hint};
    query_text("SELECT mongoferry.step_failed($1, $2, $3, $4::pg_catalog.int4, $5::pg_catalog.jsonb, $6, $7, $8, $9)",
               lengthof(arguments), arguments);
}

bool is_transient(int sqlstate) {
    switch (sqlstate) {
    case ERRCODE_T_R_SERIALIZATION_FAILURE:
    case ERRCODE_T_R_DEADLOCK_DETECTED:
    case ERRCODE_LOCK_NOT_AVAILABLE:
    case ERRCODE_TOO_MANY_CONNECTIONS:
    case ERRCODE_ADMIN_SHUTDOWN:
    case ERRCODE_CRASH_SHUTDOWN:
    case ERRCODE_CANNOT_CONNECT_NOW:
        return true;
    default:
        return ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_CONNECTION_EXCEPTION;
    }
}

bool can_be_given_up(const Job &job, Retries *retries, const char *label) {
    if (job.ends_at_failure || !noted_task())
        return false;
    char clipped[sizeof(retries->given_up)];
    copy_clipped(clipped, sizeof(clipped), label);
    if (strcmp(clipped, retries->given_up) == 0)
        return false;
    memset(retries, 0, sizeof(*retries));
    memcpy(retries->given_up, clipped, sizeof(clipped));
    return true;
}

long next_retry(Retries *retries, int sqlstate, int64 retry_for) {
    constexpr long first_delay = 250;
    constexpr long longest_delay = 10000;
    if (!is_transient(sqlstate))
        return -1;
    const TimestampTz now = GetCurrentTimestamp();
    if (retries->count == 0)
        retries->first_failure = now;
    const int64 left = retry_for - (now - retries->first_failure) / 1000;
    if (left <= 0)
        return -1;
    long delay = longest_delay;
    if (retries->count < 6)
        delay = Min(longest_delay, first_delay << retries->count);
    retries->count++;
    /* the last attempt is at the end of the time, not somewhere before it */
    return static_cast<long>(Min(static_cast<int64>(delay), left));
}

void log_error(const char *what, const ErrorData *error) {
    ereport(LOG,
            (errcode(error->sqlerrcode), errmsg_internal("%s: %s", what, error->message ? error->message : ""),
             error->detail ? errdetail_internal("%s", error->detail) : 0, error->hint ? errhint("%s", error->hint) : 0,
             error->context ? errcontext_msg("%s", error->context) : 0));
}

} // namespace mongoferry::migrate
