/*
 * The calls that start a run: the procedure mongoferry.migrate() and the function mongoferry.run_workers(). They check
 * their arguments, and call the SQL functions around the steps: begin_run(), end_run() and run_problem().
 *
 * POD world (pg/guard.h). Relies on SPI's non-atomic mode for the procedure's commits.
 */
#include "migrate/leader.h"
#include "migrate/transaction_block.h"

extern "C" {
#include "executor/spi.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_migrate);
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_run_workers);
}

namespace mongoferry::migrate {

static constexpr int most_workers = 1024;

/* ---- arguments ---- */

static void refuse_nulls(FunctionCallInfo fcinfo, const char *function, const char *const *names, int count) {
    for (int i = 0; i < count; i++)
        if (names[i] && PG_ARGISNULL(i))
            ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                            errmsg("argument \"%s\" of %s() must not be null", names[i], function)));
}

static int workers_argument(int32 workers, const char *function) {
    if (workers < 0 || workers > most_workers)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("argument \"workers\" of %s() must be between 0 and %d, not %d", function, most_workers,
                               workers),
                        errhint("With 0, this session does the work itself.")));
    return workers;
}

/* An interval as milliseconds, a month being 30 days as in comparisons of intervals; capped at a few hundred years. */
static int64 milliseconds_of(const Interval *interval) {
    const double milliseconds = (interval->month * static_cast<double>(DAYS_PER_MONTH) + interval->day) *
                                    (static_cast<double>(SECS_PER_DAY) * 1000.0) +
                                static_cast<double>(interval->time) / 1000.0;
    constexpr double most = 1e13;
    return static_cast<int64>(Max(-most, Min(most, milliseconds)));
}

static int64 duration_argument(const Interval *interval, const char *name, bool may_be_zero) {
    const int64 milliseconds = milliseconds_of(interval);
    if (milliseconds < 0 || (milliseconds == 0 && !may_be_zero))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("argument \"%s\" of migrate() must be %s", name,
                               may_be_zero ? "zero or a positive duration" : "a positive duration"),
                        errhint("Give an interval, such as '30 s' or '2 hours'.")));
    return milliseconds;
}

/* ---- migrate() ---- */

static void refuse_transaction_block(FunctionCallInfo fcinfo) {
    const CallContext *call = fcinfo->context && IsA(fcinfo->context, CallContext)
                                  ? reinterpret_cast<const CallContext *>(fcinfo->context)
                                  : nullptr;
    if (call && !call->atomic && !IsSubTransaction())
        return;
    raise_in_transaction_block("migrate");
}

/* The options of the run as JSON: the arguments that work_step() needs, with max_duration turned into a point in time.
 */
static char *make_options(FunctionCallInfo fcinfo, int workers) {
    enum { max_duration = 2, only_tasks, defer_indexes, defer_foreign_keys };
    Oid types[] = {INTERVALOID, TEXTARRAYOID, BOOLOID, BOOLOID, INT4OID};
    Datum values[] = {PG_GETARG_DATUM(max_duration), PG_GETARG_DATUM(only_tasks), PG_GETARG_DATUM(defer_indexes),
                      PG_GETARG_DATUM(defer_foreign_keys), Int32GetDatum(workers)};
    const char nulls[] = {PG_ARGISNULL(max_duration) ? 'n' : ' ', PG_ARGISNULL(only_tasks) ? 'n' : ' ', ' ', ' ', ' '};
    const int result = SPI_execute_with_args(
        "SELECT pg_catalog.jsonb_build_object("
        "'deadline', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) $1, 'only_tasks', $2, 'defer_indexes', $3, "
        "'defer_foreign_keys', $4, 'workers', $5)::pg_catalog.text",
        lengthof(types), types, values, nulls, false, 0);
    if (result != SPI_OK_SELECT || SPI_processed != 1)
        elog(ERROR, "options of the run could not be made: %s", SPI_result_code_string(result));
    return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/* outcome: a text (char *), or NULL where the tables tell it. */
static void end_run(Leader *leader, void *outcome) {
    const char *arguments[] = {leader->job.job, leader->job.migration, leader->job.options,
                               static_cast<const char *>(outcome)};
    query_text("SELECT mongoferry.end_run($1, $2, $3::pg_catalog.jsonb, $4)", lengthof(arguments), arguments);
}

/* Raises what the run has to say at its end, if anything. */
static void raise_problem(Leader *leader) {
    const char *arguments[] = {leader->job.job, leader->job.migration, leader->job.options};
    char *problem = query_text("SELECT pg_catalog.jsonb_build_array(p.message, p.detail, p.hint)::pg_catalog.text FROM "
                               "mongoferry.run_problem($1, $2, $3::pg_catalog.jsonb) AS p",
                               lengthof(arguments), arguments);
    if (!problem)
        return;
    auto member = [problem](const char *query) {
        const char *argument[] = {problem};
        return query_text(query, 1, argument);
    };
    const char *message = member("SELECT $1::pg_catalog.jsonb OPERATOR(pg_catalog.->>) 0");
    const char *detail = member("SELECT $1::pg_catalog.jsonb OPERATOR(pg_catalog.->>) 1");
    const char *hint = member("SELECT $1::pg_catalog.jsonb OPERATOR(pg_catalog.->>) 2");
    ereport(ERROR, (errcode(ERRCODE_RAISE_EXCEPTION), errmsg_internal("%s", message ? message : "the run failed"),
                    detail ? errdetail_internal("%s", detail) : 0, hint ? errhint("%s", hint) : 0));
}

} // namespace mongoferry::migrate

using namespace mongoferry::migrate;

/* migrate(migration text, workers integer, max_duration interval, only_tasks text[], defer_indexes boolean,
 * defer_foreign_keys boolean, retry_for interval, progress_interval interval): see extension/56_crew.sql. */
Datum mongoferry_migrate(PG_FUNCTION_ARGS) {
    static const char *const required[] = {"migration", "workers",          nullptr,
                                           nullptr,     "defer_indexes",    "defer_foreign_keys",
                                           "retry_for", "progress_interval"};
    refuse_nulls(fcinfo, "migrate", required, lengthof(required));
    const int workers = workers_argument(PG_GETARG_INT32(1), "migrate");
    if (!PG_ARGISNULL(2))
        duration_argument(PG_GETARG_INTERVAL_P(2), "max_duration", false);
    const int64 retry_for = duration_argument(PG_GETARG_INTERVAL_P(6), "retry_for", true);
    const int64 progress_interval = duration_argument(PG_GETARG_INTERVAL_P(7), "progress_interval", false);
    refuse_transaction_block(fcinfo);

    Leader *leader = begin_lead("migrate", text_to_cstring(PG_GETARG_TEXT_PP(0)), retry_for, progress_interval, true);
    lock_lead(leader);
    SPI_connect_ext(SPI_OPT_NONATOMIC);
    set_options(leader, make_options(fcinfo, workers));
    const char *arguments[] = {leader->job.job, leader->job.migration, leader->job.options};
    const char *options = query_text("SELECT mongoferry.begin_run($1, $2, $3::pg_catalog.jsonb)::pg_catalog.text",
                                     lengthof(arguments), arguments);
    if (options)
        set_options(leader, options);
    commit_step(leader);

    ErrorData *error = do_steps(leader, workers);
    if (error) {
        /* that the run can't be closed as well is of less interest */
        ErrorData *second = run_in_subtransaction(leader, end_run, error->message);
        if (second)
            log_error("mongoferry could not close a run that failed", second);
        commit_step(leader);
        ThrowErrorData(error);
    }
    end_run(leader, nullptr);
    commit_step(leader);
    raise_problem(leader);
    SPI_finish();
    end_lead(leader);
    PG_RETURN_VOID();
}

/* run_workers(job text, migration text, options jsonb, workers integer) → void: see extension/56_crew.sql. */
Datum mongoferry_run_workers(PG_FUNCTION_ARGS) {
    static const char *const required[] = {"job", "migration", "options", "workers"};
    /* A job is called by the function of its name: what is wrong with the arguments is the user's to mend there. */
    const char *function = PG_ARGISNULL(0) ? "run_workers" : text_to_cstring(PG_GETARG_TEXT_PP(0));
    refuse_nulls(fcinfo, function, required, lengthof(required));
    const int workers = workers_argument(PG_GETARG_INT32(3), function);
    constexpr int64 retry_for = 120000;
    constexpr int64 progress_interval = 5000;

    Leader *leader = begin_lead(function, text_to_cstring(PG_GETARG_TEXT_PP(1)), retry_for, progress_interval, false);
    lock_lead(leader);
    SPI_connect();
    set_options(leader, DatumGetCString(DirectFunctionCall1(jsonb_out, PG_GETARG_DATUM(2))));
    ErrorData *error = do_steps(leader, workers);
    if (error)
        ThrowErrorData(error);
    SPI_finish();
    end_lead(leader);
    PG_RETURN_VOID();
}
