/*
 * Where documents come from: one small interface for the live server and for files.
 *
 * A Source lives in the exception world (see pg/guard.h): its functions throw mongoferry::Error or PgError. It is
 * owned by a scan and deleted by a memory context's reset callback, so a destructor must release everything (server
 * cursor, file descriptors) without throwing, raising or waiting for long.
 */
#pragma once

#include "bson/builder.h"
#include "bson/view.h"
#include "source/range.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace mongoferry::source {

/* What is asked of a source. Names are in the database's encoding. Files ignore filter, projection, sort and offset:
 * the scan rechecks every filter, and reads only the paths it wants. */
struct Request {
    std::string database;
    std::string collection;
    bson::Document filter;     /* query predicate, or empty */
    bson::Document projection; /* or empty: whole documents */
    /* Strings are compared by their bytes, as PostgreSQL's rules have it, also where the collection has a default
     * collation. Not with bounds of _ids, which follow the collection's. */
    bool simple_collation = false;
    Range range;                /* the chunk that is meant, besides filter */
    bson::Document sort;        /* or empty */
    int64_t offset = 0;         /* documents that are passed over, after sort */
    int64_t limit = 0;          /* documents; 0 = all */
    int offset_placeholder = 0; /* > 0: not known yet, to be shown as {"$parameter": n} */
    int limit_placeholder = 0;
    bson::Document pipeline; /* stages between filter and projection, under "0", "1" …, or empty; without sort, offset
                              * and limit. For live servers alone. */
    bool sample = false;     /* a live server chooses the limit's documents at random ($sample); files give the first */
    bool sample_on_disk = false; /* a sample so large that the server may have to sort it on its disk */
    int32_t batch_size = 0;      /* documents a batch; 0 = the server's default, which fills 16 MB */
};

/*
 * Documents that arrived together. Valid until the next call of next_batch() or close() of the same source. POD, and
 * walked without throwing, so that the row decoder may hold it.
 *
 *     bson::View document;
 *     while (batch.next(&document)) …
 *
 * Two layouts: "packed", documents one after the other as in a .bson file, and "array", the elements of a BSON array
 * as in a server's reply (type byte, key, document). A badly framed batch is the source's to refuse before it hands
 * the batch out, so next() can't fail; only the outer framing is promised, the inside of each document is not.
 */
struct Batch {
    enum class Layout : uint8_t { packed, array };

    const uint8_t *position = nullptr; /* the next document (packed) or element (array) */
    const uint8_t *end = nullptr;      /* one past the last document or element */
    Layout layout = Layout::packed;
    int64_t first_offset = -1; /* files: offset of the first document in decompressed bytes, -1 if not meaningful */
    const uint8_t *start = nullptr; /* where position stood at first, to tell offsets in messages */

    bool next(bson::View *document) noexcept {
        if (position >= end)
            return false;
        if (layout == Layout::array) {
            ++position;                                                       /* the type: object */
            position += strlen(reinterpret_cast<const char *>(position)) + 1; /* the key: a number */
        }
        document->data = position;
        document->size = static_cast<uint32_t>(bson::load_int32(position));
        position += document->size;
        return true;
    }
};

/* What EXPLAIN ANALYZE tells of a source. */
struct Statistics {
    int64_t documents = 0;
    int64_t bytes = 0; /* of BSON: replies from a server, decompressed bytes of a file */
    int64_t batches = 0;
};

class Source {
public:
    virtual ~Source() = default;
    Source() = default;
    Source(const Source &) = delete;
    Source &operator=(const Source &) = delete;

    /* Begins to read, or begins again from the start (a rescan). Throws if the source can't be reached. */
    virtual void open(const Request &request) = 0;
    /* The next documents; false at the end of the data, and only then: anything wrong throws. A file that is corrupt
     * delivers the documents before the fault first and throws at the call after. Interruptible at any moment. */
    virtual bool next_batch(Batch *batch) = 0;
    /* Ends the reading early; harmless when there is nothing open. */
    virtual void close() noexcept = 0;

    /* The path of the file that was opened last, for messages: valid text of the database's encoding, until the next
     * open(). NULL for a live server, and for documents that come from no file. */
    virtual const char *file_name() const noexcept { return nullptr; }

    const Statistics &statistics() const noexcept { return statistics_; }

protected:
    Statistics statistics_;
};

/* What IMPORT FOREIGN SCHEMA needs to know of a collection. */
struct CollectionInfo {
    std::string name; /* as MongoDB has it: UTF-8, but nobody has checked that */
    std::string type; /* "collection", "view" or "timeseries" */
};

} // namespace mongoferry::source
