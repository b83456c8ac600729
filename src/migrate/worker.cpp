/*
 * The background worker of a run: does step after step, each in a transaction of its own, until there is nothing left.
 *
 * It connects as the session user of its leader and takes over the leader's settings and role, so that a step does what
 * it would do in the leader's session. It ends when work_step() says that all is done, when the leader stops the crew
 * or is gone, and at once on SIGTERM. What it can't deal with it leaves in the crew's memory for the leader to raise.
 *
 * POD world (pg/guard.h): an error leaves a step by longjmp.
 */
#include "migrate/crew_step.h"
#include "migrate/worker.h"

extern "C" {
#include "executor/spi.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

PGDLLEXPORT void mongoferry_worker_main(Datum argument);
}

namespace mongoferry::migrate {

BackgroundWorkerHandle *launch_worker(const CrewView &view, int slot) {
    BackgroundWorker worker;
    memset(&worker, 0, sizeof(worker));
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    strlcpy(worker.bgw_library_name, "mongoferry", sizeof(worker.bgw_library_name));
    strlcpy(worker.bgw_function_name, "mongoferry_worker_main", sizeof(worker.bgw_function_name));
    snprintf(worker.bgw_name, sizeof(worker.bgw_name), "mongoferry worker %d of %s", slot + 1, view.job.migration);
    strlcpy(worker.bgw_type, "mongoferry worker", sizeof(worker.bgw_type));
    worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(view.segment));
    memcpy(worker.bgw_extra, &slot, sizeof(slot));
    worker.bgw_notify_pid = MyProcPid;

    BackgroundWorkerHandle *handle = nullptr;
    return RegisterDynamicBackgroundWorker(&worker, &handle) ? handle : nullptr;
}

namespace {

/* This process's place in its crew. */
struct Worker {
    CrewView view;
    Crew *crew;
    Slot *slot;
    MemoryContext context; /* emptied before each step */
};

using Body = void (*)(Worker *, void *);

/* Runs body in a transaction with SPI connected, as the leader's user. Returns NULL, or its error, when the transaction
 * has been rolled back. */
ErrorData *run_in_transaction(Worker *worker, const char *activity, Body body, void *argument) {
    ErrorData *volatile error = nullptr;
    /* A request to cancel what has ended meanwhile is none. */
    QueryCancelPending = false;
    debug_query_string = activity;
    pgstat_report_activity(STATE_RUNNING, activity);
    PG_TRY();
    {
        SetCurrentStatementStartTimestamp();
        StartTransactionCommand();
        Oid user;
        int security_context;
        GetUserIdAndSecContext(&user, &security_context);
        if (worker->crew->current_user != user || worker->crew->security_context != security_context)
            SetUserIdAndSecContext(worker->crew->current_user, worker->crew->security_context);
        PushActiveSnapshot(GetTransactionSnapshot());
        MemoryContextSwitchTo(worker->context);
        SPI_connect();
        body(worker, argument);
        SPI_finish();
        PopActiveSnapshot();
        SetUserIdAndSecContext(user, security_context);
        CommitTransactionCommand();
    }
    PG_CATCH();
    {
        HOLD_INTERRUPTS();
        MemoryContextSwitchTo(worker->context);
        error = CopyErrorData();
        FlushErrorState();
        AbortOutOfAnyTransaction();
        QueryCancelPending = false;
        RESUME_INTERRUPTS();
    }
    PG_END_TRY();
    MemoryContextSwitchTo(worker->context);
    debug_query_string = nullptr;
    pgstat_report_stat(false);
    pgstat_report_activity(STATE_IDLE, nullptr);
    return error;
}

/* The leader's settings and role. Before the first query, as the mode of the transaction is among the settings. */
ErrorData *take_over_session(Worker *worker) {
    ErrorData *volatile error = nullptr;
    PG_TRY();
    {
        SetCurrentStatementStartTimestamp();
        StartTransactionCommand();
        RestoreGUCState(worker->view.settings);
        /* A setting like another, but never among those that are handed over. The session user might take this role in
         * the leader; this checks it again. */
        const Oid role = worker->crew->role;
        SetConfigOption("role", OidIsValid(role) ? GetUserNameFromId(role, false) : "none", PGC_USERSET, PGC_S_SESSION);
        SetConfigOption("application_name", "mongoferry", PGC_USERSET, PGC_S_SESSION);
        CommitTransactionCommand();
        process_session_preload_libraries();
    }
    PG_CATCH();
    {
        HOLD_INTERRUPTS();
        MemoryContextSwitchTo(worker->context);
        error = CopyErrorData();
        FlushErrorState();
        AbortOutOfAnyTransaction();
        RESUME_INTERRUPTS();
    }
    PG_END_TRY();
    MemoryContextSwitchTo(worker->context);
    return error;
}

/* The leader looks at the workers' states, and waits for their end, at its latch. */
void wake_leader(Worker *worker) {
    SetLatch(&worker->crew->leader->procLatch);
}

/* What goes to the server's log is all that a background worker says; warnings, and what ends it, go to the leader too.
 */
Worker *this_worker;
emit_log_hook_type next_log_hook;
void hear_log(ErrorData *said) {
    if (said->elevel >= ERROR) {
        leave_last_words(this_worker->crew, this_worker->slot, said);
    } else if (said->elevel == WARNING) {
        leave_warning(this_worker->crew, this_worker->slot, said);
        wake_leader(this_worker);
    }
    if (next_log_hook)
        next_log_hook(said);
}

void set_state(Worker *worker, WorkerState state) {
    worker->slot->state = state;
}

/* Others that have nothing to do may have now. That a process has ended meanwhile, and its PGPROC serves another one,
 * is harmless: who waits at a latch looks again. */
void wake_waiting(Worker *worker) {
    for (int i = 0; i < worker->crew->size; i++) {
        const Slot *slot = &worker->crew->slots[i];
        if (slot->state == WorkerState::waiting && slot->proc)
            SetLatch(&slot->proc->procLatch);
    }
}

void handle_signals() {
    QueryCancelPending = false;
    CHECK_FOR_INTERRUPTS();
    if (ConfigReloadPending) {
        ConfigReloadPending = false;
        ProcessConfigFile(PGC_SIGHUP);
    }
}

/* Whether there is nobody left to work for. */
bool is_over(const Worker *worker) {
    if (*const_cast<volatile bool *>(&worker->crew->stop))
        return true;
    const PGPROC *leader = BackendPidGetProc(worker->crew->leader_pid);
    return leader != worker->crew->leader;
}

/* Waits; wakeable: only until the latch is set. */
void pause_for(Worker *worker, long milliseconds, bool wakeable) {
    const TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);
    for (;;) {
        const long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);
        if (left <= 0 || is_over(worker))
            return;
        const int events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left, PG_WAIT_EXTENSION);
        if (events & WL_LATCH_SET)
            ResetLatch(MyLatch);
        handle_signals();
        if (wakeable && (events & WL_LATCH_SET))
            return;
    }
}

[[noreturn]] void end(Worker *worker, WorkerState state) {
    set_state(worker, state);
    wake_waiting(worker);
    proc_exit(0); /* of which the postmaster tells the leader */
}

[[noreturn]] void fail(Worker *worker, const ErrorData *error, const char *what) {
    log_error(what, error);
    leave_failure(worker->crew, error);
    end(worker, WorkerState::failed);
}

/* Tells that the noted step failed for good. What can't be told even then is the leader's. */
void report_failed_step(Worker *worker, ErrorData *error) {
    Retries retries = {};
    for (;;) {
        ErrorData *problem = run_in_transaction(
            worker, "SELECT mongoferry.step_failed(...)",
            [](Worker *self, void *failure) { step_failed(self->view.job, static_cast<ErrorData *>(failure)); }, error);
        if (!problem)
            return;
        const long delay = next_retry(&retries, problem->sqlerrcode, worker->view.job.retry_for);
        if (delay < 0 || is_over(worker))
            fail(worker, problem, "mongoferry could not mark a task as failed");
        pause_for(worker, delay, false);
    }
}

[[noreturn]] void work(Worker *worker) {
    Retries retries = {};
    const char *activity =
        psprintf("SELECT mongoferry.work_step('%s', '%s', ...)", worker->view.job.job, worker->view.job.migration);
    worker->context = AllocSetContextCreate(TopMemoryContext, "mongoferry step", ALLOCSET_DEFAULT_SIZES);
    for (;;) {
        MemoryContextReset(worker->context);
        handle_signals();
        if (is_over(worker))
            end(worker, WorkerState::finished);
        forget_step();
        set_state(worker, WorkerState::working);
        StepOutcome outcome = StepOutcome::wait;
        ErrorData *error = run_in_transaction(
            worker, activity,
            [](Worker *self, void *result) { *static_cast<StepOutcome *>(result) = work_step(self->view.job); },
            &outcome);
        if (!error) {
            switch (outcome) {
            case StepOutcome::again:
                retries = {};
                wake_waiting(worker);
                break;
            case StepOutcome::wait:
                forget_step();
                set_state(worker, WorkerState::waiting);
                pause_for(worker, 200, true);
                break;
            case StepOutcome::finished:
                end(worker, WorkerState::finished);
            }
            continue;
        }

        char *label = step_label(worker->view.job.migration, noted_task(), noted_chunk());
        const long delay = next_retry(&retries, error->sqlerrcode, worker->view.job.retry_for);
        if (delay >= 0) {
            log_error(psprintf("mongoferry tries %s again in %ld ms", label, delay), error);
            leave_trouble(worker->crew, worker->slot, label, error);
            wake_waiting(worker);
            wake_leader(worker);
            pause_for(worker, delay, false);
            continue;
        }
        if (!can_be_given_up(worker->view.job, &retries, label))
            fail(worker, error, psprintf("mongoferry cannot go on with %s", label));
        log_error(psprintf("mongoferry gives %s up", label), error);
        report_failed_step(worker, error);
        wake_waiting(worker);
    }
}

} // namespace
} // namespace mongoferry::migrate

using namespace mongoferry::migrate;

/* The worker's entry. argument: handle of the crew's segment; bgw_extra: index of its slot. */
void mongoferry_worker_main(Datum argument) {
    pqsignal(SIGTERM, die);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();

    Worker worker;
    memset(static_cast<void *>(&worker), 0, sizeof(worker));
    int index;
    memcpy(&index, MyBgworkerEntry->bgw_extra, sizeof(index));
    if (!attach_crew(DatumGetUInt32(argument), &worker.view))
        proc_exit(0); /* the leader has ended already */
    worker.crew = worker.view.crew;
    worker.slot = &worker.crew->slots[index];

    this_worker = &worker;
    next_log_hook = emit_log_hook;
    emit_log_hook = hear_log;

    BackgroundWorkerInitializeConnectionByOid(worker.crew->database, worker.crew->session_user, 0);
    worker.slot->proc = MyProc;
    worker.context = TopMemoryContext;
    ErrorData *error = take_over_session(&worker);
    if (error)
        fail(&worker, error, "mongoferry cannot take over the session's role and settings");
    show_steps(worker.view.job.migration, worker.crew, worker.slot);
    work(&worker);
}
