/*
 * One step of a run, as workers and a leader without workers do it alike: the calls of the SQL functions that hold the
 * policy, and what becomes of a step that fails. POD world (pg/guard.h); who calls brings the transaction.
 */
#pragma once

#include "migrate/crew.h"

namespace mongoferry::migrate {

enum class StepOutcome : uint8_t {
    again,    /* something was done; there may be more */
    wait,     /* nothing can be done now, but others are still at work */
    finished, /* all is done, or the time is up */
};

/* Calls mongoferry.work_step() in the transaction and the SPI connection of the caller, with deferrable constraints
 * checked at once, so that a violation shows while it can still be told which document it is of. Raises what the step
 * raises. */
StepOutcome work_step(const Job &job);

/* Calls mongoferry.step_failed() likewise, for the step that was noted. */
void step_failed(const Job &job, const ErrorData *error);

/* The failures of a step so far. All zero: none. */
struct Retries {
    int count;
    TimestampTz first_failure;
    char given_up[2 * NAMEDATALEN]; /* label of the step that step_failed() was told of last */
};

/* Whether the run can go on after this error, of the step with this label: step_failed() can be told of it, and did not
 * forget that it was told so before (the same step would fail for ever). */
bool can_be_given_up(const Job &job, Retries *retries, const char *label);

/* Whether a step that failed with this error may succeed when it is simply done again: the source can't be reached or
 * has lost us (08: the network, a failover, a cursor killed), serialization failures and deadlocks (40001, 40P01), a
 * lock timeout (55P03), too many connections (53300), or a server that shuts down, crashed or starts (57P01 to 57P03).
 * Such an error of this server itself is FATAL, and the end of the process. */
bool is_transient(int sqlstate);

/* How long to wait before the step is done again, in milliseconds: a quarter of a second at first, then twice as long
 * each time, up to 10 seconds. -1: no more; the error is not transient, or retry_for milliseconds are over. */
long next_retry(Retries *retries, int sqlstate, int64 retry_for);

/* Puts an error that was caught, and is dealt with, into the server's log: "LOG: <what>: <the error's message>", with
 * the error's own detail, hint and context. */
void log_error(const char *what, const ErrorData *error);

/* Runs a query with text arguments (NULL: SQL NULL) and returns the first column of its first row as text, palloc'd in
 * the current context; NULL for SQL NULL or no row. With SPI connected. */
char *query_text(const char *query, int argument_count, const char *const *arguments);

} // namespace mongoferry::migrate
