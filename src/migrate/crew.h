/*
 * The crew of a run: what a leader (the session that called migrate() or run_workers()) and its background workers
 * share.
 *
 * It lives in a dynamic shared memory segment that the leader makes (leader.cpp) and the workers attach to
 * (worker.cpp). Everything the crew knows besides is in tables: which work there is, and what is done, is the business
 * of the SQL function mongoferry.work_step(). POD world (pg/guard.h).
 */
#pragma once

#include "pg/backend.h"

extern "C" {
#include "storage/dsm.h"
#include "storage/proc.h"
#include "storage/spin.h"
#include "utils/timestamp.h"
}

namespace mongoferry::migrate {

/* What a run is about. The texts are in the server's encoding and live as long as the run. */
struct Job {
    const char *job;       /* 'migrate', 'validate', … as work_step() takes it */
    const char *migration; /* its name */
    const char *options;   /* JSON, as begin_run() completed it */
    int64 retry_for;       /* milliseconds that a failing step is tried again for */
    /* A step that fails for good ends the run with its error, as an error ends a function. Else step_failed() is told
     * of it, and the run goes on with what is left. */
    bool ends_at_failure;
};

enum class WorkerState : uint8_t {
    starting, /* launched; not connected yet */
    working,
    waiting,  /* there is nothing to do for it now, but others are still at work */
    finished, /* work_step() said that all is done: the worker ends by itself */
    failed,   /* likewise, having left its error in Crew::failure */
};

/* A step that failed and is tried again. */
struct Trouble {
    char label[2 * NAMEDATALEN]; /* of the step */
    char message[512];
    char detail[512]; /* empty: none */
};

/* A WARNING that was raised in a worker, for the leader's client. */
struct Warning {
    int sqlstate;
    char message[1024];
    char detail[1024];
    char hint[512];
};

/* One worker. The texts are cut off where they are too long; they are for people. */
struct Slot {
    WorkerState state;
    PGPROC *proc; /* its process, for its latch; NULL before it has one */
    int32 chunk;  /* what it is at; 0: no chunk */
    char task[2 * NAMEDATALEN];
    uint32 troubles;      /* how often a step failed and was to be tried again */
    Trouble trouble;      /* the last time */
    uint32 warnings;      /* how many there were; the leader may be too late for some */
    Warning warning;      /* the last one */
    char last_words[512]; /* the error that ended the process */
};

/* The error with which the first worker failed. */
struct Failure {
    bool is_set;
    int sqlstate;
    char message[2048];
    char detail[4096];
    char hint[1024];
    char context[2048];
};

/* In shared memory. What is below mutex changes while workers run and is guarded by it, except that a Slot's state and
 * stop are also read without it: they are single bytes. */
struct Crew {
    Oid database;
    Oid session_user;
    Oid role;         /* of SET ROLE; InvalidOid: none */
    Oid current_user; /* differs from the role in a SECURITY DEFINER function */
    int security_context;
    int leader_pid;
    PGPROC *leader;
    int64 retry_for;
    bool ends_at_failure;
    int size; /* number of slots */

    slock_t mutex;
    bool stop; /* the leader ends the run */
    Failure failure;
    Slot slots[FLEXIBLE_ARRAY_MEMBER];
};

/* A crew as one process sees it. */
struct CrewView {
    dsm_segment *segment;
    Crew *crew;
    Job job;
    void *settings; /* the leader's settings, for RestoreGUCState() */
};

/* Makes the segment for a crew of `size`, with the roles and settings of this session. The mapping stays until
 * dsm_detach(), whatever becomes of the transaction. Raises 53000 (insufficient_resources) when there is no segment. */
void create_crew(const Job &job, int size, CrewView *view);

/* Attaches to it from a worker. False when it is gone. */
bool attach_crew(dsm_handle handle, CrewView *view);

/* A worker's error for the leader to raise; the first one stays. */
void leave_failure(Crew *crew, const ErrorData *error);

/* Notes that a step of the slot failed and is tried again. */
void leave_trouble(Crew *crew, Slot *slot, const char *label, const ErrorData *error);

/* Notes a WARNING. */
void leave_warning(Crew *crew, Slot *slot, const ErrorData *warning);

/* Notes the error that ends the slot's process. */
void leave_last_words(Crew *crew, Slot *slot, const ErrorData *error);

/* The texts of a Trouble. */
Trouble make_trouble(const char *label, const ErrorData *error);

/* Copies text, cut off between characters, into a buffer of size bytes. NULL: empty. */
void copy_clipped(char *buffer, size_t size, const char *text);

/* ---- the step that this process is at (mongoferry.note_step) ---- */

/* From now on note_step() shows the step in pg_stat_activity.application_name, and in slot where it is not NULL. The
 * texts must live until stop_showing_steps(). */
void show_steps(const char *migration, Crew *crew, Slot *slot);
void stop_showing_steps();

/* No step is noted any more. */
void forget_step();
/* What work_step() noted: the task's name, whole, or NULL; the chunk's number, 0: none. */
const char *noted_task();
int32 noted_chunk();
/* "shop", "shop/orders" or "shop/orders #17", palloc'd. task NULL or empty, chunk 0: none. */
char *step_label(const char *migration, const char *task, int32 chunk);

} // namespace mongoferry::migrate
