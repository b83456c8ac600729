/* See list_collections() in live.h. Source of the format: MongoDB manual, "listCollections". */
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

} // namespace mongoferry::source::live
