/*
 * A leader without workers: does all the steps in its own session, each in a subtransaction, so that one that fails is
 * undone and told of as a worker's would be. POD world (pg/guard.h).
 */
#include "migrate/leader.h"

extern "C" {
#include "pgstat.h"
}

namespace mongoferry::migrate {

ErrorData *run_in_subtransaction(Leader *leader, void (*body)(Leader *, void *), void *argument) {
    ErrorData *volatile error = nullptr;
    MemoryContext context = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(context);
    PG_TRY();
    {
        body(leader, argument);
        ReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(context);
        CurrentResourceOwner = owner;
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        error = CopyErrorData();
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(context);
        CurrentResourceOwner = owner;
        if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
            ReThrowError(error);
    }
    PG_END_TRY();
    return error;
}

static void pause_for(Leader *leader, long milliseconds) {
    const TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        show_progress(leader, false);
        const long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);
        if (left <= 0)
            return;
        WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, Min(left, time_to_progress(leader)),
                  PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
    }
}

ErrorData *do_steps_alone(Leader *leader) {
    Retries retries = {};
    show_steps(leader->job.migration, nullptr, nullptr);
    for (;;) {
        MemoryContextReset(leader->step_context);
        MemoryContextSwitchTo(leader->step_context);
        CHECK_FOR_INTERRUPTS();
        forget_step();
        StepOutcome outcome = StepOutcome::wait;
        ErrorData *error = run_in_subtransaction(
            leader, [](Leader *self, void *result) { *static_cast<StepOutcome *>(result) = work_step(self->job); },
            &outcome);
        commit_step(leader);
        if (!error) {
            if (outcome == StepOutcome::finished)
                return nullptr;
            if (outcome == StepOutcome::again)
                retries = {};
            show_progress(leader, false);
            if (outcome == StepOutcome::wait)
                pause_for(leader, 200);
            continue;
        }
        char *label = step_label(leader->job.migration, noted_task(), noted_chunk());
        const long delay = next_retry(&retries, error->sqlerrcode, leader->job.retry_for);
        if (delay >= 0) {
            log_error(psprintf("mongoferry tries %s again in %ld ms", label, delay), error);
            show_trouble(leader, make_trouble(label, error));
            pause_for(leader, delay);
            continue;
        }
        if (!can_be_given_up(leader->job, &retries, label))
            return error;
        log_error(psprintf("mongoferry gives %s up", label), error);
        step_failed(leader->job, error);
        commit_step(leader);
    }
}

} // namespace mongoferry::migrate
