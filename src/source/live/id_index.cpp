/* See id_index.h. */
#include "source/live/id_index.h"

#include "source/live/collection_entry.h"
#include "source/live/connection_cache.h"

namespace mongoferry::source::live {

/* The type as listCollections has it; "" if it shows no such collection. */
static std::string type_of(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                           const std::string &collection) {
    const bson::Document entry = collection_entry(key, options, database, collection, true);
    bson::Value type;
    if (entry.empty() || !bson::find(bson::view_of(entry), "type", &type) || type.type != bson::Type::string)
        return "";
    return std::string(bson::text_of(type));
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
