/* See source_table.h. */
#include "migrate/source_table.h"

extern "C" {
#include "access/table.h"
#include "foreign/fdwapi.h"
#include "utils/rel.h"
}

namespace mongoferry::migrate {

namespace {

/* Whatever the wrapper is called: several may be made with our handler. */
bool is_of_mongoferry(Oid server) {
    const ForeignDataWrapper *wrapper = GetForeignDataWrapper(GetForeignServer(server)->fdwid);
    return OidIsValid(wrapper->fdwhandler) &&
           GetFdwRoutine(wrapper->fdwhandler)->GetForeignRelSize == fdw::get_foreign_rel_size;
}

[[noreturn]] void refuse_table(const char *name) {
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a foreign table of mongoferry", name),
                    errhint("Name a foreign table on a server of the foreign-data wrapper mongoferry.")));
}

} // namespace

const fdw::TableDescription *describe_source_table(Oid table, SourceAccess access) {
    /* Rights first: nobody gets to wait for the lock on a table that is not theirs to read. */
    const char *name = get_rel_name(table);
    if (!name)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", table)));
    if (get_rel_relkind(table) != RELKIND_FOREIGN_TABLE)
        refuse_table(name);
    const Oid user = GetUserId();
    const AclResult select = pg_class_aclcheck(table, user, ACL_SELECT);
    if (select != ACLCHECK_OK)
        aclcheck_error(select, OBJECT_FOREIGN_TABLE, name);

    Relation relation = table_open(table, AccessShareLock);
    const Oid server = GetForeignServerIdByRelId(table);
    if (!is_of_mongoferry(server))
        refuse_table(name);
    if (access == SourceAccess::documents && !may_use_server(server, user) && !owns_relation(table, user))
        ereport(ERROR,
                (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                 errmsg("permission denied for the whole documents of foreign table \"%s\"", name),
                 errdetail("They may hold more than the columns of the table show."),
                 errhint("Grant the role USAGE on foreign server \"%s\".", GetForeignServer(server)->servername)));
    const fdw::TableDescription *description = fdw::describe_table(relation, 0, user);
    table_close(relation, NoLock);
    return description;
}

} // namespace mongoferry::migrate
