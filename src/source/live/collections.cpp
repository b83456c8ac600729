/* See list_collections() and default_collation() in live.h. Source of the format: MongoDB manual, "listCollections". */
#include "pg/encoding.h"
#include "source/live/collection_entry.h"
#include "source/live/connection_cache.h"
#include "source/live/driver.h"
#include "source/live/live.h"
#include "source/live/live_source.h"
#include "source/live/remote_cursor.h"

#include <algorithm>

namespace mongoferry::source::live {

std::vector<CollectionInfo> list_collections(const ConnectionKey &key, const ConnectionOptions &options,
                                             const std::string &database) {
    bson::Builder command;
    command.append_int32("listCollections", 1);
    /* With both of these the right to read a collection is enough to see it. */
    command.append_bool("nameOnly", true);
    command.append_bool("authorizedCollections", true);

    RemoteCursor cursor(key, options);
    cursor.open(to_utf8(database), "$cmd.listCollections", command.finish(), 0);

    std::vector<CollectionInfo> result;
    CursorReply reply;
    while (cursor.next(&reply)) {
        Batch batch = batch_of(reply);
        bson::View document;
        while (batch.next(&document)) {
            bson::Value name, type;
            if (!bson::find(document, "name", &name) || name.type != bson::Type::string)
                continue;
            CollectionInfo info{std::string(bson::text_of(name)), "collection"};
            if (info.name.compare(0, 7, "system.") == 0)
                continue;
            if (bson::find(document, "type", &type) && type.type == bson::Type::string)
                info.type = bson::text_of(type);
            result.push_back(std::move(info));
        }
    }
    std::sort(result.begin(), result.end(),
              [](const CollectionInfo &left, const CollectionInfo &right) { return left.name < right.name; });
    return result;
}

/* The default collation that listCollections shows, empty if it shows none. Throws ServerError if the server refuses.
 */
static bson::Document shown_collation(const ConnectionKey &key, const ConnectionOptions &options,
                                      const std::string &database, const std::string &collection) {
    const bson::Document entry = collection_entry(key, options, database, collection, false);
    bson::Value settings, collation;
    if (entry.empty() || !bson::find(bson::view_of(entry), "options", &settings) ||
        settings.type != bson::Type::object || !bson::find(bson::document_of(settings), "collation", &collation) ||
        collation.type != bson::Type::object)
        return {};
    const bson::View found = bson::document_of(collation);
    return {found.data, found.data + found.size};
}

bson::Document default_collation(const ConnectionKey &key, const ConnectionOptions &options,
                                 const std::string &database, const std::string &collection) {
    try {
        return shown_collation(key, options, to_utf8(database), to_utf8(collection));
    } catch (const ServerError &error) {
        if (error.sqlstate == ERRCODE_CONNECTION_EXCEPTION)
            throw;
    }
    return {};
}

bool compares_by_bytes(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                       const std::string &collection) {
    const std::string place = name_space(database, collection);
    const auto known = cached_connection(key, options);
    if (const auto found = known->comparisons_by_bytes.find(place); found != known->comparisons_by_bytes.end())
        return found->second;
    bool result = false;
    try {
        result = shown_collation(key, options, database, collection).empty();
    } catch (const ServerError &error) {
        if (error.sqlstate == ERRCODE_CONNECTION_EXCEPTION)
            throw;
    }
    cached_connection(key, options)->comparisons_by_bytes[place] = result;
    return result;
}

} // namespace mongoferry::source::live
