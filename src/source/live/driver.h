/*
 * The driver as a whole: its initialisation in this process, its log, and the rule that nobody calls it while it is
 * being called.
 */
#pragma once

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

/* Text between the driver's UTF-8 and the database's encoding. What can't be converted (a server may send anything in
 * an error message) becomes '?'. Throws on out of memory only. */
std::string to_server_text(const std::string &utf8);
/* Raises 22P05 where the driver can't get the text, which UTF-8 can always hold. */
std::string to_utf8(const std::string &server_text);

} // namespace mongoferry::source::live
