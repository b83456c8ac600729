/* See id_index.h. Source of the format: MongoDB manual, "listCollections". */
#include "source/live/id_index.h"

#include "source/live/connection_cache.h"
#include "source/live/remote_cursor.h"
#include "source/source.h"

namespace mongoferry::source::live {

/* A dot can't be in the name of a database. */
static std::string name_space(const std::string &database, const std::string &collection) {
    return database + "." + collection;
}

/* The type as listCollections has it; "" if it shows no such collection. */
static std::string type_of(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                           const std::string &collection) {
    bson::Builder command;
    command.append_int32("listCollections", 1);
    command.begin_document("filter");
    command.append_string("name", collection);
    command.end();
    /* With both of these the right to read a collection is enough to see it. */
    command.append_bool("nameOnly", true);
    command.append_bool("authorizedCollections", true);

    RemoteCursor cursor(key, options);
    cursor.open(database, "$cmd.listCollections", command.finish(), 0);
    CursorReply reply;
    while (cursor.next(&reply)) {
        Batch batch = batch_of(reply);
        bson::View document;
        while (batch.next(&document)) {
            bson::Value name, type;
            if (bson::find(document, "name", &name) && name.type == bson::Type::string &&
                bson::text_of(name) == collection && bson::find(document, "type", &type) &&
                type.type == bson::Type::string)
                return std::string(bson::text_of(type));
        }
    }
    return "";
}

IdRangeForm id_range_form(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                          const std::string &collection) {
    const auto known = cached_connection(key, options);
    const auto found = known->id_range_forms.find(name_space(database, collection));
    if (found != known->id_range_forms.end())
        return found->second;
    std::string type;
    try {
        type = type_of(key, options, database, collection);
    } catch (const ServerError &error) {
        if (error.sqlstate == ERRCODE_CONNECTION_EXCEPTION)
            throw;
        return IdRangeForm::index;
    }
    if (type.empty())
        return IdRangeForm::index;
    const IdRangeForm form = type == "collection" ? IdRangeForm::index : IdRangeForm::expression;
    remember_id_range_form(key, options, database, collection, form);
    return form;
}

void remember_id_range_form(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                            const std::string &collection, IdRangeForm form) {
    cached_connection(key, options)->id_range_forms[name_space(database, collection)] = form;
}

bool is_index_refusal(const ServerError &error) noexcept {
    switch (error.code) {
    case 2:       /* BadValue: no such index */
    case 27:      /* IndexNotFound */
    case 166:     /* CommandNotSupportedOnView */
    case 167:     /* OptionNotSupportedOnView */
    case 168:     /* InvalidPipelineOperator: on a view, "Option min not supported in aggregation" */
    case 51173:   /* no hint: an index filter has taken it away */
    case 51174:   /* the index does not fit min and max */
    case 6137400: /* the same, of a clustered collection */
        return true;
    default:
        return false;
    }
}

bool is_empty_range_refusal(const ServerError &error) noexcept {
    return error.code == 51175 || error.code == 6137401; /* the latter of a clustered collection */
}

} // namespace mongoferry::source::live
