/*
 * mongoferry.exclude_runs(): no run of a migration while this transaction changes what runs stand on.
 *
 * Runs hold a lock for each job (crew_lock.h); this takes those of all jobs, until the end of the transaction. POD
 * world (pg/guard.h).
 */
#include "migrate/crew_lock.h"

extern "C" {
#include "fmgr.h"
#include "utils/builtins.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_exclude_runs);
}

/* exclude_runs(migration text) → void, strict. Raises 55006 (object_in_use) when one is under way. */
Datum mongoferry_exclude_runs(PG_FUNCTION_ARGS) {
    const char *migration = text_to_cstring(PG_GETARG_TEXT_PP(0));
    static const char *const jobs[] = {"migrate", "validate", "recheck"};
    for (const char *job : jobs) {
        LOCKTAG lock;
        mongoferry::migrate::lock_run(job, migration, false, &lock);
    }
    PG_RETURN_VOID();
}
