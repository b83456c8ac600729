/* See live_source.h, and make_live_source() and find_command() in live.h. */
#include "source/live/live_source.h"

#include "source/live/driver.h"
#include "source/live/live.h"

#include "pg/guard.h"

namespace mongoferry::source::live {

/* {aggregate: …, pipeline: [{$match}, {$sample}, {$project}], cursor: {}} */
static bson::Document sample_command(const Request &request) {
    bson::Builder command;
    command.append_string("aggregate", to_utf8(request.collection));
    command.begin_array("pipeline");
    auto add_stage = [&](const char *name, const bson::Document &argument) {
        if (argument.empty())
            return;
        command.begin_document(command.array_key());
        command.append_document(name, bson::view_of(argument));
        command.end();
    };
    bson::Builder size;
    size.append_int64("size", request.limit);
    add_stage("$match", request.filter);
    add_stage("$sample", size.finish());
    add_stage("$project", request.projection);
    command.end();
    command.begin_document("cursor");
    if (request.batch_size > 0)
        command.append_int32("batchSize", request.batch_size);
    command.end();
    return command.finish();
}

/* {_id: {$in: […]}}, and the filter beside it if there is one. */
static bson::Document list_filter(const Request &request) {
    bson::Builder filter;
    const auto append_ids = [&] {
        filter.begin_document("_id");
        filter.append_array("$in", bson::view_of(request.range.ids));
        filter.end();
    };
    if (request.filter.empty()) {
        append_ids();
        return filter.finish();
    }
    filter.begin_array("$and");
    filter.begin_document(filter.array_key());
    append_ids();
    filter.end();
    filter.append_document(filter.array_key(), bson::view_of(request.filter));
    filter.end();
    return filter.finish();
}

/* Bounds of the index on _id: min is included, max is not, and all types are in one order, which comparison operators
 * in a filter do not give ($gte passes over values of other types). */
static void append_index_bounds(bson::Builder *command, const Range &range) {
    if (range.kind != Range::Kind::ids || (range.min.empty() && range.max.empty()))
        return;
    const auto append_bound = [&](const char *name, const bson::Document &bound) {
        if (bound.empty())
            return;
        bson::Iterator iterator(bson::view_of(bound));
        command->begin_document(name);
        if (iterator.next())
            command->append_value("_id", iterator.value());
        command->end();
    };
    append_bound("min", range.min);
    append_bound("max", range.max);
    command->begin_document("hint");
    command->append_int32("_id", 1);
    command->end();
}

/* Source of the formats: MongoDB manual, "find", "cursor.min()", "aggregate", "$sample". */
bson::Document find_command(const Request &request) {
    if (request.range.kind == Range::Kind::bytes || request.range.kind == Range::Kind::positions)
        throw Error(ERRCODE_INVALID_PARAMETER_VALUE, "a range of a file can't be read from a live server",
                    "The bounds of the chunk were made for a dump.", "Split the source again.");
    if (request.sample && request.limit > 0)
        return sample_command(request);
    bson::Builder command;
    command.append_string("find", to_utf8(request.collection));
    const bson::Document filter = request.range.kind == Range::Kind::list ? list_filter(request) : request.filter;
    if (!filter.empty())
        command.append_document("filter", bson::view_of(filter));
    append_index_bounds(&command, request.range);
    if (!request.projection.empty())
        command.append_document("projection", bson::view_of(request.projection));
    if (request.limit > 0)
        command.append_int64("limit", request.limit);
    if (request.batch_size > 0)
        command.append_int32("batchSize", request.batch_size);
    return command.finish();
}

void LiveSource::open(const Request &request) {
    cursor_.open(to_utf8(request.database), to_utf8(request.collection), find_command(request), request.batch_size);
}

bool LiveSource::next_batch(Batch *batch) {
    CursorReply reply;
    /* A server may answer with an empty batch and go on. */
    do {
        if (!cursor_.next(&reply))
            return false;
        ++statistics_.batches;
        statistics_.bytes += cursor_.reply_size();
    } while (reply.documents == 0);
    statistics_.documents += reply.documents;
    *batch = Batch();
    batch->position = batch->start = reply.first;
    batch->end = reply.end;
    batch->layout = Batch::Layout::array;
    return true;
}

std::unique_ptr<Source> make_live_source(const ConnectionKey &key, const ConnectionOptions &options) {
    return std::make_unique<LiveSource>(key, options);
}

} // namespace mongoferry::source::live
