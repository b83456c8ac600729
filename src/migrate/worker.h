/*
 * The background worker of a run, as the leader launches it. POD world (pg/guard.h).
 */
#pragma once

#include "migrate/crew.h"

extern "C" {
#include "postmaster/bgworker.h"
}

namespace mongoferry::migrate {

/* Registers a worker for a slot of the crew; its end is signalled to this process. NULL when no slot for background
 * workers is free. The handle is palloc'd in the current context. */
BackgroundWorkerHandle *launch_worker(const CrewView &view, int slot);

} // namespace mongoferry::migrate
