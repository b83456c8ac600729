/*
 * Running something in a subtransaction of its own, as PL/pgSQL does for a block with an EXCEPTION clause: what it did
 * is kept or taken back as a whole, and an error is taken back and returned. POD world (pg/guard.h).
 */
#pragma once

#include "pg/backend.h"

namespace mongoferry {

namespace subtransaction_detail {
using Body = bool (*)(void *);
/* Not inline, so that the sigsetjmp stays in a frame of its own. */
ErrorData *run(Body body, void *argument);
} // namespace subtransaction_detail

/*
 * Runs body() -> bool in a subtransaction, which is committed if it gives true and rolled back if it gives false or
 * raises. Returns NULL, or a copy of the error in the memory context that was current; every error is caught,
 * cancelling too, so the caller raises again what is not its own. body() must keep to POD and not throw, and allocates
 * in the memory context of the caller. Raises when a subtransaction can't be begun at all (in a parallel query).
 */
template <typename Body>
ErrorData *in_subtransaction(Body &&body) {
    return subtransaction_detail::run(
        [](void *argument) { return (*static_cast<std::remove_reference_t<Body> *>(argument))(); }, (void *)&body);
}

} // namespace mongoferry
