/*
 * Which step this process is at: mongoferry.note_step(), by which work_step() tells it, and who shows it.
 *
 * The note outlives the transaction: when the step fails, step_failed() is called with it. POD world (pg/guard.h).
 */
#include "migrate/crew.h"

extern "C" {
#include "utils/backend_status.h"
#include "utils/guc.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_note_step);
}

namespace mongoferry::migrate {

namespace {
struct Note {
    char *task; /* in TopMemoryContext; NULL: none */
    int32 chunk;

    const char *migration; /* NULL: not shown */
    Crew *crew;
    Slot *slot;
};
} // namespace
static Note note;

char *step_label(const char *migration, const char *task, int32 chunk) {
    if (!task || *task == '\0')
        return pstrdup(migration);
    return chunk > 0 ? psprintf("%s/%s #%d", migration, task, chunk) : psprintf("%s/%s", migration, task);
}

static void show() {
    if (!note.migration)
        return;
    char *label = step_label(note.migration, note.task, note.chunk);
    char *name = psprintf("mongoferry %s", label);
    /* as the setting has it: other databases may have another encoding */
    for (char *c = name; *c; c++)
        if (IS_HIGHBIT_SET(*c))
            *c = '?';
    /* Reported past the setting application_name, which would follow the transaction, be it rolled back or not. */
    pgstat_report_appname(name);
    pfree(name);
    pfree(label);
    if (note.slot) {
        char task[sizeof(note.slot->task)];
        copy_clipped(task, sizeof(task), note.task);
        SpinLockAcquire(&note.crew->mutex);
        memcpy(note.slot->task, task, sizeof(task));
        note.slot->chunk = note.chunk;
        SpinLockRelease(&note.crew->mutex);
    }
}

static void set_note(const char *task, int32 chunk) {
    char *copy = task ? MemoryContextStrdup(TopMemoryContext, task) : nullptr;
    if (note.task)
        pfree(note.task);
    note.task = copy;
    note.chunk = chunk;
    show();
}

void show_steps(const char *migration, Crew *crew, Slot *slot) {
    note.migration = migration;
    note.crew = crew;
    note.slot = slot;
    show();
}

void stop_showing_steps() {
    if (!note.migration)
        return;
    note.migration = nullptr;
    note.crew = nullptr;
    note.slot = nullptr;
    pgstat_report_appname(application_name ? application_name : "");
}

void forget_step() {
    if (note.task)
        set_note(nullptr, 0);
}

const char *noted_task() {
    return note.task;
}

int32 noted_chunk() {
    return note.chunk;
}

} // namespace mongoferry::migrate

using namespace mongoferry::migrate;

/* note_step(task text, chunk integer) → void. A NULL task: none; a NULL chunk: no chunk. */
Datum mongoferry_note_step(PG_FUNCTION_ARGS) {
    const char *task = PG_ARGISNULL(0) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(0));
    set_note(task, PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1));
    PG_RETURN_VOID();
}
