/* See find_command.h. */
#include "source/live/find_command.h"

namespace mongoferry::source::live {

static constexpr std::string_view id_key = "_id";

bool has_id_bounds(const Range &range) noexcept {
    return range.kind == Range::Kind::ids && !(range.min.empty() && range.max.empty());
}

/* Appends the only value of a document under another key. */
static void append_only_value(bson::Builder *builder, std::string_view key, const bson::Document &holder) {
    bson::Iterator iterator(bson::view_of(holder));
    if (iterator.next())
        builder->append_value(key, iterator.value());
}

/* {min: {_id: …}} or {max: {_id: …}} */
static void append_index_bound(bson::Builder *command, std::string_view name, const bson::Document &bound) {
    if (bound.empty())
        return;
    command->begin_document(name);
    append_only_value(command, id_key, bound);
    command->end();
}

/* {OPERATOR: ["$_id", {$literal: …}]}: without $literal a string with a dollar, or a document, would be evaluated. */
static void append_comparison(bson::Builder *conditions, std::string_view comparison, const bson::Document &bound) {
    if (bound.empty())
        return;
    conditions->begin_document(conditions->array_key());
    conditions->begin_array(comparison);
    conditions->append_string("0", "$_id");
    conditions->begin_document("1");
    append_only_value(conditions, "$literal", bound);
    conditions->end();
    conditions->end();
    conditions->end();
}

/* {$expr: {$and: [{$gte: …}, {$lt: …}]}} */
bson::Document range_condition(const Range &range) {
    bson::Builder condition;
    condition.begin_document("$expr");
    condition.begin_array("$and");
    append_comparison(&condition, "$gte", range.min);
    append_comparison(&condition, "$lt", range.max);
    condition.end();
    condition.end();
    return condition.finish();
}

/* {_id: {$in: […]}}. A value that is no _id of a collection (a regular expression, an array) may stand in a view: there
 * it means more than itself. */
static bson::Document list_condition(const Range &range) {
    bson::Builder condition;
    condition.begin_document(id_key);
    condition.begin_array("$in");
    bson::Iterator iterator(bson::view_of(range.ids));
    while (!range.ids.empty() && iterator.next())
        condition.append_value(condition.array_key(), iterator.value());
    condition.end();
    condition.end();
    return condition.finish();
}

static bson::Document conjunction(const bson::Document &left, const bson::Document &right) {
    if (left.empty() || right.empty())
        return left.empty() ? right : left;
    bson::Builder condition;
    condition.begin_array("$and");
    condition.append_document("0", bson::view_of(left));
    condition.append_document("1", bson::view_of(right));
    condition.end();
    return condition.finish();
}

/* The request's filter and what of its range goes into it. */
static bson::Document filter_of(const Request &request, IdRangeForm form) {
    if (request.range.kind == Range::Kind::list)
        return conjunction(request.filter, list_condition(request.range));
    if (has_id_bounds(request.range) && form == IdRangeForm::expression)
        return conjunction(request.filter, range_condition(request.range));
    return request.filter;
}

/* {STAGE: argument} in the array that is open; nothing for an empty argument. */
static void append_stage(bson::Builder *command, std::string_view name, const bson::Document &argument) {
    if (argument.empty())
        return;
    command->begin_document(command->array_key());
    command->append_document(name, bson::view_of(argument));
    command->end();
}

static void append_collation(bson::Builder *command, const Request &request) {
    if (!request.simple_collation || has_id_bounds(request.range))
        return;
    command->begin_document("collation");
    command->append_string("locale", "simple");
    command->end();
}

/* {aggregate: …, pipeline: [{$match}, …], cursor: {}}; min and max are not to be had here. */
static bson::Document aggregate_command(const Request &request, std::string_view collection) {
    bson::Builder command;
    command.append_string("aggregate", collection);
    command.begin_array("pipeline");
    append_stage(&command, "$match", filter_of(request, IdRangeForm::expression));
    if (request.pipeline.empty()) {
        bson::Builder size;
        size.append_int64("size", request.limit);
        append_stage(&command, "$sample", size.finish());
    } else {
        bson::Iterator stage(bson::view_of(request.pipeline));
        while (stage.next())
            command.append_value(command.array_key(), stage.value());
    }
    append_stage(&command, "$project", request.projection);
    command.end();
    /* Groups and sorts beyond the server's memory go to its disk. Not otherwise: some services forbid it. */
    if (!request.pipeline.empty() || request.sample_on_disk)
        command.append_bool("allowDiskUse", true);
    append_collation(&command, request);
    command.begin_document("cursor");
    if (request.batch_size > 0)
        command.append_int32("batchSize", request.batch_size);
    command.end();
    return command.finish();
}

static void append_count(bson::Builder *command, std::string_view name, int64_t count, int placeholder) {
    if (placeholder > 0) {
        command->begin_document(name);
        command->append_int32("$parameter", placeholder);
        command->end();
    } else if (count > 0) {
        command->append_int64(name, count);
    }
}

bson::Document build_find_command(const Request &request, std::string_view collection, IdRangeForm form) {
    if (!request.pipeline.empty() || (request.sample && request.limit > 0))
        return aggregate_command(request, collection);
    bson::Builder command;
    command.append_string("find", collection);
    const bson::Document filter = filter_of(request, form);
    if (!filter.empty())
        command.append_document("filter", bson::view_of(filter));
    if (!request.projection.empty())
        command.append_document("projection", bson::view_of(request.projection));
    if (has_id_bounds(request.range) && form == IdRangeForm::index) {
        append_index_bound(&command, "min", request.range.min);
        append_index_bound(&command, "max", request.range.max);
        command.begin_document("hint");
        command.append_int32(id_key, 1);
        command.end();
    }
    if (!request.sort.empty())
        command.append_document("sort", bson::view_of(request.sort));
    append_count(&command, "skip", request.offset, request.offset_placeholder);
    append_count(&command, "limit", request.limit, request.limit_placeholder);
    append_collation(&command, request);
    if (request.batch_size > 0)
        command.append_int32("batchSize", request.batch_size);
    return command.finish();
}

} // namespace mongoferry::source::live
