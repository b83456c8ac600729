/*
 * Runs of one migration exclude each other: a lock in PostgreSQL's lock table, in the space of the advisory locks but
 * with a class of its own, so that no pg_advisory_lock() of a user meets it. pg_locks shows it as an advisory lock with
 * objsubid 27503. POD world (pg/guard.h).
 */
#pragma once

#include "pg/backend.h"

extern "C" {
#include "storage/lock.h"
}

namespace mongoferry::migrate {

/* Takes the lock of a job ("migrate" or another) on a migration of this database. session: until unlock_run(), whatever
 * becomes of the transaction; else until the end of the transaction, in which it may be taken again. Raises 55006
 * (object_in_use) when a run holds it. */
void lock_run(const char *job, const char *migration, bool session, LOCKTAG *lock);

/* Gives up a lock of the session. */
void unlock_run(const LOCKTAG *lock);

} // namespace mongoferry::migrate
