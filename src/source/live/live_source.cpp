/* See live_source.h, and make_live_source() and find_command() in live.h. */
#include "source/live/live_source.h"

#include "pg/encoding.h"
#include "source/live/find_command.h"
#include "source/live/id_index.h"
#include "source/live/live.h"

#include "pg/guard.h"

namespace mongoferry::source::live {

bson::Document find_command(const Request &request) {
    return build_find_command(request, to_utf8(request.collection), IdRangeForm::index);
}

static void check_range(const Range &range) {
    if (range.kind == Range::Kind::bytes)
        throw Error(ERRCODE_INVALID_PARAMETER_VALUE, "a range of a file cannot be read from a live server",
                    "The bounds of the chunk were made for a file.", "Split the source again.");
}

/* A random cursor that meets the same documents again and again gives up (28799): a matter of luck. */
template <typename Open>
static void open_sample(Open &&open) {
    constexpr int32_t no_new_document = 28799;
    constexpr int tries = 3;
    for (int attempt = 1;; ++attempt) {
        try {
            open();
            return;
        } catch (const ServerError &error) {
            if (error.code != no_new_document || attempt == tries)
                throw;
        }
    }
}

void LiveSource::open(const Request &wanted) {
    check_range(wanted.range);
    is_empty_range_ = false;
    const std::string database = to_utf8(wanted.database);
    const std::string collection = to_utf8(wanted.collection);
    /* Saying what goes without saying would keep some servers' indexes from serving. */
    Request without_collation;
    const bool goes_without_saying = wanted.simple_collation && compares_by_bytes(key_, options_, database, collection);
    if (goes_without_saying) {
        without_collation = wanted;
        without_collation.simple_collation = false;
    }
    const Request &request = goes_without_saying ? without_collation : wanted;
    const auto open_cursor = [&](IdRangeForm form) {
        cursor_.open(database, collection, build_find_command(request, collection, form), request.batch_size);
    };
    if (request.sample) {
        open_sample([&] { open_cursor(IdRangeForm::index); });
        return;
    }
    if (!has_id_bounds(request.range)) {
        open_cursor(IdRangeForm::index);
        return;
    }
    const IdRangeForm form = id_range_form(key_, options_, database, collection);
    try {
        open_cursor(form);
        return;
    } catch (const ServerError &error) {
        if (is_empty_range_refusal(error)) {
            is_empty_range_ = true;
            return;
        }
        if (form != IdRangeForm::index || !is_index_refusal(error))
            throw;
    }
    open_cursor(IdRangeForm::expression);
    remember_id_range_form(key_, options_, database, collection, IdRangeForm::expression);
}

bool LiveSource::next_batch(Batch *batch) {
    if (is_empty_range_)
        return false;
    CursorReply reply;
    /* A server may answer with an empty batch and go on. */
    do {
        if (!cursor_.next(&reply))
            return false;
        ++statistics_.batches;
        statistics_.bytes += cursor_.reply_size();
    } while (reply.documents == 0);
    statistics_.documents += reply.documents;
    *batch = batch_of(reply);
    return true;
}

std::unique_ptr<Source> make_live_source(const ConnectionKey &key, const ConnectionOptions &options) {
    return std::make_unique<LiveSource>(key, options);
}

} // namespace mongoferry::source::live
