/*
 * What a server knows of a collection without reading it: how much there is, and which indexes. For the planner.
 *
 * Two ways to ask:
 *
 *   collection_statistics() asks now, waits as long as any command, and throws what goes wrong. For ANALYZE.
 *
 *   The functions named planned_… are for planning, which must neither fail nor wait for long because of a server.
 *   They answer from a cache of this backend, and ask at most once in statistics_lifetime for each collection. An
 *   answer is waited for no longer than planning_wait. What the server refuses to tell (no such right, a view, not done
 *   in time) is remembered for failure_memory; a server that does not answer at all is left alone for as long. They
 *   throw nothing but PgError: the statement was cancelled. The cache forgets everything when the options of any
 *   foreign server or user mapping change, and when connections are closed by mongoferry.disconnect().
 *
 * Exception world. Names of databases and collections are in the database's encoding; paths are as MongoDB has them, in
 * UTF-8.
 *
 * Source of the formats: MongoDB manual, "collStats", "listIndexes", "count", "maxTimeMS", "Index Properties".
 */
#pragma once

#include "bson/builder.h"
#include "source/live/connection_options.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mongoferry::source::live {

/* In microseconds. */
constexpr int64_t statistics_lifetime = 10 * 1000 * 1000;
constexpr int64_t failure_memory = 30 * 1000 * 1000;
constexpr int64_t planning_wait = 2 * 1000 * 1000;

struct CollectionStatistics {
    int64_t documents = -1; /* by the metadata, which count orphans on shards; -1: unknown, as of a view */
    int64_t bytes = -1;     /* of BSON, uncompressed; -1: unknown */
};

struct IndexKey {
    enum class Order : uint8_t {
        ascending,
        descending,
        hashed, /* serves equality only */
        other   /* text, 2d, 2dsphere, wildcard …: serves no comparison of a path */
    };
    std::string path; /* dotted */
    Order order;
};

/* Whether an index is multikey (some document has an array at a path) isn't told by listIndexes. It makes no difference
 * to what the server finds, only to how much of the index's bounds and order it can use. */
struct Index {
    std::string name;
    std::vector<IndexKey> keys;
    bool unique = false;
    bool sparse = false;  /* knows nothing of documents without the field */
    bool partial = false; /* knows only documents that fit a filter of its own */
    bool hidden = false;  /* the server's planner doesn't use it */
    bool has_collation = false;
    /* True if comparisons and orders of its keys' paths, as the simple collation has them, can use it for every
     * document of the collection. */
    bool is_usable() const noexcept { return !sparse && !partial && !hidden && !has_collation; }
};

/* Asks the server now. documents and bytes are -1 where it doesn't tell: of a view, to a user without the right. Throws
 * as a scan does where it can't be reached. Interruptible. */
CollectionStatistics collection_statistics(const ConnectionKey &key, const ConnectionOptions &options,
                                           const std::string &database, const std::string &collection);

CollectionStatistics planned_statistics(const ConnectionKey &key, const ConnectionOptions &options,
                                        const std::string &database, const std::string &collection);

/* Empty, never NULL, where nothing is known: of a view, of a collection that does not exist. A time series, and a
 * clustered collection, may have no index on _id in the list. */
std::shared_ptr<const std::vector<Index>> planned_indexes(const ConnectionKey &key, const ConnectionOptions &options,
                                                          const std::string &database, const std::string &collection);

/* How many documents a filter (not empty) lets through, counted by the server, but no further than limit; -1 if that is
 * not known in the time. Remembered for each filter. */
int64_t planned_count(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                      const std::string &collection, const bson::Document &filter, int64_t limit);

/* All that the cache knows. */
void forget_statistics() noexcept;

} // namespace mongoferry::source::live
