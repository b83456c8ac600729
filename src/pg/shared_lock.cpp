/* See shared_lock.h. */
#include "pg/shared_lock.h"

#include "pg/guard.h"

extern "C" {
#include "utils/wait_event.h"
}

namespace mongoferry {

void SharedLock::acquire() {
    const auto try_to_take = [&] {
        SpinLockAcquire(&mutex_);
        const bool is_mine = !is_taken_;
        is_taken_ = true;
        SpinLockRelease(&mutex_);
        return is_mine;
    };
    if (try_to_take())
        return;
    pg_guard([&] {
        while (!try_to_take())
            ConditionVariableSleep(&released_, PG_WAIT_EXTENSION);
        ConditionVariableCancelSleep();
    });
}

void SharedLock::release() noexcept {
    SpinLockAcquire(&mutex_);
    is_taken_ = false;
    SpinLockRelease(&mutex_);
    ConditionVariableSignal(&released_);
}

} // namespace mongoferry
