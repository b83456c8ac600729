/*
 * The bridge between C++ exceptions and PostgreSQL errors, both ways.
 *
 * A PostgreSQL error is a longjmp: it runs no destructor. A C++ exception must never cross a frame of the backend.
 * So there are two worlds, and this file is the border:
 *
 *   exception world   C++ with destructors. A backend function that may raise is called through pg_guard(), which turns
 *                     the error into a PgError exception that carries the whole ErrorData (SQLSTATE, detail, hint …).
 *   POD world         nothing with a destructor is alive on the stack; ereport() is used directly, no exception is
 *                     thrown. The row decoder lives here, because a guard for each row would cost more than the row.
 *
 * pg_entry() is the edge: every function that PostgreSQL calls and that wants exceptions runs its body in it. The
 * exception becomes an ereport after the catch block is left, when no C++ object is alive any more.
 */
#pragma once

#include "pg/backend.h"

#include <exception>

namespace mongoferry {

/* An error of our own, raised with C++ throw and reported by pg_entry(). The texts follow PostgreSQL's style guide:
 * message lower case without a period; detail and hint whole sentences; either may be empty. */
class Error : public std::exception {
public:
    Error(int sqlstate_, std::string message_, std::string detail_ = {}, std::string hint_ = {})
        : sqlstate(sqlstate_), message(std::move(message_)), detail(std::move(detail_)), hint(std::move(hint_)) {}
    const char *what() const noexcept override { return message.c_str(); }

    int sqlstate; /* as by MAKE_SQLSTATE: ERRCODE_… */
    std::string message;
    std::string detail;
    std::string hint;
};

/* A PostgreSQL error on its way through C++ frames. The ErrorData lives in the memory context that was current when
 * pg_guard() was called, or in ErrorContext's parent if that failed; nobody frees it but the end of the statement. */
class PgError : public std::exception {
public:
    explicit PgError(ErrorData *data) : error_data(data) {}
    const char *what() const noexcept override { return error_data->message ? error_data->message : "unknown error"; }

    ErrorData *error_data;
};

namespace guard_detail {
using Callback = void (*)(void *);
/* Runs callback(argument) under PG_TRY. Returns NULL, or a copy of the error raised. Not inline, so that the sigsetjmp
 * stays in a frame that has no C++ object in it. */
ErrorData *run_under_pg_try(Callback callback, void *argument) noexcept;

/* What survives the catch block of pg_entry(): plain data, palloc'd strings. */
struct Report {
    ErrorData *pg_error = nullptr; /* rethrown as it is, when not NULL */
    int sqlstate = 0;
    char *message = nullptr;
    char *detail = nullptr;
    char *hint = nullptr;
};
/* Turns the exception in flight into a Report. Called inside a catch block. Never throws, never raises. */
void capture_current_exception(Report *report) noexcept;
[[noreturn]] void raise(const Report *report);
} // namespace guard_detail

/*
 * Calls body(), which may raise a PostgreSQL error, from the exception world: the error is thrown as PgError.
 * The body itself must keep to POD (a longjmp leaves it) and must not throw. Costs a sigsetjmp: not for per-row work.
 */
template <typename Body>
auto pg_guard(Body &&body) {
    using Result = std::invoke_result_t<Body>;
    if constexpr (std::is_void_v<Result>) {
        ErrorData *error = guard_detail::run_under_pg_try(
            [](void *argument) { (*static_cast<std::remove_reference_t<Body> *>(argument))(); }, (void *)&body);
        if (error)
            throw PgError(error);
    } else {
        static_assert(std::is_trivially_destructible_v<Result>, "a longjmp would skip the destructor");
        struct Call {
            std::remove_reference_t<Body> *body;
            Result result;
        } call{&body, Result{}};
        ErrorData *error = guard_detail::run_under_pg_try(
            [](void *argument) {
                Call *inner = static_cast<Call *>(argument);
                inner->result = (*inner->body)();
            },
            &call);
        if (error)
            throw PgError(error);
        return call.result;
    }
}

/*
 * The edge from PostgreSQL into the exception world. Runs body() and returns its result; an exception of any kind
 * becomes an ereport(ERROR): Error with its own SQLSTATE, PgError as the error it was, std::bad_alloc as
 * out_of_memory, anything else as internal_error.
 */
template <typename Body>
auto pg_entry(Body &&body) -> std::invoke_result_t<Body> {
    guard_detail::Report report;
    try {
        return body();
    } catch (...) {
        guard_detail::capture_current_exception(&report);
    }
    guard_detail::raise(&report);
}

/*
 * An owner of a C++ object whose life is bound to a memory context: when the context is reset or deleted (end of the
 * query, or abort, after which no destructor on the stack would run) the object is deleted. The destructor must not
 * throw or raise.
 */
template <typename T, typename... Arguments>
T *new_in_context(MemoryContext context, Arguments &&...arguments) {
    struct Holder {
        MemoryContextCallback callback;
        T *object;
    };
    Holder *holder = static_cast<Holder *>(pg_guard([&] { return MemoryContextAllocZero(context, sizeof(Holder)); }));
    holder->object = new T(std::forward<Arguments>(arguments)...);
    holder->callback.func = [](void *argument) {
        Holder *self = static_cast<Holder *>(argument);
        delete self->object;
        self->object = nullptr;
    };
    holder->callback.arg = holder;
    MemoryContextRegisterResetCallback(context, &holder->callback);
    return holder->object;
}

} // namespace mongoferry
