/* See source_options.h. Relies on the validator having accepted each option. */
#include "fdw/source_options.h"

#include "fdw/rights.h"
#include "pg/guard.h"

extern "C" {
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/pg_user_mapping.h"
#include "utils/syscache.h"
}

namespace mongoferry::fdw {

/* As GetUserMapping(), but NULL instead of an error where there is none: many servers need no credentials. */
static UserMapping *find_user_mapping(Oid user, Oid server) {
    for (Oid candidate : {user, InvalidOid}) {
        HeapTuple tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(candidate), ObjectIdGetDatum(server));
        if (!HeapTupleIsValid(tuple))
            continue;
        UserMapping *mapping = static_cast<UserMapping *>(palloc0(sizeof(UserMapping)));
        mapping->umid = reinterpret_cast<Form_pg_user_mapping>(GETSTRUCT(tuple))->oid;
        mapping->userid = candidate;
        mapping->serverid = server;
        bool is_null;
        Datum options = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &is_null);
        mapping->options = is_null ? NIL : untransformRelOptions(options);
        ReleaseSysCache(tuple);
        return mapping;
    }
    return nullptr;
}

/* The database in the path of a connection string, or NULL. */
static const char *database_of_uri(const char *uri) {
    return pg_entry([&]() -> const char * {
        std::string database = source::live::review_uri(uri).database;
        return database.empty() ? nullptr : pg_guard([&] { return pstrdup(database.c_str()); });
    });
}

SourceOptions resolve_source(Oid server_id, Oid user, const List *table_options, const char *relation_name) {
    SourceOptions options{};
    options.server = GetForeignServer(server_id);
    const List *server_options = options.server->options;
    options.dump = option_text(server_options, "dump");
    options.database = option_text(table_options, server_options, "database");
    const char *collection = option_text(table_options, "collection");
    options.collection = collection ? collection : relation_name;

    const char *uri = option_text(server_options, "uri");
    if (!options.dump) {
        if (!uri && !option_text(server_options, "host"))
            ereport(ERROR, (errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
                            errmsg("server \"%s\" names no source of documents", options.server->servername),
                            errhint("Set its option \"uri\" or \"host\" for a live server, or \"dump\" for files.")));
        options.user_mapping = find_user_mapping(user, server_id);
        if (!options.database && uri)
            options.database = database_of_uri(uri);
        if (!options.database && relation_name)
            ereport(ERROR, (errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
                            errmsg("no database is known for foreign table \"%s\"", relation_name),
                            errhint("Set the option \"database\" of the foreign table or of server \"%s\".",
                                    options.server->servername)));
    }
    check_server_file_rights(options.server, options.user_mapping);
    return options;
}

source::live::ConnectionKey connection_key(const SourceOptions &options) {
    return {options.server->serverid, options.user_mapping ? options.user_mapping->umid : InvalidOid};
}

source::live::ConnectionOptions connection_options(const SourceOptions &options) {
    const List *server = options.server->options;
    const List *mapping = options.user_mapping ? options.user_mapping->options : NIL;

    using Text = std::optional<std::string>;
    auto text = [](const List *list, const char *name) -> Text {
        const char *value = pg_guard([&] { return option_text(list, name); });
        return value ? Text(value) : Text();
    };
    auto flag = [&](const char *name) -> std::optional<bool> {
        Text value = text(server, name);
        return value ? std::optional<bool>(boolean_value(value->c_str(), false)) : std::nullopt;
    };
    auto milliseconds = [&](const char *name) -> std::optional<int> {
        Text value = text(server, name);
        return value ? std::optional<int>(duration_value(value->c_str(), 0)) : std::nullopt;
    };

    source::live::ConnectionOptions connection;
    connection.server_name = options.server->servername;
    connection.uri = text(server, "uri");
    connection.host = text(server, "host");
    if (Text port = text(server, "port"))
        connection.port = static_cast<int>(integer_value(port->c_str(), 27017));
    connection.username = text(mapping, "username");
    connection.password = text(mapping, "password");
    connection.auth_source = text(mapping, "auth_source");
    connection.auth_mechanism = text(mapping, "auth_mechanism");
    connection.tls = flag("tls");
    connection.tls_ca_file = text(server, "tls_ca_file");
    connection.tls_certificate_key_file = text(mapping, "tls_certificate_key_file");
    if (!connection.tls_certificate_key_file)
        connection.tls_certificate_key_file = text(server, "tls_certificate_key_file");
    connection.tls_certificate_key_file_password = text(mapping, "tls_certificate_key_file_password");
    connection.tls_allow_invalid_certificates = flag("tls_allow_invalid_certificates");
    connection.tls_allow_invalid_hostnames = flag("tls_allow_invalid_hostnames");
    connection.read_preference = text(server, "read_preference");
    connection.read_concern = text(server, "read_concern");
    connection.application_name = text(server, "application_name");
    connection.connect_timeout = milliseconds("connect_timeout");
    connection.socket_timeout = milliseconds("socket_timeout");
    connection.server_selection_timeout = milliseconds("server_selection_timeout");
    connection.keep_connections = flag("keep_connections").value_or(true);
    return connection;
}

source::FileOptions file_options(const SourceOptions &options) {
    return {options.dump, options.server->servername};
}

std::unique_ptr<source::Source> make_source(const SourceOptions &options) {
    if (options.dump)
        return source::make_file_source(file_options(options));
    return source::live::make_live_source(connection_key(options), connection_options(options));
}

} // namespace mongoferry::fdw
