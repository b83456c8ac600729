/*
 * How a collection of a server is cut into chunks: split_collection() in live.h.
 *
 * The boundaries are _ids in the order of the index on _id, of any types. A chunk reaches from one boundary up to, not
 * including, the next; the first is open below and the last above. So the chunks tile the collection however good the
 * boundaries are, and a document that is inserted later falls into exactly one of them. How even the chunks are is all
 * that depends on the estimates here: the count of the metadata, which counts orphans on shards and may be off after a
 * crash, and the sample.
 *
 * Where the boundaries come from:
 *
 *   walk     all _ids in the order of the index, which covers the query: no document is read. Exact. For what is small,
 *            and where the sample would be no small part of the whole.
 *   sample   $sample of some _ids a chunk, of which the server sorts just these. As first stage and below 5 % of the
 *            collection it is a random cursor on WiredTiger, so it costs what it returns.
 *
 * A view or a time series has no index on _id, so each of its chunks may cost as much as reading all of it (see
 * find_command.h). It is always sampled, and cut into few chunks only, so that the whole costs at most that many
 * readings.
 *
 * Source: MongoDB manual, "count", "collStats", "$sample".
 */
#include "pg/encoding.h"
#include "pg/guard.h"
#include "source/live/id_index.h"
#include "source/live/live.h"
#include "source/live/remote_cursor.h"
#include "source/live/single_command.h"

#include <algorithm>
#include <functional>

namespace mongoferry::source::live {

namespace {

constexpr int64_t samples_per_chunk = 20;
/* A collection with fewer documents is walked: that takes a fraction of a second. */
constexpr int64_t smallest_sampled = 100000;
/* From this share on $sample reads the whole collection and sorts it: 1/20. */
constexpr int64_t largest_sample_divisor = 20;
/* So many _ids the server sorts in memory (100 MB) even if each is some hundred bytes; beyond, it may use its disk. */
constexpr int64_t most_sorted_in_memory = 100000;
constexpr int64_t most_chunks_without_index = 64;

/* An _id as the only value of a document, and where it was met. */
struct Boundary {
    bson::Document id;
    int64_t documents_before; /* since the last boundary; -1 not known */
};

class Splitter {
public:
    Splitter(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
             const std::string &collection, int64_t chunk_size)
        : key_(key), options_(options), database_(to_utf8(database)), collection_(to_utf8(collection)),
          chunk_size_(std::max<int64_t>(chunk_size, 1)) {}

    /* At most so many ranges, about even, for a scan that reads them all at once: one where each would cost as much as
     * reading everything, and where the server does not answer a question that a scan alone would not have asked. */
    std::vector<Chunk> divide(int64_t ranges) {
        is_for_scan_ = true;
        if (id_range_form(key_, options_, database_, collection_) == IdRangeForm::index) {
            try {
                estimate_ = count_of_metadata();
                chunk_size_ = std::max<int64_t>((estimate_ + ranges - 1) / ranges, 1);
                return split_by_index();
            } catch (const ServerError &error) {
                if (error.sqlstate == ERRCODE_CONNECTION_EXCEPTION)
                    throw;
                if (is_index_refusal(error))
                    remember_id_range_form(key_, options_, database_, collection_, IdRangeForm::expression);
            }
        }
        return chunks({}, estimate_);
    }

    std::vector<Chunk> split() {
        estimate_ = count_of_metadata();
        document_size_ = average_document_size();
        if (id_range_form(key_, options_, database_, collection_) == IdRangeForm::index) {
            try {
                return split_by_index();
            } catch (const ServerError &error) {
                if (!is_index_refusal(error))
                    throw;
                remember_id_range_form(key_, options_, database_, collection_, IdRangeForm::expression);
            }
        }
        const int64_t wanted = std::min(chunks_wanted(), most_chunks_without_index);
        return chunks(wanted > 1 ? boundaries_of(sample(wanted), wanted) : std::vector<Boundary>(), estimate_);
    }

private:
    std::vector<Chunk> split_by_index() {
        std::vector<Boundary> boundaries;
        int64_t documents = estimate_;
        bool is_sampled = false;
        if (estimate_ >= smallest_sampled && chunks_wanted() * samples_per_chunk < estimate_ / largest_sample_divisor) {
            try {
                boundaries = boundaries_of(sample(chunks_wanted()), chunks_wanted());
                is_sampled = true;
            } catch (const ServerError &error) {
                /* A random cursor may meet the same documents again and again, and then gives up: 28799. */
                constexpr int32_t no_new_document = 28799;
                if (error.code != no_new_document)
                    throw;
            }
        }
        if (!is_sampled)
            documents = walk(&boundaries);
        if (!boundaries.empty() && !honours_bounds(boundaries)) {
            if (!is_for_scan_)
                pg_guard([&] {
                    ereport(WARNING, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                                      errmsg("server \"%s\" does not read ranges of _id", options_.server_name.c_str()),
                                      errdetail("It ignores or refuses \"min\" and \"max\" of the command \"find\", as "
                                                "MongoDB does not. The collection is one chunk.")));
                });
            boundaries.clear();
        }
        return chunks(boundaries, documents);
    }

    int64_t chunks_wanted() const { return std::max<int64_t>((estimate_ + chunk_size_ - 1) / chunk_size_, 1); }

    int64_t count_of_metadata() {
        bson::Builder command;
        command.append_string("count", collection_);
        BsonHandle reply;
        run_single_command(key_, options_, database_, collection_, {command.finish(), true}, &reply);
        return static_cast<int64_t>(std::max(number_in(reply, "n"), 0.0));
    }

    /* -1 where the server doesn't tell: not to this user, not of a view, not behind its mongos. */
    double average_document_size() {
        bson::Builder command;
        command.append_string("collStats", collection_);
        BsonHandle reply;
        try {
            run_single_command(key_, options_, database_, collection_, {command.finish(), false}, &reply);
        } catch (const ServerError &error) {
            if (error.sqlstate == ERRCODE_CONNECTION_EXCEPTION)
                throw;
            return -1;
        }
        const double size = number_in(reply, "avgObjSize");
        return size > 0 ? size : -1;
    }

    static double number_in(const BsonHandle &reply, const char *name) {
        bson::Value value;
        if (!bson::find({bson_get_data(reply.get()), reply.get()->len}, name, &value))
            return -1;
        switch (value.type) {
        case bson::Type::int32:
            return bson::load_int32(value.bytes);
        case bson::Type::int64:
            return static_cast<double>(bson::load_int64(value.bytes));
        case bson::Type::float64:
            return bson::load_float64(value.bytes);
        default:
            return -1;
        }
    }

    /* Calls visit with the _id of each document that the command gives, as an element of any key. */
    void each_id(const bson::Document &command, const std::function<void(const bson::Value &)> &visit) {
        RemoteCursor cursor(key_, options_);
        cursor.open(database_, collection_, command, 0);
        CursorReply reply;
        while (cursor.next(&reply)) {
            Batch batch = batch_of(reply);
            bson::View document;
            while (batch.next(&document)) {
                bson::Value id;
                if (bson::find(document, "_id", &id))
                    visit(id);
            }
        }
    }

    static bson::Document holder_of(const bson::Value &id) {
        bson::Builder holder;
        holder.append_value("", id);
        return holder.finish();
    }

    /* Returns the number of documents. */
    int64_t walk(std::vector<Boundary> *boundaries) {
        bson::Builder command;
        command.append_string("find", collection_);
        for (const char *part : {"projection", "sort", "hint"}) {
            command.begin_document(part);
            command.append_int32("_id", 1);
            command.end();
        }
        int64_t documents = 0;
        int64_t in_chunk = 0;
        bson::Document last;
        each_id(command.finish(), [&](const bson::Value &id) {
            /* Two shards may hold documents with the same _id; a boundary between them would part nothing. */
            if (in_chunk >= chunk_size_) {
                bson::Document holder = holder_of(id);
                if (holder != last) {
                    boundaries->push_back({std::move(holder), in_chunk});
                    in_chunk = 0;
                }
            } else if (in_chunk == 1 && boundaries->size() == 1) {
                behind_first_ = holder_of(id);
            }
            ++documents;
            ++in_chunk;
            if (in_chunk >= chunk_size_)
                last = holder_of(id);
        });
        return documents;
    }

    /* Different _ids, in order. That they differ is the server's to say, for it depends on the collation, and 1 is 1.0:
     * a sample may hold a document twice. */
    std::vector<bson::Document> sample(int64_t chunk_count) {
        const int64_t size = chunk_count * samples_per_chunk;
        bson::Builder command;
        command.append_string("aggregate", collection_);
        command.begin_array("pipeline");
        const auto begin_stage = [&](const char *name) {
            command.begin_document(command.array_key());
            command.begin_document(name);
        };
        const auto end_stage = [&] {
            command.end();
            command.end();
        };
        begin_stage("$sample");
        command.append_int64("size", size);
        end_stage();
        begin_stage("$group");
        command.append_string("_id", "$_id");
        end_stage();
        begin_stage("$sort");
        command.append_int32("_id", 1);
        end_stage();
        command.end();
        command.begin_document("cursor");
        command.end();
        /* Not otherwise: some services forbid it. */
        if (size > most_sorted_in_memory)
            command.append_bool("allowDiskUse", true);
        std::vector<bson::Document> ids;
        each_id(command.finish(), [&](const bson::Value &id) { ids.push_back(holder_of(id)); });
        return ids;
    }

    std::vector<Boundary> boundaries_of(const std::vector<bson::Document> &ids, int64_t chunk_count) {
        const int64_t count = static_cast<int64_t>(ids.size());
        std::vector<Boundary> boundaries;
        int64_t last = 0;
        for (int64_t chunk = 1; chunk < chunk_count; ++chunk) {
            const int64_t position = chunk * count / chunk_count;
            if (position > last && position < count) {
                boundaries.push_back({ids[static_cast<size_t>(position)], -1});
                if (boundaries.size() == 1 && position + 1 < count)
                    behind_first_ = ids[static_cast<size_t>(position + 1)];
            }
            last = position;
        }
        return boundaries;
    }

    /*
     * Whether a range ends and begins where it should. Some servers that resemble MongoDB take min and max and ignore
     * them (FerretDB 1), and would give each chunk the whole collection. Asks a range for a document before it: at the
     * cost of the keys in the range, which is a chunk's, or a few documents' for a scan, who has chunks that are large
     * and no time.
     */
    bool honours_bounds(const std::vector<Boundary> &boundaries) {
        Request request;
        request.limit = 1;
        Range before;
        before.kind = request.range.kind = Range::Kind::ids;
        before.max = request.range.min = boundaries[0].id;
        if (is_for_scan_ && !behind_first_.empty())
            request.range.max = behind_first_;
        else if (boundaries.size() > 1)
            request.range.max = boundaries[1].id;
        bson::Builder projection;
        projection.append_int32("_id", 1);
        request.projection = projection.finish();
        request.filter = range_condition(before);
        bool is_honoured = true;
        try {
            each_id(build_find_command(request, collection_, IdRangeForm::index),
                    [&](const bson::Value &) { is_honoured = false; });
        } catch (const ServerError &error) {
            if (error.sqlstate == ERRCODE_CONNECTION_EXCEPTION || is_index_refusal(error))
                throw;
            is_honoured = is_empty_range_refusal(error);
        }
        return is_honoured;
    }

    std::vector<Chunk> chunks(const std::vector<Boundary> &boundaries, int64_t documents) const {
        const int64_t count = static_cast<int64_t>(boundaries.size()) + 1;
        std::vector<Chunk> result;
        Range range;
        range.kind = Range::Kind::ids;
        int64_t documents_left = documents;
        for (int64_t i = 0; i < count; ++i) {
            const bool is_last = i + 1 == count;
            const Boundary *upper = is_last ? nullptr : &boundaries[static_cast<size_t>(i)];
            range.max = upper ? upper->id : bson::Document();
            Chunk chunk;
            chunk.bounds = render_range(range);
            chunk.documents =
                upper && upper->documents_before >= 0 ? upper->documents_before : documents_left / (count - i);
            documents_left -= chunk.documents;
            if (document_size_ >= 0)
                chunk.bytes = static_cast<int64_t>(document_size_ * static_cast<double>(chunk.documents));
            result.push_back(std::move(chunk));
            range.min = range.max;
        }
        return result;
    }

    const ConnectionKey key_;
    const ConnectionOptions options_;
    const std::string database_;
    const std::string collection_;
    int64_t chunk_size_;
    bool is_for_scan_ = false;
    bson::Document behind_first_; /* the _id that was met next after the first boundary; empty: none */
    int64_t estimate_ = 0;
    double document_size_ = -1;
};

} // namespace

std::vector<Chunk> split_collection(const ConnectionKey &key, const ConnectionOptions &options,
                                    const std::string &database, const std::string &collection, int64_t chunk_size) {
    return Splitter(key, options, database, collection, chunk_size).split();
}

std::vector<Chunk> divide_collection(const ConnectionKey &key, const ConnectionOptions &options,
                                     const std::string &database, const std::string &collection, int64_t ranges) {
    return Splitter(key, options, database, collection, 1).divide(ranges);
}

} // namespace mongoferry::source::live
