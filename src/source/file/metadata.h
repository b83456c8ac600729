/*
 * What mongodump tells of a collection in NAME.metadata.json and in an archive's prelude: Extended JSON with its name,
 * type, options and indexes. Pure C++.
 *
 * Source: mongodump's metadata files; "collectionName" since 100.0, "type" since 100.3, before that the options tell.
 */
#pragma once

#include <string>
#include <string_view>

namespace mongoferry::source {

enum class CollectionKind {
    collection,
    view,       /* a dump holds no documents of it */
    timeseries, /* a dump holds its buckets, not its documents */
};

struct CollectionMetadata {
    std::string name; /* empty if it does not say */
    CollectionKind kind = CollectionKind::collection;
};

/* Never throws for a text that is malformed (older mongodumps wrote such, of indexes with quotes in their names): what
 * could not be learned has its default. */
CollectionMetadata parse_metadata(std::string_view json);

/* MongoDB's word for a type in "type" of a prelude or a metadata file; what is not known is a collection. */
CollectionKind kind_of(std::string_view type) noexcept;

/* True for what belongs to the database rather than to its user: system.* (the buckets of time series too), and the
 * users and roles that a dump of one database may carry ($admin.system.*). Never listed nor read. */
bool is_system_collection(std::string_view name) noexcept;

} // namespace mongoferry::source
