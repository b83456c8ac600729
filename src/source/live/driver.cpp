/* See driver.h. */
#include "source/live/driver.h"

#include "pg/guard.h"

#include <sys/mman.h>
#include <unistd.h>

namespace mongoferry::source::live {

static int scope_depth = 0;
static bool scope_is_quiet = false;
static char first_logged[512] = "";

namespace {
struct LogLine {
    const char *domain;
    const char *message;
};
} // namespace

static void BSON_CALL take_log(mongoc_log_level_t level, const char *domain, const char *message, void *) noexcept {
    if (level <= MONGOC_LOG_LEVEL_WARNING && first_logged[0] == '\0')
        strlcpy(first_logged, message, sizeof first_logged);
    if (scope_depth == 0 || scope_is_quiet || level > MONGOC_LOG_LEVEL_INFO)
        return;
    LogLine line{domain, message};
    /* ereport() below ERROR can fail too (out of memory, a client that is gone). */
    (void)guard_detail::run_under_pg_try(
        [](void *argument) {
            LogLine *self = static_cast<LogLine *>(argument);
            ereport(DEBUG2, (errmsg_internal("libmongoc: %s: %s", self->domain, self->message)));
        },
        &line);
}

/*
 * libmongoc keeps counters in shared memory unless its environment tells it not to. Libraries of 1.x make the segment
 * when they are loaded, before we can tell them. They work as well when it has no name, which nobody here looks for,
 * and which a backend that is killed would leave behind.
 */
__attribute__((constructor)) static void hide_driver_counters() {
    if (getenv("MONGOC_DISABLE_SHM"))
        return;
    char name[32];
    snprintf(name, sizeof name, "/mongoc-%u", static_cast<unsigned>(getpid()));
    (void)shm_unlink(name);
}

void initialize_driver() {
    static bool initialized = false;
    if (initialized)
        return;
    setenv("MONGOC_DISABLE_SHM", "1", 0);
    mongoc_init();
    mongoc_log_set_handler(take_log, nullptr);
    /* What the server's log and currentOp show beside the driver's own name. */
    (void)mongoc_handshake_data_append("mongoferry", nullptr, "PostgreSQL " PG_VERSION);
    initialized = true;
}

bool inside_driver() noexcept {
    return scope_depth > 0;
}

DriverScope::DriverScope(bool quiet) noexcept {
    ++scope_depth;
    scope_is_quiet = quiet;
    first_logged[0] = '\0';
}

DriverScope::~DriverScope() {
    --scope_depth;
}

const char *DriverScope::logged() const noexcept {
    return first_logged;
}

} // namespace mongoferry::source::live
