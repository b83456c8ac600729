/* See collection_entry.h. Source of the format: MongoDB manual, "listCollections". */
#include "source/live/collection_entry.h"

#include "source/live/remote_cursor.h"
#include "source/source.h"

namespace mongoferry::source::live {

bson::Document collection_entry(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                                const std::string &collection, bool name_only) {
    bson::Builder command;
    command.append_int32("listCollections", 1);
    command.begin_document("filter");
    command.append_string("name", collection);
    command.end();
    if (name_only) { /* only with both of these is the right to read a collection enough to see it */
        command.append_bool("nameOnly", true);
        command.append_bool("authorizedCollections", true);
    }
    RemoteCursor cursor(key, options);
    cursor.open(database, "$cmd.listCollections", command.finish(), 0);
    CursorReply reply;
    while (cursor.next(&reply)) {
        Batch batch = batch_of(reply);
        bson::View document;
        while (batch.next(&document)) {
            bson::Value name;
            if (bson::find(document, "name", &name) && name.type == bson::Type::string &&
                bson::text_of(name) == collection)
                return {document.data, document.data + document.size};
        }
    }
    return {};
}

} // namespace mongoferry::source::live
