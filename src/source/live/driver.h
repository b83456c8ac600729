/*
 * The driver as a whole: its initialisation in this process, its log, and the rule that nobody calls it while it is
 * being called.
 */
#pragma once

#include "pg/encoding.h"
#include "source/live/driver_compat.h"
#include "source/live/stream_context.h"

#include <string>

namespace mongoferry::source::live {

/* Initialises the driver on first use. Never in the postmaster: call it when something is about to be done. */
void initialize_driver();

/* True while this process is inside of the driver. Whoever may run at any time (exit callbacks, memory context
 * callbacks) must leave the driver alone then: only a process that ends gets here within it. */
bool inside_driver() noexcept;

/* Around each call into the driver. Collects what the driver logs meanwhile, which is often nearer to the cause than
 * the error that it returns; it also goes to the server's log at DEBUG2. */
class DriverScope {
public:
    /* quiet: do not write to the server's log either, for use while an error is on its way. */
    explicit DriverScope(bool quiet = false) noexcept;
    ~DriverScope();
    DriverScope(const DriverScope &) = delete;
    DriverScope &operator=(const DriverScope &) = delete;

    /* The first warning or error that was logged in this scope; UTF-8; empty if none. */
    const char *logged() const noexcept;
};

} // namespace mongoferry::source::live
