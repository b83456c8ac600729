/* See rights.h. Relies on the option table for which options read files, and on the driver's review of a uri. */
#include "fdw/rights.h"

#include "pg/guard.h"
#include "source/live/live.h"

extern "C" {
#include "catalog/pg_authid.h"
#include "utils/acl.h"
}

namespace mongoferry::fdw {

bool may_read_server_files(Oid role) {
    return superuser_arg(role) || has_privs_of_role(role, ROLE_PG_READ_SERVER_FILES);
}

bool uses_server_credentials(const char *auth_mechanism) {
    return pg_entry([&] { return source::live::review_auth_mechanism(auth_mechanism).uses_server_credentials; });
}

/* The first option that reads files or uses the server's credentials, in words for a message; NULL if there is none. */
static const char *option_that_reads_files(const List *options) {
    ListCell *cell;
    foreach (cell, options) {
        DefElem *option = lfirst_node(DefElem, cell);
        const OptionDefinition *definition = find_option(option->defname);
        if (definition && definition->reads_files)
            return definition->name;
    }
    const char *mechanism = option_text(options, "auth_mechanism");
    if (mechanism && uses_server_credentials(mechanism))
        return "auth_mechanism";
    const char *uri = option_text(options, "uri");
    if (uri && pg_entry([&] { return source::live::review_uri(uri).reads_server_files; }))
        return "uri";
    return nullptr;
}

void check_server_file_rights(const ForeignServer *server, const UserMapping *user_mapping) {
    bool owner_may = may_read_server_files(server->owner);
    if (owner_may)
        return;
    const char *name = option_that_reads_files(server->options);
    if (!name && user_mapping && !(OidIsValid(user_mapping->userid) && may_read_server_files(user_mapping->userid)))
        name = option_that_reads_files(user_mapping->options);
    if (name)
        ereport(
            ERROR,
            (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
             errmsg("permission denied for option \"%s\" of server \"%s\"", name, server->servername),
             errdetail("It makes the database server read files or use credentials of its own, and the owner of the "
                       "server, \"%s\", is neither a superuser nor a member of the role pg_read_server_files.",
                       GetUserNameFromId(server->owner, false))));
}

} // namespace mongoferry::fdw
