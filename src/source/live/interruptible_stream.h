/*
 * The driver's way to the network: a stream over a non-blocking socket that waits as a backend has to.
 *
 * The driver's own socket stream polls without a look at the process latch: a cancel request would wait for its
 * timeout, and so would another session's DROP DATABASE, which needs every backend to acknowledge a barrier. This
 * stream waits through a StreamContext instead. It also connects by itself (non-blocking, several addresses of a host
 * one after the other), because a client with its own stream initiator leaves that to the initiator, TLS included.
 */
#pragma once

#include "source/live/driver_compat.h"
#include "source/live/stream_context.h"

namespace mongoferry::source::live {

/*
 * A mongoc_stream_initiator_t; user_data is the StreamContext of the client, which must outlive it. Begins to connect
 * and returns at once; the connection is established when the driver polls the stream. Name resolution is the one thing
 * that blocks and can't be cancelled. Never throws, never raises.
 */
mongoc_stream_t *BSON_CALL open_stream(const mongoc_uri_t *uri, const mongoc_host_list_t *host, void *user_data,
                                       bson_error_t *error) noexcept;

/* While a layer on top (TLS) is busy with itself: what the driver is to be told to be ready is not the socket's
 * readiness for what the driver wants, but for these events (POLLIN, POLLOUT). 0: as usual. stream: this one, or one on
 * top of it. */
void poll_for_instead(mongoc_stream_t *stream, short events) noexcept;

} // namespace mongoferry::source::live
