/*
 * Who may make the server process read files, or use the credentials of its own environment.
 *
 * POD world.
 */
#pragma once

#include "pg/backend.h"

#include "fdw/options.h"

namespace mongoferry::fdw {

/* Superusers and members of pg_read_server_files. */
bool may_read_server_files(Oid role);

/* An authentication mechanism that takes its credentials from the server process: its files, environment, keytab. */
bool uses_server_credentials(const char *auth_mechanism);

/*
 * The run-time half of the rule: what the validator has checked for who ran the DDL must still hold for who owns the
 * server (or, for an option of a user mapping, for the mapping's user or the server's owner). Raises 42501.
 */
void check_server_file_rights(const ForeignServer *server, const UserMapping *user_mapping);

} // namespace mongoferry::fdw
