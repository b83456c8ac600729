/* See collection_statistics.h. */
#include "source/live/collection_statistics.h"

#include "pg/encoding.h"
#include "pg/guard.h"
#include "source/live/cursor_reply.h"
#include "source/live/driver_error.h"
#include "source/live/single_command.h"
#include "source/source.h"

extern "C" {
#include "utils/inval.h"
#include "utils/syscache.h"
}

#include <algorithm>
#include <map>
#include <optional>

namespace mongoferry::source::live {

namespace {

/* A time series is stored in buckets of up to 1000 measurements, and the server counts buckets only. */
constexpr int64_t measurements_of_a_bucket = 100;

/* More collections than a session plans for in a while, and more filters than it plans for of one of them. */
constexpr size_t most_collections = 500;
constexpr size_t most_filters = 100;

/* The server is to stop before we stop waiting, so that the connection survives. */
constexpr int64_t server_time = planning_wait * 3 / 4;

/* How a question is asked: for long, or in the time that planning has. */
struct Asker {
    const ConnectionKey &key;
    const ConnectionOptions &options;
    std::string database; /* UTF-8, as collection */
    std::string collection;
    int64_t time_limit = no_deadline;
    mutable bool is_refused = false; /* the answer is that there is none */

    void run(bson::Builder *command, bool read_concern, BsonHandle *reply) const {
        if (time_limit != no_deadline) {
            const int64_t left = std::min(time_limit - monotonic_time(), server_time);
            if (left <= 0)
                throw ConnectionError(ERRCODE_QUERY_CANCELED, "the time for planning is used up");
            command->append_int64("maxTimeMS", std::max<int64_t>(left / 1000, 1));
        }
        run_single_command(key, options, database, collection, {command->finish(), read_concern, time_limit}, reply);
    }
};

bson::View view_of(const BsonHandle &reply) noexcept {
    return {bson_get_data(reply.get()), reply.get()->len};
}

/* -1 if it isn't there or isn't a number. */
int64_t number_in(bson::View document, const char *name) noexcept {
    bson::Value value;
    if (!bson::find(document, name, &value))
        return -1;
    switch (value.type) {
    case bson::Type::int32:
        return bson::load_int32(value.bytes);
    case bson::Type::int64:
        return bson::load_int64(value.bytes);
    case bson::Type::float64: {
        const double number = bson::load_float64(value.bytes);
        return number >= 0 && number < 9e18 ? static_cast<int64_t>(number) : -1;
    }
    default:
        return -1;
    }
}

/* In a handler: the server does not tell. Failures that pass are thrown on. */
void note_refusal(const Asker &asker, const ServerError &error) {
    if (error.sqlstate == ERRCODE_CONNECTION_EXCEPTION)
        throw;
    asker.is_refused = true;
}

/* False if the server does not tell. */
bool ask(const Asker &asker, bson::Builder *command, bool read_concern, BsonHandle *reply) {
    try {
        asker.run(command, read_concern, reply);
        return true;
    } catch (const ServerError &error) {
        note_refusal(asker, error);
        return false;
    }
}

/* What "count" says; -1 if the server does not tell. */
int64_t ask_number(const Asker &asker, bson::Builder *command) {
    BsonHandle reply;
    return ask(asker, command, true, &reply) ? number_in(view_of(reply), "n") : -1;
}

/* By the command that needs no more than the right to read the collection. Of a view it would evaluate all. */
int64_t ask_count_of_metadata(const Asker &asker) {
    bson::Builder command;
    command.append_string("count", asker.collection);
    return ask_number(asker, &command);
}

CollectionStatistics ask_statistics(const Asker &asker) {
    CollectionStatistics statistics;
    bson::Builder command;
    command.append_string("collStats", asker.collection);
    BsonHandle reply;
    try {
        asker.run(&command, false, &reply);
    } catch (const ServerError &error) {
        constexpr int32_t unauthorized = 13;
        if (error.code == unauthorized && asker.time_limit != no_deadline)
            statistics.documents = ask_count_of_metadata(asker);
        else
            note_refusal(asker, error);
        return statistics;
    }
    const bson::View document = view_of(reply);
    bson::Value series;
    if (bson::find(document, "timeseries", &series) && series.type == bson::Type::object) {
        const int64_t buckets = number_in(bson::document_of(series), "bucketCount");
        if (buckets > 0 && buckets < PG_INT64_MAX / measurements_of_a_bucket)
            statistics.documents = buckets * measurements_of_a_bucket;
    } else {
        statistics.documents = number_in(document, "count");
    }
    statistics.bytes = number_in(document, "size");
    return statistics;
}

IndexKey::Order order_of(std::string_view path, const bson::Value &value) noexcept {
    if (path.ends_with("$**"))
        return IndexKey::Order::other;
    double direction;
    switch (value.type) {
    case bson::Type::int32:
        direction = bson::load_int32(value.bytes);
        break;
    case bson::Type::int64:
        direction = static_cast<double>(bson::load_int64(value.bytes));
        break;
    case bson::Type::float64:
        direction = bson::load_float64(value.bytes);
        break;
    case bson::Type::string:
        return bson::text_of(value) == "hashed" ? IndexKey::Order::hashed : IndexKey::Order::other;
    default:
        return IndexKey::Order::other;
    }
    return direction < 0 ? IndexKey::Order::descending : IndexKey::Order::ascending;
}

bool is_true(bson::View document, const char *name) noexcept {
    bson::Value value;
    return bson::find(document, name, &value) &&
           (value.type == bson::Type::boolean ? value.bytes[0] != 0 : number_in(document, name) > 0);
}

Index parse_index(bson::View document) {
    Index index;
    bson::Value value;
    if (bson::find(document, "name", &value) && value.type == bson::Type::string)
        index.name = bson::text_of(value);
    if (bson::find(document, "key", &value) && value.type == bson::Type::object) {
        bson::Iterator iterator(bson::document_of(value));
        while (iterator.next())
            index.keys.push_back({std::string(iterator.key()), order_of(iterator.key(), iterator.value())});
    }
    index.unique = is_true(document, "unique");
    index.sparse = is_true(document, "sparse");
    index.hidden = is_true(document, "hidden");
    index.partial = bson::find(document, "partialFilterExpression", &value);
    index.has_collation = bson::find(document, "collation", &value);
    return index;
}

std::vector<Index> ask_indexes(const Asker &asker) {
    std::vector<Index> indexes;
    bson::Builder command;
    command.append_string("listIndexes", asker.collection);
    /* A collection has 64 at most. */
    command.begin_document("cursor");
    command.append_int32("batchSize", 1000);
    command.end();
    BsonHandle reply;
    if (!ask(asker, &command, false, &reply))
        return indexes;
    CursorReply cursor;
    if (read_cursor_reply(view_of(reply), &cursor))
        return indexes;
    Batch batch;
    batch.position = batch.start = cursor.first;
    batch.end = cursor.end;
    batch.layout = Batch::Layout::array;
    bson::View document;
    while (batch.next(&document)) {
        Index index = parse_index(document);
        if (!index.keys.empty())
            indexes.push_back(std::move(index));
    }
    return indexes;
}

int64_t ask_count(const Asker &asker, const bson::Document &filter, int64_t limit) {
    bson::Builder command;
    command.append_string("count", asker.collection);
    command.append_document("query", bson::view_of(filter));
    command.append_int64("limit", limit);
    /* As a scan compares strings; it makes no difference to others. */
    command.begin_document("collation");
    command.append_string("locale", "simple");
    command.end();
    return ask_number(asker, &command);
}

/* An answer, and until when it counts. */
template <typename Answer>
struct Remembered {
    Answer answer{};
    int64_t until = 0;
    bool is_fresh() const noexcept { return monotonic_time() < until; }
    void keep(Answer value, int64_t lifetime) {
        answer = std::move(value);
        until = monotonic_time() + lifetime;
    }
};

struct CollectionKey {
    Oid server;
    Oid user_mapping; /* other users may have other rights */
    std::string database;
    std::string collection;
    bool operator<(const CollectionKey &other) const noexcept {
        return std::tie(server, user_mapping, database, collection) <
               std::tie(other.server, other.user_mapping, other.database, other.collection);
    }
};

struct Knowledge {
    Remembered<CollectionStatistics> statistics;
    Remembered<std::shared_ptr<const std::vector<Index>>> indexes;
    std::map<bson::Document, Remembered<int64_t>> counts;
};

struct Cache {
    std::map<CollectionKey, Knowledge> collections;
    std::map<std::pair<Oid, Oid>, int64_t> silent_until; /* by server and user mapping */
};

/* Counts the changes of servers and mappings. Only this is touched by the callback, which may be called from within
 * any call of the backend. */
uint64_t changes = 0;

} // namespace

static void on_invalidation(Datum, int, uint32) {
    ++changes;
}

/* Never destroyed, as the connections. */
static Cache &cache() {
    static Cache *the_cache = nullptr;
    static uint64_t seen_changes = 0;
    if (!the_cache) {
        pg_guard([] {
            CacheRegisterSyscacheCallback(FOREIGNSERVEROID, on_invalidation, (Datum)0);
            CacheRegisterSyscacheCallback(USERMAPPINGOID, on_invalidation, (Datum)0);
        });
        the_cache = new Cache;
    }
    if (seen_changes != changes) {
        *the_cache = Cache();
        seen_changes = changes;
    }
    return *the_cache;
}

static Knowledge &knowledge_of(const CollectionKey &collection) {
    Cache &all = cache();
    if (all.collections.size() >= most_collections && !all.collections.contains(collection))
        all.collections.clear();
    return all.collections[collection];
}

/*
 * The remembered answer, or a new one. find gives the place for it in a Knowledge; it is looked up again after the
 * question, because anything may happen to the cache while a backend waits.
 */
template <typename Find, typename Ask>
static auto answer_of(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                      const std::string &collection, Find &&find, Ask &&ask) {
    const CollectionKey name{key.server, key.user_mapping, database, collection};
    const std::pair<Oid, Oid> server{key.server, key.user_mapping};
    const auto &known = find(knowledge_of(name));
    if (known.is_fresh())
        return known.answer;
    std::remove_cvref_t<decltype(known.answer)> answer = known.answer; /* the last known is better than none */
    const auto silence = cache().silent_until.find(server);
    if (silence != cache().silent_until.end()) {
        if (monotonic_time() < silence->second)
            return answer;
        cache().silent_until.erase(silence);
    }
    int64_t lifetime = statistics_lifetime;
    try {
        const Asker asker{key, options, to_utf8(database), to_utf8(collection), monotonic_time() + planning_wait};
        answer = ask(asker);
        if (asker.is_refused)
            lifetime = failure_memory;
    } catch (const PgError &) {
        throw;
    } catch (const Error &) {
        /* A scan will say what is wrong, if there is one. */
        cache().silent_until[server] = monotonic_time() + failure_memory;
        return answer;
    }
    find(knowledge_of(name)).keep(answer, lifetime);
    return answer;
}

CollectionStatistics collection_statistics(const ConnectionKey &key, const ConnectionOptions &options,
                                           const std::string &database, const std::string &collection) {
    const Asker asker{key, options, to_utf8(database), to_utf8(collection), no_deadline};
    return ask_statistics(asker);
}

CollectionStatistics planned_statistics(const ConnectionKey &key, const ConnectionOptions &options,
                                        const std::string &database, const std::string &collection) {
    return answer_of(
        key, options, database, collection, [](Knowledge & known) -> auto & { return known.statistics; },
        ask_statistics);
}

std::shared_ptr<const std::vector<Index>> planned_indexes(const ConnectionKey &key, const ConnectionOptions &options,
                                                          const std::string &database, const std::string &collection) {
    auto indexes = answer_of(
        key, options, database, collection, [](Knowledge & known) -> auto & { return known.indexes; },
        [](const Asker &asker) { return std::make_shared<const std::vector<Index>>(ask_indexes(asker)); });
    return indexes ? indexes : std::make_shared<const std::vector<Index>>();
}

int64_t planned_count(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                      const std::string &collection, const bson::Document &filter, int64_t limit) {
    return answer_of(
        key, options, database, collection,
        [&](Knowledge & known) -> auto & {
            if (known.counts.size() >= most_filters && !known.counts.contains(filter))
                known.counts.clear();
            const auto [entry, is_new] = known.counts.try_emplace(filter);
            if (is_new)
                entry->second.answer = -1;
            return entry->second;
        },
        [&](const Asker &asker) { return ask_count(asker, filter, limit); });
}

void forget_statistics() noexcept {
    /* Nothing is freed here: who asks next does that. */
    ++changes;
}

} // namespace mongoferry::source::live
