/*
 * The table of options and what can be said of an option by itself. Which options may stand together, and who may set
 * them, is validator.cpp's; what they mean for a source is source_options.cpp's.
 */
#include "fdw/options.h"

extern "C" {
#include "commands/defrem.h"
#include "utils/guc.h"
}

namespace mongoferry::fdw {

namespace {

constexpr unsigned everywhere_read = on_server | on_table | on_column;
constexpr int64 no_minimum = PG_INT64_MIN;
constexpr int64 no_maximum = PG_INT64_MAX;

/* README's option tables are checked against this one by test/integration/test_manual.py. */
const OptionDefinition definitions[] = {
    /* the live source */
    {"uri", on_server, OptionKind::text, no_minimum, no_maximum, nullptr, nullptr, false,
     "MongoDB connection string, with everything but the password"},
    {"host", on_server, OptionKind::text, no_minimum, no_maximum, nullptr, nullptr, false,
     "host name, address or path of a Unix socket, instead of a uri"},
    {"port", on_server, OptionKind::integer, 1, 65535, nullptr, "27017", false, "port, together with host"},
    {"tls", on_server, OptionKind::boolean, no_minimum, no_maximum, nullptr, "off", false, "encrypt the connection"},
    {"tls_ca_file", on_server, OptionKind::text, no_minimum, no_maximum, nullptr, nullptr, true,
     "file of the certificate authorities that are trusted"},
    {"tls_certificate_key_file", on_server | on_user_mapping, OptionKind::text, no_minimum, no_maximum, nullptr,
     nullptr, true, "file of the client's certificate and key"},
    {"tls_certificate_key_file_password", on_user_mapping, OptionKind::text, no_minimum, no_maximum, nullptr, nullptr,
     false, "password of the client's key"},
    {"tls_allow_invalid_certificates", on_server, OptionKind::boolean, no_minimum, no_maximum, nullptr, "off", false,
     "accept a certificate that nobody vouches for"},
    {"tls_allow_invalid_hostnames", on_server, OptionKind::boolean, no_minimum, no_maximum, nullptr, "off", false,
     "accept a certificate made out to another host"},
    {"read_preference", on_server, OptionKind::choice, no_minimum, no_maximum,
     "primary|primaryPreferred|secondary|secondaryPreferred|nearest", "primary", false,
     "which members of a replica set are read"},
    {"read_concern", on_server, OptionKind::choice, no_minimum, no_maximum,
     "local|available|majority|linearizable|snapshot", nullptr, false, "read concern of the queries"},
    {"connect_timeout", on_server, OptionKind::duration, 1, INT_MAX, nullptr, "10s", false,
     "how long to wait for a connection to one host"},
    {"socket_timeout", on_server, OptionKind::duration, 0, INT_MAX, nullptr, "0", false,
     "how long to wait for a reply; 0 for as long as it takes"},
    {"server_selection_timeout", on_server, OptionKind::duration, 1, INT_MAX, nullptr, "30s", false,
     "how long to look for a member that fits; only when it is set also while no member answers at all"},
    {"application_name", on_server, OptionKind::text, no_minimum, no_maximum, nullptr, "mongoferry", false,
     "name shown in the server's logs and currentOp"},
    {"keep_connections", on_server, OptionKind::boolean, no_minimum, no_maximum, nullptr, "on", false,
     "keep the connection open between transactions"},

    /* the credentials */
    {"username", on_user_mapping, OptionKind::text, no_minimum, no_maximum, nullptr, nullptr, false, "user name"},
    {"password", on_user_mapping, OptionKind::text, no_minimum, no_maximum, nullptr, nullptr, false, "password"},
    {"auth_source", on_user_mapping, OptionKind::text, no_minimum, no_maximum, nullptr, "admin", false,
     "database that knows the user"},
    {"auth_mechanism", on_user_mapping, OptionKind::choice, no_minimum, no_maximum,
     "SCRAM-SHA-1|SCRAM-SHA-256|PLAIN|MONGODB-X509|GSSAPI|MONGODB-AWS", nullptr, false,
     "how to authenticate; without it the server and the driver agree on one"},

    /* the file source */
    {"dump", on_server, OptionKind::text, no_minimum, no_maximum, nullptr, nullptr, true,
     "absolute path of what mongodump or mongoexport wrote: a folder, a file or an archive"},

    /* what is read */
    {"database", on_server | on_table, OptionKind::text, no_minimum, no_maximum, nullptr, nullptr, false,
     "database of the collection"},
    {"collection", on_table, OptionKind::text, no_minimum, no_maximum, nullptr, "the table's name", false,
     "collection to read"},
    {"unwind", on_table, OptionKind::text, no_minimum, no_maximum, nullptr, nullptr, false,
     "path of an array: the table has a row for each of its elements"},
    {"unwind_outer", on_table, OptionKind::boolean, no_minimum, no_maximum, nullptr, "off", false,
     "a document without elements gives a row too"},
    {"field", on_column, OptionKind::text, no_minimum, no_maximum, nullptr, "the column's name", false,
     "dotted path of the field; $$ROOT is the document, $$INDEX the position in the unwound array"},

    /* how it is read */
    {"fetch_size", on_server | on_table, OptionKind::integer, 1, INT_MAX, nullptr, nullptr, false,
     "documents a batch; without it the server fills its 16 MB"},
    {"pushdown", on_server | on_table, OptionKind::choice, no_minimum, no_maximum, "on|off", "on", false,
     "let the server filter where the answer stays the same"},
    {"parallel_workers", on_server | on_table, OptionKind::integer, 0, 1024, nullptr, nullptr, false,
     "worker processes that read the collection together; without it as many as its size is worth"},
    {"use_remote_estimate", on_server | on_table, OptionKind::boolean, no_minimum, no_maximum, nullptr, "off", false,
     "ask the server for row estimates even where ANALYZE has been, and have it count what a filter lets through"},
    {"fdw_startup_cost", on_server | on_table, OptionKind::number, 0, INT_MAX, nullptr, "100 (files: 1)", false,
     "cost of a command and its first reply, in the planner's units"},
    {"fdw_tuple_cost", on_server | on_table, OptionKind::number, 0, INT_MAX, nullptr, "0.2 (files: 0.01)", false,
     "cost of a document on its way here, besides that of its bytes"},
    {"analyze_sampling", on_server | on_table, OptionKind::choice, no_minimum, no_maximum, "auto|random|off", "auto",
     false, "how ANALYZE samples a live collection: auto has the server choose documents of all but small ones"},
    {"on_mismatch", everywhere_read, OptionKind::choice, no_minimum, no_maximum, "error|null", "error", false,
     "what becomes of a value that does not fit its column"},
    {"on_nul", everywhere_read, OptionKind::choice, no_minimum, no_maximum, "error|strip|replace", "error", false,
     "what becomes of the character U+0000 in a string: refused, left out, or U+FFFD in its place"},
    {"coerce_strings", everywhere_read, OptionKind::boolean, no_minimum, no_maximum, nullptr, "off", false,
     "number, boolean and objectid columns accept strings that spell such a value"},
    {"json_format", everywhere_read, OptionKind::choice, no_minimum, no_maximum, "relaxed|canonical", "relaxed", false,
     "form of Extended JSON in json, jsonb and text columns"},
    {"uuid_representation", everywhere_read, OptionKind::choice, no_minimum, no_maximum,
     "standard|csharpLegacy|javaLegacy|pythonLegacy", "standard", false, "byte order of UUIDs in binary subtype 3"},

    /* IMPORT FOREIGN SCHEMA */
    {"import_sample_size", on_import, OptionKind::integer, 1, 10000000, nullptr, "1000", false,
     "documents looked at to find a collection's fields and types"},
    {"import_nested", on_import, OptionKind::choice, no_minimum, no_maximum, "columns|jsonb", "columns", false,
     "nested objects as a column for each field, or as one jsonb column"},
    {"import_names", on_import, OptionKind::choice, no_minimum, no_maximum, "keep|snake_case", "keep", false,
     "column names as the fields', or turned into snake_case"},
};

} // namespace

const OptionDefinition *option_definitions(int *count) {
    *count = lengthof(definitions);
    return definitions;
}

const OptionDefinition *find_option(const char *name) {
    for (const OptionDefinition &definition : definitions)
        if (strcmp(definition.name, name) == 0)
            return &definition;
    return nullptr;
}

static bool is_choice(const char *choices, const char *text) {
    size_t length = strlen(text);
    for (const char *word = choices; word; word = strchr(word, '|')) {
        if (*word == '|')
            ++word;
        if (strncmp(word, text, length) == 0 && (word[length] == '|' || word[length] == '\0'))
            return length > 0;
    }
    return false;
}

/* "a|b|c" as "a", "b", "c" for a hint. */
static char *quoted_choices(const char *choices) {
    StringInfoData text;
    initStringInfo(&text);
    appendStringInfoChar(&text, '"');
    for (const char *c = choices; *c; ++c)
        if (*c == '|')
            appendStringInfoString(&text, "\", \"");
        else
            appendStringInfoChar(&text, *c);
    appendStringInfoChar(&text, '"');
    return text.data;
}

void check_option_value(const OptionDefinition *definition, DefElem *option) {
    switch (definition->kind) {
    case OptionKind::text:
        (void)defGetString(option);
        break;
    case OptionKind::boolean:
        (void)defGetBoolean(option); /* raises with the option's name */
        break;
    case OptionKind::choice: {
        const char *text = defGetString(option);
        if (!is_choice(definition->choices, text))
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("invalid value for option \"%s\": \"%s\"", definition->name, text),
                            errhint("Valid values are %s.", quoted_choices(definition->choices))));
        break;
    }
    case OptionKind::number: {
        const char *text = defGetString(option);
        double value;
        if (!parse_real(text, &value, 0, nullptr))
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("invalid value for option \"%s\": \"%s\"", definition->name, text)));
        if (!(value >= static_cast<double>(definition->minimum) && value <= static_cast<double>(definition->maximum)))
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("%g is outside the valid range for option \"%s\"", value, definition->name),
                            errdetail("Values from %lld to %lld are valid.", (long long)definition->minimum,
                                      (long long)definition->maximum)));
        break;
    }
    case OptionKind::integer:
    case OptionKind::duration: {
        const char *text = defGetString(option);
        int flags = definition->kind == OptionKind::duration ? GUC_UNIT_MS : 0;
        int value;
        const char *hint = nullptr;
        if (!parse_int(text, &value, flags, &hint))
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("invalid value for option \"%s\": \"%s\"", definition->name, text),
                            hint ? errhint("%s", hint) : 0));
        if (value < definition->minimum || value > definition->maximum)
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("%d%s is outside the valid range for option \"%s\"", value, flags ? " ms" : "",
                                   definition->name),
                            errdetail("Values from %lld to %lld are valid.", (long long)definition->minimum,
                                      (long long)definition->maximum)));
        break;
    }
    }
}

const char *option_text(const List *options, const char *name) {
    ListCell *cell;
    foreach (cell, options) {
        DefElem *option = lfirst_node(DefElem, cell);
        if (strcmp(option->defname, name) == 0)
            return defGetString(option);
    }
    return nullptr;
}

const char *option_text(const List *narrow, const List *wide, const char *name) {
    const char *text = option_text(narrow, name);
    return text ? text : option_text(wide, name);
}

bool boolean_value(const char *text, bool default_value) {
    bool value;
    return text && parse_bool(text, &value) ? value : default_value;
}

int64 integer_value(const char *text, int64 default_value) {
    int value;
    return text && parse_int(text, &value, 0, nullptr) ? value : default_value;
}

double number_value(const char *text, double default_value) {
    double value;
    return text && parse_real(text, &value, 0, nullptr) ? value : default_value;
}

int duration_value(const char *text, int default_milliseconds) {
    int value;
    return text && parse_int(text, &value, GUC_UNIT_MS, nullptr) ? value : default_milliseconds;
}

bson::ConversionOptions conversion_options(const List *server, const List *table, const List *column) {
    auto text = [&](const char *name) {
        const char *found = option_text(column, table, name);
        return found ? found : option_text(server, name);
    };
    auto is = [](const char *value, const char *word) { return value && strcmp(value, word) == 0; };

    bson::ConversionOptions options;
    if (is(text("on_mismatch"), "null"))
        options.on_mismatch = bson::OnMismatch::null;
    const char *on_nul = text("on_nul");
    options.on_nul = is(on_nul, "strip")     ? bson::OnNul::strip
                     : is(on_nul, "replace") ? bson::OnNul::replace
                                             : bson::OnNul::error;
    options.coerce_strings = boolean_value(text("coerce_strings"), false);
    if (is(text("json_format"), "canonical"))
        options.json_format = bson::JsonFormat::canonical;
    const char *representation = text("uuid_representation");
    options.uuid_representation = is(representation, "csharpLegacy")   ? bson::UuidRepresentation::csharp_legacy
                                  : is(representation, "javaLegacy")   ? bson::UuidRepresentation::java_legacy
                                  : is(representation, "pythonLegacy") ? bson::UuidRepresentation::python_legacy
                                                                       : bson::UuidRepresentation::standard;
    return options;
}

} // namespace mongoferry::fdw
