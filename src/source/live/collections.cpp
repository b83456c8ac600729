/* See list_collections() and default_collation() in live.h. Source of the format: MongoDB manual, "listCollections". */
#include "pg/encoding.h"
#include "source/live/driver.h"
#include "source/live/live.h"
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

bson::Document default_collation(const ConnectionKey &key, const ConnectionOptions &options,
                                 const std::string &database, const std::string &collection) {
    const std::string wanted = to_utf8(collection);
    bson::Builder command;
    command.append_int32("listCollections", 1);
    command.begin_document("filter");
    command.append_string("name", wanted);
    command.end();
    try {
        RemoteCursor cursor(key, options);
        cursor.open(to_utf8(database), "$cmd.listCollections", command.finish(), 0);
        CursorReply reply;
        while (cursor.next(&reply)) {
            Batch batch = batch_of(reply);
            bson::View document;
            while (batch.next(&document)) {
                bson::Value name, settings, collation;
                if (bson::find(document, "name", &name) && name.type == bson::Type::string &&
                    bson::text_of(name) == wanted && bson::find(document, "options", &settings) &&
                    settings.type == bson::Type::object &&
                    bson::find(bson::document_of(settings), "collation", &collation) &&
                    collation.type == bson::Type::object) {
                    const bson::View found = bson::document_of(collation);
                    return {found.data, found.data + found.size};
                }
            }
        }
    } catch (const ServerError &error) {
        if (error.sqlstate == ERRCODE_CONNECTION_EXCEPTION)
            throw;
    }
    return {};
}

} // namespace mongoferry::source::live
