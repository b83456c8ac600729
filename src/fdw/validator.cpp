/*
 * mongoferry_validator(): what CREATE and ALTER of servers, user mappings, foreign tables and columns accept.
 *
 * The rule of rights is postgres_fdw's for certificates: whatever makes the server process read a file or use its own
 * environment's credentials, as an option or inside uri, may be set by superusers and members of
 * pg_read_server_files only. It is checked here for who runs the DDL, and again at run time for the owner of the
 * server.
 */
#include "pg/guard.h"

#include "bson/field_plan.h"
#include "fdw/options.h"
#include "fdw/rights.h"
#include "source/live/live.h"

extern "C" {
#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_validator);
}

namespace mongoferry::fdw {

static unsigned level_of_catalog(Oid catalog) {
    switch (catalog) {
    case ForeignServerRelationId:
        return on_server;
    case UserMappingRelationId:
        return on_user_mapping;
    case ForeignTableRelationId:
        return on_table;
    case AttributeRelationId:
        return on_column;
    default:
        return 0; /* the wrapper itself takes none */
    }
}

static const char *level_name(unsigned level) {
    switch (level) {
    case on_server:
        return "a server";
    case on_user_mapping:
        return "a user mapping";
    case on_table:
        return "a foreign table";
    case on_column:
        return "a column";
    case on_import:
        return "IMPORT FOREIGN SCHEMA";
    default:
        return "a foreign-data wrapper";
    }
}

void refuse_unknown_option(const char *name, unsigned level) {
    const OptionDefinition *elsewhere = find_option(name);
    StringInfoData valid;
    initStringInfo(&valid);
    int count;
    const OptionDefinition *definitions = option_definitions(&count);
    for (int i = 0; i < count; ++i)
        if (definitions[i].levels & level)
            appendStringInfo(&valid, "%s%s", valid.len > 0 ? ", " : "", definitions[i].name);

    StringInfoData places;
    initStringInfo(&places);
    if (elsewhere)
        for (unsigned other : {on_server, on_user_mapping, on_table, on_column, on_import})
            if (elsewhere->levels & other)
                appendStringInfo(&places, "%s%s", places.len > 0 ? " or " : "", level_name(other));

    ereport(ERROR,
            (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\" for %s", name, level_name(level)),
             elsewhere && places.len > 0 ? errdetail("It is an option of %s.", places.data) : 0,
             valid.len > 0 ? errhint("Valid options here are: %s.", valid.data)
                           : errhint("There are no valid options here.")));
    pg_unreachable();
}

static void refuse_without_file_rights(const char *what) {
    if (!may_read_server_files(GetUserId()))
        ereport(
            ERROR,
            (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to set %s", what),
             errdetail("It makes the database server read files or use credentials of its own, which only superusers "
                       "and members of the role pg_read_server_files may ask for.")));
}

/* What check_uri() needs of the review, without a destructor. */
struct UriVerdict {
    bool valid;
    bool has_password;
    bool reads_server_files;
    char *problem;
    char *server_file_options;
};

static void check_uri(const char *uri) {
    UriVerdict verdict = pg_entry([&] {
        source::live::UriReview review = source::live::review_uri(uri);
        std::string names;
        for (const std::string &name : review.server_file_options)
            names += (names.empty() ? "" : ", ") + name;
        UriVerdict result{review.valid, review.has_password, review.reads_server_files, nullptr, nullptr};
        pg_guard([&] {
            result.problem = pstrdup(review.problem.c_str());
            result.server_file_options = pstrdup(names.c_str());
        });
        return result;
    });
    if (!verdict.valid)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid connection string in option \"uri\""),
                        errdetail_internal("%s", verdict.problem)));
    if (verdict.has_password)
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"uri\" must not contain a password"),
                 errdetail("Everybody who can connect to this database can read a server's options."),
                 errhint("Leave it out, and give it to the user mapping: CREATE USER MAPPING … OPTIONS (username "
                         "'…', password '…').")));
    if (verdict.reads_server_files)
        refuse_without_file_rights(psprintf("option \"uri\" with %s", verdict.server_file_options));
}

static void check_path_option(const char *option, const char *path) {
    const char *problem = bson::check_path(path);
    if (problem)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("invalid value for option \"%s\": \"%s\"", option, path), errdetail("%s", problem)));
}

/* Options that can be judged only with their neighbours. */
static void check_server_options(const List *options) {
    const char *dump = option_text(options, "dump");
    const char *uri = option_text(options, "uri");
    const char *host = option_text(options, "host");
    const char *port = option_text(options, "port");

    if (uri && (host || port))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("options \"uri\" and \"%s\" exclude each other", host ? "host" : "port"),
                        errhint("Name the host inside the connection string.")));
    if (dump && (uri || host || port))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("options \"dump\" and \"%s\" exclude each other", uri    ? "uri"
                                                                                 : host ? "host"
                                                                                        : "port"),
                        errhint("Make one server for the dump and another for the live database.")));
    if (dump && dump[0] != '/')
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid value for option \"dump\": \"%s\"", dump),
                 errdetail("The path must be absolute.")));
}

static void check_user_mapping_options(const List *options) {
    if (option_text(options, "password") && !option_text(options, "username"))
        ereport(ERROR, (errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
                        errmsg("option \"password\" needs option \"username\"")));
}

static void validate(List *options, Oid catalog) {
    unsigned level = level_of_catalog(catalog);
    ListCell *cell;
    foreach (cell, options) {
        DefElem *option = lfirst_node(DefElem, cell);
        const OptionDefinition *definition = find_option(option->defname);
        if (!definition || !(definition->levels & level))
            refuse_unknown_option(option->defname, level);
        check_option_value(definition, option);
        if (definition->reads_files)
            refuse_without_file_rights(psprintf("option \"%s\"", option->defname));

        const char *text = defGetString(option);
        if (definition->kind == OptionKind::text && text[0] == '\0' && strcmp(definition->name, "password") != 0)
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("option \"%s\" must not be empty", definition->name)));
        if (strcmp(definition->name, "uri") == 0)
            check_uri(text);
        else if (strcmp(definition->name, "auth_mechanism") == 0 && uses_server_credentials(text))
            refuse_without_file_rights(psprintf("option \"auth_mechanism\" to \"%s\"", text));
        else if (strcmp(definition->name, "field") == 0)
            check_path_option("field", text);
        else if (strcmp(definition->name, "unwind") == 0) {
            if (text[0] == '$')
                ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                                errmsg("invalid value for option \"unwind\": \"%s\"", text),
                                errhint("Give the path of the array without a dollar sign.")));
            check_path_option("unwind", text);
        }
    }
    if (level == on_server)
        check_server_options(options);
    else if (level == on_user_mapping)
        check_user_mapping_options(options);
    else if (level == on_table && option_text(options, "unwind_outer") && !option_text(options, "unwind"))
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"unwind_outer\" needs option \"unwind\"")));
}

} // namespace mongoferry::fdw

extern "C" Datum mongoferry_validator(PG_FUNCTION_ARGS) {
    mongoferry::fdw::validate(untransformRelOptions(PG_GETARG_DATUM(0)), PG_GETARG_OID(1));
    PG_RETURN_VOID();
}
