/* See split_collection() and count_documents() in live.h. */
#include "source/live/live.h"

#include "pg/guard.h"

namespace mongoferry::source::live {

std::vector<Chunk> split_collection(const ConnectionKey &, const ConnectionOptions &options, const std::string &,
                                    const std::string &collection, int64_t) {
    throw Error(ERRCODE_FEATURE_NOT_SUPPORTED, "collection \"" + collection + "\" of server \"" + options.server_name +
                                                   "\" can't be split into chunks");
}

int64_t count_documents(const ConnectionKey &, const ConnectionOptions &options, const std::string &,
                        const std::string &collection, const Range &) {
    throw Error(ERRCODE_FEATURE_NOT_SUPPORTED, "documents of collection \"" + collection + "\" of server \"" +
                                                   options.server_name + "\" can't be counted");
}

} // namespace mongoferry::source::live
