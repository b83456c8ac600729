/*
 * See id_types() in live.h.
 *
 * A type is a range of the index on _id, so each question costs a look into the index, whatever the collection's size.
 * The types of number share one range, in which a search for one of them could pass over all the others: they count
 * as one. So do strings and the deprecated symbols; other deprecated types are not looked for.
 *
 * Source: MongoDB manual, "$type", "Comparison/Sort Order".
 */
#include "pg/encoding.h"
#include "source/live/id_index.h"
#include "source/live/live.h"

namespace mongoferry::source::live {

static bool has_id_of_type(Source *source, Request *request, const char *type) {
    bson::Builder filter;
    filter.begin_document("_id");
    filter.append_string("$type", type);
    filter.end();
    request->filter = filter.finish();
    source->open(*request);
    Batch batch;
    bson::View document;
    const bool found = source->next_batch(&batch) && batch.next(&document);
    source->close();
    return found;
}

std::vector<std::string> id_types(const ConnectionKey &key, const ConnectionOptions &options,
                                  const std::string &database, const std::string &collection) {
    std::vector<std::string> found;
    if (id_range_form(key, options, to_utf8(database), to_utf8(collection)) != IdRangeForm::index)
        return found;
    Request request;
    request.database = database;
    request.collection = collection;
    request.limit = 1;
    bson::Builder projection;
    projection.append_int32("_id", 1);
    request.projection = projection.finish();
    const std::unique_ptr<Source> source = make_live_source(key, options);
    for (const char *type :
         {"minKey", "null", "number", "string", "object", "binData", "objectId", "bool", "date", "timestamp", "maxKey"})
        if (has_id_of_type(source.get(), &request, type))
            found.emplace_back(type);
    return found;
}

} // namespace mongoferry::source::live
