/*
 * The two halves of the error bridge that must not be inline: see guard.h for the rules.
 *
 * Relies on PG_TRY and on CopyErrorData/FlushErrorState as any C extension would that wants to look at an error.
 */
#include "pg/guard.h"

namespace mongoferry::guard_detail {

ErrorData *run_under_pg_try(Callback callback, void *argument) noexcept {
    MemoryContext caller_context = CurrentMemoryContext;
    ErrorData *volatile error = nullptr;

    PG_TRY();
    { callback(argument); }
    PG_CATCH();
    {
        /* CopyErrorData refuses to run in ErrorContext, where errors leave us. */
        MemoryContextSwitchTo(caller_context == ErrorContext ? TopTransactionContext : caller_context);
        error = CopyErrorData();
        FlushErrorState();
        MemoryContextSwitchTo(caller_context);
    }
    PG_END_TRY();
    return error;
}

/* A palloc that can't raise: under memory pressure the text is lost rather than the process. */
static char *copy_text(const std::string &text) noexcept {
    if (text.empty())
        return nullptr;
    char *copy =
        static_cast<char *>(MemoryContextAllocExtended(CurrentMemoryContext, text.size() + 1, MCXT_ALLOC_NO_OOM));
    if (copy)
        memcpy(copy, text.c_str(), text.size() + 1);
    return copy;
}

void capture_current_exception(Report *report) noexcept {
    try {
        throw;
    } catch (const PgError &error) {
        report->pg_error = error.error_data;
    } catch (const Error &error) {
        report->sqlstate = error.sqlstate;
        report->message = copy_text(error.message);
        report->detail = copy_text(error.detail);
        report->hint = copy_text(error.hint);
    } catch (const std::bad_alloc &) {
        report->sqlstate = ERRCODE_OUT_OF_MEMORY;
    } catch (const std::exception &error) {
        report->sqlstate = ERRCODE_INTERNAL_ERROR;
        try {
            report->message = copy_text(error.what());
        } catch (...) {
            report->message = nullptr;
        }
    } catch (...) {
        report->sqlstate = ERRCODE_INTERNAL_ERROR;
    }
}

void raise(const Report *report) {
    if (report->pg_error)
        ReThrowError(report->pg_error);
    const char *message = report->message                             ? report->message
                          : report->sqlstate == ERRCODE_OUT_OF_MEMORY ? "out of memory"
                                                                      : "unexpected error in mongoferry";
    ereport(ERROR, (errcode(report->sqlstate), errmsg_internal("%s", message),
                    report->detail ? errdetail_internal("%s", report->detail) : 0,
                    report->hint ? errhint("%s", report->hint) : 0));
    pg_unreachable();
}

} // namespace mongoferry::guard_detail
