/*
 * Documents from files: what mongodump and mongoexport write. What the FDW calls.
 *
 * `dump` is the absolute path of one of these, told apart by content where that is possible:
 *   folder     of one database as mongodump writes it (NAME.bson, NAME.bson.gz, NAME.metadata.json), a folder of such
 *              folders (`database` chooses), or a folder of mongoexport's files (NAME.json, NAME.json.gz)
 *   archive    of mongodump --archive, one or several databases (`database` chooses), gzipped or not
 *   .bson      one collection, gzipped or not; the name of the collection does not matter
 *   .json      one collection as mongoexport writes it, gzipped or not; likewise
 * In a dump of only one database the name of the database does not matter.
 *
 * Names given are in the database's encoding, as all that comes from the catalogs is.
 *
 * Everything here is of the exception world (pg/guard.h) and throws Error:
 *   undefined_file, insufficient_privilege, … as the operating system has it   (58P01, 42501)
 *   wrong_object_type           a path that is no regular file or folder, or a kind of file that is not supported
 *   fdw_table_not_found         a collection that the dump does not hold; the hint lists those that it holds
 *   fdw_schema_not_found        a database that the dump does not hold, or none given where there are several
 *   data_corrupted (XX001)      a damaged file: the message names the file and the byte offset
 * Who may name a file is not checked here but by the caller (see fdw/options).
 */
#pragma once

#include "source/source.h"
#include "source/split.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mongoferry::source {

struct FileOptions {
    std::string dump;        /* the server's option: an absolute path */
    std::string server_name; /* of the foreign server, for messages */
};

/* A source over the dump. The collection to read is named in the Request given to open(); of the Request also the
 * limit and the range (all or bytes) count, the rest is ignored. Nothing is opened before open(). */
std::unique_ptr<Source> make_file_source(const FileOptions &options);

/* The collections of a database in the dump, by name. database may be empty (needed only where there are several).
 * Views, system collections and buckets of time series are left out: a dump holds no documents of them that a user of
 * the database would know. A single .bson or .json file lists its name without the extension. An archive's list is in
 * its prelude: no full read. */
std::vector<CollectionInfo> list_collections(const FileOptions &options, const std::string &database);

/* What the planner may know of a collection without reading it. */
struct SizeEstimate {
    int64_t bytes = -1;         /* of BSON, decompressed, roughly; -1 when nothing is known */
    int64_t document_size = -1; /* mean size of the first documents; -1 when nothing is known */
};
/* Looks at the file's size and its first documents; never throws for a missing or damaged file (which the scan will
 * report) but returns "unknown". For a collection in an archive the bytes are the archive's as a whole: an upper bound.
 */
SizeEstimate estimate_size(const FileOptions &options, const std::string &database, const std::string &collection);

/* Splits a collection into chunks of about chunk_size documents (at least 1), in the order of the file. An empty one is
 * one chunk. Throws as a scan does for what is not there or damaged. Interruptible. */
std::vector<Chunk> split_collection(const FileOptions &options, const std::string &database,
                                    const std::string &collection, int64_t chunk_size);

/* How many documents are in the range: exact. range is not raw and has no except. Throws as a scan does, also for a
 * file whose size has changed, and Error 22023 for a range that only a live server can have. Interruptible. */
int64_t count_documents(const FileOptions &options, const std::string &database, const std::string &collection,
                        const Range &range);

/* For EXPLAIN: the path of the file that will be read. Throws like open() where the collection or file is not there. */
std::string describe(const FileOptions &options, const std::string &database, const std::string &collection);

} // namespace mongoferry::source
