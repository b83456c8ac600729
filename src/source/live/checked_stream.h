/*
 * A stream on top of another (plain or TLS) that lets only sound messages through to the driver; see wire_message.h for
 * what is checked and why.
 */
#pragma once

#include "source/live/driver_compat.h"
#include "source/live/stream_context.h"

namespace mongoferry::source::live {

/* Takes the base stream over, also on failure (NULL: out of memory). */
mongoc_stream_t *new_checked_stream(mongoc_stream_t *base, StreamContext *context) noexcept;

} // namespace mongoferry::source::live
