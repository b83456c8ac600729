/*
 * A stream on top of another (plain or TLS) that lets only sound messages through to the driver; see wire_message.h for
 * what is checked and why. With TLS below it also does the handshake, which the driver leaves to whoever brings a
 * stream initiator.
 */
#pragma once

#include "source/live/driver_compat.h"
#include "source/live/stream_context.h"

namespace mongoferry::source::live {

/* Takes the base stream over, also on failure (NULL: out of memory). tls_host: the name that the server's certificate
 * is for, if base is a TLS stream; else NULL. */
mongoc_stream_t *new_checked_stream(mongoc_stream_t *base, StreamContext *context, const char *tls_host) noexcept;

} // namespace mongoferry::source::live
