/* See split_collection() and count_documents() in file_source.h. */
#include "source/file/file_source.h"

#include "pg/guard.h"

namespace mongoferry::source {

std::vector<Chunk> split_collection(const FileOptions &options, const std::string &, const std::string &collection,
                                    int64_t) {
    throw Error(ERRCODE_FEATURE_NOT_SUPPORTED, "collection \"" + collection + "\" of server \"" + options.server_name +
                                                   "\" can't be split into chunks");
}

int64_t count_documents(const FileOptions &options, const std::string &, const std::string &collection, const Range &) {
    throw Error(ERRCODE_FEATURE_NOT_SUPPORTED, "documents of collection \"" + collection + "\" of server \"" +
                                                   options.server_name + "\" can't be counted");
}

} // namespace mongoferry::source
