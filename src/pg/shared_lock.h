/*
 * A lock in shared memory that may be held while its holder waits for a disk or a network.
 *
 * Not a lightweight lock, because those hold off interrupts: here who waits, and who holds it, can be cancelled. A
 * holder that goes without releasing it (its process ends) leaves it taken; so it is for processes of one parallel
 * query only, of which none goes on when one has failed.
 *
 * Exception world (pg/guard.h), but for initialize().
 */
#pragma once

#include "pg/backend.h"

extern "C" {
#include "storage/condition_variable.h"
#include "storage/spin.h"
}

namespace mongoferry {

class SharedLock {
public:
    /* To be called once, by who makes the shared memory. */
    void initialize() noexcept {
        SpinLockInit(&mutex_);
        is_taken_ = false;
        ConditionVariableInit(&released_);
    }
    /* Throws PgError if the wait is interrupted. */
    void acquire();
    void release() noexcept;

private:
    slock_t mutex_; /* of is_taken_ */
    bool is_taken_;
    ConditionVariable released_;
};

/* Holds a lock while it lives. */
class SharedLockHold {
public:
    explicit SharedLockHold(SharedLock *lock) : lock_(lock) { lock_->acquire(); }
    ~SharedLockHold() { lock_->release(); }
    SharedLockHold(const SharedLockHold &) = delete;
    SharedLockHold &operator=(const SharedLockHold &) = delete;

private:
    SharedLock *lock_;
};

} // namespace mongoferry
