/*
 * mongoferry.free_disk_space(oid) and mongoferry.free_wal_space(): how much more the file systems hold that a
 * migration's rows and their write-ahead log go to.
 *
 * What df shows as available, for the server's operating system user; quotas and what other sessions write meanwhile
 * are not in it. POD world (pg/guard.h).
 */
#include "pg/backend.h"

extern "C" {
#include "catalog/pg_authid.h"
#include "catalog/pg_tablespace.h"
#include "commands/tablespace.h"
#include "utils/acl.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_free_disk_space);
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_free_wal_space);
}

#include <sys/statvfs.h>

/* Bytes; -1 if the system does not tell. The path is relative to the data directory, which is where servers run. */
static int64 free_space_at(const char *path) {
    struct statvfs status;
    if (statvfs(path, &status) != 0)
        return -1;
    return static_cast<int64>(status.f_bavail) * static_cast<int64>(status.f_frsize);
}

/*
 * free_disk_space(tablespace oid) → bigint, strict. 0, as pg_class.reltablespace has it: the database's own. NULL if
 * there is no such tablespace or the system does not tell. Who may ask is who may ask for pg_tablespace_size()
 * (dbsize.c): for the database's own tablespace everybody, for others who may create tables in it, and members of
 * pg_read_all_stats. Raises 42501 for the rest.
 */
Datum mongoferry_free_disk_space(PG_FUNCTION_ARGS) {
    const Oid tablespace = PG_GETARG_OID(0) == InvalidOid ? MyDatabaseTableSpace : PG_GETARG_OID(0);
    const char *name = get_tablespace_name(tablespace);
    if (!name)
        PG_RETURN_NULL();
    if (tablespace != MyDatabaseTableSpace && !has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) &&
        !mongoferry::may_create_in_tablespace(tablespace, GetUserId()))
        aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLESPACE, name);
    char path[MAXPGPATH];
    if (tablespace == DEFAULTTABLESPACE_OID)
        snprintf(path, sizeof path, "base");
    else if (tablespace == GLOBALTABLESPACE_OID)
        snprintf(path, sizeof path, "global");
    else
        snprintf(path, sizeof path, "pg_tblspc/%u", tablespace);
    const int64 bytes = free_space_at(path);
    if (bytes < 0)
        PG_RETURN_NULL();
    PG_RETURN_INT64(bytes);
}

/* free_wal_space() → bigint. NULL if the system does not tell. */
Datum mongoferry_free_wal_space(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    const int64 bytes = free_space_at("pg_wal");
    if (bytes < 0)
        PG_RETURN_NULL();
    PG_RETURN_INT64(bytes);
}
