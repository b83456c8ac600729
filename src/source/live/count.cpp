/* count_documents() in live.h. Source of the formats: MongoDB manual, "aggregate", "$group". */
#include "pg/encoding.h"
#include "pg/guard.h"
#include "source/live/id_index.h"
#include "source/live/live.h"
#include "source/live/live_source.h"

namespace mongoferry::source::live {

/* The command "count" without a query looks at metadata, which may be off after a crash and counts orphans on shards.
 * This counts documents: the server goes along the index on _id, and nothing but the sum comes over. */
static bson::Document count_all_command(const std::string &collection, IdRangeForm form) {
    bson::Builder command;
    command.append_string("aggregate", collection);
    command.begin_array("pipeline");
    command.begin_document(command.array_key());
    command.begin_document("$group");
    command.append_null("_id");
    command.begin_document("n");
    command.append_int32("$sum", 1);
    command.end();
    command.end();
    command.end();
    command.end();
    command.begin_document("cursor");
    command.end();
    if (form == IdRangeForm::index) {
        command.begin_document("hint");
        command.append_int32("_id", 1);
        command.end();
    }
    return command.finish();
}

static int64_t count_all(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                         const std::string &collection, IdRangeForm form) {
    RemoteCursor cursor(key, options);
    cursor.open(database, collection, count_all_command(collection, form), 0);
    int64_t count = 0; /* of no document there is no group */
    CursorReply reply;
    while (cursor.next(&reply)) {
        Batch batch = batch_of(reply);
        bson::View document;
        while (batch.next(&document)) {
            bson::Value number;
            if (!bson::find(document, "n", &number))
                continue;
            if (number.type == bson::Type::int32)
                count += bson::load_int32(number.bytes);
            else if (number.type == bson::Type::int64)
                count += bson::load_int64(number.bytes);
            else if (number.type == bson::Type::float64)
                count += static_cast<int64_t>(bson::load_float64(number.bytes));
        }
    }
    return count;
}

/* No command counts between index bounds, so the _ids come over: from the index, which covers the query. */
static int64_t count_range(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                           const std::string &collection, const Range &range) {
    Request request;
    request.database = database;
    request.collection = collection;
    request.range = range;
    bson::Builder projection;
    projection.append_int32("_id", 1);
    request.projection = projection.finish();
    LiveSource source(key, options);
    source.open(request);
    Batch batch;
    while (source.next_batch(&batch)) {
    }
    return source.statistics().documents;
}

int64_t count_documents(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                        const std::string &collection, const Range &range) {
    const bool is_whole = range.kind == Range::Kind::all || (range.kind == Range::Kind::ids && !has_id_bounds(range));
    if (!is_whole)
        return count_range(key, options, database, collection, range);
    const std::string database_name = to_utf8(database);
    const std::string collection_name = to_utf8(collection);
    const IdRangeForm form = id_range_form(key, options, database_name, collection_name);
    try {
        return count_all(key, options, database_name, collection_name, form);
    } catch (const ServerError &error) {
        if (form != IdRangeForm::index || !is_index_refusal(error))
            throw;
    }
    return count_all(key, options, database_name, collection_name, IdRangeForm::expression);
}

} // namespace mongoferry::source::live
