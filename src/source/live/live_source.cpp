/* See live_source.h, and make_live_source() and find_command() in live.h. */
#include "source/live/live_source.h"

#include "source/live/driver.h"
#include "source/live/live.h"

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

/* Source of the formats: MongoDB manual, "find", "aggregate", "$sample". */
bson::Document find_command(const Request &request) {
    if (request.sample && request.limit > 0)
        return sample_command(request);
    bson::Builder command;
    command.append_string("find", to_utf8(request.collection));
    if (!request.filter.empty())
        command.append_document("filter", bson::view_of(request.filter));
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
