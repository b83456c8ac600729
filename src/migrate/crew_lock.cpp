/* See crew_lock.h. */
#include "migrate/crew_lock.h"

extern "C" {
#include "common/hashfn.h"
}

namespace mongoferry::migrate {

/* pg_advisory_lock() uses 1 and 2. */
static constexpr uint16 lock_class = 27503;

static LOCKTAG lock_tag(const char *job, const char *migration) {
    const uint64 seed =
        hash_bytes_extended(reinterpret_cast<const unsigned char *>(job), static_cast<int>(strlen(job)), 0);
    const uint64 key = hash_bytes_extended(reinterpret_cast<const unsigned char *>(migration),
                                           static_cast<int>(strlen(migration)), seed);
    LOCKTAG lock;
    SET_LOCKTAG_ADVISORY(lock, MyDatabaseId, static_cast<uint32>(key >> 32), static_cast<uint32>(key), lock_class);
    return lock;
}

/* The process that holds the lock; 0: none any more. */
static int find_holder(const LOCKTAG *lock) {
    const LockData *locks = GetLockStatusData();
    for (int i = 0; i < locks->nelements; i++) {
        const LockInstanceData *instance = &locks->locks[i];
        if (instance->holdMask != 0 && memcmp(&instance->locktag, lock, sizeof(LOCKTAG)) == 0)
            return instance->pid;
    }
    return 0;
}

void lock_run(const char *job, const char *migration, bool session, LOCKTAG *lock) {
    *lock = lock_tag(job, migration);
    const LockAcquireResult result = LockAcquire(lock, ExclusiveLock, session, true);
    if (result == LOCKACQUIRE_OK || (result == LOCKACQUIRE_ALREADY_HELD && !session))
        return;
    int holder = MyProcPid;
    if (result == LOCKACQUIRE_ALREADY_HELD)
        LockRelease(lock, ExclusiveLock, session);
    else
        holder = find_holder(lock);
    ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
                    strcmp(job, "migrate") == 0
                        ? errmsg("migration \"%s\" is already being run", migration)
                        : errmsg("job \"%s\" of migration \"%s\" is already being run", job, migration),
                    holder != 0 ? errdetail("The process with PID %d runs it.", holder) : 0,
                    holder != 0 ? errhint("Wait for its end, or end it: SELECT pg_cancel_backend(%d).", holder)
                                : errhint("Try again.")));
}

void unlock_run(const LOCKTAG *lock) {
    LockRelease(lock, ExclusiveLock, true);
}

} // namespace mongoferry::migrate
