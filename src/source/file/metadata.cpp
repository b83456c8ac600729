/* See metadata.h. */
#include "source/file/metadata.h"

#include "bson/extended_json_parser.h"
#include "bson/view.h"

namespace mongoferry::source {

CollectionKind kind_of(std::string_view type) noexcept {
    if (type == "view")
        return CollectionKind::view;
    if (type == "timeseries")
        return CollectionKind::timeseries;
    return CollectionKind::collection;
}

bool is_system_collection(std::string_view name) noexcept {
    return name.starts_with("system.") || name.starts_with("$");
}

CollectionMetadata parse_metadata(std::string_view json) {
    CollectionMetadata metadata;
    bson::Document document;
    try {
        size_t consumed;
        document = bson::parse_document(json, &consumed);
    } catch (const bson::ParseError &) {
        return metadata;
    }
    bson::View view = bson::view_of(document);
    bson::Value value;
    if (bson::find(view, "collectionName", &value) && value.type == bson::Type::string)
        metadata.name = bson::text_of(value);
    if (bson::find(view, "type", &value) && value.type == bson::Type::string)
        metadata.kind = kind_of(bson::text_of(value));
    if (metadata.kind == CollectionKind::collection && bson::find(view, "options", &value) &&
        value.type == bson::Type::object) {
        bson::View options = bson::document_of(value);
        if (bson::find(options, "viewOn", &value))
            metadata.kind = CollectionKind::view;
        else if (bson::find(options, "timeseries", &value))
            metadata.kind = CollectionKind::timeseries;
    }
    return metadata;
}

} // namespace mongoferry::source
