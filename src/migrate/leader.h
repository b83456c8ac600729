/*
 * The leader of a run: the session that was called to do it. It launches the workers, prints how far they are, and sees
 * to it that none of them outlives it. POD world (pg/guard.h).
 */
#pragma once

#include "migrate/crew_step.h"
#include "migrate/worker.h"

extern "C" {
#include "storage/lock.h"
}

namespace mongoferry::migrate {

/* A worker as the leader sees it. */
struct Hand {
    BackgroundWorkerHandle *handle; /* NULL: not running */
    int pid;                        /* 0: not known yet */
    int restarts;
    uint32 troubles_told; /* of Slot::troubles */
    uint32 warnings_told; /* of Slot::warnings */
};

/* A run of this session. Lives in `context`, until end_lead(). */
struct Leader {
    Leader *outer; /* a run that this one was called in */
    MemoryContext context;
    MemoryContext step_context; /* emptied before each step */
    int nest_level;             /* of the (sub)transaction that it ends with, when that is rolled back */
    bool may_commit;            /* it is a procedure's, and commits after each of its steps */
    bool is_locked;             /* lock is held, and the session's */
    LOCKTAG lock;

    Job job;
    int64 progress_interval; /* milliseconds */
    TimestampTz next_progress;
    char *last_progress;  /* line that was printed last */
    Trouble last_trouble; /* that was told last; its message is empty: none since the last line of progress */

    CrewView view; /* segment NULL: there is no crew */
    Hand *hands;   /* view.crew->size of them */
    int launched;
    uint32 warnings_missed; /* by the client; they are in the server's log only */
    int finished;           /* workers that ended because all is done */
};

/* Begins a run in this session. From now on an error that leaves the current transaction (or subtransaction), cancel
 * and termination included, terminates the workers, waits for their end, and gives up what the run holds. The texts are
 * copied. progress_interval, retry_for: milliseconds. */
Leader *begin_lead(const char *job, const char *migration, int64 retry_for, int64 progress_interval, bool may_commit);

/* Ends it: workers that still run are terminated and waited for. */
void end_lead(Leader *leader);

/* Excludes other runs of the job on the migration, see crew_lock.h. */
void lock_lead(Leader *leader);

/* The options with which work_step() is called; copied. */
void set_options(Leader *leader, const char *options);

/* Commits, where it may: the end of each step of the leader. With SPI connected. */
void commit_step(Leader *leader);

/* Does all the steps, by that many workers. Where none can be launched, or none is asked for, this session does them
 * itself. With SPI connected. Returns NULL when nothing is left to do or the time is up; else the error that the run
 * has to end with: of a worker that can't go on, or 57000 (operator_intervention) when all workers were ended from
 * outside. No worker is left then. */
ErrorData *do_steps(Leader *leader, int workers);

/* Does all the steps in this session, likewise (leader_alone.cpp). */
ErrorData *do_steps_alone(Leader *leader);

/* Runs body in a subtransaction. Returns NULL, or its error, when the subtransaction has been rolled back. A request to
 * cancel is raised. */
ErrorData *run_in_subtransaction(Leader *leader, void (*body)(Leader *, void *), void *argument);

/* Prints the line of progress as a NOTICE, if it is time to and it has changed. */
void show_progress(Leader *leader, bool at_once);

/* Milliseconds until the next line is due. */
long time_to_progress(const Leader *leader);

/* Tells the user, as a NOTICE, that a step failed for now and is tried again; the same message not twice in a row
 * before the next line of progress. */
void show_trouble(Leader *leader, const Trouble &trouble);

} // namespace mongoferry::migrate
