/*
 * See leader.h. Relies on the abort of the transaction for what must be done when an error leaves it: a callback there
 * runs when locks of the kind that others wait for in vain (LWLocks, buffers) are released, so that waiting for workers
 * can't hang on them; a FATAL error (pg_terminate_backend) comes through there too.
 */
#include "migrate/crew_lock.h"
#include "migrate/leader.h"

extern "C" {
#include "executor/spi.h"
#include "pgstat.h"
}

namespace mongoferry::migrate {

static constexpr int restarts_allowed = 3;

static Leader *current; /* the innermost */

/* ---- begin and end ---- */

/* Terminates the workers that still run, and waits for their end. */
static void dismiss_workers(Leader *leader) {
    if (!leader->view.segment)
        return;
    HOLD_INTERRUPTS();     /* a second Ctrl-C must not leave workers behind */
    if (leader->view.crew) /* else it was not finished */
        leader->view.crew->stop = true;
    for (int i = 0; i < leader->launched; i++)
        if (leader->hands[i].handle)
            TerminateBackgroundWorker(leader->hands[i].handle);
    for (int i = 0; i < leader->launched; i++)
        if (leader->hands[i].handle) {
            WaitForBackgroundWorkerShutdown(leader->hands[i].handle);
            leader->hands[i].handle = nullptr;
        }
    dsm_detach(leader->view.segment);
    leader->view = {};
    RESUME_INTERRUPTS();
}

void end_lead(Leader *leader) {
    Assert(leader == current);
    HOLD_INTERRUPTS();
    dismiss_workers(leader);
    if (leader->is_locked)
        unlock_run(&leader->lock);
    current = leader->outer;
    if (!current)
        stop_showing_steps();
    MemoryContextDelete(leader->context);
    RESUME_INTERRUPTS();
}

static void at_transaction_end(XactEvent event, void *) {
    if (event == XACT_EVENT_ABORT)
        while (current)
            end_lead(current);
}

static void at_subtransaction_end(SubXactEvent event, SubTransactionId, SubTransactionId, void *) {
    if (event == SUBXACT_EVENT_ABORT_SUB)
        while (current && current->nest_level >= GetCurrentTransactionNestLevel())
            end_lead(current);
}

Leader *begin_lead(const char *job, const char *migration, int64 retry_for, int64 progress_interval, bool may_commit) {
    static bool callbacks_are_registered = false;
    if (!callbacks_are_registered) {
        RegisterXactCallback(at_transaction_end, nullptr);
        RegisterSubXactCallback(at_subtransaction_end, nullptr);
        callbacks_are_registered = true;
    }
    MemoryContext context = AllocSetContextCreate(TopMemoryContext, "mongoferry leader", ALLOCSET_SMALL_SIZES);
    Leader *leader = static_cast<Leader *>(MemoryContextAllocZero(context, sizeof(Leader)));
    leader->context = context;
    leader->step_context = AllocSetContextCreate(context, "mongoferry step", ALLOCSET_DEFAULT_SIZES);
    leader->outer = current;
    leader->nest_level = GetCurrentTransactionNestLevel();
    leader->may_commit = may_commit;
    leader->progress_interval = progress_interval;
    leader->next_progress = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), progress_interval);
    current = leader;
    leader->job.job = MemoryContextStrdup(context, job);
    leader->job.migration = MemoryContextStrdup(context, migration);
    leader->job.retry_for = retry_for;
    leader->job.ends_at_failure = !may_commit;
    return leader;
}

void lock_lead(Leader *leader) {
    lock_run(leader->job.job, leader->job.migration, leader->may_commit, &leader->lock);
    leader->is_locked = leader->may_commit;
}

void set_options(Leader *leader, const char *options) {
    leader->job.options = MemoryContextStrdup(leader->context, options);
}

void commit_step(Leader *leader) {
    if (!leader->may_commit)
        return;
    SPI_commit();
    SPI_start_transaction(); /* does nothing where SPI_commit() has done it */
}

/* ---- what the user sees ---- */

long time_to_progress(const Leader *leader) {
    return TimestampDifferenceMilliseconds(GetCurrentTimestamp(), leader->next_progress);
}

void show_progress(Leader *leader, bool at_once) {
    if (!at_once && time_to_progress(leader) > 0)
        return;
    const char *arguments[] = {leader->job.job, leader->job.migration, leader->job.options};
    char *line =
        query_text("SELECT mongoferry.progress_line($1, $2, $3::pg_catalog.jsonb)", lengthof(arguments), arguments);
    if (line && (!leader->last_progress || strcmp(line, leader->last_progress) != 0)) {
        ereport(NOTICE, (errmsg_internal("%s", line)));
        char *copy = MemoryContextStrdup(leader->context, line);
        if (leader->last_progress)
            pfree(leader->last_progress);
        leader->last_progress = copy;
    }
    if (line)
        pfree(line);
    leader->last_trouble.message[0] = '\0';
    leader->next_progress = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), leader->progress_interval);
    commit_step(leader);
}

void show_trouble(Leader *leader, const Trouble &trouble) {
    if (strcmp(trouble.message, leader->last_trouble.message) == 0)
        return;
    leader->last_trouble = trouble;
    ereport(NOTICE, (errmsg("%s failed for now and is tried again: %s", trouble.label, trouble.message),
                     trouble.detail[0] ? errdetail_internal("%s", trouble.detail) : 0));
}

/* ---- the workers ---- */

static Slot read_slot(Crew *crew, int index) {
    Slot copy;
    SpinLockAcquire(&crew->mutex);
    memcpy(static_cast<void *>(&copy), &crew->slots[index], sizeof(copy));
    SpinLockRelease(&crew->mutex);
    return copy;
}

static bool launch(Leader *leader, int index) {
    Slot *slot = &leader->view.crew->slots[index];
    slot->state = WorkerState::starting;
    slot->proc = nullptr;
    slot->last_words[0] = '\0';
    slot->task[0] = '\0';
    slot->chunk = 0;
    MemoryContext before = MemoryContextSwitchTo(leader->context);
    leader->hands[index].handle = launch_worker(leader->view, index);
    leader->hands[index].pid = 0;
    MemoryContextSwitchTo(before);
    return leader->hands[index].handle != nullptr;
}

static void launch_all(Leader *leader, int workers) {
    create_crew(leader->job, workers, &leader->view);
    leader->hands =
        static_cast<Hand *>(MemoryContextAllocZero(leader->context, sizeof(Hand) * static_cast<Size>(workers)));
    while (leader->launched < workers) {
        /* counted before, so that it is known if anything goes wrong meanwhile */
        leader->launched++;
        if (!launch(leader, leader->launched - 1)) {
            leader->launched--;
            break;
        }
    }
    if (leader->launched == workers)
        return;
    if (leader->launched == 0)
        ereport(NOTICE,
                (errmsg("no background worker is free: this session does the work of migration \"%s\" itself",
                        leader->job.migration),
                 errhint("All of \"max_worker_processes\" (%d) are in use. Raise it, and restart PostgreSQL, to "
                         "have the work done in parallel.",
                         max_worker_processes)));
    else
        ereport(NOTICE,
                (errmsg("only %d of %d background workers could be started for migration \"%s\"", leader->launched,
                        workers, leader->job.migration),
                 errhint("All of \"max_worker_processes\" (%d) are in use. Raise it, and restart PostgreSQL, to "
                         "have more.",
                         max_worker_processes)));
}

/* An error to be raised later. */
static ErrorData *make_error(int sqlstate, const char *message, const char *detail, const char *hint,
                             const char *context) {
    auto copy = [](const char *text) { return text && *text ? pstrdup(text) : nullptr; };
    ErrorData *error = static_cast<ErrorData *>(palloc0(sizeof(ErrorData)));
    error->elevel = ERROR;
    error->sqlerrcode = sqlstate;
    error->message = pstrdup(message);
    error->detail = copy(detail);
    error->hint = copy(hint);
    error->context = copy(context);
    error->assoc_context = CurrentMemoryContext;
    return error;
}

/* The error that a worker left; NULL: none did. */
static ErrorData *failure_of(Leader *leader) {
    Crew *crew = leader->view.crew;
    if (!*const_cast<volatile bool *>(&crew->failure.is_set))
        return nullptr;
    Failure *failure = static_cast<Failure *>(palloc(sizeof(Failure)));
    SpinLockAcquire(&crew->mutex);
    memcpy(failure, &crew->failure, sizeof(Failure));
    SpinLockRelease(&crew->mutex);
    const char *context = psprintf("%s%sbackground worker of migration \"%s\"", failure->context,
                                   failure->context[0] ? "\n" : "", leader->job.migration);
    return make_error(failure->sqlstate, failure->message, failure->detail, failure->hint, context);
}

/* A worker has ended without having said so: it was terminated, or could not start. */
static void replace(Leader *leader, int index, const Slot &slot) {
    Hand *hand = &leader->hands[index];
    const char *reason = slot.last_words[0] ? slot.last_words : "see the server log";
    if (slot.state == WorkerState::starting) {
        ereport(WARNING, (errmsg("background worker %d of migration \"%s\" could not start: %s", index + 1,
                                 leader->job.migration, reason)));
        return;
    }
    const bool again = hand->restarts < restarts_allowed && launch(leader, index);
    if (again)
        hand->restarts++;
    const char *where =
        slot.task[0] ? psprintf(" at %s", step_label(leader->job.migration, slot.task, slot.chunk)) : "";
    ereport(WARNING,
            (errmsg("background worker %d of migration \"%s\" ended%s: %s", index + 1, leader->job.migration, where,
                    reason),
             again ? errdetail("Another one takes its place; what it had not committed is done again.")
                   : errdetail("No other one takes its place; what it had not committed is left to the others.")));
}

/* Passes on what a worker has to say meanwhile. */
static void hear(Leader *leader, Hand *hand, const Slot &slot) {
    if (slot.troubles != hand->troubles_told) {
        hand->troubles_told = slot.troubles;
        show_trouble(leader, slot.trouble);
    }
    if (slot.warnings != hand->warnings_told) {
        leader->warnings_missed += slot.warnings - hand->warnings_told - 1;
        hand->warnings_told = slot.warnings;
        ereport(WARNING, (errcode(slot.warning.sqlstate), errmsg_internal("%s", slot.warning.message),
                          slot.warning.detail[0] ? errdetail_internal("%s", slot.warning.detail) : 0,
                          slot.warning.hint[0] ? errhint("%s", slot.warning.hint) : 0));
    }
}

static void show_missed_warnings(Leader *leader) {
    if (leader->warnings_missed > 0)
        ereport(NOTICE, (errmsg_plural("%u more warning of the workers is in the server log",
                                       "%u more warnings of the workers are in the server log", leader->warnings_missed,
                                       leader->warnings_missed)));
    leader->warnings_missed = 0;
}

/* Looks at every worker. Returns how many there are still. */
static int look_after_workers(Leader *leader) {
    int running = 0;
    for (int i = 0; i < leader->launched; i++) {
        Hand *hand = &leader->hands[i];
        if (!hand->handle)
            continue;
        pid_t pid = 0;
        const BgwHandleStatus status = GetBackgroundWorkerPid(hand->handle, &pid);
        if (status == BGWH_STARTED)
            hand->pid = pid;
        if (status == BGWH_POSTMASTER_DIED)
            ereport(FATAL, (errcode(ERRCODE_ADMIN_SHUTDOWN), errmsg("the PostgreSQL server has ended")));
        /* read after the status: of a worker that has ended these are the last words */
        const Slot slot = read_slot(leader->view.crew, i);
        hear(leader, hand, slot);
        if (status != BGWH_STOPPED) {
            running++;
            continue;
        }
        pfree(hand->handle);
        hand->handle = nullptr;
        if (slot.state == WorkerState::finished)
            leader->finished++;
        else if (slot.state != WorkerState::failed) {
            replace(leader, i, slot);
            running += hand->handle ? 1 : 0;
        }
    }
    return running;
}

/*
 * Workers that wait for what this transaction has locked would wait for ever, as it waits for them, and PostgreSQL's
 * deadlock detector doesn't see the half of it. Raises 40P01 (deadlock_detected).
 */
static void check_for_deadlock(Leader *leader) {
    for (int i = 0; i < leader->launched; i++) {
        const Hand *hand = &leader->hands[i];
        const PGPROC *proc = leader->view.crew->slots[i].proc;
        if (!hand->handle || hand->pid == 0 || !proc)
            continue;
        const uint32 wait = *const_cast<const volatile uint32 *>(&proc->wait_event_info);
        if ((wait & 0xFF000000U) != PG_WAIT_LOCK)
            continue;
        Oid types[] = {INT4OID, INT4OID};
        Datum values[] = {Int32GetDatum(hand->pid), Int32GetDatum(MyProcPid)};
        const int result =
            SPI_execute_with_args("SELECT true WHERE $2 OPERATOR(pg_catalog.=) ANY (pg_catalog.pg_blocking_pids($1))",
                                  2, types, values, nullptr, false, 0);
        const bool blocked = result == SPI_OK_SELECT && SPI_processed > 0;
        SPI_freetuptable(SPI_tuptable);
        if (blocked)
            ereport(
                ERROR,
                (errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
                 errmsg("the workers of migration \"%s\" wait for a lock that this session holds",
                        leader->job.migration),
                 errdetail("This session waits for its worker with PID %d, which waits for this session.", hand->pid),
                 errhint("Commit what this transaction has changed or locked before, or ask for 0 workers.")));
    }
}

static ErrorData *wait_for_workers(Leader *leader) {
    constexpr int64 look_for_deadlocks_every = 1000;
    TimestampTz next_look = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), look_for_deadlocks_every);
    for (;;) {
        MemoryContextReset(leader->step_context);
        MemoryContextSwitchTo(leader->step_context);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
        const int running = look_after_workers(leader);
        ErrorData *failure = failure_of(leader);
        if (failure)
            return failure;
        if (running == 0)
            break;
        show_progress(leader, false);
        const TimestampTz now = GetCurrentTimestamp();
        if (now >= next_look) {
            check_for_deadlock(leader);
            commit_step(leader); /* no transaction of the leader gets old, whatever progress_interval is */
            next_look = TimestampTzPlusMilliseconds(now, look_for_deadlocks_every);
        }
        const long time = Min(time_to_progress(leader), TimestampDifferenceMilliseconds(now, next_look));
        WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, time, PG_WAIT_EXTENSION);
    }
    if (leader->finished > 0)
        return nullptr;
    return make_error(
        ERRCODE_OPERATOR_INTERVENTION,
        psprintf("all background workers of migration \"%s\" ended before their work was done", leader->job.migration),
        nullptr,
        "The warnings before and the server log tell why. What was committed is kept; the next call goes on "
        "from there.",
        nullptr);
}

ErrorData *do_steps(Leader *leader, int workers) {
    if (workers > 0)
        launch_all(leader, workers);
    else
        ereport(NOTICE, (errmsg("this session does the work of migration \"%s\" itself", leader->job.migration),
                         errhint("With workers => 2 or more it is done in parallel by background workers.")));
    MemoryContext before = CurrentMemoryContext;
    ErrorData *error = leader->launched > 0 ? wait_for_workers(leader) : do_steps_alone(leader);
    dismiss_workers(leader);
    show_missed_warnings(leader);
    if (!error)
        show_progress(leader, true);
    MemoryContextSwitchTo(before);
    return error;
}

} // namespace mongoferry::migrate
