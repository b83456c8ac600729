/*
 * The driver's URI, made from connection options.
 */
#pragma once

#include "source/live/connection_options.h"
#include "source/live/driver_handles.h"

namespace mongoferry::source::live {

/* The URI for a connection: the connection string or host and port, and over them the other options. Throws HV00D
 * (invalid option name) or HV024 (invalid attribute value) style errors that name the foreign server. */
UriHandle make_uri(const ConnectionOptions &options);

/* The URI for one server of a deployment, with the credentials and the TLS options of uri, connecting to nothing but
 * that server. NULL if it can't be made. host as the driver writes it: "name:port", "[::1]:port" or a socket's path. */
UriHandle make_direct_uri(const mongoc_uri_t *uri, const mongoc_host_list_t *host, int connect_timeout);

} // namespace mongoferry::source::live
